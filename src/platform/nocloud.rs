// SPDX-License-Identifier: Apache-2.0
//! NoCloud: metadata on a drive or in a directory, as
//! [cloud-init defines it](https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).

use anyhow::anyhow;

use super::drive::Place;
use super::{Error, Evidence, OwnedDrive, Platform, document};
use crate::decode::network::{is_config, parse_interfaces};
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::Instance;
use crate::model::problem::{Problem, WithCure as _};
use crate::model::secret::Secret;

/// NoCloud.
pub(super) const PLATFORM: Platform = Platform {
    id: "nocloud",
    name: "NoCloud (a cidata drive or a seed directory)",
    hint: "NoCloud: attach a drive labelled cidata",
    evidence,
    local: Some(fetch),
    complete: |_, _, instance| {
        if instance.instance_id.is_empty() {
            // cloud-init's own id of a source that has none.
            "nocloud".clone_into(&mut instance.instance_id);
        }
        Ok(())
    },
    seed: Some(|world, directory| read(world, Place::Directory(directory), document::read_machine)),
    ..Platform::NONE
};

/// The drive, for platforms that own one of its kind.
pub(super) const DRIVE: OwnedDrive = OwnedDrive {
    label: "cidata",
    read: |world| read(world, Place::Drive(DRIVE.label), document::read_machine),
};

/// The same for platforms that take names which no machine can have.
pub(super) const DRIVE_OF_ANY_NAME: OwnedDrive = OwnedDrive {
    label: DRIVE.label,
    read: |world| {
        read(world, Place::Drive(DRIVE.label), |name, node, instance| {
            document::read_named_machine(name, node, instance, document::take_hostname)
        })
    },
};

/// Reads meta-data.
type ReadMachine = fn(name: &str, node: &Node, instance: &mut Instance) -> Result<(), Error>;

/// The words for a machine's name and for its id.
pub(super) const HOSTNAME: &[&str] = &["h", "local-hostname"];
pub(super) const INSTANCE_ID: &[&str] = &["i", "instance-id"];

/// Directories that an image may bring.
const SEEDS: &[&str] = &["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];

fn evidence(facts: &Facts) -> Option<Evidence> {
    if let Some(argument) = of_cmdline(&facts.cmdline) {
        return Some(Evidence::Argument(format!("ds={}", argument.split(';').next().unwrap_or_default())));
    }
    if serial(facts).is_some() {
        return Some(Evidence::Dmi("serial number names ds=nocloud".to_owned()));
    }
    Some(Evidence::Drive(facts.drive(DRIVE.label)?.label.clone()))
}

/// The value of `ds=nocloud…` on the kernel's command line.
fn of_cmdline(cmdline: &Cmdline) -> Option<&str> {
    cmdline.get("ds").filter(|v| matches!(v.split(';').next(), Some("nocloud" | "nocloud-net")))
}

/// The same in DMI's serial number.
fn serial(facts: &Facts) -> Option<&str> {
    facts.dmi.product_serial.split_once("ds=").map(|(_, d)| d.trim()).filter(|d| d.starts_with("nocloud"))
}

/// What is given in words of NoCloud's own, `ds=nocloud;h=NAME;i=ID`: in a kernel argument, else in DMI's serial number.
pub(super) fn given<'a>(facts: &'a Facts, keys: &[&str]) -> Option<&'a str> {
    let words = of_cmdline(&facts.cmdline).or_else(|| serial(facts))?;
    let value = |key: &&str| words.split(';').find_map(|w| w.strip_prefix(*key)?.strip_prefix('='));
    keys.iter().find_map(value).filter(|value| !value.is_empty())
}

/// Whether there are such words.
pub(super) fn is_named(facts: &Facts) -> bool {
    of_cmdline(&facts.cmdline).is_some() || serial(facts).is_some()
}

/// A drive wins over a directory that the command line names, and that over those that the image brings.
fn fetch(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let mut places = vec![Place::Drive(DRIVE.label)];
    if let Some(seed) = given(facts, &["s", "seedfrom"]) {
        let path = seed.strip_prefix("file://").unwrap_or(seed);
        if !path.starts_with('/') {
            let what = anyhow!("ds=nocloud: its seed is not a directory of this machine");
            return Ok(Err(what)
                .cure("attach a cidata drive, or name a directory: a seed over the network is not read")?);
        }
        places.push(Place::Directory(path));
    }
    places.extend(SEEDS.iter().map(|directory| Place::Directory(directory)));
    for place in places {
        let Some(mut instance) = read(world, place, document::read_machine)? else { continue };
        let name = given(facts, HOSTNAME);
        instance.hostname = instance.hostname.or(name.map(str::to_owned));
        if let Some(id) = given(facts, INSTANCE_ID)
            && instance.instance_id.is_empty()
        {
            id.clone_into(&mut instance.instance_id);
        }
        return Ok(Some(instance));
    }
    Ok(None)
}

/// What the four files say; `None` where there is neither user-data nor meta-data.
fn read(world: &dyn World, place: Place<'_>, read_machine: ReadMachine) -> Result<Option<Instance>, Error> {
    let secret = |bytes: Option<Vec<u8>>| bytes.filter(|b| !b.trim_ascii().is_empty()).map(Secret::new);
    let (user_data, meta_data) = (place.read(world, "user-data")?, place.read(world, "meta-data")?);
    if user_data.is_none() && meta_data.is_none() {
        return Ok(None);
    }
    let mut instance = Instance {
        user_data: secret(user_data),
        vendor_data: secret(place.read(world, "vendor-data")?),
        ..Instance::default()
    };
    let node = document::mapping("meta-data", &meta_data.unwrap_or_default())?;
    read_machine("meta-data", &node, &mut instance)?;
    let file = place.read(world, "network-config")?;
    let file = file.map(|bytes| document::mapping("network-config", &bytes)).transpose()?;
    if let Some(network) = file.filter(|n| !n.is_null()) {
        document::read_network(&network, &mut instance);
    } else if let Some(network) = node.get("network").filter(|n| !n.is_null()) {
        // NoCloud has no such key: it is a network config in the shape that guestinfo's metadata has, or the author's own.
        if is_config(network) {
            document::read_network(network, &mut instance);
        } else {
            let what = "not a network config, for it has no `version`: it is left to templates";
            instance.problems.push(Problem::note("meta-data: network", what).at(network.pos));
        }
    }
    // cloud-init's older key.
    if let Some(interfaces) = node.get("network-interfaces").filter(|_| instance.network.is_none()) {
        match interfaces.text() {
            Some(text) => document::take_network(parse_interfaces(text), &mut instance),
            None => {
                let what = format!("must be a text, this is {}", interfaces.kind_name());
                let problem = Problem::error("meta-data: network-interfaces", what).at(interfaces.pos);
                instance.problems.push(problem);
            }
        }
    }
    Ok(Some(instance))
}
