// SPDX-License-Identifier: Apache-2.0
//! The codes of findings: stable names for programs, with what each means and what to do. docs/check.md is made of this table.

use crate::decode::document::unlabelled;
use crate::diagnosis;
use crate::model::problem::{Problem, Severity};

/// A code, what it means, and what to do.
pub struct Code {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What to do.
    pub cure: &'static str,
}

/// What stands in place of a cure where each finding of the code has its own.
const OWN: &str = "Follow the finding's own ";

impl Code {
    /// The cure as a finding's hint has it.
    fn hint(&self) -> Option<String> {
        let (first, rest) = self.cure.strip_suffix('.').filter(|_| !self.cure.starts_with(OWN))?.split_at(1);
        Some(first.to_ascii_lowercase() + rest)
    }
}

const fn code(name: &'static str, means: &'static str, cure: &'static str) -> Code {
    Code { name, means, cure }
}

/// All codes, in the order of their names.
pub const CODES: &[Code] = &[
    code(
        "bootstrap/none",
        "The data has no command, no script and no unit that makes the machine a node of a cluster. Data by itself may be meant so; bootstrap data of Cluster API never is.",
        "Add the commands that start the bootstrap to `runcmd`, or check that the right Secret was taken.",
    ),
    code(
        "certificate/expires",
        "A certificate or a bootstrap token in the data has ended or ends soon.",
        "Renew it before machines are made with this data.",
    ),
    code(
        "containerd/config",
        "containerd does not start with this file, passes over a part of it, or takes from it what the kubelet and kubeadm need.",
        "Follow the finding's own hint.",
    ),
    code(
        "containerd/not-read",
        "A configuration of containerd that Flatcar's own containerd does not read: on an image that `bake` or image-builder made it does.",
        "Follow the finding's own hint.",
    ),
    code(
        "data/invalid",
        "The data can't be opened or read: its envelope, its MIME, its format, or a value in it.",
        "Follow the finding's own hint.",
    ),
    code(
        "data/too-large",
        "A platform does not take user-data of this size.",
        "Take away what is not needed, compress it, or let the provider hand it over another way.",
    ),
    code(
        "document/second-header",
        "A line that begins a document stands within another one, where it is a comment. Two documents were written one below the other.",
        "Give each document a part of its own, in MIME or in a `#cloud-config-archive`.",
    ),
    code(
        "file/joined-lines",
        "YAML joins the lines of this text into one: the file would have one line.",
        "Write `content: |`, and the text below it with an indent.",
    ),
    code(
        "file/owner",
        "The owner of a file is a user or a group that neither Flatcar nor the data makes. The node stops before its bootstrap.",
        "Correct the name, or make the user with `users` and the group with `groups`.",
    ),
    code(
        "file/path",
        "A file, a directory or a link can't stand where the data puts it.",
        "Follow the finding's own hint.",
    ),
    code(
        "file/target",
        "A hard link's target is not among what the data makes. The node stops unless its image has that file.",
        "Let the data make the file, or let a symbolic link lead to it.",
    ),
    code(
        "filesystem/unknown",
        "Flatcar has no program that makes, or no driver that mounts, this kind of filesystem.",
        "Use ext4, xfs, btrfs or vfat, or add what mounts it to the image.",
    ),
    code(
        "ignition/invalid",
        "A part of an Ignition config means nothing, or can't be done.",
        "Follow the finding's own hint.",
    ),
    code(
        "key/no-effect",
        "A key of cloud-init that has no effect on Flatcar.",
        "Follow the finding's own hint, or remove the key.",
    ),
    code(
        "key/unknown",
        "A key that neither cloud-init nor footplate knows. One that is nearly a known key is an error.",
        "Correct its spelling, or remove it.",
    ),
    code(
        "kubeadm/by-path",
        "footplate does not see this call of kubeadm: its exit status is not known, and a join that fails is not tried again.",
        "Write `kubeadm` without its path, and put further directories behind `$PATH`.",
    ),
    code(
        "kubeadm/command",
        "A command line of kubeadm in the data that kubeadm refuses.",
        "Correct the word that the finding names.",
    ),
    code(
        "kubeadm/config",
        "A document for kubeadm that kubeadm refuses or does not read: its version, its kind or a part that is missing.",
        "Begin with `apiVersion: kubeadm.k8s.io/v1beta4` and the kind, such as `JoinConfiguration`.",
    ),
    code(
        "kubeadm/config-missing",
        "`kubeadm init` or `kubeadm join` reads a configuration file that nothing in the data writes.",
        "Write the file with `write_files` (an object's `files`), or correct its path.",
    ),
    code(
        "network/no-gateway",
        "A static address, and no gateway in the network configuration or in any of the data's files for networkd: the node reaches its own subnet only.",
        "Add a route to `default` or `gateway4`; in a file for networkd `Gateway=` in [Network], or a [Route] with one.",
    ),
    code(
        "object/format",
        "Cluster API's webhook refuses this in a KubeadmConfigSpec of this format.",
        "Follow the finding's own hint.",
    ),
    code(
        "object/not-rendered",
        "An object, or a part of it, that `check` can't render to bootstrap data. It was not checked.",
        "Check the Secret of one of its machines: `kubectl get secret NAME -o yaml | footplate check -`.",
    ),
    code(
        "object/type",
        "A value has another type than Cluster API or kubeadm has. The API server, or kubeadm, refuses it.",
        "Put a string in quotes; write numbers and `true` or `false` without.",
    ),
    code(
        "object/unknown-key",
        "Cluster API, its provider or kubeadm does not have this key here. kubectl refuses it, or it is dropped in silence.",
        "Correct its spelling: the keys are those of Cluster API, not those of cloud-config.",
    ),
    code(
        "object/variable",
        "`${` begins a variable of clusterctl's or of the shell's, and no `}` ends its name.",
        "Write `${NAME}`. In a template of clusterctl's, `$${` is a `${` that the shell gets.",
    ),
    code(
        "object/version",
        "An object's kind, group or version that Cluster API does not have.",
        "Write `bootstrap.cluster.x-k8s.io/v1beta1` for configs and `controlplane.cluster.x-k8s.io/v1beta1` for control planes.",
    ),
    code(
        "path/read-only",
        "A path in /usr, which is read-only on Flatcar.",
        "Write programs to /opt/bin or /usr/local/bin, and units to /etc/systemd/system.",
    ),
    code("program/absent", "What Flatcar does not have.", "Follow the finding's own hint."),
    code(
        "program/package-manager",
        "A program that installs packages: Flatcar has none. On a node what stands in for it fails for what the image does not have.",
        "Put programs into the image, or bring them as a system extension.",
    ),
    code(
        "program/stand-in",
        "A program that installs Kubernetes elsewhere. What stands in for it on a node takes what the image has as installed.",
        "See that the image has what it installs, in the version that it asks for.",
    ),
    code(
        "script/not-checked",
        "The syntax of programs was not checked: bash is not installed where `check` ran, or another program than `sh` and `bash` runs them.",
        "Install bash there. Check a program of another language by its own tools.",
    ),
    code(
        "script/syntax",
        "The shell that runs this program refuses its syntax. Nothing was executed: `bash -n` only reads.",
        "Look for a quote, a bracket, `fi`, `done` or `esac` that is missing.",
    ),
    code(
        "secret/format",
        "The Secret's `format` says another format than its data has. Providers choose by this word how the machine gets the data.",
        "Make both say the same.",
    ),
    code(
        "secret/value",
        "The Secret holds no bootstrap data, or data that can't be decoded.",
        "Take the Secret that Machine.spec.bootstrap.dataSecretName names.",
    ),
    code(
        "source/not-fetched",
        "The data names something that a node fetches. `check` asks no network, and does not know what comes.",
        "Nothing; check that the node can reach it.",
    ),
    code(
        "template/assumed",
        "A name in a template that some platforms have and others lack.",
        "Check with `--platform ID`, or with the real values by `--metadata FILE`.",
    ),
    code(
        "template/error",
        "An expression of a template can't be worked out.",
        "Follow the finding's own words.",
    ),
    code(
        "template/go",
        "A placeholder of a Go template, as Helm's charts and the templates for Packet have them. No node fills it in.",
        "Check what comes of the template: `helm template … | footplate check -`.",
    ),
    code(
        "template/no-value",
        "A name in a template has no value on this platform. cloud-init would write a placeholder into the file.",
        "Correct the name, or give it a value of its own: `{{ NAME | default('…') }}`.",
    ),
    code(
        "template/none",
        "A name of a jinja template stands in data that is no template: nothing fills it in, and it stays as it is.",
        "Let `## template: jinja` be the first line; Ignition has no templates.",
    ),
    code(
        "template/syntax",
        "The text is no jinja template. Often it is a part of a shell script in a file's content.",
        "Put it between `{% raw %}` and `{% endraw %}`, or write the content in base64.",
    ),
    code(
        "template/unknown",
        "What comes of an expression of a template depends on values of the machine, and `check` does not have them. Another value takes its place, and the rest is checked.",
        "Check with the real values by `--metadata FILE`.",
    ),
    code(
        "timezone/unknown",
        "There is no time zone of this name.",
        "Use a name of the tz database, such as `Europe/Berlin` or `UTC`.",
    ),
    code(
        "unit/key",
        "A key of a unit that systemd does not know and passes over, and that is nearly a known one.",
        "Correct the spelling, such as `ExecStart=`.",
    ),
    code(
        "unit/section",
        "A section of a unit that systemd does not know: it passes over all that stands below.",
        "Correct the name, such as `[Unit]`, `[Service]` or `[Install]`.",
    ),
    code(
        "user/key",
        "A line that is not a public key of a kind that sshd takes.",
        "Give the line of a public key, such as `ssh-ed25519 AAAA… name`.",
    ),
    code(
        "user/password",
        "A password that is not a hash: nothing that is typed will match it.",
        "Give the hash that `openssl passwd -6` prints.",
    ),
    code(
        "user/shell",
        "A login shell that Flatcar does not have.",
        "Use /bin/bash, or /sbin/nologin for none.",
    ),
    code(
        "value/invalid",
        "A value of a cloud-config means nothing, or can't be done.",
        "Follow the finding's own hint.",
    ),
    code(
        "yaml/in-file",
        "A file that kubeadm or the kubelet reads is not YAML, or a static pod's manifest without `apiVersion` and `kind`.",
        "Correct the content; indent it with spaces below `content: |`.",
    ),
    code("yaml/syntax", "The text can't be read as YAML.", "Follow the finding's own hint."),
];

