// SPDX-License-Identifier: Apache-2.0
//! Boots of a container with a real systemd and a real bus: the units, the bootstrap through systemd, and what is left
//! when it succeeds, when it fails, when it is cut off, and at the next boot.
//!
//! kubeadm's exit status and words are what is tested here, so a shell program gives them; the real one runs in the
//! boots of `qemu-tests`. Debian's packages for the container are unpacked once, below `target`.

use crate::common::debian::unpacked;
use crate::common::needs::program;
use crate::common::scratch;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::cut::every;
use footplate::facade::pipeline::settle::Ended;
use scratch::{CANARY, FOOTPLATE, Ran, Scratch, fresh};

/// The release of Debian whose systemd boots: bookworm has 252, trixie 257 (`tests/run --long` boots both).
static SUITE: LazyLock<String> =
    LazyLock::new(|| std::env::var("NSPAWN_SUITE").unwrap_or_else(|_| "bookworm".to_owned()));

/// A tree of Debian's packages. Its name changes with what is in it.
static BASE: LazyLock<PathBuf> = LazyLock::new(|| {
    program("systemd-nspawn", "systemd-container").unwrap();
    program("mmdebstrap", "mmdebstrap").unwrap();
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nspawn-base-3-{}", *SUITE));
    if !base.exists() {
        // Made aside, so that one that was interrupted is not taken for a whole one.
        let made = fresh("base");
        let options = [
            "--mode=root",
            "--variant=essential",
            "--include=systemd,systemd-sysv,dbus,hostname,iproute2,libkmod2,libpam-systemd,systemd-resolved,systemd-timesyncd,udev",
            "--format=directory",
            "--quiet",
            "--aptopt=APT::Install-Recommends \"false\"",
            "--dpkgopt=force-unsafe-io",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            &SUITE,
        ];
        // Mounts of its own: mmdebstrap binds devices of the host into the tree.
        let alone = ["600", "unshare", "--mount", "mmdebstrap"];
        Ran::of(Command::new("timeout").args(alone).args(options).arg(&made)).ended(0, &[]);
        fs::rename(made, &base).unwrap();
    }
    base
});

/// What runs once the machine is up: how the bootstrap stands, for the test to read, and the end.
const CHECK: &str = r#"#!/bin/bash
/opt/bin/footplate status --wait --timeout 30 --format json > /out/status.json 2> /out/status.err
echo $? > /out/status
# The status is told before the unit has ended, and its files are gone.
ended() {
    for i in $(seq 100); do
        case $(systemctl show -P ActiveState kubeadm.service) in activating | deactivating) sleep 0.1 ;; *) break ;; esac
    done
}
ended
[ ! -x /opt/test/more ] || /opt/test/more > /out/more 2>&1
ended
systemctl --failed --plain --no-legend | cut -d' ' -f1 > /out/failed
systemctl show -P ActiveState footplate.service > /out/active
hostname > /out/hostname
# The rest is the node's own, which the test reads below its root; /run goes with the machine.
cp -a /run/cluster-api /run/footplate /out/
journalctl --no-pager --boot --output=short-monotonic > /out/journal
"#;

const CHECK_UNIT: &str = "[Unit]
# A oneshot that this target wants would keep it from being reached, and it waits for what comes after the target.
DefaultDependencies=no
After=footplate.service
[Service]
Type=oneshot
ExecStart=/opt/test/check
ExecStopPost=/bin/systemctl poweroff --force
";

const META_DATA: &str =
    "instance-id: 'node 1, 100% \"quoted\" $HOME'\nlocal-hostname: node-1.example.invalid\n";

/// A control group for a machine. One that is left to itself uses that of the test, where several would meet.
fn cgroup(name: &str) -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut mounts = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>());
    let mount =
        mounts.find(|m| m[2] == "cgroup2").expect("a kernel with control groups, version 2")[1].to_owned();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|l| l.strip_prefix("0::/")).unwrap_or_default();
    Path::new(&mount).join(own).join(format!("footplate-test-{name}-{}", std::process::id()))
}

/// A node's root, which lasts from boot to boot. On a tmpfs, for where a checkout is no overlay may stand on it.
pub struct Node {
    pub root: Scratch,
    out: PathBuf,
    mounts: Vec<PathBuf>,
    cgroup: PathBuf,
    name: String,
    /// A network namespace by its name, in place of one of its own.
    pub network: Option<String>,
    /// How long a boot may take.
    pub patience: Duration,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.power_off();
        for mount in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

impl Node {
    /// A node with footplate and its units, a seed with these commands, and a kubeadm.
    pub fn new(name: &str, runcmd: &str, kubeadm: &str) -> Self {
        let node = Self::bare(name, runcmd, "/opt/bin/footplate");
        node.program("/opt/bin/kubeadm", kubeadm);
        node.root.put_program("/opt/bin/footplate", fs::read(FOOTPLATE).unwrap());
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("units/.");
        Ran::of(Command::new("cp").arg("-r").arg(units).arg(node.root.path("/etc/systemd/system")))
            .ended(0, &[]);
        node.systemctl(&["enable", "footplate.service", "footplate-network.service"]);
        node
    }

    /// A node with such a seed, without footplate, which will be at this path.
    fn bare(name: &str, runcmd: &str, footplate: &str) -> Self {
        let (base, dir) = (&*BASE, fresh(name));
        let mut node = Self {
            root: Scratch { dir: dir.join("root") },
            out: dir.join("out"),
            mounts: Vec::new(),
            cgroup: cgroup(name),
            name: name.to_owned(),
            network: None,
            patience: Duration::from_secs(90),
        };
        node.mount(&["-t", "tmpfs", "-o", "mode=755", "footplate-test"], &dir);
        for part in ["root", "out", "upper", "work"] {
            fs::create_dir(dir.join(part)).unwrap();
        }
        let layers =
            format!("lowerdir={0},upperdir={1}/upper,workdir={1}/work", base.display(), dir.display());
        node.mount(&["-t", "overlay", "-o", &layers, "overlay"], &dir.join("root"));

        let root = &node.root;
        let data = format!(
            "## template: jinja\n#cloud-config\nwrite_files:\n  - path: /run/kubeadm/join.yaml\n    permissions: '0640'\n    content: |\n      \
             name: {{{{ local_hostname }}}}\n      token: {CANARY}\n  - path: /run/cluster-api/placeholder\n    content: x\n\
             bootcmd:\n  - echo \"$INSTANCE_ID\" >> /var/lib/bootcmd-runs\nruncmd:\n{runcmd}\
             users:\n  - name: capv\n    passwd: {CANARY}\n    sudo: ALL=(ALL) NOPASSWD:ALL\n"
        );
        root.put("/seed/user-data", data).put("/seed/meta-data", META_DATA);
        root.put("/etc/systemd/system/check.service", CHECK_UNIT);
        // Nothing comes late here, and one run of kubeadm is enough.
        root.put("/etc/footplate.yaml", "waits: {api-server: 0s}\nretries: {join: 0}\n");
        node.program("/opt/test/check", CHECK);
        // The units as they are; only the source is this test's.
        for (unit, command) in [("footplate", "provision"), ("footplate-network", "network")] {
            let seed = format!("[Service]\nExecStart=\nExecStart={footplate} {command} --seed /seed\n");
            root.put(&format!("/etc/systemd/system/{unit}.service.d/seed.conf"), seed);
        }
        // What only some boots need.
        node.systemctl(&["disable", "systemd-resolved.service", "systemd-timesyncd.service"]);
        node.systemctl(&["add-wants", "multi-user.target", "check.service"]);
        node.systemctl(&["set-default", "multi-user.target"]);
        node
    }

    pub fn mount(&mut self, options: &[&str], at: &Path) {
        Ran::of(Command::new("mount").args(options).arg(at)).ended(0, &[]);
        self.mounts.push(at.to_owned());
    }

    pub fn systemctl(&self, words: &[&str]) {
        Ran::of(Command::new("systemctl").args(["--quiet", "--root", self.root.arg()]).args(words))
            .ended(0, &[]);
    }

    pub fn program(&self, path: &str, text: &str) {
        self.root.put_program(path, text);
    }

