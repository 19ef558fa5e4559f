#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containerd 1.6.20 takes an imported file of version 3, whose plugins have names that it does not know, without a word and without
# effect: exit status 0, and the main file's settings as they were. The registry's directory that the file names is not used.
. "${BASH_SOURCE%/*}/fetch"
debian 'containerd=1.6.20~ds1-*'

cat > three.toml <<TOML
version = 3
[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
TOML
mkdir conf.d && cp three.toml conf.d/
printf 'version = 2\nimports = ["%s/conf.d/*.toml"]\n' "$work" > main.toml
dump() { root/usr/bin/containerd --config "$1" config dump 2>&1 && echo 'exit status 0' || echo "exit status $?"; }

root/usr/bin/containerd --version
same 'with the import' 'version = 2
config_path = ""
exit status 0' "$(dump main.toml | grep -E '^version|^ *config_path|level=|^exit' | sed 's/^ *//')"
