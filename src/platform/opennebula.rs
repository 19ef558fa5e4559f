// SPDX-License-Identifier: Apache-2.0
//! OpenNebula: a drive with `context.sh`, a list of assignments in a shell's syntax
//! ([contextualization](https://docs.opennebula.io/stable/management_and_operations/references/template.html#context-section)). Its
//! values are written by whoever makes the machine: they are read here, and never run.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use super::drive::Place;
use super::{Error, Evidence, Platform, document};
use crate::decode::document::envelope;
use crate::decode::network;
use crate::io::World;
use crate::model::facts::{Facts, Link};
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::{Secret, names_secret};

/// OpenNebula.
pub(super) const PLATFORM: Platform = Platform {
    id: "opennebula",
    name: "OpenNebula",
    aliases: &["one"],
    hint: "OpenNebula: give the machine a context with USER_DATA",
    evidence: |facts| Some(Evidence::Drive(facts.drive(LABEL)?.label.clone())),
    local: Some(read),
    complete: |world, facts, instance| {
        if instance.instance_id.is_empty() {
            instance.instance_id = document::own_id(world, facts)?;
        }
        Ok(())
    },
    ..Platform::NONE
};

/// The label of the drive, and the file on it.
const LABEL: &str = "CONTEXT";
const FILE: &str = "context.sh";

/// Most NICs, and most further addresses of one.
const MAX_NICS: usize = 32;
const MAX_ALIASES: usize = 32;

/// The context's values by their names. An empty one is none.
struct Context(BTreeMap<String, String>);

impl Context {
    /// Reads lines `NAME='value'`. A value ends where the shell's word ends: quotes hold blanks and lines, `\` takes the next
    /// character as it is, and what a shell would replace or run is an error.
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        let (mut rest, mut line) = (text, 1);
        loop {
            let start = rest.trim_start();
            line += rest[..rest.len() - start.len()].matches('\n').count();
            rest = start;
            if rest.is_empty() {
                return Ok(Self(values));
            }
            if rest.starts_with('#') {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
                continue;
            }
            let wrong = |what: &str| Problem::error(format!("{FILE}: line {line}"), what);
            let assignment = rest.strip_prefix("export ").unwrap_or(rest);
            let is_name = |name: &&str| {
                !name.is_empty()
                    && !name.starts_with(|c: char| c.is_ascii_digit())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            };
            let (name, after) =
                assignment.split_once('=').ok_or_else(|| wrong("is not of the form NAME='value'"))?;
            let name = Some(name).filter(is_name).ok_or_else(|| wrong("is not of the form NAME='value'"))?;
            let (value, end) = word(after).map_err(wrong)?;
            let lines = after[..end].matches('\n').count();
            values.insert(name.to_owned(), value);
            line += lines;
            rest = &after[end..];
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The first of several names that has a value.
    fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

/// Names, or their beginnings, of values that say how the machine is set up, and hold nothing secret. Others may be scripts.
const PLAIN: &[&str] = &[
    "DNS",
    "ETH",
    "HOSTNAME",
    "IP_PUBLIC",
    "PUBLIC_IP",
    "SEARCH_DOMAIN",
    "SET_HOSTNAME",
    "SSH_KEY",
    "SSH_PUBLIC_KEY",
    "USERDATA",
    "USER_DATA",
    "VMID",
];

/// A context without what may be secret, and with a picture in place of its user-data; `None` where it can't be read.
pub fn redacted(text: &str, picture: impl Fn(&str) -> String) -> Option<String> {
    let Context(values) = Context::parse(text).ok()?;
    let plain = values.iter().filter(|(name, _)| PLAIN.iter().any(|plain| name.starts_with(plain)));
    let line = |(name, value): (&String, &String)| {
        let is_data = matches!(name.as_str(), "USER_DATA" | "USERDATA");
        let value = if is_data && !value.trim().is_empty() { picture(value) } else { value.clone() };
        format!("{name}='{}'\n", value.replace('\'', "'\\''"))
    };
    Some(plain.map(line).collect())
}

/// A word of the shell, and where it ends.
fn word(text: &str) -> Result<(String, usize), &'static str> {
    const RUNS: &str = "has a value that a shell would replace or run; such a value is not read";
    let (mut value, mut quote) = (String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), c) => value.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (_, '$' | '`') => return Err(RUNS),
            (_, '\\') => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, c)) => {
                    if quote.is_some() && !"$`\"\\".contains(c) {
                        value.push('\\');
                    }
                    value.push(c);
                }
                None => return Err("ends in the middle of a value"),
            },
            (None, c) if c.is_whitespace() => return Ok((value, at)),
            (None, ';' | '&' | '|' | '<' | '>' | '(' | ')') => return Err(RUNS),
            (_, c) => value.push(c),
        }
    }
    if quote.is_some() { Err("ends in the middle of a value") } else { Ok((value, text.len())) }
}

