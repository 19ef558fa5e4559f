// SPDX-License-Identifier: Apache-2.0
//! Ignition, [spec 2.0 to 2.4 and 3.0 to 3.5](https://coreos.github.io/ignition/specs/): Flatcar's own language, and
//! what Cluster API's bootstrap data is in with `format: ignition`.
//!
//! A config is read in three steps: [`super::syntax::json`] parses its text; the tables of [`schema`] check keys and types;
//! a [`Reader`] says what they mean. [`load`] fetches and merges the configs that it names before the last step. The
//! caller fetches what is not in the config.
//!
//! Ignition provisions a machine from the initramfs of its first boot, footplate from the running system. What only the
//! initramfs can do (arrays, encrypted volumes, kernel arguments) is refused by name; nothing is done by halves.

mod disks;
mod load;
mod merge;
pub(crate) mod mixed;
mod passwd;
mod schema;
mod settings;
mod source;
mod storage;
mod units;
mod url;

use std::collections::{HashMap, HashSet};

use super::Decoded;
use super::document::Fetch;
use super::syntax::yaml::{Kind, Node, Value};
use crate::model::config::NodeConfig;
use crate::model::fetch::FetchOptions;
use crate::model::problem::{Pos, Problem, Severity, any_error};
use load::{Loader, Sources};

/// The cure for what only the initramfs can do.
const INITRAMFS: &str = "leave this config to Ignition in the initramfs: hand it over as Ignition user-data that the image's \
    own Ignition reads on the first boot";

/// The first version of 3.x among [`VERSIONS`](schema::VERSIONS).
const FIRST_V3: usize = 5;

/// Reads a config and the configs that it names.
pub fn decode(text: &str, fetch: &mut Fetch<'_>) -> Decoded {
    let mut loader = Loader::new(fetch);
    let Some(whole) = loader.whole(text) else {
        return Decoded { problems: loader.problems, ..Decoded::default() };
    };
    let mut reader = Reader::new(&mut loader.sources, whole.version);
    reader.config(whole.tree);
    let (config, found) = (reader.config, reader.problems);
    // Problems of a single config were told when it was read by itself; here come those that only the merge brings.
    if !whole.merged {
        loader.problems.extend(found);
    } else if !any_error(&loader.problems) {
        let only_errors = found.into_iter().filter(|f| f.severity == Severity::Error);
        let merged =
            |f: Problem| Problem { pos: None, place: format!("the merged config: {}", f.place), ..f };
        loader.problems.extend(only_errors.map(merged));
    }
    Decoded { config, problems: loader.problems }
}

/// Reads what a config means. The schema has checked its types.
struct Reader<'r, 'a, 'f> {
    /// An index of [`VERSIONS`](schema::VERSIONS).
    version: usize,
    sources: &'r mut Sources<'a, 'f>,
    options: FetchOptions,
    problems: Vec<Problem>,
    config: NodeConfig,
    /// Entries of `storage.files` that are no longer in the tree.
    files: Vec<Node>,
    /// The position of each path of a file, directory or link, by the entry's place.
    places: HashMap<String, Pos>,
    /// Bytes of all contents so far.
    unpacked: usize,
    /// Whether `unpacked` went over the limit, and that was told.
    full: bool,
    /// Whether this config will be merged with others: the contents of its files are then fetched for the merged config, whose
    /// settings say how.
    part: bool,
}

impl<'r, 'a, 'f> Reader<'r, 'a, 'f> {
    fn new(sources: &'r mut Sources<'a, 'f>, version: usize) -> Self {
        Self {
            version,
            sources,
            options: FetchOptions::default(),
            problems: Vec::new(),
            config: NodeConfig::default(),
            files: Vec::new(),
            places: HashMap::new(),
            unpacked: 0,
            full: false,
            part: false,
        }
    }

    fn v3(&self) -> bool {
        self.version >= FIRST_V3
    }

