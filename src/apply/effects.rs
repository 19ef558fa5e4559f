// SPDX-License-Identifier: Apache-2.0
//! What a running system does about files that changed under it.
//!
//! Ignition writes its files before the system starts, so every service reads them when it starts. footplate writes them on the
//! running system, when early services have read theirs: kernel settings, modules, temporary files, accounts, device rules, the
//! journal, name resolution. A row of [`FAMILIES`] says what makes such a file count in this boot. It holds for a
//! cloud-config's `write_files` too. On Ubuntu, cloud-init writes those after the same early services and before
//! `basic.target`, so there a file in `sysctl.d` waits for the next boot or a command; here it does not.
//!
//! Only changes have effects: a run that changes nothing runs nothing. Under another root nothing is run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::unit_files::UNIT_DIR;
use crate::io::exec::{self, Ended};
use crate::io::systemd::{Systemd, bus_is_there, reload_network, units_changed};
use crate::model::paths::{KUBEADM_UNIT, next_boot};
use crate::model::plan::Item;
use crate::model::unit::{Form, form, kind};

/// How long a program or a service may take. The slowest is to merge extensions, which takes seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// What is done, in this order: extensions may bring accounts, files and units; files may belong to the accounts; settings of the
/// kernel and rules of devices may be those of the modules; services come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// Extensions are merged into `/usr`.
    Extensions,
    /// Accounts are made.
    Accounts,
    /// Files and directories are made.
    TemporaryFiles,
    /// A unit of systemd's own that ends by itself runs again.
    Again(&'static str),
    /// The rules of devices are read and applied.
    Devices,
    /// systemd reads its settings and its units.
    Reload,
    /// networkd reads its files.
    Network,
    /// What fstab asks for is mounted, before the bootstrap begins.
    Mounts,
    /// Users' own systemd, where it runs already, starts anew.
    Users,
    /// A service restarts, if it runs.
    Service(&'static str),
    /// Services that run restart where their units changed, and what has become wanted starts.
    Start,
    /// Nothing can be done in this boot, and why.
    Later(&'static str),
}

use Effect::{
    Accounts, Again, Devices, Extensions, Later, Mounts, Network, Reload, Service, Start, TemporaryFiles,
    Users,
};

const MODULES: Effect = Again("systemd-modules-load.service");
const KERNEL: Effect = Again("systemd-sysctl.service");

/// An extension may bring files of most families in `/usr`, and units.
const EXTENSION: &[Effect] = &[Extensions, Accounts, TemporaryFiles, MODULES, KERNEL, Reload, Start];

/// A family of files: the directory or the file, the ending of names, what is done. A directory below `/etc` stands for those of the same
/// name below `/run` and `/usr/local/lib` too, which the same programs read; one that begins with `~` is of any home. Files that are
/// read whenever they are used, such as `/etc/hosts` and `modprobe.d`, have a row without an effect; those for which nothing can be done in
/// this boot are in [`next_boot`]'s table.
const FAMILIES: &[(&str, &str, &[Effect])] = &[
    ("/etc/extensions/", "", EXTENSION),
    ("/var/lib/extensions/", "", EXTENSION),
    ("/etc/sysusers.d/", ".conf", &[Accounts]),
    ("/etc/tmpfiles.d/", ".conf", &[TemporaryFiles]),
    ("/etc/modules-load.d/", ".conf", &[MODULES]),
    ("/etc/modprobe.d/", ".conf", &[]),
    ("/etc/sysctl.conf", "", &[KERNEL]),
    ("/etc/sysctl.d/", ".conf", &[KERNEL]),
    ("/etc/binfmt.d/", ".conf", &[Again("systemd-binfmt.service")]),
    ("/etc/udev/rules.d/", ".rules", &[Devices]),
    ("/etc/systemd/system.conf", "", &[Reload]),
    ("/etc/systemd/system.conf.d/", ".conf", &[Reload]),
    ("/etc/systemd/system/", "", &[Reload, Start]),
    ("/etc/systemd/system-generators/", "", &[Reload, Start]),
    ("/etc/systemd/network/", ".network", &[Network]),
    ("/etc/systemd/network/", ".netdev", &[Network]),
    ("/etc/systemd/network/", ".conf", &[Network]),
    ("/etc/systemd/networkd.conf", "", &[Service("systemd-networkd.service")]),
    ("/etc/systemd/networkd.conf.d/", ".conf", &[Service("systemd-networkd.service")]),
    ("/etc/systemd/resolved.conf", "", &[Service("systemd-resolved.service")]),
    ("/etc/systemd/resolved.conf.d/", ".conf", &[Service("systemd-resolved.service")]),
    ("/etc/systemd/timesyncd.conf", "", &[Service("systemd-timesyncd.service")]),
    ("/etc/systemd/timesyncd.conf.d/", ".conf", &[Service("systemd-timesyncd.service")]),
    ("/etc/systemd/journald.conf", "", &[Service("systemd-journald.service")]),
    ("/etc/systemd/journald.conf.d/", ".conf", &[Service("systemd-journald.service")]),
    ("/etc/systemd/logind.conf", "", &[Service("systemd-logind.service")]),
    ("/etc/systemd/logind.conf.d/", ".conf", &[Service("systemd-logind.service")]),
    ("/etc/systemd/oomd.conf", "", &[Service("systemd-oomd.service")]),
    ("/etc/systemd/oomd.conf.d/", ".conf", &[Service("systemd-oomd.service")]),
    ("/etc/systemd/user.conf", "", &[Users]),
    ("/etc/systemd/user.conf.d/", ".conf", &[Users]),
    ("/etc/systemd/user/", "", &[Users]),
    ("/etc/systemd/user-generators/", "", &[Users]),
    ("~/.config/systemd/user/", "", &[Users]),
    ("/etc/environment.d/", ".conf", &[Users]),
    // logind starts the systemd of these users, whether they log in or not.
    ("/var/lib/systemd/linger/", "", &[Service("systemd-logind.service")]),
    ("/etc/audit/rules.d/", ".rules", &[Again("audit-rules.service")]),
    ("/etc/fstab", "", &[Reload, Mounts]),
    ("/etc/hosts", "", &[]),
];

/// Services that are not restarted because their unit changed, for they carry footplate's own requests.
const THE_BUS: &[&str] = &["dbus.service", "dbus-broker.service"];

/// The path of an item that bootstrap data asks for and whose change may need an effect. Units that the data describes as units
/// are seen to by their own kind, and so are footplate's own files and those of the network. systemd reads the units that footplate starts itself, the
/// bootstrap among them, when it is asked for them.
pub(super) fn path(item: &Item) -> Option<&str> {
    let (path, place) = match item {
        Item::File(file) => (&file.path, &file.place),
        Item::Link(link) => (&link.path, &link.place),
        Item::Directory(directory) => (&directory.path, &directory.place),
        _ => return None,
    };
    let starts = |unit: &str| unit.starts_with("footplate") || unit == KUBEADM_UNIT;
    let seen_to = ["footplate", "network"].contains(&place.as_str());
    (!seen_to && !unit_of(&in_etc(path)).is_some_and(starts)).then_some(path.as_str())
}

/// The unit of which a path below the directory of units is the file or a drop-in, or is named like one; empty for a link.
fn unit_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix(UNIT_DIR)?.strip_prefix('/')?;
    Some(below.split_once('/').map_or(below, |(dir, _)| dir.strip_suffix(".d").unwrap_or_default()))
}

/// The path below `/etc` of a file that programs read as one of there.
fn in_etc(path: &str) -> Cow<'_, str> {
    let below = ["/run/", "/usr/local/lib/"].iter().find_map(|dir| path.strip_prefix(dir));
    below.map_or(Cow::Borrowed(path), |below| Cow::Owned(format!("/etc/{below}")))
}

