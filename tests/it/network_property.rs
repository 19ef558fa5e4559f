// SPDX-License-Identifier: Apache-2.0
//! What holds for every configuration: what is written reads back as what was meant, no value leaves its line, and no
//! input takes long or ends the program.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use footplate::facade::decode::{network, syntax::yaml};
use footplate::facade::model::network::{
    Address, Cidr, DHCP4_OVERRIDES, Device, Ethernet, Families, Interface, Match, NetworkConfig, ROUTE, RULE,
    Route, Rule, Settings, Vlan, setting,
};
use footplate::facade::model::problem::Severity;
use footplate::facade::plan::network::{Rendered, Unit, render};

/// xorshift64*: the same cases on every machine.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn addr(&mut self, ipv6: bool) -> IpAddr {
        if ipv6 {
            let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            octets[4..].iter_mut().for_each(|o| *o = self.octet());
            Ipv6Addr::from(octets).into()
        } else {
            Ipv4Addr::new(10, self.octet(), self.octet(), self.octet()).into()
        }
    }

    fn cidr(&mut self, ipv6: bool) -> Cidr {
        let most = if ipv6 { 128 } else { 32 };
        Cidr { addr: self.addr(ipv6), prefix: u8::try_from(1 + self.below(most)).unwrap() }
    }

    fn settings(
        &mut self,
        rows: &'static [footplate::facade::model::network::Param],
        names: &[&str],
    ) -> Settings {
        let mut out = Settings::new();
        for row in rows.iter().filter(|row| names.contains(&row.name)) {
            if self.flip() {
                out.push((row, (1 + self.below(255)).to_string()));
            }
        }
        out
    }

    fn interface(&mut self, n: usize) -> Interface {
        let id = format!("nic{n}");
        let mut ethernet = Ethernet::default();
        if self.flip() {
            let mac = format!("00:50:56:{:02x}:{:02x}:{n:02x}", self.octet(), self.octet());
            ethernet.matching = Match { mac: Some(mac.parse().unwrap()), ..Match::default() };
            ethernet.set_name = self.flip().then(|| format!("lan{n}"));
            ethernet.wakeonlan = self.flip().then(|| self.flip());
        }
        let mut i = Interface::new(&id, format!("network.ethernets.{id}"), Device::Ethernet(ethernet));
        i.dhcp4 = self.flip();
        i.dhcp6 = self.flip();
        i.accept_ra = self.flip().then(|| self.flip());
        i.link_local = self.flip().then(|| Families { ipv4: self.flip(), ipv6: self.flip() });
        i.optional = self.flip();
        i.critical = self.flip();
        i.mtu = self.flip().then(|| u32::try_from(1280 + self.below(8000)).unwrap());
        i.dhcp4_overrides = self.settings(DHCP4_OVERRIDES, &["route-metric"]);
        for _ in 0..self.below(4) {
            let ipv6 = self.flip();
            let mut address = Address::from(self.cidr(ipv6));
            address.deprecated = self.below(4) == 0;
            address.label = (self.below(4) == 0).then(|| format!("l{}", self.octet()));
            if i.addresses.iter().all(|a| a.cidr != address.cidr) {
                i.addresses.push(address);
            }
        }
        for _ in 0..self.below(4) {
            let ipv6 = self.flip();
            i.dns.push(self.addr(ipv6));
            i.search.push(format!("s{}.invalid", self.next()));
        }
        for _ in 0..self.below(4) {
            let ipv6 = self.flip();
            let mut route = Route::new(self.cidr(ipv6).network(), Some(self.addr(ipv6)));
            // Whether a gateway is in the subnet is another test's matter.
            route.on_link = true;
            route.from = self.flip().then(|| self.addr(ipv6));
            route.settings = self.settings(ROUTE, &["metric", "table", "mtu", "congestion-window"]);
            i.routes.push(route);
        }
        for _ in 0..self.below(3) {
            let ipv6 = self.flip();
            let (from, to) =
                (self.flip().then(|| self.cidr(ipv6).network()), Some(self.cidr(ipv6).network()));
            i.rules.push(Rule { from, to, settings: self.settings(RULE, &["table", "priority", "mark"]) });
        }
        i
    }
}

