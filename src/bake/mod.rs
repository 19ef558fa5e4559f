// SPDX-License-Identifier: Apache-2.0
//! Builds images: Kubernetes' programs from a lock file, the rest of a node, and the checks that both are as they shall be.
//!
//! [`lock`] says what an image holds, [`store`] brings it in and keeps it, [`node`] is the rest, [`conflicts`] what can't stand
//! beside it, [`verify`] tells whether all is there, [`seal`] makes the image one that has not booted.

pub mod lock;
pub mod node;
pub mod progress;
pub mod store;
pub mod tar;
pub mod verify;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::apply::{self, Done};
use crate::error::{Failure, In as _, Stage, WithHint as _};
use crate::io::exec;
use crate::io::fetch::{self, Location};
use crate::io::root::{Change, Root, SFlag};
use crate::model::plan::{Item, Plan};
use crate::plan::BINARY;
use lock::{Artifact, Install, LOCK, Lock, OWN_ARCHITECTURE};
use node::{Choices, Userdata};
use progress::Progress;
use store::{Link, Origin, ROOT, Stocked};

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
}

/// What was baked: what `verify` holds an image against, whichever version of footplate it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this form. A reader takes what it knows of a newer one.
    pub version: u32,
    /// The flavour.
    pub userdata: Userdata,
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
    /// The paths that were changed.
    pub changed: Vec<String>,
    /// How many were as they shall be.
    pub unchanged: usize,
    /// What a person should know.
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
            .hint("name a footplate for that architecture in the lock, to /opt/bin/footplate");
    }
    let own = fetch::open(&Location::of(exec::OWN_PROGRAM), 0)?.context(exec::OWN_PROGRAM)?;
    Ok(Some(Artifact {
        name: OWN_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The path as such: what is recorded must not depend on where the program was run from.
        url: format!("file://{}", exec::OWN_PROGRAM),
        sha256: Some(store::digest_of(own.body)?),
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
    let own = own_artifact(order.lock).stage(Stage::Install)?;
    let mut baked = Baked::default();
    let mut stocked = store::stock(root, order.lock, &order.origin, order.jobs, progress)?;
    if let Some(own) = &own {
        let lock = Lock { artifacts: vec![own.clone()], ..order.lock.clone() };
        stocked.extend(store::stock(root, &lock, &Origin::default(), 1, progress)?);
    }
    baked.artifacts = stocked;
    let all = with_own(order.lock, own.as_ref());
    let pause_image = pause_image(root, order).stage(Stage::Install)?;
    let choices = Choices { userdata: order.userdata, pause_image };
    let plan = node::plan(order.lock, &choices, oem_dir(root).stage(Stage::Install)?);
    install(root, order, own, &all, &plan, &mut baked).stage(Stage::Install)?;
    Ok(baked)
}

/// Puts in use what is in the store.
fn install(
    root: &Root,
    order: &Order<'_>,
    own: Option<Artifact>,
    all: &Lock,
    plan: &Plan,
    baked: &mut Baked,
) -> Result<()> {
    // All that could refuse the plan, before anything changes.
    apply::compare(plan, root)?;
    let links = links(root, all)?;
    let stale = stale(root, &links, plan)?;
    let record = recorded(order.userdata, own, plan);
    let mut note = |path: &str, change: Change| match change {
        Change::Changed => baked.changed.push(path.to_owned()),
        Change::Unchanged => baked.unchanged += 1,
    };
    note(LOCK, root.put(LOCK, order.bytes, 0o644, ROOT)?);
    for artifact in &all.artifacts {
        note(
            &format!("{}/{}/{}", store::STORE, artifact.name, store::CURRENT),
            store::use_version(root, artifact)?,
        );
    }
    for link in &links {
        note(&link.path, store::put(root, link)?);
    }
    for outcome in apply::apply(plan, root, |_| {})? {
        let change = if outcome.done == Done::Unchanged { Change::Unchanged } else { Change::Changed };
        note(outcome.what.split_once(' ').map_or("", |(_, path)| path), change);
    }
    for path in stale {
        note(&path, root.remove(&path)?);
    }
    // The last: with it the image is what it says.
    note(RECORD, root.put(RECORD, &serde_json::to_vec_pretty(&record)?, 0o644, ROOT)?);
    Ok(())
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
        Some(pair) => Err(anyhow!("{}: both {} and {} go there", pair[0].path, pair[0].file, pair[1].file))
            .hint("name the parts of one of them in the lock"),
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
            Item::Link { path: link, .. } => link == path,
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

fn recorded(userdata: Userdata, footplate: Option<Artifact>, plan: &Plan) -> Record {
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for item in &plan.items {
        match item {
            Item::File(file) => files.push(RecordedFile {
                path: file.path.clone(),
                mode: format!("{:04o}", file.mode),
                // Bytes in memory: reading them can't fail.
                sha256: store::digest_of(file.content.expose()).unwrap_or_default(),
            }),
            Item::Link { path, target } => {
                links.push(RecordedLink { path: path.clone(), target: target.clone() });
            }
            _ => {}
        }
    }
    Record { version: 1, userdata, footplate, files, links }
}

/// The pause image for containerd's configuration: the one asked for, or the one that this kubeadm pulls.
fn pause_image(root: &Root, order: &Order<'_>) -> Result<Option<String>> {
    if !order.containerd_config {
        return Ok(None);
    }
    if let Some(image) = &order.pause_image {
        return Ok(Some(image.clone()));
    }
    let asked = order.lock.artifact("kubeadm").map(|kubeadm| kubeadm_pause_image(root, order.lock, kubeadm));
    match asked {
        Some(Ok(Some(image))) => Ok(Some(image)),
        Some(Err(error)) => Err(error).hint("name it with --pause-image"),
        Some(Ok(None)) | None => Err(anyhow!("no kubeadm that could be asked for its pause image"))
            .hint("name it with --pause-image"),
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
    // With its version named it asks nobody.
    let args = ["config", "images", "list", "--kubernetes-version", kubeadm.version.as_str()];
    let answer = exec::answer_of(&program.path(), &args)?;
    Ok(answer.lines().map(str::trim).find(|l| l.contains("/pause:")).map(str::to_owned))
}

/// Where `--from` points.
pub fn origin(from: Option<&str>) -> Origin {
    Origin { from: from.map(Location::of) }
}
