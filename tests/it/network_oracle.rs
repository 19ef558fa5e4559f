// SPDX-License-Identifier: Apache-2.0
//! What we write means what `netplan generate` writes, over a family of generated configurations.
//!
//! Both outputs are read back as sections of entries and compared as sets, file by file. Where the two differ on purpose
//! a row of [`DIFFERENCES`] says why and takes the difference out; a row that never applies fails the test, and so does a
//! configuration that netplan refuses.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use footplate::facade::decode::{network, syntax::yaml};
use footplate::facade::model::network::Cidr;
use footplate::facade::model::problem::Severity;
use footplate::facade::plan::network::render;

/// Configurations to compare. Each has a dozen interfaces.
const CONFIGS: u64 = 250;

pub type Entries = Vec<(String, String)>;
pub type Section = (String, Entries);

/// `id0.network` to its sections.
pub type Files = BTreeMap<String, Vec<Section>>;

/// Which output a difference is taken out of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Ours,
    Theirs,
    Both,
}

/// A difference on purpose: why, and how to take it out of one file; says whether there was any.
pub struct Difference {
    why: &'static str,
    side: Side,
    apply: fn(&str, &mut Vec<Section>) -> bool,
}

/// Entries that say what networkd does without them.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("DHCPv4", "UseDNS", "yes"),
    ("DHCPv4", "UseNTP", "yes"),
    ("DHCPv4", "UseHostname", "yes"),
    ("DHCPv4", "SendHostname", "yes"),
    ("DHCPv4", "UseRoutes", "yes"),
    ("DHCPv4", "ClientIdentifier", "duid"),
    ("DHCPv6", "UseDNS", "yes"),
    ("DHCPv6", "UseNTP", "yes"),
    ("DHCPv6", "UseHostname", "yes"),
    ("DHCPv6", "SendHostname", "yes"),
    ("Network", "EmitLLDP", "no"),
    ("Network", "IPv6PrivacyExtensions", "no"),
    ("Bond", "AllSlavesActive", "no"),
];

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "explicit: a reader need not know that no DHCP= means none",
        side: Side::Ours,
        apply: |_, file| remove(file, "Network", "DHCP", Some("no")),
    },
    Difference {
        why: "the MAC address tells the NIC, and holds when the renaming failed because the NIC was up",
        side: Side::Theirs,
        apply: |name, file| {
            let renamed = name.ends_with(".network")
                && get(file, "Match", "PermanentMACAddress").is_some()
                && get(file, "Match", "Name").is_some_and(|n| n.starts_with("lan"));
            renamed && remove(file, "Match", "Name", None)
        },
    },
    Difference {
        why: "a glob is kept from virtual links: pods have hundreds",
        side: Side::Ours,
        apply: |_, file| {
            remove(file, "Match", "Kind", Some("!*")) && remove(file, "Match", "Type", Some("ether"))
        },
    },
    Difference {
        why: "a .link without a name must say again what 99-default.link says, or the NIC keeps the kernel's name",
        side: Side::Both,
        apply: |name, file| {
            let persistent =
                name.ends_with(".link") && remove(file, "Link", "MACAddressPolicy", Some("persistent"));
            remove(file, "Link", "NamePolicy", None)
                && remove(file, "Link", "AlternativeNamesPolicy", None)
                && persistent
        },
    },
    Difference {
        why: "netplan turns wake on LAN off wherever it writes a .link; we touch it where the text speaks of it",
        side: Side::Both,
        apply: |_, file| {
            let changed = remove(file, "Link", "WakeOnLan", Some("off"));
            // It may have been all that our file is for.
            if changed && file.iter().all(|(name, entries)| name == "Match" || entries.is_empty()) {
                file.clear();
            }
            changed
        },
    },
    Difference {
        why: "[DHCP] is networkd's old common section; each family has its own, and critical is KeepConfiguration=",
        side: Side::Theirs,
        apply: split_dhcp,
    },
    Difference {
        why: "the gateway is in no subnet of the interface: the kernel takes the route only with on-link",
        side: Side::Both,
        apply: |_, file| {
            let addresses: Vec<Cidr> =
                entries(file, "Address").iter().filter_map(|(_, v)| v.parse().ok()).collect();
            let mut changed = false;
            for (_, route) in file.iter_mut().filter(|(s, _)| s == "Route") {
                let via = value(route, "Gateway").and_then(|g| g.parse().ok());
                if via.is_some_and(|via| !addresses.iter().any(|a| a.contains(via))) {
                    let before = route.len();
                    route.retain(|(k, _)| k != "GatewayOnLink");
                    changed |= route.len() < before;
                }
            }
            changed
        },
    },
    Difference {
        why: "IPv6Token= is the old name of [IPv6AcceptRA] Token=",
        side: Side::Theirs,
        apply: |_, file| {
            let Some(token) = get(file, "Network", "IPv6Token") else { return false };
            put(file, "IPv6AcceptRA", "Token", &token);
            remove(file, "Network", "IPv6Token", None)
        },
    },
    Difference {
        why: "netplan 0.106 reads ipv6-address-generation and writes nothing for networkd, which has had it since 246",
        side: Side::Ours,
        apply: |_, file| {
            let mode = remove(file, "Network", "IPv6LinkLocalAddressGenerationMode", None);
            mode && remove(file, "IPv6AcceptRA", "Token", None)
        },
    },
    Difference {
        why: "networkd knows no OptionalAddresses=; it logs the key and goes on",
        side: Side::Theirs,
        apply: |_, file| remove(file, "Link", "OptionalAddresses", None),
    },
    Difference {
        why: "a link that never gets an address would hold up the boot: its carrier is all there is to wait for",
        side: Side::Ours,
        apply: |_, file| remove(file, "Link", "RequiredForOnline", Some("carrier")),
    },
    Difference {
        why: "the kernel has scopes for IPv4 alone",
        side: Side::Theirs,
        apply: |_, file| {
            let mut changed = false;
            for (_, route) in file.iter_mut().filter(|(s, _)| s == "Route") {
                if value(route, "Destination").is_some_and(|d| d.contains(':')) {
                    let before = route.len();
                    route.retain(|(k, _)| k != "Scope");
                    changed |= route.len() < before;
                }
            }
            changed
        },
    },
    Difference {
        why: "FwMark= is the old name of FirewallMark=",
        side: Side::Theirs,
        apply: |_, file| {
            let Some(mark) = get(file, "WireGuard", "FwMark") else { return false };
            put(file, "WireGuard", "FirewallMark", &mark);
            remove(file, "WireGuard", "FwMark", None)
        },
    },
    Difference {
        why: "Gateway= in [Network] is short for a default route",
        side: Side::Theirs,
        apply: |_, file| {
            let gateways: Vec<String> = entries(file, "Network")
                .into_iter()
                .filter(|(k, _)| k == "Gateway")
                .map(|(_, v)| v)
                .collect();
            for gateway in &gateways {
                let to = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
                let route = [("Destination", to), ("Gateway", gateway)];
                let route = route.map(|(k, v)| (k.to_owned(), v.to_owned()));
                file.push(("Route".to_owned(), route.to_vec()));
            }
            remove(file, "Network", "Gateway", None)
        },
    },
    Difference {
        why: "what the text says is written though it be networkd's default; netplan leaves such entries out",
        side: Side::Both,
        apply: |_, file| {
            let mut changed = false;
            for (section, key, value) in DEFAULTS {
                changed |= remove(file, section, key, Some(value));
            }
            changed
        },
    },
    Difference {
        why: "a lease's routes and MTU come by router advertisement in IPv6, which netplan's [DHCP] does not reach",
        side: Side::Ours,
        apply: |_, file| {
            let routes = remove(file, "IPv6AcceptRA", "UseGateway", None);
            remove(file, "IPv6AcceptRA", "UseMTU", None) | routes
        },
    },
    Difference {
        why: "netplan 0.106 slips: VLAN= of a bridge's port comes after its [Bridge] header, where networkd has no such key",
        side: Side::Theirs,
        apply: |_, file| {
            let mut changed = false;
            for key in ["VLAN", "VXLAN", "VRF"] {
                while let Some(value) = get(file, "Bridge", key) {
                    changed |= remove(file, "Bridge", key, Some(&value));
                    put(file, "Network", key, &value);
                }
            }
            changed
        },
    },
    Difference {
        why: "a lifetime of forever is every address's",
        side: Side::Theirs,
        apply: |_, file| remove(file, "Address", "PreferredLifetime", Some("forever")),
    },
    Difference {
        why: "[Address] with nothing but the address is Address= in [Network]",
        side: Side::Theirs,
        apply: |_, file| {
            let mut changed = false;
            for (name, entries) in file.iter_mut() {
                if name == "Address" && entries.len() == 1 {
                    "Network".clone_into(name);
                    changed = true;
                }
            }
            changed
        },
    },
];

