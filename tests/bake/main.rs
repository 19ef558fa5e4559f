// SPDX-License-Identifier: Apache-2.0
//! Images that are baked, checked and sealed: the program run on Flatcar-like roots.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

mod conflicts;
#[path = "../common/debian.rs"]
mod debian;
mod docs;
mod first_boot;
mod https;
mod image;
mod install;
mod published;
mod real;
#[path = "../common/scratch.rs"]
mod scratch;
mod seal;
mod server;
mod signed;
mod sysext;
mod verify;
