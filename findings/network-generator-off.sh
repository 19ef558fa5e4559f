#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: `off`, `none`, `link6` and `auto6` of `ip=eth0:...` make one and the same file. It turns DHCP off and says
# nothing of IPv6, so that networkd accepts router advertisements by default: a NIC that was to stay without an address gets one and a
# default route. NetworkManager's generator turns IPv6 off for the first two and takes its link-local address alone for the third.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
methods() {
    for method; do
        rm -rf tree && mkdir tree
        root/lib/systemd/systemd-network-generator --root="$work/tree" -- "ip=eth0:$method"
        echo "$method: systemd $(grep -vE '^(#|$|\[|Name=)' tree/run/systemd/network/90-eth0.network | xargs), NetworkManager $(
            root/usr/lib/NetworkManager/nm-initrd-generator -s -- "ip=eth0:$method" | sed -n '/^\[ipv6\]/,/^$/s/^method=//p')"
    done
}
root/bin/systemctl --version | head -1
same 'IPv6' 'off: systemd DHCP=no, NetworkManager disabled
none: systemd DHCP=no, NetworkManager disabled
link6: systemd DHCP=no, NetworkManager link-local
auto6: systemd DHCP=no, NetworkManager auto' "$(methods off none link6 auto6)"
