// SPDX-License-Identifier: Apache-2.0
//! What the documents say beside `docs/images.md`: the names in templates are those that recorded machines have, commands are ones that
//! there are, those that need no machine run, and the units name pages. `BLESS=1` writes `docs/templates.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use footplate::facade::platform::PLATFORMS;
use serde_json::Value;

use crate::bake::image::Image;
use crate::common::imds;
use crate::common::sandbox::Sandbox;
use crate::common::scratch::{FOOTPLATE, Ran, command, footplate, fresh};
use crate::common::server::Server;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(repository().join("docs")).unwrap().map(|e| e.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    pages.push(repository().join("README.md"));
    pages.sort();
    pages
}

/// The code of a page: its lines, those that a backslash continues as one, and what stands within its text.
fn lines(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap().replace("\\\n", " ");
    let code = |line: &str| match line.strip_prefix("    ") {
        Some(line) => vec![line.trim().to_owned()],
        None => line.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
    };
    text.lines().flat_map(code).collect()
}

/// footplate's own words in a line, each call by itself.
fn calls(line: &str) -> impl Iterator<Item = Vec<&str>> {
    line.split(['|', ';', '&']).filter_map(|part| {
        let part = part.split(" #").next().unwrap_or_default();
        // What stands before it: variables, and the keys of a pipeline's YAML.
        let before = |w: &&str| w.contains('=') || ["sudo", "-", "run:", "entry:"].contains(w);
        let mut words = part.split_whitespace().skip_while(before);
        (words.next() == Some("footplate")).then(|| words.collect())
    })
}

/// Each command and each option that a page names is one that footplate has.
#[test]
fn commands_in_the_documents_are_there() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for page in pages() {
        for line in lines(&page) {
            for words in calls(&line) {
                let named =
                    |w: &&&str| w.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !w.starts_with('-');
                let mut command: Vec<&str> = words.iter().take_while(named).copied().take(2).collect();
                if !matches!(command.first(), Some(&("bake" | "render"))) {
                    command.truncate(1);
                }
                if command.is_empty() {
                    continue;
                }
                let help = helps.entry(command.join(" ")).or_insert_with(|| {
                    let mut args = command.clone();
                    args.push("--help");
                    footplate(&args).ended(0, &[]).out.clone()
                });
                for word in words.iter().filter(|w| w.starts_with("--") && w.len() > 2) {
                    let option: String =
                        word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                    assert!(help.contains(&option), "{}: {option} in `{line}`", page.display());
                    count += 1;
                }
                count += 1;
            }
        }
    }
    assert!(count > 90, "commands are not found as they are written: {count}");
}

/// What a documented command gets beside its own words here, and how it ends; `None` for one that needs what is not here: the network, a
/// machine of its own, or a node.
fn here(words: &[&str], root: &str, image: &str, machine: &str) -> Option<(Vec<String>, i32)> {
    let placeholder = |w: &&str| {
        w.starts_with('[')
            || w.contains(['…', '|'])
            || w.len() > 1 && w.chars().all(|c| c.is_ascii_uppercase())
    };
    if words.iter().skip(1).any(placeholder) {
        return None;
    }
    let (more, code): (&[&str], _) = match words {
        ["bake", "lock" | "sysext", ..] => return None,
        // What a lock names is taken from a directory.
        ["bake", ..] if words.contains(&"lock.json") => (&["--from", image], 0),
        ["verify" | "seal", ..] if words.contains(&"--root") => (&[], 0),
        // pre-commit puts the files behind it.
        ["check", "-q"] => (&["cluster.yaml"], 0),
        ["check", ..] => (&[], if words.len() > 1 { 0 } else { return None }),
        ["render", "network", "network.yaml"] | ["--version"] => (&[], 0),
        ["status" | "timeline" | "clean", ..] => (&["--root", root], 0),
        ["platforms" | "query" | "collect", ..] => (&["--replay", machine], 0),
        ["network"] => (&["--replay", machine, "--root", root], 0),
        ["plan", ..] => (&["--root", root], 2),
        _ => return None,
    };
    Some((more.iter().map(|word| (*word).to_owned()).collect(), code))
}