    fn start(&self) -> Child {
        let _ = fs::remove_dir_all(&self.out);
        fs::create_dir(&self.out).unwrap();
        let _ = fs::create_dir(&self.cgroup);
        let mut nspawn = Command::new("sh");
        nspawn
            .args(["-c", "echo $$ > \"$1/cgroup.procs\" && shift && exec systemd-nspawn \"$@\"", "sh"])
            .arg(&self.cgroup);
        nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").args([
            "--quiet",
            "--boot",
            "--directory",
            self.root.arg(),
        ]);
        nspawn.args(["--register=no", "--keep-unit", "--console=pipe", "--link-journal=no"]);
        nspawn.arg(match &self.network {
            Some(name) => format!("--network-namespace-path=/run/netns/{name}"),
            None => "--private-network".to_owned(),
        });
        nspawn.args(["--capability=all", "--system-call-filter=@known"]);
        nspawn
            .arg(format!("--machine=footplate-{}", self.name))
            .arg(format!("--bind={}:/out", self.out.display()));
        let console = fs::File::create(self.root.dir.parent().unwrap().join("console")).unwrap();
        nspawn.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console).spawn().unwrap()
    }

    fn console(&self) -> String {
        fs::read_to_string(self.root.dir.parent().unwrap().join("console")).unwrap_or_default()
    }

    /// Boots and waits for the end, then for nothing secret having been told on the way.
    #[track_caller]
    pub fn boot(&self) {
        let mut machine = self.start();
        let begun = Instant::now();
        while machine.try_wait().unwrap().is_none() {
            if begun.elapsed() > self.patience {
                self.power_off();
                let _ = machine.wait();
                panic!("the machine did not end:\n{}{}", self.console(), self.out("journal"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(self.out.join("journal").exists(), "the check did not run:\n{}", self.console());
        for told in ["journal", "status.json", "status.err", "footplate/status.json"].map(|f| self.out(f)) {
            assert!(!told.contains(CANARY), "a secret is told:\n{told}");
        }
        assert!(!self.console().contains(CANARY));
    }

    /// Boots, and takes the power away once a file is there.
    #[track_caller]
    fn cut_off_at(&self, file: &str) {
        let mut machine = self.start();
        let begun = Instant::now();
        while !self.root.path(file).exists() {
            if begun.elapsed() > Duration::from_secs(60) || machine.try_wait().unwrap().is_some() {
                self.power_off();
                panic!("{file} did not come:\n{}{}", self.console(), self.out("journal"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.power_off();
        machine.wait().unwrap();
    }

    /// Ends all that runs in the machine in one moment, as a power cut does. Killing systemd-nspawn would leave it running.
    fn power_off(&self) {
        if fs::write(self.cgroup.join("cgroup.kill"), "1").is_err() {
            return;
        }
        let events = self.cgroup.join("cgroup.events");
        while fs::read_to_string(&events).is_ok_and(|e| e.contains("populated 1")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Groups are removed from the innermost.
        let remove = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
        let _ = Command::new("find").arg(&self.cgroup).args(remove).status();
    }

    /// What the check left; empty where it left nothing.
    pub fn out(&self, file: &str) -> String {
        fs::read_to_string(self.out.join(file)).unwrap_or_default()
    }

    /// How the bootstrap stood at the end of the boot.
    #[track_caller]
    pub fn stands(&self, exit: u8, state: &str) -> serde_json::Value {
        let status = self.out("status.json");
        assert_eq!(self.out("status"), format!("{exit}\n"), "{status}{}", self.out("journal"));
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["state"], state, "{status:#}");
        status
    }

    /// Lines that a program wrote into a file of the node.
    pub fn lines(&self, file: &str) -> usize {
        fs::read_to_string(self.root.path(file)).map_or(0, |t| t.lines().count())
    }

    pub fn has_sentinel(&self) -> bool {
        self.out("cluster-api/bootstrap-success.complete").trim() == "success"
    }

    /// `/bin/sh` is bash, as on Flatcar. Debian's is dash.
    pub fn has_bash_for_sh(&self) {
        fs::remove_file(self.root.path("/usr/bin/sh")).unwrap();
        std::os::unix::fs::symlink("bash", self.root.path("/usr/bin/sh")).unwrap();
    }

    /// What of a bootstrap must not outlive it.
    #[track_caller]
    pub fn is_clean(&self) {
        assert!(!self.out.join("footplate/bootstrap").exists(), "the script is still there");
        assert!(!self.out.join("footplate/kubeadm.status").exists());
        let leftover = |p: &String| p.rsplit('/').next().unwrap().starts_with(".footplate-");
        assert_eq!(self.root.paths().into_iter().filter(leftover).collect::<Vec<_>>(), [""; 0]);
    }
}

const JOIN: &str = "  - kubeadm join --config /run/kubeadm/join.yaml && echo success > /run/cluster-api/bootstrap-success.complete\n";

/// As the real one does at its end.
const SUCCESS: &str = "#!/bin/sh
echo \"$INSTANCE_ID|$PATH\" >> /var/lib/kubeadm-runs
grep -q 'name: node-1$' /run/kubeadm/join.yaml || exit 9
mkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf
";

#[test]
fn a_bootstrap_that_succeeds_runs_once() {
    needs!(root("containers"));
    let phases = "echo '[preflight] Running pre-flight checks'; sleep 0.3; echo '[kubelet-start] Starting the kubelet'\n";
    let node = Node::new("success", JOIN, &format!("{SUCCESS}{phases}"));
    node.boot();
    let status = node.stands(0, "done");
    let parts = &status["stages"].as_array().unwrap().last().unwrap()["parts"];
    assert_eq!(
        [&parts[0]["name"], &parts[1]["name"], &parts[2]["name"]],
        ["runcmd", "preflight", "kubelet-start"],
        "{status}"
    );
    // The journal has the time at which it got a line.
    assert!((250..20_000).contains(&parts[1]["ms"].as_u64().unwrap()), "{status}");
    assert_eq!(status["kubeadm_exit_status"], 0);
    let stages: Vec<&str> =
        status["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["detect", "fetch", "decode", "apply", "start", "kubeadm"]);
    assert_eq!(
        (node.out("failed").as_str(), node.out("active").as_str(), node.out("hostname").as_str()),
        ("", "active\n", "node-1\n"),
        "{}",
        node.out("journal")
    );
    assert!(node.has_sentinel());
    node.is_clean();
    // The instance's id arrives as it is written, and /opt/bin comes first.
    let ran = node.root.text("/var/lib/kubeadm-runs");
    assert!(ran.starts_with("node 1, 100% \"quoted\" $HOME|/opt/bin:") && ran.lines().count() == 1, "{ran}");
    assert_eq!(node.root.text("/var/lib/bootcmd-runs"), "node 1, 100% \"quoted\" $HOME\n");
    let journal = node.out("journal");
    let at = |text: &str| journal.find(text).unwrap_or_else(|| panic!("{text:?} is not in\n{journal}"));
    assert!(at("network: platform=nocloud") < at("detect: platform=nocloud"), "{journal}");
    assert!(at("Finished footplate-bootcmd.service") < at("file /run/kubeadm/join.yaml"), "{journal}");
    assert!(
        at("apply: changed=") < at("Starting kubeadm.service")
            && at("Starting kubeadm.service") < at("report: the bootstrap succeeded"),
        "{journal}"
    );
    assert!(!journal.contains("ordering cycle"), "{journal}");

    node.boot();
    node.stands(0, "done");
    assert!(node.has_sentinel(), "/run is new, and what looks for the sentinel looks again");
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/bootcmd-runs")), (1, 2));
    assert!(
        node.out("journal").contains("was bootstrapped before: nothing to do"),
        "{}",
        node.out("journal")
    );
    assert_eq!(node.out("failed"), "");
}

/// A hook that nobody knows brings the data, as Cluster API's own on AWS does: systemd runs it, and only then is the file
/// looked for that it writes. What it writes has a hook of its own.
#[test]
fn a_boothook_runs_before_what_it_writes_is_included() {
    needs!(root("containers"));
    let node = Node::new("boothook", JOIN, SUCCESS);
    let config = node.root.text("/seed/user-data");
    let hidden = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\n{config}--i\n\n\
         #cloud-boothook\necho included >> /var/lib/hook-runs\n--i--\n"
    );
    let part = |kind: &str, text: &str| format!("--b\nContent-Type: {kind}\n\n{text}\n");
    let hook = "#cloud-boothook\n#!/bin/bash\nset -o errexit -o pipefail\necho \"$INSTANCE_ID\" >> /var/lib/hook-runs\n\
                [ -e /etc/secret-userdata.txt ] && exit 1\numask 077\ngunzip < /opt/test/hidden.gz > /etc/secret-userdata.txt\n\
                systemctl restart cloud-init\n";
    let parts = [
        part("text/cloud-boothook", hook),
        part("text/x-include-url", "file:///etc/secret-userdata.txt"),
        part("text/x-shellscript-per-boot", "#!/bin/bash\nls /etc/kubernetes >> /var/lib/boot-runs"),
    ];
    let data =
        format!("Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n{}--b--\n", parts.concat());
    node.root.put("/seed/user-data", data).put("/opt/test/hidden", hidden);
    Ran::of(Command::new("gzip").arg(node.root.path("/opt/test/hidden"))).ended(0, &[]);
    node.boot();
    let status = node.stands(0, "done");
    let stages: Vec<&str> =
        status["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["detect", "fetch", "apply", "decode", "apply", "start", "kubeadm"]);
    let id = "node 1, 100% \"quoted\" $HOME\n";
    assert_eq!(node.root.text("/var/lib/hook-runs"), format!("{id}included\n"), "{}", node.out("journal"));
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/bootcmd-runs")), (1, 1));
    // Before the bootstrap, of which it saw nothing.
    assert_eq!(node.root.text("/var/lib/boot-runs"), "");
    assert_eq!(node.out("failed"), "");

    node.boot();
    node.stands(0, "done");
    assert_eq!(node.root.text("/var/lib/hook-runs"), format!("{id}included\n{id}included\n"));
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/bootcmd-runs")), (1, 2));
    assert_eq!(node.root.text("/var/lib/boot-runs"), "kubelet.conf\n");
}

#[test]
fn a_boothook_that_brings_nothing_stops_the_node() {
    needs!(root("containers"));
    let node = Node::new("boothook-fails", JOIN, SUCCESS);
    let data = "#cloud-config-archive\n- \"#cloud-boothook\\naws secretsmanager get-secret-value\\n\"\n\
                - \"#include\\nfile:///etc/secret-userdata.txt\\n\"\n";
    node.root.put("/seed/user-data", data);
    node.boot();
    let status = node.stands(1, "failed").to_string();
    let why =
        "the file does not exist after the boothooks ran: see `journalctl -u footplate-boothooks.service`";
    assert!(status.contains(why), "{status}");
    assert_eq!(node.out("failed"), "footplate.service\n");
    assert!(node.out("journal").contains("aws: not found"), "{}", node.out("journal"));
}

#[test]
fn a_bootstrap_that_fails_is_told_with_its_cause_and_not_tried_again() {
    needs!(root("containers"));
    // What kubeadm says and how it ends, and what is made of it.
    let cases = [
        (
            "refused",
            "error execution phase preflight: couldn't validate the identity of the API Server: Get \\\"https://192.0.2.1:6443\\\": dial tcp 192.0.2.1:6443: connect: connection refused",
            "the API server can't be reached: its port is closed",
        ),
        // A long line: journalctl leaves out what has more than 4096 bytes unless it is asked for all.
        (
            "expired",
            "error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID $(printf '%05000d' 0)",
            "the bootstrap token has expired or was removed",
        ),
    ];
    for (name, says, cause) in cases {
        let kubeadm = format!("#!/bin/sh\necho ran >> /var/lib/kubeadm-runs\necho \"{says}\" >&2\nexit 1\n");
        let node = Node::new(name, JOIN, &kubeadm);
        for boot in 1..=2 {
            node.boot();
            let status = node.stands(1, "failed").to_string();
            assert!(status.contains(cause), "boot {boot}: {status}");
            assert!(!node.has_sentinel());
            assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1, "boot {boot}");
            if boot == 1 {
                assert!(status.contains("kubeadm failed with exit status 1"), "{status}");
                assert_eq!(node.out("failed"), "kubeadm.service\n");
                node.is_clean();
            } else {
                assert!(
                    status.contains("the bootstrap of this instance failed on an earlier boot"),
                    "{status}"
                );
            }
        }
    }
}

/// An update may end in a reboot: Flatcar's own units for that begin when the bootstrap has ended. Here they only say when.
/// A service, how it ends, what systemd says of that to its `ExecStopPost=`, and the beginning of footplate's sentence.
const ENDS: &[(&str, &str, &[&str], &str)] = &[
    ("well", "ExecStart=/bin/true", &["success|0"], "the bootstrap's commands ended well"),
    (
        "code",
        "ExecStart=/bin/sh -c 'exit 7'",
        &["exit-code|7"],
        "the bootstrap's commands ended with exit status 7",
    ),
    (
        "before",
        "ExecStartPre=/bin/false\nExecStart=/bin/true",
        &["exit-code|"],
        "a command before the bootstrap's script failed",
    ),
    ("killed", "ExecStart=/bin/sh -c 'kill -KILL $$$$'", &["signal|KILL"], "signal KILL ended"),
    // Whether a core is left is the kernel's setting.
    ("crashed", "ExecStart=/bin/sh -c 'kill -SEGV $$$$'", &["core-dump|SEGV", "signal|SEGV"], ""),
    (
        "slow",
        "TimeoutStartSec=1\nExecStart=/bin/sleep 60",
        &["timeout|TERM"],
        "the bootstrap did not end in the time",
    ),
    (
        "skipped",
        "ExecCondition=/bin/false\nExecStart=/bin/true",
        &["exec-condition|"],
        "kubeadm.service was skipped",
    ),
    (
        "silent",
        "Type=notify\nExecStart=/bin/true",
        &["protocol|0"],
        "the bootstrap did not start as the Type=",
    ),
    (
        "hangs",
        "Type=exec\nWatchdogSec=1\nExecStart=/bin/sleep 60",
        &["watchdog|ABRT"],
        "the bootstrap did not answer the watchdog",
    ),
];

#[test]
fn each_result_that_systemd_gives_has_its_sentence() {
    needs!(root("containers"));
    let node = Node::new("results", "  - echo hello\n", SUCCESS);
    let mut units = Vec::new();
    for (name, end, _, _) in ENDS {
        let unit = format!("result-{name}.service");
        let told = format!("ExecStopPost=/bin/sh -c 'echo \"$SERVICE_RESULT|$EXIT_STATUS\" > /out/{name}'");
        let service = if end.starts_with("Type=") { "" } else { "Type=oneshot\n" };
        node.root.put(
            &format!("/etc/systemd/system/{unit}"),
            format!("[Unit]\nDefaultDependencies=no\n[Service]\n{service}{end}\n{told}\n"),
        );
        node.systemctl(&["add-wants", "multi-user.target", &unit]);
        units.push(unit);
    }
    // A service that runs on, for its watchdog to miss it, has started long before it ends.
    let after = format!("[Unit]\nAfter={}\n[Service]\nExecStartPre=/bin/sleep 3\n", units.join(" "));
    node.root.put("/etc/systemd/system/check.service.d/after.conf", after);
    node.boot();
    for (name, _, ends, sentence) in ENDS {
        let told = node.out(name);
        assert!(ends.contains(&told.trim_end()), "{name}: systemd says {told:?}");
        let (result, status) = told.trim_end().split_once('|').unwrap();
        let ended = Ended { result: result.to_owned(), status: status.to_owned(), invocation: None };
        assert!(ended.sentence().0.starts_with(sentence), "{name}: {:?}", ended.sentence());
    }
}

/// A command of the data that failed is named, also where kubeadm succeeded after it, and each has its begin, end and exit status.
#[test]
fn each_command_is_told() {
    needs!(root("containers"));
    let runcmd = format!(
        "  - 'false'\n  - (exit 3)\n  - mkdir -p /var/lib/a\n  - cd $_ && touch here\n{JOIN}  - sleep 1\n"
    );
    let node = Node::new("commands", &runcmd, SUCCESS);
    node.has_bash_for_sh();
    node.root
        .put("/usr/lib/systemd/catalog/footplate.catalog", include_str!("../../units/footplate.catalog"));
    let explain = "#!/bin/sh\nsystemctl start footplate-catalog.service\n\
        journalctl --no-pager --boot -x MESSAGE_ID=600ebcc726b64c17a8bf90f5e7bd7d24\n";
    node.program("/opt/test/more", explain);
    node.boot();
    let status = node.stands(0, "done");
    let told: Vec<String> = ["apply", "kubeadm"]
        .iter()
        .flat_map(|name| status["stages"].as_array().unwrap().iter().find(|s| s["name"] == *name))
        .flat_map(|stage| stage["parts"].as_array().into_iter().flatten())
        .map(|part| format!("{} {} {}", part["name"], part["state"], part["exit_status"]))
        .collect();
    let want = [
        r#""bootcmd[0]" "done" 0"#,
        r#""runcmd[0..1]" "failed" 3"#,
        r#""runcmd[2]" "done" 0"#,
        r#""runcmd[3]" "done" 0"#,
        r#""runcmd[4]" "done" 0"#,
        r#""runcmd[5]" "done" 0"#,
    ];
    assert_eq!(told, want, "{status:#}");
    let parts =
        &status["stages"].as_array().unwrap().iter().find(|s| s["name"] == "kubeadm").unwrap()["parts"];
    assert!(parts[4]["ms"].as_u64() >= Some(900), "{parts:#}");
    let warnings = status["warnings"].to_string();
    assert!(
        warnings.contains("runcmd[0..1]: ended with exit status 3, and the bootstrap went on"),
        "{warnings}"
    );
    assert!(node.root.path("/var/lib/a/here").exists(), "the shell's $_ is as it was");
    assert!(node.out("more").contains("kubeadm ended well. Later boots do not run it again."));
    node.is_clean();
}

/// The end of a bootstrap whose time ran out says which of kubeadm's phases it was in, or which command before kubeadm.
#[test]
fn a_time_out_names_the_phase() {
    needs!(root("containers"));
    let kubeadm = "#!/bin/sh\necho '[preflight] a'; seq 3000; echo '[kubelet-start] Starting the kubelet'; seq 3000; exec sleep 60\n";
    let failed = |name, commands: &str, kubeadm| {
        let node = Node::new(name, commands, kubeadm);
        let limit = "[Service]\nTimeoutStartSec=2s\n";
        node.root.put("/etc/systemd/system/kubeadm.service.d/90-limit.conf", limit);
        node.has_bash_for_sh();
        node.boot();
        node.stands(1, "failed")
    };
    let status = failed("time-out-before", &format!("  - 'true'\n  - sleep 60\n{JOIN}"), SUCCESS);
    assert!(status.to_string().contains("; it was in its command runcmd[1]"), "{status}");
    let status = failed("time-out", JOIN, kubeadm);
    assert!(status.to_string().contains("kubeadm was in its phase kubelet-start"), "{status}");
    let parts = &status["stages"].as_array().unwrap().last().unwrap()["parts"];
    assert_eq!([&parts[1]["state"], &parts[2]["state"]], ["done", "failed"], "{status}");
}

#[test]
fn updates_wait_for_the_bootstrap() {
    needs!(root("containers"));
    let kubeadm = "#!/bin/sh\nsleep 3\necho kubeadm >> /var/lib/order\n";
    let node = Node::new("updates", JOIN, kubeadm);
    for unit in ["update-engine", "locksmithd"] {
        let text = format!("[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo {unit} >> /var/lib/order'\n");
        node.root.put(&format!("/etc/systemd/system/{unit}.service"), text);
        node.systemctl(&["add-wants", "multi-user.target", &format!("{unit}.service")]);
    }
    node.program(
        "/opt/test/more",
        "#!/bin/bash\nfor _ in {1..100}; do [ \"$(wc -l < /var/lib/order)\" != 3 ] || break; sleep 0.2; done\n",
    );
    node.boot();
    node.stands(0, "done");
    let order = node.root.text("/var/lib/order");
    let mut units: Vec<&str> = order.lines().collect();
    assert_eq!(units.first(), Some(&"kubeadm"), "{units:?}");
    units.sort_unstable();
    assert_eq!(units, ["kubeadm", "locksmithd", "update-engine"]);
}

/// The script's own result is that of its last command, which Cluster API's users write: it hides neither kubeadm's failure
/// nor its success.
#[test]
fn the_last_command_does_not_decide() {
    needs!(root("containers"));
    let node = Node::new("hidden", &format!("{JOIN}  - echo after\n"), "#!/bin/sh\nexit 2\n");
    node.boot();
    assert!(node.stands(1, "failed").to_string().contains("kubeadm failed with exit status 2"));
    assert!(!node.has_sentinel());

    let node = Node::new("spoiled", &format!("{JOIN}  - exit 3\n"), SUCCESS);
    node.boot();
    let status = node.stands(0, "done");
    assert!(
        status["warnings"]
            .to_string()
            .contains("kubeadm succeeded, and after it: the bootstrap's commands ended with exit status 3"),
        "{status:#}"
    );
    assert!(node.has_sentinel());
}

/// A program of the data's calls kubeadm by its name too: its own `init` decides, and no phase after it.
#[test]
fn what_a_script_calls_decides() {
    needs!(root("containers"));
    let kubeadm = "#!/bin/sh\necho \"$*\" >> /var/lib/kubeadm-runs\ncase \"$*\" in *phase*) ;; *) exit $(cat /opt/test/exit) ;; esac\n";
    let script = "#!/bin/bash\nexport PATH=/opt/other:$PATH\nkubeadm init --config /x\nkubeadm init phase upload-certs\n";
    let file = format!(
        "#cloud-config\nwrite_files:\n- {{path: /opt/join, permissions: '0755', content: {script:?}}}\nruncmd: [/opt/join]\n"
    );
    for (name, data) in [("script-part", script.to_owned()), ("script-file", file)] {
        for (exit, code, state) in [("1", 1, "failed"), ("0", 0, "done")] {
            let node = Node::new(name, JOIN, kubeadm);
            node.root.put("/seed/user-data", &data).put("/opt/test/exit", exit);
            node.boot();
            let status = node.stands(code, state);
            assert_eq!(status["kubeadm_exit_status"].to_string(), exit, "{name}: {status:#}");
            assert_eq!(node.has_sentinel(), exit == "0", "{name}");
            let ran = node.root.text("/var/lib/kubeadm-runs");
            assert!(
                ran.ends_with("\ninit phase upload-certs\n") && ran.lines().count() == 2,
                "{name}: {ran}"
            );
        }
    }
}

/// Flatcar's shell keeps the exit status of a kubeadm that is called by its path too, wherever its output goes.
#[test]
fn a_kubeadm_that_is_called_by_its_path_decides() {
    needs!(root("containers"));
    let runcmd =
        "  - /opt/bin/kubeadm init --config /run/kubeadm/join.yaml > /var/log/kubeadm.log 2>&1 || true\n";
    for (name, exit, code, state) in [("by-path-good", "0", 0, "done"), ("by-path-bad", "3", 1, "failed")] {
        let node = Node::new(name, runcmd, &format!("#!/bin/sh\necho \"$*\"\nexit {exit}\n"));
        node.has_bash_for_sh();
        node.boot();
        let status = node.stands(code, state);
        assert_eq!(status["kubeadm_exit_status"].to_string(), exit, "{name}: {status:#}");
        assert_eq!(node.has_sentinel(), code == 0, "{name}");
        assert!(node.root.text("/var/log/kubeadm.log").contains("init --config"), "{name}");
    }
}

/// In another shell it leaves no exit status, as in Ignition data: what it prints, and what the script leaves, decide.
#[test]
fn a_kubeadm_without_an_exit_status_tells_of_its_success() {
    needs!(root("containers"));
    let joined = "This node has joined the cluster:";
    let control_plane = "This node has joined the cluster and a new control plane instance was created:";
    let first = "Your Kubernetes control-plane has initialized successfully!";
    for (name, call, says, code, state) in [
        ("path-join", "join", joined, 0, "done"),
        ("path-control-plane", "join", control_plane, 0, "done"),
        ("path-init", "init", first, 0, "done"),
        ("path-failed", "join", "error execution phase preflight: not this time", 1, "failed"),
    ] {
        let runcmd = format!("  - /opt/bin/kubeadm {call} --config /run/kubeadm/join.yaml || true\n");
        let node = Node::new(name, &runcmd, &format!("#!/bin/sh\necho '{says}'; seq 3000\n"));
        node.boot();
        let status = node.stands(code, state);
        assert_eq!(status["kubeadm_exit_status"], serde_json::Value::Null, "{name}: {status:#}");
        assert_eq!(node.has_sentinel(), code == 0, "{name}");
    }
}

/// sudo looks for programs where its own settings say. kubeadm is what it was, and so is its result.
#[test]
fn a_kubeadm_that_sudo_calls_decides() {
    needs!(root("containers"));
    let packages = unpacked(&["sudo"]).unwrap();
    let joined = "This node has joined the cluster:";
    let secure = "Defaults secure_path=\"/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin\"\n";
    for (name, settings, says, exit, code, recorded) in [
        ("sudo-good", secure, joined, 0, 0, None),
        ("sudo-bad", secure, "error execution phase preflight: not this time", 3, 1, None),
        // With the caller's own PATH it comes to the program that keeps the exit status.
        ("sudo-path-good", "", "", 0, 0, Some(0)),
        ("sudo-path-bad", "", joined, 3, 1, Some(3)),
    ] {
        let runcmd = "  - sudo kubeadm join --config /run/kubeadm/join.yaml\n  - echo after\n";
        let node = Node::new(name, runcmd, &format!("#!/bin/sh\necho '{says}'\nexit {exit}\n"));
        let copy = "tar -c . | tar -x --keep-directory-symlink -C \"$1\"";
        let copy = ["-ec", copy, "sh", node.root.arg()];
        Ran::of(Command::new("sh").args(copy).current_dir(&packages)).ended(0, &[]);
        node.root.put("/etc/sudoers", format!("{settings}root ALL=(ALL:ALL) ALL\n"));
        fs::set_permissions(node.root.path("/etc/sudoers"), fs::Permissions::from_mode(0o440)).unwrap();
        node.boot();
        let status = node.stands(code, if code == 0 { "done" } else { "failed" });
        assert_eq!(status["kubeadm_exit_status"].as_i64(), recorded, "{name}: {status:#}");
        assert_eq!(node.has_sentinel(), code == 0, "{name}: {}", node.out("journal"));
    }
}

/// A script that ends well before it comes to kubeadm bootstrapped nothing.
#[test]
fn a_bootstrap_that_never_came_to_kubeadm_is_a_failure() {
    needs!(root("containers"));
    let node = Node::new("never-came", &format!("  - exit 0\n{JOIN}"), SUCCESS);
    node.boot();
    let status = node.stands(1, "failed");
    let told = status["problems"][0]["what"].as_str().unwrap();
    assert!(
        told.contains("neither kubeadm's exit status nor its output nor the sentinel file says"),
        "{told}"
    );
    assert_eq!(status["kubeadm_exit_status"], serde_json::Value::Null, "{status:#}");
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.has_sentinel()), (0, false));
    assert!(node.out("cluster-api/bootstrap-error.log").contains("kubeadm failed ===="));
}

/// The name that the data gives is the running one before kubeadm, and after each boot; nothing is written a second time.
#[test]
fn the_datas_name_stays() {
    needs!(root("containers"));
    let told = "runcmd:\n- hostname >> /var/lib/names\n";
    let unit = "[Unit]\nConditionPathExists=!/var/lib/names\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'hostname >> /var/lib/names'\n[Install]\nWantedBy=multi-user.target\n";
    let ignition = serde_json::json!({"ignition": {"version": "3.4.0"},
        "storage": {"files": [{"path": "/etc/hostname", "overwrite": true, "mode": 420, "contents": {"source": "data:,node9.lab.invalid%0A"}}]},
        "systemd": {"units": [{"name": "told.service", "enabled": true, "contents": unit}]}});
    for (name, data, want) in [
        ("name-key", format!("#cloud-config\nhostname: cp-0\n{told}"), "cp-0"),
        ("name-fqdn", format!("#cloud-config\nfqdn: cp-1.lab.invalid\n{told}"), "cp-1"),
        ("name-kept", format!("#cloud-config\npreserve_hostname: true\n{told}"), "golden"),
        (
            "name-file",
            format!(
                "#cloud-config\nwrite_files:\n- path: /etc/hostname\n  content: node8.lab.invalid\n{told}"
            ),
            "node8.lab.invalid",
        ),
        ("name-ignition", ignition.to_string(), "node9.lab.invalid"),
        (
            "name-command",
            "#cloud-config\nruncmd:\n- echo node7.lab.invalid > /etc/hostname; hostname node7.lab.invalid\n- hostname >> /var/lib/names\n".to_owned(),
            "node7.lab.invalid",
        ),
    ] {
        let node = Node::new(name, JOIN, SUCCESS);
        node.root.put("/seed/user-data", data).put("/etc/hostname", "golden\n");
        node.root.put("/seed/meta-data", "instance-id: i-1\nlocal-hostname: vm-4711.meta.invalid\n");
        for boot in 1..=2 {
            node.boot();
            let journal = node.out("journal");
            assert_eq!(node.out("hostname").trim(), want, "{name} {boot}: {journal}");
            assert_eq!(node.root.text("/etc/hostname").trim(), want, "{name} {boot}");
            assert_eq!(node.root.text("/var/lib/names").trim(), want, "{name} {boot}: once, under its name");
            assert_eq!(
                journal.matches(": hostname: ").count(),
                usize::from(boot == 1 && want != "golden"),
                "{name} {boot}: {journal}"
            );
        }
    }
}

#[test]
fn without_kubeadm_the_image_is_to_blame() {
    needs!(root("containers"));
    // Called by the data's commands, and by a script that they call.
    for (name, commands) in [("missing", JOIN), ("missing-to-a-script", "  - /opt/test/join\n")] {
        let node = Node::new(name, commands, "");
        fs::remove_file(node.root.path("/opt/bin/kubeadm")).unwrap();
        node.program("/opt/test/join", "#!/bin/sh\nkubeadm join --config /run/kubeadm/join.yaml\n");
        let data = node.root.text("/seed/user-data");
        let script = "write_files:\n  - {path: /etc/of-kubeadm, content: \"#!/bin/sh\\nkubeadm join\\n\"}\n";
        node.root.put("/seed/user-data", data.replacen("write_files:\n", script, 1));
        node.boot();
        let status = node.stands(1, "failed").to_string();
        assert!(
            status.contains("there is no kubeadm on this machine")
                && status.contains("bake kubeadm into /opt/bin"),
            "{name}: {status}"
        );
    }
}

#[test]
fn a_member_of_a_cluster_is_left_alone() {
    needs!(root("containers"));
    let node = Node::new("member", JOIN, SUCCESS);
    node.root.put("/etc/kubernetes/kubelet.conf", "");
    node.boot();
    node.stands(0, "done");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 0);
    assert!(node.has_sentinel());
}

/// Data that can't be used: nothing is started, the unit has failed, and the machine is up all the same.
#[test]
fn bad_data_starts_nothing() {
    needs!(root("containers"));
    let node = Node::new("bad", &format!("  - kubeadm join --token {{{{ nope }}}} {CANARY}\n"), SUCCESS);
    node.boot();
    let status = node.stands(1, "failed").to_string();
    assert!(status.contains("jinja: `nope` has no value"), "{status}");
    assert_eq!(node.out("failed"), "footplate.service\n");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 0);
    assert!(!node.root.path("/etc/systemd/system/kubeadm.service").exists());
}

/// footplate itself is ended by a signal, as by a crash: the unit says so, and no core dump is left.
#[test]
fn a_run_that_a_signal_ends_is_not_running_for_ever() {
    needs!(root("containers"));
    let node = Node::new("aborted", JOIN, SUCCESS);
    // Its fetch waits for an address that never comes.
    let network = "network:\n  version: 2\n  ethernets:\n    never0:\n      addresses: [192.0.2.9/24]\n";
    node.root.put("/seed/network-config", network);
    node.program(
        "/opt/test/abort",
        "#!/bin/bash\nfor i in {1..200}; do pid=$(systemctl show -P MainPID footplate.service)\n\
         [ \"$pid\" != 0 ] && grep -q detect /run/footplate/status.json 2> /dev/null && break; sleep 0.1; done\n\
         grep 'core file' /proc/$pid/limits > /var/lib/limits; kill -ABRT $pid\n",
    );
    let abort = "[Service]\nExecStart=/opt/test/abort\n[Install]\nWantedBy=sysinit.target\n[Unit]\nDefaultDependencies=no\n";
    node.root.put("/etc/systemd/system/abort.service", abort);
    node.systemctl(&["enable", "abort.service"]);
    node.boot();
    let status = node.stands(1, "failed").to_string();
    assert!(status.contains("footplate was ended before it had a result"), "{status}");
    assert!(status.contains("aborted/signal"), "{status}");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 0);
    let limits = node.root.text("/var/lib/limits");
    assert_eq!(limits.split_whitespace().filter(|word| *word == "0").count(), 2, "{limits}");
}

/// kubeadm.service wants footplate.service, so a run by hand starts another one: they take turns, and there is one bootstrap.
#[test]
fn a_run_by_hand_and_the_service_that_it_starts_take_turns() {
    needs!(root("containers"));
    let node = Node::new("by-hand", JOIN, &format!("{SUCCESS}sleep 0.3\n"));
    node.systemctl(&["disable", "footplate.service"]);
    let more = "#!/bin/bash
        for i in {1..100}; do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.1; done
        /opt/bin/footplate provision --seed /seed 2>&1; echo \"by hand: $?\"
        systemctl is-active footplate.service";
    node.program("/opt/test/more", more);
    node.program("/opt/test/check", &CHECK.replace("--wait --timeout 30 ", ""));
    node.boot();
    let said = node.out("more");
    assert!(said.contains("by hand: 0\nactive\n"), "{said}");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
    assert_eq!(node.out("failed"), "");
}

/// Killed at a dozen moments of its work and run again: one bootstrap, and a node as if nothing had been.
#[test]
fn killed_at_any_time_it_converges() {
    needs!(root("containers"));
    let node = Node::new("killed", JOIN, &format!("{SUCCESS}sleep 0.3\n"));
    node.systemctl(&["disable", "footplate.service"]);
    let more = "#!/bin/bash
        for delay in 0 0.004 0.008 0.012 0.016 0.02 0.03 0.04 0.06 0.08 0.1 0.15 0.2 0.3; do
            /opt/bin/footplate provision --seed /seed > /dev/null 2>&1 & sleep $delay; kill -KILL $!; wait $!
        done
        for i in 1 2; do /opt/bin/footplate provision --seed /seed 2>&1; echo \"run $i: $?\"; done
        /opt/bin/footplate status --wait --timeout 30 --format json > /out/status.json; echo $? > /out/status";
    node.program("/opt/test/more", more);
    // There is nothing to wait for before.
    node.program("/opt/test/check", &CHECK.replace("--wait --timeout 30 ", ""));
    node.boot();
    let said = node.out("more");
    assert!(
        said.contains("run 1: 0\n")
            && said.contains("run 2: 0\n")
            && said.contains("was bootstrapped before"),
        "{said}"
    );
    node.stands(0, "done");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
    node.is_clean();
    for file in ["passwd", "group", "shadow"] {
        let text = node.root.text(&format!("/etc/{file}"));
        assert_eq!(text.lines().filter(|l| l.starts_with("capv:")).count(), 1, "{file}: {text}");
        assert!(text.lines().all(|l| l.contains(':')), "{file}: {text}");
    }
}

/// footplate as each of its units and the script call it, killed at one moment of the first boot; the second boot is left alone.
#[test]
fn kubeadm_starts_once_wherever_footplate_is_killed() {
    needs!(root("containers"));
    let stamp = "/var/lib/footplate/instances";
    // The command, what is there when it is killed, and whether kubeadm begins in the first boot.
    let points = [
        ("provision", "/run/footplate/bootstrap", false),
        ("network", "/", true),
        ("provision", "/run/footplate/status.json", false),
        ("provision", "/var/lib/kubeadm-runs", true),
        ("provision", "/etc/kubernetes/kubelet.conf", true),
        ("preflight", "/run/footplate/bootstrap", true),
        ("report", "/run/cluster-api/bootstrap-success.complete", true),
        ("report", "/", true),
        ("report", stamp, true),
    ];
    for (n, (command, there, begins)) in points.into_iter().enumerate().step_by(every(3)) {
        let node = Node::new(&format!("kill-{n}"), JOIN, &format!("{SUCCESS}sleep 0.5\n"));
        fs::rename(node.root.path("/opt/bin/footplate"), node.root.path("/opt/footplate-itself")).unwrap();
        // The process is the same one after `exec`: systemd's, or the script's.
        let kill = format!(
            "#!/bin/bash\nif [[ $1 == {command} && ! -e /var/lib/killed && ! $* =~ --provision ]]; then\n  \
             (for i in {{1..2000}}; do [ -e {there} ] && break; sleep 0.002; done\n   \
             kill -STOP $$ && echo $$ >> /var/lib/killed; kill -KILL $$) > /dev/null 2>&1 &\nfi\n\
             exec -a /opt/bin/footplate /opt/footplate-itself \"$@\"\n"
        );
        node.program("/opt/bin/footplate", &kill);
        node.boot();
        let what = format!("{command} killed at {there}");
        assert_eq!(node.lines("/var/lib/killed"), 1, "{what}: was not killed:\n{}", node.out("journal"));
        let first = node.lines("/var/lib/kubeadm-runs");
        println!("{what}: kubeadm started {first} times in the first boot");
        assert_eq!(first, usize::from(begins), "{what}:\n{}", node.out("journal"));
        node.boot();
        node.stands(0, "done");
        assert!(node.has_sentinel(), "{what}");
        assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1, "{what}:\n{}", node.out("journal"));
        node.is_clean();
    }
}

#[test]
fn a_power_cut_before_kubeadms_end_is_made_up_for() {
    needs!(root("containers"));
    let node = Node::new(
        "cut-before",
        JOIN,
        &format!(
            "#!/bin/sh\n[ -e /var/lib/kubeadm-runs ] || {{ echo first > /var/lib/kubeadm-runs; sleep 60; }}\n{SUCCESS}"
        ),
    );
    node.cut_off_at("/var/lib/kubeadm-runs");
    node.boot();
    node.stands(0, "done");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 2, "it ran again, for it had not come to its end");
    node.is_clean();
}

