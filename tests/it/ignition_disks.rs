// SPDX-License-Identifier: Apache-2.0
//! Ignition's disks and filesystems on loop devices: made, known again, and left alone where they hold data. Needs root,
//! util-linux and mkfs.

use crate::common::disk as common_disk;

use common_disk::{Disk, run};
use footplate::facade::apply::{self, Done};
use footplate::facade::decode::document::jinja::Variables;
use footplate::facade::decode::{self, document};
use footplate::facade::io::disk::{self, Entry};
use footplate::facade::io::root::Root;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::{Item, Plan};
use footplate::facade::plan;

impl Disk {
    /// Its partitions: number, first mebibyte, mebibytes, label.
    fn layout(&self) -> Vec<(u32, u64, u64, String)> {
        let entries = disk::table(&self.device).unwrap().unwrap().entries;
        entries.into_iter().map(|e| (e.number, e.start / 2048, e.size.div_ceil(2048), e.name)).collect()
    }

    fn entry(&self, number: u32) -> Entry {
        let table = disk::table(&self.device).unwrap().unwrap();
        table.entries.into_iter().find(|e| e.number == number).unwrap()
    }
}

/// The disk items of a config's `storage`; `DISK` stands for the device.
fn plan_of(disk: &Disk, version: &str, storage: &str) -> Plan {
    let storage = storage.replace("DISK", &disk.device);
    let text = format!(r#"{{"ignition": {{"version": "{version}"}}, "storage": {{{storage}}}}}"#);
    let decoded =
        decode::user_data(Some(text.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
    assert!(!decoded.failed(), "{:?}", decoded.problems);
    let instance = Instance { platform: "none", instance_id: "i-1".to_owned(), ..Instance::default() };
    let mut plan = plan::node(&decoded.config, &instance);
    // Mounting is systemd's.
    plan.items.retain(|i| matches!(i, Item::Disk(_) | Item::Filesystem(_)));
    plan
}

fn apply(plan: &Plan) -> Result<Vec<Done>, String> {
    let root = Root::open(&std::env::temp_dir(), true).unwrap();
    apply::compare(plan, &root)
        .map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let outcomes = apply::apply(plan, &root, |_| {}).map_err(|e| format!("{e:#}"))?;
    Ok(outcomes.iter().map(|o| o.done).collect())
}

fn found(device: &str) -> (String, String) {
    let found = disk::probe(device).unwrap();
    (found.kind.unwrap_or_default(), found.label.unwrap_or_default())
}

const DATA: &str = r#""disks": [{"device": "DISK", "wipeTable": true, "partitions": [
    {"number": 1, "label": "first", "sizeMiB": 64, "typeGuid": "933AC7E1-2EB4-4F13-B844-0E14E2AEF915",
     "guid": "11111111-2222-4333-8444-555555555555"},
    {"number": 2, "label": "middle", "startMiB": 100, "sizeMiB": 32},
    {"number": 7, "label": "rest"},
    {"label": "small", "sizeMiB": 8}]}],
  "filesystems": [
    {"device": "DISKp1", "format": "ext4", "label": "DATA", "uuid": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
     "options": ["-E", "lazy_itable_init=1"], "wipeFilesystem": true},
    {"device": "DISKp7", "format": "swap", "label": "SWAP"}]"#;

#[test]
fn a_disk_is_made_as_it_is_asked_for_and_known_again() {
    needs!(root("loop devices"));
    let disk = Disk::new("made", 256);
    run("mkfs.vfat", &["-I", &disk.device]);
    let plan = plan_of(&disk, "3.4.0", DATA);
    assert_eq!(apply(&plan), Ok(vec![Done::Changed; 3]));
    let rest = |(n, start, size, name): &(u32, u64, u64, &str)| (*n, *start, *size, (*name).to_owned());
    let want = [(1, 1, 64, "first"), (2, 100, 32, "middle"), (3, 65, 8, "small"), (7, 132, 124, "rest")];
    assert_eq!(disk.layout(), want.iter().map(rest).collect::<Vec<_>>());
    let first = disk.entry(1);
    assert_eq!(first.kind, "933AC7E1-2EB4-4F13-B844-0E14E2AEF915");
    assert_eq!(first.guid, "11111111-2222-4333-8444-555555555555");
    assert_eq!(found(&disk.part(1)), ("ext4".to_owned(), "DATA".to_owned()));
    assert_eq!(disk::probe(&disk.part(1)).unwrap().uuid.unwrap(), "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
    assert_eq!(found(&disk.part(7)), ("swap".to_owned(), "SWAP".to_owned()));
    let before = disk.digest();
    assert_eq!(apply(&plan), Ok(vec![Done::Unchanged; 3]));
    assert_eq!(disk.digest(), before, "a second run does not write");
}

#[test]
fn partitions_join_those_that_are_there() {
    needs!(root("loop devices"));
    let disk = Disk::new("joined", 256);
    let one = r#""disks": [{"device": "DISK", "partitions": [{"number": 1, "label": "kept", "sizeMiB": 64}]}],
        "filesystems": [{"device": "DISKp1", "format": "ext4"}]"#;
    assert_eq!(apply(&plan_of(&disk, "3.4.0", one)), Ok(vec![Done::Changed; 2]));
    let uuid = disk::probe(&disk.part(1)).unwrap().uuid;
    // A further one beside it, with a stale signature where it begins.
    run("mkfs.ext4", &["-q", "-F", &disk.part(1)]);
    let stale = disk::probe(&disk.part(1)).unwrap().uuid;
    assert_ne!(uuid, stale);
    let more = r#""disks": [{"device": "DISK", "partitions": [
        {"label": "new", "sizeMiB": 32}, {"number": 1, "label": "kept"}]}]"#;
    assert_eq!(apply(&plan_of(&disk, "3.4.0", more)), Ok(vec![Done::Changed]));
    assert_eq!(disk.layout().iter().map(|e| e.3.as_str()).collect::<Vec<_>>(), ["kept", "new"]);
    assert_eq!(disk::probe(&disk.part(1)).unwrap().uuid, stale, "what is on the others stays");
    assert_eq!(apply(&plan_of(&disk, "3.4.0", more)), Ok(vec![Done::Unchanged]));
    // Larger, with what is on it; then gone, and another of the number.
    let grown = r#""disks": [{"device": "DISK", "partitions": [{"number": 2, "shouldExist": false, "wipePartitionEntry": true},
        {"number": 1, "sizeMiB": 128, "resize": true}]}]"#;
    assert_eq!(apply(&plan_of(&disk, "3.4.0", grown)), Ok(vec![Done::Changed]));
    assert_eq!(disk.layout(), [(1, 1, 128, "kept".to_owned())]);
    assert_eq!(disk::probe(&disk.part(1)).unwrap().uuid, stale);
    let replaced = r#""disks": [{"device": "DISK", "partitions": [
        {"number": 1, "label": "other", "wipePartitionEntry": true}]}]"#;
    assert_eq!(apply(&plan_of(&disk, "3.4.0", replaced)), Ok(vec![Done::Changed]));
    assert_eq!(disk.layout()[0].3, "other");
    assert!(disk::probe(&disk.part(1)).unwrap().empty());
}

