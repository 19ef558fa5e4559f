// SPDX-License-Identifier: Apache-2.0
//! What `bake` puts into a root, and what it refuses.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::image::{Entry, Image, elf, gzip, header, sha512, tarball};
use crate::schemas::keeps_to;

fn golden(image: &Image, name: &str) {
    let path = format!("{}/tests/bake/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    // The digests of units and settings are theirs: what is compared is what stands where.
    let strip = |line: &str| match line.rsplit_once(' ') {
        Some((rest, digest)) if digest.len() == 12 && digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            format!("{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    let tree: String = image.tree().lines().map(strip).collect();
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, &tree).unwrap();
    }
    assert_eq!(tree, fs::read_to_string(&path).unwrap(), "{path}");
}

#[test]
fn a_baked_root_is_the_golden_one() {
    needs!(root("files have owners"));
    for flavour in ["cloud-config", "ignition"] {
        let image = Image::new(&format!("golden-{flavour}"));
        image.publish_node("v1.34.1");
        image.bake(&["--userdata", flavour]).ended(0, &[]);
        golden(&image, flavour);
        image.verify().ended(0, &[]);
    }
}

#[test]
fn two_bakes_are_byte_identical() {
    needs!(root("files have owners"));
    let (one, two) = (Image::new("identical-1"), Image::new("identical-2"));
    for image in [&one, &two] {
        image.publish_node("v1.34.1");
        image.bake(&["--jobs", if std::ptr::eq(image, &one) { "1" } else { "8" }]).ended(0, &[]);
    }
    assert_eq!(one.tree(), two.tree());
    let before = one.tree();
    let again = keeps_to(one.bake(&["--format", "json"]).ended(0, &[]), "bake.v1.json");
    assert_eq!(again["changed"], json!([]), "a second bake changes nothing");
    assert_eq!(one.tree(), before);
}

#[test]
fn an_upgrade_and_a_rollback_are_one_rename_each() {
    needs!(root("files have owners"));
    let image = Image::new("upgrade");
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    let kubeadm = || fs::read_to_string(image.path("/opt/bin/kubeadm")).unwrap();
    let link = fs::read_link(image.path("/opt/bin/kubeadm")).unwrap();
    let old_lock = fs::read(&image.lock).unwrap();
    assert!(kubeadm().contains("v1.34.1"));

    image.publish_node("v1.35.0");
    keeps_to(image.bake(&["--dry-run", "--format", "json"]).ended(0, &[]), "bake.v1.json");
    let baked = keeps_to(image.bake(&["--format", "json"]).ended(0, &[]), "bake.v1.json");
    let lock =
        baked["changed"].as_array().unwrap().iter().find(|item| item["path"] == "/opt/footplate/lock.json");
    let bytes = fs::metadata(&image.lock).unwrap().len();
    let item = json!({"kind": "file", "path": "/opt/footplate/lock.json", "mode": "0644", "owner": "0:0",
        "bytes": bytes, "action": "change"});
    assert_eq!(lock, Some(&item), "{baked:#}");
    assert!(kubeadm().contains("v1.35.0"));
    assert_eq!(fs::read_link(image.path("/opt/bin/kubeadm")).unwrap(), link, "only `current` moved");
    image.verify().ended(0, &[]);

    // Back without any artifact at hand: the store has them.
    fs::write(&image.lock, old_lock).unwrap();
    fs::remove_dir_all(&image.from).unwrap();
    let back = keeps_to(image.bake(&["--format", "json"]).ended(0, &[]), "bake.v1.json");
    assert!(kubeadm().contains("v1.34.1"));
    assert!(back["artifacts"].as_object().unwrap().values().all(|v| v == "present"), "{back}");
    image.verify().ended(0, &[]);

    // And as a person would do it by hand.
    let current = image.path("/opt/footplate/store/kubeadm/current");
    symlink("v1.35.0", image.path("/opt/footplate/store/kubeadm/new")).unwrap();
    fs::rename(image.path("/opt/footplate/store/kubeadm/new"), current).unwrap();
    assert!(kubeadm().contains("v1.35.0"));
}

#[test]
fn what_a_new_lock_leaves_out_is_taken_away() {
    needs!(root("files have owners"));
    let image = Image::new("left-out");
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    let mut lock = image.read_lock();
    lock["artifacts"].as_array_mut().unwrap().retain(|a| a["name"] != "kubectl");
    fs::write(&image.lock, lock.to_string()).unwrap();
    image.bake(&["--userdata", "ignition"]).ended(0, &[]);
    assert!(fs::symlink_metadata(image.path("/opt/bin/kubectl")).is_err());
    assert!(image.path("/opt/bin/kubeadm").exists());
    assert!(!image.path("/oem/config.ign").exists(), "Ignition reads the platform's again");
    assert!(fs::symlink_metadata(image.path("/etc/systemd/system/oem-cloudinit.service")).is_err());
    image.verify().ended(0, &[]);
}

#[test]
fn nothing_is_put_in_use_before_all_is_there() {
    needs!(root("files have owners"));
    let image = Image::new("all-or-nothing");
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    let in_use = || fs::read_link(image.path("/opt/footplate/store/kubeadm/current")).unwrap();
    let before = in_use();
    image.publish_node("v1.35.0");
    fs::remove_file(image.from.join("kubectl-v1.35.0")).unwrap();
    image.bake(&[]).ended(75, &["kubectl v1.35.0", "does not exist", "last part of its URL"]);
    assert_eq!(in_use(), before);
    image.verify().ended(0, &[]);
}

#[test]
fn both_digests_count() {
    needs!(root("files have owners"));
    let image = Image::new("digests");
    let install = json!([{"from": "", "to": "/opt/bin/tool", "mode": "0755"}]);
    let mut artifact = image.publish("tool", "1", "tool", b"#!/bin/sh\n", install);
    let bake = |artifact: &Value| {
        image.write_lock(vec![artifact.clone()]);
        image.bake(&[])
    };
    artifact["sha512"] = json!(sha512(b"another"));
    bake(&artifact).ended(65, &["tool 1", "is not what the lock names", "sha512"]);
    artifact["sha512"] = json!(sha512(b"#!/bin/sh\n").to_uppercase());
    artifact.as_object_mut().unwrap().remove("sha256");
    bake(&artifact).ended(0, &[]);
    image.verify().ended(0, &[]);
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    needs!(root("files have owners"));
    let image = Image::new("flipped");
    image.publish_node("v1.34.1");
    let file = image.from.join("kubeadm-v1.34.1");
    let good = fs::read(&file).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&file, bad).unwrap();
        image.bake(&[]).ended(65, &["kubeadm v1.34.1", "is not what the lock names"]);
        assert!(!image.path("/opt/bin/kubeadm").exists());
    }
    for length in [0, good.len() - 1] {
        fs::write(&file, &good[..length]).unwrap();
        image.bake(&[]).ended(65, &["is not what the lock names", &format!("{length} bytes came")]);
    }
    fs::write(&file, good).unwrap();
    image.bake(&[]).ended(0, &[]);
}

