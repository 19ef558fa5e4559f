#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloudbase-init 1.1.9 guesses the netmask of an OpenNebula NIC that has none by comparing its address with the gateway, number by
# number: where the last numbers are equal and others are not, it is no netmask at all.
. "${BASH_SOURCE%/*}/fetch"
pypi cloudbase-init==1.1.9
python/bin/pip list 2> pip.log | grep '^cloudbase-init '

# nic_of ADDRESS GATEWAY
nic_of() { printf '%s\n' "ETH0_DNS='192.0.2.53'" "ETH0_GATEWAY='$2'" "ETH0_IP='$1'" "ETH0_MAC='02:00:0a:00:00:05'" | cloudbase_opennebula; }
same 'address, netmask, gateway' '02:00:0A:00:00:05 10.0.0.5 255.255.0.255 10.0.1.5' "$(nic_of 10.0.0.5 10.0.1.5)"
same 'with another address' '02:00:0A:00:00:05 10.0.0.6 255.255.0.0 10.0.1.5' "$(nic_of 10.0.0.6 10.0.1.5)"
