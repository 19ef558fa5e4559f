// SPDX-License-Identifier: Apache-2.0
//! Metadata documents: a YAML or JSON mapping, and the names that several platforms have in it.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde_json::{Map, Value as Json, json};

use super::Error;
use super::service::Service;
use crate::decode::cloud_config::check_hostname;
use crate::decode::document::envelope;
use crate::decode::network;
use crate::decode::syntax;
use crate::decode::syntax::yaml::{self, Node, Value};
use crate::io::{Ask, World};
use crate::model::facts::Facts;
use crate::model::instance::{Instance, short};
use crate::model::network::{Interface, NetworkConfig};
use crate::model::problem::{Problem, any_error};
use crate::model::secret::Secret;

/// The kernel's limit for a machine's name (`__NEW_UTS_LEN`).
const MAX_HOSTNAME: usize = 64;

/// A metadata document, which must be a mapping or empty. `name` is what messages call it.
pub(super) fn mapping(name: &str, bytes: &[u8]) -> Result<Node, Error> {
    let node = list(name, bytes)?;
    if !node.is_map() && !node.is_null() {
        let what = format!("takes a YAML or JSON mapping, this is {}", node.kind_name());
        return Err(Problem::error(name, what).at(node.pos).into());
    }
    Ok(node)
}

/// A document that is a list, or of any kind.
pub(super) fn list(name: &str, bytes: &[u8]) -> Result<Node, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::error(name, "not UTF-8 text"))?;
    Ok(syntax::parse(text).map_err(|problem| Problem { place: name.to_owned(), ..problem })?)
}

/// The one document in which a service says all; `None` where it has none.
pub(super) fn fetch(service: &'static Service, world: &dyn World, path: &str) -> Result<Option<Node>, Error> {
    let [answer] = service.get(world, [path])?;
    answer.map(|bytes| mapping(path, bytes.expose())).transpose()
}

/// A machine of which a service tells in a document of cloud-init's shape, with user-data and vendor-data beside it: their paths.
/// `None` where the document is not there.
pub(super) fn machine(
    service: &'static Service,
    world: &dyn World,
    paths: [&str; 3],
) -> Result<Option<(Node, Instance)>, Error> {
    let [Some(bytes), user_data, vendor_data] = service.get(world, paths)? else { return Ok(None) };
    let node = mapping(paths[0], bytes.expose())?;
    let mut instance = Instance { user_data, vendor_data, ..Instance::default() };
    read_machine(paths[0], &node, &mut instance)?;
    Ok(Some((node, instance)))
}

/// A document that may not be there: then it is null.
pub(super) fn given(name: &str, bytes: Option<&Secret>) -> Result<Node, Error> {
    mapping(name, bytes.map_or(&b""[..], Secret::expose))
}

/// Data that a document has in base64. `place` is what messages call it.
pub(super) fn base64(place: &str, data: &[u8]) -> Result<Secret, Error> {
    Ok(Secret::new(envelope::base64(data).map_err(|what| Problem::error(place, what))?))
}

/// What stands in a document at a path of keys, and of numbers in lists, such as `location.zone_id` and `nics.0.ip`.
pub(super) fn at<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('.').try_fold(node, |node, key| match node.list() {
        Some(items) => items.get(key.parse::<usize>().ok()?),
        None => node.get(key),
    })
}

/// The text at a path.
pub(super) fn text_at<'a>(node: &'a Node, path: &str) -> Option<&'a str> {
    at(node, path)?.text().filter(|text| !text.is_empty())
}

/// The text at a path as what it says, such as an address; `None` where it says no such thing.
pub(super) fn parsed_at<T: FromStr>(node: &Node, path: &str) -> Option<T> {
    text_at(node, path)?.parse().ok()
}

/// The list at a path; empty where there is none.
pub(super) fn list_at<'a>(node: &'a Node, path: &str) -> &'a [Node] {
    at(node, path).and_then(Node::list).unwrap_or_default()
}

