// SPDX-License-Identifier: Apache-2.0
//! Which keys each version of the [specification](https://coreos.github.io/ignition/specs/) has, and of which type.
//! 2.x is that of Ignition's `spec2x` branch.
//!
//! Ignition ignores a key that its version does not have, with a warning; a value of the wrong type it refuses. So it
//! is here.

use crate::decode::syntax::words;
use crate::decode::syntax::yaml::{Kind, Node, Value};
use crate::model::problem::{Problem, UNKNOWN_KEY};

/// All versions; the index of each is its bit in [`Versions`].
pub(super) const VERSIONS: &[&str] =
    &["2.0.0", "2.1.0", "2.2.0", "2.3.0", "2.4.0", "3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0", "3.5.0"];

/// A set of versions, one bit each.
pub(super) type Versions = u16;

const V2: Versions = 0b000_0001_1111;
const V2_1: Versions = 0b000_0001_1110;
const V2_2: Versions = 0b000_0001_1100;
const V2_3: Versions = 0b000_0001_1000;
const V2_4: Versions = 0b000_0001_0000;
const V3: Versions = 0b111_1110_0000;
const V3_1: Versions = 0b111_1100_0000;
const V3_2: Versions = 0b111_1000_0000;
const V3_3: Versions = 0b111_0000_0000;
const V3_4: Versions = 0b110_0000_0000;
const V3_5: Versions = 0b100_0000_0000;
const ALL: Versions = V2 | V3;

/// The type of a value.
pub(super) enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A string.
    Text,
    /// An object of these keys.
    Object(Keys),
    /// A list of values of one type.
    List(&'static Type),
}

/// The keys of an object, with the versions that have them.
pub(super) type Keys = &'static [(&'static str, Versions, Type)];

use Type::{Bool, Int, List, Object, Text};

const TEXTS: Type = List(&Text);
const ID: Keys = &[("id", ALL, Int), ("name", V2_1 | V3, Text)];
const VERIFICATION: Type = Object(&[("hash", ALL, Text)]);
const HEADERS: Type = List(&Object(&[("name", ALL, Text), ("value", ALL, Text)]));

/// A config or a bundle of certificates to fetch.
const REFERENCE: Keys = &[
    ("compression", V3_1, Text),
    ("httpHeaders", V2_4 | V3_1, HEADERS),
    ("source", ALL, Text),
    ("verification", ALL, VERIFICATION),
];

/// The contents of a file.
const CONTENTS: Keys = &[
    ("compression", ALL, Text),
    ("httpHeaders", V2_4 | V3_1, HEADERS),
    ("source", ALL, Text),
    ("verification", ALL, VERIFICATION),
];

const IGNITION: Keys = &[
    (
        "config",
        ALL,
        Object(&[
            ("append", V2, List(&Object(REFERENCE))),
            ("merge", V3, List(&Object(REFERENCE))),
            ("replace", ALL, Object(REFERENCE)),
        ]),
    ),
    (
        "proxy",
        V2_4 | V3_1,
        Object(&[("httpProxy", ALL, Text), ("httpsProxy", ALL, Text), ("noProxy", ALL, TEXTS)]),
    ),
    (
        "security",
        V2_2 | V3,
        Object(&[("tls", ALL, Object(&[("certificateAuthorities", ALL, List(&Object(REFERENCE)))]))]),
    ),
    ("timeouts", V2_1 | V3, Object(&[("httpResponseHeaders", ALL, Int), ("httpTotal", ALL, Int)])),
    ("version", ALL, Text),
];

const DISK: Keys = &[
    ("device", ALL, Text),
    (
        "partitions",
        ALL,
        List(&Object(&[
            ("guid", V2_1 | V3, Text),
            ("label", ALL, Text),
            ("number", ALL, Int),
            ("resize", V3_2, Bool),
            ("shouldExist", V2_3 | V3, Bool),
            ("size", V2, Int),
            ("sizeMiB", V2_3 | V3, Int),
            ("start", V2, Int),
            ("startMiB", V2_3 | V3, Int),
            ("typeGuid", ALL, Text),
            ("wipePartitionEntry", V2_3 | V3, Bool),
        ])),
    ),
    ("wipeTable", ALL, Bool),
];

