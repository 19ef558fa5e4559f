// SPDX-License-Identifier: Apache-2.0
//! The table of keys, and what is told of a file that is wrong.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::*;

/// What a key takes, and its default, as its page says them.
fn takes(key: &Key) -> (String, String) {
    match (key.setting)(&mut Policy::default()) {
        Setting::Time(at, least, most) => {
            (format!("a time from {} to {}", span(least), span(most)), span(at.as_secs()))
        }
        Setting::Count(at, most) => (format!("a number up to {most}"), at.to_string()),
        Setting::Directory(at) => {
            ("`off` or an absolute path".to_owned(), at.clone().unwrap_or_else(|| "off".to_owned()))
        }
        Setting::Strictness(at, strictest) => {
            let name = levels(strictest).into_iter().find(|(_, level)| level == at).unwrap().0;
            (format!("`off`, `warn` or `{strictest}`"), name.to_owned())
        }
        Setting::Switch(at, words) => {
            (format!("`{}` or `{}`", words[1], words[0]), words[usize::from(*at)].to_owned())
        }
    }
}

#[test]
fn what_a_file_says_holds_and_each_error_has_its_line() {
    let mut policy = Policy::default();
    let good = "# of the image\nwaits:\n  metadata: 90s\n  network: 10\n  bootstrap: 1h\nimdsv1: true\nreports: {console: false}\n";
    assert_eq!(read(good, &mut policy), []);
    let want = Policy {
        metadata_wait: Duration::from_secs(90),
        network_wait: Duration::from_secs(10),
        bootstrap_wait: Duration::from_secs(3600),
        imdsv1: true,
        report_console: false,
        ..Policy::default()
    };
    assert_eq!(policy, want);
    // A second file sets what it names and leaves the rest.
    assert_eq!(read("waits: {network: 20s}", &mut policy), []);
    assert_eq!((policy.network_wait.as_secs(), policy.metadata_wait.as_secs()), (20, 90));
    for empty in ["", "# nothing\n", "waits:\n"] {
        assert_eq!(read(empty, &mut policy), [], "{empty}");
    }
    for (text, line, want) in [
        (
            "imdsv1: true\nwait:\n  network: 1min\n",
            2,
            "wait: a key that a policy does not have|did you mean `waits`?",
        ),
        (
            "waits:\n\n  netwok: 1min\n",
            3,
            "waits.netwok: a key that a policy does not have|did you mean `network`?",
        ),
        (
            "colour: red\n",
            1,
            "the keys here are: waits, preflight, retries, signature, platform, imdsv1, reports, delete",
        ),
        (
            "waits: {network: {soon: true}}\n",
            1,
            "waits.network: must be a time from 5s to 1h, such as `5min`",
        ),
        ("waits:\n  network: soon\n", 2, "waits.network: must be a time"),
        ("waits:\n  network: 2h\n", 2, "waits.network: must be a time"),
        ("waits:\n  network: 99999999999999999999h\n", 2, "waits.network: must be a time"),
        ("retries: {join: 21}\n", 1, "retries.join: must be a number up to 20"),
        ("preflight: maybe\n", 1, "preflight: must be `off`, `warn` or `stop`"),
        ("signature: stop\n", 1, "signature: must be `off`, `warn` or `enforce`"),
        ("reports: {textfile: var/lib/soon}\n", 1, "reports.textfile: must be `off` or an absolute path"),
        ("imdsv1: maybe\n", 1, "imdsv1: must be `true` or `false`"),
        ("waits: 5min\n", 1, "waits: must be a mapping of keys, not a string"),
        ("- a\n", 1, "must be a mapping of keys, not a list"),
        ("waits: {}\nwaits: {}\n", 2, "duplicate key"),
        ("a: [\n", 2, "not YAML"),
    ] {
        let problems = read(text, &mut policy);
        let told = problems.iter().map(Problem::on_a_line).collect::<Vec<_>>().join("\n");
        assert_eq!(problems.len(), 1, "{text}{told}");
        assert!(
            want.split('|').all(|want| told.contains(want))
                && problems[0].pos.is_some_and(|pos| pos.line == line),
            "{text}{told}"
        );
        assert!(!told.contains("soon") && !told.contains("maybe"), "{told}");
    }
}

#[test]
fn a_policy_is_told_from_bootstrap_data() {
    for (text, want) in [
        ("waits: {network: 1min}\n", true),
        ("colour: red\nimdsv1: true\n", true),
        ("#cloud-config\nreports: {}\n", false),
        ("apiVersion: v1\nkind: Secret\nwaits: {}\n", false),
        ("colour: red\n", false),
        ("#!/bin/sh\nwaits\n", false),
        ("", false),
    ] {
        assert_eq!(is_policy(text), want, "{text}");
    }
}

/// `docs/policy.md` is made of the table: `BLESS=1` writes it.
#[test]
fn the_page_is_the_table() {
    let mut page = format!(
        "# The policy of an image\n\nWhat footplate does where there is more than one right way is decided by the maker of an image, in two \
         files:\n`{}`, and `{}`, whose keys win. Both may be missing. `footplate check FILE` reads one.\nA key \
         that is not in this list is an error, with its line: a provision then ends before it asks the platform (exit code 64).\n\n",
        FILES[0], FILES[1]
    );
    page += "| key | takes | default | |\n| --- | --- | --- | --- |\n";
    for key in KEYS {
        let (takes, default) = takes(key);
        let _ = writeln!(page, "| `{}` | {takes} | `{default}` | {} |", key.name, key.means);
    }
    page += "\nThe same as a file, with the defaults:\n\n```yaml\n";
    let mut above = "";
    for key in KEYS {
        let default = takes(key).1;
        match key.name.split_once('.') {
            Some((first, rest)) => {
                if first != above {
                    let _ = writeln!(page, "{first}:");
                    above = first;
                }
                let _ = writeln!(page, "  {rest}: {default}");
            }
            None => {
                let _ = writeln!(page, "{}: {default}", key.name);
            }
        }
    }
    page += "```\n";
    let example = page.split("```yaml\n").nth(1).unwrap().trim_end_matches("```\n");
    let mut policy = Policy::default();
    assert_eq!(read(example, &mut policy), []);
    assert_eq!(policy, Policy::default());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
    let was = fs::read_to_string(&path).unwrap_or_default();
    if was != page && std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    } else {
        assert!(
            was == page,
            "docs/policy.md is not what the table says: BLESS=1 cargo test --lib the_page_is_the_table"
        );
    }
}
