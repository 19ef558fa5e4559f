// SPDX-License-Identifier: Apache-2.0
//! Templates as the documentation of each infrastructure provider has them, each good and with one fault, and all that `check` says of
//! them. `BLESS=1` writes it.

use crate::common::scratch;

use std::fs;
use std::path::Path;
use std::process::Command;

use scratch::{FOOTPLATE, Ran};

/// The output without the sizes of footplate's own files, which change with footplate.
fn without_own_sizes(out: &str) -> String {
    let own = |line: &str| line.contains("/kubeadm.service ") || line.contains("/run/footplate/");
    let line = |line: &str| match (own(line), line.rsplit_once("root:root ")) {
        (true, Some((before, _))) => format!("{before}root:root …\n"),
        _ => format!("{line}\n"),
    };
    out.lines().map(line).collect()
}

#[test]
fn templates_are_good_and_faults_are_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut names: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 20);
    for kind in ["capa", "capg", "capo", "capv", "capz", "ignition", "k3s", "kube-vip", "rke2"] {
        assert!(names.iter().any(|dir| dir.ends_with(kind)), "{kind}");
    }
    for dir in names {
        for (file, code) in [("good", 0), ("bad", 65)] {
            let ran =
                Ran::of(Command::new(FOOTPLATE).args(["check", &format!("{file}.yaml")]).current_dir(&dir));
            assert_eq!(ran.code, code, "{} {file}\n{}{}", dir.display(), ran.out, ran.err);
            let errors = ran.out.lines().filter(|line| line.starts_with("error: ")).count();
            assert_eq!(errors, usize::from(file == "bad"), "{}: one fault each\n{}", dir.display(), ran.out);
            let (golden, now) = (dir.join(format!("{file}.out")), without_own_sizes(&ran.out));
            if std::env::var_os("BLESS").is_some() {
                fs::write(&golden, &now).unwrap();
            }
            assert_eq!(
                fs::read_to_string(&golden).unwrap_or_default(),
                now,
                "{}: BLESS=1 writes it",
                golden.display()
            );
        }
    }
}
