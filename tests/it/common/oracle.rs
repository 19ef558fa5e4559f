// SPDX-License-Identifier: Apache-2.0
//! What a comparison with another program ends in.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Prints what differs on purpose (the case, a piece of what the comparison says, and why), and fails where anything else does, or
/// where no case has such a difference any more. `used` are the rows that a case has.
#[track_caller]
pub fn settle(differences: &[(&str, &str, &str)], used: &BTreeSet<usize>, cases: usize, mut wrong: String) {
    for (row, (name, piece, why)) in differences.iter().enumerate() {
        println!("{name}: {piece}: {why}");
        if !used.contains(&row) {
            let _ = writeln!(wrong, "no case differs by {piece:?} any more: {name}");
        }
    }
    println!("{cases} cases, {} differences on purpose", differences.len());
    assert!(wrong.is_empty(), "{wrong}");
}
