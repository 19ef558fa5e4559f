// SPDX-License-Identifier: Apache-2.0
//! `check`: whether user-data, or the Secret that holds it, is good here, and what would happen. Asks no network.

use anyhow::Result;
use serde_json::json;

use super::output;
use crate::apply;
use crate::cli::{self, Format};
use crate::decode::document::jinja::Variables;
use crate::decode::document::no_fetch;
use crate::decode::kubeadm::{config_file, expiry};
use crate::decode::{self, Bootstrap, Decoded};
use crate::io::root::{Ids, Scratch};
use crate::io::{live, now};
use crate::model::instance::Instance;
use crate::model::plan::Plan;
use crate::model::problem::{Failure, Problem, READ_ONLY, Severity, Stage};
use crate::plan;
use crate::platform::{self, PLATFORMS};

/// Users that Flatcar has, and such as are common elsewhere: with one of these as owner the node is not said to stop. Each
/// has a group of its name.
const USERS: &[&str] = &[
    "root",
    "bin",
    "daemon",
    "adm",
    "lp",
    "sync",
    "shutdown",
    "halt",
    "mail",
    "news",
    "uucp",
    "operator",
    "man",
    "postmaster",
    "nobody",
    "sshd",
    "ntp",
    "polkitd",
    "dhcp",
    "messagebus",
    "dbus",
    "etcd",
    "docker",
    "tcpdump",
    "tss",
    "portage",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "systemd-coredump",
    "systemd-oom",
    "systemd-journal-remote",
    "systemd-journal-upload",
    "core",
];

/// Groups without a user of their name.
const GROUPS: &[&str] = &[
    "sys",
    "tty",
    "disk",
    "mem",
    "kmem",
    "wheel",
    "floppy",
    "console",
    "audio",
    "cdrom",
    "dialout",
    "tape",
    "video",
    "cdrw",
    "usb",
    "users",
    "nogroup",
    "utmp",
    "sudo",
    "render",
    "kvm",
    "input",
    "sgx",
    "shadow",
    "systemd-journal",
    "rkt",
    "rkt-admin",
];

pub fn run(input: &cli::Input) -> Result<u8, Failure> {
    let mut decoded = read(live::input(&input.file).map_err(|e| platform::failure(Stage::Usage, e))?);
    let plan = try_out(&mut decoded);
    let code = if decoded.failed() { Stage::Decode.exit_code() } else { 0 };
    match input.format {
        Format::Json => output::json(&json(&decoded, &plan)),
        Format::Text => output::text(&text(&decoded, &plan)),
    }
    Ok(code)
}

/// What the data describes, with everything that is wrong with it and with the Secret around it.
fn read(bytes: Vec<u8>) -> Decoded {
    let bootstrap = match decode::bootstrap_secret(&String::from_utf8_lossy(&bytes)) {
        Ok(secret) => secret.unwrap_or_else(|| Bootstrap { data: bytes, problems: Vec::new() }),
        Err(problem) => return Decoded { problems: vec![problem], ..Decoded::default() },
    };
    let Bootstrap { data, problems } = bootstrap;
    let mut decoded = decode::user_data(Some(&data), None, &Variables::assumed(), &mut no_fetch);
    decoded.problems.extend(problems);
    decoded.problems.extend(expiry::problems(&decoded.config, now()));
    // What is fetched or written by an included part is not known here.
    if decoded.problems.iter().all(|p| p.severity != Severity::Note) {
        decoded.problems.extend(config_file::problems(&decoded.config));
    }
    decoded.problems.extend(platform::too_large_for(PLATFORMS, data.len()));
    decoded
}

/// The plan of a node that knows nothing but its data, tried on an empty Flatcar: what would stop the node is an error.
fn try_out(decoded: &mut Decoded) -> Plan {
    for problem in decoded.problems.iter_mut().filter(|p| p.code == READ_ONLY) {
        problem.severity = Severity::Error;
    }
    if decoded.failed() {
        return Plan::default();
    }
    let plan = plan::node(&decoded.config, &Instance::default());
    match flatcar() {
        Ok(scratch) => {
            decoded.problems.extend(apply::compare(&plan, scratch.root()).err().unwrap_or_default());
        }
        Err(error) => {
            let what = format!("whether the node can be made was not tried: {error:#}");
            decoded
                .problems
                .push(Problem::warning("", what).cure("let TMPDIR be a directory that can be written"));
        }
    }
    if decoded.failed() { Plan::default() } else { plan }
}

/// An empty root with the accounts that a system has.
fn flatcar() -> Result<Scratch> {
    let scratch = Scratch::new()?;
    let (mut passwd, mut shadow, mut group) = (String::new(), String::new(), String::new());
    for (id, name) in USERS.iter().enumerate() {
        passwd += &format!("{name}:x:{id}:{id}::/:/bin/false\n");
        shadow += &format!("{name}:*:1::::::\n");
        group += &format!("{name}:x:{id}:\n");
    }
    for (i, name) in GROUPS.iter().enumerate() {
        group += &format!("{name}:x:{}:\n", USERS.len() + i);
    }
    for (file, text, mode) in
        [("/etc/passwd", passwd, 0o644), ("/etc/group", group, 0o644), ("/etc/shadow", shadow, 0o600)]
    {
        scratch.root().put(file, text.as_bytes(), mode, Ids::default())?;
    }
    Ok(scratch)
}

fn json(decoded: &Decoded, plan: &Plan) -> serde_json::Value {
    let items = apply::outline(plan);
    json!({
        "ok": !decoded.failed(),
        "files": decoded.config.files.iter().map(|f| &f.path).collect::<Vec<_>>(),
        "users": decoded.config.users.iter().map(|u| &u.name).collect::<Vec<_>>(),
        "commands": decoded.config.runcmd.len(),
        "items": items.iter().map(|(what, detail)| json!({ "what": what, "detail": detail })).collect::<Vec<_>>(),
        "start": plan.bootstrap.as_ref().map(|b| &b.unit),
        "findings": decoded.problems,
    })
}

fn text(decoded: &Decoded, plan: &Plan) -> String {
    let mut out = String::new();
    for problem in &decoded.problems {
        let severity = match problem.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        out += &format!("{severity}: {problem}\n");
        if let Some(cure) = &problem.cure {
            out += &format!(" hint: {cure}\n");
        }
    }
    let items = apply::outline(plan);
    let width = output::width(items.iter().map(|(what, _)| what.as_str()));
    for (what, detail) in &items {
        out += format!("+ {what:width$}  {detail}").trim_end();
        out.push('\n');
    }
    if let Some(bootstrap) = &plan.bootstrap {
        out += &format!("> start {}\n", bootstrap.unit);
    }
    out + &match decoded.failed() {
        false => format!("good: {}\n", decoded.config.summary()),
        true => "not good: the node would stop before kubeadm\n".to_owned(),
    }
}
