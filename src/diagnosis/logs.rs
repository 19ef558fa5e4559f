// SPDX-License-Identifier: Apache-2.0
//! Causes that a part of the node names in its own log, where kubeadm only says that the part does not come up.

use super::causes::{Cause, Says, cause};

/// Whose log has a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Each log.
    Any,
    /// The kubelet's.
    Kubelet,
    /// Those of the control plane's containers.
    Containers,
    /// That of the container of this name.
    Container(&'static str),
}

/// The causes, each with the log that has its text. Of a line, the first that it names decides.
pub(super) const LOGS: &[(Of, Cause)] = &[
    (
        Of::Kubelet,
        Cause {
            beside: &["sandbox image", "pause"],
            ..cause(
                "containerd/sandbox-image",
                &["failed to get sandbox image", "failed to pull image", "failed to pull sandbox image"],
                "containerd can't get the image of the pods' sandbox (pause)",
                "bake the pause image that containerd names (`containerd config dump`), or see that its registry can be reached",
            )
        },
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/cgroup-driver",
            &[
                "is different from docker cgroup driver",
                "misconfiguration: kubelet cgroup driver",
                "expected cgroupspath to be of format",
                "did not receive slice as parent",
            ],
            "the kubelet and containerd use different cgroup drivers",
            "set cgroupDriver: systemd for the kubelet and SystemdCgroup = true for containerd's runc",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/cgroup-v1",
            &["failcgroupv1", "not run on a host using cgroup v1", "cgroup v1 support is unsupported"],
            "the machine runs with cgroup version 1, which this kubelet refuses",
            "take `systemd.unified_cgroup_hierarchy=0` and `SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1` from the kernel's command line",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/reserved",
            &[
                "invalid node allocatable configuration",
                "determined by node allocatable feature",
                "reserved cpu resources for static policy",
                "could not restore state from checkpoint",
            ],
            "what the kubelet reserves, or its CPU or memory policy, does not fit this machine",
            "compare kubeReserved, systemReserved, reservedMemory and evictionHard with the machine's memory and processors; a sealed image has no /var/lib/kubelet/cpu_manager_state",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/cgroups",
            &[
                "failed to start containermanager",
                "failed to initialize top level qos containers",
                "invalid kernel flag",
                "failed to get the kubelet's cgroup",
                "no cgroup mount found",
                "cgroups not mounted",
                "cgroup mountpoint does not exist",
                "has some missing",
                "invalid configuration: cgroup",
                "too many open files",
            ],
            "the kubelet can't set up its cgroups or kernel settings",
            "look at `journalctl -u kubelet`, and at `stat -fc %T /sys/fs/cgroup`: cgroup version 2 is cgroup2fs",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/swap",
            &["running with swap on is not supported"],
            "the kubelet does not start while swap is on",
            "take the swap out of the image, or set failSwapOn: false for the kubelet",
        ),
    ),
    (
        Of::Kubelet,
        Cause {
            beside: &["kubelet.config.k8s.io"],
            ..cause(
                "kubelet/config-version",
                &["is registered for version"],
                "the kubelet's configuration is of an API version that this kubelet does not know",
                "bake the kubelet and kubeadm of one Kubernetes version",
            )
        },
    ),
    (
        Of::Kubelet,
        Cause {
            when: |line| !line.contains("bootstrap client config"),
            ..cause(
                "kubelet/config",
                &[
                    "failed to load kubelet config file",
                    "failed to validate kubelet configuration",
                    "failed to decode kubelet config",
                    "failed to merge kubelet configs",
                    "not known to be namespaced",
                    "invalid configuration:",
                ],
                "the kubelet's configuration can't be read or has a wrong value",
                "look at `journalctl -u kubelet` and at /var/lib/kubelet/config.yaml: kubeadm writes it from the KubeletConfiguration",
            )
        },
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/credential-provider",
            &["failed to register cri auth plugins", "plugin binary executable"],
            "the program that gets the kubelet credentials for registries, or its configuration, is not where the kubelet looks",
            "bake the program into the directory that --image-credential-provider-bin-dir names, and see that the data writes the file of --image-credential-provider-config",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/unknown-flag",
            &[
                "unknown flag:",
                "failed to parse kubelet flag",
                "unknown shorthand flag",
                "flag provided but not defined",
                "unrecognized feature gate",
                "bad --node-ip",
                "built-in cloud providers are disabled",
                "could not init cloud provider",
                "labels specified with --node-labels",
            ],
            "the kubelet is started with a flag or a value that it does not take",
            "look at kubeletExtraArgs, featureGates, /var/lib/kubelet/kubeadm-flags.env and /etc/default/kubelet: newer versions removed flags, features and cloud providers",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/port-taken",
            &["bind: address already in use"],
            "a port of the kubelet is taken",
            "see which program listens on 10248 and 10250: `ss -ltnp`",
        ),
    ),
    (
        Of::Kubelet,
        cause(
            "kubelet/client-ca",
            &["unable to load client ca file"],
            "the kubelet does not find the cluster's CA",
            "see that kubeadm or the data writes /etc/kubernetes/pki/ca.crt",
        ),
    ),
    (
        Of::Kubelet,
        Cause {
            beside: &["sock", "dial unix", "container runtime"],
            // It answers, and has no CRI plugin.
            when: |line| !line.contains("unknown service runtime."),
            ..cause(
                "kubelet/no-containerd",
                &[
                    "validate service connection",
                    "failed to run kubelet",
                    "container runtime is down",
                    "runtime endpoint address was not specified",
                ],
                "the kubelet can't use containerd",
                "look at `systemctl status containerd`, and at containerRuntimeEndpoint",
            )
        },
    ),
    (
        Of::Container("etcd"),
        cause(
            "etcd/other-cluster",
            &[
                "cluster id mismatch",
                "has already been bootstrapped",
                "member count is unequal",
                "unmatched member while checking peerurls",
                "permanently removed from the cluster",
            ],
            "this machine's etcd has data or members of another cluster",
            "seal the image that this node was made from: /var/lib/etcd must be empty",
        ),
    ),
    (
        Of::Container("etcd"),
        cause(
            "etcd/data-damaged",
            &[
                "crc mismatch",
                "wal: file not found",
                "failed to recover v3 backend",
                "snap: no available snapshot",
            ],
            "the data of this machine's etcd is damaged",
            "remove this machine's member from etcd, and delete its Machine",
        ),
    ),
    (
        Of::Container("etcd"),
        Cause {
            says: Says::Part,
            // That a request took too long is said on good disks too, and may be the network's fault.
            ..cause(
                "etcd/slow-disk",
                &["slow fdatasync", "wal: sync duration of", "overloaded likely from slow disk"],
                "the disk of this machine's etcd is too slow: a write takes more than a second, or members get no heartbeat in time",
                "give /var/lib/etcd a faster disk of its own (an SSD), and see what else writes to it",
            )
        },
    ),
    (
        Of::Any,
        cause(
            "control-plane/disk-full",
            &["no space left on device"],
            "a disk is full, and a container of the control plane does not start",
            "make room: `df` and `df -i` tell which file system is full",
        ),
    ),
    (
        Of::Containers,
        cause(
            "control-plane/unknown-flag",
            &[
                "unknown flag:",
                "invalid argument \"",
                "flag provided but not defined",
                "required flag",
                "invalid port value",
                "invalid authorization config",
                "unrecognized feature gate",
            ],
            "a container of the control plane is started with a flag or a value that it does not take, or without one that it needs",
            "look at extraArgs of apiServer, controllerManager, scheduler and etcd: newer versions removed flags and features",
        ),
    ),
    (
        Of::Containers,
        cause(
            "control-plane/address",
            &["bind: cannot assign requested address", "bind: address already in use"],
            "a container of the control plane can't listen: the address is not this machine's, or its port is taken",
            "compare localAPIEndpoint.advertiseAddress with `ip address`, and look at `ss -ltnp`",
        ),
    ),
    (
        Of::Any,
        Cause {
            beside: &["/etc/", "/var/", "/srv/"],
            // The kubelet misses files of others too.
            when: |line| {
                [" stderr ", " stdout ", "hostpath type check failed"].iter().any(|t| line.contains(t))
            },
            ..cause(
                "control-plane/file",
                &[
                    "no such file or directory",
                    "permission denied",
                    "is a directory",
                    "without desired file permission",
                    "hostpath type check failed",
                ],
                "a container of the control plane can't read one of its files",
                "see that the data writes the files that extraArgs name, and that extraVolumes mounts them",
            )
        },
    ),
    (
        Of::Containers,
        Cause {
            beside: &["\"command failed\" err=", " stderr f error: "],
            ..cause(
                "control-plane/config",
                &[
                    "invalid value: ",
                    "strict decoding error",
                    "is registered for version",
                    "error while parsing",
                ],
                "a container of the control plane does not take what a file or a flag of it says",
                "look at the end of its log, which names the field: `crictl ps -a`, then `crictl logs`; and at the files that extraArgs name (encryption, audit, authentication, admission)",
            )
        },
    ),
    (
        Of::Container("kube-apiserver"),
        Cause {
            // The address may stand on a line before.
            beside: &[":2379", "desc = \"transport: "],
            when: |line| !line.contains("dial unix"),
            ..cause(
                "control-plane/etcd",
                &[
                    "connection refused",
                    "deadline exceeded",
                    "error while dialing",
                    "authentication handshake failed",
                ],
                "this machine's kube-apiserver does not reach etcd",
                "look at etcd's log: `crictl ps -a --name etcd`, then `crictl logs`",
            )
        },
    ),
    (
        Of::Kubelet,
        Cause {
            says: Says::Part,
            ..cause(
                "containerd/no-container",
                &[
                    "failed to create containerd task",
                    "failed to create shim task",
                    "oci runtime create failed",
                ],
                "containerd can't start a container",
                "look at `journalctl -u kubelet`: the line with `failed to create` ends with the reason",
            )
        },
    ),
    (
        Of::Kubelet,
        Cause {
            says: Says::Part,
            ..cause(
                "kubelet/crash-loop",
                &["restart counter is at", "main process exited", "start request repeated too quickly"],
                "the kubelet starts and ends again and again",
                "look at the last lines of `journalctl -u kubelet`",
            )
        },
    ),
];
