// SPDX-License-Identifier: Apache-2.0
//! The published schemas (docs/schema): what the program prints keeps to them, and has no field that they do not describe.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::common::debian::unpacked;
use crate::common::scratch::{Ran, Scratch, footplate, fresh, seed};

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Whether a value is of a type that JSON Schema names.
fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    }
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
            "type" => match rule {
                Value::Array(rules) => rules.iter().any(|rule| is_a(value, rule)),
                one => is_a(value, one),
            },
            // The real validator looks at these.
            "pattern" | "propertyNames" => true,
            "additionalProperties" => {
                for (key, field) in value.as_object().into_iter().flatten() {
                    faults(field, rule, whole, &format!("{at}.{key}"), found);
                }
                true
            }
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
pub(crate) fn keeps_to(ran: &Ran, name: &str) -> Value {
    let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.out));
    let (whole, mut found) = (schema(name), Vec::new());
    faults(&value, &whole, &whole, "", &mut found);
    assert!(found.is_empty(), "{name}: {}\n{value:#}", found.join("\n"));
    PRINTED.lock().unwrap().push((name.to_owned(), value.clone()));
    value
}

/// What was printed, and the schema that it must keep to.
static PRINTED: Mutex<Vec<(String, Value)>> = Mutex::new(Vec::new());

/// Python's jsonschema: each schema is one, and each value keeps to it.
const VALIDATE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schemas, values = json.load(sys.stdin)
for schema in schemas.values():
    Draft202012Validator.check_schema(schema)
for name, value in values:
    for error in Draft202012Validator(schemas[name]).iter_errors(value):
        print(name, list(error.absolute_path), error.message)
for value in ({}, [{}], {"a": 1}):
    for name, schema in schemas.items():
        if Draft202012Validator(schema).is_valid(value) and value:
            print(name, "takes", value)
print("validated", len(values))
"#;

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
        let args = ["provision", "--format", "json", "--seed", seed.to_str().unwrap(), "--root", root.arg()];
        assert_eq!(keeps_to(&footplate(&args), "status.v1.json")["state"], state);
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

/// A configuration of a network, a template of Cluster API's, good and bad data, and an image: the output of each command.
#[test]
fn what_each_command_prints_keeps_to_its_schema() {
    let packages = needs!(unpacked(&["python3-jsonschema", "python3-attr", "python3-pyrsistent"]));
    let dir = fresh("schemas-commands");
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = "#cloud-config\nbogus: 1\nwrite_files: [{path: /etc/a, content: x, owner: 'root:root', permissions: '0600'}]\n\
        users: [{name: u}]\nmounts: [[LABEL=data, /srv]]\nfs_setup: [{device: /dev/vdb, filesystem: ext4}]\n\
        disk_setup: {/dev/vdb: {table_type: gpt, layout: true}}\nruncmd: [kubeadm init]\n";
    let template = "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfig\nmetadata: {name: a}\nspec:\n  \
        files: [{path: /usr/a, content: x}]\n  joinConfiguration: {nodeRegistration: {name: b}}\n";
    let network = "version: 2\nethernets: {eth0: {dhcp4: true, mtu: 1400}}\n";
    let inputs = [
        ("good.yaml", good),
        ("bad.yaml", "#cloud-config\nwrite_files: [{path: relative, permissions: 9}]\n"),
        ("object.yaml", template),
        ("network.yaml", network),
    ];
    let files: Vec<String> = inputs.iter().map(|(name, text)| put(name, text)).collect();
    for input in files.iter().map(std::slice::from_ref).chain([&files[..]]) {
        let args =
            [&["check", "--format", "json"], &input.iter().map(String::as_str).collect::<Vec<_>>()[..]];
        let checked = keeps_to(&footplate(&args.concat()), "check.v1.json");
        assert!(!checked["findings"].as_array().unwrap().is_empty() || input == &files[3..], "{checked:#}");
    }
    let root = Scratch::new("schemas-commands-root");
    root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").put("/etc/group", "root:x:0:\n");
    let seed = seed("schemas-commands", good);
    let seed = seed.to_str().unwrap();
    let planned = footplate(&["plan", "--format", "json", "--seed", seed, "--root", root.arg()]);
    let planned = keeps_to(&planned, "plan.v1.json");
    let item = planned["items"].as_array().unwrap().iter().find(|item| item["path"] == "/etc/a").unwrap();
    assert_eq!(
        [&item["kind"], &item["mode"], &item["owner"], &item["bytes"], &item["action"]],
        [&json!("file"), &json!("0600"), &json!("root:root"), &json!(1), &json!("create")]
    );
    assert!(planned["findings"].to_string().contains("bogus"), "{planned:#}");
    keeps_to(&footplate(&["query", "--format", "json", "--seed", seed]), "query.v1.json");
    keeps_to(&footplate(&["platforms", "--format", "json"]), "platforms.v1.json");
    let network = footplate(&["render", "network", "--format", "json", &files[3]]);
    keeps_to(&network, "render-network.v1.json");
    // A root that was provisioned, and is cleaned and sealed.
    footplate(&["provision", "--seed", seed, "--root", root.arg()]);
    let kinds = |json: &Value| {
        let items = json["removed"].as_array().unwrap().iter();
        items.map(|item| item["kind"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    for (command, name) in [("clean", "clean.v1.json"), ("seal", "seal.v1.json")] {
        let more = if command == "clean" { "--made" } else { "--force" };
        for dry in [&["--dry-run"][..], &[]] {
            let args = [&[command, more, "--format", "json", "--root", root.arg()], dry].concat();
            let said = keeps_to(footplate(&args).ended(0, &[]), name);
            assert_eq!(said["dry_run"], !dry.is_empty(), "{said:#}");
            if command == "clean" {
                for kind in ["directory", "file", "group", "user"] {
                    assert!(kinds(&said).contains(kind), "{kind}: {said:#}");
                }
            }
        }
        footplate(&["provision", "--seed", seed, "--root", root.arg()]);
    }
    let verified = footplate(&["verify", "--format", "json", "--root", root.arg()]);
    let verified = keeps_to(&verified, "verify.v1.json");
    assert_eq!(verified["findings"][0]["code"], "verify/lock", "{verified:#}");

    let names: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let schemas: serde_json::Map<String, Value> =
        names.into_iter().map(|name| (name.clone(), schema(&name))).collect();
    let printed = PRINTED.lock().unwrap().clone();
    let input = put("input.json", &json!([schemas, printed]).to_string());
    let ran = Ran::from(
        Command::new("python3")
            .args(["-c", VALIDATE])
            .env("PYTHONPATH", packages.join("usr/lib/python3/dist-packages"))
            .stdin(fs::File::open(input).unwrap())
            .output()
            .unwrap(),
    );
    assert_eq!((ran.code, ran.out), (0, format!("validated {}\n", printed.len())), "{}", ran.err);
}

#[test]
fn a_fault_is_found() {
    let whole = schema("status.v1.json");
    let bad = json!({ "version": 2, "state": "good", "stages": [{ "name": 1 }], "other": 0 });
    let mut found = Vec::new();
    faults(&bad, &whole, &whole, "", &mut found);
    assert_eq!(found.len(), 5, "{found:#?}");
}
