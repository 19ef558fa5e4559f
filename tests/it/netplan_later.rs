// SPDX-License-Identifier: Apache-2.0
//! A later netplan than the one that is installed, as oracle: what it takes and the earlier one does not, or takes otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::debian;
use crate::network_oracle::{DIFFERENCES, differ, ours, theirs};

/// netplan, and what its program is linked with.
const PACKAGES: &[&str] = &[
    "netplan-generator",
    "libnetplan1",
    "libatomic1",
    "libblkid1",
    "libc6",
    "libffi8",
    "libglib2.0-0t64",
    "libmount1",
    "libpcre2-8-0",
    "libselinux1",
    "libuuid1",
    "libyaml-0-2",
    "zlib1g",
];

/// What stands below `network`, beside its version.
const CONFIGS: &[&str] = &[
    // All others, which networkd has and the documentation of netplan points to.
    "ethernets: {all: {match: {name: '!lo'}, dhcp4: true}}",
    "ethernets: {all: {match: {name: '!e*'}, dhcp4: true}}",
    // Those of which nothing is asked, networkd takes by their names alone.
    "ethernets: {all: {match: {}, dhcp4: true}}",
    "ethernets: {all: {match: {}, set-name: lan0, mtu: 1400, dhcp6: true}}",
    "ethernets: {all: {match: {name: '!lo', driver: 'virtio*'}, dhcp4: true}}",
    "ethernets: {all: {match: {name: 'en*', driver: '!virtio_net'}, dhcp4: true}}",
    "ethernets: {all: {match: {driver: ['!a', b]}, dhcp4: true}}",
    "ethernets: {all: {match: {name: '!lo'}, set-name: lan0, dhcp4: true}}",
    "ethernets: {all: {match: {name: 'e!lo'}, dhcp4: true}}",
    "ethernets: {all: {match: {name: '[!l]*'}, dhcp4: true}}",
    // An address by a rule.
    "ethernets: {a: {macaddress: random, dhcp4: true}}",
    "ethernets: {a: {macaddress: permanent, mtu: 1400, addresses: [10.0.0.5/24]}}",
    "ethernets: {a: {match: {macaddress: '00:50:56:aa:bb:01'}, macaddress: random, mtu: 1400}}",
    "ethernets: {a: {match: {macaddress: '00:50:56:aa:bb:01'}, set-name: lan0, macaddress: random}}",
    "ethernets: {a: {}}, bridges: {b: {interfaces: [a], macaddress: random}}, vlans: {v: {id: 3, link: a, macaddress: permanent}}",
    "ethernets: {a: {}}, bonds: {b: {interfaces: [a], macaddress: random, mtu: 1400}}, dummy-devices: {d: {macaddress: random}}",
    // The other end alone.
    "tunnels: {t: {mode: ipip, remote: 10.0.0.2}}",
    "tunnels: {t: {mode: sit, remote: 10.0.0.2, addresses: ['2001:db8::1/64']}}",
    "tunnels: {t: {mode: gretap, remote: 10.0.0.2, key: 7}}",
    "tunnels: {t: {mode: ip6gre, remote: '2001:db8::2'}}",
    "tunnels: {t: {mode: vti6, remote: '2001:db8::2'}}",
    // Of the documentation.
    "ethernets: {a: {}, b: {}}, bonds: {c: {interfaces: [a, b], parameters: {mode: balance-xor, packets-per-member: 2, all-members-active: true}}}",
    "ethernets: {a: {dhcp6: true, ra-overrides: {use-dns: false, use-domains: route, table: 100}}}",
    "ethernets: {a: {}}, vlans: {v: {id: 0, link: a}}",
    "ethernets: {a: {dhcp4: true, ignore-carrier: true, critical: true}}",
    "ethernets: {a: {addresses: [10.0.0.5/24], routes: [{to: 10.1.0.0/16, via: 10.0.0.1, advertised-mss: 1360, congestion-window: 10}]}}",
];

/// That netplan, with its own libraries.
fn netplan(root: &Path) -> Command {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(&libraries).arg(root.join("usr/libexec/netplan/generate"));
    command
}

#[test]
fn a_later_netplan_means_the_same() {
    let root = needs!(debian::unpacked_of("trixie", PACKAGES));
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("netplan-later");
    let mut used = vec![0; DIFFERENCES.len()];
    let mut wrong = String::new();
    for config in CONFIGS {
        let text = format!("network: {{version: 2, {config}}}\n");
        let (difference, _) = differ(theirs(netplan(&root), &dir, &text), ours(&text), &mut used);
        if !difference.is_empty() {
            wrong += &format!("{config}\n{difference}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    std::fs::remove_dir_all(dir).unwrap();
}
