#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One network configuration, two readers. PyYAML 6.0.2, with which cloud-init reads it, takes a MAC address whose six groups are
# decimal and below 60 for a number of base 60 (YAML 1.1). netplan 0.106 reads the text and finds the address.
. "${BASH_SOURCE%/*}/fetch"
debian 'netplan.io=0.106-*' 'libnetplan0=0.106-*'
pypi pyyaml==6.0.2

mkdir -p etc/netplan
cat > etc/netplan/a.yaml <<YAML
network:
  version: 2
  ethernets:
    lan:
      match: {macaddress: 52:54:00:12:34:56}
      dhcp4: true
YAML
chmod 600 etc/netplan/a.yaml
same "PyYAML $(python/bin/python -c 'import yaml; print(yaml.__version__)')" 41135085296 "$(
    python/bin/python -c "import yaml; print(yaml.safe_load(open('etc/netplan/a.yaml'))['network']['ethernets']['lan']['match']['macaddress'])"
)"
LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/libexec/netplan/generate --root-dir "$work"
same 'netplan 0.106' PermanentMACAddress=52:54:00:12:34:56 "$(grep MACAddress run/systemd/network/10-netplan-lan.network)"
