// SPDX-License-Identifier: Apache-2.0
//! An HTTPS server on loopback, with a certificate authority of its own, that serves a directory as well or as badly as it is
//! told.

use std::fs;
use std::io::{BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::common::scratch::fresh;

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// As it should be, ranges included.
    Well,
    /// The same, a kilobyte each few milliseconds.
    Slowly,
    /// The same, a byte each tenth of a second.
    Drip,
    /// So many bytes of the body, and then nothing more on a connection that just ends.
    Cut(usize),
    /// The whole, whatever was asked for.
    Whole,
    /// The bit of this byte flipped.
    Flip(usize),
    /// A length that is so much off, and then the body as far as it goes.
    Length(i64),
    /// A part of the file that was not asked for.
    OtherRange,
    /// A status and a page.
    Status(u16, &'static str),
    /// A redirect.
    To(String),
}

/// A request that came: its path, and where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub from: usize,
}

/// A server.
pub struct Server {
    pub port: u16,
    /// The bundle with its authority.
    pub authority: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Certificates for `localhost`: an authority, and the server's by it; made once by openssl.
static CERTIFICATES: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = fresh("certificates");
    let script = "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > extensions
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(&dir).output().unwrap();
    assert!(made.status.success(), "openssl is needed\n{}", String::from_utf8_lossy(&made.stderr));
    dir
});

impl Server {
    /// Serves a directory until the test's process ends; `answer` is asked with each request and how many came before it.
    pub fn start(dir: &Path, answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let certificates = &*CERTIFICATES;
        let chain = CertificateDer::pem_file_iter(certificates.join("server.pem")).unwrap();
        let chain: Vec<_> = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(certificates.join("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (config, dir, answer) = (Arc::new(config), dir.to_owned(), Arc::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, dir, answer, seen) =
                    (Arc::clone(&config), dir.clone(), Arc::clone(&answer), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream, config, &dir, answer.as_ref(), &seen));
            }
        });
        Self { port, authority: certificates.join("ca.pem"), asked }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Serves one request; a client that goes away is none of its business.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    dir: &Path,
    answer: &dyn Fn(&Asked, usize) -> Answer,
    seen: &Mutex<Vec<Asked>>,
) -> Option<()> {
    let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let (mut path, mut from) = (String::new(), None);
    {
        let mut reader = BufReader::new(&mut tls);
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            match line.split_once(' ') {
                Some(("GET", rest)) => path = rest.split(' ').next()?.to_owned(),
                Some((name, value)) if name.eq_ignore_ascii_case("range:") => {
                    from = value.trim().strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok();
                }
                _ => {}
            }
            line.clear();
        }
    }
    let asked = Asked { path: path.clone(), from: from.unwrap_or(0) };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked.clone());
        seen.len() - 1
    };
    let file = fs::read(dir.join(path.rsplit('/').next()?));
    let how = answer(&asked, before);
    let mut put = |bytes: &[u8]| tls.write_all(bytes).and_then(|()| tls.flush()).ok();
    let head = |status: u16, length: usize, more: &str| {
        format!("HTTP/1.1 {status} Text\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n")
    };
    match how {
        Answer::Status(status, page) => put(format!("{}{page}", head(status, page.len(), "")).as_bytes()),
        Answer::To(target) => put(head(302, 0, &format!("location: {target}\r\n")).as_bytes()),
        how => {
            let Ok(mut bytes) = file else { return put(head(404, 0, "").as_bytes()) };
            if let Answer::Flip(at) = how {
                bytes[at] ^= 4;
            }
            let size = bytes.len();
            let first = match (&how, from) {
                (Answer::Whole, _) | (_, None) => None,
                (_, Some(first)) if first >= size => return put(head(416, 0, "").as_bytes()),
                (Answer::OtherRange, Some(first)) => Some(first / 2),
                (_, first) => first,
            };
            let body = &bytes[first.unwrap_or(0)..];
            let length = match how {
                Answer::Length(off) => usize::try_from(i64::try_from(body.len()).unwrap() + off).unwrap(),
                _ => body.len(),
            };
            put(match first {
                Some(first) => {
                    head(206, length, &format!("content-range: bytes {first}-{}/{size}\r\n", size - 1))
                }
                None => head(200, length, ""),
            }
            .as_bytes())?;
            match how {
                Answer::Cut(count) => put(&body[..count.min(body.len())]),
                Answer::Drip => body.chunks(1).try_for_each(|lot| {
                    std::thread::sleep(Duration::from_millis(100));
                    put(lot)
                }),
                Answer::Slowly => body.chunks(1024).try_for_each(|lot| {
                    std::thread::sleep(Duration::from_millis(3));
                    put(lot)
                }),
                _ => put(&body[..length.min(body.len())]),
            }?;
            // Whoever is told that all is there closes; the rest is cut off without a farewell.
            if matches!(how, Answer::Cut(_) | Answer::Length(1..)) {
                return tls.sock.shutdown(std::net::Shutdown::Both).ok();
            }
            tls.conn.send_close_notify();
            tls.flush().ok()
        }
    }
}
