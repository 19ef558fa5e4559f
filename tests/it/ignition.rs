// SPDX-License-Identifier: Apache-2.0
//! Golden folders: the input is an Ignition config, the output a whole tree and the problems found.
//!
//! `tests/ignition/golden/NAME/` holds `in.ign`; optionally `before/`, files that exist already; `tree`, all that exists
//! afterwards, a line for each path and the text of each file below it; `findings`, the decoder's problems; and `refused`,
//! the reason if the plan can't be applied. A folder whose name begins with `bad-` has an error and no tree.
//! `BLESS=1 cargo test --test it ignition::` writes them anew; read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use footplate::facade::apply;
use footplate::facade::decode::{self, Decoded, document::jinja::Variables};
use footplate::facade::io::root::Root;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::Plan;
use footplate::facade::model::problem::{Problem, Severity};
use footplate::facade::plan;

use crate::common::scratch::{self, is_list};
use crate::sealed;

fn read(text: &[u8]) -> Decoded {
    decode::user_data(Some(text), None, &Variables::assumed(), &mut decode::document::no_fetch)
}

fn said(problems: &[Problem]) -> String {
    let mut said = String::new();
    for problem in problems {
        let _ = writeln!(said, "{} {problem}", format!("{:?}", problem.severity).to_lowercase());
        if let Some(cure) = &problem.cure {
            let _ = writeln!(said, "    {cure}");
        }
    }
    said
}

/// A root with the accounts that every image has, and what the folder puts there. Each test names roots of its own: they run at once.
fn make_root(test: &str, dir: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test).join(dir.file_name().unwrap());
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
        if is_list(root, &path) {
            continue;
        }
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        let owner = format!("{}:{}", meta.uid(), meta.gid());
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

/// What stands in the way of a plan, a line each.
fn compared(plan: &Plan, root: &Root) -> anyhow::Result<()> {
    let lines =
        |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    apply::compare(plan, root).map(drop).map_err(|problems| anyhow::anyhow!(lines(&problems)))
}

/// What a folder must hold beside its input.
fn outcome(dir: &Path) -> BTreeMap<&'static str, String> {
    let decoded = read(&fs::read(dir.join("in.ign")).unwrap());
    let mut out = BTreeMap::from([("findings", said(&decoded.problems))]);
    if decoded.failed() {
        return out;
    }
    let plan =
        plan::node(&decoded.config, &Instance { instance_id: "i-1".to_owned(), ..Instance::default() });
    let scratch = make_root("ignition", dir);
    let image = sealed::copied(&scratch);
    let root = Root::open(&scratch, false).unwrap();
    let run = compared(&plan, &root).and_then(|()| apply::apply(&plan, &root, |_| {}));
    match run {
        Ok(_) => {
            out.insert("tree", tree(&scratch));
            // Once more: nothing is left to do.
            for outcome in apply::apply(&plan, &root, |_| {}).unwrap() {
                // Disks are the running machine's.
                let done = matches!(outcome.done, apply::Done::Unchanged | apply::Done::LeftOut);
                assert!(done, "{}: {}", dir.display(), outcome.what);
            }
            sealed::nothing_is_left(&dir.display().to_string(), &image, &scratch);
        }
        Err(error) => {
            out.insert("refused", format!("{error:#}\n"));
        }
    }
    out
}

