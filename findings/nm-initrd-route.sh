#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# nm-initrd-generator of NetworkManager 1.42.4: `rd.route=` on the kernel's command line that names a second NIC starts DHCP and router
# solicitation on that NIC, also where the one address of the command line is static.
. "${BASH_SOURCE%/*}/fetch"
debian 'network-manager=1.42.4-*' 'libnm0=1.42.4-*'

# methods WORD...: how each NIC gets its addresses by these words of the command line.
methods() {
    root/usr/lib/NetworkManager/nm-initrd-generator --stdout -- "$@" |
        awk -F = '/^\[/ { section = $0 } $1 == "interface-name" { name = $2 } $1 == "method" { print name, section, $2 }' | sort
}
same 'a static address' 'eth0 [ipv4] manual
eth0 [ipv6] disabled' "$(methods ip=192.0.2.5::192.0.2.1:24::eth0:none)"
same 'and a route of another NIC' 'eth0 [ipv4] manual
eth0 [ipv6] disabled
eth1 [ipv4] auto
eth1 [ipv6] auto' "$(methods ip=192.0.2.5::192.0.2.1:24::eth0:none rd.route=203.0.113.0/24:198.51.100.1:eth1)"
