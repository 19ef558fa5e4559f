// SPDX-License-Identifier: Apache-2.0
//! The machine itself.

use std::cell::RefCell;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::ifaddrs::getifaddrs;

use super::drive::Drives;
use super::guestinfo::{self, Guestinfo};
use super::root::Change;
use super::{Ask, Error, Tell, World, http, kvp, nic, read_bounded, read_file, reader, systemd};
use crate::model::facts::Link;
use crate::model::policy::Policy;

/// How long telling a platform something over HTTP may take: a node does not wait long for somebody to listen.
const TELL_LIMIT: Duration = Duration::from_secs(30);

/// The machine that this runs on.
#[derive(Default)]
pub struct Live {
    guestinfo: RefCell<Option<Guestinfo>>,
    drives: Drives,
    http: RefCell<Option<http::Client>>,
    policy: Policy,
    /// Whether a reader asks its services, where there is one.
    by_reader: bool,
}

impl Live {
    /// The machine, asked as the policy of its image says, and its services by a reader where there is one ([`reader`]).
    pub fn with_policy(policy: Policy) -> Self {
        Self { policy, by_reader: true, ..Self::default() }
    }

    /// Asks services from this process.
    fn services(
        &self,
        requests: &[http::Request],
        deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        let mut slot = self.http.borrow_mut();
        let client = match slot.as_mut() {
            Some(client) => client,
            None => match http::Client::new() {
                Ok(client) => slot.insert(client),
                Err(e) => return requests.iter().map(|r| Err(http::Error::of(r, e.to_string()))).collect(),
            },
        };
        client.fetch_all(requests, deadline)
    }

    fn with_guestinfo<T>(&self, call: impl FnOnce(&Guestinfo) -> Result<T>) -> Result<T> {
        let mut slot = self.guestinfo.borrow_mut();
        if slot.is_none() {
            *slot = Some(Guestinfo::open()?);
        }
        slot.as_ref().map_or_else(|| Err(anyhow!("no way to the hypervisor")), call)
    }
}

impl World for Live {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
        match ask {
            Ask::File(path) => read_file(path.as_ref(), path),
            Ask::Hypervisor => Ok(guestinfo::hypervisor_signature().map(String::into_bytes)),
            Ask::Guestinfo(key) => {
                let value =
                    self.with_guestinfo(|g| g.get(key)).with_context(|| format!("guestinfo key {key}"))?;
                Ok(value)
            }
            Ask::Drives => Ok(Some(self.drives.list().into_bytes())),
            Ask::Drive { label, file } => self.drives.read(label, file),
            Ask::BootTimes => match systemd::boot_times() {
                times if times.is_empty() => Ok(None),
                times => Ok(Some(serde_json::to_vec(&times).context("the boot's times as JSON")?)),
            },
            Ask::Links => Ok(Some(serde_json::to_vec(&links()?).context("the NICs as JSON")?)),
        }
    }

    fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
        match tell {
            Tell::Guestinfo { key, value } => {
                self.with_guestinfo(|g| g.set(key, value)).with_context(|| format!("guestinfo key {key}"))?;
            }
            Tell::Pair { key, value } => kvp::put(kvp::OF_GUEST, key, value)?,
            Tell::Http(request) => {
                let deadline = Instant::now() + TELL_LIMIT.min(self.patience());
                // It is told also when all is read, and while the machine stops, when no reader comes any more.
                let answers = self.services(std::slice::from_ref(request), deadline);
                for answer in answers {
                    let status = answer.map_err(anyhow::Error::from)?.status;
                    if !(200..300).contains(&status) {
                        return Err(anyhow!("{}: HTTP status {status}", request.place()).into());
                    }
                }
            }
        }
        Ok(())
    }

    fn http(
        &self,
        requests: &[http::Request],
        deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        let apart = if self.by_reader { reader::http(requests, deadline) } else { None };
        apart.unwrap_or_else(|| self.services(requests, deadline))
    }

    fn is_here(&self) -> bool {
        true
    }

    fn patience(&self) -> Duration {
        self.policy.metadata_wait
    }

    fn asks_without_token(&self) -> bool {
        self.policy.imdsv1
    }
}

