#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two npm packages that both say YAML 1.2: what yaml 2.8.1 writes as the texts 10_000, 0b11 and 2031-09-01 is two numbers and a Date
# to js-yaml 4.1.0. In the core schema of YAML 1.2 they are text.
. "${BASH_SOURCE%/*}/fetch"
npm_packages yaml@2.8.1 js-yaml@4.1.0

node -e 'process.stdout.write(require("yaml").stringify(["10_000", "0b11", "2031-09-01"]))' > list.yaml
same 'written by yaml 2.8.1' '- 10_000
- 0b11
- 2031-09-01' "$(cat list.yaml)"
same 'read by js-yaml 4.1.0' '10000 3 Date' "$(
    node -e 'const [a, b, c] = require("js-yaml").load(require("fs").readFileSync("list.yaml", "utf8")); console.log(a, b, c.constructor.name)'
)"
