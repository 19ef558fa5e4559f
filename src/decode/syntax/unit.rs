// SPDX-License-Identifier: Apache-2.0
//! What every format that brings systemd units asks of them
//! ([systemd.unit(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html)).

use crate::model::config::UnitSpec;
use crate::model::storage::{Existing, File, Owner};

/// Kinds of units.
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
    text.lines().any(|l| l.trim() == "[Install]")
}

/// What is wrong with a unit's text. systemd skips a line that it can't read; a unit with such a line is not the one
/// that was meant.
pub fn problem(contents: &str) -> Option<String> {
    let (mut section, mut continued) = (false, false);
    for (n, line) in contents.lines().enumerate() {
        let line = line.trim();
        let comment = line.is_empty() || line.starts_with(['#', ';']);
        let what = match line {
            _ if comment => continue,
            _ if continued => None,
            _ if line.starts_with('[') && line.ends_with(']') => {
                section = true;
                None
            }
            _ if line.starts_with('[') => Some("a section's name has no closing bracket"),
            _ if !section => Some("stands above the first [Section]"),
            _ if !line.contains('=') => Some("is neither Key=Value nor a comment"),
            _ => None,
        };
        continued = line.ends_with('\\');
        if let Some(what) = what {
            return Some(format!("line {} of the unit {what}", n + 1));
        }
    }
    contents.contains('\0').then(|| "holds a zero byte".to_owned())
}
