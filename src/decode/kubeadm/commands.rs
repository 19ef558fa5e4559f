// SPDX-License-Identifier: Apache-2.0
//! The command lines of kubeadm in bootstrap data: words that kubeadm refuses, and calls that footplate does not see.

use super::credentials;
use crate::decode::syntax::words;
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

/// Words of the shell that stand before a command.
const BEFORE: &[&str] = &["!", "do", "elif", "else", "if", "then", "time", "until", "while"];

/// Programs that run the one behind them, and the shell's own commands that pass over its functions.
const RUNNERS: &[&str] =
    &["command", "env", "exec", "ionice", "nice", "nohup", "setsid", "stdbuf", "sudo", "timeout"];

/// Options of kubeadm whose value is a word of its own.
const WITH_A_VALUE: &[&str] = &["--rootfs", "--v", "-v"];

/// What kubeadm refuses in the lines of a text at `place`, each with its line, counted from 1.
pub fn problems<'a>(place: &'a str, text: &'a str) -> impl Iterator<Item = (usize, Problem)> + 'a {
    (1..).zip(text.lines()).flat_map(move |(number, line)| {
        let commands = line.split([';', '&', '|', '(', ')', '{', '}', '`']);
        commands.flat_map(move |command| refused(place, command)).map(move |problem| (number, problem))
    })
}

/// The command that was mistyped: one letter is wrong, or letters have changed places.
fn meant(name: &str) -> Option<&'static str> {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    words::meant(name, COMMANDS.iter().copied())
        .or_else(|| COMMANDS.iter().find(|known| sorted(known) == sorted(name)).copied())
}

/// What kubeadm refuses in one command.
fn refused(place: &str, command: &str) -> Vec<Problem> {
    let mut words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let mut run = false;
    let mut passed_over = |word: &&str| {
        run |= RUNNERS.contains(word);
        BEFORE.contains(word)
            || RUNNERS.contains(word)
            || word.contains('=')
            || word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
    };
    let program = words.by_ref().find(|word| !passed_over(word)).unwrap_or_default();
    if program.rsplit('/').next() != Some("kubeadm") {
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
    // The bootstrap's own script knows kubeadm by its path too, as a function; a program finds it by its name alone.
    let unseen = program.starts_with('/') && (run || !place.starts_with("runcmd"));
    let other = |word: &&str| ["phase", "--dry-run", "--dry-run=true", "--help", "-h"].contains(word);
    if unseen
        && matches!(name, Some("init" | "join"))
        && !place.starts_with("storage.")
        && !words.iter().any(other)
    {
        let what = "footplate does not see how this kubeadm ends, for it is called by its path through another program: its output and the \
                    commands' own end decide, and nothing looks at the API server before it or tries a join again";
        let problem = Problem::note(place, what).cure("write `kubeadm` without its path");
        found.push(problem.code("kubeadm/by-path"));
    }
    for (at, word) in words.iter().enumerate() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, value),
            None => (*word, words.get(at + 1).copied().unwrap_or_default()),
        };
        let value = value.trim_matches(['"', '\'']);
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
    use super::problems;

    #[test]
    fn commands_that_kubeadm_refuses_are_told_by_their_line() {
        let found =
            |text: &str| problems("runcmd[0]", text).map(|(line, p)| (line, p.cure)).collect::<Vec<_>>();
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
        ] {
            let told = found(&format!("true\n{line}\n"));
            assert_eq!(told, [(2, Some(format!("did you mean `{meant}`?")))], "{line}");
        }
        let noted = |place: &str, line: &str| problems(place, line).any(|(_, p)| p.code == "kubeadm/by-path");
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
        let direct = "if A=b /usr/bin/kubeadm join --config /x; then";
        let places = ["runcmd[0]", "write_files[0].content", "storage.files[0].contents.source"];
        assert_eq!(places.map(|place| noted(place, direct)), [false, true, false]);
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
}
