#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 gives a NIC of OpenNebula that has an address of IPv6 alone one of IPv4 too, which it reads from the last four bytes of
# the MAC address, with 24 bits: for the NIC below one of a stranger, with a route to the stranger's network.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

cat > context.py <<'PYTHON'
import sys
from cloudinit.sources import DataSourceOpenNebula
context = dict(word.split("=", 1) for word in sys.argv[1:])
config = DataSourceOpenNebula.OpenNebulaNetwork(context, None, {context["ETH0_MAC"]: "eth0"}).gen_conf()
print(*config["ethernets"]["eth0"]["addresses"], sep="\n")
PYTHON
same 'with IPv6 alone' '198.51.100.77/24
2001:db8::5/64' "$(/usr/bin/python3 context.py ETH0_MAC=02:00:c6:33:64:4d ETH0_IP6=2001:db8::5 ETH0_IP6_PREFIX_LENGTH=64)"
same 'with both' '192.0.2.5/24
2001:db8::5/64' "$(/usr/bin/python3 context.py ETH0_MAC=02:00:c6:33:64:4d ETH0_IP=192.0.2.5 ETH0_MASK=255.255.255.0 ETH0_IP6=2001:db8::5)"
