// SPDX-License-Identifier: Apache-2.0
//! Ignition, [spec 2.0 to 2.4 and 3.0 to 3.5](https://coreos.github.io/ignition/specs/): Flatcar's own language, and
//! what Cluster API's bootstrap data is in with `format: ignition`.
//!
//! A config is read in three steps: its JSON by [`super::syntax::json`]; keys and types by the tables of [`schema`]; what they
//! mean by a [`Reader`]. Configs that it names are merged in between. What they
//! hold elsewhere is brought by whoever asks.
//!
//! Ignition makes a machine before its first boot, from the initramfs. footplate makes it on the running system, so what
//! only the initramfs can do (arrays, encrypted volumes, kernel arguments) is refused by name, not done by halves.

mod disks;
mod merge;
pub(crate) mod mixed;
mod passwd;
mod schema;
mod source;
mod storage;
mod units;

use std::collections::HashMap;

use super::Decoded;
use super::document::Fetch;
use super::syntax::json;
use super::syntax::yaml::{Kind, Node, Value};
use crate::model::config::NodeConfig;
use crate::model::fetch::{FetchOptions, Request, Unfetched};
use crate::model::problem::{Pos, Problem, Severity, any_error};
use crate::model::secret::Secret;
use schema::VERSIONS;

/// Configs that name each other, one within the other. Cluster API's AWS provider needs one, users two.
const MAX_DEPTH: usize = 8;

/// Configs in all. A config may name many, each of them many again: the bound is on their number too.
const MAX_CONFIGS: usize = 64;

/// What helps where only the initramfs can.
const INITRAMFS: &str = "leave this config to Ignition in the initramfs: hand it over as Ignition user-data that the image's \
    own Ignition reads on the first boot";

