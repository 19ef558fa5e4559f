// SPDX-License-Identifier: Apache-2.0
//! Platforms as their services and drives answer: each folder of `tests/platforms` has a machine's answers (`machine/`, as
//! `--replay` reads them) and what a node makes of them (`expected`). `BLESS=1` writes what it makes now.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::scratch::{CANARY, FOOTPLATE, Ran, Scratch, footplate, fresh};

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

/// Provisions a running machine whose platform answers as that of a case, with these links, and gives it up after some seconds.
fn live(case: &str, links: &str) -> (Ran, Scratch) {
    let root = Scratch { dir: fresh(&format!("live-{case}")) };
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms").join(case).join("machine");
    let copied = Command::new("cp").arg("-r").args([&machine, &root.path("/machine")]).status().unwrap();
    assert!(copied.success());
    root.put("/machine/links", links);
    root.put("/opt/bin/footplate", fs::read(FOOTPLATE).unwrap());
    fs::set_permissions(root.path("/opt/bin/footplate"), fs::Permissions::from_mode(0o755)).unwrap();
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
    root.put("/etc/group", "root:x:0:\ncore:x:500:\n");
    root.put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
    let mut run = Command::new("timeout");
    run.args(["10", "unshare", "--mount", "--uts", "--net", "chroot", root.arg()]);
    run.args(["/opt/bin/footplate", "provision", "--replay", "/machine"]);
    (Ran::of(&mut run), root)
}

/// A support bundle of a case's machine has neither its secrets nor its user-data, and can be replayed.
#[test]
fn a_capture_holds_no_secret() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms");
    for case in fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let root = Scratch { dir: fresh(&format!("captured-{name}")) };
        let (machine, bundle) = (case.join("machine"), root.path("/bundle"));
        footplate(&["capture", bundle.to_str().unwrap(), "--replay", machine.to_str().unwrap()])
            .ended(0, &[]);
        let paths: Vec<String> = root.paths().into_iter().filter(|p| root.path(p).is_file()).collect();
        assert!(!paths.is_empty(), "{name}");
        for path in paths {
            let mut text = String::from_utf8_lossy(&fs::read(root.path(&path)).unwrap()).into_owned();
            // `#cloud` in base64, and what follows it.
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c));
            let decoded = words.filter(|w| w.starts_with("I2Nsb3Vk")).filter_map(|w| STANDARD.decode(w).ok());
            text += &decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect::<String>();
            for secret in [CANARY, "content: user", "content: vendor", "\"content\": \"user\""] {
                assert!(!text.contains(secret), "{name}: {path}: {secret}");
            }
        }
        let again = footplate(&["platforms", "--replay", bundle.to_str().unwrap()]);
        assert!(again.out.contains("this machine: ") && !again.out.contains("not known:"), "{}", again.out);
        // The captured machine becomes the same node, but for the contents that were removed.
        let node = |dir: &Path| {
            let empty = Scratch::new(&format!("captured-{name}-root"));
            empty.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
            empty
                .put("/etc/group", "root:x:0:\ncore:x:500:\n")
                .put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
            let ran = footplate(&["plan", "--replay", dir.to_str().unwrap(), "--root", empty.arg()]);
            let items =
                ran.out.lines().filter(|l| l.starts_with("+ ")).filter_map(|l| l.split_whitespace().nth(2));
            let items: Vec<String> = items.map(str::to_owned).collect();
            (ran.code, items, ran.err)
        };
        let (was, is) = (node(&machine), node(&bundle));
        assert_eq!((was.0, &was.1), (is.0, &is.1), "{name}: {}{}", was.2, is.2);
    }
}

/// Addresses that only the service tells of are set before the machine waits for them.
#[test]
fn the_network_that_a_service_describes_is_written_before_it_is_awaited() {
    needs!(root("a root of its own"));
    let links = |public: &str, private: &str, routes: &str| {
        format!(
            r#"[{{"name": "eth0", "mac": "ea:01:02:03:04:05", "addresses": [{public}], "default_route": [{routes}]}},
                {{"name": "eth1", "mac": "ea:01:02:03:04:06", "addresses": [{private}], "default_route": [false, false]}}]"#
        )
    };
    let files = [
        "/etc/systemd/network/15-footplate-card00.network",
        "/etc/systemd/network/15-footplate-card01.network",
    ];
    let (ran, root) = live("digitalocean", &links(r#""169.254.7.7/16""#, "", "false, false"));
    assert_eq!(ran.code, 124, "it waits for the addresses: {}", ran.err);
    assert!(files.iter().all(|f| root.path(f).is_file()), "{}", ran.err);
    let set = r#""198.51.100.77/26", "2001:db8:0:d0::abc:7001/64""#;
    let (ran, root) = live("digitalocean", &links(set, r#""10.110.0.8/20""#, "true, true"));
    ran.ended(0, &["there is nothing to start"]);
    assert!(files.iter().all(|f| root.path(f).is_file()), "{}", ran.err);
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
