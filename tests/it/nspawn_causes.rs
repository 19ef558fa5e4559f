// SPDX-License-Identifier: Apache-2.0
//! Causes of a failed bootstrap, made to happen: the real kubeadm under a real systemd meets them, and the node tells each by its code,
//! sentence and remedy, in its status, in Cluster API's file and to its platform, which is Google Cloud here.
//!
//! Only the other end of the network is played: a metadata server, and an API server that has what a join asks for. containerd, a registry
//! and etcd are Debian's, and the control plane's other programs are built of its source. A boot needs some
//! seconds, so the usual run has five of them; `CAUSES=all` has all, and `CAUSE=join/` those whose codes have this in them.
//!
//! `RECORD=1` writes what kubeadm said, and the kubelet and a container where their logs are read, to `tests/diagnosis/CODE/recorded.txt`,
//! `recorded.kubelet.log` and `recorded.CONTAINER.log`, without what differs from run to run and without warnings, which are no causes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::authority::Authority;
use crate::common::cluster::{API, Cluster, HOLDS, Network, TOKEN, map, refusal, reply};
use crate::common::debian::kubernetes;
use crate::common::node::Node;
use crate::common::scratch::{Ran, walk};
use crate::common::server::{End, Reply, Seen, Server};

mod beside;
mod cluster;
mod containers;
mod control_plane;
mod etcd;
mod images;

/// A node of Google Cloud with the real kubeadm and kubelet, and a cluster beside it.
struct Machine {
    node: Node,
    network: Network,
    cluster: Arc<Cluster>,
    metadata: Server,
    beside: beside::Beside,
}

impl Machine {
    /// A machine whose bootstrap data has these commands.
    fn new(name: &str, runcmd: &str, policy: &str) -> Self {
        let network = Network::new(name);
        let mut node = Node::new(name, "", "");
        for program in ["kubeadm", "kubelet"] {
            let (from, to) = (kubernetes().join(program), node.root.path(&format!("/opt/bin/{program}")));
            fs::write(&to, "").unwrap();
            node.mount(&["--bind", from.to_str().unwrap()], &to);
        }
        node.network = Some(network.0.clone());
        node.patience = Duration::from_secs(400);
        // A container has no log of a kernel, and the kubelet wants to read one.
        let kmsg = "[Service]\nExecStartPre=/bin/ln -sf /dev/null /dev/kmsg\n";
        node.root.put("/etc/systemd/system/kubelet.service.d/kmsg.conf", kmsg);
        node.root.put("/etc/footplate.yaml", policy);
        let said = "journalctl --no-pager --boot --output=cat --unit";
        let check = node.root.text("/opt/test/check").replace("--timeout 30", "--timeout 390")
            + &format!(
                "{said} kubeadm _TRANSPORT=stdout > /out/kubeadm.log\n{said} kubelet > /out/kubelet.log\n"
            );
        node.program("/opt/test/check", &check);
        for (unit, command) in [("footplate", "provision"), ("footplate-network", "network")] {
            let gcp =
                format!("[Service]\nExecStart=\nExecStart=/opt/bin/footplate {command} --platform gcp\n");
            node.root.put(&format!("/etc/systemd/system/{unit}.service.d/seed.conf"), gcp);
        }
        let data = format!("#cloud-config\nruncmd:\n{runcmd}");
        let tree = json!({"instance": {"id": 7411, "hostname": "node-1.example", "name": "node-1", "zone": "projects/1/zones/a-1",
            "machineType": "projects/1/machineTypes/n", "attributes": {"user-data": data}}, "project": {"projectId": "p", "attributes": {}}});
        let metadata = network.within(|| {
            Server::start("169.254.169.254:80", move |seen| match seen.method.as_str() {
                "PUT" => Reply::ok(""),
                _ if seen.path.contains("recursive=true&alt=json") => reply(200, &tree),
                _ => Reply::not_found(),
            })
        });
        let authority = Authority::new(&node.root.dir.parent().unwrap().join("authority"));
        Self {
            node,
            network,
            cluster: Arc::new(Cluster::new(authority)),
            metadata,
            beside: beside::Beside::default(),
        }
    }

    /// Starts the API server: what `special` does not answer, the cluster does.
    fn api_server(
        &self,
        names: &[&str],
        holds: (&str, &str),
        special: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.cluster.serve(&self.network, &self.cluster.authority, names, holds, special);
    }

    /// Writes kubeadm's configuration for a join; `more` stands behind it.
    fn join_config(&self, version: &str, pin: &str, more: &str) {
        let (id, secret) = TOKEN;
        let config = format!(
            "apiVersion: kubeadm.k8s.io/{version}\nkind: JoinConfiguration\nnodeRegistration:\n  name: node-1\n  \
             criSocket: /run/dbus/system_bus_socket\ndiscovery:\n  timeout: 3s\n  bootstrapToken:\n    apiServerEndpoint: {API}\n    \
             token: {id}.{secret}\n    caCertHashes: ['{pin}']\n{more}"
        );
        self.node.root.put("/opt/test/join.yaml", config);
    }

    /// What the platform was told last.
    fn told(&self) -> Value {
        let seen = self.metadata.seen();
        let last = seen.iter().rfind(|s| s.method == "PUT" && s.path.ends_with("/footplate/status"));
        last.map_or(Value::Null, |seen| serde_json::from_slice(&seen.body).unwrap())
    }
}

