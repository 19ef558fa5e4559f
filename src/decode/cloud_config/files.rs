// SPDX-License-Identifier: Apache-2.0
//! `write_files`.

use std::collections::HashMap;

use super::{Field, Reader};
use crate::decode::document::display_url;
use crate::decode::document::envelope::{Encoding, MAX_DECODED};
use crate::decode::foreign::{self, Language};
use crate::decode::syntax::unit;
use crate::decode::syntax::yaml::{Kind, Node, Value};
use crate::model::fetch::{Request, check_header};
use crate::model::paths::{default_mode, has_drive};
use crate::model::problem::{NOT_FETCHED, Pos, Problem, READ_ONLY, any_error};
use crate::model::secret::Secret;
use crate::model::storage::{Existing, File, Owner};

/// The part of `/usr` that a baked image makes writable.
const LOCAL: &str = "/usr/local/";

/// Most that all encoded files together unpack to.
const MAX_UNPACKED: usize = MAX_DECODED;

/// Takes the contents of files out of the tree, by their places: they are most of a large document, and are not copied.
pub(super) fn take_contents(root: &mut Node) -> HashMap<String, String> {
    let files = root.get_mut("write_files").map(|node| &mut node.value);
    let Some(Value::List(items)) = files else { return HashMap::new() };
    let content = |(i, item): (usize, &mut Node)| match &mut item.get_mut("content")?.value {
        Value::Scalar(s) if !matches!(s.kind, Kind::Null | Kind::Bytes(_)) => {
            Some((format!("write_files[{i}].content"), std::mem::take(&mut s.text)))
        }
        _ => None,
    };
    items.iter_mut().enumerate().filter_map(content).collect()
}

/// What a file's `source` brought.
enum Source {
    /// Nothing: the entry's own content is written.
    None,
    /// Nothing yet: the node fetches it later, or an error has been reported.
    Later,
    Brought(Vec<u8>),
}

/// An entry of `write_files` while its fields are read.
struct Entry {
    path: Option<String>,
    path_pos: Pos,
    content: Vec<u8>,
    content_pos: Pos,
    /// Whether the entry has content of its own.
    given: bool,
    encoding: Encoding,
    owner: Owner,
    /// `None` where the entry gives none.
    mode: Option<u32>,
    append: bool,
    defer: bool,
    source: Source,
}

