// SPDX-License-Identifier: Apache-2.0
//! Writes a lock from the checksums that upstream publishes, so that an image's build itself trusts no server.
//!
//! The moment of writing trusts no server either where upstream signs in a way that is verified here. The rest is named.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};

use super::attestation;
use super::cosign::{self, Authority, Signer};
use super::location::{Broken, Location};
use super::lock::{Artifact, Install, Lock};
use super::progress::Progress;
use super::publications::{Attested, GITHUB, PUBLICATIONS, Publication, Signed};
use super::store::Origin;
use crate::io::exec;
use crate::io::http::Client;
use crate::model::encoding::hex;
use crate::model::problem::{Failure, In as _, Problem, Stage, WithCure as _};

/// Most of a file of checksums: containerd's release has the longest, with a line for each of its files.
const MAX_CHECKSUMS: usize = 256 << 10;

/// Most of a signature, a certificate or a signed text: they have about 100, 3500 and 3000 bytes. A pipe holds as much.
const MAX_SIGNATURE: usize = 32 << 10;

/// Most of a file of attestations: one of a release with thirty files has about 20 KiB.
const MAX_ATTESTATIONS: usize = 1 << 20;

/// Most of a program that is read for its signature: Kubernetes' largest has about 80 MB.
const MAX_PROGRAM: usize = 256 << 20;

/// How long gpgv may take for a page of text.
const GPGV_LIMIT: Duration = Duration::from_secs(60);

/// A lock, and what is known of where its checksums are from.
pub struct Written {
    /// The lock.
    pub lock: Lock,
    /// By name, what is signed by whom and what was not verified, for the person who keeps the lock.
    pub notes: Vec<String>,
}

/// What signatures are verified by.
pub struct Trust<'a> {
    /// Who certifies cosign's keys.
    pub authority: Authority<'a>,
    /// A file with the keys of those who sign runc's releases, as gpgv reads it.
    pub runc_keyring: Option<&'a Path>,
}

/// Writes a lock: `versions` are names of [`PUBLICATIONS`] with the versions that are wanted. `origin` may hold checksums without signatures; upstream itself may not.
///
/// # Errors
/// A checksum or a signature could not be fetched, has a wrong form, or is not upstream's.
pub fn lock(
    versions: &[(&str, &str)],
    arch: &str,
    origin: &Origin,
    trust: &Trust<'_>,
    progress: &Progress,
) -> Result<Written, Failure> {
    let client = Client::until(origin.until).stage(Stage::Fetch)?;
    let mut artifacts = Vec::new();
    // What is known, and of which artifacts.
    let mut known: Vec<(String, Vec<&str>)> = Vec::new();
    for publication in PUBLICATIONS {
        let Some((_, version)) = versions.iter().find(|(name, _)| *name == publication.name) else {
            continue;
        };
        let release = Release {
            publication,
            version,
            arch,
            from: origin.from.as_ref(),
            client: &client,
            trust,
            progress,
        };
        let (artifact, standing) = release.artifact()?;
        artifacts.push(artifact);
        match known.iter_mut().find(|(known, _)| *known == standing) {
            Some((_, names)) => names.push(publication.name),
            None => known.push((standing, vec![publication.name])),
        }
    }
    let lock = Lock { version: 1, arch: arch.to_owned(), artifacts };
    lock.check().map_err(|f| anyhow!(f)).stage(Stage::Usage)?;
    let notes = known.iter().map(|(standing, names)| format!("{}: {standing}", names.join(", "))).collect();
    Ok(Written { lock, notes })
}

/// A publication at one version, and where its files are read.
struct Release<'a> {
    publication: &'a Publication,
    version: &'a str,
    arch: &'a str,
    from: Option<&'a Location>,
    client: &'a Client,
    trust: &'a Trust<'a>,
    progress: &'a Progress,
}

