// SPDX-License-Identifier: Apache-2.0
//! How the bootstrap went: kubeadm's own result, what its output says of the cause, and the sentinel that Cluster API
//! looks for.

use anyhow::Result;

use crate::io::root::{Ids, Root};
use crate::io::{console, exec, now, systemd, uptime_ms};
use crate::plan::FINAL_MESSAGE;
use crate::plan::kubeadm::{
    IGNITION_LEFTOVER, KUBEADM_STATUS, KUBELET_CONF, PREPARED, SCRIPT, SCRIPTS, SENTINEL, UNIT,
};
use crate::state::{self, Progress, StageStatus, Stamp, Status};

const OURS: Ids = Ids { uid: Some(0), gid: Some(0) };

/// Most that a status file or the script holds.
const MAX_FILE: usize = 64 << 20;

/// How the script ended when a shutdown ended it: `$EXIT_STATUS`, or the number over D-Bus.
const TERMINATED: &[&str] = &["TERM", "KILL", "15", "9"];

/// What the script records of a kubeadm that SIGTERM ended, when it comes to it.
const KUBEADM_TERMINATED: i32 = 128 + 15;

/// What kubeadm's output tells of a failure: a text of it in lower case, what that means, and what helps. The first row
/// that is found decides, so a cause stands before what follows from it.
const CAUSES: &[(&str, &str, &str)] = &[
    (
        "x509: certificate has expired or is not yet valid",
        "a certificate is outside its validity: the clock may be wrong",
        "compare `timedatectl` with the certificate's dates; the `ntp` key sets time servers",
    ),
    (
        "x509: certificate signed by unknown authority",
        "the API server's certificate is not signed by the cluster's CA",
        "the endpoint in the join configuration leads to another cluster, or its CA was replaced",
    ),
    (
        "cluster ca found in cluster-info configmap is invalid",
        "the cluster's CA does not have the expected hash",
        "discovery.bootstrapToken.caCertHashes is of another cluster",
    ),
    (
        "none of the public keys",
        "the cluster's CA does not have the expected hash",
        "discovery.bootstrapToken.caCertHashes is of another cluster",
    ),
    (
        "failed to verify jws signature",
        "the cluster signed its information with another bootstrap token",
        "the token's secret in the join configuration is not the cluster's, or the endpoint leads to another cluster",
    ),
    (
        "could not find a jws signature in the cluster-info",
        "the bootstrap token has expired or was removed",
        "Cluster API makes a new token for a new machine: delete this one's Machine",
    ),
    (
        "token id",
        "the bootstrap token has expired or was removed",
        "Cluster API makes a new token for a new machine: delete this one's Machine",
    ),
    (
        "no such host",
        "the API server's name can't be resolved",
        "look at `resolvectl status` and at nameservers in the network metadata",
    ),
    (
        "server misbehaving",
        "the API server's name can't be resolved",
        "look at `resolvectl status` and at nameservers in the network metadata",
    ),
    (
        "no route to host",
        "the API server can't be reached: no route to it",
        "look at `ip route` and at the gateway in the network metadata",
    ),
    (
        "network is unreachable",
        "the API server can't be reached: no route to it",
        "look at `ip route` and at the gateway in the network metadata",
    ),
    (
        "connection refused",
        "the API server can't be reached: its port is closed",
        "see that the control plane's endpoint (kube-vip, the load balancer) is up",
    ),
    (
        "i/o timeout",
        "the API server can't be reached: it does not answer",
        "see that the control plane's endpoint is up and that no firewall stands between",
    ),
    (
        "client.timeout exceeded",
        "the API server can't be reached: it does not answer",
        "see that the control plane's endpoint is up and that no firewall stands between",
    ),
    (
        "context deadline exceeded",
        "the API server can't be reached: it does not answer",
        "see that the control plane's endpoint is up and that no firewall stands between",
    ),
    (
        "couldn't validate the identity of the api server",
        "the API server can't be reached or is not the one that was expected",
        "see that the control plane's endpoint is up and that the token and the CA hash are this cluster's",
    ),
    (
        "timed out waiting for the condition",
        "the API server can't be reached: it does not answer",
        "see that the control plane's endpoint is up and that no firewall stands between",
    ),
    (
        "container runtime is not running",
        "containerd does not run",
        "look at `systemctl status containerd`, and at nodeRegistration.criSocket",
    ),
    (
        "[error cri]",
        "containerd does not answer",
        "look at `systemctl status containerd`, and at nodeRegistration.criSocket",
    ),
    (
        "[error imagepull]",
        "an image can't be pulled",
        "see that the registry can be reached, or bake the images",
    ),
    ("[error swap]", "swap is on", "take the swap out of the image"),
    (
        "[error fileavailable",
        "files of an earlier bootstrap are in the way",
        "seal the image that this node was made from",
    ),
    ("[error port-", "a port that Kubernetes needs is taken", "see who listens: `ss -ltnp`"),
    (
        "[error systemverification]",
        "the kernel lacks what Kubernetes needs",
        "look at kubeadm's own words in the journal",
    ),
    ("[kubelet-check]", "the kubelet does not come up", "look at `journalctl -u kubelet`"),
    ("kubeadm: not found", "there is no kubeadm on this machine", "bake kubeadm into /opt/bin"),
    ("kubeadm: command not found", "there is no kubeadm on this machine", "bake kubeadm into /opt/bin"),
    (
        "[error ",
        "kubeadm's checks found fault with this machine",
        "look at kubeadm's own words in the journal",
    ),
];

