// SPDX-License-Identifier: Apache-2.0
//! The API server that a `join` asks first: whether it answers, by a certificate of the right authority, and knows the token.

use super::{Found, MAX_FILE, problem};
use crate::decode::kubeadm::asked::{Asked, Endpoint};
use crate::decode::kubeadm::cluster_info::{self, ClusterInfo, Known};
use crate::decode::kubeadm::kubeconfig::Kubeconfig;
use crate::io::api_server::{self, Answer, Distrust, Trouble};
use crate::io::now;
use crate::io::root::Root;
use crate::model::fetch::FetchOptions;
use crate::model::problem::Problem;

/// Seconds between the machine's clock and the server's from which it is told.
const CLOCK_OFF: i64 = 60;

/// What a `join` would meet at its API server. Nothing where it asks through a proxy, which is kubeadm's to do.
pub(super) fn check(root: &Root, asked: &Asked, proxies: &FetchOptions) -> Vec<Found> {
    if !asked.join {
        return Vec::new();
    }
    let kubeconfig = asked.file.as_ref().and_then(|path| root.read(path, MAX_FILE).ok().flatten());
    let kubeconfig = kubeconfig.and_then(|bytes| Kubeconfig::parse(&String::from_utf8_lossy(&bytes)));
    let server = kubeconfig.as_ref().and_then(Kubeconfig::server);
    let endpoint = server.and_then(Endpoint::parse).or_else(|| asked.endpoint.clone());
    let Some(endpoint) = endpoint else { return Vec::new() };
    if proxies.proxy(true, &endpoint.host, endpoint.port).is_some() {
        return Vec::new();
    }
    let place = endpoint.to_string();
    match api_server::get(&endpoint.host, endpoint.port, cluster_info::PATH) {
        Err(trouble) => vec![unanswered(&place, &trouble)],
        Ok(answer) => match &kubeconfig {
            Some(read) => trusted(&place, &endpoint, &answer, &read.authorities()),
            None => discovered(&place, &endpoint, &answer, asked),
        },
    }
}

fn unanswered(place: &str, trouble: &Trouble) -> Found {
    let problem = |what: &str, code, cure: &str| problem(place, what, code, cure);
    let found = |p: Problem| Found::NotYet(p, false);
    match trouble {
        Trouble::Name => found(problem(
            "the name of the API server has no address",
            "endpoint/name-not-resolved",
            "look at `resolvectl query` and at the name in the kubeadm configuration",
        )),
        Trouble::Refused => found(problem(
            "the API server's port refuses connections",
            "endpoint/refused",
            "see that the first control plane is up, and that the load balancer or kube-vip has the address",
        )),
        Trouble::NoWay(why) => found(problem(
            &format!("the API server is not reached: {why}"),
            "endpoint/no-route",
            "look at `ip route`, and at firewalls between this machine and the API server",
        )),
        Trouble::CutOff => found(problem(
            "the API server's port takes connections and ends them without an answer",
            "endpoint/cut-off",
            "see that the load balancer has a control plane that is up",
        )),
        Trouble::NotTls => Found::Fails(problem(
            "what answers at the API server's port does not speak TLS",
            "endpoint/not-tls",
            "correct the port in the kubeadm configuration",
        )),
    }
}

/// What an answer says to a `join` that has a token.
fn discovered(place: &str, endpoint: &Endpoint, answer: &Answer, asked: &Asked) -> Vec<Found> {
    let problem = |what: &str, code, cure: &str| problem(place, what, code, cure);
    match answer.status {
        200 => {}
        // A strange server may not be asked without credentials. kubeadm will say so.
        401 | 403 => return Vec::new(),
        404 => {
            let what = "the API server answers, and has no cluster-info yet";
            let cure = "see that `kubeadm init` has ended on the first control plane";
            return vec![Found::NotYet(problem(what, "join/no-cluster-info", cure), false)];
        }
        status => {
            let what = format!("the API server is not ready: HTTP status {status}");
            let cure = "look at the API server of the first control plane";
            return vec![Found::NotYet(problem(&what, "endpoint/not-ready", cure), false)];
        }
    }
    let Some(info) = ClusterInfo::parse(&answer.body) else {
        let what = "what answers is not an API server: its cluster-info can't be read";
        let cure = "correct the endpoint in the kubeadm configuration";
        return vec![Found::Fails(problem(what, "join/no-cluster-info", cure))];
    };
    let new = "make a new token, or delete the Machine: Cluster API makes another one with a new token";
    match asked.token.as_ref().map_or(Known::Yes, |token| info.knows(token)) {
        Known::Yes => {}
        Known::No => {
            let what =
                "the cluster does not know the bootstrap token: it has expired, or is another cluster's";
            return vec![Found::NotYet(problem(what, "join/token-expired", new), true)];
        }
        Known::OtherSecret => {
            let what = "the cluster has a bootstrap token of the same id with another secret";
            return vec![Found::Fails(problem(what, "join/token-of-another-cluster", new))];
        }
    }
    let authorities = info.authorities();
    if !asked.pins.is_empty() && !cluster_info::pinned(&authorities, &asked.pins) {
        let what = "the cluster's certificate authority is none of those whose digests the kubeadm configuration has";
        let cure =
            "take the digest of this cluster's CA, or correct the endpoint: it may be another cluster's";
        return vec![Found::Fails(problem(what, "join/ca-hash-mismatch", cure))];
    }
    trusted(place, endpoint, answer, &authorities)
}

/// Whether the server's certificate is one of these authorities', for this name and at this time.
fn trusted(place: &str, endpoint: &Endpoint, answer: &Answer, authorities: &[Vec<u8>]) -> Vec<Found> {
    let problem = |what: &str, code, cure: &str| problem(place, what, code, cure);
    let (now, mut found) = (now(), Vec::new());
    let off = answer.date.map_or(0, |date| (now.0 - date.0).abs());
    let clock = "set the clock: look at `timedatectl` and at the time servers";
    if off > CLOCK_OFF {
        let what = format!("this machine's clock is {off} seconds off the API server's");
        found.push(Found::Odd(problem(&what, "clock/differs", clock)));
    }
    found.extend(api_server::distrust(&answer.chain, authorities, &endpoint.host, now).map(|why| {
        Found::Fails(match why {
            Distrust::Time => problem(
                "the API server's certificate does not hold at this machine's time",
                "certificate/not-valid-now",
                if off > CLOCK_OFF { clock } else { "renew the API server's certificate" },
            ),
            Distrust::Name => problem(
                "the API server's certificate is for other names",
                "certificate/of-another-name",
                "add the endpoint to certSANs of the cluster's configuration",
            ),
            Distrust::Issuer => problem(
                "the API server's certificate is not issued by the cluster's authority",
                "certificate/of-another-ca",
                "correct the endpoint: it may be another cluster's, or a proxy answers in its place",
            ),
        })
    }));
    found
}
