// SPDX-License-Identifier: Apache-2.0
//! Keys of tunnels in netplan's language: plain tunnels, VXLAN and WireGuard.

use base64::Engine as _;

use super::read::{At, Reader, is_domain};
use crate::model::network::{Cidr, Device, Interface, Key, Peer, TUNNELS, Tunnel, VXLAN_FLAGS, setting};
use crate::model::secret::Secret;

pub(super) fn new() -> Device {
    Device::Tunnel(Box::new(Tunnel {
        kind: &TUNNELS[0],
        local: None,
        remote: None,
        link: None,
        keys: (None, None),
        port_range: None,
        settings: Vec::new(),
        private: None,
        peers: Vec::new(),
    }))
}

pub(super) fn own(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    let Device::Tunnel(t) = &mut to.device else { return false };
    match key {
        // Which other keys there are depends on it, so the caller reads it first.
        "mode" => match TUNNELS.iter().find(|kind| at.node.text() == Some(kind.mode)) {
            Some(kind) => t.kind = kind,
            None => {
                let modes: Vec<&str> = TUNNELS.iter().map(|kind| kind.mode).collect();
                r.lose(
                    at,
                    "is a tunnel mode that networkd does not know",
                    &format!("one of {}", modes.join(", ")),
                );
            }
        },
        "local" => t.local = r.addr(at),
        "remote" => t.remote = r.addr(at),
        "key" | "keys" if t.kind.mode == "wireguard" => match at.key("private") {
            Some(private) => t.private = wireguard_key(r, &private),
            None => t.private = wireguard_key(r, at),
        },
        "key" | "keys" if t.kind.mode != "vxlan" => {
            if at.node.is_map() {
                for (key, at) in r.entries(at) {
                    match key {
                        "input" => t.keys.0 = tunnel_key(r, &at),
                        "output" => t.keys.1 = tunnel_key(r, &at),
                        _ => r.unknown(&at),
                    }
                }
            } else {
                let key = tunnel_key(r, at);
                t.keys = (key.clone(), key);
            }
        }
        "peers" if t.kind.mode == "wireguard" => {
            t.peers.extend(r.items(at).iter().filter_map(|item| peer(r, item)))
        }
        "link" if t.kind.mode == "vxlan" => t.link = r.text(at).map(str::to_owned),
        "port-range" if t.kind.mode == "vxlan" => port_range(r, t, at),
        "aging" => return r.setting(t.kind.settings, &mut t.settings, "ageing", at),
        "notifications" | "checksums" | "extensions" if t.kind.mode == "vxlan" => {
            for (word, item) in r.words(at) {
                match VXLAN_FLAGS.iter().find(|(list, param)| *list == key && param.name == word) {
                    Some((_, param)) => t.settings.push((param, "yes".to_owned())),
                    None => r.warn(&item, "this word is not known here and has no effect", ""),
                }
            }
        }
        _ => return r.setting(t.kind.settings, &mut t.settings, key, at),
    }
    true
}

pub(super) fn finish(r: &mut Reader, to: &mut Interface, at: &At) {
    let Device::Tunnel(t) = &to.device else { return };
    if at.node.get("mode").is_none() {
        return r.lose(at, "is a tunnel without `mode`", "");
    }
    match t.kind.mode {
        "wireguard" => {
            if t.private.is_none() {
                r.lose(
                    at,
                    "is a WireGuard tunnel without a usable private key",
                    "give it `keys: {private: …}`",
                );
            }
        }
        "vxlan" => {
            if setting(&t.settings, "id").is_none() {
                r.lose(at, "is a VXLAN without a usable `id`", "give it one from 1 to 16777215");
            }
        }
        _ => {
            let wanted = t.kind.ipv6.unwrap_or(false);
            let family = if wanted { "an IPv6" } else { "an IPv4" };
            for (name, end) in [("local", t.local), ("remote", t.remote)] {
                match end {
                    // Any of the machine's own addresses then.
                    None if at.node.get(name).is_none() && name == "local" => {}
                    None => r.lose(
                        at,
                        format!("is a tunnel without a usable `{name}`"),
                        &format!("give it {family} address"),
                    ),
                    Some(addr) if addr.is_ipv6() != wanted => {
                        r.lose(
                            at,
                            format!("has a `{name}` of the wrong family"),
                            &format!("this mode takes {family} address"),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// A tunnel's key, which is not secret: a number, or one written as an IPv4 address.
fn tunnel_key(r: &mut Reader, at: &At) -> Option<String> {
    let text = r.text(at)?;
    let ok = text.parse::<u32>().is_ok() || text.parse::<std::net::Ipv4Addr>().is_ok();
    if !ok {
        r.error(at, "is not a tunnel's key", "write a number, or a number in the form of an IPv4 address");
    }
    ok.then(|| text.to_owned())
}

fn port_range(r: &mut Reader, t: &mut Tunnel, at: &At) {
    let ports: Vec<u16> =
        r.items(at).iter().filter_map(|p| r.number(p, 1, 65535)).filter_map(|p| p.try_into().ok()).collect();
    match ports[..] {
        [first, last] if first <= last => t.port_range = Some((first, last)),
        _ => r.error(at, "is not a range of ports", "write [FIRST, LAST]"),
    }
}

/// Whether `text` is a WireGuard key: 32 octets in base64.
fn is_key(text: &str) -> bool {
    text.len() == 44
        && base64::engine::general_purpose::STANDARD.decode(text).is_ok_and(|key| key.len() == 32)
}

/// A secret key or the path of its file. A message never shows either.
fn wireguard_key(r: &mut Reader, at: &At) -> Option<Key> {
    let text = r.text(at)?;
    if is_key(text) {
        return Some(Key::Inline(Secret::from(text)));
    }
    if text.starts_with('/')
        && text.len() < 4096
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return Some(Key::File(text.to_owned()));
    }
    r.error(
        at,
        "is neither a WireGuard key nor the absolute path of one",
        "a key is 44 characters of base64",
    );
    None
}

fn peer(r: &mut Reader, at: &At) -> Option<Peer> {
    let mut peer = Peer::default();
    for (key, at) in r.entries(at) {
        match key {
            "keys" => {
                for (key, at) in r.entries(&at) {
                    match key {
                        "public" => match r.text(&at) {
                            Some(text) if is_key(text) => peer.public = text.to_owned(),
                            _ => r.error(&at, "is not a WireGuard key", "a key is 44 characters of base64"),
                        },
                        "shared" => peer.shared = Some(wireguard_key(r, &at)?),
                        _ => r.unknown(&at),
                    }
                }
            }
            "endpoint" => match r.text(&at) {
                Some(text) if is_endpoint(text) => peer.endpoint = Some(text.to_owned()),
                _ => r.error(&at, "is not an endpoint", "write host:port, or [address]:port for IPv6"),
            },
            "allowed-ips" => {
                let items = r.items(&at);
                peer.allowed = items.iter().filter_map(|item| r.network(item)).collect::<Vec<Cidr>>();
            }
            "keepalive" => peer.keepalive = r.number(&at, 0, 65535).and_then(|n| n.try_into().ok()),
            _ => r.unknown(&at),
        }
    }
    if peer.public.is_empty() {
        r.error(at, "is a peer without a usable public key", "give it `keys: {public: …}`");
        return None;
    }
    if peer.allowed.is_empty() {
        r.warn(at, "has no `allowed-ips`: nothing is sent to this peer", "");
    }
    Some(peer)
}

fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match v6 {
        Some(addr) => addr.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_domain(host),
    };
    host && port.parse::<u16>().is_ok_and(|p| p > 0)
}