    /// Adds an error; a cure can be added to it.
    fn error(&mut self, place: &str, pos: Pos, what: impl Into<String>) -> Hint<'_> {
        self.problems.push(Problem::error(place, what).at(pos));
        Hint(self.problems.last_mut())
    }

    fn warn(&mut self, place: &str, pos: Pos, what: impl Into<String>) -> Hint<'_> {
        self.problems.push(Problem::warning(place, what).at(pos));
        Hint(self.problems.last_mut())
    }

    /// Everything that a whole config says.
    fn config(&mut self, mut tree: Node) {
        self.settings(&tree);
        // Files are most of a large config: each is dropped when it is read.
        let files = tree.get_mut("storage").and_then(|storage| storage.get_mut("files"));
        if let Some(Value::List(files)) = files.map(|files| &mut files.value) {
            self.files = std::mem::take(files);
        }
        self.sections(&tree);
    }

    /// What a config says of the machine.
    fn sections(&mut self, tree: &Node) {
        let section = |name: &str| tree.get(name);
        if let Some(storage) = section("storage") {
            self.storage(storage);
        }
        if let Some(passwd) = section("passwd") {
            self.passwd(passwd);
        }
        for (name, networkd) in [("systemd", false), ("networkd", true)] {
            let units = section(name).and_then(|s| s.get("units")).and_then(Node::list).unwrap_or_default();
            self.units(name, units, networkd);
        }
        self.unit_conflicts();
        if let Some(arguments) = section("kernelArguments")
            && arguments.entries().any(|(_, list)| list.list().is_some_and(|l| !l.is_empty()))
        {
            self.error(
                "kernelArguments",
                arguments.pos,
                "kernel arguments can't be changed on a running system",
            )
            .cure(INITRAMFS);
        }
    }

    /// A value that is in a list twice is an error in 3.x, as for Ignition.
    fn once(&mut self, place: &str, list: &[Node]) {
        let mut seen = HashSet::new();
        for (i, node) in list.iter().enumerate() {
            if node.text().is_some_and(|text| !seen.insert(text)) && self.v3() {
                self.error(&format!("{place}[{i}]"), node.pos, "is in the list twice")
                    .cure("remove one of them");
            }
        }
    }

    /// Entries of a list, with their places. One without `key` is an error; so is, in 3.x, a second one with the same key, of
    /// which 2.x takes the later.
    fn unique<'n>(&mut self, place: &str, list: &'n Node, key: &str) -> Vec<(String, &'n Node)> {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut entries: Vec<(String, &Node)> = Vec::new();
        for (i, item) in list.list().unwrap_or_default().iter().enumerate() {
            let at = format!("{place}[{i}]");
            let Some(name) = item.get(key).and_then(Node::text).filter(|n| !n.is_empty()) else {
                self.error(&format!("{at}.{key}"), item.pos, "missing: the entry needs it");
                continue;
            };
            if !seen.insert(name) && self.v3() {
                self.error(&format!("{at}.{key}"), item.pos, "has two entries").cure("merge them into one");
                continue;
            }
            entries.push((at, item));
        }
        entries
    }
}

/// The problem that was just added.
struct Hint<'a>(Option<&'a mut Problem>);

impl Hint<'_> {
    fn code(mut self, code: &'static str) -> Self {
        if let Some(problem) = &mut self.0 {
            problem.code = code.into();
        }
        self
    }

    fn cure(self, cure: impl Into<String>) {
        if let Some(problem) = self.0 {
            problem.cure = Some(cure.into());
        }
    }
}

/// A boolean of an object; `false` if it is absent.
fn flag(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::bool).unwrap_or(false)
}

/// A string of an object; `None` if it is absent or empty.
fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::text).filter(|t| !t.is_empty())
}

/// Whether a node holds nothing. Go programs write empty objects for what is not set.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().all(|(_, v)| is_empty(v)),
        Value::List(items) => items.is_empty(),
        Value::Scalar(scalar) => scalar.kind == Kind::Null,
    }
}
