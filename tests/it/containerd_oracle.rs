// SPDX-License-Identifier: Apache-2.0
//! containerd as oracle: what it makes of a configuration that bootstrap data writes is what `check` says of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::debian;
use crate::common::scratch::{Ran, footplate, fresh};

const IMPORTS: &str = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n";
const TWO: &str = "version = 2\n";
const GOOD: &str = "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"registry.example/pause:9\"\n\
    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
const MIRRORS: &str =
    "[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n";

const NO_RUNTIME: &str = "the kubelet and kubeadm find no container runtime";
const NO_START: &str = "containerd does not start";
const CGROUPS: &str = "does not have SystemdCgroup = true";

/// What `check` says of the files, by a part of it; nothing where they are good.
fn told(main: &str, imported: &str) -> String {
    let file = |path: &str, text: &str| {
        let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
        format!("- path: {path}\n  content: |\n{lines}")
    };
    let mut data = format!(
        "#cloud-config\nruncmd: [kubeadm join 192.0.2.1]\nwrite_files:\n{}",
        file("/etc/containerd/config.toml", main)
    );
    if !imported.is_empty() {
        data += &file("/etc/containerd/conf.d/a.toml", imported);
    }
    let path = fresh("containerd-oracle-data").join("data");
    fs::write(&path, data).unwrap();
    footplate(&["check", path.to_str().unwrap()]).out
}

#[test]
fn what_containerd_makes_of_its_configuration_is_told() {
    let mut all = Vec::new();
    for suite in ["bookworm", "trixie", "forky"] {
        all.push(needs!(debian::unpacked_of(suite, &["containerd"])).join("usr/bin/containerd"));
    }
    let short = GOOD.replace("\"io.containerd.grpc.v1.cri\"", "cri");
    let options =
        "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true";
    let inline = GOOD.replace(options, "options = { SystemdCgroup = true }");
    let ignored = "is read as version 1";
    let old = "is of version 1";
    let moved = "is of version 3";
    for (main, imported, want) in [
        (format!("{TWO}{GOOD}"), "", ""),
        (
            format!("# ours\n{TWO}{IMPORTS}disabled_plugins = [] # \"cri\"\n{GOOD}"),
            "[debug]\nlevel = \"info\"\n",
            "",
        ),
        (
            format!(
                "{TWO}disabled_plugins = [\n  \"io.containerd.internal.v1.opt\", # no \"cri\"\n]\n{GOOD}"
            ),
            "",
            "",
        ),
        (format!("{TWO}{inline}"), "", ""),
        (format!("{TWO}{}", inline.replace("{ ", "{\n  ").replace(" }", "\n}")), "", ""),
        (short.clone(), "", old),
        (format!("version = 1\n{short}"), "", old),
        (format!("version = 3\n{GOOD}"), "", moved),
        (GOOD.to_owned(), "", ignored),
        (format!("version = 1\n{GOOD}"), "", ignored),
        (format!("{GOOD}version = 2\n"), "", ignored),
        (format!("{TWO}{IMPORTS}{GOOD}"), "version = 1\n[debug]\nlevel = \"info\"\n", ignored),
        (format!("{TWO}{short}"), "", NO_START),
        (format!("{TWO}disabled_plugins = [\"cri\"]\n"), "", NO_START),
        (format!("{TWO}{IMPORTS}{GOOD}"), "disabled_plugins = [\"cri\"]\n", NO_START),
        // Broken TOML, and what stands there twice.
        (format!("{TWO}{GOOD}[debug]\nlevel = info\n"), "", NO_START),
        (format!("{TWO}{GOOD}[debug]\nlevel = \"info\n"), "", NO_START),
        (format!("{TWO}{GOOD}[debug\n"), "", NO_START),
        (format!("{TWO}{GOOD}[debug]\nlevel: \"info\"\n"), "", NO_START),
        (format!("{TWO}imports = [\"/a\" \"/b\"]\n{GOOD}"), "", NO_START),
        (format!("{TWO}{}", GOOD.replace("true", "True")), "", NO_START),
        (format!("{TWO}{GOOD}{MIRRORS}{MIRRORS}"), "", NO_START),
        (format!("{TWO}{TWO}{GOOD}"), "", NO_START),
        (format!("{TWO}{GOOD}SystemdCgroup = true\n"), "", NO_START),
        (format!("{TWO}{IMPORTS}{GOOD}"), "[debug]\n[debug]\n", NO_START),
        (format!("{TWO}root = '/x' # \"\noom_score = -999\n[[stream]]\n[[stream]]\n{GOOD}"), "", ""),
        ("disabled_plugins = [\"cri\"]\n".to_owned(), "", NO_RUNTIME),
        (format!("{TWO}disabled_plugins = [\n  'io.containerd.grpc.v1.cri',\n]\n{GOOD}"), "", NO_RUNTIME),
        (format!("{TWO}{IMPORTS}{GOOD}"), "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", NO_RUNTIME),
        (TWO.to_owned(), "", CGROUPS),
        (format!("{TWO}{MIRRORS}"), "", CGROUPS),
        (format!("{TWO}{}", GOOD.replace("true", "false")), "", CGROUPS),
        (short.replace("true", "false"), "", old),
        (
            format!(
                "{TWO}[metrics]\naddress = \"\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n{GOOD}"
            ),
            "",
            "",
        ),
    ] {
        let dir = fresh("containerd-oracle");
        let here = |text: &str| text.replace("/etc/containerd/conf.d", dir.to_str().unwrap());
        fs::write(dir.join("config"), here(&main)).unwrap();
        fs::write(dir.join("a.toml"), imported).unwrap();
        let told = told(&main, imported);
        let truths: Vec<&str> = all.iter().map(|program| truth(program, &dir.join("config"))).collect();
        let expected = match want {
            // What a version passes over is only seen by what it lacks then.
            w if w == ignored || w == old || w == moved => CGROUPS,
            w => w,
        };
        assert!(truths.contains(&expected), "{main}{imported}\n{truths:?}");
        assert_eq!(truths.iter().all(|t| t.is_empty()), want.is_empty(), "{main}{imported}\n{truths:?}");
        assert_eq!(told.contains("code: containerd/config"), !want.is_empty(), "{main}{imported}\n{told}");
        assert!(told.contains(want), "{main}{imported}\n{told}");
    }
}

/// What this containerd makes of a configuration, in `check`'s words.
fn truth(containerd: &Path, config: &Path) -> &'static str {
    let dump = Ran::of(Command::new(containerd).arg("--config").arg(config).args(["config", "dump"]));
    let disabled = dump.out.lines().find(|line| line.starts_with("disabled_plugins")).unwrap_or_default();
    match dump.code {
        0 if disabled.contains("cri") => NO_RUNTIME,
        0 if dump.out.contains("SystemdCgroup = true") => "",
        0 => CGROUPS,
        _ => NO_START,
    }
}
