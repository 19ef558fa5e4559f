// SPDX-License-Identifier: Apache-2.0
//! The other end of a join: a network namespace, and a cluster's API server in it, as far as kubeadm and the kubelet of 1.20 ask it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use nix::sched::{CloneFlags, setns};
use ring::hmac;
use serde_json::{Value, json};

use super::authority::Authority;
use super::scratch::Ran;
use super::server::{End, Reply, Seen, Server};

/// How long an API server's certificate holds.
pub const HOLDS: (&str, &str) = ("20200101", "20991231");

pub const TOKEN: (&str, &str) = ("c0ffee", "fedcba9876543210");

/// The address that the node's API server has; the node itself has the network's next one.
pub const API: &str = "192.0.2.1:6443";

/// A network namespace with the metadata server's address and one network, which leads nowhere else.
pub struct Network(pub String);

impl Network {
    pub fn new(name: &str) -> Self {
        let network = Self(format!("footplate-{name}-{}", std::process::id()));
        network.ip(&["netns", "add", &network.0]);
        for line in [
            "link set lo up",
            "address add 169.254.169.254/32 dev lo",
            "address add 192.0.2.1/32 dev lo",
            "link add eth0 type veth peer name other",
            "link set other up",
            "address add 192.0.2.2/24 dev eth0",
            "link set eth0 up",
        ] {
            let words: Vec<&str> = ["-n", &network.0].into_iter().chain(line.split(' ')).collect();
            network.ip(&words);
        }
        network
    }

    fn ip(&self, words: &[&str]) {
        Ran::of(Command::new("ip").args(words)).ended(0, &[]);
    }

    /// Something that listens at the API server's port and is none: it reads a little, says this, and ends the connection, if it ends it.
    pub fn listens(&self, at: &'static str, says: &'static [u8], ends: bool) {
        self.within(|| {
            let listener = std::net::TcpListener::bind(at).unwrap();
            std::thread::spawn(move || {
                let mut held = Vec::new();
                for mut stream in listener.incoming().flatten() {
                    use std::io::{Read as _, Write as _};
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(says);
                    if !ends {
                        held.push(stream);
                    }
                }
            });
        });
    }

    /// Does something in it. A thread that it starts, and a socket that it opens, stay there.
    pub fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.0);
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(fs::File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                what()
            });
            inside.join().unwrap()
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

pub fn reply(status: u16, json: &Value) -> Reply {
    Reply::status(status, "content-type: application/json\r\n", json.to_string())
}

/// What an API server says where it refuses.
pub fn refusal(code: u16, reason: &str, message: &str) -> Reply {
    reply(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code}),
    )
}

/// What a cluster keeps that nodes join, and gives them.
pub struct Cluster {
    pub authority: Authority,
    /// The kubeconfig of `cluster-info`, and its signature by the token.
    pub kubeconfig: String,
    requests: Mutex<BTreeMap<String, Value>>,
}