const JOIN: &str = "  - kubeadm join --config /opt/test/join.yaml --ignore-preflight-errors=all\n";
const INIT: &str = "  - kubeadm init --config /opt/test/init.yaml --ignore-preflight-errors=all\n";
const POLICY: &str = "waits: {api-server: 0s}\nretries: {join: 0}\n";

/// What kubeadm's checks find wrong with a container, each by its name.
const CHECKS: &[&str] = &[
    "CRI",
    "Swap",
    "NumCPU",
    "Mem",
    "SystemVerification",
    "Service-kubelet",
    "Hostname",
    "FileExisting-crictl",
    "FileExisting-conntrack",
    "FileExisting-ip",
    "FileExisting-iptables",
    "FileExisting-mount",
    "FileExisting-nsenter",
    "FileExisting-ebtables",
    "FileExisting-ethtool",
    "FileExisting-socat",
    "FileExisting-tc",
    "FileExisting-touch",
    "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables",
    "FileContent--proc-sys-net-ipv4-ip_forward",
];

/// A join that ignores all of these checks but one.
fn join_but(check: &str) -> String {
    let ignored: Vec<&str> = CHECKS.iter().copied().filter(|name| !name.contains(check)).collect();
    JOIN.replace("=all", &format!("={}", ignored.join(",")))
}

fn joins(machine: &Machine) {
    machine.join_config("v1beta2", &machine.cluster.authority.pin(), "");
}

/// A join whose API server answers all but what `special` does.
fn special(machine: &Machine, special: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
    joins(machine);
    machine.api_server(&["192.0.2.1"], HOLDS, special);
}

/// A join of a control plane.
fn control_plane(
    machine: &Machine,
    key: &str,
    with: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
) {
    let more = format!("controlPlane:\n  localAPIEndpoint: {{advertiseAddress: 192.0.2.2}}\n{key}");
    machine.join_config("v1beta2", &machine.cluster.authority.pin(), &more);
    machine.api_server(&["192.0.2.1"], HOLDS, with);
    has_images(machine);
}

const CERTIFICATE_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn key() -> String {
    format!("  certificateKey: {CERTIFICATE_KEY}\n")
}

/// Changes the configuration of a join.
fn change(machine: &Machine, from: &str, to: &str) {
    let text = machine.node.root.text("/opt/test/join.yaml");
    assert!(text.contains(from), "{text}");
    machine.node.root.put("/opt/test/join.yaml", text.replace(from, to));
}

fn init_config(machine: &Machine, version: &str, registration: &str, kubelet: &str) {
    let config = format!(
        "apiVersion: kubeadm.k8s.io/v1beta2\nkind: InitConfiguration\nlocalAPIEndpoint: {{advertiseAddress: 192.0.2.2}}\n\
         nodeRegistration:\n  name: node-1\n  criSocket: /run/dbus/system_bus_socket\n{registration}---\n\
         apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n\
         apiServer: {{timeoutForControlPlane: 8s}}\n---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n\
         cgroupDriver: systemd\n{kubelet}"
    );
    machine.node.root.put("/opt/test/init.yaml", config);
    has_images(machine);
}

/// Debian has no crictl, and a container has no images: the images are said to be there.
fn has_images(machine: &Machine) {
    machine.node.program("/opt/bin/crictl", "#!/bin/sh\n");
}

