// SPDX-License-Identifier: Apache-2.0
//! The binary alone: nothing of the machine is loaded into it, so it runs where nothing else is, and where what is there
//! is hostile. A static glibc program that asks for a user's or a host's name loads the node's NSS modules, which are of
//! another glibc, and crashes.
//!
//! `FOOTPLATE_ARM64` names the program for arm64 where `tests/emulate` runs these tests: then that one is tested.

use crate::common::scratch;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use scratch::{FOOTPLATE, Ran, Scratch, fresh};

/// Bootstrap data that has names looked up: of users, of groups, of hosts.
const DATA: &str = "## template: jinja
#cloud-config
write_files:
  - path: /etc/a
    owner: someone:nogroup
    content: \"{{ ds.meta_data.hostname }}\"
ntp:
  servers: [ntp.example.invalid]
users:
  - name: someone
    groups: nogroup
runcmd:
  - kubeadm join cluster.example.invalid:6443
";

/// Ends whoever loads it, and says so.
const TRAP: &str = r#"
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void spring(void) {
    if (write(2, "the trap sprang\n", 16)) abort();
    abort();
}
"#;

/// Asks for a user, as a careless program does.
const CARELESS: &str = "#include <pwd.h>\nint main(void) { return getpwnam(\"someone\") == 0; }\n";

/// The program that is tested, and what is compiled and loaded beside it.
struct Target {
    program: PathBuf,
    gcc: &'static str,
    /// Where its C library is looked for, and where that is on this machine.
    libraries: &'static str,
    from: &'static str,
    loader: &'static str,
}

fn target() -> Target {
    match std::env::var_os("FOOTPLATE_ARM64") {
        None => Target {
            program: FOOTPLATE.into(),
            gcc: "gcc",
            libraries: "/lib/x86_64-linux-gnu",
            from: "/lib/x86_64-linux-gnu",
            loader: "ld-linux-x86-64.so.2",
        },
        Some(program) => Target {
            program: program.into(),
            gcc: "aarch64-linux-gnu-gcc",
            libraries: "/lib/aarch64-linux-gnu",
            from: "/usr/aarch64-linux-gnu/lib",
            loader: "ld-linux-aarch64.so.1",
        },
    }
}

#[test]
fn it_is_position_independent_and_wants_no_interpreter() {
    needs!(program("readelf", "binutils"));
    let read = |what: &str| {
        let ran = Ran::of(Command::new("readelf").args(["--wide", what]).arg(target().program));
        ran.ended(0, &[]);
        ran.out
    };
    let (header, segments, dynamic) = (read("--file-header"), read("--program-headers"), read("--dynamic"));
    assert!(header.lines().any(|l| l.contains("Type:") && l.contains(" DYN ")), "{header}");
    assert!(segments.contains(" LOAD ") && !segments.contains("INTERP"), "{segments}");
    assert!(dynamic.contains("Flags: NOW PIE") && !dynamic.contains("(NEEDED)"), "{dynamic}");
    // Nothing that is written is executed, and what is relocated can't be written afterwards.
    assert!(segments.contains("GNU_RELRO") && !segments.contains(" RWE "), "{segments}");
}

/// A root with the binary, a seed and a directory for the node, and nothing else.
fn bare(name: &str) -> Scratch {
    let root = Scratch::new(name);
    root.put_program("/footplate", fs::read(target().program).unwrap());
    root.put("/seed/user-data", DATA)
        .put("/seed/meta-data", "instance-id: i-1\nlocal-hostname: n1.example.invalid\n");
    // The node's own accounts: what it is asked for stands there.
    root.put("/node/etc/group", "nogroup:x:65534:\n");
    root
}

