// SPDX-License-Identifier: Apache-2.0
//! Groups and their members, in `group` and, where it exists, in `gshadow`, which shadow-utils keeps in step
//! ([gshadow(5)](https://man7.org/linux/man-pages/man5/gshadow.5.html)).

use anyhow::{Context as _, Result, bail};

use super::table::Table;
use super::{Accounts, GROUP, free_number};
use crate::model::config::{GroupSpec, UserSpec};

/// Fields of `group`.
const PASSWORD: usize = 1;
const NUMBER: usize = 2;
/// The members' field of `group` and `gshadow` alike.
const MEMBERS: usize = 3;
/// The field of `gshadow` that names who may change the group.
const ADMINS: usize = 2;

impl Accounts {
    /// The number of the group of that name.
    pub(super) fn group_named(&self, name: &str) -> Option<u32> {
        self.group.number(name).or_else(|| self.vendor_group.number(name))
    }

    /// Makes a group as the data says, in memory. An existing group keeps its number, as with `groupadd`. Members join
    /// that are there.
    ///
    /// # Errors
    /// Numbers are used up, or a number of the data is another group's.
    pub fn put_spec(&mut self, group: &GroupSpec) -> Result<()> {
        let name = &group.name;
        if group.absent {
            self.remove_group(name);
            return Ok(());
        }
        if let (Some(gid), None) = (group.gid, self.group.find(name)) {
            if let Some(other) = self.group.lines.iter().find(|l| l.get(NUMBER) == Some(&gid.to_string())) {
                bail!("{}.gid: {gid} is the number of the group {}", group.place, other[0]);
            }
            self.add_group(name, gid);
        }
        self.put_named_group(name, group.system)?;
        if let Some(hash) = &group.password_hash {
            self.put_gshadow(name);
            if let Some(line) = self.gshadow.find_mut(name) {
                line[PASSWORD] = String::from_utf8_lossy(hash.expose()).into_owned();
            }
            // Every user may read `group`: `x` says that the password is in gshadow.
            if let Some(line) = self.group.find_mut(name) {
                "x".clone_into(&mut line[PASSWORD]);
            }
        }
        for member in &group.members {
            if self.home(member).is_some() {
                self.add_member(name, member);
            }
        }
        Ok(())
    }

    /// The members of a group who are not there: they are left out, as by cloud-init.
    pub fn missing_members<'a>(&self, group: &'a GroupSpec) -> Vec<&'a str> {
        group.members.iter().map(String::as_str).filter(|m| self.home(m).is_none()).collect()
    }

    /// Makes a user a member of its further groups.
    pub(super) fn join(&mut self, user: &UserSpec) -> Result<()> {
        for group in &user.groups {
            let number = self.put_group(group, user.system)?;
            let named = self.group.find(group).map(|line| line[0].clone());
            if let Some(name) = named.or_else(|| self.group.named(number)) {
                self.add_member(&name, &user.name);
            }
        }
        Ok(())
    }

    /// Makes sure of a group and gives its number. Digits that are not a group's name are the number of a group that is
    /// there, as useradd takes them.
    pub(super) fn put_group(&mut self, name: &str, system: bool) -> Result<u32> {
        let number = name.parse::<u32>().ok().filter(|_| self.group_named(name).is_none());
        let Some(number) = number else { return self.put_named_group(name, system) };
        if self.group.named(number).is_none() {
            let vendors = self.vendor_group.named(number);
            let vendors = vendors.with_context(|| format!("{GROUP}: no group has the number {number}"))?;
            return self.put_named_group(&vendors, system);
        }
        Ok(number)
    }

    /// Makes the primary group of a user whose line is there and names a number that no group has: a run that was cut off
    /// wrote the one and not the other.
    pub(super) fn owed_group(&mut self, user: &UserSpec) {
        let Some(gid) = self.primary_group(&user.name) else { return };
        let named = user.primary_group.as_ref().filter(|name| name.parse::<u32>().is_err());
        let own = || (user.primary_group.is_none() && !user.no_user_group).then_some(&user.name);
        let name = named.or_else(own);
        let known = self.group.named(gid).or_else(|| self.vendor_group.named(gid)).is_some();
        if let Some(name) = name.filter(|name| !known && self.group_named(name).is_none()) {
            self.add_group(name, gid);
        }
    }

    fn put_named_group(&mut self, name: &str, system: bool) -> Result<u32> {
        if self.group.find(name).is_none() {
            match self.vendor_group.find(name).cloned() {
                // A group that /usr brings can only be changed by a line of its own in /etc.
                Some(line) => {
                    let members = line.get(MEMBERS).cloned().unwrap_or_default();
                    self.group.lines.push(line);
                    let shadow = self.vendor_gshadow.find(name).cloned();
                    self.add_gshadow(name, shadow, &members);
                }
                None => {
                    let gid = free_number(&[&self.group, &self.vendor_group], system)?;
                    self.add_group(name, gid);
                }
            }
        }
        self.group.number(name).with_context(|| format!("{GROUP}: the group {name} has no number"))
    }

    /// Adds a group that is not there.
    pub(super) fn add_group(&mut self, name: &str, gid: u32) {
        self.group.lines.push(vec![name.to_owned(), "x".to_owned(), gid.to_string(), String::new()]);
        self.add_gshadow(name, None, "");
    }

    fn add_gshadow(&mut self, name: &str, line: Option<Vec<String>>, members: &str) {
        if self.gshadow.stands && self.gshadow.find(name).is_none() {
            let new = || [name, "!", "", members].map(str::to_owned).to_vec();
            self.gshadow.lines.push(line.unwrap_or_else(new));
        }
    }

    /// Makes sure of a group's line in gshadow. Where the file is missing it gets all groups, as grpconv writes it.
    fn put_gshadow(&mut self, name: &str) {
        let was_there = std::mem::replace(&mut self.gshadow.stands, true);
        let of = |line: &Vec<String>| (line[0].clone(), line.get(MEMBERS).cloned().unwrap_or_default());
        let lines = self.group.lines.iter().filter(|line| line.len() > 1 && (!was_there || line[0] == name));
        for (name, members) in lines.map(of).collect::<Vec<_>>() {
            self.add_gshadow(&name, None, &members);
        }
    }

    fn add_member(&mut self, group: &str, member: &str) {
        for table in [&mut self.group, &mut self.gshadow] {
            let Some(line) = table.find_mut(group) else { continue };
            line.resize(MEMBERS + 1, String::new());
            let there = line[MEMBERS].split(',').any(|m| m == member);
            if !there {
                let comma = if line[MEMBERS].is_empty() { "" } else { "," };
                line[MEMBERS] = [line[MEMBERS].as_str(), member].join(comma);
            }
        }
    }

    /// Takes a user out of all groups.
    pub(super) fn leave_groups(&mut self, user: &str) {
        let leave = |table: &mut Table, field: usize| {
            for line in table.lines.iter_mut().filter(|l| l.len() > field) {
                if line[field].split(',').any(|m| m == user) {
                    let others: Vec<&str> = line[field].split(',').filter(|m| *m != user).collect();
                    line[field] = others.join(",");
                }
            }
        };
        leave(&mut self.group, MEMBERS);
        leave(&mut self.gshadow, MEMBERS);
        leave(&mut self.gshadow, ADMINS);
    }

    pub(super) fn remove_group(&mut self, name: &str) {
        self.group.lines.retain(|l| l[0] != name);
        self.gshadow.lines.retain(|l| l[0] != name);
    }
}
