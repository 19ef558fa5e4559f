#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: on Oracle Cloud and LXD a template has no ds.meta_data.local_hostname, which templates for other clouds have: ds is
# what the service said as a whole. Oracle's name is ds.hostname, and a part with ds.meta_data.local_hostname is dropped as a whole; LXD's
# ds.meta_data is a text, and the file gets CI_MISSING_JINJA_VAR.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > sources.py <<'PYTHON'
import os, sys
from contextlib import nullcontext
from cloudinit import helpers
from cloudinit.distros import fetch
from cloudinit.handlers.jinja_template import render_jinja_payload_from_file
from cloudinit.sources import DataSourceLXD, DataSourceOracle

oracle = {"id": "ocid1.instance.oc1..a", "hostname": "rook-1", "displayName": "rook-1", "ociAdName": "fra-ad-1", "metadata": {}}
DataSourceOracle.net.find_fallback_nic = lambda: "eth0"
DataSourceOracle.ephemeral.EphemeralDHCPv4 = lambda **_: nullcontext()
DataSourceOracle.read_opc_metadata = lambda **_: DataSourceOracle.OpcMetadata(2, oracle, None)
DataSourceOracle.DataSourceOracle._is_platform_viable = lambda self: True
lxd = {"meta-data": "#cloud-config\ninstance-id: rook-1\nlocal-hostname: rook-1\n", "config": {}}
DataSourceLXD.read_metadata = lambda *_, **__: lxd
DataSourceLXD.is_platform_viable = lambda: True

name, template = sys.argv[1:]
source = {"oracle": DataSourceOracle.DataSourceOracle, "lxd": DataSourceLXD.DataSourceLXD}[name]
paths = helpers.Paths({"cloud_dir": os.getcwd(), "run_dir": os.getcwd()})
assert source({}, fetch("debian")("debian", {}, paths), paths).get_data()
print(render_jinja_payload_from_file(f"## template: jinja\n{template}", "part", paths.get_runpath("instance_data_sensitive")))
PYTHON
rendered() { /usr/bin/python3 sources.py "$1" "name: {{ $2 }}"; }
same 'Oracle, v1.local_hostname' 'name: rook-1' "$(rendered oracle v1.local_hostname)"
same 'Oracle, ds.hostname' 'name: rook-1' "$(rendered oracle ds.hostname)"
same 'Oracle, ds.meta_data.local_hostname: what is left of the part' None "$(rendered oracle ds.meta_data.local_hostname)"
same 'LXD, v1.local_hostname' 'name: rook-1' "$(rendered lxd v1.local_hostname)"
same 'LXD, ds.meta_data.local_hostname' 'name: CI_MISSING_JINJA_VAR/local_hostname' "$(rendered lxd ds.meta_data.local_hostname)"
