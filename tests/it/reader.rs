// SPDX-License-Identifier: Apache-2.0
//! The process that reads metadata and bootstrap data for others: what it brings is what a thread of the same program brings, and
//! whatever happens to it is told.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::scratch::{FOOTPLATE, Ran, Scratch, fresh, seed};
use crate::common::server::{Reply, Server};

/// Runs a command on each seed below `$1`, with `$2` for its output, by the program `$3`: first without the socket, and then with readers
/// that `$4` starts, and
/// without a network of its own. Nothing of it is seen outside.
const BOTH: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
socket=/run/footplate-reader.socket
each() {
    for seed in "$1"/*; do
        name=${seed##*/} code=0
        mkdir -p "$2/$4/$name/root"
        timeout 60 $5 "$3" plan --seed "$seed" --root "$2/$4/$name/root" --format json \
            > "$2/$4/$name/out" 2> "$2/$4/$name/err" || code=$?
        echo "$code" > "$2/$4/$name/code"
    done
}
each "$1" "$2" "$3" thread ''
timeout 300 systemd-socket-activate --accept --inetd -l $socket $4 2> "$2/readers" &
for _ in $(seq 100); do [ -S $socket ] && break; sleep 0.1; done
each "$1" "$2" "$3" process 'unshare --net'
kill $!
"#;

/// The outputs of both, and what was said of the readers.
fn both(name: &str, seeds: &Path, reader: &str) -> (PathBuf, String) {
    let out = fresh(&format!("reader-out-{name}"));
    let mut unshare = Command::new("timeout");
    unshare.args(["900", "unshare", "--mount", "sh", "-c", BOTH, "sh"]);
    Ran::of(unshare.arg(seeds).arg(&out).arg(FOOTPLATE).arg(reader)).ended(0, &[]);
    let said = fs::read_to_string(out.join("readers")).unwrap();
    (out, said)
}

fn text(out: &Path, way: &str, name: &str, file: &str) -> String {
    let text = fs::read_to_string(out.join(way).join(name).join(file)).unwrap();
    text.replace(&format!("/{way}/"), "/WAY/")
}

#[test]
fn a_process_brings_what_a_thread_brings() {
    needs!(root("a mount namespace"));
    needs!(program("systemd-socket-activate", "systemd"));
    let seeds = fresh("reader-seeds");
    let mut names = Vec::new();
    for folder in fs::read_dir("tests/userdata/golden").unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let to = seeds.join(&name);
        fs::create_dir(&to).unwrap();
        fs::write(to.join("meta-data"), "instance-id: i-1\nlocal-hostname: node-1.example.com\n").unwrap();
        for file in ["user-data", "vendor-data"] {
            if folder.path().join(file).exists() {
                fs::copy(folder.path().join(file), to.join(file)).unwrap();
            }
        }
        names.push(name);
    }
    let network = seed("reader-network", "#cloud-config\nruncmd: [date]\n");
    let version_2 = "version: 2\nethernets:\n  nic:\n    match: {macaddress: '00:50:56:00:00:01'}\n    set-name: eth0\n    \
        addresses: [192.0.2.7/24, '2001:db8::7/64']\n    routes: [{to: default, via: 192.0.2.1, metric: 7}]\n    nameservers: {addresses: [192.0.2.53], search: [a.example]}\n\
        vlans: {v: {id: 7, link: nic, mtu: 1400}}\nbonds: {b: {interfaces: [x], parameters: {mode: 802.3ad}}}\n";
    fs::write(network.join("network-config"), version_2).unwrap();
    fs::rename(&network, seeds.join("network")).unwrap();
    names.push("network".to_owned());

    // Numbers of metadata keep their last digit on the way.
    let numbers = seed(
        "reader-numbers",
        "## template: jinja\n#cloud-config\nwrite_files:\n  - {path: /srv/a, content: 'of {{ ds.meta_data.numbers }}'}\n",
    );
    let list: Vec<String> = (0..2000).map(|i| format!("{:?}", f64::from(i) * 0.001 + 0.1)).collect();
    fs::write(numbers.join("meta-data"), format!("instance-id: i-1\nnumbers: [{}]\n", list.join(", ")))
        .unwrap();
    fs::rename(&numbers, seeds.join("numbers")).unwrap();
    names.push("numbers".to_owned());
    // More than a run may take: who asked tells it in the same words.
    let list = "1,".repeat(190_000);
    let part = |i| format!("--b\nContent-Type: text/cloud-config\n\n#cloud-config\nx{i}: [{list}1]\n");
    let parts: String = (0..3).map(part).collect();
    let much = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n");
    fs::rename(seed("reader-much", &much), seeds.join("much")).unwrap();
    names.push("much".to_owned());

    // What the data names at services: the reader asks them, while who asked it waits for what it reads.
    let server = Server::start("127.0.0.1:0", |seen| match seen.path.as_str() {
        "/commands" => Reply::ok("#cloud-config\nwrite_files: [{path: /srv/fetched}]\n"),
        "/large" => Reply::ok(format!("#cloud-config\n# {}\nhostname: large\n", "x".repeat(4 << 20))),
        "/moved" => Reply::status(302, "Location: /commands\r\n", ""),
        "/header" => Reply::status(204, "X-Odd: \u{e9}\r\nX-Odd: b\r\n", ""),
        "/refused" => Reply::status(403, "", ""),
        "/huge" => Reply::ok("x".repeat(40 << 20)),
        _ => Reply::not_found(),
    });
    let paths = ["commands", "large", "moved", "header", "refused", "huge", "missing"];
    for path in paths {
        let name = format!("include-{path}");
        let include = format!("#include\n{}\n", server.url(&format!("/{path}")));
        fs::rename(seed(&name, &include), seeds.join(&name)).unwrap();
        names.push(name);
    }

    let (out, readers) = both("golden", &seeds, &format!("{FOOTPLATE} reader"));
    for name in &names {
        for file in ["code", "err", "out"] {
            let (thread, process) = (text(&out, "thread", name, file), text(&out, "process", name, file));
            assert_eq!(thread, process, "{name}: {file}");
        }
    }
    let much = text(&out, "process", "much", "err");
    assert!(much.contains("it takes more than 58 MiB of memory to read this data"), "{much}");
    let asked = server.paths();
    for path in paths {
        // By the thread, and by the process for one that has no network.
        let times = asked.iter().filter(|p| **p == format!("GET /{path}")).count();
        assert!(times == if path == "commands" { 4 } else { 2 }, "{path}: {asked:?}");
    }
    let fetched = text(&out, "process", "include-moved", "out");
    assert!(fetched.contains("/srv/fetched"), "{fetched}");
    // One for each seed.
    let started = readers.matches("Spawned").count();
    assert!(started == names.len(), "{started} readers for {}: {readers}", names.len());
}

