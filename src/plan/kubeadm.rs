// SPDX-License-Identifier: Apache-2.0
//! The user's commands as scripts and units: footplate runs none of them, systemd does.

use super::noted::{BOOTCMD, BOOTCMD_RAN, RAN, noting};
use super::wrapper::{self, WRAPPER};
use super::{BINARY, DOCUMENTATION, RUN_DIR, STATE_DIR, UNIT_DIR, WRITTEN, trust};
use crate::model::config::{NodeConfig, Script};
use crate::model::instance::Instance;
use crate::model::plan::{Bootstrap, Item, Plan, Run};
use crate::model::policy::Policy;
use crate::model::secret::Secret;
use crate::model::storage::{Directory, File, Link};

pub use super::wrapper::DIR as STAND_IN;
pub use crate::model::paths::KUBEADM_UNIT as UNIT;

/// The bootstrap's script. It stands in memory only, and its presence is the bootstrap's permission to run: it is made
/// when everything before it succeeded in this boot, and removed when the bootstrap ended.
pub const SCRIPT: &str = "/run/footplate/bootstrap";

/// The bootstrap's own programs, in memory too, and removed with it.
pub const SCRIPTS: &str = "/run/footplate/scripts";

/// Left by `kubeadm-prepare` before Cluster API's own script starts: that bootstrap's result is to be settled too.
pub const PREPARED: &str = "/run/footplate/kubeadm.prepared";

/// kubeadm's configuration in Cluster API's Ignition data; its unit is to run as long as that is there.
pub const IGNITION_CONFIG: &str = "/etc/kubeadm.yml";

/// The commands beside it, with kubeadm among them.
pub const IGNITION_SCRIPT: &str = "/etc/kubeadm.sh";

/// Where Cluster API's script moves it, with its token, when kubeadm succeeded.
pub const IGNITION_LEFTOVER: &str = "/tmp/kubeadm.yml";

/// Where the script leaves kubeadm's own exit status.
pub const KUBEADM_STATUS: &str = "/run/footplate/kubeadm.status";

/// The list of files that there were before kubeadm: a `join` is tried again only where they are the same after it.
pub const BEFORE: &str = "/run/footplate/before-kubeadm.json";

/// A node that has this file is a member of its cluster: kubeadm never runs there again.
pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";

/// Where a failure stands as text.
pub const ERROR_LOG: &str = "/run/cluster-api/bootstrap-error.log";

/// Cluster API looks for this file to see that the bootstrap succeeded
/// ([contract](https://cluster-api.sigs.k8s.io/developer/providers/contracts/bootstrap-config#sentinel-file)).
pub const SENTINEL: &str = "/run/cluster-api/bootstrap-success.complete";

/// The unit of boothooks, also where a person looks for what they did.
pub const BOOTHOOKS_UNIT: &str = "footplate-boothooks.service";

/// The unit of `bootcmd`.
pub const BOOTCMD_UNIT: &str = "footplate-bootcmd.service";

/// The unit of scripts for every boot.
pub const BOOT_SCRIPTS_UNIT: &str = "footplate-per-boot.service";

/// `/opt/bin` first: on Flatcar what images add stands there, and an older namesake in `/usr/bin` must not win. Last,
/// what stands in for cloud-init's helpers.
const PATH: &str =
    "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/var/lib/footplate/bin";

/// cloud-init's helper that runs a command once, once per instance or always; configs call it from bootcmd.
const CLOUD_INIT_PER: &str = r#"#!/bin/sh
# Stands in for cloud-init's helper: cloud-init-per once|instance|always NAME COMMAND [ARGUMENT...]
case "$1" in
    once) dir=/var/lib/footplate/per/once ;;
    instance) dir=/var/lib/footplate/per/instance-${INSTANCE_ID:-none} ;;
    always) shift 2 && exec "$@" ;;
    *) echo "usage: cloud-init-per once|instance|always NAME COMMAND..." >&2; exit 64 ;;