/// What a changed path asks for.
fn asked_by(path: &str) -> impl Iterator<Item = Effect> {
    let rows = FAMILIES.iter().filter(move |(at, ending, _)| match at.strip_prefix('~') {
        Some(below_home) => path.contains(below_home),
        None if at.ends_with('/') => in_etc(path).starts_with(at) && path.ends_with(ending),
        None => path == *at,
    });
    rows.flat_map(|(_, _, effects)| effects.iter().copied()).chain(next_boot(&in_etc(path)).map(Later))
}

/// What the changed paths ask for, in order.
fn effects(changed: &[String]) -> BTreeSet<Effect> {
    changed.iter().flat_map(|path| asked_by(path)).collect()
}

/// Makes the changed paths count. What can't be done for a setting of a service is told and keeps nothing else from being done, as at
/// a boot with that file; without its extensions, its accounts or its units a node is not the one that was asked for.
///
/// # Errors
/// Extensions can't be merged, accounts can't be made, or systemd does not answer.
pub(super) fn apply(changed: &[String], restarted: &[&str]) -> Result<()> {
    let effects = effects(changed);
    // Before there is a bus, at the begin of a boot, no service has read its files yet.
    if effects.is_empty() || !bus_is_there() {
        return Ok(());
    }
    let systemd = Systemd::connect()?;
    for effect in &effects {
        match *effect {
            Service(unit) if restarted.contains(&unit) => {}
            Extensions => {
                own_service("systemd-sysext", &["refresh"])?;
                units_changed();
            }
            Accounts => own_service("systemd-sysusers", &[])?,
            TemporaryFiles => {
                // Only the files that changed: others may have lines that were meant for the start of the boot.
                let mut args = vec!["--create", "--boot"];
                if !effects.contains(&Extensions) {
                    let own = |path: &&String| in_etc(path).starts_with("/etc/tmpfiles.d/");
                    args.extend(changed.iter().filter(own).map(String::as_str));
                }
                warned(own_service("systemd-tmpfiles", &args));
                units_changed();
            }
            Again(unit) => warned(job(&systemd, "RestartUnit", unit, READ)),
            Devices => warned(devices()),
            Reload => {
                Systemd::reloaded()?;
                log::info!("apply: systemd has read its units and its settings again");
            }
            Network => warned(reload_network().map(|runs| {
                if runs {
                    log::info!("apply: networkd has read its files again");
                }
            })),
            Mounts => {
                for target in ["local-fs.target", "remote-fs.target", "swap.target"] {
                    warned(job(&systemd, "StartUnit", target, "is reached"));
                }
            }
            Users => {
                for unit in systemd.running("user@*.service")? {
                    warned(job(&systemd, "TryRestartUnit", &unit, READ));
                }
            }
            Service(unit) => warned(job(&systemd, "TryRestartUnit", unit, READ)),
            Start => start(&systemd, changed),
            Later(why) => {
                for path in changed.iter().filter(|path| asked_by(path).any(|e| e == Later(why))) {
                    log::warn!("apply: {path} has no effect in this boot: {why}");
                }
            }
        }
    }
    Ok(())
}

