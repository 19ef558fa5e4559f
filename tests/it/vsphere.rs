// SPDX-License-Identifier: Apache-2.0
//! vSphere machines of Cluster API, from guestinfo to the node's whole tree, by the real program under `vmware-host`.
//!
//! `tests/cases/capv-*/` hold `userdata` as Cluster API's kubeadm provider writes it, `metadata.yaml` as its vSphere
//! provider does, the same as `metadata.json`, the tree that is expected of them in `tree`, and what `plan` says before
//! in `plan`. Every envelope that guestinfo can carry them in leads to that one tree.
//! `BLESS=1 cargo test --test it vsphere::` writes the expectations anew; read the difference.

use crate::common::{scratch, vmware};

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use scratch::{FOOTPLATE, Ran, Scratch, difference};
use vmware::{Machine, environment};

const CASES: [&str; 3] = ["capv-control-plane-init", "capv-control-plane-join", "capv-worker"];

/// How the program is made to see vSphere: told so, or by CPUID.
const SEEN: [(&str, &str); 2] = [("", " --platform vmware"), ("--cpuid", "")];

type Wrap = fn(&[u8]) -> Vec<u8>;

/// The name in `.encoding`, and what it stands for.
const ENVELOPES: &[(&str, Wrap)] = &[
    ("", <[u8]>::to_vec),
    ("base64", b64),
    ("b64", b64),
    ("gzip+base64", |d| b64(&gz(d))),
    ("gz+b64", |d| b64(&gz(d))),
    ("gz+base64", |d| b64(&gz(d))),
    ("gzip+b64", |d| b64(&gz(d))),
    // Lines of 76 letters, as base64(1) writes them.
    ("base64", |d| b64(d).chunks(76).collect::<Vec<_>>().join(&b'\n')),
    // A gzip that the encoding does not tell of.
    ("base64", |d| b64(&gz(d))),
];

