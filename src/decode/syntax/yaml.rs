// SPDX-License-Identifier: Apache-2.0
//! YAML 1.1 as PyYAML's `safe_load` reads it, with the position and the written text of every node.
//!
//! cloud-init reads its documents by PyYAML, so a plain scalar means what [YAML 1.1's types](https://yaml.org/type/)
//! say: `0644` is 420, `yes` is true, `1e3` is a string. What a user *meant* is often the text itself (a MAC address
//! whose digits make a base-60 number, a partition type `07`), so a scalar keeps its text beside its type.
//!
//! Two deliberate differences: a duplicate key is an error (PyYAML lets the last one win in silence), and a tab after a
//! key's colon is taken as the space it was meant to be.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::model::problem::{Pos, Problem};

/// Nesting a document may have. cloud-config and netplan need 8.
const MAX_DEPTH: usize = 64;

/// Nodes a document may have once its aliases are expanded. A control plane's user-data has about 200; the bound stops
/// the alias bomb ("billion laughs") within milliseconds.
const MAX_NODES: usize = 200_000;

/// A node of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub pos: Pos,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar, with what YAML 1.1 makes of it.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text, keys unique, merge keys (`<<`) resolved.
    Map(Vec<(Node, Node)>),
}

/// A scalar: its text and its YAML 1.1 type.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// As written, after unescaping and folding.
    pub text: String,
    /// What YAML 1.1 makes of it.
    pub kind: Kind,
}

/// A scalar's YAML 1.1 type.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `~`, `null` or nothing.
    Null,
    /// `yes`, `no`, `true`, `off` and their kin.
    Bool(bool),
    /// Decimal, octal `0644`, hexadecimal, binary or base 60.
    Int(i64),
    /// A float with a point, or base 60 with one.
    Float(f64),
    /// Text. Dates count as text: nothing here wants one.
    Str,
    /// `!!binary`, decoded.
    Bytes(Vec<u8>),
}

impl Node {
    /// The mapping's value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().find(|(k, _)| k.text() == Some(key)).map(|(_, v)| v)
    }

    /// The mapping's entries; none for anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&Node, &Node)> {
        let entries: &[(Node, Node)] = if let Value::Map(m) = &self.value { m } else { &[] };
        entries.iter().map(|(k, v)| (k, v))
    }

    /// The sequence's items, if it is one.
    pub fn list(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// Whether it is null or left empty.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { kind: Kind::Null, .. }))
    }

    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        if let Value::Scalar(s) = &self.value { Some(s) } else { None }
    }

    /// The scalar's text as its author wrote it, whatever type YAML gives it; `None` for null, sequences and mappings.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar { kind: Kind::Null, .. }) => None,
            Value::Scalar(s) => Some(&s.text),
            _ => None,
        }
    }

    /// The scalar as a bool: YAML's own, and the spellings that cloud-init's `util.is_true` takes.
    pub fn bool(&self) -> Option<bool> {
        match &self.scalar()?.kind {
            Kind::Bool(b) => Some(*b),
            Kind::Int(1) => Some(true),
            Kind::Int(0) => Some(false),
            Kind::Str => match self.text()?.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "on" | "yes" => Some(true),
                "false" | "0" | "off" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The scalar as a whole number.
    pub fn int(&self) -> Option<i64> {
        if let Kind::Int(i) = self.scalar()?.kind { Some(i) } else { None }
    }

    /// What the node is, in a word for messages.
    pub fn kind_name(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(s) => match s.kind {
                Kind::Null => "nothing",
                Kind::Bool(_) => "a boolean",
                Kind::Int(_) => "a number",
                Kind::Float(_) => "a number with a fraction",
                Kind::Str => "a string",
                Kind::Bytes(_) => "binary data",
            },
        }
    }

    /// The node as JSON, typed as YAML 1.1 types it. Keys become their text, binary data becomes text where it is
    /// UTF-8 and base64 where it is not.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match &self.value {
            Value::List(items) => J::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => {
                let key = |k: &Node| k.scalar().map(|s| s.text.clone()).unwrap_or_default();
                J::Object(entries.iter().map(|(k, v)| (key(k), v.to_json())).collect())
            }
            Value::Scalar(s) => match &s.kind {
                Kind::Null => J::Null,
                Kind::Bool(b) => J::Bool(*b),
                Kind::Int(i) => J::from(*i),
                Kind::Float(f) => serde_json::Number::from_f64(*f).map_or(J::Null, J::Number),
                Kind::Str => J::String(s.text.clone()),
                Kind::Bytes(b) => J::String(match std::str::from_utf8(b) {
                    Ok(text) => text.to_owned(),
                    Err(_) => base64::engine::general_purpose::STANDARD.encode(b),
                }),
            },
        }
    }

    /// A null at no place: what stands in while a node is taken apart.
    pub fn null() -> Self {
        let value = Value::Scalar(Scalar { text: String::new(), kind: Kind::Null });
        Self { pos: Pos { line: 1, column: 1 }, value }
    }

    /// Takes a key out of the mapping.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|(k, _)| k.text() == Some(key))?;
        Some(entries.remove(at).1)
    }

    /// Moves all positions in it so many lines down.
    pub fn shift(&mut self, lines: usize) {
        self.pos.line += lines;
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|(k, v)| {
                k.shift(lines);
                v.shift(lines);
            }),
        }
    }

    /// Whether it keeps to the bounds that a document of its own has.
    ///
    /// # Errors
    /// Says which it does not.
    pub fn bounded(&self) -> Result<(), String> {
        fn fits(node: &Node, depth: usize) -> bool {
            depth <= MAX_DEPTH
                && match &node.value {
                    Value::Scalar(_) => true,
                    Value::List(items) => items.iter().all(|i| fits(i, depth + 1)),
                    Value::Map(entries) => {
                        entries.iter().all(|(k, v)| fits(k, depth + 1) && fits(v, depth + 1))
                    }
                }
        }
        if !fits(self, 0) {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        if self.size() > MAX_NODES { Err(format!("more than {MAX_NODES} YAML nodes")) } else { Ok(()) }
    }

    /// Nodes in it, itself included.
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|(k, v)| k.size() + v.size()).sum(),
        }
    }
}

