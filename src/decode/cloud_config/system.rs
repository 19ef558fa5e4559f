// SPDX-License-Identifier: Apache-2.0
//! Settings of the machine as a whole: time, language, trust, swap, name resolution, growth of disks.

use super::{Field, Reader};
use crate::decode::syntax::yaml::Node;
use crate::model::config::{Ntp, Resolver, Swap, SwapSize};

/// The smallest step of a swap file's size, as in cloud-init: a mebibyte.
const SWAP_STEP: u64 = 1 << 20;

impl Reader<'_> {
    pub(super) fn ntp(&mut self, node: &Node) {
        let (mut servers, mut pools, mut enabled) = (Vec::new(), Vec::new(), true);
        for field in self.fields("ntp", node) {
            let Field { name, at, value, .. } = &field;
            match name.as_str() {
                "enabled" => enabled = self.bool(at, value).unwrap_or(true),
                "servers" | "pools" => {
                    let list = if name == "servers" { &mut servers } else { &mut pools };
                    *list = self.words(at, value, None);
                    if list.iter().any(|s| s.contains(|c: char| c.is_whitespace() || c.is_control())) {
                        self.error(at, value.pos, "a server's name contains a blank or a control character");
                    }
                }
                "ntp_client" if matches!(value.text(), Some("systemd-timesyncd" | "auto")) => {}
                "ntp_client" | "config" | "allow" | "peers" => self.no_effect(
                    &field,
                    "systemd-timesyncd keeps the time",
                    "name `servers` and `pools`, or write a unit for another client",
                ),
                _ => self.unknown(at, field.key),
            }
        }
        servers.append(&mut pools);
        self.config.ntp = enabled.then_some(Ntp { servers });
    }

    /// A word that goes into a path or a file as it is: letters, digits, and these other characters.
    fn plain(&mut self, at: &str, node: &Node, others: &str) -> Option<String> {
        let text = self.text(at, node)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        if text.chars().all(plain) && !text.split('/').any(|p| p.is_empty() || p == "..") {
            return Some(text);
        }
        self.error(at, node.pos, format!("must consist of letters, digits and {others}"));
        None
    }

    pub(super) fn timezone(&mut self, node: &Node) {
        self.config.system.timezone = self.plain("timezone", node, "_+-/");
    }

    pub(super) fn locale(&mut self, node: &Node) {
        if node.bool() != Some(false) {
            self.config.system.locale = self.plain("locale", node, "_.@-");
        }
    }

    pub(super) fn ca_certs(&mut self, node: &Node) {
        for Field { name, at, key, value } in self.fields("ca_certs", node) {
            match name.replace('-', "_").as_str() {
                "trusted" => {
                    for (i, text) in self.words(&at, value, None).iter().enumerate() {
                        let certificates = certificates(text);
                        if certificates.is_empty() {
                            self.error(&format!("{at}[{i}]"), value.pos, "contains no PEM certificate");
                            self.cure("give it with its lines `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`, below a `|`");
                        }
                        self.config.system.certificates.extend(certificates);
                    }
                }
                "remove_defaults" if self.bool(&at, value) == Some(true) => {
                    self.error(&at, value.pos, "the image's own certificates cannot be removed");
                    self.cure("they are in Flatcar's read-only part: build an image without them");
                }
                "remove_defaults" => {}
                _ => self.unknown(&at, key),
            }
        }
    }

    pub(super) fn swap(&mut self, node: &Node) {
        let (mut path, mut bytes, mut max) = ("/swap.img".to_owned(), None, None);
        let automatic = node.get("size").and_then(Node::text) == Some("auto");
        for field in self.fields("swap", node) {
            let Field { name, at, value, .. } = &field;
            match name.as_str() {
                "filename" => match self.path(at, value) {
                    Some(p) if p.contains(char::is_whitespace) => {
                        self.error(at, value.pos, "the path contains a blank");
                    }
                    Some(p) => path = p,
                    None => {}
                },
                "size" | "maxsize" if value.is_null() => {}
                "size" if automatic => {}
                "maxsize" if !automatic => self.no_effect(
                    &field,
                    "it limits `size: auto` only",
                    "remove it: `size` is taken as it is",
                ),
                "size" | "maxsize" => match value.text().and_then(size) {
                    Some(n) if (1..SWAP_STEP).contains(&n) => {
                        self.warn(at, value.pos, "less than the smallest swap file: none is made");
                        self.cure("a number without K, M or G is one of bytes");
                        max = Some(0).filter(|_| automatic);
                    }
                    Some(n) if automatic => max = Some(n),
                    Some(n) => bytes = Some(n - n % SWAP_STEP),
                    None => {
                        let what = "must be a number of bytes, such as 512M, 0.5G, 2G or 1T";
                        self.error(at, value.pos, what);
                        self.cure("`size: auto` takes the size from the machine's memory");
                    }
                },
                _ => self.unknown(at, field.key),
            }
        }
        let size = match automatic {
            true => Some(SwapSize::Auto { max }).filter(|_| max != Some(0)),
            false => bytes.filter(|b| *b > 0).map(SwapSize::Bytes),
        };
        self.config.system.swap = size.map(|size| Swap { path, size });
    }

    pub(super) fn growpart(&mut self, node: &Node) {
        self.note("growpart", node.pos, "nothing to do");
        self.cure("Flatcar grows its root filesystem itself");
        if node.bool() == Some(false) {
            return;
        }
        let off = |mode: &Node| mode.bool() == Some(false) || mode.text() == Some("off");
        let never = node.get("mode").is_some_and(off);
        for field in self.fields("growpart", node) {
            let Field { name, at, value, .. } = &field;
            match name.as_str() {
                // cloud-init looks at no device then.
                "devices" if never => {}
                "devices" => {
                    if self.words(at, value, None).iter().any(|device| device != "/") {
                        self.no_effect(
                            &field,
                            "only the root filesystem grows by itself",
                            "partition data disks with disk_setup, and mount with the option x-systemd.growfs",
                        );
                    }
                }
                "mode" if never => self.no_effect(
                    &field,
                    "Flatcar always grows its root filesystem",
                    "put data on a disk of its own",
                ),
                "mode" if value.is_null() => {}
                "mode" if matches!(value.text(), Some("auto" | "growpart" | "gpart")) => {}
                "mode" => self.error(at, value.pos, "must be auto, growpart, gpart or off"),
                "ignore_growroot_disabled" => drop(self.bool(at, value)),
                _ => self.unknown(at, field.key),
            }
        }
    }

    /// `manage_resolv_conf` and `resolv_conf`: systemd-resolved resolves names on Flatcar.
    pub(super) fn resolv_conf(&mut self, root: &Node) {
        let managed = self.flag(root, "manage_resolv_conf");
        let Some(node) = self.given(root, "resolv_conf") else { return };
        if managed != Some(true) {
            self.warn("resolv_conf", node.pos, "no effect without `manage_resolv_conf: true`");
            return self.cure("add `manage_resolv_conf: true`, or remove `resolv_conf`");
        }
        let mut resolver = Resolver::default();
        for field in self.fields("resolv_conf", node) {
            let Field { name, at, value, .. } = &field;
            let plain = |word: &String| !word.contains(|c: char| c.is_whitespace() || c.is_control());
            let words = match name.as_str() {
                "nameservers" | "searchdomains" | "domain" => self.words(at, value, None),
                "options" | "sortlist" => {
                    self.no_effect(
                        &field,
                        "systemd-resolved has no such setting",
                        "see resolved.conf(5) for its own, and write them to /etc/systemd/resolved.conf.d",
                    );
                    continue;
                }
                _ => {
                    self.unknown(at, field.key);
                    continue;
                }
            };
            if !words.iter().all(plain) {
                self.error(at, value.pos, "a name contains a blank or a control character");
            }
            match name.as_str() {
                "nameservers" => {
                    if words.iter().any(|w| w.parse::<std::net::IpAddr>().is_err()) {
                        self.error(at, value.pos, "a name server must be an IP address");
                    }
                    resolver.servers = words;
                }
                "domain" => resolver.domains.splice(..0, words).for_each(drop),
                _ => resolver.domains.extend(words),
            }
        }
        self.config.system.resolver = Some(resolver);
    }
}

