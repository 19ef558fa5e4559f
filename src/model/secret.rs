// SPDX-License-Identifier: Apache-2.0
//! Bytes that never print, and names that tell of such.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

/// Parts of a name that make its value bootstrap data, in lower case and without `-`, `_` and `.`.
const BOOTSTRAP: &[&str] = &["configdata", "customdata", "userdata", "vendordata"];

/// Parts of a name that make its value a secret, likewise.
const SECRETS: &[&str] = &[
    "adminpass",
    "credential",
    "key",
    "passphrase",
    "passw",
    "psk",
    "pwd",
    "randomseed",
    "secret",
    // Scripts that run at each start, which metadata may hold.
    "startscript",
    "startupscript",
    "token",
];

/// Words that a secret's name ends with, and which are parts of other names: `root_pass`, `pin`.
const LAST: &[&str] = &["pass", "pin"];

/// Parts of a name that make something private an address, which is not a secret: `private_ip`, `private-networks`.
const ADDRESSES: &[&str] = &["dns", "host", "interface", "ip", "mac", "net", "nic"];

/// Parts of a name that make its value none: a public key is public.
const PUBLIC: &[&str] = &["authorized", "public"];

/// Whether a name has one of these parts, whatever its case and its `-`, `_` and `.`.
pub fn name_has(name: &str, parts: &[&str]) -> bool {
    let name: String = name.to_ascii_lowercase().chars().filter(|c| !"-_.".contains(*c)).collect();
    parts.iter().any(|part| name.contains(part))
}

/// Whether bootstrap data has such names: `user-data`, `guestinfo.ignition.config.data`.
pub fn names_bootstrap_data(name: &str) -> bool {
    name_has(name, BOOTSTRAP)
}

/// Whether secrets have such names: `password`, `api_key`, and not `public-keys`.
pub fn names_secret(name: &str) -> bool {
    let private = name_has(name, &["private"]) && !name_has(name, ADDRESSES);
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    let last = LAST.iter().any(|word| last.eq_ignore_ascii_case(word));
    (private || last || name_has(name, SECRETS)) && !name_has(name, PUBLIC)
}

/// Whether a name is that of public keys, of which each may be called a key.
fn names_public_keys(name: &str) -> bool {
    name_has(name, PUBLIC) && name_has(name, &["key"])
}

/// Replaces the values of keys that are named like secrets, at any depth. Says whether there were any.
pub fn strip(json: &mut Json) -> bool {
    let mut found = false;
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| found |= strip(item)),
        Json::Object(map) => {
            for (name, value) in map {
                // What is private may be a network: then what is in it decides.
                let whole = !value.is_object() && !value.is_array() || name_has(name, SECRETS);
                if names_secret(name) && whole {
                    found |= value != REMOVED;
                    *value = Json::from(REMOVED);
                } else if !names_public_keys(name) {
                    found |= strip(value);
                }
            }
        }
        _ => {}
    }
    found
}

/// What stands in the place of a secret.
const REMOVED: &str = "removed";

/// Bytes that may hold a token, a key or a password. It has no `Display`, its `Debug` tells the length, and its bytes
/// stand in no JSON ([`super::wire`]): printing one by mistake does not compile, fails or says nothing. Its copies share the bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(Arc<Vec<u8>>);

impl Secret {
    /// Takes the bytes in.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(bytes.into()))
    }

    /// The bytes, at a call that can be searched for.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing but blanks and line ends.
    pub fn is_blank(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// The bytes as text, with signs in place of what is none.
    pub fn expose_text(&self) -> Cow<'_, str> {
        // The other function reads byte by byte.
        std::str::from_utf8(&self.0).map_or_else(|_| String::from_utf8_lossy(&self.0), Cow::Borrowed)
    }

    /// The bytes, owned.
    pub fn into_exposed(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.0)
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}