/// Reads one document. An empty text is a null node.
///
/// # Errors
/// A [`Problem`] with the position: broken syntax, a second document, a duplicate key, an unknown tag or alias, or more
/// nodes or depth than the bounds allow.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| syntax_error(text, &e))?;
        // The parser counts lines from 1 and columns from 0.
        builder.event(event, Pos { line: span.start.line(), column: span.start.col() + 1 })?;
    }
    Ok(builder.root.unwrap_or_else(Node::null))
}

/// The parser's complaint, with the cure for the one cause that its text never names: a tab.
fn syntax_error(text: &str, error: &saphyr_parser::ScanError) -> Problem {
    let (line, column) = (error.marker().line(), error.marker().col() + 1);
    let problem = Problem::error("", format!("not YAML: {}", error.info())).at(Pos { line, column });
    // The parser may notice a tab only on the line after it.
    let tab = text.lines().enumerate().skip(line.saturating_sub(2)).take(2).find(|(_, l)| {
        let body = l.trim_start_matches(' ');
        body.starts_with('\t')
    });
    match tab {
        Some((n, l)) => {
            let column = l.len() - l.trim_start_matches(' ').len() + 1;
            let mut problem =
                problem.at(Pos { line: n + 1, column }).cure("indent with spaces, not with a tab");
            problem.what = "not YAML: a tab in the indentation".to_owned();
            problem
        }
        None => problem,
    }
}