/// Runs a program that has that directory for its root.
fn chroot(root: &Scratch, before: &[&str], command: &[&str], input: &str) -> Ran {
    let mut words = before.to_vec();
    words.extend(["chroot", root.arg()]);
    words.extend(command);
    let mut child = Command::new("timeout");
    child.args(["--signal=KILL", "60"]).args(words);
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// The whole work in that root.
#[track_caller]
fn works(root: &Scratch, before: &[&str]) {
    let help = chroot(root, before, &["/footplate", "--help"], "");
    help.ended(0, &[]);
    assert!(help.out.contains("Usage: footplate [OPTIONS] <COMMAND>"), "{}", help.out);
    let check = chroot(root, before, &["/footplate", "check", "-"], DATA);
    check.ended(0, &[]);
    let bad = chroot(root, before, &["/footplate", "check", "-"], "#cloud-config\na: [\n");
    assert_eq!(bad.code, 65, "{}{}", bad.out, bad.err);
    let provision = ["/footplate", "provision", "--seed", "/seed", "--root", "/node"];
    chroot(root, before, &provision, "").ended(0, &["apply: changed="]);
    assert_eq!(root.text("/node/etc/a"), "n1.example.invalid");
    assert_eq!(root.owned("/node/etc/a"), (0o644, 1000, 65534));
    assert_eq!(root.text("/node/etc/hostname"), "n1\n");
    chroot(root, before, &provision, "").ended(0, &["nothing changed"]);
    // Without /proc and /sys nothing says which platform this is: an error, and no crash.
    chroot(root, before, &["/footplate", "provision", "--root", "/node"], "").ended(69, &["error: detect: "]);
}

#[test]
fn it_works_in_an_empty_root() {
    needs!(root("chroot"));
    works(&bare("empty"), &[]);
}

/// Compiles a C program.
#[track_caller]
fn compile(name: &str, source: &str, options: &[&str]) -> PathBuf {
    let (dir, output) = (fresh(&format!("c-{name}")), fresh(&format!("out-{name}")).join(name));
    fs::write(dir.join("it.c"), source).unwrap();
    Ran::of(Command::new(target().gcc).args(options).arg("-o").arg(&output).arg(dir.join("it.c")))
        .ended(0, &[]);
    output
}

#[test]
fn it_asks_no_name_service_switch() {
    needs!(root("chroot"));
    needs!(program("strace", "strace"));
    needs!(program("gcc", "gcc"));
    let root = bare("hostile");
    let services = ["passwd", "group", "shadow", "hosts", "initgroups", "networks", "services"];
    let conf: String = services.iter().map(|s| format!("{s}: trap files dns\n")).collect();
    root.put("/etc/nsswitch.conf", conf).put("/etc/passwd", "someone:x:4242:4242::/:/bin/false\n");
    let trap = fs::read(compile("trap", TRAP, &["-shared", "-fPIC"])).unwrap();
    // Beside the traps the machine's own C library, which they need to be loaded.
    let Target { libraries, from, loader, .. } = target();
    for name in ["trap", "files", "dns", "compat", "systemd"] {
        root.put(&format!("{libraries}/libnss_{name}.so.2"), &trap);
    }
    for library in ["libc.so.6", loader] {
        root.put(&format!("{libraries}/{library}"), fs::read(format!("{from}/{library}")).unwrap());
    }

    // A careless static program is caught: the trap is a good one.
    root.put_program("/careless", fs::read(compile("careless", CARELESS, &["-static", "-w"])).unwrap());
    let careless = chroot(&root, &[], &["/careless"], "");
    assert!(
        careless.code != 0 && careless.err.contains("the trap sprang"),
        "{} {}",
        careless.code,
        careless.err
    );

    works(&root, &[]);

    // And it does not even look.
    fs::remove_dir_all(root.path("/node")).unwrap();
    root.put("/node/etc/group", "nogroup:x:65534:\n");
    let log = fresh("strace").join("log");
    works(&root, &["strace", "-f", "-A", "-o", log.to_str().unwrap(), "-e", "trace=file"]);
    let traced = fs::read_to_string(&log).unwrap();
    // chroot itself is a program of the machine.
    let runs = traced.split("execve(\"/footplate\"").skip(1).map(|run| run.split("execve(").next().unwrap());
    assert_eq!(runs.clone().count(), 6, "{traced}");
    let opened: String = runs.collect();
    assert!(opened.contains("/seed/user-data"), "{opened}");
    for word in ["nsswitch", "libnss", "resolv.conf", "/etc/hosts", "ld.so", "gconv", "locale"] {
        assert!(!opened.contains(word), "it looks at {word}:\n{opened}");
    }
}

/// As `cargo auditable` has them, so that `cargo audit bin` and scanners of images know what is in a program that is released.
#[test]
fn a_released_program_names_its_crates() {
    needs!(program("objcopy", "binutils"));
    needs!(program("python3", "python3"));
    let dir = fresh("crates");
    let (program, section) = (dir.join("footplate"), dir.join("section"));
    fs::copy(FOOTPLATE, &program).unwrap();
    // A second time it replaces the first one.
    for _ in 0..2 {
        Ran::of(Command::new("dist/sbom").arg("--within").arg(&program).arg("x86_64")).ended(0, &[]);
    }
    let dump = format!("--dump-section=.dep-v0={}", section.display());
    Ran::of(Command::new("objcopy").arg(dump).arg(&program).arg("/dev/null")).ended(0, &[]);
    let named: serde_json::Value =
        serde_json::from_reader(flate2::read::ZlibDecoder::new(fs::File::open(&section).unwrap())).unwrap();
    let packages = named["packages"].as_array().unwrap();
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    for package in packages {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap());
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{package}");
        let needs = package["dependencies"].as_array().into_iter().flatten();
        assert!(needs.map(|at| at.as_u64().unwrap()).all(|at| at < packages.len() as u64), "{package}");
    }
    let of = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();
    assert_eq!(of("footplate")["root"], true);
    assert_eq!(
        (&of("minijinja")["kind"], &of("serde_derive")["kind"]),
        (&serde_json::Value::Null, &"build".into())
    );
    assert!(packages.len() < lock.matches("[[package]]").count());
    // Nothing of these is in a program: zbus has them beside its macros.
    let makes_code = ["proc-macro2", "quote", "syn", "unicode-ident"];
    let linked = packages.iter().filter(|package| {
        let theirs = package["source"] == "crates.io" && package["kind"].is_null();
        theirs && !makes_code.contains(&package["name"].as_str().unwrap())
    });
    assert!(linked.count() <= 110, "each crate is one more whose authors are trusted");
    Ran::of(Command::new(&program).arg("--version")).ended(0, &[]);
}
