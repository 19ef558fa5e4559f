// SPDX-License-Identifier: Apache-2.0
//! Placeholders of [Go's templates](https://pkg.go.dev/text/template), `{{ .Values.name }}`: Helm's charts have them, and the data that
//! Packet's provider fills in. No node knows them.

use crate::model::problem::{Pos, Problem, Severity};

const WHAT: &str = "a placeholder of a Go template, which nothing on a node fills in";

const CURE: &str = "one of Helm's or a provider's must be filled in first (`helm template`); text for a program of the node goes \
     between `{% raw %}` and `{% endraw %}` in a template of jinja's, and elsewhere in quotes";

const OF_PACKET: &str = "Packet's provider fills this in: check it in one file with its PacketMachineTemplate; on other platforms take \
     it out";

/// What Packet's provider fills in.
const PACKET: &[&str] = &[".apiKey", ".controlPlaneEndpoint", ".kubernetesVersion"];

/// Words that begin an action and can't begin an expression of jinja's.
const WORDS: &[&str] = &["block", "define", "else", "end", "if", "include", "range", "template", "with"];

/// Bytes of an action that are looked at, and tags of a line.
const MOST: (usize, usize) = (1000, 20);

/// The inside of an action, without the signs that take blanks away.
fn inner(tag: &str) -> &str {
    let tag = &tag[..tag.floor_char_boundary(MOST.0)];
    let tag = tag.strip_prefix("{{").unwrap_or(tag);
    let inner = tag.split("}}").next().unwrap_or_default();
    inner.trim_start_matches('-').trim_end_matches('-').trim()
}

/// Whether a text that begins with `{{` is an action of a Go template, and not an expression of jinja's.
fn is_action(tag: &str) -> bool {
    let inner = inner(tag);
    let word = inner.split(char::is_whitespace).next().unwrap_or_default();
    if WORDS.contains(&word) || inner.starts_with("/*") {
        return true;
    }
    let (mut quote, mut before) = (None, ' ');
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(of) if c == of => quote = None,
            Some(_) => {}
            None if c == '`' || c == '$' || (c == ':' && chars.peek() == Some(&'=')) => return true,
            None if c == '"' || c == '\'' => quote = Some(c),
            // A field of nothing.
            None if c == '.'
                && (before == '(' || before.is_whitespace())
                && chars
                    .peek()
                    .is_none_or(|n| n.is_alphabetic() || n.is_whitespace() || "_)|".contains(*n)) =>
            {
                return true;
            }
            None => {}
        }
        before = c;
    }
    false
}

/// The problem of the placeholder that begins at a place of a text; `None` where another thing does.
pub fn problem(text: &str, at: usize) -> Option<Problem> {
    let tag = text.get(at..).filter(|tag| tag.starts_with("{{") && is_action(tag))?;
    let of_packet = PACKET.contains(&inner(tag)) || inner(tag).starts_with('`');
    let cure = if of_packet { OF_PACKET } else { CURE };
    Some(Problem::error("", WHAT).cure(cure).code("template/go"))
}

/// The problem of the placeholder over which the reader of a text stumbled at a place: on its line, or on the one above.
pub fn near(text: &str, pos: Pos) -> Option<Problem> {
    let lines = text.split_inclusive('\n').take(pos.line);
    let starts = lines.scan(0, |start, line| {
        *start += line.len();
        Some((*start - line.len(), line))
    });
    let lines: Vec<_> = starts.enumerate().skip(pos.line.saturating_sub(2)).collect();
    lines.into_iter().rev().find_map(|(number, (start, line))| {
        // On its own line nothing is looked at that stands behind it.
        let own = (number + 1 == pos.line).then(|| line.char_indices().nth(pos.column + 1)).flatten();
        let upto = own.map_or(line.len(), |(at, _)| at);
        let mut tags = line[..upto].rmatch_indices("{{").take(MOST.1);
        let (at, problem) = tags.find_map(|(at, _)| Some((at, problem(text, start + at)?)))?;
        Some(problem.at(Pos { line: number + 1, column: line[..at].chars().count() + 1 }))
    })
}

