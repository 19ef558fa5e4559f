// SPDX-License-Identifier: Apache-2.0
//! The promises of docs/security.md and docs/promises.md: each names the tests that hold it, and these are there.

use std::fs;
use std::path::Path;

use crate::common::scratch::walk;

/// The words between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What is wrong with the name of a test, if anything.
fn wrong(name: &str) -> Option<String> {
    let holds = |path: &Path, what: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(what));
    let known = match name.strip_prefix("--lib ") {
        Some(module) => walk(Path::new("src")).iter().any(|path| {
            let named = path.with_extension("").components().any(|part| part.as_os_str() == module);
            named && holds(path, "#[test]")
        }),
        None if name.contains('=') => ["footplate", "footplate-network"]
            .iter()
            .all(|unit| holds(Path::new(&format!("units/{unit}.service")), name)),
        None if name.contains('/') => Path::new(name.split(' ').next().unwrap_or_default()).exists(),
        None => {
            let (module, function) = match name.rsplit_once("::") {
                Some((module, function)) => (module, format!("#[test]\nfn {function}(")),
                None => (name, "#[test]".to_owned()),
            };
            let dir = format!("tests/it/{}", module.replace("::", "/"));
            let file = format!("{dir}.rs");
            let parts = if Path::new(&dir).is_dir() { walk(Path::new(&dir)) } else { Vec::new() };
            holds(Path::new(&file), &function) || parts.iter().any(|path| holds(path, &function))
        }
    };
    (!known).then(|| format!("there is no test {name}"))
}

#[test]
fn each_promise_has_a_test_that_is_there() {
    let mut wrongs = Vec::new();
    for (page, least) in [("docs/security.md", 25), ("docs/promises.md", 60)] {
        let (mut promises, mut in_table) = (0, false);
        for line in fs::read_to_string(page).unwrap().lines() {
            in_table = line.starts_with('|') && (in_table || line.contains("| held by |"));
            if !in_table || line.contains("| held by |") || line.starts_with("| ---") {
                continue;
            }
            let tests = quoted(line.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap());
            promises += 1;
            if tests.is_empty() {
                wrongs.push(format!("{page}: no test is named: {line}"));
            }
            wrongs.extend(tests.into_iter().filter_map(wrong).map(|why| format!("{page}: {why}")));
        }
        assert!(promises > least, "{page}: only {promises} promises");
    }
    assert!(wrongs.is_empty(), "{wrongs:#?}");
    for none in ["no_such_test", "--lib none", "tests/none", "check::none", "check::findings"] {
        assert!(wrong(none).is_some(), "{none}");
    }
}
