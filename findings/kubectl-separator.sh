#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kubectl 1.20.2, whose reader is Kubernetes' own library: a document of a YAML stream begins at a line that is `---` alone. With
# a comment behind it, which YAML allows, the document is not seen: it is no error, and the object is not there.
. "${BASH_SOURCE%/*}/fetch"
debian 'kubernetes-client=1.20.5+really1.20.2-*' python3-yaml=6.0-3+b2
export PYTHONPATH=$work/root/usr/lib/python3/dist-packages
export HOME=$work

root/usr/bin/kubectl version --client --short
object() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$1"; }
{ object one; echo '--- # the second'; object two; echo '---'; object three; } > stream.yaml
same 'documents to PyYAML' 'one two three' "$(/usr/bin/python3 -c 'import yaml; print(*[d["metadata"]["name"] for d in yaml.safe_load_all(open("stream.yaml"))])')"
same 'documents to kubectl' 'configmap/one
configmap/three
exit status 0' "$(root/usr/bin/kubectl label --local -f stream.yaml a=b -o name 2>&1; echo "exit status $?")"
cp stream.yaml objects.yaml
echo 'resources: [objects.yaml]' > kustomization.yaml
same 'documents to kubectl kustomize' '  name: one
  name: three
exit status 0' "$(root/usr/bin/kubectl kustomize . 2>&1 | grep name:; echo "exit status ${PIPESTATUS[0]}")"