/// Puts another program in kubeadm's place.
fn kubeadm(machine: &Machine, bytes: Option<&[u8]>, mode: u32) {
    let path = machine.node.root.path("/opt/bin/kubeadm");
    Ran::of(Command::new("umount").arg(&path)).ended(0, &[]);
    fs::remove_file(&path).unwrap();
    if let Some(bytes) = bytes {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn is(seen: &Seen, name: &str) -> bool {
    seen.path.split('?').next().is_some_and(|path| path.ends_with(name))
}

/// A code, the bootstrap's commands, and what else makes that cause.
type Cause = (&'static str, String, fn(&Machine));

/// Those of the usual run.
fn common() -> Vec<Cause> {
    vec![
        ("endpoint/refused", JOIN.into(), joins),
        ("join/token-expired", JOIN.into(), |m| {
            special(m, |seen| {
                is(seen, "cluster-info").then(|| reply(200, &map("cluster-info", json!({"kubeconfig": "x"}))))
            });
        }),
        ("certificate/of-another-name", JOIN.into(), |m| {
            joins(m);
            m.api_server(&["192.0.2.9"], HOLDS, |_| None);
        }),
        ("config/api-version-too-new", JOIN.into(), |m| m.join_config("v1beta3", "sha256:0", "")),
        ("preflight/program-missing", join_but("crictl"), joins),
    ]
}

fn endpoints() -> Vec<Cause> {
    vec![
        ("endpoint/no-route", JOIN.into(), |m| {
            joins(m);
            change(m, API, "203.0.113.9:6443");
        }),
        ("endpoint/no-name-server", JOIN.into(), |m| {
            joins(m);
            change(m, API, "api.blue.example:6443");
            fs::remove_file(m.node.root.path("/etc/resolv.conf")).unwrap();
            m.node.root.put("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        }),
        ("endpoint/not-tls", JOIN.into(), |m| {
            joins(m);
            m.network.listens(API, b"HTTP/1.0 400 Bad Request\r\n\r\n", true);
        }),
        ("endpoint/no-answer", JOIN.into(), |m| {
            joins(m);
            m.network.listens(API, b"", false);
        }),
        ("endpoint/not-ready", JOIN.into(), |m| {
            special(m, |_| Some(Reply::status(503, "", "no server is ready\n")))
        }),
        ("endpoint/not-an-api-server", JOIN.into(), |m| special(m, |_| Some(Reply::not_found()))),
        ("endpoint/proxy", format!("  - export https_proxy=http://127.0.0.1:9\n{JOIN}"), |m| {
            special(m, |_| None)
        }),
        ("endpoint/no-default-route", "  - kubeadm init\n".into(), |_| {}),
        ("certificate/unknown-authority", JOIN.into(), |m| {
            joins(m);
            let other = Authority::new(&m.node.root.dir.parent().unwrap().join("other"));
            m.cluster.serve(&m.network, &other, &["192.0.2.1"], HOLDS, |_| None);
        }),
        ("certificate/expired", JOIN.into(), |m| {
            joins(m);
            m.api_server(&["192.0.2.1"], ("20200101", "20210101"), |_| None);
        }),
        ("certificate/not-yet-valid", JOIN.into(), |m| {
            joins(m);
            m.api_server(&["192.0.2.1"], ("20450101", "20460101"), |_| None);
        }),
    ]
}

fn tokens() -> Vec<Cause> {
    vec![
        ("join/no-cluster-info", JOIN.into(), |m| {
            special(m, |seen| {
                is(seen, "cluster-info")
                    .then(|| refusal(404, "NotFound", "configmaps \"cluster-info\" not found"))
            });
        }),
        ("join/token-of-another-cluster", JOIN.into(), |m| {
            let info = m.cluster.info("aaaabbbbccccdddd");
            special(m, move |seen| is(seen, "cluster-info").then(|| reply(200, &info)));
        }),
        ("join/ca-hash-mismatch", JOIN.into(), |m| {
            m.join_config("v1beta2", &format!("sha256:{}", "1".repeat(64)), "");
            m.api_server(&["192.0.2.1"], HOLDS, |_| None);
        }),
        ("join/not-permitted", JOIN.into(), |m| {
            special(m, |seen| {
                let says = "configmaps \"kubeadm-config\" is forbidden: User \"system:bootstrap:c0ffee\" cannot get resource \"configmaps\" in API group \"\" in the namespace \"kube-system\"";
                is(seen, "kubeadm-config").then(|| refusal(403, "Forbidden", says))
            });
        }),
        ("join/token-refused", JOIN.into(), |m| {
            special(m, |seen| {
                is(seen, "kubeadm-config").then(|| refusal(401, "Unauthorized", "Unauthorized"))
            });
        }),
        ("join/certificates-expired", JOIN.into(), |m| control_plane(m, &key(), |_| None)),
        ("join/certificates-incomplete", JOIN.into(), |m| {
            let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "kubeadm-certs", "namespace": "kube-system"}, "data": {}});
            control_plane(m, &key(), move |seen| is(seen, "kubeadm-certs").then(|| reply(200, &secret)));
        }),
        ("join/certificate-key-wrong", JOIN.into(), |m| {
            let names = ["ca", "front-proxy-ca", "etcd-ca"]
                .map(|n| [format!("{n}.crt"), format!("{n}.key")])
                .concat();
            let names = names.into_iter().chain(["sa.pub".to_owned(), "sa.key".to_owned()]);
            let data: BTreeMap<String, String> = names.map(|name| (name, STANDARD.encode([7; 64]))).collect();
            let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "kubeadm-certs", "namespace": "kube-system"}, "data": data});
            control_plane(m, &key(), move |seen| is(seen, "kubeadm-certs").then(|| reply(200, &secret)));
        }),
        ("certificate/missing", JOIN.into(), |m| control_plane(m, "", |_| None)),
        ("join/not-a-control-plane", JOIN.into(), |m| {
            let cluster = "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: v1.20.2\n";
            let status = "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\n";
            let config =
                map("kubeadm-config", json!({"ClusterConfiguration": cluster, "ClusterStatus": status}));
            control_plane(m, "", move |seen| is(seen, "kubeadm-config").then(|| reply(200, &config)));
        }),
        ("node/name-taken", JOIN.into(), |m| {
            let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node-1"},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
            special(m, move |seen| is(seen, "nodes/node-1").then(|| reply(200, &node)));
        }),
    ]
}

/// A join whose unit has this setting. A container of Debian's has no `mount`.
fn disk(machine: &Machine, setting: &str) {
    special(machine, |_| None);
    machine.node.root.put("/etc/kubernetes/.keep", "");
    machine
        .node
        .root
        .put("/etc/systemd/system/kubeadm.service.d/disk.conf", format!("[Service]\n{setting}\n"));
}