/// kubeadm has joined, and nobody could write that down any more.
#[test]
fn a_power_cut_after_kubeadms_success_does_not_join_twice() {
    needs!(root("containers"));
    let node = Node::new("cut-after", JOIN, &format!("{SUCCESS}sleep 60\n"));
    node.cut_off_at("/etc/kubernetes/kubelet.conf");
    node.boot();
    node.stands(0, "done");
    assert!(node.has_sentinel());
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
}

/// What Flatcar does before 4628 once extensions are laid over `/usr`, which is after PID 1 has read its units.
const ENSURE_SYSEXT: &str = "[Unit]
DefaultDependencies=no
BindsTo=systemd-sysext.service
After=systemd-sysext.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/systemctl daemon-reload
ExecStart=/bin/systemctl restart --no-block sockets.target timers.target multi-user.target
[Install]
WantedBy=sysinit.target
";

#[test]
fn an_extension_that_comes_late_bootstraps_the_node() {
    needs!(root("containers"));
    needs!(program("mksquashfs", "squashfs-tools"));
    let mut node = Node::bare("extension", JOIN, "/usr/bin/footplate");
    let dir = fresh("extension-image");
    fs::write(dir.join("kubeadm"), SUCCESS).unwrap();
    let digest = Ran::of(Command::new("sha256sum").arg(dir.join("kubeadm"))).out[..64].to_owned();
    let lock = serde_json::json!({"version": 1, "arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
    "artifacts": [{
        "name": "kubeadm", "version": "v1.34.1", "url": "https://artifacts.invalid/kubeadm", "sha256": digest,
        "install": [{"from": "", "to": "/opt/bin/kubeadm", "mode": "0755"}],
    }]});
    fs::write(dir.join("lock.json"), lock.to_string()).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let made = [
        "bake",
        "sysext",
        "--lock",
        &path("lock.json"),
        "--from",
        &path(""),
        "--output",
        &path("footplate.raw"),
    ];
    scratch::footplate(&made).ended(0, &[]);
    // Not every machine that runs this has loop devices to spare for a container, so its tree is what is laid over.
    fs::create_dir(path("extensions")).unwrap();
    let extension = path("extensions/footplate");
    Ran::of(Command::new("unsquashfs").arg("-d").arg(extension).arg(path("footplate.raw"))).ended(0, &[]);
    node.root.put("/etc/systemd/system/ensure-sysext.service", ENSURE_SYSEXT);
    // The root is an overlay here, and there is an end to what can be laid over one: what takes part in that stands on plain file
    // systems, as on a node.
    for (from, to) in [(BASE.join("usr"), "/usr"), (path("extensions").into(), "/var/lib/extensions")] {
        fs::create_dir_all(node.root.path(to)).unwrap();
        node.mount(&["-o", "bind,ro", &from.display().to_string()], &node.root.path(to));
    }
    // All of /opt, not a part of it: systemd-sysext of 257 hides the rest of a directory in which something is mounted.
    node.mount(&["-t", "tmpfs", "-o", "mode=755", "opt"], &node.root.path("/opt"));
    node.program("/opt/test/check", CHECK);
    // footplate.service is not known yet when the check is queued.
    let wait = "[Unit]\nAfter=ensure-sysext.service\n[Service]\nExecStartPre=timeout 60 sh -c 'until systemctl -q is-active \
                footplate.service; do sleep 0.1; done'\n";
    node.root.put("/etc/systemd/system/check.service.d/wait.conf", wait);
    node.systemctl(&["enable", "systemd-sysext.service", "ensure-sysext.service"]);
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    assert_eq!((node.out("failed").as_str(), node.lines("/var/lib/kubeadm-runs")), ("", 1), "{journal}");
    assert!(node.has_sentinel());
    assert!(journal.contains("Mounted usr-local.mount"), "{journal}");
    // Late: the hostname came all the same.
    assert_eq!(node.out("hostname"), "node-1\n", "{journal}");
    assert!(!journal.contains("ordering cycle"), "{journal}");
    node.is_clean();

    // The next boot finds its stamp; nothing of the extension is on the node's disk but links.
    node.boot();
    node.stands(0, "done");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1);
    assert!(fs::read_link(node.root.path("/opt/bin/kubeadm")).unwrap().ends_with("opt/bin/kubeadm"));
}

