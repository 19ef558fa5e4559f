// SPDX-License-Identifier: Apache-2.0
//! Metadata services that misbehave: each platform that asks one, with each fault at each of its questions, over real sockets at
//! the service's own address. The answers without a fault are those of `tests/platforms`.

use crate::common::{imds, sandbox, scratch, server};

use std::collections::BTreeMap;
use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use footplate::facade::io::World;
use footplate::facade::io::live::Live;
use footplate::facade::io::replay::Replay;
use footplate::facade::model::facts::Facts;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::policy::Policy;
use footplate::facade::model::problem::{Failure, Problem};
use footplate::facade::platform::{self, PLATFORMS, Reach, Wanted};
use nix::mount::{MntFlags, umount2};
use sandbox::Sandbox;
use server::{End, Reply, Seen, Server};

/// The patience with what may pass, and with what can only fail.
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(8);

/// What must come of a fault.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// It fails long before the deadline, and this is said.
    Fails(&'static str),
    /// It is tried until the deadline, and this is said.
    IsWaitedFor(&'static str),
    /// The answer is one without that part.
    IsAbsent,
    /// The answer is that without a fault.
    Passes,
    /// The answer has user-data, or there is none.
    IsNoticed,
}

/// A fault: its name, what is answered to the question that has it (its number, the answer without a fault), and what comes of it.
type Fault = (&'static str, fn(usize, Reply) -> Reply, Then);

/// The question for Azure's document.
const AZURE: &str = "GET /metadata/instance?";

/// Where networkd keeps its leases.
const LEASES: &str = "/run/systemd/netif/leases";

/// The name of CloudStack's router.
const ROUTER: &str = "data-server";

const ELSEWHERE: &str = "location: http://192.0.2.1/login\r\n";
const PAGE: &str = "\n<!DOCTYPE html>\n<html><body>Log in to go on</body></html>\n";

fn bytes(reply: &Reply) -> Vec<u8> {
    reply.lots.iter().flat_map(|(_, lot)| lot.clone()).collect()
}

/// An answer's body.
fn body(reply: &Reply) -> Vec<u8> {
    let bytes = bytes(reply);
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    bytes[at..].to_vec()
}

/// The first half of an answer.
fn half(reply: &Reply) -> Reply {
    let bytes = bytes(reply);
    Reply::raw(&bytes[..bytes.len() - body(reply).len() / 2 - 1])
}

const FAULTS: &[Fault] = &[
    ("206", |_, r| Reply::status(206, "", body(&r)), Then::Fails("HTTP status 206")),
    ("301", |_, _| Reply::status(301, ELSEWHERE, ""), Then::Fails("HTTP status 301: a redirect")),
    ("302", |_, _| Reply::status(302, ELSEWHERE, PAGE), Then::Fails("HTTP status 302: a redirect")),
    ("307", |_, _| Reply::status(307, "location: /\r\n", ""), Then::Fails("HTTP status 307: a redirect")),
    ("400", |_, _| Reply::status(400, "", ""), Then::Fails("HTTP status 400")),
    ("401", |_, _| Reply::status(401, "", ""), Then::Fails("HTTP status 401")),
    ("403", |_, _| Reply::status(403, "", ""), Then::Fails("HTTP status 403")),
    ("406", |_, _| Reply::status(406, "", ""), Then::Fails("HTTP status 406")),
    ("410", |_, _| Reply::status(410, "", ""), Then::Fails("HTTP status 410")),
    ("page", |_, _| Reply::ok(PAGE), Then::Fails("the answer is an HTML page")),
    (
        "large",
        |_, _| Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").end(End::Hang),
        Then::Fails("the answer is larger than"),
    ),
    (
        "endless",
        |_, _| Reply::raw("HTTP/1.1 200 OK\r\n\r\n").end(End::Endless(vec![b'x'; 1 << 16])),
        Then::Fails("the answer is larger than"),
    ),
    ("not HTTP", |_, _| Reply::raw("login:\r\n\r\n"), Then::Fails("not valid HTTP")),
    ("cut", |_, r| half(&r), Then::IsWaitedFor("the answer stopped after")),
    ("silent", |_, _| Reply::nothing(End::Hang), Then::IsWaitedFor("no answer within")),
    ("reset", |_, _| Reply::nothing(End::Reset), Then::IsWaitedFor("gave up at the deadline")),
    ("dripping", |_, r| r.dripped(Duration::from_millis(60)), Then::IsWaitedFor("no answer within")),
    ("stopping", |_, r| half(&r).end(End::Hang), Then::IsWaitedFor("no answer within")),
    ("408", |_, _| Reply::status(408, "", ""), Then::IsWaitedFor("HTTP status 408")),
    (
        "429",
        |_, _| Reply::status(429, "retry-after: 1000000000\r\n", ""),
        Then::IsWaitedFor("HTTP status 429"),
    ),
    ("500", |_, _| Reply::status(500, "", ""), Then::IsWaitedFor("HTTP status 500")),
    ("503", |_, _| Reply::status(503, "", PAGE), Then::IsWaitedFor("HTTP status 503")),
    ("599", |_, _| Reply::status(599, "", ""), Then::IsWaitedFor("HTTP status 599")),
    ("204", |_, _| Reply::raw("HTTP/1.1 204 No Content\r\n\r\n").end(End::Keep), Then::IsAbsent),
    ("404", |_, _| Reply::not_found(), Then::IsAbsent),
    ("empty", |_, _| Reply::ok(""), Then::IsAbsent),
    ("404 once", |n, r| if n == 0 { Reply::not_found() } else { r }, Then::IsNoticed),
    ("503 once", |n, r| if n == 0 { Reply::status(503, "", "") } else { r }, Then::Passes),
    ("reset once", |n, r| if n == 0 { Reply::nothing(End::Reset) } else { r }, Then::Passes),
    ("cut once", |n, r| if n == 0 { half(&r) } else { r }, Then::Passes),
    ("closed", |_, r| r.end(End::Close), Then::Passes),
    (
        "1.0",
        |_, r| Reply::raw([&b"HTTP/1.0 200 OK\r\nserver: old\r\n\r\n"[..], &body(&r)].concat()),
        Then::Passes,
    ),
    (
        "length too short",
        |_, r| {
            let whole = body(&r);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len() / 2);
            Reply::raw([head.as_bytes(), &whole].concat())
        },
        Then::IsNoticed,
    ),
    ("UTF-16", |_, _| Reply::ok(b"\xff\xfe{\0}\0"), Then::IsNoticed),
    ("NUL", |_, r| Reply::ok([&b"\0"[..], &body(&r)].concat()), Then::IsNoticed),
    ("deep", |_, _| Reply::ok("[".repeat(10_000)), Then::IsNoticed),
];

/// A service without faults.
#[derive(Clone)]
enum Service {
    /// EC2's.
    Imds,
    /// The answers of a folder, as a replay reads them. Each `PUT` brings a token.
    Folder(PathBuf),
}

impl Service {
    fn answer(&self, seen: &Seen) -> Reply {
        match self {
            Self::Imds => imds::session(seen, &imds::machine()),
            Self::Folder(_) if seen.method == "PUT" => Reply::ok("a-token"),
            Self::Folder(dir) => folder(dir, seen),
        }
    }
}

/// The answer of a folder of answers.
pub fn folder(dir: &Path, seen: &Seen) -> Reply {
    let path = seen.path.split('?').next().unwrap().trim_matches('/');
    let at = dir.join(path);
    let at = if at.is_dir() { at.join("index") } else { at };
    fs::read(at).map_or_else(|_| Reply::not_found(), Reply::ok)
}

/// A platform whose service is played.
#[derive(Clone)]
struct Played {
    id: &'static str,
    /// Its host in URLs, and where it listens.
    host: String,
    address: String,
    facts: Facts,
    service: Service,
}

fn played() -> Vec<Played> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms");
    let of = |p: &'static platform::Platform| {
        if p.id == "aws" {
            let host = "169.254.169.254".to_owned();
            let address = host.clone();
            return Played { id: p.id, host, address, facts: Facts::default(), service: Service::Imds };
        }
        let machine = cases.join(p.id).join("machine");
        let hosts =
            fs::read_dir(machine.join("http")).unwrap_or_else(|e| panic!("{}: {e}", machine.display()));
        // Azure's other service is told how it went, and not asked before; CloudStack's other router is not of this network.
        let others = ["168.63.129.16", "10.1.7.5"];
        let hosts = hosts.map(|e| e.unwrap().path()).filter(|dir| !others.iter().any(|o| dir.ends_with(o)));
        let hosts: Vec<PathBuf> = hosts.collect();
        let [dir] = hosts.as_slice() else { panic!("{}: one service is played", p.id) };
        let facts = platform::facts(&Replay::open(&machine).unwrap()).unwrap();
        let address = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let host = if p.id == "cloudstack" { ROUTER.to_owned() } else { address.clone() };
        let address = if p.id == "lxd" { "127.0.0.1".to_owned() } else { address };
        Played { id: p.id, host, address, facts, service: Service::Folder(dir.clone()) }
    };
    PLATFORMS.iter().filter(|p| p.network.is_some()).map(of).collect()
}

