#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# netplan 0.106 takes times of a bond with a unit (`up-delay: 5s`), as its documentation has them, and writes them for NetworkManager as they
# are. NetworkManager 1.42 knows milliseconds alone and drops the option without a word: the delay is gone, and the link is
# looked at by the default interval. For systemd-networkd they are right.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*' 'network-manager=1.42.4-*' 'libnm0=1.42.4-*' 'libglib2.0-0=2.74.6-*' 'libndp0=1.8-*' \
    libreadline8=8.2-1.3

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu
mkdir -p etc/netplan
# render RENDERER SECONDS MILLISECONDS: the files of a bond with these two times.
render() {
    cat > etc/netplan/a.yaml <<YAML
network:
  version: 2
  renderer: $1
  ethernets: {eth0: {}}
  bonds:
    bond0:
      interfaces: [eth0]
      parameters: {mode: active-backup, mii-monitor-interval: $3, up-delay: $2}
YAML
    chmod 600 etc/netplan/a.yaml
    root/usr/libexec/netplan/generate --root-dir "$work"
}
# taken: the options of the bond that NetworkManager takes from netplan's file.
taken() {
    root/usr/bin/nmcli --offline connection modify connection.autoconnect yes \
        < run/NetworkManager/system-connections/netplan-bond0.nmconnection | grep '^mode=\|^miimon=\|^updelay=' || true
}
render networkd 5s 200ms
same 'for networkd' 'MIIMonitorSec=200ms
UpDelaySec=5s' "$(grep '^MII\|^UpDelay' run/systemd/network/10-netplan-bond0.netdev)"
render NetworkManager 5000 200
same 'NetworkManager, without units' 'miimon=200
mode=active-backup
updelay=5000' "$(taken)"
render NetworkManager 5s 200ms
same 'NetworkManager, with units' 'mode=active-backup' "$(taken)"
