// SPDX-License-Identifier: Apache-2.0
//! EC2's metadata service, version 2: a tree of keys behind a token.

use std::collections::BTreeMap;

use super::server::{Reply, Seen};

pub const V4: &str = "169.254.169.254:80";
pub const V6: &str = "[fd00:ec2::254]:80";

/// The one token that there is.
pub const TOKEN: &str = "token-1-of-this-service==";

/// Values by their paths below the version.
#[derive(Clone, Default)]
pub struct Tree(BTreeMap<String, String>);

impl Tree {
    pub fn with(mut self, path: &str, value: &str) -> Self {
        self.0.insert(path.to_owned(), value.to_owned());
        self
    }

    /// A tree in which what has more below it is an object.
    pub fn with_json(self, path: &str, json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Object(map) => {
                map.iter().fold(self, |tree, (name, below)| tree.with_json(&format!("{path}/{name}"), below))
            }
            json => self.with(path, json.as_str().unwrap()),
        }
    }

    pub fn with_card(self, mac: &str, device: &str, ipv4: &[&str], ipv6: &[&str]) -> Self {
        let mut tree = self.with_key(mac, "device-number", device);
        for (key, addresses) in [("local-ipv4s", ipv4), ("ipv6s", ipv6)] {
            if !addresses.is_empty() {
                tree = tree.with_key(mac, key, &addresses.join("\n"));
            }
        }
        tree
    }

    /// A key of a card's.
    pub fn with_key(self, mac: &str, key: &str, value: &str) -> Self {
        self.with(&format!("meta-data/network/interfaces/macs/{mac}/{key}"), value)
    }

    /// A key's value, or a directory's listing with a slash behind what has more below it.
    fn get(&self, path: &str) -> Option<String> {
        if !path.ends_with('/') {
            return self.0.get(path).cloned();
        }
        let mut names: Vec<String> = self
            .0
            .keys()
            .filter_map(|k| k.strip_prefix(path))
            .map(|rest| rest.split_once('/').map_or(rest.to_owned(), |(name, _)| format!("{name}/")))
            .collect();
        names.dedup();
        if path.ends_with("public-keys/") {
            names = names.iter().map(|n| format!("{}=key", n.trim_end_matches('/'))).collect();
        }
        (!names.is_empty()).then(|| names.join("\n"))
    }
}

/// An instance with one card.
pub fn machine() -> Tree {
    let keys = [
        ("user-data", "#cloud-config\n{}\n"),
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/instance-type", "m5.large"),
        ("meta-data/local-hostname", "ip-10-0-0-5.eu-west-1.compute.internal"),
        ("meta-data/hostname", "ip-10-0-0-5.eu-west-1.compute.internal"),
        ("meta-data/local-ipv4", "10.0.0.5"),
        ("meta-data/mac", "02:00:00:00:00:01"),
        ("meta-data/placement/availability-zone", "eu-west-1a"),
        ("meta-data/placement/region", "eu-west-1"),
        ("meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAAC3Nz me@example\n"),
    ];
    let tree = keys.iter().fold(Tree::default(), |tree, (path, value)| tree.with(path, value));
    tree.with_card("02:00:00:00:00:01", "0", &["10.0.0.5"], &[])
}

/// What version 2 answers: nothing without a token, and a token only to a `PUT` that says how long.
pub fn session(seen: &Seen, tree: &Tree) -> Reply {
    if seen.path == "/latest/api/token" {
        return match (seen.method.as_str(), seen.header("x-aws-ec2-metadata-token-ttl-seconds")) {
            ("PUT", Some(_)) if seen.header("x-forwarded-for").is_none() => Reply::ok(TOKEN),
            _ => Reply::status(400, "", ""),
        };
    }
    if seen.header("x-aws-ec2-metadata-token") != Some(TOKEN) {
        return Reply::status(401, "", "");
    }
    let path = seen.path.trim_start_matches('/').split_once('/').map_or("", |(_, rest)| rest);
    match tree.get(path) {
        Some(value) => Reply::ok(value),
        None => Reply::not_found(),
    }
}
