// SPDX-License-Identifier: Apache-2.0
//! A tag of a template in its words and signs, and the part of it that is worked out.

use std::ops::Range;

use minijinja::machinery::{Span, Token, tokenize};

use super::syntax;

/// A part of a template in the place of which a value comes that is not known.
#[derive(Debug)]
pub struct Unknown {
    /// The part.
    pub part: Range<usize>,
    /// What comes in its place, in pieces.
    pub instead: Vec<&'static str>,
}

/// A word or a sign of a tag, with its place.
pub type Tagged<'t> = (Token<'t>, Span);

/// Where it begins.
pub fn start((_, span): &Tagged<'_>) -> usize {
    span.start_offset as usize
}

/// Where it ends.
pub fn end((_, span): &Tagged<'_>) -> usize {
    span.end_offset as usize
}

/// The tag at a place, in its words and signs.
pub fn tag(template: &str, at: usize) -> Option<Vec<Tagged<'_>>> {
    let mut tag = Vec::new();
    for token in tokenize(template, false, syntax()).map_while(Result::ok) {
        if matches!(token.0, Token::TemplateData(_) | Token::VariableStart | Token::BlockStart) {
            tag.clear();
        }
        let ends = matches!(token.0, Token::VariableEnd | Token::BlockEnd) && end(&token) > at;
        tag.push(token);
        if ends {
            return Some(tag);
        }
    }
    None
}

/// The part of a tag that is worked out at a place, and what comes instead; `None` where nothing can.
pub fn part(tag: &[Tagged<'_>], at: usize) -> Option<Unknown> {
    let (first, last) = (tag.first()?, tag.last()?);
    let keyword = match (&first.0, tag.get(1)) {
        (Token::BlockStart, Some((Token::Ident(keyword), _))) => *keyword,
        _ => "",
    };
    let behind = |at: usize| tag.get(at).map(end);
    let many =
        |upto: usize| 1 + tag[..upto].iter().filter(|(token, _)| matches!(token, Token::Comma)).count();
    let values = |count: usize| match count {
        1 => vec![" _unknown "],
        _ => [" ("].into_iter().chain(std::iter::repeat_n("_unknown,", count)).chain([") "]).collect(),
    };
    let (from, to, instead) = match keyword {
        "" => (end(first), start(last), values(1)),
        "if" | "elif" => (behind(1)?, start(last), values(1)),
        "for" => {
            let sign = tag.iter().position(|(token, _)| matches!(token, Token::Ident("in")))?;
            let recursive = tag.get(tag.len() - 2).filter(|t| matches!(t.0, Token::Ident("recursive")));
            let items = [" ["].into_iter().chain(values(many(sign))).chain(["] "]).collect();
            (behind(sign)?, start(recursive.unwrap_or(last)), items)
        }
        "set" => {
            let sign = tag.iter().position(|(token, _)| matches!(token, Token::Assign))?;
            (behind(sign)?, start(last), values(many(sign)))
        }
        "with" | "macro" | "call" => {
            let part = value(tag, at, i32::from(keyword != "with"))?;
            (part.start, part.end, values(1))
        }
        "do" => (behind(1)?, start(last), vec![" _list([]) "]),
        "filter" => (behind(1)?, start(last), vec![" string "]),
        _ => return None,
    };
    Some(Unknown { part: from..to, instead })
}

/// The value at a place, where several stand one after another within so many brackets.
fn value(tag: &[Tagged<'_>], at: usize, within: i32) -> Option<Range<usize>> {
    let (mut depth, mut from) = (0, None);
    for token in tag {
        let is_before = start(token) < at;
        let ends = match token.0 {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                depth += 1;
                depth == within
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                depth -= 1;
                depth < within
            }
            Token::Assign => depth == within && is_before,
            Token::Comma | Token::BlockEnd => depth == within,
            _ => false,
        };
        match (ends, is_before) {
            (true, true) => from = Some(end(token)),
            (true, false) => return Some(from?..start(token)),
            _ => {}
        }
    }
    None
}
