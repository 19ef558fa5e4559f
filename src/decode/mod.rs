// SPDX-License-Identifier: Apache-2.0
//! Decoders: bytes in, model out. Pure: no I/O, no panic, bounded in size, depth and time.

pub mod cloud_config;
pub mod envelope;
pub mod jinja;
pub mod network;
pub mod yaml;

use crate::model::config::NodeConfig;
use crate::model::finding::{Finding, Pos, any_error};
use jinja::Variables;

/// What a document is, told by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `## template: jinja`: another document once rendered.
    Template,
    /// `#cloud-config`.
    CloudConfig,
    /// A format that is known by name and not read here.
    Foreign(&'static str),
}

/// How documents begin, longest first among those that share a beginning. cloud-init matches prefixes in any case.
const HEADERS: &[(&str, Format)] = &[
    (jinja::HEADER, Format::Template),
    ("#cloud-config-archive", Format::Foreign("a cloud-config archive")),
    ("#cloud-config-jsonp", Format::Foreign("a cloud-config JSON patch")),
    ("#cloud-config", Format::CloudConfig),
    ("#cloud-boothook", Format::Foreign("a cloud-boothook")),
    ("#include", Format::Foreign("an #include list")),
    ("#part-handler", Format::Foreign("a Python part-handler")),
    ("#!", Format::Foreign("a script")),
    ("content-type:", Format::Foreign("a MIME document")),
    ("mime-version:", Format::Foreign("a MIME document")),
];

/// What a document is, or `None` where nothing says so.
pub fn sniff(data: &[u8]) -> Option<Format> {
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data).trim_ascii_start();
    let begins =
        |header: &str| text.get(..header.len()).is_some_and(|t| t.eq_ignore_ascii_case(header.as_bytes()));
    if text.starts_with(b"{") {
        let ignition = text.windows(10).take(4096).any(|w| w == b"\"ignition\"");
        return ignition.then_some(Format::Foreign("an Ignition config"));
    }
    HEADERS.iter().find(|(header, _)| begins(header)).map(|(_, format)| *format)
}

/// What user-data means, and what was found on the way.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The node it describes; incomplete where a finding is an error.
    pub config: NodeConfig,
    /// Everything found, errors not only the first.
    pub findings: Vec<Finding>,
}

impl Decoded {
    /// Whether the data can't be used.
    pub fn failed(&self) -> bool {
        any_error(&self.findings)
    }

    fn refused(finding: Finding) -> Self {
        Self { config: NodeConfig::default(), findings: vec![finding] }
    }
}

/// Reads user-data as it travels, envelopes and template header included.
pub fn user_data(data: &[u8], variables: &Variables) -> Decoded {
    let data = match envelope::open(data) {
        Ok(data) => data,
        Err(what) => return Decoded::refused(Finding::error("", what)),
    };
    let text = match std::str::from_utf8(&data) {
        // jinja and YAML both take CRLF for LF.
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n"),
        Err(e) => {
            let pos = last_pos(&data[..e.valid_up_to()]);
            return Decoded::refused(Finding::error("", "not UTF-8 text").at(pos));
        }
    };
    document(&text, variables, false)
}

fn document(text: &str, variables: &Variables, rendered: bool) -> Decoded {
    match sniff(text.as_bytes()) {
        Some(Format::Template) if !rendered => match jinja::render(text, variables) {
            Ok(rendered) => {
                let mut decoded = document(&rendered.text, variables, true);
                for finding in &mut decoded.findings {
                    finding.pos = finding.pos.map(|pos| rendered.origin(pos));
                }
                decoded.findings.extend(rendered.findings);
                decoded
            }
            Err(finding) => Decoded::refused(finding),
        },
        Some(Format::Template) => Decoded::refused(Finding::error("", "a template within a template")),
        Some(Format::CloudConfig) => cloud_config::decode(text),
        Some(Format::Foreign(name)) => Decoded::refused(
            Finding::error("", format!("{name}: this format is not supported")).hint("send it as #cloud-config"),
        ),
        None if text.trim().is_empty() => Decoded::refused(Finding::error("", "the user-data is empty")),
        None => Decoded::refused(
            Finding::error("", "nothing says what this is")
                .at(Pos { line: 1, column: 1 })
                .hint("the first line must be `#cloud-config`, or `## template: jinja` with `#cloud-config` below it"),
        ),
    }
}

/// The bootstrap data in a Secret of Cluster API, as `kubectl get secret -o yaml` (or `-o json`) prints it; `None` where
/// the text is no such Secret.
///
/// # Errors
/// It is a Secret, and holds no bootstrap data or broken data.
pub fn bootstrap_secret(text: &str) -> Result<Option<Vec<u8>>, Finding> {
    if sniff(text.as_bytes()).is_some() || !text.contains("Secret") {
        return Ok(None);
    }
    let Ok(node) = yaml::parse(text) else { return Ok(None) };
    if node.get("kind").and_then(yaml::Node::text) != Some("Secret") {
        return Ok(None);
    }
    let value = |map: &str| node.get(map).and_then(|d| d.get("value")).and_then(yaml::Node::text);
    if let Some(plain) = value("stringData") {
        return Ok(Some(plain.as_bytes().to_vec()));
    }
    let Some(encoded) = value("data") else {
        return Err(Finding::error("data.value", "missing: this Secret holds no bootstrap data")
            .hint("name the Secret that Machine.spec.bootstrap.dataSecretName names"));
    };
    envelope::base64(encoded.as_bytes()).map(Some).map_err(|what| Finding::error("data.value", what))
}

/// The place behind the last of these bytes.
fn last_pos(before: &[u8]) -> Pos {
    let text = String::from_utf8_lossy(before);
    let column = text.rsplit('\n').next().map_or(0, |l| l.chars().count());
    Pos { line: text.matches('\n').count() + 1, column: column + 1 }
}
