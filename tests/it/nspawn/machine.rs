// SPDX-License-Identifier: Apache-2.0
//! What a boot makes of the rest of the machine: its name, boothooks, updates, an extension that comes late, the network, disks, containerd.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{JOIN, SUCCESS};
use crate::common::debian::unpacked;
use crate::common::node::{BASE, CHECK, Node};
use crate::common::scratch::{self, Ran, fresh};

/// A hook that nobody knows brings the data, as Cluster API's own on AWS does: systemd runs it, and only then is the file
/// looked for that it writes. What it writes has a hook of its own.
#[test]
fn a_boothook_runs_before_what_it_writes_is_included() {
    needs!(root("containers"));
    let node = Node::new("boothook", JOIN, SUCCESS);
    let config = node.root.text("/seed/user-data");
    let hidden = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\n{config}--i\n\n\
         #cloud-boothook\necho included >> /var/lib/hook-runs\n--i--\n"
    );
    let part = |kind: &str, text: &str| format!("--b\nContent-Type: {kind}\n\n{text}\n");
    let hook = "#cloud-boothook\n#!/bin/bash\nset -o errexit -o pipefail\necho \"$INSTANCE_ID\" >> /var/lib/hook-runs\n\
                [ -e /etc/secret-userdata.txt ] && exit 1\numask 077\ngunzip < /opt/test/hidden.gz > /etc/secret-userdata.txt\n\
                systemctl restart cloud-init\n";
    let parts = [
        part("text/cloud-boothook", hook),
        part("text/x-include-url", "file:///etc/secret-userdata.txt"),
        part("text/x-shellscript-per-boot", "#!/bin/bash\nls /etc/kubernetes >> /var/lib/boot-runs"),
    ];
    let data =
        format!("Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n{}--b--\n", parts.concat());
    node.root.put("/seed/user-data", data).put("/opt/test/hidden", hidden);
    Ran::of(Command::new("gzip").arg(node.root.path("/opt/test/hidden"))).ended(0, &[]);
    node.boot();
    let status = node.stands(0, "done");
    let stages: Vec<&str> =
        status["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["detect", "fetch", "apply", "decode", "apply", "start", "kubeadm"]);
    let id = "node 1, 100% \"quoted\" $HOME\n";
    assert_eq!(node.root.text("/var/lib/hook-runs"), format!("{id}included\n"), "{}", node.out("journal"));
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/bootcmd-runs")), (1, 1));
    // Before the bootstrap, of which it saw nothing.
    assert_eq!(node.root.text("/var/lib/boot-runs"), "");
    assert_eq!(node.out("failed"), "");

    node.boot();
    node.stands(0, "done");
    assert_eq!(node.root.text("/var/lib/hook-runs"), format!("{id}included\n{id}included\n"));
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/bootcmd-runs")), (1, 2));
    assert_eq!(node.root.text("/var/lib/boot-runs"), "kubelet.conf\n");
}

#[test]
fn a_boothook_that_brings_nothing_stops_the_node() {
    needs!(root("containers"));
    let node = Node::new("boothook-fails", JOIN, SUCCESS);
    let data = "#cloud-config-archive\n- \"#cloud-boothook\\naws secretsmanager get-secret-value\\n\"\n\
                - \"#include\\nfile:///etc/secret-userdata.txt\\n\"\n";
    node.root.put("/seed/user-data", data);
    node.boot();
    let status = node.stands(1, "failed").to_string();
    let why =
        "the file does not exist after the boothooks ran: see `journalctl -u footplate-boothooks.service`";
    assert!(status.contains(why), "{status}");
    assert_eq!(node.out("failed"), "footplate.service\n");
    assert!(node.out("journal").contains("aws: not found"), "{}", node.out("journal"));
}

