#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloudbase-init 1.1.9: a NIC with `gateway4` and `gateway6` has no default route for IPv4, and that for IPv6 is handed on with the IPv4
# address too. As two entries of `routes` both are there.
. "${BASH_SOURCE%/*}/fetch"
pypi cloudbase-init==1.1.9
python/bin/pip list 2> pip.log | grep '^cloudbase-init '

# routes_of KEYS: the addresses of a NIC with these keys, each with its routes.
routes_of() {
    cloudbase_network <<YAML | sed -n "s/^Network.*address_cidr='\([^']*\)'.*routes=/\1 /p" | sed "s/Route(network_cidr=\|gateway=\|[])'[]//g"
version: 2
ethernets: {eth0: {match: {macaddress: "52:54:00:aa:bb:01"}, addresses: [192.0.2.10/24, "2001:db8::10/64"], $1}}
YAML
}
same 'two gateways' '192.0.2.10/24 ::/0, 2001:db8::1
2001:db8::10/64 ::/0, 2001:db8::1' "$(routes_of 'gateway4: 192.0.2.1, gateway6: "2001:db8::1"')"
same 'two routes' '192.0.2.10/24 0.0.0.0/0, 192.0.2.1, ::/0, 2001:db8::1
2001:db8::10/64 0.0.0.0/0, 192.0.2.1, ::/0, 2001:db8::1' \
    "$(routes_of 'routes: [{to: default, via: 192.0.2.1}, {to: "::/0", via: "2001:db8::1"}]')"
