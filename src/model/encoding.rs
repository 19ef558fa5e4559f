// SPDX-License-Identifier: Apache-2.0
//! Bytes as text: hexadecimal digits, and the `%` sequences of URLs.

/// Bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes that an even number of hexadecimal digits stands for, `None` for other text.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}

/// A text with `%` sequences for all but RFC 3986's unreserved characters, and the slashes of a path if it is one.
pub fn percent_encoded(text: &[u8], is_path: bool) -> String {
    let keeps = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || (is_path && b == b'/');
    text.iter().map(|b| if keeps(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The bytes of a text in which `%41` stands for `A`. A `%` without two hexadecimal digits stands for itself.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, below)) = rest.split_first() {
        let escaped = below.get(..2).filter(|_| first == b'%');
        let decoded =
            escaped.and_then(|digits| from_hex(std::str::from_utf8(digits).ok()?)?.first().copied());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &below[2..] } else { below };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_go_both_ways() {
        assert_eq!(hex(&[0, 0x9f, 255]), "009fff");
        for (text, bytes) in [
            ("", Some(vec![])),
            ("009fFF", Some(vec![0, 0x9f, 255])),
            ("0", None),
            ("0g", None),
            ("+f", None),
            ("é0", None),
        ] {
            assert_eq!(from_hex(text), bytes, "{text}");
        }
        for (text, bytes) in [
            ("a%20b", "a b".as_bytes()),
            ("%c3%A9", "é".as_bytes()),
            ("100%", b"100%"),
            ("%4", b"%4"),
            ("%zz%+1%é", "%zz%+1%é".as_bytes()),
            ("%2541", b"%41"),
        ] {
            assert_eq!(percent_decoded(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_not_reserved_stands_as_it_is() {
        assert_eq!(percent_encoded("a b/ü~".as_bytes(), true), "a%20b/%C3%BC~");
        assert_eq!(percent_encoded(b"a/b", false), "a%2Fb");
    }
}
