// SPDX-License-Identifier: Apache-2.0
//! Cluster API's hidden bootstrap data on AWS: fetched, kept and deleted, and never lost, wherever the run is cut off.

use crate::common::{authority, imds, moto, sandbox, scratch, server};

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use authority::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use footplate::facade::io::http::Method;
use footplate::facade::io::http::{Client, Request, Response};
use imds::{V4, machine, session};
use moto::Moto;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::Sandbox;
use scratch::Scratch;
use serde_json::{Value, json};
use server::{Reply, Seen, Server};

/// What must not be seen outside of the files that it is for.
const CANARY: &str = "canary-0123456789abcdef";

/// In front of moto, where faults are made.
const FRONT: &str = "127.0.0.1:5001";

const REGION: &str = "eu-west-1";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    SecretsManager,
    Ssm,
}

use Variant::{SecretsManager, Ssm};

impl Variant {
    fn service(self) -> &'static str {
        if self == SecretsManager { "secretsmanager" } else { "ssm" }
    }

    fn name(self, chunk: usize) -> String {
        match self {
            SecretsManager => format!("aws.cluster.x-k8s.io/4711-{chunk}"),
            Ssm => format!("/cluster.x-k8s.io/4711/{chunk}"),
        }
    }

    fn prefix(self) -> String {
        self.name(0).trim_end_matches(['0', '-', '/']).to_owned()
    }
}

/// The bootstrap data, larger than a chunk once it is packed.
fn bootstrap() -> String {
    let noise: String =
        (0..1700_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    format!(
        "## template: jinja\n#cloud-config\nwrite_files:\n- path: /run/kubeadm/kubeadm-join-config.yaml\n  \
         permissions: '0640'\n  content: |\n    token: {CANARY}\n    name: '{{{{ ds.meta_data.local_hostname }}}}'\n    \
         noise: {noise}\nruncmd:\n- kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml\n"
    )
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The chunks as Cluster API cuts them: 7000 bytes of gzip, or 4000 characters of its base64.
fn chunks(variant: Variant) -> Vec<Vec<u8>> {
    let packed = gzip(bootstrap().as_bytes());
    match variant {
        SecretsManager => packed.chunks(7000).map(<[u8]>::to_vec).collect(),
        Ssm => STANDARD.encode(packed).as_bytes().chunks(4000).map(<[u8]>::to_vec).collect(),
    }
}

/// A boothook with what footplate reads of Cluster API's, and a trap: whoever runs it leaves a mark.
fn user_data(variant: Variant, endpoint: &str) -> String {
    let (service, prefix, count) = (variant.service(), variant.prefix(), chunks(variant).len());
    format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\n--b1\r\n\
         content-type: text/cloud-boothook\r\n\r\n#cloud-boothook\n#!/bin/bash\ntouch /the-script-ran\n\
         REGION=\"{REGION}\"\nif [ \"{endpoint}\" != \"\" ]; then\n  ENDPOINT=\"--endpoint-url {endpoint}\"\nfi\n\
         SECRET_PREFIX=\"{prefix}\"\nCHUNKS=\"{count}\"\nFILE=\"/etc/secret-userdata.txt\"\n\
         log::info \"aws.cluster.x-k8s.io encrypted cloud-init script $0 started\"\n\
         aws {service} ${{ENDPOINT}} --region ${{REGION}} get\n\r\n--b1\r\n\
         content-type: text/x-include-url\r\n\r\nfile:///etc/secret-userdata.txt\n\r\n--b1--\r\n"
    )
}

/// A call to moto by its own address.
fn call(target: &str, body: &Value) -> Response {
    let mut request = Request::new(Method::POST, format!("http://{}/", moto::ADDRESS))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        // moto finds the service and the region in the signature, and does not check it.
        .header("authorization", moto::anybody(service_of(target), REGION).as_str());
    request.body = body.to_string().as_str().into();
    Client::new().unwrap().fetch(&request, Instant::now() + Duration::from_secs(20)).unwrap()
}

fn service_of(target: &str) -> &'static str {
    if target.starts_with("secretsmanager") { "secretsmanager" } else { "ssm" }
}

