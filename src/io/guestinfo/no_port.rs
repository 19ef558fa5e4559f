// SPDX-License-Identifier: Apache-2.0
//! Other processors have no I/O ports; VMware has another way there, which is not used here.

use anyhow::{Error, Result, anyhow};

use super::Registers;

pub const LOW: u16 = 0;
pub const HIGH: u16 = 0;

#[derive(Debug)]
pub struct Privilege;

impl Privilege {
    pub fn take() -> Self {
        Self
    }
}

pub fn low(_: Registers) -> Result<Registers> {
    Err(elsewhere())
}

pub fn high_send(_: Registers, _: &[u8]) -> Result<Registers> {
    Err(elsewhere())
}

pub fn high_receive(_: Registers, _: &mut [u8]) -> Result<Registers> {
    Err(elsewhere())
}

fn elsewhere() -> Error {
    anyhow!(
        "footplate reads vSphere's guestinfo on x86-64 only, and this machine is {}",
        std::env::consts::ARCH
    )
}
