// SPDX-License-Identifier: Apache-2.0
//! What systemd and the shell are given: units that `systemd-analyze verify` has nothing to say of, and scripts that
//! keep kubeadm's own exit status whatever stands around it, under each shell that `/bin/sh` may be.

use crate::common::sandbox::Sandbox;
use crate::common::scratch;

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use scratch::{FOOTPLATE, Ran, Scratch, provision, put_program, seed};

/// Debian's `/bin/sh`, and Flatcar's, which is bash by that name.
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["bash", "--posix"]];

/// A root whose bootstrap data has these commands.
#[track_caller]
fn provisioned(name: &str, data: &str) -> Scratch {
    let root = Scratch::new(name);
    provision(&seed(name, format!("#cloud-config\n{data}")), &root).ended(0, &[]);
    root
}

fn executable(path: &Path, text: &str) {
    put_program(path, text);
}

// Units

/// The root's units and the image's, among those of a real systemd.
#[test]
fn verify_has_nothing_to_say_of_the_units() {
    needs!(program("systemd-analyze", "systemd"));
    let root = provisioned("verify", "bootcmd:\n  - sysctl -w vm.swappiness=0\nruncmd:\n  - kubeadm join\n");
    let scripts = "#cloud-config-archive\n- \"#cloud-boothook\\ndate\\n\"\n\
                   - {type: text/x-shellscript-per-boot, content: \"#!/bin/sh\\n\"}\n- {content: \"#cloud-config\\nbootcmd: [date]\\nruncmd: [date]\\n\"}\n";
    let scripts_root = Scratch::new("verify-scripts");
    provision(&seed("verify-scripts", scripts), &scripts_root).ended(0, &[]);
    let meta = "instance-id: 'blank %n \"quote\" back\\slash $dollar'\nlocal-hostname: n1\n";
    let odd = seed("verify-odd", "#cloud-config\nbootcmd: [date]\nruncmd: [kubeadm join]\n");
    fs::write(odd.join("meta-data"), meta).unwrap();
    let odd_root = Scratch::new("verify-odd");
    provision(&odd, &odd_root).ended(0, &[]);
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
    for root in [root, odd_root, scripts_root] {
        for dir in ["/usr/lib/systemd", "/opt/bin", "/bin"] {
            fs::create_dir_all(root.path(dir)).unwrap();
        }
        let copy = |from: &Path, to: &str| {
            Ran::of(Command::new("cp").arg("-a").arg(from).arg(root.path(to))).ended(0, &[]);
        };
        copy(Path::new("/usr/lib/systemd/system"), "/usr/lib/systemd/system");
        copy(Path::new(FOOTPLATE), "/opt/bin/footplate");
        copy(&fs::canonicalize("/bin/sh").unwrap(), "/bin/sh");
        copy(&units.join("."), "/etc/systemd/system/");
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--root", root.arg()]);
        verify.args(["footplate.service", "footplate-network.service", "kubeadm.service", "usr-local.mount"]);
        verify.args(["footplate-reader.socket", "footplate-reader@0.service"]);
        let made = ["footplate-bootcmd.service", "footplate-boothooks.service", "footplate-per-boot.service"];
        verify.args(made.iter().filter(|u| root.path(&format!("/etc/systemd/system/{u}")).exists()));
        let ran = Ran::of(&mut verify);
        ran.ended(0, &[]);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    }
}

// The script

/// Stands where kubeadm stands: tells its words, and ends with the number that the file `end` has in its next line.
const KUBEADM: &str = r#"#!/bin/sh
printf 'kubeadm'
printf ' [%s]' "$@"
echo
code=$(head -n1 /run/end)
sed -i 1d /run/end
exit "$code"
"#;

const JOIN: &str = "kubeadm join --config /run/kubeadm/join.yaml && echo success > /run/cluster-api/bootstrap-success.complete";

