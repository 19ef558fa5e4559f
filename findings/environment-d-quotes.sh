#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 252: a file of environment.d has quotes as in EnvironmentFile=, and they are taken away, but they keep nothing from being
# expanded: '$NAME' in single quotes is expanded like the rest, and so is \$NAME. Only $$ is a dollar. environment.d(5) names neither
# quotes nor an escape, so a password with a dollar is cut.
. "${BASH_SOURCE%/*}/fetch"
debian 'systemd=252.*' 'libsystemd-shared=252.*'

mkdir -p .config/environment.d
cat > .config/environment.d/a.conf <<'CONF'
SINGLE='pa$word'
BACKSLASH=pa\$word
DOUBLED=pa$$word
CONF
same 'the environment' 'BACKSLASH=pa
DOUBLED="pa\$word"
SINGLE=pa' "$(env -i HOME="$work" LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu/systemd" \
    root/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator | grep 'pa' | grep -E '^(S|B|D)' | sort)"
