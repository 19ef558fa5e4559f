// SPDX-License-Identifier: Apache-2.0
//! The platforms that a machine may be on: one file each, which makes one value of [`Platform`], and one table.
//!
//! A platform is never guessed by asking an address which one it is: whatever answers there would own the node
//! ([CVE-2024-6174](https://www.cve.org/CVERecord?id=CVE-2024-6174)).

mod akamai;
mod aliyun;
mod aws;
mod azure;
mod cloudstack;
mod config_drive;
mod detect;
mod digitalocean;
mod document;
mod drive;
mod exoscale;
mod fetch;
mod gcp;
mod hetzner;
mod hyperv;
mod ibmcloud;
mod ibmcloud_classic;
mod ionoscloud;
mod kubevirt;
mod kvp;
mod lxd;
mod metal;
mod nocloud;
mod nutanix;
mod opennebula;
mod openstack;
mod oraclecloud;
mod outscale;
mod packet;
mod powervs;
#[cfg(test)]
mod pretend;
mod proxmoxve;
mod qemu;
mod scaleway;
mod service;
#[cfg(test)]
mod told;
mod upcloud;
mod virtual_router;
mod vmware;
mod vultr;
mod watched;

pub use self::detect::{Candidate, Detected, Evidence, Wanted, detect, facts, seen};
pub use self::fetch::{Metadata, Reach, complete, fetch};
pub use self::hetzner::without_sysconfig as readable;
pub use self::hyperv::pairs_of;
pub use crate::io::Error;

use std::time::Instant;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::syntax::words;
use crate::io::{World, http};
use crate::model::facts::{Dmi, Facts};
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;
use crate::model::problem::{Failure, Stage};
use crate::model::secret::Secret;

/// All platforms, in the order of their ids. This is the only list of them.
pub const PLATFORMS: &[Platform] = &[
    akamai::PLATFORM,
    aliyun::PLATFORM,
    aws::PLATFORM,
    azure::PLATFORM,
    cloudstack::PLATFORM,
    digitalocean::PLATFORM,
    exoscale::PLATFORM,
    gcp::PLATFORM,
    hetzner::PLATFORM,
    hyperv::PLATFORM,
    ibmcloud::PLATFORM,
    ibmcloud_classic::PLATFORM,
    ionoscloud::PLATFORM,
    kubevirt::PLATFORM,
    lxd::PLATFORM,
    metal::PLATFORM,
    nocloud::PLATFORM,
    nutanix::PLATFORM,
    opennebula::PLATFORM,
    openstack::PLATFORM,
    oraclecloud::PLATFORM,
    outscale::PLATFORM,
    packet::PLATFORM,
    powervs::PLATFORM,
    proxmoxve::PLATFORM,
    qemu::PLATFORM,
    scaleway::PLATFORM,
    upcloud::PLATFORM,
    vmware::PLATFORM,
    vultr::PLATFORM,
];

/// Platforms that Flatcar has images for or Ignition knows, and footplate does not know yet.
pub const ABSENT: &[&str] = &["azurestack", "cloudsigma", "virtualbox"];

/// A platform: what it is called, and what it can do. A row of the table names what it has and takes the rest from
/// [`Platform::NONE`].
pub struct Platform {
    /// Its id, as Ignition names it.
    pub id: &'static str,
    /// Its name in words.
    pub name: &'static str,
    /// Other names that kernel arguments have for it.
    pub aliases: &'static [&'static str],
    /// How Afterburn's names in `/run/metadata` spell it.
    pub spelling: Option<Spelling>,
    /// Names below `ds` that templates can count on there, beside those that each platform has.
    pub names: &'static [&'static str],
    /// How large its user-data may be.
    pub limit: Option<Limit>,
    /// What to do where it has nothing for a machine.
    pub hint: &'static str,
    /// Whether machines of many platforms look like this one's: evidence of the same kind for another platform goes before.
    pub generic: bool,
    /// Why this machine is on it, if it is.
    pub evidence: fn(&Facts) -> Option<Evidence>,
    /// What can be read before the network is up.
    pub local: Option<Local>,
    /// What is asked over the network.
    pub network: Option<Network>,
    /// The drives that it owns beside what it reads itself: they are searched where there is no user-data.
    pub drives: &'static [OwnedDrive],
    /// DMI's field that holds the instance-id too, empty where it holds something else. Metadata with another one is another
    /// machine's.
    pub id_in_dmi: fn(&Dmi) -> &str,
    /// Adds what the machine itself knows to an answer, such as its addresses. It asks the platform nothing, and may run
    /// several times.
    pub complete: fn(&dyn World, &Facts, &mut Instance) -> Result<(), Error>,
    /// Reads a directory that the operator names in place of the machine's own source.
    pub seed: Option<Seed>,
    /// Recognises a script that would fetch bootstrap data which the user-data only points at.
    pub hidden: Option<FindHidden>,
    /// Fetches an object of S3. The request has an `s3:` URL.
    pub s3: FetchObject,
    /// Tells the platform how the bootstrap went.
    pub report: Option<Tells>,
}