const MOUNT: Keys = &[
    ("create", V2, Object(&[("force", V2, Bool), ("options", V2, TEXTS)])),
    ("device", V2, Text),
    ("format", V2, Text),
    ("label", V2_1, Text),
    ("options", V2_1, TEXTS),
    ("uuid", V2_1, Text),
    ("wipeFilesystem", V2_1, Bool),
];

const FILESYSTEM: Keys = &[
    ("device", V3, Text),
    ("format", V3, Text),
    ("label", V3, Text),
    ("mount", V2, Object(MOUNT)),
    ("mountOptions", V3_1, TEXTS),
    ("name", V2, Text),
    ("options", V3, TEXTS),
    ("path", ALL, Text),
    ("uuid", V3, Text),
    ("wipeFilesystem", V3, Bool),
];

const RAID: Keys = &[
    ("devices", ALL, TEXTS),
    ("level", ALL, Text),
    ("name", ALL, Text),
    ("options", V2_1 | V3, TEXTS),
    ("spares", ALL, Int),
];

const TANG: Keys = &[("advertisement", V3_4, Text), ("thumbprint", V3_2, Text), ("url", V3_2, Text)];

const CLEVIS: Keys = &[
    ("custom", V3_2, Object(&[("config", V3_2, Text), ("needsNetwork", V3_2, Bool), ("pin", V3_2, Text)])),
    ("tang", V3_2, List(&Object(TANG))),
    ("threshold", V3_2, Int),
    ("tpm2", V3_2, Bool),
];

const LUKS: Keys = &[
    ("cex", V3_5, Object(&[("enabled", V3_5, Bool)])),
    ("clevis", V3_2, Object(CLEVIS)),
    ("device", V3_2, Text),
    ("discard", V3_4, Bool),
    ("keyFile", V3_2, Object(CONTENTS)),
    ("label", V3_2, Text),
    ("name", V3_2, Text),
    ("openOptions", V3_4, TEXTS),
    ("options", V3_2, TEXTS),
    ("uuid", V3_2, Text),
    ("wipeVolume", V3_2, Bool),
];

/// The common keys of files, directories and links are repeated in each table: a reader looks at one table only.
const FILE_2: Keys = &[
    ("append", V2_2, Bool),
    ("contents", V2, Object(CONTENTS)),
    ("filesystem", V2, Text),
    ("group", V2, Object(ID)),
    ("mode", V2, Int),
    ("overwrite", V2_2, Bool),
    ("path", V2, Text),
    ("user", V2, Object(ID)),
];

const FILE_3: Keys = &[
    ("append", V3, List(&Object(CONTENTS))),
    ("contents", V3, Object(CONTENTS)),
    ("group", V3, Object(ID)),
    ("mode", V3, Int),
    ("overwrite", V3, Bool),
    ("path", V3, Text),
    ("user", V3, Object(ID)),
];

const DIRECTORY: Keys = &[
    ("filesystem", V2_1, Text),
    ("group", V2_1 | V3, Object(ID)),
    ("mode", V2_1 | V3, Int),
    ("overwrite", V2_2 | V3, Bool),
    ("path", V2_1 | V3, Text),
    ("user", V2_1 | V3, Object(ID)),
];

const LINK: Keys = &[
    ("filesystem", V2_1, Text),
    ("group", V2_1 | V3, Object(ID)),
    ("hard", V2_1 | V3, Bool),
    ("overwrite", V2_2 | V3, Bool),
    ("path", V2_1 | V3, Text),
    ("target", V2_1 | V3, Text),
    ("user", V2_1 | V3, Object(ID)),
];

const DROPINS: Type = List(&Object(&[("contents", ALL, Text), ("name", ALL, Text)]));

const UNIT: Keys = &[
    ("contents", ALL, Text),
    ("dropins", ALL, DROPINS),
    ("enable", V2, Bool),
    ("enabled", V2_1 | V3, Bool),
    ("mask", ALL, Bool),
    ("name", ALL, Text),
];

const NETWORKD_UNIT: Keys = &[("contents", V2, Text), ("dropins", V2_2, DROPINS), ("name", V2, Text)];

