// SPDX-License-Identifier: Apache-2.0
//! Hyper-V's key-value pairs as files
//! ([hv_kvp_daemon](https://github.com/torvalds/linux/blob/v6.1/tools/hv/hv_kvp_daemon.c)): records of one length, which the daemon hands
//! to the host when the host asks.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::root::lock_file;

/// Bytes of a key and of a pair: both are filled up with NUL.
pub const KEY: usize = 512;
/// See [`KEY`].
pub const PAIR: usize = KEY + 2048;

/// The pairs that the guest tells its host.
pub(super) const OF_GUEST: &str = "/var/lib/hyperv/.kvp_pool_1";

/// The most pairs that a file may have.
const MOST: usize = 1024;

/// How often, and after which time, a file that another program holds is tried again.
const TRIES: usize = 150;
const PAUSE: Duration = Duration::from_millis(100);

/// A pair as the files have it. What is too long is cut: the last byte of each field is NUL.
pub fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    let mut pair = vec![0; PAIR];
    for (from, most, field) in [(0, KEY - 1, key.as_bytes()), (KEY, PAIR - KEY - 1, value)] {
        let length = field.len().min(most);
        pair[from..from + length].copy_from_slice(&field[..length]);
    }
    pair
}

/// Puts a pair into a file, in the place of one with the same key. Without the file's directory there is no daemon, and nothing is
/// written. A file that is older than this boot has pairs of the boot before: it is emptied, as cloud-init does it.
///
/// # Errors
/// The file is full, can't be written, or another program holds it.
pub(super) fn put(path: &str, key: &str, value: &[u8]) -> Result<()> {
    if !Path::new(path).parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    // The daemon takes the one lock, cloud-init and Azure's agents the other.
    let mut file = File::from(lock_file(path)?);
    let mut tries = 0;
    let file = loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => break locked,
            Err((same, Errno::EAGAIN)) if tries < TRIES => file = same,
            Err((_, error)) => bail!("{path}: locked by another program: {}", error.desc()),
        }
        tries += 1;
        std::thread::sleep(PAUSE);
    };
    write(&file, key, value).with_context(|| path.to_owned())
}

fn write(file: &File, key: &str, value: &[u8]) -> Result<()> {
    let boot = SystemTime::now().checked_sub(Duration::from_millis(super::uptime_ms()));
    if boot.is_some_and(|boot| file.metadata().and_then(|m| m.modified()).is_ok_and(|at| at < boot)) {
        file.set_len(0)?;
    }
    let new = pair(key, value);
    let mut bytes = Vec::new();
    let mut all = file;
    all.by_ref().take(((MOST + 1) * PAIR) as u64).read_to_end(&mut bytes)?;
    let whole = bytes.chunks_exact(PAIR);
    let count = whole.len();
    let at = whole.clone().position(|pair| pair[..KEY] == new[..KEY]).unwrap_or(count);
    if at >= MOST {
        bail!("has {count} pairs and is full");
    }
    Ok(file.write_all_at(&new, (at * PAIR) as u64)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_place_in_the_file() {
        let dir = tempfile();
        let path = dir.join("pool");
        let path = path.to_str().unwrap();
        let pairs = || -> Vec<(String, String)> {
            let text =
                |field: &[u8]| String::from_utf8(field.to_vec()).unwrap().trim_matches('\0').to_owned();
            let bytes = std::fs::read(path).unwrap();
            assert_eq!(bytes.len() % PAIR, 0);
            bytes.chunks(PAIR).map(|p| (text(&p[..KEY]), text(&p[KEY..]))).collect()
        };
        let is = |pairs: Vec<(String, String)>, want: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(pairs, want);
        };
        put(path, "a", b"a long value").unwrap();
        put(path, "b", b"2").unwrap();
        put(path, "a", b"1").unwrap();
        is(pairs(), &[("a", "1"), ("b", "2")]);
        // A pair that was not written to its end is no pair.
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_at(b"x", 0).unwrap();
        put(path, "c", &[b'y'; 3000]).unwrap();
        is(pairs(), &[("a", "1"), ("b", "2"), ("c", &"y".repeat(2047))]);
        // Of the boot before.
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        put(path, "b", b"3").unwrap();
        is(pairs(), &[("b", "3")]);
        std::fs::write(path, vec![b'z'; MOST * PAIR]).unwrap();
        assert!(put(path, "b", b"3").unwrap_err().to_string().contains("pool"));
        // No daemon, no file.
        let none = dir.join("none/pool");
        put(none.to_str().unwrap(), "a", b"1").unwrap();
        assert!(!none.exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    fn tempfile() -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("footplate-kvp-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }
}
