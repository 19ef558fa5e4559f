// SPDX-License-Identifier: Apache-2.0
//! Who can tell what this machine is: one file a platform, the same four parts in the same order (how it is known, what
//! it needs, how it is asked, what it is told), and one table.
//!
//! A platform is never guessed by asking an address who it is: whoever answers there would own the node
//! ([CVE-2024-6174](https://www.cve.org/CVERecord?id=CVE-2024-6174)).

pub(crate) mod aws;
mod nocloud;
mod vmware;

pub(crate) use nocloud::fetch_directory;

use anyhow::{Result, anyhow};

use crate::decode::network;
use crate::decode::syntax::yaml::Node;
use crate::error::WithCure as _;
use crate::io::{Ask, World};
use crate::model::facts::{Cmdline, Dmi, Facts, Os};
use crate::model::instance::Instance;
use crate::model::problem::{Problem, any_error};

/// A platform.
pub trait Provider: Sync {
    /// Its id, as Ignition names it.
    fn id(&self) -> &'static str;

    /// Its name in words.
    fn name(&self) -> &'static str;

    /// Why this machine is on that platform, if it is.
    fn matches(&self, facts: &Facts) -> Option<String>;

    /// Whether it can be asked only over the network.
    fn needs_network(&self) -> bool;

    /// What it says of this machine; `None` where it has nothing for it.
    ///
    /// # Errors
    /// It can't be asked, or what it says is broken: then a [`Problem`] is at the error's root.
    fn fetch(&self, world: &dyn World) -> Result<Option<Instance>>;

    /// Tells it how the bootstrap went, as far as it has ears.
    ///
    /// # Errors
    /// It can't be told.
    fn report(&self, _world: &dyn World, _report: &Report<'_>) -> Result<()> {
        Ok(())
    }
}

/// What a platform is told.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// `running`, `done` or `failed`.
    pub state: &'a str,
    /// One line on why it failed; names and paths, no value.
    pub error: Option<&'a str>,
}

/// All platforms, by their ids. Where several match, an earlier kind of evidence wins over a later one, see [`detect`].
pub const TABLE: &[&dyn Provider] = &[&aws::Aws, &nocloud::NoCloud, &vmware::Vmware];

/// The platform of that id.
pub fn by_id(id: &str) -> Option<&'static dyn Provider> {
    TABLE.iter().copied().find(|p| p.id() == id)
}

/// The kernel arguments that name a platform, the first that is given decides: Flatcar's, its older one, Ignition's.
const ARGUMENTS: &[&str] = &["flatcar.oem.id", "coreos.oem.id", "ignition.platform.id"];

/// Flatcar's names of platforms that Ignition names otherwise.
const ALIASES: &[(&str, &str)] = &[("ec2", "aws"), ("gce", "gcp"), ("pxe", "metal")];

/// A platform and why it was chosen.
#[derive(Clone)]
pub struct Candidate {
    /// The platform.
    pub provider: &'static dyn Provider,
    /// The evidence, in words.
    pub because: String,
}

/// The platforms that this machine may be on, the likeliest first: the one asked for alone; else the one that the
/// kernel's command line names; then those that the machine's own account matches, drives last, since a drive can be
/// attached to a machine on any platform.
///
/// # Errors
/// The one asked for is not known, or nothing matches.
pub fn detect(facts: &Facts, wanted: Option<&str>) -> Result<Vec<Candidate>> {
    if let Some(id) = wanted {
        let because = format!("--platform {id}");
        return match by_id(id) {
            Some(provider) => Ok(vec![Candidate { provider, because }]),
            None => {
                Err(anyhow!("{id:?} is no platform that footplate knows")).cure(format!("one of {}", ids()))
            }
        };
    }
    let named = ARGUMENTS.iter().find_map(|a| Some((*a, facts.cmdline.get(a)?)));
    let mut candidates: Vec<Candidate> = Vec::new();
    if let Some((argument, name)) = named {
        let id = ALIASES.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| *to);
        let because = format!("kernel argument {argument}={name}");
        candidates.extend(by_id(id).map(|provider| Candidate { provider, because }));
    }
    let mut matching: Vec<Candidate> =
        TABLE.iter().filter_map(|p| Some(Candidate { provider: *p, because: p.matches(facts)? })).collect();
    matching.sort_by_key(|c| c.provider.id() == "nocloud");
    for candidate in matching {
        if candidates.iter().all(|c| c.provider.id() != candidate.provider.id()) {
            candidates.push(candidate);
        }
    }
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    let seen = match named {
        Some((argument, name)) => format!("{argument}={name} names no platform that footplate knows"),
        None => format!("nothing says which platform this is ({})", seen(facts)),
    };
    Err(anyhow!(seen))
        .cure(format!("name it: the kernel argument flatcar.oem.id=ID or --platform ID, one of {}", ids()))
}

