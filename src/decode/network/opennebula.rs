// SPDX-License-Identifier: Apache-2.0
//! The NICs of OpenNebula's context: flat names such as `ETH0_IP`, as
//! [OpenNebula's own scripts](https://github.com/OpenNebula/one-apps/tree/master/context-linux) read them
//! ([contextualization](https://docs.opennebula.io/stable/management_and_operations/references/template.html#context-section)).

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde_json::{Value as Json, json};

use super::cards::{add_to_first, way_out};
use super::common::prefix;
use crate::model::facts::Link;
use crate::model::problem::Problem;

/// Most NICs, and most further addresses of one.
const MAX_NICS: usize = 32;
const MAX_ALIASES: usize = 32;

/// The bits of a network that says nothing of them.
const BITS: u8 = 24;

/// The ways to get addresses of each family.
const METHODS: &[&str] = &["static", "dhcp", "skip"];
const METHODS6: &[&str] = &["static", "dhcp", "auto", "disable", "skip"];

/// The values of a NIC, or of a further address: those whose names begin so.
struct Values<'a, 'p> {
    place: &'a str,
    begin: String,
    get: &'a dyn Fn(&str) -> Option<&'a str>,
    problems: &'p RefCell<Vec<Problem>>,
}

impl<'a> Values<'a, '_> {
    fn of(&self, begin: &str) -> Self {
        Self { begin: format!("{}{begin}_", self.begin), ..*self }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        (self.get)(&format!("{}{name}", self.begin))
    }

    fn wrong(&self, name: &str) {
        let what = "is not of the form that OpenNebula writes, and is left out";
        let problem = Problem::warning(format!("{}: {}{name}", self.place, self.begin), what);
        self.problems.borrow_mut().push(problem.cure("correct it in the template"));
    }

    /// A value that says something else than a text.
    fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        let value = self.get(name)?.parse();
        value.map_err(|_| self.wrong(name)).ok()
    }

    /// A way to get addresses; one that is not among these gets none.
    fn method(&self, name: &str, known: &[&str]) -> Option<&'a str> {
        let method = self.get(name)?;
        if known.contains(&method) {
            return Some(method);
        }
        self.wrong(name);
        Some("skip")
    }

    /// An IPv4 address with its mask.
    fn with_mask(&self, ip: &str) -> String {
        let bits = self.get("MASK").map(|mask| {
            prefix(mask).filter(|bits| *bits <= 32).unwrap_or_else(|| {
                self.wrong("MASK");
                BITS
            })
        });
        format!("{ip}/{}", bits.unwrap_or(BITS))
    }

    /// The IPv6 addresses, the first one perhaps by its older name.
    fn v6(&self) -> Vec<String> {
        let length = self.parsed("IP6_PREFIX_LENGTH").filter(|bits| *bits <= 128).unwrap_or(64);
        let own = self.parsed::<Ipv6Addr>("IP6").or_else(|| self.parsed("IPV6"));
        let all = [(own, length), (self.parsed("IP6_ULA"), 64)];
        all.iter().filter_map(|(ip, length)| Some(format!("{}/{length}", (*ip)?))).collect()
    }
}

/// The NICs in netplan's shape. `place` is what messages call the context, `get` has its values by their names.
pub fn cards<'a>(
    place: &'a str,
    get: &'a dyn Fn(&str) -> Option<&'a str>,
    links: &[Link],
) -> (Vec<Json>, Vec<Problem>) {
    let problems = RefCell::default();
    let context = Values { place, begin: String::new(), get, problems: &problems };
    let nics = (0..MAX_NICS).map(|n| format!("ETH{n}"));
    let mut cards: Vec<Json> = nics.filter_map(|nic| card(&context.of(&nic), &nic, links)).collect();
    // What holds for the whole machine goes to the first NIC.
    add_to_first(&mut cards, "addresses", words(get("DNS")));
    add_to_first(&mut cards, "search", words(get("SEARCH_DOMAIN")));
    (cards, problems.take())
}

