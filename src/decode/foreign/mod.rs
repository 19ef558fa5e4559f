// SPDX-License-Identifier: Apache-2.0
//! Files and commands of other distributions that a template may bring along, and what Flatcar has instead. They stop
//! nothing: each is told once, by its name in these tables.

mod asked;
mod packages;
mod tables;
mod units;

pub use packages::settle;

use self::asked::Asked;
use self::packages::NONE as PACKAGES;
use self::tables::{CLOUD_INIT, COMMANDS, FILES, SELINUX};
use super::syntax::shell::{base, handed_over, simple_commands, texts, within_quotes, without_prefix};
use super::syntax::yaml::Node;
use crate::model::paths::{FOREIGN_PACKAGE_TOOLS, FOREIGN_TRUST, FOREIGN_TRUST_TOOLS, next_boot};
use crate::model::problem::{PACKAGE_MANAGER, Pos, Problem, STAND_IN};

/// The language of the data that a file comes of.
#[derive(Clone, Copy)]
pub enum Language {
    CloudConfig,
    Ignition,
}

/// Something of another distribution: what it is called, and what to do instead.
type Foreign = (&'static str, &'static str);

fn of_file(path: &str) -> Option<Foreign> {
    let is = |name: &str| if name.ends_with('/') { path.starts_with(name) } else { path == name };
    FILES.iter().find(|(name, _)| is(name)).copied()
}

/// What a table has under a name.
fn find(table: &'static [(&[&'static str], &'static str)], name: &str) -> Option<Foreign> {
    table.iter().find_map(|(names, cure)| Some((*names.iter().find(|n| **n == name)?, *cure)))
}

/// The foreign commands of a simple command, whose first word is its name: each with the word that it is.
fn of_words(words: &[&str]) -> Vec<(usize, Foreign)> {
    let Some((command, arguments)) = words.split_first() else { return Vec::new() };
    let command = base(command);
    if command == "systemctl" {
        let units = (1..).zip(arguments).filter_map(|(i, unit)| Some((i, units::of_name(unit)?)));
        return units.collect();
    }
    of_program(command, arguments).map(|foreign| (0, foreign)).into_iter().collect()
}

fn of_program(command: &str, arguments: &[&str]) -> Option<Foreign> {
    if command == "cloud-init" {
        let waits = arguments.contains(&"status");
        let cure = match arguments.first() {
            Some(&"query") => "`footplate query NAME` prints a value: `v1.instance_id`",
            _ if waits => "`footplate status --wait` waits for footplate",
            _ => CLOUD_INIT,
        };
        return Some(("cloud-init", cure));
    }
    if let Some(tool) = FOREIGN_TRUST_TOOLS.iter().find(|tool| **tool == command) {
        return Some((tool, ""));
    }
    if let Some(tool) = FOREIGN_PACKAGE_TOOLS.iter().find(|tool| **tool == command) {
        return Some((tool, packages::cure(tool, arguments)));
    }
    find(COMMANDS, command)
}

/// A program where nothing stands in for it.
fn by_itself((name, cure): Foreign) -> Option<Foreign> {
    match name {
        // Flatcar has one of this name.
        "update-ca-certificates" => None,
        _ if FOREIGN_TRUST_TOOLS.contains(&name) => Some((name, "use update-ca-certificates")),
        _ if FOREIGN_PACKAGE_TOOLS.contains(&name) => Some((name, PACKAGES)),
        _ => Some((name, cure)),
    }
}

/// What a shell line has of other distributions, each with the byte at which it stands.
fn of_line(line: &str) -> Vec<(usize, Foreign)> {
    let mut asked = Asked::default();
    let found = once(run(line, &mut asked));
    asked.without(found)
}

/// The foreign commands of a shell line, also of what it runs to make a word in double quotes, and what it asks.
fn run(line: &str, asked: &mut Asked) -> Vec<(usize, Foreign)> {
    let mut found = run_by(line, true, asked);
    if let Some(line) = within_quotes(line) {
        found.extend(run_by(&line, true, asked));
    }
    found
}

