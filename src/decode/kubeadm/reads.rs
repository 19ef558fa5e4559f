// SPDX-License-Identifier: Apache-2.0
//! What kubeadm reads on a node: the files that its commands name, and those where they usually are.

use crate::decode::capi::documents;
use crate::decode::syntax::yaml::{self, Node};
use crate::model::config::NodeConfig;

/// Directories and beginnings of names of the files that kubeadm and the kubelet usually read.
const USUAL: &[&str] = &["/etc/kubernetes/", "/run/kubeadm/", "/etc/kubeadm.", "/tmp/kubeadm"];

/// Options of kubeadm that name a file, or a directory with patches.
const OPTIONS: &[&str] = &["--config", "--discovery-file", "--patches"];

/// Most directories that a relative path is looked for in.
const MAX_DIRECTORIES: usize = 20;

/// Most paths that are looked at: each is looked for in all commands.
pub(super) const MAX_NAMED: usize = 100;

/// A path that a command of kubeadm names.
pub(super) struct Named<'t> {
    /// The option.
    pub option: &'static str,
    /// The path as it is written.
    pub word: &'t str,
    /// Whether it stands behind `init` or `join`.
    pub bootstrap: bool,
}

/// The simple commands of a text of the shell's.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ';', '&', '|', '(', ')', '`'])
}

fn words(command: &str) -> impl Iterator<Item = &str> {
    command.split_whitespace().map(|word| word.trim_matches(['"', '\'']))
}

/// The paths that kubeadm's commands in a text name. Its continued lines are joined.
pub(super) fn named(text: &str) -> impl Iterator<Item = Named<'_>> {
    commands(text).flat_map(|command| {
        // Behind `=` in a unit: `ExecStart=/opt/bin/kubeadm`.
        let is_kubeadm = |word: &str| word.rsplit(['/', '=']).next() == Some("kubeadm");
        let words: Vec<&str> = words(command).skip_while(|word| !is_kubeadm(word)).skip(1).collect();
        let bootstrap = words.iter().any(|word| ["init", "join"].contains(word));
        let value = |at: usize, option: &'static str| {
            let word = match words[at].strip_prefix(option)? {
                "" => words.get(at + 1)?,
                rest => rest.strip_prefix('=')?.trim_matches(['"', '\'']),
            };
            (!word.is_empty() && !word.starts_with('-')).then_some(Named { option, word, bootstrap })
        };
        let all = (0..words.len()).flat_map(|at| OPTIONS.iter().map(move |option| (at, *option)));
        all.filter_map(|(at, option)| value(at, option)).collect::<Vec<_>>()
    })
}

/// Whether the shell makes a path of this word that is not known here.
pub(super) fn is_open(word: &str) -> bool {
    word.contains(['$', '*', '?', '~', '{', '%'])
}

/// A path without `.` and `..`, from a directory on where it is relative.
fn absolute(from: &str, path: &str) -> String {
    let from = if path.starts_with('/') { "" } else { from };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directories that a relative path may begin in: where commands start, and those that they change to.
fn directories(texts: &[String]) -> Vec<String> {
    let mut found = vec!["/".to_owned()];
    for command in texts.iter().flat_map(|text| commands(text)) {
        let mut words = words(command)
            .skip_while(|word| !["cd", "pushd"].contains(word) && !word.starts_with("WorkingDirectory="));
        let Some(first) = words.next() else { continue };
        let to =
            first.strip_prefix("WorkingDirectory=").or_else(|| words.find(|word| !word.starts_with('-')));
        let to = to.map(|to| filled(to, texts)).filter(|to| !to.is_empty() && !is_open(to));
        if let Some(to) = to.filter(|_| found.len() < MAX_DIRECTORIES) {
            found.push(absolute(found.last().map_or("/", String::as_str), &to));
        }
    }
    found
}

/// A word with the values of its variables, where a text gives them as they are.
fn filled(word: &str, texts: &[String]) -> String {
    let Some((before, rest)) = word.split_once('$') else { return word.to_owned() };
    let name = rest.trim_start_matches('{');
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    let (name, behind) = name.split_at(end);
    let behind = behind.strip_prefix('}').filter(|_| rest.starts_with('{')).unwrap_or(behind);
    let given = |word: &str| {
        word.strip_prefix(name)?.strip_prefix('=').map(|v| v.trim_matches(['"', '\'']).to_owned())
    };
    let mut all = texts.iter().flat_map(|text| commands(text)).flat_map(words);
    match all.find_map(given).filter(|value| !name.is_empty() && !value.contains('$')) {
        Some(value) => format!("{before}{value}{behind}"),
        None => word.to_owned(),
    }
}

/// The texts of a node that may call kubeadm, each with its continued lines joined.
fn texts(config: &NodeConfig) -> Vec<String> {
    let files = config.files.iter().map(|file| &file.content).filter(|text| text.expose().starts_with(b"#!"));
    let units =
        config.units.iter().flat_map(|u| u.contents.iter().chain(u.dropins.iter().map(|(_, text)| text)));
    let of_systemd = config.files.iter().filter(|file| file.path.starts_with("/etc/systemd/system/"));
    let all = config.programs().chain(files).chain(units).chain(of_systemd.map(|file| &file.content));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\\\n", " ");
    all.map(|content| text(content.expose())).filter(|text| !text.is_empty()).collect()
}

/// What kubeadm reads on a node.
pub struct Reads {
    /// Configurations that its commands name.
    configs: Vec<String>,
    /// Kubeconfigs that they name.
    others: Vec<String>,
    /// Directories with patches.
    patches: Vec<String>,
}

impl Reads {
    /// What the node's commands, units and configurations name.
    pub fn of(config: &NodeConfig) -> Self {
        let texts = texts(config);
        let mut reads = Self { configs: Vec::new(), others: Vec::new(), patches: Vec::new() };
        let directories = directories(&texts);
        for named in texts.iter().flat_map(|text| named(text)).take(MAX_NAMED) {
            let word = filled(named.word, &texts);
            let list = match named.option {
                "--config" => &mut reads.configs,
                "--patches" => &mut reads.patches,
                _ => &mut reads.others,
            };
            if !is_open(&word) {
                list.extend(paths(&word, &directories));
            }
        }
        for file in &config.files {
            let text = file.content.expose_text();
            if text.contains("kubeadm.k8s.io/") && text.contains("patches") {
                let trees = documents(&text, false).filter_map(|(_, document)| yaml::parse(document).ok());
                let directory = |tree: Node| tree.get("patches")?.get("directory")?.text().map(str::to_owned);
                reads.patches.extend(trees.filter_map(directory).map(|path| absolute("/", &path)));
            }
        }
        reads
    }

    /// Whether kubeadm reads the file at this path as its configuration.
    pub fn configuration(&self, path: &str) -> bool {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        directory == "/run/kubeadm"
            || path.starts_with("/etc/kubeadm.")
            || self.configs.iter().any(|p| p == path)
    }

    /// Whether kubeadm or the kubelet reads the file at this path as YAML.
    pub fn yaml(&self, path: &str) -> bool {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let below =
            USUAL.iter().any(|begin| path.starts_with(begin)) || self.patches.iter().any(|p| p == directory);
        let named = self.configs.iter().chain(&self.others).any(|p| p == path);
        named || below && [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end))
    }
}