impl Release<'_> {
    /// The version without its `v`.
    fn number(&self) -> &str {
        self.version.strip_prefix('v').unwrap_or_default()
    }

    /// A URL of the table for this release.
    fn fill(&self, url: &str) -> String {
        url.replace("{v}", self.version).replace("{n}", self.number()).replace("{a}", self.arch)
    }

    /// Where the file of a URL is read: `--from`, or the URL itself.
    fn place(&self, url: &str) -> Location {
        self.from.map_or_else(|| Location::of(url), |from| from.join(file_name(url)))
    }

    /// The artifact, and how far its checksum can be trusted.
    fn artifact(&self) -> Result<(Artifact, String), Failure> {
        let Publication { name, to, from, .. } = self.publication;
        // Kubernetes' three programs have one version and one option, and each version three numbers.
        let kubernetes = matches!(self.publication.signed, Signed::Cosign(_));
        let numbers = self.number().split(['-', '+']).next().unwrap_or_default().split('.');
        let is_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        let whole = numbers.clone().count() == 3 && numbers.clone().all(is_number);
        let begins = self.number().starts_with(|c: char| c.is_ascii_digit());
        if !begins || self.version.contains('/') || kubernetes && !whole {
            let option = if kubernetes { "kubernetes" } else { name };
            let error = Err(anyhow!("--{option}: {:?} is not a version", self.version));
            let cure = "a version begins with v, and Kubernetes' has three numbers, for example v1.34.1";
            return error.cure(cure).stage(Stage::Usage);
        }
        let url = self.fill(self.publication.url);
        let (sha256, keyring) = self.checksum(&url)?;
        let standing = self.standing(&url, &sha256, keyring)?;
        let install = Install { from: (*from).to_owned(), to: (*to).to_owned(), mode: "0755".to_owned() };
        let artifact = Artifact {
            name: (*name).to_owned(),
            version: self.version.to_owned(),
            url,
            sha256: Some(sha256),
            sha512: None,
            install: vec![install],
        };
        Ok((artifact, standing))
    }

    /// The published checksum of the file at `url`, and the keyring that verified it, if one did.
    fn checksum(&self, url: &str) -> Result<(String, Option<&Path>), Failure> {
        let checksums = match self.publication.checksum.contains("://") {
            true => self.fill(self.publication.checksum),
            false => format!("{url}{}", self.publication.checksum),
        };
        let location = self.place(&checksums);
        let keyring = self.trust.runc_keyring.filter(|_| matches!(self.publication.signed, Signed::OpenPgp));
        let most = if keyring.is_some() { MAX_SIGNATURE } else { MAX_CHECKSUMS };
        let cure = "check that this version exists for this architecture, and stands in --from";
        let text = required(self.client, &location, most, cure)?;
        let text = match keyring {
            // Only these bytes are signed: the rest of the file is ignored.
            Some(keyring) => signed_by(keyring, &text)
                .with_context(|| format!("{}: {location} has no valid signature", self.publication.name))
                .stage(Stage::Verify)?,
            None => String::from_utf8_lossy(&text).into_owned(),
        };
        let sha256 = checksum(&text, file_name(url)).with_context(|| location.to_string());
        Ok((sha256.stage(Stage::Verify)?, keyring))
    }

    /// Verifies the signature or attestation, and says who signed.
    fn standing(&self, url: &str, sha256: &str, keyring: Option<&Path>) -> Result<String, Failure> {
        let verified =
            |signer: &str| format!("verified: signed by {signer}; Sigstore's transparency log was not asked");
        Ok(match &self.publication.signed {
            Signed::Nothing => "not verified: upstream does not sign this file".to_owned(),
            Signed::Cosign(signer) => {
                let files = [".sig", ".cert"].map(|ending| self.place(&format!("{url}{ending}")));
                match self.by_cosign(&self.place(url), sha256, &files, *signer)? {
                    true => verified(signer.identity),
                    false => "not verified: the signature is missing".to_owned(),
                }
            }
            Signed::Attested(attested) => match self.by_attestation(sha256, attested)? {
                true => verified(&self.fill(attested.workflow)),
                false => "not verified: the attestation is missing".to_owned(),
            },
            Signed::OpenPgp => match keyring {
                Some(keyring) => format!("verified: signed by a key of {}", keyring.display()),
                None => "not verified: upstream signs with OpenPGP; name the keyring with --runc-keyring"
                    .to_owned(),
            },
        })
    }

    /// Verifies a program's signature: whether there is one. Of its two files both may be missing in `--from`, never one. What cosign
    /// signs is the program itself, so it is read.
    fn by_cosign(
        &self,
        program: &Location,
        sha256: &str,
        files: &[Location; 2],
        signer: Signer<'_>,
    ) -> Result<bool, Failure> {
        let name = self.publication.name;
        let [signature, certificate] = files;
        let read = |location| read(self.client, location, MAX_SIGNATURE);
        let (signed, certified) = match (read(signature)?, read(certificate)?) {
            (Some(signed), Some(certified)) => (signed, certified),
            (None, None) if self.from.is_some() => return Ok(false),
            (None, _) => return Err(absent(signature, UNSIGNED)),
            (_, None) => return Err(absent(certificate, UNSIGNED)),
        };
        let key = cosign::key(&certified, signer, &self.trust.authority)
            .with_context(|| format!("{name}: {certificate} does not verify its signature"))
            .cure(UNVERIFIED)
            .stage(Stage::Verify)?;
        let content = program.read_large(self.client, MAX_PROGRAM, Some((self.progress, name)));
        let content = found(content, program, MAX_PROGRAM)?.ok_or_else(|| absent(program, UNSIGNED))?;
        if hex(&Sha256::digest(&content)) != sha256 {
            return Err(anyhow!("{name}: {program} is not the file that its checksum is of"))
                .cure(UNVERIFIED)
                .stage(Stage::Verify);
        }
        cosign::signed(&content, &signed, &key)
            .with_context(|| format!("{name}: {signature} does not verify it"))
            .cure(UNVERIFIED)
            .stage(Stage::Verify)?;
        self.progress.done(name);
        Ok(true)
    }

    /// Verifies what is attested of a file: whether there is an attestation. Older releases and `--from` may have none.
    fn by_attestation(&self, sha256: &str, attested: &Attested) -> Result<bool, Failure> {
        let file = self.place(&self.fill(attested.url));
        let signer = Signer { identity: &self.fill(attested.workflow), issuer: GITHUB };
        let Some(attestations) = read(self.client, &file, MAX_ATTESTATIONS)? else {
            let may_lack = self.from.is_some() || release(self.number()) < attested.since;
            return if may_lack { Ok(false) } else { Err(absent(&file, UNSIGNED)) };
        };
        attestation::verify(sha256, &attestations, signer, &self.trust.authority)
            .with_context(|| format!("{}: {file} does not verify its checksum", self.publication.name))
            .cure(UNVERIFIED)
            .stage(Stage::Verify)?;
        Ok(true)
    }
}

