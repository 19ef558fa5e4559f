// SPDX-License-Identifier: Apache-2.0
//! Artifacts over https, from servers that are good, slow, broken and lying.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::image::Image;
use super::server::{Answer, Asked, Server};
use crate::common::scratch::{FOOTPLATE, Ran, command};

/// Bytes that don't repeat, the same in each run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// An image whose lock names one artifact of that size, and footplate.
fn image(name: &str, size: usize) -> Image {
    let image = Image::new(name);
    let to = |path: &str| json!([{"from": "", "to": path, "mode": "0755"}]);
    image.write_lock(vec![
        image.publish("footplate", "9.9.9", "footplate", b"#!/bin/sh\n", to("/opt/bin/footplate")),
        image.publish("tool", "1", "tool", &noise(size), to("/opt/bin/tool")),
    ]);
    image
}

fn arguments<'a>(image: &'a Image, from: &'a str) -> Vec<&'a str> {
    vec![
        "bake",
        "--lock",
        image.lock.to_str().unwrap(),
        "--root",
        image.root.to_str().unwrap(),
        "--from",
        from,
    ]
}

fn bake(image: &Image, server: &Server) -> Ran {
    let url = server.url();
    command(&arguments(image, &url)).env("SSL_CERT_FILE", &server.authority).output().unwrap().into()
}

/// The artifact is there, whole.
#[track_caller]
fn whole(image: &Image) {
    assert!(fs::read(image.path("/opt/bin/tool")).unwrap() == fs::read(image.from.join("tool")).unwrap());
    assert_eq!(image.faults(), Vec::<String>::new());
}

fn tool(answer: Answer) -> impl Fn(&Asked, usize) -> Answer {
    move |asked, _| if asked.path.ends_with("/tool") { answer.clone() } else { Answer::Well }
}

#[test]
fn a_node_is_baked_from_the_locks_own_addresses() {
    needs!(root("files have owners"));
    let image = Image::new("https-own-addresses");
    image.publish_node("v1.34.1");
    let server = Server::start(&image.from, |_, _| Answer::Well);
    let lock = fs::read_to_string(&image.lock).unwrap().replace("https://artifacts.invalid", &server.url());
    fs::write(&image.lock, lock).unwrap();
    let (lock, root) = (image.lock.to_str().unwrap(), image.root.to_str().unwrap());
    let ran: Ran = command(&["bake", "--lock", lock, "--root", root])
        .env("SSL_CERT_FILE", &server.authority)
        .output()
        .unwrap()
        .into();
    ran.ended(0, &["kubeadm v1.34.1: 134 B verified"]);
    assert_eq!(image.faults(), Vec::<String>::new());
    let mut paths: Vec<String> = server.asked().into_iter().map(|a| a.path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/9.9.9/footplate",
            "/v1.34.1/cni-plugins.tgz",
            "/v1.34.1/kubeadm-v1.34.1",
            "/v1.34.1/kubectl-v1.34.1",
            "/v1.34.1/kubelet-v1.34.1"
        ]
    );
}

/// The first answer waits for another request to come, which no server sees that is asked for one thing after the other.
#[test]
fn several_come_at_once() {
    needs!(root("files have owners"));
    for (jobs, tenths, at_once) in [("4", 600, true), ("1", 5, false)] {
        let image = Image::new(&format!("https-jobs-{jobs}"));
        image.publish_node("v1.34.1");
        let (asked, met) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&met);
        let server = Server::start(&image.from, move |_, before| {
            asked.fetch_add(1, Ordering::SeqCst);
            let another = |_| {
                std::thread::sleep(Duration::from_millis(100));
                asked.load(Ordering::SeqCst) > 1
            };
            if before == 0 {
                seen.store((0..tenths).any(another), Ordering::SeqCst);
            }
            Answer::Well
        });
        let url = server.url();
        let words = [&arguments(&image, &url)[..], &["--jobs", jobs]].concat();
        Ran::of(command(&words).env("SSL_CERT_FILE", &server.authority)).ended(0, &[]);
        assert_eq!(met.load(Ordering::SeqCst), at_once, "{jobs} jobs");
        assert_eq!(image.faults(), Vec::<String>::new());
    }
}

