// SPDX-License-Identifier: Apache-2.0
//! The status for monitoring: a file that Prometheus' node_exporter reads from its
//! [textfile directory](https://github.com/prometheus/node_exporter#textfile-collector), in the
//! [text format](https://prometheus.io/docs/instrumenting/exposition_formats/) of Prometheus. The image's policy names the directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::context::Context;
use crate::io::root::Ids;
use crate::model::status::{Progress, Status};

/// The file's name; node_exporter reads all that end so.
const FILE: &str = "footplate.prom";

/// Writes the file, where the policy wants it. What can't be written is a warning: a report never fails the boot.
pub fn put(context: &Context, status: &Status) {
    let Some(directory) = &context.policy.textfile else { return };
    let path = format!("{}/{FILE}", directory.trim_end_matches('/'));
    if let Err(error) = context.root.put(&path, text(status).as_bytes(), 0o644, Ids::ROOT) {
        log::warn!("report: {path} is not written: {error:#}");
    }
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, samples: &[(String, f64)]| {
        if !samples.is_empty() {
            let _ = writeln!(text, "# HELP footplate_{name} {help}\n# TYPE footplate_{name} gauge");
        }
        for (labels, value) in samples {
            let _ = writeln!(text, "footplate_{name}{{{labels}}} {value}");
        }
    };
    let states: Vec<_> = Progress::ALL
        .iter()
        .map(|state| (label("state", state.name()), f64::from(u8::from(*state == status.state))))
        .collect();
    metric("bootstrap_state", "1 for the state in which the bootstrap of this node is.", &states);
    let failed = status.failure().map(|failure| {
        let code = label("code", &status.code().unwrap_or_default());
        (format!("{code},{}", label("stage", failure.stage.name())), 1.0)
    });
    metric("bootstrap_failure", "1 for the failure that ended it.", failed.as_slice());
    // A stage may run twice: for boothooks, and for the rest.
    let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
    status.stages.iter().for_each(|stage| *stages.entry(&stage.name).or_default() += stage.ms);
    let stages: Vec<_> =
        stages.iter().map(|(name, ms)| (label("stage", name), *ms as f64 / 1000.0)).collect();
    metric("stage_seconds", "How long a stage of this boot took.", &stages);
    text
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