/// Commands of the documents do what they say, on files and a machine such as the pages speak of: those of a page one after the other.
#[test]
fn commands_that_need_no_machine_run() {
    needs!(root("a node's files have owners"));
    let dir = fresh("docs-commands");
    let repository = repository();
    let machine = repository.join("demo/vsphere-worker");
    let machine = machine.to_str().unwrap();
    let good = repository.join("tests/check/capv/good.yaml");
    let rke2 = repository.join("tests/check/rke2-objects/good.yaml");
    let secret = repository.join("tests/check/secret-plain/good.yaml");
    fs::create_dir(dir.join("clusters")).unwrap();
    for (from, to) in [(&good, "cluster.yaml"), (&good, "clusters/one.yaml"), (&rke2, "rke2.yaml")] {
        fs::copy(from, dir.join(to)).unwrap();
    }
    fs::write(dir.join("network.yaml"), "version: 2\nethernets:\n  eth0: {dhcp4: true}\n").unwrap();
    fs::write(dir.join("footplate.yaml"), "preflight: warn\n").unwrap();
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for page in pages() {
        let name = page.file_stem().unwrap().to_str().unwrap();
        // Its commands are those of a machine, in `bake::docs`.
        if name == "images" {
            continue;
        }
        // What an overview has beside a command is no part of it.
        let commands: Vec<String> = lines(&page).into_iter().filter(|line| !line.contains("   ")).collect();
        let root = dir.join(format!("{name}-root"));
        fs::create_dir(&root).unwrap();
        let root = root.to_str().unwrap();
        footplate(&["provision", "--replay", machine, "--root", root]).ended(0, &[]);
        let image = Image::new(&format!("docs-image-{name}"));
        image.publish_node("v1.34.1");
        fs::copy(&image.lock, dir.join("lock.json")).unwrap();
        if !commands.iter().any(|line| line.starts_with("footplate bake --root")) {
            image.bake(&[]).ended(0, &[]);
        }
        let (image_root, from) = (image.root.to_str().unwrap(), image.from.to_str().unwrap());
        for line in commands {
            for words in calls(&line) {
                let Some((more, code)) = here(&words, root, from, machine) else { continue };
                let place = |word: &&str| match *word {
                    "/tmp/node" => machine.to_owned(),
                    "/etc/footplate.yaml" => "footplate.yaml".to_owned(),
                    "/" | "/mnt" => image_root.to_owned(),
                    other => other.to_owned(),
                };
                let args: Vec<String> =
                    words.iter().take_while(|w| !w.starts_with('>')).map(place).chain(more).collect();
                let piped = if line.starts_with("kubectl") { &secret } else { &good };
                let mut command = command(&args);
                command.current_dir(&dir).stdin(fs::File::open(piped).unwrap());
                let end = Ran::from(command.output().unwrap());
                assert_eq!(end.code, code, "{}: {line}\n{}{}", page.display(), end.out, end.err);
                // To check nothing would end so too.
                if words[0] == "check" {
                    let said = end.out.contains("good: ")
                        || words.iter().any(|w| ["sarif", "github", "-q"].contains(w));
                    assert!(said || line.contains("footplate.yaml"), "{line}: {}", end.out);
                }
                *ran.entry(words[0].to_owned()).or_default() += 1;
            }
        }
    }
    for command in
        "bake check clean collect network plan platforms query render seal status timeline verify".split(' ')
    {
        assert!(ran.contains_key(command), "no page has a `footplate {command}` that runs: {ran:?}");
    }
    assert!(ran.values().sum::<usize>() > 35, "commands are not found as they are written: {ran:?}");
}

/// Names of a recorded machine's templates.
fn names(machine: &Path) -> Option<(String, BTreeSet<String>)> {
    told(&footplate(&["query", "--format", "json", "--replay", machine.to_str().unwrap()]))
}

