#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 loses an entry `type: nameserver` of version 1 where it writes for NetworkManager: the machine has an address and a gateway,
# and no name server. For Debian's interfaces the same entry is written.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

cat > config.yaml <<YAML
version: 1
config:
- type: physical
  name: eth0
  mac_address: "52:54:00:aa:bb:01"
  subnets: [{type: static, address: 192.0.2.5/24, gateway: 192.0.2.1}]
- {type: nameserver, address: [192.0.2.53], search: [example.org]}
YAML
# lines WRITER: what is written of the gateway and of names.
lines() { written_of "$1" < config.yaml | sed 's/^ *//' | grep -E '^(gateway|dns)' | sort -u; }
same 'NetworkManager' 'gateway=192.0.2.1' "$(lines network-manager)"
same 'interfaces' 'dns-nameservers 192.0.2.53
dns-search example.org
gateway 192.0.2.1' "$(lines eni)"