/// The texts at a path in which `*` stands for each item of a list, such as `nics.*.ip`.
pub(super) fn texts_at(node: &Node, path: &str) -> Vec<String> {
    match path.split_once(".*") {
        None => text_at(node, path).map(str::to_owned).into_iter().collect(),
        Some((list, "")) => at(node, list).map(texts).unwrap_or_default(),
        Some((list, below)) => {
            list_at(node, list).iter().flat_map(|item| texts_at(item, &below[1..])).collect()
        }
    }
}

/// Adds Afterburn's names, each with the path of its value.
pub(super) fn attributes(node: &Node, names: &[(&str, &str)], instance: &mut Instance) {
    for (name, path) in names {
        instance.attribute(name, text_at(node, path));
    }
}

/// A document as what templates see of it.
pub(super) fn object(node: &Node) -> Map<String, Json> {
    if let Json::Object(map) = node.to_json() { map } else { Map::new() }
}

/// What a document of the machine says that has user-data and vendor-data in it too. These are not metadata: they are
/// read apart, and are not among what templates see.
pub(super) fn with_user_data(name: &str, node: &Node) -> Result<Instance, Error> {
    let mut instance = Instance::default();
    read_machine(name, node, &mut instance)?;
    let mut take = |names: [&str; 2]| {
        let data = text_of(node, &names).filter(|t| !t.trim().is_empty()).map(Secret::from);
        names.iter().for_each(|n| drop(instance.metadata.remove(*n)));
        data
    };
    (instance.user_data, instance.vendor_data) =
        (take(["user-data", "user_data"]), take(["vendor-data", "vendor_data"]));
    Ok(instance)
}

/// Names the node as most cloud controllers know it: by the machine's name, and by `SCHEME://ID`.
pub(super) fn name_by_id(scheme: &str, instance: &mut Instance) {
    instance.node_name = instance.hostname.clone();
    let id = Some(&instance.instance_id).filter(|id| !id.is_empty());
    instance.provider_id = id.map(|id| format!("{scheme}://{id}"));
}

/// The UUID that many boards have, whose makers gave them none.
const OF_MANY: &str = "03000200-0400-0500-0006-000700080009";

/// An id of the machine's own, where no platform gives it one: the UUID of its firmware. Some boards have none of their own; the
/// system's is made at its first boot and stays.
pub(super) fn own_id(world: &dyn World, facts: &Facts) -> Result<String, Error> {
    let uuid = facts.dmi.product_uuid.trim().to_lowercase();
    let is_own = uuid.bytes().any(|b| b.is_ascii_hexdigit() && !b"0f".contains(&b)) && uuid != OF_MANY;
    if uuid.len() == OF_MANY.len() && is_own { Ok(uuid) } else { world.text(Ask::File("/etc/machine-id")) }
}

/// The texts of a list.
pub(super) fn texts(node: &Node) -> Vec<String> {
    node.list().unwrap_or_default().iter().filter_map(Node::text).map(str::to_owned).collect()
}

/// The network of NICs, each in netplan's shape with the `match` that tells it.
pub(super) fn read_cards(cards: Vec<Json>, instance: &mut Instance) -> Result<(), Error> {
    if cards.is_empty() {
        return Ok(());
    }
    let named = cards.into_iter().enumerate().map(|(n, card)| (format!("card{n:02}"), card));
    let ethernets: Map<String, Json> = named.collect();
    let document = json!({ "network": { "version": 2, "ethernets": ethernets } });
    read_network(&yaml::parse(&document.to_string())?, instance);
    Ok(())
}

/// The first of `names` that the mapping has, as text.
pub(super) fn text_of<'a>(map: &'a Node, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|n| map.get(n)?.text().filter(|t| !t.is_empty()))
}

