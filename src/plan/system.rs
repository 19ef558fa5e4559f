// SPDX-License-Identifier: Apache-2.0
//! What the machine has once, as the files and units that Flatcar's programs read.

use super::{DOCUMENTATION, STATE_DIR, UNIT_DIR, WRITTEN};
use crate::model::config::{EtcHosts, NodeConfig, PhoneHome, PowerMode, PowerState, Swap, SwapSize};
use crate::model::instance::{Instance, short};
use crate::model::paths::ZONES;
use crate::model::plan::{Item, Plan, Run};
use crate::model::storage::{Directory, File, Link};
use crate::model::unit::of_path;

/// The unit of `phone_home`.
const PHONE_HOME_UNIT: &str = "footplate-phone-home.service";

/// The unit that reboots the machine or switches it off.
const POWER_UNIT: &str = "footplate-power-state.service";

/// The unit that makes the swap file.
const SWAP_UNIT: &str = "footplate-swapfile.service";

/// What curl sends, and where to.
const PHONE_HOME_CONFIG: &str = "/var/lib/footplate/phone-home.curl";

/// The command that says whether the machine goes down.
const POWER_CONDITION: &str = "/var/lib/footplate/power-condition";

/// What is written to the console once the bootstrap succeeded.
pub const FINAL_MESSAGE: &str = "/run/footplate/final-message";

pub(super) fn file(place: &str, path: impl Into<String>, content: impl Into<Vec<u8>>) -> File {
    File { place: place.to_owned(), ..File::ours(path, content) }
}

/// A unit of ours that starts with `target`.
pub(super) fn unit(place: &str, name: &str, text: String, target: Option<&str>) -> Vec<Item> {
    let path = format!("{UNIT_DIR}/{name}");
    let link =
        target.map(|target| Item::Link(Link::ours(format!("{UNIT_DIR}/{target}.wants/{name}"), &path)));
    [Item::File(file(place, path.clone(), text))].into_iter().chain(link).collect()
}

/// A word of a unit file, quoted as systemd.syntax(7) and, for `$`, systemd.service(5) say.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
}

/// The machine's settings, in the order of their keys.
pub(super) fn items(config: &NodeConfig, plan: &mut Plan) {
    let system = &config.system;
    super::trust::items(config, plan);
    if let Some(locale) = &system.locale {
        plan.items.push(Item::File(file("locale", "/etc/locale.conf", format!("LANG={locale}\n"))));
    }
    if let Some(resolver) = &system.resolver {
        let mut text = format!("{WRITTEN}[Resolve]\n");
        for (key, words) in [("DNS", &resolver.servers), ("Domains", &resolver.domains)] {
            if !words.is_empty() {
                text += &format!("{key}={}\n", words.join(" "));
            }
        }
        let mut file = file("resolv_conf", "/etc/systemd/resolved.conf.d/50-footplate.conf", text);
        file.restart = Some("systemd-resolved.service");
        plan.items.push(Item::File(file));
    }
    if let Some(taken) = system.password_login {
        let text = format!("{WRITTEN}PasswordAuthentication {}\n", if taken { "yes" } else { "no" });
        // sshd takes the first value that it meets, and is started anew for each connection.
        plan.items.push(Item::File(file("ssh_pwauth", "/etc/ssh/sshd_config.d/10-footplate.conf", text)));
    }
    if let Some(swap) = &system.swap {
        swap_file(swap, plan);
    }
    if let Some(zone) = &system.timezone {
        let link = Link::ours("/etc/localtime", format!("..{ZONES}/{zone}"));
        plan.items.push(Item::Link(Link { place: "timezone".to_owned(), ..link }));
    }
}