#[test]
fn a_certificate_of_a_stranger_is_not_trusted() {
    needs!(root("files have owners"));
    let image = image("https-stranger", 1000);
    let server = Server::start(&image.from, |_, _| Answer::Well);
    let begun = Instant::now();
    let ran: Ran =
        command(&arguments(&image, &server.url())).env_remove("SSL_CERT_FILE").output().unwrap().into();
    ran.ended(75, &["certificate is not trusted: no authority that is trusted here issued it"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "it was tried again");
    assert_eq!(server.asked(), []);
}

#[test]
fn connections_that_break_at_any_byte_are_gone_on_with() {
    needs!(root("files have owners"));
    let image = image("https-cuts", 300_000);
    let server = Server::start(&image.from, |asked, before| match asked.path.as_str() {
        // From nothing at all to nearly everything.
        "/tool" if before < 12 => Answer::Cut([0, 1, 37_773, 16_384, 50_001, 7][before % 6]),
        _ => Answer::Well,
    });
    bake(&image, &server).ended(0, &["tool 1: going on after", "trying again", "tool 1: 300.0 kB verified"]);
    whole(&image);
    let starts: Vec<usize> = server.asked().iter().filter(|a| a.path == "/tool").map(|a| a.from).collect();
    assert!(starts.len() > 8, "{starts:?}");
    assert!(starts.windows(2).all(|w| w[0] <= w[1]), "it never begins anew: {starts:?}");
}

#[test]
fn a_bake_that_is_killed_is_gone_on_with() {
    needs!(root("files have owners"));
    let image = image("https-killed", 1_200_000);
    let server = Server::start(&image.from, tool(Answer::Slowly));
    let url = server.url();
    for milliseconds in [150, 420, 90, 333, 510] {
        let mut child = Command::new(FOOTPLATE)
            .args(arguments(&image, &url))
            .env("SSL_CERT_FILE", &server.authority)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!image.path("/opt/bin/tool").exists());
    }
    bake(&image, &server).ended(0, &["tool 1: going on after"]);
    whole(&image);
    let starts: Vec<usize> = server.asked().iter().filter(|a| a.path == "/tool").map(|a| a.from).collect();
    assert!(starts.last().is_some_and(|last| *last > 0), "{starts:?}");
    assert!(starts.windows(2).all(|w| w[0] <= w[1]), "it never begins anew: {starts:?}");
}

#[test]
fn what_an_earlier_run_left_broken_is_fetched_anew() {
    needs!(root("files have owners"));
    let image = image("https-broken-part", 100_000);
    let server =
        Server::start(
            &image.from,
            |_, before| if before < 8 { Answer::Cut(9000) } else { Answer::Status(403, "") },
        );
    bake(&image, &server).ended(75, &["HTTP status 403", "the part that was fetched is kept"]);
    let incoming = image.path("/opt/footplate/store/.incoming");
    let part = fs::read_dir(&incoming)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_str().unwrap().contains("tool-"));
    let part = part.unwrap();
    // As after a power cut: the length is there, the bytes are not.
    let length = fs::metadata(&part).unwrap().len();
    assert!(length > 9000, "{length}");
    fs::write(&part, vec![0; usize::try_from(length).unwrap()]).unwrap();
    let server = Server::start(&image.from, |_, _| Answer::Well);
    bake(&image, &server).ended(0, &["going on after"]);
    whole(&image);
    assert!(!incoming.exists(), "nothing is left over");
    // And one that is longer than the file.
    let image = self::image("https-long-part", 1000);
    let server = Server::start(&image.from, |_, _| Answer::Well);
    fs::create_dir_all(image.path("/opt/footplate/store/.incoming")).unwrap();
    let digest = image.read_lock()["artifacts"][1]["sha256"].as_str().unwrap()[..16].to_owned();
    fs::write(image.path(&format!("/opt/footplate/store/.incoming/tool-{digest}")), noise(5000)).unwrap();
    bake(&image, &server).ended(0, &[]);
    whole(&image);
}

