// SPDX-License-Identifier: Apache-2.0
//! Text that is rendered from an object, with where each line of it came from.

use super::origin::{Mark, Origin};
use super::schema::{FILE, is_open};
use crate::decode::document::{Step, step_to_scalar};
use crate::decode::sites::is_joined;
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::{Kind, Node, Value};
use crate::model::problem::{Pos, Problem};

/// A value of the author's object with its key path.
#[derive(Clone)]
pub struct Given<'n> {
    /// The value.
    pub node: &'n Node,
    /// Its key path.
    pub place: String,
}

impl<'n> Given<'n> {
    /// The value of a key, if it is given and not null.
    pub fn get(&self, key: &str) -> Option<Given<'n>> {
        let node = self.node.get(key).filter(|n| !n.is_null())?;
        Some(Given { node, place: format!("{}.{key}", self.place) })
    }

    /// The content of a file, also below a key that is nearly that one: the schema tells that, and this what else is wrong.
    pub fn content(&self) -> Option<Given<'n>> {
        let is_it = |key: &&str| words::meant(key, FILE.iter().map(|(known, _)| *known)) == Some("content");
        let nearly = || self.node.entries().filter_map(|(key, _)| key.text()).find(is_it);
        self.get("content").or_else(|| self.get(nearly()?))
    }

    /// The items of a list that it has under a key.
    pub fn items(&self, key: &str) -> Vec<Given<'n>> {
        self.get(key).map(|list| list.each()).unwrap_or_default()
    }

    /// The items of this list.
    pub fn each(&self) -> Vec<Given<'n>> {
        let item = |(i, node): (usize, &'n Node)| Given { node, place: format!("{}[{i}]", self.place) };
        self.node.list().unwrap_or_default().iter().enumerate().map(item).collect()
    }

    /// The text of a key; empty where it has none.
    pub fn text(&self, key: &str) -> &'n str {
        self.node.get(key).and_then(Node::text).unwrap_or_default()
    }

    /// Whether a key is true.
    pub fn is(&self, key: &str) -> bool {
        self.node.get(key).and_then(Node::bool) == Some(true)
    }
}

/// Whether a text is one variable of clusterctl's and nothing else.
pub fn is_one_variable(node: &Node) -> bool {
    node.text().is_some_and(|text| text.trim().starts_with("${") && text.trim().ends_with('}'))
}

/// Whether Cluster API's YAML has a text of one line as it is, without quotes.
fn stands_without_quotes(text: &str) -> bool {
    !text.contains(char::is_control)
        && !text.starts_with(|c: char| " #,[]{}&*!|>'\"%@`?:-.".contains(c))
        && !text.ends_with([' ', ':'])
        && ![": ", " #"].iter().any(|sign| text.contains(sign))
}

/// The author's text.
pub struct Source<'a> {
    text: &'a str,
    /// Where each line of it begins.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        let below = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(below).collect() }
    }

    /// Whether a text without quotes goes over several lines, which YAML joins.
    pub fn is_joined(&self, node: &Node) -> bool {
        let start = self.lines.get(node.pos.line - 1).copied().unwrap_or_default();
        is_joined(self.text[start..].lines().next().unwrap_or_default(), node)
    }

    /// The text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The way from the content of a scalar to where it stands. It looks at the scalar's own lines alone.
    pub fn step(&self, node: &Node) -> Step<'static> {
        let content = node.text().unwrap_or_default();
        let empty = content.chars().take_while(|c| *c == '\n').count();
        let first = (node.pos.line - 1).saturating_sub(empty);
        let Some(start) = self.lines.get(first) else { return Step::At(node.pos) };
        let pos = Pos { line: node.pos.line - first, ..node.pos };
        match step_to_scalar(&self.text[*start..], &Node { pos, value: node.value.clone() }) {
            Step::Block { lines, columns } => Step::Block { lines: lines + first, columns },
            _ => Step::At(node.pos),
        }
    }
}

/// The text so far. `source` is the author's text.
pub struct Writer<'a> {
    pub text: String,
    pub origin: Origin,
    /// What is wrong with texts within the object.
    pub problems: Vec<Problem>,
    /// Files whose content is in another object: `spec.files[0]`.
    pub elsewhere: Vec<String>,
    source: &'a Source<'a>,
}

impl<'a> Writer<'a> {
    pub fn new(source: &'a Source<'a>) -> Self {
        Self {
            text: String::new(),
            origin: Origin::rendered(),
            problems: Vec::new(),
            elsewhere: Vec::new(),
            source,
        }
    }

