#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a config drive takes its network in OpenStack's format alone. A netplan document there, as KubeVirt hands
# `networkData` of cloudInitConfigDrive over, is taken without a word for a network without NICs: not even DHCP is left.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > drive.py <<'PYTHON'
import json, logging, os, sys
from cloudinit import helpers, net
from cloudinit.distros import fetch
from cloudinit.sources import DataSourceConfigDrive

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)

write("seed/config_drive/openstack/latest/meta_data.json", '{"uuid": "u", "hostname": "rook-1"}')
write("seed/config_drive/openstack/latest/network_data.json", sys.argv[1])
logging.basicConfig(level=logging.WARNING)
net.get_interfaces_by_mac = lambda *_: {"52:54:00:aa:bb:01": "eth0"}
paths = helpers.Paths({"cloud_dir": os.getcwd(), "run_dir": os.getcwd()})
source = DataSourceConfigDrive.DataSourceConfigDrive({}, fetch("debian")("debian", {}, paths), paths)
assert source.get_data()
print(json.dumps(source.network_config, sort_keys=True))
PYTHON
network() { /usr/bin/python3 drive.py "$1" 2>&1; }
link='{"links": [{"id": "l", "type": "phy", "ethernet_mac_address": "52:54:00:aa:bb:01"}], "networks": [{"link": "l", "type": "ipv4_dhcp", "id": "n"}]}'
network "$link"
same 'the same NIC as a netplan document' '{"config": [], "version": 1}' "$(network '{"version": 2, "ethernets": {"eth0": {"dhcp4": true}}}')"
