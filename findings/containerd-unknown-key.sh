#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containerd 1.6.20 passes over keys and tables that it does not know at the top of its configuration, and `containerd config dump`, which
# shows what it takes, says nothing of them nor of a misspelt key of a plugin: exit status 0, and the defaults in their place. A
# key that stands twice is an error.
. "${BASH_SOURCE%/*}/fetch"
debian 'containerd=1.6.20~ds1-*'

cat > misspelt.toml <<'TOML'
version = 2
oom_scor = -999
[debgu]
level = "debug"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_imgae = "registry.example/pause:3.9"
TOML
printf 'version = 2\noom_score = 0\noom_score = 1\n' > twice.toml
dump() { root/usr/bin/containerd --config "$1" config dump 2>&1 && echo 'exit status 0' || echo "exit status $?"; }

root/usr/bin/containerd --version
same 'misspelt keys' 'oom_score = 0
level = ""
sandbox_image = "registry.k8s.io/pause:3.6"
exit status 0' "$(dump misspelt.toml | grep -E '^oom_scor|debgu|^ *level = |sandbox_im|level=|^exit' | sed 's/^ *//')"
same 'a key twice' 'containerd: failed to load TOML: twice.toml: (3, 1): The following key was defined twice: oom_score
exit status 1' "$(dump twice.toml)"
