// SPDX-License-Identifier: Apache-2.0
//! A file system in memory, and what a power cut leaves of it.
//!
//! What is assumed of the three file systems, each with its default options on a disk that writes 512 bytes whole:
//!
//! - all: what a sync has answered for is on the disk. Of what came after it, any beginning may be there, in the order of the calls:
//!   each has one journal, or one transaction, for names, bits and owners, and commits it as a whole.
//! - all: the bytes of a file come later than its name and its bits (delayed allocation). No sync of a name brings them, and
//!   a rename over another file is not taken to bring them either (ext4's `auto_da_alloc` does).
//! - ext4 (`data=ordered`): a file's size is written after its bytes. A file may be shorter than it was written, at any 512 bytes.
//! - xfs and btrfs: a file's size is written once any of its bytes are there. What is missing below it reads as zeros: in blocks of
//!   4096 bytes, and of 512 bytes at most.
//! - ext4 and xfs: `fsync` commits the one journal, so that all names, bits and owners before it are on the disk.
//! - btrfs: `fsync` logs that one file or directory, its names and the directories above, and nothing else that came before.

use std::collections::BTreeMap;

use super::trace::Act;
use crate::common::random::Rng;

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inode {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub is: Is,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Is {
    Directory,
    File(Vec<u8>),
    Link(String),
}

/// A number that stays with a file when its name changes.
type Id = usize;

/// The root directory's.
const ROOT: Id = 0;

/// The file system: what there is, and under which name of which directory.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    inodes: BTreeMap<Id, Inode>,
    names: BTreeMap<(Id, String), Id>,
}

/// How a file system orders what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

pub const KINDS: [Kind; 3] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs];

/// What a power cut leaves of the bytes that no sync answered for.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Nothing of them is there.
    All,
    /// Each file ends early, at a multiple of this.
    Cut(usize),
    /// Of each file some blocks of this size are zeros.
    Holes(usize),
    /// All of them are there.
    None,
}

impl Kind {
    /// What may become of bytes.
    pub fn losses(self) -> &'static [Loss] {
        match self {
            Self::Ext4 => &[Loss::All, Loss::Cut(512), Loss::Cut(4096), Loss::None],
            Self::Xfs | Self::Btrfs => {
                &[Loss::All, Loss::Cut(512), Loss::Holes(512), Loss::Holes(4096), Loss::None]
            }
        }
    }
}

/// An act with the file that it is about, and the directories that it changes.
#[derive(Clone, Debug)]
struct Step {
    act: Act,
    id: Id,
    parents: Vec<Id>,
    /// How many steps are done when a sync has answered for this one, on each of [`KINDS`].
    durable: [usize; 3],
}

/// A run: what was there before, and what it did.
pub struct Run {
    start: Disk,
    steps: Vec<Step>,
}

impl Disk {
    /// A root directory with nothing in it.
    pub fn new() -> Self {
        let root = Inode { mode: 0o755, uid: 0, gid: 0, is: Is::Directory };
        Self { inodes: BTreeMap::from([(ROOT, root)]), names: BTreeMap::new() }
    }

    /// Puts something at a path; what is above it is there.
    pub fn put(&mut self, path: &str, inode: Inode) {
        let (place, id) = (self.place(path), self.inodes.len());
        self.inodes.insert(id, inode);
        self.names.insert(place, id);
    }

