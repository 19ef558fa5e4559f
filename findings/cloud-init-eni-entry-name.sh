#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a VLAN's `link` and a bond's `interfaces` name entries of `ethernets`. Where an entry has a name of its own and
# `set-name`, as Cluster API for vSphere writes them, Debian's interfaces get the entry's name, and no NIC has it: the VLAN has no device,
# and the bond has a member that does not exist, while the NIC stands beside it. Nothing is said of that.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
# interfaces ENTRY BESIDE: what comes of an entry of this name with what uses it.
interfaces() {
    written_of eni <<< "version: 2
ethernets: {$1: {match: {macaddress: '52:54:00:aa:bb:01'}, set-name: eth0}}
$2" | grep '^iface [^l]\|vlan-raw-device\|bond-master'
}
vlan='vlans: {vlan5: {id: 5, link: eth0, addresses: [10.5.0.2/24]}}' bond='bonds: {bond0: {interfaces: [eth0], dhcp4: true}}'
same 'a VLAN, the entry is named as the NIC' 'iface eth0 inet manual
iface vlan5 inet static
    vlan-raw-device eth0' "$(interfaces eth0 "$vlan")"
same 'a VLAN, the entry has a name of its own' 'iface eth0 inet manual
iface vlan5 inet static
    vlan-raw-device id0' "$(interfaces id0 "${vlan/eth0/id0}")"
same 'a bond, the entry is named as the NIC' 'iface eth0 inet manual
    bond-master bond0
iface bond0 inet dhcp' "$(interfaces eth0 "$bond")"
same 'a bond, the entry has a name of its own' 'iface eth0 inet manual
iface bond0 inet dhcp
iface id0 inet manual
    bond-master bond0' "$(interfaces id0 "${bond/eth0/id0}")"