#[test]
fn a_lock_with_a_fault_is_refused_with_its_place() {
    needs!(root("files have owners"));
    let image = Image::new("bad-locks");
    image.publish_node("v1.34.1");
    let good = image.read_lock();
    let cases: &[(&str, Value, &[&str])] = &[
        ("/version", json!(2), &["version 2", "reads version 1"]),
        ("/arch", json!("riscv64"), &["arch", "neither amd64 nor arm64"]),
        ("/artifacts/0/name", json!("../etc"), &["artifacts[0].name"]),
        ("/artifacts/0/version", json!("current"), &["artifacts[0].version"]),
        ("/artifacts/1/name", json!("footplate"), &["artifacts[1].name", "twice"]),
        ("/artifacts/0/url", json!("ftp://h/f"), &["artifacts[0].url"]),
        ("/artifacts/0/url", json!("https://h/f/"), &["artifacts[0].url", "must end in a file's name"]),
        ("/artifacts/0/sha256", json!("abc"), &["artifacts[0].sha256", "64 hexadecimal"]),
        ("/artifacts/0/sha256", Value::Null, &["artifacts[0]", "neither sha256 nor sha512"]),
        ("/artifacts/0/install", json!([]), &["artifacts[0].install", "empty"]),
        ("/artifacts/0/install/0/to", json!("opt/bin/x"), &["install[0].to"]),
        ("/artifacts/0/install/0/to", json!("/opt/bin/../../etc/passwd"), &["install[0].to"]),
        ("/artifacts/0/install/0/to", json!("/usr/bin/kubeadm"), &["install[0].to", "/opt/bin"]),
        ("/artifacts/0/install/0/to", json!("/opt/footplate/lock.json"), &["install[0].to"]),
        ("/artifacts/2/install/0/to", json!("/opt/bin/footplate"), &["artifacts[2].install[0].to", "twice"]),
        ("/artifacts/0/install/0/from", json!("bin/x"), &["install[0].from", "ends in .tar.gz"]),
        ("/artifacts/1/install/0/from", json!("../x"), &["artifacts[1].install[0].from"]),
        ("/artifacts/0/install/0/mode", json!("4755"), &["install[0].mode"]),
        ("/artifacts/0/install/0/mode", json!("0777"), &["install[0].mode", "users other than root"]),
        ("/artifacts/0/install/0/mode", json!("rwx"), &["install[0].mode", "octal"]),
        (
            "/artifacts/0/install",
            json!([{"to": "/opt/bin/a", "mode": "0755"}, {"to": "/opt/bin/b", "mode": "0644"}]),
            &["artifacts[0].install", "several modes"],
        ),
        ("/artifacts", json!("x"), &["line"]),
    ];
    for (pointer, value, says) in cases {
        let mut lock = good.clone();
        *lock.pointer_mut(pointer).unwrap() = value.clone();
        fs::write(&image.lock, lock.to_string()).unwrap();
        image.bake(&[]).ended(65, says);
        assert!(!image.path("/opt/footplate").exists(), "{pointer}: something was written");
    }
    fs::write(&image.lock, "{").unwrap();
    image.bake(&[]).ended(65, &["this is not JSON", "line 1"]);
    fs::write(&image.lock, good.to_string()).unwrap();
    image.bake(&["--userdata", "both"]).ended(64, &["--userdata"]);
    image.bake_only(&["--from", "ftp://mirror.invalid/"]).ended(64, &["--from"]);
    fs::remove_file(&image.lock).unwrap();
    image.bake(&[]).ended(64, &["lock.json"]);
}

