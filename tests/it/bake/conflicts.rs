// SPDX-License-Identifier: Apache-2.0
//! What `bake` refuses to put beside each other, and `verify` reports.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::image::Image;
use crate::common::debian;
use crate::common::scratch::{Ran, footplate};

const PROGRAM: &[u8] = b"#!/bin/sh\n";

/// A conflict: its kind, how it comes to be, what is said of it, and whether an image can have it after a bake.
type Case = (&'static str, fn(&Image), &'static str);

fn tool(image: &Image, name: &str) {
    versioned(image, name, "1");
}

fn versioned(image: &Image, name: &str, version: &str) {
    let mut lock = image.read_lock();
    let install = json!([{"from": "", "to": format!("/opt/bin/{name}"), "mode": "0755"}]);
    let artifact = image.publish(name, version, name, PROGRAM, install);
    lock["artifacts"].as_array_mut().unwrap().push(artifact);
    fs::write(&image.lock, lock.to_string()).unwrap();
}

const CASES: &[Case] = &[
    (
        "shadowed",
        |image| {
            tool(image, "crictl");
            image.put_program("/usr/bin/crictl", PROGRAM);
        },
        "/opt/bin/crictl and /usr/bin/crictl",
    ),
    (
        "shadowed",
        |image| image.put_program("/usr/sbin/kubeadm", PROGRAM),
        "/opt/bin/kubeadm and /usr/sbin/kubeadm",
    ),
    (
        "unit",
        |image| image.put("/usr/lib/systemd/system/kubelet.service", "[Service]\n"),
        "/etc/systemd/system/kubelet.service over /usr/lib/systemd/system/kubelet.service",
    ),
    (
        "containerd",
        |image| {
            tool(image, "containerd");
            image.put_program("/usr/bin/containerd", PROGRAM);
            image.put("/etc/systemd/system/containerd.service", "[Service]\n");
        },
        "/opt/bin/containerd and /usr/bin/containerd: two containerds",
    ),
    (
        "containerd",
        |image| {
            tool(image, "containerd");
            image.put("/etc/systemd/system/containerd.service", "[Service]\n");
            fs::create_dir_all(image.path("/etc/extensions")).unwrap();
            symlink("/usr/share/flatcar/x.raw", image.path("/etc/extensions/containerd-flatcar.raw"))
                .unwrap();
        },
        "/etc/extensions/containerd-flatcar.raw: two containerds",
    ),
    ("containerd", |image| tool(image, "containerd"), "/opt/bin/containerd: no unit starts it"),
    (
        "socket",
        |image| {
            let config = "[grpc]\naddress = \"/run/docker/libcontainerd/docker-containerd.sock\"\n";
            image.put("/etc/containerd/config.toml", config);
        },
        "/etc/containerd/config.toml names the socket /run/docker/libcontainerd/docker-containerd.sock",
    ),
    (
        "pause",
        |image| {
            let config =
                "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"registry.example/pause:0\"\n";
            image.put("/usr/share/containerd/config.toml", config);
        },
        "has the pause image registry.example/pause:0, this kubeadm pulls registry.example/pause:1.34.1",
    ),
    (
        "cgroup",
        |image| {
            let config = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n\
                          SystemdCgroup = false\n";
            image.put("/usr/share/containerd/config.toml", config);
        },
        "/usr/share/containerd/config.toml has SystemdCgroup = false, the kubelet's cgroupDriver is systemd",
    ),
];

