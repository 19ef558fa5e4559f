// SPDX-License-Identifier: Apache-2.0
//! The fuzz targets on inputs that a mutator makes of their corpora, the same ones in every run.
//! `FUZZ_RUNS=100000 cargo test --release --test it fuzz::` runs more of them.

use crate::common::random;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../../fuzz/targets.rs"]
mod targets;

use random::Rng;

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

fn mutated(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
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

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// What a target's inputs are made of: its seeds, and for all decoders together the golden folders.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus: Vec<Vec<u8>> =
        files(&here.join("fuzz/corpus").join(name)).iter().map(|f| fs::read(f).unwrap()).collect();
    assert!(!corpus.is_empty(), "{name} has no seed");
    if name == "user_data" {
        for dir in files(&here.join("tests/userdata/golden")) {
            corpus.extend(["user-data", "vendor-data"].iter().filter_map(|f| fs::read(dir.join(f)).ok()));
        }
        assert!(corpus.len() > 15, "the golden folders are not where they were");
    }
    corpus
}

/// Keeps an input that broke something, and says where.
fn kept(name: &str, data: &[u8]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts").join(name);
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("found-by-test");
    fs::write(&path, data).unwrap();
    path.display().to_string()
}

#[test]
fn decoders_survive_mutated_input() {
    let runs: usize = std::env::var("FUZZ_RUNS").map_or(1500, |n| n.parse().unwrap());
    for (name, target) in targets::TARGETS {
        let corpus = corpus(name);
        let mut random = Rng::new(1);
        // All decoders together are what users meet.
        for run in 0..if *name == "user_data" { runs * 4 } else { runs } {
            // The seeds themselves come first.
            let data = corpus.get(run).cloned().unwrap_or_else(|| mutated(&corpus, &mut random));
            let start = Instant::now();
            let result = std::panic::catch_unwind(|| target(&data));
            assert!(result.is_ok(), "{name}, run {run}, panics: {}", kept(name, &data));
            // Without optimisation, beside other tests: a tenth of it is what users see.
            let took = start.elapsed();
            assert!(
                took < Duration::from_secs(20),
                "{name}, run {run}, takes {took:?}: {}",
                kept(name, &data)
            );
        }
    }
}

#[test]
fn every_target_has_its_program() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let bins: Vec<&str> =
        manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|bin| bin.split('"').next()).collect();
    let targets: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(bins, targets);
}
