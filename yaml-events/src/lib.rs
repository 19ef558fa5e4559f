// SPDX-License-Identifier: Apache-2.0
//! The events of YAML's parser, compiled for speed.
//!
//! The parser is generic, so it is compiled in the crate that uses it, and footplate is compiled for size. Here it is
//! compiled for texts in memory, with the profile of this crate: it goes over all of the data character by character.

use saphyr_parser::{Parser, Span, StrInput};

pub use saphyr_parser::{Event, ScalarStyle, ScanError, Tag};

/// What a text has, piece by piece, each with its place.
pub struct Events<'t>(Parser<'t, StrInput<'t>>);

impl<'t> Events<'t> {
    /// Those of a text.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        Self(Parser::new_from_str(text))
    }
}

impl<'t> Iterator for Events<'t> {
    type Item = Result<(Event<'t>, Span), ScanError>;

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_event()
    }
}
