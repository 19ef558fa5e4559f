// SPDX-License-Identifier: Apache-2.0
//! systemd-fstab-generator as oracle: it makes units of an fstab with the entries of a cloud-config's `mounts`, and they
//! are compared with ours, key by key. Which device a name means is cloud-init's own to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use footplate::facade::decode::document::jinja::Variables;
use footplate::facade::decode::{self, document};
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::Item;
use footplate::facade::model::problem::{Problem, Severity};
use footplate::facade::model::storage::partition_path;
use footplate::facade::plan;

use crate::cloud_init_oracle::PACKAGES;
use crate::common::debian;
use crate::common::random::Rng;
use crate::common::scratch::{Ran, fresh};

const GENERATOR: &str = "/lib/systemd/system-generators/systemd-fstab-generator";

/// Runs the generator where it does not see that it is in a container, in which it passes over swap.
const SCRIPT: &str = "set -e
    mkdir root; mount -t tmpfs none root; cd root
    mkdir etc usr proc run dev tmp made; mount --bind /etc etc; mount --bind /usr usr; mount -t proc none proc
    for link in bin lib lib64 sbin; do ln -s usr/$link $link; done
    mount --bind .. made
    chroot . env SYSTEMD_FSTAB=/made/fstab SYSTEMD_LOG_TARGET=console $1 /made/out /made/out /made/out";

/// Words that units have here on purpose and that the generator does not write.
const OURS: &[&str] = &["containerd.service", "docker.service", "kubelet.service", "kubeadm.service"];

/// An entry of an fstab, as its author means it.
#[derive(Clone)]
struct Entry {
    what: String,
    path: String,
    kind: String,
    options: String,
    check: bool,
}

/// What is mounted, with its filesystem: the number of the entry makes it the only one of its name.
const SOURCES: &[(&str, &str)] = &[
    ("LABEL=data-N", "ext4"),
    ("LABEL=my data N", "auto"),
    ("LABEL=a/b\\N", "ext4"),
    ("UUID=6f2b3a1e-0000-4000-8000-00000000N", "auto"),
    ("PARTLABEL=part N", "xfs"),
    ("PARTUUID=6f2b3a1e-0N", "btrfs"),
    ("/dev/sdbN", "ext4"),
    ("/dev/disk/by-id/virtio-N-part1", "auto"),
    ("/dev/mapper/vg-lvN", "ext4"),
    ("//files.example/shareN", "cifs"),
    ("nfs.example:/exportN", "nfs4"),
    ("nfs.example:/untypedN", "auto"),
    ("gluster1,gluster2:volumeN", "glusterfs"),
    ("10.0.0.1:6789:/N", "ceph"),
    ("user@host:N", "fuse.sshfs"),
    ("shareN", "virtiofs"),
    ("tagN", "9p"),
    ("tmpfs", "tmpfs"),
    ("bpffs", "bpf"),
    ("hugetlbfs", "hugetlbfs"),
    ("pool/setN", "zfs"),
    ("fs-N", "efs"),
    ("overlay", "overlay"),
];

/// Options, each of which may be given.
const OPTIONS: &[&str] = &[
    "ro",
    "noatime",
    "nofail",
    "nofail",
    "noauto",
    "user_xattr",
    "comment=cloudconfig",
    "x-systemd.automount",
    "x-systemd.idle-timeout=5min",
    "x-systemd.device-timeout=30",
    "x-systemd.mount-timeout=45s",
    "x-systemd.growfs",
    "x-systemd.rw-only",
    "x-systemd.requires=first.service",
    "x-systemd.requires=/srv/above",
    "x-systemd.after=/dev/sdz1",
    "x-systemd.after=network-online.target",
    "x-systemd.before=last.target",
    "x-systemd.requires-mounts-for=/srv/other",
    "x-systemd.wanted-by=many.target",
    "x-systemd.required-by=all.target",
    "x-systemd.device-bound",
    "fail",
    "auto",
    "x-systemd.device-timeout=infinity",
    "x-systemd.requires=plain",
];

