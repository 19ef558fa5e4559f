// SPDX-License-Identifier: Apache-2.0
//! What a node's data may ask for that Flatcar can't do, and that only shows when the node does it.

use super::kubernetes::documents_in;
use super::network::{NO_GATEWAY, stranded};
use super::places::Places;
use super::units::sections;
use crate::decode::capi;
use crate::decode::cloud_config::read_only;
use crate::decode::kubeadm::commands;
use crate::decode::kubeadm::reads::Reads;
use crate::decode::syntax::words;
use crate::model::config::NodeConfig;
use crate::model::containerd::MAIN;
use crate::model::problem::{Problem, READ_ONLY};
use crate::model::secret::Secret;
use crate::model::storage::File;
use crate::plan::kubeadm::{IGNITION_CONFIG, IGNITION_SCRIPT};

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
    let reads = Reads::of(config);
    config.files.iter().for_each(|file| documents_in(file, &reads, places, &mut found));
    sections(config, places, &mut found);
    if config.files.len() <= MAX_FILES {
        config.files.iter().for_each(|file| found.extend(joined(file, places)));
    }
    commands_of_kubeadm(config, places, &mut found);
    if places.sites.plain().is_some() {
        unfilled(config, &reads, places, &mut found);
    }
    found.extend(unread(config).map(|problem| places.entry(problem)));
    found.extend(without_gateway(config).map(|problem| places.entry(problem)));
    found.extend(places.sites.second_headers().into_iter().map(|at| {
        let what = "a second header: the text below it is not read as a document of its own";
        let cure = "give each document a part of its own, in MIME or in a `#cloud-config-archive`, or remove this line";
        let problem = Problem::error("", what).cure(cure).code("document/second-header");
        places.origin.locate(Problem { place: at.place, pos: at.pos, ..problem })
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
    let swap = config.system.swap.as_ref().map(|swap| swap.path.as_str());
    made("swap.filename".to_owned(), swap, found);
    for mount in config.mounts.iter().filter(|m| m.place.starts_with("mounts")) {
        // The image may have the directory.
        if mount.path.as_deref().is_some_and(read_only) {
            let what = "is in /usr, which is read-only on Flatcar: no directory is made there to mount on";
            let cure = "choose a path below /var, /opt or /mnt, unless the image has this directory";
            found.push(Problem::warning(format!("{}[1]", mount.place), what).cure(cure).code(READ_ONLY));
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

/// What is to be made in a place where nothing can be made: the error of [`READ_ONLY`].
fn made(place: String, path: Option<&str>, found: &mut Vec<Problem>) {
    if path.is_some_and(read_only) {
        let what = "is in /usr, which is read-only on Flatcar: the node would stop here";
        found.push(Problem::error(place, what).cure("choose a path below /var or /opt").code(READ_ONLY));
    }
}

fn users(config: &NodeConfig, found: &mut Vec<Problem>) {
    for user in &config.users {
        if user.create_home || !user.ssh_keys.is_empty() {
            let key = if user.place.starts_with("passwd.") { "homeDir" } else { "homedir" };
            made(format!("{}.{key}", user.place), user.home.as_deref(), found);
        }
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
            let text = hash.expose_text();
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
            // Options may stand before the kind of the key, and the key itself stands behind it.
            let mut words = key.split_whitespace();
            let kind = words.find(|word| KEYS.contains(word));
            if kind.is_some() && words.any(|word| word.starts_with("AAAA"))
                || is_open(key)
                || key.starts_with('#')
                || key.trim().is_empty()
            {
                continue;
            }
            let place = match (user.place.as_str(), user.place.starts_with("passwd.")) {
                ("ssh_authorized_keys", _) => format!("ssh_authorized_keys[{i}]"),
                (place, true) => format!("{place}.sshAuthorizedKeys[{i}]"),
                (place, false) => format!("{place}.ssh_authorized_keys[{i}]"),
            };
            let first = key.split_whitespace().next().unwrap_or_default();
            let cure = match words::meant(first, KEYS.iter().copied()).filter(|meant| *meant != first) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "give the line of a public key, such as `ssh-ed25519 AAAA… name`".to_owned(),
            };
            found
                .push(Problem::error(place, "this is not a key that sshd takes").cure(cure).code("user/key"));
        }
    }
}

/// Most files of which each is looked for in the author's text.
const MAX_FILES: usize = 500;

/// A warning where YAML joins the lines of a file's content.
fn joined(file: &File, places: &Places<'_>) -> Option<Problem> {
    // What is joined is one line. For others the data is not read again.
    let text = file.content.expose_text();
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.contains('\n') {
        return None;
    }
    let place = content(file);
    let found = places.sites.is_joined(&place);
    found.then(|| {
        places.entry(Problem::warning(place, capi::JOINED).cure(capi::HOW_JOINED).code("file/joined-lines"))
    })
}

/// The place of a file's content.
pub fn content(file: &File) -> String {
    let key = if file.place.starts_with("storage.") { "contents.source" } else { "content" };
    format!("{}.{key}", file.place)
}

/// The data's scripts and commands, each with its place.
fn programs(config: &NodeConfig) -> impl Iterator<Item = (String, &Secret)> {
    let scripts = config.scripts.iter().map(|script| (script.place.clone(), &script.content));
    scripts.chain(config.runcmd.iter().enumerate().map(|(i, line)| (format!("runcmd[{i}]"), line)))
}

/// Names of the machine's that stand at a template's top and below `v1`, and that nothing but a machine has.
const OF_A_MACHINE: &[&str] =
    &["availability_zone", "cloud_name", "instance_id", "local_hostname", "public_ssh_keys"];

/// The column of the first expression of jinja's in a line that is a name of the machine's.
fn jinja(line: &str) -> Option<usize> {
    line.match_indices("{{").find_map(|(at, _)| {
        let inside = line[at + 2..].split_once("}}")?.0.trim_matches(['-', '+']).trim();
        // Up to a filter, with `['key']` as `.key`.
        let quotes = ["['", "[\"", "']", "\"]"].into_iter().zip([".", ".", "", ""]);
        let path = inside.split('|').next()?.trim().to_owned();
        let path = quotes.fold(path, |path, (quote, with)| path.replace(quote, with));
        let mut parts = path.split('.');
        let ours = match (parts.next()?, parts.next()) {
            ("ds", Some("meta_data")) => true,
            ("v1", Some(name)) => name == "region" || OF_A_MACHINE.contains(&name),
            (name, None) => OF_A_MACHINE.contains(&name),
            _ => false,
        };
        let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b));
        (ours && plain).then(|| line[..at].chars().count() + 1)
    })
}

/// A note of a configuration of containerd that Flatcar's own containerd does not read; nothing where anything else of the data names it.
fn unread(config: &NodeConfig) -> Option<Problem> {
    let main = config.files.iter().find(|file| file.path == MAIN)?;
    let names = |text: &Secret| {
        let text = text.expose_text();
        text.contains(MAIN) || text.contains("CONTAINERD_CONFIG")
    };
    let units =
        config.units.iter().flat_map(|u| u.contents.iter().chain(u.dropins.iter().map(|(_, text)| text)));
    let files = config.files.iter().filter(|file| file.path != MAIN).map(|file| &file.content);
    if config.programs().chain(units).chain(files).any(names) {
        return None;
    }
    let what = "Flatcar's own containerd reads /usr/share/containerd/config.toml: this file counts on images whose containerd is told so, as \
                those of `footplate bake` and of image-builder";
    let cure = "on others add /etc/systemd/system/containerd.service.d/10-config.conf: `[Service]` and \
                `Environment=CONTAINERD_CONFIG=/etc/containerd/config.toml`";
    Some(Problem::note(main.place.clone(), what).cure(cure).code("containerd/not-read"))
}

/// Names of a template's in data that is none: the first of each file and command.
fn unfilled(config: &NodeConfig, reads: &Reads, places: &Places<'_>, found: &mut Vec<Problem>) {
    let files = config.files.iter().map(|file| (content(file), &file.content, file.path.as_str()));
    for (place, content, path) in files.chain(programs(config).map(|(place, text)| (place, text, ""))) {
        let text = content.expose_text();
        let filled = [IGNITION_CONFIG, IGNITION_SCRIPT].contains(&path);
        let mut tags = text.lines().enumerate().filter_map(|(i, line)| Some((i + 1, jinja(line)?)));
        let Some((line, column)) = tags.next().filter(|_| !filled) else { continue };
        let what = "a name of a jinja template, in data that is none: nothing fills it in";
        let problem = match reads.yaml(path) {
            true => Problem::error(place, what),
            false => Problem::warning(place, what),
        };
        let cure = match problem.place.starts_with("storage.") {
            true => {
                "Ignition has no templates: let it ask the machine (`hostname`, /run/metadata), or write it in the commands"
            }
            false => "let `## template: jinja` be the first line of the data",
        };
        found.push(places.line(problem.cure(cure).code("template/none"), line, column));
    }
}

/// Command lines that kubeadm refuses, in commands and in programs of the shell.
fn commands_of_kubeadm(config: &NodeConfig, places: &Places<'_>, found: &mut Vec<Problem>) {
    let files = config.files.iter().filter(|file| file.content.expose().starts_with(b"#!"));
    let files = files.map(|file| (content(file), &file.content));
    let mut path = commands::Path::default();
    for (place, content) in files.chain(programs(config)) {
        // Each program begins anew; `runcmd` is one script.
        if !place.starts_with("runcmd[") || place == "runcmd[0]" {
            path = commands::Path::default();
        }
        let text = content.expose_text();
        for (line, problem) in commands::problems(&place, &text, &mut path) {
            found.push(places.line(problem, line, 1));
        }
    }
}

/// A warning where networkd's files give a static address and none of them a gateway.
fn without_gateway(config: &NodeConfig) -> Option<Problem> {
    let of_networkd = |path: &str| path.contains("/systemd/network/") && path.ends_with(".network");
    let files = config.files.iter().filter(|file| of_networkd(&file.path));
    let file = stranded(files.map(|file| (file, file.content.expose_text())))?;
    let what =
        "a static address, and no file for the network has a gateway: the node reaches its own subnet only";
    let problem =
        Problem::warning(file.place.clone(), what).cure("add `Gateway=` to [Network], or a [Route] with one");
    Some(problem.code(NO_GATEWAY))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_a_machine_are_told_from_others() {
        for (line, want) in [
            ("name: '{{ ds.meta_data.local_hostname }}'", Some(8)),
            ("{{ v1['region'] }}", Some(1)),
            ("{{- ds['meta_data'].x -}}", Some(1)),
            ("a {{ b }} {{local_hostname | upper}}", Some(11)),
            ("{{ instance_id }}", Some(1)),
            (
                "{{ ds.service }} {{ v1.x }} {{ local_hostnames }} {{ ds }} {{ region }} {{ v1 }} {{ v1.regions }}",
                None,
            ),
            ("{{ ds.metadata.x }} {{ .local_hostname }} {{ $v1.region }} {{ local_hostname", None),
        ] {
            assert_eq!(super::jinja(line), want, "{line}");
        }
    }

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
