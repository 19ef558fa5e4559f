#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 252: `systemctl disable` of a unit whose file is gone says that it failed since the unit does not exist, then removes the
# links, and exits with 0.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd
root/bin/systemctl --version | head -1
wants=tree/etc/systemd/system/multi-user.target.wants
mkdir -p "$wants" tree/usr/lib/systemd/system && ln -s /usr/lib/systemd/system/gone.service "$wants"
ctl() { root/bin/systemctl --root="$work/tree" "$@" 2>&1 | sed "s|$work||g"; echo "exit status ${PIPESTATUS[0]}"; }
same 'disable' 'Failed to disable unit, unit gone.service does not exist.
Removed "/tree/etc/systemd/system/multi-user.target.wants/gone.service".
exit status 0' "$(ctl disable gone.service)"
