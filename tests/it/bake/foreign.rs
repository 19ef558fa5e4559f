// SPDX-License-Identifier: Apache-2.0
//! An image for another architecture than that of the machine on which it is made: an arm64 image on x86-64, and the other way
//! round where these tests run on arm64.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::image::{ARCH, Entry, Image, OWN, elf, tarball};
use crate::common::needs::programs;
use crate::common::scratch::{Ran, footplate};

/// The other architecture by Kubernetes' name, by systemd's, and by its ELF machine number.
const OTHER: (&str, &str, u8) =
    if cfg!(target_arch = "aarch64") { ("amd64", "x86-64", 62) } else { ("arm64", "arm64", 183) };

/// An image for the other architecture, and programs for it.
fn image(name: &str) -> Image {
    let mut image = Image::new(name);
    image.arch = OTHER.0;
    image.put_program("/usr/lib/systemd/systemd", elf(OTHER.2));
    let plugins = tarball(&[("./", Entry::Directory), ("./bridge", Entry::File(&elf(OTHER.2)))]);
    let mut artifacts =
        vec![image.publish("cni-plugins", "v1.7.1", "cni.tgz", &plugins, json!([{"to": "/opt/cni/bin/"}]))];
    for (name, version) in
        [("footplate", "0.1.0"), ("kubeadm", "v1.34.1"), ("kubelet", "v1.34.1"), ("kubectl", "v1.34.1")]
    {
        let to = json!([{"to": format!("/opt/bin/{name}")}]);
        artifacts.push(image.publish(name, version, name, &elf(OTHER.2), to));
    }
    image.write_lock(artifacts);
    image
}

#[test]
fn an_image_for_another_architecture_is_baked_verified_and_sealed() {
    needs!(root("files have owners"));
    let image = image("foreign");
    image.bake(&[]).ended(0, &[]);
    for program in ["footplate", "kubeadm", "kubelet", "kubectl"] {
        assert!(fs::read(image.path(&format!("/opt/bin/{program}"))).unwrap() == elf(OTHER.2), "{program}");
    }
    let report = image.verify().ended(0, &[]).json();
    let told = |kind: &str, result: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().filter(|c| c["kind"] == kind && c["result"] == result).count()
    };
    // Programs that do not run here are not asked for their version, and that is said.
    assert_eq!((told("architecture", "ok"), told("version", "skipped"), told("version", "ok")), (1, 3, 0));
    footplate(&["seal", "--root", image.root.to_str().unwrap()]).ended(0, &[]);
    assert_eq!(image.faults(), [""; 0]);
}

#[test]
fn an_extension_says_for_which_architecture_it_is() {
    needs!(root("files have owners"));
    programs(&["mksquashfs:squashfs-tools"]).unwrap();
    let image = image("foreign-extension");
    let raw = image.from.join("footplate-9.raw");
    let (lock, from, output) = (image.lock.display(), image.from.display(), raw.display());
    let command = format!("bake sysext --lock {lock} --from {from} --output {output}");
    footplate(&command.split(' ').collect::<Vec<_>>()).ended(0, &[]);
    let mut cat = Command::new("unsquashfs");
    let release = "usr/lib/extension-release.d/extension-release.footplate";
    let release = Ran::of(cat.arg("-cat").arg(&raw).arg(release)).ended(0, &[]).out.clone();
    assert!(release.contains(&format!("\nARCHITECTURE={}\n", OTHER.1)), "{release}");
    let mut cat = Command::new("sh");
    let program = format!("unsquashfs -cat {} usr/bin/footplate | cmp - {from}/footplate", raw.display());
    Ran::of(cat.args(["-c", &program])).ended(0, &[]);
}

#[test]
fn a_program_for_the_builders_own_architecture_is_refused_by_name() {
    needs!(root("files have owners"));
    let image = image("foreign-program");
    let mut lock = image.read_lock();
    let kubelet =
        image.publish("kubelet", "v1.34.1", "kubelet", &elf(OWN), json!([{"to": "/opt/bin/kubelet"}]));
    lock["artifacts"][3] = kubelet;
    fs::write(&image.lock, lock.to_string()).unwrap();
    let says = format!("kubelet is a program for {ARCH}, the lock is for {}", OTHER.0);
    image.bake(&[]).ended(74, &["kubelet v1.34.1", &says]);
    assert!(!image.path("/opt/bin/kubeadm").exists(), "nothing is put in use");
}

#[test]
fn a_lock_and_an_image_of_two_architectures_are_refused() {
    needs!(root("files have owners"));
    let image = image("foreign-lock");
    image.put_program("/usr/lib/systemd/systemd", elf(OWN));
    let before = image.tree();
    let says = format!("of the image is for {ARCH}, the lock is for {}", OTHER.0);
    image.bake(&[]).ended(74, &["/usr/lib/systemd/systemd", &says, "for the architecture of the image"]);
    assert_eq!(image.tree(), before, "nothing is brought in");
    // An image that was put together by other means is found by verify.
    image.put_program("/usr/lib/systemd/systemd", elf(OTHER.2));
    image.bake(&[]).ended(0, &[]);
    image.put_program("/usr/lib/systemd/systemd", elf(OWN));
    let faults = image.faults();
    assert!(
        faults.len() == 1 && faults[0].starts_with("architecture ") && faults[0].contains(&says),
        "{faults:?}"
    );
}

#[test]
fn without_a_footplate_for_it_another_architecture_is_refused() {
    needs!(root("files have owners"));
    let image = image("foreign-without");
    let mut lock = image.read_lock();
    lock["artifacts"].as_array_mut().unwrap().remove(1);
    fs::write(&image.lock, lock.to_string()).unwrap();
    let says = format!("this footplate is for {ARCH}, the lock for {}", OTHER.0);
    image.bake(&[]).ended(74, &[&says, "add footplate for that architecture to the lock"]);
}
