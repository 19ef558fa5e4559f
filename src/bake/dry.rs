// SPDX-License-Identifier: Apache-2.0
//! What may become an image, and what a bake would do to it, found out without doing it.

use anyhow::{Result, anyhow};

use super::node::{self, Choices};
use super::store::{self, Stocked};
use super::touched::Touched;
use super::{
    Baked, LOCK, OWN_DIRECTORY, Order, architecture, links, oem_dir, own_artifact, pause_image, record,
    refuse_conflicts, stale, wanted_pause_image, with_own,
};
use crate::apply::{self, Done};
use crate::bake::lock::Lock;
use crate::io::root::Root;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};

/// Where a system says what it is
/// ([os-release(5)](https://www.freedesktop.org/software/systemd/man/latest/os-release.html)).
const OS_RELEASE: [&str; 2] = ["/usr/lib/os-release", "/etc/os-release"];

/// Most of that file.
const MAX_RELEASE: usize = 64 << 10;

/// Refuses a root that is not Flatcar's: a bake changes how a machine boots, and a seal removes what the machine that has the root needs.
///
/// # Errors
/// It is another system, or none.
pub fn refuse_other_systems(root: &Root) -> Result<()> {
    for path in OS_RELEASE {
        let text = root.read(path, MAX_RELEASE)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let id = text.lines().find_map(|line| line.strip_prefix("ID="));
        match id.map(|id| id.trim_matches(['"', '\''])) {
            Some("flatcar") => return Ok(()),
            // A name of a distribution is a word; nothing else of the file is told.
            Some(id) if id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
                let what = format!("{path}: the root is a system of the kind `{id}`, not Flatcar");
                return Err(anyhow!(what)).cure("name Flatcar's root with --root, or add --force");
            }
            _ => {}
        }
    }
    let what = format!("the root is not Flatcar: {} is missing or names no system", OS_RELEASE[0]);
    Err(anyhow!(what)).cure("name Flatcar's root with --root, with its /usr mounted, or add --force")
}

/// Refuses to seal what is no image: another system's root, or one in which nothing was baked.
///
/// # Errors
/// It is no image.
pub fn refuse_to_seal(root: &Root) -> Result<()> {
    refuse_other_systems(root)?;
    match record(root)? {
        Some(_) => Ok(()),
        None => Err(anyhow!("{OWN_DIRECTORY}: nothing was baked in this root, so it is not an image"))
            .cure("look at `footplate seal --dry-run`; add --force to seal the root all the same"),
    }
}

/// What a bake would do: nothing is fetched and nothing is written.
///
/// # Errors
/// Those that would stop the bake, as far as they are known before anything is fetched.
pub fn bake(root: &Root, order: &Order<'_>) -> Result<Baked, Failure> {
    architecture::refuse(root, order.lock).stage(Stage::Install)?;
    let own = own_artifact(order.lock).stage(Stage::Install)?;
    let all = with_own(order.lock, own.as_ref());
    let mut baked = Baked::default();
    let mut here = Lock { artifacts: Vec::new(), ..all.clone() };
    for artifact in &all.artifacts {
        let whole = store::whole(root, artifact).stage(Stage::Install)?;
        let state = if whole { Stocked::Present } else { Stocked::Missing };
        baked.artifacts.insert(artifact.name.clone(), state);
        if whole {
            here.artifacts.push(artifact.clone());
        }
    }
    let complete = here.artifacts.len() == all.artifacts.len();
    if !complete {
        baked
            .notes
            .push("the links and the conflicts of what is missing are known once it is fetched".to_owned());
    }
    let wanted = wanted_pause_image(root, order.lock);
    let pause_image = match pause_image(order, &wanted) {
        Err(_) if !complete => None,
        asked => asked.stage(Stage::Install)?,
    };
    let oem = oem_dir(root).stage(Stage::Install)?;
    let plan = node::plan(order.lock, &Choices { userdata: order.userdata, pause_image }, oem);
    let links = links(root, &here).stage(Stage::Install)?;
    refuse_conflicts(root, order, &links, &plan, wanted.ok().flatten())?;
    let mut note = |path: &str, same: bool| match same {
        true => baked.unchanged += 1,
        false => baked.changed.extend(Touched::before(root, path)),
    };
    let lock = root.read(LOCK, super::lock::MAX_LOCK).stage(Stage::Install)?;
    note(LOCK, lock.is_some_and(|bytes| bytes == order.bytes));
    for link in &links {
        let target = store::target(root, link).stage(Stage::Install)?;
        note(&link.path, root.link_target(&link.path).stage(Stage::Install)? == Some(target));
    }
    for outcome in apply::compare(&plan, root).stage(Stage::Install)? {
        note(outcome.what.split_once(' ').map_or("", |(_, path)| path), outcome.done == Done::Unchanged);
    }
    if complete {
        for path in stale(root, &links, &plan).stage(Stage::Install)? {
            baked.changed.push(Touched::before(root, &path).stage(Stage::Install)?.removed());
        }
    }
    Ok(baked)
}
