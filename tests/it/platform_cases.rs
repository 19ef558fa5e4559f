// SPDX-License-Identifier: Apache-2.0
//! Platforms as their services and drives answer: each folder of `tests/platforms` has a machine's answers (`machine/`, as
//! `--replay` reads them) and what a node makes of them (`expected`). `BLESS=1` writes what it makes now.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::common::scratch::{CANARY, Scratch, footplate, fresh};

/// What is looked at: a path that ends with a slash is a directory.
const LOOKED_AT: &[&str] =
    &["/etc/hostname", "/etc/made-by", "/etc/systemd/network/", "/run/metadata/flatcar"];

fn outcome(case: &Path, name: &str) -> String {
    let root = Scratch { dir: fresh(&format!("case-{name}")) };
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
    root.put("/etc/group", "root:x:0:\ncore:x:500:\n");
    root.put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
    fs::set_permissions(root.path("/etc/shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    let replay = case.join("machine");
    let ran = footplate(&["provision", "--replay", replay.to_str().unwrap(), "--root", root.arg()]);
    assert!(
        !format!("{}{}", ran.out, ran.err).contains(CANARY),
        "{name}: a secret is in the log: {}",
        ran.err
    );
    let mut told = format!("exit {}\n", ran.code);
    for line in ran.err.lines().filter(|l| l.contains("warning") || l.contains("error")) {
        let _ = writeln!(told, "{line}");
    }
    for path in root.paths() {
        let looked_at =
            LOOKED_AT.iter().any(|l| if l.ends_with('/') { path.starts_with(l) } else { path == **l });
        let file = root.path(&path);
        if !file.is_file() || file.is_symlink() {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        let private = root.owned(&path).0 & 0o077 == 0;
        assert!(private || !text.contains(CANARY), "{name}: everybody reads a secret in {path}");
        if looked_at {
            let lines = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
            let _ = writeln!(told, "{path}");
            for line in lines {
                let _ = writeln!(told, "    {line}");
            }
        }
    }
    let keys =
        root.paths().into_iter().filter(|p| p.contains("/.ssh/authorized_keys") && root.path(p).is_file());
    for path in keys {
        let count = root.text(&path).lines().filter(|l| l.starts_with("ssh-")).count();
        let _ = writeln!(told, "{path}: {count} SSH keys");
    }
    told
}

#[test]
fn a_node_is_made_of_what_its_platform_answers() {
    needs!(root("files and keys have owners"));
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms");
    let mut cases: Vec<PathBuf> = fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 1, "the folders are not where they were");
    let mut wrong = String::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let (path, is) = (case.join("expected"), outcome(&case, &name));
        let was = fs::read_to_string(&path).unwrap_or_default();
        if is != was && std::env::var_os("BLESS").is_some() {
            fs::write(&path, &is).unwrap();
        } else if is != was {
            let _ = writeln!(wrong, "{}\n--- recorded\n{was}--- now\n{is}", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
