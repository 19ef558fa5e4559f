#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-guest-utils 0.33: `ec2metadata --url URL` asks the service at URL, but asks for its session token at 169.254.169.254 all the same,
# and shows URL the token of the other service. Where the machine has the service at another address alone (IPv6), it fails.
. "${BASH_SOURCE%/*}/fetch"
debian cloud-guest-utils=0.33-1

cat > service.py <<'PYTHON'
# Answers as EC2's metadata service does, at two addresses of a network namespace of its own, and tells who was asked for what.
import subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Service(BaseHTTPRequestHandler):
    def answer(self, body):
        host = self.headers["Host"]
        print(self.command, host, self.path, self.headers.get("X-aws-ec2-metadata-token", "no-token"), file=sys.stderr)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())
    def do_PUT(self):
        self.answer("token-of-" + self.headers["Host"])
    def do_GET(self):
        self.answer("i-of-" + self.headers["Host"])
    def log_message(self, *rest):
        pass
for address in sys.argv[1:]:
    threading.Thread(target=ThreadingHTTPServer((address, 80), Service).serve_forever, daemon=True).start()
url = "http://127.0.0.1/latest"
ran = subprocess.run(["/usr/bin/python3", "root/usr/bin/ec2metadata", "--url", url, "--instance-id"], capture_output=True, text=True, timeout=60)
print(*ran.stdout.split(), *ran.stderr.splitlines()[-1:], f"exit status {ran.returncode}", sep="\n")
PYTHON
# asked ADDRESS...: what ec2metadata asks where a service answers at each address.
asked() {
    unshare --user --map-root-user --net sh -ec 'ip link set lo up; ip address add 169.254.169.254/32 dev lo
        exec /usr/bin/python3 service.py "$@"' - "$@" 2>&1
}
same 'a service at both addresses' 'PUT 169.254.169.254 /latest/api/token no-token
GET 127.0.0.1 /latest/meta-data/instance-id token-of-169.254.169.254
i-of-127.0.0.1
exit status 0' "$(asked 127.0.0.1 169.254.169.254)"
same 'a service at the address of --url alone' 'urllib.error.URLError: <urlopen error [Errno 111] Connection refused>
exit status 1' "$(asked 127.0.0.1)"
