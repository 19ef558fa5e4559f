// SPDX-License-Identifier: Apache-2.0
//! systemd units of the bootstrap data: what enabling one means, and which of them is the bootstrap.

use super::kubeadm::{IGNITION_CONFIG, UNIT};
use super::{RUN_DIR, UNIT_DIR};
use crate::model::config::UnitSpec;
use crate::model::plan::{Bootstrap, Item, Plan};
use crate::model::storage::{Directory, File};

/// systemd takes links away that no preset asks for where an image boots for the first time
/// ([systemd.preset(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.preset.html)). The name is
/// Ignition's, so that an image has one such file whoever made it.
pub const PRESET: &str = "/etc/systemd/system-preset/20-ignition.preset";

/// What footplate adds to a `kubeadm.service` that it did not write: the file that images have too.
pub const DROPIN: &str = include_str!("../../units/kubeadm.service.d/05-footplate.conf");

/// Nesting of `Also=`.
const MAX_ALSO: usize = 16;

pub(super) fn units(units: &[UnitSpec], plan: &mut Plan) {
    plan.items.extend(units.iter().cloned().map(Item::Unit));
    let preset = presets(units);
    if !preset.is_empty() {
        plan.items.push(Item::File(File { place: "systemd.units".to_owned(), ..File::ours(PRESET, preset) }));
    }
}

/// The bootstrap that Cluster API's Ignition data brings: its unit, what footplate adds to it, and last the file whose
/// presence lets it start.
pub(super) fn bootstrap(units: &[UnitSpec], plan: &mut Plan) {
    let brings = |u: &UnitSpec| u.name == UNIT && u.contents.is_some() && u.enabled == Some(true);
    if !units.iter().any(brings) {
        return;
    }
    let path = format!("{UNIT_DIR}/{UNIT}.d/05-footplate.conf");
    plan.items.push(Item::File(File::ours(path, DROPIN)));
    plan.items.push(Item::Directory(Directory::ours(RUN_DIR, 0o700)));
    let permit = |item: &Item| matches!(item, Item::File(f) if f.path == IGNITION_CONFIG);
    if let Some(at) = plan.items.iter().position(permit) {
        let item = plan.items.remove(at);
        plan.items.push(item);
    }
    plan.bootstrap = Some(Bootstrap { unit: UNIT.to_owned(), permit: IGNITION_CONFIG.to_owned() });
}

/// The preset file: a line for each unit that is enabled or disabled. A template's instances stand on one line, since
/// systemd goes by the first line that names the template.
fn presets(units: &[UnitSpec]) -> String {
    let mut lines: Vec<(bool, String, Vec<&str>)> = Vec::new();
    for unit in units {
        let Some(enabled) = unit.enabled else { continue };
        let Some((template, instance)) = instance(&unit.name) else {
            lines.push((enabled, unit.name.clone(), Vec::new()));
            continue;
        };
        match lines.iter_mut().find(|(e, name, _)| *e == enabled && *name == template) {
            Some((_, _, instances)) => instances.push(instance),
            None => lines.push((enabled, template, vec![instance])),
        }
    }
    lines
        .into_iter()
        .map(|(enabled, name, instances)| {
            let verb = if enabled { "enable" } else { "disable" };
            format!("{}\n", [&[verb, &name], instances.as_slice()].concat().join(" "))
        })
        .collect()
}

/// An instance's template and its name: `echo@.service` and `bar` of `echo@bar.service`.
pub fn instance(unit: &str) -> Option<(String, &str)> {
    let (prefix, rest) = unit.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| (format!("{prefix}@.{kind}"), instance))
}

/// What the `[Install]` sections of a unit and its drop-ins say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Install {
    /// Directories below `/etc/systemd/system` in which a link to the unit stands, `multi-user.target.wants`.
    pub dirs: Vec<String>,
    /// Other names of the unit.
    pub aliases: Vec<String>,
    /// Units that are enabled with it.
    pub also: Vec<String>,
}

/// The keys of `[Install]` that make a directory's link, with the directory's ending.
const DIRS: &[(&str, &str)] = &[("RequiredBy", "requires"), ("UpheldBy", "upholds"), ("WantedBy", "wants")];

