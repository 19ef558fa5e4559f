#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containerd 1.6.20: a configuration of version 2 whose first line, `version = 2`, was forgotten is one of version 1, in which the plugin
# has another name. All that it says of the plugin is dropped: the only message is that version 1 is deprecated.
. "${BASH_SOURCE%/*}/fetch"
debian 'containerd=1.6.20~ds1-*'

cat > without.toml <<TOML
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.example/pause:1"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
TOML
{ echo 'version = 2'; cat without.toml; } > with.toml
dump() { root/usr/bin/containerd --config "$1" config dump 2> log | grep -E '^ *(SystemdCgroup|sandbox_image) ' | sed 's/^ *//'; }

root/usr/bin/containerd --version
same 'with the line' 'sandbox_image = "registry.example/pause:1"
SystemdCgroup = true' "$(dump with.toml)"
same 'without it' 'sandbox_image = "registry.k8s.io/pause:3.6"
SystemdCgroup = false' "$(dump without.toml)"
same 'what is said' 'containerd config version `1` has been deprecated' "$(sed 's/.*msg="//; s/deprecated.*/deprecated/' log)"
