#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 writes a mount point with a space into fstab as it is. fstab(5) asks for \040, so the line has one field too many:
# the second word becomes the type of the file system. systemd's generator makes a mount unit of the first word.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'systemd=252.*' 'libsystemd-shared=252.*'

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
mounts() { echo "mounts: [[LABEL=data, $1, ext4, 'defaults,nofail', '0', '2']]" | fstab_of; }
same 'the line' 'LABEL=data	/srv/my data	ext4	defaults,nofail,comment=cloudconfig	0	2' "$(mounts '/srv/my data')"
mkdir units
SYSTEMD_FSTAB=$work/fstab LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd \
    root/lib/systemd/system-generators/systemd-fstab-generator units units units
same "systemd's mount" 'Where=/srv/my
Type=data' "$(grep -h '^Where=\|^Type=' units/*.mount)"
