// SPDX-License-Identifier: Apache-2.0
//! The whole plan of a node, and the node made after it.

use super::fetch::Found;
use super::recorder::Recorder;
use super::{Context, bootstrap_data, changes, containerd, network, note, ran, settle};
use crate::apply::accounts::Accounts;
use crate::apply::{self, Outcome};
use crate::bake;
use crate::decode::Decoded;
use crate::io::root::Root;
use crate::model::instance::Instance;
use crate::model::paths::{KUBEADM_UNIT, UNIT_DIR};
use crate::model::plan::{Bootstrap, Item, Plan};
use crate::model::problem::{Failure, In as _, Problem, Stage};
use crate::plan;
use crate::plan::name;
use crate::plan::network::{DIR, Rendered};

/// Most that a file of metadata holds.
pub const MAX_METADATA: usize = 4 << 20;

/// Everything that this node is to be: network and name from the metadata, the rest from the bootstrap data.
///
/// # Errors
/// The root can't be read.
pub fn picture(
    found: &Found,
    decoded: &Decoded,
    rendered: &Rendered,
    context: &Context,
) -> Result<(Plan, Vec<Problem>), Failure> {
    let root = &context.root;
    let mut plan = plan::node(&decoded.config, &found.instance);
    // A file of the bootstrap data's own configures its NIC as one that is there already does.
    let mut rendered = rendered.clone();
    let known = rendered.problems.len();
    plan::network::step_back(&mut rendered, &plan::network::theirs_in(&plan));
    let mut problems = rendered.problems.split_off(known);
    // A member of a cluster keeps the name that it has. The bootstrap data's own is in its plan already.
    let named = name::of_data(&decoded.config, &found.instance).is_some();
    let settled = settle::is_member(root).stage(Stage::Apply)? || named;
    let hostname = found.instance.short_hostname().filter(|_| !settled);
    let present = network::files(root, DIR)?;
    let mut items = plan::network_items(&rendered, &present, hostname);
    items.extend(metadata(&found.instance, root)?);
    items.extend(containerd::beside(root, &plan)?);
    if let Some(keys) = plan::users::keys(&decoded.config, &found.instance) {
        let default = plan::users::default_user(&decoded.config);
        let is_default = |i: &Item| matches!(i, Item::User(u) if u.name == default);
        let there = Accounts::read(root).stage(Stage::Apply)?.home(default).is_some();
        if there || plan.items.iter().any(is_default) {
            let behind = plan.items.iter().rposition(|i| matches!(i, Item::User(_))).map_or(0, |i| i + 1);
            plan.items.insert(behind, keys);
        } else {
            let what = format!("there is no user {default}: the metadata's SSH keys are left out");
            problems.push(Problem::warning("", what));
        }
    }
    items.extend(plan::kubeadm::time_limit(&context.policy));
    // A directory that two parts of the plan need is made once.
    plan.items.retain(|i| !matches!(i, Item::Directory(_)) || !items.contains(i));
    items.append(&mut plan.items);
    plan.items = items;
    // Ignition's kubeadm.service starts with the boot; it is followed like the one of cloud-config.
    let unit = format!("{UNIT_DIR}/{KUBEADM_UNIT}");
    let stands = |path: &str| root.stands(path).stage(Stage::Apply);
    if bootstrap_data::made_by_ignition(&found.instance, root)?
        && stands(plan::kubeadm::IGNITION_CONFIG)?
        && stands(&unit)?
    {
        let (unit, permit) = (KUBEADM_UNIT, plan::kubeadm::IGNITION_CONFIG);
        plan.bootstrap = Some(Bootstrap { unit: unit.to_owned(), permit: permit.to_owned() });
    }
    Ok((plan, problems))
}

/// The metadata as files for programs that ask for it by name.
///
/// # Errors
/// The root can't be read.
pub fn metadata(instance: &Instance, root: &Root) -> Result<Vec<Item>, Failure> {
    let read = |path: &str| -> Result<String, Failure> {
        let bytes = root.read(path, MAX_METADATA).stage(Stage::Apply)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (flatcar, coreos) = (plan::metadata::FLATCAR, plan::metadata::COREOS);
    let linked = root.link_target(coreos).stage(Stage::Apply)?.is_some();
    let file = !linked && root.stands(coreos).stage(Stage::Apply)?;
    let older = if file { Some(read(coreos)?) } else { None };
    Ok(plan::metadata::items(instance, &read(flatcar)?, older.as_deref(), linked))
}

/// Makes the node after its plan: first the programs of the image's lock, then all items. Nothing is made where one of them
/// can't be.
///
/// # Errors
/// What can't be made.
pub fn make(recorder: &mut Recorder<'_>, context: &Context, plan: &Plan) -> Result<Vec<Outcome>, Failure> {
    let root = &context.root;
    lay_out(recorder, root)?;
    let outcomes = recorder.stage(
        Stage::Apply,
        |_| {
            apply::compare(plan, root).stage(Stage::Apply)?;
            let outcomes = apply::apply(plan, root, note).stage(Stage::Apply)?;
            network::reload(&outcomes, root)?;
            Ok(outcomes)
        },
        |outcomes| format!("changed={} unchanged={}", changes(outcomes), outcomes.len() - changes(outcomes)),
    )?;
    if root.live()
        && let Some(stage) = recorder.status.stages.last_mut()
    {
        stage.parts = ran::before_bootstrap(root);
        let problems = ran::failures(&stage.parts, None, |_| false);
        recorder.warn(&problems);
        recorder.save()?;
    }
    if changes(&outcomes) == 0 {
        log::info!("apply: nothing changed");
    }
    if !root.privileged() {
        log::info!("apply: owners are left out: only root can set them");
    }
    Ok(outcomes)
}

/// Makes sure that the programs of the image's lock are in place before anything needs them. An image without a lock has none.
fn lay_out(recorder: &mut Recorder<'_>, root: &Root) -> Result<(), Failure> {
    if root.meta(bake::lock::LOCK).stage(Stage::Install)?.is_none() {
        return Ok(());
    }
    let changed = recorder.stage(
        Stage::Install,
        |_| Ok(bake::lay_out(root)?.unwrap_or_default()),
        |changed| format!("changed={}", changed.len()),
    )?;
    for path in changed {
        log::info!("install: {path}: was missing");
    }
    Ok(())
}
