// SPDX-License-Identifier: Apache-2.0
//! What a node's data may ask for that Flatcar can't do, and that only shows when the node does it.

use super::network::{NO_GATEWAY, stranded};
use super::places::Places;
use crate::decode::capi::{self, documents};
use crate::decode::kubeadm::commands;
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::{self, Node};
use crate::model::config::NodeConfig;
use crate::model::problem::{Pos, Problem};
use crate::model::secret::Secret;
use crate::model::storage::File;
use crate::model::unit;
use crate::plan::kubeadm::IGNITION_CONFIG;

/// Kinds of filesystems that Flatcar can make.
const MADE: &[&str] = &["btrfs", "ext2", "ext3", "ext4", "none", "swap", "vfat", "xfs"];

/// Kinds of filesystems that Flatcar can mount.
const MOUNTED: &[&str] = &[
    "9p",
    "auto",
    "bpf",
    "btrfs",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "erofs",
    "ext2",
    "ext3",
    "ext4",
    "fuse",
    "glusterfs",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "msdos",
    "nfs",
    "nfs4",
    "none",
    "ntfs3",
    "overlay",
    "proc",
    "ramfs",
    "securityfs",
    "smb3",
    "squashfs",
    "swap",
    "sysfs",
    "tmpfs",
    "tracefs",
    "udf",
    "vfat",
    "virtiofs",
    "xfs",
];

/// Shells that Flatcar has, by their names in `/bin`, `/sbin` and the same below `/usr`.
const SHELLS: &[&str] = &["bash", "dash", "false", "nologin", "rbash", "sh", "sync", "true"];

/// Directories with programs that this data need not bring.
const OTHERS_PROGRAMS: &[&str] = &["/home/", "/opt/", "/usr/local/", "/var/"];

/// Kinds of keys that sshd takes.
const KEYS: &[&str] = &[
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
];

/// The tz database's time zones, old names included: a line an area, and its zones.
const ZONES: &str = include_str!("zones.txt");

/// The names of all time zones.
fn zones() -> Vec<String> {
    let areas = ZONES.lines().filter_map(|line| line.split_once(' '));
    let named = |(area, zones): (&str, &str)| {
        let area = if area.is_empty() { String::new() } else { format!("{area}/") };
        zones.split(' ').map(move |zone| format!("{area}{zone}")).collect::<Vec<_>>()
    };
    areas.flat_map(named).collect()
}

/// Whether a value has a variable in it that something else fills in.
fn is_open(text: &str) -> bool {
    text.contains("${")
}

/// The error of a value that is not one of those known.
fn unknown(place: String, what: &str, value: &str, known: &[&str], code: &'static str) -> Problem {
    let cure = match words::meant(value, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.len() <= 40 => format!("one of {}", known.join(", ")),
        None => "see the names in /usr/share/zoneinfo".to_owned(),
    };
    Problem::error(place, what).cure(cure).code(code)
}

/// All that is found, in the author's terms.
pub fn problems(config: &NodeConfig, places: &Places<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    machine(config, &mut found);
    users(config, &mut found);
    let mut found: Vec<Problem> = found.into_iter().map(|problem| places.entry(problem)).collect();
    config.files.iter().for_each(|file| documents_in(file, places, &mut found));
    sections(config, places, &mut found);
    if config.files.len() <= MAX_FILES {
        config.files.iter().for_each(|file| found.extend(joined(file, places)));
    }
    commands_of_kubeadm(config, places, &mut found);
    if places.sites.plain().is_some() {
        unfilled(config, places, &mut found);
    }
    found.extend(without_gateway(config).map(|problem| places.entry(problem)));
    found.extend(places.sites.second_headers().map(|pos| {
        let what = "a second header: the text below it is not read as a document of its own";
        let cure = "give each document a part of its own, in MIME or in a `#cloud-config-archive`, or remove this line";
        places.origin.locate(Problem::error("", what).at(pos).cure(cure).code("document/second-header"))
    }));
    found
}

