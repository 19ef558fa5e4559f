// SPDX-License-Identifier: Apache-2.0
//! MIME messages ([RFC 2045](https://www.rfc-editor.org/rfc/rfc2045), [RFC 2046](https://www.rfc-editor.org/rfc/rfc2046)),
//! as lenient as Python's `email` package, by which cloud-init reads them.
//!
//! Written here and not taken from a crate: a problem inside a part has to lead back to its line in the whole message,
//! and the crates hand out a part's bytes without the place where they stood.

use super::transfer::{self, Lines};
use crate::model::encoding::percent_decoded;

/// Header lines that one entity may have: mail has dozens.
const MAX_HEADERS: usize = 200;

/// A message or a part of one: headers and body.
pub struct Entity<'a> {
    headers: Vec<(&'a str, String)>,
    /// The body as it stands in the message.
    pub body: &'a str,
    /// Lines of the text above the body.
    pub line: usize,
    /// Whether a boundary stands behind the body, which took its last line end.
    bounded: bool,
}

/// Whether the text is a message: its first line is a header, and one of its headers is a MIME header. cloud-init wants
/// `MIME-Version:` within the first 4 KiB and no blank line before it; what is plainly a message is one here without.
pub fn is_message(text: &str) -> bool {
    let text = text.trim_start();
    let (headers, _, _) = headers(text.strip_prefix("From ").map_or(text, |_| after_line(text)));
    let mime =
        |name: &str| name.eq_ignore_ascii_case("mime-version") || name.eq_ignore_ascii_case("content-type");
    headers.iter().any(|(name, _)| mime(name))
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// The headers that a text begins with, what follows the blank line behind them, and the lines above that.
fn headers(text: &str) -> (Vec<(&str, String)>, &str, usize) {
    let (mut headers, mut rest, mut lines): (Vec<(&str, String)>, _, _) = (Vec::new(), text, 0);
    while !rest.is_empty() && headers.len() < MAX_HEADERS {
        let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            return (headers, below, lines + 1);
        }
        match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
            // A folded line goes on with the header above it.
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (false, _, Some((name, value)))
                if !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                headers.push((name, value.trim().to_owned()));
            }
            // No header: the body begins without the blank line.
            _ => break,
        }
        (rest, lines) = (below, lines + 1);
    }
    (headers, rest, lines)
}

impl<'a> Entity<'a> {
    /// Reads the headers of a message; `line` lines stand above the text.
    pub fn read(text: &'a str, line: usize) -> Self {
        let start = text.trim_start();
        let mut above = text[..text.len() - start.len()].matches('\n').count();
        let mut start = start;
        // The envelope line of mailboxes.
        if start.starts_with("From ") {
            (start, above) = (after_line(start), above + 1);
        }
        let (headers, body, lines) = headers(start);
        Self { headers, body, line: line + above + lines, bounded: false }
    }

    /// Reads the headers of a part, which may have none.
    fn read_part(text: &'a str, line: usize) -> Self {
        let (headers, body, lines) = headers(text);
        Self { headers, body, line: line + lines, bounded: true }
    }

