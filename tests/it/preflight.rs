// SPDX-License-Identifier: Apache-2.0
//! What `preflight` finds wrong with the API server of a join and with this machine: the program alone, in an empty root and a network
//! of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket as nix_socket};
use serde_json::{Value, json};

use crate::common::authority::Authority;
use crate::common::cluster::{API, Cluster, HOLDS, Network, TOKEN, map, refusal, reply};
use crate::common::scratch::{CANARY, FOOTPLATE, Ran, Scratch, fresh};
use crate::common::server::{Reply, Seen};

/// A root with the program, a policy and a join, and a cluster beside it.
struct Join {
    root: Scratch,
    network: Network,
    cluster: Arc<Cluster>,
}

impl Join {
    fn new(name: &str) -> Self {
        let root = root(name);
        let dir = root.dir.parent().unwrap();
        let cluster = Arc::new(Cluster::new(Authority::new(&dir.join("authority"))));
        let join = Self { root, network: Network::new(&format!("preflight-{name}")), cluster };
        join.configure("v1beta3", "");
        join
    }

    /// A join by the token and the digest; what `discovery` says stands in their place.
    fn configure(&self, version: &str, discovery: &str) {
        let token = format!(
            "  bootstrapToken:\n    apiServerEndpoint: {API}\n    token: {}.{}\n    caCertHashes: ['{}']\n",
            TOKEN.0,
            TOKEN.1,
            self.cluster.authority.pin()
        );
        let discovery = if discovery.is_empty() { &token } else { discovery };
        // Of an address that is no path nothing is said here.
        let config = format!(
            "apiVersion: kubeadm.k8s.io/{version}\nkind: JoinConfiguration\nnodeRegistration: {{criSocket: 'tcp://192.0.2.2:1'}}\ndiscovery:\n{discovery}"
        );
        self.root.put("/join.yaml", config);
    }

    fn serve(
        &self,
        by: &Authority,
        names: &[&str],
        holds: (&str, &str),
        special: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.cluster.serve(&self.network, by, names, holds, special);
    }

    #[track_caller]
    fn finds(&self, errors: &[&str], warnings: &[&str]) {
        finds(&self.root, &self.network, JOINS, (errors, warnings));
    }
}

/// The words behind `kubeadm`.
const JOINS: &[&str] = &["join", "--config", "/join.yaml"];
const INITS: &[&str] = &["init", "--config", "/init.yaml"];

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
const BRIDGE: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const SWAPS: &str = "/proc/swaps";
const SOCKET: &str = "/run/containerd/containerd.sock";

