// SPDX-License-Identifier: Apache-2.0
//! VMware vSphere: guestinfo, as [cloud-init's VMware datasource](https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html)
//! and Cluster API's vSphere provider use it.

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;

use anyhow::{Result, bail};
use serde_json::{Map, Value as Json};

use super::{Provider, Report, read_mapping, read_network, text_of};
use crate::decode::document::envelope::{self, Encoding};
use crate::decode::syntax::yaml::{Node, Value};
use crate::decode::{network, ovf};
use crate::io::{Ask, World};
use crate::model::facts::{Facts, Link};
use crate::model::instance::{Instance, WaitFor};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// vSphere.
pub struct Vmware;

/// The values, each with its `.encoding`, in the order in which they are read.
const KEYS: [&str; 5] =
    [METADATA, VENDOR_DATA, IGNITION, "guestinfo.userdata", "guestinfo.coreos.config.data"];

/// Where the user-data may be, the one that goes before the others first: Ignition's own key, cloud-init's, and the one
/// that both had on CoreOS ([Ignition](https://coreos.github.io/ignition/supported-platforms/)).
const FIRST_USER_DATA: usize = 2;

const METADATA: &str = "guestinfo.metadata";
const VENDOR_DATA: &str = "guestinfo.vendordata";
const IGNITION: &str = "guestinfo.ignition.config.data";

/// What Ignition puts into its key once it has read it, since keys can't be deleted: `{}` in base64.
const NO_CONFIG: &[u8] = b"e30K";

/// The drive that brings an appliance's properties where guestinfo has none of them (the transport `iso`), and the names that
/// a plain ISO 9660 leaves of `ovf-env.xml`.
const DRIVE: &str = "OVF ENV";
const ENVIRONMENTS: [&str; 4] = ["ovf-env.xml", "ovf_env.xml", "OVF-ENV.XML", "OVF_ENV.XML"];

/// Passes over all keys until two agree. Cluster API writes metadata and user-data one after the other; a node that
/// boots meanwhile must not mix old and new.
const MAX_PASSES: usize = 5;

/// What guestinfo held: for each of [`KEYS`] the value and its encoding's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Values([(Option<Secret>, String); KEYS.len()]);

impl Provider for Vmware {
    fn id(&self) -> &'static str {
        "vmware"
    }

    fn name(&self) -> &'static str {
        "VMware vSphere"
    }

    fn matches(&self, facts: &Facts) -> Option<String> {
        let dmi = &facts.dmi;
        if dmi.sys_vendor == "VMware, Inc." || dmi.product_name.to_ascii_lowercase().contains("vmware") {
            return Some(format!("DMI vendor {:?}, product {:?}", dmi.sys_vendor, dmi.product_name));
        }
        // Nested hypervisors pass the signature on; a vendor that names another platform is then the truth.
        let unnamed = dmi.sys_vendor.is_empty();
        (facts.hypervisor.as_deref() == Some("VMwareVMware") && unnamed)
            .then(|| "CPUID signature VMwareVMware".to_owned())
    }

    fn needs_network(&self) -> bool {
        false
    }

    fn fetch(&self, world: &dyn World) -> Result<Option<Instance>> {
        let uuid = world.text(Ask::File("/sys/class/dmi/id/product_uuid")).unwrap_or_default();
        let guest = Guest { world, properties: OnceCell::new() };
        let values = read(&guest)?;
        let mut instance = parse(&values)?;
        read_properties(&guest, &mut instance)?;
        if instance.network.is_none() {
            read_older_network(&guest, &mut instance)?;
        }
        let told = !instance.instance_id.is_empty()
            || instance.hostname.is_some()
            || instance.user_data.is_some()
            || instance.network.is_some()
            || !instance.problems.is_empty();
        if values.is_empty() && !told {
            return Ok(None);
        }
        identify(&mut instance, &uuid)?;
        let links: Vec<Link> = match world.ask(Ask::Links)? {
            Some(json) => serde_json::from_slice(&json)?,
            None => Vec::new(),
        };
        add_host(&mut instance, &links);
        Ok(Some(instance))
    }

    fn report(&self, world: &dyn World, report: &Report<'_>) -> Result<()> {
        world.set_guestinfo("guestinfo.footplate.state", report.state.as_bytes())?;
        // An empty value can't be set; a blank says that there is nothing.
        let error: String =
            report.error.unwrap_or(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        world.set_guestinfo("guestinfo.footplate.error", error.as_bytes())?;
        if report.state != "done" {
            return Ok(());
        }
        // Every process of the machine can read guestinfo (CVE-2022-1706), and nobody needs the join token any more.
        // Keys can't be deleted; these values mean that there is nothing. The metadata stays: Cluster API compares it
        // with its own and would write it again.
        for key in &KEYS[1..] {
            if world.ask(Ask::Guestinfo(key))?.is_some_and(|v| !is_empty(&v)) {
                // Ignition, should it ever look again, would take the one of cloud-init for a broken config.
                let (nothing, encoding): (&[u8], &[u8]) =
                    if *key == IGNITION { (NO_CONFIG, b"base64") } else { (b"---", b" ") };
                world.set_guestinfo(key, nothing)?;
                world.set_guestinfo(&format!("{key}.encoding"), encoding)?;
            }
        }
        Ok(())
    }
}

