#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 writes a route of IPv6 into NetworkManager's section of IPv4 where the NIC's first address is one of IPv4, and the other
# way round: NetworkManager 1.42.4 drops it from there. The order of the addresses decides which of the two routes the NIC has.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'network-manager=1.42.4-*' 'libnm0=1.42.4-*'

# routes ADDRESSES: the routes that cloud-init writes for a NIC with these addresses, each with its section.
routes() {
    written_of network-manager <<YAML | awk '/^\[/ { section = $0 } /^route/ { print section, $0 }'
version: 2
ethernets:
  eth0:
    match: {macaddress: "52:54:00:aa:bb:01"}
    addresses: [$1]
    routes:
    - {to: 198.51.100.0/24, via: 192.0.2.1}
    - {to: "2001:db8:1::/48", via: "2001:db8::1"}
YAML
}
# kept: the routes that NetworkManager keeps of the file that cloud-init wrote.
kept() {
    cat written/etc/NetworkManager/system-connections/*.nmconnection |
        LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/bin/nmcli --offline connection modify connection.id a 2> nmcli.log |
        grep -o '^route.*'
}
same 'written, IPv4 first' '[ipv4] route1=198.51.100.0/24,192.0.2.1
[ipv4] route2=2001:db8:1::/48,2001:db8::1' "$(routes '192.0.2.5/24, "2001:db8::5/64"')"
routes '192.0.2.5/24, "2001:db8::5/64"' > routes.log
same 'kept' 'route1=198.51.100.0/24,192.0.2.1' "$(kept)"
same 'written, IPv6 first' '[ipv6] route1=198.51.100.0/24,192.0.2.1
[ipv6] route2=2001:db8:1::/48,2001:db8::1' "$(routes '"2001:db8::5/64", 192.0.2.5/24')"
routes '"2001:db8::5/64", 192.0.2.5/24' > routes.log
same 'kept' 'route1=2001:db8:1::/48,2001:db8::1' "$(kept)"
