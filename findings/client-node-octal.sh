#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume's `defaultMode: 0440` is 288 to kubectl 1.20.2, as Kubernetes' documentation has it: files are read by owner and group.
# @kubernetes/client-node 1.4.0 reads YAML 1.2, in which it is the number 440, mode 0670: the group may write, and there is no error, for
# the API takes any number up to 0777.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*'
npm_packages @kubernetes/client-node@1.4.0
export HOME=$work

cat > pod.yaml <<YAML
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers: [{name: a, image: a}]
  volumes: [{name: keys, secret: {secretName: keys, defaultMode: 0440}}]
YAML
same 'kubectl' 288 "$(root/usr/bin/kubectl label --local -f pod.yaml a=b -o jsonpath='{.spec.volumes[0].secret.defaultMode}')"
same 'client-node' 440 "$(node --input-type module -e '
import { loadYaml } from "@kubernetes/client-node"
import { readFileSync } from "node:fs"
console.log(loadYaml(readFileSync("pod.yaml", "utf8")).spec.volumes[0].secret.defaultMode)')"
