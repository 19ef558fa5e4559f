// SPDX-License-Identifier: Apache-2.0
//! The keys of Cluster API's KubeadmConfigSpec and their types
//! ([v1beta1 and v1beta2](https://pkg.go.dev/sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2#KubeadmConfigSpec)): the API
//! server refuses a value of another type, and kubectl a key that there is not.

use super::kubeadm_keys::{CLUSTER, INIT, JOIN};
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::{Kind, Node, Value, resolve};
use crate::model::problem::{Problem, Severity};

/// The type of a value.
pub enum Type {
    /// A string.
    Text,
    /// A string of a form that kubeadm wants: what gives the error of another one, by its place and its text.
    Form(fn(&str, &str) -> Option<Problem>),
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A list of values of one type.
    List(&'static Type),
    /// A mapping of these keys.
    Map(Keys),
    /// Arguments of a program: a mapping of strings, or in newer versions a list of names and values.
    Args,
    /// Anything.
    Any,
}

/// The keys of a mapping.
pub type Keys = &'static [(&'static str, Type)];

use Type::{Any, Args, Bool, Form, Int, List, Map, Text};

/// A list of strings.
pub const TEXTS: Type = List(&Text);
static ARGS: Type = List(&Map(&[("name", Text), ("value", Text)]));
const FROM_SECRET: Type = Map(&[("secret", Map(&[("key", Text), ("name", Text)]))]);

/// A file that an object of any bootstrap provider brings.
pub const FILE: Keys = &[
    ("append", Bool),
    ("content", Text),
    ("contentFormat", Text),
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
    ("clusterConfiguration", CLUSTER),
    ("diskSetup", Map(DISK_SETUP)),
    ("files", List(&Map(FILE))),
    ("format", Text),
    ("ignition", Map(&[("containerLinuxConfig", Map(&[("additionalConfig", Text), ("strict", Bool)]))])),
    ("initConfiguration", INIT),
    ("joinConfiguration", JOIN),
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

/// The names that the bootstrap providers have for one thing: commands before the bootstrap and commands behind it.
const COMMANDS: [[&str; 3]; 2] = [
    ["preKubeadmCommands", "preRKE2Commands", "preK3sCommands"],
    ["postKubeadmCommands", "postRKE2Commands", "postK3sCommands"],
];

/// Whether a scalar has a variable of clusterctl's in it: its type and its value are not known yet.
pub fn is_open(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains("${"))
}

/// Whether a mapping has a key.
pub fn is_key(of: &Type, name: &str) -> bool {
    matches!(of, Map(keys) if keys.iter().any(|(key, _)| *key == name))
}

/// Most problems that are told of one mapping.
const MAX_TOLD: usize = 100;

/// How values are held against a schema.
pub struct Schema {
    /// What has the keys: `Cluster API`, `kubeadm`.
    pub owner: &'static str,
    /// Whether arguments of programs are lists of names and values; `None` where the version does not say.
    pub args_are_lists: Option<bool>,
    /// The type of the whole.
    pub root: &'static Type,
}

impl Schema {
    /// Checks a value of the author's at a place, and all that is in it.
    pub fn check(&self, node: &Node, place: &str, problems: &mut Vec<Problem>) {
        self.value(node, self.root, place, problems);
    }

    fn value(&self, node: &Node, of: &Type, place: &str, problems: &mut Vec<Problem>) {
        if node.is_null() || is_open(node) {
            return;
        }
        if place.ends_with("kubeletExtraArgs") {
            problems.extend(labels(node, place));
        }
        let of = match (of, self.args_are_lists) {
            (Args, Some(true)) => &ARGS,
            (Args, None) => &Any,
            _ => of,
        };
        let is = |kind: fn(&Kind) -> bool| node.scalar().is_some_and(|s| kind(&s.kind));
        let (good, name) = match of {
            Text | Form(_) => (is(|k| matches!(k, Kind::Str)), "a string"),
            Bool => (is(|k| matches!(k, Kind::Bool(_))), "true or false"),
            Int => (is(|k| matches!(k, Kind::Int(_))), "a whole number"),
            List(_) => (node.list().is_some(), "a list"),
            Map(_) | Args => (node.is_map(), "a mapping"),
            Any => return,
        };
        if !good {
            let what = format!("must be {name}, this is {}", node.kind_name());
            let problem = Problem::error(place, what).at(node.pos).code("object/type");
            return problems.push(match self.how(of, node) {
                "" => problem,
                cure => problem.cure(cure),
            });
        }
        match of {
            Form(check) => {
                problems.extend(check(place, node.text().unwrap_or_default()).map(|p| p.at(node.pos)));
            }
            List(of) => {
                for (i, item) in node.list().unwrap_or_default().iter().enumerate() {
                    let place = format!("{place}[{i}]");
                    if item.is_null() && matches!(of, Text | Form(_)) {
                        let problem = Problem::error(place, "must be a string, this is nothing").at(item.pos);
                        problems.push(
                            problem.cure("remove the dash, or write the text behind it").code("object/type"),
                        );
                        continue;
                    }
                    self.value(item, of, &place, problems);
                }
            }
            Map(keys) => {
                let first = problems.len();
                for (key, value) in node.entries() {
                    if problems.len() > first + MAX_TOLD {
                        let what =
                            format!("more than {MAX_TOLD} values here are wrong: the rest was not looked at");
                        problems.push(Problem::error(place, what).at(key.pos).code("object/unknown-key"));
                        break;
                    }
                    let name = key.text().unwrap_or_default();
                    match keys.iter().find(|(known, _)| *known == name) {
                        Some((_, of)) => self.value(value, of, &join(place, name), problems),
                        None => problems.push(self.unknown(key, name, keys, place)),
                    }
                }
            }
            Args => {
                for (key, value) in node.entries() {
                    self.value(value, &Text, &join(place, key.text().unwrap_or_default()), problems);
                }
            }
            _ => {}
        }
    }

