// SPDX-License-Identifier: Apache-2.0
//! A [Container Linux Config](https://github.com/flatcar/container-linux-config-transpiler/blob/flatcar-master/doc/configuration.md)
//! as Ignition: the parts of it that say what Ignition says, in other words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::ignition::Maker;
use super::origin::Mark;
use super::schema::is_open;
use super::writer::{Given, is_one_variable};
use crate::decode::document::Step;
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::Node;
use crate::model::problem::{Pos, Problem, UNKNOWN_KEY};

/// The lists that Ignition has too.
const LISTS: &[&str] = &[
    "networkd.units",
    "passwd.groups",
    "passwd.users",
    "storage.directories",
    "storage.disks",
    "storage.files",
    "storage.filesystems",
    "storage.links",
    "systemd.units",
];

/// Lists that other configs have: they are no mistyped ones.
const OTHERS: &[&str] = &["storage.luks", "storage.raid"];

/// The keys of a file's contents, and of contents that come from elsewhere.
const CONTENTS: &[(&str, &[&str])] = &[
    (".contents", &["inline", "local", "remote"]),
    (".contents.remote", &["compression", "url", "verification"]),
];

/// The error of a key that is nearly a known one.
fn nearly(place: String, pos: Pos, meant: &str) -> Problem {
    let problem = Problem::error(place, "this key is unknown and has no effect").at(pos);
    problem.cure(format!("did you mean `{meant}`?")).code(UNKNOWN_KEY)
}

/// Adds the config that an author gives beside a KubeadmConfigSpec.
pub fn add(maker: &mut Maker<'_, '_>, given: &Given<'_>) {
    let text = given.node.text().unwrap_or_default();
    let step = maker.out.source().step(given.node);
    let tree = match super::tree(text) {
        Ok(tree) if tree.is_map() || tree.is_null() => tree,
        Ok(tree) => {
            let what = format!("must be a mapping, this is {}", tree.kind_name());
            return maker.out.problems.push(Problem::error(given.place.clone(), what).at(given.node.pos));
        }
        Err(problem) => {
            let pos = problem.pos.map(|pos| step.back(pos));
            return maker.out.problems.push(Problem { place: given.place.clone(), pos, ..problem });
        }
    };
    for (section, value) in tree.entries() {
        for (name, list) in value.entries() {
            let list_name =
                format!("{}.{}", section.text().unwrap_or_default(), name.text().unwrap_or_default());
            let known = LISTS.contains(&list_name.as_str());
            let meant = words::meant(&list_name, LISTS.iter().copied())
                .filter(|_| !OTHERS.contains(&list_name.as_str()));
            if let Some(meant) = meant.filter(|_| !known) {
                let place = format!("{}: {list_name}", given.place);
                maker.out.problems.push(nearly(place, step.back(name.pos), meant));
                continue;
            }
            if !known {
                let what = "this part of a Container Linux Config is not translated here, so that it was not checked";
                let place = format!("{}: {list_name}", given.place);
                let problem = Problem::note(place, what).at(step.back(name.pos)).code("object/not-rendered");
                maker.out.problems.push(problem);
                continue;
            }
            for (i, item) in list.list().unwrap_or_default().iter().enumerate() {
                let mut entry = translated(item);
                let on_a_filesystem = ["storage.directories", "storage.files", "storage.links"];
                if let (true, Value::Object(entry)) =
                    (on_a_filesystem.contains(&list_name.as_str()), &mut entry)
                {
                    entry.entry("filesystem").or_insert_with(|| json!("root"));
                }
                let at = maker.push(&list_name, entry);
                let place = format!("{}: {list_name}[{i}]", given.place);
                marks(maker, item, &at, &place, &step);
            }
        }
    }
}

/// Marks an entry and all that is in it.
fn marks(maker: &mut Maker<'_, '_>, node: &Node, at: &str, place: &str, step: &Step) {
    let pos = step.back(node.pos);
    let inner = match (step, node.scalar()) {
        // A text within the text: its lines stand below where it begins.
        (Step::Block { .. }, Some(scalar)) if scalar.text.contains('\n') => {
            Step::Block { lines: pos.line - 1, columns: pos.column - 1 }
        }
        _ => Step::At(pos),
    };
    // Programs have variables of their own, as in a KubeadmConfigSpec's own files.
    let program = [".inline", ".contents"].iter().any(|key| place.ends_with(key));
    let open = if program { is_one_variable(node) } else { is_open(node) };
    let mark = maker.out.origin.mark(Mark { place: place.to_owned(), pos, step: inner, open });
    maker.out.origin.place(at, mark);
    let contents = CONTENTS.iter().find(|(of, _)| at.ends_with(of)).map_or(&[][..], |(_, keys)| keys);
    for (key, value) in node.entries() {
        let pos = step.back(key.pos);
        let key = key.text().unwrap_or_default();
        let near = words::nearest(key, contents.iter().copied(), |known| words::distance(key, known));
        if let Some((_, meant)) = near.filter(|(far, _)| *far > 0) {
            maker.out.problems.push(nearly(format!("{place}.{key}"), pos, meant));
        }
        // What a file holds, or where it comes from, is one key of Ignition's.
        let below = match (key, at.strip_suffix(".remote")) {
            ("inline", _) => format!("{at}.source"),
            ("url", Some(contents)) => format!("{contents}.source"),
            _ => format!("{at}.{}", camel(key)),
        };
        marks(maker, value, &below, &format!("{place}.{key}"), step);
    }
    for (i, value) in node.list().unwrap_or_default().iter().enumerate() {
        marks(maker, value, &format!("{at}[{i}]"), &format!("{place}[{i}]"), step);
    }
}

/// `wipe_table` as Ignition spells it: `wipeTable`.
fn camel(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let mut letters = part.chars();
        let head = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
        name + &head.chain(letters).collect::<String>()
    })
}

fn translated(node: &Node) -> Value {
    if let Some(items) = node.list() {
        return items.iter().map(translated).collect();
    }
    if !node.is_map() {
        return node.to_json();
    }
    let mut object = Map::new();
    for (key, value) in node.entries() {
        match key.text().unwrap_or_default() {
            "contents" if value.is_map() => {
                let inline = value.get("inline").and_then(Node::text);
                let remote = value.get("remote").map(translated);
                let source = remote.as_ref().and_then(|r| r.get("url")).cloned();
                let text = inline.unwrap_or_default();
                let source =
                    source.unwrap_or_else(|| json!(format!("data:;base64,{}", STANDARD.encode(text))));
                object.insert("contents".to_owned(), json!({ "source": source }));
            }
            // Sizes may be words there, such as 10GiB.
            name @ ("size" | "start") if value.int().is_none() => {
                let sectors = value.text().and_then(sectors);
                object.insert(name.to_owned(), sectors.map_or_else(|| value.to_json(), Value::from));
            }
            name => {
                object.insert(camel(name), translated(value));
            }
        }
    }
    Value::Object(object)
}

/// A size in sectors of 512 bytes: `10GiB`, `512MiB`.
fn sectors(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.len().checked_sub(3)?);
    let power = ["KiB", "MiB", "GiB", "TiB"].iter().position(|known| *known == unit)?;
    number
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024_u64.pow(u32::try_from(power).ok()? + 1))
        .map(|b| b / 512)
}
