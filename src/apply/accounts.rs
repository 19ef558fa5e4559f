// SPDX-License-Identifier: Apache-2.0
//! Users and groups, by the root's own `passwd`, `group` and `shadow` files.
//!
//! The files are edited here and not by `useradd`: that takes password hashes on its command line, where every process
//! can read them, it can't serve another root without privilege, and it makes a user in several steps that a power cut
//! can come between. The lock is the one that shadow-utils takes ([lckpwdf(3)](https://man7.org/linux/man-pages/man3/lckpwdf.3.html)).

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};

use crate::io::root::{Change, Ids, Root};
use crate::model::config::{GroupSpec, Inactive, UserSpec};
use crate::model::storage::Owner;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";

/// Where Flatcar keeps the accounts of its read-only part; its NSS module `usrfiles` looks there after `/etc`.
const VENDOR_PASSWD: &str = "/usr/share/baselayout/passwd";
const VENDOR_GROUP: &str = "/usr/share/baselayout/group";

/// Most that an account file holds.
const MAX_FILE: usize = 4 << 20;

/// Numbers for people and for system accounts, as login.defs has them on Flatcar.
const NUMBERS: std::ops::RangeInclusive<u32> = 1000..=60000;
const SYSTEM_NUMBERS: std::ops::RangeInclusive<u32> = 201..=999;

/// The group of users without a group of their own, as useradd has it.
const USERS: u32 = 100;

/// The accounts of a root: lines of fields.
pub struct Accounts {
    passwd: Table,
    group: Table,
    shadow: Table,
    vendor_passwd: Table,
    vendor_group: Table,
}

/// A file of lines whose fields are divided by colons.
struct Table {
    lines: Vec<Vec<String>>,
    mode: u32,
    ids: Ids,
}

impl Table {
    fn read(root: &Root, path: &str, mode: u32) -> Result<Self> {
        let bytes = root.read(path, MAX_FILE)?.unwrap_or_default();
        let text = String::from_utf8(bytes).with_context(|| format!("{path}: not UTF-8 text"))?;
        let lines = text.lines().map(|l| l.split(':').map(str::to_owned).collect()).collect();
        let meta = root.meta(path)?;
        let ids =
            meta.map_or(Ids { uid: Some(0), gid: Some(0) }, |m| Ids { uid: Some(m.uid), gid: Some(m.gid) });
        Ok(Self { lines, mode: meta.map_or(mode, |m| m.mode), ids })
    }

    fn find(&self, name: &str) -> Option<&Vec<String>> {
        self.lines.iter().find(|l| l.len() > 1 && l[0] == name)
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.lines.iter_mut().find(|l| l.len() > 1 && l[0] == name)
    }

    /// The third field as a number: uid in passwd, gid in group.
    fn number(&self, name: &str) -> Option<u32> {
        self.find(name)?.get(2)?.parse().ok()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().filter_map(|l| l.get(2)?.parse().ok())
    }

    fn write(&self, root: &Root, path: &str) -> Result<Change> {
        if self.lines.is_empty() {
            return Ok(Change::Unchanged);
        }
        let text: String = self.lines.iter().map(|l| l.join(":") + "\n").collect();
        root.put(path, text.as_bytes(), self.mode, self.ids)
    }
}

