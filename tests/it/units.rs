// SPDX-License-Identifier: Apache-2.0
//! Enabling and disabling units, with `systemctl --root` as oracle: generated units, whose links are compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use footplate::facade::apply;
use footplate::facade::io::root::Root;
use footplate::facade::model::config::UnitSpec;
use footplate::facade::model::plan::{Item, Plan};
use footplate::facade::model::secret::Secret;

use crate::common::random::Rng;
use crate::common::scratch::{Ran, Scratch, difference};

const ETC: &str = "/etc/systemd/system";
const USR: &str = "/usr/lib/systemd/system";

/// The units of a case, `one@a.service` and its like among them.
const NAMES: &[&str] = &[
    "one.service",
    "one.socket",
    "one@.service",
    "one@a.service",
    "one@b-c.service",
    "two.target",
    "two-three@.service",
    "two-three@a.service",
    "four.timer",
    "five.mount",
    "six@.socket",
    "six@a.socket",
];

/// Words of values of `[Install]`.
const WORDS: &[&str] = &[
    "multi-user.target",
    "other@.target",
    "other@a.target",
    "%i.target",
    "%p.target",
    "x-%j.target",
    "%N.target",
    "\"quoted.target\"",
    "'two words.target'",
    "a\"b\".target",
    "\"open.target",
    "none",
    "../up.target",
    "%Z.target",
    "p%%q.target",
    "dev-disk\\x2dby.device",
    "other.service",
];

/// Values of `Alias=`.
const ALIASES: &[&str] = &[
    "alias.service",
    "alias@.service",
    "alias@%i.service",
    "alias@a.service",
    "alias.socket",
    "alias@.socket",
    "one.service",
    "alias",
    "x.target.wants/%n",
    "x@.target.wants/%n",
    "x@.target.requires/%p@.service",
    "x.target.requires/other.service",
    "x.target.upholds/%n",
    "../alias.service",
    "taken.service",
    "broken.service",
];

/// Lines of `[Install]`, one or two of the settings that there are.
fn install(dice: &mut Rng) -> String {
    let mut text = String::from(*dice.pick(&[
        "[Install]\n",
        "  [Install]\t\n",
        "[Unit]\nWantedBy=no.target\n[Install]\n",
    ]));
    for _ in 0..=dice.below(3) {
        let words = |dice: &mut Rng, of: &[&str]| -> Vec<String> {
            (0..=dice.below(2)).map(|_| (*dice.pick(of)).to_owned()).collect()
        };
        text += &match dice.below(9) {
            0 | 1 => format!("WantedBy={}\n", words(dice, WORDS).join(" ")),
            2 => format!("RequiredBy = {}\n", words(dice, WORDS).join("\t")),
            3 => format!("WantedBy={}\n", words(dice, WORDS).join(" \\\n# a comment\n  ; another\n  ")),
            4 => format!("Alias={}\n", words(dice, ALIASES).join(" ")),
            5 => format!(
                "Also={}\n",
                words(dice, &[NAMES, &["missing.service", "one@%i.service", "%p@x.service"]].concat())
                    .join(" ")
            ),
            6 => format!("DefaultInstance={}\n", dice.pick(&["d", "d-e", "%p", "d/e", ""])),
            7 => format!("{}=\n", dice.pick(&["WantedBy", "Alias", "Also"])),
            _ => String::from(*dice.pick(&[
                "\n",
                "# WantedBy=no.target\n",
                "NoSuch=x\n",
                "WantedBy=a.target \\\n\n",
                "WantedBy=e.target\\\\\n",
            ])),
        };
    }
    text
}

/// A unit of a case: its name, whether the data brings it, its file, its drop-ins.
struct Unit {
    name: &'static str,
    of_data: bool,
    text: String,
    dropins: Vec<(String, String)>,
}

fn units(dice: &mut Rng) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for _ in 0..=dice.below(4) {
        let name = *dice.pick(NAMES);
        if units.iter().any(|u| u.name == name) {
            continue;
        }
        let text = format!("[Unit]\nDescription=x\n{}", install(dice));
        let dropins =
            if dice.below(3) == 0 { vec![("50-a.conf".to_owned(), install(dice))] } else { Vec::new() };
        units.push(Unit { name, of_data: dice.flip(), text, dropins });
    }
    units
}

