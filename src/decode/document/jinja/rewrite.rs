// SPDX-License-Identifier: Apache-2.0
//! What minijinja means otherwise than Jinja2, written in a form that both mean alike.
//!
//! minijinja has no hook for operators, slices and literals. They are found by its own parser and become calls of
//! filters and functions of this module's neighbours; every position of the new text leads back to the author's.

use std::sync::OnceLock;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;

use super::doubt::{Own, Seen};
use super::error::{Chain, Segment};
use super::tag::Unknown;

/// The filter that stands for `%`: a remainder of numbers, and a format of strings.
pub const REMAINDER: &str = "_remainder";
/// The filter in front of a slice: a name without a value has no parts.
pub const SLICED: &str = "_sliced";
/// The filter of what a variable is to hold, and whether the variable is a namespace's.
pub const KEPT: &str = "_kept";
/// The function around a list that the template may change.
pub const LIST: &str = "_list";
/// The function around a mapping that the template may change.
pub const DICT: &str = "_dict";

/// Methods that change the list or the mapping that they are called on.
pub const CHANGING: &[&str] = &[
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

/// Bytes of a piece, at the least.
const PIECE: usize = 64 << 10;

/// A template in the form that minijinja reads.
#[derive(Debug)]
pub struct Rewritten {
    /// Its text, where it is another than the author's.
    text: Option<String>,
    seen: OnceLock<Seen>,
    edits: Vec<Edit>,
    plain: bool,
}

/// A change of the text: at this place of the author's, so many bytes go and these come.
#[derive(Clone, Copy, Debug)]
struct Edit {
    at: usize,
    gone: usize,
    new: &'static str,
}

impl Rewritten {
    /// A template that is [plain](super::bounds::is_plain): it means the same as it stands.
    pub fn plain() -> Self {
        Self { text: None, seen: OnceLock::new(), edits: Vec::new(), plain: true }
    }

    /// Reads a template. One that can't be parsed stays as it is: rendering it says why. In the place of each of these parts
    /// comes a value that is not known.
    pub fn of(template: &str, syntax: &SyntaxConfig, unknown: &[Unknown]) -> Self {
        let mut found = Found::new(template);
        if let Ok(parsed) = parse(template, "<string>", syntax.clone()) {
            found.changing = changes(&parsed);
            found.statement(&parsed);
        }
        let mut edits = found.edits;
        for Unknown { part, instead } in unknown {
            edits.retain(|edit| !(part.start..=part.end).contains(&edit.at));
            let gone = |i| if i + 1 == instead.len() { part.len() } else { 0 };
            edits.extend(instead.iter().enumerate().map(|(i, new)| Edit {
                at: part.start,
                gone: gone(i),
                new,
            }));
        }
        // A stable order: what is opened first at a place stays the outer one.
        edits.sort_by_key(|edit| edit.at);
        let text = (!edits.is_empty()).then(|| {
            let more: usize = edits.iter().map(|edit| edit.new.len()).sum();
            let (mut text, mut done) = (String::with_capacity(template.len() + more), 0);
            for edit in &edits {
                text.push_str(&template[done..edit.at]);
                text.push_str(edit.new);
                done = edit.at + edit.gone;
            }
            text + &template[done..]
        });
        Self { text, seen: OnceLock::new(), edits, plain: false }
    }

    /// The names in the author's text.
    pub fn seen(&self, template: &str, syntax: &SyntaxConfig) -> &Seen {
        self.seen.get_or_init(|| {
            let mut found = Found { seen: Some(Seen::default()), ..Found::new(template) };
            if let Ok(parsed) = parse(template, "<string>", syntax.clone()) {
                found.statement(&parsed);
            }
            found.seen.unwrap_or_default()
        })
    }

    /// Its text in pieces that can be rendered one after another, for what the engine makes of a text takes many times its memory:
    /// all of it, where it is not plain.
    pub fn pieces<'t>(&'t self, template: &'t str) -> Vec<&'t str> {
        let (mut pieces, mut rest) = (Vec::new(), self.text(template));
        while self.plain && rest.len() > PIECE {
            // A sign before a tag's end takes away blanks behind it, and the engine the line end at a template's end.
            let ends = rest.as_bytes().windows(3).skip(PIECE);
            let Some(end) = { ends }.position(|end| end[0] != b'-' && end[1..] == *b"}}") else { break };
            let (piece, behind) = rest.split_at(PIECE + end + 3);
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        pieces
    }

    /// Its text; `template` is the author's.
    pub fn text<'t>(&'t self, template: &'t str) -> &'t str {
        self.text.as_deref().unwrap_or(template)
    }

    /// The place in the author's text of one in the new text.
    pub fn original(&self, offset: usize) -> usize {
        let mut shift = 0isize;
        for edit in &self.edits {
            let start = edit.at.saturating_add_signed(shift);
            if offset < start {
                break;
            }
            if offset < start + edit.new.len() {
                return edit.at;
            }
            shift += edit.new.len() as isize - edit.gone as isize;
        }
        offset.saturating_add_signed(-shift)
    }
}

/// Whether the template calls a method that changes what it is called on.
fn changes(statement: &Stmt<'_>) -> bool {
    let mut found = Found::new("");
    found.statement(statement);
    found.changing
}

struct Found<'t> {
    template: &'t str,
    edits: Vec<Edit>,
    /// `None` where they are not asked for: there are as many as the template has names.
    seen: Option<Seen>,
    changing: bool,
}

fn start(span: Span) -> usize {
    span.start_offset as usize
}

fn end(span: Span) -> usize {
    span.end_offset as usize
}

/// Where an expression begins. The parser's span of a chain begins at its last operator but one.
fn begin(expr: &Expr<'_>) -> usize {
    let inner = match expr {
        Expr::GetAttr(e) => &e.expr,
        Expr::GetItem(e) => &e.expr,
        Expr::Slice(e) => &e.expr,
        Expr::Call(e) => &e.expr,
        _ => return start(expr.span()),
    };
    match inner {
        Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Slice(_) | Expr::Call(_) => begin(inner),
        _ => start(expr.span()),
    }
}

/// The name that an expression is, if it is one.
fn path(expr: &Expr<'_>) -> Option<Vec<Segment>> {
    match expr {
        Expr::Var(var) => Some(vec![Segment::Name(var.id.to_owned())]),
        Expr::GetAttr(e) => {
            let mut above = path(&e.expr)?;
            above.push(Segment::Name(e.name.to_owned()));
            Some(above)
        }
        Expr::GetItem(e) => {
            let mut above = path(&e.expr)?;
            let Expr::Const(key) = &e.subscript_expr else { return None };
            above.push(match (key.value.as_str(), key.value.as_i64()) {
                (Some(name), _) => Segment::Name(name.to_owned()),
                (None, Some(index)) => Segment::Index(index),
                _ => return None,
            });
            Some(above)
        }
        _ => None,
    }
}

impl<'t> Found<'t> {
    fn new(template: &'t str) -> Self {
        Self { template, edits: Vec::new(), seen: None, changing: false }
    }

    fn edit(&mut self, at: usize, gone: usize, new: &'static str) {
        self.edits.push(Edit { at, gone, new });
    }

    /// The place of a character behind an expression, with nothing but parentheses and blanks between.
    fn behind(&self, expr: &Expr<'_>, wanted: char) -> Option<usize> {
        let from = end(expr.span());
        self.template.get(from..)?.find(wanted).map(|i| from + i)
    }

    /// Takes down a variable that the template sets, from here to the end of what it stands in.
    fn own(&mut self, target: &Expr<'_>, known: bool) {
        let Some(seen) = &mut self.seen else { return };
        match target {
            Expr::Var(name) => {
                let range = start(target.span())..usize::MAX;
                seen.own.push(Own { name: name.id.to_owned(), range, known });
            }
            Expr::List(list) => list.items.iter().for_each(|target| self.own(target, known)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|target| self.own(target, known)),
            _ => {}
        }
    }

    /// Takes down a variable with the expression that it is set to.
    fn set(&mut self, target: &Expr<'_>, value: &Expr<'_>) {
        let before = self.seen.as_ref().map_or(0, |seen| seen.chains.len());
        self.expr(value);
        let known = self.seen.as_ref().is_some_and(|seen| {
            let known = |name: &String| {
                let own = |own: &&Own| own.name == *name;
                name == "range"
                    || seen.own.iter().any(|o| own(&o)) && seen.own.iter().filter(own).all(|o| o.known)
            };
            seen.chains[before..].iter().all(|c| matches!(c.path.first(), Some(Segment::Name(n)) if known(n)))
        });
        self.own(target, known);
    }

    /// What is set within a statement has no value behind it.
    fn within(&mut self, span: Span, inner: impl FnOnce(&mut Self)) {
        let before = self.seen.as_ref().map_or(0, |seen| seen.own.len());
        inner(self);
        let own = self.seen.iter_mut().flat_map(|seen| seen.own.iter_mut().skip(before));
        own.for_each(|own| own.range.end = own.range.end.min(end(span)));
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|s| self.statement(s));
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(s) => self.statements(&s.children),
            Stmt::EmitExpr(s) => self.expr(&s.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(s) => self.within(s.span(), |found| {
                found.set(&s.target, &s.iter);
                found.option(s.filter_expr.as_ref());
                found.statements(&s.body);
                found.statements(&s.else_body);
            }),
            Stmt::IfCond(s) => {
                self.expr(&s.expr);
                self.statements(&s.true_body);
                self.statements(&s.false_body);
            }
            Stmt::WithBlock(s) => self.within(s.span(), |found| {
                for (target, value) in &s.assignments {
                    found.set(target, value);
                }
                found.statements(&s.body);
            }),
            Stmt::Set(s) => {
                self.set(&s.target, &s.expr);
                let sign = self.behind(&s.target, '=');
                let rest = self.template.get(end(s.expr.span())..).unwrap_or_default();
                if let (Some(sign), Some(close)) = (sign, rest.find("%}")) {
                    // A sign before the tag's end belongs to the tag.
                    let close = rest[..close].trim_end_matches(['-', '+']).len();
                    self.edit(sign + 1, 0, "(");
                    let attribute = matches!(s.target, Expr::GetAttr(_));
                    let filter = if attribute { ")|_kept(true)" } else { ")|_kept(false)" };
                    self.edit(end(s.expr.span()) + close, 0, filter);
                }
            }
            Stmt::SetBlock(s) => {
                self.own(&s.target, false);
                self.option(s.filter.as_ref());
                self.statements(&s.body);
            }
            Stmt::AutoEscape(s) => {
                self.expr(&s.enabled);
                self.statements(&s.body);
            }
            Stmt::FilterBlock(s) => {
                self.expr(&s.filter);
                self.statements(&s.body);
            }
            Stmt::Macro(s) => {
                if let Some(seen) = &mut self.seen {
                    let range = start(s.span())..usize::MAX;
                    seen.own.push(Own { name: s.name.to_owned(), range, known: false });
                }
                self.within(s.span(), |found| {
                    s.args.iter().for_each(|arg| found.own(arg, false));
                    s.defaults.iter().for_each(|e| found.expr(e));
                    found.statements(&s.body);
                });
            }
            Stmt::CallBlock(s) => self.within(s.span(), |found| {
                found.call(&s.call);
                s.macro_decl.args.iter().for_each(|arg| found.own(arg, false));
                s.macro_decl.defaults.iter().for_each(|e| found.expr(e));
                found.statements(&s.macro_decl.body);
            }),
            Stmt::Do(s) => self.call(&s.call),
        }
    }

    fn option(&mut self, expr: Option<&Expr<'_>>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }

    fn call(&mut self, call: &Call<'_>) {
        if let Expr::GetAttr(method) = &call.expr {
            self.changing |= CHANGING.contains(&method.name);
            // The method's name is not part of the name that it is called on.
            self.expr(&method.expr);
        } else {
            // What a namespace holds is looked into, and is ours for that.
            self.changing |= matches!(&call.expr, Expr::Var(name) if name.id == "namespace");
            self.expr(&call.expr);
        }
        self.args(&call.args);
    }

    fn args(&mut self, args: &[CallArg<'_>]) {
        for arg in args {
            match arg {
                CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => {
                    self.expr(e);
                }
            }
        }
    }

    fn expr(&mut self, expr: &Expr<'_>) {
        if let Some(path) = path(expr) {
            let chain = Chain { start: begin(expr), path };
            self.seen.iter_mut().for_each(|seen| seen.chains.push(chain.clone()));
            return;
        }
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(e) => {
                let bracket = self.behind(&e.expr, '[');
                if let Some(bracket) = bracket {
                    self.edit(begin(expr), 0, "((");
                    self.expr(&e.expr);
                    self.edit(bracket, 0, ")|_sliced)");
                } else {
                    self.expr(&e.expr);
                }
                self.option(e.start.as_ref());
                self.option(e.stop.as_ref());
                self.option(e.step.as_ref());
            }
            Expr::UnaryOp(e) => self.expr(&e.expr),
            Expr::BinOp(e) => {
                let operator = self.behind(&e.left, '%').filter(|_| matches!(e.op, BinOpKind::Rem));
                if let Some(operator) = operator {
                    self.edit(start(expr.span()), 0, "((");
                    self.expr(&e.left);
                    self.edit(operator, 1, ")|_remainder((");
                    self.expr(&e.right);
                    self.edit(end(expr.span()), 0, ")))");
                } else {
                    self.expr(&e.left);
                    self.expr(&e.right);
                }
            }
            Expr::Compare(e) => {
                self.expr(&e.expr);
                e.ops.iter().for_each(|op| self.expr(&op.expr));
            }
            Expr::IfExpr(e) => {
                self.expr(&e.true_expr);
                self.expr(&e.test_expr);
                self.option(e.false_expr.as_ref());
            }
            Expr::Filter(e) => {
                self.option(e.expr.as_ref());
                self.args(&e.args);
            }
            Expr::Test(e) => {
                self.expr(&e.expr);
                self.args(&e.args);
            }
            Expr::GetAttr(e) => self.expr(&e.expr),
            Expr::GetItem(e) => {
                self.expr(&e.expr);
                self.expr(&e.subscript_expr);
            }
            Expr::Call(e) => self.call(e),
            Expr::List(e) => self.literal(expr.span(), "_list(", |found| {
                e.items.iter().for_each(|item| found.expr(item));
            }),
            Expr::Tuple(e) => e.items.iter().for_each(|item| self.expr(item)),
            Expr::Map(e) => self.literal(expr.span(), "_dict(", |found| {
                for (key, value) in e.keys.iter().zip(&e.values) {
                    found.expr(key);
                    found.expr(value);
                }
            }),
        }
    }

    /// A list or a mapping: one that can be changed, where the template changes any.
    fn literal(&mut self, span: Span, open: &'static str, inside: impl FnOnce(&mut Self)) {
        if self.changing {
            self.edit(start(span), 0, open);
        }
        inside(self);
        if self.changing {
            self.edit(end(span), 0, ")");
        }
    }
}
