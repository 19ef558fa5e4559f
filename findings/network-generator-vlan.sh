#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: of `vlan=vlan0100:eth0` the tag is 64, since the digits at the end of the name are read as octal.
# dracut.cmdline(7), whose syntax it takes, names the style vlan0005, a tag with zeros before it; NetworkManager's generator makes
# the tag 100. vlan0005 is 5 to both, so that the first tag above 7 with a zero before it, vlan0010, is the first that is wrong.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
tags() {
    for name; do
        rm -rf tree && mkdir tree
        root/lib/systemd/systemd-network-generator --root="$work/tree" -- "vlan=$name:eth0"
        echo "$name: systemd $(sed -n 's/^Id=//p' "tree/run/systemd/network/90-$name.netdev"), NetworkManager $(
            root/usr/lib/NetworkManager/nm-initrd-generator -s -- "vlan=$name:eth0" "ip=$name:dhcp" | sed -n '/^\[vlan\]/,/^$/s/^id=//p')"
    done
}
root/bin/systemctl --version | head -1
same 'the tags' 'vlan100: systemd 100, NetworkManager 100
vlan0005: systemd 5, NetworkManager 5
vlan0010: systemd 8, NetworkManager 10
vlan0100: systemd 64, NetworkManager 100' "$(tags vlan100 vlan0005 vlan0010 vlan0100)"
