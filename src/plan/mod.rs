// SPDX-License-Identifier: Apache-2.0
//! Plans: model in, model out. Pure: what is to be on the machine, before anything touches it.

mod disks;
pub mod kubeadm;
pub mod metadata;
mod mounts;
pub mod name;
pub mod network;
pub mod noted;
mod packages;
mod system;
mod trust;
pub mod units;
pub mod users;
mod wrapper;

pub use system::FINAL_MESSAGE;

use std::collections::HashMap;

use crate::model::config::{NodeConfig, Ntp};
use crate::model::instance::Instance;
use crate::model::paths::UNIT_DIR;
use crate::model::plan::{Absent, Hostname, Item, Plan};
use crate::model::storage::{Directory, File};

/// Where footplate's binary is baked. A unit needs a fixed path, and `/opt` is the place on Flatcar that can be written.
pub const BINARY: &str = "/opt/bin/footplate";

/// State that lasts, `0700`.
pub const STATE_DIR: &str = "/var/lib/footplate";

/// State of this boot, `0700`.
pub const RUN_DIR: &str = "/run/footplate";

/// The first line of what is made of the bootstrap data's settings.
const WRITTEN: &str = "# Written by footplate from the bootstrap data.\n";

/// The page that a person is led to who asks systemd for the state of a unit of ours.
const DOCUMENTATION: &str = "Documentation=file:/opt/share/doc/footplate/on-call.md\n";

/// The node as its bootstrap data wants it. The order is on purpose not cloud-init's: users come before the files that
/// they own, and the bootstrap's script comes last, since its presence is what lets the bootstrap start.
pub fn node(config: &NodeConfig, instance: &Instance) -> Plan {
    let mut plan = Plan::default();
    plan.items.extend(name::items(config, instance));
    kubeadm::boothooks(config, instance, &mut plan);
    kubeadm::bootcmd(config, instance, &mut plan);
    // What is written comes after what it is written to.
    disks::items(config, instance, &mut plan);
    plan.items.extend(config.groups.iter().cloned().map(Item::Group));
    users::users(&config.users, &mut plan);
    plan.items.extend(config.directories.iter().cloned().map(Item::Directory));
    files(config, instance, &mut plan);
    links(config, &mut plan);
    units::units(&config.units, &mut plan);
    plan.items.extend(config.ntp.iter().filter_map(ntp));
    system::items(config, &mut plan);
    units::bootstrap(&config.units, &mut plan);
    kubeadm::boot_scripts(config, instance, &mut plan);
    kubeadm::bootstrap(config, instance, &mut plan);
    plan
}

/// What runs before the rest of the data is read: its boothooks, and nothing else of it.
pub fn boothooks(config: &NodeConfig, instance: &Instance) -> Plan {
    let mut plan = Plan::default();
    kubeadm::boothooks(config, instance, &mut plan);
    plan
}

/// Links, hard ones last: their files may be links' too.
fn links(config: &NodeConfig, plan: &mut Plan) {
    let (hard, symbolic): (Vec<_>, Vec<_>) = config.links.iter().partition(|l| l.hard);
    plan.items.extend(symbolic.into_iter().chain(hard).cloned().map(Item::Link));
}

/// Files, each path once: an entry that appends to one that comes before it makes one file of both, so that a second
/// run finds what it looks for.
fn files(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    let mut files: Vec<Option<File>> = Vec::new();
    let mut places = HashMap::new();
    for mut file in system::hosts(config, instance).iter().chain(&config.files).cloned() {
        // As writing one after the other would have it: what is written last stands last, since a path may be another
        // one's link.
        let before = places.insert(file.path.clone(), files.len());
        if let Some(first) = before.and_then(|at: usize| files.get_mut(at)?.take()) {
            // The earlier entry's owner stays where the later entry names none.
            file.owner.user = file.owner.user.or(first.owner.user);
            file.owner.group = file.owner.group.or(first.owner.group);
            if file.append {
                let mut content = first.content.into_exposed();
                content.extend_from_slice(file.content.expose());
                file =
                    File { content: content.into(), append: first.append, existing: first.existing, ..file };
            }
        }
        files.push(Some(file));
    }
    plan.items.extend(files.into_iter().flatten().map(Item::File));
}

/// Time servers for systemd-timesyncd. Without any, the image's own are kept.
fn ntp(ntp: &Ntp) -> Option<Item> {
    let text =
        format!("# Written by footplate from the bootstrap data.\n[Time]\nNTP={}\n", ntp.servers.join(" "));
    let mut file = File::ours("/etc/systemd/timesyncd.conf.d/50-footplate.conf", text);
    file.place = "ntp".to_owned();
    file.restart = Some("systemd-timesyncd.service");
    (!ntp.servers.is_empty()).then_some(Item::File(file))
}

/// The network as networkd's files, the machine's name, and nothing left of what an earlier config wrote: `present` are
/// the names in networkd's directory `dir`.
pub fn network_items(rendered: &network::Rendered, present: &[String], hostname: Option<&str>) -> Vec<Item> {
    let mut items: Vec<Item> =
        hostname.map(|h| Item::Hostname(Hostname { name: h.to_owned() })).into_iter().collect();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    for path in present.iter().filter(|p| name(p).starts_with(network::PREFIX)) {
        if rendered.files.iter().all(|f| f.path != *path) {
            items.push(Item::Absent(Absent { path: path.clone() }));
        }
    }
    for file in &rendered.files {
        let mut item = File::ours(&file.path, file.contents.as_bytes()).mode(file.mode);
        item.place = "network".to_owned();
        item.owner.group = Some(file.group.unwrap_or("root").to_owned());
        items.push(Item::File(item));
    }
    if rendered.nothing_required {
        items.push(Item::Directory(Directory::ours(RUN_DIR, 0o700)));
        items.push(Item::File(File::ours(network::NOTHING_REQUIRED, b"")));
    }
    items
}
