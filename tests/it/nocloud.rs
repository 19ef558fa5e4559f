// SPDX-License-Identifier: Apache-2.0
//! NoCloud: a directory, and drives labelled `cidata` as hypervisors attach them, made here by the tools that make them
//! anywhere and attached as loop devices.
//!
//! Whether a drive can be mounted is the kernel's: on one without its filesystem the error is what is tested.

use crate::common::needs::program;
use crate::common::scratch;

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use scratch::{FOOTPLATE, Ran, Scratch, footplate, fresh, plan, provision, stopped_without_a_word};

const USER_DATA: &str = "## template: jinja
#cloud-config
write_files:
  - path: /etc/node
    content: '{{ ds.meta_data.local_hostname }} {{ v1.instance_id }} {{ ds.meta_data.rack.row }}'
";
const META_DATA: &str = "instance-id: iid-1\nlocal-hostname: node-1.example.invalid\nrack:\n  row: 7\n";
const NETWORK: &str = "ethernets:\n  eth0:\n    match:\n      macaddress: '52:54:00:12:34:56'\n    addresses: [192.0.2.5/24]\nversion: 2\n";

/// The network's files, whatever form it came in.
const UNIT: &str = "/etc/systemd/network/15-footplate-eth0.network";

/// Names and texts of files.
type Contents<'a> = &'a [(&'a str, &'a str)];

fn files(dir: &Path, files: Contents<'_>) {
    fs::create_dir_all(dir).unwrap();
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
}

/// What the data above makes of a node.
#[track_caller]
fn is_the_node(root: &Scratch, network: bool) {
    assert_eq!(root.text("/etc/node"), "node-1.example.invalid iid-1 7");
    assert_eq!(root.text("/etc/hostname"), "node-1\n");
    let unit = fs::read_to_string(root.path(UNIT)).unwrap_or_default();
    assert_eq!(unit.contains("Address=192.0.2.5/24"), network, "{unit}");
    assert_eq!(unit.contains("MACAddress=52:54:00:12:34:56"), network, "{unit}");
}

// Directories

/// It stands in the log of every boot, and on the console.
#[test]
fn an_instance_id_is_one_short_line() {
    for (name, id) in [("lines", "a\\nerror: b"), ("colours", "\\e[2Ja"), ("long", &"a".repeat(600))] {
        let (dir, root) = (fresh(&format!("id-{name}")), Scratch::new(&format!("id-{name}")));
        files(&dir, &[("user-data", USER_DATA), ("meta-data", &format!("instance-id: \"{id}\"\n"))]);
        let ran = footplate(&["provision", "--seed", dir.to_str().unwrap(), "--root", root.arg()]);
        ran.ended(65, &["instance-id: has control characters or more than 512 bytes"]);
    }
}

