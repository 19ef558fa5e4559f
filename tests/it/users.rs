// SPDX-License-Identifier: Apache-2.0
//! Users: who is there afterwards, with which number, password, groups, keys and rules, on a root that has accounts
//! already, and what an unprivileged run leaves out.

use crate::common::scratch;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use scratch::{FOOTPLATE, Ran, Scratch, plan, provision, put_program, seed};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";

/// A hash as `openssl passwd -6` makes it.
const HASH: &str =
    "$6$footplate$vQ07BhdfN4.lEcp2bj1JctGbNTPUnRICN1cjbKR9VUcm05xzbFHIA6qFDwN7FSUcQrYes0iHWjAjIJTiKx2KY1";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEst+Fpy4SiAZL+3IEUYEQ5EhMawGY2xLYb/u7uSl6x ops@example.invalid";

/// A Flatcar node's accounts: a few in /etc, most where its read-only part has them.
fn flatcar(name: &str) -> Scratch {
    let root = Scratch::new(name);
    root.put(PASSWD, "root:x:0:0:root:/root:/bin/bash\n")
        .put(GROUP, "root:x:0:root\n")
        .put(SHADOW, "root:*:15887:0:::::\n")
        .put("/usr/share/baselayout/passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:CoreOS Admin:/home/core:/bin/bash\nnobody:x:65534:65534:nobody:/var/empty:/bin/false\n")
        .put("/usr/share/baselayout/group", "root:x:0:root\nwheel:x:10:root,core\nsudo:x:150:\ndocker:x:233:core\ncore:x:500:\nnogroup:x:65534:\n");
    fs::set_permissions(root.path(SHADOW), fs::Permissions::from_mode(0o640)).unwrap();
    root
}

fn data(users: &str) -> String {
    format!("#cloud-config\nusers:\n{users}")
}

/// Provisions, sees that a second run and `plan` find nothing to do, and gives what the first run said.
#[track_caller]
fn settles(root: &Scratch, users: &str) -> Ran {
    let seed =
        seed(&format!("{}.data", root.dir.parent().unwrap().file_name().unwrap().display()), data(users));
    plan(&seed, root).ended(2, &[]);
    let first = provision(&seed, root);
    first.ended(0, &[]);
    let before = root.identities();
    provision(&seed, root).ended(0, &["apply: nothing changed"]);
    assert_eq!(root.identities(), before, "the second run touched something");
    plan(&seed, root).ended(0, &[]);
    first
}

/// The line of an account file that begins with a name.
#[track_caller]
fn line(root: &Scratch, file: &str, name: &str) -> String {
    let text = root.text(file);
    let mut lines = text.lines().filter(|l| l.split(':').next() == Some(name));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.next(), None, "{file} has two of {name}:\n{text}");
    line
}

/// All that Cluster API's `users` can say.
#[test]
fn every_field_of_cluster_api() {
    needs!(root("accounts have owners"));
    let root = flatcar("fields");
    root.put("/etc/skel/.bashrc", "# skeleton\n");
    symlink("../../usr/share/skel/.profile", root.path("/etc/skel/.profile")).unwrap();
    settles(
        &root,
        &format!(
            "  - name: ops\n    passwd: {HASH}\n    gecos: Site operations\n    groups: docker, ops-team\n    homedir: /var/home/ops\n    \
             inactive: true\n    lock_passwd: false\n    shell: /bin/sh\n    primary_group: staff\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    \
             ssh_authorized_keys:\n      - {KEY}\n      - {KEY}-two\n"
        ),
    );
    assert_eq!(line(&root, PASSWD, "ops"), "ops:x:1000:1000:Site operations:/var/home/ops:/bin/sh");
    assert_eq!(line(&root, GROUP, "staff"), "staff:x:1000:");
    assert_eq!(line(&root, GROUP, "docker"), "docker:x:233:core,ops");
    assert_eq!(line(&root, GROUP, "ops-team"), "ops-team:x:1001:ops");
    assert_eq!(line(&root, SHADOW, "ops"), format!("ops:{HASH}::0:99999:7::1:"));
    assert_eq!(
        root.text("/etc/sudoers.d/90-footplate-users").lines().last(),
        Some("ops ALL=(ALL) NOPASSWD:ALL")
    );
    assert_eq!(root.owned("/etc/sudoers.d/90-footplate-users"), (0o440, 0, 0));
    assert_eq!(root.text("/var/home/ops/.ssh/authorized_keys"), format!("{KEY}\n{KEY}-two\n"));
    assert_eq!(root.owned("/var/home"), (0o755, 0, 0));
    assert_eq!(root.owned("/var/home/ops"), (0o700, 1000, 1000));
    assert_eq!(root.owned("/var/home/ops/.ssh"), (0o700, 1000, 1000));
    assert_eq!(root.owned("/var/home/ops/.ssh/authorized_keys"), (0o600, 1000, 1000));
    assert_eq!(root.owned("/var/home/ops/.bashrc"), (0o644, 1000, 1000));
    assert_eq!(
        fs::read_link(root.path("/var/home/ops/.profile")).unwrap(),
        Path::new("../../usr/share/skel/.profile")
    );
    // What was there keeps its bits and its lines.
    assert_eq!(root.owned(SHADOW), (0o640, 0, 0));
    assert_eq!(line(&root, SHADOW, "root"), "root:*:15887:0:::::");
}

