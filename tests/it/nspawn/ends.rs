// SPDX-License-Identifier: Apache-2.0
//! How a bootstrap ends, and what decides it: kubeadm's own exit status, whatever calls it and whatever comes after it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::{JOIN, SUCCESS};
use crate::common::debian::unpacked;
use crate::common::node::Node;
use crate::common::scratch::{CANARY, Ran};
use footplate::facade::pipeline::settle::Ended;

#[test]
fn a_bootstrap_that_succeeds_runs_once() {
    needs!(root("containers"));
    let phases = "echo '[preflight] Running pre-flight checks'; sleep 0.3; echo '[kubelet-start] Starting the kubelet'\n";
    let node = Node::new("success", JOIN, &format!("{SUCCESS}{phases}"));
    node.boot();
    let status = node.stands(0, "done");
    let parts = &status["stages"].as_array().unwrap().last().unwrap()["parts"];
    assert_eq!(
        [&parts[0]["name"], &parts[1]["name"], &parts[2]["name"]],
        ["runcmd", "preflight", "kubelet-start"],
        "{status}"
    );
    // The journal has the time at which it got a line.
    assert!((250..20_000).contains(&parts[1]["ms"].as_u64().unwrap()), "{status}");
    assert_eq!(status["kubeadm_exit_status"], 0);
    let stages: Vec<&str> =
        status["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["detect", "fetch", "decode", "apply", "start", "kubeadm"]);
    assert_eq!(
        (node.out("failed").as_str(), node.out("active").as_str(), node.out("hostname").as_str()),
        ("", "active\n", "node-1\n"),
        "{}",
        node.out("journal")
    );
    assert!(node.has_sentinel());
    node.is_clean();
    // The instance's id arrives as it is written, and /opt/bin comes first.
    let ran = node.root.text("/var/lib/kubeadm-runs");
    assert!(ran.starts_with("node 1, 100% \"quoted\" $HOME|/opt/bin:") && ran.lines().count() == 1, "{ran}");
    assert_eq!(node.root.text("/var/lib/bootcmd-runs"), "node 1, 100% \"quoted\" $HOME\n");
    let journal = node.out("journal");
    let at = |text: &str| journal.find(text).unwrap_or_else(|| panic!("{text:?} is not in\n{journal}"));
    assert!(at("network: platform=nocloud") < at("detect: platform=nocloud"), "{journal}");
    assert!(at("Finished footplate-bootcmd.service") < at("file /run/kubeadm/join.yaml"), "{journal}");
    assert!(
        at("apply: changed=") < at("Starting kubeadm.service")
            && at("Starting kubeadm.service") < at("report: the bootstrap succeeded"),
        "{journal}"
    );
    assert!(!journal.contains("ordering cycle"), "{journal}");

    node.boot();
    node.stands(0, "done");
    assert!(node.has_sentinel(), "/run is new, and what looks for the sentinel looks again");
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/bootcmd-runs")), (1, 2));
    assert!(
        node.out("journal").contains("was bootstrapped before: nothing to do"),
        "{}",
        node.out("journal")
    );
    assert_eq!(node.out("failed"), "");
}

#[test]
fn a_bootstrap_that_fails_is_told_with_its_cause_and_not_tried_again() {
    needs!(root("containers"));
    // What kubeadm says and how it ends, and what is made of it.
    let cases = [
        (
            "refused",
            "error execution phase preflight: couldn't validate the identity of the API Server: Get \\\"https://192.0.2.1:6443\\\": dial tcp 192.0.2.1:6443: connect: connection refused",
            "the API server can't be reached: its port is closed",
        ),
        // A long line: journalctl leaves out what has more than 4096 bytes unless it is asked for all.
        (
            "expired",
            "error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID $(printf '%05000d' 0)",
            "the bootstrap token has expired or was removed",
        ),
    ];
    for (name, says, cause) in cases {
        let kubeadm = format!("#!/bin/sh\necho ran >> /var/lib/kubeadm-runs\necho \"{says}\" >&2\nexit 1\n");
        let node = Node::new(name, JOIN, &kubeadm);
        for boot in 1..=2 {
            node.boot();
            let status = node.stands(1, "failed").to_string();
            assert!(status.contains(cause), "boot {boot}: {status}");
            assert!(!node.has_sentinel());
            assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1, "boot {boot}");
            if boot == 1 {
                assert!(status.contains("kubeadm failed with exit status 1"), "{status}");
                assert_eq!(node.out("failed"), "kubeadm.service\n");
                node.is_clean();
            } else {
                assert!(
                    status.contains("the bootstrap of this instance failed on an earlier boot"),
                    "{status}"
                );
            }
        }
    }
}