/// `[DHCP]` to the families that ask for a lease.
fn split_dhcp(_: &str, file: &mut Vec<Section>) -> bool {
    let old = entries(file, "DHCP");
    if old.is_empty() {
        return false;
    }
    let dhcp = get(file, "Network", "DHCP").unwrap_or_default();
    let v4 = matches!(dhcp.as_str(), "yes" | "ipv4");
    let v6 = matches!(dhcp.as_str(), "yes" | "ipv6");
    file.retain(|(s, _)| s != "DHCP");
    for (key, value) in old {
        match key.as_str() {
            "CriticalConnection" => put(file, "Network", "KeepConfiguration", &value),
            "ClientIdentifier" if !v4 => {}
            "ClientIdentifier" => put(file, "DHCPv4", &key, &value),
            "RouteMetric" => {
                if v4 {
                    put(file, "DHCPv4", &key, &value);
                }
                if v6 {
                    put(file, "IPv6AcceptRA", &key, &value);
                }
            }
            // Routes and the MTU are of the router's advertisement in IPv6; the old section is silent on them.
            "UseRoutes" | "UseMTU" if !v4 => {}
            "UseRoutes" | "UseMTU" => put(file, "DHCPv4", &key, &value),
            _ => {
                if v4 {
                    put(file, "DHCPv4", &key, &value);
                }
                if v6 {
                    put(file, "DHCPv6", &key, &value);
                }
            }
        }
    }
    true
}

