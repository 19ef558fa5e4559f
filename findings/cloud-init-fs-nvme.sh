#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: fs_setup with `partition: 2` of /dev/nvme1n1 works on /dev/nvme1n12, which is no device or another namespace: the
# number is written behind the name without the `p` that such names need. For /dev/vdy it is right.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
for device in /dev/vdy=/dev/vdy2 /dev/nvme1n1=/dev/nvme1n12; do
    same "${device%=*}" "['mkfs.ext4', '-F', '${device#*=}']" \
        "$(echo "{device: ${device%=*}, partition: 2, filesystem: ext4, overwrite: true}" | mkfs_of)"
done
