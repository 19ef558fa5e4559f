// SPDX-License-Identifier: Apache-2.0
//! Where the places of problems stand: for what is found once the data has been decoded.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::document::jinja::{self, Variables};
use super::document::{self, Document, Kind, Source, no_fetch, prefixed, step_to_scalar, unlabelled};
use super::syntax::json;
use super::syntax::yaml::{self, Node, Value};
use super::{numbered, program};
use crate::model::problem::{Pos, Problem};

/// The node at a place of a tree, `write_files[0].content`; what stands behind it in brackets does not matter.
pub fn find<'n>(tree: &'n Node, place: &str) -> Option<&'n Node> {
    let mut node = tree;
    for part in place.split(" (").next().unwrap_or_default().split('.') {
        let (key, indexes) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        node = if key.is_empty() { node } else { node.get(key)? };
        for index in indexes.split(['[', ']']).filter(|i| !i.is_empty()) {
            node = match (node.list(), index.parse::<usize>().ok()?) {
                (Some(items), index) => items.get(index)?,
                // One value in place of a list of one.
                (None, 0) if !node.is_map() => node,
                (None, _) => return None,
            };
        }
    }
    Some(node)
}

/// The entries of a list that have a name, the last one first, each with its index and that name.
fn named(list: &Node) -> impl Iterator<Item = (usize, &str, &Node)> {
    let entries = list.list().unwrap_or_default().iter().enumerate().rev();
    entries.filter_map(|(i, entry)| Some((i, entry.get("name")?.text()?, entry)))
}

/// Bytes of a line that people break. Data of one line is JSON, and may have many texts.
const LONGEST_LINE: usize = 4096;

/// Whether a text that begins in this line without quotes goes on in the next one.
pub fn is_joined(line: &str, node: &Node) -> bool {
    let text = node.text().unwrap_or_default();
    let text = text.strip_suffix('\n').unwrap_or(text);
    if line.len() > LONGEST_LINE || !text.contains(' ') || text.contains('\n') {
        return false;
    }
    let begins: String = line.chars().skip(node.pos.column.saturating_sub(1)).collect();
    let plain = !begins.starts_with(['"', '\'', '|', '>', '!', '&', '*']);
    // Below a `>` it is meant, but for a program.
    let meant = node.text().is_some_and(|text| text.ends_with('\n')) && !text.starts_with("#!");
    let begins = begins.trim_end();
    plain && !meant && text.starts_with(begins) && text.len() > begins.len()
}

/// What the data has.
struct Read<'d> {
    documents: Vec<Document<'d>>,
    /// The tree of its cloud-configs, and of each document of it the lines that are numbered before its own.
    tree: Node,
    firsts: Vec<(usize, usize)>,
    /// The tree of its one Ignition config, and which document that is.
    ignition: Option<(usize, Node)>,
    /// The trees of its documents, each by itself, once one of several is asked for.
    own: OnceCell<Vec<Option<Node>>>,
}

impl<'d> Read<'d> {
    fn new(data: &'d [u8], variables: &Variables) -> Self {
        let documents = document::read(Source::User, data, variables, &mut no_fetch).list;
        let (tree, firsts) = numbered(&documents);
        let mut configs = documents.iter().enumerate().filter(|(_, d)| d.kind == Kind::Ignition);
        let one = configs.next().filter(|_| configs.next().is_none());
        let ignition = one.and_then(|(at, document)| Some((at, json::parse(&document.text).ok()?)));
        Self { documents, tree, firsts, ignition, own: OnceCell::new() }
    }

    /// The cloud-config of that name with its tree; a lone one has none.
    fn config(&self, label: &str) -> Option<(&Document<'d>, &Node)> {
        if let ([document], "") = (self.documents.as_slice(), label) {
            return Some((document, &self.tree));
        }
        let tree = |d: &Document<'d>| yaml::parse(&d.text).ok().filter(|_| d.kind == Kind::CloudConfig);
        let own = self.own.get_or_init(|| self.documents.iter().map(tree).collect());
        let (document, tree) = self.documents.iter().zip(own).find(|(d, _)| d.label == label)?;
        Some((document, tree.as_ref()?))
    }

