// SPDX-License-Identifier: Apache-2.0
//! What paths of a plan mean together on a root: two paths of one file, and hard links to what can't have one.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, anyhow};

use super::above;
use crate::io::root::{Root, SFlag};
use crate::model::plan::{Item, Plan};
use crate::model::problem::{NO_TARGET, Problem};
use crate::model::storage::{Existing, Link};

/// The problems of paths that can be seen before anything is made. Ignition refuses two paths that lead to one file; a
/// cloud-config may have them, and the later one wins.
pub(super) fn check(plan: &Plan, root: &Root) -> Vec<anyhow::Error> {
    let mut real: HashMap<String, (&str, &str)> = HashMap::new();
    let mut problems = Vec::new();
    for (path, place) in plan.items.iter().filter_map(node) {
        // The item itself tells of a path that can't be followed.
        let Ok(to) = root.place(path) else { continue };
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
fn below_files<'a>(plan: &'a Plan) -> Vec<anyhow::Error> {
    let files: HashMap<&str, &str> = plan
        .items
        .iter()
        .filter_map(|item| match item {
            Item::File(file) => Some((file.path.as_str(), file.place.as_str())),
            _ => None,
        })
        .collect();
    // Directories that are below no file: many paths have the same ones.
    let mut clear = HashSet::new();
    let mut below = |path: &'a str, place: &str| {
        let looked = |dir: &&str| !dir.is_empty() && !clear.contains(dir);
        let parents = std::iter::successors(Some(above(path)), |dir| Some(above(dir))).take_while(looked);
        let parents: Vec<&str> = parents.collect();
        if let Some((file, by)) = parents.iter().find_map(|dir| files.get_key_value(dir)) {
            let what = format!("{path}: {file} of {by} is a file, and nothing can stand below it");
            return Some(Problem::error(place, what).code("file/path").into());
        }
        clear.extend(parents);
        None
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

/// Refuses a hard link to a directory, and to nothing.
fn hard(link: &Link, made: &HashSet<&str>, root: &Root) -> Result<()> {
    let Link { place, path, target, .. } = link;
    if made.contains(target.as_str()) {
        return Ok(());
    }
    match root.meta_of_link(target)?.map(|m| m.kind) {
        None => {
            let what = format!("{path}: the target of the hard link is not there, and nothing makes it");
            Err(Problem::error(place, what).code(NO_TARGET).into())
        }
        Some(SFlag::S_IFDIR) => {
            Err(anyhow!("{place}: {path}: the target of the hard link is a directory of this machine"))
        }
        Some(_) => Ok(()),
    }
}
