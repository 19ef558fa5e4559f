// SPDX-License-Identifier: Apache-2.0
//! What cloud-init's language takes from elsewhere: include lists and `write_files[].source`, by the program itself from
//! a server that redirects, asks for a login, fails for a while, or sends too much.

use crate::common::{scratch, server};

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use footplate::facade::decode::{self, document::jinja::Variables};
use footplate::facade::io::World as _;
use footplate::facade::io::live::Live;
use footplate::facade::model::fetch::Request;
use footplate::facade::model::policy::Policy;
use footplate::facade::model::problem::Severity;
use footplate::facade::pipeline::sources;
use footplate::facade::platform::Platform;
use scratch::{CANARY, Scratch, footplate, plan, provision, seed, stopped_without_a_word};
use serde_json::{Value, json};
use server::{End, Reply, Seen, Server};

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A mirror as sites have them.
fn site(seen: &Seen) -> Reply {
    let authorized = seen.header("authorization") == Some("Basic dXNlcjpwQHNz");
    match seen.path.as_str() {
        "/base" => Reply::ok("#cloud-config\nwrite_files: [{path: /opt/base, content: base}]\n"),
        "/moved" => Reply::status(302, "location: /list\r\n", ""),
        // A list within a list, packed as it is.
        "/list" => {
            Reply::ok(gz(format!("#include-once\nhttp://{}/script?{CANARY}\n", host(seen)).as_bytes()))
        }
        path if path.starts_with("/script?") => Reply::ok("#!/bin/sh\necho included\n"),
        "/login" if authorized => Reply::ok("#cloud-config\nntp: {servers: [ntp.example.com]}\n"),
        "/login" => Reply::status(401, "", ""),
        "/token" if seen.header("x-token") == Some(CANARY) => Reply::ok("tool"),
        "/token" => Reply::status(403, "", ""),
        // Up a while after the machine is.
        "/late" if seen.before_here == 0 => Reply::status(503, "", ""),
        "/late" => Reply::ok("late"),
        _ => Reply::not_found(),
    }
}

fn host(seen: &Seen) -> String {
    seen.header("host").unwrap().to_owned()
}

#[test]
fn a_node_is_made_of_what_it_includes() {
    needs!(root("files have owners"));
    let server = Server::start("127.0.0.1:0", site);
    let at = |path: &str| server.url(path);
    let login = at("/login").replace("://", "://user:p%40ss@");
    let data = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-include-url\n\n\
         # the site's\n{}\n#include {}\n--b\nContent-Type: text/x-include-once-url\n\n{login}\n--b\nContent-Type: text/cloud-config\n\n\
         #cloud-config\nmerge_how: dict(recurse_list)+list(append)\nwrite_files:\n\
         - {{path: /opt/tool, permissions: '0755', source: {{uri: '{}', headers: {{X-Token: {CANARY}}}}}}}\n\
         - {{path: /opt/late, source: {{uri: '{}'}}}}\n\
         - {{path: /opt/own, content: own, source: {{uri: '{}'}}}}\n--b--\n",
        at("/base"),
        at("/moved"),
        at("/token"),
        at("/late"),
        at("/not-there")
    );
    let (seed, root) = (seed("included", &data), Scratch::new("included"));
    let ran = provision(&seed, &root);
    ran.ended(0, &["HTTP status 404", "the entry's own content is written"]);
    for (path, want) in [
        ("/opt/base", "base"),
        ("/opt/tool", "tool"),
        ("/opt/late", "late"),
        ("/opt/own", "own"),
        ("/run/footplate/scripts/part-002", "#!/bin/sh\necho included\n"),
    ] {
        assert_eq!(root.text(path), want, "{path}");
    }
    assert!(root.text("/etc/systemd/timesyncd.conf.d/50-footplate.conf").contains("NTP=ntp.example.com"));
    let said = ran.out + &ran.err;
    assert!(!said.contains(CANARY) && !said.contains("p@ss") && !said.contains("p%40ss"), "{said}");
    // Every one of them was asked for once, but for the one that was late.
    let mut paths = server.paths();
    paths.sort();
    let times = |path: &str| paths.iter().filter(|p| p.contains(path)).count();
    assert_eq!(
        (times("/late"), times("/base"), times("/token"), times("/script")),
        (2, 1, 1, 1),
        "{paths:?}"
    );
}

#[test]
fn what_can_not_be_had_stops_the_node_in_words() {
    needs!(root("files have owners"));
    let server = Server::start("127.0.0.1:0", |seen| match seen.path.split('?').next().unwrap() {
        "/round" => Reply::status(302, "location: /round\r\n", ""),
        "/large" => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").end(End::Hang),
        "/elsewhere" => Reply::status(301, "location: ftp://example.com/x\r\n", ""),
        "/page" => Reply::ok("<html>log in</html>"),
        _ => Reply::not_found(),
    });
    let cases = [
        ("/gone", "HTTP status 404"),
        ("/round", "more than 10 redirects"),
        ("/large", "the answer is larger than"),
        ("/elsewhere", "it redirects to something that is not an http or https URL"),
        ("/page", "this is a page of HTML"),
    ];
    let list: String = cases.iter().map(|(path, _)| format!("{}?{CANARY}\n", server.url(path))).collect();
    let (seed, root) = (
        seed("not-included", format!("#include\n{list}tftp://example.com/x\n")),
        Scratch::new("not-included"),
    );
    let ran = provision(&seed, &root);
    let said: Vec<String> =
        cases.iter().map(|(_, what)| format!("include {}: {what}", server.url("/…"))).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    ran.ended(65, &[said.as_slice(), &["only these are fetched"]].concat());
    stopped_without_a_word(&ran, &root);
    plan(&seed, &root).ended(65, &said);
}

