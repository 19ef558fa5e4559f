// SPDX-License-Identifier: Apache-2.0
//! What a power cut leaves of a run: every file whole, as it was or as it becomes, and listed before it is made; and a second run
//! makes of it what the first would have made.
//!
//! `strace` records what the unmodified program writes, names and syncs. [`disk`] makes of the record what may be on a disk
//! when the power fails after each of these calls, and says what is assumed of ext4, xfs and btrfs.
//! `FOOTPLATE_TEARS=long cargo test --test it tears::` runs the program on each of these images, and not only on some.

mod disk;
mod trace;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use footplate::facade::apply::manifest::MANIFEST;

use crate::common::random::Rng;
use crate::common::scratch::{self, Scratch, seed, walk};
use crate::cut::{USERS, furnish, made, strace};
use disk::{Disk, Inode, Is, KINDS, Run};
use trace::Act;

/// Changes of names that are lost: those of the last calls before the cut.
const LOST: [usize; 4] = [0, 1, 3, 17];

/// Second runs of the short test, for each payload.
const SECOND_RUNS: usize = 10;

/// All versions of files and links that were whole under their names.
type Whole = BTreeMap<String, Vec<Inode>>;

fn is_volatile(path: &str) -> bool {
    path == "/run" || path.starts_with("/run/")
}

/// What stands below a root, but for `/run`, which a power cut empties.
fn load(root: &Scratch) -> Disk {
    let mut disk = Disk::new();
    for path in walk(&root.dir) {
        let inside = format!("/{}", path.strip_prefix(&root.dir).unwrap().display());
        let meta = fs::symlink_metadata(&path).unwrap();
        let is = match () {
            () if is_volatile(&inside) => continue,
            () if meta.is_dir() => Is::Directory,
            () if meta.is_symlink() => Is::Link(fs::read_link(&path).unwrap().display().to_string()),
            () => Is::File(fs::read(&path).unwrap()),
        };
        disk.put(&inside, Inode { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), is });
    }
    disk
}

/// Makes a root of an image.
fn lay_out(disk: &Disk, root: &Scratch) {
    let _ = fs::remove_dir_all(&root.dir);
    fs::create_dir_all(&root.dir).unwrap();
    for (inside, inode) in disk.tree() {
        let path = root.path(&inside);
        match &inode.is {
            Is::Directory => fs::create_dir(&path).unwrap(),
            Is::File(bytes) => fs::write(&path, bytes).unwrap(),
            Is::Link(to) => symlink(to, &path).unwrap(),
        }
        if !matches!(inode.is, Is::Link(_)) {
            chown(&path, Some(inode.uid), Some(inode.gid)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(inode.mode)).unwrap();
        }
    }
}

fn note(whole: &mut Whole, path: &str, disk: &Disk) {
    for (at, inode) in disk.tree() {
        let below = at.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let versions = whole.entry(at).or_default();
        if below && !versions.contains(inode) {
            versions.push(inode.clone());
        }
    }
}

/// What was there before a run, what it does, and all that was whole under its name before, between and after.
fn record(root: &Scratch, provision: &[&str]) -> (Disk, Vec<Act>, Whole) {
    furnish(root);
    let (start, log) = (load(root), root.dir.with_file_name("record"));
    strace(&[trace::TRACE, &["-o", log.to_str().unwrap()]].concat(), provision).ended(0, &[]);
    let mut acts = trace::read(&fs::read_to_string(&log).unwrap(), root.arg());
    // No act is about both.
    acts.retain_mut(|act| !act.paths().iter().any(|path| is_volatile(path)));
    let (mut whole, mut last) = (Whole::new(), start.clone());
    note(&mut whole, "", &start);
    Run::new(start.clone(), acts.clone(), |act, disk| {
        if let Act::Rename { to, .. } | Act::Link { path: to, .. } = act {
            note(&mut whole, to, disk);
        }
        last = disk.clone();
    });
    note(&mut whole, "", &last);
    assert_eq!(
        last.tree().keys().collect::<Vec<_>>(),
        load(root).tree().keys().collect::<Vec<_>>(),
        "the record is not what the run did"
    );
    assert!(last.tree() == load(root).tree(), "the record is not what the run did");
    (start, acts, whole)
}

