// SPDX-License-Identifier: Apache-2.0
//! Files with fixed names, on a drive or in a directory of the machine: what config drives and seeds have in common.

use super::Error;
use crate::io::{Ask, World};

/// Where such files are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// The drive with this label.
    Drive(&'a str),
    /// A directory.
    Directory(&'a str),
}

impl Place<'_> {
    /// A file by its path below the place; `None` where the file or the place is not there.
    pub(super) fn read(self, world: &dyn World, file: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Drive(label) => world.ask(Ask::Drive { label, file }),
            Self::Directory(directory) => {
                world.ask(Ask::File(&format!("{}/{file}", directory.trim_end_matches('/'))))
            }
        }
    }
}
