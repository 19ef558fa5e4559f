// SPDX-License-Identifier: Apache-2.0
//! How long a worker takes from the network to kubeadm.

use std::fs;

use super::JOIN;
use crate::common::node::Node;
use crate::common::scratch::FOOTPLATE;

/// Moments of a boot in microseconds, in their order, but for that of kubeadm, which tells its own.
const MOMENTS: &str = r#"#!/bin/bash
moment() { date -d "$(systemctl show --timestamp=us+utc --value -p "$2Timestamp" "$1")" +%s%6N; }
moment network-online.target ActiveEnter
moment footplate.service ExecMainStart
moment footplate.service ActiveEnter
moment kubeadm.service ExecMainStart
cat /run/kubeadm.began
"#;

/// The least that systemd can be given in footplate's place: a shell that starts the bootstrap's unit, which calls kubeadm.
const LEAST: &str = r#"#!/bin/sh
case $1 in
provision) systemctl start --no-block kubeadm.service; systemd-notify --ready; exec sleep 600 ;;
status) until [ -s /run/kubeadm.began ]; do sleep 0.1; done ;;
esac
"#;

/// How long a worker takes from network-online to kubeadm, in five parts of microseconds, and in what they are spent. The rest of the boot
/// has been at rest for a while before the network comes, as where an address is leased. Nothing is asked over the network here.
fn way_to_kubeadm(name: &str, footplate: &[u8], unit: Option<&str>) -> ([i64; 4], Node) {
    let node = Node::new(
        name,
        "",
        "#!/bin/sh\ndate +%s%6N > /run/kubeadm.began\n: > /etc/kubernetes/kubelet.conf\n",
    );
    let data = format!(
        "## template: jinja\n#cloud-config\nwrite_files:\n  - path: /run/kubeadm/join.yaml\n    content: 'name: {{{{ local_hostname }}}}'\n\
         runcmd:\n{JOIN}users:\n  - name: capv\n    sudo: ALL=(ALL) NOPASSWD:ALL\n"
    );
    let network = "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\nExecStart=/bin/sleep 2\n";
    // What a runtime takes to start is its own. This one is up at once.
    let runtime = "[Service]\nType=exec\nExecStartPre=\nExecStart=\nExecStart=/bin/sleep 600\n";
    node.root
        .put("/seed/user-data", data)
        .put("/etc/kubernetes/.keep", "")
        .put("/etc/systemd/system/lease.service", network)
        .put("/etc/systemd/system/containerd.service.d/runtime.conf", runtime)
        .put_program("/opt/bin/footplate", footplate);
    node.systemctl(&["add-wants", "network-online.target", "lease.service"]);
    let later = "[Service]\nExecStartPre=/bin/sleep 2\n";
    node.root.put("/etc/systemd/system/check.service.d/later.conf", later);
    if let Some(unit) = unit {
        node.root.put("/etc/systemd/system/kubeadm.service", unit);
        fs::remove_dir_all(node.root.path("/etc/systemd/system/kubeadm.service.d")).unwrap();
    }
    node.program("/opt/test/more", MOMENTS);
    node.boot();
    let more = node.out("more");
    let mut moments: Vec<i64> = more.lines().map(|line| line.parse().expect(&more)).collect();
    // systemd notes the time after it has started the process, which may have begun by then.
    if let [.., noted, began] = &mut *moments {
        *noted = *began.min(noted);
    }
    assert!(moments.len() == 5 && moments.is_sorted(), "{more}{}", node.out("journal"));
    (std::array::from_fn(|at| moments[at + 1] - moments[at]), node)
}

/// Of three boots each in turn, the median of what footplate adds to a shell that does nothing but start kubeadm is printed, with
/// where all of it goes. It is asserted of the released program that `FOOTPLATE_RELEASED` names: this one is not optimised.
#[test]
fn the_way_from_the_network_to_kubeadm_is_short() {
    needs!(root("containers"));
    const OWN: i64 = 40_000;
    let released = std::env::var_os("FOOTPLATE_RELEASED");
    let program = fs::read(released.as_deref().unwrap_or(FOOTPLATE.as_ref())).unwrap();
    let unit = "[Unit]\nWants=containerd.service\nAfter=footplate.service containerd.service\n\
                [Service]\nType=oneshot\nExecStart=/opt/bin/kubeadm join\n";
    let (mut own, mut least) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let (parts, node) = way_to_kubeadm(&format!("own-time-{round}"), &program, None);
        let status = node.stands(0, "done");
        let journal = node.out("journal");
        // What is made is new to systemd, which reads it when it is asked for it: all units again would take longer than all else.
        assert!(!journal.contains("Reloading."), "{journal}");
        let stages = status["stages"].as_array().unwrap().iter();
        println!(
            "{}",
            stages.map(|s| format!("{} {} ms", s["name"], s["ms"])).collect::<Vec<_>>().join(", ")
        );
        own.push(parts);
        least.push(way_to_kubeadm(&format!("own-time-shell-{round}"), LEAST.as_bytes(), Some(unit)).0);
    }
    let median = |of: &[[i64; 4]], part: &dyn Fn(&[i64; 4]) -> i64| {
        let mut all: Vec<i64> = of.iter().map(part).collect();
        all.sort();
        all[all.len() / 2]
    };
    println!("{:>12} {:>12}  ms, median of {}", "footplate", "a shell", own.len());
    let parts = [
        "systemd starts footplate.service",
        "footplate provisions, until it has kubeadm.service started",
        "systemd starts containerd.service and kubeadm.service, with kubeadm-prepare",
        "the bootstrap's script looks at the machine and starts kubeadm",
    ];
    for (at, what) in parts.into_iter().enumerate() {
        let ms = [&own, &least].map(|of| median(of, &|parts| parts[at]) as f64 / 1e3);
        println!("{:>12.1} {:>12.1}  {what}", ms[0], ms[1]);
    }
    let [all, without] = [&own, &least].map(|of| median(of, &|parts| parts.iter().sum()));
    println!("{:>12.1} {:>12.1}  together", all as f64 / 1e3, without as f64 / 1e3);
    assert!(released.is_none() || all - without <= OWN, "it adds {} microseconds", all - without);
}
