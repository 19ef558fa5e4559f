// SPDX-License-Identifier: Apache-2.0
//! `bake lock`: from published checksums to a lock that bakes.

use std::fs;

use serde_json::json;

use super::image::{ARCH, Entry, Image, program, sha256, tarball};
use super::server::{Answer, Server};
use crate::common::scratch::{FOOTPLATE, Ran, command, footplate};

/// All that upstream publishes of a version, with its checksums as upstream writes them.
fn publish(image: &Image) {
    let put = |name: &str, bytes: &[u8]| fs::write(image.from.join(name), bytes).unwrap();
    for name in ["kubeadm", "kubelet", "kubectl"] {
        let program = program(name, "v1.34.1");
        put(name, program.as_bytes());
        // A digest alone.
        put(&format!("{name}.sha256"), sha256(program.as_bytes()).as_bytes());
    }
    let archives = [
        (format!("cni-plugins-linux-{ARCH}-v1.7.1.tgz"), "sha256", "./bridge"),
        (format!("crictl-v1.34.0-linux-{ARCH}.tar.gz"), "sha256", "crictl"),
        (format!("containerd-2.1.4-linux-{ARCH}.tar.gz"), "sha256sum", "bin/containerd"),
    ];
    for (name, suffix, member) in archives {
        let archive = tarball(&[(member, Entry::File(b"#!/bin/sh\n"))]);
        put(&name, &archive);
        put(&format!("{name}.{suffix}"), format!("{}  {name}\n", sha256(&archive)).as_bytes());
    }
    put(&format!("runc.{ARCH}"), b"#!/bin/sh\n");
    let list = format!("{}  runc.riscv64\n{} *runc.{ARCH}\n", "0".repeat(64), sha256(b"#!/bin/sh\n"));
    put("runc.sha256sum", list.as_bytes());
}

const VERSIONS: &[&str] = &[
    "--kubernetes",
    "v1.34.1",
    "--cni-plugins",
    "v1.7.1",
    "--crictl",
    "v1.34.0",
    "--containerd",
    "v2.1.4",
    "--runc",
    "v1.3.0",
];

#[test]
fn a_lock_from_published_checksums_bakes() {
    needs!(root("files have owners"));
    let image = Image::new("published");
    publish(&image);
    let server = Server::start(&image.from, |_, _| Answer::Well);
    let lock = image.lock.to_str().unwrap();
    let url = server.url();
    let fixed = ["bake", "lock", "--output", lock, "--from", &url];
    let ran: Ran = command(&[&fixed, VERSIONS].concat())
        .env("SSL_CERT_FILE", &server.authority)
        .output()
        .unwrap()
        .into();
    // What the lock does not tell is said by name.
    ran.ended(
        0,
        &[
            "kubeadm, kubelet, kubectl: not verified: the signature is missing",
            "cni-plugins, crictl: not verified: upstream does not sign this file",
            "containerd: not verified: the attestation is missing",
        ],
    );
    let lock = image.read_lock();
    assert_eq!((&lock["version"], &lock["arch"]), (&json!(1), &json!(ARCH)));
    let of = |name: &str| lock["artifacts"].as_array().unwrap().iter().find(|a| a["name"] == name).unwrap();
    assert_eq!(
        of("kubeadm"),
        &json!({
            "name": "kubeadm", "version": "v1.34.1",
            "url": format!("https://dl.k8s.io/release/v1.34.1/bin/linux/{ARCH}/kubeadm"),
            "sha256": sha256(program("kubeadm", "v1.34.1").as_bytes()),
            "install": [{"from": "", "to": "/opt/bin/kubeadm", "mode": "0755"}],
        })
    );
    assert_eq!(of("containerd")["install"], json!([{"from": "bin/", "to": "/opt/bin/", "mode": "0755"}]));
    assert!(of("runc")["url"].as_str().unwrap().ends_with(&format!("/v1.3.0/runc.{ARCH}")));
    // Air-gapped, the same.
    let from = image.from.to_str().unwrap();
    let printed = footplate(&[&["bake", "lock", "--from", from], VERSIONS].concat()).ended(0, &[]).json();
    assert_eq!(printed, lock);
    fs::copy(FOOTPLATE, image.from.join("footplate")).unwrap();
    image.bake(&["--containerd-config"]).ended(0, &[]);
    for name in ["kubeadm", "kubelet", "kubectl", "crictl", "containerd", "runc", "footplate"] {
        assert!(image.path(&format!("/opt/bin/{name}")).exists(), "{name}");
    }
    image.verify().ended(0, &[]);
}

#[test]
fn what_is_no_checksum_writes_no_lock() {
    needs!(root("files have owners"));
    let image = Image::new("published-bad");
    publish(&image);
    let (lock, from) = (image.lock.to_str().unwrap(), image.from.to_str().unwrap());
    let write = |version: &str| {
        footplate(&["bake", "lock", "--kubernetes", version, "--from", from, "--output", lock])
    };
    write("1.34.1").ended(64, &["--kubernetes", "begins with v"]);
    write("v1.34").ended(64, &["--kubernetes", "three numbers"]);
    write("v1/../..").ended(64, &["is not a version"]);
    fs::write(image.from.join("kubelet.sha256"), "<html>log in</html>").unwrap();
    write("v1.34.1").ended(65, &["kubelet.sha256", "holds no SHA-256 of kubelet"]);
    fs::remove_file(image.from.join("kubelet.sha256")).unwrap();
    write("v1.34.1").ended(75, &["kubelet.sha256", "does not exist"]);
    // Nobody listens there.
    let nowhere =
        ["bake", "lock", "--kubernetes", "v1.34.1", "--from", "https://127.0.0.1:1", "--output", lock];
    footplate(&nowhere).ended(75, &["kubeadm.sha256", "hint: where this machine can't reach it"]);
    assert!(!image.lock.exists());
    footplate(&["bake", "lock"]).ended(64, &["--kubernetes"]);
    footplate(&["bake"]).ended(64, &["--lock"]);
}