fn machine(config: &NodeConfig, found: &mut Vec<Problem>) {
    if let Some(zone) = config.system.timezone.as_deref().filter(|zone| !is_open(zone)) {
        let zones = zones();
        let zones: Vec<&str> = zones.iter().map(String::as_str).collect();
        if !zones.contains(&zone) {
            let what = "there is no time zone of this name";
            found.push(unknown("timezone".to_owned(), what, zone, &zones, "timezone/unknown"));
        }
    }
    for filesystem in
        config.filesystems.iter().filter(|f| f.place.starts_with("fs_setup") && !is_open(&f.kind))
    {
        if !MADE.contains(&filesystem.kind.as_str()) {
            let place = format!("{}.filesystem", filesystem.place);
            let what = "Flatcar can't make this kind of filesystem";
            found.push(unknown(place, what, &filesystem.kind, MADE, "filesystem/unknown"));
        }
    }
    for mount in config.mounts.iter().filter(|m| m.place.starts_with("mounts") && !is_open(&m.kind)) {
        let kind = mount.kind.split('.').next().unwrap_or_default();
        if !MOUNTED.contains(&kind) {
            let place = format!("{}[2]", mount.place);
            found.push(match words::meant(kind, MOUNTED.iter().copied()) {
                Some(_) => {
                    let what = "Flatcar can't mount this kind of filesystem";
                    unknown(place, what, kind, MOUNTED, "filesystem/unknown")
                }
                // An extension may bring what it needs, as Flatcar's own for ZFS does.
                None => Problem::warning(place, "Flatcar by itself can't mount this kind of filesystem")
                    .cure("add the extension or the program that mounts it to the image")
                    .code("filesystem/unknown"),
            });
        }
    }
}

fn users(config: &NodeConfig, found: &mut Vec<Problem>) {
    for user in &config.users {
        if let Some(shell) = user.shell.as_deref().filter(|shell| !is_open(shell)) {
            let name =
                ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"].iter().find_map(|dir| shell.strip_prefix(dir));
            let brought = config.files.iter().any(|f| f.path == shell)
                || config.links.iter().any(|l| l.path == shell)
                || OTHERS_PROGRAMS.iter().any(|dir| shell.starts_with(dir));
            if !brought && !name.is_some_and(|name| SHELLS.contains(&name)) {
                let problem =
                    Problem::error(format!("{}.shell", user.place), "Flatcar does not have this shell");
                found.push(problem.cure("use /bin/bash, or /sbin/nologin for none").code("user/shell"));
            }
        }
        if let Some(hash) = &user.password_hash {
            let text = String::from_utf8_lossy(hash.expose());
            // Hashes of crypt(3), and what locks an account.
            if !text.is_empty() && !text.starts_with(['$', '!', '*', '_']) && text.len() != 13 {
                let key = if user.place.starts_with("passwd.") { "passwordHash" } else { "passwd" };
                let what = "is not the hash of a password: no password opens this account";
                let problem = Problem::warning(format!("{}.{key}", user.place), what);
                found.push(
                    problem.cure("give the hash that `openssl passwd -6` prints").code("user/password"),
                );
            }
        }
        for (i, key) in user.ssh_keys.iter().enumerate() {
            // Options may stand before the kind of the key.
            let kind = key.split_whitespace().find(|word| KEYS.contains(word));
            if kind.is_some() || is_open(key) || key.starts_with('#') || key.trim().is_empty() {
                continue;
            }
            let place = match (user.place.as_str(), user.place.starts_with("passwd.")) {
                ("ssh_authorized_keys", _) => format!("ssh_authorized_keys[{i}]"),
                (place, true) => format!("{place}.sshAuthorizedKeys[{i}]"),
                (place, false) => format!("{place}.ssh_authorized_keys[{i}]"),
            };
            let first = key.split_whitespace().next().unwrap_or_default();
            let cure = match words::meant(first, KEYS.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "give the line of a public key, such as `ssh-ed25519 AAAA… name`".to_owned(),
            };
            found
                .push(Problem::error(place, "this is not a key that sshd takes").cure(cure).code("user/key"));
        }
    }
}

/// Whether a file is one that kubeadm or the kubelet reads as YAML.
fn is_kubernetes(path: &str) -> bool {
    let yaml = path.ends_with(".yaml") || path.ends_with(".yml") || path.ends_with(".json");
    let below = ["/etc/kubernetes/", "/run/kubeadm/", "/etc/kubeadm.", "/tmp/kubeadm"]
        .iter()
        .any(|dir| path.starts_with(dir));
    below && yaml
}

/// A text with a variable of the same length for each `{{ name }}`, which kubeadm-prepare fills in on the machine.
fn opened(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}").filter(|(name, _)| !name.contains('\n')) else {
            break;
        };
        out += &format!("{before}${{{}}}", "_".repeat(name.chars().count() + 1));
        rest = after;
    }
    out + rest
}

