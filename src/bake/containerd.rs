// SPDX-License-Identifier: Apache-2.0
//! containerd's configuration as it takes it: the main file and all that it imports. In containerd 1 a file that has a
//! plugin's table replaces that table whole, whatever the files before it say; containerd 2 merges the tables.

use anyhow::{Result, bail};

use super::conflicts::{Conflict, KUBELET_CONFIG, Kind, View, yaml_value};
use super::lock::Artifact;
use super::node::{CONTAINERD_CONFIG, CONTAINERD_CRI};
use crate::model::containerd::{Broken, Settings, tells_the_kubelet};

/// Main files, the first that is there in use.
const MAIN: &[&str] = &[CONTAINERD_CONFIG, "/usr/share/containerd/config.toml"];

/// The most files that are looked at, those that import each other included.
const MAX_FILES: usize = 256;

/// A file of the configuration.
pub(super) struct File {
    pub path: String,
    pub settings: Settings,
    /// Where it is no TOML. Its settings are none then.
    pub broken: Option<Broken>,
}

impl File {
    fn read(path: &str, text: &str) -> Self {
        let (settings, broken) = match Settings::read(text) {
            Ok(settings) => (settings, None),
            Err(broken) => (Settings::default(), Some(broken)),
        };
        Self { path: path.to_owned(), settings, broken }
    }
}

/// The files of the configuration, each before those that it imports; empty where the main file does not exist.
pub(super) fn files(view: &View<'_>) -> Result<Vec<File>> {
    let mut files: Vec<File> = Vec::new();
    for path in MAIN {
        if let Some(text) = view.text(path)? {
            files.push(File::read(path, &text));
            break;
        }
    }
    let mut next = 0;
    while let Some(file) = files.get(next) {
        let mut paths = Vec::new();
        for pattern in &file.settings.imports {
            paths.extend(matching(view, &file.path, pattern)?);
        }
        for path in paths {
            if files.iter().any(|f| f.path == path) {
                continue;
            }
            if let Some(text) = view.text(&path)? {
                files.push(File::read(&path, &text));
            }
            if files.len() > MAX_FILES {
                bail!("{}: imports more than {MAX_FILES} files", files[0].path);
            }
        }
        next += 1;
    }
    Ok(files)
}

/// Whether this containerd merges what its files say of a plugin.
pub(super) fn merges(containerd: &Artifact) -> bool {
    let major = containerd.version.trim_start_matches('v').split('.').next();
    major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 2)
}

/// Whether a file has a table of the CRI plugin.
fn has_cri(file: &&File) -> bool {
    file.settings.cri
}

/// The CRI plugin's settings that count, with the file that they stand in. `merges` is whether this containerd merges.
fn cri(files: &[File], merges: bool) -> Option<(&str, Settings)> {
    let last = files.iter().rfind(has_cri).or(files.first())?;
    if !merges {
        return Some((&last.path, last.settings.clone()));
    }
    let mut all = Settings::default();
    // What stands last wins.
    for Settings { pause, default_runtime, runtimes, .. } in files.iter().map(|file| &file.settings) {
        all.pause = pause.clone().or(all.pause);
        all.default_runtime = default_runtime.clone().or(all.default_runtime);
        for (name, set) in runtimes {
            let have = all.runtimes.entry(name.clone()).or_default();
            *have = set.or(*have);
        }
    }
    Some((&last.path, all))
}

/// What follows of a file that containerd 1 imports.
const REPLACES: &str =
    " (an import replaces all settings of the CRI plugin in containerd 1: it must have all of them)";

/// containerd, kubeadm and the kubelet agree on the pause image and on who manages cgroups.
pub(super) fn settings(view: &View<'_>, found: &mut Vec<Conflict>) -> Result<()> {
    let files = files(view)?;
    let containerd = view.lock.artifact("containerd");
    let merges = containerd.is_some_and(merges);
    let config = cri(&files, merges);
    found.extend(files.iter().filter_map(broken));
    found.extend(of_another_version(&files));
    if !merges {
        found.extend(without_effect(&files));
    }
    // A table that replaces the main file's says all that counts.
    let own = |path: &str| path == CONTAINERD_CRI || files.first().is_some_and(|main| main.path == path);
    let replaces = |path: &str| !merges && !own(path);
    let asks = match (containerd, view.lock.artifact("kubelet")) {
        (Some(containerd), Some(kubelet)) => tells_the_kubelet(&containerd.version, &kubelet.version),
        _ => false,
    };
    let driver = match view.text(KUBELET_CONFIG)? {
        Some(text) => yaml_value(&text, "cgroupDriver"),
        None => None,
    };
    // kubeadm's default since Kubernetes 1.22.
    let by_systemd = driver.as_deref().unwrap_or("systemd") == "systemd";
    if let Some((path, settings)) = &config {
        let why = if replaces(path) { REPLACES } else { "" };
        let theirs = settings.by_systemd();
        // Without the runtime of its own, containerd has that of its build.
        if (settings.runtimes.contains_key(settings.default_runtime()) || replaces(path))
            && theirs != by_systemd
            && !asks
            && view.locked("/opt/bin/kubelet")
        {
            found.push(Conflict {
                kind: Kind::Cgroup,
                what: format!(
                    "{path} has SystemdCgroup = {theirs}{why}, the kubelet's cgroupDriver is {}",
                    driver.as_deref().unwrap_or("systemd")
                ),
                choice: "--containerd-config writes one that agrees with kubeadm".to_owned(),
            });
        }
        let theirs = settings.pause.clone();
        let theirs = theirs.or(replaces(path).then(|| "that containerd brings".to_owned()));
        if let (Some(theirs), Some(wanted)) = (theirs, &view.pause_image)
            && theirs != *wanted
        {
            found.push(Conflict {
                kind: Kind::Pause,
                what: format!("{path} has the pause image {theirs}{why}, this kubeadm pulls {wanted}"),
                choice: "--containerd-config writes one that agrees with kubeadm".to_owned(),
            });
        }
    }
    Ok(())
}