/// The words of a list, with blanks or commas between them.
fn words(list: Option<&str>) -> Vec<String> {
    let split = list.unwrap_or_default().split(|c: char| c.is_whitespace() || c == ',');
    split.filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// A route to elsewhere, with its metric.
fn route(mut route: Json, metric: Option<u32>) -> Json {
    if let Some(metric) = metric {
        route["metric"] = json!(metric);
    }
    route
}

/// A route of a list: `NETWORK via GATEWAY`, or `NETWORK MASK GATEWAY [METRIC]`.
fn further_route(text: &str) -> Option<Json> {
    let (net, via, metric) = match text.split_whitespace().collect::<Vec<_>>()[..] {
        [net, "via", via] => (net.to_owned(), via, None),
        [net, mask, via, ref more @ ..] => (format!("{net}/{}", prefix(mask)?), via, more.first().copied()),
        _ => return None,
    };
    let metric = metric.and_then(|metric| metric.parse().ok());
    Some(route(json!({ "to": net, "via": via, "on-link": true }), metric))
}

/// The address that OpenNebula makes a MAC address of: its last four octets.
fn by_mac(mac: &str) -> Option<Ipv4Addr> {
    let octets: Vec<u8> = mac.split(':').filter_map(|o| u8::from_str_radix(o, 16).ok()).collect();
    let last: [u8; 4] = octets.get(2..)?.try_into().ok()?;
    Some(last.into())
}

/// The further addresses of a NIC, but for those that the machine does not have.
fn aliases(nic: &Values<'_, '_>) -> Vec<String> {
    let own = |alias: &Values<'_, '_>| {
        let external = alias.get("EXTERNAL").unwrap_or_default().to_lowercase();
        alias.get("DETACH").is_none() && !["1", "true", "yes", "y"].contains(&external.as_str())
    };
    let all = (0..MAX_ALIASES).map(|n| nic.of(&format!("ALIAS{n}"))).filter(own);
    let addresses = |alias: Values<'_, '_>| {
        let v4 = alias.get("IP").map(|ip| alias.with_mask(ip));
        v4.into_iter().chain(alias.v6()).collect::<Vec<_>>()
    };
    all.flat_map(addresses).collect()
}

/// A NIC. One without any address has that of its MAC. One without a MAC is the one whose MAC is made of its address, or else the one
/// of that name: OpenNebula told none before its version 4.14.
fn card(nic: &Values<'_, '_>, name: &str, links: &[Link]) -> Option<Json> {
    let get = |name: &str| nic.get(name);
    ["MAC", "IP", "IP6", "IPV6", "IP6_ULA", "METHOD"].into_iter().find_map(get)?;
    let ip = get("IP").and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    let of_ip = || links.iter().map(|l| l.mac.as_str()).find(|mac| ip.is_some() && by_mac(mac) == ip);
    let mac = get("MAC").or_else(of_ip);
    let named = || json!({ "name": name.to_lowercase() });
    let matches = mac.map_or_else(named, |mac| json!({ "macaddress": mac }));
    let method = nic.method("METHOD", METHODS).unwrap_or("static");
    // A NIC that is skipped is so in both families, unless it says otherwise.
    let other = if method == "skip" { method } else { "static" };
    let method6 = nic.method("IP6_METHOD", METHODS6).unwrap_or(other);
    if method == "skip" && ["disable", "skip"].contains(&method6) {
        return None;
    }
    let (metric, mtu) = (nic.parsed::<u32>("METRIC"), nic.parsed::<u32>("MTU"));
    let (mut addresses, mut routes) = (Vec::new(), Vec::new());
    if method == "static" {
        let has_v6 = ["IP6", "IPV6", "IP6_ULA"].into_iter().any(|name| get(name).is_some());
        let of_mac = || mac.filter(|_| !has_v6).and_then(by_mac).map(|ip| ip.to_string());
        let ip = get("IP").map(str::to_owned).or_else(of_mac);
        addresses.extend(ip.map(|ip| nic.with_mask(&ip)));
        routes.extend(get("GATEWAY").map(|gateway| route(way_out(gateway), metric)));
    }
    if method6 == "static" {
        addresses.extend(nic.v6());
        let metric = nic.parsed("IP6_METRIC").or(metric);
        let gateway = get("IP6_GATEWAY").or(get("GATEWAY6"));
        routes.extend(gateway.map(|gateway| route(way_out(gateway), metric)));
    }
    for text in get("ROUTES").unwrap_or_default().split(',').filter(|text| !text.trim().is_empty()) {
        match further_route(text) {
            Some(further) => routes.push(further),
            None => nic.wrong("ROUTES"),
        }
    }
    addresses.extend(aliases(nic));
    let (dhcp4, dhcp6) = (method == "dhcp", method6 == "dhcp");
    let mut card = json!({
        "match": matches, "dhcp4": dhcp4, "dhcp6": dhcp6, "addresses": addresses, "routes": routes,
        "nameservers": { "addresses": words(get("DNS")), "search": words(get("SEARCH_DOMAIN")) },
    });
    if let Some(mtu) = mtu {
        card["mtu"] = json!(mtu);
    }
    if let Some(metric) = metric.filter(|_| dhcp4) {
        card["dhcp4-overrides"] = json!({ "route-metric": metric });
    }
    match method6 {
        "auto" => card["accept-ra"] = json!(true),
        "disable" => card["accept-ra"] = json!(false),
        _ => {}
    }
    Some(card)
}
