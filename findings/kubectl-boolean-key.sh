#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kubectl 1.20.2: `y` and `n` as keys of a ConfigMap become "true" and "false": a file that a pod looks for has another
# name. PyYAML, which reads YAML 1.1 too, has `y` and `n` as text.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*' python3-yaml=6.0-3+b2
export HOME=$work PYTHONPATH=$work/root/usr/lib/python3/dist-packages

root/usr/bin/kubectl version --client --short
cat > map.yaml <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: point}
data: {x: "1", y: "2", n: "3"}
YAML
same 'kubectl' '{"false":"3","true":"2","x":"1"}' "$(root/usr/bin/kubectl label --local -f map.yaml a=b -o jsonpath='{.data}')"
same 'PyYAML' "{'x': '1', 'y': '2', 'n': '3'}" "$(/usr/bin/python3 -c 'import yaml; print(yaml.safe_load(open("map.yaml"))["data"])')"