/// Reads `[Install]`, specifiers expanded as far as systemd knows them of an enabled unit's name.
pub fn install(unit: &str, texts: &[String]) -> Install {
    let mut install = Install::default();
    let mut default_instance = None;
    let mut values: Vec<(&str, String)> = Vec::new();
    for text in texts {
        let joined = text.replace("\\\n", " ");
        let mut inside = false;
        for line in joined.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
            } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
                let (key, value) = (key.trim(), value.trim());
                match key {
                    "DefaultInstance" => default_instance = Some(value.to_owned()),
                    // An empty value takes back what was said before.
                    _ if value.is_empty() => values.retain(|(k, _)| *k != key),
                    _ => {
                        let known = DIRS.iter().map(|(k, _)| *k).chain(["Alias", "Also"]).find(|k| *k == key);
                        values.extend(known.map(|k| (k, value.to_owned())));
                    }
                }
            }
        }
    }
    let unit = match (unit.split_once("@."), default_instance) {
        (Some((prefix, kind)), Some(instance)) => format!("{prefix}@{instance}.{kind}"),
        _ => unit.to_owned(),
    };
    for (key, value) in values {
        for word in value.split_whitespace() {
            let name = expand(word, &unit);
            // A name is no path: nothing leads out of the directory.
            if name.contains('/') || name.starts_with('.') {
                continue;
            }
            match DIRS.iter().find(|(k, _)| *k == key) {
                Some((_, ending)) => install.dirs.push(format!("{name}.{ending}")),
                None if key == "Alias" => install.aliases.push(name),
                None if install.also.len() < MAX_ALSO => install.also.push(name),
                None => {}
            }
        }
    }
    install
}

/// The links of an enabled unit: paths, and what they say. `file` is the path of the unit's file.
pub fn links(unit: &str, file: &str, install: &Install) -> Vec<(String, String)> {
    let wanted = install.dirs.iter().map(|dir| format!("{UNIT_DIR}/{dir}/{unit}"));
    let aliases = install.aliases.iter().filter(|a| *a != unit).map(|alias| format!("{UNIT_DIR}/{alias}"));
    wanted.chain(aliases).map(|path| (path, file.to_owned())).collect()
}

/// The specifiers that a unit's own name answers ([systemd.unit(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Specifiers)).
fn expand(word: &str, unit: &str) -> String {
    let base = unit.rsplit_once('.').map_or(unit, |(base, _)| base);
    let (prefix, instance) = base.split_once('@').unwrap_or((base, ""));
    let mut out = String::new();
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '%' { rest.next() } else { None }) {
            ('%', Some('i')) => out += instance,
            ('%', Some('j')) => out += prefix.rsplit('-').next().unwrap_or(prefix),
            ('%', Some('n')) => out += unit,
            ('%', Some('N')) => out += base,
            ('%', Some('p')) => out += prefix,
            ('%', Some('%')) => out.push('%'),
            ('%', Some(other)) => out.extend(['%', other]),
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_sections_make_the_links_that_systemctl_makes() {
        let read = |unit: &str, texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
            links(unit, "/F", &install(unit, &texts)).into_iter().map(|(p, _)| p).collect::<Vec<_>>()
        };
        let dir = |rest: &str| format!("{UNIT_DIR}/{rest}");
        let plain =
            "[Unit]\nWantedBy=no.target\n[Install]\nWantedBy=a.target \\\n b.target\nAlias=x.service\n";
        assert_eq!(
            read("u.service", &[plain, "[Install]\nRequiredBy=c.target\n"]),
            [
                "a.target.wants/u.service",
                "b.target.wants/u.service",
                "c.target.requires/u.service",
                "x.service"
            ]
            .map(dir)
        );
        assert_eq!(read("u.service", &[plain, "[Install]\nWantedBy=\nAlias=\n"]), Vec::<String>::new());
        assert_eq!(
            read("e@bar.service", &["[Install]\nWantedBy=%i@%p.target ../x.target\n"]),
            [dir("bar@e.target.wants/e@bar.service")]
        );
        assert!(read("u.service", &["[Service]\nExecStart=/bin/true\n"]).is_empty());
    }

    #[test]
    fn presets_name_templates_once() {
        let unit = |name: &str, enabled: bool| UnitSpec {
            name: name.to_owned(),
            enabled: Some(enabled),
            ..UnitSpec::default()
        };
        let units = [
            unit("a.service", true),
            unit("e@x.service", true),
            unit("b.service", false),
            unit("e@y.service", true),
            UnitSpec { enabled: None, ..unit("c.service", true) },
        ];
        assert_eq!(presets(&units), "enable a.service\nenable e@.service x y\ndisable b.service\n");
    }
}
