// SPDX-License-Identifier: Apache-2.0
//! containerd as oracle: what it makes of a configuration that bootstrap data writes is what `check` says of it.

use std::fs;
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
    let root = needs!(debian::unpacked(&["containerd"]));
    let containerd = root.join("usr/bin/containerd");
    let short = GOOD.replace("\"io.containerd.grpc.v1.cri\"", "cri");
    let options =
        "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true";
    let inline = GOOD.replace(options, "options = { SystemdCgroup = true }");
    let no_runtime = "the kubelet and kubeadm find no container runtime";
    let no_start = "containerd does not start";
    let ignored = "is read as version 1";
    let cgroups = "does not have SystemdCgroup = true";
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
        (short.clone(), "", ""),
        (GOOD.to_owned(), "", ignored),
        (format!("version = 1\n{GOOD}"), "", ignored),
        (format!("{GOOD}version = 2\n"), "", ignored),
        (format!("{TWO}{IMPORTS}{GOOD}"), "version = 1\n[debug]\nlevel = \"info\"\n", ignored),
        (format!("{TWO}{short}"), "", no_start),
        (format!("{TWO}disabled_plugins = [\"cri\"]\n"), "", no_start),
        (format!("{TWO}{IMPORTS}{GOOD}"), "disabled_plugins = [\"cri\"]\n", no_start),
        ("disabled_plugins = [\"cri\"]\n".to_owned(), "", no_runtime),
        (format!("{TWO}disabled_plugins = [\n  'io.containerd.grpc.v1.cri',\n]\n{GOOD}"), "", no_runtime),
        (format!("{TWO}{IMPORTS}{GOOD}"), "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", no_runtime),
        (TWO.to_owned(), "", cgroups),
        (format!("{TWO}{MIRRORS}"), "", cgroups),
        (format!("{TWO}{}", GOOD.replace("true", "false")), "", cgroups),
        (short.replace("true", "false"), "", cgroups),
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
        let mut command = Command::new(&containerd);
        let dump = Ran::of(command.arg("--config").arg(dir.join("config")).args(["config", "dump"]));
        let has = |text: &str| dump.out.contains(text);
        let truth = match dump.code {
            0 if has("disabled_plugins = [\"") && !has("SystemdCgroup") => no_runtime,
            0 if has("SystemdCgroup = true") => "",
            0 if want == ignored => ignored,
            0 => cgroups,
            _ => no_start,
        };
        let told = told(&main, imported);
        assert_eq!(truth, want, "{main}{imported}\n{}{}", dump.out, dump.err);
        assert_eq!(told.contains("code: containerd/config"), !want.is_empty(), "{main}{imported}\n{told}");
        assert!(told.contains(want), "{main}{imported}\n{told}");
    }
}