impl Values {
    fn is_empty(&self) -> bool {
        self.0.iter().all(|(value, _)| value.is_none())
    }
}

/// guestinfo, and below it what an appliance's OVF properties of the same names say, by either transport.
struct Guest<'a> {
    world: &'a dyn World,
    properties: OnceCell<Vec<(String, String)>>,
}

impl Guest<'_> {
    /// A key's value, unless it is absent or says that it is.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.world.ask(Ask::Guestinfo(key))?.filter(|v| !is_empty(v)) {
            return Ok(Some(value));
        }
        Ok(self.property(key)?.map(|v| v.as_bytes().to_vec()))
    }

    /// A property of the appliance, by the name that its OVF descriptor has.
    fn property(&self, key: &str) -> Result<Option<&str>> {
        let properties = match self.properties.get() {
            Some(properties) => properties,
            None => {
                let xml = self.environment()?;
                let properties = if xml.is_empty() { Vec::new() } else { ovf::properties(&xml)? };
                self.properties.get_or_init(|| properties)
            }
        };
        let value = properties.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        Ok(value.filter(|v| !is_empty(v.as_bytes())))
    }

    /// The appliance's OVF environment: in guestinfo, else on the drive. Empty for a machine that was made of no appliance.
    fn environment(&self) -> Result<String> {
        let mut xml = self.world.text(Ask::Guestinfo("guestinfo.ovfEnv"))?;
        let labels = self.world.text(Ask::Labels)?;
        if labels.lines().any(|l| l.eq_ignore_ascii_case(DRIVE)) {
            for file in ENVIRONMENTS {
                if xml.is_empty() {
                    xml = self.world.text(Ask::Drive { label: DRIVE, file })?;
                }
            }
        }
        Ok(xml)
    }
}

/// Reads all keys until two passes agree.
fn read(guest: &Guest<'_>) -> Result<Values> {
    let pass = || -> Result<Values> {
        let mut values = Values::default();
        for (key, (value, encoding)) in KEYS.iter().zip(&mut values.0) {
            *value = guest.get(key)?.map(Secret::new);
            if value.is_some() {
                let name = guest.get(&format!("{key}.encoding"))?.unwrap_or_default();
                *encoding = String::from_utf8_lossy(&name).into_owned();
            }
        }
        Ok(values)
    };
    let mut last = pass()?;
    for _ in 1..MAX_PASSES {
        let next = pass()?;
        if next == last {
            return Ok(last);
        }
        last = next;
    }
    bail!("guestinfo changes while it is read: {MAX_PASSES} passes over its keys and no two alike")
}

