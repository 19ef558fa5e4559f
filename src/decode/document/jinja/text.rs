// SPDX-License-Identifier: Apache-2.0
//! Filters of text.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use super::args::{Args, failed};
use super::containers;
use super::filters::{text_of, undefined};
use super::format;
use super::strings::{pad, split_lines};
use super::values::Dict;
use crate::decode::document::envelope::MAX_DECODED;

/// Lists and mappings within each other that become JSON.
const MAX_DEPTH: usize = 64;

/// Adds them to the engine's own.
pub fn add(env: &mut Environment<'_>) {
    env.add_filter("e", escape);
    env.add_filter("escape", escape);
    env.add_filter("forceescape", |value: &Value| text_of(value).map(|text| escaped(&text)));
    env.add_filter("format", format_values);
    env.add_filter("indent", indent);
    env.add_filter("join", join);
    env.add_filter("replace", replace);
    env.add_filter("tojson", to_json);
    env.add_filter("trim", trim);
    env.add_filter("pprint", |value: &Value| undefined(value).map(|()| pretty(value, 0)));
    env.add_filter("striptags", striptags);
    env.add_filter("truncate", truncate);
    env.add_filter("urlencode", urlencode);
    env.add_filter("wordcount", wordcount);
    env.add_filter("wordwrap", wordwrap);
    env.add_test("lower", |value: &Value| {
        text_of(value).map(|text| is_case(&text, char::is_lowercase, char::is_uppercase))
    });
    env.add_test("upper", |value: &Value| {
        text_of(value).map(|text| is_case(&text, char::is_uppercase, char::is_lowercase))
    });
}

fn is_case(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    text.chars().any(wanted) && !text.chars().any(other)
}

/// A text for HTML; one that is so already stays.
fn escape(value: &Value) -> Result<Value, Error> {
    if value.is_safe() { Ok(value.clone()) } else { text_of(value).map(|text| escaped(&text)) }
}

fn escaped(text: &str) -> Value {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    Value::from_safe_string(out)
}

/// Values put into a text, by place or by name.
fn format_values(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let (text, args) = (text_of(value)?, args.into_values());
    let args = Args::of(&args)?;
    let (places, named) = (args.places(), args.named());
    match (places, named.is_empty()) {
        (_, true) => format::percent(&text, &Value::from(Tuple::from(places.to_vec()))),
        ([], false) => format::percent(&text, &Dict::of(named)),
        _ => Err(failed("the filter `format` takes values by place or by name, not both")),
    }
}

/// The method of that name, whose arguments may have names here.
fn replace(state: &mut State<'_, '_>, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (text, args) = (text_of(value)?, args.into_values());
    let args = Args::of(&args)?;
    let mut given = vec![args.needed(0, "old")?, args.needed(1, "new")?];
    for part in &mut given {
        *part = Value::from(text_of(part)?);
    }
    given.extend(args.int(2, "count")?.map(Value::from));
    super::strings::call(state, &Value::from(text.as_str()), &text, "replace", &given)
}

fn trim(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let chars = Args::of(&args)?.text(0, "chars")?;
    let text = text_of(value)?;
    Ok(match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
        None => text.trim().to_owned(),
    })
}

/// The items' texts, or those of an attribute of them; each must have one.
fn join(state: &State<'_, '_>, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    undefined(value)?;
    let args = args.into_values();
    let args = Args::of(&args)?;
    let between = args.get(0, "d").map(|d| text_of(&d)).transpose()?.unwrap_or_default();
    let attribute = args.get(1, "attribute").filter(|a| !a.is_none()).map(|a| text_of(&a)).transpose()?;
    let mut out = String::new();
    for (i, item) in super::filters::characters_or_items(value)?.into_iter().enumerate() {
        state.consume_fuel(1 + (between.len() / 64) as u64)?;
        let item = match &attribute {
            Some(path) => path.split('.').try_fold(item, |item, part| match part.parse::<usize>() {
                Ok(index) => item.get_item_by_index(index),
                Err(_) => item.get_attr(part),
            })?,
            None => item,
        };
        if i > 0 {
            out.push_str(&between);
        }
        out.push_str(&text_of(&item)?);
        if out.len() > MAX_DECODED {
            return Err(failed(format!("a text of more than {} MiB", MAX_DECODED >> 20)));
        }
    }
    Ok(out)
}

