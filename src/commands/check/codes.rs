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
        "template/terraform",
        "A directive or an expression of a Terraform template. No node fills it in.",
        "Check what Terraform makes of it: `echo 'templatefile(\"FILE\", {…})' | terraform console`.",
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
mod tests;
