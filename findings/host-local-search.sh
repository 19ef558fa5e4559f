#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# host-local of the CNI plugins 1.1.1 joins all `search` lines of the file that resolvConf names. resolv.conf(5) says that the last one
# wins, and so do the C library and the kubelet: a pod looks names up in domains that its node does not use.
. "${BASH_SOURCE%/*}/fetch"
debian 'containernetworking-plugins=1.1.1+ds1-*'

printf 'nameserver 192.0.2.53\nsearch old.example\nsearch new.example\n' > resolv.conf
same 'host-local 1.1.1' "['old.example', 'new.example']" "$(
    echo "{\"cniVersion\": \"0.4.0\", \"name\": \"n\", \"type\": \"bridge\", \"ipam\": {\"type\": \"host-local\", \"subnet\": \"192.0.2.0/24\",
        \"resolvConf\": \"$work/resolv.conf\", \"dataDir\": \"$work/data\"}}" |
        CNI_COMMAND=ADD CNI_CONTAINERID=a CNI_NETNS=/n CNI_IFNAME=eth0 CNI_PATH=/p root/usr/lib/cni/host-local |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["dns"]["search"])'
)"
same 'the C library' "['new.example']" "$(searched resolv.conf)"
