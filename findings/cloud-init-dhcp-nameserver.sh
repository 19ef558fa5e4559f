#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: name servers that stand beside the NICs in version 1 reach netplan only through a NIC that has a static address.
# Where all NICs use DHCP they are lost without a word; the renderer for systemd-networkd keeps them.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > config <<YAML
version: 1
config:
- {type: physical, name: eth0, subnets: [{type: dhcp}]}
- {type: nameserver, address: 192.0.2.53, search: [example.org]}
YAML
same 'networkd' '# eth0
[Match]
Name=eth0
[Network]
DHCP=ipv4
DNS=192.0.2.53
Domains=example.org' "$(networkd_of < config)"
same 'netplan' 'network:
    version: 2
    ethernets:
        eth0:
            dhcp4: true' "$(written_of netplan < config)"