fn store(variant: Variant) {
    for (n, chunk) in chunks(variant).iter().enumerate() {
        let name = variant.name(n);
        let response = match variant {
            SecretsManager => call(
                "secretsmanager.CreateSecret",
                &json!({ "Name": name, "SecretBinary": STANDARD.encode(chunk) }),
            ),
            Ssm => {
                let value = String::from_utf8(chunk.clone()).unwrap();
                let body = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
                call("AmazonSSM.PutParameter", &body)
            }
        };
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(response.body.expose()));
    }
}

/// How many chunks there still are.
fn left(variant: Variant) -> usize {
    let there = |n: &usize| match variant {
        SecretsManager => {
            call("secretsmanager.GetSecretValue", &json!({ "SecretId": variant.name(*n) })).status == 200
        }
        Ssm => {
            let body = json!({ "Name": variant.name(*n), "WithDecryption": true });
            call("AmazonSSM.GetParameter", &body).status == 200
        }
    };
    (0..chunks(variant).len()).filter(there).count()
}

/// What a node's role may; moto looks at no names of secrets there.
const POLICY: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\
                      [\"secretsmanager:DeleteSecret\",\"secretsmanager:GetSecretValue\",\"ssm:DeleteParameter\",\
                      \"ssm:GetParameter\"],\"Resource\":\"*\"}]}";

fn role(tree: imds::Tree, credentials: &Value) -> imds::Tree {
    let below = "meta-data/iam/security-credentials";
    tree.with(&format!("{below}/nodes.example"), &credentials.to_string())
}

/// A machine with its root directory, its metadata service and its AWS.
struct Case {
    sandbox: Sandbox,
    _moto: Moto,
    _imds: Server,
    front: Server,
    /// Which process the front may end.
    victim: Arc<AtomicI32>,
    /// The role's, as STS made them.
    credentials: Value,
}

/// What the front does with a request; the process that sent it comes along.
type Fault = dyn Fn(&Seen, Pid) -> Reply + Send + Sync;

impl Case {
    fn new(sandbox: Sandbox, variant: Variant, fault: Arc<Mutex<Box<Fault>>>) -> Self {
        Self::at(sandbox, variant, &format!("http://{FRONT}"), fault)
    }

    /// With that endpoint in the boothook.
    fn at(sandbox: Sandbox, variant: Variant, endpoint: &str, fault: Arc<Mutex<Box<Fault>>>) -> Self {
        let moto = Moto::start(&[]);
        let credentials = moto::session(POLICY);
        let tree = role(machine(), &credentials).with("user-data", &user_data(variant, endpoint));
        let imds = Server::start(V4, move |s| session(s, &tree));
        let victim = Arc::new(AtomicI32::new(0));
        let pid = Arc::clone(&victim);
        let front = Server::start(FRONT, move |s| {
            let answer = fault.lock().unwrap();
            answer(s, Pid::from_raw(pid.load(Ordering::SeqCst)))
        });
        Self { sandbox, _moto: moto, _imds: imds, front, victim, credentials }
    }

    fn root(&self) -> PathBuf {
        self.sandbox.dir().join("root")
    }

    /// An empty root and all chunks in their place.
    fn reset(&self, variant: Variant) {
        self.empty();
        store(variant);
    }

    /// A root with nothing but its user.
    fn empty(&self) {
        let _ = fs::remove_dir_all(self.root());
        fs::create_dir_all(self.root().join("etc")).unwrap();
        fs::write(self.root().join("etc/passwd"), "core:x:500:500::/home/core:/bin/bash\n").unwrap();
    }

    fn provision(&self, wrapper: &[&str]) -> Output {
        let program = env!("CARGO_BIN_EXE_footplate");
        let mut words =
            [wrapper, &[program, "provision", "--platform", "aws", "--root"]].concat().into_iter();
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(self.root()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Each of its signatures is checked, and what the role may.
        moto::guard(true);
        let child = command.spawn().unwrap();
        self.victim.store(child.id().cast_signed(), Ordering::SeqCst);
        let output = child.wait_with_output().unwrap();
        moto::guard(false);
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            for (what, secret) in self.secrets() {
                assert!(!text.contains(&secret), "{what} is printed: {text}");
            }
        }
        output
    }

    /// What must not get out, and what it is.
    fn secrets(&self) -> Vec<(&'static str, String)> {
        let of = |key: &str| self.credentials[key].as_str().unwrap().to_owned();
        vec![
            ("the payload", CANARY.to_owned()),
            ("the role's key", of("SecretAccessKey")),
            ("the role's session", of("Token")),
            ("the metadata service's token", imds::TOKEN.to_owned()),
        ]
    }

    /// The data that was kept, if it was.
    fn kept(&self) -> Option<String> {
        let file = self.root().join("var/lib/footplate/instances/i-0123456789abcdef0.bootstrap");
        let text = fs::read_to_string(&file).ok()?;
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        Some(text)
    }

    fn applied(&self) -> bool {
        let text =
            fs::read_to_string(self.root().join("run/kubeadm/kubeadm-join-config.yaml")).unwrap_or_default();
        assert!(!Path::new("/the-script-ran").exists());
        text.contains(CANARY) && text.contains("name: 'ip-10-0-0-5.eu-west-1.compute.internal'")
    }
}

fn passing() -> Arc<Mutex<Box<Fault>>> {
    Arc::new(Mutex::new(Box::new(|s, _| moto::pass(s))))
}

fn sandboxed(name: &'static str, test: impl FnOnce(Sandbox) + Send + 'static) {
    moto::install();
    let run = move || test(Sandbox::enter(name, &["169.254.169.254/32"]));
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn both_variants_are_fetched_kept_applied_and_deleted() {
    needs!(root("a network of its own"));
    for (name, variant) in [("capa-secrets", SecretsManager), ("capa-ssm", Ssm)] {
        sandboxed(name, move |sandbox| {
            let case = Case::new(sandbox, variant, passing());
            case.reset(variant);
            assert!(left(variant) > 1, "one chunk is no test");
            // A dry run takes nothing away.
            let program = env!("CARGO_BIN_EXE_footplate");
            let plan =
                Command::new(program).args(["plan", "--platform", "aws", "--root"]).arg(case.root()).output();
            let plan = plan.unwrap();
            assert!(
                String::from_utf8_lossy(&plan.stdout).contains("/run/kubeadm/kubeadm-join-config.yaml"),
                "{plan:?}"
            );
            assert_eq!(left(variant), chunks(variant).len());
            // Nor does an image whose policy says so.
            fs::write(case.root().join("etc/footplate.yaml"), "delete: {secrets: false}\n").unwrap();
            let output = case.provision(&[]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!((left(variant), case.kept()), (chunks(variant).len(), Some(bootstrap())));
            case.empty();
            let output = case.provision(&[]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(case.applied());
            assert_eq!((left(variant), case.kept()), (0, Some(bootstrap())));
            let keys = fs::read_to_string(case.root().join("home/core/.ssh/authorized_keys")).unwrap();
            assert_eq!(keys, "ssh-ed25519 AAAAC3Nz me@example\n");
            // Signed by the role, with its session, for this service and region.
            let [key, session] = ["AccessKeyId", "Token"].map(|k| case.credentials[k].as_str().unwrap());
            for seen in case.front.seen() {
                let authorization = seen.header("authorization").unwrap();
                let area = format!("/{REGION}/{}/aws4_request", variant.service());
                assert!(
                    authorization.starts_with(&format!("AWS4-HMAC-SHA256 Credential={key}/")),
                    "{authorization}"
                );
                assert!(authorization.contains(&area), "{authorization}");
                assert_eq!(seen.header("x-amz-security-token"), Some(session));
            }
            // Again: from the disk, and nothing to delete is no error.
            let output = case.provision(&[]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(stderr(&output).contains("on the disk already"), "{}", stderr(&output));
        });
    }
}

/// A fault of the services, and a text of the error; all chunks must be left.
type Broken = (&'static str, fn(&Seen) -> Reply, &'static str);

fn body_of(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.body).into_owned()
}

fn failing(kind: &str) -> Reply {
    Reply::status(400, "", format!("{{\"__type\":\"a.b#{kind}\",\"Message\":\"{CANARY}\"}}"))
}

const BROKEN: &[Broken] = &[
    (
        "gone",
        |s| if body_of(s).contains("4711-1") { failing("ResourceNotFoundException") } else { moto::pass(s) },
        "ResourceNotFoundException",
    ),
    (
        "invalid",
        |s| if body_of(s).contains("4711-1") { failing("InvalidRequestException") } else { moto::pass(s) },
        "InvalidRequestException",
    ),
    (
        "page",
        |s| if body_of(s).contains("4711-0") { Reply::ok("<html>") } else { moto::pass(s) },
        "the answer is not JSON",
    ),
    (
        "empty",
        |s| if body_of(s).contains("4711-0") { Reply::ok("{}") } else { moto::pass(s) },
        "the answer holds no secret",
    ),
    ("forbidden", |_| Reply::status(403, "", "no"), "HTTP status 403"),
    (
        "swapped",
        |s| {
            // What a signature would tell is not what is asked here.
            moto::guard(false);
            let mut s = s.clone();
            s.body = body_of(&s).replace("4711-1", "4711-0").into();
            moto::pass(&s)
        },
        "gzip",
    ),
    ("large", |_| Reply::ok(vec![b'x'; (256 << 10) + 1]), "larger than the 262144 bytes"),
    ("redirect", |_| Reply::status(302, "location: http://192.0.2.1/\r\n", ""), "HTTP status 302"),
];

#[test]
fn a_chunk_that_cannot_be_read_deletes_nothing() {
    needs!(root("a network of its own"));
    sandboxed("capa-broken", |sandbox| {
        let fault = passing();
        let case = Case::new(sandbox, SecretsManager, Arc::clone(&fault));
        for (name, answer, want) in BROKEN {
            case.reset(SecretsManager);
            let before = case.front.seen().len();
            *fault.lock().unwrap() = Box::new(|s, _| answer(s));
            let output = case.provision(&[]);
            *fault.lock().unwrap() = Box::new(|s, _| moto::pass(s));
            assert!(
                !output.status.success() && stderr(&output).contains(want),
                "{name}: {}",
                stderr(&output)
            );
            assert_eq!(left(SecretsManager), chunks(SecretsManager).len(), "{name}");
            let deleting = |s: &&Seen| s.header("x-amz-target").is_some_and(|t| t.contains("Delete"));
            assert_eq!(case.front.seen()[before..].iter().filter(deleting).count(), 0, "{name}");
            assert!(case.kept().is_none() && !case.applied(), "{name}");
            // Nothing of the fault stays: the next run succeeds.
            let output = case.provision(&[]);
            assert!(output.status.success() && case.applied(), "{name}: {}", stderr(&output));
            assert_eq!(left(SecretsManager), 0, "{name}");
        }
    });
}

/// What `date` makes of a time.
fn date(time: &str, format: &str) -> String {
    let mut command = std::process::Command::new("date");
    let output = command.env("LC_ALL", "C").args(["-u", "-d", time, format]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_clock_that_is_off_is_told_and_made_up_for() {
    needs!(root("a network of its own"));
    sandboxed("capa-clock", |sandbox| {
        let fault = passing();
        let case = Case::new(sandbox, SecretsManager, Arc::clone(&fault));
        case.reset(SecretsManager);
        // A service whose clock is an hour ahead, and which takes what is signed within five minutes of it.
        *fault.lock().unwrap() = Box::new(|s, _| {
            moto::guard(false);
            let signed = s.header("x-amz-date").unwrap();
            let signed =
                format!("{} {}:{}:{}", &signed[..8], &signed[9..11], &signed[11..13], &signed[13..15]);
            let seconds = |time: &str| date(time, "+%s").parse::<i64>().unwrap();
            let off = seconds("now + 1 hour") - seconds(&signed);
            if off.abs() < 300 {
                return moto::pass(s);
            }
            let head = format!("date: {}\r\n", date("now + 1 hour", "+%a, %d %b %Y %H:%M:%S GMT"));
            Reply::status(400, &head, "{\"__type\":\"InvalidSignatureException\"}")
        });
        let output = case.provision(&[]);
        assert!(output.status.success() && case.applied(), "{}", stderr(&output));
        let told = stderr(&output);
        assert!(
            told.contains("this machine's clock is 3") && told.contains(" s behind that of AWS"),
            "{told}"
        );
        assert_eq!(left(SecretsManager), 0);
    });
}

/// A way in which a server's certificate is bad: its names, its days, whose it is, and a text of the error.
type BadCertificate = (&'static str, &'static [&'static str], &'static str, &'static str, bool, &'static str);

#[test]
fn a_server_that_is_not_awss_gets_nothing_and_deletes_nothing() {
    needs!(root("a network of its own"));
    const NAMES: &[&str] = &["secretsmanager.eu-west-1.amazonaws.com"];
    let bad: &[BadCertificate] = &[
        ("127.0.0.2", NAMES, "20200101", "20210101", true, "its certificate has expired"),
        ("127.0.0.3", &["secretsmanager.example"], "20200101", "20490101", true, "not valid for name"),
        ("127.0.0.4", NAMES, "20200101", "20490101", false, "its certificate is not trusted: "),
        ("127.0.0.5", NAMES, "20200101", "20490101", true, ""),
    ];
    sandboxed("capa-certificates", move |sandbox| {
        let (ours, strangers) =
            (Authority::new(&sandbox.dir().join("ours")), Authority::new(&sandbox.dir().join("strangers")));
        // Otherwise a certificate that has expired is asked for again until the deadline: the clock may not be set yet.
        sandbox.clock_is_set();
        sandbox.cover("/etc/ssl/certs/ca-certificates.crt", &fs::read_to_string(ours.bundle()).unwrap());
        // Without an endpoint in the boothook: AWS's own, by its name.
        let case = Case::at(sandbox, SecretsManager, "", passing());
        store(SecretsManager);
        for (address, names, from, until, known, want) in bad {
            case.empty();
            case.sandbox.cover("/etc/hosts", &format!("{address} {}\n", NAMES[0]));
            let authority = if *known { &ours } else { &strangers };
            let tls = authority.server(names, from, until);
            let server = Server::start_tls(&format!("{address}:443"), tls, moto::pass);
            let output = case.provision(&[]);
            assert!(stderr(&output).contains(want), "{want}: {}", stderr(&output));
            assert_eq!(output.status.success(), want.is_empty(), "{want}: {}", stderr(&output));
            assert_eq!(case.applied(), want.is_empty(), "{want}");
            let count = chunks(SecretsManager).len();
            assert_eq!(left(SecretsManager), if want.is_empty() { 0 } else { count }, "{want}");
            assert_eq!(server.seen().len(), if want.is_empty() { 2 * count } else { 0 }, "{want}");
        }
    });
}

/// The machine of the boot of that name, as a root's whole tree. `BLESS=1 cargo test --test it capa::` writes it anew.
#[test]
fn a_control_plane_in_three_chunks_becomes_its_tree() {
    needs!(root("a network of its own"));
    sandboxed("capa-control-plane", |sandbox| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests/scenarios/ec2-control-plane/ec2");
        let input = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let _moto = Moto::start(&[]);
        let packed = gzip(input("bootstrap").as_bytes());
        for (n, chunk) in packed.chunks(packed.len().div_ceil(3)).enumerate() {
            let name = format!("aws.cluster.x-k8s.io/3f1c9a52-5a0e-4a1f-9a53-2d1f5d1b8c77-{n}");
            let body = json!({ "Name": name, "SecretBinary": STANDARD.encode(chunk) });
            assert_eq!(call("secretsmanager.CreateSecret", &body).status, 200);
        }
        let metadata: Value = serde_json::from_str(&input("metadata.json")).unwrap();
        let tree =
            imds::Tree::default().with("user-data", &input("user-data")).with_json("meta-data", &metadata);
        let _imds = Server::start(V4, move |s| session(s, &tree));
        let aws = Server::start("169.254.169.254:5000", moto::pass);
        let root = Scratch { dir: sandbox.dir().join("root") };
        fs::create_dir(&root.dir).unwrap();
        root.put("/etc/passwd", "core:x:500:500::/home/core:/bin/bash\n");
        let arguments = ["provision", "--platform", "aws", "--root", root.arg()];
        scratch::footplate(&arguments).ended(0, &["chunks=3"]);
        assert_eq!(aws.seen().len(), 6);
        let (golden, tree) = ("tests/cases/capa-control-plane-init/tree", root.tree());
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all("tests/cases/capa-control-plane-init").unwrap();
            fs::write(golden, &tree).unwrap();
        }
        let was = fs::read_to_string(golden).unwrap_or_default();
        assert!(tree == was, "{golden}\n{}", scratch::difference(&was, &tree));
        // Again, from what is kept: not a file is touched.
        let before = root.identities();
        scratch::footplate(&arguments).ended(0, &["apply: nothing changed\n"]);
        assert_eq!(root.identities(), before);
    });
}

/// Each secret, and the files that it may be in: nowhere else below the root, in no argument and no environment of what
/// was started, and printed nowhere.
#[test]
fn secrets_are_in_the_files_that_they_are_for_and_nowhere_else() {
    needs!(root("a network of its own"));
    for (name, variant) in [("capa-canaries-secrets", SecretsManager), ("capa-canaries-ssm", Ssm)] {
        sandboxed(name, move |sandbox| {
            let case = Case::new(sandbox, variant, passing());
            case.reset(variant);
            let trace = case.sandbox.dir().join("trace");
            let strace =
                ["strace", "-f", "-v", "-s", "100000", "-e", "trace=execve", "-o", trace.to_str().unwrap()];
            let output = case.provision(&strace);
            assert!(output.status.success() && case.applied(), "{}", stderr(&output));
            let trace = fs::read_to_string(trace).unwrap();
            assert!(trace.contains("execve("), "{trace}");
            let mut table = Vec::new();
            for (what, secret) in case.secrets() {
                assert!(!trace.contains(&secret), "{what} is in arguments or the environment: {trace}");
                let mut found = files_with(&case.root(), &secret);
                found.sort();
                let wanted: &[&str] = match what {
                    // What the user wanted, and what is kept until the bootstrap has run.
                    "the payload" => &[
                        "run/kubeadm/kubeadm-join-config.yaml 640",
                        "var/lib/footplate/instances/i-0123456789abcdef0.bootstrap 600",
                    ],
                    _ => &[],
                };
                assert_eq!(found, wanted, "{what}");
                table.push(format!("{what:32} {}", found.join(", ")));
            }
            println!("{variant:?}\n{}", table.join("\n"));
        });
    }
}

/// The files below a directory that hold a text, with their permissions.
fn files_with(root: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                dirs.push(path);
            } else if meta.is_file()
                && fs::read(&path).unwrap().windows(text.len()).any(|w| w == text.as_bytes())
            {
                let mode = std::os::unix::fs::MetadataExt::mode(&meta) & 0o777;
                found.push(format!("{} {mode:o}", path.strip_prefix(root).unwrap().display()));
            }
        }
    }
    found
}

#[test]
fn what_cannot_be_deleted_is_said_and_the_node_goes_on() {
    needs!(root("a network of its own"));
    sandboxed("capa-undeletable", |sandbox| {
        let fault: Arc<Mutex<Box<Fault>>> = Arc::new(Mutex::new(Box::new(|s, _| {
            let deletes = s.header("x-amz-target").is_some_and(|t| t.contains("Delete"));
            if deletes { failing("InvalidRequestException") } else { moto::pass(s) }
        })));
        let case = Case::new(sandbox, SecretsManager, fault);
        case.reset(SecretsManager);
        let output = case.provision(&[]);
        assert!(output.status.success() && case.applied(), "{}", stderr(&output));
        assert!(stderr(&output).contains("was not deleted where it stands"), "{}", stderr(&output));
    });
}

/// Kills the run at each request to the services, before the service heard it and after, and at each write to the disk;
/// then lets another run finish. Prints the table of what was left.
#[test]
fn killed_anywhere_nothing_is_lost_and_the_next_run_finishes() {
    needs!(root("a network of its own"));
    for (name, variant) in [("capa-kill-secrets", SecretsManager), ("capa-kill-ssm", Ssm)] {
        sandboxed(name, move |sandbox| {
            let fault = passing();
            let case = Case::new(sandbox, variant, Arc::clone(&fault));
            let count = chunks(variant).len();
            let mut table = Vec::new();
            let mut check = |point: String, output: &Output| {
                assert!(!output.status.success(), "{point}: was not killed");
                let (there, kept) = (left(variant), case.kept());
                assert!(kept.is_none() || kept == Some(bootstrap()), "{point}: half of it is kept");
                assert!(
                    kept.is_some() || there == count,
                    "{point}: {there} of {count} chunks, and nothing is kept"
                );
                table.push(format!("{point:44} {there}/{count} chunks left, kept: {}", kept.is_some()));
                let output = case.provision(&[]);
                assert!(output.status.success() && case.applied(), "{point}: {}", stderr(&output));
                assert_eq!(left(variant), 0, "{point}");
                there
            };
            for (when, heard) in [("before", false), ("after", true)] {
                for request in 0..2 * count {
                    case.reset(variant);
                    let first = case.front.seen().len();
                    *fault.lock().unwrap() = Box::new(move |s, pid| {
                        let reply = (heard || s.before < first + request).then(|| moto::pass(s));
                        if s.before == first + request {
                            kill(pid, Signal::SIGKILL).unwrap();
                        }
                        reply.unwrap_or_else(|| Reply::ok("{}"))
                    });
                    let output = case.provision(&[]);
                    *fault.lock().unwrap() = Box::new(|s, _| moto::pass(s));
                    let target =
                        case.front.seen()[first + request].header("x-amz-target").unwrap().to_owned();
                    check(format!("{when} request {request}, {target}"), &output);
                }
            }
            for syscall in ["fsync", "renameat"] {
                let mut n = 1;
                loop {
                    case.reset(variant);
                    let inject = format!("inject={syscall}:signal=KILL:when={n}");
                    let trace = case.sandbox.dir().join("trace");
                    let wrapper = ["strace", "-f", "-o", trace.to_str().unwrap(), "-e", &inject];
                    let output = case.provision(&wrapper);
                    if output.status.success() {
                        assert!(n > 1, "{syscall} is not called");
                        break;
                    }
                    // Once all is deleted the points differ no more: some of them will do.
                    n += if check(format!("{syscall} {n}"), &output) == 0 { 6 } else { 1 };
                }
            }
            println!("{variant:?}\n{}", table.join("\n"));
        });
    }
}