/// The last part of a URL.
fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// What of a clear-signed text is signed by a key of this keyring, as gpgv says.
fn signed_by(keyring: &Path, text: &[u8]) -> Result<String> {
    // It looks for a name without a directory somewhere else.
    let keyring = std::path::absolute(keyring).with_context(|| keyring.display().to_string())?;
    let keyring = keyring.to_str().context("the keyring's path is not UTF-8")?;
    let Some(ended) = exec::run("gpgv", &["--keyring", keyring, "--output", "-", "-"], text, GPGV_LIMIT)?
    else {
        return Err(anyhow!("gpgv is not installed"))
            .cure("install gpgv, a part of GnuPG, on the machine where locks are written");
    };
    // It ends with 0 only where there is a signature and all are good.
    if ended.status != Some(0) {
        // All of it: the first line tells of a keyring that is not there.
        return Err(anyhow!(ended.err.trim().replace('\n', "; "))).cure(format!(
            "is {keyring} the keyring of runc's sources, as `gpg --no-default-keyring --keyring FILE --import` writes it? If it \
             is, do not use what this server has"
        ));
    }
    Ok(ended.out)
}

/// A version's first two numbers.
fn release(number: &str) -> (u32, u32) {
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or(u32::MAX));
    let mut part = || parts.next().unwrap_or(u32::MAX);
    (part(), part())
}

/// What helps where a signature does not verify.
const UNVERIFIED: &str = "use no file of this server's before you know why; if upstream signs in another way now, a newer \
                          footplate knows it";

/// What helps where a signature is missing.
const UNSIGNED: &str = "check that this version exists for this architecture. For one that upstream does not sign, give a directory \
                        with its checksums: --from DIR";

fn absent(location: &Location, hint: &str) -> Failure {
    Failure::new(Stage::Fetch, Problem::error("", format!("{location}: the file does not exist")).cure(hint))
}

/// Reads a small file that must be there.
fn required(client: &Client, location: &Location, most: usize, cure: &str) -> Result<Vec<u8>, Failure> {
    read(client, location, most)?.ok_or_else(|| absent(location, cure))
}

/// Reads a small file; `None` where the file does not exist.
fn read(client: &Client, location: &Location, most: usize) -> Result<Option<Vec<u8>>, Failure> {
    found(location.read(client, most), location, most)
}

