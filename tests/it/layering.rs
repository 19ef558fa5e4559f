// SPDX-License-Identifier: Apache-2.0
//! House rules that no compiler holds: which module may know which, where the machine is touched, and what a source
//! file looks like.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom up, and what each may use. A row names only rows before it, so imports point one way.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("decode", &["model"]),
    ("plan", &["model"]),
    ("io", &["model"]),
    ("platform", &["decode", "io", "model"]),
    // Which links enable a unit is the plan's to say.
    ("apply", &["io", "model", "plan"]),
    ("diagnosis", &["model"]),
    // The rest of a node is a plan, made by the same hands; what upstream signs is read by a decoder.
    ("bake", &["apply", "decode", "io", "model", "plan"]),
    ("pipeline", &["apply", "bake", "decode", "diagnosis", "io", "model", "plan", "platform"]),
    ("cli", &[]),
    ("log", &["io"]),
    (
        "commands",
        &["apply", "bake", "cli", "decode", "diagnosis", "io", "model", "pipeline", "plan", "platform"],
    ),
    // What tests see of the program.
    ("facade", &["apply", "bake", "cli", "decode", "io", "model", "pipeline", "plan", "platform"]),
    ("run", &["cli", "commands", "io", "log", "model"]),
    ("main", &["run"]),
];

/// What touches the machine, and so stands in `src/io` only.
const HANDS: &[&str] = &[
    "libc::",
    "nix::",
    "reqwest::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "std::process::Command",
    "tokio::",
    "unsafe ",
    "zbus::",
];

/// Words that say that something is not done. They have no place in comments either.
const LEFT: &[&str] = &["FIXME", "TODO", "XXX"];

/// What has no place in the product: each ends the process, printing where nobody reads any more, or says that something is not done.
const UNFINISHED: &[&str] = &[
    ".expect(",
    ".unwrap()",
    "dbg!(",
    "panic!(",
    "print!(",
    "println!(",
    "process::exit",
    "todo!(",
    "unimplemented!(",
    "unreachable!(",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory of the repository whose name ends so.
fn files(dir: &str, ending: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join(dir), &mut found);
    found.retain(|p| p.to_str().unwrap().ends_with(ending));
    found.sort();
    found
}

/// A source file of the product without comments and tests: its path below `src`, and its lines with their numbers.
struct Source {
    path: String,
    lines: Vec<(usize, String)>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let product = text.split("\n#[cfg(test)]").next().unwrap();
        let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        let lines = product.lines().enumerate().map(|(i, l)| (i + 1, code(l))).collect();
        let path = path.strip_prefix(repository().join("src")).unwrap().to_str().unwrap().to_owned();
        Self { path, lines }
    }

    /// The module at the crate's top that it belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Where any of these words stand.
    fn holds(&self, words: &[&str]) -> Vec<String> {
        let hits = |(number, line): &(usize, String)| {
            let word = words.iter().find(|w| line.contains(**w))?;
            Some(format!("src/{}:{number}: {word}", self.path))
        };
        self.lines.iter().filter_map(hits).collect()
    }
}

fn product() -> Vec<Source> {
    // Unit tests that have a file of their own are no part of it.
    let files = files("src", ".rs").into_iter().filter(|p| !p.ends_with("tests.rs"));
    let sources: Vec<Source> = files.map(|p| Source::read(&p)).collect();
    assert!(sources.len() > 30, "where is the product?");
    sources
}

/// The names behind each `crate::` or `footplate::`.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    let after = |mark: &'static str| line.match_indices(mark).map(move |(at, _)| &line[at + mark.len()..]);
    let name = |rest: &str| rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
    after("crate::")
        .chain(after("footplate::"))
        .map(move |rest| &rest[..name(rest)])
        .filter(|n| !n.is_empty())
}

