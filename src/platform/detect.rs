// SPDX-License-Identifier: Apache-2.0
//! Which platform this machine is on, and why: from what the machine says of itself.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::{ABSENT, Platform, lxd, metal, qemu};
use crate::io::{Ask, World};
use crate::model::facts::{Cmdline, Dmi, Drive, Facts, Os};
use crate::model::problem::WithCure as _;

/// Why a machine is on a platform, the surest kind first; its text says what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// The operator's option on the command line of footplate.
    Option(String),
    /// A kernel argument.
    Argument(String),
    /// A socket that the host gives its guests. A container has its host's DMI.
    Socket(String),
    /// What the firmware says.
    Dmi(String),
    /// What the CPU, or the device tree, says of the hypervisor.
    Hypervisor(String),
    /// A file that the host hands over with QEMU's firmware.
    FwCfg(String),
    /// A drive's label. A drive can be attached to a machine on any platform.
    Drive(String),
}

impl Evidence {
    /// The place in the order of kinds; a lower one is surer.
    fn rank(&self) -> u8 {
        match self {
            Self::Option(_) => 0,
            Self::Argument(_) | Self::Socket(_) => 1,
            Self::Dmi(_) => 2,
            Self::Hypervisor(_) => 3,
            Self::FwCfg(_) => 4,
            Self::Drive(_) => 5,
        }
    }

    /// DMI with this vendor, or else a kernel argument that is this word alone.
    pub fn of_vendor_or_word(facts: &Facts, vendor: &str, word: &str) -> Option<Self> {
        let argument = || facts.cmdline.has(word).then(|| Self::Argument(word.to_owned()));
        (facts.dmi.sys_vendor == vendor).then(|| Self::of_dmi(&facts.dmi)).or_else(argument)
    }

    /// The vendor and product of DMI.
    pub fn of_dmi(dmi: &Dmi) -> Self {
        Self::Dmi(format!("vendor {:?}, product {:?}", dmi.sys_vendor, dmi.product_name))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(text) => f.write_str(text),
            Self::Argument(text) => write!(f, "kernel argument {text}"),
            Self::Socket(path) => write!(f, "the socket {path}"),
            Self::Dmi(text) => write!(f, "DMI {text}"),
            Self::Hypervisor(text) => write!(f, "hypervisor signature {text}"),
            Self::FwCfg(name) => write!(f, "a file {name} of fw_cfg"),
            Self::Drive(label) => write!(f, "a drive labelled {label}"),
        }
    }
}

/// What the operator says of the source on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The platform.
    pub platform: Option<&'a str>,
    /// A directory that stands for the platform's source.
    pub seed: Option<&'a str>,
}

/// A platform that this machine may be on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The platform.
    pub platform: &'static Platform,
    /// Why it may be that.
    pub because: Evidence,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.platform.name, self.because)
    }
}

/// What detection found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detected {
    /// The platforms that this machine may be on, the likeliest first; never empty.
    pub candidates: Vec<Candidate>,
    /// Platforms that only a drive speaks for, where something surer names another one.
    pub passed_over: Vec<Candidate>,
}

/// The kernel arguments that name a platform, the first that is given decides: Flatcar's, its older one, Ignition's.
const ARGUMENTS: &[&str] = &["flatcar.oem.id", "coreos.oem.id", "ignition.platform.id"];

/// The platforms of the table that this machine may be on: the one asked for alone; else those that the machine's own
/// account speaks for, the surest evidence first. A drive alone decides only where nothing else does.
///
/// # Errors
/// The one asked for is not known, nothing matches, or two match by the same kind of evidence.
pub fn detect(table: &'static [Platform], facts: &Facts, wanted: Wanted<'_>) -> Result<Detected> {
    let ids = || table.iter().map(|p| p.id).collect::<Vec<_>>().join(", ");
    if let Some(candidate) = asked_for(table, wanted)? {
        return Ok(Detected { candidates: vec![candidate], passed_over: Vec::new() });
    }
    let named = ARGUMENTS.iter().find_map(|a| Some((*a, facts.cmdline.get(a)?)));
    let mut candidates: Vec<Candidate> = Vec::new();
    for platform in table {
        let argument = named.filter(|(_, name)| *name == platform.id || platform.aliases.contains(name));
        let argument = argument.map(|(argument, name)| Evidence::Argument(format!("{argument}={name}")));
        if let Some(because) = argument.or_else(|| (platform.evidence)(facts)) {
            candidates.push(Candidate { platform, because });
        }
    }
    candidates.sort_by_key(|c| (c.because.rank(), c.platform.generic));
    if let [first, second, ..] = candidates.as_slice()
        && first.because.rank() == second.because.rank()
        && first.platform.generic == second.platform.generic
    {
        return Err(anyhow!("this machine may be on two platforms: {first} and {second}"))
            .cure("name the right one: the kernel argument flatcar.oem.id=ID or --platform ID");
    }
    // It would be taken for another platform, whose DMI it has.
    if let (Some((argument, name)), Some(first)) = (named, candidates.first())
        && ABSENT.contains(&name)
        && matches!(first.because, Evidence::Dmi(_))
    {
        let what =
            format!("{name} (kernel argument {argument}={name}), which footplate does not know, and {first}");
        return Err(anyhow!("the kernel argument and DMI name two platforms: {what}"))
            .cure("correct the kernel argument, or name the platform: --platform ID");
    }
    let surer = candidates.first().is_some_and(|c| !matches!(c.because, Evidence::Drive(_)));
    let by_drive = |c: &Candidate| surer && matches!(c.because, Evidence::Drive(_));
    let (passed_over, candidates): (Vec<_>, Vec<_>) = candidates.into_iter().partition(by_drive);
    if !candidates.is_empty() {
        return Ok(Detected { candidates, passed_over });
    }
    let seen = match named {
        Some((argument, name)) => format!("{argument}={name} names a platform that footplate does not know"),
        None => format!("nothing says which platform this is ({})", seen(facts)),
    };
    // Bare metal has its maker's DMI.
    let drive = facts
        .drive("config-2")
        .map_or("", |_| " (openstack where Metal3 or OpenStack made the drive config-2)");
    Err(anyhow!(seen)).cure(format!(
        "name it: the kernel argument flatcar.oem.id=ID or --platform ID{drive}; ID is one of {}",
        ids()
    ))
}