/// What was read; `None` where the file does not exist.
fn found(
    read: Result<Vec<u8>, Broken>,
    location: &Location,
    most: usize,
) -> Result<Option<Vec<u8>>, Failure> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Broken::Absent) => Ok(None),
        Err(Broken::TooLarge) => Err(anyhow!("{location} has more than {most} bytes"))
            .cure("check the address: upstream's file of this name is smaller")
            .stage(Stage::Verify),
        Err(Broken::Source(error) | Broken::Sink(error)) => {
            let cure = "where this machine can't reach it, give a directory with what upstream publishes: --from DIR";
            Err(error).cure(cure).stage(Stage::Fetch)
        }
    }
}

/// The SHA-256 of a file in a text of checksums: a digest alone, or lines as sha256sum(1) writes them.
fn checksum(text: &str, file: &str) -> Result<String> {
    let digest = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut lone = None;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next().filter(|w| digest(w)) else { continue };
        match words.next() {
            Some(name) if name.trim_start_matches('*').rsplit('/').next() == Some(file) => {
                return Ok(first.to_ascii_lowercase());
            }
            Some(_) => {}
            None => lone = Some(first),
        }
    }
    // Only where it can be of nothing else.
    match lone.filter(|_| text.lines().filter(|l| !l.trim().is_empty()).count() == 1) {
        Some(digest) => Ok(digest.to_ascii_lowercase()),
        None => bail!("holds no SHA-256 of {file}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::publications::KUBERNETES;
    use super::*;
    use crate::io::Console;

    /// What is said of a release whose signatures are not there: upstream itself, or a directory.
    fn unsigned(signed: Signed, version: &str, from: Option<&Location>) -> Result<String, Failure> {
        let publication = Publication {
            name: "tool",
            url: "file:///nonexistent/tool",
            checksum: ".sha256",
            from: "",
            to: "/opt/bin/tool",
            signed,
        };
        let trust = Trust { authority: Authority::fulcio().unwrap(), runc_keyring: None };
        let (client, progress) = (&Client::new().unwrap(), &Progress::new(Console::stderr()));
        let release = Release {
            publication: &publication,
            version,
            arch: "amd64",
            from,
            client,
            trust: &trust,
            progress,
        };
        release.standing(publication.url, &"0".repeat(64), None)
    }

    #[test]
    fn upstream_itself_may_not_leave_signatures_out() {
        let mirror = Location::File("/nonexistent".into());
        let said = unsigned(Signed::Cosign(KUBERNETES), "v1.34.1", Some(&mirror)).unwrap();
        assert_eq!(said, "not verified: the signature is missing");
        let failure = unsigned(Signed::Cosign(KUBERNETES), "v1.34.1", None).unwrap_err();
        assert_eq!(failure.stage, Stage::Fetch);
        assert_eq!(failure.problems[0].what, "/nonexistent/tool.sig: the file does not exist");
    }

    #[test]
    fn a_release_is_attested_from_a_version_on() {
        let attested = || {
            Signed::Attested(Attested { url: "file:///nonexistent/{n}.jsonl", workflow: "", since: (2, 1) })
        };
        // A word that is not a number counts as a new release.
        for (version, since) in
            [("v2.1.0-rc.1", true), ("v10.0.0", true), ("v2.0.9", false), ("v1.7.28", false), ("vtwo", true)]
        {
            let said = unsigned(attested(), version, None);
            assert_eq!(said.map_err(|f| f.stage).err(), since.then_some(Stage::Fetch), "{version}");
            let mirror = Location::File("/nonexistent".into());
            assert!(unsigned(attested(), version, Some(&mirror)).is_ok(), "{version}");
        }
    }

    #[test]
    fn a_checksum_is_taken_of_its_own_file_only() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        assert_eq!(checksum(&a, "kubeadm").unwrap(), a);
        assert_eq!(checksum(&format!("{a}\n"), "kubeadm").unwrap(), a);
        let list = format!("{a}  runc.arm64\n{b} *./release/runc.amd64\n");
        assert_eq!(checksum(&list, "runc.amd64").unwrap(), b.to_ascii_lowercase());
        for bad in ["", "<html>", &a[1..], &format!("{a}  other"), &format!("{a}\n{b}\n")] {
            assert!(checksum(bad, "kubeadm").is_err(), "{bad:?}");
        }
    }
}
