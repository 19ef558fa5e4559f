// SPDX-License-Identifier: Apache-2.0
//! The Ignition config that Cluster API makes of a KubeadmConfigSpec with `format: ignition`: version 2.3, translated from a
//! Container Linux Config.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::kubeadm::{self, Role};
use super::schema::is_open;
use super::writer::{Given, Writer};
use crate::decode::document::envelope::{Encoding, MAX_DECODED};
use crate::model::problem::Problem;

const UNIT: &str = "[Unit]\nDescription=kubeadm\nConditionPathExists=/etc/kubeadm.yml\nAfter=network.target\n[Service]\n\
    Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/bash /etc/kubeadm.sh\n[Install]\nWantedBy=multi-user.target\n";

/// Adds what Cluster API's webhook refuses in one of the formats.
pub fn refused(spec: &Given<'_>, ignition: bool, problems: &mut Vec<Problem>) {
    let mut refuse = |given: Option<Given<'_>>, cure: &str| {
        if let Some(given) = given {
            let what = match ignition {
                true => "Cluster API refuses this with `format: ignition`",
                false => "Cluster API refuses this without `format: ignition`",
            };
            problems
                .push(Problem::error(given.place, what).at(given.node.pos).cure(cure).code("object/format"));
        }
    };
    if !ignition {
        return refuse(spec.get("ignition"), "set `format: ignition`, or remove it");
    }
    refuse(spec.get("bootCommands"), "use preKubeadmCommands, or a unit in additionalConfig");
    for user in spec.items("users") {
        refuse(user.get("inactive"), "remove it, or set `lockPassword: true`");
    }
    for file in spec.items("files") {
        let packed = file.text("encoding").starts_with("gz");
        refuse(file.get("encoding").filter(|_| packed), "give the content in base64, or as plain text");
    }
    let Some(disks) = spec.get("diskSetup") else { return };
    for disk in disks.items("partitions") {
        let other = !matches!(disk.text("tableType"), "" | "gpt");
        refuse(disk.get("tableType").filter(|t| other && !is_open(t.node)), "set it to `gpt`");
    }
    for filesystem in disks.items("filesystems") {
        refuse(filesystem.get("replaceFS"), "remove it");
        refuse(filesystem.get("partition"), "name the partition's device in `device`");
    }
}

fn data_url(bytes: &[u8]) -> Value {
    json!({ "source": format!("data:;base64,{}", STANDARD.encode(bytes)) })
}

/// A config in the making.
pub struct Maker<'w, 'a> {
    pub out: &'w mut Writer<'a>,
    pub config: Map<String, Value>,
}

/// Writes the config of one node.
pub fn write(out: &mut Writer<'_>, spec: &Given<'_>, role: Role) {
    let mut maker = Maker { out, config: Map::new() };
    maker.config.insert("ignition".to_owned(), json!({ "version": "2.3.0" }));
    for user in spec.items("users") {
        maker.user(&user);
    }
    if role.is_control_plane() {
        for (path, mode, lines) in kubeadm::CERTIFICATES {
            let content = format!("{}\n", kubeadm::FILLER).repeat(*lines);
            maker.made_file(path, mode, content.as_bytes());
        }
    }
    for file in spec.items("files") {
        maker.file(&file);
    }
    maker.bootstrap(spec, role);
    if let Some(ntp) = spec.get("ntp").filter(|ntp| ntp.node.get("enabled").is_none() || ntp.is("enabled")) {
        let server = |s: Given<'_>| format!("server {}\n", s.node.text().unwrap_or_default());
        let servers: String = ntp.items("servers").into_iter().map(server).collect();
        let mark = maker.out.mark(&ntp, &[]);
        let at = maker.made_file("/etc/ntp.conf", "0644", servers.as_bytes());
        maker.out.origin.place(at, mark);
        maker.push("systemd.units", json!({ "name": "ntpd.service", "enabled": true }));
    }
    maker.mounts(spec);
    let additional = spec.get("ignition").and_then(|i| i.get("containerLinuxConfig"));
    if let Some(additional) = additional.and_then(|a| a.get("additionalConfig")) {
        super::clc::add(&mut maker, &additional);
    }
    let text = Value::Object(std::mem::take(&mut maker.config)).to_string();
    maker.out.text = text;
}

impl Maker<'_, '_> {
    /// Adds an entry to a list of the config, and gives its place.
    pub fn push(&mut self, list: &str, entry: Value) -> String {
        let (section, name) = list.split_once('.').unwrap_or((list, ""));
        let section = self.config.entry(section).or_insert_with(|| json!({}));
        let mut len = 0;
        if let Value::Object(section) = section
            && let Value::Array(items) = section.entry(name).or_insert_with(|| json!([]))
        {
            len = items.len();
            items.push(entry);
        }
        format!("{list}[{len}]")
    }

    fn made_file(&mut self, path: &str, mode: &str, content: &[u8]) -> String {
        let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
        let entry =
            json!({ "filesystem": "root", "path": path, "mode": mode, "contents": data_url(content) });
        self.push("storage.files", entry)
    }

