#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: the `table` of a route and a `routing-policy` of version 2 are lost for systemd-networkd and for Debian's interfaces. A
# default route that was meant for the answers of a second NIC alone becomes a default route of the whole machine.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
config='version: 2
ethernets:
    eth0:
        addresses: [10.0.0.2/24]
        routes: [{to: 0.0.0.0/0, via: 10.0.0.1, table: 100}]
        routing-policy: [{from: 10.0.0.2, table: 100}]'
same 'systemd-networkd' '# eth0
[Address]
Address=10.0.0.2/24
[Match]
Name=eth0
[Network]
DHCP=no
[Route]
Destination=0.0.0.0/0
Gateway=10.0.0.1' "$(networkd_of <<< "$config")"
same 'interfaces(5)' 'auto lo
iface lo inet loopback
auto eth0
iface eth0 inet static
    address 10.0.0.2/24
    post-up route add default gw 10.0.0.1 || true
    pre-down route del default gw 10.0.0.1 || true' "$(written_of eni <<< "$config")"
