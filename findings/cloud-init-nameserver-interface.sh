#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a name server of version 1 that belongs to one NIC (`interface: eth0`). The renderer for systemd-networkd has it,
# the one for netplan loses it, and the one for Debian's interfaces writes Python's text of a dictionary. There is no warning.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > config <<YAML
version: 1
config:
- {type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.5/24}]}
- {type: nameserver, interface: eth0, address: 192.0.2.53}
YAML
same 'networkd' 'DNS=192.0.2.53' "$(networkd_of < config | grep DNS)"
same 'netplan' 'network:
    version: 2
    ethernets:
        eth0:
            addresses:
            - 192.0.2.5/24' "$(written_of netplan < config)"
same 'interfaces(5)' "    dns {'addresses': ['192.0.2.53'], 'search': []}" "$(written_of eni < config | grep dns)"
