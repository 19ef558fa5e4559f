// SPDX-License-Identifier: Apache-2.0
//! What Ignition configs hold elsewhere, from real servers: good ones, and such as cut, lie, loop or never answer.

use crate::common::{authority, scratch, server};

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use authority::Authority;
use flate2::{Compression, write::GzEncoder};
use footplate::facade::decode::{self, Decoded, document::jinja::Variables};
use footplate::facade::io::live::Live;
use footplate::facade::model::policy::Policy;
use footplate::facade::model::problem::Severity;
use footplate::facade::pipeline::sources;
use footplate::facade::platform::Platform;
use server::{End, Reply, Seen, Server};
use sha2::{Digest as _, Sha256};

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// Reads a config as the node does, and gives up after that long.
fn read(config: &str, patience: Duration) -> Decoded {
    let world = Live::with_policy(Policy { metadata_wait: patience, ..Policy::default() });
    let deadline = Instant::now() + patience;
    decode::user_data(Some(config.as_bytes()), None, &Variables::assumed(), &mut |request| {
        sources::fetch(&world, &Platform::NONE, request, deadline)
    })
}

fn said(decoded: &Decoded) -> String {
    decoded.problems.iter().fold(String::new(), |mut all, problem| {
        let _ = writeln!(all, "{problem}");
        all
    })
}

fn errors(decoded: &Decoded) -> usize {
    decoded.problems.iter().filter(|f| f.severity == Severity::Error).count()
}

/// A config of one file from there; `more` stands beside its source, `ignition` beside the version.
fn config_of(url: &str, more: &str, ignition: &str) -> String {
    format!(
        r#"{{"ignition": {{"version": "3.4.0"{ignition}}},
 "storage": {{"files": [{{"path": "/f", "contents": {{"source": "{url}"{more}}}}}]}}}}"#
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn hash_of(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes).iter().fold(String::new(), |all, b| all + &format!("{b:02x}"));
    format!(r#", "verification": {{"hash": "sha256-{digits}"}}"#)
}

/// What the server does; what stands beside the source, and beside the version; and the file's content, or a text of the
/// one error.
type Case = (&'static str, fn(&Seen) -> Reply, String, &'static str, Result<&'static [u8], &'static str>);

fn cases() -> Vec<Case> {
    let none = String::new;
    let compressed = || r#", "compression": "gzip""#.to_owned();
    vec![
        ("well", |_| Reply::ok("hello"), hash_of(b"hello"), "", Ok(b"hello")),
        ("wrong hash", |_| Reply::ok("other"), hash_of(b"hello"), "", Err("do not have this sha256")),
        ("compressed", |_| Reply::ok(gzip(b"hello")), compressed() + &hash_of(b"hello"), "", Ok(b"hello")),
        ("not compressed", |_| Reply::ok("hello"), compressed(), "", Err("gzip")),
        ("a bomb", |_| Reply::ok(gzip(&vec![0; 64 << 20])), compressed(), "", Err("more than 32 MiB")),
        ("404", |_| Reply::not_found(), none(), "", Err("HTTP status 404: the file does not exist")),
        ("403", |_| Reply::status(403, "", ""), none(), "", Err("was not fetched: HTTP status 403")),
        ("500", |_| Reply::status(500, "", ""), none(), "", Err("HTTP status 500 (gave up at the deadline")),
        (
            "500 once",
            |s| if s.before == 0 { Reply::status(500, "", "") } else { Reply::ok("x") },
            none(),
            "",
            Ok(b"x"),
        ),
        ("reset", |_| Reply::nothing(End::Reset), none(), "", Err("gave up at the deadline")),
        (
            "cut in the middle",
            |_| Reply::raw(format!("{OK}content-length: 9\r\n\r\nabc")).end(End::Reset),
            none(),
            "",
            Err("gave up at the deadline"),
        ),
        (
            "shorter than it says",
            |_| Reply::raw(format!("{OK}content-length: 9\r\n\r\nabc")),
            none(),
            "",
            Err("end of file"),
        ),
        (
            "longer than it says",
            |_| Reply::raw(format!("{OK}content-length: 1\r\n\r\nabc")),
            hash_of(b"abc"),
            "",
            Err("do not have this sha256"),
        ),
        (
            "cut once",
            |s| match s.before {
                0 => Reply::raw(format!("{OK}content-length: 9\r\n\r\nabc")).end(End::Reset),
                _ => Reply::ok("whole"),
            },
            none(),
            "",
            Ok(b"whole"),
        ),
        ("silence", |_| Reply::nothing(End::Hang), none(), "", Err("no answer within")),
        (
            "silence, and a bound of the config's",
            |_| Reply::nothing(End::Hang),
            none(),
            r#", "timeouts": {"httpResponseHeaders": 1}"#,
            Err("no answer within 1000 ms"),
        ),
        (
            "a bound on the whole",
            |_| Reply::status(503, "", ""),
            none(),
            r#", "timeouts": {"httpTotal": 1}"#,
            Err("HTTP status 503 (gave up at the deadline"),
        ),
        (
            "no bound on the head",
            |_| Reply::ok("x").after(Duration::from_millis(1200)),
            none(),
            r#", "timeouts": {"httpResponseHeaders": 0, "httpTotal": 0}"#,
            Ok(b"x"),
        ),
        (
            "endless",
            |_| Reply::raw(format!("{OK}\r\n")).end(End::Endless(vec![b'x'; 1 << 16])),
            none(),
            "",
            Err("larger than the 33554432 bytes"),
        ),
        (
            "a length that is too much",
            |_| Reply::raw(format!("{OK}content-length: 99999999999\r\n\r\n")).end(End::Hang),
            none(),
            "",
            Err("larger than the 33554432 bytes"),
        ),
        (
            "redirected",
            |s| match s.path.as_str() {
                "/f" => Reply::status(302, "location: /g\r\n", ""),
                _ => Reply::ok("moved"),
            },
            none(),
            "",
            Ok(b"moved"),
        ),
        (
            "redirected in circles",
            |_| Reply::status(302, "location: /f\r\n", ""),
            none(),
            "",
            Err("more than 10 redirects"),
        ),
        (
            "redirected to the machine's files",
            |_| Reply::status(302, "location: file:///etc/shadow\r\n", ""),
            none(),
            "",
            Err("it redirects to something that is not an http or https URL"),
        ),
        ("no HTTP", |_| Reply::raw("220 ftp ready\r\n"), none(), "", Err("not valid HTTP")),
        (
            "headers",
            |s| Reply::ok(s.header("x-token").unwrap_or("none")),
            r#", "httpHeaders": [{"name": "X-Token", "value": "abc"}]"#.to_owned(),
            "",
            Ok(b"abc"),
        ),
    ]
}

