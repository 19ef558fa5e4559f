#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2, renderer for systemd-networkd: the subnet types ipv6_dhcpv6-stateful and ipv6_dhcpv6-stateless of version 1 turn
# DHCP off. Only `dhcp6` is understood. OpenStack's network_data.json names its IPv6 networks by the other two. netplan gets dhcp6.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
config() { echo "{version: 1, config: [{type: physical, name: eth0, subnets: [{type: $1}]}]}"; }
for type in dhcp6=ipv6 ipv6_dhcpv6-stateful=no ipv6_dhcpv6-stateless=no; do
    same "networkd, ${type%=*}" "DHCP=${type#*=}" "$(config "${type%=*}" | networkd_of | grep DHCP)"
    same "netplan, ${type%=*}" 'dhcp6: true' "$(config "${type%=*}" | written_of netplan | grep -o 'dhcp6.*')"
done
