// SPDX-License-Identifier: Apache-2.0
//! Names to addresses, without the C library: a static glibc would load the node's own NSS modules and crash in them.
//!
//! A stub resolver after [RFC 1034](https://www.rfc-editor.org/rfc/rfc1034) and
//! [RFC 1035](https://www.rfc-editor.org/rfc/rfc1035): `/etc/hosts` first, then the name servers of `resolv.conf`,
//! which is read at each look-up since DHCP may only now have written it. No server is asked by default.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const HOSTS: &str = "/etc/hosts";

/// The second is systemd-resolved's, for a node where nothing links the first one to it.
const RESOLV_CONF: &[&str] = &["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Most of either file that is read: a hosts file of ad blockers has a megabyte.
const MAX_FILE: u64 = 2 << 20;

/// As many servers and search domains as glibc uses (resolv.conf(5)).
const MAX_SERVERS: usize = 3;
const MAX_SEARCH: usize = 6;

/// Each server gets this long, twice. A resolver that is up answers within a second.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;

/// Most addresses that one name is taken to have.
const MAX_ADDRESSES: usize = 16;

/// Most aliases that are followed in one answer.
const MAX_ALIASES: usize = 16;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// What a server answered to one question.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The addresses, none where the name has none of that family.
    Addresses(Vec<IpAddr>),
    /// The name does not exist.
    NoName,
    /// The answer did not fit into a datagram.
    Truncated,
}

/// The addresses of a host, at least one.
///
/// # Errors
/// No file and no server knows the name.
pub(super) async fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let listed = in_hosts(&read(HOSTS), &host);
    if !listed.is_empty() {
        return Ok(listed);
    }
    let config = RESOLV_CONF.iter().map(|path| parse_config(&read(path)));
    let Some(config) = config.into_iter().find(|c| !c.servers.is_empty()) else {
        return Err(format!("{host}: no name server is configured yet in {}", RESOLV_CONF.join(" or ")));
    };
    let mut last = String::new();
    for name in config.names(&host) {
        match ask_servers(&config.servers, &name).await {
            Ok(addresses) => return Ok(addresses),
            Err(what) => last = what,
        }
    }
    Err(last)
}

/// A text file's content, empty where the file does not exist.
fn read(path: &str) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // What can be read of it is what is known.
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|l| l.split('#').next().unwrap_or_default());
    let matching = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|w| w.trim_end_matches('.').eq_ignore_ascii_case(name)).then_some(address)
    });
    matching.take(MAX_ADDRESSES).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Config {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
}

impl Config {
    /// The names to try: one without a dot is a neighbour's before it is a top-level domain.
    fn names(&self, host: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if !host.contains('.') {
            names.extend(self.search.iter().map(|domain| format!("{host}.{domain}")));
        }
        names.push(host.to_owned());
        names
    }
}

fn parse_config(text: &str) -> Config {
    let mut config = Config::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().and_then(server)),
            Some("search" | "domain") => {
                let domains = words.map(|w| w.trim_matches('.').to_owned()).filter(|w| !w.is_empty());
                config.search = domains.take(MAX_SEARCH).collect();
            }
            _ => {}
        }
    }
    config.servers.truncate(MAX_SERVERS);
    config
}

/// A name server's address; a link-local one of IPv6 names its interface after a `%`.
fn server(text: &str) -> Option<SocketAddr> {
    const PORT: u16 = 53;
    let Some((address, interface)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let scope = nix::net::if_::if_nametoindex(interface).ok()?;
    Some(std::net::SocketAddrV6::new(address, PORT, 0, scope).into())
}

/// What is said of a name that does not exist.
pub const NO_SUCH_NAME: &str = "says that there is no such name";

async fn ask_servers(servers: &[SocketAddr], name: &str) -> Result<Vec<IpAddr>, String> {
    let mut last = String::new();
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        // Two futures of one task: nothing runs in parallel, the two questions are on the wire at once.
        let v4 = tokio::spawn(ask(*server, name.to_owned(), TYPE_A));
        let v6 = tokio::spawn(ask(*server, name.to_owned(), TYPE_AAAA));
        let (v4, v6) = (joined(v4.await), joined(v6.await));
        let mut addresses = Vec::new();
        for answer in [&v6, &v4] {
            if let Ok(Answer::Addresses(found)) = answer {
                addresses.extend(found);
            }
        }
        if !addresses.is_empty() {
            addresses.truncate(MAX_ADDRESSES);
            return Ok(addresses);
        }
        match (v4, v6) {
            (Ok(Answer::NoName), _) | (_, Ok(Answer::NoName)) => {
                return Err(format!("{name}: name server {} {NO_SUCH_NAME}", server.ip()));
            }
            (Ok(_), Ok(_)) => {
                return Err(format!("{name}: has no address, says name server {}", server.ip()));
            }
            (Err(what), _) | (_, Err(what)) => last = format!("{name}: name server {}: {what}", server.ip()),
        }
    }
    Err(last)
}

