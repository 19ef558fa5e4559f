// SPDX-License-Identifier: Apache-2.0
//! A config with the configs that it names: each is read, checked by itself, and merged into the one that names it.

use std::collections::HashMap;

use super::schema::VERSIONS;
use super::{FIRST_V3, Reader, merge, schema};
use crate::decode::document::Fetch;
use crate::decode::syntax::json;
use crate::decode::syntax::yaml::Node;
use crate::model::fetch::{Request, Unfetched};
use crate::model::problem::{Pos, Problem};
use crate::model::secret::Secret;

/// How deep configs may name each other. Cluster API's AWS provider needs one level, users two.
const MAX_DEPTH: usize = 8;

/// How many configs are read. A config may name many, and each of them many again, so their number is limited too.
pub(super) const MAX_CONFIGS: usize = 64;

/// Everything that configs name. Each resource is fetched once, however often it is read.
pub(super) struct Sources<'a, 'f> {
    pub(super) fetch: &'a mut Fetch<'f>,
    pub(super) have: HashMap<Request, Result<Option<Secret>, Unfetched>>,
}

/// A config together with the configs that are merged into it.
pub(super) struct Whole {
    /// An index of [`VERSIONS`].
    pub(super) version: usize,
    pub(super) tree: Node,
    /// Whether more than one config is in it.
    pub(super) merged: bool,
}

/// The way from the first config to this one.
struct Trail<'a> {
    /// The place that names this config, `ignition.config.merge[0]`; empty for the first config.
    place: &'a str,
    depth: usize,
    above: Option<(&'a Trail<'a>, &'a [u8])>,
    /// Version and tree of the configs above: their timeouts, proxies and authorities apply to what this one names too.
    settings: Option<(usize, &'a Node)>,
}

impl Trail<'_> {
    /// Whether a config above has this text.
    fn holds(&self, text: &[u8]) -> bool {
        self.above.is_some_and(|(trail, above)| above == text || trail.holds(text))
    }

    /// A place in this config, behind the place that names it.
    fn place(&self, within: &str) -> String {
        [self.place, within].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ")
    }

    /// A problem of this config in the terms of the first one: its place begins with the place that names this config.
    /// A position in another text than the user's goes into the words.
    fn located(&self, problem: Problem) -> Problem {
        if self.place.is_empty() {
            return problem;
        }
        let at = problem.pos.map(|p| format!(" (line {}, column {} of that config)", p.line, p.column));
        Problem {
            place: self.place(&problem.place),
            what: problem.what + &at.unwrap_or_default(),
            pos: None,
            ..problem
        }
    }
}

/// A config that another one names, fetched.
pub(super) struct Named {
    pub(super) place: String,
    pub(super) pos: Pos,
    pub(super) text: Vec<u8>,
    /// Whether it replaces the config that names it, instead of being merged into it.
    pub(super) replaces: bool,
}

/// Reads configs and the configs that they name.
pub(super) struct Loader<'a, 'f> {
    pub(super) sources: Sources<'a, 'f>,
    pub(super) problems: Vec<Problem>,
    configs: usize,
}

impl<'a, 'f> Loader<'a, 'f> {
    pub(super) fn new(fetch: &'a mut Fetch<'f>) -> Self {
        Self { sources: Sources { fetch, have: HashMap::new() }, problems: Vec::new(), configs: 0 }
    }

    /// The first config with all that it names; `None` if a problem says why it can't be read.
    pub(super) fn whole(&mut self, text: &str) -> Option<Whole> {
        self.load(text, &Trail { place: "", depth: 0, above: None, settings: None })
    }

    fn load(&mut self, text: &str, trail: &Trail<'_>) -> Option<Whole> {
        self.configs += 1;
        let read = json::parse(text).and_then(|tree| Ok((version(&tree)?, tree)));
        let (version, tree) = match read {
            Ok(read) => read,
            Err(problem) => {
                self.problems.push(trail.located(problem));
                return None;
            }
        };
        let (tree, named) = self.alone(version, tree, trail);
        let mut whole = Whole { version, tree, merged: !named.is_empty() || !trail.place.is_empty() };
        for child in named {
            if self.configs >= MAX_CONFIGS {
                let what = format!("more than {MAX_CONFIGS} configs name each other");
                self.problems.push(trail.located(Problem::error(&child.place, what).at(child.pos)));
                break;
            }
            self.child(&mut whole, text, trail, &child);
        }
        Some(whole)
    }

