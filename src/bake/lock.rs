// SPDX-License-Identifier: Apache-2.0
//! The lock file: which artifacts an image holds, byte for byte, and where their parts go. Other tools write it too, so its
//! form is a contract:
//!
//! ```json
//! {"version": 1, "arch": "amd64", "artifacts": [
//!   {"name": "kubeadm", "version": "v1.34.1", "url": "https://dl.k8s.io/…/kubeadm", "sha256": "…",
//!    "install": [{"from": "", "to": "/opt/bin/kubeadm", "mode": "0755"}]}]}
//! ```
//!
//! `sha512` may stand beside `sha256` or in its place. `from` is a path inside a `.tar.gz` or `.tgz`, and empty for a plain
//! file; a `to` that ends in `/` takes all below `from`, or the one file that `from` names. Keys that are not known
//! here are left alone.

use serde::{Deserialize, Serialize};

use crate::model::problem::Problem;

/// Where the lock of an image stands in it.
pub const LOCK: &str = "/opt/footplate/lock.json";

/// Most that a lock file holds.
pub const MAX_LOCK: usize = 1 << 20;

/// The link in an artifact's directory of the store to the version in use; no version may be called so.
pub const CURRENT: &str = "current";

/// Most artifacts.
const MAX_ARTIFACTS: usize = 1000;

/// The architectures that Flatcar is built for, by Kubernetes' names, with their ELF machine numbers
/// ([elf.h](https://man7.org/linux/man-pages/man5/elf.5.html)).
pub const ARCHITECTURES: &[(&str, u16)] = &[("amd64", 62), ("arm64", 183)];

/// The architecture that this program is built for, by Kubernetes' name.
pub const OWN_ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// A lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The version of this form: 1.
    pub version: u32,
    /// The architecture, by Kubernetes' name.
    pub arch: String,
    /// The artifacts.
    pub artifacts: Vec<Artifact>,
}

/// A file that is published somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name, once in a lock.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is published; its last part is its name in a directory.
    pub url: String,
    /// Its digest in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The same, where upstream publishes this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
    /// Where its parts go.
    pub install: Vec<Install>,
}

/// A part of an artifact and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// A path inside an archive; empty for a plain file and for the whole archive.
    #[serde(default)]
    pub from: String,
    /// An absolute path, or a directory with `/` at its end.
    pub to: String,
    /// Permission bits in octal.
    #[serde(default = "executable")]
    pub mode: String,
}

fn executable() -> String {
    "0755".to_owned()
}

impl Install {
    /// The permission bits.
    pub fn bits(&self) -> u32 {
        // Checked when the lock was read.
        u32::from_str_radix(&self.mode, 8).unwrap_or(0o755)
    }

    /// `from` without a leading `./` and a closing `/`; empty for the whole.
    fn inside(&self) -> &str {
        let from = self.from.strip_suffix('/').unwrap_or(&self.from);
        if from == "." { "" } else { from.strip_prefix("./").unwrap_or(from) }
    }

    /// Whether it takes the published file as it is.
    fn takes_the_file(&self) -> bool {
        self.inside().is_empty() && !self.to.ends_with('/')
    }

    /// Where a member of the archive goes; `None` where this part does not take it.
    pub fn place(&self, member: &str) -> Option<String> {
        let from = self.inside();
        if !self.to.ends_with('/') {
            return (member == from).then(|| self.to.clone());
        }
        // One file that is named goes into the directory by its own name.
        let below = match member == from {
            true => from.rsplit('/').next()?,
            false if from.is_empty() => member,
            false => member.strip_prefix(from)?.strip_prefix('/')?,
        };
        (!below.is_empty()).then(|| format!("{}{below}", self.to))
    }
}

impl Artifact {
    /// The last part of the URL: its file's name.
    pub fn file_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether parts of it are taken, and not the file as it is.
    pub fn is_archive(&self) -> bool {
        let name = self.file_name();
        (name.ends_with(".tar.gz") || name.ends_with(".tgz"))
            && !self.install.iter().any(Install::takes_the_file)
    }

    /// The name of a plain file in the store: what it is first installed as.
    pub fn stored_name(&self) -> &str {
        let to = self.install.first().map(|i| i.to.as_str()).unwrap_or_default();
        match to.rsplit_once('/') {
            Some((_, name)) if !name.is_empty() => name,
            _ => self.file_name(),
        }
    }

