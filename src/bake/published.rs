// SPDX-License-Identifier: Apache-2.0
//! Writes a lock from the checksums that upstream publishes, so that an image's build itself trusts no server.
//!
//! The moment of writing trusts them. What upstream signs, it signs in three ways, each of which needs a machinery of its own
//! (cosign's certificates and transparency log, GitHub's attestations, OpenPGP): none of it belongs in a node's program, so it is
//! named here and verified by upstream's tools, as `docs/images.md` shows.

use std::io::Read as _;

use anyhow::{Context as _, Result, anyhow, bail};

use super::lock::{Artifact, Install, Lock};
use crate::error::{Failure, In as _, Stage, WithHint as _};
use crate::io::fetch::{self, Location};

/// Most of a file of checksums: containerd's release has the longest, with a line for each of its files.
const MAX_CHECKSUMS: u64 = 256 << 10;

/// How often a server in trouble is asked.
const TRIES: u32 = 4;

/// The pause before it is asked again, and twice that the next time.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Something that is published: where, where its checksum is, and where its parts go. In addresses `{v}` is the version,
/// `{n}` the version without its `v`, `{a}` the architecture.
pub struct Publication {
    /// The artifact's name.
    pub name: &'static str,
    url: &'static str,
    /// What stands behind the address for the checksum's, or a whole address.
    checksum: &'static str,
    from: &'static str,
    to: &'static str,
    /// How upstream signs it, where it does.
    signed: Option<&'static str>,
}

/// What a lock can be written for. Kubernetes' own three come first, and together.
pub const PUBLICATIONS: &[Publication] = &[
    // https://kubernetes.io/releases/download/
    kubernetes("kubeadm", "https://dl.k8s.io/release/{v}/bin/linux/{a}/kubeadm", "/opt/bin/kubeadm"),
    kubernetes("kubelet", "https://dl.k8s.io/release/{v}/bin/linux/{a}/kubelet", "/opt/bin/kubelet"),
    kubernetes("kubectl", "https://dl.k8s.io/release/{v}/bin/linux/{a}/kubectl", "/opt/bin/kubectl"),
    Publication {
        name: "cni-plugins",
        url: "https://github.com/containernetworking/plugins/releases/download/{v}/cni-plugins-linux-{a}-{v}.tgz",
        checksum: ".sha256",
        from: "",
        to: "/opt/cni/bin/",
        signed: None,
    },
    Publication {
        name: "containerd",
        url: "https://github.com/containerd/containerd/releases/download/{v}/containerd-{n}-linux-{a}.tar.gz",
        checksum: ".sha256sum",
        from: "bin/",
        to: "/opt/bin/",
        signed: Some("by an attestation of GitHub's"),
    },
    Publication {
        name: "crictl",
        url: "https://github.com/kubernetes-sigs/cri-tools/releases/download/{v}/crictl-{v}-linux-{a}.tar.gz",
        checksum: ".sha256",
        from: "crictl",
        to: "/opt/bin/crictl",
        signed: None,
    },
    Publication {
        name: "runc",
        url: "https://github.com/opencontainers/runc/releases/download/{v}/runc.{a}",
        checksum: "https://github.com/opencontainers/runc/releases/download/{v}/runc.sha256sum",
        from: "",
        to: "/opt/bin/runc",
        signed: Some("by OpenPGP"),
    },
];

const fn kubernetes(name: &'static str, url: &'static str, to: &'static str) -> Publication {
    Publication { name, url, checksum: ".sha256", from: "", to, signed: Some("by cosign") }
}

/// What the checksums of a lock that was written here do not tell, for whoever keeps it.
pub fn unsigned(lock: &Lock) -> String {
    let of = |artifact: &Artifact| {
        let publication = PUBLICATIONS.iter().find(|p| p.name == artifact.name)?;
        Some(format!("{} (upstream signs {})", artifact.name, publication.signed.unwrap_or("nothing")))
    };
    let names: Vec<String> = lock.artifacts.iter().filter_map(of).collect();
    format!("these are the servers' checksums; no signature was verified: {}", names.join(", "))
}

/// Writes a lock: `versions` are names of [`PUBLICATIONS`] with the versions that are wanted.
///
/// # Errors
/// A checksum could not be fetched, or is none.
pub fn lock(versions: &[(&str, &str)], arch: &str, from: Option<&Location>) -> Result<Lock, Failure> {
    let mut artifacts = Vec::new();
    for publication in PUBLICATIONS {
        let Some((_, version)) = versions.iter().find(|(name, _)| *name == publication.name) else {
            continue;
        };
        artifacts.push(published(publication, version, arch, from)?);
    }
    let lock = Lock { version: 1, arch: arch.to_owned(), artifacts };
    lock.check().map_err(|f| anyhow!(f)).stage(Stage::Usage)?;
    Ok(lock)
}

fn published(
    publication: &Publication,
    version: &str,
    arch: &str,
    from: Option<&Location>,
) -> Result<Artifact, Failure> {
    let number = version.strip_prefix('v').unwrap_or_default();
    if !number.starts_with(|c: char| c.is_ascii_digit()) || version.contains('/') {
        let error = Err(anyhow!("--{}: {version:?} is no version", publication.name));
        return error.hint("upstream's versions begin with a v, as v1.34.1").stage(Stage::Usage);
    }
    let fill = |text: &str| text.replace("{v}", version).replace("{n}", number).replace("{a}", arch);
    let url = fill(publication.url);
    let checksums = match publication.checksum.contains("://") {
        true => fill(publication.checksum),
        false => format!("{url}{}", publication.checksum),
    };
    let name = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    let location = from.map_or_else(|| Location::of(&checksums), |from| from.join(&name(&checksums)));
    let text = read(&location).stage(Stage::Fetch)?;
    let sha256 = checksum(&text, &name(&url)).with_context(|| location.to_string()).stage(Stage::Verify)?;
    let install =
        Install { from: publication.from.to_owned(), to: publication.to.to_owned(), mode: "0755".to_owned() };
    Ok(Artifact {
        name: publication.name.to_owned(),
        version: version.to_owned(),
        url,
        sha256: Some(sha256),
        sha512: None,
        install: vec![install],
    })
}

/// Reads a small text.
fn read(location: &Location) -> Result<String> {
    let mut tries = 1;
    loop {
        let opened = fetch::open(location, 0).and_then(|stream| {
            let Some(stream) = stream else { return Ok(None) };
            let mut text = String::new();
            stream.body.take(MAX_CHECKSUMS).read_to_string(&mut text).map_err(anyhow::Error::from)?;
            Ok(Some(text))
        });
        match opened {
            Ok(Some(text)) => return Ok(text),
            Ok(None) => {
                return Err(anyhow!("{location} is not there"))
                    .hint("is there such a version for this architecture?");
            }
            Err(trouble) if trouble.may_pass && tries < TRIES => {
                std::thread::sleep(PAUSE * 2_u32.pow(tries - 1));
                tries += 1;
            }
            Err(trouble) => return Err(trouble.error),
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
    use super::checksum;

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