#[test]
fn a_reader_that_does_not_come_or_ends_is_told() {
    needs!(root("a mount namespace"));
    needs!(program("systemd-socket-activate", "systemd"));
    let seeds = fresh("reader-broken");
    fs::rename(seed("reader-broken-seed", "#cloud-config\nruncmd: [date]\n"), seeds.join("a")).unwrap();
    // None comes: the work is done here, and the log says so once.
    let (out, readers) = both("none", &seeds, "/bin/false");
    let process = |file| text(&out, "process", "a", file);
    assert_eq!(process("code"), text(&out, "thread", "a", "code"));
    assert_eq!(process("out"), text(&out, "thread", "a", "out"));
    let err = process("err");
    assert_eq!(err.matches("the data is read in this process, for no reader came: ").count(), 1, "{err}");
    assert_eq!(readers.matches("Spawned").count(), 3, "{readers}");
    // The second one comes.
    let second = Scratch::new("reader-second");
    let first = second.path("/first");
    second.put_program(
        "/reader",
        format!("#!/bin/sh\nmkdir {} && exit 1\nexec {FOOTPLATE} reader\n", first.display()),
    );
    let (out, readers) = both("second", &seeds, second.path("/reader").to_str().unwrap());
    let err = text(&out, "process", "a", "err");
    assert_eq!(text(&out, "process", "a", "out"), text(&out, "thread", "a", "out"), "{err}");
    assert!(!err.contains("the data is read in this process"), "{err}");
    assert_eq!(readers.matches("Spawned").count(), 2, "{readers}");
    // One comes, and is gone when it is asked.
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut reader = Command::new(FOOTPLATE).arg("reader").stdin(OwnedFd::from(far)).spawn().unwrap();
    let mut ready = vec![0; 16];
    near.read_exact(&mut ready).unwrap();
    let mut rest = vec![0; usize::from(ready[0])];
    near.read_exact(&mut rest).unwrap();
    drop(near);
    assert!(reader.wait().unwrap().success(), "nobody asked it");
    let ends = Scratch::new("reader-ends");
    ends.put("/ready", [ready, rest].concat());
    ends.put_program("/ends", format!("#!/bin/sh\ncat {} >&0\n", ends.path("/ready").display()));
    let (out, _) = both("ends", &seeds, ends.path("/ends").to_str().unwrap());
    let err = text(&out, "process", "a", "err");
    assert_eq!(text(&out, "process", "a", "code"), "65\n", "{err}");
    let told = "error: decode: the process that reads metadata and data ended before its time";
    assert!(err.contains(told) && err.contains("\n hint: see `journalctl -u 'footplate-reader@*'`"), "{err}");
}
