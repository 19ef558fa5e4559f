// SPDX-License-Identifier: Apache-2.0
//! Causes that lie in the call: kubeadm itself, its command line and its configuration.

use super::causes::{Cause, cause};

/// Causes that kubeadm, or the shell that calls it, names before kubeadm looks at the machine.
pub(super) const CALL: &[Cause] = &[
    cause(
        "kubeadm/missing",
        &[
            "kubeadm: not found",
            "kubeadm: command not found",
            "kubeadm: no such file or directory",
            "kubeadm': no such file or directory",
            "kubeadm’: no such file or directory",
        ],
        "there is no kubeadm on this machine",
        "bake kubeadm into /opt/bin",
    ),
    Cause {
        // The last is how bash names the call that footplate's script makes.
        beside: &["kubeadm join", "kubeadm init", "footplate_kubeadm="],
        ..cause(
            "kubeadm/killed",
            &["killed"],
            "kubeadm was killed: memory may have run out",
            "look for `Out of memory` in `journalctl -k`, and give the machine more memory",
        )
    },
    Cause {
        beside: &["kubeadm: ", "kubeadm': ", "kubeadm’: "],
        ..cause(
            "kubeadm/not-executable",
            &[
                ": permission denied",
                "bad interpreter: ",
                "required file not found",
                "kubeadm: line 1: ",
                "kubeadm: 1: ",
                ": syntax error",
            ],
            "kubeadm can't be run: its file is not a program, is not executable, lacks the interpreter that it names, or is on a file system that is mounted with noexec",
            "bake the program again, with mode 0755, and look at `head -c 200 /opt/bin/kubeadm` and `findmnt -T /opt/bin/kubeadm`",
        )
    },
    cause(
        "kubeadm/crashed",
        &["panic: runtime error", "fatal error: ", "goroutine 1 ["],
        "kubeadm crashed",
        "look at kubeadm's own words in the journal, and bake another patch release of Kubernetes",
    ),
    cause(
        "kubeadm/usage",
        &[
            "unknown flag: ",
            "unknown shorthand flag: ",
            "flag needs an argument: ",
            "can not mix '--config' with",
            " arg(s), received ",
            "\" for \"kubeadm\"",
            "invalid argument \"",
        ],
        "kubeadm does not know a word, a flag or a value of its command line, or does not take them together",
        "look at the kubeadm command in the bootstrap data: newer versions removed flags, and `--config` replaces most of them",
    ),
    cause(
        "kubeadm/wrong-architecture",
        &["exec format error"],
        "a program is built for another architecture, or was cut off when it was fetched",
        "bake the programs of this machine's architecture: `footplate verify` names those that are not",
    ),
    cause(
        "config/api-version-too-old",
        &["uses an old api spec"],
        "the kubeadm configuration is of an API version that this kubeadm does not read any more",
        "bake the Kubernetes version that the cluster asks for: Cluster API writes the API version by it",
    ),
    cause(
        "config/api-version-too-new",
        &["is registered for version \"", "experimental api spec", "unsupported apiversion \""],
        "the kubeadm configuration is of an API version that this kubeadm does not know",
        "bake the Kubernetes version that the cluster asks for: this kubeadm is older than its configuration",
    ),
    cause(
        "config/unknown-field",
        &["strict decoding error", "unknown field"],
        "the kubeadm configuration has a field that this kubeadm does not know",
        "look for the field in the KubeadmConfig: its name or its place is wrong for this version",
    ),
    cause(
        "config/patches",
        &[
            "could not list patch files",
            "could not apply the following patch",
            "could not apply patches",
            "could not convert patch",
            "could not split patches",
            "patched manifest",
        ],
        "kubeadm can't read or apply its patches",
        "see that the data writes the directory that patches.directory names, and that each file in it is a patch of what its name says",
    ),
    cause(
        "config/wrong-kind",
        &["kind was found", "configuration found in "],
        "the file that kubeadm reads has no configuration of the kind that the command needs",
        "see that `kubeadm init` gets an InitConfiguration or a ClusterConfiguration, and `kubeadm join` a JoinConfiguration",
    ),
    cause(
        "preflight/hostname",
        &["[error hostname]", "noderegistration.name: invalid value"],
        "the machine's name is not one that Kubernetes takes",
        "use small letters, digits, `-` and `.`: hostname, or nodeRegistration.name",
    ),
    Cause {
        // What is no mapping at all is not read.
        when: |line| !line.contains("groupversionkind;"),
        ..cause(
            "config/invalid-value",
            &[
                ": invalid value: ",
                ": required value",
                "unrecognized feature-gate key",
                "cannot unmarshal",
                "as \"apiserver-advertise-address\"",
                "parse kubernetes version",
                "doesn't match patterns for neither",
                "error found in #", // of the JSON of a kubeadm until 1.22
                "token or file must be set",
                "invalid hash \"",
                "expected a 32 byte sha-256",
                "unknown hash format",
                "was not of the form",
                "must be a valid ip address",
                ": invalid port",
                "in duration \"",
                "invalid duration \"",
            ],
            "the kubeadm configuration has a value that kubeadm does not take",
            "look at kubeadm's own words in the journal: they name the field; `footplate check` finds most of them before",
        )
    },
    cause(
        "preflight/version-from-internet",
        &[
            "kubernetes version from the internet",
            "unable to get url \"https://dl.k8s.io",
            "remote version error",
        ],
        "the configuration has no Kubernetes version, and this machine can't ask the internet for one",
        "set kubernetesVersion in the ClusterConfiguration",
    ),
    cause(
        "config/not-read",
        &[
            "unable to read config",
            "invalid configuration",
            "error unmarshaling",
            "couldn't read kubeadm config",
            "error converting yaml",
        ],
        "the kubeadm configuration can't be read",
        "see that the data writes the file that `kubeadm --config` names, and that it is YAML with a kind and an apiVersion, each kind once",
    ),
];
