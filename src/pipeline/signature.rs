// SPDX-License-Identifier: Apache-2.0
//! Signed data: what is used of data that somebody between its author and the node can change, as the image's policy says.

use minisign_verify::PublicKey;

use super::Context;
use super::fetch::Found;
use super::sources::OEM;
use crate::decode::document::envelope;
use crate::decode::signature::{self, Use};
use crate::io::root::Root;
use crate::model::fetch::{Request, Unfetched};
use crate::model::instance::{Instance, short};
use crate::model::policy::Strictness;
use crate::model::problem::{Failure, Problem, Severity, Stage};
use crate::model::secret::Secret;

/// The name of a file with the keys of an image: below `/etc`, footplate's own directory of the vendor, and the OEM partition.
const KEYS: &str = "footplate.pub";
const DIRS: [&str; 2] = ["/etc", "/usr/share/footplate"];

/// Most bytes of such a file.
const MAX_KEYS: usize = 64 << 10;

const CURE: &str = "sign it with minisign as docs/security.md says";

/// What this image asks of data.
pub struct Signatures {
    strictness: Strictness,
    keys: Vec<PublicKey>,
}

impl Signatures {
    /// What the policy asks, and the keys of the image.
    ///
    /// # Errors
    /// The policy asks for signatures, and the image has no key, or a file that is not one of keys.
    pub fn of(context: &Context) -> Result<Self, Failure> {
        let strictness = context.policy.signature;
        let keys = if strictness == Strictness::Off { Ok(Vec::new()) } else { keys(&context.root) };
        Ok(Self { strictness, keys: keys.map_err(|problem| Failure::new(Stage::Usage, *problem))? })
    }

    /// Whether nothing is asked.
    fn off(&self) -> bool {
        self.strictness == Strictness::Off
    }

    /// What is said of a document that can't be used.
    fn problem(&self, place: &str, what: impl Into<String>) -> Problem {
        let severity = if self.strictness == Strictness::Stop { Severity::Error } else { Severity::Warning };
        Problem { severity, ..Problem::error(place, what).cure(CURE) }
    }

    /// The part of a document that is signed, out of its envelopes.
    fn signed(&self, data: &[u8], machine: &[&str], expires: bool) -> Result<Secret, String> {
        let opened = envelope::open(data).map_err(|_| "can't be unpacked")?;
        let until = expires.then(crate::io::now);
        signature::verified(&opened, &self.keys, Use { machine, until }).map(Secret::new)
    }

    /// Looks at the metadata that the owner of the machine writes.
    ///
    /// # Errors
    /// A document of it is not signed, and must be.
    pub fn check_metadata(&self, instance: &mut Instance) -> Result<(), Failure> {
        let documents = std::mem::take(&mut instance.owners);
        if self.off() {
            return Ok(());
        }
        let names = names(instance);
        let mut problems = Vec::new();
        for (place, text) in &documents {
            if let Err(why) = self.signed(text.expose(), &strs(&names), false) {
                problems.push(self.problem(place, why));
            }
        }
        instance.problems.extend(problems.iter().filter(|p| !p.is_error()).cloned());
        let errors = Failure::of(Stage::Decode, &problems);
        if errors.problems.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Looks at the user-data, and leaves of it what is signed. Vendor data that is not signed is left out. Gives what was wrong.
    ///
    /// # Errors
    /// The user-data is not signed, and must be.
    pub fn check_data(found: &mut Found) -> Result<Vec<Problem>, Failure> {
        let signatures = &found.signatures;
        if signatures.off() {
            return Ok(Vec::new());
        }
        let names = names(&found.instance);
        let mut problems = Vec::new();
        let Instance { user_data, vendor_data, .. } = &mut found.instance;
        for (place, data) in [("user-data", user_data), ("vendor-data", vendor_data)] {
            let Some(text) = data.as_ref() else { continue };
            match signatures.signed(text.expose(), &strs(&names), true) {
                Ok(signed) => *data = Some(signed),
                Err(why) => {
                    let mut problem = signatures.problem(place, why);
                    if place == "vendor-data" && problem.is_error() {
                        *data = None;
                        problem.severity = Severity::Warning;
                        problem.what += "; it is left out";
                    }
                    problems.push(problem);
                }
            }
        }
        let errors = Failure::of(Stage::Decode, &problems);
        if errors.problems.is_empty() { Ok(problems) } else { Err(errors) }
    }

    /// What may be used of what data names elsewhere, without its digest.
    ///
    /// # Errors
    /// It is not signed, and must be.
    pub fn check_fetched(
        &self,
        data: Vec<u8>,
        request: &Request,
        machine: &Instance,
    ) -> Result<Vec<u8>, Unfetched> {
        if self.off() {
            return Ok(data);
        }
        match self.signed(&data, &strs(&names(machine)), true) {
            Ok(signed) => Ok(signed.into_exposed()),
            Err(why) if self.strictness == Strictness::Stop => {
                Err(format!("{why}; sign it, or write its digest into the data that names it").into())
            }
            Err(why) => {
                log::warn!("{}", self.problem(&request.host(), why).in_the_log());
                Ok(data)
            }
        }
    }
}

/// The names that a signature may know this machine by.
fn names(instance: &Instance) -> Vec<String> {
    let Instance { instance_id, hostname, .. } = instance;
    let full = hostname.as_deref();
    let names = [Some(instance_id.as_str()), full, full.map(short)];
    names.into_iter().flatten().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The keys of the image.
fn keys(root: &Root) -> Result<Vec<PublicKey>, Box<Problem>> {
    let mut keys = Vec::new();
    for dir in DIRS.iter().chain(OEM) {
        let file = format!("{dir}/{KEYS}");
        let problem = |what: String| Box::new(Problem::error(file.as_str(), what));
        let text = root.read(&file, MAX_KEYS).map_err(|error| problem(format!("{error:#}")))?;
        let text = String::from_utf8(text.unwrap_or_default()).map_err(|_| problem("is not text".into()))?;
        let found = signature::keys(&text).map_err(|line| {
            let what = format!("line {line} is not a public key of minisign");
            Box::new(problem(what).cure("take the file that `minisign -G` writes"))
        })?;
        keys.extend(found);
    }
    if keys.is_empty() {
        let what = "asks for signed data, and the image has no key";
        let cure = format!("put a public key of minisign into {}/{KEYS}", DIRS[0]);
        return Err(Box::new(Problem::error("signature", what).cure(cure)));
    }
    Ok(keys)
}
