// SPDX-License-Identifier: Apache-2.0
//! URLs as Ignition reads them. What its parsers refuse is refused here, since a boot in the initramfs would fail on it.

use crate::model::encoding::percent_decoded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decode::syntax::yaml::base64_error;

/// Checks a URL with a host as [Go's parser](https://pkg.go.dev/net/url#Parse) does, and the version of an S3 object.
pub(super) fn check(url: &str) -> Result<(), &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no host")?;
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |i| rest.split_at(i));
    if !escaped(path) || !escaped(fragment) {
        return Err("the URL has a % without two hexadecimal digits after it");
    }
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user.chars().all(plain) || !escaped(user) {
        return Err("the URL's user or password has a character that must be written with %");
    }
    if !is_host(host) {
        return Err("the URL has no valid host and port");
    }
    let named = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let version =
        named.filter(|(name, _)| percent(name).is_ok_and(|n| n == b"versionId")).map(|(_, v)| v).next();
    if scheme.eq_ignore_ascii_case("s3") && version == Some("") {
        return Err("the versionId of the S3 object is empty");
    }
    Ok(())
}

/// Whether two hexadecimal digits follow each `%`.
fn escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A name or an address, and perhaps a port. Of ASCII, only `%` itself may be escaped, before the zone of an IPv6 address.
fn is_host(host: &str) -> bool {
    let (name, port) = match (host.starts_with('['), host.rfind(']'), host.rfind(':')) {
        (true, None, _) => return false,
        (true, Some(end), _) => host.split_at(end + 1),
        (false, _, Some(colon)) => host.split_at(colon),
        (false, _, None) => (host, ""),
    };
    let is_port = port.strip_prefix(':').map_or(port, |p| p).bytes().all(|b| b.is_ascii_digit());
    let (name, zone) = name.split_once("%25").unwrap_or((name, ""));
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    // An escaped byte of ASCII begins with a digit below 8.
    let of_ascii = name.split('%').skip(1).any(|after| after.starts_with(|c: char| ('0'..'8').contains(&c)));
    is_port && escaped(name) && !of_ascii && escaped(zone) && name.chars().chain(zone.chars()).all(plain)
}

/// The bytes of a `data:` URL, given without its scheme ([RFC 2397](https://www.rfc-editor.org/rfc/rfc2397)).
pub(super) fn data(rest: &str) -> Result<Vec<u8>, String> {
    let (head, data) = rest.split_once(',').ok_or("the data: URL has no comma before its data")?;
    let mut parts = head.split(';');
    let kind = parts.next().unwrap_or_default();
    let mut parameters: Vec<&str> = parts.collect();
    let base64 = parameters.pop_if(|last| *last == "base64").is_some();
    if !kind.is_empty() && !is_media_type(kind) {
        return Err(
            "the data: URL begins with something that is not a media type such as text/plain; leave it out"
                .to_owned(),
        );
    }
    if !parameters.into_iter().all(is_parameter) {
        let what = "the data: URL has a parameter that is not name=value; `;base64` must come last and be in lower case";
        return Err(what.to_owned());
    }
    if base64 {
        return STANDARD
            .decode(data)
            .map_err(|e| format!("the data: URL is not base64: {}", base64_error(&e)));
    }
    percent(data)
}

/// The media types that Ignition knows; others must begin with `x-`.
const MEDIA_TYPES: &[&str] = &["application", "audio", "image", "message", "multipart", "text", "video"];

fn is_media_type(text: &str) -> bool {
    let Some((kind, subtype)) = text.split_once('/') else { return false };
    let known = MEDIA_TYPES.contains(&kind) || kind.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-"));
    known && is_token(kind) && (subtype.is_empty() || is_token(subtype))
}

fn is_parameter(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else { return false };
    let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    is_token(name) && (quoted || is_token(value))
}

/// A word of a header ([RFC 2045, section 5.1](https://www.rfc-editor.org/rfc/rfc2045#section-5.1)).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// The characters that may be in a URL's data without `%`, beside letters and digits.
const PLAIN: &[u8] = b"-_.!~*'();/?:@&=+$,";

fn percent(text: &str) -> Result<Vec<u8>, String> {
    let escaped =
        |at: usize| text.as_bytes().get(at + 1..at + 3).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit));
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'%' && !escaped(at) {
            return Err("the data: URL has a % without two hexadecimal digits after it".to_owned());
        }
        if byte != b'%' && !byte.is_ascii_alphanumeric() && !PLAIN.contains(&byte) {
            let at = at + 1;
            return Err(format!(
                "the data: URL has a character, number {at} after its comma, that must be written with %"
            ));
        }
    }
    Ok(percent_decoded(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_rfc_2397s() {
        let good: &[(&str, &[u8])] = &[
            (",", b""),
            (",a%20b%0A", b"a b\n"),
            (",a+b", b"a+b"),
            ("text/plain;charset=utf-8,%C3%BC", "ü".as_bytes()),
            (";base64,aGVsbG8=", b"hello"),
            ("text/;x=\"a b\",(a)", b"(a)"),
            ("x-y/z,a;b", b"a;b"),
            ("text/plain;charset=utf-8;base64,/w==", b"\xff"),
        ];
        for (url, want) in good {
            assert_eq!(data(url).as_deref(), Ok(*want), "{url}");
        }
        let bad = [
            ("no comma", "no comma"),
            (",a%2", "%"),
            (",a%zz", "%"),
            (",%+1", "%"),
            (",[a]", "number 1 after its comma"),
            (",a b", "number 2 after its comma"),
            (",a%20{", "number 5 after its comma"),
            (",\u{fc}", "with %"),
            ("font/woff,a", "media type"),
            ("text,a", "media type"),
            ("/plain,a", "media type"),
            (";x,a", "name=value"),
            (";base64;x=y,YQ==", "name=value"),
            (";BASE64,YQ==", "name=value"),
            ("text/plain; charset=utf-8,a", "name=value"),
            (";base64,aGVsbG8%3D", "base64"),
            (";base64,a*b=", "base64"),
            (";base64,aGVsbG8", "padding"),
        ];
        for (url, what) in bad {
            assert!(data(url).unwrap_err().contains(what), "{url}");
        }
    }
}