#[test]
fn servers_that_lie_are_not_believed() {
    needs!(root("files have owners"));
    let size = 50_000;
    let cases: Vec<(&str, Answer, i32, Vec<&str>)> = vec![
        ("flip-first", Answer::Flip(0), 65, vec!["tool 1", "is not what the lock names"]),
        ("flip-last", Answer::Flip(size - 1), 65, vec!["is not what the lock names"]),
        ("too-short", Answer::Length(-1), 65, vec!["is not what the lock names", "49999 bytes came"]),
        ("too-long", Answer::Length(1), 75, vec!["tool 1", "the part that was fetched is kept"]),
        ("login-page", Answer::Status(200, "<html>log in</html>"), 65, vec!["19 bytes came"]),
        ("empty", Answer::Status(200, ""), 65, vec!["0 bytes came"]),
        ("absent", Answer::Status(404, ""), 75, vec!["does not exist"]),
        ("forbidden", Answer::Status(403, ""), 75, vec!["HTTP status 403"]),
        ("to-http", Answer::To("http://localhost/tool".to_owned()), 75, vec!["redirects away from https"]),
        ("in-a-circle", Answer::To("/tool".to_owned()), 75, vec!["more than 5 redirects"]),
    ];
    for (name, answer, code, says) in cases {
        let image = image(&format!("https-lie-{name}"), size);
        let server = Server::start(&image.from, tool(answer));
        let ran = bake(&image, &server);
        assert_eq!(ran.code, code, "{name}: {}", ran.err);
        ran.ended(code, &says);
        assert!(!image.path("/opt/bin/tool").exists(), "{name}");
        assert!(!image.path("/opt/footplate/store/tool/1").exists(), "{name}");
        // The truth is taken after it.
        let server = Server::start(&image.from, |_, _| Answer::Well);
        bake(&image, &server).ended(0, &[]);
        whole(&image);
    }
}

#[test]
fn a_server_that_drips_is_given_up() {
    needs!(root("files have owners"));
    let image = image("https-drips", 50_000);
    let server = Server::start(&image.from, tool(Answer::Drip));
    bake(&image, &server)
        .ended(75, &["tool 1", "bytes in 30 s", "the part that was fetched is kept", " of 50.0 kB, "]);
    let server = Server::start(&image.from, |_, _| Answer::Well);
    bake(&image, &server).ended(0, &["tool 1: going on after"]);
    whole(&image);
}

#[test]
fn servers_that_know_no_ranges_send_the_whole_again() {
    needs!(root("files have owners"));
    for (name, again) in [("whole", Answer::Whole), ("other", Answer::OtherRange)] {
        let image = image(&format!("https-ranges-{name}"), 80_000);
        let server = Server::start(&image.from, move |asked, before| match asked.path.as_str() {
            "/tool" if before < 2 => Answer::Cut(30_000),
            "/tool" => again.clone(),
            _ => Answer::Well,
        });
        bake(&image, &server).ended(0, &[]);
        whole(&image);
    }
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    needs!(root("files have owners"));
    let image = image("https-trouble", 1000);
    let server = Server::start(&image.from, |_, before| match before {
        0..2 => Answer::Status(503, "later"),
        2 => Answer::Status(429, ""),
        _ => Answer::Well,
    });
    bake(&image, &server).ended(0, &["HTTP status 503; trying again"]);
    whole(&image);
}

#[test]
fn a_redirect_to_another_place_is_followed() {
    needs!(root("files have owners"));
    let image = image("https-redirect", 1000);
    let server = Server::start(&image.from, |asked, _| match asked.path.as_str() {
        "/tool" => Answer::To("/mirror/with?signature=abc/tool".to_owned()),
        _ => Answer::Well,
    });
    bake(&image, &server).ended(0, &[]);
    whole(&image);
}

