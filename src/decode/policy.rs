// SPDX-License-Identifier: Apache-2.0
//! The policy file. One table is its parser, the rules of `check` and its page, docs/policy.md.

use std::time::Duration;

use super::syntax::words;
use super::syntax::yaml::{self, Node, Value};
use crate::model::policy::{Policy, Strictness};
use crate::model::problem::Problem;

/// Where the files stand: the vendor's, and the image's, whose keys win.
pub const FILES: [&str; 2] = ["/usr/share/footplate/footplate.yaml", "/etc/footplate.yaml"];

/// Most bytes of a file.
pub const MAX_FILE: usize = 64 << 10;

/// A setting of a policy, with what it takes.
enum Setting<'a> {
    /// A time from one number of seconds to another.
    Time(&'a mut Duration, u64, u64),
    /// One of two words, the second of which is true.
    Switch(&'a mut bool, [&'static str; 2]),
    /// A number up to another.
    Count(&'a mut u32, u32),
    /// `off`, or an absolute path.
    Directory(&'a mut Option<String>),
    /// `off`, `warn` or a word for the strictest.
    Strictness(&'a mut Strictness, &'static str),
}

/// A key of the file.
struct Key {
    /// Its path, such as `waits.network`.
    name: &'static str,
    /// What it sets.
    setting: fn(&mut Policy) -> Setting<'_>,
    /// What it means, in sentences.
    means: &'static str,
}

const HOUR: u64 = 3600;
const SWITCH: [&str; 2] = ["false", "true"];

const KEYS: &[Key] = &[
    Key {
        name: "waits.metadata",
        setting: |p| Setting::Time(&mut p.metadata_wait, 5, HOUR),
        means: "How long the platform may take to answer, all questions together.",
    },
    Key {
        name: "waits.network",
        setting: |p| Setting::Time(&mut p.network_wait, 5, HOUR),
        means: "How long the machine may take to get the addresses and routes that its metadata asks for.",
    },
    Key {
        name: "waits.api-server",
        setting: |p| Setting::Time(&mut p.endpoint_wait, 0, HOUR),
        means: "How long the API server that a node joins may take to answer before kubeadm runs; at most half of \
                `waits.bootstrap`.",
    },
    Key {
        name: "waits.bootstrap",
        setting: |p| Setting::Time(&mut p.bootstrap_wait, 60, 6 * HOUR),
        means: "How long the bootstrap's commands may take, kubeadm among them: `TimeoutStartSec=` of kubeadm.service.",
    },
    Key {
        name: "preflight",
        setting: |p| Setting::Strictness(&mut p.preflight, "stop"),
        means: "What is done before kubeadm: `off` is nothing, `warn` waits for the API server and tells what stands against \
                kubeadm, and `stop` does not run it where it could only fail.",
    },
    Key {
        name: "retries.join",
        setting: |p| Setting::Count(&mut p.join_retries, 20),
        means: "How often a `kubeadm join` that failed is tried again: where it wrote nothing, or `kubeadm reset` undid what it \
                wrote. An init never is.",
    },
    Key {
        name: "retries.pause",
        setting: |p| Setting::Time(&mut p.retry_pause, 1, HOUR / 4),
        means: "The pause before a join is tried again, give or take a fifth. Each next one is twice as long, up to two minutes.",
    },
    Key {
        name: "signature",
        setting: |p| Setting::Strictness(&mut p.signature, "enforce"),
        means: "Whether user-data, and metadata that the owner of the machine writes (vSphere's guestinfo, NoCloud), must be \
                signed by a key of the image: `off` does not look, `warn` tells what is not, and `enforce` does not use it. \
                [security.md](security.md#signed-data) says how it is signed.",
    },
    Key {
        name: "platform",
        setting: |p| Setting::Switch(&mut p.argument_decides, ["evidence", "argument"]),
        means: "What is done where a kernel argument names one platform and DMI another: with `evidence` the machine is not \
                provisioned (exit code 69), with `argument` the argument decides.",
    },
    Key {
        name: "imdsv1",
        setting: |p| Setting::Switch(&mut p.imdsv1, SWITCH),
        means: "Whether the metadata services of Amazon EC2 and Alibaba Cloud are asked without a token where they give none. \
                The kernel argument `footplate.imdsv1=allow` does the same.",
    },
    Key {
        name: "reports.platform",
        setting: |p| Setting::Switch(&mut p.report_platform, SWITCH),
        means: "Whether the platform is told how the bootstrap stands. With `false` nothing is deleted there either, and a machine \
                on Azure without the platform's agent is never told to be ready.",
    },
    Key {
        name: "reports.console",
        setting: |p| Setting::Switch(&mut p.report_console, SWITCH),
        means: "Whether a failure is shown on the console. The log and `footplate status` have it in any case.",
    },
    Key {
        name: "reports.textfile",
        setting: |p| Setting::Directory(&mut p.textfile),
        means: "The directory from which Prometheus' node_exporter reads text files: `footplate.prom` in it has the state, the code of \
                a failure, and how long each stage took.",
    },
    Key {
        name: "reports.condition",
        setting: |p| Setting::Switch(&mut p.condition, SWITCH),
        means: "Whether the Node object gets the condition `BootstrapProblem` when the bootstrap has ended and the machine is a member of \
                its cluster: by the kubelet's credentials, within 30 seconds. [on-call.md](on-call.md#5-monitoring) says how it is read.",
    },
    Key {
        name: "delete.user-data",
        setting: |p| Setting::Switch(&mut p.delete_user_data, SWITCH),
        means: "Whether user-data is deleted on the platform when the bootstrap has succeeded: on vSphere, where every process of \
                the machine can read it.",
    },
    Key {
        name: "delete.secrets",
        setting: |p| Setting::Switch(&mut p.delete_secrets, SWITCH),
        means: "Whether bootstrap data in AWS Secrets Manager or SSM is deleted there when it is on the node's disk, as Cluster \
                API's own script does.",
    },
];

/// Sets what a file says. What is wrong in it sets nothing, and is told with its line.
pub fn read(text: &str, policy: &mut Policy) -> Vec<Problem> {
    let mut problems = Vec::new();
    match yaml::parse(text) {
        Ok(node) => mapping(&node, "", policy, &mut problems),
        Err(problem) => problems.push(problem),
    }
    problems
}

/// Whether a text that has no name of its own is a policy: it has a mapping with one of the first words of the keys.
pub fn is_policy(text: &str) -> bool {
    if text.len() > MAX_FILE || text.starts_with("#cloud-config") {
        return false;
    }
    let Ok(node) = yaml::parse(text) else { return false };
    let Value::Map(entries) = &node.value else { return false };
    node.get("kind").is_none()
        && entries.iter().any(|(key, _)| names(&[]).any(|name| key.text() == Some(name)))
}

/// The words that may stand below a path.
fn names<'a>(path: &'a [&str]) -> impl Iterator<Item = &'static str> + 'a {
    KEYS.iter().filter_map(|key| {
        let mut words = key.name.split('.');
        path.iter().all(|word| words.next() == Some(*word)).then(|| words.next())?
    })
}

