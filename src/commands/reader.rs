// SPDX-License-Identifier: Apache-2.0
//! `reader`: reads metadata or bootstrap data for a footplate that asks for it over the connection at standard input.

use crate::io::reader::{Server, Work};
use crate::model::problem::{Failure, In as _, Stage};
use crate::pipeline::bootstrap_data::Data;
use crate::platform::Metadata;

pub fn run() -> Result<u8, Failure> {
    let (server, name) = Server::open().stage(Stage::Usage)?;
    let done = match name.as_str() {
        Metadata::NAME => server.serve::<Metadata>(),
        Data::NAME => server.serve::<Data>(),
        _ => return Err(Failure::new(Stage::Usage, anyhow::anyhow!("{name:?}: not read here"))),
    };
    done.stage(Stage::Decode)?;
    Ok(0)
}