/// What kubeadm's output says of a failure: cause and cure.
pub fn classify(log: &str) -> Option<(&'static str, &'static str)> {
    // A warning is not what stopped it: kubeadm warns, for one, when the node's own name does not resolve.
    let errors: Vec<&str> = log.lines().filter(|l| !l.trim_start().starts_with("[WARNING")).collect();
    let log = errors.join("\n").to_ascii_lowercase();
    CAUSES.iter().find(|(text, _, _)| log.contains(text)).map(|(_, cause, cure)| (*cause, *cure))
}

/// What systemd says of the unit when its script has ended: `$SERVICE_RESULT`, `$EXIT_STATUS`, `$INVOCATION_ID`
/// ([systemd.exec(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Environment%20Variables%20Set%20or%20Propagated%20by%20the%20Service%20Manager)).
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// `success`, `exit-code`, `signal`, `timeout`, …
    pub result: String,
    /// The script's exit status or signal.
    pub status: String,
    /// The run's id in the journal.
    pub invocation: Option<String>,
}

impl Ended {
    /// From the environment that systemd gives to `ExecStopPost=`.
    pub fn from_environment() -> Self {
        let var = |name: &str| std::env::var(name).unwrap_or_default();
        Self {
            result: var("SERVICE_RESULT"),
            status: var("EXIT_STATUS"),
            invocation: std::env::var("INVOCATION_ID").ok(),
        }
    }
}