/// The YAML in a file that Kubernetes reads.
fn documents_in(file: &File, places: &Places<'_>, found: &mut Vec<Problem>) {
    let Ok(text) = std::str::from_utf8(file.content.expose()) else { return };
    if file.append || !is_kubernetes(&file.path) {
        return;
    }
    let text = &opened(text);
    let place = content(file);
    let made = places.origin.is_made(&place);
    let of_kubeadm = text.contains("kubeadm.k8s.io/");
    for (first, document) in documents(text, !of_kubeadm) {
        let problems = match yaml::parse(document) {
            Ok(_) if made => Vec::new(),
            Ok(tree) => manifest(&file.path, &tree)
                .into_iter()
                .chain(capi::in_kubeadm_config(&file.path, &tree))
                .collect(),
            Err(problem) => {
                let second = documents(document, true).nth(1).filter(|_| of_kubeadm);
                let problem = second.map_or(problem, |(above, _)| {
                    Problem::error("", "a second document begins here, and kubeadm reads one")
                        .at(Pos { line: above + 1, column: 1 })
                        .cure("put `---` alone on a line of its own before it")
                });
                vec![problem.code("yaml/in-file")]
            }
        };
        for problem in problems {
            let within = inside(document, problem.pos.unwrap_or_default());
            let detail =
                if problem.place.is_empty() { String::new() } else { format!(" ({})", problem.place) };
            let problem = Problem { place: place.clone(), pos: None, ..problem };
            let problem = places.line(problem, first + within.line, within.column);
            found.push(Problem { place: format!("{}{detail}", problem.place), ..problem });
        }
    }
}

/// A position within a text: what is not closed is missed at its end, which in the author's text is the beginning of something else.
fn inside(text: &str, pos: Pos) -> Pos {
    match text.lines().enumerate().last() {
        Some((last, line)) if pos.line > last + 1 => {
            Pos { line: last + 1, column: line.chars().count().max(1) }
        }
        _ => Pos { line: pos.line.max(1), column: pos.column.max(1) },
    }
}

/// What a static pod's manifest lacks.
fn manifest(path: &str, tree: &Node) -> Option<Problem> {
    let is_pod = path.starts_with("/etc/kubernetes/manifests/");
    let lacks = |key: &str| tree.get(key).and_then(Node::text).is_none();
    if !is_pod || tree.is_null() || !["apiVersion", "kind"].iter().any(|key| lacks(key)) {
        return None;
    }
    let problem =
        Problem::error("", "the kubelet reads this as a static pod, and it has no `apiVersion` or no `kind`");
    let cure = "begin with `apiVersion: v1` and `kind: Pod`, or put the file elsewhere";
    Some(problem.at(tree.pos).cure(cure).code("yaml/in-file"))
}

/// Most files of which each is looked for in the author's text.
const MAX_FILES: usize = 500;

/// A warning where YAML joins the lines of a file's content.
fn joined(file: &File, places: &Places<'_>) -> Option<Problem> {
    // What is joined is one line. For others the data is not read again.
    if file.content.expose().contains(&b'\n') {
        return None;
    }
    let place = format!("{}.content", file.place);
    let found = places.sites.is_joined(&place);
    found.then(|| {
        places.entry(Problem::warning(place, capi::JOINED).cure(capi::HOW_JOINED).code("file/joined-lines"))
    })
}

/// The place of a file's content.
fn content(file: &File) -> String {
    let key = if file.place.starts_with("storage.") { "contents.source" } else { "content" };
    format!("{}.{key}", file.place)
}

/// The data's scripts and commands, each with its place.
fn programs(config: &NodeConfig) -> impl Iterator<Item = (String, &Secret)> {
    let scripts = config.scripts.iter().map(|script| (script.place.clone(), &script.content));
    scripts.chain(config.runcmd.iter().enumerate().map(|(i, line)| (format!("runcmd[{i}]"), line)))
}

/// The column of the first expression of jinja's in a line that has a name of the machine's, and that name.
fn jinja(line: &str) -> Option<(usize, &str)> {
    line.match_indices("{{").find_map(|(at, _)| {
        let name = line[at + 2..].split_once("}}")?.0.trim();
        let ours = name == "local_hostname" || ["ds.", "v1."].iter().any(|of| name.starts_with(of));
        ours.then(|| (line[..at].chars().count() + 1, name))
    })
}

