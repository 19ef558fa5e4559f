// SPDX-License-Identifier: Apache-2.0
//! What is found in a document that was rendered away from the machine, where a value of the machine takes part in it: with other
//! values it may be right.

use std::ops::Range;

use minijinja::OutputSpanKind;

use super::assume::may_exist;
use super::error::{Chain, Segment};
use super::{Rendered, body, offset_of, syntax};
use crate::model::problem::{Pos, Problem, Severity};

/// What is said of a place that depends on the machine.
pub const WHAT: &str = "what comes here depends on values of the machine, which are not known here";

/// What to do about it.
pub const CURE: &str = "`--metadata FILE` with a machine's own values shows what comes of it";

/// The names of a template.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those in its expressions, whole: `ds.meta_data.tags.zone`.
    pub chains: Vec<Chain>,
    /// Its own variables.
    pub own: Vec<Own>,
}

/// A variable of a template's own.
#[derive(Debug)]
pub struct Own {
    /// Its name.
    pub name: String,
    /// Where it can have a value.
    pub range: Range<usize>,
    /// Whether the template alone says what value.
    pub known: bool,
}

impl Rendered<'_> {
    /// A problem in the rendered text; a note where the node that it is about has a value of the machine in it. To a shell any
    /// value is a word: what is wrong with a program is so with all of them.
    pub fn weigh(&self, problem: Problem) -> Problem {
        let sure = problem.severity == Severity::Note
            || ["program/", "script/"].iter().any(|kind| problem.code.starts_with(kind));
        let Some(pos) = problem.pos.filter(|_| self.variables.assume && !sure) else { return problem };
        let broken = problem.what.starts_with("not YAML");
        let part =
            if broken { self.lone_line(pos) } else { Some(node(&self.text, offset_of(&self.text, pos))) };
        if !part.is_some_and(|part| self.depends(&part)) {
            return problem;
        }
        let (severity, rest) = match broken {
            true => (Severity::Warning, ": the rest of the text was not checked"),
            false => (Severity::Note, ""),
        };
        let what = format!("{WHAT}{rest}");
        Problem { severity, what, cure: Some(CURE.to_owned()), why: Vec::new(), ..problem }
            .code("template/unknown")
    }

    /// The line at a place, or the one above it, where an expression made all of it.
    fn lone_line(&self, pos: Pos) -> Option<Range<usize>> {
        let line = |line: usize| {
            let start = offset_of(&self.text, Pos { line, column: 1 });
            let text = self.text.get(start..)?.lines().next()?;
            let indent = text.len() - text.trim_start().len();
            Some(start + indent..start + text.trim_end().len())
        };
        let made = |part: &Range<usize>| {
            let spans = self.spans().iter().filter(|s| s.kind() == OutputSpanKind::Expression);
            !part.is_empty() && { spans }.any(|s| s.output_range() == *part)
        };
        [pos.line, pos.line.saturating_sub(1)].into_iter().filter_map(line).find(made)
    }

    /// Whether an expression that gave some of this part of the text has a value of the machine in it.
    fn depends(&self, part: &Range<usize>) -> bool {
        let template = body(&self.source).1;
        let seen = self.rewritten.seen(template, &syntax());
        let first = |chain: &Chain| match chain.path.first() {
            Some(Segment::Name(first)) => first.clone(),
            _ => String::new(),
        };
        let of_machine = |chain: &Chain| {
            let first = first(chain);
            let mut own =
                seen.own.iter().filter(|o| o.name == first && o.range.contains(&chain.start)).peekable();
            match own.peek() {
                Some(_) => own.any(|own| !own.known),
                None => self.variables.values.contains_key(&first) || may_exist(&first),
            }
        };
        self.spans()
            .iter()
            .filter(|span| span.kind() == OutputSpanKind::Expression)
            .filter(|span| span.output_range().start < part.end && span.output_range().end >= part.start)
            .any(|span| {
                let source = span.source_range();
                let within = self.rewritten.original(source.start)..self.rewritten.original(source.end);
                // What was not worked out is one word.
                within.is_empty() || seen.chains.iter().filter(|c| within.contains(&c.start)).any(of_machine)
            })
    }
}

/// A node of YAML that begins at a place: a scalar as a whole, a key without its value, of a list or a mapping what begins it.
fn node(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let length = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(rest, quote),
        Some('|' | '>') => line.len() + block(&rest[line.len()..]),
        Some('[' | '{') => 1,
        _ => {
            let before = text[..start].rsplit('\n').next().unwrap_or_default();
            let flow = before.contains(['[', '{']);
            let key = line.match_indices(':').map(|(at, _)| at);
            let key = { key }.find(|at| line[at + 1..].is_empty() || line[at + 1..].starts_with(' '));
            let comma = line.find([',', ']', '}']).filter(|_| flow);
            let comment = line.find(" #");
            [key, comma, comment].into_iter().flatten().min().unwrap_or(line.len())
        }
    };
    start..start + length
}

