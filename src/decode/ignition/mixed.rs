// SPDX-License-Identifier: Apache-2.0
//! Ignition beside cloud-config in one document. If two parts describe the same thing, that is an error which names both:
//! neither format says which of them would win.

use crate::decode::document::{Document, Fetch, Kind};
use crate::decode::ignition;
use crate::model::config::NodeConfig;
use crate::model::paths::KUBEADM_UNIT as KUBEADM;
use crate::model::paths::UNIT_DIR;
use crate::model::problem::Problem;

/// Adds the Ignition configs among the documents to `config`.
pub(in crate::decode) fn add(
    documents: &[Document],
    config: &mut NodeConfig,
    problems: &mut Vec<Problem>,
    fetch: &mut Fetch<'_>,
) {
    let clouds: Vec<&Document> = documents.iter().filter(|d| d.kind == Kind::CloudConfig).collect();
    let cloud = match clouds.as_slice() {
        [one] => one.label.clone(),
        _ => "the cloud-config parts".to_owned(),
    };
    let mut things = things(config, &cloud);
    for document in documents.iter().filter(|d| d.kind == Kind::Ignition) {
        let mut read = ignition::decode(&document.text, fetch);
        problems.extend(read.problems.drain(..).map(|problem| document.locate(problem)));
        let added = self::things(&read.config, &document.label);
        for (thing, place) in &added {
            if let Some((_, other)) = things.iter().find(|(have, _)| have == thing) {
                let what = format!("{thing}: {other} describes it too");
                problems.push(Problem::error(place, what).cure("describe it in one part only"));
            }
        }
        things.extend(added);
        take(config, read.config);
    }
}

/// What a config describes: the thing in words, and the place that describes it.
fn things(config: &NodeConfig, label: &str) -> Vec<(String, String)> {
    let mut things = Vec::new();
    let mut add = |thing: String, place: &str| {
        let place = [label, place].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ");
        things.push((thing, place));
    };
    let files = config.files.iter().map(|f| (&f.path, &f.place));
    let directories = config.directories.iter().map(|d| (&d.path, &d.place));
    let links = config.links.iter().map(|l| (&l.path, &l.place));
    for (path, place) in files.chain(directories).chain(links) {
        add(path.clone(), place);
    }
    for unit in &config.units {
        add(format!("{UNIT_DIR}/{}", unit.name), &unit.place);
        for (name, _) in &unit.dropins {
            add(format!("{UNIT_DIR}/{}.d/{name}", unit.name), &unit.place);
        }
    }
    for user in &config.users {
        add(format!("the user {}", user.name), &user.place);
    }
    for group in &config.groups {
        add(format!("the group {}", group.name), &group.place);
    }
    for disk in &config.disks {
        add(format!("the table of {}", disk.device), &disk.place);
    }
    for filesystem in &config.filesystems {
        add(format!("the filesystem of {}", filesystem.device), &filesystem.place);
    }
    for mount in &config.mounts {
        add(format!("the mount {}", mount.path.as_ref().unwrap_or(&mount.what)), &mount.place);
    }
    if !config.runcmd.is_empty() || !config.scripts.is_empty() {
        add(format!("{UNIT_DIR}/{KUBEADM}"), "runcmd");
    }
    things
}

/// Adds one config to another. The struct is taken apart by name, so that a new field has to be thought of here.
fn take(config: &mut NodeConfig, added: NodeConfig) {
    let NodeConfig {
        hostname,
        files,
        users,
        boothooks,
        included_hooks,
        bootcmd,
        boot_scripts,
        scripts,
        runcmd,
        ntp,
        // Ignition has no keys for these.
        system: _,
        disks,
        filesystems,
        mounts,
        directories,
        links,
        groups,
        units,
    } = added;
    config.hostname = config.hostname.take().or(hostname);
    config.ntp = config.ntp.take().or(ntp);
    config.files.extend(files);
    config.users.extend(users);
    config.boothooks.extend(boothooks);
    config.included_hooks.extend(included_hooks);
    config.bootcmd.extend(bootcmd);
    config.boot_scripts.extend(boot_scripts);
    config.scripts.extend(scripts);
    config.runcmd.extend(runcmd);
    config.disks.extend(disks);
    config.filesystems.extend(filesystems);
    config.mounts.extend(mounts);
    config.directories.extend(directories);
    config.links.extend(links);
    config.groups.extend(groups);
    config.units.extend(units);
}
