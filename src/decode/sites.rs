// SPDX-License-Identifier: Apache-2.0
//! Where the places of problems stand: for what is found once the data has been decoded.

use std::cell::OnceCell;

use super::document::jinja::{self, Variables};
use super::document::{self, Document, Kind, Source, no_fetch, step_to_scalar};
use super::syntax::json;
use super::syntax::yaml::{self, Node, Value};
use crate::model::problem::{Pos, Problem};

/// The node at a place of a tree, `write_files[0].content`; what stands behind it in brackets does not matter.
pub fn find<'n>(tree: &'n Node, place: &str) -> Option<&'n Node> {
    let mut node = tree;
    for part in place.split(" (").next().unwrap_or_default().split('.') {
        let (key, indexes) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        node = if key.is_empty() { node } else { node.get(key)? };
        for index in indexes.split(['[', ']']).filter(|i| !i.is_empty()) {
            node = node.list()?.get(index.parse::<usize>().ok()?)?;
        }
    }
    Some(node)
}

/// Bytes of a line that people break. Data of one line is JSON, and may have many texts.
const LONGEST_LINE: usize = 4096;

/// Whether a text that begins in this line without quotes goes on in the next one.
pub fn is_joined(line: &str, node: &Node) -> bool {
    let text = node.text().unwrap_or_default();
    if line.len() > LONGEST_LINE || !text.contains(' ') || text.contains('\n') {
        return false;
    }
    let begins: String = line.chars().skip(node.pos.column.saturating_sub(1)).collect();
    let plain = !begins.starts_with(['"', '\'', '|', '>', '!', '&', '*']);
    plain && text.starts_with(begins.trim_end()) && text.len() > begins.trim_end().len()
}

/// The places of data that is one document; of data with several, none is known. The data is read again for them, once one is asked for.
pub struct Sites<'d> {
    data: &'d [u8],
    variables: &'d Variables,
    read: OnceCell<Option<(Document<'d>, Node)>>,
}

impl<'d> Sites<'d> {
    /// Those of data that is rendered with these variables.
    pub fn of(data: &'d [u8], variables: &'d Variables) -> Self {
        Self { data, variables, read: OnceCell::new() }
    }

    fn read(&self) -> Option<&(Document<'d>, Node)> {
        let read = || {
            let mut documents = document::read(Source::User, self.data, self.variables, &mut no_fetch).list;
            let document = documents.pop().filter(|_| documents.is_empty())?;
            let tree = match document.kind {
                Kind::CloudConfig => yaml::parse(&document.text),
                Kind::Ignition => json::parse(&document.text),
                _ => return None,
            };
            tree.ok().map(|tree| (document, tree))
        };
        self.read.get_or_init(read).as_ref()
    }

    /// Whether a text without quotes at a place goes over several lines, which YAML joins.
    pub fn is_joined(&self, place: &str) -> bool {
        let Some((document, tree)) = self.read() else { return false };
        document.kind == Kind::CloudConfig
            && find(tree, place).is_some_and(|node| {
                let line = document.text.lines().nth(node.pos.line.saturating_sub(1));
                line.is_some_and(|line| is_joined(line, node))
            })
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
        self.located(problem, |_, node| node.pos)
    }

    /// A problem where a position in the text at its place stands.
    pub fn line(&self, problem: Problem, within: Pos) -> Problem {
        self.located(problem, |document, node| step_to_scalar(&document.text, node).back(within))
    }

    /// A problem that has a position alone, at the key in whose value it stands.
    pub fn keyed(&self, problem: Problem) -> Problem {
        let Some((pos, (document, tree))) = problem.pos.zip(self.read()) else { return problem };
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
        if pos.line <= written(last).line { Problem { place, ..problem } } else { problem }
    }

    /// A problem of the one document, at a position in it.
    fn located(&self, problem: Problem, pos: impl Fn(&Document<'_>, &Node) -> Pos) -> Problem {
        let Some((document, tree)) = self.read() else { return problem };
        match find(tree, &problem.place).map(|node| pos(document, node)) {
            // The place is the whole data's already.
            Some(pos) => Problem { place: problem.place.clone(), ..document.locate(problem.at(pos)) },
            None => problem,
        }
    }

    /// Where lines stand that begin a document, below the first lines of a cloud-config.
    pub fn second_headers(&self) -> impl Iterator<Item = Pos> {
        let read = if self.begins_once() { None } else { self.read() };
        let document = read.map(|(document, _)| document).filter(|d| d.kind == Kind::CloudConfig);
        let found = document.into_iter().flat_map(|document| {
            let header = |line: &str| ["#cloud-config", jinja::HEADER].contains(&line.trim_end());
            // The header is the first line that is not empty.
            let lines = document.text.lines().enumerate().skip_while(|(_, l)| l.trim().is_empty()).skip(1);
            lines.filter(move |(_, line)| header(line)).filter_map(|(i, _)| {
                document.locate(Problem::default().at(Pos { line: i + 1, column: 1 })).pos
            })
        });
        found.collect::<Vec<_>>().into_iter()
    }
}
