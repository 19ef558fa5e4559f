#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `path-cost` and `port-priority` of a bridge of version 2 name ports and numbers. Debian's interfaces get the ports
# without the numbers, which bridge-utils does not take; netplan gets both.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
config='version: 2
ethernets: {eth1: {}}
bridges: {br0: {interfaces: [eth1], parameters: {path-cost: {eth1: 50}, port-priority: {eth1: 12}}, dhcp4: true}}'
same 'netplan' '                path-cost:
                    eth1: 50
                port-priority:
                    eth1: 12' "$(written_of netplan <<< "$config" | grep -A1 'path-cost\|port-priority')"
same 'interfaces(5)' '    bridge_pathcost eth1
    bridge_portprio eth1' "$(written_of eni <<< "$config" | grep 'pathcost\|portprio')"
