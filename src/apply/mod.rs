// SPDX-License-Identifier: Apache-2.0
//! Makes a root as its [`Plan`] pictures it, and says of each thing whether it was so already.

pub mod accounts;
mod disks;
mod partitions;
mod units;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::error::WithCure as _;
use crate::io::root::{Change, Ids, Meta, Root, SFlag};
use crate::io::systemd::Systemd;
use crate::io::{self, live};
use crate::model::config::{Existing, Partition, UnitSpec};
use crate::model::plan::{Directory, File, Item, Link, Plan};
use accounts::Accounts;

/// Most of a file that is compared or appended to.
const MAX_FILE: usize = 64 << 20;

/// Time that a unit of [`Item::Run`] has; its own time-out is shorter.
const RUN_LIMIT: std::time::Duration = std::time::Duration::from_secs(1800);

/// What became of one thing of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The thing, `file /etc/hosts` for instance; no value.
    pub what: String,
    /// What was done, or would be.
    pub done: Done,
    /// What a person should know of it: how it differed, or why it was left out.
    pub detail: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was as pictured.
    Unchanged,
    /// Nothing stood there: what [`compare`] tells apart from a change.
    Absent,
    /// It is now as pictured, or would be.
    Changed,
    /// It could not be done here and the detail says why; the rest stands without it.
    LeftOut,
}

/// What a plan makes, for who has no root to compare it with: each thing, and of files and units how they shall be.
pub fn outline(plan: &Plan) -> Vec<(String, String)> {
    let detail = |item: &Item| match item {
        Item::Directory(d) => format!("{:04o} {}", d.mode, d.owner),
        Item::File(f) => describe(f),
        Item::Unit(u) => describe_unit(u),
        Item::Run { reason, .. } => (*reason).to_owned(),
        _ => String::new(),
    };
    plan.items.iter().map(|item| (name(item), detail(item))).collect()
}

