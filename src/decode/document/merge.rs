// SPDX-License-Identifier: Apache-2.0
//! Several cloud-configs made one, by [cloud-init's rules](https://docs.cloud-init.io/en/latest/reference/merging.html).
//!
//! Where cloud-init skips a part that it can't merge and boots on, this is an error.

use std::collections::{HashMap, HashSet};

use crate::decode::syntax::yaml::{Kind, Node, Scalar, Value};
use crate::model::problem::{Pos, Problem};

/// How trees are merged: for each type the first merger that knows it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mergers(Vec<Merger>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Merger {
    Map { replace: bool, delete: bool, deep: Deep },
    List { method: Method, deep: Deep },
    Str { append: bool },
}

/// What becomes of lists of which both have an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Append,
    Prepend,
    Replace,
    NoReplace,
}

/// The types below that are merged in their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Deep {
    map: bool,
    list: bool,
    str: bool,
}

impl Deep {
    fn of(&self, node: &Node) -> bool {
        match &node.value {
            Value::Map(_) => self.map,
            Value::List(_) => self.list,
            Value::Scalar(s) => self.str && s.kind == Kind::Str,
        }
    }
}

impl Merger {
    fn new(name: &str, options: &[String]) -> Option<Self> {
        let has = |option: &str| options.iter().any(|o| o == option);
        let deep = Deep {
            map: has("recurse_dict"),
            list: has("recurse_list") || has("recurse_array"),
            str: has("recurse_str"),
        };
        Some(match name {
            // cloud-init always goes down into mappings.
            "dict" => {
                let deep = Deep { map: true, ..deep };
                Self::Map { replace: has("replace"), delete: has("allow_delete"), deep }
            }
            "list" => {
                let method = match () {
                    () if has("append") => Method::Append,
                    () if has("prepend") => Method::Prepend,
                    () if has("replace") || !has("no_replace") => Method::Replace,
                    () => Method::NoReplace,
                };
                Self::List { method, deep }
            }
            "str" => Self::Str { append: has("append") },
            _ => return None,
        })
    }
}

/// Options that cloud-init knows; one that is not among them is mistyped.
const OPTIONS: &[&str] = &[
    "allow_delete",
    "append",
    "no_replace",
    "prepend",
    "recurse_array",
    "recurse_dict",
    "recurse_list",
    "recurse_str",
    "replace",
];

const HINT: &str = "for instance list(append)+dict(no_replace,recurse_list)+str()";

impl Mergers {
    /// What cloud-configs are merged by that say nothing of it: a key of a later one replaces that of an earlier one.
    pub fn of_parts() -> Self {
        let deep = Deep { map: true, ..Deep::default() };
        Self(vec![
            Merger::Map { replace: true, delete: false, deep },
            Merger::List { method: Method::Replace, deep: Deep::default() },
            Merger::Str { append: false },
        ])
    }

    /// What the vendor's config is merged into the user's by: what the user has stays, mappings are joined.
    pub fn of_vendor() -> Self {
        let deep = Deep { map: true, ..Deep::default() };
        Self(vec![Merger::Map { replace: false, delete: false, deep }])
    }

