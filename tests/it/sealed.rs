// SPDX-License-Identifier: Apache-2.0
//! A sealed image has nothing left of the bootstrap data that its builder was given, and has all that it had before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use footplate::facade::apply::manifest::MANIFEST;
use footplate::facade::bake::seal;
use footplate::facade::io::root::Root;

use crate::common::scratch::{Ran, Scratch, footplate, provision, seed, walk};

/// A copy of a root, beside it.
pub fn copied(root: &Path) -> PathBuf {
    let copy = root.with_extension("image");
    let _ = fs::remove_dir_all(&copy);
    Ran::of(Command::new("cp").arg("-a").arg(root).arg(&copy)).ended(0, &[]);
    copy
}

/// Each path: kind, bits, owner, and a link's target or a file's bytes.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let told = |path: PathBuf| {
        let meta = fs::symlink_metadata(&path).unwrap();
        let inside = match () {
            () if meta.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            () if meta.is_file() => fs::read(&path).unwrap().escape_ascii().to_string(),
            () => String::new(),
        };
        let what = format!("{:o} {}:{} {inside}", meta.mode(), meta.uid(), meta.gid());
        (format!("/{}", path.strip_prefix(root).unwrap().display()), what)
    };
    walk(root).into_iter().map(told).collect()
}

/// Seals a root that was provisioned and the image that it was before, and compares. What the image had and the data
/// changed must be named. A refusal is only right for an account of the image that the data gave a password.
pub fn nothing_is_left(name: &str, image: &Path, used: &Path) {
    let sealed = |root: &Path| seal::seal(&Root::open(root, false).unwrap(), false);
    let before = tree(image);
    sealed(image).unwrap_or_else(|e| panic!("{name}: the image is refused: {e}"));
    let done = match sealed(used) {
        Ok(done) => done,
        Err(failure) => {
            let failure = failure.to_string();
            assert!(failure.contains("can log in with a password"), "{name}: {failure}");
            return;
        }
    };
    let (image, used) = (tree(image), tree(used));
    for path in image.keys().chain(used.keys()) {
        if image.get(path) == used.get(path) {
            continue;
        }
        // A path, or a directory that it was in.
        let named =
            |path: &str| done.notes.iter().any(|n| n.starts_with(&format!("{path} stays as it is: ")));
        let above = path.match_indices('/').skip(1).map(|(i, _)| &path[..i]);
        let named = above.chain([path.as_str()]).any(named);
        assert!(
            named && before.contains_key(path),
            "{name}: {path} was {:?} and is {:?}; {:?}",
            image.get(path),
            used.get(path),
            done.notes
        );
    }
}

const DATA: &str = "#cloud-config
users:
- {name: ops, groups: [wheel, ops-night], sudo: 'ALL=(ALL) NOPASSWD:ALL', ssh_authorized_keys: [ssh-ed25519 AAAA ops]}
write_files:
- {path: /etc/crictl.yaml, content: 'timeout: 7'}
- {path: /opt/tools/deep/run, content: 'echo', permissions: '0755'}
- {path: /etc/issue, content: 'hello'}
- {path: /srv/link/inside, content: 'x'}
bootcmd: [modprobe dummy]
runcmd: [kubeadm init]
swap: {filename: /var/swapfile, size: 1M}
ssh_pwauth: false
timezone: Etc/UTC
ntp: {servers: [192.0.2.1]}
";

fn machine(name: &str) -> Scratch {
    let root = Scratch::new(name);
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n");
    root.put("/etc/group", "root:x:0:\nwheel:x:10:\ncore:x:500:\n")
        .put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
    root.put("/etc/issue", "welcome\n").put("/data/old", "x");
    for dir in ["/srv", "/run", "/var"] {
        fs::create_dir_all(root.path(dir)).unwrap();
    }
    std::os::unix::fs::symlink("/data", root.path("/srv/link")).unwrap();
    root
}

fn seal(root: &Scratch) -> Ran {
    footplate(&["seal", "--force", "--root", root.arg()])
}

fn list(root: &Scratch) -> serde_json::Value {
    serde_json::from_str(&root.text(MANIFEST)).unwrap()
}

