// SPDX-License-Identifier: Apache-2.0
//! `collect`: the support bundle in one file: what `capture` records, the logs of the boot, and what systemd says of it.

use std::time::Duration;

use super::{capture, output};
use crate::cli;
use crate::io::screen::plain;
use crate::io::{exec, live, tar};
use crate::model::problem::{Failure, In as _, Stage};
use crate::pipeline::context::open_root;
use crate::pipeline::redact::Log;

/// What the programs of the machine say: the file's name and the command.
const SAID: &[(&str, &[&str])] = &[
    (
        "journal",
        &[
            "journalctl",
            "--no-pager",
            "--quiet",
            "--all",
            "--boot",
            "--output=short-monotonic",
            "--lines=2000",
            "--unit=footplate.service",
            "--unit=footplate-network.service",
            "--unit=footplate-reader@*.service",
            "--unit=footplate-boothooks.service",
            "--unit=footplate-bootcmd.service",
            "--unit=kubeadm.service",
        ],
    ),
    (
        "journal-kubelet",
        &[
            "journalctl",
            "--no-pager",
            "--quiet",
            "--all",
            "--boot",
            "--output=short-monotonic",
            "--lines=500",
            "--unit=kubelet.service",
        ],
    ),
    (
        "journal-containerd",
        &[
            "journalctl",
            "--no-pager",
            "--quiet",
            "--all",
            "--boot",
            "--output=short-monotonic",
            "--lines=200",
            "--unit=containerd.service",
        ],
    ),
    ("networkctl", &["networkctl", "--no-pager", "--all", "status"]),
    ("systemctl-failed", &["systemctl", "--no-pager", "--failed", "--all"]),
    ("systemd-analyze", &["systemd-analyze", "--no-pager", "blame"]),
    ("systemd-analyze-chain", &["systemd-analyze", "--no-pager", "critical-chain", "kubeadm.service"]),
];

/// How long each of them may take.
const LIMIT: Duration = Duration::from_secs(20);

pub fn run(args: &cli::Collect) -> Result<u8, Failure> {
    let root = open_root(Some(std::path::Path::new("/")))?;
    let mut captured = capture::answers(super::source(&args.source), root)?;
    let log = Log::of(&captured.config);
    let mut files = std::mem::take(&mut captured.answers);
    let version = format!("footplate {}\n", env!("FOOTPLATE_VERSION"));
    files.push(("support/version".to_owned(), version.into_bytes()));
    for (name, command) in SAID {
        let said = match exec::run(command[0], &command[1..], b"", LIMIT) {
            Ok(Some(ended)) => ended.out + &ended.err,
            Ok(None) => format!("{}: the program is not installed\n", command[0]),
            Err(error) => format!("{error:#}\n"),
        };
        // A colour would stand before a word that is a secret, and act on the terminal of whoever reads this.
        files.push((format!("support/{name}.txt"), log.without_secrets(&plain(&said)).into_bytes()));
    }
    live::private_output(&args.file, &tar::pack(&files)).stage(Stage::Apply)?;
    output::text(&format!("{} files in {}\n", files.len(), args.file.display()));
    captured.tell();
    Ok(0)
}
