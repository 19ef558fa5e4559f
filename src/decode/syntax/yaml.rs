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
use yaml_events::{Event, Events, ScalarStyle, ScanError, Tag};

pub use super::node::{Kind, Node, Scalar, Value};
use super::node::{MAX_DEPTH, MAX_NODES};

pub use super::scalar::resolve;
use super::{json, placeholder};
use crate::model::problem::{Pos, Problem};

/// Text that anchors and aliases may put into more than one place, in bytes.
const MAX_COPIED: usize = 4 << 20;

/// Reads one document. An empty text is a null node.
///
/// # Errors
/// A [`Problem`] with the position: broken syntax, a second document, a duplicate key, an unknown tag or alias, or more
/// nodes or depth than the bounds allow.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    json::parse_yaml(text).map_or_else(|| by_events(text), Ok)
}

fn by_events(text: &str) -> Result<Node, Problem> {
    let mut builder = Builder { text, ..Builder::default() };
    for event in Events::of(text) {
        let (event, span) = event.map_err(|e| syntax_error(text, &e))?;
        // The parser counts lines from 1 and columns from 0.
        builder.event(event, Pos { line: span.start.line(), column: span.start.col() + 1 })?;
    }
    Ok(builder.root.unwrap_or_else(Node::null))
}

const QUOTES: &str = "put the value in quotes, or write it as a block behind `|`";
const INDENT: &str = "give all keys of one mapping, and all dashes of one list, the same column";
const BRACKET: &str = "look above for the bracket, brace or quote that is not closed";

const NO_COLON: (&str, &str) =
    ("a key without a colon", "put a colon and a space behind the key, or the text in quotes");

/// What the parser says, by a part of its words; what that means, and what helps.
const COMPLAINTS: &[(&str, &str, &str)] = &[
    ("mapping values are not allowed", "a colon stands where no key can", QUOTES),
    (
        "block sequence entries are not allowed",
        "a list's dash stands where no list can",
        "put the list on lines of its own",
    ),
    ("expected ',' or ']'", "a list that began with `[` is not closed", BRACKET),
    ("expected ',' or '}'", "a mapping that began with `{` is not closed", BRACKET),
    ("expected node content", "a value is missing here", BRACKET),
    ("unexpected end of stream", "a text in quotes is not closed", BRACKET),
    ("indentation in quoted", "a text in quotes is not closed", "close it, or indent the lines below it"),
    ("invalid trailing content", "something stands behind a text in quotes", QUOTES),
    ("illegal placement of ':'", "a colon stands within a list or a mapping that is not closed", BRACKET),
    ("misplaced bracket", "a bracket is closed that is not open", QUOTES),
    ("expected '-' indicator", "a key stands among the items of a list", INDENT),
    ("did not find expected key", "the indentation fits nothing above", INDENT),
    ("indent", "the indentation fits nothing above", INDENT),
    ("simple key expect", NO_COLON.0, NO_COLON.1),
    ("unknown anchor", "an alias (`*name`) that has no anchor (`&name`)", QUOTES),
    ("anchor or alias", "`&` and `*` begin the name of an anchor or an alias", QUOTES),
    (
        "unknown escape",
        "an escape in double quotes that YAML does not have",
        "use single quotes, or write `\\\\` for a backslash",
    ),
    (
        "block scalar, did not",
        "text stands behind the `|` or `>` of a block",
        "begin the text on the next line",
    ),
    ("unexpected character", "this character can't begin a value", QUOTES),
    ("document start", "text stands behind the end of the document", "remove what begins with `%` or `...`"),
    ("tag", "`!` begins the name of a type that can't be read", QUOTES),
];