/// The paths that a word may mean.
fn paths<'a>(word: &'a str, directories: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let alone = if word.starts_with('/') { &directories[..1] } else { directories };
    alone.iter().map(move |from| absolute(from, word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;
    use crate::model::storage::File;

    #[test]
    fn kubeadm_reads_what_its_commands_name() {
        let reads = |commands: &[&str]| {
            let runcmd = commands.iter().map(|line| Secret::new((*line).to_owned())).collect();
            Reads::of(&NodeConfig { runcmd, ..NodeConfig::default() })
        };
        for (commands, path) in [
            (&["kubeadm init --config /opt/my.conf"][..], "/opt/my.conf"),
            (&["timeout 9 '/opt/bin/kubeadm' 'join' '--config=/x'"], "/x"),
            (&["kubeadm init \\\n  --config \\\n  \"/opt/my.conf\""], "/opt/my.conf"),
            (&["mkdir -p /opt/k && cd /opt/k && kubeadm init --config ./my.yaml"], "/opt/k/my.yaml"),
            (&["cd /opt", "cd k", "kubeadm join --config ../my"], "/opt/my"),
            (&["kubeadm join --config opt/my"], "/opt/my"),
            (&["export DIR=/srv/k", "cd $DIR; kubeadm join --config my"], "/srv/k/my"),
            (&["C=\"/srv/k\"\nkubeadm init --config \"${C}/my\""], "/srv/k/my"),
            (&["bash -c 'kubeadm init phase certs all --config /opt/my'"], "/opt/my"),
        ] {
            assert!(reads(commands).configuration(path) && reads(commands).yaml(path), "{commands:?}");
        }
        let all = reads(&["kubeadm join --discovery-file /opt/d.conf --patches /opt/p --config $1 --v 5"]);
        let yaml = ["/opt/d.conf", "/opt/p/etcd+merge.yaml", "/etc/kubernetes/x.yaml"];
        assert_eq!(yaml.map(|path| (all.yaml(path), all.configuration(path))), [(true, false); 3]);
        assert!(
            ["/opt/p", "/opt/p/README", "/opt/p/a/b.yaml", "/opt/x.yaml", "$1", "5"]
                .iter()
                .all(|p| !all.yaml(p))
        );
        assert!(!reads(&["echo --config /opt/my", "kubelet --config /opt/my"]).yaml("/opt/my"));

        let text =
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\npatches: {directory: /opt/p/}\n";
        let files = vec![
            File::ours("/opt/c", text),
            File::ours("/opt/x", "#!/bin/sh\nkubeadm init --config /opt/c\n"),
        ];
        let reads = Reads::of(&NodeConfig { files, ..NodeConfig::default() });
        assert!(reads.configuration("/opt/c") && reads.yaml("/opt/p/etcd.json") && !reads.yaml("/opt/p/x"));
    }
}