/// What a metadata document of cloud-init's shape says of the machine itself: names, keys, place, addresses. `name` is what
/// messages call the document.
pub(super) fn read_machine(name: &str, node: &Node, instance: &mut Instance) -> Result<(), Error> {
    read_named_machine(name, node, instance, |place, name, instance| {
        instance.hostname = Some(hostname(place, name)?);
        Ok(())
    })
}

/// Takes a name from a place.
pub(super) type TakeName = fn(place: &str, name: &str, instance: &mut Instance) -> Result<(), Error>;

/// The same, with what takes the machine's name.
pub(super) fn read_named_machine(
    name: &str,
    node: &Node,
    instance: &mut Instance,
    take_name: TakeName,
) -> Result<(), Error> {
    let text = |names: &[&str]| text_of(node, names).map(str::to_owned);
    instance.instance_id = text(&["instance-id", "instance_id"]).unwrap_or_default();
    if let Some(given) = text_of(node, &["local-hostname", "local_hostname", "hostname"]) {
        take_name(&format!("{name}: local-hostname"), given, instance)?;
    }
    instance.node_name = text(&["node-name", "node_name"]);
    instance.provider_id = text(&["provider-id", "provider_id"]);
    // A placement is EC2's shape of it, which others send too.
    let placed = |path: &str| text_at(node, path).map(str::to_owned);
    let zone = text(&["availability-zone", "availability_zone"]);
    instance.availability_zone = zone.or_else(|| placed("placement.availability-zone"));
    instance.region = text(&["region"]).or_else(|| placed("placement.region"));
    let addresses = &mut instance.addresses;
    addresses.local_v4 = text(&["local-ipv4", "local_ipv4"]).and_then(|a| a.parse().ok());
    addresses.local_v6 = text(&["local-ipv6", "local_ipv6"]).and_then(|a| a.parse().ok());
    addresses.public_v4 = text(&["public-ipv4", "public_ipv4"]).and_then(|a| a.parse().ok());
    addresses.public_v6 = text(&["public-ipv6", "public_ipv6"]).and_then(|a| a.parse().ok());
    let keys = ["public-keys-data", "public_keys_data", "public-keys", "public_keys"];
    if let Some(keys) = keys.iter().find_map(|k| node.get(k)) {
        instance.ssh_keys = ssh_keys(keys);
    }
    instance.metadata = object(node);
    Ok(())
}

/// SSH keys in each shape that cloud-init takes them in: lines of a text, a list, or a mapping whose values are any of
/// these (`{0: key}`, `{0: [key, key]}`, `{0: {openssh-key: key}}`).
pub(super) fn ssh_keys(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(ssh_keys).collect(),
        Value::Map(_) => node.entries().flat_map(|(_, value)| ssh_keys(value)).collect(),
        _ => lines(node.text().unwrap_or_default()),
    }
}

/// The lines of a text that are not empty.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
}

/// The name of a machine. A last dot, which a fully qualified name may have, is left out, and so is the domain where the whole is
/// longer than a machine's name can be; of an IPv4 address a name is made, as cloud-init makes it: the address would be cut at its
/// first dot.
pub(super) fn hostname(place: &str, name: &str) -> Result<String, Error> {
    let name = name.trim();
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = if name.len() > MAX_HOSTNAME { short(name) } else { name };
    if name.parse::<Ipv4Addr>().is_ok() {
        return Ok(format!("ip-{}", name.replace('.', "-")));
    }
    check_hostname(name).map_err(|what| Problem::error(place, what))?;
    Ok(name.to_owned())
}

/// Gives the machine its name, on platforms that take names with `_`, which no machine can have.
pub(super) fn take_hostname(place: &str, name: &str, instance: &mut Instance) -> Result<(), Error> {
    instance.hostname = Some(hostname(place, &name.replace('_', "-"))?);
    if name.contains('_') {
        let what = "a machine's name can't have `_`, and this machine takes `-` for it";
        instance.problems.push(Problem::warning(place, what).cure("rename the instance"));
    }
    Ok(())
}

