// SPDX-License-Identifier: Apache-2.0
//! containerd's configuration beside what the bootstrap data adds to it, and the running containerd held against what its main
//! configuration, kubeadm and the kubelet expect of it.

use crate::bake::{self, lock::Lock, node::cri_settings};
use crate::io;
use crate::io::root::Root;
use crate::model::containerd::{IMPORTED, MAIN, OWN, Settings, driver, tells_the_kubelet};
use crate::model::plan::{Item, Plan};
use crate::model::problem::{Failure, In as _, Problem, Stage};
use crate::model::storage::File;

/// Most of a configuration file that is read.
const MAX_FILE: usize = 1 << 20;

/// Where Cluster API's cloud-config has kubeadm's configuration.
const KUBEADM: &[&str] = &["/run/kubeadm/kubeadm.yaml", "/run/kubeadm/kubeadm-join-config.yaml"];

/// Where to look when an import changed what the main file says.
const CURE: &str = "look at `containerd config dump`: containerd 1 takes a plugin's settings from the last file that has any, and must find all of \
                    them there; registries go to /etc/containerd/certs.d";

/// The settings of [`OWN`] in version 3; a name that sorts behind an operator's.
const OWN_OF_VERSION_THREE: &str = "/etc/containerd/conf.d/zz-footplate.toml";

/// A file that keeps the node's own settings of the CRI plugin where an operator's file is of version 3 and [`OWN`] of version 2:
/// containerd 2 then takes the operator's runtimes alone. An image whose lock has no containerd runs the release's own, of which only the
/// boot knows the version; containerd 1 passes over what is of version 3, since [`OWN`] comes last.
///
/// # Errors
/// A file can't be read.
pub(super) fn beside(root: &Root, plan: &Plan) -> Result<Option<Item>, Failure> {
    let read = |path: &str| root.read(path, MAX_FILE).stage(Stage::Apply);
    let settings = |bytes: &[u8]| Settings::read(&String::from_utf8_lossy(bytes)).unwrap_or_default();
    let own = read(OWN)?.map(|bytes| settings(&bytes));
    let Some(Settings { version: Some(2), pause: Some(pause), .. }) = own else { return Ok(None) };
    let three = |bytes: &[u8]| matches!(settings(bytes), Settings { version: Some(3..), cri: true, .. });
    let imported =
        |path: &str| path.starts_with(IMPORTED) && path.ends_with(".toml") && path != OWN_OF_VERSION_THREE;
    let files = plan.items.iter().filter_map(|item| match item {
        Item::File(file) if imported(&file.path) => Some(file),
        _ => None,
    });
    let mut needed = files.into_iter().any(|file| three(file.content.expose()));
    for name in root.list(IMPORTED).stage(Stage::Apply)? {
        let path = format!("{IMPORTED}{name}");
        needed = needed || imported(&path) && read(&path)?.is_some_and(|bytes| three(&bytes));
    }
    Ok(needed.then(|| Item::File(File::ours(OWN_OF_VERSION_THREE, cri_settings(&pause, 3)))))
}

