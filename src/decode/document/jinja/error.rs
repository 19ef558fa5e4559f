// SPDX-License-Identifier: Apache-2.0
//! What is wrong with a template: where, the whole name that has no value, and the cure.

use minijinja::{Error, ErrorKind};

use super::args::Said;
use super::rewrite::Rewritten;
use super::tag::{end, start, tag};
use super::values::Names;
use super::{Variables, body, pos_of, syntax_error as syntax};
use crate::decode::document::envelope::MAX_DECODED;
use crate::decode::syntax::go;
use crate::decode::syntax::words;
use crate::model::problem::{Pos, Problem};

/// What is said of a template that has no end, or none within its fuel.
pub const TOO_LONG: &str = "the template runs too long";

/// A part of a name: `.zone` or `['zone']`, or `[0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key.
    Name(String),
    /// A place in a list.
    Index(i64),
}

/// A name as a template has it: `ds.meta_data.tags[0].zone`.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Where it begins.
    pub start: usize,
    /// Its parts.
    pub path: Vec<Segment>,
}

/// Adds a part to a name as jinja spells it.
pub fn spelled(name: &mut String, segment: &Segment) {
    let word = |key: &str| {
        !key.starts_with(|c: char| c.is_ascii_digit())
            && !key.is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match segment {
        Segment::Name(key) if name.is_empty() => name.push_str(key),
        Segment::Name(key) if word(key) => {
            name.push('.');
            name.push_str(key);
        }
        Segment::Name(key) => name.push_str(&format!("['{key}']")),
        Segment::Index(index) => name.push_str(&format!("[{index}]")),
    }
}

/// Whether a part may be shown. A key in brackets may be any text of the template, but for a name of the instance's.
fn shown(path: &[Segment]) -> usize {
    let word = |segment: &Segment| match segment {
        Segment::Name(key) => key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
        Segment::Index(_) => true,
    };
    let whose = |name: &str| path.first() == Some(&Segment::Name(name.to_owned()));
    if ["ds", "v1", "vendordata"].into_iter().any(whose) {
        return path.len();
    }
    path.iter().position(|segment| !word(segment)).unwrap_or(path.len())
}

/// A name as jinja spells it, as far as it may be shown.
pub fn name_of(path: &[Segment]) -> String {
    path[..shown(path)].iter().fold(String::new(), |mut name, segment| {
        spelled(&mut name, segment);
        name
    })
}

/// The parts of a spelled name; `None` where it is not a name.
fn segments(name: &str) -> Option<Vec<Segment>> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(end);
    let plain = !first.is_empty() && first.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut path = plain.then(|| vec![Segment::Name(first.to_owned())])?;
    while !rest.is_empty() {
        if let Some(key) = rest.strip_prefix('.') {
            let end = key.find(['.', '[']).unwrap_or(key.len());
            path.push(Segment::Name(key[..end].to_owned()));
            rest = &key[end..];
        } else {
            let inner = rest.strip_prefix('[')?;
            let quote = inner.chars().next()?;
            let (key, after) = if quote == '"' || quote == '\'' {
                let (key, after) = inner[1..].split_once(quote)?;
                (Segment::Name(key.to_owned()), after.strip_prefix(']')?)
            } else {
                let (index, after) = inner.split_once(']')?;
                (Segment::Index(index.parse().ok()?), after)
            };
            path.push(key);
            rest = after;
        }
    }
    Some(path)
}

/// A template that was rendered, for what is said of it.
pub struct Context<'a> {
    /// The author's text, header included.
    pub text: &'a str,
    /// What was rendered in its place.
    pub rewritten: &'a Rewritten,
    /// What was seen of the instance's names.
    pub names: &'a Names,
    /// The names that there are.
    pub variables: &'a Variables,
}

/// A name without a value.
pub struct Missing {
    /// As much of it as the template has: `ds.meta_data.tags.zone`.
    pub whole: String,
    /// The part of it that is missing: `ds.meta_data.tags`.
    pub part: String,
    /// Where it stands in the template.
    pub start: Option<usize>,
}

/// Whether an error comes of a name without a value.
pub fn is_missing(error: &Error) -> bool {
    let said = error.detail().is_some_and(|detail| detail.contains("` is undefined"));
    error.kind() == ErrorKind::UndefinedError || (said && error.kind() != ErrorKind::SyntaxError)
}

/// Where an error stands in the author's template.
pub fn offset(error: &Error, context: &Context<'_>) -> Option<usize> {
    let start = error.range()?.start;
    Some(context.rewritten.original(start))
}

