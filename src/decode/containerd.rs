// SPDX-License-Identifier: Apache-2.0
//! Files of bootstrap data that are containerd's configuration: the main file, and those that it imports. containerd 1 does not
//! merge: a file that has a table of a plugin replaces all that the main file says of that plugin.

use crate::model::config::NodeConfig;
use crate::model::containerd::{Broken, IMPORTED, MAIN, OWN, Settings, driver};
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::model::storage::File;

const CURE: &str = "registries need no such file, they go to /etc/containerd/certs.d; for all else write /etc/containerd/config.toml as a \
                    whole: with runtimes.runc, SystemdCgroup = true and sandbox_image";

/// Warns of files that do not do in containerd 1 what they say, or that take from it what the kubelet and kubeadm expect.
pub(super) fn check(config: &NodeConfig, problems: &mut Vec<Problem>) {
    let imported = |path: &str| {
        path.strip_prefix(IMPORTED).is_some_and(|name| name.ends_with(".toml") && !name.contains('/'))
    };
    let ours = |file: &&File| file.path == MAIN || imported(&file.path);
    if !config.files.iter().any(|file| ours(&file)) {
        return;
    }
    let contents = || config.files.iter().map(|file| &file.content);
    // A machine without kubeadm may do without these; and what a command edits, this does not follow.
    let programs = contents().filter(|text| text.expose().starts_with(b"#!"));
    let judged = says(config.programs().chain(contents()), &["kubeadm"])
        && !says(config.programs().chain(programs), &[MAIN, IMPORTED]);
    let others = config.files.iter().filter(|f| f.path != MAIN);
    let mut others = others.map(|f| String::from_utf8_lossy(f.content.expose()));
    let systemd = others.all(|text| driver(&text) == "systemd" && !text.contains("SystemdCgroup"));
    for file in config.files.iter().filter(ours) {
        let text = String::from_utf8_lossy(file.content.expose());
        let judged = judged && !file.append;
        let settings = match Settings::read(&text) {
            Ok(settings) => settings,
            // What is still to be filled in may be anything.
            Err(_) if !judged || text.contains("${") => continue,
            Err(Broken { line, what }) => {
                let what = format!(
                    "containerd does not start: it can't read this file as TOML, line {line}: {what}"
                );
                let cure = "correct the line: a string stands in quotes, and a name once; `containerd --config FILE config dump` reads the \
                            file as containerd does";
                problems.push(Problem::warning(&file.place, what).cure(cure).code("containerd/config"));
                continue;
            }
        };
        if let Some((what, cure)) = judged.then(|| fault(file.path == MAIN, systemd, &settings)).flatten() {
            problems.push(Problem::warning(&file.place, what).cure(cure).code("containerd/config"));
            continue;
        }
        if !settings.cri || file.path == MAIN {
            continue;
        }
        let what = match settings.version {
            Some(3..) => {
                "is of version 3, which containerd 1 does not read. On an image that footplate configured containerd 2 takes it; elsewhere it merges \
                 it only into a main file of version 3"
                    .to_owned()
            }
            _ => {
                let lacks = lacks(&settings);
                format!(
                    "containerd 1 takes the CRI plugin's settings from one file: on an image that footplate configured they stay those of \
                     {OWN}, elsewhere this file replaces all{lacks}"
                )
            }
        };
        problems.push(Problem::warning(&file.place, what).cure(CURE).code("containerd/config"));
    }
    if judged {
        behind(config, &config.files.iter().filter(ours).collect::<Vec<_>>(), problems);
    }
}

