// SPDX-License-Identifier: Apache-2.0
//! This machine, as far as kubeadm and the kubelet need it to be ready.

use super::{Found, MAX_FILE, problem};
use crate::bake;
use crate::decode::kubeadm::asked::{API_PORT, Asked};
use crate::io::containerd::answers;
use crate::io::root::{Root, SFlag};
use crate::model::problem::Problem;
use crate::plan::kubeadm::STAND_IN;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
const BRIDGE: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const SWAPS: &str = "/proc/swaps";

/// Sockets of container runtimes that kubeadm finds by itself.
const SOCKETS: &[&str] = &["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/docker.sock"];

/// The kubelet's port, and those of a control plane beside the API server's.
const KUBELET: u16 = 10250;
const CONTROL_PLANE: &[u16] = &[10257, 10259];

/// The minor version that each version of kubeadm's configuration came with, and the one that has it no more.
const CONFIGURATIONS: &[(&str, u32, u32)] =
    &[("v1beta1", 13, 22), ("v1beta2", 15, 27), ("v1beta3", 22, u32::MAX), ("v1beta4", 31, u32::MAX)];

/// What stands against kubeadm on this machine.
pub(super) fn check(root: &Root, asked: &Asked) -> Vec<Found> {
    let read = |path: &str| {
        let bytes = root.read(path, MAX_FILE).ok().flatten();
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut found = Vec::new();
    if read(IP_FORWARD).is_some_and(|value| value.trim() == "0") {
        let cure = "write net.ipv4.ip_forward = 1 to a file of /etc/sysctl.d";
        let what = "the kernel does not forward packets between networks";
        found.push(Found::Odd(problem(IP_FORWARD, what, "preflight/ip-forward", cure)));
    }
    if read(BRIDGE).is_none_or(|value| value.trim() == "0") {
        let cure = "load the module br_netfilter and set net.bridge.bridge-nf-call-iptables = 1, as most network plugins need it";
        let what = "packets of bridges do not pass iptables";
        found.push(Found::Odd(problem(BRIDGE, what, "preflight/br-netfilter", cure)));
    }
    // The first line is a heading.
    if !asked.swap && read(SWAPS).is_some_and(|swaps| swaps.lines().count() > 1) {
        let cure = "turn swap off, or set failSwapOn: false for the kubelet";
        found.push(Found::Odd(problem(
            SWAPS,
            "swap is on, and the kubelet does not start with it",
            "preflight/swap",
            cure,
        )));
    }
    let listening = [read("/proc/net/tcp"), read("/proc/net/tcp6")].map(Option::unwrap_or_default).concat();
    let others = CONTROL_PLANE.iter().copied().chain([asked.port.unwrap_or(API_PORT)]);
    let ports = [KUBELET].into_iter().chain(others.filter(|_| asked.control_plane));
    for port in ports.filter(|port| listens(&listening, *port)) {
        let what = format!("port {port} is in use");
        let cure = "end the program that has it: `ss -ltnp` names it";
        let problem = problem("", what, "preflight/port-taken", cure);
        found.push(fails(asked, &format!("port-{port}"), problem));
    }
    found.extend(versions(root, asked));
    found
}

/// A kubeadm with nothing in it. The shell takes an empty file for a script that ends well, so its exit status would say that the
/// node joined. `path` is the shell's PATH.
pub(super) fn empty_kubeadm(root: &Root, path: &str) -> Option<Problem> {
    let dirs = path.split(':').filter(|dir| dir.starts_with('/') && *dir != STAND_IN);
    let kubeadm = dirs.map(|dir| format!("{dir}/kubeadm")).find_map(|file| {
        let meta = root.meta(&file).ok().flatten()?;
        (meta.kind == SFlag::S_IFREG && meta.mode & 0o111 != 0).then_some((file, meta.size))
    });
    let (file, _) = kubeadm.filter(|(_, size)| *size == 0)?;
    let cure = "bake the program again, or fetch it again: a download that failed leaves such a file";
    Some(Problem::error(file, "the file is empty").code("kubeadm/not-executable").cure(cure))
}

/// What a check of kubeadm's fails for, unless kubeadm is told to ignore that check.
fn fails(asked: &Asked, check: &str, problem: Problem) -> Found {
    if asked.ignores(check) { Found::Odd(problem) } else { Found::Fails(problem) }
}

/// Whether something listens at a port, by the tables of the kernel: an address in hexadecimal digits, and the state, where 0A is
/// listening.
fn listens(tables: &str, port: u16) -> bool {
    let port = format!(":{port:04X}");
    tables.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        matches!(words.as_slice(), [_, local, _, "0A"] if local.ends_with(&port))
    })
}

