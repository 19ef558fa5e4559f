// SPDX-License-Identifier: Apache-2.0
//! Builds images: Kubernetes' programs from a lock file, the rest of a node, and the checks that both are right.
//!
//! [`lock`] says what an image holds, [`store`] brings it in and keeps it, [`node`] is the rest, [`conflicts`] what can't stand
//! beside it, [`verify`] tells whether all is there, [`seal`] makes the image one that has not booted. [`sysext`] is the same as an
//! extension of a stock image.

mod architecture;
pub mod attestation;
pub mod conflicts;
mod containerd;
pub mod cosign;
pub mod dry;
pub mod location;
pub mod lock;
mod network;
pub mod node;
pub mod progress;
mod publications;
pub mod published;
pub mod seal;
pub mod store;
pub mod sysext;
mod touched;
mod undo;
pub mod verify;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::apply::{self, Done};
use crate::io::Console;
use crate::io::exec;
use crate::io::root::{Change, Root, SFlag};
use crate::model::plan::{Item, Plan};
use crate::model::problem::{Failure, In as _, Problem, Stage, WithCure as _};
use crate::plan::BINARY;
use conflicts::{Kind, View};
use location::Location;
use lock::{Artifact, CURRENT, Install, LOCK, Lock, OWN_ARCHITECTURE};
use node::{Choices, Userdata};
use progress::Progress;
use store::{Link, Origin, ROOT, Stocked};
use touched::Touched;

/// The directory of the lock, the record, the store and the list of what footplate made.
const OWN_DIRECTORY: &str = "/opt/footplate";

/// What was baked, for `verify`.
const RECORD: &str = "/opt/footplate/baked.json";

const MAX_RECORD: usize = 4 << 20;

/// The name of footplate's own artifact.
const OWN_NAME: &str = "footplate";

/// What a bake is asked for.
pub struct Order<'a> {
    /// The lock.
    pub lock: &'a Lock,
    /// Its bytes, which stay with the image.
    pub bytes: &'a [u8],
    /// Where the artifacts come from.
    pub origin: Origin,
    /// How many come at once.
    pub jobs: usize,
    /// Which user-data.
    pub userdata: Userdata,
    /// Whether containerd gets a configuration.
    pub containerd_config: bool,
    /// The pause image for it, instead of the one that kubeadm names.
    pub pause_image: Option<String>,
    /// Kinds of conflict that are no reason to refuse.
    pub allow: Vec<Kind>,
}

/// What was baked: what `verify` holds an image against, whichever version of footplate it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this form. A reader takes what it knows of a newer one.
    pub version: u32,
    /// The flavour.
    pub userdata: Userdata,
    /// Kinds of conflict that were allowed, by name: a newer footplate may know more of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// footplate itself, where the lock does not bring it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footplate: Option<Artifact>,
    /// Files of the rest of the node.
    pub files: Vec<RecordedFile>,
    /// Its links.
    pub links: Vec<RecordedLink>,
}

/// A file that was baked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Its path.
    pub path: String,
    /// Its permission bits in octal.
    pub mode: String,
    /// Its digest.
    pub sha256: String,
}

/// A link that was baked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLink {
    /// Its path.
    pub path: String,
    /// What it says.
    pub target: String,
}

/// What a bake did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Baked {
    /// Each artifact's name and how it came.
    pub artifacts: BTreeMap<String, Stocked>,
    /// What was changed.
    pub changed: Vec<Touched>,
    /// How many were right already.
    pub unchanged: usize,
    /// What a person should know.
    #[serde(rename = "findings", serialize_with = "touched::findings")]
    pub notes: Vec<String>,
}

/// Reads what was baked; `None` where nothing was.
///
/// # Errors
/// It is there and broken.
pub fn record(root: &Root) -> Result<Option<Record>> {
    let Some(bytes) = root.read(RECORD, MAX_RECORD)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).context(RECORD)
}

/// Reads the lock of an image; `None` where nothing was baked.
///
/// # Errors
/// It is there and broken.
pub fn baked_lock(root: &Root) -> Result<Option<Lock>> {
    let Some(bytes) = root.read(LOCK, lock::MAX_LOCK)? else { return Ok(None) };
    Ok(Some(Lock::parse(&bytes).map_err(|f| anyhow!(f)).context(LOCK)?))
}

/// The lock's artifacts and footplate's own.
fn with_own(lock: &Lock, own: Option<&Artifact>) -> Lock {
    let mut all = lock.clone();
    all.artifacts.extend(own.cloned());
    all
}

