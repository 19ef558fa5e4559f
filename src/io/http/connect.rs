// SPDX-License-Identifier: Apache-2.0
//! Connections: raced over a host's addresses, with TLS where the URL says so, kept for the next request.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::Uri;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Trouble;
use crate::io::dns;

/// Most of an answer's head: S3 and GitHub send 2 KiB.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 128;

/// How long an address has before the next one is tried beside it
/// ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305), 8: Connection Attempt Delay, between 100 ms and 2 s).
const STAGGER: Duration = Duration::from_millis(150);

/// Where distributions keep the system's certificate authorities: Flatcar and Debian, Fedora.
const BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Whom a connection is to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    tls: bool,
    host: String,
    port: u16,
    mark: Option<u32>,
}

impl Origin {
    pub(super) fn of(url: &Uri, mark: Option<u32>) -> Result<Self, Trouble> {
        let tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Trouble::never("is no http or https URL")),
        };
        let authority = url.authority().map(|a| a.as_str()).unwrap_or_default();
        if authority.contains('@') {
            return Err(Trouble::never("has a user name in its URL, which is not supported"));
        }
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.is_empty() {
            return Err(Trouble::never("has no host in its URL"));
        }
        Ok(Self { tls, host, port: url.port_u16().unwrap_or(if tls { 443 } else { 80 }), mark })
    }

    /// The `Host` header.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

/// One connection, ready for a request.
pub(super) struct Sender {
    origin: Origin,
    inner: SendRequest<Full<Bytes>>,
}

impl Sender {
    pub(super) async fn send(
        &mut self,
        message: hyper::Request<Full<Bytes>>,
    ) -> Result<hyper::Response<Incoming>, hyper::Error> {
        self.inner.send_request(message).await
    }
}

/// Kept connections, and what was learnt of their ends.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Origin, Vec<Sender>>>,
    /// The address that last connected.
    best: Mutex<HashMap<Origin, SocketAddr>>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// Nothing is left half-done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A kept connection that is still open.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Sender> {
        loop {
            let mut sender = lock(&self.idle).get_mut(origin)?.pop()?;
            if sender.inner.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put_back(&self, sender: Sender) {
        if !sender.inner.is_closed() {
            lock(&self.idle).entry(sender.origin.clone()).or_default().push(sender);
        }
    }

    /// Forgets which address was good: it connected and then failed.
    pub(super) fn forget(&self, origin: &Origin) {
        lock(&self.best).remove(origin);
    }

    /// A new connection to the first of the addresses that takes one.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        known: &[IpAddr],
        turn: usize,
    ) -> Result<Sender, Trouble> {
        let mut addresses: Vec<SocketAddr> =
            self.addresses(origin, known).await?.into_iter().map(|ip| (ip, origin.port).into()).collect();
        // An address that connects and then says nothing must not win each race.
        let count = addresses.len();
        addresses.rotate_left(turn % count.max(1));
        if let Some(best) = lock(&self.best).get(origin).filter(|_| turn == 0) {
            addresses.sort_by_key(|a| a != best);
        }
        let (address, stream) = race(&addresses, origin.mark).await?;
        // Requests are small and waited for.
        let _ = stream.set_nodelay(true);
        lock(&self.best).insert(origin.clone(), address);
        let inner = if origin.tls {
            let name = ServerName::try_from(origin.host.clone());
            let name = name.map_err(|_| Trouble::never("has a host that no certificate can name"))?;
            let config = self.tls.get_or_init(tls_config).clone().map_err(Trouble::never)?;
            let stream =
                TlsConnector::from(config).connect(name, stream).await.map_err(|e| tls_trouble(&e))?;
            handshake(stream).await?
        } else {
            handshake(stream).await?
        };
        Ok(Sender { origin: origin.clone(), inner })
    }

    async fn addresses(&self, origin: &Origin, known: &[IpAddr]) -> Result<Vec<IpAddr>, Trouble> {
        if !known.is_empty() {
            return Ok(known.to_vec());
        }
        match origin.host.parse() {
            Ok(ip) => Ok(vec![ip]),
            Err(_) => dns::resolve(&origin.host).await.map_err(Trouble::again),
        }
    }
}

/// Connects to several addresses, each a little later than the one before it, and keeps the first connection.
async fn race(addresses: &[SocketAddr], mark: Option<u32>) -> Result<(SocketAddr, TcpStream), Trouble> {
    let mut waiting = addresses.iter().copied();
    let mut running = JoinSet::new();
    let mut last = None;
    loop {
        if let Some(address) = waiting.next() {
            running.spawn(async move { (address, dial(address, mark).await) });
        } else if running.is_empty() {
            return Err(last.unwrap_or_else(|| Trouble::again("has no address")));
        }
        // All that were started are waited for once there is no further one to start.
        let bound = if waiting.len() == 0 { Duration::MAX } else { STAGGER };
        match timeout(bound, running.join_next()).await {
            Ok(Some(Ok((address, Ok(stream))))) => return Ok((address, stream)),
            Ok(Some(Ok((address, Err(e))))) => {
                last = Some(Trouble::again(format!("can't connect to {}: {}", address.ip(), plain(&e))));
            }
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

async fn dial(address: SocketAddr, mark: Option<u32>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(mark) = mark {
        // Without CAP_NET_ADMIN there is no mark, and where the address is not locked none is needed.
        let _ = setsockopt(&socket, sockopt::Mark, &mark);
    }
    socket.connect(address).await
}

/// An error without the number that std puts behind it.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_HEADERS).max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|e| Trouble::hyper(&e))?;
    // What goes wrong with the connection is told to the request that waits on it.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Trust in the certificate authorities that Mozilla trusts, compiled in, and in the system's, where an operator may
/// have put one of their own.
fn tls_config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for path in BUNDLES {
        if let Ok(certificates) = CertificateDer::pem_file_iter(path) {
            // One that can't be read takes nothing away from the others.
            roots.add_parsable_certificates(certificates.flatten());
            break;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS can't be set up: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A bad certificate stays bad, but one that is not valid yet may only say that the clock is not set yet.
fn tls_trouble(error: &std::io::Error) -> Trouble {
    let cause = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Trouble::again("its certificate is not valid yet: is the clock right?"),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Trouble::never("its certificate has expired: or the clock is wrong"),
        Some(rustls::Error::InvalidCertificate(why)) => {
            Trouble::never(format!("its certificate is not trusted: {why}"))
        }
        Some(other) => Trouble::never(format!("TLS: {other}")),
        None => Trouble::again(format!("TLS: {}", plain(error))),
    }
}