#[test]
fn imports_point_one_way() {
    for (number, (module, may)) in LAYERS.iter().enumerate() {
        for used in *may {
            assert!(
                LAYERS[..number].iter().any(|(m, _)| m == used),
                "{module} may use {used}, which is not below it"
            );
        }
    }
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for source in product().iter().filter(|s| s.module() != "lib") {
        let module = source.module();
        let Some((_, may)) = LAYERS.iter().find(|(m, _)| *m == module) else {
            wrong.push(format!("src/{}: the module {module} has no row in LAYERS", source.path));
            continue;
        };
        for (number, line) in &source.lines {
            for used in imports(line).filter(|u| *u != module) {
                seen.insert((module.to_owned(), used.to_owned()));
                if !may.contains(&used) {
                    wrong.push(format!("src/{}:{number}: {module} may not use {used}", source.path));
                }
            }
        }
    }
    assert!(seen.len() > 20, "imports are not found as they are written: {seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_io_touches_the_machine() {
    let (inside, outside): (Vec<Source>, Vec<Source>) =
        product().into_iter().partition(|s| s.module() == "io");
    let wrong: Vec<String> = outside.iter().flat_map(|s| s.holds(HANDS)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(inside.iter().any(|s| !s.holds(HANDS).is_empty()), "io touches nothing");
}

#[test]
fn nothing_is_unfinished() {
    let wrong: Vec<String> = product().iter().flat_map(|s| s.holds(UNFINISHED)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // In comments too.
    for path in files("src", ".rs") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!LEFT.iter().any(|word| text.contains(word)), "{}", path.display());
    }
}

#[test]
fn every_source_file_says_its_licence() {
    let mut sources: Vec<PathBuf> = Vec::new();
    for dir in ["src", "tests", "examples", "benches"] {
        sources.extend(files(dir, ".rs"));
    }
    for ending in [".service", ".conf"] {
        sources.extend(files("units", ending));
    }
    for path in sources {
        let first = fs::read_to_string(&path).unwrap().lines().next().unwrap_or_default().to_owned();
        assert!(first.ends_with(" SPDX-License-Identifier: Apache-2.0"), "{}: {first}", path.display());
    }
}

/// Turns of phrase that only a native speaker follows, and that are gone: a message says what was found, where, and what to do.
const RIDDLES: &[&str] = &[
    "as far as it has ears",
    "as it shall be",
    "as they shall be",
    "exit codes: 0 well",
    "has not run there",
    "is no absolute",
    "is no base64",
    "is no directory",
    "is no file",
    "is no host name",
    "is no https",
    "is no json",
    "is no link",
    "is no place",
    "is no regular file",
    "is no relative",
    "is no version",
    "is nobody's",
    "none the worse",
    "on the word of",
    "there is no such program",
];

#[test]
fn what_is_said_is_plain() {
    for path in files("src", ".rs") {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        for riddle in RIDDLES {
            assert!(!text.contains(riddle), "{}: {riddle:?}", path.display());
        }
    }
}

/// Lines that a file of the product may have, and a function.
const LONGEST_FILE: usize = 450;
const LONGEST_FUNCTION: usize = 70;

/// Files that are longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that are longer, each with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// The functions of a file as rustfmt writes them: name and number of lines.
fn functions(text: &str) -> Vec<(String, usize)> {
    const BEFORE: &[&str] = &["async", "const", "extern", "pub", "unsafe"];
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str| {
        let (before, rest) = line.split_once("fn ")?;
        let known = |w: &str| w.starts_with('"') || BEFORE.iter().any(|b| w.split('(').next() == Some(b));
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        before.split_whitespace().all(known).then(|| name.to_owned())
    };
    let length = |at: usize| {
        let end = format!("{}}}", &lines[at][..lines[at].len() - lines[at].trim_start().len()]);
        lines[at..].iter().position(|l| *l == end || (*l == lines[at] && l.ends_with(['}', ';']))).unwrap()
            + 1
    };
    let found = lines.iter().enumerate().filter_map(|(at, line)| Some((begins(line)?, at)));
    found.map(|(name, at)| (name, length(at))).collect()
}

/// Long ones are read by nobody to the end. An exception that is not needed any more must go.
#[test]
fn files_and_functions_are_short() {
    let (mut files_found, mut functions_found, mut count) = (BTreeSet::new(), BTreeSet::new(), 0);
    for path in files("src", ".rs") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(repository().join("src")).unwrap().to_str().unwrap();
        if text.lines().count() > LONGEST_FILE {
            files_found.insert(name.to_owned());
        }
        for (function, length) in functions(&text) {
            count += 1;
            if length > LONGEST_FUNCTION {
                functions_found.insert(format!("{name}: {function}"));
            }
        }
    }
    assert!(count > 1000, "functions are not found as they are written: {count}");
    let named = |exceptions: &[(&str, &str)]| exceptions.iter().map(|(n, _)| (*n).to_owned()).collect();
    assert_eq!(files_found, named(LONG_FILES), "more than {LONGEST_FILE} lines, against LONG_FILES");
    assert_eq!(
        functions_found,
        named(LONG_FUNCTIONS),
        "more than {LONGEST_FUNCTION} lines, against LONG_FUNCTIONS"
    );
}

/// Lines of code that a platform may have, without its imports and the names that it lists for templates. One that has more does
/// itself what others do too, and what they share is missing.
const LARGEST_PLATFORM: usize = 90;

/// Platforms with more, each with the reason. Those that are folders have more too.
const LARGE_PLATFORMS: &[(&str, &str)] = &[
    ("gcp", "its tree comes whole or in parts; keys of two scopes; guest attributes"),
    ("hetzner", "its networks are in two documents of two shapes, in YAML that not every reader takes"),
    ("nocloud", "drives, directories and servers, each of which may name another one"),
    ("openstack", "a drive, or a service with documents of two shapes"),
    ("packet", "bonds, and Tinkerbell's two shapes of the service"),
];

