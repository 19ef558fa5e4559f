// SPDX-License-Identifier: Apache-2.0
//! JSON patches ([RFC 6902](https://www.rfc-editor.org/rfc/rfc6902)) of a cloud-config.

use crate::decode::syntax::yaml::{Kind, Node, Scalar, Value};
use crate::model::problem::Problem;

/// Operations that one JSON patch may have: each may touch the whole tree.
const MAX_OPERATIONS: usize = 1000;

/// Applies a JSON patch ([RFC 6902](https://www.rfc-editor.org/rfc/rfc6902)); the tree is as it was where that fails.
///
/// # Errors
/// It is not a patch, or one of its paths does not exist.
pub fn patch(tree: &mut Node, patch: &Node) -> Result<(), Problem> {
    let operations = patch
        .list()
        .ok_or_else(|| Problem::error("", "a JSON patch is a list of operations").at(patch.pos))?;
    let mut patched = tree.clone();
    for (i, operation) in operations.iter().enumerate() {
        let at = |what: String| Problem::error(format!("[{i}]"), what).at(operation.pos);
        if i >= MAX_OPERATIONS {
            return Err(at(format!("more than {MAX_OPERATIONS} operations")));
        }
        apply(&mut patched, operation).map_err(at)?;
        // A copy into itself doubles what is there.
        patched.bounded().map_err(at)?;
    }
    *tree = patched;
    Ok(())
}

fn apply(tree: &mut Node, operation: &Node) -> Result<(), String> {
    let text = |key: &str| operation.get(key).and_then(Node::text).unwrap_or_default();
    let path = |key: &str| pointer(operation.get(key).and_then(Node::scalar).map(|s| s.text.as_str()), key);
    let value = || operation.get("value").cloned().ok_or("the operation has no value");
    match text("op") {
        "add" => add(tree, &path("path")?, value()?),
        "remove" => take(tree, &path("path")?).map(drop),
        "replace" => {
            let at = find(tree, &path("path")?).ok_or("its path does not exist")?;
            *at = value()?;
            Ok(())
        }
        "move" => {
            let (from, to) = (path("from")?, path("path")?);
            if to.len() > from.len() && to.starts_with(&from) {
                return Err("moves a value into itself".to_owned());
            }
            let moved = take(tree, &from)?;
            add(tree, &to, moved)
        }
        "copy" => {
            let copied = find(tree, &path("from")?).cloned().ok_or("the path in `from` does not exist")?;
            add(tree, &path("path")?, copied)
        }
        "test" => match find(tree, &path("path")?) {
            Some(have) if have.to_json() == value()?.to_json() => Ok(()),
            _ => Err("the test fails".to_owned()),
        },
        _ => Err("op takes add, remove, replace, move, copy and test".to_owned()),
    }
}

/// A JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) as its parts.
fn pointer(text: Option<&str>, key: &str) -> Result<Vec<String>, String> {
    match text {
        Some("") => Ok(Vec::new()),
        Some(text) if text.starts_with('/') => {
            Ok(text[1..].split('/').map(|p| p.replace("~1", "/").replace("~0", "~")).collect())
        }
        _ => Err(format!("`{key}` is not a JSON pointer such as /runcmd/0")),
    }
}

/// An index of a list: digits without a leading zero.
fn index(part: &str) -> Option<usize> {
    let plain = part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| part.parse().ok())?
}

fn find<'a>(tree: &'a mut Node, path: &[String]) -> Option<&'a mut Node> {
    path.iter().try_fold(tree, |at, part| match &mut at.value {
        Value::Map(entries) => entries.iter_mut().find(|(k, _)| k.text() == Some(part)).map(|(_, v)| v),
        Value::List(items) => items.get_mut(index(part)?),
        Value::Scalar(_) => None,
    })
}

fn add(tree: &mut Node, path: &[String], value: Node) -> Result<(), String> {
    let Some((last, above)) = path.split_last() else {
        *tree = value;
        return Ok(());
    };
    let at = find(tree, above).ok_or("its path does not exist")?;
    match &mut at.value {
        Value::Map(entries) => match entries.iter_mut().find(|(k, _)| k.text() == Some(last)) {
            Some((_, have)) => *have = value,
            None => {
                let key = Scalar { text: last.clone(), kind: Kind::Str };
                entries.push((Node { pos: value.pos, value: Value::Scalar(key) }, value));
            }
        },
        Value::List(items) => {
            let i = if last == "-" { Some(items.len()) } else { index(last) };
            items.insert(i.filter(|i| *i <= items.len()).ok_or("its path is behind the list's end")?, value);
        }
        Value::Scalar(_) => return Err("its path leads into a scalar".to_owned()),
    }
    Ok(())
}

fn take(tree: &mut Node, path: &[String]) -> Result<Node, String> {
    let nowhere = || "its path does not exist".to_owned();
    let (last, above) = path.split_last().ok_or_else(nowhere)?;
    match &mut find(tree, above).ok_or_else(nowhere)?.value {
        Value::Map(entries) => {
            let i = entries.iter().position(|(k, _)| k.text() == Some(last)).ok_or_else(nowhere)?;
            Ok(entries.remove(i).1)
        }
        Value::List(items) => {
            let i = index(last).filter(|i| *i < items.len()).ok_or_else(nowhere)?;
            Ok(items.remove(i))
        }
        Value::Scalar(_) => Err(nowhere()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::syntax::yaml;

    #[test]
    fn json_patches_apply_whole_or_not_at_all() {
        let cases = [
            (r#"[{"op":"add","path":"/a/-","value":3}]"#, r#"{"a":[1,2,3],"b/c":{"d":1}}"#),
            (r#"[{"op":"add","path":"/a/0","value":0}]"#, r#"{"a":[0,1,2],"b/c":{"d":1}}"#),
            (r#"[{"op":"replace","path":"/b~1c/d","value":2}]"#, r#"{"a":[1,2],"b/c":{"d":2}}"#),
            (
                r#"[{"op":"move","from":"/b~1c/d","path":"/e"},{"op":"remove","path":"/a"}]"#,
                r#"{"b/c":{},"e":1}"#,
            ),
            (r#"[{"op":"copy","from":"/a/1","path":"/a/0"}]"#, r#"{"a":[2,1,2],"b/c":{"d":1}}"#),
            (r#"[{"op":"test","path":"/a/0","value":1},{"op":"add","path":"","value":{}}]"#, "{}"),
            (r#"[{"op":"remove","path":"/a"},{"op":"test","path":"/x","value":1}]"#, "[1]: the test fails"),
            (r#"[{"op":"add","path":"/a/4","value":1}]"#, "[0]: its path is behind"),
            (r#"[{"op":"move","from":"/b~1c","path":"/b~1c/x"}]"#, "[0]: moves a value into itself"),
            (r#"[{"op":"add","path":"a","value":1}]"#, "[0]: `path` is not a JSON pointer"),
            (r#"[{"op":"add","path":"/a"}]"#, "[0]: the operation has no value"),
            (r#"[{"path":"/a"}]"#, "[0]: op takes"),
            ("{}", "a JSON patch is a list"),
        ];
        let tree = yaml::parse("{a: [1, 2], b/c: {d: 1}}").unwrap();
        for (text, want) in cases {
            let mut patched = tree.clone();
            match patch(&mut patched, &yaml::parse(text).unwrap()) {
                Ok(()) => assert_eq!(patched.to_json().to_string(), want, "{text}"),
                Err(problem) => {
                    assert!(problem.to_string().starts_with(want), "{text}: {problem}");
                    assert_eq!(patched, tree, "{text}");
                }
            }
        }
    }
}
