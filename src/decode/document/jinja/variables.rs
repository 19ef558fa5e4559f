// SPDX-License-Identifier: Apache-2.0
//! The names that a template can use, as cloud-init's instance data has them.

use std::sync::Arc;

use minijinja::Value;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::assume::NULL;
use super::error::Segment;
use super::values::{self, Names};
use crate::decode::document::coreos::Words;
use crate::model::facts::Os;
use crate::model::instance::{Addresses, Instance, short};
use crate::model::secret::{names_bootstrap_data, names_secret, strip};

/// The names that a template can use, with their values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Variables {
    pub(super) values: Map<String, Json>,
    /// Whether metadata's names are taken to exist: away from the machine they cannot be known.
    pub(super) assume: bool,
    addresses: Addresses,
}

impl Variables {
    /// cloud-init's names: `ds.meta_data`, `v1` and its keys at the top.
    pub fn of(instance: &Instance, os: &Os) -> Self {
        let meta_data = instance.meta_data();
        let text = |s: Option<&str>| s.map_or(Json::Null, Json::from);
        let entries = [
            ("availability_zone", text(instance.availability_zone.as_deref())),
            ("cloud_id", Json::from(instance.platform)),
            ("cloud_name", Json::from(instance.platform)),
            ("distro", Json::from(os.id.as_str())),
            ("distro_release", Json::from("")),
            ("distro_version", Json::from(os.version.as_str())),
            ("instance_id", Json::from(instance.instance_id.as_str())),
            ("kernel_release", Json::from(os.kernel.as_str())),
            ("local_hostname", text(instance.hostname.as_deref().map(short))),
            ("machine", Json::from(std::env::consts::ARCH)),
            ("platform", Json::from(instance.platform)),
            ("public_ssh_keys", Json::from(instance.ssh_keys.clone())),
            ("region", text(instance.region.as_deref())),
            ("subplatform", Json::from("")),
            ("system_platform", Json::from("linux")),
            ("variant", Json::from(os.id.as_str())),
        ];
        let mut v1: Map<String, Json> = entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        if instance.hostname.is_none() {
            // cloud-init has a name for each machine: the text of none would be taken for one.
            v1.remove("local_hostname");
        }
        for old in ["availability_zone", "cloud_name", "instance_id", "local_hostname"] {
            if let Some(value) = v1.get(old).cloned() {
                v1.insert(old.replace('_', "-"), value);
            }
        }
        let mut top = v1.clone();
        top.insert("v1".to_owned(), Json::Object(v1));
        let mut ds = if instance.metadata_is_ds { instance.metadata.clone() } else { Map::new() };
        ds.insert("meta_data".to_owned(), Json::Object(meta_data));
        top.insert("ds".to_owned(), Json::Object(ds));
        let mut top = Json::Object(top);
        alias(&mut top);
        let values = if let Json::Object(top) = top { top } else { Map::new() };
        Self { values, assume: false, addresses: instance.addresses }
    }

    /// These names alone.
    pub fn named<'a>(names: impl Iterator<Item = (String, &'a str)>) -> Self {
        let values = names.map(|(name, value)| (name, Json::from(value))).collect();
        Self { values, assume: false, addresses: Addresses::default() }
    }

    /// Names as every platform has them, with made-up values; any other name below `ds.meta_data` is taken to exist.
    pub fn assumed() -> Self {
        Self::assumed_on("none")
    }

    /// The same on a platform of this id.
    pub fn assumed_on(platform: &'static str) -> Self {
        let name = || Some("node-1.example.com".to_owned());
        let instance = Instance {
            platform,
            instance_id: "i-0".to_owned(),
            hostname: name(),
            availability_zone: Some("zone-1".to_owned()),
            region: Some("region-1".to_owned()),
            ssh_keys: vec!["ssh-ed25519 AAAA".to_owned()],
            ..Instance::default()
        };
        let mut values = Self::of(&instance, &Os { id: "flatcar".to_owned(), ..Os::default() }).values;
        // Not every platform has these below `ds.meta_data`, and on some they are no text.
        if let Some(Json::Object(metadata)) = values.get_mut("ds").and_then(|ds| ds.get_mut("meta_data")) {
            metadata.retain(|name, _| !NULL.contains(&name.as_str()));
        }
        Self { values, assume: true, addresses: instance.addresses }
    }

    /// What the words of coreos-cloudinit stand for.
    pub fn words(&self) -> Words {
        Words { addresses: self.addresses, assume: self.assume }
    }

    /// The names with their values as a template takes them.
    pub(super) fn value(&self, names: &Arc<Names>) -> Value {
        values::from_json(&Json::Object(self.values.clone()), "", names)
    }

    /// The value of a name.
    pub(super) fn get(&self, path: &[Segment]) -> Option<&Json> {
        let (Segment::Name(first), rest) = path.split_first()? else { return None };
        rest.iter().try_fold(self.values.get(first)?, |value, part| match part {
            Segment::Name(key) => value.get(key),
            Segment::Index(at) => value.get(usize::try_from(*at).ok()?),
        })
    }

    /// Each name that a template can use, with its value; a secret's is its length.
    pub fn told(&self) -> Vec<(String, Json)> {
        let secret = |part: &str| names_secret(part) || names_bootstrap_data(part);
        let value = |name: &String| {
            let path = format!("/{}", name.replace('.', "/"));
            let mut value = Json::Object(self.values.clone()).pointer(&path).cloned().unwrap_or_default();
            if !name.split('.').any(secret) {
                // What lies deeper than names are told.
                strip(&mut value);
                return value;
            }
            let length = value.as_str().map_or_else(|| value.to_string().len(), str::len);
            Json::from(format!("{length} bytes, not shown"))
        };
        self.names().into_iter().map(|name| (name.clone(), value(&name))).collect()
    }

    /// The names that exist, `ds.meta_data.hostname`, for hints.
    pub(super) fn names(&self) -> Vec<String> {
        fn walk(prefix: &str, value: &Json, depth: usize, names: &mut Vec<String>) {
            match value {
                Json::Object(map) if depth > 0 => {
                    for (key, value) in map {
                        walk(&format!("{prefix}.{key}"), value, depth - 1, names);
                    }
                }
                _ => names.push(prefix.to_owned()),
            }
        }
        let mut names = Vec::new();
        for (key, value) in &self.values {
            walk(key, value, 4, &mut names);
        }
        names.retain(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        names
    }
}

/// Gives every key that no template can write (`local-hostname` reads as a subtraction) a second spelling with `_`.
/// A key that has that spelling itself keeps it, and what is in a list stays as it is, as for cloud-init.
fn alias(value: &mut Json) {
    let Json::Object(map) = value else { return };
    map.values_mut().for_each(alias);
    let odd: Vec<String> = map.keys().filter(|k| k.contains(is_operator)).cloned().collect();
    for key in odd {
        let spelled = key.replace(is_operator, "_");
        if !map.contains_key(&spelled) {
            let value = map.get(&key).cloned().unwrap_or_default();
            map.insert(spelled, value);
        }
    }
}

/// The characters that are operators in jinja.
fn is_operator(c: char) -> bool {
    "-+*/%.:,;<>=!~|()[]{}@^&".contains(c)
}
