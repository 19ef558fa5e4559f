// SPDX-License-Identifier: Apache-2.0
//! Input that can't be used: each time the error that is expected, by its words and its exit code. kubeadm's script is
//! never written then, and no secret of the data comes out.

use crate::common::{scratch, vmware};

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use scratch::{
    CANARY, FOOTPLATE, ONLY_STATUS, Ran, Scratch, footplate, plan, provision, seed, stopped_without_a_word,
};
use vmware::Machine;

const DECODE: i32 = 65;
const DETECT: i32 = 69;
const APPLY: i32 = 74;
const FETCH: i32 = 75;

fn b64(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

fn gz(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// A worker's data with a secret, and further lines.
fn worker(files: &str, rest: &str) -> String {
    format!(
        "## template: jinja\n#cloud-config\n\nwrite_files:\n\
         -   path: /run/kubeadm/kubeadm-join-config.yaml\n    owner: root:root\n    permissions: '0640'\n    content: |\n      \
         token: {CANARY}\n{files}\
         runcmd:\n  - kubeadm join --token {CANARY}\n{rest}"
    )
}

/// Data that is refused before anything is written: the status says why, and nothing else is there.
#[track_caller]
fn refused(name: &str, data: impl AsRef<[u8]>, code: i32, says: &[&str]) {
    let (seed, root) = (seed(name, &data), Scratch::new(name));
    let ran = provision(&seed, &root);
    ran.ended(code, says);
    stopped_without_a_word(&ran, &root);
    assert_eq!(root.paths(), ONLY_STATUS);
    let status: serde_json::Value = serde_json::from_str(&root.text("/run/footplate/status.json")).unwrap();
    assert_eq!(status["state"], "failed");
    // `plan` refuses in the same words and writes nothing at all.
    let root = Scratch::new(&format!("{name}.plan"));
    let ran = plan(&seed, &root);
    ran.ended(code, says);
    stopped_without_a_word(&ran, &root);
    assert_eq!(root.paths(), [""; 0]);
    told_on_vsphere(name, data.as_ref(), code);
}

/// The same data on a vSphere machine that is replayed: its operator reads from outside that it failed, and why.
#[track_caller]
fn told_on_vsphere(name: &str, data: &[u8], code: i32) {
    let (machine, root) =
        (Scratch::new(&format!("{name}.machine")), Scratch::new(&format!("{name}.vsphere")));
    machine.put("/file/sys/class/dmi/id/sys_vendor", "VMware, Inc.\n");
    machine.put("/guestinfo/guestinfo.metadata", "instance-id: i-1\nlocal-hostname: node-1\n");
    machine.put("/guestinfo/guestinfo.userdata", data);
    let ran = footplate(&["provision", "--replay", machine.arg(), "--root", root.arg()]);
    let told = |key: &str| {
        let mark = format!("replay: told/guestinfo/guestinfo.footplate.{key}: ");
        ran.err.lines().filter_map(|l| l.strip_prefix(&mark)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ran.code, code, "{name}: {}", ran.err);
    assert_eq!(told("state").last().map(String::as_str), Some("failed"), "{name}: {}", ran.err);
    for key in ["error", "code", "phase"] {
        let words = told(key);
        assert!(words.last().is_some_and(|w| w.len() > 1 && !w.contains(CANARY)), "{name}: {key}: {words:?}");
    }
    let report = STANDARD.decode(told("report").pop().unwrap_or_default()).unwrap();
    let mut text = String::new();
    GzDecoder::new(&*report).read_to_string(&mut text).unwrap();
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    // One line has the reasons too.
    let error = status["problems"].as_array().unwrap().iter().find(|p| p["level"] == "error");
    let why = error.and_then(|p| p["why"].as_array()).into_iter().flatten();
    let line: Vec<&str> =
        status["error"].as_str().into_iter().chain(why.filter_map(|w| w.as_str())).collect();
    assert_eq!(Some(line.join(": ")), told("error").pop(), "{name}");
    let block = root.text("/run/cluster-api/bootstrap-error.log");
    assert!((4..=10).contains(&block.lines().count()), "{name}: {block}");
    assert!(!text.contains(CANARY) && !block.contains(CANARY), "{name}: {text} {block}");
}

// Envelopes

#[test]
fn truncated_gzip() {
    let packed = gz(worker("", ""));
    refused(
        "truncated-gzip",
        &packed[..packed.len() / 2],
        DECODE,
        &["error: decode: the gzip data is cut off"],
    );
}

#[test]
fn damaged_gzip() {
    let mut packed = gz(worker("", ""));
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    refused("damaged-gzip", packed, DECODE, &["error: decode: the gzip data is damaged"]);
}

#[test]
fn bomb_of_64_mib() {
    let bomb = gz(vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    refused("bomb", &bomb, DECODE, &["error: decode: unpacks to more than 32 MiB"]);
    let file = format!("-   path: /a\n    encoding: gz+b64\n    content: {}\n", b64(&bomb));
    refused(
        "bomb-in-file",
        worker(&file, ""),
        DECODE,
        &["write_files[1].content: unpacks to more than 32 MiB (line 12,"],
    );
}

#[test]
fn bomb_in_a_template() {
    let file = format!(
        "-   path: /a\n    content: \"{{% for i in range(9000) %}}{}{{% endfor %}}\"\n",
        "x".repeat(5000)
    );
    refused(
        "bomb-in-template",
        worker(&file, ""),
        DECODE,
        &["error: decode: jinja: the template runs too long"],
    );
}

/// Bad base64 is known as such where something says that it is base64: in guestinfo, and in a file.
#[test]
fn bad_base64() {
    let half = &b64(CANARY.repeat(3))[..38];
    let file = format!("-   path: /a\n    encoding: base64\n    content: {half}\n");
    let says = "write_files[1].content: not base64: the `=` padding at its end is missing or wrong (line 12,";
    refused("bad-base64", worker(&file, ""), DECODE, &[says]);
    let file = format!("-   path: /a\n    encoding: base64\n    content: {CANARY}\n");
    let says = "write_files[1].content: not base64: a character outside the alphabet (line 12,";
    refused("bad-base64-letter", worker(&file, ""), DECODE, &[says]);
    let file = "-   path: /a\n    encoding: gzip+base64\n    content: aGVsbG8=\n";
    refused("no-gzip", worker(file, ""), DECODE, &["write_files[1].content: not gzip data (line 12,"]);
}

#[test]
fn not_utf8() {
    let data = [worker("", "").as_bytes(), b"# \xff\n"].concat();
    refused("not-utf8", data, DECODE, &["error: decode: not UTF-8 text (line 12, column 3)"]);
}

// Templates

/// Docker's and Go's templates in a file's content: cloud-init drops the whole configuration and boots on.
#[test]
fn jinja_syntax_error_in_a_files_content() {
    let file = "-   path: /etc/script\n    content: |\n      docker inspect -f '{{.State}}' etcd\n";
    let says = &[
        "error: decode: a placeholder of a Go template, which nothing on a node fills in (line 12, column 26)",
        "text for a program of the node goes between `{% raw %}`",
    ];
    refused("jinja-syntax", worker(file, ""), DECODE, says);
    let file = "-   path: /etc/script\n    content: |\n      echo ${#names[@]}\n";
    refused(
        "jinja-comment",
        worker(file, ""),
        DECODE,
        &["error: decode: jinja syntax: ", "(line 12, column 13)"],
    );
}

#[test]
fn undefined_jinja_variable() {
    let file = "-   path: /etc/node\n    content: |\n      name: {{ ds.meta_data.hostnme }}\n";
    let says = &[
        "error: decode: jinja: `ds.meta_data.hostnme` has no value (line 12, column 16)",
        "hint: did you mean `ds.meta_data.hostname`?",
    ];
    refused("undefined", worker(file, ""), DECODE, says);
}

// YAML

#[test]
fn tab_in_yaml() {
    let says = &[
        "error: decode: not YAML: a tab in the indentation (line 13, column 1)",
        "hint: indent with spaces",
    ];
    refused("tab", worker("", "ntp:\n\tenabled: true\n"), DECODE, says);
}

#[test]
fn duplicate_keys() {
    let says = &[
        "error: decode: duplicate key \"runcmd\": the mapping has it above already (line 12, column 1)",
        "hint: keep one of the two",
    ];
    refused("duplicate", worker("", &format!("runcmd:\n  - echo {CANARY}\n")), DECODE, says);
}

#[test]
fn unknown_encoding() {
    let file = format!("-   path: /a\n    encoding: base64+gzip\n    content: {CANARY}\n");
    let says = &[
        "error: decode: write_files[1].encoding: is not a known encoding (line 11, column 15)",
        "hint: one of base64, gzip, gzip+base64",
    ];
    refused("encoding", worker(&file, ""), DECODE, says);
}

#[test]
fn path_that_goes_up() {
    for path in ["/etc/../../outside", "../outside", "/var/lib/.."] {
        let file = format!("-   path: {path}\n    content: {CANARY}\n");
        refused(
            "dotdot",
            worker(&file, ""),
            DECODE,
            &["error: decode: write_files[1].path: the path goes up by `..` (line 10, column 11)"],
        );
    }
}

/// All faults of a document are told at once, not one a boot.
#[test]
fn every_fault_is_told() {
    let files = "-   path: /../a\n-   path: /b\n    permissions: rw\n-   content: c\n";
    let says = &[
        "error: decode: write_files[1].path: the path goes up",
        "also: write_files[2].permissions: is not octal",
        "also: write_files[3].path: missing",
    ];
    refused("faults", worker(files, ""), DECODE, says);
}

/// What is read in another branch of the pipe's future is refused by name until then: a node without its disks is not
/// the node that was asked for.
#[test]
fn unsupported_formats_are_refused_by_name() {
    let cases = [(
        "ignition",
        format!("{{\"ignition\": {{\"version\": \"1.0.0\"}}, \"x\": \"{CANARY}\"}}"),
        "ignition.version: Ignition 1 is not supported",
    )];
    for (name, data, says) in cases {
        refused(name, data, DECODE, &[says]);
    }
}

/// What a boothook writes can't be there where none runs: a node is not made of half its data. A plan says so and goes on.
#[test]
fn what_a_boothook_would_bring_is_missed_under_another_root() {
    let data = format!(
        "#cloud-config-archive\n- \"#cloud-boothook\\necho {CANARY} > /run/not-there\\n\"\n- \"#include\\nfile:///run/not-there\\n\"\n\
         - \"#cloud-config\\nruncmd: [kubeadm join]\\n\"\n"
    );
    let says = "include file:///run/not-there: the file does not exist; a boothook may write it";
    let (seed, root) = (seed("boothook", &data), Scratch::new("boothook"));
    let ran = provision(&seed, &root);
    ran.ended(DECODE, &[says]);
    stopped_without_a_word(&ran, &root);
    let ran = plan(&seed, &Scratch::new("boothook-plan"));
    ran.ended(2, &["boothooks run before the rest of the data is read: what they bring is not in this plan"]);
    assert!(ran.out.contains("> start kubeadm.service"), "{}", ran.out);
}

// Users and paths of the node

/// Nothing at all is written, though the owner is only looked up on the node.
#[test]
fn unknown_owner() {
    let file = format!("-   path: /etc/a\n    owner: nobody-of-that-name:root\n    content: {CANARY}\n");
    let says =
        "error: apply: write_files[1].owner: the user does not exist, neither in the image nor in the data";
    refused("owner", worker(&file, ""), APPLY, &[says]);
    let file = "-   path: /etc/a\n    owner: root:no-such-group\n";
    refused("group", worker(file, ""), APPLY, &["write_files[1].owner: the group does not exist"]);
}

/// A link in the root may point anywhere; what is written stays below the root.
#[test]
fn symbolic_links_do_not_lead_out_of_the_root() {
    let outside = scratch::fresh("links.outside");
    let far = format!("{}{}", "../".repeat(40), outside.to_str().unwrap().trim_start_matches('/'));
    let links = [("absolute", outside.to_str().unwrap().to_owned()), ("climbing", far)];
    for (name, target) in links {
        for whole in [false, true] {
            // The link is a directory on the way, or the file itself.
            let name = format!("link-{name}-{whole}");
            let (link, target) =
                if whole { ("/etc/out", format!("{target}/x")) } else { ("/etc/out", target.clone()) };
            let path = if whole { "/etc/out" } else { "/etc/out/x" };
            let file = format!("-   path: {path}\n    content: {CANARY}\n");
            let (seed, root) = (seed(&name, worker(&file, "")), Scratch::new(&name));
            fs::create_dir(root.path("/etc")).unwrap();
            symlink(&target, root.path(link)).unwrap();
            let ran = provision(&seed, &root);
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}: written outside");
            if ran.code == 0 {
                // Followed as the node itself would follow it: below the root.
                assert!(root.path(outside.to_str().unwrap()).join("x").is_file(), "{name}: {}", root.tree());
            } else {
                ran.ended(
                    APPLY,
                    &["error: apply: write_files[1]: /etc/out: a symbolic link that leads out of the root"],
                );
                assert!(!root.path("/run/kubeadm").exists(), "what comes before it was written");
                stopped_without_a_word(&ran, &root);
            }
        }
    }
}

/// Flatcar's `/etc` has links into `/usr`. What is written there takes the link's place, and what is appended stands behind what the
/// link led to; a file that already is as it shall be leaves the link.
#[test]
fn a_link_to_what_cannot_be_written_gives_way() {
    needs!(root("mounts and owners"));
    let files = "-   path: /etc/environment\n    append: true\n    content: |\n      A=1\n\
                 -   path: /etc/issue\n    content: 'new'\n    permissions: '0600'\n\
                 -   path: /etc/chain\n    content: 'new'\n\
                 -   path: /etc/same\n    content: 'same'\n";
    let (seed, root) = (seed("link-read-only", worker(files, "")), Scratch::new("link-read-only"));
    for (name, text) in [("environment", "# ours\n"), ("issue", "old"), ("last", "old"), ("same", "same")] {
        root.put(&format!("/usr/share/{name}"), text);
    }
    fs::create_dir(root.path("/etc")).unwrap();
    for (name, target) in [
        ("environment", "../usr/share/environment"),
        ("issue", "/usr/share/issue"),
        ("chain", "../usr/share/chain"),
        ("same", "../usr/share/same"),
    ] {
        symlink(target, root.path(&format!("/etc/{name}"))).unwrap();
    }
    symlink("last", root.path("/usr/share/chain")).unwrap();
    // Twice, and each time from the same data.
    let script = "mount --bind usr usr; mount -o remount,bind,ro usr
        for turn in 1 2; do \"$0\" provision --seed \"$1\" --root . || exit; cp etc/environment environment.$turn; done";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script, FOOTPLATE]).arg(&seed).current_dir(root.path("/"));
    let ran = Ran::of(&mut unshare);
    ran.ended(0, &[]);
    for (name, text) in
        [("environment", "# ours\nA=1\n"), ("issue", "new"), ("chain", "new"), ("same", "same")]
    {
        let path = format!("/etc/{name}");
        assert_eq!(root.text(&path), text, "{name}");
        assert_eq!(root.path(&path).is_symlink(), name == "same", "{name}");
    }
    for (name, text) in [("environment", "# ours\n"), ("issue", "old"), ("last", "old")] {
        assert_eq!(root.text(&format!("/usr/share/{name}")), text, "{name}: written through the link");
    }
    assert_eq!(root.text("/environment.1"), root.text("/environment.2"), "appended twice");
}

/// A directory, a device or a FIFO where a file shall be stays what it is.
#[test]
fn what_is_no_file_is_not_replaced() {
    needs!(root("mounts and owners"));
    let file = format!("-   path: /etc/a\n    content: {CANARY}\n");
    let makes: [(&str, &[&str], &str); 3] = [
        ("directory", &["mkdir"], "write_files[1]: /etc/a is a directory"),
        ("fifo", &["mkfifo"], "write_files[1]: /etc/a is not a regular file"),
        ("device", &["mknod", "-m600"], "write_files[1]: /etc/a is not a regular file"),
    ];
    for (name, make, says) in makes {
        let (seed, root) = (seed(name, worker(&file, "")), Scratch::new(name));
        fs::create_dir(root.path("/etc")).unwrap();
        let mut command = Command::new(make[0]);
        command.args(&make[1..]).arg(root.path("/etc/a"));
        if name == "device" {
            command.args(["c", "1", "3"]);
        }
        Ran::of(&mut command).ended(0, &[]);
        let before = root.tree();
        let ran = provision(&seed, &root);
        ran.ended(APPLY, &[says]);
        stopped_without_a_word(&ran, &root);
        let line = before.lines().find(|l| l.ends_with("/etc/a")).unwrap();
        assert!(root.tree().contains(line), "{}", root.tree());
    }
}

/// cloud-init makes 01204 of this.
#[test]
fn unquoted_permissions_are_octal_with_a_warning() {
    let file = "-   path: /etc/a\n    permissions: 644\n    content: a\n";
    let (seed, root) = (seed("permissions", worker(file, "")), Scratch::new("permissions"));
    let says = "warning: write_files[1].permissions: an unquoted 644 is taken as octal, 0644 (line 11, column 18); quote it: '0644'";
    provision(&seed, &root).ended(0, &[says]);
    assert_eq!(root.owned("/etc/a").0, 0o644);
    assert!(root.text("/run/footplate/status.json").contains("an unquoted 644 is taken as octal"));
}

// A disk that is full

/// A small filesystem, gone when this is.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, options: &str) -> Self {
        let arguments = ["-t", "tmpfs", "-o", options, "footplate-test"];
        Ran::of(Command::new("mount").args(arguments).arg(at)).ended(0, &[]);
        Self(at)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn full_disk_while_the_tenth_file_is_written() {
    needs!(root("mounts and owners"));
    let (root, count) = (Scratch::new("full"), 12);
    let disk = Disk::mount(&root.dir, "size=512k,mode=755");
    // Of these the tenth is the one that does not fit.
    let content = |i: usize| if i == 10 { CANARY.repeat(9000) } else { format!("{CANARY} new {i}") };
    let files: String =
        (1..=count).map(|i| format!("-   path: /data/{i}\n    content: {}\n", content(i))).collect();
    let seed = seed("full", worker(&files, ""));
    for i in [3, 10, 11] {
        root.put(&format!("/data/{i}"), format!("old {i}\n"));
    }
    root.put("/ballast", vec![0; 300 << 10]);

    let ran = provision(&seed, &root);
    ran.ended(
        APPLY,
        &["error: apply: file /data/10\n  why: No space left on device\n hint: make room: `df` and `df -i` tell which file system is full"],
    );
    stopped_without_a_word(&ran, &root);
    for i in 1..10 {
        assert_eq!(root.text(&format!("/data/{i}")), content(i), "what came before it stands");
    }
    assert_eq!(root.text("/data/10"), "old 10\n", "the old content is whole");
    for i in 11..=count {
        assert_eq!(
            root.text(&format!("/data/{i}")),
            content(i),
            "the other files are tried, so that all failures are told"
        );
    }
    let leftovers: Vec<String> = root.paths().into_iter().filter(|p| p.contains(".footplate")).collect();
    assert_eq!(leftovers, [""; 0]);
    let status: serde_json::Value = serde_json::from_str(&root.text("/run/footplate/status.json")).unwrap();
    assert_eq!(
        (status["state"].as_str(), status["error"].as_str()),
        (Some("failed"), Some("apply: file /data/10"))
    );

    fs::remove_file(root.path("/ballast")).unwrap();
    provision(&seed, &root).ended(0, &[]);
    for i in 1..=count {
        assert_eq!(root.text(&format!("/data/{i}")), content(i));
    }
    provision(&seed, &root).ended(0, &["apply: nothing changed"]);
    drop(disk);
}

/// Not even the status fits: the exit code and the error still tell.
#[test]
fn disk_full_from_the_start() {
    needs!(root("mounts and owners"));
    let root = Scratch::new("full-from-the-start");
    let disk = Disk::mount(&root.dir, "size=64k,mode=755");
    root.put("/ballast", vec![0; 64 << 10]);
    let ran = provision(&seed("full-from-the-start", worker("", "")), &root);
    assert!(ran.code != 0 && ran.err.contains("No space left on device"), "{} {}", ran.code, ran.err);
    stopped_without_a_word(&ran, &root);
    drop(disk);
}

// guestinfo

/// The same in a machine of vSphere; `host` are options of `vmware-host`.
#[track_caller]
fn refused_on_vsphere(name: &str, machine: &Machine, host: &str, code: i32, says: &[&str]) {
    let root = Scratch::new(name);
    let ran: Ran =
        machine.run(host, &[FOOTPLATE, "provision", "--platform", "vmware", "--root", root.arg()]).into();
    ran.ended(code, says);
    stopped_without_a_word(&ran, &root);
    assert_eq!(root.paths(), ONLY_STATUS);
}

fn vsphere(name: &str) -> Machine {
    let machine = Machine::new(&format!("bad-{name}"));
    machine.put("guestinfo.metadata", "instance-id: n1\nlocal-hostname: n1\n");
    machine.put("guestinfo.userdata", b64(worker("", ""))).put("guestinfo.userdata.encoding", "base64");
    machine
}

#[test]
fn guestinfo_with_a_broken_value() {
    let half = b64(worker("", ""))[..102].to_owned();
    let packed = gz(worker("", ""));
    let cases = [
        ("base64", half, "base64", "  why: guestinfo.userdata: not base64: the `=` padding"),
        (
            "truncated",
            b64(&packed[..packed.len() / 2]),
            "gzip+base64",
            "  why: guestinfo.userdata: the gzip data is cut off",
        ),
        (
            "bomb",
            b64(gz(vec![b' '; 64 << 20])),
            "gz+b64",
            "  why: guestinfo.userdata: unpacks to more than 32 MiB",
        ),
        (
            "encoding",
            b64(worker("", "")),
            "rot13",
            "  why: guestinfo.userdata.encoding: \"rot13\" is not a known encoding",
        ),
    ];
    for (name, value, encoding, says) in cases {
        let machine = vsphere(name);
        machine.put("guestinfo.userdata", value).put("guestinfo.userdata.encoding", encoding);
        refused_on_vsphere(&format!("guestinfo-{name}"), &machine, "", DECODE, &[says]);
    }
}

#[test]
fn guestinfo_with_broken_metadata() {
    let cases = [
        ("yaml", "instance-id: [\n".to_owned(), "  why: guestinfo.metadata: not YAML"),
        (
            "list",
            format!("- {CANARY}\n"),
            "  why: guestinfo.metadata: takes a YAML or JSON mapping, this is a list",
        ),
        (
            "name",
            "instance-id: n1\nlocal-hostname: a b\n".to_owned(),
            "  why: guestinfo.metadata: local-hostname:",
        ),
    ];
    for (name, value, says) in cases {
        let machine = vsphere(&format!("metadata-{name}"));
        machine.put("guestinfo.metadata", value);
        refused_on_vsphere(&format!("metadata-{name}"), &machine, "", DECODE, &[says]);
    }
}

#[test]
fn guestinfo_that_changes_between_reads() {
    let machine = vsphere("flap");
    machine.put("guestinfo.userdata.2", b64(worker("", &format!("bootcmd: [echo {CANARY}]\n"))));
    let says = &[
        "error: fetch: VMware vSphere (--platform vmware)\n  why: guestinfo changes while it is read: 5 passes over its keys, and no two agree",
    ];
    refused_on_vsphere("flap", &machine, "--flap guestinfo.userdata", FETCH, says);
}

#[test]
fn no_guestinfo_at_all() {
    let machine = Machine::new("bad-none");
    let says = &[
        "error: detect: no metadata and no user-data for this machine: asked VMware vSphere (--platform vmware)",
        "hint: vSphere: set guestinfo.metadata and guestinfo.userdata",
    ];
    refused_on_vsphere("none", &machine, "", DETECT, says);
    machine.put("guestinfo.metadata", "---").put("guestinfo.userdata", " ");
    refused_on_vsphere("emptied", &machine, "", DETECT, says);
}

#[test]
fn hypervisor_that_refuses_the_rpc() {
    let cases = [
        ("deny-rpc", "--deny rpc", "it refuses: Permission denied"),
        ("deny-open", "--deny open", "the hypervisor does not open an RPC channel"),
        ("vmport", "--hypervisor vmport", "the hypervisor does not open an RPC channel"),
        (
            "no-hypervisor",
            "--hypervisor none",
            "the hypervisor does not answer on VMware's port\n hint: `footplate platforms` tells which platform this machine is",
        ),
        (
            "checkpoint",
            "--checkpoint always",
            "the hypervisor refused step SendSize of an RPC (status 0x0010)",
        ),
    ];
    for (name, host, says) in cases {
        refused_on_vsphere(
            name,
            &vsphere(name),
            host,
            FETCH,
            &["error: fetch: VMware vSphere (--platform vmware)", says],
        );
    }
}
