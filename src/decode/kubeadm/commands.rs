// SPDX-License-Identifier: Apache-2.0
//! The command lines of kubeadm in bootstrap data: words that kubeadm refuses, and calls that footplate does not see.

use super::credentials;
use crate::decode::syntax::words::{self, meant as mistyped};
use crate::model::problem::Problem;

/// kubeadm's commands.
const COMMANDS: &[&str] = &[
    "alpha",
    "certs",
    "completion",
    "config",
    "help",
    "init",
    "join",
    "kubeconfig",
    "reset",
    "token",
    "upgrade",
    "version",
];

/// Options of `init` and `join`, of all versions from 1.20 on.
const OPTIONS: &str = "--add-dir-header --alsologtostderr --apiserver-advertise-address --apiserver-bind-port --apiserver-cert-extra-sans \
    --cert-dir --certificate-key --config --control-plane --control-plane-endpoint --cri-socket --discovery-file --discovery-token \
    --discovery-token-ca-cert-hash --discovery-token-unsafe-skip-ca-verification --dry-run --experimental-patches --feature-gates --help \
    --ignore-preflight-errors --image-repository --kubernetes-version --log-backtrace-at --log-dir --log-file --log-file-max-size \
    --logtostderr --node-name --one-output --patches --pod-network-cidr --rootfs --service-cidr --service-dns-domain --skip-certificate-key-print \
    --skip-headers --skip-log-headers --skip-phases --skip-token-print --stderrthreshold --tls-bootstrap-token --token --token-ttl \
    --upload-certs --v --vmodule";

/// Words of the shell that stand before a command.
const BEFORE: &[&str] = &["!", "do", "elif", "else", "if", "then", "time", "until", "while"];

/// Programs that run the one behind them, and the shell's own commands that pass over its functions.
const RUNNERS: &[&str] = &[
    "bash", "command", "env", "exec", "ionice", "nice", "nohup", "setsid", "sh", "stdbuf", "sudo", "timeout",
];

/// Whether a word is one of them, by its path too.
fn is_runner(word: &str) -> bool {
    RUNNERS.contains(&word.rsplit('/').next().unwrap_or_default())
}

/// Options of kubeadm whose value is a word of its own.
const WITH_A_VALUE: &[&str] = &["--rootfs", "--v", "-v"];

/// What commands before these said of PATH, by which a program finds the kubeadm that footplate puts before the real one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Path {
    /// It is as footplate made it, or others stand behind it, or it is not known.
    #[default]
    Kept,
    /// Other directories stand before it.
    Behind,
    /// It is not there.
    Gone,
}

impl Path {
    /// What an assignment among these words makes of it, the last one.
    fn set_by(words: &[&str]) -> Option<Self> {
        let value = words.iter().rev().find_map(|word| word.strip_prefix("PATH="))?;
        let mut directories = value.trim_matches(['"', '\'']).split(':');
        Some(match directories.clone().position(|directory| directory == "$PATH") {
            Some(0) => Self::Kept,
            Some(_) => Self::Behind,
            None if value.contains('$') || directories.any(|directory| directory == "/run/footplate/bin") => {
                Self::Kept
            }
            None => Self::Gone,
        })
    }
}

/// What kubeadm refuses in the lines of a text at `place`, each with its line, counted from 1. `path` is that of the commands before it,
/// and becomes that of those behind it.
pub fn problems(place: &str, text: &str, path: &mut Path) -> Vec<(usize, Problem)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = without_braces(line);
        for command in line.split([';', '&', '|', '(', ')', '{', '}', '`']) {
            found.extend(refused(place, command, path).into_iter().map(|problem| (number, problem)));
        }
    }
    found
}

/// A line with `$NAME` for `${NAME}`.
fn without_braces(line: &str) -> String {
    let mut parts = line.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name =
            part.split_once('}').filter(|(n, _)| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        out += &name.map_or_else(|| format!("${{{part}"), |(name, rest)| format!("${name}{rest}"));
    }
    out
}

/// The command that was mistyped: one letter is wrong or missing, or letters have changed places.
fn meant(name: &str) -> Option<&'static str> {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    let near = words::nearest(name, COMMANDS.iter().copied(), |known| words::distance(name, known));
    let near = near.filter(|(far, _)| *far == 1 && name.len() > 2).map(|(_, known)| known);
    near.or_else(|| words::meant(name, COMMANDS.iter().copied()))
        .or_else(|| COMMANDS.iter().find(|known| sorted(known) == sorted(name)).copied())
}