/// Those of an instance of EC2, whose service is emulated: a session with it is not recorded.
fn names_on_ec2() -> (String, BTreeSet<String>) {
    let queried = || {
        let sandbox = Sandbox::enter("docs-ec2", &["169.254.169.254/32"]);
        let more = [
            ("ami-id", "ami-0123456789abcdef0"),
            ("instance-life-cycle", "on-demand"),
            ("ipv6", "2001:db8::5"),
            ("placement/availability-zone-id", "euw1-az1"),
            ("public-hostname", "ec2-198-51-100-5.eu-west-1.compute.amazonaws.com"),
            ("public-ipv4", "198.51.100.5"),
        ];
        let tree = more
            .iter()
            .fold(imds::machine(), |tree, (key, value)| tree.with(&format!("meta-data/{key}"), value));
        let _service = Server::start_at(&[imds::V4], Duration::ZERO, move |seen| imds::session(seen, &tree));
        let (_, mut node) = sandbox.node("node", FOOTPLATE);
        Ran::of(node.args(["query", "--format", "json", "--platform", "aws"]))
    };
    let ran = std::thread::spawn(queried).join().unwrap();
    told(&ran).unwrap_or_else(|| panic!("{}{}", ran.out, ran.err))
}

/// The platform and the names that `query` tells, without those that are made of an address or a number.
fn told(ran: &Ran) -> Option<(String, BTreeSet<String>)> {
    let said: Value = serde_json::from_str(&ran.out).ok()?;
    let all = said["values"].as_object()?.keys().cloned();
    let plain = |name: &String| {
        let part = |p: &str| {
            !p.is_empty()
                && !p.starts_with(|c: char| c.is_ascii_digit())
                && p.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        name.split('.').all(part)
    };
    Some((said["platform"].as_str()?.to_owned(), all.filter(plain).collect()))
}

const MARK: &str = "<!-- made by tests/it/docs.rs of what the recorded machines have -->\n";

#[test]
fn the_names_of_templates_are_those_of_the_recorded_machines() {
    needs!(root("a network of its own"));
    let mut machines: Vec<PathBuf> = fs::read_dir(repository().join("tests/platforms"))
        .unwrap()
        .map(|e| e.unwrap().path().join("machine"))
        .collect();
    machines.push(repository().join("demo/vsphere-worker"));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (platform, names) in machines.iter().filter_map(|m| names(m)).chain([names_on_ec2()]) {
        found.entry(platform).or_default().extend(names);
    }
    let id = |name: &str| PLATFORMS.iter().any(|p| p.id == name);
    assert!(found.len() > 20 && found.keys().all(|name| id(name)), "{:?}", found.keys());
    let page = fs::read_to_string(repository().join("docs/templates.md")).unwrap();
    let (_, table) = page.split_once("## What the names hold on EC2\n").unwrap();
    let rows =
        table.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
    let first: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).collect();
    let told: BTreeSet<String> = first
        .iter()
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|n| format!("ds.meta_data.{n}"))
        .collect();
    let there: BTreeSet<String> =
        found["aws"].iter().filter(|name| name.starts_with("ds.")).cloned().collect();
    assert_eq!(told, there, "the table of EC2's names in docs/templates.md");
    let mut everywhere = found.values().next().unwrap().clone();
    found.values().for_each(|names| everywhere.retain(|name| names.contains(name)));
    let short = |name: &&String| name.starts_with("v1.") || name.starts_with("ds.");
    let code = |names: &[&String]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let mut text = String::from("## On every platform\n\n");
    let _ =
        writeln!(text, "{}\n\n## By platform\n", code(&everywhere.iter().filter(short).collect::<Vec<_>>()));
    for platform in PLATFORMS {
        let Some(names) = found.get(platform.id) else { continue };
        let own: Vec<&String> = names.iter().filter(short).filter(|n| !everywhere.contains(*n)).collect();
        let own = if own.is_empty() { "no others".to_owned() } else { code(&own) };
        let _ = writeln!(text, "### {}\n\n{own}\n", platform.name);
    }
    let path = repository().join("docs/templates.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, _) = page.split_once(MARK).unwrap();
    let now = format!("{head}{MARK}\n{}\n", text.trim_end());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    assert!(
        std::env::var_os("BLESS").is_some() || page == now,
        "docs/templates.md: BLESS=1 cargo test --test it the_names_of_templates"
    );
}