/// Flatcar's own user: what /usr says of it stays, and it is joined by what the data adds.
#[test]
fn a_user_of_the_read_only_part() {
    needs!(root("accounts have owners"));
    let root = flatcar("core");
    fs::create_dir_all(root.path("/home/core/.ssh/authorized_keys.d")).unwrap();
    chown(root.path("/home/core"), Some(500), Some(500)).unwrap();
    settles(
        &root,
        &format!(
            "  - name: core\n    gecos: other\n    homedir: /elsewhere\n    shell: /bin/sh\n    groups: sudo, docker\n    sudo: ALL=(ALL) ALL\n    ssh_authorized_keys: [{KEY}]\n"
        ),
    );
    assert_eq!(line(&root, PASSWD, "core"), "core:x:500:500:CoreOS Admin:/home/core:/bin/bash");
    assert_eq!(line(&root, GROUP, "sudo"), "sudo:x:150:core");
    assert_eq!(line(&root, GROUP, "docker"), "docker:x:233:core");
    assert_eq!(line(&root, SHADOW, "core"), "core:!::0:99999:7:::");
    assert!(!root.path("/elsewhere").exists());
    // update-ssh-keys puts authorized_keys together from this directory.
    for file in ["authorized_keys", "authorized_keys.d/footplate"] {
        let path = format!("/home/core/.ssh/{file}");
        assert_eq!(root.text(&path), format!("{KEY}\n"));
        assert_eq!(root.owned(&path), (0o600, 500, 500));
    }
}

#[test]
fn passwords_are_locked_and_unlocked_as_passwd_does_it() {
    needs!(root("accounts have owners"));
    // What shadow has of the user, what the data says, what shadow has then.
    let cases = [
        (None, "", "!"),
        (None, "passwd: HASH", "!HASH"),
        (None, "passwd: HASH\n    lock_passwd: true", "!HASH"),
        (None, "passwd: HASH\n    lock_passwd: false", "HASH"),
        (None, "lock_passwd: false", "!"),
        (Some("OLD"), "", "!OLD"),
        (Some("!OLD"), "", "!OLD"),
        (Some("!OLD"), "lock_passwd: false", "OLD"),
        (Some("OLD"), "passwd: HASH\n    lock-passwd: false", "HASH"),
        // Nobody gets in without a password because a lock was taken away.
        (Some(""), "lock_passwd: false", "!"),
        (Some(""), "", "!"),
        (Some("!"), "lock_passwd: false", "!"),
        (Some("*"), "lock_passwd: false", "*"),
    ];
    for (had, says, has) in cases {
        let root = flatcar("lock");
        if let Some(had) = had {
            root.put(PASSWD, "root:x:0:0:root:/root:/bin/bash\nops:x:1000:1000::/home/ops:/bin/sh\n");
            root.put(SHADOW, format!("root:*:15887:0:::::\nops:{had}:19000:0:99999:7:::\n"));
        }
        settles(&root, &format!("  - name: ops\n    {}\n", says.replace("HASH", HASH)));
        let shadow = line(&root, SHADOW, "ops");
        assert_eq!(
            shadow.split(':').nth(1),
            Some(has.replace("HASH", HASH).as_str()),
            "{had:?} {says}: {shadow}"
        );
    }
}

