#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a link of network_data.json has a static IPv6 address and a network of DHCPv6. Whether it accepts router
# advertisements is said by the network that stands last, so the order in a list that has no order decides about the default route.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
static='{"id": "network0", "type": "ipv6", "link": "l", "ip_address": "2001:db8::5", "netmask": "ffff:ffff:ffff:ffff::", "routes": []}'
dynamic='{"id": "network1", "type": "ipv6_dhcpv6-stateful", "link": "l"}'
accepted() {
    echo "{\"links\": [{\"id\": \"l\", \"type\": \"phy\", \"ethernet_mac_address\": \"52:54:00:aa:bb:01\"}], \"networks\": [$1], \"services\": []}" |
        written_of netplan network_data.json | grep -o 'accept-ra.*'
}
same 'the static one first' 'accept-ra: true' "$(accepted "$static, $dynamic")"
same 'the static one last' 'accept-ra: false' "$(accepted "$dynamic, $static")"
