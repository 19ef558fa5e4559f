// SPDX-License-Identifier: Apache-2.0
//! The cloud-config that Cluster API makes of a KubeadmConfigSpec, its own files and commands included.

use super::kubeadm::{self, Role};
use super::writer::{Given, Writer, is_one_variable};

/// Keys of a user, and how cloud-config has them.
const USER: &[(&str, &str)] = &[
    ("passwd", "passwd"),
    ("gecos", "gecos"),
    ("groups", "groups"),
    ("homeDir", "homedir"),
    ("inactive", "inactive"),
    ("lockPassword", "lock_passwd"),
    ("shell", "shell"),
    ("primaryGroup", "primary_group"),
    ("sudo", "sudo"),
];

/// Keys of a filesystem, and how cloud-config has them.
const FILESYSTEM: &[(&str, &str)] = &[
    ("filesystem", "filesystem"),
    ("device", "device"),
    ("label", "label"),
    ("partition", "partition"),
    ("overwrite", "overwrite"),
    ("replaceFS", "replace_fs"),
];

/// A cloud-config in the making.
pub struct Maker<'w, 'a> {
    pub out: &'w mut Writer<'a>,
    files: usize,
}

/// Writes the cloud-config of one node.
pub fn write(out: &mut Writer<'_>, spec: &Given<'_>, role: Role) {
    let mut maker = Maker::new(out);
    if role.is_control_plane() {
        for (path, mode, lines) in kubeadm::CERTIFICATES {
            maker.made_file(path, mode);
            for _ in 0..*lines {
                maker.out.made(&format!("      {}", kubeadm::FILLER), None);
            }
        }
    }
    for file in spec.items("files") {
        maker.file(&file);
    }
    maker.made_file(role.config(), "0640");
    kubeadm::write(maker.out, spec, role, 6);
    maker.made_file("/run/cluster-api/placeholder", "0640");
    maker.out.made("      This file makes its directory.", None);
    let retry = spec.is("useExperimentalRetryJoin") && role != Role::Init;
    if retry {
        maker.made_file("/usr/local/bin/kubeadm-bootstrap-script", "0755");
        let command = format!("      #!/bin/bash\n      {}", kubeadm::command(spec, role, role.config()));
        maker.out.made(&command, None);
    }
    let boot = spec.items("bootCommands");
    if !boot.is_empty() {
        maker.out.made("bootcmd:", None);
        maker.commands(&boot, "bootcmd", 0);
    }
    maker.out.made("runcmd:", None);
    let (before, after) = (spec.items("preKubeadmCommands"), spec.items("postKubeadmCommands"));
    maker.commands(&before, "runcmd", 0);
    let command = match retry {
        true => format!("/usr/local/bin/kubeadm-bootstrap-script && {}", kubeadm::SENTINEL),
        false => format!("{} && {}", kubeadm::command(spec, role, role.config()), kubeadm::SENTINEL),
    };
    maker.out.made(&format!("  - {command}"), None);
    maker.commands(&after, "runcmd", before.len() + 1);
    maker.rest(spec);
}

impl<'w, 'a> Maker<'w, 'a> {
    /// Begins a cloud-config with its files.
    pub fn new(out: &'w mut Writer<'a>) -> Self {
        out.made("## template: jinja\n#cloud-config\n\nwrite_files:", None);
        Self { out, files: 0 }
    }

    /// Begins a file that the provider makes.
    pub fn made_file(&mut self, path: &str, mode: &str) {
        let head =
            format!("-   path: {path}\n    owner: root:root\n    permissions: '{mode}'\n    content: |");
        self.out.made(&head, None);
        self.files += 1;
    }

    /// Adds a file of the author's.
    pub fn file(&mut self, file: &Given<'_>) {
        let at = format!("write_files[{}]", self.files);
        self.files += 1;
        let whole = self.out.mark(file, &[&at]);
        self.out.elsewhere.extend(file.get("contentFrom").map(|_| file.place.clone()));
        match file.get("path") {
            Some(path) => self.field("-   path: ", "", &path, &format!("{at}.path")),
            None => self.out.made("-   path:", Some(whole)),
        }
        for (key, head, tail) in [
            ("encoding", "    encoding: \"", "\""),
            ("owner", "    owner: ", ""),
            ("permissions", "    permissions: '", "'"),
        ] {
            // What a variable will hold is not known, and not how it is packed.
            let open =
                key == "encoding" && file.content().is_some_and(|content| is_one_variable(content.node));
            if let Some(value) =
                file.get(key).filter(|v| !open && v.node.text().is_some_and(|t| !t.is_empty()))
            {
                self.field(head, tail, &value, &format!("{at}.{key}"));
            }
        }
        if file.is("append") {
            self.out.made("    append: true", Some(whole));
        }
        self.out.made("    content: |", Some(whole));
        if let Some(content) = file.content() {
            let mark = self.out.mark(&content, &[&format!("{at}.content")]);
            self.out.block(6, content.node.text().unwrap_or_default(), mark);
        }
    }