/// A file that containerd does not start with.
fn broken(file: &File) -> Option<Conflict> {
    let Broken { line, what } = file.broken.as_ref()?;
    Some(Conflict {
        kind: Kind::Containerd,
        what: format!(
            "{}, line {line}: containerd can't read it as TOML, and does not start: {what}",
            file.path
        ),
        choice: "correct the line".to_owned(),
    })
}

/// A file of the CRI plugin in another version than the main file, or in a version that containerd 1 does not read.
fn of_another_version(files: &[File]) -> Option<Conflict> {
    let (main, imported) = files.split_first()?;
    let version = |file: &File| file.settings.version.unwrap_or(1);
    let of = version(main);
    let file = imported.iter().find(|f| match of {
        3.. => version(f) < 3 && has_cri(f),
        _ => version(f) > 2,
    })?;
    let (what, plugins) = match of {
        3.. => ("containerd 2 ignores its settings of the CRI plugin", "\"io.containerd.cri.v1.runtime\""),
        _ => (
            "containerd 1.6 ignores it, 1.7 may not start with it, and 2 does not merge it",
            "\"io.containerd.grpc.v1.cri\"",
        ),
    };
    Some(Conflict {
        kind: Kind::Containerd,
        what: format!(
            "{} is of version {} and {} of version {of}: {what}",
            file.path,
            version(file),
            main.path
        ),
        choice: format!("write it in version {of}, for the plugin {plugins}"),
    })
}

/// An operator's settings of the CRI plugin before those that `bake` writes: containerd 1 takes the last ones only.
fn without_effect(files: &[File]) -> Option<Conflict> {
    let mut with = files.iter().filter(has_cri);
    let (first, last) = (with.next()?, with.next_back()?);
    (last.path == CONTAINERD_CRI).then(|| Conflict {
        kind: Kind::Containerd,
        what: format!(
            "{} has settings of the CRI plugin, and {CONTAINERD_CRI}, which is imported after it, replaces all of them in containerd 1",
            first.path
        ),
        choice: "registries go to /etc/containerd/certs.d; for all else write /etc/containerd/config.toml yourself, as a whole, and leave \
                 out --containerd-config"
            .to_owned(),
    })
}

/// The files that a pattern stands for: a `*` in the name alone, as in `/etc/containerd/conf.d/*.toml`. A path that is not
/// absolute begins at the file's directory.
fn matching(view: &View<'_>, file: &str, pattern: &str) -> Result<Vec<String>> {
    let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("{dir}/{pattern}") };
    let (dir, name) = pattern.rsplit_once('/').unwrap_or_default();
    let Some((begins, ends)) = name.split_once('*') else { return Ok(vec![pattern]) };
    let fits =
        |n: &String| n.len() >= begins.len() + ends.len() && n.starts_with(begins) && n.ends_with(ends);
    Ok(view.names(dir)?.into_iter().filter(fits).map(|name| format!("{dir}/{name}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_version_is_told() {
        let file = File::read;
        let (two, three) = (file("main", "version = 2\n"), file("site", "version = 3\n[plugins]\n"));
        let told = of_another_version(&[two, three]).unwrap();
        assert!(told.what.starts_with("site is of version 3 and main of version 2: "), "{}", told.what);
        let three = || file("m", "version = 3\n");
        assert!(of_another_version(&[three(), three()]).is_none());
        let cri = |version: u8| {
            file("s", &format!("version = {version}\n[plugins.\"io.containerd.grpc.v1.cri\"]\na = 1\n"))
        };
        assert!(of_another_version(&[three(), cri(2)]).is_some());
        assert!(of_another_version(&[three(), file("s", "version = 2\n[grpc]\n")]).is_none());
        assert!(of_another_version(&[]).is_none());
    }

    #[test]
    fn the_last_table_counts_unless_tables_are_merged() {
        let file = File::read;
        let pause =
            |image: &str| format!("[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = '{image}'\n");
        let runc =
            "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
        let files = [file("main", &(pause("x") + runc)), file("a", &pause("y")), file("b", "[grpc]\n")];
        let found = |files: &[File], merges| {
            cri(files, merges).map(|(path, all)| (path.to_owned(), all.pause.clone(), all.by_systemd()))
        };
        assert_eq!(found(&files, false), Some(("a".to_owned(), Some("y".to_owned()), false)));
        assert_eq!(found(&files, true), Some(("a".to_owned(), Some("y".to_owned()), true)));
        assert_eq!(found(&files[2..], false), Some(("b".to_owned(), None, false)));
        assert!(cri(&[], false).is_none());
        assert!(broken(&file("c", "a = 1\n[a\n")).is_some_and(|told| told.what.starts_with("c, line 2: ")));
        assert!(files.iter().all(|file| broken(file).is_none()));
    }
}
