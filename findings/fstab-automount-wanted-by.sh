#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 252: the generator of mount units honours x-systemd.wanted-by= of fstab(5) for a mount and drops it without a word for an
# automount: that one is required by local-fs.target instead, so a boot that lacks it fails, and the named unit does not start it.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

cat > fstab <<FSTAB
/dev/vdb /plain ext4 defaults,x-systemd.wanted-by=app.service 0 0
/dev/vdc /onuse ext4 defaults,x-systemd.wanted-by=app.service,x-systemd.automount 0 0
FSTAB
mkdir units
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd
root/bin/systemctl --version | head -1
SYSTEMD_FSTAB=$work/fstab root/lib/systemd/system-generators/systemd-fstab-generator units units units
links() { (cd units && find . -type l -name "$1" | sort); }
same 'who starts the mount' ./app.service.wants/plain.mount "$(links 'plain.*')"
same 'who starts the automount' ./local-fs.target.requires/onuse.automount "$(links 'onuse.*')"
