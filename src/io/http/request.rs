// SPDX-License-Identifier: Apache-2.0
//! Requests and answers, and what of a URL may be sent.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};

use super::relay::Way;
use super::retry::{Trouble, status_text};
use super::travel;
use crate::io::MAX_ANSWER;
use crate::model::encoding::percent_decoded;
use crate::model::fetch::FetchOptions;
use crate::model::secret::Secret;
use crate::model::wire;

/// Who asks a server that wants to know, and of which authorities one must vouch for that server: the system's do not count.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The authorities, in PEM.
    pub authorities: Secret,
    /// The certificate, and those between it and its authority, in PEM.
    pub certificate: Secret,
    /// Its key, in PEM; it may stand in one file with the certificate.
    pub key: Secret,
}

/// A request.
#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `PUT`, `POST`, `PATCH`.
    #[serde(with = "travel::method")]
    pub method: Method,
    /// `http://` or `https://`, host, path, query. Its query may hold a signature and is never printed.
    pub url: String,
    /// Headers besides `Host`, `User-Agent` and `Content-Length`.
    pub headers: Vec<(String, Secret)>,
    /// The body, empty for none.
    pub body: Secret,
    /// Most bytes of the answer's body.
    pub limit: usize,
    /// Where the service listens, when that is known without asking DNS: all are tried, the first to answer is used.
    #[serde(deserialize_with = "wire::list")]
    pub addresses: &'static [IpAddr],
    /// How those addresses are connected to.
    pub way: Way,
    /// Redirects to follow; to `https` or from `http` only, and other hosts get no header of ours.
    pub redirects: u8,
    /// Further status codes after which the same request may yet succeed.
    #[serde(deserialize_with = "wire::list")]
    pub retry_also: &'static [u16],
    /// What tells apart requests to one path, in [`Request::name`].
    pub label: String,
    /// Whether the answer is a credential, which is never captured.
    pub secret: bool,
    /// Bounds of the user's, authorities beside the system's, and a proxy.
    pub options: FetchOptions,
    /// Who asks, over `https`.
    pub identity: Option<Identity>,
}

impl Request {
    /// A request with a method and nothing else.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Secret::default(),
            limit: MAX_ANSWER,
            addresses: &[],
            way: Way::Direct,
            redirects: 0,
            retry_also: &[],
            label: String::new(),
            secret: false,
            options: FetchOptions::default(),
            identity: None,
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// The same with a further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with the user name and the password of its URL moved into a header, unless the request has that header
    /// ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)).
    #[must_use]
    pub fn with_login(mut self) -> Self {
        let Some((scheme, rest)) = self.url.split_once("://") else { return self };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some((login, _)) = rest[..end].rsplit_once('@') else { return self };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let both = [percent_decoded(user).as_slice(), b":", &percent_decoded(password)].concat();
        let value = Secret::new(format!("Basic {}", STANDARD.encode(both)));
        self.url = format!("{scheme}://{}", &rest[login.len() + 1..]);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            self.headers.push(("authorization".to_owned(), value));
        }
        self
    }

    /// The request as a relative path: its place in a captured directory.
    pub fn name(&self) -> String {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let last = match (self.label.as_str(), path.ends_with('/')) {
            // A directory of a metadata tree and the files below it share their path.
            ("", true) => "/index",
            ("", false) => "",
            (label, _) => &format!("/{label}"),
        };
        format!("http/{}{last}", path.trim_end_matches('/'))
    }

    /// The request in a message: method and URL without its query.
    pub fn place(&self) -> String {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        let label = if self.label.is_empty() { String::new() } else { format!(" ({})", self.label) };
        if self.method == Method::GET {
            format!("{url}{label}")
        } else {
            format!("{} {url}{label}", self.method)
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({})", self.place())
    }
}

/// An answer that will not change by asking again: any status but those of [`Request::retry_also`] and the common ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    #[serde(with = "travel::headers")]
    pub headers: HeaderMap,
    /// The body.
    pub body: Secret,
}

