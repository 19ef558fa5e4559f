// SPDX-License-Identifier: Apache-2.0
//! What the cluster says while a node joins, and what ends kubeadm itself.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::beside::{change, containerd, kubelet_runs};
use super::{Cause, INIT, JOIN, Machine, init_but, init_config, is, joins, kubeadm, special};
use crate::common::cluster::{API, HOLDS, TOKEN, refusal, reply};
use crate::common::needs::program;
use crate::common::scratch::Ran;
use crate::common::server::{Reply, Seen, Server};

/// A join whose API server says this where kubeadm writes to the node.
fn patched(machine: &Machine, says: &'static str) {
    special(machine, |seen| {
        (seen.method == "PATCH" && is(seen, "nodes/node-1")).then(|| refusal(500, "InternalError", says))
    });
    without_rotation(machine);
}

/// The kubelet has its certificate before it begins with anything else.
fn without_rotation(machine: &Machine) {
    let flags = "  kubeletExtraArgs: {rotate-certificates: 'false'}\n  criSocket:";
    super::change(machine, "  criSocket:", flags);
}

/// A join whose kubelet runs beside a containerd, for kubeadm to wait for what the kubelet asks of the cluster.
fn kubelet_joins(machine: &Machine, with: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
    special(machine, with);
    // The machine that tests may keep its control groups from containers.
    let flags = "kubeletExtraArgs: {cgroups-per-qos: 'false', enforce-node-allocatable: ''}";
    super::change(machine, "  criSocket:", &format!("  {flags}\n  criSocket:"));
    super::change(machine, "/run/dbus/system_bus_socket", "/run/containerd/containerd.sock");
    containerd(machine, "", "");
    kubelet_runs(machine);
}

/// Ends kubeadm as the kernel does where memory runs out.
const KILL: &str = "  - (while sleep 1; do for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = kubeadm ] && kill -KILL ${p#/proc/} && exit; done; done) 2> /dev/null &\n";

/// Gives the node strace, with the library that Debian's needs.
pub(super) fn has_strace(machine: &Machine) {
    program("strace", "strace").unwrap();
    let needs = Ran::of(Command::new("ldd").arg("/usr/bin/strace"));
    let unwind = needs.out.split_whitespace().filter(|word| word.contains("/libunwind"));
    for file in unwind {
        Ran::of(
            Command::new("cp")
                .arg("--dereference")
                .arg(file)
                .arg(machine.node.root.path("/usr/lib/x86_64-linux-gnu")),
        )
        .ended(0, &[]);
    }
    Ran::of(Command::new("cp").arg("/usr/bin/strace").arg(machine.node.root.path("/opt/test/strace")))
        .ended(0, &[]);
}

