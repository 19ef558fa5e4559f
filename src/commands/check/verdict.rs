// SPDX-License-Identifier: Apache-2.0
//! The verdict on a node's bootstrap data: what the decoder finds, and what would stop the node later.

use std::collections::{BTreeSet, HashMap};

use super::places::Places;
use super::rules;
use super::shell::Shell;
use super::{Checked, Finding, Machine, Node, flatcar};
use crate::apply;
use crate::decode::capi::Bootstrap;
use crate::decode::document::jinja::is_null_without;
use crate::decode::document::{self, no_fetch, unlabelled};
use crate::decode::kubeadm::{config_file, expiry};
use crate::decode::sites::Sites;
use crate::decode::syntax::{go, terraform, words};
use crate::decode::{self, Decoded};
use crate::io::now;
use crate::model::config::{NodeConfig, UnitSpec};
use crate::model::plan::Plan;
use crate::model::problem::{
    NO_TARGET, NOT_FETCHED, PACKAGE_MANAGER, Pos, Problem, READ_ONLY, Severity, any_error,
};
use crate::plan;
use crate::platform::{self, PLATFORMS};

/// Most words of a message that may begin or end a path.
const MOST_WORDS: usize = 32;

/// Whether data is of a kind that a node reads, by how it begins.
pub fn is_bootstrap(data: &[u8]) -> bool {
    let opened = document::envelope::open(data).unwrap_or_default();
    document::sniff(&opened).is_some_and(|kind| !matches!(kind, document::Kind::Refused(..)))
}

/// Decodes and tries the data of a node.
pub fn node(file: &str, bootstrap: Bootstrap, machine: &Machine, checked: &mut Checked) {
    let Bootstrap { object, role, data, origin, anchor, ours, elsewhere } = bootstrap;
    if anchor.is_some() && !checked.texts.is_empty() {
        let opened = document::envelope::open(&data).unwrap_or_default();
        checked.texts.push((file.to_owned(), anchor, String::from_utf8_lossy(&opened).into_owned()));
    }
    let mut decoded = decode::user_data(Some(&data), None, &machine.variables, &mut no_fetch);
    names(&mut decoded.problems, machine);
    on_the_way(&mut decoded.problems, &data, role.is_empty());
    decoded.problems.extend(expiry::problems(&decoded.config, now()));
    let places = Places::new(Sites::of(&data, &machine.variables), &origin);
    // What is fetched or written by an included part is not known here.
    let assumed = |p: &Problem| p.code == "template/assumed";
    let named = decoded.problems.iter().any(assumed) && places.know_paths(&decoded.config);
    let unknown = |p: &Problem| p.severity == Severity::Note && !(named && assumed(p));
    if !decoded.problems.iter().any(unknown) {
        let of_files = |p: &Problem| ["write_file", "storage."].iter().any(|list| p.place.starts_with(list));
        let unread = decoded.problems.iter().any(|p| p.is_error() && of_files(p));
        let text = document::envelope::open(&data).unwrap_or_default();
        let text = unread.then(|| String::from_utf8_lossy(&text));
        decoded.problems.extend(config_file::problems(&decoded.config, text.as_deref()));
        let severity = if ours { Severity::Error } else { Severity::Warning };
        let unused = config_file::unused(&decoded.config).filter(|_| !unread);
        decoded.problems.extend(unused.map(|p| Problem { severity, ..p }));
    }
    decoded.problems.extend(too_large(role, data.len(), machine));
    let plan = try_out(&mut decoded, machine, &places);
    let tried = !decoded.failed();
    let mut shell = Shell::new(&places);
    shell.node(&decoded.config);
    let mut problems: Vec<Problem> =
        decoded.problems.drain(..).map(|problem| within(problem, &places)).collect();
    problems.append(&mut shell.problems);
    problems.extend(rules::problems(&decoded.config, &places));
    if !problems.iter().any(|problem| ["template/go", "template/terraform"].contains(&&*problem.code)) {
        let unfilled = |text| go::unfilled(text).or_else(|| terraform::unfilled(text));
        problems.extend(places.sites.plain().and_then(unfilled).map(|problem| origin.locate(problem)));
    }
    // What is said of a whole file is said of its content.
    problems.retain(|p| p.severity != Severity::Warning || !elsewhere.contains(&p.place));
    // One of a node stands for what else is found there.
    let mut told = Vec::new();
    problems.retain(|p| {
        !is_doubt(p)
            || !told.contains(&p.pos) && {
                told.push(p.pos);
                true
            }
    });
    let open = problems.iter().any(may_start_something);
    let good = !any_error(&problems);
    if good && tried && !open && !starts_something(&decoded.config, &plan) {
        let problem = Problem::warning("", "the data starts no bootstrap: the machine joins no cluster");
        let severity = if ours { Severity::Error } else { Severity::Warning };
        problems.push(
            Problem { severity, ..problem }
                .cure("add the commands that start it to `runcmd`; in Ignition a unit that runs them")
                .code("bootstrap/none"),
        );
    }
    let good = !any_error(&problems);
    for problem in problems {
        checked.tell(Finding { file: file.to_owned(), object: object.clone(), problem, anchor });
    }
    let plan = if good { plan } else { Plan::default() };
    checked.nodes.push(Node { file: file.to_owned(), object, role, config: decoded.config, plan, good });
}