/// Reads a command's input file, `-` for standard input.
///
/// # Errors
/// It can't be read, or is larger than [`super::MAX_ANSWER`].
pub fn input(path: &Path) -> Result<Vec<u8>, Error> {
    let name = path.display().to_string();
    if path == Path::new("-") {
        return read_bounded(std::io::stdin(), "standard input");
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("{name}: the file does not exist"),
        _ => anyhow::Error::new(error).context(name.clone()),
    })?;
    read_bounded(file, &name)
}

/// Levels of directories that are searched for a command's input.
const MAX_LEVELS: usize = 8;

/// Most files that a command reads of one directory.
const MAX_FILES: usize = 2000;

/// The endings of files of a directory that may be a command's input.
const ENDINGS: &[&str] = &["cfg", "ign", "json", "yaml", "yml"];

/// A command's input with its name: that of a file or of standard input, or of all files of YAML and JSON of a directory and those
/// below it, in the order of their names. Hidden ones are left out.
///
/// # Errors
/// One can't be read, or the directory has too many.
pub fn inputs(path: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    if !path.is_dir() {
        return Ok(vec![(path.display().to_string(), input(path)?)]);
    }
    let (mut files, mut directories) = (Vec::new(), vec![(path.to_owned(), 0)]);
    while let Some((directory, level)) = directories.pop() {
        let name = || directory.display().to_string();
        for entry in std::fs::read_dir(&directory).with_context(name)? {
            let entry = entry.with_context(name)?;
            let (path, kind) = (entry.path(), entry.file_type().with_context(name)?);
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if kind.is_dir() && !hidden && level < MAX_LEVELS {
                directories.push((path, level + 1));
            } else if kind.is_file() && !hidden && ENDINGS.contains(&ending) {
                files.push(path);
            }
        }
        if files.len() > MAX_FILES {
            return Err(anyhow!("{}: has more than {MAX_FILES} files", path.display()).into());
        }
    }
    files.sort();
    files.into_iter().map(|file| Ok((file.display().to_string(), input(&file)?))).collect()
}

/// Whether colours are used, where the command line says so.
static COLOURS: OnceLock<bool> = OnceLock::new();

/// Uses colours everywhere, or nowhere. The first call counts.
pub fn use_colours(everywhere: bool) {
    let _ = COLOURS.set(everywhere);
}

/// Whether a stream gets colours: what the command line says, and else whether it is a terminal that shows them and the environment
/// does not forbid them (<https://no-color.org>).
pub fn has_colours(stream: &impl std::io::IsTerminal) -> bool {
    if let Some(chosen) = COLOURS.get() {
        return *chosen;
    }
    let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stream.is_terminal() && unset("NO_COLOR") && !dumb
}

/// The colours that words have. Those of the palette of 256 are the same in every terminal, and these are as far from white as from black:
/// the first eight are what a theme makes of them, and its yellow and green are not seen on a light ground.
pub const RED: &str = "1;38;5;160";
pub const GREEN: &str = "1;38;5;28";
pub const AMBER: &str = "1;38;5;130";
pub const BLUE: &str = "38;5;32";

/// A word in one of these colours, where a stream gets colours.
pub fn coloured(stream: &impl std::io::IsTerminal, word: &str, colour: &str) -> String {
    match word.is_empty() || !has_colours(stream) {
        true => word.to_owned(),
        false => format!("\x1b[{colour}m{word}\x1b[0m"),
    }
}

/// Asks a person at a terminal for a line; `None` where there is none.
pub fn answer(question: &str) -> Option<String> {
    use std::io::{IsTerminal as _, Write as _};
    if !std::io::stdin().is_terminal() {
        return None;
    }
    write!(std::io::stderr(), "{question}").ok()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    Some(line)
}