/// A collection whose end has not come yet.
enum Open {
    List {
        pos: Pos,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        pos: Pos,
        anchor: usize,
        entries: Vec<(Node, Node)>,
        /// The texts of the keys so far.
        seen: HashSet<String>,
        key: Option<Node>,
        merges: Vec<Node>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, pos: Pos) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(Problem::error(
                "",
                "a second YAML document",
            )
            .at(pos)
            .cure(
                "one document only: remove the `---` line, or indent it into the string that it belongs to",
            )),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(id) => {
                // The parser refuses unknown names itself; what is left is an alias inside its own anchor.
                let node = self.anchors.get(&id).cloned().ok_or_else(|| {
                    Problem::error("", "an alias stands inside the node that it names").at(pos)
                })?;
                self.count(node.size(), pos)?;
                self.place(Node { pos, ..node }, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, pos)?;
                let scalar =
                    scalar(text, style, tag.as_deref()).map_err(|what| Problem::error("", what).at(pos))?;
                self.place(Node { pos, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), &["seq", "omap", "pairs"], pos)?;
                self.push(Open::List { pos, anchor, items: Vec::new() }, pos)
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), &["map", "set"], pos)?;
                let (entries, merges) = (Vec::new(), Vec::new());
                self.push(Open::Map { pos, anchor, entries, seen: HashSet::new(), key: None, merges }, pos)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { pos, anchor, items }) => {
                    self.place(Node { pos, value: Value::List(items) }, anchor)
                }
                Some(Open::Map { pos, anchor, mut entries, merges, .. }) => {
                    for merged in merges {
                        self.merge(&mut entries, &merged)?;
                    }
                    self.place(Node { pos, value: Value::Map(entries) }, anchor)
                }
                None => Ok(()),
            },
        }
    }

    fn count(&mut self, nodes: usize, pos: Pos) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let what = format!("more than {MAX_NODES} YAML nodes once aliases are expanded");
            return Err(Problem::error("", what).at(pos));
        }
        Ok(())
    }

    fn push(&mut self, open: Open, pos: Pos) -> Result<(), Problem> {
        self.count(1, pos)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::error("", format!("YAML nested more than {MAX_DEPTH} deep")).at(pos));
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, seen, key, merges, .. }) => match key.take() {
                None => {
                    if let Some(text) = node.scalar().map(|s| &s.text)
                        && !seen.insert(text.clone())
                    {
                        let what = format!("duplicate key {text:?}: the mapping has it above already");
                        return Err(Problem::error("", what).at(node.pos).cure("keep one of the two"));
                    }
                    *key = Some(node);
                }
                Some(k) if k.text() == Some("<<") => merges.push(node),
                Some(k) => entries.push((k, node)),
            },
        }
        Ok(())
    }

    /// The [merge key](https://yaml.org/type/merge.html): what the mapping has itself wins, and earlier merged
    /// mappings win over later ones.
    fn merge(&mut self, entries: &mut Vec<(Node, Node)>, merged: &Node) -> Result<(), Problem> {
        let maps: &[Node] = match &merged.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(merged),
        };
        let key = |node: &Node| node.scalar().map(|s| s.text.clone());
        let mut seen: HashSet<String> = entries.iter().filter_map(|(k, _)| key(k)).collect();
        for map in maps {
            if !map.is_map() {
                return Err(Problem::error("", "the merge key `<<` takes a mapping").at(merged.pos));
            }
            for (k, v) in map.entries() {
                if key(k).is_none_or(|text| seen.insert(text)) {
                    entries.push((k.clone(), v.clone()));
                }
            }
        }
        Ok(())
    }
}

