// SPDX-License-Identifier: Apache-2.0
//! Large files from elsewhere, as streams that can begin in their middle.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    File(PathBuf),
    /// At an `https://` or `http://` address.
    Url(String),
}

impl Location {
    /// The location that an address or a path tells.
    pub fn of(text: &str) -> Self {
        match text.strip_prefix("file://") {
            Some(path) => Self::File(path.into()),
            None if text.contains("://") => Self::Url(text.to_owned()),
            None => Self::File(text.into()),
        }
    }

    /// A file in a directory at this location.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::File(dir) => Self::File(dir.join(name)),
            Self::Url(url) => Self::Url(format!("{}/{name}", url.trim_end_matches('/'))),
        }
    }
}

impl fmt::Display for Location {
    /// Without what a URL may carry of a secret: user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => {
                let url = url.split(['?', '#']).next().unwrap_or_default();
                match url.split_once("://").and_then(|(s, rest)| Some((s, rest.split_once('@')?.1))) {
                    Some((scheme, rest)) => write!(f, "{scheme}://{rest}"),
                    None => f.write_str(url),
                }
            }
        }
    }
}

/// A file that comes in.
pub struct Stream {
    /// The first byte's offset: what was asked for, or 0 where the other side can't begin in the middle.
    pub offset: u64,
    /// The whole file's length, where it is told.
    pub length: Option<u64>,
    /// The bytes.
    pub body: Box<dyn Read>,
}

/// Opens a file at an offset; `None` where there is none.
///
/// # Errors
/// It can't be read.
pub fn open(location: &Location, offset: u64) -> Result<Option<Stream>> {
    match location {
        Location::File(path) => {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    return Ok(None);
                }
                Err(e) => return Err(e).with_context(|| location.to_string()),
            };
            let length = file.metadata()?.len();
            // A part that is longer than the whole belongs to another file.
            let offset = if offset <= length { offset } else { 0 };
            file.seek(SeekFrom::Start(offset))?;
            Ok(Some(Stream { offset, length: Some(length), body: Box::new(file) }))
        }
        Location::Url(_) => bail!("{location}: no network here; --from takes a directory with the file"),
    }
}
