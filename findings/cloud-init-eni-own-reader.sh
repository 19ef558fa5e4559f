#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 has a writer and a reader of Debian's interfaces(5). A NIC with an IPv4 and an IPv6 address is written as two
# stanzas, as the manual wants it, and the reader refuses that file: the NIC can only be defined once.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
written_of eni > interfaces <<YAML
version: 1
config: [{type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.5/24}, {type: static6, address: "2001:db8::5/64"}]}]
YAML
same 'written' 'auto lo
iface lo inet loopback
auto eth0
iface eth0 inet static
    address 192.0.2.5/24
iface eth0 inet6 static
    address 2001:db8::5/64' "$(cat interfaces)"
same 'read' "cloudinit.net.ParserError: Interface eth0 can only be defined once. Re-defined in 'None'." "$(written_of eni eni < interfaces | tail -1)"