/// Runs a program in a mount namespace in which the root's `/run` and `/var` are the machine's, with nothing but this
/// in its environment.
fn inside(root: &Scratch, environment: &[&str], command: &[&str]) -> Ran {
    // A machine with cloud-init has its own helper, which Flatcar has not.
    let script = "set -e; mount --bind \"$1/run\" /run; mount --bind \"$1/var\" /var; cd /; shift
        [ ! -e /usr/bin/cloud-init-per ] || mount --bind /dev/null /usr/bin/cloud-init-per
        exec env -i \"$@\"";
    let path = format!(
        "PATH=/run/footplate/bin:{}:/usr/sbin:/usr/bin:/sbin:/bin:/var/lib/footplate/bin",
        root.path("/opt/bin").display()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script, "sh", root.arg(), &path]).args(environment).args(command);
    Ran::of(Command::new("timeout").arg("60").arg(unshare.get_program()).args(unshare.get_args()))
}

/// A bootstrap script and what is left of it.
struct Case {
    name: &'static str,
    /// The commands of runcmd.
    commands: &'static [&'static str],
    /// How kubeadm ends, call for call.
    ends: &'static [u8],
    /// What it leaves of kubeadm's exit status.
    status: Option<&'static str>,
    /// The script's own exit status.
    code: i32,
    sentinel: bool,
    /// A line that it prints.
    prints: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "success",
        commands: &[JOIN],
        ends: &[0],
        status: Some("0"),
        code: 0,
        sentinel: true,
        prints: "kubeadm [join] [--config] [/run/kubeadm/join.yaml]",
    },
    Case {
        name: "failure",
        commands: &[JOIN],
        ends: &[3],
        status: Some("3"),
        code: 3,
        sentinel: false,
        prints: "kubeadm [join] [--config] [/run/kubeadm/join.yaml]",
    },
    Case {
        name: "a later command hides it",
        commands: &[JOIN, "echo after"],
        ends: &[3],
        status: Some("3"),
        code: 0,
        sentinel: false,
        prints: "after",
    },
    Case {
        name: "a later command fails",
        commands: &[JOIN, "false"],
        ends: &[0],
        status: Some("0"),
        code: 1,
        sentinel: true,
        prints: "",
    },
    Case {
        name: "set -e, success",
        commands: &["set -e", JOIN, "echo after"],
        ends: &[0],
        status: Some("0"),
        code: 0,
        sentinel: true,
        prints: "after",
    },
    // An `&&` list shields its members from `set -e`.
    Case {
        name: "set -e, failure in a list",
        commands: &["set -e", JOIN, "echo after"],
        ends: &[3],
        status: Some("3"),
        code: 0,
        sentinel: false,
        prints: "after",
    },
    Case {
        name: "set -e, failure",
        commands: &["set -eu", "kubeadm init", "echo after > /run/after"],
        ends: &[3],
        status: Some("3"),
        code: 3,
        sentinel: false,
        prints: "kubeadm [init] [--skip-token-print] [--skip-certificate-key-print]",
    },
    Case {
        name: "retries that succeed",
        commands: &["for i in 1 2 3; do kubeadm join && break; done"],
        ends: &[1, 1, 0],
        status: Some("0"),
        code: 0,
        sentinel: false,
        prints: "kubeadm [join]",
    },
    Case {
        name: "retries in vain",
        commands: &["for i in 1 2; do kubeadm join && break; done"],
        ends: &[1, 2],
        status: Some("2"),
        code: 2,
        sentinel: false,
        prints: "",
    },
    Case {
        name: "asked in a condition",
        commands: &["if ! kubeadm join; then echo it failed; fi"],
        ends: &[3],
        status: Some("3"),
        code: 0,
        sentinel: false,
        prints: "it failed",
    },
    Case {
        name: "its status is passed on",
        commands: &["kubeadm join || echo \"it was $?\""],
        ends: &[3],
        status: Some("3"),
        code: 0,
        sentinel: false,
        prints: "it was 3",
    },
    Case {
        name: "an exit",
        commands: &["kubeadm join || exit 7", "echo after"],
        ends: &[3],
        status: Some("3"),
        code: 7,
        sentinel: false,
        prints: "",
    },
    Case {
        name: "in a pipe",
        commands: &["kubeadm join 2>&1 | sed 's/^/piped /'"],
        ends: &[3],
        status: Some("3"),
        code: 0,
        sentinel: false,
        prints: "piped kubeadm [join]",
    },
    Case {
        name: "flags before the verb",
        commands: &["kubeadm -v 5 join"],
        ends: &[3],
        status: Some("3"),
        code: 3,
        sentinel: false,
        prints: "kubeadm [-v] [5] [join]",
    },
    Case {
        name: "words stay words",
        commands: &["kubeadm join --node-name 'a  b' '' \"$HOME*\""],
        ends: &[0],
        status: Some("0"),
        code: 0,
        sentinel: false,
        prints: "kubeadm [join] [--node-name] [a  b] [] [/root*]",
    },
    Case {
        name: "phases before and after a good init",
        commands: &[
            "kubeadm init phase certs ca",
            "kubeadm init --config /x",
            "kubeadm init phase addon all || true",
        ],
        ends: &[0, 0, 1],
        status: Some("0"),
        code: 0,
        sentinel: false,
        prints: "",
    },
    Case {
        name: "a good phase after a failed join",
        commands: &["kubeadm join --config /x || true", "kubeadm join phase kubelet-start"],
        ends: &[1, 0],
        status: Some("1"),
        code: 0,
        sentinel: false,
        prints: "",
    },
    Case {
        name: "version is no bootstrap",
        commands: &["kubeadm version -o short", "kubeadm config images pull"],
        ends: &[0, 4],
        status: None,
        code: 4,
        sentinel: false,
        prints: "kubeadm [version] [-o] [short]",
    },
    Case {
        name: "version before it",
        commands: &["kubeadm version", JOIN, "kubeadm token list"],
        ends: &[1, 0, 5],
        status: Some("0"),
        code: 5,
        sentinel: true,
        prints: "",
    },
    Case {
        name: "no bootstrap at all",
        commands: &["echo only this"],
        ends: &[],
        status: None,
        code: 0,
        sentinel: false,
        prints: "only this",
    },
];