/// Why footplate does not see how a kubeadm ends, and what to do; `None` where it does. `before` stands before `program`.
fn unseen(place: &str, before: &[&str], program: &str, path: Path) -> Option<(&'static str, &'static str)> {
    let run = before.iter().any(|word| is_runner(word));
    // The bootstrap's own script knows kubeadm as a function, by a path that is written as it is too; a program finds it by PATH alone.
    let function = place.starts_with("runcmd") && !run;
    if program.contains('/') {
        let open = program.contains(['$', '~', '*', '?']);
        let why = "it is called by its path through another program";
        let why = if function { "it is called by a path that the shell makes up" } else { why };
        return (!function || open).then_some((why, "write `kubeadm` without its path"));
    }
    let bare =
        before.contains(&"env") && ["-i", "-", "--ignore-environment"].iter().any(|o| before.contains(o));
    match Path::set_by(before).unwrap_or(if bare { Path::Gone } else { path }) {
        Path::Gone if !function => Some((
            "its PATH does not have /run/footplate/bin",
            "keep the PATH that commands have: `PATH=$PATH:/opt/bin`, `env -i PATH=\"$PATH\" kubeadm …`",
        )),
        Path::Behind if !function => Some((
            "a kubeadm in a directory that stands before `$PATH` would be called",
            "put directories behind: `PATH=$PATH:/opt/bin`",
        )),
        _ => None,
    }
}