#[test]
fn a_conflict_is_refused_and_reported_until_it_is_allowed() {
    needs!(root("files have owners"));
    for (number, (kind, plant, says)) in CASES.iter().enumerate() {
        let image = Image::new(&format!("conflict-{number}"));
        image.publish_node("v1.34.1");
        plant(&image);
        let before = image.tree();
        let refused = image.bake(&[]);
        refused.ended(74, &[says, &format!("or --allow {kind}")]);
        assert_eq!(refused.err.matches("--allow").count(), 1, "only this one: {}", refused.err);
        let in_use = |tree: &str| {
            tree.lines()
                .filter(|l| !l.contains("/opt/footplate") && !l.ends_with(" /opt"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(in_use(&before), in_use(&image.tree()), "{says}: something was put in use");
        // Another kind does not allow it.
        let other = if *kind == "unit" { "pause" } else { "unit" };
        image.bake(&["--allow", other]).ended(74, &[says]);

        image.bake(&["--allow", kind]).ended(0, &[]);
        let report = image.verify().ended(0, &[]).json();
        let skipped: Vec<&str> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["result"] == "skipped" && c["what"] == *kind)
            .map(|c| c["detail"].as_str().unwrap())
            .collect();
        assert!(
            skipped.iter().any(|d| d.contains(says) && d.contains("allowed when it was baked")),
            "{skipped:?}"
        );
    }
}

#[test]
fn what_comes_to_an_image_later_is_reported() {
    needs!(root("files have owners"));
    for (number, (kind, plant, says)) in CASES.iter().enumerate() {
        let image = Image::new(&format!("later-{number}"));
        image.publish_node("v1.34.1");
        image.bake(&[]).ended(0, &[]);
        let locked = fs::read(&image.lock).unwrap();
        plant(&image);
        // Those that come with the lock can't come later.
        if fs::read(&image.lock).unwrap() == locked {
            let faults = image.faults();
            assert_eq!(faults.len(), 1, "{faults:#?}");
            assert!(
                faults[0].starts_with(&format!("conflict {kind}: ")) && faults[0].contains(says),
                "{faults:?}"
            );
        }
    }
}

#[test]
fn a_running_nodes_kubelet_is_looked_at_too() {
    needs!(root("files have owners"));
    let image = Image::new("running-node");
    image.publish_node("v1.34.1");
    image.bake(&["--containerd-config"]).ended(0, &[]);
    let config = fs::read_to_string(image.path("/etc/containerd/cri.toml")).unwrap();
    assert!(config.contains("sandbox_image = \"registry.example/pause:1.34.1\"\n"), "{config}");
    assert!(image.path("/etc/systemd/system/containerd.service.d/10-footplate.conf").exists());
    image.put("/var/lib/kubelet/config.yaml", "cgroupDriver: systemd\n");
    let good =
        "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock\"\n";
    image.put("/var/lib/kubelet/kubeadm-flags.env", good);
    assert_eq!(image.faults(), Vec::<String>::new());
    image.put("/var/lib/kubelet/config.yaml", "cgroupDriver: cgroupfs\n");
    image.put("/var/lib/kubelet/kubeadm-flags.env", good.replace("containerd.sock", "other.sock"));
    let faults = image.faults();
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults[0].starts_with("conflict socket: /var/lib/kubelet/kubeadm-flags.env names"), "{faults:?}");
    assert!(faults[1].contains("SystemdCgroup = true, the kubelet's cgroupDriver is cgroupfs"), "{faults:?}");
}

#[test]
fn files_of_others_are_not_replaced_unasked() {
    needs!(root("files have owners"));
    let image = Image::new("foreign");
    image.publish_node("v1.34.1");
    image.put_program("/opt/bin/kubeadm", "another kubeadm");
    image.put("/etc/crictl.yaml", "timeout: 5\n");
    image.put("/oem/config.ign", "{}");
    image.put("/etc/systemd/system/oem-cloudinit.service", "[Service]\n");
    fs::create_dir_all(image.path("/opt/bin")).unwrap();
    symlink("/somewhere/kubectl", image.path("/opt/bin/kubectl")).unwrap();
    let ran = image.bake(&[]);
    let paths = [
        "/opt/bin/kubeadm: a file",
        "/opt/bin/kubectl: a link",
        "/etc/crictl.yaml",
        "/oem/config.ign",
        "oem-cloudinit",
    ];
    ran.ended(74, &paths);
    assert_eq!(ran.err.matches("--allow foreign").count(), paths.len(), "{}", ran.err);
    assert_eq!(fs::read_to_string(image.path("/opt/bin/kubeadm")).unwrap(), "another kubeadm");
    image.bake(&["--allow", "foreign"]).ended(0, &[]);
    image.verify().ended(0, &[]);
}

#[test]
fn an_own_containerd_comes_with_its_unit() {
    needs!(root("files have owners"));
    let image = Image::new("own-containerd");
    image.publish_node("v1.34.1");
    tool(&image, "containerd");
    image.bake(&["--containerd-config", "--pause-image", "registry.example/other:1"]).ended(
        74,
        &["registry.example/other:1, this kubeadm pulls registry.example/pause:1.34.1", "--allow pause"],
    );
    image.bake(&["--containerd-config"]).ended(0, &[]);
    let unit = fs::read_to_string(image.path("/etc/systemd/system/containerd.service")).unwrap();
    assert!(unit.contains("ExecStart=/opt/bin/containerd "), "{unit}");
    // Templates put proxies there, without making the directory.
    let drop_ins = fs::read_dir(image.path("/etc/systemd/system/containerd.service.d")).unwrap();
    assert_eq!(drop_ins.count(), 0);
    image.verify().ended(0, &[]);
}

/// Files that an operator imports beside footplate's own configuration.
const IMPORTED: &[(&str, &str)] = &[
    (
        "registry",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/mirrors\"\n",
    ),
    (
        "runtime",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n",
    ),
    ("limits", "version = 2\n[grpc]\nmax_recv_message_size = 33554432\n"),
    (
        "whole",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"registry.example/pause:1.34.1\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
    ),
    (
        "cgroupfs",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = false\n",
    ),
    (
        "runtime-3",
        "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n",
    ),
    (
        "image-3",
        "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'registry.example/other:3'\n",
    ),
];

/// What the real containerd makes of an image's configuration.
fn dump(image: &Image, containerd: &Path) -> String {
    // It is told where this root is.
    let main = fs::read_to_string(image.path("/etc/containerd/config.toml")).unwrap();
    let own = image.path("/etc/containerd");
    let there = image.root.parent().unwrap().join("main.toml");
    fs::write(&there, main.replace("\"/etc/containerd", &format!("\"{}", own.display()))).unwrap();
    let mut dump = std::process::Command::new(containerd);
    let dump = Ran::of(dump.arg("--config").arg(&there).args(["config", "dump"])).ended(0, &[]).out.clone();
    dump.replace('\'', "\"")
}

/// A file of an operator's takes nothing from containerd that the node depends on, whichever containerd runs: 1.6, 1.7 and 2 are asked
/// themselves. What has no effect in it is told. On an image whose lock has no containerd, a file of version 3 counts on containerd 2
/// once the node's first boot has put footplate's own settings of that version beside it.
#[test]
fn an_import_takes_nothing_from_containerd() {
    needs!(root("files have owners"));
    let unpacked = |suite| debian::unpacked_of(suite, &["containerd"]).unwrap().join("usr/bin/containerd");
    let site = "/etc/containerd/conf.d/50-site.toml";
    for (suite, locked) in [
        ("bookworm", None),
        ("trixie", None),
        ("forky", None),
        ("bookworm", Some("v1.6.20")),
        ("forky", Some("v2.1.4")),
    ] {
        let containerd = unpacked(suite);
        let image = Image::new(&format!("imports-{suite}-{}", locked.unwrap_or_default()));
        image.publish_node("v1.34.1");
        if let Some(version) = locked {
            versioned(&image, "containerd", version);
        }
        image.bake(&["--containerd-config"]).ended(0, &[]);
        for (name, text) in IMPORTED {
            let (third, cri) = (text.starts_with("version = 3"), text.contains(".cri"));
            image.put(site, text);
            let faults = image.faults();
            let told = faults.iter().any(|fault| fault.starts_with(&format!("conflict containerd: {site} ")));
            let merged = locked == Some("v2.1.4") && third;
            assert_eq!(told, cri && !merged, "{suite} {locked:?} {name}: {faults:?}");

            // The same file in bootstrap data.
            fs::remove_file(image.path(site)).unwrap();
            let seed = image.root.parent().unwrap().join("seed");
            let lines: String = text.lines().map(|l| format!("    {l}\n")).collect();
            let data = format!("#cloud-config\nwrite_files:\n- path: {site}\n  content: |\n{lines}");
            fs::create_dir_all(&seed).unwrap();
            fs::write(seed.join("meta-data"), "instance-id: i-1\n").unwrap();
            fs::write(seed.join("user-data"), data).unwrap();
            let checked =
                footplate(&["check", seed.join("user-data").to_str().unwrap()]).ended(0, &[]).out.clone();
            assert_eq!(checked.contains("warning: write_files[0]: "), cri, "{name}: {checked}");
            let (seed, root) = (seed.to_str().unwrap(), image.root.to_str().unwrap());
            footplate(&["provision", "--seed", seed, "--root", root]).ended(0, &[]);

            let own = image.path("/etc/containerd/conf.d/zz-footplate.toml");
            assert_eq!(own.exists(), third && locked != Some("v2.1.4"), "{suite} {locked:?} {name}");
            let dump = dump(&image, &containerd);
            for setting in [
                "SystemdCgroup = true",
                " = \"registry.example/pause:1.34.1\"",
                "enable_selinux = true",
                "config_path = \"/etc/containerd/certs.d\"",
            ] {
                assert!(dump.contains(setting), "{suite} {name}: {setting}\n{dump}");
            }
            let has_effect = suite == "forky" && (third || locked.is_none());
            assert_eq!(
                dump.contains("runtimes.kata]"),
                text.contains("kata") && has_effect,
                "{suite} {name}"
            );
            let _ = fs::remove_file(own);
        }
    }
}