/// Bytes of a text in quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let doubled = quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == quote);
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote && doubled => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the lines of a block's text: they stand as far to the right as its first one.
fn block(text: &str) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.split_inclusive('\n').skip(1);
    let Some(first) = { lines.by_ref() }.find(|line| !line.trim().is_empty()).map(indent) else { return 0 };
    let mut within = text.split_inclusive('\n');
    let end = |line: &&str| line.trim().is_empty() || indent(line) >= first;
    within.by_ref().take_while(end).map(str::len).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::super::{Variables, render};
    use super::*;

    #[test]
    fn a_node_ends_where_yaml_ends_it() {
        for (text, start, want) in [
            ("a: 'b''c' # d", "'", "'b''c'"),
            (r#"a: "b\"c", d"#, "\"", r#""b\"c""#),
            ("a: b # c", "b", "b"),
            ("a: b, c] d", "b", "b, c] d"),
            ("a: [b, c]", "b", "b"),
            ("a: [b, c]", "c", "c"),
            ("a: [b, c]", "[", "["),
            ("- a: b\n  c: d", "a", "a"),
            ("- a: |\n    b\n\n     c\n  d: e", "|", "|\n    b\n\n     c\n"),
            ("a: x:y", "x", "x:y"),
            ("a: é", "é", "é"),
            ("a: |", "|", "|"),
        ] {
            let found = node(text, text.find(start).unwrap());
            assert_eq!(&text[found], want, "{text}");
        }
    }

    /// What is told of the node at the word.
    fn severity(template: &str, word: &str) -> Severity {
        let text = format!("## template: jinja\n{template}");
        let rendered = render(&*text, &Variables::assumed()).unwrap();
        let at = rendered.text.find(word).unwrap();
        let pos = super::super::pos_of(&rendered.text, at);
        rendered.weigh(Problem::error("", "wrong").at(pos)).severity
    }

    #[test]
    fn what_has_a_value_of_the_machine_in_it_is_in_doubt_and_nothing_else() {
        for (template, word) in [
            ("a: {{ ds.meta_data.x }}", "assumed"),
            ("a: '0{{ ds.meta_data.x }}'", "'0"),
            ("a: {{ ds.meta_data.x | int }}", "0"),
            ("a: {{ 1 + ds.meta_data.x }}", "assumed"),
            ("a: |\n  b\n  {{ ds.meta_data.x }}\n", "|"),
            ("a: {{ v1.region }}", "region"),
            ("a: {{ '0600' if ds.meta_data.x else '0999' }}", "0"),
            ("{% set y = ds.meta_data.x %}a: {{ y }}", "assumed"),
            ("{% set y = 'q' %}{% if v1.region %}{% set y = v1.region %}{% endif %}a: {{ y }}", "region"),
            ("{% for y in ds.meta_data.x %}a: {{ y.z }}\n{% endfor %}", "assumed"),
            ("{% macro m(y) %}{{ y }}{% endmacro %}a: {{ m(ds.meta_data.x) }}", "assumed"),
            ("{{ ds.meta_data.x }}: b", "assumed"),
        ] {
            assert_eq!(severity(template, word), Severity::Note, "{template}");
        }
        for (template, word) in [
            ("a: {{ ds.meta_data.x }}\nb: c", "c"),
            ("b: c\na: {{ ds.meta_data.x }}", "c"),
            ("a: [c, '{{ ds.meta_data.x }}']", "c"),
            ("c: {{ ds.meta_data.x }}", "c"),
            ("a: {c: {{ ds.meta_data.x }}}", "{"),
            ("{% set y = 'q' %}a: {{ y }}{{ ds.meta_data.x | truncate(0) }}\n", "a"),
            ("{% for y in ['q', 'r'] %}a: {{ y }}\n{% endfor %}{{ ds.meta_data.x }}", "q"),
            ("a: {{ 'q' * 3 }}\nb: {{ ds.meta_data.x }}", "q"),
            ("{% if v1.region %}a: q{% endif %}", "q"),
            ("{% for i in range(2) %}a: {{ i }}q\n{% endfor %}{{ ds.meta_data.x }}", "0q"),
        ] {
            assert_eq!(severity(template, word), Severity::Error, "{template}");
        }
    }
}
