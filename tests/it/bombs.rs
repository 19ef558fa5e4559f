// SPDX-License-Identifier: Apache-2.0
//! Small data that would become much: each ends by one error that says what it was, with the exit code of bad data and a
//! status that is true, within the memory and the time that a run has. Nothing here is larger than it takes to cross a
//! bound of footplate's own.

use crate::common::scratch;

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use scratch::{FOOTPLATE, Scratch, seed};

/// Memory that a run may have in use. A program that is not optimised is larger by itself.
const MEMORY: i64 = if cfg!(debug_assertions) { 80 << 20 } else { 64 << 20 };

/// CPU time that a run may take.
const CPU: Duration = Duration::from_secs(10);

fn packed(bytes: usize) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![b'a'; bytes]).unwrap();
    STANDARD.encode(encoder.finish().unwrap())
}

fn times(n: usize, text: impl Fn(usize) -> String) -> String {
    (0..n).map(text).collect()
}

fn user(duration: libc::timeval) -> Duration {
    Duration::new(duration.tv_sec as u64, duration.tv_usec as u32 * 1000)
}

/// Runs the program: how it ended, what it said, and what memory and CPU time it took.
#[allow(clippy::zombie_processes, reason = "wait4 waits for it, and tells what it used")]
fn measured(name: &str, arguments: &[&str]) -> (Option<i32>, String, i64, Duration) {
    let log = scratch::fresh(&format!("bombs-{name}.log")).join("stderr");
    let stderr = std::fs::File::create(&log).unwrap();
    let child = Command::new(FOOTPLATE)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stderr.try_clone().unwrap())
        .stderr(stderr)
        .spawn()
        .unwrap();
    // SAFETY: a rusage is numbers only, for which all bits zero is a value.
    let (mut status, mut usage): (libc::c_int, libc::rusage) = (0, unsafe { std::mem::zeroed() });
    let id = child.id() as libc::pid_t;
    // What wait4 tells of memory may be that of the process that started it (getrusage(2)).
    let mut memory = 0;
    // SAFETY: both places are this function's, and the child is its own.
    while unsafe { libc::wait4(id, &raw mut status, libc::WNOHANG, &raw mut usage) } == 0 {
        let now = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let most = now.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        memory = most.and_then(|kib| kib.parse::<i64>().ok()).map_or(memory, |kib| memory.max(kib * 1024));
        std::thread::sleep(Duration::from_micros(500));
    }
    let said = std::fs::read_to_string(log).unwrap();
    let cpu = user(usage.ru_utime) + user(usage.ru_stime);
    (ExitStatus::from_raw(status).code(), said, memory, cpu)
}

