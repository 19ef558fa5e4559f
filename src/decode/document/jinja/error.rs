// SPDX-License-Identifier: Apache-2.0
//! What went wrong in a template, where, and the cure.

use minijinja::{Error, ErrorKind};

use super::{Variables, body, pos_of};
use crate::decode::document::envelope::MAX_DECODED;
use crate::model::problem::{Pos, Problem};

pub fn describe(error: &Error, text: &str, variables: &Variables) -> Problem {
    let (header, template) = body(text);
    let lines_before = header.matches('\n').count();
    let range = error.range();
    let mut pos = range.as_ref().map(|r| pos_of(template, r.start));
    if pos.is_none() {
        pos = error.line().map(|line| Pos { line, column: 1 });
    }
    // A comment that never ends is reported at the end of the document; its author needs the beginning: `${#array[@]}`.
    if let Some(open) = template.rfind("{#").filter(|open| !template[*open..].contains("#}")) {
        pos = Some(pos_of(template, open));
    }
    // Code of the template, not a value: at most a name or a call, and no text that the template holds.
    let source = range.and_then(|r| template.get(r)).map(str::trim);
    let source = source.filter(|s| s.len() <= 80 && !s.contains(['\n', '\'', '"']));
    let problem = match error.kind() {
        ErrorKind::UndefinedError => {
            let name = source.unwrap_or("a name in this expression");
            let problem = Problem::error("", format!("jinja: `{name}` has no value on this machine"));
            problem.cure(match nearest(name, &variables.names()) {
                Some(near) => format!("did you mean `{near}`? Or give it one: `{{{{ {name} | default('…') }}}}`"),
                None => format!(
                    "use a name that this platform has, such as ds.meta_data.local_hostname, or `{{{{ {name} | default('…') }}}}`"
                ),
            })
        }
        ErrorKind::SyntaxError => {
            let what = error.detail().unwrap_or("it can't be parsed");
            Problem::error("", format!("jinja syntax: {what}"))
                .cure("text that is no template goes between `{% raw %}` and `{% endraw %}`, or is written base64-encoded")
        }
        ErrorKind::OutOfFuel => Problem::error("", "jinja: the template runs too long"),
        ErrorKind::WriteFailure => {
            Problem::error("", format!("jinja: the document renders to more than {} MiB", MAX_DECODED >> 20))
        }
        _ => {
            let at = source.map(|s| format!(" in `{s}`")).unwrap_or_default();
            Problem::error("", format!("jinja: {}{at}", error.kind()))
        }
    };
    match pos {
        Some(pos) => problem.at(Pos { line: pos.line + lines_before, ..pos }),
        None => problem,
    }
}

/// The known name nearest to a mistyped one: the same but for two letters, or the same last part elsewhere.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let last = |n: &str| n.rsplit('.').next().unwrap_or_default().to_owned();
    let by_distance = names.iter().map(|n| (distance(name, n), n)).min().filter(|(d, _)| *d <= 2);
    let elsewhere = || names.iter().find(|n| last(n) == last(name) && n.starts_with("ds."));
    by_distance.map(|(_, n)| n.as_str()).or_else(|| elsewhere().map(String::as_str))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
