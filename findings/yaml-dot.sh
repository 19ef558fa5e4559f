#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The npm package yaml 2.8.1, asked for YAML 1.1, reads a plain `.` (the current directory) as the number NaN, which JSON writes as
# null. To PyYAML 6.0.2, the usual reader of YAML 1.1, it is text, and so it is to yaml itself in version 1.2.
. "${BASH_SOURCE%/*}/fetch"
pypi pyyaml==6.0.2
npm_packages yaml@2.8.1

echo 'context: .' > file.yaml
read_as() { node -e 'console.log(JSON.stringify(require("yaml").parse(require("fs").readFileSync("file.yaml", "utf8"), {version: process.argv[1]})))' "$1"; }
same 'yaml 2.8.1, version 1.2' '{"context":"."}' "$(read_as 1.2)"
same 'yaml 2.8.1, version 1.1' '{"context":null}' "$(read_as 1.1)"
same PyYAML "{'context': '.'}" "$(python/bin/python -c 'import yaml; print(yaml.safe_load(open("file.yaml")))')"
