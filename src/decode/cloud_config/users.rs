// SPDX-License-Identifier: Apache-2.0
//! `users`, `user` and `groups`.

use super::{DEFAULT_USER, Field, Reader};
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::config::{GroupSpec, Inactive, UserSpec};
use crate::model::problem::Pos;
use crate::model::secret::Secret;
use crate::model::time::Time;

/// The name that stands for the default user.
const DEFAULT: &str = "default";

/// The groups of a default user that the data names, as Flatcar's own user has them.
const DEFAULT_GROUPS: &[&str] = &["sudo", "systemd-journal", "wheel"];

/// Its rule for sudo.
const DEFAULT_SUDO: &str = "ALL=(ALL) NOPASSWD:ALL";

/// Users whom every Flatcar has.
const IMAGES_USERS: &[&str] = &["core", "nobody", "root"];

/// An entry of `users`, before entries of one name are merged.
struct Entry<'a> {
    place: String,
    pos: Pos,
    name: String,
    fields: Vec<(&'a Node, &'a Node)>,
}

impl<'a> Entry<'a> {
    fn new(place: impl Into<String>, node: &'a Node, name: impl Into<String>) -> Self {
        Self { place: place.into(), pos: node.pos, name: name.into(), fields: node.entries().collect() }
    }

    fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(k, _)| k.text().is_some_and(|k| k.replace('-', "_") == key))
    }
}