/// A configuration as netplan would have it written.
fn to_yaml(config: &NetworkConfig) -> String {
    let mut out = "network:\n  version: 2\n".to_owned();
    let mut group = "";
    for i in &config.interfaces {
        let here = if matches!(i.device, Device::Vlan(_)) { "vlans" } else { "ethernets" };
        if group != here {
            let _ = writeln!(out, "  {here}:");
            group = here;
        }
        let _ = writeln!(out, "    {}:\n      dhcp4: {}\n      dhcp6: {}", i.id, i.dhcp4, i.dhcp6);
        let mut key = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "      {key}: {value}");
        };
        match &i.device {
            Device::Ethernet(e) => {
                e.matching.mac.iter().for_each(|mac| key("match", &format!("{{macaddress: '{mac}'}}")));
                e.set_name.iter().for_each(|name| key("set-name", name));
                e.wakeonlan.iter().for_each(|wake| key("wakeonlan", wake));
            }
            Device::Vlan(v) => {
                key("id", &v.id);
                key("link", &v.link);
            }
            other => panic!("the generator makes no {other:?}"),
        }
        i.accept_ra.iter().for_each(|ra| key("accept-ra", ra));
        i.mtu.iter().for_each(|mtu| key("mtu", mtu));
        key("optional", &i.optional);
        key("critical", &i.critical);
        if let Some(families) = i.link_local {
            let words = [("ipv4", families.ipv4), ("ipv6", families.ipv6)];
            let on: Vec<&str> = words.iter().filter(|(_, on)| *on).map(|(word, _)| *word).collect();
            key("link-local", &format!("[{}]", on.join(", ")));
        }
        let numbers = |settings: &Settings| {
            settings.iter().map(|(p, v)| format!("{}: {v}", p.name)).collect::<Vec<_>>().join(", ")
        };
        key("dhcp4-overrides", &format!("{{{}}}", numbers(&i.dhcp4_overrides)));
        let addresses: Vec<String> = i
            .addresses
            .iter()
            .map(|a| {
                let mut options = Vec::new();
                options.extend(a.label.iter().map(|l| format!("label: {l}")));
                options.extend(a.deprecated.then(|| "lifetime: 0".to_owned()));
                format!("'{}': {{{}}}", a.cidr, options.join(", "))
            })
            .map(|entry| format!("{{{entry}}}"))
            .collect();
        key("addresses", &format!("[{}]", addresses.join(", ")));
        let dns: Vec<String> = i.dns.iter().map(|a| format!("'{a}'")).collect();
        key(
            "nameservers",
            &format!("{{addresses: [{}], search: [{}]}}", dns.join(", "), i.search.join(", ")),
        );
        let lines = |fields: Vec<(&str, String)>, settings: &Settings| {
            let mut all: Vec<String> = fields.iter().map(|(k, v)| format!("{k}: '{v}'")).collect();
            all.push(numbers(settings));
            format!("{{{}}}", all.iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>().join(", "))
        };
        let routes: Vec<String> = i
            .routes
            .iter()
            .map(|r| {
                let mut fields = vec![("to", r.to.to_string()), ("on-link", r.on_link.to_string())];
                fields.extend(r.via.map(|via| ("via", via.to_string())));
                fields.extend(r.from.map(|from| ("from", from.to_string())));
                lines(fields, &r.settings)
            })
            .collect();
        key("routes", &format!("[{}]", routes.join(", ")));
        let rules: Vec<String> = i
            .rules
            .iter()
            .map(|r| {
                let from = r.from.map(|net| ("from", net.to_string()));
                lines(from.into_iter().chain(r.to.map(|net| ("to", net.to_string()))).collect(), &r.settings)
            })
            .collect();
        key("routing-policy", &format!("[{}]", rules.join(", ")));
    }
    out
}