#[test]
fn a_groups_password_is_in_gshadow() {
    needs!(root("accounts have owners"));
    let config = format!(
        r#"{{"ignition": {{"version": "3.3.0"}}, "passwd": {{"groups": [{{"name": "ops", "passwordHash": "{HASH}"}}]}}}}"#
    );
    for had in [None, Some("root:*::\n"), Some("root:*::\nops:!::core\n")] {
        let (seed, root) = (seed("group-password", &config), flatcar("group-password"));
        if let Some(had) = had {
            root.put("/etc/gshadow", had);
            fs::set_permissions(root.path("/etc/gshadow"), fs::Permissions::from_mode(0o640)).unwrap();
        }
        provision(&seed, &root).ended(0, &[]);
        let group = line(&root, GROUP, "ops");
        assert_eq!(group.split(':').nth(1), Some("x"), "{group}");
        let shadow = line(&root, "/etc/gshadow", "ops");
        assert_eq!(shadow.split(':').nth(1), Some(HASH), "{had:?}: {shadow}");
        assert!(!line(&root, "/etc/gshadow", "root").is_empty());
        assert_eq!(root.owned("/etc/gshadow").0, 0o640);
    }
}

#[test]
fn accounts_expire_as_the_data_says() {
    needs!(root("accounts have owners"));
    for (says, has) in [
        ("inactive: true", "ops:!::0:99999:7::1:"),
        ("inactive: false", "ops:!::0:99999:7:::"),
        ("inactive: '5'", "ops:!::0:99999:7:5::"),
    ] {
        let root = flatcar("inactive");
        settles(&root, &format!("  - name: ops\n    {says}\n"));
        assert_eq!(line(&root, SHADOW, "ops"), has, "{says}");
    }
}

#[test]
fn numbers_are_free_ones() {
    needs!(root("accounts have owners"));
    let root = flatcar("numbers");
    root.put(PASSWD, "root:x:0:0:root:/root:/bin/bash\nold:x:1005:1005::/home/old:/bin/sh\n")
        .put(GROUP, "root:x:0:root\nold:x:1005:\nbuild:x:1007:\n");
    settles(
        &root,
        "  - name: a\n  - name: b\n    uid: 2000\n  - name: c\n    uid: '1007'\n  - name: docker\n  - name: d\n    system: true\n",
    );
    // Above the highest of users and groups; a group of the user's number where that is free, else another one.
    assert_eq!(line(&root, PASSWD, "a"), "a:x:1008:1008::/home/a:/bin/bash");
    assert_eq!(line(&root, PASSWD, "b"), "b:x:2000:2000::/home/b:/bin/bash");
    assert_eq!(line(&root, PASSWD, "c"), "c:x:1007:2001::/home/c:/bin/bash");
    assert_eq!(line(&root, GROUP, "c"), "c:x:2001:");
    // A group of the user's name is its own.
    assert_eq!(line(&root, PASSWD, "docker"), "docker:x:2002:233::/home/docker:/bin/bash");
    let system = line(&root, PASSWD, "d");
    let number: u32 = system.split(':').nth(2).unwrap().parse().unwrap();
    assert!((201..1000).contains(&number), "{system}");
    assert!(!root.path("/home/d").exists(), "a system account has no home");
}

/// A number that is somebody else's is refused before anything is written.
#[test]
fn a_number_of_somebody_else() {
    needs!(root("accounts have owners"));
    for (uid, owner) in [(0, "root"), (500, "core"), (65534, "nobody")] {
        let root = flatcar("conflict");
        let before = root.identities();
        let ran = provision(&seed("conflict", data(&format!("  - name: ops\n    uid: {uid}\n"))), &root);
        ran.ended(74, &[&format!("error: apply: users[0].uid: {uid} is the user {owner}'s")]);
        let after =
            root.identities().into_iter().filter(|(path, ..)| !path.starts_with("/run")).collect::<Vec<_>>();
        assert_eq!(after, before, "something was written");
    }
    // The user itself may have it.
    settles(&flatcar("own-number"), "  - name: core\n    uid: 500\n");
}