/// The fault that is on now, the question that has it, and how often that was asked.
type On = Arc<Mutex<(Option<&'static Fault>, String, usize)>>;

/// A platform's service with the faults that are switched on.
struct Stage {
    played: Played,
    server: Server,
    on: On,
}

impl Stage {
    fn start(played: &Played) -> Self {
        let on: On = Arc::default();
        let (service, switch) = (played.service.clone(), Arc::clone(&on));
        let answer = move |seen: &Seen| {
            let good = service.answer(seen);
            let mut on = switch.lock().unwrap();
            match on.0 {
                Some((_, answer, _)) if on.1 == question(seen) => {
                    on.2 += 1;
                    answer(on.2 - 1, good)
                }
                _ => good,
            }
        };
        let server = Server::start(&format!("{}:80", played.address), answer);
        Self { played: played.clone(), server, on }
    }

    fn fetch(&self, patience: Duration) -> Result<Instance, String> {
        let world: &dyn World = &Live::with_policy(Policy { metadata_wait: patience, ..Policy::default() });
        let wanted = Wanted { platform: Some(self.played.id), seed: None };
        let detected = platform::detect(PLATFORMS, &self.played.facts, wanted).unwrap();
        match platform::fetch(world, &self.played.facts, &detected, wanted, Reach::Network) {
            Ok(found) => Ok(found.unwrap().1),
            Err(failure) => Err(said(&failure)),
        }
    }

    /// Asks with a fault at a question, and says what is wrong with the outcome. `short` is the patience with what may pass.
    fn tried(&self, fault: &'static Fault, at: &str, good: &Instance, short: Duration) -> Option<String> {
        *self.on.lock().unwrap() = (Some(fault), at.to_owned(), 0);
        let (name, _, then) = *fault;
        // Azure's service answers so until it is ready, and where it does not know a version of the document.
        let then = match name {
            "404" if at.starts_with(AZURE) => Then::IsWaitedFor("HTTP status 404"),
            "410" if at.starts_with(AZURE) => Then::IsWaitedFor("HTTP status 410"),
            "400" if at.starts_with(AZURE) => Then::Passes,
            _ => then,
        };
        let waited = matches!(then, Then::IsWaitedFor(_));
        let patience = if waited { short } else { LONG };
        let start = Instant::now();
        let is = self.fetch(patience);
        let took = start.elapsed();
        let count = self.on.lock().unwrap().2;
        let place = at.split('?').next().unwrap().trim_start_matches("GET ");
        let place = place.replacen('/', &format!("http://{}/", self.played.host), 1);
        let same = |i: &Instance| {
            i.user_data.as_ref().map(|d| d.expose().to_vec())
                == good.user_data.as_ref().map(|d| d.expose().to_vec())
        };
        let error = is.as_ref().err().map_or("", String::as_str);
        let token = at.starts_with("PUT");
        let well = match then {
            // A service without tokens says so; what comes then is not asked.
            Then::Fails(_) if token && matches!(name, "400") => {
                error.contains(&place) && error.contains("no token")
            }
            Then::Fails(what) | Then::IsWaitedFor(what) => error.contains(&place) && error.contains(what),
            Then::IsAbsent if token => error.contains(&place),
            Then::IsAbsent => {
                is.as_ref().map_or(!error.is_empty(), |i| same(i) || (i.user_data.is_none() && count >= 2))
            }
            Then::Passes => is.as_ref().is_ok_and(|i| same(i) && i.instance_id == good.instance_id),
            Then::IsNoticed => is.as_ref().map_or(!error.is_empty(), |i| i.user_data.is_some()),
        };
        let limit =
            if matches!(then, Then::Fails(_)) { patience * 3 / 4 } else { patience + Duration::from_secs(1) };
        // A service that knows no tokens may be asked without, and no other one.
        let hint = token && ["400", "404", "404 once"].contains(&name) && self.played.id != "akamai";
        let secret =
            good.user_data.as_ref().is_some_and(|d| error.contains(&*String::from_utf8_lossy(d.expose())));
        let wrong = !well || took > limit || secret || error.contains("imdsv1") != hint;
        wrong.then(|| {
            let is = is.as_ref().map(|i| format!("user-data {:?}", i.user_data.as_ref().map(|d| d.len())));
            format!("{}: {name} at {at}: {is:?} after {took:?}, asked {count} times", self.played.id)
        })
    }
}

fn question(seen: &Seen) -> String {
    format!("{} {}", seen.method, seen.path)
}

/// All that a failure says, its cures included.
fn said(failure: &Failure) -> String {
    let line = |p: &Problem| format!("{p}: {} ({})", p.why.join(": "), p.cure.as_deref().unwrap_or_default());
    let lines = failure.problems.iter().map(line);
    lines.collect::<Vec<_>>().join("; ")
}

/// How many workers are at work.
const AT_ONCE: usize = 32;

/// How many workers try the faults of a platform.
const WORKERS: usize = 6;

/// Faults that take long are tried at so many questions of a platform: all questions are sent in the same way.
const SLOW: usize = 6;

/// Listens at a local socket, and lets what comes there go on to a server.
fn bridge(path: &str, to: SocketAddr) {
    let listener = UnixListener::bind(path).unwrap();
    let pass_on = move |near: UnixStream| -> std::io::Result<()> {
        let far = TcpStream::connect_timeout(&to, LONG)?;
        let (mut from, mut into) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut into);
            into.shutdown(Shutdown::Both)
        });
        let _ = std::io::copy(&mut &far, &mut &near);
        near.shutdown(Shutdown::Both)
    };
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            thread::spawn(move || pass_on(near));
        }
    });
}

