// SPDX-License-Identifier: Apache-2.0
//! The containerd that runs.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::exec::answer_within;
use super::systemd::main_process;

/// How long systemd's three answers and containerd's own may take together: kubeadm waits for them.
const LIMIT: Duration = Duration::from_secs(3);

/// Whether a container runtime takes connections at a socket.
pub fn answers(path: &str) -> bool {
    use std::os::fd::AsRawFd as _;
    // A runtime that hangs must not be waited for: a blocking socket would wait for a place in its queue.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let connected = || {
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
    };
    connected().is_ok()
}

/// The configuration that the running containerd takes, with all that it imports: it is asked by its own program with its own
/// arguments. `None` where none runs, or where this one cannot tell in time.
pub fn configuration() -> Option<String> {
    let begun = Instant::now();
    let pid = main_process("containerd.service", LIMIT / 3)?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = line
        .split(|b| *b == 0)
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .filter(|w| !w.is_empty())
        .collect();
    let arguments = words.get(1..)?.iter().map(String::as_str).chain(["config", "dump"]);
    let program = format!("/proc/{pid}/exe");
    let left = LIMIT.saturating_sub(begun.elapsed());
    answer_within(Path::new(&program), &arguments.collect::<Vec<_>>(), left).ok()
}