/// A service, how it ends, what systemd says of that to its `ExecStopPost=`, and the beginning of footplate's sentence.
const ENDS: &[(&str, &str, &[&str], &str)] = &[
    ("well", "ExecStart=/bin/true", &["success|0"], "the bootstrap's commands ended well"),
    (
        "code",
        "ExecStart=/bin/sh -c 'exit 7'",
        &["exit-code|7"],
        "the bootstrap's commands ended with exit status 7",
    ),
    (
        "before",
        "ExecStartPre=/bin/false\nExecStart=/bin/true",
        &["exit-code|"],
        "a command before the bootstrap's script failed",
    ),
    ("killed", "ExecStart=/bin/sh -c 'kill -KILL $$$$'", &["signal|KILL"], "signal KILL ended"),
    // Whether a core is left is the kernel's setting.
    ("crashed", "ExecStart=/bin/sh -c 'kill -SEGV $$$$'", &["core-dump|SEGV", "signal|SEGV"], ""),
    (
        "slow",
        "TimeoutStartSec=1\nExecStart=/bin/sleep 60",
        &["timeout|TERM"],
        "the bootstrap did not end in the time",
    ),
    (
        "skipped",
        "ExecCondition=/bin/false\nExecStart=/bin/true",
        &["exec-condition|"],
        "kubeadm.service was skipped",
    ),
    (
        "silent",
        "Type=notify\nExecStart=/bin/true",
        &["protocol|0"],
        "the bootstrap did not start as the Type=",
    ),
    (
        "hangs",
        "Type=exec\nWatchdogSec=1\nExecStart=/bin/sleep 60",
        &["watchdog|ABRT"],
        "the bootstrap did not answer the watchdog",
    ),
];

#[test]
fn each_result_that_systemd_gives_has_its_sentence() {
    needs!(root("containers"));
    let node = Node::new("results", "  - echo hello\n", SUCCESS);
    let mut units = Vec::new();
    for (name, end, _, _) in ENDS {
        let unit = format!("result-{name}.service");
        let told = format!("ExecStopPost=/bin/sh -c 'echo \"$SERVICE_RESULT|$EXIT_STATUS\" > /out/{name}'");
        let service = if end.starts_with("Type=") { "" } else { "Type=oneshot\n" };
        node.root.put(
            &format!("/etc/systemd/system/{unit}"),
            format!("[Unit]\nDefaultDependencies=no\n[Service]\n{service}{end}\n{told}\n"),
        );
        node.systemctl(&["add-wants", "multi-user.target", &unit]);
        units.push(unit);
    }
    // A service that runs on, for its watchdog to miss it, has started long before it ends.
    let after = format!("[Unit]\nAfter={}\n[Service]\nExecStartPre=/bin/sleep 3\n", units.join(" "));
    node.root.put("/etc/systemd/system/check.service.d/after.conf", after);
    node.boot();
    for (name, _, ends, sentence) in ENDS {
        let told = node.out(name);
        assert!(ends.contains(&told.trim_end()), "{name}: systemd says {told:?}");
        let (result, status) = told.trim_end().split_once('|').unwrap();
        let ended = Ended { result: result.to_owned(), status: status.to_owned(), invocation: None };
        assert!(ended.sentence().0.starts_with(sentence), "{name}: {:?}", ended.sentence());
    }
}