fn entries(file: &[Section], section: &str) -> Entries {
    let all = file.iter().filter(|(s, _)| s == section || (section == "Address" && s == "Network"));
    let all = all.flat_map(|(_, e)| e.clone());
    all.filter(|(k, _)| section != "Address" || k == "Address").collect()
}

fn value<'a>(entries: &'a Entries, key: &str) -> Option<&'a str> {
    entries.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

fn get(file: &[Section], section: &str, key: &str) -> Option<String> {
    file.iter().filter(|(s, _)| s == section).find_map(|(_, e)| value(e, key).map(str::to_owned))
}

fn put(file: &mut Vec<Section>, section: &str, key: &str, value: &str) {
    file.push((section.to_owned(), vec![(key.to_owned(), value.to_owned())]));
}

fn remove(file: &mut [Section], section: &str, key: &str, value: Option<&str>) -> bool {
    let mut changed = false;
    for (_, entries) in file.iter_mut().filter(|(s, _)| s == section) {
        let before = entries.len();
        entries.retain(|(k, v)| k != key || value.is_some_and(|value| v != value));
        changed |= entries.len() < before;
    }
    changed
}

/// Reads unit syntax.
fn read(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            sections.push((name.to_owned(), Vec::new()));
        } else {
            let (key, value) = line.split_once('=').expect("a line is KEY=VALUE");
            sections.last_mut().expect("a section first").1.push((key.to_owned(), canonical(key, value)));
        }
    }
    sections
}

/// One spelling for values of one meaning.
fn canonical(key: &str, value: &str) -> String {
    match (key, value) {
        (_, "true") | ("AllSlavesActive", "1") => return "yes".to_owned(),
        (_, "false") | ("AllSlavesActive", "0") => return "no".to_owned(),
        ("MACAddress" | "PermanentMACAddress", mac) => return mac.to_lowercase(),
        ("Destination" | "From" | "To", net) => {
            let cidr = net.parse::<Cidr>().ok().or_else(|| net.parse().ok().map(Cidr::host));
            return cidr.expect("a network").network().to_string();
        }
        ("AllowedIPs", list) => {
            let net = |n: &str| n.parse::<Cidr>().expect("a network").network().to_string();
            return list.split(',').map(net).collect::<Vec<_>>().join(",");
        }
        _ => {}
    }
    if key.ends_with("Sec") {
        let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
        let number: u64 = digits.parse().expect("a time begins with a number");
        return match &value[digits.len()..] {
            "ms" => number,
            "" | "s" => number * 1000,
            other => panic!("a unit of time that is not canonical yet: {other}"),
        }
        .to_string();
    }
    value.to_owned()
}

