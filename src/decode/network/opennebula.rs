// SPDX-License-Identifier: Apache-2.0
//! The NICs of OpenNebula's context: flat names such as `ETH0_IP`
//! ([contextualization](https://docs.opennebula.io/stable/management_and_operations/references/template.html#context-section)).

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use super::cards::{add_to_first, way_out};
use super::common::prefix;
use crate::model::facts::Link;
use crate::model::problem::Problem;

/// Most NICs, and most further addresses of one.
const MAX_NICS: usize = 32;
const MAX_ALIASES: usize = 32;

/// A value by its name.
type Get<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// The NICs in netplan's shape. `place` is what messages call the context.
pub fn cards(place: &str, context: Get<'_>, links: &[Link]) -> (Vec<Json>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut wrong = |name: String| {
        let what = "is not of the form that OpenNebula writes, and is left out";
        problems.push(Problem::warning(format!("{place}: {name}"), what).cure("correct it in the template"));
    };
    let nics = (0..MAX_NICS).map(|n| format!("ETH{n}"));
    let mut cards: Vec<Json> = nics.filter_map(|nic| card(context, &nic, links, &mut wrong)).collect();
    add_to_first(&mut cards, "addresses", words(context("DNS")));
    add_to_first(&mut cards, "search", words(context("SEARCH_DOMAIN")));
    (cards, problems)
}

/// The words of a list, with blanks or commas between them.
fn words(list: Option<&str>) -> Vec<String> {
    let split = list.unwrap_or_default().split(|c: char| c.is_whitespace() || c == ',');
    split.filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// The length of a mask; OpenNebula's networks have 24 bits where they say nothing.
fn length(mask: Option<&str>) -> u8 {
    mask.and_then(prefix).unwrap_or(24)
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
fn aliases(context: Get<'_>, nic: &str) -> Vec<String> {
    let alias = |n: usize| {
        let get = |name: &str| context(&format!("{nic}_ALIAS{n}_{name}"));
        let is_own = get("DETACH").is_none() && get("EXTERNAL") != Some("YES");
        let ip = get("IP").filter(|_| is_own)?;
        Some(format!("{ip}/{}", length(get("MASK"))))
    };
    (0..MAX_ALIASES).filter_map(alias).collect()
}

/// A NIC. One without any address has that of its MAC. One without a MAC is the one whose MAC is made of its address, or else the one
/// of that name: OpenNebula told none before its version 4.14.
/// `wrong` gets the names of values that can't be used.
fn card(context: Get<'_>, nic: &str, links: &[Link], wrong: &mut dyn FnMut(String)) -> Option<Json> {
    let get = |name: &str| context(&format!("{nic}_{name}"));
    ["MAC", "IP", "IP6", "IP6_ULA", "METHOD"].iter().find_map(|name| get(name))?;
    let ip = get("IP").and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    let of_ip = || links.iter().map(|l| l.mac.as_str()).find(|mac| ip.is_some() && by_mac(mac) == ip);
    let mac = get("MAC").or_else(of_ip);
    let named = || json!({ "name": nic.to_lowercase() });
    let matches = mac.map_or_else(named, |mac| json!({ "macaddress": mac }));
    let method = get("METHOD").unwrap_or("static");
    if method == "skip" {
        return None;
    }
    let mut number = |name: &str| {
        let number = get(name)?.parse::<u32>();
        number.map_err(|_| wrong(format!("{nic}_{name}"))).ok()
    };
    let (metric, metric6, mtu) = (number("METRIC"), number("IP6_METRIC"), number("MTU"));
    let (mut addresses, mut routes) = (Vec::new(), Vec::new());
    let dhcp4 = method == "dhcp";
    if !dhcp4 {
        let has_v6 = ["IP6", "IP6_ULA"].into_iter().any(|name| get(name).is_some());
        let of_mac = || mac.filter(|_| !has_v6).and_then(by_mac).map(|ip| ip.to_string());
        if let Some(ip) = get("IP").map(str::to_owned).or_else(of_mac) {
            addresses.push(format!("{ip}/{}", length(get("MASK"))));
        }
        routes.extend(get("GATEWAY").map(|gateway| route(way_out(gateway), metric)));
    }
    let method6 = get("IP6_METHOD").unwrap_or("static");
    let length6 = get("IP6_PREFIX_LENGTH").unwrap_or("64");
    if method6 == "static" {
        let all = ["IP6", "IP6_ULA"].into_iter().filter_map(get).filter(|a| a.parse::<Ipv6Addr>().is_ok());
        addresses.extend(all.map(|ip| format!("{ip}/{length6}")));
        let gateway = get("IP6_GATEWAY").or(get("GATEWAY6"));
        routes.extend(gateway.map(|gateway| route(way_out(gateway), metric6)));
    }
    for text in get("ROUTES").unwrap_or_default().split(',').filter(|text| !text.trim().is_empty()) {
        match further_route(text) {
            Some(further) => routes.push(further),
            None => wrong(format!("{nic}_ROUTES")),
        }
    }
    addresses.extend(aliases(context, nic));
    let dhcp6 = method6 == "dhcp";
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
