// SPDX-License-Identifier: Apache-2.0
//! What it takes a running machine to ask EC2's metadata service for everything, 50 ms away, in a whole `provision`:
//! requests, connections, and how many times the distance that is. Beside [Afterburn](https://crates.io/crates/afterburn), if it is on the path (`cargo install
//! afterburn`): it asks for less, and one after the other. `cargo bench --bench imds` as root prints it; more round trips
//! than the budget are a failure.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/it/common/fresh.rs"]
mod fresh;
#[path = "../tests/it/common/imds.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod imds;
#[path = "../tests/it/common/sandbox.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod sandbox;
#[path = "../tests/it/common/server.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod server;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use imds::{Tree, V4, machine, session};
use sandbox::Sandbox;
use server::Server;

/// How far the service is: a round trip.
const FAR: Duration = Duration::from_millis(50);

/// Round trips for everything, connecting included.
const BUDGET: u32 = 6;

const RUNS: usize = 9;

fn main() {
    let footplate = ["footplate", "provision", "--platform", "aws"];
    let afterburn = [
        "afterburn",
        "multi",
        "--provider",
        "aws",
        "--attributes",
        "OUT/attributes",
        "--hostname",
        "OUT/hostname",
    ];
    let two = machine().with_card("02:00:00:00:00:02", "1", &["10.0.1.7", "10.0.1.8"], &["2001:db8::7"]);
    println!("{FAR:?} away, median of {RUNS:<17} requests connections round trips  wall ms");
    for (what, tree) in [("one card", machine()), ("two cards", two)] {
        let trips = measure(&format!("footplate, {what}"), &footplate, &tree).unwrap();
        assert!(trips <= BUDGET, "{what}: more than {BUDGET} round trips");
        if measure(&format!("afterburn, {what}"), &afterburn, &tree).is_none() {
            println!("afterburn is not on the path");
        }
    }
}

/// Runs a command against the service, prints what it took, and gives that in round trips; `None` where there is no such
/// command.
fn measure(what: &str, command: &[&str], tree: &Tree) -> Option<u32> {
    let (what, tree) = (what.to_owned(), tree.clone());
    let command: Vec<String> = command.iter().map(|w| (*w).to_owned()).collect();
    // A thread of its own, for a network of its own.
    let run = move || {
        let sandbox = Sandbox::enter("bench-imds", &["169.254.169.254/32"]);
        // The cards that the service tells of, as they are once the network is up.
        for (n, mac, address) in
            [(1, "02:00:00:00:00:01", "10.0.0.5/24"), (2, "02:00:00:00:00:02", "10.0.1.7/24")]
        {
            sandbox::run(&format!("ip link add card{n} address {mac} type veth peer name peer{n}"));
            sandbox::run(&format!("ip link set peer{n} up"));
            sandbox::run(&format!("ip link set card{n} up"));
            sandbox::run(&format!("ip address add {address} dev card{n}"));
        }
        sandbox::run("ip route add default via 10.0.0.1 dev card1");
        // A new connection waits as long as its first packet would take to go there and back.
        let service = Server::start_at(&[V4], FAR, move |s| session(s, &tree).after(FAR));
        let mut runs = Vec::new();
        for n in 0..RUNS {
            let out = sandbox.dir().join(n.to_string());
            std::fs::create_dir(&out).unwrap();
            let mut child = match command[0].as_str() {
                "footplate" => sandbox.node(&format!("node-{n}"), env!("CARGO_BIN_EXE_footplate")).1,
                other => Command::new(other),
            };
            child.args(command[1..].iter().map(|w| w.replace("OUT", out.to_str().unwrap())));
            child.stdout(Stdio::null()).stderr(Stdio::piped());
            let (before, start) = (service.seen().len(), Instant::now());
            let output = child.output().ok()?;
            let wall = start.elapsed();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let seen = &service.seen()[before..];
            let connections: BTreeSet<usize> = seen.iter().map(|s| s.connection).collect();
            // From the first request to the last; before them the connection was made, and after them came the answer.
            let between = seen.last().unwrap().at - seen[0].at;
            let trips = (between.as_secs_f64() / FAR.as_secs_f64()).round() as u32 + 2;
            runs.push((trips, wall, seen.len(), connections.len()));
        }
        runs.sort_unstable();
        let (trips, wall, requests, connections) = runs[RUNS / 2];
        println!("{what:40} {requests:>8} {connections:>11} {trips:>11} {:>8.0}", wall.as_secs_f64() * 1e3);
        Some(trips)
    };
    thread::spawn(run).join().unwrap()
}