/// The PEM certificates in a text, one by one: the store takes a file for each.
fn certificates(text: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((begin, end)) =
        rest.find(BEGIN).and_then(|b| Some((b, b + rest[b..].find(END)? + END.len())))
    {
        let body: Vec<&str> = rest[begin..end].lines().map(str::trim).collect();
        found.push(body.join("\n") + "\n");
        rest = &rest[end..];
    }
    found
}

/// A number of bytes with an optional fraction and unit, as cloud-init's `human2bytes` reads it: units are powers of
/// 1024, a `B` or `iB` behind them says nothing. Small letters are units too.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_suffix("iB").or_else(|| text.strip_suffix(['B', 'b'])).unwrap_or(text);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 1,
        "M" | "m" => 2,
        "G" | "g" => 3,
        "T" | "t" => 4,
        _ => return None,
    };
    let bytes = digits.trim().parse::<f64>().ok()?
        * f64::from(1_u32 << (5 * power))
        * f64::from(1_u32 << (5 * power));
    // No file is larger than the kernel can number its bytes.
    (0.0..9e18).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_human2bytes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("512M", Some(512 << 20)),
            ("512MB", Some(512 << 20)),
            ("512MiB", Some(512 << 20)),
            ("2GiB", Some(2 << 30)),
            ("2i", None),
            ("0.5G", Some(512 << 20)),
            (".5T", Some(1 << 39)),
            ("2.G", Some(2 << 30)),
            ("1.25k", Some(1280)),
            ("3T", Some(3 << 40)),
            ("0.3333333333333G", Some(357_913_941)),
            ("16777216T", None),
            ("18446744073709551616", None),
            ("auto", None),
            ("-1G", None),
            ("1e3M", Some(1000 << 20)),
            ("1e30T", None),
            ("nan", None),
            ("infM", None),
            (".", None),
            ("G", None),
            ("", None),
            ("1P", None),
            ("1.2.3G", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
