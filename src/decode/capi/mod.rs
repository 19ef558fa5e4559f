// SPDX-License-Identifier: Apache-2.0
//! What authors of clusters have: objects of Kubernetes, in a stream of any number of documents, and the bootstrap data that
//! Cluster API makes of each. Its [contract](https://cluster-api.sigs.k8s.io/developer/providers/contracts/bootstrap-config) says
//! what a node gets.

mod clc;
mod cloud_config;
mod ignition;
mod kubeadm;
mod origin;
mod schema;
mod secret;
mod writer;

use self::kubeadm::Role;
pub use self::origin::Origin;
use self::writer::{Given, Source, Writer};
use super::document::{Kind, sniff};
use super::sites::find;
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
}

/// What a file has: bootstrap data by itself, or objects that hold it or that Cluster API makes it of.
pub fn read(bytes: Vec<u8>) -> Found {
    let plain = |data| Found { nodes: vec![Bootstrap { data, ..Bootstrap::default() }], ..Found::default() };
    // A Secret in JSON may hold an Ignition config as it is.
    let known = sniff(&bytes).is_some_and(|kind| !matches!(kind, Kind::Refused(..) | Kind::Ignition));
    let Ok(text) = std::str::from_utf8(&bytes) else { return plain(bytes) };
    if known || !(text.contains("apiVersion") && text.contains("kind")) {
        return plain(bytes);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let source = Source::new(&text);
    let mut found = Found::default();
    let mut objects = 0;
    for (first, document) in documents(source.text()).take(MAX_DOCUMENTS) {
        match tree(document) {
            Ok(mut tree) => {
                tree.shift(first);
                objects += usize::from(is_object(&tree));
                object(&source, &tree, &mut found);
            }
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

/// The documents of a stream of YAML, each with the number of lines above it.
pub fn documents(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some((0, text));
    std::iter::from_fn(move || {
        let (first, text) = rest.take()?;
        let mut end = 0;
        for (n, line) in text.split_inclusive('\n').enumerate() {
            if n > 0 && line.starts_with("---") && line[3..].starts_with([' ', '\n', '\t']) {
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
    yaml::parse(document).or_else(|problem| {
        if !document.contains("${") {
            return Err(problem);
        }
        let mut tree = yaml::parse(&masked(document)).map_err(|_| problem)?;
        unmask(&mut tree);
        Ok(tree)
    })
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
    if !is_object(node) {
        return;
    }
    let (kind, group) = (word(node, "kind"), word(node, "apiVersion").split('/').next().unwrap_or_default());
    let name = node.get("metadata").map(|m| word(m, "name")).unwrap_or_default();
    let name = format!("{kind} {name}").trim_end().to_owned();
    let cluster_api = ["bootstrap.cluster.x-k8s.io", "controlplane.cluster.x-k8s.io"].contains(&group);
    match kind {
        "Secret" => secret::read(text, node, &name, found),
        "List" | "SecretList" => {
            node.get("items")
                .and_then(Node::list)
                .unwrap_or_default()
                .iter()
                .for_each(|n| object(text, n, found));
        }
        "KubeadmConfig" => spec(text, node, "spec", &name, None, found),
        "KubeadmConfigTemplate" => {
            spec(text, node, "spec.template.spec", &name, Some(&[Role::Worker]), found)
        }
        "KubeadmControlPlane" => {
            spec(text, node, "spec.kubeadmConfigSpec", &name, Some(CONTROL_PLANE), found)
        }
        "KubeadmControlPlaneTemplate" => {
            spec(text, node, "spec.template.spec.kubeadmConfigSpec", &name, Some(CONTROL_PLANE), found);
        }
        _ if cluster_api => {
            let what = "how its provider makes bootstrap data of this object is not known here, so that it was not checked";
            let cure = "check the Secret of one of its machines: `kubectl get secret NAME -o yaml | footplate check -`";
            found.tell(&name, Problem::note("", what).at(node.pos).cure(cure).code("object/not-rendered"));
        }
        _ => {}
    }
}

const CONTROL_PLANE: &[Role] = &[Role::Init, Role::Join];

/// Renders a KubeadmConfigSpec for each role that it is for.
fn spec(text: &Source<'_>, node: &Node, place: &str, name: &str, roles: Option<&[Role]>, found: &mut Found) {
    let Some(at) = find(node, place).filter(|n| n.is_map()) else {
        let problem = Problem::error(place, "missing: the object has no KubeadmConfigSpec").at(node.pos);
        return found.tell(name, problem.code("object/type"));
    };
    let given = Given { node: at, place: place.to_owned() };
    let mut problems = Vec::new();
    schema::check(at, &schema::SPEC, place, &mut problems);
    let is_ignition = match given.text("format") {
        "" | "cloud-config" => false,
        "ignition" => true,
        _ if given.get("format").is_some_and(|f| schema::is_open(f.node)) => false,
        _ => {
            let pos = given.get("format").map_or(at.pos, |f| f.node.pos);
            let problem = Problem::error(format!("{place}.format"), "Flatcar reads no such format").at(pos);
            found.tell(name, problem.cure("set it to `cloud-config` or to `ignition`").code("object/format"));
            return;
        }
    };
    ignition::refused(&given, is_ignition, &mut problems);
    problems.into_iter().for_each(|problem| found.tell(name, problem));
    let of_config: &[Role] = match (given.get("joinConfiguration"), given.get("clusterConfiguration")) {
        _ if given.get("initConfiguration").is_some() => &[Role::Init],
        (Some(join), None) if join.get("controlPlane").is_some() => &[Role::Join],
        (_, None) => &[Role::Worker],
        (_, Some(_)) => &[Role::Init],
    };
    for role in roles.unwrap_or(of_config) {
        let mut out = Writer::new(text);
        if is_ignition {
            ignition::write(&mut out, &given, *role);
        } else {
            cloud_config::write(&mut out, &given, *role);
        }
        out.problems.drain(..).for_each(|problem| found.tell(name, problem));
        let (object, role) = (name.to_owned(), role.name());
        found.nodes.push(Bootstrap {
            object,
            role,
            data: out.text.into_bytes(),
            origin: out.origin,
            anchor: None,
            ours: true,
        });
    }
}
