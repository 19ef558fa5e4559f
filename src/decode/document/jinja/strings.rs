// SPDX-License-Identifier: Apache-2.0
//! Methods of strings, as [Python has them](https://docs.python.org/3/library/stdtypes.html#string-methods). Those that
//! minijinja's own set means alike are left to it.

use std::ops::Range;

use minijinja::value::Tuple;
use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat;

use super::args::{Args, failed, lacks, unknown};
use super::values::List;
use crate::decode::document::envelope::MAX_DECODED;

/// Methods of a string that can be called. `encode`, `maketrans` and `translate` make bytes and tables, which no
/// document holds.
pub const STRING: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// Calls a method of a string.
pub fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    s: &str,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    state.consume_fuel(1 + s.len() as u64 / 64)?;
    if !STRING.contains(&method) {
        return Err(unknown("a string", method));
    }
    let a = Args::of(args)?;
    if let Some(found) =
        search(s, method, &a).or_else(|| cut(s, method, &a)).or_else(|| shape(state, s, method, &a))
    {
        return found;
    }
    match method {
        "casefold" => Ok(Value::from(s.to_lowercase().replace('ß', "ss"))),
        "swapcase" => Ok(Value::from(s.chars().map(swapped).collect::<String>())),
        "title" => Ok(Value::from(title(s))),
        "istitle" => Ok(Value::from(title(s) == s && s.chars().any(char::is_alphabetic))),
        "isdecimal" | "isdigit" => {
            let digit = |c: char| {
                c.is_numeric() && (c.is_ascii_digit() || (method == "isdigit" && "²³¹".contains(c)))
            };
            Ok(Value::from(!s.is_empty() && s.chars().all(digit)))
        }
        "isidentifier" => {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            Ok(Value::from(s.chars().all(word) && s.starts_with(|c: char| c.is_alphabetic() || c == '_')))
        }
        "isprintable" => {
            Ok(Value::from(!s.chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' '))))
        }
        "format" => super::format::format(s, &a).map(Value::from),
        "format_map" => super::format::format_map(s, &a.needed(0, "mapping")?).map(Value::from),
        "join" => {
            for item in a.needed(0, "iterable")?.try_iter()?.checked() {
                if item?.as_str().is_none() {
                    return Err(failed("`join` joins texts only"));
                }
            }
            pycompat::unknown_method_callback(state, value, method, args)
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// The part of a sequence that Python's `[start:stop]` means.
pub fn range(length: usize, start: Option<i64>, stop: Option<i64>) -> (usize, usize) {
    let place = |at: i64| (if at < 0 { (at + length as i64).max(0) } else { at.min(length as i64) }) as usize;
    (start.map_or(0, place), stop.map_or(length, place))
}

/// The text between two places, counted in characters; `None` where they are the wrong way round.
fn between(s: &str, start: Option<i64>, stop: Option<i64>) -> Option<(usize, &str)> {
    let past = start.is_some_and(|at| at > s.chars().count() as i64);
    let (from, to) = range(s.chars().count(), start, stop);
    let byte = |n: usize| s.char_indices().nth(n).map_or(s.len(), |(i, _)| i);
    (from <= to && !past).then(|| (from, &s[byte(from)..byte(to)]))
}

/// Methods that look for a text.
fn search(s: &str, method: &str, a: &Args<'_>) -> Option<Result<Value, Error>> {
    let within =
        || -> Result<Option<(usize, &str)>, Error> { Ok(between(s, a.int(1, "start")?, a.int(2, "end")?)) };
    let found = |last: bool| -> Result<Option<usize>, Error> {
        let what = a.text(0, "sub")?.ok_or_else(|| failed("an argument is missing"))?;
        let Some((from, part)) = within()? else { return Ok(None) };
        let at = if last { part.rfind(&what) } else { part.find(&what) };
        Ok(at.map(|i| from + part[..i].chars().count()))
    };
    let affix = |ends: bool| -> Result<bool, Error> {
        let what = a.needed(0, "prefix")?;
        let Some((_, part)) = within()? else { return Ok(false) };
        let is = |affix: &str| if ends { part.ends_with(affix) } else { part.starts_with(affix) };
        if let Some(affix) = what.as_str() {
            return Ok(is(affix));
        }
        if !what.is_tuple() {
            return Err(failed(format!("`{method}` takes a text, or several in a tuple")));
        }
        for affix in what.try_iter()?.checked() {
            if is(affix?.as_str().ok_or_else(|| failed(format!("`{method}` takes texts")))?) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let position = |at: Option<usize>| Value::from(at.map_or(-1, |at| at as i64));
    let needed =
        |at: Option<usize>| at.map(Value::from).ok_or_else(|| lacks("the text does not hold this part"));
    Some(match method {
        "find" => found(false).map(position),
        "rfind" => found(true).map(position),
        "index" => found(false).and_then(needed),
        "rindex" => found(true).and_then(needed),
        "startswith" => affix(false).map(Value::from),
        "endswith" => affix(true).map(Value::from),
        "count" => a.text(0, "sub").and_then(|what| {
            let what = what.ok_or_else(|| failed("an argument is missing"))?;
            let part = within()?.map(|(_, part)| part);
            Ok(Value::from(part.map_or(0, |part| part.matches(what.as_str()).count())))
        }),
        _ => return None,
    })
}

fn texts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Value {
    List::of(parts.into_iter().map(Value::from).collect())
}

/// Methods that cut a text apart.
fn cut(s: &str, method: &str, a: &Args<'_>) -> Option<Result<Value, Error>> {
    let separator = || -> Result<String, Error> {
        match a.text(0, "sep")? {
            Some(sep) if !sep.is_empty() => Ok(sep),
            Some(_) => Err(failed("the separator is empty")),
            None => Err(failed("an argument is missing")),
        }
    };
    let three = |parts: [&str; 3]| Value::from(Tuple::from(parts.map(Value::from)));
    Some(match method {
        "split" | "rsplit" => split(s, method == "rsplit", a),
        "partition" => separator().map(|sep| match s.split_once(&sep) {
            Some((before, after)) => three([before, &sep, after]),
            None => three([s, "", ""]),
        }),
        "rpartition" => separator().map(|sep| match s.rsplit_once(&sep) {
            Some((before, after)) => three([before, &sep, after]),
            None => three(["", "", s]),
        }),
        "removeprefix" => a.text(0, "").and_then(|affix| {
            let affix = affix.ok_or_else(|| failed("an argument is missing"))?;
            Ok(Value::from(s.strip_prefix(affix.as_str()).unwrap_or(s)))
        }),
        "removesuffix" => a.text(0, "").and_then(|affix| {
            let affix = affix.ok_or_else(|| failed("an argument is missing"))?;
            Ok(Value::from(s.strip_suffix(affix.as_str()).unwrap_or(s)))
        }),
        "splitlines" => Ok(lines(s, a.get(0, "keepends").is_some_and(|v| v.is_true()))),
        _ => return None,
    })
}

fn split(s: &str, from_end: bool, a: &Args<'_>) -> Result<Value, Error> {
    let most = a.int(1, "maxsplit")?.filter(|n| *n >= 0).map(|n| n as usize);
    let sep = a.text(0, "sep")?;
    if sep.as_deref() == Some("") {
        return Err(failed("the separator is empty"));
    }
    let mut parts: Vec<&str> = match (&sep, most, from_end) {
        (Some(sep), None, _) => s.split(sep.as_str()).collect(),
        (Some(sep), Some(n), false) => s.splitn(n + 1, sep.as_str()).collect(),
        (Some(sep), Some(n), true) => s.rsplitn(n + 1, sep.as_str()).collect(),
        (None, None, _) => s.split_whitespace().collect(),
        (None, Some(n), _) => words(s, n, from_end),
    };
    if from_end && most.is_some() {
        parts.reverse();
    }
    Ok(texts(parts))
}

/// At most so many words, and the rest as it stands, with the blanks at its far side.
fn words(s: &str, most: usize, from_end: bool) -> Vec<&str> {
    let trim = |text: &'_ str| if from_end { text.trim_end().len() } else { text.trim_start().len() };
    // What is left of a text of which so many bytes are left, at the side that is not read yet.
    let left = |text: &'_ str, bytes: usize| if from_end { 0..bytes } else { text.len() - bytes..text.len() };
    let (mut parts, mut rest) = (Vec::new(), s);
    loop {
        rest = &rest[left(rest, trim(rest))];
        if rest.is_empty() {
            return parts;
        }
        let blank = if from_end { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
        match blank.filter(|_| parts.len() < most) {
            None => {
                parts.push(rest);
                return parts;
            }
            Some(at) if from_end => {
                let width = rest[at..].chars().next().map_or(1, char::len_utf8);
                parts.push(&rest[at + width..]);
                rest = &rest[..at];
            }
            Some(at) => {
                parts.push(&rest[..at]);
                rest = &rest[at..];
            }
        }
    }
}

fn lines(s: &str, keep: bool) -> Value {
    let lines = lines_with_ends(s);
    texts(lines.into_iter().map(|(line, end)| if keep { &s[line.start..end] } else { &s[line] }))
}

/// The lines of a text as Python tells them.
pub fn split_lines(s: &str) -> Vec<&str> {
    lines_with_ends(s).into_iter().map(|(line, _)| &s[line]).collect()
}

/// Where each line stands, and where its end ends.
fn lines_with_ends(s: &str) -> Vec<(Range<usize>, usize)> {
    const ENDS: [char; 10] =
        ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let (mut lines, mut start) = (Vec::new(), 0);
    while let Some(at) = s[start..].find(ENDS).map(|at| start + at) {
        let one = s[at..].chars().next().map_or(1, char::len_utf8);
        let end = at + if s[at..].starts_with("\r\n") { 2 } else { one };
        lines.push((start..at, end));
        start = end;
    }
    if start < s.len() {
        lines.push((start..s.len(), s.len()));
    }
    lines
}

/// Methods that put a text into a given width.
fn shape(state: &State<'_, '_>, s: &str, method: &str, a: &Args<'_>) -> Option<Result<Value, Error>> {
    let padded = |place: fn(usize, usize) -> usize| -> Result<Value, Error> {
        let width = a.int(0, "width")?.ok_or_else(|| failed("an argument is missing"))?;
        let fill = a.text(1, "fillchar")?.unwrap_or_else(|| " ".to_owned());
        let mut chars = fill.chars();
        let (Some(fill), None) = (chars.next(), chars.next()) else {
            return Err(failed("the fill is one character"));
        };
        pad(state, s, width, fill, place).map(Value::from)
    };
    Some(match method {
        "ljust" => padded(|_, _| 0),
        "rjust" => padded(|missing, _| missing),
        "center" => padded(|missing, width| missing / 2 + (missing & width & 1)),
        "zfill" => a.int(0, "width").and_then(|width| {
            let width = width.ok_or_else(|| failed("an argument is missing"))?;
            let (sign, digits) = s.split_at(usize::from(s.starts_with(['-', '+'])));
            let digits = pad(state, digits, width - sign.len() as i64, '0', |missing, _| missing)?;
            Ok(Value::from(format!("{sign}{digits}")))
        }),
        "expandtabs" => {
            a.int(0, "tabsize").and_then(|size| expand(state, s, size.unwrap_or(8)).map(Value::from))
        }
        _ => return None,
    })
}

/// A text in a width; `place` says how many of the missing characters go before it.
pub fn pad(
    state: &State<'_, '_>,
    s: &str,
    width: i64,
    fill: char,
    place: fn(usize, usize) -> usize,
) -> Result<String, Error> {
    let (width, length) = (usize::try_from(width).unwrap_or(0), s.chars().count());
    let missing = width.saturating_sub(length);
    if missing > MAX_DECODED {
        return Err(failed(format!("a text of more than {} MiB", MAX_DECODED >> 20)));
    }
    state.consume_fuel(missing as u64 / 64)?;
    let before = place(missing, width);
    let fill = |n: usize| std::iter::repeat_n(fill, n);
    Ok(fill(before).chain(s.chars()).chain(fill(missing - before)).collect())
}

fn expand(state: &State<'_, '_>, s: &str, size: i64) -> Result<String, Error> {
    let size = usize::try_from(size).unwrap_or(0);
    if size.saturating_mul(s.len()) > MAX_DECODED {
        return Err(failed(format!("a text of more than {} MiB", MAX_DECODED >> 20)));
    }
    state.consume_fuel((size * s.len()) as u64 / 64)?;
    let (mut out, mut column) = (String::new(), 0);
    for c in s.chars() {
        match c {
            '\t' => {
                let blanks = if size == 0 { 0 } else { size - column % size };
                out.extend(std::iter::repeat_n(' ', blanks));
                column += blanks;
            }
            _ => {
                out.push(c);
                column = if c == '\n' || c == '\r' { 0 } else { column + 1 };
            }
        }
    }
    Ok(out)
}

fn swapped(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// Each run of letters with a capital in front.
fn title(s: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}