impl Response {
    /// An answer without headers.
    pub fn of(status: u16, body: impl Into<Secret>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// The body of a success, `None` for 404.
    ///
    /// # Errors
    /// Any other status, in words.
    pub fn found(self) -> Result<Option<Secret>, String> {
        match self.status {
            200 | 204 => Ok(Some(self.body)),
            404 => Ok(None),
            status => Err(status_text(status)),
        }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request that got no answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Error {
    /// Method and URL without its query.
    pub place: String,
    /// What the last try met.
    pub what: String,
    /// The status code that the last try met, if it came to one.
    pub status: Option<u16>,
    /// How often it was tried.
    pub tries: u32,
    /// Whether the answer is larger than [`Request::limit`].
    pub too_large: bool,
    /// Whether a further try might have succeeded.
    pub gave_up: bool,
    /// Whether there was a deadline, and not a number of tries.
    pub(super) deadline: bool,
}

impl Error {
    /// A request that could not even be tried.
    pub fn of(request: &Request, what: impl Into<String>) -> Self {
        Self {
            place: request.place(),
            what: what.into(),
            status: None,
            tries: 0,
            too_large: false,
            gave_up: false,
            deadline: false,
        }
    }

    /// What happened, for a message that names the place itself.
    pub fn without_place(&self) -> String {
        let s = if self.tries == 1 { "y" } else { "ies" };
        match (self.gave_up, self.deadline) {
            (true, true) => format!("{} (gave up at the deadline, after {} tr{s})", self.what, self.tries),
            (true, false) => format!("{} (gave up after {} tr{s})", self.what, self.tries),
            (false, _) => self.what.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.without_place())
    }
}

impl std::error::Error for Error {}

/// What URL parsers drop, or read as something else.
fn misread(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\\'
}

/// A URL that is used as it is written: what the library would leave out or read as something else is refused.
pub(super) fn parse_url(text: &str) -> Result<Url, Trouble> {
    let not_a_url = || Trouble::never("is not a URL");
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) {
        return Err(Trouble::never("is not an http or https URL"));
    }
    if rest.starts_with('/') || rest.contains(misread) {
        return Err(not_a_url());
    }
    let mut url: Url = text.parse().map_err(|_| not_a_url())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Trouble::never("has a user name in the URL, which is not supported here"));
    }
    // The reader's business, never sent.
    url.set_fragment(None);
    Ok(url)
}

/// Where a redirect leads: never from `https` to `http`, and to nothing but these two.
pub(super) fn redirected(from: &Url, target: &str) -> Result<Url, Trouble> {
    let not_a_url = || Trouble::never("it redirects to something that is not an http or https URL");
    let url = match target.contains("://") {
        true => parse_url(target),
        // A reference relative to the URL that was asked.
        false if target.is_empty() || target.contains(misread) => return Err(not_a_url()),
        false => from.join(target).map_err(|_| not_a_url()).and_then(|url| parse_url(url.as_str())),
    };
    let url = url.map_err(|_| not_a_url())?;
    if from.scheme() == "https" && url.scheme() != "https" {
        return Err(Trouble::never("it redirects away from https"));
    }
    Ok(url)
}

/// The proxies that the environment names, as builds of images are given them: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
/// `NO_PROXY`, each also in small letters.
pub fn proxies_of_environment() -> FetchOptions {
    let var = |name: &str| {
        let value = std::env::var(name).or_else(|_| std::env::var(name.to_ascii_lowercase()));
        value.ok().filter(|value| !value.trim().is_empty())
    };
    let proxy = |name: &str| var(name).or_else(|| var("ALL_PROXY")).map(|url| Secret::from(url.as_str()));
    let no_proxy = var("NO_PROXY").unwrap_or_default();
    FetchOptions {
        http_proxy: proxy("HTTP_PROXY"),
        https_proxy: proxy("HTTPS_PROXY"),
        no_proxy: no_proxy
            .split(',')
            .map(|rule| rule.trim().to_owned())
            .filter(|rule| !rule.is_empty())
            .collect(),
        ..FetchOptions::default()
    }
}