esac
name=$2
shift 2 && mkdir -p "$dir" || exit 74
[ -e "$dir/$name" ] && exit 0
"$@" && : > "$dir/$name"
"#;

/// Where cloud-init leaves the instance's id, and commands of templates read it.
const INSTANCE_ID: &str = "/var/lib/cloud/data/instance-id";

/// What the script begins with.
const PRELUDE: &str =
    "#!/bin/sh\n# Written by footplate from the bootstrap data's runcmd; run once, by kubeadm.service.\n";

/// Options of kubeadm that have no value behind them, by their beginnings and ends.
const SWITCHES: &[(&str, &str)] = &[
    ("--upload-certs", ""),
    ("--control-plane", ""),
    ("--skip-", "-print"),
    ("--", "-unsafe-skip-ca-verification"),
    ("--experimental-upload-certs", ""),
    ("--experimental-control-plane", ""),
    ("--", "-headers"),
    ("--", "-header"),
    ("--one-output", ""),
    ("--", "logtostderr"),
];

/// Whether a script's commands call kubeadm's `init` or `join` itself; `text` is the script as footplate wrote it. The script's
/// own function says the same of a call's words in shell.
pub fn bootstraps(text: &str) -> bool {
    let body = text.strip_prefix(PRELUDE).and_then(|body| body.strip_prefix(WRAPPER)).unwrap_or(text);
    !callers(body).is_empty()
}

/// The words that call kubeadm's `init` or `join` in these commands: its name or its path.
pub(super) fn callers(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let commands = text.split(['\n', ';', '&', '|', '(', ')', '{', '}', '`']);
    let caller = |command: &str| {
        let mut words = command.split_whitespace().map(|w| w.trim_matches(['"', '\'']));
        let name = words.find(|word| word.rsplit('/').next() == Some("kubeadm"))?;
        is_bootstrap(words).then(|| name.to_owned())
    };
    commands.filter_map(caller).collect()
}

/// Whether the words behind `kubeadm` are `init` or `join` itself.
fn is_bootstrap<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    let is_switch = |w: &str| SWITCHES.iter().any(|(from, to)| w.starts_with(from) && w.ends_with(to));
    let (mut command, mut argument) = (false, false);
    while let Some(word) = words.next() {
        match word {
            "--help" | "-h" | "--dry-run" => return false,
            w if w.strip_prefix("--dry-run=").is_some_and(|v| v.starts_with(['1', 't', 'T'])) => {
                return false;
            }
            w if w.starts_with('-') && w.contains('=') || is_switch(w) => {}
            w if w.starts_with("--") || w.len() == 2 && w.starts_with('-') => drop(words.next()),
            w if w.starts_with('-') => {}
            "phase" if !argument => return false,
            "init" | "join" if !command => command = true,
            _ if !command => return false,
            _ => argument = true,
        }
    }
    command
}

/// Programs and commands for every boot: a unit, which ran at this one before what follows it in the plan. Its programs
/// last, below the state.
struct EveryBoot<'a> {
    unit: &'static str,
    description: &'static str,
    /// What of the data it is, and the same in a sentence.
    key: &'static str,
    reason: &'static str,
    /// Its place among other units, each with its reason.
    order: &'static str,
    dir: &'static str,
    programs: &'a [Script],
    lines: &'a [Secret],
}