/// The first static addresses of one of the interfaces that the metadata describes: Afterburn's `IPV4` and `IPV6`.
pub(super) fn first_addresses(choose: fn(&NetworkConfig) -> Option<&Interface>, instance: &mut Instance) {
    let addresses = instance.network.as_ref().and_then(choose).map(|i| i.addresses.as_slice());
    let ips = || addresses.unwrap_or_default().iter().map(|a| a.cidr.addr);
    let v4 = ips().find_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None });
    let v6 = ips().find_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None });
    instance.attribute("IPV4", v4);
    instance.attribute("IPV6", v6);
    instance.addresses.local_v4 = instance.addresses.local_v4.or(v4);
    instance.addresses.local_v6 = instance.addresses.local_v6.or(v6);
}

/// The network that metadata describes. A config that as a whole can't be used is left out, and the problems say so:
/// the machine then stays reachable by DHCP.
pub(super) fn read_network(node: &Node, instance: &mut Instance) {
    take_network(network::parse(node), instance);
}

/// The same of a config that was read already.
pub(super) fn take_network((config, problems): (NetworkConfig, Vec<Problem>), instance: &mut Instance) {
    instance.problems.extend(problems);
    if config.usable() || !any_error(&instance.problems) {
        instance.network = Some(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_keys_and_lists() {
        let text = r#"{"a": {"b": "x", "none": null, "": "y"}, "l": [{"c": "1"}, {"c": ["2", "3"]}, {"c": ""}], "t": ["u", ""]}"#;
        let node = mapping("", text.as_bytes()).unwrap();
        for (path, want) in [
            ("a.b", Some("x")),
            ("l.0.c", Some("1")),
            ("l.1.c.1", Some("3")),
            ("a", None),
            ("a.none", None),
            ("a.b.c", None),
            ("l.c", None),
            ("l.2.c", None),
            ("l.3.c", None),
        ] {
            assert_eq!(text_at(&node, path), want, "{path}");
        }
        for (path, want) in
            [("a.b", "x"), ("l.*.c", "1"), ("l.*.c.*", "2 3"), ("t.*", "u "), ("a.*", ""), ("n.*.c", "")]
        {
            assert_eq!(texts_at(&node, path).join(" "), want, "{path}");
        }
        assert_eq!(parsed_at(&node, "l.1.c.0"), Some(2));
        assert_eq!(parsed_at::<u8>(&node, "a.b"), None);
        assert_eq!((list_at(&node, "l").len(), list_at(&node, "a").len()), (3, 0));
    }

    #[test]
    fn keys_come_in_many_shapes() {
        for (text, want) in [
            ("ssh-rsa A me", "ssh-rsa A me"),
            ("\"k1\\n\\nk2\\n\"", "k1 k2"),
            ("[k1, k2, '']", "k1 k2"),
            ("{0: k1}", "k1"),
            ("{0: [k1, k2], 1: k3}", "k1 k2 k3"),
            ("{0: {openssh-key: k1}}", "k1"),
            ("null", ""),
            ("[]", ""),
        ] {
            assert_eq!(ssh_keys(&yaml::parse(text).unwrap()).join(" "), want, "{text}");
        }
    }

    #[test]
    fn names_are_taken_as_cloud_init_takes_them() {
        for (given, want) in [
            ("a.example.com", Some("a.example.com")),
            ("a.example.com.", Some("a.example.com")),
            ("host.", Some("host")),
            ("198.51.100.7", Some("ip-198-51-100-7")),
            ("a..b", None),
            (" a.example\r\n", Some("a.example")),
            ("a b", None),
            (".", None),
            ("fd00::1", None),
            (
                "a-name-of-58-bytes-to-which-a-cloud-adds-ten-bytes-0123456.novalocal",
                Some("a-name-of-58-bytes-to-which-a-cloud-adds-ten-bytes-0123456"),
            ),
        ] {
            assert_eq!(hostname("place", given).ok().as_deref(), want, "{given}");
        }
    }
}
