// SPDX-License-Identifier: Apache-2.0
//! The `## template: jinja` header: a document that is rendered with the instance's metadata before it is read.
//!
//! Semantics are [cloud-init's](https://docs.cloud-init.io/en/latest/explanation/instance-data.html) with one
//! deliberate difference: where a name has no value, cloud-init writes `CI_MISSING_JINJA_VAR/name` into the file and
//! boots on; here it is an error that names it, and nothing is written.

mod error;
mod variables;

use std::cell::OnceCell;
use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, OutputSpan, OutputSpanKind, UndefinedBehavior, Value};

use self::error::describe;
pub use self::variables::Variables;
use crate::decode::document::envelope::MAX_DECODED;
use crate::model::problem::{Pos, Problem, Severity};

/// Instructions a template may run. A control plane's takes a few hundred; the bound ends endless loops within a second.
const FUEL: u64 = 2_000_000;

/// Nesting of macros and includes.
const MAX_RECURSION: usize = 100;

/// Names that one document may have taken to exist.
const MAX_ASSUMED: usize = 100;

/// The first line that makes a document a template, as cloud-init matches it: leading blanks, any case, one blank on
/// each side of `template:`.
pub const HEADER: &str = "## template: jinja";

/// Whether the text asks to be rendered.
pub fn is_template(text: &str) -> bool {
    let first = text.trim_start().lines().next().unwrap_or_default();
    first.trim_end().eq_ignore_ascii_case(HEADER)
}

/// A rendered document that can say where in the template a place of it came from.
pub struct Rendered {
    /// The document.
    pub text: String,
    /// Names that were taken to exist.
    pub problems: Vec<Problem>,
    template: String,
    variables: Variables,
    spans: OnceCell<Vec<OutputSpan>>,
}

/// Renders a document that [`is_template`].
///
/// # Errors
/// A syntax error or a name without a value, with the line and the column in `text`, the name and the cure.
pub fn render(text: &str, variables: &Variables) -> Result<Rendered, Problem> {
    let text = &raw_as_written(text);
    let template = body(text).1;
    let (mut variables, mut problems) = (variables.clone(), Vec::new());
    loop {
        let mut out = Bounded(Vec::new());
        let result = environment()
            .template_from_str(template)
            .and_then(|t| t.render_captured_to(Serde(&variables.values), &mut out).map(drop));
        let Err(error) = result else {
            // Literal text and values are both UTF-8; only whole strings are written.
            let mut text = String::from_utf8_lossy(&out.0).into_owned();
            // The last line end is the document's: also where a block stands before it, which takes line ends away.
            if template.ends_with('\n') {
                text.push('\n');
            }
            let template = template.to_owned();
            return Ok(Rendered { text, problems, template, variables, spans: OnceCell::new() });
        };
        let name = error.range().and_then(|r| template.get(r)).unwrap_or_default().trim();
        let undefined = error.kind() == ErrorKind::UndefinedError;
        if !(variables.assume && undefined && problems.len() < MAX_ASSUMED && variables.assume(name)) {
            return Err(describe(&error, text, &variables));
        }
        let what = format!("jinja: `{name}` is taken to exist: not every platform has it");
        problems.push(Problem { severity: Severity::Note, ..describe(&error, text, &variables) });
        if let Some(last) = problems.last_mut() {
            (last.what, last.cure) = (what, None);
        }
    }
}

/// The text with a `+` in each `{% raw %}` at a line's end: Jinja2 keeps the line end behind that tag, and minijinja
/// without the sign does not. A file's content would begin in another column than its author gave it.
fn raw_as_written(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        out.push_str(before);
        rest = tag;
        let name = tag.strip_prefix(['-', '+']).unwrap_or(tag).trim_start();
        let Some(end) = name.strip_prefix("raw").map(str::trim_start).filter(|e| e.starts_with("%}")) else {
            continue;
        };
        out.push_str(&tag[..tag.len() - end.len()]);
        if end[2..].starts_with(['\r', '\n']) {
            out.push('+');
        }
        // What stands in the block is text.
        let close = end.match_indices("{%").find(|(at, _)| {
            let tag = end[at + 2..].trim_start_matches(['-', '+']).trim_start();
            tag.strip_prefix("endraw").is_some_and(|e| e.trim_start().starts_with(['-', '+', '%']))
        });
        let (block, behind) = end.split_at(close.map_or(end.len(), |(at, _)| at + 2));
        out.push_str(block);
        rest = behind;
    }
    out + rest
}

/// The header with its line end, and what follows it.
fn body(text: &str) -> (&str, &str) {
    let start = text.len() - text.trim_start().len();
    let end = text[start..].find('\n').map_or(text.len(), |i| start + i + 1);
    text.split_at(end)
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    // `{% if ds.meta_data.zone %}` asks whether there is one; all else that needs a value stops without.
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(MAX_RECURSION);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_debug(true);
    // As cloud-init sets Jinja2.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env
}

/// A buffer that refuses to grow beyond [`MAX_DECODED`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0.len() + data.len() > MAX_DECODED {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Rendered {
    /// The place in the original text from which a place in the rendered text came.
    pub fn origin(&self, pos: Pos) -> Pos {
        let spans = self.spans.get_or_init(|| {
            let template = environment();
            let template = template.template_from_str(&self.template);
            let spans =
                template.and_then(|t| t.render_with_spans(Value::from(Serde(&self.variables.values))));
            spans.map(|(_, spans)| spans).unwrap_or_default()
        });
        let offset = offset_of(&self.text, pos);
        let after = spans.partition_point(|s| s.output_range().start <= offset);
        let source = match after.checked_sub(1).and_then(|i| spans.get(i)) {
            Some(span) if span.kind() == OutputSpanKind::Expression => span.source_range().start,
            Some(span) => {
                (span.source_range().start + (offset - span.output_range().start)).min(self.template.len())
            }
            None => 0,
        };
        let pos = pos_of(&self.template, source);
        // The header's line was not rendered.
        Pos { line: pos.line + 1, ..pos }
    }
}