/// Default routes of one metric get an order here, where netplan leaves it to chance. Looks whether each has a metric of its
/// own, gives those that were changed netplan's again, and says how many.
fn take_order_out(ours: &mut Files, theirs: &Files) -> usize {
    let is_default = |route: &Entries| matches!(value(route, "Destination"), Some("0.0.0.0/0" | "::/0"));
    let plain = |route: &Entries| -> BTreeSet<(String, String)> {
        route.iter().filter(|(k, _)| k != "Metric").cloned().collect()
    };
    let routes = |file: &Vec<Section>| -> Vec<Entries> {
        let routes = file.iter().filter(|(s, e)| s == "Route" && is_default(e));
        routes.map(|(_, e)| e.clone()).collect()
    };
    let metric = |route: &Entries| value(route, "Metric").map(|m| m.parse::<u32>().unwrap());
    let same = |a: &Entries, b: &Entries| plain(a) == plain(b) && metric(a) == metric(b);
    let (mut seen, mut changed) = (BTreeSet::new(), 0);
    for (name, file) in ours {
        let theirs = theirs.get(name).map(routes).unwrap_or_default();
        let mine = routes(file);
        for (_, route) in file.iter_mut().filter(|(s, e)| s == "Route" && is_default(e)) {
            let table =
                (value(route, "Destination").map(str::to_owned), value(route, "Table").map(str::to_owned));
            assert!(seen.insert((table, metric(route))), "{name}: two of one metric: {route:?}");
            if theirs.iter().any(|t| same(t, route)) {
                continue;
            }
            let was = theirs.iter().find(|t| plain(t) == plain(route) && !mine.iter().any(|m| same(m, t)));
            let Some(was) = was.filter(|was| metric(was) < metric(route)) else { continue };
            was.clone_into(route);
            changed += 1;
        }
    }
    changed
}

/// A file's meaning, a line for each thing it says: sections that may come twice whole, all others entry by entry.
fn meaning(file: &[Section]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (name, entries) in file {
        let mut said: Vec<String> = entries.iter().map(|(k, v)| format!("{k}={v}")).collect();
        said.sort();
        match name.as_str() {
            "Route" | "RoutingPolicyRule" | "Address" | "WireGuardPeer" => {
                out.insert(format!("[{name}] {}", said.join(" ")));
            }
            _ => out.extend(said.iter().map(|entry| format!("[{name}] {entry}"))),
        }
    }
    out
}

/// How what netplan wrote and what we wrote differ in meaning; how often each of [`DIFFERENCES`] came up, and how many default
/// routes got an order.
pub fn differ(mut theirs: Files, mut ours: Files, used: &mut [usize]) -> (String, usize) {
    for (difference, used) in DIFFERENCES.iter().zip(used) {
        let sides = [(Side::Ours, &mut ours), (Side::Theirs, &mut theirs)];
        for (_, files) in sides.into_iter().filter(|(side, _)| [*side, Side::Both].contains(&difference.side))
        {
            for (name, file) in files {
                *used += usize::from((difference.apply)(name, file));
            }
        }
    }
    let ordered = take_order_out(&mut ours, &theirs);
    let mut wrong = String::new();
    for name in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let side = |files: &Files| files.get(name).map(|f| meaning(f)).unwrap_or_default();
        let (theirs, ours) = (side(&theirs), side(&ours));
        if theirs != ours {
            for (who, a, b) in [("netplan", &theirs, &ours), ("ours", &ours, &theirs)] {
                a.difference(b).for_each(|line| {
                    let _ = writeln!(wrong, "{name}: {who} alone: {line}");
                });
            }
        }
    }
    (wrong, ordered)
}

/// netplan's own program, behind `netplan generate`, without the Python in front of it that takes most of the time.
fn installed() -> Command {
    Command::new("/usr/libexec/netplan/generate")
}

/// Runs netplan over a text; its files are below `dir` then.
fn generate(mut netplan: Command, dir: &Path, text: &str) -> Output {
    let _ = fs::remove_dir_all(dir);
    let etc = dir.join("etc/netplan");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("a.yaml"), text).unwrap();
    fs::set_permissions(etc.join("a.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    netplan.arg("--root-dir").arg(dir).output().unwrap()
}

pub fn theirs(netplan: Command, dir: &Path, text: &str) -> Files {
    let run = generate(netplan, dir, text);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "netplan refuses:\n{said}\n{text}");
    let mut files = Files::new();
    for entry in fs::read_dir(dir.join("run/systemd/network")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().strip_prefix("10-netplan-").unwrap();
        files.insert(name.to_owned(), read(&fs::read_to_string(&path).unwrap()));
    }
    files
}

