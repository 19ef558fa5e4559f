// SPDX-License-Identifier: Apache-2.0
//! What the platform says of this machine: read on the machine, asked over the network, completed by what the machine
//! knows.

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use super::detect::{Candidate, Detected, Evidence, Wanted};
use super::watched::Watched;
use super::{Error, Platform, metal, nocloud};
use crate::decode::document::{Kind, envelope, sniff};
use crate::io::World;
use crate::io::reader::{self, Answer, Asked, Asker, Distant, Manner, Question, Work};
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// What is on the machine: the network is not up yet.
    Local,
    /// Services over the network too.
    Network,
}

/// The first candidate that knows this machine, and what it says. `None` where it may be one that is asked over the network, and
/// that is out of reach.
///
/// # Errors
/// One of them can't be asked, what it says is broken, or none of them has anything for this machine.
pub fn fetch(
    world: &dyn World,
    facts: &Facts,
    detected: &Detected,
    wanted: Wanted<'_>,
    reach: Reach,
) -> Result<Option<(Candidate, Instance)>, Failure> {
    let work = Metadata {
        facts: facts.clone(),
        detected: detected.clone(),
        seed: wanted.seed.map(str::to_owned),
        reach,
        manner: Manner::of(world),
    };
    let answer = |question| match question {
        Question::Ask(Asked::File(path)) if !holds_metadata(&path) => {
            Answer::Ask(Err(anyhow!("{path}: no platform has metadata there").into()))
        }
        question => reader::answer(world, question),
    };
    let mut found = reader::read(&work, world.is_here(), world.patience(), answer)??;
    if let Some((candidate, instance)) = &mut found {
        instance.platform = candidate.platform.id;
        instance.spelling = candidate.platform.spelling;
    }
    Ok(found)
}

/// The files and directories of the machine that platforms read, beside seeds.
const FILES: &[&str] = &[
    "/etc/machine-id",
    "/proc/cmdline",
    "/run/credentials/@system/",
    "/run/systemd/netif/",
    "/run/systemd/resolve/",
    "/sys/",
    "/var/lib/hyperv/",
    "/var/lib/waagent/ovf-env.xml",
];

/// Whether a platform may read that file. What reads has no rights, and must not get those of who asks for it.
fn holds_metadata(path: &str) -> bool {
    let (_, name) = path.rsplit_once('/').unwrap_or_default();
    let known = |file: &&str| if file.ends_with('/') { path.starts_with(*file) } else { path == *file };
    !path.split('/').any(|part| part == "..") && (FILES.iter().any(known) || nocloud::FILES.contains(&name))
}

/// Metadata that is to be read.
#[derive(Serialize, Deserialize)]
pub struct Metadata {
    facts: Facts,
    detected: Detected,
    seed: Option<String>,
    reach: Reach,
    manner: Manner,
}

impl Work for Metadata {
    const NAME: &'static str = "metadata";
    type Done = Result<Option<(Candidate, Instance)>, Failure>;

    fn read(&self, asker: &mut Asker<'_>) -> Self::Done {
        let wanted = Wanted { platform: None, seed: self.seed.as_deref() };
        read(&Distant::new(asker, self.manner), &self.facts, &self.detected, wanted, self.reach)
    }
}

/// The same, where nothing else can be done.
fn read(
    world: &dyn World,
    facts: &Facts,
    detected: &Detected,
    wanted: Wanted<'_>,
    reach: Reach,
) -> Result<Option<(Candidate, Instance)>, Failure> {
    let (mut asked, mut without) = (Vec::new(), Vec::new());
    for candidate in &detected.candidates {
        let answer = ask(world, facts, candidate.platform, wanted, reach, &mut without);
        let answer =
            answer.map_err(|e| if wanted.seed.is_some() { e.into() } else { named(e, candidate) })?;
        if let Some(mut instance) = answer {
            complete(world, facts, candidate.platform, &mut instance)?;
            check_id(&instance, reach, &without)?;
            instance.problems.extend(not_looked_at(candidate.platform, detected));
            return Ok(Some((candidate.clone(), instance)));
        }
        // Its service may yet have something, and is surer than the platforms that come after it.
        if reach == Reach::Local && candidate.platform.network.is_some() {
            return Ok(None);
        }
        asked.push(candidate);
    }
    let names: Vec<String> = asked.iter().map(ToString::to_string).collect();
    let hints: Vec<&str> = asked.iter().map(|c| c.platform.hint).filter(|h| !h.is_empty()).collect();
    let names = names.join(", ");
    Err(anyhow!("no metadata and no user-data for this machine: asked {names}{}", what_came(&without)))
        .cure(hints.join("; "))
        .stage(Stage::Detect)
}