impl Accounts {
    /// Reads a root's accounts.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn read(root: &Root) -> Result<Self> {
        Ok(Self {
            passwd: Table::read(root, PASSWD, 0o644)?,
            group: Table::read(root, GROUP, 0o644)?,
            shadow: Table::read(root, SHADOW, 0o640)?,
            vendor_passwd: Table::read(root, VENDOR_PASSWD, 0o644)?,
            vendor_group: Table::read(root, VENDOR_GROUP, 0o644)?,
        })
    }

    /// The numbers behind an owner's names.
    ///
    /// # Errors
    /// A name is not there.
    pub fn ids(&self, owner: &Owner) -> Result<Ids> {
        Ok(Ids {
            uid: owner
                .user
                .as_deref()
                .map(|n| self.uid(n).with_context(|| format!("no user {n:?}")))
                .transpose()?,
            gid: owner
                .group
                .as_deref()
                .map(|n| self.gid(n).with_context(|| format!("no group {n:?}")))
                .transpose()?,
        })
    }

    fn uid(&self, name: &str) -> Option<u32> {
        let known = || self.passwd.number(name).or_else(|| self.vendor_passwd.number(name));
        known().or_else(|| name.parse().ok()).or((name == "root").then_some(0))
    }

    pub(super) fn gid(&self, name: &str) -> Option<u32> {
        let known = || self.group.number(name).or_else(|| self.vendor_group.number(name));
        known().or_else(|| name.parse().ok()).or((name == "root").then_some(0))
    }

    /// A digest of all tables, to see whether anything changed.
    pub fn fingerprint(&self) -> [u8; 32] {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        for table in [&self.passwd, &self.group, &self.shadow] {
            for line in &table.lines {
                hash.update(line.join(":"));
                hash.update("\n");
            }
        }
        hash.finalize().into()
    }

    /// The number of a user's primary group, if the user is there.
    pub fn primary_group(&self, name: &str) -> Option<u32> {
        self.passwd.find(name)?.get(3)?.parse().ok()
    }

    /// A user's home, if the user is there.
    pub fn home(&self, name: &str) -> Option<String> {
        self.passwd.find(name).or_else(|| self.vendor_passwd.find(name))?.get(5).cloned()
    }

    /// Makes a user as it shall be, in memory. An existing user keeps its number, its home and its shell.
    ///
    /// # Errors
    /// Numbers are used up or taken, or a number of the data is another user's.
    pub fn put(&mut self, user: &UserSpec) -> Result<()> {
        let name = &user.name;
        if user.absent {
            self.remove(name);
            return Ok(());
        }
        if user.existing {
            if self.home(name).is_none() {
                bail!("{}: no user {name:?}", user.place);
            }
            if user.password_hash.is_some() {
                self.put_shadow(user);
            }
            return self.join(user);
        }
        if self.passwd.find(name).is_none() {
            match self.vendor_passwd.find(name).cloned() {
                // What /usr brings can only be changed by a line of its own in /etc.
                Some(line) => self.passwd.lines.push(line),
                None => self.add(user)?,
            }
        } else if user.modify {
            self.modify(user)?;
        }
        self.join(user)?;
        self.put_shadow(user);
        Ok(())
    }

    /// Makes a user a member of its further groups.
    fn join(&mut self, user: &UserSpec) -> Result<()> {
        let name = &user.name;
        for group in &user.groups {
            self.put_group(group, user.system)?;
            if let Some(line) = self.group.find_mut(group) {
                line.resize(4, String::new());
                let members: BTreeSet<&str> = line[3].split(',').filter(|m| !m.is_empty()).collect();
                if !members.contains(name.as_str()) {
                    line[3] = [line[3].as_str(), name].join(if line[3].is_empty() { "" } else { "," });
                }
            }
        }
        Ok(())
    }

    /// Makes a group as it shall be, in memory. An existing group keeps its number, as with `groupadd`.
    ///
    /// # Errors
    /// Numbers are used up, or a number of the data is another group's.
    pub fn put_spec(&mut self, group: &GroupSpec) -> Result<()> {
        let name = &group.name;
        if group.absent {
            self.group.lines.retain(|l| l[0] != *name);
            return Ok(());
        }
        if let (Some(gid), None) = (group.gid, self.group.find(name)) {
            if let Some(other) = self.group.lines.iter().find(|l| l.get(2) == Some(&gid.to_string())) {
                bail!("{}.gid: {gid} is the group {}'s", group.place, other[0]);
            }
            self.group.lines.push(vec![name.clone(), "x".to_owned(), gid.to_string(), String::new()]);
        }
        self.put_group(name, group.system)?;
        if let (Some(hash), Some(line)) = (&group.password_hash, self.group.find_mut(name)) {
            line[1] = String::from_utf8_lossy(hash.expose()).into_owned();
        }
        Ok(())
    }

    /// Takes a user out of all tables, and the group of its name where nobody else is in it, as `userdel` does.
    fn remove(&mut self, name: &str) {
        let own = self.primary_group(name).map(|gid| gid.to_string());
        self.passwd.lines.retain(|l| l[0] != name);
        self.shadow.lines.retain(|l| l[0] != name);
        for line in self.group.lines.iter_mut().filter(|l| l.len() > 3) {
            let members: Vec<&str> = line[3].split(',').filter(|m| *m != name && !m.is_empty()).collect();
            line[3] = members.join(",");
        }
        let others = self.passwd.lines.iter().any(|l| l.get(3) == own.as_ref());
        let empty = |l: &Vec<String>| l.get(3).is_none_or(String::is_empty);
        self.group.lines.retain(|l| l[0] != name || l.get(2) != own.as_ref() || others || !empty(l));
    }

    /// Sets what the data says of an account that is there, as `usermod` does; the home's contents stay where they are.
    fn modify(&mut self, user: &UserSpec) -> Result<()> {
        let uid = user.uid.map(|uid| self.free_uid(user, uid)).transpose()?.map(|uid| uid.to_string());
        let group = user.primary_group.as_deref().map(|g| self.put_group(g, user.system)).transpose()?;
        let Some(line) = self.passwd.find_mut(&user.name) else { return Ok(()) };
        line.resize(7, String::new());
        let fields = [
            (2, uid),
            (3, group.map(|g| g.to_string())),
            (4, user.gecos.clone()),
            (5, user.home.clone()),
            (6, user.shell.clone()),
        ];
        for (i, value) in fields {
            if let Some(value) = value {
                line[i] = value;
            }
        }
        Ok(())
    }

    /// A number that the data gives a user, unless it is another's.
    fn free_uid(&self, user: &UserSpec, uid: u32) -> Result<u32> {
        let number = uid.to_string();
        let mut others = self.passwd.lines.iter().chain(&self.vendor_passwd.lines);
        match others.find(|l| l.get(2) == Some(&number) && l[0] != user.name) {
            Some(other) => bail!("{}.uid: {uid} is the user {}'s", user.place, other[0]),
            None => Ok(uid),
        }
    }

    fn add(&mut self, user: &UserSpec) -> Result<()> {
        let uid = match user.uid {
            Some(uid) => self.free_uid(user, uid)?,
            None => free_number(
                &[&self.passwd, &self.vendor_passwd, &self.group, &self.vendor_group],
                user.system,
            )?,
        };
        let gid = match &user.primary_group {
            Some(group) => self.put_group(group, user.system)?,
            None if user.no_user_group => self.gid("users").unwrap_or(USERS),
            None => match self.gid(&user.name) {
                Some(gid) => gid,
                None => {
                    let taken = self.group.numbers().chain(self.vendor_group.numbers()).any(|g| g == uid);
                    let groups = [&self.group, &self.vendor_group];
                    let gid = if taken { free_number(&groups, user.system)? } else { uid };
                    self.group.lines.push(vec![
                        user.name.clone(),
                        "x".to_owned(),
                        gid.to_string(),
                        String::new(),
                    ]);
                    gid
                }
            },
        };
        self.passwd.lines.push(vec![
            user.name.clone(),
            "x".to_owned(),
            uid.to_string(),
            gid.to_string(),
            user.gecos.clone().unwrap_or_default(),
            user.home.clone().unwrap_or_else(|| format!("/home/{}", user.name)),
            user.shell.clone().unwrap_or_else(|| "/bin/bash".to_owned()),
        ]);
        Ok(())
    }

    /// Makes sure of a group and gives its number.
    fn put_group(&mut self, name: &str, system: bool) -> Result<u32> {
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        if self.group.find(name).is_none() {
            let line = match self.vendor_group.find(name) {
                Some(line) => line.clone(),
                None => {
                    let gid = free_number(&[&self.group, &self.vendor_group], system)?;
                    vec![name.to_owned(), "x".to_owned(), gid.to_string(), String::new()]
                }
            };
            self.group.lines.push(line);
        }
        self.group.number(name).with_context(|| format!("{GROUP}: the group {name} has no number"))
    }

    /// The password field, as `passwd -l`, `passwd -u` and `usermod` leave it.
    fn put_shadow(&mut self, user: &UserSpec) {
        if self.shadow.find(&user.name).is_none() {
            // No date of the last change: a password that Cluster API set does not age.
            // The one that a new account of Ignition has: no password opens it, and keys still do.
            let none = if user.modify { "*" } else { "!" };
            let fields = [user.name.as_str(), none, "", "0", "99999", "7", "", "", ""];
            self.shadow.lines.push(fields.map(str::to_owned).to_vec());
        }
        let Some(line) = self.shadow.find_mut(&user.name) else { return };
        line.resize(9, String::new());
        let have = line[1].trim_start_matches('!').to_owned();
        let hash = user.password_hash.as_ref().map(|h| String::from_utf8_lossy(h.expose()).into_owned());
        let hash = hash.unwrap_or(have);
        line[1] = match user.lock_password {
            true => format!("!{hash}"),
            // An account without any password is never opened by taking the lock away.
            false if hash.is_empty() => "!".to_owned(),
            false => hash,
        };
        if user.password_expired {
            // The day of its last change, 0: the next login has to change it (shadow(5)).
            line[2] = "0".to_owned();
        }
        match user.inactive {
            // The second of January 1970: long past, and not 0, which some programs take for never.
            Some(Inactive::Now) => line[7] = "1".to_owned(),
            Some(Inactive::DaysAfterExpiry(days)) => line[6] = days.to_string(),
            None => {}
        }
    }

    /// Writes what changed: groups, then passwords, then users, so that a user is never there without the others.
    ///
    /// # Errors
    /// A file can't be written, or another program holds the lock.
    pub fn write(&self, root: &Root) -> Result<Change> {
        let _lock = lock(root)?;
        let mut change = Change::Unchanged;
        for (table, path) in [(&self.group, GROUP), (&self.shadow, SHADOW), (&self.passwd, PASSWD)] {
            if table.write(root, path)? == Change::Changed {
                change = Change::Changed;
            }
        }
        Ok(change)
    }
}

/// A number that is free in all tables: one above the highest, as useradd takes it, else the lowest that is free.
fn free_number(tables: &[&Table], system: bool) -> Result<u32> {
    let range = if system { SYSTEM_NUMBERS } else { NUMBERS };
    let taken: BTreeSet<u32> =
        tables.iter().flat_map(|t| t.numbers()).filter(|n| range.contains(n)).collect();
    let next = taken.last().map_or(*range.start(), |n| n + 1);
    if range.contains(&next) && !system {
        return Ok(next);
    }
    range.clone().find(|n| !taken.contains(n)).context("no number is free for a new account")
}

/// Takes shadow-utils' lock where the root is the running system's.
fn lock(root: &Root) -> Result<Option<OwnedFd>> {
    if root.live() { crate::io::root::lock_file("/etc/.pwd.lock").map(Some) } else { Ok(None) }
}
