// SPDX-License-Identifier: Apache-2.0
//! `passwd`: users and groups.

use super::{Reader, flag, text};
use crate::decode::syntax::yaml::Node;
use crate::model::config::{GroupSpec, UserSpec};
use crate::model::secret::Secret;

impl Reader<'_, '_, '_> {
    pub(super) fn passwd(&mut self, passwd: &Node) {
        if let Some(list) = passwd.get("groups") {
            for (place, node) in self.unique("passwd.groups", list, "name") {
                let group = self.group(&place, node);
                match self.config.groups.iter_mut().find(|g| g.name == group.name) {
                    Some(have) => *have = group,
                    None => self.config.groups.push(group),
                }
            }
        }
        if let Some(list) = passwd.get("users") {
            for (place, node) in self.unique("passwd.users", list, "name") {
                let user = self.user(&place, node);
                match self.config.users.iter_mut().find(|u| u.name == user.name) {
                    Some(have) => *have = user,
                    None => self.config.users.push(user),
                }
            }
        }
    }

    fn group(&mut self, place: &str, node: &Node) -> GroupSpec {
        GroupSpec {
            place: place.to_owned(),
            name: self.account(place, node),
            gid: self.number(place, node, "gid"),
            password_hash: self.field(place, node, "passwordHash").map(|h| Secret::from(h.as_str())),
            members: Vec::new(),
            system: flag(node, "system"),
            absent: !node.get("shouldExist").and_then(Node::bool).unwrap_or(true),
        }
    }

    fn user(&mut self, place: &str, node: &Node) -> UserSpec {
        // 2.0 has the properties of a new account in `create`; later versions still accept them there.
        let create = node.get("create").filter(|c| !super::is_empty(c));
        let within = format!("{place}.create");
        let (made_at, made) = create.map_or((place, node), |c| (within.as_str(), c));
        let keys = node.get("sshAuthorizedKeys").and_then(Node::list).unwrap_or_default();
        self.once(&format!("{place}.sshAuthorizedKeys"), keys);
        for (i, key) in keys.iter().enumerate() {
            let text = key.text().unwrap_or_default();
            if text.trim().contains(|c: char| c.is_control() && c != '\n') {
                let at = format!("{place}.sshAuthorizedKeys[{i}]");
                self.error(&at, key.pos, "the key holds a control character");
            }
        }
        let groups = made.get("groups").and_then(Node::list).unwrap_or_default();
        self.once(&format!("{made_at}.groups"), groups);
        for (i, group) in groups.iter().enumerate() {
            if !is_account(group.text().unwrap_or_default()) {
                self.error(&format!("{made_at}.groups[{i}]"), group.pos, "not a valid name of a group");
            }
        }
        let hash = self.field(place, node, "passwordHash");
        let home = self.field(made_at, made, "homeDir");
        if let (Some(Err(what)), Some(at)) =
            (home.as_deref().map(crate::decode::cloud_config::check_path), made.get("homeDir"))
        {
            self.error(&format!("{made_at}.homeDir"), at.pos, what);
        }
        UserSpec {
            place: place.to_owned(),
            name: self.account(place, node),
            uid: self.number(made_at, made, "uid"),
            password_hash: match node.get("passwordHash").and_then(Node::text) {
                // Ignition removes the password then.
                Some("") => Some(Secret::from("*")),
                _ => hash.map(|h| Secret::from(h.as_str())),
            },
            gecos: self.field(made_at, made, "gecos"),
            home: home.filter(|h| h.starts_with('/')),
            shell: self.field(made_at, made, "shell"),
            primary_group: self.field(made_at, made, "primaryGroup"),
            groups: groups.iter().filter_map(Node::text).map(str::to_owned).collect(),
            lock_password: false,
            inactive: None,
            expires: None,
            system: flag(made, "system"),
            create_home: !flag(made, "noCreateHome"),
            no_user_group: flag(made, "noUserGroup"),
            // Ignition of 2.0 with `create` changes no existing account; later versions do.
            modify: true,
            existing: false,
            password_expired: false,
            absent: !node.get("shouldExist").and_then(Node::bool).unwrap_or(true),
            sudo: Vec::new(),
            // A string may hold several keys, one a line: Ignition writes it as it is.
            ssh_keys: keys
                .iter()
                .filter_map(Node::text)
                .flat_map(str::lines)
                .map(|k| k.trim().to_owned())
                .filter(|k| !k.is_empty())
                .collect(),
        }
    }

    fn account(&mut self, place: &str, node: &Node) -> String {
        let name = text(node, "name").unwrap_or_default();
        if !is_account(name) {
            let pos = node.get("name").map_or(node.pos, |n| n.pos);
            self.error(&format!("{place}.name"), pos, "not a valid name of an account")
                .cure("use at most 32 letters, digits, `_`, `-` and `.`; the first is not `-` or `.`");
        }
        name.to_owned()
    }

    /// A field of an account file, which can hold neither a colon nor a control character.
    fn field(&mut self, place: &str, node: &Node, key: &str) -> Option<String> {
        let value = text(node, key)?;
        if value.contains(|c: char| c.is_control() || c == ':') {
            let pos = node.get(key).map_or(node.pos, |n| n.pos);
            self.error(&format!("{place}.{key}"), pos, "holds a colon or a control character");
            return None;
        }
        Some(value.to_owned())
    }

    fn number(&mut self, place: &str, node: &Node, key: &str) -> Option<u32> {
        let value = node.get(key)?;
        // The highest number means "no change" to chown(2).
        match value.int().map(u32::try_from) {
            Some(Ok(number)) if number < u32::MAX => Some(number),
            _ => {
                self.error(&format!("{place}.{key}"), value.pos, "not a valid number of a user or group");
                None
            }
        }
    }
}

/// shadow-utils' rule for names, with the capitals and dots that `--badname` allows and directory services use.
fn is_account(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