fn warned(done: Result<()>) {
    if let Err(error) = done {
        log::warn!("apply: {error:#}");
    }
}

/// Runs one of systemd's own programs with the rights that footplate.service has.
fn program(name: &str, args: &[&str]) -> Result<()> {
    finished(name, exec::run(name, args, b"", LIMIT)?)
}

/// Runs one of systemd's own programs as a service of its own. It needs rights that footplate.service does not have: to mount
/// extensions, or to make devices.
fn own_service(name: &str, args: &[&str]) -> Result<()> {
    let service = ["--quiet", "--collect", "--wait", "--pipe", "--", name];
    finished(name, exec::run("systemd-run", &[&service[..], args].concat(), b"", LIMIT)?)
}

fn finished(name: &str, ended: Option<Ended>) -> Result<()> {
    let ended = ended.with_context(|| format!("{name} is not on this machine"))?;
    if ended.status != Some(0) {
        bail!("{name}: {}", ended.complaint());
    }
    log::info!("apply: {name} {READ}");
    Ok(())
}

/// What a unit has done whose settings changed.
const READ: &str = "has read its files";

/// Asks systemd for a job, waits for its end, and logs what it came to.
fn job(systemd: &Systemd, verb: &str, unit: &str, end: &str) -> Result<()> {
    match systemd.start_and_wait(verb, unit, LIMIT)?.as_str() {
        "done" => {
            log::info!("apply: {unit} {end}");
            Ok(())
        }
        result => bail!("{verb} of {unit} ended as {result}"),
    }
}

