// SPDX-License-Identifier: Apache-2.0
//! Brings what bootstrap data names and does not hold.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::io::{Ask, World, http};
use crate::model::fetch::{Request, SCHEMES, Unfetched};
use crate::model::secret::Secret;
use crate::platform::Platform;

/// Where Flatcar has its OEM partition, today's path first.
pub const OEM: &[&str] = &["/oem", "/usr/share/oem"];

/// Most bytes that one source may bring: what decoders take in all.
const MAX_SOURCE: usize = 32 << 20;

/// Redirects that are followed: as many as Ignition and curl's users are used to.
const MAX_REDIRECTS: u8 = 10;

/// Fetches what a URL or a path names: a file of the machine (a path, `file:`, `oem:`), an answer over HTTP, or an object of
/// S3 as this platform fetches one. `None` is a file that the machine does not have: something may make it yet.
///
/// # Errors
/// Elsewhere it is not there, it did not come before `deadline`, or it is of a scheme that is not fetched.
pub fn fetch(
    world: &dyn World,
    platform: &Platform,
    request: &Request,
    deadline: Instant,
) -> Result<Option<Vec<u8>>, Unfetched> {
    let url = String::from_utf8_lossy(request.url.expose());
    match url.split_once("://") {
        _ if url.starts_with('/') => of_machine(world, &[url.into_owned()]),
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => of_machine(world, &[path.to_owned()]),
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("oem") => {
            let below = |dir: &&str| format!("{dir}/{}", path.trim_start_matches('/'));
            of_machine(world, &OEM.iter().map(below).collect::<Vec<_>>())
        }
        Some((scheme, _)) if ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) => {
            over_http(world, request, &url, deadline).map(Some)
        }
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("s3") => {
            let object = (platform.s3)(world, &message(request, &url), deadline);
            object.map(|data| Some(data.into_exposed())).map_err(|e| Unfetched {
                what: format!("{e:#}"),
                unreached: e.downcast_ref::<http::Error>().is_some_and(|e| e.gave_up),
            })
        }
        _ => Err(SCHEMES.into()),
    }
}

/// The first of these files that is there.
fn of_machine(world: &dyn World, paths: &[String]) -> Result<Option<Vec<u8>>, Unfetched> {
    let mut asked = paths.iter().map(|path| world.ask(Ask::File(path)));
    asked.find_map(Result::transpose).transpose().map_err(|e| format!("{:#}", anyhow::Error::from(e)).into())
}

/// The request as it is sent.
fn message(request: &Request, url: &str) -> http::Request {
    let mut message = http::Request::get(url);
    message.headers.extend(request.headers.iter().cloned());
    message.limit = MAX_SOURCE;
    message.options = request.options.clone();
    message
}

fn over_http(
    world: &dyn World,
    request: &Request,
    url: &str,
    deadline: Instant,
) -> Result<Vec<u8>, Unfetched> {
    let (plain, login) = without_login(url);
    let mut message = message(request, &plain);
    message.redirects = MAX_REDIRECTS;
    if let Some(login) = login.filter(|_| !has(&message, "authorization")) {
        message = message.header("authorization", login);
    }
    let answer = world.http(&[message], deadline).into_iter().next();
    let answer = answer
        .ok_or("was not asked")?
        .map_err(|e| Unfetched { what: e.without_place(), unreached: e.gave_up })?;
    if (300..400).contains(&answer.status) {
        return Err(format!("more than {MAX_REDIRECTS} redirects").into());
    }
    let body = answer.found()?.ok_or("HTTP status 404: there is no such file")?;
    Ok(body.into_exposed())
}

fn has(message: &http::Request, header: &str) -> bool {
    message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header))
}

/// A URL without the user and password that it may carry, and these as a header
/// ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)).
fn without_login(url: &str) -> (String, Option<Secret>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((login, _)) = rest[..end].rsplit_once('@') else { return (url.to_owned(), None) };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let both = [unescaped(user).as_slice(), b":", &unescaped(password)].concat();
    let header = Secret::new(format!("Basic {}", STANDARD.encode(both)));
    (format!("{scheme}://{}", &rest[login.len() + 1..]), Some(header))
}

/// A part of a URL without its `%` sequences; one that is broken stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        match (digit(at + 1), digit(at + 2)) {
            (Some(high), Some(low)) if byte == b'%' => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leaves_the_url() {
        for (url, plain, login) in [
            ("https://a.example/x", "https://a.example/x", None),
            ("https://u:p@a.example/x@y", "https://a.example/x@y", Some("u:p")),
            ("https://u%40d:p%3a@a.example:8/?q", "https://a.example:8/?q", Some("u@d:p:")),
            ("http://u@a.example", "http://a.example", Some("u:")),
        ] {
            let (got, header) = without_login(url);
            let header = header.map(|h| String::from_utf8(h.into_exposed()).unwrap());
            assert_eq!(got, plain);
            assert_eq!(header, login.map(|l| format!("Basic {}", STANDARD.encode(l))), "{url}");
        }
    }
}