#[test]
fn what_is_made_is_listed_and_goes() {
    needs!(root("files have owners"));
    let root = machine("listed");
    let image = root.dir.with_file_name("unused");
    Ran::of(Command::new("cp").arg("-a").args([&root.dir, &image])).ended(0, &[]);
    provision(&seed("listed", DATA), &root).ended(0, &[]);
    let listed = list(&root);
    for (path, what) in [
        ("/etc/sudoers.d/90-footplate-users", "made"),
        ("/etc/systemd/system/footplate-bootcmd.service", "made"),
        ("/etc/systemd/system/multi-user.target.wants/kubeadm.service", "made"),
        ("/etc/systemd/system/swap.target.wants/var-swapfile.swap", "made"),
        ("/etc/ssh/sshd_config.d/10-footplate.conf", "made"),
        ("/opt/tools", "made"),
        ("/opt/tools/deep/run", "made"),
        // Without the link on the way.
        ("/data/inside", "made"),
        ("/var/swapfile", "made"),
        ("/home/ops", "home"),
        ("/etc/issue", "changed"),
    ] {
        assert_eq!(listed["paths"][path], what, "{path}");
    }
    assert_eq!(listed["users"], serde_json::json!(["ops"]));
    assert_eq!(listed["groups"], serde_json::json!(["ops", "ops-night"]));
    assert_eq!(listed["paths"].get("/etc/group"), None, "accounts that are removed change no file for good");
    assert_eq!(root.owned(MANIFEST), (0o600, 0, 0));
    // A second run touches nothing, the list included.
    let before = root.identities();
    provision(&seed("listed", DATA), &root).ended(0, &[]);
    assert_eq!(root.identities(), before);
    nothing_is_left("listed", &image, &copied(&root.dir));
    // What the unit and the user made since goes too; what others put into a directory is named.
    root.put("/var/swapfile", "pages").put("/home/ops/.cache/x", "x").put("/opt/tools/others", "x");
    let said = seal(&root).ended(0, &[]).out.clone();
    for line in [
        "note: /etc/issue stays as it is: bootstrap data changed it",
        "note: /opt/tools stays: footplate made the directory, but others in it is not footplate's",
        "removed: user ops\n",
        "removed: group ops-night\n",
        "removed: /home/ops\n",
    ] {
        assert!(said.contains(line), "{line:?} is not in\n{said}");
    }
}

#[test]
fn the_list_is_written_before_what_it_lists() {
    needs!(root("files have owners"));
    let root = machine("list-first");
    // Where the list can't be written, nothing is made.
    root.put("/opt/footplate", "no directory");
    let before = tree(&root.dir);
    provision(&seed("list-first", DATA), &root).ended(74, &["/opt/footplate"]);
    let mut after = tree(&root.dir);
    after.retain(|path, _| !path.starts_with("/run/"));
    assert_eq!(after, before);
}

#[test]
fn a_run_that_fails_leaves_nothing_that_is_not_listed() {
    needs!(root("files have owners"));
    let root = machine("half");
    // The user's home is a file: the step after users is not begun, and the accounts are made.
    let data = DATA.replace("name: ops,", "name: ops, homedir: /etc/issue/home,");
    let before = tree(&root.dir);
    let ran = provision(&seed("half", data), &root);
    assert_eq!(ran.code, 74, "{}", ran.err);
    let listed = if root.path(MANIFEST).exists() { list(&root) } else { serde_json::json!({ "paths": {} }) };
    for path in tree(&root.dir).keys().filter(|path| !before.contains_key(*path) && !path.starts_with("/run"))
    {
        assert!(listed["paths"].get(path).is_some(), "{path} is not listed");
    }
}

#[test]
fn another_versions_list_is_kept() {
    needs!(root("files have owners"));
    let root = machine("versions");
    let newer =
        r#"{"version": 7, "paths": {"/etc/old": "made", "/etc/strange": "woven"}, "firmware": {"a": [1]}}"#;
    root.put(MANIFEST, newer).put("/etc/old", "x").put("/etc/strange", "x");
    provision(&seed("versions", "#cloud-config\nwrite_files: [{path: /etc/new, content: x}]\n"), &root)
        .ended(0, &[]);
    let listed = list(&root);
    assert_eq!(
        (&listed["version"], &listed["firmware"]),
        (&serde_json::json!(7), &serde_json::json!({ "a": [1] }))
    );
    assert_eq!(
        (&listed["paths"]["/etc/strange"], &listed["paths"]["/etc/new"]),
        (&"woven".into(), &"made".into())
    );
    let said = seal(&root).ended(0, &[]).out.clone();
    assert!(said.contains("note: /etc/strange stays as it is: footplate changed it"), "{said}");
    assert!(
        !root.path("/etc/old").exists() && !root.path("/etc/new").exists() && !root.path(MANIFEST).exists()
    );
    // A broken one is no list.
    root.put(MANIFEST, "{\"paths\": ");
    seal(&root).ended(65, &[MANIFEST, "remove the file"]);
}