fn of_the_machine() -> Vec<Cause> {
    let full = "  - head -c 4096 /dev/zero > /etc/kubernetes/full\n";
    vec![
        ("config/wrong-kind", JOIN.replace("join --", "init --"), |m| joins(m)),
        ("config/invalid-value", JOIN.into(), |m| {
            joins(m);
            change(m, TOKEN.1, "short");
        }),
        ("config/not-read", JOIN.into(), |_| {}),
        ("kubeadm/missing", JOIN.into(), |m| kubeadm(m, None, 0)),
        ("kubeadm/not-executable", JOIN.into(), |m| kubeadm(m, Some(b"x"), 0o644)),
        ("kubeadm/wrong-architecture", JOIN.into(), |m| {
            let mut head = fs::read(m.node.root.path("/opt/bin/kubeadm")).unwrap()[..4096].to_vec();
            // The field of an ELF's header that names the machine: AArch64.
            head[18] = 0xb7;
            kubeadm(m, Some(&head), 0o755);
        }),
        ("kubeadm/usage", "  - kubeadm join 192.0.2.1:6443 --experimental-control-plane\n".into(), |_| {}),
        ("preflight/ip-forward", join_but("ip_forward"), joins),
        ("preflight/port-taken", join_but("-"), |m| {
            joins(m);
            m.network.listens("0.0.0.0:10250", b"", true);
        }),
        ("preflight/files-in-the-way", join_but("-"), |m| {
            joins(m);
            m.node.root.put("/etc/kubernetes/pki/ca.crt", "x");
        }),
        (
            "preflight/cpus",
            INIT.replace("=all", &format!("={}", CHECKS.join(","))).replace(",NumCPU", ""),
            |m| {
                init_config(m, "v1.20.2", "", "");
                m.node
                    .root
                    .put("/etc/systemd/system/kubeadm.service.d/one.conf", "[Service]\nCPUAffinity=0\n");
            },
        ),
        ("preflight/hostname", JOIN.into(), |m| {
            joins(m);
            change(m, "name: node-1", "name: Node_1");
        }),
        ("preflight/version-skew", INIT.into(), |m| init_config(m, "v1.15.0", "", "")),
        ("disk/full", format!("{full}{JOIN}"), |m| disk(m, "TemporaryFileSystem=/etc/kubernetes:size=4k")),
        ("disk/read-only", JOIN.into(), |m| disk(m, "ReadOnlyPaths=/etc/kubernetes")),
        ("kubelet/unknown-flag", INIT.into(), |m| {
            init_config(m, "v1.20.2", "  kubeletExtraArgs: {no-such-flag: x}\n", "")
        }),
        ("kubelet/config", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "imageGCHighThresholdPercent: 101\n")
        }),
        ("kubelet/no-containerd", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            let text = m.node.root.text("/opt/test/init.yaml");
            m.node.root.put(
                "/opt/test/init.yaml",
                text.replace("/run/dbus/system_bus_socket", "/run/containerd/containerd.sock"),
            );
        }),
        ("bootstrap/timeout", JOIN.into(), |m| {
            joins(m);
            change(m, "timeout: 3s", "timeout: 5m");
            m.network.listens(API, b"", false);
            m.node
                .root
                .put("/etc/systemd/system/kubeadm.service.d/soon.conf", "[Service]\nTimeoutStartSec=8\n");
        }),
    ]
}

/// Puts an authority's certificate into the control plane's files, and what the script makes of it in openssl's words: `ca.pem`, `ca.key`.
fn pki(machine: &Machine, script: &str) {
    let dir = machine.cluster.authority.bundle().with_file_name("");
    let to = machine.node.root.path("/etc/kubernetes/pki");
    fs::create_dir_all(&to).unwrap();
    let script = format!(
        "issue() {{ openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout \"$PKI/$1.key\" -out a.csr; \
         printf '%s\\n' \"$4\" > a.ext; openssl x509 -req -days 1 -in a.csr -CA \"$2\" -CAkey \"$3\" -CAcreateserial \
         -extfile a.ext -out \"$PKI/$1.crt\"; }}\ncp ca.pem \"$PKI/ca.crt\"\ncp ca.key \"$PKI/ca.key\"\n{script}"
    );
    Ran::of(Command::new("sh").args(["-ec", &script]).env("PKI", to).current_dir(dir)).ended(0, &[]);
}

/// A join that asks for a name, of which the only name server says that there is none.
fn no_such_name(machine: &Machine, name: &'static str) {
    joins(machine);
    change(machine, API, name);
    machine.network.within(|| {
        let server = std::net::UdpSocket::bind("192.0.2.1:53").unwrap();
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = server.recv_from(&mut packet) {
                // A response, recursion available, NXDOMAIN; the question again and nothing else.
                (packet[2], packet[3]) = (0x81, 0x83);
                packet[6..12].fill(0);
                let end = 12 + packet[12..length].iter().position(|b| *b == 0).unwrap_or(0) + 5;
                let _ = server.send_to(&packet[..end], from);
            }
        });
    });
}

const RESOLVES: &str = "  - rm -f /etc/resolv.conf; echo nameserver 192.0.2.1 > /etc/resolv.conf\n";

/// An init whose checks are ignored but for one.
fn init_but(check: &str) -> String {
    join_but(check).replace("join", "init")
}

/// A file of the kernel's as kubeadm sees it.
fn kernel_says(machine: &Machine, path: &str, text: &str) {
    joins(machine);
    machine.node.root.put("/opt/test/says", text);
    let unit = format!("[Service]\nBindReadOnlyPaths=/opt/test/says:{path}\n");
    machine.node.root.put("/etc/systemd/system/kubeadm.service.d/kernel.conf", unit);
}

/// An init that patches what it makes.
fn patches(machine: &Machine, name: &str, text: &str) {
    init_config(machine, "v1.20.2", "", "");
    machine.node.root.put(&format!("/opt/test/patches/{name}"), text);
}

