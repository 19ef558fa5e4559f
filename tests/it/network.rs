// SPDX-License-Identifier: Apache-2.0
//! Golden folders: a configuration in, networkd's files and problems out.
//!
//! `tests/network/golden/NAME/` holds `in.yaml` (version 1 or 2), `in.json` (OpenStack), `in.kargs`,
//! `in.interfaces` (ifupdown) or `in.guestinfo` (`key = value`), perhaps `nics` (the machine's links, one a line: name, address,
//! permanent address, driver, kind; `-` for none), the files in `out/`, what was found in `findings`, and what matched in
//! `matches`. `BLESS=1 cargo test --test it network::` writes them anew; read the difference.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use footplate::facade::decode::network;
use footplate::facade::decode::syntax::yaml;
use footplate::facade::model::network::{NetworkConfig, Nic};
use footplate::facade::model::problem::Problem;
use footplate::facade::plan::network::render;

/// File name to text.
type Files = BTreeMap<String, String>;

fn decode(dir: &Path) -> (NetworkConfig, Vec<Problem>) {
    let input = ["yaml", "json", "kargs", "guestinfo", "interfaces"].map(|ext| dir.join(format!("in.{ext}")));
    let path =
        input.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{} has no input", dir.display()));
    let text = fs::read_to_string(path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        "kargs" => network::parse_kargs(&text),
        "interfaces" => network::parse_interfaces(&text),
        "guestinfo" => {
            let lines = text.lines().filter_map(|line| line.split_once(" = "));
            let values: BTreeMap<&str, &str> = lines.collect();
            network::parse_guestinfo_legacy(&|key| values.get(key).map(|v| (*v).to_owned()))
        }
        _ => match yaml::parse(&text) {
            Ok(node) => network::parse(&node),
            Err(problem) => (NetworkConfig::default(), vec![problem]),
        },
    }
}

fn nics(dir: &Path) -> Vec<Nic> {
    let text = fs::read_to_string(dir.join("nics")).unwrap_or_default();
    let line = |line: &str| {
        let words: Vec<Option<&str>> = line.split_whitespace().map(|w| (w != "-").then_some(w)).collect();
        Nic {
            name: words[0].unwrap().to_owned(),
            mac: words[1].map(|m| m.parse().unwrap()),
            permanent_mac: words[2].map(|m| m.parse().unwrap()),
            driver: words[3].map(str::to_owned),
            kind: words[4].map(str::to_owned),
        }
    };
    text.lines().map(line).collect()
}

/// Everything that a folder must hold beside its input.
fn outcome(dir: &Path) -> Files {
    let (config, mut problems) = decode(dir);
    let rendered = render(&config, &nics(dir));
    problems.extend(rendered.problems.clone());

    let mut files = Files::new();
    let mut said = String::new();
    for problem in &problems {
        let _ = writeln!(said, "{} {problem}", format!("{:?}", problem.severity).to_lowercase());
        if let Some(cure) = &problem.cure {
            let _ = writeln!(said, "    {cure}");
        }
    }
    if !rendered.unusable.is_empty() {
        let _ = writeln!(said, "unusable: {}", rendered.unusable.join(", "));
    }
    if !rendered.usable {
        said.push_str("nothing usable: the image's default stays\n");
    }
    if !said.is_empty() {
        files.insert("findings".to_owned(), said);
    }
    let matches: Vec<String> = rendered
        .matches
        .iter()
        .map(|m| format!("{}: {} ({})\n", m.interface, m.nics.join(" "), m.why))
        .collect();
    if !matches.is_empty() {
        files.insert("matches".to_owned(), matches.concat());
    }
    for file in &rendered.files {
        let name = file.path.strip_prefix("/etc/systemd/network/").unwrap();
        let mode = if file.mode == 0o644 {
            String::new()
        } else {
            format!("# mode {:o}, group {}\n", file.mode, file.group.unwrap_or("root"))
        };
        files.insert(format!("out/{name}"), mode + &file.contents);
    }
    files
}

fn recorded(dir: &Path) -> Files {
    let mut files = Files::new();
    for name in ["findings", "matches"] {
        if let Ok(text) = fs::read_to_string(dir.join(name)) {
            files.insert(name.to_owned(), text);
        }
    }
    for entry in fs::read_dir(dir.join("out")).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = format!("out/{}", entry.file_name().into_string().unwrap());
        files.insert(name, fs::read_to_string(entry.path()).unwrap());
    }
    files
}

fn bless(dir: &Path, files: &Files) {
    for name in recorded(dir).keys() {
        fs::remove_file(dir.join(name)).unwrap();
    }
    for (name, text) in files {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), text).unwrap();
    }
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/network/golden");
    let mut dirs: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    dirs
}

#[test]
fn golden() {
    let mut wrong = String::new();
    let folders = folders();
    assert!(folders.len() >= 200, "{} folders are here", folders.len());
    for dir in folders {
        let (is, was) = (outcome(&dir), recorded(&dir));
        if is == was {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            bless(&dir, &is);
            continue;
        }
        for name in is.keys().chain(was.keys()).collect::<std::collections::BTreeSet<_>>() {
            if is.get(name) != was.get(name) {
                let none = "(no such file)\n".to_owned();
                let (is, was) = (is.get(name).unwrap_or(&none), was.get(name).unwrap_or(&none));
                let _ = writeln!(wrong, "{}/{name}\n--- recorded\n{was}--- now\n{is}", dir.display());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn keys_are_for_networkd_alone() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/network/golden/wireguard-inline-keys");
    let (config, _) = decode(&dir);
    let rendered = render(&config, &[]);
    let secret: Vec<_> = rendered.files.iter().filter(|f| f.secret).collect();
    assert_eq!(secret.len(), 1);
    assert_eq!((secret[0].mode, secret[0].group), (0o640, Some("systemd-network")));
    assert!(
        secret[0].contents.contains("PrivateKey=AAEC") && secret[0].contents.contains("PresharedKey=QEFC")
    );
    for shown in [format!("{config:?}"), format!("{rendered:?}")] {
        assert!(!shown.contains("AAEC") && !shown.contains("QEFC"), "{shown}");
    }
}
