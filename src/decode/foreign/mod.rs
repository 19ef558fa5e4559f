// SPDX-License-Identifier: Apache-2.0
//! Files and commands of other distributions that a template may bring along, and what Flatcar has instead. They stop
//! nothing: each is told once, by its name in these tables.

mod packages;
mod units;

pub use packages::settle;

use self::packages::NONE as PACKAGES;
use super::syntax::shell::{base, handed_over, simple_commands, without_prefix};
use super::syntax::yaml::Node;
use crate::model::paths::{FOREIGN_PACKAGE_TOOLS, FOREIGN_TRUST, FOREIGN_TRUST_TOOLS, next_boot};
use crate::model::problem::{PACKAGE_MANAGER, Pos, Problem, STAND_IN};

const NETWORK: &str =
    "give the network in the platform's metadata, or write systemd-networkd's files to /etc/systemd/network";
const TIME: &str = "use the key `ntp`, or write to /etc/systemd/timesyncd.conf.d";
const FIREWALL: &str = "use nft or iptables-restore, in a systemd unit that runs at each boot";
const TIMER: &str =
    "write a service and a .timer to /etc/systemd/system, by the key `coreos.units` for instance";
const KERNEL: &str = "kernel arguments are in /oem/grub.cfg, and the initramfs is a part of the image";
const CLOUD_INIT: &str = "footplate applies this data itself, and before the commands run: leave it out";
const SERVICES: &str = "use systemctl, with a unit in /etc/systemd/system";
/// Of programs that Flatcar has and a node does without.
const SELINUX: &str = "leave it out";

const MODULES: &str = "write the modules' names to /etc/modules-load.d/NAME.conf";
const LOCALE: &str = "use the key `locale`";
const LOGS: &str = "logs are in the journal: systemd-journal-upload or an agent in a pod forwards them";
const UPDATES: &str = "update-engine and locksmithd update Flatcar: leave it out";

/// Paths, directories with a slash at their end, and what to do instead.
const FILES: &[(&str, &str)] = &[
    ("/etc/netplan/", NETWORK),
    ("/etc/network/interfaces", NETWORK),
    ("/etc/network/interfaces.d/", NETWORK),
    ("/etc/sysconfig/network", NETWORK),
    ("/etc/sysconfig/network-scripts/", NETWORK),
    ("/etc/NetworkManager/", NETWORK),
    ("/etc/dhcp/", NETWORK),
    ("/etc/resolvconf/", NETWORK),
    ("/etc/apt/", PACKAGES),
    ("/etc/yum.conf", PACKAGES),
    ("/etc/yum.repos.d/", PACKAGES),
    ("/etc/yum/", PACKAGES),
    ("/etc/dnf/", PACKAGES),
    ("/etc/zypp/", PACKAGES),
    ("/etc/tdnf/", PACKAGES),
    ("/etc/apk/", PACKAGES),
    ("/etc/pip.conf", PACKAGES),
    ("/etc/chrony/", TIME),
    ("/etc/chrony.conf", TIME),
    ("/etc/chrony.d/", TIME),
    ("/etc/ntpsec/", TIME),
    ("/etc/cloud/", CLOUD_INIT),
    ("/etc/ufw/", FIREWALL),
    ("/etc/firewalld/", FIREWALL),
    ("/etc/default/ufw", FIREWALL),
    ("/etc/iptables/", FIREWALL),
    ("/etc/sysconfig/iptables", FIREWALL),
    ("/etc/sysconfig/ip6tables", FIREWALL),
    ("/etc/modules", MODULES),
    ("/etc/sysconfig/modules/", MODULES),
    ("/etc/default/locale", LOCALE),
    ("/etc/sysconfig/i18n", LOCALE),
    ("/etc/locale.gen", LOCALE),
    ("/etc/timezone", "use the key `timezone`"),
    ("/etc/crontab", TIMER),
    ("/etc/cron.d/", TIMER),
    ("/etc/cron.hourly/", TIMER),
    ("/etc/cron.daily/", TIMER),
    ("/etc/cron.weekly/", TIMER),
    ("/etc/cron.monthly/", TIMER),
    ("/var/spool/cron/", TIMER),
    ("/etc/default/grub", KERNEL),
    ("/etc/default/grub.d/", KERNEL),
    ("/etc/grub.d/", KERNEL),
    ("/boot/grub/", KERNEL),
    ("/boot/grub2/", KERNEL),
    ("/etc/initramfs-tools/", KERNEL),
    ("/etc/dracut.conf.d/", KERNEL),
    ("/etc/init.d/", SERVICES),
    ("/etc/init/", SERVICES),
    ("/etc/rc.local", SERVICES),
    ("/etc/rc.d/", SERVICES),
    ("/etc/needrestart/", UPDATES),
    ("/etc/kernel/", KERNEL),
    ("/etc/apparmor.d/", "Flatcar has no AppArmor: leave it out"),
    ("/etc/rsyslog.conf", LOGS),
    ("/etc/rsyslog.d/", LOGS),
];

