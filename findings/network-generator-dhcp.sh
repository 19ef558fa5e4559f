#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: `ip=dhcp` on the kernel's command line is for all NICs. One option that names a NIC, here a route,
# drops it: that NIC gets no DHCP, and neither does any other. dracut.cmdline(7), whose syntax it takes, says nothing of that;
# NetworkManager's generator 1.42 keeps DHCP and adds the route.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
generated() {
    rm -rf tree && mkdir tree
    SYSTEMD_LOG_LEVEL=warning root/lib/systemd/systemd-network-generator --root="$work/tree" -- "$@" 2>&1
    (cd tree/run/systemd/network && grep -H -E '^(DHCP|Destination)=' *) || true
}
root/bin/systemctl --version | head -1
same 'ip=dhcp' '91-default.network:DHCP=ipv4' "$(generated ip=dhcp)"
same 'ip=dhcp and a route' '90-eth0.network:Destination=10.0.0.0/8' "$(generated ip=dhcp rd.route=10.0.0.0/8:192.0.2.1:eth0)"
same "NetworkManager's generator" "*** Connection 'default_connection' ***
method=auto
*** Connection 'eth0' ***
method=auto
route1=10.0.0.0/8,192.0.2.1" "$(root/usr/lib/NetworkManager/nm-initrd-generator -s -- ip=dhcp rd.route=10.0.0.0/8:192.0.2.1:eth0 |
    sed -n '/^\*\*\* Conn/p; /^\[ipv4\]/,/^$/p' | grep -E '^(\*\*\*|method|route1)')"
