#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: a static `ip=` without a netmask gets the prefix length 32, so the gateway lies outside of the subnet.
# The kernel, whose argument it is, and NetworkManager's generator take the mask of the address's class: /8 for 10.0.0.5.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
option=ip=10.0.0.5::10.0.0.1::node:eth0:none
mkdir tree
root/lib/systemd/systemd-network-generator --root="$work/tree" -- "$option"
same 'systemd-network-generator 252' 'Address=10.0.0.5/32
Gateway=10.0.0.1' "$(grep '^Address=\|^Gateway' tree/run/systemd/network/90-eth0.network)"
same "NetworkManager's generator" 'address1=10.0.0.5/8,10.0.0.1' \
    "$(root/usr/lib/NetworkManager/nm-initrd-generator -s -- "$option" | grep '^address')"
