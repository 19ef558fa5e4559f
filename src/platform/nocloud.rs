// SPDX-License-Identifier: Apache-2.0
//! NoCloud: metadata on a drive, in a directory or on a web server, as
//! [cloud-init defines it](https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).

use super::drive::Place;
use super::service::{Service, Session};
use super::{Error, Evidence, OwnedDrive, Platform, document};
use crate::decode::network::{is_config, parse_interfaces};
use crate::decode::syntax::yaml::Node;
use crate::io::{MAX_ANSWER, World};
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// NoCloud.
pub(super) const PLATFORM: Platform = Platform {
    id: "nocloud",
    name: "NoCloud (a cidata drive or a seed)",
    hint: "NoCloud: attach a drive labelled cidata, or name a seed: ds=nocloud;s=http://SERVER/PATH/",
    evidence,
    local: Some(fetch),
    network: Some(fetch_from_server),
    complete: |_, _, instance| {
        if instance.instance_id.is_empty() {
            // cloud-init's own id of a source that has none.
            "nocloud".clone_into(&mut instance.instance_id);
        }
        Ok(())
    },
    seed: Some(|world, directory| read_place(world, Place::Directory(directory), document::read_machine)),
    ..Platform::NONE
};

/// The drive, for platforms that own one of its kind.
pub(super) const DRIVE: OwnedDrive = OwnedDrive {
    label: "cidata",
    read: |world| read_place(world, Place::Drive(DRIVE.label), document::read_machine),
};

/// The same for platforms that take names which no machine can have.
pub(super) const DRIVE_OF_ANY_NAME: OwnedDrive = OwnedDrive {
    label: DRIVE.label,
    read: |world| {
        read_place(world, Place::Drive(DRIVE.label), |name, node, instance| {
            document::read_named_machine(name, node, instance, document::take_hostname)
        })
    },
};

/// Reads meta-data.
type ReadMachine = fn(name: &str, node: &Node, instance: &mut Instance) -> Result<(), Error>;

/// The words for a machine's name and for its id.
const HOSTNAME: &[&str] = &["h", "local-hostname"];
const INSTANCE_ID: &[&str] = &["i", "instance-id"];

/// The words for where the seed is.
const SEED: &[&str] = &["s", "seedfrom"];

/// A seed's files.
pub(super) const FILES: [&str; 4] = ["user-data", "meta-data", "vendor-data", "network-config"];

/// The server of a seed. Its host is in the paths.
static SERVER: Service = Service {
    host: "",
    limit: MAX_ANSWER,
    cure: "the server of NoCloud's seed does not answer: see that a route leads to it, and that the seed's URL is right",
    ..Service::LINK_LOCAL
};