/// A command of the data that failed is named, also where kubeadm succeeded after it, and each has its begin, end and exit status.
#[test]
fn each_command_is_told() {
    needs!(root("containers"));
    let runcmd = format!(
        "  - 'false'\n  - (exit 3)\n  - mkdir -p /var/lib/a\n  - cd $_ && touch here\n{JOIN}  - sleep 1\n"
    );
    let node = Node::new("commands", &runcmd, SUCCESS);
    node.has_bash_for_sh();
    node.root
        .put("/usr/lib/systemd/catalog/footplate.catalog", include_str!("../../../units/footplate.catalog"));
    let explain = "#!/bin/sh\nsystemctl start footplate-catalog.service\n\
        journalctl --no-pager --boot -x MESSAGE_ID=600ebcc726b64c17a8bf90f5e7bd7d24\n";
    node.program("/opt/test/more", explain);
    node.boot();
    let status = node.stands(0, "done");
    let told: Vec<String> = ["apply", "kubeadm"]
        .iter()
        .flat_map(|name| status["stages"].as_array().unwrap().iter().find(|s| s["name"] == *name))
        .flat_map(|stage| stage["parts"].as_array().into_iter().flatten())
        .map(|part| format!("{} {} {}", part["name"], part["state"], part["exit_status"]))
        .collect();
    let want = [
        r#""bootcmd[0]" "done" 0"#,
        r#""runcmd[0..1]" "failed" 3"#,
        r#""runcmd[2]" "done" 0"#,
        r#""runcmd[3]" "done" 0"#,
        r#""runcmd[4]" "done" 0"#,
        r#""runcmd[5]" "done" 0"#,
    ];
    assert_eq!(told, want, "{status:#}");
    let parts =
        &status["stages"].as_array().unwrap().iter().find(|s| s["name"] == "kubeadm").unwrap()["parts"];
    assert!(parts[4]["ms"].as_u64() >= Some(900), "{parts:#}");
    let warnings = status["warnings"].to_string();
    assert!(
        warnings.contains("runcmd[0..1]: ended with exit status 3, and the bootstrap went on"),
        "{warnings}"
    );
    assert!(node.root.path("/var/lib/a/here").exists(), "the shell's $_ is as it was");
    assert!(node.out("more").contains("kubeadm ended well. Later boots do not run it again."));
    node.is_clean();
}

/// The end of a bootstrap whose time ran out says which of kubeadm's phases it was in, or which command before kubeadm.
#[test]
fn a_time_out_names_the_phase() {
    needs!(root("containers"));
    let kubeadm = "#!/bin/sh\necho '[preflight] a'; seq 3000; echo '[kubelet-start] Starting the kubelet'; seq 3000; exec sleep 60\n";
    let failed = |name, commands: &str, kubeadm| {
        let node = Node::new(name, commands, kubeadm);
        let limit = "[Service]\nTimeoutStartSec=2s\n";
        node.root.put("/etc/systemd/system/kubeadm.service.d/90-limit.conf", limit);
        node.has_bash_for_sh();
        node.boot();
        node.stands(1, "failed")
    };
    let status = failed("time-out-before", &format!("  - 'true'\n  - sleep 60\n{JOIN}"), SUCCESS);
    assert!(status.to_string().contains("; it was in its command runcmd[1]"), "{status}");
    let status = failed("time-out", JOIN, kubeadm);
    assert!(status.to_string().contains("kubeadm was in its phase kubelet-start"), "{status}");
    let parts = &status["stages"].as_array().unwrap().last().unwrap()["parts"];
    assert_eq!([&parts[1]["state"], &parts[2]["state"]], ["done", "failed"], "{status}");
}

/// The script's own result is that of its last command, which Cluster API's users write: it hides neither kubeadm's failure
/// nor its success.
#[test]
fn the_last_command_does_not_decide() {
    needs!(root("containers"));
    let node = Node::new("hidden", &format!("{JOIN}  - echo after\n"), "#!/bin/sh\nexit 2\n");
    node.boot();
    assert!(node.stands(1, "failed").to_string().contains("kubeadm failed with exit status 2"));
    assert!(!node.has_sentinel());

    let node = Node::new("spoiled", &format!("{JOIN}  - exit 3\n"), SUCCESS);
    node.boot();
    let status = node.stands(0, "done");
    assert!(
        status["warnings"]
            .to_string()
            .contains("kubeadm succeeded, and after it: the bootstrap's commands ended with exit status 3"),
        "{status:#}"
    );
    assert!(node.has_sentinel());
}

