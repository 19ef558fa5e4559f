// SPDX-License-Identifier: Apache-2.0
//! What paths of a plan mean together on a root: two paths of one file, and hard links to what can't have one.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, anyhow};

use super::above;
use crate::io::root::{Root, SFlag};
use crate::model::plan::{Item, Plan};
use crate::model::storage::{Existing, Link};

/// The problems of paths that can be seen before anything is made. Ignition refuses two paths that lead to one file; a
/// cloud-config may have them, and the later one wins.
pub(super) fn check(plan: &Plan, root: &Root) -> Vec<anyhow::Error> {
    let mut parents = HashMap::new();
    let mut real: HashMap<String, (&str, &str)> = HashMap::new();
    let mut problems = Vec::new();
    for (path, place) in plan.items.iter().filter_map(node) {
        let dir = parents.entry(above(path)).or_insert_with(|| resolve(above(path), root));
        let to = match dir {
            Ok(dir) => format!("{dir}{}", path.strip_prefix(above(path)).unwrap_or(path)),
            // The item itself tells of a path that can't be followed.
            Err(_) => continue,
        };
        match real.insert(to, (path, place)) {
            Some((other, by)) if other != path => problems.push(anyhow!(
                "{place}: {path} and {other} of {by} are one file: a symbolic link of this machine leads from one to the other"
            )),
            _ => {}
        }
    }
    problems.extend(below_files(plan));
    let links = plan.items.iter().filter_map(|item| match item {
        Item::Link(link) if link.hard => Some(link),
        _ => None,
    });
    let made: HashSet<&str> = plan.items.iter().filter_map(node).map(|(path, _)| path).collect();
    problems.extend(links.filter_map(|link| hard(link, &made, root).err()));
    problems
}

/// What stands below a file of the plan can't be made.
fn below_files(plan: &Plan) -> Vec<anyhow::Error> {
    let files: HashMap<&str, &str> = plan
        .items
        .iter()
        .filter_map(|item| match item {
            Item::File(file) => Some((file.path.as_str(), file.place.as_str())),
            _ => None,
        })
        .collect();
    let below = |path: &str, place: &str| {
        let parents = std::iter::successors(Some(above(path)), |dir| (!dir.is_empty()).then(|| above(dir)));
        let (file, by) = parents.filter_map(|dir| files.get_key_value(dir)).next()?;
        Some(anyhow!("{place}: {path}: {file} of {by} is a file, and nothing can stand below it"))
    };
    let items = plan.items.iter().filter_map(|item| match item {
        Item::Directory(d) => below(&d.path, &d.place),
        Item::File(f) => below(&f.path, &f.place),
        Item::Link(l) => below(&l.path, &l.place),
        _ => None,
    });
    items.collect()
}

/// The path and the place of what Ignition's data makes.
fn node(item: &Item) -> Option<(&str, &str)> {
    match item {
        Item::Directory(d) if d.existing != Existing::Written => Some((&d.path, &d.place)),
        Item::File(f) if f.existing != Existing::Written => Some((&f.path, &f.place)),
        Item::Link(l) if l.existing != Existing::Written => Some((&l.path, &l.place)),
        _ => None,
    }
}

/// The path that a directory leads to, whether it is there or will be made.
fn resolve(dir: &str, root: &Root) -> Result<String> {
    if dir.is_empty() {
        return Ok(String::new());
    }
    if let Some(real) = root.real(dir)? {
        return Ok(if real == "/" { String::new() } else { real });
    }
    let name = dir.strip_prefix(above(dir)).unwrap_or(dir);
    Ok(resolve(above(dir), root)? + name)
}

/// Refuses a hard link to a directory, and to nothing.
fn hard(link: &Link, made: &HashSet<&str>, root: &Root) -> Result<()> {
    let Link { place, path, target, .. } = link;
    if made.contains(target.as_str()) {
        return Ok(());
    }
    match root.meta_of_link(target)?.map(|m| m.kind) {
        None => {
            Err(anyhow!("{place}: {path}: the target of the hard link is not there, and nothing makes it"))
        }
        Some(SFlag::S_IFDIR) => {
            Err(anyhow!("{place}: {path}: the target of the hard link is a directory of this machine"))
        }
        Some(_) => Ok(()),
    }
}
