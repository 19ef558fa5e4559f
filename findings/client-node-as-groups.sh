#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# @kubernetes/client-node 1.4.0 heeds `as` of a kubeconfig and passes over `as-groups` beside it: it asks as a user without the groups that
# kubectl 1.20.2 asks with, and is refused what they may do.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*'
npm_packages @kubernetes/client-node@1.4.0
export HOME=$work

cat > both.mjs <<'NODE'
import { execFile } from "node:child_process"
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node"
let who
const server = createServer(({ headers }, response) => {
    console.log(who, ...Object.entries(headers).filter(([name]) => name.startsWith("impersonate")).map(entry => entry.join("=")).sort())
    response.setHeader("Content-Type", "application/json")
    response.end(JSON.stringify({ kind: "Node", apiVersion: "v1", metadata: { name: "a" } }))
}).listen(0, "127.0.0.1", async () => {
    const cluster = { server: `http://127.0.0.1:${server.address().port}`, "insecure-skip-tls-verify": true }
    writeFileSync("kubeconfig", JSON.stringify({ apiVersion: "v1", kind: "Config", "current-context": "a", clusters: [{ name: "a", cluster }],
        users: [{ name: "a", user: { as: "jane", "as-groups": ["developers"] } }], contexts: [{ name: "a", context: { cluster: "a", user: "a" } }] }))
    who = "kubectl"
    await new Promise(done => execFile("root/usr/bin/kubectl", ["--kubeconfig", "kubeconfig", "get", "--raw", "/api/v1/nodes/a"], done))
    who = "client-node"
    const config = new KubeConfig()
    config.loadFromFile("kubeconfig")
    await config.makeApiClient(CoreV1Api).readNode({ name: "a" })
    server.close()
    server.closeAllConnections()
})
NODE
same 'the headers' 'kubectl impersonate-group=developers impersonate-user=jane
client-node impersonate-user=jane' "$(env -u http_proxy -u HTTP_PROXY node both.mjs)"