/// Names of a template's in data that is none: the first of each file and command.
fn unfilled(config: &NodeConfig, places: &Places<'_>, found: &mut Vec<Problem>) {
    let files = config.files.iter().map(|file| (content(file), &file.content, file.path.as_str()));
    for (place, content, path) in files.chain(programs(config).map(|(place, text)| (place, text, ""))) {
        let text = String::from_utf8_lossy(content.expose());
        let filled = |name: &str| path == IGNITION_CONFIG && name.starts_with("ds.meta_data.");
        let mut tags = text.lines().enumerate().filter_map(|(i, line)| Some((i + 1, jinja(line)?)));
        let Some((line, (column, _))) = tags.find(|(_, (_, name))| !filled(name)) else { continue };
        let what = "a name of a jinja template, in data that is none: nothing fills it in";
        let problem = match is_kubernetes(path) {
            true => Problem::error(place, what),
            false => Problem::warning(place, what),
        };
        let cure = match (path, problem.place.starts_with("storage.")) {
            (IGNITION_CONFIG, true) => {
                "write `{{ ds.meta_data.local_hostname }}`, or another name below `ds.meta_data`: kubeadm's configuration gets these"
            }
            (_, true) => {
                "Ignition has no templates: let the command ask the machine (`hostname`, /run/metadata)"
            }
            _ => "let `## template: jinja` be the first line of the data",
        };
        found.push(places.line(problem.cure(cure).code("template/none"), line, column));
    }
}

/// Command lines that kubeadm refuses, in commands and in programs of the shell.
fn commands_of_kubeadm(config: &NodeConfig, places: &Places<'_>, found: &mut Vec<Problem>) {
    let files = config.files.iter().filter(|file| file.content.expose().starts_with(b"#!"));
    let files = files.map(|file| (content(file), &file.content));
    for (place, content) in files.chain(programs(config)) {
        let text = String::from_utf8_lossy(content.expose());
        for (line, problem) in commands::problems(&place, &text) {
            found.push(places.line(problem, line, 1));
        }
    }
}

/// Sections of systemd's units.
const SECTIONS: &[&str] = &[
    "Automount",
    "Install",
    "Mount",
    "Path",
    "Scope",
    "Service",
    "Slice",
    "Socket",
    "Swap",
    "Timer",
    "Unit",
];

/// Sections of units that systemd does not know and passes over.
fn sections(config: &NodeConfig, places: &Places<'_>, found: &mut Vec<Problem>) {
    let units =
        config.units.iter().filter_map(|u| Some((format!("{}.contents", u.place), u.contents.as_ref()?)));
    let is_unit = |f: &&File| f.path.starts_with("/etc/systemd/system/");
    let files = config.files.iter().filter(is_unit).map(|f| (format!("{}.content", f.place), &f.content));
    for (place, content) in units.chain(files) {
        for line in unit::lines(&String::from_utf8_lossy(content.expose())) {
            let name = line.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let Some(name) = name.filter(|name| !SECTIONS.contains(name)) else { continue };
            let Some(meant) = words::meant(name, SECTIONS.iter().copied()) else { continue };
            let problem = Problem::error(place.clone(), "systemd does not know this section of a unit");
            let problem = problem.cure(format!("did you mean `[{meant}]`?")).code("unit/section");
            found.push(places.line(problem, line.number, 1));
        }
    }
}

/// A warning where networkd's files give a static address and none of them a gateway.
fn without_gateway(config: &NodeConfig) -> Option<Problem> {
    let of_networkd = |path: &str| path.contains("/systemd/network/") && path.ends_with(".network");
    let files = config.files.iter().filter(|file| of_networkd(&file.path));
    let file = stranded(files.map(|file| (file, String::from_utf8_lossy(file.content.expose()))))?;
    let what =
        "a static address, and no file for the network has a gateway: the node reaches its own subnet only";
    let problem =
        Problem::warning(file.place.clone(), what).cure("add `Gateway=` to [Network], or a [Route] with one");
    Some(problem.code(NO_GATEWAY))
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_zones_stand_by_their_areas() {
        let zones = super::zones();
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+12", "US/Pacific"] {
            assert!(zones.iter().any(|zone| zone == name), "{name}");
        }
        assert_eq!(zones.len(), 598);
        assert!(zones.iter().all(|zone| !zone.starts_with('/') && !zone.ends_with('/')), "{zones:?}");
    }
}
