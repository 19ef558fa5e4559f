// SPDX-License-Identifier: Apache-2.0
//! The `ignition` section: how to fetch, and which other configs to fetch.

use super::load::{MAX_CONFIGS, Named};
use super::{Reader, is_empty, url};
use crate::decode::syntax::yaml::Node;
use crate::model::fetch::FetchOptions;
use crate::model::secret::Secret;

/// How a certificate in PEM begins.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

impl Reader<'_, '_, '_> {
    /// The configs that this one names, as far as they were fetched. With `replace`, Ignition looks at no others.
    pub(super) fn named(&mut self, tree: &Node) -> Vec<Named> {
        let Some(config) = tree.get("ignition").and_then(|i| i.get("config")) else { return Vec::new() };
        let list = if self.v3() { "merge" } else { "append" };
        let mut places: Vec<(String, &Node, bool)> = Vec::new();
        if let Some(replace) = config.get("replace")
            && replace.get("source").is_some()
        {
            places.push(("ignition.config.replace".to_owned(), replace, true));
        } else {
            let items = config.get(list).and_then(Node::list).unwrap_or_default().iter().enumerate();
            // Those that would be too many are not fetched.
            let items = items.take(MAX_CONFIGS + 1);
            places.extend(items.map(|(i, node)| (format!("ignition.config.{list}[{i}]"), node, false)));
        }
        let mut named = Vec::new();
        for (place, node, replaces) in places {
            if node.get("source").is_none_or(|s| s.text() == Some("")) {
                self.error(&place, node.pos, "missing: `source` must say where the config is");
                continue;
            }
            if let Some(text) = self.resource(&place, node) {
                named.push(Named { place, pos: node.pos, text, replaces });
            }
        }
        named
    }

    /// How to fetch: timeouts, proxies, certificate authorities.
    pub(super) fn settings(&mut self, tree: &Node) {
        let Some(node) = tree.get("ignition") else { return };
        let mut options = FetchOptions::default();
        self.timeouts(node, &mut options);
        self.proxies(node, &mut options);
        // The bundles themselves are fetched with these settings and the system's authorities.
        self.options = options;
        self.options.authorities = self.authorities(node);
    }

    fn timeouts(&mut self, node: &Node, options: &mut FetchOptions) {
        let seconds = |name: &str| node.get("timeouts").and_then(|t| t.get(name));
        for (name, slot) in
            [("httpResponseHeaders", &mut options.response_headers), ("httpTotal", &mut options.total)]
        {
            let Some(value) = seconds(name) else { continue };
            match value.int().map(u64::try_from) {
                Some(Ok(value)) => *slot = Some(value),
                _ => {
                    let place = format!("ignition.timeouts.{name}");
                    self.error(&place, value.pos, "takes a number of seconds, 0 or more");
                }
            }
        }
    }

    fn proxies(&mut self, node: &Node, options: &mut FetchOptions) {
        let Some(proxy) = node.get("proxy").filter(|p| !is_empty(p)) else { return };
        for (name, slot) in [("httpProxy", &mut options.http_proxy), ("httpsProxy", &mut options.https_proxy)]
        {
            let Some(value) = proxy.get(name) else { continue };
            let text = value.text().unwrap_or_default();
            // Before 3.x an empty value is one that is not set.
            if text.is_empty() && !self.v3() {
                continue;
            }
            let parts = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
            if let Some((scheme, rest)) = &parts
                && ["http", "https"].contains(&scheme.as_str())
                && !rest.is_empty()
                && !rest.contains(char::is_whitespace)
                && url::check(text).is_ok()
            {
                *slot = Some(Secret::from(format!("{scheme}://{rest}").as_str()));
            } else {
                let place = format!("ignition.proxy.{name}");
                self.error(&place, value.pos, "not an http:// or https:// URL of a proxy");
            }
        }
        // The proxy for http is also that for https, where that has none of its own.
        options.https_proxy = options.https_proxy.take().or_else(|| options.http_proxy.clone());
        let none = proxy.get("noProxy").and_then(Node::list).unwrap_or_default();
        self.once("ignition.proxy.noProxy", none);
        options.no_proxy = none.iter().filter_map(Node::text).map(str::to_owned).collect();
    }

    fn authorities(&mut self, node: &Node) -> Vec<Secret> {
        let mut trusted = Vec::new();
        let list = node.get("security").and_then(|s| s.get("tls"));
        let list = list.and_then(|t| t.get("certificateAuthorities")).and_then(Node::list);
        for (i, authority) in list.unwrap_or_default().iter().enumerate() {
            let place = format!("ignition.security.tls.certificateAuthorities[{i}]");
            if authority.get("source").is_none_or(|s| s.text() == Some("")) {
                self.error(&place, authority.pos, "missing: `source` must say where the bundle is");
                continue;
            }
            let Some(bundle) = self.resource(&place, authority) else { continue };
            if bundle.windows(BEGIN.len()).any(|w| w == BEGIN) {
                trusted.push(Secret::new(bundle));
            } else {
                self.error(&format!("{place}.source"), authority.pos, "no PEM certificate is in it")
                    .cure("`openssl x509 -inform DER -in FILE` prints a certificate as PEM");
            }
        }
        trusted
    }
}
