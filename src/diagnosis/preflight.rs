// SPDX-License-Identifier: Apache-2.0
//! What kubeadm's checks find wrong with the machine, and what says least of all.

use super::causes::{Cause, Says, cause};

/// Causes that a check names, each where no other row knows more of what it found.
pub(super) const PREFLIGHT: &[Cause] = &[
    cause(
        "preflight/port-taken",
        &["[error port-"],
        "a port that Kubernetes needs is taken",
        "see which program listens: `ss -ltnp`",
    ),
    cause(
        "preflight/files-in-the-way",
        &[
            "[error fileavailable",
            "[error diravailable",
            "exists already but has got the wrong",
            "exists but does not contain a valid",
        ],
        "files of an earlier bootstrap are in the way",
        "seal the image that this node was made from",
    ),
    cause("preflight/swap", &["[error swap]"], "swap is on", "take the swap out of the image"),
    Cause {
        beside: &["[error filecontent"],
        ..cause(
            "preflight/ip-forward",
            &["ip_forward", "forwarding"],
            "IP forwarding is off",
            "set net.ipv4.ip_forward = 1, and for IPv6 net.ipv6.conf.default.forwarding = 1, in a file of /etc/sysctl.d: `footplate bake` writes one",
        )
    },
    Cause {
        beside: &["[error filecontent"],
        ..cause(
            "preflight/br-netfilter",
            &["bridge-nf-call"],
            "the module br_netfilter is not loaded",
            "name br_netfilter in a file of /etc/modules-load.d: `footplate bake` writes one",
        )
    },
    cause(
        "preflight/cpus",
        &["[error numcpu]"],
        "the machine has too few processors",
        "give the machine two processors or more: a larger type, or more vCPUs",
    ),
    cause(
        "preflight/memory",
        &["[error mem]"],
        "the machine has too little memory",
        "give the machine 2 GiB of memory or more",
    ),
    cause(
        "preflight/program-missing",
        &["[error fileexisting", "executable file not found in $path"],
        "a program that Kubernetes needs is missing",
        "bake the program into /opt/bin",
    ),
    cause(
        "preflight/version-skew",
        &[
            "[error kubeletversion]",
            "[error kubernetesversion]",
            "not a supported version skew",
            "configmaps \"kubelet-config",
            "only supports deploying clusters with the control plane version",
        ],
        "the versions of kubeadm, the kubelet and the control plane do not fit together",
        "bake the Kubernetes version that the cluster asks for",
    ),
    cause(
        "preflight/cgroup-v1",
        &["cgroups v1 support", "failcgroupv1"],
        "the machine runs with cgroup version 1, which this kubelet refuses",
        "take `systemd.unified_cgroup_hierarchy=0` from the kernel's command line",
    ),
    cause(
        "preflight/cgroups",
        &["missing required cgroups", "cgroup driver"],
        "the kernel's cgroups are not as the kubelet needs them",
        "see `systemd-detect-virt` and the kernel's command line: the image wants cgroup version 2 and systemd's driver",
    ),
    cause(
        "preflight/kernel",
        &["[error systemverification]"],
        "the kernel lacks what Kubernetes needs",
        "look at kubeadm's own words in the journal",
    ),
    cause(
        "preflight/not-root",
        &["[error isprivilegeduser]"],
        "kubeadm does not run as root",
        "start it by kubeadm.service",
    ),
    Cause {
        says: Says::Little,
        ..cause(
            "preflight/other",
            &["[error "],
            "kubeadm's checks found fault with this machine",
            "look at kubeadm's own words in the journal",
        )
    },
    Cause {
        says: Says::Little,
        ..cause(
            "endpoint/timed-out",
            &["timed out waiting for the condition", "timed out while waiting for the api"],
            "kubeadm waited too long, and does not say what for",
            "look at `journalctl -u kubelet`, and see that the control plane's endpoint is up",
        )
    },
];
