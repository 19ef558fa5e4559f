// SPDX-License-Identifier: Apache-2.0
//! Lines and columns of places in a large text, for many places: none is found by reading all that stands before it.

use crate::model::problem::Pos;

/// Bytes from one mark to the next.
const EVERY: usize = 4096;

/// Offsets of a text in bytes, each with its line and column.
pub struct Marks(Vec<(usize, Pos)>);

impl Marks {
    /// Reads the text once.
    pub fn of(text: &str) -> Self {
        let mut marks = vec![(0, Pos { line: 1, column: 1 })];
        for (at, pos) in places(text, marks[0]) {
            if marks.last().is_some_and(|(last, _)| at >= last + EVERY) {
                marks.push((at, pos));
            }
        }
        Self(marks)
    }

    /// The offset of a line and a column; the text's end where it has no such place.
    pub fn offset_of(&self, text: &str, pos: Pos) -> usize {
        let mark = self.0.partition_point(|(_, mark)| *mark <= pos).saturating_sub(1);
        places(text, self.0[mark]).find(|(_, here)| *here >= pos).map_or(text.len(), |(at, _)| at)
    }

    /// The line and the column of an offset.
    pub fn pos_of(&self, text: &str, offset: usize) -> Pos {
        let mark = self.0.partition_point(|(mark, _)| *mark <= offset).saturating_sub(1);
        let mut last = self.0[mark].1;
        places(text, self.0[mark]).inspect(|(_, pos)| last = *pos).find(|(at, _)| *at >= offset);
        last
    }
}

/// The places of a text's characters and of its end, from one on.
fn places(text: &str, (from, mut pos): (usize, Pos)) -> impl Iterator<Item = (usize, Pos)> {
    let chars = text[from..].char_indices().map(move |(at, c)| (from + at, Some(c)));
    chars.chain([(text.len(), None)]).map(move |(at, c)| {
        let here = pos;
        pos = match c {
            Some('\n') => Pos { line: pos.line + 1, column: 1 },
            _ => Pos { column: pos.column + 1, ..pos },
        };
        (at, here)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{offset_of, pos_of};
    use super::*;

    #[test]
    fn places_are_those_that_reading_all_of_a_text_finds() {
        let long = format!("a\n\n{}\nb ü {}\n", "x\u{fc}".repeat(5000), "y\n".repeat(5000));
        for text in ["", "a", "a\nb", "\n", &long] {
            let marks = Marks::of(text);
            for (at, _) in text.char_indices().step_by(7).chain([(text.len(), ' ')]) {
                let pos = marks.pos_of(text, at);
                assert_eq!(marks.offset_of(text, pos), at, "{pos:?}");
                if at % 97 == 0 || at + 97 > text.len() {
                    assert_eq!((pos, offset_of(text, pos)), (pos_of(text, at), at));
                }
            }
            assert_eq!(marks.offset_of(text, Pos { line: 99_999, column: 1 }), text.len());
        }
    }
}