#[test]
fn a_seed_directory() {
    let wrapped = format!("network:\n{}", NETWORK.lines().map(|l| format!("  {l}\n")).collect::<String>());
    let inline = format!("{META_DATA}{wrapped}");
    let interfaces = format!(
        "{META_DATA}network-interfaces: |\n  auto eth0\n  iface eth0 inet static\n    address 192.0.2.5/24\n    hwaddress 52:54:00:12:34:56\n"
    );
    let own = format!("{META_DATA}network: {{zone: blue}}\n");
    let cases: [(&str, Contents<'_>, bool); 7] = [
        ("in ifupdown's form", &[("user-data", USER_DATA), ("meta-data", &interfaces)], true),
        ("a word of its author's", &[("user-data", USER_DATA), ("meta-data", &own)], false),
        ("two files", &[("user-data", USER_DATA), ("meta-data", META_DATA)], false),
        (
            "with a network",
            &[("user-data", USER_DATA), ("meta-data", META_DATA), ("network-config", NETWORK)],
            true,
        ),
        (
            "with its outer key",
            &[("user-data", USER_DATA), ("meta-data", META_DATA), ("network-config", &wrapped)],
            true,
        ),
        ("in meta-data", &[("user-data", USER_DATA), ("meta-data", &inline)], true),
        (
            "in JSON",
            &[
                ("user-data", USER_DATA),
                (
                    "meta-data",
                    r#"{"instance-id": "iid-1", "local-hostname": "node-1.example.invalid", "rack": {"row": 7}}"#,
                ),
            ],
            false,
        ),
    ];
    for (name, contents, network) in cases {
        let (seed, root) = (fresh("seed"), Scratch::new("seed-root"));
        files(&seed, contents);
        plan(&seed, &root).ended(2, &[]);
        provision(&seed, &root)
            .ended(0, &["fetch: platform=nocloud instance-id=iid-1 hostname=node-1.example.invalid"]);
        is_the_node(&root, network);
        provision(&seed, &root).ended(0, &["nothing changed"]);
        plan(&seed, &root).ended(0, &[]);
        println!("{name}: well");
    }
}

#[test]
fn a_seed_that_is_not_whole() {
    let (seed, root) = (fresh("half"), Scratch::new("half-root"));
    provision(&seed, &root).ended(75, &["error: fetch: ", "holds neither user-data nor meta-data"]);
    files(&seed, &[("meta-data", META_DATA)]);
    provision(&seed, &root).ended(0, &["there is no user-data: there is nothing to start"]);
    assert_eq!(root.text("/etc/hostname"), "node-1\n");
    files(&seed, &[("meta-data", "- a list\n"), ("user-data", USER_DATA)]);
    let ran = provision(&seed, &Scratch::new("list-root"));
    ran.ended(65, &["error: decode: meta-data: takes a YAML or JSON mapping, this is a list"]);
}

// Drives

/// There is one machine to attach drives to.
static MACHINE: Mutex<()> = Mutex::new(());

/// A filesystem's image, attached.
struct Drive {
    image: PathBuf,
    device: String,
}

impl Drop for Drive {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
        // Whoever has it open meanwhile, and programs that look at all drives do, keeps it attached that long.
        let attached = format!("/sys/class/block/{}/loop", self.device.trim_start_matches("/dev/"));
        for _ in 0..1000 {
            if !Path::new(&attached).exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drive {
    #[track_caller]
    fn attach(image: PathBuf) -> Self {
        let attached = Ran::of(Command::new("losetup").args(["--find", "--show"]).arg(&image));
        attached.ended(0, &[]);
        Self { image, device: attached.out.trim().to_owned() }
    }

    #[track_caller]
    fn iso(name: &str, label: &str, contents: &Path) -> Self {
        program("genisoimage", "genisoimage").unwrap();
        let image = fresh(name).join("iso");
        let mut make = Command::new("genisoimage");
        make.args(["-quiet", "-rational-rock", "-joliet", "-volid", label, "-output"])
            .arg(&image)
            .arg(contents);
        Ran::of(&mut make).ended(0, &[]);
        Self::attach(image)
    }

    #[track_caller]
    fn fat(name: &str, label: &str, bits: &str, unnamed: bool, contents: &Path) -> Self {
        program("mkfs.vfat", "dosfstools").unwrap();
        program("mcopy", "mtools").unwrap();
        let image = fresh(name).join("fat");
        // Megabytes, and sectors of a cluster: FAT12 has fewer than 4085 clusters, FAT32 more than 65524.
        let (size, sectors) = match bits {
            "12" => (4, "4"),
            "16" => (40, "16"),
            _ => (40, "1"),
        };
        fs::File::create(&image).unwrap().set_len(size << 20).unwrap();
        Ran::of(Command::new("mkfs.vfat").args(["-F", bits, "-s", sectors, "-n", label]).arg(&image))
            .ended(0, &[]);
        if unnamed {
            // As Windows leaves the boot sector, and FAT32's copy of it.
            let file = fs::File::options().write(true).open(&image).unwrap();
            let at: &[u64] = if bits == "32" { &[71, 6 * 512 + 71] } else { &[43] };
            at.iter().for_each(|at| file.write_all_at(b"NO NAME    ", *at).unwrap());
        }
        for entry in fs::read_dir(contents).unwrap() {
            Ran::of(Command::new("mcopy").arg("-i").arg(&image).arg(entry.unwrap().path()).arg("::"))
                .ended(0, &[]);
        }
        Self::attach(image)
    }
}

/// Attaches a drive with what a directory holds.
type Attach = fn(&Path) -> Drive;

fn machine() -> std::sync::MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the kernel can mount such a filesystem, after it was asked to load it.
fn kernel_knows(filesystem: &str) -> bool {
    let _ = Command::new("modprobe").arg(filesystem).stderr(std::process::Stdio::null()).status();
    fs::read_to_string("/proc/filesystems").unwrap().lines().any(|l| l.trim() == filesystem)
}

/// Provisions from the drive, and gives the calls that mount it too.
fn from_drive(root: &Scratch) -> (Ran, String) {
    program("strace", "strace").unwrap();
    let log = fresh("mounts").join("log");
    let mut run = Command::new("strace");
    run.args(["-f", "-e", "trace=mount,fsopen,fsconfig,fsmount", "-o", log.to_str().unwrap()]);
    run.args([FOOTPLATE, "provision", "--platform", "nocloud", "--root", root.arg()]);
    let ran = Ran::of(&mut run);
    (ran, fs::read_to_string(log).unwrap())
}

#[test]
fn drives_of_every_kind_are_found_by_label_and_read() {
    needs!(root("loop devices"));
    let _machine = machine();
    let contents = fresh("contents");
    files(&contents, &[("user-data", USER_DATA), ("meta-data", META_DATA), ("network-config", NETWORK)]);
    let drives: [(&str, &str, Attach); 7] = [
        ("iso9660", "cidata", |c| Drive::iso("iso-lower", "cidata", c)),
        ("iso9660", "CIDATA", |c| Drive::iso("iso-upper", "CIDATA", c)),
        ("vfat", "CIDATA", |c| Drive::fat("fat12", "CIDATA", "12", false, c)),
        ("vfat", "CIDATA", |c| Drive::fat("fat16", "CIDATA", "16", false, c)),
        ("vfat", "CIDATA", |c| Drive::fat("fat32", "CIDATA", "32", false, c)),
        ("vfat", "CIDATA", |c| Drive::fat("fat16-windows", "CIDATA", "16", true, c)),
        ("vfat", "CIDATA", |c| Drive::fat("fat32-windows", "CIDATA", "32", true, c)),
    ];
    for (filesystem, label, attach) in drives {
        let drive = attach(&contents);
        let before = fs::read(&drive.image).unwrap();
        let platforms = footplate(&["platforms", "--format", "json"]);
        let platforms: serde_json::Value = serde_json::from_str(&platforms.out).unwrap();
        let nocloud = platforms.as_array().unwrap().iter().find(|p| p["id"] == "nocloud").unwrap();
        assert_eq!(nocloud["because"], format!("a drive labelled {label}"), "{nocloud:#}");

        let root = Scratch::new("drive-root");
        let (ran, mounts) = from_drive(&root);
        let calls = |name: &str| -> Vec<&str> {
            mounts.lines().filter(|l| l.contains(&format!(" {name}("))).collect()
        };
        assert_eq!(calls("mount"), [""; 0], "nothing is mounted where others see it");
        // Once for all four files.
        let [opened] = calls("fsopen")[..] else { panic!("{mounts}{}", ran.err) };
        assert!(opened.contains(&format!("\"{filesystem}\"")), "{opened}");
        if kernel_knows(filesystem) {
            ran.ended(0, &["fetch: platform=nocloud instance-id=iid-1"]);
            is_the_node(&root, true);
            assert!(calls("fsconfig")[0].contains(&drive.device), "{mounts}");
            for flag in ["RDONLY", "NODEV", "NOEXEC", "NOSUID"] {
                assert!(calls("fsmount")[0].contains(&format!("MOUNT_ATTR_{flag}")), "{mounts}");
            }
        } else {
            ran.ended(
                75,
                &["error: fetch: NoCloud", &format!("mounting {}", drive.device), "No such device"],
            );
        }
        assert!(fs::read(&drive.image).unwrap() == before, "the drive was written to");
        let mounted = fs::read_to_string("/proc/mounts").unwrap();
        assert!(!mounted.contains(&format!("{} ", drive.device)), "still mounted: {mounted}");
    }
}

#[test]
fn other_drives_are_left_alone() {
    needs!(root("loop devices"));
    let _machine = machine();
    let contents = fresh("other");
    files(&contents, &[("user-data", USER_DATA), ("meta-data", META_DATA)]);
    let _drives = [
        Drive::iso("iso-other", "cidata2", &contents),
        Drive::fat("fat-other", "DATA", "16", false, &contents),
    ];
    let ran = footplate(&["platforms"]);
    assert!(ran.out.contains("cidata2") && !ran.out.contains("a drive labelled"), "{}", ran.out);
    let root = Scratch::new("other-root");
    let (ran, mounts) = from_drive(&root);
    ran.ended(69, &["error: detect: no metadata and no user-data for this machine: asked NoCloud"]);
    assert!(!mounts.contains("fsopen("), "{mounts}");
}

/// Azure's drive, which is told by its file system and by what is on it.
#[test]
fn a_udf_drive_is_found_without_a_label() {
    needs!(root("loop devices"));
    needs!(program("mkudffs", "udftools"));
    let _machine = machine();
    for blocks in ["512", "2048"] {
        let (image, root) = (fresh("udf").join("image"), Scratch::new("udf-root"));
        fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
        Ran::of(Command::new("mkudffs").args(["--label=otter", "--blocksize", blocks]).arg(&image))
            .ended(0, &[]);
        let drive = Drive::attach(image);
        let known = kernel_knows("udf");
        if known {
            let (from, at) = (fresh("udf-contents"), fresh("udf-mounted"));
            let name = "<HostName xmlns=\"http://schemas.microsoft.com/windowsazure\">otter-7</HostName>";
            files(&from, &[("ovf-env.xml", name)]);
            let write = "mount -t udf \"$0\" \"$1\" && cp \"$2\"/* \"$1\" && umount \"$1\"";
            Ran::of(
                Command::new("unshare").args(["--mount", "sh", "-c", write, &drive.device]).args([at, from]),
            )
            .ended(0, &[]);
        }
        let ran = footplate(&["network", "--platform", "azure", "--root", root.arg()]);
        if known {
            ran.ended(0, &["platform=azure"]);
            assert_eq!(root.text("/etc/hostname"), "otter-7\n");
        } else {
            ran.ended(75, &[&format!("mounting {}", drive.device), "No such device"]);
        }
    }
}

/// Rock Ridge brings symbolic links, and one to a file of the machine would be read as this machine's data.
#[test]
fn a_link_on_a_drive_is_refused() {
    needs!(root("loop devices"));
    let _machine = machine();
    let (contents, secret) = (fresh("link"), fresh("secret").join("secret"));
    fs::write(&secret, format!("#cloud-config\nruncmd: [echo {}]\n", scratch::CANARY)).unwrap();
    files(&contents, &[("meta-data", META_DATA)]);
    symlink(&secret, contents.join("user-data")).unwrap();
    let drive = Drive::iso("iso-link", "cidata", &contents);
    let root = Scratch::new("link-root");
    let (ran, _) = from_drive(&root);
    if kernel_knows("iso9660") {
        ran.ended(75, &["drive/cidata/user-data: not a regular file"]);
    } else {
        ran.ended(75, &[&format!("mounting {}", drive.device)]);
    }
    stopped_without_a_word(&ran, &root);
}

/// Two runs on one root would each undo a part of the other: the second one waits, then says who is at work, and changes nothing.
#[test]
fn a_second_run_beside_the_first_names_it() {
    let (seed, root) = (scratch::seed("beside", "#cloud-config\n{}\n"), Scratch::new("beside"));
    root.put("/run/footplate/status.json", "{}");
    fs::set_permissions(root.path("/run/footplate"), fs::Permissions::from_mode(0o700)).unwrap();
    // flock(1) stands for the first run, and says when it has the lock.
    let run = root.path("/run/footplate");
    let mut first = std::process::Command::new("flock")
        .args([run.to_str().unwrap(), "sh", "-c", r#"echo held; read line; rm -r "$0""#])
        .arg(&run)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(first.stdout.take().unwrap()), &mut line)
        .unwrap();
    let before = root.tree();
    let who = format!("another footplate works there (process {}, `flock ", first.id());
    scratch::provision(&seed, &root)
        .ended(74, &[&who, "hint: wait until it ends: `footplate status --wait`"]);
    footplate(&["clean", "--root", root.arg()]).ended(74, &[&who, "hint: wait until it ends"]);
    assert_eq!(root.tree(), before);
    // Where the first one ends in time, the second one makes the node, and the directory that the first one removed.
    let mut input = first.stdin.take();
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        drop(input.take());
        first.wait().unwrap();
    });
    scratch::provision(&seed, &root).ended(0, &[]);
    ends.join().unwrap();
}

/// The tree has the same modes whatever umask the caller has, and what networkd reads is readable to it.
#[test]
fn the_callers_umask_changes_nothing() {
    let seed = fresh("umask");
    let data = "#cloud-config\nwrite_files:\n- {path: /etc/a/b/open, content: x, permissions: '0666'}\n- {path: /etc/a/closed, content: x, permissions: '0600'}\n- {path: /srv/plain, content: x}\nruncmd: [kubeadm init]\n";
    let network = "network: {version: 2, ethernets: {a: {match: {name: a0}, dhcp4: true, optional: true}}}\n";
    files(&seed, &[("meta-data", META_DATA), ("user-data", data), ("network-config", network)]);
    let trees = ["022", "077", "000", "0177", "0777"].map(|umask| {
        let root = Scratch::new("umask-root");
        let (seed, at) = (seed.to_str().unwrap(), root.arg());
        let script = format!("umask {umask}; exec {FOOTPLATE} provision --seed {seed} --root {at}");
        Ran::of(Command::new("sh").args(["-c", &script])).ended(0, &[]);
        let mode = |path| fs::metadata(root.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("/etc/systemd/network"), mode("/etc/a/b/open"), mode("/etc/a")),
            (0o755, 0o666, 0o755)
        );
        fs::remove_file(root.path("/run/footplate/status.json")).unwrap();
        root.tree()
    });
    for tree in &trees[1..] {
        assert!(*tree == trees[0], "{}", scratch::difference(&trees[0], tree));
    }
}
