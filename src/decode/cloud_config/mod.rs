// SPDX-License-Identifier: Apache-2.0
//! `#cloud-config`, as [cloud-init reads it](https://docs.cloud-init.io/en/latest/reference/modules.html).
//!
//! Where cloud-init loses data in silence (an unknown encoding is written raw, an unknown owner ends the list), this is
//! an error; where YAML 1.1 trips the user (`permissions: 644`), the user's meaning is taken.

mod coreos;
mod disks;
mod system;

use super::Decoded;
use super::document::envelope::{Encoding, MAX_DECODED};
use super::document::{Fetch, display_url};
use super::syntax::yaml::{Kind, Node, Value};
use crate::model::config::{Existing, FileSpec, GroupSpec, Inactive, NodeConfig, Ntp, Owner, UserSpec};
use crate::model::fetch::{Request, Unfetched, check_header};
use crate::model::problem::{Pos, Problem};
use crate::model::secret::Secret;

/// What is known of a top-level key.
enum Key {
    /// It is read by this function.
    Read(fn(&mut Reader<'_>, &Node)),
    /// It is read with another one.
    Beside,
    /// Flatcar does what it asks for.
    Done(&'static str),
    /// It has no meaning on an image without a package manager.
    Packages(&'static str),
}

/// The top-level keys, sorted.
const KEYS: &[(&str, Key)] = &[
    ("ansible", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("apk_repos", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("apt", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("apt_pipelining", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    (
        "apt_reboot_if_required",
        Key::Packages("bake what the packages hold into the image, or ship it as a sysext"),
    ),
    ("apt_update", Key::Packages("Flatcar updates itself as a whole: see update_engine")),
    ("apt_upgrade", Key::Packages("Flatcar updates itself as a whole: see update_engine")),
    ("bootcmd", Key::Read(|r, n| r.config.bootcmd = r.commands("bootcmd", n))),
    ("ca-certs", Key::Read(|r, n| r.ca_certs(n))),
    ("ca_certs", Key::Read(|r, n| r.ca_certs(n))),
    ("chef", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("chpasswd", Key::Beside),
    ("coreos", Key::Read(|r, n| r.coreos(n))),
    ("disable_root", Key::Beside),
    ("disk_setup", Key::Read(|r, n| r.disk_setup(n))),
    ("fan", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("final_message", Key::Read(|r, n| r.final_message(n))),
    ("fqdn", Key::Beside),
    ("fs_setup", Key::Read(|r, n| r.fs_setup(n))),
    ("groups", Key::Beside),
    ("growpart", Key::Done("Flatcar grows its root filesystem itself")),
    ("hostname", Key::Beside),
    ("landscape", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("locale", Key::Read(|r, n| r.locale(n))),
    ("lxd", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("manage_etc_hosts", Key::Read(|r, n| r.manage_etc_hosts(n))),
    ("manage_resolv_conf", Key::Beside),
    ("mcollective", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("mount_default_fields", Key::Beside),
    ("mounts", Key::Beside),
    ("ntp", Key::Read(|r, n| r.ntp(n))),
    ("output", Key::Read(|r, n| r.output(n))),
    ("package_reboot_if_required", Key::Packages("Flatcar updates itself as a whole: see update_engine")),
    ("package_update", Key::Packages("Flatcar updates itself as a whole: see update_engine")),
    ("package_upgrade", Key::Packages("Flatcar updates itself as a whole: see update_engine")),
    ("packages", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("password", Key::Beside),
    ("phone_home", Key::Read(|r, n| r.phone_home(n))),
    ("power_state", Key::Read(|r, n| r.power_state(n))),
    ("prefer_fqdn_over_hostname", Key::Beside),
    ("preserve_hostname", Key::Beside),
    ("puppet", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("resize_rootfs", Key::Done("Flatcar grows its root filesystem itself")),
    ("resolv_conf", Key::Beside),
    ("rh_subscription", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("runcmd", Key::Read(|r, n| r.config.runcmd = r.commands("runcmd", n))),
    ("salt_minion", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("snap", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("snappy", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("spacewalk", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("ssh_authorized_keys", Key::Beside),
    ("ssh_pwauth", Key::Read(|r, n| r.ssh_pwauth(n))),
    ("swap", Key::Read(|r, n| r.swap(n))),
    ("timezone", Key::Read(|r, n| r.timezone(n))),
    ("ubuntu_advantage", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("ubuntu_drivers", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("ubuntu_pro", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("users", Key::Read(|r, n| r.users(n))),
    ("write_files", Key::Read(|r, n| r.files(n))),
    ("yum_repo_dir", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("yum_repos", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
    ("zypper", Key::Packages("bake what the packages hold into the image, or ship it as a sysext")),
];

/// Reads a cloud-config's tree, a mapping; `fetch` brings what files take from elsewhere.
pub fn decode(root: &Node, fetch: &mut Fetch<'_>) -> Decoded {
    let mut reader = Reader { config: NodeConfig::default(), problems: Vec::new(), fetch, fetched: 0 };
    reader.root(root);
    Decoded { config: reader.config, problems: reader.problems }
}

/// Whether Flatcar has this path read-only: it is in `/usr`, or leads there.
pub fn in_usr(path: &str) -> bool {
    ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/"].iter().any(|dir| path.starts_with(dir))
}

/// What of `/usr` a baked image makes writable.
const LOCAL: &str = "/usr/local/";

/// What a file's `source` brought.
enum Source {
    /// Nothing: the entry's own content it is.
    None,
    /// Nothing here: it is still to come, or an error.
    Later,
    Brought(Vec<u8>),
}

struct Reader<'a> {
    config: NodeConfig,
    problems: Vec<Problem>,
    fetch: &'a mut Fetch<'a>,
    /// Bytes that it brought.
    fetched: usize,
}

impl Reader<'_> {
    fn error(&mut self, place: &str, pos: Pos, what: impl Into<String>) {
        self.problems.push(Problem::error(place, what).at(pos));
    }

    fn warn(&mut self, place: &str, pos: Pos, what: impl Into<String>) {
        self.problems.push(Problem::warning(place, what).at(pos));
    }

    fn unknown(&mut self, place: &str, key: &Node) {
        self.warn(place, key.pos, "this key is not known and has no effect");
    }

    fn takes(&mut self, place: &str, node: &Node, kind: &str) {
        self.error(place, node.pos, format!("takes {kind}, this is {}", node.kind_name()));
    }

    fn cure(&mut self, cure: impl Into<String>) {
        if let Some(last) = self.problems.last_mut() {
            last.cure = Some(cure.into());
        }
    }

    fn root(&mut self, root: &Node) {
        for (key, node) in root.entries() {
            let Some(name) = key.text() else {
                self.error("", key.pos, format!("a top-level key is {}", key.kind_name()));
                continue;
            };
            match KEYS.iter().find(|(k, _)| *k == name).map(|(_, key)| key) {
                // Cluster API leaves the other one of disk_setup and fs_setup empty.
                Some(_) if node.is_null() => {}
                Some(Key::Read(read)) => read(self, node),
                Some(Key::Beside) => {}
                Some(Key::Done(how)) => {
                    self.note(name, key.pos, "nothing to do");
                    self.cure(*how);
                }
                Some(Key::Packages(instead)) => {
                    self.warn(name, key.pos, "Flatcar has no package manager: the key has no effect");
                    self.cure(*instead);
                }
                None => self.warn(name, key.pos, "this key is not known and has no effect"),
            }
        }
        self.hostname(root);
        self.ssh_authorized_keys(root);
        self.passwords(root);
        self.groups(root);
        self.resolv_conf(root);
        self.mounts(root);
    }

    /// A scalar's text as its author wrote it; nothing for null; an error for a list or a mapping.
    fn text(&mut self, place: &str, node: &Node) -> Option<String> {
        if node.is_null() {
            return None;
        }
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            self.error(place, node.pos, format!("takes a string, this is {}", node.kind_name()));
        }
        text.filter(|t| !t.is_empty())
    }

    /// The same, and nothing that would end a line of a file that it goes into.
    fn word(&mut self, place: &str, node: &Node) -> Option<String> {
        let text = self.text(place, node)?;
        if text.contains(|c: char| c.is_control() || c == ':') {
            self.error(place, node.pos, "holds a colon or a control character");
            return None;
        }
        Some(text)
    }

    fn bool(&mut self, place: &str, node: &Node) -> Option<bool> {
        if node.is_null() {
            return None;
        }
        let value = node.bool();
        if value.is_none() {
            self.error(place, node.pos, format!("takes true or false, this is {}", node.kind_name()));
        }
        value
    }

    /// A list of strings, written as a list, as one string that `split` divides, or as a mapping's keys.
    fn words(&mut self, place: &str, node: &Node, split: Option<char>) -> Vec<String> {
        let mut words = Vec::new();
        match &node.value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    words.extend(self.text(&format!("{place}[{i}]"), item));
                }
            }
            Value::Map(entries) => {
                words.extend(entries.iter().filter_map(|(k, _)| k.text().map(str::to_owned)))
            }
            Value::Scalar(_) => match (self.text(place, node), split) {
                (Some(text), Some(c)) => words.extend(text.split(c).map(|w| w.trim().to_owned())),
                (Some(text), None) => words.push(text),
                (None, _) => {}
            },
        }
        words.retain(|w| !w.is_empty());
        words
    }

    fn list<'a>(&mut self, place: &str, node: &'a Node) -> &'a [Node] {
        if let Some(items) = node.list() {
            return items;
        }
        self.error(place, node.pos, format!("takes a list, this is {}", node.kind_name()));
        &[]
    }

    // write_files

    /// Files in their order, and behind them those that are put off until packages and users are there.
    fn files(&mut self, node: &Node) {
        let mut deferred = Vec::new();
        for (i, item) in self.list("write_files", node).iter().enumerate() {
            let place = format!("write_files[{i}]");
            if !item.is_map() {
                self.error(&place, item.pos, format!("takes a mapping, this is {}", item.kind_name()));
                continue;
            }
            let before = self.problems.len();
            let file = self.file(&place, item);
            let failed = crate::model::problem::any_error(&self.problems[before..]);
            let defer = item.get("defer").and_then(|n| self.bool(&format!("{place}.defer"), n)) == Some(true);
            if let (Some(file), false) = (file, failed) {
                if defer { &mut deferred } else { &mut self.config.files }.push(file);
            }
        }
        self.config.files.append(&mut deferred);
    }

    fn file(&mut self, place: &str, item: &Node) -> Option<FileSpec> {
        let (mut path, mut content, mut encoding) = (None, Vec::new(), Encoding::Plain);
        let (mut owner, mut mode, mut append) = (Owner::root(), 0o644, false);
        let (mut content_pos, mut given, mut source) = (item.pos, false, Source::None);
        for (key, node) in item.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("{place}.{name}");
            match name {
                "path" => match self.text(&at, node).map(|p| check_path(&p)) {
                    Some(Ok(p)) => {
                        if in_usr(&p) && !p.starts_with(LOCAL) {
                            self.warn(
                                &at,
                                node.pos,
                                "is in /usr, which Flatcar has read-only: the node would stop here",
                            );
                            self.cure(
                                "programs go to /opt/bin or /usr/local/bin, units to /etc/systemd/system",
                            );
                        }
                        path = Some(p);
                    }
                    Some(Err(what)) => self.error(&at, node.pos, what),
                    None => {}
                },
                "content" => {
                    (content_pos, given) = (node.pos, !node.is_null());
                    content = match &node.value {
                        Value::Scalar(s) => match &s.kind {
                            Kind::Null => Vec::new(),
                            Kind::Bytes(bytes) => bytes.clone(),
                            _ => s.text.clone().into_bytes(),
                        },
                        _ => {
                            self.error(
                                &at,
                                node.pos,
                                format!("takes a string, this is {}", node.kind_name()),
                            );
                            self.cure("put `|` behind `content:` to make what follows a string");
                            Vec::new()
                        }
                    };
                }
                "encoding" => match self.text(&at, node).map(|e| (Encoding::by_name(&e), e)) {
                    Some((Some(e), _)) => encoding = e,
                    Some((None, name)) => {
                        self.error(&at, node.pos, format!("{} is no known encoding", shown(&name)));
                        self.cure(Encoding::HINT);
                    }
                    None => {}
                },
                "owner" => match self.text(&at, node) {
                    Some(text) if text.contains(char::is_control) => {
                        self.error(&at, node.pos, "holds a control character");
                    }
                    text => owner = text.map_or_else(Owner::root, |o| parse_owner(&o)),
                },
                "permissions" => mode = self.permissions(&at, node).unwrap_or(mode),
                "append" => append = self.bool(&at, node).unwrap_or(false),
                "defer" => {}
                "source" if node.is_null() => {}
                "source" => source = self.source(&at, node, item),
                _ => self.warn(&at, key.pos, "this key is not known and has no effect"),
            }
        }
        if path.is_none() && item.get("path").is_none_or(Node::is_null) {
            self.error(&format!("{place}.path"), item.pos, "missing: a file needs a path");
        }
        // The encoding is that of the content; what comes from elsewhere is taken as it is.
        let content = match source {
            Source::Brought(bytes) => Ok(bytes),
            Source::Later if !given => Ok(Vec::new()),
            Source::Later | Source::None => encoding.decode(&content),
        };
        let content = match content {
            Ok(content) => content,
            Err(what) => {
                self.error(&format!("{place}.content"), content_pos, what);
                return None;
            }
        };
        Some(FileSpec {
            place: place.to_owned(),
            path: path?,
            content: Secret::new(content),
            owner,
            mode,
            append,
            existing: Existing::Written,
        })
    }

    /// `source`: a file's content from elsewhere. Where that can't be had, the entry's own is written, if it has one.
    fn source(&mut self, at: &str, node: &Node, item: &Node) -> Source {
        if !node.is_map() {
            self.takes(at, node, "a mapping");
            return Source::None;
        }
        let (mut request, mut uri) = (Request::plain(""), None);
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("{at}.{name}");
            match name {
                "uri" => uri = self.text(&at, value),
                "headers" => request.headers = self.headers(&at, value),
                _ => self.unknown(&at, key),
            }
        }
        let own = item.get("content").is_some_and(|content| !content.is_null());
        let Some(uri) = uri else {
            if !own {
                self.error(&format!("{at}.uri"), node.pos, "missing: where the content comes from");
            }
            return Source::None;
        };
        let shown = display_url(&uri);
        request.url = Secret::from(uri.as_str());
        let fetched = request.problem().map_or_else(|| (self.fetch)(&request), |what| Err(what.into()));
        let fetched = fetched.and_then(|data| {
            self.fetched += data.as_ref().map_or(0, Vec::len);
            let over = || format!("all that is fetched is more than {} MiB", MAX_DECODED >> 20);
            if self.fetched > MAX_DECODED { Err(over().into()) } else { Ok(data) }
        });
        match fetched {
            Ok(Some(data)) => return Source::Brought(data),
            Ok(None) => {
                let what = format!("{shown} is not looked at here: the node reads it when it boots");
                self.note(at, node.pos, &what);
                return Source::Later;
            }
            Err(why) if own => {
                self.warn(at, node.pos, format!("{shown}: {}; the entry's own content is written", why.what));
            }
            Err(Unfetched { what, unreached }) => {
                let problem = Problem::error(at, format!("{shown}: {what}")).at(node.pos);
                self.problems.push(Problem { unreached, ..problem });
                self.cure("`content` beside `source` is written where that can't be had");
                return Source::Later;
            }
        }
        Source::None
    }

    /// Headers of a request: a mapping of names to values.
    fn headers(&mut self, at: &str, node: &Node) -> Vec<(String, Secret)> {
        let mut headers = Vec::new();
        if !node.is_map() && !node.is_null() {
            self.takes(at, node, "a mapping");
        }
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("{at}.{name}");
            let Some(text) = self.text(&at, value) else { continue };
            match check_header(name, &text) {
                Ok(()) => headers.push((name.to_owned(), Secret::from(text.as_str()))),
                Err(what) => self.error(&at, value.pos, what),
            }
        }
        headers
    }

    /// Octal digits, quoted or not. cloud-init takes an unquoted `644` as decimal and makes 01204 of it; nobody means
    /// that.
    fn permissions(&mut self, at: &str, node: &Node) -> Option<u32> {
        let text = self.text(at, node)?;
        let digits = text.trim();
        let octal = digits.strip_prefix("0o").unwrap_or(digits);
        let mode = u32::from_str_radix(octal, 8).ok().filter(|m| *m <= 0o7777 && !octal.starts_with('+'));
        match mode {
            None => {
                self.error(at, node.pos, format!("{} is not octal permission bits", shown(digits)));
                self.cure("write it as '0640' in KubeadmConfigSpec.files[].permissions");
            }
            Some(m) if node.int().is_some() && !digits.starts_with('0') => {
                self.warn(at, node.pos, format!("an unquoted {digits} is taken as octal, {m:04o}"));
                self.cure(format!("quote it: '{m:04o}'; cloud-init would read it as a decimal number"));
            }
            Some(_) => {}
        }
        mode
    }

    // bootcmd, runcmd

    /// Shell lines: a string is one as it stands, a list is a command with its words quoted. Anything else is an error:
    /// cloud-init would then run none of the lines.
    fn commands(&mut self, key: &str, node: &Node) -> Vec<Secret> {
        let mut lines = Vec::new();
        for (i, item) in self.list(key, node).iter().enumerate() {
            let place = format!("{key}[{i}]");
            match &item.value {
                Value::Scalar(s) => match s.kind {
                    Kind::Null => {}
                    Kind::Str => lines.push(Secret::from(s.text.as_str())),
                    _ => {
                        self.error(
                            &place,
                            item.pos,
                            format!("takes a command, this is {}", item.kind_name()),
                        );
                        self.cure("quote it");
                    }
                },
                Value::List(words) => {
                    let mut line = Vec::new();
                    for (j, word) in words.iter().enumerate() {
                        match python_str(word) {
                            Some(word) => line.push(format!("'{}'", word.replace('\'', "'\\''"))),
                            None => {
                                let at = format!("{place}[{j}]");
                                self.error(
                                    &at,
                                    word.pos,
                                    format!("takes a word, this is {}", word.kind_name()),
                                );
                            }
                        }
                    }
                    lines.push(Secret::new(line.join(" ")));
                }
                Value::Map(_) => {
                    self.error(&place, item.pos, "takes a command, this is a mapping");
                    self.cure("a colon followed by a blank makes a mapping: quote the whole line");
                }
            }
        }
        lines
    }

    // ntp

    fn ntp(&mut self, node: &Node) {
        if !node.is_map() {
            return self.error("ntp", node.pos, format!("takes a mapping, this is {}", node.kind_name()));
        }
        let (mut servers, mut enabled) = (Vec::new(), true);
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("ntp.{name}");
            match name {
                "enabled" => enabled = self.bool(&at, value).unwrap_or(true),
                "servers" | "pools" if value.is_null() => {}
                "servers" | "pools" => {
                    for server in self.words(&at, value, None) {
                        if server.contains(|c: char| c.is_whitespace() || c.is_control()) {
                            self.error(
                                &at,
                                value.pos,
                                "a server's name holds a blank or a control character",
                            );
                        } else if name == "servers" {
                            let pools = servers.iter().position(|(pool, _)| *pool).unwrap_or(servers.len());
                            servers.insert(pools, (false, server));
                        } else {
                            servers.push((true, server));
                        }
                    }
                }
                "ntp_client" | "config" | "allow" | "peers" => {
                    self.warn(&at, key.pos, "no effect: time is kept by systemd-timesyncd");
                }
                _ => self.warn(&at, key.pos, "this key is not known and has no effect"),
            }
        }
        self.config.ntp = enabled.then(|| Ntp { servers: servers.into_iter().map(|(_, s)| s).collect() });
    }

    // users

    fn users(&mut self, node: &Node) {
        // cloud-init merges entries of one name, the first value of a field wins.
        let mut entries: Vec<(usize, Node)> = Vec::new();
        for (i, item) in self.list("users", node).iter().enumerate() {
            let name = item.get("name").and_then(Node::text);
            let first = entries
                .iter_mut()
                .find(|(_, e)| name.is_some() && e.get("name").and_then(Node::text) == name);
            let Some((_, Node { value: Value::Map(fields), .. })) = first else {
                entries.push((i, item.clone()));
                continue;
            };
            for (key, value) in item.entries() {
                if !fields.iter().any(|(k, _)| k.text() == key.text()) {
                    fields.push((key.clone(), value.clone()));
                }
            }
            self.warn(
                &format!("users[{i}]"),
                item.pos,
                "a second entry for this user: merged into the first",
            );
        }
        for (i, item) in &entries {
            let place = format!("users[{i}]");
            let user = match &item.value {
                Value::Map(_) => self.user(&place, item),
                // The distribution's default user: on Flatcar `core`, which is there already.
                Value::Scalar(_) if item.text() == Some("default") => None,
                Value::Scalar(_) => self.login(&place, item).map(|name| UserSpec {
                    place: place.clone(),
                    name,
                    lock_password: true,
                    create_home: true,
                    ..UserSpec::default()
                }),
                Value::List(_) => {
                    self.error(&place, item.pos, "takes a mapping, this is a list");
                    None
                }
            };
            self.config.users.extend(user);
        }
    }

    /// `groups`: names, or names with their members, who may be users of this config too.
    fn groups(&mut self, root: &Node) {
        let Some(node) = root.get("groups").filter(|n| !n.is_null()) else { return };
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
                match self.config.users.iter_mut().find(|u| u.name == member) {
                    Some(user) if user.groups.contains(&group) => {}
                    Some(user) => user.groups.push(group.clone()),
                    // Somebody who is on the machine already, or an error once that is known.
                    None => self.config.users.push(UserSpec {
                        place: at.clone(),
                        name: member,
                        existing: true,
                        groups: vec![group.clone()],
                        ..UserSpec::default()
                    }),
                }
            }
        }
    }

    fn group(&mut self, place: &str, pos: Pos, name: &str) {
        if self.account(place, pos, name) && self.config.groups.iter().all(|g| g.name != name) {
            let spec = GroupSpec { place: place.to_owned(), name: name.to_owned(), ..GroupSpec::default() };
            self.config.groups.push(spec);
        }
    }

    fn login(&mut self, at: &str, node: &Node) -> Option<String> {
        let name = self.word(at, node)?;
        self.account(at, node.pos, &name).then_some(name)
    }

    fn account(&mut self, at: &str, pos: Pos, name: &str) -> bool {
        // shadow-utils' rule, with the capitals and dots that its --badname allows and directories bring.
        let ok = (1..=32).contains(&name.len())
            && !name.starts_with(['-', '.'])
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if !ok {
            self.error(at, pos, "is no name for an account");
            self.cure("letters, digits, `_`, `-` and `.`, at most 32");
        }
        ok
    }

    fn user(&mut self, place: &str, item: &Node) -> Option<UserSpec> {
        let mut user = UserSpec {
            place: place.to_owned(),
            lock_password: true,
            create_home: true,
            ..UserSpec::default()
        };
        for (key, node) in item.entries() {
            // cloud-init takes `lock-passwd` and `lock_passwd` alike.
            let name = key.text().unwrap_or_default().replace('-', "_");
            let at = format!("{place}.{name}");
            match name.as_str() {
                "name" => user.name = self.login(&at, node).unwrap_or_default(),
                "passwd" | "hashed_passwd" => user.password_hash = self.word(&at, node).map(Secret::new),
                "gecos" => user.gecos = self.word(&at, node),
                "homedir" => match self.word(&at, node).map(|p| check_path(&p)) {
                    Some(Ok(path)) => user.home = Some(path),
                    Some(Err(what)) => self.error(&at, node.pos, what),
                    None => {}
                },
                "shell" => user.shell = self.word(&at, node),
                "primary_group" => user.primary_group = self.word(&at, node),
                "groups" => {
                    user.groups = if node.is_null() { Vec::new() } else { self.words(&at, node, Some(',')) };
                    if user.groups.iter().any(|g| g.contains(|c: char| c.is_control() || ": ".contains(c))) {
                        self.error(&at, node.pos, "holds a blank, a colon or a control character");
                    }
                }
                "uid" => match node.text().map(|t| t.parse::<u32>()) {
                    Some(Ok(uid)) => user.uid = Some(uid),
                    Some(Err(_)) => self.error(&at, node.pos, "is no user number"),
                    None => {}
                },
                "inactive" => user.inactive = self.inactive(&at, node),
                "lock_passwd" | "lock_password" => user.lock_password = self.bool(&at, node).unwrap_or(true),
                "system" => user.system = self.bool(&at, node).unwrap_or(false),
                "no_create_home" => user.create_home = !self.bool(&at, node).unwrap_or(false),
                "sudo" if node.bool() == Some(false) => {}
                "sudo" if node.is_null() => {}
                "sudo" => {
                    user.sudo = self.words(&at, node, None);
                    if user.sudo.iter().any(|rule| rule.contains(char::is_control)) {
                        self.error(&at, node.pos, "a rule holds a control character");
                    }
                }
                "ssh_authorized_keys" if node.is_null() => {}
                "ssh_authorized_keys" => user.ssh_keys = self.keys(&at, node),
                "no_log_init" | "no_user_group" if node.bool() == Some(false) => {}
                "plain_text_passwd" if !node.is_null() => {
                    self.error(&at, node.pos, "a password in plain text is not taken");
                    self.cure("give its hash as `passwd`: `openssl passwd -6`");
                }
                _ => self.warn(&at, key.pos, "this key is not known and has no effect"),
            }
        }
        if item.get("name").is_none_or(Node::is_null) {
            self.error(&format!("{place}.name"), item.pos, "missing: a user needs a name");
        }
        (!user.name.is_empty()).then_some(user)
    }

    fn inactive(&mut self, at: &str, node: &Node) -> Option<Inactive> {
        if let Some(days) = node.text().and_then(|t| t.trim().parse().ok()) {
            return Some(Inactive::DaysAfterExpiry(days));
        }
        match self.bool(at, node) {
            Some(true) => Some(Inactive::Now),
            _ => None,
        }
    }
}

/// An absolute path without `.`, `..` and doubled slashes. A relative one stands below `/`, as in cloud-init.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_path(path: &str) -> Result<String, String> {
    if path.contains(char::is_control) {
        return Err("the path holds a control character".to_owned());
    }
    if path.len() > 4095 {
        return Err("the path is longer than 4095 bytes".to_owned());
    }
    let mut clean = String::new();
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            return Err("the path goes up by `..`".to_owned());
        }
        if part.len() > 255 {
            return Err("a part of the path is longer than 255 bytes".to_owned());
        }
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() { Err("the path names no file".to_owned()) } else { Ok(clean) }
}

/// A name for a machine: what Linux and [RFC 1123](https://www.rfc-editor.org/rfc/rfc1123#page-13) take.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_hostname(name: &str) -> Result<(), String> {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    // The kernel's limit is 64 bytes for the whole (`__NEW_UTS_LEN`).
    if name.len() > 64 || !name.split('.').all(label) {
        return Err(
            "no name for a machine: letters, digits and `-`, 63 bytes between dots, 64 in all".to_owned()
        );
    }
    Ok(())
}

/// A word that was mistyped, where it is too short to be a secret that stands in the wrong place.
fn shown(text: &str) -> String {
    if text.len() <= 12 && !text.contains(char::is_control) { format!("{text:?}") } else { "this".to_owned() }
}

/// `user:group`; an empty part, `-1` and `none` leave it alone.
fn parse_owner(text: &str) -> Owner {
    let part = |p: &str| {
        let p = p.trim();
        (!p.is_empty() && p != "-1" && !p.eq_ignore_ascii_case("none")).then(|| p.to_owned())
    };
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    Owner { user: part(user), group: part(group) }
}

/// A scalar as Python's `str()` prints it: what cloud-init quotes into a command.
fn python_str(node: &Node) -> Option<String> {
    let scalar = node.scalar()?;
    Some(match &scalar.kind {
        Kind::Null => "None".to_owned(),
        Kind::Bool(true) => "True".to_owned(),
        Kind::Bool(false) => "False".to_owned(),
        Kind::Int(i) => i.to_string(),
        Kind::Float(_) | Kind::Str => scalar.text.clone(),
        Kind::Bytes(_) => return None,
    })
}
