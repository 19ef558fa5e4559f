// SPDX-License-Identifier: Apache-2.0
//! Bootstrap data in a Secret, as Cluster API keeps it and kubectl prints it.

use super::origin::{Mark, Origin};
use super::writer::Source;
use super::{Bootstrap, Found};
use crate::decode::document::{Kind, Step, envelope, sniff};
use crate::decode::syntax::yaml::Node;
use crate::model::problem::Problem;

/// What to do with a Secret that holds nothing.
const HINT: &str =
    "name the Secret that Machine.spec.bootstrap.dataSecretName names: `kubectl get secret NAME -o yaml`";

/// A value of the Secret.
struct Held<'n> {
    node: &'n Node,
    /// Its key path.
    place: &'static str,
    bytes: Result<Vec<u8>, String>,
}

fn held<'n>(secret: &'n Node, key: &str, places: [&'static str; 2]) -> Option<Held<'n>> {
    let value = |map: &str| secret.get(map).and_then(|d| d.get(key));
    let [place, of_data] = places;
    if let Some(node) = value("stringData") {
        return Some(Held { node, place, bytes: Ok(node.text().unwrap_or_default().as_bytes().to_vec()) });
    }
    let node = value("data")?;
    Some(Held { node, place: of_data, bytes: envelope::base64(node.text().unwrap_or_default().as_bytes()) })
}

/// A Secret without bootstrap data, where nothing else has any either.
pub fn empty() -> Problem {
    Problem::error("data.value", "missing: this Secret holds no bootstrap data")
        .cure(HINT)
        .code("secret/value")
}

/// Reads a Secret. One that holds no bootstrap data is passed over: a cluster's template has Secrets of its provider beside.
pub fn read(source: &Source<'_>, secret: &Node, name: &str, found: &mut Found) {
    let Some(value) = held(secret, "value", ["stringData.value", "data.value"]) else {
        found.empty_secret = Some(name.to_owned());
        return;
    };
    let data = match value.bytes {
        Ok(data) => data,
        Err(what) => {
            let cure = match value.node.text().is_some_and(|text| text.starts_with('#')) {
                true => "`data` holds base64: put plain text below `stringData`",
                false => "take the value as kubectl prints it, or put plain text below `stringData`",
            };
            let problem = Problem::error(value.place, what).at(value.node.pos).cure(cure);
            return found.tell(name, problem.code("secret/value"));
        }
    };
    if data.is_empty() {
        let problem = Problem::error(
            value.place,
            "the value is empty: a line that begins with `#` is a comment of YAML",
        );
        let cure = "write `value: |`, and the data below it with an indent";
        return found.tell(name, problem.at(value.node.pos).cure(cure).code("secret/value"));
    }
    let format = held(secret, "format", ["stringData.format", "data.format"]);
    if let Some(Held { node, place, bytes: Ok(format) }) = format {
        let ignition = envelope::open(&data).is_ok_and(|data| sniff(&data) == Some(Kind::Ignition));
        let what = match (format == b"ignition", ignition) {
            (true, false) => Some(
                "says ignition, but the data is not Ignition: providers choose how to hand it over by this word",
            ),
            (false, true) => Some(
                "does not say ignition, but the data is Ignition: providers choose how to hand it over by this word",
            ),
            _ => None,
        };
        if let Some(what) = what {
            found.tell(name, Problem::warning(place, what).at(node.pos).code("secret/format"));
        }
    }
    let mut origin = Origin::default();
    let mut anchor = Some(value.node.pos);
    // A block stands in the author's file line by line; all else has lines of its own.
    let opened =
        value.place == "stringData.value" && envelope::open(&data).is_ok_and(|opened| opened == data);
    if let (true, step @ Step::Block { .. }) = (opened, source.step(value.node)) {
        let mark = origin.mark(Mark { place: String::new(), pos: value.node.pos, step, open: false });
        let lines = value.node.text().unwrap_or_default().matches('\n').count() + 1;
        (1..=lines).for_each(|line| origin.line(Some((mark, line, 1))));
        anchor = None;
    }
    let labels = secret.get("metadata").and_then(|m| m.get("labels"));
    let label = labels.is_some_and(|l| l.get("cluster.x-k8s.io/cluster-name").is_some());
    let ours = label || secret.get("type").and_then(Node::text) == Some("cluster.x-k8s.io/secret");
    found.nodes.push(Bootstrap {
        object: name.to_owned(),
        data,
        origin,
        anchor,
        ours,
        ..Bootstrap::default()
    });
}
