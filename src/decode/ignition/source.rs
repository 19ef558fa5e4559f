// SPDX-License-Identifier: Apache-2.0
//! Contents of files and configs: from `data:` URLs or fetched, unpacked, checked against their hash, limited in size.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::Reader;
use super::schema::VERSIONS;
use crate::decode::document::envelope::{self, MAX_DECODED};
use crate::decode::syntax::yaml::{Node, base64_error};
use crate::model::fetch::{Request, Unfetched, check_header};
use crate::model::problem::{Pos, Problem};
use crate::model::secret::Secret;

/// The schemes that footplate fetches, each with the first version that has it.
const SCHEMES: &[(&str, &str)] = &[
    ("data", "2.0.0"),
    ("http", "2.0.0"),
    ("https", "2.0.0"),
    // Flatcar's own: a file of its OEM partition.
    ("oem", "2.0.0"),
    ("s3", "2.1.0"),
];

/// The schemes of the specification that footplate has no client for.
const FOREIGN: &[(&str, &str)] = &[
    ("arn", "only Ignition fetches from access points of S3: give bucket and key, s3://BUCKET/KEY"),
    ("gs", "only Ignition fetches from Google Cloud Storage: use a signed https:// URL"),
    ("tftp", "only Ignition fetches by TFTP: use https://"),
];

/// The types that Ignition accepts when it fetches a config. Servers choose the config's version by them.
const ACCEPT: &str = "application/vnd.coreos.ignition+json;version=3.5.0, */*;q=0.1";

/// Longest URL, other than `data:`: servers accept no longer one.
const MAX_URL: usize = 16 << 10;

