// SPDX-License-Identifier: Apache-2.0
//! `$private_ipv4` and its like, which
//! [coreos-cloudinit](https://github.com/flatcar/coreos-cloudinit/blob/flatcar-master/Documentation/cloud-config.md)
//! replaces in its cloud-configs. A config that has `coreos` is one of its kind; any other keeps these words, which may be a
//! shell's.

use std::net::IpAddr;

use super::super::syntax::yaml::{Kind, Node, Value};
use crate::model::instance::Addresses;
use crate::model::problem::Problem;

/// The words; with a backslash before it a word stays, without the backslash.
const WORDS: &[&str] = &["$private_ipv4", "$public_ipv4", "$private_ipv6", "$public_ipv6"];

/// What the words stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words {
    /// The machine's addresses.
    pub addresses: Addresses,
    /// Whether an address that is missing is taken to exist: away from the machine it cannot be known.
    pub assume: bool,
}

impl Words {
    fn value(&self, word: &str) -> Option<IpAddr> {
        let addresses = &self.addresses;
        match word {
            "$private_ipv4" => addresses.local_v4.map(IpAddr::V4),
            "$public_ipv4" => addresses.public_v4.map(IpAddr::V4),
            "$private_ipv6" => addresses.local_v6.map(IpAddr::V6),
            _ => addresses.public_v6.map(IpAddr::V6),
        }
    }
}

/// Replaces the words in a cloud-config of coreos-cloudinit's kind. One without a value is an error by its name.
pub fn replace(tree: &mut Node, words: &Words) -> Vec<Problem> {
    let mut problems = Vec::new();
    if tree.get("coreos").is_some_and(|coreos| !coreos.is_null()) {
        in_node(tree, words, &mut problems);
    }
    problems
}

fn in_node(node: &mut Node, words: &Words, problems: &mut Vec<Problem>) {
    let pos = node.pos;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| in_node(item, words, problems)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| in_node(value, words, problems)),
        Value::Scalar(scalar) if scalar.kind == Kind::Str && scalar.text.contains('$') => {
            let (text, missing) = in_text(&scalar.text, words);
            scalar.text = text;
            problems.extend(missing.into_iter().map(|word| without(word, words).at(pos)));
        }
        Value::Scalar(_) => {}
    }
}

fn without(word: &str, words: &Words) -> Problem {
    if words.assume {
        return Problem::note(
            "",
            format!("`{word}` is taken to exist: not every platform tells this address"),
        );
    }
    Problem::error("", format!("`{word}` has no value"))
        .cure(format!("write the address itself, or `\\{word}` if these letters are meant"))
}

/// The text with its words replaced, and those that have no value.
fn in_text(text: &str, words: &Words) -> (String, Vec<&'static str>) {
    let (mut out, mut rest, mut missing) = (String::new(), text, Vec::new());
    while let Some(at) = rest.find('$') {
        let Some(word) = WORDS.iter().find(|word| rest[at..].starts_with(**word)) else {
            out.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        };
        match (rest[..at].strip_suffix('\\'), words.value(word)) {
            (Some(before), _) => {
                out.push_str(before);
                out.push_str(word);
            }
            (None, value) => {
                out.push_str(&rest[..at]);
                match value {
                    Some(value) => out.push_str(&value.to_string()),
                    None if !missing.contains(word) => missing.push(word),
                    None => {}
                }
            }
        }
        rest = &rest[at + word.len()..];
    }
    (out + rest, missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::syntax::yaml;

    fn replaced(text: &str, assume: bool) -> (String, Vec<String>) {
        let addresses = Addresses {
            local_v4: Some([192, 0, 2, 7].into()),
            public_v4: None,
            local_v6: Some("2001:db8::7".parse().unwrap()),
            public_v6: None,
        };
        let mut tree = yaml::parse(text).unwrap();
        let problems = replace(&mut tree, &Words { addresses, assume });
        (tree.to_json().to_string(), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn words_of_coreos_cloudinit_become_addresses_or_are_refused_by_name() {
        let cases = [
            (
                "{coreos: {units: [{content: 'a=$private_ipv4:1'}]}, write_files: [{content: \"$private_ipv6\\n\"}]}",
                r#"{"coreos":{"units":[{"content":"a=192.0.2.7:1"}]},"write_files":[{"content":"2001:db8::7\n"}]}"#,
                "",
            ),
            (
                r"{coreos: {a: '\$private_ipv4 $private_ipv4x $PATH $'}}",
                r#"{"coreos":{"a":"$private_ipv4 192.0.2.7x $PATH $"}}"#,
                "",
            ),
            (
                "{write_files: [{content: '$private_ipv4'}]}",
                r#"{"write_files":[{"content":"$private_ipv4"}]}"#,
                "",
            ),
            ("{coreos: , a: '$private_ipv4'}", r#"{"coreos":null,"a":"$private_ipv4"}"#, ""),
            (
                "{coreos: {a: 'b $public_ipv4 $public_ipv4'}}",
                r#"{"coreos":{"a":"b  "}}"#,
                "`$public_ipv4` has no value (line 1, column 14)",
            ),
        ];
        for (text, want, problem) in cases {
            let (got, problems) = replaced(text, false);
            assert_eq!((got.as_str(), problems.join("|").as_str()), (want, problem), "{text}");
        }
        assert!(replaced("{coreos: {a: $public_ipv6}}", true).1[0].contains("is taken to exist"));
    }
}