impl EveryBoot<'_> {
    fn items(&self, config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
        let Self { unit, description, key, reason, order, dir, programs, lines } = self;
        if programs.is_empty() && lines.is_empty() {
            return;
        }
        helper(lines, programs, instance, plan);
        let (first, begin) = trust::tools(config, plan);
        let mut commands = String::new();
        for program in *programs {
            let path = format!("{STATE_DIR}/{dir}/{}", program.name);
            // One that fails does not keep the others from running, as in cloud-init.
            commands += &format!("ExecStart=-{path}\n");
            let body = program.content.expose();
            let shell: &[u8] = if body.starts_with(b"#!") { b"" } else { b"#!/bin/sh\n" };
            plan.items.push(file(&program.place, path, [shell, body].concat(), 0o700));
        }
        if !lines.is_empty() {
            commands += &format!("ExecStart=/bin/sh {BOOTCMD}\n");
            let script = script(
                &format!(
                    "#!/bin/sh\n# Written by footplate from the bootstrap data's bootcmd.\n{begin}{}",
                    noting(BOOTCMD_RAN, lines)
                ),
                lines,
            );
            plan.items.push(file("bootcmd", BOOTCMD.to_owned(), script, 0o700));
        }
        let text = format!(
            "# Written by footplate from {reason}.\n\
             [Unit]\n\
             Description={description}\n\
             {DOCUMENTATION}\
             {order}\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             Environment=PATH={first}{PATH} {}\n\
             {commands}\
             # Commands that hang must not hold the boot for ever.\n\
             TimeoutStartSec=15min\n\
             \n\
             [Install]\n\
             WantedBy=multi-user.target\n",
            instance_id(instance),
        );
        plan.items.push(file(key, format!("{UNIT_DIR}/{unit}"), text, 0o644));
        plan.items.push(enabled(unit));
        plan.items.push(Item::Run(Run { unit: (*unit).to_owned(), reason, makes: Vec::new() }));
    }
}

/// Boothooks, before all else.
pub(super) fn boothooks(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    let unit = EveryBoot {
        unit: BOOTHOOKS_UNIT,
        description: "Boothooks of the bootstrap data",
        key: "boothooks",
        reason: "the bootstrap data's boothooks",
        order: "# They prepare what these use.\n\
                Before=footplate-bootcmd.service containerd.service kubelet.service kubeadm.service\n",
        dir: "boothooks",
        programs: &config.boothooks,
        lines: &[],
    };
    unit.items(config, instance, plan);
}

/// `bootcmd`, and the boothooks that were not known before include lists were read.
pub(super) fn bootcmd(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    let unit = EveryBoot {
        unit: BOOTCMD_UNIT,
        description: "Commands of the bootstrap data for every boot",
        key: "bootcmd",
        reason: "the bootstrap data's bootcmd",
        order: "# They prepare what these use.\n\
                Before=containerd.service kubelet.service kubeadm.service\n",
        dir: "included-boothooks",
        programs: &config.included_hooks,
        lines: &config.bootcmd,
    };
    unit.items(config, instance, plan);
}

/// Scripts for every boot, when the rest of the node is ready.
pub(super) fn boot_scripts(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    let unit = EveryBoot {
        unit: BOOT_SCRIPTS_UNIT,
        description: "Scripts of the bootstrap data for every boot",
        key: "text/x-shellscript-per-boot",
        reason: "the bootstrap data's scripts for every boot",
        order: "# cloud-init runs them late: with the network, and before the bootstrap's commands.\n\
                Wants=network-online.target\n\
                After=network-online.target footplate-bootcmd.service\n\
                Before=kubeadm.service\n",
        dir: "per-boot",
        programs: &config.boot_scripts,
        lines: &[],
    };
    unit.items(config, instance, plan);
}

