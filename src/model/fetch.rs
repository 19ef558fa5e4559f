// SPDX-License-Identifier: Apache-2.0
//! What bootstrap data names and does not hold.

use super::secret::Secret;

/// One thing to fetch. A URL may carry a signature, so it is a secret too; [`Request::host`] is what messages name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The URL: `http`, `https`, `s3`, `oem`, `file`, or a path.
    pub url: Secret,
    /// Headers beside those that HTTP needs, names as written.
    pub headers: Vec<(String, Secret)>,
    /// How.
    pub options: FetchOptions,
}

impl Request {
    /// A URL, or a path, and nothing else.
    pub fn plain(url: &str) -> Self {
        Self { url: Secret::from(url), headers: Vec::new(), options: FetchOptions::default() }
    }

    /// Scheme and host, without what may be secret.
    pub fn host(&self) -> String {
        let url = String::from_utf8_lossy(self.url.expose());
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
    }
}

/// How to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FetchOptions {
    /// Seconds to wait for the head of an answer; 0 for no limit.
    pub response_headers: Option<u64>,
    /// Seconds for the whole, retries included; 0 for no limit.
    pub total: Option<u64>,
    /// Bundles of certificate authorities in PEM, beside the system's.
    pub authorities: Vec<Secret>,
    /// The proxy for `http`, and for `https` where it has none of its own. It may hold a password.
    pub http_proxy: Option<Secret>,
    /// The proxy for `https`.
    pub https_proxy: Option<Secret>,
    /// Hosts that are asked without a proxy.
    pub no_proxy: Vec<String>,
}
