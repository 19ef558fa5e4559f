// SPDX-License-Identifier: Apache-2.0
//! Disks on loop devices.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::fresh::fresh;
use super::needs::programs;

/// Runs a program that must succeed.
pub fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A disk, gone when this is. `name` is one of its file's own.
pub struct Disk {
    image: PathBuf,
    pub device: String,
}

impl Disk {
    #[track_caller]
    pub fn new(name: &str, mebibytes: u64) -> Self {
        programs(&["sfdisk:fdisk", "mkfs.xfs:xfsprogs", "mkfs.btrfs:btrfs-progs", "mkfs.vfat:dosfstools"])
            .unwrap();
        let image = fresh(name).join("disk");
        fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        let device = run("losetup", &["--find", "--show", "--partscan", image.to_str().unwrap()]);
        Self { image, device }
    }

    pub fn part(&self, number: u32) -> String {
        format!("{}p{number}", self.device)
    }

    /// The image's bytes as a digest of what is not zero: whether anything on the disk changed.
    pub fn digest(&self) -> String {
        run("sync", &[]);
        run("sha256sum", &[self.device.as_str()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
        let _ = fs::remove_file(&self.image);
    }
}
