// SPDX-License-Identifier: Apache-2.0
//! Makes a root as its [`Plan`] says, and tells of each item whether it was so already. Each kind of item has a file
//! here with its `compare` and its `apply` side by side.

mod absent;
pub mod accounts;
pub mod diff;
mod directory;
mod disk;
mod effects;
mod file;
mod filesystem;
mod hostname;
mod link;
pub mod manifest;
mod mount;
mod partitions;
mod paths;
mod run;
mod unit_files;
mod units;
mod users;

use anyhow::{Result, anyhow};

use crate::io;
use crate::io::root::{Batch, Change, Ids, Root};
use crate::io::systemd::{Systemd, units_changed};
use crate::model::config::UnitSpec;
use crate::model::plan::{Item, Plan};
use crate::model::problem::{Problem, Problems, WithCure as _};
use accounts::Accounts;
use manifest::Manifest;

/// The largest file that is compared or added to.
const MAX_FILE: usize = 64 << 20;

/// How long a unit may run that is waited for; its own time-out is shorter.
const RUN_LIMIT: std::time::Duration = std::time::Duration::from_secs(1800);

/// The owner of footplate's own files.
const OURS: Ids = Ids::ROOT;

/// What became of one item of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The item, `file /etc/hosts` for instance; no value.
    pub what: String,
    /// What was done, or would be done.
    pub done: Done,
    /// What a person should know of it: how it differed, or why it was left out.
    pub detail: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was already as the plan says.
    Unchanged,
    /// Nothing stood there; only [`compare`] tells this apart from a change.
    Absent,
    /// It is now as the plan says, or would be.
    Changed,
    /// It could not be done here and the detail says why; the rest is right without it.
    LeftOut,
}

impl Done {
    /// What would be done: whether it differs, and whether nothing stands there.
    fn would(differs: bool, absent: bool) -> Self {
        match (differs, absent) {
            (false, _) => Self::Unchanged,
            (true, true) => Self::Absent,
            (true, false) => Self::Changed,
        }
    }
}

impl From<Change> for Done {
    fn from(change: Change) -> Self {
        if change == Change::Changed { Self::Changed } else { Self::Unchanged }
    }
}

/// Steps that build on each other: filesystems are on disks, users own files, files stand on what is mounted and are the
/// settings of what runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Disks,
    Filesystems,
    Mounts,
    Users,
    Files,
    Run,
}

impl Step {
    /// Whether its items only write files, so that they become durable together.
    fn writes(self) -> bool {
        matches!(self, Self::Users | Self::Files)
    }
}

/// A root that a plan is compared with or applied to, and what is left to do there after all items.
struct Machine<'a> {
    root: &'a Root,
    accounts: Accounts,
    /// The unit of the bootstrap, which is started by the caller.
    bootstrap: Option<&'a str>,
    /// Units that read files that changed.
    restarts: Vec<&'static str>,
    /// The files of units, on the root and in the plan.
    files: unit_files::UnitFiles<'a>,
    /// Paths of bootstrap data that changed.
    changed: Vec<String>,
    /// Units of the plan that changed.
    units: Vec<(UnitSpec, units::Changes)>,
}

impl<'a> Machine<'a> {
    fn of(plan: &'a Plan, root: &'a Root) -> Result<Self> {
        let (accounts, bootstrap) = (Accounts::read(root)?, plan.bootstrap.as_ref().map(|b| b.unit.as_str()));
        let files = unit_files::UnitFiles::of(plan, root);
        Ok(Self {
            root,
            accounts,
            bootstrap,
            restarts: Vec::new(),
            files,
            changed: Vec::new(),
            units: Vec::new(),
        })
    }
}

/// A kind of item.
trait Kind {
    /// What the item is called in messages.
    fn name(&self) -> String;

    /// What can be said of the item without a root; no value.
    fn outline(&self) -> String {
        String::new()
    }

    /// The step that it belongs to.
    fn step(&self) -> Step;

    /// What [`Kind::apply`] would do.
    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome>;

    /// Lists the paths that [`Kind::apply`] would make or change.
    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()>;

    /// Makes it so.
    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome>;

    /// The outcome of this item.
    fn outcome(&self, done: Done, detail: String) -> Outcome {
        Outcome { what: self.name(), done, detail }
    }
}

