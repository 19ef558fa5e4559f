#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A plain `=` is text in YAML 1.2 and in a kubectl of 1.20. PyYAML 6.0.2 refuses the whole document for it, in `safe_load`, and so does
# ruamel.yaml 0.18.10, which reads YAML 1.2: both resolve it to a type of YAML 1.1 that neither can make. The CRDs of Prometheus'
# operator have such a value, and the npm package yaml 2.8.1 writes it.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*'
pypi pyyaml==6.0.2 ruamel.yaml==0.18.10
npm_packages yaml@2.8.1

node -e 'process.stdout.write(require("yaml").stringify({apiVersion: "v1", kind: "ConfigMap", metadata: {name: "m"}, data: {type: "="}}))' > map.yaml
same 'written by yaml 2.8.1' '  type: =' "$(grep type map.yaml)"
same 'kubectl' = "$(HOME=$work root/usr/bin/kubectl label --local -f map.yaml a=b -o jsonpath='{.data.type}')"
refused="could not determine a constructor for the tag 'tag:yaml.org,2002:value'"
same PyYAML "$refused" "$(python/bin/python -c 'import yaml; yaml.safe_load(open("map.yaml"))' 2>&1 | grep -o 'could not.*')"
same ruamel.yaml "$refused" "$(python/bin/python -c 'import ruamel.yaml; ruamel.yaml.YAML(typ="safe", pure=True).load(open("map.yaml"))' 2>&1 |
    grep -o 'could not.*')"
