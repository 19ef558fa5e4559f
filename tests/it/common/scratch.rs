// SPDX-License-Identifier: Apache-2.0
//! A scratch root, the program run on it, and all that stands there as text.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use super::fresh::fresh;

/// The program.
pub const FOOTPLATE: &str = env!("CARGO_BIN_EXE_footplate");

/// Put into data that must not come out anywhere; it has a bootstrap token's form.
pub const CANARY: &str = "c4n4ry.f00tp1atec4n4ry0";

/// What may be written when the data is refused: that it was, and why.
pub const ONLY_STATUS: &[&str] = &[
    "/run",
    "/run/cluster-api",
    "/run/cluster-api/bootstrap-error.log",
    "/run/footplate",
    "/run/footplate/status.json",
];

/// A root directory.
pub struct Scratch {
    /// Where it is.
    pub dir: PathBuf,
}

impl Scratch {
    /// An empty one.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let dir = fresh(name).join("root");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    /// The directory's path as an argument.
    pub fn arg(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    /// Where a path of the root is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    /// Puts a file there, `0644`.
    pub fn put(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        self
    }

    /// Puts a program there, as [`put_program`] does.
    #[track_caller]
    pub fn put_program(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        put_program(&self.path(path), bytes);
        self
    }

    /// A file's text.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// A file's permission bits and owner.
    #[track_caller]
    pub fn owned(&self, path: &str) -> (u32, u32, u32) {
        let meta = fs::symlink_metadata(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    }

    /// The paths of all that stands there.
    pub fn paths(&self) -> Vec<String> {
        walk(&self.dir).into_iter().map(|p| self.inside(&p)).collect()
    }

    fn inside(&self, path: &Path) -> String {
        format!("/{}", path.strip_prefix(&self.dir).unwrap().display())
    }

    /// All that stands there: kind, bits, owner, path, then a link's target or a file's lines.
    pub fn tree(&self) -> String {
        self.listed(|inside, path| {
            let mut bytes = fs::read(path).unwrap();
            if inside == "/run/footplate/status.json" {
                bytes = timeless(&bytes).into_bytes();
            }
            lines(&bytes)
        })
    }

    /// The same without what files hold.
    pub fn outline(&self) -> String {
        self.listed(|_, _| String::new())
    }

    /// All that stands there, each file with what is told of it.
    fn listed(&self, told: impl Fn(&str, &Path) -> String) -> String {
        let mut text = String::new();
        for path in walk(&self.dir).into_iter().filter(|p| !is_list(&self.dir, p)) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let (kind, rest) = if meta.is_dir() {
                ("dir ", String::new())
            } else if meta.is_symlink() {
                ("link", format!(" -> {}", fs::read_link(&path).unwrap().display()))
            } else {
                ("file", String::new())
            };
            let (inside, owner) = (self.inside(&path), format!("{}:{}", meta.uid(), meta.gid()));
            text += &format!("{kind} {:04o} {owner} {inside}{rest}\n", meta.mode() & 0o7777);
            if meta.is_file() {
                text += &told(&inside, &path);
            }
        }
        text
    }

    /// Which file is which and when it was last touched: what a run that changes nothing leaves alone.
    pub fn identities(&self) -> Vec<(String, u64, i64, i64)> {
        let own = |p: &String| p.starts_with("/run/footplate");
        let identity = |path: PathBuf| {
            let meta = fs::symlink_metadata(&path).unwrap();
            (self.inside(&path), meta.ino(), meta.ctime(), meta.ctime_nsec())
        };
        walk(&self.dir).into_iter().map(identity).filter(|(path, ..)| !own(path)).collect()
    }
}

/// Puts a program at a path, `0755`, with the directories on the way. Another process writes it: what this one has open to write is open
/// too in each program that another test starts at that moment, until it executes, and a file that is open to write can't be run.
#[track_caller]
pub fn put_program(path: &Path, bytes: impl AsRef<[u8]>) {
    let script = r#"mkdir -p "${0%/*}"; cat > "$0"; chmod 755 "$0""#;
    let mut writer =
        Command::new("sh").args(["-ec", script]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    writer.stdin.take().unwrap().write_all(bytes.as_ref()).unwrap();
    assert!(writer.wait().unwrap().success(), "{}", path.display());
}

/// Whether a path is the list of what was made, or a directory that holds nothing else. `sealed` tells what is in it;
/// beside all that it lists it would only stand twice.
pub fn is_list(root: &Path, path: &Path) -> bool {
    let list = root.join(footplate::facade::apply::manifest::MANIFEST.trim_start_matches('/'));
    let others = |dir: &Path| fs::read_dir(dir).unwrap().any(|e| !is_list(root, &e.unwrap().path()));
    path == list || (path != root && list.starts_with(path) && path.is_dir() && !others(path))
}

/// Everything below a directory, sorted.
pub fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            paths.extend(walk(&path));
        }
        paths.push(path);
    }
    paths.sort();
    paths
}

