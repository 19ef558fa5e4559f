// SPDX-License-Identifier: Apache-2.0
//! Which phases kubeadm went through, by the tags that begin the lines of its output.

/// The tags of kubeadm's own phases, of 1.20 and newer. Others name a check or a client, or belong to another program.
const PHASES: &[&str] = &[
    "addons",
    "bootstrap-token",
    "certs",
    "check-etcd",
    "control-plane",
    "control-plane-join",
    "discovery",
    "download-certs",
    "etcd",
    "kubeconfig",
    "kubelet-finalize",
    "kubelet-start",
    "mark-control-plane",
    "preflight",
    "upload-certs",
    "upload-config",
    "wait-control-plane",
];

/// The phases in the order in which they began, each with the time of its first line. A phase lasts until the next one begins.
pub fn phases<'l, T>(lines: impl IntoIterator<Item = (T, &'l str)>) -> Vec<(T, &'static str)> {
    let mut found: Vec<(T, &'static str)> = Vec::new();
    for (at, line) in lines {
        let tag = line.strip_prefix('[').and_then(|l| l.split_once("] ")).map(|(tag, _)| tag);
        let Some(phase) = tag.and_then(|tag| PHASES.iter().find(|phase| **phase == tag)) else { continue };
        if found.last().is_none_or(|(_, last)| last != phase) {
            found.push((at, phase));
        }
    }
    found
}

/// What kubeadm, 1.14 and newer, prints when an `init` and a `join` have succeeded.
const SUCCESS: [&str; 2] =
    ["Your Kubernetes control-plane has initialized successfully!", "This node has joined the cluster"];

/// Whether kubeadm says in this line of its output that the machine has become a node.
pub fn says_success(line: &str) -> bool {
    SUCCESS.iter().any(|said| line.starts_with(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_kubeadm_begins_a_phase_and_no_other_does() {
        let lines = [
            (10, "[init] Using Kubernetes version: v1.31.0"),
            (11, "[preflight] Running pre-flight checks"),
            (12, "\t[WARNING Service-Kubelet]: kubelet service is not enabled"),
            (19, "[preflight] Pulling images required for setting up a Kubernetes cluster"),
            (20, "[certs] Using certificateDir folder \"/etc/kubernetes/pki\""),
            (25, "[info] a command of the data"),
            (30, "[wait-control-plane] Waiting for the kubelet to boot up the control plane"),
            (70, "[kubelet-check] Initial timeout of 40s passed."),
        ];
        assert_eq!(phases(lines), [(11, "preflight"), (20, "certs"), (30, "wait-control-plane")]);
        assert!(PHASES.is_sorted());
    }
}
