#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-tmpfiles 252: tmpfiles.d(5) says that fields may have C-style escapes. In the path only the backslash is taken away: /a\x20b
# makes `ax20b`, with quotes and without. In the argument the escapes are decoded.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu/systemd
root/bin/systemd-tmpfiles --version | head -1
mkdir -p tree/etc/tmpfiles.d
cat > tree/etc/tmpfiles.d/a.conf <<'CONF'
d /a\x20b
d "/c\x20d"
f /e - - - - g\x20h
CONF
root/bin/systemd-tmpfiles --root="$work/tree" --create
same 'what was made' './ax20b
./cx20d
./e' "$(cd tree && find . -mindepth 1 -maxdepth 1 -not -name etc | sort)"
same 'what is in the file' 'g h' "$(cat tree/e)"