#[test]
fn the_script_keeps_kubeadms_own_exit_status() {
    needs!(root("mounts and owners"));
    for case in CASES {
        for shell in SHELLS {
            let at = format!("{} under {shell:?}", case.name);
            let commands: String =
                case.commands.iter().map(|c| format!("  - {}\n", serde_json::Value::from(*c))).collect();
            let root = provisioned("script", &format!("runcmd:\n{commands}"));
            executable(&root.path("/opt/bin/kubeadm"), KUBEADM);
            root.put("/run/end", case.ends.iter().map(|e| format!("{e}\n")).collect::<String>());
            fs::create_dir(root.path("/run/cluster-api")).unwrap();
            let ran = inside(&root, &["HOME=/root"], &[shell, &["/run/footplate/bootstrap"]].concat());
            assert_eq!(ran.code, case.code, "{at}: {}{}", ran.out, ran.err);
            let status = fs::read_to_string(root.path("/run/footplate/kubeadm.status")).ok();
            assert_eq!(status.as_deref().map(str::trim_end), case.status, "{at}");
            let sentinel = root.path("/run/cluster-api/bootstrap-success.complete").exists();
            assert_eq!(sentinel, case.sentinel, "{at}");
            assert!(case.prints.is_empty() || ran.out.lines().any(|l| l == case.prints), "{at}: {}", ran.out);
            assert_eq!(root.text("/run/end"), "", "{at}: kubeadm was not called as often as expected");
            assert!(!root.path("/run/after").exists(), "{at}");
            assert!(
                !ran.out.contains("footplate_status") && !ran.out.contains("function"),
                "{at}: {}",
                ran.out
            );
        }
    }
}