/// Warns of files that these import: containerd reads them behind all that the main file imports.
fn behind(config: &NodeConfig, ours: &[&File], problems: &mut Vec<Problem>) {
    let imports: Vec<String> = ours.iter().flat_map(|file| imports(file)).collect();
    let behind = |file: &&File| !ours.contains(file) && imports.iter().any(|path| fits(path, &file.path));
    for file in config.files.iter().filter(behind) {
        let text = String::from_utf8_lossy(file.content.expose());
        let settings = Settings::read(&text).ok().filter(|settings| settings.cri);
        if let Some(lacks) = settings.as_ref().map(lacks).filter(|lacks| !lacks.is_empty()) {
            let what = format!(
                "containerd 1 takes the CRI plugin's settings from one file, and this one is imported behind all others{lacks}"
            );
            problems.push(Problem::warning(&file.place, what).cure(CURE).code("containerd/config"));
        }
    }
}

/// What settings of the CRI plugin that replace all others do not have, of what a node needs.
fn lacks(settings: &Settings) -> &'static str {
    match () {
        () if !settings.by_systemd() => ", and it does not set SystemdCgroup = true for runc",
        () if settings.pause.is_none() => ", and it does not set sandbox_image",
        () => "",
    }
}

/// What a file imports: paths, with a `*` perhaps. One that is not absolute begins at the file's directory.
fn imports(file: &File) -> Vec<String> {
    let settings = Settings::read(&String::from_utf8_lossy(file.content.expose())).unwrap_or_default();
    let dir = file.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let absolute = |path: String| if path.starts_with('/') { path } else { format!("{dir}/{path}") };
    settings.imports.into_iter().map(absolute).collect()
}

/// Whether a path is one that an import names.
fn fits(import: &str, path: &str) -> bool {
    let Some((begins, ends)) = import.split_once('*') else { return import == path };
    let between = path.strip_prefix(begins).and_then(|path| path.strip_suffix(ends));
    between.is_some_and(|between| !between.contains('/'))
}

/// Whether a text has one of these words in it.
fn says<'a>(mut texts: impl Iterator<Item = &'a Secret>, words: &[&str]) -> bool {
    texts.any(|text| {
        words.iter().any(|word| text.expose().windows(word.len()).any(|part| part == word.as_bytes()))
    })
}

