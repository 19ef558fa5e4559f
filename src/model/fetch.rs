// SPDX-License-Identifier: Apache-2.0
//! What bootstrap data names and does not hold.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use super::problem::{Problem, UNREACHED};
use super::secret::Secret;

/// What is said of what can't be fetched.
pub const SCHEMES: &str =
    "only these are fetched: https://, http://, s3://BUCKET/KEY, file:///PATH, /PATH, oem:///PATH";

/// One thing to fetch. A URL may carry a signature, so it is a secret too; [`Request::host`] is what messages name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request {
    /// The URL: `http`, `https`, `s3`, `oem`, `file`, or a path.
    pub url: Secret,
    /// Headers beside those that HTTP needs, names as written.
    pub headers: Vec<(String, Secret)>,
    /// How.
    pub options: FetchOptions,
    /// Whether the data that names it says its digest too, so that nobody can put something else there.
    pub hashed: bool,
}

impl Request {
    /// A URL, or a path, and nothing else.
    pub fn plain(url: &str) -> Self {
        Self { url: Secret::from(url), headers: Vec::new(), options: FetchOptions::default(), hashed: false }
    }

    /// What is wrong with the URL or path of one that comes without headers and options, as far as it shows without
    /// asking anybody.
    pub fn problem(&self) -> Option<&'static str> {
        let url = String::from_utf8_lossy(self.url.expose());
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None if url.starts_with('/') => return None,
            None => return Some(SCHEMES),
        };
        let blank = rest.contains(|c: char| c.is_whitespace() || c.is_control());
        match scheme.as_str() {
            "http" | "https" | "s3" if blank || rest.is_empty() || rest.starts_with('/') => {
                Some("is not a URL")
            }
            "http" | "https" if host_of(rest).is_none() && !rest.contains("${") => {
                Some("is not a URL with a host and a port")
            }
            "file" if !rest.starts_with('/') => Some("a file's URL has three slashes: file:///PATH"),
            "http" | "https" | "s3" | "oem" | "file" => None,
            _ => Some(SCHEMES),
        }
    }

    /// Scheme and host, without what may be secret.
    pub fn host(&self) -> String {
        let url = String::from_utf8_lossy(self.url.expose());
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        format!("{scheme}://{}", host_of(rest).unwrap_or("…"))
    }
}

/// The host of a URL and its port, without a login, by what stands behind the scheme; `None` where no host or no port can be that.
pub fn host_of(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']'));
    let (name, port) = port.unwrap_or((host, "0"));
    let within = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = !name.is_empty() && !name.contains([':', '[', ']']);
    let is_address = within.is_some_and(|address| address.contains(':') && !address.contains(['[', ']']));
    ((is_name || is_address) && (port.is_empty() || port.parse::<u16>().is_ok())).then_some(host)
}

/// What to do about a source that was out of reach.
const OUT_OF_REACH: &str =
    "see that this server runs, and that the machine has a route to it; then `footplate retry`";

/// Why something was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfetched {
    /// Why, in words.
    pub what: String,
    /// Whether no answer came in time: the data that names it may be good.
    pub unreached: bool,
}

impl Unfetched {
    /// The problem as one of this kind: it tells the data that names a source from a source that was out of reach.
    pub fn mark(&self, problem: Problem) -> Problem {
        if self.unreached { problem.cure(OUT_OF_REACH).code(UNREACHED) } else { problem }
    }
}

impl<T: Into<String>> From<T> for Unfetched {
    /// An answer that will be the same the next time.
    fn from(what: T) -> Self {
        Self { what: what.into(), unreached: false }
    }
}

/// Checks a header: its name is a token, its value ends with its line
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-5.1)).
///
/// # Errors
/// Says which of them is wrong.
pub fn check_header(name: &str, value: &str) -> Result<(), &'static str> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match () {
        () if name.is_empty() => Err("missing: a header needs a name"),
        () if !name.chars().all(token) => Err("is not the name of a header"),
        () if value.contains(['\r', '\n', '\0']) => Err("a header's value holds a line break"),
        () => Ok(()),
    }
}

