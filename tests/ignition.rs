// SPDX-License-Identifier: Apache-2.0
//! Golden folders: an Ignition config in, a whole tree and what was found out.
//!
//! `tests/ignition/golden/NAME/` holds `in.ign`; perhaps `before/`, files that are there already; `tree`, what stands
//! where afterwards, a line for each thing and the text of each file below it; and `findings`. A folder whose name begins
//! with `bad-` has an error and no tree. `BLESS=1 cargo test --test ignition` writes them anew; read the difference.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use footplate::apply;
use footplate::decode::{self, Decoded, jinja::Variables};
use footplate::io::root::Root;
use footplate::model::finding::{Finding, Level};
use footplate::model::instance::Instance;
use footplate::plan;

fn read(text: &[u8]) -> Decoded {
    decode::user_data(Some(text), None, &Variables::assumed(), &mut decode::document::no_fetch)
}

fn said(findings: &[Finding]) -> String {
    let mut said = String::new();
    for finding in findings {
        let _ = writeln!(said, "{} {finding}", format!("{:?}", finding.level).to_lowercase());
        if let Some(hint) = &finding.hint {
            let _ = writeln!(said, "    {hint}");
        }
    }
    said
}

/// A root with the accounts that every image has, and what the folder puts there.
fn make_root(dir: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ignition").join(dir.file_name().unwrap());
    let _ = fs::remove_dir_all(&root);
    let etc = root.join("etc");
    fs::create_dir_all(&etc).unwrap();
    fs::write(
        etc.join("passwd"),
        "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:Core:/home/core:/bin/bash\n",
    )
    .unwrap();
    fs::write(etc.join("group"), "root:x:0:\nwheel:x:10:\nusers:x:100:\ndocker:x:233:\ncore:x:500:\n")
        .unwrap();
    fs::write(etc.join("shadow"), "root:*:::::::\ncore:*:::::::\n").unwrap();
    fs::set_permissions(etc.join("shadow"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = dir.join("before");
    if before.is_dir() {
        copy(&before, &root);
    }
    root
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else if entry.path().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Everything below a root: kind, bits, owner, path; the text of files indented below. Owners are seen by root only.
fn tree(root: &Path) -> String {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    walk(root, root, &mut lines, &mut names);
    lines.into_values().collect()
}

fn walk(root: &Path, dir: &Path, lines: &mut BTreeMap<String, String>, names: &mut BTreeMap<u64, String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        let owner = if nix::unistd::geteuid().is_root() {
            format!("{}:{}", meta.uid(), meta.gid())
        } else {
            "-".to_owned()
        };
        let head = format!("{:04o} {owner} {name}", meta.permissions().mode() & 0o7777);
        let text = if meta.is_symlink() {
            format!("link {owner} {name} -> {}\n", fs::read_link(&path).unwrap().display())
        } else if meta.is_dir() {
            walk(root, &path, lines, names);
            format!("dir  {head}\n")
        } else if let Some(first) = names.get(&meta.ino()).filter(|_| meta.nlink() > 1) {
            format!("hard {head} = {first}\n")
        } else {
            names.insert(meta.ino(), name.clone());
            let bytes = fs::read(&path).unwrap();
            let body: String = match String::from_utf8(bytes) {
                Ok(text) => text.lines().map(|l| format!("    |{l}\n")).collect(),
                Err(e) => format!("    {} bytes\n", e.as_bytes().len()),
            };
            format!("file {head}\n{body}")
        };
        lines.insert(name, text);
    }
}

/// What a folder must hold beside its input.
fn outcome(dir: &Path) -> BTreeMap<&'static str, String> {
    let decoded = read(&fs::read(dir.join("in.ign")).unwrap());
    let mut out = BTreeMap::from([("findings", said(&decoded.findings))]);
    if decoded.failed() {
        return out;
    }
    let plan =
        plan::node(&decoded.config, &Instance { instance_id: "i-1".to_owned(), ..Instance::default() });
    let scratch = make_root(dir);
    let root = Root::open(&scratch, false).unwrap();
    let run = apply::compare(&plan, &root).and_then(|_| apply::apply(&plan, &root, |_| {}));
    match run {
        Ok(_) => {
            out.insert("tree", tree(&scratch));
            // Once more: nothing is left to do.
            for outcome in apply::apply(&plan, &root, |_| {}).unwrap() {
                assert_eq!(outcome.done, apply::Done::Unchanged, "{}: {}", dir.display(), outcome.what);
            }
        }
        Err(error) => {
            out.insert("refused", format!("{error:#}\n"));
        }
    }
    out
}

#[test]
fn configs_make_the_trees_that_they_say() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    let bless = std::env::var_os("BLESS").is_some();
    let mut dirs: Vec<PathBuf> = fs::read_dir(golden).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    assert!(!dirs.is_empty());
    let mut wrong = Vec::new();
    for dir in dirs {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let out = outcome(&dir);
        assert_eq!(name.starts_with("bad-"), !out.contains_key("tree"), "{name}: {out:?}");
        for file in ["findings", "tree", "refused"] {
            let (path, text) = (dir.join(file), out.get(file).cloned().unwrap_or_default());
            if fs::read_to_string(&path).unwrap_or_default() == text {
                continue;
            }
            match (bless, text.is_empty()) {
                (true, true) => fs::remove_file(&path).unwrap(),
                (true, false) => fs::write(&path, &text).unwrap(),
                (false, _) => wrong.push(format!("{name}/{file}:\n{text}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_finding_quotes_the_config() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    for dir in fs::read_dir(golden).unwrap().map(|e| e.unwrap().path()) {
        let decoded = read(&fs::read(dir.join("in.ign")).unwrap());
        for finding in &decoded.findings {
            assert!(!finding.to_string().contains("canary"), "{}: {finding}", dir.display());
        }
        // An error in the user's own text has its place there.
        for finding in decoded.findings.iter().filter(|f| f.level == Level::Error) {
            let of_another = finding.place.contains(": ") || finding.what.contains("of that config");
            assert!(finding.pos.is_some() || of_another, "{}: {finding}", dir.display());
        }
    }
}
