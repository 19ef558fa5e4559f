// SPDX-License-Identifier: Apache-2.0
//! systemd over D-Bus: load, start, follow
//! ([org.freedesktop.systemd1](https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.systemd1.html)),
//! and the readiness message of [sd_notify](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).

use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use zbus::export::futures_core::Stream;
use zbus::{
    Connection, DynamicType, MatchRule, Message, MessageStream, OwnedObjectPath, Signature, as_variant,
    connection, message,
};

use super::runtime::Runtime;
use crate::model::problem::WithCure as _;

mod programs;
mod times;

pub use programs::{Program, main_process};
pub use times::boot_times;

/// The bus, by its well-known path: no environment variable redirects it.
const BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// A call that systemd has not answered by then never will be; a reload with many units takes seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// The bus's error for a call to a service that does not run
/// ([error names](https://dbus.freedesktop.org/doc/dbus-specification.html#message-bus-messages)).
const LEFT_THE_BUS: &[&str] = &[
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.ServiceUnknown",
];

/// How often a reload is asked for, and how long systemd is given to come back: it starts anew within a second or two.
const RELOAD_TRIES: u32 = 5;
const RELOAD_PAUSE: Duration = Duration::from_secs(2);

const DESTINATION: &str = "org.freedesktop.systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const MANAGER: Object<'_> =
    Object { service: DESTINATION, path: "/org/freedesktop/systemd1", interface: INTERFACE };
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// systemd's own client.
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// networkd, [org.freedesktop.network1](https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.network1.html).
const NETWORK: Object<'_> = Object {
    service: "org.freedesktop.network1",
    path: "/org/freedesktop/network1",
    interface: "org.freedesktop.network1.Manager",
};

/// Of [any object](https://dbus.freedesktop.org/doc/dbus-specification.html#standard-interfaces-properties).
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What is called on the bus.
#[derive(Clone, Copy)]
struct Object<'a> {
    service: &'static str,
    path: &'a str,
    interface: &'static str,
}

/// What a method is given. One type for all, since code is made for each.
enum Arguments<'a> {
    Texts(&'a [&'a str]),
    Lists([&'a [&'a str]; 2]),
}

impl Arguments<'_> {
    const NONE: Self = Self::Texts(&[]);
}

impl DynamicType for Arguments<'_> {
    fn signature(&self) -> Signature {
        match self {
            Self::Texts([]) => Signature::Unit,
            Self::Texts(texts) => Signature::structure(vec![Signature::Str; texts.len()]),
            Self::Lists(lists) => Signature::structure(lists.map(|_| Signature::array(Signature::Str))),
        }
    }
}

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Texts([]) => serializer.serialize_unit(),
            Self::Texts(texts) => {
                let mut fields = serializer.serialize_struct("", texts.len())?;
                texts.iter().try_for_each(|text| fields.serialize_field("", text))?;
                fields.end()
            }
            Self::Lists(lists) => lists.serialize(serializer),
        }
    }
}

/// Whether systemd has read its unit files since this process last changed one. What another process changed is not known.
static UNITS_ARE_READ: AtomicBool = AtomicBool::new(false);

/// Says that unit files may have changed: systemd is made to read them before it is next asked for one.
pub fn units_changed() {
    UNITS_ARE_READ.store(false, Relaxed);
}

/// A connection to systemd.
pub struct Systemd {
    runtime: Runtime,
    connection: Connection,
    /// Whether it tells of jobs: it refuses to be asked for that twice.
    subscribed: Cell<bool>,
}

/// A job that systemd was asked for, not yet known to have ended.
pub struct Job {
    path: OwnedObjectPath,
    ended: MessageStream,
}

/// How a service stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceState {
    /// `active`, `failed`, …
    pub active: String,
    /// `running`, `exited` (it ended and remains), …
    pub sub: String,
    /// `success`, `exit-code`, `timeout`, …
    pub result: String,
    /// The exit status of its main process, once it ended.
    pub exit_status: i32,
    /// Whether its conditions held when it was last started.
    pub condition: bool,
}

impl Systemd {
    /// Connects to the system's bus.
    ///
    /// # Errors
    /// The bus is not reachable.
    pub fn connect() -> Result<Self> {
        Self::connect_within(CALL_TIMEOUT)
    }

    /// The same, where systemd is given so long for each answer.
    fn connect_within(limit: Duration) -> Result<Self> {
        let runtime = Runtime::new()?;
        let connect = async { connection::Builder::address(BUS).method_timeout(limit).build().await };
        let connection = runtime
            .run(connect)
            .context("the system's D-Bus does not answer")
            .cure("look at `systemctl status dbus.service`")?;
        Ok(Self { runtime, connection, subscribed: Cell::new(false) })
    }

