// SPDX-License-Identifier: Apache-2.0
//! Signed documents. The last four lines of one are its signature as [minisign](https://jedisct1.github.io/minisign/) writes it,
//! each behind `# `: a comment for every other reader of cloud-config or YAML. What stands before them is signed.
//!
//! ```text
//! # untrusted comment: signature from minisign secret key
//! # RUQ…
//! # trusted comment: machine=pool-a-7xk2p not-after=2027-01-31T00:00:00Z
//! # …
//! ```
//!
//! The trusted comment is signed too. Its words `machine=NAME` name the machines that the document is for, and `not-after=TIME`
//! ends its use.

use minisign_verify::{Error, PublicKey, Signature};

use crate::model::time::Time;

/// Lines of a signature.
const LINES: usize = 4;

/// The keys of a file: minisign's public keys, a line each; its comments, empty lines and lines behind `#` are passed over.
///
/// # Errors
/// The number of the first line that is not a key.
pub fn keys(text: &str) -> Result<Vec<PublicKey>, usize> {
    let told =
        |line: &str| !line.is_empty() && !line.starts_with("untrusted comment:") && !line.starts_with('#');
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| told(line));
    lines.map(|(n, line)| PublicKey::from_base64(line).map_err(|_| n + 1)).collect()
}

/// Whom a signed document must be for, and when.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The names of this machine: one of them must be among those of the signature, where it has any.
    pub machine: &'a [&'a str],
    /// The time now, where the signature must say until when it holds.
    pub until: Option<Time>,
}

/// The part of a document that one of these keys signed.
///
/// # Errors
/// Why it can't be used, as what is said of the document.
pub fn verified<'d>(document: &'d [u8], keys: &[PublicKey], wanted: Use<'_>) -> Result<&'d [u8], String> {
    let (signed, signature) = split(document).ok_or("has no signature")?;
    let signature =
        Signature::decode(&signature).map_err(|_| "has a signature that is not one of minisign's")?;
    let mut why = Error::UnexpectedKeyId;
    let good = keys.iter().any(|key| match key.verify(signed, &signature, false) {
        Ok(()) => true,
        Err(Error::UnexpectedKeyId) => false,
        Err(error) => {
            why = error;
            false
        }
    });
    match why {
        _ if good => {}
        Error::UnexpectedKeyId => return Err("is signed by a key that this image does not have".into()),
        Error::InvalidSignature => return Err("was changed after it was signed".into()),
        _ => {
            return Err("is signed by a method that is not taken: sign it with minisign's own default".into());
        }
    }
    claims(signature.trusted_comment(), wanted).map(|()| signed)
}

/// Whether a document says that it is signed.
pub fn is_signed(document: &[u8]) -> bool {
    split(document).is_some()
}

/// A document without its signature, and the signature as minisign writes it.
fn split(document: &[u8]) -> Option<(&[u8], String)> {
    let text = document.trim_ascii_end();
    let mut begin = text.len();
    for line in 0..LINES {
        let above = if line == 0 { begin } else { begin - 1 };
        begin = text[..above].iter().rposition(|b| *b == b'\n')? + 1;
    }
    let lines = std::str::from_utf8(&text[begin..]).ok()?.lines();
    let plain: Vec<&str> = lines.map(|line| line.strip_prefix("# ")).collect::<Option<_>>()?;
    let is =
        plain.first()?.starts_with("untrusted comment:") && plain.get(2)?.starts_with("trusted comment:");
    is.then(|| (&text[..begin], plain.join("\n") + "\n"))
}

/// Whether the words of a trusted comment allow this use.
fn claims(comment: &str, wanted: Use<'_>) -> Result<(), String> {
    let said = |name: &str| {
        let word =
            move |word: &str| word.split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v.to_owned());
        comment.split_ascii_whitespace().filter_map(word).collect::<Vec<_>>()
    };
    let machines = said("machine");
    if !machines.is_empty() && !machines.iter().any(|m| wanted.machine.contains(&m.as_str())) {
        return Err("is signed for another machine".into());
    }
    let ends = said("not-after");
    for end in &ends {
        let Some(end) = Time::parse(end) else {
            return Err(
                "has a signature whose `not-after=` is not a time such as 2027-01-31T00:00:00Z".into()
            );
        };
        if wanted.until.is_some_and(|now| now > end) {
            return Err("has a signature whose `not-after=` has passed by this machine's clock".into());
        }
    }
    if wanted.until.is_some() && ends.is_empty() {
        return Err(
            "has a signature that does not say until when it holds: `not-after=TIME` is missing".into()
        );
    }
    Ok(())
}
