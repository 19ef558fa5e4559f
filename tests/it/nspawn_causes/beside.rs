// SPDX-License-Identifier: Apache-2.0
//! Debian's own programs in a node and beside it: containerd with runc, a registry, etcd.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{INIT, Machine, init_but, init_config};
use crate::common::debian::unpacked;
use crate::common::scratch::Ran;

/// The address of a registry.
pub(super) const REGISTRY: &str = "192.0.2.1:5000";

/// Programs that run in a machine's network, and end with it.
#[derive(Default)]
pub(super) struct Beside(Mutex<Vec<Child>>);

impl Drop for Beside {
    fn drop(&mut self) {
        for child in self.0.lock().unwrap().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Where Debian's programs are.
fn programs() -> PathBuf {
    unpacked(&["docker-registry", "containerd", "runc", "busybox-static", "etcd-server", "etcd-client"])
        .unwrap()
}

/// One of them.
pub(super) fn program(name: &str) -> PathBuf {
    ["usr/bin", "usr/sbin", "bin"]
        .map(|dir| programs().join(dir).join(name))
        .into_iter()
        .find(|p| p.exists())
        .unwrap()
}

/// A directory beside the node.
pub(super) fn dir(machine: &Machine, name: &str) -> PathBuf {
    let dir = machine.node.root.dir.parent().unwrap().join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Starts a program in the machine's network, and waits until it listens there.
pub(super) fn runs(machine: &Machine, command: &mut Command, listens: &str) {
    runs_in(machine, &machine.beside, command, listens);
}

/// The same, until these end.
pub(super) fn runs_in(machine: &Machine, beside: &Beside, command: &mut Command, listens: &str) {
    let log = fs::File::create(dir(machine, "beside").join(listens)).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    machine.network.within(|| {
        beside.0.lock().unwrap().push(command.process_group(0).spawn().unwrap());
        let begun = Instant::now();
        let at = listens.parse().unwrap();
        while std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing listens at {listens}");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

/// A server's certificate and key in a directory, of the machine's authority, for the address of all that runs beside it.
fn certificate(machine: &Machine, to: &Path) {
    let script = "openssl req -newkey rsa:2048 -nodes -subj /CN=beside -keyout \"$TO/key\" -out \"$TO/csr\"
        printf 'subjectAltName=IP:192.0.2.1\\n' > \"$TO/ext\"
        openssl x509 -req -days 1 -in \"$TO/csr\" -CA ca.pem -CAkey ca.key -CAcreateserial -extfile \"$TO/ext\" -out \"$TO/cert\"";
    let authority = machine.cluster.authority.bundle().with_file_name("");
    Ran::of(Command::new("sh").args(["-ec", script]).env("TO", to).current_dir(authority)).ended(0, &[]);
}

/// A registry without an image. `tls`: it has a certificate; `more` stands in its configuration.
pub(super) fn registry(machine: &Machine, tls: bool, more: &str) -> PathBuf {
    let at = dir(machine, "registry");
    let d = at.display();
    let tls = if tls {
        certificate(machine, &at);
        format!("  tls: {{certificate: {d}/cert, key: {d}/key}}\n")
    } else {
        String::new()
    };
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {d}/store}}}}\nhttp:\n  addr: {REGISTRY}\n{tls}{more}"
    );
    fs::write(at.join("config.yml"), config).unwrap();
    fs::create_dir_all(at.join("store")).unwrap();
    runs(machine, Command::new(program("docker-registry")).arg("serve").arg(at.join("config.yml")), REGISTRY);
    at
}

/// What kubeadm asks crictl for, by containerd's own client: Debian has no crictl.
const CRICTL: &str = "#!/bin/sh
shift 2
case $1 in
info) exec ctr version ;;
inspecti) ctr --namespace k8s.io images list --quiet | grep --line-regexp --fixed-strings \"$2\" ;;
pull) exec ctr --namespace k8s.io images pull \"$2\" ;;
esac
";

/// Gives the node containerd with runc, and an init that uses it; its images are in the registry beside it. `containerd` and `cri` are
/// settings of its own and of its CRI plugin's.
pub(super) fn containerd(machine: &Machine, containerd: &str, cri: &str) {
    init_config(machine, "v1.20.2", "", "");
    change(machine, "/run/dbus/system_bus_socket", "/run/containerd/containerd.sock");
    change(
        machine,
        "kubernetesVersion: v1.20.2\n",
        &format!("kubernetesVersion: v1.20.2\nimageRepository: {REGISTRY}\n"),
    );
    machine.node.program("/opt/bin/crictl", CRICTL);
    for name in ["containerd", "containerd-shim-runc-v2", "ctr", "runc"] {
        // By another process: one that a test beside starts has what is open here.
        let to = machine.node.root.path(&format!("/opt/bin/{name}"));
        Ran::of(Command::new("cp").arg(program(name)).arg(to)).ended(0, &[]);
    }
    let plugin = "plugins.\"io.containerd.grpc.v1.cri\"";
    let config = format!(
        "version = 2\nroot = \"/run/containerd-store\"\n{containerd}\n[{plugin}]\nsandbox_image = \"{REGISTRY}/pause:3.2\"\n\
         {cri}\n\
         [{plugin}.containerd]\nsnapshotter = \"native\"\n[{plugin}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [{plugin}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    );
    machine.node.root.put("/etc/containerd/config.toml", config);
    machine.node.systemctl(&["enable", "containerd.service"]);
}

/// Changes the configuration of an init.
pub(super) fn change(machine: &Machine, from: &str, to: &str) {
    let text = machine.node.root.text("/opt/test/init.yaml");
    assert!(text.contains(from), "{text}");
    machine.node.root.put("/opt/test/init.yaml", text.replace(from, to));
}

/// A kubelet in a container sees the kernel's settings as it wants them, and sets none of the machine's own.
pub(super) fn kubelet_runs(machine: &Machine) {
    let mut unit = "[Service]\n".to_owned();
    for (name, value) in [
        ("vm/overcommit_memory", "1"),
        ("vm/panic_on_oom", "0"),
        ("kernel/panic", "10"),
        ("kernel/panic_on_oops", "1"),
        ("kernel/keys/root_maxkeys", "1000000"),
        ("kernel/keys/root_maxbytes", "25000000"),
    ] {
        machine.node.root.put(&format!("/opt/test/sys/{name}"), format!("{value}\n"));
        unit += &format!("BindReadOnlyPaths=/opt/test/sys/{name}:/proc/sys/{name}\n");
    }
    machine.node.root.put("/etc/systemd/system/kubelet.service.d/kernel.conf", unit);
    // It gives the pods the machine's name servers and hosts.
    machine.node.root.put("/etc/hosts", "127.0.0.1 localhost\n");
    let _ = fs::remove_file(machine.node.root.path("/etc/resolv.conf"));
    machine.node.root.put("/etc/resolv.conf", "nameserver 192.0.2.1\n");
}

/// An init that waits this long for its control plane.
pub(super) fn waits(machine: &Machine, time: &str) {
    change(machine, "timeoutForControlPlane: 8s", &format!("timeoutForControlPlane: {time}"));
}

/// An init whose containerd runs, after these commands.
pub(super) fn init_after(commands: &str) -> String {
    format!("{commands}{INIT}")
}

/// An init that pulls its images, with these variables.
pub(super) fn pulls(variables: &str) -> String {
    format!("{variables}{}", init_but("ImagePull"))
}