/// Runs a call of the kubeadm that is at this path, which ends with 3, by the bootstrap's script: once, and its status is kept or not.
#[track_caller]
fn called(kubeadm: &str, call: &str, shell: &[&str], kept: bool) -> Scratch {
    ran(kubeadm, &format!("runcmd:\n  - {}\n", serde_json::Value::from(call)), shell, kept)
}

/// The same for data whose commands call it.
#[track_caller]
fn ran(kubeadm: &str, call: &str, shell: &[&str], kept: bool) -> Scratch {
    // The tests that call this run beside each other.
    let root = provisioned(&format!("{}-{:?}", kubeadm.replace('/', "-"), std::thread::current().id()), call);
    executable(&root.path(kubeadm), KUBEADM);
    executable(&root.path("/run/own/kubeadm"), KUBEADM);
    root.put("/run/end", "3\n");
    let ran = inside(&root, &["HOME=/root"], &[shell, &["/run/footplate/bootstrap"]].concat());
    let status = fs::read_to_string(root.path("/run/footplate/kubeadm.status")).ok();
    assert_eq!(status.as_deref(), kept.then_some("3\n"), "{call} under {shell:?}: {}{}", ran.out, ran.err);
    assert_eq!(root.text("/run/end"), "", "{call} under {shell:?}: kubeadm ran twice, or not");
    root
}

/// kubeadm's own status is known whichever way the commands come to it, also by programs that do not know the script's function.
#[test]
fn kubeadms_status_is_kept_however_it_is_called() {
    needs!(root("mounts and owners"));
    for call in [
        "sh -c 'kubeadm join'",
        "bash -euc 'kubeadm join | cat'",
        "timeout --foreground 60 kubeadm join",
        "nohup kubeadm join",
        "env A=b kubeadm join",
        "env -i PATH=\"$PATH\" kubeadm join",
        "nice -n 5 timeout 60 nohup kubeadm join",
        "command kubeadm join",
        "exec kubeadm join",
        "( kubeadm join )",
        "kubeadm join & wait $!",
        "join() { kubeadm join; }; join || true",
        "echo join | xargs kubeadm",
        "until kubeadm join; do break; done",
        "case a in a) kubeadm join ;; esac",
        "x=$(kubeadm join)",
        "\\kubeadm join",
        "K=$(command -v kubeadm); \"$K\" join",
        "sh <<'END'\nset -e\nkubeadm join\nEND",
        "if true; then\n  kubeadm join\nfi",
        "printf '#!/bin/sh\\nkubeadm join\\n' > /run/join; sh /run/join",
        "true || kubeadm init; kubeadm join",
    ] {
        for shell in SHELLS {
            called("/opt/bin/kubeadm", call, shell, true);
        }
    }
}

/// A call by kubeadm's path counts as one by its name does, also where its output goes elsewhere, in the shell that Flatcar has. Another
/// shell takes no path as a function's name: there kubeadm runs, and what it prints tells.
#[test]
fn kubeadms_status_is_kept_when_it_is_called_by_its_path() {
    needs!(root("mounts and owners"));
    for (call, recorded) in [
        ("/run/own/kubeadm init --config /x > /run/log 2>&1", true),
        ("if ! '/run/own/kubeadm' -v 5 join >> /run/log; then echo no; fi", true),
        ("(/run/own/kubeadm join) | cat > /run/log || true", true),
        (
            "set -eu; /run/own/kubeadm join 192.0.2.1:6443 \\\n  --token abcdef.0123456789abcdef > /run/log",
            true,
        ),
        ("/run/own/kubeadm init phase certs ca > /run/log", false),
    ] {
        for shell in SHELLS {
            let root = called("/run/own/kubeadm", call, shell, recorded && shell[0] == "bash");
            assert!(root.text("/run/log").contains("kubeadm ["), "{call} under {shell:?}");
        }
    }
}

