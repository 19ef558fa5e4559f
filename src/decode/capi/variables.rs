// SPDX-License-Identifier: Apache-2.0
//! Variables in an object's texts, `${NAME}`: clusterctl fills them in, or the node's shell does.

use super::writer::Source;
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::problem::{Pos, Problem};

/// Tells each text of an object that begins a variable and does not end its name.
pub fn unclosed(source: &Source<'_>, node: &Node, place: &str, tell: &mut dyn FnMut(Problem)) {
    match &node.value {
        Value::List(items) => {
            (0..).zip(items).for_each(|(i, item)| unclosed(source, item, &format!("{place}[{i}]"), tell));
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                let name = key.text().unwrap_or_default();
                unclosed(source, value, &format!("{place}.{name}"), tell);
            }
        }
        Value::Scalar(scalar) => {
            let Some(at) = first(&scalar.text) else { return };
            let before = &scalar.text[..at];
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let pos = source.step(node).back(Pos { line: before.matches('\n').count() + 1, column });
            let problem =
                Problem::error(place, "`${` begins the name of a variable, and no `}` ends it").at(pos);
            tell(problem.cure("write `${NAME}`").code("object/variable"));
        }
    }
}

/// Where the first variable begins whose name is not followed by `}` or by an operator of the shell's.
fn first(text: &str) -> Option<usize> {
    text.match_indices("${").map(|(at, _)| at).find(|at| {
        let behind = text[at + 2..].trim_start_matches(['#', '!']);
        let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
        let next = behind[end..].chars().next();
        end > 0 && next.is_none_or(|c| c.is_whitespace() || ";&|<>()\"'$".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn a_name_without_its_end_is_found() {
        for good in
            ["${A}", "${A:-b c}", "$${A}", "a ${#A} ${!A} ${A[@]} ${A//x/ } ${A%.*}", "$A", "${", "${ x; }"]
        {
            assert_eq!(first(good), None, "{good}");
        }
        for (bad, at) in [("${A", 0), ("x ${A} ${B ", 7), ("\"${A\" }", 1), ("${A\n}", 0), ("$(echo ${A)", 7)]
        {
            assert_eq!(first(bad), Some(at), "{bad}");
        }
    }
}
