// SPDX-License-Identifier: Apache-2.0
//! `storage`: files, directories and links. Only Ignition in the initramfs makes arrays and encrypted volumes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::schema::VERSIONS;
use super::{INITRAMFS, Reader, flag, is_empty, text};
use crate::decode::cloud_config::{NOT_BY_A_FILE, OF_THE_KERNEL, check_path, in_usr, of_the_kernel};
use crate::decode::foreign::{self, Language};
use crate::decode::syntax::unit;
use crate::decode::syntax::yaml::Node;
use crate::model::paths::default_mode;
use crate::model::problem::READ_ONLY;
use crate::model::secret::Secret;
use crate::model::storage::{Directory, Existing, File, Link, Owner};

/// Sections that only Ignition in the initramfs can apply, and what they describe.
const FOREIGN: &[(&str, &str)] = &[("luks", "encrypted volumes"), ("raid", "arrays")];

impl Reader<'_, '_, '_> {
    pub(super) fn storage(&mut self, storage: &Node) {
        for (name, what) in FOREIGN {
            if let Some(node) = storage.get(name).filter(|n| !is_empty(n)) {
                let what = format!("{what} can't be made on a running system");
                self.error(&format!("storage.{name}"), node.pos, what).cure(INITRAMFS);
            }
        }
        self.disks(storage);
        let filesystems = self.filesystems(storage);
        let list = |name: &str| storage.get(name).and_then(Node::list).unwrap_or_default();
        for (i, node) in list("directories").iter().enumerate() {
            self.directory(&format!("storage.directories[{i}]"), node, &filesystems);
        }
        let taken = std::mem::take(&mut self.files).into_iter().map(Cow::Owned);
        let files = taken.chain(list("files").iter().map(Cow::Borrowed));
        for (i, node) in files.enumerate() {
            self.file(&format!("storage.files[{i}]"), &node, &filesystems);
        }
        for (i, node) in list("links").iter().enumerate() {
            self.link(&format!("storage.links[{i}]"), node, &filesystems);
        }
        self.paths();
        // A directory before its contents.
        self.config.directories.sort_by_key(|d| d.path.matches('/').count());
    }

    /// The path of a file, directory or link on the running system.
    fn path(&mut self, place: &str, node: &Node, filesystems: &[(String, Option<String>)]) -> Option<String> {
        let at = format!("{place}.path");
        let pos = node.get("path").map_or(node.pos, |n| n.pos);
        let Some(path) = text(node, "path") else {
            self.error(&at, pos, "missing: the entry needs it");
            return None;
        };
        if !path.starts_with('/') {
            self.error(&at, pos, "is not an absolute path").cure("begin it with `/`");
            return None;
        }
        let clean = match check_path(path) {
            Ok(clean) => clean,
            Err(what) => {
                self.error(&at, pos, what);
                return None;
            }
        };
        if self.v3() && clean != path {
            self.error(&at, pos, "the path is not in its simplest form")
                .cure("remove `//`, `/./` and a slash at the end");
            return None;
        }
        let clean = if self.v3() {
            clean
        } else {
            let name = text(node, "filesystem").unwrap_or_default();
            let on = format!("{place}.filesystem");
            let on_pos = node.get("filesystem").map_or(node.pos, |n| n.pos);
            match filesystems.iter().find(|(n, _)| n == name) {
                Some((_, Some(prefix))) => format!("{prefix}{clean}"),
                Some((_, None)) => {
                    self.error(
                        &on,
                        on_pos,
                        "this filesystem is mounted only while Ignition runs in the initramfs",
                    )
                    .cure(INITRAMFS);
                    return None;
                }
                None => {
                    self.error(&on, on_pos, "no filesystem of this config has this name")
                        .cure("`root` needs no entry in storage.filesystems");
                    return None;
                }
            }
        };
        if of_the_kernel(&clean) {
            self.error(&at, pos, OF_THE_KERNEL).cure(NOT_BY_A_FILE);
        }
        if in_usr(&clean) {
            self.warn(&at, pos, "is in /usr, which is read-only on Flatcar: Ignition itself would fail to write it and stop the boot")
                .code(READ_ONLY)
                .cure("put programs into /opt/bin and units into systemd.units");
        }
        self.places.insert(place.to_owned(), pos);
        Some(clean)
    }

    fn owner(&mut self, place: &str, node: &Node) -> Owner {
        let mut part = |key: &str| {
            let owner = node.get(key)?;
            let (id, name) = (owner.get("id"), text(owner, "name"));
            let at = format!("{place}.{key}");
            match (id, name) {
                (Some(_), Some(_)) => {
                    self.error(&at, owner.pos, "takes `id` or `name`, not both");
                    None
                }
                (Some(id), None) => match id.int().map(u32::try_from) {
                    Some(Ok(number)) if number < u32::MAX => Some(number.to_string()),
                    _ => {
                        self.error(&format!("{at}.id"), id.pos, "not a valid number of a user or group");
                        None
                    }
                },
                (None, name) => name.map(str::to_owned),
            }
        };
        Owner { user: part("user"), group: part("group") }
    }

    /// Permission bits. JSON has decimal numbers only.
    fn mode(&mut self, place: &str, node: &Node) -> Option<u32> {
        let value = node.get("mode")?;
        let at = format!("{place}.mode");
        let Some(mode) = value.int().and_then(|m| u32::try_from(m).ok()).filter(|m| *m <= 0o7777) else {
            self.error(&at, value.pos, "permission bits are a number from 0 to 4095")
                .cure("write 0644 as 420 and 0755 as 493");
            return None;
        };
        // Common permission bits whose octal digits were written as a decimal number.
        let digits = u32::from_str_radix(&mode.to_string(), 8);
        if [400, 440, 444, 555, 600, 640, 644, 660, 664, 700, 750, 755, 770, 775, 777].contains(&mode) {
            let what = format!("JSON numbers are decimal: {mode} is {mode:04o} in octal");
            self.warn(&at, value.pos, what)
                .cure(format!("0{mode} is {} in decimal", digits.unwrap_or_default()));
        }
        // Before 3.4 Ignition ignored set-id and sticky bits.
        if VERSIONS[self.version] < "3.4.0" && mode > 0o777 {
            let what = format!(
                "set-id and sticky bits have no effect before version 3.4.0: the mode is {:04o}",
                mode & 0o777
            );
            self.warn(&at, value.pos, what).cure("raise ignition.version");
            return Some(mode & 0o777);
        }
        Some(mode)
    }

    fn file(&mut self, place: &str, node: &Node, filesystems: &[(String, Option<String>)]) {
        let path = self.path(place, node, filesystems);
        let (owner, mode) = (self.owner(place, node), self.mode(place, node));
        let kept = Existing::Kept { mode: mode.is_some() };
        let overwrite = node.get("overwrite").and_then(Node::bool);
        let pos = node.get("overwrite").map_or(node.pos, |n| n.pos);
        let contents = node.get("contents").filter(|c| !is_empty(c));
        let content = contents.map(|c| self.resource(&format!("{place}.contents"), c).unwrap_or_default());
        let has_source = contents.is_some_and(|c| c.get("source").is_some());
        let (content, append, existing) = if self.v3() {
            let parts = node.get("append").and_then(Node::list).unwrap_or_default();
            let mut content = content.unwrap_or_default();
            let mut appends = false;
            for (i, part) in parts.iter().enumerate() {
                let at = format!("{place}.append[{i}]");
                appends |= part.get("source").is_some();
                content.extend(self.resource(&at, part).unwrap_or_default());
            }
            if overwrite == Some(true) && !has_source {
                self.error(
                    &format!("{place}.overwrite"),
                    pos,
                    "has a meaning only where contents.source replaces the file",
                );
            }
            match (has_source, overwrite) {
                (true, Some(true)) => (content, false, Existing::Replaced),
                (true, _) => (content, false, Existing::Refused),
                (false, _) => (content, appends, kept),
            }
        } else {
            let append = flag(node, "append");
            if append && overwrite == Some(true) {
                self.error(&format!("{place}.append"), pos, "can't be combined with overwrite");
            }
            let existing = match (append, overwrite) {
                (true, _) => kept,
                (false, Some(false)) => Existing::Refused,
                (false, _) => Existing::Replaced,
            };
            (content.unwrap_or_default(), append, existing)
        };
        let Some(path) = path else { return };
        if let Some((what, cure)) = unit::misnamed_file(&path, &content) {
            let pos = node.get("path").map_or(node.pos, |n| n.pos);
            self.error(&format!("{place}.path"), pos, what).cure(cure);
        }
        self.problems.extend(foreign::in_file(place, Language::Ignition, node.pos, &path, &content));
        self.config.files.push(File {
            place: place.to_owned(),
            mode: mode.unwrap_or_else(|| default_mode(&path)),
            path,
            content: Secret::new(content),
            owner,
            append,
            existing,
            restart: None,
        });
    }

    fn directory(&mut self, place: &str, node: &Node, filesystems: &[(String, Option<String>)]) {
        let path = self.path(place, node, filesystems);
        let (owner, mode) = (self.owner(place, node), self.mode(place, node));
        let Some(path) = path else { return };
        // Ignition empties a directory that is there. On a running system its contents are not only this config's.
        let existing = if flag(node, "overwrite") { Existing::Replaced } else { Existing::Refused };
        self.config.directories.push(Directory { place: place.to_owned(), path, owner, mode, existing });
    }

    fn link(&mut self, place: &str, node: &Node, filesystems: &[(String, Option<String>)]) {
        let path = self.path(place, node, filesystems);
        let owner = self.owner(place, node);
        let hard = flag(node, "hard");
        let at = format!("{place}.target");
        let pos = node.get("target").map_or(node.pos, |n| n.pos);
        let mut target = text(node, "target").unwrap_or_default().to_owned();
        let what = match () {
            () if target.is_empty() => Some("missing: the entry needs it"),
            () if target.len() > 4095 => Some("the target is longer than 4095 bytes"),
            () if target.contains(char::is_control) => Some("the target holds a control character"),
            () if hard && !target.starts_with('/') => {
                Some("the target of a hard link must be an absolute path")
            }
            () => None,
        };
        if let Some(what) = what {
            self.error(&at, pos, what);
            return;
        }
        if hard {
            match check_path(&target) {
                Ok(clean) => target = clean,
                Err(what) => {
                    self.error(&at, pos, what);
                    return;
                }
            }
        }
        let Some(path) = path else { return };
        if hard && path == target {
            self.error(&at, pos, "the link points to itself");
            return;
        }
        self.config.links.push(Link {
            place: place.to_owned(),
            path,
            target,
            hard,
            owner,
            existing: if flag(node, "overwrite") { Existing::Replaced } else { Existing::Refused },
        });
    }

    /// Refuses a path that two entries have, and one that goes through a link of the same config.
    fn paths(&mut self) {
        let config = &self.config;
        let all: Vec<(&str, &str, bool)> = (config.directories.iter().map(|d| (&*d.path, &*d.place, false)))
            .chain(config.files.iter().map(|f| (&*f.path, &*f.place, f.place.starts_with("storage.files"))))
            .chain(config.links.iter().map(|l| (&*l.path, &*l.place, false)))
            .collect();
        let mut first: HashMap<&str, (&str, bool)> = HashMap::new();
        let mut wrong: Vec<(String, String)> = Vec::new();
        for (path, place, file) in &all {
            match first.insert(path, (place, *file)) {
                // In 2.x several files may have one path: one writes, the others append.
                Some((_, true)) if *file && !self.v3() => {}
                Some((other, _)) => {
                    wrong.push(((*place).to_owned(), format!("{other} has the same path")));
                }
                None => {}
            }
        }
        // Ignition 3 refuses it; 2.x followed the link.
        let links: HashMap<&str, &str> =
            config.links.iter().filter(|l| !l.hard).map(|l| (&*l.path, &*l.place)).collect();
        // By their parts, so that what is below a link follows it: to look for each parent of each path is slow where these are deep.
        let mut sorted: Vec<usize> = (0..all.len()).filter(|_| self.v3()).collect();
        sorted.sort_by(|a, b| all[*a].0.split('/').cmp(all[*b].0.split('/')));
        let (mut link, mut through): (Option<(&str, &str)>, _) = (None, Vec::new());
        for i in sorted {
            let (path, place, _) = all[i];
            let below =
                |(of, _): &(&str, &str)| path.strip_prefix(*of).is_some_and(|rest| rest.starts_with('/'));
            match link.filter(below) {
                Some((_, by)) => through.push((i, place.to_owned(), by.to_owned())),
                None => link = links.get(path).map(|by| (path, *by)).or(link),
            }
        }
        through.sort_unstable();
        wrong.extend(
            through.into_iter().map(|(_, place, by)| (place, format!("the path goes through the link {by}"))),
        );
        for (place, what) in wrong {
            let pos = self.places.get(&place).copied().unwrap_or_default();
            self.error(&format!("{place}.path"), pos, what);
        }
        self.hard_links();
    }

    /// Refuses hard links to directories, which no filesystem has: to directories of this config, and to those that are made on the
    /// way to its files.
    fn hard_links(&mut self) {
        let config = &self.config;
        let paths = (config.directories.iter().map(|d| (&*d.path, &*d.place)))
            .chain(config.files.iter().map(|f| (&*f.path, &*f.place)))
            .chain(config.links.iter().map(|l| (&*l.path, &*l.place)));
        let directories: HashMap<&str, &str> =
            config.directories.iter().map(|d| (&*d.path, &*d.place)).collect();
        let mut paths: Vec<(&str, &str)> = paths.collect();
        paths.sort_unstable();
        // The first path that is not before a name; what is in a directory follows its name and a slash.
        let from = |name: &str| paths.get(paths.partition_point(|(path, _)| *path < name)).copied();
        let mut wrong = Vec::new();
        for link in config.links.iter().filter(|l| l.hard) {
            let directory = directories.get(&*link.target).copied();
            let below = format!("{}/", link.target);
            let inside = || from(&below).filter(|(path, _)| path.starts_with(&below)).map(|(_, place)| place);
            if let Some(other) = directory.or_else(inside) {
                let what = format!("a hard link can't point to a directory, and {other} makes this one");
                wrong.push((link.place.clone(), what));
            }
        }
        for (place, what) in wrong {
            let pos = self.places.get(&place).copied().unwrap_or_default();
            self.error(&format!("{place}.target"), pos, what);
        }
    }
}