    /// Connects, and makes systemd read its unit files again where they may have changed since it did. Each time it also runs all
    /// generators, and answers nobody until they have ended.
    ///
    /// # Errors
    /// The bus is not reachable, or systemd refuses or does not answer.
    pub fn reloaded() -> Result<Self> {
        let systemd = Self::connect()?;
        systemd.read_units()?;
        Ok(systemd)
    }

    /// Connects, and makes systemd read its unit files again only where it knows this unit, or one of the others, otherwise than its
    /// files are now. A unit that it has not met yet it reads by itself, with its drop-ins, once somebody asks for it, where the
    /// directories of unit files have changed since it last looked.
    ///
    /// # Errors
    /// As [`Systemd::reloaded`].
    pub fn knowing(unit: &str, others: &[&str]) -> Result<Self> {
        let systemd = Self::connect()?;
        let known = || {
            systemd.runtime.run(async {
                for name in [&[unit], others].concat() {
                    let path = systemd.unit(name).await?;
                    let old: bool = systemd.property(&path, UNIT, "NeedDaemonReload").await?;
                    let state: String = systemd.property(&path, UNIT, "LoadState").await?;
                    // The time of a directory is that of the kernel's last tick: two changes may have one.
                    if old || name == unit && state != "loaded" {
                        return Ok(false);
                    }
                }
                zbus::Result::Ok(true)
            })
        };
        if !UNITS_ARE_READ.load(Relaxed) && !known().unwrap_or_default() {
            systemd.read_units()?;
        }
        Ok(systemd)
    }

    fn read_units(&self) -> Result<()> {
        if !UNITS_ARE_READ.load(Relaxed) {
            self.reload()?;
            UNITS_ARE_READ.store(true, Relaxed);
        }
        Ok(())
    }

    /// Makes systemd read its unit files again. It leaves the bus for a moment where something else has it start anew, such
    /// as an extension of the system that is merged late in a boot; it is asked again then.
    fn reload(&self) -> Result<()> {
        self.runtime.run(async {
            let mut tries = 1;
            loop {
                match self.call::<()>(MANAGER, "Reload", &Arguments::NONE).await {
                    Err(zbus::Error::MethodError(name, ..))
                        if LEFT_THE_BUS.contains(&name.as_str()) && tries < RELOAD_TRIES =>
                    {
                        tries += 1;
                        tokio::time::sleep(RELOAD_PAUSE).await;
                    }
                    answer => return answer.context("systemd has not read its unit files again"),
                }
            }
        })
    }

    /// Asks for a unit to be started (`verb` is `StartUnit` or `ReloadOrRestartUnit`).
    ///
    /// # Errors
    /// The unit can't be loaded, or systemd refuses.
    pub fn start(&self, verb: &str, unit: &str) -> Result<Job> {
        self.runtime.run(async {
            // Listen before asking: the job may end before the answer is read.
            let rule = MatchRule::builder()
                .msg_type(message::Type::Signal)
                .sender(DESTINATION)
                .interface(INTERFACE)
                .member("JobRemoved")
                .build()?;
            let ended = MessageStream::for_match_rule(rule, &self.connection, None).await?;
            if !self.subscribed.get() {
                self.call::<()>(MANAGER, "Subscribe", &Arguments::NONE).await?;
                self.subscribed.set(true);
            }
            let path = self.call(MANAGER, verb, &Arguments::Texts(&[unit, "replace"])).await;
            Ok(Job { path: path.with_context(|| format!("systemd does not start {unit}"))?, ended })
        })
    }

    /// Asks for a unit to be started, as [`Systemd::start`] does, and waits until the job has ended, as [`Systemd::wait`]
    /// does.
    ///
    /// # Errors
    /// As these two.
    pub fn start_and_wait(&self, verb: &str, unit: &str, limit: Duration) -> Result<String> {
        self.wait(self.start(verb, unit)?, limit)
    }

    /// Waits for a job to end: `done`, `failed`, `timeout`, `dependency`, `canceled`, `skipped`, …
    ///
    /// # Errors
    /// It has not ended after `limit`, or the bus went away.
    pub fn wait(&self, mut job: Job, limit: Duration) -> Result<String> {
        use std::future::poll_fn;
        use std::pin::Pin;
        let follow = async {
            // The stream's `next` without a crate for that one method.
            while let Some(message) = poll_fn(|cx| Stream::poll_next(Pin::new(&mut job.ended), cx)).await {
                let message = message?;
                let (_, path, _, result): (u32, OwnedObjectPath, String, String) =
                    message.body().deserialize()?;
                if path == job.path {
                    return Ok(result);
                }
            }
            bail!("the system's D-Bus has ended the connection")
        };
        self.runtime.run(async {
            tokio::time::timeout(limit, follow)
                .await
                .with_context(|| format!("its job has not ended after {} s", limit.as_secs()))?
        })
    }