/// A file's lines, each marked; what is not UTF-8 is escaped, and a missing line end is told.
fn lines(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return format!("    bytes {}\n", bytes.escape_ascii()) };
    let mut out: String = text.lines().map(|l| format!("    |{l}\n")).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        out += "    (no line end)\n";
    }
    out
}

/// status.json without what differs from run to run: times, and the length of the data's envelope.
fn timeless(json: &[u8]) -> String {
    let mut status: serde_json::Value = serde_json::from_slice(json).unwrap();
    for stage in status["stages"].as_array_mut().into_iter().flatten() {
        let stage = stage.as_object_mut().unwrap();
        assert!(
            stage.remove("started_ms").is_some() && stage.remove("ms").is_some(),
            "no times in {stage:?}"
        );
        let words = stage["summary"].as_str().unwrap().split(' ');
        let length =
            |w: &str| if w.starts_with("user-data=") { "user-data=…".to_owned() } else { w.to_owned() };
        stage["summary"] = words.map(length).collect::<Vec<_>>().join(" ").into();
    }
    format!("{status:#}\n")
}

/// How two texts differ; empty where they don't.
#[track_caller]
pub fn difference(was: &str, is: &str) -> String {
    let dir = fresh(&format!("difference-{:?}", std::thread::current().id()));
    fs::write(dir.join("recorded"), was).unwrap();
    fs::write(dir.join("now"), is).unwrap();
    Ran::of(Command::new("diff").args(["-u", "recorded", "now"]).current_dir(dir)).out
}

/// What a program did.
pub struct Ran {
    /// Its exit status, -1 for a signal.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Runs a command to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}")).into()
    }

    /// It ended with this status and its errors say all of this.
    #[track_caller]
    pub fn ended(&self, code: i32, says: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for text in says {
            assert!(self.err.contains(text), "{text:?} is not in\n{}", self.err);
        }
        self
    }

    /// Its answer as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}\n{}{}", self.out, self.err))
    }
}

/// The program, to be run for five minutes at most: on a loaded machine the compression of an image takes one of them.
pub fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "300", FOOTPLATE]).args(arguments);
    command
}

/// Runs the program.
#[track_caller]
pub fn footplate<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    Ran::of(&mut command(arguments))
}

/// A NoCloud directory with this user-data, beside the test's root.
#[track_caller]
pub fn seed(name: &str, user_data: impl AsRef<[u8]>) -> PathBuf {
    let dir = fresh(&format!("{name}.seed"));
    fs::write(dir.join("user-data"), user_data).unwrap();
    fs::write(dir.join("meta-data"), "instance-id: i-1\nlocal-hostname: node-1\n").unwrap();
    dir
}

/// `provision` of a recorded vSphere machine whose guestinfo has these, in base64.
#[track_caller]
pub fn provision_vsphere(name: &str, metadata: &str, user_data: &str, root: &Scratch) -> Ran {
    let machine = fresh(&format!("{name}.machine"));
    let dir = machine.join("guestinfo");
    fs::create_dir(&dir).unwrap();
    for (key, text) in [("metadata", metadata), ("userdata", user_data)] {
        fs::write(dir.join(format!("guestinfo.{key}")), STANDARD.encode(text)).unwrap();
        fs::write(dir.join(format!("guestinfo.{key}.encoding")), "base64").unwrap();
    }
    let machine = machine.to_str().unwrap();
    footplate(&["provision", "--platform", "vmware", "--replay", machine, "--root", root.arg()])
}

/// `provision --seed SEED --root ROOT`.
#[track_caller]
pub fn provision(seed: &Path, root: &Scratch) -> Ran {
    footplate(&["provision", "--seed", seed.to_str().unwrap(), "--root", root.arg()])
}

/// `plan --seed SEED --root ROOT`.
#[track_caller]
pub fn plan(seed: &Path, root: &Scratch) -> Ran {
    footplate(&["plan", "--seed", seed.to_str().unwrap(), "--root", root.arg()])
}

/// No secret of the data came out: not on the terminal, not in the status, and nothing that would start kubeadm is
/// there.
#[track_caller]
pub fn stopped_without_a_word(ran: &Ran, root: &Scratch) {
    assert!(
        !ran.out.contains(CANARY) && !ran.err.contains(CANARY),
        "the secret is told:\n{}{}",
        ran.out,
        ran.err
    );
    let status = fs::read_to_string(root.path("/run/footplate/status.json")).unwrap_or_default();
    assert!(!status.contains(CANARY), "the secret is in status.json:\n{status}");
    assert!(!root.path("/run/footplate/bootstrap").exists(), "kubeadm's script was written");
}
