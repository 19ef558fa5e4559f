// SPDX-License-Identifier: Apache-2.0
//! The network as files: made of the metadata and of the kernel's command line, held against the links of the machine and the
//! files that other people wrote.

use anyhow::Result;

use super::context::Context;
use super::fetch::{self, Found};
use super::signature::Signatures;
use super::{bootstrap_data, changes, detect, note, online, settle};
use crate::apply::{self, Done, Outcome};
use crate::decode::network::{ask_instead, parse_kargs};
use crate::io::root::Root;
use crate::io::{Ask, MAX_ANSWER, nic, systemd};
use crate::model::instance::Instance;
use crate::model::plan::Plan;
use crate::model::problem::{Failure, In as _, Problem, Severity, Stage, any_error};
use crate::plan::network::{self, DIR, PREFIX, RUN_DIR, Rendered, Theirs, naming};
use crate::plan::{name, network_items};
use crate::platform::{self, Reach};

/// Writes the network's files and the hostname of what can be known before the network is up: local metadata and the
/// kernel's command line. With `out`, only the files, to that directory, for an initramfs.
///
/// # Errors
/// The platform can't be asked, the files can't be written, or part of the configuration is broken: the rest is in place
/// then.
pub fn set_up(context: &Context, out: Option<&str>) -> Result<(), Failure> {
    let (platform, found) = local(context)?;
    let hostname = if out.is_some() { None } else { name(context, &found)? };
    let mut instance = found.map(|found| found.instance).unwrap_or_default();
    if let (Some(_), Some(network)) = (out, &mut instance.network) {
        naming::without_names(network);
    }
    let root = &context.root;
    let mut rendered = render(context, &instance)?;
    let dir = out.unwrap_or(DIR);
    rendered.place_in(dir);
    let problems = [instance.problems.as_slice(), &rendered.problems].concat();
    for problem in problems.iter().filter(|p| p.severity == Severity::Warning) {
        log::warn!("{problem}");
    }
    for matched in &rendered.matches {
        log::info!("network: {matched}");
    }
    // Without metadata and without arguments there is no reason to remove what an earlier boot wrote.
    let known = !instance.instance_id.is_empty() || !rendered.files.is_empty();
    let present = if known { files(root, dir)? } else { Vec::new() };
    let plan = Plan { items: network_items(&rendered, &present, hostname.as_deref()), bootstrap: None };
    let outcomes = apply::apply(&plan, root, note).stage(Stage::Apply)?;
    if root.live() {
        change_names_over(context, &rendered)?;
    }
    reload(&outcomes, root)?;
    log::info!("network: platform={platform} files={} changed={}", rendered.files.len(), changes(&outcomes));
    if any_error(&problems) { Err(Failure::of(Stage::Decode, &problems)) } else { Ok(()) }
}

/// Writes the network's files of what the platform says, and makes networkd take them: before the machine waits for the addresses in
/// them, which a platform that is asked over the network told only now.
///
/// # Errors
/// The files can't be written, or networkd does not answer.
pub fn put(context: &Context, instance: &Instance) -> Result<(), Failure> {
    let (root, rendered) = (&context.root, render(context, instance)?);
    if !rendered.usable || rendered.files.is_empty() {
        return Ok(());
    }
    let plan = Plan { items: network_items(&rendered, &files(root, DIR)?, None), bootstrap: None };
    reload(&apply::apply(&plan, root, note).stage(Stage::Apply)?, root)
}

/// The name that the machine gets before anything reads it; `None` where it keeps the one that it has. The bootstrap data is
/// asked as far as it can be read without a network: it is the same name that provision gives later.
fn name(context: &Context, found: &Option<Found>) -> Result<Option<String>, Failure> {
    let root = &context.root;
    if settle::is_member(root).stage(Stage::Apply)? {
        return Ok(None);
    }
    let Some(found) = found else { return fetch::name_of_arguments(context) };
    let written = root.read(name::WRITTEN, MAX_ANSWER).stage(Stage::Apply)?.unwrap_or_default();
    let data = name::of_earlier_run(&written, &found.instance)
        .or_else(|| name::of_data(&bootstrap_data::first_glance(found), &found.instance));
    Ok(name::choose(data, &found.instance))
}

/// What a platform says without the network, and the platform's id in the log. Without such a platform the kernel's command
/// line is all there is; without either, the image's default stays, and provision will say what is missing.
fn local(context: &Context) -> Result<(&'static str, Option<Found>), Failure> {
    let asked = detect::detect(context).and_then(|(facts, detected)| {
        let (world, wanted) = (context.world(), context.source.wanted());
        Ok((platform::fetch(world, &facts, &detected, wanted, Reach::Local)?, facts))
    });
    match asked {
        Ok((Some((candidate, mut instance)), facts)) => {
            let signatures = Signatures::of(context)?;
            signatures.check_metadata(&mut instance)?;
            fetch::name_if_nameless(context, &mut instance)?;
            let mut found = Found { candidate, instance, facts, signatures };
            // Provision tells why it can't be used.
            if Signatures::check_data(&mut found).is_err() {
                found.instance.user_data = None;
            }
            Ok((found.candidate.platform.id, Some(found)))
        }
        Ok((None, _)) => Ok(("asked-over-the-network", None)),
        Err(failure) if failure.stage == Stage::Detect => {
            failure.problems.iter().for_each(|problem| log::info!("network: {problem}"));
            Ok(("none", None))
        }
        Err(failure) => Err(failure),
    }
}

