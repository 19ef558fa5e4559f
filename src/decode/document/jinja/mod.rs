// SPDX-License-Identifier: Apache-2.0
//! The `## template: jinja` header: a document that is rendered with the instance's metadata before it is read.
//!
//! Semantics are [cloud-init's](https://docs.cloud-init.io/en/latest/explanation/instance-data.html) with one
//! deliberate difference: where a name has no value, cloud-init writes `CI_MISSING_JINJA_VAR/name` into the file and
//! boots on; here it is an error that names it, and nothing is written.

mod args;
mod assume;
mod blank;
mod bounds;
mod containers;
mod cycler;
mod doubt;
mod error;
mod filters;
mod format;
mod marks;
mod number;
mod range;
mod rewrite;
mod spec;
mod strings;
mod syntax_error;
mod tag;
mod text;
mod values;
mod variables;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, OutputSpan, OutputSpanKind, UndefinedBehavior};

pub use self::assume::is_null_without;
use self::error::{Context, describe};
use self::marks::Marks;
use self::rewrite::Rewritten;
use self::values::Names;
pub use self::variables::Variables;
use crate::decode::document::envelope::{MAX_DECODED, extend};
use crate::decode::document::place::Text;
use crate::model::problem::{Pos, Problem, Severity};

/// Instructions that any template may run, and bytes of data that each of them is worth. A control plane's takes a few hundred; the
/// bound ends endless loops within a second. Text that has nothing but names in it takes one for three of its bytes at most.
const FUEL: (u64, u64) = (200_000, 3);

/// The most that a template gets.
const MAX_FUEL: u64 = 2_000_000;

/// Room for expressions of [`bounds::crossed`]. Pages that are not used cost nothing.
const STACK: usize = 64 << 20;

/// Nesting of macros and includes.
const MAX_RECURSION: usize = 100;

/// The first line that makes a document a template, as cloud-init matches it: leading blanks, any case, one blank on
/// each side of `template:`.
pub const HEADER: &str = "## template: jinja";

/// A rendered document that can say where in the template a place of it came from.
pub struct Rendered<'d> {
    /// The document.
    pub text: Arc<String>,
    /// Names that were taken to exist.
    pub problems: Vec<Problem>,
    /// What was rendered, header included.
    source: Text<'d>,
    rewritten: Rewritten,
    variables: Variables,
    exist: HashSet<String>,
    spans: OnceCell<Vec<OutputSpan>>,
    /// Of the text and of the template.
    marks: OnceCell<(Marks, Marks)>,
}

/// One rendering: its text, how it ended, and what was seen of the instance's names.
struct Outcome {
    out: Vec<u8>,
    result: Result<(), minijinja::Error>,
    names: Arc<Names>,
}

fn attempt(template: &str, rewritten: &Rewritten, variables: &Variables, exist: &HashSet<String>) -> Outcome {
    let pieces = rewritten.pieces(template);
    let outcome = each(&pieces, template, variables, exist);
    match outcome.result {
        // An error's place is that in the text that the engine was given.
        Err(_) if pieces.len() > 1 => each(&[rewritten.text(template)], template, variables, exist),
        _ => outcome,
    }
}

/// Renders a template's pieces.
fn each(pieces: &[&str], template: &str, variables: &Variables, exist: &HashSet<String>) -> Outcome {
    let names = Arc::new(Names { exist: exist.clone(), ..Names::default() });
    let mut out = Bounded(Vec::new());
    let (mut environment, values) = (environment(template), variables.value(&names));
    let result = pieces.iter().try_for_each(|piece| {
        let rendered = environment.template_from_str(piece)?.render_captured_to(values.clone(), &mut out)?;
        // The fuel is for all of them.
        let left = rendered.state().fuel_levels().map(|(_, left)| left);
        drop(rendered);
        environment.set_fuel(left);
        Ok(())
    });
    Outcome { out: out.0, result, names }
}

/// Does something with a stack of [`STACK`]; `None` where there is no memory for one.
fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

