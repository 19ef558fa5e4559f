// SPDX-License-Identifier: Apache-2.0
//! Brings what bootstrap data names and does not hold.

use std::time::Instant;

use crate::io::{Ask, World, http};
use crate::model::fetch::Request;
use crate::provider::aws::s3;

/// Where Flatcar has its OEM partition, today's path first.
const OEM: &[&str] = &["/oem", "/usr/share/oem"];

/// Fetches a file of the machine: a path, `file:` or `oem:`; or an object of S3, for a machine of this platform.
///
/// # Errors
/// It is not there, or is of a scheme that is not fetched.
pub fn fetch(world: &dyn World, platform: &str, request: &Request) -> Result<Vec<u8>, String> {
    let url = String::from_utf8_lossy(request.url.expose());
    if url.starts_with("s3://") {
        let deadline = Instant::now() + world.patience();
        let object = s3::fetch(world, &http::Request::get(url), platform == "aws", deadline);
        return object.map(|o| o.expose().to_vec()).map_err(|e| format!("{e:#}"));
    }
    let mut paths: Vec<String> = Vec::new();
    if let Some(path) = url.strip_prefix("oem://") {
        paths.extend(OEM.iter().map(|dir| format!("{dir}/{}", path.trim_start_matches('/'))));
    } else if let Some(path) = url.strip_prefix("file://").or(url.starts_with('/').then_some(&url)) {
        paths.push(path.to_owned());
    } else {
        return Err("only objects of S3 and files of this machine are fetched: s3://bucket/key, file:///path, /path, oem:///path".to_owned());
    }
    for path in &paths {
        match world.ask(Ask::File(path)) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(error) => return Err(format!("{error:#}")),
        }
    }
    Err("there is no such file".to_owned())
}
