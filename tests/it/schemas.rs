// SPDX-License-Identifier: Apache-2.0
//! The published schemas (docs/schema): what the program prints keeps to them, and has no field that they do not describe.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::scratch::{Ran, Scratch, footplate, seed};

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What of a value a schema does not allow. A word of JSON Schema that this does not know, and a field that the schema does not
/// describe, is a fault, too.
fn faults(value: &Value, schema: &Value, whole: &Value, at: &str, found: &mut Vec<String>) {
    for (word, rule) in schema.as_object().unwrap() {
        let good = match word.as_str() {
            "$schema" | "title" | "description" | "$defs" => true,
            "$ref" => {
                let target = whole.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                faults(value, target, whole, at, found);
                true
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                _ => false,
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults(item, rule, whole, &format!("{at}[{i}]"), found);
                }
                true
            }
            "properties" => {
                for (key, field) in value.as_object().into_iter().flatten() {
                    match rule.get(key) {
                        Some(rule) => faults(field, rule, whole, &format!("{at}.{key}"), found),
                        None => found.push(format!("{at}.{key}: is not described")),
                    }
                }
                true
            }
            _ => false,
        };
        if !good {
            found.push(format!("{at}: {value} is against {word}: {rule}"));
        }
    }
}

#[track_caller]
fn keeps_to(ran: &Ran, name: &str) -> Value {
    let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.out));
    let (whole, mut found) = (schema(name), Vec::new());
    faults(&value, &whole, &whole, "", &mut found);
    assert!(found.is_empty(), "{name}: {}\n{value:#}", found.join("\n"));
    value
}

#[test]
fn what_is_printed_keeps_to_its_schema() {
    let data = [
        ("good", "#cloud-config\nruncmd: [kubeadm join --config /x]\nbogus: 1\n", "done"),
        ("bad", "#cloud-config\nwrite_files: [{path: relative, permissions: 9}]\nusers: 7\n", "failed"),
        ("empty", "", "nothing-to-do"),
    ];
    for (name, text, state) in data {
        let root = Scratch::new(&format!("schemas-{name}"));
        let seed = seed(&format!("schemas-{name}"), text);
        footplate(&["provision", "--seed", seed.to_str().unwrap(), "--root", root.arg()]);
        let status = footplate(&["status", "--format", "json", "--root", root.arg()]);
        assert_eq!(keeps_to(&status, "status.v1.json")["state"], state);
        let watched = footplate(&["status", "--watch", "--format", "json", "--root", root.arg()]);
        assert_eq!(watched.out, status.out, "a run that has ended is shown once");
        keeps_to(&footplate(&["timeline", "--format", "json", "--root", root.arg()]), "timeline.v1.json");
    }
    let root = Scratch::new("schemas-none");
    let status = footplate(&["status", "--format", "json", "--root", root.arg()]);
    assert_eq!(keeps_to(&status, "status.v1.json"), json!({ "version": 1, "state": "not-run" }));
}

#[test]
fn a_fault_is_found() {
    let whole = schema("status.v1.json");
    let bad = json!({ "version": 2, "state": "good", "stages": [{ "name": 1 }], "other": 0 });
    let mut found = Vec::new();
    faults(&bad, &whole, &whole, "", &mut found);
    assert_eq!(found.len(), 5, "{found:#?}");
}
