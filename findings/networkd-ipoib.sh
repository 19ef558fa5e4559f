#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-networkd 252: systemd.network(5) has a section [IPoIB] with the mode of an InfiniBand NIC, and networkd takes it for an unknown one.
# netplan 0.106 writes its `infiniband-mode` there, so that neither has an effect: the NIC stays in the mode that the driver has.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*' 'systemd=252.*' 'libsystemd-shared=252.*'

mkdir -p etc/netplan
cat > etc/netplan/a.yaml <<YAML
network: {version: 2, ethernets: {ib0: {dhcp4: true, infiniband-mode: connected}}}
YAML
chmod 600 etc/netplan/a.yaml
LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/libexec/netplan/generate --root-dir "$work"
same 'netplan writes' '[IPoIB]
Mode=connected' "$(grep -A 1 IPoIB run/systemd/network/10-netplan-ib0.network)"
same 'systemd.network(5) says' 'The [IPoIB] section manages the IP over Infiniband and accepts the following keys:' \
    "$(zcat root/usr/share/man/man5/systemd.network.5.gz | grep 'IPoIB. section')"
same 'systemd-networkd says' "Unknown section 'IPoIB'. Ignoring." "$(networkd_says | grep IPoIB)"