/// The foreign commands of a shell line. `whole` says that nobody else looks at what stands in its quotes.
fn run_by(line: &str, whole: bool, asked: &mut Asked) -> Vec<(usize, Foreign)> {
    let mut found: Vec<(usize, Foreign)> = Vec::new();
    for command in simple_commands(line) {
        let words = texts(&command);
        asked.by(&words);
        match handed_over(&words) {
            None => found.extend(of_words(&words).into_iter().map(|(i, foreign)| (command[i].at, foreign))),
            Some((_, i)) => {
                let (program, at) = (&command[i].text, command[i].at);
                // It stands there so behind its quote, or what is escaped in it has other places.
                let same = line.get(at + 1..).is_some_and(|behind| behind.starts_with(program));
                let place = |(within, foreign)| (if same { at + 1 + within } else { at }, foreign);
                // What double quotes hold is looked at where they stand: twice at each of many levels would take long.
                let within = match whole && line.as_bytes().get(at) == Some(&b'\'') {
                    true => run(program, asked),
                    false => run_by(program, false, asked),
                };
                found.extend(within.into_iter().map(place));
            }
        }
    }
    found
}

/// Each once, where it stands first.
fn once<P>(found: impl IntoIterator<Item = (P, Foreign)>) -> Vec<(P, Foreign)> {
    let mut told: Vec<(P, Foreign)> = Vec::new();
    for (place, foreign) in found {
        if told.iter().all(|(_, have)| *have != foreign) {
            told.push((place, foreign));
        }
    }
    told
}

/// The line and the column of a byte of a text.
fn position(text: &str, at: usize) -> Pos {
    let before = &text[..at];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Pos { line: before.matches('\n').count() + 1, column }
}

/// What a command of `bootcmd` or `runcmd` has of other distributions.
pub fn in_line(place: &str, pos: Pos, line: &str) -> Vec<Problem> {
    all(place, pos, of_line(line).into_iter().map(|(at, foreign)| (position(line, at), foreign)))
}

/// The same of a command that is a list of words.
pub fn in_words(place: &str, nodes: &[Node]) -> Vec<Problem> {
    let nodes: Vec<(usize, &Node)> = nodes.iter().enumerate().filter(|(_, n)| n.text().is_some()).collect();
    let words: Vec<&str> = nodes.iter().filter_map(|(_, n)| n.text()).collect();
    let before = words.len() - without_prefix(&words).len();
    let (nodes, words) = (&nodes[before..], &words[before..]);
    match handed_over(words) {
        Some((_, i)) => in_line(&format!("{place}[{}]", nodes[i].0), nodes[i].1.pos, words[i]),
        None => {
            of_words(words).into_iter().map(|(i, foreign)| told(place, foreign).at(nodes[i].1.pos)).collect()
        }
    }
}

/// The same of a file: its path, and where it is a script the command at the beginning of each line. Beside Ignition's commands
/// nothing stands in for programs.
pub fn in_file(place: &str, of: Language, pos: Pos, path: &str, content: &[u8]) -> Vec<Problem> {
    let key = match of {
        Language::CloudConfig => "content",
        Language::Ignition => "contents.source",
    };
    let mut problems = Vec::new();
    if let Some((name, cure)) = of_file(path) {
        let what = format!("Flatcar has no program that reads {name}");
        let problem = Problem::warning(format!("{place}.path"), what).at(pos);
        problems.push(problem.cure(cure).code("program/absent"));
    }
    if let Some(why) = next_boot(path) {
        problems.push(
            Problem::note(
                format!("{place}.path"),
                format!("written on a running node it counts later: {why}"),
            )
            .at(pos),
        );
    }
    let below = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    if let Some((dir, _)) = FOREIGN_TRUST.iter().find(|(dir, ending)| below(dir) && path.ends_with(ending)) {
        let begins = b"-----BEGIN CERTIFICATE-----";
        if content.windows(begins.len()).any(|w| w == begins) {
            let what = format!("Flatcar does not read {dir}: the certificate gets a link in /etc/ssl/certs");
            problems.push(Problem::note(format!("{place}.path"), what).at(pos));
        } else if !content.is_empty() {
            let what = "not a certificate in PEM: it is not trusted here";
            let cure = "`openssl x509 -inform DER -in FILE` prints a certificate as PEM";
            problems.push(Problem::warning(format!("{place}.{key}"), what).at(pos).cure(cure));
        }
    }
    let text = String::from_utf8_lossy(content);
    if units::is_unit(path) {
        problems.extend(in_unit(&format!("{place}.{key}"), pos, &text));
    } else if content.starts_with(b"#!") {
        let found = match of {
            Language::CloudConfig => of_script(&text),
            Language::Ignition => {
                once(of_script(&text).into_iter().filter_map(|(at, foreign)| Some((at, by_itself(foreign)?))))
            }
        };
        problems.extend(all(&format!("{place}.{key}"), pos, found));
    }
    problems
}