    /// The document and the node at a place, and where it stands in the document.
    fn site(&self, place: &str) -> Option<(&Document<'d>, &Node, Pos)> {
        if let Some(node) = find(&self.tree, place) {
            let at = self.firsts.partition_point(|(first, _)| *first < node.pos.line).checked_sub(1)?;
            let (first, at) = self.firsts.get(at)?;
            return Some((self.documents.get(*at)?, node, Pos { line: node.pos.line - first, ..node.pos }));
        }
        let (at, tree) = self.ignition.as_ref()?;
        let node = find(tree, place)?;
        Some((self.documents.get(*at)?, node, node.pos))
    }

    /// A problem at a position in a document. The place of a lone one is the whole data's already, and that of a program is its
    /// document's.
    fn located(&self, problem: Problem, document: &Document<'_>, pos: Pos) -> Problem {
        let place = problem.place.clone();
        let lone = self.documents.len() == 1 || place == document.label;
        let located = document.locate(problem.at(pos));
        if lone { Problem { place, ..located } } else { located }
    }
}

/// The places of data. It is read again for them, once one is asked for.
pub struct Sites<'d> {
    data: &'d [u8],
    variables: &'d Variables,
    read: OnceCell<Read<'d>>,
}

impl<'d> Sites<'d> {
    /// Those of data that is rendered with these variables.
    pub fn of(data: &'d [u8], variables: &'d Variables) -> Self {
        Self { data, variables, read: OnceCell::new() }
    }