#[test]
fn one_deadline_ends_all_of_them() {
    let server = Server::start("127.0.0.1:0", |_| Reply::status(503, "", ""));
    let world = Live::default();
    let (start, patience) = (Instant::now(), Duration::from_millis(600));
    for path in ["/a", "/b", "/c"] {
        let asked =
            sources::fetch(&world, &Platform::NONE, &Request::plain(&server.url(path)), start + patience);
        let why = asked.unwrap_err();
        assert!(why.unreached && why.what.contains("gave up at the deadline"), "{path}: {why:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_source_out_of_reach_is_no_bad_data() {
    needs!(root("files have owners"));
    let server = Server::start("127.0.0.1:0", |seen| match seen.path.as_str() {
        "/gone" => Reply::not_found(),
        _ => Reply::status(503, "", ""),
    });
    // A second for each: the program's own patience is minutes.
    let ignition = |paths: &[&str]| {
        let file = |path: &&str| json!({ "path": path, "contents": { "source": server.url(path) } });
        let files: Vec<Value> = paths.iter().map(file).collect();
        let ignition = json!({ "version": "3.4.0", "timeouts": { "httpTotal": 1 } });
        json!({ "ignition": ignition, "storage": { "files": files } }).to_string()
    };
    for (name, paths, code, stage) in [
        ("all-out-of-reach", ["/a", "/b"].as_slice(), 75, "error: fetch: "),
        ("one-that-is-not-there", &["/a", "/gone"], 65, "error: decode: "),
    ] {
        let (seed, root) = (seed(name, ignition(paths)), Scratch::new(name));
        let ran = provision(&seed, &root);
        ran.ended(
            code,
            &[stage, "storage.files[0].contents.source", "HTTP status 503 (gave up at the deadline"],
        );
        stopped_without_a_word(&ran, &root);
        plan(&seed, &root).ended(code, &[stage]);
    }
    // cloud-init's language has no such words, so here it is a world that gives up soon.
    let world = Live::with_policy(Policy { metadata_wait: Duration::from_millis(300), ..Policy::default() });
    let data = |path: &str| {
        let url = server.url(path);
        [
            format!("#include\n{url}\n"),
            format!("#cloud-config\nwrite_files: [{{path: /a, source: {{uri: '{url}'}}}}]\n"),
        ]
    };
    for (path, unreached) in [("/a", true), ("/gone", false)] {
        for data in data(path) {
            let decoded =
                decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut |request| {
                    sources::fetch(&world, &Platform::NONE, request, Instant::now() + world.patience())
                });
            let errors = decoded.problems.iter().filter(|f| f.severity == Severity::Error);
            assert_eq!(
                errors.map(|f| f.code == footplate::facade::model::problem::UNREACHED).collect::<Vec<_>>(),
                [unreached],
                "{data}"
            );
        }
    }
}

#[test]
fn check_names_what_it_would_fetch_and_fetches_nothing() {
    let server = Server::start("127.0.0.1:0", site);
    let data = format!(
        "#cloud-config-archive\n- \"#include\\n{0}?{CANARY}\\nfile:///etc/hostname\\n\"\n- |\n  #cloud-config\n  write_files:\n  \
         - {{path: /a, encoding: gzip, source: {{uri: '{1}?{CANARY}'}}}}\n",
        server.url("/base"),
        server.url("/token")
    );
    let seed = seed("checked", data);
    let ran = footplate(&["check", seed.join("user-data").to_str().unwrap()]);
    ran.ended(0, &[]);
    for what in [
        format!("note: part 1: include {}: is not looked at here", server.url("/…")),
        "include file:///etc/hostname: is not looked at here".to_owned(),
        format!("note: part 2: write_files[0].source: {}: is not fetched here", server.url("/…")),
    ] {
        assert!(ran.out.contains(&what), "{what}\n{}", ran.out);
    }
    assert!(!ran.out.contains(CANARY), "{}", ran.out);
    assert!(server.seen().is_empty(), "{:?}", server.paths());
}

/// What would hold the boot for ever, or what is no file, is refused by its path.
#[test]
fn only_regular_files_are_read() {
    let dir = Scratch::new("not-regular");
    let fifo = dir.path("/queue");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::create_dir(dir.path("/directory")).unwrap();
    for path in [fifo.to_str().unwrap(), dir.path("/directory").to_str().unwrap(), "/dev/zero"] {
        let (seed, root) =
            (seed("irregular", format!("#include\nfile://{path}\n")), Scratch::new("irregular"));
        provision(&seed, &root).ended(
            65,
            &[&format!("include file://{path}: {path}: is not a regular file (line 2, column 1)")],
        );
        stopped_without_a_word(&provision(&seed, &root), &root);
    }
    // A seed's own file as well.
    let seed = Scratch::new("irregular-seed");
    seed.put("/meta-data", "instance-id: i-1\n");
    assert!(std::process::Command::new("mkfifo").arg(seed.path("/user-data")).status().unwrap().success());
    let root = Scratch::new("irregular-seeded");
    provision(&seed.dir, &root).ended(65, &["user-data: is not a regular file"]);
    // And an answer of a capture.
    let answers = Scratch::new("irregular-answers");
    assert!(
        std::process::Command::new("mkfifo").arg(answers.path("/hypervisor")).status().unwrap().success()
    );
    let arguments = ["plan", "--replay", answers.arg(), "--root", root.arg()];
    footplate(&arguments).ended(69, &["hypervisor: is not a regular file"]);
}
