// SPDX-License-Identifier: Apache-2.0
//! `bootcmd` and `runcmd`.

use super::Reader;
use crate::decode::foreign;
use crate::decode::syntax::yaml::{Kind, Node, Value};
use crate::model::secret::Secret;

impl Reader<'_> {
    /// Shell lines: a string is taken as it is, a list is a command whose words are quoted. Anything else is an error,
    /// since cloud-init would then run none of the lines.
    pub(super) fn commands(&mut self, key: &str, node: &Node) -> Vec<Secret> {
        let mut lines = Vec::new();
        for (i, item) in self.list(key, node).iter().enumerate() {
            let place = format!("{key}[{i}]");
            match &item.value {
                Value::Scalar(s) => match s.kind {
                    Kind::Null => {}
                    Kind::Str => {
                        self.problems.extend(foreign::in_line(&place, item.pos, &s.text));
                        lines.push(Secret::from(s.text.as_str()));
                    }
                    _ => {
                        self.takes(&place, item, "a command");
                        self.cure("quote it");
                    }
                },
                Value::List(words) => {
                    self.problems.extend(foreign::in_words(&place, words));
                    lines.push(self.command_of_words(&place, words));
                }
                Value::Map(_) => {
                    self.takes(&place, item, "a command");
                    self.cure("a colon followed by a blank makes a mapping: quote the whole line");
                }
            }
        }
        lines
    }

    pub(super) fn command_of_words(&mut self, place: &str, words: &[Node]) -> Secret {
        let mut line = Vec::new();
        for (i, word) in words.iter().enumerate() {
            match python_str(word) {
                Some(word) => line.push(format!("'{}'", word.replace('\'', "'\\''"))),
                None => self.takes(&format!("{place}[{i}]"), word, "a word"),
            }
        }
        Secret::new(line.join(" "))
    }
}

/// A scalar as Python's `str()` prints it: what cloud-init quotes into a command.
fn python_str(node: &Node) -> Option<String> {
    let scalar = node.scalar()?;
    Some(match &scalar.kind {
        Kind::Null => "None".to_owned(),
        Kind::Bool(true) => "True".to_owned(),
        Kind::Bool(false) => "False".to_owned(),
        Kind::Int(i) => i.to_string(),
        Kind::Float(_) | Kind::Str => scalar.text.clone(),
        Kind::Bytes(_) => return None,
    })
}
