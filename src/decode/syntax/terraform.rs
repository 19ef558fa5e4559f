// SPDX-License-Identifier: Apache-2.0
//! What stands in a [template of Terraform's](https://developer.hashicorp.com/terraform/language/expressions/strings) and nowhere in data
//! for a node: directives, `%{ if name }`, and calls of its functions, `${jsonencode(name)}`. No node knows them.

use crate::model::problem::{Pos, Problem, Severity};

const CURE: &str = "check what Terraform makes of it: `echo 'templatefile(\"FILE\", {…})' | terraform console`, or the rendered value in \
     the plan";

/// Words that begin a directive.
const WORDS: &[&str] = &["else", "endfor", "endif", "for", "if"];

/// Names that Terraform's expressions begin with, before a dot.
const NAMES: &[&str] = &["data", "each", "local", "module", "path", "self", "var"];

/// What stands for its meaning at `%{`.
fn is_directive(behind: &str) -> bool {
    let word = behind.trim_start_matches(['~', ' ']);
    let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
    WORDS.contains(&&word[..end]) && word[end..].starts_with([' ', '~', '}'])
}

/// The same at `${`: a call of a function, or a name below one of Terraform's own.
fn is_expression(behind: &str) -> bool {
    let word = behind.trim_start_matches(['~', ' ']);
    let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
    match word[end..].chars().next() {
        Some('(') => end > 0,
        Some('.') => NAMES.contains(&&word[..end]),
        _ => false,
    }
}

/// The column of the first of them in a line; with `$$` and `%%` Terraform leaves a text as it is.
fn column(line: &str) -> Option<usize> {
    let signs = line.match_indices(['%', '$']).filter(|(at, sign)| !line[..*at].ends_with(sign));
    let mut opened = signs.filter_map(|(at, sign)| Some((at, sign, line[at + 1..].strip_prefix('{')?)));
    let is_it = |(_, sign, behind): &(usize, &str, &str)| match *sign {
        "%" => is_directive(behind),
        _ => is_expression(behind),
    };
    opened.find(is_it).map(|(at, ..)| line[..at].chars().count() + 1)
}

fn problem(pos: Pos) -> Problem {
    let what = "a directive or an expression of a Terraform template, which nothing on a node fills in";
    Problem::error("", what).at(pos).cure(CURE).code("template/terraform")
}

/// The problem of one over which the reader of a text stumbled at a place: on its line, or on the one above.
pub fn near(text: &str, pos: Pos) -> Option<Problem> {
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines()).take(pos.line).skip(pos.line.saturating_sub(2)).collect();
    lines.into_iter().rev().find_map(|(line, text)| Some(problem(Pos { line, column: column(text)? })))
}

/// The warning of the first of a text that can be read with them.
pub fn unfilled(text: &str) -> Option<Problem> {
    let first = (1..).zip(text.lines()).find_map(|(line, text)| Some(Pos { line, column: column(text)? }))?;
    Some(Problem { severity: Severity::Warning, ..problem(first) })
}

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn what_terraform_alone_has_is_found() {
        for (line, want) in [
            ("%{ for f in files ~}", 1),
            ("  %{~ endif ~}", 3),
            ("a: %{if x}é%{else}y%{endif}", 4),
            ("é: ${jsonencode(x)}", 4),
            ("  ${ indent(6, f.content) }", 3),
            ("- ${var.name} $${file(x)}", 3),
        ] {
            assert_eq!(column(line), Some(want), "{line}");
        }
        for line in [
            "curl -w '%{http_code}' x",
            "%{NAME}-%{VERSION}",
            "%{iface}",
            "${x} ${x:-y} ${x[0]} ${x.y} ${#x} ${ x; }",
            "$(file x) $${file(x)} %%{ if x }",
            "${{ fromJSON(x) }}",
            "100% {if}",
            "${",
            "%{",
        ] {
            assert_eq!(column(line), None, "{line}");
        }
    }
}