/// Renders a document whose first line is [`HEADER`].
///
/// # Errors
/// A syntax error or a name without a value, with the line and the column in `text`, the name and the cure.
pub fn render<'d>(text: impl Into<Text<'d>>, variables: &Variables) -> Result<Rendered<'d>, Problem> {
    let text = text.into();
    // An error holds values too: all of it ends where there is room.
    let rendered = with_room(|| rendered(text, variables));
    rendered.unwrap_or_else(|| Err(Problem::error("", "jinja: there is no memory to render the template")))
}

/// Renders a document and goes on behind what is wrong: all errors, and the document where the rest of it renders. What failed
/// is then a made-up word in it.
pub fn render_on<'d>(mut text: Text<'d>, variables: &Variables) -> (Option<Rendered<'d>>, Vec<Problem>) {
    let (mut errors, mut other) = (Vec::new(), false);
    loop {
        let error = match render(text.clone(), variables) {
            Ok(rendered) => return (Some(rendered).filter(|_| !other), errors),
            Err(error) => error,
        };
        // With a whole line of another template's the document is not the one that is meant.
        let line = error.pos.and_then(|pos| text.lines().nth(pos.line.checked_sub(1)?)).map(str::trim);
        other |=
            error.code == "template/go" && line.is_some_and(|l| l.starts_with("{{") && l.ends_with("}}"));
        let again = errors.iter().any(|e: &Problem| e.pos == error.pos);
        // A template that runs too long would do so again.
        let go_on = !again && !error.what.ends_with(error::TOO_LONG);
        let rest = error
            .pos
            .filter(|_| go_on)
            .and_then(|pos| blank::without_tag(&text, pos, error.what.contains("has no `{% end")));
        if !again {
            errors.push(error);
        }
        match rest {
            Some(rest) if errors.len() < blank::MAX_ERRORS => text = Text::Made(Arc::new(rest)),
            _ => {
                if let Some(note) = errors.last_mut().filter(|e| !e.is_error()) {
                    note.severity = Severity::Warning;
                    note.what.push_str(": the rest of the template was not checked");
                }
                return (None, errors);
            }
        }
    }
}

fn rendered<'d>(text: Text<'d>, variables: &Variables) -> Result<Rendered<'d>, Problem> {
    let source = match raw_as_written(&text) {
        Cow::Owned(written) => Text::Made(Arc::new(written)),
        Cow::Borrowed(_) => text.clone(),
    };
    let (text, template) = (&*source, body(&source).1);
    let plain = bounds::is_plain(template);
    let crossed = if plain { None } else { bounds::crossed(template, &syntax()) };
    if let Some((at, what)) = crossed {
        let pos = pos_of(template, at);
        return Err(Problem::error("", format!("jinja: {what}")).at(Pos { line: pos.line + 1, ..pos }));
    }
    let mut rewritten = if plain { Rewritten::plain() } else { Rewritten::of(template, &syntax(), &[]) };
    let (outcome, problems) = if variables.assume {
        assume::render(text, &mut rewritten, variables)?
    } else {
        let outcome = attempt(template, &rewritten, variables, &HashSet::new());
        if let Err(error) = &outcome.result {
            let context = Context { text, rewritten: &rewritten, names: &outcome.names, variables };
            return Err(describe(error, &context));
        }
        (outcome, Vec::new())
    };
    // Literal text and values are both UTF-8; only whole strings are written.
    let mut rendered = String::from_utf8(outcome.out).unwrap_or_default();
    // The last line end is the document's: also where a block stands before it, which takes line ends away.
    if template.ends_with('\n') {
        rendered.push('\n');
    }
    rendered.shrink_to_fit();
    let exist = outcome.names.exist.clone();
    Ok(Rendered {
        text: Arc::new(rendered),
        problems,
        source,
        rewritten,
        variables: variables.clone(),
        exist,
        spans: OnceCell::new(),
        marks: OnceCell::new(),
    })
}

/// Every method that a value of a template may have.
fn methods() -> impl Iterator<Item = &'static str> {
    [strings::STRING, containers::LIST, containers::DICT].into_iter().flatten().copied()
}