fn b64(data: &[u8]) -> Vec<u8> {
    STANDARD.encode(data).into_bytes()
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

fn input(name: &str, file: &str) -> String {
    fs::read_to_string(case(name).join(file)).unwrap()
}

/// Compares with what is recorded in a file of the case, or records it.
#[track_caller]
fn golden(name: &str, file: &str, is: &str) {
    let path = case(name).join(file);
    if std::env::var_os("BLESS").is_some() {
        return fs::write(&path, is).unwrap();
    }
    let was = fs::read_to_string(&path).unwrap_or_default();
    assert!(is == was, "{}\n{}", path.display(), difference(&was, is));
}

/// Runs the program in the machine, without a network or firmware of the machine that the test runs on.
fn run(machine: &Machine, host: &str, arguments: &str) -> Ran {
    let alone = "[ ! -d /sys/class/dmi ] || mount -t tmpfs none /sys/class/dmi; exec \"$@\"";
    let mut command = vec!["unshare", "--mount", "--net", "sh", "-c", alone, "sh", FOOTPLATE];
    command.extend(arguments.split_whitespace());
    machine.run(host, &command).into()
}

/// Provisions a root and gives its tree, `because` made one: it tells how the platform was seen.
#[track_caller]
fn tree(machine: &Machine, root: &Scratch, (host, source): (&str, &str)) -> String {
    run(machine, host, &format!("provision{source} --root {}", root.arg())).ended(0, &[]);
    let because = if source.is_empty() { "hypervisor signature VMwareVMware" } else { "--platform vmware" };
    let tree = root.tree();
    let line = format!("    |  \"because\": \"{because}\",\n");
    assert!(tree.contains(&line), "{tree}");
    tree.replace(&line, "")
}

fn capv(name: &str, test: &str) -> Machine {
    let machine = Machine::new(&format!("vsphere-{name}-{test}"));
    machine.put("guestinfo.userdata", b64(input(name, "userdata").as_bytes()));
    machine.put("guestinfo.userdata.encoding", "base64");
    machine.put("guestinfo.metadata", b64(input(name, "metadata.yaml").as_bytes()));
    machine.put("guestinfo.metadata.encoding", "base64");
    machine
}

/// As CAPV writes guestinfo: the plan, the tree, and that all of it stays as it is.
#[track_caller]
fn bootstraps(name: &str) {
    let (machine, root) = (capv(name, "plain"), Scratch::new(name));
    let with =
        |command: &str| run(&machine, "", &format!("{command} --platform vmware --root {}", root.arg()));
    let plan = with("plan");
    plan.ended(2, &[]);
    assert_eq!(root.paths(), [""; 0], "plan wrote something");
    golden(name, "plan", &plan.out);

    golden(name, "tree", &tree(&machine, &root, SEEN[0]));

    let plan = with("plan");
    plan.ended(0, &[]);
    assert!(plan.out.ends_with("nothing to change: the machine is in this state already\n"), "{}", plan.out);
    let before = root.identities();
    with("provision").ended(0, &["apply: nothing changed\n"]);
    assert_eq!(root.identities(), before, "the second run touched something");
}

#[test]
fn control_plane_init_becomes_its_tree() {
    needs!(root("files have owners"));
    bootstraps("capv-control-plane-init");
}

#[test]
fn control_plane_join_becomes_its_tree() {
    needs!(root("files have owners"));
    bootstraps("capv-control-plane-join");
}

#[test]
fn worker_becomes_its_tree() {
    needs!(root("files have owners"));
    bootstraps("capv-worker");
}

/// What was made of a case once it travelled like this.
#[track_caller]
fn arrives(name: &str, how: &str, machine: &Machine, seen: (&str, &str)) {
    let tree = tree(machine, &Scratch::new(&format!("{name}.{how}")), seen);
    let was = input(name, "tree");
    assert!(tree == was, "{name} in {how}:\n{}", difference(&was, &tree));
}

#[test]
fn every_envelope_leads_to_the_same_tree() {
    needs!(root("files have owners"));
    for name in CASES {
        let (userdata, metadata) = (input(name, "userdata"), input(name, "metadata.yaml"));
        for (number, (encoding, wrap)) in ENVELOPES.iter().enumerate() {
            let how = format!("envelope-{number}");
            let machine = Machine::new(&format!("vsphere-{name}-{how}"));
            for (key, value) in [("guestinfo.userdata", &userdata), ("guestinfo.metadata", &metadata)] {
                machine.put(key, wrap(value.as_bytes())).put(&format!("{key}.encoding"), encoding);
            }
            arrives(name, &how, &machine, SEEN[number % SEEN.len()]);
        }
    }
}

/// An appliance's properties have the names of the keys, and no key is set: the environment comes by guestinfo, or by the drive.
#[test]
fn either_transport_of_an_appliance_leads_to_the_same_tree() {
    needs!(root("files have owners"));
    for (number, name) in CASES.iter().enumerate() {
        let (userdata, metadata) = (input(name, "userdata"), input(name, "metadata.yaml"));
        let (encoding, wrap) = &ENVELOPES[number];
        let text = |data: &str| String::from_utf8(wrap(data.as_bytes())).unwrap();
        let xml = environment(&[
            ("guestinfo.userdata", &text(&userdata)),
            ("guestinfo.userdata.encoding", encoding),
            ("guestinfo.metadata", &text(&metadata)),
            ("guestinfo.metadata.encoding", encoding),
        ]);
        for (how, place) in
            [("ovf-env", "/guestinfo/guestinfo.ovfEnv"), ("drive", "/drive/OVF ENV/ovf-env.xml")]
        {
            let replay = Scratch { dir: scratch::fresh(&format!("{name}.{how}-replay")) };
            replay.put("/hypervisor", "VMwareVMware").put("/labels", "OVF ENV\n").put(place, &xml);
            let root = Scratch::new(&format!("{name}.{how}"));
            let words = ["provision", "--replay", replay.arg(), "--root", root.arg()];
            scratch::footplate(&words).ended(0, &[]);
            let line = "    |  \"because\": \"hypervisor signature VMwareVMware\",\n";
            let (is, was) = (root.tree().replace(line, ""), input(name, "tree"));
            assert!(is == was, "{name} by {how}:\n{}", difference(&was, &is));
        }
    }
}

/// CAPV decodes base64 that it takes its input for and encodes again: user-data may come encoded twice.
#[test]
fn user_data_may_be_wrapped_twice() {
    needs!(root("files have owners"));
    let twice: [(&str, Wrap); 3] = [
        ("base64-base64", |d| b64(&b64(d))),
        ("base64-gzip-base64", |d| b64(&b64(&gz(d)))),
        ("gzip-gzip", |d| b64(&gz(&gz(d)))),
    ];
    for name in CASES {
        for (how, wrap) in twice {
            let machine = capv(name, how);
            machine.put("guestinfo.userdata", wrap(input(name, "userdata").as_bytes()));
            arrives(name, how, &machine, SEEN[0]);
        }
    }
}

#[test]
fn metadata_is_yaml_or_json_and_its_network_inline_or_encoded() {
    needs!(root("files have owners"));
    for name in CASES {
        let yaml = input(name, "metadata.yaml");
        let (head, network) = yaml.split_at(yaml.find("network:\n  version").unwrap());
        let inner = network
            .trim_start_matches("network:\n")
            .lines()
            .map(|l| format!("{}\n", &l[2..]))
            .collect::<String>();
        let json: serde_json::Value = serde_json::from_str(&input(name, "metadata.json")).unwrap();
        let inner_json = json["network"].to_string();
        let encoded = |network: &str, encoding: &str, wrap: Wrap| {
            let value = String::from_utf8(wrap(network.as_bytes())).unwrap();
            format!("{head}network: {value}\nnetwork.encoding: {encoding}\n")
        };
        let in_json = |network: &str| {
            let mut json = json.clone();
            json["network"] = network.into();
            json["network.encoding"] = "gz+b64".into();
            json.to_string()
        };
        let packed = String::from_utf8(b64(&gz(inner.as_bytes()))).unwrap();
        let forms = [
            ("json", json.to_string()),
            ("network-base64", encoded(&inner, "base64", b64)),
            ("network-whole-base64", encoded(network, "b64", b64)),
            ("network-gzip", encoded(&inner, "gzip+base64", |d| b64(&gz(d)))),
            ("network-json-base64", encoded(&inner_json, "base64", b64)),
            ("json-network-gzip", in_json(&packed)),
            ("no-encoding-network-json", format!("{head}network: '{inner_json}'\n")),
            ("comment-and-crlf", format!("# comment\n{yaml}").replace('\n', "\r\n")),
        ];
        for (number, (how, metadata)) in forms.iter().enumerate() {
            let machine = capv(name, how);
            let (encoding, wrap) = &ENVELOPES[number % ENVELOPES.len()];
            machine
                .put("guestinfo.metadata", wrap(metadata.as_bytes()))
                .put("guestinfo.metadata.encoding", encoding);
            arrives(name, how, &machine, SEEN[number % SEEN.len()]);
        }
    }
}

/// Keys can't be deleted: `---` and blanks mean that there is none.
#[test]
fn emptied_keys_are_absent() {
    needs!(root("files have owners"));
    let name = "capv-worker";
    for (how, empty) in [("dashes", "---"), ("blank", " "), ("dashes-and-line-end", "---\n")] {
        let machine = capv(name, how);
        machine.put("guestinfo.vendordata", empty).put("guestinfo.vendordata.encoding", empty);
        machine
            .put("guestinfo.metadata", input(name, "metadata.yaml"))
            .put("guestinfo.metadata.encoding", empty);
        arrives(name, how, &machine, SEEN[0]);
    }
}

/// The machine's own addresses, as the kernel has them: those of the links that the default routes leave by.
#[test]
fn vsphere_is_told_the_addresses_of_the_default_routes() {
    needs!(root("a root of its own"));
    let (machine, root) = (Machine::new("vsphere-addresses"), Scratch::new("vsphere-addresses"));
    root.put_program("/opt/bin/footplate", fs::read(FOOTPLATE).unwrap()).put("/proc/x", "").put("/sys/x", "");
    machine.put("guestinfo.metadata", "instance-id: n-9\nlocal-hostname: n-9\n");
    let told = |network: &str| {
        let script = format!(
            "mount -t proc none \"$1/proc\"; mount -t sysfs none \"$1/sys\"; ip link set lo up
             for link in aa eth0; do ip link add $link type veth peer name other-$link; ip link set $link up; ip link set other-$link up; done
             {network}
             exec unshare --uts chroot \"$1\" /opt/bin/footplate provision --platform vmware"
        );
        let alone = ["unshare", "--mount", "--net", "sh", "-ec", &script, "sh", root.arg()];
        Ran::from(machine.run("", &alone)).ended(0, &[]);
        ["guestinfo.local-ipv4", "guestinfo.local-ipv6"]
            .map(|key| String::from_utf8(machine.value(key)).unwrap())
    };
    let v4 = "ip address add 198.51.100.5/24 dev aa; ip address add 192.0.2.7/24 dev eth0
              ip route add default via 192.0.2.1";
    let v6 = "ip address add 2001:db8:5::5/64 dev aa nodad; ip address add 2001:db8::7/64 dev eth0 nodad
              ip -6 route add default via 2001:db8::1 dev eth0";
    assert_eq!(told(&format!("{v4}\n{v6}")), ["192.0.2.7", "2001:db8::7"]);
    // What is no longer so does not stay.
    assert_eq!(told(v4), ["192.0.2.7", " "]);
    assert_eq!(told(&v6.replace("::7", "::8")), [" ", "2001:db8::8"]);
    assert_eq!(told(""), [" ", " "]);
}

/// How it becomes known that this is vSphere, and what `platforms` says of it.
#[test]
fn detection_says_why() {
    needs!(root("files have owners"));
    let argument = "mount --bind \"$1\" /proc/cmdline; shift; exec \"$@\"";
    let cmdline = scratch::fresh("cmdline").join("cmdline");
    let machine = capv("capv-worker", "detection");
    let cases = [
        (
            "",
            "quiet flatcar.oem.id=vmware",
            "this machine: vmware, because kernel argument flatcar.oem.id=vmware",
        ),
        ("", "coreos.oem.id=vmware", "this machine: vmware, because kernel argument coreos.oem.id=vmware"),
        (
            "",
            "ignition.platform.id=vmware",
            "this machine: vmware, because kernel argument ignition.platform.id=vmware",
        ),
        ("--cpuid", "quiet", "this machine: vmware, because hypervisor signature VMwareVMware"),
        (
            "--cpuid",
            "ignition.platform.id=nocloud",
            "this machine: nocloud, because kernel argument ignition.platform.id=nocloud",
        ),
        ("", "quiet", "this machine: not known: nothing says which platform this is"),
        (
            "",
            "flatcar.oem.id=abacus",
            "this machine: not known: flatcar.oem.id=abacus names a platform that footplate does not know",
        ),
    ];
    for (host, arguments, says) in cases {
        fs::write(&cmdline, format!("{arguments}\n")).unwrap();
        let alone = format!("[ ! -d /sys/class/dmi ] || mount -t tmpfs none /sys/class/dmi; {argument}");
        let command = [
            "unshare",
            "--mount",
            "--net",
            "sh",
            "-c",
            &alone,
            "sh",
            cmdline.to_str().unwrap(),
            FOOTPLATE,
            "platforms",
        ];
        let ran: Ran = machine.run(host, &command).into();
        ran.ended(0, &[]);
        assert!(ran.out.contains(says), "{host} {arguments}: {}", ran.out);
        let chosen: Vec<&str> = ran.out.lines().filter(|l| l.starts_with("* ")).collect();
        assert_eq!(chosen.len(), usize::from(!says.contains("not known")), "{}", ran.out);
    }
}

/// A node that was bootstrapped: each boot takes away what is still there and secret, and leaves the rest.
#[test]
fn what_is_secret_goes_after_success() {
    needs!(root("a root of its own"));
    let machine = Machine::new("vsphere-cleared");
    let root = Scratch::new("vsphere-cleared");
    let stamp = r#"{"version": 1, "instance_id": "n-7", "result": "done"}"#;
    root.put("/var/lib/footplate/instances/n-7.json", stamp);
    root.put_program("/opt/bin/footplate", fs::read(FOOTPLATE).unwrap());
    let canary = scratch::CANARY;
    let metadata = format!(
        "instance-id: n-7\nlocal-hostname: n-7\nregistry: {{api_token: {canary}, public-keys: [k]}}\n\
         network: {{version: 2, ethernets: {{a: {{match: {{name: ens192}}, dhcp4: true, optional: true}}}}}}\n"
    );
    let seed = format!("#cloud-config\nruncmd: [echo {canary}]\n");
    let properties = environment(&[
        ("hostname", "n-7"),
        ("password", canary),
        ("user-data", &seed),
        ("guestinfo.vendordata", &seed),
        ("guestinfo.metadata", &metadata),
        ("guestinfo.coreos.config.url", &format!("https://u:{canary}@example.invalid/")),
    ]);
    machine
        .put("guestinfo.metadata", b64(&gz(metadata.as_bytes())))
        .put("guestinfo.metadata.encoding", "gzip+base64")
        .put("guestinfo.userdata", b64(seed.as_bytes()))
        .put("guestinfo.userdata.encoding", "base64")
        .put("guestinfo.coreos.config.data", &seed)
        .put("guestinfo.ignition.config.url", format!("https://example.invalid/?sig={canary}"))
        .put("guestinfo.ovfEnv", &properties);
    let boot = |how: &str| {
        // The running machine's own root: only that one is told of and cleared.
        let command = ["unshare", "--mount", "--net", "chroot", root.arg(), "/opt/bin/footplate"];
        let ran: Ran =
            machine.run("", &[&command[..], &["provision", "--platform", "vmware"]].concat()).into();
        ran.ended(0, &[]);
        assert!(!ran.err.contains(canary), "{how}: {}", ran.err);
        ran
    };
    // The image may say that nothing goes, or that nothing is told, which leaves all there, too.
    let policy = "/etc/footplate.yaml";
    for (text, told) in [("reports: {platform: false}\n", false), ("delete: {user-data: false}\n", true)] {
        root.put(policy, text);
        boot(text);
        assert_eq!(machine.value("guestinfo.userdata"), b64(seed.as_bytes()), "{text}");
        assert_eq!(machine.has("guestinfo.footplate.state"), told, "{text}");
    }
    fs::remove_file(root.path(policy)).unwrap();
    boot("the first boot after");
    for key in ["guestinfo.userdata", "guestinfo.coreos.config.data", "guestinfo.ignition.config.url"] {
        assert_eq!(machine.value(key), b"---", "{key}");
    }
    let open = String::from_utf8(STANDARD.decode(machine.value("guestinfo.metadata")).unwrap()).unwrap();
    let xml = String::from_utf8(machine.value("guestinfo.ovfEnv")).unwrap();
    for text in [&open, &xml] {
        assert!(!text.contains(canary), "{text}");
        assert!(text.contains("n-7") && text.contains("ens192"), "{text}");
    }
    assert!(open.contains("public-keys"), "{open}");
    let before = (open, xml);
    boot("the second boot after");
    let open = String::from_utf8(STANDARD.decode(machine.value("guestinfo.metadata")).unwrap()).unwrap();
    assert_eq!((open, String::from_utf8(machine.value("guestinfo.ovfEnv")).unwrap()), before);
}

/// `report` is killed as it enters each call that changes something: the next boot knows the node, takes what is secret from the
/// platform, and leaves nothing of the bootstrap behind.
#[test]
fn a_report_that_was_killed_is_made_up_for_by_the_next_boot() {
    needs!(root("a root of its own"));
    needs!(program("strace", "strace"));
    let (machine, root) = (Machine::new("vsphere-report"), Scratch::new("vsphere-report"));
    let program = ["unshare", "--mount", "--net", "chroot", root.arg(), "/opt/bin/footplate"];
    let furnish = || {
        let _ = fs::remove_dir_all(&root.dir);
        root.put_program("/opt/bin/footplate", fs::read(FOOTPLATE).unwrap());
        root.put("/etc/kubernetes/kubelet.conf", "{}").put("/run/footplate/bootstrap", "kubeadm join\n");
        root.put("/run/footplate/kubeadm.status", "0\n").put("/run/footplate/scripts/1", scratch::CANARY);
        root.put("/var/lib/footplate/instances/n-8.bootstrap", scratch::CANARY);
        let stages = r#"[{"name": "kubeadm", "state": "running", "started_ms": 1, "ms": 0, "summary": ""}]"#;
        let status = format!(
            r#"{{"version": 1, "state": "running", "platform": "vmware", "instance_id": "n-8", "hostname": "n-8", "stages": {stages}}}"#
        );
        root.put("/run/footplate/status.json", status);
    };
    let report = |how: &[&str]| {
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-o", root.dir.with_file_name("calls").to_str().unwrap()]).args(how);
        Ran::of(
            command.args(program).arg("report").envs([("SERVICE_RESULT", "success"), ("EXIT_STATUS", "0")]),
        )
    };
    let calls = ["renameat", "mkdirat", "unlinkat", "fchmod", "fsync", "syncfs"];
    furnish();
    report(&["-e", &format!("trace={}", calls.join(","))]).ended(0, &[]);
    let log = fs::read_to_string(root.dir.with_file_name("calls")).unwrap();
    let mut points: Vec<(&str, usize)> = Vec::new();
    for call in calls {
        points.extend((1..=log.matches(&format!(" {call}(")).count()).map(|when| (call, when)));
    }
    assert!(points.len() > 10, "{points:?}");
    let every = if std::env::var_os("HOSTILE_LONG").is_some() { 1 } else { 3 };
    for (call, when) in points.iter().step_by(every) {
        furnish();
        let seed = format!("#cloud-config\nruncmd: [echo {}]\n", scratch::CANARY);
        machine.put("guestinfo.metadata", "instance-id: n-8\nlocal-hostname: n-8\n");
        machine.put("guestinfo.userdata", b64(seed.as_bytes())).put("guestinfo.userdata.encoding", "base64");
        let cut = report(&[
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:signal=KILL:when={when}"),
        ]);
        assert_ne!(cut.code, 0, "{call} {when}: it was not killed");
        fs::remove_dir_all(root.path("/run")).unwrap();
        let boot: Ran =
            machine.run("", &[&program[..], &["provision", "--platform", "vmware"]].concat()).into();
        boot.ended(0, &["was bootstrapped before"]);
        assert_eq!(machine.value("guestinfo.userdata"), b"---", "{call} {when}");
        assert!(root.path("/run/cluster-api/bootstrap-success.complete").exists(), "{call} {when}");
        let secret = |path: &PathBuf| {
            path.is_file()
                && !path.ends_with("bin/footplate")
                && fs::read_to_string(path).is_ok_and(|t| t.contains(scratch::CANARY))
        };
        let left: Vec<_> = scratch::walk(&root.dir).into_iter().filter(secret).collect();
        assert!(left.is_empty(), "{call} {when}: {left:?}");
    }
    println!("{} kills of report of {}", points.len().div_ceil(every), points.len());
}

/// Data that asks for no bootstrap is neither a success nor a failure, and its reason is told.
#[test]
fn data_without_commands_leaves_nothing_to_do() {
    for (data, reason) in
        [(None, "no-user-data"), (Some("#cloud-config\ntimezone: Etc/UTC\n"), "no-bootstrap")]
    {
        let (machine, root) = (
            Scratch { dir: scratch::fresh(&format!("{reason}.machine")) },
            Scratch::new(&format!("vsphere-{reason}")),
        );
        machine.put("/hypervisor", "VMwareVMware").put("/guestinfo/guestinfo.metadata", "instance-id: n-8\n");
        if let Some(data) = data {
            machine.put("/guestinfo/guestinfo.userdata", data);
        }
        let ran = scratch::footplate(&["provision", "--replay", machine.arg(), "--root", root.arg()]);
        ran.ended(0, &["told/guestinfo/guestinfo.footplate.state: nothing-to-do\n"]);
        assert!(!ran.err.contains(": ---"), "the data stays: {}", ran.err);
        let status: serde_json::Value =
            serde_json::from_str(&root.text("/run/footplate/status.json")).unwrap();
        assert_eq!((&status["state"], &status["reason"]), (&"nothing-to-do".into(), &reason.into()));
        let words = scratch::footplate(&["status", "--root", root.arg()]);
        words.ended(0, &[]);
        assert!(words.out.starts_with(&format!("nothing-to-do reason={reason} ")), "{}", words.out);
    }
}
