#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-repart 252: a SizeMaxBytes= below 10M has no effect without a SizeMinBytes=, whose default of 10M wins without a word: a partition
# of at most 2 MiB has 10. Both limits written in that way are refused, since the one is larger than the other.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*' 'libfdisk1=2.38.1-*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu/systemd
mkdir repart.d
truncate -s 64M disk
# size LINES: the size that systemd-repart would give a partition with these lines, or what it says of them.
size() {
    printf '[Partition]\nType=linux-generic\n%b\n' "$1" > repart.d/10-config.conf
    root/bin/systemd-repart --definitions="$work/repart.d" --empty=force --json=short "$work/disk" 2> repart.log |
        grep -o '"raw_size":[0-9]*' || sed 's/^.*conf:[0-9]*: //' repart.log
}
root/bin/systemd-repart --version | head -1
same 'SizeMaxBytes=2M' '"raw_size":10485760' "$(size SizeMaxBytes=2M)"
same 'and SizeMinBytes=10M' 'SizeMinBytes= larger than SizeMaxBytes=, refusing.' "$(size 'SizeMaxBytes=2M\nSizeMinBytes=10M')"
same 'and SizeMinBytes=1M' '"raw_size":2097152' "$(size 'SizeMaxBytes=2M\nSizeMinBytes=1M')"
