#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloudbase-init 1.1.9 leaves out an OpenNebula NIC that has address, netmask and gateway but no name server: its static address is not
# configured, and a line of the debug log says that the details are incomplete.
. "${BASH_SOURCE%/*}/fetch"
pypi cloudbase-init==1.1.9
python/bin/pip list 2> pip.log | grep '^cloudbase-init '

two() {
    printf '%s\n' "ETH0_DNS='192.0.2.53'" "ETH0_IP='192.0.2.5'" "ETH0_MAC='02:00:c0:00:02:05'" "ETH0_MASK='255.255.255.0'" \
        "ETH1_GATEWAY='198.51.100.1'" "ETH1_IP='198.51.100.7'" "ETH1_MAC='02:00:c6:33:64:07'" "ETH1_MASK='255.255.255.0'" "$@" | cloudbase_opennebula
}
same 'a name server for one NIC of two' '02:00:C0:00:02:05 192.0.2.5 255.255.255.0 None' "$(two)"
same 'for both' '02:00:C0:00:02:05 192.0.2.5 255.255.255.0 None
02:00:C6:33:64:07 198.51.100.7 255.255.255.0 198.51.100.1' "$(two "ETH1_DNS='192.0.2.53'")"
