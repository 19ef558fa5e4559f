#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lightkube 1.0.1 passes over the `proxy-url` of a cluster in a kubeconfig without a word: it calls the cluster directly, which can't be
# reached from where the proxy is needed. kubernetes 37.0.2 for Python goes by the proxy.
. "${BASH_SOURCE%/*}/fetch"
pypi lightkube==1.0.1 kubernetes==37.0.2

cat > both.py <<'PYTHON'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(self.server.name)
        body = json.dumps({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *rest): pass
def listen(name):
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.name = name
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
seen = []
config = {"apiVersion": "v1", "kind": "Config", "current-context": "a",
    "clusters": [{"name": "a", "cluster": {"server": listen("direct"), "proxy-url": listen("by the proxy")}}],
    "users": [{"name": "a", "user": {"token": "abc"}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}
import kubernetes, lightkube
from lightkube.resources.core_v1 import Node
kubernetes.config.load_kube_config_from_dict(config)
kubernetes.client.CoreV1Api().read_node("a", _preload_content=False)
lightkube.Client(config=lightkube.KubeConfig.from_dict(config), trust_env=False).get(Node, "a")
print(*seen, sep="\n")
PYTHON
same 'kubernetes, lightkube' 'by the proxy
direct' "$(env -u no_proxy -u NO_PROXY python/bin/python both.py)"