/// The text with a `+` in each `{% raw %}` at a line's end: Jinja2 keeps the line end behind that tag, and minijinja
/// without the sign does not. A file's content would begin in another column than its author gave it.
fn raw_as_written(text: &str) -> Cow<'_, str> {
    // What of the text is in `out`; nothing is where no sign is missing.
    let (mut out, mut done, mut rest) = (String::new(), 0, text);
    let at = |rest: &str| text.len() - rest.len();
    // A search for one character is much quicker than one for two.
    let tag =
        |text: &str| text.match_indices('{').map(|(at, _)| at).find(|at| text[at + 1..].starts_with('%'));
    while let Some(start) = tag(rest) {
        let tag = &rest[start + 2..];
        rest = tag;
        let name = tag.strip_prefix(['-', '+']).unwrap_or(tag).trim_start();
        let Some(end) = name.strip_prefix("raw").map(str::trim_start).filter(|e| e.starts_with("%}")) else {
            continue;
        };
        if end[2..].starts_with(['\r', '\n']) {
            out.push_str(&text[done..at(end)]);
            out.push('+');
            done = at(end);
        }
        // What stands in the block is text.
        let close = end.match_indices("{%").find(|(at, _)| {
            let tag = end[at + 2..].trim_start_matches(['-', '+']).trim_start();
            tag.strip_prefix("endraw").is_some_and(|e| e.trim_start().starts_with(['-', '+', '%']))
        });
        rest = &end[close.map_or(end.len(), |(at, _)| at + 2)..];
    }
    if done == 0 { Cow::Borrowed(text) } else { Cow::Owned(out + &text[done..]) }
}

/// The header with its line end, and what follows it.
fn body(text: &str) -> (&str, &str) {
    let start = text.len() - text.trim_start().len();
    let end = text[start..].find('\n').map_or(text.len(), |i| start + i + 1);
    text.split_at(end)
}

fn environment(template: &str) -> Environment<'static> {
    let mut env = Environment::new();
    // `{% if ds.meta_data.zone %}` asks whether there is one; all else that needs a value stops without.
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_unknown_method_callback(filters::method);
    filters::add(&mut env);
    env.set_formatter(|out, state, value| {
        values::complete(value)?;
        if let Some(number) = filters::exponent(value) {
            return Ok(out.write_str(&number)?);
        }
        minijinja::escape_formatter(out, state, value)
    });
    let (always, bytes) = FUEL;
    env.set_fuel(Some((always + template.len() as u64 / bytes).min(MAX_FUEL)));
    env.set_recursion_limit(MAX_RECURSION);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_debug(true);
    env.set_syntax(syntax());
    env
}

/// Jinja2's syntax as cloud-init sets it.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().trim_blocks(true).build().unwrap_or_default()
}

/// A buffer that refuses to grow beyond [`MAX_DECODED`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0.len() + data.len() > MAX_DECODED {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        extend(&mut self.0, data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Rendered<'_> {
    /// What of the text came of what.
    fn spans(&self) -> &[OutputSpan] {
        self.spans.get_or_init(|| {
            let names = Arc::new(Names { exist: self.exist.clone(), ..Names::default() });
            let (text, variables) = (self.rewritten.text(body(&self.source).1), &self.variables);
            let spans = with_room(|| {
                let environment = environment(text);
                let template = environment.template_from_str(text).ok()?;
                template.render_with_spans(variables.value(&names)).ok()
            });
            let spans = spans.flatten();
            spans.map(|(_, spans)| spans).unwrap_or_default()
        })
    }

    /// The place in the original text from which a place in the rendered text came.
    pub fn origin(&self, pos: Pos) -> Pos {
        let spans = self.spans();
        let template = body(&self.source).1;
        let (made, written) = self.marks.get_or_init(|| (Marks::of(&self.text), Marks::of(template)));
        let offset = made.offset_of(&self.text, pos);
        let after = spans.partition_point(|s| s.output_range().start <= offset);
        let source = match after.checked_sub(1).and_then(|i| spans.get(i)) {
            Some(span) if span.kind() == OutputSpanKind::Expression => span.source_range().start,
            Some(span) => span.source_range().start + (offset - span.output_range().start),
            None => 0,
        };
        let pos = written.pos_of(template, self.rewritten.original(source).min(template.len()));
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
mod tests;