/// Keys need a home: it is the user's, and the directories above it are root's.
#[test]
fn a_home_for_keys_alone() {
    needs!(root("accounts have owners"));
    for key in ["no_create_home", "system"] {
        let root = flatcar("home-for-keys");
        root.put("/etc/skel/.bashrc", "");
        let user = format!("  - name: ops\n    homedir: /srv/deep/ops\n    {key}: true\n");
        settles(&root, &format!("{user}    ssh_authorized_keys: [{KEY}]\n"));
        let entry = line(&root, PASSWD, "ops");
        let uid: u32 = entry.split(':').nth(2).unwrap().parse().unwrap();
        for (path, mode, owner) in [
            ("/srv", 0o755, 0),
            ("/srv/deep", 0o755, 0),
            ("/srv/deep/ops", 0o700, uid),
            ("/srv/deep/ops/.ssh/authorized_keys", 0o600, uid),
        ] {
            let meta = fs::metadata(root.path(path)).unwrap();
            assert_eq!((meta.mode() & 0o777, meta.uid()), (mode, owner), "{key}: {path}");
        }
        assert!(!root.path("/srv/deep/ops/.bashrc").exists(), "{key}: nobody asked for a home");
    }
}

#[test]
fn keys_join_those_that_are_there() {
    needs!(root("accounts have owners"));
    let root = flatcar("keys");
    root.put(
        "/home/core/.ssh/authorized_keys",
        format!("# by hand\n{KEY}\nssh-rsa AAAA last-without-line-end"),
    );
    fs::set_permissions(root.path("/home/core/.ssh/authorized_keys"), fs::Permissions::from_mode(0o600))
        .unwrap();
    settles(
        &root,
        &format!(
            "  - name: core\n    ssh_authorized_keys:\n      - {KEY}\n      - '  ssh-rsa BBBB new  '\n      - ssh-rsa BBBB new\n      - ssh-rsa AAAA last-without-line-end\n"
        ),
    );
    assert_eq!(
        root.text("/home/core/.ssh/authorized_keys"),
        format!("# by hand\n{KEY}\nssh-rsa AAAA last-without-line-end\nssh-rsa BBBB new\n")
    );
    assert!(!root.path("/home/core/.ssh/authorized_keys.d").exists(), "made where nothing reads it");
}

/// A user may make its own home's links point anywhere; root's hands don't follow.
#[test]
fn keys_are_not_written_through_a_users_links() {
    needs!(root("accounts have owners"));
    let links = [
        ("/home/core/.ssh", "/etc"),
        ("/home/core/.ssh/authorized_keys", "/etc/shadow"),
        ("/home/core/.ssh/authorized_keys.d", "/etc"),
        ("/home/core/.ssh/authorized_keys.d/footplate", "/etc/shadow"),
    ];
    for (link, target) in links {
        let says = format!("{link}: is a symbolic link");
        let root = flatcar("links");
        fs::create_dir_all(root.path(link).parent().unwrap()).unwrap();
        symlink(target, root.path(link)).unwrap();
        let (etc, shadow) = (root.owned("/etc"), root.text(SHADOW));
        provision(
            &seed("links", data(&format!("  - name: core\n    ssh_authorized_keys: [{KEY}]\n"))),
            &root,
        )
        .ended(74, &[&says]);
        assert_eq!(root.owned("/etc"), etc);
        assert!(!root.text(SHADOW).contains("ssh-ed25519") && shadow.starts_with("root:"));
    }
}

#[test]
fn sudo_rules() {
    needs!(root("accounts have owners"));
    let root = flatcar("sudo");
    settles(
        &root,
        "  - name: a\n    sudo: ALL=(ALL) NOPASSWD:ALL\n  - name: b\n    sudo: false\n  - name: c\n    sudo: ['ALL=(root) /bin/true', 'ALL=(root) /bin/false']\n  - name: d\n    sudo: null\n",
    );
    assert_eq!(
        root.text("/etc/sudoers.d/90-footplate-users"),
        "# Written by footplate from the bootstrap data.\n\n# User rules for a\na ALL=(ALL) NOPASSWD:ALL\n\n# User rules for c\nc ALL=(root) /bin/true\nc ALL=(root) /bin/false\n"
    );
}

/// Comments, NIS marks and broken lines are none of ours: they stay, byte for byte.
#[test]
fn lines_that_are_not_understood_stay() {
    needs!(root("accounts have owners"));
    let root = flatcar("lines");
    let odd = "# a comment\nroot:x:0:0:root:/root:/bin/bash\n\nbroken\n+::::::\n";
    root.put(PASSWD, odd);
    settles(&root, "  - name: ops\n");
    assert_eq!(root.text(PASSWD), format!("{odd}ops:x:1000:1000::/home/ops:/bin/bash\n"));
}

