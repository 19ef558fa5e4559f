// SPDX-License-Identifier: Apache-2.0
//! What a cause is, and the causes that a part of this machine names. The texts are those of kubeadm 1.20 to 1.37 and of what it calls.

use super::call::CALL;
use super::cluster::CLUSTER;
use super::preflight::PREFLIGHT;

/// How much a cause says of a failure, what says most first: what a log says counts where it says as much as kubeadm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// What is wrong.
    What,
    /// What was waited for. It may have come: the line is there before anything is known of it.
    Waited,
    /// Which part does not come up.
    Part,
    /// Only that something failed.
    Little,
}

impl Says {
    /// Whether it says nothing where another cause is known.
    pub fn is_vague(self) -> bool {
        matches!(self, Self::Waited | Self::Little)
    }
}

/// A cause of a failed bootstrap.
pub(super) struct Cause {
    /// The stable code that programs go by.
    pub code: &'static str,
    /// What a line has, in lower case; one of them is enough.
    pub texts: &'static [&'static str],
    /// What the same line has beside it, which tells whose text it is; one of them is enough, and none are needed where the list
    /// is empty.
    pub beside: &'static [&'static str],
    /// What else must be so of the line.
    pub when: fn(&str) -> bool,
    /// How much it says.
    pub says: Says,
    /// What that means.
    pub what: &'static str,
    /// What to do.
    pub cure: &'static str,
}

impl Cause {
    /// Whether a line, in lower case, names it.
    pub fn is_named_by(&self, line: &str) -> bool {
        let has = |texts: &[&str]| texts.iter().any(|text| line.contains(text));
        has(self.texts) && (self.beside.is_empty() || has(self.beside)) && (self.when)(line)
    }
}

pub(super) const fn cause(
    code: &'static str,
    texts: &'static [&'static str],
    what: &'static str,
    cure: &'static str,
) -> Cause {
    Cause { code, texts, beside: &[], when: |_| true, says: Says::What, what, cure }
}

/// All causes. Of a line, the first that it names decides, so what is about one part of the machine stands before what is about the
/// API server, and a cause before what follows from it.
pub(super) fn all() -> impl Iterator<Item = &'static Cause> {
    CALL.iter().chain(MACHINE).chain(CLUSTER).chain(PREFLIGHT)
}

/// Whether a line says that a part does not come up, and not that the way to it is wrong.
fn of_the_part(line: &str) -> bool {
    !["x509:", "lookup ", "proxyconnect", "\": forbidden", "\": bad gateway", "\": service unavailable"]
        .iter()
        .any(|text| line.contains(text))
}

/// What a line has of an image that is not to be had; the second where only the registry is spoken of.
const PULLS: &[&str] = &["pull", "resolve reference"];