impl Cluster {
    pub fn new(authority: Authority) -> Self {
        let ca = fs::read(authority.bundle()).unwrap();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster:\n    server: https://{API}\n    \
             certificate-authority-data: {}\n",
            STANDARD.encode(ca)
        );
        Self { authority, kubeconfig, requests: Mutex::default() }
    }

    pub fn signature(&self, (id, secret): (&str, &str)) -> String {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": id}).to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&self.kubeconfig));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
        format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// `cluster-info`, signed by a token with this secret.
    pub fn info(&self, secret: &str) -> Value {
        let key = format!("jws-kubeconfig-{}", TOKEN.0);
        map("cluster-info", json!({"kubeconfig": self.kubeconfig, key: self.signature((TOKEN.0, secret))}))
    }

    /// Listens in a network, with a certificate of this authority for these names; what `special` does not answer, the cluster does.
    pub fn serve(
        self: &Arc<Self>,
        network: &Network,
        authority: &Authority,
        names: &[&str],
        (from, until): (&str, &str),
        special: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
    ) {
        let (tls, cluster) = (authority.server(names, from, until), Arc::clone(self));
        network.within(|| Server::start_tls(API, tls, move |seen| cluster.reply(seen, special(seen))));
    }

    /// The answer to a request, if it is no special one.
    pub fn reply(&self, seen: &Seen, special: Option<Reply>) -> Reply {
        let reply = special.unwrap_or_else(|| self.answer(seen));
        // It speaks HTTP/1.0, whose connections end with the answer.
        if seen.header("user-agent") == Some("footplate") { reply.end(End::Close) } else { reply }
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.path.split('?').next().unwrap_or_default();
        let csrs = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        let cluster = "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: v1.20.2\n\
             controlPlaneEndpoint: 192.0.2.1:6443\nnetworking: {serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local}\n";
        let kubelet =
            "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: systemd\n";
        let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1"}}});
        match (seen.method.as_str(), path.rsplit('/').next().unwrap_or_default()) {
            ("GET", "healthz") => Reply::ok("ok"),
            ("GET", "cluster-info") => reply(200, &self.info(TOKEN.1)),
            ("GET", "kubeadm-config") => {
                let status = "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\napiEndpoints: {}\n";
                reply(
                    200,
                    &map("kubeadm-config", json!({"ClusterConfiguration": cluster, "ClusterStatus": status})),
                )
            }
            ("GET", "kubelet-config-1.20") => {
                reply(200, &map("kubelet-config-1.20", json!({"kubelet": kubelet})))
            }
            // The node is there once the kubelet has its certificate.
            ("GET" | "PATCH", "node-1") if !self.requests.lock().unwrap().is_empty() => reply(200, &node),
            ("POST", "certificatesigningrequests") => reply(201, &self.sign(&seen.body)),
            ("GET", "certificatesigningrequests") => {
                let items: Vec<Value> = self.requests.lock().unwrap().values().cloned().collect();
                let list = json!({"kind": "CertificateSigningRequestList", "apiVersion": "certificates.k8s.io/v1", "metadata": {"resourceVersion": "7"}, "items": items});
                // The kubelet does not end before its watch does.
                if seen.path.contains("watch=") {
                    Reply::raw(
                        "HTTP/1.1 200 OK
content-type: application/json

",
                    )
                } else {
                    reply(200, &list)
                }
            }
            ("GET", _) if path.starts_with(csrs) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                match self.requests.lock().unwrap().get(name) {
                    Some(request) => reply(200, request),
                    None => refusal(404, "NotFound", "not found"),
                }
            }
            _ => refusal(404, "NotFound", &format!("{path} not found")),
        }
    }

    /// Approves and signs a request for a certificate at once. It has the request in PEM, in base64 within JSON.
    fn sign(&self, body: &[u8]) -> Value {
        let text = String::from_utf8_lossy(body).into_owned();
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = match json["spec"]["request"].as_str() {
            Some(request) => text + &String::from_utf8_lossy(&STANDARD.decode(request).unwrap()),
            None => text,
        };
        assert!(text.contains("CERTIFICATE REQUEST"), "{} bytes: {text:?}", body.len());
        let (_, pem) = text.split_once("-----BEGIN CERTIFICATE REQUEST-----").unwrap();
        let (pem, _) = pem.split_once("-----END CERTIFICATE REQUEST-----").unwrap();
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----{pem}-----END CERTIFICATE REQUEST-----\n");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let name =
            text.find("node-csr-").map_or("csr-1", |at| text[at..].split(|c| !plain(c)).next().unwrap());
        let request = json!({
            "kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1",
            "metadata": {"name": name, "uid": "1", "resourceVersion": "7"},
            "spec": {"request": STANDARD.encode(&pem), "signerName": "kubernetes.io/kube-apiserver-client-kubelet"},
            "status": {
                "conditions": [{"type": "Approved", "status": "True", "reason": "test"}],
                "certificate": STANDARD.encode(self.authority.client(pem.as_bytes()))
            }
        });
        self.requests.lock().unwrap().insert(name.to_owned(), request.clone());
        request
    }
}

pub fn map(name: &str, data: Value) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": "kube-system"}, "data": data})
}