/// What keeps this file, the main one or not, from doing what it says, or Kubernetes from what it needs; and the cure. `systemd` is whether
/// the data leaves the cgroup driver to kubeadm and says no more of containerd's.
fn fault(main: bool, systemd: bool, settings: &Settings) -> Option<(&'static str, &'static str)> {
    // An imported file without a version has the main file's.
    let version = settings.version.unwrap_or(if main { 1 } else { 2 });
    let disabled = &settings.disabled;
    let is_cri = |name: &String| name == "cri" || name.contains(".cri.v1.") || name.ends_with(".v1.cri");
    let default = settings.default_runtime();
    let own = settings.imports.is_empty() || settings.runtimes.get(default).is_some_and(Option::is_some);
    let found = match () {
        () if version > 1 && (settings.short || disabled.iter().any(|name| !name.contains('.'))) => (
            "containerd does not start: from version 2 on it wants the full names of plugins, and this file has a short one",
            "write `io.containerd.grpc.v1.cri` for `cri`, and leave it out of `disabled_plugins`",
        ),
        () if disabled.iter().any(is_cri) => (
            "disabled_plugins has the CRI plugin: the kubelet and kubeadm find no container runtime",
            "leave it out of `disabled_plugins`",
        ),
        () if version < 2 && (settings.cri || !main) => (
            "is read as version 1: containerd 1 passes over all that stands below the CRI plugin's full name, in the files that it imports \
             and in the main file too",
            "begin the file with `version = 2`, before its first section",
        ),
        () if version < 2 && settings.short => (
            "is of version 1, and containerd 2 passes over its runtimes, registries and images",
            "begin the file with `version = 2`, and write `io.containerd.grpc.v1.cri` for `cri`",
        ),
        () if version > 2 && settings.moved => (
            "is of version 3, in which containerd 2 passes over the runtimes, registries and images below `io.containerd.grpc.v1.cri`",
            "write `version = 2`, or put them below `io.containerd.cri.v1.runtime` and `io.containerd.cri.v1.images`",
        ),
        () if main && own && !settings.by_systemd() && systemd => (
            "the default runtime does not have SystemdCgroup = true, and kubeadm's default is that systemd manages the kubelet's cgroups: the \
             node would be unstable",
            "set SystemdCgroup = true in the options of the runtime, such as \
             `[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]`",
        ),
        () => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_where_kubeadm_runs_and_nothing_edits_it() {
        let cri = "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n";
        let told = |path: &str, text: &str, command: &str| {
            let file = File::ours(path, text);
            let runcmd = vec![Secret::new(command.to_owned())];
            let mut problems = Vec::new();
            check(&NodeConfig { files: vec![file], runcmd, ..NodeConfig::default() }, &mut problems);
            problems.into_iter().map(|problem| problem.what).collect::<String>()
        };
        let join = "kubeadm join 192.0.2.1";
        for (path, text, command, want) in [
            (MAIN, "disabled_plugins = ['cri']".to_owned(), join, "find no container runtime"),
            (MAIN, "disabled_plugins = ['cri']".to_owned(), "docker run x", ""),
            (MAIN, "version = 2\n[debug]\n[debug]".to_owned(), join, "line 3: duplicate key"),
            (MAIN, "version = 2\nroot = /x\n".to_owned(), join, "line 2: string values must be quoted"),
            (MAIN, "version = 2\nimports = ['/a']\nroot = ${ROOT}\n".to_owned(), join, ""),
            (MAIN, "version = 2".to_owned(), join, "SystemdCgroup = true"),
            (MAIN, "version = 2".to_owned(), "sed -i s/a/b/ /etc/containerd/config.toml; kubeadm join", ""),
            (MAIN, "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']".to_owned(), join, ""),
            (MAIN, format!("version = 3\n{cri}"), join, "in which containerd 2 passes over"),
            (MAIN, cri.to_owned(), join, "is read as version 1"),
            (
                "/etc/containerd/conf.d/a.toml",
                cri.to_owned(),
                join,
                "takes the CRI plugin's settings from one file",
            ),
            ("/etc/containerd/conf.d/a.toml", "[debug]\nlevel = 'info'".to_owned(), join, ""),
            ("/etc/containerd/conf.d/a.toml", "version = 1".to_owned(), join, "is read as version 1"),
            ("/etc/containerd/other.toml", "version = 1".to_owned(), join, ""),
        ] {
            let told = told(path, &text, command);
            assert_eq!(told.is_empty(), want.is_empty(), "{text}: {told}");
            assert!(told.contains(want), "{text}: {told}");
        }
    }

    #[test]
    fn what_imported_files_import_is_told() {
        let runc = "SystemdCgroup = true";
        let cri = |set: &str| {
            format!(
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n\
                 [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n{set}\n"
            )
        };
        let (more, site) = ("/etc/containerd/conf.d/more/a.toml", "/etc/containerd/conf.d/site.toml");
        for (import, path, set, want) in [
            ("/opt/site/*.toml", "/opt/site/a.toml", "", true),
            ("/opt/site/a.toml", "/opt/site/a.toml", "", true),
            ("more/*.toml", more, "", true),
            ("more/*.toml", more, runc, false),
            ("/opt/site/*.toml", "/opt/site/b/a.toml", "", false),
            ("/opt/site/*.toml", "/opt/site/a.conf", "", false),
            ("/opt/site/a.toml", "/opt/site/a.tomlx", "", false),
        ] {
            let importing = File::ours(site, format!("version = 2\nimports = ['{import}']\n"));
            let runcmd = vec![Secret::new("kubeadm join 192.0.2.1".to_owned())];
            let files = vec![importing, File { place: "it".to_owned(), ..File::ours(path, cri(set)) }];
            let mut problems = Vec::new();
            check(&NodeConfig { files, runcmd, ..NodeConfig::default() }, &mut problems);
            let told = problems.iter().any(|p| p.place == "it" && p.what.contains("behind all others"));
            assert_eq!(told, want, "{import} {path} {set}: {problems:?}");
        }
    }
}
