// SPDX-License-Identifier: Apache-2.0
//! What the Node object is told when a bootstrap has ended: by `report` in a root of its own, to an API server that knows who asks by the
//! client's certificate alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::authority::Authority;
use crate::common::cluster::HOLDS;
use crate::common::sandbox::Sandbox;
use crate::common::scratch::{CANARY, FOOTPLATE, Ran};
use crate::common::server::{End, Reply, Seen, Server};

/// Where the kubelet keeps its certificate and its key: a link to the newest.
const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// A machine whose bootstrap's unit has just ended, and the API server of its cluster.
struct Joined {
    root: PathBuf,
    program: Command,
    authority: Authority,
    server: Server,
    /// What may not come out.
    secrets: Vec<String>,
}

impl Joined {
    /// A node that kubeadm joined, as it leaves one: the kubelet's certificate and its key, for a curve, in one file.
    fn new(sandbox: &Sandbox, name: &str, answer: fn(&Seen) -> Reply) -> Self {
        let (root, program) = sandbox.node(name, FOOTPLATE);
        let authority = Authority::new(&sandbox.dir().join(format!("{name}.authority")));
        let server =
            Server::start_tls("127.0.0.1:0", authority.mutual(&["127.0.0.1"], HOLDS.0, HOLDS.1), answer);
        let mut joined = Self { root, program, authority, server, secrets: vec![CANARY.to_owned()] };
        joined.put("/etc/footplate.yaml", "reports: {condition: true}\nwaits: {metadata: 5s}\n");
        joined.put("/run/footplate/bootstrap", &format!("kubeadm join --token {CANARY}\n"));
        joined.put("/run/footplate/kubeadm.status", "0\n");
        let stage = json!({ "name": "kubeadm", "state": "running", "started_ms": 1, "ms": 0, "summary": "" });
        let status = json!({
            "version": 1, "state": "running", "platform": "nocloud", "instance_id": "i-1", "hostname": "other", "stages": [stage],
        });
        joined.put("/run/footplate/status.json", &status.to_string());
        let (certificate, key) = joined.client("-newkey ec -pkeyopt ec_paramgen_curve:P-256", "ec");
        assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----"), "the kubelet's form");
        let dated = PEM.replace("current", "2026-11-29-09-00-00");
        joined.put(&dated, &(certificate + &key));
        symlink(&dated, joined.root.join(&PEM[1..])).unwrap();
        joined.configure(&format!("client-certificate: {PEM}\n    client-key: {PEM}"));
        joined
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A certificate for this node, and its key.
    fn client(&mut self, kind: &str, form: &str) -> (String, String) {
        let dir = self.authority.bundle().with_file_name("");
        let script = format!(
            "openssl req {kind} -nodes -subj /O=system:nodes/CN=system:node:node-1 -keyout own.p8 -out own.csr
             openssl {form} -in own.p8 -out own.key {}",
            if form == "rsa" { "-traditional" } else { "" }
        );
        Ran::of(Command::new("sh").args(["-ec", &script]).current_dir(&dir)).ended(0, &[]);
        let certificate = self.authority.client(&fs::read(dir.join("own.csr")).unwrap());
        let key = fs::read_to_string(dir.join("own.key")).unwrap();
        self.secrets.extend(key.lines().nth(1).map(str::to_owned));
        (String::from_utf8(certificate).unwrap(), key)
    }

    /// The kubelet's kubeconfig, as kubeadm 1.34 writes it.
    fn configure(&self, user: &str) {
        let authority = STANDARD.encode(fs::read(self.authority.bundle()).unwrap());
        self.put(
            "/etc/kubernetes/kubelet.conf",
            &format!(
                "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {authority}\n    server: https://{}\n  \
                 name: default-cluster\ncontexts:\n- context:\n    cluster: default-cluster\n    namespace: default\n    \
                 user: default-auth\n  name: default-context\ncurrent-context: default-context\nkind: Config\n\
                 preferences: {{}}\nusers:\n- name: default-auth\n  user:\n    {user}\n",
                self.server.address
            ),
        );
    }

    /// Reports, and gives the requests that came and what `report` said. The result of the bootstrap stands, whatever came of it.
    fn report(mut self, state: &str) -> (Vec<Seen>, String) {
        let how =
            [("SERVICE_RESULT", if state == "done" { "success" } else { "exit-code" }), ("EXIT_STATUS", "1")];
        self.program.arg("report").envs(how).env_remove("SSL_CERT_FILE");
        let ran = Ran::of(&mut self.program);
        ran.ended(0, &[]);
        let status: Value =
            serde_json::from_slice(&fs::read(self.root.join("run/footplate/status.json")).unwrap()).unwrap();
        assert_eq!(status["state"], state, "{}", ran.err);
        for secret in &self.secrets {
            assert!(!ran.err.contains(secret) && !ran.out.contains(secret), "a secret is told: {}", ran.err);
        }
        let seen = self.server.seen();
        for told in seen.iter().map(|seen| String::from_utf8_lossy(&seen.body)) {
            assert!(!self.secrets.iter().any(|secret| told.contains(secret)), "a secret is told: {told}");
        }
        (seen, ran.err)
    }
}

fn created(_: &Seen) -> Reply {
    Reply::status(200, "content-type: application/json\r\n", "{}")
}

/// A condition as it came.
fn condition(seen: &Seen) -> Value {
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PATCH", "/api/v1/nodes/node-1/status"));
    assert_eq!(seen.header("content-type"), Some("application/strategic-merge-patch+json"));
    assert_eq!(seen.header("authorization"), None);
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let conditions = body["status"]["conditions"].as_array().unwrap();
    assert_eq!((conditions.len(), body.as_object().unwrap().len()), (1, 1), "{body}");
    let now = Command::new("date").args(["--utc", "+%Y-%m-%dT%H:"]).output().unwrap();
    let now = String::from_utf8(now.stdout).unwrap();
    for time in ["lastHeartbeatTime", "lastTransitionTime"] {
        let time = conditions[0][time].as_str().unwrap();
        assert!(
            time.starts_with(&now.trim()[..10]) && time.ends_with('Z') && time.len() == 20,
            "{time} {now}"
        );
    }
    conditions[0].clone()
}

/// In a network of its own.
fn sandboxed(name: &'static str, test: impl FnOnce(&Sandbox) + Send + 'static) {
    let ran = thread::spawn(move || test(&Sandbox::enter(name, &[]))).join();
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_node_object_is_told_how_the_bootstrap_ended() {
    needs!(root("a network of its own"));
    needs!(program("openssl", "openssl"));
    sandboxed("condition", |sandbox| {
        let (seen, said) = Joined::new(sandbox, "done", created).report("done");
        assert_eq!(seen.len(), 1, "{said}");
        let told = condition(&seen[0]);
        assert_eq!(told["type"], "BootstrapProblem");
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&"False".into(), &"BootstrapIsGood".into()),
            "{told}"
        );

        // A control plane has its credentials in the file itself at first, with a key of another kind.
        let mut first = Joined::new(sandbox, "init", created);
        let (certificate, key) = first.client("-newkey rsa:2048", "rsa");
        assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----"), "kubeadm's form");
        let data = |text: &str| STANDARD.encode(text);
        first.configure(&format!(
            "client-certificate-data: {}\n    client-key-data: {}",
            data(&certificate),
            data(&key)
        ));
        first.secrets.push(data(&key)[..60].to_owned());
        let (seen, said) = first.report("done");
        assert_eq!((seen.len(), &condition(&seen[0])["status"]), (1, &"False".into()), "{said}");

        // A control plane that joined, and failed after that.
        let failed = Joined::new(sandbox, "failed", created);
        failed.put("/run/footplate/kubeadm.status", "1\n");
        let (seen, said) = failed.report("failed");
        assert_eq!(seen.len(), 1, "{said}");
        let told = condition(&seen[0]);
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&"True".into(), &"BootstrapExitCode".into()),
            "{told}"
        );
        assert_eq!(told["message"], "kubeadm failed with exit status 1");
    });
}

