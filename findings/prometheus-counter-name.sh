#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# prometheus-client 0.26.0 for Python: its parser of the text format gives the samples of a counter another name, with `_total` at the end,
# where the text has none. node_exporter 1.5 reads the same textfile and hands on the name as it stands, so a test by this parser sees
# metrics of a node that Prometheus does not have.
. "${BASH_SOURCE%/*}/fetch"
pypi prometheus-client==0.26.0
debian 'prometheus-node-exporter=1.5.0-*'

mkdir textfile
printf '# TYPE node_boots counter\nnode_boots 3\n# TYPE node_ready gauge\nnode_ready 1\n' > textfile/node.prom
cat textfile/node.prom
# exported: the two metrics as node_exporter has them, at a port that is free.
exported() {
    local try port text
    root/usr/bin/prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory=textfile \
        --web.disable-exporter-metrics --web.listen-address=127.0.0.1:0 2> exporter.log &
    for try in {1..20}; do
        sleep 0.5
        port=$(sed -n 's/.*Listening on.*127.0.0.1:\([0-9]*\).*/\1/p' exporter.log)
        text=$(/usr/bin/python3 -c 'import sys, urllib.request as r
print(r.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics").read().decode())' "$port" 2> get.log) && break
    done
    kill %% && wait %% 2> wait.log || true
    grep -E '^node_(boots|ready)' <<< "$text"
}
same 'node_exporter' 'node_boots 3
node_ready 1' "$(exported)"
same 'prometheus-client' 'node_boots_total 3
node_ready 1' "$(python/bin/python -c '
from prometheus_client.parser import text_string_to_metric_families as parse
for family in parse(open("textfile/node.prom").read()):
    for sample in family.samples: print(sample.name, sample.value)')"
