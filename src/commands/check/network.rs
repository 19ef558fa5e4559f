// SPDX-License-Identifier: Apache-2.0
//! `check` of network configurations: of a file that is one, and of that in a machine's metadata.

use super::{Checked, Finding};
use crate::decode::network::parse;
use crate::decode::syntax::yaml;
use crate::model::instance::Instance;
use crate::model::network::NetworkConfig;
use crate::model::problem::{NEARLY_KNOWN, Problem, Severity};
use crate::plan::network::render;

/// Keys of which one stands beside `version`.
const DEVICES: &[&str] = &["bonds", "bridges", "config", "ethernets", "tunnels", "vlans", "vrfs", "wifis"];

/// Checks a file that is a network configuration and nothing else; says whether it is one.
pub(super) fn file(name: &str, text: &str, checked: &mut Checked) -> bool {
    // Those of Cluster API and those with a header are something else, and may be large.
    if text.starts_with('#') && text.contains("cloud-config") || text.contains("apiVersion") {
        return false;
    }
    let Ok(node) = yaml::parse(text) else { return false };
    let inner = node.get("network").unwrap_or(&node);
    let has = |key: &str| inner.get(key).is_some();
    if !(has("version") && DEVICES.iter().any(|key| has(key)) || has("links") && has("networks")) {
        return false;
    }
    let (config, problems) = parse(&node);
    tell(name, problems, Some(&config), checked);
    checked.networks += 1;
    true
}

/// Checks the network of a machine's metadata, and tells what else was found there.
pub(super) fn of_metadata(name: &str, instance: &Instance, checked: &mut Checked) {
    tell(name, instance.problems.clone(), instance.network.as_ref(), checked);
}

fn tell(name: &str, mut problems: Vec<Problem>, config: Option<&NetworkConfig>, checked: &mut Checked) {
    problems.extend(config.map(|config| render(config, &[]).problems).unwrap_or_default());
    for mut problem in problems {
        if problem.code == NEARLY_KNOWN {
            problem.severity = Severity::Error;
        }
        checked.tell(Finding { file: name.to_owned(), object: String::new(), problem, anchor: None });
    }
}