/// A proxy that answers from a directory, and what it was asked for.
fn proxy(dir: std::path::PathBuf) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let Some(first) = lines.next() else { continue };
            let login = lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .any(|line| line.eq_ignore_ascii_case("proxy-authorization: basic bwu6chc="));
            let url = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let file = fs::read(dir.join(url.rsplit('/').next().unwrap()));
            seen.lock().unwrap().push(url);
            let (status, body) = file.map_or((404, Vec::new()), |body| (if login { 200 } else { 407 }, body));
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    (address, asked)
}

#[test]
fn builds_go_through_the_proxies_of_their_environment() {
    needs!(root("files have owners"));
    for (variable, spared) in [("HTTP_PROXY", ""), ("http_proxy", "other.invalid"), ("ALL_PROXY", "")] {
        let image = image(&format!("https-proxy-{variable}"), 1000);
        let (address, asked) = proxy(image.from.clone());
        let mut bake = command(&arguments(&image, "http://mirror.invalid/k"));
        bake.env(variable, format!("http://me:pw@{address}")).env("NO_PROXY", spared);
        Ran::of(&mut bake).ended(0, &[]);
        whole(&image);
        let mut urls = asked.lock().unwrap().clone();
        urls.sort();
        assert_eq!(urls, ["http://mirror.invalid/k/footplate", "http://mirror.invalid/k/tool"]);
    }
    // A host that is spared is asked directly.
    let image = image("https-proxy-spared", 1000);
    let server = Server::start(&image.from, |_, _| Answer::Well);
    let url = server.url();
    let mut bake = command(&arguments(&image, &url));
    bake.env("SSL_CERT_FILE", &server.authority)
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("NO_PROXY", "localhost");
    Ran::of(&mut bake).ended(0, &[]);
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    needs!(root("files have owners"));
    let image = image("https-full", 3_000_000);
    let server = Server::start(&image.from, |_, _| Answer::Well);
    let url = server.url();
    // A file system of a megabyte in a mount namespace of its own.
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {root}/opt && timeout 60 {FOOTPLATE} \"$@\"; code=$?; \
         find {root}/opt -type f; exit $code",
        root = image.root.display()
    );
    for from in [url.as_str(), image.from.to_str().unwrap()] {
        let ran: Ran = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script, "sh"])
            .args(arguments(&image, from))
            .env("SSL_CERT_FILE", &server.authority)
            .output()
            .unwrap()
            .into();
        // Several are fetched at once: which of them meets the end of the disk first is not said.
        ran.ended(74, &["error: install: ", "No space left on device"]);
        assert!(!ran.out.contains("tool-"), "a part keeps the disk full: {}", ran.out);
    }
}

/// `--timeout` bounds all of the fetching; what came by then is kept.
#[test]
fn a_bake_with_a_time_ends_in_it() {
    needs!(root("files have owners"));
    let image = image("https-timeout", 1_200_000);
    let server = Server::start(&image.from, tool(Answer::Slowly));
    let url = server.url();
    let mut bounded = Command::new(FOOTPLATE);
    bounded.args(arguments(&image, &url)).args(["--timeout", "1s"]).env("SSL_CERT_FILE", &server.authority);
    Ran::of(&mut bounded)
        .ended(75, &["the time that it was given is over (--timeout)", "run it again to go on"]);
    assert!(!image.path("/opt/bin/tool").exists());
    bake(&image, &server).ended(0, &["tool 1: going on after"]);
    whole(&image);
}

#[test]
fn a_terminal_sees_bytes_rate_and_time_left() {
    needs!(root("files have owners"));
    let image = image("https-terminal", 200_000);
    let server = Server::start(&image.from, tool(Answer::Slowly));
    let url = server.url();
    let line = [&[FOOTPLATE], &arguments(&image, &url)[..]].concat().join(" ");
    let ran: Ran = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("SSL_CERT_FILE", &server.authority)
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .into();
    ran.ended(0, &[]);
    let drawn: Vec<&str> = ran.out.split("\r\x1b[K").filter(|l| l.contains(" of 200.0 kB, ")).collect();
    assert!(drawn.len() > 2, "{}", ran.out.escape_debug());
    assert!(drawn.iter().all(|l| l.contains("B/s, ") && l.ends_with(" left")), "{drawn:?}");
}