/// Commands by their names, and what to do instead.
const COMMANDS: &[(&[&str], &str)] = &[
    (
        &[
            "aptitude",
            "dpkg-reconfigure",
            "debconf-set-selections",
            "microdnf",
            "rpm",
            "apk",
            "pacman",
            "snap",
            "pip",
            "pip3",
            "subscription-manager",
            "SUSEConnect",
            "amazon-linux-extras",
            "needrestart",
            "unattended-upgrade",
        ],
        PACKAGES,
    ),
    (&["netplan", "nmcli", "nmtui", "ifup", "ifdown", "dhclient", "resolvconf"], NETWORK),
    (&["chronyc", "chronyd"], TIME),
    (&["ufw", "firewall-cmd", "netfilter-persistent"], FIREWALL),
    (&["setenforce", "setsebool", "semanage", "restorecon"], SELINUX),
    (
        &["apparmor_parser", "aa-disable", "aa-teardown", "aa-complain"],
        "Flatcar has no AppArmor: leave it out",
    ),
    (&["service", "chkconfig", "update-rc.d", "initctl", "invoke-rc.d", "rc-service", "rc-update"], SERVICES),
    (&["crontab", "at"], TIMER),
    (&["ssh-import-id"], "list the public keys themselves as `ssh_authorized_keys`"),
    (
        &[
            "update-grub",
            "grub-mkconfig",
            "grub2-mkconfig",
            "grubby",
            "update-initramfs",
            "mkinitcpio",
            "dracut",
        ],
        KERNEL,
    ),
    (&["growpart"], "Flatcar grows its root file system itself: leave it out"),
    (
        &["adduser", "addgroup", "deluser", "delgroup"],
        "use the keys `users` and `groups`, or useradd and groupadd",
    ),
    (&["locale-gen", "update-locale"], LOCALE),
    (&["python", "python3"], "write it in shell, or run it in a container"),
    (&["update-alternatives", "alternatives"], "write a link below /opt/bin"),
    (&["trust"], "write the certificate to /etc/ssl/certs/NAME.pem, and call update-ca-certificates"),
];

/// Units that Flatcar does not have, by the names that `systemctl` is given.
const UNITS: &[(&[&str], &str)] = &[
    (&["chrony", "chronyd", "ntp", "ntpsec"], TIME),
    (&["networking", "NetworkManager", "network", "network-manager", "resolvconf"], NETWORK),
    (&["ufw", "firewalld", "netfilter-persistent"], FIREWALL),
    (&["cloud-init", "cloud-config", "cloud-final", "cloud-init-local"], CLOUD_INIT),
    (
        &["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades", "snapd", "snapd.socket"],
        UPDATES,
    ),
    (&["ssh"], "the unit is sshd.socket, and sshd reads its settings for each connection: leave it out"),
    (&["cron", "crond"], TIMER),
    (&["rsyslog", "syslog"], LOGS),
    (&["open-iscsi"], "the unit is iscsid"),
    (&["apparmor"], "Flatcar has no AppArmor: leave it out"),
];

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

