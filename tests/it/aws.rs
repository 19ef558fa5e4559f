// SPDX-License-Identifier: Apache-2.0
//! EC2's metadata service at its real addresses, in a network of the test's own.

use crate::common::scratch::{FOOTPLATE, Scratch, footplate};
use crate::common::{imds, sandbox, server};

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use footplate::facade::io::live::Live;
use footplate::facade::model::facts::Facts;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::policy::Policy;
use footplate::facade::platform::{PLATFORMS, Platform};
use imds::{Tree, V4, V6, machine, session};
use sandbox::Sandbox;
use server::{End, Reply, Seen, Server};

const PATIENCE: Duration = Duration::from_secs(2);

fn fetch_within(patience: Duration) -> anyhow::Result<Instance> {
    let ask = Platform::by_id(PLATFORMS, "aws").unwrap().network.unwrap();
    Ok(ask(
        &Live::with_policy(Policy { metadata_wait: patience, ..Policy::default() }),
        &Facts::default(),
        None,
    )?
    .unwrap())
}

fn fetch() -> anyhow::Result<Instance> {
    fetch_within(PATIENCE)
}

/// Runs a test in a thread with a network of its own, where the metadata service has its address.
fn sandboxed(name: &'static str, test: impl FnOnce(&Sandbox) + Send + 'static) {
    let run = move || test(&Sandbox::enter(name, &["169.254.169.254/32", "fd00:ec2::254/128"]));
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

/// A running machine waits for its network and adds its addresses; the service is not asked again for that.
#[test]
fn a_running_machine_asks_for_each_thing_once() {
    needs!(root("a network of its own"));
    sandboxed("once", |sandbox| {
        let tree = machine();
        let service = Server::start_at(&[V4], Duration::ZERO, move |s| session(s, &tree));
        let (root, mut node) = sandbox.node("node", FOOTPLATE);
        let output = node.args(["provision", "--platform", "aws"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seen = service.seen();
        let mut paths: Vec<String> = seen.into_iter().map(|s| format!("{} {}", s.method, s.path)).collect();
        let asked = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), asked, "{paths:#?}");
        let names = std::fs::read_to_string(root.join("run/metadata/flatcar")).unwrap();
        assert!(names.contains("COREOS_EC2_IPV4_LOCAL=10.0.0.5\n"), "{names}");
    });
}

/// A service that takes the questions and does not answer is told of at once, and then every ten seconds until it answers.
#[test]
fn a_silent_service_is_told_of_while_it_lasts() {
    needs!(root("a network of its own"));
    sandboxed("silent", |sandbox| {
        let (tree, answers) = (machine(), Arc::new(AtomicBool::new(false)));
        let ready = answers.clone();
        let _service =
            Server::start_at(&[V4], Duration::ZERO, move |s| match ready.load(Ordering::Relaxed) {
                true => session(s, &tree),
                false => Reply::nothing(End::Hang),
            });
        let (_, mut node) = sandbox.node("node", FOOTPLATE);
        let mut child = node.args(["provision", "--platform", "aws"]).stderr(Stdio::piped()).spawn().unwrap();
        let (begun, mut told, mut others) = (Instant::now(), Vec::new(), Vec::new());
        for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
            match line.contains("waiting for the metadata of ") || line.contains("no answer for ") {
                true => told.push((begun.elapsed().as_secs(), line)),
                false => others.push(line),
            }
            answers.fetch_or(told.len() >= 2, Ordering::Relaxed);
        }
        assert!(child.wait().unwrap().success(), "{told:?} {others:?}");
        let [(first, service), (second, silent), ..] = &told[..] else { panic!("{told:?} {others:?}") };
        assert!(*first < 8 && service.contains("; given up in "), "{told:?}");
        assert!((9..25).contains(second) && silent.contains("no answer for 10 s"), "{told:?}");
        assert!(told.len() as u64 <= begun.elapsed().as_secs() / 10 + 1, "{told:?}");
    });
}

