// SPDX-License-Identifier: Apache-2.0
//! A bootstrap that failed, begun anew by a person: where kubeadm wrote nothing, or `kubeadm reset` undid what it wrote.

use anyhow::{Result, anyhow};

use super::{preflight, settle, state};
use crate::io::process;
use crate::io::root::Root;
use crate::io::systemd::Systemd;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::model::status::{Progress, Status};

/// footplate's own unit.
const UNIT: &str = "footplate.service";

/// What RKE2 and k3s write first: like kubeadm's, a second begin fails at them.
const OF_OTHERS: &[(&str, &str)] = &[
    ("/var/lib/rancher/rke2", "rke2-uninstall.sh"),
    ("/var/lib/rancher/k3s/server", "k3s-uninstall.sh"),
    ("/var/lib/rancher/k3s/agent", "k3s-agent-uninstall.sh"),
];

/// The status of a bootstrap that failed and may begin anew.
///
/// # Errors
/// It did not fail, or to begin it anew is not safe: why, and what to do.
pub fn failed(root: &Root) -> Result<Status, Failure> {
    if !process::is_root() {
        return Err(anyhow!("a retry starts units")).cure("run it again with `sudo`").stage(Stage::Usage);
    }
    let status = state::read_status(root).stage(Stage::Report)?;
    let Some(status) = status else {
        return Err(anyhow!("footplate has not run on this machine in this boot"))
            .cure(format!("start it: `systemctl start {UNIT}`"))
            .stage(Stage::Start);
    };
    match status.state {
        Progress::Failed => {}
        Progress::Running | Progress::Waiting => {
            return Err(anyhow!("the bootstrap has not ended"))
                .cure("wait for its end: `footplate status --wait`")
                .stage(Stage::Start);
        }
        Progress::Done | Progress::NothingToDo => {
            return Err(anyhow!("nothing failed on this machine: it is {}", status.state.name()))
                .cure("to begin anew as a new machine: `footplate clean`, then reboot")
                .stage(Stage::Start);
        }
    }
    safe(root).stage(Stage::Start)?;
    Ok(status)
}

/// Refuses a member of a cluster.
///
/// # Errors
/// It is one, or the disk refuses.
pub fn refuse_member(root: &Root) -> Result<()> {
    match settle::is_member(root)? {
        true => Err(anyhow!("this machine is a member of a cluster: it has /etc/kubernetes/kubelet.conf")),
        false => Ok(()),
    }
}

fn safe(root: &Root) -> Result<()> {
    let reset =
        "run `kubeadm reset` and retry, if no other node joined this one's cluster; else delete the Machine";
    refuse_member(root).cure("delete the Machine: Cluster API makes a new one")?;
    if let Some(path) = preflight::written(root)? {
        return Err(anyhow!("{path}: kubeadm wrote it, and a second run of kubeadm fails at it")).cure(reset);
    }
    for (path, undo) in OF_OTHERS {
        if root.stands(path)? {
            return Err(anyhow!("{path}: the bootstrap wrote it")).cure(format!("run `{undo}` and retry"));
        }
    }
    Ok(())
}

/// Forgets the failure and begins anew.
///
/// # Errors
/// The disk or systemd refuses.
pub fn begin(root: &Root, failed: &Status) -> Result<(), Failure> {
    let systemd = Systemd::connect().stage(Stage::Start)?;
    if let Some(instance_id) = &failed.instance_id {
        state::remove_stamp(root, instance_id).stage(Stage::Apply)?;
    }
    // What waits for the end must not see that of the run before.
    state::write_status(root, &Status::default()).stage(Stage::Report)?;
    systemd.start("RestartUnit", UNIT).stage(Stage::Start)?;
    Ok(())
}
