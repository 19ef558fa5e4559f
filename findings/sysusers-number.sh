#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-sysusers 252: a user with a number of its own (`u storage 500`) gets another one where a group of another name has that number: the
# user ID is used, it says, though no user has it. The exit status is 0 and sysusers.d(5) tells nothing of that: what is owned by 500 on
# a shared volume is not the user's. With a primary group that is named, the number stays.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

# ids LINE...: user and group of the account `storage` that is made by these lines of sysusers.d.
ids() {
    rm -rf tree
    mkdir -p tree/etc tree/usr/lib/sysusers.d
    printf '%s\n' "$@" > tree/usr/lib/sysusers.d/a.conf
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd root/bin/systemd-sysusers --root="$work/tree" > sysusers.log 2>&1
    grep '^storage:' tree/etc/passwd | cut -d : -f 3,4
}
same 'alone' 500:500 "$(ids 'u storage 500')"
same 'beside another group with that number' 999:999 "$(ids 'u storage 500' 'g operators 500')"
same 'it says' 'Suggested user ID 500 for storage already used.' "$(ids 'u storage 500' 'g operators 500' > ids && grep Suggested sysusers.log)"
same 'with its group named' 500:600 "$(ids 'u storage 500:600' 'g shared 600' 'g operators 500')"
