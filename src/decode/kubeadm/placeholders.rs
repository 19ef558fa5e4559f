// SPDX-License-Identifier: Apache-2.0
//! Placeholders of kubeadm's configuration: `${NAME}` and `{{ ds.meta_data.NAME }}`.

use super::prepare::{Values, is_name};
use crate::model::problem::{Pos, Problem};

/// Where a template's names begin.
const TEMPLATE: &str = "ds.meta_data.";

/// Placeholders without a value that are told one by one.
const MAX_PROBLEMS: usize = 50;

/// Bytes in which a placeholder ends.
const MAX_PLACEHOLDER: usize = 256;

/// The text with the values of its placeholders, and how many there were.
///
/// # Errors
/// Those that have no value, each by its name and place, the first of many.
pub fn expand(text: &str, values: &Values) -> Result<(String, usize), Vec<Problem>> {
    let (mut out, mut count, mut problems) = (String::with_capacity(text.len()), 0, Vec::new());
    let mut at = 0;
    while let Some(found) = text[at..].find(['$', '{']) {
        let start = at + found;
        out.push_str(&text[at..start]);
        let Some((name, end, value)) = placeholder(text, start, values) else {
            out.push_str(&text[start..=start]);
            at = start + 1;
            continue;
        };
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
        let problem = |what: String| Problem::error("", what).at(pos_of(text, start));
        match value {
            // What would end a quoted string of YAML can't be put into one.
            Some(v) if v.contains(|c: char| c.is_control() || "'\"\\".contains(c)) => {
                problems.push(problem(format!("{name}: its value holds a quote or a control character")));
            }
            Some(value) => out.push_str(&value),
            None => problems.push(
                problem(format!("{name} has no value"))
                    .cure("`cat /run/metadata/*` shows the names that this platform has"),
            ),
        }
        (at, count) = (end, count + 1);
    }
    out.push_str(&text[at..]);
    if problems.is_empty() { Ok((out, count)) } else { Err(problems) }
}

/// The placeholder that begins at `start`: how it is written, where it ends, and its value.
fn placeholder<'t>(text: &'t str, start: usize, values: &Values) -> Option<(&'t str, usize, Option<String>)> {
    let mut end = text.len().min(start + MAX_PLACEHOLDER);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let rest = &text[start..end];
    if let Some(body) = rest.strip_prefix("${") {
        let length = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
        let name = &body[..length];
        if !is_name(name) {
            return None;
        }
        // `${NAME%.*}` is a shell's: it has no value here, and the error says so by its name.
        let end = body[length..].find('}').map_or(length, |i| length + i + 1);
        let value = values.names.get(name).filter(|_| body[length..].starts_with('}')).cloned();
        return Some((&rest[..2 + end], start + 2 + end, value));
    }
    let inner = rest.strip_prefix("{{")?;
    let close = inner.find("}}")?;
    let path = inner[..close].trim().strip_prefix(TEMPLATE)?;
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    let value = if plain { values.metadata(path) } else { None };
    Some((&rest[..close + 4], start + close + 4, value))
}

fn pos_of(text: &str, offset: usize) -> Pos {
    let before = &text[..offset];
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    Pos { line: before.matches('\n').count() + 1, column }
}