impl Reader<'_> {
    /// Files in their order, then those that are deferred until packages and users are there.
    pub(super) fn files(&mut self, node: &Node) {
        let mut deferred = Vec::new();
        for (i, item) in self.list("write_files", node).iter().enumerate() {
            let before = self.problems.len();
            let read = self.file(&format!("write_files[{i}]"), item);
            if let (Some((file, defer)), false) = (read, any_error(&self.problems[before..])) {
                if defer { &mut deferred } else { &mut self.config.files }.push(file);
            }
        }
        self.config.files.append(&mut deferred);
    }

    /// A file, and whether it is deferred.
    fn file(&mut self, place: &str, item: &Node) -> Option<(File, bool)> {
        let mut entry = Entry {
            path: None,
            path_pos: item.pos,
            content: Vec::new(),
            content_pos: item.pos,
            given: false,
            encoding: Encoding::Plain,
            owner: Owner::root(),
            mode: None,
            append: false,
            defer: false,
            source: Source::None,
        };
        for field in self.fields(place, item) {
            self.file_field(&field, item, &mut entry);
        }
        if item.is_map() && self.given(item, "path").is_none() {
            self.error(&format!("{place}.path"), item.pos, "missing: a file needs a path");
            self.cure("add `path: /etc/…`");
        }
        // The encoding is that of the content; what comes from elsewhere is taken as it is.
        let content = match entry.source {
            Source::Brought(bytes) => Ok(bytes),
            Source::Later if !entry.given => Ok(Vec::new()),
            Source::Later | Source::None => self.decoded(&mut entry),
        };
        let content = match content {
            Ok(content) => content,
            Err(what) => {
                self.error(&format!("{place}.content"), entry.content_pos, what);
                self.cure(
                    "write the content as `encoding` says, or remove `encoding` where it is plain text",
                );
                return None;
            }
        };
        let path = entry.path?;
        self.problems.extend(foreign::in_file(place, Language::CloudConfig, entry.path_pos, &path, &content));
        if let Some((what, cure)) = unit::misnamed_file(&path, &content) {
            self.error(&format!("{place}.path"), entry.path_pos, what);
            self.cure(cure);
        }
        let file = File {
            place: place.to_owned(),
            mode: entry.mode.unwrap_or_else(|| default_mode(&path)),
            path,
            content: Secret::new(content),
            owner: entry.owner,
            append: entry.append,
            existing: Existing::Written,
            restart: None,
        };
        Some((file, entry.defer))
    }

    fn file_field(&mut self, field: &Field<'_>, item: &Node, entry: &mut Entry) {
        let Field { name, at, value, .. } = field;
        match name.as_str() {
            "path" => {
                (entry.path, entry.path_pos) = (self.path(at, value), value.pos);
                self.relative(at, value.pos, value.text().unwrap_or_default());
                if entry.path.as_ref().is_some_and(|p| of_the_kernel(p)) {
                    self.error(at, value.pos, OF_THE_KERNEL);
                    self.cure(NOT_BY_A_FILE);
                }
                if entry.path.as_ref().is_some_and(|p| read_only(p)) {
                    self.warn(
                        at,
                        value.pos,
                        "is in /usr, which is read-only on Flatcar: the node would stop here",
                    );
                    self.cure("write programs to /opt/bin or /usr/local/bin, units to /etc/systemd/system");
                    if let Some(last) = self.problems.last_mut() {
                        last.code = READ_ONLY.into();
                    }
                }
            }
            "content" => {
                (entry.content_pos, entry.given) = (value.pos, !value.is_null());
                entry.content = self.content(at, value);
            }
            "encoding" => match self.text(at, value).map(|e| (Encoding::by_name(&e), e)) {
                Some((Some(e), _)) => entry.encoding = e,
                Some((None, _)) => {
                    self.error(at, value.pos, "is not a known encoding");
                    self.cure(Encoding::HINT);
                }
                None => {}
            },
            "owner" => match self.text(at, value) {
                Some(text) if text.contains(char::is_control) => {
                    self.error(at, value.pos, "must not contain a control character");
                }
                text => entry.owner = text.map_or_else(Owner::root, |o| parse_owner(&o)),
            },
            "permissions" => entry.mode = self.permissions(at, value).or(entry.mode),
            "append" => entry.append = self.bool(at, value).unwrap_or(false),
            "defer" => entry.defer = self.bool(at, value).unwrap_or(false),
            "source" if value.is_null() => {}
            "source" => entry.source = self.source(at, value, item),
            _ => self.unknown(at, field.key),
        }
    }

    /// An entry's content without its encoding. What all files unpack to is counted in one sum.
    fn decoded(&mut self, entry: &mut Entry) -> Result<Vec<u8>, String> {
        let content = std::mem::take(&mut entry.content);
        if entry.encoding == Encoding::Plain {
            return Ok(content);
        }
        let content = entry.encoding.decode(content, MAX_UNPACKED.saturating_sub(self.unpacked));
        let over = |_| format!("all files together unpack to more than {} MiB", MAX_UNPACKED >> 20);
        let content = if self.unpacked > 0 && content.as_ref().is_err_and(|e| e.contains("unpacks to")) {
            content.map_err(over)
        } else {
            content
        }?;
        self.unpacked += content.len();
        Ok(content)
    }

    /// Warns of a path without a `/` at its beginning.
    pub(super) fn relative(&mut self, at: &str, pos: Pos, path: &str) {
        if has_drive(path) {
            self.warn(at, pos, "is a path of Windows, and this machine has Flatcar");
            self.cure("take this KubeadmConfig away from the machine's template, or choose a Windows image");
        } else if !path.is_empty() && !path.starts_with(['/', '$', '{']) {
            self.warn(at, pos, "is not an absolute path: it is taken from the root directory");
            self.cure("begin it with `/`");
        }
    }

    fn content(&mut self, at: &str, node: &Node) -> Vec<u8> {
        let Value::Scalar(scalar) = &node.value else {
            self.takes(at, node, "a string");
            self.cure("put `|` behind `content:` to make what follows a string");
            return Vec::new();
        };
        match &scalar.kind {
            Kind::Null => Vec::new(),
            Kind::Bytes(bytes) => bytes.clone(),
            // A text of the author's own was taken out of the tree.
            _ => self.contents.remove(at).unwrap_or_else(|| scalar.text.clone()).into_bytes(),
        }
    }

    /// `source`: a file's content from elsewhere. Where it cannot be fetched, the entry's own content is written, if
    /// there is one.
    fn source(&mut self, at: &str, node: &Node, item: &Node) -> Source {
        let (mut request, mut uri) = (Request::plain(""), None);
        for field in self.fields(at, node) {
            match field.name.as_str() {
                "uri" => uri = self.text(&field.at, field.value),
                "headers" => request.headers = self.headers(&field.at, field.value),
                _ => self.unknown(&field.at, field.key),
            }
        }
        let own = self.given(item, "content").is_some();
        let Some(uri) = uri else {
            if node.is_map() && !own {
                self.error(&format!("{at}.uri"), node.pos, "missing: the address of the content");
                self.cure("add `uri: https://…`");
            }
            return Source::None;
        };
        let shown = match display_url(&uri) {
            shown if shown.is_empty() => shown,
            shown => shown + ": ",
        };
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
                self.note(
                    at,
                    node.pos,
                    format!("{shown}is not fetched here: the node fetches it when it boots"),
                );
                self.code(NOT_FETCHED);
                return Source::Later;
            }
            Err(why) if own => {
                self.warn(at, node.pos, format!("{shown}{}; the entry's own content is written", why.what));
            }
            Err(why) => {
                let problem = Problem::error(at, format!("{shown}{}", why.what)).at(node.pos);
                self.problems.push(why.mark(problem));
                self.cure("add `content`: it is written where `source` cannot be fetched");
                return Source::Later;
            }
        }
        Source::None
    }

    /// Headers of a request: a mapping of names to values.
    fn headers(&mut self, at: &str, node: &Node) -> Vec<(String, Secret)> {
        if node.is_null() {
            return Vec::new();
        }
        let mut headers = Vec::new();
        for Field { name, at, value, .. } in self.fields(at, node) {
            let Some(text) = self.text(&at, value) else { continue };
            match check_header(&name, &text) {
                Ok(()) => headers.push((name, Secret::from(text.as_str()))),
                Err(what) => self.error(&at, value.pos, what),
            }
        }
        headers
    }

    /// Octal digits, quoted or not. cloud-init reads an unquoted `644` as a decimal number and sets 01204, which no
    /// author means.
    fn permissions(&mut self, at: &str, node: &Node) -> Option<u32> {
        let text = self.text(at, node)?;
        let digits = text.trim();
        let octal = digits.strip_prefix("0o").unwrap_or(digits);
        let mode = u32::from_str_radix(octal, 8).ok().filter(|m| *m <= 0o7777 && !octal.starts_with('+'));
        match mode {
            None => {
                self.error(at, node.pos, "is not octal permission bits");
                self.cure("write digits from 0 to 7 in quotes, such as '0640'");
            }
            Some(m) if node.int().is_some() && !digits.starts_with('0') => {
                self.warn(at, node.pos, format!("an unquoted {digits} is taken as octal, {m:04o}"));
                self.cure(format!("quote it: '{m:04o}'; cloud-init would read it as a decimal number"));
            }
            Some(_) => {}
        }
        mode
    }
}

