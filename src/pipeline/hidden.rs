// SPDX-License-Identifier: Apache-2.0
//! Bootstrap data that the user-data only points at: fetched, put on the disk, and only then taken away from where it
//! stood.

use anyhow::Result;

use super::fetch::Found;
use super::state;
use crate::io::World;
use crate::io::root::Root;
use crate::model::config::Script;
use crate::model::problem::{Failure, In as _, Stage};
use crate::model::secret::Secret;
use crate::platform::{FindHidden, Hidden as Elsewhere};

/// What was hidden, and where.
pub(super) struct Hidden {
    elsewhere: Box<dyn Elsewhere>,
    recognise: FindHidden,
    data: Secret,
}

impl Hidden {
    /// The data that the user-data points at, if it does. With a root it is on that root's disk when this returns: a
    /// run that is cut off after the deletion finds it there.
    pub(super) fn find(
        boothooks: &[Script],
        found: &Found,
        world: &dyn World,
        root: Option<&Root>,
    ) -> Result<Option<Self>, Failure> {
        let Some(recognise) = found.candidate.platform.hidden else { return Ok(None) };
        let mut scripts =
            boothooks.iter().map(|hook| recognise(&String::from_utf8_lossy(hook.content.expose())));
        let Some(elsewhere) = scripts.find_map(Result::transpose).transpose().stage(Stage::Decode)? else {
            return Ok(None);
        };
        let id = &found.instance.instance_id;
        let kept = root.map_or(Ok(None), |root| state::read_bootstrap(root, id)).stage(Stage::Fetch)?;
        let data = match (kept, root) {
            (Some(data), _) => {
                log::info!("fetch: the hidden bootstrap data is on the disk already");
                data
            }
            (None, root) => {
                let data = elsewhere.fetch(world).stage(Stage::Fetch)?;
                log::info!(
                    "fetch: hidden bootstrap data of {} bytes, chunks={}",
                    data.len(),
                    elsewhere.parts()
                );
                if let Some(root) = root {
                    state::write_bootstrap(root, id, &data).stage(Stage::Apply)?;
                }
                data
            }
        };
        Ok(Some(Self { elsewhere, recognise, data }))
    }

    /// What an include list's URL brings, where it names the file that the script would have written.
    pub(super) fn include(&self, url: &[u8]) -> Option<Vec<u8>> {
        let path = url.strip_prefix(b"file://").unwrap_or(url);
        (path == self.elsewhere.file().as_bytes()).then(|| self.data.expose().to_vec())
    }

    /// Whether a boothook is a script that would fetch it.
    pub(super) fn is_script(&self, hook: &[u8]) -> bool {
        (self.recognise)(&String::from_utf8_lossy(hook)).is_ok_and(|found| found.is_some())
    }

    /// Takes it away from where it stood. What it held has been understood and is on the disk.
    pub(super) fn delete(&self, world: &dyn World) -> Result<()> {
        self.elsewhere.delete(world)?;
        log::info!(
            "fetch: the hidden bootstrap data was deleted where it stood, chunks={}",
            self.elsewhere.parts()
        );
        Ok(())
    }
}
