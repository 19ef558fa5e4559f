// SPDX-License-Identifier: Apache-2.0
//! A node in a container: a real systemd and a real bus, footplate with its units, and a kubeadm that is a shell program. Debian's packages
//! for it are unpacked once, below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::needs::program;
use super::scratch::{CANARY, FOOTPLATE, Ran, Scratch, fresh};

/// The release of Debian whose systemd boots: bookworm has 252, trixie 257 (`tests/run --long` boots both).
pub static SUITE: LazyLock<String> =
    LazyLock::new(|| std::env::var("NSPAWN_SUITE").unwrap_or_else(|_| "bookworm".to_owned()));

/// A tree of Debian's packages. Its name changes with what is in it.
pub static BASE: LazyLock<PathBuf> = LazyLock::new(|| {
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
pub const CHECK: &str = r#"#!/bin/bash
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

pub const META_DATA: &str =
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
        let units = ["footplate.service", "footplate-network.service", "footplate-reader.socket"];
        node.systemctl(&[&["enable"], units.as_slice()].concat());
        node
    }

    /// A node with such a seed, without footplate, which will be at this path.
    pub fn bare(name: &str, runcmd: &str, footplate: &str) -> Self {
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

    pub fn start(&self) -> Child {
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

    pub fn console(&self) -> String {
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
        // With a reader that comes, and is broken by no test.
        if !self.root.path("/etc/systemd/system/footplate-reader@.service.d").exists() {
            let journal = self.out("journal");
            assert!(!journal.contains("the data is read in this process"), "{journal}");
        }
    }

    /// Boots, and takes the power away once a file is there.
    #[track_caller]
    pub fn cut_off_at(&self, file: &str) {
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
    pub fn power_off(&self) {
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