/// Reads what is on the machine; `None` where it has nothing.
pub type Local = fn(&dyn World, &Facts) -> Result<Option<Instance>, Error>;

/// Asks a service, and adds to what was found on the machine, if anything was; `None` where neither has anything.
pub type Network = fn(&dyn World, &Facts, Option<Instance>) -> Result<Option<Instance>, Error>;

/// Reads a directory; `None` where it has nothing.
pub type Seed = fn(&dyn World, directory: &str) -> Result<Option<Instance>, Error>;

/// What a script would fetch; `None` for a script that fetches nothing of that kind.
pub type FindHidden = fn(script: &str) -> Result<Option<Box<dyn Hidden>>, Problem>;

/// Fetches an object, or says why not: nothing answered in time, or the answer will be the same another time.
pub type FetchObject = fn(&dyn World, &http::Request, deadline: Instant) -> Result<Secret, Error>;

/// Tells the platform something.
pub type Tells = fn(&dyn World, &Report<'_>) -> Result<(), Error>;

/// A kind of drive that a platform owns.
pub struct OwnedDrive {
    /// The label of its file system; case does not matter.
    pub label: &'static str,
    /// Reads the drive of that label; `None` where it has nothing.
    pub read: fn(&dyn World) -> Result<Option<Instance>, Error>,
}

/// How large user-data may be.
pub struct Limit {
    /// Bytes.
    pub bytes: usize,
    /// Whether they are counted in base64.
    pub base64: bool,
    /// What helps against more.
    pub cure: &'static str,
}

/// Bootstrap data that stands somewhere else, and to which the user-data only points.
pub trait Hidden {
    /// The path under which the rest of the user-data includes it.
    fn file(&self) -> &str;

    /// In how many parts it stands there.
    fn parts(&self) -> usize;

    /// Fetches it whole.
    ///
    /// # Errors
    /// A part can't be had, or what the parts make is broken. Nothing is deleted then.
    fn fetch(&self, world: &dyn World) -> anyhow::Result<Secret>;

    /// Deletes it. The caller has it on the disk.
    ///
    /// # Errors
    /// Parts are left; the message counts them.
    fn delete(&self, world: &dyn World) -> anyhow::Result<()>;
}

/// What a platform is told.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// `running`, `done` or `failed`.
    pub state: &'a str,
    /// The stage that failed, else the last one that began.
    pub phase: Option<&'a str>,
    /// The stable name of the failure, such as `join/ca-hash-mismatch`.
    pub code: Option<&'a str>,
    /// One line on why it failed: names and paths, no values.
    pub error: Option<&'a str>,
    /// The whole status as JSON, in gzip and base64, at most [`Report::MOST`] bytes: no values either.
    pub whole: &'a str,
    /// Whether the bootstrap data is not needed any more: the platform may forget it.
    pub spent: bool,
}

impl Report<'_> {
    /// The longest [`Report::whole`]. vSphere takes 64 KiB in a message, the key's name included.
    pub const MOST: usize = 60 << 10;
}

impl Serialize for Platform {
    /// Its id tells it from all others.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for &'static Platform {
    /// The one of that id.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Platform::by_id(PLATFORMS, &id).ok_or_else(|| D::Error::custom("no such platform"))
    }
}

