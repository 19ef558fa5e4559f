// SPDX-License-Identifier: Apache-2.0
//! `#cloud-config-archive`: a YAML list of parts.

use super::message::LAUNCH_INDEX;
use super::place::{Place, Stop, step_to_scalar};
use super::{Reader, envelope, file_name, sniff};
use crate::decode::syntax::yaml::{self, Kind, Node, Value};
use crate::model::problem::Problem;

impl<'d> Reader<'d, '_, '_> {
    /// A YAML list of strings, or of mappings with `type`, `content`, `filename` and headers.
    pub(super) fn archive(&mut self, whole: &str, place: &Place<'d>) -> Result<(), Stop> {
        let node = yaml::parse(whole).map_err(|problem| place.stop(problem))?;
        let wrong = |node: &Node, what: &str| {
            Problem::error("", format!("{what}, this is {}", node.kind_name())).at(node.pos)
        };
        let items = node.list().ok_or_else(|| place.stop(wrong(&node, "an archive is a list")))?;
        for (i, item) in items.iter().enumerate() {
            let mut inner = place.inner(&format!("part {}", i + 1));
            let content = if item.is_map() { item.get("content") } else { Some(item) };
            let text = |key: &str| item.get(key).and_then(Node::text);
            inner.name = text("filename").and_then(file_name);
            inner.merge_type = text("Merge-Type").or_else(|| text("X-Merge-Type")).map(str::to_owned);
            inner.media_type = text("type").map(str::to_ascii_lowercase);
            if item.get("launch-index").is_some() {
                self.documents.problems.push(inner.problem(Problem::warning("", LAUNCH_INDEX)));
            }
            let Some(content) = content.filter(|c| !c.is_null()) else { continue };
            let (bytes, own) = match &content.value {
                Value::Scalar(s) => match &s.kind {
                    Kind::Bytes(bytes) => (bytes.clone(), true),
                    _ => (s.text.clone().into_bytes(), false),
                },
                _ => {
                    let problem = inner.problem(wrong(content, "a part is a string"));
                    self.documents.problems.push(problem);
                    continue;
                }
            };
            // cloud-init's default for a part that neither says nor shows what it is.
            if inner.media_type.is_none() && sniff(&bytes).is_none() && !envelope::is_gzip(&bytes) {
                inner.media_type = Some("text/cloud-config".to_owned());
            }
            if own {
                inner = inner.decoded();
            } else {
                inner.origin.push(step_to_scalar(whole, content));
            }
            self.piece(bytes, &inner)?;
        }
        Ok(())
    }
}
