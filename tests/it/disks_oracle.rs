// SPDX-License-Identifier: Apache-2.0
//! Debian's cloud-init as oracle of `disk_setup` and `fs_setup`: what its own functions make of a loop device is what is made
//! of another one here. Needs root, util-linux, gdisk and mkfs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::cloud_init_oracle::PACKAGES;
use crate::common::debian;
use crate::common::disk::{Disk, run};
use crate::common::oracle::settle;
use crate::disks::{apply, plan_of};

use footplate::facade::decode::document::jinja::Variables;
use footplate::facade::decode::{self, document};
use footplate::facade::io::disk;

/// What differs on purpose: the case or the beginning of its name, a piece of what the comparison says, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "layout-mbr-too-much",
        "more than 100 percent",
        "a mistake is told; cloud-init gives the last one what is left",
    ),
    ("layout-gpt-too-much", "more than 100 percent", "the same"),
    ("layout-gpt-windows", "1: EBD0A0A2", "YAML reads 07 as 7, of which cloud-init makes the code 7000"),
    ("there-one-of-windows-remove", "there: []", "what is on a disk is removed only with `overwrite`"),
    ("there-two-remove", "there: []", "the same"),
    ("there-two-mbr-remove", "there: []", "the same"),
    ("there-whole-remove", "disk: ext4 data as it was", "the same"),
    (
        "there-two-one-overwrite",
        "ext4 data as it was",
        "a new partition is empty; with cloud-init the old filesystem comes back",
    ),
    ("fs-raw", "is left alone", "what holds data is formatted only with `overwrite` or `replace_fs`"),
    ("fs-itself-other", "is left alone", "the same"),
    ("fs-number-label", "is left alone", "the same"),
    ("fs-number-kind", "is left alone", "the same"),
    ("fs-partition-itself-none", "is left alone", "the same"),
    ("fs-any-other-kind", "is left alone", "what can't be made is an error; cloud-init warns and goes on"),
    ("fs-auto-whole", "is left alone", "the same"),
    ("fs-no-program", "is not installed", "the same"),
    ("fs-no-kind", "missing", "the same"),
    ("fs-number-no-label", "ext4 data as it was", "without a label in the data any is as wished"),
    ("fs-auto-no-label", "ext4 data as it was", "the same"),
    (
        "fs-replace-same",
        "ext4 data as it was",
        "a filesystem that is as wished is not replaced: a second run changes nothing",
    ),
    ("fs-command", "command of your own", "no command of the data's own runs before the bootstrap"),
];

/// What is on a disk before.
const BEFORE: &[(&str, &str)] = &[
    ("empty", ""),
    (
        "one-of-windows",
        "printf 'label: gpt\\ntype=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\\n' | sfdisk -q DISK; partx -u DISK",
    ),
    (
        "two",
        "printf 'label: gpt\\nsize=20MiB\\nsize=+\\n' | sfdisk -q DISK; partx -u DISK; mkfs.ext4 -q -L data DISKp1",
    ),
    (
        "two-mbr",
        "printf 'label: dos\\nsize=20MiB\\nsize=+\\n' | sfdisk -q DISK; partx -u DISK; mkfs.ext4 -q -L data DISKp2",
    ),
    ("whole", "mkfs.ext4 -q -L data DISK"),
];

/// Layouts for an empty disk.
const LAYOUTS: &[(&str, &str)] = &[
    ("true", "true"),
    ("false", "false"),
    ("one", "[100]"),
    ("thirds", "[33.3, 33.3, 33.4]"),
    ("thirds-rounded", "[33.4, 33.3, 33.4]"),
    ("decimals", "[12.5, 0.75, 86.75]"),
    ("typed", "[[40, 82], [60, 83]]"),
    ("typed-in-part", "[[30, 82], 30, [40, 83]]"),
    ("lvm", "[[40, 8e], [60, fd]]"),
    ("windows", "[[40, 07], [60, 0c]]"),
    ("too-much", "[50, 60]"),
    ("five", "[20, 20, 20, 20, 20]"),
    ("none", "[]"),
    ("remove", "remove"),
    ("word", "auto"),
];

