// SPDX-License-Identifier: Apache-2.0
//! A join in a container with a real systemd: what is looked at and waited for before kubeadm, and when it is run again.
//!
//! What kubeadm meets at an API server is shown with the real kubeadm. What it may have written when it failed is played by a shell
//! program, since a real one needs minutes to fail so late.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use crate::common::debian::{kubernetes, unpacked};
use crate::common::node::Node;
use crate::common::scratch::Ran;

const POLICY: &str = "/etc/footplate.yaml";
const TOKEN: (&str, &str) = ("abcdef", "0123456789abcdef");
const CLUSTER_INFO: &str = "kube-public/configmaps/cluster-info";

/// A join by a file of the test's own; its token and its authority's digest are those of [`api_server`].
const JOIN: &str = "  - kubeadm join --config /opt/test/join.yaml --ignore-preflight-errors=all && echo success > /run/cluster-api/bootstrap-success.complete\n";

/// An API server of the node's own that comes after so many seconds: openssl, which answers with files as they stand.
fn api_server(node: &Node, after: u32) {
    let pki = node.root.path("/opt/test/pki");
    fs::create_dir_all(&pki).unwrap();
    let script = "set -e
        openssl ecparam -name prime256v1 -genkey -noout -out ca.key
        openssl req -x509 -key ca.key -days 2 -subj /CN=kubernetes -out ca.pem
        openssl ecparam -name prime256v1 -genkey -noout -out server.key
        openssl req -new -key server.key -subj /CN=kube-apiserver -out server.csr
        printf 'subjectAltName=IP:127.0.0.1\\n' > names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
        openssl x509 -in ca.pem -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1 > pin";
    Ran::of(Command::new("sh").args(["-c", script]).current_dir(&pki)).ended(0, &[]);
    let read = |name: &str| fs::read_to_string(pki.join(name)).unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster:\n    server: https://127.0.0.1:6443\n    \
         certificate-authority-data: {}\n",
        STANDARD.encode(read("ca.pem"))
    );
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": TOKEN.0}).to_string());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&kubeconfig));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, TOKEN.1.as_bytes()), signed.as_bytes());
    let signature = format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature));
    let key = format!("jws-kubeconfig-{}", TOKEN.0);
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "cluster-info", "namespace": "kube-public"},
                     "data": {"kubeconfig": kubeconfig, key: signature}});
    answer(node, CLUSTER_INFO, "200 OK", &map);
    join_config(node, read("pin").trim());
    let debian = unpacked(&["openssl", "libssl3"]).unwrap();
    node.root.put_program("/opt/test/openssl", fs::read(debian.join("usr/bin/openssl")).unwrap());
    let libraries = debian.join("usr/lib/x86_64-linux-gnu");
    for library in ["libssl.so.3", "libcrypto.so.3"] {
        fs::copy(libraries.join(library), node.root.path(&format!("/opt/test/{library}"))).unwrap();
    }
    let serve = "exec /opt/test/openssl s_server -quiet -accept 6443 -cert ../pki/server.pem -key ../pki/server.key -HTTP";
    let unit = format!(
        "[Service]\nWorkingDirectory=/opt/test/api\nEnvironment=LD_LIBRARY_PATH=/opt/test\nExecStart=/bin/sh -c 'sleep {after}; {serve}'\n"
    );
    node.root.put("/etc/systemd/system/api.service", unit);
    node.systemctl(&["add-wants", "multi-user.target", "api.service"]);
}

/// What that API server answers for an object.
fn answer(node: &Node, object: &str, status: &str, json: &Value) {
    // kubeadm adds how long it waits; openssl takes that for a part of the file's name.
    for query in ["", "?timeout=10s"] {
        let answer = format!("HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{json}");
        node.root.put(&format!("/opt/test/api/api/v1/namespaces/{object}{query}"), answer);
    }
}

fn join_config(node: &Node, pin: &str) {
    let (id, secret) = TOKEN;
    // The bus takes connections, as a container runtime's socket does.
    let config = format!(
        "apiVersion: kubeadm.k8s.io/v1beta2\nkind: JoinConfiguration\nnodeRegistration:\n  name: node-1\n  \
         criSocket: /run/dbus/system_bus_socket\ndiscovery:\n  timeout: 3s\n  bootstrapToken:\n    apiServerEndpoint: 127.0.0.1:6443\n    \
         token: {id}.{secret}\n    caCertHashes: ['sha256:{pin}']\n"
    );
    node.root.put("/opt/test/join.yaml", config);
}

