// SPDX-License-Identifier: Apache-2.0
//! A run that is killed at any call that changes something, or one of whose calls fails, and a second run after it: the same node
//! as without. `strace` kills the unmodified program as it enters the call, so after the call before it, or makes the call fail.
//!
//! Each test takes a part of the points; `tests/hostile --long` takes all of them, and prints how many there were.

use crate::common::scratch;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use footplate::facade::apply::manifest::MANIFEST;
use scratch::{FOOTPLATE, Ran, Scratch};

/// The calls that change what is on the disk. Those that write to a file without a name yet are seen by the ones that follow.
const CALLS: [&str; 8] =
    ["renameat", "mkdirat", "symlinkat", "unlinkat", "fchown", "fchownat", "fchmod", "syncfs"];

/// Accounts, a home, keys and files in new directories of another owner.
pub const USERS: &str = "#cloud-config
groups: [crew, {staff: [pilot]}]
users:
  - name: pilot
    groups: crew
    ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEEGCT7rn4bn3rVVcu2kUJtyqHLzzqThf9ELk1tqGS1e pilot]
  - {name: clerk, primary_group: office, lock_passwd: false, hashed_passwd: $6$salt$hash}
write_files:
  - {path: /srv/new/deep/file, owner: 'pilot:crew', permissions: '0640', content: one}
  - {path: /home/pilot/notes, owner: 'pilot:pilot', content: two}
  - {path: /home/pilot/notes, append: true, content: three}
  - {path: /home/pilot/.ssh/config, owner: 'pilot:pilot', content: four}
  - {path: /home/clerk/.profile, append: true, content: five}
  - {path: /etc/motd, content: six}
runcmd: [kubeadm init]
";

/// The same by Ignition, with a link, a unit and a file that gets more.
const IGNITION: &str = r#"{"ignition": {"version": "3.3.0"},
  "passwd": {"groups": [{"name": "crew", "gid": 4100}], "users": [{"name": "pilot", "groups": ["crew"],
    "sshAuthorizedKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEEGCT7rn4bn3rVVcu2kUJtyqHLzzqThf9ELk1tqGS1e pilot"]}]},
  "storage": {
    "directories": [{"path": "/srv/new", "mode": 488, "user": {"name": "pilot"}, "group": {"name": "crew"}}],
    "files": [
      {"path": "/srv/new/deep/file", "user": {"name": "pilot"}, "mode": 416, "contents": {"source": "data:,one"}},
      {"path": "/etc/motd", "overwrite": true, "contents": {"source": "data:,two"}, "append": [{"source": "data:,three"}]},
      {"path": "/etc/kubeadm.yml", "contents": {"source": "data:,four"}}],
    "links": [{"path": "/etc/localtime", "target": "/usr/share/zoneinfo/Etc/UTC"},
      {"path": "/srv/hard", "target": "/etc/kubeadm.yml", "hard": true}]},
  "systemd": {"units": [
    {"name": "own.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"},
    {"name": "sshd.service", "dropins": [{"name": "10-x.conf", "contents": "[Service]\nNice=1\n"}]}]}}"#;

