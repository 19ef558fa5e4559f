#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-tmpfiles 252: `w` writes its argument over the start of a file and leaves the rest: 15 over 2048 is 1548. tmpfiles.d(5) says
# that it writes the argument to the file, and has `w+` for appending. It is meant for sysfs, where this cannot be seen.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd
root/bin/systemd-tmpfiles --version | head -1
# after TYPE: what is in a file of 2048 after a line of this type.
after() {
    rm -rf tree && mkdir -p tree/etc/tmpfiles.d && printf 2048 > tree/limit
    echo "$1 /limit - - - - 15" > tree/etc/tmpfiles.d/a.conf
    root/bin/systemd-tmpfiles --root="$work/tree" --create
    cat tree/limit
}
same w 1548 "$(after w)"
same w+ 204815 "$(after w+)"