/// An update may end in a reboot: Flatcar's own units for that begin when the bootstrap has ended. Here they only say when.
#[test]
fn updates_wait_for_the_bootstrap() {
    needs!(root("containers"));
    let kubeadm = "#!/bin/sh\nsleep 3\necho kubeadm >> /var/lib/order\n";
    let node = Node::new("updates", JOIN, kubeadm);
    for unit in ["update-engine", "locksmithd"] {
        let text = format!("[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo {unit} >> /var/lib/order'\n");
        node.root.put(&format!("/etc/systemd/system/{unit}.service"), text);
        node.systemctl(&["add-wants", "multi-user.target", &format!("{unit}.service")]);
    }
    node.program(
        "/opt/test/more",
        "#!/bin/bash\nfor _ in {1..100}; do [ \"$(wc -l < /var/lib/order)\" != 3 ] || break; sleep 0.2; done\n",
    );
    node.boot();
    node.stands(0, "done");
    let order = node.root.text("/var/lib/order");
    let mut units: Vec<&str> = order.lines().collect();
    assert_eq!(units.first(), Some(&"kubeadm"), "{units:?}");
    units.sort_unstable();
    assert_eq!(units, ["kubeadm", "locksmithd", "update-engine"]);
}

/// The name that the data gives is the running one before kubeadm, and after each boot; nothing is written a second time.
#[test]
fn the_datas_name_stays() {
    needs!(root("containers"));
    let told = "runcmd:\n- hostname >> /var/lib/names\n";
    let unit = "[Unit]\nConditionPathExists=!/var/lib/names\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'hostname >> /var/lib/names'\n[Install]\nWantedBy=multi-user.target\n";
    let ignition = serde_json::json!({"ignition": {"version": "3.4.0"},
        "storage": {"files": [{"path": "/etc/hostname", "overwrite": true, "mode": 420, "contents": {"source": "data:,node9.lab.invalid%0A"}}]},
        "systemd": {"units": [{"name": "told.service", "enabled": true, "contents": unit}]}});
    for (name, data, want) in [
        ("name-key", format!("#cloud-config\nhostname: cp-0\n{told}"), "cp-0"),
        ("name-fqdn", format!("#cloud-config\nfqdn: cp-1.lab.invalid\n{told}"), "cp-1"),
        ("name-kept", format!("#cloud-config\npreserve_hostname: true\n{told}"), "golden"),
        (
            "name-file",
            format!(
                "#cloud-config\nwrite_files:\n- path: /etc/hostname\n  content: node8.lab.invalid\n{told}"
            ),
            "node8.lab.invalid",
        ),
        ("name-ignition", ignition.to_string(), "node9.lab.invalid"),
        (
            "name-command",
            "#cloud-config\nruncmd:\n- echo node7.lab.invalid > /etc/hostname; hostname node7.lab.invalid\n- hostname >> /var/lib/names\n".to_owned(),
            "node7.lab.invalid",
        ),
    ] {
        let node = Node::new(name, JOIN, SUCCESS);
        node.root.put("/seed/user-data", data).put("/etc/hostname", "golden\n");
        node.root.put("/seed/meta-data", "instance-id: i-1\nlocal-hostname: vm-4711.meta.invalid\n");
        for boot in 1..=2 {
            node.boot();
            let journal = node.out("journal");
            assert_eq!(node.out("hostname").trim(), want, "{name} {boot}: {journal}");
            assert_eq!(node.root.text("/etc/hostname").trim(), want, "{name} {boot}");
            assert_eq!(node.root.text("/var/lib/names").trim(), want, "{name} {boot}: once, under its name");
            assert_eq!(
                journal.matches(": hostname: ").count(),
                usize::from(boot == 1 && want != "golden"),
                "{name} {boot}: {journal}"
            );
        }
    }
}

#[test]
fn a_member_of_a_cluster_is_left_alone() {
    needs!(root("containers"));
    let node = Node::new("member", JOIN, SUCCESS);
    node.root.put("/etc/kubernetes/kubelet.conf", "");
    node.boot();
    node.stands(0, "done");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 0);
    assert!(node.has_sentinel());
}