/// The links below the directory of units: paths and targets.
fn links(root: &Path) -> String {
    let ran =
        Ran::of(Command::new("find").arg(root.join(&ETC[1..])).args(["-type", "l", "-printf", "%P -> %l\n"]));
    let mut lines: Vec<&str> = ran.out.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Writes the units into a root; those of the data only where `data` says so.
fn furnish(root: &Scratch, units: &[Unit], data: bool) {
    root.put(&format!("{USR}/real.service"), "[Install]\nWantedBy=real.target\n");
    fs::create_dir_all(root.path(ETC)).unwrap();
    symlink("real.service", root.path(&format!("{USR}/second.service"))).unwrap();
    symlink(format!("{USR}/real.service"), root.path(&format!("{ETC}/taken.service"))).unwrap();
    symlink("/nowhere/broken.service", root.path(&format!("{ETC}/broken.service"))).unwrap();
    for unit in units.iter().filter(|u| data || !u.of_data) {
        let dir = if unit.of_data { ETC } else { USR };
        root.put(&format!("{dir}/{}", unit.name), &unit.text);
        for (name, text) in &unit.dropins {
            root.put(&format!("{dir}/{}.d/{name}", unit.name), text);
        }
    }
}

/// What the data says of its units, and of the one that is enabled or disabled.
fn plan(units: &[Unit], unit: &str, enabled: bool) -> Plan {
    let mut specs: BTreeMap<&str, UnitSpec> = BTreeMap::new();
    specs.insert(unit, UnitSpec { name: unit.to_owned(), enabled: Some(enabled), ..UnitSpec::default() });
    for brought in units.iter().filter(|u| u.of_data) {
        let spec = specs
            .entry(brought.name)
            .or_insert_with(|| UnitSpec { name: brought.name.to_owned(), ..UnitSpec::default() });
        spec.contents = Some(Secret::from(brought.text.as_str()));
        spec.dropins = brought.dropins.iter().map(|(n, t)| (n.clone(), Secret::from(t.as_str()))).collect();
    }
    // The enabled one comes first, before those that it names.
    let first = specs.remove(unit);
    Plan { items: first.into_iter().chain(specs.into_values()).map(Item::Unit).collect(), bootstrap: None }
}

#[test]
fn units_are_enabled_and_disabled_as_systemctl_does_it() {
    needs!(program("systemctl", "systemd"));
    let mut dice = Rng::new(252);
    let mut differing = Vec::new();
    let mut made = 0;
    for case in 0..500 {
        let units = units(&mut dice);
        let mut names: Vec<&str> = units.iter().map(|u| u.name).collect();
        names.extend(["one@z.service", "second.service", "taken.service", "missing.service"]);
        let unit = *dice.pick(&names);
        let (theirs, ours) = (Scratch::new("units-systemctl"), Scratch::new("units-ours"));
        furnish(&theirs, &units, true);
        furnish(&ours, &units, false);
        let said = |what: &str, was: &str, is: &str, told: &str| {
            let texts: Vec<String> = units
                .iter()
                .map(|u| {
                    format!(
                        "## {} {} {}\n{}",
                        u.name,
                        if u.of_data { ETC } else { USR },
                        u.dropins.len(),
                        [u.text.as_str(), &u.dropins.iter().map(|d| d.1.as_str()).collect::<String>()]
                            .concat()
                    )
                })
                .collect();
            format!("{case}: {what} {unit}\n{}{}{told}", texts.concat(), difference(was, is))
        };
        let systemctl = |verb: &str| {
            Ran::of(Command::new("systemctl").args(["--quiet", "--root", theirs.arg(), verb, unit])).err
        };
        let root = Root::open(&ours.dir, false).unwrap();
        let told = systemctl("enable");
        // A name that leads nowhere is given to the unit by systemd 257 and refused by 252; here it is given.
        let older = told.contains("already exists and is a symlink to \"/nowhere/broken.service\"");
        let links = |root: &Path| -> String {
            let kept = |line: &&str| !(older && line.starts_with("broken.service -> "));
            links(root).split_inclusive('\n').filter(kept).collect()
        };
        apply::apply(&plan(&units, unit, true), &root, |_| {}).unwrap();
        let (was, is) = (links(&theirs.dir), links(&ours.dir));
        made += is.lines().count().saturating_sub(2);
        if was != is {
            differing.push(said("enable", &was, &is, &told));
            continue;
        }
        for outcome in apply::apply(&plan(&units, unit, true), &root, |_| {}).unwrap() {
            assert_eq!(outcome.done, apply::Done::Unchanged, "{case}: {}", outcome.what);
        }
        let told = systemctl("disable");
        apply::apply(&plan(&units, unit, false), &root, |_| {}).unwrap();
        let (was, is) = (links(&theirs.dir), links(&ours.dir));
        if was != is {
            differing.push(said("disable", &was, &is, &told));
        }
    }
    assert!(made > 200, "{made} links: the cases have lost their sense");
    assert!(differing.is_empty(), "{} differ\n{}", differing.len(), differing.join("\n"));
}