fn entries() -> Vec<Entry> {
    let mut rng = Rng::new(7);
    let mut entries = Vec::new();
    let entry = |number: usize, source: (&str, &str), options: Vec<&str>, check: bool| Entry {
        what: source.0.replace('N', &number.to_string()),
        path: format!("/srv/{} {number}", ["data", "a-b", ".hidden", "é"][number % 4]),
        kind: source.1.to_owned(),
        options: if options.is_empty() { "defaults".to_owned() } else { options.join(",") },
        // The generator looks whether this machine has the program.
        check: check && matches!(source.1, "auto" | "ext4"),
    };
    // Each source alone, each option alone, and then many at once.
    for source in SOURCES {
        entries.push(entry(entries.len(), *source, Vec::new(), true));
    }
    for option in OPTIONS {
        for source in [SOURCES[0], SOURCES[9], SOURCES[14]] {
            entries.push(entry(entries.len(), source, vec![option], false));
        }
    }
    for _ in 0..300 {
        let source = *rng.pick(SOURCES);
        let mut options: Vec<&str> = OPTIONS.iter().copied().filter(|_| rng.below(6) == 0).collect();
        options.dedup();
        entries.push(entry(entries.len(), source, options, rng.flip()));
    }
    let of_swap = [
        "sw",
        "sw,pri=5",
        "nofail,discard",
        "noauto,x-systemd.device-timeout=5",
        "noauto,x-systemd.automount",
        "sw,x-systemd.wanted-by=many.target,x-systemd.required-by=all.target",
    ];
    for (number, options) in of_swap.iter().enumerate() {
        entries.push(Entry {
            what: format!("/dev/vdb{}", number + 1),
            path: "none".to_owned(),
            kind: "swap".to_owned(),
            options: (*options).to_owned(),
            check: false,
        });
    }
    entries
}

/// Where systemd mounts by itself: the generator makes nothing of these, and nothing starts a unit for them here.
#[test]
fn what_systemd_mounts_itself_is_left_to_it() {
    needs!(root("the generator runs in a mount namespace of its own"));
    let paths =
        ["/sys/fs/bpf", "/sys/fs/cgroup", "/sys/fs/cgroup/x", "/dev/shm", "/proc", "/sys/kernel/security"];
    let entry = |path: &str| Entry {
        what: "none".to_owned(),
        path: path.to_owned(),
        kind: "tmpfs".to_owned(),
        options: "defaults".to_owned(),
        check: false,
    };
    let entries: Vec<Entry> = paths.into_iter().map(entry).collect();
    let (theirs, ours) = (theirs(&entries), ours(&entries));
    assert!(theirs.settings.is_empty() && theirs.links.is_empty(), "{:?}", theirs.settings);
    assert!(ours.links.is_empty(), "{:?}", ours.links);
}

/// A field of an fstab.
fn field(text: &str) -> String {
    text.replace('\\', "\\134").replace(' ', "\\040")
}

/// Units by name, each with its settings; and the links that start them.
#[derive(Default)]
struct Units {
    settings: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    links: BTreeSet<String>,
}