/// The name of the machine, of which OpenNebula lets a person make any text, as its own scripts take it: with `-` for what no name of a
/// machine can have.
fn take_name(given: &str, instance: &mut Instance) -> Result<(), Error> {
    let place = format!("{FILE}: SET_HOSTNAME");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let labels = given.trim().split('.').map(|label| label.chars().map(plain).collect::<String>());
    let labels: Vec<String> = labels.map(|label| label.trim_matches('-').to_owned()).collect();
    let name = labels.into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(".");
    if name != given.trim().trim_end_matches('.') {
        let what = "a machine's name can have letters, digits, `-` and dots, and this machine takes `-` for the rest";
        instance.problems.push(Problem::warning(&place, what).cure("rename the machine"));
    }
    if name.is_empty() { Ok(()) } else { document::take_hostname(&place, &name, instance) }
}

fn read(world: &dyn World, _: &Facts) -> Result<Option<Instance>, Error> {
    let links = world.links()?;
    let Some(bytes) = Place::Drive(LABEL).read(world, FILE)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::error(FILE, "not UTF-8 text"))?;
    let context = Context::parse(text)?;
    let id = context.get("VMID").unwrap_or_default().to_owned();
    let mut instance = Instance { instance_id: id, ..Instance::default() };
    if let Some(name) = context.first(&["SET_HOSTNAME", "HOSTNAME", "PUBLIC_IP", "IP_PUBLIC", "ETH0_IP"]) {
        take_name(name, &mut instance)?;
    }
    instance.node_name = instance.hostname.clone();
    instance.ssh_keys = document::lines(context.first(&["SSH_KEY", "SSH_PUBLIC_KEY"]).unwrap_or_default());
    if let Some(data) = context.first(&["USER_DATA", "USERDATA"]) {
        let encoding = context.first(&["USER_DATA_ENCODING", "USERDATA_ENCODING"]);
        let place = format!("{FILE}: USER_DATA");
        instance.user_data = Some(match encoding {
            Some(e) if e.eq_ignore_ascii_case("base64") => {
                Secret::new(envelope::base64(data.as_bytes()).map_err(|what| Problem::error(place, what))?)
            }
            _ => data.into(),
        });
    }
    instance.addresses.local_v4 = context.get("ETH0_IP").and_then(|a| a.parse().ok());
    let plain = |name: &String| {
        !name.starts_with("USER_DATA") && !name.starts_with("USERDATA") && !names_secret(name)
    };
    let values = context.0.iter().filter(|(name, _)| plain(name));
    instance.metadata = values.map(|(name, value)| (name.clone(), Json::from(value.as_str()))).collect();
    let words = |name: &str| words(context.get(name));
    let problems = &mut instance.problems;
    let mut cards: Vec<Json> =
        (0..MAX_NICS).filter_map(|n| card(&context, &format!("ETH{n}"), &links, problems)).collect();
    // What holds for the whole machine goes to the first NIC.
    if let Some(first) = cards.first_mut() {
        for (key, more) in [("addresses", words("DNS")), ("search", words("SEARCH_DOMAIN"))] {
            let own = first["nameservers"][key].as_array().cloned().unwrap_or_default();
            let more = more.into_iter().map(Json::from).filter(|m| !own.contains(m));
            first["nameservers"][key] = own.iter().cloned().chain(more).collect();
        }
    }
    document::read_cards(cards, &mut instance)?;
    Ok(Some(instance))
}

/// The words of a list, with blanks or commas between them.
fn words(list: Option<&str>) -> Vec<String> {
    let split = list.unwrap_or_default().split(|c: char| c.is_whitespace() || c == ',');
    split.filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// The length of a mask; OpenNebula's networks have 24 bits where they say nothing.
fn prefix(mask: Option<&str>) -> u8 {
    mask.and_then(network::prefix).unwrap_or(24)
}

fn route(to: &str, via: &str, metric: Option<u32>) -> Json {
    let mut route = json!({ "to": to, "via": via, "on-link": true });
    if let Some(metric) = metric {
        route["metric"] = json!(metric);
    }
    route
}

/// A route of a list: `NETWORK via GATEWAY`, or `NETWORK MASK GATEWAY [METRIC]`.
fn further_route(text: &str) -> Option<Json> {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        [net, "via", via] => Some(route(net, via, None)),
        [net, mask, via, ref more @ ..] => {
            let metric = more.first().and_then(|m| m.parse().ok());
            Some(route(&format!("{net}/{}", network::prefix(mask)?), via, metric))
        }
        _ => None,
    }
}

