// SPDX-License-Identifier: Apache-2.0
//! What authors of clusters have: objects of Kubernetes, in a stream of any number of documents, and the bootstrap data that
//! Cluster API makes of each. Its [contract](https://cluster-api.sigs.k8s.io/developer/providers/contracts/bootstrap-config) says
//! what a node gets.

mod clc;
mod cloud_config;
mod ignition;
mod kinds;
mod kubeadm;
mod kubeadm_file;
mod kubeadm_keys;
mod nesting;
mod origin;
mod rancher;
mod schema;
mod secret;
mod variables;
mod writer;

use self::kinds::{KINDS, Kind, Maker};
use self::kubeadm::Role;
pub use self::kubeadm_file::problems as in_kubeadm_config;
use self::nesting::{above, elsewhere, empty};
pub use self::origin::Origin;
use self::rancher::Rancher;
use self::schema::Schema;
use self::writer::{Given, Source, Writer};
use super::document::{self, sniff};
use super::sites::find;
use super::syntax::go;
use super::syntax::yaml::{self, Node, Value};
use crate::model::problem::{Pos, Problem};

/// Documents that one stream may have.
const MAX_DOCUMENTS: usize = 2000;

/// The bootstrap data of a node.
#[derive(Default)]
pub struct Bootstrap {
    /// The object that it comes of, `KubeadmControlPlane prod`; empty for data that stands by itself.
    pub object: String,
    /// What the node does: `init`, `join` or `worker`; empty where the object does not say.
    pub role: &'static str,
    /// The data as a node gets it.
    pub data: Vec<u8>,
    /// The way back to the author's text.
    pub origin: Origin,
    /// Where the data stands in the file, if positions are those of the data itself.
    pub anchor: Option<Pos>,
    /// Whether it is Cluster API's: it must start a bootstrap.
    pub ours: bool,
    /// Files whose content is in another object: `spec.files[0]`.
    pub elsewhere: Vec<String>,
}

/// What a file has.
#[derive(Default)]
pub struct Found {
    /// The bootstrap data of each node.
    pub nodes: Vec<Bootstrap>,
    /// What is wrong with the objects themselves: the object, and the problem.
    pub problems: Vec<(String, Problem)>,
    /// The last Secret without bootstrap data.
    empty_secret: Option<String>,
}

impl Found {
    fn tell(&mut self, object: &str, problem: Problem) {
        self.problems.push((object.to_owned(), problem));
    }

    /// Adds the data of a node that was rendered.
    fn node(&mut self, mut out: Writer<'_>, object: &str, role: &'static str) {
        out.problems.drain(..).for_each(|problem| self.tell(object, problem));
        self.nodes.push(Bootstrap {
            object: object.to_owned(),
            role,
            data: out.text.into_bytes(),
            origin: out.origin,
            anchor: None,
            ours: true,
            elsewhere: out.elsewhere,
        });
    }
}

/// What a file has: bootstrap data by itself, or objects that hold it or that Cluster API makes it of.
pub fn read(bytes: Vec<u8>) -> Found {
    let plain = |data: Vec<u8>| {
        // What travels packed has lines of its own.
        let packed = document::envelope::open(&data).is_ok_and(|opened| opened != data);
        let anchor = packed.then_some(Pos { line: 1, column: 1 });
        Found { nodes: vec![Bootstrap { data, anchor, ..Bootstrap::default() }], ..Found::default() }
    };
    // A Secret in JSON may hold an Ignition config as it is.
    let known = sniff(&bytes)
        .is_some_and(|kind| !matches!(kind, document::Kind::Refused(..) | document::Kind::Ignition));
    let Ok(text) = std::str::from_utf8(&bytes) else { return plain(bytes) };
    if known || !(text.contains("kind") && (text.contains("apiVersion") || kinds::in_text(text))) {
        return plain(bytes);
    }
    let mut text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    if text.contains("\nkind: Packet") {
        text = go::filled_by_packet(&text);
    }
    let source = Source::new(&text);
    let mut found = Found::default();
    let mut objects = 0;
    for (first, document) in documents(source.text(), true).take(MAX_DOCUMENTS) {
        match tree(document) {
            Ok(mut tree) => {
                tree.shift(first);
                objects += usize::from(is_object(&tree));
                object(&source, &tree, &mut found);
            }
            // The reader of Ignition says what is wrong with JSON.
            Err(_) if first == 0 && sniff(document.as_bytes()) == Some(document::Kind::Ignition) => {
                return plain(bytes);
            }
            // Not of Cluster API, and of no use before its program has filled it in.
            Err(problem) if problem.code.starts_with("template/") && !kinds::in_text(document) => {}
            Err(mut problem) => {
                objects += usize::from(document.contains("apiVersion"));
                problem.pos.iter_mut().for_each(|pos| pos.line += first);
                found.tell("", problem);
            }
        }
    }
    let nothing = found.nodes.is_empty() && found.problems.is_empty();
    match found.empty_secret.take() {
        Some(name) if nothing => found.tell(&name, secret::empty()),
        // The decoder says what another object is.
        _ if nothing || objects == 0 => return plain(bytes),
        _ => {}
    }
    found
}

