// SPDX-License-Identifier: Apache-2.0
//! The files of systemd's units as they are once the plan is applied: where systemd finds a unit, and what enabling and
//! disabling it does to links, as `systemctl --root` does it.

pub(super) use crate::model::paths::UNIT_DIR;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;

use super::{MAX_FILE, above};
use crate::io::root::Root;
use crate::model::plan::{Item, Plan};
use crate::model::unit::install::{self, Install};
use crate::model::unit::{instance, of_template};

/// Where systemd looks for units; the first one that it finds counts
/// ([systemd.unit(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Unit%20File%20Load%20Path)).
const UNIT_PATH: &[&str] = &[
    UNIT_DIR,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The target of the link that a masked unit is.
pub(super) const NOWHERE: &str = "/dev/null";

/// Most units that are enabled with one, and most names that lead to one.
const MAX_UNITS: usize = 256;

/// What a plan puts at a path.
enum Planned<'a> {
    Text(&'a [u8]),
    Link(&'a str),
    /// The link that masks the unit is removed.
    Unmasked,
}

/// The files of units, those of the plan before those of the root.
pub(super) struct UnitFiles<'a> {
    root: &'a Root,
    planned: BTreeMap<String, Planned<'a>>,
    /// The links of the root, once they were looked for.
    links: RefCell<Option<Links>>,
}

/// Paths of links that enable units or are other names of them, by the names in which they begin and end. A link may have gone since.
#[derive(Default)]
struct Links(HashMap<String, BTreeSet<String>>);

impl Links {
    fn add(&mut self, path: &str, target: &str) {
        for name in [file_name(path), file_name(target)] {
            self.0.entry(name.to_owned()).or_default().insert(path.to_owned());
        }
    }
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether a link to nowhere masks the unit there.
fn masked(root: &Root, path: &str) -> bool {
    root.link_target(path).is_ok_and(|target| target.as_deref() == Some(NOWHERE))
}

/// What systemd finds by a unit's name.
enum Found {
    /// A file, and the name by which systemd knows the unit.
    Unit { name: String, path: String, text: Vec<u8> },
    /// Nothing that can be enabled, and why.
    None(&'static str),
}

impl<'a> UnitFiles<'a> {
    pub(super) fn of(plan: &'a Plan, root: &'a Root) -> Self {
        let mut planned = BTreeMap::new();
        let holds = |path: &str| UNIT_PATH.iter().any(|dir| path.starts_with(dir));
        for item in &plan.items {
            match item {
                Item::File(file) if holds(&file.path) && !file.append => {
                    planned.insert(file.path.clone(), Planned::Text(file.content.expose()));
                }
                Item::Link(link) if holds(&link.path) && !link.hard => {
                    planned.insert(link.path.clone(), Planned::Link(&link.target));
                }
                Item::Unit(unit) => {
                    let main = format!("{UNIT_DIR}/{}", unit.name);
                    for (name, text) in &unit.dropins {
                        planned.insert(format!("{main}.d/{name}"), Planned::Text(text.expose()));
                    }
                    match &unit.contents {
                        _ if unit.mask == Some(true) => planned.insert(main, Planned::Link(NOWHERE)),
                        Some(text) => planned.insert(main, Planned::Text(text.expose())),
                        None if unit.mask == Some(false) && masked(root, &main) => {
                            planned.insert(main, Planned::Unmasked)
                        }
                        None => None,
                    };
                }
                _ => {}
            }
        }
        Self { root, planned, links: RefCell::new(None) }
    }

    fn stands(&self, path: &str) -> bool {
        match self.planned.get(path) {
            Some(planned) => !matches!(planned, Planned::Unmasked),
            None => self.root.stands(path).unwrap_or_default(),
        }
    }

    fn link_target(&self, path: &str) -> Result<Option<String>> {
        match self.planned.get(path) {
            Some(Planned::Link(target)) => Ok(Some((*target).to_owned())),
            Some(Planned::Text(_) | Planned::Unmasked) => Ok(None),
            None => self.root.link_target(path),
        }
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.planned.get(path) {
            Some(Planned::Text(text)) => Ok(Some(text.to_vec())),
            _ => self.root.read(path, MAX_FILE),
        }
    }

    fn list(&self, dir: &str) -> Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = self.root.list(dir)?.into_iter().collect();
        let prefix = format!("{dir}/");
        let planned = self.planned.range(prefix.clone()..).map(|(path, _)| path);
        let below = planned.map_while(|path| path.strip_prefix(&prefix)).filter(|name| !name.contains('/'));
        names.extend(below.map(str::to_owned));
        Ok(names)
    }

    /// Finds a unit by its name, or an instance by its template.
    fn find(&self, name: &str) -> Result<Found> {
        let mut name = name.to_owned();
        for _ in 0..MAX_UNITS {
            let template = instance(&name).map(|(template, _)| template);
            let places = [Some(name.clone()), template].into_iter().flatten();
            let mut places =
                places.flat_map(|file| UNIT_PATH.iter().map(move |dir| (*dir, format!("{dir}/{file}"))));
            let Some((dir, path)) = places.find(|(_, path)| self.stands(path)) else {
                return Ok(Found::None("is not on this machine"));
            };
            let Some(target) = self.link_target(&path)? else {
                let text = self.read(&path)?.unwrap_or_default();
                return Ok(match text.is_empty() {
                    true => Found::None("is masked: its file is empty"),
                    false => Found::Unit { name, path, text },
                });
            };
            if target == NOWHERE {
                return Ok(Found::None("is masked"));
            }
            let target = if target.starts_with('/') { target } else { format!("{dir}/{target}") };
            let (to, file) = (above(&target), target.strip_prefix(above(&target)).unwrap_or_default());
            let file = file.trim_start_matches('/');
            if !UNIT_PATH.contains(&to) || path.ends_with(&format!("/{file}")) {
                // A link to a file elsewhere: systemd links to that one.
                let Some(text) = self.read(&target)? else { return Ok(Found::None("is a link to nothing")) };
                return Ok(Found::Unit { name, path: target, text });
            }
            if [UNIT_DIR, "/run/systemd/system"].contains(&dir) {
                return Ok(Found::None("is another name of a unit"));
            }
            let own = instance(&name).map_or_else(String::new, |(_, own)| own.to_owned());
            name = if own.is_empty() { file.to_owned() } else { of_template(file, &own) };
        }
        Ok(Found::None("is one of many names that lead to each other"))
    }

    /// The texts of a unit: its file, then its drop-ins in the order in which they apply.
    fn texts(&self, name: &str, main: Vec<u8>) -> Result<Vec<String>> {
        let mut dropins: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let template = instance(name).map(|(template, _)| template);
        for unit in template.iter().map(String::as_str).chain([name]) {
            for dir in UNIT_PATH.iter().rev() {
                let dir = format!("{dir}/{unit}.d");
                for file in self.list(&dir)?.into_iter().filter(|n| n.ends_with(".conf")) {
                    let path = format!("{dir}/{file}");
                    let masked = self.link_target(&path)?.as_deref() == Some(NOWHERE);
                    let text = if masked { None } else { self.read(&path)? };
                    dropins.insert(file, text.unwrap_or_default());
                }
            }
        }
        let all = std::iter::once(main).chain(dropins.into_values());
        Ok(all.map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
    }

    /// The unit, and those that are enabled with it, each with what enabling it means.
    fn with_others(&self, unit: &str) -> Result<Vec<(String, String, Install)>> {
        let (mut todo, mut done) = (vec![unit.to_owned()], BTreeSet::from([unit.to_owned()]));
        let mut units = Vec::new();
        while let Some(wanted) = todo.pop() {
            let (name, path, text) = match self.find(&wanted)? {
                Found::Unit { name, path, text } => (name, path, text),
                Found::None(why) => {
                    // As with Ignition's preset: what can't be enabled keeps nothing else from being done.
                    log::warn!("unit {unit}: {wanted} can't be enabled: it {why}");
                    continue;
                }
            };
            let texts = self.texts(&name, text)?;
            let install = install::read(&name, &texts.iter().map(String::as_str).collect::<Vec<_>>());
            // What is wrong with the data's own unit is told where the data is read.
            let told = wanted == unit && self.planned.contains_key(&path);
            for trouble in install.problems.iter().filter(|_| !told) {
                log::warn!("unit {wanted}: [Install], line {}: {}", trouble.line, trouble.what);
            }
            let new = install.also.iter().filter(|n| done.len() < MAX_UNITS && done.insert((*n).clone()));
            todo.extend(new.cloned());
            units.push((name, path, install));
        }
        Ok(units)
    }

    /// The links of an enabled unit and of those that are enabled with it: paths and targets.
    pub(super) fn enabled(&self, unit: &str) -> Result<Vec<(String, String)>> {
        let mut links = Vec::new();
        for (_, path, install) in self.with_others(unit)? {
            // The default instance of a template may have a file of its own.
            let linked = match self.find(&install.linked)? {
                Found::Unit { path, .. } => path,
                Found::None(_) => path.clone(),
            };
            let dirs = install.dirs.iter().map(|dir| format!("{UNIT_DIR}/{dir}/{}", install.linked));
            links.extend(dirs.map(|link| (link, linked.clone())));
            for alias in &install.aliases {
                let link = format!("{UNIT_DIR}/{alias}");
                let target = self.link_target(&link)?;
                let free =
                    target.is_none() && !self.planned.contains_key(&link) && !self.root.stands(&link)?;
                let leads_nowhere = target.is_some() && self.root.meta(&link)?.is_none();
                if free || leads_nowhere || target.as_deref() == Some(&path) {
                    links.push((link, path.clone()));
                } else {
                    log::warn!("unit {unit}: [Install]: {alias} is there already and stays as it is");
                }
            }
        }
        Ok(links)
    }

    /// The links that make a unit enabled, and those of the units that are enabled with it.
    pub(super) fn disabled(&self, unit: &str) -> Result<Vec<String>> {
        let mut names = BTreeSet::from([unit.to_owned()]);
        for (name, _, install) in self.with_others(unit)? {
            names.extend([name, install.linked]);
        }
        let mut links = Vec::new();
        for path in self.links_of(&names)? {
            let Some(target) = self.root.link_target(&path)? else { continue };
            let (to, dir) = (file_name(&target), above(&path) != UNIT_DIR);
            // Another name of the unit; its own name if that leads to a unit. A link to a file elsewhere is the unit itself.
            let other = names.contains(to) && to != file_name(&path);
            let alias = to != file_name(&path) && UNIT_PATH.contains(&above(&target));
            if target != NOWHERE && (other || (dir || alias) && names.contains(file_name(&path))) {
                links.push(path);
            }
        }
        Ok(links)
    }

    /// The paths of links that begin or end in one of these names, sorted. The root is looked through once: each unit of thousands
    /// may have links that are to go.
    fn links_of(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut found = self.links.borrow_mut();
        if found.is_none() {
            let mut links = Links::default();
            for entry in self.root.list(UNIT_DIR)? {
                let path = format!("{UNIT_DIR}/{entry}");
                let dir = [".requires", ".upholds", ".wants"].iter().any(|ending| entry.ends_with(ending));
                let inside = if dir { self.root.list(&path)? } else { Vec::new() };
                for link in inside.iter().map(|name| format!("{path}/{name}")).chain([path.clone()]) {
                    if let Some(target) = self.root.link_target(&link)? {
                        links.add(&link, &target);
                    }
                }
            }
            *found = Some(links);
        }
        let of = |name| found.as_ref().and_then(|links| links.0.get(name));
        Ok(names.iter().filter_map(of).flatten().cloned().collect())
    }

    /// Says that a link was made.
    pub(super) fn linked(&self, path: &str, target: &str) {
        if let Some(links) = self.links.borrow_mut().as_mut() {
            links.add(path, target);
        }
    }

    /// Says that something else than the units' own items may have made links.
    pub(super) fn look_again(&self) {
        self.links.take();
    }
}