/// A machine that is ready for kubeadm, with the program and a policy.
#[track_caller]
fn root(name: &str) -> Scratch {
    let root = Scratch { dir: fresh(&format!("preflight-{name}")).join("root") };
    root.put("/etc/footplate.yaml", "preflight: stop\nwaits: {api-server: 0s}\n");
    root.put_program("/footplate", fs::read(FOOTPLATE).unwrap());
    root.put(IP_FORWARD, "1\n").put(BRIDGE, "1\n");
    root.put(SWAPS, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    root
}

/// What is found has these codes: of errors, which stop kubeadm, and of warnings.
#[track_caller]
fn finds(root: &Scratch, network: &Network, words: &[&str], (errors, warnings): (&[&str], &[&str])) {
    let _ = fs::remove_dir_all(root.path("/run/footplate"));
    let netns = ["netns", "exec", &network.0, "chroot", root.arg(), "/footplate", "preflight", "--"];
    let ran = Ran::of(Command::new("ip").args(netns).args(words));
    let status = root.text("/run/footplate/status.json");
    for told in [&ran.out, &ran.err, &status] {
        assert!(!told.contains(CANARY) && !told.contains(TOKEN.1), "a secret is told: {told}");
    }
    let status: Value = serde_json::from_str(&status).unwrap();
    let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
    let problems = status["problems"].as_array().cloned().unwrap_or_default();
    let of = |level: &str| {
        let these = problems.iter().filter(|p| p["level"] == level);
        these.map(|p| p["code"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((of("error"), of("warning")), (owned(errors), owned(warnings)), "{words:?} {status:#}");
    assert_eq!(ran.code != 0, !errors.is_empty(), "{}{status:#}", ran.err);
}

const NAME: &[&str] = &["192.0.2.1"];

fn none(_: &Seen) -> Option<Reply> {
    None
}

#[test]
fn a_cluster_that_is_right_stands_against_nothing_in_each_version() {
    needs!(root("network namespaces"));
    let join = Join::new("right");
    join.serve(&join.cluster.authority, NAME, HOLDS, none);
    for version in ["v1beta1", "v1beta2", "v1beta3", "v1beta4"] {
        join.configure(version, "");
        join.finds(&[], &[]);
        join.configure(version, &format!("  bootstrapToken: {{apiServerEndpoint: '{API}', token: zzzzzz.0123456789abcdef, unsafeSkipCAVerification: true}}\n"));
        join.finds(&["join/token-expired"], &[]);
        let pin = format!("sha256:{}", "2".repeat(64));
        join.configure(
            version,
            &format!(
                "  bootstrapToken: {{apiServerEndpoint: '{API}', token: {}.{}, caCertHashes: ['{pin}']}}\n",
                TOKEN.0, TOKEN.1
            ),
        );
        join.finds(&["join/ca-hash-mismatch"], &[]);
        join.configure(version, &format!("  bootstrapToken: {{apiServerEndpoint: '{API}', token: {}.{CANARY}, unsafeSkipCAVerification: true}}\n", TOKEN.0));
        join.finds(&["join/token-of-another-cluster"], &[]);
        // By a file there is neither a token nor a digest.
        join.configure(version, "  file: {kubeConfigPath: /discovery.conf}\n  tlsBootstrapToken: a.b\n");
        join.root.put("/discovery.conf", &join.cluster.kubeconfig);
        join.finds(&[], &[]);
    }
    let other = Cluster::new(Authority::new(&join.root.dir.parent().unwrap().join("other")));
    join.root.put("/discovery.conf", &other.kubeconfig);
    join.finds(&["certificate/of-another-ca"], &[]);
    join.root.put("/discovery.conf", join.cluster.kubeconfig.replace(API, "192.0.2.1:6444"));
    join.finds(&["endpoint/refused"], &[]);
}

#[test]
fn each_certificate_that_does_not_hold_is_found() {
    needs!(root("network namespaces"));
    let other = |join: &Join| Authority::new(&join.root.dir.parent().unwrap().join("other"));
    for (name, names, holds, code) in [
        ("expired", NAME, ("20200101", "20210101"), "certificate/not-valid-now"),
        ("future", NAME, ("20450101", "20460101"), "certificate/not-valid-now"),
        ("name", &["192.0.2.77", "api.blue.example"][..], HOLDS, "certificate/of-another-name"),
        ("issuer", NAME, HOLDS, "certificate/of-another-ca"),
    ] {
        let join = Join::new(name);
        match name {
            "issuer" => join.serve(&other(&join), names, holds, none),
            _ => join.serve(&join.cluster.authority, names, holds, none),
        }
        join.finds(&[code], &[]);
    }
}

#[test]
fn what_answers_in_place_of_an_api_server_is_found() {
    needs!(root("network namespaces"));
    let join = Join::new("nobody");
    join.finds(&["endpoint/refused"], &[]);
    for (name, says, code) in [
        ("http", &b"HTTP/1.0 400 Bad Request\r\n\r\n"[..], "endpoint/not-tls"),
        ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n", "endpoint/not-tls"),
        ("closes", b"", "endpoint/cut-off"),
    ] {
        let join = Join::new(name);
        join.network.listens(API, says, true);
        join.finds(&[code], &[]);
    }
    let info = |data: Value| reply(200, &map("cluster-info", data));
    type Special = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;
    let cases: Vec<(&str, Special, &[&str], &[&str])> = vec![
        ("503", Box::new(|_| Some(Reply::status(503, "", "none"))), &["endpoint/not-ready"], &[]),
        ("404", Box::new(|_| Some(refusal(404, "NotFound", "not found"))), &["join/no-cluster-info"], &[]),
        // A server may answer nobody who has no credentials: kubeadm says so.
        ("403", Box::new(|_| Some(refusal(403, "Forbidden", "forbidden"))), &[], &[]),
        ("html", Box::new(|_| Some(Reply::ok("<html>welcome</html>"))), &["join/no-cluster-info"], &[]),
        ("empty", Box::new(move |_| Some(info(json!({})))), &["join/no-cluster-info"], &[]),
    ];
    for (name, special, errors, warnings) in cases {
        let join = Join::new(name);
        join.serve(&join.cluster.authority, NAME, HOLDS, special);
        join.finds(errors, warnings);
    }
}

/// What is waited for is told at once, and then every ten seconds until it comes.
#[test]
fn waiting_is_told_at_once_and_then_every_ten_seconds() {
    needs!(root("network namespaces"));
    let join = Join::new("told");
    join.root.put("/etc/footplate.yaml", "preflight: stop\nwaits: {api-server: 120s}\n");
    let begun = Instant::now();
    let netns =
        ["netns", "exec", &join.network.0, "chroot", join.root.arg(), "/footplate", "preflight", "--"];
    let mut child = Command::new("ip").args(netns).args(JOINS).stderr(Stdio::piped()).spawn().unwrap();
    let (mut refused, mut others) = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let told = line.split_once("the API server's port refuses connections; given up in ");
        let Some((_, left)) = told.filter(|_| line.contains("waiting for 192.0.2.1:6443: ")) else {
            others.push(line);
            continue;
        };
        refused.push((begun.elapsed(), left.trim_end_matches(" s").parse::<u64>().unwrap()));
        // The API server comes when the wait was told again.
        if refused.len() == 2 {
            let status = join.root.text("/run/footplate/status.json");
            assert!(status.contains("\"waiting\"") && status.contains("refuses connections"), "{status}");
            join.serve(&join.cluster.authority, NAME, HOLDS, none);
        }
    }
    assert!(child.wait().unwrap().success(), "{others:?}");
    let [first, second, ..] = refused[..] else { panic!("{refused:?} {others:?}") };
    assert!(first.0 < Duration::from_secs(8) && first.1 > 100, "{refused:?}");
    let pause = second.0.saturating_sub(first.0);
    assert!((9..25).contains(&pause.as_secs()) && second.1 < first.1, "{refused:?}");
    let most = usize::try_from(begun.elapsed().as_secs() / 10).unwrap() + 1;
    assert!(refused.len() <= most, "{refused:?}");
}

#[test]
fn a_clock_that_differs_from_the_server_s_is_told() {
    needs!(root("network namespaces"));
    let join = Join::new("clock");
    let info = join.cluster.info(TOKEN.1).to_string();
    join.serve(&join.cluster.authority, NAME, HOLDS, move |_| {
        let head = "content-type: application/json\r\ndate: Sat, 01 Jan 2022 00:00:00 GMT\r\n";
        Some(Reply::status(200, head, &info))
    });
    join.finds(&[], &["clock/differs"]);
    // A certificate that does not hold by this clock may be the clock's fault.
    let join = Join::new("clock-behind");
    let info = join.cluster.info(TOKEN.1).to_string();
    join.serve(&join.cluster.authority, NAME, ("20450101", "20460101"), move |_| {
        Some(Reply::status(200, "date: Sun, 01 Jan 2045 12:00:00 GMT\r\n", &info))
    });
    join.finds(&["certificate/not-valid-now"], &["clock/differs"]);
    let hint = join.root.text("/run/footplate/status.json");
    assert!(hint.contains("set the clock: look at `timedatectl`"), "{hint}");
}

/// A machine without a container runtime that could be asked: its address is no path.
fn machine(name: &str) -> (Scratch, Network) {
    let root = root(name);
    for (file, kind) in [("/init.yaml", "Init"), ("/join.yaml", "Join")] {
        let node = "nodeRegistration: {criSocket: 'tcp://192.0.2.2:1'}";
        root.put(file, format!("apiVersion: kubeadm.k8s.io/v1beta3\nkind: {kind}Configuration\n{node}\n"));
    }
    (root, Network::new(&format!("preflight-{name}")))
}

#[test]
fn what_the_kernel_says_is_told() {
    needs!(root("network namespaces"));
    let (root, network) = machine("kernel");
    let finds = |warnings: &[&str]| finds(&root, &network, INITS, (&[], warnings));
    finds(&[]);
    root.put(IP_FORWARD, "0\n");
    finds(&["preflight/ip-forward"]);
    root.put(IP_FORWARD, "1\n").put(BRIDGE, "0\n");
    finds(&["preflight/br-netfilter"]);
    // Without the module there is no such file.
    fs::remove_file(root.path(BRIDGE)).unwrap();
    finds(&["preflight/br-netfilter"]);
    root.put(BRIDGE, "1\n");
    let swaps = root.text(SWAPS);
    root.put(SWAPS, swaps + "/dev/vda2                               partition\t1048572\t\t0\t\t-2\n");
    finds(&["preflight/swap"]);
    let config = root.text("/init.yaml");
    let kubelet = "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailSwapOn: ";
    root.put("/init.yaml", format!("{config}{kubelet}true\n"));
    finds(&["preflight/swap"]);
    root.put("/init.yaml", format!("{config}{kubelet}false\n"));
    finds(&[]);
}

/// The shell takes an empty file for a script that ends well: kubeadm would have joined nothing, with exit status 0.
#[test]
fn an_empty_kubeadm_is_never_run() {
    needs!(root("network namespaces"));
    let (root, network) = machine("empty");
    const EMPTY: &str = "kubeadm/not-executable";
    for policy in ["preflight: stop\n", "preflight: warn\n", "preflight: off\n"] {
        root.put("/etc/footplate.yaml", policy).put_program("/usr/bin/kubeadm", "");
        finds(&root, &network, INITS, (&[EMPTY], &[]));
    }
    // Which the shell does not find, and which does not come first.
    fs::set_permissions(root.path("/usr/bin/kubeadm"), fs::Permissions::from_mode(0o644)).unwrap();
    root.put("/etc/footplate.yaml", "preflight: stop\nwaits: {api-server: 0s}\n");
    finds(&root, &network, INITS, (&[], &[]));
    root.put_program("/usr/local/bin/kubeadm", "#!/bin/sh\n").put_program("/usr/bin/kubeadm", "");
    finds(&root, &network, INITS, (&[], &[]));
}

/// Closes a socket, and waits until nobody answers at it: a program that another test starts has it too, until it runs.
fn close<L, C>(listener: L, connect: impl Fn() -> std::io::Result<C>) {
    drop(listener);
    let begun = Instant::now();
    while connect().is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "somebody holds the socket still");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ports_that_are_in_use_are_found() {
    needs!(root("network namespaces"));
    let (root, network) = machine("ports");
    // The kernel's own tables of the network that the program runs in.
    let taken = |words: &[&str], found| {
        for table in ["tcp", "tcp6"] {
            let text =
                network.within(|| fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap());
            root.put(&format!("/proc/net/{table}"), text);
        }
        finds(&root, &network, words, found);
    };
    let listen = |at: &'static str| network.within(|| TcpListener::bind(at).unwrap());
    let free = |listener: TcpListener| {
        let at = listener.local_addr().unwrap();
        close(listener, || network.within(|| TcpStream::connect_timeout(&at, Duration::from_secs(1))));
    };
    const TAKEN: &str = "preflight/port-taken";
    taken(INITS, (&[], &[]));
    let kubelet = listen("127.0.0.1:10250");
    taken(INITS, (&[TAKEN], &[]));
    taken(JOINS, (&[TAKEN], &[]));
    taken(&[JOINS, &["--ignore-preflight-errors=Port-10250"]].concat(), (&[], &[TAKEN]));
    taken(&[JOINS, &["--ignore-preflight-errors=Port-10257"]].concat(), (&[TAKEN], &[]));
    free(kubelet);
    // A connection that comes from such a port is no server.
    let server = listen("127.0.0.1:777");
    let client = network.within(|| {
        let client = nix_socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(client.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 10250)).unwrap();
        connect(client.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 777)).unwrap();
        client
    });
    taken(INITS, (&[], &[]));
    drop((server, client));
    // A worker has none of these.
    for at in ["0.0.0.0:10257", "[::]:10259", "0.0.0.0:6443"] {
        let held = listen(at);
        taken(INITS, (&[TAKEN], &[]));
        taken(&[JOINS, &["--control-plane"]].concat(), (&[TAKEN], &[]));
        taken(JOINS, (&[], &[]));
        free(held);
    }
    let held = listen("0.0.0.0:6444");
    taken(INITS, (&[], &[]));
    root.put("/init.yaml", root.text("/init.yaml") + "localAPIEndpoint: {bindPort: 6444}\n");
    taken(INITS, (&[TAKEN], &[]));
    free(held);
    taken(INITS, (&[], &[]));
}

#[test]
fn versions_that_do_not_fit_are_found_by_the_lock() {
    needs!(root("network namespaces"));
    let (root, network) = machine("versions");
    let config = root.text("/init.yaml");
    for (kubeadm, kubelet, configuration, error) in [
        ("v1.34.1", "v1.34.1", "v1beta3", None),
        ("v1.34.1", "v1.31.0", "v1beta4", None),
        ("v1.34.1", "v1.30.9", "v1beta4", Some("preflight/version-skew")),
        ("v1.34.1", "v1.35.0", "v1beta4", Some("preflight/version-skew")),
        ("v1.30.4", "v1.30.4", "v1beta4", Some("config/api-version-too-new")),
        ("v1.20.2", "v1.20.2", "v1beta3", Some("config/api-version-too-new")),
        ("v1.27.0", "v1.27.0", "v1beta2", Some("config/api-version-too-old")),
        ("v1.26.9", "v1.26.9", "v1beta2", None),
        ("v1.22.0", "v1.22.0", "v1beta1", Some("config/api-version-too-old")),
        // What is not known of is kubeadm's to judge.
        ("v1.34.1", "v1.34.1", "v1beta9", None),
    ] {
        let artifact = |name: &str, version: &str| {
            json!({"name": name, "version": version, "url": format!("https://dl.example/{name}"), "sha256": "0".repeat(64),
                "install": [{"to": format!("/opt/bin/{name}")}]})
        };
        let artifacts = [artifact("kubeadm", kubeadm), artifact("kubelet", kubelet)];
        root.put(
            "/opt/footplate/lock.json",
            json!({"version": 1, "arch": "amd64", "artifacts": artifacts}).to_string(),
        );
        root.put("/init.yaml", config.replace("v1beta3", configuration));
        finds(&root, &network, INITS, (error.as_slice(), &[]));
        let ignoring = [INITS, &["--ignore-preflight-errors=KubeletVersion"]].concat();
        // kubeadm has no such word for its configuration.
        match error {
            Some(skew @ "preflight/version-skew") => finds(&root, &network, &ignoring, (&[], &[skew])),
            _ => finds(&root, &network, &ignoring, (error.as_slice(), &[])),
        }
    }
    fs::remove_file(root.path("/opt/footplate/lock.json")).unwrap();
    finds(&root, &network, INITS, (&[], &[]));
}

/// A socket at a path of the root; its own path may be too long for one.
fn socket(root: &Scratch, path: &str) -> UnixListener {
    let path = root.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    short(&path, |path| UnixListener::bind(path)).unwrap()
}

/// A path that is short, whatever the root's is.
fn short<T>(path: &Path, then: impl FnOnce(&str) -> T) -> T {
    let dir = fs::File::open(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    then(&format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

#[test]
fn a_container_runtime_that_does_not_answer_is_found() {
    needs!(root("network namespaces"));
    let (root, network) = machine("runtime");
    const DOWN: &str = "containerd/not-running";
    let named = root.text("/init.yaml");
    let finds = |words: &[&str], errors: &[&str], warnings: &[&str]| {
        finds(&root, &network, words, (errors, warnings))
    };
    // kubeadm finds a socket itself where none is named.
    root.put("/init.yaml", named.replace("nodeRegistration", "other"));
    finds(INITS, &[DOWN], &[]);
    assert!(root.text("/run/footplate/status.json").contains(&format!("\"place\": \"{SOCKET}\"")));
    finds(&[INITS, &["--ignore-preflight-errors=CRI"]].concat(), &[], &[DOWN]);
    for path in [SOCKET, "/run/crio/crio.sock"] {
        let listener = socket(&root, path);
        finds(INITS, &[], &[]);
        // A socket that nobody holds any more.
        close(listener, || short(&root.path(path), |path| UnixStream::connect(path)));
        finds(INITS, &[DOWN], &[]);
        fs::remove_file(root.path(path)).unwrap();
    }
    let listener = socket(&root, "/run/other.sock");
    for (address, errors) in
        [("unix:///run/other.sock", &[][..]), ("/run/other.sock", &[]), ("/run/another.sock", &[DOWN])]
    {
        root.put("/init.yaml", named.replace("tcp://192.0.2.2:1", address));
        finds(INITS, errors, &[]);
    }
    drop(listener);
    // It may come yet.
    root.put("/etc/footplate.yaml", "preflight: stop\nwaits: {api-server: 20s}\n");
    root.put("/init.yaml", named.replace("tcp://192.0.2.2:1", SOCKET));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(3));
            socket(&root, SOCKET)
        });
        let begun = Instant::now();
        finds(INITS, &[], &[]);
        assert!((3..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        late.join().unwrap()
    });
}