    fn field(&mut self, head: &str, tail: &str, given: &Given<'_>, at: &str) {
        let mark = self.out.mark(given, &[at]);
        self.out.value(head, given.node.text().unwrap_or_default(), tail, mark);
    }

    /// Adds commands of the author's, behind so many others.
    pub fn commands(&mut self, commands: &[Given<'_>], key: &str, before: usize) {
        for (i, command) in commands.iter().enumerate() {
            self.out.quoted("  - ", command, &format!("{key}[{}]", before + i));
        }
    }

    /// A key's list of texts.
    pub fn list(&mut self, head: &str, indent: &str, given: &Given<'_>, at: &str) {
        let mark = self.out.mark(given, &[at]);
        self.out.made(head, Some(mark));
        for (i, item) in given.each().iter().enumerate() {
            self.field(indent, "", item, &format!("{at}[{i}]"));
        }
    }

    fn rest(&mut self, spec: &Given<'_>) {
        if let Some(ntp) = spec.get("ntp") {
            let mark = self.out.mark(&ntp, &["ntp"]);
            self.out.made("ntp:", Some(mark));
            if let Some(enabled) = ntp.get("enabled") {
                self.field("  enabled: ", "", &enabled, "ntp.enabled");
            }
            if let Some(servers) = ntp.get("servers") {
                self.list("  servers:", "    - ", &servers, "ntp.servers");
            }
        }
        let users = spec.items("users");
        if !users.is_empty() {
            self.out.made("users:", None);
        }
        for (i, user) in users.iter().enumerate() {
            self.user(user, &format!("users[{i}]"));
        }
        if let Some(disks) = spec.get("diskSetup") {
            self.disks(&disks);
        }
        let mounts = spec.items("mounts");
        if !mounts.is_empty() {
            self.out.made("mounts:", None);
        }
        for (i, mount) in mounts.iter().enumerate() {
            let mark = self.out.mark(mount, &[&format!("mounts[{i}]")]);
            for (n, field) in mount.each().iter().enumerate() {
                self.field(if n == 0 { "  - - " } else { "    - " }, "", field, &format!("mounts[{i}][{n}]"));
            }
            if mount.each().is_empty() {
                self.out.made("  - []", Some(mark));
            }
        }
    }

    fn user(&mut self, user: &Given<'_>, at: &str) {
        let whole = self.out.mark(user, &[at]);
        match user.get("name") {
            Some(name) => self.field("  - name: ", "", &name, &format!("{at}.name")),
            None => self.out.made("  - name:", Some(whole)),
        }
        for (key, named) in USER {
            if let Some(value) = user.get(key) {
                self.field(&format!("    {named}: "), "", &value, &format!("{at}.{named}"));
            }
        }
        if let Some(keys) = user.get("sshAuthorizedKeys") {
            self.list("    ssh_authorized_keys:", "      - ", &keys, &format!("{at}.ssh_authorized_keys"));
        }
    }

    fn disks(&mut self, disks: &Given<'_>) {
        let (partitions, filesystems) = (disks.items("partitions"), disks.items("filesystems"));
        self.out.made("disk_setup:", None);
        for partition in &partitions {
            let device = partition.text("device");
            let at = format!("disk_setup[{device}]");
            let mark = self.out.mark(partition, &[&at]);
            self.out.value("  ", device, ":", mark);
            if let Some(table) = partition.get("tableType") {
                self.field("    table_type: ", "", &table, &format!("{at}.table_type"));
            }
            match (partition.items("diskLayout"), partition.get("layout")) {
                (parts, _) if !parts.is_empty() => {
                    self.out.made("    layout:", Some(mark));
                    for part in parts {
                        let line = match part.text("partitionType") {
                            "" => format!("      - {}", part.text("percentage")),
                            kind => format!("      - [{}, {kind}]", part.text("percentage")),
                        };
                        self.out.made(&line, Some(mark));
                    }
                }
                (_, Some(layout)) => self.field("    layout: ", "", &layout, &format!("{at}.layout")),
                (_, None) => self.out.made("    layout: <nil>", Some(mark)),
            }
            if let Some(overwrite) = partition.get("overwrite") {
                self.field("    overwrite: ", "", &overwrite, &format!("{at}.overwrite"));
            }
        }
        self.out.made("fs_setup:", None);
        for (i, filesystem) in filesystems.iter().enumerate() {
            let at = format!("fs_setup[{i}]");
            let mark = self.out.mark(filesystem, &[&at]);
            self.out.made("  -", Some(mark));
            for (key, named) in FILESYSTEM {
                if let Some(value) = filesystem.get(key) {
                    self.field(&format!("    {named}: "), "", &value, &format!("{at}.{named}"));
                }
            }
            if let Some(options) = filesystem.get("extraOpts") {
                self.list("    extra_opts:", "      - ", &options, &format!("{at}.extra_opts"));
            }
        }
    }
}
