// SPDX-License-Identifier: Apache-2.0
//! AWS's services as [moto](https://docs.getmoto.org/) plays them, on loopback.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Where each test has it: in a network of its own.
pub const ADDRESS: &str = "127.0.0.1:5000";

/// Pinned, so that a test that fails has not changed by itself.
const VERSION: &str = "moto[server,iam,s3,secretsmanager,ssm,sts]==5.2.5";

/// moto in an environment of its own below the target directory, installed by the first test that wants it.
static SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let (server, done) = (dir.join("bin/moto_server"), dir.join(VERSION.rsplit('=').next().unwrap()));
    // Test programs run one after the other, and within one this runs once.
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