#[test]
fn a_worker_is_known_in_five_round_trips() {
    needs!(root("a network of its own"));
    sandboxed("worker", |_| {
        // As far as that, one key after the other would run into the patience of this test.
        let far = Duration::from_millis(200);
        let tree = machine();
        let service = Server::start_at(&[V4], far, move |s| session(s, &tree).after(far));
        let start = Instant::now();
        let instance = fetch().unwrap();
        let took = start.elapsed();
        // Connect, token, connect, everything, and what its listings name.
        assert!(took >= far * 5, "{took:?}");
        assert_eq!(instance.instance_id, "i-0123456789abcdef0");
        assert_eq!(instance.hostname.as_deref(), Some("ip-10-0-0-5.eu-west-1.compute.internal"));
        assert_eq!(instance.provider_id.as_deref().unwrap(), "aws:///eu-west-1a/i-0123456789abcdef0");
        assert_eq!(instance.user_data.as_ref().unwrap().expose(), b"#cloud-config\n{}\n");
        assert_eq!(instance.ssh_keys, ["ssh-ed25519 AAAAC3Nz me@example"]);
        assert!(instance.network.is_none());
        let seen = service.seen();
        assert_eq!(seen.iter().filter(|s| s.method == "PUT").count(), 1);
        assert!(seen.iter().all(|s| s.header("x-forwarded-for").is_none()));
    });
}

/// Cards of a machine, and the files that networkd gets for them in `tests/aws/NAME.network`.
#[test]
fn cards_get_files_with_metrics_tables_and_rules() {
    needs!(root("a network of its own"));
    const FIRST: &str = "02:00:00:00:00:01";
    const SECOND: &str = "02:00:00:00:00:02";
    let two = machine().with_card(SECOND, "1", &["10.0.1.7", "10.0.1.8"], &["2001:db8::7"]);
    let machines = [
        ("two-cards", two),
        (
            "one-card",
            machine().with_key(FIRST, "local-ipv4s", "10.0.0.5\n10.0.0.6\n10.0.0.7").with_key(
                FIRST,
                "ipv6s",
                "2001:db8::5\n2001:db8::6",
            ),
        ),
        // The largest types have several network cards, and number the devices on each; the listing is by address.
        (
            "network-cards",
            machine()
                .with_key(FIRST, "network-card", "0")
                .with_card("02:00:00:00:00:00", "1", &["10.0.2.7"], &[])
                .with_key("02:00:00:00:00:00", "network-card", "1")
                .with_card(SECOND, "1", &["10.0.1.7"], &[])
                .with_key(SECOND, "network-card", "0"),
        ),
        (
            "prefixes",
            machine()
                .with_key(FIRST, "ipv4-prefix", "10.0.0.32/28")
                .with_card(SECOND, "1", &["10.0.1.7"], &[])
                .with_key(SECOND, "ipv4-prefix", "10.0.1.32/28\n10.0.1.48/28")
                .with_key(SECOND, "ipv6-prefix", "2001:db8:0:1::/80"),
        ),
        (
            "ipv6",
            machine().with_key(FIRST, "ipv6s", "2001:db8::5\n2001:db8::6").with_card(
                SECOND,
                "1",
                &[],
                &["2001:db8:0:1::7", "2001:db8:0:1::8"],
            ),
        ),
    ];
    let machines = machines.into_iter().chain([
        // Several cards in one subnet whose numbers skip; the listing is in another order.
        (
            "one-subnet",
            machine()
                .with_key(FIRST, "subnet-ipv4-cidr-block", "10.0.0.0/24")
                .with_card("02:00:00:00:00:0a", "9", &["10.0.0.9"], &[])
                .with_key("02:00:00:00:00:0a", "subnet-ipv4-cidr-block", "10.0.0.0/24")
                .with_card(SECOND, "12", &["10.0.0.12", "10.0.0.13"], &[])
                .with_key(SECOND, "subnet-ipv4-cidr-block", "10.0.0.0/24"),
        ),
        // A card of IPv6 alone, by its prefix, and one of which nothing but the number is told.
        (
            "prefix-alone",
            machine()
                .with_card(SECOND, "2", &[], &[])
                .with_key(SECOND, "ipv6-prefix", "2001:db8:0:2::/80")
                .with_card("02:00:00:00:00:03", "1", &[], &[]),
        ),
    ]);
    for (name, tree) in machines {
        sandboxed(name, move |_| {
            // As far as that, one key after the other would run into the patience of this test.
            let far = Duration::from_millis(200);
            let _service = Server::start_at(&[V4], far, move |s| session(s, &tree).after(far));
            let instance = fetch().unwrap();
            let rendered = footplate::facade::plan::network::render(&instance.network.unwrap(), &[]);
            assert!(rendered.problems.is_empty(), "{name}: {:?}", rendered.problems);
            let all: String =
                rendered.files.iter().map(|f| format!("# {}\n{}\n", f.path, f.contents)).collect();
            let golden = format!("tests/aws/{name}.network");
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&golden, &all).unwrap();
            }
            assert_eq!(all, std::fs::read_to_string(&golden).unwrap_or_default(), "{golden}");
        });
    }
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed_once() {
    needs!(root("a network of its own"));
    sandboxed("token-ends", |_| {
        static REFUSED: AtomicUsize = AtomicUsize::new(0);
        let tree = machine();
        let service = Server::start(V4, move |s| {
            let again = s.header("x-aws-ec2-metadata-token") == Some(imds::TOKEN);
            if again && s.path.contains("placement") && REFUSED.fetch_add(1, Ordering::SeqCst) < 2 {
                return Reply::status(401, "", "");
            }
            session(s, &tree)
        });
        assert_eq!(fetch().unwrap().region.as_deref(), Some("eu-west-1"));
        let puts = service.seen().iter().filter(|s| s.method == "PUT").count();
        assert_eq!(puts, 2);
    });
}