impl Reader<'_, '_, '_> {
    /// The contents that a resource names. `None` if it has no source, if it is fetched later, or if a problem says what is
    /// wrong with it.
    pub(super) fn resource(&mut self, place: &str, node: &Node) -> Option<Vec<u8>> {
        let hash = self.hash(place, node);
        let gzip = self.compressed(place, node)?;
        let at = format!("{place}.source");
        let source = node.get("source");
        let url = source.and_then(Node::text).unwrap_or_default();
        for (key, lacks) in [("verification", source.is_none()), ("httpHeaders", url.is_empty())] {
            let of = node.get(key).filter(|of| lacks && self.v3() && !super::is_empty(of));
            if let Some(pos) = of.map(|of| of.pos) {
                self.error(&format!("{place}.{key}"), pos, "needs a source, and there is none");
                return None;
            }
        }
        let source = source?;
        let bytes = match url.split_once(':') {
            _ if url.is_empty() => Ok(Vec::new()),
            Some(("data", rest)) => data_url(rest),
            _ => Ok(self.fetched(&at, source, node, gzip)?),
        };
        let gzip = gzip && !url.is_empty();
        let unpacked = bytes.and_then(|bytes| {
            self.unpacked += bytes.len();
            if gzip { envelope::gunzip(&bytes) } else { Ok(bytes) }
        });
        let bytes = match unpacked {
            Ok(bytes) => bytes,
            Err(what) => {
                self.error(&at, source.pos, what);
                return None;
            }
        };
        if gzip {
            self.unpacked += bytes.len();
        }
        if self.unpacked > MAX_DECODED {
            // Told once: nothing that follows is unpacked.
            if !self.full {
                let what = format!("the config holds more than {} MiB in all", MAX_DECODED >> 20);
                self.error(&at, source.pos, what).cure("put large files into the image");
            }
            self.full = true;
            return None;
        }
        self.verified(place, hash, bytes)
    }

    /// Whether a resource is compressed by gzip; `None` if a problem says that it is by something else.
    fn compressed(&mut self, place: &str, node: &Node) -> Option<bool> {
        let Some(compression) = node.get("compression") else { return Some(false) };
        match compression.text() {
            Some("" | "null") => Some(false),
            Some("gzip") => Some(true),
            _ => {
                let at = format!("{place}.compression");
                self.error(&at, compression.pos, "this compression is not known").cure("gzip, or left out");
                None
            }
        }
    }

    /// The bytes, if they have the hash that the resource gives.
    fn verified(
        &mut self,
        place: &str,
        hash: Option<Result<(Hash, Pos), ()>>,
        bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let (wanted, pos) = match hash {
            Some(Ok(hash)) => hash,
            Some(Err(())) => return None,
            None => return Some(bytes),
        };
        if wanted.matches(&bytes) {
            return Some(bytes);
        }
        let what = format!("the contents do not have this {}", wanted.name());
        self.error(&format!("{place}.verification.hash"), pos, what).cure(
            "either the source has changed, or this is the hash of the compressed form: give that of the unpacked form",
        );
        None
    }

    /// The bytes behind a URL. `None` if they are not fetched now; then a problem says why, but for the contents of files of a
    /// config that is merged later.
    fn fetched(&mut self, at: &str, source: &Node, node: &Node, gzip: bool) -> Option<Vec<u8>> {
        let url = source.text().unwrap_or_default();
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        if let Some((_, cure)) = FOREIGN.iter().find(|(name, _)| *name == scheme) {
            self.error(at, source.pos, format!("footplate does not fetch {scheme}: URLs")).cure(*cure);
            return None;
        }
        let Some((_, since)) = SCHEMES.iter().find(|(name, _)| *name == scheme) else {
            self.error(at, source.pos, "not a URL of a scheme that can be fetched")
                .cure("one of data:, https:, http:, s3: and, on Flatcar, oem:");
            return None;
        };
        if VERSIONS[self.version] < *since {
            let what =
                format!("{scheme}: came with version {since}, this config has {}", VERSIONS[self.version]);
            self.error(at, source.pos, what).cure("raise ignition.version");
            return None;
        }
        let path = url.split_once("://").map_or("", |(_, rest)| rest);
        let host = path.split(['/', '?', '#']).next().unwrap_or_default();
        let bad = path.is_empty()
            || (host.is_empty() && scheme != "oem")
            || url.len() > MAX_URL
            || url.contains(|c: char| c.is_whitespace() || c.is_control());
        if bad || (scheme == "oem" && path.split('/').any(|p| p == "..")) {
            self.error(at, source.pos, format!("not a valid {scheme}: URL"));
            return None;
        }
        if gzip && scheme == "s3" {
            let at = at.replace(".source", ".compression");
            self.error(&at, source.pos, "can't be used with s3:");
            return None;
        }
        let mut headers = self.headers(at, &scheme, node)?;
        if self.part && !at.starts_with("ignition.") {
            return None;
        }
        let asks = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if at.starts_with("ignition.config.") && scheme.starts_with("http") && !asks("accept") {
            headers.push(("Accept".to_owned(), Secret::from(ACCEPT)));
        }
        let request = Request { url: Secret::from(url), headers, options: self.options.clone() };
        let sources = &mut *self.sources;
        let fetched = sources
            .have
            .entry(request.clone())
            .or_insert_with(|| (sources.fetch)(&request).map(|bytes| bytes.map(Secret::new)));
        match fetched {
            Ok(Some(bytes)) => return Some(bytes.expose().to_vec()),
            Ok(None) => {
                let what = format!("only the node fetches this from {}", request.host());
                self.problems.push(Problem::note(at, what).at(source.pos));
            }
            Err(Unfetched { what, unreached }) => {
                let problem = Problem::error(at, format!("{} was not fetched: {what}", request.host()));
                self.problems.push(Problem { unreached: *unreached, ..problem.at(source.pos) });
            }
        }
        None
    }

    fn headers(&mut self, at: &str, scheme: &str, node: &Node) -> Option<Vec<(String, Secret)>> {
        let mut headers: Vec<(String, Secret)> = Vec::new();
        let at = at.replace(".source", ".httpHeaders");
        let list = node.get("httpHeaders").and_then(Node::list).unwrap_or_default();
        for (i, header) in list.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let name = header.get("name").and_then(Node::text).unwrap_or_default();
            let value = header.get("value").and_then(Node::text).unwrap_or_default();
            let what = match check_header(name, value) {
                _ if !scheme.starts_with("http") => "headers work with http: and https: only",
                Err(what) => what,
                Ok(()) if headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) => {
                    "another header has this name"
                }
                Ok(()) => {
                    // Without a value it removes a header that another config sets.
                    if header.get("value").is_some() {
                        headers.push((name.to_owned(), Secret::from(value)));
                    }
                    continue;
                }
            };
            self.error(&format!("{at}.name"), header.pos, what);
            return None;
        }
        Some(headers)
    }

    /// The hash that the contents must have; `Some(Err)` if a problem says what is wrong with it.
    fn hash(&mut self, place: &str, node: &Node) -> Option<Result<(Hash, Pos), ()>> {
        let node = node.get("verification")?.get("hash")?;
        let text = node.text().unwrap_or_default();
        // Go programs write a hash that is not set as null in 3.x, and as an empty string before.
        if node.is_null() || text.is_empty() && !self.v3() {
            return None;
        }
        let at = format!("{place}.verification.hash");
        let (kind, digits) = text.split_once('-').unwrap_or((text, ""));
        let length = match kind {
            "sha256" => 32,
            "sha512" => 64,
            _ => {
                self.error(&at, node.pos, "not a known kind of hash").cure("sha512-… or sha256-…");
                return Some(Err(()));
            }
        };
        if kind == "sha256" && VERSIONS[self.version] < "3.1.0" {
            let what = format!("sha256 came with version 3.1.0, this config has {}", VERSIONS[self.version]);
            self.error(&at, node.pos, what).cure("use sha512, or raise ignition.version");
            return Some(Err(()));
        }
        let bytes: Option<Vec<u8>> = (digits.is_ascii() && digits.len() == length * 2)
            .then(|| (0..length).map(|i| u8::from_str_radix(&digits[i * 2..i * 2 + 2], 16).ok()).collect())
            .flatten();
        match bytes.filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(bytes) if length == 32 => Some(Ok((Hash::Sha256(bytes), node.pos))),
            Some(bytes) => Some(Ok((Hash::Sha512(bytes), node.pos))),
            None => {
                let what = format!("needs {} hexadecimal digits after {kind}-", length * 2);
                self.error(&at, node.pos, what);
                Some(Err(()))
            }
        }
    }
}