/// The suffix of a core tag (`!!str` gives `str`), if it is one.
fn core_tag(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

/// What begins with `!` may be a password that was not quoted, and is not repeated.
const TAG_HINT: &str = "leave the tag out, or quote a text that begins with `!`";
const UNKNOWN_TAG: &str = "this YAML tag is not known here";

fn collection_tag(tag: Option<&Tag>, known: &[&str], pos: Pos) -> Result<(), Problem> {
    match tag {
        Some(t) if !core_tag(t).is_some_and(|s| known.contains(&s)) => {
            Err(Problem::error("", UNKNOWN_TAG).at(pos).cure(TAG_HINT))
        }
        _ => Ok(()),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, String> {
    let kind = match tag {
        None if style == ScalarStyle::Plain => resolve(&text),
        None => Kind::Str,
        // `! text` is the non-specific tag: a string.
        Some(t) if t.handle.is_empty() && t.suffix == "!" => Kind::Str,
        Some(t) => match (core_tag(t), resolve(&text)) {
            (Some("str"), _) => Kind::Str,
            (Some("binary"), _) => {
                let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(compact);
                Kind::Bytes(bytes.map_err(|e| format!("`!!binary` is not base64: {}", base64_error(&e)))?)
            }
            (Some("int"), kind @ Kind::Int(_))
            | (Some("bool"), kind @ Kind::Bool(_))
            | (Some("null"), kind @ Kind::Null)
            | (Some("float"), kind @ Kind::Float(_)) => kind,
            (Some("float"), Kind::Int(i)) => Kind::Float(i as f64),
            (Some("timestamp"), _) => Kind::Str,
            (Some(name @ ("int" | "bool" | "null" | "float")), _) => {
                return Err(format!("the value is tagged `!!{name}` but is none"));
            }
            _ => return Err(UNKNOWN_TAG.to_owned()),
        },
    };
    Ok(Scalar { text: text.into_owned(), kind })
}

/// A base64 error without the offending byte: it may belong to a secret.
pub(crate) fn base64_error(error: &base64::DecodeError) -> &'static str {
    match error {
        base64::DecodeError::InvalidByte(..) => "a character outside the alphabet",
        base64::DecodeError::InvalidLength(_) => "its length is not that of whole bytes",
        base64::DecodeError::InvalidLastSymbol(..) => "its last character has bits too many",
        base64::DecodeError::InvalidPadding => "the `=` padding at its end is missing or wrong",
    }
}

/// A plain scalar's type by PyYAML's implicit resolvers.
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Kind::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    int(text).map(Kind::Int).or_else(|| float(text).map(Kind::Float)).unwrap_or(Kind::Str)
}

/// Splits a sign off: -1 or 1, and the rest.
fn signed(text: &str) -> (i64, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

/// PyYAML's integers: `[-+]?` then `0b…`, `0` and octal digits, decimal, `0x…`, or base 60; `_` anywhere in the digits.
/// A number beyond 64 bits is text: nothing here can mean it.
fn int(text: &str) -> Option<i64> {
    let (sign, body) = signed(text);
    if !body.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let radix = |digits: &str, radix: u32| {
        let ok = !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        ok.then(|| i64::from_str_radix(&digits.replace('_', ""), radix).ok())?
    };
    let magnitude = if body == "0" {
        Some(0)
    } else if let Some(digits) = body.strip_prefix("0b") {
        radix(digits, 2)
    } else if let Some(digits) = body.strip_prefix("0x") {
        radix(digits, 16)
    } else if let Some(digits) = body.strip_prefix('0') {
        radix(digits, 8)
    } else if body.contains(':') {
        sexagesimal(body)
    } else {
        radix(body, 10)
    };
    magnitude.map(|m| sign * m)
}

/// `[1-9][0-9_]*(:[0-5]?[0-9])+`, base 60.
fn sexagesimal(body: &str) -> Option<i64> {
    let mut parts = body.split(':');
    let first = parts.next().filter(|p| p.chars().all(|c| c == '_' || c.is_ascii_digit()))?;
    let mut value: i64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let digits = (part.len() == 1 || part.len() == 2) && part.bytes().all(|b| b.is_ascii_digit());
        let part: i64 = digits.then(|| part.parse().ok())??;
        value = value.checked_mul(60)?.checked_add((part < 60).then_some(part)?)?;
    }
    Some(value)
}

/// PyYAML's floats: a point is needed, an exponent needs its sign, base 60 may end in a fraction.
fn float(text: &str) -> Option<f64> {
    let (sign, body) = signed(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Some(sign as f64 * f64::INFINITY);
    }
    let (whole, rest) = body.split_once('.')?;
    let digits = |s: &str| s.chars().all(|c| c == '_' || c.is_ascii_digit());
    if whole.contains(':') {
        // Base 60 with a fraction: `190:20:30.15`.
        let whole = sexagesimal(whole)? as f64;
        let fraction: f64 = format!("0.{}0", digits(rest).then(|| rest.replace('_', ""))?).parse().ok()?;
        return Some(sign as f64 * (whole + fraction));
    }
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(i) => (&rest[..i], Some(&rest[i + 1..])),
        None => (rest, None),
    };
    let exponent_ok = exponent.is_none_or(|e| {
        e.strip_prefix(['-', '+']).is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    });
    // `.5` takes no sign in PyYAML, and needs a digit after the point.
    let whole_ok = if whole.is_empty() {
        text.starts_with('.') && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit()) && digits(whole)
    };
    if !(whole_ok && digits(fraction) && exponent_ok) {
        return None;
    }
    body.replace('_', "").parse::<f64>().ok().map(|f| sign as f64 * f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        let node = parse(&format!("k: {text}\n")).unwrap();
        node.get("k").unwrap().scalar().unwrap().kind.clone()
    }

    /// Each line was read by PyYAML 6's `safe_load` and gave the value beside it.
    #[test]
    fn plain_scalars_mean_what_pyyaml_says() {
        let cases: &[(&str, Kind)] = &[
            ("0644", Kind::Int(420)),
            ("644", Kind::Int(644)),
            ("'0644'", Kind::Str),
            ("0o644", Kind::Str),
            ("07", Kind::Int(7)),
            ("08", Kind::Str),
            ("0c", Kind::Str),
            ("8e", Kind::Str),
            ("0x1F", Kind::Int(31)),
            ("0b101", Kind::Int(5)),
            ("-12", Kind::Int(-12)),
            ("+12", Kind::Int(12)),
            ("1_000", Kind::Int(1000)),
            ("12:30:45", Kind::Int(45045)),
            ("52:54:00:12:34:56", Kind::Int(41_135_085_296)),
            ("00:50:56:aa:bb:03", Kind::Str),
            ("1e3", Kind::Str),
            ("1.0e+3", Kind::Float(1000.0)),
            ("1.5", Kind::Float(1.5)),
            ("190:20:30.15", Kind::Float(685_230.15)),
            (".5", Kind::Float(0.5)),
            ("-.5", Kind::Str),
            ("1.", Kind::Float(1.0)),
            ("1.2.3", Kind::Str),
            (".inf", Kind::Float(f64::INFINITY)),
            ("-.inf", Kind::Float(f64::NEG_INFINITY)),
            ("yes", Kind::Bool(true)),
            ("Off", Kind::Bool(false)),
            ("y", Kind::Str),
            ("n", Kind::Str),
            ("~", Kind::Null),
            ("", Kind::Null),
            ("null", Kind::Null),
            ("2020-01-01", Kind::Str),
            ("!!str 12", Kind::Str),
            ("!!binary aGk=", Kind::Bytes(b"hi".to_vec())),
        ];
        for (text, want) in cases {
            assert_eq!(&kind(text), want, "{text}");
        }
    }

    #[test]
    fn merge_keys_and_anchors() {
        let doc = parse("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: {<<: [*x, {r: 4}]}\n").unwrap();
        assert_eq!(doc.get("b").unwrap().get("p").unwrap().int(), Some(1));
        assert_eq!(doc.get("b").unwrap().get("q").unwrap().int(), Some(3));
        assert_eq!(doc.get("c").unwrap().get("r").unwrap().int(), Some(4));
    }

    #[test]
    fn refusals_say_where() {
        let cases: &[(&str, usize, &str)] = &[
            ("a: 1\nb: 2\na: 3\n", 3, "duplicate key \"a\""),
            ("a:\n\tb: 1\n", 2, "a tab in the indentation"),
            ("a: 1\n---\nb: 2\n", 2, "a second YAML document"),
            ("a: !foo 1\n", 1, "this YAML tag is not known"),
            ("a: [1, 2\n", 2, "not YAML"),
            ("a: *nope\n", 1, "not YAML"),
        ];
        for (text, line, what) in cases {
            let problem = parse(text).unwrap_err();
            assert!(problem.what.contains(what), "{text:?}: {problem}");
            assert_eq!(problem.pos.unwrap().line, *line, "{text:?}: {problem}");
        }
    }

    #[test]
    fn bombs_are_bounded() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let alias = format!("*a{}", i - 1);
            laughs += &format!("a{i}: &a{i} [{}]\n", vec![alias; 9].join(", "));
        }
        assert!(parse(&laughs).unwrap_err().what.contains("YAML nodes"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("{\n\t\"a\": [1,\t2]\n}").is_ok(), "JSON that is indented with tabs");
    }
}