/// The lines with blanks, or a text, before each but the first.
fn indent(state: &State<'_, '_>, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let (text, args) = (text_of(value)?, Args::of(&args)?);
    let with = match args.get(0, "width").filter(|v| v.as_str().is_none()) {
        None => args.text(0, "width")?.unwrap_or_else(|| "    ".to_owned()),
        Some(_) => pad(state, "", args.int(0, "width")?.unwrap_or(4), ' ', |_, _| 0)?,
    };
    let is = |place, name| args.get(place, name).is_some_and(|v| v.is_true());
    let (first, blank) = (is(1, "first"), is(2, "blank"));
    let text = text + "\n";
    let lines = split_lines(&text);
    state.consume_fuel((lines.len() * (1 + with.len() / 64)) as u64)?;
    if lines.len().saturating_mul(with.len()) > MAX_DECODED {
        return Err(failed(format!("a text of more than {} MiB", MAX_DECODED >> 20)));
    }
    let mut out = String::new();
    for (i, line) in lines.into_iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&with);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// JSON with sorted keys and nothing but ASCII, as Jinja2 writes it.
fn to_json(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    undefined(value)?;
    let args = args.into_values();
    let indent = Args::of(&args)?.get(0, "indent");
    let none = Kwargs::from_iter([] as [(String, Value); 0]);
    let json = minijinja::filters::tojson(&sorted(value, 0)?, indent, none)?;
    let mut out = String::new();
    for c in json.to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    Ok(Value::from_safe_string(out))
}

/// The value with the keys of its mappings in order.
fn sorted(value: &Value, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(failed(format!("values nested more than {MAX_DEPTH} deep")));
    }
    Ok(match value.kind() {
        ValueKind::Map => {
            let mut pairs = containers::pairs(value)?;
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            let pairs = pairs.into_iter().map(|(key, value)| Ok((key, sorted(&value, depth + 1)?)));
            Value::from_pairs(pairs.collect::<Result<Vec<_>, Error>>()?)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked().map(|item| sorted(&item?, depth + 1));
            Value::from(items.collect::<Result<Vec<_>, Error>>()?)
        }
        _ => value.clone(),
    })
}

/// A text for a URL's path, or a mapping or pairs for its query.
fn urlencode(value: &Value) -> Result<String, Error> {
    undefined(value)?;
    let pairs = match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => containers::pairs(value)?,
        _ => return text_of(value).map(|text| quoted(&text, "/")),
    };
    let part = |value: &Value| text_of(value).map(|text| quoted(&text, "").replace("%20", "+"));
    let parts = pairs.iter().map(|(key, value)| Ok(format!("{}={}", part(key)?, part(value)?)));
    Ok(parts.collect::<Result<Vec<_>, Error>>()?.join("&"))
}