enum Hash {
    Sha256(Vec<u8>),
    Sha512(Vec<u8>),
}

impl Hash {
    fn name(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    fn matches(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha256(want) => Sha256::digest(bytes).as_slice() == want.as_slice(),
            Self::Sha512(want) => Sha512::digest(bytes).as_slice() == want.as_slice(),
        }
    }
}

/// The bytes of a `data:` URL, given without its scheme ([RFC 2397](https://www.rfc-editor.org/rfc/rfc2397)). What Ignition's own
/// parser refuses is refused, since a boot in the initramfs would fail on it.
fn data_url(rest: &str) -> Result<Vec<u8>, String> {
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
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().enumerate();
    while let Some((at, byte)) = rest.next() {
        if byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) {
            bytes.push(byte);
            continue;
        }
        if byte != b'%' {
            let at = at + 1;
            return Err(format!(
                "the data: URL has a character, number {at} after its comma, that must be written with %"
            ));
        }
        let mut digit = || rest.next().and_then(|(_, b)| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err("the data: URL has a % without two hexadecimal digits after it".to_owned()),
        }
    }
    Ok(bytes)
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
            assert_eq!(data_url(url).as_deref(), Ok(*want), "{url}");
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
            assert!(data_url(url).unwrap_err().contains(what), "{url}");
        }
    }
}
