// SPDX-License-Identifier: Apache-2.0
//! All messages of the product in one table, for who reads them over: `cargo test --test it messages::` writes it to
//! `target/messages.txt`, a line for each text with its file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What makes a message of a text.
const MAKERS: &[&str] = &[
    "Problem::error(",
    "Problem::warning(",
    "Problem::note(",
    "anyhow!(",
    "bail!(",
    ".context(",
    ".cure(",
    "self.error(",
    "self.warn(",
    "self.note(",
    "log::error!(",
    "log::warn!(",
    "log::info!(",
    "refuse(",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The texts in the brackets that a text begins behind, as they are written.
fn texts(code: &str) -> Vec<String> {
    let (mut found, mut text, mut depth, mut escaped) = (Vec::new(), None::<String>, 1, false);
    for c in code.chars() {
        match (&mut text, c) {
            (Some(inner), _) if escaped => {
                escaped = false;
                inner.push(c);
            }
            (Some(_), '\\') => escaped = true,
            (Some(_), '"') => found.extend(text.take()),
            (Some(inner), c) => inner.push(c),
            (None, '"') => text = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

#[test]
fn all_messages_are_written_to_one_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut table = BTreeSet::new();
    for path in files {
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        for maker in MAKERS {
            for (at, _) in code.match_indices(maker) {
                for text in texts(&code[at + maker.len()..])
                    .iter()
                    .filter(|t| t.contains(' ') && t.chars().filter(|c| c.is_alphabetic()).count() > 3)
                {
                    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    // A message has no full stop: another text may stand behind it.
                    assert!(!text.ends_with('.'), "{name}: {text}");
                    table.insert(format!("{name}: {text}\n"));
                }
            }
        }
    }
    assert!(table.len() > 500, "messages are not found as they are written: {}", table.len());
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("messages.txt");
    fs::write(to, table.into_iter().collect::<String>()).unwrap();
}
