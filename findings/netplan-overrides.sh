#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-networkd has UseDNS= in [DHCPv4] and in [DHCPv6]. netplan 0.106 writes one section [DHCP] for both, and so refuses a
# configuration that takes name servers by IPv6 only; nothing is rendered, also for the other cards.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*'

mkdir -p etc/netplan
cat > etc/netplan/a.yaml <<YAML
network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      dhcp6: true
      dhcp4-overrides: {use-dns: false}
      dhcp6-overrides: {use-dns: true}
    eth1:
      dhcp4: true
YAML
chmod 600 etc/netplan/a.yaml
status=0
said=$(LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/libexec/netplan/generate --root-dir "$work" 2>&1) || status=$?
same 'netplan 0.106 says' 'ERROR: eth0: networkd requires that use-dns has the same value in both dhcp4_overrides and dhcp6_overrides' "$said"
same 'its exit status' 1 "$status"
same 'the file of the other card' absent "$(test -e run/systemd/network/10-netplan-eth1.network && echo present || echo absent)"
