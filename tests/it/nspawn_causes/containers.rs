// SPDX-License-Identifier: Apache-2.0
//! A kubelet that runs, beside a containerd that does or does not: the control plane's containers.

use std::fs;
use std::process::Command;

use super::beside::{REGISTRY, change, containerd, init_after, kubelet_runs, program, waits};
use super::{Cause, INIT, Machine, init_but, kubelet};
use crate::common::scratch::Ran;

/// An init whose kubelet starts containers, with these settings of containerd's and of its CRI plugin's.
fn starts_with(machine: &Machine, own: &str, cri: &str) {
    containerd(machine, own, cri);
    kubelet_runs(machine);
    waits(machine, "35s");
}

fn starts(machine: &Machine, own: &str) {
    starts_with(machine, own, "");
}

/// The image of a program, in the node. It waits for nothing else.
pub(super) fn image(machine: &Machine, name: &str, command: &str, files: &[String]) {
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/qemu-tests/kubernetes/archive");
    let to = machine.node.root.path(&format!("/opt/test/images/{}.tar", name.split(':').next().unwrap()));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    Ran::of(
        Command::new("python3")
            .args([archive, to.to_str().unwrap(), &format!("{REGISTRY}/{name}"), command])
            .args(files),
    )
    .ended(0, &[]);
}

pub(super) const IMPORT: &str = "  - systemctl start containerd\n  - for i in /opt/test/images/*.tar; do ctr --namespace k8s.io images import $i; done\n";

/// The pause image, and that of etcd by Debian's.
fn images(machine: &Machine) {
    let busybox = program("busybox");
    image(
        machine,
        "pause:3.2",
        "/bin/busybox sleep infinity",
        &[format!("/bin/busybox={}", busybox.display())],
    );
    let mut files = vec![format!("/usr/bin/etcd={}", program("etcd").display())];
    let needs = Ran::of(Command::new("ldd").arg(program("etcd")));
    let libraries = needs.out.split_whitespace().filter(|word| word.starts_with('/'));
    files.extend(libraries.map(|path| format!("{path}={path}")));
    image(machine, "etcd:3.4.13-0", "", &files);
}

/// An init whose etcd runs in a container, with these arguments.
pub(super) fn etcd(machine: &Machine, local: &str) {
    // The machine that tests may keep its control groups from containers, and lets no process shield itself from the end of memory.
    starts_with(machine, "", "disable_cgroup = true\nrestrict_oom_score_adj = true");
    images(machine);
    change(machine, "imageRepository:", &format!("etcd: {{local: {{{local}}}}}\nimageRepository:"));
}

pub(super) fn causes() -> Vec<Cause> {
    vec![
        ("containerd/not-running", init_but("CRI"), |m| {
            containerd(m, "", "");
            m.node.root.put(
                "/etc/systemd/system/containerd.service.d/no.conf",
                "[Unit]\nConditionPathExists=/not-there\n",
            );
        }),
        ("containerd/cri-disabled", INIT.into(), |m| {
            starts(m, "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]")
        }),
        ("containerd/sandbox-image", INIT.into(), |m| starts(m, "")),
        ("kubelet/port-taken", INIT.into(), |m| {
            starts(m, "");
            m.network.listens("0.0.0.0:10250", b"", true);
        }),
        ("kubelet/cgroup-driver", init_after(IMPORT), |m| {
            starts(m, "");
            images(m);
            change(m, "cgroupDriver: systemd", "cgroupDriver: cgroupfs");
        }),
        ("kubelet/reserved", INIT.into(), |m| {
            starts(m, "");
            change(m, "cgroupDriver: systemd", "cgroupDriver: systemd\nsystemReserved: {memory: 900Gi}");
        }),
        ("kubelet/credential-provider", INIT.into(), |m| {
            starts(m, "");
            let flags = "feature-gates: KubeletCredentialProviders=true, image-credential-provider-bin-dir: /opt/none, \
                         image-credential-provider-config: /opt/test/none.yaml";
            change(m, "  criSocket:", &format!("  kubeletExtraArgs: {{{flags}}}\n  criSocket:"));
        }),
        ("containerd/no-container", init_after(IMPORT), |m| {
            etcd(m, "");
            fs::remove_file(m.node.root.path("/opt/bin/runc")).unwrap();
        }),
        ("kubelet/not-up", INIT.into(), |m| {
            kubelet(m, "ExecStart=\nExecStart=/bin/sleep infinity");
            waits(m, "45s");
        }),
        ("control-plane/unknown-flag", init_after(IMPORT), |m| etcd(m, "extraArgs: {no-such-flag: x}")),
        ("control-plane/address", init_after(IMPORT), |m| {
            etcd(m, "extraArgs: {listen-client-urls: 'https://203.0.113.9:2379'}")
        }),
        ("control-plane/file", init_after(IMPORT), |m| etcd(m, "extraArgs: {cert-file: /etc/not-there.crt}")),
    ]
}
