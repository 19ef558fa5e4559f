#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-network-generator 252: the host name of a static `ip=` goes into Hostname= of [DHCP], beside DHCP=no: nobody uses it.
# dracut.cmdline(7) says of the field that it sets the client's name; NetworkManager's generator sets it.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'network-manager=1.42.4-*' 'libglib2.0-0=2.74.6-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
option=ip=192.0.2.5::192.0.2.1:255.255.255.0:node:eth0:none
mkdir tree
root/lib/systemd/systemd-network-generator --root="$work/tree" -- "$option"
same 'systemd-network-generator 252' './run/systemd/network/90-eth0.network:DHCP=no
./run/systemd/network/90-eth0.network:Hostname=node' "$(cd tree && find . -type f -exec grep -HE 'DHCP=|[Hh]ost' {} + | sort)"
same "NetworkManager's generator" "*** Hostname 'node' ***" "$(root/usr/lib/NetworkManager/nm-initrd-generator -s -- "$option" | grep '^\*\*\* Host')"
