// SPDX-License-Identifier: Apache-2.0
//! Tests of problems.

use anyhow::{Context as _, anyhow};

use super::*;

#[test]
fn an_error_becomes_a_problem_with_its_reasons_and_its_cure() {
    let placed = Problem::error("a[0]", "is not a number").at(Pos { line: 2, column: 3 });
    let plain: anyhow::Result<()> = Err(anyhow!("inner"));
    let nested = plain.cure("turn it off").context("outer").unwrap_err();
    for (error, want) in [
        (anyhow!("broken"), Problem::error("", "broken")),
        (placed.clone().into(), placed.clone()),
        (
            Err::<(), _>(placed.clone()).cure("write a number").unwrap_err(),
            placed.clone().cure("write a number"),
        ),
        (
            anyhow::Error::new(placed.clone()).context("outer"),
            Problem { why: vec![placed.to_string()], ..Problem::error("", "outer") },
        ),
        (
            nested,
            Problem { why: vec!["inner".to_owned()], ..Problem::error("", "outer").cure("turn it off") },
        ),
    ] {
        assert_eq!(Problem::from(error), want);
    }
    let coded = anyhow::Error::new(Problem::error("b", "x").code("file/owner")).context("a");
    assert_eq!(Problem::from(coded).code, "file/owner");
    // What is found in a chain never changes the stage.
    let failure = Err::<(), _>(anyhow::Error::new(placed)).stage(Stage::Apply).unwrap_err();
    assert_eq!(failure.stage.exit_code(), 74);
}

#[test]
fn what_is_told_has_a_bound() {
    let problem = Problem::error("a\u{1b}[2J\nerror: b".repeat(200), "ü".repeat(1001));
    assert!(problem.place.starts_with("a [2J error: ba"), "{}", problem.place);
    assert_eq!(problem.what, "ü".repeat(1000) + "…");
    assert!(problem.place.len() < 4000 && !problem.to_string().contains(char::is_control));
    let failure = Failure::new(Stage::Decode, vec![problem; MOST + 7]);
    assert_eq!(failure.problems.len(), MOST + 1);
    assert_eq!(failure.problems[MOST].what, "7 more problems are not told");
}

#[test]
fn stages_are_known_by_their_names() {
    for stage in Stage::ALL {
        assert_eq!(Stage::by_name(stage.name()), Some(stage));
    }
    assert_eq!(Stage::by_name("teleport"), None);
}