#[test]
fn cluster_apis_etcd_disk_outlives_its_machine() {
    needs!(root("loop devices"));
    let disk = Disk::new("etcd", 160);
    let storage = r#""disks": [{"device": "DISK", "wipeTable": false, "partitions": [{}]}],
        "filesystems": [{"name": "etcd_disk", "mount": {"device": "DISKp1", "format": "ext4", "label": "etcd_disk",
          "options": ["-E", "lazy_itable_init=1,lazy_journal_init=1"]}}]"#;
    let plan = plan_of(&disk, "2.3.0", storage);
    assert_eq!(apply(&plan), Ok(vec![Done::Changed; 2]));
    assert_eq!(found(&disk.part(1)), ("ext4".to_owned(), "etcd_disk".to_owned()));
    let before = disk.digest();
    assert_eq!(apply(&plan), Ok(vec![Done::Unchanged; 2]));
    assert_eq!(disk.digest(), before);
}

#[test]
fn what_holds_data_is_left_alone_unless_it_may_go() {
    needs!(root("loop devices"));
    let disk = Disk::new("foreign", 160);
    run("mkfs.btrfs", &["-q", "-L", "precious", &disk.device]);
    let before = disk.digest();
    let gpt = r#""disks": [{"device": "DISK", "partitions": [{"number": 1, "sizeMiB": 16}]}]"#;
    let own = r#""filesystems": [{"device": "DISK", "format": "ext4"}]"#;
    let none = r#""filesystems": [{"device": "DISK", "format": "none"}]"#;
    for (storage, says) in [
        (gpt, "holds btrfs and is left alone"),
        (own, "holds btrfs and is left alone, ext4"),
        (none, "holds btrfs and is left alone"),
    ] {
        let error = apply(&plan_of(&disk, "3.4.0", storage)).unwrap_err();
        assert!(error.contains(says), "{storage}: {error}");
        assert_eq!(disk.digest(), before);
    }
    let wiped = none.replace("\"none\"", "\"none\", \"wipeFilesystem\": true");
    assert_eq!(apply(&plan_of(&disk, "3.4.0", &wiped)), Ok(vec![Done::Changed]));
    assert_eq!(apply(&plan_of(&disk, "3.4.0", &wiped)), Ok(vec![Done::Unchanged]));
    assert_eq!(apply(&plan_of(&disk, "3.4.0", gpt)), Ok(vec![Done::Changed]));
    let before = disk.digest();
    for (part, says) in [
        (r#"{"number": 1, "sizeMiB": 32}"#, "partition 1 is there with another size"),
        (r#"{"number": 1, "label": "x"}"#, "partition 1 is there with another label"),
        (r#"{"number": 1, "shouldExist": false}"#, "partition 1 exists, and the data says that it must not"),
        (r#"{"number": 2, "sizeMiB": 1600}"#, "there is no room for partition 2"),
    ] {
        let storage = format!(r#""disks": [{{"device": "DISK", "partitions": [{part}]}}]"#);
        let error = apply(&plan_of(&disk, "3.4.0", &storage)).unwrap_err();
        assert!(error.contains(says) && error.contains("storage.disks[0].partitions[0]"), "{error}");
        assert_eq!(disk.digest(), before, "{part}");
    }
    let table = r#""disks": [{"device": "DISK", "wipeTable": true}]"#;
    assert_eq!(apply(&plan_of(&disk, "3.4.0", table)), Ok(vec![Done::Changed]));
    assert!(disk::probe(&disk.device).unwrap().empty());
}
