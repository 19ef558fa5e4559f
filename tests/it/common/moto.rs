// SPDX-License-Identifier: Apache-2.0
//! AWS's services as [moto](https://docs.getmoto.org/) plays them, on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::server::{Reply, Seen};

/// Where each test has it: in a network of its own.
pub const ADDRESS: &str = "127.0.0.1:5000";

/// Pinned, so that a test that fails has not changed by itself.
const VERSION: &str = "moto[server,iam,s3,secretsmanager,ssm,sts]==5.2.5";

/// moto in an environment of its own below the target directory, installed by the first test that wants it.
static SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let (server, done) = (dir.join("bin/moto_server"), dir.join(VERSION.rsplit('=').next().unwrap()));
    if !done.exists() {
        let _ = std::fs::remove_dir_all(&dir);
        let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir));
        run(Command::new(dir.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            VERSION,
        ]));
        std::fs::write(done, "").unwrap();
    }
    server
});

/// Installs moto if it is not there: before a test leaves the machine's network.
pub fn install() {
    LazyLock::force(&SERVER);
}

/// A running server, ended with the test.
pub struct Moto(Child);

impl Moto {
    /// Starts it in the calling thread's network, with further arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let (host, port) = ADDRESS.split_once(':').unwrap();
        let child = Command::new(SERVER.as_path())
            .args(["-H", host, "-p", port])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address: SocketAddr = ADDRESS.parse().unwrap();
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "moto does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(child)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request as it is, its `Host` and its signature too, and gives the answer as it comes, without its
/// connection's words.
pub fn send(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let address: SocketAddr = ADDRESS.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let length = body.len().to_string();
    let further = [("content-length", length.as_str()), ("connection", "close")];
    for (name, value) in headers.iter().chain(&further) {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let mut lines = head.trim_end().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |l: &str| l.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    let own = |name: &str| ["content-length", "connection", "date", "server"].contains(&name);
    (status, lines.filter_map(header).filter(|(n, _)| !own(n)).collect(), body)
}

/// A role of that policy, and the credentials of a session of it as the metadata service gives them: all of STS's making.
pub fn session(policy: &str) -> serde_json::Value {
    const TRUST: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\
                         {\"Service\":\"ec2.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}";
    query("iam", &[("Action", "CreateRole"), ("RoleName", "nodes"), ("AssumeRolePolicyDocument", TRUST)]);
    let put = [
        ("Action", "PutRolePolicy"),
        ("RoleName", "nodes"),
        ("PolicyName", "own"),
        ("PolicyDocument", policy),
    ];
    query("iam", &put);
    let assume = [
        ("Action", "AssumeRole"),
        ("RoleArn", "arn:aws:iam::123456789012:role/nodes"),
        ("RoleSessionName", "i-0123456789abcdef0"),
    ];
    let session = query("sts", &assume);
    let element = |name: &str| {
        let (_, rest) = session.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": element("AccessKeyId"),
        "SecretAccessKey": element("SecretAccessKey"), "Token": element("SessionToken"),
        "Expiration": "2099-01-01T00:00:00Z",
    })
}

/// Whether it looks at signatures and policies from here on.
pub fn guard(on: bool) {
    let (status, ..) =
        send("POST", "/moto-api/reset-auth", &[("host", "moto")], if on { b"0" } else { b"inf" });
    assert_eq!(status, 200);
}

/// The authorization of who sets it up while it does not look.
pub fn anybody(service: &str, region: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20300101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// A call of AWS's older protocol.
fn query(service: &str, parameters: &[(&str, &str)]) -> String {
    let host = format!("{service}.amazonaws.com");
    let version = if service == "iam" { "2010-05-08" } else { "2011-06-15" };
    let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let body: Vec<String> = parameters.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    let body = format!("Version={version}&{}", body.join("&"));
    let authorization = anybody(service, "us-east-1");
    let headers = [
        ("host", host.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", &authorization),
    ];
    let (status, _, answer) = send("POST", "/", &headers, body.as_bytes());
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Passes a request on as it came.
pub fn pass(seen: &Seen) -> Reply {
    let headers: Vec<(&str, &str)> = seen
        .headers
        .iter()
        .filter(|(n, _)| n != "content-length" && n != "connection")
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let (status, headers, body) = send(&seen.method, &seen.path, &headers, &seen.body);
    let headers: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    Reply::status(status, &headers, body)
}
