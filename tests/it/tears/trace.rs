// SPDX-License-Identifier: Apache-2.0
//! What a run does to a file system, read from strace's record of it (`strace -f -y -xx`).

use std::collections::HashMap;

/// One thing that a run does. Paths begin at the run's root; a file is named as it is named at that time.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Directory {
        path: String,
        mode: u32,
    },
    File {
        path: String,
        mode: u32,
    },
    Link {
        path: String,
        to: String,
    },
    Write {
        path: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        path: String,
    },
    Mode {
        path: String,
        mode: u32,
    },
    Owner {
        path: String,
        uid: u32,
        gid: u32,
    },
    /// `fsync` of a file or a directory.
    Sync {
        path: String,
    },
    /// `syncfs` of the file system.
    SyncAll,
}

/// What is asked of strace, beside `-f`.
pub const TRACE: &[&str] = &["-y", "-xx", "-s", "1000000", "-e", "trace=%file,%desc,sync"];

/// Calls that change nothing on a disk.
const READS: &[&str] = &[
    "access",
    "chdir",
    "close",
    "dup",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd2",
    "execve",
    "faccessat",
    "faccessat2",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getdents64",
    "ioctl",
    "lseek",
    "lstat",
    "mmap",
    "newfstatat",
    "openat2",
    "pipe2",
    "poll",
    "ppoll",
    "pread64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "stat",
    "statfs",
    "statx",
    "timerfd_create",
];

/// The arguments and the result of a call. Each has its text, and the path that `-y` writes behind a descriptor.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<(String, String)>,
    result: (String, String),
}

/// `\x2f` for each byte, as `-xx` writes it.
fn unescaped(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(&byte[..2], 16).unwrap()).collect()
}

/// `3<path>`, `"text"` or a word: no string has anything but escapes in it, so commas part arguments.
fn value(text: &str) -> (String, String) {
    let text = text.trim();
    let (word, path) = text.split_once('<').unwrap_or((text, ""));
    let path = String::from_utf8(unescaped(path.split('>').next().unwrap_or_default())).unwrap();
    (word.to_owned(), path)
}

/// The calls of a record, each on one line: one that another thread's came in between of stands in two pieces.
fn calls(record: &str) -> Vec<String> {
    let (mut begun, mut calls) = (HashMap::new(), Vec::new());
    for line in record.lines() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, beginning);
        } else if let Some((_, end)) =
            text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            calls.push(format!("{}{end}", begun.remove(thread).unwrap_or_default()));
        } else {
            calls.push(text.to_owned());
        }
    }
    calls
}

/// A call that has ended, and not in an error: those changed nothing.
fn call(line: &str) -> Option<Call<'_>> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") = ")?;
    let call = Call { name, arguments: arguments.split(',').map(value).collect(), result: value(result) };
    (!call.result.0.starts_with('-')).then_some(call)
}

impl Call<'_> {
    fn bytes(&self, at: usize) -> Vec<u8> {
        unescaped(self.arguments[at].0.trim_matches('"'))
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8(self.bytes(at)).unwrap()
    }

    fn number(&self, at: usize, radix: u32) -> u32 {
        u32::from_str_radix(&self.arguments[at].0, radix).unwrap()
    }

    /// The path of a name in an open directory, by their places in the call.
    fn below(&self, directory: usize, name: usize) -> String {
        format!("{}/{}", self.arguments[directory].1, self.text(name))
    }
}

/// All that a record has of changes below `root`.
pub fn read(record: &str, root: &str) -> Vec<Act> {
    let mut written: HashMap<String, usize> = HashMap::new();
    let mut acts = Vec::new();
    for call in calls(record).iter().filter_map(|line| call(line)) {
        let opened = || call.arguments[0].1.clone();
        let act = match call.name {
            "openat" if call.arguments[2].0.contains("O_CREAT") => {
                assert!(call.arguments[2].0.contains("O_EXCL"), "a file is opened that may be there already");
                let path = call.below(0, 1);
                written.insert(path.clone(), 0);
                Act::File { path, mode: call.number(3, 8) }
            }
            "openat" => {
                let changes = ["O_TRUNC", "O_TMPFILE", "O_APPEND"];
                assert!(
                    !changes.iter().any(|c| call.arguments[2].0.contains(c)),
                    "a file is changed in place"
                );
                continue;
            }
            "write" => {
                let (path, bytes) = (opened(), call.bytes(1));
                let bytes = bytes[..call.result.0.parse().unwrap()].to_vec();
                // What is not a file that was made here is a terminal, a pipe or a lock.
                let Some(at) = written.get_mut(&path) else { continue };
                *at += bytes.len();
                Act::Write { path, at: *at - bytes.len(), bytes }
            }
            "mkdirat" => Act::Directory { path: call.below(0, 1), mode: call.number(2, 8) },
            "symlinkat" => Act::Link { path: call.below(1, 2), to: call.text(0) },
            "renameat" | "renameat2" => Act::Rename { from: call.below(0, 1), to: call.below(2, 3) },
            "unlinkat" => Act::Remove { path: call.below(0, 1) },
            "fchmod" => Act::Mode { path: opened(), mode: call.number(1, 8) },
            "fchown" => Act::Owner { path: opened(), uid: call.number(1, 10), gid: call.number(2, 10) },
            "fchownat" => {
                Act::Owner { path: call.below(0, 1), uid: call.number(2, 10), gid: call.number(3, 10) }
            }
            "fsync" | "fdatasync" => Act::Sync { path: opened() },
            "syncfs" | "sync" => Act::SyncAll,
            name => {
                assert!(READS.contains(&name), "this call is not known here: {name}");
                continue;
            }
        };
        acts.extend(act.below(root));
    }
    acts
}

impl Act {
    pub fn paths(&mut self) -> Vec<&mut String> {
        match self {
            Self::Directory { path, .. }
            | Self::File { path, .. }
            | Self::Link { path, .. }
            | Self::Write { path, .. }
            | Self::Remove { path }
            | Self::Mode { path, .. }
            | Self::Owner { path, .. }
            | Self::Sync { path } => vec![path],
            Self::Rename { from, to } => vec![from, to],
            Self::SyncAll => Vec::new(),
        }
    }

    /// With paths from the root on; `None` for what is elsewhere.
    fn below(mut self, root: &str) -> Option<Self> {
        for path in self.paths() {
            *path =
                path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?.to_owned();
        }
        Some(self)
    }
}
