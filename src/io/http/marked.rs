// SPDX-License-Identifier: Apache-2.0
//! A way past systemd-imdsd's lock. Where it keeps the metadata service to itself, a `prohibit` route stands before the
//! service's address for every socket but those with its mark
//! ([systemd-imdsd](https://www.freedesktop.org/software/systemd/man/latest/systemd-imdsd@.service.html)). The library
//! can't mark a socket before it connects, but it can connect to a local one: what comes there goes on through a marked
//! socket. The local one takes this process's connections only, so the address stays closed to every other process.

use std::net::{IpAddr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as LocalAddr, UnixListener as StdListener};
use std::path::PathBuf;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream, UnixListener};

use crate::io::dns;

/// The mark. It is a constant of systemd's source, where imdsd sets it and networkd's rule looks for it.
const MARK: u32 = 0x7fff_0815;

/// Listens for connections to go on to the first of these addresses that answers; returns the socket's path. No other
/// process has its name: it is made of the process's number and a random one, and is in no directory.
pub(super) fn listen(addresses: &'static [IpAddr], port: u16) -> std::io::Result<PathBuf> {
    let name = format!("footplate-{}-{:x}", std::process::id(), dns::random());
    let listener = StdListener::bind_addr(&LocalAddr::from_abstract_name(&name)?)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let peer = near.peer_cred().ok().and_then(|c| c.pid());
            if peer == Some(std::process::id().cast_signed()) {
                tokio::spawn(async move {
                    // When one end breaks, the other one is closed too, and its reader sees that.
                    if let Some(mut far) = connect(addresses, port).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }
    });
    Ok(PathBuf::from(format!("\0{name}")))
}

/// A marked connection; `None` where no server answers, or where this process may not mark.
async fn connect(addresses: &[IpAddr], port: u16) -> Option<TcpStream> {
    for address in addresses {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let Ok(socket) = socket else { continue };
        if setsockopt(&socket, sockopt::Mark, &MARK).is_err() {
            continue;
        }
        if let Ok(stream) = socket.connect(SocketAddr::new(*address, port)).await {
            return Some(stream);
        }
    }
    None
}