/// The documents of YAML, each with the number of lines above it. In a stream, a JSON object may stand behind another and `...` may end
/// a document, and directives (`%YAML 1.1`) stand before the `---` of theirs; else `---` alone begins another, as kubeadm reads it.
pub fn documents(text: &str, stream: bool) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some((0, text));
    std::iter::from_fn(move || {
        let (first, text) = rest.take()?;
        let mut end = 0;
        for (n, line) in text.split_inclusive('\n').enumerate() {
            let above = &text[..end];
            let head = above.trim_start_matches("---").trim_start();
            let behind = line.strip_prefix("---");
            let marked = behind.is_some_and(|b| b.is_empty() || b.starts_with(char::is_whitespace));
            let directed = || above.starts_with('%') && above.lines().all(|l| l.starts_with(['%', '#']));
            // A list's items may begin their lines as well: an object of the stream stands behind the end of another.
            let object = || line.starts_with('{') && head.starts_with('{') && above.trim_end().ends_with('}');
            let begins = || marked && !directed() || object() || above.ends_with("\n...\n");
            if n > 0 && if stream { begins() } else { marked } {
                rest = Some((first + n, &text[end..]));
                break;
            }
            end += line.len();
        }
        Some((first, &text[..end]))
    })
}

/// A document; with clusterctl's variables still in it, it may be YAML only when they have values.
fn tree(document: &str) -> Result<Node, Problem> {
    if !document.contains("${") {
        return yaml::parse(document);
    }
    let mut tree = yaml::parse(document).or_else(|problem| -> Result<Node, Problem> {
        let mut tree = yaml::parse(&masked(document)).map_err(|_| problem)?;
        unmask(&mut tree);
        Ok(tree)
    })?;
    variables::fill(&document.lines().collect::<Vec<_>>(), &mut tree);
    Ok(tree)
}

/// Characters in place of a variable's braces, which end a flow mapping.
const MASKS: [(char, char); 2] = [('{', '\u{e000}'), ('}', '\u{e001}')];

/// The text with [`MASKS`] for the braces of its variables. Places in it stay what they are.
fn masked(document: &str) -> String {
    let (mut out, mut rest) = (String::new(), document);
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}').filter(|(name, _)| !name.contains('\n')) else {
            break;
        };
        out.push_str(before);
        out.extend(['$', MASKS[0].1]);
        out.push_str(name);
        out.push(MASKS[1].1);
        rest = behind;
    }
    out + rest
}

fn unmask(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(scalar) => {
            for (brace, mask) in MASKS {
                scalar.text = scalar.text.replace(mask, brace.encode_utf8(&mut [0; 4]));
            }
        }
        Value::List(items) => items.iter_mut().for_each(unmask),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            unmask(key);
            unmask(value);
        }),
    }
}

fn word<'n>(node: &'n Node, key: &str) -> &'n str {
    node.get(key).and_then(Node::text).unwrap_or_default()
}

fn is_object(node: &Node) -> bool {
    !word(node, "apiVersion").is_empty() && !word(node, "kind").is_empty()
}

