#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: network_data.json may have name servers in a network's `services` (so says nova's JSON schema of the file) beside
# those at its top. The ones of the network are lost without a word.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'name servers' '            nameservers:
                addresses:
                - 192.0.2.53' "$(written_of netplan network_data.json <<JSON | sed -n '/nameservers/,/^ \{16\}-/p'
{"links": [{"id": "l", "type": "phy", "ethernet_mac_address": "52:54:00:aa:bb:01"}],
 "networks": [{"id": "network0", "type": "ipv4", "link": "l", "ip_address": "192.0.2.5", "netmask": "255.255.255.0", "routes": [],
   "services": [{"type": "dns", "address": "198.51.100.53"}]}],
 "services": [{"type": "dns", "address": "192.0.2.53"}]}
JSON
)"
same 'what is said of the other' 0 "$(grep -c 198.51.100.53 convert.log written -r | awk -F: '{ n += $2 } END { print n }')"
