// SPDX-License-Identifier: Apache-2.0
//! Google Cloud: its metadata server ([VM metadata](https://cloud.google.com/compute/docs/metadata/overview)). All of it is asked for
//! at once, with the parts beside it that a server gives which has no such question.

use serde_json::{Map, Value as Json, json};

use super::service::{LINK_LOCAL, Service, Session, both};
use super::{Error, Evidence, Limit, Platform, Report, document};
use crate::decode::syntax::yaml::Node;
use crate::io::http::Method;
use crate::io::{World, now};
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling, short};
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::model::time::Time;

/// Google Cloud. Its limit is that of one metadata value.
pub(super) const PLATFORM: Platform = Platform {
    id: "gcp",
    name: "Google Cloud",
    aliases: &["gce"],
    spelling: Some(Spelling { coreos: "GCE", afterburn: "GCP", common: false }),
    limit: Some(Limit {
        bytes: 256 << 10,
        base64: false,
        cure: "put fewer or smaller files into the bootstrap data",
    }),
    names: &[
        "meta_data.instance.id",
        "meta_data.instance.name",
        "meta_data.instance.zone",
        "meta_data.project.projectId",
    ],
    hint: "Google Cloud: give the instance the metadata key user-data",
    evidence: |facts| {
        let dmi = &facts.dmi;
        let is =
            dmi.product_name == "Google Compute Engine" || dmi.product_serial.starts_with("GoogleCloud-");
        is.then(|| Evidence::of_dmi(dmi))
    },
    network: Some(fetch),
    report: Some(report),
    ..Platform::NONE
};

/// A machine with IPv6 alone reaches it at an address of its own.
static SERVICE: Service = Service {
    addresses: &both(LINK_LOCAL, [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),
    headers: &[("Metadata-Flavor", "Google")],
    limit: 2 << 20,
    cure: "Google's metadata server does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

const ROOT: &str = "/computeMetadata/v1/?recursive=true&alt=json";
const INSTANCE_ATTRIBUTES: &str = "/computeMetadata/v1/instance/attributes/?recursive=true";
const PROJECT_ATTRIBUTES: &str = "/computeMetadata/v1/project/attributes/?recursive=true";
/// Single values: the part of the tree, its name there, and its path.
const VALUES: &[(&str, &str, &str)] = &[
    ("instance", "hostname", "/computeMetadata/v1/instance/hostname"),
    ("instance", "id", "/computeMetadata/v1/instance/id"),
    ("instance", "machineType", "/computeMetadata/v1/instance/machine-type"),
    ("instance", "name", "/computeMetadata/v1/instance/name"),
    ("instance", "zone", "/computeMetadata/v1/instance/zone"),
    ("project", "projectId", "/computeMetadata/v1/project/project-id"),
];

/// The guest attribute that says how the bootstrap goes: `gcloud compute instances get-guest-attributes NAME
/// --query-path=footplate/status`.
const STATUS: &str = "/computeMetadata/v1/instance/guest-attributes/footplate/status";

/// The users whose keys are the default user's.
const USERS: &[&str] = &["core", "cloudinit"];

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    let whole = session.get_all(&[ROOT.to_owned()])?.pop().flatten();
    let node = match whole {
        Some(bytes) => document::mapping("computeMetadata", bytes.expose())?,
        None => match parts(&session)? {
            Some(node) => node,
            None => return Ok(None),
        },
    };
    read(&node).map(Some)
}

/// Tells the state as JSON in a guest attribute. Most projects have guest attributes switched off, and that is not a fault.
fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let Report { state, phase, code, error, .. } = report;
    let status = json!({ "state": state, "phase": phase, "code": code, "error": error }).to_string();
    if let Err(error) = SERVICE.tell(world, (Method::PUT, STATUS), &[], &status) {
        log::info!("report: the guest attribute footplate/status is not set: {error}");
    }
    Ok(())
}

/// The tree of a server that gives its parts only; `None` where it has none of them.
fn parts(session: &Session<'_>) -> Result<Option<Node>, Error> {
    let mut paths = vec![INSTANCE_ATTRIBUTES.to_owned(), PROJECT_ATTRIBUTES.to_owned()];
    paths.extend(VALUES.iter().map(|(_, _, path)| (*path).to_owned()));
    let answers = session.get_all(&paths)?;
    if answers.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut tree = json!({ "instance": {}, "project": {} });
    for (path, answer) in paths.iter().zip(answers) {
        let Some(answer) = answer else { continue };
        let text =
            std::str::from_utf8(answer.expose()).map_err(|_| Problem::error(path, "not UTF-8 text"))?;
        match VALUES.iter().find(|(_, _, p)| p == path) {
            Some((part, name, _)) => tree[*part][*name] = text.trim().into(),
            None => {
                let part = if path == PROJECT_ATTRIBUTES { "project" } else { "instance" };
                tree[part]["attributes"] = document::mapping(path, text.as_bytes())?.to_json();
            }
        }
    }
    Ok(Some(document::mapping("computeMetadata", tree.to_string().as_bytes())?))
}

