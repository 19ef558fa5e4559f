// SPDX-License-Identifier: Apache-2.0
//! Include lists: files that are read in their place.

use super::Reader;
use super::place::{Place, Stop};
use crate::model::fetch::{Request, host_of};
use crate::model::problem::{NOT_FETCHED, Pos, Problem, Severity};

/// Files that all include lists may name together: each costs a fetch at boot.
const MAX_INCLUDES: usize = 50;

impl<'d> Reader<'d, '_, '_> {
    /// A line is a URL or a path; the header may have one behind it.
    pub(super) fn include(&mut self, text: &str, place: &Place<'d>) -> Result<(), Stop> {
        for (n, line) in text.lines().enumerate() {
            let lower = line.to_ascii_lowercase();
            let header = ["#include-once", "#include"].iter().find(|h| lower.starts_with(**h));
            let url = header.map_or(line, |h| &line[h.len()..]).trim();
            if url.is_empty() || url.starts_with('#') {
                continue;
            }
            self.includes += 1;
            let at = Pos { line: n + 1, column: 1 };
            if self.includes > MAX_INCLUDES {
                return Err(
                    place.stop(Problem::error("", format!("more than {MAX_INCLUDES} includes")).at(at))
                );
            }
            let shown = format!("include {}", display_url(url)).trim_end().to_owned();
            let inner = place.inner(&shown);
            let inner = Place { media_type: None, name: None, included: true, ..inner }.unpacked();
            let problem = |level, what: String| Problem {
                severity: level,
                ..place.problem(Problem::error(&shown, what).at(at))
            };
            let request = Request::plain(url);
            let fetched = request.problem().map_or_else(|| (self.fetch)(&request), |what| Err(what.into()));
            match fetched {
                Ok(Some(data)) => self.piece(data, &inner)?,
                Ok(None) => {
                    let what = "is not looked at here: the node reads it when it boots".to_owned();
                    self.documents.problems.push(problem(Severity::Note, what).code(NOT_FETCHED));
                }
                Err(why) => {
                    let problem = why.mark(problem(Severity::Error, why.what.clone()));
                    self.documents.problems.push(problem);
                }
            }
        }
        Ok(())
    }
}

/// What a message shows of a URL or a path: a file's path, or scheme and host of what is fetched. The rest of a URL may be
/// a secret (a login, a signed query, a hook's path), and so may text that is neither.
pub fn display_url(url: &str) -> String {
    let is = |schemes: &[&str], scheme: &str| schemes.iter().any(|s| s.eq_ignore_ascii_case(scheme));
    let shown = match url.split_once("://") {
        Some((scheme, rest)) if is(&["http", "https", "s3"], scheme) => {
            // A login may have a slash in it, which only looks like the host's end.
            let behind = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
            let host = host_of(rest).filter(|_| !behind.contains('@'));
            let path = if rest.contains(['/', '?', '#']) { "/…" } else { "" };
            format!("{scheme}://{}", host.map_or("…".to_owned(), |host| format!("{host}{path}")))
        }
        Some((scheme, _)) if is(&["file", "oem"], scheme) => url.to_owned(),
        None if url.starts_with('/') => url.to_owned(),
        _ => String::new(),
    };
    shown.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::display_url;

    #[test]
    fn a_login_is_not_shown() {
        for (url, want) in [
            ("https://a.example/b?c=d", "https://a.example/…"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("http://[fd00::1]:80/b", "http://[fd00::1]:80/…"),
            ("s3://bucket/key", "s3://bucket/…"),
            ("https://user:secret@a.example/b", "https://a.example/…"),
            ("https://user:se/cret@a.example/b", "https://…"),
            ("https://user:se#cret@a.example/b", "https://…"),
            ("https://se/cret@a.example/b", "https://…"),
            ("https://user:secret", "https://…"),
            ("/etc/a", "/etc/a"),
            ("secret", ""),
        ] {
            assert_eq!(display_url(url), want);
        }
    }
}
