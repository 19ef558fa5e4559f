// SPDX-License-Identifier: Apache-2.0
//! Variables in an object's texts, `${NAME}`: clusterctl fills them in, or the node's shell does.

use super::writer::Source;
use crate::decode::syntax::yaml::{Kind, Node, Value, resolve};
use crate::model::problem::{Pos, Problem};

/// The default of a text that is one variable of clusterctl's and nothing else, where it has one: of the forms that clusterctl knows
/// ([its library](https://github.com/drone/envsubst)), `:=`, `:-` and `=` have it.
fn default(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|end| *end > 0)?;
    let default = [":=", ":-", "="].iter().find_map(|operator| inner[end..].strip_prefix(operator))?.trim();
    (!default.is_empty() && !default.contains(['{', '}'])).then_some(default)
}

/// Bytes of a line in which variables are looked for. In data of one line, which is JSON, all texts are in quotes.
const LONGEST_LINE: usize = 4096;

/// Gives each value of a document that is a variable with a default that default, as clusterctl does where the variable is not set. Without
/// quotes the default's own type counts. `lines` are those of the document.
pub fn fill(lines: &[&str], node: &mut Node) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| fill(lines, item)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| fill(lines, value)),
        Value::Scalar(scalar) => {
            let Some(default) = default(&scalar.text).map(str::to_owned) else { return };
            let line = lines.get(node.pos.line - 1).filter(|line| line.len() <= LONGEST_LINE);
            let plain = line.is_some_and(|line| line.chars().nth(node.pos.column - 1) == Some('$'));
            // Quotes in it are YAML's then.
            let quoted = ['"', '\''].iter().find_map(|q| default.strip_prefix(*q)?.strip_suffix(*q));
            match quoted.filter(|_| plain) {
                Some("") => {}
                Some(text) => (scalar.kind, scalar.text) = (Kind::Str, text.to_owned()),
                None => {
                    scalar.kind = if plain { resolve(&default) } else { Kind::Str };
                    scalar.text = default;
                }
            }
        }
    }
}

/// Tells each text of an object that begins a variable and does not end its name.
pub fn unclosed(source: &Source<'_>, node: &Node, place: &str, tell: &mut dyn FnMut(Problem)) {
    match &node.value {
        Value::List(items) => {
            (0..).zip(items).for_each(|(i, item)| unclosed(source, item, &format!("{place}[{i}]"), tell));
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                let name = key.text().unwrap_or_default();
                unclosed(source, value, &format!("{place}.{name}"), tell);
            }
        }
        Value::Scalar(scalar) => {
            if is_unknown(&scalar.text) {
                let what = "clusterctl does not know this form of a variable: it refuses the whole template";
                let problem = Problem::warning(place, what).at(node.pos);
                return tell(problem.cure("write `${NAME:-DEFAULT}`").code("object/variable"));
            }
            let Some(at) = first(&scalar.text) else { return };
            let before = &scalar.text[..at];
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let pos = source.step(node).back(Pos { line: before.matches('\n').count() + 1, column });
            let problem =
                Problem::error(place, "`${` begins the name of a variable, and no `}` ends it").at(pos);
            tell(problem.cure("write `${NAME}`").code("object/variable"));
        }
    }
}

/// Whether a text is one variable with an operator that the shell has and clusterctl does not, such as `-` without a colon.
fn is_unknown(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or_default();
    end > 0 && inner[end..].starts_with(['-', '+', '?']) && !inner.contains('}')
}

/// Where the first variable begins whose name is not followed by `}` or by an operator of the shell's.
fn first(text: &str) -> Option<usize> {
    text.match_indices("${").map(|(at, _)| at).find(|at| {
        let behind = text[at + 2..].trim_start_matches(['#', '!']);
        let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
        let next = behind[end..].chars().next();
        end > 0 && next.is_none_or(|c| c.is_whitespace() || ";&|<>()\"'$".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::{default, first, is_unknown};

    #[test]
    fn forms_that_clusterctl_does_not_know_are_told_from_others() {
        for (text, want) in [
            ("${A-b}", true),
            ("${A+b}", true),
            ("${A?}", true),
            ("${A:-b}", false),
            ("${A}", false),
            ("${A-b} ${C}", false),
            ("${-}", false),
            ("x", false),
        ] {
            assert_eq!(is_unknown(text), want, "{text}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_forms_that_clusterctl_knows() {
        for (text, want) in [
            ("${A:=true}", Some("true")),
            ("${A:-b c}", Some("b c")),
            ("${A=5}", Some("5")),
            ("${A:= 5 }", Some("5")),
            ("${A-5}", None),
            ("${A}", None),
            ("${A:=}", None),
            ("${A:=${B}}", None),
            ("${A:=a}${B:=b}", None),
            ("$${A:=b}", None),
            ("${:=b}", None),
            ("x ${A:=b}", None),
            ("${A:?b}", None),
        ] {
            assert_eq!(default(text), want, "{text}");
        }
    }

    #[test]
    fn a_name_without_its_end_is_found() {
        for good in
            ["${A}", "${A:-b c}", "$${A}", "a ${#A} ${!A} ${A[@]} ${A//x/ } ${A%.*}", "$A", "${", "${ x; }"]
        {
            assert_eq!(first(good), None, "{good}");
        }
        for (bad, at) in [("${A", 0), ("x ${A} ${B ", 7), ("\"${A\" }", 1), ("${A\n}", 0), ("$(echo ${A)", 7)]
        {
            assert_eq!(first(bad), Some(at), "{bad}");
        }
    }
}
