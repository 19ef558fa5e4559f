// SPDX-License-Identifier: Apache-2.0
//! Who is connected to: addresses, in the order in which they are tried, whose certificate is trusted, and what an error
//! of the library means.

use std::collections::{BTreeSet, HashMap};
use std::error::Error as StdError;
use std::iter::successors;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Proxy, Response, Url};

use super::relay::{self, Way, Why};
use super::request::{Identity, Request};
use super::retry::Trouble;
use super::tls::{self, Trusted};
use crate::io::dns;
use crate::io::plain;
use crate::model::secret::Secret;

/// To find an address, to connect and to agree on keys. The addresses of one family share it and are tried one after
/// the other, so that a dead one leaves time for the next within one try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// The end of the names that stand for an address in a URL, where other addresses are known for the same service: the
/// library asks its resolver for names only. No real name ends so
/// ([RFC 6761](https://www.rfc-editor.org/rfc/rfc6761#section-6.4), 6.4), and none of these leaves the process.
const STAND_IN: &str = ".footplate.invalid";

/// Links on which a link-local address is tried.
const MAX_LINKS: usize = 16;

/// What hyper says of bytes that are not HTTP. It does not export the types of these errors.
const PARSE_ERRORS: &[&str] = &[
    "invalid HTTP version parsed",
    "invalid HTTP header parsed",
    "invalid content-length parsed",
    "unexpected transfer-encoding parsed",
    "message head is too large",
    "invalid HTTP status-code parsed",
];

/// What this program calls itself.
pub const USER_AGENT: &str = concat!("footplate/", env!("CARGO_PKG_VERSION"));

/// Kept connections, and what was learnt about the hosts.
pub(super) struct Pool {
    hosts: Hosts,
    plain: reqwest::Client,
    /// Whether the platform's metadata service is locked to sockets without a mark.
    locked: AtomicBool,
    /// Those whose connections are particular.
    ways: Mutex<HashMap<To, (reqwest::Client, Why)>>,
    /// Those over TLS, and through a proxy: their authorities are read once they are needed.
    others: Mutex<HashMap<Other, reqwest::Client>>,
}