fn mapping(node: &Node, path: &str, policy: &mut Policy, problems: &mut Vec<Problem>) {
    let entries = match &node.value {
        Value::Map(entries) => entries.as_slice(),
        // A file of comments, a key whose keys are all comments.
        Value::Scalar(scalar) if matches!(scalar.kind, yaml::Kind::Null) => &[],
        _ => {
            let what = format!("must be a mapping of keys, not {}", node.kind_name());
            problems.push(Problem::error(path, what).at(node.pos));
            &[]
        }
    };
    for (key, value) in entries {
        let word = key.text().unwrap_or_default();
        let name = if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
        let above: Vec<&str> = path.split('.').filter(|word| !word.is_empty()).collect();
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            let wrong = set(&mut (key.setting)(policy), value);
            problems.extend(wrong.map(|p| Problem { place: name, why: vec![key.means.to_owned()], ..p }));
        } else if above.is_empty() && names(&[word]).next().is_some() {
            mapping(value, &name, policy, problems);
        } else {
            // What is no word may be anything, a secret too.
            let is_word =
                word.len() <= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            let place = if is_word { name.as_str() } else { path };
            let problem =
                Problem::error(place, "a key that a policy does not have").at(key.pos).code("key/unknown");
            let known = || {
                let mut known: Vec<_> = names(&above).collect();
                known.dedup();
                known.join(", ")
            };
            let cure = match words::meant(word, names(&above)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are: {}", known()),
            };
            problems.push(problem.cure(cure));
        }
    }
}

/// Takes a value, or says why not.
fn set(setting: &mut Setting<'_>, value: &Node) -> Option<Problem> {
    let text = value.scalar().map(|scalar| scalar.text.as_str()).unwrap_or_default();
    let (done, takes) = match setting {
        Setting::Time(at, least, most) => {
            let time = time(text).filter(|time| (*least..=*most).contains(time));
            let takes = format!("a time from {} to {}, such as `5min`", span(*least), span(*most));
            (time.map(|time| **at = Duration::from_secs(time)), takes)
        }
        Setting::Count(at, most) => {
            let count = text.parse().ok().filter(|count| count <= &*most);
            (count.map(|count| **at = count), format!("a number up to {most}"))
        }
        Setting::Directory(at) => {
            let path = (text.starts_with('/') && !text.contains(['\0', '\n'])).then(|| Some(text.to_owned()));
            let known = if text == "off" { Some(None) } else { path };
            (known.map(|path| **at = path), "`off` or an absolute path".to_owned())
        }
        Setting::Strictness(at, strictest) => {
            let known = levels(strictest).into_iter().find(|(name, _)| *name == text);
            (known.map(|(_, level)| **at = level), format!("`off`, `warn` or `{strictest}`"))
        }
        Setting::Switch(at, words) => {
            let switch = words.iter().position(|word| *word == text);
            (switch.map(|switch| **at = switch == 1), format!("`{}` or `{}`", words[1], words[0]))
        }
    };
    let problem = || Problem::error("", format!("must be {takes}")).at(value.pos);
    done.is_none().then(problem)
}

/// The words of a strictness.
fn levels(strictest: &str) -> [(&str, Strictness); 3] {
    [("off", Strictness::Off), ("warn", Strictness::Warn), (strictest, Strictness::Stop)]
}

/// Seconds of a time: `90s`, `5min`, `1h`; seconds without a unit.
fn time(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim_start() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => HOUR,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// Seconds as a person writes them.
fn span(seconds: u64) -> String {
    match seconds {
        s if s > 0 && s % HOUR == 0 => format!("{}h", s / HOUR),
        s if s > 0 && s % 60 == 0 => format!("{}min", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests;