    /// What two say together: the second has its say on types that the first leaves out.
    pub fn first_of(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) => Some(Self([first.0, second.0].concat())),
            (first, second) => first.or(second),
        }
    }

    /// Reads `list(append)+dict(replace)`; `None` for an empty text.
    ///
    /// # Errors
    /// Says what of it is not known.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let mut mergers = Vec::new();
        for word in text.split('+') {
            let word = word.trim().to_ascii_lowercase().replace('-', "_");
            if word.is_empty() {
                continue;
            }
            let (name, options) = word
                .strip_suffix(')')
                .and_then(|w| w.split_once('('))
                .ok_or("takes names with options in parentheses")?;
            let options = options.split(',').map(|o| o.trim().to_owned()).filter(|o| !o.is_empty());
            mergers.push(merger(name, &options.collect::<Vec<_>>())?);
        }
        Ok((!mergers.is_empty()).then_some(Self(mergers)))
    }

    /// Takes `merge_how` or `merge_type` out of a cloud-config: a string, or a list of names with their settings.
    ///
    /// # Errors
    /// The key's value does not say how to merge.
    pub fn take(config: &mut Node) -> Result<Option<Self>, Problem> {
        let mut found = None;
        for key in ["merge_type", "merge_how"] {
            found = config.remove(key).map(|node| (key, node)).or(found);
        }
        let Some((key, node)) = found else { return Ok(None) };
        let wrong = |what: String, pos: Pos| Problem::error(key, what).at(pos).cure(HINT);
        let items = match &node.value {
            Value::List(items) => items,
            _ if node.is_null() => return Ok(None),
            _ => {
                let text =
                    node.text().ok_or_else(|| wrong("takes a string or a list".to_owned(), node.pos))?;
                return Self::parse(text).map_err(|what| wrong(what, node.pos));
            }
        };
        let mut mergers = Vec::new();
        for item in items {
            let words = |nodes: &[Node]| nodes.iter().filter_map(Node::text).map(str::to_owned).collect();
            let (name, options): (_, Vec<String>) = match &item.value {
                Value::List(list) => {
                    (list.first().and_then(Node::text), words(list.get(1..).unwrap_or_default()))
                }
                Value::Map(_) => {
                    let settings = item.get("settings").and_then(Node::list).unwrap_or_default();
                    (item.get("name").and_then(Node::text), words(settings))
                }
                Value::Scalar(_) => (None, Vec::new()),
            };
            let name = name.ok_or_else(|| wrong("an item has no name".to_owned(), item.pos))?;
            let name = name.trim().replace('-', "_");
            mergers.push(merger(&name, &options).map_err(|what| wrong(what, item.pos))?);
        }
        Ok((!mergers.is_empty()).then_some(Self(mergers)))
    }

    /// Whether mappings are merged, such as a whole cloud-config.
    pub fn take_mappings(&self) -> bool {
        self.0.iter().any(|merger| matches!(merger, Merger::Map { .. }))
    }

    /// Merges `new` into `old`.
    ///
    /// # Errors
    /// An option asks to join things that can't be joined.
    pub fn merge(&self, old: Node, new: Node) -> Result<Node, Problem> {
        let pos = old.pos;
        let value = match old.value {
            Value::Map(entries) => match self.0.iter().find(|m| matches!(m, Merger::Map { .. })) {
                Some(Merger::Map { replace, delete, deep }) if new.is_map() => {
                    Value::Map(self.merge_maps(entries, new, *replace, *delete, *deep)?)
                }
                _ => Value::Map(entries),
            },
            Value::List(items) => match self.0.iter().find(|m| matches!(m, Merger::List { .. })) {
                Some(Merger::List { method, deep }) => {
                    return self.merge_lists(pos, items, new, *method, *deep);
                }
                _ => Value::List(items),
            },
            Value::Scalar(s) if s.kind == Kind::Str => {
                match self.0.iter().find(|m| matches!(m, Merger::Str { .. })) {
                    Some(Merger::Str { append: true }) => {
                        let text = new.text().ok_or_else(|| joined(&new, "a string"))?;
                        Value::Scalar(Scalar { text: s.text + text, kind: Kind::Str })
                    }
                    Some(_) => return Ok(new),
                    None => Value::Scalar(s),
                }
            }
            // cloud-init has no merger for numbers and the like: what is there stays.
            scalar => scalar,
        };
        Ok(Node { pos, value })
    }

    fn merge_maps(
        &self,
        mut entries: Vec<(Node, Node)>,
        new: Node,
        replace: bool,
        delete: bool,
        deep: Deep,
    ) -> Result<Vec<(Node, Node)>, Problem> {
        let Value::Map(added) = new.value else { return Ok(entries) };
        // A key that is not a scalar is like every other one of its kind.
        let text = |key: &Node| key.scalar().map(|s| s.text.clone());
        let mut known: HashMap<Option<String>, Vec<usize>> = HashMap::new();
        let mut gone = HashSet::new();
        for (i, (key, _)) in entries.iter().enumerate() {
            known.entry(text(key)).or_default().push(i);
        }
        for (key, value) in added {
            let like = known.entry(text(&key)).or_default();
            match like.iter().copied().find(|i| entries[*i].0.scalar() == key.scalar()) {
                None => {
                    like.push(entries.len());
                    entries.push((key, value));
                }
                Some(i) if delete && value.is_null() => {
                    gone.insert(i);
                }
                Some(i) if replace => entries[i] = (key, value),
                Some(i) if deep.of(&value) => {
                    let old = std::mem::replace(&mut entries[i].1, Node::null());
                    entries[i].1 = self.merge(old, value)?;
                }
                Some(_) => {}
            }
        }
        let mut at = 0..;
        entries.retain(|_| at.next().is_none_or(|i| !gone.contains(&i)));
        Ok(entries)
    }

    fn merge_lists(
        &self,
        pos: Pos,
        mut items: Vec<Node>,
        new: Node,
        method: Method,
        deep: Deep,
    ) -> Result<Node, Problem> {
        let added = match (new.value, method) {
            (Value::List(added), _) => added,
            (value, Method::Replace) => return Ok(Node { pos: new.pos, value }),
            (value, _) => return Err(joined(&Node { pos: new.pos, value }, "a list")),
        };
        match method {
            Method::Append => items.extend(added),
            Method::Prepend => items.splice(..0, added).for_each(drop),
            Method::NoReplace => {}
            // Only the indexes that both have are replaced: that is cloud-init's rule.
            Method::Replace => {
                for (item, new) in items.iter_mut().zip(added) {
                    let old = std::mem::replace(item, Node::null());
                    *item = if deep.of(&new) { self.merge(old, new)? } else { new };
                }
            }
        }
        Ok(Node { pos, value: Value::List(items) })
    }
}