/// `runcmd` and scripts: the bootstrap. Each script is a file of its own, so that its interpreter's line holds.
pub(super) fn bootstrap(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    let lines = &config.runcmd;
    let afterwards = super::system::afterwards(config, instance, plan);
    let message = &config.system.final_message;
    if lines.is_empty() && config.scripts.is_empty() && afterwards.is_empty() && message.is_none() {
        return;
    }
    helper(lines, &config.scripts, instance, plan);
    let (mut first, begin) = trust::tools(config, plan);
    if wrapper::is_called_for(config) {
        plan.items.push(file("footplate", format!("{}/kubeadm", wrapper::DIR), wrapper::program(), 0o755));
        first.insert_str(0, &format!("{}:", wrapper::DIR));
    }
    let unit = bootstrap_unit(config, instance, &afterwards);
    plan.items.push(file("runcmd", format!("{UNIT_DIR}/{UNIT}"), unit, 0o644));
    plan.items.push(enabled(UNIT));
    if !first.is_empty() {
        // The image's own drop-in sets the PATH too, and sorts before this one.
        let text = format!("{WRITTEN}[Service]\nEnvironment=PATH={first}{PATH}\n");
        plan.items.push(file("runcmd", format!("{UNIT_DIR}/{UNIT}.d/06-footplate-path.conf"), text, 0o644));
    }
    plan.items.push(Item::Directory(Directory::ours(RUN_DIR, 0o700)));
    if let Some(message) = message {
        plan.items.push(file("final_message", super::FINAL_MESSAGE.to_owned(), message.as_bytes(), 0o600));
    }
    for script in &config.scripts {
        let path = format!("{SCRIPTS}/{}", script.name);
        let mut file = File { place: script.place.clone(), ..File::ours(path, "").mode(0o700) };
        file.content = script.content.clone();
        plan.items.push(Item::File(file));
    }
    let by_path = wrapper::by_path(lines);
    let prelude = format!("{PRELUDE}{WRAPPER}{by_path}{begin}{}", noting(RAN, lines));
    plan.items.push(file("runcmd", SCRIPT.to_owned(), script(&prelude, lines), 0o700));
    plan.bootstrap = Some(Bootstrap { unit: UNIT.to_owned(), permit: SCRIPT.to_owned() });
}

/// The bootstrap's time limit, where the policy has another than the units: a drop-in for the unit that footplate writes and for
/// the one of Ignition data.
pub fn time_limit(policy: &Policy) -> Option<Item> {
    let limit = policy.bootstrap_wait;
    let text =
        format!("# Written by footplate from the policy.\n[Service]\nTimeoutStartSec={}\n", limit.as_secs());
    let path = format!("{UNIT_DIR}/{UNIT}.d/06-footplate-policy.conf");
    (limit != Policy::default().bootstrap_wait).then(|| file("waits.bootstrap", path, text, 0o644))
}

/// The unit of the bootstrap; `afterwards` are the units that its success starts.
fn bootstrap_unit(config: &NodeConfig, instance: &Instance, afterwards: &[&str]) -> String {
    let afterwards: String = afterwards.iter().map(|unit| format!("OnSuccess={unit}\n")).collect();
    let (after, before): (Vec<&Script>, _) = config.scripts.iter().partition(|s| s.after_commands);
    let exec = |scripts: &[&Script]| -> String {
        scripts.iter().map(|s| format!("ExecStart={SCRIPTS}/{}\n", s.name)).collect()
    };
    let (mut before, after) = (exec(&before), exec(&after));
    if !config.scripts.is_empty() {
        before.insert_str(
            0,
            "# Scripts run by name, `runcmd` is one. One that fails ends the bootstrap: kubeadm must not run on half a node.\n",
        );
    }
    format!(
        "# Written by footplate from the bootstrap data's runcmd.\n\
         [Unit]\n\
         Description=Bootstrap of this node\n\
         {DOCUMENTATION}\
         # By default multi-user.target would wait for it, for minutes: the machine is up before it is a member. What else\n\
         # the default gives is said below.\n\
         DefaultDependencies=no\n\
         Requires=sysinit.target\n\
         After=sysinit.target basic.target\n\
         Conflicts=shutdown.target\n\
         Before=shutdown.target\n\
         # The script is there when footplate made everything that it needs in this boot, and only then.\n\
         ConditionPathExists={SCRIPT}\n\
         # A member of a cluster is never bootstrapped again.\n\
         ConditionPathExists=!{KUBELET_CONF}\n\
         Wants=network-online.target containerd.service\n\
         # Files, users and names first.\n\
         After=footplate.service\n\
         # kubeadm talks to the API server and to containerd, and checks modules and sysctls.\n\
         After=network-online.target containerd.service systemd-modules-load.service systemd-sysctl.service\n\
         # Programs that come in extension images, and a clock that certificates can be checked by.\n\
         After=systemd-sysext.service time-sync.target\n\
         {afterwards}\
         \n\
         [Service]\n\
         Type=oneshot\n\
         Environment=PATH={PATH} HOME=/root {}\n\
         {before}\
         ExecStart=/bin/sh {SCRIPT}\n\
         {after}\
         # However it ends: record the result and its cause, and report it to the platform.\n\
         ExecStopPost=-{BINARY} report\n\
         StandardOutput=journal+console\n\
         # kubeadm gives up by itself after minutes; a hanging one ends before Cluster API gives the machine up.\n\
         TimeoutStartSec=30min\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        instance_id(instance),
    )
}

