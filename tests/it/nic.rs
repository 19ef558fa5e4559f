// SPDX-License-Identifier: Apache-2.0
//! Names of links changed over in a real kernel, in a network namespace of the test's own.

use std::process::Command;

use footplate::facade::io::nic::{change_over, driver, permanent_address};
use nix::sched::{CloneFlags, unshare};

/// Runs in a thread with a network of its own, which has links `a`, `b` and `c` in that order.
fn with_links(test: fn()) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
            let address = format!("02:00:00:00:00:0{number}");
            let arguments = ["link", "add", "name", name, "address", &address, "type", "bridge"];
            assert!(Command::new("ip").args(arguments).status().unwrap().success());
        }
        test();
    });
    thread.join().unwrap();
}

/// The names, in the order in which the links were made.
fn names() -> Vec<String> {
    let listed = Command::new("ip").args(["-oneline", "link", "show", "type", "bridge"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().map(|l| l.split(": ").nth(1).unwrap().to_owned()).collect()
}

#[test]
fn links_take_each_others_names() {
    needs!(root("a network of its own"));
    with_links(|| {
        change_over(&[("a", "b"), ("b", "a")]).unwrap();
        assert_eq!(names(), ["b", "a", "c"]);
        change_over(&[("b", "c"), ("a", "new"), ("c", "a")]).unwrap();
        assert_eq!(names(), ["c", "new", "a"]);
    });
}

#[test]
fn all_or_none() {
    needs!(root("a network of its own"));
    with_links(|| {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("a", "b"), ("b", "c")], "renaming footplate1 to c: EEXIST: File exists"),
            (&[("a", "b"), ("gone", "a")], "renaming gone to footplate1: ENODEV: No such device"),
            (&[("a", "sixteen-is-large"), ("b", "a")], "sixteen-is-large: longer than 15 bytes"),
        ];
        for (renames, why) in cases {
            assert_eq!(format!("{:#}", change_over(renames).unwrap_err()), *why);
            assert_eq!(names(), ["a", "b", "c"], "{renames:?}");
        }
    });
}

#[test]
fn a_bridge_has_a_driver_and_no_address_that_it_was_made_with() {
    needs!(root("a network of its own"));
    with_links(|| {
        assert_eq!(driver("a").as_deref(), Some("bridge"));
        assert_eq!((permanent_address("a"), permanent_address("none"), driver("none")), (None, None, None));
    });
}