/// Properties of a new user: in `create` in 2.0, later in the user itself.
const CREATE: Keys = &[
    ("gecos", V2, Text),
    ("groups", V2, TEXTS),
    ("homeDir", V2, Text),
    ("noCreateHome", V2, Bool),
    ("noLogInit", V2, Bool),
    ("noUserGroup", V2, Bool),
    ("primaryGroup", V2, Text),
    ("shell", V2, Text),
    ("system", V2, Bool),
    ("uid", V2, Int),
];

const USER: Keys = &[
    ("create", V2, Object(CREATE)),
    ("gecos", V2_1 | V3, Text),
    ("groups", V2_1 | V3, TEXTS),
    ("homeDir", V2_1 | V3, Text),
    ("name", ALL, Text),
    ("noCreateHome", V2_1 | V3, Bool),
    ("noLogInit", V2_1 | V3, Bool),
    ("noUserGroup", V2_1 | V3, Bool),
    ("passwordHash", ALL, Text),
    ("primaryGroup", V2_1 | V3, Text),
    ("shell", V2_1 | V3, Text),
    ("shouldExist", V3_2, Bool),
    ("sshAuthorizedKeys", ALL, TEXTS),
    ("system", V2_1 | V3, Bool),
    ("uid", V2_1 | V3, Int),
];

const GROUP: Keys = &[
    ("gid", ALL, Int),
    ("name", ALL, Text),
    ("passwordHash", ALL, Text),
    ("shouldExist", V3_2, Bool),
    ("system", ALL, Bool),
];

/// A whole config. A key with two rows has different types in 2.x and 3.x.
const CONFIG: Keys = &[
    ("ignition", ALL, Object(IGNITION)),
    ("kernelArguments", V3_3, Object(&[("shouldExist", V3_3, TEXTS), ("shouldNotExist", V3_3, TEXTS)])),
    ("networkd", V2, Object(&[("units", V2, List(&Object(NETWORKD_UNIT)))])),
    ("passwd", ALL, Object(&[("groups", ALL, List(&Object(GROUP))), ("users", ALL, List(&Object(USER)))])),
    (
        "storage",
        ALL,
        Object(&[
            ("directories", V2_1 | V3, List(&Object(DIRECTORY))),
            ("disks", ALL, List(&Object(DISK))),
            ("files", V2, List(&Object(FILE_2))),
            ("files", V3, List(&Object(FILE_3))),
            ("filesystems", ALL, List(&Object(FILESYSTEM))),
            ("links", V2_1 | V3, List(&Object(LINK))),
            ("luks", V3_2, List(&Object(LUKS))),
            ("raid", ALL, List(&Object(RAID))),
        ]),
    ),
    ("systemd", ALL, Object(&[("units", ALL, List(&Object(UNIT)))])),
];

/// A walk over a config.
pub(super) struct Walk<'a> {
    version: usize,
    problems: &'a mut Vec<Problem>,
}

/// Checks keys and types of a config. `version` is an index of [`VERSIONS`]. Returns the config without keys that the
/// version does not have and without nulls, which Ignition reads as absent.
pub(super) fn check(config: Node, version: usize, problems: &mut Vec<Problem>) -> Node {
    let mut walk = Walk { version, problems };
    let (object, pos) = (Object(CONFIG), config.pos);
    walk.value("", config, &object).unwrap_or(Node { pos, value: Value::Map(Vec::new()) })
}