/// `check` notes the calls that footplate does not see in Flatcar's shell, and no others.
#[test]
fn a_call_that_passes_by_footplate_is_noted() {
    needs!(root("mounts and owners"));
    let line = |call: &str| format!("runcmd:\n  - {}\n", serde_json::Value::from(call));
    let program = |text: &str| {
        let text = serde_json::Value::from(format!("#!/bin/bash\n{text}\n"));
        format!(
            "write_files:\n- {{path: /var/own/join, permissions: '0755', content: {text}}}\nruncmd: [/var/own/join]\n"
        )
    };
    for (data, seen) in [
        (line("cd /run/own && ./kubeadm join"), true),
        (line("cd /run; own/kubeadm join > /run/log"), true),
        (line("cd /run/own; nohup ./kubeadm join"), false),
        (line("DIR=/run/own; \"$DIR/kubeadm\" join"), false),
        (line("PATH=/usr/bin:/bin:/run/own; kubeadm join"), true),
        (line("PATH=/usr/bin:/bin:/run/own; timeout 60 kubeadm join"), false),
        (line("env -i A=b PATH=\"$PATH\" kubeadm join"), true),
        (line("env -i PATH=/usr/bin:/bin:/run/own kubeadm join"), false),
        (line("env PATH=/run/own:$PATH kubeadm join"), false),
        (line("env PATH=$PATH:/run/own kubeadm join"), true),
        (program("kubeadm join"), true),
        (program("PATH=$PATH:/run/own kubeadm join"), true),
        (program("export PATH=\"${PATH}:/run/own\"\nkubeadm join"), true),
        (program("export PATH=/run/own:$PATH\nkubeadm join"), false),
        (program("PATH=/usr/bin:/bin:/run/own kubeadm join"), false),
        (program("cd /run/own\n./kubeadm join"), false),
    ] {
        ran("/opt/bin/kubeadm", &data, &["bash", "--posix"], seen);
        let file = seed("passes-by", format!("#cloud-config\n{data}")).join("user-data");
        let ran = scratch::footplate(&["check", "--format", "json", file.to_str().unwrap()]);
        assert_eq!(ran.out.contains("\"kubeadm/by-path\""), !seen, "{data}\n{}", ran.out);
    }
}

/// Calls of kubeadm that bootstrap a node, and calls that do not: the script's function and what the report goes by agree.
#[test]
fn only_init_and_join_themselves_leave_their_status() {
    needs!(root("mounts and owners"));
    for (call, bootstraps) in [
        ("kubeadm init --config /x", true),
        ("kubeadm --v 5 join --config /x --control-plane", true),
        ("kubeadm join 192.0.2.1:6443 --token phase", true),
        ("kubeadm init --dry-run=false --upload-certs", true),
        ("kubeadm init phase preflight", false),
        ("kubeadm init --upload-certs phase upload-certs", false),
        ("kubeadm join --config /x phase control-plane-prepare all", false),
        ("kubeadm init --dry-run", false),
        ("kubeadm -h init", false),
        ("kubeadm config images list --config /init", false),
        ("kubeadm token create --print-join-command", false),
    ] {
        assert_eq!(footplate::facade::plan::kubeadm::bootstraps(call), bootstraps, "{call}");
        for shell in SHELLS {
            let root = provisioned("calls", &format!("runcmd:\n  - {call}\n"));
            executable(&root.path("/opt/bin/kubeadm"), KUBEADM);
            root.put("/run/end", "0\n");
            inside(&root, &["HOME=/root"], &[shell, &["/run/footplate/bootstrap"]].concat()).ended(0, &[]);
            let left = root.path("/run/footplate/kubeadm.status").exists();
            assert_eq!(left, bootstraps, "{call} under {shell:?}");
        }
    }
}

