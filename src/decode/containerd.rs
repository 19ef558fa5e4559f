// SPDX-License-Identifier: Apache-2.0
//! Files of bootstrap data that containerd imports. containerd 1 does not merge: a file that has a table of a plugin replaces all
//! that the main file says of that plugin.

use crate::model::config::NodeConfig;
use crate::model::containerd::{IMPORTED, OWN, Settings};
use crate::model::problem::Problem;

const CURE: &str = "registries need no such file, they go to /etc/containerd/certs.d; for all else write /etc/containerd/config.toml as a \
                    whole: with runtimes.runc, SystemdCgroup = true and sandbox_image";

/// Warns of files that do not do in containerd 1 what they say, or that take from it what the kubelet and kubeadm expect.
pub(super) fn check(config: &NodeConfig, problems: &mut Vec<Problem>) {
    let imported = |path: &str| path.strip_prefix(IMPORTED).is_some_and(|name| name.ends_with(".toml"));
    for file in config.files.iter().filter(|f| imported(&f.path)) {
        let settings = Settings::of(&String::from_utf8_lossy(file.content.expose()));
        if !settings.cri {
            continue;
        }
        let what = match settings.version {
            Some(3..) => {
                "is of version 3, which containerd 1 does not read. On an image that footplate configured containerd 2 takes it; elsewhere it merges \
                 it only into a main file of version 3"
                    .to_owned()
            }
            _ => {
                let lacks = match () {
                    () if !settings.by_systemd() => ", and it does not set SystemdCgroup = true for runc",
                    () if settings.pause.is_none() => ", and it does not set sandbox_image",
                    () => "",
                };
                format!(
                    "containerd 1 takes the CRI plugin's settings from one file: on an image that footplate configured they stay those of \
                     {OWN}, elsewhere this file replaces all{lacks}"
                )
            }
        };
        problems.push(Problem::warning(&file.place, what).cure(CURE));
    }
}
