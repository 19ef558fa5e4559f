// SPDX-License-Identifier: Apache-2.0
//! What every format that brings systemd units asks of them
//! ([systemd.unit(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html)).

use crate::model::config::UnitSpec;
use crate::model::paths::UNIT_DIR;
use crate::model::storage::{Existing, File, Owner};
use crate::model::unit::{Line, install, kind as kind_of, lines, of_path, settings};

/// Kinds of units. Ignition accepts snapshots, which systemd no longer has.
pub const KINDS: &[&str] = &[
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "snapshot",
    "socket",
    "swap",
    "target",
    "timer",
];

/// Kinds of files that networkd and udev read for links.
pub const NETWORK_KINDS: &[&str] = &["link", "netdev", "network"];

/// Where these files are.
const NETWORK_DIR: &str = "/etc/systemd/network";

/// Files of networkd and udev that a format brings in the shape of a unit: its text and its drop-ins, under its name.
pub fn network_files(unit: UnitSpec) -> impl Iterator<Item = File> {
    let UnitSpec { place, name, contents, dropins, enabled: _, mask: _ } = unit;
    let main = contents.map(|content| (format!("{NETWORK_DIR}/{name}"), content));
    let dropins = dropins
        .into_iter()
        .map(move |(dropin, content)| (format!("{NETWORK_DIR}/{name}.d/{dropin}"), content));
    main.into_iter().chain(dropins).map(move |(path, content)| File {
        place: place.clone(),
        path,
        content,
        owner: Owner::root(),
        mode: 0o644,
        append: false,
        existing: Existing::Replaced,
        restart: None,
    })
}

/// Whether a name is one of a unit, or of a file, of one of these kinds.
pub fn is_name(name: &str, kinds: &[&str]) -> bool {
    let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
    kinds.contains(&kind) && is_file_name(name) && name.len() > kind.len() + 1
}

/// A name that stays in its directory.
pub fn is_file_name(name: &str) -> bool {
    name.len() <= 255
        && !name.contains('/')
        && !name.contains(char::is_control)
        && name != "."
        && name != ".."
}

/// Whether a name is one of a drop-in.
pub fn is_dropin(name: &str) -> bool {
    is_name(name, &["conf"])
}

/// Whether a text says how the unit is enabled.
pub fn installs(text: &str) -> bool {
    lines(text).iter().any(|line| line.text == "[Install]")
}

/// What is wrong with a unit's text. systemd skips a line that it can't read; a unit with such a line is not the one
/// that was meant.
pub fn problem(contents: &str) -> Option<String> {
    let mut section = false;
    for Line { number, text } in lines(contents) {
        let what = match text.as_str() {
            line if line.starts_with('[') && line.ends_with(']') => {
                section = true;
                continue;
            }
            line if line.starts_with('[') => "has a section's name without a closing bracket",
            _ if !section => "is before the first [Section]",
            line if !line.contains('=') => "is neither Key=Value nor a comment",
            _ => continue,
        };
        return Some(format!("line {number} of the unit {what}"));
    }
    contents.contains('\0').then(|| "holds a zero byte".to_owned())
}

/// The settings whose path must be the unit's name, by kind.
const NAMED: &[(&str, &str, &str)] =
    &[("automount", "Automount", "Where"), ("mount", "Mount", "Where"), ("swap", "Swap", "What")];

/// The name that systemd wants for a mount, an automount or a swap, where it is another: it refuses the unit otherwise. Also the
/// setting that says so.
fn wanted_name(name: &str, contents: &str) -> Option<(&'static str, String)> {
    let (kind, section, key) = NAMED.iter().find(|(kind, _, _)| kind_of(name) == *kind)?;
    let settings = settings(contents).ok()?;
    let path = settings.iter().rev().find(|s| s.section == *section && s.key == *key)?;
    // Without a path systemd takes it from the name; specifiers are the node's to answer.
    if !path.value.starts_with('/') || path.value.contains('%') {
        return None;
    }
    let wanted = of_path(&path.value, kind);
    (wanted != name).then_some((key, wanted))
}

/// What is wrong with a file at a path, and the cure, if it is a unit for which [`wanted_name`] has another name.
pub fn misnamed_file(path: &str, content: &[u8]) -> Option<(String, String)> {
    let name = path.strip_prefix(UNIT_DIR)?.strip_prefix('/').filter(|name| !name.contains('/'))?;
    misnamed(name, &String::from_utf8_lossy(content))
}

/// The same for a unit by its name.
pub fn misnamed(name: &str, contents: &str) -> Option<(String, String)> {
    let (key, wanted) = wanted_name(name, contents)?;
    let what = format!("systemd refuses a unit whose name is not that of its {key}=");
    Some((what, format!("name it {wanted}")))
}

/// The settings of `[Install]` without effect in a unit that is enabled: which of its texts, and what. The texts are its file and
/// its drop-ins; without a file nothing is told, for the image has it.
pub fn without_effect(unit: &UnitSpec) -> Vec<(usize, String)> {
    let texts = unit.contents.iter().chain(unit.dropins.iter().map(|(_, text)| text));
    let texts: Vec<_> = texts.map(|text| String::from_utf8_lossy(text.expose())).collect();
    let problems = match unit.contents.is_some() {
        true => install::read(&unit.name, &texts.iter().map(|t| &**t).collect::<Vec<_>>()).problems,
        false => Vec::new(),
    };
    problems.into_iter().map(|p| (p.text, format!("line {} of the unit: {}", p.line, p.what))).collect()
}
