#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-repart 252 with --empty=create makes the disk image, partitions and all, also where it is told --dry-run=yes. Its manual says that
# without --dry-run=no the partition table is not touched. With --empty=force it is as the manual says.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'fdisk=2.38.1-*' 'libfdisk1=2.38.1-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
mkdir repart.d
printf '[Partition]\nType=home\n' > repart.d/10-home.conf
# after EMPTY: the exit status of a dry run, and the partitions that are in the image then.
after() {
    local status=0
    root/bin/systemd-repart --definitions="$work/repart.d" --empty="$1" --dry-run=yes --size=64M "$work/disk" > repart.log 2>&1 || status=$?
    echo "exit status $status"
    root/sbin/sfdisk -qlo Size,Type disk 2> sfdisk.log | sed '1d; s/^ *//'
}
root/bin/systemd-repart --version | head -1
touch disk
same 'force, on an empty file' 'exit status 0' "$(after force)"
rm disk
same 'create' 'exit status 0
63M Linux home' "$(after create)"
