// SPDX-License-Identifier: Apache-2.0
//! Reads tar archives as a stream: POSIX ustar, pax and GNU's long names
//! ([pax](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13),
//! [GNU](https://www.gnu.org/software/tar/manual/html_node/Standard.html)).
//!
//! Its own reader, since what it needs is small and bounded: names that can't leave a directory, and no header that makes it
//! hold more than [`MAX_EXTENDED`] in memory. [`pack`] writes a plain archive.

use std::io::Read;

use anyhow::{Context as _, Result, bail};

const BLOCK: usize = 512;

/// Most bytes of an extended header: a path has 4096 at most, and attributes are few.
const MAX_EXTENDED: u64 = 64 << 10;

/// Most members: Kubernetes' archives have some tens.
const MAX_MEMBERS: usize = 10_000;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, a device or something else.
    Other,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path: relative, without `.` and `..`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of its content.
    pub size: u64,
}

/// An archive of files with these names, which only root reads. A name that is longer than a header's field has GNU's long form.
pub fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    fn member(out: &mut Vec<u8>, kind: u8, name: &str, bytes: &[u8]) {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &name.chars().take_while(char::is_ascii).take(NAME).collect::<String>());
        for (at, text) in [(100, "0000600"), (108, "0000000"), (116, "0000000"), (136, "00000000000")] {
            put(at, text);
        }
        put(124, &format!("{:011o}", bytes.len()));
        put(148, "        ");
        put(257, "ustar\0");
        put(263, "00");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend(header);
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let mut out = Vec::new();
    for (name, bytes) in files {
        if name.len() > NAME || !name.is_ascii() {
            member(&mut out, b'L', "././@LongLink", format!("{name}\0").as_bytes());
        }
        member(&mut out, b'0', name, bytes);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// Bytes of a header's name.
const NAME: usize = 100;

/// An archive that is read from its beginning to its end.
pub struct Archive<R> {
    input: R,
    /// Bytes of the current member, and of its padding, that are still to come.
    left: u64,
    padding: u64,
    members: usize,
}

impl<R: Read> Archive<R> {
    /// Reads `input`, already decompressed.
    pub fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0, members: 0 }
    }

    /// The next member, what is left of the last one skipped; `None` at the end.
    ///
    /// # Errors
    /// The archive is broken, ends early, or a name leads out of it.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        let (mut path, mut size) = (None, None);
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.members += 1;
            if self.members > MAX_MEMBERS {
                bail!("more than {MAX_MEMBERS} members");
            }
            let own_size = number(&header[124..136]).context("a member's size")?;
            match header[156] {
                b'x' => {
                    for (key, value) in pax(&self.extended(own_size)?)? {
                        match key.as_str() {
                            "path" => path = Some(value),
                            "size" => size = Some(value.parse().context("a member's size")?),
                            _ => {}
                        }
                    }
                }
                // Defaults for all members: comments and times, nothing of what is looked at here.
                b'g' => drop(self.extended(own_size)?),
                b'L' => path = Some(text(&self.extended(own_size)?)?),
                // The target of a link; links are not taken.
                b'K' => drop(self.extended(own_size)?),
                kind => {
                    let size = size.unwrap_or(own_size);
                    let kind = match kind {
                        b'0' | 0 | b'7' => Kind::File,
                        b'5' => Kind::Directory,
                        _ => Kind::Other,
                    };
                    self.start(if kind == Kind::File { size } else { 0 });
                    let path = match path {
                        Some(path) => path,
                        None => header_path(&header)?,
                    };
                    // Before POSIX a directory was told by the slash at its end.
                    let kind = if kind == Kind::File && path.ends_with('/') { Kind::Directory } else { kind };
                    return Ok(Some(Member { path: clean(&path)?, kind, size }));
                }
            }
        }
    }

    fn start(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn skip(&mut self) -> Result<()> {
        let rest = self.left + self.padding;
        let skipped = std::io::copy(&mut (&mut self.input).take(rest), &mut std::io::sink())?;
        if skipped != rest {
            bail!("ends in the middle of a member");
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut header = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            match self.input.read(&mut header[have..])? {
                0 if have == 0 => bail!("ends without its end mark"),
                0 => bail!("ends in the middle of a header"),
                n => have += n,
            }
        }
        if header.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let stored = number(&header[148..156]).context("a header's checksum")?;
        let blank = |i: usize, b: u8| if (148..156).contains(&i) { b' ' } else { b };
        let sum: u64 = header.iter().enumerate().map(|(i, b)| u64::from(blank(i, *b))).sum();
        if sum != stored {
            bail!("a header's checksum is wrong");
        }
        Ok(Some(header))
    }

    /// The content of an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENDED {
            bail!("an extended header of {size} bytes");
        }
        self.start(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Archive<R> {
    /// Reads the current member's content.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.input.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "ends in the middle of a member",
            ));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// A number field: octal text, or GNU's base-256 where its first bit is set.
fn number(field: &[u8]) -> Result<u64> {
    if field[0] & 0x80 != 0 {
        let mut value = u64::from(field[0] & 0x7f);
        for byte in &field[1..] {
            value =
                value.checked_mul(256).and_then(|v| v.checked_add(u64::from(*byte))).context("too large")?;
        }
        return Ok(value);
    }
    let text = text(field)?;
    let digits = text.trim();
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).ok().context("is not octal")
}

/// Text up to its first NUL.
fn text(field: &[u8]) -> Result<String> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8(field[..end].to_vec()).context("not UTF-8 text")
}

fn header_path(header: &[u8; BLOCK]) -> Result<String> {
    let name = text(&header[..100])?;
    // GNU's old format, "ustar  ", has other fields where POSIX has the prefix.
    let prefix = if &header[257..263] == b"ustar\0" { text(&header[345..500])? } else { String::new() };
    Ok(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
}

/// Records of a pax header: `LENGTH KEY=VALUE\n`, the length counting itself.
fn pax(mut bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let record = (|| {
            let space = bytes.iter().position(|b| *b == b' ')?;
            let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|b| *b == b'=')?;
            Some((length, &record[..equals], &record[equals + 1..]))
        })();
        let Some((length, key, value)) = record else { bail!("a pax header that can't be read") };
        // Other keys may carry any bytes.
        if key == b"path" || key == b"size" {
            records.push((text(key)?, text(value)?));
        }
        bytes = &bytes[length..];
    }
    Ok(records)
}

/// A member's path without `.`; one that leads out of the archive is refused.
fn clean(path: &str) -> Result<String> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        bail!("the member {path:?} leads out of the archive");
    }
    if path.len() > 4096 || path.chars().any(char::is_control) {
        bail!("the member {path:?} has no usable name");
    }
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    Ok(parts.join("/"))
}