/// Every code that footplate tells: those of findings, and those of nodes and images.
pub fn all() -> Vec<diagnosis::Code> {
    let own = CODES.iter().map(|code| {
        let [name, means, cure] = [code.name, code.means, code.cure].map(str::to_owned);
        diagnosis::Code { name, means, cure }
    });
    own.chain(diagnosis::codes()).collect()
}

/// Gives a finding that has no code of its own that of its kind, by its place and its words, and one that does not say what to do
/// the cure of its code.
pub fn classify(problem: &mut Problem) {
    let known = |code: &str| CODES.iter().find(|c| c.name == code);
    if known(&problem.code).is_none() {
        problem.code = by_place(problem).into();
    }
    if let Some(code) =
        known(&problem.code).filter(|_| problem.cure.is_none() && problem.severity > Severity::Note)
    {
        problem.cure = code.hint();
    }
}

fn by_place(problem: &Problem) -> &'static str {
    let place = unlabelled(&problem.place);
    let ignition = ["ignition", "storage.", "passwd.", "systemd.", "networkd.", "kernelArguments"];
    match () {
        // So all messages say it, whatever is passed over.
        () if problem.what.contains("no effect") || problem.what == "nothing to do" => "key/no-effect",
        () if ignition.iter().any(|begin| place.starts_with(begin)) => "ignition/invalid",
        () if place.is_empty() => "data/invalid",
        () => "value/invalid",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::model::problem::Stage;
    use crate::model::status::Status;

    /// The end of `docs/check.md` is made of the table: `BLESS=1` writes it.
    #[test]
    fn the_page_ends_with_the_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/check.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, _) = page.split_once("## Codes\n").unwrap();
        let section =
            |code: &Code| format!("\n### `{}`\n\n{}\n\nWhat to do: {}\n", code.name, code.means, code.cure);
        let now = format!("{head}## Codes\n{}", CODES.iter().map(section).collect::<String>());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let help =
            "docs/check.md is not what the table says: BLESS=1 cargo test --lib the_page_ends_with_the_table";
        assert!(std::env::var_os("BLESS").is_some() || page == now, "{help}");
    }

    #[test]
    fn each_code_is_there_once() {
        let names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        let names: Vec<String> = all().into_iter().map(|code| code.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    /// What stands in the source as a code does, and is another name: media types, and questions to metadata services.
    const NO_CODES: &[&str] =
        &["application", "instance", "message", "openstack", "placement", "support", "text"];

    fn is_name(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    /// Whether a text is a code.
    fn is_code(text: &str) -> bool {
        text.split_once('/')
            .is_some_and(|(kind, name)| is_name(kind) && is_name(name) && !NO_CODES.contains(&kind))
    }

    /// The texts of the product that are codes, each with its file.
    fn told() -> Vec<(String, String)> {
        let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut told = Vec::new();
        while let Some(dir) = dirs.pop() {
            for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let file = path.display().to_string();
                let text = fs::read_to_string(&path).unwrap();
                let product = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
                if !file.ends_with(".rs") || file.ends_with("tests.rs") {
                    continue;
                }
                for line in product.lines().filter(|line| !line.trim_start().starts_with("//")) {
                    let texts = line.split('"').skip(1).step_by(2);
                    // `verify` makes the code of the kind of a check.
                    if file.ends_with("bake/verify.rs") {
                        let call = line.split_once("checks.").and_then(|(_, call)| call.split_once("(\""));
                        let kinds = call.and_then(|(_, kind)| kind.split('"').next()).into_iter();
                        let kinds = kinds.chain(texts.clone().filter(|_| line.contains("let kind =")));
                        let kinds = kinds.filter(|kind| is_name(kind));
                        told.extend(kinds.map(|kind| (format!("verify/{kind}"), file.clone())));
                    }
                    told.extend(texts.filter(|t| is_code(t)).map(|t| (t.to_owned(), file.clone())));
                }
            }
        }
        told
    }

    /// `check --explain` knows all codes, and docs/check.md and docs/diagnosis.md are made of what it knows.
    #[test]
    fn each_code_that_is_told_is_explained() {
        let names: BTreeSet<String> = all().into_iter().map(|code| code.name).collect();
        let mut told = told();
        assert!(told.len() > 150 && told.iter().any(|(code, _)| code == "verify/unit"), "{told:?}");
        use Stage::{Apply, Decode, Detect, Fetch, Kubeadm, Report, Start, Usage};
        for stage in [Usage, Detect, Fetch, Decode, Apply, Start, Kubeadm, Report] {
            let problems = vec![Problem::error("", "x")];
            let status = Status { failed: Some(stage), problems, ..Status::default() };
            told.push((status.code().unwrap(), "a stage".to_owned()));
        }
        let gaps: Vec<_> = told.iter().filter(|(code, _)| !names.contains(code)).collect();
        assert!(gaps.is_empty(), "these need a row in CODES, or in src/diagnosis/codes.rs: {gaps:#?}");
        // And each row has somebody who tells it.
        let once = |name: &&str| told.iter().filter(|(code, _)| code == name).count() == 1;
        let unused: Vec<&str> = CODES.iter().map(|code| code.name).filter(once).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn each_finding_has_a_code_that_is_explained() {
        for (place, what) in [
            ("write_files[0]", "x"),
            ("", "x"),
            ("storage.files[0]", "x"),
            ("a", "no effect"),
            ("a", "nothing to do"),
        ] {
            let mut problem = Problem::error(place, what);
            classify(&mut problem);
            assert!(CODES.iter().any(|code| code.name == problem.code), "{place} {what}");
            assert_eq!(problem.code == "key/no-effect", place == "a", "{what}");
        }
        let mut problem =
            Problem::error("write_files[0].owner", "the user does not exist").code("file/owner");
        classify(&mut problem);
        let cure = "correct the name, or make the user with `users` and the group with `groups`";
        assert_eq!(problem.cure.as_deref(), Some(cure));
        // What each finding has of its own, and what is only worth knowing, gets none.
        for mut problem in [Problem::error("a", "x"), Problem::note("a", "x").code("file/owner")] {
            classify(&mut problem);
            assert_eq!(problem.cure, None);
        }
    }
}