/// The place of a key without a colon where the parser sees only that the value which it began goes on at the colon of a line below.
fn without_colon(text: &str, seen: Pos) -> Option<Pos> {
    let colon = |line: &str| line.find(": ").or_else(|| line.trim_end().strip_suffix(':').map(str::len));
    let has_text = |(_, line): &(usize, &str)| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut above =
        text.lines().take(seen.line).collect::<Vec<_>>().into_iter().enumerate().rev().filter(has_text);
    let (mut n, mut key) = above.next()?;
    if n + 1 == seen.line {
        // Another colon before it is one that the parser took.
        if key.trim_start().starts_with("- ") || colon(key)? + 1 < seen.column {
            return None;
        }
        (n, key) = above.next()?;
    }
    let begin = key.len() - key.trim_start_matches([' ', '-']).len();
    colon(key).is_none().then_some(Pos { line: n + 1, column: begin + 1 })
}

/// The parser's complaint in plain words, with the cure for the one cause that its text never names: a tab.
fn syntax_error(text: &str, error: &ScanError) -> Problem {
    let (line, column) = (error.marker().line(), error.marker().col() + 1);
    if let Some(problem) = placeholder(text, Pos { line, column }) {
        return problem;
    }
    let known = COMPLAINTS.iter().find(|(said, ..)| error.info().contains(said));
    let (mut what, mut cure) =
        known.map_or(("the text can't be read here", QUOTES), |(_, what, cure)| (*what, *cure));
    let mut pos = Pos { line, column };
    let of_a_colon = ["mapping values", "simple key expect"].iter().any(|said| error.info().contains(said));
    if let Some(above) = without_colon(text, pos).filter(|_| of_a_colon) {
        (pos, (what, cure)) = (above, NO_COLON);
    }
    let problem = Problem::error("", format!("not YAML: {what}")).at(pos);
    let problem = problem.cure(cure).code("yaml/syntax");
    // The parser may notice a tab only on the line after it, or end the value before it.
    let near = if known.is_some() { 2 } else { 3 };
    let tab = text.lines().enumerate().skip(line.saturating_sub(2)).take(near).find(|(_, l)| {
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
struct Builder<'a> {
    /// What is read.
    text: &'a str,
    /// Whether the first key that is no text was looked at: a placeholder without quotes is one.
    looked: bool,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Bytes of text that stand in more than one place.
    copied: usize,
    root: Option<Node>,
}

impl Builder<'_> {
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
                self.copy(&node, pos)?;
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
                Some(Open::List { pos, anchor, mut items }) => {
                    items.shrink_to_fit();
                    self.place(Node { pos, value: Value::List(items) }, anchor)
                }
                Some(Open::Map { pos, anchor, mut entries, merges, .. }) => {
                    for merged in merges {
                        self.merge(&mut entries, merged)?;
                    }
                    entries.shrink_to_fit();
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

    /// Counts a node that will stand in one more place.
    fn copy(&mut self, node: &Node, pos: Pos) -> Result<(), Problem> {
        self.copied += node.text_size();
        if self.copied > MAX_COPIED {
            let what = format!("more than {} MiB of text stand behind anchors and aliases", MAX_COPIED >> 20);
            return Err(Problem::error("", what).at(pos).cure("write a long text once, or encode it"));
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
            self.copy(&node, node.pos)?;
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
                        let problem = Problem::error("", what).at(node.pos).cure("keep one of the two");
                        return Err(problem.code("yaml/syntax"));
                    }
                    if node.scalar().is_none()
                        && !std::mem::replace(&mut self.looked, true)
                        && let Some(problem) = placeholder(self.text, node.pos)
                    {
                        return Err(problem);
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
    fn merge(&mut self, entries: &mut Vec<(Node, Node)>, merged: Node) -> Result<(), Problem> {
        let maps = match merged.value {
            Value::List(items) => items,
            _ => vec![merged],
        };
        let key = |node: &Node| node.scalar().map(|s| s.text.clone());
        let mut seen: HashSet<String> = entries.iter().filter_map(|(k, _)| key(k)).collect();
        for map in maps {
            let Value::Map(map) = map.value else {
                return Err(Problem::error("", "the merge key `<<` takes a mapping").at(map.pos));
            };
            entries.extend(map.into_iter().filter(|(k, _)| key(k).is_none_or(|text| seen.insert(text))));
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
                return Err(format!("the value is tagged `!!{name}` and is of another type"));
            }
            _ => return Err(UNKNOWN_TAG.to_owned()),
        },
    };
    let mut text = text.into_owned();
    text.shrink_to_fit();
    Ok(Scalar { text, kind })
}

/// A base64 error without the offending byte: it may belong to a secret.
pub(crate) fn base64_error(error: &base64::DecodeError) -> &'static str {
    match error {
        base64::DecodeError::InvalidByte(..) => "a character outside the alphabet",
        base64::DecodeError::InvalidLength(_) => "its length is not that of whole bytes",
        base64::DecodeError::InvalidLastSymbol { .. } => "its last character has bits too many",
        base64::DecodeError::InvalidPadding => "the `=` padding at its end is missing or wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            // A key without a colon, at its own line, whatever the parser takes for its value.
            ("a\nb: c\n", 1, "a key without a colon"),
            ("a: b\nc\n", 2, "a key without a colon"),
            ("a: b\nc\nd: e\n", 2, "a key without a colon"),
            ("a:\n- b\n  c: d\n", 2, "a key without a colon"),
            ("a:\n  b: c\n  d\n\n  # e\n  f:\n    g\n", 3, "a key without a colon"),
            ("a: b\n  c: d\n", 2, "a colon stands where no key can"),
            ("a:\n- b\n- c: d: e\n", 3, "a colon stands where no key can"),
            ("a: |\n  b\nc: d: e\n", 3, "a colon stands where no key can"),
        ];
        for (text, line, what) in cases {
            let problem = parse(text).unwrap_err();
            assert!(problem.what.contains(what), "{text:?}: {problem}");
            assert_eq!(problem.pos.unwrap().line, *line, "{text:?}: {problem}");
        }
    }

    #[test]
    fn what_is_written_as_json_means_what_the_events_say() {
        let texts = [
            "#cloud-config\n{\"write_files\": [{\"path\": \"/a\", \"content\": \"x\\ty\\n\\u00fc\\/ü\"}],\n \"b\": {}}\n",
            "# a\n\n # b\n{\"a\": [1, -2, 0, 1.5, 1e3, 1.5e+3, 9223372036854775808, -0], \"b\": []}",
            "{\"a\": [true, false, null, \"null\", \"12:30\", \"0644\"], \"\": \"\"}",
            "{\n  \"a\": {\n    \"b\": [\n      \"c\"\n    ]\n  }\n}\n",
        ];
        for text in texts {
            assert_eq!(json::parse_yaml(text), Some(by_events(text).unwrap()), "{text}");
        }
        let others = [
            "a: 1",
            "{a: 1}",
            "{\"a\": 'b'}",
            "{\"a\": 0644}",
            "{\"a\": 1} # b",
            "{\"<<\": {\"a\": 1}}",
            "{\"a\": \"\\ud83d\\ude00\"}",
            "{\"a\": 1}\n---\nb: 1\n",
            "{\"a\": 1, \"a\": 2}",
            "",
        ];
        for text in others {
            assert_eq!(json::parse_yaml(text), None, "{text}");
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
        let text =
            |uses: usize| format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 19), vec!["*a"; uses].join(", "));
        assert!(parse(&text(7)).is_ok());
        assert!(parse(&text(8)).unwrap_err().what.contains("4 MiB of text"));
        let within = format!("{}{}{}", "[&a ".repeat(9), "x".repeat(1 << 19), "]".repeat(9));
        assert!(parse(&within).unwrap_err().what.contains("4 MiB of text"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("{\n\t\"a\": [1,\t2]\n}").is_ok(), "JSON that is indented with tabs");
    }
}
