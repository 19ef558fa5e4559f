// SPDX-License-Identifier: Apache-2.0
//! What kubeadm's output says of a failed bootstrap. Where a text stands decides, and not that it is there: kubeadm's last error
//! names the phase that failed, the checks of that phase name themselves, and what was waited for stands before an error that only
//! says that time ran out.

mod call;
mod causes;
mod cluster;
mod codes;
mod ends;
mod logs;
mod output;
mod phases;
mod preflight;

use self::causes::{Cause, Says, all};
pub use self::codes::{Code, codes};
pub use self::ends::{ABORTED, RESULTS, aborted};
use self::logs::Of;
use self::output::of_output;
pub use self::phases::{is_error, is_mark, phases, says_success};
use crate::model::problem::Problem;

/// A log that may say more of a cause than kubeadm's output does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// The kubelet's journal of this boot.
    Kubelet,
    /// The newest log of a container of this machine's control plane, by the container's name.
    Container(&'static str),
}

const ETCD: Log = Log::Container("etcd");
const API_SERVER: Log = Log::Container("kube-apiserver");

/// What kubeadm's output says of a failure: code, meaning and what to do. The first is the cause; what else is named comes
/// after it. Empty where the output has none of the known texts. `read` gives the end of a log: where kubeadm names only the part
/// that failed, that part's own log may name the cause.
pub fn classify(output: &str, read: impl Fn(Log) -> String) -> Vec<Problem> {
    let mut found = of_output(output);
    let first = found.first().copied();
    let code = first.map(|cause| cause.code);
    // What the kubelet asks the API server, and what comes of it, is the cause only where kubeadm waited for that.
    let asks = matches!(code, Some("kubelet/no-certificate" | "node/not-registered" | "endpoint/timed-out"));
    let logs: &[Log] = match code {
        Some("control-plane/api-server" | "control-plane/not-up") => &[ETCD, API_SERVER, Log::Kubelet],
        Some("control-plane/controller-manager") => {
            &[Log::Container("kube-controller-manager"), Log::Kubelet]
        }
        Some("control-plane/scheduler") => &[Log::Container("kube-scheduler"), Log::Kubelet],
        // The member that this machine adds, if it came to that.
        Some("etcd/not-healthy") => &[ETCD],
        Some("etcd/not-started") => &[ETCD, Log::Kubelet],
        Some("kubelet/not-up" | "kubelet/no-certificate" | "node/not-registered" | "endpoint/timed-out") => {
            &[Log::Kubelet]
        }
        _ => &[],
    };
    let mut said: Option<&Cause> = None;
    for log in logs {
        let text = read(*log);
        // What an API server missed before it served has come.
        let serves = text.rfind("Serving securely on").filter(|_| *log == API_SERVER);
        let says = of_log(*log, &text[serves.unwrap_or(0)..], asks);
        // A slow disk may come with another cause, and is why the API server does not come to etcd.
        said = match said {
            Some(slow) if says.is_none_or(|c| c.says >= slow.says || c.code == "control-plane/etcd") => said,
            _ => says,
        };
        if said.is_none() && serves.is_some() {
            let nowhere = leads_nowhere(output) || leads_nowhere(&read(Log::Kubelet));
            said = all().find(|cause| nowhere && cause.code == "control-plane/endpoint");
        }
        // A container that says something was started: the kubelet is not what is wrong.
        let speaks = matches!(log, Log::Container(_)) && *log != ETCD && !text.trim().is_empty();
        if speaks || said.is_some_and(|cause| cause.says == Says::What || *log != ETCD) {
            break;
        }
    }
    // A kubelet whose node is not in the cluster, for one, ends by itself after half a minute and starts again.
    if let Some(cause) = said.filter(|said| first.is_none_or(|first| said.says <= first.says)) {
        let runs = cause.code == "control-plane/endpoint";
        found.retain(|other| other.code != cause.code && !(runs && other.code == "control-plane/api-server"));
        found.insert(0, cause);
    }
    found.into_iter().map(|c| Problem::error("", c.what).code(c.code).cure(c.cure)).collect()
}

/// What a log says most of, and of several the last; `asks` counts what comes of what the kubelet asks the API server.
fn of_log(log: Log, text: &str, asks: bool) -> Option<&'static Cause> {
    let rows = logs::LOGS.iter().filter(|(of, _)| match log {
        Log::Kubelet => *of == Of::Kubelet || *of == Of::Any,
        Log::Container(name) => *of == Of::Any || *of == Of::Containers || *of == Of::Container(name),
    });
    let rows: Vec<&Cause> = rows.map(|(_, cause)| cause).collect();
    let named: Vec<&Cause> = text
        .lines()
        .rev()
        // What the kubelet quotes has its own quotes behind backslashes.
        .map(|line| line.to_ascii_lowercase().replace('\\', ""))
        .filter_map(|line| {
            let own = rows.iter().find(|cause| cause.is_named_by(&line)).copied();
            let shared = |cause: &&Cause| match cause.code {
                "containerd/cri-disabled" | "kubelet/no-certificate" | "kubelet/certificate-refused" => true,
                "control-plane/api-server" => log == API_SERVER,
                code if code.starts_with("image/") => line.contains("errimagepull"),
                _ => asks && asks_api_server(&line),
            };
            own.or_else(|| all().filter(|cause| cause.is_named_by(&line)).find(shared))
        })
        .collect();
    named.into_iter().min_by_key(|cause| cause.says)
}