/// What an object and those that it lists have.
fn object(text: &Source<'_>, node: &Node, found: &mut Found) {
    let known = |kind: &str| KINDS.iter().find(|k| k.name == kind);
    if !is_object(node) && known(word(node, "kind")).is_none() {
        return;
    }
    let (kind, group) = (word(node, "kind"), word(node, "apiVersion").split('/').next().unwrap_or_default());
    let name = node.get("metadata").map(|m| word(m, "name")).unwrap_or_default();
    let name = format!("{kind} {name}").trim_end().to_owned();
    match kind {
        "Secret" => secret::read(text, node, &name, found),
        // kubectl prints the first; the API server has a kind of list for each kind.
        list if list.ends_with("List") && node.get("items").is_some() => {
            node.get("items")
                .and_then(Node::list)
                .unwrap_or_default()
                .iter()
                .for_each(|n| object(text, n, found));
        }
        _ => match known(kind) {
            Some(known) => {
                kinds::version(node, known).into_iter().for_each(|problem| found.tell(&name, problem));
                match known.maker {
                    Maker::Kubeadm => spec(text, node, known, &name, found),
                    Maker::Rancher(of) => others(text, node, known, of, &name, found),
                }
            }
            None if kind == "ClusterClass" => {
                found.problems.extend(kinds::patches(node).map(|problem| (name, problem)));
            }
            None if kinds::is_bootstrap(group) => found.tell(&name, kinds::unknown(node, kind)),
            None => {}
        },
    }
}

/// The part of an object that nodes are made of.
fn given<'n>(
    text: &Source<'_>,
    node: &'n Node,
    kind: &Kind,
    name: &str,
    found: &mut Found,
) -> Option<Given<'n>> {
    let root = match kind.maker {
        Maker::Kubeadm => &schema::SPEC,
        Maker::Rancher(of) => &of.spec,
    };
    if let Some((wrong, at)) = elsewhere(node, kind.place, root) {
        let problem = Problem::error(&wrong, "what nodes are made of does not stand here").at(at.pos);
        let cure = format!("did you mean `{}`? Put there what stands below this key", kind.place);
        found.tell(name, problem.cure(cure).code("object/unknown-key"));
        variables::unclosed(text, at, &wrong, &mut |problem| found.tell(name, problem));
        return Some(Given { node: at, place: wrong });
    }
    let at = find(node, kind.place).filter(|n| n.is_map()).or_else(|| empty(node, kind));
    if at.is_none() {
        let problem =
            Problem::error(kind.place, "missing: the object says nothing of its nodes").at(node.pos);
        let cure = format!("put `files`, commands and the rest below `{}`", kind.place);
        found.tell(name, problem.cure(cure).code("object/type"));
    }
    let at = at?;
    variables::unclosed(text, at, kind.place, &mut |problem| found.tell(name, problem));
    Some(Given { node: at, place: kind.place.to_owned() })
}

/// Renders a KubeadmConfigSpec for each role that it is for.
fn spec(text: &Source<'_>, node: &Node, kind: &Kind, name: &str, found: &mut Found) {
    let mut problems = Vec::new();
    above(node, kind.place, &mut problems);
    if !problems.is_empty() && find(node, kind.place).is_none() {
        return problems.into_iter().for_each(|problem| found.tell(name, problem));
    }
    let Some(given) = given(text, node, kind, name, found) else { return };
    let place = given.place.as_str();
    let schema =
        Schema { owner: "Cluster API", args_are_lists: kinds::args_are_lists(node), root: &schema::SPEC };
    schema.check(given.node, place, &mut problems);
    if let Some(problem) = kinds::of_windows(&given) {
        problems.push(problem);
        return problems.into_iter().for_each(|problem| found.tell(name, problem));
    }
    let is_ignition = match given.text("format") {
        "" | "cloud-config" => false,
        "ignition" => true,
        _ if given.get("format").is_some_and(|f| schema::is_open(f.node)) => false,
        // The rest is checked as what Cluster API makes without one.
        _ => {
            let pos = given.get("format").map_or(given.node.pos, |f| f.node.pos);
            let problem = Problem::error(
                format!("{place}.format"),
                "Cluster API does not have this format for Flatcar",
            )
            .at(pos);
            found.tell(name, problem.cure("set it to `cloud-config` or to `ignition`").code("object/format"));
            false
        }
    };
    files(text, &given, &mut problems);
    ignition::refused(&given, is_ignition, &mut problems);
    problems.into_iter().for_each(|problem| found.tell(name, problem));
    let of_config: &[Role] = match (given.get("joinConfiguration"), given.get("clusterConfiguration")) {
        _ if given.get("initConfiguration").is_some() => &[Role::Init],
        (Some(join), None) if join.get("controlPlane").is_some() => &[Role::Join],
        (_, None) => &[Role::Worker],
        (_, Some(_)) => &[Role::Init],
    };
    for role in if kind.roles.is_empty() { of_config } else { kind.roles } {
        let mut out = Writer::new(text);
        if is_ignition {
            ignition::write(&mut out, &given, *role);
        } else {
            cloud_config::write(&mut out, &given, *role);
        }
        found.node(out, name, role.name());
    }
}

