#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: an address or a route of version 1 without a netmask gets one of 24 bits, an IPv6 address one of 64, whatever the
# network is. The route to 0.0.0.0 becomes one to 0.0.0.0/24, so there is no default route. The documentation names no default.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'netplan gets' '            addresses:
            - 10.20.30.40/24
            - 2001:db8::5/64
            routes:
            -   to: 0.0.0.0/24
                via: 10.20.0.1' "$(written_of netplan <<YAML | sed -n '/addresses/,$p'
version: 1
config: [{type: physical, name: eth0, subnets: [
  {type: static, address: 10.20.30.40, routes: [{destination: 0.0.0.0, gateway: 10.20.0.1}]}, {type: static6, address: "2001:db8::5"}]}]
YAML
)"
