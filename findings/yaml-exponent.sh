#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PyYAML 6.0.2 writes the texts 1234e5 (a commit's short hash) and 08 without quotes, since they are text to itself. kubectl 1.20 and
# js-yaml 4.1.0 read numbers from them: a hash is another one.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*'
pypi pyyaml==6.0.2
npm_packages js-yaml@4.1.0

python/bin/python -c 'import yaml; print(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "metadata": {"name": "m"},
    "items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "hash": "1234e5", "month": "08"}]}))' > list.yaml
same 'written by PyYAML' "  hash: 1234e5
  month: 08" "$(grep 'hash\|month' list.yaml | sed 's/^ */  /')"
same PyYAML "1234e5 08" "$(python/bin/python -c 'import yaml; m = yaml.safe_load(open("list.yaml"))["items"][0]; print(m["hash"], m["month"])')"
same js-yaml '123400000 8' "$(node -e 'const m = require("js-yaml").load(require("fs").readFileSync("list.yaml")).items[0]; console.log(m.hash, m.month)')"
echo 'resources: [map.yaml]' > kustomization.yaml
python/bin/python -c 'import yaml; print(yaml.safe_dump(yaml.safe_load(open("list.yaml"))["items"][0]))' > map.yaml
same 'kubectl kustomize' 'hash: 123400000
month: 8' "$(HOME=$work root/usr/bin/kubectl kustomize . | grep 'hash\|month')"
