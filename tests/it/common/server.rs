// SPDX-License-Identifier: Apache-2.0
//! An HTTP server that misbehaves as it is told: what it answers, byte by byte, and how a connection ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How many requests came before it, to any path and to this one.
    pub before: usize,
    pub before_here: usize,
    /// Which connection it came on.
    pub connection: usize,
    /// The address that it was sent to.
    pub to: IpAddr,
    /// The port that it came from.
    #[allow(dead_code, reason = "the benchmark does not read it")]
    pub from: u16,
    /// When it had come.
    #[allow(dead_code, reason = "the benchmark reads it")]
    pub at: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// How a connection goes on after an answer.
pub enum End {
    Keep,
    Close,
    Reset,
    /// Nothing more is said, and nothing closed.
    Hang,
    /// These bytes again and again.
    Endless(Vec<u8>),
}

/// An answer: bytes, each lot after a pause.
pub struct Reply {
    pub lots: Vec<(Duration, Vec<u8>)>,
    pub end: End,
}

impl Reply {
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { lots: vec![(Duration::ZERO, bytes.into())], end: End::Close }
    }

    pub fn nothing(end: End) -> Self {
        Self { lots: Vec::new(), end }
    }

    pub fn status(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} Text\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self { end: End::Keep, ..Self::raw([head.as_bytes(), body].concat()) }
    }

    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status(200, "", body)
    }

    pub fn not_found() -> Self {
        Self::status(404, "", "<html>not found</html>")
    }

    /// The same bytes one by one, with a pause before each.
    pub fn dripped(self, pause: Duration) -> Self {
        let bytes: Vec<u8> = self.lots.into_iter().flat_map(|(_, b)| b).collect();
        Self { lots: bytes.into_iter().map(|b| (pause, vec![b])).collect(), end: self.end }
    }

    pub fn after(mut self, pause: Duration) -> Self {
        if let Some((first, _)) = self.lots.first_mut() {
            *first = pause;
        }
        self
    }

    pub fn end(self, end: End) -> Self {
        Self { end, ..self }
    }
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Listens until the test's process ends.
    pub fn start(listen: &str, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(&[listen], Duration::ZERO, answer)
    }

    /// Listens at several addresses, and lets each new connection wait for as long as a far machine would.
    pub fn start_at(
        listen: &[&str],
        distance: Duration,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (answer, seen) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let connections = Arc::new(Mutex::new(0));
        let mut address = None;
        for listen in listen {
            let listener = TcpListener::bind(listen.parse::<SocketAddr>().unwrap()).unwrap();
            address.get_or_insert(listener.local_addr().unwrap());
            let (answer, seen, connections) =
                (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&connections));
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                    let mut count = connections.lock().unwrap();
                    let connection = *count;
                    *count += 1;
                    drop(count);
                    thread::spawn(move || {
                        sleep(distance);
                        serve(stream.try_clone().ok()?, stream, connection, answer.as_ref(), &seen)
                    });
                }
            });
        }
        Self { address: address.unwrap(), seen }
    }

    /// Listens for TLS.
    pub fn start_tls(
        listen: &str,
        config: Arc<ServerConfig>,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (answer, seen) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let listener = TcpListener::bind(listen).unwrap();
        let server = Self { address: listener.local_addr().unwrap(), seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (answer, seen, config) = (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&config));
                thread::spawn(move || {
                    let raw = stream.try_clone().ok()?;
                    let tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
                    serve(tls, raw, connection, answer.as_ref(), &seen)
                });
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|s| format!("{} {}", s.method, s.path)).collect()
    }
}

/// Serves a connection to its end; one that the client breaks off has ended too. `raw` is the socket below the stream.
fn serve(
    stream: impl Read + Write,
    raw: TcpStream,
    connection: usize,
    answer: &dyn Fn(&Seen) -> Reply,
    seen: &Mutex<Vec<Seen>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = read_request(&mut reader)?;
        request.connection = connection;
        request.to = raw.local_addr().ok()?.ip();
        request.from = raw.peer_addr().ok()?.port();
        {
            let mut seen = seen.lock().unwrap();
            request.before = seen.len();
            request.before_here =
                seen.iter().filter(|s| s.path == request.path && s.method == request.method).count();
            seen.push(request.clone());
        }
        let reply = answer(&request);
        let stream = reader.get_mut();
        for (pause, bytes) in reply.lots {
            sleep(pause);
            stream.write_all(&bytes).ok()?;
            stream.flush().ok()?;
        }
        match reply.end {
            End::Keep => {}
            End::Close => return None,
            End::Reset => {
                // Lingering for no time makes the kernel send RST.
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                nix::sys::socket::setsockopt(&raw, nix::sys::socket::sockopt::Linger, &linger).unwrap();
                return None;
            }
            End::Hang => sleep(Duration::from_secs(30)),
            End::Endless(bytes) => loop {
                stream.write_all(&bytes).ok()?;
            },
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, v)| v.parse().unwrap_or(0));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let to = IpAddr::from([0, 0, 0, 0]);
    let at = Instant::now();
    Some(Seen { method, path, headers, body, before: 0, before_here: 0, connection: 0, to, from: 0, at })
}
