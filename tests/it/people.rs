// SPDX-License-Identifier: Apache-2.0
//! What a person gets who runs the commands by hand: true states, the next step, and nothing that can hurt.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::{fs, thread, time::Duration};

use crate::common::scratch::{FOOTPLATE, Ran, Scratch, footplate, provision, put_program, seed};

const STATUS: &str = "/run/footplate/status.json";

const FAILED_AT_KUBEADM: &str = r#"{"version": 1, "state": "failed", "failed": "kubeadm", "stages": [
    {"name": "kubeadm", "state": "failed", "started_ms": 4000, "ms": 1500, "summary": "exit-status=3"}],
    "problems": [{"level": "error", "place": "", "what": "exit status 3", "hint": "look there"}]}"#;

fn status(root: &Scratch, text: &str) -> Ran {
    root.put(STATUS, text);
    footplate(&["status", "--root", root.arg()])
}

/// Each state with its exit status, its words, and the step after it.
#[test]
fn each_state_is_told_with_what_to_run_next() {
    let root = Scratch::new("states");
    let ran = footplate(&["status", "--root", root.arg()]);
    assert_eq!((ran.code, ran.out.lines().count()), (2, 2), "{}", ran.out);
    assert!(ran.out.starts_with("not-run: ") && ran.out.contains(" next: `systemctl status"), "{}", ran.out);
    let failed = |stage: &str| {
        format!(
            r#"{{"version": 1, "state": "failed", "failed": "{stage}",
                "problems": [{{"level": "error", "place": "", "what": "exit status 3", "hint": "look there"}}]}}"#
        )
    };
    let table = [
        (r#"{"version": 1, "state": "running"}"#.to_owned(), 2, "running\n", "`footplate status --wait`"),
        (
            r#"{"version": 1, "state": "waiting", "reason": "the network: eth0 has no IPv4 address"}"#
                .to_owned(),
            2,
            "waiting reason=the network: eth0 has no IPv4 address\n",
            "`footplate status --wait`",
        ),
        (r#"{"version": 1, "state": "done"}"#.to_owned(), 0, "done\n", ""),
        (
            r#"{"version": 1, "state": "nothing-to-do", "reason": "no-bootstrap"}"#.to_owned(),
            0,
            "nothing-to-do reason=no-bootstrap\n",
            "",
        ),
        (failed("bootstrap"), 1, "error: exit status 3\n", "`journalctl -b -u kubeadm`"),
        (failed("kubeadm"), 1, "error: exit status 3\n", "`journalctl -b -u kubeadm`"),
        (failed("apply"), 1, "error: apply: exit status 3\n", "`journalctl -b -u footplate`"),
    ];
    for (text, code, says, next) in table {
        let ran = status(&root, &text);
        assert_eq!(ran.code, code, "{text}\n{}{}", ran.out, ran.err);
        assert!(ran.out.contains(says), "{text}\n{}", ran.out);
        let told = ran.out.lines().find_map(|line| line.strip_prefix(" next: ")).unwrap_or_default();
        assert!(told.starts_with(next) && told.is_empty() == next.is_empty(), "{text}\n{}", ran.out);
    }
}

/// A run by RKE2, k3s or a script is called a bootstrap, one by kubeadm has its name.
#[test]
fn the_failure_of_an_earlier_boot_names_its_log() {
    let root = Scratch::new("earlier-boot");
    let stamp = r#"{"version": 1, "instance_id": "i-1", "result": "failed", "failed": "bootstrap",
        "error": "exit status 3", "boot_id": "0123456789abcdef0123456789abcdef"}"#;
    root.put("/var/lib/footplate/instances/i-1.json", stamp);
    let seed = seed("earlier-boot", "#cloud-config\nruncmd: [rke2-install]\n");
    provision(&seed, &root).ended(70, &["failed on an earlier boot", "exit status 3"]);
    let ran = footplate(&["status", "--root", root.arg()]);
    assert_eq!(ran.code, 1);
    let log = "`journalctl -b 0123456789abcdef0123456789abcdef -u footplate -u kubeadm`";
    assert!(ran.out.contains(log), "{}", ran.out);
}

