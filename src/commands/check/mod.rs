// SPDX-License-Identifier: Apache-2.0
//! `check`: whether bootstrap data, or the objects that Cluster API makes it of, are good, and what would happen. Asks no
//! network, and runs nothing of the data.

mod annotations;
mod codes;
mod flatcar;
mod kubernetes;
mod network;
mod places;
mod report;
mod rules;
mod shell;
mod units;
mod verdict;

use std::borrow::Cow;
use std::collections::HashMap;

use super::output;
use crate::cli::{self, CheckFormat, Telling};
use crate::decode::document::jinja::Variables;
use crate::decode::syntax::words;
use crate::decode::{capi, policy};
use crate::io::live;
use crate::model::config::NodeConfig;
use crate::model::facts::Os;
use crate::model::instance::Instance;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::problem::{Failure, In as _, Pos, Problem, Severity, Stage};
use crate::platform::{self, PLATFORMS, Platform};

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
    /// The findings of each place, while they are told.
    told: HashMap<String, Vec<usize>>,
    nodes: Vec<Node>,
    files: usize,
    /// How many of the files are network configurations.
    networks: usize,
    /// Whether warnings were taken for errors.
    strict: bool,
    /// The texts of the files, where their lines are to be shown, and those that stand in them decoded, with their places.
    texts: Vec<(String, Option<Pos>, String)>,
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
            // An object's own error stands for that of the data that is made of it.
            let error = |p: &Problem| p.is_error() && p.pos.is_some();
            let told = error(&f.problem) && error(&finding.problem) && f.problem.pos == finding.problem.pos;
            // A variable without its end is what the shell stumbles over, too.
            let follows = f.problem.code == "object/variable" && finding.problem.code == "script/syntax";
            same && (told || follows || f.problem == finding.problem)
        };
        let at_place = self.told.entry(finding.problem.place.clone()).or_default();
        if finding.object.is_empty() || !at_place.iter().any(|at| same(&self.findings[*at])) {
            at_place.push(self.findings.len());
            self.findings.push(finding);
        }
    }
}

/// What is known of the machines that get the data.
pub struct Machine {
    /// Their platform, where it is named.
    platform: Option<&'static Platform>,
    /// One of them, where its metadata is given.
    instance: Option<Instance>,
    /// What templates see.
    variables: Variables,
}

impl Machine {
    fn of(args: &cli::Check) -> Result<Self, Failure> {
        let platform = args.platform.as_deref().map(|name| Platform::named(PLATFORMS, name));
        let platform = platform.transpose().stage(Stage::Usage)?;
        let Some(file) = &args.metadata else {
            return Ok(Self {
                platform,
                instance: None,
                variables: Variables::assumed_on(platform.map_or("none", |p| p.id)),
            });
        };
        let bytes = live::input(file).map_err(|e| platform::failure(Stage::Usage, e))?;
        let instance = platform::metadata(&file.display().to_string(), &bytes)?;
        let instance = Instance { platform: platform.map_or(instance.platform, |p| p.id), ..instance };
        let variables = Variables::of(&instance, &Os { id: "flatcar".to_owned(), ..Os::default() });
        Ok(Self { platform, instance: Some(instance), variables })
    }
}

/// Checks the files that the arguments name.
///
/// # Errors
/// A file can't be read, or the arguments name what there is not.
pub fn run(args: &cli::Check, telling: Telling) -> Result<u8, Failure> {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    let machine = Machine::of(args)?;
    let mut checked = Checked { strict: args.strict, ..Checked::default() };
    if let (Some(file), Some(instance)) = (&args.metadata, &machine.instance) {
        network::of_metadata(&file.display().to_string(), instance, &mut checked);
    }
    for path in &args.files {
        let inputs = live::inputs(path).map_err(|e| platform::failure(Stage::Usage, e))?;
        for (name, bytes) in inputs {
            if args.show_values {
                checked.texts.push((name.clone(), None, String::from_utf8_lossy(&bytes).into_owned()));
            }
            file(&name, bytes, name == path.display().to_string(), &machine, &mut checked);
        }
    }
    checked.findings.iter_mut().for_each(|f| codes::classify(&mut f.problem));
    checked.sort();
    if args.strict {
        let findings = checked.findings.iter_mut().map(|f| &mut f.problem);
        findings.filter(|p| p.severity == Severity::Warning).for_each(|p| p.severity = Severity::Error);
    }
    if telling.quiet {
        checked.findings.retain(|f| f.problem.severity > Severity::Note);
    }
    match args.format {
        CheckFormat::Json => output::json(&report::json(&checked)),
        CheckFormat::Sarif => output::json(&annotations::sarif(&checked)),
        CheckFormat::Github => output::text(&annotations::github(&checked)),
        CheckFormat::Text => output::prose(&report::text(&checked, telling)),
    }
    Ok(if checked.failed() { Stage::Decode.exit_code() } else { 0 })
}

/// What a code means, and what to do.
fn explain(name: &str) -> Result<u8, Failure> {
    let known = codes::all();
    let Some(code) = known.iter().find(|code| code.name == name) else {
        let names = known.iter().map(|code| code.name.as_str());
        let kind = name.split_once('/').map_or(name, |(kind, _)| kind);
        let of_kind: Vec<&str> =
            names.clone().filter(|name| name.split_once('/').is_some_and(|(k, _)| k == kind)).collect();
        let cure = match words::meant(name, names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if of_kind.is_empty() => "the codes are in docs/check.md and docs/diagnosis.md".to_owned(),
            None => format!("one of {}", of_kind.join(", ")),
        };
        return Err(Problem::error("", format!("{name:?} is not a code")).cure(cure)).stage(Stage::Usage);
    };
    output::prose(&format!("{}\n\n{}\n\n{}\n", code.name, code.means, code.cure));
    Ok(0)
}

/// The name of a policy's file, which may have no key that is known.
const OWN_POLICY: &str = "footplate.yaml";

/// Checks all that a file has. `lone` is a file that was named by itself: one that has nothing is an error.
fn file(name: &str, bytes: Vec<u8>, lone: bool, machine: &Machine, checked: &mut Checked) {
    let text = std::str::from_utf8(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), Cow::Borrowed);
    if name.rsplit('/').next() == Some(OWN_POLICY) || policy::is_policy(&text) {
        checked.files += 1;
        for problem in policy::read(&text, &mut Policy::default()) {
            checked.tell(Finding { file: name.to_owned(), object: String::new(), problem, anchor: None });
        }
        return;
    }
    if network::file(name, &text, checked) {
        checked.files += 1;
        return;
    }
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
        verdict::node(name, node, machine, checked);
    }
}
