// SPDX-License-Identifier: Apache-2.0
//! Nutanix AHV: a config drive with user-data and a name
//! ([Cluster API's provider](https://github.com/nutanix-cloud-native/cluster-api-provider-nutanix) says what is on it).

use super::{Error, Evidence, Platform, config_drive};
use crate::decode::document::{Kind, envelope, sniff};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::{Pos, Problem};

/// Nutanix AHV.
pub(super) const PLATFORM: Platform = Platform {
    id: "nutanix",
    name: "Nutanix AHV",
    names: &["meta_data.uuid"],
    hint: "Nutanix: give the machine user-data by guest customization, which attaches a drive labelled config-2",
    evidence: |facts| (facts.dmi.sys_vendor == "Nutanix").then(|| Evidence::of_dmi(&facts.dmi)),
    local: Some(read),
    ..Platform::NONE
};

/// The UUID of the metadata is made up for each set of user-data; the cloud controller knows the machine by its own.
fn read(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let Some(mut instance) = config_drive::drive(world)? else { return Ok(None) };
    let uuid = facts.dmi.product_uuid.trim().to_lowercase();
    if !uuid.is_empty() {
        instance.provider_id = Some(format!("nutanix://{uuid}"));
        if instance.instance_id.is_empty() {
            instance.instance_id = uuid;
        }
    }
    if let Some(pos) = placeholder(&instance) {
        let what = "a placeholder of a template, in data that does not begin with `## template: jinja`: it stays as it is";
        let cure = "Cluster API's provider for Nutanix takes that line away, and replaces `{{ ds.meta_data.hostname }}` alone: use no other";
        instance.problems.push(Problem::warning("user-data", what).at(pos).cure(cure));
    }
    Ok(Some(instance))
}

/// The first placeholder of metadata in a cloud-config that is not a template any more.
fn placeholder(instance: &Instance) -> Option<Pos> {
    let data = envelope::open(instance.user_data.as_ref()?.expose()).ok()?;
    if sniff(&data) != Some(Kind::CloudConfig) {
        return None;
    }
    let text = String::from_utf8_lossy(&data);
    text.lines().enumerate().find_map(|(n, line)| {
        let is_name = |rest: &str| ["ds.", "v1."].iter().any(|name| rest.trim_start().starts_with(name));
        let (at, _) = line.match_indices("{{").find(|(at, _)| is_name(&line[at + 2..]))?;
        Some(Pos { line: n + 1, column: line[..at].chars().count() + 1 })
    })
}
