#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The CNI plugin static 1.1.1: an address that the runtime asks for, for one pod, replaces that of the configuration where the request comes
# as a capability (`runtimeConfig`) or in `args`. In CNI_ARGS the same request is added to it: the pod has both, and the next pod has
# the configured one too.
. "${BASH_SOURCE%/*}/fetch"
debian 'containernetworking-plugins=1.1.1+ds1-3+*'

export CNI_COMMAND=ADD CNI_CONTAINERID=pod CNI_NETNS=/none CNI_IFNAME=eth0 CNI_PATH=$work/root/usr/lib/cni
# addresses MEMBER: what the pod gets by a configuration with this member.
addresses() {
    echo "{\"cniVersion\": \"1.0.0\", \"name\": \"a\", \"type\": \"a\", $1,
        \"ipam\": {\"type\": \"static\", \"addresses\": [{\"address\": \"192.0.2.5/24\"}]}}" |
        root/usr/lib/cni/static | grep -o '"address": .*' | cut -d '"' -f 4
}
same 'as a capability' '192.0.2.80/24' "$(addresses '"runtimeConfig": {"ips": ["192.0.2.80/24"]}')"
same 'in args' '192.0.2.80/24' "$(addresses '"args": {"cni": {"ips": ["192.0.2.80/24"]}}')"
same 'in CNI_ARGS' '192.0.2.5/24
192.0.2.80/24' "$(CNI_ARGS=IP=192.0.2.80/24 addresses '"args": {}')"
