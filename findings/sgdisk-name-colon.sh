#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sgdisk 1.0.9 cuts the name of a partition at a colon, without a word: `--change-name=1:data:1` makes the name `data`. A GPT's name may have a
# colon, and sfdisk 2.38 writes it.
. "${BASH_SOURCE%/*}/fetch"
debian gdisk=1.0.9-2.1 'fdisk=2.38.1-5+*' 'libfdisk1=2.38.1-5+*'
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu

# name: the name of the disk's first partition.
name() { root/sbin/sfdisk --part-label disk 1; }
truncate -s 8M disk
root/sbin/sgdisk --new=1:0:0 --change-name=1:data:1 disk > sgdisk.log
same 'sgdisk' 'data' "$(name)"
root/sbin/sfdisk -q --part-label disk 1 data:1
same 'sfdisk' 'data:1' "$(name)"