/// Directories that an image may bring.
const SEEDS: &[&str] = &["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];

fn evidence(facts: &Facts) -> Option<Evidence> {
    if let Some(argument) = of_cmdline(&facts.cmdline) {
        return Some(Evidence::Argument(format!("ds={}", argument.split(';').next().unwrap_or_default())));
    }
    // Beside a file of fw_cfg, a serial number without a seed only names the machine: the data is in the file.
    if serial(facts).is_some() && (facts.fw_cfg.is_empty() || given(facts, SEED).is_some()) {
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
fn given<'a>(facts: &'a Facts, keys: &[&str]) -> Option<&'a str> {
    let words = of_cmdline(&facts.cmdline).or_else(|| serial(facts))?;
    let value = |key: &&str| words.split(';').find_map(|w| w.strip_prefix(*key)?.strip_prefix('='));
    keys.iter().find_map(value).filter(|value| !value.is_empty())
}

/// Whether there are such words.
pub(super) fn is_named(facts: &Facts) -> bool {
    of_cmdline(&facts.cmdline).is_some() || serial(facts).is_some()
}

/// The files that the image or its platform put into the file system.
pub(super) fn injected(world: &dyn World) -> Result<Option<Instance>, Error> {
    for directory in SEEDS {
        if let Some(found) = read_place(world, Place::Directory(directory), document::read_machine)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A drive wins over the directory that the command line names, and that over those that the image brings. A seed on a server is left
/// to [`fetch_from_server`].
fn fetch(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let mut places = vec![Place::Drive(DRIVE.label)];
    if let Some(seed) = given(facts, SEED).filter(|seed| !is_url(seed)) {
        places.push(directory("ds=nocloud", seed)?);
    }
    places.extend(SEEDS.iter().map(|directory| Place::Directory(directory)));
    for place in places {
        let Some(mut instance) = read_place(world, place, document::read_machine)? else { continue };
        if let Some(seed) = further(&instance).filter(|seed| !is_url(seed)) {
            let more = read_place(world, directory("meta-data: seedfrom", &seed)?, document::read_machine)?;
            complete_from(&mut instance, more);
        }
        take_given(facts, &mut instance)?;
        return Ok(Some(instance));
    }
    Ok(None)
}

/// Asks the server that a drive's meta-data names as `seedfrom`, or where there is no drive, the kernel's command line or DMI.
fn fetch_from_server(
    world: &dyn World,
    facts: &Facts,
    found: Option<Instance>,
) -> Result<Option<Instance>, Error> {
    let seed = match &found {
        Some(instance) => further(instance),
        None => given(facts, SEED).map(str::to_owned),
    };
    let Some(seed) = seed.filter(|seed| is_url(seed)) else { return Ok(found) };
    if seed.contains("__dmi.") || seed.contains("%s") {
        let what = "the words `__dmi.….__` and `%s` in the URL are not replaced here";
        return Err(Problem::error("ds=nocloud", what).cure("write the URL out").into());
    }
    let slash = if seed.ends_with('/') || seed.contains('?') { "" } else { "/" };
    let session = Session::open(&SERVER, world, world.patience())?;
    let answers = session.get_all(&FILES.map(|file| format!("{seed}{slash}{file}")))?;
    let mut files = answers.into_iter().map(|answer| answer.map(Secret::into_exposed));
    let mut next = || files.next().flatten();
    let more = read([next(), next(), next(), next()], document::read_machine)?;
    let mut instance = match (found, more) {
        (None, None) => return Ok(None),
        (found, more) => {
            let mut instance = found.unwrap_or_default();
            complete_from(&mut instance, more);
            instance
        }
    };
    take_given(facts, &mut instance)?;
    Ok(Some(instance))
}

fn is_url(seed: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| seed.starts_with(scheme))
}

/// The directory that a seed names.
fn directory<'a>(place: &str, seed: &'a str) -> Result<Place<'a>, Error> {
    let path = seed.strip_prefix("file://").unwrap_or(seed);
    if path.starts_with('/') {
        return Ok(Place::Directory(path));
    }
    let what = "its seed is neither a directory of this machine nor an http or https URL";
    Err(Problem::error(place, what).cure("name a directory or a URL, or attach a cidata drive").into())
}

/// Where meta-data says that there is more.
fn further(instance: &Instance) -> Option<String> {
    instance.metadata.get("seedfrom")?.as_str().map(str::to_owned)
}

/// Adds a further seed: its user-data counts, and of the rest what is not there yet.
fn complete_from(instance: &mut Instance, more: Option<Instance>) {
    let Some(mut more) = more else { return };
    instance.user_data = more.user_data.take().or(instance.user_data.take());
    instance.fill_from(more);
}

/// Adds name and id from the kernel's command line or DMI, where they are not there yet.
pub(super) fn take_given(facts: &Facts, instance: &mut Instance) -> Result<(), Error> {
    if let Some(name) = given(facts, HOSTNAME).filter(|_| instance.hostname.is_none()) {
        instance.hostname = Some(document::hostname("ds=nocloud: h", name)?);
    }
    if instance.instance_id.is_empty() {
        given(facts, INSTANCE_ID).unwrap_or_default().clone_into(&mut instance.instance_id);
    }
    Ok(())
}

/// What the files of a drive or a directory say.
fn read_place(
    world: &dyn World,
    place: Place<'_>,
    read_machine: ReadMachine,
) -> Result<Option<Instance>, Error> {
    let mut files = [const { None }; FILES.len()];
    for (file, name) in files.iter_mut().zip(FILES) {
        *file = place.read(world, name)?;
    }
    read(files, read_machine)
}

/// What the [`FILES`] say; `None` where there is neither user-data nor meta-data.
fn read(files: [Option<Vec<u8>>; FILES.len()], read_machine: ReadMachine) -> Result<Option<Instance>, Error> {
    let secret = |bytes: Option<Vec<u8>>| bytes.filter(|b| !b.trim_ascii().is_empty()).map(Secret::new);
    let [user_data, meta_data, vendor_data, network_config] = files;
    if user_data.is_none() && meta_data.is_none() {
        return Ok(None);
    }
    let mut instance =
        Instance { user_data: secret(user_data), vendor_data: secret(vendor_data), ..Instance::default() };
    for (name, file) in [("meta-data", &meta_data), ("network-config", &network_config)] {
        let written = secret(file.clone());
        instance.owners.extend(written.map(|text| (name.to_owned(), text)));
    }
    let node = document::mapping("meta-data", &meta_data.unwrap_or_default())?;
    read_machine("meta-data", &node, &mut instance)?;
    let file = network_config.map(|bytes| document::mapping("network-config", &bytes)).transpose()?;
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