/// Which particular connections: how, where, and to which port.
type To = (Way, &'static [IpAddr], Option<u16>);

/// Bundles of authorities, a proxy, and who asks.
type Other = (Vec<Secret>, Option<Secret>, Option<Identity>);

impl Pool {
    pub(super) fn new() -> Result<Self, String> {
        let hosts = Hosts::default();
        // It is never used for `https` and has no authorities: these are read once they are needed.
        let plain = client(&hosts, Trusted::nothing(), None, None)?;
        Ok(Self {
            hosts,
            plain,
            locked: AtomicBool::new(false),
            ways: Mutex::default(),
            others: Mutex::default(),
        })
    }

    /// Sends a request to `url`, its own or one that it was redirected to, and gives the head of the answer. `known` are the host's
    /// addresses where DNS need not be asked; `turn` shifts which address is tried first.
    pub(super) async fn send(
        &self,
        request: &Request,
        url: &Url,
        headers: HeaderMap,
        known: &'static [IpAddr],
        turn: usize,
    ) -> Result<Response, Trouble> {
        let options = &request.options;
        let not_a_url = || Trouble::never("is not a URL");
        let mut target = url.clone();
        let host = url.host_str().ok_or_else(not_a_url)?.trim_matches(['[', ']']);
        if !known.is_empty() && host.parse::<IpAddr>().is_ok() {
            let name = format!("{}{STAND_IN}", host.replace(['.', ':'], "-"));
            target.set_host(Some(&name)).map_err(|_| not_a_url())?;
        }
        let name = target.host_str().unwrap_or_default().to_owned();
        self.hosts.turn(&name, known, turn);
        let message = |client: &reqwest::Client| {
            let message = client.request(request.method.clone(), target.clone()).headers(headers.clone());
            let body = request.body.expose();
            if body.is_empty() { message } else { message.body(body.to_vec()) }
        };
        if request.way != Way::Direct {
            let (client, why) = self.particular((request.way, known, url.port_or_known_default()))?;
            return message(&client).send().await.map_err(|error| {
                let why = *why.lock().unwrap_or_else(PoisonError::into_inner);
                why.map_or_else(|| trouble(&error, host), |why| unconnected(host, Some(&why.into())))
            });
        }
        let https = url.scheme() == "https";
        let proxy = options.proxy(https, host, url.port_or_known_default().unwrap_or_default());
        let client = match https || proxy.is_some() {
            true => {
                let other = (options.authorities.clone(), proxy.cloned(), request.identity.clone());
                self.other(other).map_err(Trouble::never)?
            }
            false => self.plain.clone(),
        };
        let host = if proxy.is_some() { "the proxy" } else { host };
        let may_be_locked = !known.is_empty() && !https && proxy.is_none();
        let marked = || self.particular((Way::Marked, known, url.port_or_known_default())).ok().map(|p| p.0);
        let way = if may_be_locked && self.locked.load(Ordering::Relaxed) { marked() } else { None };
        let error = match message(way.as_ref().unwrap_or(&client)).send().await {
            Err(error) if may_be_locked && way.is_none() && error.is_connect() => error,
            sent => return sent.map_err(|e| trouble(&e, host)),
        };
        // Either no server listens there, or packets without a mark are dropped: try both, and take the one that works.
        let Some(marked) = marked() else { return Err(trouble(&error, host)) };
        let response = message(&marked).send().await.map_err(|_| trouble(&error, host))?;
        self.locked.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// The client whose connections are made in a particular way, and why its last one was not made.
    fn particular(&self, to: To) -> Result<(reqwest::Client, Why), Trouble> {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = ways.get(&to) {
            return Ok(found.clone());
        }
        let why = Why::default();
        let path = match to {
            (Way::Socket(path), ..) => PathBuf::from(path),
            (way, known, port) => relay::listen(way, known, port.unwrap_or_default(), Arc::clone(&why))
                .map_err(|e| Trouble::again(format!("no local socket: {}", plain(&e))))?,
        };
        let client = client(&self.hosts, Trusted::nothing(), None, Some(path)).map_err(Trouble::never)?;
        Ok(ways.entry(to).or_insert((client, why)).clone())
    }

    /// The client for the system's authorities and those, through that proxy; or by that name, for its own authorities.
    fn other(&self, other: Other) -> Result<reqwest::Client, String> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(&other) {
            return Ok(client.clone());
        }
        let (authorities, proxy, identity) = &other;
        let trusted = match identity {
            Some(identity) => Trusted::by(identity),
            None => Trusted::by_system_and(authorities),
        };
        let client = client(&self.hosts, trusted.map_err(|e| format!("{e:#}"))?, proxy.as_ref(), None)?;
        others.insert(other, client.clone());
        Ok(client)
    }

    /// Remembers the address that gave an answer.
    pub(super) fn worked(&self, response: &Response) {
        if let (Some(name), Some(address)) = (response.url().host_str(), response.remote_addr()) {
            self.hosts.worked(name, address.ip());
        }
    }
}

/// What is known of the hosts that were asked, by name.
#[derive(Clone, Default)]
struct Hosts(Arc<Mutex<HashMap<String, Host>>>);

#[derive(Clone, Copy, Default)]
struct Host {
    /// Its addresses, if DNS is not asked.
    known: &'static [IpAddr],
    /// The one that answered last.
    best: Option<IpAddr>,
    /// How many of the addresses are put behind the others.
    turn: usize,
}

impl Hosts {
    /// Nothing is left half-done under this lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address that connects and then says nothing must not win each try: a further one begins elsewhere.
    fn turn(&self, name: &str, known: &'static [IpAddr], turn: usize) {
        let mut hosts = self.lock();
        let host = hosts.entry(name.to_owned()).or_default();
        host.known = known;
        if turn > 0 {
            (host.best, host.turn) = (None, turn);
        }
    }

    fn worked(&self, name: &str, address: IpAddr) {
        if let Some(host) = self.lock().get_mut(name) {
            (host.best, host.turn) = (Some(address), 0);
        }
    }
}

/// A host without an address.
#[derive(Debug)]
struct Unresolved(String);

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Unresolved {}

impl Resolve for Hosts {
    /// The addresses of a host, best first. The library connects to those of the first one's family, and 300 ms later
    /// to those of the other beside them ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)); port 0 is the URL's.
    fn resolve(&self, name: Name) -> Resolving {
        let host = self.lock().get(name.as_str()).copied().unwrap_or_default();
        Box::pin(async move {
            let mut addresses = match host.known {
                [] => dns::resolve(name.as_str()).await.map_err(Unresolved)?,
                known => known.to_vec(),
            };
            let count = addresses.len();
            addresses.rotate_left(host.turn % count.max(1));
            if let Some(best) = host.best {
                addresses.sort_by_key(|a| *a != best);
            }
            Ok(Box::new(addresses.into_iter().flat_map(sockets)) as Addrs)
        })
    }
}

/// An address as sockets take it. A link-local one of IPv6 means the service on whichever link it is: it is tried on each link
/// that has such an address itself.
fn sockets(ip: IpAddr) -> Vec<SocketAddr> {
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            let own = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|a| a.address);
            let own = own.filter_map(|a| a.as_sockaddr_in6().copied());
            let own = own.filter(|a| a.ip().is_unicast_link_local()).map(|a| a.scope_id());
            let links: BTreeSet<u32> = own.take(MAX_LINKS).collect();
            links.into_iter().map(|link| SocketAddrV6::new(v6, 0, 0, link).into()).collect()
        }
        _ => vec![SocketAddr::new(ip, 0)],
    }
}

