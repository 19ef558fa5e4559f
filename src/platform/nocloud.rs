// SPDX-License-Identifier: Apache-2.0
//! NoCloud: metadata on a drive or in a directory, as
//! [cloud-init defines it](https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).

use anyhow::{Result, bail};

use super::{Provider, read_mapping, read_network, text_of};
use crate::error::WithCure as _;
use crate::io::{Ask, World};
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// NoCloud.
pub struct NoCloud;

/// The drive's label; cases don't matter.
const LABEL: &str = "cidata";

/// Directories that an image may bring.
const SEEDS: &[&str] = &["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];

/// The four files as they were read.
#[derive(Clone, Debug, Default)]
struct Files {
    user_data: Option<Vec<u8>>,
    meta_data: Option<Vec<u8>>,
    vendor_data: Option<Vec<u8>>,
    network_config: Option<Vec<u8>>,
}

impl Provider for NoCloud {
    fn id(&self) -> &'static str {
        "nocloud"
    }

    fn name(&self) -> &'static str {
        "NoCloud (a cidata drive or a seed directory)"
    }

    fn matches(&self, facts: &Facts) -> Option<String> {
        if let Some(argument) = seed_argument(&facts.cmdline) {
            return Some(format!("kernel argument ds={}", argument.split(';').next().unwrap_or_default()));
        }
        if facts.dmi.product_serial.contains("ds=nocloud") {
            return Some("DMI serial number names ds=nocloud".to_owned());
        }
        let label = facts.labels.iter().find(|l| l.eq_ignore_ascii_case(LABEL))?;
        Some(format!("a drive labelled {label}"))
    }

    fn needs_network(&self) -> bool {
        false
    }

    fn fetch(&self, world: &dyn World) -> Result<Option<Instance>> {
        let cmdline = Cmdline::parse(&world.text(Ask::File("/proc/cmdline"))?);
        let serial = world.text(Ask::File("/sys/class/dmi/id/product_serial")).unwrap_or_default();
        let argument = seed_argument(&cmdline)
            .or_else(|| serial.split_once("ds=").map(|(_, d)| d).filter(|d| d.starts_with("nocloud")))
            .unwrap_or_default();
        let given = |key: &str| argument.split(';').find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
        // A drive wins over the command line, the command line over what the image brings.
        let mut files = read(|file| world.ask(Ask::Drive { label: LABEL, file }))?;
        let mut directories: Vec<&str> = SEEDS.to_vec();
        if let Some(seed) = given("s").or_else(|| given("seedfrom")) {
            let path = seed.strip_prefix("file://").unwrap_or(seed);
            if !path.starts_with('/') {
                return Err(anyhow::anyhow!("the seed of ds=nocloud is no directory of this machine")).cure(
                    "a seed over the network is not supported: attach a cidata drive, or name a directory",
                );
            }
            directories.insert(0, path);
        }
        for directory in directories {
            if files.is_none() {
                files = read_directory(world, directory)?;
            }
        }
        let Some(files) = files else { return Ok(None) };
        let mut instance = parse(&files)?;
        if let Some(name) = given("h").or_else(|| given("local-hostname"))
            && instance.hostname.is_none()
        {
            instance.hostname = Some(name.to_owned());
        }
        if let Some(id) = given("i").or_else(|| given("instance-id"))
            && !instance.metadata.contains_key("instance-id")
        {
            instance.instance_id = id.to_owned();
        }
        Ok(Some(instance))
    }
}

/// What a directory of four files says: `--seed`.
///
/// # Errors
/// Neither user-data nor meta-data is there, or one is broken.
pub(crate) fn fetch_directory(world: &dyn World, directory: &str) -> Result<Instance> {
    match read_directory(world, directory)? {
        Some(files) => parse(&files),
        None => bail!("{directory}: holds neither user-data nor meta-data"),
    }
}

fn read_directory(world: &dyn World, directory: &str) -> Result<Option<Files>> {
    let directory = directory.trim_end_matches('/');
    read(|file| world.ask(Ask::File(&format!("{directory}/{file}"))))
}

fn read(ask: impl Fn(&str) -> Result<Option<Vec<u8>>>) -> Result<Option<Files>> {
    let files = Files {
        user_data: ask("user-data")?,
        meta_data: ask("meta-data")?,
        vendor_data: ask("vendor-data")?,
        network_config: ask("network-config")?,
    };
    Ok((files.user_data.is_some() || files.meta_data.is_some()).then_some(files))
}

/// The value of `ds=nocloud…` on the command line.
fn seed_argument(cmdline: &Cmdline) -> Option<&str> {
    cmdline.get("ds").filter(|v| matches!(v.split(';').next(), Some("nocloud" | "nocloud-net")))
}

fn parse(files: &Files) -> Result<Instance> {
    let secret =
        |bytes: &Option<Vec<u8>>| bytes.clone().filter(|b| !b.trim_ascii().is_empty()).map(Secret::new);
    let mut instance = Instance {
        platform: NoCloud.id(),
        // cloud-init's own fallback for a seed without one.
        instance_id: "nocloud".to_owned(),
        user_data: secret(&files.user_data),
        vendor_data: secret(&files.vendor_data),
        ..Instance::default()
    };
    let node = read_mapping("meta-data", files.meta_data.as_deref().unwrap_or_default())?;
    if let Some(id) = text_of(&node, &["instance-id", "instance_id"]) {
        instance.instance_id = id.to_owned();
    }
    if let Some(name) = text_of(&node, &["local-hostname", "local_hostname", "hostname"]) {
        crate::decode::cloud_config::check_hostname(name)
            .map_err(|what| Problem::error("meta-data: local-hostname", what))?;
        instance.hostname = Some(name.to_owned());
    }
    if let serde_json::Value::Object(map) = node.to_json() {
        instance.metadata = map;
    }
    // A file of its own, else the key that guestinfo's metadata has.
    let file =
        files.network_config.as_ref().map(|bytes| read_mapping("network-config", bytes)).transpose()?;
    if let Some(network) = file.as_ref().or_else(|| node.get("network")).filter(|n| !n.is_null()) {
        read_network(network, &mut instance);
    }
    Ok(instance)
}
