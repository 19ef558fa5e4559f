#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# @kubernetes/client-node 1.4.0 makes a moment of a date without quotes where the object has a text: a ConfigMap or an annotation that says
# `2024-01-01` says `2024-01-01T00:00:00.000Z` where its YAML was read by `loadYaml`. For kubectl 1.20.2 the text stays.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*'
npm_packages @kubernetes/client-node@1.4.0
export HOME=$work

cat > map.yaml <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: release, annotations: {released: 2024-01-01}}
data: {released: 2024-01-01}
YAML
cat > create.mjs <<'NODE'
import { createServer } from "node:http"
import { readFileSync } from "node:fs"
import { CoreV1Api, KubeConfig, loadYaml } from "@kubernetes/client-node"
const server = createServer((request, response) => {
    let text = ""
    request.on("data", data => text += data)
    request.on("end", () => {
        const { data, metadata } = JSON.parse(text)
        console.log(JSON.stringify(data) + JSON.stringify(metadata.annotations))
        response.setHeader("Content-Type", "application/json")
        response.end(text)
    })
}).listen(0, "127.0.0.1", async () => {
    const config = new KubeConfig()
    config.loadFromClusterAndUser({ name: "a", server: `http://127.0.0.1:${server.address().port}`, skipTLSVerify: true }, { name: "a" })
    const body = loadYaml(readFileSync("map.yaml", "utf8"))
    await config.makeApiClient(CoreV1Api).createNamespacedConfigMap({ namespace: "a", body })
    server.close()
    server.closeAllConnections()
})
NODE
same 'kubectl' '{"released":"2024-01-01"}{"released":"2024-01-01"}' \
    "$(root/usr/bin/kubectl label --local -f map.yaml a=b -o jsonpath='{.data}{.metadata.annotations}')"
same 'client-node sends' '{"released":"2024-01-01T00:00:00.000Z"}{"released":"2024-01-01T00:00:00.000Z"}' "$(node create.mjs)"
