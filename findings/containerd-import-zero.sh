#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containerd 1.6: an imported file can change what the main file says, but not to nothing: an empty list, a zero and an empty text have no
# effect. What the main file lists in `disabled_plugins` stays disabled, so a drop-in file can't bring the plugin back.
. "${BASH_SOURCE%/*}/fetch"
debian 'containerd=1.6.20~ds1-*'

cri=io.containerd.grpc.v1.cri aufs=io.containerd.snapshotter.v1.aufs
printf '%s\n' 'version = 2' 'imports = ["add.toml"]' "disabled_plugins = [\"$cri\"]" 'oom_score = -999' '[grpc]' 'uid = 5' '[debug]' \
    'level = "debug"' > config.toml
# with DISABLED OOM_SCORE UID LEVEL: what counts where the imported file says these.
with() {
    printf '%s\n' 'version = 2' "disabled_plugins = $1" "oom_score = $2" '[grpc]' "uid = $3" '[debug]' "level = $4" > add.toml
    root/usr/bin/containerd --config config.toml config dump > dump
    grep '^disabled_plugins\|^oom_score' dump
    sed -n '/^\[grpc\]/,/^$/p' dump | grep '^ *uid'
    sed -n '/^\[debug\]/,/^$/p' dump | grep '^ *level'
}
root/usr/bin/containerd --version
same 'other values' 'disabled_plugins = ["'$cri'", "'$aufs'"]
oom_score = -1
  uid = 6
  level = "info"' "$(with '["'$aufs'"]' -1 6 '"info"')"
same 'empty values' 'disabled_plugins = ["'$cri'"]
oom_score = -999
  uid = 5
  level = "debug"' "$(with '[]' 0 0 '""')"
