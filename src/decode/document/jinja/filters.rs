// SPDX-License-Identifier: Apache-2.0
//! Filters of [Jinja2's documentation](https://jinja.palletsprojects.com/en/3.1.x/templates/#list-of-builtin-filters)
//! that minijinja does not have, or means otherwise.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::args::{Args, Said, failed};
use super::bounds;
use super::containers;
use super::rewrite::{DICT, KEPT, LIST, REMAINDER, SLICED};
use super::strings::pad;
use super::text;
use super::values::{Dict, List};

/// Filters that Jinja2 has and that have no place in a node's data, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("random", "a node's data must come out the same whenever it is read"),
    ("urlize", "it makes links of HTML"),
    ("xmlattr", "it makes attributes of HTML"),
];

/// Functions of that kind.
const REFUSED_FUNCTIONS: &[(&str, &str)] =
    &[("lipsum", "a node's data must come out the same whenever it is read")];

/// Why a template can't use a filter; `None` for one that it can use.
pub fn refused(state: &State<'_, '_>, name: &str) -> Option<String> {
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some((_, why)) => Some(format!("the filter `{name}` is not offered: {why}")),
        None => (!minijinja::tests::is_filter(state, name)).then(|| format!("filter {name} is unknown")),
    }
}

fn not_offered(what: String) -> Error {
    Error::from(ErrorKind::UnknownFilter).with_source(Said(what))
}

/// Adds filters, tests and functions to the engine's own.
pub fn add(env: &mut Environment<'_>) {
    for (name, why) in REFUSED {
        env.add_filter(*name, move |_: &Value, _: Rest<Value>| -> Result<Value, Error> {
            Err(not_offered(format!("the filter `{name}` is not offered: {why}")))
        });
    }
    for (name, why) in REFUSED_FUNCTIONS {
        env.add_function(*name, move |_: Rest<Value>| -> Result<Value, Error> {
            Err(not_offered(format!("the function `{name}` is not offered: {why}")))
        });
    }
    env.add_filter(REMAINDER, remainder);
    env.add_filter(SLICED, sliced);
    env.add_filter(KEPT, bounds::kept);
    env.add_function(LIST, |items: Vec<Value>| List::of(items));
    env.add_function(DICT, |map: &Value| containers::pairs(map).map(Dict::of));
    env.add_function("dict", dict);
    env.add_filter("center", center);
    env.add_filter("filesizeformat", file_size);
    env.add_filter("float", float);
    env.add_filter("string", text_of);
    env.add_filter("int", int);
    env.add_filter("list", list);
    text::add(env);
    by_place(env);
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    env.add_test("iterable", |value: &Value| !value.is_none() && minijinja::tests::is_iterable(value));
    env.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Map) || minijinja::tests::is_sequence(value)
    });
    env.add_function("range", super::range::range);
    env.add_function("cycler", super::cycler::cycler);
    env.add_function("joiner", minijinja_contrib::globals::joiner);
}

/// Stops at a name without a value. The engine's own error says which name it was.
pub fn undefined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { value.get_attr("_").and(Err(ErrorKind::UndefinedError.into())) } else { Ok(()) }
}

/// A value's text, which it must have.
pub fn text_of(value: &Value) -> Result<String, Error> {
    undefined(value)?;
    Ok(value.as_str().map(str::to_owned).or_else(|| exponent(value)).unwrap_or_else(|| value.to_string()))
}

/// A number that Python writes with an exponent: from 1e16, and below 0.0001.
pub fn exponent(value: &Value) -> Option<String> {
    let number = f64::try_from(value.clone()).ok().filter(|n| is_float(value) && n.is_finite())?;
    let text = format!("{number:e}");
    let (digits, power) = text.split_once('e')?;
    let power: i32 = power.parse().ok()?;
    (!(-4..16).contains(&power)).then(|| format!("{digits}e{power:+03}"))
}

/// `%`: what remains of a division, or a text with values put in.
fn remainder(left: &Value, right: &Value) -> Result<Value, Error> {
    undefined(left)?;
    undefined(right)?;
    if let Some(pattern) = left.as_str() {
        return super::format::percent(pattern, right).map(Value::from);
    }
    let whole = |v: &Value| i128::try_from(v.clone()).ok().filter(|_| v.kind() != ValueKind::String);
    if let (Some(a), Some(b)) = (whole(left), whole(right).filter(|_| !is_float(left) && !is_float(right))) {
        let rest = a.checked_rem(b).ok_or_else(|| failed("a division by zero"))?;
        let rest = if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest };
        return Ok(i64::try_from(rest).map_or_else(|_| Value::from(rest), Value::from));
    }
    match (f64::try_from(left.clone()), f64::try_from(right.clone())) {
        (Ok(_), Ok(0.0)) => Err(failed("a division by zero")),
        (Ok(a), Ok(b)) => Ok(Value::from(a - b * (a / b).floor())),
        _ => Err(failed("`%` takes two numbers, or a text and what is put into it")),
    }
}

