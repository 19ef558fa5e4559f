// SPDX-License-Identifier: Apache-2.0
//! How a value is written in a field of a text: Python's
//! [format specification](https://docs.python.org/3/library/string.html#format-specification-mini-language).

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::args::failed;
use super::filters::{is_float, text_of};
use super::number::{Float, grouped};

/// The largest width and precision, so that a few bytes of a template are not a text of many MiB.
const MAX_WIDTH: usize = 9999;

/// How a value is written.
#[derive(Default)]
pub struct Spec {
    /// Fills the width up; a blank, or 0 with `zero`.
    pub fill: Option<char>,
    /// `<`, `>`, `^`, or `=` for between the sign and the digits.
    pub align: Option<char>,
    /// `+`, `-` or a blank.
    pub sign: Option<char>,
    /// `#`.
    pub alternate: bool,
    /// `0` before the width.
    pub zero: bool,
    /// In characters.
    pub width: usize,
    /// `,` or `_`.
    pub group: Option<char>,
    /// Digits behind the point, or characters of a text.
    pub precision: Option<usize>,
    /// The letter of the format.
    pub kind: Option<char>,
}

/// A number in its parts, the way it is printed.
pub struct Number {
    sign: &'static str,
    prefix: &'static str,
    /// The digits that can be grouped.
    whole: String,
    /// A fraction, an exponent, a percent sign.
    rest: String,
}

/// What a value is called in an error.
fn name_of(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::String => "a text",
        ValueKind::Bool => "a boolean",
        ValueKind::Number if is_float(value) => "a number with a fraction",
        ValueKind::Number => "a whole number",
        ValueKind::None => "`none`",
        ValueKind::Map => "a mapping",
        _ => "a list",
    }
}

/// A format that does not fit its value.
fn unfit(value: &Value, spec: &Spec, style: char) -> Error {
    let kind = spec.kind.map_or_else(|| "this format".to_owned(), |kind| format!("the format `{kind}`"));
    failed(format!("{kind} of a `{style}` field does not fit {}", name_of(value)))
}

/// `repr()` of Python, or `ascii()` of it.
pub fn repr(value: &Value, ascii: bool) -> Result<String, Error> {
    let text = match value.as_str() {
        Some(_) => format!("{value:?}"),
        None => text_of(value)?,
    };
    let escape = |c: char| match u32::from(c) {
        0..0x80 => c.to_string(),
        code @ 0x80..0x100 => format!("\\x{code:02x}"),
        code @ 0x100..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    Ok(if ascii { text.chars().map(escape).collect() } else { text })
}

/// A width or a precision.
pub fn size(digits: &str) -> Result<usize, Error> {
    let size = digits.parse::<usize>().ok().filter(|size| *size <= MAX_WIDTH);
    size.ok_or_else(|| failed(format!("a width or precision of a format is more than {MAX_WIDTH}")))
}

/// Takes a number's digits from the beginning.
pub fn digits<'t>(text: &mut &'t str) -> &'t str {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    *text = rest;
    digits
}

/// Takes a character from the beginning, if it is one of these.
pub fn take(text: &mut &str, of: &str) -> Option<char> {
    let c = text.chars().next().filter(|c| of.contains(*c))?;
    *text = &text[c.len_utf8()..];
    Some(c)
}

/// The whole number that a value is to Python: a boolean is one too.
pub fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if !is_float(value) => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    let whole = || integer(value).map(|n| n as f64);
    if is_float(value) { f64::try_from(value.clone()).ok() } else { whole() }
}

impl Spec {
    /// Reads what stands behind the colon of a `{}` field.
    pub fn of(text: &str) -> Result<Self, Error> {
        let (mut spec, mut rest) = (Self::default(), text);
        let mut chars = text.char_indices();
        match (chars.next(), chars.next()) {
            (Some((_, fill)), Some((at, align))) if "<>=^".contains(align) => {
                (spec.fill, spec.align) = (Some(fill), Some(align));
                rest = &text[at + 1..];
            }
            _ => spec.align = take(&mut rest, "<>=^"),
        }
        spec.sign = take(&mut rest, "+- ");
        // `z` makes of a rounded -0 a 0: Python 3.11 has it, and nobody's data.
        spec.alternate = take(&mut rest, "#").is_some();
        spec.zero = take(&mut rest, "0").is_some();
        let width = digits(&mut rest);
        spec.width = if width.is_empty() { 0 } else { size(width)? };
        spec.group = take(&mut rest, ",_");
        if take(&mut rest, ".").is_some() {
            spec.precision = Some(size(digits(&mut rest))?);
        }
        spec.kind = take(&mut rest, "bcdeEfFgGnosxX%");
        if !rest.is_empty() {
            return Err(failed("the format of a `{}` field is none that Python has"));
        }
        Ok(spec)
    }

