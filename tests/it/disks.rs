// SPDX-License-Identifier: Apache-2.0
//! Disks on loop devices: partitioned, formatted, and left alone where they hold data. Needs root, util-linux and mkfs.

use crate::common::disk as common_disk;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::common::scratch::Scratch;
use common_disk::{Disk, run};
use footplate::facade::apply::{self, Done};
use footplate::facade::decode::document::jinja::Variables;
use footplate::facade::decode::{self, document};
use footplate::facade::io::disk;
use footplate::facade::io::root::Root;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::{Item, Plan};
use footplate::facade::plan;

/// The disk items of a config; `DISK` stands for the device.
pub fn plan_of(disk: &Disk, instance_id: &str, text: &str) -> Plan {
    let text = format!("#cloud-config\n{}", text.replace("DISK", &disk.device));
    let instance = Instance { platform: "none", instance_id: instance_id.to_owned(), ..Instance::default() };
    let decoded =
        decode::user_data(Some(text.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
    assert!(!decoded.failed(), "{:?}", decoded.problems);
    let mut plan = plan::node(&decoded.config, &instance);
    // Mounting is left to systemd, and seen in its own tests.
    plan.items.retain(|i| matches!(i, Item::Disk(_) | Item::Filesystem(_) | Item::MountUnits(_)));
    plan
}

pub fn apply(plan: &Plan) -> Result<Vec<Done>, String> {
    // Only disks are touched: nothing of the plan is written to this root.
    let root = Root::open(&std::env::temp_dir(), true).unwrap();
    apply::compare(plan, &root)
        .map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let outcomes = apply::apply(plan, &root, |_| {}).map_err(|e| format!("{e:#}"))?;
    Ok(outcomes.iter().map(|o| o.done).collect())
}

fn types(disk: &Disk) -> Vec<String> {
    disk::types(&disk.device).unwrap().unwrap_or_default()
}

/// What stands on a device: kind and label.
fn found(device: &str) -> (String, String) {
    let found = disk::probe(device).unwrap();
    (found.kind.unwrap_or_default(), found.label.unwrap_or_default())
}

const ETCD: &str = "disk_setup: {DISK: {table_type: gpt, layout: true, overwrite: false}}\n\
    fs_setup: [{label: etcd_disk, filesystem: ext4, device: DISKp1, overwrite: false, extra_opts: [-F, -E, 'lazy_itable_init=1,lazy_journal_init=1']}]\n";

#[test]
fn etcd_disk_as_cluster_api_asks_for_it() {
    needs!(root("loop devices"));
    let disk = Disk::new("etcd", 160);
    let plan = plan_of(&disk, "i-1", ETCD);
    assert_eq!(apply(&plan), Ok(vec![Done::Changed, Done::Changed]));
    assert_eq!(types(&disk), ["0FC63DAF-8483-4772-8E79-3D69D8477DE4"]);
    assert_eq!(found(&disk.part(1)), ("ext4".to_owned(), "etcd_disk".to_owned()));
    let before = disk.digest();
    assert_eq!(apply(&plan), Ok(vec![Done::Unchanged, Done::Unchanged]));
    // Another machine that gets the disk keeps what is on it.
    assert_eq!(apply(&plan_of(&disk, "i-2", ETCD)), Ok(vec![Done::Unchanged, Done::Unchanged]));
    assert_eq!(disk.digest(), before, "a disk that is as wished is not written to");
}

#[test]
fn mbr_with_sizes_and_types_as_their_author_wrote_them() {
    needs!(root("loop devices"));
    let disk = Disk::new("mbr", 640);
    let plan = plan_of(
        &disk,
        "i-1",
        "disk_setup: {DISK: {table_type: mbr, layout: [55, [15, 82], [15, 07], [15, 0c]]}}\n\
         fs_setup:\n- {filesystem: xfs, device: DISK, partition: 1, label: 'data'}\n- {filesystem: swap, device: DISK.2}\n\
         - {filesystem: vfat, device: DISK, partition: 4, label: BOOT}\n",
    );
    assert_eq!(apply(&plan), Ok(vec![Done::Changed; 4]));
    assert_eq!(types(&disk), ["83", "82", "7", "c"]);
    let sizes: Vec<u64> = (1..=4).map(|n| disk::size(&disk.part(n)).unwrap() >> 20).collect();
    assert_eq!(sizes, [352, 96, 96, 95], "the last takes what is left");
    assert_eq!(found(&disk.part(1)), ("xfs".to_owned(), "data".to_owned()));
    assert_eq!(found(&disk.part(2)).0, "swap");
    assert_eq!(found(&disk.part(4)), ("vfat".to_owned(), "BOOT".to_owned()));
    assert_eq!(apply(&plan), Ok(vec![Done::Unchanged; 4]));
}

/// A name that the disk gets some seconds from now, as one does that is attached while the machine boots.
struct Late(PathBuf);

impl Late {
    fn path(name: &str) -> PathBuf {
        PathBuf::from(format!("/dev/footplate-{name}-{}", std::process::id()))
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn device_that_comes_late_is_waited_for() {
    needs!(root("loop devices"));
    let disk = Disk::new("late", 64);
    let late = Late(Late::path("late"));
    // The partition has no name of its own beside it.
    let text = ETCD.replace("DISKp1", "DISK, partition: 1").replace("DISK", late.0.to_str().unwrap());
    let plan = plan_of(&disk, "i-1", &text);
    let (device, name) = (disk.device.clone(), late.0.clone());
    let comes = thread::spawn(move || {
        thread::sleep(Duration::from_secs(3));
        symlink(device, name).unwrap();
    });
    apply(&plan).unwrap();
    comes.join().unwrap();
    assert_eq!(types(&disk).len(), 1);
    assert_eq!(found(&disk.part(1)), ("ext4".to_owned(), "etcd_disk".to_owned()));
}

#[test]
fn device_that_never_comes_is_named() {
    needs!(root("loop devices"));
    let disk = Disk::new("never", 64);
    let never = Late::path("never");
    let text = format!("disk_setup: {{{}: {{table_type: gpt, layout: true}}}}\n", never.display());
    let plan = plan_of(&disk, "i-1", &text);
    let error = apply(&plan).unwrap_err();
    assert!(error.contains(never.to_str().unwrap()) && error.contains("no such device after"), "{error}");
}

#[test]
fn foreign_filesystem_is_left_alone() {
    needs!(root("loop devices"));
    let disk = Disk::new("foreign", 160);
    run("mkfs.btrfs", &["-q", "-L", "precious", &disk.device]);
    let before = disk.digest();
    let configs = [
        ("disk_setup: {DISK: {table_type: gpt, layout: true}}\n", None),
        (
            "fs_setup: [{filesystem: ext4, device: DISK, partition: none}]\n",
            Some("holds btrfs and is left alone, ext4 was asked for"),
        ),
        ("fs_setup: [{filesystem: ext4, device: DISK, partition: auto}]\n", Some("holds btrfs")),
        ("fs_setup: [{filesystem: ext4, device: DISK}]\n", Some("holds btrfs")),
        (
            "fs_setup: [{filesystem: btrfs, device: DISK, partition: '', label: other}]\n",
            Some("btrfs labelled \"other\" was asked for"),
        ),
        ("disk_setup: {DISK: {layout: remove}}\n", None),
    ];
    for (text, error) in configs {
        match (apply(&plan_of(&disk, "i-1", text)), error) {
            (Ok(done), None) => assert_eq!(done, [Done::LeftOut], "{text}"),
            (Err(is), Some(error)) => assert!(is.contains(error), "{text}: {is}"),
            (is, _) => panic!("{text}: {is:?}"),
        }
        assert_eq!(disk.digest(), before, "{text}");
    }
    assert_eq!(found(&disk.device), ("btrfs".to_owned(), "precious".to_owned()));
}

#[test]
fn reused_disk_gives_way_where_it_may_once_for_each_instance() {
    needs!(root("loop devices"));
    let disk = Disk::new("reused", 640);
    run("mkfs.xfs", &["-q", "-L", "old", &disk.device]);
    let text = "disk_setup: {DISK: {table_type: gpt, layout: true, overwrite: true}}\n\
        fs_setup: [{filesystem: ext4, device: DISK, partition: 1, overwrite: true}]\n";
    let plan = plan_of(&disk, "i-1", text);
    assert_eq!(apply(&plan), Ok(vec![Done::Changed, Done::Changed]));
    let first = disk::probe(&disk.part(1)).unwrap().uuid;
    assert_eq!(apply(&plan), Ok(vec![Done::Unchanged, Done::Unchanged]));
    // The next machine finds an ext4 and makes its own: nothing of the first one's data is left in it.
    let next = plan_of(&disk, "i-2", text);
    assert_eq!(apply(&next), Ok(vec![Done::Unchanged, Done::Changed]));
    assert_ne!(disk::probe(&disk.part(1)).unwrap().uuid, first);
    assert_eq!(apply(&next), Ok(vec![Done::Unchanged, Done::Unchanged]));
}

#[test]
fn empty_partition_is_found_and_replaced_kinds_give_way() {
    needs!(root("loop devices"));
    let disk = Disk::new("auto", 320);
    let table = "disk_setup: {DISK: {table_type: gpt, layout: [50, 50]}}\n";
    assert_eq!(apply(&plan_of(&disk, "i-1", table)), Ok(vec![Done::Changed]));
    run("mkfs.ext4", &["-q", "-L", "mine", &disk.part(1)]);
    let auto = "fs_setup: [{filesystem: ext4, device: DISK, partition: auto, label: new}]\n";
    assert_eq!(apply(&plan_of(&disk, "i-1", auto)), Ok(vec![Done::Changed]));
    assert_eq!(found(&disk.part(1)).1, "mine");
    assert_eq!(found(&disk.part(2)), ("ext4".to_owned(), "new".to_owned()));
    let any = "fs_setup: [{filesystem: ext4, device: DISK, label: other}]\n";
    assert_eq!(apply(&plan_of(&disk, "i-1", any)), Ok(vec![Done::Unchanged]), "any ext4 will do");
    run("mkfs.vfat", &[&disk.part(2)]);
    let replace = "fs_setup: [{filesystem: btrfs, device: DISK, partition: 2, replace_fs: vfat}]\n";
    assert_eq!(apply(&plan_of(&disk, "i-1", replace)), Ok(vec![Done::Changed]));
    assert_eq!(found(&disk.part(2)).0, "btrfs");
    let remove = "disk_setup: {DISK: {layout: remove, overwrite: true}}\n";
    assert_eq!(apply(&plan_of(&disk, "i-1", remove)), Ok(vec![Done::Changed]));
    assert!(disk::probe(&disk.device).unwrap().empty());
}

#[test]
fn disk_in_use_is_not_written_to() {
    needs!(root("loop devices"));
    let disk = Disk::new("busy", 160);
    let made = "disk_setup: {DISK: {table_type: gpt, layout: true}}\nfs_setup: [{filesystem: ext4, device: DISKp1}]\n";
    assert_eq!(apply(&plan_of(&disk, "i-1", made)), Ok(vec![Done::Changed, Done::Changed]));
    let point = std::env::temp_dir().join(format!("footplate-disk-{}-point", std::process::id()));
    fs::create_dir_all(&point).unwrap();
    run("mount", &[&disk.part(1), point.to_str().unwrap()]);
    assert!(disk::in_use(point.to_str(), &disk.part(1)));
    for text in [
        "disk_setup: {DISK: {table_type: gpt, layout: [50, 50], overwrite: true}}\n",
        "fs_setup: [{filesystem: ext4, device: DISKp1, overwrite: true}]\n",
    ] {
        let error = apply(&plan_of(&disk, "i-1", text)).unwrap_err();
        assert!(error.contains("in use") || error.contains("busy") || error.contains("mounted"), "{error}");
    }
    fs::write(point.join("alive"), "yes").unwrap();
    run("umount", &[point.to_str().unwrap()]);
    assert!(!disk::in_use(point.to_str(), &disk.part(1)));
    fs::remove_dir(&point).unwrap();
    assert_eq!(found(&disk.part(1)).0, "ext4");
}

/// A disk with partitions is mounted by its first one, whether or not the data speaks of them: mounted as a whole it would
/// stay unmounted, and what is written below the mount point would be on the root disk.
#[test]
fn disk_with_partitions_is_mounted_by_its_first_one() {
    needs!(root("loop devices"));
    let scratch = Scratch::new("mounted-disk");
    let root = Root::open(&scratch.dir, true).unwrap();
    let units = |disk: &Disk, text: &str| {
        let mut plan = plan_of(disk, "i-1", text);
        plan.items.retain(|i| matches!(i, Item::MountUnits(_)));
        let made = apply::apply(&plan, &root, |_| {}).map_err(|e| format!("{e:#}"))?;
        let again = apply::apply(&plan, &root, |_| {}).map_err(|e| format!("{e:#}"))?;
        assert!(again.iter().all(|o| o.done == Done::Unchanged), "{again:?}");
        Ok::<Vec<String>, String>(made.into_iter().map(|o| o.detail).collect())
    };
    let (whole, divided) = (Disk::new("whole", 64), Disk::new("divided", 64));
    run("mkfs.ext4", &["-q", &whole.device]);
    apply(&plan_of(&divided, "i-0", "disk_setup: {DISK: {table_type: gpt, layout: [50, 50]}}\n")).unwrap();
    assert_eq!(units(&whole, "mounts: [[DISK, /data]]\n"), Ok(vec![whole.device.clone()]));
    let (first, second) = (divided.part(1), divided.part(2));
    for (text, what) in [
        ("mounts: [[DISK, /data]]\n", &first),
        ("mounts: [[DISK, /data, ext4, 'defaults,nofail', 0, 2]]\n", &first),
        ("fs_setup: [{device: DISK, partition: any, filesystem: ext4}]\nmounts: [[DISK, /data]]\n", &first),
        ("fs_setup: [{device: DISK, partition: 1, filesystem: ext4}]\nmounts: [[DISK, /data]]\n", &first),
        ("device_aliases: {data: DISK}\nmounts: [[data, /data]]\n", &first),
        ("mounts: [[DISK.2, /data]]\n", &second),
        ("mounts: [[DISKp2, /data]]\n", &second),
        ("mounts: [[DISK, none, swap, sw]]\n", &first),
        ("mounts: [[DISK, /data, auto, noauto]]\n", &first),
    ] {
        assert_eq!(units(&divided, text), Ok(vec![what.clone()]), "{text}");
    }
    let unit = scratch.text("/etc/systemd/system/data.mount");
    assert!(unit.contains(&format!("\nWhat={first}\n")), "{unit}");
    // Under a name beside which the partition has none, nothing is guessed.
    let link = Late(Late::path("divided"));
    symlink(&divided.device, &link.0).unwrap();
    let text = format!("mounts: [[{}, /data]]\n", link.0.display());
    let error = units(&divided, &text).unwrap_err();
    assert!(error.contains("has partitions, and"), "{error}");
}
