// SPDX-License-Identifier: Apache-2.0
//! Images that are not to be had: kubeadm pulls them by containerd's own client from Debian's registry.

use std::fs;

use super::Cause;
use super::beside::{REGISTRY, containerd, pulls, registry};
use crate::common::cluster::HOLDS;
use crate::common::server::{Reply, Server};

const TRUSTS: &str = "  - export SSL_CERT_FILE=/opt/test/ca.pem\n";

/// What the node trusts.
fn trusts(machine: &super::Machine) {
    containerd(machine, "", "");
    machine.node.root.put("/opt/test/ca.pem", fs::read(machine.cluster.authority.bundle()).unwrap());
}

pub(super) fn causes() -> Vec<Cause> {
    vec![
        ("image/registry-not-reached", pulls(""), |m| containerd(m, "", "")),
        ("image/registry-not-tls", pulls(""), |m| {
            containerd(m, "", "");
            registry(m, false, "");
        }),
        ("image/certificate", pulls(""), |m| {
            containerd(m, "", "");
            registry(m, true, "");
        }),
        ("image/not-found", pulls(TRUSTS), |m| {
            trusts(m);
            registry(m, true, "");
        }),
        ("image/unauthorised", pulls(TRUSTS), |m| {
            trusts(m);
            let passwords = super::beside::dir(m, "passwords").join("passwords");
            fs::write(&passwords, "").unwrap();
            registry(m, true, &format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", passwords.display()));
        }),
        ("image/not-pulled", pulls(TRUSTS), |m| {
            // A registry whose store is damaged: a file where it has its directory of repositories.
            trusts(m);
            let store = super::beside::dir(m, "registry/store/docker/registry/v2");
            fs::write(store.join("repositories"), "").unwrap();
            registry(m, true, "");
        }),
        ("image/proxy", pulls("  - export HTTPS_PROXY=http://127.0.0.1:9\n"), |m| containerd(m, "", "")),
        ("image/rate-limit", pulls(TRUSTS), |m| {
            // In the words of Docker's registry: Debian's has no limit.
            trusts(m);
            let tls = m.cluster.authority.server(&["192.0.2.1"], HOLDS.0, HOLDS.1);
            let says = "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit\"}]}";
            m.network.within(|| {
                Server::start_tls(REGISTRY, tls, move |_| {
                    Reply::status(429, "content-type: application/json\r\n", says)
                })
            });
        }),
    ]
}