fn joined(result: Result<Result<Answer, String>, tokio::task::JoinError>) -> Result<Answer, String> {
    result.unwrap_or_else(|_| Err("was given up".to_owned()))
}

/// Asks one server one question; over TCP where the answer is too long for UDP.
async fn ask(server: SocketAddr, name: String, kind: u16) -> Result<Answer, String> {
    let both = async {
        match ask_udp(server, &name, kind).await? {
            Answer::Truncated => ask_tcp(server, &name, kind).await,
            answer => Ok(answer),
        }
    };
    timeout(SERVER_TIMEOUT, both).await.unwrap_or_else(|_| Err("does not answer".to_owned()))
}

async fn ask_udp(server: SocketAddr, name: &str, kind: u16) -> Result<Answer, String> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port that the kernel picks at random, and a connected socket: no other sender is heard.
    let socket = UdpSocket::bind((any, 0)).await.map_err(|e| e.to_string())?;
    socket.connect(server).await.map_err(|e| e.to_string())?;
    let id = random_id();
    let query = question(id, name, kind)?;
    socket.send(&query).await.map_err(|e| e.to_string())?;
    let mut buffer = [0; 4096];
    loop {
        let size = socket.recv(&mut buffer).await.map_err(|e| e.to_string())?;
        // Who guesses the id wrong is not listened to, and does not end the wait either.
        if let Some(answer) = parse(&buffer[..size], &query, kind) {
            return answer;
        }
    }
}

async fn ask_tcp(server: SocketAddr, name: &str, kind: u16) -> Result<Answer, String> {
    let io = |e: std::io::Error| e.to_string();
    let query = question(random_id(), name, kind)?;
    let mut stream = TcpStream::connect(server).await.map_err(io)?;
    let length = u16::try_from(query.len()).map_err(|_| "the question is too long".to_owned())?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await.map_err(io)?;
    let mut answer = vec![0; usize::from(stream.read_u16().await.map_err(io)?)];
    stream.read_exact(&mut answer).await.map_err(io)?;
    parse(&answer, &query, kind).unwrap_or_else(|| Err("answers another question".to_owned()))
}

/// A number that cannot be predicted: the standard library keys its hashers from the kernel's random source.
pub(super) fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

fn random_id() -> u16 {
    random() as u16
}

