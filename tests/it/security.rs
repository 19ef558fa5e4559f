// SPDX-License-Identifier: Apache-2.0
//! What docs/security.md says beside its promises: the units have the figures that it gives, and the data is read by a thread that has
//! no rights.

use std::fs;
use std::process::Command;

use crate::common::scratch::{FOOTPLATE, Ran, Scratch, fresh, seed};
use crate::cut::{USERS, furnish};

#[test]
fn the_units_may_do_no_more_than_they_say() {
    needs!(program("systemd-analyze", "systemd"));
    let page = fs::read_to_string("docs/security.md").unwrap();
    // Newer releases judge more settings.
    let version = Ran::of(Command::new("systemd-analyze").arg("--version"));
    let dir = fresh("units-may");
    for (unit, most) in [("footplate", 5.5), ("footplate-network", 3.5), ("footplate-reader@", 2.0)] {
        // A template is looked at as one of its instances.
        let file = format!("units/{unit}.service");
        let copy = dir.join(format!("{unit}.service").replace('@', "@0"));
        fs::copy(&file, &copy).unwrap();
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=yes", "--no-pager"]).arg(copy);
        let told = Ran::of(&mut analyze).ended(0, &[]).out.clone();
        let figure = told.split(".service: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(figure.parse::<f32>().unwrap() <= most, "{told}");
        if version.out.contains("systemd 252 ") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(&format!("gives it {figure} of 10")), "{file}: {figure}");
            assert!(
                page.contains(&format!("`{unit}.service` {figure}")),
                "docs/security.md: {unit} {figure}"
            );
        }
    }
}

/// One source that is there, and one that is not.
const LIST: &str = "#include\nfile:///etc/hostname\nfile:///no/such/file\n";

/// A template that does not end.
const ENDLESS: &str = "## template: jinja\n#cloud-config\n# {% for a in range(90000) %}{% for b in range(90000) %}x{% endfor %}{% endfor %}\n";

/// A template with a value.
const TEMPLATE: &str = "## template: jinja\n#cloud-config\nwrite_files: [{path: /srv/a, content: '{{ ds.meta_data.instance_id }}'}]\n";

#[test]
fn the_data_is_read_without_rights_and_leaves_no_core() {
    needs!(root("another user's memory"));
    needs!(program("strace", "strace"));
    let replay = ["--replay".to_owned(), "demo/vsphere-worker".to_owned()];
    let of = |name: &str, data: &str| ["--seed".to_owned(), seed(name, data).display().to_string()];
    let cases = [
        ("replay", 0, replay),
        ("users", 0, of("confined-users", USERS)),
        ("template", 0, of("confined-template", TEMPLATE)),
        ("include", 65, of("confined-include", LIST)),
        ("endless", 65, of("confined-endless", ENDLESS)),
        ("broken", 65, of("confined-broken", "#cloud-config\nruncmd: {a: [b}\n")),
    ];
    for (name, code, source) in cases {
        let root = Scratch::new(&format!("confined-{name}"));
        // A file for each thread: in one file, a call that another interrupts stands on two lines.
        let logs = fresh(&format!("confined-log-{name}"));
        furnish(&root);
        let mut strace = Command::new("timeout");
        strace.args(["60", "strace", "-ff", "-o"]).arg(logs.join("calls")).arg(FOOTPLATE).arg("provision");
        Ran::of(strace.args(&source).args(["--root", root.arg()])).ended(code, &[]);
        let mut first = String::new();
        let mut confined = 0;
        for thread in fs::read_dir(&logs).unwrap() {
            let calls = fs::read_to_string(thread.unwrap().path()).unwrap();
            let filtered = |call: &&str| {
                call.contains("prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER") && call.contains("= 0")
            };
            if calls.lines().any(|call| filtered(&call)) {
                confined += 1;
                // It needs no more than it has.
                let refused =
                    calls.lines().skip_while(|call| !filtered(call)).find(|call| call.contains("EPERM"));
                assert_eq!(refused, None, "{name}");
            }
            if calls.starts_with("execve(") {
                first = calls;
            }
        }
        // One reads the metadata, and one the data.
        assert!(confined >= 2, "{name}: {confined} threads gave up their rights");
        for early in ["RLIMIT_CORE, {rlim_cur=0, rlim_max=0}", "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE"] {
            let at = first.find(early).unwrap_or_else(|| panic!("{name}: no {early}"));
            assert!(at < first.find("proc/cmdline").unwrap(), "{name}: {early} is late");
        }
    }
}
