// SPDX-License-Identifier: Apache-2.0
//! Files of bootstrap data that containerd imports. containerd 1 does not merge: a file that has a table of a plugin replaces all
//! that the main file says of that plugin.

use crate::model::config::NodeConfig;
use crate::model::containerd::{IMPORTED, Settings};
use crate::model::problem::Problem;

const CURE: &str = "repeat in it what /etc/containerd/config.toml says of this plugin: runtimes.runc with SystemdCgroup = true, and \
                    sandbox_image; registries need no such file, they go to /etc/containerd/certs.d";

/// Warns of files that take from containerd what the kubelet and kubeadm expect of it.
pub(super) fn check(config: &NodeConfig, problems: &mut Vec<Problem>) {
    let imported = |path: &str| path.strip_prefix(IMPORTED).is_some_and(|name| name.ends_with(".toml"));
    for file in config.files.iter().filter(|f| imported(&f.path)) {
        let settings = Settings::of(&String::from_utf8_lossy(file.content.expose()));
        if !settings.cri {
            continue;
        }
        if settings.version.is_some_and(|v| v > 2) {
            let what = "is of version 3: containerd 1.6 passes it over, 1.7 does not start with it, and 2 does not merge it into a main file \
                        of version 2";
            let cure = "write it in version 2, for the plugin \"io.containerd.grpc.v1.cri\"";
            problems.push(Problem::warning(&file.place, what).cure(cure));
        }
        let lacks = match () {
            () if !settings.by_systemd() => "SystemdCgroup = true for runc",
            () if settings.pause.is_none() => "sandbox_image",
            () => continue,
        };
        let what =
            format!("replaces all settings of the CRI plugin in containerd 1, and does not set {lacks}");
        problems.push(Problem::warning(&file.place, what).cure(CURE));
    }
}
