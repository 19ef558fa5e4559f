// SPDX-License-Identifier: Apache-2.0
//! Undoes what footplate made of bootstrap data and metadata, by the list that `apply` keeps. What the image itself
//! consists of stays.

use std::collections::BTreeSet;

use anyhow::Result;

use super::seal::Sealed;
use super::touched::Touched;
use super::{OWN_DIRECTORY, baked_lock, links, record, with_own};
use crate::apply::accounts::Accounts;
use crate::apply::manifest::{CHANGED, HOME, MADE, MANIFEST, Manifest, REMOVED};
use crate::io::root::{Change, Root, SFlag};

/// Removes the accounts and paths that were made, and names what can't be undone.
pub(super) fn undo(root: &Root, manifest: &Manifest, sealed: &mut Sealed) -> Result<()> {
    let accounts = Accounts::read(root)?;
    let known = !manifest.users.is_empty() || !manifest.groups.is_empty();
    if sealed.dry_run && known
        || !sealed.dry_run && manifest.without(&accounts).write(root)? == Change::Changed
    {
        sealed.removed.extend(manifest.users.iter().map(|name| Touched::account("user", name)));
        sealed.removed.extend(manifest.groups.iter().map(|name| Touched::account("group", name)));
    }
    let baked = baked(root)?;
    let leads_to_list = |path: &str| MANIFEST == path || MANIFEST.starts_with(&format!("{path}/"));
    // What is in a directory goes before the directory, and the list last: a seal that is cut off can be run again.
    let (last, first): (Vec<_>, Vec<_>) =
        manifest.paths.iter().rev().partition(|(path, _)| leads_to_list(path));
    for (path, what) in first.into_iter().chain(last) {
        undo_path(root, path, what, &baked, sealed)?;
    }
    // It may have gone with its directory.
    if root.meta_of_link(MANIFEST)?.is_some() && !sealed.has(MANIFEST) {
        sealed.remove(root, MANIFEST.to_owned())?;
    }
    Ok(())
}

/// The paths of the image itself.
pub(super) fn baked(root: &Root) -> Result<BTreeSet<String>> {
    let Some(record) = record(root)? else { return Ok(BTreeSet::new()) };
    let own = record.footplate.as_ref();
    let lock = baked_lock(root)?.map(|lock| with_own(&lock, own));
    let programs = lock.and_then(|lock| links(root, &lock).ok()).unwrap_or_default();
    let files = record.files.into_iter().map(|f| f.path).chain(record.links.into_iter().map(|l| l.path));
    Ok(files.chain(programs.into_iter().map(|l| l.path)).collect())
}

fn undo_path(
    root: &Root,
    path: &str,
    what: &str,
    baked: &BTreeSet<String>,
    sealed: &mut Sealed,
) -> Result<()> {
    // A dry run leaves what it lists as removed.
    let stands = root.meta_of_link(path)?.filter(|_| !sealed.has(path));
    let before = Touched::before(root, path)?;
    let note = match (what, stands) {
        (MADE | HOME, None) | (CHANGED, None) | (REMOVED, Some(_)) => return Ok(()),
        (MADE | HOME, Some(_)) if baked.contains(path) || in_store(root, path)? => return Ok(()),
        (MADE, Some(meta)) if meta.kind == SFlag::S_IFDIR => {
            let empty = match sealed.dry_run {
                true => root.list(path)?.iter().all(|name| sealed.has(&format!("{path}/{name}"))),
                false => root.remove_dir(path)?,
            };
            if !empty {
                return not_empty(root, path, baked, sealed);
            }
            None
        }
        (MADE | HOME, Some(_)) => return sealed.remove(root, path.to_owned()),
        (CHANGED, Some(_)) => Some("bootstrap data changed it, and its earlier content is not known"),
        (REMOVED, None) => Some("bootstrap data removed it, and its earlier content is not known"),
        // A newer footplate's word.
        _ => Some("footplate changed it in a way that this version does not know"),
    };
    match note {
        None => sealed.removed.push(before.removed()),
        Some(note) => sealed.notes.push(format!("{path} stays as it is: {note}")),
    }
    Ok(())
}

fn in_store(root: &Root, path: &str) -> Result<bool> {
    Ok(root.link_target(path)?.is_some_and(|target| target.contains("footplate/store/")))
}

/// Names what others put into a directory that was made.
fn not_empty(root: &Root, path: &str, baked: &BTreeSet<String>, sealed: &mut Sealed) -> Result<()> {
    let mut others = Vec::new();
    for name in root.list(path)? {
        let inside = format!("{path}/{name}");
        let leads_to = |path: &str| path == inside || path.starts_with(&format!("{inside}/"));
        let of_image = inside.starts_with(OWN_DIRECTORY) || leads_to(OWN_DIRECTORY);
        let removed = sealed.has(&inside);
        if !removed && !of_image && !baked.iter().any(|path| leads_to(path)) && !in_store(root, &inside)? {
            others.push(name);
        }
    }
    if !others.is_empty() {
        let names = others.join(", ");
        sealed.notes.push(format!(
            "{path} stays: footplate made the directory, but {names} in it is not footplate's"
        ));
    }
    Ok(())
}