#[test]
fn only_ipv6_is_enough() {
    needs!(root("a network of its own"));
    sandboxed("only-ipv6", |_| {
        let tree = machine();
        let _service = Server::start(V6, move |s| session(s, &tree));
        assert_eq!(fetch().unwrap().instance_id, "i-0123456789abcdef0");
    });
}

/// systemd-imdsd's lock: a `prohibit` route for everybody but sockets with its mark. The address is this machine's own
/// here, so the rule that finds those comes behind it, and the marked come from another one: answers are not marked.
#[test]
fn a_locked_address_is_reached_by_the_mark() {
    needs!(root("a network of its own"));
    sandboxed("locked", |_| {
        let tree = machine();
        let service = Server::start(V4, move |s| session(s, &tree));
        for command in [
            "ip address add 10.0.0.5/32 dev lo",
            "ip route add local 169.254.169.254 dev lo src 10.0.0.5 table 100",
            "ip rule add pref 10 fwmark 0x7fff0815 lookup 100",
            "ip rule add pref 20 to 169.254.169.254 prohibit",
            "ip rule add pref 30 lookup local",
            "ip rule del pref 0",
        ] {
            sandbox::run(command);
        }
        let direct = std::net::TcpStream::connect_timeout(&V4.parse().unwrap(), PATIENCE);
        assert_eq!(direct.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        assert_eq!(fetch().unwrap().instance_id, "i-0123456789abcdef0");
        assert_eq!(service.seen().iter().filter(|s| s.method == "PUT").count(), 1);
    });
}

/// A fault, the service that has it, and a text of the error.
type Fault = (&'static str, fn(&Seen, &Tree) -> Reply, &'static str);

fn is(s: &Seen, end: &str) -> bool {
    s.path.ends_with(end)
}

const FAULTS: &[Fault] = &[
    ("disabled", |_, _| Reply::status(403, "", ""), "HTTP status 403: the metadata service is disabled"),
    (
        "no-token",
        |s, t| if s.method == "PUT" { Reply::not_found() } else { session(s, t) },
        "HTTP status 404: no token",
    ),
    ("token-400", |_, _| Reply::status(400, "", ""), "HTTP status 400: no token"),
    ("token-405", |_, _| Reply::status(405, "", ""), "HTTP status 405: no token"),
    (
        "token-redirect",
        |_, _| Reply::status(302, "location: http://192.0.2.1/\r\n", ""),
        "HTTP status 302: a redirect, which is not followed here: no token",
    ),
    ("token-empty", |_, _| Reply::ok(""), "the answer is not a token"),
    ("token-lines", |_, _| Reply::ok("a\nb"), "the answer is not a token"),
    ("token-page", |_, _| Reply::ok("<html> log in"), "the answer is an HTML page"),
    ("token-large", |_, _| Reply::ok(vec![b'x'; 1 << 20]), "larger than the 4096 bytes"),
    ("token-silent", |_, _| Reply::nothing(End::Hang), "no answer within"),
    ("token-503", |_, _| Reply::status(503, "", ""), "HTTP status 503 (gave up"),
    (
        "data-401",
        |s, t| if s.method == "PUT" { session(s, t) } else { Reply::status(401, "", "") },
        "the token that the service gave is refused",
    ),
    (
        "data-403",
        |s, t| if s.method == "PUT" { session(s, t) } else { Reply::status(403, "", "") },
        "HTTP status 403",
    ),
    (
        "data-redirect",
        |s, t| {
            if s.method == "PUT" {
                session(s, t)
            } else {
                Reply::status(301, "location: http://192.0.2.1/\r\n", "")
            }
        },
        "a redirect, which is not followed here",
    ),
    (
        "user-data-large",
        |s, t| if is(s, "/user-data") { Reply::ok(vec![b'x'; 65537]) } else { session(s, t) },
        "larger than the 65536 bytes",
    ),
    (
        "user-data-cut",
        |s, t| {
            if is(s, "/user-data") {
                Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n#cloud")
            } else {
                session(s, t)
            }
        },
        "end of file",
    ),
    (
        "no-id",
        |s, t| if is(s, "/instance-id") { Reply::not_found() } else { session(s, t) },
        "instance-id: the metadata",
    ),
    (
        "id-page",
        |s, t| if is(s, "/instance-id") { Reply::ok("<!doctype html>") } else { session(s, t) },
        "not metadata",
    ),
    (
        "id-utf16",
        |s, t| if is(s, "/instance-id") { Reply::ok(b"\xff\xfei\0") } else { session(s, t) },
        "not UTF-8",
    ),
    (
        "name-hostile",
        |s, t| if is(s, "/local-hostname") { Reply::ok("../../etc") } else { session(s, t) },
        "local-hostname: ",
    ),
];

#[test]
fn every_fault_is_named_in_time() {
    needs!(root("a network of its own"));
    for (name, answer, want) in FAULTS {
        sandboxed(name, move |_| {
            let tree = machine();
            let service = Server::start(V4, move |s| answer(s, &tree));
            let start = Instant::now();
            let error = fetch().unwrap_err();
            let chain = format!("{error:#}");
            assert!(start.elapsed() < PATIENCE + Duration::from_secs(1), "{name}: {:?}", start.elapsed());
            assert!(chain.contains(want), "{name}: {chain}");
            assert!(!chain.contains(imds::TOKEN), "{name}: {chain}");
            // Version 1 is never tried: nothing is asked without a token.
            let bare = |s: &&Seen| s.method != "PUT" && s.header("x-aws-ec2-metadata-token").is_none();
            assert_eq!(service.seen().iter().filter(bare).count(), 0, "{name}");
        });
    }
}

/// What passes, and the service that has it.
type Passing = (&'static str, fn(&Seen, &Tree) -> Reply);

#[test]
fn what_passes_is_waited_for() {
    needs!(root("a network of its own"));
    let passing: &[Passing] = &[
        ("token-late", |s, t| if s.before < 2 { Reply::status(503, "", "") } else { session(s, t) }),
        ("cut-once", |s, t| if s.before < 3 { Reply::nothing(End::Reset) } else { session(s, t) }),
        ("busy", |s, t| {
            if s.before_here == 0 { Reply::status(429, "retry-after: 0\r\n", "") } else { session(s, t) }
        }),
        ("no-user-data", |s, t| if is(s, "/user-data") { Reply::not_found() } else { session(s, t) }),
        ("token-newline", |s, t| {
            if s.method == "PUT" { Reply::ok(format!("{}\n", imds::TOKEN)) } else { session(s, t) }
        }),
    ];
    for (name, answer) in passing {
        sandboxed(name, move |_| {
            let tree = machine();
            let _service = Server::start(V4, move |s| answer(s, &tree));
            let instance = fetch().unwrap();
            assert_eq!(instance.instance_id, "i-0123456789abcdef0", "{name}");
            assert_eq!(instance.user_data.is_none(), *name == "no-user-data");
        });
    }
}

#[test]
fn version_1_is_spoken_only_by_policy() {
    needs!(root("a network of its own"));
    sandboxed("version-1", |sandbox| {
        let tree = machine();
        // An old look-alike of EC2: it knows no tokens, and gives its data to everybody.
        let service = Server::start(V4, move |s| match s.path.as_str() {
            "/latest/api/token" => Reply::not_found(),
            _ => session(
                &Seen { headers: vec![("x-aws-ec2-metadata-token".into(), imds::TOKEN.into())], ..s.clone() },
                &tree,
            ),
        });
        let bare = || service.seen().iter().filter(|s| s.method == "GET").count();
        for cmdline in ["quiet", "footplate.imdsv1", "footplate.imdsv1=no"] {
            sandbox.cover("/proc/cmdline", cmdline);
            let error = fetch().unwrap_err();
            assert!(format!("{error:#}").contains("HTTP status 404: no token"), "{cmdline}: {error:#}");
            assert_eq!(bare(), 0, "{cmdline}");
        }
        // The program itself, for between its policy and the question stands more than the platform.
        let (refused, allowed) =
            ("HTTP status 404: no token", "no token: asked without one, as footplate.imdsv1=allow");
        for (policy, code, says) in [("imdsv1: false\n", 75, refused), ("imdsv1: true\n", 2, allowed)] {
            let root = Scratch::new("version-1");
            root.put("/etc/footplate.yaml", policy);
            let arguments = ["plan", "--platform", "aws", "--timeout", "5s", "--root", root.arg()];
            footplate(&arguments).ended(code, &[says]);
            assert_eq!(bare() > 0, code == 2, "{policy}");
        }
        sandbox.cover("/proc/cmdline", "quiet footplate.imdsv1=allow");
        assert_eq!(fetch().unwrap().instance_id, "i-0123456789abcdef0");
        assert!(bare() > 0 && service.seen().iter().all(|s| s.header("x-aws-ec2-metadata-token").is_none()));
    });
}

#[test]
fn the_first_of_two_addresses_to_answer_is_used() {
    needs!(root("a network of its own"));
    for (name, dead, alive) in [("race-6", V4, V6), ("race-4", V6, V4)] {
        sandboxed(name, move |_| {
            let tree = machine();
            // One address takes connections and says nothing: the other one is not waited for until it gives up.
            let silent = Server::start(dead, |_| Reply::nothing(End::Hang));
            let service = Server::start(alive, move |s| session(s, &tree));
            let instance = fetch_within(Duration::from_secs(30)).unwrap();
            assert_eq!(instance.instance_id, "i-0123456789abcdef0", "{name}");
            assert!(service.seen().iter().any(|s| s.method == "PUT"), "{name}");
            assert!(silent.seen().iter().all(|s| s.method == "PUT"), "{name}: only the token is tried there");
        });
    }
}

#[test]
fn no_proxy_is_asked_and_no_dmi_means_no_question() {
    needs!(root("a network of its own"));
    sandboxed("proxy", |sandbox| {
        let tree = machine();
        let service = Server::start(V4, move |s| session(s, &tree));
        sandbox::run("ip address add 192.0.2.7/32 dev lo");
        let proxy = Server::start("192.0.2.7:3128", |_| Reply::ok("proxy"));
        // The environment is the process's, so another process asks.
        let plan = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_footplate"));
            command.arg("plan").args(arguments).arg("--root").arg(sandbox.dir());
            for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env(name, "http://192.0.2.7:3128");
            }
            command.output().unwrap()
        };
        let output = plan(&[]);
        assert!(service.seen().is_empty(), "{output:?}");
        let output = plan(&["--platform", "aws"]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("i-0123456789abcdef0"), "{output:?}");
        assert!(proxy.seen().is_empty());
    });
}