/// What a template leaves open.
fn is_doubt(problem: &Problem) -> bool {
    problem.code == "template/unknown"
}

/// Whether the bootstrap may be in what this says is not known here: the commands of a template, or data that the node fetches.
fn may_start_something(problem: &Problem) -> bool {
    let (place, what) = (problem.place.as_str(), problem.what.as_str());
    let commands = ["", "runcmd", "coreos"].contains(&place.split(['.', '[']).next().unwrap_or_default());
    is_doubt(problem) && !what.starts_with("jinja") && commands
        || problem.code == NOT_FETCHED && ["include ", "ignition.config."].iter().any(|w| place.contains(w))
}

/// A problem in the author's terms, at its own line where it is one of a text with lines.
fn within(problem: Problem, places: &Places<'_>) -> Problem {
    let Some(Pos { line, column }) = problem.within else { return places.entry(problem) };
    // A script is a part by itself.
    let place = Some(unlabelled(&problem.place)).filter(|place| !place.is_empty()).unwrap_or(&problem.place);
    let bare = Problem { place: place.to_owned(), pos: None, ..problem.clone() };
    let located = places.line(bare, line, column);
    if located.pos.is_some() { located } else { places.entry(problem) }
}

/// Names that the platform at hand may lack: they are more than a note then. A cloud tells where its machines are, and nothing is said of
/// the names that it always has.
fn names(problems: &mut Vec<Problem>, machine: &Machine) {
    let Some(platform) = machine.platform else { return };
    let named = |p: &Problem| {
        let name = p.what.split('`').nth(1).unwrap_or_default();
        let own = name.strip_prefix("ds.").is_some_and(|name| platform.names.contains(&name));
        own || platform.network.is_some() && is_null_without(name)
    };
    problems.retain(|p| p.code != "template/assumed" || !named(p));
    for problem in problems.iter_mut().filter(|p| p.code == "template/assumed") {
        problem.severity = Severity::Warning;
        problem.what =
            problem.what.replace("not every platform has it", &format!("{} may lack it", platform.name));
        problem.cure =
            Some("`--metadata FILE` with a machine's own values says whether it is there".to_owned());
    }
}

/// What else is to be done about a value that changes on its way to the node: Cluster API puts texts in quotes, and those within them are
/// written otherwise then; and `plain` data may be another program's template.
fn on_the_way(problems: &mut [Problem], data: &[u8], plain: bool) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().collect();
    // Where the characters of a line begin: JSON may have thousands of errors in one.
    let mut line = (0, Vec::new());
    for problem in problems.iter_mut().filter(|p| p.is_error()) {
        let Some(pos) = problem.pos.filter(|_| plain || problem.code == "template/syntax") else { continue };
        let text = lines.get(pos.line.saturating_sub(1)).copied().unwrap_or_default();
        if line.0 != pos.line {
            line = (pos.line, text.char_indices().map(|(at, _)| at).collect());
        }
        let at = line.1.get(pos.column.saturating_sub(1)).copied().unwrap_or(text.len());
        let (before, at) = text.split_at(at);
        let tag = match plain {
            true => "",
            false => text[before.rfind("{{").unwrap_or(text.len())..].split("}}").next().unwrap_or_default(),
        };
        let cure = if tag.contains("''") {
            "write \"…\" for the texts in it, and '…' around the whole: Cluster API doubles ' in this value"
        } else if tag.contains("\\\"") {
            "write '…' for the texts in it: Cluster API puts a \\ before each \" of a command"
        } else if plain && at.trim_start_matches(['"', '\'']).starts_with("${") {
            "`${…}` is for another program, such as Terraform, and nothing on a node fills it in: check what that program makes"
        } else {
            continue;
        };
        problem.cure = Some(cure.to_owned());
    }
}

/// What does not fit through a platform: through the one at hand, or through any for data by itself. How a provider hands over
/// what Cluster API renders is the provider's, and on some platforms it hides large data elsewhere.
fn too_large(role: &str, bytes: usize, machine: &Machine) -> Vec<Problem> {
    let Some(chosen) = machine.platform else {
        return if role.is_empty() { platform::too_large_for(PLATFORMS, bytes) } else { Vec::new() };
    };
    let mut problems = platform::too_large_for(std::slice::from_ref(chosen), bytes);
    // What Cluster API renders is hidden there by its provider, as the cure says.
    let severity = match (chosen.hidden, role) {
        (None, _) => Severity::Error,
        (Some(_), "") => Severity::Warning,
        (Some(_), _) => Severity::Note,
    };
    problems.iter_mut().for_each(|problem| problem.severity = severity);
    problems
}