/// cloud-init's `suggested_swapsize`, in mebibytes: as much as the memory below 4 GiB, 4 GiB below 16, then the root of its
/// gibibytes; at most what the data says and nine tenths of the free space, or a quarter of it. `$` and `%` are written as units want.
const SUGGESTED: &str = "\
    while read -r name mem _ && [ $$name != MemTotal: ]; do :; done < /proc/meminfo; mem=$$((mem >> 10)); size=$$mem; n=4; \
    while [ $$(((2 * n + 1) * (2 * n + 1) * 256)) -le $$mem ]; do n=$$((n + 1)); done; \
    [ $$mem -lt 4096 ] || size=$$((n * 1024)); \
    free=$$(($$(stat -f -c %%f*%%S \"$$1\") >> 20)); most=$$((free * 9 / 10)); \
    [ -n \"$$2\" ] || most=$$((free / 4)); [ $${2:-$$most} -gt $$most ] || most=$${2:-$$most}; \
    [ $$size -le $$most ] || size=$$most; \
    exec fallocate --length=$${size}MiB \"$$1\"";

fn swap_file(swap: &Swap, plan: &mut Plan) {
    let name = of_path(&swap.path, "swap");
    let path = swap.path.replace('%', "%%");
    let allocate = match swap.size {
        SwapSize::Bytes(bytes) => format!("/usr/bin/fallocate --length={bytes} {path}.new"),
        SwapSize::Auto { max } => {
            let max = max.map(|max| (max >> 20).to_string()).unwrap_or_default();
            format!("/bin/sh -c '{SUGGESTED}' sh {path}.new {max}")
        }
    };
    let make = format!(
        "{WRITTEN}\
         [Unit]\n\
         Description=Make the swap file\n\
         {DOCUMENTATION}\
         DefaultDependencies=no\n\
         ConditionPathExists=!{path}\n\
         RequiresMountsFor={path}\n\
         Before={name}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         # Swapped memory may hold secrets: only root reads it.\n\
         UMask=0077\n\
         ExecStart=/usr/bin/truncate --size=0 {path}.new\n\
         # btrfs swaps only to files that it does not copy; other filesystems refuse the flag.\n\
         ExecStart=-/usr/bin/chattr +C {path}.new\n\
         ExecStart={allocate}\n\
         ExecStart=/usr/sbin/mkswap {path}.new\n\
         # Under its name it is whole.\n\
         ExecStart=/usr/bin/mv {path}.new {path}\n"
    );
    let on = format!(
        "{WRITTEN}\
         [Unit]\n\
         Description=Swap file\n\
         {DOCUMENTATION}\
         Requires={SWAP_UNIT}\n\
         After={SWAP_UNIT}\n\
         \n\
         [Swap]\n\
         What={path}\n\
         \n\
         [Install]\n\
         WantedBy=swap.target\n"
    );
    plan.items.extend(unit("swap", SWAP_UNIT, make, None));
    plan.items.extend(unit("swap", &name, on, Some("swap.target")));
    plan.items.push(Item::Run(Run {
        unit: name,
        reason: "the bootstrap data's swap",
        makes: vec![swap.path.clone()],
    }));
}

/// `/etc/hosts` as `manage_etc_hosts` wants it: before the data's own files, which may add to it.
pub(super) fn hosts(config: &NodeConfig, instance: &Instance) -> Option<File> {
    let kind = config.system.etc_hosts?;
    let name = config.hostname.as_deref().or(instance.hostname.as_deref())?;
    let (short, dotted) = (short(name), Some(name).filter(|name| name.contains('.')));
    // The data's name may be short where the metadata has its domain.
    let long = config.system.fqdn.as_deref().or(dotted).or(instance.hostname.as_deref());
    let names = match long.map(|name| name.strip_suffix('.').unwrap_or(name)).filter(|f| *f != short) {
        Some(fqdn) => format!("{fqdn} {short}"),
        None => short.to_owned(),
    };
    let line = format!("127.0.1.1 {names}\n");
    let whole = format!(
        "{WRITTEN}{line}127.0.0.1 localhost\n\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
    );
    let content = if kind == EtcHosts::Whole { whole } else { line };
    let append = kind == EtcHosts::Line;
    Some(File { append, ..file("manage_etc_hosts", "/etc/hosts", content) })
}

