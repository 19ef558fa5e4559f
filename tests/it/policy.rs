// SPDX-License-Identifier: Apache-2.0
//! The policy of an image: what its files say happens, and what is wrong in them is told before the platform is asked.

use crate::common::scratch;

use std::fs;
use std::process::Command;

use scratch::{CANARY, Ran, Scratch, footplate, fresh, plan, provision, seed};

const VENDOR: &str = "/usr/share/footplate/footplate.yaml";
const IMAGE: &str = "/etc/footplate.yaml";
const LIMIT: &str = "/etc/systemd/system/kubeadm.service.d/06-footplate-policy.conf";
const DATA: &str = "#cloud-config\nruncmd: [echo begun]\n";

#[test]
fn the_image_s_keys_win_over_the_vendor_s() {
    let limit = |root: &Scratch| fs::read_to_string(root.path(LIMIT)).ok();
    for (name, vendor, image, want) in [
        ("policy-none", None, None, None),
        ("policy-default", Some("waits: {bootstrap: 30min}\n"), None, None),
        ("policy-vendor", Some("waits: {bootstrap: 40min}\n"), Some("imdsv1: true\n"), Some("2400")),
        (
            "policy-image",
            Some("waits: {bootstrap: 40min}\n"),
            Some("waits: {bootstrap: 20min}\n"),
            Some("1200"),
        ),
    ] {
        let root = Scratch::new(name);
        for (path, text) in [(VENDOR, vendor), (IMAGE, image)] {
            text.map(|text| root.put(path, text));
        }
        let seed = seed(name, DATA);
        provision(&seed, &root).ended(0, &[]);
        let want = want
            .map(|s| format!("# Written by footplate from the policy.\n[Service]\nTimeoutStartSec={s}\n"));
        assert_eq!(limit(&root), want, "{name}");
        assert!(plan(&seed, &root).out.contains("no changes") || plan(&seed, &root).code == 0, "{name}");
    }
}

#[test]
fn what_is_wrong_in_a_file_stops_the_node_and_has_its_line() {
    let root = Scratch::new("policy-wrong");
    root.put(IMAGE, format!("waits:\n  netwok: {CANARY}\nimdsv1: {CANARY}\n"));
    let seed = seed("policy-wrong", DATA);
    let says = [
        "usage: /etc/footplate.yaml: waits: a key that a policy does not have (line 2, column 3)",
        "did you mean `network`?",
        "/etc/footplate.yaml: imdsv1: must be `true` or `false` (line 3, column 9)",
    ];
    for ran in [provision(&seed, &root), plan(&seed, &root)] {
        ran.ended(64, &says);
        assert!(!ran.err.contains(CANARY) && !ran.out.contains(CANARY));
    }
    assert!(!root.path("/run/footplate/bootstrap").exists());
    let status: serde_json::Value = serde_json::from_str(&root.text("/run/footplate/status.json")).unwrap();
    assert_eq!((&status["state"], &status["failed"]), (&"failed".into(), &"usage".into()), "{status:#}");
}

#[test]
fn check_reads_a_policy_when_it_is_given_one() {
    let dir = fresh("policy-check");
    let check = |name: &str, text: &str| {
        let file = dir.join(name);
        fs::write(&file, text).unwrap();
        footplate(&["check", "--format", "json", file.to_str().unwrap()])
    };
    check("footplate.yaml", "# nothing yet\n").ended(0, &[]);
    check("other.yaml", "reports:\n  console: false\n").ended(0, &[]);
    for (name, text) in [("footplate.yaml", "colour: red\n"), ("other.yaml", "imdsv1: false\nreport: {}\n")] {
        let ran = check(name, text);
        ran.ended(65, &[]);
        let found = &ran.json()["findings"][0];
        assert_eq!(
            (&found["code"], &found["line"]),
            (&"key/unknown".into(), &text.lines().count().into()),
            "{found:#}"
        );
    }
    // Bootstrap data and objects stay what they are.
    let ran = check("data.yaml", "#cloud-config\nimdsv1: true\n");
    assert!(ran.out.contains("\"commands\": 0"), "{}", ran.out);
    let ran = Ran::of(Command::new("sh").args([
        "-c",
        "printf 'waits:\\n  network: 1\\n' | \"$0\" check -",
        scratch::FOOTPLATE,
    ]));
    ran.ended(65, &[]);
    assert!(
        ran.out.contains("waits.network: must be a time from 5s to 1h")
            && ran.out.contains("(line 2, column 12)"),
        "{}",
        ran.out
    );
}
