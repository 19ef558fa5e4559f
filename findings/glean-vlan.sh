#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# glean 1.25.1 lists a VLAN in two .network files for systemd-networkd: in that of the NIC that carries it, and in the VLAN's own, as if it
# were carried by itself.
. "${BASH_SOURCE%/*}/fetch"
pypi glean==1.25.1
python/bin/pip list 2> pip.log | grep '^glean '

made=$(glean_networkd <<'JSON'
{"links": [{"id": "tap0", "type": "phy", "ethernet_mac_address": "52:54:00:aa:bb:01", "mtu": 1500},
           {"id": "v7", "type": "vlan", "vlan_link": "tap0", "vlan_id": 7, "vlan_mac_address": "52:54:00:aa:bb:01"}],
 "networks": [{"id": "n0", "link": "v7", "type": "ipv4", "ip_address": "192.0.2.10", "netmask": "255.255.255.0", "routes": []}]}
JSON
)
same 'files and the VLAN that they list' '# eth0-vlan7.netdev
# eth0-vlan7.network
VLAN=eth0-vlan7
# eth0.netdev
# eth0.network
VLAN=eth0-vlan7' "$(grep '^#\|^VLAN=' <<< "$made")"