#[test]
fn a_platform_is_small() {
    let (mut large, mut count) = (BTreeSet::new(), 0);
    for source in product() {
        let Some(name) = source.path.strip_prefix("platform/").and_then(|p| p.strip_suffix(".rs")) else {
            continue;
        };
        let is_platform = source.lines.iter().any(|(_, l)| l.contains("const PLATFORM: Platform = "));
        if name.contains('/') || !is_platform {
            continue;
        }
        let mut left_out = "";
        let code = source.lines.iter().map(|(_, line)| line.trim()).filter(|line| {
            if left_out.is_empty() {
                left_out = match line {
                    _ if line.starts_with("use ") => ";",
                    _ if line.starts_with("names: &[") => "],",
                    _ => return !line.is_empty(),
                };
            }
            if line.ends_with(left_out) {
                left_out = "";
            }
            false
        });
        count += 1;
        if code.count() > LARGEST_PLATFORM {
            large.insert(name.to_owned());
        }
    }
    assert!(count > 20, "platforms are not found as they are written: {count}");
    let named: BTreeSet<String> = LARGE_PLATFORMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(large, named, "more than {LARGEST_PLATFORM} lines of code, against LARGE_PLATFORMS");
}

/// Paths of the repository that the documents name.
#[test]
fn what_the_documents_name_is_there() {
    let mut documents = files("docs", ".md");
    for name in ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"] {
        documents.push(repository().join(name));
    }
    for dir in ["findings", "fuzz", "qemu-tests"] {
        documents.extend(files(dir, "README.md"));
    }
    let folders: BTreeSet<String> = fs::read_dir(repository())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| repository().join(name).is_dir() && name != "target")
        .collect();
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let beside = document.parent().unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|l| !l.is_empty() && !l.contains("://")) {
            assert!(beside.join(link).exists(), "{}: {link} is not there", document.display());
        }
        let words = text.split(|c: char| c.is_whitespace() || "`|()[],;\"'".contains(c));
        for word in words.map(|w| w.trim_end_matches(['.', ':', '/'])).filter(|w| w.contains('/')) {
            let (folder, rest) = word.split_once('/').unwrap();
            // A word in capitals stands for any name, and a star for many.
            let stands_for = rest.contains(['*', '{', '…', '$'])
                || rest.split(['/', '.']).any(|p| p.len() > 1 && p.chars().all(|c| c.is_ascii_uppercase()));
            if folders.contains(folder) && !stands_for && !MADE_BY_A_RUN.iter().any(|m| word.starts_with(m)) {
                count += 1;
                assert!(repository().join(word).exists(), "{}: {word} is not there", document.display());
            }
        }
    }
    assert!(count > 50, "paths are not found as they are written: {count}");
}

/// What git does not keep.
const MADE_BY_A_RUN: &[&str] = &["fuzz/artifacts", "qemu-tests/cache", "qemu-tests/out"];

/// Tables whose documentation calls them sorted.
#[test]
fn sorted_tables_are_sorted() {
    let mut tables = Vec::new();
    for path in files("src", ".rs") {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, l)| l.contains("const ") && l.contains(": &["))
        {
            let docs = lines[..at].iter().rev().take_while(|l| l.trim_start().starts_with("///"));
            if !docs.clone().any(|l| l.contains("sorted")) {
                continue;
            }
            // A row begins at the table's own indentation, perhaps with a bracket; its name is the first text from there on.
            let rows: Vec<&str> =
                lines[at + 1..].iter().copied().take_while(|l| !l.starts_with("];")).collect();
            let begins = |l: &str| l.strip_prefix("    ").is_some_and(|l| l.starts_with(['(', '"']));
            let name = |at: usize| rows[at..].iter().find_map(|l| l.split('"').nth(1));
            let names: Vec<&str> = (0..rows.len()).filter(|at| begins(rows[*at])).filter_map(name).collect();
            assert!(names.len() > 1, "{}: {line}: no rows found", path.display());
            assert!(names.is_sorted(), "{}: {line}: {names:?}", path.display());
            tables.push(line.to_string());
        }
    }
    assert!(tables.iter().any(|t| t.contains("KEYS")), "the keys of cloud-config are not among {tables:?}");
}

#[test]
fn platforms_are_sorted_and_each_known_by_one_id() {
    let ids: Vec<&str> = footplate::facade::platform::PLATFORMS.iter().map(|p| p.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

/// An ordering that nobody remembers the reason of can never be taken away.
#[test]
fn every_ordering_of_a_unit_has_its_reason() {
    const ORDERINGS: &[&str] = &[
        "After=",
        "Before=",
        "BindsTo=",
        "Conflicts=",
        "DefaultDependencies=",
        "PartOf=",
        "Requires=",
        "RequiresMountsFor=",
        "Requisite=",
        "Wants=",
    ];
    let mut units: Vec<PathBuf> = files("units", ".service");
    units.extend(files("units", ".conf"));
    assert!(!units.is_empty(), "where are the units?");
    for path in units {
        let text = fs::read_to_string(&path).unwrap();
        // What one comment introduces goes on to the next comment, section or empty line.
        let mut reason = false;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                reason = true;
            } else if line.is_empty() || line.starts_with('[') {
                reason = false;
            } else if ORDERINGS.iter().any(|o| line.starts_with(o)) {
                assert!(reason, "{}:{}: {line}: no comment above says why", path.display(), number + 1);
            }
        }
    }
}
