#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 reads a network configuration of version 1 and writes netplan's: a route that stands beside the NICs is lost, and
# so is the metric of a subnet's gateway. There is no error and no warning. Its writer for Debian's interfaces keeps the route.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

cat > config <<YAML
version: 1
config:
- type: physical
  name: eth0
  subnets: [{type: static, address: 192.0.2.5/24, gateway: 192.0.2.1, metric: 7}]
- {type: route, destination: 10.0.0.0/8, gateway: 192.0.2.9}
YAML
/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'what netplan gets' 'network:
    version: 2
    ethernets:
        eth0:
            addresses:
            - 192.0.2.5/24
            gateway4: 192.0.2.1' "$(written_of netplan < config)"
same 'what is said of it' "Read input format 'yaml' from 'network.data'.
Wrote output format 'netplan' to 'written/'" "$(grep -v '^$' convert.log)"
same 'routes of interfaces(5)' 'post-up route add -net 10.0.0.0/8 gw 192.0.2.9 || true' "$(written_of eni < config | grep 'post-up')"