/// Causes that a part of this machine names: containerd, images, etcd, disks, kubelet, control plane.
pub(super) const MACHINE: &[Cause] = &[
    cause(
        "containerd/several-sockets",
        &["multiple cri endpoints", "multiple cri sockets"],
        "more than one container runtime runs here, and kubeadm is not told which to use",
        "set nodeRegistration.criSocket to unix:///run/containerd/containerd.sock",
    ),
    cause(
        "containerd/cri-disabled",
        &["unknown service runtime."],
        "containerd runs without its CRI plugin",
        "take `cri` out of `disabled_plugins` in /etc/containerd/config.toml",
    ),
    Cause {
        beside: &["[error cri]", "[error imagepull]", "container runtime"],
        ..cause(
            "containerd/wrong-socket",
            &["dockershim.sock", "crio.sock", "cri-dockerd.sock", "docker is required"],
            "kubeadm looks for another container runtime than containerd",
            "set nodeRegistration.criSocket to unix:///run/containerd/containerd.sock",
        )
    },
    Cause {
        beside: &["container runtime", "cri ", "cri]", "unix:", "containerd.sock"],
        ..cause(
            "containerd/not-running",
            &[
                "container runtime is not running",
                "connect: connection refused",
                "connect: no such file or directory",
                "dial unix",
            ],
            "containerd does not run",
            "look at `systemctl status containerd`, and at nodeRegistration.criSocket",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/unauthorised",
            &[
                "401 unauthorized",
                "403 forbidden",
                "pull access denied",
                "authorization failed",
                "unauthorized",
            ],
            "the registry does not let this machine pull an image",
            "give containerd the registry's credentials, or bake the images",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/rate-limit",
            &["toomanyrequests", "too many requests"],
            "the registry limits how often this machine may pull",
            "use a mirror or credentials, or bake the images",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/certificate",
            &["x509:"],
            "the registry's certificate is not trusted",
            "give containerd the registry's CA in /etc/containerd/certs.d, and compare the clock: `timedatectl`",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/registry-not-tls",
            &["http response to https client", "does not look like a tls handshake"],
            "the registry does not speak TLS",
            "write `http://` for it in /etc/containerd/certs.d, or give it a certificate",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/proxy",
            &[
                "proxyconnect",
                "proxy authentication required",
                "\": forbidden",
                "\": bad gateway",
                "\": service unavailable",
                "\": gateway timeout",
            ],
            "the proxy between containerd and a registry does not work",
            "mend HTTPS_PROXY and NO_PROXY in containerd's drop-in, or bake the images",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/registry-not-reached",
            &[
                "no such host",
                "server misbehaving",
                "connection refused",
                "no route to host",
                "network is unreachable",
                "timeout",
                "timed out",
                "deadline exceeded",
                "connection reset",
                ": eof",
                "lookup ",
            ],
            "the registry of an image can't be reached",
            "see that the registry or its mirror has a name and a route here, or bake the images",
        )
    },
    Cause {
        beside: PULLS,
        ..cause(
            "image/not-found",
            &["not found", "manifest unknown"],
            "the registry does not have an image",
            "compare imageRepository and the Kubernetes version with what the registry has",
        )
    },
    Cause {
        when: |line| !line.contains("no space left on device"),
        ..cause(
            "image/not-pulled",
            &["[error imagepull", "failed to pull image"],
            "an image can't be pulled",
            "see that the registry can be reached, or bake the images",
        )
    },
    cause(
        "containerd/too-old",
        &["supports the cri method runtimeconfig"],
        "containerd is too old for this version of Kubernetes: it does not tell the kubelet which cgroup driver it uses",
        "bake containerd 2.0 or newer",
    ),
    cause(
        "containerd/no-answer",
        &["[error cri]", "cri runtime service", "cri image service", "[error containerruntimeversion"],
        "containerd does not answer",
        "look at `systemctl status containerd`, and at nodeRegistration.criSocket",
    ),
    cause(
        "preflight/etcd-version",
        &["[error externaletcd"],
        "the external etcd can't be asked for its version, or its version does not fit",
        "see that etcd.external has the right endpoints, and that its certificates are on this machine",
    ),
    Cause {
        beside: &["etcd"],
        ..cause(
            "etcd/quorum",
            &["not enough started members", "unhealthy cluster"],
            "etcd takes no member: too few of its members run",
            "see that the members of other control planes run: `crictl ps` there, and remove members of machines that are gone",
        )
    },
    cause(
        "etcd/database-full",
        &["database space exceeded"],
        "etcd's database has reached its quota",
        "compact and defragment it on a control plane that runs: `etcdctl defrag`, then `etcdctl alarm disarm`",
    ),
    cause(
        "etcd/member-exists",
        &["peer urls already exists", "member with duplicate", "peerurl exists"],
        "etcd has a member of this address already",
        "remove the member of the machine that had this address",
    ),
    Cause {
        beside: &["etcd"],
        // Its manifest and its certificates are not on its disk.
        when: |line| !line.contains("pull image") && !line.contains("/etc/kubernetes"),
        ..cause(
            "etcd/disk",
            &["no space left on device"],
            "etcd's disk is full",
            "make /var/lib/etcd larger, or free it",
        )
    },
    Cause {
        beside: &["etcd member"],
        says: Says::Part,
        ..cause(
            "etcd/not-started",
            &["is not started"],
            "this machine's etcd does not start",
            "look at `journalctl -u kubelet` and at its container's log: `crictl ps -a --name etcd`, then `crictl logs`",
        )
    },
    Cause {
        says: Says::Part,
        // The API server is asked where etcd is.
        when: |line| !line.contains("/api/v1/") && !line.contains("is forbidden: user"),
        ..cause(
            "etcd/not-healthy",
            &[
                "etcd cluster is not healthy",
                "etcdserver:",
                "error syncing endpoints with etcd",
                "etcd is not healthy",
                "etcd check failed",
                "waiting for etcd cluster",
                "failed to dial endpoint",
                "retrieve the list of etcd endpoints",
            ],
            "etcd does not answer or refuses this machine",
            "look at etcd's log on the other control planes: `crictl logs`",
        )
    },
    cause(
        "disk/full",
        &["no space left on device", "disk quota exceeded"],
        "a disk is full",
        "make room: `df` and `df -i` tell which file system is full",
    ),
    cause(
        "disk/read-only",
        &["read-only file system"],
        "a path is on a file system that can't be written",
        "move the path below /etc, /opt or /var: /usr is read-only on Flatcar",
    ),
    Cause {
        beside: &["kubelet"],
        ..cause(
            "kubelet/missing",
            &["executable file not found"],
            "there is no kubelet on this machine",
            "bake the kubelet into /opt/bin",
        )
    },
    Cause {
        says: Says::Part,
        ..cause(
            "kubelet/not-up",
            &[
                ":10248/healthz",
                "http call equal to 'curl -ssl http://",
                "the kubelet is not healthy",
                "kubelet isn't running or healthy",
                "the kubelet is not running",
            ],
            "the kubelet does not come up",
            "look at `journalctl -u kubelet`",
        )
    },
    Cause {
        says: Says::Waited,
        ..cause(
            "kubelet/no-certificate",
            // And a kubelet that began anew without it.
            &[
                "perform the tls bootstrap",
                "unable to read existing bootstrap client config",
                "unable to load bootstrap kubeconfig",
            ],
            "the kubelet got no certificate from the API server in time",
            "look at `journalctl -u kubelet`: the API server may not be reached, or the token may have expired",
        )
    },
    Cause {
        says: Says::Part,
        when: of_the_part,
        ..cause(
            "control-plane/api-server",
            &[
                "cannot obtain client without bootstrap",
                "kube-apiserver check failed",
                "kube-apiserver is not healthy",
                "the api server is not healthy",
                // Its last words in its own log, of 1.20 and newer.
                " stderr f error: ",
                "\"command failed\" err=",
            ],
            "this machine's kube-apiserver does not come up",
            "look at its container's log: `crictl ps -a --name kube-apiserver`, then `crictl logs`; where it runs, see that the endpoint (kube-vip, the load balancer) leads to it",
        )
    },
    Cause {
        says: Says::Part,
        // No line alone says it: `classify` sees it in two logs.
        ..cause(
            "control-plane/endpoint",
            &[],
            "this machine's kube-apiserver runs, and the cluster's endpoint does not lead to it",
            "see that kube-vip or the load balancer is up: `crictl ps -a --name kube-vip`, then `crictl logs`; from Kubernetes 1.29 on, kube-vip of the first control plane needs /etc/kubernetes/super-admin.conf",
        )
    },
    Cause {
        says: Says::Part,
        when: of_the_part,
        ..cause(
            "control-plane/controller-manager",
            &["kube-controller-manager check failed", "kube-controller-manager is not healthy"],
            "this machine's kube-controller-manager does not come up",
            "look at its container's log: `crictl ps -a --name kube-controller-manager`, then `crictl logs`",
        )
    },
    Cause {
        says: Says::Part,
        when: of_the_part,
        ..cause(
            "control-plane/scheduler",
            &["kube-scheduler check failed", "kube-scheduler is not healthy"],
            "this machine's kube-scheduler does not come up",
            "look at its container's log: `crictl ps -a --name kube-scheduler`, then `crictl logs`",
        )
    },
    Cause {
        says: Says::Little,
        ..cause(
            "control-plane/not-up",
            &[
                "couldn't initialize a kubernetes cluster",
                "could not initialize a kubernetes cluster",
                "waiting for the kubelet to boot up the control plane",
            ],
            "the control plane of this machine does not come up",
            "look at its containers: `crictl ps -a`, and at `journalctl -u kubelet`",
        )
    },
];