/// footplate's own program as an artifact, unless the lock brings one.
fn own_artifact(lock: &Lock) -> Result<Option<Artifact>> {
    let brought = |a: &Artifact| a.name == OWN_NAME || a.install.iter().any(|i| i.to == BINARY);
    if lock.artifacts.iter().any(brought) {
        return Ok(None);
    }
    if lock.arch != OWN_ARCHITECTURE {
        let what = format!("this footplate is for {OWN_ARCHITECTURE}, the lock for {}", lock.arch);
        return Err(anyhow!(what))
            .cure("add footplate for that architecture to the lock, with `to: /opt/bin/footplate`");
    }
    let own = crate::io::open(exec::OWN_PROGRAM.as_ref()).context(exec::OWN_PROGRAM)?;
    Ok(Some(Artifact {
        name: OWN_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The path as such: what is recorded must not depend on where the program was run from.
        url: format!("file://{}", exec::OWN_PROGRAM),
        sha256: Some(store::digest_of(own)?),
        sha512: None,
        install: vec![Install { from: String::new(), to: BINARY.to_owned(), mode: "0755".to_owned() }],
    }))
}

/// Where Flatcar's OEM partition is mounted. Older releases have it below `/usr`, with a link at neither place in an image that
/// is looked at from outside.
fn oem_dir(root: &Root) -> Result<&'static str> {
    let is_dir =
        |path| Ok::<_, anyhow::Error>(root.meta_of_link(path)?.is_some_and(|m| m.kind == SFlag::S_IFDIR));
    Ok(if !is_dir("/oem")? && is_dir("/usr/share/oem")? { "/usr/share/oem" } else { "/oem" })
}

/// Bakes: brings all artifacts in, and then, when nothing is missing any more, puts them in use with the rest of the node.
///
/// # Errors
/// What could not be fetched, verified or installed. What was in use before is in use still, unless the disk refused in the
/// last step; the same bake again completes it then.
pub fn bake(root: &Root, order: &Order<'_>, progress: &Progress) -> Result<Baked, Failure> {
    architecture::refuse(root, order.lock).stage(Stage::Install)?;
    let own = own_artifact(order.lock).stage(Stage::Install)?;
    let mut baked = Baked::default();
    let mut stocked = store::stock(root, order.lock, &order.origin, order.jobs, progress)?;
    if let Some(own) = &own {
        let lock = Lock { artifacts: vec![own.clone()], ..order.lock.clone() };
        stocked.extend(store::stock(root, &lock, &Origin::default(), 1, progress)?);
    }
    baked.artifacts = stocked;
    let all = with_own(order.lock, own.as_ref());
    let wanted = wanted_pause_image(root, order.lock);
    let choices =
        Choices { userdata: order.userdata, pause_image: pause_image(order, &wanted).stage(Stage::Install)? };
    let oem = oem_dir(root).stage(Stage::Install)?;
    let plan = node::plan(order.lock, &choices, oem);
    let links = links(root, &all).stage(Stage::Install)?;
    let in_the_way = refuse_conflicts(root, order, &links, &plan, wanted.ok().flatten())?;
    let new = New { own, all: &all, plan: &plan, links: &links, in_the_way: &in_the_way };
    clear(root, &new).stage(Stage::Install)?;
    // All that could refuse the plan, before anything is put in use.
    apply::compare(new.plan, root).stage(Stage::Install)?;
    install(root, order, new, &mut baked).stage(Stage::Install)?;
    if order.userdata == Userdata::CloudConfig {
        let device = |path: &str| Ok::<_, anyhow::Error>(root.meta(path)?.map(|m| m.device));
        if device(oem).stage(Stage::Install)? == device("/").stage(Stage::Install)? {
            baked.notes.push(format!(
                "{oem} is not a mount point here, and Ignition reads config.ign from the OEM partition only: mount that partition there and bake again"
            ));
        }
    }
    Ok(baked)
}

/// What a bake puts in use.
struct New<'a> {
    own: Option<Artifact>,
    all: &'a Lock,
    plan: &'a Plan,
    links: &'a [Link],
    /// Files of others that give way.
    in_the_way: &'a [String],
}