    /// The author's text.
    pub fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// A mark for a value; `at` are places in the rendered data that come of it.
    pub fn mark(&mut self, given: &Given<'_>, at: &[&str]) -> usize {
        let (node, place) = (given.node, given.place.clone());
        let step = if node.scalar().is_some() { self.source.step(node) } else { Step::At(node.pos) };
        // Scripts have variables of their own: only a text that is one variable is not known.
        let program =
            place.ends_with("ontent") || place.contains("ommands[") || place.ends_with("additionalConfig");
        let open = if program { is_one_variable(given.node) } else { is_open(node) };
        let mark = self.origin.mark(Mark { place, pos: node.pos, step, open });
        at.iter().filter(|at| !at.is_empty()).for_each(|at| self.origin.place(*at, mark));
        mark
    }

    /// Lines that Cluster API makes; `mark` is the value that is to blame for them.
    pub fn made(&mut self, lines: &str, mark: Option<usize>) {
        for line in lines.lines() {
            self.text += line;
            self.text.push('\n');
            self.origin.line(mark.map(|mark| (mark, 1, usize::MAX)));
        }
    }

    /// A value between two texts on its line; further lines of it stand as they are.
    pub fn value(&mut self, head: &str, text: &str, tail: &str, mark: usize) {
        for (i, line) in text.split('\n').enumerate() {
            let column = if i == 0 { head.chars().count() + 1 } else { 1 };
            self.origin.line(Some((mark, i + 1, column)));
            self.text += if i == 0 { head } else { "" };
            self.text += line;
            if i < text.matches('\n').count() {
                self.text.push('\n');
            }
        }
        self.text += tail;
        self.text.push('\n');
    }

    /// A text in quotes, as Go's `%q` writes it.
    pub fn quoted(&mut self, head: &str, given: &Given<'_>, at: &str) {
        let text = given.node.text().unwrap_or_default();
        let quoted = serde_json::Value::from(text).to_string();
        let mark = self.mark(given, &[at]);
        let column = head.chars().count() + 2;
        match text.contains(char::is_control) {
            true => self.origin.line(Some((mark, 1, usize::MAX))),
            false => self.origin.quoted_line(mark, column, text),
        }
        self.text += &format!("{head}{quoted}\n");
    }

    /// A text of several lines, each behind an indent.
    pub fn block(&mut self, indent: usize, text: &str, mark: usize) {
        for (i, line) in text.split('\n').enumerate() {
            self.origin.line(Some((mark, i + 1, indent + 1)));
            self.text += &format!("{:indent$}{line}\n", "");
        }
    }

    /// A line of a value as it stands, which is the line of that number there.
    pub fn copied(&mut self, text: &str, number: usize, mark: usize) {
        self.origin.line(Some((mark, number, 1)));
        self.text += text;
        self.text.push('\n');
    }

    /// A tree in YAML's block form.
    pub fn tree(&mut self, given: &Given<'_>, indent: usize) {
        match &given.node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    let name = key.text().unwrap_or_default();
                    let below = Given { node: value, place: format!("{}.{name}", given.place) };
                    self.entry(&format!("{:indent$}{name}:", ""), &below, indent + 2);
                }
            }
            Value::List(_) => {
                for item in given.each() {
                    self.entry(&format!("{:indent$}-", ""), &item, indent + 2);
                }
            }
            Value::Scalar(_) => self.entry(&" ".repeat(indent), given, indent),
        }
    }

    /// A key or a dash with what stands behind it.
    pub fn entry(&mut self, head: &str, given: &Given<'_>, indent: usize) {
        let mark = self.mark(given, &[]);
        let empty = match &given.node.value {
            Value::Map(entries) => entries.is_empty().then_some("{}"),
            Value::List(items) => items.is_empty().then_some("[]"),
            Value::Scalar(scalar) => {
                let text = scalar.text.as_str();
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
                match &scalar.kind {
                    Kind::Str if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') => {
                        self.value(&format!("{head} "), text, "", mark);
                    }
                    // The template is rendered before this is read as YAML: quotes that are none in Cluster API's text must be none here.
                    Kind::Str if text.contains('\'') && stands_without_quotes(text) => {
                        self.value(&format!("{head} "), text, "", mark);
                    }
                    Kind::Str if !text.contains(char::is_control) => {
                        self.value(&format!("{head} '"), &text.replace('\'', "''"), "'", mark);
                    }
                    Kind::Str | Kind::Bytes(_) => {
                        let quoted = serde_json::Value::from(text).to_string();
                        self.origin.line(Some((mark, 1, usize::MAX)));
                        self.text += &format!("{head} {quoted}\n");
                    }
                    _ => self.value(&format!("{head} "), text, "", mark),
                }
                return;
            }
        };
        match empty {
            Some(empty) => self.value(&format!("{head} "), empty, "", mark),
            None => {
                self.value(head, "", "", mark);
                self.tree(given, indent);
            }
        }
    }
}