/// How to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FetchOptions {
    /// Seconds to wait for the head of an answer; 0 for no limit of its own.
    pub response_headers: Option<u64>,
    /// Seconds for the whole, retries included; 0 for no limit of its own.
    pub total: Option<u64>,
    /// Bundles of certificate authorities in PEM, beside the system's.
    pub authorities: Vec<Secret>,
    /// The proxy for `http`. It may hold a password.
    pub http_proxy: Option<Secret>,
    /// The proxy for `https`.
    pub https_proxy: Option<Secret>,
    /// Hosts that are asked without a proxy: `*`, addresses, networks (`10.0.0.0/8`), names, which stand for all below
    /// them too, and `.names`, which stand for those alone; each perhaps with a port.
    pub no_proxy: Vec<String>,
}

impl FetchOptions {
    /// The proxy through which a host is asked: as Go's programs, Ignition among them, read these options
    /// ([httpproxy](https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config)).
    pub fn proxy(&self, https: bool, host: &str, port: u16) -> Option<&Secret> {
        let proxy = if https { self.https_proxy.as_ref() } else { self.http_proxy.as_ref() }?;
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        // A proxy is not for the machine itself.
        let local = host == "localhost" || address.is_some_and(|a| a.is_loopback());
        let spared = local || self.no_proxy.iter().any(|rule| spares(rule, &host, address, port));
        (!spared).then_some(proxy)
    }
}

/// Whether a rule of `no_proxy` speaks of that host.
fn spares(rule: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let rule = rule.trim().to_ascii_lowercase();
    if rule == "*" {
        return true;
    }
    if let (Some((network, bits)), Some(address)) = (rule.split_once('/'), address) {
        return match (network.parse(), bits.parse::<u32>(), address) {
            (Ok(IpAddr::V4(n)), Ok(bits @ 0..=32), IpAddr::V4(a)) => {
                (n.to_bits() ^ a.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
            }
            (Ok(IpAddr::V6(n)), Ok(bits @ 0..=128), IpAddr::V6(a)) => {
                (n.to_bits() ^ a.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
            }
            _ => false,
        };
    }
    // A colon is a port's, but in an IPv6 address without brackets.
    let (name, wanted) = match rule.rsplit_once(':') {
        Some((name, port)) if rule.parse::<IpAddr>().is_err() => (name, port.parse().ok()),
        _ => (rule.as_str(), Some(port)),
    };
    let name = name.trim_start_matches('*').trim_matches(['[', ']']);
    let named = match name.strip_prefix('.') {
        Some(below) => !below.is_empty() && host.strip_suffix(below).is_some_and(|h| h.ends_with('.')),
        None => {
            !name.is_empty() && (host == name || host.strip_suffix(name).is_some_and(|h| h.ends_with('.')))
        }
    };
    // No name stands for an address but itself.
    named && wanted == Some(port) && (address.is_none() || host == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_spared_as_gos_programs_spare_them() {
        let by = |rule: &str, host: &str| {
            let no_proxy = vec![rule.to_owned()];
            let options =
                FetchOptions { http_proxy: Some("http://p.example".into()), no_proxy, ..Default::default() };
            options.proxy(false, host, 80).is_none()
        };
        let spared = [
            ("*", "a.example"),
            ("a.example", "a.example"),
            ("A.example", "b.a.EXAMPLE"),
            (".example", "a.example"),
            ("*.example", "a.example"),
            ("a.example:80", "a.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("0.0.0.0/0", "10.1.2.3"),
            ("fd00::/8", "[fd00::1]"),
            ("fd00::1", "[fd00::1]"),
            ("none", "localhost"),
            ("none", "127.0.0.1"),
        ];
        for (rule, host) in spared {
            assert!(by(rule, host), "{rule} {host}");
        }
        let asked = [
            ("", "a.example"),
            (".", "a.example"),
            ("b.example", "a.example"),
            ("example", "anexample"),
            (".a.example", "a.example"),
            ("a.example:8080", "a.example"),
            ("a.example:port", "a.example"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/99", "10.0.0.1"),
            ("fd00::/8", "10.0.0.1"),
            ("0.0.1", "10.0.0.1"),
        ];
        for (rule, host) in asked {
            assert!(!by(rule, host), "{rule} {host}");
        }
        let both = FetchOptions {
            http_proxy: Some("http://p.example".into()),
            https_proxy: Some("http://s.example".into()),
            ..FetchOptions::default()
        };
        assert_eq!(both.proxy(true, "a.example", 443), both.https_proxy.as_ref());
        assert_eq!(both.proxy(false, "a.example", 80), both.http_proxy.as_ref());
        let one = FetchOptions { https_proxy: None, ..both };
        assert_eq!(one.proxy(true, "a.example", 443), None);
    }
}
