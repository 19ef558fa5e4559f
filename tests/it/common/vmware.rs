// SPDX-License-Identifier: Apache-2.0
//! Virtual machines whose hypervisor is `vmware-host`: a folder of keys, and programs that run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use super::debian;
use super::needs::Need;

/// Longer than any run here takes on a slow machine; a run that hangs is killed.
const SECONDS: &str = "60";

/// Where cargo puts the programs of this profile.
pub fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_footplate")).parent().unwrap()
}

/// Has cargo build what it does not build for a test by itself.
pub fn build(what: &[&str]) {
    let target_dir = programs().ancestors().nth(2).unwrap();
    let mut cargo = Command::new("timeout");
    cargo.args(["600", env!("CARGO"), "build", "--quiet", "--target-dir"]).arg(target_dir).args(what);
    if programs().ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "{cargo:?} failed");
}

/// The hypervisor.
pub static HOST: LazyLock<PathBuf> = LazyLock::new(|| {
    build(&["--package", "vmware-host"]);
    programs().join("vmware-host")
});

/// The guest's program that reads and writes single keys.
pub static GUESTINFO: LazyLock<String> = LazyLock::new(|| {
    build(&["--package", "footplate", "--example", "guestinfo"]);
    programs().join("examples/guestinfo").to_str().unwrap().to_owned()
});

/// open-vm-tools' client of the same protocol: the one of the system, or of Debian's package.
static RPCTOOL: LazyLock<Need<String>> = LazyLock::new(|| {
    let program = Path::new("/usr/bin/vmware-rpctool");
    let place = match program.exists() {
        true => program.to_owned(),
        false => debian::unpacked(&["open-vm-tools"])?.join("usr/bin/vmware-rpctool"),
    };
    Ok(place.to_str().unwrap().to_owned())
});

/// The path of that client.
pub fn rpctool() -> Need<&'static str> {
    RPCTOOL.as_deref().map_err(Clone::clone)
}

/// A machine, of which there is one for each name.
pub struct Machine {
    keys: PathBuf,
    log: PathBuf,
}

impl Machine {
    /// A machine without any key.
    pub fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machines").join(name);
        let _ = fs::remove_dir_all(&dir);
        let machine = Self { keys: dir.join("keys"), log: dir.join("log") };
        fs::create_dir_all(&machine.keys).unwrap();
        machine
    }

    /// Gives a key its value, from outside.
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>) -> &Self {
        fs::write(self.keys.join(key), value).unwrap();
        self
    }

    /// What a key's value is, seen from outside.
    pub fn value(&self, key: &str) -> Vec<u8> {
        fs::read(self.keys.join(key)).unwrap()
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.keys.join(key).exists()
    }

    /// What the hypervisor has seen so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Runs a command in the machine, whose hypervisor gets these options (separated by spaces).
    pub fn run(&self, options: &str, command: &[&str]) -> Output {
        Command::new("timeout")
            .args(["--signal=KILL", SECONDS])
            .arg(&*HOST)
            .arg("--log")
            .arg(&self.log)
            .args(options.split_whitespace())
            .arg(&self.keys)
            .arg("--")
            .args(command)
            .output()
            .unwrap()
    }
}

/// An OVF environment of these properties.
pub fn environment(properties: &[(&str, &str)]) -> String {
    let mut xml = "<?xml version=\"1.0\"?><Environment xmlns=\"http://schemas.dmtf.org/ovf/environment/1\" \
        xmlns:oe=\"http://schemas.dmtf.org/ovf/environment/1\"><PropertySection>"
        .to_owned();
    for (key, value) in properties {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        // As they are, they would be read as blanks.
        let value = value.replace('\n', "&#10;").replace('\t', "&#9;");
        xml += &format!("<Property oe:key=\"{key}\" oe:value=\"{value}\"/>");
    }
    xml + "</PropertySection></Environment>"
}
