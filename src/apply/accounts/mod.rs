// SPDX-License-Identifier: Apache-2.0
//! Users and groups, by the root's own `passwd`, `group` and `shadow` files.
//!
//! The files are edited here and not by `useradd`: that takes password hashes on its command line, where every process
//! can read them, it can't serve another root without privilege, and it makes a user in several steps that a power cut
//! can come between. The lock is the one that shadow-utils takes ([lckpwdf(3)](https://man7.org/linux/man-pages/man3/lckpwdf.3.html)).

mod groups;
mod table;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};

use crate::io::root::{Change, Ids, Root};
use crate::model::config::{Inactive, UserSpec};
use crate::model::problem::Problem;
use crate::model::storage::Owner;
use table::Table;

pub(super) const PASSWD: &str = "/etc/passwd";
pub(super) const GROUP: &str = "/etc/group";
pub(super) const SHADOW: &str = "/etc/shadow";
pub(super) const GSHADOW: &str = "/etc/gshadow";

/// Where Flatcar keeps the accounts of its read-only part; its NSS module `usrfiles` looks there after `/etc`.
const VENDOR_PASSWD: &str = "/usr/share/baselayout/passwd";
const VENDOR_GROUP: &str = "/usr/share/baselayout/group";
const VENDOR_GSHADOW: &str = "/usr/share/baselayout/gshadow";

/// Numbers for people and for system accounts, as login.defs has them on Flatcar.
const NUMBERS: std::ops::RangeInclusive<u32> = 1000..=60000;
const SYSTEM_NUMBERS: std::ops::RangeInclusive<u32> = 201..=999;

/// The group of users without a group of their own, as useradd has it.
const USERS: u32 = 100;