    /// A header's value, folded lines joined.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The media type in lower case, `None` where the entity names none.
    pub fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        let name = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        name.contains('/').then_some(name)
    }

    /// A parameter of a header: `boundary` of `Content-Type`, `filename` of `Content-Disposition`. One with a charset is
    /// taken as UTF-8 ([RFC 2231, section 4](https://www.rfc-editor.org/rfc/rfc2231#section-4)).
    pub fn parameter(&self, header: &str, name: &str) -> Option<String> {
        self.plain_parameter(header, name).or_else(|| {
            let value = self.plain_parameter(header, &format!("{name}*"))?;
            let bytes = percent_decoded(value.splitn(3, '\'').last().unwrap_or_default());
            Some(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    fn plain_parameter(&self, header: &str, name: &str) -> Option<String> {
        let mut rest = self.header(header)?.split_once(';')?.1;
        loop {
            let (key, value) = rest.split_once('=')?;
            let value = value.trim_start();
            let (value, below) = match value.strip_prefix('"') {
                Some(quoted) => unquote(quoted),
                None => {
                    let (value, below) = value.split_once(';').unwrap_or((value, ""));
                    (value.trim().to_owned(), below)
                }
            };
            if key.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(name) {
                return Some(value);
            }
            rest = below;
        }
    }

    /// The parts of a multipart entity, `None` where it has no parts.
    ///
    /// # Errors
    /// It names no boundary, or its boundary does not occur in the text.
    pub fn parts(&self) -> Result<Option<Vec<Entity<'a>>>, String> {
        let Some(media_type) = self.media_type() else { return Ok(None) };
        if media_type == "message/rfc822" {
            let inner = Entity::read(self.body, self.line);
            return Ok(Some(vec![Entity { bounded: self.bounded, ..inner }]));
        }
        if !media_type.starts_with("multipart/") {
            return Ok(None);
        }
        let boundary = self.parameter("content-type", "boundary").filter(|b| !b.is_empty());
        let boundary = boundary.ok_or("Content-Type names no boundary")?;
        let delimiter = format!("--{boundary}");
        let (mut parts, mut open, mut line) = (Vec::new(), None, self.line);
        let mut at = 0;
        for text in self.body.split_inclusive('\n') {
            let is_delimiter = text.strip_prefix(&delimiter).map(str::trim_end);
            let end = at;
            (at, line) = (at + text.len(), line + 1);
            if let Some(closing @ ("" | "--")) = is_delimiter {
                if let Some((start, first)) = open.take() {
                    parts.push(Entity::read_part(without_line_end(&self.body[start..end]), first));
                }
                if closing == "--" {
                    return Ok(Some(parts));
                }
                open = Some((at, line));
            }
        }
        // The closing boundary is missing: what there is belongs to the last part, but for one line end.
        let rest = if self.bounded { self.body } else { without_line_end(self.body) };
        match open {
            Some((start, first)) => {
                parts.push(Entity::read_part(rest.get(start..).unwrap_or_default(), first));
            }
            None => return Err("its boundary does not occur in the text".to_owned()),
        }
        Ok(Some(parts))
    }

    /// The body without its transfer encoding.
    ///
    /// # Errors
    /// The encoding is not known, or the body is damaged.
    pub fn decoded(&self) -> Result<(Vec<u8>, Lines), String> {
        transfer::decoded(self.header("content-transfer-encoding").unwrap_or_default(), self.body)
    }
}

/// A quoted string without its backslashes, and what follows its end.
fn unquote(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, text[i + 1..].split_once(';').map_or("", |(_, below)| below)),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// The line end before a boundary belongs to the boundary.
fn without_line_end(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_documents() {
        for text in [
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n",
            "\n\ncontent-type: text/plain\r\n\r\nx",
            "From nobody Mon Sep 17 00:00:00 2001\nContent-Type: multipart/mixed; boundary=x\n\n",
            "Subject: x\nX: y\nMime-Version: 1.0\n",
        ] {
            assert!(is_message(text), "{text:?}");
        }
        for text in [
            "#cloud-config\nwrite_files:\n- content: |\n    MIME-Version: 1.0\n",
            "a: b\n",
            "",
            "text\nMIME-Version: 1.0\n",
        ] {
            assert!(!is_message(text), "{text:?}");
        }
    }

    #[test]
    fn parameters_are_quoted_or_not_and_folded() {
        let head = "Content-Type: multipart/mixed; charset=utf-8;\r\n boundary=\"=_a \\\"b\\\"; c\" ; x=y\r\n\
                    Content-Disposition: attachment; filename=setup.sh\r\n\r\n";
        let entity = Entity::read(head, 0);
        assert_eq!(entity.media_type().unwrap(), "multipart/mixed");
        assert_eq!(entity.parameter("content-type", "boundary").unwrap(), "=_a \"b\"; c");
        assert_eq!(entity.parameter("content-type", "x").unwrap(), "y");
        assert_eq!(entity.parameter("content-type", "nope"), None);
        assert_eq!(entity.parameter("content-disposition", "FILENAME").unwrap(), "setup.sh");
        assert_eq!(entity.line, 4);
    }

    fn parts(text: &str) -> Vec<(String, usize)> {
        let entity = Entity::read(text, 0);
        let parts = entity.parts().unwrap().unwrap();
        parts.iter().map(|p| (String::from_utf8(p.decoded().unwrap().0).unwrap(), p.line)).collect()
    }

    #[test]
    fn parts_end_at_boundaries() {
        let text = "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b \n\nfirst\n\n--bb\n--b\nX: y\n\nsecond\n--b--\nepilogue\n--b\n";
        assert_eq!(parts(text), [("first\n\n--bb".to_owned(), 5), ("second".to_owned(), 11)]);
        assert_eq!(parts(&text.replace('\n', "\r\n"))[1], ("second".to_owned(), 11));
        let open = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n--b\n\nlast\nlines\n";
        assert_eq!(parts(open)[1], ("last\nlines".to_owned(), 7));
        for (text, what) in [
            ("Content-Type: multipart/mixed\n\n--b\n", "no boundary"),
            ("Content-Type: multipart/mixed; boundary=c\n\n--b\n", "does not occur"),
        ] {
            assert!(Entity::read(text, 0).parts().is_err_and(|e| e.contains(what)), "{text}");
        }
    }
}
