#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2, renderer for NetworkManager: `bond-miimon` is lost, since the renderer looks for bond_miimon, and without it a bond
# does not see a dead link. So are the MTU of a VLAN and the metric of a route. There is no warning.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > config <<YAML
version: 1
config:
- {type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.5/24, routes: [{destination: 10.0.0.0/8, gateway: 192.0.2.9, metric: 70}]}]}
- {type: physical, name: eth1, mtu: 1400}
- {type: bond, name: bond0, bond_interfaces: [eth1], params: {bond-mode: active-backup, bond-miimon: 100}}
- {type: vlan, name: eth0.5, vlan_link: eth0, vlan_id: 5, mtu: 1400}
YAML
written_of network-manager < config > log
lines() { grep -E "^($2)" "written/etc/NetworkManager/system-connections/cloud-init-$1.nmconnection" || true; }
same 'bond0' 'mode=active-backup' "$(lines bond0 'mode|miimon')"
same 'eth1' 'mtu=1400' "$(lines eth1 mtu)"
same 'eth0.5' 'id=5' "$(lines eth0.5 'id=[0-9]|mtu')"
same 'eth0' 'route1=10.0.0.0/8,192.0.2.9' "$(lines eth0 route)"