#[test]
fn configs_make_the_trees_that_they_say() {
    needs!(root("files have owners"));
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

/// What a machine with such data is captured with makes the same plan elsewhere: directories, links, partitions, and what
/// enables units too.
#[test]
fn a_capture_makes_the_plan_that_its_data_makes() {
    needs!(root("files have owners"));
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for dir in fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()) {
        let name = dir.file_name().unwrap().to_str().unwrap();
        if name.starts_with("bad-") {
            continue;
        }
        let root = make_root("ignition-captured", &dir);
        let seed = scratch::seed(&format!("captured-{name}"), fs::read(dir.join("in.ign")).unwrap());
        let bundle = root.with_extension("bundle");
        let _ = fs::remove_dir_all(&bundle);
        let plan = |words: &[&str]| {
            let fixed = ["plan", "--format", "json", "--root", root.to_str().unwrap()];
            let plan = scratch::footplate(&[&fixed, words].concat());
            assert!(plan.code == 0 || plan.code == 2, "{name}: {}", plan.err);
            let plan = plan.json();
            let of = |item: &serde_json::Value| {
                let mut item = item.clone();
                // Whether a file has what the data wants is not to be known without its content.
                if item["kind"] == "file" && item["action"] == "unchanged" {
                    item["action"] = "change".into();
                }
                let fields = ["kind", "path", "mode", "owner", "action"].map(|field| &item[field]);
                let word = if item["kind"] == "unit" { &item["detail"] } else { &serde_json::Value::Null };
                format!("{}", serde_json::json!([fields, word]))
            };
            let mut items: Vec<String> = plan["items"].as_array().unwrap().iter().map(of).collect();
            items.sort();
            (items.join("\n") + "\n", plan["start"].clone())
        };
        let seed = seed.to_str().unwrap();
        let was = plan(&["--seed", seed]);
        scratch::footplate(&["capture", bundle.to_str().unwrap(), "--seed", seed]).ended(0, &[]);
        let is = plan(&["--replay", bundle.to_str().unwrap()]);
        if was != is {
            wrong.push(format!("{name}: {} {}\n{}", was.1, is.1, scratch::difference(&was.0, &is.0)));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 20, "{compared}");
}

#[test]
fn no_finding_quotes_the_config() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    for dir in fs::read_dir(golden).unwrap().map(|e| e.unwrap().path()) {
        let decoded = read(&fs::read(dir.join("in.ign")).unwrap());
        for problem in &decoded.problems {
            assert!(!problem.to_string().contains("canary"), "{}: {problem}", dir.display());
        }
        // An error in the user's own text has its place there.
        for problem in decoded.problems.iter().filter(|f| f.severity == Severity::Error) {
            let of_another = problem.place.contains(": ") || problem.what.contains("of that config");
            assert!(problem.pos.is_some() || of_another, "{}: {problem}", dir.display());
        }
    }
}

// Hostile configs

#[test]
fn a_config_that_names_itself_is_told_so() {
    let mut asked = 0;
    let loop_ =
        br#"{"ignition": {"version": "3.4.0", "config": {"merge": [{"source": "https://x.example/c"}]}}}"#;
    let decoded = decode::user_data(Some(loop_), None, &Variables::assumed(), &mut |_| {
        asked += 1;
        Ok(Some(loop_.to_vec()))
    });
    assert!(said(&decoded.problems).contains("this config names itself"), "{}", said(&decoded.problems));
    assert_eq!(asked, 1);
    // Each a little different: the depth ends it.
    let mut number = 0;
    let decoded = decode::user_data(Some(loop_), None, &Variables::assumed(), &mut |_| {
        number += 1;
        let next = format!("https://x.example/{number}");
        Ok(Some(String::from_utf8_lossy(loop_).replace("https://x.example/c", &next).into_bytes()))
    });
    assert!(said(&decoded.problems).contains("more than 8 deep"), "{}", said(&decoded.problems));
    assert!(number <= 9, "{number}");
}

