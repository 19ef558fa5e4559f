#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `topPods` of @kubernetes/client-node 1.4.0 fails as a whole where one container asks for `1.5Gi` of memory: it makes a BigInt of the number before
# the suffix. `1536Mi`, the same quantity, it sums up.
. "${BASH_SOURCE%/*}/fetch"
npm_packages @kubernetes/client-node@1.4.0
export HOME=$work

cat > top.mjs <<'NODE'
import { topPods } from "@kubernetes/client-node"
const container = { name: "a", resources: { requests: { cpu: "250m", memory: process.argv[2] } } }
const core = { listPodForAllNamespaces: async () => ({ items: [{ metadata: { name: "a", namespace: "a" }, spec: { containers: [container] } }] }) }
const usage = { metadata: { name: "a", namespace: "a" }, containers: [{ name: "a", usage: { cpu: "5m", memory: "10Mi" } }] }
try {
    const [{ CPU, Memory }] = await topPods(core, { getPodMetrics: async () => ({ items: [usage] }) })
    console.log(`processor ${CPU.RequestTotal}, memory ${Memory.RequestTotal}`)
} catch (error) {
    console.log(`${error.name}: ${error.message}`)
}
NODE
same '1536Mi' 'processor 0.25, memory 1610612736' "$(node top.mjs 1536Mi)"
same '1.5Gi' 'SyntaxError: Cannot convert 1.5 to a BigInt' "$(node top.mjs 1.5Gi)"