    /// What to do about a value of another type.
    fn how(&self, of: &Type, node: &Node) -> &'static str {
        match (of, &node.value) {
            (Text | Form(_), Value::Scalar(_)) => "put it in quotes",
            // YAML takes `{{ name }}` for a mapping whose key is a mapping.
            (_, Value::Map(entries)) if entries.iter().any(|(key, _)| key.is_map()) => {
                "put a template in quotes: '{{ … }}'"
            }
            (Text, Value::Map(_)) => {
                "a colon followed by a blank makes a mapping: put the whole line in quotes, or below a `|`"
            }
            (Text, Value::List(_)) => "write one line of text in quotes",
            (Bool, Value::Scalar(s)) if !matches!(resolve(&s.text), Kind::Bool(_)) => {
                "write `true` or `false`"
            }
            (Int, Value::Scalar(s)) if !matches!(resolve(&s.text), Kind::Int(_)) => "write a number",
            (Bool | Int, Value::Scalar(_)) => "write it without quotes",
            (List(_), Value::Map(_)) if std::ptr::eq(of, &ARGS) => {
                "write a list here: `- name: NAME` and below it `value: 'VALUE'`"
            }
            (List(_), Value::Map(_) | Value::Scalar(_)) => "put a dash before each item",
            (Args, Value::List(_)) => {
                "write `NAME: 'VALUE'` here: lists of names and values are of newer versions"
            }
            _ => "",
        }
    }

    fn unknown(&self, key: &Node, name: &str, keys: Keys, place: &str) -> Problem {
        if name.contains("${") {
            let what = "a variable of clusterctl's stands for this key: what is below it is not checked";
            return Problem::note(place, what).at(key.pos).code("object/unknown-key");
        }
        let known = |wanted: &str| keys.iter().any(|(k, _)| *k == wanted);
        let of_cloud_config =
            CLOUD_CONFIG.iter().find(|(k, meant)| *k == name && known(meant)).map(|(_, m)| *m);
        let of_another = COMMANDS
            .iter()
            .filter(|names| names.contains(&name))
            .find_map(|names| names.iter().find(|meant| known(meant)));
        if let Some(meant) = of_another {
            let what =
                format!("{} does not have this key: it is one of another bootstrap provider", self.owner);
            let problem = Problem::error(join(place, name), what).at(key.pos).code("object/unknown-key");
            return problem.cure(format!("write `{meant}`"));
        }
        let meant = of_cloud_config.or_else(|| words::meant(name, keys.iter().map(|(k, _)| *k)));
        let shown = if name.len() <= 60 { join(place, name) } else { place.to_owned() };
        let problem = Problem::error(shown, format!("{} does not have this key here", self.owner))
            .at(key.pos)
            .code("object/unknown-key");
        if let Some(meant) = meant {
            return problem.cure(format!("did you mean `{meant}`?"));
        }
        let mut elsewhere = Vec::new();
        places_of(name, self.root, "", &mut elsewhere);
        match &elsewhere[..] {
            [one] => problem.cure(format!("it belongs below `{one}`")),
            [one, other] => problem.cure(format!("it belongs below `{one}` or `{other}`")),
            _ => {
                Problem { severity: Severity::Warning, ..problem }.cure("remove it, or correct its spelling")
            }
        }
    }
}

/// Labels that the kubelet does not take from its command line: it ends, since only the API may give those of Kubernetes' own
/// ([its rule](https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction)).
fn labels(args: &Node, place: &str) -> Option<Problem> {
    let is_it = |item: &&Node| item.get("name").and_then(Node::text) == Some("node-labels");
    let of_list = || args.list()?.iter().find(is_it)?.get("value");
    let given = args.get("node-labels").or_else(of_list)?;
    let refused = |label: &&str| {
        let key = label.split('=').next().unwrap_or_default().trim();
        let Some((domain, name)) = key.split_once('/') else { return false };
        let is_in =
            |of: &str| domain.strip_suffix(of).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        let own = match domain.strip_prefix("beta.").unwrap_or(domain) {
            "kubernetes.io" => ["hostname", "os", "arch", "instance-type"].contains(&name),
            "topology.kubernetes.io" | "failure-domain.beta.kubernetes.io" => {
                ["zone", "region"].contains(&name)
            }
            _ => is_in("kubelet.kubernetes.io") || is_in("node.kubernetes.io"),
        };
        !own && (is_in("kubernetes.io") || is_in("k8s.io"))
    };
    let label = given.text()?.split(',').find(refused)?.split('=').next()?.trim();
    let what = format!("the kubelet ends: it may not give itself the label `{label}`");
    let cure = "set it in the Machine's template (`metadata.labels`), which Cluster API copies to the Node, or choose another domain";
    Some(Problem::error(join(place, "node-labels"), what).at(given.pos).cure(cure))
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// The mappings of a schema that have a key, but for the outermost.
fn places_of(name: &str, of: &Type, place: &str, found: &mut Vec<String>) {
    match of {
        Map(keys) => {
            for (key, of) in *keys {
                if *key == name && !place.is_empty() {
                    found.push(place.to_owned());
                }
                places_of(name, of, &join(place, key), found);
            }
        }
        List(of) => places_of(name, of, &format!("{place}[]"), found),
        _ => {}
    }
}