fn quoted(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || safe.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A value as Python prints it for people: on one line where it fits, and otherwise an item on each
/// ([pprint](https://docs.python.org/3/library/pprint.html)).
fn pretty(value: &Value, indent: usize) -> String {
    const WIDTH: usize = 80;
    let plain = format!("{value:?}");
    let brackets = match value.kind() {
        ValueKind::Map => ['{', '}'],
        ValueKind::Seq if value.is_tuple() => ['(', ')'],
        ValueKind::Seq => ['[', ']'],
        _ => return plain,
    };
    let mut items: Vec<String> = Vec::new();
    if value.kind() == ValueKind::Map {
        let mut pairs = containers::pairs(value).unwrap_or_default();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        items.extend(pairs.iter().map(|(key, value)| {
            let key = format!("{key:?}: ");
            let inner = pretty(value, indent + 1 + key.chars().count());
            key + &inner
        }));
    } else if let Ok(values) = value.try_iter() {
        items.extend(values.map(|value| pretty(&value, indent + 1)));
    }
    let line = items.join(", ");
    if indent + 2 + line.chars().count() <= WIDTH && !line.contains('\n') {
        return if value.is_tuple() { plain } else { format!("{}{line}{}", brackets[0], brackets[1]) };
    }
    let blanks = " ".repeat(indent + 1);
    format!("{}{}{}", brackets[0], items.join(&format!(",\n{blanks}")), brackets[1])
}

/// The text without tags and comments of HTML, blanks run together.
fn striptags(value: &Value) -> Result<String, Error> {
    let (text, mut out) = (text_of(value)?, String::new());
    let mut rest = text.as_str();
    while let Some(start) = rest.find('<') {
        let (close, width) = if rest[start..].starts_with("<!--") { ("-->", 3) } else { (">", 1) };
        let Some(end) = rest[start..].find(close) else { break };
        out.push_str(&rest[..start]);
        rest = &rest[start + end + width..];
    }
    out.push_str(rest);
    Ok(unescaped(&out.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// The entities that escaping makes.
fn unescaped(text: &str) -> String {
    const ENTITIES: &[(&str, &str)] =
        &[("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, is)| text.replace(entity, is))
}

fn truncate(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let (text, args) = (text_of(value)?, Args::of(&args)?);
    let length = args.int(0, "length")?.unwrap_or(255);
    let kill = args.get(1, "killwords").is_some_and(|v| v.is_true());
    let end = args.text(2, "end")?.unwrap_or_else(|| "...".to_owned());
    let leeway = args.int(3, "leeway")?.unwrap_or(5);
    let ends = end.chars().count() as i64;
    if length < ends || leeway < 0 {
        return Err(failed(
            "`truncate` takes a length that has room for its end, and a leeway that is not negative",
        ));
    }
    // Python counts what is in a list.
    let count = value.len().unwrap_or_else(|| text.chars().count());
    if count as i64 <= length + leeway {
        return Ok(text);
    }
    let head: String = text.chars().take((length - ends) as usize).collect();
    match head.rsplit_once(' ').filter(|_| !kill) {
        Some((words, _)) => Ok(words.to_owned() + &end),
        None => Ok(head + &end),
    }
}

fn wordcount(value: &Value) -> Result<usize, Error> {
    let text = text_of(value)?;
    Ok(text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).count())
}

/// Lines of at most so many characters, each of the text's own lines by itself
/// (Python's [`textwrap`](https://docs.python.org/3/library/textwrap.html)).
fn wordwrap(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let (text, args) = (text_of(value)?, Args::of(&args)?);
    let width = args.int(0, "width")?.unwrap_or(79);
    let long = args.get(1, "break_long_words").is_none_or(|v| v.is_true());
    let with = args.text(2, "wrapstring")?.unwrap_or_else(|| "\n".to_owned());
    let hyphens = args.get(3, "break_on_hyphens").is_none_or(|v| v.is_true());
    let width =
        usize::try_from(width).ok().filter(|w| *w > 0).ok_or_else(|| failed("the width is at least 1"))?;
    let wrapped = text.lines().map(|line| wrap(line, width, long, hyphens).join(&with));
    Ok(wrapped.collect::<Vec<_>>().join(&with))
}

/// The pieces of a line that stay together: blanks, words, and words up to their hyphens.
fn pieces(line: &str, hyphens: bool) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let chars: Vec<char> = line.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let blank = c.is_whitespace();
        let letter = |at: usize| chars.get(at).is_some_and(|c| c.is_alphabetic());
        let hyphen = |at: usize| chars.get(at) == Some(&'-');
        let before = |n: usize, is: &dyn Fn(usize) -> bool| i.checked_sub(n).is_some_and(is);
        let cut = hyphens
            && before(1, &hyphen)
            && before(2, &letter)
            && (before(3, &letter) || (before(3, &hyphen) && before(4, &letter)))
            && letter(i)
            && (letter(i + 1) || (hyphen(i + 1) && letter(i + 2)));
        match pieces.last_mut() {
            Some(last) if !cut && last.ends_with(char::is_whitespace) == blank => last.push(*c),
            _ => pieces.push(c.to_string()),
        }
    }
    pieces
}

fn wrap(line: &str, width: usize, long: bool, hyphens: bool) -> Vec<String> {
    let (mut lines, mut now) = (Vec::new(), String::new());
    let length = |s: &str| s.chars().count();
    for piece in pieces(line, hyphens) {
        let mut piece = piece;
        let blank = piece.trim().is_empty();
        if length(&now) + length(&piece) > width && !blank && length(&piece) <= width {
            if !now.trim_end().is_empty() {
                lines.push(now.trim_end().to_owned());
            }
            now.clear();
        }
        while !blank && length(&piece) > width {
            if !long {
                if !now.trim_end().is_empty() {
                    lines.push(now.trim_end().to_owned());
                    now.clear();
                }
                break;
            }
            let room = width.saturating_sub(length(&now)).max(usize::from(now.is_empty()));
            let mut head: String = piece.chars().take(room).collect();
            if let Some(at) = head.rfind('-').filter(|at| hyphens && head[..*at].contains(|c| c != '-')) {
                head.truncate(at + 1);
            }
            let room = length(&head);
            piece = piece.chars().skip(room).collect();
            lines.push((now.clone() + &head).trim_end().to_owned());
            now.clear();
        }
        // No line but the first begins with blanks.
        if !(blank && now.is_empty() && !lines.is_empty()) {
            now.push_str(&piece);
        }
    }
    if !now.trim_end().is_empty() {
        lines.push(now.trim_end().to_owned());
    }
    lines
}
