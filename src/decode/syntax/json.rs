// SPDX-License-Identifier: Apache-2.0
//! Strict JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)) with the position of every node.
//!
//! The nodes are those of [`crate::decode::syntax::yaml`], so that a decoder reads both alike. YAML's own parser does not do for JSON: it
//! takes texts that no JSON reader takes, and refuses some that all take (a surrogate pair, a tab in the indentation). A
//! duplicate key is an error, as it is there.

use super::node::{Kind, Node, Scalar, Value};
use super::placeholder;
use super::scalar::resolve;
use crate::model::problem::{Pos, Problem};

/// Nesting a document may have. An Ignition config needs 9.
const MAX_DEPTH: usize = 64;

/// Nodes a document may have: as many as [`crate::decode::syntax::yaml`] takes.
const MAX_NODES: usize = 200_000;

/// Reads one document.
///
/// # Errors
/// A [`Problem`] with the position: broken syntax, text behind the document, a duplicate key, or more nodes or depth
/// than the bounds allow.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Reader { text, at: 0, pos: Pos { line: 1, column: 1 }, nodes: 0, yaml: false }.whole()
}

/// Reads a YAML document that is written as JSON, below its comments, and gives what YAML 1.1 makes of it. `None` for every other
/// text, and where YAML and JSON differ in what it means. YAML's own reader keeps all of such a text in pieces before it gives the first
/// one, since a mapping may be the key of another.
pub(super) fn parse_yaml(text: &str) -> Option<Node> {
    let mut reader = Reader { text, at: 0, pos: Pos { line: 1, column: 1 }, nodes: 0, yaml: true };
    reader.blanks();
    while reader.peek() == Some('#') {
        while !matches!(reader.next(), Some('\n') | None) {}
        reader.blanks();
    }
    if reader.peek() == Some('{') { reader.whole().ok() } else { None }
}

/// A text and the place that is read next.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    pos: Pos,
    nodes: usize,
    /// Whether it means what YAML 1.1 makes of it.
    yaml: bool,
}

/// What to do, by a part of what is wrong.
const HOW: &[(&str, &str)] = &[
    ("comma", "put a comma between two entries, and none behind the last"),
    ("colon", "put a colon between a key and its value"),
    ("too early", "look for the brace, the bracket or the quote that is not closed"),
];