fn further() -> Vec<Cause> {
    let two = "  - perl -MIO::Socket::UNIX -e 'mkdir q(/run/containerd); mkdir q(/run/crio); \
        IO::Socket::UNIX->new(Local => $_, Listen => 1) for qw(/run/containerd/containerd.sock /run/crio/crio.sock)'\n";
    vec![
        ("endpoint/name-not-resolved", format!("{RESOLVES}{JOIN}"), |m| {
            no_such_name(m, "api.blue.example:6443")
        }),
        ("endpoint/search-domain", format!("{RESOLVES}{JOIN}"), |m| no_such_name(m, "kube-api:6443")),
        (
            "config/patches",
            INIT.replace("--config", "--experimental-patches /opt/test/patches --config"),
            |m| {
                patches(m, "kube-apiserver.yaml", "spec: {containers: none}\n");
            },
        ),
        ("certificate/not-read", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            m.node.root.put("/etc/kubernetes/pki/ca.crt", "x");
        }),
        ("certificate/key-missing", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            pki(m, "rm \"$PKI/ca.key\"");
        }),
        ("certificate/key-mismatch", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            pki(m, "openssl genrsa -out \"$PKI/ca.key\" 2048");
        }),
        ("certificate/of-another-ca", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            pki(
                m,
                "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout o.key -out o.pem
                issue apiserver o.pem o.key 'subjectAltName=DNS:node-1'",
            );
        }),
        ("config/api-version-too-old", JOIN.into(), |m| m.join_config("v1alpha3", "sha256:0", "")),
        ("containerd/several-sockets", format!("{two}{JOIN}"), |m| {
            joins(m);
            change(m, "  criSocket: /run/dbus/system_bus_socket\n", "");
        }),
        ("preflight/etcd-version", init_but("ExternalEtcdVersion"), |m| {
            init_config(m, "v1.20.2", "", "");
            let text = m.node.root.text("/opt/test/init.yaml");
            let etcd = "etcd: {external: {endpoints: ['https://192.0.2.1:2379'], caFile: /etc/etcd/ca.crt, certFile: /etc/etcd/a.crt, keyFile: /etc/etcd/a.key}}\n";
            m.node.root.put(
                "/opt/test/init.yaml",
                text.replace("kubernetesVersion: v1.20.2\n", &format!("kubernetesVersion: v1.20.2\n{etcd}")),
            );
        }),
        (
            "preflight/not-root",
            join_but("-").replace("- kubeadm", "- setpriv --reuid 65534 /opt/bin/kubeadm"),
            |m| {
                joins(m);
            },
        ),
        ("preflight/swap", join_but("Swap"), |m| {
            kernel_says(
                m,
                "/proc/swaps",
                "Filename Type Size Used Priority\n/dev/vda2 partition 1048572 0 -2\n",
            );
        }),
        ("preflight/br-netfilter", join_but("bridge"), |m| {
            kernel_says(m, "/proc/sys/net/bridge/bridge-nf-call-iptables", "0\n");
        }),
        ("preflight/cgroups", join_but("SystemVerification"), |m| {
            kernel_says(
                m,
                "/proc/cgroups",
                "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\ncpuset\t0\t1\t1\n",
            );
        }),
        ("kubelet/missing", join_but("-"), |m| {
            joins(m);
            let path = m.node.root.path("/opt/bin/kubelet");
            Ran::of(Command::new("umount").arg(&path)).ended(0, &[]);
            fs::remove_file(&path).unwrap();
        }),
        ("kubelet/client-ca", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "authentication: {x509: {clientCAFile: /etc/not-there.crt}}\n");
        }),
        ("kubelet/crash-loop", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            m.node.root.put(
                "/etc/systemd/system/kubelet.service.d/ends.conf",
                "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 3'\nRestartSec=1\n",
            );
        }),
        ("node/not-permitted", JOIN.into(), |m| {
            special(m, |seen| {
                let says =
                    "nodes \"node-1\" is forbidden: node \"node-2\" is not allowed to modify node \"node-1\"";
                (seen.method == "PATCH" && is(seen, "nodes/node-1")).then(|| refusal(403, "Forbidden", says))
            });
            change(m, "  criSocket:", "  kubeletExtraArgs: {rotate-certificates: 'false'}\n  criSocket:");
        }),
    ]
}

/// Gives the kubelet's unit further settings.
fn kubelet(machine: &Machine, settings: &str) {
    init_config(machine, "v1.20.2", "", "");
    machine
        .node
        .root
        .put("/etc/systemd/system/kubelet.service.d/more.conf", format!("[Service]\n{settings}\n"));
}

fn parts() -> Vec<Cause> {
    let parts = [of_the_parts(), cluster::causes(), images::causes(), containers::causes(), etcd::causes()];
    [parts.concat(), control_plane::causes()].concat()
}

