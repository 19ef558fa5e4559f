// SPDX-License-Identifier: Apache-2.0
//! What holds for all user-data: a second apply finds nothing to do, and merges keep their laws.

use crate::common::{cases, random, scratch};

use std::fmt::Write as _;

use cases::{Case, how, map};
use footplate::facade::apply::{self, Done};
use footplate::facade::decode::document::{self, Documents, Source, no_fetch};
use footplate::facade::decode::{self, document::jinja::Variables};
use footplate::facade::io::root::Root;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::problem::any_error;
use footplate::facade::plan;
use random::Rng;
use scratch::Scratch;
use serde_json::Value;

fn furnished(name: &str) -> Scratch {
    let root = Scratch::new(name);
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:Core:/home/core:/bin/bash\n");
    root.put("/etc/group", "root:x:0:\nwheel:x:10:\ncore:x:500:\n").put("/etc/shadow", "root:*:1::::::\n");
    root.put("/old/file", "old\n").put("/dir/there", "");
    root
}

#[test]
fn a_second_apply_changes_nothing() {
    needs!(root("files have owners"));
    let instance = Instance { platform: "none", instance_id: "i-1".to_owned(), ..Instance::default() };
    let (mut applied, mut files) = (0, 0);
    for Case { name, user, vendor, include } in cases::all() {
        let mut fetch = |request: &footplate::facade::model::fetch::Request| {
            let url = std::str::from_utf8(request.url.expose()).unwrap();
            let path = url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches('/');
            include.get(path).map(|data| Some(data.clone())).ok_or("the file does not exist".into())
        };
        let decoded = decode::user_data(Some(&user), vendor.as_deref(), &Variables::assumed(), &mut fetch);
        if decoded.failed() {
            continue;
        }
        let plan = plan::node(&decoded.config, &instance);
        let scratch = furnished(&name);
        let root = Root::open(&scratch.dir, false).unwrap();
        // What can't be made is told before anything is.
        let before = scratch.identities();
        if let Err(e) = apply::compare(&plan, &root) {
            assert_eq!(scratch.identities(), before, "{name}: refused, and something was written: {e:?}");
            continue;
        }
        apply::apply(&plan, &root, |_| {}).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let made = scratch.identities();
        for outcome in apply::apply(&plan, &root, |_| {}).unwrap() {
            let idle = matches!(outcome.done, Done::Unchanged | Done::LeftOut);
            assert!(idle, "{name}: a second time {} {}", outcome.what, outcome.detail);
        }
        assert_eq!(scratch.identities(), made, "{name}: a second time files were touched");
        (applied, files) = (applied + 1, files + decoded.config.files.len());
    }
    println!("{applied} configurations with {files} files, each applied twice");
    assert!(applied > 300 && files > 100, "{applied} configurations with {files} files");
}

/// The tree that these cloud-configs make, in this order.
fn merged(parts: &[&str]) -> Value {
    let mut text = "#cloud-config-archive\n".to_owned();
    for part in parts {
        let _ = writeln!(text, "- type: text/cloud-config\n  content: |\n    {part}");
    }
    let user = document::read(Source::User, text.as_bytes(), &Variables::assumed(), &mut no_fetch);
    let (tree, problems) = decode::merged(user, Documents::default());
    assert!(!any_error(&problems), "{text}{problems:?}");
    tree.to_json()
}

/// A mapping with a word on how it is merged into what is above it.
fn with(how: &str, map: &str) -> String {
    format!("{{merge_how: \"{how}\"{}{}", if map == "{}" { "" } else { ", " }, &map[1..])
}

/// Mappings and lists of one shape: what joins lists can join these.
fn lists(rng: &mut Rng) -> String {
    let list =
        |rng: &mut Rng| (0..rng.below(4)).map(|_| rng.below(9).to_string()).collect::<Vec<_>>().join(", ");
    format!("{{l: [{}], m: {{n: [{}]}}, k{}: 1}}", list(rng), list(rng), rng.below(3))
}

const SEEDS: u64 = 300;

#[test]
fn an_empty_config_changes_nothing_however_it_is_merged() {
    for mut rng in (1..=SEEDS).map(Rng::new) {
        let rng = &mut rng;
        let (config, how) = (map(rng, 3), how(rng));
        assert_eq!(merged(&[&config, &with(&how, "{}")]), merged(&[&config]), "{config} by {how}");
    }
}

#[test]
fn what_is_merged_in_turn_is_what_is_merged_at_once() {
    // Of the ways to merge, these are associative: (a b) c is a (b c). Merging by common indexes is not.
    const ASSOCIATIVE: &[&str] = &[
        "dict(replace)",
        "dict(no_replace)",
        "list(append)+dict(recurse_list)",
        "list(prepend)+dict(recurse_list)",
        "list(no_replace)+dict(no_replace, recurse_list)",
    ];
    for mut rng in (1..=SEEDS).map(Rng::new) {
        let rng = &mut rng;
        let (a, b, c) = (lists(rng), lists(rng), lists(rng));
        let how = rng.pick(ASSOCIATIVE);
        let in_turn = merged(&[&a, &with(how, &b), &with(how, &c)]);
        let at_once = merged(&[&b, &with(how, &c)]).to_string();
        assert_eq!(merged(&[&a, &with(how, &at_once)]), in_turn, "{a} {b} {c} by {how}");
    }
}

#[test]
fn each_option_does_what_it_says() {
    for mut rng in (1..=SEEDS).map(Rng::new) {
        let rng = &mut rng;
        let (a, b) = (lists(rng), lists(rng));
        let items = |of: &str| merged(&[of])["l"].as_array().unwrap().clone();
        let (x, y) = (items(&a), items(&b));
        let by = |how: &str| merged(&[&a, &with(how, &b)])["l"].as_array().unwrap().clone();
        assert_eq!(by("list(append)+dict(recurse_list)"), [x.clone(), y.clone()].concat());
        assert_eq!(by("list(prepend)+dict(recurse_list)"), [y.clone(), x.clone()].concat());
        assert_eq!(by("list(no_replace)+dict(recurse_list)"), x);
        let rest = x.iter().skip(y.len()).cloned().collect();
        let common: Vec<Value> = y.iter().take(x.len()).cloned().collect();
        assert_eq!(by("list(replace)+dict(recurse_list)"), [common, rest].concat(), "{a} {b}");
        assert_eq!(by("dict(replace)"), y);
        assert_eq!(by("dict(no_replace)"), x);
        assert_eq!(merged(&[&a, &b]), merged(&[&a, &with("dict(replace)+list()+str()", &b)]), "the default");
    }
}
