// SPDX-License-Identifier: Apache-2.0
//! A template without one of its tags: what is wrong behind the tag is found too.

use crate::model::problem::Pos;

/// Errors of one template that are told.
pub const MAX_ERRORS: usize = 20;

/// The template with something harmless in place of the tag at a place; all other places in it stay what they are. `None` where
/// the rest would be another template without the tag. `unended` says that the statement's part has no end.
pub fn without_tag(text: &str, pos: Pos, unended: bool) -> Option<String> {
    let at = super::offset_of(text, pos);
    // An error may be seen at the end of the tag.
    let upto = text.get(..at)?.len() + text.get(at..)?.chars().take(2).map(char::len_utf8).sum::<usize>();
    let start = ["{{", "{%", "{#"].into_iter().filter_map(|open| text[..upto].rfind(open)).max()?;
    let (open, body) = (&text[start..start + 2], &text[start + 2..]);
    let close = if open == "{{" { "}}" } else { "%}" };
    let Some(end) = body.find(close).filter(|_| open != "{#") else {
        // It has no end.
        return Some(format!("{}xx{body}", &text[..start]));
    };
    if at > start + 2 + end + 2 {
        return None;
    }
    let (inner, behind) = (&body[..end], &body[end + 2..]);
    let inner = match open {
        // Its other parts would stand alone.
        _ if unended && (behind.contains("{% el") || behind.contains("{%- el")) => return None,
        _ if unended => format!("{{#{}#}}", filled(inner, ' ')),
        "{{" => return Some(format!("{}xx{}xx{behind}", &text[..start], filled(inner, 'x'))),
        _ => without_condition(inner)?,
    };
    Some(format!("{}{inner}{behind}", &text[..start]))
}

/// A text of the same width and with the same line ends.
fn filled(text: &str, with: char) -> String {
    text.chars().map(|c| if c == '\n' { c } else { with }).collect()
}

/// A statement that is always true, goes over nothing, or is a comment.
fn without_condition(inner: &str) -> Option<String> {
    let keyword = inner.trim_start_matches(['-', '+']).split_whitespace().next()?;
    let (head, instead) = match keyword {
        "if" | "elif" => (inner.find(keyword)? + keyword.len(), "1"),
        "for" => (inner.find(" in ")? + 3, "[]"),
        "else" | "raw" | "macro" | "block" | "call" | "filter" | "with" | "autoescape" => return None,
        end if end.starts_with("end") => return None,
        _ => return Some(format!("{{#{}#}}", filled(inner, ' '))),
    };
    let (head, rest) = inner.split_at(head);
    let sign = rest.chars().last().filter(|c| "-+".contains(*c)).map(String::from).unwrap_or_default();
    let width = rest.chars().count();
    let body = format!(" {instead}{:1$}{sign}", "", width.checked_sub(1 + instead.len() + sign.len())?);
    Some(format!("{{%{head}{body}%}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_taken_out_and_nothing_moves() {
        for (text, column, want) in [
            ("a {{ b.c }} d", 6, Some("a xxxxxxxxx d")),
            ("a {{ b | }} {{ c }}", 10, Some("a xxxxxxxxx {{ c }}")),
            ("{% if b.c -%} d{% endif %}", 7, Some("{% if 1   -%} d{% endif %}")),
            ("{%if b%}d{%endif%}", 6, Some("{%if 1%}d{%endif%}")),
            ("{% for a in b.c %}d{% endfor %}", 13, Some("{% for a in []  %}d{% endfor %}")),
            ("{% set a = b %}", 12, Some("{#           #}")),
            ("${#a[@]} {{ b }}", 2, Some("$xxa[@]} {{ b }}")),
            ("a {{ b", 6, Some("a xx b")),
            ("{% endif %}", 4, None),
            ("no tag", 2, None),
        ] {
            let got = without_tag(text, Pos { line: 1, column }, false);
            assert_eq!(got.as_deref(), want, "{text}");
            if let Some(got) = got {
                assert_eq!(got.chars().count(), text.chars().count(), "{text}");
            }
        }
        let unended = |text| without_tag(text, Pos { line: 1, column: 1 }, true);
        assert_eq!(unended("{% if b %}{{ c }}").as_deref(), Some("{#      #}{{ c }}"));
        assert_eq!(unended("{% if b %}c{% else %}d"), None);
    }
}
