// SPDX-License-Identifier: Apache-2.0
//! Certificates, as far as they are read here: when they hold, and their extensions. It verifies nothing.

use crate::model::time::Time;

/// A value of DER: its tag, what is in it, and what follows it
/// ([X.690](https://www.itu.int/rec/T-REC-X.690), definite lengths only).
pub fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        length @ 0..=0x7f => (length, rest),
        // One to four bytes of length.
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// What is in a value of this tag, and what follows it.
fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    value(der).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The name of the attribute `commonName` ([RFC 5280, appendix A.1](https://www.rfc-editor.org/rfc/rfc5280#appendix-A.1)).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// A certificate ([RFC 5280, section 4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1)).
pub struct Certificate<'a> {
    /// When it begins to hold.
    pub not_before: Time,
    /// When it ends.
    pub not_after: Time,
    /// What stands behind the validity: the subject, its key, extensions.
    rest: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads one.
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = expect(SEQUENCE, der)?;
        let (mut rest, _) = expect(SEQUENCE, certificate)?;
        // The version, which the first one leaves out.
        if let Some((0xa0, _, after)) = value(rest) {
            rest = after;
        }
        // Serial number, signature, issuer.
        for _ in 0..3 {
            rest = value(rest)?.2;
        }
        let (validity, rest) = expect(SEQUENCE, rest)?;
        let (not_before, after) = time(validity)?;
        let (not_after, _) = time(after)?;
        Some(Self { not_before, not_after, rest })
    }

    /// The common name of its subject: whom it is for.
    pub fn common_name(&self) -> Option<&'a str> {
        let (mut subject, _) = expect(SEQUENCE, self.rest)?;
        while !subject.is_empty() {
            let (set, after) = expect(SET, subject)?;
            subject = after;
            let (oid, text) = expect(OID, expect(SEQUENCE, set)?.0)?;
            if oid == COMMON_NAME {
                return std::str::from_utf8(value(text)?.1).ok();
            }
        }
        None
    }

    /// The public key with its algorithm, in DER: `SubjectPublicKeyInfo`.
    pub fn public_key(&self) -> Option<&'a [u8]> {
        let after_subject = value(self.rest)?.2;
        let rest = value(after_subject)?.2;
        after_subject.get(..after_subject.len() - rest.len())
    }

    /// The value of the extension of this name, in DER; `None` where it is not there exactly once.
    pub fn extension(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut rest = self.rest;
        let (all, _) = loop {
            let (tag, content, after) = value(rest)?;
            if tag == 0xa3 {
                break expect(SEQUENCE, content)?;
            }
            rest = after;
        };
        let (mut rest, mut found) = (all, None);
        while !rest.is_empty() {
            let (extension, after) = expect(SEQUENCE, rest)?;
            rest = after;
            let (oid, mut extension) = expect(OID, extension)?;
            if oid != name {
                continue;
            }
            // Whether it is critical.
            if let Some((_, after)) = expect(BOOLEAN, extension) {
                extension = after;
            }
            let (content, _) = expect(OCTET_STRING, extension)?;
            if found.replace(content).is_some() {
                return None;
            }
        }
        found
    }
}

fn time(der: &[u8]) -> Option<(Time, &[u8])> {
    let (tag, text, after) = value(der)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        // UTCTime has two digits: from 1950 to 2049.
        0x17 => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        0x18 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |n: usize| rest.get(2 * n..2 * n + 2)?.parse::<u32>().ok().map(i64::from);
    Some((Time::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?)?, after))
}