/// The accounts of a root: lines of fields.
#[derive(Clone)]
pub struct Accounts {
    passwd: Table,
    group: Table,
    shadow: Table,
    /// The groups' passwords and members once more. It is kept in step where it exists.
    gshadow: Table,
    vendor_passwd: Table,
    vendor_group: Table,
    vendor_gshadow: Table,
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
            gshadow: Table::read(root, GSHADOW, 0o640)?,
            vendor_passwd: Table::read(root, VENDOR_PASSWD, 0o644)?,
            vendor_group: Table::read(root, VENDOR_GROUP, 0o644)?,
            vendor_gshadow: Table::read(root, VENDOR_GSHADOW, 0o640)?,
        })
    }

    /// The numbers behind the names of the owner of what stands at this place of the data.
    ///
    /// # Errors
    /// A name is not there.
    pub fn ids(&self, owner: &Owner, place: &str) -> Result<Ids, Problem> {
        let nobody = |kind| {
            let key = if place.starts_with("storage.") { kind } else { "owner" };
            let what = format!("the {kind} does not exist, neither in the image nor in the data");
            let cure = "correct the name, or make the user with `users` and the group with `groups`";
            Problem::error(format!("{place}.{key}"), what).cure(cure).code("file/owner")
        };
        let uid = owner.user.as_deref().map(|n| self.uid(n).ok_or_else(|| nobody("user")));
        let gid = owner.group.as_deref().map(|n| self.gid(n).ok_or_else(|| nobody("group")));
        Ok(Ids { uid: uid.transpose()?, gid: gid.transpose()? })
    }

    fn uid(&self, name: &str) -> Option<u32> {
        let known = || self.passwd.number(name).or_else(|| self.vendor_passwd.number(name));
        known().or_else(|| name.parse().ok()).or((name == "root").then_some(0))
    }

    pub(super) fn gid(&self, name: &str) -> Option<u32> {
        self.group_named(name).or_else(|| name.parse().ok()).or((name == "root").then_some(0))
    }

    /// The names of users and of groups that are not in `before`.
    pub(super) fn new_names(&self, before: &Self) -> (Vec<String>, Vec<String>) {
        let new = |table: &Table, before: &Table| {
            let names = table.lines.iter().filter(|l| l.len() > 1).map(|l| l[0].clone());
            names.filter(|name| before.find(name).is_none()).collect()
        };
        (new(&self.passwd, &before.passwd), new(&self.group, &before.group))
    }

    /// The lines of an account file.
    pub(super) fn lines(&self, path: &str) -> &[Vec<String>] {
        match path {
            PASSWD => &self.passwd.lines,
            GROUP => &self.group.lines,
            GSHADOW => &self.gshadow.lines,
            _ => &self.shadow.lines,
        }
    }

    /// Takes users and groups out of all tables.
    pub(super) fn forget(&mut self, users: &BTreeSet<String>, groups: &BTreeSet<String>) {
        users.iter().for_each(|name| self.remove(name));
        groups.iter().for_each(|name| self.remove_group(name));
    }

    /// A digest of all tables, to see whether anything changed.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for table in [&self.passwd, &self.group, &self.shadow, &self.gshadow] {
            table.lines.hash(&mut hash);
        }
        hash.finish()
    }

    /// The number of a user's primary group, if the user is there.
    pub fn primary_group(&self, name: &str) -> Option<u32> {
        self.passwd.find(name)?.get(3)?.parse().ok()
    }

    /// A user's home, if the user is there.
    pub fn home(&self, name: &str) -> Option<String> {
        self.passwd.find(name).or_else(|| self.vendor_passwd.find(name))?.get(5).cloned()
    }

    /// Makes a user as the data says, in memory. An existing user keeps its number, its home and its shell.
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
                return Err(Problem::error(&user.place, "the user does not exist").code("file/owner").into());
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
        } else {
            self.owed_group(user);
            if user.modify {
                self.modify(user)?;
            }
        }
        self.join(user)?;
        self.put_shadow(user);
        Ok(())
    }

    /// Removes a user from all tables, and the group of its name if it has no other members, as `userdel` does.
    fn remove(&mut self, name: &str) {
        let own = self.primary_group(name).map(|gid| gid.to_string());
        self.passwd.lines.retain(|l| l[0] != name);
        self.shadow.lines.retain(|l| l[0] != name);
        self.leave_groups(name);
        let others = self.passwd.lines.iter().any(|l| l.get(3) == own.as_ref());
        let empty = |l: &Vec<String>| l.get(3).is_none_or(String::is_empty);
        if self.group.find(name).is_some_and(|l| l.get(2) == own.as_ref() && empty(l)) && !others {
            self.remove_group(name);
        }
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
            // By its name only: a name of digits is not a group's number.
            None => match self.group_named(&user.name) {
                Some(gid) => gid,
                None => {
                    let taken = self.group.numbers().chain(self.vendor_group.numbers()).any(|g| g == uid);
                    let groups = [&self.group, &self.vendor_group];
                    let gid = if taken { free_number(&groups, user.system)? } else { uid };
                    self.add_group(&user.name, gid);
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

    /// The password field, as `passwd -l`, `passwd -u` and `usermod` leave it.
    fn put_shadow(&mut self, user: &UserSpec) {
        if self.shadow.find(&user.name).is_none() {
            // No date of the last change: a password that Cluster API set does not age.
            // The one that a new account of Ignition has: no password opens it, and keys still do.
            let none = if user.modify { "*" } else { "!" };
            // A system account's password does not age.
            let [min, max, warn] = if user.system { [""; 3] } else { ["0", "99999", "7"] };
            let fields = [user.name.as_str(), none, "", min, max, warn, "", "", ""];
            self.shadow.lines.push(fields.map(str::to_owned).to_vec());
        }
        let Some(line) = self.shadow.find_mut(&user.name) else { return };
        line.resize(9, String::new());
        let have = line[1].trim_start_matches('!').to_owned();
        let hash = user.password_hash.as_ref().map(|h| String::from_utf8_lossy(h.expose()).into_owned());
        let hash = hash.unwrap_or(have);
        line[1] = match user.lock_password {
            true if hash.starts_with('!') => hash,
            true => format!("!{hash}"),
            // An account without any password is never opened by taking the lock away.
            false if hash.is_empty() => "!".to_owned(),
            false => hash,
        };
        if user.password_expired {
            // The day of its last change, 0: the next login has to change it (shadow(5)).
            line[2] = "0".to_owned();
        }
        if let Some(days) = user.expires {
            line[7] = days.to_string();
        }
        match user.inactive {
            // The second of January 1970: long past, and not 0, which some programs take for never.
            Some(Inactive::Now) => line[7] = "1".to_owned(),
            Some(Inactive::DaysAfterExpiry(days)) => line[6] = days.to_string(),
            None => {}
        }
    }

    /// Writes what changed: users first. A run that is cut off after them finds by their lines which numbers their groups have.
    /// Where one of the files can't be written, what waits for the others is taken back.
    ///
    /// # Errors
    /// A file can't be written, or another program holds the lock.
    pub fn write(&self, root: &Root) -> Result<Change> {
        let lock = lock(root)?;
        let mut change = Change::Unchanged;
        let tables =
            [(&self.passwd, PASSWD), (&self.shadow, SHADOW), (&self.gshadow, GSHADOW), (&self.group, GROUP)];
        let mut write = |table: &Table, path| {
            table.write(root, path).map(|c| {
                if c == Change::Changed {
                    change = c
                }
            })
        };
        if let Err(error) = tables.iter().try_for_each(|(table, path)| write(table, path)) {
            tables.iter().for_each(|(_, path)| root.withdraw(path));
            return Err(error);
        }
        // The files may get their names later.
        lock.into_iter().for_each(|lock| root.hold(lock));
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
    range.clone().find(|n| !taken.contains(n)).context("all numbers for new accounts are taken")
}

/// Takes shadow-utils' lock where the root is the running system's.
fn lock(root: &Root) -> Result<Option<OwnedFd>> {
    if root.live() { crate::io::root::lock_file("/etc/.pwd.lock").map(Some) } else { Ok(None) }
}