/// Has udev read its rules, and apply them as at the start of the boot. Network cards are in use and keep their names, so their rules
/// are applied as to a change.
fn devices() -> Result<()> {
    program("udevadm", &["control", "--reload"])?;
    program("udevadm", &["trigger", "--action=add", "--subsystem-nomatch=net"])?;
    program("udevadm", &["trigger", "--action=change", "--subsystem-match=net"])
}

/// Restarts services that run and whose units changed, and starts what multi-user.target has come to want. Nothing is waited for,
/// since a unit may be ordered after footplate itself.
fn start(systemd: &Systemd, changed: &[String]) {
    let mut asked: BTreeSet<(&str, &str)> = BTreeSet::new();
    let paths: Vec<_> = changed.iter().map(|path| in_etc(path)).collect();
    for name in paths.iter().filter_map(|path| unit_of(path)) {
        let plain = matches!(form(name), Some(Form::Plain | Form::Instance));
        if kind(name) == "service" && plain && !THE_BUS.contains(&name) {
            asked.insert(("TryRestartUnit", name));
        }
    }
    for (verb, unit) in asked.into_iter().chain([("StartUnit", "multi-user.target")]) {
        if let Err(error) = systemd.start(verb, unit) {
            log::info!("{unit}: {verb}: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_come_once_and_in_order() {
        let of = |paths: &[&str]| -> Vec<Effect> {
            effects(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).into_iter().collect()
        };
        let paths = [
            "/etc/systemd/resolved.conf.d/a.conf",
            "/etc/systemd/system/a.service.d/b.conf",
            "/etc/sysctl.d/a.conf",
            "/etc/sysctl.d/b.conf",
            "/etc/modules-load.d/a.conf",
            "/etc/extensions/a.raw",
        ];
        let resolved = Service("systemd-resolved.service");
        assert_eq!(
            of(&paths),
            [Extensions, Accounts, TemporaryFiles, MODULES, KERNEL, Reload, resolved, Start]
        );
        let elsewhere = ["/run/systemd/system/a.timer", "/usr/local/lib/sysctl.d/a.conf", "/run/footplate/a"];
        assert_eq!(of(&elsewhere), [KERNEL, Reload, Start]);
        let users =
            ["/home/core/.config/systemd/user/default.target.wants/a.service", "/etc/systemd/user/a.timer"];
        assert_eq!(of(&users), [Users]);
        assert_eq!(
            of(&["/etc/fstab", "/var/lib/systemd/linger/core"]),
            [Reload, Mounts, Service("systemd-logind.service")]
        );
        let [link, own] =
            ["/etc/systemd/network/a.link", "/etc/flatcar/enabled-sysext.conf"].map(|path| of(&[path]));
        assert!(matches!((&link[..], &own[..]), ([Later(_)], [Later(_)])), "{link:?} {own:?}");
        assert_eq!(
            of(&["/etc/hosts", "/etc/sysctl.d/README", "/etc/sysctl.d", "/srv/etc/sysctl.d/a.conf"]),
            []
        );
    }
}