impl Units {
    fn add(&mut self, path: &str, text: &str) {
        // Drop-ins for a device have names of their own.
        let name = path.split_once(".device.d/").map_or(path, |(device, _)| device).to_owned();
        let instance =
            name.split_once('@').and_then(|(_, rest)| rest.rsplit_once('.')).map(|(i, _)| i.to_owned());
        let (mut section, settings) = (String::new(), self.settings.entry(name).or_default());
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if line.starts_with('[') {
                section = line.to_owned();
                continue;
            }
            let (key, value) = line.split_once('=').unwrap();
            if section == "[Install]" || matches!(key, "Documentation" | "SourcePath" | "Description") {
                continue;
            }
            let value = value.replace("%i", instance.as_deref().unwrap_or_default());
            let values = settings.entry(format!("{section} {key}")).or_default();
            match key {
                "After" | "Before" | "Requires" | "Wants" | "BindsTo" | "Conflicts" => {
                    let word = |w: &str| w.replace("%%", "%");
                    values.extend(value.split(' ').filter(|w| !OURS.contains(w)).map(word));
                }
                // The one is where this machine has it, the other where Flatcar has it.
                "ExecStart" | "RequiresMountsFor" => {
                    let plain =
                        value.replace("/usr/lib/", "/lib/").replace('"', "").replace("\\303\\251", "é");
                    values.insert(plain);
                }
                _ => drop(values.insert(value)),
            }
        }
        settings.retain(|_, values| !values.is_empty());
    }

    fn link(&mut self, path: &str) {
        if !path.ends_with("/systemd-remount-fs.service") {
            self.links.insert(path.to_owned());
        }
    }
}

fn theirs(entries: &[Entry]) -> Units {
    let dir = fresh(&format!("generator-{}", entries.len()));
    fs::create_dir(dir.join("out")).unwrap();
    let mut fstab = String::new();
    for Entry { what, path, kind, options, check } in entries {
        let (what, path) = (field(what), field(path));
        let _ = writeln!(fstab, "{what} {path} {kind} {options} 0 {}", if *check { 2 } else { 0 });
    }
    fs::write(dir.join("fstab"), fstab).unwrap();
    let mut command = Command::new("timeout");
    command.args(["60", "unshare", "--mount", "--pid", "--fork", "sh", "-c", SCRIPT, "sh", GENERATOR]);
    Ran::of(command.current_dir(&dir)).ended(0, &[]);
    let mut units = Units::default();
    let out = dir.join("out");
    for path in crate::common::scratch::walk(&out) {
        let name = path.strip_prefix(&out).unwrap().to_str().unwrap().to_owned();
        if path.is_symlink() {
            units.link(&name);
        } else if path.is_file() && !name.ends_with("/50-netdev-dependencies.conf") {
            units.add(&name, &fs::read_to_string(&path).unwrap());
        }
    }
    units
}

fn ours(entries: &[Entry]) -> Units {
    let mounts: Vec<_> = entries
        .iter()
        .map(|Entry { what, path, kind, options, check }| {
            serde_json::json!([what, path, kind, options, "0", if *check { "2" } else { "0" }])
        })
        .collect();
    let data = format!("#cloud-config\n{}\n", serde_json::json!({ "mounts": mounts }));
    let decoded =
        decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
    let told = |p: &Problem| p.severity == Severity::Note || p.what.contains("before the network");
    assert!(decoded.problems.iter().all(told), "{:?}", decoded.problems);
    let instance = Instance { platform: "none", instance_id: "i-1".to_owned(), ..Instance::default() };
    let mut units = Units::default();
    let name = |path: &str| path.strip_prefix("/etc/systemd/system/").unwrap().to_owned();
    for item in plan::node(&decoded.config, &instance).items {
        let Item::MountUnits(mount) = item else { continue };
        for file in &mount.as_named.files {
            units.add(&name(&file.path), std::str::from_utf8(file.content.expose()).unwrap());
        }
        mount.as_named.links.iter().for_each(|link| units.link(&name(&link.path)));
    }
    units
}

#[test]
fn mounts_become_the_units_that_the_generator_makes() {
    needs!(root("the generator runs in a mount namespace of its own"));
    assert!(Path::new(GENERATOR).exists(), "{GENERATOR} is missing: it is in Debian's package systemd");
    let entries = entries();
    let (theirs, ours) = (theirs(&entries), ours(&entries));
    let mut wrong = String::new();
    let names: BTreeSet<&String> = theirs.settings.keys().chain(ours.settings.keys()).collect();
    for name in &names {
        let (theirs, ours) = (theirs.settings.get(*name), ours.settings.get(*name));
        if theirs != ours {
            let _ = writeln!(wrong, "{name}\n  generator {theirs:?}\n  footplate {ours:?}");
        }
    }
    for link in theirs.links.symmetric_difference(&ours.links) {
        let _ = writeln!(wrong, "{link}: only {}", if ours.links.contains(link) { "here" } else { "there" });
    }
    println!("{} entries, {} units, {} links", entries.len(), names.len(), ours.links.len());
    assert!(names.len() > entries.len(), "the generator made few units");
    assert!(wrong.is_empty(), "{wrong}");
}