    /// Checks a config by itself, so that each problem has its place in the text that it is about. Returns its tree as the
    /// schema has it, and the configs that it names.
    fn alone(&mut self, version: usize, tree: Node, trail: &Trail<'_>) -> (Node, Vec<Named>) {
        let mut reader = Reader::new(&mut self.sources, version);
        let tree = schema::check(tree, version, &mut reader.problems);
        // How to fetch what it names. Problems of these settings are told once: here, or with the whole config.
        let told = reader.problems.len();
        reader.settings(&tree);
        let of_settings = reader.problems.split_off(told);
        if let Some((above, settings)) = trail.settings
            && same_major(above, version)
        {
            reader.settings(&merge::merge(settings, &tree, version >= FIRST_V3));
            reader.problems.truncate(told);
        }
        let named = reader.named(&tree);
        if !named.is_empty() || !trail.place.is_empty() {
            reader.problems.extend(of_settings);
            reader.part = true;
            reader.sections(&tree);
        }
        self.problems.extend(reader.problems.into_iter().map(|p| trail.located(p)));
        (tree, named)
    }

    /// Loads a config that `whole` names, and merges it into `whole`.
    fn child(&mut self, whole: &mut Whole, text: &str, trail: &Trail<'_>, child: &Named) {
        let (version, place) = (whole.version, trail.place(&child.place));
        let so_far = match trail.settings {
            _ if child.replaces => None,
            Some((above, settings)) if same_major(above, version) => {
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
        let pos = if trail.place.is_empty() { Some(child.pos) } else { None };
        let error = |what: String| Problem { pos, ..Problem::error(&place, what) };
        let text = match std::str::from_utf8(&child.text) {
            _ if below.holds(&child.text) => Err("this config names itself, directly or through others"),
            _ if below.depth > MAX_DEPTH => Err("configs name each other more than 8 deep"),
            Err(_) => Err("this config is not UTF-8 text"),
            Ok(text) => Ok(text),
        };
        let text = match text {
            Ok(text) => text,
            Err(what) => return self.problems.push(error(what.to_owned())),
        };
        let Some(read) = self.load(text, &below) else { return };
        if child.replaces {
            *whole = Whole { merged: true, ..read };
        } else if same_major(read.version, version) {
            whole.version = version.max(read.version);
            whole.tree = merge::merge(&whole.tree, &read.tree, version >= FIRST_V3);
        } else {
            let what = format!(
                "this config has version {}, the one that names it {}",
                VERSIONS[read.version], VERSIONS[version]
            );
            self.problems.push(error(what).cure("use one major version for both"));
        }
    }
}

/// Whether two versions, indexes of [`VERSIONS`], are both 2.x or both 3.x.
fn same_major(a: usize, b: usize) -> bool {
    (a < FIRST_V3) == (b < FIRST_V3)
}

/// The version of a config, as an index of [`VERSIONS`].
fn version(tree: &Node) -> Result<usize, Problem> {
    if !tree.is_map() {
        let what = format!("an Ignition config is a mapping, this is {}", tree.kind_name());
        return Err(Problem::error("", what).at(tree.pos));
    }
    let place = "ignition.version";
    let Some(node) = tree.get("ignition").and_then(|i| i.get("version")) else {
        let pos = tree.get("ignition").map_or(tree.pos, |n| n.pos);
        return Err(Problem::error(place, "missing: a config must give its version")
            .at(pos)
            .cure("write \"ignition\": {\"version\": \"3.4.0\"}"));
    };
    let text = node.text().unwrap_or_default();
    if let Some(version) = VERSIONS.iter().position(|v| *v == text) {
        return Ok(version);
    }
    let what = match text.split('.').next() {
        Some("1") => "Ignition 1 is not supported",
        Some("2" | "3") if text.contains('-') => "experimental versions are not supported",
        Some("2" | "3") => "this version is not known",
        _ => "not a version of Ignition's specification",
    };
    Err(Problem::error(place, what).at(node.pos).cure(format!("one of {}", VERSIONS.join(", "))))
}