impl Reader<'_> {
    fn whole(&mut self) -> Result<Node, Problem> {
        let node = self.value(0)?;
        self.blanks();
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.broken("text behind the end of the document")),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        self.pos = match c {
            '\n' => Pos { line: self.pos.line + 1, column: 1 },
            _ => Pos { column: self.pos.column + 1, ..self.pos },
        };
        Some(c)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.next();
        }
    }

    fn broken(&self, what: impl AsRef<str>) -> Problem {
        if let Some(problem) = placeholder(self.text, self.pos) {
            return problem;
        }
        let what = if self.at == self.text.len() { "the text ends too early" } else { what.as_ref() };
        let problem = Problem::error("", format!("not JSON: {what}")).at(self.pos);
        match HOW.iter().find(|(part, _)| what.contains(part)) {
            Some((_, cure)) => problem.cure(*cure),
            None => problem,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        self.blanks();
        let pos = self.pos;
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Problem::error("", format!("more than {MAX_NODES} JSON nodes")).at(pos));
        }
        if depth > MAX_DEPTH {
            return Err(Problem::error("", format!("JSON nested more than {MAX_DEPTH} deep")).at(pos));
        }
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => Value::Scalar(Scalar { text: self.string()?, kind: Kind::Str }),
            Some('-' | '0'..='9') => Value::Scalar(self.number()?),
            Some('a'..='z') => Value::Scalar(self.word()?),
            _ => return Err(self.broken("a value was expected")),
        };
        Ok(Node { pos, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        self.next();
        self.blanks();
        if self.peek() == Some('}') {
            self.next();
            return Ok(Value::Map(entries));
        }
        loop {
            self.blanks();
            let pos = self.pos;
            if self.peek() != Some('"') {
                return Err(self.broken("a key in quotes was expected"));
            }
            let text = self.string()?;
            if self.yaml && text == "<<" {
                return Err(self.broken("a merge key"));
            }
            if let Some(line) = places.insert(text.clone(), pos.line) {
                let what = format!("duplicate key {text:?}, first on line {line}");
                return Err(Problem::error("", what).at(pos).cure("keep one of the two"));
            }
            self.blanks();
            if self.peek() != Some(':') {
                return Err(self.broken("a colon was expected"));
            }
            self.next();
            let key = Node { pos, value: Value::Scalar(Scalar { text, kind: Kind::Str }) };
            entries.push((key, self.value(depth + 1)?));
            if self.end_of_item('}')? {
                entries.shrink_to_fit();
                return Ok(Value::Map(entries));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        self.next();
        self.blanks();
        if self.peek() == Some(']') {
            self.next();
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.end_of_item(']')? {
                items.shrink_to_fit();
                return Ok(Value::List(items));
            }
        }
    }

    /// Reads what follows an item; whether it was the last one.
    fn end_of_item(&mut self, end: char) -> Result<bool, Problem> {
        self.blanks();
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(false)
            }
            Some(c) if c == end => {
                self.next();
                Ok(true)
            }
            _ => Err(self.broken(format!("a comma or {end:?} was expected"))),
        }
    }

    fn string(&mut self) -> Result<String, Problem> {
        let mut text = String::new();
        self.next();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            self.pos.column += rest[..plain].chars().count();
            match self.peek() {
                Some('"') => {
                    self.next();
                    text.shrink_to_fit();
                    return Ok(text);
                }
                Some('\\') => {
                    self.next();
                    text.push(self.escape()?);
                }
                _ => return Err(self.broken("a control character in a string: write it as an escape")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        let pos = self.pos;
        let bad = || {
            let problem = Problem::error("", "not JSON: JSON does not have this escape in a string").at(pos);
            problem.cure("write `\\\\` for a backslash")
        };
        Ok(match self.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let high = self.hex().ok_or_else(bad)?;
                match high {
                    // Half a pair is a character of its own to YAML.
                    0xd800..=0xdfff if self.yaml => return Err(bad()),
                    // The second half of a pair, by RFC 8259 section 7; half a pair is what Go makes a U+FFFD of.
                    0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                        self.next();
                        self.next();
                        match self.hex().ok_or_else(bad)? {
                            low @ 0xdc00..=0xdfff => {
                                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                                char::from_u32(code).ok_or_else(bad)?
                            }
                            _ => return Err(bad()),
                        }
                    }
                    other => char::from_u32(other).unwrap_or('\u{fffd}'),
                }
            }
            _ => return Err(bad()),
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16 + self.next()?.to_digit(16)?;
        }
        Some(code)
    }

    fn number(&mut self) -> Result<Scalar, Problem> {
        let (begin, pos) = (self.at, self.pos);
        while matches!(self.peek(), Some('0'..='9' | '-' | '+' | '.' | 'e' | 'E')) {
            self.next();
        }
        let text = &self.text[begin..self.at];
        let digits = text.strip_prefix('-').unwrap_or(text);
        let octal = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let kind = match text.parse::<i64>() {
            Ok(int) if whole && !octal => Kind::Int(int),
            _ => match text.parse::<f64>() {
                Ok(float) if !octal && float.is_finite() && digits.as_bytes()[0].is_ascii_digit() => {
                    Kind::Float(float)
                }
                _ => {
                    let problem = Problem::error("", "not JSON: this is not a number").at(pos);
                    return Err(if octal {
                        problem.cure("JSON has no octal numbers: 0644 is written 420")
                    } else {
                        problem
                    });
                }
            },
        };
        let kind = if self.yaml { resolve(text) } else { kind };
        Ok(Scalar { text: text.to_owned(), kind })
    }

    fn word(&mut self) -> Result<Scalar, Problem> {
        const WORDS: &[(&str, Kind)] =
            &[("true", Kind::Bool(true)), ("false", Kind::Bool(false)), ("null", Kind::Null)];
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let Some((word, kind)) = WORDS.iter().find(|(word, _)| *word == &rest[..end]) else {
            return Err(self.broken("only true, false and null stand without quotes"));
        };
        for _ in 0..end {
            self.next();
        }
        Ok(Scalar { text: (*word).to_owned(), kind: kind.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_read_with_their_positions() {
        let node = parse("{\"a\": [1, -2.5e1, true,\n null],\n\t\"ü\\ud83d\\ude00\\/\": {\"b\": \"x\\n\"}}")
            .unwrap();
        let list = node.get("a").and_then(Node::list).unwrap();
        assert_eq!(list[0].int(), Some(1));
        assert_eq!(list[2].bool(), Some(true));
        assert!(list[3].is_null());
        assert_eq!(list[3].pos, Pos { line: 2, column: 2 });
        let inner = node.get("ü\u{1f600}/").unwrap();
        assert_eq!(inner.pos, Pos { line: 3, column: 21 });
        assert_eq!(inner.get("b").and_then(Node::text), Some("x\n"));
    }

    #[test]
    fn what_is_no_json_is_refused_at_its_place() {
        let cases = [
            ("", "ends too early", 1, 1),
            ("{\"a\": 1,\n}", "a key in quotes", 2, 1),
            ("{\"a\": 0644}", "not a number", 1, 7),
            ("{\"a\": 1} x", "behind the end", 1, 10),
            ("[1 2]", "a comma or ']'", 1, 4),
            ("{\"a\" 1}", "a colon", 1, 6),
            ("{'a': 1}", "a key in quotes", 1, 2),
            ("[yes]", "only true", 1, 2),
            ("[\"\\x\"]", "does not have this escape", 1, 4),
            ("[\"a\nb\"]", "control character", 1, 4),
            ("{\"a\": 1, \"a\": 2}", "duplicate key", 1, 10),
            ("[-]", "not a number", 1, 2),
            ("[1e999]", "not a number", 1, 2),
            ("[\"\\ud83dx\"]", "", 0, 0),
        ];
        for (text, what, line, column) in cases {
            match parse(text) {
                Ok(_) => assert_eq!(line, 0, "{text}"),
                Err(problem) => {
                    assert!(problem.what.contains(what), "{text}: {problem}");
                    assert_eq!(problem.pos, Some(Pos { line, column }), "{text}: {problem}");
                }
            }
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().what.contains("64 deep"));
        let many = format!("[{}1]", "1,".repeat(MAX_NODES));
        assert!(parse(&many).unwrap_err().what.contains("200000 JSON nodes"));
    }
}
