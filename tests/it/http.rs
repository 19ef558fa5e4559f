// SPDX-License-Identifier: Apache-2.0
//! HTTP against real sockets: each way in which a server can be broken ends in an answer or in a named error, in time.

use crate::common::{authority, sandbox, scratch, server};

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use authority::Authority;
use footplate::facade::io::http::{Client, Method, Request, Sink, Unfinished, Way};
use sandbox::Sandbox;
use scratch::{Ran, Scratch};
use serde_json::json;
use server::{End, Reply, Seen, Server};

const PATIENCE: Duration = Duration::from_millis(1500);

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn endless(head: &str, again: &[u8]) -> Reply {
    Reply::raw(head).end(End::Endless(again.to_vec()))
}

fn many(line: &str, count: usize) -> String {
    line.repeat(count)
}

/// Behaviour, server, and what is to come of it: `status body` or a text of the error.
type Case = (&'static str, fn(&Seen) -> Reply, Result<&'static str, &'static str>);

const OK: &str = "HTTP/1.1 200 OK\r\n";
const MS: fn(u64) -> Duration = Duration::from_millis;

const CASES: &[Case] = &[
    ("an answer", |_| Reply::ok("x"), Ok("200 x")),
    ("silence", |_| Reply::nothing(End::Hang), Err("no answer within")),
    ("reset at once", |_| Reply::nothing(End::Reset), Err("gave up at the deadline")),
    ("closed at once", |_| Reply::nothing(End::Close), Err("connection closed before message completed")),
    ("reset in the headers", |_| Reply::raw("HTTP/1.1 200 OK\r\nconte").end(End::Reset), Err("gave up")),
    (
        "reset in the body",
        |_| Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").end(End::Reset),
        Err("gave up"),
    ),
    ("headers byte by byte", |_| Reply::ok("x").dripped(MS(500)), Err("no answer within")),
    (
        "a body that stops",
        |_| Reply::raw(format!("{OK}content-length: 3\r\n\r\nab")).end(End::Hang),
        Err("no answer"),
    ),
    ("a body too short", |_| Reply::raw(format!("{OK}content-length: 9\r\n\r\nabc")), Err("end of file")),
    ("a body too long", |_| Reply::raw(format!("{OK}content-length: 1\r\n\r\nxyz")), Ok("200 x")),
    ("no length, closed", |_| Reply::raw(format!("{OK}\r\nxyz")), Ok("200 xyz")),
    (
        "length and chunks",
        |_| {
            Reply::raw(format!(
                "{OK}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
            ))
        },
        Ok("200 x"),
    ),
    (
        "two lengths",
        |_| Reply::raw(format!("{OK}content-length: 3\r\ncontent-length: 4\r\n\r\nxyzz")),
        Err("not valid HTTP"),
    ),
    (
        "chunks",
        |_| Reply::raw(format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\nxy\r\n1;e\r\nz\r\n0\r\n\r\n")),
        Ok("200 xyz"),
    ),
    (
        "a chunk's size broken",
        |_| Reply::raw(format!("{OK}transfer-encoding: chunked\r\n\r\nZZ\r\nx")),
        Err("chunk size"),
    ),
    (
        "a chunk's size too large",
        |_| Reply::raw(format!("{OK}transfer-encoding: chunked\r\n\r\n{}\r\nx", many("f", 30))),
        Err("chunk size"),
    ),
    ("a cut chunk", |_| Reply::raw(format!("{OK}transfer-encoding: chunked\r\n\r\n9\r\nx")), Err("gave up")),
    (
        "endless chunks",
        |_| endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nxxxx\r\n"),
        Err("larger than the 4096 bytes"),
    ),
    (
        "an endless body",
        |_| endless("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]),
        Err("larger than the 4096 bytes"),
    ),
    (
        "a length beyond the bound",
        |_| Reply::raw(format!("{OK}content-length: 4097\r\n\r\n")).end(End::Hang),
        Err("larger than the 4096 bytes"),
    ),
    ("endless headers", |_| endless("HTTP/1.1 200 OK\r\n", b"a: b\r\n"), Err("not valid HTTP")),
    ("a giant header", |_| endless("HTTP/1.1 200 OK\r\na: ", &[b'x'; 4096]), Err("not valid HTTP")),
    (
        "10,000 headers",
        |_| Reply::raw(format!("{OK}{}\r\n", many("a: b\r\n", 10_000))),
        Err("not valid HTTP"),
    ),
    (
        "endless trailers",
        |_| endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
        Err(""),
    ),
    ("no status line", |_| Reply::raw("hello\r\n\r\n"), Err("not valid HTTP")),
    ("HTTP/0.9", |_| Reply::raw("<html>login</html>"), Err("not valid HTTP")),
    ("HTTP/1.0", |_| Reply::raw("HTTP/1.0 200 OK\r\n\r\nxyz"), Ok("200 xyz")),
    ("TLS", |_| Reply::raw(b"\x15\x03\x01\x00\x02\x02\x46".as_slice()), Err("not valid HTTP")),
    (
        "100 continue",
        |_| Reply::raw(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}content-length: 1\r\n\r\nx")),
        Ok("200 x"),
    ),
    (
        "endless 1xx",
        |_| Reply::raw(many("HTTP/1.1 100 Continue\r\n\r\n", 200)).dripped(MS(1)),
        Err("no answer within"),
    ),
    ("204", |_| Reply::raw("HTTP/1.1 204 No Content\r\n\r\n"), Ok("204 ")),
    ("206 unasked", |_| Reply::status(206, "", "x"), Ok("206 x")),
    ("a redirect", |_| Reply::status(301, "location: http://192.0.2.1/\r\n", ""), Ok("301 ")),
    ("400", |_| Reply::status(400, "", "no"), Ok("400 no")),
    ("401", |_| Reply::status(401, "", ""), Ok("401 ")),
    ("403", |_| Reply::status(403, "", ""), Ok("403 ")),
    ("404", |_| Reply::status(404, "", ""), Ok("404 ")),
    (
        "408 then 200",
        |s| if s.before == 0 { Reply::status(408, "", "") } else { Reply::ok("x") },
        Ok("200 x"),
    ),
    (
        "429 with a short pause",
        |s| if s.before == 0 { Reply::status(429, "retry-after: 0\r\n", "") } else { Reply::ok("x") },
        Ok("200 x"),
    ),
    (
        "429 with an endless pause",
        |_| Reply::status(429, "retry-after: 1000000000\r\n", ""),
        Err("HTTP status 429"),
    ),
    ("500", |_| Reply::status(500, "", ""), Err("HTTP status 500 (gave up at the deadline")),
    (
        "503 twice, then 200",
        |s| if s.before < 2 { Reply::status(503, "", "") } else { Reply::ok("x") },
        Ok("200 x"),
    ),
    ("599", |_| Reply::status(599, "", ""), Err("HTTP status 599")),
    ("cut once", |s| if s.before == 0 { Reply::nothing(End::Reset) } else { Reply::ok("x") }, Ok("200 x")),
    ("an encoding unasked", |_| Reply::status(200, "content-encoding: gzip\r\n", "xyz"), Ok("200 xyz")),
    ("empty", |_| Reply::ok(""), Ok("200 ")),
    ("NULs", |_| Reply::ok("a\0b"), Ok("200 a\0b")),
    ("a status that is none", |_| Reply::raw("HTTP/1.1 99 X\r\n\r\n"), Err("not valid HTTP")),
];

/// A service may know root by the port that a question comes from.
#[test]
fn a_question_may_come_from_a_low_port() {
    needs!(root("ports below 1024"));
    const HERE: &[IpAddr] = &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let server = Server::start("127.0.0.1:0", |s| Reply::ok(format!("{}", s.from)));
    let ask = |url: String, way| {
        // Nobody listens on the first address.
        let request = Request { addresses: HERE, way, ..Request::get(url) };
        let client = Client::new().unwrap();
        let answers: Vec<_> = (0..3).map(|_| client.fetch(&request, soon())).collect();
        answers
    };
    for answer in ask(server.url("/"), Way::LowPort) {
        let port: u16 = String::from_utf8_lossy(answer.unwrap().body.expose()).parse().unwrap();
        assert!(port < 1024, "{port}");
    }
    // Where nobody listens, the kernel's reason is told.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for answer in ask(format!("http://{free}/"), Way::LowPort) {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("can't connect to 127.0.0.1: connection refused"), "{error}");
    }
}

/// What is cut each time will not be whole the next time either.
#[test]
fn an_answer_that_is_always_cut_is_not_waited_for_until_the_deadline() {
    let server = Server::start("127.0.0.1:0", |_| Reply::raw(format!("{OK}content-length: 9\r\n\r\nabc")));
    let start = Instant::now();
    let deadline = start + Duration::from_secs(300);
    let error = Client::new().unwrap().fetch(&Request::get(server.url("/")), deadline).unwrap_err();
    assert!(error.to_string().contains("the answer stopped after 3 bytes: "), "{error}");
    assert!(error.to_string().ends_with("(gave up after 6 tries)"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn every_broken_server_ends_in_an_answer_or_a_named_error_in_time() {
    let runs: Vec<_> = CASES
        .iter()
        .map(|(name, answer, want)| {
            thread::spawn(move || {
                let server = Server::start("127.0.0.1:0", answer);
                let mut request = Request::get(server.url("/key?token=canary"));
                request.limit = 4096;
                let start = Instant::now();
                let got = Client::new().unwrap().fetch(&request, soon());
                assert!(
                    start.elapsed() < PATIENCE + Duration::from_secs(1),
                    "{name}: took {:?}",
                    start.elapsed()
                );
                match (got, want) {
                    (Ok(r), Ok(want)) => {
                        let got = format!("{} {}", r.status, String::from_utf8_lossy(r.body.expose()));
                        assert_eq!(got, **want, "{name}");
                    }
                    (Err(e), Err(want)) => {
                        let text = e.to_string();
                        assert!(
                            text.contains(want) && text.starts_with(&server.url("/key: ")),
                            "{name}: {text}"
                        );
                    }
                    (got, want) => panic!("{name}: {got:?} is not {want:?}"),
                }
            })
        })
        .collect();
    let failed: Vec<_> = runs.into_iter().filter_map(|run| run.join().err()).collect();
    assert!(failed.is_empty(), "{} cases failed", failed.len());
}

#[test]
fn nobody_there_is_an_error_at_the_deadline() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let request = Request::get(format!("http://127.0.0.1:{port}/"));
    let error = Client::new().unwrap().fetch(&request, soon()).unwrap_err();
    assert!(error.gave_up && error.tries >= 3, "{error}");
    assert!(error.to_string().contains("can't connect to 127.0.0.1: connection refused"), "{error}");
    for (url, want) in [
        ("ftp://a/", "not an http or https URL"),
        ("http://u:p@127.0.0.1/", "user name in the URL"),
        ("http:///x", "not a URL"),
        ("/x", "not an http or https URL"),
    ] {
        let error = Client::new().unwrap().fetch(&Request::get(url), soon()).unwrap_err();
        assert!(error.to_string().contains(want) && !error.gave_up, "{url}: {error}");
    }
}

#[test]
fn independent_requests_go_at_once_and_connections_are_kept() {
    let server = Server::start_at(&["127.0.0.1:0"], MS(100), |s| Reply::ok(&s.path).after(MS(100)));
    let requests: Vec<Request> = (0..16).map(|i| Request::get(server.url(&format!("/{i}")))).collect();
    let client = Client::new().unwrap();
    let mut times = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        let answers = client.fetch_all(&requests, start + Duration::from_secs(20));
        times.push(start.elapsed());
        for (i, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap().body.expose(), format!("/{i}").as_bytes());
        }
    }
    // 16 one after the other would be 1.6 s; the second time nothing is connected to.
    assert!(times[0] < MS(900) && times[1] < MS(700), "{times:?}");
    let connections: std::collections::BTreeSet<_> = server.seen().iter().map(|s| s.connection).collect();
    assert_eq!(connections.len(), 16);
}

#[test]
fn a_kept_connection_that_was_closed_is_no_failure() {
    let server = Server::start("127.0.0.1:0", |_| Reply::ok("x").end(End::Close));
    let client = Client::new().unwrap();
    for _ in 0..3 {
        let got = client.fetch(&Request::get(server.url("/")), soon()).unwrap();
        assert_eq!(got.body.expose(), b"x");
    }
}

#[test]
fn of_two_addresses_the_one_that_answers_is_used() {
    needs!(root("a network of its own"));
    const BOTH: &[std::net::IpAddr] = &[
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)),
        std::net::IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    ];
    thread::spawn(|| {
        let _sandbox = Sandbox::enter("two-addresses", &["169.254.169.254/32", "fd00:ec2::254/128"]);
        let mut request = Request::get("http://169.254.169.254/key");
        request.addresses = BOTH;
        // Only IPv6 is there.
        let six = Server::start("[fd00:ec2::254]:80", |_| Reply::ok("six"));
        let client = Client::new().unwrap();
        assert_eq!(client.fetch(&request, soon()).unwrap().body.expose(), b"six");
        assert_eq!(six.seen()[0].header("host"), Some("169.254.169.254"));
        // IPv4 takes connections and says nothing: the next try goes to the other one first.
        let _four = Server::start("169.254.169.254:80", |_| Reply::nothing(End::Close));
        assert_eq!(Client::new().unwrap().fetch(&request, soon()).unwrap().body.expose(), b"six");
    })
    .join()
    .unwrap();
}

