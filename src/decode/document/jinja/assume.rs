// SPDX-License-Identifier: Apache-2.0
//! Rendering away from the machine: names that a node may have are taken to exist, and to be what the template makes of
//! them.

use std::collections::HashMap;

use minijinja::{Error, ErrorKind};

use super::error::{self, Context};
use super::rewrite::Rewritten;
use super::values::Shape;
use super::{Outcome, Variables, attempt, body};
use crate::model::problem::{Problem, Severity};

/// Names that one document may have taken to exist.
const MAX_ASSUMED: usize = 100;

/// Shapes that are tried, all of them together.
const MAX_TRIALS: usize = 300;

/// Names that may stand at the failing place, of which the right one is looked for.
const MAX_SUSPECTS: usize = 4;

/// Whether any platform may have this name.
fn may_exist(name: &str) -> bool {
    ["ds.meta_data", "ds.vendordata", "ds.vendor_data", "v1", "vendordata", "vendor_data"].iter().any(
        |above| {
            let below = name.strip_prefix(above);
            below.is_some_and(|rest| {
                rest.starts_with(['.', '[']) || (rest.is_empty() && above.ends_with("data"))
            })
        },
    )
}

/// Renders; each name that is missing and that a node may have is given a value, and told.
pub fn render(
    text: &str,
    rewritten: &Rewritten,
    variables: &Variables,
) -> Result<(Outcome, Vec<Problem>), Problem> {
    let (mut shapes, mut notes, mut trials) = (HashMap::new(), Vec::new(), 0);
    loop {
        let outcome = attempt(body(text).1, rewritten, variables, &shapes);
        let Err(failure) = &outcome.result else { return Ok((outcome, notes)) };
        let context = Context { text, rewritten, names: &outcome.names, variables };
        let added = error::is_missing(failure)
            && notes.len() < MAX_ASSUMED
            && exists(failure, &context, &mut shapes, &mut notes);
        if !(added || reshaped(failure, &context, &mut shapes, &mut trials)) {
            return Err(error::describe(failure, &context));
        }
    }
}

/// Takes the name that was asked for last to exist, if a node may have it.
fn exists(
    failure: &Error,
    context: &Context<'_>,
    shapes: &mut HashMap<String, Shape>,
    notes: &mut Vec<Problem>,
) -> bool {
    let missing = context.names.last_missing();
    let Some(name) = missing.into_iter().find(|name| may_exist(name) && !shapes.contains_key(name)) else {
        return false;
    };
    let whole = error::missing(failure, context).map_or_else(|| name.clone(), |missing| missing.whole);
    let what = format!("jinja: `{whole}` is taken to exist: not every platform has it");
    let problem = error::describe(failure, context);
    let note = Problem { severity: Severity::Note, what, cure: None, ..problem };
    notes.push(note.code("template/assumed"));
    shapes.insert(name, Shape::Any);
    true
}

/// Takes a name at the failing place to be something else, so that the template gets further.
fn reshaped(
    failure: &Error,
    context: &Context<'_>,
    shapes: &mut HashMap<String, Shape>,
    trials: &mut usize,
) -> bool {
    if matches!(failure.kind(), ErrorKind::SyntaxError | ErrorKind::OutOfFuel | ErrorKind::WriteFailure) {
        return false;
    }
    let place = |error: &Error| error.range().map_or(0, |range| range.start);
    for name in context.names.last_assumed().into_iter().take(MAX_SUSPECTS) {
        let now = shapes.get(&name).copied().unwrap_or(Shape::Any);
        for shape in [Shape::Text, Shape::Number].into_iter().filter(|shape| *shape != now) {
            *trials += 1;
            if *trials > MAX_TRIALS {
                return false;
            }
            let mut other = shapes.clone();
            other.insert(name.clone(), shape);
            let further =
                match attempt(body(context.text).1, context.rewritten, context.variables, &other).result {
                    Ok(()) => true,
                    Err(error) => place(&error) > place(failure) || error.line() > failure.line(),
                };
            if further {
                *shapes = other;
                return true;
            }
        }
    }
    false
}