/// Units that run once the bootstrap succeeded, in the order in which they run.
pub(super) fn afterwards(config: &NodeConfig, instance: &Instance, plan: &mut Plan) -> Vec<&'static str> {
    let mut units = Vec::new();
    if let Some(phone_home) = &config.system.phone_home {
        plan.items.extend(tell(phone_home, config, instance));
        units.push(PHONE_HOME_UNIT);
    }
    if let Some(power) = &config.system.power_state {
        if let Some(command) = &power.condition {
            let script = file("power_state", POWER_CONDITION, command.expose()).mode(0o600);
            plan.items.extend([Item::Directory(Directory::ours(STATE_DIR, 0o700)), Item::File(script)]);
        }
        plan.items.extend(unit("power_state", POWER_UNIT, power_unit(power), None));
        units.push(POWER_UNIT);
    }
    units
}

/// A request by curl: it is in every Flatcar, tries again and knows TLS. What it sends stands in a file, since a URL may
/// hold a token, and every user can read command lines.
fn tell(phone_home: &PhoneHome, config: &NodeConfig, instance: &Instance) -> Vec<Item> {
    let hostname = config.hostname.as_deref().or(instance.short_hostname()).unwrap_or_default();
    let fqdn = config.system.fqdn.as_deref().or(instance.hostname.as_deref()).unwrap_or(hostname);
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let url = String::from_utf8_lossy(phone_home.url.expose());
    let url = ["${INSTANCE_ID}", "$INSTANCE_ID"]
        .iter()
        .fold(url.into_owned(), |url, name| url.replace(name, &instance.instance_id));
    let mut text = format!("url = \"{}\"\n", escaped(&url));
    for post in &phone_home.posts {
        let value = match post.as_str() {
            "instance_id" => format!("={}", instance.instance_id),
            "hostname" => format!("={hostname}"),
            "fqdn" => format!("={fqdn}"),
            key => format!("@/etc/ssh/ssh_host_{}_key.pub", key.trim_start_matches("pub_key_")),
        };
        text += &format!("data-urlencode = \"{post}{}\"\n", escaped(&value));
    }
    text += &format!(
        "retry = {}\nretry-all-errors\nfail\nsilent\nshow-error\nmax-time = 60\n",
        phone_home.tries - 1
    );
    let unit_text = format!(
        "{WRITTEN}\
         [Unit]\n\
         Description=Tell of this machine once its bootstrap succeeded\n\
         {DOCUMENTATION}\
         # The host keys that it sends.\n\
         After=sshd-keygen.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/curl --config {PHONE_HOME_CONFIG}\n\
         # The URL may hold a token that is good for once.\n\
         ExecStopPost=/usr/bin/rm --force {PHONE_HOME_CONFIG}\n"
    );
    let mut items = unit("phone_home", PHONE_HOME_UNIT, unit_text, None);
    items.push(Item::Directory(Directory::ours(STATE_DIR, 0o700)));
    items.push(Item::File(file("phone_home", PHONE_HOME_CONFIG, text).mode(0o600)));
    items
}

fn power_unit(power: &PowerState) -> String {
    let how = match power.mode {
        PowerMode::Reboot => "--reboot",
        PowerMode::PowerOff => "--poweroff",
        PowerMode::Halt => "--halt",
    };
    let message = power.message.as_deref().map(|m| format!(" {}", quoted(m))).unwrap_or_default();
    // A command that fails skips the unit. Everyone may read the unit, and systemd shows it to everyone.
    let condition = power
        .condition
        .as_ref()
        .map_or(String::new(), |_| format!("ExecCondition=/bin/sh {POWER_CONDITION}\n"));
    format!(
        "{WRITTEN}\
         [Unit]\n\
         Description=Power state of the bootstrap data\n\
         {DOCUMENTATION}\
         After={PHONE_HOME_UNIT}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         {condition}\
         ExecStart=/usr/sbin/shutdown {how} {}{message}\n",
        power.delay
    )
}