    /// What tells its bytes from all others: `sha256:…` or `sha512:…`.
    pub fn digest(&self) -> String {
        match (&self.sha256, &self.sha512) {
            (Some(sha256), _) => format!("sha256:{}", sha256.to_ascii_lowercase()),
            (None, sha512) => {
                format!("sha512:{}", sha512.as_deref().unwrap_or_default().to_ascii_lowercase())
            }
        }
    }
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// The first thing wrong with it, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let broken = |e: serde_json::Error| {
            let pos = crate::model::problem::Pos { line: e.line(), column: e.column() };
            // serde_json repeats the position at the end of its text, and says in plain words only which field it is.
            let text = e.to_string();
            let what = match e.classify() {
                serde_json::error::Category::Data => {
                    let said = text.split(" at line ").next().unwrap_or_default();
                    match said.strip_prefix("missing field ") {
                        Some(key) => format!("the key {key} is missing"),
                        None => said.to_owned(),
                    }
                }
                _ => "this is not JSON, or a part of it is missing".to_owned(),
            };
            Problem::error("", what).at(pos).cure("`footplate bake lock --help` tells how to write one")
        };
        // The version first: a newer form may look different in all else.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
        if head.version != 1 {
            let what = format!("a lock file of version {}; this footplate reads version 1", head.version);
            return Err(Problem::error("version", what));
        }
        let lock: Self = serde_json::from_slice(bytes).map_err(broken)?;
        lock.check()?;
        Ok(lock)
    }

    /// The ELF machine number of its architecture.
    pub fn machine(&self) -> u16 {
        ARCHITECTURES.iter().find(|(name, _)| *name == self.arch).map_or(0, |(_, machine)| *machine)
    }

    /// An artifact by its name.
    pub fn artifact(&self, name: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|a| a.name == name)
    }

    /// Whether it keeps to its form.
    ///
    /// # Errors
    /// The first thing wrong with it, with its place.
    pub fn check(&self) -> Result<(), Problem> {
        if ARCHITECTURES.iter().all(|(name, _)| *name != self.arch) {
            return Err(Problem::error("arch", "is neither amd64 nor arm64"));
        }
        if self.artifacts.len() > MAX_ARTIFACTS {
            return Err(Problem::error("artifacts", format!("more than {MAX_ARTIFACTS}")));
        }
        let mut targets: Vec<&str> = Vec::new();
        for (i, artifact) in self.artifacts.iter().enumerate() {
            let place = format!("artifacts[{i}]");
            check_artifact(artifact, &place)?;
            if self.artifacts[..i].iter().any(|a| a.name == artifact.name) {
                return Err(Problem::error(format!("{place}.name"), "is in the lock twice"));
            }
            for (j, install) in artifact.install.iter().enumerate() {
                let place = format!("{place}.install[{j}]");
                check_install(install, artifact, &place)?;
                if !install.to.ends_with('/') && targets.contains(&install.to.as_str()) {
                    return Err(Problem::error(format!("{place}.to"), "is in the lock twice"));
                }
                targets.push(&install.to);
            }
        }
        Ok(())
    }
}

fn check_artifact(artifact: &Artifact, place: &str) -> Result<(), Problem> {
    let error = |key: &str, what: &str| Err(Problem::error(format!("{place}.{key}"), what));
    for (key, text) in [("name", &artifact.name), ("version", &artifact.version)] {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || text.len() > 128 || !text.chars().all(plain) || text == CURRENT {
            return error(
                key,
                "must be a name of letters, digits and ._+~- only, because a directory is named after it",
            );
        }
    }
    let scheme = artifact.url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("https" | "http" | "file")) || artifact.url.contains(char::is_whitespace) {
        return error("url", "must begin with https://, http:// or file://");
    }
    if matches!(artifact.file_name(), "" | "." | "..") {
        return error("url", "must end in a file's name");
    }
    for (key, digest, digits) in [("sha256", &artifact.sha256, 64), ("sha512", &artifact.sha512, 128)] {
        let hex = |d: &String| d.len() == digits && d.bytes().all(|b| b.is_ascii_hexdigit());
        if !digest.as_ref().is_none_or(hex) {
            return error(key, &format!("must be a digest of {digits} hexadecimal digits"));
        }
    }
    if artifact.sha256.is_none() && artifact.sha512.is_none() {
        let problem = Problem::error(place, "has neither sha256 nor sha512");
        return Err(problem.cure("add one of them: only what can be verified is installed"));
    }
    if artifact.install.is_empty() {
        return error("install", "is empty");
    }
    if !artifact.is_archive() && artifact.install.iter().any(|i| i.mode != artifact.install[0].mode) {
        return error("install", "has several modes for one file");
    }
    Ok(())
}

fn check_install(install: &Install, artifact: &Artifact, place: &str) -> Result<(), Problem> {
    let error = |key: &str, what: &str| Err(Problem::error(format!("{place}.{key}"), what));
    let sound = |path: &str| {
        path.split('/').all(|p| !matches!(p, "" | "." | "..")) && !path.contains(char::is_control)
    };
    let to = install.to.strip_suffix('/').unwrap_or(&install.to);
    if !to.strip_prefix('/').is_some_and(sound) {
        return error("to", "must be an absolute path without . and ..");
    }
    // /usr is read-only and replaced by updates; /run and /tmp do not last; the store is the store's.
    let reserved = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/sys", "/dev", "/run", "/tmp"];
    let below = |dir: &str| to == dir || to.starts_with(&format!("{dir}/"));
    if reserved.iter().any(|dir| below(dir)) {
        let problem = Problem::error(
            format!("{place}.to"),
            "is outside the directories that are writable and persistent on Flatcar",
        );
        return Err(problem.cure("use /opt/bin or /opt/cni/bin"));
    }
    if below("/opt/footplate") {
        return error("to", "is in footplate's own directory");
    }
    let from = install.inside();
    if !artifact.is_archive() && !from.is_empty() {
        let what = "names a part of a plain file: only a URL that ends in .tar.gz or .tgz has parts";
        return Err(Problem::error(format!("{place}.from"), what).cure("leave `from` empty for a plain file"));
    }
    if !from.is_empty() && !sound(from) {
        return error("from", "must be a relative path without . and ..");
    }
    let bits = u32::from_str_radix(&install.mode, 8)
        .ok()
        .filter(|_| install.mode.starts_with(|c: char| c.is_digit(8)));
    match bits {
        Some(bits) if bits & !0o777 == 0 && bits & 0o022 == 0 => Ok(()),
        Some(_) => error(
            "mode",
            "must not let users other than root write it, and must not set the user or group ID",
        ),
        None => error("mode", "must be octal, for example 0755"),
    }
}
