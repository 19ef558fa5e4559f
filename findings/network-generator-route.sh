#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: `rd.route=` without a NIC, a form of dracut.cmdline(7), becomes a route of every NIC, also of those in
# whose subnet the gateway is not. NetworkManager's generator gives it to one.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
options=(ip=192.0.2.5::192.0.2.1:24::eth0:none ip=198.51.100.5:::24::eth1:none rd.route=10.0.0.0/8:192.0.2.9)
mkdir tree
root/lib/systemd/systemd-network-generator --root="$work/tree" -- "${options[@]}"
same 'systemd-network-generator 252: NICs with the route' '90-eth0.network
90-eth1.network' "$(grep -lr '^Destination=10.0.0.0/8' tree | xargs -n 1 basename | sort)"
same "NetworkManager's generator: NICs with the route" 'interface-name=eth0' \
    "$(root/usr/lib/NetworkManager/nm-initrd-generator -s -- "${options[@]}" | grep '^interface-name=\|^route1=' | grep -B 1 route1 | grep -v route1)"
