// SPDX-License-Identifier: Apache-2.0
//! The decoders, each with what it must not do on any input, whether libFuzzer or the tests' own mutator made it: panic,
//! and break the promises that are asserted here.

use footplate::bake::lock::Lock;
use footplate::decode::document::{self, Documents, Source, no_fetch};
use footplate::decode::jinja::{self, Variables};
use footplate::decode::{self, capa, envelope, expiry, ignition, json, network, ovf, prepare, yaml};
use footplate::model::finding::{Finding, Pos};
use footplate::model::instance::Instance;
use footplate::model::network::NetworkConfig;
use footplate::model::time::Time;
use footplate::plan;

/// One: the name of its corpus, and what to do with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("archive", |data| documents("#cloud-config-archive\n", data)),
    ("boothook", boothook),
    ("cloud_config", |data| documents("#cloud-config\n", data)),
    ("envelope", open),
    ("guestinfo_legacy", guestinfo_legacy),
    ("ignition", ignition_config),
    ("jinja", template),
    ("json", |data| located(json::parse(&text(data)).err().into_iter())),
    ("kargs", |data| rendered(network::parse_kargs(&text(data)))),
    ("lock", lock),
    ("merge", merge),
    ("mime", |data| documents("MIME-Version: 1.0\n", data)),
    ("network", network_config),
    ("network_data", network_config),
    ("ovf", |data| located(ovf::properties(&text(data)).err().into_iter())),
    ("patch", |data| documents("#cloud-config-archive\n- 'a: [1]'\n- ", data)),
    ("prepare", prepared),
    ("secret", |data| drop(decode::bootstrap_secret(&text(data)))),
    ("user_data", user_data),
    ("yaml", parsed),
];

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// Places are where something can stand.
fn located(findings: impl Iterator<Item = Finding>) {
    for finding in findings {
        assert!(finding.pos.is_none_or(|pos| pos.line > 0 && pos.column > 0), "{finding:?}");
        assert!(!finding.what.is_empty(), "{finding:?}");
    }
}

/// All decoders on one input, and the plan of what they make of it.
fn user_data(data: &[u8]) {
    // An include list leads back to the same input: bounds end that.
    let mut fetch = |_: &footplate::model::fetch::Request| Ok(Some(data.to_vec()));
    let decoded = decode::user_data(Some(data), Some(data), &Variables::assumed(), &mut fetch);
    let _ = expiry::findings(&decoded.config, Time(0));
    let _ = plan::node(&decoded.config, &Instance::default());
    located(decoded.findings.into_iter());
}

/// A document of one kind, whatever the input begins with.
fn documents(header: &str, data: &[u8]) {
    let data = [header.as_bytes(), data].concat();
    let decoded = decode::user_data(Some(&data), None, &Variables::assumed(), &mut no_fetch);
    let _ = plan::node(&decoded.config, &Instance::default());
    located(decoded.findings.into_iter());
}

fn open(data: &[u8]) {
    let _ = document::sniff(data);
    for encoding in ["base64", "gzip", "gzip+base64"] {
        let _ = envelope::Encoding::by_name(encoding).map(|e| e.decode(data));
    }
    if let Ok(opened) = envelope::open(data) {
        assert!(opened.len() <= envelope::MAX_DECODED.max(data.len()));
    }
}

fn parsed(data: &[u8]) {
    match yaml::parse(&text(data)) {
        Ok(node) => drop(node.to_json()),
        Err(finding) => located(std::iter::once(finding)),
    }
}

fn template(data: &[u8]) {
    match jinja::render(&format!("{}\n{}", jinja::HEADER, text(data)), &Variables::assumed()) {
        Ok(rendered) => {
            let lines = rendered.text.lines().count();
            for line in 1..=lines.min(50) {
                let origin = rendered.origin(Pos { line, column: 1 });
                assert!(origin.line > 0 && origin.column > 0, "{origin:?}");
            }
            located(rendered.findings.into_iter());
        }
        Err(finding) => located(std::iter::once(finding)),
    }
}

/// Two configs, the second one with a way to merge: the input is cut at its first zero byte or in its middle.
fn merge(data: &[u8]) {
    let middle = data.iter().position(|b| *b == 0).unwrap_or(data.len() / 2);
    let parts = [&data[..middle], &data[middle..]].map(|part| serde_json::Value::from(text(part)));
    let part = |content: &serde_json::Value, how: &str| {
        format!("- {{type: text/cloud-config, content: {content}, Merge-Type: '{how}'}}\n")
    };
    for how in ["list(append)+dict(recurse_list,recurse_str)+str(append)", "dict(allow_delete)", ""] {
        let archive = format!("#cloud-config-archive\n{}{}", part(&parts[0], ""), part(&parts[1], how));
        let user = document::read(Source::User, archive.as_bytes(), &Variables::assumed(), &mut no_fetch);
        let (tree, findings) = decode::merged(user, Documents::default());
        let _ = tree.to_json();
        located(findings.into_iter());
    }
}

fn boothook(data: &[u8]) {
    let _ = capa::is_transport(data);
    located(capa::parse(&text(data)).err().into_iter());
    documents("#cloud-boothook\n", data);
}

fn ignition_config(data: &[u8]) {
    let decoded = ignition::decode(&text(data), &mut no_fetch);
    let _ = plan::node(&decoded.config, &Instance::default());
    located(decoded.findings.into_iter());
}

/// What can be read can be written as networkd's files.
fn rendered((config, findings): (NetworkConfig, Vec<Finding>)) {
    located(findings.into_iter());
    located(plan::network::render(&config, &[]).findings.into_iter());
}

fn network_config(data: &[u8]) {
    if let Ok(node) = yaml::parse(&text(data)) {
        rendered(network::parse(&node));
    }
}

/// Lines of `key=value`.
fn guestinfo_legacy(data: &[u8]) {
    let text = text(data);
    let get = |key: &str| {
        let line = text.lines().find_map(|l| l.split_once('=').filter(|(name, _)| *name == key));
        line.map(|(_, value)| value.to_owned())
    };
    rendered(network::parse_guestinfo_legacy(&get));
}

fn lock(data: &[u8]) {
    match Lock::parse(data) {
        Ok(lock) => assert!(lock.check().is_ok(), "read, and no lock"),
        Err(finding) => assert!(!finding.what.is_empty(), "{finding:?}"),
    }
}

fn prepared(data: &[u8]) {
    let text = text(data);
    let mut values = prepare::Values::default();
    values.add_file(&text);
    values.add("FOOTPLATE_NAME", "value");
    if let Err(findings) = prepare::prepare(&text, &values) {
        located(findings.into_iter());
    }
}
