#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: the documentation of disk_setup has sizes as a percentage of the disk, with 33 for a third of it. The last partition
# of a `layout` takes all that is left, whatever its size says: [25] is the whole disk, and of [25, [25, 82]] the swap space takes three
# quarters. Nothing stays for what a node needs without a partition.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'gdisk=1.0.9-*' 'fdisk=2.38.1-*' 'libfdisk1=2.38.1-*'

# partitions TYPE LAYOUT: cloud-init's own calls for an empty disk of 400 MiB, and the size and type of what is on it then.
partitions() {
    rm -f disk && truncate -s 400M disk
    PATH=$work/root/sbin:$PATH LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu /usr/bin/python3 - "$@" 2> setup.log <<'PYTHON'
import sys, yaml
from cloudinit.config import cc_disk_setup as setup
setup.read_parttbl = lambda device: None  # a file has no kernel that has to read it again
layout = setup.get_partition_layout(sys.argv[1], 400 * 2048, yaml.safe_load(sys.argv[2]))
setup.exec_mkpart(sys.argv[1], "disk", layout)
PYTHON
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/sbin/sfdisk -qlo Size,Type disk | sed '1d; s/^ *//'
}
/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'gpt, layout: [25]' '399M Linux filesystem' "$(partitions gpt '[25]')"
same 'gpt, layout: [25, [25, 82]]' '100M Linux filesystem
299M Linux swap' "$(partitions gpt '[25, [25, 82]]')"
same 'mbr, layout: [25, [25, 82]]' '100M Linux
299M Linux swap / Solaris' "$(partitions mbr '[25, [25, 82]]')"
