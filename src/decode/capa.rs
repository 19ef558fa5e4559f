// SPDX-License-Identifier: Apache-2.0
//! Cluster API's transport on AWS: bootstrap data that is too secret for EC2's user-data stands in Secrets Manager or in
//! SSM's parameters, and the user-data is a boothook that fetches it
//! ([CAPA](https://cluster-api-aws.sigs.k8s.io/topics/userdata-privacy)). The script is read here, and never run: it
//! needs the AWS CLI, and deletes what it could not read.

use std::str::FromStr as _;

use crate::model::problem::Problem;

/// What CAPA's scripts call themselves in their log, in both variants and since the first one.
const MARK: &str = "aws.cluster.x-k8s.io encrypted cloud-init script";

/// Most chunks: CAPA sends 7000 bytes in each, and the API server takes 1 MiB of bootstrap data.
const MAX_CHUNKS: usize = 256;

/// The longest name that either service takes.
const MAX_NAME: usize = 2048;

/// Where a secret stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Secrets Manager: chunks are bytes, named `PREFIX-N`.
    SecretsManager,
    /// SSM Parameter Store: chunks are text, named `PREFIX/N`.
    Ssm,
}

/// What the script knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Where the secret stands.
    pub service: Service,
    /// The service's region.
    pub region: String,
    /// The service's URL, where it is not the region's own.
    pub endpoint: Option<String>,
    /// What the chunks' names begin with.
    pub prefix: String,
    /// How many chunks.
    pub chunks: usize,
    /// The file that the script writes, which an include list then names.
    pub file: String,
}

impl Transport {
    /// The name of a chunk, from 0.
    pub fn name(&self, chunk: usize) -> String {
        match self.service {
            Service::SecretsManager => format!("{}-{chunk}", self.prefix),
            Service::Ssm => format!("{}/{chunk}", self.prefix),
        }
    }
}

/// Reads a boothook; `None` where it is not one of CAPA's.
///
/// # Errors
/// It is one of CAPA's, and what it knows is not found in it.
pub fn parse(script: &str) -> Result<Option<Transport>, Problem> {
    if !script.contains(MARK) {
        return Ok(None);
    }
    let calls = |service: &str| script.contains(&format!("aws {service} "));
    let service = match (calls("secretsmanager"), calls("ssm")) {
        (true, false) => Service::SecretsManager,
        (false, true) => Service::Ssm,
        _ => return Err(broken("the service that it calls")),
    };
    let region = value(script, "REGION").filter(|v| is_made_of(v, "-")).ok_or_else(|| broken("REGION"))?;
    let prefix = value(script, "SECRET_PREFIX").filter(|v| is_made_of(v, "/_+=.@-") && v.len() < MAX_NAME);
    let chunks = value(script, "CHUNKS").and_then(|v| usize::from_str(v).ok());
    let chunks = chunks.filter(|n| (1..=MAX_CHUNKS).contains(n)).ok_or_else(|| broken("CHUNKS"))?;
    let file = value(script, "FILE").filter(|v| v.starts_with('/')).ok_or_else(|| broken("FILE"))?;
    // Without an endpoint the line says `--endpoint-url ` and nothing.
    let endpoint = value(script, "ENDPOINT").and_then(|v| v.strip_prefix("--endpoint-url")).map(str::trim);
    let endpoint = endpoint.filter(|v| !v.is_empty());
    if endpoint
        .is_some_and(|e| !(e.starts_with("https://") || e.starts_with("http://")) || e.contains(['?', '#']))
    {
        return Err(broken("ENDPOINT"));
    }
    Ok(Some(Transport {
        service,
        region: region.to_owned(),
        endpoint: endpoint.map(|e| e.trim_end_matches('/').to_owned()),
        prefix: prefix.ok_or_else(|| broken("SECRET_PREFIX"))?.to_owned(),
        chunks,
        file: file.to_owned(),
    }))
}

/// Whether a boothook is one of CAPA's.
pub fn is_transport(script: &[u8]) -> bool {
    script.windows(MARK.len()).any(|w| w == MARK.as_bytes())
}

fn broken(what: &str) -> Problem {
    Problem::error(
        "boothook",
        format!("Cluster API's script for a hidden secret, and {what} can't be read in it"),
    )
    .cure(
        "footplate knows the scripts for secureSecretsBackend secrets-manager and ssm-parameter-store; \
         insecureSkipSecretsManager: true sends the data itself",
    )
}

/// What the script sets a variable to: the first `NAME="…"` that is a line.
fn value<'a>(script: &'a str, name: &str) -> Option<&'a str> {
    let lines = script.lines().map(str::trim);
    lines.filter_map(|l| l.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')).next()
}

fn is_made_of(text: &str, further: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || further.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(service: &str, endpoint: &str) -> String {
        format!(
            "#cloud-boothook\n#!/bin/bash\nREGION=\"eu-west-1\"\nif [ \"{endpoint}\" != \"\" ]; then\n  \
             ENDPOINT=\"--endpoint-url {endpoint}\"\nfi\nSECRET_PREFIX=\"/a.example/b-1\"\nCHUNKS=\"3\"\n\
             FILE=\"/etc/secret-userdata.txt\"\nFINAL_INDEX=$((CHUNKS - 1))\n\
             log::info \"{MARK} $0 started\"\n  aws {service} ${{ENDPOINT}} --region ${{REGION}} get\n"
        )
    }

    #[test]
    fn both_variants_are_read() {
        let secrets = parse(&script("secretsmanager", "")).unwrap().unwrap();
        assert_eq!((secrets.service, secrets.region.as_str()), (Service::SecretsManager, "eu-west-1"));
        assert_eq!((secrets.endpoint.as_deref(), secrets.chunks), (None, 3));
        assert_eq!(secrets.name(2), "/a.example/b-1-2");
        assert_eq!(secrets.file, "/etc/secret-userdata.txt");
        let ssm = parse(&script("ssm", "https://vpce-1.ssm.example/")).unwrap().unwrap();
        assert_eq!((ssm.service, ssm.name(0).as_str()), (Service::Ssm, "/a.example/b-1/0"));
        assert_eq!(ssm.endpoint.as_deref(), Some("https://vpce-1.ssm.example"));
    }

    #[test]
    fn another_boothook_is_left_alone_and_a_broken_one_is_named() {
        assert_eq!(parse("#cloud-boothook\n#!/bin/sh\naws ssm get\n"), Ok(None));
        let good = script("ssm", "");
        for (from, to, want) in [
            ("CHUNKS=\"3\"", "CHUNKS=\"0\"", "CHUNKS"),
            ("CHUNKS=\"3\"", "CHUNKS=\"100000\"", "CHUNKS"),
            ("CHUNKS=\"3\"", "CHUNKS=\"$(id)\"", "CHUNKS"),
            ("eu-west-1", "evil.example/", "REGION"),
            ("/a.example/b-1\"", "a b\"", "SECRET_PREFIX"),
            ("FILE=\"/etc", "FILE=\"etc", "FILE"),
            ("--endpoint-url \"", "--endpoint-url file:///x\"", "ENDPOINT"),
            ("aws ssm", "aws s3", "the service"),
        ] {
            let script = good.replace(from, to);
            let error = parse(&script).expect_err(from).to_string();
            assert!(error.contains(want), "{to}: {error}");
        }
    }
}
