// SPDX-License-Identifier: Apache-2.0
//! What stands between the bootstrap's commands and kubeadm, and keeps its exit status.

use super::kubeadm::callers;
use crate::model::config::NodeConfig;
use crate::model::secret::Secret;

/// kubeadm is wrapped by a function that keeps the exit status of `init` and `join`, since the
/// script's own is that of its last command, and that keeps `init` from printing a token and a key to join by: what it prints is
/// shown on the console. footplate looks at the machine and the API server before kubeadm runs, and says whether a `join` that
/// failed is run again. A phase, a dry run and any other command of kubeadm decide nothing. Words are taken
/// as kubeadm's own parser takes them: an option without `=` is followed by its value, unless it is one of those without.
pub(super) const WRAPPER: &str = r#"kubeadm() { footplate_kubeadm kubeadm "$@"; }
footplate_kubeadm() {
    footplate_program=$1
    shift
    footplate_bootstraps "$@" || { command "$footplate_program" "$@"; return; }
    case " $* " in *" init "*) set -- "$@" --skip-token-print --skip-certificate-key-print ;; esac
    /opt/bin/footplate preflight -- "$@" || [ $? -ne 70 ] || return 70
    while :; do
        FOOTPLATE_KUBEADM=1 command "$footplate_program" "$@" && footplate_status=0 || footplate_status=$?
        [ "$footplate_status" -ne 0 ] || break
        /opt/bin/footplate preflight --after "$footplate_status" -- "$@" && footplate_next=0 || footplate_next=$?
        if [ "$footplate_next" -eq 2 ]; then
            command "$footplate_program" reset phase cleanup-node || true
            /opt/bin/footplate preflight --after "$footplate_status" --undone -- "$@" && footplate_next=0 || footplate_next=$?
        fi
        [ "$footplate_next" -eq 0 ] || break
    done
    echo "$footplate_status" > /run/footplate/kubeadm.status
    return "$footplate_status"
}
footplate_bootstraps() {
    footplate_command=''
    while [ $# -gt 0 ]; do
        case $1 in
        --dry-run | --dry-run=[1tT]* | --help | -h) return 1 ;;
        --*=* | --upload-certs | --control-plane | --skip-*-print | --*-unsafe-skip-ca-verification) ;;
        --experimental-upload-certs | --experimental-control-plane | --*-headers | --*-header | --one-output | --*logtostderr) ;;
        --* | -?) [ $# -eq 1 ] || shift ;;
        -*) ;;
        phase) [ "$footplate_command" = done ] || return 1 ;;
        init | join) [ -n "$footplate_command" ] && footplate_command=done || footplate_command=$1 ;;
        *) [ -n "$footplate_command" ] && footplate_command=done || return 1 ;;
        esac
        shift
    done
    [ -n "$footplate_command" ]
}
"#;

/// The same for calls of kubeadm by its path in the script's own commands: bash takes a path as a function's name, though not in its
/// POSIX mode, which is that of `/bin/sh`. Empty where there is none.
pub(super) fn by_path(lines: &[Secret]) -> String {
    let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line.expose())).collect();
    let mut paths: Vec<String> = texts.iter().flat_map(|text| callers(text)).collect();
    paths.retain(|p| p.contains('/') && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)));
    paths.sort();
    paths.dedup();
    let calls = paths.iter().map(|path| (path.clone(), format!("footplate_kubeadm {path}")));
    functions(&calls.collect::<Vec<_>>())
}

/// Functions whose names are paths, each with what it calls in their place.
pub(super) fn functions(calls: &[(String, String)]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let functions: String =
        calls.iter().map(|(path, call)| format!("    eval '{path}() {{ {call} \"$@\"; }}'\n")).collect();
    format!(
        "[ -z \"${{BASH_VERSION-}}\" ] || {{\n    footplate_posix=$(shopt -po posix)\n    set +o posix\n\
         {functions}    eval \"$footplate_posix\"\n}}\n"
    )
}

/// The same for programs that the data brings, which do not know the function: this one comes before kubeadm in their PATH, and takes
/// itself out of it. Called by the function, it leaves kubeadm to it.
const PROGRAM: &str = "#!/bin/sh\n# Written by footplate: keeps kubeadm's exit status for `footplate report`.\n\
    before=${PATH%%/run/footplate/bin:*}\n\
    [ \"$before\" = \"$PATH\" ] || PATH=$before${PATH#*/run/footplate/bin:}\n\
    PATH=${PATH%:/run/footplate/bin}\n\
    [ -z \"${FOOTPLATE_KUBEADM-}\" ] || exec kubeadm \"$@\"\n";

/// Where the program is.
pub const DIR: &str = "/run/footplate/bin";

/// The program's text.
pub(super) fn program() -> String {
    format!("{PROGRAM}{WRAPPER}kubeadm \"$@\"\n")
}

/// Whether another program than the script's own shell may call kubeadm: a script or a program of the data, or a command that has its
/// name elsewhere than as its first word (`timeout 600 kubeadm join`, `sh -c '…'`, a block of lines).
pub(super) fn is_called_for(config: &NodeConfig) -> bool {
    let files = config.files.iter().map(|file| file.content.expose()).filter(|text| text.starts_with(b"#!"));
    let mut programs = files.chain(config.scripts.iter().map(|script| script.content.expose()));
    let mut commands = config.runcmd.iter().map(|line| line.expose());
    programs.any(|text| names_kubeadm(text, false)) || commands.any(|line| names_kubeadm(line, true))
}

/// Whether a text has kubeadm's name in it as a word, with `behind` behind its first word.
fn names_kubeadm(text: &[u8], behind: bool) -> bool {
    let name = b"kubeadm";
    let part = |b: &u8| b"_-./".contains(b);
    let mut found = text.windows(name.len()).enumerate().filter(|(_, word)| *word == name).map(|(at, _)| at);
    found.any(|at| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let first = before.iter().all(|b| b" '\"".contains(b));
        (!behind || !first) && ![before.last(), after.first()].into_iter().flatten().any(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_may_call_kubeadm() {
        for (line, want) in [
            ("kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml && echo success > /run/x", false),
            ("'kubeadm' 'init'", false),
            ("/opt/bin/kubeadm init", false),
            ("systemctl restart kubeadm.service", false),
            ("timeout 600 kubeadm join", true),
            ("'sudo' '-E' 'kubeadm' 'join'", true),
            ("sh -c 'set -e; kubeadm join'", true),
            ("true && kubeadm join", true),
            ("if true; then\nkubeadm join\nfi", true),
            ("sh <<END\nkubeadm join\nEND", true),
            ("kubeadm reset -f; exec kubeadm join", true),
        ] {
            assert_eq!(names_kubeadm(line.as_bytes(), true), want, "{line}");
        }
        assert!(names_kubeadm(b"#!/bin/sh\nexec kubeadm \"$@\"\n", false));
    }
}
