// SPDX-License-Identifier: Apache-2.0
//! Mounts and swap devices: their units, and that they are in use.

use anyhow::{Result, anyhow};

use super::manifest::Manifest;
use super::{Done, Kind, Machine, Outcome, RUN_LIMIT, Step, on_live};
use crate::io::disk;
use crate::io::systemd::Systemd;
use crate::model::paths::UNIT_DIR;
use crate::model::plan::{Mount, MountUnits, Mounted};
use crate::model::problem::WithCure as _;

impl Mount {
    /// The units for this machine. A disk with partitions has its data on the first one: mounted as a whole, it would stay
    /// unmounted and the data would go to the root disk.
    fn units(&self, live: bool) -> Result<&MountUnits> {
        let Some(first) = self.first_partition.as_ref().filter(|_| live) else { return Ok(&self.as_named) };
        let whole = &self.as_named.what;
        let Some(real) = disk::find(whole).and_then(|disk| disk::partitions(&disk).remove(&1)) else {
            return Ok(&self.as_named);
        };
        if disk::find(&first.what) == Some(real) {
            return Ok(first);
        }
        Err(anyhow!("{}: {whole} has partitions, and {} is not its first one", self.place, first.what))
            .cure("name the partition itself")
    }

    fn parts(units: &MountUnits) -> impl Iterator<Item = &dyn Kind> {
        let files = units.files.iter().map(|file| file as &dyn Kind);
        files.chain(units.links.iter().map(|link| link as &dyn Kind))
    }

    /// The outcome of all files and links as one.
    fn all(&self, units: &MountUnits, each: impl FnMut(&dyn Kind) -> Result<Outcome>) -> Result<Outcome> {
        let outcomes = Self::parts(units).map(each).collect::<Result<Vec<_>>>()?;
        let done = |done: Done| outcomes.iter().any(|o| o.done == done);
        let done = match () {
            () if outcomes.iter().all(|o| o.done == Done::Absent) => Done::Absent,
            () if done(Done::Absent) || done(Done::Changed) => Done::Changed,
            () => Done::Unchanged,
        };
        Ok(self.outcome(done, units.what.clone()))
    }

    fn called(&self) -> String {
        match &self.path {
            Some(path) => format!("mount {path}"),
            None => format!("swap {}", self.as_named.what),
        }
    }
}

impl Kind for Mount {
    fn name(&self) -> String {
        format!("units of {}", self.called())
    }

    fn outline(&self) -> String {
        // Without the file of a login: a redacted mount has none.
        let units = self.as_named.files.iter().filter(|f| f.path.starts_with(UNIT_DIR));
        let names = units.filter_map(|f| f.path.rsplit('/').next());
        names.collect::<Vec<_>>().join(" ")
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let units = self.units(on.root.live())?;
        self.all(units, |part| part.compare(on))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        // Only a disk that is there shows which of the units it takes: both are listed.
        let both = self.first_partition.iter().chain([&self.as_named]);
        let mut parts = both.flat_map(Self::parts);
        parts.try_for_each(|part| part.record(on, manifest))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        if on.root.live() && self.used && self.first_partition.is_some() {
            // Only a disk that is there shows whether it has partitions. One that does not come is told of when it is
            // mounted.
            let _ = disk::wait(&self.as_named.what);
        }
        let units = self.units(on.root.live())?;
        self.all(units, |part| part.apply(on))
    }
}

impl Mounted {
    fn state(&self, units: &MountUnits) -> Done {
        Done::would(!disk::in_use(self.0.path.as_deref(), &units.what), true)
    }

    /// Starts the unit; says whether it is in use then. Without its device that is an error only where the mount is needed.
    fn start(&self, units: &MountUnits) -> Result<bool> {
        let MountUnits { what, unit, .. } = units;
        let result = Systemd::knowing(unit, &[])?.start_and_wait("StartUnit", unit, RUN_LIMIT)?;
        if result == "done" {
            return Ok(true);
        }
        if self.0.optional && what.starts_with("/dev/") && disk::find(what).is_none() {
            return Ok(false);
        }
        Err(anyhow!("{}: {unit} ended as {result}", self.0.place))
            .cure(format!("look at `systemctl status '{unit}'`"))
    }
}

impl Kind for Mounted {
    fn name(&self) -> String {
        self.0.called()
    }

    fn step(&self) -> Step {
        Step::Mounts
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on_live(self, on.root, || {
            let units = self.0.units(true)?;
            Ok((self.state(units), units.what.clone()))
        })
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        // systemd makes the mount point.
        let mut path = self.0.path.iter().filter(|_| on.root.live());
        path.try_for_each(|path| manifest.path(on.root, path, || false))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on_live(self, on.root, || {
            let units = self.0.units(true)?;
            Ok(match self.state(units) {
                Done::Unchanged => (Done::Unchanged, units.what.clone()),
                _ if self.start(units)? => (Done::Changed, units.what.clone()),
                _ => (Done::LeftOut, format!("{} did not come, and the mount is nofail", units.what)),
            })
        })
    }
}
