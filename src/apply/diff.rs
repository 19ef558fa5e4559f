// SPDX-License-Identifier: Apache-2.0
//! How files differ, for people: unified where the file is text without a secret, else lengths and digests of both sides.

use crate::model::encoding::hex;
use crate::model::secret::names_secret;
use crate::model::storage::File;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Most lines of the part that differs of which the common ones are looked for; a larger part is shown as replaced.
const MOST: usize = 1500;

/// How `old`, the file that is there, differs from the planned one.
pub fn file(file: &File, old: Option<&[u8]>) -> String {
    let new = match old {
        Some(old) if file.append => [old, file.content.expose()].concat(),
        _ => file.content.expose().to_vec(),
    };
    let secret = file.mode & 0o044 == 0 || [old.unwrap_or_default(), &new].into_iter().any(holds_secret);
    match (std::str::from_utf8(old.unwrap_or_default()), std::str::from_utf8(&new)) {
        (Ok(text), Ok(new)) if !secret => {
            let from = if old.is_some() { format!("a{}", file.path) } else { "/dev/null".to_owned() };
            format!("--- {from}\n+++ b{}\n{}", file.path, unified(text, new))
        }
        _ => {
            let kind = if secret { "may hold a secret" } else { "not text" };
            let old = old.map_or("absent".to_owned(), digest);
            format!("{}: {kind}: {old} -> {}\n", file.path, digest(&new))
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    format!("{} bytes, sha256 {}", bytes.len(), hex(&Sha256::digest(bytes)))
}

/// Whether a text looks as if it held a secret: a private key, the login of a URL, or a name of secrets with a value.
fn holds_secret(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let line = |line: &str| {
        let login = line
            .split("://")
            .skip(1)
            .any(|rest| rest.split('/').next().is_some_and(|host| host.contains('@')));
        let named = line.split_once([':', '=']).is_some_and(|(name, value)| {
            let name = name
                .rsplit(|c: char| c.is_whitespace() || "\"'{,-".contains(c))
                .find(|word| !word.is_empty());
            name.is_some_and(names_secret) && !value.trim().is_empty()
        });
        login
            || named
            || line.contains("PRIVATE KEY")
            || line.contains("--token")
            || line.contains("--password")
    };
    text.lines().any(line)
}

/// A line of a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// The hunks of a unified diff.
fn unified(old: &str, new: &str) -> String {
    let lines = compared(
        &old.split_inclusive('\n').collect::<Vec<_>>(),
        &new.split_inclusive('\n').collect::<Vec<_>>(),
    );
    let changed = |i: usize| !matches!(lines[i], Line::Same(_));
    let mut text = String::new();
    let (mut at, mut old_line, mut new_line) = (0, 1, 1);
    while let Some(first) = (at..lines.len()).find(|i| changed(*i)) {
        let begin = first.saturating_sub(CONTEXT).max(at);
        let mut end = first;
        while let Some(next) = (end..lines.len().min(end + 2 * CONTEXT + 1)).find(|i| changed(*i)) {
            end = next + 1;
        }
        let end = (end + CONTEXT).min(lines.len());
        (old_line, new_line) = (old_line + begin - at, new_line + begin - at);
        let hunk = &lines[begin..end];
        let old_count = hunk.iter().filter(|l| !matches!(l, Line::New(_))).count();
        let new_count = hunk.iter().filter(|l| !matches!(l, Line::Old(_))).count();
        let from = |line: usize, count: usize| if count == 0 { line - 1 } else { line };
        text += &format!(
            "@@ -{},{old_count} +{},{new_count} @@\n",
            from(old_line, old_count),
            from(new_line, new_count)
        );
        for line in hunk {
            let (sign, line) = match line {
                Line::Same(line) => (' ', line),
                Line::Old(line) => ('-', line),
                Line::New(line) => ('+', line),
            };
            text.push(sign);
            text += line;
            if !line.ends_with('\n') {
                text += "\n\\ No newline at end of file\n";
            }
        }
        (old_line, new_line, at) = (old_line + old_count, new_line + new_count, end);
    }
    text
}

/// The lines of both, by their longest common subsequence.
fn compared<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[before..old.len() - after], &new[before..new.len() - after]);
    let mut lines: Vec<Line<'a>> = old[..before].iter().map(|l| Line::Same(l)).collect();
    let (mut i, mut j) = (0, 0);
    if a.len() <= MOST && b.len() <= MOST {
        // How many lines the ends from i and j on have in common.
        let width = b.len() + 1;
        let mut common = vec![0u16; (a.len() + 1) * width];
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                common[i * width + j] = match a[i] == b[j] {
                    true => common[(i + 1) * width + j + 1] + 1,
                    false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
                };
            }
        }
        while i < a.len() && j < b.len() {
            if a[i] == b[j] {
                lines.push(Line::Same(a[i]));
                (i, j) = (i + 1, j + 1);
            } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
                lines.push(Line::Old(a[i]));
                i += 1;
            } else {
                lines.push(Line::New(b[j]));
                j += 1;
            }
        }
    }
    lines.extend(a[i..].iter().map(|l| Line::Old(l)));
    lines.extend(b[j..].iter().map(|l| Line::New(l)));
    lines.extend(old[old.len() - after..].iter().map(|l| Line::Same(l)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `patch` is the oracle in the integration tests; here only what the hunks look like.
    #[test]
    fn hunks_have_three_lines_of_context() {
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("10\n", "ten\n").replace("20\n", "20");
        let text = unified(&old, &new);
        let want = "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n@@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n+20\n\\ No newline at end of file\n";
        assert_eq!(text, want);
        assert_eq!(unified("a\n", "a\n"), "");
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
    }

    #[test]
    fn secrets_are_seen() {
        for text in [
            "password: x",
            "  token: \"abc\"",
            "export API_KEY=x",
            "proxy=http://u:p@h/",
            "-----BEGIN RSA PRIVATE KEY-----",
            "{\"clientSecret\": \"x\"}",
            "kubeadm join h --token a",
        ] {
            assert!(holds_secret(text.as_bytes()), "{text}");
        }
        for text in ["name: x", "Address=192.0.2.1/24", "url: http://h/a@b", "password:", "# a comment"] {
            assert!(!holds_secret(text.as_bytes()), "{text}");
        }
    }
}
