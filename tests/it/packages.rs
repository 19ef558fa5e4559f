// SPDX-License-Identifier: Apache-2.0
//! Templates for other distributions that install what a baked image has: their commands go on as they would there. The programs that
//! stand in are run by `sh` as they stand on a node, beside programs that say their versions as the real ones do.

use std::fs;
use std::process::Command;

use crate::common::scratch::{Ran, Scratch, provision, seed};

/// A machine that a template's commands were provisioned on, and its programs.
fn machine(name: &str, commands: &str) -> (Scratch, Scratch) {
    let (root, bin) = (Scratch::new(name), Scratch::new(&format!("{name}-bin")));
    let lines: String = commands.lines().map(|line| format!("    {line}\n")).collect();
    let data = format!("#cloud-config\nruncmd:\n- |\n{lines}- touch reached\n");
    provision(&seed(name, &data), &root).ended(0, &[]);
    for (program, says) in [
        ("kubelet", "[ \"$1\" = --version ] && echo Kubernetes v1.34.1"),
        ("kubeadm", "[ \"$1\" = version ] && echo v1.34.1"),
        ("kubectl", "[ \"$1\" = version ] && echo Client Version: v1.34.1"),
        ("containerd", "echo containerd github.com/containerd/containerd v1.7.28 b98a3aa"),
        ("gpg", "exit 0"),
    ] {
        bin.put_program(&format!("/{program}"), format!("#!/bin/sh\n{says}\n"));
    }
    (root, bin)
}

/// Runs the bootstrap's script, with footplate's paths and those of other distributions below the root.
fn run(root: &Scratch, bin: &Scratch) -> Ran {
    let below = |text: &str| {
        let dir = root.path("/").to_str().unwrap().trim_end_matches('/').to_owned();
        ["/etc/", "/var/lib/", "/run/"]
            .iter()
            .fold(text.to_owned(), |text, p| text.replace(p, &format!("{dir}{p}")))
    };
    fs::create_dir_all(root.path("/run/footplate")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.path("/").display());
    let script = below(&root.text("/run/footplate/bootstrap"));
    Ran::of(Command::new("bash").args(["--posix", "-c", &script]).current_dir(&root.dir).env("PATH", path))
}

#[test]
fn what_the_image_has_counts_as_installed() {
    let commands = "set -eu
        export DEBIAN_FRONTEND=noninteractive
        apt-get update
        apt-get install -y apt-transport-https ca-certificates gpg containerd
        echo key > /etc/apt/keyrings/kubernetes.gpg
        echo deb > /etc/apt/sources.list.d/kubernetes.list
        echo key | apt-key add -
        VERSION=$(apt list -a kubelet 2>/dev/null | awk -v a=$(dpkg --print-architecture) '$3 == a && $2 ~ /^1.34.1-/ {print $2; exit}')
        apt-get install -y -o Dpkg::Options::=--force-confold kubelet=$VERSION 'kubeadm=1.34.1-*' kubectl=1.34.1*
        yum install -y kubelet-1.34.1 kubeadm
        /usr/sbin/apt-get install -y kubectl
        apt-mark hold kubelet kubeadm kubectl";
    let (root, bin) = machine("packages", commands);
    let ran = run(&root, &bin);
    assert!(root.path("/reached").exists(), "{}{}", ran.out, ran.err);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let unit = root.text("/etc/systemd/system/kubeadm.service.d/06-footplate-path.conf");
    assert!(unit.contains(":/var/lib/footplate/packages:/opt/bin:"), "{unit}");
    // Data that calls none of them gets none.
    let (root, _) = machine("packages-none", "cat /etc/apt/sources.list adapt yum.conf || true");
    assert!(!root.path("/var/lib/footplate/packages").exists());
}

#[test]
fn what_it_lacks_fails_by_its_name() {
    for (command, says) in [
        (
            "apt-get install -y curl mtr-none",
            "apt-get: Flatcar has no package manager, and mtr-none is not on this machine",
        ),
        ("apt-get install -y 'kubelet=1.33.4-*'", "the image has kubelet 1.34.1, and not 1.33.4"),
        ("yum install -y kubeadm-1.3", "the image has kubeadm 1.34.1, and not 1.3:"),
        ("dpkg -i x-none.deb", "x-none.deb is not on this machine"),
    ] {
        let (root, bin) = machine("packages-lacking", &format!("set -e\n{command}"));
        let ran = run(&root, &bin);
        assert_eq!((ran.code, root.path("/reached").exists()), (100, false), "{command}: {}", ran.err);
        assert!(ran.err.contains(says), "{command}: {}", ran.err);
    }
}

/// cloud-init leaves the instance's id in a file, and Exoscale's template has its commands read it.
#[test]
fn the_instances_id_stands_where_commands_read_it() {
    let (root, bin) = machine("instance-id", "cat /var/lib/cloud/data/instance-id");
    assert_eq!(run(&root, &bin).out, root.text("/var/lib/cloud/data/instance-id"));
    let status = root.text("/run/footplate/status.json");
    let id = root.text("/var/lib/cloud/data/instance-id");
    assert!(!id.trim().is_empty() && status.contains(&format!("\"{}\"", id.trim())), "{id}{status}");
    let (root, _) = machine("instance-id-unread", "ls /var/lib/cloud");
    assert!(!root.path("/var/lib/cloud").exists());
}