#[test]
fn nobody_is_told_where_the_policy_does_not_say_so_or_the_machine_is_no_node() {
    needs!(root("a network of its own"));
    needs!(program("openssl", "openssl"));
    sandboxed("condition-none", |sandbox| {
        let quiet = Joined::new(sandbox, "quiet", created);
        quiet.put("/etc/footplate.yaml", "reports: {console: false}\n");
        let (seen, said) = quiet.report("done");
        assert!(seen.is_empty() && !said.contains("Node object"), "{said}");

        let none = Joined::new(sandbox, "none", created);
        fs::remove_file(none.root.join("etc/kubernetes/kubelet.conf")).unwrap();
        none.put("/run/footplate/kubeadm.status", "1\n");
        let (seen, said) = none.report("failed");
        assert!(seen.is_empty() && !said.contains("Node object"), "{said}");
    });
}

/// A name, what is changed on the machine before it reports, what the server answers, how many requests come, and what is said.
type Case = (&'static str, fn(&Joined), fn(&Seen) -> Reply, usize, &'static str);

#[test]
fn what_is_not_told_is_a_warning() {
    needs!(root("a network of its own"));
    needs!(program("openssl", "openssl"));
    fn edit(joined: &Joined, of: &str, to: &str) {
        let path = "/etc/kubernetes/kubelet.conf";
        let text = fs::read_to_string(joined.root.join(&path[1..])).unwrap();
        assert!(text.contains(of), "{of}");
        joined.put(path, &text.replace(of, to));
    }
    let cases: &[Case] = &[
        // Another cluster's authority; the server's own is one that the system trusts, which does not count here.
        (
            "stranger",
            |joined| {
                let bundle = fs::read_to_string(joined.authority.bundle()).unwrap();
                joined.put("/etc/ssl/certs/ca-certificates.crt", &bundle);
                let other = Authority::new(&joined.authority.bundle().with_file_name("other"));
                let pem = |authority: &Authority| STANDARD.encode(fs::read(authority.bundle()).unwrap());
                edit(joined, &pem(&joined.authority), &pem(&other));
            },
            created,
            0,
            "/api/v1/nodes/node-1/status: its certificate is not trusted",
        ),
        ("late", |_| {}, |s| if s.before == 0 { Reply::not_found() } else { created(s) }, 2, ""),
        ("never", |_| {}, |_| Reply::not_found(), 4, "HTTP status 404 (gave up at the deadline"),
        ("forbidden", |_| {}, |_| Reply::status(403, "", "{}"), 1, "HTTP status 403"),
        ("silent", |_| {}, |_| Reply::nothing(End::Hang), 1, "no answer within"),
        (
            "garbage",
            |j| j.put("/etc/kubernetes/kubelet.conf", "a: ["),
            created,
            0,
            "kubelet.conf: is not a kubeconfig",
        ),
        (
            "no-file",
            |joined| fs::remove_file(joined.root.join(&PEM[1..])).unwrap(),
            created,
            0,
            "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem does not exist",
        ),
        ("no-key", |j| edit(j, "    client-key:", "    other:"), created, 0, "has no client-key"),
        ("plain", |j| edit(j, "server: https:", "server: http:"), created, 0, "is not asked over https"),
        (
            "not-a-node",
            |joined| {
                let ours = fs::read_to_string(joined.authority.bundle()).unwrap();
                joined.put(&PEM.replace("current", "2026-11-29-09-00-00"), &ours);
            },
            created,
            0,
            "its client-certificate is not a node's",
        ),
    ];
    sandboxed("condition-warned", move |sandbox| {
        for (name, change, answer, asked, says) in cases {
            let joined = Joined::new(sandbox, name, *answer);
            change(&joined);
            let began = Instant::now();
            let (seen, said) = joined.report("done");
            assert!(began.elapsed() < Duration::from_secs(12), "{name}: {:?}", began.elapsed());
            // Of pauses with jitter one more may fit.
            assert!(seen.len() == *asked || *asked > 2 && seen.len() > 2, "{name}: {} {said}", seen.len());
            let warned =
                said.contains("report: the Node object does not have the condition BootstrapProblem: ");
            assert!(warned != says.is_empty() && said.contains(says), "{name}: {said}");
        }
    });
}

/// A server that does not know the authority of the kubelet's certificate ends the handshake.
#[test]
fn a_server_knows_the_node_by_its_certificate() {
    needs!(root("a network of its own"));
    needs!(program("openssl", "openssl"));
    sandboxed("condition-unknown", |sandbox| {
        let mut unknown = Joined::new(sandbox, "unknown", created);
        let theirs = std::mem::replace(
            &mut unknown.authority,
            Authority::new(Path::new(&sandbox.dir().join("second"))),
        );
        let (certificate, key) = unknown.client("-newkey ec -pkeyopt ec_paramgen_curve:P-256", "ec");
        unknown.put(&PEM.replace("current", "2026-11-29-09-00-00"), &(certificate + &key));
        unknown.authority = theirs;
        let (seen, said) = unknown.report("done");
        assert!(seen.is_empty() && said.contains("the server ended it with the alert"), "{said}");
    });
}