/// A machine on EC2 whose data Cluster API hid: the answers of the metadata service and of Secrets Manager. That nothing is lost
/// where the data is deleted, is `capa`'s.
fn with_hidden_data() -> PathBuf {
    let dir = scratch::fresh("cut-hidden");
    let packed = pack(USERS);
    let (first, second) = packed.split_at(100);
    let chunk = |bytes: &[u8]| format!(r#"{{"SecretBinary": "{}"}}"#, STANDARD.encode(bytes));
    let hook = "#cloud-boothook\n#!/bin/bash\nREGION=\"eu-west-1\"\nSECRET_PREFIX=\"aws.cluster.x-k8s.io/4711\"\nCHUNKS=\"2\"\n\
                FILE=\"/etc/secret-userdata.txt\"\nlog::info \"aws.cluster.x-k8s.io encrypted cloud-init script $0 started\"\n\
                aws secretsmanager ${ENDPOINT} --region ${REGION} get\n";
    let user_data = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\n--b\nContent-Type: text/cloud-boothook\n\n{hook}\
         --b\nContent-Type: text/x-include-url\n\nfile:///etc/secret-userdata.txt\n--b--\n"
    );
    let credentials = r#"{"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"}"#;
    let (dmi, metadata) = ("file/sys/class/dmi/id", "http/169.254.169.254/2021-07-15");
    let (role, answers) =
        ("meta-data/iam/security-credentials", "http/secretsmanager.eu-west-1.amazonaws.com");
    let (get, delete) = (
        "secretsmanager.GetSecretValue aws.cluster.x-k8s.io/4711",
        "secretsmanager.DeleteSecret aws.cluster.x-k8s.io/4711",
    );
    for (path, text) in [
        ("labels".to_owned(), ""),
        ("links".to_owned(), "[]"),
        ("file/proc/cmdline".to_owned(), "quiet"),
        (format!("{dmi}/product_uuid"), "ec2a1b2c-0000-0000-0000-000000000000"),
        (format!("{dmi}/sys_vendor"), "Amazon EC2"),
        (format!("{metadata}/user-data"), &user_data),
        (format!("{metadata}/meta-data/instance-id"), "i-0123456789abcdef0"),
        (format!("{metadata}/meta-data/local-hostname"), "ip-10-0-0-5.eu-west-1.compute.internal"),
        (format!("{metadata}/{role}/index"), "nodes"),
        (format!("{metadata}/{role}/nodes"), credentials),
        (format!("{answers}/{get}-0"), &chunk(first)),
        (format!("{answers}/{get}-1"), &chunk(second)),
        (format!("{answers}/{delete}-0"), "{}"),
        (format!("{answers}/{delete}-1"), "{}"),
    ] {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn pack(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// What is provisioned: its name, and the program's arguments that name it. The tests share the files.
static BOOTS: LazyLock<Vec<(&str, [String; 2])>> = LazyLock::new(|| {
    let seed =
        |name: &str, data: &str| ["--seed".to_owned(), scratch::seed(name, data).display().to_string()];
    let replay = |dir: &Path| ["--replay".to_owned(), dir.display().to_string()];
    // The machine of the demo, with Cluster API's data for the first control plane.
    let machine = scratch::fresh("cut-control-plane");
    Ran::of(Command::new("cp").args(["-r", "demo/vsphere-worker/."]).arg(&machine)).ended(0, &[]);
    for (key, file) in [("userdata", "userdata"), ("metadata", "metadata.yaml")] {
        let data = fs::read(format!("tests/cases/capv-control-plane-init/{file}")).unwrap();
        fs::write(machine.join(format!("guestinfo/guestinfo.{key}")), STANDARD.encode(data)).unwrap();
        fs::write(machine.join(format!("guestinfo/guestinfo.{key}.encoding")), "base64").unwrap();
    }
    vec![
        ("users", seed("cut-users", USERS)),
        ("vSphere worker", replay(Path::new("demo/vsphere-worker"))),
        ("vSphere control plane", replay(&machine)),
        ("Ignition", seed("cut-ignition", IGNITION)),
        ("hidden data", replay(&with_hidden_data())),
    ]
});

/// Of how many points one is taken.
pub fn every(n: usize) -> usize {
    if std::env::var_os("HOSTILE_LONG").is_some() { 1 } else { n }
}

/// A root with accounts and a skeleton.
pub fn furnish(root: &Scratch) {
    let _ = fs::remove_dir_all(&root.dir);
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n").put("/etc/shadow", "root:*:1::::::\n");
    root.put("/etc/group", "root:x:0:\nusers:x:100:\n").put("/etc/gshadow", "root:*::\nusers:*::\n");
    root.put("/etc/skel/.profile", "umask 022\n").put("/etc/motd", "old\n");
}

/// All that a run makes, but for the account of the run itself.
pub fn made(root: &Scratch) -> String {
    for own in ["/run/footplate/status.json", "/run/cluster-api/bootstrap-error.log"] {
        let _ = fs::remove_file(root.path(own));
    }
    let _ = fs::remove_dir(root.path("/run/cluster-api"));
    // The note of a failure has its directory before the data's file in it.
    let listed = root.text(MANIFEST).replace("    \"/run/cluster-api\": \"made\",\n", "");
    format!("{}{listed}", root.tree())
}

/// What is in each file.
fn contents(root: &Scratch) -> BTreeMap<String, Vec<u8>> {
    let files =
        scratch::walk(&root.dir).into_iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file());
    let own = |path: &String| {
        path != MANIFEST && !path.starts_with("/run/footplate/status") && !path.contains("bootstrap-error")
    };
    files
        .map(|path| {
            (format!("/{}", path.strip_prefix(&root.dir).unwrap().display()), fs::read(&path).unwrap())
        })
        .filter(|(path, _)| own(path))
        .collect()
}

/// Runs the program under strace with these arguments.
pub fn strace(how: &[&str], provision: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    Ran::of(command.args(["--signal=KILL", "60", "strace", "-f"]).args(how).arg(FOOTPLATE).args(provision))
}

/// Runs it once more after `inject` was done to it at `call`.
fn injected(root: &Scratch, provision: &[&str], call: &str, inject: &str) -> Ran {
    furnish(root);
    let inject = format!("inject={call}:{inject}");
    strace(&["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject], provision)
}

/// How often each of these calls is made, and what is made by them.
fn measured(
    root: &Scratch,
    provision: &[&str],
    calls: &[&'static str],
) -> (Vec<(&'static str, usize)>, String) {
    let log = root.dir.with_file_name("calls");
    furnish(root);
    strace(&["-o", log.to_str().unwrap(), "-e", &format!("trace={}", calls.join(","))], provision)
        .ended(0, &[]);
    let text = fs::read_to_string(log).unwrap();
    let counts = calls.iter().map(|name| (*name, text.matches(&format!(" {name}(")).count())).collect();
    let wanted = made(root);
    assert!(!wanted.contains(".footplate-"), "a temporary name is left:\n{wanted}");
    (counts, wanted)
}

/// The second run ends well, and has made what a run without a fault makes; otherwise what is wrong.
fn completed(root: &Scratch, provision: &[&str], wanted: &str) -> Result<(), String> {
    let second = scratch::footplate(provision);
    if second.code != 0 {
        return Err(format!("the second run ends with {}: {}", second.code, second.err));
    }
    let is = made(root);
    if is == wanted { Ok(()) } else { Err(scratch::difference(wanted, &is)) }
}

/// None of the points went wrong.
#[track_caller]
fn all_well(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} points went wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[test]
fn a_second_run_makes_what_a_killed_one_owed() {
    needs!(root("files have owners"));
    needs!(program("strace", "strace"));
    let (root, mut all, mut wrong) = (Scratch::new("cut"), 0, Vec::new());
    for (boot, source) in BOOTS.iter() {
        let provision = ["provision", &source[0], &source[1], "--root", root.arg()];
        let (counts, wanted) = measured(&root, &provision, &CALLS);
        let mut points = 0;
        for (call, count) in counts {
            for when in (1..=count).step_by(every(3)) {
                let what = format!("{boot}, killed at {call} {when}");
                let cut = injected(&root, &provision, call, &format!("signal=KILL:when={when}"));
                assert_ne!(cut.code, 0, "{what}: the run was not killed");
                wrong.extend(completed(&root, &provision, &wanted).err().map(|why| format!("{what}: {why}")));
                points += 1;
            }
        }
        println!("{boot}: {points} kills, each with a second run");
        all += points;
    }
    all_well(&wrong);
    assert!(all > 100, "only {all} kills");
}

/// The same at any time, whatever the program is doing.
#[test]
fn a_run_may_be_killed_at_any_time() {
    needs!(root("files have owners"));
    let (root, mut noise, mut killed, mut wrong) = (Scratch::new("cut-at-random"), 11_u64, 0, Vec::new());
    for (boot, source) in BOOTS.iter() {
        let provision = ["provision", &source[0], &source[1], "--root", root.arg()];
        furnish(&root);
        let start = std::time::Instant::now();
        scratch::footplate(&provision).ended(0, &[]);
        let (took, wanted) = (start.elapsed(), made(&root));
        for _ in 0..500 / every(25) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let after = Duration::from_nanos((noise >> 16) % took.as_nanos() as u64);
            furnish(&root);
            let mut run =
                Command::new(FOOTPLATE).args(provision).stderr(std::process::Stdio::null()).spawn().unwrap();
            std::thread::sleep(after);
            run.kill().unwrap();
            killed += usize::from(!run.wait().unwrap().success());
            let what = |why| format!("{boot}, killed after {after:?}: {why}");
            wrong.extend(completed(&root, &provision, &wanted).err().map(what));
        }
    }
    println!("{killed} kills at random times, each with a second run");
    all_well(&wrong);
    assert!(killed > 20, "only {killed} kills");
}

/// Errors of the kernel, and the calls that are made to fail with them.
const ERRORS: [(&str, &[&str]); 5] = [
    ("ENOSPC", &["openat", "write", "mkdirat", "symlinkat", "linkat", "renameat", "syncfs"]),
    ("EDQUOT", &["openat", "write", "mkdirat", "symlinkat", "linkat", "renameat", "syncfs"]),
    (
        "EIO",
        &[
            "openat",
            "openat2",
            "read",
            "write",
            "mkdirat",
            "symlinkat",
            "linkat",
            "renameat",
            "syncfs",
            "unlinkat",
            "fchown",
            "fchmod",
        ],
    ),
    ("EROFS", &["openat", "mkdirat", "symlinkat", "linkat", "renameat", "unlinkat", "fchown", "fchmod"]),
    ("EMFILE", &["openat", "openat2"]),
];

/// The files of accounts. One account follows the other, so they may hold some of the new ones.
const ACCOUNTS: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"];

/// Whole files to which the data then adds something.
const STEPS: [&str; 2] = ["umask 022\n", "two"];

/// Whether these are whole lines, for accounts of the finished file.
fn are_accounts(bytes: &[u8], finished: &[u8]) -> bool {
    let names = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    bytes.ends_with(b"\n")
        && finished.starts_with(b"root:")
        && names(bytes).iter().all(|n| names(finished).contains(n))
}

/// Each message of an error begins with the stage that it happened in, and the exit code is that stage's. Where the call that failed
/// was one for a file, it is named.
fn told(ran: &Ran) -> Result<(), String> {
    let Some((_, error)) =
        format!("\n{}", ran.err).split_once("\nerror: ").map(|(a, b)| (a.len(), b.to_owned()))
    else {
        return Err(format!("no error is told with {}", ran.code));
    };
    let code = match error.split(':').next().unwrap_or_default() {
        "usage" => 64,
        "decode" => 65,
        "detect" => 69,
        "start" | "report" => 70,
        "apply" | "install" => 74,
        "fetch" => 75,
        _ => return Err(format!("no stage is told: {error}")),
    };
    // What the machine is asked has names that are paths, but for these.
    let named =
        error.contains('/') || ["hypervisor", "labels", "links"].iter().any(|name| error.contains(name));
    match ran.code == code && named {
        true => Ok(()),
        false => Err(format!("exit code {}, or no file is named: {error}", ran.code)),
    }
}

/// What is wrong after a call failed, before there is a second run.
fn faulty(ran: &Ran, root: &Scratch, known: impl Fn(&String, &Vec<u8>) -> bool) -> Result<(), String> {
    if ran.code != 0 {
        told(ran)?;
    }
    match contents(root).iter().find(|(path, bytes)| !known(path, bytes)) {
        Some((path, bytes)) => {
            Err(format!("{path} is neither old nor new: {}", String::from_utf8_lossy(bytes)))
        }
        None => Ok(()),
    }
}

/// Makes calls of one of [`BOOTS`] fail, each followed by a second run.
fn calls_fail(boot: usize) {
    let (name, source) = &BOOTS[boot];
    let (root, mut wrong) = (Scratch::new(&format!("cut-errors-{boot}")), Vec::new());
    let provision = ["provision", &source[0], &source[1], "--root", root.arg()];
    furnish(&root);
    let before = contents(&root);
    let mut calls: Vec<&str> = ERRORS.iter().flat_map(|(_, calls)| *calls).copied().collect();
    calls.sort_unstable();
    calls.dedup();
    let (counts, wanted) = measured(&root, &provision, &calls);
    let after = contents(&root);
    let of = |call: &str| counts.iter().find(|(name, _)| *name == call).map_or(0, |(_, count)| *count);
    let points = ERRORS.iter().flat_map(|(error, calls)| {
        calls.iter().flat_map(move |call| (1..=of(call)).map(move |when| (*error, *call, when)))
    });
    let (points, mut told_of) = (points.step_by(every(37)).collect::<Vec<_>>(), 0);
    for (error, call, when) in &points {
        let ran = injected(&root, &provision, call, &format!("error={error}:when={when}"));
        told_of += usize::from(ran.code != 0);
        let known = |path: &String, bytes: &Vec<u8>| {
            [&before, &after].iter().any(|files| files.get(path) == Some(bytes))
                || STEPS.iter().any(|step| step.as_bytes() == bytes.as_slice())
                || (ACCOUNTS.contains(&path.as_str()) && are_accounts(bytes, &after[path]))
        };
        let mut result = faulty(&ran, &root, known);
        // Where the list of what is made can't be written, all else is made, and this is told.
        if result.is_ok() && !ran.err.contains("what is made is not listed for `footplate seal`") {
            result = completed(&root, &provision, &wanted);
        }
        if let Err(why) = result {
            // At once: a long run may be ended before it has seen all points.
            println!("{name}, {error} at {call} {when}: {why}");
            wrong.push(format!("{error} at {call} {when}: {why}"));
        }
    }
    println!("{name}: {} calls that failed, {told_of} told, each with a second run", points.len());
    all_well(&wrong);
    assert!(points.len() > 20, "only {} failed calls", points.len());
}

/// A call that fails leaves old files or new ones, and is told. A test for each of [`BOOTS`]: a long run judges each.
macro_rules! calls_fail {
    ($($name:ident: $boot:expr;)*) => {$(
        #[test]
        fn $name() {
            needs!(root("files have owners"));
            needs!(program("strace", "strace"));
            calls_fail($boot);
        }
    )*};
}
calls_fail! {
    calls_of_a_boot_with_users_fail: 0;
    calls_of_a_vsphere_worker_fail: 1;
    calls_of_a_vsphere_control_plane_fail: 2;
    calls_of_an_ignition_boot_fail: 3;
    calls_of_a_boot_with_hidden_data_fail: 4;
}

#[test]
fn a_provision_syncs_four_times_at_most() {
    needs!(root("files have owners"));
    needs!(program("strace", "strace"));
    let root = Scratch::new("syncs");
    let log = root.dir.with_file_name("calls");
    let provision = ["provision", "--replay", "demo/vsphere-worker", "--root", root.arg()];
    let trace = "trace=fsync,fdatasync,syncfs,sync,sync_file_range,msync,renameat,renameat2,rename";
    let syncs = || {
        strace(&["-o", log.to_str().unwrap(), "-e", trace], &provision).ended(0, &[]);
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.contains("sync")).count()
    };
    let (first, second) = (syncs(), syncs());
    assert!(first <= 4, "{first} syncs");
    assert_eq!(second, 0, "a second run changes nothing and syncs all the same");
}
