// SPDX-License-Identifier: Apache-2.0
//! URLs and kernel arguments without what gives access.

use serde_json::Value as Json;

use crate::model::secret::names_secret;

/// The kernel's arguments without the values of those that are named like secrets, and without what URLs hold of such.
pub(super) fn arguments(text: &str) -> String {
    let word = |word: &str| match word.trim().split_once('=') {
        Some((name, _)) if names_secret(name) => format!("{name}=removed "),
        _ => without_login(word),
    };
    text.split_inclusive(char::is_whitespace).map(word).collect::<String>().trim_end().to_owned() + "\n"
}

/// Text in which no URL has a login or parameters; other bytes as they are.
pub(super) fn without_logins(bytes: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(bytes) {
        Ok(text) if text.contains("://") => {
            text.split_inclusive(char::is_whitespace).map(without_login).collect::<String>().into_bytes()
        }
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

/// A word whose URLs have neither a login nor the values of parameters.
pub(super) fn without_login(word: &str) -> String {
    let mut parts = word.split("://");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        let host_ends = rest.find(['/', '"', '\'', ';', '?', '#']).unwrap_or(rest.len());
        let login_ends = rest[..host_ends].rfind('@').map_or(0, |at| at + 1);
        let (path, query) = rest[login_ends..].split_once('?').unwrap_or((&rest[login_ends..], ""));
        text += "://";
        text += path;
        let mut separator = '?';
        for parameter in query.split('&').filter(|_| !query.is_empty()) {
            let ends = |c: char| matches!(c, ';' | '"' | '\'' | '#') || c.is_whitespace();
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let after = value.find(ends).map_or("", |at| &value[at..]);
            text += &format!("{separator}{name}{}{after}", if value.is_empty() { "" } else { "=removed" });
            separator = '&';
        }
    }
    text
}

/// Removes logins and parameters of URLs at any depth.
pub(super) fn strip_logins(json: &mut Json) {
    match json {
        // User-data's own picture has none.
        Json::String(text) if text.contains("://") => *text = without_login(text),
        Json::Array(items) => items.iter_mut().for_each(strip_logins),
        Json::Object(map) => map.values_mut().for_each(strip_logins),
        _ => {}
    }
}
