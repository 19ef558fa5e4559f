// SPDX-License-Identifier: Apache-2.0
//! Services that are found by way of the machine's links: OpenStack's and Google's at addresses of IPv6, CloudStack's router as the
//! server of a DHCP lease. They listen on real sockets, and their answers are those of `tests/platforms`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;

use crate::common::sandbox::{Sandbox, run};
use crate::common::scratch::{FOOTPLATE, Ran};
use crate::common::server::Server;
use crate::faults::folder;

/// Captures what a platform's service says to a machine whose link `near` leads to it. `address` is the service's own on the link
/// `far`, `listen` its socket there; `lease` is networkd's lease of `near`, which it has after `wait`.
fn captured(
    case: &'static str,
    host: &str,
    address: &str,
    listen: &str,
    lease: &'static str,
    wait: Duration,
) {
    let sandbox = Sandbox::enter(&format!("found-{case}"), &[]);
    run("ip link add near type veth peer name far");
    run("ip link set near up");
    run("ip link set far up");
    run(&format!("ip address add {address} dev far"));
    let index = |name: &str| if_nametoindex(name).unwrap().to_string();
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms").join(case).join("machine");
    let answers = machine.join("http").join(host);
    let service = Server::start(&listen.replace("far", &index("far")), move |seen| folder(&answers, seen));
    let (root, mut node) = sandbox.node("node", FOOTPLATE);
    let leases = root.join("run/systemd/netif/leases");
    fs::create_dir_all(&leases).unwrap();
    let path = leases.join(index("near"));
    let leased = move || {
        thread::sleep(wait);
        fs::write(path, lease).unwrap();
    };
    let networkd = thread::spawn(leased);
    // One that is there from the start.
    let networkd = if wait.is_zero() { networkd.join().map(|()| None).unwrap() } else { Some(networkd) };
    fs::write(root.join("etc/footplate.yaml"), "waits: {metadata: 20s}\n").unwrap();
    node.args(["capture", "/bundle", "--platform", case]);
    Ran::of(&mut node).ended(0, &[]);
    networkd.map(thread::JoinHandle::join);
    let of_data = |path: &String| ["user", "recursive"].iter().any(|word| path.contains(word));
    assert!(service.paths().iter().any(of_data), "{:?}", service.paths());
    assert!(root.join("bundle/http").join(host).is_dir(), "the host is another one");
}

fn apart(test: impl FnOnce() + Send + 'static) {
    if let Err(panic) = thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn openstack_answers_a_machine_without_ipv4() {
    needs!(root("a network of its own"));
    apart(|| {
        let address = "fe80::a9fe:a9fe/64 nodad";
        let lease = "ADDRESS=192.0.2.1\n";
        captured("openstack", "169.254.169.254", address, "[fe80::a9fe:a9fe%far]:80", lease, Duration::ZERO);
    });
}

#[test]
fn google_answers_a_machine_without_ipv4() {
    needs!(root("a network of its own"));
    apart(|| {
        let address = "fd20:ce::254/64 nodad";
        captured(
            "gcp",
            "169.254.169.254",
            address,
            "[fd20:ce::254]:80",
            "ADDRESS=192.0.2.1\n",
            Duration::ZERO,
        );
    });
}

const LEASE: &str = "# This is private data. Do not parse.\nADDRESS=10.1.9.12\nSERVER_ADDRESS=10.1.9.1\n";

#[test]
fn cloudstacks_router_is_the_server_of_the_lease() {
    needs!(root("a network of its own"));
    let with = |wait| captured("cloudstack", "10.1.9.1", "10.1.9.1/24", "10.1.9.1:80", LEASE, wait);
    apart(move || with(Duration::ZERO));
    apart(move || with(Duration::from_secs(3)));
}

/// A machine whose lease never comes: it ends in the time that the policy gives, and says what it had and what to do.
#[test]
fn a_lease_that_never_comes_is_told() {
    needs!(root("a network of its own"));
    apart(|| {
        for (platform, says) in [
            (
                "cloudstack",
                ["no NIC has a DHCP lease", "virtual router does not answer: it must be the DHCP server"],
            ),
            ("hetzner", ["network is unreachable", "see that a route leads to 169.254.169.254"]),
        ] {
            let sandbox = Sandbox::enter(&format!("no-lease-{platform}"), &[]);
            run("ip link add near type veth peer name far");
            run("ip link set near up");
            let (root, mut node) = sandbox.node("node", FOOTPLATE);
            fs::write(root.join("etc/footplate.yaml"), "waits: {metadata: 6s}\n").unwrap();
            node.args(["provision", "--platform", platform]);
            let start = Instant::now();
            Ran::of(&mut node).ended(75, &says);
            assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
        }
    });
}
