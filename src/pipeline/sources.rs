// SPDX-License-Identifier: Apache-2.0
//! Brings what bootstrap data names and does not hold.

use std::time::Instant;

use crate::io::{Ask, World, http};
use crate::model::fetch::{Request, SCHEMES, Unfetched};
use crate::platform::{Error, Platform};

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
            object.map(|data| Some(data.into_exposed())).map_err(|e| match e {
                Error::Unreachable(e) => Unfetched { what: format!("{e:#}"), unreached: true },
                Error::Broken(problem) => problem.to_string().into(),
            })
        }
        _ => Err(SCHEMES.into()),
    }
}

/// Whether it names a file of this machine.
pub fn is_here(request: &Request) -> bool {
    let url = String::from_utf8_lossy(request.url.expose());
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    url.starts_with('/') || ["file", "oem"].iter().any(|s| scheme.eq_ignore_ascii_case(s))
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
    let mut message = message(request, url).with_login();
    message.redirects = MAX_REDIRECTS;
    let answer = world.http(&[message], deadline).into_iter().next();
    let answer = answer
        .ok_or("was not asked")?
        .map_err(|e| Unfetched { what: e.without_place(), unreached: e.gave_up })?;
    let body = answer.found()?.ok_or("HTTP status 404: the file does not exist")?;
    Ok(body.into_exposed())
}
