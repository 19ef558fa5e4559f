#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a `label` in fs_setup reaches every mkfs as `-L`. mkfs.vfat of dosfstools 4.2 has no such option (its label is `-n`) and
# fails: an EFI system partition or a configuration drive with a label is not made. Without a label it is.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'dosfstools=4.2-*'

# made ENTRY: the command for a file in the place of the disk's first partition, and what it does.
made() {
    local call
    rm -f disk1 && truncate -s 8M disk1
    call=$(mkfs_of <<< "$1" | tr -d "[],'" | sed "s:$work/::")
    echo "$call"
    PATH=$work/root/sbin:$PATH $call > mkfs.out 2>&1 || { echo "exit status $?"; grep -o 'invalid option.*' mkfs.out; }
}
/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'without a label' 'mkfs.vfat disk1' "$(made '{device: disk, partition: 1, filesystem: vfat}')"
same 'with a label' "mkfs.vfat -L EFI disk1
exit status 1
invalid option -- 'L'" "$(made '{device: disk, partition: 1, filesystem: vfat, label: EFI}')"
