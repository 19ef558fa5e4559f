// SPDX-License-Identifier: Apache-2.0
//! A node whose footplate is killed, whose power goes, or on which two run at once.

use std::fs;

use super::{JOIN, SUCCESS};
use crate::common::node::{CHECK, Node};
use crate::cut::every;

/// footplate itself is ended by a signal, as by a crash: the unit says so, and no core dump is left.
#[test]
fn a_run_that_a_signal_ends_is_not_running_for_ever() {
    needs!(root("containers"));
    let node = Node::new("aborted", JOIN, SUCCESS);
    // Its fetch waits for an address that never comes.
    let network = "network:\n  version: 2\n  ethernets:\n    never0:\n      addresses: [192.0.2.9/24]\n";
    node.root.put("/seed/network-config", network);
    node.program(
        "/opt/test/abort",
        "#!/bin/bash\nfor i in {1..200}; do pid=$(systemctl show -P MainPID footplate.service)\n\
         [ \"$pid\" != 0 ] && grep -q detect /run/footplate/status.json 2> /dev/null && break; sleep 0.1; done\n\
         grep 'core file' /proc/$pid/limits > /var/lib/limits; kill -ABRT $pid\n",
    );
    let abort = "[Service]\nExecStart=/opt/test/abort\n[Install]\nWantedBy=sysinit.target\n[Unit]\nDefaultDependencies=no\n";
    node.root.put("/etc/systemd/system/abort.service", abort);
    node.systemctl(&["enable", "abort.service"]);
    node.boot();
    let status = node.stands(1, "failed").to_string();
    assert!(status.contains("footplate was ended before it had a result"), "{status}");
    assert!(status.contains("aborted/signal"), "{status}");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 0);
    let limits = node.root.text("/var/lib/limits");
    assert_eq!(limits.split_whitespace().filter(|word| *word == "0").count(), 2, "{limits}");
}

/// kubeadm.service wants footplate.service, so a run by hand starts another one: they take turns, and there is one bootstrap.
#[test]
fn a_run_by_hand_and_the_service_that_it_starts_take_turns() {
    needs!(root("containers"));
    let node = Node::new("by-hand", JOIN, &format!("{SUCCESS}sleep 0.3\n"));
    node.systemctl(&["disable", "footplate.service"]);
    let more = "#!/bin/bash
        for i in {1..100}; do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.1; done
        /opt/bin/footplate provision --seed /seed 2>&1; echo \"by hand: $?\"
        systemctl is-active footplate.service";
    node.program("/opt/test/more", more);
    node.program("/opt/test/check", &CHECK.replace("--wait --timeout 30 ", ""));
    node.boot();
    let said = node.out("more");
    assert!(said.contains("by hand: 0\nactive\n"), "{said}");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
    assert_eq!(node.out("failed"), "");
}

/// Killed at a dozen moments of its work and run again: one bootstrap, and a node as if nothing had been.
#[test]
fn killed_at_any_time_it_converges() {
    needs!(root("containers"));
    let node = Node::new("killed", JOIN, &format!("{SUCCESS}sleep 0.3\n"));
    node.systemctl(&["disable", "footplate.service"]);
    let more = "#!/bin/bash
        for delay in 0 0.004 0.008 0.012 0.016 0.02 0.03 0.04 0.06 0.08 0.1 0.15 0.2 0.3; do
            /opt/bin/footplate provision --seed /seed > /dev/null 2>&1 & sleep $delay; kill -KILL $!; wait $!
        done
        for i in 1 2; do /opt/bin/footplate provision --seed /seed 2>&1; echo \"run $i: $?\"; done
        /opt/bin/footplate status --wait --timeout 30 --format json > /out/status.json; echo $? > /out/status";
    node.program("/opt/test/more", more);
    // There is nothing to wait for before.
    node.program("/opt/test/check", &CHECK.replace("--wait --timeout 30 ", ""));
    node.boot();
    let said = node.out("more");
    assert!(
        said.contains("run 1: 0\n")
            && said.contains("run 2: 0\n")
            && said.contains("was bootstrapped before"),
        "{said}"
    );
    node.stands(0, "done");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
    node.is_clean();
    for file in ["passwd", "group", "shadow"] {
        let text = node.root.text(&format!("/etc/{file}"));
        assert_eq!(text.lines().filter(|l| l.starts_with("capv:")).count(), 1, "{file}: {text}");
        assert!(text.lines().all(|l| l.contains(':')), "{file}: {text}");
    }
}