fn worker(played: &Played, number: usize) -> Vec<String> {
    let address = format!("{}/32", played.address);
    let sandbox = Sandbox::enter(&format!("faults-{}-{number}", played.id), &[&address]);
    if played.host == ROUTER {
        sandbox.cover("/etc/hosts", &format!("{} {ROUTER}\n", played.address));
        // The machine's own leases tell of other servers.
        if Path::new(LEASES).exists() {
            sandbox::run(&format!("mount -t tmpfs none {LEASES}"));
        }
    }
    if played.id == "lxd" {
        // The machine's own devices stay as they are.
        sandbox::run("mount -t tmpfs none /dev");
        fs::create_dir("/dev/lxd").unwrap();
    }
    if number == 0 {
        // Nobody listens yet.
        let world = Live::with_policy(Policy { metadata_wait: SHORT * 4, ..Policy::default() });
        let wanted = Wanted { platform: Some(played.id), seed: None };
        let detected = platform::detect(PLATFORMS, &played.facts, wanted).unwrap();
        let refused = platform::fetch(&world, &played.facts, &detected, wanted, Reach::Network);
        let error = said(&refused.unwrap_err());
        assert!(error.contains("can't connect to") && error.contains(&played.host), "{}: {error}", played.id);
    }
    let stage = Stage::start(played);
    if played.id == "lxd" {
        bridge("/dev/lxd/sock", stage.server.address);
    }
    let good = stage.fetch(LONG).unwrap_or_else(|e| panic!("{}: {e}", played.id));
    assert!(good.user_data.is_some(), "{}: nothing can be told without user-data", played.id);
    let mut questions: BTreeMap<String, usize> = BTreeMap::new();
    for seen in stage.server.seen() {
        // What is not there anyhow is no question that a fault can be told from.
        let there = played.service.answer(&seen);
        if !bytes(&there).starts_with(b"HTTP/1.1 404") {
            let next = questions.len();
            questions.entry(question(&seen)).or_insert(next);
        }
    }
    let jobs = FAULTS.iter().flat_map(|fault| questions.iter().map(move |(at, n)| (fault, at, *n)));
    let is_slow = |fault: &Fault| matches!(fault.2, Then::IsWaitedFor(_));
    let jobs = jobs.filter(|(fault, _, n)| !is_slow(fault) || *n < SLOW);
    let mine = jobs.enumerate().filter(|(n, _)| n % WORKERS == number);
    // A busy machine may not come to ask within the short patience, so what is wrong with it has to be wrong again.
    let tried = |(_, (fault, at, _)): (usize, (&'static Fault, &String, usize))| {
        let wrong = stage.tried(fault, at, &good, SHORT)?;
        if !is_slow(fault) {
            return Some(wrong);
        }
        let again = || stage.tried(fault, at, &good, SHORT * 5);
        again().and_then(|_| again())
    };
    let wrong = mine.filter_map(tried).collect();
    if played.id == "lxd" {
        umount2("/dev", MntFlags::MNT_DETACH).unwrap();
    }
    wrong
}

#[test]
fn no_fault_of_a_metadata_service_hangs_misleads_or_makes_a_node_of_nothing() {
    needs!(root("a network of its own"));
    let jobs =
        played().into_iter().flat_map(|played| (0..WORKERS).map(move |number| (played.clone(), number)));
    let jobs = Arc::new(Mutex::new(jobs.collect::<Vec<_>>()));
    let work = |jobs: Arc<Mutex<Vec<(Played, usize)>>>| {
        let next = || jobs.lock().unwrap().pop();
        std::iter::from_fn(next).flat_map(|(played, number)| worker(&played, number)).collect::<Vec<_>>()
    };
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || work(jobs))
        })
        .collect();
    let wrong: Vec<String> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{} outcomes are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A service that takes a report and never answers holds a boot up for no longer than the policy says, each time.
