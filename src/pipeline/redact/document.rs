// SPDX-License-Identifier: Apache-2.0
//! Documents of a platform without what is secret in them.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

use super::urls::strip_logins;
use super::{Known, like, picture};
use crate::decode::document::envelope;
use crate::decode::syntax;
use crate::model::instance::Instance;
use crate::model::secret::{name_has, names_bootstrap_data, strip};
use crate::platform;

/// A document of a platform as JSON, without secrets; `None` where it is not a mapping. Name and keys that stood in the user-data
/// alone (`generated`) come to stand in it.
pub(super) fn document(bytes: &[u8], known: &Known<'_>, generated: Option<&Instance>) -> Option<Vec<u8>> {
    let opened = envelope::base64(bytes).and_then(|b| envelope::open(&b).map(Cow::into_owned));
    let opened = opened.unwrap_or_else(|_| bytes.to_vec());
    let node = [opened.as_slice(), bytes].into_iter().find_map(|text| {
        let text = std::str::from_utf8(text).ok()?;
        let node = syntax::parse(&platform::readable(text)).ok()?;
        node.is_map().then_some(node)
    });
    let mut json = node?.to_spelled_json();
    pictured(&mut json, known);
    if let (Some(instance), Some(map)) = (generated, json.as_object_mut()) {
        let has = |map: &Map<String, Json>, word: &str| map.keys().any(|key| name_has(key, &[word]));
        if !has(map, "hostname") && instance.hostname.is_some() {
            map.insert("local-hostname".to_owned(), json!(instance.hostname));
        }
        if !has(map, "publickeys") && !instance.ssh_keys.is_empty() {
            map.insert("public-keys".to_owned(), json!(instance.ssh_keys));
        }
    }
    strip(&mut json);
    strip_logins(&mut json);
    Some(format!("{json:#}\n").into_bytes())
}

/// Puts the picture in the place of user-data within a document, and removes vendor-data, names of encodings, and Google's
/// attributes, of which each may be a secret.
fn pictured(json: &mut Json, known: &Known<'_>) {
    let goes: &[&str] = if known.is_vendors() { &["encoding"] } else { &["vendordata", "encoding"] };
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| pictured(item, known)),
        Json::Object(map) => {
            map.retain(|key, _| !names_bootstrap_data(key) || !name_has(key, goes));
            for (key, value) in map {
                if key == "attributes"
                    && let Json::Object(attributes) = value
                {
                    attributes.retain(|key, _| names_bootstrap_data(key));
                }
                match value {
                    Json::String(data) if names_bootstrap_data(key) => {
                        if !data.trim().is_empty() {
                            *data = like(data.as_bytes(), picture(known.config));
                        }
                    }
                    _ if names_bootstrap_data(key) => *value = Json::Null,
                    _ => pictured(value, known),
                }
            }
        }
        _ => {}
    }
}