/// The same of a unit's text.
pub fn in_unit(place: &str, pos: Pos, text: &str) -> Vec<Problem> {
    all(place, pos, units::of_unit(text))
}

/// The problems of what a text at a place has, which begins at `pos`.
fn all(place: &str, pos: Pos, found: impl IntoIterator<Item = (Pos, Foreign)>) -> Vec<Problem> {
    let problem = |(at, foreign)| Problem { within: Some(at), ..told(place, foreign).at(pos) };
    found.into_iter().map(problem).collect()
}

/// What a script that is a document of its own has of other distributions, each where it stands first. `above` is how many
/// lines of the document stand above the script.
pub fn in_script(text: &str, above: usize) -> Vec<Problem> {
    let at = |(pos, foreign): (Pos, Foreign)| told("", foreign).at(Pos { line: above + pos.line, ..pos });
    let mut problems: Vec<Problem> = of_script(text).into_iter().map(at).collect();
    packages::settle(&mut problems);
    problems
}

/// The commands of each line, and of texts for other programs (`<<`) and of programs that are none of the shell's that at the beginning of
/// each line: more would be guessed. Each once, where it stands first.
fn of_script(text: &str) -> Vec<(Pos, Foreign)> {
    let shell = text.lines().next().is_some_and(|line| line.contains("sh"));
    let (mut asked, mut end, mut number) = (Asked::default(), None, 1);
    let found = once(whole_lines(text).flat_map(|line| {
        let first = number;
        number += line.matches('\n').count();
        let here = match end {
            _ if !shell => beginning(line),
            Some(word) => {
                end = end.filter(|_| line.trim() != word);
                beginning(line)
            }
            None => {
                end = text_ends(line);
                run(line, &mut asked)
            }
        };
        let place = move |(at, foreign)| {
            let Pos { line, column } = position(line, at);
            (Pos { line: line + first - 1, column }, foreign)
        };
        once(here).into_iter().map(place)
    }));
    asked.without(found)
}

/// The lines of a program, each with those in which it goes on.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let ends = |(at, _): &(usize, &str)| !rest[..*at].ends_with('\\');
        let end = rest.match_indices('\n').find(ends).map_or(rest.len(), |(at, _)| at + 1);
        let (line, below) = rest.split_at(end);
        rest = below;
        Some(line).filter(|line| !line.is_empty())
    })
}

/// The word that ends the text for another program which begins below a line.
fn text_ends(line: &str) -> Option<&str> {
    let (_, word) = line.split_once("<<").filter(|_| !line.trim_start().starts_with('#'))?;
    let word = word.trim_start_matches(['-', ' ', '\'', '"', '\\']);
    let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
    Some(&word[..end]).filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

/// The command at the beginning of a line.
fn beginning(line: &str) -> Vec<(usize, Foreign)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = without_prefix(&words);
    let place = |(i, foreign)| {
        let word: &str = command[i];
        (word.as_ptr().addr() - line.as_ptr().addr(), foreign)
    };
    of_words(command).into_iter().map(place).collect()
}

fn told(place: &str, (name, cure): Foreign) -> Problem {
    // Those without a cure need none: they are stood in for.
    if cure.is_empty() {
        let what = format!(
            "{name}: Flatcar reads /etc/ssl/certs only; a stand-in links there what is in {}",
            FOREIGN_TRUST[0].0
        );
        return Problem::note(place, what);
    }
    if cure == SELINUX {
        let what = format!("{name}: SELinux is permissive on Flatcar unless the image says otherwise");
        return Problem::note(place, what).cure(cure).code("program/absent");
    }
    if FOREIGN_PACKAGE_TOOLS.contains(&name) && cure != PACKAGES {
        let what = format!(
            "{name} is not a part of Flatcar: what stands in for it takes what the image has as installed, and fails for other packages"
        );
        return Problem::warning(place, what).cure(cure).code(STAND_IN);
    }
    absent(place, name, cure)
}

