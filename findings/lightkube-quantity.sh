#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lightkube 1.0.1 refuses the quantities `123456n` and `5u`, as the metrics API has them for a processor, and `1E3`: it calls the
# suffix invalid. The client for Python (kubernetes 37.0.2) reads them, and kubectl 1.20.2 takes them in an object.
. "${BASH_SOURCE%/*}/fetch"
pypi lightkube==1.0.1 kubernetes==37.0.2
debian 'kubernetes-client=1.20.5+really1.20.2-*'
export HOME=$work

cat > read.py <<'PYTHON'
import sys, kubernetes.utils.quantity, lightkube.utils.quantity
for text in sys.argv[1:]:
    try:
        seen = f"{lightkube.utils.quantity.parse_quantity(text):f}"
    except ValueError as error:
        seen = error
    print(f"{text}: kubernetes {kubernetes.utils.quantity.parse_quantity(text):f}, lightkube {seen}")
PYTHON
same 'read' '123456n: kubernetes 0.000123456, lightkube Invalid unit suffix: n
5u: kubernetes 0.000005, lightkube Invalid unit suffix: u
1E3: kubernetes 1000, lightkube Invalid unit suffix: E3
250m: kubernetes 0.250, lightkube 0.250' "$(python/bin/python read.py 123456n 5u 1E3 250m)"
cat > pod.yaml <<YAML
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: a, image: a, resources: {limits: {cpu: 123456n, memory: "1E3"}}}]}
YAML
same 'kubectl' '{"cpu":"123456n","memory":"1E3"}' \
    "$(root/usr/bin/kubectl label --local -f pod.yaml a=b -o jsonpath='{.spec.containers[0].resources.limits}')"