/// Whether kubeadm, the kubelet and the configuration fit together, by the lock of the image.
fn versions(root: &Root, asked: &Asked) -> Option<Found> {
    let lock = bake::baked_lock(root).ok().flatten()?;
    let minor = |name: &str| minor(&lock.artifact(name)?.version);
    let (kubeadm, kubelet) = (minor("kubeadm")?, minor("kubelet")?);
    let known = CONFIGURATIONS.iter().find(|(name, ..)| *name == asked.version);
    if let Some((name, from, until)) = known.filter(|(_, from, until)| kubeadm < *from || kubeadm >= *until) {
        let (code, side) = match kubeadm < *from {
            true => ("config/api-version-too-new", format!("came with 1.{from}")),
            false => ("config/api-version-too-old", format!("ended with 1.{until}")),
        };
        let what =
            format!("the configuration is of {name}, which {side}, and this kubeadm is of 1.{kubeadm}");
        return Some(Found::Fails(problem(
            "kubeadm",
            what,
            code,
            "make the image and the template for one version",
        )));
    }
    let what = match kubelet {
        newer if newer > kubeadm => {
            format!("the kubelet is of 1.{newer} and so newer than kubeadm, of 1.{kubeadm}")
        }
        older if older + 3 < kubeadm => {
            format!("the kubelet is of 1.{older}, too old for kubeadm, of 1.{kubeadm}")
        }
        _ => return None,
    };
    let cure = "bake kubeadm and the kubelet in one version";
    Some(fails(asked, "kubeletversion", problem("kubelet", what, "preflight/version-skew", cure)))
}

/// The minor version in `v1.34.1`.
fn minor(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').nth(1)?.parse().ok()
}

/// Whether the container runtime answers.
pub(super) fn runtime(root: &Root, asked: &Asked) -> Option<Found> {
    let named = asked.socket.as_deref().map(|socket| socket.trim_start_matches("unix://"));
    let first = SOCKETS.iter().copied().find(|socket| root.stands(socket).unwrap_or_default());
    let socket = named.or(first).unwrap_or(SOCKETS[0]);
    // Other kinds of addresses are kubeadm's to know.
    if !socket.starts_with('/') || answers(socket) {
        return None;
    }
    let what = "no container runtime answers at its socket";
    let cure = "look at `systemctl status containerd` and at nodeRegistration.criSocket";
    let problem = problem(socket, what, "containerd/not-running", cure);
    Some(if asked.ignores("cri") { Found::Odd(problem) } else { Found::NotYet(problem, true) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_kernel_s_tables() {
        let tables = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:280A 00000000:0000 0A 00000000\n   \
                      1: 0100007F:1F90 0100007F:9C40 01 00000000\n   0: 00000000000000000000000000000000:192B 0:0 0A 0\n";
        for (port, want) in [(10250, true), (8080, false), (6443, true), (10, false)] {
            assert_eq!(listens(tables, port), want, "{port}");
        }
    }

    #[test]
    fn versions_have_minor_numbers() {
        assert_eq!([minor("v1.34.1"), minor("1.20.2"), minor("x")], [Some(34), Some(20), None]);
    }
}