/// What is asked of filesystems; the disk has what the case says.
const FILESYSTEMS: &[(&str, &str, &str)] = &[
    ("raw", "whole", "{filesystem: ext4, device: DISK, partition: none, label: new}"),
    (
        "raw-overwrite",
        "whole",
        "{filesystem: ext4, device: DISK, partition: none, label: new, overwrite: true}",
    ),
    ("raw-empty", "empty", "{filesystem: ext4, device: DISK, partition: none, label: new}"),
    ("itself", "whole", "{filesystem: ext4, device: DISK, partition: '', label: data}"),
    ("itself-other", "whole", "{filesystem: ext4, device: DISK, partition: '', label: new}"),
    ("any-same", "whole", "{filesystem: ext4, device: DISK, label: data}"),
    ("any-label", "whole", "{filesystem: ext4, device: DISK, label: new}"),
    ("any-no-label", "whole", "{filesystem: ext4, device: DISK}"),
    ("any-other-kind", "whole", "{filesystem: vfat, device: DISK}"),
    ("any-empty", "empty", "{filesystem: ext4, device: DISK, label: new}"),
    ("any-partition", "two", "{filesystem: ext4, device: DISK, label: new}"),
    ("any-free", "two", "{filesystem: vfat, device: DISK}"),
    ("auto-same", "two", "{filesystem: ext4, device: DISK, partition: auto, label: data}"),
    ("auto-label", "two", "{filesystem: ext4, device: DISK, partition: auto, label: new}"),
    ("auto-no-label", "two", "{filesystem: ext4, device: DISK, partition: auto}"),
    ("auto-whole", "whole", "{filesystem: ext4, device: DISK, partition: auto, label: new}"),
    (
        "auto-overwrite",
        "two",
        "{filesystem: ext4, device: DISK, partition: auto, label: new, overwrite: true}",
    ),
    ("auto-any", "two", "{filesystem: ext4, device: DISK, partition: 'auto|any', label: data}"),
    ("number-same", "two", "{filesystem: ext4, device: DISK, partition: 1, label: data}"),
    ("number-label", "two", "{filesystem: ext4, device: DISK, partition: 1, label: new}"),
    ("number-no-label", "two", "{filesystem: ext4, device: DISK, partition: 1}"),
    ("number-kind", "two", "{filesystem: vfat, device: DISK, partition: 1}"),
    (
        "number-overwrite",
        "two",
        "{filesystem: ext4, device: DISK, partition: 1, label: data, overwrite: true}",
    ),
    ("number-free", "two", "{filesystem: ext4, device: DISK, partition: 2, label: new}"),
    ("number-swap", "two", "{filesystem: swap, device: DISK, partition: 2, label: new}"),
    ("dotted", "two", "{filesystem: ext4, device: DISK.2, partition: 1, label: new}"),
    ("dotted-word-auto", "two", "{filesystem: ext4, device: DISK.auto, label: data}"),
    ("dotted-word-any", "two", "{filesystem: ext4, device: DISK.any, partition: 2, label: new}"),
    (
        "dotted-word-none",
        "whole",
        "{filesystem: ext4, device: DISK.none, partition: 2, label: data, overwrite: true}",
    ),
    ("dotted-none", "two", "{filesystem: ext4, device: DISK.2, partition: none, label: new}"),
    ("partition-itself", "two", "{filesystem: ext4, device: DISKp2, label: new}"),
    ("partition-itself-same", "two", "{filesystem: ext4, device: DISKp1, label: data}"),
    ("partition-itself-label", "two", "{filesystem: ext4, device: DISKp1, label: new}"),
    ("partition-itself-none", "two", "{filesystem: ext4, device: DISKp1, label: new, partition: none}"),
    ("partition-itself-auto", "two", "{filesystem: ext4, device: DISKp2, label: new, partition: auto}"),
    ("replace", "two", "{filesystem: vfat, device: DISK, replace_fs: ext4}"),
    ("replace-same", "two", "{filesystem: ext4, device: DISK, replace_fs: ext4, label: new}"),
    ("options", "two", "{filesystem: ext4, device: DISK, partition: 2, extra_opts: [-m, '1', -L, own]}"),
    ("no-kind", "two", "{device: DISK, partition: 2}"),
    ("no-program", "two", "{filesystem: nosuchfs, device: DISK, partition: 2}"),
    (
        "command",
        "two",
        "{filesystem: ext4, device: DISK, partition: 2, label: new, cmd: 'mkfs -t %(filesystem)s -L %(label)s %(device)s'}",
    ),
];

/// Each case: its name, what is on the disk before, and the data.
fn cases() -> Vec<(String, &'static str, String)> {
    let mut cases = Vec::new();
    for table in ["mbr", "gpt"] {
        for (name, layout) in LAYOUTS {
            let text = format!("disk_setup: {{DISK: {{table_type: {table}, layout: {layout}}}}}\n");
            cases.push((format!("layout-{table}-{name}"), "", text));
        }
    }
    for (before, commands) in &BEFORE[1..] {
        for overwrite in [false, true] {
            for (name, layout) in
                [("true", "true"), ("one", "[100]"), ("two", "[40, 60]"), ("remove", "remove")]
            {
                let table = if before.ends_with("mbr") { "mbr" } else { "gpt" };
                let text = format!(
                    "disk_setup: {{DISK: {{table_type: {table}, layout: {layout}, overwrite: {overwrite}}}}}\n"
                );
                let safe = if overwrite { "-overwrite" } else { "" };
                cases.push((format!("there-{before}-{name}{safe}"), *commands, text));
            }
        }
    }
    for (name, before, text) in FILESYSTEMS {
        let commands = BEFORE.iter().find(|(n, _)| n == before).unwrap().1;
        cases.push((format!("fs-{name}"), commands, format!("fs_setup: [{text}]\n")));
    }
    cases
}

