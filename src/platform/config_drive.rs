// SPDX-License-Identifier: Apache-2.0
//! OpenStack's format of metadata ([nova's metadata](https://docs.openstack.org/nova/latest/user/metadata.html)): the files of a config
//! drive, and the documents of OpenStack's service. Several platforms attach such a drive under one label, so a platform reads it only
//! where something else than the drive names that platform.

use serde_json::Value as Json;

use super::drive::Place;
use super::{Error, OwnedDrive, document};
use crate::decode::network::{is_config, parse_interfaces};
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::instance::{Instance, short};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// The label of the drive.
const LABEL: &str = "config-2";

/// The drive, for platforms that own one of its kind.
pub(super) const DRIVE: OwnedDrive = OwnedDrive { label: LABEL, read: drive };

/// The versions of the format, newest first. `latest` may be one that is not known here.
pub(super) const VERSIONS: &[&str] = &[
    "2025-04-04",
    "2020-10-14",
    "2018-08-27",
    "2017-02-22",
    "2016-10-06",
    "2016-06-30",
    "2015-10-15",
    "2013-10-17",
    "2013-04-04",
    "2012-08-10",
    LATEST,
];

/// The version that every source has.
pub(super) const LATEST: &str = "latest";

/// The files of a version.
pub(super) const FILES: &[&str] =
    &["meta_data.json", "network_data.json", "user_data", "vendor_data.json", "vendor_data2.json"];

/// Keys of the metadata whose values are secrets and of no use to a node.
const SECRETS: &[&str] = &["admin_pass", "configuration_token", "random_seed"];

/// Reads a file by its path, such as `openstack/latest/user_data`; `None` where the source has no such file.
pub(super) type Read<'a> = &'a dyn Fn(&str) -> Result<Option<Secret>, Error>;

/// A file of the drive.
pub(super) fn file(world: &dyn World, path: &str) -> Result<Option<Secret>, Error> {
    Ok(Place::Drive(LABEL).read(world, path)?.map(Secret::new))
}