    /// The names of the units that run and fit the pattern, as `user@*.service`.
    ///
    /// # Errors
    /// systemd does not answer.
    pub fn running(&self, pattern: &str) -> Result<Vec<String>> {
        self.runtime.run(async {
            let asked = Arguments::Lists([&["active", "activating"], &[pattern]]);
            let units: Vec<Listed> = self.call(MANAGER, "ListUnitsByPatterns", &asked).await?;
            Ok(units.into_iter().map(|unit| unit.0).collect())
        })
    }

    /// How a service stands now.
    ///
    /// # Errors
    /// The unit can't be loaded.
    pub fn service(&self, unit: &str) -> Result<ServiceState> {
        self.runtime.run(async {
            let path = self.unit(unit).await?;
            Ok(ServiceState {
                active: self.property(&path, UNIT, "ActiveState").await?,
                sub: self.property(&path, UNIT, "SubState").await?,
                result: self.property(&path, SERVICE, "Result").await?,
                exit_status: self.property(&path, SERVICE, "ExecMainStatus").await?,
                condition: self.property(&path, UNIT, "ConditionResult").await?,
            })
        })
    }

    /// Calls a method, and gives its answer.
    async fn call<R>(&self, of: Object<'_>, method: &str, arguments: &Arguments<'_>) -> zbus::Result<R>
    where
        R: for<'d> Deserialize<'d> + zbus::Type,
    {
        self.answer(of, method, arguments).await?.body().deserialize()
    }

    /// What is not generic is in the program once.
    async fn answer(&self, of: Object<'_>, method: &str, arguments: &Arguments<'_>) -> zbus::Result<Message> {
        self.connection.call_method(Some(of.service), of.path, Some(of.interface), method, arguments).await
    }

    /// Where a unit stands on the bus. systemd reads it first where it has not yet.
    async fn unit(&self, name: &str) -> zbus::Result<OwnedObjectPath> {
        self.call(MANAGER, "LoadUnit", &Arguments::Texts(&[name])).await
    }

    /// A property of one of systemd's units, as it is now.
    async fn property<T>(&self, unit: &str, interface: &'static str, name: &str) -> zbus::Result<T>
    where
        T: for<'d> Deserialize<'d> + zbus::Type,
    {
        let of = Object { service: DESTINATION, path: unit, interface: PROPERTIES };
        let answer = self.answer(of, "Get", &Arguments::Texts(&[interface, name])).await?;
        let body = answer.body();
        let value: as_variant::Deserialize<'_, T> = body.deserialize()?;
        Ok(value.0)
    }
}

/// A unit as systemd lists it: name, description, how it is loaded, active and what that means for its kind, the unit that it follows,
/// its path, and its job's number, kind and path.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Has systemd-networkd, if it runs, read its files again. It then sets those links up anew whose files changed, and no
/// others ([networkctl(1), reload](https://www.freedesktop.org/software/systemd/man/latest/networkctl.html#reload)).
/// Early in a boot the bus and networkd do not run yet: networkd will read the files when it starts. Returns whether it runs.
///
/// # Errors
/// It runs and refuses.
pub fn reload_network() -> Result<bool> {
    let Ok(systemd) = Systemd::connect() else { return Ok(false) };
    if systemd.service("systemd-networkd.service")?.active != "active" {
        return Ok(false);
    }
    systemd.runtime.run(async {
        systemd
            .call::<()>(NETWORK, "Reload", &Arguments::NONE)
            .await
            .context("networkd has not read its files again")
    })?;
    Ok(true)
}

/// Whether the system's bus is there. It comes after the early services of a boot.
pub fn bus_is_there() -> bool {
    BUS.strip_prefix("unix:path=").is_none_or(|socket| Path::new(socket).exists())
}

/// Whether the machine goes down: that target is reached, or to be reached. systemctl asks by systemd's own socket, for the
/// bus may be gone by then. What systemd says of the system as a whole is `starting` where a boot's end never came.
pub fn stopping() -> bool {
    let asked = ["show", "--property=ActiveState,Job", "--value", "shutdown.target"];
    let answer = super::exec::answer_of(Path::new(SYSTEMCTL), &asked);
    answer.is_ok_and(|answer| answer.lines().any(|line| !["", "0", "inactive"].contains(&line.trim())))
}

/// Tells the service manager that this service is up, where it asked to be told; `status` is for people.
///
/// # Errors
/// The manager's socket can't be written.
pub fn notify_ready(status: &str) -> Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let message = format!("READY=1\nSTATUS={status}\n");
    UnixDatagram::unbound()?.send_to(message.as_bytes(), socket).context("$NOTIFY_SOCKET")?;
    Ok(())
}