/// Cases that are tried at once.
const THREADS: usize = 6;

/// Sectors that the alignment of a partition may take.
const ALIGNMENT: u64 = 8192;

/// What is on a disk, a line each: its table or filesystem, and its partitions, whose sizes come beside it. `mine` is what was
/// there before.
fn state(disk: &Disk, mine: &BTreeSet<String>) -> (String, Vec<u64>) {
    let holds = |device: &str| {
        let found = disk::probe(device).unwrap();
        let uuid = found.uuid.clone().unwrap_or_default();
        let kept = if mine.contains(&uuid) { " as it was" } else { "" };
        format!("{} {}{kept}", found.kind.unwrap_or_default(), found.label.unwrap_or_default())
    };
    let mut said = format!("disk: {}\n", holds(&disk.device).trim());
    let table = disk::table(&disk.device).unwrap();
    let _ = writeln!(said, "table: {}", table.as_ref().map(|t| t.kind.as_str()).unwrap_or_default());
    let entries = table.map(|t| t.entries).unwrap_or_default();
    for entry in &entries {
        let number = entry.number;
        let _ = writeln!(said, "{number}: {} {}", entry.kind, holds(&disk.part(number)).trim());
    }
    (said, entries.iter().map(|e| e.size).collect())
}

fn uuids(disk: &Disk) -> BTreeSet<String> {
    let entries = disk::table(&disk.device).unwrap().map(|t| t.entries).unwrap_or_default();
    let devices = [disk.device.clone()].into_iter().chain(entries.iter().map(|e| disk.part(e.number)));
    devices.filter_map(|device| disk::probe(&device).unwrap().uuid).collect()
}

/// What the two make of some cases: the differences that are not on purpose, and the rows of those that are.
fn compared(cases: &[(String, &'static str, String)], packages: &[PathBuf]) -> (String, BTreeSet<usize>) {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud-init/disks.py");
    let mut child = Command::new("timeout")
        .args(["300", "/usr/bin/python3", "-S"])
        .arg(driver)
        .args(packages)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut ask, mut answers) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for (name, commands, text) in cases {
        let [(ours, mine), (theirs, had)] = ["ours", "theirs"].map(|whose| {
            let disk = Disk::new(&format!("{whose}-{name}"), 64);
            run("sh", &["-e", "-c", &commands.replace("DISK", &disk.device)]);
            let there = uuids(&disk);
            (disk, there)
        });
        writeln!(ask, "{}", serde_json::to_string(&(&theirs.device, text)).unwrap()).unwrap();
        let answer = answers.next().unwrap().unwrap();
        let stopped: Option<String> = serde_json::from_str(&answer).unwrap();
        let data = format!("#cloud-config\n{}", text.replace("DISK", &ours.device));
        let decoded =
            decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
        let refused = match decoded.failed() {
            true => Some(decoded.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
            false => apply(&plan_of(&ours, "i-1", text)).err(),
        };
        let ((here, sizes), (there, their_sizes)) = (state(&ours, &mine), state(&theirs, &had));
        let as_large = sizes.iter().zip(&their_sizes).all(|(a, b)| a.abs_diff(*b) <= ALIGNMENT);
        let difference = match (refused, stopped) {
            (Some(_), Some(_)) => String::new(),
            (Some(why), None) => format!("refused here: {why}\nthere:\n{there}"),
            (None, Some(why)) => format!("stopped there: {why}\nhere:\n{here}"),
            (None, None) if here == there && as_large => String::new(),
            (None, None) => format!("here: {sizes:?}\n{here}there: {their_sizes:?}\n{there}"),
        };
        if difference.is_empty() {
            continue;
        }
        let known =
            |(case, piece, _): &(&str, &str, &str)| name.starts_with(case) && difference.contains(piece);
        match DIFFERENCES.iter().position(known) {
            Some(row) => drop(used.insert(row)),
            None => drop(writeln!(wrong, "== {name}: {text}{difference}")),
        }
    }
    drop(ask);
    assert!(child.wait().unwrap().success());
    (wrong, used)
}

#[test]
fn cloud_init_makes_the_same_of_a_disk() {
    needs!(root("loop devices"));
    needs!(programs(&["sgdisk:gdisk"]));
    // Bookworm's hands sfdisk an option that sfdisk no longer has, and knows no partition of a loop device.
    let packages =
        [needs!(debian::unpacked_of("trixie", &["cloud-init"])), needs!(debian::unpacked(PACKAGES))]
            .map(|root| root.join("usr/lib/python3/dist-packages"));
    let cases = cases();
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    // sgdisk waits a second whenever it has written.
    thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(THREADS));
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| compared(part, &packages))).collect();
        for part in parts {
            let (differences, rows) = part.join().unwrap();
            wrong += &differences;
            used.extend(rows);
        }
    });
    settle(DIFFERENCES, &used, cases.len(), wrong);
}
