// SPDX-License-Identifier: Apache-2.0
//! Contents of files and configs: from `data:` URLs or fetched, unpacked, checked against their hash, limited in size.

use sha2::{Digest as _, Sha256, Sha512};

use super::schema::VERSIONS;
use super::{Reader, url};
use crate::decode::document::envelope::{self, MAX_DECODED};
use crate::decode::syntax::yaml::Node;
use crate::model::fetch::{Request, check_header};
use crate::model::problem::{NOT_FETCHED, Pos, Problem};
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

/// What to do about what is too large.
const LARGE: &str = "put large files into the image";

impl Reader<'_, '_, '_> {
    /// The contents that a resource names. `None` if it has no source, if it is fetched later, or if a problem says what is
    /// wrong with it.
    pub(super) fn resource(&mut self, place: &str, node: &Node) -> Option<Vec<u8>> {
        let hash = self.hash(place, node);
        let gzip = self.compressed(place, node)?;
        let at = format!("{place}.source");
        let source = node.get("source");
        let url = source.and_then(Node::text).unwrap_or_default();
        if !self.fits(place, node, url) {
            return None;
        }
        let source = source?;
        let bytes = match url.split_once(':') {
            _ if url.is_empty() => Ok(Vec::new()),
            Some(("data", rest)) => url::data(rest),
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
                let cure = match &what {
                    _ if what.contains("gzip") => "pack it with `gzip`, or leave `compression` out",
                    _ if what.contains("data:") => {
                        "`base64 -w0 FILE` prints what stands behind `data:;base64,`"
                    }
                    _ => LARGE,
                };
                self.error(&at, source.pos, what).cure(cure);
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
                self.error(&at, source.pos, what).cure(LARGE);
            }
            self.full = true;
            return None;
        }
        self.verified(place, hash, bytes)
    }

    /// Whether the resource has a source that its hash and its headers can be for. Otherwise a problem is told.
    fn fits(&mut self, place: &str, node: &Node, url: &str) -> bool {
        let given = |key: &str| node.get(key).filter(|of| !super::is_empty(of)).map(|of| of.pos);
        let (lacks, empty) = (node.get("source").is_none(), url.is_empty());
        for (key, lacks) in [("verification", lacks), ("httpHeaders", empty)] {
            if let Some(pos) = given(key).filter(|_| lacks && self.v3()) {
                self.error(&format!("{place}.{key}"), pos, "needs a source, and has none");
                return false;
            }
        }
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        if let Some(pos) = given("httpHeaders").filter(|_| !empty && !["http", "https"].contains(&&*scheme)) {
            self.error(&format!("{place}.httpHeaders"), pos, "headers work with http: and https: only");
            return false;
        }
        true
    }

    /// Whether a resource is compressed by gzip; `None` if a problem says that it is by something else.
    fn compressed(&mut self, place: &str, node: &Node) -> Option<bool> {
        let Some(compression) = node.get("compression") else { return Some(false) };
        match compression.text() {
            Some("" | "null") => Some(false),
            Some("gzip") => Some(true),
            _ => {
                let at = format!("{place}.compression");
                self.error(&at, compression.pos, "this compression is not known")
                    .cure("use gzip, or leave it out");
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
                .cure("use one of data:, https:, http:, s3: and, on Flatcar, oem:");
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
        if let Err(what) = url::check(url) {
            self.error(at, source.pos, what);
            return None;
        }
        if gzip && scheme == "s3" {
            let at = at.replace(".source", ".compression");
            self.error(&at, source.pos, "can't be used with s3:");
            return None;
        }
        let mut headers = self.headers(at, node)?;
        if self.part && !at.starts_with("ignition.") {
            return None;
        }
        let asks = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if at.starts_with("ignition.config.") && scheme.starts_with("http") && !asks("accept") {
            headers.push(("Accept".to_owned(), Secret::from(ACCEPT)));
        }
        let hashed =
            node.get("verification").and_then(|v| v.get("hash")?.text()).is_some_and(|hash| !hash.is_empty());
        let options = self.options.clone();
        let request = Request { url: Secret::from(url), headers, options, hashed };
        let sources = &mut *self.sources;
        let fetched = sources
            .have
            .entry(request.clone())
            .or_insert_with(|| (sources.fetch)(&request).map(|bytes| bytes.map(Secret::new)));
        match fetched {
            Ok(Some(bytes)) => return Some(bytes.expose().to_vec()),
            Ok(None) => {
                let what = format!("only the node fetches this from {}", request.host());
                self.problems.push(Problem::note(at, what).at(source.pos).code(NOT_FETCHED));
            }
            Err(why) => {
                let problem = Problem::error(at, format!("{} was not fetched: {}", request.host(), why.what));
                self.problems.push(why.mark(problem.at(source.pos)));
            }
        }
        None
    }

    fn headers(&mut self, at: &str, node: &Node) -> Option<Vec<(String, Secret)>> {
        let mut headers: Vec<(String, Secret)> = Vec::new();
        let at = at.replace(".source", ".httpHeaders");
        let list = node.get("httpHeaders").and_then(Node::list).unwrap_or_default();
        for (i, header) in list.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let name = header.get("name").and_then(Node::text).unwrap_or_default();
            let value = header.get("value").and_then(Node::text).unwrap_or_default();
            let what = match check_header(name, value) {
                Err(what) => what,
                Ok(()) if self.v3() && header.get("value").is_some() && value.is_empty() => {
                    "a header with an empty value is not allowed"
                }
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
                self.error(&at, node.pos, "not a known kind of hash")
                    .cure("begin it with sha512- or sha256-");
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