/// Whether a line of the kubelet's log is about its certificate or its registration. Its certificate is none of the bootstrap token.
fn asks_api_server(line: &str) -> bool {
    line.contains("certificate signing request")
        || line.contains("unable to register node") && !line.contains("unauthorized")
}

/// Whether the way to the API server, as the last line tells that is about it, ends before a machine. One of its own addresses answers.
fn leads_nowhere(text: &str) -> bool {
    let has = |line: &str, texts: &[&str]| texts.iter().any(|text| line.contains(text));
    let asks =
        |line: &&str| has(line, &["check failed at ", "/api/v1/", "/apis/"]) && line.contains("dial tcp ");
    let last = text.lines().rev().find(asks);
    last.is_some_and(|line| has(line, &["no route to host", "i/o timeout", "host is down"]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    fn repository() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn codes_are_unique_and_texts_are_in_lower_case() {
        let codes: BTreeSet<&str> = table().map(|c| c.code).collect();
        assert_eq!(codes.len(), table().count());
        assert!(codes.len() >= 90, "{}", codes.len());
        for text in table().flat_map(|c| c.texts.iter().chain(c.beside)) {
            assert_eq!(*text, text.to_ascii_lowercase());
        }
    }

    /// The whole table.
    fn table() -> impl Iterator<Item = &'static Cause> {
        all().chain(logs::LOGS.iter().map(|(_, cause)| cause))
    }

    fn no_logs(_: Log) -> String {
        String::new()
    }

    fn transcripts(dir: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().flat_map(|p| if p.is_dir() { transcripts(&p) } else { vec![p] }).collect()
    }

    /// `tests/diagnosis/CODE/NAME.txt` is the end of a bootstrap that failed for that cause; `none/` has ends of which nothing is known.
    /// `NAME.kubelet.log` and `NAME.CONTAINER.log` beside it are what the kubelet and a container of the control plane said.
    /// `recorded` is what the real kubeadm 1.20.2 said (`tests/it/nspawn_causes.rs`); that a kube-controller-manager or a kube-scheduler
    /// does not come up, which it does not look at, is in later words.
    #[test]
    fn each_transcript_has_its_cause_and_each_cause_a_transcript() {
        let dir = repository().join("tests/diagnosis");
        let (mut wrong, mut hit) = (String::new(), BTreeSet::new());
        let texts = transcripts(&dir).into_iter().filter(|path| path.extension().is_some_and(|e| e == "txt"));
        for path in texts {
            let code = path.strip_prefix(&dir).unwrap().parent().unwrap().to_str().unwrap().to_owned();
            let log = |log| {
                let name = match log {
                    Log::Kubelet => "kubelet",
                    Log::Container(name) => name,
                };
                fs::read_to_string(path.with_extension(format!("{name}.log"))).unwrap_or_default()
            };
            let found = classify(&fs::read_to_string(&path).unwrap(), log);
            let is = found.first().map_or("none", |p| &*p.code);
            if is != code {
                let _ = writeln!(wrong, "{}: {is}", path.display());
            }
            hit.insert(code);
        }
        for cause in table().filter(|c| !hit.contains(c.code)) {
            let _ = writeln!(wrong, "{}: no transcript", cause.code);
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// What a shell says of a program that does not start, as the shells of this machine say it.
    #[test]
    fn a_kubeadm_that_does_not_start_is_told() {
        let dir = std::env::temp_dir().join(format!("footplate-not-started-{}", std::process::id()));
        let kubeadm = dir.join("kubeadm");
        let page = b"<html>\n<head><title>404 Not Found</title></head>\n</html>\n";
        let (missing, not, cut) = ("kubeadm/missing", "kubeadm/not-executable", "kubeadm/wrong-architecture");
        let me = fs::read("/proc/self/exe").unwrap();
        // What is at its place, with which mode, and what bash and dash say of it.
        for (what, mode, [bash, dash]) in [
            (None, 0, [missing; 2]),
            (Some(&b"#!/bin/sh\n"[..]), 0o644, [not; 2]),
            // dash does not tell a missing interpreter from a missing program.
            (Some(b"#!/no/such/program\n"), 0o755, [not, missing]),
            (Some(b"#!/bin/sh\r\nexit\r\n"), 0o755, [not, missing]),
            (Some(b"#!/etc/passwd\n"), 0o755, [not; 2]),
            (Some(page), 0o755, [not; 2]),
            (Some(b"Not Found\n"), 0o755, [not; 2]),
            (Some(&me[..64]), 0o755, [cut; 2]),
        ] {
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            if let Some(content) = what {
                // By another process: one that a test beside starts now has what is open here until it executes, and nobody can
                // run a file that is open to write.
                fs::write(dir.join("draft"), content).unwrap();
                assert!(Command::new("cp").arg(dir.join("draft")).arg(&kubeadm).status().unwrap().success());
                fs::set_permissions(&kubeadm, PermissionsExt::from_mode(mode)).unwrap();
            }
            let path = kubeadm.display();
            let calls = ["kubeadm".to_owned(), path.to_string(), "env kubeadm".to_owned()];
            for (call, (shell, want)) in calls.iter().flat_map(|c| [(c, ("bash", bash)), (c, ("dash", dash))])
            {
                if call.starts_with("env") && (what.is_some() && mode == 0o755) {
                    continue;
                }
                let path = format!("{}:/usr/bin:/bin", dir.display());
                let mut command = Command::new(shell);
                command.args(["-c", &format!("{call} join")]).env("PATH", path).env("LC_ALL", "C.UTF-8");
                let said = command.output().unwrap();
                assert!(!said.status.success());
                let said = String::from_utf8(said.stderr).unwrap();
                let found = classify(&said, no_logs);
                assert_eq!(found.first().map(|p| &*p.code), Some(want), "{shell} {call}: {said}");
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn several_checks_are_all_named_and_the_cause_is_first() {
        let output = "[preflight] Some fatal errors occurred:\n\
            \t[ERROR Port-10250]: Port 10250 is in use\n\
            \t[ERROR CRI]: container runtime is not running: output: dial unix: no such file or directory\n\
            \t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\n\
            error: error execution phase preflight: preflight checks failed\n";
        let found = classify(output, no_logs);
        let codes: Vec<&str> = found.iter().map(|p| &*p.code).collect();
        assert_eq!(codes, ["containerd/not-running", "preflight/port-taken", "preflight/cpus"]);
    }

    #[test]
    fn an_api_server_that_runs_is_not_said_not_to_come_up() {
        let output = "error: error execution phase wait-control-plane: failed while waiting for the control plane to start: \
            kube-apiserver check failed at https://192.0.2.2:6443/livez: Get \"https://192.0.2.77:6443/livez\": \
            dial tcp 192.0.2.77:6443: connect: no route to host\n";
        let codes = |api_server: &str| -> Vec<String> {
            let read = |log| if log == API_SERVER { api_server.to_owned() } else { String::new() };
            classify(output, read).iter().map(|p| p.code.to_string()).collect()
        };
        assert_eq!(
            codes("I 1 secure_serving.go:211] Serving securely on [::]:6443\n"),
            ["control-plane/endpoint"]
        );
        assert_eq!(
            codes("I 1 options.go:228] external host was not specified\n"),
            ["control-plane/api-server"]
        );
    }

    #[test]
    fn an_error_of_another_command_is_not_kubeadms() {
        let output = "error execution phase preflight: couldn't validate the identity of the API Server: \
            could not find a JWS signature in the cluster-info ConfigMap for token ID \"a1b2c3\"\n\
            error: stat /etc/kubernetes/admin.conf: no such file or directory\n";
        assert_eq!(classify(output, no_logs).first().map(|p| &*p.code), Some("join/token-expired"));
    }

    #[test]
    fn warnings_are_no_causes() {
        assert!(classify("[WARNING Hostname]: lookup n1: no such host\n", no_logs).is_empty());
        assert!(
            classify("W0412 10:00:00.000000 77 checks.go:1065] WARNING: connection refused\n", no_logs)
                .is_empty()
        );
        assert!(classify("[kubelet-check] The kubelet is healthy after 1.5s\n", no_logs).is_empty());
    }

    /// `docs/diagnosis.md` is made of the table: `BLESS=1` writes it.
    #[test]
    fn the_page_is_the_table() {
        let mut page = "# What the codes mean\n\nThe codes of a node and of an image: in `footplate status`, on the console, in the \
                        journal, to the platform, and in the\nfindings of `verify`. `footplate check --explain CODE` says the same. The \
                        codes of what is wrong in data are in [check.md](check.md#codes).\n\nWhen a bootstrap failed, \
                        footplate reads kubeadm's output for the cause. Codes `bootstrap/…` say how systemd saw the bootstrap\nend, where \
                        nothing else says why, and `aborted/…` the same of footplate itself. An error that has no code of its own is \
                        `STAGE/failed`.\nThe table is in `src/diagnosis/`.\n"
            .to_owned();
        for Code { name, means, cure } in codes() {
            let _ = write!(page, "\n## `{name}`\n\n{means}\n\nWhat to do: {cure}\n");
        }
        let path = repository().join("docs/diagnosis.md");
        let was = fs::read_to_string(&path).unwrap_or_default();
        if was != page && std::env::var_os("BLESS").is_some() {
            fs::write(&path, &page).unwrap();
        } else {
            assert!(
                was == page,
                "docs/diagnosis.md is not what the table says: BLESS=1 cargo test --lib the_page_is_the_table"
            );
        }
    }
}
