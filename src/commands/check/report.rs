// SPDX-License-Identifier: Apache-2.0
//! What was found, for people and for programs.

use serde_json::{Value, json};

use super::super::{item, output};
use super::{Checked, Finding, Node};
use crate::apply;
use crate::cli::Telling;
use crate::io::live;
use crate::model::problem::Severity;

impl Node {
    /// What it is called: the object and what its node does.
    fn name(&self) -> String {
        match (self.object.as_str(), self.role) {
            ("", _) => self.file.clone(),
            (object, "") => object.to_owned(),
            (object, role) => format!("{object} ({role})"),
        }
    }

    fn json(&self) -> Value {
        let outline = apply::outline(&self.plan);
        let items = self.plan.items.iter().zip(&outline);
        let items = items.map(|(item, (what, detail))| item::json(item, "create", what, detail));
        json!({
            "file": self.file,
            "object": self.object,
            "role": self.role,
            "ok": self.good,
            "files": self.config.files.iter().map(|f| &f.path).collect::<Vec<_>>(),
            "users": self.config.users.iter().map(|u| &u.name).collect::<Vec<_>>(),
            "commands": self.config.runcmd.len(),
            "items": items.collect::<Vec<_>>(),
            "start": self.plan.bootstrap.as_ref().map(|b| &b.unit),
        })
    }

    /// What would be made, a line each.
    fn outline(&self) -> String {
        let items = apply::outline(&self.plan);
        let width = output::width(items.iter().map(|(what, _)| what.as_str()));
        let mut out = String::new();
        for (what, detail) in &items {
            out += format!("+ {what:width$}  {detail}").trim_end();
            out.push('\n');
        }
        if let Some(bootstrap) = &self.plan.bootstrap {
            out += &format!("> start {}\n", bootstrap.unit);
        }
        out
    }
}

fn finding(finding: &Finding) -> Value {
    let mut value = json!({ "file": finding.file, "object": finding.object });
    let problem = serde_json::to_value(&finding.problem).unwrap_or_default();
    if let (Value::Object(value), Value::Object(problem)) = (&mut value, problem) {
        value.extend(problem);
        // Line and column are then those of the data.
        if let Some(anchor) = finding.anchor {
            value.insert("container".to_owned(), json!(anchor));
        }
    }
    value
}

/// All of it, for programs. Where there is one node, its fields stand at the top too.
pub fn json(checked: &Checked) -> Value {
    let nodes: Vec<Value> = checked.nodes.iter().map(Node::json).collect();
    let mut top = match &nodes[..] {
        [one] => one.clone(),
        _ => json!({ "files": [], "users": [], "commands": 0, "items": [], "start": null }),
    };
    top["ok"] = json!(!checked.failed());
    top["findings"] = checked.findings.iter().map(finding).collect();
    top["nodes"] = Value::Array(nodes);
    top
}

/// All of it, for people: the findings by file and object, then the verdict on each node.
pub fn text(checked: &Checked, telling: Telling) -> String {
    let mut out = String::new();
    let lone = matches!(&checked.nodes[..], [node] if node.role.is_empty()
        // What is found in the machine's metadata has that file's name above it.
        && checked.findings.iter().all(|finding| finding.file == node.file));
    let (mut told, several) = (None, checked.files > 1);
    for finding in &checked.findings {
        let Finding { file, object, .. } = finding;
        if !lone && told != Some((file, object)) {
            let name =
                if several || object.is_empty() { format!("{file}: {object}") } else { object.clone() };
            out += &format!("{}\n", name.trim_end_matches([':', ' ']));
            told = Some((file, object));
        }
        out += &words(finding, checked);
    }
    if telling.quiet {
        return out;
    }
    if let ([node], true) = (&checked.nodes[..], lone) {
        return out + &node.outline() + &verdict(node, "", checked);
    }
    for node in &checked.nodes {
        let file =
            if several && !node.object.is_empty() { format!("{}: ", node.file) } else { String::new() };
        if telling.verbose {
            out += &node.outline();
        }
        out += &verdict(node, &format!("{file}{}: ", node.name()), checked);
    }
    match (checked.nodes.is_empty(), checked.failed()) {
        (true, true) => out + "not good\n",
        (true, false) if checked.networks > 0 => out + "good: a network configuration\n",
        (true, false) => out + "nothing was found that makes bootstrap data\n",
        _ => out,
    }
}

/// A finding: what, where, what to do, and its code.
fn words(finding: &Finding, checked: &Checked) -> String {
    let Finding { file, problem, anchor, .. } = finding;
    let (level, colour) = match problem.severity {
        Severity::Note => ("note", live::BLUE),
        Severity::Warning => ("warning", live::AMBER),
        Severity::Error => ("error", live::RED),
    };
    let mut told = problem.to_string();
    if anchor.is_some() && problem.pos.is_some() {
        told.insert_str(told.len() - 1, " of the decoded data");
    }
    let mut out = format!("{}: {told}\n", output::coloured(level, colour));
    let text = checked.texts.iter().find(|(name, at, _)| (name, at) == (file, anchor)).map(|(.., text)| text);
    let line = problem.pos.and_then(|pos| Some((pos, text?.lines().nth(pos.line.checked_sub(1)?)?)));
    if let Some((pos, line)) = line {
        let (line, column) = window(line, pos.column);
        out += &format!("{:>5} | {line}\n      | {:>2$}\n", pos.line, "^", column);
    }
    if let Some(cure) = &problem.cure {
        out += &format!(" hint: {cure}\n");
    }
    out + &format!(" code: {}\n", problem.code)
}

/// The part of a line around a column that fits on a terminal, and the column in it.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 72;
    let first = if line.chars().count() <= WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
    let shown = line.chars().skip(first).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (shown, column - first)
}

/// The verdict on a node.
fn verdict(node: &Node, name: &str, checked: &Checked) -> String {
    let wrong = |f: &&Finding| f.problem.is_error() && f.file == node.file && f.object == node.object;
    match checked.findings.iter().find(wrong) {
        None => format!("{}: {name}{}\n", output::coloured("good", live::GREEN), node.config.summary()),
        Some(_) => {
            let why = match checked.strict && node.good {
                true => "the node would start, and a warning counts as an error here",
                false => "the node would stop before its bootstrap",
            };
            format!("{}: {name}{why}\n", output::coloured("not good", live::RED))
        }
    }
}
