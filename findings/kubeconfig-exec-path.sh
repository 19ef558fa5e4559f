#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A plugin for credentials in a kubeconfig, `command: ./token`: Kubernetes' documentation takes a relative path with a slash from the
# kubeconfig's folder, and so does the client for Python (kubernetes 37.0.2). lightkube 1.0.1 and the client for Node
# (@kubernetes/client-node 1.4.0) take it from the folder in which the program was started: they fail, or run another program.
. "${BASH_SOURCE%/*}/fetch"
pypi kubernetes==37.0.2 lightkube==1.0.1
npm_packages @kubernetes/client-node@1.4.0

# Each folder has a plugin of its own, whose token is the folder's name.
for folder in beside started; do
    mkdir -p cluster/$folder
    cat > cluster/$folder/token <<SH
#!/bin/sh
echo '{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {"token": "$folder"}}'
SH
    chmod +x cluster/$folder/token
done
cat > cluster/beside/config <<'YAML'
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "https://a.example.org:6443"}}]
users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./token, interactiveMode: Never}}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
YAML
cd cluster/started
same 'Python' 'Bearer beside' "$("$work/python/bin/python" -c '
import kubernetes as k
k.config.load_kube_config("../beside/config")
print(k.client.Configuration.get_default_copy().get_api_key_with_prefix("BearerToken"))')"
same 'lightkube' 'Bearer started' "$("$work/python/bin/python" -c '
import lightkube, types
from lightkube.config.client_adapter import user_auth
user = lightkube.KubeConfig.from_file("../beside/config").get().user
print(next(user_auth(user).sync_auth_flow(types.SimpleNamespace(headers={}))).headers["Authorization"])')"
cp "$work/package.json" . && ln -s "$work/node_modules" .
same 'Node' 'Bearer started' "$(node --input-type module - <<'NODE'
import { KubeConfig } from "@kubernetes/client-node"
const config = new KubeConfig(), options = {}
config.loadFromFile("../beside/config")
await config.applyToHTTPSOptions(options)
console.log(options.headers.Authorization.trim())
NODE
)"