/// Checks what can be checked before anything is written: owners exist, paths are what they are taken for. With
/// `dry`, goes on to tell what would change.
///
/// # Errors
/// All reasons why the plan can't be applied, one a line.
pub fn compare(plan: &Plan, root: &Root) -> Result<Vec<Outcome>> {
    let mut accounts = Accounts::read(root)?;
    let (mut outcomes, mut problems) = (Vec::new(), Vec::new());
    let mut partitioned = false;
    for item in &plan.items {
        match compare_item(item, root, &mut accounts) {
            Ok(outcome) => {
                let changes = matches!(outcome.done, Done::Absent | Done::Changed);
                partitioned |= matches!(item, Item::Disk(_)) && changes;
                outcomes.push(outcome);
            }
            // What stands in its way now may be gone by then.
            Err(_) if partitioned && matches!(item, Item::Filesystem(_)) => {
                let detail = "on a disk that is partitioned anew".to_owned();
                outcomes.push(Outcome { what: name(item), done: Done::Absent, detail });
            }
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    if problems.is_empty() { Ok(outcomes) } else { Err(anyhow!(problems.join("\n"))) }
}

/// Applies a plan that [`compare`] found sound. On a live root units are restarted where their files changed. What fails
/// does not keep the rest of its step from being done, so that all failures are told at once; later steps, which may
/// build on it, are not begun, and nothing then lets the bootstrap start.
///
/// # Errors
/// All that could not be done, one a line.
pub fn apply(plan: &Plan, root: &Root, mut seen: impl FnMut(&Outcome)) -> Result<Vec<Outcome>> {
    let mut accounts = Accounts::read(root)?;
    let (mut outcomes, mut restarts): (Vec<Outcome>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut changed: Vec<(&UnitSpec, units::Changes)> = Vec::new();
    let mut problems: Vec<anyhow::Error> = Vec::new();
    let mut failed = None;
    for item in &plan.items {
        let permits =
            plan.bootstrap.as_ref().is_some_and(|b| matches!(item, Item::File(f) if f.path == b.permit));
        if failed.is_some_and(|step| step != Step::of(item) || permits) {
            break;
        }
        // The bootstrap's own unit is started by whoever follows it.
        let bootstrap = |unit: &UnitSpec| plan.bootstrap.as_ref().is_some_and(|b| b.unit == unit.name);
        let applied = match item {
            Item::Unit(unit) => units::put(unit, root).map(|changes| {
                if changes.any() == Change::Changed && !bootstrap(unit) {
                    changed.push((unit, changes));
                }
                outcome(item, changes.any(), describe_unit(unit))
            }),
            _ => apply_item(item, root, &mut accounts),
        };
        let applied = applied.with_context(|| name(item)).or_else(|error| match io::cure(&error) {
            Some(cure) => Err(error).cure(cure),
            None => Err(error),
        });
        match applied {
            Ok(outcome) => {
                seen(&outcome);
                if let (Item::File(File { restart: Some(unit), .. }), Done::Changed) = (item, outcome.done)
                    && !restarts.contains(unit)
                {
                    restarts.push(unit);
                }
                outcomes.push(outcome);
            }
            Err(error) => {
                failed = Some(Step::of(item));
                problems.push(error);
            }
        }
    }
    // One alone keeps its causes and its cure.
    if problems.len() == 1 {
        return Err(problems.remove(0));
    }
    if !problems.is_empty() {
        return Err(anyhow!(problems.iter().map(|p| format!("{p:#}")).collect::<Vec<_>>().join("\n")));
    }
    if root.live() && !restarts.is_empty() {
        let systemd = Systemd::connect()?;
        systemd.reload()?;
        let restart = |unit: &str| {
            let result = systemd.wait(systemd.start("ReloadOrRestartUnit", unit)?, RUN_LIMIT)?;
            if result == "done" { Ok(()) } else { Err(anyhow!("restarting {unit}: {result}")) }
        };
        let failed: Vec<String> =
            restarts.into_iter().filter_map(|unit| restart(unit).err()).map(|e| format!("{e:#}")).collect();
        if !failed.is_empty() {
            bail!(failed.join("\n"));
        }
    }
    if root.live() && !changed.is_empty() {
        units::start(&changed)?;
    }
    Ok(outcomes)
}

/// Steps that build on each other: filesystems are on disks, users own files, files stand on what is mounted and are the settings of what runs.
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
    fn of(item: &Item) -> Self {
        match item {
            Item::Disk(_) => Self::Disks,
            Item::Filesystem(_) => Self::Filesystems,
            Item::Mounted { .. } => Self::Mounts,
            Item::Group(_) | Item::User(_) => Self::Users,
            Item::Hostname(_)
            | Item::Directory(_)
            | Item::File(_)
            | Item::Link(_)
            | Item::Absent(_)
            | Item::Unit(_) => Self::Files,
            Item::Run { .. } => Self::Run,
        }
    }
}

/// What an item is called in messages.
fn name(item: &Item) -> String {
    match item {
        Item::Hostname(_) => "hostname".to_owned(),
        Item::Directory(d) => format!("directory {}", d.path),
        Item::File(f) => format!("file {}", f.path),
        Item::Link(link) => format!("link {}", link.path),
        Item::Absent(path) => format!("no file {path}"),
        Item::Group(g) => format!("group {}", g.name),
        Item::User(u) => format!("user {}", u.name),
        Item::Disk(d) => format!("disk {}", d.device),
        Item::Filesystem(f) => match f.partition {
            Partition::Number(number) => format!("filesystem {} partition {number}", f.device),
            _ => format!("filesystem {}", f.device),
        },
        Item::Mounted { path: Some(path), .. } => format!("mount {path}"),
        Item::Mounted { what, .. } => format!("swap {what}"),
        Item::Unit(u) => format!("unit {}", u.name),
        Item::Run { unit, .. } => format!("run {unit}"),
    }
}

fn outcome(item: &Item, change: Change, detail: impl Into<String>) -> Outcome {
    let done = if change == Change::Changed { Done::Changed } else { Done::Unchanged };
    Outcome { what: name(item), done, detail: detail.into() }
}

/// What of a unit is said in messages.
fn describe_unit(unit: &UnitSpec) -> String {
    let words = [
        (unit.contents.is_some(), "file"),
        (!unit.dropins.is_empty(), "drop-ins"),
        (unit.enabled == Some(true), "enabled"),
        (unit.enabled == Some(false), "disabled"),
        (unit.mask == Some(true), "masked"),
    ];
    words.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

fn describe_link(link: &Link) -> String {
    format!("{} {}", if link.hard { "=" } else { "->" }, link.target)
}

/// How a file is described: bits, owner, size.
fn describe(file: &File) -> String {
    let how = if file.append { ", appended" } else { "" };
    format!("{:04o} {} {} bytes{how}", file.mode, file.owner, file.content.len())
}

fn file_ids(file: &File, accounts: &Accounts) -> Result<Ids> {
    accounts.ids(&file.owner).map_err(|e| anyhow!("{}.owner: {e} on this machine or among users", file.place))
}

/// What the file shall hold: its content, or what it holds with the content behind it.
fn wanted(file: &File, have: Option<Vec<u8>>) -> Vec<u8> {
    let content = file.content.expose();
    match have {
        Some(have) if file.append && have.ends_with(content) => have,
        Some(have) if file.append => [&have, content].concat(),
        Some(have) if matches!(file.existing, Existing::Kept { .. }) => have,
        _ => content.to_vec(),
    }
}

/// What became of a disk or a filesystem, or would.
fn on_disk(item: &Item, root: &Root, look: impl FnOnce() -> Result<disks::Todo>) -> Result<Outcome> {
    if !root.live() {
        let detail = "disks are the running machine's".to_owned();
        return Ok(Outcome { what: name(item), done: Done::LeftOut, detail });
    }
    let todo = look()?;
    Ok(Outcome { what: name(item), done: todo.done, detail: todo.detail })
}

/// Starts the unit of a mount or a swap device.
fn start_mount(place: &str, unit: &str) -> Result<()> {
    let systemd = Systemd::connect()?;
    systemd.reload()?;
    let job = systemd.start("StartUnit", unit)?;
    let result = systemd.wait(job, RUN_LIMIT)?;
    if result == "done" {
        return Ok(());
    }
    Err(anyhow!("{place}: {unit} ended as {result}")).cure(format!("look at `systemctl status '{unit}'`"))
}

/// Bits and owner that the file shall have, where one is there already by what becomes of it.
fn bits(file: &File, meta: Option<Meta>, ids: Ids) -> (u32, Ids) {
    let (Existing::Kept { mode, owner }, Some(meta)) = (file.existing, meta) else { return (file.mode, ids) };
    (if mode { file.mode } else { meta.mode }, if owner { ids } else { Ids::default() })
}

/// Refuses a file that is there already where the data does not want it replaced. One that is as the data wants it is
/// what an earlier run left.
fn check_existing(file: &File, root: &Root) -> Result<()> {
    if file.existing != Existing::Refused || !root.stands(&file.path)? {
        return Ok(());
    }
    let link = root.link_target(&file.path)?.is_some();
    if link || root.read(&file.path, MAX_FILE)?.is_none_or(|have| have != file.content.expose()) {
        return Err(anyhow!("{}: {} is there already, and overwrite is false", file.place, file.path));
    }
    Ok(())
}

fn compare_item(item: &Item, root: &Root, accounts: &mut Accounts) -> Result<Outcome> {
    let absent = match item {
        Item::Hostname(_) => root.meta("/etc/hostname")?.is_none(),
        Item::Directory(Directory { path, .. }) | Item::File(File { path, .. }) => root.meta(path)?.is_none(),
        Item::Link(link) => !root.stands(&link.path)?,
        Item::Group(group) => accounts.gid(&group.name).is_none(),
        Item::User(user) => accounts.home(&user.name).is_none(),
        Item::Unit(unit) => {
            unit.contents.is_some() && !root.stands(&format!("/etc/systemd/system/{}", unit.name))?
        }
        _ => false,
    };
    let outcome = |changed: bool, detail: String| Outcome {
        what: name(item),
        done: match (changed, absent) {
            (false, _) => Done::Unchanged,
            (true, true) => Done::Absent,
            (true, false) => Done::Changed,
        },
        detail,
    };
    Ok(match item {
        Item::Hostname(name) => {
            let have = root.read("/etc/hostname", MAX_FILE)?.unwrap_or_default();
            outcome(have != format!("{name}\n").as_bytes(), name.clone())
        }
        Item::Directory(dir) => {
            let ids = settable(root, accounts.ids(&dir.owner)?);
            let meta = root.meta(&dir.path)?;
            if meta.is_some_and(|m| m.kind != SFlag::S_IFDIR) {
                bail!("{}: is there already and no directory", dir.path);
            }
            let same = meta.is_some_and(|m| m.is(if dir.keep { m.mode } else { dir.mode }, ids));
            outcome(!same, format!("{:04o} {}", dir.mode, dir.owner))
        }
        Item::File(file) => {
            let ids = settable(root, file_ids(file, accounts)?);
            let meta = root.meta(&file.path)?;
            match meta.map(|m| m.kind) {
                None => root
                    .check_dirs(file.path.rsplit_once('/').map_or("", |(above, _)| above))
                    .with_context(|| file.place.clone())?,
                Some(SFlag::S_IFREG) => {}
                Some(SFlag::S_IFDIR) => bail!("{}: {} is a directory", file.place, file.path),
                // Replacing a device node or a FIFO by a file is never what was meant.
                Some(_) => bail!("{}: {} is no regular file", file.place, file.path),
            }
            check_existing(file, root)?;
            let (mode, ids) = bits(file, meta, ids);
            let same = meta.is_some_and(|m| m.is(mode, ids));
            let gives_way = file.existing == Existing::Replaced && root.link_target(&file.path)?.is_some();
            let have = if gives_way { None } else { root.read(&file.path, MAX_FILE)? };
            let same = same && have.as_ref().is_some_and(|h| *h == wanted(file, Some(h.clone())));
            outcome(!same, describe(file))
        }
        Item::Link(link) => {
            let differs = match link.hard {
                true => !root.same_file(&link.path, &link.target)?,
                false => root.link_target(&link.path)?.as_deref() != Some(&link.target),
            };
            if differs && link.existing == Existing::Refused && root.stands(&link.path)? {
                bail!("{}: {} is there already, and overwrite is false", link.place, link.path);
            }
            outcome(differs, describe_link(link))
        }
        Item::Group(group) => {
            let before = accounts.fingerprint();
            accounts.put_spec(group)?;
            outcome(before != accounts.fingerprint(), String::new())
        }
        Item::Unit(unit) => {
            outcome(units::compare(unit, root)?.any() == Change::Changed, describe_unit(unit))
        }
        Item::Absent(path) => outcome(root.meta(path)?.is_some(), "a leftover".to_owned()),
        Item::User(user) => {
            let before = accounts.fingerprint();
            accounts.put(user)?;
            if user.absent {
                return Ok(outcome(before != accounts.fingerprint(), "absent".to_owned()));
            }
            let home = accounts.home(&user.name).unwrap_or_default();
            let keys = missing_keys(root, &home, &user.ssh_keys)?;
            let changed = before != accounts.fingerprint() || !keys.is_empty();
            outcome(changed, format!("{} groups, {} keys", user.groups.len(), user.ssh_keys.len()))
        }
        Item::Run { reason, .. } => outcome(root.live(), (*reason).to_owned()),
        Item::Disk(spec) => on_disk(item, root, || disks::disk(spec))?,
        Item::Filesystem(spec) => on_disk(item, root, || disks::filesystem(spec))?,
        Item::Mounted { path, what, .. } => {
            on_disk(item, root, || Ok(disks::mounted(path.as_deref(), what)))?
        }
    })
}

fn settable(root: &Root, ids: Ids) -> Ids {
    if root.privileged() { ids } else { Ids::default() }
}

fn apply_item(item: &Item, root: &Root, accounts: &mut Accounts) -> Result<Outcome> {
    let ours = Ids { uid: Some(0), gid: Some(0) };
    Ok(match item {
        Item::Hostname(name) => {
            let mut change = root.put("/etc/hostname", format!("{name}\n").as_bytes(), 0o644, ours)?;
            if root.live() && live::set_hostname(name)? == Change::Changed {
                change = Change::Changed;
            }
            outcome(item, change, name.clone())
        }
        Item::Directory(dir) => {
            let have = root.meta(&dir.path)?.filter(|_| dir.keep).map(|m| m.mode);
            root.make_dirs(dir.path.rsplit_once('/').map_or("", |(above, _)| above), ours)?;
            let change = root.put_dir(&dir.path, have.unwrap_or(dir.mode), accounts.ids(&dir.owner)?)?;
            outcome(item, change, format!("{:04o} {}", dir.mode, dir.owner))
        }
        Item::File(file) => {
            let ids = file_ids(file, accounts)?;
            check_existing(file, root)?;
            let kept = matches!(file.existing, Existing::Kept { .. });
            let have = if file.append || kept { root.read(&file.path, MAX_FILE)? } else { None };
            if file.existing == Existing::Replaced && root.link_target(&file.path)?.is_some() {
                root.remove(&file.path)?;
            }
            if file.existing != Existing::Written {
                // Ignition's directories on the way are root's, cloud-init's are the file's owner's.
                root.make_dirs(file.path.rsplit_once('/').map_or("", |(above, _)| above), ours)?;
            }
            let (mode, ids) = bits(file, root.meta(&file.path)?, ids);
            let change = root.put(&file.path, &wanted(file, have), mode, ids)?;
            let others = ids.uid.is_some_and(|u| u != 0) || ids.gid.is_some_and(|g| g != 0);
            let note = if others && !root.privileged() { "; owner left out: needs root" } else { "" };
            outcome(item, change, describe(file) + note)
        }
        Item::Link(link) => {
            let mut change = match (link.hard, link.existing) {
                (true, _) => root.put_hard_link(&link.path, &link.target)?,
                (false, Existing::Replaced) => root.replace_link(&link.path, &link.target)?,
                (false, _) => root.put_link(&link.path, &link.target)?,
            };
            if !link.hard {
                let ids = accounts.ids(&link.owner).with_context(|| link.place.clone())?;
                if root.chown(&link.path, ids)? == Change::Changed {
                    change = Change::Changed;
                }
            }
            outcome(item, change, describe_link(link))
        }
        Item::Group(group) => {
            accounts.put_spec(group)?;
            outcome(item, accounts.write(root)?, String::new())
        }
        Item::Absent(path) => outcome(item, root.remove(path)?, "a leftover"),
        Item::User(user) => {
            accounts.put(user)?;
            let mut change = accounts.write(root)?;
            if user.absent {
                return Ok(outcome(item, change, "absent; its home stays"));
            }
            let home = accounts.home(&user.name).unwrap_or_default();
            let ids =
                accounts.ids(&crate::model::config::Owner { user: Some(user.name.clone()), group: None })?;
            let ids = Ids { uid: ids.uid, gid: accounts.primary_group(&user.name) };
            if user.create_home && !user.system && root.meta(&home)?.is_none() {
                make_home(root, &home, ids)?;
                change = Change::Changed;
            }
            if !user.ssh_keys.is_empty() && put_keys(root, &home, &user.ssh_keys, ids)? == Change::Changed {
                change = Change::Changed;
            }
            let note = if root.privileged() { "" } else { "; owner of the home left out: needs root" };
            outcome(item, change, format!("{} groups, {} keys{note}", user.groups.len(), user.ssh_keys.len()))
        }
        Item::Run { unit, reason } if root.live() => {
            let systemd = Systemd::connect()?;
            systemd.reload()?;
            let job = systemd.start("StartUnit", unit)?;
            let result = systemd.wait(job, RUN_LIMIT)?;
            // cloud-init goes on too: the status of a script without `set -e` is that of its last line only.
            let note = if result == "done" {
                String::new()
            } else {
                format!("; it ended as {result}, see its journal")
            };
            outcome(item, Change::Changed, format!("{reason}{note}"))
        }
        Item::Disk(spec) => on_disk(item, root, || disks::put_disk(spec))?,
        Item::Filesystem(spec) => on_disk(item, root, || disks::put_filesystem(spec))?,
        Item::Mounted { place, unit, path, what } => on_disk(item, root, || {
            let todo = disks::mounted(path.as_deref(), what);
            if todo.done == Done::Unchanged {
                return Ok(todo);
            }
            start_mount(place, unit)?;
            Ok(disks::Todo { done: Done::Changed, ..todo })
        })?,
        // Units are put where their changes are kept.
        Item::Unit(unit) => outcome(item, units::put(unit, root)?.any(), describe_unit(unit)),
        Item::Run { reason, .. } => Outcome {
            what: name(item),
            done: Done::LeftOut,
            detail: format!("{reason}; starts with the next boot"),
        },
    })
}

/// A home as useradd makes it: nobody else's, with what the skeleton holds at its top.
fn make_home(root: &Root, home: &str, ids: Ids) -> Result<()> {
    root.make_dirs(home.rsplit_once('/').map_or("", |(above, _)| above), Ids { uid: Some(0), gid: Some(0) })?;
    root.put_dir(home, 0o700, ids)?;
    for name in root.list("/etc/skel")? {
        let (from, to) = (format!("/etc/skel/{name}"), format!("{home}/{name}"));
        if let Some(target) = root.link_target(&from)? {
            root.put_link(&to, &target)?;
            root.chown(&to, ids)?;
        } else if let (Some(meta), true) = (root.meta(&from)?, name != ".ssh")
            && meta.kind == SFlag::S_IFREG
        {
            let bytes = root.read(&from, MAX_FILE)?.unwrap_or_default();
            root.put(&to, &bytes, meta.mode, ids)?;
        }
    }
    Ok(())
}

/// The keys that may not log in yet. A user makes what it likes of its home: a link there must not lead root's hands to
/// a file of somebody else.
fn missing_keys(root: &Root, home: &str, keys: &[String]) -> Result<Vec<String>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    for name in ["", "/authorized_keys", "/authorized_keys.d", "/authorized_keys.d/footplate"] {
        let path = format!("{home}/.ssh{name}");
        if root.link_target(&path)?.is_some() {
            bail!("{path}: is a symbolic link");
        }
    }
    let have = root.read(&format!("{home}/.ssh/authorized_keys"), MAX_FILE)?.unwrap_or_default();
    let have = String::from_utf8_lossy(&have).into_owned();
    Ok(keys.iter().filter(|k| !have.lines().any(|l| l.trim() == k.trim())).cloned().collect())
}

/// Adds keys to those that may log in. Flatcar's update-ssh-keys makes `authorized_keys` anew from the files of
/// `authorized_keys.d` where that directory exists, so they go there too.
fn put_keys(root: &Root, home: &str, keys: &[String], ids: Ids) -> Result<Change> {
    let (dir, parts) = (format!("{home}/.ssh"), format!("{home}/.ssh/authorized_keys.d"));
    let missing = missing_keys(root, home, keys)?;
    let mut change = root.put_dir(&dir, 0o700, ids)?;
    if !missing.is_empty() {
        let path = format!("{dir}/authorized_keys");
        let mut text = root.read(&path, MAX_FILE)?.unwrap_or_default();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(missing.iter().flat_map(|k| [k.as_bytes(), b"\n"].concat()));
        change = root.put(&path, &text, 0o600, ids)?;
    }
    if root.meta(&parts)?.is_some() {
        let text: String = keys.iter().map(|k| format!("{k}\n")).collect();
        if root.put(&format!("{parts}/footplate"), text.as_bytes(), 0o600, ids)? == Change::Changed {
            change = Change::Changed;
        }
    }
    Ok(change)
}
