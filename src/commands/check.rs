// SPDX-License-Identifier: Apache-2.0
//! `check`: whether user-data, or the Secret that holds it, is good here, and what would happen. Asks no network.

use serde_json::json;

use super::output;
use crate::apply;
use crate::cli::{self, Format};
use crate::decode::document::jinja::Variables;
use crate::decode::document::no_fetch;
use crate::decode::kubeadm::expiry;
use crate::decode::{self, Bootstrap, Decoded};
use crate::io::{live, now};
use crate::model::instance::Instance;
use crate::model::plan::Plan;
use crate::model::problem::{Failure, Severity, Stage};
use crate::plan;
use crate::platform::{self, PLATFORMS};

pub fn run(input: &cli::Input) -> Result<u8, Failure> {
    let decoded = read(live::input(&input.file).map_err(|e| platform::failure(Stage::Usage, e))?);
    let code = if decoded.failed() { Stage::Decode.exit_code() } else { 0 };
    // A node that knows nothing but its data.
    let plan = if code == 0 { plan::node(&decoded.config, &Instance::default()) } else { Plan::default() };
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
    decoded.problems.extend(platform::too_large_for(PLATFORMS, data.len()));
    decoded
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