/// The address that OpenNebula makes a MAC address of: its last four octets.
fn by_mac(mac: &str) -> Option<Ipv4Addr> {
    let octets: Vec<u8> = mac.split(':').filter_map(|o| u8::from_str_radix(o, 16).ok()).collect();
    let last: [u8; 4] = octets.get(2..)?.try_into().ok()?;
    Some(last.into())
}

/// The further addresses of a NIC, but for those that the machine does not have.
fn aliases(context: &Context, nic: &str) -> Vec<String> {
    let alias = |n: usize| {
        let get = |name: &str| context.get(&format!("{nic}_ALIAS{n}_{name}"));
        let is_own = get("DETACH").is_none() && get("EXTERNAL") != Some("YES");
        let ip = get("IP").filter(|_| is_own)?;
        Some(format!("{ip}/{}", prefix(get("MASK"))))
    };
    (0..MAX_ALIASES).filter_map(alias).collect()
}

/// A NIC. One without any address has that of its MAC. One without a MAC is the one whose MAC is made of its address, or else the one
/// of that name: OpenNebula told none before its version 4.14.
fn card(context: &Context, nic: &str, links: &[Link], problems: &mut Vec<Problem>) -> Option<Json> {
    let get = |name: &str| context.get(&format!("{nic}_{name}"));
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
    let mut wrong = |name: &str| {
        let what = "is not of the form that OpenNebula writes, and is left out";
        problems
            .push(Problem::warning(format!("{FILE}: {nic}_{name}"), what).cure("correct it in the template"));
    };
    let mut number = |name: &str| {
        let number = get(name)?.parse::<u32>();
        number.map_err(|_| wrong(name)).ok()
    };
    let (metric, metric6, mtu) = (number("METRIC"), number("IP6_METRIC"), number("MTU"));
    let (mut addresses, mut routes) = (Vec::new(), Vec::new());
    let dhcp4 = method == "dhcp";
    if !dhcp4 {
        let has_v6 = ["IP6", "IP6_ULA"].into_iter().any(|name| get(name).is_some());
        let of_mac = || mac.filter(|_| !has_v6).and_then(by_mac).map(|ip| ip.to_string());
        if let Some(ip) = get("IP").map(str::to_owned).or_else(of_mac) {
            addresses.push(format!("{ip}/{}", prefix(get("MASK"))));
        }
        if let Some(gateway) = get("GATEWAY") {
            routes.push(route("0.0.0.0/0", gateway, metric));
        }
    }
    let method6 = get("IP6_METHOD").unwrap_or("static");
    let length6 = get("IP6_PREFIX_LENGTH").unwrap_or("64");
    if method6 == "static" {
        let all = ["IP6", "IP6_ULA"].into_iter().filter_map(get).filter(|a| a.parse::<Ipv6Addr>().is_ok());
        addresses.extend(all.map(|ip| format!("{ip}/{length6}")));
        if let Some(gateway) = get("IP6_GATEWAY").or(get("GATEWAY6")) {
            routes.push(route("::/0", gateway, metric6));
        }
    }
    for text in get("ROUTES").unwrap_or_default().split(',').filter(|text| !text.trim().is_empty()) {
        match further_route(text) {
            Some(further) => routes.push(further),
            None => wrong("ROUTES"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell makes of the same words.
    fn shell(text: &str) -> Option<String> {
        let script = format!("{text}\nprintf %s \"$A\"");
        let ran = std::process::Command::new("/bin/sh").args(["-c", &script]).env_clear().output().ok()?;
        ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    #[test]
    fn values_are_read_as_a_shell_reads_them_and_nothing_is_run() {
        for text in [
            "A='x y'",
            "A='it'\\''s'",
            "A='two\nlines'\nB='z'",
            "# A='no'\nA=plain # and more",
            "A=\"in \\\"double\\\" \\n\"'and single'",
            "export A='e'",
            "A=''",
            "A='$(touch /tmp/x) `id` ${HOME}'",
            "A='#cloud-config\nx: '\\''y'\\'''",
        ] {
            let context = Context::parse(text).unwrap();
            assert_eq!(context.0["A"], shell(text).unwrap(), "{text}");
        }
        for (text, want) in [
            ("A=$(id)", "line 1"),
            ("B='x'\n\nA=\"`id`\"", "line 3"),
            ("A=x;id", "line 1"),
            ("A='open", "line 1"),
            ("id", "line 1"),
            ("rm -rf x=1", "line 1"),
        ] {
            let problem = Context::parse(text).err().unwrap().to_string();
            assert!(problem.contains(want), "{text}: {problem}");
        }
    }
}