impl Platform {
    /// A platform that can do nothing.
    pub const NONE: Self = Self {
        id: "",
        name: "",
        aliases: &[],
        spelling: None,
        names: &[],
        limit: None,
        hint: "",
        generic: false,
        evidence: |_| None,
        local: None,
        network: None,
        drives: &[],
        id_in_dmi: |_| "",
        complete: |_, _, _| Ok(()),
        seed: None,
        hidden: None,
        s3: aws::s3::fetch_public,
        report: None,
    };

    /// The platform of that id in a table.
    pub fn by_id<'t>(table: &'t [Self], id: &str) -> Option<&'t Self> {
        table.iter().find(|p| p.id == id)
    }

    /// The platform that a person names, by its id or another name of it.
    ///
    /// # Errors
    /// There is none: says which was meant.
    pub fn named<'t>(table: &'t [Self], name: &str) -> Result<&'t Self, Problem> {
        let known = table.iter().find(|p| p.id == name || p.aliases.contains(&name));
        let meant = || {
            words::meant(
                name,
                table.iter().flat_map(|p| std::iter::once(p.id).chain(p.aliases.iter().copied())),
            )
        };
        known.ok_or_else(|| {
            let problem = Problem::error("", format!("{name:?} is not a platform that footplate knows"));
            // Or by a word of its name, which no other one has: `vsphere`, `ec2`.
            let lower = name.to_lowercase();
            let mut called =
                table.iter().filter(|p| p.name.to_lowercase().split(' ').any(|word| word == lower));
            let called = called.next().filter(|_| called.next().is_none()).map(|p| p.id);
            problem.cure(match meant().or(called) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("one of {}", table.iter().map(|p| p.id).collect::<Vec<_>>().join(", ")),
            })
        })
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// Warns of platforms that do not take user-data of so many bytes.
pub fn too_large_for(table: &[Platform], bytes: usize) -> Vec<Problem> {
    let warning = |platform: &Platform| {
        let limit = platform.limit.as_ref()?;
        let (sent, how) = if limit.base64 { (bytes.div_ceil(3) * 4, " in base64") } else { (bytes, "") };
        let what = format!("{sent} bytes{how}, and {} takes {}", platform.name, limit.bytes);
        (sent > limit.bytes).then(|| Problem::warning("", what).cure(limit.cure).code("data/too-large"))
    };
    table.iter().filter_map(warning).collect()
}

/// The machine that a document of metadata describes, in YAML or JSON, as it stands in guestinfo or on a NoCloud drive. `name` is what
/// messages call the document.
///
/// # Errors
/// It is no mapping, or a value in it is broken.
pub fn metadata(name: &str, bytes: &[u8]) -> Result<Instance, Error> {
    let node = document::mapping(name, bytes)?;
    let mut instance = Instance::default();
    document::read_machine(name, &node, &mut instance)?;
    if let Some(network) = node.get("network").filter(|n| n.is_map()) {
        document::read_network(network, &mut instance);
    }
    Ok(instance)
}

/// A question that failed, as a failure of the stage that asked; an answer that is broken is one of decoding.
pub fn failure(stage: Stage, error: Error) -> Failure {
    match error {
        Error::Unreachable(error) => Failure::new(stage, error),
        Error::Broken(problem) => Failure::new(Stage::Decode, problem),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        failure(Stage::Fetch, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_not_there() {
        assert!(ABSENT.is_sorted());
        assert!(ABSENT.iter().all(|id| Platform::by_id(PLATFORMS, id).is_none()));
    }

    #[test]
    fn limits_are_met_exactly() {
        let over = |bytes| -> Vec<&str> {
            let told = too_large_for(PLATFORMS, bytes);
            let is = |p: &&Platform| told.iter().any(|t| t.what.contains(p.name));
            PLATFORMS.iter().filter(is).map(|p| p.id).collect()
        };
        assert_eq!(over(16 << 10), [""; 0]);
        assert_eq!(over((16 << 10) + 1), ["aws"]);
        assert_eq!(over((48 << 10) - 3), ["aws"]);
        assert_eq!(over(48 << 10), ["aws", "openstack"]);
        assert_eq!(over((48 << 10) + 1), ["aws", "openstack", "vmware"]);
    }
}