#[test]
fn a_kubeadm_that_is_not_there_is_told() {
    needs!(root("mounts and owners"));
    for shell in SHELLS {
        let root = provisioned("no-kubeadm", &format!("runcmd:\n  - {JOIN}\n"));
        let ran = inside(&root, &[], &[shell, &["/run/footplate/bootstrap"]].concat());
        ran.ended(127, &["kubeadm", "not found"]);
        assert_eq!(root.text("/run/footplate/kubeadm.status"), "127\n", "{shell:?}");
    }
}

/// Each word of a command that is a list arrives as one word, whatever it holds.
#[test]
fn commands_that_are_lists_arrive_word_by_word() {
    needs!(root("mounts and owners"));
    let words = r#"["printf", "[%s]", "a b", "it's", "$HOME `id` \\ \" ;&|", "*", "", true, 7]"#;
    for shell in SHELLS {
        let root = provisioned("words", &format!("runcmd:\n  - {words}\n"));
        let ran = inside(&root, &[], &[shell, &["/run/footplate/bootstrap"]].concat());
        ran.ended(0, &[]);
        assert_eq!(ran.out, r#"[a b][it's][$HOME `id` \ " ;&|][*][][True][7]"#);
    }
}

// Swap

/// `size: auto` is what cloud-init 22.4's `suggested_swapsize` says of the same memory and free space, all in mebibytes.
#[test]
fn the_suggested_swap_is_cloud_inits() {
    needs!(root("mounts"));
    for (memory, free, max, want) in [
        (1024, 102_400, None, 1024),
        (3072, 8192, None, 2048),
        (4096, 102_400, None, 4096),
        (15_360, 102_400, None, 4096),
        (16_384, 102_400, None, 4096),
        (21_504, 102_400, None, 5120),
        (65_536, 1_024_000, None, 8192),
        (512_000, 1_024_000, None, 22_528),
        (8192, 2048, None, 512),
        (8192, 102_400, Some(1024), 1024),
        (8192, 2048, Some(8192), 1843),
        (2048, 3072, Some(2048), 2048),
        (30_720, 20_480, Some(5120), 5120),
    ] {
        let max = max.map_or(String::new(), |max: u32| format!(", maxsize: {max}M"));
        let root = provisioned("swap-auto", &format!("swap: {{filename: /a%b, size: auto{max}}}\n"));
        let unit = root.text("/etc/systemd/system/footplate-swapfile.service");
        let command = unit.lines().find_map(|l| l.strip_prefix("ExecStart=/bin/sh ")).unwrap();
        let command = command.replace("$$", "$").replace("%%", "%");
        root.put("/var/.keep", "");
        root.put("/run/meminfo", format!("MemTotal: {} kB\nMemFree: 1 kB\n", memory << 10));
        executable(&root.path("/opt/bin/stat"), &format!("#!/bin/sh\necho {}*4096\n", free << 8));
        executable(&root.path("/opt/bin/fallocate"), "#!/bin/sh\necho \"$@\"\n");
        for shell in SHELLS {
            let script =
                format!("mount --bind /run/meminfo /proc/meminfo; exec {} {command}", shell.join(" "));
            let ran = inside(&root, &[], &["sh", "-c", &script]);
            assert_eq!(
                ran.out,
                format!("--length={want}MiB /a%b.new\n"),
                "{memory} {free} {max}: {}",
                ran.err
            );
        }
    }
}

// cloud-init's helper

#[test]
fn cloud_init_per_runs_once_per_instance_or_always() {
    needs!(root("mounts and owners"));
    for shell in SHELLS {
        let root = provisioned("per", "bootcmd:\n  - cloud-init-per once name date\n");
        let per = |id: &str, words: &[&str]| {
            let helper: &[&str] = &["/var/lib/footplate/bin/cloud-init-per"];
            inside(&root, &[&format!("INSTANCE_ID={id}")], &[shell, helper, words].concat())
        };
        let says = |id: &str, words: &[&str], what: &str| {
            let ran = per(id, words);
            ran.ended(0, &[]);
            assert_eq!(ran.out, what, "{shell:?} {id} {words:?}");
        };
        says("i-1", &["once", "a", "echo", "two  blanks"], "two  blanks\n");
        says("i-1", &["once", "a", "echo", "again"], "");
        says("i-2", &["once", "a", "echo", "again"], "");
        says("i-1", &["once", "b", "echo", "another name"], "another name\n");
        says("i-1", &["instance", "a", "echo", "first"], "first\n");
        says("i-1", &["instance", "a", "echo", "second"], "");
        says("i-2", &["instance", "a", "echo", "new instance"], "new instance\n");
        for _ in 0..2 {
            says("i-1", &["always", "a", "echo", "always"], "always\n");
        }
        // What failed is tried again.
        per("i-1", &["once", "c", "sh", "-c", "exit 5"]).ended(5, &[]);
        says("i-1", &["once", "c", "echo", "now"], "now\n");
        per("i-1", &["sometimes", "a", "date"])
            .ended(64, &["usage: cloud-init-per once|instance|always NAME COMMAND..."]);
    }
}

#[test]
fn bootcmd_finds_its_helper_and_keeps_its_state() {
    needs!(root("mounts and owners"));
    for shell in SHELLS {
        let root = provisioned(
            "bootcmd",
            "bootcmd:\n  - cd /run\n  - cloud-init-per instance x touch made\n  - [echo, done]\n",
        );
        let ran = inside(&root, &["INSTANCE_ID=i-1"], &[shell, &["/var/lib/footplate/bootcmd"]].concat());
        ran.ended(0, &[]);
        assert_eq!(ran.out, "done\n");
        assert!(
            root.path("/run/made").exists() && root.path("/var/lib/footplate/per/instance-i-1/x").exists()
        );
    }
}

// The journal and the console

/// Whoever reads a serial console sees each stage and each warning; what is made one by one is in the journal alone.
#[test]
fn what_is_made_one_by_one_is_not_told_on_the_console() {
    needs!(root("namespaces"));
    let data = "#cloud-config\nsurprise: 1\nwrite_files: [{path: /etc/a, content: b}]\nruncmd: [id]\n";
    let (seed, root) = (seed("console", data), Scratch::new("console"));
    let arguments = ["provision", "--seed", seed.to_str().unwrap(), "--root", root.arg()].map(str::to_owned);
    let said = thread::spawn(move || {
        let sandbox = Sandbox::enter("console-machine", &[]);
        sandbox.empty("/run");
        fs::create_dir_all("/run/systemd/journal").unwrap();
        let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
        journal.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let console = sandbox.dir().join("console");
        assert!(Command::new("mkfifo").arg(&console).status().unwrap().success());
        mount(Some(&console), "/dev/console", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let options = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).clone();
        let mut console = options.open(&console).unwrap();
        let log = fs::File::create(sandbox.dir().join("log")).unwrap();
        let meta = log.metadata().unwrap();
        let stream = format!("{}:{}", meta.dev(), meta.ino());
        let mut run = Command::new(FOOTPLATE);
        let mut run = run.args(arguments).env("JOURNAL_STREAM", stream).stderr(log).spawn().unwrap();
        let (mut entries, mut entry) = (String::new(), [0; 8192]);
        let mut ended = false;
        while !ended {
            ended = run.try_wait().unwrap().is_some();
            while let Ok(length) = journal.recv(&mut entry) {
                entries += &String::from_utf8_lossy(&entry[..length]);
            }
        }
        assert!(run.wait().unwrap().success());
        let mut told = [0; 65536];
        let length = console.read(&mut told).unwrap();
        (entries, String::from_utf8_lossy(&told[..length]).into_owned())
    });
    let (journal, console) = said.join().unwrap();
    for (text, on_console) in [("apply: ", true), ("surprise", true), ("file /etc/a: ", false)] {
        assert!(journal.contains(text), "{text}: {journal}");
        assert_eq!(console.contains(text), on_console, "{text}: {console}");
    }
}