/// `--wait` tells what it waits for, once for each change, and gives up in time.
#[test]
fn waiting_is_told_while_it_lasts() {
    let root = Scratch::new("wait");
    let child = Command::new(FOOTPLATE)
        .args(["status", "--wait", "--timeout", "60", "--root", root.arg()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for text in [
        r#"{"version": 1, "state": "waiting", "reason": "the network: eth0 has no IPv4 address"}"#,
        r#"{"version": 1, "state": "done"}"#,
    ] {
        thread::sleep(Duration::from_millis(900));
        fs::create_dir_all(root.path("/run/footplate")).unwrap();
        let new = root.path("/run/footplate/new");
        fs::write(&new, text).unwrap();
        fs::rename(new, root.path(STATUS)).unwrap();
    }
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(
        lines,
        [
            "not-run: waiting for footplate.service to start",
            "waiting: for the network: eth0 has no IPv4 address"
        ]
    );
    assert_eq!(ran.out, "done\n");
}

/// Without root the state can't be read, and the message says how it can.
#[test]
fn without_root_it_is_said_how() {
    let root = Scratch::new("no-root");
    root.put(STATUS, "{}");
    fs::set_permissions(root.path("/run/footplate"), fs::Permissions::from_mode(0o700)).unwrap();
    needs!(root("another user is to run the program"));
    // The program itself may be below a directory of root's.
    root.put_program("/footplate", fs::read(FOOTPLATE).unwrap());
    for (name, code) in [("status", 70), ("provision", 74)] {
        let mut command = Command::new("chroot");
        let ran = Ran::of(command.args(["--userspec=65534:65534", root.arg(), "/footplate", name]));
        let says = ["/run/footplate", "Permission denied", "hint: this needs root: run it again with `sudo`"];
        ran.ended(code, &says);
    }
}

/// What a unit runs is also run by hand, to look at it. The result of the boot stays what it is.
#[test]
fn what_is_run_by_hand_changes_no_result() {
    let root = Scratch::new("by-hand");
    let seed = seed("by-hand", "#cloud-config\nruncmd: [kubeadm init]\n");
    provision(&seed, &root).ended(0, &[]);
    let script = root.text("/run/footplate/bootstrap");
    let status = root.text(STATUS);
    let hand = |args: &[&str]| {
        let mut command = Command::new(FOOTPLATE);
        for name in ["SERVICE_RESULT", "INVOCATION_ID", "EXIT_STATUS"] {
            command.env_remove(name);
        }
        Ran::of(command.args(args))
    };
    for args in [&["report"][..], &["report", "--provision"]] {
        hand(args).ended(64, &["was not started by systemd", "`footplate status`"]);
    }
    hand(&["network", "--seed", seed.to_str().unwrap(), "--root", root.arg()]).ended(0, &[]);
    fs::remove_file(root.path("/run/footplate/bootstrap")).unwrap();
    hand(&["kubeadm-prepare", "/etc/nothing.yml", "--root", root.arg()]).ended(64, &["does not exist"]);
    root.put("/etc/kubeadm.yml", "nodeName: ${COREOS_NOTHING}\n");
    hand(&["kubeadm-prepare", "/etc/kubeadm.yml", "--root", root.arg()]).ended(65, &["COREOS_NOTHING"]);
    assert_eq!(root.text(STATUS), status);
    assert!(!root.path("/run/footplate/kubeadm.prepared").exists());
    assert!(script.contains("kubeadm init"));
}

/// A relative directory is below where the person stands, and a capture tells its replay which platform was asked for.
#[test]
fn paths_begin_where_one_stands() {
    let root = Scratch::new("relative");
    let seed = seed("relative", "#cloud-config\nruncmd: [kubeadm init]\n");
    let network = "version: 2\nethernets: {eth0: {dhcp4: true}}\n";
    fs::write(seed.join("network-config"), network).unwrap();
    let here = seed.parent().unwrap();
    let relative = seed.file_name().unwrap().to_str().unwrap();
    let run = |args: &[&str]| Ran::of(Command::new(FOOTPLATE).args(args).current_dir(here));
    run(&["network", "--seed", relative, "--out", "relative-out"]).ended(0, &[]);
    let made = fs::read_dir(here.join("relative-out")).unwrap().count();
    assert!(made > 0);
    fs::remove_dir_all(here.join("relative-out")).unwrap();
    let _ = fs::remove_dir_all(here.join("relative-bundle"));
    run(&["capture", "relative-bundle", "--seed", relative]).ended(0, &[]);
    let again = run(&["plan", "--replay", "relative-bundle", "--root", root.arg()]);
    assert_eq!(again.code, 2, "{}", again.err);
    assert!(again.out.starts_with("nocloud (--seed "), "{}", again.out);
    // A recorded machine whose platform nothing names.
    let machine = Scratch::new("relative-machine");
    machine.put("/guestinfo/guestinfo.metadata", "instance-id: n-8\n");
    let plan = ["plan", "--replay", machine.arg(), "--root", root.arg()];
    run(&plan).ended(69, &["nothing says which platform this is"]);
    let named = run(&[&plan[..], &["--platform", "vmware"]].concat());
    assert!(
        named.out.starts_with("vmware (--platform vmware), instance n-8\n"),
        "{}{}",
        named.out,
        named.err
    );
    let bundle = here.join("relative-bundle-2");
    let _ = fs::remove_dir_all(&bundle);
    let bundle = bundle.to_str().unwrap();
    run(&["capture", bundle, "--replay", machine.arg(), "--platform", "vmware"]).ended(0, &[]);
    let again = run(&["plan", "--replay", bundle, "--root", root.arg()]);
    assert!(
        again.out.starts_with("vmware (--platform vmware), instance n-8\n"),
        "{}{}",
        again.out,
        again.err
    );
}

/// `plan --diff` shows the lines that change, and of what may hold a secret nothing but lengths and digests.
#[test]
fn a_diff_shows_lines_and_no_secret() {
    let root = Scratch::new("diff");
    root.put("/etc/motd", "one\ntwo\nthree\n").put("/etc/app.conf", "password = old-canary\n");
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").put("/etc/group", "root:x:0:\n");
    let data = "#cloud-config\nruncmd: [kubeadm init --token new-canary]\nwrite_files:\n\
        - {path: /etc/motd, content: \"one\\n2\\nthree\\n\"}\n- {path: /etc/new, content: \"x\\n\"}\n\
        - {path: /etc/app.conf, content: \"password = new-canary\\n\"}\n\
        - {path: /etc/key, content: new-canary, permissions: '0600'}\n";
    let seed = seed("diff", data);
    let ran = footplate(&["plan", "--diff", "--seed", seed.to_str().unwrap(), "--root", root.arg()]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    for text in [
        "--- a/etc/motd\n+++ b/etc/motd\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n",
        "--- /dev/null\n+++ b/etc/new\n@@ -0,0 +1,1 @@\n+x\n",
        "/etc/app.conf: may hold a secret: 22 bytes, sha256 ",
        "/etc/key: may hold a secret: absent -> 10 bytes, sha256 ",
        "/run/footplate/bootstrap: may hold a secret: absent -> ",
    ] {
        assert!(ran.out.contains(text), "{text}\n{}", ran.out);
    }
    assert!(!ran.out.contains("canary"), "{}", ran.out);
}

/// The names of a template with their values, and no secret.
#[test]
fn the_names_of_a_template_are_told() {
    let seed = seed("query", "#cloud-config\n{}\n");
    let meta = "instance-id: i-7\nlocal-hostname: node-7.example\nrack: {row: 3, api_token: canary}\n\
                deep: {a: {b: {token: canary, size: 4}}}\nSTART_SCRIPT: canary\ncustomdata: {a: canary}\n";
    fs::write(seed.join("meta-data"), meta).unwrap();
    let seed = seed.to_str().unwrap();
    let ran = footplate(&["query", "--seed", seed]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let value = |name: &str| {
        let line = ran.out.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_once(char::is_whitespace)).map(|(_, value)| value.trim().to_owned())
    };
    for (name, want) in [
        ("v1.local_hostname", "node-7"),
        ("ds.meta_data.rack.row", "3"),
        ("ds.meta_data.rack.api_token", "6 bytes, not shown"),
        ("ds.meta_data.deep.a.b", r#"{"token":"removed","size":4}"#),
        ("ds.meta_data.START_SCRIPT", "6 bytes, not shown"),
        ("instance_id", "i-7"),
    ] {
        assert_eq!(value(name).as_deref(), Some(want), "{name}\n{}", ran.out);
    }
    assert!(!ran.out.contains("canary"));
    let json = footplate(&["query", "ds.meta_data.rack", "--seed", seed, "--format", "json"]).json();
    assert_eq!(
        (json["version"].as_u64(), json["values"].as_object().map(serde_json::Map::len)),
        (Some(1), Some(2))
    );
    footplate(&["query", "v1.local_hostnam", "--seed", seed])
        .ended(64, &["a template has no such name", "did you mean v1.local_hostname?"]);
}

/// What is remembered goes, what was made stays unless it is asked for, and a node that runs or joined is left alone.
#[test]
fn clean_forgets_and_leaves_what_was_made() {
    let root = Scratch::new("clean");
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").put("/etc/group", "root:x:0:\n");
    let seed = seed(
        "clean",
        "#cloud-config\nwrite_files: [{path: /etc/made, content: x}]\nruncmd: [kubeadm init]\n",
    );
    provision(&seed, &root).ended(0, &[]);
    let clean = |more: &[&str]| footplate(&[&["clean", "--root", root.arg()], more].concat());
    let before = root.tree();
    let dry = clean(&["--dry-run", "--made"]);
    assert!(dry.out.contains("would remove: /run/footplate\n"), "{}", dry.out);
    assert!(dry.out.contains("would remove: /etc/made\n"), "{}", dry.out);
    assert_eq!(root.tree(), before);
    root.put("/etc/kubernetes/kubelet.conf", "{}");
    clean(&[]).ended(64, &["a member of a cluster", "--force"]);
    fs::remove_dir_all(root.path("/etc/kubernetes")).unwrap();
    let status = root.text(STATUS);
    root.put(STATUS, r#"{"version": 1, "state": "running"}"#);
    clean(&[]).ended(64, &["the bootstrap of this machine runs", "--force"]);
    root.put(STATUS, status);
    let ran = clean(&[]);
    assert!(ran.out.contains("note: the files and accounts that were made stay"), "{}", ran.out);
    assert!(!root.path("/run/footplate").exists() && !root.path("/var/lib/footplate").exists());
    assert_eq!(root.text("/etc/made"), "x");
    let json = footplate(&["clean", "--made", "--root", root.arg(), "--format", "json"]).json();
    assert!(json["removed"].as_array().unwrap().iter().any(|item| item["path"] == "/etc/made"), "{json}");
    assert!(!root.path("/etc/made").exists() && !root.path("/opt/footplate").exists());
    assert_eq!(clean(&[]).out, "the next start of footplate.service is that of a new machine\n");
}

/// The bundle is one file that tar reads, only its owner reads it, it replays as the machine that it is of, and has no secret.
#[test]
fn a_bundle_is_one_file_that_replays() {
    let root = Scratch::new("collect");
    let data = "#cloud-config\nwrite_files: [{path: /etc/made, content: canary-1}]\nruncmd: [kubeadm init --token canary-2]\n";
    let seed = seed("collect", data);
    let (seed, bundle) = (seed.to_str().unwrap(), root.path("/bundle.tar"));
    let bundle = bundle.to_str().unwrap();
    root.put("/bundle.tar", "old");
    footplate(&["collect", bundle, "--seed", seed]).ended(0, &[]);
    assert_eq!(root.owned("/bundle.tar").0, 0o600);
    assert!(!String::from_utf8_lossy(&fs::read(bundle).unwrap()).contains("canary"));
    let listed = Ran::of(Command::new("tar").args(["-tf", bundle]));
    listed.ended(0, &[]);
    for name in ["asked-for.json", "support/version", "support/journal.txt", "support/networkctl.txt"] {
        assert!(listed.out.lines().any(|line| line == name), "{name}: {}", listed.out);
    }
    let empty = Scratch::new("collect-root");
    let paths = |source: [&str; 2]| {
        let args = [&["plan", "--format", "json", "--root", empty.arg()], &source[..]].concat();
        let json = footplate(&args).json();
        json["items"].as_array().unwrap().iter().map(|item| item["path"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(paths(["--replay", bundle]), paths(["--seed", seed]));
    // The times of the machine, from a directory and from an archive as `collect` packs it.
    let machine = Scratch::new("collect-times");
    machine.put("/file/run/footplate/status.json", FAILED_AT_KUBEADM);
    machine.put("/boot-times", r#"[{"name":"kernel","state":"done","started_ms":0,"ms":777,"summary":""}]"#);
    let packed = root.path("/times.tar");
    let packed = packed.to_str().unwrap();
    Ran::of(Command::new("tar").args(["-cf", packed, "-C", machine.arg(), "file", "boot-times"]))
        .ended(0, &[]);
    for recorded in [machine.arg(), packed] {
        footplate(&["status", "--replay", recorded]).ended(1, &[]);
        let drawn = footplate(&["timeline", "--replay", recorded]);
        assert!(drawn.out.contains("1500 ms"), "{}{}", drawn.out, drawn.err);
        assert!(drawn.out.contains("\nkernel ") && drawn.out.contains(" 777 ms"), "{}", drawn.out);
    }
    // An archive without a status, and what is no archive at all.
    let ran = footplate(&["timeline", "--replay", "/etc/hostname"]);
    ran.ended(64, &["/etc/hostname", "neither a directory"]);
    // The same by tar's own hand, and what is not an archive.
    let dir = root.path("/unpacked");
    fs::create_dir(&dir).unwrap();
    let dir = dir.to_str().unwrap();
    Ran::of(Command::new("tar").args(["-xf", bundle, "-C", dir])).ended(0, &[]);
    assert_eq!(paths(["--replay", dir]), paths(["--seed", seed]));
    root.put("/broken.tar", &fs::read(bundle).unwrap()[..1000]);
    let broken = root.path("/broken.tar");
    footplate(&["plan", "--replay", broken.to_str().unwrap()])
        .ended(64, &["broken.tar", "neither a directory"]);
}

/// `--color`, `-v` and `-q` stand before and behind each command; colours are for a terminal, and NO_COLOR forbids them there.
#[test]
fn each_command_takes_colours_and_how_much_is_told() {
    let root = Scratch::new("telling");
    root.put(STATUS, FAILED_AT_KUBEADM);
    let ran = |args: &[&str], env: &str| {
        Ran::of(Command::new(FOOTPLATE).args(args).env("TERM", "xterm").env("NO_COLOR", env))
    };
    let status = ["status", "--root", root.arg()];
    for args in [["--color", "always"], ["--color=always", "-q"], ["-v", "--color=always"]] {
        for words in [[&args[..], &status].concat(), [&status[..], &args].concat()] {
            assert!(ran(&words, "1").out.starts_with("\x1b[1;38;5;160mfailed\x1b[0m"), "{words:?}");
        }
    }
    let plain = ran(&status, "");
    assert!(plain.out.starts_with("failed\n"), "this is not a terminal: {}", plain.out);
    ran(&["status", "--root", "/not/there", "--color", "always"], "1")
        .ended(64, &["\x1b[1;38;5;160merror: \x1b[0m"]);
    // On a terminal, which script(1) makes.
    let line = format!("{FOOTPLATE} status --root {}", root.arg());
    for (env, option, coloured) in [("", "", true), ("1", "", false), ("", " --color never", false)] {
        let mut script = Command::new("script");
        script
            .args(["-qec", &format!("{line}{option}"), "/dev/null"])
            .env("TERM", "xterm")
            .env("NO_COLOR", env);
        assert_eq!(Ran::of(&mut script).out.contains("\x1b["), coloured, "{env:?} {option}");
    }
    // `-q` keeps what is only told on the way, `-v` tells the steps of a command that answers a person.
    let seed = seed("telling", "#cloud-config\nruncmd: [kubeadm init]\n");
    let other = Scratch::new("telling-root");
    let plan = ["plan", "--seed", seed.to_str().unwrap(), "--root", other.arg()];
    let told = |option: &str| ran(&[&plan[..], &[option]].concat(), "").err.lines().count();
    assert!(told("-v") > told("-q"), "{} {}", told("-v"), told("-q"));
    let wait = ["status", "--wait", "--timeout", "1", "--root", other.arg()];
    assert!(
        ran(&wait, "").err.contains("waiting for") && ran(&[&wait[..], &["-q"]].concat(), "").err.is_empty()
    );
    ran(&["plan", "-v", "-q"], "").ended(64, &["cannot be used with"]);
}

/// How far a colour of the cube in the palette of 256 is from white and from black, as WCAG counts contrast.
fn contrasts(colour: u32) -> [f64; 2] {
    let of_level = |level: u32| {
        let s = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0][level as usize] / 255.0_f64;
        if s <= 0.03928 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
    };
    let n = colour - 16;
    let light = 0.2126 * of_level(n / 36) + 0.7152 * of_level(n / 6 % 6) + 0.0722 * of_level(n % 6);
    [1.05 / (light + 0.05), (light + 0.05) / 0.05]
}

/// What is coloured is read on a light terminal and on a dark one: each colour is one that no theme changes, and far from both.
#[test]
fn colours_are_read_on_light_and_dark() {
    let root = Scratch::new("colours");
    let seed = seed("colours", "#cloud-config\nruncmd: [kubeadm init]\n");
    root.put("/good.yaml", "#cloud-config\nruncmd: [kubeadm init]\ngrowpart: {}\n");
    root.put("/bad.yaml", "#cloud-config\nusers: [{name: a, shell: /bin/zsh}]\napt: {}\n");
    let mut seen = BTreeSet::new();
    let mut look = |args: &[&str]| {
        let ran = footplate(&[args, &["--color", "always"]].concat());
        for code in format!("{}{}", ran.out, ran.err).split("\x1b[").skip(1) {
            seen.insert(code.split('m').next().unwrap().to_owned());
        }
    };
    let path = |name: &str| root.path(name).display().to_string();
    look(&["check", &path("/good.yaml")]);
    look(&["check", &path("/bad.yaml")]);
    look(&["plan", "--seed", seed.to_str().unwrap(), "--root", root.arg()]);
    look(&["status", "--root", "/not/there"]);
    look(&["stat"]);
    for state in ["running", "done", "failed"] {
        root.put(STATUS, format!(r#"{{"version": 1, "state": "{state}"}}"#));
        look(&["status", "--root", root.arg()]);
    }
    for code in &seen {
        let Some(colour) = code.strip_prefix("1;").unwrap_or(code).strip_prefix("38;5;") else {
            // The end of a colour, and what is bold or underlined in the colour of the text.
            assert!(["0", "1", "4"].contains(&code.as_str()), "{code}");
            continue;
        };
        let far = contrasts(colour.parse().unwrap());
        assert!(far.iter().all(|contrast| *contrast > 3.5), "{code}: {far:?}");
    }
    assert!(seen.len() > 4, "{seen:?}");
}

/// A line as a terminal of 80 columns shows it, without the colours.
fn on_a_terminal(command: &str) -> Vec<String> {
    let line = format!("stty cols 80 rows 24; {FOOTPLATE} {command} --color never");
    let ran = Ran::of(Command::new("script").args(["-qec", &line, "/dev/null"]).env("TERM", "xterm"));
    ran.out.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

/// `--watch` writes over its own screen, so that what stood on the terminal before can be scrolled to, and says what to run next
/// only at its end.
#[test]
fn a_watch_writes_over_its_own_screen_alone() {
    let root = Scratch::new("watch");
    root.put(STATUS, r#"{"version": 1, "state": "running"}"#);
    let line = format!("{FOOTPLATE} status --watch --timeout 1s --root {}", root.arg());
    let ran = Ran::of(Command::new("script").args(["-qec", &line, "/dev/null"]).env("TERM", "xterm"));
    let screens: Vec<&str> = ran.out.split("\x1b[H").skip(1).collect();
    assert_eq!((ran.code, screens.len()), (2, 2), "{:?}", ran.out);
    assert!(!screens[0].contains("next: ") && screens[1].contains("next: "), "{:?}", ran.out);
    assert!(
        screens.iter().all(|screen| screen.ends_with("\x1b[J") && !screen.contains("\x1b[3J")),
        "{:?}",
        ran.out
    );
}

/// What is said on a terminal fits on it: words are not cut at its edge.
#[test]
fn what_is_said_fits_on_a_terminal() {
    let root = Scratch::new("terminal");
    let data =
        "#cloud-config\nwrite_files: [{path: /etc/a-file-of-mine, content: x}]\nruncmd: [kubeadm init]\n";
    let seed = seed("terminal", data);
    let seed = seed.display();
    root.put(
        "/bad.yaml",
        "#cloud-config\nusers: [{name: a, shell: /bin/zsh}]\nruncmd: [kubeadm jion --token a.b]\n",
    );
    root.put("/empty/x", "");
    let (at, empty) = (root.arg(), root.path("/empty"));
    let empty = empty.display();
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/vsphere-worker");
    let help = footplate(&["--help"]).out;
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\nOptions:").next().unwrap();
    let listed = listed.lines().filter(|line| !line.starts_with("   "));
    let mut helps: Vec<String> =
        listed.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(helps.len() > 18, "{help}");
    helps.retain(|command| command != "help");
    helps.extend(["", "bake lock", "bake sysext", "render network"].map(str::to_owned));
    for command in
        helps.iter().flat_map(|command| [format!("{command} --help"), format!("{command} -h")]).chain([
            format!("platforms --replay {machine}"),
            format!("plan --replay {machine} --root {empty}"),
            format!("check {at}/bad.yaml"),
            "check --explain object/variable".to_owned(),
            "plan --platform vmwre".to_owned(),
            "platforms --platform nocloud".to_owned(),
            format!("plan --seed {seed} --root {empty}"),
            format!("provision --seed {seed} --root {empty}"),
            format!("status --root {empty}"),
            format!("timeline --root {empty}"),
        ])
    {
        let lines = on_a_terminal(&command);
        // A path is one word, which is not cut either.
        let long = |line: &&String| line.chars().count() > 80 && !line.contains("/terminal");
        assert!(lines.len() > 1, "{command}: {lines:#?}");
        assert_eq!(lines.iter().find(long), None, "{command}: {lines:#?}");
    }
}

/// Common mistakes are told in words that name the cure, and never in the system's or a parser's.
#[test]
fn mistakes_are_told_with_what_to_do() {
    let root = Scratch::new("mistakes");
    root.put("/j.yaml", "## template: jinja\n#cloud-config\nhostname: {{ ds.meta_data.instance-id }}\n");
    root.put("/lock.json", "kind: Cluster\n");
    root.put("/y.yaml", "#cloud-config\na: b: c\n");
    root.put("/short.json", r#"{"version": 1, "artifacts": []}"#);
    let [jinja, lock, yaml, short_lock] =
        ["j.yaml", "lock.json", "y.yaml", "short.json"].map(|name| format!("{}/{name}", root.arg()));
    for (args, code, says) in [
        (&["check", &jinja][..], 65, &["is a subtraction", "`ds.meta_data.instance_id`"][..]),
        (&["check", &jinja, "--formt", "json"], 64, &["did you mean `--format`?"]),
        (&["stat"], 64, &["did you mean `status`?"]),
        (&["verify", "--timeout", "3s"], 64, &["--timeout is an option of other commands"]),
        (&["plan", "--platform", "vmwre"], 64, &["did you mean `vmware`?"]),
        (&["render", "network", root.arg()], 64, &["name a file: this is a directory"]),
        (&["collect", "/not/there/x.tar"], 74, &["a part of it does not exist"]),
        (
            &["bake", "--force", "--root", root.arg(), "--lock", &lock],
            65,
            &["this is not JSON", "bake lock --help"],
        ),
        (
            &["bake", "--force", "--root", root.arg(), "--lock", &short_lock],
            65,
            &["the key `arch` is missing (line 1, column 31)", "bake lock --help"],
        ),
        (&["timeline", "--replay", &jinja], 64, &["neither a directory nor an archive"]),
        (
            &["bake", "lock", "--kubernetes", "1.34", "--cni-plugins", "v1.7.1", "--output", &lock],
            64,
            &["--kubernetes: \"1.34\" is not a version", "begins with v, and Kubernetes"],
        ),
        (&["check", &yaml], 65, &["not YAML: a colon stands where no key can (line 2, column 5)", "hint: "]),
        (&["check", "/not/there/nope.yaml"], 64, &["/not/there/nope.yaml: the file does not exist"]),
        (&["status", "--root", "/not/there"], 64, &["/not/there", "--root takes a directory that exists"]),
        (
            &["timeline", "--root", root.arg()],
            2,
            &["not-run: footplate has not run on this machine in this boot", "systemctl status"],
        ),
    ] {
        let ran = footplate(args);
        ran.ended(code, &[]);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            says.iter().all(|words| said.contains(words)) && !said.contains("os error"),
            "{args:?}: {said}"
        );
    }
}

/// What a person leaves in the kernel's arguments is not in a capture: passwords, tokens, keys, and credentials in URLs.
#[test]
fn a_capture_has_no_password_of_the_kernel_command_line() {
    let machine = Scratch::new("arguments-machine");
    machine.put("/guestinfo/guestinfo.metadata", "instance-id: n-9\n").put(
        "/file/proc/cmdline",
        "quiet password=canary-1 app.password=canary-2 token=canary-3 key=canary-4 url=http://u:canary-5@h/x mode=kept\n",
    );
    let bundle = machine.dir.with_file_name("arguments-bundle");
    let _ = fs::remove_dir_all(&bundle);
    let dir = bundle.to_str().unwrap();
    footplate(&["capture", dir, "--replay", machine.arg(), "--platform", "vmware"]).ended(0, &[]);
    let line = fs::read_to_string(bundle.join("file/proc/cmdline")).unwrap();
    assert!(!line.contains("canary"), "{line}");
    for kept in ["quiet ", "password=", "token=", "key=", "h/x", "mode=kept"] {
        assert!(line.contains(kept), "{kept}: {line}");
    }
}

/// Who reads what is printed may go, as `head` does: that changes no exit code.
#[test]
fn each_command_ends_as_it_would_where_nobody_reads() {
    for words in [
        &["--help"][..],
        &["collect", "--out", "a"],
        &["chek"],
        &["platforms"],
        &["check", "--explain", "nope"],
        &["check", "/dev/null"],
        &["status", "--root", "/nope"],
    ] {
        let wanted = footplate(words).code;
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut program = Command::new(env!("CARGO_BIN_EXE_footplate"));
        program.args(words).stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(program.status().unwrap().code(), Some(wanted), "{words:?}");
    }
}

/// `dist/build` names the commit in the environment: `--version` is what build.rs makes of it.
#[test]
fn the_version_has_the_commit() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/build.rs");
    let program = crate::common::scratch::fresh("version").join("build");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ran::of(Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&program).arg(source)).ended(0, &[]);
    let says = |commit: &str| {
        let mut build = Command::new(&program);
        build.env("CARGO_PKG_VERSION", "1.2.3").env("PROFILE", "dev").env("FOOTPLATE_COMMIT", commit);
        Ran::of(&mut build).out
    };
    assert!(says("0123abc").contains("FOOTPLATE_VERSION=1.2.3 (0123abc)\n"), "{}", says("0123abc"));
    assert!(says("").contains("FOOTPLATE_VERSION=1.2.3\n"), "{}", says(""));
    assert_eq!(footplate(&["--version"]).out, concat!("footplate ", env!("FOOTPLATE_VERSION"), "\n"));
}

/// `demo/run` runs what cargo says it built, wherever that is.
#[test]
fn the_demo_runs_what_cargo_built_elsewhere() {
    use std::os::unix::fs::symlink;

    let dir = crate::common::scratch::fresh("demo");
    let built = dir.join("elsewhere/release/footplate");
    fs::create_dir_all(built.parent().unwrap()).unwrap();
    symlink(FOOTPLATE, &built).unwrap();
    // A cargo that has built already, and speaks as the real one does.
    let cargo = dir.join("cargo");
    let message =
        r#"{"reason":"compiler-artifact","filenames":["x"],"executable":"@/release/footplate","fresh":true}"#;
    let message = message.replace('@', "'\"$CARGO_TARGET_DIR\"'");
    put_program(&cargo, format!("#!/bin/sh\necho '{message}'\n"));
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let mut demo = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/run"));
    demo.env("PATH", path).env("CARGO_TARGET_DIR", dir.join("elsewhere")).env("TMPDIR", &dir);
    let says = ["== building footplate", "some minutes", "files are below"];
    let ran = Ran::of(&mut demo);
    assert!(ran.code == 0 && says.iter().all(|text| ran.out.contains(text)), "{}{}", ran.out, ran.err);
}