#[test]
fn every_server_ends_in_the_content_or_in_its_own_error() {
    let patience = Duration::from_secs(4);
    let runs: Vec<_> = cases()
        .into_iter()
        .map(|(name, answer, more, ignition, want)| {
            thread::spawn(move || {
                let server = Server::start("127.0.0.1:0", answer);
                let start = Instant::now();
                let decoded = read(&config_of(&server.url("/f?sig=canary"), &more, ignition), patience);
                assert!(start.elapsed() < patience * 3, "{name}: {:?}", start.elapsed());
                let said = said(&decoded);
                assert!(!said.contains("canary"), "{name}: {said}");
                match want {
                    Ok(content) => {
                        assert_eq!(errors(&decoded), 0, "{name}: {said}");
                        assert!(decoded.config.files[0].content.expose() == content, "{name}");
                    }
                    Err(what) => {
                        assert_eq!(errors(&decoded), 1, "{name}: {said}");
                        assert!(
                            said.contains(what) && said.contains("storage.files[0].contents"),
                            "{name}: {said}"
                        );
                        assert!(said.contains("(line 2, column "), "{name}: {said}");
                    }
                }
            })
        })
        .collect();
    let failed = runs.into_iter().filter_map(|run| run.join().err()).count();
    assert_eq!(failed, 0, "cases failed");
}

