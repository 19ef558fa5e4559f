#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containerd 1.6.20 merges `imports` by plugin and not by key: an imported file that says one thing of a plugin resets all else that
# the main file says of it. Here an operator adds a directory for registries, and the cgroup driver and the pause image are gone.
. "${BASH_SOURCE%/*}/fetch"
debian 'containerd=1.6.20~ds1-*'

cat > config.toml <<TOML
version = 2
imports = ["$work/conf.d/*.toml"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.example/pause:1"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
TOML
mkdir conf.d
dump() { root/usr/bin/containerd --config config.toml config dump | grep -E '^ *(SystemdCgroup|sandbox_image|config_path) ' | sed 's/^ *//'; }

root/usr/bin/containerd --version
same 'the main file alone' 'sandbox_image = "registry.example/pause:1"
SystemdCgroup = true
config_path = ""' "$(dump)"
cat > conf.d/registries.toml <<TOML
version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
TOML
same 'with an import that names the directory of registries only' 'sandbox_image = "registry.k8s.io/pause:3.6"
SystemdCgroup = false
config_path = "/etc/containerd/certs.d"' "$(dump)"