/// Absent by vSphere's conventions: keys can't be deleted, so they are set to `---` or to blanks, and by Ignition to an
/// empty config.
fn is_empty(value: &[u8]) -> bool {
    matches!(value.trim_ascii(), b"" | b"---" | NO_CONFIG)
}

/// The network in the words that came before metadata had one: coreos-cloudinit's flat keys, else Afterburn's kernel
/// arguments.
fn read_older_network(guest: &Guest<'_>, instance: &mut Instance) -> Result<()> {
    let failure = RefCell::new(None);
    let text = |key: &str| -> Result<Option<String>> {
        match guest.get(&format!("guestinfo.{key}"))? {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            None => Ok(guest.property(key)?.map(str::to_owned)),
        }
    };
    let get = |key: &str| {
        text(key).unwrap_or_else(|error| {
            failure.replace(Some(error));
            None
        })
    };
    let (mut config, mut problems) = network::parse_guestinfo_legacy(&get);
    if config.interfaces.is_empty() && config.unusable.is_empty() {
        (config, problems) = network::parse_kargs(&get("afterburn.initrd.network-kargs").unwrap_or_default());
    }
    if let Some(error) = failure.into_inner() {
        return Err(error);
    }
    instance.problems.extend(problems);
    instance.network = (!config.interfaces.is_empty()).then_some(config);
    Ok(())
}

/// What guestinfo leaves out and the appliance's properties say, by the names that
/// [cloud-init's OVF datasource](https://docs.cloud-init.io/en/latest/reference/datasources/ovf.html) has for them.
fn read_properties(guest: &Guest<'_>, instance: &mut Instance) -> Result<()> {
    // In base64, as that datasource wants them, or as they are; either may be packed.
    let open = |key: &str, text: &str| -> Result<Vec<u8>> {
        let data = envelope::base64(text.as_bytes()).unwrap_or_else(|_| text.as_bytes().to_vec());
        let data = if envelope::is_gzip(&data) { envelope::gunzip(&data) } else { Ok(data) };
        data.map_err(|what| Problem::error(format!("ovfEnv: {key}"), what).into())
    };
    if let Some(id) = guest.property("instance-id")?.filter(|_| instance.instance_id.is_empty()) {
        instance.instance_id = id.to_owned();
    }
    if instance.hostname.is_none() {
        let flat = guest.get("guestinfo.hostname")?.map(|v| String::from_utf8_lossy(&v).into_owned());
        let named = guest.property("local-hostname")?.or(guest.property("hostname")?);
        if let Some(name) = flat.or(named.map(str::to_owned)) {
            set_hostname(instance, "guestinfo: hostname", name.trim())?;
        }
    }
    if let Some(keys) = guest.property("public-keys")?.filter(|_| instance.ssh_keys.is_empty()) {
        instance.ssh_keys = keys_of(keys.lines());
    }
    if let Some(data) = guest.property("user-data")?.filter(|_| instance.user_data.is_none()) {
        instance.user_data = Some(Secret::new(open("user-data", data)?));
    }
    if let Some(config) = guest.property("network-config")?.filter(|_| instance.network.is_none()) {
        let key = "ovfEnv: network-config";
        read_network(&read_mapping(key, &open("network-config", config)?)?, instance);
    }
    for key in ["password", "seedfrom"] {
        if guest.property(key)?.is_some() {
            let what = "this property has no effect here";
            instance.problems.push(Problem::warning(format!("ovfEnv: {key}"), what));
        }
    }
    Ok(())
}

fn keys_of<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.map(|k| k.trim().to_owned()).filter(|k| !k.is_empty()).collect()
}

