// SPDX-License-Identifier: Apache-2.0
//! Batches, and the questions that meet a file which waits in one.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Dir, MAX_DIRS};
use crate::io::root::{Change, Ids, Root, Scratch};

fn names(root: &Root, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root.path().join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_has_its_name_once_the_batch_is_settled() {
    let scratch = Scratch::new().unwrap();
    let (root, ids) = (scratch.root(), Ids::default());
    let batch = root.batch();
    assert_eq!(root.put("/etc/one", b"1", 0o600, ids).unwrap(), Change::Changed);
    assert_eq!(root.put("/etc/one", b"1", 0o600, ids).unwrap(), Change::Unchanged);
    assert_eq!(root.put("/etc/one", b"2", 0o640, ids).unwrap(), Change::Changed);
    assert!(names(root, "etc").iter().all(|name| name.starts_with(super::DRAFT)));
    batch.end().unwrap();
    assert_eq!(names(root, "etc"), ["one"]);
    assert_eq!(root.read("/etc/one", 9).unwrap().unwrap(), b"2");
    assert_eq!(root.meta("/etc/one").unwrap().unwrap().mode, 0o640);
}

#[test]
fn nobody_sees_that_a_file_waits() {
    type Question = (&'static str, fn(&Root) -> bool);
    let questions: &[Question] = &[
        ("read", |root| root.read("/a/file", 9).unwrap().is_some_and(|bytes| bytes == b"new")),
        ("read by a link", |root| root.read("/a/link", 9).unwrap().is_some_and(|bytes| bytes == b"new")),
        ("read by a linked directory", |root| root.read("/b/file", 9).unwrap().is_some_and(|b| b == b"new")),
        ("meta", |root| root.meta("/a/file").unwrap().is_some_and(|meta| meta.size == 3)),
        ("meta by a link", |root| root.meta("/a/link").unwrap().is_some_and(|meta| meta.size == 3)),
        ("stands", |root| root.stands("/a/file").unwrap()),
        ("list", |root| root.list("/a").unwrap().contains(&"file".to_owned())),
        ("remove", |root| root.remove("/a/file").unwrap() == Change::Changed),
        ("hard link", |root| root.put_hard_link("/a/hard", "/a/file").unwrap() == Change::Changed),
        ("same file", |root| root.same_file("/a/file", "/b/file").unwrap()),
        ("no directory", |root| root.make_dirs("/a/file/below", Ids::default()).is_err()),
        ("no link", |root| root.put_link("/a/file", "elsewhere").is_err()),
    ];
    for (what, holds) in questions {
        let scratch = Scratch::new().unwrap();
        let root = scratch.root();
        root.make_dirs("/a", Ids::default()).unwrap();
        root.put_link("/a/link", "file").unwrap();
        root.put_link("/b", "a").unwrap();
        let batch = root.batch();
        root.put("/a/file", b"new", 0o600, Ids::default()).unwrap();
        assert!(holds(root), "{what}");
        batch.end().unwrap();
    }
}

#[test]
fn files_in_many_directories_do_not_use_up_the_open_files() {
    let scratch = Scratch::new().unwrap();
    let root = scratch.root();
    let batch = root.batch();
    for n in 0..3 * MAX_DIRS {
        let dir = format!("/many/{n}");
        root.make_dirs(&dir, Ids::default()).unwrap();
        root.put(&format!("{dir}/file"), b"new", 0o600, Ids::default()).unwrap();
    }
    assert!(root.held().as_ref().is_some_and(|held| held.waiting.len() <= MAX_DIRS));
    batch.end().unwrap();
    let is_there = |n: usize| root.read(&format!("/many/{n}/file"), 9).unwrap().is_some_and(|b| b == b"new");
    assert!((0..3 * MAX_DIRS).all(is_there));
}

#[test]
fn what_was_not_settled_is_removed() {
    let scratch = Scratch::new().unwrap();
    let root = scratch.root();
    root.put("/etc/one", b"old", 0o600, Ids::default()).unwrap();
    let batch = root.batch();
    root.put("/etc/one", b"new", 0o600, Ids::default()).unwrap();
    root.put("/etc/two", b"new", 0o600, Ids::default()).unwrap();
    drop(batch);
    assert_eq!(names(root, "etc"), ["one"]);
    assert_eq!(root.read("/etc/one", 9).unwrap().unwrap(), b"old");
}

#[test]
fn a_new_directory_has_its_name_when_all_of_it_is_there() {
    let scratch = Scratch::new().unwrap();
    let (root, ids) = (scratch.root(), Ids::default());
    let batch = root.batch();
    // The leftover of a run that was cut off.
    let draft = format!("/home/{}", super::temporary_name("ops"));
    root.put(&format!("{draft}/stale"), b"", 0o600, ids).unwrap();
    root.put_new_dir("/home/ops", |draft| root.put(&format!("{draft}/.profile"), b"x", 0o600, ids).map(drop))
        .unwrap();
    assert!(!root.path().join("home/ops").exists());
    // What comes after finds it.
    root.put("/home/ops/more", b"", 0o600, ids).unwrap();
    batch.end().unwrap();
    assert_eq!(
        (names(root, "home"), names(root, "home/ops")),
        (vec!["ops".into()], vec![".profile".into(), "more".into()])
    );
}

/// A home is made with all that is in it, and waits in the batch as a whole.
#[test]
fn what_stands_in_a_directory_that_waits_is_seen() {
    type Question = (&'static str, fn(&Root) -> bool);
    let questions: &[Question] = &[
        ("read", |root| root.read("/home/ops/.profile", 99).unwrap().is_some_and(|bytes| bytes == b"skel")),
        ("meta", |root| root.meta("/home/ops/.profile").unwrap().is_some()),
        ("stands", |root| root.stands("/home/ops/.ssh/keys").unwrap()),
        ("list", |root| root.list("/home/ops/.ssh").unwrap() == ["keys"]),
        ("below", |root| root.make_dirs("/home/ops/.ssh/more", Ids::default()).is_ok()),
        ("put", |root| root.put("/home/ops/.ssh/config", b"c", 0o600, Ids::default()).is_ok()),
        ("link", |root| root.put_link("/home/ops/.ssh/link", "keys").is_ok()),
    ];
    for (what, holds) in questions {
        let scratch = Scratch::new().unwrap();
        let root = scratch.root();
        root.make_dirs("/home", Ids::default()).unwrap();
        let batch = root.batch();
        let home = |draft: &str| {
            root.put(&format!("{draft}/.profile"), b"skel", 0o644, Ids::default())?;
            root.put(&format!("{draft}/.ssh/keys"), b"key", 0o600, Ids::default()).map(drop)
        };
        root.put_new_dir("/home/ops", home).unwrap();
        assert!(holds(root), "{what}");
        batch.end().unwrap();
        assert!(holds(root), "{what}, after the batch");
        assert_eq!(names(root, "home"), ["ops"], "{what}");
    }
}

#[test]
fn a_home_that_is_given_up_leaves_nothing() {
    let scratch = Scratch::new().unwrap();
    let root = scratch.root();
    root.make_dirs("/home", Ids::default()).unwrap();
    let batch = root.batch();
    let fill = |draft: &str| root.put(&format!("{draft}/.ssh/keys"), b"key", 0o600, Ids::default()).map(drop);
    root.put_new_dir("/home/ops", fill).unwrap();
    drop(batch);
    assert!(names(root, "home").is_empty());
}

/// What comes after a file that can't have its name may stand for it: a user's line for the group's before it.
#[test]
fn nothing_after_a_failure_gets_its_name() {
    let scratch = Scratch::new().unwrap();
    let root = scratch.root();
    let batch = root.batch();
    for name in ["one", "two", "three"] {
        root.put(&format!("/etc/{name}"), b"new", 0o600, Ids::default()).unwrap();
    }
    // Somebody makes a directory of that name meanwhile.
    std::fs::create_dir(root.path().join("etc/two")).unwrap();
    let error = format!("{:#}", batch.end().unwrap_err());
    assert!(error.contains("/etc/two: "), "{error}");
    assert_eq!(names(root, "etc"), ["one", "two"]);
}

/// A directory that another name leads to again is held open once.
#[test]
fn links_between_files_do_not_use_up_the_open_files() {
    let scratch = Scratch::new().unwrap();
    let root = scratch.root();
    let batch = root.batch();
    for n in 0..200 {
        root.put(&format!("/etc/u{n}"), b"new", 0o600, Ids::default()).unwrap();
        root.put_link(&format!("/etc/l{n}"), "elsewhere").unwrap();
    }
    let held =
        root.held().as_ref().map(|held| held.pending.iter().map(|(dir, _)| Arc::as_ptr(dir)).collect());
    let open: HashSet<*const Dir> = held.unwrap();
    assert_eq!(open.len(), 1);
    batch.end().unwrap();
}
