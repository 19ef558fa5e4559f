// SPDX-License-Identifier: Apache-2.0
//! The containerd that runs.

use std::path::Path;

use super::exec::answer_of;
use super::systemd::SYSTEMCTL;

/// The configuration that the running containerd takes, with all that it imports: it is asked by its own program with its own
/// arguments. `None` where none runs or this one cannot tell.
pub fn configuration() -> Option<String> {
    let asked = ["show", "--property=MainPID", "--value", "containerd.service"];
    let pid: u32 = answer_of(Path::new(SYSTEMCTL), &asked).ok()?.trim().parse().ok()?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = line
        .split(|b| *b == 0)
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .filter(|w| !w.is_empty())
        .collect();
    let arguments = words.get(1..)?.iter().map(String::as_str).chain(["config", "dump"]);
    let program = format!("/proc/{pid}/exe");
    answer_of(Path::new(&program), &arguments.collect::<Vec<_>>()).ok()
}
