// SPDX-License-Identifier: Apache-2.0
//! One config laid over another.
//!
//! 3.x [merges](https://coreos.github.io/ignition/operator-notes/#config-merging): what the child says wins, lists are
//! joined by what names their entries, and a path is a file, a directory or a link, whichever the child says. 2.x
//! appends lists.

use super::schema::list_key;
use crate::decode::syntax::yaml::{Node, Value};

/// The lists that share their paths.
const NODES: [&str; 3] = ["directories", "files", "links"];

/// The child laid over the parent.
pub(super) fn merge(parent: &Node, child: &Node, keyed: bool) -> Node {
    let mut parent = parent.clone();
    if keyed {
        give_way(&mut parent, child);
    }
    value("", &parent, child, keyed)
}

/// Takes out of the parent the nodes whose path is of another kind in the child.
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
            // A header without a value takes the header back.
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

/// What tells an entry of that list from the others; `None` where entries are only added.
fn name_of<'a>(list: &str, node: &'a Node) -> Option<&'a str> {
    if node.scalar().is_some() {
        // Groups of a user, keys, hosts: values that need not stand twice. Arguments of programs may.
        let values = ["groups", "noProxy", "sshAuthorizedKeys", "shouldExist", "shouldNotExist"];
        return if values.contains(&list) { node.text() } else { None };
    }
    match list {
        // A partition without a number is known by its label.
        "partitions" => {
            let number = node.get("number").and_then(Node::text).filter(|n| *n != "0");
            number.or_else(|| node.get("label").and_then(Node::text))
        }
        _ => node.get(list_key(list)?).and_then(Node::text),
    }
}