    fn file(&mut self, file: &Given<'_>) {
        self.out.elsewhere.extend(file.get("contentFrom").map(|_| file.place.clone()));
        let given = file.content();
        let text = given.as_ref().and_then(|content| content.node.text()).unwrap_or_default().as_bytes();
        let content = Encoding::by_name(file.text("encoding"))
            .unwrap_or(Encoding::Plain)
            .decode(text.to_vec(), MAX_DECODED);
        let content = content.unwrap_or_else(|_| text.to_vec());
        let mut entry =
            json!({ "filesystem": "root", "path": file.text("path"), "contents": data_url(&content) });
        let mode = file.text("permissions").trim();
        if let Some(mode) =
            u32::from_str_radix(mode.trim_start_matches("0o"), 8).ok().filter(|_| !mode.is_empty())
        {
            entry["mode"] = json!(mode);
        }
        if let (owner @ 1.., (user, group)) =
            (file.text("owner").len(), file.text("owner").split_once(':').unwrap_or((file.text("owner"), "")))
        {
            entry["user"] = json!({ "name": user });
            if group.len() < owner && !group.is_empty() {
                entry["group"] = json!({ "name": group });
            }
        }
        if file.is("append") {
            entry["append"] = json!(true);
        }
        let at = self.push("storage.files", entry);
        self.out.mark(file, &[&at]);
        for (key, named) in [
            ("path", "path"),
            ("permissions", "mode"),
            ("owner", "user"),
            ("owner", "group"),
            ("owner", "owner"),
        ] {
            if let Some(value) = file.get(key) {
                self.out.mark(&value, &[&format!("{at}.{named}")]);
            }
        }
        if let Some(content) = given {
            self.out.mark(&content, &[&format!("{at}.contents")]);
        }
    }

    fn user(&mut self, user: &Given<'_>) {
        let mut entry = Map::new();
        for (key, named) in [
            ("name", "name"),
            ("gecos", "gecos"),
            ("homeDir", "homeDir"),
            ("shell", "shell"),
            ("primaryGroup", "primaryGroup"),
            ("passwd", "passwordHash"),
        ] {
            if !user.text(key).is_empty() {
                entry.insert(named.to_owned(), json!(user.text(key)));
            }
        }
        let groups: Vec<&str> =
            user.text("groups").split(',').map(str::trim).filter(|g| !g.is_empty()).collect();
        let keys: Vec<&str> = user.items("sshAuthorizedKeys").iter().filter_map(|k| k.node.text()).collect();
        entry.extend([("groups".to_owned(), json!(groups)), ("sshAuthorizedKeys".to_owned(), json!(keys))]);
        let at = self.push("passwd.users", Value::Object(entry));
        self.out.mark(user, &[&at]);
        for (key, named) in [
            ("name", "name"),
            ("homeDir", "homeDir"),
            ("shell", "shell"),
            ("passwd", "passwordHash"),
            ("groups", "groups"),
            ("sshAuthorizedKeys", "sshAuthorizedKeys"),
        ] {
            if let Some(value) = user.get(key) {
                self.out.mark(&value, &[&format!("{at}.{named}")]);
            }
        }
        if let Some(sudo) = user.get("sudo") {
            let (name, rule) = (user.text("name"), user.text("sudo"));
            let at = self.made_file(
                &format!("/etc/sudoers.d/{name}"),
                "0600",
                format!("{name} {rule}\n").as_bytes(),
            );
            self.out.mark(&sudo, &[&at]);
        }
    }

    /// kubeadm's configuration, the script that runs it with the author's commands, and the unit that runs the script.
    fn bootstrap(&mut self, spec: &Given<'_>, role: Role) {
        let (mut script, mut lines) = ("#!/bin/bash\nset -e\n\n".to_owned(), vec![None; 3]);
        let kubeadm = format!(
            "{} && {}\nmv /etc/kubeadm.yml /tmp/\n",
            kubeadm::command(spec, role, "/etc/kubeadm.yml"),
            kubeadm::SENTINEL
        );
        for (key, fixed) in [("preKubeadmCommands", kubeadm.as_str()), ("postKubeadmCommands", "")] {
            for command in spec.items(key) {
                let text = command.node.text().unwrap_or_default();
                let mark = self.out.mark(&command, &[]);
                script += &format!("{text}\n");
                lines.extend((0..text.split('\n').count()).map(|line| Some((mark, line + 1))));
            }
            script += fixed;
            lines.extend(fixed.lines().map(|_| None));
        }
        let at = self.made_file("/etc/kubeadm.sh", "0700", script.as_bytes());
        self.out.origin.script(at, lines);
        let mut config = Writer::new(self.out.source());
        kubeadm::write(&mut config, spec, role, 0);
        let at = self.made_file("/etc/kubeadm.yml", "0600", config.text.as_bytes());
        self.out.origin.file(at, config.origin);
        self.push("systemd.units", json!({ "name": "kubeadm.service", "enabled": true, "contents": UNIT }));
    }

    fn mounts(&mut self, spec: &Given<'_>) {
        for mount in spec.items("mounts") {
            let fields: Vec<&str> = mount.each().iter().map(|f| f.node.text().unwrap_or_default()).collect();
            let [what, path, ..] = fields[..] else { continue };
            let name = path.trim_matches('/').replace('-', "\\x2d").replace('/', "-");
            let contents =
                format!("[Mount]\nWhat={what}\nWhere={path}\n[Install]\nWantedBy=local-fs.target\n");
            let entry = json!({ "name": format!("{name}.mount"), "enabled": true, "contents": contents });
            let at = self.push("systemd.units", entry);
            self.out.mark(&mount, &[&at]);
        }
    }
}
