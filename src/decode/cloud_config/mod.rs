// SPDX-License-Identifier: Apache-2.0
//! `#cloud-config`, as [cloud-init reads it](https://docs.cloud-init.io/en/latest/reference/modules.html).
//!
//! Where cloud-init loses data in silence (it writes an unknown encoding raw, and an unknown owner ends its list), this
//! is an error. Where YAML 1.1 misleads the author (`permissions: 644`), the author's meaning is taken.

mod commands;
mod coreos;
mod disks;
mod ending;
mod files;
mod keys;
mod logins;
mod mounts;
mod names;
mod system;
mod users;

pub use ending::final_message;
pub use files::{NOT_BY_A_FILE, OF_THE_KERNEL, check_path, in_usr, of_the_kernel, read_only};
pub use names::check_hostname;
pub(super) use names::from_file as name_from_file;

use std::collections::{BTreeMap, HashMap};

use super::Decoded;
use super::document::Fetch;
use super::foreign;
use super::syntax::yaml::{Node, Value};
use crate::model::config::NodeConfig;
use crate::model::problem::{Pos, Problem, Severity, UNKNOWN_KEY};
use keys::{KEYS, Key};

/// Flatcar's own user, which every image has: cloud-init's default user.
const DEFAULT_USER: &str = "core";

/// Keys that nothing reads and that are told one by one.
const MAX_UNKNOWN: usize = 200;

/// Reads a cloud-config's tree, a mapping; `fetch` brings what files take from elsewhere.
pub fn decode(mut root: Node, fetch: &mut Fetch<'_>) -> Decoded {
    let contents = files::take_contents(&mut root);
    let mut reader = Reader {
        config: NodeConfig::default(),
        problems: Vec::new(),
        fetch,
        fetched: 0,
        unpacked: 0,
        contents,
        unknown: 0,
        default_user: DEFAULT_USER.to_owned(),
        aliases: BTreeMap::new(),
        clouds_disk_weighs: Severity::Warning,
    };
    reader.root(&root);
    foreign::settle(&mut reader.problems);
    Decoded { config: reader.config, problems: reader.problems }
}

struct Reader<'a> {
    config: NodeConfig,
    problems: Vec<Problem>,
    fetch: &'a mut Fetch<'a>,
    /// Bytes that `fetch` brought.
    fetched: usize,
    /// Bytes that encoded files unpacked to.
    unpacked: usize,
    /// Contents of files that were taken out of the tree, by their places.
    contents: HashMap<String, String>,
    /// Keys that nothing reads.
    unknown: usize,
    /// Who gets the keys and the password that are for no user by name.
    default_user: String,
    /// `device_aliases`: names and the devices' paths.
    aliases: BTreeMap<String, String>,
    /// How much it weighs that a disk of a cloud's own names is left alone.
    clouds_disk_weighs: Severity,
}

/// A field of a mapping.
struct Field<'a> {
    /// The key's text, empty where it has none.
    name: String,
    /// Its place in the document, `users[0].name`.
    at: String,
    key: &'a Node,
    value: &'a Node,
}

