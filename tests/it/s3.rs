// SPDX-License-Identifier: Apache-2.0
//! Ignition's configs in S3, as Cluster API's AWS provider puts them there: fetched by the instance's role, whose
//! credentials are STS's, from a bucket whose region is found. moto checks each signature and what the role may.

use crate::common::{authority, imds, moto, sandbox, server};

use std::fs;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use authority::Authority;
use imds::{V4, machine, session};
use moto::Moto;
use sandbox::Sandbox;
use serde_json::json;
use server::{Reply, Seen, Server};

/// What must not be printed.
const CANARY: &str = "canary-0123456789abcdef";

/// The instance's region, and the bucket's.
const HERE: &str = "eu-west-1";
const THERE: &str = "eu-central-1";

const BUCKET: &str = "nodes";
const KEY: &str = "control-plane/m%201+ü";
/// The key as requests have it.
const PATH: &str = "/control-plane/m%201%2B%C3%BC";

/// Cluster API's policy for nodes: their own part of the bucket.
const POLICY: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\
                      \"Resource\":\"arn:aws:s3:::nodes/control-plane/*\"}]}";

/// A put to S3.
fn put(path: &str, body: &[u8]) {
    let (host, authorization) = (format!("{BUCKET}.s3.{THERE}.amazonaws.com"), moto::anybody("s3", THERE));
    let headers = [("host", host.as_str()), ("authorization", &authorization)];
    let (status, _, answer) = moto::send("PUT", path, &headers, body);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
}

/// The object: a whole config, and what it says is a secret.
fn config() -> String {
    json!({
        "ignition": { "version": "2.3.0" },
        "storage": { "files": [{
            "filesystem": "root", "path": "/etc/kubeadm.yml", "mode": 0o600,
            "contents": { "source": format!("data:,token%3A%20{CANARY}") },
        }] },
    })
    .to_string()
}

/// The same of version 3, which is what can be merged with others of it.
fn config_3() -> String {
    json!({
        "ignition": { "version": "3.4.0" },
        "storage": { "files": [{
            "path": "/etc/kubeadm.yml", "mode": 0o600,
            "contents": { "source": format!("data:,token%3A%20{CANARY}") },
        }] },
    })
    .to_string()
}

/// What signs a URL that was made for one object.
const PRESIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20300101%2Feu-central-1%2Fs3%2F\
                         aws4_request&X-Amz-Date=20300101T000000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&\
                         X-Amz-Signature=canary-0123456789abcdef";

/// moto with a bucket, a role, and credentials of a session of that role; from here on it checks who asks.
fn aws() -> (Moto, String) {
    let moto = Moto::start(&[]);
    put("/", format!("<CreateBucketConfiguration><LocationConstraint>{THERE}</LocationConstraint></CreateBucketConfiguration>").as_bytes());
    put(PATH, config().as_bytes());
    put("/control-plane/m-3", config_3().as_bytes());
    put("/node/m-2", b"{}");
    let credentials = moto::session(POLICY);
    moto::guard(true);
    (moto, credentials.to_string())
}

/// What S3's regions say of the bucket, and moto the rest.
fn s3(seen: &Seen) -> Reply {
    let host = seen.header("host").unwrap();
    if let Some((_, query)) = seen.path.split_once('?') {
        // It is its own authority, and S3 refuses a second one.
        assert_eq!((query, seen.header("authorization")), (PRESIGNED, None));
        moto::guard(false);
        let reply = moto::pass(seen);
        moto::guard(true);
        return reply;
    }
    if !host.contains(THERE) {
        return match seen.path.as_str() {
            // Both ways in which S3 tells.
            PATH => Reply::status(301, &format!("x-amz-bucket-region: {THERE}\r\n"), ""),
            _ => Reply::status(
                400,
                "",
                format!("<Error><Code>AuthorizationHeaderMalformed</Code><Region>{THERE}</Region></Error>"),
            ),
        };
    }
    if seen.header("authorization").is_none() {
        return Reply::status(
            403,
            "",
            format!("<Error><Code>AccessDenied</Code><Message>{CANARY}</Message></Error>"),
        );
    }
    moto::pass(seen)
}

