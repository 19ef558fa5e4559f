// SPDX-License-Identifier: Apache-2.0
//! `check`: whether bootstrap data, or the objects that Cluster API makes it of, are good, and what would happen. Asks no
//! network, and runs nothing of the data.

mod flatcar;
mod places;
mod report;
mod rules;
mod shell;
mod verdict;

use super::output;
use crate::cli::{self, Format};
use crate::decode::capi;
use crate::io::live;
use crate::model::config::NodeConfig;
use crate::model::plan::Plan;
use crate::model::problem::{Failure, Pos, Problem, Severity, Stage};
use crate::platform;

/// Something that was found in a file.
pub struct Finding {
    /// The file's name.
    file: String,
    /// The object that it is about, `KubeadmControlPlane prod`; empty for bootstrap data by itself.
    object: String,
    /// What was found, in the author's terms.
    problem: Problem,
    /// Where the data stands in the file, if the problem's position is one in the data itself.
    anchor: Option<Pos>,
}

/// A node that was rendered and tried.
pub struct Node {
    file: String,
    object: String,
    role: &'static str,
    config: NodeConfig,
    /// What would be made; empty where an error stops the node.
    plan: Plan,
    good: bool,
}

/// All that `check` has to say.
#[derive(Default)]
pub struct Checked {
    findings: Vec<Finding>,
    nodes: Vec<Node>,
    files: usize,
}

impl Checked {
    fn failed(&self) -> bool {
        self.findings.iter().any(|f| f.problem.is_error())
    }

    /// Brings the findings of each object in the order of its lines.
    fn sort(&mut self) {
        let mut objects: Vec<(String, String)> = Vec::new();
        for Finding { file, object, .. } in &self.findings {
            if !objects.iter().any(|(f, o)| f == file && o == object) {
                objects.push((file.clone(), object.clone()));
            }
        }
        let rank =
            |f: &Finding| objects.iter().position(|(file, object)| *file == f.file && *object == f.object);
        self.findings.sort_by_cached_key(|f| (rank(f), f.problem.pos));
    }

    /// Adds a finding, unless another node of the object has it too.
    fn tell(&mut self, finding: Finding) {
        let same = |f: &Finding| {
            let same = f.file == finding.file && f.object == finding.object;
            same && f.problem == finding.problem
        };
        if finding.object.is_empty() || !self.findings.iter().any(same) {
            self.findings.push(finding);
        }
    }
}

/// Checks the files that the arguments name.
///
/// # Errors
/// A file can't be read.
pub fn run(args: &cli::Check) -> Result<u8, Failure> {
    let mut checked = Checked::default();
    for path in &args.files {
        let inputs = live::inputs(path).map_err(|e| platform::failure(Stage::Usage, e))?;
        for (name, bytes) in inputs {
            file(&name, bytes, name == path.display().to_string(), &mut checked);
        }
    }
    checked.sort();
    if args.strict {
        let findings = checked.findings.iter_mut().map(|f| &mut f.problem);
        findings.filter(|p| p.severity == Severity::Warning).for_each(|p| p.severity = Severity::Error);
    }
    match args.format {
        Format::Json => output::json(&report::json(&checked)),
        Format::Text => output::text(&report::text(&checked)),
    }
    Ok(if checked.failed() { Stage::Decode.exit_code() } else { 0 })
}

/// Checks all that a file has. `lone` is a file that was named by itself: one that has nothing is an error.
fn file(name: &str, bytes: Vec<u8>, lone: bool, checked: &mut Checked) {
    let found = capi::read(bytes);
    let plain = |node: &capi::Bootstrap| node.object.is_empty() && node.role.is_empty();
    if !lone && found.nodes.iter().any(|n| plain(n) && !verdict::is_bootstrap(&n.data)) {
        return;
    }
    checked.files += 1;
    for (object, problem) in found.problems {
        checked.tell(Finding { file: name.to_owned(), object, problem, anchor: None });
    }
    for node in found.nodes {
        verdict::node(name, node, checked);
    }
}
