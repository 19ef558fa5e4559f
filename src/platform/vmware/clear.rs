// SPDX-License-Identifier: Apache-2.0
//! Takes what is secret out of guestinfo once the bootstrap has succeeded. Every process of the machine can read guestinfo
//! (CVE-2022-1706), and keys can't be deleted: their values are replaced by those that mean "nothing".
//!
//! The metadata stays, for it makes the network at each boot. Of it go the values that are named like secrets, outside of
//! `network`. Cluster API compares the metadata with its own, which has none of these, so it does not write it again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::guest::{self, IGNITION, KEYS, METADATA, NO_CONFIG, is_empty};
use super::older::URLS;
use super::report::keep_first;
use crate::decode::document::envelope::Encoding;
use crate::decode::ovf;
use crate::decode::signature;
use crate::decode::syntax::yaml::Node;
use crate::io::{Ask, Tell, World};
use crate::model::secret::{Secret, names_bootstrap_data, names_secret, strip};
use crate::platform::{Error, document};

/// An appliance's properties, as XML.
const OVF_ENV: &str = "guestinfo.ovfEnv";

/// What says that there is no value.
const NOTHING: &str = "---";

/// Takes bootstrap data and other secrets away. All keys are tried; the first error is the result.
pub(super) fn clear(world: &dyn World) -> Result<(), Error> {
    let mut cleared = Ok(());
    for key in &KEYS[1..] {
        keep_first(&mut cleared, clear_key(world, key));
    }
    for key in URLS {
        // A URL may hold a login.
        keep_first(
            &mut cleared,
            match has_value(world, key) {
                Ok(true) => set(world, key, NOTHING.as_bytes()),
                answer => answer.map(drop),
            },
        );
    }
    keep_first(&mut cleared, clear_metadata(world));
    keep_first(&mut cleared, clear_properties(world));
    cleared
}

fn has_value(world: &dyn World, key: &str) -> Result<bool, Error> {
    Ok(world.ask(Ask::Guestinfo(key))?.is_some_and(|value| !is_empty(&value)))
}

fn set(world: &dyn World, key: &str, value: &[u8]) -> Result<(), Error> {
    world.tell(Tell::Guestinfo { key, value })
}

fn clear_key(world: &dyn World, key: &str) -> Result<(), Error> {
    if !has_value(world, key)? {
        return Ok(());
    }
    // Ignition, should it ever look again, would take the value of cloud-init for a broken config.
    let (nothing, encoding): (&[u8], &[u8]) =
        if key == IGNITION { (NO_CONFIG, b"base64") } else { (NOTHING.as_bytes(), b" ") };
    set(world, key, nothing)?;
    set(world, &format!("{key}.encoding"), encoding)
}

fn clear_metadata(world: &dyn World) -> Result<(), Error> {
    let Some(value) = world.ask(Ask::Guestinfo(METADATA))?.filter(|v| !is_empty(v)) else { return Ok(()) };
    let encoding = world.text(Ask::Guestinfo(&format!("{METADATA}.encoding")))?;
    let stripped = without_secrets(value, &encoding)?;
    stripped.map_or(Ok(()), |stripped| set(world, METADATA, stripped.as_bytes()))
}

/// The metadata without secrets, such that its encoding's name still holds: who says gzip may send what is not packed.
/// `None` where it has none, or is signed: a signed document holds no secret.
fn without_secrets(value: Vec<u8>, encoding: &str) -> Result<Option<String>, Error> {
    let encoding = if is_empty(encoding.as_bytes()) { "" } else { encoding };
    let plain = matches!(Encoding::by_name(encoding), Some(Encoding::Plain | Encoding::Gzip));
    let Some(bytes) = guest::decode(METADATA, &(Some(Secret::new(value)), encoding.to_owned()))? else {
        return Ok(None);
    };
    // The signature would not hold for what is left, and the next boot's network needs it.
    if signature::is_signed(&bytes) {
        return Ok(None);
    }
    let mut json = as_written(&document::mapping(METADATA, &bytes)?);
    let mut found = false;
    for (name, value) in json.as_object_mut().into_iter().flatten() {
        if name != "network" {
            found |= strip_one(name, value);
        }
    }
    let text = if plain { json.to_string() } else { STANDARD.encode(json.to_string()) };
    Ok(found.then_some(text))
}

/// The document as JSON in which each scalar is read as the same text again: `0123` is no number then, which would be another
/// instance.
fn as_written(node: &Node) -> Json {
    if let Some(items) = node.list() {
        return items.iter().map(as_written).collect();
    }
    if node.is_map() {
        let named =
            |(key, value): (&Node, &Node)| (key.text().unwrap_or_default().to_owned(), as_written(value));
        return node.entries().map(named).collect::<Map<_, _>>().into();
    }
    match (node.to_json(), node.text()) {
        (Json::Number(number), Some(text)) if number.to_string() != text => text.into(),
        (json, _) => json,
    }
}

fn strip_one(name: &str, value: &mut Json) -> bool {
    let mut one = Map::from_iter([(name.to_owned(), value.take())]).into();
    let found = strip(&mut one);
    *value = one[name].take();
    found
}

fn clear_properties(world: &dyn World) -> Result<(), Error> {
    let xml = world.text(Ask::Guestinfo(OVF_ENV))?;
    if is_empty(xml.as_bytes()) {
        return Ok(());
    }
    let properties = ovf::properties(&xml)?;
    let value = |key: &str| properties.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
    let encoding = value(&format!("{METADATA}.encoding")).unwrap_or_default();
    let metadata = match value(METADATA).filter(|v| !is_empty(v.as_bytes())) {
        Some(metadata) => without_secrets(metadata.as_bytes().to_vec(), encoding)?,
        None => None,
    };
    let secret = |key: &str| {
        let url = URLS.contains(&key) || key == "seedfrom";
        (names_bootstrap_data(key) || names_secret(key) || url) && !key.ends_with(".encoding")
    };
    let changed = ovf::changed(&xml, |key, value| match key {
        METADATA => metadata.clone(),
        _ => (secret(key) && !is_empty(value.as_bytes())).then(|| NOTHING.to_owned()),
    })?;
    changed.map_or(Ok(()), |xml| set(world, OVF_ENV, xml.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not a secret is read as the same text again: a name that becomes a number is another instance.
    #[test]
    fn what_is_left_reads_as_before() {
        let text = "instance-id: 0123\nlocal-hostname: 1_0\nquiet: true\napi_token: t\n\
            network: {version: 2, ethernets: {a: {match: {macaddress: 10:11:12:13:14:15}, dhcp4: yes}}}\n";
        let stripped = without_secrets(text.as_bytes().to_vec(), "").unwrap().unwrap();
        let (was, is) = (
            document::mapping("a", text.as_bytes()).unwrap(),
            document::mapping("b", stripped.as_bytes()).unwrap(),
        );
        for key in ["instance-id", "local-hostname"] {
            assert_eq!(was.get(key).unwrap().text(), is.get(key).unwrap().text(), "{key}");
        }
        assert!(
            stripped.contains("\"10:11:12:13:14:15\"") && stripped.contains("\"quiet\":true"),
            "{stripped}"
        );
        assert!(!stripped.contains("\"t\""), "{stripped}");
        assert_eq!(without_secrets(b"instance-id: 0123".to_vec(), "").unwrap(), None);
        let signed = "# untrusted comment: a\n# b\n# trusted comment: c\n# d\n";
        assert_eq!(without_secrets(format!("{text}\n{signed}").into_bytes(), "").unwrap(), None);
    }
}
