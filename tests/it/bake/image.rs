// SPDX-License-Identifier: Apache-2.0
//! A Flatcar-like root to bake into, artifacts to bake, and the program run on both.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::common::scratch::{Ran, footplate, fresh, put_program, walk};

/// A root, and beside it a directory of artifacts.
pub struct Image {
    /// The root.
    pub root: PathBuf,
    /// The artifacts' directory.
    pub from: PathBuf,
    /// The lock file.
    pub lock: PathBuf,
    /// The architecture that the lock is for.
    pub arch: &'static str,
}

impl Image {
    /// A root as Flatcar's is before anything is installed, and no artifact.
    pub fn new(name: &str) -> Self {
        let dir = fresh(name);
        let image =
            Self { root: dir.join("root"), from: dir.join("from"), lock: dir.join("lock.json"), arch: ARCH };
        for path in
            ["etc", "usr/bin", "usr/lib/systemd/system", "opt", "oem", "var/lib", "run", "boot/flatcar"]
        {
            fs::create_dir_all(image.root.join(path)).unwrap();
        }
        fs::create_dir(&image.from).unwrap();
        // What tells the image's architecture.
        image.put_program("/usr/lib/systemd/systemd", elf(OWN));
        image.put("/usr/lib/os-release", "NAME=x\nID=flatcar\nVERSION_ID=4593.2.0\n");
        image.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n");
        image.put("/etc/group", "root:x:0:\ncore:x:500:\n");
        image.put("/etc/shadow", "root:*:1:0:99999:7:::\ncore:*:1:0:99999:7:::\n");
        image
    }

    /// Where a path of the root is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Puts a file into the root, `0644`.
    pub fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Puts a program into the root.
    pub fn put_program(&self, path: &str, text: impl AsRef<[u8]>) {
        put_program(&self.path(path), text);
    }

    /// Publishes a file in the artifacts' directory, and gives its entry in a lock.
    pub fn publish(&self, name: &str, version: &str, file: &str, bytes: &[u8], install: Value) -> Value {
        fs::write(self.from.join(file), bytes).unwrap();
        json!({
            "name": name, "version": version, "url": format!("https://artifacts.invalid/{version}/{file}"),
            "sha256": sha256(bytes), "install": install,
        })
    }

    /// The programs of a node in the artifacts' directory, and a lock with them. `version` stands in all of them.
    pub fn publish_node(&self, version: &str) {
        let to = |path: &str| json!([{"from": "", "to": path, "mode": "0755"}]);
        let plugins = tarball(&[
            ("./", Entry::Directory),
            ("./bridge", Entry::File(format!("bridge {version}\n").as_bytes())),
            ("./loopback", Entry::File(format!("loopback {version}\n").as_bytes())),
        ]);
        let plugins_to = json!([{"from": "", "to": "/opt/cni/bin/", "mode": "0755"}]);
        let mut artifacts = vec![
            // As large as the real thing would only be slow.
            self.publish("footplate", "9.9.9", "footplate", b"#!/bin/sh\n", to("/opt/bin/footplate")),
            self.publish("cni-plugins", version, "cni-plugins.tgz", &plugins, plugins_to),
        ];
        for name in ["kubeadm", "kubelet", "kubectl"] {
            let program = program(name, version);
            let file = format!("{name}-{version}");
            artifacts.push(self.publish(
                name,
                version,
                &file,
                program.as_bytes(),
                to(&format!("/opt/bin/{name}")),
            ));
        }
        self.write_lock(artifacts);
    }

    /// Writes a lock file.
    pub fn write_lock(&self, artifacts: Vec<Value>) {
        let lock = json!({ "version": 1, "arch": self.arch, "artifacts": artifacts });
        fs::write(&self.lock, format!("{lock:#}\n")).unwrap();
    }

    /// The lock file as JSON.
    pub fn read_lock(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.lock).unwrap()).unwrap()
    }

    /// `bake` from the artifacts' directory.
    pub fn bake(&self, more: &[&str]) -> Ran {
        let from = self.from.to_str().unwrap();
        self.bake_only(&[&["--from", from], more].concat())
    }

    /// `bake` without `--from`.
    pub fn bake_only(&self, more: &[&str]) -> Ran {
        let fixed = ["bake", "--lock", self.lock.to_str().unwrap(), "--root", self.root.to_str().unwrap()];
        footplate(&[&fixed, more].concat())
    }

    /// `verify --format json`.
    pub fn verify(&self) -> Ran {
        footplate(&["verify", "--root", self.root.to_str().unwrap(), "--format", "json"])
    }

    /// What `verify` finds wrong, each as `kind what: detail`.
    pub fn faults(&self) -> Vec<String> {
        let report = self.verify().json();
        let checks = report["checks"].as_array().unwrap();
        let text = |c: &Value, key: &str| c[key].as_str().unwrap_or_default().to_owned();
        checks
            .iter()
            .filter(|c| c["result"] == "failed")
            .map(|c| format!("{} {}: {}", text(c, "kind"), text(c, "what"), text(c, "detail")))
            .collect()
    }

    /// All that stands in the root: kind, bits, owner, path, then a link's target or a file's digest.
    pub fn tree(&self) -> String {
        let mut text = String::new();
        for path in walk(&self.root) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let rest = if meta.is_symlink() {
                format!(" -> {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_file() {
                format!(" {}", &sha256(&fs::read(&path).unwrap())[..12])
            } else {
                String::new()
            };
            let inside = path.strip_prefix(&self.root).unwrap().display();
            text += &format!("{:06o} {}:{} /{inside}{rest}\n", meta.mode(), meta.uid(), meta.gid());
        }
        text
    }
}

/// The architecture of this machine's programs.
pub const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// This machine's ELF machine number.
pub const OWN: u8 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// The head of a 64-bit little-endian program for an ELF machine: all that tells one program's architecture from another's.
pub fn elf(machine: u8) -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    elf.extend([machine, 0]);
    elf.resize(64, 0);
    elf
}

/// A program that answers for its version as the real one does.
pub fn program(name: &str, version: &str) -> String {
    let answer = match name {
        "kubelet" => format!("Kubernetes {version}"),
        _ => json!({"clientVersion": {"gitVersion": version}}).to_string(),
    };
    let pause = format!("registry.example/pause:{}", version.trim_start_matches('v'));
    format!("#!/bin/sh\ncase \"$*\" in *images*) echo '{pause}' ;; *) echo '{answer}' ;; esac\n")
}

/// A digest in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A digest in hexadecimal digits.
pub fn sha512(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A member of an archive.
pub enum Entry<'a> {
    File(&'a [u8]),
    Directory,
    /// Any other type flag, with a target.
    Link(u8, &'a str),
}

/// A gzipped ustar archive, byte for byte as its members are given: names that `tar` would not write, too.
pub fn tarball(members: &[(&str, Entry<'_>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, entry) in members {
        let (flag, content, target): (u8, &[u8], &str) = match entry {
            Entry::File(content) => (b'0', content, ""),
            Entry::Directory => (b'5', b"", ""),
            Entry::Link(flag, target) => (*flag, b"", target),
        };
        tar.extend_from_slice(&header(name, flag, content.len(), target));
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

/// An archive member's header.
pub fn header(name: &str, flag: u8, size: usize, target: &str) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0001000\0");
    put(116, "0001000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(157, target);
    put(257, "ustar\x0000");
    header[156] = flag;
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Compresses.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