/// What kubeadm refuses in one command.
fn refused(place: &str, command: &str, path: &mut Path) -> Vec<Problem> {
    let mut words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let mut before = Vec::new();
    let mut program = "";
    for word in words.by_ref() {
        let over = BEFORE.contains(&word)
            || is_runner(word)
            || word.contains('=')
            || word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if !over {
            program = word;
            break;
        }
        before.push(word);
    }
    if program.rsplit('/').next() != Some("kubeadm") {
        if program == "export" {
            before = words.collect();
        }
        if program.is_empty() || program == "export" {
            *path = Path::set_by(&before).unwrap_or(*path);
        }
        return Vec::new();
    }
    let words: Vec<&str> = words.collect();
    let mut found = Vec::new();
    let is_value = |at: usize| at > 0 && WITH_A_VALUE.contains(&words[at - 1]);
    let name = (0..words.len()).find(|at| !words[*at].starts_with('-') && !is_value(*at)).map(|at| words[at]);
    // What is not near to a known word may be a variable, or text for people.
    if let Some(meant) = name.filter(|name| !COMMANDS.contains(name)).and_then(meant) {
        let problem = Problem::error(place, "kubeadm does not have this command");
        found.push(problem.cure(format!("did you mean `kubeadm {meant}`?")).code("kubeadm/command"));
    }
    let other = |word: &&str| ["phase", "--dry-run", "--dry-run=true", "--help", "-h"].contains(word);
    let bootstraps = matches!(name, Some("init" | "join")) && !words.iter().any(other);
    if let Some((why, cure)) =
        unseen(place, &before, program, *path).filter(|_| bootstraps && !place.starts_with("storage."))
    {
        let what = format!(
            "footplate does not see how this kubeadm ends, for {why}: its output and the commands' own end decide, and nothing looks at \
             the API server before it or tries a join again"
        );
        found.push(Problem::note(place, what).cure(cure).code("kubeadm/by-path"));
    }
    for (at, word) in words.iter().enumerate() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, value),
            None => (*word, words.get(at + 1).copied().unwrap_or_default()),
        };
        let value = value.trim_matches(['"', '\'']);
        // Underscores are hyphens to kubeadm.
        let known = OPTIONS.split_whitespace().any(|known| known == option.replace('_', "-"));
        let meant = mistyped(option, OPTIONS.split_whitespace());
        if let Some(meant) = meant.filter(|_| bootstraps && !known && option.starts_with("--")) {
            let problem = Problem::error(place, "kubeadm does not have this option");
            found.push(problem.cure(format!("did you mean `{meant}`?")).code("kubeadm/command"));
        }
        match option {
            "--token" | "--discovery-token" | "--tls-bootstrap-token" => {
                found.extend(credentials::token(place, value))
            }
            "--discovery-token-ca-cert-hash" => {
                found.extend(value.split(',').filter_map(|pin| credentials::pin(place, pin)));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Path;

    fn problems(place: &str, text: &str) -> Vec<(usize, super::Problem)> {
        super::problems(place, text, &mut Path::default())
    }

    #[test]
    fn commands_that_kubeadm_refuses_are_told_by_their_line() {
        let found = |text: &str| {
            problems("runcmd[0]", text).into_iter().map(|(line, p)| (line, p.cure)).collect::<Vec<_>>()
        };
        let pin = "0123456789abcdef".repeat(4);
        let good = format!(
            "kubeadm join --token a1b2c3.0123456789abcdef --discovery-token-ca-cert-hash sha256:{pin} h:6443\n\
             sudo -E kubeadm --v 5 init --token=$TOKEN\nkubeadm --v=5 reset -f && kubeadm $WHAT\n\
             echo kubeadm jion\nsystemctl status kubeadm\n# kubeadm jon\nkubeadm join --token \"${{TOKEN}}\"\n"
        );
        assert_eq!(found(&good), []);
        for (line, meant) in [
            ("kubeadm jion --config /run/x", "kubeadm join"),
            ("KUBECONFIG=/x sudo /usr/bin/kubeadm intt", "kubeadm init"),
            ("true && timeout 300 kubeadm -v 5 joni", "kubeadm join"),
            ("if ! kubeadm restet; then exit 1; fi", "kubeadm reset"),
            ("sudo /bin/bash -ec 'true; kubeadm jion'", "kubeadm join"),
            ("sh -c \"kubeadm jion --config /run/x\"", "kubeadm join"),
            ("kubeadm jon --config /run/x", "kubeadm join"),
            ("kubeadm int", "kubeadm init"),
            ("kubeadm joiin", "kubeadm join"),
            ("kubeadm join h:6443 --tken a1b2c3.0123456789abcdef", "--token"),
            ("kubeadm init --ignore-preflight-error=Swap", "--ignore-preflight-errors"),
            ("kubeadm join --control_plane --certificate-keys 0", "--certificate-key"),
        ] {
            let told = found(&format!("true\n{line}\n"));
            assert_eq!(told, [(2, Some(format!("did you mean `{meant}`?")))], "{line}");
        }
        for line in [
            "kubeadm join --token a1b2c3.0123",
            "kubeadm join --discovery-token=A1B2C3.0123456789abcdef",
            "kubeadm init --token a1b2c30123456789abcdef",
            "kubeadm join --discovery-token-ca-cert-hash sha256:12",
            "kubeadm join --discovery-token-ca-cert-hash 'md5:0123456789abcdef0123456789abcdef'",
        ] {
            assert_eq!(found(line).len(), 1, "{line}");
        }
    }

    #[test]
    fn calls_that_footplate_does_not_see_are_noted() {
        let noted =
            |place: &str, line: &str| problems(place, line).iter().any(|(_, p)| p.code == "kubeadm/by-path");
        for (line, want) in [
            ("timeout 10m /usr/bin/kubeadm join --config /x > /var/log/x.log 2>&1", true),
            ("if ! nice -n 5 /opt/bin/kubeadm --v 5 join --config /x; then", true),
            ("A=b exec \"/opt/bin/kubeadm\" init", true),
            ("nohup /opt/bin/kubeadm init &", true),
            ("timeout 10m kubeadm join --config /x", false),
            ("exec kubeadm init", false),
            ("timeout 9 /usr/bin/kubeadm init phase certs all", false),
            ("timeout 9 /usr/bin/kubeadm config images pull", false),
        ] {
            assert_eq!(noted("runcmd[0]", line), want, "{line}");
            assert_eq!(noted("write_files[0].content", line), want, "{line}");
        }
        for (line, in_a_program) in [
            ("export PATH=/opt/other:$PATH; kubeadm join", true),
            ("PATH=\"/opt/bin:${PATH}\" kubeadm init", true),
            ("PATH=/usr/bin:/opt/bin\nkubeadm join", true),
            ("PATH=$PATH:/opt/bin kubeadm join", false),
            ("export A=b PATH=\"${PATH}:/opt/bin\"\nkubeadm join", false),
            ("PATH=$OLD; kubeadm join", false),
            ("export PATH=/opt/other:$PATH; kubeadm version; kubeadm init phase certs all", false),
            ("cd /opt/bin && ./kubeadm join", true),
        ] {
            assert!(!noted("runcmd[0]", line), "{line}");
            assert_eq!(noted("scripts[0]", line), in_a_program, "{line}");
        }
        for line in [
            "\"$DIR\"/kubeadm join",
            "${DIR}/kubeadm join",
            "env -i kubeadm join",
            "env PATH=/x kubeadm join",
        ] {
            assert!(["runcmd[0]", "scripts[0]"].iter().all(|place| noted(place, line)), "{line}");
        }
        let direct = "if A=b /usr/bin/kubeadm join --config /x; then";
        let places = ["runcmd[0]", "write_files[0].content", "storage.files[0].contents.source"];
        assert_eq!(places.map(|place| noted(place, direct)), [false, true, false]);
    }
}
