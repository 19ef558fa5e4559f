// SPDX-License-Identifier: Apache-2.0
//! Decoders: bytes in, model out. Pure: no I/O, no panic, bounded in size, depth and time.

pub mod azure;
pub mod capa;
pub mod capi;
pub mod cloud_config;
mod containerd;
pub mod document;
pub mod foreign;
pub mod ignition;
pub mod kubeadm;
pub mod network;
pub mod ovf;
pub mod policy;
pub mod signature;
pub mod sites;
pub mod syntax;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::config::{NodeConfig, Script};
use crate::model::problem::{Pos, Problem, Severity, any_error};
use crate::model::secret::Secret;
use document::coreos;
use document::jinja::Variables;
use document::merge::Mergers;
use document::patch;
use document::{Document, Documents, Fetch, Kind, MEDIA_TYPES, Source};
use ignition::mixed;
use syntax::yaml::{self, Node};

pub use document::sniff;

/// What user-data means, and the problems that were found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Decoded {
    /// The node it describes; incomplete where a problem is an error.
    pub config: NodeConfig,
    /// Everything found, errors not only the first.
    pub problems: Vec<Problem>,
}

impl Decoded {
    /// Whether the data can't be used.
    pub fn failed(&self) -> bool {
        any_error(&self.problems)
    }
}

/// Reads user-data and vendor-data as they travel, envelopes included; `fetch` brings what their include lists and
/// Ignition configs name.
pub fn user_data<'d>(
    user: Option<&'d [u8]>,
    vendor: Option<&'d [u8]>,
    variables: &Variables,
    fetch: &mut Fetch<'_>,
) -> Decoded {
    let mut read = |source, data: Option<&'d [u8]>| match data {
        Some(data) => document::read(source, data, variables, fetch),
        None => Documents::default(),
    };
    let (user, vendor) = (read(Source::User, user), read(Source::Vendor, vendor));
    decode(user, vendor, fetch)
}

/// The node that documents describe. The vendor's give way to the user's, and the user may refuse them.
pub fn decode<'d>(mut user: Documents<'d>, mut vendor: Documents<'d>, fetch: &mut Fetch<'_>) -> Decoded {
    let mut trees = Trees { problems: std::mem::take(&mut user.problems), ..Trees::default() };
    let words = if user.list.is_empty() { vendor.words } else { user.words };
    let (mut tree, vendor) = trees.of_both(&user.list, &mut vendor);
    let unknown = coreos::replace(&mut tree, &words);
    let mut decoded = cloud_config::decode(tree, fetch);
    let mut problems = std::mem::take(&mut trees.problems);
    problems.extend(unknown.into_iter().map(|problem| trees.locate(problem)));
    problems.extend(decoded.problems.drain(..).map(|problem| trees.locate(problem)));
    programs(vendor, Source::Vendor, &mut decoded.config, &mut problems);
    programs(&user.list, Source::User, &mut decoded.config, &mut problems);
    mixed::add(vendor, &mut decoded.config, &mut problems, fetch);
    mixed::add(&user.list, &mut decoded.config, &mut problems, fetch);
    cloud_config::name_from_file(&mut decoded.config, &mut problems);
    containerd::check(&decoded.config, &mut problems);
    // What stands in place of a failed tag is no fault of the author's.
    let failed: Vec<Pos> = problems
        .iter()
        .filter(|p| p.is_error() && p.code.starts_with("template/"))
        .filter_map(|p| p.pos)
        .collect();
    if !failed.is_empty() {
        let follows = |p: &Problem| {
            !p.code.starts_with("template/")
                && p.pos.is_some_and(|pos| failed.iter().any(|f| f.line == pos.line))
        };
        problems.retain(|p| !follows(p));
    }
    problems.extend(crowded(&decoded.config));
    // What the platform adds must not stop a node whose own data is good, and who owns the node can't mend it.
    for problem in problems.iter_mut().filter(|p| p.is_error() && p.place.starts_with(document::VENDOR)) {
        problem.severity = Severity::Warning;
        problem.what += "; it is left out";
        problem.cure = None;
    }
    Decoded { config: decoded.config, problems }
}

/// Users and groups that a node may get: each costs a look at all of them.
const MAX_ACCOUNTS: usize = 1000;

/// The error of data that has more users or groups than a node has.
fn crowded(config: &NodeConfig) -> Option<Problem> {
    let groups = config.groups.iter().map(|g| 1 + g.members.len()).sum::<usize>();
    let users = config.users.iter().map(|u| 1 + u.groups.len()).sum::<usize>();
    let place = if users > MAX_ACCOUNTS { "users" } else { "groups" };
    let what = format!("more than {MAX_ACCOUNTS} users, groups and members of groups");
    (groups + users > MAX_ACCOUNTS).then(|| Problem::error(place, what))
}

