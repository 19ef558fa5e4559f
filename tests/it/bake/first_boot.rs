// SPDX-License-Identifier: Apache-2.0
//! `provision` lays a node's programs out as the image's lock says, before anything else is made.

use std::fs;

use serde_json::Value;

use super::image::Image;
use super::server::{Answer, Server};
use crate::common::scratch::{Ran, command, footplate};

const USER_DATA: &str =
    "#cloud-config\nruncmd:\n- kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml\n";

fn provision(image: &Image) -> Ran {
    footplate(&arguments(image))
}

fn arguments(image: &Image) -> Vec<String> {
    let seed = image.root.parent().unwrap().join("seed");
    fs::create_dir_all(&seed).unwrap();
    fs::write(seed.join("user-data"), USER_DATA).unwrap();
    fs::write(seed.join("meta-data"), "instance-id: i-1\n").unwrap();
    let words = ["provision", "--seed", seed.to_str().unwrap(), "--root", image.root.to_str().unwrap()];
    words.map(str::to_owned).into()
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
    needs!(root("files have owners"));
    let image = baked("first-boot-whole");
    provision(&image).ended(0, &["install: changed=0"]);
    assert!(may_start(&image));
    assert_eq!(image.faults(), Vec::<String>::new());
}

#[test]
fn links_come_back_from_the_store() {
    needs!(root("files have owners"));
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
    needs!(root("files have owners"));
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
fn what_is_missing_comes_over_https_or_not_at_all() {
    needs!(root("files have owners"));
    let image = baked("first-boot-https");
    let lock = image.path("/opt/footplate/lock.json");
    let named = fs::read_to_string(&lock).unwrap();
    let provision = |server: &Server| -> Ran {
        fs::write(&lock, named.replace("https://artifacts.invalid", &server.url())).unwrap();
        Ran::of(command(&arguments(&image)).env("SSL_CERT_FILE", &server.authority))
    };
    fs::remove_dir_all(image.path("/opt/footplate/store/kubeadm")).unwrap();
    fs::remove_dir_all(image.path("/opt/footplate/store/cni-plugins")).unwrap();
    // A server that lies, and one that breaks off on each try.
    let liar = Server::start(&image.from, |asked, _| match asked.path.contains("kubeadm") {
        true => Answer::Flip(20),
        false => Answer::Well,
    });
    provision(&liar).ended(65, &["kubeadm v1.34.1", "is not what the lock names"]);
    assert!(!may_start(&image));
    provision(&Server::start(&image.from, |_, _| Answer::Status(503, ""))).ended(75, &["HTTP status 503"]);
    assert!(!may_start(&image));
    let server =
        Server::start(&image.from, |_, before| if before == 0 { Answer::Cut(9) } else { Answer::Well });
    provision(&server).ended(0, &["/opt/footplate/store/kubeadm/v1.34.1: was missing"]);
    assert!(may_start(&image));
    assert_eq!(image.faults(), Vec::<String>::new());
}

/// Changes a file of footplate's as a newer one might write it: another version, more fields, at any depth.
fn as_of_a_newer(path: &std::path::Path) {
    fn more(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.values_mut().for_each(more);
                map.insert("added_later".to_owned(), serde_json::json!({"at": ["any", "depth"]}));
            }
            Value::Array(items) => items.iter_mut().for_each(more),
            _ => {}
        }
    }
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    more(&mut json);
    json["version"] = 99.into();
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_newer_footplates_state_is_read() {
    needs!(root("files have owners"));
    let image = Image::new("newer-state");
    image.publish_node("v1.34.1");
    image.put("/usr/lib/systemd/system/kubelet.service", "[Service]\n");
    image.bake(&["--allow", "unit"]).ended(0, &[]);
    provision(&image).ended(0, &[]);
    // What `report` leaves at the end of a bootstrap.
    let stamp = r#"{"version": 1, "instance_id": "i-1", "result": "done", "kubeadm_exit_status": 0}"#;
    image.put("/var/lib/footplate/instances/i-1.json", stamp);
    let baked = image.path("/opt/footplate/baked.json");
    for path in ["/var/lib/footplate/instances/i-1.json", "/run/footplate/status.json"] {
        as_of_a_newer(&image.path(path));
    }
    as_of_a_newer(&baked);
    let mut record: Value = serde_json::from_slice(&fs::read(&baked).unwrap()).unwrap();
    record["allowed"].as_array_mut().unwrap().push("a-kind-of-later".into());
    fs::write(&baked, record.to_string()).unwrap();
    for name in ["kubeadm", "cni-plugins"] {
        as_of_a_newer(&image.path(&format!("/opt/footplate/store/{name}/current/.footplate.json")));
    }
    // The node is taken as it is: nothing runs twice, nothing is fetched, nothing is a fault.
    let root = image.root.to_str().unwrap();
    footplate(&["status", "--root", root]).ended(0, &[]);
    fs::remove_dir_all(&image.from).unwrap();
    fs::remove_file(image.path("/run/footplate/bootstrap")).unwrap();
    provision(&image).ended(0, &["was bootstrapped before"]);
    assert!(!may_start(&image));
    footplate(&["status", "--root", root]).ended(0, &[]);
    assert_eq!(image.faults(), Vec::<String>::new());
    footplate(&["seal", "--root", root]).ended(0, &[]);
}

#[test]
fn what_can_not_be_fetched_stops_the_node() {
    needs!(root("files have owners"));
    let image = baked("first-boot-gone");
    let lock = image.path("/opt/footplate/lock.json");
    let text =
        fs::read_to_string(&lock).unwrap().replace("https://artifacts.invalid/", "file:///nonexistent/");
    fs::write(&lock, text).unwrap();
    fs::remove_dir_all(image.path("/opt/footplate/store/kubeadm")).unwrap();
    provision(&image).ended(75, &["kubeadm v1.34.1", "does not exist"]);
    assert!(!may_start(&image));
}

#[test]
fn what_does_not_verify_stops_the_node() {
    needs!(root("files have owners"));
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