/// Whether a value is a number that Python has as `float`.
pub fn is_float(value: &Value) -> bool {
    value.kind() == ValueKind::Number && !value.is_integer()
}

/// A mapping of another one's entries, or of pairs, and of the named arguments.
fn dict(args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let args = Args::of(&args)?;
    let mut entries = args.get(0, "").map(|v| containers::pairs(&v)).transpose()?.unwrap_or_default();
    for (key, value) in args.named() {
        entries.retain(|(k, _)| *k != key);
        entries.push((key, value));
    }
    Ok(Dict::of(entries))
}

/// What stands before `[a:b]`: a name without a value has no parts.
fn sliced(value: &Value) -> Result<Value, Error> {
    undefined(value)?;
    if value.is_none() {
        return Err(failed("`none` has no parts"));
    }
    Ok(value.clone())
}

fn center(state: &State<'_, '_>, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let width = Args::of(&args)?.int(0, "width")?.unwrap_or(80);
    let place = |missing: usize, width: usize| missing / 2 + (missing & width & 1);
    pad(state, &text_of(value)?, width, ' ', place)
}

/// The engine's filters whose arguments Jinja2 takes by place as well.
fn by_place(env: &mut Environment<'_>) {
    type Args = Rest<ValueOrKwargs>;
    use minijinja::filters as engine;
    env.add_filter("sort", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        engine::sort(state, value, named(args, &["reverse", "case_sensitive", "attribute"])?)
            .and_then(|v| list(state, &v))
    });
    env.add_filter("unique", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        engine::unique(state, value, named(args, &["case_sensitive", "attribute"])?)
    });
    env.add_filter("min", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        engine::min(state, value, named(args, &["case_sensitive", "attribute"])?)
    });
    env.add_filter("max", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        engine::max(state, value, named(args, &["case_sensitive", "attribute"])?)
    });
    env.add_filter("sum", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        engine::sum(state, value, None, None, named(args, &["attribute", "start"])?)
    });
    env.add_filter("dictsort", |value: &Value, args: Args| {
        undefined(value)?;
        engine::dictsort(value, named(args, &["case_sensitive", "by", "reverse"])?)
    });
    env.add_filter("groupby", |value: Value, args: Args| {
        undefined(&value)?;
        engine::groupby(value, None, named(args, &["attribute", "default", "case_sensitive"])?)
    });
    env.add_filter("default", default);
    env.add_filter("d", default);
    env.add_filter("round", round);
    env.add_filter("abs", |value: Value| {
        undefined(&value)?;
        engine::abs(counted(value))
    });
    env.add_filter("batch", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        let (count, fill) = pieces(args, "linecount")?;
        engine::batch(state, value, count, fill)
    });
    env.add_filter("slice", |state: &State<'_, '_>, value: Value, args: Args| {
        undefined(&value)?;
        let (count, fill) = pieces(args, "slices")?;
        engine::slice(state, value, count, fill)
    });
    env.add_test("filter", |state: &State<'_, '_>, value: &Value| {
        value.as_str().is_some_and(|name| minijinja::tests::is_filter(state, name))
    });
    env.add_test("test", |state: &State<'_, '_>, value: &Value| {
        value.as_str().is_some_and(|name| minijinja::tests::is_test(state, name))
    });
}

/// A boolean as the number that it is to Python.
fn counted(value: Value) -> Value {
    if value.kind() == ValueKind::Bool { Value::from(i64::from(value.is_true())) } else { value }
}

/// How many pieces, and what fills the last one up.
fn pieces(args: Rest<ValueOrKwargs>, name: &str) -> Result<(usize, Option<Value>), Error> {
    let args = args.into_values();
    let args = Args::of(&args)?;
    let count = args.int(0, name)?.ok_or_else(|| failed("an argument is missing"))?;
    let count = usize::try_from(count).map_err(|_| failed("a number is negative"))?;
    Ok((count, args.get(1, "fill_with").filter(|v| !v.is_none())))
}

/// Arguments by place as the named ones that they are. A place in a list is an attribute too, which the engine wants as a text.
fn named(args: Rest<ValueOrKwargs>, names: &[&str]) -> Result<Kwargs, Error> {
    let args = args.into_values();
    let args = Args::of(&args)?;
    let mut all = args.named();
    if args.places().len() > names.len() {
        return Err(failed("too many arguments"));
    }
    all.extend(names.iter().zip(args.places()).map(|(name, value)| (Value::from(*name), value.clone())));
    let attribute = |value: Value| if value.is_integer() { Value::from(value.to_string()) } else { value };
    let named = |(name, value): (Value, Value)| {
        let name = name.as_str()?.to_owned();
        let value = if name == "attribute" { attribute(value) } else { value };
        Some((name, value))
    };
    Ok(all.into_iter().filter_map(named).collect())
}

