#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: for a device that fstab has already, or that is not there, the log says `already defined` or `Ignoring`. The line
# is written all the same: a second one for the first device, and `ephemeral0` for a name that no device has.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
echo '/dev/vdy /data ext4 defaults 0 0' > fstab
seen=$(echo 'mounts: [[/dev/vdy, /data, ext4], [ephemeral0, /mnt]]' | fstab_of)
same 'the log' 'Device /dev/vdy already defined in fstab: /dev/vdy /data ext4 defaults 0 0
Ignoring nonexistent named mount ephemeral0' "$(grep 'already defined\|Ignoring nonexistent named' fstab.log)"
same 'fstab' '/dev/vdy /data ext4 defaults 0 0
/dev/vdy	/data	ext4	defaults,nofail,x-systemd.requires=cloud-init.service,_netdev,comment=cloudconfig	0	2
ephemeral0	/mnt	auto	defaults,nofail,x-systemd.requires=cloud-init.service,_netdev,comment=cloudconfig	0	2' "$seen"