/// What does not fit together on this machine. Nothing, where no containerd answers: kubeadm's own checks tell of that.
/// `kubeadm` is a further place of kubeadm's configuration.
pub(super) fn check(root: &Root, kubeadm: &str) -> Vec<Problem> {
    let used = io::containerd::configuration().and_then(|text| Settings::read(&text).ok());
    let Some(used) = used else { return Vec::new() };
    let read = |path: &str| {
        let bytes = root.read(path, MAX_FILE).ok().flatten();
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let names = root.list(IMPORTED).unwrap_or_default();
    let imports = names.iter().filter(|n| n.ends_with(".toml")).map(|name| format!("{IMPORTED}{name}"));
    let said = [MAIN.to_owned()].into_iter().chain(imports).chain([OWN.to_owned()]);
    let said: Vec<_> = said.filter_map(|path| Some((Settings::read(&read(&path)?).ok()?, path))).collect();
    let files = KUBEADM.iter().copied().chain([kubeadm]).filter_map(read);
    let lock = bake::baked_lock(root).ok().flatten();
    let asks = |used: &Settings| lock.as_ref().is_some_and(|lock| kubelet_asks(lock, used));
    differences(&said, &used, &files.collect::<Vec<_>>().join("\n"), asks(&used))
}

/// Whether this image's kubelet asks containerd for the cgroup driver. containerd 2 writes its configuration in version 3.
fn kubelet_asks(lock: &Lock, used: &Settings) -> bool {
    let containerd = used.version.filter(|v| *v >= 3).map_or("1", |_| "2");
    lock.artifact("kubelet").is_some_and(|kubelet| tells_the_kubelet(containerd, &kubelet.version))
}

/// The differences between what the files of its configuration say, each with its path, what containerd uses, and kubeadm's
/// configuration. `asks` is whether the kubelet takes the cgroup driver from containerd.
fn differences(said: &[(Settings, String)], used: &Settings, kubeadm: &str, asks: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut tell = |what: String, cure: &str| problems.push(Problem::warning("containerd", what).cure(cure));
    for (file, path) in said {
        let lost = |name: &&String| !used.runtimes.contains_key(*name);
        let lost: Vec<&str> = file.runtimes.keys().filter(lost).map(String::as_str).collect();
        if !lost.is_empty() {
            tell(format!("{path} has the runtime {}, and containerd does not", lost.join(", ")), CURE);
        }
        if file.pause.is_some() && file.pause != used.pause {
            tell(format!("{path} names another pause image than containerd uses"), CURE);
        }
        let other = |(name, set): &(&String, &Option<bool>)| {
            set.is_some() && used.runtimes.get(*name).is_some_and(|used| used != *set)
        };
        if let Some((name, _)) = file.runtimes.iter().find(other) {
            tell(format!("{path} sets SystemdCgroup of {name}, and containerd does not take it"), CURE);
        }
    }
    let driver = driver(kubeadm);
    let theirs = if used.by_systemd() { "systemd" } else { "cgroupfs" };
    if used.cri && driver != theirs && !asks {
        let what = format!(
            "containerd's cgroups are managed by {theirs}, the kubelet's by {driver}: the node would be unstable"
        );
        let cure = match said.iter().any(|(file, _)| file.by_systemd()) {
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
        let off = good.replace("true", "false");
        let mixed = "managed by cgroupfs, the kubelet's by systemd";
        let cases: &[(&[&str], &str, &str, &[&str])] = &[
            (&[&good], &good, "", &[]),
            (&[&good], &replaced, "", &["0 has the runtime runc", "0 names another pause image", mixed]),
            (&[], &good, "", &[]),
            (&[], &replaced, "", &[mixed]),
            (&[], &replaced, cgroupfs, &[]),
            (&[&good], &good, cgroupfs, &["managed by systemd, the kubelet's by cgroupfs"]),
            // An operator's file has no effect, for another is imported after it.
            (
                &["version = 2", &replaced, &good],
                &good,
                "",
                &["1 has the runtime kata", "1 names another pause"],
            ),
            (&[&off, &good], &good, "", &["0 sets SystemdCgroup of runc"]),
            // It can't tell.
            (&[], "version = 2\n", "", &[]),
        ];
        for (said, used, kubeadm, want) in cases {
            let said: Vec<_> = said
                .iter()
                .enumerate()
                .map(|(at, text)| (Settings::read(text).unwrap(), at.to_string()))
                .collect();
            let told = |asks| differences(&said, &Settings::read(used).unwrap(), kubeadm, asks);
            for (told, want) in told(false).iter().zip(*want) {
                assert!(told.what.contains(want) && told.cure.is_some(), "{told:?}");
            }
            assert_eq!(told(false).len(), want.len(), "{:?}", told(false));
            // What differs from the kubelet's is no matter where the kubelet asks.
            assert_eq!(told(true).len(), want.iter().filter(|w| !w.contains("managed by")).count());
        }
    }
}
