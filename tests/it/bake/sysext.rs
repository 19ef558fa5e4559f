// SPDX-License-Identifier: Apache-2.0
//! `bake sysext`: the same as an extension image, by systemd's own word. A node boots with one in `tests/it/nspawn/machine.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::image::Image;
use crate::common::needs::programs;
use crate::common::scratch::{Ran, footplate, fresh, walk};
use crate::schemas::keeps_to;

fn image(name: &str) -> Image {
    programs(&["mksquashfs:squashfs-tools", "mkfs.erofs:erofs-utils", "systemd-dissect:systemd-container"])
        .unwrap();
    let image = Image::new(name);
    image.publish_node("v1.34.1");
    image
}

/// `bake sysext` of an image's artifacts.
fn sysext(image: &Image, output: &Path, more: &[&str]) -> Ran {
    let (lock, from, output) = (image.lock.display(), image.from.display(), output.display());
    let fixed = format!("bake sysext --lock {lock} --from {from} --output {output}");
    footplate(&[&fixed.split(' ').collect::<Vec<_>>(), more].concat())
}

#[test]
fn an_extension_is_what_systemd_takes_for_one() {
    needs!(root("files have owners"));
    let image = image("sysext");
    for filesystem in ["squashfs", "erofs"] {
        let dir = fresh(&format!("sysext-{filesystem}"));
        let (raw, again) = (dir.join("footplate-9.raw"), dir.join("again/footplate-9.raw"));
        fs::create_dir(dir.join("again")).unwrap();
        let made = sysext(&image, &raw, &["--filesystem", filesystem, "--format", "json"]);
        let made = keeps_to(made.ended(0, &[]), "bake-sysext.v1.json");
        sysext(&image, &again, &["--filesystem", filesystem, "--jobs", "1"]).ended(0, &["kubeadm v1.34.1: "]);
        assert!(fs::read(&raw).unwrap() == fs::read(&again).unwrap(), "{filesystem}: two images differ");
        assert_eq!(made["name"], "footplate");
        assert_eq!(made["sha256"], super::image::sha256(&fs::read(&raw).unwrap()));
        assert!(made["findings"][0]["what"].as_str().unwrap().contains("config.ign"), "{made}");
        // Made anew over the old one, and nothing is left beside it.
        sysext(&image, &again, &["--filesystem", filesystem]).ended(0, &[]);
        assert_eq!(walk(&dir.join("again")), [again]);

        let said = Ran::of(Command::new("systemd-dissect").arg("--json=short").arg(&raw));
        let said = said.ended(0, &[]).json();
        assert_eq!(said["extensionRelease"][0], "ID=_any", "{said}");
        assert_eq!(
            (&said["useSystemExtension"], &said["useBootableSystem"]),
            (&json!(true), &json!(null)),
            "{said}"
        );

        // A root as Flatcar's, in namespaces of its own: systemd-sysext needs /run to be a mount, and shares what it makes.
        let root = dir.join("root");
        for path in ["usr/lib", "etc/extensions", "opt", "run", "var"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("usr/lib/os-release"), "ID=flatcar\nVERSION_ID=4593.2.0\n").unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
        // By its name without a version, as a link to it would be called.
        fs::copy(&raw, root.join("etc/extensions/footplate.raw")).unwrap();
        let script = format!(
            "set -e; cd {root}; mount --make-rprivate /; mount --make-rshared /; mount -t tmpfs tmpfs /run
            systemd-sysext --root={root} merge
            systemd-tmpfiles --root={root} --create footplate.conf
            cp -a usr ../merged
            systemctl --root={root} is-enabled enable-oem-cloudinit.service || :
            grep ExecStart= usr/lib/systemd/system/oem-cloudinit.service
            systemd-sysext --root={root} unmerge >&2",
            root = root.display()
        );
        let merged = Ran::of(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
        assert_eq!(merged.code, 0, "{filesystem}: {}{}", merged.out, merged.err);
        assert_eq!(merged.out, "masked\nExecStart=/usr/bin/true\n", "{}", merged.err);
        let usr = dir.join("merged");
        for (path, inside) in [
            ("opt/bin/footplate", "bin/footplate"),
            ("opt/bin/kubeadm", "lib/footplate/opt/bin/kubeadm"),
            ("opt/cni/bin/bridge", "lib/footplate/opt/cni/bin/bridge"),
            ("etc/crictl.yaml", "lib/footplate/etc/crictl.yaml"),
        ] {
            assert_eq!(
                fs::read_link(root.join(path)).unwrap(),
                PathBuf::from(format!("/usr/{inside}")),
                "{path}"
            );
            assert!(usr.join(inside).is_file(), "{inside}");
        }
        assert!(usr.join("lib/sysctl.d/50-footplate.conf").is_file());
        for wanted in [
            "sysinit.target.wants/footplate-network",
            "multi-user.target.wants/footplate",
            "multi-user.target.wants/kubelet",
        ] {
            assert!(usr.join(format!("lib/systemd/system/{wanted}.service")).is_file(), "{wanted}");
        }
        let unit = fs::read_to_string(usr.join("lib/systemd/system/footplate.service")).unwrap();
        assert!(unit.contains("ExecStart=/usr/bin/footplate provision\n"), "{unit}");
        // Nothing but a `/usr` is in it: an `/opt` would lie over what the node writes there.
        assert_eq!(merged.err.matches("Merged extensions into").count(), 1, "{}", merged.err);
    }
}

#[test]
fn an_extension_is_made_of_nothing_but_the_locks_bytes() {
    needs!(root("files have owners"));
    let image = image("sysext-bad");
    let dir = fresh("sysext-refused");
    let raw = dir.join("footplate.raw");
    let kubeadm = image.from.join("kubeadm-v1.34.1");
    let good = fs::read(&kubeadm).unwrap();
    fs::write(&kubeadm, b"#!/bin/sh\n").unwrap();
    sysext(&image, &raw, &[]).ended(65, &["kubeadm v1.34.1", "is not what the lock names"]);
    fs::remove_file(&kubeadm).unwrap();
    sysext(&image, &raw, &[]).ended(75, &["kubeadm v1.34.1", "does not exist"]);
    assert!(!raw.exists());
    fs::write(&kubeadm, good).unwrap();
    // What came in before is there still.
    sysext(&image, &raw, &[]).ended(0, &["in the store"]);
    sysext(&image, &dir.join("footplate"), &[]).ended(64, &["ends in .raw"]);
    sysext(&image, &dir.join("absent/footplate.raw"), &[]).ended(64, &["absent"]);
    footplate(&["bake", "sysext"]).ended(64, &["--output"]);
}

#[test]
fn an_extension_may_bring_footplate_alone() {
    needs!(root("files have owners"));
    let image = image("sysext-alone");
    let raw = image.root.parent().unwrap().join("agent.raw");
    let output = raw.to_str().unwrap();
    let made = footplate(&["bake", "sysext", "--output", output, "--userdata", "ignition"])
        .ended(0, &[])
        .out
        .clone();
    assert!(made.contains("agent.raw: the extension agent, ") && !made.contains("config.ign"), "{made}");
    let listed = Ran::of(Command::new("unsquashfs").args(["-l", output]));
    assert!(listed.out.contains("/usr/bin/footplate\n"), "{}", listed.out);
    for absent in ["kubelet", "oem-cloudinit", "/opt"] {
        assert!(!listed.out.contains(absent), "{absent} is in\n{}", listed.out);
    }
}