/// The one cloud-config that all cloud-configs of these documents make, and the problems that were found.
pub fn merged<'d>(mut user: Documents<'d>, mut vendor: Documents<'d>) -> (Node, Vec<Problem>) {
    let mut trees = Trees { problems: std::mem::take(&mut user.problems), ..Trees::default() };
    let (tree, _) = trees.of_both(&user.list, &mut vendor);
    (tree, trees.problems)
}

/// The one tree of these documents' cloud-configs, whose lines are numbered through, and the number of lines before those of
/// each document that is in it.
fn numbered(documents: &[Document<'_>]) -> (Node, Vec<(usize, usize)>) {
    let mut trees = Trees::default();
    let tree = trees.merged(documents);
    let index = |document: &Document<'_>| {
        documents.iter().position(|d| std::ptr::eq(d, document)).unwrap_or_default()
    };
    let firsts = trees.documents.iter().map(|(first, document)| (*first, index(document))).collect();
    (tree, firsts)
}

/// `vendor_data`: whether the user takes the vendor's data at all, and which kinds of it.
fn refuse(vendor: &mut Documents<'_>, wanted: Option<&Node>) {
    if wanted.and_then(|w| w.get("enabled")).and_then(Node::bool) == Some(false) {
        *vendor = Documents::default();
    }
    let disabled = wanted.and_then(|w| w.get("disabled_handlers")).and_then(Node::list).unwrap_or_default();
    let disabled: Vec<&str> = disabled.iter().filter_map(Node::text).collect();
    let refused = |kind: Kind| MEDIA_TYPES.iter().any(|(name, k)| *k == kind && disabled.contains(name));
    vendor.list.retain(|d| !refused(d.kind));
}

/// The trees of documents that become one tree: their lines are numbered through, so that a place in the one tree still
/// tells which document it came from.
#[derive(Default)]
struct Trees<'a, 'd> {
    /// The documents with the lines that are numbered before theirs.
    documents: Vec<(usize, &'a Document<'d>)>,
    lines: usize,
    problems: Vec<Problem>,
}

impl<'a, 'd> Trees<'a, 'd> {
    /// The user's cloud-config above the vendor's, and those of the vendor's documents that the user takes.
    fn of_both(
        &mut self,
        user: &'a [Document<'d>],
        vendor: &'a mut Documents<'d>,
    ) -> (Node, &'a [Document<'d>]) {
        let mut tree = self.merged(user);
        let wanted = tree.remove("vendor_data");
        refuse(vendor, wanted.as_ref());
        self.problems.append(&mut vendor.problems);
        let below = self.merged(&vendor.list);
        let tree = Mergers::of_vendor().merge(tree, below).unwrap_or_else(|problem| {
            let problem = self.locate(problem);
            self.problems.push(problem);
            Node::null()
        });
        (tree, &vendor.list)
    }

    /// The documents' cloud-configs as one.
    fn merged(&mut self, documents: &'a [Document<'d>]) -> Node {
        let mut merged = Node { value: yaml::Value::Map(Vec::new()), ..Node::null() };
        for document in documents {
            let result = match document.kind {
                Kind::CloudConfig => self.config(document, &mut merged),
                Kind::JsonPatch => self.tree(document).and_then(|patch| patch::patch(&mut merged, &patch)),
                _ => Ok(()),
            };
            if let Err(problem) = result {
                let problem =
                    if problem.pos.is_some() { self.locate(problem) } else { document.locate(problem) };
                self.problems.push(problem);
            }
        }
        merged
    }

    fn config(&mut self, document: &'a Document<'d>, merged: &mut Node) -> Result<(), Problem> {
        let mut tree = self.tree(document)?;
        if tree.is_null() {
            let problem = Problem::warning("", "the cloud-config is empty").at(tree.pos);
            self.problems.push(self.locate(problem));
            return Ok(());
        }
        if !tree.is_map() {
            let what = format!("a cloud-config must be a mapping, this is {}", tree.kind_name());
            return Err(Problem::error("", what).at(tree.pos));
        }
        let own = Mergers::take(&mut tree)?;
        let header = document.merge_type.as_deref().map(Mergers::parse).transpose();
        let header = header.map_err(|what| Problem::error("Merge-Type", what))?.flatten();
        let mergers = Mergers::first_of(own, header).unwrap_or_else(Mergers::of_parts);
        if !mergers.take_mappings() {
            // As in cloud-init. A list that is to be appended needs a word for the mapping that it stands in.
            let what = "nothing of this part is used: what it is merged by says nothing of mappings";
            let cure = "add dict: list(append)+dict(recurse_list)+str()";
            let problem = Problem::warning("", what).at(tree.pos).cure(cure);
            self.problems.push(self.locate(problem));
        }
        *merged = mergers.merge(std::mem::replace(merged, Node::null()), tree)?;
        Ok(())
    }

    fn tree(&mut self, document: &'a Document<'d>) -> Result<Node, Problem> {
        let first = self.lines;
        self.documents.push((first, document));
        // An error at the text's end stands on the line below it.
        self.lines += document.text.matches('\n').count() + 2;
        let text = match document.kind {
            // The patch may begin on its header's line, which is a comment to YAML.
            Kind::JsonPatch => Cow::Owned(without_header(&document.text)),
            _ => Cow::Borrowed(&*document.text),
        };
        let mut tree = yaml::parse(&text).map_err(|mut problem| {
            problem.pos.iter_mut().for_each(|pos| pos.line += first);
            problem
        })?;
        tree.shift(first);
        Ok(tree)
    }

    /// A problem in the numbering of all trees as one in the text that its author wrote.
    fn locate(&self, mut problem: Problem) -> Problem {
        let Some(pos) = problem.pos.as_mut() else { return problem };
        let after = self.documents.partition_point(|(first, _)| *first < pos.line);
        match after.checked_sub(1).and_then(|i| self.documents.get(i)) {
            Some((first, document)) => {
                pos.line -= first;
                document.locate(problem)
            }
            None => problem,
        }
    }
}

