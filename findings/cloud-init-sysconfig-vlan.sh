#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 writes the files of Red Hat's network scripts without the number of a VLAN, and without its MAC address: `id: 10` of
# version 2 is not in them, and of a name like `storage` nobody can tell it.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

cat > config.yaml <<YAML
version: 2
ethernets:
  eth0: {match: {macaddress: "52:54:00:aa:bb:01"}}
vlans:
  storage: {id: 10, link: eth0, macaddress: "52:54:00:aa:bb:09", addresses: [192.0.2.5/24]}
YAML
/usr/bin/python3 -m cloudinit.cmd.main devel net-convert --network-data config.yaml --kind yaml -O sysconfig --distro rhel -d written \
    --mac eth0,52:54:00:aa:bb:01 > convert.log 2>&1
same 'ifcfg-storage' 'BOOTPROTO=none
DEVICE=storage
IPADDR=192.0.2.5
NETMASK=255.255.255.0
NM_CONTROLLED=no
ONBOOT=yes
PHYSDEV=eth0
USERCTL=no
VLAN=yes' "$(grep -v '^#' written/etc/sysconfig/network-scripts/ifcfg-storage)"
