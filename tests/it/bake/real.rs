// SPDX-License-Identifier: Apache-2.0
//! Real programs, all built from Debian's sources: kubectl and the CNI plugins as Debian's packages have them, kubeadm and
//! kubelet by `qemu-tests/kubernetes/build`, which the boots use too.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::image::{Image, sha256};
use super::server::{Answer, Server};
use crate::common::debian;
use crate::common::scratch::{FOOTPLATE, Ran, command};

/// A program of this version that says it is of another: the text of its version in it is as long as the old one.
fn patched(program: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut bytes = program.to_vec();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "no {from} in it");
    bytes
}

/// Numbers that differ from run to run; a test that fails names the first one.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// A lock's entry and its file: name, version, file, bytes.
fn publish(image: &Image, name: &str, version: &str, bytes: &[u8]) -> Value {
    let to = json!([{"from": "", "to": format!("/opt/bin/{name}"), "mode": "0755"}]);
    image.publish(name, version, &format!("{name}-{version}"), bytes, to)
}

/// The whole node in an image's directory of artifacts.
fn node(image: &Image, kubeadm: &[u8], version: &str) -> Vec<Value> {
    let kubectl =
        fs::read(debian::unpacked(&["kubernetes-client"]).unwrap().join("usr/bin/kubectl")).unwrap();
    let kubelet = fs::read(debian::kubernetes().join("kubelet")).unwrap();
    let archive = image.from.join("cni-plugins.tgz");
    let plugins = debian::unpacked(&["containernetworking-plugins"]).unwrap().join("usr/lib/cni");
    let tar = Ran::of(Command::new("tar").arg("-C").arg(plugins).arg("-czf").arg(&archive).arg("."));
    tar.ended(0, &[]);
    let archive = fs::read(archive).unwrap();
    let install = json!([{"from": "", "to": "/opt/cni/bin/", "mode": "0755"}]);
    vec![
        publish(image, "kubeadm", version, kubeadm),
        publish(image, "kubelet", "v1.20.2", &kubelet),
        publish(image, "kubectl", "v1.20.2", &kubectl),
        image.publish("cni-plugins", "v1.1.1", "cni-plugins.tgz", &archive, install),
    ]
}

fn over_https(image: &Image, server: &Server) -> Command {
    let (lock, root) = (image.lock.to_str().unwrap(), image.root.to_str().unwrap());
    let mut bake = command(&["bake", "--lock", lock, "--root", root, "--from", &server.url()]);
    bake.env("SSL_CERT_FILE", &server.authority);
    bake
}

/// What `verify` says of an image whose programs all run here.
#[track_caller]
fn versions(image: &Image) -> usize {
    let report = image.verify().ended(0, &[]).json();
    assert_eq!(report["skipped"], 0, "all of them run here: {report}");
    report["checks"].as_array().unwrap().iter().filter(|c| c["kind"] == "version").count()
}