/// A node with this policy. Its check waits for as long as a boot may take.
fn node(name: &str, runcmd: &str, kubeadm: &str, policy: &str) -> Node {
    let node = Node::new(name, runcmd, kubeadm);
    node.root.put(POLICY, policy);
    let check = node.root.text("/opt/test/check").replace("--timeout 30", "--timeout 80");
    node.program("/opt/test/check", &check);
    node
}

fn real_kubeadm(node: &Node) {
    node.root.put_program("/opt/bin/kubeadm", fs::read(kubernetes().join("kubeadm")).unwrap());
}

/// What followed each run of kubeadm that failed.
fn followed(status: &Value) -> Vec<String> {
    let attempts = status["attempts"].as_array().cloned().unwrap_or_default();
    attempts.iter().map(|attempt| attempt["then"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn an_api_server_that_comes_late_is_waited_for() {
    needs!(root("containers"));
    let policy = "waits: {api-server: 60s}\nretries: {join: 1, pause: 1s}\n";
    let node = node("late", JOIN, "", policy);
    real_kubeadm(&node);
    api_server(&node, 12);
    node.boot();
    let status = node.stands(1, "failed");
    let journal = node.out("journal");
    let told = "waiting for 127.0.0.1:6443: the API server's port refuses connections; given up in ";
    assert!(journal.contains(told), "{journal}");
    // kubeadm finds the cluster at once, by the token and the pinned digest, and fails at what this server does not have.
    let output: String = journal.lines().filter(|line| !line.contains("footplate")).collect();
    assert!(output.contains("[preflight] Reading configuration from the cluster"), "{journal}");
    assert!(!output.contains("6443: connect: connection refused"), "{journal}");
    // It wrote nothing, and so is run again, once.
    let followed = followed(&status);
    assert_eq!(followed.len(), 2, "{status:#}");
    assert!(
        followed[0].starts_with("tried again after ") && followed[1].contains("2 attempts are most"),
        "{followed:?}"
    );
    assert_eq!(output.matches("[preflight] Reading configuration from the cluster").count(), 2, "{journal}");
}

#[test]
fn an_api_server_that_never_comes_ends_in_time() {
    needs!(root("containers"));
    for (name, preflight, attempts) in [("never", "warn", 2), ("never-stop", "stop", 0)] {
        let policy =
            format!("waits: {{api-server: 6s}}\npreflight: {preflight}\nretries: {{join: 1, pause: 1s}}\n");
        let node = node(name, JOIN, "", &policy);
        real_kubeadm(&node);
        join_config(&node, &"0".repeat(64));
        node.boot();
        let status = node.stands(1, "failed");
        assert_eq!(followed(&status).len(), attempts, "{status:#}");
        let first = &status["problems"][0];
        if attempts == 0 {
            assert_eq!(
                (&first["code"], &status["kubeadm_exit_status"]),
                (&"endpoint/refused".into(), &Value::Null),
                "{status:#}"
            );
            assert!(!node.out("journal").contains("[preflight]"), "{}", node.out("journal"));
        } else {
            assert!(followed(&status)[1].contains("2 attempts are most"), "{status:#}");
            let warned = |p: &Value| p["code"] == "endpoint/refused" && p["level"] == "warning";
            assert!(status["problems"].as_array().unwrap().iter().any(warned), "{status:#}");
        }
        node.is_clean();
    }
}

/// The token is gone when the first attempt has failed: the status does not say that another followed.
#[test]
fn a_join_whose_token_has_expired_is_not_run_again() {
    needs!(root("containers"));
    let expire = "sed -i s/jws-kubeconfig-/jws-of-another-/ /opt/test/api/api/v1/namespaces/kube-public/configmaps/*; exit 1";
    let policy = "waits: {api-server: 4s}\nretries: {join: 3, pause: 1s}\n";
    let node = node("expired", JOIN, expire, policy);
    api_server(&node, 0);
    node.boot();
    let status = node.stands(1, "failed");
    assert_eq!(followed(&status), ["not tried again: it could only fail"], "{status:#}");
    let told = |p: &Value| p["code"] == "join/token-expired" && p["level"] == "warning";
    assert!(status["problems"].as_array().unwrap().iter().any(told), "{status:#}");
}

#[test]
fn what_the_real_kubeadm_wrote_is_undone_before_it_runs_again() {
    needs!(root("containers"));
    let node = node("undone", JOIN, "", "waits: {api-server: 60s}\nretries: {join: 1, pause: 1s}\n");
    real_kubeadm(&node);
    api_server(&node, 0);
    let map = |name: &str, key: &str, text: &str| json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": "kube-system"}, "data": {key: text}});
    let cluster =
        "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: v1.20.2\n";
    let kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    let maps = "kube-system/configmaps";
    answer(
        &node,
        &format!("{maps}/kubeadm-config"),
        "200 OK",
        &map("kubeadm-config", "ClusterConfiguration", cluster),
    );
    answer(
        &node,
        &format!("{maps}/kubelet-config-1.20"),
        "200 OK",
        &map("kubelet-config-1.20", "kubelet", kubelet),
    );
    let none =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
    answer(&node, &format!("{maps}/kube-proxy"), "404 Not Found", &none);
    // It can't tell kubeadm whether the node's name is taken: kubeadm fails after it wrote the cluster's CA.
    node.boot();
    let (status, journal) = (node.stands(1, "failed"), node.out("journal"));
    let followed = followed(&status);
    assert!(followed.len() == 2 && followed[0].starts_with("tried again after "), "{followed:?}{journal}");
    assert!(followed[1].contains("2 attempts are most"), "{followed:?}");
    assert!(journal.contains("[reset] Deleting contents of config directories"), "{journal}");
    assert!(node.root.path("/etc/kubernetes/pki/ca.crt").exists(), "{journal}");
}

/// As a kubeadm that fails the first time, late enough to have written, and whose `reset` undoes what it wrote.
const WRITES: &str = "#!/bin/sh
echo \"$1\" >> /var/lib/kubeadm-runs
case $1 in reset) rm -rf /etc/kubernetes/pki/ca.crt /etc/kubernetes/bootstrap-kubelet.conf; exit ;; esac
mkdir -p /etc/kubernetes/pki
[ \"$(grep -c join /var/lib/kubeadm-runs)\" -lt 2 ] || { : > /etc/kubernetes/kubelet.conf; exit 0; }
echo x > /etc/kubernetes/pki/ca.crt
";

#[test]
fn a_join_is_run_again_only_where_that_is_safe() {
    needs!(root("containers"));
    let join = "  - kubeadm join 127.0.0.1:6443 --cri-socket /run/dbus/system_bus_socket\n";
    let control_plane =
        "  - kubeadm join 127.0.0.1:6443 --control-plane --cri-socket /run/dbus/system_bus_socket\n";
    let init = "  - kubeadm init --cri-socket /run/dbus/system_bus_socket\n";
    let leaves = "echo y > /var/lib/kubelet-is-not-looked-at; mkdir -p /var/lib/kubelet; echo y > /var/lib/kubelet/left; exit 1\n";
    let member = ": > /etc/kubernetes/kubelet.conf; exit 1\n";
    for (name, command, end, there, runs, then) in [
        ("again", join, "exit 1\n", "", "join reset join", "tried again after"),
        ("checks", join, "exit 2\n", "", "join", "would fail again"),
        ("killed", join, "kill -9 $$\n", "", "join", "a signal ended it"),
        ("left", join, leaves, "", "join reset", "did not undo all: /var/lib/kubelet/left"),
        ("member", join, member, "", "join", "a member of the cluster"),
        (
            "theirs",
            join,
            "exit 1\n",
            "/etc/kubernetes/manifests/lb.yaml",
            "join",
            "would remove /etc/kubernetes/manifests/lb.yaml",
        ),
        ("etcd", control_plane, "exit 1\n", "", "join", "may have joined etcd: /etc/kubernetes/pki/ca.crt"),
        ("init", init, "exit 1\n", "", "init", "an init may have begun a cluster"),
    ] {
        let policy = "waits: {api-server: 0s}\nretries: {join: 2, pause: 1s}\n";
        let node = node(&format!("safe-{name}"), command, &format!("{WRITES}{end}"), policy);
        if !there.is_empty() {
            node.root.put(there, "x");
        }
        node.boot();
        let again = name == "again";
        let status = if again { node.stands(0, "done") } else { node.stands(1, "failed") };
        let ran = node.root.text("/var/lib/kubeadm-runs").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ran, runs, "{name}: {status:#}");
        let followed = followed(&status);
        assert!(followed.len() == 1 && followed[0].contains(then), "{name}: {followed:?}");
        let kind = if name == "init" { "init" } else { "join" };
        let told = format!("preflight: kubeadm {kind} is {}", followed[0]);
        assert!(node.out("journal").contains(&told), "{name}: {told}");
        assert_eq!(
            status["attempts"][0]["exit_status"],
            if name == "killed" {
                137
            } else if name == "checks" {
                2
            } else {
                1
            }
        );
        assert!(!Path::new(&node.root.path("/run/footplate/before-kubeadm.json")).exists());
    }
}