/// Adds what the machine itself knows to an answer. It may be done again when more is known.
///
/// # Errors
/// The machine can't be asked.
pub fn complete(
    world: &dyn World,
    facts: &Facts,
    platform: &Platform,
    instance: &mut Instance,
) -> Result<(), Failure> {
    (platform.complete)(world, facts, instance)?;
    // No node of Kubernetes has capitals in its name: kubelet makes them small.
    instance.node_name = instance.node_name.take().map(|name| name.to_lowercase());
    Ok(())
}

/// Most bytes of an instance-id. The longest that is known, Oracle Cloud's, has 255 at most.
const LONGEST_ID: usize = 512;

/// What names the instance must be known before anything is made of it. Its network may be made without.
fn check_id(instance: &Instance, reach: Reach, without: &[String]) -> Result<(), Error> {
    let id = &instance.instance_id;
    if reach == Reach::Local {
        return Ok(());
    }
    // It is told in every log, on the console too.
    if id.len() > LONGEST_ID || id.contains(char::is_control) {
        let what = format!("has control characters or more than {LONGEST_ID} bytes");
        return Err(Problem::error("instance-id", what).cure("correct instance-id in the metadata").into());
    }
    if !id.is_empty() {
        return Ok(());
    }
    // Data for another system is what is wrong then.
    let data = instance.user_data.as_ref().and_then(|data| envelope::open(data.expose()).ok());
    if let Some(Kind::Refused(what, instead)) = data.and_then(|data| sniff(&data)) {
        return Err(Problem::error("", what).cure(instead).into());
    }
    let what = format!("missing: neither the metadata nor DMI names this machine{}", what_came(without));
    Err(Problem::error("instance-id", what).cure("set instance-id in the metadata").into())
}

/// The answers that brought nothing, for the end of a message.
fn what_came(without: &[String]) -> String {
    if without.is_empty() { String::new() } else { format!(" ({})", without.join("; ")) }
}

/// What one platform says, its own drives included. A service that has no user-data, or whose answer can't be read, is asked
/// twice: it may have begun to answer before it knows this machine. `without` gets the questions whose answers brought nothing.
fn ask(
    world: &dyn World,
    facts: &Facts,
    platform: &Platform,
    wanted: Wanted<'_>,
    reach: Reach,
    without: &mut Vec<String>,
) -> Result<Option<Instance>, Error> {
    if platform.network.is_none() || reach == Reach::Local {
        return ask_once(world, facts, platform, wanted, reach);
    }
    let watched = Watched::new(world);
    let mut answer = ask_once(&watched, facts, platform, wanted, reach);
    let again = match &answer {
        Ok(Some(i)) => i.user_data.is_none() && !i.user_data_used && !i.user_data_once,
        Ok(None) | Err(Error::Broken(_)) => true,
        Err(Error::Unreachable(_)) => false,
    };
    if again && watched.asked() {
        watched.pause();
        answer = ask_once(&watched, facts, platform, wanted, reach);
    }
    let came = watched.without();
    if let Ok(Some(Instance { user_data: None, user_data_used: false, user_data_once: false, .. })) = &answer
    {
        let of_user_data = |came: &&String| came.contains("user-data") || came.contains("user_data");
        let came: Vec<String> = came.iter().filter(of_user_data).cloned().collect();
        log::info!("fetch: {} has no user-data, asked twice{}", platform.name, what_came(&came));
    }
    without.extend(came);
    answer
}

