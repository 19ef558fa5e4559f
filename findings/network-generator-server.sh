#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: what PXELINUX's IPAPPEND puts on the kernel's command line, ip=client:server:gateway:netmask, is refused and
# there is no network, though the kernel has the fields behind as optional and NetworkManager's generator takes it. With all fields the
# server becomes the address's peer: the kernel's route is to the server's subnet then, and the gateway of the node's own is out of reach.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
systemd() {
    rm -rf tree && mkdir tree
    root/lib/systemd/systemd-network-generator --root="$work/tree" -- "$1" 2>&1 || true
    cat tree/run/systemd/network/*.network 2> cat.log | grep -E '^(Address|Peer|Gateway)=' || true
}
networkmanager() { root/usr/lib/NetworkManager/nm-initrd-generator -s -- "$1" 2> nm.log | grep '^address1='; }
root/bin/systemctl --version | head -1
short=ip=192.0.2.5:198.51.100.2:192.0.2.1:255.255.255.0
same 'as PXELINUX has it, systemd' "Failed to parse command line \"$short\": Invalid argument" "$(systemd $short)"
same 'as PXELINUX has it, NetworkManager' 'address1=192.0.2.5/24,192.0.2.1' "$(networkmanager $short)"
same 'with all fields, systemd' 'Address=192.0.2.5/24
Peer=198.51.100.2
Gateway=192.0.2.1' "$(systemd $short:node:eth0:none)"
same 'with all fields, NetworkManager' 'address1=192.0.2.5/24,192.0.2.1' "$(networkmanager $short:node:eth0:none)"