/// An entry whose mount point is null takes back an earlier one of the same source, whatever that is.
#[test]
fn null_takes_back_what_an_earlier_entry_mounts() {
    for (source, kind) in [
        ("/dev/sdb1", "ext4"),
        ("LABEL=x", "auto"),
        ("share", "virtiofs"),
        ("pool/x", "zfs"),
        ("h:/x", "nfs"),
    ] {
        for none in [serde_json::json!([source, null]), serde_json::json!([source])] {
            let mounts = serde_json::json!([[source, "/m", kind], ["tmpfs", "/kept", "tmpfs"], none]);
            let data = format!("#cloud-config\n{}\n", serde_json::json!({ "mounts": mounts }));
            let decoded = decode::user_data(
                Some(data.as_bytes()),
                None,
                &Variables::assumed(),
                &mut document::no_fetch,
            );
            let paths: Vec<_> = decoded.config.mounts.iter().filter_map(|m| m.path.as_deref()).collect();
            assert_eq!((paths.as_slice(), decoded.problems.len()), (&["/kept"] as &[_], 0), "{none}");
        }
    }
}

/// cloud-init's own options have `_netdev`, so what its type does not tell comes from the network; an author who leaves that
/// out gets what systemd makes of it, and a word.
#[test]
fn a_share_without_a_type_waits_for_the_network_by_its_options() {
    for (source, options, target, warned) in [
        ("h:/x", None, "remote-fs.target.wants", false),
        ("[2001:db8::1]:/x", None, "remote-fs.target.wants", false),
        ("//h/x", None, "remote-fs.target.wants", false),
        ("/dev/vdb1", None, "local-fs.target.wants", false),
        ("h:/x", Some("defaults,_netdev"), "remote-fs.target.requires", false),
        ("h:/x", Some("ro"), "local-fs.target.requires", true),
    ] {
        let data = serde_json::json!({ "mounts": [[source, "/m", null, options]] });
        let data = format!("#cloud-config\n{data}\n");
        let decoded =
            decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
        let instance = Instance { platform: "none", instance_id: "i-1".to_owned(), ..Instance::default() };
        let items = plan::node(&decoded.config, &instance).items;
        let links = items.iter().find_map(|item| match item {
            Item::MountUnits(mount) => Some(&mount.as_named.links),
            _ => None,
        });
        let links: Vec<_> = links.unwrap().iter().map(|link| link.path.as_str()).collect();
        assert_eq!(links, [format!("/etc/systemd/system/{target}/m.mount")], "{source} {options:?}");
        assert_eq!(!decoded.problems.is_empty(), warned, "{:?}", decoded.problems);
    }
}

/// The disks of the machine on which names are looked up, with their partitions.
const DISKS: &[(&str, &[&str])] = &[
    ("/dev/sda", &["/dev/sda1", "/dev/sda2"]),
    ("/dev/sdb", &[]),
    ("/dev/vdc", &["/dev/vdc1"]),
    ("/dev/xvdd", &["/dev/xvdd1"]),
    ("/dev/nvme0n1", &["/dev/nvme0n1p1", "/dev/nvme0n1p2"]),
    ("/dev/nvme1n1", &[]),
    ("/dev/mmcblk0", &["/dev/mmcblk0p1"]),
    ("/dev/sr0", &[]),
];

