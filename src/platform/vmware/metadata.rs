// SPDX-License-Identifier: Apache-2.0
//! What the values of guestinfo mean.

use serde_json::json;

use super::guest::{FIRST_USER_DATA, KEYS, METADATA, VENDOR_DATA, Values, decode};
use crate::decode::syntax::yaml::Node;
use crate::model::instance::{Instance, WaitFor};
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::{Error, document};

/// The instance that the values describe. It has no id where the metadata gives none.
pub(super) fn parse(values: &Values) -> Result<Instance, Error> {
    let [metadata, vendor_data, ..] = &values.0;
    let vendor_data = decode(VENDOR_DATA, vendor_data)?.map(Secret::new);
    let mut instance = Instance { vendor_data, ..Instance::default() };
    let given = || KEYS.iter().zip(&values.0).skip(FIRST_USER_DATA).filter(|(_, (v, _))| v.is_some());
    if let Some((key, value)) = given().next() {
        instance.user_data = decode(key, value)?.map(Secret::new);
        let left_out = given().skip(1).map(|(other, _)| {
            let problem = Problem::warning(*other, format!("left out: {key} is there too"));
            problem.cure("set one of them")
        });
        instance.problems.extend(left_out);
    }
    if let Some(bytes) = decode(METADATA, metadata)? {
        read(&document::mapping(METADATA, &bytes)?, &mut instance)?;
        instance.owners.push((METADATA.to_owned(), Secret::new(bytes)));
    }
    Ok(instance)
}

fn read(node: &Node, instance: &mut Instance) -> Result<(), Error> {
    document::read_machine(METADATA, node, instance)?;
    if let Some(wait) = node.get("wait-on-network").or_else(|| node.get("wait_on_network")) {
        let asks = |family: &str| wait.get(family).and_then(Node::bool).unwrap_or(false);
        instance.wait_for = WaitFor { ipv4: asks("ipv4"), ipv6: asks("ipv6") };
    }
    let is_empty =
        |n: &Node| n.is_null() || n.text() == Some("") || n.is_map() && n.entries().next().is_none();
    let Some(network) = node.get("network").filter(|n| !is_empty(n)) else { return Ok(()) };
    let decoded = match network.text() {
        // A string is the config once more encoded, as `network.encoding` says.
        Some(text) => {
            let name = document::text_of(node, &["network.encoding"]).unwrap_or_default().to_owned();
            let key = format!("{METADATA}: network");
            let bytes = decode(&key, &(Some(Secret::from(text)), name))?.unwrap_or_default();
            instance.metadata.remove("network");
            Some(document::mapping(&key, &bytes)?)
        }
        None => None,
    };
    let network = decoded.as_ref().unwrap_or(network);
    document::read_network(network, instance);
    // cloud-init's templates find it there.
    let seen = instance.metadata.entry("network").or_insert_with(|| json!({}));
    if let Some(seen) = seen.as_object_mut() {
        seen.insert("config".to_owned(), network.to_json());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn values(metadata: &str, encoding: &str) -> Values {
        let mut values = Values::default();
        values.0[0] = (Some(Secret::from(metadata)), encoding.to_owned());
        values
    }

    #[test]
    fn metadata_is_yaml_or_json_in_any_encoding() {
        let cases = [
            ("instance-id: n1\nlocal-hostname: n1.example.com\n", ""),
            ("{\"instance-id\": \"n1\", \"local-hostname\": \"n1.example.com\"}", ""),
            ("aW5zdGFuY2UtaWQ6IG4xCmxvY2FsLWhvc3RuYW1lOiBuMS5leGFtcGxlLmNvbQo=", "b64"),
            ("aW5zdGFuY2UtaWQ6IG4xCmxvY2FsLWhvc3RuYW1lOiBuMS5leGFtcGxlLmNvbQo=", "gz+b64"),
        ];
        for (text, encoding) in cases {
            let instance = parse(&values(text, encoding)).unwrap();
            assert_eq!(instance.instance_id, "n1", "{text}");
            assert_eq!(instance.hostname.as_deref(), Some("n1.example.com"), "{text}");
        }
        assert_eq!(parse(&values("a: 1", "")).unwrap().instance_id, "");
    }

    #[test]
    fn templates_find_the_network_where_cloud_init_has_it() {
        let packed = STANDARD.encode("version: 2\nethernets: {id0: {dhcp4: true}}");
        for (network, want) in [
            ("{version: 2, ethernets: {id0: {dhcp4: true}}}".to_owned(), true),
            (format!("{packed}\nnetwork.encoding: base64"), true),
            ("''".to_owned(), false),
            ("{}".to_owned(), false),
            ("~".to_owned(), false),
            ("[a]".to_owned(), false),
        ] {
            let instance = parse(&values(&format!("instance-id: n\nnetwork: {network}\n"), "")).unwrap();
            let seen = instance.metadata.get("network").and_then(|n| n.get("config")?.get("version"));
            assert_eq!(seen, want.then(|| json!(2)).as_ref(), "{network}");
            assert_eq!(instance.network.is_some(), want, "{network}");
            assert_eq!(instance.problems.is_empty(), network != "[a]", "{network}: {:?}", instance.problems);
        }
    }

    #[test]
    fn one_key_has_the_user_data() {
        let mut all = values("instance-id: n1", "");
        for (value, key) in all.0.iter_mut().zip(KEYS).skip(FIRST_USER_DATA) {
            *value = (Some(Secret::from(key)), String::new());
        }
        for (n, key) in KEYS.iter().enumerate().skip(FIRST_USER_DATA) {
            let instance = parse(&all).unwrap();
            assert_eq!(instance.user_data, Some(Secret::from(*key)));
            assert_eq!(instance.problems.len(), KEYS.len() - 1 - n, "those that are left out are told");
            all.0[n] = Default::default();
        }
        assert_eq!(parse(&all).unwrap().user_data, None);
    }

    #[test]
    fn broken_metadata_is_named() {
        let cases = [
            ("a: 1", "rot13", "guestinfo.metadata.encoding: \"rot13\" is not a known encoding"),
            ("a: [", "", "guestinfo.metadata: not YAML"),
            ("- a", "", "guestinfo.metadata: takes a YAML or JSON mapping, this is a list"),
            ("a*b", "base64", "guestinfo.metadata: not base64"),
            ("instance-id: n\nlocal-hostname: a b\n", "", "not a name for a machine"),
        ];
        for (text, encoding, want) in cases {
            let error = parse(&values(text, encoding)).unwrap_err();
            assert!(matches!(error, Error::Broken(_)), "{text}: {error}");
            assert!(error.to_string().contains(want), "{text}: {error}");
        }
    }
}