/// See [`ask`].
fn ask_once(
    world: &dyn World,
    facts: &Facts,
    platform: &Platform,
    wanted: Wanted<'_>,
    reach: Reach,
) -> Result<Option<Instance>, Error> {
    if let (Some(directory), Some(read)) = (wanted.seed, platform.seed) {
        return match read(world, directory)? {
            None => Err(anyhow!("{directory}: holds neither user-data nor meta-data"))
                .cure("look at the path: a NoCloud directory has one of these files")
                .map_err(Error::from),
            instance => Ok(instance),
        };
    }
    let mut answer = platform.local.map_or(Ok(None), |read| read(world, facts))?;
    if let (Some(ask), Reach::Network) = (platform.network, reach) {
        answer = ask(world, facts, answer)?;
        if let Some(instance) = &answer {
            is_of_this_machine(platform, facts, instance)?;
        }
    }
    // Some platforms have blanks where they were given nothing, also in their own encoding.
    if let Some(instance) = &mut answer {
        for data in [&mut instance.user_data, &mut instance.vendor_data] {
            data.take_if(|data| data.is_blank());
        }
    }
    for drive in platform.drives {
        let has_data = answer.as_ref().is_some_and(|i| i.user_data.is_some() || i.user_data_used);
        let Some(found) = facts.drive(drive.label) else { continue };
        let label = &found.label;
        let told = if has_data {
            let what =
                format!("the drive labelled {label} is left out: there is user-data elsewhere, or there was");
            Some(Problem::warning("", what).cure("set the user-data in one place"))
        } else if let Some(mut more) = (drive.read)(world)? {
            match answer.as_mut() {
                Some(answer) => {
                    more.problems.push(Problem::note(
                        "",
                        format!("what the platform says is completed by the drive labelled {label}"),
                    ));
                    answer.fill_from(more);
                }
                None => answer = Some(more),
            }
            None
        } else {
            None
        };
        if let Some(answer) = &mut answer {
            answer.problems.extend(told);
        }
    }
    if let Some(answer) = &mut answer {
        metal::take_url(facts, answer)?;
    }
    Ok(answer)
}

/// Fails where a service tells of another machine.
fn is_of_this_machine(platform: &Platform, facts: &Facts, instance: &Instance) -> Result<(), Error> {
    let (told, own) = (&instance.instance_id, (platform.id_in_dmi)(&facts.dmi).trim());
    if told.is_empty() || own.is_empty() || told.eq_ignore_ascii_case(own) {
        return Ok(());
    }
    let what =
        format!("the metadata is of {told:?}, and this machine is {own:?}, as its firmware (DMI) says");
    Err(Problem::error("instance-id", what)
        .cure("see who answers at the address of the metadata service: it is not this machine's")
        .into())
}

/// An error with the name of the platform that was asked.
fn named(error: Error, candidate: &Candidate) -> Failure {
    let (stage, error) = match error {
        Error::Unreachable(error) => (Stage::Fetch, error),
        Error::Broken(problem) => (Stage::Decode, problem.into()),
    };
    Failure::new(stage, error.context(candidate.to_string()))
}

/// Drives that speak for other platforms, and that this one does not own.
fn not_looked_at(platform: &Platform, detected: &Detected) -> Vec<Problem> {
    let owned = |label: &str| platform.drives.iter().any(|d| d.label.eq_ignore_ascii_case(label));
    let others = detected.passed_over.iter().filter(|c| match &c.because {
        Evidence::Drive(label) => !owned(label),
        _ => true,
    });
    let warning = |c: &Candidate| {
        let what = format!("{} is not looked at: {} has no such drive", c.because, platform.name);
        let cure = format!("if the machine is not on {}, name its platform: --platform ID", platform.name);
        Problem::warning("", what).cure(cure)
    };
    others.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::holds_metadata;

    #[test]
    fn what_reads_gets_the_files_of_platforms_alone() {
        let seeds = ["/var/lib/cloud/seed/nocloud/meta-data", "/mnt/a b/user-data"];
        let own = ["/proc/cmdline", "/sys/class/net/eth0/ifindex", "/run/systemd/netif/leases/2"];
        assert!(seeds.iter().chain(&own).all(|path| holds_metadata(path)));
        for path in [
            "/etc/shadow",
            "/proc/1/environ",
            "/sys/../etc/shadow",
            "/etc/machine-id/../shadow",
            "/etc/../user-data",
            "/etc/kubernetes/pki/ca.key",
            "",
        ] {
            assert!(!holds_metadata(path), "{path}");
        }
    }
}