/// Three NICs, networkd, a network; then one that gives the first the same, the second another address, and the third none.
const LIVE_NETWORK: &str = r#"#!/bin/bash
set -eu
network() { /opt/bin/footplate network --seed /seed; }
until_ip() { for _ in $(seq 300); do if ip -brief addr show dev $1 | grep -q "$2"; then return; fi; sleep 0.1; done; echo "$1 has no $2"; }
# What a person put on a link is gone once networkd sets that link up anew.
hand() { ip addr add 203.0.113.$1/32 dev nic$1; }
files() { stat --format '%n %i %Y %Z' /etc/systemd/network/15-footplate-*; }
config() {
    echo "version: 2"; echo "ethernets:"
    for entry in "$@"; do echo "  id${entry%%=*}: {match: {macaddress: '02:00:00:00:0a:0${entry%%=*}'}, addresses: [${entry#*=}]}"; done
}
for n in 0 1 2; do
    ip link add nic$n address 02:00:00:00:0a:0$n type veth peer name peer$n
    ip link set peer$n up
done
systemctl start systemd-networkd.service
config 0=192.0.2.10/24 1=192.0.2.11/24 2=192.0.2.12/24 > /seed/network-config
network
for n in 0 1 2; do until_ip nic$n 192.0.2.1$n/24; hand $n; done
files > /out/before
config 0=192.0.2.10/24 1=192.0.2.21/24 > /seed/network-config
since=$(date '+%F %T.%6N')
network
until_ip nic1 192.0.2.21/24
# Until the third is let go of; what is told of the others is told by then.
for _ in $(seq 300); do if networkctl --json=short status nic2 | grep -q unmanaged; then break; fi; sleep 0.1; done
files > /out/after
for n in 0 1 2; do ip -oneline -4 addr show dev nic$n > /out/nic$n; done
networkctl --no-legend list > /out/links
journalctl --unit systemd-networkd.service --since "$since" --output cat > /out/networkd
network
files > /out/again
"#;

