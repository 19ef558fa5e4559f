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
        "usage: /etc/footplate.yaml: waits.netwok: a key that a policy does not have (line 2, column 3)",
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

/// What node_exporter reads, looked at by Prometheus' own parser.
#[test]
fn monitoring_is_told_the_state_where_the_policy_says_so() {
    needs!(program("/usr/lib/python3/dist-packages/prometheus_client", "python3-prometheus-client"));
    let parse = "import json, sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\n\
                 print(json.dumps([[s.name, s.labels, s.value] for f in read(sys.argv[1]) for s in f.samples]))";
    for (name, data, code, state, failure) in [
        ("done", "#cloud-config\nwrite_files: [{path: /etc/a, content: a}]\n", 0, "nothing-to-do", None),
        ("failed", "#cloud-config\nwrite_files: []\nwrite_files: []\n", 65, "failed", Some("decode")),
    ] {
        let name = format!("policy-textfile-{name}");
        let root = Scratch::new(&name);
        let run =
            || scratch::provision_vsphere(&name, "instance-id: i-1\nlocal-hostname: node-1\n", data, &root);
        run().ended(code, &[]);
        assert!(!root.path("/var/lib/node_exporter").exists(), "without a policy nothing is written");
        root.put(IMAGE, "reports: {textfile: /var/lib/node_exporter/}\n");
        run().ended(code, &[]);
        let file = "/var/lib/node_exporter/footplate.prom";
        assert_eq!(root.owned(file).0, 0o644);
        let parsed = Ran::of(Command::new("/usr/bin/python3").args(["-c", parse, &root.text(file)]));
        let samples = parsed.json();
        let has = |name: &str, label: &str, is: &str, value: f64| {
            samples.as_array().unwrap().iter().any(|s| s[0] == name && s[1][label] == is && s[2] == value)
        };
        assert!(has("footplate_bootstrap_state", "state", state, 1.0), "{samples}");
        assert!(has("footplate_bootstrap_state", "state", "running", 0.0), "{samples}");
        let stage = |s: &serde_json::Value| s[0] == "footplate_stage_seconds" && s[1]["stage"] == "fetch";
        assert!(samples.as_array().unwrap().iter().any(stage), "{samples}");
        let failed = samples.as_array().unwrap().iter().find(|s| s[0] == "footplate_bootstrap_failure");
        assert_eq!(failed.map(|s| s[1]["stage"].as_str().unwrap()), failure, "{samples}");
    }
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

/// node-problem-detector runs the command and takes its exit status: 0 is good, 1 a problem, all else not known.
#[test]
fn the_plugin_for_node_problem_detector_is_footplates_own_status() {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/node-problem-detector.json"));
    let config: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    let rule = &config["rules"][0];
    assert_eq!(rule["condition"], config["conditions"][0]["type"]);
    assert_eq!(rule["path"], "/opt/bin/footplate");
    let words: Vec<&str> = rule["args"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    for (name, data, want) in [("good", "#cloud-config\n{}\n", 0), ("bad", "#cloud-config\n[]\n", 1)] {
        let root = Scratch::new(&format!("policy-plugin-{name}"));
        assert_eq!(footplate(&[&words[..], &["--root", root.arg()]].concat()).code, 2, "not run");
        provision(&seed(&format!("policy-plugin-{name}"), data), &root);
        let ran = footplate(&[&words[..], &["--root", root.arg()]].concat());
        assert_eq!(ran.code, want, "{}{}", ran.out, ran.err);
    }
}