fn merger(name: &str, options: &[String]) -> Result<Merger, String> {
    if options.iter().any(|o| !OPTIONS.contains(&o.as_str())) {
        return Err(format!("an option is not known: takes {}", OPTIONS.join(", ")));
    }
    Merger::new(name, options).ok_or_else(|| "takes dict, list and str".to_owned())
}

fn joined(node: &Node, to: &str) -> Problem {
    Problem::error("", format!("must be joined to {to}, but is {}", node.kind_name())).at(node.pos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::syntax::yaml;

    fn json(node: &Node) -> String {
        node.to_json().to_string()
    }

    fn merged(how: Option<&str>, old: &str, new: &str) -> Result<String, String> {
        let (old, mut new) = (yaml::parse(old).unwrap(), yaml::parse(new).unwrap());
        let own = Mergers::take(&mut new).map_err(|f| f.what)?;
        let how = how.map(|h| Mergers::parse(h).map(Option::unwrap)).transpose()?;
        let mergers = own.or(how).unwrap_or_else(Mergers::of_parts);
        mergers.merge(old, new).map(|n| json(&n)).map_err(|f| f.what)
    }

    #[test]
    fn configs_merge_as_cloud_inits() {
        let cases = [
            (None, "{a: [1, 2], b: {c: 1}}", "{a: [3], b: {d: 2}}", r#"{"a":[3],"b":{"d":2}}"#),
            (Some("dict()+list(append)"), "{a: [1]}", "{a: [2]}", r#"{"a":[1]}"#),
            (Some("dict(recurse_list)+list(append)"), "{a: [1]}", "{a: [2], b: 1}", r#"{"a":[1,2],"b":1}"#),
            (Some("dict(recurse_array)+list(prepend)"), "{a: [1]}", "{a: [2]}", r#"{"a":[2,1]}"#),
            (Some("dict(recurse_list)+list()"), "{a: [1, 2, 3]}", "{a: [9]}", r#"{"a":[9,2,3]}"#),
            (Some("dict(recurse_list)+list(no_replace)"), "{a: [1]}", "{a: [9, 8]}", r#"{"a":[1]}"#),
            (
                Some("dict(recurse_list)+list(recurse_dict)"),
                "{a: [{x: 1}]}",
                "{a: [{y: 2}]}",
                r#"{"a":[{"x":1,"y":2}]}"#,
            ),
            (Some("dict(recurse_str)+str(append)"), "{a: x}", "{a: y}", r#"{"a":"xy"}"#),
            (Some("Dict(No-Replace, Allow_Delete)"), "{a: 1, b: 2}", "{a: null, b: 3}", r#"{"b":2}"#),
            (None, "{a: [1]}", "{merge_how: 'dict(recurse_list)+list(append)', a: [2]}", r#"{"a":[1,2]}"#),
            (
                None,
                "{a: [1]}",
                "{merge_type: [{name: dict, settings: [recurse-list]}, [list, append]], a: [2]}",
                "an option is not known",
            ),
            (
                None,
                "{a: [1]}",
                "{merge_type: [{name: dict, settings: [recurse_list]}, [list, append]], a: [2]}",
                r#"{"a":[1,2]}"#,
            ),
            (Some("dict(recurse_str)+list(append)"), "{a: [1]}", "{a: x}", "must be joined to a list"),
            (None, "{}", "{merge_how: list}", "takes names with options in parentheses"),
            (None, "{}", "{merge_how: set()}", "takes dict, list and str"),
        ];
        for (how, old, new, want) in cases {
            let got = merged(how, old, new).unwrap_or_else(|e| e);
            assert!(got.starts_with(want), "{how:?} {old} {new}: {got}");
        }
    }

    #[test]
    fn the_users_config_wins_over_the_vendors() {
        let parse = |text: &str| yaml::parse(text).unwrap();
        let user = parse("{runcmd: [a], ntp: {enabled: true}}");
        let vendor = parse("{runcmd: [b], ntp: {enabled: false, servers: [x]}, hostname: v}");
        let both = Mergers::of_vendor().merge(user, vendor).unwrap();
        assert_eq!(json(&both), r#"{"runcmd":["a"],"ntp":{"enabled":true,"servers":["x"]},"hostname":"v"}"#);
    }
}