/// The warning of a program that nothing stands in for.
fn absent(place: &str, name: &str, cure: &str) -> Problem {
    let code = if cure == PACKAGES { PACKAGE_MANAGER } else { "program/absent" };
    Problem::warning(place, format!("{name} is not a part of Flatcar")).cure(cure).code(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_their_names_alone() {
        let cases: &[(&str, &[&str])] = &[
            ("apt-get update && apt-get install -y socat", &["apt-get"]),
            ("/usr/bin/apt-get -y install x", &["apt-get"]),
            ("DEBIAN_FRONTEND=noninteractive sudo -E apt-get install x; ufw disable", &["apt-get", "ufw"]),
            ("if true; then yum install -y x; fi", &["yum"]),
            ("sh -c 'netplan apply'", &["netplan"]),
            ("bash -xc \"setenforce 0 || true\"", &["setenforce"]),
            ("timeout 60 sh -c 'true && \\\n netplan apply'", &["netplan"]),
            ("(cd /tmp && dpkg -i x.deb)", &["dpkg"]),
            ("cloud-init status --wait", &["cloud-init"]),
            ("x=$(rpm -q kernel)", &["rpm"]),
            ("systemctl restart chronyd.service containerd", &["chronyd"]),
            ("systemctl disable --now ufw", &["ufw"]),
            ("systemctl enable --now open-iscsi rsyslog.service", &["open-iscsi", "rsyslog"]),
            ("dracut --force && sudo amazon-linux-extras install docker", &["dracut", "amazon-linux-extras"]),
            ("systemctl restart ssh; trust anchor x", &["ssh", "trust"]),
            ("update-ca-certificates", &["update-ca-certificates"]),
            ("true || { sudo -u root apt-get install x; }", &["apt-get"]),
            ("env -u A B=c apt-get update", &["apt-get"]),
            ("timeout 5m nice -n 10 dnf -y update", &["dnf"]),
            ("echo x | xargs -n1 yum install -y", &["yum"]),
            ("for i in 1 2; do zypper in jq; done", &["zypper"]),
            ("if false; then true; else (tdnf install jq); fi", &["tdnf"]),
            ("bash -eux -o pipefail -c 'true; dpkg -i x.deb'", &["dpkg"]),
            ("! which update-ca-trust || (mv a b && update-ca-trust extract)", &["update-ca-trust"]),
            ("x=\"$(apt-get -s install y | wc -l)\"; echo \"$x\"", &["apt-get"]),
            ("echo \"is `rpm -q kernel` there\" \"$(echo \"$(dpkg -l)\")\"", &["dpkg", "rpm"]),
            ("[ -n \"$(pip list)\" ] # don't; \"$(ufw x)\"\nyum x", &["yum", "pip"]),
            ("bash -c 'x=\"$(netplan get)\"'", &["netplan"]),
            ("eval \"apt-get update\"; eval dnf update", &["apt-get", "dnf"]),
            (
                "sudo su - core -c \"yum install x\"; sudo -u core ufw x; su -c 'dpkg -i x' core",
                &["yum", "ufw", "dpkg"],
            ),
            (
                "flock -w 60 /run/lock apt-get update; flock /run/lock -c 'ufw x'; flock /l sh -c 'yum x'",
                &["apt-get", "ufw", "yum"],
            ),
            ("systemd-run --wait -p Nice=5 --unit x zypper up", &["zypper"]),
            // Nothing of these is run.
            ("echo \"a \\$(apt-get update)\" '\"$(yum x)\"' \"$(echo ufw)\" apt-get", &[]),
            ("eval \"echo apt-get\"; flock /run/lock true; su core", &[]),
            ("echo $(date; (id)) apt-get; echo x`id`y yum", &[]),
            ("echo $(date -u $(id) apt-get) $(yum x) `ufw x`", &["yum", "ufw"]),
            ("x=$(id) apt-get update; (dnf x", &["apt-get", "dnf"]),
            ("echo apt-get install 'netplan apply; yum' # ; ufw", &[]),
            ("grep -q \"x; yum\" /etc/apt/sources.list", &[]),
            ("systemctl restart containerd kubelet", &[]),
            ("cloud-init-per once x true", &[]),
            // These ask first.
            ("command -v apt-get && apt-get install -y x", &[]),
            ("which ufw >/dev/null 2>&1 && ufw disable", &[]),
            ("[ -x /usr/sbin/netplan ] && /usr/sbin/netplan apply", &[]),
            ("[ -f /etc/debian_version ] && apt-get update", &[]),
            ("case $ID in ubuntu) apt-get update;; *) yum install x; ufw disable;; esac", &["ufw"]),
            ("bash -o", &[]),
            ("'", &[]),
            ("\\", &[]),
            ("", &[]),
        ];
        for (line, want) in cases {
            let found: Vec<&str> = of_line(line).into_iter().map(|(_, (name, _))| name).collect();
            assert_eq!(&found, want, "{line}");
        }
    }

    #[test]
    fn a_script_is_told_of_with_its_lines() {
        let script = "#!/bin/bash\n# yum\necho dnf\nif sudo zypper -n in jq; then :; fi\n  zypper in yq\nupdate-ca-trust\n";
        let found: Vec<(String, usize)> = in_script(script, 3)
            .into_iter()
            .map(|p| {
                (p.what.split([' ', ':']).next().unwrap_or_default().to_owned(), p.pos.map_or(0, |p| p.line))
            })
            .collect();
        assert_eq!(found, [("zypper".to_owned(), 7), ("update-ca-trust".to_owned(), 9)]);
    }

    #[test]
    fn commands_are_found_anywhere_in_a_script() {
        type Found<'a> = &'a [(&'a str, usize, usize)];
        let cases: &[(&str, Found<'_>)] = &[
            (
                "#!/bin/sh\nif true; then apt-get update; fi; (sudo yum install x)\n",
                &[("apt-get", 2, 15), ("yum", 2, 41)],
            ),
            ("#!/bin/bash\ntrue && \\\n  { apt-get install -y \\\n socat; }", &[("apt-get", 3, 5)]),
            // Of a text for another program, the beginnings of its lines; and the rest again behind it.
            (
                "#!/bin/sh\ncat <<-'EOF' >/x\na (yum)\n dnf x\n\tEOF\ntrue; ufw x",
                &[("dnf", 4, 2), ("ufw", 6, 7)],
            ),
            ("#!/bin/sh\ncat <<<a\necho $((1<<2)); ufw x", &[("ufw", 3, 17)]),
            ("#!/usr/bin/python3\nprint (apt-get)\n", &[("python3", 1, 1)]),
            // What asks, elsewhere in it too.
            (
                "#!/bin/sh\nif command -v apt-get; then\n apt-get x\nelif which dnf; then\n dnf x\nfi\nyum x",
                &[("yum", 7, 1)],
            ),
            ("#!/bin/sh\n. /etc/os-release\ncase \"$ID\" in\nubuntu) apt-get x;;\n*) pip x;;\nesac", &[]),
            ("#!/bin/sh\n. /etc/os-release\napt-get install kubeadm-$VERSION_ID", &[("apt-get", 3, 1)]),
        ];
        for (script, want) in cases {
            let found = of_script(script);
            let found: Vec<_> = found.iter().map(|(pos, (name, _))| (*name, pos.line, pos.column)).collect();
            assert_eq!(&found, want, "{script}");
        }
    }

    #[test]
    fn files_are_found_by_their_paths() {
        for path in [
            "/etc/netplan/50-x.yaml",
            "/etc/apt/sources.list.d/k.list",
            "/etc/chrony.conf",
            "/etc/cron.d/x",
            "/etc/rc.d/rc.local",
            "/etc/needrestart/conf.d/x.conf",
        ] {
            assert!(of_file(path).is_some(), "{path}");
        }
        for path in ["/etc/netplan.yaml", "/etc/chrony.confx", "/etc/systemd/network/x", "/opt/etc/apt/x"] {
            assert!(of_file(path).is_none(), "{path}");
        }
        let mut names: Vec<&str> = COMMANDS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]), "a command is there twice");
    }
}
