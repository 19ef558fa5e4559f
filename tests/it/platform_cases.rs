// SPDX-License-Identifier: Apache-2.0
//! Platforms as their services and drives answer: each folder of `tests/platforms` has a machine's answers (`machine/`, as
//! `--replay` reads them) and what a node makes of them (`expected`). `BLESS=1` writes what it makes now.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use footplate::facade::platform::PLATFORMS;
use serde_json::Value as Json;

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
    // An emulated processor has no seccomp filters, and it is told so.
    let told_of =
        |l: &&str| (l.contains("warning") || l.contains("error")) && !l.contains("without a sandbox");
    for line in ran.err.lines().filter(told_of) {
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
    // And all else that is made, by its name.
    told + &root.outline()
}

/// Provisions a running machine whose platform answers as that of a case, with these links, and gives it up after some seconds.
fn live(case: &str, links: &str) -> (Ran, Scratch) {
    let root = Scratch { dir: fresh(&format!("live-{case}")) };
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms").join(case).join("machine");
    let copied = Command::new("cp").arg("-r").args([&machine, &root.path("/machine")]).status().unwrap();
    assert!(copied.success());
    root.put("/machine/links", links);
    root.put_program("/opt/bin/footplate", fs::read(FOOTPLATE).unwrap());
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

/// A worker as Cluster API makes it with `format: ignition`.
const WORKER: &str = r#"{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/etc/worker", "contents": {"source": "data:,ignition"}},
    {"path": "/etc/kubeadm.sh", "mode": 448, "contents": {"source": "data:,%23%21%2Fbin%2Fsh%0Akubeadm%20join"}}]},
    "systemd": {"units": [{"name": "kubeadm.service", "enabled": true, "contents": "[Service]\nType=oneshot\nExecStart=/etc/kubeadm.sh\n[Install]\nWantedBy=multi-user.target\n"}]}}"#;

/// Names of answers that are user-data as a whole, and of that in a document.
const USER_DATA: &[&str] = &[
    "cloud-init.user-data",
    "raw",
    "user-data",
    "user_data",
    "user_data.txt",
    "user_data/cloud-init",
    "userData",
    "userdata",
];

/// The worker as the user-data that it replaces was handed over: in base64 or plain.
fn worker_like(was: &str) -> String {
    let compact: String = was.split_whitespace().collect();
    if STANDARD.decode(compact).is_ok() { STANDARD.encode(WORKER) } else { WORKER.to_owned() }
}

/// Puts the worker in the place of the user-data of a document. Says whether there was any.
fn replace_in(json: &mut Json) -> bool {
    let Json::Object(map) = json else { return false };
    let mut found = false;
    for (key, value) in map {
        match value {
            Json::String(was) if USER_DATA.contains(&key.as_str()) => {
                found |= !was.is_empty();
                *was = if was.is_empty() { String::new() } else { worker_like(was) };
            }
            other => found |= replace_in(other),
        }
    }
    found
}

/// Puts the worker in the place of a machine's user-data. Says whether there was any.
fn replace_user_data(machine: &Scratch) -> bool {
    let mut found = false;
    for path in machine.paths().iter().filter(|path| machine.path(path).is_file()) {
        let Ok(text) = fs::read_to_string(machine.path(path)) else { continue };
        let name = |name: &&&str| path.ends_with(&format!("/{name}"));
        let replaced = if USER_DATA.iter().find(name).is_some() {
            worker_like(&text)
        } else if path.ends_with("/context.sh") {
            let Some((head, tail)) = text.split_once("USER_DATA='") else { continue };
            let (was, tail) = tail.split_once('\'').unwrap();
            format!("{head}USER_DATA='{}'{tail}", worker_like(was))
        } else {
            let Ok(mut json) = serde_json::from_str::<Json>(&text) else { continue };
            if !replace_in(&mut json) {
                continue;
            }
            json.to_string()
        };
        found = true;
        machine.put(path, replaced);
    }
    found
}

/// Each platform hands an Ignition worker over as it does a cloud-config, and the machine is the same otherwise.
#[test]
fn an_ignition_worker_is_made_on_each_platform() {
    needs!(root("files have owners"));
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms");
    let mut made = BTreeSet::new();
    for case in fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let machine = Scratch { dir: fresh(&format!("worker-{name}")) };
        let copied = Command::new("cp").arg("-r").arg(case.join("machine/.")).arg(machine.arg()).status();
        assert!(copied.unwrap().success());
        let expected = fs::read_to_string(case.join("expected")).unwrap();
        if !replace_user_data(&machine) || !expected.starts_with("exit 0\n") {
            continue;
        }
        let root = Scratch { dir: fresh(&format!("worker-{name}-root")) };
        root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
        root.put("/etc/group", "root:x:0:\ncore:x:500:\n");
        root.put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
        let ran = footplate(&["provision", "--replay", machine.arg(), "--root", root.arg()]);
        ran.ended(0, &[]);
        assert_eq!(root.text("/etc/worker"), "ignition", "{name}: {}", ran.err);
        assert_eq!(root.owned("/etc/kubeadm.sh").0, 0o700, "{name}");
        assert!(root.path("/etc/systemd/system/kubeadm.service").is_file(), "{name}");
        let metadata = root.text("/run/metadata/flatcar");
        for line in expected.lines().map(str::trim).filter(|line| line.contains("_PROVIDER_ID=")) {
            assert!(metadata.contains(line), "{name}: no {line} in {metadata}");
        }
        let platform = ran.err.split_once("fetch: platform=").unwrap().1;
        made.insert(platform.split_once(' ').unwrap().0.to_owned());
    }
    // These have tests of their own, or an Ignition worker in their folder.
    let others = ["aws", "hyperv", "metal", "vmware"];
    let all: BTreeSet<String> =
        PLATFORMS.iter().map(|p| p.id.to_owned()).filter(|id| !others.contains(&id.as_str())).collect();
    assert_eq!(made, all);
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
