#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# netplan 0.106 writes VLAN= of a NIC behind the [Bridge] header where the NIC is also a port of a bridge with a path cost.
# systemd-networkd knows VLAN= in [Network] only, so the VLAN is never made. Without the path cost the line is in its place.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*'

mkdir -p etc/netplan
# render PARAMETERS: the lines of the NIC's file with the header that VLAN= stands under.
render() {
    cat > etc/netplan/a.yaml <<YAML
network:
  version: 2
  ethernets:
    eth0: {}
  bridges:
    br0:
      interfaces: [eth0]
      parameters: $1
  vlans:
    eth0.7: {id: 7, link: eth0}
YAML
    chmod 600 etc/netplan/a.yaml
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/libexec/netplan/generate --root-dir "$work"
    awk '/^\[/ { header = $0 } /^VLAN=/ { print header, $0 }' run/systemd/network/10-netplan-eth0.network
}
same 'netplan 0.106, a port without a path cost' '[Network] VLAN=eth0.7' "$(render '{}')"
same 'netplan 0.106, a port with a path cost' '[Bridge] VLAN=eth0.7' "$(render '{path-cost: {eth0: 50}}')"