/// A program of the data's calls kubeadm by its name too: its own `init` decides, and no phase after it.
#[test]
fn what_a_script_calls_decides() {
    needs!(root("containers"));
    let kubeadm = "#!/bin/sh\necho \"$*\" >> /var/lib/kubeadm-runs\ncase \"$*\" in *phase*) ;; *) exit $(cat /opt/test/exit) ;; esac\n";
    let script = "#!/bin/bash\nexport PATH=/opt/other:$PATH\nkubeadm init --config /x\nkubeadm init phase upload-certs\n";
    let file = format!(
        "#cloud-config\nwrite_files:\n- {{path: /opt/join, permissions: '0755', content: {script:?}}}\nruncmd: [/opt/join]\n"
    );
    for (name, data) in [("script-part", script.to_owned()), ("script-file", file)] {
        for (exit, code, state) in [("1", 1, "failed"), ("0", 0, "done")] {
            let node = Node::new(name, JOIN, kubeadm);
            node.root.put("/seed/user-data", &data).put("/opt/test/exit", exit);
            node.boot();
            let status = node.stands(code, state);
            assert_eq!(status["kubeadm_exit_status"].to_string(), exit, "{name}: {status:#}");
            assert_eq!(node.has_sentinel(), exit == "0", "{name}");
            let ran = node.root.text("/var/lib/kubeadm-runs");
            assert!(
                ran.ends_with("\ninit phase upload-certs\n") && ran.lines().count() == 2,
                "{name}: {ran}"
            );
        }
    }
}

/// Flatcar's shell keeps the exit status of a kubeadm that is called by its path too, wherever its output goes.
#[test]
fn a_kubeadm_that_is_called_by_its_path_decides() {
    needs!(root("containers"));
    let runcmd =
        "  - /opt/bin/kubeadm init --config /run/kubeadm/join.yaml > /var/log/kubeadm.log 2>&1 || true\n";
    for (name, exit, code, state) in [("by-path-good", "0", 0, "done"), ("by-path-bad", "3", 1, "failed")] {
        let node = Node::new(name, runcmd, &format!("#!/bin/sh\necho \"$*\"\nexit {exit}\n"));
        node.has_bash_for_sh();
        node.boot();
        let status = node.stands(code, state);
        assert_eq!(status["kubeadm_exit_status"].to_string(), exit, "{name}: {status:#}");
        assert_eq!(node.has_sentinel(), code == 0, "{name}");
        assert!(node.root.text("/var/log/kubeadm.log").contains("init --config"), "{name}");
    }
}

/// In another shell it leaves no exit status, as in Ignition data: what it prints, and what the script leaves, decide.
#[test]
fn a_kubeadm_without_an_exit_status_tells_of_its_success() {
    needs!(root("containers"));
    let joined = "This node has joined the cluster:";
    let control_plane = "This node has joined the cluster and a new control plane instance was created:";
    let first = "Your Kubernetes control-plane has initialized successfully!";
    for (name, call, says, code, state) in [
        ("path-join", "join", joined, 0, "done"),
        ("path-control-plane", "join", control_plane, 0, "done"),
        ("path-init", "init", first, 0, "done"),
        ("path-failed", "join", "error execution phase preflight: not this time", 1, "failed"),
    ] {
        let runcmd = format!("  - /opt/bin/kubeadm {call} --config /run/kubeadm/join.yaml || true\n");
        let node = Node::new(name, &runcmd, &format!("#!/bin/sh\necho '{says}'; seq 3000\n"));
        node.boot();
        let status = node.stands(code, state);
        assert_eq!(status["kubeadm_exit_status"], serde_json::Value::Null, "{name}: {status:#}");
        assert_eq!(node.has_sentinel(), code == 0, "{name}");
    }
}

