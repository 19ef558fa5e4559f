// SPDX-License-Identifier: Apache-2.0
//! Azure's metadata service: one document of the instance and its NICs.

use serde_json::{Map, Value as Json, json};

use super::not_yet;
use crate::decode::azure::one_line;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::{Facts, Link};
use crate::model::instance::Instance;
use crate::model::network::Mac;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::service::{Service, Session};
use crate::platform::{Error, document, kvp};

static SERVICE: Service = Service {
    headers: &[("Metadata", "true")],
    cure: "Azure's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// The document, as it is asked for, and as a service asks for it that does not know that version and says so with status 400.
const DOCUMENT: &str = "/metadata/instance?api-version=2021-08-01&extended=true";
const OLDER: &str = "/metadata/instance?api-version=2019-06-01";

/// The user-data, which versions of the document before 2021 do not have.
const USER_DATA: &str = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text";

/// The status codes with which the service says that it is not ready, beside those that every service has.
const NOT_READY: &[u16] = &[404, 410];

/// The driver of Hyper-V's NICs.
const DRIVER: &str = "hv_netvsc";

/// Asks the service. Custom data goes before user-data, also when the drive that it came with is gone.
pub(super) fn fetch(
    world: &dyn World,
    _: &Facts,
    found: Option<Instance>,
) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    let mut told = match session.get_late(&[DOCUMENT, OLDER], NOT_READY)? {
        Some(bytes) => read(&document::mapping("/metadata/instance", bytes.expose())?, &world.links()?)?,
        None if found.is_none() => return Ok(None),
        None => Instance::default(),
    };
    told.user_data_once |= found.as_ref().is_some_and(|f| f.user_data.is_some());
    if told.user_data_once {
        if told.user_data.take().is_some() {
            let what = "the user-data is left out: there is custom data";
            told.problems.push(Problem::warning("compute.userData", what).cure("set the data in one place"));
        }
    } else if told.user_data.is_none() {
        let data = session.get_all(&[USER_DATA.to_owned()])?.pop().flatten();
        told.user_data = data.map(|d| decoded(d.expose())).transpose()?;
    }
    told.fill_from(found.unwrap_or_default());
    // In a scale set the resource has another name than the machine, and the cloud controller knows the machine's. A service that does
    // not tell it has the resource's.
    if told.hostname.is_none() {
        let resource = told.metadata.get("imds").and_then(|m| m["compute"]["name"].as_str());
        if let Some(name) = resource.map(str::to_owned).filter(|name| !name.is_empty()) {
            document::take_hostname("compute.name", &name, &mut told)?;
        }
    }
    if told.instance_id.is_empty() {
        // As the service writes it: a later boot may hear it from there.
        told.instance_id = kvp::vm_id(world)?;
    }
    told.node_name = told.hostname.as_deref().map(str::to_lowercase);
    Ok(Some(told))
}

/// User-data as the service has it: base64.
fn decoded(data: &[u8]) -> Result<Secret, Error> {
    document::base64("compute.userData", data)
}

