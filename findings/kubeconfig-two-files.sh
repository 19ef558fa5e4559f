#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two files in KUBECONFIG, each with a current context. kubectl 1.20.2 uses the first file's, as its documentation has it: the first value
# wins. The clients for Python (kubernetes 37.0.2) and Node (@kubernetes/client-node 1.4.0) read the same variable and use the
# last file's: a script changes another cluster than the one that kubectl shows.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*'
pypi kubernetes==37.0.2
npm_packages @kubernetes/client-node@1.4.0

for cluster in first second; do
    cat > $cluster <<YAML
apiVersion: v1
kind: Config
current-context: $cluster
clusters: [{name: $cluster, cluster: {server: "https://$cluster.example.org:6443"}}]
users: [{name: $cluster, user: {token: not-a-secret}}]
contexts: [{name: $cluster, context: {cluster: $cluster, user: $cluster}}]
YAML
done
export KUBECONFIG=$work/first:$work/second HOME=$work
same 'kubectl' 'https://first.example.org:6443' "$(root/usr/bin/kubectl config view --minify -o jsonpath='{.clusters[*].cluster.server}')"
same 'Python' 'https://second.example.org:6443' "$(
    python/bin/python -c 'import kubernetes as k; k.config.load_kube_config(); print(k.client.Configuration.get_default_copy().host)'
)"
same 'Node' 'https://second.example.org:6443' "$(node --input-type module -e '
import { KubeConfig } from "@kubernetes/client-node"
const config = new KubeConfig()
config.loadFromDefault()
console.log(config.getCurrentCluster().server)')"
