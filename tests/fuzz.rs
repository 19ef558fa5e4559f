// SPDX-License-Identifier: Apache-2.0
//! The fuzz target on inputs that a mutator makes of the golden folders', the same ones in every run.
//! `FUZZ_RUNS=100000 cargo test --release --test fuzz` runs more of them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/targets.rs"]
mod targets;

/// xorshift64*: small, and good enough to choose places.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// Words that decoders turn at.
const WORDS: &[&str] = &[
    "#cloud-config\n",
    "#cloud-config-archive\n",
    "#cloud-config-jsonp\n",
    "## template: jinja\n",
    "#include\n",
    "#cloud-boothook\n",
    "#!/bin/sh\n",
    "MIME-Version: 1.0\n",
    "Content-Type: multipart/mixed; boundary=b\n\n--b\n",
    "--b--\n",
    "Content-Transfer-Encoding: base64\n",
    "quoted-printable",
    "{{ v1.x }}",
    "{% for i in range(9) %}",
    "&a [*a]",
    "<<: ",
    "- ",
    ": ",
    "|\n  ",
    "\"\\u0000\"",
    "'",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{e4}",
    "0644",
    "12:30:45",
    "merge_how: list(append)\n",
    "write_files: ",
    "mounts: ",
    "fs_setup: ",
    "users: ",
    "layout: ",
    "null",
    "{",
    "}",
    "[",
    "]",
];

fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let (at, end) = (random.below(data.len() + 1), random.below(data.len() + 1));
        let (at, end) = (at.min(end), at.max(end));
        match random.below(7) {
            0 => data.truncate(at),
            1 => drop(data.drain(at..end.min(at + 40))),
            2 => drop(data.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
            3 => {
                let piece = data[at..end.min(at + 200)].to_vec();
                drop(data.splice(at..at, piece));
            }
            4 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                drop(data.splice(at..end, other[from..].iter().copied().take(400)));
            }
            5 => data.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << random.below(8)),
            _ => data.insert(at, random.below(256) as u8),
        }
    }
    data
}

#[test]
fn decoders_survive_mutated_input() {
    let mut corpus = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/userdata/golden");
    let mut dirs: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    for dir in dirs {
        corpus.extend(["user-data", "vendor-data"].iter().filter_map(|name| fs::read(dir.join(name)).ok()));
    }
    assert!(corpus.len() > 15);
    let runs: usize = std::env::var("FUZZ_RUNS").map_or(2000, |n| n.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for run in 0..runs {
        let data = mutated(&corpus, &mut random);
        let start = Instant::now();
        let result = std::panic::catch_unwind(|| targets::fuzz_target(&data));
        assert!(result.is_ok(), "run {run} panics on {:?}", String::from_utf8_lossy(&data));
        // Without optimisation, beside other tests: a tenth of it is what users see.
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "run {run} takes {took:?}: {:?}",
            String::from_utf8_lossy(&data)
        );
    }
}