#[test]
fn redirects_are_followed_as_far_as_allowed_and_take_no_header_elsewhere() {
    let far = Server::start("127.0.0.1:0", |_| Reply::ok("far"));
    let target = far.url("/file");
    let near = Server::start("127.0.0.1:0", move |s| match s.path.as_str() {
        "/loop" => Reply::status(307, "location: /loop\r\n", ""),
        "/file-url" => Reply::status(302, "location: file:///etc/shadow\r\n", ""),
        _ => Reply::status(302, &format!("location: {target}\r\n"), ""),
    });
    let client = Client::new().unwrap();
    let ask = |path: &str, redirects| {
        let request = Request::get(near.url(path)).header("authorization", "canary");
        client.fetch(&Request { redirects, ..request }, soon())
    };
    assert_eq!(ask("/x", 0).unwrap().status, 302);
    assert_eq!(ask("/x", 1).unwrap().body.expose(), b"far");
    assert_eq!(far.seen()[0].header("authorization"), None);
    assert_eq!(near.seen()[0].header("authorization"), Some("canary"));
    assert!(ask("/loop", 5).unwrap_err().to_string().contains("more than 5 redirects"));
    assert_eq!(near.paths().iter().filter(|p| *p == "GET /loop").count(), 6);
    assert!(ask("/file-url", 5).unwrap_err().to_string().contains("it redirects "));
}

