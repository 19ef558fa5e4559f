// SPDX-License-Identifier: Apache-2.0
//! What processor programs are for, by the head of their files ([elf(5)](https://man7.org/linux/man-pages/man5/elf.5.html)).

use std::io::Read as _;

use anyhow::{Result, anyhow};

use super::lock::{ARCHITECTURES, Lock};
use crate::io::root::Root;
use crate::model::problem::WithCure as _;

/// The first process of an image, which says what processor the image is for.
pub const INIT: &str = "/usr/lib/systemd/systemd";

/// The ELF machine number that a program is for; `None` for what is not there or is not ELF.
///
/// # Errors
/// It can't be read.
pub fn machine_of(root: &Root, path: &str) -> Result<Option<u16>> {
    let mut head = Vec::new();
    if let Some(file) = root.open_file(path)? {
        file.take(20).read_to_end(&mut head)?;
    }
    // e_machine; both architectures are little-endian.
    let is_elf = head.len() == 20 && head.starts_with(b"\x7fELF");
    Ok(is_elf.then(|| u16::from_le_bytes([head[18], head[19]])))
}

/// A machine number's architecture by Kubernetes' name.
pub fn name(machine: u16) -> String {
    let known = ARCHITECTURES.iter().find(|(_, number)| *number == machine);
    known.map_or_else(|| format!("another processor (ELF machine {machine})"), |(name, _)| (*name).to_owned())
}

/// Why an image can't run a lock's programs: it is for another architecture. `None` where it can, and where it has no [`INIT`].
///
/// # Errors
/// The root can't be read.
pub fn fault(root: &Root, lock: &Lock) -> Result<Option<String>> {
    let machine = machine_of(root, INIT)?.filter(|machine| *machine != lock.machine());
    Ok(machine.map(|m| format!("{INIT} of the image is for {}, the lock is for {}", name(m), lock.arch)))
}

/// Refuses a lock for another architecture than the image's.
///
/// # Errors
/// It is for another one, or the root can't be read.
pub fn refuse(root: &Root, lock: &Lock) -> Result<()> {
    match fault(root, lock)? {
        Some(what) => Err(anyhow!(what)).cure("bake a lock for the architecture of the image"),
        None => Ok(()),
    }
}