/// Reads a config, and those that it names.
pub fn decode(text: &str, fetch: &mut Fetch<'_>) -> Decoded {
    let sources = Sources { fetch, have: HashMap::new() };
    let mut loader = Loader { sources, configs: 0, problems: Vec::new() };
    let Some(whole) = loader.load(text, &Trail { place: "", depth: 0, above: None, settings: None }) else {
        return Decoded { problems: loader.problems, ..Decoded::default() };
    };
    let mut reader = Reader::new(&mut loader.sources, whole.version);
    reader.config(&whole.tree);
    let (config, found) = (reader.config, reader.problems);
    // What a config says of itself was told when it was read alone; what only the merged one says is told here.
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

/// What configs name, each thing fetched once however often it is read.
struct Sources<'a, 'f> {
    fetch: &'a mut Fetch<'f>,
    have: HashMap<Request, Result<Option<Secret>, Unfetched>>,
}

/// A config with those that it names merged into it.
struct Whole {
    version: usize,
    tree: Node,
    merged: bool,
}

/// How a config was come to.
struct Trail<'a> {
    /// The place that names it, `ignition.config.merge[0]`; empty for the first.
    place: &'a str,
    depth: usize,
    above: Option<(&'a Trail<'a>, &'a [u8])>,
    /// Version and tree of the configs above: how they are fetched holds for what this one names too.
    settings: Option<(usize, &'a Node)>,
}

impl Trail<'_> {
    /// Whether a config with this text stands above.
    fn holds(&self, text: &[u8]) -> bool {
        self.above.is_some_and(|(trail, above)| above == text || trail.holds(text))
    }
}

/// Reads configs and those that they name.
struct Loader<'a, 'f> {
    sources: Sources<'a, 'f>,
    configs: usize,
    problems: Vec<Problem>,
}

impl Loader<'_, '_> {
    /// A problem of a config that another one names: its place begins with the place that names it, and its position,
    /// which is none of the user's text, stands in words.
    fn told(&mut self, trail: &Trail<'_>, problem: Problem) {
        if trail.place.is_empty() {
            return self.problems.push(problem);
        }
        let at = problem.pos.map(|p| format!(" (line {}, column {} of that config)", p.line, p.column));
        self.problems.push(Problem {
            place: [trail.place, &problem.place]
                .into_iter()
                .filter(|p| !p.is_empty())
                .collect::<Vec<_>>()
                .join(": "),
            what: problem.what + &at.unwrap_or_default(),
            pos: None,
            ..problem
        });
    }

    fn load(&mut self, text: &str, trail: &Trail<'_>) -> Option<Whole> {
        self.configs += 1;
        let tree = match json::parse(text) {
            Ok(tree) => tree,
            Err(problem) => {
                self.told(trail, problem);
                return None;
            }
        };
        let version = match version(&tree) {
            Ok(version) => version,
            Err(problem) => {
                self.told(trail, problem);
                return None;
            }
        };
        let mut problems = Vec::new();
        let tree = schema::check(&tree, version, &mut problems);
        // Read alone, so that each problem has its place in the text that it is about.
        let mut reader = Reader::new(&mut self.sources, version);
        reader.problems = problems;
        // How to fetch what it names. What is wrong with that is told once: here, or with all that it says.
        let told = reader.problems.len();
        reader.options(&tree);
        let of_options = reader.problems.split_off(told);
        if let Some((above, settings)) = trail.settings
            && (above < FIRST_V3) == (version < FIRST_V3)
        {
            reader.options(&merge::merge(settings, &tree, version >= FIRST_V3));
            reader.problems.truncate(told);
        }
        let named = reader.named(&tree);
        let alone = named.is_empty() && trail.place.is_empty();
        if !alone {
            reader.problems.extend(of_options);
            reader.part = true;
            reader.sections(&tree);
        }
        for problem in reader.problems {
            self.told(trail, problem);
        }
        let mut whole = Whole { version, tree, merged: !alone };
        for Named { place, pos, text: child, replaces } in named {
            let place =
                [trail.place, &place].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ");
            let so_far = match trail.settings {
                _ if replaces => None,
                Some((above, settings)) if (above < FIRST_V3) == (version < FIRST_V3) => {
                    Some(merge::merge(settings, &whole.tree, version >= FIRST_V3))
                }
                _ => Some(whole.tree.clone()),
            };
            let below = Trail {
                place: &place,
                depth: trail.depth + 1,
                above: Some((trail, text.as_bytes())),
                settings: so_far.as_ref().map(|tree| (version, tree)),
            };
            let what = match std::str::from_utf8(&child) {
                _ if below.holds(&child) => "this config names itself, straight or through others",
                _ if below.depth > MAX_DEPTH => "configs name each other more than 8 deep",
                _ if self.configs >= MAX_CONFIGS => "more than 64 configs name each other",
                Err(_) => "this config is not UTF-8 text",
                Ok(child) => {
                    let Some(child) = self.load(child, &below) else { continue };
                    if replaces {
                        whole = Whole { merged: true, ..child };
                    } else if (child.version < FIRST_V3) == (version < FIRST_V3) {
                        whole.version = whole.version.max(child.version);
                        whole.tree = merge::merge(&whole.tree, &child.tree, version >= FIRST_V3);
                    } else {
                        let what = format!(
                            "a config of version {} is named by one of {}",
                            VERSIONS[child.version], VERSIONS[version]
                        );
                        let at = if trail.place.is_empty() { Some(pos) } else { None };
                        let problem = Problem { pos: at, ..Problem::error(&place, what) };
                        self.problems.push(problem.cure("write both in one major version"));
                    }
                    continue;
                }
            };
            let at = if trail.place.is_empty() { Some(pos) } else { None };
            self.problems.push(Problem { pos: at, ..Problem::error(&place, what) });
        }
        Some(whole)
    }
}

/// The first version of 3.x among [`VERSIONS`].
const FIRST_V3: usize = 5;

/// Which version a config is of, as an index of [`VERSIONS`].
fn version(tree: &Node) -> Result<usize, Problem> {
    if !tree.is_map() {
        let what = format!("an Ignition config is a mapping, this is {}", tree.kind_name());
        return Err(Problem::error("", what).at(tree.pos));
    }
    let place = "ignition.version";
    let Some(node) = tree.get("ignition").and_then(|i| i.get("version")) else {
        let pos = tree.get("ignition").map_or(tree.pos, |n| n.pos);
        return Err(Problem::error(place, "missing: a config says which version it is of")
            .at(pos)
            .cure("\"ignition\": {\"version\": \"3.4.0\"}"));
    };
    let text = node.text().unwrap_or_default();
    if let Some(version) = VERSIONS.iter().position(|v| *v == text) {
        return Ok(version);
    }
    let what = match text.split('.').next() {
        Some("1") => "Ignition 1 is not read",
        Some("2" | "3") if text.contains('-') => "an experimental version is not read",
        Some("2" | "3") => "no version that is known here",
        _ => "is no version of Ignition's specification",
    };
    Err(Problem::error(place, what).at(node.pos).cure(format!("one of {}", VERSIONS.join(", "))))
}

/// A config that another one names, fetched.
struct Named {
    place: String,
    pos: Pos,
    text: Vec<u8>,
    replaces: bool,
}

/// Reads what a config of a version means. Types are as the schema wants them.
struct Reader<'r, 'a, 'f> {
    version: usize,
    sources: &'r mut Sources<'a, 'f>,
    options: FetchOptions,
    problems: Vec<Problem>,
    config: NodeConfig,
    /// Where the paths of files, directories and links stand; where devices do.
    places: HashMap<String, Pos>,
    /// Bytes that its contents have so far, and whether that was too much.
    unpacked: usize,
    full: bool,
    /// It will be merged with others: what its files hold is fetched for the merged config, which says how.
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
            places: HashMap::new(),
            unpacked: 0,
            full: false,
            part: false,
        }
    }

    fn v3(&self) -> bool {
        self.version >= FIRST_V3
    }

    /// Adds an error, to which a cure can be put.
    fn error(&mut self, place: &str, pos: Pos, what: impl Into<String>) -> Hint<'_> {
        self.problems.push(Problem::error(place, what).at(pos));
        Hint(self.problems.last_mut())
    }

    fn warn(&mut self, place: &str, pos: Pos, what: impl Into<String>) -> Hint<'_> {
        self.problems.push(Problem::warning(place, what).at(pos));
        Hint(self.problems.last_mut())
    }

    /// The configs that this one names, as far as they were fetched. `replace` stands alone.
    fn named(&mut self, tree: &Node) -> Vec<Named> {
        let Some(config) = tree.get("ignition").and_then(|i| i.get("config")) else { return Vec::new() };
        let list = if self.v3() { "merge" } else { "append" };
        let mut places: Vec<(String, &Node, bool)> = Vec::new();
        if let Some(replace) = config.get("replace")
            && replace.get("source").is_some()
        {
            places.push(("ignition.config.replace".to_owned(), replace, true));
        } else {
            let items = config.get(list).and_then(Node::list).unwrap_or_default().iter().enumerate();
            places.extend(items.map(|(i, node)| (format!("ignition.config.{list}[{i}]"), node, false)));
        }
        let mut named = Vec::new();
        for (place, node, replaces) in places {
            if node.get("source").is_none_or(|s| s.text() == Some("")) {
                self.error(&place, node.pos, "missing: source says where the config is");
                continue;
            }
            if let Some(text) = self.resource(&place, node) {
                named.push(Named { place, pos: node.pos, text, replaces });
            }
        }
        named
    }

    /// All of a config that stands for itself.
    fn config(&mut self, tree: &Node) {
        self.options(tree);
        self.sections(tree);
    }

    /// What the machine shall be.
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
            self.error("kernelArguments", arguments.pos, "kernel arguments can't be set on a running system")
                .cure(INITRAMFS);
        }
    }

    /// How to fetch.
    fn options(&mut self, tree: &Node) {
        let Some(node) = tree.get("ignition") else { return };
        let seconds = |name: &str| node.get("timeouts").and_then(|t| t.get(name));
        let mut options = FetchOptions::default();
        for (name, slot) in
            [("httpResponseHeaders", &mut options.response_headers), ("httpTotal", &mut options.total)]
        {
            let Some(value) = seconds(name) else { continue };
            match value.int().map(u64::try_from) {
                Some(Ok(value)) => *slot = Some(value),
                _ => {
                    self.error(&format!("ignition.timeouts.{name}"), value.pos, "takes seconds, 0 or more");
                }
            }
        }
        let proxy = node.get("proxy");
        for (name, slot) in [("httpProxy", &mut options.http_proxy), ("httpsProxy", &mut options.https_proxy)]
        {
            let Some(value) = proxy.and_then(|p| p.get(name)) else { continue };
            let text = value.text().unwrap_or_default();
            let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            match host {
                Some(host) if !host.is_empty() && !text.contains(char::is_whitespace) => {
                    *slot = Some(Secret::from(text));
                }
                _ if text.is_empty() => {}
                _ => {
                    let place = format!("ignition.proxy.{name}");
                    self.error(&place, value.pos, "is no http:// or https:// URL of a proxy");
                }
            }
        }
        let none = proxy.and_then(|p| p.get("noProxy")).and_then(Node::list).unwrap_or_default();
        self.once("ignition.proxy.noProxy", none);
        options.no_proxy = none.iter().filter_map(Node::text).map(str::to_owned).collect();
        // The bundles themselves are fetched so, and trusted as the system trusts.
        self.options = options;
        let mut trusted = Vec::new();
        let authorities = node.get("security").and_then(|s| s.get("tls"));
        let authorities = authorities.and_then(|t| t.get("certificateAuthorities")).and_then(Node::list);
        for (i, authority) in authorities.unwrap_or_default().iter().enumerate() {
            let place = format!("ignition.security.tls.certificateAuthorities[{i}]");
            if authority.get("source").is_none_or(|s| s.text() == Some("")) {
                self.error(&place, authority.pos, "missing: source says where the bundle is");
                continue;
            }
            let Some(bundle) = self.resource(&place, authority) else { continue };
            if bundle.windows(BEGIN.len()).any(|w| w == BEGIN) {
                trusted.push(Secret::new(bundle));
            } else {
                self.error(&format!("{place}.source"), authority.pos, "holds no certificate in PEM");
            }
        }
        self.options.authorities = trusted;
    }

    /// Values that stand in a list twice are an error in 3.x, as for Ignition.
    fn once(&mut self, place: &str, list: &[Node]) {
        let mut seen = std::collections::HashSet::new();
        for (i, node) in list.iter().enumerate() {
            if node.text().is_some_and(|text| !seen.insert(text)) && self.v3() {
                self.error(&format!("{place}[{i}]"), node.pos, "is there twice")
                    .cure("leave one of them out");
            }
        }
    }

    /// Entries of a list whose `key` is missing or, in 3.x, there twice are an error; 2.x takes the later one.
    fn unique<'n>(&mut self, place: &str, list: &'n Node, key: &str) -> Vec<(String, &'n Node)> {
        let mut seen: Vec<&str> = Vec::new();
        let mut entries: Vec<(String, &Node)> = Vec::new();
        for (i, item) in list.list().unwrap_or_default().iter().enumerate() {
            let at = format!("{place}[{i}]");
            let Some(name) = item.get(key).and_then(Node::text).filter(|n| !n.is_empty()) else {
                self.error(&format!("{at}.{key}"), item.pos, "missing");
                continue;
            };
            if seen.contains(&name) && self.v3() {
                self.error(&format!("{at}.{key}"), item.pos, "is there twice").cure("make one entry of both");
                continue;
            }
            seen.push(name);
            entries.push((at, item));
        }
        entries
    }
}

/// How a certificate in PEM begins.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The problem that was just added.
struct Hint<'a>(Option<&'a mut Problem>);

impl Hint<'_> {
    fn cure(self, cure: impl Into<String>) {
        if let Some(problem) = self.0 {
            problem.cure = Some(cure.into());
        }
    }
}

/// A boolean of an object; absent is false.
fn flag(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::bool).unwrap_or(false)
}

/// A string of an object; absent and empty are none.
fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::text).filter(|t| !t.is_empty())
}

/// Whether a node holds anything: objects that a Go program left empty stand for nothing.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().all(|(_, v)| is_empty(v)),
        Value::List(items) => items.is_empty(),
        Value::Scalar(scalar) => scalar.kind == Kind::Null,
    }
}
