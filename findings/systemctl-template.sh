#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 252: `systemctl enable` of a template without an instance is an error where an ordinary target wants it, and a unit that
# names it by Also= is enabled half: its own links are made, the exit status is 1. With DefaultInstance= the link is the instance's.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

units=$work/tree/etc/systemd/system
mkdir -p "$units" tree/usr/lib/systemd/system
enable() {
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd root/bin/systemctl --root="$work/tree" --quiet enable "$1" 2>&1 || echo "exit status $?"
    (cd "$units" && find . -type l | sort)
}
unit() { printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n%s' "$2" > "$units/$1"; }

unit t@.service ''
unit m.service 'Also=t@.service
'
LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd root/bin/systemctl --version | head -1
same 'a template' 'Failed to enable t@.service, destination unit multi-user.target is a non-template unit.
exit status 1' "$(enable t@.service)"
same 'a unit with Also= of it' 'Failed to enable t@.service, destination unit multi-user.target is a non-template unit.
exit status 1
./multi-user.target.wants/m.service' "$(enable m.service | grep -v 'non-existent unit')"
unit t@.service 'DefaultInstance=a
'
same 'with DefaultInstance=' './multi-user.target.wants/m.service
./multi-user.target.wants/t@a.service' "$(enable t@.service | grep -v 'non-existent unit')"