struct Case {
    sandbox: Sandbox,
    authority: Authority,
}

impl Case {
    fn new(sandbox: Sandbox) -> Self {
        let hosts: String =
            [HERE, THERE].map(|r| format!("127.0.0.1 {BUCKET}.s3.{r}.amazonaws.com\n")).concat();
        sandbox.cover("/etc/hosts", &hosts);
        let authority = Authority::new(&sandbox.dir().join("authority"));
        Self { sandbox, authority }
    }

    fn provision(&self) -> Output {
        let root = self.sandbox.dir().join("root");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_footplate"));
        command.args(["provision", "--platform", "aws", "--root"]).arg(root);
        let output = command.env("SSL_CERT_FILE", self.authority.bundle()).output().unwrap();
        assert!(!stderr(&output).contains("canary"), "{}", stderr(&output));
        output
    }

    fn applied(&self) -> bool {
        let text = fs::read_to_string(self.sandbox.dir().join("root/etc/kubeadm.yml")).unwrap_or_default();
        text == format!("token: {CANARY}")
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stub(way: &str, source: &str) -> String {
    let config = match way {
        "replace" => json!({ "replace": { "source": source } }),
        // A list since the first version, and of both forms.
        way => json!({ way: [{ "source": source }] }),
    };
    let version = if way == "merge" { "3.4.0" } else { "2.3.0" };
    json!({ "ignition": { "version": version, "config": config } }).to_string()
}

fn sandboxed(name: &'static str, test: impl FnOnce(Sandbox) + Send + 'static) {
    moto::install();
    let run = move || test(Sandbox::enter(name, &["169.254.169.254/32"]));
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_stub_is_replaced_by_what_stands_in_another_regions_bucket() {
    needs!(root("a network of its own"));
    sandboxed("s3", |sandbox| {
        let case = Case::new(sandbox);
        let (_moto, credentials) = aws();
        let below = "meta-data/iam/security-credentials";
        let with_role = machine().with(&format!("{below}/nodes"), &credentials);
        let tree = Arc::new(Mutex::new(machine()));
        let served = Arc::clone(&tree);
        let _imds = Server::start(V4, move |s| session(s, &served.lock().unwrap()));
        let names = [HERE, THERE].map(|r| format!("*.s3.{r}.amazonaws.com"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let tls = case.authority.server(&names, "20200101", "20490101");
        let front = Server::start_tls("127.0.0.1:443", tls, s3);
        let presigned = format!("https://{BUCKET}.s3.{THERE}.amazonaws.com{PATH}?{PRESIGNED}");
        let object = |key: &str| format!("s3://{BUCKET}/{key}");
        for (way, source, want) in [
            ("replace", object(KEY), ""),
            ("append", object(KEY), ""),
            ("merge", object("control-plane/m-3"), ""),
            ("replace", presigned, ""),
            ("replace", object("control-plane/missing"), "HTTP status 404: NoSuchKey"),
            ("replace", object("node/m-2"), "HTTP status 403: AccessDenied"),
        ] {
            *tree.lock().unwrap() = with_role.clone().with("user-data", &stub(way, &source));
            let before = front.seen().len();
            let output = case.provision();
            let what = format!("{way} {source}: {}", stderr(&output));
            assert_eq!(output.status.success(), want.is_empty(), "{what}");
            assert_eq!(case.applied(), want.is_empty(), "{what}");
            assert!(stderr(&output).contains(want), "{what}");
            // Found once, and nobody else was asked.
            let regions: Vec<bool> =
                front.seen()[before..].iter().map(|s| s.header("host").unwrap().contains(THERE)).collect();
            let hops: &[bool] = if source.starts_with("s3:") { &[false, true] } else { &[true] };
            assert_eq!(regions, hops, "{what}");
        }
    });
}