#[test]
fn a_change_on_a_node_that_runs_touches_what_it_is_about() {
    needs!(root("containers"));
    let node = Node::new("live-network", "  - true\n", SUCCESS);
    node.program("/opt/test/more", LIVE_NETWORK);
    node.boot();
    let said = node.out("more");
    assert_eq!(said.matches("networkd has taken the changes").count(), 2, "{said}");
    assert!(!said.contains("networkd has read its files again"), "once for each change: {said}");
    assert!(said.contains("files=3 changed=") && said.contains("files=2 changed=0"), "{said}");

    // Of the files, one is as it was, one is new, one is gone; the third run found nothing to do.
    let (before, after) = (node.out("before"), node.out("after"));
    let file = |files: &str, id: &str| files.lines().find(|l| l.contains(id)).map(str::to_owned);
    assert!(file(&before, "id0").is_some() && file(&before, "id0") == file(&after, "id0"), "{before}{after}");
    assert!(file(&before, "id1") != file(&after, "id1") && file(&after, "id1").is_some(), "{before}{after}");
    assert!(file(&before, "id2").is_some() && file(&after, "id2").is_none(), "{before}{after}");
    assert_eq!(after, node.out("again"));

    // Of the links, the first was left alone, the second has the new address and nothing else, the third is nobody's.
    let addresses = |nic: &str| {
        let text = node.out(nic);
        let words = text.lines().filter_map(|l| l.split_whitespace().nth(3)).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    let told = node.out("networkd");
    assert_eq!(addresses("nic0"), ["192.0.2.10/24", "203.0.113.0/32"], "{said}{told}");
    assert_eq!(addresses("nic1"), ["192.0.2.21/24"], "{said}{told}");
    let links = node.out("links");
    let third = links.lines().find(|l| l.contains("nic2")).unwrap();
    assert!(third.contains("unmanaged"), "{links}");
    let anew = |nic: &str| told.contains(&format!("{nic}: Reconfiguring with "));
    assert!(anew("nic1") && !anew("nic0"), "{told}");
}

/// networkd's wait-online returns when a required link is online, and so never where none is required.
#[test]
fn nothing_is_waited_for_where_all_links_are_optional() {
    needs!(root("containers"));
    let node = Node::new("optional", JOIN, SUCCESS);
    node.systemctl(&["enable", "systemd-networkd.service", "systemd-networkd-wait-online.service"]);
    node.root.put("/seed/network-config", "version: 2\nbridges:\n  br7: {dhcp4: true, optional: true}\n");
    let more = "#!/bin/bash
        systemctl show -P ConditionResult systemd-networkd-wait-online.service
        systemctl show -P ActiveState network-online.target
        until ip link show br7 | grep -q br7; do sleep 0.1; done
        for any in '' --any; do /lib/systemd/systemd-networkd-wait-online $any --timeout=2; echo \"alone: $?\"; done";
    node.program("/opt/test/more", more);
    let begun = Instant::now();
    node.boot();
    node.stands(0, "done");
    let said = node.out("more");
    assert!(said.starts_with("no\nactive\n"), "{said}{}", node.out("journal"));
    // What would have been waited for, had it run.
    assert_eq!(said.matches("alone: 1").count(), 2, "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{}", node.out("journal"));
}

/// A disk that does not come stops the node, unless the data itself says that it may be missing.
#[test]
fn a_disk_that_may_be_missing_does_not_stop_the_node() {
    needs!(root("containers"));
    for (name, options, exit, state) in
        [("missing-nofail", "nofail,", 0, "done"), ("missing-needed", "", 1, "failed")]
    {
        let node = Node::new(name, JOIN, SUCCESS);
        let data = node.root.text("/seed/user-data");
        let mount = format!(
            "mounts:\n- [/dev/vdz1, /data, ext4, '{options}x-systemd.device-timeout=2s', '0', '0']\n"
        );
        node.root.put("/seed/user-data", data + &mount);
        node.boot();
        node.stands(exit, state);
        let journal = node.out("journal");
        let told = journal.contains("mount /data: left out: /dev/vdz1 did not come, and the mount is nofail");
        assert_eq!(told, state == "done", "{journal}");
    }
}

/// The containerd that runs is asked, with its own arguments, what it takes of its configuration. In version 1 a file that it
/// imports replaces all that the main file says of a plugin.
#[test]
fn what_an_import_takes_from_containerd_is_told_before_kubeadm_runs() {
    needs!(root("containers"));
    let containerd = unpacked(&["containerd"]).unwrap().join("usr/bin/containerd");
    let node = Node::new("containerd-import", JOIN, SUCCESS);
    node.root.put_program("/usr/bin/containerd", fs::read(containerd).unwrap());
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    let main = format!(
        "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n[{cri}]\nsandbox_image = \"registry.invalid/pause:9\"\n\
         [{cri}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [{cri}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    );
    let unit = "[Service]\nExecStart=/usr/bin/containerd --config /etc/containerd/config.toml\n";
    node.root.put("/etc/containerd/config.toml", main).put("/etc/systemd/system/containerd.service", unit);
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    assert!(!journal.contains("kubeadm-prepare: containerd: "), "{journal}");

    // The next boot is that of another node.
    for path in ["/var/lib/footplate", "/etc/kubernetes"] {
        fs::remove_dir_all(node.root.path(path)).unwrap();
    }
    let site =
        format!("version = 2\n[{cri}.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n");
    node.root.put("/etc/containerd/conf.d/site.toml", site);
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    for want in [
        "has the runtime runc, and",
        "names another pause image",
        "managed by cgroupfs, the kubelet's by systemd",
    ] {
        let told = journal.lines().find(|l| l.contains("kubeadm-prepare: containerd: ") && l.contains(want));
        assert!(told.is_some_and(|l| l.contains("the last file that has any")), "{want}: {journal}");
    }
}

// Cluster API's Ignition data

/// As the real one does, and what it was given: the machine's name, the node's, and the provider's.
const IGNITION_KUBEADM: &str = r#"#!/bin/sh
name=$(sed -n "s/^  name: '\{0,1\}\([^']*\).*/\1/p" /etc/kubeadm.yml)
id=$(grep -A1 'name: provider-id' /etc/kubeadm.yml | sed -n "s/.*value: '\{0,1\}\([^']*\).*/\1/p")
echo "$(hostname) $name $id ${PATH%%:*}" >> /var/lib/kubeadm-runs
mkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf
"#;

/// A node with one of Cluster API's configs among the golden folders as its data, and what an image of Flatcar's has that
/// its workarounds ask: envsubst, VMware's tools, Afterburn and containerd.
fn with_ignition_data(name: &str, case: &str) -> Node {
    let node = Node::new(name, JOIN, IGNITION_KUBEADM);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    let config = fs::read_to_string(golden.join(case).join("in.ign")).unwrap();
    let meta = "instance-id: i-1\nlocal-hostname: node-1\nprovider-id: test://zone/i-1\n";
    node.root.put("/seed/user-data", config).put("/seed/meta-data", meta);
    program("envsubst", "gettext-base").unwrap();
    Ran::of(Command::new("cp").arg("/usr/bin/envsubst").arg(node.root.path("/usr/bin/"))).ended(0, &[]);
    node.program(
        "/usr/share/oem/bin/vmtoolsd",
        "#!/bin/sh\n[ \"$2\" = 'info-get guestinfo.metadata' ] && base64 < /seed/meta-data\n",
    );
    let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c";
    let afterburn = "'mkdir -p /run/metadata && echo COREOS_EC2_HOSTNAME=node-1 >> /run/metadata/flatcar'";
    node.root
        .put("/usr/lib/systemd/system/coreos-metadata.service", format!("{oneshot} {afterburn}\n"))
        .put("/etc/systemd/system/containerd.service", format!("{oneshot} 'echo containerd'\n"));
    node
}

#[test]
fn cluster_apis_ignition_data_runs_kubeadm_as_the_node_with_its_workarounds_and_without() {
    needs!(root("containers"));
    for case in [
        "capv-with-workarounds",
        "capv-without-workarounds",
        "capa-with-workarounds",
        "capa-without-workarounds",
    ] {
        let node = with_ignition_data(case, case);
        node.boot();
        node.stands(0, "done");
        let ran = node.root.text("/var/lib/kubeadm-runs");
        assert_eq!(ran, "node-1 node-1 test://zone/i-1 /opt/bin\n", "{case}: {}", node.out("journal"));
        assert_eq!((node.out("failed").as_str(), node.out("hostname").as_str()), ("", "node-1\n"), "{case}");
        assert!(node.has_sentinel(), "{case}");
        assert!(!node.out("journal").contains("ordering cycle"), "{case}: {}", node.out("journal"));
    }
}

fn data_url(text: &str) -> String {
    "data:,".to_owned() + &text.bytes().map(|b| format!("%{b:02x}")).collect::<String>()
}

/// The data's own unit may say of itself when it has started and ended.
#[test]
fn the_result_of_each_type_of_unit_is_told_when_it_has_ended() {
    needs!(root("containers"));
    let script = "#!/bin/sh\nsleep 1\nkubeadm join --config /etc/kubeadm.yml || exit 4\nmkdir -p /run/cluster-api\n\
                  echo success > /run/cluster-api/bootstrap-success.complete\n";
    for (kind, kubeadm, exit, state) in [
        ("Type=oneshot\\nRemainAfterExit=yes", "exit 0", 0, "done"),
        ("Type=oneshot\\nRemainAfterExit=yes", "exit 3", 1, "failed"),
        ("Type=simple", "exit 0", 0, "done"),
        ("Type=exec\\nRemainAfterExit=yes", "exit 3", 1, "failed"),
    ] {
        let node = Node::new("types", JOIN, &format!("#!/bin/sh\n{kubeadm}\n"));
        let unit = format!(
            "[Service]\\n{kind}\\nExecStart=/etc/kubeadm.sh\\n[Install]\\nWantedBy=multi-user.target\\n"
        );
        let data = format!(
            r#"{{"ignition": {{"version": "3.3.0"}}, "storage": {{"files": [
                {{"path": "/etc/kubeadm.yml", "mode": 384, "contents": {{"source": "data:,kind:%20JoinConfiguration"}}}},
                {{"path": "/etc/kubeadm.sh", "mode": 448, "contents": {{"source": "{}"}}}}]}},
                "systemd": {{"units": [{{"name": "kubeadm.service", "enabled": true, "contents": "{unit}"}}]}}}}"#,
            data_url(script)
        );
        let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
        node.root.put("/seed/user-data", data).put("/etc/systemd/system/containerd.service", oneshot);
        node.boot();
        node.stands(exit, state);
        assert_eq!(node.has_sentinel(), exit == 0, "{kind}");
    }
}

