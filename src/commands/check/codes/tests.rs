// SPDX-License-Identifier: Apache-2.0
//! The table of codes, its page, and what each stands for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::model::problem::Stage;
use crate::model::status::Status;

/// The end of `docs/check.md` is made of the table: `BLESS=1` writes it.
#[test]
fn the_page_ends_with_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/check.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, _) = page.split_once("## Codes\n").unwrap();
    let section =
        |code: &Code| format!("\n### `{}`\n\n{}\n\nWhat to do: {}\n", code.name, code.means, code.cure);
    let now = format!("{head}## Codes\n{}", CODES.iter().map(section).collect::<String>());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let help =
        "docs/check.md is not what the table says: BLESS=1 cargo test --lib the_page_ends_with_the_table";
    assert!(std::env::var_os("BLESS").is_some() || page == now, "{help}");
}

#[test]
fn each_code_is_there_once() {
    let names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    let names: Vec<String> = all().into_iter().map(|code| code.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

/// What stands in the source as a code does, and is another name: media types, and questions to metadata services.
const NO_CODES: &[&str] =
    &["application", "instance", "message", "openstack", "placement", "support", "text"];

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether a text is a code.
fn is_code(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(kind, name)| is_name(kind) && is_name(name) && !NO_CODES.contains(&kind))
}

/// The texts of the product that are codes, each with its file.
fn told() -> Vec<(String, String)> {
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut told = Vec::new();
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let file = path.display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
            if !file.ends_with(".rs") || file.ends_with("tests.rs") {
                continue;
            }
            for line in product.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let texts = line.split('"').skip(1).step_by(2);
                // `verify` makes the code of the kind of a check.
                if file.ends_with("bake/verify.rs") {
                    let call = line.split_once("checks.").and_then(|(_, call)| call.split_once("(\""));
                    let kinds = call.and_then(|(_, kind)| kind.split('"').next()).into_iter();
                    let kinds = kinds.chain(texts.clone().filter(|_| line.contains("let kind =")));
                    let kinds = kinds.filter(|kind| is_name(kind));
                    told.extend(kinds.map(|kind| (format!("verify/{kind}"), file.clone())));
                }
                told.extend(texts.filter(|t| is_code(t)).map(|t| (t.to_owned(), file.clone())));
            }
        }
    }
    told
}

/// `check --explain` knows all codes, and docs/check.md and docs/diagnosis.md are made of what it knows.
#[test]
fn each_code_that_is_told_is_explained() {
    let names: BTreeSet<String> = all().into_iter().map(|code| code.name).collect();
    let mut told = told();
    assert!(told.len() > 150 && told.iter().any(|(code, _)| code == "verify/unit"), "{told:?}");
    use Stage::{Apply, Decode, Detect, Fetch, Kubeadm, Report, Start, Usage};
    for stage in [Usage, Detect, Fetch, Decode, Apply, Start, Kubeadm, Report] {
        let problems = vec![Problem::error("", "x")];
        let status = Status { failed: Some(stage), problems, ..Status::default() };
        told.push((status.code().unwrap(), "a stage".to_owned()));
    }
    let gaps: Vec<_> = told.iter().filter(|(code, _)| !names.contains(code)).collect();
    assert!(gaps.is_empty(), "these need a row in CODES, or in src/diagnosis/codes.rs: {gaps:#?}");
    // And each row has somebody who tells it.
    let once = |name: &&str| told.iter().filter(|(code, _)| code == name).count() == 1;
    let unused: Vec<&str> = CODES.iter().map(|code| code.name).filter(once).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn each_finding_has_a_code_that_is_explained() {
    for (place, what) in [
        ("write_files[0]", "x"),
        ("", "x"),
        ("storage.files[0]", "x"),
        ("a", "no effect"),
        ("a", "nothing to do"),
    ] {
        let mut problem = Problem::error(place, what);
        classify(&mut problem);
        assert!(CODES.iter().any(|code| code.name == problem.code), "{place} {what}");
        assert_eq!(problem.code == "key/no-effect", place == "a", "{what}");
    }
    let mut problem = Problem::error("write_files[0].owner", "the user does not exist").code("file/owner");
    classify(&mut problem);
    let cure = "correct the name, or make the user with `users` and the group with `groups`";
    assert_eq!(problem.cure.as_deref(), Some(cure));
    // What each finding has of its own, and what is only worth knowing, gets none.
    for mut problem in [Problem::error("a", "x"), Problem::note("a", "x").code("file/owner")] {
        classify(&mut problem);
        assert_eq!(problem.cure, None);
    }
}
