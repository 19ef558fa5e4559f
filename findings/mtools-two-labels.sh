#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mlabel of mtools 4.0.32 gives a FAT volume two labels: the one in the directory in capitals, the one in the boot sector as typed. blkid
# prints both and takes the first, so a config drive that was labelled `config-2` is CONFIG-2; after mkfs.vfat -n it is config-2.
. "${BASH_SOURCE%/*}/fetch"
debian 'mtools=4.0.33-1+really4.0.32-*' 'dosfstools=4.2-*' 'util-linux=2.38.1-*'

labels() { root/sbin/blkid --probe --output export "$1" | grep LABEL | sort; }
truncate -s 2M by-mlabel by-mkfs
root/sbin/mkfs.vfat -n OTHER by-mlabel > mkfs.log 2>&1
root/usr/bin/mlabel -i by-mlabel ::config-2
same 'after mlabel' 'LABEL=CONFIG-2
LABEL_FATBOOT=config-2' "$(labels by-mlabel)"
root/sbin/mkfs.vfat -n config-2 by-mkfs > mkfs.log 2>&1
same 'after mkfs.vfat' 'LABEL=config-2
LABEL_FATBOOT=config-2' "$(labels by-mkfs)"
