// SPDX-License-Identifier: Apache-2.0
//! Ignition beside cloud-config in one document. Each part says its own things of the node; what two parts say of one
//! thing is an error that names both, since neither format knows which of them should win.

use crate::decode::document::{Document, Fetch, Kind};
use crate::decode::ignition;
use crate::model::config::NodeConfig;
use crate::model::problem::Problem;

/// Where units are, as paths.
const UNIT_DIR: &str = "/etc/systemd/system";

/// The unit of the bootstrap, which commands of cloud-config are too.
const KUBEADM: &str = "kubeadm.service";

/// Adds what the Ignition configs among the documents say.
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
                let what = format!("{thing}: {other} says something of it too");
                problems.push(Problem::error(place, what).cure("say it in one part"));
            }
        }
        things.extend(added);
        take(config, read.config);
    }
}

/// What a config says something of, in words, and where.
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

fn take(config: &mut NodeConfig, added: NodeConfig) {
    config.files.extend(added.files);
    config.users.extend(added.users);
    config.directories.extend(added.directories);
    config.links.extend(added.links);
    config.groups.extend(added.groups);
    config.units.extend(added.units);
    config.disks.extend(added.disks);
    config.filesystems.extend(added.filesystems);
    config.mounts.extend(added.mounts);
}