/// What Flatcar does before 4628 once extensions are laid over `/usr`, which is after PID 1 has read its units.
const ENSURE_SYSEXT: &str = "[Unit]
DefaultDependencies=no
BindsTo=systemd-sysext.service
After=systemd-sysext.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/systemctl daemon-reload
ExecStart=/bin/systemctl restart --no-block sockets.target timers.target multi-user.target
[Install]
WantedBy=sysinit.target
";

#[test]
fn an_extension_that_comes_late_bootstraps_the_node() {
    needs!(root("containers"));
    needs!(program("mksquashfs", "squashfs-tools"));
    let mut node = Node::bare("extension", JOIN, "/usr/bin/footplate");
    let dir = fresh("extension-image");
    fs::write(dir.join("kubeadm"), SUCCESS).unwrap();
    let digest = Ran::of(Command::new("sha256sum").arg(dir.join("kubeadm"))).out[..64].to_owned();
    let lock = serde_json::json!({"version": 1, "arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
    "artifacts": [{
        "name": "kubeadm", "version": "v1.34.1", "url": "https://artifacts.invalid/kubeadm", "sha256": digest,
        "install": [{"from": "", "to": "/opt/bin/kubeadm", "mode": "0755"}],
    }]});
    fs::write(dir.join("lock.json"), lock.to_string()).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let made = [
        "bake",
        "sysext",
        "--lock",
        &path("lock.json"),
        "--from",
        &path(""),
        "--output",
        &path("footplate.raw"),
    ];
    scratch::footplate(&made).ended(0, &[]);
    // Not every machine that runs this has loop devices to spare for a container, so its tree is what is laid over.
    fs::create_dir(path("extensions")).unwrap();
    let extension = path("extensions/footplate");
    Ran::of(Command::new("unsquashfs").arg("-d").arg(extension).arg(path("footplate.raw"))).ended(0, &[]);
    node.root.put("/etc/systemd/system/ensure-sysext.service", ENSURE_SYSEXT);
    // The root is an overlay here, and there is an end to what can be laid over one: what takes part in that stands on plain file
    // systems, as on a node.
    for (from, to) in [(BASE.join("usr"), "/usr"), (path("extensions").into(), "/var/lib/extensions")] {
        fs::create_dir_all(node.root.path(to)).unwrap();
        node.mount(&["-o", "bind,ro", &from.display().to_string()], &node.root.path(to));
    }
    // All of /opt, not a part of it: systemd-sysext of 257 hides the rest of a directory in which something is mounted.
    node.mount(&["-t", "tmpfs", "-o", "mode=755", "opt"], &node.root.path("/opt"));
    node.program("/opt/test/check", CHECK);
    // footplate.service is not known yet when the check is queued.
    let wait = "[Unit]\nAfter=ensure-sysext.service\n[Service]\nExecStartPre=timeout 60 sh -c 'until systemctl -q is-active \
                footplate.service; do sleep 0.1; done'\n";
    node.root.put("/etc/systemd/system/check.service.d/wait.conf", wait);
    node.systemctl(&["enable", "systemd-sysext.service", "ensure-sysext.service"]);
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    assert_eq!((node.out("failed").as_str(), node.lines("/var/lib/kubeadm-runs")), ("", 1), "{journal}");
    assert!(node.has_sentinel());
    assert!(journal.contains("Mounted usr-local.mount"), "{journal}");
    // Late: the hostname came all the same.
    assert_eq!(node.out("hostname"), "node-1\n", "{journal}");
    assert!(!journal.contains("ordering cycle"), "{journal}");
    node.is_clean();

    // The next boot finds its stamp; nothing of the extension is on the node's disk but links.
    node.boot();
    node.stands(0, "done");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
    assert!(fs::read_link(node.root.path("/opt/bin/kubeadm")).unwrap().ends_with("opt/bin/kubeadm"));
}