/// The state's directories, and cloud-init's helper where a command calls it.
fn helper(lines: &[Secret], scripts: &[Script], instance: &Instance, plan: &mut Plan) {
    let mut add = |item: Item| {
        if !plan.items.contains(&item) {
            plan.items.push(item);
        }
    };
    add(Item::Directory(Directory::ours(STATE_DIR, 0o700)));
    let names = |name: &[u8]| {
        let mut texts = lines.iter().chain(scripts.iter().map(|s| &s.content));
        texts.any(|t| t.expose().windows(name.len()).any(|w| w == name))
    };
    if names(b"cloud-init-per") {
        add(file("footplate", format!("{STATE_DIR}/bin/cloud-init-per"), CLOUD_INIT_PER, 0o755));
    }
    if names(INSTANCE_ID.as_bytes()) {
        add(file("footplate", INSTANCE_ID.to_owned(), format!("{}\n", instance.instance_id), 0o644));
    }
}

fn file(place: &str, path: String, content: impl Into<Vec<u8>>, mode: u32) -> Item {
    Item::File(File { place: place.to_owned(), ..File::ours(path, content).mode(mode) })
}

fn enabled(unit: &str) -> Item {
    let path = format!("{UNIT_DIR}/multi-user.target.wants/{unit}");
    Item::Link(Link::ours(path, format!("{UNIT_DIR}/{unit}")))
}

fn script(prelude: &str, lines: &[Secret]) -> Vec<u8> {
    let mut script = prelude.as_bytes().to_vec();
    for line in lines {
        script.extend_from_slice(line.expose());
        script.push(b'\n');
    }
    script
}

/// The instance's id as an assignment in a unit file, quoted as systemd.syntax(7) says; `%` begins a specifier there.
fn instance_id(instance: &Instance) -> String {
    let id: String = instance.instance_id.chars().filter(|c| !c.is_control()).collect();
    format!("\"INSTANCE_ID={}\"", id.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_and_join_are_told_from_their_phases() {
        for (line, want) in [
            ("kubeadm init --config /run/kubeadm/kubeadm.yaml && echo success > /run/x", true),
            ("kubeadm join 192.0.2.1:6443 --token abcdef.0123456789abcdef", true),
            ("/usr/bin/kubeadm --v 5 join --config /x", true),
            ("timeout 600 kubeadm -v5 init --upload-certs", true),
            ("set +e; kubeadm join --config /x || true", true),
            ("sh -c 'kubeadm join --config /x'", true),
            ("kubeadm \\\n    init --config /x", true),
            ("kubeadm join phase", false),
            ("kubeadm init phase certs ca --config /x", false),
            ("kubeadm init --config /x phase certs all", false),
            ("kubeadm init --upload-certs phase upload-certs", false),
            ("kubeadm init --skip-token-print phase addon all", false),
            ("kubeadm init --dry-run", false),
            ("kubeadm join --dry-run=true --config /x", false),
            ("kubeadm init --dry-run=false", true),
            ("kubeadm --help init", false),
            ("kubeadm help init", false),
            ("kubeadm config images pull --config /init", false),
            ("kubeadm token create --print-join-command", false),
            ("kubeadm reset --force; echo init", false),
            ("echo begun", false),
        ] {
            assert_eq!(bootstraps(&format!("{PRELUDE}{line}\n")), want, "{line}");
        }
    }
}
