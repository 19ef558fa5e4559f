// SPDX-License-Identifier: Apache-2.0
//! Values put into a text as Python does: `'{:>8.3f}'.format(x)`
//! ([format string syntax](https://docs.python.org/3/library/string.html#format-string-syntax)) and `'%8.3f' % x`
//! ([printf-style](https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting)).

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::args::{Args, failed, lacks};
use super::containers;
use super::filters::{text_of, undefined};
use super::spec::{Spec, digits, integer, repr, size, take};
use crate::decode::document::envelope::MAX_DECODED;

/// The text so far, which has a bound.
#[derive(Default)]
struct Out(String);

impl Out {
    fn push(&mut self, text: &str) -> Result<(), Error> {
        if self.0.len() + text.len() > MAX_DECODED {
            return Err(failed(format!("the formatted text has more than {} MiB", MAX_DECODED >> 20)));
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// The values of a text's `{}` fields.
struct Fields<'a> {
    places: &'a [Value],
    named: Vec<(Value, Value)>,
    /// The place of the next field without a name; `None` where fields have their places.
    next: Option<usize>,
    out: Out,
}

impl Fields<'_> {
    fn text(&mut self, text: &str, depth: usize) -> Result<String, Error> {
        let outer = std::mem::take(&mut self.out);
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            self.out.push(&rest[..at])?;
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                self.out.push(brace)?;
                rest = after;
                continue;
            }
            let end = if brace == "{" { end_of(after) } else { None };
            let end =
                end.ok_or_else(|| failed("a `{` or `}` of the text has no other one: write `{{` or `}}`"))?;
            let field = self.field(&after[..end], depth)?;
            self.out.push(&field)?;
            rest = &after[end + 1..];
        }
        self.out.push(rest)?;
        Ok(std::mem::replace(&mut self.out, outer).0)
    }

    /// `name!r:spec`; the spec may have fields of its own.
    fn field(&mut self, field: &str, depth: usize) -> Result<String, Error> {
        if depth == 0 {
            return Err(failed("the fields of a format are nested more than 2 deep"));
        }
        let end = field.find('[').and_then(|open| Some(open + field[open..].find(']')?)).unwrap_or(0);
        let at = field[end..].find(['!', ':']).map_or(field.len(), |at| end + at);
        let (name, mut rest) = field.split_at(at);
        let mut value = self.value(name)?;
        undefined(&value)?;
        if let Some(converted) = rest.strip_prefix('!') {
            let at = converted.find(':').unwrap_or(converted.len());
            value = Value::from(match &converted[..at] {
                "s" => text_of(&value)?,
                how @ ("r" | "a") => repr(&value, how == "a")?,
                _ => return Err(failed("behind `!` of a `{}` field stands `r`, `s` or `a`")),
            });
            rest = &converted[at..];
        }
        let spec = self.text(rest.strip_prefix(':').unwrap_or_default(), depth - 1)?;
        if spec.is_empty() { text_of(&value) } else { Spec::of(&spec)?.write(&value) }
    }

    /// The value of `name`, `0`, nothing, and `[key]` behind them.
    fn value(&mut self, name: &str) -> Result<Value, Error> {
        let (first, mut keys) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
        let number = first.parse::<usize>();
        let place = match (first, self.next) {
            ("", Some(next)) => {
                self.next = Some(next + 1);
                Some(next)
            }
            ("", None) => return Err(failed("`{}` and `{0}` can't be fields of one text")),
            _ => number.ok(),
        };
        if place.is_some() && !first.is_empty() {
            if self.next.is_some_and(|next| next > 0) {
                return Err(failed("`{}` and `{0}` can't be fields of one text"));
            }
            self.next = None;
        }
        let found = match place {
            Some(place) => self.places.get(place).cloned(),
            None => self.named.iter().find(|(n, _)| n.as_str() == Some(first)).map(|(_, v)| v.clone()),
        };
        let mut value = found.ok_or_else(|| lacks("a `{}` field of the text has no argument"))?;
        while !keys.is_empty() {
            let key = keys.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let (key, rest) =
                key.ok_or_else(|| failed("a `{}` field can't take an attribute: write `[key]` for `.key`"))?;
            let key = key.parse::<i64>().map_or_else(|_| Value::from(key), Value::from);
            undefined(&value)?;
            value = value.get_item(&key)?;
            keys = rest;
        }
        Ok(value)
    }
}

/// Where the brace is that ends a field.
fn end_of(field: &str) -> Option<usize> {
    let mut open = 0;
    field.find(|c| {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return true,
            '}' => open -= 1,
            _ => {}
        }
        false
    })
}