fn set_hostname(instance: &mut Instance, place: &str, name: &str) -> Result<()> {
    if let Err(what) = crate::decode::cloud_config::check_hostname(name) {
        return Err(Problem::error(place, what).into());
    }
    instance.hostname = Some(name.to_owned());
    Ok(())
}

/// What the values mean.
fn parse(values: &Values) -> Result<Instance> {
    let [metadata, vendor_data, ..] = &values.0;
    let mut instance = Instance {
        platform: Vmware.id(),
        vendor_data: decode(VENDOR_DATA, vendor_data)?.map(Secret::new),
        ..Instance::default()
    };
    let given = || KEYS.iter().zip(&values.0).skip(FIRST_USER_DATA).filter(|(_, (v, _))| v.is_some());
    if let Some((key, value)) = given().next() {
        instance.user_data = decode(key, value)?.map(Secret::new);
        let left_out = given().skip(1).map(|(other, _)| {
            let problem = Problem::warning(*other, format!("is left out: {key} is there too"));
            problem.cure("set one of them")
        });
        instance.problems.extend(left_out);
    }
    if let Some(bytes) = decode(METADATA, metadata)? {
        let node = read_mapping(METADATA, &bytes)?;
        read_metadata(&node, &mut instance)?;
    }
    Ok(instance)
}

/// Without an id of its own an instance has the machine's.
fn identify(instance: &mut Instance, uuid: &str) -> Result<()> {
    if instance.instance_id.is_empty() {
        instance.instance_id = uuid.to_ascii_lowercase();
    }
    if instance.instance_id.is_empty() {
        return Err(Problem::error(
            METADATA,
            "no instance-id, and DMI has no product_uuid to take its place",
        )
        .cure("set instance-id in guestinfo.metadata")
        .into());
    }
    Ok(())
}

/// Undoes a value's encoding. cloud-init tolerates data that is not packed although its encoding says gzip.
fn decode(key: &str, (value, name): &(Option<Secret>, String)) -> Result<Option<Vec<u8>>> {
    let Some(value) = value else { return Ok(None) };
    let fail = |place: String, what: String| Problem::error(place, what);
    let Some(encoding) = Encoding::by_name(name) else {
        let problem = fail(format!("{key}.encoding"), format!("{name:?} is no known encoding"));
        return Err(problem.cure(Encoding::HINT).into());
    };
    let decoded = match encoding {
        Encoding::GzipBase64 => envelope::base64(value.expose()),
        Encoding::Gzip => Ok(value.expose().to_vec()),
        other => other.decode(value.expose()),
    };
    let decoded = decoded.and_then(|d| if envelope::is_gzip(&d) { envelope::gunzip(&d) } else { Ok(d) });
    decoded.map(Some).map_err(|what| fail(key.to_owned(), what).into())
}

fn read_metadata(node: &Node, instance: &mut Instance) -> Result<()> {
    instance.instance_id = text_of(node, &["instance-id", "instance_id"]).unwrap_or_default().to_owned();
    let hostname = text_of(node, &["local-hostname", "local_hostname", "hostname"]);
    if let Some(name) = hostname {
        set_hostname(instance, &format!("{METADATA}: local-hostname"), name)?;
    }
    if let Some(wait) = node.get("wait-on-network").or_else(|| node.get("wait_on_network")) {
        let asks = |family: &str| wait.get(family).and_then(Node::bool).unwrap_or(false);
        instance.wait_for = WaitFor { ipv4: asks("ipv4"), ipv6: asks("ipv6") };
    }
    let keys = ["public-keys-data", "public_keys_data", "public-keys", "public_keys"];
    if let Some(keys) = keys.iter().find_map(|k| node.get(k)) {
        instance.ssh_keys = match &keys.value {
            Value::List(items) => keys_of(items.iter().filter_map(Node::text)),
            _ => keys_of(keys.text().unwrap_or_default().lines()),
        };
    }
    if let Some(network) = node.get("network").filter(|n| !n.is_null()) {
        match network.text() {
            // A string is the config once more encoded, as `network.encoding` says.
            Some(text) => {
                let name = text_of(node, &["network.encoding"]).unwrap_or_default().to_owned();
                let key = format!("{METADATA}: network");
                let bytes = decode(&key, &(Some(Secret::from(text)), name))?.unwrap_or_default();
                read_network(&read_mapping(&key, &bytes)?, instance);
            }
            None => read_network(network, instance),
        }
    }
    if let Json::Object(map) = node.to_json() {
        instance.metadata = map;
    }
    Ok(())
}

