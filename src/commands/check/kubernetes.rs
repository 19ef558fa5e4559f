// SPDX-License-Identifier: Apache-2.0
//! The YAML in files that kubeadm and the kubelet read on a node.

use super::places::Places;
use super::rules::content;
use crate::decode::capi::{self, documents};
use crate::decode::kubeadm::reads::Reads;
use crate::decode::syntax::yaml::{self, Node};
use crate::model::problem::{Pos, Problem};
use crate::model::storage::File;

/// A text with a variable of the same length for each `{{ name }}`, which kubeadm-prepare fills in on the machine.
fn opened(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}").filter(|(name, _)| !name.contains('\n')) else {
            break;
        };
        out += &format!("{before}${{{}}}", "_".repeat(name.chars().count() + 1));
        rest = after;
    }
    out + rest
}

/// The YAML in a file that Kubernetes reads.
pub fn documents_in(file: &File, reads: &Reads, places: &Places<'_>, found: &mut Vec<Problem>) {
    let Ok(text) = std::str::from_utf8(file.content.expose()) else { return };
    if file.append || !reads.yaml(&file.path) {
        return;
    }
    let text = &opened(text);
    let place = content(file);
    let made = places.origin.is_made(&place);
    let of_kubeadm = text.contains("kubeadm.k8s.io/");
    for (first, document) in documents(text, !of_kubeadm) {
        let problems = match yaml::parse(document) {
            Ok(_) if made => Vec::new(),
            Ok(tree) => manifest(&file.path, &tree)
                .into_iter()
                .chain(capi::in_kubeadm_config(reads.configuration(&file.path), &tree))
                .collect(),
            Err(problem) => {
                let second = documents(document, true).nth(1).filter(|_| of_kubeadm);
                let problem = second.map_or(problem, |(above, _)| {
                    Problem::error("", "a second document begins here, and kubeadm reads one")
                        .at(Pos { line: above + 1, column: 1 })
                        .cure("put `---` alone on a line of its own before it")
                });
                vec![problem.code("yaml/in-file")]
            }
        };
        for problem in problems {
            let within = inside(document, problem.pos.unwrap_or_default());
            let detail =
                if problem.place.is_empty() { String::new() } else { format!(" ({})", problem.place) };
            let problem = Problem { place: place.clone(), pos: None, ..problem };
            let problem = places.line(problem, first + within.line, within.column);
            found.push(Problem { place: format!("{}{detail}", problem.place), ..problem });
        }
    }
}

/// A position within a text: what is not closed is missed at its end, which in the author's text is the beginning of something else.
fn inside(text: &str, pos: Pos) -> Pos {
    match text.lines().enumerate().last() {
        Some((last, line)) if pos.line > last + 1 => {
            Pos { line: last + 1, column: line.chars().count().max(1) }
        }
        _ => Pos { line: pos.line.max(1), column: pos.column.max(1) },
    }
}

/// What a static pod's manifest lacks.
fn manifest(path: &str, tree: &Node) -> Option<Problem> {
    let is_pod = path.starts_with("/etc/kubernetes/manifests/");
    let lacks = |key: &str| tree.get(key).and_then(Node::text).is_none();
    if !is_pod || tree.is_null() || !["apiVersion", "kind"].iter().any(|key| lacks(key)) {
        return None;
    }
    let problem =
        Problem::error("", "the kubelet reads this as a static pod, and it has no `apiVersion` or no `kind`");
    let cure = "begin with `apiVersion: v1` and `kind: Pod`, or put the file elsewhere";
    Some(problem.at(tree.pos).cure(cure).code("yaml/in-file"))
}