fn offset_of(text: &str, pos: Pos) -> usize {
    let line: usize = text.split_inclusive('\n').take(pos.line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[line.min(text.len())..];
    let column = rest.char_indices().nth(pos.column.saturating_sub(1)).map_or(rest.len(), |(i, _)| i);
    line + column
}

fn pos_of(text: &str, offset: usize) -> Pos {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    Pos { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::model::facts::Os;
    use crate::model::instance::Instance;

    fn variables() -> Variables {
        let metadata = serde_json::json!({
            "instance-id": "i-1", "local-hostname": "node-1.example.com", "hostname": "node-1.example.com",
            "meta": {"a.b": [1, {"c-d": true}]},
        });
        let Json::Object(metadata) = metadata else { unreachable!() };
        let instance = Instance {
            platform: "vmware",
            instance_id: "i-1".to_owned(),
            hostname: Some("node-1.example.com".to_owned()),
            metadata,
            ..Instance::default()
        };
        Variables::of(&instance, &Os { id: "flatcar".to_owned(), ..Os::default() })
    }

    fn rendered(body: &str) -> Result<String, Problem> {
        render(&format!("## template: jinja\n{body}"), &variables()).map(|r| r.text)
    }

    #[test]
    fn names_are_cloud_inits() {
        let cases = [
            ("{{ ds.meta_data.hostname }}", "node-1.example.com"),
            ("{{ ds.meta_data.local_hostname }}", "node-1.example.com"),
            ("{{ ds.meta_data['local-hostname'] }}", "node-1.example.com"),
            ("{{ local_hostname }} {{ v1.local_hostname }}", "node-1 node-1"),
            ("{{ v1.instance_id }}{{ instance_id }}{{ ds.meta_data.instance_id }}", "i-1i-1i-1"),
            ("{{ ds.meta_data.meta.a_b[1].c_d }}", "True"),
            ("{{ v1.region }}", "None"),
            ("{{ nope | default('x') }}", "x"),
            ("{% if nope is defined %}a{% else %}b{% endif %}", "b"),
            ("{{ local_hostname.split('-')[1] }}{{ 'a'.upper() }}", "1A"),
            ("a\n{% raw %}\n{{.State}}\n{% endraw %}\nb\n", "a\n\n{{.State}}\nb\n"),
            ("{%raw%}\n{% raw %}\n{%endraw%}{% raw %}b{% endraw %}", "\n{% raw %}\nb"),
            ("{% if ds.meta_data.nope %}a{% endif %}b\n{% if true %}\nc\n{% endif %}\n", "b\nc\n\n"),
        ];
        for (template, want) in cases {
            assert_eq!(rendered(template).unwrap(), want, "{template}");
        }
    }

    #[test]
    fn errors_name_line_name_and_cure() {
        let cases = [
            (
                "a: 1\nb: {{ ds.meta_data.hostnme }}\n",
                3,
                "`ds.meta_data.hostnme` has no value",
                "ds.meta_data.hostname",
            ),
            ("b: {{ local_ipv4 }}\n", 2, "`local_ipv4` has no value", "default("),
            ("x\nb: {{.State}}\n", 3, "jinja syntax", "{% raw %}"),
            ("x: ${#a[@]}\n", 2, "jinja syntax", "{% raw %}"),
            (
                "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
                2,
                "too long",
                "",
            ),
        ];
        for (template, line, what, cure) in cases {
            let problem = rendered(template).unwrap_err();
            assert!(problem.what.contains(what), "{template}: {problem:?}");
            assert_eq!(problem.pos.unwrap().line, line, "{template}: {problem:?}");
            assert!(problem.cure.unwrap_or_default().contains(cure), "{template}");
        }
    }

    #[test]
    fn places_lead_back_to_the_template() {
        let text = "## template: jinja\n{% if true %}\nfirst: 1\n{% endif %}\nname: {{ local_hostname }} end\nlast: 2\n";
        let variables = variables();
        let rendered = render(text, &variables).unwrap();
        assert_eq!(rendered.text, "first: 1\nname: node-1 end\nlast: 2\n");
        assert_eq!(rendered.origin(Pos { line: 1, column: 1 }), Pos { line: 3, column: 1 });
        assert_eq!(rendered.origin(Pos { line: 2, column: 8 }).line, 5);
        assert_eq!(rendered.origin(Pos { line: 3, column: 7 }), Pos { line: 6, column: 7 });
        let text = "## template: jinja\na: |\n  {% raw %}\n  {{ b }}\n  {% endraw %}\nlast: 2\n";
        let rendered = render(text, &variables).unwrap();
        assert_eq!(rendered.text, "a: |\n  \n  {{ b }}\n  last: 2\n");
        assert_eq!(rendered.origin(Pos { line: 3, column: 6 }), Pos { line: 4, column: 6 });
        assert_eq!(rendered.origin(Pos { line: 4, column: 9 }), Pos { line: 6, column: 7 });
    }
}