/// The expression without a value, where the engine can describe it.
fn said(error: &Error) -> Option<&str> {
    let (before, _) = error.detail()?.split_once("` is undefined")?;
    before.rsplit_once('`').map(|(_, name)| name).filter(|name| !name.contains("(...)"))
}

/// Whether an error comes of a method that no value has.
pub fn no_such_method(error: &Error) -> bool {
    let said = std::error::Error::source(error).and_then(|e| e.downcast_ref::<Said>());
    let method = said.and_then(|Said(what)| what.rsplit('`').nth(1));
    error.kind() == ErrorKind::UnknownMethod && !super::methods().any(|known| Some(known) == method)
}

/// The parts of the name that an error comes of, where it is a name.
pub fn path(error: &Error) -> Option<Vec<Segment>> {
    segments(said(error)?)
}

/// The name that an error comes of.
pub fn missing(error: &Error, context: &Context<'_>) -> Option<Missing> {
    let at = offset(error, context);
    let chain_of = |part: &[Segment]| {
        let chains = context.rewritten.seen(body(context.text).1, &super::syntax());
        let chains = chains.chains.iter().filter(|chain| chain.path.starts_with(part));
        chains.min_by_key(|chain| chain.start.abs_diff(at.unwrap_or(0)))
    };
    let of = |name: &str| {
        let part = segments(name)?;
        let chain = chain_of(&part);
        let whole = chain.map_or_else(|| name_of(&part), |chain| name_of(&chain.path));
        Some(Missing { whole, part: name_of(&part), start: chain.map(|chain| chain.start) })
    };
    // What was asked for last may have been found elsewhere, as `loop` and `namespace` are.
    let within = |missing: &Missing| {
        let tag = at.and_then(|at| tag(body(context.text).1, at)).unwrap_or_default();
        let (Some(first), Some(last)) = (tag.first(), tag.last()) else { return true };
        missing.start.is_some_and(|at| start(first) <= at && at < end(last))
    };
    said(error).and_then(of).or_else(|| of(context.names.last_missing().first()?).filter(within))
}

/// A template's expression that gives a name without a value another one.
fn defaulted(missing: &Missing) -> Option<String> {
    let (whole, part) = (segments(&missing.whole)?, segments(&missing.part)?);
    let mut expr = missing.part.clone();
    for segment in whole.get(part.len()..)? {
        expr = format!("({expr} | default({{}}))");
        spelled(&mut expr, segment);
    }
    Some(format!("{{{{ {expr} | default('…') }}}}"))
}

/// What is said of a name without a value.
pub fn without_value(missing: Missing, variables: &Variables) -> Problem {
    let what = format!("jinja: `{}` has no value", missing.whole);
    Problem::error("", what).cure(cure(&missing, variables)).code("template/no-value")
}

fn cure(missing: &Missing, variables: &Variables) -> String {
    let default = defaulted(missing).unwrap_or_else(|| "the filter `default`".to_owned());
    match nearest(&missing.whole, &variables.names()) {
        Some(near) => format!("did you mean `{near}`? Or give it a value of its own: `{default}`"),
        None => {
            let named = variables.values.get("local_hostname").is_some();
            let such = if named { "ds.meta_data.local_hostname" } else { "v1.instance_id" };
            format!("use a name that this platform has, such as {such}, or `{default}`")
        }
    }
}

/// A name with dashes, of which the missing one is a part, as it was written and as it must be: `ds.meta_data.instance_id`, which needs no
/// quotes that could clash with those around it.
fn dashed(template: &str, missing: &Missing) -> Option<(String, String)> {
    let start = missing.start?;
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let begin = template[..start].rfind(|c| !of_a_name(c)).map_or(0, |at| at + 1);
    let end = template[start..].find(|c| !of_a_name(c)).map_or(template.len(), |at| start + at);
    let name = template.get(begin..end)?.trim_matches('-');
    let (head, last) = name.rsplit_once('.')?;
    let whole = head.starts_with("ds.") && !head.contains('-') && last.contains('-') && !last.contains("--");
    whole.then(|| (name.to_owned(), format!("{head}.{}", last.replace('-', "_"))))
}