/// Whether a path is read-only on Flatcar: it is in `/usr`, or leads there.
pub fn in_usr(path: &str) -> bool {
    ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/"].iter().any(|dir| path.starts_with(dir))
}

/// Whether nothing can be made at this path on a node of this program, which has a layer over `/usr/local`.
pub fn read_only(path: &str) -> bool {
    in_usr(path) && !path.starts_with(LOCAL)
}

/// Whether a path is the kernel's own.
pub fn of_the_kernel(path: &str) -> bool {
    path.starts_with("/proc/") || path.starts_with("/sys/")
}

/// What is said of such a path.
pub const OF_THE_KERNEL: &str = "is where the kernel shows what it knows: no file can be made there";

/// And its cure.
pub const NOT_BY_A_FILE: &str =
    "write sysctls to /etc/sysctl.d, and other settings to /etc/tmpfiles.d: `w /sys/PATH - - - - VALUE`";

/// An absolute path without `.`, `..` and doubled slashes. A relative one is taken from `/`, as in cloud-init.
///
/// # Errors
/// Says what is wrong with the path.
pub fn check_path(path: &str) -> Result<String, String> {
    if path.contains(char::is_control) {
        return Err("the path contains a control character".to_owned());
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
    if clean.is_empty() { Err("the path is empty or the root directory".to_owned()) } else { Ok(clean) }
}

/// `user:group`; an empty part, `-1` and `none` leave it as it is.
fn parse_owner(text: &str) -> Owner {
    let part = |p: &str| {
        let p = p.trim();
        (!p.is_empty() && p != "-1" && !p.eq_ignore_ascii_case("none")).then(|| p.to_owned())
    };
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    Owner { user: part(user), group: part(group) }
}