fn read(node: &Node) -> Result<Instance, Error> {
    let text = |path: &str| document::text_at(node, path);
    // Names of kinds and zones are paths with the project in them.
    let zone = text("instance.zone").and_then(|zone| zone.rsplit('/').next()).map(str::to_owned);
    let mut instance = Instance { availability_zone: zone, ..Instance::default() };
    instance.instance_id = text("instance.id").unwrap_or_default().to_owned();
    instance.region =
        instance.availability_zone.as_deref().and_then(|z| z.rsplit_once('-')).map(|(r, _)| r.to_owned());
    let full = text("instance.hostname");
    // The whole name may be longer than a machine's name can be.
    if let Some(name) = full.map(short).or(text("instance.name")) {
        instance.hostname = Some(document::hostname("instance/hostname", name)?);
    }
    instance.node_name = text("instance.name").map(str::to_owned).or_else(|| instance.hostname.clone());
    if let (Some(project), Some(zone), Some(name)) =
        (text("project.projectId"), &instance.availability_zone, &instance.node_name)
    {
        instance.provider_id = Some(format!("gce://{project}/{zone}/{name}"));
    }
    let attributes = document::at(node, "instance.attributes");
    instance.ssh_keys = ssh_keys(attributes, document::at(node, "project.attributes"));
    instance.user_data = attributes.map(|a| user_data(a, &mut instance.problems)).transpose()?.flatten();
    let nics = document::list_at(node, "instance.networkInterfaces");
    let external = document::texts_at(node, "instance.networkInterfaces.0.accessConfigs.*.externalIp");
    let external = external.first().map(String::as_str);
    let local = text("instance.networkInterfaces.0.ip");
    for (name, value) in [
        ("HOSTNAME", full),
        ("IP_EXTERNAL_0", external),
        ("IP_LOCAL_0", local),
        ("MACHINE_TYPE", text("instance.machineType")),
    ] {
        instance.attribute(name, value);
    }
    instance.addresses.public_v4 = external.and_then(|a| a.parse().ok());
    instance.addresses.local_v4 = local.and_then(|a| a.parse().ok());
    instance.addresses.local_v6 = document::parsed_at(node, "instance.networkInterfaces.0.ipv6s.0");
    instance.metadata = metadata(node, full);
    document::read_cards(nics.iter().enumerate().filter_map(card).collect(), &mut instance)?;
    Ok(instance)
}

/// What templates see: cloud-init's names, whose host name is the whole one, and the tree without its attributes, which hold
/// user-data and may hold secrets.
fn metadata(node: &Node, full: Option<&str>) -> Map<String, Json> {
    let mut map = document::object(node);
    for part in ["instance", "project"] {
        if let Some(part) = map.get_mut(part).and_then(Json::as_object_mut) {
            part.remove("attributes");
        }
    }
    if let Some(full) = full {
        map.insert("local-hostname".to_owned(), full.into());
    }
    map
}

fn user_data(attributes: &Node, problems: &mut Vec<Problem>) -> Result<Option<Secret>, Error> {
    let Some(text) = document::text_at(attributes, "user-data").filter(|t| !t.trim().is_empty()) else {
        return Ok(None);
    };
    match document::text_at(attributes, "user-data-encoding") {
        None => Ok(Some(Secret::from(text))),
        Some("base64") => document::base64("instance/attributes/user-data", text.as_bytes()).map(Some),
        Some(_) => {
            let what = "is not an encoding that is known here, and the user-data is taken as it is";
            problems.push(
                Problem::warning("instance/attributes/user-data-encoding", what)
                    .cure("write base64, or leave it out"),
            );
            Ok(Some(Secret::from(text)))
        }
    }
}

/// The keys of the default user. The project's are not for an instance that blocks them, or that has keys by the older name.
fn ssh_keys(instance: Option<&Node>, project: Option<&Node>) -> Vec<String> {
    let text =
        |of: Option<&Node>, name: &str| of.and_then(|a| document::text_of(a, &[name])).map(str::to_owned);
    let older = text(instance, "sshKeys");
    // A flag, in every spelling that Google's agent or its documentation has.
    let blocked = text(instance, "block-project-ssh-keys").is_some_and(|v| {
        ["true", "t", "1", "yes", "y"].iter().any(|word| v.trim().eq_ignore_ascii_case(word))
    });
    let mut lists = vec![older.clone(), text(instance, "ssh-keys")];
    if older.is_none() && !blocked {
        lists.extend([text(project, "ssh-keys"), text(project, "sshKeys")]);
    }
    let lines = lists.iter().flatten().flat_map(|list| document::lines(list));
    let mut keys: Vec<String> = lines.filter_map(|line| key(&line)).collect();
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}

/// The key of a line `USER:KEY`, if it is the default user's and its time has not come: one that Google's tools made says when.
fn key(line: &str) -> Option<String> {
    let (_, key) = line.split_once(':').filter(|(user, _)| USERS.contains(user))?;
    let Some((_, about)) = key.split_once(" google-ssh ") else { return Some(key.trim().to_owned()) };
    let about: Json = serde_json::from_str(about).ok()?;
    let until = Time::parse(about["expireOn"].as_str()?.replace("+0000", "Z").as_str())?;
    (now() < until).then(|| key.trim().to_owned())
}

/// A NIC: DHCP gives its address alone (`/32`) and its routes, DHCPv6 an IPv6 address where it has one. Those after the first have
/// default routes too, which must not be preferred to the first one's.
fn card((n, nic): (usize, &Node)) -> Option<Json> {
    let mac = document::text_at(nic, "mac")?;
    let v6 = nic.get("ipv6s").or_else(|| nic.get("ipv6")).and_then(Node::list).is_some_and(|l| !l.is_empty());
    let v4 = document::text_at(nic, "ip").is_some() || !v6;
    let mut card = json!({ "match": { "macaddress": mac }, "dhcp4": v4, "dhcp6": v6 });
    if let Some(mtu) = document::text_at(nic, "mtu").and_then(|m| m.parse::<u32>().ok()).filter(|m| *m > 0) {
        card["mtu"] = json!(mtu);
    }
    if n > 0 {
        let metric = 100 * (n + 1);
        card["optional"] = json!(true);
        card["dhcp4-overrides"] = json!({ "route-metric": metric });
        if v6 {
            card["dhcp6-overrides"] = json!({ "route-metric": metric });
        }
    }
    Some(card)
}
