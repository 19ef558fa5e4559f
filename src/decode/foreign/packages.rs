// SPDX-License-Identifier: Apache-2.0
//! What a call of a package manager means on a node: what stands in for it takes what a baked image has as installed.

use std::collections::HashSet;

use super::absent;
use crate::model::problem::{PACKAGE_MANAGER, Problem, STAND_IN};

/// What to do instead.
pub(super) const NONE: &str =
    "Flatcar has no package manager: put programs into the image, or bring them as a system extension";
/// Of a call that installs what a baked image has.
pub(super) const BAKED: &str = "see that the image has what it installs, in the version that it asks for";
/// Of a call that installs nothing, or what goes with [`KUBERNETES`] and Flatcar has.
pub(super) const BESIDE: &str = "leave it out: footplate's image has what Kubernetes needs";

/// What a node of Kubernetes is made of.
const KUBERNETES: &[&str] =
    &["containerd", "containerd.io", "cri-tools", "kubeadm", "kubectl", "kubelet", "kubernetes-cni"];
/// What templates install beside it, and every Flatcar has or can do without.
const WITH_IT: &[&str] = &[
    "apt-transport-https",
    "bash-completion",
    "ca-certificates",
    "conntrack",
    "curl",
    "ebtables",
    "ethtool",
    "gnupg",
    "gnupg2",
    "gpg",
    "ipset",
    "iptables",
    "jq",
    "lsb-release",
    "runc",
    "socat",
    "software-properties-common",
    "wget",
];

/// What to do about a call of a package manager, by its arguments.
pub(super) fn cure(program: &str, arguments: &[&str]) -> &'static str {
    let mut words = arguments.iter().filter(|word| !word.starts_with('-'));
    let installs = match program {
        "dpkg" => arguments.iter().any(|word| ["-i", "--install", "--unpack"].contains(word)),
        "apt-key" | "apt-mark" | "apt-cache" | "add-apt-repository" | "yum-config-manager" => false,
        // An option's value may stand before it: `-o Dpkg::Options::=…`.
        _ => words.any(|word| ["install", "in", "localinstall", "reinstall"].contains(word)),
    };
    // A value of an option has `::` or is a file's; a redirection is no name.
    let names = words.filter(|word| !word.contains("::") && !word.contains(['<', '>']));
    let names: Vec<&str> = names.map(|word| name(word)).collect();
    match () {
        () if !installs => BESIDE,
        () if names.is_empty() || names.iter().any(|name| !known(name)) => NONE,
        () if names.iter().any(|name| KUBERNETES.contains(name)) => BAKED,
        () => BESIDE,
    }
}

fn known(name: &str) -> bool {
    KUBERNETES.contains(&name) || WITH_IT.contains(&name)
}

/// The name of a package without the version: `NAME=1.2.3-*`, `NAME-1.2.3`.
fn name(word: &str) -> &str {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let version = |(at, _): &(usize, &str)| {
        name[at + 1..].starts_with(|c: char| c.is_ascii_digit() || "$*".contains(c))
    };
    name.match_indices('-').find(version).map_or(name, |(at, _)| &name[..at])
}

/// Where nothing of Kubernetes is installed, there is nothing that the rest goes with: a package manager is what the data should not
/// call.
pub fn settle(problems: &mut Vec<Problem>) {
    if problems.iter().any(|p| p.code == STAND_IN && p.cure.as_deref() == Some(BAKED)) {
        return;
    }
    for problem in problems.iter_mut().filter(|p| p.code == STAND_IN) {
        let name = problem.what.split(' ').next().unwrap_or_default();
        *problem = Problem {
            severity: problem.severity,
            within: problem.within,
            pos: problem.pos,
            ..absent(&problem.place, name, NONE)
        };
    }
    // What a program's several calls mean is the same then.
    let mut told = HashSet::new();
    problems.retain(|p| p.code != PACKAGE_MANAGER || told.insert((p.place.clone(), p.what.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_decides() {
        let cases = [
            ("apt-get update", BESIDE),
            ("apt-get install -y kubelet=1.34.1-* kubeadm kubectl", BAKED),
            ("apt-get -o Dpkg::Options::=--force-confold install -y containerd.io", BAKED),
            ("yum install -y kubelet-1.34.1 --disableexcludes=kubernetes", BAKED),
            ("dnf install -y kubeadm-${VERSION}", BAKED),
            ("apt-get install -y kubeadm nginx", NONE),
            ("apt-get install -y $PACKAGES", NONE),
            ("apt-get install", NONE),
            ("apt-get install -y socat conntrack", BESIDE),
            ("zypper -n in jq", BESIDE),
            ("zypper -n in nfs-client", NONE),
            ("dpkg -i x.deb", NONE),
            ("dpkg --print-architecture", BESIDE),
            ("apt-mark hold kubelet", BESIDE),
        ];
        for (line, want) in cases {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(cure(words[0], &words[1..]), want, "{line}");
        }
    }
}