/// An error as a problem in the author's text.
pub fn describe(error: &Error, context: &Context<'_>) -> Problem {
    let (header, template) = body(context.text);
    let lines_before = header.matches('\n').count();
    let missing = if is_missing(error) { missing(error, context) } else { None };
    let start = missing.as_ref().and_then(|m| m.start).or_else(|| offset(error, context));
    let mut pos = start.map(|start| pos_of(template, start));
    if pos.is_none() {
        pos = error.line().map(|line| Pos { line, column: 1 });
    }
    // What stands in the tag that the error is in, begins there.
    let upto = start.map_or(template.len(), |start| (start + 2).min(template.len()));
    let upto = (0..=upto).rev().find(|at| template.is_char_boundary(*at)).unwrap_or(0);
    if let Some(at) = template[..upto].rfind("{{")
        && start.and_then(|start| template.get(at..start)).is_none_or(|tag| !tag.contains("}}"))
        && let Some(problem) = go::problem(template, at)
    {
        let pos = pos_of(template, at);
        return problem.at(Pos { line: pos.line + lines_before, ..pos });
    }
    // A comment that never ends is reported at the end of the document; its author needs the beginning: `${#array[@]}`.
    let endless = error.detail().is_some_and(|detail| detail.contains("end of comment"));
    if let Some(open) = template.rfind("{#").filter(|open| endless && !template[*open..].contains("#}")) {
        pos = Some(pos_of(template, open));
    }
    let of_syntax = error.kind() == ErrorKind::SyntaxError;
    let open = error
        .detail()
        .is_some_and(|d| d.starts_with(syntax::OPEN))
        .then(|| syntax::unclosed(template))
        .flatten();
    if let Some((at, word)) = open {
        let what = format!("jinja syntax: `{{% {word} %}}` has no `{{% end{word} %}}`");
        let cure = format!("write `{{% end{word} %}}` where its part ends");
        let pos = pos_of(template, at);
        let problem = Problem::error("", what).cure(cure).code("template/syntax");
        return problem.at(Pos { line: pos.line + lines_before, ..pos });
    }
    if let Some(at) = of_syntax.then(|| syntax::unended(template, start)).flatten() {
        let tag = if template[at..].starts_with("{{") { ["{{", "}}"] } else { ["{%", "%}"] };
        let what = format!("jinja syntax: `{}` has no `{}` behind it", tag[0], tag[1]);
        let cure = format!(
            "write `{}` where it ends, and end each text in it with the quote that begins it",
            tag[1]
        );
        let pos = pos_of(template, at);
        let problem = Problem::error("", what).cure(cure).code("template/syntax");
        return problem.at(Pos { line: pos.line + lines_before, ..pos });
    }
    let problem = match missing {
        Some(missing) if let Some((name, dashed)) = dashed(template, &missing) => {
            let what = format!("jinja: `{name}` is a subtraction: a name in a template has no dash");
            Problem::error("", what).cure(format!("write `{dashed}`")).code("template/no-value")
        }
        Some(missing) => without_value(missing, context.variables),
        None => {
            let problem = other(error, context, template);
            let problem = problem.code(if of_syntax { "template/syntax" } else { "template/error" });
            match null(error, context) {
                Some(name) => Problem { what: format!("{}: `{name}` is null here", problem.what), ..problem }
                    .cure(format!("give it a value of its own: `{{{{ {name} | default('…', true) }}}}`")),
                None => problem,
            }
        }
    };
    match pos {
        Some(pos) => problem.at(Pos { line: pos.line + lines_before, ..pos }),
        None => problem,
    }
}

/// The name in an expression whose null does not fit what is done with it: one of the instance's, or a variable that has it.
fn null(error: &Error, context: &Context<'_>) -> Option<String> {
    let said = std::error::Error::source(error).and_then(|e| e.downcast_ref::<Said>());
    let of_null = said.is_some_and(|Said(what)| what.contains("`none` has no"));
    let may_be = of_null || said.is_none() && error.kind() == ErrorKind::InvalidOperation;
    let (range, template) = (error.range().filter(|_| may_be)?, body(context.text).1);
    let [at, until] = [range.start, range.end].map(|place| context.rewritten.original(place));
    let within = start(tag(template, at)?.first()?)..until.max(at);
    let chains = context.rewritten.seen(template, &super::syntax()).chains.iter();
    let is_null = |chain: &&Chain| match context.variables.get(&chain.path) {
        _ if !within.contains(&chain.start) => false,
        Some(value) => value.is_null(),
        None => of_null && chain.start < at,
    };
    chains.filter(is_null).max_by_key(|chain| chain.start).map(|chain| name_of(&chain.path))
}

