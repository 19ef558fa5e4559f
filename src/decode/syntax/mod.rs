// SPDX-License-Identifier: Apache-2.0
//! Languages that documents are written in, without a word of what they mean: YAML 1.1, JSON, DER, TOML, systemd's unit files.

pub(crate) mod go;
pub mod json;
pub(crate) mod node;
mod scalar;
pub(crate) mod shell;
pub(crate) mod terraform;
pub(crate) mod unit;
pub(crate) mod words;
pub mod yaml;

use self::yaml::Node;
use crate::model::problem::{Pos, Problem};

/// Reads one document that is YAML or JSON. JSON has its own reader, for YAML's refuses some that all others take; what only looks
/// like JSON is YAML (`{a: b}`).
///
/// # Errors
/// It is neither.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let json = text.trim_start().starts_with('{').then(|| json::parse(text).ok()).flatten();
    json.map_or_else(|| yaml::parse(text), Ok)
}

/// The problem of what another program fills in, over which the reader of a text stumbled at a place.
pub(crate) fn placeholder(text: &str, pos: Pos) -> Option<Problem> {
    go::near(text, pos).or_else(|| terraform::near(text, pos))
}
