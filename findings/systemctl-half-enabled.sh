#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 252: `systemctl enable` of a unit with one bad word in [Install] makes the links of all other words and then fails with
# exit status 1. A comment behind a value is such words; so is an Alias= of another type, which systemd.unit(5) calls not allowed. The
# unit starts at the next boot, though the command that enabled it failed.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd
# enable LINES: what is said and made of app.service with these lines of [Install].
enable() {
    rm -rf tree && mkdir -p tree/etc/systemd/system tree/usr/lib/systemd/system
    printf '[Service]\nExecStart=/bin/true\n[Install]\n%b\n' "$1" > tree/etc/systemd/system/app.service
    root/bin/systemctl --root="$work/tree" --quiet enable app.service 2>&1 || echo "exit status $?"
    (cd tree/etc/systemd/system && find . -type l | sort)
}
root/bin/systemctl --version | head -1
same 'a comment behind the value' 'Failed to enable unit, "#" is not a valid unit name.
Failed to enable unit, "soon" is not a valid unit name.
exit status 1
./multi-user.target.wants/app.service' "$(enable 'WantedBy=multi-user.target # soon')"
same 'an alias of another type' 'Failed to enable unit, cannot alias app.service as app.timer.
exit status 1
./multi-user.target.wants/app.service' "$(enable 'WantedBy=multi-user.target\nAlias=app.timer')"