/// The network as files, with the problems that were found. The kernel's command line wins over the metadata, and files that
/// footplate did not write win over both. The links are looked at where they are those that the files are for: on the machine
/// itself, or in its recorded answers.
///
/// # Errors
/// The machine can't be asked, or its files can't be read.
pub fn render(context: &Context, instance: &Instance) -> Result<Rendered, Failure> {
    let world = context.world();
    let cmdline = world.text(Ask::File("/proc/cmdline"))?;
    let ours = context.is_the_machine();
    let (arguments, problems) = if ours { parse_kargs(&cmdline) } else { Default::default() };
    let given = !arguments.interfaces.is_empty();
    let mut network = if given { Some(arguments.clone()) } else { instance.network.clone() };
    if let Some(network) = network.as_mut() {
        ask_instead(network, &arguments.dns);
    }
    let nics = if ours { online::nics_of(world).stage(Stage::Fetch)? } else { Vec::new() };
    let mut rendered = network.map(|n| network::render(&n, &nics)).unwrap_or_default();
    rendered.problems.extend(problems);
    if given && instance.network.is_some() {
        let what = "the kernel's command line sets up the network: the metadata's is left out";
        rendered.problems.push(Problem::warning("network", what));
    }
    let theirs = theirs(&context.root).stage(Stage::Apply)?;
    network::step_back(&mut rendered, &theirs);
    Ok(rendered)
}

/// The paths of networkd's files in `dir` and in those directories that the initramfs leaves behind: a file there counts where
/// `dir` has none of its name.
///
/// # Errors
/// A directory can't be read.
pub fn files(root: &Root, dir: &str) -> Result<Vec<String>, Failure> {
    let mut paths = Vec::new();
    for dir in [dir, RUN_DIR] {
        let names = root.list(dir).stage(Stage::Apply)?;
        paths.extend(names.iter().map(|name| format!("{dir}/{name}")));
    }
    paths.dedup();
    Ok(paths)
}

/// networkd's files that neither footplate nor the image brought.
fn theirs(root: &Root) -> Result<Vec<Theirs>> {
    let mut theirs = Vec::new();
    for dir in [DIR, RUN_DIR] {
        for name in root.list(dir)? {
            if !name.ends_with(".network") || name.starts_with(PREFIX) {
                continue;
            }
            let path = format!("{dir}/{name}");
            // What can't be read configures nothing: a link to /dev/null, for one, by which a default is masked.
            let Ok(Some(text)) = root.read(&path, MAX_ANSWER) else { continue };
            theirs.push(Theirs { path, text: String::from_utf8_lossy(&text).into_owned() });
        }
    }
    Ok(theirs)
}

/// Makes a networkd that runs already read the files that changed, and set up anew the links that they are for.
///
/// # Errors
/// networkd does not answer.
pub fn reload(outcomes: &[Outcome], root: &Root) -> Result<(), Failure> {
    let changed = |o: &&Outcome| matches!(o.done, Done::Changed | Done::Absent) && o.what.contains(DIR);
    if !root.live() || outcomes.iter().filter(changed).count() == 0 {
        return Ok(());
    }
    if systemd::reload_network().stage(Stage::Apply)? {
        log::info!(
            "network: networkd has taken the changes; names and devices that are there stay as they are until the next boot"
        );
    }
    Ok(())
}

/// Links that should have the name of their `set-name` by now.
pub fn misnamed(rendered: &Rendered) -> Vec<Problem> {
    let told = naming::misnamed(rendered).into_iter().map(|r| {
        let what = format!("the NIC that set-name calls {} is still called {}", r.to, r.from);
        Problem::warning("network", what)
            .cure("its configuration is in force all the same; udev renames it as the next boot begins; where this boot began with the \
                   same metadata, `journalctl -u systemd-udevd` says why it did not")
    });
    told.collect()
}

/// Swaps the names that udev can't swap. One that stays is not a reason to leave the network without configuration: files
/// match by address.
fn change_names_over(context: &Context, rendered: &Rendered) -> Result<(), Failure> {
    let nics = online::nics_of(context.world()).stage(Stage::Fetch)?;
    let renames = naming::change_over(naming::misnamed(rendered), &nics);
    if renames.is_empty() {
        return Ok(());
    }
    let names: Vec<(&str, &str)> = renames.iter().map(|r| (r.from.as_str(), r.to.as_str())).collect();
    let told: Vec<String> = renames.iter().map(|r| format!("{} is now {}", r.from, r.to)).collect();
    match nic::change_over(&names) {
        Ok(()) => log::info!("network: {}", told.join(", ")),
        Err(error) => log::warn!("network: the names of set-name are taken, and stay so: {error:#}"),
    }
    Ok(())
}
