// SPDX-License-Identifier: Apache-2.0
//! Images that are baked, checked and sealed: the program run on Flatcar-like roots.

mod conflicts;
mod docs;
mod first_boot;
mod foreign;
mod https;
pub mod image;
mod install;
mod published;
mod real;
mod seal;
mod server;
mod signed;
mod sysext;
mod verify;
