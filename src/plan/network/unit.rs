// SPDX-License-Identifier: Apache-2.0
//! The one writer of unit syntax, `systemd.syntax(7)`.
//!
//! A value that could end its line would let metadata write sections of its own, so nothing that could is ever written:
//! every value is checked here, even one that was checked before.

use std::fmt::Write as _;

use crate::model::network::{Param, Settings};

/// A file of sections, in order. A name may come twice: networkd reads each `[Route]` as one route.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unit {
    sections: Vec<Section>,
}

/// A section and its entries, in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    name: &'static str,
    entries: Vec<(&'static str, String)>,
}

/// A value that unit syntax can't carry; the section and the key of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// The section.
    pub section: &'static str,
    /// The key.
    pub key: &'static str,
}

impl Section {
    /// Adds an entry.
    pub fn set(&mut self, key: &'static str, value: impl ToString) -> &mut Self {
        self.entries.push((key, value.to_string()));
        self
    }

    /// Adds an entry for each of `values`, which may be an `Option`.
    pub fn set_each<V: ToString>(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.entries.extend(values.into_iter().map(|value| (key, value.to_string())));
        self
    }
}

impl Unit {
    /// The section called `name`, made at the end if it is missing.
    pub fn section(&mut self, name: &'static str) -> &mut Section {
        let i = self.sections.iter().position(|s| s.name == name).unwrap_or(self.sections.len());
        if i == self.sections.len() {
            return self.another(name);
        }
        &mut self.sections[i]
    }

    /// One more section called `name`.
    pub fn another(&mut self, name: &'static str) -> &mut Section {
        let i = self.sections.len();
        self.sections.push(Section { name, entries: Vec::new() });
        &mut self.sections[i]
    }

    /// Adds what `other` says to the sections of the same name.
    pub fn append(&mut self, other: Unit) {
        for Section { name, entries } in other.sections {
            self.section(name).entries.extend(entries);
        }
    }

    /// Adds those settings whose row `wanted` takes, each to the section of its row.
    pub fn settings(&mut self, settings: &Settings, wanted: impl Fn(&Param) -> bool) {
        for (param, value) in settings.iter().filter(|(p, _)| wanted(p)) {
            self.section(param.section).set(param.key, value);
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.sections.iter().all(|s| s.entries.is_empty())
    }

    /// The text, a comment first.
    ///
    /// # Errors
    /// [`Unwritable`] for the first value with a control character, with blanks at an end, with a backslash last (it
    /// would join the next line), or with nothing in it (which to networkd means "forget what was said before").
    pub fn write(&self, comment: &str) -> Result<String, Unwritable> {
        let mut out = String::new();
        for line in comment.lines() {
            let safe: String = line.chars().filter(|c| !c.is_control()).collect();
            let _ = writeln!(out, "# {safe}");
        }
        for Section { name, entries } in self.sections.iter().filter(|s| !s.entries.is_empty()) {
            let _ = write!(out, "\n[{name}]\n");
            for (key, value) in entries {
                let bad = value.is_empty()
                    || value.chars().any(char::is_control)
                    || value.trim() != value
                    || value.ends_with('\\');
                if bad {
                    return Err(Unwritable { section: name, key });
                }
                let _ = writeln!(out, "{key}={value}");
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_its_line() {
        for bad in ["eth0\n[Network]", "a\rb", "a\0", "a\u{85}b", "end\\", " a", "a ", ""] {
            let mut unit = Unit::default();
            unit.section("Match").set("Name", bad);
            let refused = Unwritable { section: "Match", key: "Name" };
            assert_eq!(unit.write(""), Err(refused), "{bad:?}");
        }
    }

    #[test]
    fn sections_come_once_unless_asked_for() {
        let mut unit = Unit::default();
        unit.section("Network").set("DHCP", "no");
        unit.another("Route").set("Gateway", "192.0.2.1");
        unit.section("Network").set("DNS", "192.0.2.53");
        unit.another("Route").set("Gateway", "192.0.2.2");
        unit.section("Link");
        let text = unit.write("two\nlines").unwrap();
        assert_eq!(
            text,
            "# two\n# lines\n\n[Network]\nDHCP=no\nDNS=192.0.2.53\n\n[Route]\nGateway=192.0.2.1\n\n[Route]\nGateway=192.0.2.2\n"
        );
    }
}
