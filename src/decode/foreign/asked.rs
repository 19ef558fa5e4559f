// SPDX-License-Identifier: Apache-2.0
//! What data asks before it runs programs. Where it asks whether one is there, it can do without that one; and where it asks which
//! distribution this is, without all that install packages.

use super::{Foreign, PACKAGES, of_program};
use crate::decode::syntax::shell::base;
use crate::model::paths::FOREIGN_PACKAGE_TOOLS;

/// What tells which distribution this is.
const DISTRIBUTION: &[&str] =
    &["os-release", "lsb-release", "lsb_release", "debian_version", "redhat-release", "$ID", "${ID"];

/// What was asked so far.
#[derive(Default)]
pub(super) struct Asked {
    programs: Vec<&'static str>,
    distribution: bool,
}

impl Asked {
    /// Adds what a simple command asks.
    pub(super) fn by(&mut self, words: &[&str]) {
        let (first, second) = (base(words[0]), words.get(1));
        let tests = matches!(first, "test" | "[" | "[[");
        let whether = tests
            || matches!(first, "which" | "type" | "hash")
            || (first == "command" && matches!(second, Some(&("-v" | "-V"))));
        if whether {
            for (name, _) in words.iter().filter_map(|word| of_program(base(word), &[])) {
                if !self.programs.contains(&name) {
                    self.programs.push(name);
                }
            }
        }
        let names_it = |word: &&str| DISTRIBUTION.iter().any(|name| word.contains(name));
        self.distribution |= (tests || matches!(first, "case" | "grep")) && words.iter().any(names_it);
    }

    /// What was found without what the data does not need.
    pub(super) fn without<P>(&self, mut found: Vec<(P, Foreign)>) -> Vec<(P, Foreign)> {
        found.retain(|(_, (name, cure))| {
            let installs = FOREIGN_PACKAGE_TOOLS.contains(name) || *cure == PACKAGES;
            cure.is_empty() || !(self.programs.contains(name) || self.distribution && installs)
        });
        found
    }
}