impl Reader<'_> {
    fn root(&mut self, root: &Node) {
        for (key, node) in root.entries() {
            let Some(name) = key.text() else {
                self.error(
                    "",
                    key.pos,
                    format!("a top-level key must be a word, this is {}", key.kind_name()),
                );
                continue;
            };
            match KEYS.iter().find(|(k, _)| *k == name).map(|(_, key)| key) {
                // Cluster API leaves disk_setup or fs_setup empty where only the other one is used.
                Some(_) if node.is_null() => {}
                Some(Key::Read(read)) => read(self, node),
                Some(Key::Beside) => {}
                Some(Key::Done(how)) => {
                    self.note(name, key.pos, "nothing to do");
                    self.cure(*how);
                }
                Some(Key::NoEffect(why, instead)) => {
                    self.warn(name, key.pos, *why);
                    self.cure(*instead);
                }
                None => self.unknown(name, key),
            }
        }
        self.hostname(root);
        self.users(root);
        self.ssh_authorized_keys(root);
        self.passwords(root);
        self.groups(root);
        self.resolv_conf(root);
        self.disks(root);
    }

    // Problems

    fn error(&mut self, place: &str, pos: Pos, what: impl Into<String>) {
        self.problems.push(Problem::error(place, what).at(pos));
    }

    fn warn(&mut self, place: &str, pos: Pos, what: impl Into<String>) {
        self.problems.push(Problem::warning(place, what).at(pos));
    }

    fn note(&mut self, place: &str, pos: Pos, what: impl Into<String>) {
        self.problems.push(Problem::note(place, what).at(pos));
    }

    /// Gives the last problem its code.
    fn code(&mut self, code: &'static str) {
        if let Some(last) = self.problems.last_mut() {
            last.code = code.into();
        }
    }

    /// Gives the last problem its cure.
    fn cure(&mut self, cure: impl Into<String>) {
        if let Some(last) = self.problems.last_mut() {
            last.cure = Some(cure.into());
        }
    }

    /// A key that nothing reads. One that is nearly a known key is an error: its author relies on it.
    fn unknown(&mut self, place: &str, key: &Node) {
        self.unknown += 1;
        if self.unknown > MAX_UNKNOWN {
            if self.unknown == MAX_UNKNOWN + 1 {
                self.error("", key.pos, format!("more than {MAX_UNKNOWN} keys are not known"));
            }
            return;
        }
        match keys::meant(place) {
            Some(meant) => {
                self.error(place, key.pos, "this key is not known");
                self.cure(format!("did you mean `{meant}`?"));
            }
            None => self.warn(place, key.pos, "this key is not known and has no effect"),
        }
        self.code(UNKNOWN_KEY);
    }

    /// A key that cloud-init documents and that is not applied here: why, and what to do instead.
    fn no_effect(&mut self, field: &Field<'_>, why: &str, instead: &str) {
        self.warn(&field.at, field.key.pos, format!("no effect: {why}"));
        self.cure(instead);
    }

    /// The error of a node that is not of the kind that is expected.
    fn takes(&mut self, place: &str, node: &Node, kind: &str) {
        self.error(place, node.pos, format!("must be {kind}, this is {}", node.kind_name()));
        match kind {
            "a list" => self.cure("begin each item with `- ` on a line of its own, or write `[ONE, TWO]`"),
            "a mapping" => self.cure("write `KEY: VALUE`, each key on a line of its own below this one"),
            "true or false" => self.cure("write `true` or `false`, without quotes"),
            // A text with `: ` in it is a mapping, and one that begins with `[` a list.
            _ if node.is_map() || node.list().is_some() => {
                self.cure("write one value; a text that holds `: ` or begins with `{` or `[` needs quotes");
            }
            _ => {}
        }
    }

    // Values

    /// The named value of a mapping, if it is given and not null.
    fn given<'n>(&self, node: &'n Node, key: &str) -> Option<&'n Node> {
        node.get(key).filter(|n| !n.is_null())
    }

    /// A mapping's fields; an error where the node is not a mapping.
    fn fields<'n>(&mut self, place: &str, node: &'n Node) -> Vec<Field<'n>> {
        if !node.is_map() {
            self.takes(place, node, "a mapping");
        }
        let field = |(key, value): (&'n Node, &'n Node)| {
            let name = key.text().unwrap_or_default().to_owned();
            Field { at: format!("{place}.{name}"), name, key, value }
        };
        node.entries().map(field).collect()
    }

    /// A scalar's text as its author wrote it; `None` for null and the empty string; an error for a list or a mapping.
    fn text(&mut self, place: &str, node: &Node) -> Option<String> {
        if node.is_null() {
            return None;
        }
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            self.takes(place, node, "a string");
        }
        text.filter(|t| !t.is_empty())
    }

    /// The same for a field of an account file, which neither a colon nor a line end may break.
    fn word(&mut self, place: &str, node: &Node) -> Option<String> {
        let text = self.text(place, node)?;
        if text.contains(|c: char| c.is_control() || c == ':') {
            self.error(place, node.pos, "must not contain a colon or a control character");
            return None;
        }
        Some(text)
    }

    /// An absolute path.
    fn path(&mut self, place: &str, node: &Node) -> Option<String> {
        let text = self.text(place, node)?;
        check_path(&text).map_err(|what| self.error(place, node.pos, what)).ok()
    }

    fn bool(&mut self, place: &str, node: &Node) -> Option<bool> {
        if node.is_null() {
            return None;
        }
        let value = node.bool();
        if value.is_none() {
            self.takes(place, node, "true or false");
        }
        value
    }

    /// The named bool of a mapping.
    fn flag(&mut self, root: &Node, key: &str) -> Option<bool> {
        root.get(key).and_then(|n| self.bool(key, n))
    }

    /// A list of strings, written as a list, or as one string. Names, of which `split` divides several, may also be a mapping's
    /// keys.
    fn words(&mut self, place: &str, node: &Node, split: Option<char>) -> Vec<String> {
        let mut words = Vec::new();
        match &node.value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    words.extend(self.text(&format!("{place}[{i}]"), item));
                }
            }
            Value::Map(_) if split.is_none() => self.takes(place, node, "a list"),
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
        self.takes(place, node, "a list");
        &[]
    }
}
