#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# glean 1.25.1 knows OpenStack's network type `ipv6_dhcpv6-stateful` by another spelling where it writes for systemd-networkd
# (`ipv6_dhcpv6_stateful`): a NIC with that type alone ends it with a KeyError, and no NIC is configured.
. "${BASH_SOURCE%/*}/fetch"
pypi glean==1.25.1
python/bin/pip list 2> pip.log | grep '^glean '

with() {
    glean_networkd 2>&1 <<JSON | grep '^DHCP\|Error'
{"links": [{"id": "tap0", "type": "phy", "ethernet_mac_address": "52:54:00:aa:bb:01", "mtu": 1500}],
 "networks": [{"id": "n0", "link": "tap0", "type": "$1"}]}
JSON
}
same 'as OpenStack spells it' "KeyError: '[Network]'" "$(with ipv6_dhcpv6-stateful || :)"
same 'as glean spells it' 'DHCP=ipv6' "$(with ipv6_dhcpv6_stateful)"
