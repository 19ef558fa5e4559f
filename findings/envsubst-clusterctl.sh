#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `${NAME:=value}` is how the templates of Cluster API write a default. Three programs called envsubst, of gettext 0.21, of PyPI (0.1.5) and of
# npm (envsub 4.1.0), leave it as it stands, also where NAME is set, and say nothing: the object has the text `${REPLICAS:=1}` in a field.
# Two of the three know `${NAME:-value}`.
. "${BASH_SOURCE%/*}/fetch"
debian gettext-base=0.21-12
pypi envsubst==0.1.5
npm_packages envsub@4.1.0

export REPLICAS=3
text='a: ${REPLICAS} b: ${REPLICAS:=1} c: ${ZONE:-x}'
same 'gettext' 'a: 3 b: ${REPLICAS:=1} c: ${ZONE:-x}' "$(root/usr/bin/envsubst <<< "$text")"
same 'PyPI' 'a: 3 b: ${REPLICAS:=1} c: x' "$(python/bin/python -c 'import envsubst, sys; print(envsubst.envsubst(sys.argv[1]))' "$text")"
echo "$text" > template
node_modules/.bin/envsub template made > envsub.log
same 'npm' 'a: 3 b: ${REPLICAS:=1} c: x' "$(cat made)"
