// SPDX-License-Identifier: Apache-2.0
//! A network and a set of mounts of one test's own: real addresses without a real network.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::fresh::fresh;

/// Runs a command and insists on its success.
pub fn run(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What one test thread sees instead of the machine's network and files.
pub struct Sandbox {
    dir: PathBuf,
}

impl Sandbox {
    /// Takes the calling thread, and what it starts from here on, into namespaces of its own: loopback alone, with
    /// further addresses on it. Needs root, or `unshare -r` around the test.
    #[track_caller]
    pub fn enter(name: &str, addresses: &[&str]) -> Self {
        let entered = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS);
        assert!(entered.is_ok(), "these tests make namespaces: run them as root or under `unshare -r`");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        run("ip link set lo up");
        for address in addresses {
            // An IPv6 address is at once what it is: nobody else could have it.
            let nodad = if address.contains(':') { " nodad" } else { "" };
            run(&format!("ip address add {address} dev lo{nodad}"));
        }
        Self { dir: fresh(name) }
    }

    /// A directory for the test's files, empty at first.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lays a file of these contents over one of the machine's.
    pub fn cover(&self, path: &str, contents: &str) {
        let own = self.dir.join(path.trim_start_matches('/').replace('/', "-"));
        std::fs::write(&own, contents).unwrap();
        mount(Some(&own), path, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    }

    /// Lays an empty directory over one of the machine's.
    pub fn empty(&self, path: &str) {
        mount(None::<&str>, path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    }

    /// A time server has set the clock of this machine.
    pub fn clock_is_set(&self) {
        self.empty("/run");
        std::fs::create_dir_all("/run/systemd/timesync").unwrap();
        std::fs::write("/run/systemd/timesync/synchronized", "").unwrap();
    }

    /// A machine to run `program` on as on a running system: a root of its own with nothing in it but the program, a name
    /// of its own, and the sandbox's network. Gives the root, and the command so far; arguments of the program go behind.
    pub fn node(&self, name: &str, program: &str) -> (PathBuf, Command) {
        let root = self.dir.join(name);
        for dir in ["proc", "sys", "etc", "run", "var"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        // Not a copy: another thread's child may hold what was just written open, and then it can't be run.
        std::fs::write(root.join("program"), "").unwrap();
        mount(Some(program), &root.join("program"), None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        for kind in ["proc", "sysfs"] {
            let at = root.join(if kind == "proc" { "proc" } else { "sys" });
            mount(Some("none"), &at, Some(kind), MsFlags::empty(), None::<&str>).unwrap();
        }
        let mut command = Command::new("unshare");
        command.args(["--uts", "chroot"]).arg(&root).arg("/program");
        (root, command)
    }
}
