// SPDX-License-Identifier: Apache-2.0
//! Sections and keys of units that systemd does not know.

use super::places::Places;
use super::rules::content;
use crate::decode::syntax::words;
use crate::model::config::NodeConfig;
use crate::model::problem::Problem;
use crate::model::storage::File;
use crate::model::unit;

/// Sections of systemd's units.
const SECTIONS: &[&str] = &[
    "Automount",
    "Install",
    "Mount",
    "Path",
    "Scope",
    "Service",
    "Slice",
    "Socket",
    "Swap",
    "Timer",
    "Unit",
];

/// Keys of systemd's units that people write, and such as are near to them.
const UNIT_KEYS: &str = include_str!("unit-keys.txt");

/// Sections and keys of units that systemd does not know and passes over.
pub fn sections(config: &NodeConfig, places: &Places<'_>, found: &mut Vec<Problem>) {
    let entries = places.sites.of_units();
    let place = |name, dropin| entries.get(&(name, dropin)).cloned().unwrap_or_default();
    let contents = config
        .units
        .iter()
        .filter_map(|u| Some((place(u.name.as_str(), None), u.name.clone(), u.contents.as_ref()?)));
    let dropins = config.units.iter().flat_map(|unit| {
        unit.dropins.iter().map(move |(name, text)| {
            (place(unit.name.as_str(), Some(name.as_str())), format!("{}.d/{name}", unit.name), text)
        })
    });
    let is_unit = |f: &&File| f.path.starts_with("/etc/systemd/system/");
    let files = config.files.iter().filter(is_unit).map(|f| (content(f), f.path.clone(), &f.content));
    for (place, name_of, content) in contents.chain(dropins).chain(files) {
        for line in unit::lines(&String::from_utf8_lossy(content.expose())) {
            let name = line.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let problem = match name {
                Some(name) => mistyped(name, SECTIONS.iter().copied()).map(|meant| {
                    Problem::error(place.clone(), "systemd does not know this section of a unit")
                        .cure(format!("did you mean `[{meant}]`?"))
                        .code("unit/section")
                }),
                None => unit_key(&line.text).map(|meant| {
                    Problem::error(
                        place.clone(),
                        "systemd does not know this key of a unit, and passes over it",
                    )
                    .cure(format!("did you mean `{meant}=`?"))
                    .code("unit/key")
                }),
            };
            let located = problem.map(|problem| places.line(problem, line.number, 1));
            // A drop-in of a unit that several parts of the data have stands where its place does not say.
            found.extend(located.map(|problem| match problem.pos {
                None => Problem { place: format!("{name_of}, line {}", line.number), ..problem },
                Some(_) => problem,
            }));
        }
    }
}

/// The word that was meant, where this one is none of those known.
fn mistyped<'k>(word: &str, mut known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    if known.clone().any(|known| known == word) { None } else { words::meant(word, known.by_ref()) }
}

/// The key that was meant by that of a unit's line.
fn unit_key(line: &str) -> Option<&'static str> {
    let key = line.split_once('=')?.0.trim_end();
    mistyped(key, UNIT_KEYS.split_whitespace())
}

#[cfg(test)]
mod tests {
    /// Those of the systemd that is here: none of them is taken for another.
    #[test]
    fn keys_that_systemd_knows_are_not_mistyped() {
        let dump =
            std::process::Command::new("/usr/lib/systemd/systemd").arg("--dump-configuration-items").output();
        let dump = String::from_utf8(dump.unwrap().stdout).unwrap();
        let keys: Vec<&str> = dump.lines().filter(|line| line.contains('=')).collect();
        assert!(keys.len() > 500, "{dump}");
        assert_eq!(keys.iter().filter(|line| super::unit_key(line).is_some()).collect::<Vec<_>>(), [&""; 0]);
        for (line, meant) in [
            ("ExecStrt=/bin/x", Some("ExecStart")),
            ("Requres = a.service", Some("Requires")),
            ("afterr=b.service", Some("After")),
            ("execstart=/x", Some("ExecStart")),
            ("WantdBy=multi-user.target", Some("WantedBy")),
            ("EnvironmentFiles=/x", Some("EnvironmentFile")),
            ("X-Restart-Triggers=x", None),
            ("no key", None),
        ] {
            assert_eq!(super::unit_key(line), meant, "{line}");
        }
    }
}