/// Whether anything of the data makes the machine a node: commands, scripts, or units of its own that start.
fn starts_something(config: &NodeConfig, plan: &Plan) -> bool {
    let unit =
        |u: &UnitSpec| u.enabled == Some(true) && (u.contents.is_some() || u.name == "kubeadm.service");
    plan.bootstrap.is_some() || !config.boot_scripts.is_empty() || config.units.iter().any(unit)
}

/// The plan of a node that knows nothing but its data, tried on an empty Flatcar: what would stop the node is an error.
fn try_out(decoded: &mut Decoded, machine: &Machine, places: &Places<'_>) -> Plan {
    let stops = |p: &Problem| [READ_ONLY, PACKAGE_MANAGER].contains(&&*p.code) || p.is_nearly_known();
    for problem in decoded.problems.iter_mut().filter(|p| stops(p)) {
        problem.severity = Severity::Error;
    }
    // A file that can't be written takes nothing from the rest, and what else is wrong nothing from files: but for accounts,
    // which may stand in what can't be read.
    let of_template = |p: &Problem| unlabelled(&p.place).is_empty() && p.code.starts_with("template/");
    let keyed = |p: &Problem| if of_template(p) { places.sites.keyed(p.clone()) } else { p.clone() };
    let errors: Vec<Problem> = decoded.problems.iter().filter(|p| p.is_error()).map(keyed).collect();
    if errors.iter().any(may_have_accounts) {
        return Plan::default();
    }
    let files_alone = !errors.iter().all(|p| on_a_file(&p.place));
    // What stands in place of a failed tag is no fault of the author's.
    let of_tags: BTreeSet<&str> =
        errors.iter().filter(|e| e.code.starts_with("template/")).map(|e| e.place.as_str()).collect();
    let follows = |p: &Problem| {
        of_tags.contains(p.place.as_str())
            || !of_tags.is_empty() && of_tags.contains(places.sites.own(p.clone()).place.as_str())
    };
    let plan = plan::node(&decoded.config, &machine.instance.clone().unwrap_or_default());
    match flatcar::root() {
        Ok(scratch) => {
            // What is not in an empty root, such as Flatcar's own units, is no finding.
            let level = log::max_level();
            log::set_max_level(log::LevelFilter::Error);
            let mut problems = apply::compare(&plan, scratch.root()).err().unwrap_or_default();
            for problem in problems.iter_mut().filter(|p| p.code == NO_TARGET) {
                problem.severity = Severity::Warning;
            }
            log::set_max_level(level);
            let files = decoded.config.files.iter().map(|f| (f.path.as_str(), f.place.as_str())).collect();
            let placed = problems.into_iter().map(|problem| of_an_entry(&files, problem));
            decoded.problems.extend(
                placed.filter(|p| (!files_alone || on_a_file(&p.place)) && !follows(p)).collect::<Vec<_>>(),
            );
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

/// Whether a place is one of a file, in whichever part of the data.
fn on_a_file(place: &str) -> bool {
    let place = unlabelled(place);
    ["write_files[", "storage.files["].iter().any(|list| place.starts_with(list))
}

/// Whether users or groups may stand in what an error takes away: they may be an entry of its key, or of all the data.
fn may_have_accounts(problem: &Problem) -> bool {
    let key = unlabelled(&problem.place).split(['.', '[', ' ']).next().unwrap_or_default();
    let of_a_program = problem.code == config_file::MISSING || problem.code.starts_with("program/");
    !of_a_program
        && (["", "ignition", "include", "passwd"].contains(&key)
            || words::meant(key, ["groups", "user", "users"]).is_some())
}

/// A problem of making a node as one of the entry of the data that asks for it: its words begin with the entry's place or with
/// the path of the file.
fn of_an_entry(files: &HashMap<&str, &str>, mut problem: Problem) -> Problem {
    if !problem.place.is_empty() {
        return problem;
    }
    let is_place = |text: &str| text.contains('[') && !text.contains(['/', ' ']);
    let split = problem.what.split_once(": ").filter(|(place, _)| is_place(place));
    if let Some((place, what)) = split {
        (problem.place, problem.what) = (place.to_owned(), what.to_owned());
        return problem;
    }
    let file = named(&problem.what).filter_map(|path| files.get(path).map(|place| (path.len(), place))).max();
    problem.place = file.map(|(_, place)| (*place).to_owned()).unwrap_or_default();
    problem
}

/// What may be a path in a message: it begins after a blank, and ends before one or a colon.
fn named(what: &str) -> impl Iterator<Item = &str> {
    let begins = what.match_indices('/').map(|(at, _)| at);
    let begins = begins.filter(|at| *at == 0 || what[..*at].ends_with(' ')).take(MOST_WORDS);
    begins.flat_map(move |at| {
        let rest = &what[at..];
        let ends = rest.match_indices([':', ' ']).map(|(end, _)| end).chain([rest.len()]).take(MOST_WORDS);
        ends.map(move |end| &rest[..end])
    })
}
