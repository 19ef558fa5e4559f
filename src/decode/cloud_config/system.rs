// SPDX-License-Identifier: Apache-2.0
//! The keys for what the machine has once: its names, its clock's zone, its trust, what it does at the end.

use super::{Reader, check_hostname, check_path};
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::config::{EtcHosts, PhoneHome, PowerMode, PowerState, Resolver, Swap, UserSpec};
use crate::model::instance::short;
use crate::model::problem::{Pos, Problem};
use crate::model::secret::Secret;

/// The distribution's default user.
pub(super) const DEFAULT_USER: &str = "core";

/// What phone_home can send, as cloud-init names it.
const POSTS: &[&str] =
    &["fqdn", "hostname", "instance_id", "pub_key_ecdsa", "pub_key_ed25519", "pub_key_rsa"];

/// Most minutes that a shutdown is put off: a day.
const MAX_DELAY: u32 = 24 * 60;

impl Reader<'_> {
    /// `hostname`, `fqdn`, `prefer_fqdn_over_hostname`: the name before its first dot, unless the last one says
    /// otherwise.
    pub(super) fn hostname(&mut self, root: &Node) {
        let hostname = root.get("hostname").and_then(|n| self.text("hostname", n));
        let fqdn = root.get("fqdn").and_then(|n| self.text("fqdn", n));
        let whole = root.get("prefer_fqdn_over_hostname");
        let whole = whole.and_then(|n| self.bool("prefer_fqdn_over_hostname", n)).unwrap_or(false);
        let keep = root.get("preserve_hostname").and_then(|n| self.bool("preserve_hostname", n));
        self.config.system.keep_hostname = keep.unwrap_or(false);
        let dotted = hostname.clone().filter(|h| h.contains('.'));
        let long = fqdn.clone().or(dotted);
        let name = match (hostname, fqdn) {
            (_, Some(fqdn)) if whole => Some(fqdn),
            (Some(hostname), _) if !whole => Some(short(&hostname).to_owned()),
            (hostname, fqdn) => fqdn.map(|f| short(&f).to_owned()).or(hostname),
        };
        let Some(name) = name else { return };
        let node = root.get("hostname").or_else(|| root.get("fqdn")).map_or(Pos::default(), |n| n.pos);
        for name in [Some(&name), long.as_ref()].into_iter().flatten() {
            if let Err(what) = check_hostname(name) {
                return self.error("hostname", node, what);
            }
        }
        self.config.system.fqdn = long;
        if !self.config.system.keep_hostname {
            self.config.hostname = Some(name);
        }
    }

    pub(super) fn manage_etc_hosts(&mut self, node: &Node) {
        self.config.system.etc_hosts = match (node.bool(), node.text()) {
            (Some(true), _) | (_, Some("template")) => Some(EtcHosts::Whole),
            (Some(false), _) => None,
            (_, Some("localhost")) => Some(EtcHosts::Line),
            _ => return self.error("manage_etc_hosts", node.pos, "takes true, false or localhost"),
        };
    }

    /// A word that goes into a path or a file as it stands.
    fn plain(&mut self, at: &str, node: &Node, others: &str) -> Option<String> {
        let text = self.text(at, node)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        if text.chars().all(plain) && !text.split('/').any(|p| p.is_empty() || p == "..") {
            return Some(text);
        }
        self.error(at, node.pos, format!("takes letters, digits and {others}"));
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
        if !node.is_map() {
            return self.takes("ca_certs", node, "a mapping");
        }
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default().replace('-', "_");
            let at = format!("ca_certs.{name}");
            match name.as_str() {
                "trusted" => {
                    for (i, text) in self.words(&at, value, None).iter().enumerate() {
                        let certificates = certificates(text);
                        if certificates.is_empty() {
                            self.error(&format!("{at}[{i}]"), value.pos, "holds no PEM certificate");
                        }
                        self.config.system.certificates.extend(certificates);
                    }
                }
                "remove_defaults" if value.bool() == Some(true) => {
                    self.error(&at, value.pos, "the image's own certificates can't be taken away");
                    self.cure("Flatcar has them in its read-only part: build an image without them");
                }
                "remove_defaults" => {}
                _ => self.unknown(&at, key),
            }
        }
    }

    pub(super) fn swap(&mut self, node: &Node) {
        if !node.is_map() {
            return self.takes("swap", node, "a mapping");
        }
        let (mut path, mut bytes) = ("/swap.img".to_owned(), None);
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("swap.{name}");
            match name {
                "filename" => match self.text(&at, value).map(|p| check_path(&p)) {
                    Some(Ok(p)) if p.contains(char::is_whitespace) => {
                        self.error(&at, value.pos, "the path holds a blank");
                    }
                    Some(Ok(p)) => path = p,
                    Some(Err(what)) => self.error(&at, value.pos, what),
                    None => {}
                },
                "size" => match value.text().map(size) {
                    Some(Some(n)) => bytes = Some(n),
                    None => {}
                    Some(None) => {
                        self.error(&at, value.pos, "takes a number of bytes, with K, M or G behind it");
                        self.cure("cloud-init's `auto` goes by the memory: give the size itself");
                    }
                },
                "maxsize" => self.warn(&at, key.pos, "no effect: `size` is taken as it is"),
                _ => self.unknown(&at, key),
            }
        }
        self.config.system.swap = bytes.filter(|b| *b > 0).map(|bytes| Swap { path, bytes });
    }

    /// `manage_resolv_conf` and `resolv_conf`: Flatcar's names are resolved by systemd-resolved.
    pub(super) fn resolv_conf(&mut self, root: &Node) {
        let managed = root.get("manage_resolv_conf").and_then(|n| self.bool("manage_resolv_conf", n));
        let Some(node) = root.get("resolv_conf").filter(|n| !n.is_null()) else { return };
        if managed != Some(true) {
            let what = "no effect without `manage_resolv_conf: true`";
            return self.warn("resolv_conf", node.pos, what);
        }
        if !node.is_map() {
            return self.takes("resolv_conf", node, "a mapping");
        }
        let mut resolver = Resolver::default();
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("resolv_conf.{name}");
            let plain = |word: &String| !word.contains(|c: char| c.is_whitespace() || c.is_control());
            let words = match name {
                "nameservers" | "searchdomains" | "domain" => self.words(&at, value, None),
                "options" | "sortlist" => {
                    self.warn(&at, key.pos, "no effect: names are resolved by systemd-resolved");
                    continue;
                }
                _ => {
                    self.unknown(&at, key);
                    continue;
                }
            };
            if !words.iter().all(plain) {
                self.error(&at, value.pos, "a name holds a blank or a control character");
            }
            match name {
                "nameservers" => {
                    if words.iter().any(|w| w.parse::<std::net::IpAddr>().is_err()) {
                        self.error(&at, value.pos, "a name server is an address");
                    }
                    resolver.servers = words;
                }
                "domain" => resolver.domains.splice(..0, words).for_each(drop),
                _ => resolver.domains.extend(words),
            }
        }
        self.config.system.resolver = Some(resolver);
    }

    // Who may log in

    /// Keys for the default user, and for root where `disable_root` says so.
    pub(super) fn ssh_authorized_keys(&mut self, root: &Node) {
        let disable = root.get("disable_root").and_then(|n| self.bool("disable_root", n)).unwrap_or(true);
        let place = "ssh_authorized_keys";
        let Some(node) = root.get(place).filter(|n| !n.is_null()) else { return };
        let keys = self.keys(place, node);
        let names = if disable { vec![DEFAULT_USER] } else { vec![DEFAULT_USER, "root"] };
        for name in names.into_iter().filter(|_| !keys.is_empty()) {
            self.config.users.push(UserSpec {
                place: place.to_owned(),
                name: name.to_owned(),
                existing: true,
                create_home: true,
                ssh_keys: keys.clone(),
                ..UserSpec::default()
            });
        }
    }

    pub(super) fn ssh_pwauth(&mut self, node: &Node) {
        if node.text() != Some("unchanged") {
            self.config.system.password_login = self.bool("ssh_pwauth", node);
        }
    }

    /// `chpasswd` and `password`: hashes only. What was in the user-data in plain text is no secret any more.
    pub(super) fn passwords(&mut self, root: &Node) {
        let chpasswd = root.get("chpasswd").filter(|n| !n.is_null());
        let expire = chpasswd.and_then(|n| n.get("expire"));
        let expire = expire.and_then(|n| self.bool("chpasswd.expire", n)).unwrap_or(true);
        if let Some(node) = root.get("password").filter(|n| !n.is_null()) {
            self.password("password", node.pos, DEFAULT_USER, node.text().unwrap_or_default(), expire);
        }
        let Some(chpasswd) = chpasswd else { return };
        for (key, value) in chpasswd.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("chpasswd.{name}");
            match name {
                "expire" => {}
                "list" => {
                    let lines = match value.text() {
                        Some(text) => text.lines().map(str::to_owned).collect(),
                        None => self.words(&at, value, None),
                    };
                    for (i, line) in lines.iter().filter(|l| !l.trim().is_empty()).enumerate() {
                        let at = format!("{at}[{i}]");
                        match line.split_once(':') {
                            Some((user, hash)) => {
                                self.password(&at, value.pos, user.trim(), hash.trim(), expire)
                            }
                            None => self.error(&at, value.pos, "takes user:hash"),
                        }
                    }
                }
                "users" => {
                    for (i, item) in self.list(&at, value).iter().enumerate() {
                        let at = format!("{at}[{i}]");
                        let text = |key: &str| item.get(key).and_then(Node::text).unwrap_or_default();
                        let hash = if text("type") == "hash" { text("password") } else { "" };
                        self.password(&at, item.pos, text("name"), hash, expire);
                    }
                }
                _ => self.unknown(&at, key),
            }
        }
    }

    fn password(&mut self, at: &str, pos: Pos, user: &str, hash: &str, expire: bool) {
        // The ways to hash that crypt(5) knows begin with `$`.
        if !hash.starts_with('$') || hash.contains(|c: char| c == ':' || c.is_control() || c.is_whitespace())
        {
            self.error(at, pos, "takes a password's hash, not the password, and makes up none");
            return self.cure("make one by `openssl passwd -6`; with `users`, say `type: hash`");
        }
        if user.is_empty() {
            return self.error(at, pos, "names no user");
        }
        self.config.users.push(UserSpec {
            place: at.to_owned(),
            name: user.to_owned(),
            existing: true,
            password_hash: Some(Secret::from(hash)),
            password_expired: expire,
            ..UserSpec::default()
        });
    }

    // The end

    pub(super) fn phone_home(&mut self, node: &Node) {
        if !node.is_map() {
            return self.takes("phone_home", node, "a mapping");
        }
        let (mut url, mut tries) = (None, 10);
        let mut posts: Vec<&'static str> = POSTS.to_vec();
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("phone_home.{name}");
            match name {
                "url" => {
                    let text = self.text(&at, value);
                    let http = |t: &String| t.starts_with("http://") || t.starts_with("https://");
                    match text.filter(|t| http(t) && !t.contains(|c: char| c.is_control() || c == ' ')) {
                        Some(text) => url = Some(Secret::new(text)),
                        None => self.error(&at, value.pos, "takes an http or https URL"),
                    }
                }
                "post" if value.text() == Some("all") => {}
                "post" => {
                    let words = self.words(&at, value, None);
                    if words.iter().any(|w| !POSTS.contains(&w.as_str())) {
                        self.error(&at, value.pos, format!("takes all, or of {}", POSTS.join(", ")));
                    }
                    posts.retain(|p| words.iter().any(|w| w == p));
                }
                "tries" => {
                    match value.int().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=100).contains(n)) {
                        Some(n) => tries = n,
                        None => self.error(&at, value.pos, "takes a number from 1 to 100"),
                    }
                }
                _ => self.unknown(&at, key),
            }
        }
        if url.is_none() && node.get("url").is_none() {
            self.error("phone_home.url", node.pos, "missing: nobody to tell");
        }
        let posts = posts.into_iter().map(str::to_owned).collect();
        self.config.system.phone_home = url.map(|url| PhoneHome { url, posts, tries });
    }

    pub(super) fn power_state(&mut self, node: &Node) {
        if !node.is_map() {
            return self.takes("power_state", node, "a mapping");
        }
        let (mut mode, mut delay, mut message, mut wanted) = (None, "now".to_owned(), None, true);
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("power_state.{name}");
            match name {
                "mode" => {
                    mode = match value.text() {
                        Some("reboot") => Some(PowerMode::Reboot),
                        Some("poweroff") => Some(PowerMode::PowerOff),
                        Some("halt") => Some(PowerMode::Halt),
                        _ => {
                            self.error(&at, value.pos, "takes reboot, poweroff or halt");
                            None
                        }
                    }
                }
                "delay" => match value.text().and_then(shutdown_time) {
                    Some(time) => delay = time,
                    None => {
                        self.error(&at, value.pos, "takes now, minutes such as +30, or a time such as 22:30")
                    }
                },
                "message" => message = self.line(&at, value),
                "condition" => match value.bool() {
                    Some(b) => wanted = b,
                    None => {
                        self.error(&at, value.pos, "takes true or false: commands are not run for it");
                        self.cure("end runcmd with the command and `systemctl reboot`");
                    }
                },
                "timeout" => self.note(&at, key.pos, "no effect: the machine goes when the bootstrap ended"),
                _ => self.unknown(&at, key),
            }
        }
        if node.get("mode").is_none() {
            self.error("power_state.mode", node.pos, "missing: reboot, poweroff or halt");
        }
        let mode = mode.filter(|_| wanted);
        self.config.system.power_state = mode.map(|mode| PowerState { mode, delay, message });
    }

    pub(super) fn final_message(&mut self, node: &Node) {
        self.config.system.final_message = self.text("final_message", node);
    }

    pub(super) fn output(&mut self, node: &Node) {
        self.note("output", node.pos, "no effect: output goes to the journal and to the console");
        self.cure("`journalctl -u kubeadm` shows it");
    }

    pub(super) fn note(&mut self, place: &str, pos: Pos, what: &str) {
        self.problems.push(Problem::note(place, what).at(pos));
    }

    /// Text that stays on one line.
    fn line(&mut self, at: &str, node: &Node) -> Option<String> {
        let text = self.text(at, node)?;
        let text = text.trim_end().to_owned();
        if text.contains(char::is_control) {
            self.error(at, node.pos, "holds a control character");
            return None;
        }
        Some(text)
    }

    /// Public keys: a string, a list, or a mapping's values.
    pub(super) fn keys(&mut self, at: &str, node: &Node) -> Vec<String> {
        let keys = match &node.value {
            Value::Map(entries) => entries.iter().filter_map(|(_, v)| v.text()).map(str::to_owned).collect(),
            _ => self.words(at, node, None),
        };
        let keys: Vec<String> = keys.iter().map(|k| k.trim().to_owned()).filter(|k| !k.is_empty()).collect();
        if keys.iter().any(|key| key.contains(char::is_control)) {
            self.error(at, node.pos, "a key holds a control character");
        }
        keys
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

/// A number of bytes with a unit, powers of 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches(['B', 'b']);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 1,
        "M" | "m" => 2,
        "G" | "g" => 3,
        "T" | "t" => 4,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

/// A time as shutdown(8) takes it. A number alone is minutes in cloud-init.
fn shutdown_time(text: &str) -> Option<String> {
    let text = text.trim();
    if text == "now" {
        return Some(text.to_owned());
    }
    if let Some((hour, minute)) = text.split_once(':') {
        let in_range =
            |part: &str, limit: u32| part.parse::<u32>().is_ok_and(|n| n < limit) && part.len() == 2;
        return (in_range(hour, 24) && in_range(minute, 60)).then(|| text.to_owned());
    }
    let minutes: u32 = text.trim_start_matches('+').parse().ok()?;
    (minutes <= MAX_DELAY).then(|| format!("+{minutes}"))
}