/// What cloud-init adds on VMware from the running machine, unless guestinfo has it: the names and the addresses that
/// the default routes leave by. Without a default route yet, the first address that the metadata sets.
fn add_host(instance: &mut Instance, links: &[Link]) {
    let family = |address: &str, v6: bool| -> Option<String> {
        let ip: IpAddr = address.split('/').next()?.parse().ok()?;
        let usable = match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        };
        (usable && ip.is_ipv6() == v6).then(|| ip.to_string())
    };
    let local = |v6: bool| {
        let routed = links.iter().filter(|l| if v6 { l.default_route.1 } else { l.default_route.0 });
        let live = routed.flat_map(|l| &l.addresses).find_map(|a| family(a, v6));
        live.or_else(|| {
            let configured = instance.network.iter().flat_map(|n| &n.interfaces).flat_map(|i| &i.addresses);
            configured.map(|a| a.cidr.to_string()).find_map(|a| family(&a, v6))
        })
    };
    let (v4, v6) = (local(false), local(true));
    let mut interfaces: Map<String, Json> = Map::new();
    for link in links.iter().filter(|l| !l.addresses.is_empty() && !l.mac.is_empty()) {
        let addresses = |v6: bool| -> Vec<Json> {
            link.addresses
                .iter()
                .filter_map(|a| family(a, v6))
                .map(|a| serde_json::json!({ "addr": a }))
                .collect()
        };
        let entry = serde_json::json!({ "ipv4": addresses(false), "ipv6": addresses(true) });
        interfaces.insert(link.mac.clone(), entry);
    }
    let metadata = &mut instance.metadata;
    let mut add = |key: &str, value: Option<&str>| {
        if let Some(value) = value
            && !metadata.contains_key(key)
        {
            metadata.insert(key.to_owned(), Json::from(value));
        }
    };
    for key in ["hostname", "local-hostname", "local_hostname"] {
        add(key, instance.hostname.as_deref());
    }
    add("local-ipv4", v4.as_deref());
    add("local-ipv6", v6.as_deref());
    if let Json::Object(network) = metadata.entry("network").or_insert_with(|| Json::Object(Map::new())) {
        network.insert("interfaces".to_owned(), serde_json::json!({ "by-mac": interfaces }));
    }
}

#[cfg(test)]
mod tests {
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
        let mut nameless = parse(&values("a: 1", "")).unwrap();
        identify(&mut nameless, "4211-ABC").unwrap();
        assert_eq!(nameless.instance_id, "4211-abc");
        assert!(is_empty(b" --- \n") && is_empty(b"  ") && !is_empty(b"-") && is_empty(b"e30K"));
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
            ("a: 1", "rot13", "guestinfo.metadata.encoding: \"rot13\" is no known encoding"),
            ("a: [", "", "guestinfo.metadata: not YAML"),
            ("- a", "", "guestinfo.metadata: takes a YAML or JSON mapping, this is a list"),
            ("a*b", "base64", "guestinfo.metadata: not base64"),
            ("a: 1", "", "no instance-id"),
            ("instance-id: n\nlocal-hostname: a b\n", "", "no name for a machine"),
        ];
        for (text, encoding, want) in cases {
            let read = parse(&values(text, encoding)).and_then(|mut instance| identify(&mut instance, ""));
            let error = read.unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