/// The picture is one that `timeline` makes: a row for each stage of the demo, and for what kubeadm did after them.
#[test]
fn the_picture_in_the_readme_is_a_timeline() {
    let root = fresh("docs-timeline");
    let replay = repository().join("demo/vsphere-worker");
    footplate(&["provision", "--replay", replay.to_str().unwrap(), "--root", root.to_str().unwrap()])
        .ended(0, &[]);
    let now = footplate(&["timeline", "--format", "svg", "--root", root.to_str().unwrap()]).out;
    let texts = |svg: &str| -> Vec<String> {
        let parts = svg
            .split("<text")
            .skip(1)
            .filter_map(|t| Some(t.split_once('>')?.1.split('<').next()?.to_owned()));
        parts.map(|t| t.chars().filter(|c| c.is_alphabetic() || " -".contains(*c)).collect()).collect()
    };
    let kept = fs::read_to_string(repository().join("docs/timeline.svg")).unwrap();
    let stages = |svg: &str| -> Vec<String> {
        let all = texts(svg);
        ["detect", "fetch", "decode", "apply"]
            .iter()
            .filter(|s| all.iter().any(|t| t.contains(**s)))
            .map(|s| (*s).to_owned())
            .collect()
    };
    assert_eq!(stages(&kept), stages(&now));
    assert_eq!(stages(&now).len(), 4, "{now}");
    for part in ["kubeadm", "preflight", "kubelet-start"] {
        assert!(texts(&kept).iter().any(|text| text == part), "{part}: {kept}");
    }
    // It stands on README's first screens, with what else a reader asks first.
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let first = readme.split("\n## ").next().unwrap();
    for text in [
        "docs/timeline.svg",
        "Who it is for",
        "What it replaces",
        "Why not `format: ignition`",
        "footplate bake --root",
    ] {
        assert!(first.contains(text) && first.lines().count() < 40, "{text}: {first}");
    }
}

/// README leads to each page, and each link within the documents to a file and a heading that are there.
#[test]
fn links_of_the_documents_lead_somewhere() {
    let heading = |line: &str| {
        let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    let (mut count, mut linked) = (0, BTreeSet::new());
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| repository().join(name));
    for page in pages().into_iter().chain(others) {
        for link in fs::read_to_string(&page).unwrap().split("](").skip(1) {
            let link = link.split([')', ' ']).next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(to.exists(), "{}: {link}", page.display());
            let text = || fs::read_to_string(&to).unwrap();
            let there = || text().lines().any(|line| line.starts_with('#') && heading(line) == anchor);
            assert!(anchor.is_empty() || there(), "{}: {link}", page.display());
            if page.ends_with("README.md") {
                linked.insert(to);
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
    for page in pages() {
        assert!(
            page.ends_with("README.md") || linked.contains(&page),
            "README.md does not name {}",
            page.display()
        );
    }
}

/// Each unit of footplate's names its page.
#[test]
fn units_name_their_page() {
    let mut count = 0;
    for dir in ["units", "dracut/55footplate"] {
        for unit in fs::read_dir(repository().join(dir)).unwrap().map(|e| e.unwrap().path()) {
            let name = unit.file_name().unwrap().to_str().unwrap();
            if !name.starts_with("footplate") || !name.ends_with(".service") {
                continue;
            }
            let text = fs::read_to_string(&unit).unwrap();
            let page =
                text.lines().find_map(|l| l.strip_prefix("Documentation=file:/opt/share/doc/footplate/"));
            let page = page.unwrap_or_else(|| panic!("{name} names no page"));
            assert!(repository().join("docs").join(page).is_file(), "{name}: docs/{page} is not there");
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
    // And those that are made from the bootstrap data.
    let mut made = 0;
    for case in fs::read_dir(repository().join("tests/userdata/golden")).unwrap() {
        let path = case.unwrap().path().join("tree");
        let tree = fs::read_to_string(&path).unwrap_or_default();
        for unit in tree.split("# Written by footplate").skip(1) {
            let mut lines = unit.lines().map(str::trim).skip_while(|line| !line.starts_with("Description="));
            let named =
                lines.nth(1).is_none_or(|line| line.starts_with("Documentation=file:/opt/share/doc/"));
            assert!(named, "{}: {unit}", path.display());
            made += usize::from(unit.contains("Description="));
        }
    }
    assert!(made >= 10, "{made}");
}