/// An error that no missing name made. Values are shown nowhere: words are the template's own, or ours.
fn other(error: &Error, context: &Context<'_>, template: &str) -> Problem {
    let range = error.range().map(|r| context.rewritten.original(r.start)..context.rewritten.original(r.end));
    let source = range.and_then(|r| template.get(r)).map(without_texts).filter(|s| !s.is_empty());
    let at = source.map(|s| format!(" in `{s}`")).unwrap_or_default();
    let said = std::error::Error::source(error).and_then(|e| e.downcast_ref::<Said>());
    if let Some(Said(what)) = said {
        // One that names what it is about needs no more.
        return Problem::error("", format!("jinja: {what}{}", if what.contains('`') { "" } else { &at }));
    }
    match error.kind() {
        ErrorKind::UndefinedError => Problem::error("", format!("jinja: a name has no value{at}"))
            .cure("give it a value of its own with the filter `default`"),
        ErrorKind::SyntaxError => {
            let detail = error.detail().unwrap_or("it can't be parsed");
            let problem = Problem::error("", format!("jinja syntax: {}", syntax::words(detail)));
            if let Some(cure) = syntax::of_several_files(detail) {
                return problem.cure(cure);
            }
            problem.cure("put text that is not a template between `{% raw %}` and `{% endraw %}`, or write it base64-encoded")
        }
        ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownMethod => unknown(error.detail().unwrap_or(&format!("no such name{at}"))),
        ErrorKind::OutOfFuel => Problem::error("", format!("jinja: {TOO_LONG}")),
        ErrorKind::WriteFailure => {
            Problem::error("", format!("jinja: the document renders to more than {} MiB", MAX_DECODED >> 20))
        }
        kind => Problem::error("", format!("jinja: {}{at}", plain(kind)))
            .cure("look at what it is given: `int`, `string` and `list` make one kind of value of another"),
    }
}

/// The engine's kinds of errors in plain words.
fn plain(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::TooManyArguments => "too many arguments",
        ErrorKind::MissingArgument => "an argument is missing",
        ErrorKind::NonKey => "a value can't be the key of a mapping",
        ErrorKind::CannotUnpack => "there are not as many values as names that take them",
        ErrorKind::BadSerialization | ErrorKind::CannotDeserialize => "a value can't be written in this form",
        ErrorKind::BadEscape => "a text has a backslash with a sign behind it that is no escape",
        _ => "a value does not fit what is done with it",
    }
}

/// A piece of a template to show: names, numbers and signs. What its texts hold may be secret.
fn without_texts(source: &str) -> String {
    const MOST: usize = 80;
    let (mut shown, mut chars) = (String::new(), source.trim().chars());
    while let Some(c) = chars.next() {
        if shown.len() >= MOST {
            return shown + "…";
        }
        shown.push(if c.is_whitespace() { ' ' } else { c });
        if c == '\'' || c == '"' {
            shown.push('…');
            while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                if inner == '\\' {
                    chars.next();
                }
            }
            shown.push(c);
        }
    }
    shown
}

/// The engine's words for a filter, a test, a function or a method that there is not: `filter lowercase is unknown`.
pub fn unknown(detail: &str) -> Problem {
    let problem = Problem::error("", format!("jinja: {detail}")).code("template/error");
    let name = detail.strip_prefix("filter ").and_then(|rest| rest.strip_suffix(" is unknown"));
    let is_meant =
        |filter: &&&str| name.is_some_and(|name| name.starts_with(**filter) || filter.starts_with(name));
    let meant = name.and_then(|name| words::meant(name, FILTERS.iter().copied()));
    match meant.or_else(|| FILTERS.iter().find(is_meant).copied()) {
        Some(meant) => problem.cure(format!("did you mean `{meant}`?")),
        None => {
            problem.cure("use what Jinja2 has, such as the filters `default`, `lower`, `replace` and `trim`")
        }
    }
}

/// Filters of Jinja2.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "default",
    "dictsort",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
];

/// The known name nearest to a mistyped one: the same but for two letters, or the same last part elsewhere.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let last = |n: &str| n.rsplit('.').next().unwrap_or_default().to_owned();
    let by_distance =
        words::nearest(name, names, |known| words::distance(name, known)).filter(|(d, _)| *d <= 2);
    let elsewhere = || names.iter().find(|n| last(n) == last(name) && n.starts_with("ds."));
    by_distance.map(|(_, n)| n.as_str()).or_else(|| elsewhere().map(String::as_str))
}
