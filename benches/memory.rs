// SPDX-License-Identifier: Apache-2.0
//! The memory that a provision takes of large user-data, in each shape that such data has: at most [`BASE`] and three times the data,
//! of which one is the data as it came, one what it unpacks to, and one what it means. `cargo bench --bench memory` prints the most
//! that was in use, and [`PAGES`] more than that is a failure.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Error, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// Bytes for the program itself, of which up to 5.4 MiB are its own pages, which the kernel shares.
const BASE: usize = 6 << 20;

/// Bytes by which another kernel may map more of the program's own pages at once, which is no memory that it asks for.
const PAGES: usize = 1 << 20;

/// Bytes for a file that is so small that its name and what is known of it are most of it.
const SMALL: usize = 1 << 10;

const VARIABLE: &str = "{{ ds.meta_data.instance_id }}";

/// The argument by which this program measures a command.
const MEASURE: &str = "--measure";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == MEASURE) {
        return measure(&arguments[1..]);
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory");
    let mut over = Vec::new();
    println!("{:34} {:>9} {:>10} {:>8}", "user-data", "MiB of it", "MiB in use", "at most");
    for (what, shape) in shapes() {
        let size = shape.unpacked.max(shape.data.len());
        let bound = BASE + 3 * size + shape.small * SMALL;
        let most = (0..3).map(|_| provision(&scratch, &shape)).max().unwrap();
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!("{what:34} {:>9.2} {:>10.1} {:>8.1}", mib(size), mib(most), mib(bound));
        if most > bound + PAGES {
            over.push(what);
        }
    }
    let _ = fs::remove_dir_all(&scratch);
    assert!(over.is_empty(), "more memory than the bound: {over:?}");
}

/// User-data, and how it reaches the node.
struct Shape {
    data: Vec<u8>,
    /// What it unpacks to, in bytes.
    unpacked: usize,
    /// Files that are small.
    small: usize,
    /// Whether it comes by VMware's guestinfo, in gzip and base64.
    guestinfo: bool,
}

impl Shape {
    fn of(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), unpacked: 0, small: 0, guestinfo: false }
    }

    fn packed(self) -> Self {
        Self { unpacked: self.data.len(), data: gzip(&self.data), ..self }
    }
}

fn shapes() -> Vec<(&'static str, Shape)> {
    let kib = |n: usize| n << 10;
    let plain = |n, size| files(n, |i| text(i, size));
    let templated = |n, size| files(n, |i| text(i, size) + VARIABLE);
    let template = |files| format!("## template: jinja\n{}", config(files));
    let blocks = files(200, |i| {
        format!("{{% if v1.region is defined or true %}}{}{VARIABLE}{{% endif %}}", text(i, kib(18)))
    });
    let mut packed = files(200, |i| STANDARD.encode(gzip(noise(i, kib(18)).as_bytes())));
    packed.iter_mut().for_each(|file| file["encoding"] = json!("gz+b64"));
    let part = |at: usize, files: &[Value]| {
        format!(
            "--part\r\nContent-Type: text/cloud-config\r\nMerge-Type: list(append)+dict(recurse_list)+str()\r\nContent-Disposition: attachment; filename=\"{at}\"\r\n\r\n{}\r\n",
            config(files.to_vec())
        )
    };
    let parts: String =
        plain(200, kib(18)).chunks(50).enumerate().map(|(at, files)| part(at, files)).collect();
    let script = |at: usize| {
        format!(
            "--part\r\nContent-Type: text/x-shellscript\r\n\r\n#!/bin/sh\n: <<'E'\n{}E\n\r\n",
            text(at, kib(900))
        )
    };
    let message = |parts: String| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=part\r\n\r\n{parts}--part--\r\n"
        )
    };
    let url = |bytes: &[u8]| format!("data:;base64,{}", STANDARD.encode(bytes));
    let contents = |i: usize, bytes: &[u8]| json!({"path": format!("/etc/large/{i}"), "mode": 420, "contents": {"source": url(bytes)}});
    let ignition = |files: Vec<Value>| {
        json!({"ignition": {"version": "3.3.0"}, "storage": {"files": files}}).to_string()
    };
    let large = |n, size| ignition((0..n).map(|i| contents(i, text(i, size).as_bytes())).collect());
    let zipped = (0..200).map(|i| {
        let mut file = contents(i, &gzip(noise(i, kib(18)).as_bytes()));
        file["contents"]["compression"] = json!("gzip");
        file
    });
    let mut yaml = "#cloud-config\nwrite_files:\n".to_owned();
    for i in 0..200 {
        let block: String = text(i, kib(18)).lines().map(|line| format!("    {line}\n")).collect();
        write!(yaml, "- path: /etc/large/{i}\n  content: |\n{block}").unwrap();
    }
    vec![
        ("200 files", Shape::of(config(plain(200, kib(18))))),
        ("200 templated files", Shape::of(template(templated(200, kib(18))))),
        ("200 files with blocks of a template", Shape::of(template(blocks))),
        ("200 files as blocks of YAML", Shape::of(yaml.clone())),
        ("the same, templated", Shape::of(format!("## template: jinja\n{yaml}# {VARIABLE}\n"))),
        ("200 files, gz+b64", Shape::of(config(packed.clone()))),
        ("the same, templated", Shape::of(template(packed))),
        ("3 large files", Shape::of(config(plain(3, kib(1228))))),
        ("3 large templated files", Shape::of(template(templated(3, kib(1228))))),
        ("9000 small files", Shape { small: 9000, ..Shape::of(config(plain(9000, 360))) }),
        ("9000 small templated files", Shape { small: 9000, ..Shape::of(template(templated(9000, 330))) }),
        ("all of it in gzip", Shape::of(yaml.clone()).packed()),
        ("by guestinfo, gz+b64", Shape { guestinfo: true, ..Shape::of(yaml).packed() }),
        ("a message of 4 cloud-configs", Shape::of(message(parts))),
        ("a message of 4 scripts", Shape::of(message((0..4).map(script).collect()))),
        ("Ignition, 200 files", Shape::of(large(200, 13_500))),
        ("Ignition, 200 files in gzip", Shape::of(ignition(zipped.collect()))),
        ("Ignition, 3 large files", Shape::of(large(3, kib(900)))),
        ("Ignition, 9000 small files", Shape { small: 9000, ..Shape::of(large(9000, 200)) }),
    ]
}

