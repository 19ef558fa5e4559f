// SPDX-License-Identifier: Apache-2.0
//! Merges a child config into its parent.
//!
//! 3.x [merges](https://coreos.github.io/ignition/operator-notes/#config-merging): the child's values win, entries of
//! lists are matched by their key, and if both give one path as different kinds of node, the child's kind wins. 2.x appends
//! lists.

use super::schema::list_key;
use crate::decode::syntax::yaml::{Node, Value};

/// The lists whose entries share one set of paths.
const NODES: [&str; 3] = ["directories", "files", "links"];

/// The parent with the child merged into it. `keyed` matches entries of lists by their keys, as 3.x does.
pub(super) fn merge(parent: &Node, child: &Node, keyed: bool) -> Node {
    let mut parent = parent.clone();
    if keyed {
        give_way(&mut parent, child);
    }
    value("", &parent, child, keyed)
}

/// Removes from the parent the nodes whose path is another kind of node in the child.
fn give_way(parent: &mut Node, child: &Node) {
    let paths = |list: &str| -> Vec<&str> {
        let items = child.get("storage").and_then(|s| s.get(list)).and_then(Node::list);
        items.unwrap_or_default().iter().filter_map(|n| n.get("path")?.text()).collect()
    };
    let Value::Map(sections) = &mut parent.value else { return };
    let Some((_, storage)) = sections.iter_mut().find(|(k, _)| k.text() == Some("storage")) else { return };
    let Value::Map(lists) = &mut storage.value else { return };
    for (key, list) in lists {
        let (Some(name), Value::List(items)) = (key.text(), &mut list.value) else { continue };
        if !NODES.contains(&name) {
            continue;
        }
        let taken: Vec<&str> = NODES.iter().filter(|n| **n != name).flat_map(|n| paths(n)).collect();
        items.retain(|i| i.get("path").and_then(Node::text).is_none_or(|p| !taken.contains(&p)));
    }
}

fn value(name: &str, parent: &Node, child: &Node, keyed: bool) -> Node {
    let value = match (&parent.value, &child.value) {
        (Value::Map(old), Value::Map(new)) => {
            let mut entries = old.clone();
            for (key, node) in new {
                match entries.iter_mut().find(|(k, _)| k.text() == key.text()) {
                    Some((k, have)) => *have = self::value(k.text().unwrap_or_default(), have, node, keyed),
                    None => entries.push((key.clone(), node.clone())),
                }
            }
            Value::Map(entries)
        }
        (Value::List(old), Value::List(new)) => Value::List(list(name, old, new, keyed)),
        (_, new) => new.clone(),
    };
    Node { pos: child.pos, value }
}

fn list(name: &str, old: &[Node], new: &[Node], keyed: bool) -> Vec<Node> {
    let mut items = old.to_vec();
    for node in new {
        let same = |have: &Node| match (name_of(name, have), name_of(name, node)) {
            (Some(a), Some(b)) => keyed && a == b,
            _ => false,
        };
        match items.iter_mut().find(|i| same(i)) {
            // A header without a value removes the parent's header.
            Some(have) if name == "httpHeaders" && node.get("value").is_none() => {
                let have = have.clone();
                items.retain(|i| *i != have);
            }
            Some(have) => *have = value("", have, node, keyed),
            None => items.push(node.clone()),
        }
    }
    items
}

/// The key of a list's entry, by which it is matched; `None` if entries of this list are only added.
fn name_of<'a>(list: &str, node: &'a Node) -> Option<&'a str> {
    if node.scalar().is_some() {
        // Groups of a user, keys, hosts are sets. Arguments of programs may repeat.
        let values = ["groups", "noProxy", "sshAuthorizedKeys", "shouldExist", "shouldNotExist"];
        return if values.contains(&list) { node.text() } else { None };
    }
    match list {
        // The key of a partition without a number is its label.
        "partitions" => {
            let number = node.get("number").and_then(Node::text).filter(|n| *n != "0");
            number.or_else(|| node.get("label").and_then(Node::text))
        }
        _ => node.get(list_key(list)?).and_then(Node::text),
    }
}