/// Ignition made the node before it started: nothing of it is made again, and the rest is done.
#[test]
fn what_ignition_made_is_left_so_and_kubeadm_runs_as_the_node() {
    needs!(root("containers"));
    let node = with_ignition_data("applied", "capv-without-workarounds");
    let (seed, root) = (node.root.path("/seed"), node.root.arg());
    let seed = seed.to_str().unwrap();
    Ran::of(Command::new(FOOTPLATE).args(["provision", "--seed", seed, "--root", root])).ended(0, &[]);
    for own in ["/etc/hostname", "/run/metadata", "/run/footplate"] {
        Ran::of(Command::new("rm").arg("-rf").arg(node.root.path(own))).ended(0, &[]);
    }
    node.root.put("/etc/.ignition-result.json", "{\"userConfigProvided\": true}\n");
    // Its owner has changed something since, and the placeholders are as they were sent.
    let script = format!("# kept\n{}", node.root.text("/etc/kubeadm.sh"));
    node.root.put("/etc/kubeadm.sh", &script);
    node.boot();
    node.stands(0, "done");
    assert_eq!(node.root.text("/etc/kubeadm.sh"), script);
    let ran = node.root.text("/var/lib/kubeadm-runs");
    assert_eq!(ran, "node-1 node-1 test://zone/i-1 /opt/bin\n", "{}", node.out("journal"));
    assert!(node.has_sentinel());

    node.boot();
    node.stands(0, "done");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1, "once, however often it starts");
    assert_eq!(node.out("failed"), "");
}

// Files that early services have read already