/// The only place that knows all kinds.
fn kind(item: &Item) -> &dyn Kind {
    match item {
        Item::Hostname(hostname) => hostname,
        Item::Directory(directory) => directory,
        Item::File(file) => file,
        Item::Link(link) => link,
        Item::Absent(absent) => absent,
        Item::Disk(disk) => disk,
        Item::Filesystem(filesystem) => filesystem,
        Item::MountUnits(mount) => mount,
        Item::Mounted(mounted) => mounted,
        Item::Group(group) => group,
        Item::User(user) => user,
        Item::Unit(unit) => unit,
        Item::Run(run) => run,
    }
}

/// The items of a plan, for a caller who has no root to compare it with: the name of each and what can be said of it.
pub fn outline(plan: &Plan) -> Vec<(String, String)> {
    plan.items.iter().map(|item| (kind(item).name(), kind(item).outline())).collect()
}

/// Checks what can be checked before anything is written (owners exist, paths are of the right kind), and tells what
/// would change.
///
/// # Errors
/// All reasons why the plan can't be applied.
pub fn compare(plan: &Plan, root: &Root) -> Result<Vec<Outcome>, Vec<Problem>> {
    let mut on = Machine::of(plan, root).map_err(|error| vec![problem(error)])?;
    let (mut outcomes, mut problems) = (Vec::new(), Vec::new());
    let _batch = root.batch();
    let mut partitioned = false;
    for item in &plan.items {
        let kind = kind(item);
        match kind.compare(&mut on) {
            Ok(outcome) => {
                let changes = matches!(outcome.done, Done::Absent | Done::Changed);
                partitioned |= kind.step() == Step::Disks && changes;
                outcomes.push(outcome);
            }
            // What is in its way now may be gone once the disk is partitioned.
            Err(_) if partitioned && kind.step() == Step::Filesystems => {
                outcomes.push(kind.outcome(Done::Absent, "on a disk that is partitioned anew".to_owned()));
            }
            Err(error) => problems.push(problem(error)),
        }
    }
    problems.extend(paths::check(plan, root).into_iter().map(problem));
    if problems.is_empty() { Ok(outcomes) } else { Err(problems) }
}

/// An error as one of several: its causes stand on the same line.
fn problem(error: anyhow::Error) -> Problem {
    let mut problem = Problem::from(error);
    problem.in_words();
    let what = std::iter::once(problem.to_string()).chain(problem.why).collect::<Vec<_>>().join(": ");
    Problem { cure: problem.cure, code: problem.code, ..Problem::error("", what) }
}

/// Whether an item is not yet as the plan says, or can't be compared.
fn differs(kind: &dyn Kind, on: &mut Machine<'_>) -> bool {
    kind.compare(on).map_or(true, |outcome| outcome.done != Done::Unchanged)
}

/// Lists all that the plan makes, as far as it can be told now, on the disk before any of it is made.
fn record(plan: &Plan, root: &Root) -> Result<Manifest> {
    let (mut on, mut manifest) = (Machine::of(plan, root)?, Manifest::read(root)?);
    let (listed, before) = (manifest.size(), on.accounts.clone());
    let batch = root.batch();
    for item in &plan.items {
        // What fails here fails again, and is told, when the item's turn comes.
        let _ = kind(item).record(&mut on, &mut manifest);
    }
    manifest.accounts(root, &before, &on.accounts)?;
    if manifest.size() != listed {
        manifest.write(root)?;
    }
    manifest.look_again();
    batch.end()?;
    Ok(manifest)
}

/// Lists what became known of an item since [`record`]: what it makes may depend on the items before it.
fn record_rest(kind: &dyn Kind, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
    let listed = manifest.size();
    kind.record(on, manifest)?;
    if manifest.size() != listed {
        manifest.look_again();
        manifest.write(on.root)?;
        on.root.settle()?;
    }
    Ok(())
}

/// Applies a plan that [`compare`] found sound, and lists in the [`Manifest`] what it makes. On a live root units are
/// restarted where their files changed. After a failure the rest of its step is still done, so that all failures are
/// told at once; later steps, which may build on it, are not begun, and nothing then lets the bootstrap start.
///
/// # Errors
/// [`Problems`]: all that could not be done.
pub fn apply(plan: &Plan, root: &Root, seen: impl FnMut(&Outcome)) -> Result<Vec<Outcome>> {
    let manifest = match record(plan, root) {
        // The network and the name must come up all the same, and what else can be made is.
        Err(error) if io::is_read_only(&error) => {
            log::warn!("apply: what is made is not listed for `footplate seal`: {error:#}");
            None
        }
        listed => Some(listed?),
    };
    make(plan, root, manifest, seen)
}