/// Sections of unit syntax, read as `systemd.syntax(7)` says.
fn read_unit(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        assert!(!line.ends_with('\\'), "a line that goes on: {line}");
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some(name) => sections.push((name.to_owned(), Vec::new())),
            None => {
                let (key, value) = line.split_once('=').unwrap();
                sections.last_mut().unwrap().1.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    sections
}

/// What networkd's files say of one interface, as a configuration again.
fn from_units(want: &Interface, rendered: &Rendered) -> Interface {
    let file = |suffix: &str| {
        let path = format!("/etc/systemd/network/15-footplate-{}.{suffix}", want.id);
        rendered.files.iter().find(|f| f.path == path).map(|f| read_unit(&f.contents)).unwrap_or_default()
    };
    let (link, network) = (file("link"), file("network"));
    let all = |file: &[(String, Vec<(String, String)>)], section: &str, key: &str| -> Vec<String> {
        let entries = file.iter().filter(|(s, _)| s == section).flat_map(|(_, e)| e);
        entries.filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect()
    };
    let one =
        |file: &[(String, Vec<(String, String)>)], section: &str, key: &str| all(file, section, key).pop();
    let families =
        |word: &str| Families { ipv4: matches!(word, "yes" | "ipv4"), ipv6: matches!(word, "yes" | "ipv6") };

    let device = match &want.device {
        Device::Vlan(_) => {
            let netdev = file("netdev");
            let id = one(&netdev, "VLAN", "Id").unwrap().parse().unwrap();
            let mine = |f: &&footplate::facade::plan::network::NetFile| {
                all(&read_unit(&f.contents), "Network", "VLAN").contains(&want.id)
            };
            let parent = rendered.files.iter().find(mine).unwrap();
            let link = parent.path.trim_start_matches("/etc/systemd/network/15-footplate-");
            Device::Vlan(Vlan { id, link: link.trim_end_matches(".network").to_owned() })
        }
        _ => Device::Ethernet(Ethernet {
            matching: Match {
                mac: one(&network, "Match", "PermanentMACAddress").map(|m| m.parse().unwrap()),
                ..Match::default()
            },
            set_name: one(&link, "Link", "Name"),
            wakeonlan: one(&link, "Link", "WakeOnLan").map(|w| w == "magic"),
            ..Ethernet::default()
        }),
    };
    let mut got = Interface::new(&want.id, &want.place, device);
    got.pos = want.pos;
    let dhcp = families(&one(&network, "Network", "DHCP").unwrap());
    (got.dhcp4, got.dhcp6) = (dhcp.ipv4, dhcp.ipv6);
    // The default is written out, so that unset and its default can't be told apart.
    let link_local = families(&one(&network, "Network", "LinkLocalAddressing").unwrap());
    got.link_local = want.link_local.map(|_| link_local);
    assert!(want.link_local.is_some() || link_local == Families { ipv4: false, ipv6: true });
    got.accept_ra = one(&network, "Network", "IPv6AcceptRA").map(|v| v == "yes");
    got.mtu = one(&network, "Link", "MTUBytes").map(|v| v.parse().unwrap());
    got.optional = one(&network, "Link", "RequiredForOnline").as_deref() == Some("no");
    got.critical = one(&network, "Network", "KeepConfiguration").as_deref() == Some("yes");
    got.dns = all(&network, "Network", "DNS").iter().map(|a| a.parse().unwrap()).collect();
    let search = one(&network, "Network", "Domains").unwrap_or_default();
    got.search = search.split_whitespace().map(str::to_owned).collect();
    let numbers = |rows: &'static [footplate::facade::model::network::Param],
                   entries: &[(String, String)]|
     -> Settings {
        let rows = rows
            .iter()
            .filter_map(|row| entries.iter().find(|(k, _)| k == row.key).map(|(_, v)| (row, v.clone())));
        rows.collect()
    };
    for (name, entries) in &network {
        let get = |key: &str| entries.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        match name.as_str() {
            "Network" => got.addresses.extend(
                entries
                    .iter()
                    .filter(|(k, _)| k == "Address")
                    .map(|(_, v)| Address::from(v.parse::<Cidr>().unwrap())),
            ),
            "Address" => got.addresses.push(Address {
                cidr: get("Address").unwrap().parse().unwrap(),
                peer: get("Peer").map(|peer| peer.parse().unwrap()),
                label: get("Label"),
                deprecated: get("PreferredLifetime").as_deref() == Some("0"),
            }),
            "Route" => {
                let via = get("Gateway").map(|v| v.parse().unwrap());
                let mut route = Route::new(get("Destination").unwrap().parse().unwrap(), via);
                route.on_link = get("GatewayOnLink").as_deref() == Some("yes");
                route.from = get("PreferredSource").map(|v| v.parse().unwrap());
                route.settings = numbers(ROUTE, entries);
                got.routes.push(route);
            }
            "RoutingPolicyRule" => got.rules.push(Rule {
                from: get("From").map(|v| v.parse().unwrap()),
                to: get("To").map(|v| v.parse().unwrap()),
                settings: numbers(RULE, entries),
            }),
            _ => {}
        }
    }
    // Overrides are written where that family asks for a lease.
    got.dhcp4_overrides = if want.dhcp4 {
        let metric = one(&network, "DHCPv4", "RouteMetric").unwrap();
        match setting(&want.dhcp4_overrides, "route-metric") {
            None => {
                assert_eq!(metric, "100");
                Settings::new()
            }
            Some(_) => {
                let row = DHCP4_OVERRIDES.iter().find(|row| row.name == "route-metric").unwrap();
                vec![(row, metric)]
            }
        }
    } else {
        want.dhcp4_overrides.clone()
    };
    got
}

/// Orders what has no order in networkd's files.
fn sorted(mut i: Interface) -> Interface {
    i.addresses.sort_by_key(|a| (a.cidr, a.label.clone(), a.deprecated));
    i.routes.sort_by_key(|r| (r.to, r.via));
    for route in &mut i.routes {
        route.settings.sort_by_key(|(p, _)| p.name);
    }
    for rule in &mut i.rules {
        rule.settings.sort_by_key(|(p, _)| p.name);
    }
    i
}

#[test]
fn what_is_written_reads_back() {
    for seed in 1..=400 {
        let mut rng = Rng(seed * 0x9e37_79b9);
        let mut config = NetworkConfig::default();
        for n in 0..3 {
            config.interfaces.push(rng.interface(n));
        }
        let mut vlan = rng.interface(9);
        vlan.device =
            Device::Vlan(Vlan { id: u16::try_from(rng.below(4095)).unwrap(), link: "nic0".to_owned() });
        vlan.id = "vlan9".to_owned();
        vlan.place = "network.vlans.vlan9".to_owned();
        config.interfaces.push(vlan);

        let text = to_yaml(&config);
        let (mut read, problems) = network::parse(&yaml::parse(&text).unwrap());
        assert!(problems.is_empty(), "seed {seed}: {problems:?}\n{text}");
        for i in &mut read.interfaces {
            assert!(i.pos.take().is_some(), "an interface knows its place");
        }
        assert_eq!(read, config, "seed {seed}\n{text}");

        let rendered = render(&read, &[]);
        assert_eq!(rendered.unusable, Vec::<String>::new(), "seed {seed}");
        for want in &config.interfaces {
            assert_eq!(sorted(from_units(want, &rendered)), sorted(want.clone()), "seed {seed}\n{text}");
        }
    }
}

#[test]
fn a_unit_reads_back_or_is_refused() {
    let alphabet: Vec<char> = "ab[]=#;\\\"' \t\n\r\0\u{85}\u{2028}é%".chars().collect();
    let mut rng = Rng(7);
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut unit = Unit::default();
        let mut want = Vec::new();
        for section in ["Match", "Network", "Route"] {
            let length = rng.below(6);
            let value: String = (0..length)
                .map(|_| alphabet[usize::try_from(rng.below(alphabet.len() as u64)).unwrap()])
                .collect();
            unit.another(section).set("Key", &value);
            want.push((section.to_owned(), vec![("Key".to_owned(), value)]));
        }
        match unit.write("a comment") {
            Ok(text) => assert_eq!(read_unit(&text), want),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0 && refused < 20_000, "both outcomes came up");
}

/// Every scalar of a real configuration replaced by hostile ones: no panic, and no line that we did not write.
#[test]
fn hostile_values_stay_values() {
    // `@` is a value; `§` a key, which gets a number behind it to be one of its kind.
    let base = "network: {version: 2, ethernets: {§: {match: {macaddress: @, name: @, driver: [@]}, set-name: @, \
        dhcp4: @, dhcp4-overrides: {hostname: @, route-metric: @, use-domains: @}, addresses: [@, {§: {label: @, \
        lifetime: @}}], gateway4: @, mtu: @, macaddress: @, link-local: [@], nameservers: {addresses: [@], search: \
        [@]}, routes: [{to: @, via: @, table: @, type: @, scope: @}], routing-policy: [{from: @, to: @}]}, §: \
        {dhcp4: true, nameservers: {search: [@, @]}}}, bonds: {§: {interfaces: [@], parameters: {mode: @, primary: \
        @, arp-ip-targets: [@], up-delay: @}}}, vlans: {§: {id: 9, link: @}}, vrfs: {§: {table: @}}, tunnels: {§: \
        {mode: gre, local: 192.0.2.1, remote: 192.0.2.2, key: @}, §: {mode: wireguard, key: @, peers: [{keys: \
        {public: @, shared: @}, endpoint: @, allowed-ips: [@]}]}, §: {mode: vxlan, id: 7, link: @, port-range: [@, \
        @]}}, dummy-devices: {§: {addresses: [@]}}}";
    let good = [
        "nic0",
        "00:50:56:aa:06:01",
        "192.0.2.4/24",
        "192.0.2.1",
        "9",
        "true",
        "/etc/key",
        "802.3ad",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "198.51.100.9:51820",
        "example.invalid",
        "default",
    ];
    let hostile = [
        "x\n[Network]\nEvil=1",
        "\nEvil=1",
        "eth0\rEvil=1",
        "a\0b",
        "Evil=1\\",
        "\u{85}Evil=1",
        "../../../etc/shadow",
        "",
        " ",
        "-1",
        "99999999999999999999",
        "*",
        "[",
        "!",
        "%n",
        "${X}",
        "\u{202e}",
        "é",
    ];
    let mut rng = Rng(11);
    let mut written = 0;
    for _ in 0..3_000 {
        let mut text = String::new();
        for (n, c) in base.chars().enumerate() {
            let pool: &[&str] = if rng.below(5) == 0 { &hostile } else { &good };
            let value = pool[usize::try_from(rng.below(pool.len() as u64)).unwrap()];
            match c {
                '@' => text += &serde_json::to_string(value).unwrap(),
                '§' => text += &serde_json::to_string(&format!("{value}{n}")).unwrap(),
                _ => text.push(c),
            }
        }
        let node = yaml::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let (config, _) = network::parse(&node);
        let rendered = render(&config, &[]);
        for file in &rendered.files {
            let name = file.path.strip_prefix("/etc/systemd/network/15-footplate-").unwrap();
            assert!(!name.contains('/') && name.bytes().all(|b| b.is_ascii_graphic()), "{}", file.path);
            for line in file.contents.lines() {
                assert!(!line.starts_with("Evil"), "{}:\n{}", file.path, file.contents);
            }
            read_unit(&file.contents);
            written += 1;
        }
    }
    assert!(written > 3_000, "{written} files were looked at");
}

#[test]
fn lists_are_bounded() {
    let config = |routes: usize| {
        let mut text =
            "version: 2\nethernets:\n  eth0:\n    addresses: [10.0.0.1/8]\n    routes:\n".to_owned();
        for n in 0..routes {
            let _ = writeln!(text, "    - {{to: 172.{}.{}.0/24, via: 10.0.0.2}}", 16 + n / 256, n % 256);
        }
        text + "  eth1: {dhcp4: true}\n"
    };
    let (config_4096, problems) = network::parse(&yaml::parse(&config(4096)).unwrap());
    assert!(problems.is_empty() && config_4096.get("eth0").unwrap().routes.len() == 4096);

    let (config_5000, problems) = network::parse(&yaml::parse(&config(5000)).unwrap());
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.place, "network.ethernets.eth0.routes");
    assert!(problem.what.contains("5000") && problem.what.contains("4096"), "{problem}");
    assert_eq!(config_5000.unusable, ["eth0"]);
    let rendered = render(&config_5000, &[]);
    assert!(rendered.usable && rendered.files.len() == 1, "the other interface stays");
}

