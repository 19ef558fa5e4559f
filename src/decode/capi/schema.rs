// SPDX-License-Identifier: Apache-2.0
//! The keys of Cluster API's KubeadmConfigSpec and their types
//! ([v1beta1 and v1beta2](https://pkg.go.dev/sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2#KubeadmConfigSpec)): the API
//! server refuses a value of another type, and kubectl a key that there is not.

use crate::decode::syntax::words;
use crate::decode::syntax::yaml::{Kind, Node, Value};
use crate::model::problem::Problem;

/// The type of a value.
pub enum Type {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A list of values of one type.
    List(&'static Type),
    /// A mapping of these keys.
    Map(Keys),
    /// A mapping of kubeadm's own API, which kubeadm checks.
    Kubeadm,
}

/// The keys of a mapping.
pub type Keys = &'static [(&'static str, Type)];

use Type::{Bool, Int, Kubeadm, List, Map, Text};

const TEXTS: Type = List(&Text);
const FROM_SECRET: Type = Map(&[("secret", Map(&[("key", Text), ("name", Text)]))]);

const FILE: Keys = &[
    ("append", Bool),
    ("content", Text),
    ("contentFrom", FROM_SECRET),
    ("encoding", Text),
    ("owner", Text),
    ("path", Text),
    ("permissions", Text),
];

const USER: Keys = &[
    ("gecos", Text),
    ("groups", Text),
    ("homeDir", Text),
    ("inactive", Bool),
    ("lockPassword", Bool),
    ("name", Text),
    ("passwd", Text),
    ("passwdFrom", FROM_SECRET),
    ("primaryGroup", Text),
    ("shell", Text),
    ("sshAuthorizedKeys", TEXTS),
    ("sudo", Text),
];

const DISK_SETUP: Keys = &[
    (
        "filesystems",
        List(&Map(&[
            ("device", Text),
            ("extraOpts", TEXTS),
            ("filesystem", Text),
            ("label", Text),
            ("overwrite", Bool),
            ("partition", Text),
            ("replaceFS", Text),
        ])),
    ),
    (
        "partitions",
        List(&Map(&[
            ("device", Text),
            ("diskLayout", List(&Map(&[("partitionType", Text), ("percentage", Int)]))),
            ("layout", Bool),
            ("overwrite", Bool),
            ("tableType", Text),
        ])),
    ),
];

/// KubeadmConfigSpec.
pub const SPEC: Type = Map(&[
    ("bootCommands", TEXTS),
    ("clusterConfiguration", Kubeadm),
    ("diskSetup", Map(DISK_SETUP)),
    ("files", List(&Map(FILE))),
    ("format", Text),
    ("ignition", Map(&[("containerLinuxConfig", Map(&[("additionalConfig", Text), ("strict", Bool)]))])),
    ("initConfiguration", Kubeadm),
    ("joinConfiguration", Kubeadm),
    ("mounts", List(&TEXTS)),
    ("ntp", Map(&[("enabled", Bool), ("servers", TEXTS)])),
    ("postKubeadmCommands", TEXTS),
    ("preKubeadmCommands", TEXTS),
    ("useExperimentalRetryJoin", Bool),
    ("users", List(&Map(USER))),
    ("verbosity", Int),
]);

/// Keys of cloud-config, and the key of the KubeadmConfig that becomes it.
const CLOUD_CONFIG: &[(&str, &str)] = &[
    ("bootcmd", "bootCommands"),
    ("disk_setup", "diskSetup"),
    ("fs_setup", "diskSetup"),
    ("homedir", "homeDir"),
    ("runcmd", "preKubeadmCommands"),
    ("write_files", "files"),
];

/// Whether a scalar has a variable of clusterctl's in it: its type and its value are not known yet.
pub fn is_open(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains("${"))
}

/// Checks a value of the author's object.
pub fn check(node: &Node, of: &Type, place: &str, problems: &mut Vec<Problem>) {
    if node.is_null() || is_open(node) {
        return;
    }
    let is = |kind: fn(&Kind) -> bool| node.scalar().is_some_and(|s| kind(&s.kind));
    let (good, name) = match of {
        Text => (is(|k| matches!(k, Kind::Str)), "a string"),
        Bool => (is(|k| matches!(k, Kind::Bool(_))), "true or false"),
        Int => (is(|k| matches!(k, Kind::Int(_))), "a whole number"),
        List(_) => (node.list().is_some(), "a list"),
        Map(_) | Kubeadm => (node.is_map(), "a mapping"),
    };
    if !good {
        let what = format!("must be {name}, this is {}", node.kind_name());
        let problem = Problem::error(place, what).at(node.pos).code("object/type");
        let quote = matches!((of, &node.value), (Text, Value::Scalar(_)));
        return problems.push(if quote { problem.cure("put it in quotes") } else { problem });
    }
    match of {
        List(of) => {
            for (i, item) in node.list().unwrap_or_default().iter().enumerate() {
                check(item, of, &format!("{place}[{i}]"), problems);
            }
        }
        Map(keys) => {
            for (key, value) in node.entries() {
                let name = key.text().unwrap_or_default();
                match keys.iter().find(|(known, _)| *known == name) {
                    Some((_, of)) => check(value, of, &format!("{place}.{name}"), problems),
                    None => problems.push(unknown(key, name, keys, place)),
                }
            }
        }
        _ => {}
    }
}

fn unknown(key: &Node, name: &str, keys: Keys, place: &str) -> Problem {
    let known = |wanted: &str| keys.iter().any(|(k, _)| *k == wanted);
    let of_cloud_config = CLOUD_CONFIG.iter().find(|(k, meant)| *k == name && known(meant)).map(|(_, m)| *m);
    let meant = of_cloud_config.or_else(|| words::meant(name, keys.iter().map(|(k, _)| *k)));
    let shown = if name.len() <= 60 { format!("{place}.{name}") } else { place.to_owned() };
    let problem =
        Problem::error(shown, "Cluster API does not have this key").at(key.pos).code("object/unknown-key");
    match meant {
        Some(meant) => problem.cure(format!("did you mean `{meant}`?")),
        None => Problem { severity: crate::model::problem::Severity::Warning, ..problem },
    }
}
