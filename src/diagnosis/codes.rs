// SPDX-License-Identifier: Apache-2.0
//! Every code that is told of a node or an image: the causes, the ends, and those that other parts tell. docs/diagnosis.md is made
//! of this list. The codes of what stands in data are `check`'s.

use super::causes::all;
use super::ends::{ABORTED, RESULTS, aborted};
use super::logs::LOGS;

/// A code, what it means, and what to do.
pub struct Code {
    /// Its name.
    pub name: String,
    /// What it means, in sentences.
    pub means: String,
    /// What to do, in sentences.
    pub cure: String,
}

/// All of them, in the page's order.
pub fn codes() -> impl Iterator<Item = Code> {
    let causes = all().chain(LOGS.iter().map(|(_, cause)| cause));
    let causes = causes.map(|cause| code(cause.code.to_owned(), cause.what, cause.cure));
    let results = || RESULTS.iter().filter(|(result, ..)| *result != "success");
    // A result that needs no cure of its own is looked up in the log.
    let ends = results().map(|(result, what, cure)| {
        let cure = if cure.is_empty() { "look at `journalctl -u kubeadm.service`" } else { cure };
        code(format!("bootstrap/{result}"), &what.replace("{}", "N"), cure)
    });
    let aborts =
        results().map(|(result, ..)| code(format!("aborted/{result}"), &aborted(result, ""), ABORTED));
    let others = OTHERS.iter().map(|(name, what, cure)| code((*name).to_owned(), what, cure));
    causes.chain(others).chain(ends).chain(aborts)
}

fn code(name: String, what: &str, cure: &str) -> Code {
    let sentence = |text: &str| {
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).chain(['.']).collect()
    };
    Code { name, means: sentence(what), cure: sentence(cure) }
}

/// Codes that no output of kubeadm's names: what is found before kubeadm, what fails in another stage, and what `verify` finds.
const OTHERS: &[(&str, &str, &str)] = &[
    (
        "clock/differs",
        "this machine's clock is more than a minute off the API server's; tokens and certificates hold by the clock",
        "set the clock: look at `timedatectl` and at the time servers; the `ntp` key sets them",
    ),
    (
        "commands/failed",
        "a command of the data ended with an exit status that is not 0, and the bootstrap went on",
        "look at `journalctl -b -u kubeadm -u footplate-bootcmd`: the finding names the command",
    ),
    (
        "fetch/unreached",
        "what the data names could not be fetched in time; the data itself may be good",
        "look at the network (`networkctl`, `ip route`) and at the server that the finding names, then boot again",
    ),
    (
        "usage/failed",
        "the command line or the policy is wrong, and the error has no code of its own",
        "run `footplate check /etc/footplate.yaml`",
    ),
    (
        "detect/failed",
        "no platform was found, or what tells of it contradicts itself",
        "look at `footplate platforms`, and name the platform on the kernel's command line: `flatcar.oem.id=`",
    ),
    (
        "fetch/failed",
        "the platform did not answer in time, or not with what it must have",
        "look at the network: `networkctl`, `ip route`; then boot again",
    ),
    (
        "decode/failed",
        "the metadata or the user-data is wrong, and the error has no code of its own; kubeadm was not started",
        "run `footplate check` on the data: it tells all errors at once, with their lines",
    ),
    (
        "apply/failed",
        "a file, a disk, a user or a unit could not be made; kubeadm was not started",
        "the error names the path: look at `df`, `df -i` and `findmnt`, then boot again",
    ),
    (
        "start/failed",
        "the bootstrap could not be started, or not be followed to its end",
        "look at `journalctl -b -u footplate -u kubeadm`",
    ),
    (
        "kubeadm/failed",
        "what `kubeadm-prepare` does before kubeadm failed",
        "look at `journalctl -b -u kubeadm`: the error names the file or the value that is missing",
    ),
    (
        "report/failed",
        "the bootstrap's result could not be read or written down",
        "look at `df` and `df -i` for /run and /var, and at `journalctl -b -u footplate -u kubeadm`",
    ),
    (
        "verify/lock",
        "the image's lock is not there, or is not the one that was asked for",
        "bake the image by the lock that is wanted",
    ),
    (
        "verify/architecture",
        "the image's programs are for another architecture than its lock",
        "bake it again",
    ),
    ("verify/content", "a part of the lock is missing, or is not what the lock says", "bake the image again"),
    (
        "verify/link",
        "a link to a program of the lock is missing, or leads elsewhere",
        "bake the image again: `footplate bake` mends links",
    ),
    (
        "verify/owner",
        "a file of the image has another owner or other rights than it was made with",
        "bake the image again",
    ),
    (
        "verify/unit",
        "a unit that was baked is missing, or was changed",
        "bake the image again, and put changes into a drop-in",
    ),
    (
        "verify/file",
        "a file that was baked is missing, or was changed",
        "bake the image again with the file's content in its data",
    ),
    (
        "verify/path",
        "a unit's PATH finds other programs than those of the lock",
        "put /opt/bin first in the PATH that the finding's unit has, in its drop-ins too",
    ),
    (
        "verify/version",
        "a program says another version than the lock",
        "correct the lock, and bake the image again",
    ),
    (
        "verify/conflict",
        "something of the image stands against what was baked",
        "follow the finding's own words, or bake with `--allow` and the kind that they name",
    ),
];
