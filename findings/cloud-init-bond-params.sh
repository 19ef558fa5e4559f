#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: the documentation of network configuration version 1 lists the parameters of a bond as `mode` and `miimon`. With
# these names netplan gets no parameters, so the bond works in the kernel's default mode; in Debian's interfaces `mode` takes the place
# of `static` or `manual`. Only the names of ifenslave, `bond-mode` and `bond-miimon`, work.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
config() {
    echo "{version: 1, config: [{type: physical, name: eth0}, {type: physical, name: eth1},
        {type: bond, name: bond0, bond_interfaces: [eth0, eth1], params: $1, subnets: [{type: dhcp}]}]}"
}
bond() { written_of netplan | sed -n '/bond0:/,$p'; }
same 'netplan, with the names of the documentation' '        bond0:
            dhcp4: true
            interfaces:
            - eth0
            - eth1' "$(config '{mode: active-backup, miimon: 100}' | bond)"
same 'netplan, with the names of ifenslave' '        bond0:
            dhcp4: true
            interfaces:
            - eth0
            - eth1
            parameters:
                mii-monitor-interval: 100
                mode: active-backup' "$(config '{bond-mode: active-backup, bond-miimon: 100}' | bond)"
same 'interfaces(5), with the names of the documentation' 'iface eth0 inet active-backup' \
    "$(config '{mode: active-backup, miimon: 100}' | written_of eni | grep 'iface eth0')"