/// A JSON patch's text with blanks for its header: places stay what they are.
fn without_header(text: &str) -> String {
    const HEADER: &str = "#cloud-config-jsonp";
    let start = text.len() - text.trim_start().len();
    match text.get(start..start + HEADER.len()) {
        Some(header) if header.eq_ignore_ascii_case(HEADER) => {
            format!("{}{:len$}{}", &text[..start], "", &text[start + HEADER.len()..], len = HEADER.len())
        }
        _ => text.to_owned(),
    }
}

/// Scripts and boothooks. Those of the bootstrap are in the order in which they run: by name, and `runcmd` is a name
/// among the user's.
fn programs(
    documents: &[Document<'_>],
    source: Source,
    config: &mut NodeConfig,
    problems: &mut Vec<Problem>,
) {
    let mut scripts: Vec<Script> = Vec::new();
    for document in documents {
        let list = match document.kind {
            Kind::Boothook if document.included => &mut config.included_hooks,
            Kind::Boothook => &mut config.boothooks,
            Kind::BootScript => &mut config.boot_scripts,
            Kind::Script => &mut scripts,
            _ => continue,
        };
        let (text, above) = program(document);
        if document.kind != Kind::Boothook && !text.starts_with("#!") {
            let problem = Problem::error("", "a script must begin with `#!` and its interpreter");
            problems.push(document.locate(problem.at(Pos { line: 1, column: 1 })));
        }
        problems.extend(foreign::in_script(text, above).into_iter().map(|p| document.locate(p)));
        let vendor = if source == Source::Vendor { "vendor-" } else { "" };
        let script = Script {
            place: if document.label.is_empty() { "user-data".to_owned() } else { document.label.clone() },
            name: format!("{vendor}{}", document.name),
            after_commands: source == Source::User && document.name.as_str() > "runcmd",
            content: Secret::from(text),
        };
        match list.iter().find(|s| s.name == script.name) {
            Some(first) => {
                let what = format!("has the same file name as {}, {:?}", first.place, script.name);
                problems.push(
                    document.locate(Problem::error("", what).cure("give each script a name of its own")),
                );
            }
            None => list.push(script),
        }
    }
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    config.scripts.append(&mut scripts);
}

/// The program that a document is, and how many lines stand above it.
fn program<'t>(document: &'t Document<'_>) -> (&'t str, usize) {
    let text = match document.kind {
        Kind::Boothook => boothook_body(&document.text),
        _ => document.text.trim_start(),
    };
    (text, document.text[..document.text.len() - text.len()].matches('\n').count())
}

/// What a boothook runs: all below its header; without an interpreter of its own a shell's.
fn boothook_body(text: &str) -> &str {
    const HEADER: &str = "#cloud-boothook";
    let text = text.trim_start();
    match text.get(..HEADER.len()) {
        Some(header) if header.eq_ignore_ascii_case(HEADER) => text[HEADER.len()..].trim_start(),
        _ => text,
    }
}
