// SPDX-License-Identifier: Apache-2.0
//! Who may log in: `ssh_authorized_keys`, `ssh_pwauth`, `ssh_keys`, `password`, `chpasswd`.

use super::{Field, Reader};
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::config::UserSpec;
use crate::model::problem::Pos;
use crate::model::secret::Secret;
use crate::model::storage::{Existing, File, Owner};

impl Reader<'_> {
    /// Keys for the default user, and for root where `disable_root` is false.
    pub(super) fn ssh_authorized_keys(&mut self, root: &Node) {
        let disable = self.flag(root, "disable_root").unwrap_or(true);
        let place = "ssh_authorized_keys";
        let Some(node) = self.given(root, place) else { return };
        let keys = self.keys(place, node);
        let default = self.default_user.clone();
        let names = if disable { vec![default] } else { vec![default, "root".to_owned()] };
        for name in names.into_iter().filter(|_| !keys.is_empty()) {
            self.config.users.push(UserSpec {
                place: place.to_owned(),
                name,
                existing: true,
                create_home: true,
                ssh_keys: keys.clone(),
                ..UserSpec::default()
            });
        }
    }

    /// `allow_public_ssh_keys`: whether the platform's own keys may log in.
    pub(super) fn platform_keys(&mut self, node: &Node) {
        self.config.system.without_platform_keys = self.bool("allow_public_ssh_keys", node) == Some(false);
    }

    /// Public keys: a string, a list, or a mapping's values.
    pub(super) fn keys(&mut self, at: &str, node: &Node) -> Vec<String> {
        let keys = match &node.value {
            Value::Map(entries) => entries.iter().filter_map(|(_, v)| v.text()).map(str::to_owned).collect(),
            _ => self.words(at, node, None),
        };
        // A text of several lines has a key on each.
        let lines = keys.iter().flat_map(|keys| keys.lines()).map(str::trim);
        let keys: Vec<String> = lines.filter(|k| !k.is_empty()).map(str::to_owned).collect();
        if keys.iter().any(|key| key.contains(char::is_control)) {
            self.error(at, node.pos, "a key contains a control character");
        }
        keys
    }

    pub(super) fn ssh_pwauth(&mut self, node: &Node) {
        if !node.text().is_some_and(|t| t.is_empty() || t.eq_ignore_ascii_case("unchanged")) {
            self.config.system.password_login = self.bool("ssh_pwauth", node);
        }
    }

    /// `ssh`: what of the host keys is printed to the console, which here is nothing.
    pub(super) fn ssh(&mut self, node: &Node) {
        for field in self.fields("ssh", node) {
            match field.name.as_str() {
                "emit_keys_to_console" if self.bool(&field.at, field.value) == Some(true) => self.no_effect(
                    &field,
                    "footplate prints no host keys",
                    "end runcmd with `cat /etc/ssh/ssh_host_*_key.pub`",
                ),
                "emit_keys_to_console" => {}
                _ => self.unknown(&field.at, field.key),
            }
        }
    }

    /// `ssh_keys`: the machine's own keys, `ed25519_private`, `ed25519_public` and so on.
    pub(super) fn host_keys(&mut self, node: &Node) {
        for field in self.fields("ssh_keys", node) {
            let Field { name, at, value, .. } = &field;
            let (kind, part) = name.rsplit_once('_').unwrap_or((name, ""));
            let (suffix, mode) = match (kind, part) {
                ("rsa" | "ecdsa" | "ed25519", "private") => ("", 0o600),
                ("rsa" | "ecdsa" | "ed25519", "public") => (".pub", 0o644),
                ("rsa" | "ecdsa" | "ed25519", "certificate") => {
                    self.no_effect(
                        &field,
                        "certificates of host keys are not set up",
                        "write it with write_files, and HostCertificate to /etc/ssh/sshd_config.d",
                    );
                    continue;
                }
                ("dsa", _) => {
                    self.no_effect(&field, "OpenSSH takes no DSA keys any more", "give an ed25519 key");
                    continue;
                }
                _ => {
                    self.unknown(at, field.key);
                    continue;
                }
            };
            let Some(text) = self.text(at, value) else { continue };
            self.config.files.push(File {
                place: at.clone(),
                path: format!("/etc/ssh/ssh_host_{kind}_key{suffix}"),
                content: Secret::new(format!("{}\n", text.trim_end())),
                owner: Owner::root(),
                mode,
                append: false,
                existing: Existing::Written,
                restart: None,
            });
        }
    }

    /// `chpasswd` and `password`: hashes only. A password in plain text in the user-data is no longer a secret.
    pub(super) fn passwords(&mut self, root: &Node) {
        let chpasswd = self.given(root, "chpasswd");
        let expire = chpasswd.and_then(|n| n.get("expire"));
        let expire = expire.and_then(|n| self.bool("chpasswd.expire", n)).unwrap_or(true);
        let is_empty = |n: &Node| n.list().map_or(n.text().is_none_or(str::is_empty), <[Node]>::is_empty);
        let named = |key: &str| chpasswd.and_then(|n| n.get(key)).is_some_and(|n| !is_empty(n));
        match self.given(root, "password") {
            Some(node) if named("list") || named("users") => {
                self.warn("password", node.pos, "no effect: `chpasswd` says whose passwords are set");
                self.cure("name the default user there too");
            }
            Some(node) => {
                let user = self.default_user.clone();
                self.password("password", node.pos, &user, node.text().unwrap_or_default(), expire);
            }
            None => {}
        }
        let Some(chpasswd) = chpasswd else { return };
        for Field { name, at, key, value } in self.fields("chpasswd", chpasswd) {
            match name.as_str() {
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
                            None => self.error(&at, value.pos, "must be user:hash"),
                        }
                    }
                }
                "users" => {
                    for (i, item) in self.list(&at, value).iter().enumerate() {
                        self.password_of_user(&format!("{at}[{i}]"), item, expire);
                    }
                }
                _ => self.unknown(&at, key),
            }
        }
    }

    /// An item of `chpasswd.users`. Without a type the password is a hash, as in later versions of cloud-init.
    fn password_of_user(&mut self, place: &str, item: &Node, expire: bool) {
        let (mut user, mut hash, mut kind) = (String::new(), String::new(), String::new());
        for Field { name, at, key, value } in self.fields(place, item) {
            match name.as_str() {
                "name" => user = self.text(&at, value).unwrap_or_default(),
                "password" => hash = self.text(&at, value).unwrap_or_default(),
                "type" => kind = self.text(&at, value).unwrap_or_default(),
                _ => self.unknown(&at, key),
            }
        }
        if item.is_map() {
            let hash = if matches!(kind.as_str(), "" | "hash") { &hash } else { "" };
            self.password(place, item.pos, &user, hash, expire);
        }
    }

    fn password(&mut self, at: &str, pos: Pos, user: &str, hash: &str, expire: bool) {
        // The hashes that crypt(5) knows begin with `$`.
        if !hash.starts_with('$') || hash.contains(|c: char| c == ':' || c.is_control() || c.is_whitespace())
        {
            self.error(at, pos, "must be a password's hash: plain text is not taken, and none is made up");
            return self.cure("make one by `openssl passwd -6`; with `users`, say `type: hash`");
        }
        if user.is_empty() {
            return self.error(at, pos, "no user is named");
        }
        let set = |spec: UserSpec| UserSpec {
            password_hash: Some(Secret::from(hash)),
            password_expired: expire,
            // As chpasswd does: it replaces the lock too.
            lock_password: false,
            ..spec
        };
        // A user that the data makes gets the password with its account, so that a second run finds it as it should be.
        if let Some(spec) = self.config.users.iter_mut().find(|u| u.name == user) {
            *spec = set(std::mem::take(spec));
            return;
        }
        let (place, name) = (at.to_owned(), user.to_owned());
        self.config.users.push(set(UserSpec { place, name, existing: true, ..UserSpec::default() }));
    }
}
