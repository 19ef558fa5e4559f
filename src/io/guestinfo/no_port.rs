// SPDX-License-Identifier: Apache-2.0
//! Other processors have no I/O ports; VMware has another way there, which is not used here.

use anyhow::{Result, anyhow};

use super::Registers;
use crate::model::problem::WithCure as _;

pub const LOW: u16 = 0;
pub const HIGH: u16 = 0;

#[derive(Debug)]
pub struct Privilege;

impl Privilege {
    pub fn take() -> Self {
        Self
    }
}

pub fn give_up() {}

pub fn low(_: Registers) -> Result<Registers> {
    elsewhere()
}

pub fn high_send(_: Registers, _: &[u8]) -> Result<Registers> {
    elsewhere()
}

pub fn high_receive(_: Registers, _: &mut [u8]) -> Result<Registers> {
    elsewhere()
}

fn elsewhere() -> Result<Registers> {
    let machine = std::env::consts::ARCH;
    Err(anyhow!("footplate reads vSphere's guestinfo on x86-64 machines only, and this machine is {machine}"))
        .cure("attach a drive labelled cidata and set the kernel argument flatcar.oem.id=nocloud, or take an x86-64 machine")
}
