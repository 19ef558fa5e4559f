// SPDX-License-Identifier: Apache-2.0
//! Real programs: Debian's kubectl and CNI plugins, and the kubeadm and kubelet that `qemu-tests/kubernetes/build` makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::image::Image;
use crate::scratch::fresh;

/// Unpacks a Debian package, and gives the directory.
fn package(name: &str) -> PathBuf {
    let dir = fresh(&format!("package-{name}"));
    let script = format!(
        "set -e; apt-get download {name} || {{ apt-get update; apt-get download {name}; }}
        dpkg-deb -x {name}_*.deb root"
    );
    let unpacked =
        Command::new("timeout").args(["300", "sh", "-c", &script]).current_dir(&dir).output().unwrap();
    assert!(
        unpacked.status.success(),
        "`apt-get download {name}` does not work\n{}",
        String::from_utf8_lossy(&unpacked.stderr)
    );
    dir.join("root")
}

/// The version that a real program says.
fn said(program: &Path, args: &[&str]) -> String {
    let said = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["clientVersion"]["gitVersion"].as_str().unwrap().to_owned()
}

#[test]
fn real_programs_are_baked_and_say_their_version() {
    let image = Image::new("real");
    let kubectl = package("kubernetes-client").join("usr/bin/kubectl");
    let version = said(&kubectl, &["version", "--client", "-o", "json"]);
    let to = |path: &str| json!([{"from": "", "to": path, "mode": "0755"}]);
    let bytes = fs::read(&kubectl).unwrap();
    let mut artifacts = vec![image.publish("kubectl", &version, "kubectl", &bytes, to("/opt/bin/kubectl"))];

    let plugins = package("containernetworking-plugins").join("usr/lib/cni");
    let archive = image.from.join("cni-plugins.tgz");
    let tar =
        Command::new("tar").arg("-C").arg(&plugins).args(["-czf"]).arg(&archive).arg(".").status().unwrap();
    assert!(tar.success());
    let bytes = fs::read(&archive).unwrap();
    let install = json!([{"from": "", "to": "/opt/cni/bin/", "mode": "0755"}]);
    artifacts.push(image.publish("cni-plugins", "v1.1.1", "cni-plugins.tgz", &bytes, install));

    // Those that Debian has no binary of, where they were built.
    let built = std::env::var_os("FOOTPLATE_KUBERNETES").map(PathBuf::from);
    for name in built.iter().flat_map(|_| ["kubeadm", "kubelet"]) {
        let bytes = fs::read(built.as_ref().unwrap().join(name)).unwrap();
        artifacts.push(image.publish(name, "v1.20.2", name, &bytes, to(&format!("/opt/bin/{name}"))));
    }
    image.write_lock(artifacts);
    image.bake(&[]).ended(0, &[]);
    let report = image.verify().ended(0, &[]).json();
    assert_eq!(report["skipped"], 0, "all of them run here: {report}");
    let versions = report["checks"].as_array().unwrap().iter().filter(|c| c["kind"] == "version").count();
    assert_eq!(versions, if built.is_some() { 3 } else { 1 });
    // A plugin runs through its link and says which versions of the specification it knows.
    let plugin =
        Command::new(image.path("/opt/cni/bin/bridge")).env("CNI_COMMAND", "VERSION").output().unwrap();
    assert!(String::from_utf8_lossy(&plugin.stdout).contains("supportedVersions"), "{plugin:?}");
}
