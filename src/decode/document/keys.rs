// SPDX-License-Identifier: Apache-2.0
//! The keys of data's first YAML or JSON mapping, told without the whole of it being read: it may be large, or broken.

use std::borrow::Cow;

/// The keys of a mapping, with their texts; a value that is not a text on the key's line has none.
pub(super) struct Keys<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Keys<'a> {
    /// Those of the first document.
    pub(super) fn of(text: &'a str) -> Self {
        if let Some(inner) = without_head(text).strip_prefix('{') {
            return Self(pieces(inner).filter_map(entry).collect());
        }
        let mut keys = Vec::new();
        for line in text.lines() {
            // In a block mapping, what stands in the first column is a key; a new document ends it.
            let ends = line.starts_with("---") || line.starts_with("...");
            if ends && !keys.is_empty() {
                break;
            }
            if ends || line.starts_with([' ', '\t', '#', '-', '%', ']', '}']) {
                continue;
            }
            if line.split_once(':').is_some_and(|(_, v)| v.is_empty() || v.starts_with([' ', '\t'])) {
                keys.extend(entry(line.split(" #").next().unwrap_or_default()));
            }
        }
        Self(keys)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(k, _)| k == key).map_or("", |(_, value)| value)
    }

    pub(super) fn is(&self, key: &str, value: &str) -> bool {
        self.text(key) == value
    }

    /// Whether it is an object of that API group.
    pub(super) fn group(&self, group: &str) -> bool {
        self.text("apiVersion").split('/').next() == Some(group)
    }
}

/// A key and its text.
fn entry(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let (key, value) = text.split_once(':')?;
    let plain = |text| Cow::Borrowed(str::trim(text).trim_matches(['"', '\'']));
    Some((plain(key), plain(value)))
}

/// The entries of a JSON or YAML mapping in braces, of which the first is left out, also where it is cut off.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    text.split(move |c| {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', Some('"')) => escaped = true,
            (_, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('{' | '[', None) => depth += 1,
            ('}' | ']', None) => depth = depth.saturating_sub(1),
            (',', None) => return depth == 0,
            _ => {}
        }
        false
    })
}

/// A text without the comments, blank lines and marks of a document that it begins with.
pub(super) fn without_head(text: &str) -> &str {
    let is_head = |line: &str| line.trim().is_empty() || line.starts_with('#') || line.trim_end() == "---";
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('\n').filter(|(line, _)| is_head(line)) {
        rest = after;
    }
    rest
}

/// Whether JSON is an Ignition config, by its keys.
pub(super) fn is_ignition(text: &str) -> bool {
    let keys = Keys::of(text);
    keys.has("ignition") && !["apiVersion", "variant"].iter().any(|key| keys.has(key))
}
