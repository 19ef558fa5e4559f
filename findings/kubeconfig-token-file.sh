#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# @kubernetes/client-node 1.4.0 passes over `tokenFile` of a kubeconfig, the key that kubectl and the client for Python have for a token
# that is renewed in place: its requests have no Authorization header. It looks for `token-file`, which is no key of a kubeconfig.
. "${BASH_SOURCE%/*}/fetch"
pypi kubernetes==37.0.2
npm_packages @kubernetes/client-node@1.4.0

echo abc > token
# config KEY: a kubeconfig whose user has the token's file in KEY.
config() {
    cat <<YAML
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "https://a.example.org:6443"}}]
users: [{name: a, user: {$1: $work/token}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
YAML
}
config tokenFile > documented
config token-file > other
# header FILE: what client-node sends.
header() {
    node --input-type module - "$1" <<'NODE'
import { KubeConfig } from "@kubernetes/client-node"
const config = new KubeConfig(), options = {}
config.loadFromFile(process.argv[2])
await config.applyToHTTPSOptions(options)
console.log(options.headers.Authorization?.trim() ?? "no header")
NODE
}
same 'Python, tokenFile' 'Bearer abc' "$(python/bin/python -c '
import kubernetes as k
k.config.load_kube_config("documented")
print(k.client.Configuration.get_default_copy().get_api_key_with_prefix("BearerToken"))')"
same 'client-node, tokenFile' 'no header' "$(header documented)"
same 'client-node, token-file' 'Bearer abc' "$(header other)"