fn of_the_parts() -> Vec<Cause> {
    vec![
        ("endpoint/cut-off", JOIN.into(), |m| {
            // kubeadm says of a question that is cut off again and again that its time has run out, and asks for this once.
            special(m, |seen| {
                (seen.method == "PATCH" && is(seen, "nodes/node-1")).then(|| Reply::nothing(End::Close))
            });
            change(m, "  criSocket:", "  kubeletExtraArgs: {rotate-certificates: 'false'}\n  criSocket:");
        }),
        ("certificate/of-another-machine", JOIN.into(), |m| {
            control_plane(m, "", |_| None);
            pki(
                m,
                "mkdir \"$PKI/etcd\"
                for name in front-proxy-ca etcd/ca; do
                    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout \"$PKI/$name.key\" -out \"$PKI/$name.crt\"
                done
                openssl genrsa -out \"$PKI/sa.key\" 2048
                openssl pkey -in \"$PKI/sa.key\" -pubout -out \"$PKI/sa.pub\"
                issue apiserver ca.pem ca.key 'subjectAltName=DNS:node-2'",
            );
        }),
        ("containerd/wrong-socket", INIT.into(), |m| {
            // Where kubeadm of 1.20 finds no socket it asks for docker.
            init_config(m, "v1.20.2", "", "");
            let text = m.node.root.text("/opt/test/init.yaml");
            m.node
                .root
                .put("/opt/test/init.yaml", text.replace("  criSocket: /run/dbus/system_bus_socket\n", ""));
        }),
        (
            "preflight/kernel",
            join_but("SystemVerification").replace("- kubeadm", "- setarch --uname-2.6 /opt/bin/kubeadm"),
            |m| kernel_says(m, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n"),
        ),
        ("control-plane/not-up", INIT.into(), |m| kubelet(m, "ExecStart=\nExecStart=/bin/sleep infinity")),
        ("kubelet/swap", INIT.into(), |m| {
            kubelet(m, "BindReadOnlyPaths=/opt/test/says:/proc/swaps");
            m.node.root.put(
                "/opt/test/says",
                "Filename Type Size Used Priority\n/dev/vda2 partition 1048572 0 -2\n",
            );
        }),
        ("kubelet/cgroups", INIT.into(), |m| init_config(m, "v1.20.2", "", "cgroupRoot: /not-there\n")),
        ("kubelet/config-version", INIT.into(), |m| {
            kubelet(m, "ExecStartPre=/bin/sed -i s,io/v1beta1,io/v1, /var/lib/kubelet/config.yaml");
        }),
    ]
}

/// The sentence and the remedy of a code, as the page has them.
fn page(code: &str) -> (String, String) {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/diagnosis.md")).unwrap();
    let rest =
        page.split_once(&format!("## `{code}`\n\n")).unwrap_or_else(|| panic!("{code} is not in the page")).1;
    let mut parts = rest.split("\n\n");
    let part = |text: Option<&str>, head: &str| {
        text.unwrap().trim().trim_start_matches(head).trim_end_matches('.').to_owned()
    };
    (part(parts.next(), ""), part(parts.next(), "What to do: "))
}

/// Boots a node that meets this cause. Says what it told that is wrong.
fn met((code, runcmd, make): Cause) -> Option<String> {
    let machine = Machine::new(&format!("cause-{}", code.replace('/', "-")), &runcmd, POLICY);
    make(&machine);
    machine.node.boot();
    let status: Value = serde_json::from_str(&machine.node.out("status.json")).unwrap_or_default();
    let first = &status["problems"][0];
    let (sentence, cure) = page(code);
    let file = machine.node.out("cluster-api/bootstrap-error.log");
    let told = machine.told();
    for told in [&status.to_string(), &file, &told.to_string()] {
        assert!(
            !told.contains(TOKEN.1) && !told.contains(CERTIFICATE_KEY),
            "{code}: a secret is told: {told}"
        );
    }
    if std::env::var_os("RECORD").is_some() {
        record(&machine.node, code);
    }
    let what = first["what"].as_str().unwrap_or_default();
    // The page begins its sentences with a capital letter.
    let [sentence, cure] = [&sentence, &cure].map(|text| text.split_at(1).1);
    let wrong = [
        (first["code"] != code || status["state"] != "failed", "the status"),
        (!what.contains(sentence.split('N').next().unwrap_or_default()), "the sentence"),
        (!first["hint"].as_str().is_some_and(|hint| hint.ends_with(cure)), "the remedy"),
        (told["code"] != code || told["state"] != "failed" || told["error"] != what, "the platform"),
        (!file.contains(code) || !file.contains(cure), "Cluster API's file"),
    ];
    let wrong: Vec<&str> = wrong.into_iter().filter_map(|(is, name)| is.then_some(name)).collect();
    (!wrong.is_empty()).then(|| {
        let journal = machine.node.out("journal");
        let lines: Vec<&str> = journal.lines().filter(|l| !l.contains("systemd[1]: ")).collect();
        let end = lines[lines.len().saturating_sub(60)..].join("\n");
        let kubelet = machine.node.out("kubelet.log");
        let said = kubelet.lines().filter(|l| l.starts_with(['E', 'F']) && !l.ends_with("\" not found"));
        let kubelet: Vec<&str> = said.collect();
        let kubelet = kubelet[kubelet.len().saturating_sub(30)..].join("\n");
        format!("== {code}: {}\n{first:#}\n{told}\n{file}\n{end}\n{kubelet}\n", wrong.join(", "))
    })
}

/// The directory of a code's transcripts.
fn transcripts(code: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnosis").join(code)
}

/// Writes what was said on a node as the transcript of a code. A code that only tells how systemd saw the end has none.
fn record(node: &Node, code: &str) {
    let dir = transcripts(code);
    if !dir.is_dir() {
        return;
    }
    let said = |file| node.out(file).lines().map(stable).collect::<Vec<_>>();
    let whole = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut kubeadm = said("kubeadm.log");
    let mut seen = BTreeSet::new();
    kubeadm.retain(|line| match line {
        // What a check of the kernel prints: each option of this one, in colours.
        _ if line.starts_with('\u{1b}') || line.ends_with("Printing the output from the verification:") => {
            false
        }
        // What the container lacks beside the cause.
        _ if line.trim_start().starts_with("[WARNING ") || line.starts_with("[preflight] WARNING") => false,
        // What is said again each few seconds.
        // Where a program crashes it says what it did, by addresses.
        _ if line.contains("0x") => false,
        _ => {
            !["[kubelet-check]", "{\"level\""].iter().any(|tag| line.starts_with(tag))
                || seen.insert(line.clone())
        }
    });
    fs::write(dir.join("recorded.txt"), whole(&kubeadm)).unwrap();
    if let Some(container) = by_container(code) {
        let says = whole(&container_says(node, container));
        fs::write(dir.join(format!("recorded.{container}.log")), says).unwrap();
    }
    if by_kubelet(code) {
        // Where it crashes it says what all of it was doing.
        let mut kubelet = said("kubelet.log");
        // And it says of each event, with all that it is made of, that the API server here keeps none.
        kubelet.retain(|line| {
            let klog = line.starts_with(['W', 'E', 'F']) && line.contains("] ");
            let of_an_event =
                ["Server rejected event", "Unable to write event"].iter().any(|t| line.contains(t));
            (klog || line.contains(": Main process exited")) && !of_an_event
        });
        // Of what it says each time that it starts, the last.
        kubelet.reverse();
        kubelet.retain(|line| seen.insert(line.clone()));
        kubelet.reverse();
        let end = kubelet.len().saturating_sub(MOST_OF_A_LOG);
        if !kubelet.is_empty() {
            fs::write(dir.join("recorded.kubelet.log"), whole(&kubelet[end..])).unwrap();
        }
    }
}

/// The ends of the logs of a container of this machine's control plane, without times.
fn container_says(node: &Node, name: &str) -> Vec<String> {
    let logs = walk(&node.root.path("/var/log/pods"));
    let of = format!("/{name}/");
    let mut logs: Vec<PathBuf> =
        logs.into_iter().filter(|path| path.to_string_lossy().contains(&of)).collect();
    logs.sort();
    let text: String = logs.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    let line = |line: &str| {
        // The time, the stream, and whether the line is whole; etcd has its own time.
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        match words[..] {
            [_, stream, whole, date, _, rest] if date.starts_with("20") => {
                format!("2026-01-01T00:00:00Z {stream} {whole} 2026-01-01 00:00:00 {rest}")
            }
            _ => {
                let (stream, text) = line.split_once(' ').unwrap_or_default().1.split_at(9);
                format!("2026-01-01T00:00:00Z {stream}{}", stable(text))
            }
        }
    };
    // Without what is well, all the flags that there are, and where in its source it was. Kubernetes' programs say little more.
    let tells = |line: &&str| {
        let text = line.splitn(4, ' ').nth(3).unwrap_or_default();
        let of_kubernetes = name != "etcd" && !["I", "Flag "].iter().any(|tag| text.starts_with(tag));
        of_kubernetes
            || text.contains("Serving securely on")
            || ["panic: ", "flag "].iter().any(|tag| text.starts_with(tag))
            || [" W | ", " E | ", " C | "].iter().any(|t| text.contains(t))
                && !text.contains(" took too long ")
    };
    let lines: Vec<String> = text.lines().filter(tells).map(line).collect();
    lines[lines.len().saturating_sub(MOST_OF_A_LOG)..].to_vec()
}

/// The container of this machine's control plane whose log says it.
fn by_container(code: &str) -> Option<&'static str> {
    match code {
        "control-plane/not-up" => None,
        "control-plane/api-server"
        | "control-plane/etcd"
        | "control-plane/endpoint"
        | "control-plane/config" => Some("kube-apiserver"),
        "control-plane/controller-manager" => Some("kube-controller-manager"),
        "control-plane/scheduler" => Some("kube-scheduler"),
        "etcd/data-damaged" | "etcd/other-cluster" | "etcd/slow-disk" => Some("etcd"),
        _ => code.starts_with("control-plane/").then_some("etcd"),
    }
}