    fn read(&self) -> &Read<'d> {
        self.read.get_or_init(|| Read::new(self.data, self.variables))
    }

    /// Whether a text without quotes at a place goes over several lines, which YAML joins.
    pub fn is_joined(&self, place: &str) -> bool {
        let Some((document, node, pos)) = self.read().site(place) else { return false };
        let line = document.text.lines().nth(pos.line.saturating_sub(1));
        document.kind == Kind::CloudConfig && line.is_some_and(|line| is_joined(line, node))
    }

    /// The data where it is text and no template.
    pub fn plain(&self) -> Option<&'d str> {
        std::str::from_utf8(self.data).ok().filter(|text| !text.trim_start().starts_with(jinja::HEADER))
    }

    /// Whether the data as it stands begins one document and no other.
    fn begins_once(&self) -> bool {
        let Ok(text) = std::str::from_utf8(self.data) else { return false };
        let begins = |at: usize| {
            let is = |header: &str| text[at..].starts_with(header);
            (at == 0 || text[..at].ends_with('\n')) && (is("#cloud-config") || is(jinja::HEADER))
        };
        let headers = text.match_indices('#').filter(|(at, _)| begins(*at)).count();
        begins(0) && headers == 1 + usize::from(text.starts_with(jinja::HEADER))
    }

    /// A problem where its place stands in the text that the author wrote.
    pub fn entry(&self, problem: Problem) -> Problem {
        match self.read().site(&problem.place) {
            Some((document, _, pos)) => self.read().located(problem, document, pos),
            None => problem,
        }
    }

    /// A problem of the data as a whole at its place in its own part.
    pub fn own(&self, problem: Problem) -> Problem {
        let located = self.entry(problem);
        let label = located.place.strip_suffix(unlabelled(&located.place)).unwrap_or_default();
        self.keyed(Problem { place: label.trim_end_matches(": ").to_owned(), ..located })
    }

    /// A problem where a position in the text at its place stands: of a value of the data, or of a program.
    pub fn line(&self, problem: Problem, within: Pos) -> Problem {
        let read = self.read();
        let is_program = |d: &&Document<'_>| match d.label.as_str() {
            "" => problem.place == "user-data",
            label => problem.place == label,
        };
        if let Some(document) = read.documents.iter().find(is_program) {
            let pos = Pos { line: within.line + program(document).1, ..within };
            return read.located(problem, document, pos);
        }
        match read.site(&problem.place) {
            Some((document, node, pos)) => {
                let node = Node { pos, value: node.value.clone() };
                // What stands there packed has lines of its own.
                let has = node.text().is_some_and(|text| within.line <= text.lines().count().max(1));
                let pos = if has { step_to_scalar(&document.text, &node).back(within) } else { pos };
                read.located(problem, document, pos)
            }
            None => problem,
        }
    }

    /// A problem that has a position alone, and the name of its part where there are several, at the key in whose value it stands.
    pub fn keyed(&self, problem: Problem) -> Problem {
        let (Some(pos), Some((document, tree))) = (problem.pos, self.read().config(&problem.place)) else {
            return problem;
        };
        let written = |pos: Pos| document.locate(Problem::default().at(pos)).pos.unwrap_or(pos);
        let begins = |node: &Node| written(node.pos) <= pos;
        let (mut node, mut place) = (tree, String::new());
        loop {
            let (before, entry) = match &node.value {
                Value::List(items) => {
                    let at = items.partition_point(begins).wrapping_sub(1);
                    (format!("[{at}]"), items.get(at))
                }
                Value::Map(entries) => {
                    let at = entries.partition_point(|(key, _)| begins(key)).wrapping_sub(1);
                    let key = entries.get(at).and_then(|(key, _)| key.text()).unwrap_or_default();
                    let dot = if place.is_empty() { "" } else { "." };
                    (format!("{dot}{key}"), entries.get(at).map(|(_, value)| value))
                }
                Value::Scalar(_) => break,
            };
            let Some(entry) = entry else { return problem };
            place += &before;
            node = entry;
        }
        let lines = node.text().map_or(1, |text| text.lines().count().max(1));
        let last = step_to_scalar(&document.text, node).back(Pos { line: lines, column: 1 });
        // What stands between two values is in neither.
        let place = prefixed(&document.label, &place);
        if pos.line <= written(last).line { Problem { place, ..problem } } else { problem }
    }

    /// The places of the texts of units, by the unit's name, and of their drop-ins, by that and their own: several entries may be for
    /// one unit, of which the last one with a text counts.
    pub fn of_units(&self) -> HashMap<(&str, Option<&str>), String> {
        let text = |entry: &Node| ["contents", "content"].into_iter().find(|key| entry.get(key).is_some());
        let read = self.read();
        let of_ignition = read.ignition.as_ref().map(|(_, tree)| ("systemd.units", tree));
        let mut places = HashMap::new();
        for (list, tree) in of_ignition.into_iter().chain([("coreos.units", &read.tree)]) {
            for (i, unit, entry) in find(tree, list).into_iter().flat_map(named) {
                if let Some(key) = text(entry) {
                    places.entry((unit, None)).or_insert_with(|| format!("{list}[{i}].{key}"));
                }
                for key in ["dropins", "drop-ins", "drop_ins"] {
                    for (j, name, dropin) in entry.get(key).into_iter().flat_map(named) {
                        let Some(text) = text(dropin) else { continue };
                        places
                            .entry((unit, Some(name)))
                            .or_insert_with(|| format!("{list}[{i}].{key}[{j}].{text}"));
                    }
                }
            }
        }
        places
    }

    /// Where lines stand that begin a document, below the first lines of a cloud-config: a problem of each that says nothing else.
    pub fn second_headers(&self) -> Vec<Problem> {
        let documents = if self.begins_once() { &[] } else { self.read().documents.as_slice() };
        let found = documents.iter().filter(|d| d.kind == Kind::CloudConfig).flat_map(|document| {
            let header = |line: &str| ["#cloud-config", jinja::HEADER].contains(&line.trim_end());
            // The header is the first line that is not empty.
            let lines = document.text.lines().enumerate().skip_while(|(_, l)| l.trim().is_empty()).skip(1);
            lines
                .filter(move |(_, line)| header(line))
                .map(|(i, _)| document.locate(Problem::default().at(Pos { line: i + 1, column: 1 })))
        });
        found.collect()
    }
}