#[test]
fn real_programs_come_over_https_whatever_happens_on_the_way() {
    needs!(root("files have owners"));
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let seed = u64::try_from(seed & u128::from(u64::MAX)).unwrap() | 1;
    println!("the random numbers begin with {seed}");
    let mut random = Random(seed);
    let online = Image::new("real-online");
    let kubeadm = fs::read(debian::kubernetes().join("kubeadm")).unwrap();
    online.write_lock(node(&online, &kubeadm, "v1.20.2"));

    // The program is killed, then connections break, at random bytes.
    let size = fs::metadata(online.from.join("kubelet-v1.20.2")).unwrap().len();
    let cuts: Vec<usize> = (0..6).map(|_| random.below(usize::try_from(size).unwrap() / 4)).collect();
    let server = Server::start(&online.from, move |asked, before| match asked.path.as_str() {
        "/kubelet-v1.20.2" if before < 20 => Answer::Cut(cuts[before % cuts.len()]),
        _ => Answer::Well,
    });
    let (lock, root, url) = (online.lock.to_str().unwrap(), online.root.to_str().unwrap(), server.url());
    for _ in 0..3 {
        let mut child = Command::new(FOOTPLATE)
            .args(["bake", "--lock", lock, "--root", root, "--from", &url])
            .env("SSL_CERT_FILE", &server.authority)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(100 + random.below(700) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!online.path("/opt/bin/kubelet").exists(), "seed {seed}");
    }
    Ran::of(&mut over_https(&online, &server)).ended(0, &["kubelet v1.20.2: going on after"]);
    let begun: Vec<usize> =
        server.asked().iter().filter(|a| a.path.contains("kubelet")).map(|a| a.from).collect();
    assert!(begun.windows(2).all(|w| w[0] <= w[1]), "seed {seed}: it never begins anew: {begun:?}");
    assert_eq!(versions(&online), 3, "kubeadm, kubelet and kubectl say theirs");
    // A plugin runs through its link and says which versions of the specification it knows.
    let plugin =
        Command::new(online.path("/opt/cni/bin/bridge")).env("CNI_COMMAND", "VERSION").output().unwrap();
    assert!(String::from_utf8_lossy(&plugin.stdout).contains("supportedVersions"), "{plugin:?}");

    // Without a network: byte for byte the same.
    let mut offline = Image::new("real-offline");
    offline.from.clone_from(&online.from);
    offline.lock.clone_from(&online.lock);
    offline.bake(&["--containerd-config"]).ended(0, &[]);
    online.bake(&["--containerd-config"]).ended(0, &[]);
    assert_eq!(online.tree(), offline.tree(), "seed {seed}");
    let config = fs::read_to_string(offline.path("/etc/containerd/cri.toml")).unwrap();
    assert!(config.contains("pause:3.2\""), "what this kubeadm pulls: {config}");

    // What is not as it was baked is found, in files as large as these and by what they say of themselves.
    super::verify::each_is_found(&online, |_| {});

    // An upgrade, and back, of one program: one link each.
    let current = offline.path("/opt/footplate/store/kubeadm/current");
    let (old, links) =
        (fs::read(&offline.lock).unwrap(), fs::read_link(offline.path("/opt/bin/kubeadm")).unwrap());
    let mut lock = offline.read_lock();
    let newer = patched(&kubeadm, "v1.20.2", "v1.20.9");
    lock["artifacts"][0] = publish(&offline, "kubeadm", "v1.20.9", &newer);
    fs::write(&offline.lock, lock.to_string()).unwrap();
    for (lock, version) in [(lock.to_string().into_bytes(), "v1.20.9"), (old, "v1.20.2")] {
        fs::write(&offline.lock, lock).unwrap();
        let changed = offline.bake(&["--containerd-config", "--format", "json"]).ended(0, &[]).json();
        let paths = ["/opt/footplate/lock.json", "/opt/footplate/store/kubeadm/current"];
        let moved: Vec<_> = changed["changed"].as_array().unwrap().iter().map(|item| &item["path"]).collect();
        assert_eq!(moved, paths, "nothing else moves");
        assert_eq!(fs::read_link(&current).unwrap(), Path::new(version));
        assert_eq!(fs::read_link(offline.path("/opt/bin/kubeadm")).unwrap(), links);
        assert_eq!(versions(&offline), 3);
    }
}

#[test]
fn a_real_program_that_is_not_the_locks_is_refused() {
    needs!(root("files have owners"));
    let image = Image::new("real-refused");
    let kubeadm = fs::read(debian::kubernetes().join("kubeadm")).unwrap();
    let mut random = Random(kubeadm.len() as u64 | 1);
    let at = random.below(kubeadm.len());
    image.write_lock(vec![publish(&image, "kubeadm", "v1.20.2", &kubeadm)]);
    let other = "/kubeadm-v1.20.2";
    let answers = [
        (Answer::Flip(at), 65, "is not what the lock names"),
        (Answer::Length(-1), 65, "is not what the lock names"),
        (Answer::Length(1), 75, "the part that was fetched is kept"),
        (Answer::Status(200, "kubeadm"), 65, "7 bytes came"),
    ];
    for (answer, code, says) in answers {
        let server =
            Server::start(
                &image.from,
                move |asked, _| if asked.path == other { answer.clone() } else { Answer::Well },
            );
        Ran::of(&mut over_https(&image, &server)).ended(code, &["kubeadm v1.20.2", says]);
        assert!(!image.path("/opt/bin/kubeadm").exists());
    }
    // A disk that holds half of it.
    let server = Server::start(&image.from, |_, _| Answer::Well);
    let script = format!(
        "mount -t tmpfs -o size=20m tmpfs {root}/opt && \"$@\"; code=$?; find {root}/opt -type f -size +0; exit $code",
        root = image.root.display()
    );
    let bake = over_https(&image, &server);
    let mut full = Command::new("unshare");
    full.args(["--mount", "sh", "-c", &script, "sh"]).arg(bake.get_program()).args(bake.get_args());
    let full = Ran::of(full.env("SSL_CERT_FILE", &server.authority));
    full.ended(74, &["kubeadm v1.20.2", "No space left on device"]);
    assert_eq!(full.out, "", "a part keeps the disk full");
    // The truth is taken after all that.
    Ran::of(&mut over_https(&image, &server)).ended(0, &[]);
    assert_eq!(versions(&image), 1);
    assert_eq!(sha256(&fs::read(image.path("/opt/bin/kubeadm")).unwrap()), sha256(&kubeadm));
}