/// Whether the kubelet's log says it.
fn by_kubelet(code: &str) -> bool {
    let without = ["kubelet/missing", "kubelet/not-up", "kubelet/certificate-refused"];
    let too = ["containerd/cri-disabled", "containerd/sandbox-image", "containerd/no-container"];
    code.starts_with("kubelet/") && !without.contains(&code)
        || too.contains(&code)
        || code == "control-plane/endpoint"
}

/// Most lines of a log that are recorded.
const MOST_OF_A_LOG: usize = 12;

/// A line without what differs from run to run: klog's time and process, the port that a connection comes from, the time of now, digests
/// and this machine's name server. The secret of a token has a word in its place.
fn stable(line: &str) -> String {
    let line = line.replace(TOKEN.1, "removed");
    // What etcd's client in kubeadm says: its time, and the number of the client.
    let line = between(between(line, "\"ts\":\"", "\""), "endpoint://client-", "/");
    let (head, rest) = match line.as_bytes() {
        [severity @ (b'I' | b'W' | b'E' | b'F'), b'0' | b'1', ..] if line.contains("] ") => {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (_, rest) = line.split_once(&format!(" {} ", words[2])).unwrap();
            (format!("{}0101 00:00:00.000000       1 ", char::from(*severity)), rest.to_owned())
        }
        _ => (String::new(), line),
    };
    let mut now = false;
    let word = |word: &str| {
        let is_time = std::mem::replace(&mut now, word == "time ") && word.starts_with("20");
        let from = word.strip_prefix("192.0.2.2:").and_then(|rest| rest.split_once("->"));
        let name_server = word.trim_end().trim_end_matches(':').strip_suffix(":53");
        match from {
            // The kernel's own release follows the one that a test made of it.
            _ if word.starts_with("2.6.") => "2.6.0".to_owned(),
            _ if name_server.is_some() => word.replace(name_server.unwrap_or_default(), "192.0.2.53"),
            _ if word.contains("time=\"20") => {
                word.split("time=").next().unwrap_or_default().to_owned() + "time=\"2026-01-01T00:00:00Z\" "
            }
            _ if is_time => "2026-01-01T00:00:00Z ".to_owned(),
            Some((_, to)) => format!("192.0.2.2:40000->{to}"),
            None => without_digests(word),
        }
    };
    head + &rest.split_inclusive(' ').map(word).collect::<String>()
}

