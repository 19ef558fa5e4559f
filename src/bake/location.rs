// SPDX-License-Identifier: Apache-2.0
//! Where files that an image is made of come from: this machine, or a server.

use std::fmt;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};

use super::progress::Progress;
use crate::io::http::{Client, Request, Sink, Unfinished, proxies_of_environment};

/// Redirects that are followed: a release on GitHub takes one, a mirror in front of it another.
const MAX_REDIRECTS: u8 = 5;

/// A buffer as large as what a pipe or a socket brings at once.
const BUFFER: usize = 64 << 10;

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    File(PathBuf),
    /// At an `https://` or `http://` address.
    Url(String),
}

/// Why a file was not brought whole.
#[derive(Debug)]
pub enum Broken {
    /// The file does not exist.
    Absent,
    /// It is larger than the bound.
    TooLarge,
    /// It could not be read, or the server did not send it.
    Source(anyhow::Error),
    /// The place where it goes refused.
    Sink(anyhow::Error),
}

impl Location {
    /// The location that an address or a path names.
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

    /// Brings at most `limit` bytes into a sink, behind those that it has. Servers are asked through the proxies of the
    /// environment, which builds of images have.
    ///
    /// # Errors
    /// Why it did not come whole.
    pub fn bring(&self, client: &Client, limit: usize, sink: &mut dyn Sink) -> Result<(), Broken> {
        match self {
            Self::File(path) => copy(path, limit, sink),
            Self::Url(url) => {
                let mut request = Request::get(url).with_login();
                request.limit = limit;
                request.redirects = MAX_REDIRECTS;
                request.options = proxies_of_environment();
                client.download(&request, sink).map_err(|unfinished| match unfinished {
                    Unfinished::Server(error) if matches!(error.status, Some(404 | 410)) => Broken::Absent,
                    Unfinished::Server(error) if error.too_large => Broken::TooLarge,
                    Unfinished::Server(error) => Broken::Source(error.into()),
                    Unfinished::Sink(error) => Broken::Sink(error),
                })
            }
        }
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn read(&self, client: &Client, limit: usize) -> Result<Vec<u8>, Broken> {
        self.read_large(client, limit, None)
    }

    /// Reads a file whose coming is told under a name.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn read_large(
        &self,
        client: &Client,
        limit: usize,
        told: Option<(&Progress, &str)>,
    ) -> Result<Vec<u8>, Broken> {
        let mut memory = Memory { bytes: Vec::new(), told };
        self.bring(client, limit, &mut memory)?;
        Ok(memory.bytes)
    }
}

impl fmt::Display for Location {
    /// Without the parts of a URL that may be secret: user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(&Request::get(url).with_login().place()),
        }
    }
}

fn copy(path: &Path, limit: usize, sink: &mut dyn Sink) -> Result<(), Broken> {
    let broken = |e: std::io::Error| Broken::Source(anyhow!(e).context(path.display().to_string()));
    let mut file = crate::io::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Broken::Absent,
        _ => broken(e),
    })?;
    let length = file.metadata().map_err(broken)?.len();
    // A part that is longer than the whole belongs to another file.
    let offset = if sink.have() <= length { sink.have() } else { 0 };
    file.seek(SeekFrom::Start(offset)).map_err(broken)?;
    sink.begin(offset, Some(length)).map_err(Broken::Sink)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(broken(e)),
        };
        if sink.have() + n as u64 > limit as u64 {
            return Err(Broken::TooLarge);
        }
        sink.take(&buffer[..n]).map_err(Broken::Sink)?;
    }
    if sink.have() < length {
        let what = format!("{}: it ended after {} of {length} bytes", path.display(), sink.have());
        return Err(Broken::Source(anyhow!(what)));
    }
    Ok(())
}

/// A file in memory.
struct Memory<'a> {
    bytes: Vec<u8>,
    told: Option<(&'a Progress, &'a str)>,
}

impl Sink for Memory<'_> {
    fn have(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn begin(&mut self, offset: u64, length: Option<u64>) -> Result<()> {
        self.bytes.truncate(usize::try_from(offset).context("the offset is beyond the address space")?);
        if let Some((progress, name)) = self.told {
            progress.begin(name, offset, length);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        if let Some((progress, name)) = self.told {
            progress.advance(name, bytes.len() as u64);
        }
        Ok(())
    }

    fn interrupted(&mut self, why: &str) {
        match self.told {
            Some((progress, name)) => progress.broke(name, why),
            None => log::debug!("{why}; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_tells_no_secret() {
        for (text, told) in [
            ("file:///srv/x", "/srv/x"),
            ("x/y", "x/y"),
            ("https://u:p@mirror.example:8443/x?token=t#f", "https://mirror.example:8443/x"),
            ("https://mirror.example/a@b", "https://mirror.example/a@b"),
        ] {
            assert_eq!(Location::of(text).to_string(), told);
        }
        assert_eq!(Location::of("https://a.example/d/").join("f"), Location::of("https://a.example/d/f"));
    }
}
