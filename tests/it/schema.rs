// SPDX-License-Identifier: Apache-2.0
//! cloud-init's own schema of cloud-config, as Debian ships it: each key that it documents, at any depth, is applied here, or
//! named with what to do instead. None is "not known".

use std::collections::BTreeSet;
use std::fs;

use footplate::facade::decode::document::no_fetch;
use footplate::facade::decode::{self, document::jinja::Variables};
use serde_json::{Map, Value, json};

use crate::cloud_init_oracle::PACKAGES;
use crate::common::debian;

/// Levels of keys that are looked at.
const MAX_DEPTH: usize = 6;

/// A step down to a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Item,
}

/// Adds each path to a key that a schema documents.
fn walk(schema: &Value, whole: &Value, at: &[Step], found: &mut BTreeSet<Vec<Step>>) {
    if at.iter().filter(|step| matches!(step, Step::Key(_))).count() >= MAX_DEPTH {
        return;
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|r| whole.pointer(r.trim_start_matches('#'))) {
        walk(target, whole, at, found);
    }
    for joined in ["allOf", "anyOf", "oneOf"] {
        for part in schema[joined].as_array().into_iter().flatten() {
            walk(part, whole, at, found);
        }
    }
    if let Some(items) = schema.get("items") {
        walk(items, whole, &[at, &[Step::Item]].concat(), found);
    }
    for (key, part) in schema["properties"].as_object().into_iter().flatten() {
        let path = [at, &[Step::Key(key.clone())]].concat();
        found.insert(path.clone());
        walk(part, whole, &path, found);
    }
    // A key of the author's own, such as the name of a device.
    for part in schema["patternProperties"].as_object().into_iter().flat_map(Map::values) {
        walk(part, whole, &[at, &[Step::Key("sdx".to_owned())]].concat(), found);
    }
}

/// A document that has this key and nothing that is not on the way to it.
fn document(path: &[Step]) -> Value {
    match path.split_first() {
        None => json!("x"),
        Some((Step::Item, rest)) => json!([document(rest)]),
        Some((Step::Key(key), rest)) => {
            let mut map = Map::new();
            map.insert(key.clone(), document(rest));
            Value::Object(map)
        }
    }
}

#[test]
fn each_key_that_cloud_init_documents_is_known() {
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    let path = packages.join("cloudinit/config/schemas/schema-cloud-config-v1.json");
    let whole: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut found = BTreeSet::new();
    walk(&whole, &whole, &[], &mut found);
    // What newer versions and other pages of the documentation have.
    for key in ["create_hostname_file", "debug", "rpi", "ubuntu_pro", "vendor_data2"] {
        found.insert(vec![Step::Key(key.to_owned())]);
    }
    let top: BTreeSet<&Step> = found.iter().filter_map(|path| path.first()).collect();
    println!("{} keys at the top, {} in all", top.len(), found.len());
    assert!(top.len() > 60 && found.len() > 250, "the schema is not read as it is written");
    let mut wrong = Vec::new();
    for path in &found {
        let text = format!("#cloud-config\n{}\n", document(path));
        let decoded = decode::user_data(Some(text.as_bytes()), None, &Variables::assumed(), &mut no_fetch);
        let unknown = decoded.problems.iter().filter(|p| p.what.contains("not known"));
        wrong.extend(unknown.map(|problem| format!("{text}  {problem}")));
        // What has no effect says what has.
        let mute = decoded.problems.iter().filter(|p| p.what.contains("no effect") && p.cure.is_none());
        wrong.extend(mute.map(|problem| format!("{text}  without a cure: {problem}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_mode_of_growpart_is_one_that_cloud_init_documents() {
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    let path = packages.join("cloudinit/config/schemas/schema-cloud-config-v1.json");
    let whole: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let modes = &whole["$defs"]["cc_growpart"]["properties"]["growpart"]["properties"]["mode"]["oneOf"];
    let documented: Vec<&Value> =
        modes.as_array().unwrap().iter().flat_map(|one| one["enum"].as_array().unwrap()).collect();
    assert!(documented.contains(&&json!("gpart")) && documented.contains(&&json!(false)), "{documented:?}");
    let found = |mode: &Value| {
        let data = format!("#cloud-config\ngrowpart: {{mode: {mode}, devices: [/dev/sdb1]}}\n");
        decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut no_fetch).problems
    };
    for mode in documented {
        let problems = found(mode);
        let errors: Vec<_> = problems.iter().filter(|p| p.is_error()).collect();
        assert!(errors.is_empty(), "{mode}: {errors:?}");
        // With the mode off no device is looked at.
        let off = [json!("off"), json!(false)].contains(mode);
        let devices = problems.iter().any(|p| p.place == "growpart.devices");
        assert_eq!(devices, !off, "{mode}: {problems:?}");
    }
    for mode in [json!("sometimes"), json!(["auto"]), json!(1), json!(true)] {
        let problems = found(&mode);
        let told = problems.iter().find(|p| p.is_error() && p.place == "growpart.mode");
        assert_eq!(told.unwrap().what, "must be auto, growpart, gpart or off", "{mode}");
    }
    let data = "#cloud-config\ngrowpart: {ignore_growroot_disabled: perhaps}\n";
    let decoded = decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut no_fetch);
    let place = "growpart.ignore_growroot_disabled";
    assert!(decoded.problems.iter().any(|p| p.is_error() && p.place == place), "{:?}", decoded.problems);
}
