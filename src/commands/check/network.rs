// SPDX-License-Identifier: Apache-2.0
//! `check` of network configurations: of a file that is one, and of that in a machine's metadata.

use std::borrow::Cow;

use super::{Checked, Finding};
use crate::decode::network::{is_config, is_netplan, parse};
use crate::decode::syntax::yaml;
use crate::model::instance::Instance;
use crate::model::network::NetworkConfig;
use crate::model::problem::{Problem, Severity};
use crate::plan::network::{Rendered, render};

/// The code of a network that leads nowhere.
pub(super) const NO_GATEWAY: &str = "network/no-gateway";

/// Checks a file that is a network configuration and nothing else; says whether it is one.
pub(super) fn file(name: &str, text: &str, checked: &mut Checked) -> bool {
    // Those of Cluster API and those with a header are something else, and may be large.
    if text.starts_with('#') && text.contains("cloud-config") || text.contains("apiVersion") {
        return false;
    }
    match yaml::parse(text) {
        Ok(node) => {
            let has = |key: &str| node.get(key).is_some();
            let is = match node.get("network").filter(|inner| inner.is_map()) {
                Some(_) => is_config(&node),
                None => {
                    has("version") && (has("config") || is_netplan(&node)) || has("links") && has("networks")
                }
            };
            if !is {
                return false;
            }
            let (config, problems) = parse(&node);
            tell(name, problems, Some(&config), checked);
        }
        // What can't be read is a network by its own level.
        Err(problem) if text.lines().any(|line| line.trim_end() == "network:") => {
            tell(name, vec![problem], None, checked);
        }
        Err(_) => return false,
    }
    checked.networks += 1;
    true
}

/// Checks the network of a machine's metadata, and tells what else was found there.
pub(super) fn of_metadata(name: &str, instance: &Instance, checked: &mut Checked) {
    tell(name, instance.problems.clone(), instance.network.as_ref(), checked);
}

fn tell(name: &str, mut problems: Vec<Problem>, config: Option<&NetworkConfig>, checked: &mut Checked) {
    if let Some(config) = config {
        let rendered = render(config, &[]);
        problems.extend(without_gateway(&rendered));
        problems.extend(rendered.problems);
    }
    for mut problem in problems {
        if problem.is_nearly_known() {
            problem.severity = Severity::Error;
        }
        checked.tell(Finding { file: name.to_owned(), object: String::new(), problem, anchor: None });
    }
}

/// A warning where a network gives a static address and no gateway.
fn without_gateway(rendered: &Rendered) -> Option<Problem> {
    let files = rendered.files.iter().filter(|file| file.path.ends_with(".network"));
    let file = stranded(files.map(|file| (file, file.contents.as_str().into())))?;
    let interface = rendered.interfaces.iter().find(|interface| file.is_for(&interface.id))?;
    let what = "a static address, and no interface has a gateway: the node reaches its own subnet only";
    let problem = Problem::warning(&interface.place, what);
    let cure = "add a route to `default`, or `gateway4` or `gateway6`";
    Some(Problem { pos: interface.pos, ..problem }.cure(cure).code(NO_GATEWAY))
}

/// Of networkd's files the first that gives a static address of a subnet, where none of them leads out of it: not by a gateway, by a
/// default route, by DHCP or by a router's advertisements, which an interface with an address of IPv6 takes by itself.
pub(super) fn stranded<'a, T>(files: impl Iterator<Item = (T, Cow<'a, str>)>) -> Option<T> {
    let mut fixed = None;
    for (file, text) in files {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let (mut address, mut address6, mut advertised) = (false, false, true);
        for (key, value) in lines.map(|(key, value)| (key.trim(), value.trim())) {
            let no = matches!(value, "no" | "false" | "off" | "0");
            match key {
                "Gateway" => return None,
                "DHCP" if !no => return None,
                "Destination" if value.ends_with("/0") => return None,
                "IPv6AcceptRA" if no => advertised = false,
                // A service's own address has no subnet.
                "Address" if value.contains(':') => {
                    address6 |= !value.starts_with("fe80:") && !value.ends_with("/128")
                }
                "Address" => {
                    address |=
                        value.contains('/') && !value.starts_with("169.254.") && !value.ends_with("/32")
                }
                _ => {}
            }
        }
        if address6 && advertised {
            return None;
        }
        if address || address6 {
            fixed = fixed.or(Some(file));
        }
    }
    fixed
}