/// Why an image is wrong.
fn fault(image: &Disk, whole: &Whole, before: &BTreeMap<String, &Inode>) -> Option<String> {
    let tree = image.tree();
    let list = match tree.get(MANIFEST).map(|inode| &inode.is) {
        Some(Is::File(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    for (path, inode) in &tree {
        if path.contains("/.footplate-") {
            continue;
        }
        if !matches!(inode.is, Is::Directory)
            && !whole.get(path).is_some_and(|versions| versions.contains(inode))
        {
            return Some(format!("{path} is not whole"));
        }
        let listed = path.match_indices('/').skip(1).map(|(end, _)| &path[..end]).chain([path.as_str()]);
        let own = path == MANIFEST || MANIFEST.starts_with(&format!("{path}/"));
        if !own && !before.contains_key(path) && !listed.into_iter().any(|p| list.contains(&format!("{p:?}")))
        {
            return Some(format!("{path} was made and is not in the list of what was made"));
        }
    }
    None
}

/// The images of a run, no two alike, each with what was lost.
fn images(run: &Run) -> Vec<(String, Disk)> {
    let (mut images, mut seen, mut rng) = (Vec::new(), HashSet::new(), Rng::new(18));
    for (cut, kind) in (0..=run.len()).flat_map(|cut| KINDS.map(|kind| (cut, kind))) {
        for (lost, loss) in LOST.iter().flat_map(|lost| kind.losses().iter().map(move |loss| (lost, loss))) {
            let image = run.image(kind, cut, *lost, *loss, &mut rng);
            let mut hasher = DefaultHasher::new();
            image.tree().hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                let what =
                    format!("{kind:?}, cut after {cut} calls, {lost} names lost, of the bytes {loss:?}");
                images.push((what, image));
            }
        }
    }
    images
}

/// Checks all images of a run, and runs the program again on some of them: how many of both.
fn torn(root: &Scratch, source: &[&str], long: bool) -> (usize, usize) {
    let provision = [&["provision"], source, &["--root", root.arg()]].concat();
    let (start, acts, whole) = record(root, &provision);
    let (before, wanted) = (start.tree(), made(root));
    let images_of = |acts| images(&Run::new(start.clone(), acts, |_, _| {}));
    let careless = acts.iter().filter(|act| **act != Act::SyncAll).cloned().collect();
    let is_torn = |(_, image): &(String, Disk)| fault(image, &whole, &before).is_some();
    assert!(images_of(careless).iter().any(is_torn), "the same run without a sync leaves all files whole");
    let images = images_of(acts);
    for (at, image) in &images {
        let fault = fault(image, &whole, &before);
        assert!(fault.is_none(), "{at}: {}", fault.unwrap_or_default());
    }
    let every = if long { 1 } else { images.len().div_ceil(SECOND_RUNS) };
    for (at, image) in images.iter().step_by(every) {
        lay_out(image, root);
        scratch::footplate(&provision).ended(0, &[]);
        let is = made(root);
        assert!(is == wanted, "{at}:\n{}", scratch::difference(&wanted, &is));
    }
    (images.len(), images.len().div_ceil(every))
}

#[test]
fn a_power_cut_leaves_whole_files_and_a_second_run_completes_them() {
    needs!(root("files have owners"));
    needs!(program("strace", "strace"));
    let long = std::env::var("FOOTPLATE_TEARS").is_ok_and(|value| value == "long");
    let (root, users) = (Scratch::new("torn"), seed("torn-users", USERS));
    let (mut images, mut runs) = (0, 0);
    for source in [["--seed", users.to_str().unwrap()], ["--replay", "demo/vsphere-worker"]] {
        let (some, ran) = torn(&root, &source, long);
        (images, runs) = (images + some, runs + ran);
    }
    println!("{images} images, no two alike, and a second run on {runs} of them");
    assert!(images >= 2000, "only {images} images");
}

/// The check itself: a file that gets its name before its bytes are on the disk is found.
#[test]
fn a_file_that_is_named_too_early_is_found() {
    let file = |path: &str| Act::File { path: path.to_owned(), mode: 0o644 };
    let write = |path: &str| Act::Write { path: path.to_owned(), at: 0, bytes: b"all of it".to_vec() };
    let rename = || Act::Rename { from: "/.footplate-a".to_owned(), to: "/a".to_owned() };
    let careless = vec![file("/.footplate-a"), write("/.footplate-a"), rename()];
    let direct = vec![file("/a"), write("/a")];
    for acts in [careless, direct] {
        let (mut whole, mut last) = (Whole::new(), Disk::new());
        let run = Run::new(Disk::new(), acts, |_, disk| last = disk.clone());
        note(&mut whole, "", &last);
        let listed = BTreeMap::new();
        let mut found = KINDS.iter().flat_map(|kind| kind.losses().iter().map(|loss| (*kind, *loss)));
        assert!(found.any(|(kind, loss)| {
            let image = run.image(kind, run.len(), 0, loss, &mut Rng::new(1));
            fault(&image, &whole, &listed).is_some_and(|what| what.contains("not whole"))
        }));
    }
}