#[test]
fn what_is_fetched_is_asked_for_once_with_its_headers_and_options() {
    let config = br#"{"ignition": {"version": "3.4.0", "timeouts": {"httpTotal": 7},
        "proxy": {"httpsProxy": "http://p.example", "noProxy": ["10.0.0.0/8"]}},
      "storage": {"files": [
        {"path": "/a", "contents": {"source": "https://u:pw@x.example/f?sig=canary", "httpHeaders": [{"name": "A", "value": "canary"}]}},
        {"path": "/b", "contents": {"source": "https://u:pw@x.example/f?sig=canary", "httpHeaders": [{"name": "A", "value": "canary"}]}},
        {"path": "/c", "contents": {"source": "s3://bucket/key"}}]}}"#;
    let mut asked = Vec::new();
    let decoded = decode::user_data(Some(config), None, &Variables::assumed(), &mut |request| {
        asked.push(request.clone());
        if request.host().starts_with("s3") { Err("no credentials".into()) } else { Ok(Some(b"x".to_vec())) }
    });
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].options.total, Some(7));
    assert_eq!(asked[0].options.no_proxy, ["10.0.0.0/8"]);
    assert_eq!(asked[0].headers[0].0, "A");
    assert_eq!(decoded.config.files[1].content.expose(), b"x");
    let said = said(&decoded.problems);
    assert!(said.contains("s3://bucket was not fetched: no credentials"), "{said}");
    assert!(!said.contains("canary") && !said.contains("pw"), "{said}");
    // Away from the machine nothing is asked, and that is no fault of the config.
    let there = read(config);
    assert!(!there.failed());
    assert!(self::said(&there.problems).contains("only the node fetches this from https://x.example"));
}

#[test]
fn contents_are_bounded_in_all() {
    let file = |i: usize, bytes: usize| {
        format!(r#"{{"path": "/f{i}", "contents": {{"source": "data:,{}"}}}}"#, "x".repeat(bytes))
    };
    let config = |files: Vec<String>| {
        format!(r#"{{"ignition": {{"version": "3.4.0"}}, "storage": {{"files": [{}]}}}}"#, files.join(","))
    };
    for files in [vec![file(0, 64 << 20)], (0..9).map(|i| file(i, 4 << 20)).collect()] {
        // The data as it travels may be no larger; a decoder that is asked all the same holds its bound.
        let start = std::time::Instant::now();
        let decoded =
            footplate::facade::decode::ignition::decode(&config(files), &mut decode::document::no_fetch);
        assert!(said(&decoded.problems).contains("more than 32 MiB in all"), "{}", said(&decoded.problems));
        // Wide: other tests run beside it.
        assert!(start.elapsed().as_secs() < 120, "{:?}", start.elapsed());
    }
    // Values of a fetched file count too.
    let fetched = br#"{"ignition": {"version": "3.4.0"}, "storage": {"files": [
        {"path": "/a", "contents": {"source": "https://x.example/a"}}, {"path": "/b", "contents": {"source": "https://x.example/b"}}]}}"#;
    let decoded =
        decode::user_data(Some(fetched), None, &Variables::assumed(), &mut |_| Ok(Some(vec![0; 20 << 20])));
    assert!(said(&decoded.problems).contains("more than 32 MiB in all"), "{}", said(&decoded.problems));
}

// Ignition beside cloud-config

fn mixed(parts: &[(&str, &str)]) -> Decoded {
    let mut text = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n".to_owned();
    for (kind, part) in parts {
        let _ = write!(text, "--b\nContent-Type: {kind}\n\n{part}\n");
    }
    read((text + "--b--\n").as_bytes())
}

const PART: &str = "application/vnd.coreos.ignition+json";

#[test]
fn ignition_and_cloud_config_in_one_document_are_one_plan() {
    let cloud = "#cloud-config\nwrite_files: [{path: /etc/a, content: a}]\nusers: [{name: anna}]\n";
    let ignition = r#"{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/etc/b"}]}}"#;
    let decoded = mixed(&[("text/cloud-config", cloud), (PART, ignition)]);
    assert_eq!(said(&decoded.problems), "");
    let paths: Vec<&str> = decoded.config.files.iter().map(|f| &*f.path).collect();
    assert_eq!((paths.as_slice(), decoded.config.users.len()), (["/etc/a", "/etc/b"].as_slice(), 1));
}

