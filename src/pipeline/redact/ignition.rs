// SPDX-License-Identifier: Apache-2.0
//! What cloud-config has no words for, as an Ignition config beside it.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::removed;
use crate::model::config::{NodeConfig, UnitSpec};
use crate::model::paths::KUBEADM_UNIT;
use crate::model::secret::Secret;
use crate::model::storage::{Directory, EntrySpec, Existing, File, Layout, Link, Owner};
use crate::model::unit::{install, settings};

/// Directories, links, partitions by their numbers, files with Ignition's words for what is there already, and units with
/// what enables them, and the accounts that are to go. `None` where there is nothing of these.
pub(super) fn config(config: &NodeConfig) -> Option<Json> {
    let NodeConfig { files, directories, links, units, disks, users, groups, .. } = config;
    let files: Vec<&File> = files.iter().filter(|file| file.existing != Existing::Written).collect();
    let entries = disks.iter().filter_map(|disk| match &disk.layout {
        Layout::Entries(entries) => Some(entries),
        _ => None,
    });
    let unnamed = entries.flatten().any(|entry| entry.number == 0 && entry.label.is_none());
    let old = unnamed || is_old(&files, links);
    // Only 2.x asks for it.
    let filesystem = old.then_some("root");
    let rooted = |mut json: Json| {
        json["filesystem"] = json!(filesystem);
        json
    };
    let files = files.into_iter().map(|file| rooted(self::file(file, old)));
    let directories = directories.iter().map(|entry| rooted(directory(entry)));
    let links = links.iter().map(|entry| rooted(link(entry)));
    let units = units.iter().filter(|unit| !beside_commands(unit, config)).map(unit);
    let disks = disks.iter().filter_map(|disk| {
        let Layout::Entries(entries) = &disk.layout else { return None };
        let partitions: Vec<_> = entries.iter().map(partition).collect();
        Some(json!({ "device": disk.device, "wipeTable": disk.overwrite, "partitions": partitions }))
    });
    let gone = |name: &String| json!({ "name": name, "shouldExist": false });
    let users = users.iter().filter(|user| user.absent).map(|user| gone(&user.name));
    let groups = groups.iter().filter(|group| group.absent).map(|group| gone(&group.name));
    let lists = [
        files.collect(),
        directories.collect(),
        links.collect(),
        units.collect(),
        disks.collect::<Vec<_>>(),
        users.collect(),
        groups.collect(),
    ];
    if lists.iter().all(Vec::is_empty) {
        return None;
    }
    let [files, directories, links, units, disks, users, groups] = lists;
    let version = if old { "2.3.0" } else { "3.4.0" };
    let storage = json!({ "files": files, "directories": directories, "links": links, "disks": disks });
    let mut config = json!({
        "ignition": { "version": version }, "storage": storage, "systemd": { "units": units },
        "passwd": { "users": users, "groups": groups },
    });
    without_nulls(&mut config);
    Some(config)
}

