// SPDX-License-Identifier: Apache-2.0
//! Transfer encodings of MIME bodies ([RFC 2045, section 6](https://www.rfc-editor.org/rfc/rfc2045#section-6)).

use crate::decode::document::envelope;

/// How lines of a decoded body lead back to lines of the encoded one.
pub enum Lines {
    /// They are the same lines.
    Same,
    /// Line `n` of the decoded body began in line `self[n]` of the encoded one, both from 0.
    Map(Vec<usize>),
    /// Nothing of them can be found again.
    Lost,
}

/// A body without its transfer encoding, and how its lines lead back.
///
/// # Errors
/// The encoding is not known, or the body is damaged.
pub fn decoded(encoding: &str, body: &str) -> Result<(Vec<u8>, Lines), String> {
    let encoding = encoding.to_ascii_lowercase();
    match encoding.as_str() {
        "" | "7bit" | "8bit" | "binary" => Ok((body.as_bytes().to_vec(), Lines::Same)),
        "base64" => {
            // Mail programs leave the padding out, and Python puts it back.
            let symbols = body.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=');
            let missing = symbols.clone().count().next_multiple_of(4) - symbols.clone().count();
            let padding = std::iter::repeat_n(b'=', missing);
            Ok((envelope::base64_of(symbols.chain(padding))?, Lines::Lost))
        }
        "quoted-printable" => {
            let (bytes, lines) = quoted_printable(body);
            Ok((bytes, Lines::Map(lines)))
        }
        "uuencode" | "x-uuencode" | "uue" | "x-uue" => Ok((uudecode(body)?, Lines::Lost)),
        _ => Err("the Content-Transfer-Encoding is not known".to_owned()),
    }
}
/// [RFC 2045, section 6.7](https://www.rfc-editor.org/rfc/rfc2045#section-6.7). Text that is not an escape stays as it is.
fn quoted_printable(text: &str) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut lines) = (Vec::new(), vec![0]);
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let (body, end) = match line.trim_end_matches(['\n', '\r']) {
            body if body.len() < line.len() => (body.trim_end_matches([' ', '\t']), true),
            body => (body, false),
        };
        let (body, soft) = body.strip_suffix('=').map_or((body, false), |b| (b, true));
        let bytes = body.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
            let hex = hex.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
            match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
                (b'=', Some(byte)) => {
                    out.push(byte);
                    i += 3;
                    if byte == b'\n' {
                        lines.push(n);
                    }
                }
                (byte, _) => {
                    out.push(byte);
                    i += 1;
                }
            }
        }
        if end && !soft {
            out.push(b'\n');
            lines.push(n + 1);
        } else if let (true, None | Some(b'\n'), Some(last)) = (soft, out.last(), lines.last_mut()) {
            *last = n + 1;
        }
    }
    (out, lines)
}

/// The encoding of `uuencode(1)`, as
/// [POSIX describes it](https://pubs.opengroup.org/onlinepubs/9699919799/utilities/uuencode.html).
fn uudecode(text: &str) -> Result<Vec<u8>, String> {
    let mut lines = text.lines().skip_while(|l| !l.starts_with("begin "));
    lines.next().ok_or("the uuencoded data has no `begin` line")?;
    let mut out = Vec::new();
    for line in lines.take_while(|l| *l != "end") {
        let value = |b: u8| {
            if (32..=96).contains(&b) { Ok((b - 32) & 63) } else { Err("the uuencoded data is damaged") }
        };
        let Some((first, symbols)) = line.as_bytes().split_first() else { continue };
        let (count, start) = (usize::from(value(*first)?), out.len());
        for four in symbols.chunks(4) {
            let mut bits = 0u32;
            for i in 0..4 {
                // Blanks at the end of a line may be lost in transport; they stand for zero.
                bits = bits << 6 | u32::from(value(*four.get(i).unwrap_or(&b' '))?);
            }
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        if out.len() < start + count {
            return Err("the uuencoded data is cut off".to_owned());
        }
        out.truncate(start + count);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_encodings_decode_and_refuse() {
        let decode = |encoding: &str, body: &str| {
            decoded(encoding, body).map(|(bytes, _)| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(decode("8bit", "a\n").unwrap(), "a\n");
        assert_eq!(decode("BASE64", "aGVs\r\nbG8=\r\n").unwrap(), "hello");
        assert_eq!(decode("base64", "aGVsbG8").unwrap(), "hello");
        assert_eq!(decode("quoted-printable", "a=3Db =\nc=C3=A4 \nd=zz").unwrap(), "a=b cä\nd=zz");
        assert_eq!(decode("x-uuencode", "begin 644 f\n%:&5L;&\\\n`\nend\n").unwrap(), "hello");
        for (encoding, body, what) in [
            ("base64", "*", "not base64"),
            ("x-uuencode", "hello", "no `begin`"),
            ("x-uuencode", "begin 644 f\nM:&5L;&\\\n", "cut off"),
            ("rot13", "a", "not known"),
        ] {
            assert!(decode(encoding, body).is_err_and(|e| e.contains(what)), "{encoding}");
        }
    }

    #[test]
    fn quoted_printable_lines_lead_back() {
        let (bytes, lines) = quoted_printable("one =\ntwo\nthree\nfour=0Afive\n");
        assert_eq!(bytes, b"one two\nthree\nfour\nfive\n");
        assert_eq!(lines, [0, 2, 3, 3, 4]);
    }
}
