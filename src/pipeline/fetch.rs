// SPDX-License-Identifier: Apache-2.0
//! What the platform says of this machine.

use anyhow::Context as _;

use super::context::Context;
use super::recorder::Recorder;
use super::signature::Signatures;
use super::{detect, network, online, state};
use crate::decode::cloud_config::check_hostname;
use crate::decode::network::parse_kargs;
use crate::io::Ask;
use crate::io::root::Root;
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::{Failure, In as _, Problem, Stage};
use crate::model::secret::Secret;
use crate::platform::{self, Candidate, Reach};

/// What the platform says of this machine, and which platform.
pub struct Found {
    /// The platform, and the evidence for it.
    pub candidate: Candidate,
    /// What it says.
    pub instance: Instance,
    /// The machine's own account of itself.
    pub facts: Facts,
    /// What the image asks of the data.
    pub signatures: Signatures,
}

/// Detects the platform and asks it; with `wait`, the machine's network is set up, and is as the metadata wants it on return.
///
/// # Errors
/// No platform is known, none has anything for this machine, or what it says is broken.
pub fn find(recorder: &mut Recorder<'_>, context: &Context, wait: bool) -> Result<Found, Failure> {
    let signatures = Signatures::of(context)?;
    let (facts, detected) = recorder.stage(
        Stage::Detect,
        |recorder| {
            let status = &mut recorder.status;
            let (facts, detected) = detect::detect(context)?;
            // The likeliest one: it is told, should none of them have anything for this machine.
            if let Some(Candidate { platform, because }) = detected.candidates.first() {
                status.platform = Some(platform.id.to_owned());
                status.because = Some(because.to_string());
            }
            Ok((facts, detected))
        },
        |(_, detected)| {
            let ids = detected.candidates.iter().map(|c| format!("platform={}", c.platform.id));
            ids.collect::<Vec<_>>().join(" ")
        },
    )?;
    let (candidate, instance) = recorder.stage(
        Stage::Fetch,
        |recorder| {
            let (world, wanted) = (context.world(), context.source.wanted());
            let service = detected.candidates.first().filter(|c| wait && c.platform.network.is_some());
            if let Some(Candidate { platform, .. }) = service {
                recorder.wait_for(format!("the metadata of {}", platform.name), world.patience())?;
            }
            let asked = platform::fetch(world, &facts, &detected, wanted, Reach::Network)?;
            let (candidate, mut instance) = asked.context("no platform was asked").stage(Stage::Fetch)?;
            // Before anything is made of it.
            signatures.check_metadata(&mut instance)?;
            if wait {
                network::put(context, &instance)?;
                let rendered = || network::render(context, &instance);
                online::wait(
                    world,
                    instance.wait_for,
                    context.policy.network_wait,
                    rendered,
                    |what, left| recorder.wait_for(what, left),
                )?;
                // The addresses are metadata too.
                platform::complete(world, &facts, candidate.platform, &mut instance)?;
            }
            name_if_nameless(context, &mut instance)?;
            let status = &mut recorder.status;
            status.platform = Some(candidate.platform.id.to_owned());
            status.because = Some(candidate.because.to_string());
            status.instance_id = Some(instance.instance_id.clone());
            status.hostname = instance.hostname.clone();
            Ok((candidate, instance))
        },
        |(candidate, instance)| summary(candidate, instance),
    )?;
    Ok(Found { candidate, instance, facts, signatures })
}

/// Keeps user-data that the platform gives once, and takes what was kept where it is gone.
///
/// # Errors
/// It is neither here nor kept, or the disk refuses.
pub fn keep_data(instance: &mut Instance, root: &Root) -> Result<(), Failure> {
    match &instance.user_data {
        Some(data) if instance.user_data_once => {
            state::write_bootstrap(root, &instance.instance_id, data).stage(Stage::Apply)
        }
        _ => {
            take_kept_data(instance, root)?;
            if !instance.user_data_once || instance.user_data.is_some() {
                return Ok(());
            }
            let what = "the platform says that there is user-data for this machine, and it is not found";
            let cure = "see that the drive that brings it is attached, and that the kernel can mount its file system (UDF)";
            Err(Failure::new(Stage::Fetch, Problem::error("", what).cure(cure)))
        }
    }
}

/// Takes user-data that was kept, where the platform gave it once and it is gone.
///
/// # Errors
/// The disk refuses.
pub fn take_kept_data(instance: &mut Instance, root: &Root) -> Result<(), Failure> {
    if instance.user_data_once && instance.user_data.is_none() {
        instance.user_data = state::read_bootstrap(root, &instance.instance_id).stage(Stage::Fetch)?;
    }
    Ok(())
}

/// The name that the kernel's `ip=` gives to this machine.
///
/// # Errors
/// The machine can't be asked.
pub fn name_of_arguments(context: &Context) -> Result<Option<String>, Failure> {
    if !context.is_the_machine() {
        return Ok(None);
    }
    let cmdline = context.world().text(Ask::File("/proc/cmdline"))?;
    Ok(parse_kargs(&cmdline).0.hostname.filter(|name| check_hostname(name).is_ok()))
}

/// Gives an instance that has no name the one of the kernel's `ip=`.
///
/// # Errors
/// The machine can't be asked.
pub fn name_if_nameless(context: &Context, instance: &mut Instance) -> Result<(), Failure> {
    if instance.hostname.is_none() {
        instance.hostname = name_of_arguments(context)?;
    }
    Ok(())
}

fn summary(candidate: &Candidate, instance: &Instance) -> String {
    let bytes = |s: &Option<Secret>| s.as_ref().map_or(0, Secret::len);
    format!(
        "platform={} instance-id={} hostname={} user-data={} network={}",
        candidate.platform.id,
        instance.instance_id,
        instance.hostname.as_deref().unwrap_or("-"),
        bytes(&instance.user_data),
        if instance.network.is_some() { "yes" } else { "no" },
    )
}