/// Refuses what can't stand beside each other, all of it at once. Answers the files that may be replaced.
fn refuse_conflicts(
    root: &Root,
    order: &Order<'_>,
    links: &[Link],
    plan: &Plan,
    pause_image: Option<String>,
) -> Result<Vec<String>, Failure> {
    let look = || -> Result<_> {
        let view = View::with(root, order.lock, plan, pause_image);
        let units: Vec<String> = plan
            .items
            .iter()
            .filter_map(|item| match item {
                Item::File(file) => Some(file.path.clone()),
                _ => None,
            })
            .collect();
        let mut found = conflicts::find(&view, links, &units)?;
        let (foreign, paths) = conflicts::foreign(root, links, plan, record(root)?.as_ref())?;
        found.extend(foreign);
        found.retain(|c| !order.allow.contains(&c.kind));
        Ok((found, paths))
    };
    let (found, paths) = look().stage(Stage::Install)?;
    if found.is_empty() {
        return Ok(paths);
    }
    let mut problems: Vec<Problem> = found.iter().map(|c| Problem::error("", c.to_string())).collect();
    let cure = "nothing was put in use; choose, and bake again: what came in stays in the store";
    problems[0].cure = Some(cure.to_owned());
    Err(Failure { stage: Stage::Install, problems })
}

/// Removes the files that give way.
fn clear(root: &Root, new: &New<'_>) -> Result<()> {
    for path in new.in_the_way {
        // A link is put over a file in one step; what the plan has, it does not put over something else.
        if new.links.iter().all(|l| l.path != *path) {
            root.remove_tree(path)?;
        }
    }
    Ok(())
}

/// Puts in use what is in the store.
fn install(root: &Root, order: &Order<'_>, new: New<'_>, baked: &mut Baked) -> Result<()> {
    let stale = stale(root, new.links, new.plan)?;
    let record = recorded(order, new.own, new.plan);
    let mut note = |item: Touched, change: Change| baked.note(root, item, change);
    let before = |path: &str| Touched::before(root, path);
    note(before(LOCK)?, root.put(LOCK, order.bytes, 0o644, ROOT)?)?;
    for artifact in &new.all.artifacts {
        let current = format!("{}/{}/{}", store::STORE, artifact.name, CURRENT);
        note(before(&current)?, store::use_version(root, artifact)?)?;
    }
    for link in new.links {
        note(before(&link.path)?, store::put(root, link)?)?;
    }
    for outcome in apply::apply_to_image(new.plan, root)? {
        let change = if outcome.done == Done::Unchanged { Change::Unchanged } else { Change::Changed };
        let path = outcome.what.split_once(' ').map_or("", |(_, path)| path);
        note(before(path)?.created(outcome.done == Done::Absent), change)?;
    }
    for path in stale {
        note(before(&path)?, root.remove(&path)?)?;
    }
    // The last: with it the image is what it says.
    note(before(RECORD)?, root.put(RECORD, &serde_json::to_vec_pretty(&record)?, 0o644, ROOT)?)
}

/// Lays a node's programs out as its lock says, before anything needs them; `None` where the image has no lock.
///
/// # Errors
/// As [`store::lay_out`].
pub fn lay_out(root: &Root) -> Result<Option<Vec<String>>, Failure> {
    let Some(lock) = baked_lock(root).stage(Stage::Install)? else { return Ok(None) };
    let record = record(root).stage(Stage::Install)?;
    let own = record.and_then(|r| r.footplate);
    // footplate runs from what is there: it is linked, and never fetched.
    let own_is_whole = match &own {
        Some(own) => store::manifest(root, own).stage(Stage::Install)?.is_some(),
        None => false,
    };
    let all = with_own(&lock, own.as_ref().filter(|_| own_is_whole));
    store::lay_out(root, &all, &Progress::new(Console::silent())).map(Some)
}

/// All links of a lock whose artifacts are in the store.
///
/// # Errors
/// An artifact is missing there, or two of them claim one path.
pub fn links(root: &Root, lock: &Lock) -> Result<Vec<Link>> {
    let mut links: Vec<Link> = Vec::new();
    for artifact in &lock.artifacts {
        let manifest = store::manifest(root, artifact)?;
        let manifest = manifest.with_context(|| format!("{} is not in the store", artifact.name))?;
        links.extend(store::places(artifact, &manifest));
    }
    links.sort();
    match links.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(anyhow!("{}: {} and {} both go there", pair[0].path, pair[0].file, pair[1].file))
            .cure("name the parts of one of them in the lock"),
        None => Ok(links),
    }
}

