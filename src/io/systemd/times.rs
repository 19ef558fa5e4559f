// SPDX-License-Identifier: Apache-2.0
//! The times of a boot that systemd knows and footplate does not.

use std::path::Path;
use std::time::Duration;

use super::{INTERFACE, MANAGER, Systemd, UNIT};
use crate::model::status::{Progress, StageStatus};

/// Units of a boot beside footplate's own, and what the timeline calls them: networkd's wait until links are up, and the kubelet.
const BOOT: [(&str, &str); 2] =
    [("systemd-networkd-wait-online.service", "network-online"), ("kubelet.service", "kubelet")];

/// How long systemd is given for each answer about a boot's times.
const TIMES_TIMEOUT: Duration = Duration::from_secs(3);

impl Systemd {
    /// What systemd tells of the boot beside footplate's part. A time of 0 is one that has not come.
    async fn boot(&self) -> zbus::Result<Vec<StageStatus>> {
        let row = |name: &str, state, from: u64, to: u64| StageStatus {
            name: name.to_owned(),
            state,
            started_ms: from / 1000,
            ms: to.saturating_sub(from) / 1000,
            ..StageStatus::default()
        };
        let mut rows = Vec::new();
        // A container has its host's clock.
        if !Path::new("/run/systemd/container").exists() {
            let initrd = self.property(MANAGER.path, INTERFACE, "InitRDTimestampMonotonic").await?;
            let system = self.property(MANAGER.path, INTERFACE, "UserspaceTimestampMonotonic").await?;
            rows.push(row("kernel", Progress::Done, 0, if initrd == 0 { system } else { initrd }));
            if initrd != 0 {
                rows.push(row("initramfs", Progress::Done, initrd, system));
            }
        }
        for (unit, name) in BOOT {
            let path = self.unit(unit).await?;
            let from = self.property(&path, UNIT, "InactiveExitTimestampMonotonic").await?;
            let to: u64 = self.property(&path, UNIT, "ActiveEnterTimestampMonotonic").await?;
            if from != 0 {
                let state = if to < from { Progress::Running } else { Progress::Done };
                rows.push(row(name, state, from, to));
            }
        }
        Ok(rows)
    }
}

/// When the kernel, the initramfs, networkd's wait for links and the start of the kubelet began and ended in this boot, as far as systemd
/// tells within [`TIMES_TIMEOUT`] each; nothing where it does not answer.
pub fn boot_times() -> Vec<StageStatus> {
    let Ok(systemd) = Systemd::connect_within(TIMES_TIMEOUT) else { return Vec::new() };
    systemd.runtime.run(systemd.boot()).unwrap_or_default()
}
