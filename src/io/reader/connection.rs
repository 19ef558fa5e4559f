// SPDX-License-Identifier: Apache-2.0
//! A connection between footplate and a reader. A message is the length of its JSON, the number of its secrets, the length of each
//! (64 bits, the lowest byte first), and then all of these.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::socket::{MsgFlags, recv};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Said;
use crate::model::secret::Secret;
use crate::model::wire::{self, Packed};

/// Where a reader is asked for. Root alone may.
const SOCKET: &str = "/run/footplate-reader.socket";

/// What both must be: one of another version may know other types.
pub(super) const VERSION: &str = env!("FOOTPLATE_VERSION");

/// How long a reader may take to start, on a machine that has much else to do.
const START: Duration = Duration::from_secs(30);

/// How often a reader is asked for that ends before it is ready, and the pause before the next one.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Most bytes of one message. The budget of the run that reads it is smaller.
const MOST: usize = 64 << 20;

/// Most secrets of one message: each file of the data is one.
const MOST_SECRETS: usize = 1 << 20;

/// One end of a connection between footplate and a reader.
pub(super) struct Connection(pub(super) UnixStream);

impl Connection {
    /// A reader that is ready. Where the socket is there and no reader comes, the log says so, and this process does without from then
    /// on.
    pub(super) fn open() -> Option<Self> {
        static NONE: OnceLock<()> = OnceLock::new();
        if NONE.get().is_some() {
            return None;
        }
        let mut tries = 1;
        let error = loop {
            match Self::begin() {
                Ok(line) => return line,
                // systemd can fail to start it while the system is being set up, such as where /tmp is emptied at that moment.
                Err((error, true)) if tries < TRIES => {
                    log::info!("a reader ended before it was ready, and is asked for again: {error:#}");
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                Err((error, _)) => break error,
            }
        };
        let _ = NONE.set(());
        log::warn!(
            "the data is read in this process, for no reader came: {error:#}; see `journalctl -u 'footplate-reader@*'`"
        );
        None
    }

    /// A reader that is ready; `None` where none can be asked for: an image without it, the initramfs, or a user who is not root.
    ///
    /// # Errors
    /// Why none came, and whether another one may come.
    fn begin() -> Result<Option<Self>, (anyhow::Error, bool)> {
        let mut line = match UnixStream::connect(SOCKET) {
            Ok(stream) => Self(stream),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                return Ok(None);
            }
            Err(e) => return Err((anyhow::Error::new(e).context(SOCKET), false)),
        };
        line.wait_for(START).map_err(|e| (e, false))?;
        let asked = Instant::now();
        match line.receive() {
            Ok(Said::Ready(version)) if version == VERSION => Ok(Some(line)),
            Ok(Said::Ready(version)) => Err((anyhow!("it is footplate {version}"), false)),
            Ok(_) => Err((anyhow!("it did not say that it is ready"), false)),
            Err(error) => Err((error, asked.elapsed() < START)),
        }
    }

    /// How long one message is waited for.
    pub(super) fn wait_for(&self, limit: Duration) -> Result<()> {
        Ok(self.0.set_read_timeout(Some(limit))?)
    }

    pub(super) fn send<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let Packed { json, secrets } = wire::pack(value)?;
        let mut head = Vec::with_capacity(16 + 8 * secrets.len());
        for length in [json.len(), secrets.len()].into_iter().chain(secrets.iter().map(Secret::len)) {
            head.extend(u64::try_from(length)?.to_le_bytes());
        }
        self.0.write_all(&head)?;
        self.0.write_all(&json)?;
        secrets.iter().try_for_each(|secret| self.0.write_all(secret.expose()))?;
        Ok(())
    }

    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let json = self.length()?;
        let count = self.length()?;
        if count > MOST_SECRETS {
            bail!("a message of {count} secrets");
        }
        let mut left = MOST;
        let lengths = self.bytes(8 * count, &mut left)?;
        let json = self.bytes(json, &mut left)?;
        let (lengths, _) = lengths.as_chunks();
        let mut secret = |length: &[u8; 8]| Ok(Secret::new(self.bytes(of_bytes(*length)?, &mut left)?));
        let secrets: Result<Vec<Secret>> = lengths.iter().map(&mut secret).collect();
        wire::unpack(Packed { json, secrets: secrets? })
    }

    /// Whether the other end is closed. Waits until it is, or until a message comes.
    pub(super) fn ended(&self) -> Result<bool> {
        Ok(recv(self.0.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK)? == 0)
    }

    fn length(&mut self) -> Result<usize> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        of_bytes(bytes)
    }

    fn bytes(&mut self, length: usize, left: &mut usize) -> Result<Vec<u8>> {
        *left = left.checked_sub(length).with_context(|| format!("a message of more than {MOST} bytes"))?;
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A length as it is sent.
fn of_bytes(bytes: [u8; 8]) -> Result<usize> {
    Ok(usize::try_from(u64::from_le_bytes(bytes))?)
}
