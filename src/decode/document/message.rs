// SPDX-License-Identifier: Apache-2.0
//! MIME messages: their parts, one by one.

use std::rc::Rc;

use super::mime::Entity;
use super::place::{Place, Step, Stop};
use super::transfer::Lines;
use super::{MAX_DEPTH, MAX_DOCUMENTS, Reader, file_name};
use crate::model::problem::Problem;

/// Of a part that is for one machine of several.
pub(super) const LAUNCH_INDEX: &str = "Launch-Index: no effect: every machine takes all parts";

/// What to do about a multipart message whose parts can't be told apart.
const BOUNDARY: &str =
    "name the line between its parts in its head: `Content-Type: multipart/mixed; boundary=\"…\"`";

impl<'d> Reader<'d, '_, '_> {
    pub(super) fn message(&mut self, text: &str, place: &Place<'d>) -> Result<(), Stop> {
        self.entity(&Entity::read(text, 0), place)
    }

    fn entity(&mut self, entity: &Entity<'_>, place: &Place<'d>) -> Result<(), Stop> {
        let media_type = entity.media_type();
        let stop = |what: String| {
            let problem = Problem::error("", format!("MIME: {what}"));
            place.stop(if what.contains("boundary") { problem.cure(BOUNDARY) } else { problem })
        };
        if place.depth > MAX_DEPTH {
            return Err(stop(format!("parts within parts more than {MAX_DEPTH} deep")));
        }
        if let Some(parts) = entity.parts().map_err(stop)? {
            for (i, part) in parts.iter().enumerate() {
                let media_type = part.media_type();
                let mut inner = place.inner(&format!("part {}", i + 1));
                // A media type is a name, and a short one, or it is not repeated.
                if let Some(t) =
                    media_type.filter(|t| t.len() <= 60 && t.bytes().all(|b| b.is_ascii_graphic()))
                {
                    inner.label += &format!(" ({t})");
                }
                if self.documents.problems.len() > MAX_DOCUMENTS || i >= MAX_DOCUMENTS {
                    return Err(stop(format!("more than {MAX_DOCUMENTS} parts")));
                }
                if let Err(problem) = self.entity(part, &inner) {
                    self.documents.problems.push(*problem);
                }
            }
            return Ok(());
        }
        let mut inner = place.clone();
        inner.media_type = media_type;
        let name = |header: &str, name: &str| entity.parameter(header, name).and_then(|n| file_name(&n));
        inner.name = name("content-disposition", "filename").or_else(|| name("content-type", "name"));
        let merge = entity.header("merge-type").or_else(|| entity.header("x-merge-type"));
        inner.merge_type = merge.map(str::to_owned);
        if entity.header("launch-index").is_some() {
            self.documents.problems.push(place.problem(Problem::warning("", LAUNCH_INDEX)));
        }
        let (bytes, lines) = entity.decoded().map_err(stop)?;
        let below = Step::Block { lines: entity.line, columns: 0 };
        match lines {
            Lines::Same => inner.origin.push(below),
            Lines::Map(map) => inner.origin.extend([below, Step::Lines(Rc::new(map))]),
            Lines::Lost => inner = inner.decoded(),
        }
        self.bytes(bytes.into(), &Place { depth: inner.depth + 1, ..inner })
    }
}
