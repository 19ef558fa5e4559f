#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 hands version 2 to netplan "without modification", says its documentation. It reads it as YAML 1.1 and writes it
# anew, and there `id: 0100` is 64. netplan 0.106 reads the same file, when it gets it directly, as VLAN 100.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*'

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
echo '{version: 2, ethernets: {eth0: {}}, vlans: {storage: {id: 0100, link: eth0}}}' > config
mkdir -p etc/netplan
id() {
    chmod 600 etc/netplan/a.yaml
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/libexec/netplan/generate --root-dir "$work"
    grep '^Id=' run/systemd/network/10-netplan-storage.netdev
}
echo "network: $(cat config)" > etc/netplan/a.yaml
same 'netplan 0.106 of the file' Id=100 "$(id)"
written_of netplan < config > etc/netplan/a.yaml
same 'netplan 0.106 of what cloud-init makes of it' Id=64 "$(id)"