impl Reader<'_> {
    /// `users`, and `user`, which gives the default user another name or other fields.
    pub(super) fn users(&mut self, root: &Node) {
        let mut entries = Vec::new();
        if let Some(node) = self.given(root, "user") {
            let name = if node.is_map() { node.get("name") } else { Some(node) };
            if let Some(name) = name.filter(|n| !n.is_null()).and_then(|n| self.login("user", n)) {
                self.config.system.default_user = Some(name.clone()).filter(|n| n != DEFAULT_USER);
                self.default_user = name;
            }
            entries.push(Entry::new("user", node, DEFAULT));
        }
        if let Some(node) = self.given(root, "users") {
            self.user_entries(node, &mut entries);
        }
        for entry in &mut entries {
            if entry.name == DEFAULT {
                entry.name.clone_from(&self.default_user);
            }
        }
        for entry in self.merged(entries) {
            // Without any field the image's own user is as it should be.
            if entry.name == DEFAULT_USER && entry.fields.is_empty() {
                continue;
            }
            let mut user = self.user(&entry);
            if entry.name == self.default_user && entry.name != DEFAULT_USER {
                // What it does not say is as with the image's own user.
                if !entry.has("groups") {
                    user.groups = DEFAULT_GROUPS.iter().map(|g| (*g).to_owned()).collect();
                }
                if !entry.has("sudo") {
                    user.sudo = vec![DEFAULT_SUDO.to_owned()];
                }
            }
            self.config.users.push(user);
        }
    }

    /// The entries of `users`: a list of names, mappings and lists of names; a mapping of names to fields or booleans;
    /// or names in one string.
    fn user_entries<'n>(&mut self, node: &'n Node, entries: &mut Vec<Entry<'n>>) {
        match &node.value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    let place = format!("users[{i}]");
                    if !item.is_map() {
                        self.user_names(&place, item, entries);
                        continue;
                    }
                    let at = format!("{place}.name");
                    match item.get("name").filter(|n| !n.is_null()) {
                        Some(name) => {
                            entries.extend(self.login(&at, name).map(|name| Entry::new(place, item, name)))
                        }
                        None => {
                            // snapd makes that user by the name of the account.
                            if !item.entries().all(|(key, _)| key.text() == Some("snapuser")) {
                                self.error(&at, item.pos, "missing: a user needs a name");
                                self.cure(format!("`name: {DEFAULT}` is Flatcar's own user, {DEFAULT_USER}"));
                            }
                            // What else is wrong with it.
                            self.user(&Entry::new(place, item, ""));
                        }
                    }
                }
            }
            Value::Map(_) => {
                for (name, value) in node.entries() {
                    let place = format!("users.{}", name.text().unwrap_or_default());
                    match value.bool() {
                        Some(false) => {}
                        None if !value.is_map() => self.takes(&place, value, "true, false or a mapping"),
                        _ => entries
                            .extend(self.login(&place, name).map(|name| Entry::new(place, value, name))),
                    }
                }
            }
            Value::Scalar(_) => self.user_names("users", node, entries),
        }
    }

    /// Names of users, in one string or in a list; each may be several with commas between them.
    fn user_names<'n>(&mut self, place: &str, node: &'n Node, entries: &mut Vec<Entry<'n>>) {
        let mut names = Vec::new();
        match &node.value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    let at = format!("{place}[{i}]");
                    match item.scalar() {
                        Some(_) => names.extend(self.words(&at, item, Some(','))),
                        None => self.takes(&at, item, "a user's name"),
                    }
                }
            }
            _ => names = self.words(place, node, Some(',')),
        }
        for name in names {
            if self.account(place, node.pos, &name) {
                let place = place.to_owned();
                entries.push(Entry { place, pos: node.pos, name, fields: Vec::new() });
            }
        }
    }

    /// Entries of one name become one; the first value of a field wins, as in cloud-init.
    fn merged<'n>(&mut self, entries: Vec<Entry<'n>>) -> Vec<Entry<'n>> {
        let mut merged: Vec<Entry<'n>> = Vec::new();
        for entry in entries {
            let Some(first) = merged.iter_mut().find(|e| e.name == entry.name) else {
                merged.push(entry);
                continue;
            };
            let both = !first.fields.is_empty() && !entry.fields.is_empty();
            for (key, value) in entry.fields {
                if !key.text().is_some_and(|k| first.has(&k.replace('-', "_"))) {
                    first.fields.push((key, value));
                }
            }
            if both {
                let into = first.place.clone();
                let what = format!("a second entry for this user: its fields are merged into {into}");
                self.warn(&entry.place, entry.pos, what);
            }
        }
        merged
    }

    fn user(&mut self, entry: &Entry<'_>) -> UserSpec {
        let mut user = UserSpec {
            place: entry.place.clone(),
            name: entry.name.clone(),
            lock_password: true,
            create_home: true,
            ..UserSpec::default()
        };
        for (key, value) in &entry.fields {
            // cloud-init takes `lock-passwd` and `lock_passwd` alike.
            let name = key.text().unwrap_or_default().replace('-', "_");
            let field = Field { at: format!("{}.{name}", entry.place), name, key, value };
            if !self.account_field(&field, &mut user) {
                self.login_field(&field, &mut user);
            }
        }
        // cloud-init asks useradd for none then; Ignition does.
        user.create_home &= !user.system;
        user
    }

    /// Reads a field of a user's account; `false` where the key belongs elsewhere.
    fn account_field(&mut self, field: &Field<'_>, user: &mut UserSpec) -> bool {
        let Field { name, at, value, .. } = field;
        match name.as_str() {
            "name" => {}
            "gecos" => user.gecos = self.word(at, value),
            "homedir" => {
                let path = self.word(at, value);
                user.home = path.and_then(|_| self.path(at, value));
            }
            "shell" => user.shell = self.word(at, value),
            "primary_group" => {
                let name = self.word(at, value);
                user.primary_group = name.filter(|name| self.group_name(at, value.pos, name));
            }
            "groups" => user.groups = self.group_names(at, value),
            "uid" => match self.text(at, value).map(|t| t.trim().parse::<u32>()) {
                Some(Ok(uid)) => user.uid = Some(uid),
                Some(Err(_)) => {
                    self.error(at, value.pos, "is not a user number");
                    self.cure("write a number such as 1000, or leave the key out");
                }
                None => {}
            },
            "inactive" => user.inactive = self.inactive(at, value),
            "expiredate" => user.expires = self.date(at, value),
            "system" => user.system = self.bool(at, value).unwrap_or(false),
            "no_create_home" => user.create_home = !self.bool(at, value).unwrap_or(false),
            "no_user_group" => user.no_user_group = self.bool(at, value).unwrap_or(false),
            "create_groups" if self.bool(at, value) == Some(false) => self.no_effect(
                field,
                "groups that are missing are always made",
                "name only groups that the node has",
            ),
            "create_groups" => {}
            "no_log_init" => {
                self.bool(at, value);
            }
            "selinux_user" if !value.is_null() => self.no_effect(
                field,
                "Flatcar's SELinux policy maps no users",
                "remove it, or bake a policy of your own into the image",
            ),
            "snapuser" if !value.is_null() => {
                self.no_effect(
                    field,
                    "snapd makes this user, and Flatcar has none",
                    "write a user with `name` and `ssh_authorized_keys`",
                );
            }
            "selinux_user" | "snapuser" => {}
            _ => return false,
        }
        true
    }

    /// A field that says how a user logs in and what it may do then.
    fn login_field(&mut self, field: &Field<'_>, user: &mut UserSpec) {
        let Field { name, at, value, .. } = field;
        match name.as_str() {
            "passwd" | "hashed_passwd" => {
                let hash = self.word(at, value).map(Secret::new);
                if value.text() == Some("") {
                    self.no_effect(field, "an empty password is not set", "give its hash, or leave it out");
                }
                // useradd gets the one, and then the other one is set.
                let own = std::mem::take(&mut user.password_hash);
                user.password_hash = if name == "passwd" { own.or(hash) } else { hash.or(own) };
            }
            // Null is no, as Python has it.
            "lock_passwd" | "lock_password" => {
                user.lock_password = !value.is_null() && self.bool(at, value).unwrap_or(true);
            }
            "plain_text_passwd" if !value.is_null() => {
                self.error(at, value.pos, "a password in plain text is not taken");
                self.cure("give its hash as `passwd`: `openssl passwd -6`");
            }
            "sudo" if value.bool() == Some(false) || value.is_null() => {}
            "sudo" if value.bool() == Some(true) => {
                self.takes(at, value, "a rule, such as ALL=(ALL) NOPASSWD:ALL");
            }
            "sudo" => {
                user.sudo = self.words(at, value, None);
                let odd = |c: char| c.is_control() && !"\n\t".contains(c);
                if user.sudo.iter().any(|rule| rule.contains(odd)) {
                    self.error(at, value.pos, "a rule contains a control character");
                }
            }
            "doas" if !value.is_null() => {
                self.no_effect(field, "Flatcar has no doas", "give the rules as `sudo`");
            }
            "ssh_authorized_keys" if value.is_null() => {}
            "ssh_authorized_keys" => user.ssh_keys = self.keys(at, value),
            // `None` is how cloud-init's documentation says that there is nothing to import.
            "ssh_import_id" if value.is_null() || value.text() == Some("None") => {}
            "ssh_import_id" => self.no_effect(
                field,
                "keys are not fetched from Launchpad or GitHub",
                "list the public keys themselves as `ssh_authorized_keys`",
            ),
            "ssh_redirect_user" if value.is_null() || value.bool() == Some(false) => {}
            "ssh_redirect_user" => self.no_effect(
                field,
                "the platform's keys are not given to this user",
                "leave it out: without keys the user cannot log in by SSH",
            ),
            "plain_text_passwd" | "doas" => {}
            _ => self.unknown(at, field.key),
        }
    }

    fn inactive(&mut self, at: &str, node: &Node) -> Option<Inactive> {
        match node.text().map(str::trim) {
            // useradd's word for never.
            Some("-1" | "") => return None,
            Some(text) if text.parse::<u32>().is_ok() => {
                return text.parse().ok().map(Inactive::DaysAfterExpiry);
            }
            _ => {}
        }
        match self.bool(at, node) {
            Some(true) => Some(Inactive::Now),
            _ => None,
        }
    }

    /// A day, as `2031-09-01` or as its number counted from 1 January 1970: what `useradd --expiredate` takes.
    fn date(&mut self, at: &str, node: &Node) -> Option<u32> {
        let text = self.text(at, node)?;
        let days = match text.trim() {
            "-1" => return None,
            text => text.parse().ok().or_else(|| {
                // A month or a day of one digit is good too.
                let mut parts = text.splitn(3, ['-', '/']).map(|part| part.parse::<u16>().ok());
                let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
                let day =
                    Time::parse(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z"))?.days_since(Time(0));
                u32::try_from(day).ok()
            }),
        };
        if days.is_none() {
            self.error(at, node.pos, "is not a date such as 2031-09-01");
        }
        days
    }

    /// `groups`: names, or names with their members, who may be users of this config too.
    pub(super) fn groups(&mut self, root: &Node) {
        let Some(node) = self.given(root, "groups") else { return };
        let mut groups: Vec<(String, &Node, Option<&Node>)> = Vec::new();
        let at = |i: usize| format!("groups[{i}]");
        match &node.value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    match item.is_map() {
                        true => {
                            groups.extend(item.entries().map(|(name, members)| (at(i), name, Some(members))))
                        }
                        false => groups.push((at(i), item, None)),
                    }
                }
            }
            Value::Map(_) => {
                groups
                    .extend(node.entries().map(|(name, members)| ("groups".to_owned(), name, Some(members))));
            }
            Value::Scalar(_) => {
                for (i, name) in self.words("groups", node, Some(',')).into_iter().enumerate() {
                    self.group(&at(i), node.pos, &name);
                }
            }
        }
        for (place, name, members) in groups {
            let Some(group) = self.text(&place, name) else { continue };
            self.group(&place, name.pos, &group);
            let at = format!("{place}.{group}");
            for member in members.map(|m| self.words(&at, m, Some(','))).unwrap_or_default() {
                self.member(&at, name.pos, &group, member);
            }
        }
    }

    /// A member of a group: a user of this config, or one whom the machine may have.
    fn member(&mut self, at: &str, pos: Pos, group: &str, member: String) {
        if !self.account(at, pos, &member) {
            return;
        }
        let made = |u: &&mut UserSpec| u.name == member && !u.existing;
        if let Some(user) = self.config.users.iter_mut().find(made) {
            if !user.groups.iter().any(|g| g == group) {
                user.groups.push(group.to_owned());
            }
            return;
        }
        if !IMAGES_USERS.contains(&member.as_str()) {
            let what = format!("`{member}` is not among `users`: a node without this user leaves it out");
            self.warn(at, pos, what);
        }
        if let Some(group) = self.config.groups.iter_mut().find(|g| g.name == group) {
            group.members.push(member);
        }
    }

    fn group(&mut self, place: &str, pos: Pos, name: &str) {
        if self.group_name(place, pos, name) && self.config.groups.iter().all(|g| g.name != name) {
            let spec = GroupSpec { place: place.to_owned(), name: name.to_owned(), ..GroupSpec::default() };
            self.config.groups.push(spec);
        }
    }

    fn group_names(&mut self, at: &str, node: &Node) -> Vec<String> {
        let names = self.words(at, node, Some(','));
        names.into_iter().filter(|name| self.group_name(at, node.pos, name)).collect()
    }

    /// Whether this can be a group's name. Digits alone cannot: useradd takes them for the number of a group, which may
    /// be another one's, `0` root's.
    fn group_name(&mut self, at: &str, pos: Pos, name: &str) -> bool {
        if !self.account(at, pos, name) {
            return false;
        }
        let digits = name.bytes().all(|b| b.is_ascii_digit());
        if digits {
            self.error(
                at,
                pos,
                format!("`{name}`: a group's name of digits only would be taken for a group's number"),
            );
            self.cure("name the group with at least one letter");
        }
        !digits
    }

    fn login(&mut self, at: &str, node: &Node) -> Option<String> {
        let name = self.word(at, node)?;
        self.account(at, node.pos, &name).then_some(name)
    }

    /// Whether this can be the name of a user or a group.
    fn account(&mut self, at: &str, pos: Pos, name: &str) -> bool {
        // shadow-utils' rule, with the capitals and dots that its --badname allows and directories bring.
        let ok = (1..=32).contains(&name.len())
            && !name.starts_with(['-', '.'])
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if !ok {
            self.error(at, pos, "is not a valid name for a user or a group");
            self.cure("use letters, digits, `_`, `-` and `.`, at most 32");
        }
        ok
    }
}
