// SPDX-License-Identifier: Apache-2.0
//! What a provision of the demo's worker costs: the binary's size, peak memory, wall and CPU time; and what the look at a baked
//! image's programs adds to a first boot. `cargo bench` prints them; sizes and memory beyond their budgets are failures, times
//! are only told, since they are the machine's too.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use footplate::facade::bake::lock::OWN_ARCHITECTURE;
use footplate::facade::bake::{self, store};
use footplate::facade::io::root::Root;
use serde_json::{Value, json};

/// Bytes of the binary.
const SIZE_BUDGET: u64 = 6_765_000;

/// Bytes of memory that a provision may have in use.
const MEMORY_BUDGET: i64 = 10 << 20;

/// Provisions; the median of an odd number is one of them.
const RUNS: usize = 21;

/// What one run took.
struct Cost {
    wall: Duration,
    cpu: Duration,
    memory: i64,
}

fn main() {
    let binary = env!("CARGO_BIN_EXE_footplate");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("budget");
    let size = fs::metadata(binary).unwrap().len();
    let mut costs: Vec<Cost> = (0..RUNS).map(|_| provision(binary, &scratch)).collect();
    let memory = costs.iter().map(|c| c.memory).max().unwrap();
    costs.sort_by_key(|c| c.wall);
    let wall = costs[RUNS / 2].wall;
    costs.sort_by_key(|c| c.cpu);
    let cpu = costs[RUNS / 2].cpu;
    println!("binary        {:>7.2} MB of {:.1}", size as f64 / 1e6, SIZE_BUDGET as f64 / 1e6);
    println!("peak memory   {:>7.2} MiB of {}", memory as f64 / (1 << 20) as f64, MEMORY_BUDGET >> 20);
    println!("wall, median  {:>7.2} ms of {RUNS} provisions into an empty root", wall.as_secs_f64() * 1e3);
    println!("CPU, median   {:>7.2} ms", cpu.as_secs_f64() * 1e3);
    let (files, check) = programs(binary, &scratch);
    println!(
        "programs      {:>7.2} ms, median of {RUNS} looks at {files} files of a lock, all there",
        check.as_secs_f64() * 1e3
    );
    assert!(size <= SIZE_BUDGET, "the binary is larger than its budget");
    assert!(memory <= MEMORY_BUDGET, "a provision takes more memory than its budget");
}

/// Bakes as many programs as a node has, and gives how many and what it takes to see that all are there. Sizes and times are
/// what is looked at: how large they are makes no difference.
fn programs(binary: &str, scratch: &Path) -> (usize, Duration) {
    let (root, lock, text) = (scratch.join("root"), scratch.join("lock.json"), b"#!/bin/sh\n");
    let names: Vec<String> = (0..24).map(|n| format!("program-{n}")).collect();
    for path in ["root/etc", "root/opt", "from"] {
        fs::create_dir_all(scratch.join(path)).unwrap();
    }
    let artifact = |name: &String| {
        fs::write(scratch.join("from").join(name), text).unwrap();
        json!({
            "name": name, "version": "v1", "url": format!("https://artifacts.invalid/{name}"),
            "sha256": store::digest_of(&text[..]).unwrap(), "install": [{"to": format!("/opt/bin/{name}")}],
        })
    };
    let artifacts: Vec<Value> = names.iter().map(artifact).collect();
    fs::write(&lock, json!({"version": 1, "arch": OWN_ARCHITECTURE, "artifacts": artifacts}).to_string())
        .unwrap();
    let mut bake = Command::new(binary);
    bake.args(["bake", "--force", "--root"])
        .arg(&root)
        .arg("--lock")
        .arg(&lock)
        .arg("--from")
        .arg(scratch.join("from"));
    let baked = bake.output().unwrap();
    assert!(baked.status.success(), "{}", String::from_utf8_lossy(&baked.stderr));
    let root = Root::open(&root, false).unwrap();
    let mut took: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let changed = bake::lay_out(&root).unwrap();
            assert_eq!(changed, Some(Vec::new()), "something was missing");
            start.elapsed()
        })
        .collect();
    took.sort();
    (names.len() + 1, took[RUNS / 2])
}

/// Provisions the demo's worker into an empty directory.
#[allow(clippy::zombie_processes, reason = "wait4 waits for it, and tells what it used")]
fn provision(binary: &str, scratch: &Path) -> Cost {
    let _ = fs::remove_dir_all(scratch);
    fs::create_dir_all(scratch).unwrap();
    let start = Instant::now();
    let child = Command::new(binary)
        .args([
            "provision",
            "--replay",
            concat!(env!("CARGO_MANIFEST_DIR"), "/demo/vsphere-worker"),
            "--root",
        ])
        .arg(scratch)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut status, mut usage) = (0, no_usage());
    // SAFETY: both places are ours and live through the call; the child is ours and not waited for elsewhere.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    assert!(waited > 0, "{}", Error::last_os_error());
    assert_eq!(status, 0, "the provision failed");
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    // ru_maxrss is in KiB (getrusage(2)).
    Cost {
        wall: start.elapsed(),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        memory: usage.ru_maxrss << 10,
    }
}

fn no_usage() -> libc::rusage {
    // SAFETY: a rusage is numbers only, for which all bits zero is a value.
    unsafe { std::mem::zeroed() }
}
