// SPDX-License-Identifier: Apache-2.0
//! One question to an API server whose certificate is not known yet, as kubeadm asks it: over TLS that trusts whatever comes, with
//! the certificates that came. Nothing secret is sent, and what comes is believed only after what it holds was checked.
//! `io::http` does not serve here: its client shows of the certificates the server's own alone.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};

use super::runtime::Runtime;
use super::{dns, plain};
use crate::model::time::Time;

/// Most bytes of an answer: `cluster-info` has some kilobytes, and 1 MiB is most that etcd keeps.
const MAX_ANSWER: u64 = 2 << 20;

/// How long a connection may take, to each address.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the answer may take from there, all of its pieces together.
const ANSWER: Duration = Duration::from_secs(10);

/// Most addresses of a name that are tried.
const MAX_TRIED: usize = 4;

/// What a server answered.
pub struct Answer {
    /// Its certificates in DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// The status code.
    pub status: u16,
    /// The server's time.
    pub date: Option<Time>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The name has no address.
    Name,
    /// The connection was refused: nothing listens there.
    Refused,
    /// No way leads there, or nothing comes back.
    NoWay(String),
    /// Something listens, and does not speak TLS.
    NotTls,
    /// Something listens, and ends the connection.
    CutOff,
}

/// Asks for a path of a server.
///
/// # Errors
/// Why there is no answer.
pub fn get(host: &str, port: u16, path: &str) -> Result<Answer, Trouble> {
    ask(connect(host, port)?, host, port, path, ANSWER)
}

/// A connection that is used for so long at most. A server that sends a byte now and then is not waited for.
struct Bounded {
    stream: TcpStream,
    until: Instant,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn ask(stream: TcpStream, host: &str, port: u16, path: &str, limit: Duration) -> Result<Answer, Trouble> {
    let stream = Bounded { stream, until: Instant::now() + limit };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Trouble::Name)?;
    let client = ClientConnection::new(Arc::new(config()?), name).map_err(|_| Trouble::NotTls)?;
    let mut stream = StreamOwned::new(client, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| trouble(&error))?;
    }
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
    // HTTP/1.0 has neither chunks nor kept connections: the answer ends with the connection.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: application/json\r\nUser-Agent: footplate\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(|_| Trouble::CutOff)?;
    let mut bytes = Vec::new();
    // A server may end a connection without TLS' own farewell; whether the body is whole shows when it is read.
    let _ = stream.take(MAX_ANSWER).read_to_end(&mut bytes);
    answer(chain, &bytes).ok_or(Trouble::CutOff)
}

fn connect(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => {
            let runtime = Runtime::new().map_err(|error| Trouble::NoWay(error.to_string()))?;
            runtime.run(dns::resolve(host)).map_err(|_| Trouble::Name)?
        }
    };
    let mut met = Trouble::Name;
    for address in addresses.into_iter().take(MAX_TRIED) {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => met = Trouble::Refused,
            Err(error) => met = Trouble::NoWay(plain(&error)),
        }
    }
    Err(met)
}

fn trouble(error: &io::Error) -> Trouble {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidMessage(_)) => Trouble::NotTls,
        _ => Trouble::CutOff,
    }
}

/// Reads an answer of HTTP.
fn answer(chain: Vec<Vec<u8>>, bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| Time::parse_http(value.trim()))?
    });
    Some(Answer { chain, status, date, body: bytes[end + 4..].to_vec() })
}

fn config() -> Result<ClientConfig, Trouble> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|_| Trouble::NotTls)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Whatever)).with_no_client_auth())
}

/// Takes any certificate. It is checked by [`distrust`] once the cluster's authorities are known.
#[derive(Debug)]
struct Whatever;

impl ServerCertVerifier for Whatever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Why a server's certificates are not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It does not hold yet, or no more, by this time.
    Time,
    /// It is for another name.
    Name,
    /// Another authority issued it, or something else is wrong with it.
    Issuer,
}

/// Why certificates are not trusted by these authorities for this host at this time; `None` where they are.
pub fn distrust(chain: &[Vec<u8>], authorities: &[Vec<u8>], host: &str, at: Time) -> Option<Distrust> {
    let der = |bytes: &Vec<u8>| CertificateDer::from(bytes.clone());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().map(der));
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider())).build();
    let (Ok(verifier), Ok(name)) = (verifier, ServerName::try_from(host.to_owned())) else {
        return Some(Distrust::Issuer);
    };
    let chain: Vec<CertificateDer<'_>> = chain.iter().map(der).collect();
    let Some((own, others)) = chain.split_first() else { return Some(Distrust::Issuer) };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(at.0.max(0).unsigned_abs()));
    match verifier.verify_server_cert(own, others, &name, &[], now) {
        Ok(_) => None,
        Err(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Some(Distrust::Time),
        Err(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Some(Distrust::Name),
        Err(_) => Some(Distrust::Issuer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// The head of a message of the handshake, and then a byte every tenth of a second.
    #[test]
    fn a_server_that_drips_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.write_all(&[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc]);
            let drips = (0..300).take_while(|_| {
                thread::sleep(Duration::from_millis(100));
                stream.write_all(&[3]).is_ok()
            });
            drips.count()
        });
        let stream = connect("127.0.0.1", port).unwrap();
        let answer = ask(stream, "127.0.0.1", port, "/", Duration::from_secs(1));
        assert_eq!(answer.err(), Some(Trouble::CutOff));
        let drips = server.join().unwrap();
        assert!((1..300).contains(&drips), "{drips} bytes were waited for");
    }
}