/// What an earlier bake put in place and this one does not, as long as it is untouched.
fn stale(root: &Root, links: &[Link], plan: &Plan) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    let Some(before) = record(root)? else { return Ok(stale) };
    // A lock that can't be read any more tells nothing of what was in place.
    if let Ok(Some(lock)) = baked_lock(root) {
        let lock = with_own(&lock, before.footplate.as_ref());
        for link in self::links(root, &lock).unwrap_or_default() {
            let ours = root.link_target(&link.path)? == Some(store::target(root, &link)?);
            if ours && links.iter().all(|l| l.path != link.path) {
                stale.push(link.path);
            }
        }
    }
    let planned = |path: &str| {
        plan.items.iter().any(|item| match item {
            Item::File(file) => file.path == path,
            Item::Link(link) => link.path == path,
            _ => false,
        })
    };
    for file in before.files.iter().filter(|f| !planned(&f.path)) {
        let have = root.read(&file.path, MAX_RECORD)?;
        if have.is_some_and(|h| store::digest_of(&h[..]).is_ok_and(|d| d == file.sha256)) {
            stale.push(file.path.clone());
        }
    }
    for link in before.links.iter().filter(|l| !planned(&l.path)) {
        if root.link_target(&link.path)?.as_ref() == Some(&link.target) {
            stale.push(link.path.clone());
        }
    }
    Ok(stale)
}

fn recorded(order: &Order<'_>, footplate: Option<Artifact>, plan: &Plan) -> Record {
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for item in &plan.items {
        match item {
            Item::File(file) => files.push(RecordedFile {
                path: file.path.clone(),
                mode: format!("{:04o}", file.mode),
                // Bytes in memory: reading them can't fail.
                sha256: store::digest_of(file.content.expose()).unwrap_or_default(),
            }),
            Item::Link(link) => {
                links.push(RecordedLink { path: link.path.clone(), target: link.target.clone() });
            }
            _ => {}
        }
    }
    let mut allowed: Vec<String> = order.allow.iter().map(|kind| kind.name().to_owned()).collect();
    allowed.sort();
    allowed.dedup();
    Record { version: 1, userdata: order.userdata, allowed, footplate, files, links }
}

/// The pause image that the lock's kubeadm pulls, where it can be asked.
fn wanted_pause_image(root: &Root, lock: &Lock) -> Result<Option<String>> {
    lock.artifact("kubeadm").map_or(Ok(None), |kubeadm| kubeadm_pause_image(root, lock, kubeadm))
}

/// The pause image for containerd's configuration: the one asked for, or the one that this kubeadm pulls.
fn pause_image(order: &Order<'_>, wanted: &Result<Option<String>>) -> Result<Option<String>> {
    if !order.containerd_config {
        return Ok(None);
    }
    match (&order.pause_image, wanted) {
        (Some(image), _) | (None, Ok(Some(image))) => Ok(Some(image.clone())),
        (None, Ok(None)) => Err(anyhow!("the pause image is not known: there is no kubeadm that tells it"))
            .cure("name it with --pause-image"),
        (None, Err(error)) => Err(anyhow!("kubeadm can't be asked for its pause image: {error:#}"))
            .cure("name it with --pause-image"),
    }
}

/// The pause image that a stored kubeadm pulls; `None` where it can't run here or names none.
///
/// # Errors
/// It can't be started.
pub fn kubeadm_pause_image(root: &Root, lock: &Lock, kubeadm: &Artifact) -> Result<Option<String>> {
    if lock.arch != OWN_ARCHITECTURE {
        return Ok(None);
    }
    let program = root.outside(&format!("{}/{}", store::directory(kubeadm), kubeadm.stored_name()))?;
    // With a version named, kubeadm does not ask the network for one.
    let args = ["config", "images", "list", "--kubernetes-version", kubeadm.version.as_str()];
    let answer = exec::answer_of(&program.path(), &args)?;
    Ok(answer.lines().map(str::trim).find(|l| l.contains("/pause:")).map(str::to_owned))
}

/// Where `--from` points.
///
/// # Errors
/// It is an address that nothing is fetched from.
pub fn origin(from: Option<&str>, patience: Option<Duration>) -> Result<Origin, Failure> {
    let from = from.map(Location::of);
    if let Some(Location::Url(url)) = &from
        && !url.starts_with("https://")
        && !url.starts_with("http://")
    {
        return Err(anyhow!("--from: is neither a directory nor an https:// or http:// address"))
            .stage(Stage::Usage);
    }
    Ok(Origin { from, until: patience.and_then(|time| Instant::now().checked_add(time)) })
}
