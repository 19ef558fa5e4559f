#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2, renderer for systemd-networkd: a route that stands beside the NICs in version 1 is written for every NIC, also for
# one that has no address of the gateway's network. The renderers for netplan and for Debian's interfaces do something else with it:
# none writes it twice.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'the files' '# eth0
[Address]
Address=192.0.2.5/24
[Match]
Name=eth0
[Network]
DHCP=no
[Route]
Destination=10.0.0.0/8
Gateway=192.0.2.9
# eth1
[Match]
Name=eth1
[Network]
DHCP=ipv4
[Route]
Destination=10.0.0.0/8
Gateway=192.0.2.9' "$(networkd_of <<YAML
version: 1
config:
- {type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.5/24}]}
- {type: physical, name: eth1, subnets: [{type: dhcp}]}
- {type: route, destination: 10.0.0.0/8, gateway: 192.0.2.9}
YAML
)"
