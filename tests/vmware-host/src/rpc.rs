// SPDX-License-Identifier: Apache-2.0
//! The commands inside the messages, and the log.
//!
//! A command is text: a name, a space, arguments. The reply begins with "1 " when it worked and "0 " when it did not;
//! the value or the reason follows. Nothing in either is quoted or ended by a NUL.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::options::Options;

/// Enough of a request or reply to recognise it in the log.
const LOGGED: usize = 120;

/// Runs commands on a folder that holds one file for each key.
pub struct Rpc {
    dir: PathBuf,
    deny: bool,
    /// How often each of the keys that flap was read.
    flaps: HashMap<String, u64>,
}

impl Rpc {
    pub fn new(options: &Options) -> Self {
        let flaps = options.flap.iter().map(|key| (key.clone(), 0)).collect();
        Self { dir: options.dir.clone(), deny: options.deny_rpc, flaps }
    }

    /// Runs a command, returns the reply.
    pub fn run(&mut self, request: &[u8]) -> Vec<u8> {
        if self.deny {
            return b"0 Permission denied".to_vec();
        }
        let (command, arguments) = split(request);
        match command {
            b"info-get" => self.get(arguments),
            b"info-set" => self.set(arguments),
            b"log" => b"1 ".to_vec(),
            _ => b"0 Unknown command".to_vec(),
        }
    }

    fn get(&mut self, key: &[u8]) -> Vec<u8> {
        let Some(key) = file_name(key) else { return b"0 Invalid key".to_vec() };
        let mut path = self.dir.join(key);
        if let Some(reads) = self.flaps.get_mut(key) {
            *reads += 1;
            if *reads % 2 == 0 {
                path = self.dir.join(format!("{key}.2"));
            }
        }
        match fs::read(path) {
            Ok(value) => [b"1 ", value.as_slice()].concat(),
            Err(_) => b"0 No value found".to_vec(),
        }
    }

    fn set(&self, arguments: &[u8]) -> Vec<u8> {
        let (key, value) = split(arguments);
        let Some(key) = file_name(key) else { return b"0 Invalid key".to_vec() };
        match fs::write(self.dir.join(key), value) {
            Ok(()) => b"1 ".to_vec(),
            Err(error) => format!("0 {error}").into_bytes(),
        }
    }
}

/// What is before the first space, and after.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b' ') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// A key that is also a file's name: the guest must not get out of the folder.
fn file_name(key: &[u8]) -> Option<&str> {
    let key = str::from_utf8(key).ok()?;
    (key.starts_with("guestinfo.") && !key.contains(['/', ' ', '\0'])).then_some(key)
}

/// The log, if there is one.
pub struct Log(Option<File>);

impl Log {
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        path.map(|path| OpenOptions::new().append(true).create(true).open(path)).transpose().map(Self)
    }

    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |file| file.write_all(format!("{text}\n").as_bytes()))
    }

    /// `rpc high "info-get guestinfo.metadata" => "1 {}" 4 bytes`; high or low is how the request came.
    pub fn rpc(&mut self, bandwidth: &str, request: &[u8], reply: &[u8]) -> io::Result<()> {
        let start = |bytes: &[u8]| bytes[..bytes.len().min(LOGGED)].escape_ascii().to_string();
        let bytes = reply.len();
        self.line(&format!("rpc {bandwidth} \"{}\" => \"{}\" {bytes} bytes", start(request), start(reply)))
    }
}