fn default(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let args = Args::of(&args)?;
    let also_empty = args.get(1, "boolean").is_some_and(|v| v.is_true());
    if value.is_undefined() || (also_empty && !value.is_true()) {
        return Ok(args.get(0, "default_value").unwrap_or_else(|| Value::from("")));
    }
    Ok(value.clone())
}

/// Rounds; up and down give a number with a fraction, as Python's division does.
fn round(value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    undefined(&value)?;
    let values = args.into_values();
    let args = Args::of(&values)?;
    let precision = args.int(0, "precision")?.unwrap_or(0);
    let method = args.text(1, "method")?.unwrap_or_else(|| "common".to_owned());
    let precision = i32::try_from(precision).map_err(|_| failed("a number is too large"))?;
    let rounded = minijinja::filters::round(
        counted(value),
        Some(precision),
        Some(&method),
        Kwargs::from_iter([] as [(String, Value); 0]),
    )?;
    if method == "common" {
        return Ok(rounded);
    }
    f64::try_from(rounded).map(Value::from)
}

/// A whole number of any value; the default where it is not a number.
fn int(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    undefined(value)?;
    let args = args.into_values();
    let args = Args::of(&args)?;
    let (default, base) =
        (args.get(0, "default").unwrap_or(Value::from(0)), args.int(1, "base")?.unwrap_or(10));
    let found = match value.as_str() {
        Some(text) => {
            let text = text.trim().replace('_', "");
            parse_int(&text, base)
                .or_else(|| text.parse::<f64>().ok().filter(|f| f.is_finite()).map(|f| f as i128))
        }
        None => match bool::try_from(value.clone()) {
            Ok(bool) => Some(i128::from(bool)),
            Err(_) if is_float(value) => {
                f64::try_from(value.clone()).ok().filter(|f| f.is_finite()).map(|f| f as i128)
            }
            Err(_) => i128::try_from(value.clone()).ok(),
        },
    };
    Ok(match found {
        Some(n) => i64::try_from(n).map_or_else(|_| Value::from(n), Value::from),
        None => default,
    })
}

fn parse_int(text: &str, base: i64) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = match (lower.get(..2), base) {
        (Some("0x"), 16 | 0) => (&digits[2..], 16),
        (Some("0o"), 8 | 0) => (&digits[2..], 8),
        (Some("0b"), 2 | 0) => (&digits[2..], 2),
        (_, 0) => (digits, 10),
        (_, base) => (digits, u32::try_from(base).ok().filter(|b| (2..=36).contains(b))?),
    };
    let plain = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
    i128::from_str_radix(digits, base).ok().filter(|_| plain).map(|n| sign * n)
}

fn float(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    undefined(value)?;
    let args = args.into_values();
    let args = Args::of(&args)?;
    let found = match value.as_str() {
        Some(text) => text.trim().replace('_', "").parse::<f64>().ok(),
        None => match bool::try_from(value.clone()) {
            Ok(bool) => Some(f64::from(u8::from(bool))),
            Err(_) => f64::try_from(value.clone()).ok(),
        },
    };
    Ok(found.map_or_else(|| args.get(0, "default").unwrap_or(Value::from(0.0)), Value::from))
}

fn list(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    undefined(value)?;
    let items = characters_or_items(value)?;
    state.consume_fuel(items.len() as u64)?;
    Ok(List::of(items))
}

/// What Python walks through: a text's characters, a mapping's keys, a list's items.
pub fn characters_or_items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.as_str() {
        Some(text) => Ok(text.chars().map(|c| Value::from(c.to_string())).collect()),
        None => value.try_iter()?.checked().collect(),
    }
}

fn file_size(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let binary = Args::of(&args)?.get(0, "binary").is_some_and(|v| v.is_true());
    let bytes = float(value, Rest(Vec::new()))?;
    let bytes = f64::try_from(bytes).unwrap_or_default();
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes as i64));
    }
    let units = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    let (mut unit, mut power) = (units[0], 2);
    for (i, name) in units.iter().enumerate() {
        (unit, power) = (name, i as i32 + 2);
        if bytes < base.powi(power) {
            break;
        }
    }
    let number = base * bytes / base.powi(power);
    let unit = if binary { format!("{}iB", unit.to_uppercase()) } else { format!("{unit}B") };
    Ok(format!("{number:.1} {unit}"))
}

/// Calls a method that the value itself does not have.
pub fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    undefined(value)?;
    if let Some(text) = value.as_str() {
        return super::strings::call(state, value, text, method, args);
    }
    match value.kind() {
        ValueKind::Map => containers::dict(value, method, args),
        ValueKind::Seq | ValueKind::Iterable => containers::list(value, method, args),
        ValueKind::Number => Err(super::args::unknown("a number", method)),
        ValueKind::None => Err(super::args::unknown("`none`", method)),
        ValueKind::Bool => Err(super::args::unknown("a boolean", method)),
        _ => Err(super::args::unknown("this value", method)),
    }
}