pub(super) fn causes() -> Vec<Cause> {
    vec![
        ("endpoint/not-identified", JOIN.into(), |m| {
            // kubeadm asks a second time, and then trusts what the first answer brought.
            let (mut other, asked) = (m.cluster.info(TOKEN.1), AtomicU32::new(0));
            other["data"]["kubeconfig"] = json!("of another cluster");
            special(m, move |seen| {
                let kubeadm = is(seen, "cluster-info") && seen.header("user-agent") != Some("footplate");
                (kubeadm && asked.fetch_add(1, Ordering::Relaxed) > 0).then(|| reply(200, &other))
            });
        }),
        ("node/webhook", JOIN.into(), |m| {
            patched(
                m,
                "Internal error occurred: failed calling webhook \"nodes.policy.example\": Post \"https://policy.policy-system.svc:443/nodes?timeout=10s\": dial tcp 10.96.8.1:443: connect: connection refused",
            );
        }),
        (
            "certificate/admin-refused",
            INIT.replace("--config", "--skip-phases=kubelet-start,etcd,wait-control-plane --config"),
            |m| {
                init_config(m, "v1.20.2", "", "");
                change(m, "kubernetesVersion:", &format!("controlPlaneEndpoint: {API}\nkubernetesVersion:"));
                super::pki(m, "");
                m.api_server(&["192.0.2.1"], HOLDS, |_| Some(refusal(401, "Unauthorized", "Unauthorized")));
            },
        ),
        ("kubelet/certificate-refused", JOIN.into(), |m| {
            special(m, |seen| {
                (seen.method == "PATCH" && is(seen, "nodes/node-1"))
                    .then(|| refusal(401, "Unauthorized", "Unauthorized"))
            });
            without_rotation(m);
        }),
        // It ends when kubeadm gives up, after two minutes.
        ("node/not-registered", JOIN.into(), |m| {
            kubelet_joins(m, |seen| {
                is(seen, "nodes/node-1").then(|| refusal(404, "NotFound", "nodes \"node-1\" not found"))
            });
            super::change(m, "kubeletExtraArgs: {", "kubeletExtraArgs: {rotate-certificates: 'false', ");
        }),
        // Nobody approves what the kubelet asks for. kubeadm gives up after five minutes.
        ("kubelet/no-certificate", JOIN.into(), |m| {
            kubelet_joins(m, |seen| {
                let csr = json!({"kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1",
                    "metadata": {"name": "node-csr-1", "uid": "1", "resourceVersion": "7"},
                    "spec": {"request": "", "signerName": "kubernetes.io/kube-apiserver-client-kubelet"}});
                (seen.method == "POST" && is(seen, "certificatesigningrequests")).then(|| reply(201, &csr))
            });
        }),
        ("etcd/database-full", JOIN.into(), |m| patched(m, "etcdserver: mvcc: database space exceeded")),
        ("kubeadm/killed", format!("{KILL}{JOIN}"), |m| {
            joins(m);
            m.node.has_bash_for_sh();
            super::change(m, "timeout: 3s", "timeout: 5m");
            m.network.listens(API, b"", false);
        }),
        ("kubeadm/crashed", JOIN.replace("- kubeadm", "- prlimit --as=200000000 /opt/bin/kubeadm"), joins),
        (
            "preflight/version-from-internet",
            format!("  - export SSL_CERT_FILE=/opt/test/ca.pem\n{INIT}"),
            |m| {
                // A kubeadm that reaches nobody takes its own version; one that gets a page in place of a version does not.
                init_config(m, "v1.20.2", "", "");
                change(m, "kubernetesVersion: v1.20.2\n", "");
                m.node.root.put("/etc/hosts", "192.0.2.1 dl.k8s.io\n");
                m.node.root.put("/opt/test/ca.pem", fs::read(m.cluster.authority.bundle()).unwrap());
                let tls = m.cluster.authority.server(&["dl.k8s.io"], HOLDS.0, HOLDS.1);
                m.network.within(|| {
                    Server::start_tls("192.0.2.1:443", tls, |_| Reply::ok("<html>Sign in first</html>\n"))
                });
            },
        ),
        ("preflight/memory", init_but("Mem"), |m| {
            init_config(m, "v1.20.2", "", "");
            // The kernel's answer with 1000 MiB in it, for a container has the machine's own.
            let sysinfo = format!("{}{:02x?}", "00".repeat(32), (1000_u64 << 20).to_le_bytes());
            let sysinfo: String = sysinfo.chars().filter(char::is_ascii_hexdigit).collect();
            let wrapper = format!(
                "#!/bin/sh\nexec /opt/test/strace -f -qq -o /dev/null -e trace=sysinfo -e inject=sysinfo:poke_exit=@arg1={sysinfo} /opt/test/kubeadm \"$@\"\n"
            );
            let real = fs::read(m.node.root.path("/opt/bin/kubeadm")).unwrap();
            m.node.root.put_program("/opt/test/kubeadm", real);
            kubeadm(m, Some(wrapper.as_bytes()), 0o755);
            has_strace(m);
        }),
    ]
}