#[test]
fn long_texts_take_time_in_proportion() {
    // As many interfaces and addresses as are taken, then 10 MiB of what is not.
    let mut text = "version: 2\nethernets:\n".to_owned();
    for n in 0..2000 {
        let _ = writeln!(text, "  nic{n}: {{addresses: [10.{}.{}.1/24], unknown{n}: 1}}", n / 256, n % 256);
    }
    let started = Instant::now();
    let (config, problems) = network::parse(&yaml::parse(&text).unwrap());
    let rendered = render(&config, &[]);
    assert_eq!(config.interfaces.len(), 1024);
    assert_eq!(rendered.files.len(), 1024);
    assert!(problems.iter().any(|f| f.severity == Severity::Error && f.what.contains("1024")));

    let comment = format!("#{}\n", "x".repeat(1023));
    let long = comment.repeat(10 * 1024) + "version: 2\nethernets: {eth0: {dhcp4: true}}\n";
    assert!(long.len() > 10 * 1024 * 1024);
    let (config, _) = network::parse(&yaml::parse(&long).unwrap());
    assert!(render(&config, &[]).usable);
    let one = format!(
        "version: 2\nethernets: {{eth0: {{dhcp4: true, set-name: {}}}}}\n",
        "x".repeat(10 * 1024 * 1024)
    );
    let (config, problems) = network::parse(&yaml::parse(&one).unwrap());
    assert!(!config.usable() && problems.iter().all(|f| f.what.len() < 200));
    let args = "ip=eth0:dhcp ".repeat(100_000);
    assert_eq!(network::parse_kargs(&args).0.interfaces.len(), 1);
    // Far above what it takes, far below what anything quadratic would.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// A setting's row is found by its name, so a table has each name once.
#[test]
fn tables_name_each_setting_once() {
    use footplate::facade::model::network as m;
    let tables: [&[m::Param]; 11] = [
        m::COMMON,
        m::ETHERNET,
        m::BOND,
        m::BRIDGE,
        m::BRIDGE_PORT,
        m::TUNNEL,
        m::VXLAN,
        m::WIREGUARD,
        m::DHCP4_OVERRIDES,
        m::DHCP6_OVERRIDES,
        m::ROUTE,
    ];
    for table in tables {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        table.iter().for_each(|row| *names.entry(row.name).or_default() += 1);
        assert!(names.values().all(|n| *n == 1), "{names:?}");
    }
}