#[test]
fn what_two_parts_say_of_one_thing_is_an_error_that_names_both() {
    let cases = [
        (
            "#cloud-config\nwrite_files: [{path: /etc/a}]\n",
            r#""storage": {"links": [{"path": "/etc/a", "target": "b"}]}"#,
            "part 2 (application/vnd.coreos.ignition+json): storage.links[0]: /etc/a: part 1 (text/cloud-config): write_files[0]",
        ),
        (
            "#cloud-config\nusers: [{name: anna}]\n",
            r#""passwd": {"users": [{"name": "anna"}]}"#,
            "passwd.users[0]: the user anna: part 1 (text/cloud-config): users[0]",
        ),
        (
            "#cloud-config\nruncmd: [kubeadm join]\n",
            r#""systemd": {"units": [{"name": "kubeadm.service", "contents": "[Service]\nExecStart=/bin/true"}]}"#,
            "systemd.units[0]: /etc/systemd/system/kubeadm.service: part 1 (text/cloud-config): runcmd",
        ),
    ];
    for (cloud, ignition, says) in cases {
        let ignition = format!(r#"{{"ignition": {{"version": "3.4.0"}}, {ignition}}}"#);
        let decoded = mixed(&[("text/cloud-config", cloud), (PART, &ignition)]);
        assert!(decoded.failed());
        assert!(said(&decoded.problems).contains(says), "{}", said(&decoded.problems));
    }
    // A problem of a part has its place in the whole.
    let decoded = mixed(&[(PART, "{\"ignition\": {\"version\": \"3.4.0\"},\n \"storage\": 1}")]);
    assert!(
        said(&decoded.problems).contains("storage: must be a mapping, this is a number (line 8, column 13)"),
        "{}",
        said(&decoded.problems)
    );
}

// Any bytes

/// A linear congruential generator: the same bytes on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }
}

/// Changes some of a text: bytes, pieces taken out, doubled or moved, tokens of the format put in.
fn mutate(text: &[u8], dice: &mut Dice) -> Vec<u8> {
    const TOKENS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "null",
        "true",
        "-1",
        "1e9",
        "4095",
        "\"\"",
        "\\ud800",
        "data:,%",
        "data:;base64,",
        "\"source\":",
        "\"path\":\"/\"",
        "/..",
        "3.1.0",
        "2.3.0",
        "sha512-",
        "\u{0}",
        "\u{feff}",
        "\u{10ffff}",
    ];
    let mut bytes = text.to_vec();
    for _ in 0..=dice.roll(4) {
        let (at, to) = (dice.roll(bytes.len()), dice.roll(bytes.len()));
        let (from, until) = (at.min(to), at.max(to).min(at.min(to) + 64));
        match dice.roll(5) {
            0 if !bytes.is_empty() => bytes[at] = dice.roll(256) as u8,
            1 => drop(bytes.drain(from..until)),
            2 => {
                let piece = bytes[from..until].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, TOKENS[dice.roll(TOKENS.len())].bytes())),
        }
    }
    bytes
}

#[test]
fn no_bytes_make_the_decoder_panic_or_linger() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    let seeds: Vec<Vec<u8>> =
        fs::read_dir(golden).unwrap().map(|e| fs::read(e.unwrap().path().join("in.ign")).unwrap()).collect();
    let mut dice = Dice(1);
    let start = std::time::Instant::now();
    for round in 0..20_000 {
        let seed = &seeds[dice.roll(seeds.len())];
        if seed.len() > 16 << 10 {
            continue;
        }
        let bytes = mutate(seed, &mut dice);
        let text = String::from_utf8_lossy(&bytes);
        let one = std::time::Instant::now();
        let decoded = decode::ignition::decode(&text, &mut decode::document::no_fetch);
        assert!(one.elapsed().as_secs() < 2, "round {round}: {:?}", one.elapsed());
        if !decoded.failed() {
            // What is accepted can be planned, and no path of it leads up.
            let plan = plan::node(&decoded.config, &Instance::default());
            for item in &plan.items {
                if let footplate::facade::model::plan::Item::File(file) = item {
                    assert!(
                        file.path.starts_with('/') && !file.path.split('/').any(|p| p == ".."),
                        "{}",
                        file.path
                    );
                }
            }
        }
    }
    assert!(start.elapsed().as_secs() < 300);
}