/// Entries of `write_files` of these contents.
fn files(count: usize, content: impl Fn(usize) -> String) -> Vec<Value> {
    (0..count).map(|i| json!({"path": format!("/etc/large/{i}"), "content": content(i)})).collect()
}

fn config(files: Vec<Value>) -> String {
    format!("#cloud-config\n{}", json!({"write_files": files}))
}

/// So many bytes of lines that are the file's own.
fn text(file: usize, size: usize) -> String {
    let line = format!("{file:04} abcdefghijklmnopqrstuvwxyz 0123456789\n");
    let mut text = line.repeat(size / line.len() + 1);
    text.truncate(size - 1);
    text + "\n"
}

/// So many bytes that gzip makes little smaller than three quarters of it.
fn noise(file: usize, size: usize) -> String {
    let mut state = file as u64 + 1;
    let mut next = || {
        // A linear congruence, of which the upper bits are taken.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    STANDARD.encode((0..size / 4 * 3).map(|_| next()).collect::<Vec<u8>>())
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Provisions an empty root, and gives the most memory that was in use, in bytes.
fn provision(scratch: &Path, shape: &Shape) -> usize {
    let _ = fs::remove_dir_all(scratch);
    let (seed, root) = (scratch.join("seed"), scratch.join("root"));
    fs::create_dir_all(root.join("etc")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([MEASURE, env!("CARGO_BIN_EXE_footplate"), "provision"]);
    if shape.guestinfo {
        let (from, to) =
            (concat!(env!("CARGO_MANIFEST_DIR"), "/demo/vsphere-worker"), seed.to_str().unwrap());
        assert!(Command::new("cp").args(["-r", from, to]).status().unwrap().success());
        fs::write(seed.join("guestinfo/guestinfo.userdata"), STANDARD.encode(&shape.data)).unwrap();
        fs::write(seed.join("guestinfo/guestinfo.userdata.encoding"), "gz+b64").unwrap();
        command.arg("--replay");
    } else {
        fs::create_dir_all(&seed).unwrap();
        fs::write(seed.join("meta-data"), "instance-id: i-1\n").unwrap();
        fs::write(seed.join("user-data"), &shape.data).unwrap();
        command.arg("--seed");
    }
    command.arg(&seed).arg("--root").arg(&root);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the provision failed");
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// Runs a command, and prints the most bytes of memory that it had in use. What starts a program counts for it, as the kernel sees it,
/// so this is a process of its own, which is small.
#[allow(clippy::zombie_processes, reason = "wait4 waits for it, and tells what it used")]
fn measure(command: &[String]) {
    let mut child = Command::new(&command[0]);
    let child = child.args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // SAFETY: a rusage is numbers only, for which all bits zero is a value.
    let (mut status, mut usage): (_, libc::rusage) = (0, unsafe { std::mem::zeroed() });
    // SAFETY: both places are ours and live through the call; the child is ours and not waited for elsewhere.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    assert!(waited > 0, "{}", Error::last_os_error());
    assert_eq!(status, 0, "{command:?} failed");
    // ru_maxrss is in KiB (getrusage(2)).
    println!("{}", usage.ru_maxrss << 10);
}