/// Settles the bootstrap's result: status, sentinel, stamp; removes the script. Called when the script has ended, once or
/// twice: image and bootstrap data may both see to it. `None` where nothing ran, all is settled, or the machine goes down
/// in the middle.
///
/// # Errors
/// A file can't be read or written.
pub fn settle(root: &Root, ended: &Ended) -> Result<Option<Status>> {
    let mut status = state::read_status(root)?.unwrap_or_default();
    let script = root.read(SCRIPT, MAX_FILE)?;
    // Cluster API's Ignition script always calls kubeadm, and leaves nothing but the sentinel.
    let prepared = script.is_none() && root.stands(PREPARED)?;
    if script.is_none() && !prepared {
        return Ok(None);
    }
    let recorded = root.read(KUBEADM_STATUS, MAX_FILE)?;
    let recorded: Option<i32> = recorded.and_then(|b| String::from_utf8_lossy(&b).trim().parse().ok());
    // A reboot in the middle, which the bootstrap's own commands may ask for, is no result: the next boot begins it anew.
    if recorded.is_none_or(|code| code == KUBEADM_TERMINATED)
        && TERMINATED.contains(&ended.status.as_str())
        && systemd::stopping()
    {
        return Ok(None);
    }
    let sentinel = root.meta(SENTINEL)?.is_some();
    let names_kubeadm = prepared || script.as_deref().is_some_and(script_calls_kubeadm);
    let success = match recorded {
        Some(code) => code == 0,
        // Called by its path, or by another script: the command line that Cluster API made tells.
        None if names_kubeadm => sentinel,
        None => ended.result == "success",
    };
    status.kubeadm_exit_status = recorded;
    if success {
        status.state = Progress::Done;
        (status.error, status.cure) = (None, None);
        if ended.result != "success" {
            let end = format!("commands after kubeadm ended with {} ({})", ended.status, ended.result);
            status.warnings.push(end);
        }
        if recorded == Some(0) && !sentinel {
            put_sentinel(root)?;
        }
    } else {
        if sentinel {
            root.remove(SENTINEL)?;
        }
        // `kubeadm-prepare` said why, and nothing ran after it.
        let said = if status.state == Progress::Failed { status.error.take() } else { None };
        let cure = status.cure.take();
        status.state = Progress::Failed;
        let log = exec::journal_of(UNIT, ended.invocation.as_deref()).unwrap_or_default();
        let what = match (recorded, ended.result.as_str()) {
            (Some(code), _) => format!("kubeadm failed with exit status {code}"),
            (None, "timeout") => "the bootstrap ran into its time-out".to_owned(),
            (None, _) if names_kubeadm => {
                format!("kubeadm did not succeed; the script ended with {}", ended.status)
            }
            (None, result) => format!("the bootstrap's commands ended with {} ({result})", ended.status),
        };
        (status.error, status.cure) = match classify(&log) {
            _ if said.is_some() => (said, cure),
            Some((cause, cure)) => (Some(format!("{what}: {cause}")), Some(cure.to_owned())),
            None => (Some(what), Some(format!("look at `journalctl -u {UNIT}`"))),
        };
    }
    end_stage(&mut status);
    if let Some(instance_id) = status.instance_id.clone() {
        state::write_stamp(
            root,
            &Stamp {
                version: 1,
                instance_id,
                result: status.state,
                error: status.error.clone(),
                cure: status.cure.clone(),
                kubeadm_exit_status: recorded,
            },
        )?;
        // It ran once, and never runs again.
        state::remove_bootstrap(root, &status.instance_id.clone().unwrap_or_default())?;
    }
    state::write_status(root, &status)?;
    root.remove(SCRIPT)?;
    for name in root.list(SCRIPTS)? {
        root.remove(&format!("{SCRIPTS}/{name}"))?;
    }
    root.remove(KUBEADM_STATUS)?;
    if prepared {
        root.remove(IGNITION_LEFTOVER)?;
        root.remove(PREPARED)?;
    }
    tell(root, &status)?;
    Ok(Some(status))
}

/// `final_message`: to the log and the console once the bootstrap succeeded. Its names are cloud-init's.
fn tell(root: &Root, status: &Status) -> Result<()> {
    let Some(message) = root.read(FINAL_MESSAGE, MAX_FILE)? else { return Ok(()) };
    root.remove(FINAL_MESSAGE)?;
    if status.state != Progress::Done {
        return Ok(());
    }
    let values = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("timestamp", now().to_string()),
        ("datasource", status.platform.clone().unwrap_or_default()),
        ("uptime", (uptime_ms() / 1000).to_string()),
    ];
    let mut text = String::from_utf8_lossy(&message).into_owned();
    for (name, value) in values {
        for written in [name.to_owned(), name.to_ascii_uppercase()] {
            text = text.replace(&format!("${written}"), &value).replace(&format!("${{{written}}}"), &value);
        }
    }
    for line in text.lines() {
        log::info!("{line}");
        console(line);
    }
    Ok(())
}

