// SPDX-License-Identifier: Apache-2.0
//! Other processors have no I/O ports; VMware has another way there, which is not used here.

use anyhow::{Result, bail};

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
    bail!("guestinfo needs x86-64")
}

pub fn high_send(_: Registers, _: &[u8]) -> Result<Registers> {
    bail!("guestinfo needs x86-64")
}

pub fn high_receive(_: Registers, _: &mut [u8]) -> Result<Registers> {
    bail!("guestinfo needs x86-64")
}
