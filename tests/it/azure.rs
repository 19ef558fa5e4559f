// SPDX-License-Identifier: Apache-2.0
//! Azure: the drive that comes with the machine and goes away later.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::scratch::{CANARY, Ran, Scratch, footplate, fresh};

/// The answers of the machine in `tests/platforms/azure-drive`, to change them.
fn machine(name: &str) -> PathBuf {
    let dir = fresh(name);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms/azure-drive/machine/.");
    Ran::of(Command::new("cp").arg("-r").args([&from, &dir])).ended(0, &[]);
    dir
}

fn provision(machine: &Path, root: &Scratch) -> Ran {
    let ran = footplate(&["provision", "--replay", machine.to_str().unwrap(), "--root", root.arg()]);
    assert!(!ran.err.contains(CANARY), "{}", ran.err);
    ran
}

fn root(name: &str) -> Scratch {
    let root = Scratch { dir: fresh(name) };
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
    root.put("/etc/group", "root:x:0:\ncore:x:500:\n");
    root.put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
    root
}

#[test]
fn a_boot_without_the_drive_has_the_data_of_the_first() {
    needs!(root("keys have owners"));
    let (machine, node) = (machine("azure-later"), root("azure-later-root"));
    provision(&machine, &node).ended(0, &["there is nothing to start"]);
    let files = |root: &Scratch| -> Vec<(String, String)> {
        let paths = root.paths().into_iter().filter(|p| p.starts_with("/etc/") && root.path(p).is_file());
        paths.map(|p| (p.clone(), root.text(&p))).collect()
    };
    let before = files(&node);
    let kept = "/var/lib/footplate/instances/4e1b0c9a-77d0-4a52-9a0e-0d9a62f5c811.bootstrap";
    assert_eq!(fs::metadata(node.path(kept)).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_dir_all(machine.join("drive")).unwrap();
    fs::remove_file(machine.join("labels")).unwrap();
    provision(&machine, &node).ended(0, &["there is nothing to start"]);
    assert_eq!(files(&node), before);

    // A first boot without it has no data to go by.
    let ran = provision(&machine, &root("azure-lost-root"));
    ran.ended(75, &["there is user-data for this machine, and it is not found", "UDF"]);
    // The copy of Azure's agent holds it too.
    let copied = machine.join("file/var/lib/waagent");
    fs::create_dir_all(&copied).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from = from.join("tests/platforms/azure-drive/machine/drive/dev/sr0/ovf-env.xml");
    fs::copy(from, copied.join("ovf-env.xml")).unwrap();
    let node = root("azure-agent-root");
    provision(&machine, &node).ended(0, &["there is nothing to start"]);
    assert_eq!(node.text("/etc/made-by"), "user");
}

#[test]
fn a_drive_that_is_not_right_stops_the_node() {
    needs!(root("keys have owners"));
    let provisioned = |name: &str, change: fn(&Path)| {
        let machine = machine(name);
        change(&machine);
        provision(&machine, &root(&format!("{name}-root")))
    };
    let twice = provisioned("azure-twice", |machine| {
        fs::write(machine.join("labels"), "a\tudf\t/dev/sr0\nb\tiso9660\t/dev/sr1\nc\tvfat\t/dev/sdc1\n")
            .unwrap();
        fs::create_dir_all(machine.join("drive/dev/sr1")).unwrap();
        fs::copy(machine.join("drive/dev/sr0/ovf-env.xml"), machine.join("drive/dev/sr1/ovf-env.xml"))
            .unwrap();
    });
    twice.ended(75, &["/dev/sr0 and /dev/sr1 both have ovf-env.xml", "detach"]);
    let broken = provisioned("azure-broken", |machine| {
        fs::write(machine.join("drive/dev/sr0/ovf-env.xml"), format!("<a>{CANARY}")).unwrap();
    });
    broken.ended(65, &["ovf-env.xml", "not well-formed XML"]);
    let waiting = provisioned("azure-pool", |machine| {
        let path = machine.join("drive/dev/sr0/ovf-env.xml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("Type>None<", "Type>Running<")).unwrap();
    });
    waiting.ended(65, &["this machine is preprovisioned"]);
}
