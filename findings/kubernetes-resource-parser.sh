#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The npm package kubernetes-resource-parser 0.1.0 reads `1.5Gi` of memory as 1 byte, `129e6` as 129, and `123456n` of a processor, as the
# metrics API has it, as 123456 processors, all without an error. `2Gi` and `1500m` it reads as Kubernetes does, and k8s-resource-parser
# 0.2.2 reads both texts of memory.
. "${BASH_SOURCE%/*}/fetch"
npm_packages kubernetes-resource-parser@0.1.0 k8s-resource-parser@0.2.2

cat > read.cjs <<'NODE'
const [one, other] = [require("kubernetes-resource-parser"), require("k8s-resource-parser")]
for (const text of ["2Gi", "1.5Gi", "129e6"]) console.log(`memory ${text}: ${one.memoryParser(text)} ${other.memoryParser(text)}`)
for (const text of ["1500m", "123456n"]) console.log(`cpu ${text}: ${one.cpuParser(text)}`)
NODE
same 'read' 'memory 2Gi: 2147483648 2147483648
memory 1.5Gi: 1 1610612736
memory 129e6: 129 129000000
cpu 1500m: 1.5
cpu 123456n: 123456' "$(node read.cjs)"
