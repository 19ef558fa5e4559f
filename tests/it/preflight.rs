// SPDX-License-Identifier: Apache-2.0
//! What `preflight` finds wrong with the API server of a join: the program alone, in an empty root and a network of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;

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
        let dir = fresh(&format!("preflight-{name}"));
        let root = Scratch { dir: dir.join("root") };
        root.put("/etc/footplate.yaml", "preflight: stop\nwaits: {api-server: 0s}\n");
        fs::copy(FOOTPLATE, root.path("/footplate")).unwrap();
        fs::set_permissions(root.path("/footplate"), fs::Permissions::from_mode(0o755)).unwrap();
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

    /// Its codes: those of errors, which stop kubeadm, and then those of warnings.
    fn codes(&self) -> (Vec<String>, Vec<String>) {
        let _ = fs::remove_dir_all(self.root.path("/run/footplate"));
        let netns = ["netns", "exec", &self.network.0, "chroot", self.root.arg()];
        let words = ["/footplate", "preflight", "--", "join", "--config", "/join.yaml"];
        let ran = Ran::of(Command::new("ip").args(netns).args(words));
        let status = self.root.text("/run/footplate/status.json");
        for told in [&ran.out, &ran.err, &status] {
            assert!(!told.contains(CANARY) && !told.contains(TOKEN.1), "a secret is told: {told}");
        }
        let status: Value = serde_json::from_str(&status).unwrap();
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        let of = |level: &str| {
            let these = problems.iter().filter(|p| p["level"] == level);
            these.map(|p| p["code"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let errors = of("error");
        assert_eq!(ran.code != 0, !errors.is_empty(), "{}{status:#}", ran.err);
        // The modules and sysctls of an empty root are not looked at here.
        let warnings = of("warning").into_iter().filter(|code| code != "preflight/br-netfilter").collect();
        (errors, warnings)
    }

    #[track_caller]
    fn finds(&self, errors: &[&str], warnings: &[&str]) {
        let found = self.codes();
        assert_eq!(
            (found.0.as_slice(), found.1.as_slice()),
            (
                &errors.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..],
                &warnings.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..]
            ),
            "{}",
            self.root.text("/run/footplate/status.json")
        );
    }
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