/// What the drive says, by the newest version that is on it; `None` where there is no such drive, or neither metadata nor user-data
/// on it.
pub(super) fn drive(world: &dyn World) -> Result<Option<Instance>, Error> {
    for version in VERSIONS {
        let found = instance(&|path| file(world, path), version)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What the files of one version say; `None` where there is neither metadata nor user-data.
pub(super) fn instance(read: Read<'_>, version: &str) -> Result<Option<Instance>, Error> {
    let path = |name: &str| format!("openstack/{version}/{name}");
    let file = |name: &str| Ok::<_, Error>(read(&path(name))?.filter(|f| !f.is_blank()));
    let (meta_data, user_data) = (file("meta_data.json")?, file("user_data")?);
    if meta_data.is_none() && user_data.is_none() {
        return Ok(None);
    }
    let place = path("meta_data.json");
    let mut node = document::mapping(&place, meta_data.unwrap_or_default().expose())?;
    SECRETS.iter().for_each(|name| drop(node.remove(name)));
    let mut instance = Instance { user_data, ..Instance::default() };
    document::read_named_machine(&place, &node, &mut instance, document::take_hostname)?;
    instance.instance_id = document::text_at(&node, "uuid").unwrap_or_default().to_owned();
    instance.node_name = node_name(&node, &instance);
    if instance.ssh_keys.is_empty() {
        let keys = document::list_at(&node, "keys").iter();
        let keys = keys.filter(|key| document::text_at(key, "type").is_none_or(|t| t == "ssh"));
        instance.ssh_keys = keys.filter_map(|key| key.get("data")).flat_map(document::ssh_keys).collect();
    }
    let mut seen = std::collections::HashSet::new();
    instance.ssh_keys.retain(|key| seen.insert(key.clone()));
    if !document::list_at(&node, "files").is_empty() {
        let what = "files that are injected beside the user-data are not written";
        let problem = Problem::warning(format!("{place}: files"), what);
        instance.problems.push(problem.cure("write them by `write_files` of the user-data"));
    }
    network(&node, &path("network_data.json"), read, &mut instance)?;
    let (first, second) = (file("vendor_data.json")?, file("vendor_data2.json")?);
    instance.vendor_data = vendor_data(
        [(path("vendor_data.json"), first), (path("vendor_data2.json"), second)],
        &mut instance.problems,
    );
    Ok(Some(instance))
}

/// The name of the instance as its metadata has it, else the host name.
pub(super) fn own_name(instance: &Instance) -> Option<String> {
    let name = instance.metadata.get("name").and_then(|name| name.as_str()).filter(|name| !name.is_empty());
    name.map(str::to_owned).or_else(|| instance.hostname.clone())
}

/// The server's name, which cloud controllers look for; where that is not a name for a node, the host name without the domain that
/// OpenStack adds.
fn node_name(node: &Node, instance: &Instance) -> Option<String> {
    let name = document::text_at(node, "name").map(str::to_lowercase);
    let name = name.filter(|name| document::hostname("", name).is_ok_and(|n| n == *name));
    name.or_else(|| instance.hostname.as_deref().map(|name| short(name).to_lowercase()))
}

/// The network of `network_data.json`; where that has none, of an ifupdown file that the metadata points to; else DHCP.
pub(super) fn network(
    node: &Node,
    place: &str,
    read: Read<'_>,
    instance: &mut Instance,
) -> Result<(), Error> {
    if let Some(file) = read(place)? {
        let data = document::mapping(place, file.expose())?;
        // NICs without a network are left to DHCP. KubeVirt's users put a network config of cloud-init's own there too.
        if !document::list_at(&data, "networks").is_empty() || is_config(&data) {
            document::read_network(&data, instance);
            return Ok(());
        }
    }
    let content = document::text_at(node, "network_config.content_path");
    let Some(content) = content.filter(|path| !path.split('/').any(|part| part == "..")) else {
        return Ok(());
    };
    let path = format!("openstack/{}", content.trim_start_matches('/'));
    if let Some(file) = read(&path)? {
        let text = std::str::from_utf8(file.expose()).map_err(|_| Problem::error(&path, "not UTF-8 text"))?;
        let (config, problems) = parse_interfaces(text);
        // A file with nothing but the loopback interface leaves the network to DHCP.
        if !config.interfaces.is_empty() || !problems.is_empty() {
            document::take_network((config, problems), instance);
        }
    }
    Ok(())
}

/// The documents that the vendor sends, in the order in which they are merged: several become one archive.
fn vendor_data(files: [(String, Option<Secret>); 2], problems: &mut Vec<Problem>) -> Option<Secret> {
    let mut texts: Vec<String> = Vec::new();
    for (place, file) in files {
        let Some(file) = file else { continue };
        let Ok(json) = serde_json::from_slice::<Json>(file.expose()) else {
            problems.push(Problem::warning(&place, "not JSON: it has no effect"));
            continue;
        };
        // The second file has the first one's data again, as that of the source `static`.
        for text in for_cloud_init(&json) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    match texts.as_slice() {
        [] => None,
        [text] => Some(Secret::from(text.as_str())),
        texts => Some(Secret::from(format!("#cloud-config-archive\n{}\n", Json::from(texts)).as_str())),
    }
}

/// What of vendor-data is for cloud-init: a text, a list of texts, either under the key `cloud-init`, or that below the name of a
/// source. All else in it is for other programs.
fn for_cloud_init(json: &Json) -> Vec<String> {
    const KEY: &str = "cloud-init";
    let texts = |value: &Json| -> Vec<String> {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let texts = items.iter().filter_map(Json::as_str).filter(|text| !text.trim().is_empty());
        texts.map(str::to_owned).collect()
    };
    let Some(map) = json.as_object() else { return texts(json) };
    let sources = map.values().filter_map(|source| source.get(KEY));
    map.get(KEY).into_iter().chain(sources).flat_map(texts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(meta_data: &str) -> Instance {
        let read =
            |path: &str| Ok((path == "openstack/latest/meta_data.json").then(|| Secret::from(meta_data)));
        instance(&read, LATEST).unwrap().unwrap()
    }

    #[test]
    fn a_node_has_the_servers_name() {
        for (name, hostname, want) in [
            ("rook-1", "rook-1.novalocal", "rook-1"),
            ("rook.1", "rook-1.cloud.example", "rook.1"),
            ("Rook-1", "rook-1.novalocal", "rook-1"),
            ("Rook no. 1", "rook-no-1.cloud.example", "rook-no-1"),
            ("", "rook-1.cloud.example", "rook-1"),
        ] {
            let instance = of(&format!(r#"{{"uuid": "u", "name": "{name}", "hostname": "{hostname}"}}"#));
            assert_eq!(instance.node_name.as_deref(), Some(want), "{name} {hostname}");
            assert_eq!(instance.hostname.as_deref(), Some(hostname));
        }
        assert_eq!(of(r#"{"uuid": "u"}"#).node_name, None);
    }

    #[test]
    fn a_network_is_told_by_its_networks() {
        let nic = r#"{"id": "a", "type": "phy", "ethernet_mac_address": "fa:16:3e:00:00:09"}"#;
        let dhcp = r#"{"id": "n", "link": "a", "type": "ipv4_dhcp"}"#;
        for (links, networks, want) in [
            (nic, dhcp, Some("a")),
            (nic, "", None),
            ("", "", None),
            // The metadata's ifupdown file.
            ("", "", Some("env2")),
        ] {
            let content = if want == Some("env2") { "/content/0007" } else { "" };
            let read = |path: &str| {
                let text = match path {
                    "openstack/latest/meta_data.json" => {
                        format!(r#"{{"uuid": "u", "network_config": {{"content_path": "{content}"}}}}"#)
                    }
                    "openstack/latest/network_data.json" => {
                        format!(r#"{{"links": [{links}], "networks": [{networks}], "services": []}}"#)
                    }
                    "openstack/content/0007" => "auto env2\niface env2 inet dhcp\n".to_owned(),
                    _ => return Ok(None),
                };
                Ok(Some(Secret::from(text.as_str())))
            };
            let instance = instance(&read, LATEST).unwrap().unwrap();
            let is = instance.network.and_then(|n| n.interfaces.first().map(|i| i.id.clone()));
            assert_eq!(is.as_deref(), want, "{links} {networks}");
        }
    }

    #[test]
    fn keys_are_taken_once_and_from_either_place() {
        for (keys, want) in [
            (r#""public_keys": {"a": "ssh-a\n", "b": "ssh-b\nssh-a\n"}"#, "ssh-a ssh-b"),
            (r#""public_keys": ["ssh-a"], "keys": [{"type": "ssh", "data": "ssh-b"}]"#, "ssh-a"),
            (
                r#""public_keys": {}, "keys": [{"type": "x509", "data": "c"}, {"type": "ssh", "data": "ssh-b"}]"#,
                "ssh-b",
            ),
            (r#""public_keys": null, "keys": null"#, ""),
            (r#""keys": [{"name": "no data"}, 7]"#, ""),
        ] {
            assert_eq!(of(&format!("{{{keys}}}")).ssh_keys.join(" "), want, "{keys}");
        }
    }

    #[test]
    fn what_is_secret_is_no_metadata() {
        let instance = of(
            r#"{"uuid": "u", "admin_pass": "x", "random_seed": "not base64 ", "configuration_token": "x"}"#,
        );
        assert_eq!(instance.metadata.keys().collect::<Vec<_>>(), ["uuid"]);
    }

    #[test]
    fn vendor_data_is_what_is_meant_for_cloud_init() {
        for (first, second, want) in [
            (r##"{"cloud-init": "#!/bin/a"}"##, "{}", "#!/bin/a"),
            (r##""#!/bin/a""##, r#"{"magic": ""}"#, "#!/bin/a"),
            (r#"{"cloud-init": {"deeper": "x"}, "rack": "7"}"#, r#"{"static": ""}"#, ""),
            (r##"{"cloud-init": "#!/bin/a"}"##, r##"{"static": {"cloud-init": "#!/bin/a"}}"##, "#!/bin/a"),
            ("[1, null, {}]", "null", ""),
            (
                r##"["#!/bin/a", "#!/bin/b"]"##,
                r##"{"other": {"x": 1}, "site": {"cloud-init": ["#!/bin/c"]}}"##,
                "#cloud-config-archive\n[\"#!/bin/a\",\"#!/bin/b\",\"#!/bin/c\"]\n",
            ),
        ] {
            let mut problems = Vec::new();
            let files = [first, second].map(|text| (String::new(), Some(Secret::from(text))));
            let data = vendor_data(files, &mut problems).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(data.expose()), want, "{first} {second}");
            assert!(problems.is_empty());
        }
    }
}
