// SPDX-License-Identifier: Apache-2.0
//! `verify` finds each planted fault.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::image::{Image, program};
use crate::common::scratch::{Ran, footplate};

/// A fault: what it is called, how it is planted, and what is said of it, where `{NAME}` is the directory of that artifact.
type Fault = (&'static str, fn(&Image), &'static str);

fn mode(image: &Image, path: &str, mode: u32) {
    fs::set_permissions(image.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

fn relink(image: &Image, path: &str, target: &str) {
    fs::remove_file(image.path(path)).unwrap();
    symlink(target, image.path(path)).unwrap();
}

/// Flips a bit; a link is followed.
fn flip(image: &Image, path: &str) {
    let file = File::options().read(true).write(true).open(image.path(path)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 5).unwrap();
}

/// What the link `current` leads to: verified by its own checks, so that the others may go by it.
const STORED: &str = "/opt/footplate/store/kubelet/current/kubelet";

const FAULTS: &[Fault] = &[
    (
        "a flipped bit that keeps size and time",
        |image| {
            flip(image, STORED);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            File::options().write(true).open(image.path(STORED)).unwrap().set_modified(time).unwrap();
        },
        "content {kubelet}/kubelet: its content is not what the lock names",
    ),
    (
        "a truncated program",
        |image| File::options().write(true).open(image.path(STORED)).unwrap().set_len(3).unwrap(),
        "content {kubelet}/kubelet: has 3 bytes and not",
    ),
    (
        "a missing program",
        |image| fs::remove_file(image.path(STORED)).unwrap(),
        "content {kubelet}/kubelet: is missing",
    ),
    (
        "a program and its record replaced together",
        |image| {
            let other = program("kubelet", "v1.34.1") + "# other\n";
            fs::write(image.path(STORED), &other).unwrap();
            let manifest = image.path("/opt/footplate/store/kubelet/current/.footplate.json");
            let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
            json["files"][0]["sha256"] = super::image::sha256(other.as_bytes()).into();
            json["files"][0]["size"] = other.len().into();
            fs::write(&manifest, json.to_string()).unwrap();
        },
        "content {kubelet}/kubelet: its content is not what the lock names",
    ),
    (
        "a changed plugin of an archive",
        |image| flip(image, "/opt/cni/bin/bridge"),
        "content {cni-plugins}/bridge: its content is not what the lock names",
    ),
    (
        "a stranger in the store",
        |image| image.put("/opt/footplate/store/kubelet/current/extra", "x"),
        "content {kubelet}: holds extra",
    ),
    (
        "a program of another version in use",
        |image| relink(image, "/opt/footplate/store/kubelet/current", "v1.33.0"),
        "link /opt/footplate/store/kubelet/current: points to v1.33.0, not to ",
    ),
    (
        "a link that is missing",
        |image| fs::remove_file(image.path("/opt/bin/kubeadm")).unwrap(),
        "link /opt/bin/kubeadm: is missing",
    ),
    (
        "a link to elsewhere",
        |image| relink(image, "/opt/cni/bin/loopback", "/bin/true"),
        "link /opt/cni/bin/loopback: points to /bin/true",
    ),
    (
        "a program beside the store",
        |image| {
            fs::remove_file(image.path("/opt/bin/kubectl")).unwrap();
            image.put_program("/opt/bin/kubectl", program("kubectl", "v1.34.1"));
        },
        "link /opt/bin/kubectl: is not a symbolic link",
    ),
    (
        "another owner",
        |image| chown(image.path(STORED), Some(500), Some(0)).unwrap(),
        "owner {kubelet}/kubelet: is owned by 500:0",
    ),
    (
        "a program that can't run",
        |image| mode(image, STORED, 0o644),
        "owner {kubelet}/kubelet: has mode 0644, not 0755",
    ),
    (
        "a program with the set-id bit",
        |image| mode(image, STORED, 0o4755),
        "owner {kubelet}/kubelet: has mode 4755, not 0755",
    ),
    (
        "a directory of programs that anybody may write",
        |image| mode(image, "/opt/bin", 0o777),
        "owner /opt/bin: users other than root may write it: mode 0777",
    ),
    (
        "a directory of units of somebody else",
        |image| chown(image.path("/etc/systemd/system"), Some(500), Some(500)).unwrap(),
        "owner /etc/systemd/system: is owned by 500:500",
    ),
    (
        "a changed unit",
        |image| image.put("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/bin/true\n"),
        "unit /etc/systemd/system/kubelet.service: its content is not what was baked",
    ),
    (
        "a missing drop-in",
        |image| fs::remove_file(image.path("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")).unwrap(),
        "unit /etc/systemd/system/kubelet.service.d/10-kubeadm.conf: is missing",
    ),
    (
        "a unit that is not enabled",
        |image| {
            let path = "/etc/systemd/system/multi-user.target.wants/footplate.service";
            fs::remove_file(image.path(path)).unwrap();
        },
        "unit /etc/systemd/system/multi-user.target.wants/footplate.service: is missing",
    ),
    (
        "coreos-cloudinit unmasked",
        |image| fs::remove_file(image.path("/etc/systemd/system/oem-cloudinit.service")).unwrap(),
        "unit /etc/systemd/system/oem-cloudinit.service: is missing",
    ),
    (
        "the OEM config gone",
        |image| fs::remove_file(image.path("/oem/config.ign")).unwrap(),
        "file /oem/config.ign: is missing",
    ),
    (
        "another kernel setting",
        |image| image.put("/etc/sysctl.d/50-footplate.conf", "net.ipv4.ip_forward = 0\n"),
        "file /etc/sysctl.d/50-footplate.conf: its content is not what was baked",
    ),
    (
        "a template's PATH without /opt/bin",
        |image| {
            let drop_in = "[Service]\nEnvironment=\"A=1\" \"PATH=/usr/sbin:/usr/bin\"\n";
            image.put("/etc/systemd/system/kubeadm.service.d/10-flatcar.conf", drop_in);
        },
        "path kubeadm.service: its PATH has no /opt/bin",
    ),
    (
        "a PATH that leads to a namesake",
        |image| {
            image.put_program("/var/lib/other/kubectl", program("kubectl", "v1.20.0"));
            let drop_in = "[Service]\nEnvironment=PATH=/var/lib/other:/opt/bin\n";
            image.put("/etc/systemd/system/kubelet.service.d/20-own.conf", drop_in);
        },
        "path kubelet.service: its PATH finds /var/lib/other/kubectl, not /opt/bin/kubectl",
    ),
    (
        "no lock",
        |image| fs::remove_file(image.path("/opt/footplate/lock.json")).unwrap(),
        "lock /opt/footplate/lock.json: is missing",
    ),
    (
        "a bake that did not end",
        |image| fs::remove_file(image.path("/opt/footplate/baked.json")).unwrap(),
        "lock /opt/footplate/baked.json: is missing",
    ),
];

/// Plants each fault in an image that has none, and goes on from the image as it was.
pub fn each_is_found(image: &Image, and_then: impl Fn(&str)) {
    assert_eq!(image.faults(), Vec::<String>::new(), "before");
    let whole = image.root.with_file_name("whole");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let _ = fs::remove_dir_all(to);
        Ran::of(Command::new("cp").arg("-a").arg(from).arg(to)).ended(0, &[]);
    };
    copy(&image.root, &whole);
    let lock = image.read_lock();
    for (name, plant, found) in FAULTS {
        let mut found = (*found).to_owned();
        for artifact in lock["artifacts"].as_array().unwrap() {
            let [name, version] = ["name", "version"].map(|key| artifact[key].as_str().unwrap());
            found = found.replace(&format!("{{{name}}}"), &format!("/opt/footplate/store/{name}/{version}"));
        }
        plant(image);
        let faults = image.faults();
        assert!(faults.iter().any(|f| f.starts_with(&found)), "{name}: {found:?} is not among {faults:#?}");
        and_then(name);
        copy(&whole, &image.root);
    }
    assert_eq!(image.faults(), Vec::<String>::new(), "after");
}

#[test]
fn each_planted_fault_is_found() {
    needs!(root("files have owners"));
    assert!(FAULTS.len() >= 20);
    let image = Image::new("faults");
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    each_is_found(&image, |name| {
        image.verify().ended(65, &[]);
        // Another bake puts it right, but for directories and for files of others: those are not for a bake to change.
        if !name.contains("directory") && !name.contains("PATH") {
            image.bake(&["--allow", "foreign"]).ended(0, &[]);
            assert_eq!(image.faults(), Vec::<String>::new(), "{name}: after another bake");
        }
    });
}

#[test]
fn a_version_that_is_not_the_locks_is_told() {
    needs!(root("files have owners"));
    let image = Image::new("other-version");
    image.publish_node("v1.34.1");
    // The lock's digest is right, its version is not.
    let text = fs::read_to_string(&image.lock).unwrap();
    let mut lock: serde_json::Value = serde_json::from_str(&text).unwrap();
    let kubelet =
        lock["artifacts"].as_array_mut().unwrap().iter_mut().find(|a| a["name"] == "kubelet").unwrap();
    kubelet["version"] = "v1.34.0".into();
    fs::write(&image.lock, lock.to_string()).unwrap();
    image.bake(&[]).ended(0, &[]);
    assert_eq!(image.faults(), ["version kubelet: says v1.34.1, the lock v1.34.0"]);
}

#[test]
fn what_is_no_program_is_not_run() {
    needs!(root("files have owners"));
    let image = Image::new("no-programs");
    let ran = image.root.parent().unwrap().join("ran");
    let to = |path: &str| serde_json::json!([{"to": path}]);
    // What a shell would make something of.
    let text = format!("touch {}\n", ran.display());
    let silent: &[u8] = b"#!/bin/sh\n";
    image.write_lock(vec![
        image.publish("kubeadm", "v1.34.1", "kubeadm", text.as_bytes(), to("/opt/bin/kubeadm")),
        image.publish("kubelet", "v1.34.1", "kubelet", b"#!/nonexistent/shell\n", to("/opt/bin/kubelet")),
        image.publish("kubectl", "v1.34.1", "kubectl", silent, to("/opt/bin/kubectl")),
    ]);
    image.bake(&[]).ended(0, &[]);
    let report = image.verify().ended(0, &[]).json();
    assert_eq!((&report["failed"], &report["skipped"]), (&0.into(), &3.into()), "{report}");
    assert!(!ran.exists(), "it was run by a shell");
    image.write_lock(vec![image.publish(
        "kubeadm",
        "v1",
        "kubeadm",
        b"#!/bin/sh\nexit 3\n",
        to("/opt/bin/kubeadm"),
    )]);
    image.bake(&[]).ended(0, &[]);
    assert_eq!(image.faults(), ["version kubeadm: it failed: exit status 3"]);
}

#[test]
fn the_report_counts_and_names() {
    needs!(root("files have owners"));
    let image = Image::new("report");
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    let root = image.root.to_str().unwrap();
    let text = footplate(&["verify", "--root", root]).ended(0, &[]).out.clone();
    assert!(text.contains("Failed: 0, Skipped: 0\n"), "{text}");
    assert!(text.starts_with("......"), "{text}");
    fs::remove_file(image.path("/opt/bin/kubeadm")).unwrap();
    let text = footplate(&["verify", "--root", root]).ended(65, &[]).out.clone();
    assert!(text.contains("failed: link: /opt/bin/kubeadm: is missing\n"), "{text}");
    assert!(text.contains("Failed: 1, Skipped: 0\n"), "{text}");
    let json = image.verify().ended(65, &[]).json();
    assert_eq!(json["failed"], 1);
    assert_eq!(json["ok"], false);
    assert_eq!(json["count"], json["checks"].as_array().unwrap().len());
}

#[test]
fn a_lock_that_is_kept_elsewhere_counts_more_than_the_images_own() {
    needs!(root("files have owners"));
    let image = Image::new("kept-lock");
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    let (root, lock) = (image.root.to_str().unwrap(), image.lock.to_str().unwrap());
    footplate(&["verify", "--root", root, "--lock", lock]).ended(0, &[]);
    image.publish_node("v1.35.0");
    let said = footplate(&["verify", "--root", root, "--lock", lock]).ended(65, &[]).out.clone();
    assert!(said.contains("/opt/footplate/lock.json: is not the lock it is checked against"), "{said}");
}

#[test]
fn nothing_baked_is_no_success() {
    needs!(root("files have owners"));
    let image = Image::new("nothing-baked");
    assert_eq!(
        image.faults(),
        [
            "lock /opt/footplate/lock.json: is missing: nothing was baked here",
            "lock /opt/footplate/baked.json: is missing, as the lock is",
        ]
    );
    // A node with the extension has all it needs, but no lock to be held against.
    image.put_program("/usr/lib/footplate/opt/bin/kubeadm", program("kubeadm", "v1.34.1"));
    let faults = image.faults();
    assert!(faults[0].contains("come from a system extension"), "{faults:?}");
}