/// Three NICs, networkd, a network; then one that gives the first the same, the second another address, and the third none.
const LIVE_NETWORK: &str = r#"#!/bin/bash
set -eu
network() { /opt/bin/footplate network --seed /seed; }
until_ip() { for _ in $(seq 300); do if ip -brief addr show dev $1 | grep -q "$2"; then return; fi; sleep 0.1; done; echo "$1 has no $2"; }
# What a person put on a link is gone once networkd sets that link up anew.
hand() { ip addr add 203.0.113.$1/32 dev nic$1; }
files() { stat --format '%n %i %Y %Z' /etc/systemd/network/15-footplate-*; }
config() {
    echo "version: 2"; echo "ethernets:"
    for entry in "$@"; do echo "  id${entry%%=*}: {match: {macaddress: '02:00:00:00:0a:0${entry%%=*}'}, addresses: [${entry#*=}]}"; done
}
for n in 0 1 2; do
    ip link add nic$n address 02:00:00:00:0a:0$n type veth peer name peer$n
    ip link set peer$n up
done
systemctl start systemd-networkd.service
config 0=192.0.2.10/24 1=192.0.2.11/24 2=192.0.2.12/24 > /seed/network-config
network
for n in 0 1 2; do until_ip nic$n 192.0.2.1$n/24; hand $n; done
files > /out/before
config 0=192.0.2.10/24 1=192.0.2.21/24 > /seed/network-config
since=$(date '+%F %T.%6N')
network
until_ip nic1 192.0.2.21/24
# Until the third is let go of; what is told of the others is told by then.
for _ in $(seq 300); do if networkctl --json=short status nic2 | grep -q unmanaged; then break; fi; sleep 0.1; done
files > /out/after
for n in 0 1 2; do ip -oneline -4 addr show dev nic$n > /out/nic$n; done
networkctl --no-legend list > /out/links
journalctl --unit systemd-networkd.service --since "$since" --output cat > /out/networkd
network
files > /out/again
"#;

