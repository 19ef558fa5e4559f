#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloudbase-init 1.1.9 loses the destination of a route in version 1 that is called `destination`, as cloud-init's documentation has it
# for routes: the route is kept without one. It knows `network` alone.
. "${BASH_SOURCE%/*}/fetch"
pypi cloudbase-init==1.1.9
python/bin/pip list 2> pip.log | grep '^cloudbase-init '

# route_of KEY: the route whose destination is under that key.
route_of() {
    cloudbase_network <<YAML | sed -n 's/.*\(Route([^)]*)\).*/\1/p'
version: 1
config:
- {type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.10/24, routes: [{$1: 198.51.100.0/24, gateway: 192.0.2.254}]}]}
YAML
}
same destination "Route(network_cidr=None, gateway='192.0.2.254')" "$(route_of destination)"
same network "Route(network_cidr='198.51.100.0/24', gateway='192.0.2.254')" "$(route_of network)"