/// What the machine does with each family of files, and what a second run with nothing to change does.
const IN_FORCE: &str = r#"#!/bin/bash
sysctl() { cat /proc/sys/${1//./\/}; }
check() { printf '%s=%s\n' "$1" "$(eval "$2" 2>&1 | tr '\n' ' ' | sed 's/ $//')"; }
for _ in $(seq 100); do systemctl -q is-active linked.service && break; sleep 0.1; done
check kernel 'sysctl net.core.somaxconn'
check directory 'stat -c %a:%U /var/lib/of-tmpfiles'
check account 'id -u of-sysusers'
check limit 'systemctl show -P DefaultLimitNOFILE'
check journal 'journalctl --unit systemd-journald --output cat | grep -o "max [0-9]*" | tail -n 1'
check program 'of-extension'
check linked 'systemctl is-active linked.service'
check dropin 'systemctl show -P Environment later.service'
check hosts 'getent hosts registry.invalid'
rm -rf /var/lib/footplate/instances
/opt/bin/footplate provision --seed /seed > /out/again 2>&1
echo "exit $?" >> /out/again
"#;

/// Every family at once: accounts before the directories that they own, an extension's program, plain files of units.
fn early_files() -> String {
    let files = [
        ("/etc/sysctl.d/90-a.conf", "net.core.somaxconn=8191\n"),
        ("/etc/sysusers.d/a.conf", "u of-sysusers 787\n"),
        ("/etc/tmpfiles.d/a.conf", "d /var/lib/of-tmpfiles 0750 of-sysusers - -\n"),
        ("/etc/modules-load.d/a.conf", "# nothing\n"),
        ("/etc/udev/hwdb.d/90-a.hwdb", "# nothing\n"),
        ("/etc/systemd/system.conf.d/a.conf", "[Manager]\nDefaultLimitNOFILE=123457\n"),
        ("/etc/systemd/journald.conf.d/a.conf", "[Journal]\nRuntimeMaxUse=11M\nSystemMaxUse=11M\n"),
        ("/etc/systemd/logind.conf.d/a.conf", "[Login]\nInhibitDelayMaxSec=45s\n"),
        (
            "/etc/systemd/system/linked.service",
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
        ),
        ("/etc/systemd/system/later.service.d/a.conf", "[Service]\nEnvironment=OF=data\n"),
        ("/etc/hosts", "192.0.2.44 registry.invalid\n"),
        ("/srv/extensions/tool/usr/lib/extension-release.d/extension-release.tool", "ID=_any\n"),
        ("/srv/extensions/tool/usr/bin/of-extension", "#!/bin/sh\necho merged\n"),
    ];
    let files: Vec<serde_json::Value> = files
        .iter()
        .map(|(path, text)| {
            let source = data_url(text);
            let mode = if path.contains("/bin/") { 0o755 } else { 0o644 };
            serde_json::json!({"path": path, "mode": mode, "overwrite": true, "contents": {"source": source}})
        })
        .collect();
    let links = serde_json::json!([
        {"path": "/etc/extensions/tool", "target": "/srv/extensions/tool"},
        {"path": "/etc/systemd/system/multi-user.target.wants/linked.service", "target": "/etc/systemd/system/linked.service"},
    ]);
    serde_json::json!({"ignition": {"version": "3.3.0"}, "storage": {"files": files, "links": links}})
        .to_string()
}

#[test]
fn files_that_early_services_have_read_count_in_this_boot() {
    needs!(root("containers"));
    let mut node = Node::new("early-files", JOIN, SUCCESS);
    node.root.put("/seed/user-data", early_files());
    node.program("/opt/test/more", IN_FORCE);
    let later = "[Unit]\nAfter=footplate.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n\
                 [Install]\nWantedBy=multi-user.target\n";
    node.root.put("/etc/systemd/system/later.service", later);
    node.root.put("/etc/systemd/system/check.service.d/order.conf", "[Unit]\nAfter=later.service\n");
    node.systemctl(&["enable", "later.service", "systemd-sysext.service"]);
    // There is an end to what can be laid over an overlay: what an extension takes part in stands on plain file systems.
    for at in ["/srv/extensions", "/usr"] {
        fs::create_dir_all(node.root.path(at)).unwrap();
    }
    let (usr, extensions) = (node.root.path("/usr"), node.root.path("/srv/extensions"));
    node.mount(&["-o", "bind,ro", &BASE.join("usr").display().to_string()], &usr);
    node.mount(&["-t", "tmpfs", "extensions"], &extensions);
    node.boot();
    let (journal, said) = (node.out("journal"), node.out("more"));
    node.stands(0, "nothing-to-do");
    let want = "kernel=8191\ndirectory=750:of-sysusers\naccount=787\nlimit=123457\njournal=max 11\nprogram=merged\n\
                linked=active\ndropin=OF=data\nhosts=192.0.2.44      registry.invalid\n";
    assert_eq!(said, want, "{journal}");
    assert_eq!(node.out("failed"), "", "{journal}");
    // Nothing changes the second time, and nothing runs.
    let again = node.out("again");
    assert!(again.contains("changed=0") && again.ends_with("exit 0\n"), "{again}");
    assert!(!again.contains("read its"), "{again}");
    assert!(journal.contains("systemd-sysctl.service has read its files"), "{journal}");
    assert!(journal.contains("/etc/udev/hwdb.d/90-a.hwdb has no effect in this boot: "), "{journal}");
    // A seed on the disk is no service.
    assert!(journal.contains("waiting for the metadata of NoCloud"), "{journal}");
}

/// kubeadm itself may come in an extension that the data brings, and the unit that runs it too: it is merged before kubeadm is looked for.
#[test]
fn a_kubeadm_of_an_extension_of_the_data_runs_in_this_boot() {
    needs!(root("containers"));
    let script = "#!/bin/sh\nkubeadm join --config /etc/kubeadm.yml || exit 4\nmkdir -p /run/cluster-api\n\
                  echo success > /run/cluster-api/bootstrap-success.complete\n";
    let kubeadm = "#!/bin/sh\necho \"$0 $*\" >> /var/lib/kubeadm-runs\n";
    let release = "usr/lib/extension-release.d/extension-release.k8s";
    let unit = "[Service]\nType=oneshot\nExecStart=/etc/kubeadm.sh\n[Install]\nWantedBy=multi-user.target\n";
    let file = |path: &str, mode: u32, text: &str| serde_json::json!({"path": path, "mode": mode, "contents": {"source": data_url(text)}});
    let ignition = serde_json::json!({"ignition": {"version": "3.3.0"},
        "storage": {
            "files": [
                file("/srv/extensions/k8s/usr/bin/kubeadm", 0o755, kubeadm),
                file(&format!("/srv/extensions/k8s/{release}"), 0o644, "ID=_any\n"),
                file("/etc/kubeadm.yml", 0o600, "kind: JoinConfiguration"),
                file("/etc/kubeadm.sh", 0o700, script)],
            "links": [{"path": "/etc/extensions/k8s", "target": "/srv/extensions/k8s"}]},
        "systemd": {"units": [{"name": "kubeadm.service", "enabled": true, "contents": unit}]}});
    let cloud_config = format!(
        "#cloud-config\nwrite_files:\n- {{path: /etc/extensions/k8s/usr/bin/kubeadm, permissions: '0755', content: {kubeadm:?}}}\n\
         - {{path: '/etc/extensions/k8s/{release}', content: \"ID=_any\\n\"}}\n\
         - {{path: /etc/kubeadm.yml, content: 'kind: JoinConfiguration'}}\n\
         - {{path: /etc/kubeadm.sh, permissions: '0700', content: {script:?}}}\n\
         runcmd: [/etc/kubeadm.sh]\n"
    );
    for (name, data) in [("sysext-ignition", ignition.to_string()), ("sysext-cloud-config", cloud_config)] {
        let mut node = Node::new(name, JOIN, "");
        fs::remove_file(node.root.path("/opt/bin/kubeadm")).unwrap();
        let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
        node.root.put("/seed/user-data", data).put("/etc/systemd/system/containerd.service", oneshot);
        node.systemctl(&["enable", "systemd-sysext.service"]);
        for at in ["/srv/extensions", "/etc/extensions", "/usr"] {
            fs::create_dir_all(node.root.path(at)).unwrap();
        }
        let usr = node.root.path("/usr");
        node.mount(&["-o", "bind,ro", &BASE.join("usr").display().to_string()], &usr);
        for at in ["/srv/extensions", "/etc/extensions"] {
            let at = node.root.path(at);
            node.mount(&["-t", "tmpfs", "extensions"], &at);
        }
        node.boot();
        node.stands(0, "done");
        let ran = node.root.text("/var/lib/kubeadm-runs");
        assert_eq!(
            ran,
            "/usr/bin/kubeadm join --config /etc/kubeadm.yml\n",
            "{name}: {}",
            node.out("journal")
        );
    }
}

/// The same of services that a container has only when it is told so: name resolution, time, devices, and users' own systemd, of which one
/// runs before the data is there and one is asked for by the data.
const SERVED: &str = r#"#!/bin/bash
check() { printf '%s=%s\n' "$1" "$(eval "$2" 2>&1 | tr '\n' ' ' | sed 's/ $//')"; }
said() {
    check dns 'resolvectl dns | grep -o "Global: .*"'
    check stub 'ss --listening --numeric --udp --tcp | grep -c 127.0.0.53'
    check time 'timedatectl show-timesync --property=SystemNTPServers --value'
    check rule 'stat --format=%F /dev/of-rule'
    check early 'cat /var/tmp/early-user'
    check late 'cat /var/tmp/late-user'
    check fstab 'findmnt --noheadings --output FSTYPE /srv/fstab'
    check dropin 'cat /var/tmp/of-image'
}
# Users' own systemd and udev come to it when the machine lets them.
for _ in $(seq 100); do said=$(said); [ "$said" = "$(cat /opt/test/want)" ] && break; sleep 0.3; done
echo "$said"
rm -rf /var/lib/footplate/instances
/opt/bin/footplate provision --seed /seed > /out/again 2>&1
echo "exit $?" >> /out/again
"#;

#[test]
fn settings_of_services_count_in_this_boot() {
    needs!(root("containers"));
    let unit = |file: &str| {
        format!(
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo $OF_USER > {file}'\n"
        )
    };
    let files = [
        ("/etc/systemd/resolved.conf.d/a.conf", "[Resolve]\nDNS=192.0.2.54\nDNSStubListener=no\n".to_owned()),
        ("/run/systemd/timesyncd.conf.d/a.conf", "[Time]\nNTP=ntp-7.invalid\n".to_owned()),
        (
            "/etc/udev/rules.d/90-a.rules",
            "SUBSYSTEM==\"mem\", KERNEL==\"null\", SYMLINK+=\"of-rule\"\n".to_owned(),
        ),
        ("/etc/environment.d/90-a.conf", "OF_USER=data\n".to_owned()),
        ("/etc/systemd/user/early.service", unit("/var/tmp/early-user")),
        ("/home/late/.config/systemd/user/late.service", unit("/var/tmp/late-user")),
        ("/var/lib/systemd/linger/late", String::new()),
        ("/etc/fstab", "none /srv/fstab tmpfs size=1M 0 0\n".to_owned()),
        ("/etc/systemd/system/of-image.service.d/a.conf", "[Service]\nEnvironment=OF=data\n".to_owned()),
    ];
    let links = [
        ("/etc/systemd/user/default.target.wants/early.service", "/etc/systemd/user/early.service"),
        ("/home/late/.config/systemd/user/default.target.wants/late.service", "../late.service"),
    ];
    let ignition = serde_json::json!({"ignition": {"version": "3.3.0"}, "storage": {
        "files": files.iter().map(|(path, text)| serde_json::json!({
            "path": path, "mode": 0o644, "overwrite": true, "contents": {"source": data_url(text)}})).collect::<Vec<_>>(),
        "links": links.iter().map(|(path, target)| serde_json::json!({"path": path, "target": target})).collect::<Vec<_>>()}})
    .to_string();
    let cloud_config = files.iter().map(|(path, text)| format!("- {{path: {path}, content: {text:?}}}\n"));
    let cloud_config = format!("#cloud-config\nwrite_files:\n{}", cloud_config.collect::<String>());
    for (name, data) in [("served-ignition", ignition), ("served-cloud-config", cloud_config)] {
        let mut node = Node::new(name, JOIN, SUCCESS);
        node.root.put("/seed/user-data", data);
        let want = "dns=Global: 192.0.2.54\nstub=0\ntime=ntp-7.invalid\nrule=symbolic link\nearly=data\nlate=data\nfstab=tmpfs\ndropin=OF=data\n";
        node.program("/opt/test/more", SERVED);
        node.root.put("/opt/test/want", want);
        // Not even a container keeps them from running.
        let anywhere = "[Unit]\nConditionVirtualization=\nConditionPathIsReadWrite=\nConditionCapability=\n";
        for service in ["systemd-timesyncd", "systemd-udevd"] {
            node.root.put(&format!("/etc/systemd/system/{service}.service.d/here.conf"), anywhere);
        }
        // One of the image that starts behind the data, which has no commands here.
        let of_image = "[Unit]\nAfter=footplate.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                        ExecStart=/bin/sh -c 'echo OF=$OF > /var/tmp/of-image'\n[Install]\nWantedBy=multi-user.target\n";
        node.root.put("/etc/systemd/system/of-image.service", of_image);
        node.systemctl(&[
            "enable",
            "systemd-resolved.service",
            "systemd-timesyncd.service",
            "of-image.service",
        ]);
        // This machine's devices are only looked at: no rule but the data's.
        node.mount(&["-t", "tmpfs", "rules"], &node.root.path("/usr/lib/udev/rules.d"));
        let accounts = "early:x:1501:1501::/home/early:/bin/sh\nlate:x:1502:1502::/home/late:/bin/sh\n";
        let passwd = node.root.text("/etc/passwd") + accounts;
        node.root.put("/etc/passwd", passwd).put("/var/lib/systemd/linger/early", "");
        node.root.put("/srv/fstab/.keep", "").put("/home/early/.keep", "").put("/home/late/.keep", "");
        // A cloud-config has no key for links.
        for (path, target) in links.iter().filter(|_| name == "served-cloud-config") {
            node.root.put(&path.replace(".service", ".keep"), "");
            std::os::unix::fs::symlink(target, node.root.path(path)).unwrap();
        }
        let shadow = node.root.text("/etc/shadow") + "early:*:1::::::\nlate:*:1::::::\n";
        node.root.put("/etc/shadow", shadow);
        // A user's systemd runs before, and events can be asked for: a container has its /sys read-only.
        let before = "[Service]\nExecStartPre=+/bin/mount -o remount,rw /sys/devices\n\
                      ExecStartPre=/bin/sh -c 'until systemctl -q is-active user@1501.service; do sleep 0.1; done'\n";
        node.root.put("/etc/systemd/system/footplate.service.d/before.conf", before);
        node.boot();
        let (journal, said) = (node.out("journal"), node.out("more"));
        assert_eq!(said, want, "{name}: {journal}");
        assert_eq!(node.out("failed"), "", "{name}: {journal}");
        let again = node.out("again");
        assert!(again.contains("changed=0") && again.ends_with("exit 0\n"), "{name}: {again}");
    }
}

/// Each kind of change that systemd has to read before it counts: a unit's file, a unit that is enabled, a drop-in of a service that is
/// restarted, a mount by fstab, the bootstrap's own unit.
#[test]
fn systemd_reads_its_units_once_after_all_is_written() {
    needs!(root("containers"));
    const DATA: &str = "#cloud-config
write_files:
  - {path: /run/kubeadm/join.yaml, content: 'name: node-1'}
  - {path: /etc/systemd/system/of-file.service, content: \"[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n\"}
  - {path: /etc/systemd/system/systemd-logind.service.d/of-data.conf, content: \"[Service]\\nEnvironment=OF=data\\n\"}
  - {path: /etc/fstab, append: true, content: \"tmpfs /srv/fstab tmpfs defaults 0 0\\n\"}
ntp: {servers: [ntp.example.invalid]}
coreos:
  units:
    - {name: of-unit.service, command: start, enable: true, content: \"[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"}
runcmd:
  - systemctl start of-file.service && mountpoint /srv/fstab
";
    const MORE: &str = "systemctl is-active of-unit.service of-file.service\nsystemctl show -P Environment systemd-logind.service\nfindmnt -no FSTYPE /srv/fstab\n";
    // A unit of footplate's own that is started in between is new to systemd, which reads it alone.
    for (name, bootcmd) in [("reads", ""), ("reads-with-bootcmd", "bootcmd: ['true']\n")] {
        let node = Node::new(name, JOIN, SUCCESS);
        node.root.put("/seed/user-data", format!("{DATA}{JOIN}{bootcmd}"));
        node.program("/opt/test/more", &format!("#!/bin/bash\n{MORE}"));
        node.boot();
        let journal = node.out("journal");
        node.stands(0, "done");
        assert_eq!(node.out("more"), "active\nactive\nOF=data\ntmpfs\n", "{journal}");
        // Some versions say before that, and by whom, it was asked for.
        let reads = journal.lines().filter(|line| line.contains("systemd[1]: Reloading.")).count();
        assert_eq!(reads, 1, "{bootcmd}{journal}");
    }
}

/// A drop-in for a unit that systemd knows already, and one for the bootstrap's own: systemd is asked for both before it starts them.
#[test]
fn what_commands_write_for_the_bootstrap_s_units_counts() {
    needs!(root("containers"));
    const BOOTCMD: &str = "bootcmd:\n  - |\n    for unit in containerd kubeadm; do\n      mkdir -p /etc/systemd/system/$unit.service.d\n      \
        printf '[Service]\\nEnvironment=OF=commands\\n' > /etc/systemd/system/$unit.service.d/50-proxy.conf\n    done\n";
    let node = Node::new("written", JOIN, &SUCCESS.replace('|', "|$OF|"));
    let data = fs::read_to_string(node.root.path("/seed/user-data")).unwrap();
    let (before, after) = data.split_once("bootcmd:\n").unwrap();
    node.root.put("/seed/user-data", format!("{before}{BOOTCMD}{after}"));
    node.program("/opt/test/more", "#!/bin/sh\nsystemctl show -P Environment containerd.service\n");
    node.boot();
    let journal = node.out("journal");
    node.stands(0, "done");
    assert!(node.out("more").contains(" OF=commands\n"), "{journal}");
    assert!(node.root.text("/var/lib/kubeadm-runs").contains("|commands|"), "{journal}");
}

/// Moments of a boot in microseconds, in their order, but for that of kubeadm, which tells its own.
const MOMENTS: &str = r#"#!/bin/bash
moment() { date -d "$(systemctl show --timestamp=us+utc --value -p "$2Timestamp" "$1")" +%s%6N; }
moment network-online.target ActiveEnter
moment footplate.service ExecMainStart
moment footplate.service ActiveEnter
moment kubeadm.service ExecMainStart
cat /run/kubeadm.began
"#;

/// The least that systemd can be given in footplate's place: a shell that starts the bootstrap's unit, which calls kubeadm.
const LEAST: &str = r#"#!/bin/sh
case $1 in
provision) systemctl start --no-block kubeadm.service; systemd-notify --ready; exec sleep 600 ;;
status) until [ -s /run/kubeadm.began ]; do sleep 0.1; done ;;
esac
"#;

/// How long a worker takes from network-online to kubeadm, in five parts of microseconds, and in what they are spent. The rest of the boot
/// has been at rest for a while before the network comes, as where an address is leased. Nothing is asked over the network here.
fn way_to_kubeadm(name: &str, footplate: &[u8], unit: Option<&str>) -> ([i64; 4], Node) {
    let node = Node::new(
        name,
        "",
        "#!/bin/sh\ndate +%s%6N > /run/kubeadm.began\n: > /etc/kubernetes/kubelet.conf\n",
    );
    let data = format!(
        "## template: jinja\n#cloud-config\nwrite_files:\n  - path: /run/kubeadm/join.yaml\n    content: 'name: {{{{ local_hostname }}}}'\n\
         runcmd:\n{JOIN}users:\n  - name: capv\n    sudo: ALL=(ALL) NOPASSWD:ALL\n"
    );
    let network = "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\nExecStart=/bin/sleep 2\n";
    // What a runtime takes to start is its own. This one is up at once.
    let runtime = "[Service]\nType=exec\nExecStartPre=\nExecStart=\nExecStart=/bin/sleep 600\n";
    node.root
        .put("/seed/user-data", data)
        .put("/etc/kubernetes/.keep", "")
        .put("/etc/systemd/system/lease.service", network)
        .put("/etc/systemd/system/containerd.service.d/runtime.conf", runtime)
        .put_program("/opt/bin/footplate", footplate);
    node.systemctl(&["add-wants", "network-online.target", "lease.service"]);
    let later = "[Service]\nExecStartPre=/bin/sleep 2\n";
    node.root.put("/etc/systemd/system/check.service.d/later.conf", later);
    if let Some(unit) = unit {
        node.root.put("/etc/systemd/system/kubeadm.service", unit);
        fs::remove_dir_all(node.root.path("/etc/systemd/system/kubeadm.service.d")).unwrap();
    }
    node.program("/opt/test/more", MOMENTS);
    node.boot();
    let more = node.out("more");
    let moments: Vec<i64> = more.lines().map(|line| line.parse().expect(&more)).collect();
    assert!(moments.len() == 5 && moments.is_sorted(), "{more}{}", node.out("journal"));
    (std::array::from_fn(|at| moments[at + 1] - moments[at]), node)
}

/// Of three boots each in turn, the median of what footplate adds to a shell that does nothing but start kubeadm is printed, with
/// where all of it goes. It is asserted of the released program that `FOOTPLATE_RELEASED` names: this one is not optimised.
#[test]
fn the_way_from_the_network_to_kubeadm_is_short() {
    needs!(root("containers"));
    const OWN: i64 = 40_000;
    let released = std::env::var_os("FOOTPLATE_RELEASED");
    let program = fs::read(released.as_deref().unwrap_or(FOOTPLATE.as_ref())).unwrap();
    let unit = "[Unit]\nWants=containerd.service\nAfter=footplate.service containerd.service\n\
                [Service]\nType=oneshot\nExecStart=/opt/bin/kubeadm join\n";
    let (mut own, mut least) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let (parts, node) = way_to_kubeadm(&format!("own-time-{round}"), &program, None);
        let status = node.stands(0, "done");
        let journal = node.out("journal");
        // What is made is new to systemd, which reads it when it is asked for it: all units again would take longer than all else.
        assert!(!journal.contains("Reloading."), "{journal}");
        let stages = status["stages"].as_array().unwrap().iter();
        println!(
            "{}",
            stages.map(|s| format!("{} {} ms", s["name"], s["ms"])).collect::<Vec<_>>().join(", ")
        );
        own.push(parts);
        least.push(way_to_kubeadm(&format!("own-time-shell-{round}"), LEAST.as_bytes(), Some(unit)).0);
    }
    let median = |of: &[[i64; 4]], part: &dyn Fn(&[i64; 4]) -> i64| {
        let mut all: Vec<i64> = of.iter().map(part).collect();
        all.sort();
        all[all.len() / 2]
    };
    println!("{:>12} {:>12}  ms, median of {}", "footplate", "a shell", own.len());
    let parts = [
        "systemd starts footplate.service",
        "footplate provisions, until it has kubeadm.service started",
        "systemd starts containerd.service and kubeadm.service, with kubeadm-prepare",
        "the bootstrap's script looks at the machine and starts kubeadm",
    ];
    for (at, what) in parts.into_iter().enumerate() {
        let ms = [&own, &least].map(|of| median(of, &|parts| parts[at]) as f64 / 1e3);
        println!("{:>12.1} {:>12.1}  {what}", ms[0], ms[1]);
    }
    let [all, without] = [&own, &least].map(|of| median(of, &|parts| parts.iter().sum()));
    println!("{:>12.1} {:>12.1}  together", all as f64 / 1e3, without as f64 / 1e3);
    assert!(released.is_none() || all - without <= OWN, "it adds {} microseconds", all - without);
}