#[test]
fn all_sources_of_a_config_share_one_deadline() {
    let server = Server::start("127.0.0.1:0", |_| Reply::nothing(End::Hang));
    let files: Vec<String> = (0..20)
        .map(|i| {
            format!(r#"{{"path": "/{i}", "contents": {{"source": "{}"}}}}"#, server.url(&format!("/{i}")))
        })
        .collect();
    let config =
        format!(r#"{{"ignition": {{"version": "3.4.0"}}, "storage": {{"files": [{}]}}}}"#, files.join(","));
    let start = Instant::now();
    let decoded = read(&config, Duration::from_secs(2));
    assert_eq!(errors(&decoded), 20);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_login_is_sent_to_its_host_and_to_no_other() {
    let far = Server::start("127.0.0.1:0", |_| Reply::ok("far"));
    let target = far.url("/g");
    let near =
        Server::start("127.0.0.1:0", move |_| Reply::status(302, &format!("location: {target}\r\n"), ""));
    let url = near.url("/f").replace("http://", "http://user:p%40ss@");
    let decoded = read(&config_of(&url, "", ""), Duration::from_secs(10));
    assert_eq!(said(&decoded), "");
    assert_eq!(decoded.config.files[0].content.expose(), b"far");
    assert_eq!(near.seen()[0].header("authorization"), Some("Basic dXNlcjpwQHNz"));
    assert_eq!(far.seen()[0].header("authorization"), None);
}

// Configs that name configs

/// A config that names others, on a server that has them.
fn naming(list: &str, paths: &[&str], more: &str) -> String {
    let entry = |path: &&str| format!(r#"{{"source": "HERE{path}"}}"#);
    let names: Vec<String> = paths.iter().map(entry).collect();
    format!(
        r#"{{"ignition": {{"version": "{}", "config": {{"{list}": [{}]}}}}{more}}}"#,
        if list == "append" { "2.3.0" } else { "3.4.0" },
        names.join(",")
    )
}

/// Serves configs by their paths, `HERE` in them the server's own address.
fn configs(configs: Vec<(&'static str, String)>) -> (Server, Arc<Mutex<String>>) {
    let address = Arc::new(Mutex::new(String::new()));
    let here = Arc::clone(&address);
    let server = Server::start("127.0.0.1:0", move |s| {
        let found = configs.iter().find(|(path, _)| *path == s.path);
        found.map_or_else(Reply::not_found, |(_, c)| Reply::ok(c.replace("HERE", &here.lock().unwrap())))
    });
    *address.lock().unwrap() = server.url("");
    (server, address)
}

#[test]
fn configs_are_merged_as_deep_as_is_allowed_and_loops_are_told() {
    let file = |path: &str, version: &str, on: &str| {
        format!(
            r#"{{"ignition": {{"version": "{version}"}}, "storage": {{"files": [
              {{{on}"path": "{path}", "contents": {{"source": "HERE/content"}}}}]}}}}"#
        )
    };
    let many: Vec<String> = (0..70).map(|_| "/leaf".to_owned()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (server, address) = configs(vec![
        ("/leaf", r#"{"ignition": {"version": "3.4.0"}}"#.to_owned()),
        ("/file", file("/merged", "3.4.0", "")),
        ("/file2", file("/appended", "2.2.0", r#""filesystem": "root", "#)),
        ("/content", "content".to_owned()),
        ("/middle", naming("merge", &["/file"], "")),
        ("/a", naming("merge", &["/b"], "")),
        ("/b", naming("merge", &["/a"], r#", "x": 1"#)),
        ("/many", naming("merge", &many, "")),
        ("/html", "<html>login</html>".to_owned()),
    ]);
    let ask = |text: String| {
        let text = text.replace("HERE", &address.lock().unwrap());
        read(&text, Duration::from_secs(10))
    };
    let decoded = ask(naming("merge", &["/middle"], ""));
    assert_eq!(said(&decoded), "");
    assert_eq!(
        (decoded.config.files[0].path.as_str(), decoded.config.files[0].content.expose()),
        ("/merged", b"content".as_slice())
    );
    // A config is asked for with the version that can be read.
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    assert!(accept.starts_with("application/vnd.coreos.ignition+json;version=3."), "{accept}");
    let decoded = ask(naming("append", &["/file2"], ""));
    assert_eq!(decoded.config.files[0].path, "/appended", "{}", said(&decoded));
    let before = server.seen().len();
    for (config, says) in [
        (naming("merge", &["/a"], ""), "this config names itself"),
        (naming("merge", &["/many"], ""), "more than 64 configs name each other"),
        (naming("merge", &["/html"], ""), "ignition.config.merge[0]"),
        (naming("merge", &["/missing"], ""), "was not fetched: HTTP status 404"),
        (naming("merge", &["/file2"], ""), "this config has version 2.2.0, the one that names it 3.4.0"),
    ] {
        let decoded = ask(config);
        assert!(decoded.failed() && said(&decoded).contains(says), "{says}: {}", said(&decoded));
    }
    assert!(server.seen().len() - before < 30, "what is named twice is fetched once");
}

// Whom to trust, and whom to go through

/// A proxy that passes CONNECT on, and tells what it was asked for.
fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let log = Arc::clone(&log);
            thread::spawn(move || -> Option<()> {
                let mut reader = BufReader::new(client.try_clone().ok()?);
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).ok()? > 2 {
                    head += &line;
                    line.clear();
                }
                log.lock().unwrap().push(head.clone());
                let port = head.split([' ', ':']).nth(2)?.parse::<u16>().ok()?;
                let mut server = TcpStream::connect_timeout(
                    &SocketAddr::from(([127, 0, 0, 1], port)),
                    Duration::from_secs(5),
                )
                .ok()?;
                let mut client = client;
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
                let (mut from, mut to) = (server.try_clone().ok()?, client.try_clone().ok()?);
                let back = thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let _ = io::copy(&mut reader, &mut server);
                let _ = server.shutdown(Shutdown::Write);
                back.join().ok()
            });
        }
    });
    (address, asked)
}

#[test]
fn a_bundle_of_the_configs_is_trusted_and_nobody_elses() {
    needs!(program("openssl", "openssl"));
    let authority = Authority::new(&scratch::fresh("authority"));
    let (good, late) = (
        authority.server(&["localhost"], "20200101", "20990101"),
        authority.server(&["localhost"], "20200101", "20210101"),
    );
    let server = Server::start_tls("127.0.0.1:0", good, |_| Reply::ok("secret"));
    let expired = Server::start_tls("127.0.0.1:0", late, |_| Reply::ok("secret"));
    let url = |server: &Server| format!("https://localhost:{}/f", server.address.port());
    let bundle = std::fs::read(authority.bundle()).unwrap();
    let encoded = bundle.iter().fold(String::new(), |all, b| all + &format!("%{b:02x}"));
    let trusting = |source: &str| {
        format!(r#", "security": {{"tls": {{"certificateAuthorities": [{{"source": "{source}"}}]}}}}"#)
    };
    let data = trusting(&format!("data:,{encoded}"));
    let patience = Duration::from_secs(10);
    // Not trusted, trusted; trusted and too old; a bundle without a certificate that can be read.
    let decoded = read(&config_of(&url(&server), "", ""), patience);
    assert!(said(&decoded).contains("its certificate is not trusted"), "{}", said(&decoded));
    let decoded = read(&config_of(&url(&server), "", &data), patience);
    assert_eq!(said(&decoded), "");
    assert_eq!(decoded.config.files[0].content.expose(), b"secret");
    let decoded = read(&config_of(&url(&expired), "", &data), patience);
    assert!(said(&decoded).contains("its certificate has expired"), "{}", said(&decoded));
    let broken = trusting("data:,-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----%0A");
    let decoded = read(&config_of(&url(&server), "", &broken), patience);
    assert!(said(&decoded).contains("holds no certificate that can be read"), "{}", said(&decoded));

    // The bundle itself may come over HTTP, and holds for the configs that are named, and for what those name.
    let plain = Server::start("127.0.0.1:0", move |_| Reply::ok(&bundle));
    let child = config_of(&url(&server), "", "");
    let configs = Server::start("127.0.0.1:0", move |_| Reply::ok(&child));
    let root = format!(
        r#"{{"ignition": {{"version": "3.4.0", "config": {{"merge": [{{"source": "{}"}}]}}{}}}}}"#,
        configs.url("/child"),
        trusting(&plain.url("/ca.pem"))
    );
    let decoded = read(&root, patience);
    assert_eq!(said(&decoded), "");
    assert_eq!(decoded.config.files[0].content.expose(), b"secret");
}

#[test]
fn a_proxy_is_gone_through_but_to_those_that_are_spared() {
    needs!(program("openssl", "openssl"));
    let authority = Authority::new(&scratch::fresh("authority-behind-proxy"));
    let secure = authority.server(&["far.invalid"], "20200101", "20990101");
    let secure = Server::start_tls("127.0.0.1:0", secure, |_| Reply::ok("tunnelled"));
    let plain = Server::start("127.0.0.1:0", |s| Reply::ok(&s.path));
    let (tunnel, asked) = proxy();
    let bundle = std::fs::read(authority.bundle()).unwrap();
    let encoded = bundle.iter().fold(String::new(), |all, b| all + &format!("%{b:02x}"));
    let port = secure.address.port();
    let options = |spared: &str| {
        format!(
            r#", "proxy": {{"httpProxy": "{}", "httpsProxy": "http://me:pw@{tunnel}", "noProxy": ["{spared}"]}},
              "security": {{"tls": {{"certificateAuthorities": [{{"source": "data:,{encoded}"}}]}}}}"#,
            plain.url("")
        )
    };
    let ask = |url: &str, spared: &str| read(&config_of(url, "", &options(spared)), Duration::from_secs(4));
    let decoded = ask(&format!("https://far.invalid:{port}/f"), "other.invalid");
    assert_eq!(said(&decoded), "");
    assert_eq!(decoded.config.files[0].content.expose(), b"tunnelled");
    let head = asked.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("CONNECT far.invalid:{port} HTTP/1.1")), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic bwu6chc="), "{head}");
    // http goes through its own, which sees whole URLs; what is spared is asked for itself, and nobody knows it here.
    let decoded = ask("http://far.invalid/f", "other.invalid");
    assert_eq!(decoded.config.files[0].content.expose(), b"http://far.invalid/f", "{}", said(&decoded));
    let decoded = ask("http://far.invalid/f", "far.invalid");
    assert!(decoded.failed(), "{}", said(&decoded));
    assert_eq!(plain.seen().len(), 1);
    // A proxy that is not there is named as what it is.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config =
        config_of("http://far.invalid/f", "", &format!(r#", "proxy": {{"httpProxy": "http://{gone}"}}"#));
    let decoded = read(&config, Duration::from_secs(2));
    assert!(said(&decoded).contains("can't connect to the proxy: connection refused"), "{}", said(&decoded));
}