    fn id(&self, path: &str) -> Id {
        let step = |id, name: &str| self.names.get(&(id, name.to_owned())).copied();
        let found = path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, step);
        found.unwrap_or_else(|| panic!("{path} is not there"))
    }

    fn place(&self, path: &str) -> (Id, String) {
        let (above, name) = path.rsplit_once('/').unwrap();
        (self.id(above), name.to_owned())
    }

    /// All that has a name, by its path.
    pub fn tree(&self) -> BTreeMap<String, &Inode> {
        let (mut tree, mut open) = (BTreeMap::new(), vec![(String::new(), ROOT)]);
        while let Some((path, id)) = open.pop() {
            for ((_, name), id) in self.names.range((id, String::new())..(id + 1, String::new())) {
                let path = format!("{path}/{name}");
                tree.insert(path.clone(), &self.inodes[id]);
                open.push((path, *id));
            }
        }
        tree
    }

    /// Does what changes names, bits and owners. What is not there, since what made it is not either, stays so.
    fn change(&mut self, step: &Step, places: &[(Id, String)]) {
        let new = |mode, is| Inode { mode, uid: 0, gid: 0, is };
        let inode = match &step.act {
            Act::Directory { mode, .. } => Some(new(*mode, Is::Directory)),
            Act::File { mode, .. } => Some(new(*mode, Is::File(Vec::new()))),
            Act::Link { to, .. } => Some(new(0o777, Is::Link(to.clone()))),
            _ => None,
        };
        if let Some(inode) = inode {
            self.inodes.insert(step.id, inode);
            self.names.insert(places[0].clone(), step.id);
            return;
        }
        match &step.act {
            Act::Rename { .. } => {
                if let Some(id) = self.names.remove(&places[0]) {
                    self.names.insert(places[1].clone(), id);
                }
            }
            Act::Remove { .. } => drop(self.names.remove(&places[0])),
            act => match (act, self.inodes.get_mut(&step.id)) {
                (Act::Mode { mode, .. }, Some(inode)) => inode.mode = *mode,
                (Act::Owner { uid, gid, .. }, Some(inode)) => (inode.uid, inode.gid) = (*uid, *gid),
                _ => {}
            },
        }
    }

    fn write(&mut self, id: Id, at: usize, bytes: &[u8]) {
        if let Some(Inode { is: Is::File(have), .. }) = self.inodes.get_mut(&id) {
            have.resize(have.len().max(at + bytes.len()), 0);
            have[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

impl Step {
    fn is_sync(&self) -> bool {
        matches!(self.act, Act::Sync { .. } | Act::SyncAll)
    }

    fn is_write(&self) -> bool {
        matches!(self.act, Act::Write { .. })
    }

    /// The names that it is about.
    fn places(&self) -> Vec<(Id, String)> {
        let paths: Vec<&String> = match &self.act {
            Act::Rename { from, to } => vec![from, to],
            Act::Directory { path, .. }
            | Act::File { path, .. }
            | Act::Link { path, .. }
            | Act::Remove { path } => vec![path],
            _ => Vec::new(),
        };
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        self.parents.iter().copied().zip(paths.into_iter().map(name)).collect()
    }
}

impl Run {
    /// A run that did this on that file system, and after each step what the file system is for who reads it.
    pub fn new(start: Disk, acts: Vec<Act>, mut seen: impl FnMut(&Act, &Disk)) -> Self {
        let (mut disk, mut steps) = (start.clone(), Vec::<Step>::new());
        // The directory above, of what has had a name.
        let mut above = BTreeMap::new();
        for act in acts {
            let (id, parents) = match &act {
                Act::Directory { path, .. } | Act::File { path, .. } | Act::Link { path, .. } => {
                    (disk.inodes.len(), vec![disk.place(path).0])
                }
                Act::Rename { from, to } => (disk.id(from), vec![disk.place(from).0, disk.place(to).0]),
                Act::Remove { path } => (disk.id(path), vec![disk.place(path).0]),
                Act::Write { path, .. }
                | Act::Mode { path, .. }
                | Act::Owner { path, .. }
                | Act::Sync { path } => (disk.id(path), Vec::new()),
                Act::SyncAll => (ROOT, Vec::new()),
            };
            let step = Step { act, id, parents, durable: [usize::MAX; 3] };
            if let Some(parent) = step.parents.last() {
                above.insert(id, *parent);
            }
            match &step.act {
                Act::Write { at, bytes, .. } => disk.write(id, *at, bytes),
                _ => disk.change(&step, &step.places()),
            }
            seen(&step.act, &disk);
            steps.push(step);
            answer(&mut steps, &above);
        }
        Self { start, steps }
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// What a power cut after so many steps may leave, of whose changes of names so many of those that no sync answered for are
    /// lost.
    pub fn image(&self, kind: Kind, cut: usize, lost: usize, loss: Loss, rng: &mut Rng) -> Disk {
        let (mut disk, which) = (self.start.clone(), KINDS.iter().position(|k| *k == kind).unwrap());
        let done = &self.steps[..cut];
        let durable = |step: &Step| step.durable[which] <= cut;
        let open = done.iter().filter(|s| !s.is_sync() && !s.is_write() && !durable(s)).count();
        let mut keep = open.saturating_sub(lost);
        let mut loose: BTreeMap<Id, Vec<(usize, &[u8])>> = BTreeMap::new();
        for step in done {
            match &step.act {
                Act::Write { at, bytes, .. } if durable(step) => disk.write(step.id, *at, bytes),
                Act::Write { at, bytes, .. } => loose.entry(step.id).or_default().push((*at, bytes)),
                _ if durable(step) => disk.change(step, &step.places()),
                _ if step.is_sync() || keep == 0 => {}
                _ => {
                    keep -= 1;
                    disk.change(step, &step.places());
                }
            }
        }
        for (id, writes) in loose {
            let end = writes.iter().map(|(at, bytes)| at + bytes.len()).max().unwrap_or(0);
            let until = match loss {
                Loss::All => 0,
                Loss::Cut(unit) => rng.below(end.div_ceil(unit) + 1) * unit,
                Loss::Holes(_) | Loss::None => end,
            };
            let unit = if let Loss::Holes(unit) = loss { unit } else { end.max(1) };
            let there: Vec<bool> =
                (0..=end / unit).map(|_| !matches!(loss, Loss::Holes(_)) || rng.flip()).collect();
            for (at, bytes) in writes {
                for (i, piece) in pieces(at, bytes, unit) {
                    let piece = &piece[..piece.len().min(until.saturating_sub(i))];
                    if there[i / unit] && !piece.is_empty() {
                        disk.write(id, i, piece);
                    }
                }
            }
        }
        disk
    }
}

/// Bytes that are written at a place, parted where a block of the file ends.
fn pieces(mut at: usize, mut bytes: &[u8], unit: usize) -> Vec<(usize, &[u8])> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(bytes.len().min(unit - at % unit));
        pieces.push((at, piece));
        (at, bytes) = (at + piece.len(), rest);
    }
    pieces
}

/// Marks what the last step answers for, where it is a sync.
fn answer(steps: &mut [Step], above: &BTreeMap<Id, Id>) {
    let count = steps.len();
    let Some((last, before)) = steps.split_last_mut().filter(|(last, _)| last.is_sync()) else { return };
    let all = last.act == Act::SyncAll;
    let mut ancestors = vec![last.id];
    while let Some(parent) = ancestors.last().and_then(|id| above.get(id)) {
        ancestors.push(*parent);
    }
    for step in before {
        let own = if step.is_write() {
            step.id == last.id
        } else {
            ancestors.contains(&step.id) || step.parents.contains(&last.id)
        };
        let is_change = !step.is_write();
        for (kind, durable) in KINDS.iter().zip(&mut step.durable) {
            if all || own || (is_change && *kind != Kind::Btrfs) {
                *durable = (*durable).min(count);
            }
        }
    }
}