/// Whether a line of the script calls kubeadm to init or join.
fn script_calls_kubeadm(script: &[u8]) -> bool {
    let text = String::from_utf8_lossy(script);
    // The first lines are footplate's own function of that name.
    let body = text.split_once("\n}\n").map_or("", |(_, body)| body);
    let calls = |l: &str| l.contains("kubeadm") && (l.contains(" init") || l.contains(" join"));
    // With useExperimentalRetryJoin it is a script of the data that calls kubeadm, and its success makes the sentinel.
    body.lines().any(|l| calls(l) || l.contains(SENTINEL))
}

/// Makes sure that a node which joined shows so: the sentinel stands on a file system that every boot begins empty.
///
/// # Errors
/// It can't be written.
pub fn put_sentinel(root: &Root) -> Result<()> {
    root.put(SENTINEL, b"success\n", 0o644, OURS)?;
    Ok(())
}

/// Whether the node is a member of a cluster already.
///
/// # Errors
/// The path can't be followed.
pub fn is_member(root: &Root) -> Result<bool> {
    Ok(root.meta(KUBELET_CONF)?.is_some())
}

fn end_stage(status: &mut Status) {
    let summary = match status.kubeadm_exit_status {
        Some(code) => format!("exit-status={code}"),
        None => String::new(),
    };
    let now = uptime_ms();
    match status.stages.iter_mut().find(|s| s.name == "kubeadm") {
        Some(stage) => {
            stage.ms = now.saturating_sub(stage.started_ms);
            (stage.state, stage.summary) = (status.state, summary);
        }
        None => {
            let name = "kubeadm".to_owned();
            status.stages.push(StageStatus { name, state: status.state, started_ms: now, ms: 0, summary });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_makes_the_sentinel_bootstraps_a_node() {
        let begun = "#!/bin/sh\nkubeadm() {\n    command kubeadm init\n}\n";
        for (body, calls) in [
            ("kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml && echo success > x", true),
            ("/usr/bin/kubeadm init --config /run/kubeadm/kubeadm.yaml", true),
            (
                "/usr/local/bin/kubeadm-bootstrap-script && echo success > /run/cluster-api/bootstrap-success.complete",
                true,
            ),
            ("kubeadm config images pull", false),
            ("echo begun", false),
        ] {
            assert_eq!(script_calls_kubeadm(format!("{begun}{body}\n").as_bytes()), calls, "{body}");
        }
    }

    /// kubeadm's discovery begins each of its failures with the same words, and warns of names first.
    #[test]
    fn the_cause_is_told_and_not_what_follows_from_it() {
        let before = "[WARNING Hostname]: hostname \"n1\" could not be reached: no such host\n\
                      error execution phase preflight: couldn't validate the identity of the API Server: ";
        for (says, cause) in [
            (
                "failed to verify JWS signature of received cluster info object, can't trust this API Server",
                Some("the cluster signed its information with another bootstrap token"),
            ),
            (
                "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"",
                Some("the bootstrap token has expired or was removed"),
            ),
            (
                "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:0\" are pinned",
                Some("the cluster's CA does not have the expected hash"),
            ),
            (
                "Get \"https://lb:6443/api\": dial tcp: lookup lb: no such host",
                Some("the API server's name can't be resolved"),
            ),
            (
                "Get \"https://192.0.2.1:6443/api\": dial tcp 192.0.2.1:6443: connect: no route to host",
                Some("the API server can't be reached: no route to it"),
            ),
            ("", Some("the API server can't be reached or is not the one that was expected")),
        ] {
            assert_eq!(classify(&format!("{before}{says}\n")).map(|(cause, _)| cause), cause, "{says}");
        }
        assert_eq!(classify("[WARNING Hostname]: lookup n1: no such host\n"), None);
    }
}