#[test]
fn small_data_that_becomes_much_ends_by_one_error() {
    let file = |i: usize, more: &str| format!("- {{path: /opt/f{i}, {more}}}\n");
    let cloud = |text: &str| format!("#cloud-config\n{text}");
    let template = |text: &str| format!("## template: jinja\n#cloud-config\n# {text}\n");
    let gzipped = format!("encoding: gz+b64, content: {}", packed(11 << 20));
    let anchored = format!("a: &a \"{}\"\n", "x".repeat(90_000));
    let cases: &[(&str, String, &str)] = &[
        (
            "gzip",
            cloud(&format!("write_files:\n{}", times(3, |i| file(i, &gzipped)))),
            "write_files[2].content: all files together unpack to more than 32 MiB",
        ),
        (
            "gzip-alias",
            cloud(&format!(
                "z: &z {}\nwrite_files:\n{}",
                packed(11 << 20),
                times(3, |i| file(i, "encoding: gz+b64, content: *z"))
            )),
            "all files together unpack to more than 32 MiB",
        ),
        (
            "alias-text",
            cloud(&format!("{anchored}write_files:\n{}", times(50, |i| file(i, "content: *a")))),
            "more than 4 MiB of text stand behind anchors and aliases (line",
        ),
        (
            "alias-keys",
            cloud(&format!("{anchored}b:\n{}", times(50, |_| "- {*a : 1}\n".to_owned()))),
            "more than 4 MiB of text stand behind anchors and aliases (line",
        ),
        (
            "parts",
            format!(
                "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
                times(3, |i| format!(
                    "--b\nContent-Type: text/cloud-config\n\n#cloud-config\nx{i}: [{}1]\n",
                    "1,".repeat(190_000)
                ))
            ),
            "it takes more than 58 MiB of memory to read this data",
        ),
        (
            "unknown",
            cloud(&times(300, |i| format!("strange{i}: 1\n"))),
            "more than 200 keys are not known (line 202",
        ),
        (
            "users",
            cloud(&format!("users:\n{}", times(1001, |i| format!("- name: u{i}\n")))),
            "users: more than 1000 users, groups and members",
        ),
        (
            "groups",
            cloud(&format!("groups:\n{}", times(400, |i| format!("- g{i}: [root, daemon]\n")))),
            "groups: more than 1000 users, groups and members",
        ),
        (
            "words",
            template(&format!("{{{{ 1{} }}}}", " + 1".repeat(600))),
            "an expression has more than 1000 words and signs in one another (line 3",
        ),
        (
            "doubled",
            template(
                "{% set n = namespace(x=[1]) %}{% for i in range(40) %}{% set n.x = n.x + n.x %}{% endfor %}",
            ),
            "jinja: a variable that holds more than 100000 values",
        ),
        (
            "width",
            template("{{ '%100000d' | format(1) }}"),
            "jinja: a width or precision of a format is more than 9999",
        ),
    ];
    for (name, data, says) in cases {
        let (seed, root) = (seed(&format!("bombs-{name}"), data), Scratch::new(&format!("bombs-{name}")));
        let ran = ["provision", "--seed", seed.to_str().unwrap(), "--root", root.arg()];
        let (code, said, memory, cpu) = measured(name, &ran);
        assert_eq!(code, Some(65), "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
        let errors = said.lines().filter(|line| line.contains("decode: ")).count();
        assert_eq!(errors, 1, "{name}: {said}");
        assert!(memory <= MEMORY, "{name}: {} MiB", memory >> 20);
        assert!(cpu <= CPU, "{name}: {cpu:?}");
        let status: serde_json::Value =
            serde_json::from_str(&root.text("/run/footplate/status.json")).unwrap();
        assert_eq!(status["state"], "failed", "{name}");
        assert!(status["error"].as_str().unwrap().contains(says.split(" (line").next().unwrap()), "{name}");
        assert!(!root.path("/run/footplate/bootstrap").exists(), "{name}");
    }
}

#[test]
fn many_problems_and_long_names_are_told_in_few_words() {
    let long = "x".repeat(300_000);
    let config = |rest: &str| format!(r#"{{"ignition":{{"version":"3.3.0"}},{rest}}}"#);
    let name = r#"{"ignition":{"version":"3.3.0"}}"#;
    let merged = times(1000, |_| format!(r#"{{"source":"data:;base64,{}"}},"#, STANDARD.encode(name)));
    let cases = [
        ("key", format!("#cloud-config\n? {long}\n: 1\n"), 0),
        ("keys", config(times(20_000, |i| format!(r#""strange{i}":1,"#)).trim_end_matches(',')), 0),
        ("doubled", format!("#cloud-config\n? {long}\n: 1\n? {long}\n: 1\n"), 65),
        ("name", format!("## template: jinja\n#cloud-config\n# {{{{ {long} }}}}\n"), 65),
        ("include", format!("#include\n/{long}\n"), 65),
        (
            "paths",
            config(&format!(
                r#""storage":{{"files":[{}]}}"#,
                times(5000, |_| r#"{"path":"/opt/a"},"#.to_owned()).trim_end_matches(',')
            )),
            65,
        ),
        (
            "configs",
            format!(
                r#"{{"ignition":{{"version":"3.3.0","config":{{"merge":[{}]}}}}}}"#,
                merged.trim_end_matches(',')
            ),
            65,
        ),
    ];
    for (name, data, code) in cases {
        let (seed, root) = (seed(&format!("long-{name}"), data), Scratch::new(&format!("long-{name}")));
        let ran = ["provision", "--seed", seed.to_str().unwrap(), "--root", root.arg()];
        let (ended, said, _, cpu) = measured(&format!("long-{name}"), &ran);
        assert_eq!(ended, Some(code), "{name}: {:.2000}", said);
        assert!(said.len() < 64 << 10, "{name}: {} bytes are said", said.len());
        assert!(cpu <= CPU / 4, "{name}: {cpu:?}");
        // It is read again, by `status` and by the end of the bootstrap.
        scratch::footplate(&["status", "--root", root.arg()]).ended(if code == 0 { 0 } else { 1 }, &[]);
    }
}

#[test]
fn twice_the_data_takes_twice_the_time() {
    let join = times(20_000, |i| format!("a{i}: ${{COREOS_NOPE_{i}}} {{{{ ds.x ${{COREOS_A\n"));
    let root = Scratch::new("bombs-prepare");
    root.put("/etc/kubeadm.yml", &join);
    let (code, said, memory, cpu) =
        measured("prepare", &["kubeadm-prepare", "/etc/kubeadm.yml", "--root", root.arg()]);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.len() < 20_000 && memory <= MEMORY && cpu < CPU / 2, "{} {memory} {cpu:?}", said.len());
    let files = |n: usize| {
        let files: Vec<String> =
            (0..n).map(|i| format!(r#"{{"path":"/opt/{i}","contents":{{"source":"data:,x"}}}}"#)).collect();
        format!(r#"{{"ignition":{{"version":"3.3.0"}},"storage":{{"files":[{}]}}}}"#, files.join(","))
    };
    // Each with a program that Flatcar does not have, told at its line.
    let units = |n: usize| {
        let unit = |i| {
            format!(
                "  - name: u{i}.service\n    content: |\n      [Service]\n      ExecStart=/usr/sbin/ufw x\n"
            )
        };
        format!("#cloud-config\nruncmd: [id]\ncoreos:\n  units:\n{}", times(n, unit))
    };
    let took = |data: String| {
        let seed = seed("bombs-linear", data);
        let file = seed.join("user-data");
        let (code, said, _, cpu) = measured("linear", &["check", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{}", said.lines().last().unwrap_or_default());
        cpu
    };
    let (one, four) = (took(files(1500)), took(files(6000)));
    assert!(four < one * 10, "{one:?} for 1500 files and {four:?} for 6000");
    let (one, four) = (took(units(400)), took(units(1600)));
    assert!(four < one * 10, "{one:?} for 400 units and {four:?} for 1600");
    let names = |n: usize| {
        let asked = times(n, |_| "# {{ region or 1 }}\n".to_owned());
        format!("## template: jinja\n#cloud-config\nruncmd: [id]\n{asked}")
    };
    let (one, four) = (took(names(500)), took(names(2000)));
    assert!(four < one * 10, "{one:?} for 500 names and {four:?} for 2000");
    let commands = |n: usize| {
        let head = "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfigTemplate\nmetadata: {name: a}\n";
        let commands = times(n, |i| format!("      - ufw allow {i}\n"));
        format!("{head}spec:\n  template:\n    spec:\n      preKubeadmCommands:\n{commands}")
    };
    let (one, four) = (took(commands(1500)), took(commands(6000)));
    assert!(four < one * 7, "{one:?} for 1500 commands of an object and {four:?} for 6000");
    let context = |n: usize| {
        let machine = Scratch::new("bombs-context");
        machine.put("labels", "CONTEXT\tiso9660\t/dev/sr0\n");
        machine.put("drive/CONTEXT/context.sh", format!("VMID='1'\n{}", times(n, |i| format!("V{i}='x'\n"))));
        let arguments = ["plan", "--platform", "opennebula", "--replay", machine.arg(), "--root", root.arg()];
        let (code, said, _, cpu) = measured("context", &arguments);
        assert_eq!(code, Some(2), "{said}");
        cpu
    };
    let (one, four) = (context(5000), context(20_000));
    assert!(four < one * 8, "{one:?} for 5000 assignments and {four:?} for 20000");
}

/// The CPU time of a provision.
fn provisioned(name: &str, data: String) -> Duration {
    let (seed, root) = (seed(&format!("bombs-{name}"), data), Scratch::new(&format!("bombs-{name}")));
    let ran = ["provision", "--seed", seed.to_str().unwrap(), "--root", root.arg()];
    let (code, said, _, cpu) = measured(name, &ran);
    assert_eq!(code, Some(0), "{name}: {}", said.lines().last().unwrap_or_default());
    cpu
}

/// Twice the levels are four times the data, since each path is as long as it is deep.
#[test]
fn a_path_is_gone_down_once_however_deep_it_is() {
    let path = |level: usize| format!("/opt/{}f", "a/".repeat(level));
    let cloud = |n: usize| {
        let files = times(n, |i| format!("- {{path: {}, content: x}}\n", path(i)));
        format!("#cloud-config\nwrite_files:\n{files}")
    };
    let ignition = |n: usize| {
        let links: Vec<String> =
            (0..n).map(|i| format!(r#"{{"path":"{}","target":"/opt"}}"#, path(i))).collect();
        format!(r#"{{"ignition":{{"version":"3.3.0"}},"storage":{{"links":[{}]}}}}"#, links.join(","))
    };
    let kinds: [(&str, &dyn Fn(usize) -> String); 2] = [("deep", &cloud), ("deep-links", &ignition)];
    for (name, data) in kinds {
        let (one, four) = (provisioned(name, data(750)), provisioned(name, data(1500)));
        assert!(four < one * 5, "{name}: {one:?} for 750 levels and {four:?} for 1500");
    }
}

#[test]
fn links_of_units_are_looked_for_once() {
    let units = |n: usize| {
        let text = r"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        let unit = |i| format!(r#"{{"name":"u{i}.service","enabled":false,"contents":"{text}"}}"#);
        let units: Vec<String> = (0..n).map(unit).collect();
        format!(r#"{{"ignition":{{"version":"3.3.0"}},"systemd":{{"units":[{}]}}}}"#, units.join(","))
    };
    let (one, four) = (provisioned("units", units(500)), provisioned("units", units(2000)));
    assert!(four < one * 7, "{one:?} for 500 units and {four:?} for 2000");
}

/// The CPU time of a check.
fn checked(name: &str, data: String, ends: i32, says: &str) -> Duration {
    let file = seed(&format!("bombs-{name}"), data).join("user-data");
    let (code, said, _, cpu) = measured(name, &["check", file.to_str().unwrap()]);
    assert_eq!(code, Some(ends), "{name}: {:.2000}", said);
    assert!(said.contains(says), "{name}: {:.2000}", said);
    cpu
}

#[test]
fn many_of_a_kind_take_no_more_time_each_than_a_few() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9f5b2vTq4Q0m2c1o1m0k6m0n4Q9H6o8QKq7b9b";
    let keys = |n: usize| {
        let keys = times(n, |i| format!("  - {key}{i:04} a\n"));
        provisioned("keys", format!("#cloud-config\nusers:\n- name: u\n  ssh_authorized_keys:\n{keys}"))
    };
    let pods = |n: usize| {
        let pods = times(n, |i| format!("    ---\n    a: {i}\n"));
        let file = "#cloud-config\nwrite_files:\n- path: /etc/kubernetes/manifests/a.yaml\n  content: |\n";
        checked("pods", format!("{file}{pods}"), 65, "the kubelet reads this as a static pod")
    };
    let joins = |n: usize| {
        let joins = times(n, |i| format!("kubeadm join --config /run/{i}.yaml\n"));
        checked("joins", format!("#!/bin/bash\n{joins}"), 65, "names a file that nothing writes")
    };
    let names = |n: usize| {
        let names = times(n, |i| format!("# {{{{ ds.meta_data.a{i} }}}}\n"));
        let says = "jinja: more than 100 names that not every platform has";
        checked("names", format!("## template: jinja\n#cloud-config\n{names}"), 65, says)
    };
    let clashes = |n: usize| {
        let entry = |i: usize, more: &str| format!(r#"{{"path":"/opt/{i}{more}}}"#);
        let links: Vec<String> = (0..n).map(|i| entry(i, r#"","target":"/srv/a""#)).collect();
        let files: Vec<String> = (0..n).map(|i| entry(i, r#"/x","contents":{"source":"data:,x"}"#)).collect();
        let storage = format!(r#"{{"links":[{}],"files":[{}]}}"#, links.join(","), files.join(","));
        let data = format!(r#"{{"ignition":{{"version":"3.4.0"}},"storage":{storage}}}"#);
        checked("clashes", data, 65, "the path goes through the link")
    };
    let units = |n: usize| {
        let units = times(n, |i| format!("  - {{name: u{i}.service, content: '[Servic]'}}\n"));
        checked(
            "units",
            format!("#cloud-config\ncoreos:\n  units:\n{units}"),
            65,
            "does not know this section",
        )
    };
    let shells = |n: usize| checked("shells", format!("#!/bin/bash\n{}", "sh -o ".repeat(n)), 0, "good");
    // None of these is handed to a shell, which may take long itself.
    let commands = |text: &'static str| {
        let file =
            "#cloud-config\nruncmd: [id]\nwrite_files:\n- path: /a\n  content: |\n    #!/bin/zsh\n    ";
        move |n: usize| checked("commands", format!("{file}{}\n", text.repeat(n)), 0, "good")
    };
    for text in
        ["eval ", "flock -c ", "su -c ", "\"`", "\"$(", "(: \"$(a\") ", "eval \"eval ", "sh -c '\"$(\"' "]
    {
        grows(text, 10_000, commands(text));
    }
    grows("clashes", 250, clashes);
    grows("shells", 10_000, shells);
    grows("units", 2500, units);
    grows("keys", 2000, keys);
    grows("pods", 750, pods);
    grows("joins", 500, joins);
    grows("names", 250, names);
}

/// Four times as many take less than eight times as long.
fn grows(name: &str, n: usize, took: impl Fn(usize) -> Duration) {
    let (one, four) = (took(n), took(4 * n));
    assert!(four < one * 8, "{name}: {one:?} for {n} and {four:?} for four times as many");
}