/// A file in memory, and what was told of its download.
#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    length: Option<u64>,
    interrupted: Vec<String>,
}

impl Sink for Taken {
    fn have(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn begin(&mut self, offset: u64, length: Option<u64>) -> anyhow::Result<()> {
        self.length = length;
        self.bytes.truncate(offset as usize);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        anyhow::ensure!(self.length != Some(700_001), "the disk is full");
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn interrupted(&mut self, why: &str) {
        self.interrupted.push(why.to_owned());
    }
}

/// Downloads what a server answers, behind the bytes that are there already.
fn download(
    answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    have: &[u8],
    limit: usize,
) -> (Result<(), Unfinished>, Taken, Vec<Seen>) {
    let server = Server::start("127.0.0.1:0", answer);
    let mut request = Request::get(server.url("/file"));
    request.limit = limit;
    let mut taken = Taken { bytes: have.to_vec(), ..Taken::default() };
    let ended = Client::new().unwrap().download(&request, &mut taken);
    (ended, taken, server.seen())
}

/// A part of a file as a server sends it: what was asked for, and cut off after `most` bytes.
fn part(s: &Seen, body: &[u8], headers: &str, most: usize) -> Reply {
    let asked = s.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = asked.unwrap_or(0);
    if from >= body.len() {
        return Reply::status(416, "", "");
    }
    let status = if asked.is_some() { 206 } else { 200 };
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-range: bytes {from}-{}/{}\r\ncontent-length: {}\r\n\r\n",
        body.len() - 1,
        body.len(),
        body.len() - from
    );
    Reply::raw([head.as_bytes(), &body[from..from.saturating_add(most).min(body.len())]].concat())
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let body: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for (etag, sent, condition) in
        [("etag: \"1\"\r\n", 1, Some("\"1\"")), ("etag: W/\"1\"\r\n", 1, None), ("", 1, None)]
    {
        let whole = body.clone();
        let (ended, taken, seen) = download(
            move |s| part(s, &whole, etag, if s.before < 3 { 100_000 } else { usize::MAX }),
            b"",
            1 << 20,
        );
        ended.unwrap();
        assert!(taken.bytes == body, "{etag}");
        assert_eq!((taken.length, taken.interrupted.len(), seen.len()), (Some(800_000), 3, 4), "{etag}");
        assert_eq!(seen[sent].header("range"), Some("bytes=100000-"), "{etag}");
        assert_eq!(seen[sent].header("if-range"), condition, "{etag}");
    }
    // A server that knows no ranges sends the whole again.
    let whole = body.clone();
    let (ended, taken, _) = download(
        move |s| {
            let mut plain = s.clone();
            plain.headers.retain(|(name, _)| name != "range");
            part(&plain, &whole, "", if s.before < 2 { 100_000 } else { usize::MAX })
        },
        b"",
        1 << 20,
    );
    ended.unwrap();
    assert!(taken.bytes == body);
    // What an earlier run left is gone on with; what is longer than the file is no part of it.
    for (have, requests) in [(&body[..5], 1), (&[&body[..], b"more"].concat()[..], 2)] {
        let whole = body.clone();
        let (ended, taken, seen) = download(move |s| part(s, &whole, "", usize::MAX), have, 1 << 20);
        ended.unwrap();
        assert!(taken.bytes == body);
        assert_eq!(seen.len(), requests);
        assert!(seen[0].header("range").is_some());
    }
}

#[test]
fn a_download_ends_with_the_reason() {
    let server = |status: u16| move |_: &Seen| Reply::status(status, "", "");
    let refused = [(403, 1), (404, 1), (500, 6), (416, 1)].map(|(status, tries)| {
        thread::spawn(move || {
            let (ended, taken, seen) = download(server(status), b"", 1000);
            let Err(Unfinished::Server(error)) = ended else { panic!("{status}: {ended:?}") };
            assert_eq!(
                (error.status, error.gave_up, seen.len()),
                (Some(status), tries > 1, tries),
                "{status}"
            );
            assert_eq!(taken.interrupted.len(), tries - 1);
        })
    });
    // More than was allowed: what is announced, what is sent without an announcement, and what is behind a part.
    type Server = (fn(&Seen) -> Reply, &'static [u8]);
    let cases: [Server; 3] = [
        (|_| Reply::ok(vec![b'x'; 1001]), b""),
        (|_| endless("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 500]), b""),
        (|s| part(s, &[b'x'; 1001], "", usize::MAX), b"xxx"),
    ];
    for (answer, have) in cases {
        let (ended, _, seen) = download(answer, have, 1000);
        let Err(Unfinished::Server(error)) = ended else { panic!("{ended:?}") };
        assert!(error.too_large && !error.gave_up && seen.len() == 1, "{error}");
    }
    // One that breaks always at the same place is not asked for ever.
    let (ended, taken, seen) =
        download(|s| part(s, &[b'x'; 900], "", if s.before == 0 { 300 } else { 0 }), b"", 1000);
    let Err(Unfinished::Server(error)) = ended else { panic!("{ended:?}") };
    assert!(error.gave_up && error.to_string().contains("gave up after 6 tries"), "{error}");
    assert_eq!((taken.bytes.len(), seen.len()), (300, 6));
    for run in refused {
        run.join().unwrap();
    }
    // A sink that refuses is not the server's fault.
    let (ended, ..) = download(|_| Reply::ok(vec![b'x'; 700_001]), b"", 1 << 20);
    assert!(matches!(ended, Err(Unfinished::Sink(_))), "{ended:?}");
}

/// A name server with one name, which lies first as its caller says.
fn name_server(listen: &str, lies: fn(&mut Vec<u8>)) {
    let udp = UdpSocket::bind(listen).unwrap();
    let tcp = TcpListener::bind(listen).unwrap();
    let answer = |query: &[u8], truncated: bool| {
        let name_end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 1;
        let is_a = query[name_end + 1] == 1;
        let known = query[12..name_end].eq_ignore_ascii_case(b"\x06bucket\x07example\x00");
        let mut message = query[..name_end + 4].to_vec();
        message[2] = if truncated { 0x83 } else { 0x81 };
        message[3] = if known { 0x80 } else { 0x83 };
        message[7] = u8::from(known && is_a && !truncated);
        if message[7] == 1 {
            message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
        }
        message
    };
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((size, from)) = udp.recv_from(&mut buffer) {
            let mut lie = answer(&buffer[..size], false);
            lies(&mut lie);
            udp.send_to(&lie, from).unwrap();
            udp.send_to(&answer(&buffer[..size], true), from).unwrap();
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let message = answer(&query, false);
            let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
            std::io::Write::write_all(&mut stream, &framed).unwrap();
        }
    });
}

#[test]
fn a_bad_certificate_is_named_and_nothing_is_sent() {
    needs!(root("a network of its own"));
    // Whose, for which name, from and until which day, and what comes of it.
    let cases = [
        (true, "good.example", "20200101", "20490101", Ok(())),
        (
            true,
            "good.example",
            "20200101",
            "20210101",
            Err("its certificate has expired, or this machine's clock is wrong: it says 20"),
        ),
        (
            true,
            "good.example",
            "20480101",
            "20490101",
            Err("its certificate is not valid yet, or this machine's clock is wrong: it says 20"),
        ),
        (true, "other.example", "20200101", "20490101", Err("not trusted: certificate not valid for name")),
        (true, "*.good.example", "20200101", "20490101", Err("not trusted: certificate not valid for name")),
        (false, "good.example", "20200101", "20490101", Err("its certificate is not trusted: ")),
    ];
    thread::spawn(move || {
        let sandbox = Sandbox::enter("certificates", &[]);
        let authorities = [false, true].map(|known| Authority::new(&sandbox.dir().join(known.to_string())));
        let bundle = std::fs::read_to_string(authorities[1].bundle()).unwrap();
        sandbox.cover("/etc/ssl/certs/ca-certificates.crt", &bundle);
        sandbox.cover("/etc/hosts", "127.0.0.1 good.example\n");
        for (known, name, from, until, want) in cases {
            let tls = authorities[usize::from(known)].server(&[name], from, until);
            let server = Server::start_tls("127.0.0.1:0", tls, |_| Reply::ok("x"));
            let request = Request::get(format!("https://good.example:{}/?canary", server.address.port()));
            let got = Client::new().unwrap().fetch(&request, soon());
            match (got, want) {
                (Ok(_), Ok(())) => assert_eq!(server.seen().len(), 1),
                (Err(error), Err(want)) => {
                    let text = error.to_string();
                    assert!(text.contains(want) && !text.contains("canary"), "{text}");
                    assert_eq!(server.seen().len(), 0, "{text}");
                }
                (got, want) => panic!("{name} {until}: {got:?} is not {want:?}"),
            }
        }
        // A clock that is far ahead looks so, until a time server has set it. Here the certificate changes instead.
        let serve = |address: &str, until| {
            let tls = authorities[1].server(&["good.example"], "20200101", until);
            Server::start_tls(address, tls, |_| Reply::ok("x"))
        };
        let late = serve("127.0.0.2:0", "20210101");
        let good = serve(&format!("127.0.0.3:{}", late.address.port()), "20490101");
        let hosts = sandbox.dir().join("etc-hosts");
        std::fs::write(&hosts, "127.0.0.2 good.example\n").unwrap();
        thread::spawn(move || {
            thread::sleep(MS(500));
            std::fs::write(&hosts, "127.0.0.3 good.example\n").unwrap();
        });
        let request = Request::get(format!("https://good.example:{}/", late.address.port()));
        Client::new().unwrap().fetch(&request, Instant::now() + Duration::from_secs(20)).unwrap();
        assert_eq!((late.seen().len(), good.seen().len()), (0, 1));
    })
    .join()
    .unwrap();
}

/// What the system trusts is trusted, and nothing beside it: no authority is compiled in.
#[test]
fn what_the_system_trusts_is_all_that_is_trusted() {
    thread::spawn(|| {
        let sandbox = Sandbox::enter("system-bundle", &[]);
        let authority = Authority::new(&sandbox.dir().join("authority"));
        let ours = std::fs::read_to_string(authority.bundle()).unwrap();
        let tls = authority.server(&["localhost"], "20200101", "20490101");
        for place in ["/etc/ssl", "/usr/share"] {
            sandbox.empty(place);
        }
        let put = |path: &str, text: &str| {
            let path = std::path::Path::new(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        // In a process of its own, whose environment names no bundle.
        let server = Server::start_tls("127.0.0.1:0", tls, |_| Reply::ok("x"));
        let ask = |given: &[&str]| {
            let given: Vec<_> = given
                .iter()
                .map(|pem| pem.bytes().fold("data:,".to_owned(), |all, b| all + &format!("%{b:02x}")))
                .map(|source| json!({ "source": source }))
                .collect();
            let source = format!("https://localhost:{}/f", server.address.port());
            let data = json!({
                "ignition": { "version": "3.4.0", "security": { "tls": { "certificateAuthorities": given } } },
                "storage": { "files": [{ "path": "/etc/a", "contents": { "source": source } }] },
            });
            let (root, seed) = (Scratch::new("system-trusts"), scratch::seed("system-trusts", data.to_string()));
            let mut plan =
                scratch::command(&["plan", "--seed", seed.to_str().unwrap(), "--root", root.arg(), "--timeout", "5s"]);
            let ran = Ran::of(plan.env_remove("SSL_CERT_FILE"));
            if ran.code == 2 { Ok(()) } else { Err(ran.err) }
        };
        let none = ask(&[]).unwrap_err();
        for says in
            ["no bundle of certificate authorities", "/etc/ssl/certs/ca-certificates.crt", "SSL_CERT_FILE"]
        {
            assert!(none.contains(says), "{none}");
        }
        // What the data itself names needs no system's bundle.
        assert_eq!(ask(&[&ours]), Ok(()));
        // A Flatcar that has not made its bundle yet has the image's.
        put("/usr/share/ca-certificates/ca-certificates.crt", &ours);
        assert_eq!(ask(&[]), Ok(()));
        // A bundle of which nothing is left takes away what the image has.
        put("/etc/ssl/certs/ca-certificates.crt", "# none\n");
        let empty = ask(&[]).unwrap_err();
        assert!(empty.contains("ca-certificates.crt holds no certificate that can be read"), "{empty}");
    })
    .join()
    .unwrap();
}

/// Asks a server of this machine, and trusts what is given.
fn ask_localhost(tls: Arc<rustls::ServerConfig>, given: &str) -> Result<(), String> {
    let server = Server::start_tls("127.0.0.1:0", tls, |_| Reply::ok("x"));
    let mut request = Request::get(format!("https://localhost:{}/", server.address.port()));
    request.options.authorities = vec![given.into()];
    Client::new().unwrap().fetch(&request, soon()).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn an_intermediate_certificate_signs_only_where_it_may() {
    const MAY_NOT: Result<(), &str> = Err("is not trusted: an intermediate certificate may not sign others");
    let authority = Authority::new(&scratch::fresh("intermediate"));
    let ours = std::fs::read_to_string(authority.bundle()).unwrap();
    for (extensions, want) in [
        ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign", Ok(())),
        ("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=digitalSignature,keyCertSign", Ok(())),
        ("basicConstraints=CA:TRUE", Ok(())),
        ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature", MAY_NOT),
        ("basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign,encipherOnly", MAY_NOT),
        ("basicConstraints=CA:FALSE\nkeyUsage=keyCertSign", MAY_NOT),
        ("basicConstraints=CA:FALSE", MAY_NOT),
        (
            "basicConstraints=CA:TRUE\nnameConstraints=critical,excluded;DNS:localhost",
            Err("may not issue certificates for this name"),
        ),
    ] {
        let (tls, between) = authority.behind(extensions);
        let got = ask_localhost(Arc::clone(&tls), &ours);
        let as_wanted = match (&got, want) {
            (Err(text), Err(want)) => text.contains(want),
            (got, want) => got.is_ok() && want.is_ok(),
        };
        assert!(as_wanted, "{extensions}: {got:?} is not {want:?}");
        // Nor does it sign where an operator gave it as an authority.
        if want == MAY_NOT {
            let error = ask_localhost(tls, &between).unwrap_err();
            assert!(error.contains("not trusted"), "{extensions}: {error}");
        }
    }
}

#[test]
fn a_servers_own_certificate_is_trusted_where_it_was_given() {
    const NAME: &str = "subjectAltName=DNS:localhost\n";
    const SIGNS: &str = "basicConstraints=critical,CA:TRUE\n";
    let authority = Authority::new(&scratch::fresh("own-certificate"));
    // From and until when it holds, its extensions, and what comes of it.
    let cases = [
        ("20200101", "20490101", [NAME, SIGNS, ""], Ok(())),
        ("20200101", "20490101", [NAME, "", ""], Ok(())),
        ("20200101", "20490101", [NAME, "basicConstraints=CA:FALSE\n", ""], Ok(())),
        ("20200101", "20490101", [NAME, SIGNS, "extendedKeyUsage=clientAuth,serverAuth"], Ok(())),
        ("20200101", "20490101", [NAME, SIGNS, "extendedKeyUsage=anyExtendedKeyUsage"], Ok(())),
        ("20200101", "20490101", [NAME, SIGNS, "keyUsage=critical,digitalSignature,keyCertSign"], Ok(())),
        (
            "20200101",
            "20490101",
            [NAME, SIGNS, "keyUsage=keyCertSign,cRLSign"],
            Err("may not be used by a server"),
        ),
        (
            "20200101",
            "20490101",
            [NAME, SIGNS, "extendedKeyUsage=clientAuth"],
            Err("may not be used by a server"),
        ),
        (
            "20200101",
            "20490101",
            ["subjectAltName=DNS:other.example\n", SIGNS, ""],
            Err("not valid for name"),
        ),
        ("20200101", "20490101", ["subjectKeyIdentifier=hash\n", SIGNS, ""], Err("not valid for")),
        ("20200101", "20210101", [NAME, SIGNS, ""], Err("has expired")),
        ("20480101", "20490101", [NAME, SIGNS, ""], Err("not valid yet")),
    ];
    for (from, until, extensions, want) in cases {
        let (tls, pem) = authority.self_signed(from, until, &extensions.concat());
        let got = ask_localhost(tls, &pem);
        let as_wanted = match (&got, want) {
            (Err(text), Err(want)) => text.contains(want),
            (got, want) => got.is_ok() && want.is_ok(),
        };
        assert!(as_wanted, "{from} {until} {extensions:?}: {got:?} is not {want:?}");
    }
    // The same name and the same key do not do: it must be these very bytes.
    let (_, given) = authority.self_signed("20200101", "20490101", &[NAME, SIGNS].concat());
    let (other, _) = authority.self_signed("20200101", "20490101", &[NAME, SIGNS].concat());
    assert!(ask_localhost(other, &given).unwrap_err().contains("not trusted"));
    // One that another authority issued, without that authority.
    let issued = authority.server(&["localhost"], "20200101", "20490101");
    let pem = std::fs::read_to_string(authority.bundle().with_file_name("server.pem")).unwrap();
    ask_localhost(Arc::clone(&issued), &pem).unwrap();
    assert!(ask_localhost(issued, &given).unwrap_err().contains("not trusted"));
}

#[test]
fn names_are_resolved_without_the_c_library() {
    needs!(root("a network of its own"));
    thread::spawn(|| {
        let sandbox = Sandbox::enter("names", &["10.0.0.53/32"]);
        sandbox.cover("/etc/hosts", "127.0.0.1 listed.example\n");
        sandbox.cover("/etc/resolv.conf", "");
        // A node's own list of sources, which the C library would follow into modules of another C library.
        sandbox.cover("/etc/nsswitch.conf", "hosts: files resolve [!UNAVAIL=return] myhostname dns\n");
        let server = Server::start("127.0.0.1:80", |s| Reply::ok(s.header("host").unwrap()));
        assert_eq!(server.address, "127.0.0.1:80".parse::<SocketAddr>().unwrap());
        let client = Client::new().unwrap();
        let ask = |url: &str| client.fetch(&Request::get(url), soon());
        assert_eq!(ask("http://LISTED.example/").unwrap().body.expose(), b"listed.example");
        let error = ask("http://bucket.example/").unwrap_err().to_string();
        assert!(error.contains("no name server is configured yet in /etc/resolv.conf"), "{error}");
        // Read at each look-up: DHCP may bring it in between. The first server is not there; the second one's first
        // answer is another's, its next one does not fit.
        std::fs::write(
            sandbox.dir().join("etc-resolv.conf"),
            "nameserver 10.0.0.54\nnameserver 10.0.0.53\nsearch example\n",
        )
        .unwrap();
        name_server("10.0.0.53:53", |message| message[0] ^= 0xff);
        let late = || Instant::now() + Duration::from_secs(8);
        for host in ["bucket.example", "bucket"] {
            let got = client.fetch(&Request::get(format!("http://{host}/")), late()).unwrap();
            assert_eq!(got.body.expose(), host.as_bytes());
        }
        let error = client.fetch(&Request::get("http://missing.example/"), late()).unwrap_err().to_string();
        assert!(error.contains("name server 10.0.0.53 says that there is no such name"), "{error}");
        // A person at a terminal hears it at once, with what was asked.
        let (root, seed) =
            (Scratch::new("no-name"), scratch::seed("no-name", "#include\nhttp://missing.example/a\n"));
        let began = Instant::now();
        let plan = ["plan", "--seed", seed.to_str().unwrap(), "--root", root.arg(), "--timeout", "5m"];
        let ran = scratch::footplate(&plan);
        assert!(ran.err.contains("missing.example") && ran.err.contains("no such name"), "{}", ran.err);
        assert!(
            ran.code == 65 && began.elapsed() < Duration::from_secs(20),
            "{} {:?}",
            ran.code,
            began.elapsed()
        );
    })
    .join()
    .unwrap();
}

#[test]
fn a_request_is_sent_as_it_is_written() {
    let server = Server::start("127.0.0.1:0", |_| Reply::ok(""));
    let mut request = Request::new(Method::PUT, server.url("/a%20b/c?d=e&f=%2F")).header("x-a", "1");
    request.body = "body".into();
    Client::new().unwrap().fetch(&request, soon()).unwrap();
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PUT", "/a%20b/c?d=e&f=%2F"));
    assert_eq!((seen.header("x-a"), seen.header("content-length")), (Some("1"), Some("4")));
    assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(seen.body, b"body");
}