pub fn ours(text: &str) -> Files {
    let (config, problems) = network::parse(&yaml::parse(text).unwrap());
    let errors = |problems: &[footplate::facade::model::problem::Problem]| {
        let errors =
            problems.iter().filter(|f| f.severity == footplate::facade::model::problem::Severity::Error);
        errors.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(errors(&problems), Vec::<String>::new(), "{text}");
    let rendered = render(&config, &[]);
    assert_eq!(errors(&rendered.problems), Vec::<String>::new(), "{text}");
    let name = |path: &str| path.strip_prefix("/etc/systemd/network/15-footplate-").unwrap().to_owned();
    rendered.files.iter().map(|f| (name(&f.path), read(&f.contents))).collect()
}

#[test]
fn means_what_netplan_means() {
    needs!(program("/usr/libexec/netplan/generate", "netplan.io"));
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("netplan");
    let (mut used, mut ordered) = (vec![0; DIFFERENCES.len()], 0);
    for seed in 1..=CONFIGS {
        let text = family::config(seed);
        let (wrong, routes) = differ(theirs(installed(), &dir, &text), ours(&text), &mut used);
        ordered += routes;
        assert!(wrong.is_empty(), "seed {seed}:\n{wrong}\n{text}");
    }
    for (difference, used) in DIFFERENCES.iter().zip(used) {
        assert!(used > 0, "this difference never came up: {}", difference.why);
    }
    assert!(ordered > 0, "no two default routes had one metric");
    fs::remove_dir_all(dir).unwrap();
}

/// Overrides that netplan refuses, since networkd once had one section for both families, are taken here with a note.
#[test]
fn overrides_that_netplan_refuses_are_noted() {
    needs!(program("/usr/libexec/netplan/generate", "netplan.io"));
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("netplan-overrides");
    let keys: [(&str, &[&str]); 9] = [
        ("hostname", &["a", "b"]),
        ("route-metric", &["0", "7"]),
        ("send-hostname", &["true", "false"]),
        ("use-dns", &["true", "false"]),
        ("use-domains", &["true", "route"]),
        ("use-hostname", &["true", "false"]),
        ("use-mtu", &["true", "false"]),
        ("use-ntp", &["true", "false"]),
        ("use-routes", &["true", "false"]),
    ];
    let mut noted = 0;
    let mut cases = Vec::new();
    for (key, values) in keys {
        let written = || std::iter::once(String::new()).chain(values.iter().map(|v| format!("{key}: {v}")));
        for four in written() {
            cases.extend(written().map(|six| (four.clone(), six)));
        }
    }
    for (four, six) in &cases {
        for leases in ["dhcp4: true, dhcp6: true", "dhcp4: true, dhcp6: false"] {
            let text = format!(
                "network: {{version: 2, ethernets: {{a: {{{leases}, dhcp4-overrides: {{{four}}}, dhcp6-overrides: {{{six}}}}}}}}}\n"
            );
            let (config, mut problems) = network::parse(&yaml::parse(&text).unwrap());
            let rendered = render(&config, &[]);
            assert_eq!(rendered.interfaces.len(), 1, "{text}");
            problems.extend(rendered.problems);
            let is = problems.iter().any(|p| p.what.contains("netplan would refuse"));
            assert!(problems.iter().all(|p| p.severity == Severity::Note), "{problems:?}");
            assert_eq!(is, !generate(installed(), &dir, &text).status.success(), "{text}");
            noted += usize::from(is);
        }
    }
    assert!(noted > 0 && noted < cases.len());
    fs::remove_dir_all(dir).unwrap();
}

/// Configurations that netplan takes, from a number.
mod family {
    use std::fmt::Write as _;

    /// xorshift64*: the same family on every machine.
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            usize::try_from(bits).unwrap() % n
        }

        fn one_in(&mut self, n: usize) -> bool {
            self.below(n) == 0
        }

        fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.below(of.len())]
        }

        /// Some of these keys, each with one of its values.
        fn some(&mut self, out: &mut String, indent: &str, keys: &[(&str, &[&str])], one_in: usize) {
            for (key, values) in keys {
                if self.one_in(one_in) {
                    let value = self.pick(values);
                    let _ = writeln!(out, "{indent}{key}: {value}");
                }
            }
        }
    }

    const BOOL: &[&str] = &["true", "false", "yes", "no", "on", "off"];

    const OVERRIDES: &[(&str, &[&str])] = &[
        ("use-dns", BOOL),
        ("use-ntp", BOOL),
        ("send-hostname", BOOL),
        ("use-hostname", BOOL),
        ("use-mtu", BOOL),
        ("hostname", &["node-a", "a.example.invalid"]),
        ("use-routes", &["true", "\"true\"", "false"]),
        ("route-metric", &["0", "50", "1024", "4294967294"]),
        ("use-domains", &["true", "false", "route"]),
    ];

    const COMMON: &[(&str, &[&str])] = &[
        ("accept-ra", BOOL),
        ("link-local", &["[]", "[ipv4]", "[ipv6]", "[ipv4, ipv6]"]),
        ("mtu", &["1280", "1500", "9000"]),
        ("optional", &["true", "false"]),
        ("critical", &["true"]),
        ("ipv6-privacy", BOOL),
        ("ipv6-mtu", &["1280", "1400"]),
        ("ignore-carrier", &["true"]),
        ("dhcp-identifier", &["mac", "duid"]),
        ("optional-addresses", &["[ipv4-ll, dhcp6]"]),
        ("activation-mode", &["manual", "off"]),
    ];

    const ETHERNET: &[(&str, &[&str])] = &[
        ("wakeonlan", BOOL),
        ("emit-lldp", BOOL),
        ("receive-checksum-offload", BOOL),
        ("transmit-checksum-offload", BOOL),
        ("tcp-segmentation-offload", BOOL),
        ("tcp6-segmentation-offload", BOOL),
        ("generic-segmentation-offload", BOOL),
        ("generic-receive-offload", BOOL),
        ("large-receive-offload", BOOL),
        ("infiniband-mode", &["datagram", "connected"]),
    ];

    const BOND: &[(&str, &[&str])] = &[
        ("lacp-rate", &["slow", "fast"]),
        ("mii-monitor-interval", &["100", "1s", "50ms"]),
        ("min-links", &["1", "2"]),
        ("transmit-hash-policy", &["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4"]),
        ("ad-select", &["stable", "bandwidth", "count"]),
        ("all-slaves-active", BOOL),
        ("arp-interval", &["10", "2s"]),
        ("arp-ip-targets", &["[192.0.2.1]", "[192.0.2.1, 192.0.2.2]"]),
        ("arp-validate", &["none", "active", "backup", "all"]),
        ("arp-all-targets", &["any", "all"]),
        ("up-delay", &["5", "100ms"]),
        ("down-delay", &["5", "3s"]),
        ("fail-over-mac-policy", &["none", "active", "follow"]),
        ("gratuitous-arp", &["1", "255"]),
        ("packets-per-slave", &["2", "100"]),
        ("primary-reselect-policy", &["always", "better", "failure"]),
        ("resend-igmp", &["1", "7"]),
        ("learn-packet-interval", &["3", "2s"]),
    ];

    const BRIDGE: &[(&str, &[&str])] = &[
        ("ageing-time", &["50", "2s"]),
        ("priority", &["1", "32768"]),
        ("forward-delay", &["4", "12s"]),
        ("hello-time", &["1", "2s"]),
        ("max-age", &["24", "6s"]),
        ("stp", BOOL),
    ];

    const VXLAN: &[(&str, &[&str])] = &[
        ("ageing", &["100", "30"]),
        ("limit", &["10", "1000"]),
        ("type-of-service", &["4", "255"]),
        ("mac-learning", &["true"]),
        ("arp-proxy", &["true"]),
        ("short-circuit", &["true"]),
        ("notifications", &["[l2-miss]", "[l2-miss, l3-miss]"]),
        ("checksums", &["[udp]", "[zero-udp6-tx, zero-udp6-rx, remote-tx, remote-rx]"]),
        ("extensions", &["[group-policy]", "[group-policy, generic-protocol]"]),
        ("port", &["4789", "8472"]),
        ("port-range", &["[1000, 2000]"]),
        ("flow-label", &["7", "1048575"]),
        ("do-not-fragment", &["true"]),
    ];

    struct Writer {
        rng: Rng,
        out: String,
        /// Interfaces so far, for addresses that differ.
        count: usize,
    }

    pub fn config(seed: u64) -> String {
        let rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut w = Writer { rng, out: "network:\n  version: 2\n  ethernets:\n".to_owned(), count: 0 };
        let mut free: Vec<String> = Vec::new();
        for i in 0..8 {
            w.ethernet(i);
            free.push(format!("nic{i}"));
        }
        w.out.push_str("  bonds:\n");
        for i in 0..2 {
            let ports = w.take(&mut free, 2);
            let mode = w.rng.pick(&["balance-rr", "active-backup", "802.3ad", "balance-tlb", "broadcast"]);
            w.header(&format!("bond{i}"), &format!("interfaces: [{}]", ports.join(", ")));
            let _ = writeln!(w.out, "      parameters:\n        mode: {mode}");
            w.rng.some(&mut w.out, "        ", BOND, 3);
            if mode == "active-backup" && w.rng.one_in(2) {
                let _ = writeln!(w.out, "        primary: {}", ports[0]);
            }
            w.common(false);
        }
        free.extend(["bond0".to_owned(), "bond1".to_owned()]);
        w.out.push_str("  vlans:\n");
        for i in 0..2 {
            let link = free[w.rng.below(free.len())].clone();
            let id = w.rng.pick(&["0", "1", "100", "4094"]);
            w.header(&format!("vlan{i}"), &format!("id: {id}\n      link: {link}"));
            w.common(false);
        }
        free.extend(["vlan0".to_owned(), "vlan1".to_owned()]);
        w.out.push_str("  tunnels:\n");
        w.tunnels();
        w.out.push_str("  bridges:\n");
        for i in 0..2 {
            let ports = w.take(&mut free, i);
            w.header(&format!("br{i}"), &format!("interfaces: [{}]", ports.join(", ")));
            if w.rng.one_in(2) {
                w.out.push_str("      parameters:\n        stp: true\n");
                w.rng.some(&mut w.out, "        ", &BRIDGE[..5], 2);
                for port in &ports {
                    let _ = writeln!(
                        w.out,
                        "        path-cost: {{{port}: 20}}\n        port-priority: {{{port}: 28}}"
                    );
                }
            } else if w.rng.one_in(2) {
                w.out.push_str("      parameters:\n        priority: 9\n");
                w.rng.some(&mut w.out, "        ", &BRIDGE[5..], 2);
            }
            w.common(false);
        }
        w.out.push_str("  vrfs:\n");
        let ports = w.take(&mut free, 1);
        w.header("vrf0", &format!("table: 1001\n      interfaces: [{}]", ports.join(", ")));
        w.out.push_str("      routes: [{to: default, via: 192.0.2.77, on-link: true}]\n");
        w.out.push_str("      routing-policy: [{from: 203.0.113.0/24}]\n");
        w.out
    }

    impl Writer {
        fn header(&mut self, id: &str, own: &str) {
            let _ = writeln!(self.out, "    {id}:\n      {own}");
        }

        fn take(&mut self, from: &mut Vec<String>, n: usize) -> Vec<String> {
            (0..n).map(|_| from.remove(self.rng.below(from.len()))).collect()
        }

        fn ethernet(&mut self, i: usize) {
            let _ = writeln!(self.out, "    nic{i}:");
            let before = self.out.len();
            let mac = format!("\"00:50:56:AA:02:{i:02x}\"");
            let matched = match self.rng.below(8) {
                0 => format!("{{macaddress: {mac}}}"),
                1 => format!("{{name: \"en{i}*\"}}"),
                2 => "{driver: vmxnet3}".to_owned(),
                3 => format!("{{name: en{i}, driver: [\"ixgbe*\", e1000]}}"),
                4 => format!("{{macaddress: {mac}, name: \"en*{i}\"}}"),
                5 => format!("{{name: \"eth[{i}]\"}}"),
                _ => String::new(),
            };
            if !matched.is_empty() {
                let _ = writeln!(self.out, "      match: {matched}");
                if self.rng.one_in(2) {
                    let _ = writeln!(self.out, "      set-name: lan{i}");
                }
            }
            self.rng.some(&mut self.out, "      ", ETHERNET, 8);
            self.common(true);
            if self.out.len() == before {
                self.out.push_str("      dhcp4: false\n");
            }
        }

        /// Keys of every device; `ra` where keys of router advertisements are to come too.
        fn common(&mut self, ra: bool) {
            self.count += 1;
            let n = self.count;
            self.rng.some(&mut self.out, "      ", COMMON, 5);
            if self.rng.one_in(6) {
                let _ = writeln!(self.out, "      macaddress: \"02:00:00:00:03:{n:02X}\"");
            }
            match self.rng.below(if ra { 6 } else { 20 }) {
                0 => self.out.push_str("      ipv6-address-token: \"::1:2\"\n"),
                1 => self.out.push_str("      ipv6-address-generation: eui64\n"),
                _ => {}
            }
            if self.rng.one_in(2) {
                let families = self.rng.below(3);
                let mut overrides = String::new();
                self.rng.some(&mut overrides, "        ", OVERRIDES, 3);
                for (family, on) in [("dhcp4", families != 1), ("dhcp6", families != 0)] {
                    let _ = writeln!(self.out, "      {family}: {on}");
                    if on && !overrides.is_empty() {
                        let _ = write!(self.out, "      {family}-overrides:\n{overrides}");
                    }
                }
            }
            if self.rng.one_in(2) {
                let _ = writeln!(self.out, "      addresses:\n      - 10.{n}.0.2/16");
                let label =
                    self.rng.pick(&["", ": {label: \"a:b\"}", ": {lifetime: 0}", ": {lifetime: forever}"]);
                let _ = writeln!(self.out, "      - \"2001:db8:{n}::2/64\"{label}");
                self.routes(n);
            }
            if self.rng.one_in(3) {
                let dns = self.rng.pick(&["[192.0.2.53]", "[192.0.2.53, \"2001:db8::53\"]", "[]"]);
                let search = self.rng.pick(&["[example.invalid]", "[a.invalid, b.invalid]", "[]"]);
                let _ = writeln!(self.out, "      nameservers: {{addresses: {dns}, search: {search}}}");
            }
        }

        fn routes(&mut self, n: usize) {
            // Gateways in the subnet, and one that is not.
            if self.rng.one_in(3) {
                let _ = writeln!(self.out, "      gateway4: 10.{n}.0.1\n      gateway6: \"2001:db8:{n}::1\"");
            }
            let lines = [
                format!("{{to: default, via: 10.{n}.0.1, metric: {n}}}"),
                format!("{{to: 0.0.0.0/0, via: 10.{n}.0.1, table: {n}}}"),
                format!("{{to: \"::/0\", via: \"2001:db8:{n}::1\", metric: 5{n}}}"),
                format!("{{to: 198.51.100.0/24, via: 10.{n}.0.9, mtu: 1400}}"),
                format!("{{to: 198.51.100.7, via: 10.{n}.0.9, from: 10.{n}.0.2}}"),
                "{to: 203.0.113.0/24, via: 192.0.2.254}".to_owned(),
                "{to: 203.0.113.128/25, via: 192.0.2.254, on-link: true}".to_owned(),
                format!("{{to: \"2001:db8:ff::/48\", via: \"2001:db8:{n}::9\", congestion-window: 10}}"),
                "{to: \"2001:db8:fe::/48\", scope: link}".to_owned(),
                "{to: 198.51.101.0/24, scope: link, advertised-receive-window: 20}".to_owned(),
                "{to: 198.51.102.0/24, type: blackhole}".to_owned(),
                "{to: 198.51.103.0/24, type: unreachable, metric: 7}".to_owned(),
                "{to: 198.51.104.0/24, type: prohibit}".to_owned(),
                "{to: 198.51.105.0/24, type: throw, table: 9}".to_owned(),
                format!("{{to: 10.{n}.0.77, type: local}}"),
                "{to: 198.51.106.255, type: broadcast}".to_owned(),
            ];
            self.list("routes", &lines, 3);
            let lines = [
                format!("{{from: 10.{n}.0.0/16, table: {n}}}"),
                "{from: 192.0.2.7, to: 198.51.100.0/24, priority: 30, mark: 4}".to_owned(),
                "{to: \"2001:db8::/32\", table: 100, type-of-service: 8}".to_owned(),
            ];
            self.list("routing-policy", &lines, 3);
        }

        fn list(&mut self, key: &str, lines: &[String], one_in: usize) {
            let chosen: Vec<&String> = lines.iter().filter(|_| self.rng.one_in(one_in)).collect();
            if !chosen.is_empty() {
                let _ = writeln!(self.out, "      {key}:");
                chosen.iter().for_each(|line| {
                    let _ = writeln!(self.out, "      - {line}");
                });
            }
        }

        fn tunnels(&mut self) {
            let four = "local: 192.0.2.10\n      remote: 198.51.100.10";
            let six = "local: \"2001:db8::10\"\n      remote: \"2001:db8::20\"";
            for i in 0..3 {
                let modes =
                    ["sit", "gre", "gretap", "ipip", "vti", "ip6gre", "ip6gretap", "ipip6", "ip6ip6", "vti6"];
                let mode = self.rng.pick(&modes);
                let ends = if mode.contains('6') { six } else { four };
                self.header(&format!("tun{i}"), &format!("mode: {mode}\n      {ends}"));
                if mode.contains("gre") || mode.contains("vti") {
                    let key = self.rng.pick(&["7", "192.0.2.1", "{input: 1, output: 2}"]);
                    let _ = writeln!(self.out, "      key: {key}");
                }
                self.rng.some(&mut self.out, "      ", &[("ttl", &["1", "64"])], 2);
                self.common(false);
            }
            let remote = self.rng.pick(&["198.51.100.10", "239.1.1.1"]);
            let link = if self.rng.one_in(2) { "\n      link: nic0" } else { "" };
            self.header(
                "vx0",
                &format!("mode: vxlan\n      id: 7\n      local: 192.0.2.10\n      remote: {remote}{link}"),
            );
            self.rng.some(&mut self.out, "      ", VXLAN, 3);
            self.common(false);
            // Keys made for this test.
            self.header("wg0", "mode: wireguard\n      port: 51820\n      mark: 9");
            let key = self.rng.pick(&["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "/etc/wireguard/key"]);
            let _ = writeln!(self.out, "      keys: {{private: {key}}}\n      peers:");
            self.out.push_str("      - keys: {public: ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=}\n");
            self.out.push_str("        allowed-ips: [0.0.0.0/0, \"2001:db8:5::/48\"]\n");
            self.rng.some(
                &mut self.out,
                "        ",
                &[("keepalive", &["25"]), ("endpoint", &["192.0.2.99:51820", "vpn.example.invalid:1"])],
                2,
            );
        }
    }
}