/// What the data does not say is not said here: not every version has every key.
fn without_nulls(json: &mut Json) {
    match json {
        Json::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Json::Array(list) => list.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Whether a unit is the one that the data's commands are: no Ignition config may describe that one beside them.
pub(super) fn beside_commands(unit: &UnitSpec, config: &NodeConfig) -> bool {
    unit.name == KUBEADM_UNIT && !(config.runcmd.is_empty() && config.scripts.is_empty())
}

/// Whether it must be a config of 2.x: version 3 refuses two entries with one path, and a file below a link.
fn is_old(files: &[&File], links: &[Link]) -> bool {
    let mut paths = HashSet::new();
    let below = |path: &str, link: &Link| path.strip_prefix(&*link.path).is_some_and(|p| p.starts_with('/'));
    files.iter().any(|file| !paths.insert(&file.path) || links.iter().any(|link| below(&file.path, link)))
}

fn file(file: &File, old: bool) -> Json {
    let File { place: _, path, content, owner: by, mode, append, existing, restart: _ } = file;
    let mode = (*existing != Existing::Kept { mode: false }).then_some(mode);
    // A data URL of the same text as everywhere.
    let text = removed(content.len()).replace('#', "%23").replace(' ', "%20").replace('\n', "%0A");
    let content = json!({ "source": format!("data:,{text}") });
    // A file that is there already may be as the data wants it: with other content it is no reason to refuse the rest.
    let overwrite = (!matches!(existing, Existing::Kept { .. })).then_some(true);
    let [user, group] = owner(by);
    let mut file =
        json!({ "path": path, "user": user, "group": group, "mode": mode, "overwrite": overwrite });
    match (append, existing) {
        (true, _) if old => {
            file["append"] = json!(true);
            file["contents"] = content;
        }
        (true, _) => file["append"] = json!([content]),
        (false, Existing::Kept { .. }) => {}
        (false, _) => file["contents"] = content,
    }
    file
}

fn directory(directory: &Directory) -> Json {
    let Directory { place: _, path, owner: by, mode, existing } = directory;
    let [user, group] = owner(by);
    let overwrite = *existing == Existing::Replaced;
    json!({ "path": path, "user": user, "group": group, "mode": mode, "overwrite": overwrite })
}

fn link(link: &Link) -> Json {
    let Link { place: _, path, target, hard, owner: by, existing } = link;
    let [user, group] = owner(by);
    let overwrite = *existing == Existing::Replaced;
    json!({ "path": path, "target": target, "hard": hard, "user": user, "group": group, "overwrite": overwrite })
}

/// User and group, each by its name or its number.
fn owner(owner: &Owner) -> [Json; 2] {
    [&owner.user, &owner.group].map(|name| {
        let number = name.as_deref().and_then(|name| name.parse::<u32>().ok());
        number.map_or_else(|| json!({ "name": name }), |id| json!({ "id": id }))
    })
}

fn unit(unit: &UnitSpec) -> Json {
    let UnitSpec { place: _, name, contents, dropins, enabled, mask } = unit;
    let dropins = dropins.iter().map(|(name, text)| json!({ "name": name, "contents": installs(text) }));
    let (contents, dropins) = (contents.as_ref().map(installs), dropins.collect::<Vec<_>>());
    json!({ "name": name, "contents": contents, "dropins": dropins, "enabled": enabled, "mask": mask })
}

/// A unit's text without all but what `systemctl enable` reads of it: names of units.
fn installs(text: &Secret) -> String {
    let settings = settings(&String::from_utf8_lossy(text.expose())).unwrap_or_default();
    let mut kept = removed(text.len());
    for setting in settings.iter().filter(|s| s.section == "Install" && install::is_key(&s.key)) {
        kept += &format!("[Install]\n{}={}\n", setting.key, setting.value);
    }
    kept
}

fn partition(entry: &EntrySpec) -> Json {
    let EntrySpec { place: _, number, label, start, size, kind, guid, exists, replace, resize } = entry;
    let [start, size] = [start, size].map(|bytes| bytes.map(|bytes| bytes >> 20));
    json!({
        "number": number, "label": label, "startMiB": start, "sizeMiB": size, "typeGuid": kind, "guid": guid,
        "shouldExist": exists, "wipePartitionEntry": replace, "resize": resize.then_some(true),
    })
}

#[cfg(test)]
mod tests {
    use crate::decode::document::{self, jinja::Variables};

    /// What is in files and units stays out, in the words of both major versions; what enables a unit stays.
    #[test]
    fn contents_are_left_out() {
        let data = |version: &str| {
            format!(
                r#"{{"ignition": {{"version": "{version}"}}, "storage": {{"files": [
                {{"filesystem": "root", "path": "/a", "contents": {{"source": "data:,canary-1"}}}},
                {{"filesystem": "root", "path": "/b", "append": APPEND}}]}},
                "systemd": {{"units": [{{"name": "a.service", "enabled": true,
                "contents": "[Service]\nEnvironment=A=canary-3\n[Install]\n# canary-4\nX-Key=canary-5\nWantedBy=x.target\n",
                "dropins": [{{"name": "a.conf", "contents": "[Service]\nExecStart=canary-6\n[Install]\nAlso=b.service"}}]}}]}},
                "passwd": {{"users": [{{"name": "u", "passwordHash": "$6$canary-7$aaaaaaaaaaa", "gecos": "canary-8",
                "sshAuthorizedKeys": ["ssh-ed25519 canary-9"]}}]}}}}"#
            )
        };
        let append = [
            ("3.4.0", r#"[{"source": "data:,canary-2"}]"#),
            (
                "2.3.0",
                r#"true, "contents": {"source": "data:,canary-2"}}, {"filesystem": "root", "path": "/b", "append": true"#,
            ),
        ];
        for (version, append) in append {
            let read = |data: &str| {
                crate::decode::user_data(
                    Some(data.as_bytes()),
                    None,
                    &Variables::assumed(),
                    &mut document::no_fetch,
                )
            };
            let was = read(&data(version).replace("APPEND", append));
            assert!(!was.failed(), "{version}: {:?}", was.problems);
            let picture = super::super::picture(&was.config);
            assert!(!picture.contains("canary"), "{picture}");
            let is = read(&picture);
            assert!(is.problems.is_empty(), "{version}: {:?}", is.problems);
            let words = [&was.config, &is.config].map(|config| {
                let files: Vec<_> =
                    config.files.iter().map(|f| (f.path.clone(), f.mode, f.append, f.existing)).collect();
                (files, config.units[0].enabled, config.users[0].name.clone())
            });
            assert_eq!(words[0].1, Some(true));
            assert_eq!(words[0].0.len(), if version == "3.4.0" { 2 } else { 3 });
            assert!(
                words[1]
                    .0
                    .iter()
                    .zip(&words[0].0)
                    .all(|(is, was)| is.0 == was.0 && is.1 == was.1 && is.2 == was.2)
            );
            assert_eq!(words[0].1, words[1].1);
            assert!(picture.contains("WantedBy=x.target") && picture.contains("Also=b.service"), "{picture}");
        }
    }
}
