// SPDX-License-Identifier: Apache-2.0
//! `reader`: reads metadata and bootstrap data for a footplate that asks for it over the connection at standard input.

use anyhow::anyhow;

use crate::io::reader::{Server, Work};
use crate::model::problem::{Failure, In as _, Stage};
use crate::pipeline::bootstrap_data::Data;
use crate::platform::Metadata;

/// Its name, alone on the command line.
pub const NAME: &str = "reader";

pub fn run() -> Result<u8, Failure> {
    let mut server = Server::open().stage(Stage::Usage)?;
    while let Some(name) = server.next().stage(Stage::Decode)? {
        let done = match name.as_str() {
            Metadata::NAME => server.serve::<Metadata>(),
            Data::NAME => server.serve::<Data>(),
            _ => Err(anyhow!("{name:?}: not read here")),
        };
        done.stage(Stage::Decode)?;
    }
    Ok(0)
}