#[test]
fn an_archive_can_not_lead_out_of_its_directory() {
    needs!(root("files have owners"));
    let image = Image::new("hostile-archives");
    fs::write(image.root.parent().unwrap().join("victim"), "untouched").unwrap();
    let long = "d/".repeat(40) + "x";
    let good = Entry::File(b"good");
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (tarball(&[("../../../../victim", Entry::File(b"bad"))]), &["leads out of the archive"]),
        (tarball(&[("a/../../b", Entry::File(b"bad"))]), &["leads out of the archive"]),
        (tarball(&[("/etc/passwd", Entry::File(b"bad"))]), &["leads out of the archive"]),
        (
            tarball(&[("a", Entry::Link(b'2', "/etc")), ("a/passwd", good)]),
            &["neither a file nor a directory"],
        ),
        (tarball(&[("a", Entry::Link(b'1', "b"))]), &["neither a file nor a directory"]),
        (tarball(&[("a", Entry::Link(b'3', ""))]), &["neither a file nor a directory"]),
        (tarball(&[("a", Entry::Link(b'6', ""))]), &["neither a file nor a directory"]),
        (tarball(&[("a", Entry::File(b"1")), ("a", Entry::File(b"2"))]), &["twice"]),
        (tarball(&[("a", Entry::File(b"1")), ("a/b", Entry::File(b"2"))]), &["is not a directory"]),
        (tarball(&[(".footplate.json", Entry::File(b"{}"))]), &["the store uses this name"]),
        (tarball(&[("a\nb", Entry::File(b"1"))]), &["no usable name"]),
        (tarball(&[]), &["holds nothing"]),
        (gzip(&header("x", b'x', 1 << 20, "")), &["extended header"]),
        (gzip(&header("a", b'0', 4096, "")), &["ends in the middle"]),
        (gzip(&[b'x'; 512]), &["checksum"]),
        (gzip(b""), &["ends without its end mark"]),
        (b"what no gzip begins with".to_vec(), &["invalid gzip header"]),
        (tarball(&[(&long, Entry::File(b"deep"))])[..60].to_vec(), &["cut"]),
    ];
    for (number, (archive, says)) in cases.into_iter().enumerate() {
        let install = json!([{"from": "", "to": "/opt/cni/bin/", "mode": "0755"}]);
        let artifact = image.publish("bad", "1", "bad.tar.gz", &archive, install);
        image.write_lock(vec![artifact]);
        let says = if says == ["cut"] { &["bad 1"][..] } else { says };
        let ran = image.bake(&[]);
        assert_eq!(ran.code, 74, "case {number}: {}", ran.err);
        ran.ended(74, says);
        assert!(!image.path("/opt/cni").exists(), "case {number}");
        assert!(!image.path("/opt/footplate/store/bad/1").exists(), "case {number}");
    }
    assert_eq!(fs::read_to_string(image.root.parent().unwrap().join("victim")).unwrap(), "untouched");
}