fn client(
    hosts: &Hosts,
    trusted: Trusted,
    proxy: Option<&Secret>,
    socket: Option<PathBuf>,
) -> Result<reqwest::Client, String> {
    let config = trusted.config().map_err(|e| format!("{e:#}"))?;
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .dns_resolver(hosts.clone())
        // A proxy, or a host that is redirected to, can give the node its configuration: only the request names them.
        .no_proxy()
        .redirect(Policy::none())
        // Tries are counted, and paused between, by the caller.
        .retry(reqwest::retry::never())
        .http1_only()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT);
    let proxy = proxy.map(|url| Proxy::all(String::from_utf8_lossy(url.expose()).as_ref())).transpose();
    let proxy = proxy.map_err(|_| "the proxy's URL is not an http or https URL".to_owned())?;
    let builder = proxy.into_iter().fold(builder, reqwest::ClientBuilder::proxy);
    socket
        .into_iter()
        .fold(builder, reqwest::ClientBuilder::unix_socket)
        .build()
        .map_err(|e| format!("HTTP can't be set up: {}", chain(&e)))
}

/// What lies below an error of the library: its own text holds the URL, and so perhaps a signature.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(error.source(), |e| (*e).source())
}

/// The causes as text, without the words of the layers that only pass them on.
fn chain(error: &reqwest::Error) -> String {
    let passed_on = |text: &String| text.starts_with("client error (");
    let is_library = |e: &&(dyn StdError + 'static)| e.is::<reqwest::Error>();
    let texts: Vec<String> =
        causes(error).filter(|e| !is_library(e)).map(ToString::to_string).filter(|t| !passed_on(t)).collect();
    if texts.is_empty() { "the request failed".to_owned() } else { texts.join(": ") }
}

/// What an error of the library means for the request.
pub(super) fn trouble(error: &reqwest::Error, host: &str) -> Trouble {
    if error.is_builder() {
        return Trouble::never("is not a URL");
    }
    if let Some(Unresolved(what)) = causes(error).find_map(|e| e.downcast_ref()) {
        return Trouble::again(what);
    }
    if let Some(tls) = causes(error).find_map(tls_error) {
        return tls::trouble(tls);
    }
    if error.is_connect() {
        return unconnected(host, causes(error).find_map(|e| e.downcast_ref::<std::io::Error>()));
    }
    let what = chain(error);
    if PARSE_ERRORS.iter().any(|text| what.contains(text)) {
        return Trouble::never(format!("the answer is not valid HTTP: {what}"));
    }
    Trouble::again(what)
}

/// A connection that was not made, and what the kernel says of it.
fn unconnected(host: &str, why: Option<&std::io::Error>) -> Trouble {
    let why = why.map_or_else(|| "no answer".to_owned(), plain);
    Trouble::again(format!("can't connect to {host}: {why}"))
}

/// An error of TLS, below however many of std's, which hold it and don't give it as their source.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let held = |e: &&'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> {
        Some(e.downcast_ref::<std::io::Error>()?.get_ref()?)
    };
    successors(Some(error), held).find_map(|e| e.downcast_ref())
}
