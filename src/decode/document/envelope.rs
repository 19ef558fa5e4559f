// SPDX-License-Identifier: Apache-2.0
//! What user-data travels in: gzip and base64, bounded.

use std::borrow::Cow;
use std::io::{ErrorKind, Read as _};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;

use crate::decode::syntax::yaml::base64_error;

/// Most that anything unpacks to. Bootstrap data is at most 1 MiB as it travels; 32 MiB leaves room for certificates
/// and manifests and stops a bomb before it fills a small node's memory.
pub const MAX_DECODED: usize = 32 << 20;

/// Envelopes within envelopes that are opened. CAPV may encode twice, AWS adds gzip: four is one more than seen.
const MAX_LAYERS: usize = 4;

/// How a value says that it is encoded, in guestinfo's `.encoding` and in `write_files[].encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// base64.
    Base64,
    /// gzip.
    Gzip,
    /// gzip, then base64: decoding goes the other way round.
    GzipBase64,
}

/// All names of all encodings. cloud-init and Ignition each know a part of them.
const NAMES: &[(&str, Encoding)] = &[
    ("", Encoding::Plain),
    ("b64", Encoding::Base64),
    ("base64", Encoding::Base64),
    ("gz", Encoding::Gzip),
    ("gz+b64", Encoding::GzipBase64),
    ("gz+base64", Encoding::GzipBase64),
    ("gzip", Encoding::Gzip),
    ("gzip+b64", Encoding::GzipBase64),
    ("gzip+base64", Encoding::GzipBase64),
    ("text/plain", Encoding::Plain),
];

impl Encoding {
    /// The encoding of that name; case and blanks around it don't matter.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, e)| *e)
    }

    /// The cure for an unknown name.
    pub const HINT: &str = "one of base64, gzip, gzip+base64; left out for plain text";

    /// Undoes it; `most` bytes may come of it, and never more than [`MAX_DECODED`].
    ///
    /// # Errors
    /// A text that says what is wrong with the data without quoting it.
    pub fn decode(self, data: Vec<u8>, most: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Plain => Ok(data),
            Self::Base64 => base64(&data),
            // Python's gzip takes nothing for nothing.
            Self::Gzip if data.is_empty() => Ok(data),
            Self::Gzip => gunzip_to(&data, most),
            Self::GzipBase64 => Self::Gzip.decode(base64(&data)?, most),
        }
    }
}

/// Whether the data starts as gzip does ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952#page-6): magic, deflate).
pub fn is_gzip(data: &[u8]) -> bool {
    data.starts_with(&[0x1f, 0x8b, 0x08])
}

/// Unpacks gzip of one or several members, up to [`MAX_DECODED`].
///
/// # Errors
/// Says whether the data is not gzip, is cut off, damaged, or larger than the bound.
pub fn gunzip(data: &[u8]) -> Result<Vec<u8>, String> {
    gunzip_to(data, MAX_DECODED)
}

fn gunzip_to(data: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let most = most.min(MAX_DECODED);
    if !is_gzip(data) {
        return Err("not gzip data".to_owned());
    }
    let mut unpacked = MultiGzDecoder::new(data).take(most as u64 + 1);
    let (mut out, mut chunk) = (Vec::new(), vec![0; 32 << 10]);
    loop {
        match unpacked.read(&mut chunk) {
            Ok(0) if out.len() > most => {
                return Err(format!("unpacks to more than {} MiB", MAX_DECODED >> 20));
            }
            Ok(0) => return Ok(out),
            Ok(n) => extend(&mut out, &chunk[..n]),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err("the gzip data is cut off".to_owned());
            }
            Err(_) => return Err("the gzip data is damaged".to_owned()),
        }
    }
}

/// Adds bytes to what may become large: it grows by so much at a time that little of it is unused.
pub fn extend(out: &mut Vec<u8>, bytes: &[u8]) {
    const MOST: usize = 2 << 20;
    if out.len() + bytes.len() > out.capacity() {
        out.reserve_exact(out.len().min(MOST).max(bytes.len()));
    }
    out.extend_from_slice(bytes);
}