fn read(node: &Node, links: &[Link]) -> Result<Instance, Error> {
    let text = |name: &str| document::text_at(node.get("compute")?, name);
    let extended = |name: &str| document::text_at(document::at(node, "extended.compute")?, name);
    if extended("ppsType").is_some_and(|kind| !kind.eq_ignore_ascii_case("none")) {
        return Err(not_yet("extended.compute.ppsType"));
    }
    let mut instance =
        Instance { instance_id: text("vmId").unwrap_or_default().to_lowercase(), ..Instance::default() };
    let name =
        text("osProfile.computerName").map(|name| document::hostname("compute.osProfile.computerName", name));
    instance.hostname = name.transpose()?;
    instance.provider_id = text("resourceId").map(provider_id);
    instance.region = text("location").map(str::to_lowercase);
    let zone = instance.region.as_ref().zip(text("zone"));
    instance.availability_zone = zone.map(|(region, zone)| format!("{region}-{zone}"));
    let keys = document::texts_at(node, "compute.publicKeys.*.keyData");
    instance.ssh_keys = keys.iter().map(|key| one_line(key)).filter(|k| !k.is_empty()).collect();
    instance.user_data = text("userData").map(|d| decoded(d.as_bytes())).transpose()?;
    instance.user_data_once = extended("hasCustomData") == Some("true");
    let nics = document::list_at(node, "network.interface");
    let cards: Vec<Json> = nics.iter().enumerate().filter_map(|(n, nic)| card(n, nic, links)).collect();
    document::read_cards(cards, &mut instance)?;
    let first = |family: &str, key: &str| addresses(nics.first()?, family, key).into_iter().next();
    let addresses = &mut instance.addresses;
    addresses.local_v4 = first("ipv4", "privateIpAddress").and_then(|a| a.parse().ok());
    addresses.public_v4 = first("ipv4", "publicIpAddress").and_then(|a| a.parse().ok());
    addresses.local_v6 = first("ipv6", "privateIpAddress").and_then(|a| a.parse().ok());
    addresses.public_v6 = first("ipv6", "publicIpAddress").and_then(|a| a.parse().ok());
    instance.attribute("IPV4_DYNAMIC", first("ipv4", "privateIpAddress").as_deref());
    instance.attribute("IPV4_VIRTUAL", first("ipv4", "publicIpAddress").as_deref());
    instance.attribute("VMSIZE", text("vmSize"));
    let mut tree = node.to_json();
    if let Some(Json::Object(compute)) = tree.get_mut("compute") {
        compute.remove("userData");
        compute.remove("customData");
    }
    // Where cloud-init's templates find it.
    instance.metadata = Map::from_iter([("imds".to_owned(), tree)]);
    Ok(instance)
}

/// The id of the resource as the cloud controller writes it: the name of the resource group, and nothing else, in small letters.
fn provider_id(resource: &str) -> String {
    let mut is_group = false;
    let part = |part: &str| {
        let text = if is_group { part.to_lowercase() } else { part.to_owned() };
        is_group = part.eq_ignore_ascii_case("resourceGroups");
        text
    };
    format!("azure://{}", resource.split('/').map(part).collect::<Vec<_>>().join("/"))
}

/// Addresses of a NIC, those that are given.
fn addresses(nic: &Node, family: &str, key: &str) -> Vec<String> {
    document::texts_at(nic, &format!("{family}.ipAddress.*.{key}"))
}