/// sudo looks for programs where its own settings say. kubeadm is what it was, and so is its result.
#[test]
fn a_kubeadm_that_sudo_calls_decides() {
    needs!(root("containers"));
    let packages = unpacked(&["sudo"]).unwrap();
    let joined = "This node has joined the cluster:";
    let secure = "Defaults secure_path=\"/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin\"\n";
    for (name, settings, says, exit, code, recorded) in [
        ("sudo-good", secure, joined, 0, 0, None),
        ("sudo-bad", secure, "error execution phase preflight: not this time", 3, 1, None),
        // With the caller's own PATH it comes to the program that keeps the exit status.
        ("sudo-path-good", "", "", 0, 0, Some(0)),
        ("sudo-path-bad", "", joined, 3, 1, Some(3)),
    ] {
        let runcmd = "  - sudo kubeadm join --config /run/kubeadm/join.yaml\n  - echo after\n";
        let node = Node::new(name, runcmd, &format!("#!/bin/sh\necho '{says}'\nexit {exit}\n"));
        let copy = "tar -c . | tar -x --keep-directory-symlink -C \"$1\"";
        let copy = ["-ec", copy, "sh", node.root.arg()];
        Ran::of(Command::new("sh").args(copy).current_dir(&packages)).ended(0, &[]);
        node.root.put("/etc/sudoers", format!("{settings}root ALL=(ALL:ALL) ALL\n"));
        fs::set_permissions(node.root.path("/etc/sudoers"), fs::Permissions::from_mode(0o440)).unwrap();
        node.boot();
        let status = node.stands(code, if code == 0 { "done" } else { "failed" });
        assert_eq!(status["kubeadm_exit_status"].as_i64(), recorded, "{name}: {status:#}");
        assert_eq!(node.has_sentinel(), code == 0, "{name}: {}", node.out("journal"));
    }
}

/// A script that ends well before it comes to kubeadm bootstrapped nothing.
#[test]
fn a_bootstrap_that_never_came_to_kubeadm_is_a_failure() {
    needs!(root("containers"));
    let node = Node::new("never-came", &format!("  - exit 0\n{JOIN}"), SUCCESS);
    node.boot();
    let status = node.stands(1, "failed");
    let told = status["problems"][0]["what"].as_str().unwrap();
    assert!(
        told.contains("neither kubeadm's exit status nor its output nor the sentinel file says"),
        "{told}"
    );
    assert_eq!(status["kubeadm_exit_status"], serde_json::Value::Null, "{status:#}");
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.has_sentinel()), (0, false));
    assert!(node.out("cluster-api/bootstrap-error.log").contains("kubeadm failed ===="));
}

#[test]
fn without_kubeadm_the_image_is_to_blame() {
    needs!(root("containers"));
    // Called by the data's commands, and by a script that they call.
    for (name, commands) in [("missing", JOIN), ("missing-to-a-script", "  - /opt/test/join\n")] {
        let node = Node::new(name, commands, "");
        fs::remove_file(node.root.path("/opt/bin/kubeadm")).unwrap();
        node.program("/opt/test/join", "#!/bin/sh\nkubeadm join --config /run/kubeadm/join.yaml\n");
        let data = node.root.text("/seed/user-data");
        let script = "write_files:\n  - {path: /etc/of-kubeadm, content: \"#!/bin/sh\\nkubeadm join\\n\"}\n";
        node.root.put("/seed/user-data", data.replacen("write_files:\n", script, 1));
        node.boot();
        let status = node.stands(1, "failed").to_string();
        assert!(
            status.contains("there is no kubeadm on this machine")
                && status.contains("bake kubeadm into /opt/bin"),
            "{name}: {status}"
        );
    }
}

/// Data that can't be used: nothing is started, the unit has failed, and the machine is up all the same.
#[test]
fn bad_data_starts_nothing() {
    needs!(root("containers"));
    let node = Node::new("bad", &format!("  - kubeadm join --token {{{{ nope }}}} {CANARY}\n"), SUCCESS);
    node.boot();
    let status = node.stands(1, "failed").to_string();
    assert!(status.contains("jinja: `nope` has no value"), "{status}");
    assert_eq!(node.out("failed"), "footplate.service\n");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 0);
    assert!(!node.root.path("/etc/systemd/system/kubeadm.service").exists());
}
