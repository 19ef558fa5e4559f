#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 loses the numbers of a bridge that are 0 where it writes Debian's interfaces: `forward-delay: 0` of version 2, the usual one of
# a bridge without loops, is not in them, and the bridge keeps its default. `4` is written.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

# bridge NUMBER: what is written of the bridge's parameters.
bridge() {
    written_of eni <<YAML | grep -oE 'bridge_(fd|ageing|bridgeprio) .*' | sort
version: 2
ethernets:
  eth0: {match: {macaddress: "52:54:00:aa:bb:01"}}
bridges:
  br0: {interfaces: [eth0], dhcp4: true, parameters: {forward-delay: $1, ageing-time: $1, priority: $1}}
YAML
}
same '4' 'bridge_ageing 4
bridge_bridgeprio 4
bridge_fd 4' "$(bridge 4)"
same '0' '' "$(bridge 0 || true)"