#[test]
fn a_user_named_twice_is_one() {
    needs!(root("accounts have owners"));
    let root = flatcar("twice");
    let ran = settles(
        &root,
        "  - name: ops\n    shell: /bin/sh\n  - name: ops\n    shell: /bin/zsh\n    gecos: second\n  - default\n",
    );
    ran.ended(0, &["warning: users[1]: a second entry for this user: its fields are merged into users[0]"]);
    assert_eq!(line(&root, PASSWD, "ops"), "ops:x:1000:1000:second:/home/ops:/bin/sh");
}

/// Whoever looks at a plan on a workstation has no root's rights: it works, and what it can't do it says.
#[test]
fn an_unprivileged_run_says_what_it_left_out() {
    needs!(root("accounts have owners"));
    // Below a directory that everybody may enter, which the build's may not be.
    let dir = std::env::temp_dir().join(format!("footplate-users-{}", std::process::id()));
    struct Removed<'a>(&'a Path);
    impl Drop for Removed<'_> {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0);
        }
    }
    fs::create_dir(&dir).unwrap();
    let _removed = Removed(&dir);
    let root = Scratch { dir: dir.join("root") };
    for path in [&dir.join("seed"), &root.dir] {
        fs::create_dir(path).unwrap();
    }
    put_program(&dir.join("footplate"), fs::read(FOOTPLATE).unwrap());
    let text = format!(
        "#cloud-config\nwrite_files:\n  - path: /etc/a\n    owner: ops:ops\n    content: a\n  - path: /etc/b\n    permissions: '0600'\n    content: b\nusers:\n  - name: ops\n    ssh_authorized_keys: [{KEY}]\nruncmd: [kubeadm join]\n"
    );
    fs::write(dir.join("seed/user-data"), text).unwrap();
    Ran::of(Command::new("chown").args(["-R", "12345:12345"]).arg(&dir)).ended(0, &[]);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |command: &str| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args([
            "--reuid=12345",
            "--regid=12345",
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ]);
        setpriv
            .arg(dir.join("footplate"))
            .args([command, "--seed"])
            .arg(dir.join("seed"))
            .args(["--root", root.arg()]);
        Ran::of(&mut setpriv)
    };
    run("plan").ended(2, &[]);
    run("provision").ended(
        0,
        &[
            "file /etc/a: 0644 ops:ops 1 bytes; owner left out: needs root",
            "user ops: 0 groups, 1 keys; owner of the home left out: needs root",
            "apply: owners are left out: only root can set them",
        ],
    );
    assert_eq!(root.owned("/etc/a"), (0o644, 12345, 12345));
    assert_eq!(root.owned("/etc/b"), (0o600, 12345, 12345));
    assert_eq!(line(&root, PASSWD, "ops"), "ops:x:1000:1000::/home/ops:/bin/bash");
    assert_eq!(root.owned("/home/ops/.ssh/authorized_keys"), (0o600, 12345, 12345));
    run("provision").ended(0, &["apply: nothing changed"]);
    run("plan").ended(0, &[]);
}

/// A file in a directory whose group the same data sets is its owner's alone, at the first run and at the second.
#[test]
fn a_directory_that_gets_a_group_does_not_give_it_to_others_files() {
    needs!(root("files have owners"));
    let data = r#"{"ignition": {"version": "3.4.0"}, "storage": {
        "directories": [{"path": "/opt/shared", "mode": 1533, "group": {"id": 1234}}],
        "files": [{"path": "/opt/shared/secret", "mode": 416, "contents": {"source": "data:,x"}, "user": {"id": 0}, "group": {"id": 0}}]}}"#;
    let (seed, root) = (scratch::seed("setgid", data), Scratch::new("setgid"));
    std::fs::create_dir_all(root.path("/opt/shared")).unwrap();
    for run in ["the first run", "the second run"] {
        scratch::provision(&seed, &root).ended(0, &[]);
        assert_eq!(root.owned("/opt/shared"), (0o2775, 0, 1234), "{run}");
        assert_eq!(root.owned("/opt/shared/secret"), (0o640, 0, 0), "{run}");
    }
}