/// Renders what RKE2's or k3s' provider makes a node of.
fn others(text: &Source<'_>, node: &Node, kind: &Kind, of: &'static Rancher, name: &str, found: &mut Found) {
    let Some(given) = given(text, node, kind, name, found) else { return };
    let mut problems = Vec::new();
    let schema = Schema { owner: "its provider", args_are_lists: None, root: &of.spec };
    schema.check(given.node, &given.place, &mut problems);
    files(text, &given, &mut problems);
    let format = given.get("agentConfig").and_then(|agent| agent.get("format"));
    if let Some(format) = format.filter(|f| f.node.text() == Some("ignition")) {
        let what = "the Ignition config that this provider makes is not known here: files and commands are checked as \
                    those of a cloud-config, and the rest is not";
        problems.push(
            Problem::note(format.place, what)
                .at(format.node.pos)
                .cure(kinds::SECRET)
                .code("object/not-rendered"),
        );
    }
    problems.into_iter().for_each(|problem| found.tell(name, problem));
    let server = kind.roles.contains(&Role::Init);
    let mut out = Writer::new(text);
    rancher::write(&mut out, &given, of, server);
    found.node(out, name, if server { "server" } else { "agent" });
}

/// What is said of a text whose lines YAML joins.
pub const JOINED: &str = "YAML joins these lines into one: the file has one line";
/// The cure for it.
pub const HOW_JOINED: &str = "write `content: |`, and the text below it with an indent";

/// What webhooks refuse in the files of an object.
fn files(source: &Source<'_>, spec: &Given<'_>, problems: &mut Vec<Problem>) {
    let mut paths: Vec<&str> = Vec::new();
    for file in spec.items("files") {
        if let Some(content) = file.get("content").filter(|content| source.is_joined(content.node)) {
            let problem = Problem::warning(content.place, JOINED).at(content.node.pos);
            problems.push(problem.cure(HOW_JOINED).code("file/joined-lines"));
        }
        let mut refuse = |given: &Given<'_>, what: &str, cure: &str| {
            let problem = Problem::error(given.place.clone(), what).at(given.node.pos);
            problems.push(problem.cure(cure).code("object/format"));
        };
        match file.get("path") {
            None => refuse(&file, "a file without a path", "add `path: /etc/…`"),
            Some(path) => {
                let text = path.node.text().unwrap_or_default();
                if !file.is("append") && paths.contains(&text) {
                    refuse(
                        &path,
                        "another file above has this path: Cluster API refuses the object",
                        "keep one of them",
                    );
                }
                paths.push(text);
            }
        }
        let Some(from) = file.get("contentFrom") else { continue };
        if file.get("content").is_some() {
            refuse(&from, "stands beside `content`: Cluster API refuses the object", "keep one of the two");
        }
        let source = from.get("secret").or_else(|| from.get("configMap"));
        let whole =
            source.as_ref().is_some_and(|s| ["name", "key"].iter().all(|key| !s.text(key).is_empty()));
        if !whole && from.node.is_map() {
            refuse(
                source.as_ref().unwrap_or(&from),
                "does not say which key of which Secret",
                "write `contentFrom: {secret: {name: NAME, key: KEY}}`",
            );
        }
    }
}
