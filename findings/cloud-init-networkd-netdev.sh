#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2, renderer for systemd-networkd: a bond, a bridge or a VLAN gets a file that configures it (.network) and none that
# makes it (.netdev), and its members and its lower device do not name it: nothing makes the device. Nothing is said of that; netplan
# gets the whole of the same configuration.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
config='version: 2
ethernets: {eth1: {}, eth2: {}}
bonds: {bond0: {interfaces: [eth1], parameters: {mode: 802.3ad}}}
bridges: {br0: {interfaces: [eth2]}}
vlans: {vlan5: {id: 5, link: bond0, addresses: [10.5.0.2/24]}}'
same 'systemd-networkd' '# bond0
[Match]
Name=bond0
[Network]
DHCP=no
# br0
[Match]
Name=br0
[Network]
DHCP=no
# eth1
[Match]
Name=eth1
[Network]
DHCP=no
# eth2
[Match]
Name=eth2
[Network]
DHCP=no
# vlan5
[Address]
Address=10.5.0.2/24
[Match]
Name=vlan5
[Network]
DHCP=no' "$(networkd_of <<< "$config")"
