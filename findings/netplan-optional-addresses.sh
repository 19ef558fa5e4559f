#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# netplan 0.106 writes `optional-addresses`, which its documentation has for systemd-networkd, as OptionalAddresses=. networkd 252 does not know
# that key and passes over it: what waits for the network at a boot waits as if the key were not there.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*' 'systemd=252.*' 'libsystemd-shared=252.*'

mkdir -p etc/netplan
cat > etc/netplan/a.yaml <<YAML
network: {version: 2, ethernets: {eth0: {dhcp4: true, dhcp6: true, optional-addresses: [dhcp6]}}}
YAML
chmod 600 etc/netplan/a.yaml
LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/libexec/netplan/generate --root-dir "$work"
same 'netplan writes' 'OptionalAddresses=dhcp6' "$(grep Optional run/systemd/network/10-netplan-eth0.network)"
same 'systemd-networkd says' "Unknown key 'OptionalAddresses' in section [Link], ignoring." "$(networkd_says | grep Optional)"