/// A path as seen from where the program was started, from the root on.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Writes a command's output file.
///
/// # Errors
/// It can't be written.
pub fn output(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// The same for a file that only its owner reads, also where it was there before.
///
/// # Errors
/// It can't be written.
pub fn private_output(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)
    };
    write().with_context(|| path.display().to_string())
}

/// Makes a directory, or takes one that is empty.
///
/// # Errors
/// Something is in it, or it can't be made.
pub fn new_directory(path: &Path) -> Result<()> {
    let name = || path.display().to_string();
    std::fs::create_dir_all(path).with_context(name)?;
    if std::fs::read_dir(path).with_context(name)?.next().is_some() {
        bail!("{}: is not empty", name());
    }
    Ok(())
}

/// Gives the running system its name.
///
/// # Errors
/// The kernel refuses: that needs root.
pub fn set_hostname(name: &str) -> Result<Change> {
    if nix::unistd::gethostname()?.to_string_lossy() == name {
        return Ok(Change::Unchanged);
    }
    nix::unistd::sethostname(name).context("sethostname")?;
    Ok(Change::Changed)
}

/// The interfaces with a hardware address, loopback left out, sorted by name.
fn links() -> Result<Vec<Link>> {
    let read = |path: String| std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
    let mut links = Vec::new();
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else { return Ok(links) };
    let routes = read("/proc/net/route".to_owned());
    let routes6 = read("/proc/net/ipv6_route".to_owned());
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let sys = |file: &str| read(format!("/sys/class/net/{name}/{file}"));
        // ARPHRD_LOOPBACK of linux/if_arp.h.
        if sys("type") == "772" {
            continue;
        }
        // Hardware has a device behind it; of the others the kernel names most kinds.
        let hardware = std::path::Path::new(&format!("/sys/class/net/{name}/device")).exists();
        let uevent = sys("uevent");
        let kind = uevent.lines().find_map(|l| l.strip_prefix("DEVTYPE=")).map(str::to_owned);
        let driver = nic::driver(&name);
        // The others' drivers have the name of the kind: veth, macvlan, dummy.
        let kind = kind.or_else(|| driver.clone()).unwrap_or_else(|| "virtual".to_owned());
        links.push(Link {
            permanent_mac: nic::permanent_address(&name),
            mac: sys("address").to_ascii_lowercase(),
            driver,
            kind: (!hardware).then_some(kind),
            addresses: Vec::new(),
            // Destination and mask 0; in IPv6's table destination 0 with prefix 0, and not the reject route of lo.
            default_route: (
                routes.lines().any(|l| {
                    let f: Vec<&str> = l.split_whitespace().collect();
                    f.len() > 7 && f[0] == name && f[1] == "00000000" && f[7] == "00000000"
                }),
                routes6.lines().any(|l| {
                    let f: Vec<&str> = l.split_whitespace().collect();
                    f.len() > 9 && f[9] == name && f[0].bytes().all(|b| b == b'0') && f[1] == "00"
                }),
            ),
            name,
        });
    }
    links.sort_by(|a, b| a.name.cmp(&b.name));
    for address in getifaddrs().context("getifaddrs")? {
        let Some(link) = links.iter_mut().find(|l| l.name == address.interface_name) else { continue };
        let (Some(ip), Some(mask)) = (&address.address, &address.netmask) else { continue };
        let text = match (ip.as_sockaddr_in(), ip.as_sockaddr_in6()) {
            (Some(v4), _) => {
                let bits = mask.as_sockaddr_in().map_or(32, |m| m.ip().to_bits().count_ones());
                format!("{}/{bits}", v4.ip())
            }
            (_, Some(v6)) => {
                let bits = mask.as_sockaddr_in6().map_or(128, |m| m.ip().to_bits().count_ones());
                format!("{}/{bits}", v6.ip())
            }
            _ => continue,
        };
        link.addresses.push(text);
    }
    Ok(links)
}