fn ids() -> String {
    TABLE.iter().map(|p| p.id()).collect::<Vec<_>>().join(", ")
}

/// What the machine says of itself, on one line.
pub fn seen(facts: &Facts) -> String {
    let quoted = |s: &str| if s.is_empty() { "none".to_owned() } else { format!("{s:?}") };
    format!(
        "DMI vendor {}, product {}; hypervisor {}; drive labels {}",
        quoted(&facts.dmi.sys_vendor),
        quoted(&facts.dmi.product_name),
        quoted(facts.hypervisor.as_deref().unwrap_or_default()),
        quoted(&facts.labels.join(" ")),
    )
}

/// Gathers the facts that detection goes by.
///
/// # Errors
/// The machine can't be asked.
pub fn facts(world: &dyn World) -> Result<Facts> {
    let dmi = |file: &str| world.text(Ask::File(&format!("/sys/class/dmi/id/{file}")));
    let release = world.text(Ask::File("/etc/os-release"))?;
    let field = |key: &str| {
        let line = release.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let hypervisor = world.text(Ask::Hypervisor)?;
    Ok(Facts {
        cmdline: Cmdline::parse(&world.text(Ask::File("/proc/cmdline"))?),
        dmi: Dmi {
            sys_vendor: dmi("sys_vendor")?,
            product_name: dmi("product_name")?,
            // Serial number and UUID are root's alone to read; without them less is known, nothing is wrong.
            product_serial: dmi("product_serial").unwrap_or_default(),
            product_uuid: dmi("product_uuid").unwrap_or_default(),
            chassis_asset_tag: dmi("chassis_asset_tag")?,
            bios_vendor: dmi("bios_vendor")?,
            bios_version: dmi("bios_version")?,
        },
        hypervisor: (!hypervisor.is_empty()).then_some(hypervisor),
        labels: world.text(Ask::Labels)?.lines().map(str::to_owned).collect(),
        os: Os {
            id: field("ID"),
            version: field("VERSION_ID"),
            kernel: world.text(Ask::File("/proc/sys/kernel/osrelease"))?,
        },
    })
}

/// The first of `names` that the mapping has, as text.
fn text_of<'a>(map: &'a Node, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|n| map.get(n)?.text()).filter(|t| !t.is_empty())
}

/// The network that metadata describes. A config that as a whole can't be used is left out and the problems say so:
/// the machine then stays reachable by DHCP.
fn read_network(node: &Node, instance: &mut Instance) {
    let (config, problems) = network::parse(node);
    instance.problems.extend(problems);
    if config.usable() || !any_error(&instance.problems) {
        instance.network = Some(config);
    }
}

/// A metadata document, which must be a mapping.
fn read_mapping(name: &str, bytes: &[u8]) -> Result<Node> {
    let at = |problem: Problem| Problem { place: name.to_owned(), ..problem };
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::error(name, "not UTF-8 text"))?;
    let node = crate::decode::syntax::yaml::parse(text).map_err(at)?;
    if !node.is_map() && !node.is_null() {
        let what = format!("takes a YAML or JSON mapping, this is {}", node.kind_name());
        return Err(Problem::error(name, what).at(node.pos).into());
    }
    Ok(node)
}