/// `text.format(...)`.
pub fn format(text: &str, args: &Args<'_>) -> Result<String, Error> {
    let (places, named) = (args.places(), args.named());
    Fields { places, named, next: Some(0), out: Out::default() }.text(text, 2)
}

/// `text.format_map(mapping)`.
pub fn format_map(text: &str, map: &Value) -> Result<String, Error> {
    undefined(map)?;
    // A text without fields asks for nothing.
    let named = if map.kind() == ValueKind::Map { containers::pairs(map)? } else { Vec::new() };
    Fields { places: &[], named, next: Some(0), out: Out::default() }.text(text, 2)
}

/// The values of a text's `%` fields.
struct Percent<'a> {
    given: &'a Value,
    values: std::vec::IntoIter<Value>,
}

/// `text % values`. A tuple's values fill one field each; a mapping has them by name.
pub fn percent(text: &str, given: &Value) -> Result<String, Error> {
    let values = match given.is_tuple() {
        true => given.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?,
        false => vec![given.clone()],
    };
    let mut percent = Percent { given, values: values.into_iter() };
    let (mut out, mut rest) = (Out::default(), text);
    while let Some((before, field)) = rest.split_once('%') {
        out.push(before)?;
        rest = field;
        out.push(&percent.field(&mut rest)?)?;
    }
    out.push(rest)?;
    // Python takes a list for a mapping here, and no field needs to take anything of a mapping.
    let counted = given.is_tuple() || !matches!(given.kind(), ValueKind::Map | ValueKind::Seq);
    if counted && percent.values.next().is_some() {
        return Err(lacks("there are more values than `%` fields in the text"));
    }
    Ok(out.0)
}

impl Percent<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        self.values.next().ok_or_else(|| lacks("a `%` field of the text has no value"))
    }

    /// The value of `(name)`, if it stands there.
    fn named(&self, rest: &mut &str) -> Result<Option<Value>, Error> {
        let Some(key) = rest.strip_prefix('(') else { return Ok(None) };
        let (key, after) = key.split_once(')').ok_or_else(|| failed("`%(` of the text has no `)`"))?;
        *rest = after;
        if self.given.kind() != ValueKind::Map {
            return Err(failed("a `%(…)` field takes its value from a mapping, and there is none"));
        }
        let found = containers::pairs(self.given)?.into_iter().find(|(k, _)| k.as_str() == Some(key));
        found.map(|(_, value)| Some(value)).ok_or_else(|| lacks("the mapping has no key for a `%(…)` field"))
    }

    /// A width or a precision: digits, or `*` for the next value.
    fn amount(&mut self, rest: &mut &str) -> Result<i128, Error> {
        if take(rest, "*").is_none() {
            let digits = digits(rest);
            return if digits.is_empty() { Ok(0) } else { size(digits).map(|n| n as i128) };
        }
        let given =
            integer(&self.next()?).ok_or_else(|| failed("`*` of a `%` field takes a whole number"))?;
        size(&given.unsigned_abs().to_string()).map(|_| given)
    }

    /// What stands in the place of `%` and what follows it.
    fn field(&mut self, rest: &mut &str) -> Result<String, Error> {
        if take(rest, "%").is_some() {
            return Ok("%".to_owned());
        }
        let named = self.named(rest)?;
        let (mut spec, mut left) = (Spec::default(), false);
        while let Some(flag) = take(rest, "-+ #0") {
            match flag {
                '-' => left = true,
                '#' => spec.alternate = true,
                '0' => spec.zero = true,
                sign if spec.sign != Some('+') => spec.sign = Some(sign),
                _ => {}
            }
        }
        let width = self.amount(rest)?;
        left |= width < 0;
        spec.width = width.unsigned_abs() as usize;
        if take(rest, ".").is_some() {
            spec.precision = Some(self.amount(rest)?.max(0) as usize);
        }
        take(rest, "hlL");
        let Some(kind) = take(rest, "diuoxXeEfFgGcrsa") else {
            return Err(failed(
                "a `%` field of the text has no format of Python's: write `%%` for a percent sign",
            ));
        };
        spec.kind = Some(kind);
        let value = named.map_or_else(|| self.next(), Ok)?;
        undefined(&value)?;
        let number = spec.print(&value, kind)?;
        // A text is filled up with blanks, and so is what stands at the left.
        (spec.zero, spec.align) = (spec.zero && !left && !"srac".contains(kind), left.then_some('<'));
        Ok(spec.join(number))
    }
}
