#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A network in NO_PROXY, as kubeadm's documentation has it for the networks of nodes, pods and services, is a network to requests 2.34.2 and to
# the client for Python (kubernetes 37.0.2). Python's urllib, httpx 0.28.1, aiohttp 3.14.5 and kr8s 0.20.15, which is made of httpx, take it
# for a name, and ask the proxy for an address in it, without a word.
. "${BASH_SOURCE%/*}/fetch"
pypi requests==2.34.2 kubernetes==37.0.2 httpx==0.28.1 aiohttp==3.14.5 kr8s==0.20.15

cat > clients.py <<'PYTHON'
import asyncio, json, os, sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(self.server.name)
        body = json.dumps({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a"}, "major": "1", "minor": "34", "gitVersion": "v1.34.1"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *rest): pass
def listen(name):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.name = name
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
seen, url = [], listen("direct")
for name in ("http_proxy", "HTTP_PROXY"):
    os.environ[name] = listen("proxy")
for name in ("no_proxy", "NO_PROXY"):
    os.environ[name] = sys.argv[1]
config = {"apiVersion": "v1", "kind": "Config", "current-context": "a", "clusters": [{"name": "a", "cluster": {"server": url}}],
    "users": [{"name": "a", "user": {"token": "abc"}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}
with open("kubeconfig", "w") as file:
    json.dump(config, file)
import aiohttp, httpx, kr8s, kubernetes, requests
def by_kubernetes():
    kubernetes.config.load_kube_config("kubeconfig")
    kubernetes.client.CoreV1Api().read_node("a", _preload_content=False)
async def by_aiohttp():
    async with aiohttp.ClientSession(trust_env=True) as session:
        await session.get(url)
for name, ask in {"requests": lambda: requests.get(url), "kubernetes": by_kubernetes, "urllib": lambda: urllib.request.urlopen(url),
        "httpx": lambda: httpx.get(url), "aiohttp": lambda: asyncio.run(by_aiohttp()), "kr8s": lambda: kr8s.api(kubeconfig="kubeconfig").version()}.items():
    seen.clear()
    ask()
    print(name, *sorted(set(seen)))
PYTHON
same 'NO_PROXY=127.0.0.0/8' 'requests direct
kubernetes direct
urllib proxy
httpx proxy
aiohttp proxy
kr8s proxy' "$(python/bin/python clients.py 127.0.0.0/8)"
same 'NO_PROXY=127.0.0.1' 'requests direct
kubernetes direct
urllib direct
httpx direct
aiohttp direct
kr8s direct' "$(python/bin/python clients.py 127.0.0.1)"