/// Names that mean something else here on purpose, and why.
const OTHER_NAMES: &[(&str, &str, &str)] = &[
    (
        "nvme0n1",
        "/dev/nvme0n1p1",
        "a kernel's name like the others; Debian's version knows it as a path only",
    ),
    ("nvme0n1.2", "/dev/nvme0n1p2", "the same"),
    ("mmcblk0", "/dev/mmcblk0p1", "the same"),
    ("sda.2", "/dev/sda2", "Debian's version knows a partition so behind a path only"),
    ("/dev/sdb.1", "/dev/sdb1", "the partition may come later; cloud-init leaves a name that is no device"),
    ("/dev/sda.7", "/dev/sda7", "the same"),
    (
        "sda1",
        "/dev/sda1",
        "Debian's version looks for a partition among the disks, and leaves the name as it is",
    ),
    ("sda2", "/dev/sda2", "the same"),
    ("LABEL=data", "/dev/disk/by-label/data", "as systemd writes it"),
    ("UUID=0-1", "/dev/disk/by-uuid/0-1", "the same"),
];

#[test]
fn names_of_devices_are_those_of_cloud_init() {
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    let disks: BTreeMap<&str, &[&str]> = DISKS.iter().copied().collect();
    let aliases = BTreeMap::from([("data", "/dev/vdc"), ("more", "/dev/sda"), ("empty", "/dev/sdb")]);
    let names = [
        "sda",
        "sdb",
        "vdc",
        "xvdd",
        "sda1",
        "sda2",
        "/dev/sda",
        "/dev/sda2",
        "/dev/sda.2",
        "/dev/sda.7",
        "sda.2",
        "/dev/sdb",
        "/dev/sdb.1",
        "/dev/vdc.1",
        "nvme0n1",
        "nvme0n1.2",
        "/dev/nvme0n1",
        "/dev/nvme0n1.2",
        "/dev/nvme0n1p2",
        "/dev/nvme1n1",
        "mmcblk0",
        "/dev/mmcblk0",
        "data",
        "data.1",
        "more.2",
        "empty",
        "/dev/sdz",
        "/dev/disk/by-id/virtio-x",
        "LABEL=data",
        "UUID=0-1",
        "host:/export",
        "host:volume",
        "sdhost:volume",
        "//host/share",
        "sr0",
    ];
    let cases: Vec<_> = names.iter().map(|name| serde_json::json!([name, aliases, disks])).collect();
    let file = fresh("names").join("cases");
    fs::write(&file, serde_json::Value::from(cases).to_string()).unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud-init/devices.py");
    let mut command = Command::new("timeout");
    command.args(["60", "/usr/bin/python3", "-S"]).arg(driver).arg(packages);
    let said = command.stdin(fs::File::open(&file).unwrap()).stderr(Stdio::inherit()).output().unwrap();
    let theirs: Vec<String> = serde_json::from_slice(&said.stdout).unwrap();
    let there: BTreeSet<&str> = disks.iter().flat_map(|(disk, parts)| [&[*disk], *parts].concat()).collect();
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for (name, theirs) in names.iter().zip(&theirs) {
        let data = serde_json::json!({ "device_aliases": aliases, "mounts": [[name, "/m"]] });
        let data = format!("#cloud-config\n{data}\n");
        let decoded =
            decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
        assert!(decoded.problems.is_empty(), "{name}: {:?}", decoded.problems);
        let mount = &decoded.config.mounts[0];
        let first = Some(partition_path(&mount.what, 1)).filter(|p| mount.disk && there.contains(p.as_str()));
        let ours = first.unwrap_or_else(|| mount.what.clone());
        match OTHER_NAMES.iter().position(|(other, is, _)| other == name && *is == ours) {
            _ if ours == *theirs => {}
            Some(row) => drop(used.insert(row)),
            None => drop(writeln!(wrong, "{name}: {theirs} there, {ours} here")),
        }
    }
    for (_, (name, ..)) in OTHER_NAMES.iter().enumerate().filter(|(row, _)| !used.contains(row)) {
        let _ = writeln!(wrong, "{name} means the same on both sides now");
    }
    assert!(wrong.is_empty(), "{wrong}");
}
