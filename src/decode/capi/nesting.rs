// SPDX-License-Identifier: Apache-2.0
//! What nodes are made of, at another place of an object than its own.

use super::kinds::Kind;
use super::schema;
use crate::decode::sites::find;
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::problem::{Pos, Problem};

/// Key paths where people put what nodes are made of.
const NESTED: &[&str] = &[
    "spec.kubeadmConfig",
    "spec.kubeadmConfigSpec",
    "spec.spec",
    "spec.template",
    "spec.template.kubeadmConfigSpec",
    "spec.template.spec",
    "spec.template.spec.kubeadmConfig",
    "spec.template.spec.kubeadmConfigSpec",
    "spec.template.spec.spec",
];

/// Where the keys of `root` stand, if not at the object's own place and not above it.
pub(super) fn elsewhere<'n>(node: &'n Node, place: &str, root: &schema::Type) -> Option<(String, &'n Node)> {
    let has = |at: &str| {
        let keys =
            |n: &&Node| n.entries().any(|(key, _)| schema::is_key(root, key.text().unwrap_or_default()));
        find(node, at).filter(keys)
    };
    let other = |at: &&&str| **at != place && !place.starts_with(&format!("{at}."));
    let mut others = NESTED.iter().filter(other);
    has(place).is_none().then(|| others.find_map(|at| Some(((*at).to_owned(), has(at)?)))).flatten()
}

/// A config of which the author says nothing at all, which its provider fills in: no key stands on the way to its place but those of
/// the way.
pub(super) fn empty<'n>(node: &'n Node, kind: &Kind) -> Option<&'n Node> {
    static NOTHING: Node = Node { pos: Pos { line: 1, column: 1 }, value: Value::Map(Vec::new()) };
    let of_config = kind.name.ends_with("Config") || kind.name.ends_with("ConfigTemplate");
    let (mut at, mut way) = (node, kind.place.split('.'));
    while let Some(below) = way.next().and_then(|key| at.get(key)).filter(|below| !below.is_null()) {
        let passed =
            below.entries().all(|(key, _)| matches!(key.text(), Some("template" | "spec" | "metadata")));
        at = below.is_map().then_some(below).filter(|_| passed)?;
    }
    of_config.then_some(&NOTHING)
}

/// Keys that stand above a KubeadmConfigSpec and belong into it.
pub(super) fn above(node: &Node, place: &str, problems: &mut Vec<Problem>) {
    let parents = place.match_indices('.').map(|(at, _)| &place[..at]);
    for parent in std::iter::once("").chain(parents) {
        let at = if parent.is_empty() { Some(node) } else { find(node, parent) };
        for (key, _) in at.into_iter().flat_map(Node::entries) {
            let name = key.text().unwrap_or_default();
            if schema::is_key(&schema::SPEC, name) {
                let here = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
                let problem = Problem::error(here, "Cluster API does not have this key here").at(key.pos);
                problems.push(problem.cure(format!("it belongs below `{place}`")).code("object/unknown-key"));
            }
        }
    }
}
