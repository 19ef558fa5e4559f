// SPDX-License-Identifier: Apache-2.0
//! Bootstrap data that Cluster API's AWS provider keeps in Secrets Manager or in SSM: the user-data holds only a script
//! that would fetch it. The script is read, and never run.

use anyhow::Result;

use super::secrets;
use crate::decode::capa::{self, Transport};
use crate::io::World;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::Hidden;

/// What such a script points at; `None` for any other script.
///
/// # Errors
/// It is such a script, and what it knows is not found in it.
pub(super) fn find(script: &str) -> Result<Option<Box<dyn Hidden>>, Problem> {
    Ok(capa::parse(script)?.map(|transport| Box::new(transport) as Box<dyn Hidden>))
}

impl Hidden for Transport {
    fn file(&self) -> &str {
        &self.file
    }

    fn parts(&self) -> usize {
        self.chunks
    }

    fn fetch(&self, world: &dyn World) -> Result<Secret> {
        secrets::fetch(world, self)
    }

    fn delete(&self, world: &dyn World) -> Result<()> {
        secrets::delete(world, self)
    }
}