/// The foreign commands of a simple command, whose first word is its name.
fn of_words(words: &[String]) -> Vec<Foreign> {
    let Some((command, arguments)) = words.split_first() else { return Vec::new() };
    let command = base(command);
    if command == "cloud-init" {
        let waits = arguments.iter().any(|a| a == "status");
        let cure = match arguments.first().map(String::as_str) {
            Some("query") => "`footplate query NAME` prints a value: `v1.instance_id`",
            _ if waits => "`footplate status --wait` waits for footplate",
            _ => CLOUD_INIT,
        };
        return vec![("cloud-init", cure)];
    }
    if command == "systemctl" {
        return arguments.iter().filter_map(|unit| units::of_name(unit)).collect();
    }
    if let Some(tool) = FOREIGN_TRUST_TOOLS.iter().find(|tool| **tool == command) {
        return vec![(tool, "")];
    }
    if let Some(tool) = FOREIGN_PACKAGE_TOOLS.iter().find(|tool| **tool == command) {
        return vec![(tool, packages::cure(tool, arguments))];
    }
    find(COMMANDS, command).into_iter().collect()
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

/// What a shell line has of other distributions. Where it asks whether a program is there, it can do without that one.
fn of_line(line: &str) -> Vec<Foreign> {
    let commands = simple_commands(line);
    let asks = |words: &&Vec<String>| {
        let (first, second) = (base(&words[0]), words.get(1).map(String::as_str));
        matches!(first, "which" | "type" | "hash" | "test" | "[" | "[[")
            || (first == "command" && matches!(second, Some("-v" | "-V")))
    };
    let asked: Vec<&str> = commands.iter().filter(asks).flatten().map(|word| base(word)).collect();
    let mut found: Vec<Foreign> = Vec::new();
    for words in &commands {
        let inner = handed_over(words).map_or_else(|| of_words(words), |(_, script)| of_line(script));
        for foreign in inner {
            if !found.contains(&foreign) && (foreign.1.is_empty() || !asked.contains(&foreign.0)) {
                found.push(foreign);
            }
        }
    }
    found
}

/// What a command of `bootcmd` or `runcmd` has of other distributions.
pub fn in_line(place: &str, pos: Pos, line: &str) -> Vec<Problem> {
    all(place, pos, of_line(line))
}

/// The same of a command that is a list of words.
pub fn in_words(place: &str, pos: Pos, words: &[Node]) -> Vec<Problem> {
    let words: Vec<String> = words.iter().filter_map(|w| w.text()).map(str::to_owned).collect();
    let words = without_prefix(&words);
    let found = handed_over(words).map_or_else(|| of_words(words), |(_, script)| of_line(script));
    all(place, pos, found)
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
        let found = of_script(&text).into_iter().map(|(_, foreign)| foreign);
        let found = match of {
            Language::CloudConfig => found.collect(),
            Language::Ignition => found.filter_map(by_itself).collect(),
        };
        problems.extend(all(&format!("{place}.{key}"), pos, found));
    }
    problems
}

/// The same of a unit's text.
pub fn in_unit(place: &str, pos: Pos, text: &str) -> Vec<Problem> {
    all(place, pos, units::of_unit(text).into_iter().map(|(_, foreign)| foreign).collect())
}

fn all(place: &str, pos: Pos, found: Vec<Foreign>) -> Vec<Problem> {
    found.into_iter().map(|foreign| told(place, foreign).at(pos)).collect()
}

/// What a script that is a document of its own has of other distributions, each with its first line. `above` is how many
/// lines of the document stand above the script.
pub fn in_script(text: &str, above: usize) -> Vec<Problem> {
    let at = |(line, foreign)| told("", foreign).at(Pos { line: above + line, column: 1 });
    let mut problems: Vec<Problem> = of_script(text).into_iter().map(at).collect();
    packages::settle(&mut problems);
    problems
}

/// The line of a script or a unit, from 1, that a problem of one of its programs was told for.
pub fn line_of(text: &str, problem: &Problem) -> Option<usize> {
    let is_it = |name: &str| problem.what.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', ':']));
    let found = if text.starts_with("#!") { of_script(text) } else { units::of_unit(text) };
    found.into_iter().find(|(_, (name, _))| is_it(name)).map(|(line, _)| line)
}

/// The command at the beginning of each line: a script may hold the text of other files, so more would be guessed. Each
/// once, with the number of its line, from 1.
fn of_script(text: &str) -> Vec<(usize, Foreign)> {
    let mut found: Vec<(usize, Foreign)> = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        for foreign in of_words(without_prefix(&words)) {
            if found.iter().all(|(_, have)| *have != foreign) {
                found.push((line + 1, foreign));
            }
        }
    }
    found
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
            ("! which update-ca-trust || (mv a b && update-ca-trust extract)", &["update-ca-trust"]),
            // Nothing of these is run.
            ("echo apt-get install 'netplan apply; yum' # ; ufw", &[]),
            ("grep -q \"x; yum\" /etc/apt/sources.list", &[]),
            ("systemctl restart containerd kubelet", &[]),
            ("cloud-init-per once x true", &[]),
            // These ask first.
            ("command -v apt-get && apt-get install -y x", &[]),
            ("which ufw >/dev/null 2>&1 && ufw disable", &[]),
            ("[ -x /usr/sbin/netplan ] && /usr/sbin/netplan apply", &[]),
            ("'", &[]),
            ("\\", &[]),
            ("", &[]),
        ];
        for (line, want) in cases {
            let found: Vec<&str> = of_line(line).into_iter().map(|(name, _)| name).collect();
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
