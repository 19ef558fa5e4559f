#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# glean 1.25.1 writes a .netdev file for systemd-networkd beside each plain NIC's .network file, though nothing is to be made there. It has
# no Kind=, which systemd.netdev(5) calls compulsory.
. "${BASH_SOURCE%/*}/fetch"
pypi glean==1.25.1
python/bin/pip list 2> pip.log | grep '^glean '

same 'a NIC with a static address' '# eth0.netdev
[NetDev]
MACAddress=52:54:00:aa:bb:01
Name=eth0
# eth0.network
[Match]
MACAddress=52:54:00:aa:bb:01
Name=eth0
[Network]
IPv6AcceptRA=no
[Address]
Address=192.0.2.10/24' "$(glean_networkd <<'JSON'
{"links": [{"id": "tap0", "type": "phy", "ethernet_mac_address": "52:54:00:aa:bb:01", "mtu": 1500}],
 "networks": [{"id": "n0", "link": "tap0", "type": "ipv4", "ip_address": "192.0.2.10", "netmask": "255.255.255.0", "routes": []}]}
JSON
)"
