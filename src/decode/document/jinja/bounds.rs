// SPDX-License-Identifier: Apache-2.0
//! Bounds that a template is held to before the engine reads it: how much of it stands within one another. The engine's
//! parser and compiler, and this module's neighbours, go down into an expression as deep as it is.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::args::failed;
use super::values::{Dict, List};

/// Words and signs of one expression, or of one item of a list in it. Each may stand within the one before it.
const MAX_TOKENS: usize = 1000;

/// Branches of one condition: each stands within the one before it.
const MAX_BRANCHES: usize = 200;

/// Lists and mappings within one another that a variable may hold.
const MAX_NESTED: usize = 64;

/// Values that a variable may hold, all within one another together.
const MAX_HELD: usize = 100_000;

/// Whether a template has no tags but short ones of names, filters and calls: such a template keeps to all bounds, the engine means by
/// it what Jinja2 means, and no tag changes what another one is. Most large data is so, and is not read twice more by the engine.
pub fn is_plain(template: &str) -> bool {
    const MOST: usize = 200;
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        rest = &rest[start + 1..];
        match rest.as_bytes().first() {
            Some(b'{') => {}
            Some(b'%' | b'#') => return false,
            _ => continue,
        }
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"_. |(),'\"-".contains(b);
        let end = 1 + rest.bytes().skip(1).take(MOST).take_while(is_name).count();
        if !rest[end..].starts_with("}}") {
            return false;
        }
        rest = &rest[end + 2..];
    }
    true
}

/// Where a template has more in one another than it may, and what. What can't be read is the parser's to tell of.
pub fn crossed(template: &str, syntax: &SyntaxConfig) -> Option<(usize, String)> {
    // How many stand before the brackets that are open, and behind the last comma; branches of the conditions that are open.
    let (mut open, mut tokens, mut branches, mut tag) = (Vec::new(), 0usize, Vec::new(), false);
    for (token, span) in tokenize(template, false, syntax.clone()).map_while(Result::ok) {
        let begins = std::mem::replace(&mut tag, matches!(token, Token::BlockStart));
        match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => {
                (tokens, open) = (0, Vec::new());
                continue;
            }
            Token::Ident("if") if begins => branches.push(0),
            Token::Ident("endif") if begins => drop(branches.pop()),
            Token::Ident("elif") if begins => {
                let have = branches.last_mut().map_or(0, |have| {
                    *have += 1;
                    *have
                });
                if have > MAX_BRANCHES {
                    let what = format!("a condition has more than {MAX_BRANCHES} branches");
                    return Some((span.start_offset as usize, what));
                }
            }
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => open.push(tokens),
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                // What stands in brackets is one thing of what stands around them.
                tokens = open.pop().unwrap_or(tokens) + 1;
            }
            Token::Comma => tokens = open.last().copied().unwrap_or(0),
            _ => {}
        }
        tokens += 1;
        if tokens > MAX_TOKENS {
            let what = format!("an expression has more than {MAX_TOKENS} words and signs in one another");
            return Some((span.start_offset as usize, what));
        }
    }
    None
}

/// What is directly in a list or a mapping, at most so many; `None` for another value. `foreign` says whether it is a mapping
/// that is not ours, a namespace among them.
fn inside(value: &Value, most: usize) -> Option<(Vec<Value>, bool)> {
    if let Some(list) = value.downcast_object_ref::<List>() {
        return Some((list.items(), false));
    }
    if let Some(dict) = value.downcast_object_ref::<Dict>() {
        return Some((dict.entries().into_iter().map(|(_, v)| v).collect(), false));
    }
    let kind = value.kind();
    match kind {
        ValueKind::Seq | ValueKind::Map => {}
        // Lists that were added to each other are one as long as they say how long they are.
        ValueKind::Iterable if value.len().is_some() => {}
        _ => return None,
    }
    let pairs = value.as_object()?.try_iter_pairs()?;
    Some((pairs.take(most).map(|(_, v)| v).collect(), kind == ValueKind::Map))
}

/// A value that a variable is to hold, if it keeps to the bounds. A namespace's may not hold another namespace, or it could
/// hold itself.
pub fn kept(state: &State<'_, '_>, value: Value, in_namespace: bool) -> Result<Value, Error> {
    let (mut level, mut seen) = (vec![value.clone()], 0);
    for depth in 0.. {
        let mut next = Vec::new();
        for value in &level {
            let Some((inner, foreign)) = inside(value, MAX_HELD + 1) else { continue };
            if foreign && in_namespace {
                return Err(failed("a namespace can hold texts, numbers, lists and mappings only"));
            }
            seen += inner.len();
            if seen > MAX_HELD {
                return Err(failed(format!("a variable that holds more than {MAX_HELD} values")));
            }
            state.consume_fuel(1 + inner.len() as u64 / 16)?;
            next.extend(inner.into_iter().filter(|v| v.as_object().is_some()));
        }
        if next.is_empty() {
            break;
        }
        if depth >= MAX_NESTED {
            return Err(failed(format!("values nested more than {MAX_NESTED} deep")));
        }
        level = next;
    }
    Ok(value)
}
