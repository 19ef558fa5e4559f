// SPDX-License-Identifier: Apache-2.0
//! Connections that need a socket which the library can't make: it can't mark a socket or choose its port before it connects, but it can
//! connect to a local one. What comes there goes on through a socket that is prepared here. The local one takes this process's
//! connections only, so what needs a privilege stays closed to every other process.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as LocalAddr, UnixListener as StdListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use serde::{Deserialize, Serialize};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream, UnixListener};
use tokio::time::timeout;

use crate::io::dns;
use crate::model::wire::{self, Word};

/// What is particular about the connections to a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Way {
    /// Nothing.
    #[default]
    Direct,
    /// Systemd-imdsd's mark. Where it keeps the metadata service to itself, a `prohibit` route stands before the service's address for
    /// every socket but those with the mark
    /// ([systemd-imdsd](https://www.freedesktop.org/software/systemd/man/latest/systemd-imdsd@.service.html)).
    Marked,
    /// They come from a port below 1024, so that the service knows them for root's.
    LowPort,
    /// They go to this local socket.
    Socket(#[serde(deserialize_with = "wire::one_word")] Word),
}

/// The mark. It is a constant of systemd's source, where imdsd sets it and networkd's rule looks for it.
const MARK: u32 = 0x7fff_0815;

/// The ports below 1024 that are used, as `bindresvport(3)` has them: no service that listens is above 600 as a rule.
const LOW_PORTS: std::ops::Range<u16> = 600..1024;

/// How long one address may take to connect, so that there is time for the next one within one try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Why the last connection was not made, as the kernel names it; `None` where it was made.
pub(super) type Why = Arc<Mutex<Option<ErrorKind>>>;

/// Listens for connections to go on to the first of these addresses that answers; returns the socket's path. No other
/// process has its name: it is made of the process's number and a random one, and is in no directory.
pub(super) fn listen(way: Way, addresses: &'static [IpAddr], port: u16, why: Why) -> Result<PathBuf> {
    let name = format!("footplate-{}-{:x}", std::process::id(), dns::random());
    let listener = StdListener::bind_addr(&LocalAddr::from_abstract_name(&name)?)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let peer = near.peer_cred().ok().and_then(|c| c.pid());
            if peer == Some(std::process::id().cast_signed()) {
                let why = Arc::clone(&why);
                tokio::spawn(async move {
                    let far = connect(way, addresses, port).await;
                    *why.lock().unwrap_or_else(PoisonError::into_inner) = far.as_ref().err().map(Error::kind);
                    // When one end breaks, the other one is closed too, and its reader sees that.
                    if let Ok(mut far) = far {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }
    });
    Ok(PathBuf::from(format!("\0{name}")))
}

/// A connection to the first address that takes one.
async fn connect(way: Way, addresses: &[IpAddr], port: u16) -> Result<TcpStream> {
    let mut met = Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        let late = |_| Err(ErrorKind::TimedOut.into());
        match timeout(CONNECT_TIMEOUT, connect_to(way, SocketAddr::new(*address, port)))
            .await
            .unwrap_or_else(late)
        {
            Ok(stream) => return Ok(stream),
            Err(error) => met = error,
        }
    }
    Err(met)
}

async fn connect_to(way: Way, address: SocketAddr) -> Result<TcpStream> {
    let socket = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    if way != Way::LowPort {
        let socket = socket()?;
        setsockopt(&socket, sockopt::Mark, &MARK)?;
        return socket.connect(address).await;
    }
    let any =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    let first = dns::random() as usize % LOW_PORTS.len();
    for port in LOW_PORTS.cycle().skip(first).take(LOW_PORTS.len()) {
        let socket = socket()?;
        let bound = socket.bind(SocketAddr::new(any, port));
        let connected = match bound {
            Ok(()) => socket.connect(address).await,
            Err(error) => Err(error),
        };
        match connected {
            // Another connection has the port, or had it a moment ago.
            Err(e) if matches!(e.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => {}
            connected => return connected,
        }
    }
    Err(ErrorKind::AddrInUse.into())
}
