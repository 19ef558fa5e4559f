// SPDX-License-Identifier: Apache-2.0
//! Reads and writes vSphere's guestinfo from inside a machine, without VMware's tools.
//!
//! `get KEY` prints the value as it is; a missing key is exit status 2, any other failure 1.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use footplate::facade::io::guestinfo::{Guestinfo, hypervisor_signature};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("guestinfo: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["signature"] => {
            println!("{}", hypervisor_signature().context("no hypervisor has a signature here")?)
        }
        ["get", key] => match Guestinfo::open()?.get(key)? {
            Some(value) => std::io::stdout().write_all(&value)?,
            None => return Ok(ExitCode::from(2)),
        },
        ["set", key, value] => Guestinfo::open()?.set(key, value.as_bytes())?,
        _ => bail!("usage: guestinfo signature | get KEY | set KEY VALUE"),
    }
    Ok(ExitCode::SUCCESS)
}
