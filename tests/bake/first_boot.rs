// SPDX-License-Identifier: Apache-2.0
//! `provision` lays a node's programs out as the image's lock says, before anything else is made.

use std::fs;

use crate::image::Image;
use crate::scratch::{Ran, footplate};

const USER_DATA: &str =
    "#cloud-config\nruncmd:\n- kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml\n";

fn provision(image: &Image) -> Ran {
    let seed = image.root.parent().unwrap().join("seed");
    fs::create_dir_all(&seed).unwrap();
    fs::write(seed.join("user-data"), USER_DATA).unwrap();
    fs::write(seed.join("meta-data"), "instance-id: i-1\n").unwrap();
    footplate(&["provision", "--seed", seed.to_str().unwrap(), "--root", image.root.to_str().unwrap()])
}

fn baked(name: &str) -> Image {
    let image = Image::new(name);
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    image
}

/// Whether the bootstrap may run.
fn may_start(image: &Image) -> bool {
    image.path("/run/footplate/bootstrap").exists()
}

#[test]
fn a_whole_image_is_left_as_it_is() {
    let image = baked("first-boot-whole");
    provision(&image).ended(0, &["install: changed=0"]);
    assert!(may_start(&image));
    assert_eq!(image.faults(), Vec::<String>::new());
}

#[test]
fn links_come_back_from_the_store() {
    let image = baked("first-boot-links");
    fs::remove_file(image.path("/opt/bin/kubeadm")).unwrap();
    fs::remove_dir_all(image.path("/opt/cni")).unwrap();
    fs::remove_file(image.path("/opt/footplate/store/kubelet/current")).unwrap();
    provision(&image).ended(0, &["/opt/bin/kubeadm: was missing", "install: changed=4"]);
    assert!(may_start(&image));
    assert_eq!(image.faults(), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_fetched() {
    let image = baked("first-boot-fetch");
    // The lock names where: here a directory, as a mirror on the machine would be.
    let mut lock = image.read_lock();
    for artifact in lock["artifacts"].as_array_mut().unwrap() {
        let name = artifact["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        artifact["url"] = format!("file://{}/{name}", image.from.display()).into();
    }
    fs::write(image.path("/opt/footplate/lock.json"), lock.to_string()).unwrap();
    fs::remove_dir_all(image.path("/opt/footplate/store/cni-plugins")).unwrap();
    fs::remove_file(image.path("/opt/footplate/store/kubelet/v1.34.1/kubelet")).unwrap();
    provision(&image).ended(0, &["/opt/footplate/store/kubelet/v1.34.1: was missing"]);
    assert!(may_start(&image));
    assert_eq!(image.faults(), Vec::<String>::new());
}

#[test]
fn what_can_not_be_fetched_stops_the_node() {
    let image = baked("first-boot-gone");
    let lock = image.path("/opt/footplate/lock.json");
    let text =
        fs::read_to_string(&lock).unwrap().replace("https://artifacts.invalid/", "file:///nonexistent/");
    fs::write(&lock, text).unwrap();
    fs::remove_dir_all(image.path("/opt/footplate/store/kubeadm")).unwrap();
    provision(&image).ended(75, &["kubeadm v1.34.1", "is not there"]);
    assert!(!may_start(&image));
}

#[test]
fn what_does_not_verify_stops_the_node() {
    let image = baked("first-boot-changed");
    let path = image.path("/opt/footplate/store/kubeadm/v1.34.1/kubeadm");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    provision(&image).ended(
        65,
        &["kubeadm/v1.34.1/kubeadm", "its content is not what the lock names", "replace the machine"],
    );
    assert!(!may_start(&image));
    let status = fs::read_to_string(image.path("/run/footplate/status.json")).unwrap();
    assert!(status.contains("verify: ") && status.contains("\"failed\""), "{status}");
}