/// Applies a plan that belongs to an image: the image's own record lists what it makes.
///
/// # Errors
/// As [`apply`].
pub fn apply_to_image(plan: &Plan, root: &Root) -> Result<Vec<Outcome>> {
    make(plan, root, None, |_| {})
}

fn make(
    plan: &Plan,
    root: &Root,
    mut manifest: Option<Manifest>,
    mut seen: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let mut on = Machine::of(plan, root)?;
    let (mut outcomes, mut problems): (Vec<Outcome>, Vec<anyhow::Error>) = (Vec::new(), Vec::new());
    let mut failed = None;
    let permit = plan.bootstrap.as_ref().map(|b| b.permit.as_str());
    let mut batch = None;
    for item in &plan.items {
        let kind = kind(item);
        let permits = permit.is_some_and(|permit| matches!(item, Item::File(f) if f.path == permit));
        // The permit says that all before it is durable, and other programs look at what the later steps need.
        if (permits || !kind.step().writes())
            && let Some(Err(error)) = batch.take().map(Batch::end)
        {
            problems.push(with_cure(error));
            failed.get_or_insert(Step::Files);
        }
        if failed.is_some_and(|step| step != kind.step() || permits) {
            break;
        }
        if kind.step().writes() {
            batch.get_or_insert_with(|| root.batch());
        }
        let listed = manifest.as_mut().map_or(Ok(()), |m| record_rest(kind, &mut on, m));
        match listed.and_then(|()| kind.apply(&mut on)) {
            Ok(outcome) => {
                seen(&outcome);
                // A mount shows no units and the permit is none; of what else changes it is not known.
                if outcome.done == Done::Changed && !permits && kind.step() != Step::Mounts {
                    units_changed();
                }
                if outcome.done == Done::Changed && !matches!(item, Item::Unit(_)) {
                    on.files.look_again();
                }
                on.changed
                    .extend(effects::path(item).filter(|_| outcome.done == Done::Changed).map(str::to_owned));
                outcomes.push(outcome);
            }
            Err(error) => {
                failed = Some(kind.step());
                problems.push(with_cure(error.context(kind.name())));
            }
        }
    }
    if let Some(Err(error)) = batch.map(Batch::end) {
        problems.push(with_cure(error));
    }
    // A single problem keeps its causes and its cure.
    if problems.len() == 1 {
        return Err(problems.remove(0));
    }
    if !problems.is_empty() {
        return Err(Problems(problems.into_iter().map(problem).collect()).into());
    }
    if root.live() {
        finish(&on)?;
    }
    Ok(outcomes)
}

/// The error with the cure that is known of its cause, such as a full disk.
pub fn with_cure(error: anyhow::Error) -> anyhow::Error {
    let Some(cure) = io::cure(&error) else { return error };
    let failed: Result<()> = Err(error).cure(cure);
    failed.err().unwrap_or_else(|| anyhow!(cure))
}

/// Makes the changes count on a live root: what reads them reads them again, and units start.
fn finish(on: &Machine<'_>) -> Result<()> {
    effects::apply(&on.changed, &on.restarts)?;
    if !on.restarts.is_empty() {
        let systemd = Systemd::reloaded()?;
        let restart = |unit: &str| {
            let result = systemd.start_and_wait("ReloadOrRestartUnit", unit, RUN_LIMIT)?;
            if result == "done" { Ok(()) } else { Err(anyhow!("restarting {unit}: {result}")) }
        };
        let failed = on.restarts.iter().filter_map(|unit| restart(unit).err());
        let failed: Vec<Problem> = failed.map(problem).collect();
        if !failed.is_empty() {
            return Err(Problems(failed).into());
        }
    }
    if !on.units.is_empty() {
        units::start(&on.units)?;
    }
    Ok(())
}

/// The ids that can be set here: only root can set owners.
fn settable(root: &Root, ids: Ids) -> Ids {
    if root.privileged() { ids } else { Ids::default() }
}

/// The directory of a path.
fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

/// What becomes of an item that is about the running machine, and what is told of it under another root.
fn on_live(kind: &dyn Kind, root: &Root, look: impl FnOnce() -> Result<(Done, String)>) -> Result<Outcome> {
    if !root.live() {
        return Ok(kind.outcome(Done::LeftOut, "disks are the running machine's".to_owned()));
    }
    let (done, detail) = look()?;
    Ok(kind.outcome(done, detail))
}