#[test]
fn a_report_that_is_never_answered_ends_and_the_boot_goes_on() {
    needs!(root("a network of its own"));
    let test = || {
        let sandbox = Sandbox::enter("faults-report", &["169.254.169.254/32"]);
        let tree = serde_json::json!({"instance": {"id": 1, "name": "node-1", "hostname": "node-1.example", "zone": "projects/1/zones/a-1",
            "attributes": {"user-data": "#cloud-config\nwrite_files: [{path: /etc/made, content: x}]\n"}}, "project": {}});
        let service = server::Server::start("169.254.169.254:80", move |seen| match seen.method.as_str() {
            "PUT" => Reply::nothing(End::Hang),
            _ if seen.path.contains("recursive=true&alt=json") => Reply::ok(tree.to_string()),
            _ => Reply::not_found(),
        });
        let (root, mut program) = sandbox.node("node", scratch::FOOTPLATE);
        fs::write(root.join("etc/footplate.yaml"), "waits: {metadata: 5s}\n").unwrap();
        let begun = Instant::now();
        let ran = scratch::Ran::of(program.args(["provision", "--platform", "gcp"]));
        let took = begun.elapsed();
        ran.ended(0, &["the guest attribute footplate/status is not set", "no answer within"]);
        assert!(root.join("etc/made").exists());
        let tried = service.seen().iter().filter(|seen| seen.method == "PUT").count();
        assert!(tried >= 2, "the begin and the end are told: {tried}");
        // Five seconds for each, and what a busy machine needs.
        assert!(took < Duration::from_secs(5 * tried as u64 + 8), "{tried} reports, {took:?}");
    };
    if let Err(panic) = thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}