/// Host and port, as the `Host` header has them.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The headers of a request. A host that the request was redirected to gets none of its own: they may be credentials.
pub(super) fn headers(
    request: &Request,
    url: &Url,
    own: bool,
    extra: &[(&str, String)],
) -> Result<HeaderMap, Trouble> {
    let mut headers = HeaderMap::new();
    let bad_header = || Trouble::never("a header of the request holds a character that HTTP does not allow");
    let value = |v: &[u8]| HeaderValue::from_bytes(v).map_err(|_| bad_header());
    headers.insert(header::HOST, value(authority(url).as_bytes())?);
    for (name, text) in extra {
        let name = HeaderName::try_from(*name).map_err(|_| bad_header())?;
        headers.insert(name, value(text.as_bytes())?);
    }
    for (name, text) in request.headers.iter().filter(|_| own) {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| bad_header())?;
        let mut value = value(text.expose())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_hold_no_query() {
        let request = Request::get("https://b.s3.example/k/v?X-Amz-Signature=abc");
        assert_eq!(request.name(), "http/b.s3.example/k/v");
        assert_eq!(request.place(), "https://b.s3.example/k/v");
        assert_eq!(format!("{request:?}"), "Request(https://b.s3.example/k/v)");
        assert_eq!(Request::get("http://169.254.169.254/a/").name(), "http/169.254.169.254/a/index");
        let mut post = Request::new(Method::POST, "https://ssm.example/");
        post.label = "GetParameter/p-0".to_owned();
        assert_eq!(post.name(), "http/ssm.example/GetParameter/p-0");
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let to = |from: &str, target: &str| {
            redirected(&from.parse().unwrap(), target).map(|u| u.to_string()).map_err(|t| t.what)
        };
        for (from, target, want) in [
            ("https://a.example/x", "/y?z#f", "https://a.example/y?z"),
            ("https://a.example/x", "https://b.example/", "https://b.example/"),
            ("http://a.example/x", "https://b.example/", "https://b.example/"),
            ("https://a.example/x", "//b.example/y", "https://b.example/y"),
            ("https://a.example:8443/d/x", "y", "https://a.example:8443/d/y"),
            ("https://a.example/d/x?q", "../y", "https://a.example/y"),
        ] {
            assert_eq!(to(from, target).unwrap(), want, "{from} {target}");
        }
        assert!(to("https://a.example/x", "http://a.example/y").is_err());
        for target in
            ["file:///etc/shadow", "ftp://b.example/", "http://u:p@b.example/", "http:///y", "a b", ""]
        {
            assert!(to("http://a.example/x", target).is_err(), "{target}");
        }
    }

    #[test]
    fn a_login_leaves_the_url() {
        for (url, plain, login) in [
            ("https://a.example/x", "https://a.example/x", None),
            ("https://u:p@a.example/x@y", "https://a.example/x@y", Some("u:p")),
            ("https://u%40d:p%3a@a.example:8/?q", "https://a.example:8/?q", Some("u@d:p:")),
            ("http://u@a.example", "http://a.example", Some("u:")),
        ] {
            let request = Request::get(url).with_login();
            let header = request.headers.into_iter().next().map(|(name, value)| {
                assert_eq!(name, "authorization");
                String::from_utf8(value.into_exposed()).unwrap()
            });
            assert_eq!(request.url, plain);
            assert_eq!(header, login.map(|l| format!("Basic {}", STANDARD.encode(l))), "{url}");
        }
        let own = Request::get("https://u:p@a.example/").header("Authorization", "Bearer x").with_login();
        assert_eq!((own.url.as_str(), own.headers.len()), ("https://a.example/", 1));
    }
}
