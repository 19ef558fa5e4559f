// SPDX-License-Identifier: Apache-2.0
//! The running containerd held against what its main configuration, kubeadm and the kubelet expect of it.

use crate::io;
use crate::io::root::Root;
use crate::model::containerd::{MAIN, Settings};
use crate::model::problem::Problem;

/// Most of a configuration file that is read.
const MAX_FILE: usize = 1 << 20;

/// Where Cluster API's cloud-config has kubeadm's configuration.
const KUBEADM: &[&str] = &["/run/kubeadm/kubeadm.yaml", "/run/kubeadm/kubeadm-join-config.yaml"];

/// Where to look when an import changed what the main file says.
const CURE: &str = "look at `containerd config dump` and at the files in /etc/containerd/conf.d: in containerd 1 one that has a table \
                    of the CRI plugin replaces all of it, and must repeat what the main file says";

/// What does not fit together on this machine. Nothing, where no containerd answers: kubeadm's own checks tell of that.
/// `kubeadm` is a further place of kubeadm's configuration.
pub(super) fn check(root: &Root, kubeadm: &str) -> Vec<Problem> {
    let Some(used) = io::containerd::configuration() else { return Vec::new() };
    let read = |path: &str| {
        let bytes = root.read(path, MAX_FILE).ok().flatten();
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let main = Settings::of(&read(MAIN).unwrap_or_default());
    let files = KUBEADM.iter().copied().chain([kubeadm]).filter_map(read);
    differences(&main, &Settings::of(&used), &files.collect::<Vec<_>>().join("\n"))
}

/// The differences between what the main file says, what containerd uses, and kubeadm's configuration.
fn differences(main: &Settings, used: &Settings, kubeadm: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut tell = |what: String, cure: &str| problems.push(Problem::warning("containerd", what).cure(cure));
    let lost: Vec<&str> =
        main.runtimes.keys().filter(|name| !used.runtimes.contains_key(*name)).map(String::as_str).collect();
    if !lost.is_empty() {
        tell(format!("{MAIN} has the runtime {}, and containerd does not", lost.join(", ")), CURE);
    }
    if main.pause.is_some() && main.pause != used.pause {
        tell(format!("{MAIN} names another pause image than containerd uses"), CURE);
    }
    let driver = kubeadm.lines().find_map(|l| l.trim().strip_prefix("cgroupDriver:"));
    // kubeadm's default since Kubernetes 1.22.
    let value = |text: &'_ str| {
        text.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let driver = driver.map_or_else(|| "systemd".to_owned(), value);
    let theirs = if used.by_systemd() { "systemd" } else { "cgroupfs" };
    if used.cri && driver != theirs {
        let what = format!(
            "containerd's cgroups are managed by {theirs}, the kubelet's by {driver}: the node would be unstable"
        );
        let cure = match main.by_systemd() {
            true if theirs == "cgroupfs" => CURE,
            _ => {
                "set SystemdCgroup in the options of containerd's default runtime to what cgroupDriver of the kubelet says"
            }
        };
        tell(what, cure);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_import_took_away_is_told() {
        let cri = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n";
        let runc = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
        let good = format!("{cri}sandbox_image = \"r.example/pause:2\"\n{runc}");
        let replaced = format!(
            "{cri}sandbox_image = \"k8s.example/pause:1\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"k\"\n"
        );
        let cgroupfs = "kind: KubeletConfiguration\n  cgroupDriver: \"cgroupfs\" # as on the others\n";
        let cases: &[(&str, &str, &str, &[&str])] = &[
            (&good, &good, "", &[]),
            (
                &good,
                &replaced,
                "",
                &["the runtime runc", "another pause image", "managed by cgroupfs, the kubelet's by systemd"],
            ),
            ("", &good, "", &[]),
            ("", &replaced, "", &["managed by cgroupfs"]),
            ("", &replaced, cgroupfs, &[]),
            (&good, &good, cgroupfs, &["managed by systemd, the kubelet's by cgroupfs"]),
            // It can't tell.
            ("", "version = 2\n", "", &[]),
        ];
        for (main, used, kubeadm, want) in cases {
            let told = differences(&Settings::of(main), &Settings::of(used), kubeadm);
            assert_eq!(told.len(), want.len(), "{told:?}");
            for (told, want) in told.iter().zip(*want) {
                assert!(told.what.contains(want) && told.cure.is_some(), "{told:?}");
            }
        }
    }
}
