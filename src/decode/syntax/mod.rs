// SPDX-License-Identifier: Apache-2.0
//! Languages that documents are written in, without a word of what they mean: YAML 1.1, JSON, DER, systemd's unit files.

pub mod json;
pub(crate) mod node;
mod scalar;
pub(crate) mod unit;
pub(crate) mod words;
pub mod yaml;