/// Decodes base64; line breaks and blanks in it don't matter, the padding does.
///
/// # Errors
/// Says what is wrong, without the offending byte.
pub fn base64(data: &[u8]) -> Result<Vec<u8>, String> {
    base64_of(data.iter().copied().filter(|b| !b.is_ascii_whitespace()))
}

/// What base64's symbols, without white space, stand for.
///
/// # Errors
/// They are not base64.
pub fn base64_of(symbols: impl Iterator<Item = u8>) -> Result<Vec<u8>, String> {
    // The last symbol may carry stray bits, as Python's decoder allows: some encoders leave them.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
    );
    let compact: Vec<u8> = symbols.collect();
    LENIENT.decode(compact).map_err(|e| format!("not base64: {}", base64_error(&e)))
}

/// Opens whatever gzip and base64 stand around a document. base64 is taken off only when what comes out is plainly a
/// document: a text may by chance be base64 too.
///
/// # Errors
/// Damaged gzip, or a bomb.
pub fn open(data: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let mut data = Cow::Borrowed(data);
    for _ in 0..MAX_LAYERS {
        if is_gzip(&data) {
            data = gunzip(&data)?.into();
        } else if let Some(inner) = base64_document(&data) {
            data = inner.into();
        } else {
            break;
        }
    }
    Ok(data)
}

fn base64_document(data: &[u8]) -> Option<Vec<u8>> {
    // Most data shows in its first bytes that it is not base64.
    let symbol = |b: &u8| b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b"+/=".contains(b);
    if !data.iter().all(symbol) {
        return None;
    }
    let inner = base64(data).ok()?;
    let again = || base64(&inner).is_ok_and(|i| is_gzip(&i) || crate::decode::sniff(&i).is_some());
    (is_gzip(&inner) || crate::decode::sniff(&inner).is_some() || (inner.len() > 16 && again()))
        .then_some(inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gz(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn b64(data: &[u8]) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.encode(data).into_bytes()
    }

    #[test]
    fn every_encoding_decodes_and_refuses() {
        let text = b"hello, node";
        assert_eq!(Encoding::by_name(" Base64 "), Some(Encoding::Base64));
        assert_eq!(Encoding::by_name("base64+gzip"), None);
        assert_eq!(Encoding::Base64.decode(b"aGVs\nbG8s IG5v\r\nZGU=".to_vec(), MAX_DECODED).unwrap(), text);
        assert_eq!(Encoding::Gzip.decode([gz(b"hello, "), gz(b"node")].concat(), MAX_DECODED).unwrap(), text);
        assert_eq!(Encoding::GzipBase64.decode(b64(&gz(text)), MAX_DECODED).unwrap(), text);
        let packed = gz(text);
        let refused: &[(Encoding, &[u8], &str)] = &[
            (Encoding::Base64, b"aGVsbG8", "padding"),
            (Encoding::Base64, b"aGV*bG8=", "outside the alphabet"),
            (Encoding::Gzip, b"hello", "not gzip"),
            (Encoding::Gzip, &packed[..packed.len() - 9], "cut off"),
            (Encoding::Gzip, &[&packed[..packed.len() - 6], b"xxxxxx"].concat(), "damaged"),
        ];
        for (encoding, data, what) in refused {
            let error = encoding.decode(data.to_vec(), MAX_DECODED).unwrap_err();
            assert!(error.contains(what), "{encoding:?}: {error}");
        }
    }

    #[test]
    fn envelopes_open_to_the_document() {
        let doc = b"#cloud-config\nruncmd: []\n";
        for sealed in [gz(doc), b64(doc), b64(&gz(doc)), gz(&b64(doc)), b64(&b64(doc)), gz(&gz(doc))] {
            assert_eq!(&*open(&sealed).unwrap(), doc);
        }
        assert_eq!(&*open(b"aGVsbG8=").unwrap(), b"aGVsbG8=", "base64 of no document stays");
        assert!(open(&gz(&vec![0; MAX_DECODED + 1])).unwrap_err().contains("more than 32 MiB"));
    }
}
