// SPDX-License-Identifier: Apache-2.0
//! A document as a tree in which each node knows its position: what the readers of YAML and of JSON make.

use base64::Engine as _;

use crate::model::problem::Pos;

/// Nesting a document may have. cloud-config and netplan need 8.
pub const MAX_DEPTH: usize = 64;

/// Nodes a document may have once its aliases are expanded. A control plane's user-data has about 200; the bound stops
/// the alias bomb ("billion laughs") within milliseconds.
pub const MAX_NODES: usize = 200_000;

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

    /// The mapping's value of `key`, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|(k, _)| k.text() == Some(key)).map(|(_, v)| v)
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

    /// The node as JSON in which what YAML 1.1 takes for a number of base 60, such as a MAC address, is the text that was written.
    pub fn to_spelled_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match &self.value {
            Value::List(items) => J::Array(items.iter().map(Node::to_spelled_json).collect()),
            Value::Map(entries) => {
                let key = |k: &Node| k.scalar().map(|s| s.text.clone()).unwrap_or_default();
                J::Object(entries.iter().map(|(k, v)| (key(k), v.to_spelled_json())).collect())
            }
            Value::Scalar(s) if s.text.contains(':') => J::String(s.text.clone()),
            Value::Scalar(_) => self.to_json(),
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

    /// Bytes of text in it.
    pub fn text_size(&self) -> usize {
        match &self.value {
            Value::Scalar(s) => s.text.len() + if let Kind::Bytes(b) = &s.kind { b.len() } else { 0 },
            Value::List(items) => items.iter().map(Node::text_size).sum(),
            Value::Map(entries) => entries.iter().map(|(k, v)| k.text_size() + v.text_size()).sum(),
        }
    }

    /// Nodes in it, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|(k, v)| k.size() + v.size()).sum(),
        }
    }
}
