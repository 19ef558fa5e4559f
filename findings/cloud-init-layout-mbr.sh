#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `layout: true` of disk_setup with a table of type mbr, which is the default, asks sfdisk for a partition that begins
# at sector 0. sfdisk 2.38.1 of the same Debian refuses that: the disk stays without a table, and the file system that fs_setup would put
# there is not made. With gpt, or as the list [100], the partition is there.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'gdisk=1.0.9-*' 'fdisk=2.38.1-*' 'libfdisk1=2.38.1-*'

# partitions TYPE LAYOUT: cloud-init's own calls for an empty disk of 64 MiB, and the size in MiB of what is on it then.
partitions() {
    rm -f disk && truncate -s 64M disk
    PATH=$work/root/sbin:$PATH LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu /usr/bin/python3 - "$@" 2> setup.log <<'PYTHON' || true
import sys, yaml
from cloudinit.config import cc_disk_setup as setup
setup.read_parttbl = lambda device: None  # a file has no kernel that has to read it again
layout = setup.get_partition_layout(sys.argv[1], 64 * 2048, yaml.safe_load(sys.argv[2]))
setup.exec_mkpart(sys.argv[1], "disk", layout)
PYTHON
    grep -o 'Start sector 0 out of range' setup.log | sort -u || true
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/sbin/sfdisk -qlo Size disk | sed '1d; s/ //g'
}
/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'mbr, layout: true' 'Start sector 0 out of range' "$(partitions mbr true)"
same 'mbr, layout: [100]' '63M' "$(partitions mbr '[100]')"
same 'gpt, layout: true' '63M' "$(partitions gpt true)"