/// The problem of the first placeholder that only Helm or Packet's provider has. Others stand in files and commands that are meant so:
/// `crictl inspect --template '{{.status.pid}}'`.
pub fn unfilled(text: &str) -> Option<Problem> {
    let theirs = |tag: &str| {
        PACKET.contains(&tag) || [".Values.", ".Release.", ".Chart."].iter().any(|of| tag.contains(of))
    };
    let mut tags = text.match_indices("{{").map(|(at, _)| at).filter(|at| theirs(inner(&text[*at..])));
    let (at, problem) = tags.find_map(|at| Some((at, problem(text, at)?)))?;
    let before = &text[..at];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let problem = problem.at(Pos { line: before.matches('\n').count() + 1, column });
    Some(Problem { severity: Severity::Warning, ..problem })
}

/// The text with what Packet's provider fills in: a value in place of each name, and what stands between backticks as it is. Places in the
/// text stay what they are.
pub fn filled_by_packet(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(open) = rest.find("{{") {
        let (before, tag) = rest.split_at(open);
        out += before;
        let is_quoted = inner(tag).starts_with('`');
        let head = &tag[..tag.floor_char_boundary(MOST.0)];
        let end = if is_quoted { head.match_indices('`').nth(1).map(|(at, _)| at) } else { Some(2) };
        let end = end.and_then(|end| Some(end + head[end..].find("}}")? + 2));
        let Some(end) = end.filter(|_| is_quoted || PACKET.contains(&inner(tag))) else {
            out += "{{";
            rest = &tag[2..];
            continue;
        };
        let body = &tag[2..end - 2];
        let width = body.chars().count();
        let body = body.trim().trim_matches('`').trim();
        let value = match (is_quoted, body.strip_prefix("{{").and_then(|body| body.strip_suffix("}}"))) {
            (true, Some(expression)) => expression,
            (true, None) => "''",
            (false, _) => "1",
        };
        out += &format!("{{{{{value:width$}}}}}");
        rest = &tag[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_go_are_told_from_expressions_of_jinja() {
        for tag in [
            "{{ .x }}",
            "{{.Values.a.b}}",
            "{{- .x -}}",
            "{{ .x | quote }}",
            "{{ . }}",
            "{{ $x }}",
            "{{ $x := 1 }}",
            "{{ range $k, $v := .a }}",
            "{{- end }}",
            "{{else}}",
            "{{ if .a }}",
            "{{- with (index .a 0) }}",
            "{{ include \"a.b\" . | nindent 4 }}",
            "{{ toYaml .Values.x }}",
            "{{ (.a) }}",
            "{{/* a note */}}",
            "{{ printf \"%s-x\" .Release.Name }}",
            "{{ `{{ v1.instance_id }}` }}",
        ] {
            assert!(is_action(tag), "{tag}");
            assert!(problem(tag, 0).is_some() && problem(tag, 1).is_none(), "{tag}");
        }
        for tag in [
            "{{ ds.meta_data.local_hostname }}",
            "{{ v1.instance_id | default('.x') }}",
            "{{ range(3) }}",
            "{{ 'a $x `y` .z' }}",
            "{{ a + .5 }}",
            "{{ '{:=+5}'.format(a) }}",
            "{{ a ~ '.' ~ b }}",
            "{{ \"a\\\" .b\" }}",
            "{{ ending }}",
            "{{ a[0].b }}",
            "{{- ds['a'] -}} .x",
            "{{ ds.meta_data",
        ] {
            assert!(!is_action(tag), "{tag}");
        }
    }

    #[test]
    fn what_packets_provider_fills_in_stands_where_it_stood() {
        for (text, want) in [
            ("v={{ .kubernetesVersion }}.", "v={{1                   }}."),
            ("{{.apiKey}}", "{{1      }}"),
            ("a://{{ `{{ v1.instance_id }}` }}/", "a://{{ v1.instance_id         }}/"),
            ("{{ .Values.a }} {{ ds.b }} {{ .apiKey", "{{ .Values.a }} {{ ds.b }} {{ .apiKey"),
            ("{{ `a` }}", "{{''   }}"),
            ("{{ `a }}", "{{ `a }}"),
        ] {
            assert_eq!(filled_by_packet(text), want);
        }
    }
}