/// The NIC that is the n-th of the list; `None` for one without addresses. The first of its addresses come by DHCP. With accelerated
/// networking a second NIC has the same MAC address and works below this one: the driver tells them apart.
fn card(n: usize, nic: &Node, links: &[Link]) -> Option<Json> {
    let mac = document::text_at(nic, "macAddress")?.parse::<Mac>().ok()?.to_string();
    let (v4, v6) = (addresses(nic, "ipv4", "privateIpAddress"), addresses(nic, "ipv6", "privateIpAddress"));
    if v4.is_empty() && v6.is_empty() {
        return None;
    }
    let beside = |family: &str, all: &[String], whole: &str| -> Vec<String> {
        let subnet = document::list_at(nic, &format!("{family}.subnet")).first();
        let length = subnet.and_then(|s| document::text_at(s, "prefix")).unwrap_or(whole);
        all.iter().skip(1).map(|address| format!("{address}/{length}")).collect()
    };
    let further = [beside("ipv4", &v4, "24"), beside("ipv6", &v6, "128")].concat();
    let overrides = json!({ "route-metric": 100 * (n + 1), "use-dns": n == 0 });
    // With accelerated networking a virtual function has the same address; it is left to the driver of Hyper-V's NIC. A machine
    // without that driver has one NIC of the address.
    let mut drivers = links.iter().filter(|l| l.mac == mac).filter_map(|l| l.driver.as_deref()).peekable();
    let other = drivers.peek().is_some() && !drivers.any(|driver| driver == DRIVER);
    let matches =
        if other { json!({ "macaddress": mac }) } else { json!({ "macaddress": mac, "driver": DRIVER }) };
    Some(json!({
        "match": matches,
        "dhcp4": !v4.is_empty(), "dhcp4-overrides": overrides,
        "dhcp6": !v6.is_empty(), "dhcp6-overrides": overrides,
        "addresses": further,
    }))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Instant;

    use super::*;
    use crate::io::http::{self, Request};
    use crate::io::{Ask, Tell};

    /// A metadata service: what it answers to each form of a question, and what it was asked.
    struct Answers(&'static [(&'static str, u16, &'static str)], RefCell<Vec<String>>);

    impl World for Answers {
        fn ask(&self, _: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
            Ok(None)
        }

        fn tell(&self, _: Tell<'_>) -> Result<(), Error> {
            Ok(())
        }

        fn http(&self, requests: &[Request], _: Instant) -> Vec<Result<http::Response, http::Error>> {
            let answer = |request: &Request| {
                assert_eq!(request.headers[0].0, "Metadata");
                self.1.borrow_mut().push(request.url.clone());
                let known = self.0.iter().find(|(url, ..)| request.url.ends_with(url));
                let (_, status, body) = known.unwrap_or(&("", 404, ""));
                Ok(http::Response::of(*status, *body))
            };
            requests.iter().map(answer).collect()
        }

        fn asks_without_token(&self) -> bool {
            false
        }
    }

    const V2019: &str = "instance?api-version=2019-06-01";
    const V2021: &str = "instance?api-version=2021-08-01&extended=true";
    const OF_USER: &str = "userData?api-version=2021-01-01&format=text";

    #[test]
    fn the_driver_tells_a_nic_from_its_virtual_function() {
        let text =
            r#"{"macAddress": "000D3A0A0B0C", "ipv4": {"ipAddress": [{"privateIpAddress": "10.1.0.4"}]}}"#;
        let nic = document::mapping("nic", text.as_bytes()).unwrap();
        let link = |mac: &str, driver: &str| {
            let json = json!({ "name": "eth0", "mac": mac, "driver": driver });
            serde_json::from_value::<Link>(json).unwrap()
        };
        let (own, other) = ("00:0d:3a:0a:0b:0c", "00:0d:3a:0a:0b:0d");
        for (links, pinned) in [
            (vec![], true),
            (vec![link(own, DRIVER)], true),
            (vec![link(own, "mlx5_core"), link(own, DRIVER)], true),
            (vec![link(own, "virtio_net"), link(other, DRIVER)], false),
            (vec![link(other, "virtio_net")], true),
        ] {
            let card = card(0, &nic, &links).unwrap();
            assert_eq!(card["match"]["driver"].is_string(), pinned, "{links:?}");
            assert_eq!(card["match"]["macaddress"], own);
        }
    }

    #[test]
    fn a_machine_has_its_own_name_before_its_resources() {
        const PROFILE: &str = r#"{"compute": {"name": "set_3", "osProfile": {"computerName": "set000003"}}}"#;
        const NAME: &str = r#"{"compute": {"name": "set_3", "osProfile": null}}"#;
        for (document, on_drive, want, problems) in [
            (PROFILE, Some("set000003"), Some("set000003"), 0),
            (PROFILE, None, Some("set000003"), 0),
            (NAME, Some("Set000003"), Some("Set000003"), 0),
            (NAME, None, Some("set-3"), 1),
            ("{}", None, None, 0),
        ] {
            let world = Answers(Box::leak(Box::new([(V2021, 200, document)])), RefCell::default());
            let found = on_drive.map(|n| Instance { hostname: Some(n.to_owned()), ..Instance::default() });
            let read = fetch(&world, &Facts::default(), found).unwrap().unwrap();
            assert_eq!(read.hostname.as_deref(), want, "{document} {on_drive:?}");
            assert_eq!(read.node_name, want.map(str::to_lowercase));
            assert_eq!(read.problems.len(), problems, "{:?}", read.problems);
        }
    }

    #[test]
    fn custom_data_goes_before_user_data() {
        let custom = || Instance { user_data: Some("custom".into()), ..Instance::default() };
        let plain = r#"{"compute": {"vmId": "A"}}"#;
        let in_document = r#"{"compute": {"vmId": "A", "userData": "dXNl\r\ncg=="}}"#;
        let promised = r#"{"compute": {"vmId": "A", "userData": "dXNlcg=="}, "extended": {"compute": {"hasCustomData": true}}}"#;
        type Case = (&'static [(&'static str, u16, &'static str)], bool, Option<&'static str>, bool, usize);
        // What is answered, whether there is custom data; the data, whether it is given once, and how many questions that takes.
        let cases: [Case; 7] = [
            (&[(V2021, 200, "PLAIN")], false, None, false, 2),
            (&[(V2021, 200, "PLAIN"), (OF_USER, 200, "dXNlcg==")], false, Some("user"), false, 2),
            (&[(V2021, 200, "PLAIN"), (OF_USER, 200, "")], true, Some("custom"), true, 1),
            (&[(V2021, 200, "IN_DOCUMENT")], false, Some("user"), false, 1),
            (&[(V2021, 200, "IN_DOCUMENT")], true, Some("custom"), true, 1),
            (&[(V2021, 200, "PROMISED")], false, None, true, 1),
            (&[(V2021, 400, "{}"), (V2019, 200, "PLAIN")], true, Some("custom"), true, 2),
        ];
        for (answers, has_custom, data, once, questions) in cases {
            let documents = [("PLAIN", plain), ("IN_DOCUMENT", in_document), ("PROMISED", promised)];
            let body = |text: &'static str| documents.iter().find(|d| d.0 == text).map_or(text, |d| d.1);
            let answers: Vec<_> =
                answers.iter().map(|(url, status, text)| (*url, *status, body(text))).collect();
            let world = Answers(Box::leak(answers.into_boxed_slice()), RefCell::default());
            let read = fetch(&world, &Facts::default(), has_custom.then(custom)).unwrap().unwrap();
            let is = read.user_data.map(|d| String::from_utf8(d.into_exposed()).unwrap());
            assert_eq!((is.as_deref(), read.user_data_once), (data, once), "{:?}", world.0);
            assert_eq!(world.1.borrow().len(), questions, "{:?}", world.1);
            assert_eq!(read.instance_id, "a");
            assert!(!serde_json::to_string(&read.metadata).unwrap().contains("dXNl"));
        }
    }

    #[test]
    fn a_service_that_does_not_answer_well_is_named() {
        for (status, text, want) in [
            (400, "", "HTTP status 400"),
            (403, "", "HTTP status 403"),
            (200, "[]", "takes a YAML or JSON mapping"),
            (200, r#"{"compute": {"userData": "hush!"}}"#, "compute.userData"),
            (200, r#"{"extended": {"compute": {"ppsType": "Savable"}}}"#, "preprovisioned"),
        ] {
            let answers = [(V2021, status, text), (V2019, status, text)];
            let world = Answers(Box::leak(Box::new(answers)), RefCell::default());
            let error = fetch(&world, &Facts::default(), None).unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn only_the_resource_groups_name_becomes_small() {
        for (resource, want) in [
            (
                "/subscriptions/S/resourceGroups/Re-G/providers/P/VM/N",
                "azure:///subscriptions/S/resourceGroups/re-g/providers/P/VM/N",
            ),
            ("/subscriptions/S/resourcegroups/A/X/A", "azure:///subscriptions/S/resourcegroups/a/X/A"),
        ] {
            assert_eq!(provider_id(resource), want);
        }
    }
}
