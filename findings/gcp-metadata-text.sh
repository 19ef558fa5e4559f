#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gcp-metadata 8.1.4, with which Google's libraries for Node read the metadata service, parses each value as JSON if it can. A custom
# attribute, which is text, becomes a number or a boolean: a short hash of a commit, a PIN with a zero, a version. Its documentation
# tells of large numbers only, for the instance's ID. google-auth 2.63.0 for Python has the text, by the type that the service sends.
. "${BASH_SOURCE%/*}/fetch"
npm_packages gcp-metadata@8.1.4
pypi google-auth==2.63.0 requests==2.32.5

cat > service.mjs <<'NODE'
import { createServer } from "node:http"
const values = { commit: "1234e5", pin: "0123", version: "1.10", debug: "true" }
createServer((request, response) => {
    response.setHeader("Metadata-Flavor", "Google").setHeader("Content-Type", "application/text")
    response.end(values[request.url.split("?")[0].split("/").pop()] ?? "")
}).listen(0, "127.0.0.1", function () { console.log(`127.0.0.1:${this.address().port}`) })
NODE
exec 3< <(exec node service.mjs)
service=$!
trap 'kill "$service"; rm -rf "$work"' EXIT
read -r GCE_METADATA_HOST <&3
export GCE_METADATA_HOST
same 'Node' '{"commit":123400000,"pin":123,"version":1.1,"debug":true}' "$(node --input-type module -e '
import gcp from "gcp-metadata"
const seen = {}
for (const name of ["commit", "pin", "version", "debug"]) seen[name] = await gcp.instance(`attributes/${name}`)
console.log(JSON.stringify(seen))')"
same 'Python' '{"commit": "1234e5", "pin": "0123", "version": "1.10", "debug": "true"}' "$(python/bin/python -c '
import json
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
names = "commit", "pin", "version", "debug"
print(json.dumps({name: _metadata.get(Request(), f"instance/attributes/{name}") for name in names}))')"
