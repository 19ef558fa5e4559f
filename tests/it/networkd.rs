// SPDX-License-Identifier: Apache-2.0
//! A real systemd-networkd, in namespaces of its own, takes what we write, and the kernel ends up as the text says.
//!
//! It needs root, for namespaces, and Debian's `systemd`, `udev`, `iproute2` and `dnsmasq-base`, which it installs. NICs
//! are veth pairs; what lies behind their other ends is a namespace with a DHCP server. A kernel without a sort of device
//! can't make one: then networkd must say just that.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use footplate::facade::decode::{network, syntax::yaml};
use footplate::facade::model::network::Nic;
use footplate::facade::plan::network::render;
use serde_json::Value;

/// What happens in the namespaces before a test's own part: networkd's directories are empty, `/sys` is read-only, by
/// which networkd knows that no udev is to be waited for.
const PROLOGUE: &str = r"
set -eu
mount -t sysfs -o ro sysfs /sys
for dir in /run/systemd /etc/systemd/network; do mkdir -p $dir; mount -t tmpfs tmpfs $dir; done
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
cp -p $WORK/files/* /etc/systemd/network/
chgrp systemd-network /etc/systemd/network/*
ip link set lo up
";

/// Runs `script` in its own network, mount and process namespaces; the processes end with it.
fn namespaces(work: &Path, script: &str) -> String {
    let script = PROLOGUE.to_owned() + script;
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "bash",
        "-c",
        &script,
    ]);
    let run = unshare.env("WORK", work).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    said
}

const PROGRAMS: &[&str] =
    &["/lib/systemd/systemd-networkd:systemd", "udevadm:udev", "ip:iproute2", "dnsmasq:dnsmasq-base"];

fn work_dir(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("networkd").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("files")).unwrap();
    dir
}

/// Complaints of networkd and udev about files.
fn complaints(said: &str) -> Vec<&str> {
    let words =
        ["Unknown", "nvalid", "ignoring", "Failed to parse", "too permissive", "not supported", "refusing"];
    said.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

#[test]
fn networkd_and_udev_take_every_golden_file() {
    needs!(root("a network of its own"));
    needs!(programs(PROGRAMS));
    let work = work_dir("golden");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/network/golden");
    let mut files = 0;
    for folder in fs::read_dir(golden).unwrap().map(|f| f.unwrap()) {
        for file in fs::read_dir(folder.path().join("out")).into_iter().flatten().map(|f| f.unwrap()) {
            let text = fs::read_to_string(file.path()).unwrap();
            let (folder, name) = (folder.file_name(), file.file_name());
            let to =
                work.join("files").join(format!("{}-{}", folder.to_str().unwrap(), name.to_str().unwrap()));
            fs::write(&to, &text).unwrap();
            let mode = if text.starts_with("# mode 640") { 0o640 } else { 0o644 };
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
            files += 1;
        }
    }
    assert!(files > 300, "{files} files");
    let said = namespaces(
        &work,
        r"
        ip link add nic9 type veth peer name peer9
        udevadm test-builtin net_setup_link /sys/class/net/nic9 2>&1
        timeout 5 /lib/systemd/systemd-networkd 2>&1 || [ $? = 124 ]
        ",
    );
    assert!(said.contains("Enumeration completed"), "{said}");
    assert!(said.contains("nic9"), "{said}");
    let expected = [
        // Folders name their devices alike.
        "Device was already configured by",
        // systemd 255 brought these two; an older one passes over them.
        "Unknown key 'SendHostname' in section [DHCPv6]",
        "Unknown key 'Hostname' in section [DHCPv6]",
        // A key file that nothing here has written.
        "Failed to read private key from '/etc/wireguard/private.key'",
        // What a warning of ours says too: a port's addresses, advertisements without a link-local address.
        "bond-port-with-addresses-15-footplate-b.network: Cannot set addresses when Bond=",
        "every-ethernet-key-15-footplate-eth1.network: IPv6AcceptRA= is enabled but IPv6 link-local",
        // Its manual has this section, systemd 252 itself passes over it; netplan writes it too.
        "Unknown section 'IPoIB'",
        // The kernel's, not the files'.
        "Operation not supported",
    ];
    let unexpected: Vec<&str> =
        complaints(&said).into_iter().filter(|line| !expected.iter().any(|e| line.contains(e))).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// What the kernel ended up with.
struct State {
    links: Value,
    routes: Vec<Value>,
    rules: Value,
    said: String,
}

impl State {
    fn link(&self, name: &str) -> &Value {
        let links = self.links.as_array().unwrap();
        links
            .iter()
            .find(|l| l["ifname"] == name)
            .unwrap_or_else(|| panic!("no {name}: {:#}\n{}", self.links, self.said))
    }

    fn addresses(&self, name: &str) -> Vec<String> {
        let all = self.link(name)["addr_info"].as_array().unwrap();
        let global = all.iter().filter(|a| a["scope"] == "global");
        global.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect()
    }

    /// The route to `to` over `dev`.
    fn route(&self, to: &str, dev: &str) -> &Value {
        let found = self.routes.iter().find(|r| r["dst"] == to && r["dev"] == dev && r["type"] != "local");
        found.unwrap_or_else(|| panic!("no route to {to} over {dev}: {:#?}\n{}", self.routes, self.said))
    }
}

struct Case {
    name: &'static str,
    text: &'static str,
    /// Sorts of devices that the kernel must have, each with the device of the text that is one.
    kinds: &'static [(&'static str, &'static str)],
    /// Ready when this succeeds.
    until: &'static str,
    check: fn(&State),
}

const CASES: &[Case] = &[
    Case {
        name: "static-dual-stack",
        text: r#"
            version: 2
            ethernets:
              id0:
                match: {macaddress: "02:00:00:00:07:00"}
                addresses: [192.0.2.4/24, "2001:db8::4/64"]
                gateway4: 192.0.2.1
                gateway6: "2001:db8::1"
                accept-ra: false
                mtu: 1400
                routes:
                - {to: 198.51.100.0/24, via: 192.0.2.9, metric: 50}
                - {to: "2001:db8:1::/48", via: "2001:db8::9", metric: 60}
                - {to: default, via: 203.0.113.1, table: 100}
                - {to: 198.51.101.0/24, type: blackhole}
                routing-policy:
                - {from: 192.0.2.4, table: 100, priority: 77}
        "#,
        kinds: &[],
        until: "ip route show table 100 | grep -q 203.0.113.1 && ip -6 route show | grep -q 2001:db8:1::/48",
        check: |state| {
            assert_eq!(state.addresses("nic0"), ["192.0.2.4/24", "2001:db8::4/64"]);
            assert_eq!(state.link("nic0")["mtu"], 1400);
            assert_eq!(state.route("198.51.100.0/24", "nic0")["metric"], 50);
            assert_eq!(state.route("2001:db8:1::/48", "nic0")["metric"], 60);
            let defaults: Vec<&Value> = state.routes.iter().filter(|r| r["dst"] == "default").collect();
            let gateway = |gateway: &str| defaults.iter().find(|r| r["gateway"] == gateway);
            assert!(gateway("192.0.2.1").is_some() && gateway("2001:db8::1").is_some(), "{defaults:#?}");
            // The one that lies in no subnet: it came to be, since it is said to be on the link.
            assert_eq!(gateway("203.0.113.1").unwrap()["table"], "100");
            assert!(state.routes.iter().any(|r| r["dst"] == "198.51.101.0/24" && r["type"] == "blackhole"));
            let rules = state.rules.as_array().unwrap();
            let rule = rules.iter().find(|r| r["priority"] == 77).unwrap();
            assert_eq!((&rule["src"], &rule["table"]), (&"192.0.2.4".into(), &"100".into()));
        },
    },
    Case {
        name: "dhcp-with-overrides",
        text: r#"
            version: 2
            ethernets:
              id0:
                match: {macaddress: "02:00:00:00:07:00"}
                dhcp4: true
                dhcp4-overrides: {route-metric: 321, use-mtu: true}
              id1:
                match: {macaddress: "02:00:00:00:07:01"}
                dhcp4: true
                dhcp4-overrides: {use-routes: "false", use-mtu: false}
        "#,
        kinds: &[],
        until: "ip addr show nic0 | grep -q 'inet 192.0.2.' && ip addr show nic1 | grep -q 'inet 198.51.100.' \
                && ip route | grep -q default",
        check: |state| {
            let default = state.route("default", "nic0");
            assert_eq!((&default["gateway"], &default["metric"]), (&"192.0.2.1".into(), &321.into()));
            assert_eq!(state.link("nic0")["mtu"], 1300, "the lease names an MTU");
            assert_eq!(state.link("nic1")["mtu"], 1500, "which is not wanted here");
            assert!(
                !state.routes.iter().any(|r| r["dst"] == "default" && r["dev"] == "nic1"),
                "{:#?}",
                state.routes
            );
        },
    },
    Case {
        name: "swapped-order",
        text: r#"
            version: 2
            ethernets:
              first: {match: {macaddress: "02:00:00:00:07:01"}, addresses: [192.0.2.11/24], link-local: []}
              second: {match: {macaddress: "02:00:00:00:07:00"}, addresses: [192.0.2.10/24], link-local: []}
        "#,
        kinds: &[],
        until: "ip addr show nic0 | grep -q 192.0.2.10 && ip addr show nic1 | grep -q 192.0.2.11",
        check: |state| {
            assert_eq!(state.addresses("nic0"), ["192.0.2.10/24"]);
            assert_eq!(state.addresses("nic1"), ["192.0.2.11/24"]);
        },
    },
    Case {
        name: "bridge",
        text: r#"
            version: 2
            ethernets:
              a: {match: {macaddress: "02:00:00:00:07:00"}}
              b: {match: {macaddress: "02:00:00:00:07:01"}}
            bridges:
              br0:
                interfaces: [a, b]
                addresses: [192.0.2.20/24]
                parameters: {stp: false, forward-delay: 4, path-cost: {a: 17}}
        "#,
        kinds: &[("bridge", "br0")],
        until: "ip addr show br0 | grep -q 192.0.2.20 && ip link show nic1 | grep -q 'master br0'",
        check: |state| {
            assert_eq!(state.addresses("br0"), ["192.0.2.20/24"]);
            assert_eq!(state.link("nic0")["master"], "br0");
            assert_eq!(state.link("nic0")["linkinfo"]["info_slave_data"]["cost"], 17);
            let bridge = &state.link("br0")["linkinfo"]["info_data"];
            // In hundredths of a second.
            assert_eq!((&bridge["stp_state"], &bridge["forward_delay"]), (&0.into(), &400.into()));
        },
    },
    Case {
        name: "vlan-on-bond",
        text: r#"
            version: 2
            ethernets:
              a: {match: {macaddress: "02:00:00:00:07:00"}}
              b: {match: {macaddress: "02:00:00:00:07:01"}}
            bonds:
              bond0: {interfaces: [a, b], parameters: {mode: active-backup, mii-monitor-interval: 100, primary: b}}
            vlans:
              bond0.5: {id: 5, link: bond0, addresses: [192.0.2.30/24]}
        "#,
        kinds: &[("bond", "bond0"), ("vlan", "bond0.5")],
        until: "ip addr show bond0.5 | grep -q 192.0.2.30 && ip link show nic1 | grep -q 'master bond0'",
        check: |state| {
            assert_eq!(state.addresses("bond0.5"), ["192.0.2.30/24"]);
            assert_eq!(state.link("bond0.5")["linkinfo"]["info_data"]["id"], 5);
            let bond = &state.link("bond0")["linkinfo"]["info_data"];
            assert_eq!((&bond["mode"], &bond["miimon"]), (&"active-backup".into(), &100.into()));
            assert_eq!(bond["primary"], "nic1");
        },
    },
    Case {
        name: "vxlan-in-bridge",
        text: r#"
            version: 2
            ethernets:
              a: {match: {macaddress: "02:00:00:00:07:00"}, addresses: [192.0.2.40/24]}
            tunnels:
              vx0: {mode: vxlan, id: 42, local: 192.0.2.40, remote: 192.0.2.41, port: 4789, mac-learning: true}
            bridges:
              br42: {interfaces: [vx0], addresses: [10.42.0.1/24]}
        "#,
        kinds: &[("vxlan", "vx0"), ("bridge", "br42")],
        until: "ip link show vx0 | grep -q 'master br42' && ip addr show br42 | grep -q 10.42.0.1",
        check: |state| {
            let vxlan = &state.link("vx0")["linkinfo"]["info_data"];
            assert_eq!(
                (&vxlan["id"], &vxlan["remote"], &vxlan["port"]),
                (&42.into(), &"192.0.2.41".into(), &4789.into())
            );
            assert_eq!(state.addresses("br42"), ["10.42.0.1/24"]);
        },
    },
];

/// Two NICs, a server with leases for each behind them, networkd, and the kernel's state once the condition holds.
const LIVE: &str = r#"
for n in 0 1; do
    ip link add nic$n address 02:00:00:00:07:0$n type veth peer name peer$n
done
unshare --net sleep 60 & server=$!
until [ "$(readlink /proc/$server/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
serve() { nsenter --target $server --net "$@"; }
for n in 0 1; do ip link set peer$n netns $server; done
serve ip addr add 192.0.2.1/24 dev peer0
serve ip addr add 198.51.100.1/24 dev peer1
for dev in lo peer0 peer1; do serve ip link set $dev up; done
serve dnsmasq --no-daemon --conf-file=/dev/null --port=0 --bind-interfaces --interface=peer0 --interface=peer1 \
    --dhcp-leasefile=$WORK/leases --dhcp-option=option:mtu,1300 \
    --dhcp-range=192.0.2.100,192.0.2.110,1h --dhcp-range=198.51.100.100,198.51.100.110,1h >$WORK/dnsmasq 2>&1 &
for kind in $KINDS; do
    if ip link add name t0 $([ $kind != vlan ] || echo link nic0) type $kind $(case $kind in
        vlan) echo id 9 ;; vxlan) echo id 9 dstport 4789 ;; esac) 2>/dev/null
    then ip link del t0; else echo $kind >>$WORK/lacking; fi
done
/lib/systemd/systemd-networkd >$WORK/log 2>&1 &
for _ in $(seq 100); do
    if eval "$UNTIL" 2>/dev/null; then break; fi
    # A kernel that lacks something never gets there.
    if [ -e $WORK/lacking ] && grep -q 'not supported' $WORK/log; then break; fi
    sleep 0.1
done
# A moment for what the condition does not name.
sleep 0.5
ip -j -d addr >$WORK/links
ip -j route show table all >$WORK/routes4
ip -j -6 route show table all >$WORK/routes6
ip -j rule >$WORK/rules
cat $WORK/log
"#;

fn nic(n: u8) -> Nic {
    let mac = Some(format!("02:00:00:00:07:0{n}").parse().unwrap());
    Nic { name: format!("nic{n}"), mac, kind: Some("veth".to_owned()), ..Nic::default() }
}

#[test]
fn the_kernel_ends_up_as_the_text_says() {
    needs!(root("a network of its own"));
    needs!(programs(PROGRAMS));
    for case in CASES {
        let work = work_dir(case.name);
        let (config, problems) = network::parse(&yaml::parse(case.text).unwrap());
        assert!(problems.is_empty(), "{}: {problems:?}", case.name);
        let rendered = render(&config, &[nic(0), nic(1)]);
        for file in &rendered.files {
            let to = work.join("files").join(Path::new(&file.path).file_name().unwrap());
            fs::write(&to, &file.contents).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(file.mode)).unwrap();
        }
        let kinds: Vec<&str> = case.kinds.iter().map(|(kind, _)| *kind).collect();
        let variables = format!("KINDS='{}'\nUNTIL=\"{}\"\n", kinds.join(" "), case.until);
        let said = namespaces(&work, &(variables + LIVE));

        let lacking = fs::read_to_string(work.join("lacking")).unwrap_or_default();
        let refused: Vec<String> = case
            .kinds
            .iter()
            .filter(|(kind, _)| lacking.lines().any(|l| l == *kind))
            .map(|(_, device)| format!("{device}: netdev could not be created: Operation not supported"))
            .collect();
        let complaints: Vec<&str> = complaints(&said);
        if !refused.is_empty() {
            assert!(
                complaints.iter().all(|line| refused.iter().any(|r| line.contains(r))),
                "{}: {complaints:#?}",
                case.name
            );
            assert!(!complaints.is_empty(), "{}: networkd made what the kernel has not", case.name);
            println!("{}: this kernel has no {}", case.name, lacking.trim().replace('\n', ", "));
            continue;
        }
        assert!(complaints.is_empty(), "{}: {complaints:#?}", case.name);
        let json = |name: &str| -> Value {
            serde_json::from_str(&fs::read_to_string(work.join(name)).unwrap()).unwrap()
        };
        let routes =
            ["routes4", "routes6"].into_iter().flat_map(|f| json(f).as_array().unwrap().clone()).collect();
        println!("{}", case.name);
        (case.check)(&State { links: json("links"), routes, rules: json("rules"), said });
    }
}