impl Detected {
    /// A kernel argument that names another platform than DMI: a machine must not read the drives of a platform that it is not on.
    /// A URL in a kernel argument names no platform, and a seed in DMI's serial number is no vendor.
    ///
    /// # Errors
    /// There is such an argument; the error names both.
    pub fn agree(&self) -> Result<()> {
        let [first, others @ ..] = self.candidates.as_slice() else { return Ok(()) };
        let of_dmi = |c: &&Candidate| matches!(c.because, Evidence::Dmi(_)) && c.platform.seed.is_none();
        let named = matches!(first.because, Evidence::Argument(_)) && first.platform.id != metal::PLATFORM.id;
        let Some(other) = others.iter().find(of_dmi).filter(|_| named) else { return Ok(()) };
        Err(anyhow!("the kernel argument and DMI name two platforms: {first} and {other}")).cure(
            "correct the kernel argument; or, where it is right, write `platform: argument` to /etc/footplate.yaml in the image",
        )
    }
}

/// The platform that the operator names, if one is named.
fn asked_for(table: &'static [Platform], wanted: Wanted<'_>) -> Result<Option<Candidate>> {
    if let Some(seed) = wanted.seed {
        let because = Evidence::Option(format!("--seed {seed}"));
        let platform = table.iter().find(|p| p.seed.is_some());
        return match platform {
            Some(platform) => Ok(Some(Candidate { platform, because })),
            None => Err(anyhow!("--seed: none of the platforms reads a directory")),
        };
    }
    let Some(id) = wanted.platform else { return Ok(None) };
    let because = Evidence::Option(format!("--platform {id}"));
    match Platform::named(table, id) {
        Ok(platform) => Ok(Some(Candidate { platform, because })),
        Err(problem) => Err(anyhow!("--platform {id}: footplate does not know this platform"))
            .cure(problem.cure.unwrap_or_default()),
    }
}

/// What the machine says of itself, on one line.
pub fn seen(facts: &Facts) -> String {
    let quoted = |s: &str| if s.is_empty() { "none".to_owned() } else { format!("{s:?}") };
    let labels: Vec<&str> = facts.drives.iter().map(|d| d.label.as_str()).collect();
    format!(
        "DMI vendor {}, product {}; hypervisor {}; drive labels {}",
        quoted(&facts.dmi.sys_vendor),
        quoted(&facts.dmi.product_name),
        quoted(facts.hypervisor.as_deref().unwrap_or_default()),
        quoted(&labels.join(" ")),
    )
}

/// What hypervisors say of themselves in the device tree of a machine without CPUID, a string that ends in NUL, by which
/// [systemd](https://github.com/systemd/systemd/blob/main/src/basic/virt.c) knows VMware: machines for arm64 may be without SMBIOS.
const IN_DEVICE_TREE: &str = "/proc/device-tree/hypervisor/compatible";

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
    let mut hypervisor = world.text(Ask::Hypervisor)?;
    if hypervisor.is_empty() {
        hypervisor = world.text(Ask::File(IN_DEVICE_TREE))?;
    }
    Ok(Facts {
        cmdline: Cmdline::parse(&world.text(Ask::File("/proc/cmdline"))?),
        dmi: Dmi {
            sys_vendor: dmi("sys_vendor")?,
            product_name: dmi("product_name")?,
            product_family: dmi("product_family")?,
            // Only root may read the serial number and the UUID. Without them less is known, and nothing is wrong.
            product_serial: dmi("product_serial").unwrap_or_default(),
            product_uuid: dmi("product_uuid").unwrap_or_default(),
            board_asset_tag: dmi("board_asset_tag")?,
            chassis_asset_tag: dmi("chassis_asset_tag")?,
            bios_vendor: dmi("bios_vendor")?,
            bios_version: dmi("bios_version")?,
        },
        hypervisor: (!hypervisor.is_empty()).then_some(hypervisor),
        drives: Drive::list(&String::from_utf8_lossy(&world.ask(Ask::Drives)?.unwrap_or_default())),
        fw_cfg: qemu::FILES
            .iter()
            .map(|name| (*name).to_owned())
            .filter(|name| !matches!(world.ask(Ask::File(&qemu::path(name))), Ok(None)))
            .collect(),
        // It can't be opened as a file where it is.
        lxd: !matches!(world.ask(Ask::File(lxd::SOCKET)), Ok(None)),
        os: Os {
            id: field("ID"),
            version: field("VERSION_ID"),
            kernel: world.text(Ask::File("/proc/sys/kernel/osrelease"))?,
        },
    })
}