#[test]
fn parts_of_an_archive_go_where_the_lock_says() {
    needs!(root("files have owners"));
    let image = Image::new("parts");
    let long = format!("bin/{}", "n".repeat(200));
    let mut pax = format!(" path={long}\n");
    let length = pax.len() + 3;
    pax.insert_str(0, &length.to_string());
    // A pax header before a member, which the ustar fields can't name.
    let mut tar = header("PaxHeaders/x", b'x', pax.len(), "").to_vec();
    tar.extend_from_slice(pax.as_bytes());
    tar.resize(1024, 0);
    tar.extend_from_slice(&header("short", b'0', 4, ""));
    tar.extend_from_slice(b"long");
    tar.resize(2048, 0);
    for (name, content) in [("bin/one", "1"), ("bin/sub/two", "2"), ("LICENSE", "text")] {
        tar.extend_from_slice(&header(name, b'0', content.len(), ""));
        tar.extend_from_slice(content.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let install = json!([
        {"from": "bin/", "to": "/opt/bin/", "mode": "0755"},
        {"from": "./LICENSE", "to": "/opt/share/tool-license", "mode": "0644"},
    ]);
    let artifact = image.publish("tool", "1", "tool.tgz", &gzip(&tar), install);
    let install = json!([{"from": "bin/one", "to": "/opt/named/", "mode": "0755"}]);
    let named = image.publish("named", "1", "tool.tgz", &gzip(&tar), install);
    image.write_lock(vec![artifact, named]);
    image.bake(&[]).ended(0, &[]);
    for (path, content) in [
        ("/opt/bin/one", "1"),
        ("/opt/bin/sub/two", "2"),
        ("/opt/named/one", "1"),
        ("/opt/share/tool-license", "text"),
        (&format!("/opt/{long}"), "long"),
    ] {
        assert_eq!(fs::read_to_string(image.path(path)).unwrap(), content, "{path}");
    }
    image.verify().ended(0, &[]);
    // A directory that goes to a file's name.
    let mut lock = image.read_lock();
    lock["artifacts"][0]["version"] = json!("2");
    lock["artifacts"][0]["install"] = json!([{"from": "bin", "to": "/opt/bin", "mode": "0755"}]);
    fs::write(&image.lock, lock.to_string()).unwrap();
    image.bake(&[]).ended(74, &["holds nothing for /opt/bin", "`to` must end in /"]);
}

#[test]
fn a_link_in_the_root_does_not_lead_a_bake_out_of_it() {
    needs!(root("files have owners"));
    let image = Image::new("links-out");
    let outside = image.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(image.path("/opt/real")).unwrap();
    symlink(&outside, image.path("/opt/cni")).unwrap();
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(74, &["/opt/cni"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);

    // One that stays inside is followed, and links made there still lead to their files.
    fs::remove_file(image.path("/opt/cni")).unwrap();
    symlink("/opt/real/deeper", image.path("/opt/cni")).unwrap();
    fs::create_dir(image.path("/opt/real/deeper")).unwrap();
    image.bake(&[]).ended(0, &[]);
    assert_eq!(fs::read_to_string(image.path("/opt/real/deeper/bin/bridge")).unwrap(), "bridge v1.34.1\n");
    image.verify().ended(0, &[]);
}

#[test]
fn a_program_for_another_machine_is_refused() {
    needs!(root("files have owners"));
    let image = Image::new("machine");
    // For s390, which Flatcar is not built for.
    let elf = elf(22);
    let install = json!([{"from": "", "to": "/opt/bin/tool", "mode": "0755"}]);
    image.write_lock(vec![image.publish("tool", "1", "tool", &elf, install)]);
    image
        .bake(&[])
        .ended(74, &["tool 1", "tool is a program for another processor (ELF machine 22), the lock is for"]);
    assert!(!image.path("/opt/bin/tool").exists());
}

#[test]
fn footplate_brings_itself() {
    needs!(root("files have owners"));
    let image = Image::new("itself");
    let install = json!([{"from": "", "to": "/opt/bin/tool", "mode": "0755"}]);
    image.write_lock(vec![image.publish("tool", "1", "tool", b"#!/bin/sh\n", install)]);
    // As it is when Packer uploaded it to where it belongs.
    fs::create_dir_all(image.path("/opt/bin")).unwrap();
    fs::copy(crate::common::scratch::FOOTPLATE, image.path("/opt/bin/footplate")).unwrap();
    image.bake(&[]).ended(0, &[]);
    let installed = fs::read(image.path("/opt/bin/footplate")).unwrap();
    assert!(installed == fs::read(crate::common::scratch::FOOTPLATE).unwrap(), "another program");
    assert!(fs::symlink_metadata(image.path("/opt/bin/footplate")).unwrap().is_symlink());
    image.verify().ended(0, &[]);
}