#[test]
fn a_change_on_a_node_that_runs_touches_what_it_is_about() {
    needs!(root("containers"));
    let node = Node::new("live-network", "  - true\n", SUCCESS);
    node.program("/opt/test/more", LIVE_NETWORK);
    node.boot();
    let said = node.out("more");
    assert_eq!(said.matches("networkd has taken the changes").count(), 2, "{said}");
    assert!(!said.contains("networkd has read its files again"), "once for each change: {said}");
    assert!(said.contains("files=3 changed=") && said.contains("files=2 changed=0"), "{said}");

    // Of the files, one is as it was, one is new, one is gone; the third run found nothing to do.
    let (before, after) = (node.out("before"), node.out("after"));
    let file = |files: &str, id: &str| files.lines().find(|l| l.contains(id)).map(str::to_owned);
    assert!(file(&before, "id0").is_some() && file(&before, "id0") == file(&after, "id0"), "{before}{after}");
    assert!(file(&before, "id1") != file(&after, "id1") && file(&after, "id1").is_some(), "{before}{after}");
    assert!(file(&before, "id2").is_some() && file(&after, "id2").is_none(), "{before}{after}");
    assert_eq!(after, node.out("again"));

    // Of the links, the first was left alone, the second has the new address and nothing else, the third is nobody's.
    let addresses = |nic: &str| {
        let text = node.out(nic);
        let words = text.lines().filter_map(|l| l.split_whitespace().nth(3)).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    let told = node.out("networkd");
    assert_eq!(addresses("nic0"), ["192.0.2.10/24", "203.0.113.0/32"], "{said}{told}");
    assert_eq!(addresses("nic1"), ["192.0.2.21/24"], "{said}{told}");
    let links = node.out("links");
    let third = links.lines().find(|l| l.contains("nic2")).unwrap();
    assert!(third.contains("unmanaged"), "{links}");
    let anew = |nic: &str| told.contains(&format!("{nic}: Reconfiguring with "));
    assert!(anew("nic1") && !anew("nic0"), "{told}");
}

/// networkd's wait-online returns when a required link is online, and so never where none is required.
#[test]
fn nothing_is_waited_for_where_all_links_are_optional() {
    needs!(root("containers"));
    let node = Node::new("optional", JOIN, SUCCESS);
    node.systemctl(&["enable", "systemd-networkd.service", "systemd-networkd-wait-online.service"]);
    node.root.put("/seed/network-config", "version: 2\nbridges:\n  br7: {dhcp4: true, optional: true}\n");
    let more = "#!/bin/bash
        systemctl show -P ConditionResult systemd-networkd-wait-online.service
        systemctl show -P ActiveState network-online.target
        until ip link show br7 | grep -q br7; do sleep 0.1; done
        for any in '' --any; do /lib/systemd/systemd-networkd-wait-online $any --timeout=2; echo \"alone: $?\"; done";
    node.program("/opt/test/more", more);
    let begun = Instant::now();
    node.boot();
    node.stands(0, "done");
    let said = node.out("more");
    assert!(said.starts_with("no\nactive\n"), "{said}{}", node.out("journal"));
    // What would have been waited for, had it run.
    assert_eq!(said.matches("alone: 1").count(), 2, "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{}", node.out("journal"));
}

/// A disk that does not come stops the node, unless the data itself says that it may be missing.
#[test]
fn a_disk_that_may_be_missing_does_not_stop_the_node() {
    needs!(root("containers"));
    let boot = |name: &str, options: &str, exit: u8, state: &str| {
        let node = Node::new(name, JOIN, SUCCESS);
        let data = node.root.text("/seed/user-data");
        let mount = format!(
            "mounts:\n- [/dev/vdz1, /data, ext4, '{options}x-systemd.device-timeout=2s', '0', '0']\n"
        );
        node.root.put("/seed/user-data", data + &mount);
        node.boot();
        node.stands(exit, state);
        let journal = node.out("journal");
        let told = journal.contains("mount /data: left out: /dev/vdz1 did not come, and the mount is nofail");
        assert_eq!(told, state == "done", "{journal}");
    };
    // Both wait for a minute, and do little else.
    std::thread::scope(|scope| {
        scope.spawn(|| boot("missing-nofail", "nofail,", 0, "done"));
        boot("missing-needed", "", 1, "failed");
    });
}

/// The containerd that runs is asked, with its own arguments, what it takes of its configuration. In version 1 a file that it
/// imports replaces all that the main file says of a plugin.
#[test]
fn what_an_import_takes_from_containerd_is_told_before_kubeadm_runs() {
    needs!(root("containers"));
    let containerd = unpacked(&["containerd"]).unwrap().join("usr/bin/containerd");
    let node = Node::new("containerd-import", JOIN, SUCCESS);
    node.root.put_program("/usr/bin/containerd", fs::read(containerd).unwrap());
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    let main = format!(
        "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n[{cri}]\nsandbox_image = \"registry.invalid/pause:9\"\n\
         [{cri}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [{cri}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    );
    let unit = "[Service]\nExecStart=/usr/bin/containerd --config /etc/containerd/config.toml\n";
    node.root.put("/etc/containerd/config.toml", main).put("/etc/systemd/system/containerd.service", unit);
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    assert!(!journal.contains("kubeadm-prepare: containerd: "), "{journal}");

    // The next boot is that of another node.
    for path in ["/var/lib/footplate", "/etc/kubernetes"] {
        fs::remove_dir_all(node.root.path(path)).unwrap();
    }
    let site =
        format!("version = 2\n[{cri}.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n");
    node.root.put("/etc/containerd/conf.d/site.toml", site);
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    for want in [
        "has the runtime runc, and",
        "names another pause image",
        "managed by cgroupfs, the kubelet's by systemd",
    ] {
        let told = journal.lines().find(|l| l.contains("kubeadm-prepare: containerd: ") && l.contains(want));
        assert!(told.is_some_and(|l| l.contains("the last file that has any")), "{want}: {journal}");
    }
}
