// SPDX-License-Identifier: Apache-2.0
//! A run that is killed at any call that changes something, and a second run after it: the same node as without the kill.
//! `strace` kills the unmodified program as it enters the call.

use crate::common::scratch;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

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

/// A root with accounts and a skeleton.
pub fn furnish(root: &Scratch) {
    let _ = fs::remove_dir_all(&root.dir);
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n").put("/etc/shadow", "root:*:1::::::\n");
    root.put("/etc/group", "root:x:0:\nusers:x:100:\n").put("/etc/gshadow", "root:*::\nusers:*::\n");
    root.put("/etc/skel/.profile", "umask 022\n").put("/etc/motd", "old\n");
}

/// All that a run makes, but for the account of the run itself.
pub fn made(root: &Scratch) -> String {
    fs::remove_file(root.path("/run/footplate/status.json")).unwrap();
    format!("{}{}", root.tree(), root.text(MANIFEST))
}

/// Runs the program under strace with these arguments.
pub fn strace(how: &[&str], provision: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    Ran::of(command.args(["--signal=KILL", "60", "strace", "-f"]).args(how).arg(FOOTPLATE).args(provision))
}

/// How often each of [`CALLS`] is made.
fn counts(log: &Path) -> BTreeMap<&'static str, usize> {
    let text = fs::read_to_string(log).unwrap();
    let call = |name: &&'static str| (*name, text.matches(&format!(" {name}(")).count());
    CALLS.iter().map(call).collect()
}

#[track_caller]
fn same_after_each_kill(root: &Scratch, source: &[&str]) -> usize {
    let provision = [&["provision"], source, &["--root", root.arg()]].concat();
    let log = root.dir.with_file_name("calls");
    furnish(root);
    strace(&["-o", log.to_str().unwrap(), "-e", &format!("trace={}", CALLS.join(","))], &provision)
        .ended(0, &[]);
    let (wanted, mut points) = (made(root), 0);
    assert!(!wanted.contains(".footplate-"), "a temporary name is left:\n{wanted}");
    for (call, count) in counts(&log) {
        for when in 1..=count {
            furnish(root);
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let cut = strace(&["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject], &provision);
            assert_ne!(cut.code, 0, "{call} {when}: the run was not killed");
            scratch::footplate(&provision).ended(0, &[]);
            let is = made(root);
            assert!(is == wanted, "killed at {call} {when}:\n{}", scratch::difference(&wanted, &is));
            points += 1;
        }
    }
    points
}

#[test]
fn a_second_run_makes_what_a_killed_one_owed() {
    needs!(root("files have owners"));
    needs!(program("strace", "strace"));
    let seed = scratch::seed("cut-users", USERS);
    let root = Scratch::new("cut");
    let mut points = same_after_each_kill(&root, &["--seed", seed.to_str().unwrap()]);
    points += same_after_each_kill(&root, &["--replay", "demo/vsphere-worker"]);
    println!("{points} kills, each with a second run");
    assert!(points > 150, "only {points} kills");
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