/// A line without what stands between these two, where it has them.
fn between(line: String, from: &str, to: &str) -> String {
    let Some((head, rest)) = line.split_once(from) else { return line };
    let rest = rest.split_once(to).map_or("", |(_, rest)| rest);
    format!("{head}{from}0{to}{rest}")
}

/// A word with zeros in place of each digest.
fn without_digests(word: &str) -> String {
    let pieces = word.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    let piece = |piece: &str| {
        let digits = piece.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        match digits.len() {
            40.. => piece.replace(digits, &"0".repeat(digits.len())),
            _ => piece.to_owned(),
        }
    };
    pieces.map(piece).collect()
}

fn all_met(causes: Vec<Cause>) {
    let only = std::env::var("CAUSE").unwrap_or_default();
    let causes: Vec<Cause> = causes.into_iter().filter(|(code, ..)| code.contains(&only)).collect();
    let mut wrong = Vec::new();
    for cause in causes {
        let (code, begun) = (cause.0, std::time::Instant::now());
        let told = met(cause);
        println!(
            "{} {code} ({} s)",
            if told.is_none() { "ok   " } else { "WRONG" },
            begun.elapsed().as_secs()
        );
        wrong.extend(told);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn common_causes_are_told_as_what_they_are() {
    needs!(root("containers"));
    all_met(common());
}

#[test]
fn every_cause_that_can_be_made_has_a_recorded_transcript() {
    for (code, ..) in [common(), endpoints(), tokens(), of_the_machine(), further(), parts()].concat() {
        let dir = transcripts(code);
        // What only says how systemd saw the end is no text of kubeadm's.
        assert!(
            code.starts_with("bootstrap/") || dir.join("recorded.txt").exists(),
            "RECORD=1 records {code}"
        );
        let kubelet = dir.join("recorded.kubelet.log").exists();
        assert_eq!(kubelet, by_kubelet(code), "{code}");
        let container = by_container(code).map(|name| dir.join(format!("recorded.{name}.log")));
        assert!(container.is_none_or(|log| log.exists()), "{code}");
    }
}

#[test]
fn every_cause_that_can_be_made_is_told_as_what_it_is() {
    needs!(root("containers"));
    // A minute or two each way: `tests/run --long` has them.
    if std::env::var_os("CAUSES").is_some_and(|all| all == "all") {
        all_met([endpoints(), tokens(), of_the_machine(), further(), parts()].concat());
    }
}

#[test]
fn the_real_kubeadm_joins_an_api_server_that_comes_late() {
    needs!(root("containers"));
    let machine =
        Machine::new("joins-late", JOIN, "waits: {api-server: 60s}\nretries: {join: 1, pause: 1s}\n");
    joins(&machine);
    // It has its certificate before it begins with anything else.
    let flags = "  kubeletExtraArgs: {rotate-certificates: 'false'}\n  criSocket:";
    change(&machine, "  criSocket:", flags);
    let (tls, cluster) =
        (machine.cluster.authority.server(&["192.0.2.1"], HOLDS.0, HOLDS.1), Arc::clone(&machine.cluster));
    machine.network.within(|| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(15));
            Server::start_tls(API, tls, move |seen| cluster.reply(seen, None))
        });
    });
    machine.node.boot();
    let status = machine.node.stands(0, "done");
    let journal = machine.node.out("journal");
    assert!(journal.contains("the API server's port refuses connections; given up in "), "{journal}");
    assert!(journal.contains("This node has joined the cluster"), "{journal}");
    assert_eq!(
        (&status["kubeadm_exit_status"], &status["attempts"]),
        (&0.into(), &Value::Null),
        "{status:#}"
    );
    assert!(machine.node.has_sentinel() && machine.node.root.path("/etc/kubernetes/kubelet.conf").exists());
    let told = machine.told();
    assert_eq!((&told["state"], &told["code"]), (&"done".into(), &Value::Null));
}