    /// A value as `format(value, spec)` of Python writes it.
    pub fn write(&self, value: &Value) -> Result<String, Error> {
        let unfit = || unfit(value, self, '{');
        if let Some(text) = value.as_str() {
            let odd = self.sign.is_some() || self.alternate || self.group.is_some();
            if odd || self.align == Some('=') || !matches!(self.kind, None | Some('s')) {
                return Err(unfit());
            }
            let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
            return Ok(self.pad(text, '<'));
        }
        let Some(float) = float(value) else { return Err(unfit()) };
        let number = match (self.kind, integer(value)) {
            (None | Some('b' | 'c' | 'd' | 'n' | 'o' | 'x' | 'X'), Some(number)) => {
                let grouped = match self.kind {
                    Some('c' | 'n') => self.group.is_some(),
                    Some('b' | 'o' | 'x' | 'X') => self.group == Some(','),
                    _ => false,
                };
                if grouped || self.precision.is_some() {
                    return Err(unfit());
                }
                self.whole(number).ok_or_else(unfit)?
            }
            (None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%'), _) => {
                if self.kind == Some('n') && self.group.is_some() {
                    return Err(unfit());
                }
                let kind = if self.kind == Some('n') { 'g' } else { self.kind.unwrap_or('r') };
                self.fraction(float, kind)
            }
            _ => return Err(unfit()),
        };
        Ok(self.join(number))
    }

    fn sign(&self, negative: bool) -> &'static str {
        match self.sign {
            _ if negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        }
    }

    /// A whole number; `None` where it is not a character, or may not be written as one so.
    fn whole(&self, number: i128) -> Option<Number> {
        let (amount, alternate) = (number.unsigned_abs(), self.alternate);
        let (prefix, whole) = match self.kind {
            Some('b') => ("0b", format!("{amount:b}")),
            Some('o') => ("0o", format!("{amount:o}")),
            Some('x') => ("0x", format!("{amount:x}")),
            Some('X') => ("0X", format!("{amount:X}")),
            Some('c') => {
                let c = char::from_u32(u32::try_from(number).ok()?)?;
                let plain = self.sign.is_none() && !alternate;
                return plain.then(|| Number { sign: "", prefix: "", whole: String::new(), rest: c.into() });
            }
            _ => ("", amount.to_string()),
        };
        let prefix = if alternate { prefix } else { "" };
        Some(Number { sign: self.sign(number < 0), prefix, whole, rest: String::new() })
    }

    fn fraction(&self, number: f64, kind: char) -> Number {
        let written = Float { kind, precision: self.precision, alternate: self.alternate };
        let (whole, rest) = written.of(number);
        let sign = self.sign(number.is_sign_negative() && !number.is_nan());
        Number { sign, prefix: "", whole, rest }
    }

    /// The parts of a number in the field's width.
    pub fn join(&self, number: Number) -> String {
        let Number { sign, prefix, whole, rest } = number;
        let zeros = self.fill == Some('0') || (self.fill.is_none() && self.zero);
        let between = self.align == Some('=') || (self.align.is_none() && self.zero);
        let taken = sign.len() + prefix.len() + rest.chars().count();
        let least = if zeros && between { self.width.saturating_sub(taken) } else { 0 };
        let whole = match self.group {
            Some(with) if !whole.is_empty() => {
                let each = if matches!(self.kind, Some('b' | 'o' | 'x' | 'X')) { 4 } else { 3 };
                grouped(&whole, with, each, least)
            }
            _ => whole,
        };
        let text = whole + &rest;
        if between {
            let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
            let missing = self.width.saturating_sub(sign.len() + prefix.len() + text.chars().count());
            let fill: String = std::iter::repeat_n(fill, missing).collect();
            return format!("{sign}{prefix}{fill}{text}");
        }
        self.pad(format!("{sign}{prefix}{text}"), '>')
    }

    fn pad(&self, text: String, align: char) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let before = match self.align.unwrap_or(align) {
            '<' => 0,
            '^' => missing / 2,
            _ => missing,
        };
        let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
        let fill = |n: usize| std::iter::repeat_n(fill, n);
        fill(before).chain(text.chars()).chain(fill(missing - before)).collect()
    }

    /// A value as a `%` field of Python writes it, without its width.
    pub fn print(&self, value: &Value, kind: char) -> Result<Number, Error> {
        let unfit = || unfit(value, self, '%');
        let plain = |rest: String| Number { sign: "", prefix: "", whole: String::new(), rest };
        let text = match kind {
            's' => text_of(value)?,
            'r' | 'a' => repr(value, kind == 'a')?,
            'c' => {
                let of = |n: i128| char::from_u32(u32::try_from(n).ok()?).map(String::from);
                let one = value.as_str().filter(|text| text.chars().count() == 1);
                return one.map(str::to_owned).or_else(|| of(integer(value)?)).map(plain).ok_or_else(unfit);
            }
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
                let cut = float(value).filter(|n| n.is_finite() && "diu".contains(kind)).map(|n| n as i128);
                let mut number = self.whole(integer(value).or(cut).ok_or_else(unfit)?).ok_or_else(unfit)?;
                let least = self.precision.unwrap_or(0);
                number.whole = format!("{:0>least$}", number.whole);
                return Ok(number);
            }
            _ => return float(value).map(|number| self.fraction(number, kind)).ok_or_else(unfit),
        };
        Ok(plain(text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()))
    }
}