/// A recursive question: header, name, type, class (RFC 1035, 4.1).
fn question(id: u16, name: &str, kind: u16) -> Result<Vec<u8>, String> {
    let [high, low] = id.to_be_bytes();
    let mut query = vec![high, low, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        // The two bounds of RFC 1035, 2.3.4.
        let length = u8::try_from(label.len()).ok().filter(|l| (1..=63).contains(l));
        query.push(length.ok_or_else(|| format!("{name:?} is not a host name"))?);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    if query.len() > 12 + 255 {
        return Err(format!("{name:?} is longer than a host name can be"));
    }
    query.extend_from_slice(&kind.to_be_bytes());
    query.extend_from_slice(&CLASS_IN.to_be_bytes());
    Ok(query)
}

/// What a message says to our query; `None` where it is not an answer to it.
fn parse(message: &[u8], query: &[u8], kind: u16) -> Option<Result<Answer, String>> {
    let question = query.get(12..)?;
    let is_response = message.get(2)? & 0x80 != 0;
    let echoed = message.get(12..12 + question.len())?;
    if message.get(..2)? != query.get(..2)? || !is_response || !echoed.eq_ignore_ascii_case(question) {
        return None;
    }
    if message.get(2)? & 0x02 != 0 {
        return Some(Ok(Answer::Truncated));
    }
    Some(match message.get(3)? & 0x0f {
        0 => records(message, 12 + question.len(), kind)
            .map(Answer::Addresses)
            .ok_or_else(|| "its answer is broken".to_owned()),
        3 => Ok(Answer::NoName),
        code => Err(format!("it answers with code {code}")),
    })
}

/// The addresses among the answers that belong to the name, its aliases followed.
fn records(message: &[u8], start: usize, kind: u16) -> Option<Vec<IpAddr>> {
    let count = u16_at(message, 6)?;
    let (mut at, mut addresses, mut aliases) = (start, Vec::new(), 0);
    let (mut wanted, _) = name_at(message, 12)?;
    for _ in 0..count {
        let (owner, end) = name_at(message, at)?;
        let (found, class) = (u16_at(message, end)?, u16_at(message, end + 2)?);
        let data = end + 10;
        let length = usize::from(u16_at(message, end + 8)?);
        let bytes = message.get(data..data + length)?;
        at = data + length;
        if class != CLASS_IN || owner != wanted {
            continue;
        }
        if found == TYPE_CNAME && aliases < MAX_ALIASES {
            wanted = name_at(message, data)?.0;
            aliases += 1;
        } else if found == kind {
            addresses.push(match kind {
                TYPE_A => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
            });
        }
    }
    Some(addresses)
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// The name at a place, in lower case, and where what follows it begins. Compression (RFC 1035, 4.1.4) points back
/// only, so it ends.
fn name_at(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut name, mut at, mut end, mut bound) = (Vec::new(), start, None, start);
    loop {
        let length = usize::from(*message.get(at)?);
        match length & 0xc0 {
            0 if length == 0 => return Some((name, end.unwrap_or(at + 1))),
            0 => {
                name.extend(message.get(at + 1..at + 1 + length)?.to_ascii_lowercase());
                name.push(b'.');
                at += 1 + length;
                if name.len() > 255 {
                    return None;
                }
            }
            0xc0 => {
                let target = usize::from(u16_at(message, at)? & 0x3fff);
                if target >= bound {
                    return None;
                }
                end.get_or_insert(at + 2);
                (at, bound) = (target, target);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(query: &[u8], flags: [u8; 2], records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[7] = records.len() as u8;
        for (owner, kind, data) in records {
            message.extend_from_slice(owner);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            message.extend_from_slice(&(data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn hosts_and_configuration_are_read_as_their_manuals_say() {
        let hosts =
            "127.0.0.1 localhost # a.example\n10.0.0.1\tA.Example. b\n::1 a.example\nnonsense a.example\n";
        let want: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(in_hosts(hosts, "a.example"), want);
        let config =
            parse_config("# c\nnameserver 10.0.0.2\nsearch a.example. b.example\nnameserver ::1\n;x\n");
        assert_eq!(config.servers, ["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!(config.names("mirror"), ["mirror.a.example", "mirror.b.example", "mirror"]);
        assert_eq!(config.names("m.c"), ["m.c"]);
    }

    #[test]
    fn an_answer_is_followed_through_its_aliases() {
        let query = question(7, "s3.example", TYPE_A).unwrap();
        let here = [0xc0, 12];
        let message = answer(
            &query,
            [0x81, 0x80],
            &[
                (&here, TYPE_CNAME, b"\x01x\x07example\x00"),
                (b"\x01X\x07example\x00", TYPE_A, &[10, 0, 0, 9]),
                (b"\x05other\x00", TYPE_A, &[6, 6, 6, 6]),
            ],
        );
        let want = Answer::Addresses(vec!["10.0.0.9".parse().unwrap()]);
        assert_eq!(parse(&message, &query, TYPE_A), Some(Ok(want)));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_not_heard() {
        let query = question(7, "a.example", TYPE_A).unwrap();
        let good = answer(&query, [0x81, 0x80], &[(&[0xc0, 12], TYPE_A, &[10, 0, 0, 9])]);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut message = good.clone();
            change(&mut message);
            parse(&message, &query, TYPE_A)
        };
        assert_eq!(with(&|m| m[0] ^= 1), None);
        assert_eq!(with(&|m| m[2] &= 0x7f), None);
        assert_eq!(with(&|m| m[13] = b'b'), None);
        assert_eq!(with(&|m| m[3] = 0x83), Some(Ok(Answer::NoName)));
        assert_eq!(with(&|m| m[2] |= 2), Some(Ok(Answer::Truncated)));
        assert_eq!(with(&|m| m[3] = 0x82), Some(Err("it answers with code 2".to_owned())));
        // A pointer to itself, and every cut of the message.
        let owner = query.len();
        assert_eq!(with(&|m| m[owner + 1] = owner as u8), Some(Err("its answer is broken".to_owned())));
        for end in 0..good.len() {
            assert!(!matches!(parse(&good[..end], &query, TYPE_A), Some(Ok(_))), "cut at {end}");
        }
        assert!(question(1, &"a.".repeat(200), TYPE_A).is_err());
        assert!(question(1, "a..b", TYPE_A).is_err());
    }
}