/// footplate as each of its units and the script call it, killed at one moment of the first boot; the second boot is left alone.
#[test]
fn kubeadm_starts_once_wherever_footplate_is_killed() {
    needs!(root("containers"));
    let stamp = "/var/lib/footplate/instances";
    // The command, what is there when it is killed, and whether kubeadm begins in the first boot.
    let points = [
        ("provision", "/run/footplate/bootstrap", false),
        ("network", "/", true),
        ("provision", "/run/footplate/status.json", false),
        ("provision", "/var/lib/kubeadm-runs", true),
        ("provision", "/etc/kubernetes/kubelet.conf", true),
        ("preflight", "/run/footplate/bootstrap", true),
        ("report", "/run/cluster-api/bootstrap-success.complete", true),
        ("report", "/", true),
        ("report", stamp, true),
    ];
    for (n, (command, there, begins)) in points.into_iter().enumerate().step_by(every(3)) {
        let node = Node::new(&format!("kill-{n}"), JOIN, &format!("{SUCCESS}sleep 0.5\n"));
        fs::rename(node.root.path("/opt/bin/footplate"), node.root.path("/opt/footplate-itself")).unwrap();
        // The process is the same one after `exec`: systemd's, or the script's.
        let kill = format!(
            "#!/bin/bash\nif [[ $1 == {command} && ! -e /var/lib/killed && ! $* =~ --provision ]]; then\n  \
             (for i in {{1..2000}}; do [ -e {there} ] && break; sleep 0.002; done\n   \
             kill -STOP $$ && echo $$ >> /var/lib/killed; kill -KILL $$) > /dev/null 2>&1 &\nfi\n\
             exec -a /opt/bin/footplate /opt/footplate-itself \"$@\"\n"
        );
        node.program("/opt/bin/footplate", &kill);
        node.boot();
        let what = format!("{command} killed at {there}");
        assert_eq!(node.lines("/var/lib/killed"), 1, "{what}: was not killed:\n{}", node.out("journal"));
        let first = node.lines("/var/lib/kubeadm-runs");
        println!("{what}: kubeadm started {first} times in the first boot");
        assert_eq!(first, usize::from(begins), "{what}:\n{}", node.out("journal"));
        node.boot();
        node.stands(0, "done");
        assert!(node.has_sentinel(), "{what}");
        assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1, "{what}:\n{}", node.out("journal"));
        node.is_clean();
    }
}

#[test]
fn a_power_cut_before_kubeadms_end_is_made_up_for() {
    needs!(root("containers"));
    let node = Node::new(
        "cut-before",
        JOIN,
        &format!(
            "#!/bin/sh\n[ -e /var/lib/kubeadm-runs ] || {{ echo first > /var/lib/kubeadm-runs; sleep 60; }}\n{SUCCESS}"
        ),
    );
    node.cut_off_at("/var/lib/kubeadm-runs");
    node.boot();
    node.stands(0, "done");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 2, "it ran again, for it had not come to its end");
    node.is_clean();
}

/// kubeadm has joined, and nobody could write that down any more.
#[test]
fn a_power_cut_after_kubeadms_success_does_not_join_twice() {
    needs!(root("containers"));
    let node = Node::new("cut-after", JOIN, &format!("{SUCCESS}sleep 60\n"));
    node.cut_off_at("/etc/kubernetes/kubelet.conf");
    node.boot();
    node.stands(0, "done");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
}