impl Walk<'_> {
    fn value(&mut self, place: &str, mut node: Node, wanted: &Type) -> Option<Node> {
        // What is kept stays where it is: a config may be large.
        let fits = match (wanted, &mut node.value) {
            (Object(keys), Value::Map(entries)) => {
                let all = std::mem::take(entries).into_iter();
                *entries = all.filter_map(|(k, v)| self.entry(place, keys, k, v)).collect();
                true
            }
            (List(of), Value::List(items)) => {
                let all = std::mem::take(items).into_iter().enumerate();
                let kept = all.filter_map(|(i, item)| self.value(&format!("{place}[{i}]"), item, of));
                *items = kept.collect();
                true
            }
            (wanted, Value::Scalar(scalar)) => matches!(
                (wanted, &scalar.kind),
                (Bool, Kind::Bool(_)) | (Int, Kind::Int(_)) | (Text, Kind::Str)
            ),
            _ => false,
        };
        if !fits {
            let want = match wanted {
                Bool => "true or false",
                Int => "a whole number",
                Text => "a string",
                Object(_) => "a mapping",
                List(_) => "a list",
            };
            self.problems.push(with_how(
                Problem::error(place, format!("must be {want}, this is {}", node.kind_name())).at(node.pos),
                place,
                &node,
            ));
        }
        fits.then_some(node)
    }

    fn entry(&mut self, place: &str, keys: Keys, key: Node, node: Node) -> Option<(Node, Node)> {
        let name = key.text()?;
        let place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
        let known = || keys.iter().filter(|(n, _, _)| *n == name);
        let bit: Versions = 1 << self.version;
        if let Some((_, _, wanted)) = known().find(|(_, versions, _)| versions & bit != 0) {
            let value = if node.is_null() { None } else { self.value(&place, node, wanted) };
            return value.map(|value| (key, value));
        }
        let have: Versions = known().map(|(_, versions, _)| versions).fold(0, |a, b| a | b);
        let names: Vec<&str> =
            VERSIONS.iter().enumerate().filter(|(i, _)| have & (1 << i) != 0).map(|(_, v)| *v).collect();
        let here = keys.iter().filter(|(_, versions, _)| versions & bit != 0).map(|(n, _, _)| *n);
        let meant = words::meant(name, here).map(|meant| format!("did you mean `{meant}`?"));
        let mut problem = if names.is_empty() {
            // Ignition passes over it, and a file of the key `content` is empty. `check` takes it for an error.
            Problem::warning(&place, "this key is unknown and has no effect").code(UNKNOWN_KEY)
        } else {
            let (own, others) = (VERSIONS[self.version], names.join(", "));
            Problem::warning(
                &place,
                format!("no effect: this config has version {own}, the key exists in {others}"),
            )
        };
        // What came with a later version needs that one.
        problem.cure = meant.or_else(|| {
            let later = (self.version..VERSIONS.len()).find(|i| have & (1 << i) != 0)?;
            Some(format!("set ignition.version to {}, or remove the key", VERSIONS[later]))
        });
        self.problems.push(problem.at(key.pos));
        None
    }
}

/// The key by which entries of a list are matched when one config of 3.x is merged into another
/// ([operator notes](https://coreos.github.io/ignition/operator-notes/#config-merging)).
pub(super) fn list_key(list: &str) -> Option<&'static str> {
    const KEYS: &[(&str, &str)] = &[
        ("certificateAuthorities", "source"),
        ("directories", "path"),
        ("disks", "device"),
        ("dropins", "name"),
        ("files", "path"),
        ("filesystems", "device"),
        ("groups", "name"),
        ("httpHeaders", "name"),
        ("links", "path"),
        ("luks", "name"),
        ("partitions", "number"),
        ("raid", "name"),
        ("tang", "url"),
        ("units", "name"),
        ("users", "name"),
    ];
    KEYS.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

/// The problem of a value of another type, with what to do where a mode was written as a string.
fn with_how(problem: Problem, place: &str, node: &Node) -> Problem {
    let octal = node.text().filter(|_| place.ends_with(".mode")).map(|text| u32::from_str_radix(text, 8));
    match octal {
        Some(Ok(mode)) => problem.cure(format!("a mode is a decimal number in Ignition: write {mode}")),
        _ if node.is_map() || node.list().is_some() => {
            problem.cure("a mapping stands in braces, {…}, a list in brackets, […]: see the configuration specification of its version")
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_of_known_versions() {
        fn walk(of: &Type) {
            match of {
                Object(keys) => {
                    assert!(keys.is_sorted_by_key(|(name, _, _)| *name));
                    for (name, versions, of) in *keys {
                        assert!(*versions != 0 && versions & !ALL == 0, "{name}");
                        walk(of);
                    }
                }
                List(of) => walk(of),
                Bool | Int | Text => {}
            }
        }
        walk(&Object(CONFIG));
        assert_eq!(ALL.count_ones() as usize, VERSIONS.len());
    }
}
