// SPDX-License-Identifier: Apache-2.0
//! Objects in S3, as Ignition's configs name them: `s3://BUCKET/KEY`, with `?versionId=` for one version of it
//! ([GetObject](https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html)).

use std::time::Instant;

use anyhow::anyhow;

use super::clock::Clock;
use super::imds;
use super::role::{self, ROLE, domain};
use super::sigv4::{self, Scope};
use super::{LOCAL_IPV4, REGION};
use crate::io::World;
use crate::io::http::{Request, Response};
use crate::model::encoding::percent_encoded;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::Error;

/// The region that is asked where a bucket is, by a machine that is in none.
const ANY_REGION: &str = "us-east-1";

/// What names a bucket's region in any answer about it, refusals too
/// ([HeadBucket](https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html)).
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// Fetches a public object, for a machine that is not on EC2: what answers at the metadata service's address there may be
/// anybody. `request` has the `s3:` URL and how to fetch it: the requests that are sent are made from it.
///
/// # Errors
/// It can't be had, by the name that S3 has for the reason; or the URL does not name an object.
pub(in crate::platform) fn fetch_public(
    world: &dyn World,
    request: &Request,
    deadline: Instant,
) -> Result<Secret, Error> {
    fetch(world, request, false, deadline)
}

/// Fetches an object for an instance of EC2: the requests are signed by the instance's role, if it has one.
///
/// # Errors
/// As [`fetch_public`], or the metadata service does not answer.
pub(super) fn fetch_as_instance(
    world: &dyn World,
    request: &Request,
    deadline: Instant,
) -> Result<Secret, Error> {
    fetch(world, request, true, deadline)
}

fn fetch(world: &dyn World, request: &Request, on_ec2: bool, deadline: Instant) -> Result<Secret, Error> {
    let object = Object::parse(&request.url).map_err(|what| Problem::error(request.place(), what))?;
    let left = || deadline.saturating_duration_since(Instant::now());
    let imds = if on_ec2 { Some(imds::open(world, left())?) } else { None };
    let mut place = Place { region: ANY_REGION.to_owned(), only_ipv6: false };
    let mut credentials = None;
    if let Some(imds) = &imds {
        let mut answers = imds.get_all(&[REGION, LOCAL_IPV4, ROLE].map(imds::meta_data))?.into_iter();
        let mut answer = || answers.next().flatten();
        if let Some(region) = answer() {
            place.region = imds::text(REGION, &region)?;
        }
        place.only_ipv6 = answer().is_none();
        if answer().is_some() {
            credentials = Some(role::credentials(imds)?);
        }
    }
    let (mut moved, clock) = (false, Clock::default());
    loop {
        // Where S3 redirects to is told in another way, and a signature holds for one host.
        let mut sent = Request { url: object.url(&place)?, redirects: 0, ..request.clone() };
        if let Some(credentials) = &credentials {
            sent = sigv4::sign(
                sent,
                credentials,
                Scope { region: &place.region, service: "s3", now: clock.now() },
            );
        }
        let Some(answer) = world.http(&[sent], deadline).pop() else {
            return Err(anyhow!("{}", request.place()).into());
        };
        let answer = answer.map_err(|e| match e.gave_up {
            true => Error::Unreachable(e.into()),
            false => Problem::error("", e.to_string()).into(),
        })?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        if credentials.is_some() && clock.refused_for(&answer) {
            continue;
        }
        let region = region_of(&answer).filter(|r| *r != place.region);
        match (region, &imds, &credentials) {
            // Told where it is, once: a bucket is in one region.
            (Some(region), ..) if !moved => (place.region, moved) = (region, true),
            // It is not public. A role may be on its way: it is attached to an instance after its start.
            (_, Some(imds), None) if answer.status == 403 => credentials = Some(role::credentials(imds)?),
            _ => {
                let name = element(&answer, "Code").unwrap_or_else(|| "not an answer of S3".to_owned());
                let what = format!("HTTP status {}: {name}", answer.status);
                let problem = Problem::error(request.place(), what);
                return Err(match answer.status {
                    403 => problem.cure(
                        "give the instance's role s3:GetObject for it; what is not there is refused too",
                    ),
                    _ => problem,
                }
                .into());
            }
        }
    }
}

/// From where an object is fetched.
struct Place {
    region: String,
    /// Whether the instance has no IPv4: only some names of S3 have IPv6 addresses.
    only_ipv6: bool,
}

/// What an `s3:` URL names.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    bucket: String,
    /// The key as a path, encoded as signatures want it.
    path: String,
    version: Option<String>,
}

impl Object {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let (_, rest) = url.split_once("://").ok_or("is not an s3: URL")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if bucket.is_empty() || !bucket.bytes().all(is_bucket) {
            return Err("does not name a bucket");
        }
        let key = decoded(key).ok_or("has a % that two hexadecimal digits do not follow")?;
        // Nobody can ask for these by a URL: they are taken for directories on the way.
        if key.is_empty() || key.split(|b| *b == b'/').any(|part| part == b"." || part == b"..") {
            return Err("does not name an object");
        }
        let mut version = None;
        for (name, value) in
            query.split('&').filter(|q| !q.is_empty()).filter_map(|q| q.split_once('=').or(Some((q, ""))))
        {
            if name != "versionId" || value.is_empty() {
                return Err("has a query other than versionId");
            }
            version = Some(percent_encoded(&decoded(value).ok_or("has a broken versionId")?, false));
        }
        Ok(Self { bucket: bucket.to_owned(), path: percent_encoded(&key, true), version })
    }

    /// Its address. A bucket whose name has a dot is covered by no certificate, and one with capitals is not the name of a
    /// host: these are named in the path
    /// ([virtual hosting](https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html)).
    fn url(&self, place: &Place) -> Result<String, Problem> {
        let region = place.region.as_str();
        if region.is_empty()
            || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(Problem::error(
                self.bucket.as_str(),
                "the answer that should name its region does not",
            ));
        }
        let dual = if place.only_ipv6 { "dualstack." } else { "" };
        let host = format!("s3.{dual}{region}.{}", domain(region));
        let is_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let (bucket, path) = (&self.bucket, &self.path);
        let mut url = match bucket.bytes().all(is_label) {
            true => format!("https://{bucket}.{host}/{path}"),
            false => format!("https://{host}/{bucket}/{path}"),
        };
        if let Some(version) = &self.version {
            url += &format!("?versionId={version}");
        }
        Ok(url)
    }
}

/// Bytes in which `%XX` stands for others.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.as_bytes().split(|b| *b == b'%');
    let mut bytes = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        bytes.extend_from_slice(rest);
    }
    Some(bytes)
}

/// The region that an answer says the bucket is in.
fn region_of(answer: &Response) -> Option<String> {
    answer.header(BUCKET_REGION).map(str::to_owned).or_else(|| element(answer, "Region"))
}

/// A plain element of an error: a name, never a message
/// ([error responses](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)).
fn element(answer: &Response, name: &str) -> Option<String> {
    let text = std::str::from_utf8(answer.body.expose()).ok()?;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once("</")?;
    let plain = !value.is_empty()
        && value.len() < 80
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_objects() {
        let url = |text: &str, region: &str, only_ipv6| {
            Object::parse(text).map(|o| o.url(&Place { region: region.to_owned(), only_ipv6 }).unwrap())
        };
        for (text, region, want) in [
            ("s3://b-1/node/m-1", "eu-west-1", "https://b-1.s3.eu-west-1.amazonaws.com/node/m-1"),
            (
                "s3://b/k?versionId=a%2Fb",
                "eu-west-1",
                "https://b.s3.eu-west-1.amazonaws.com/k?versionId=a%2Fb",
            ),
            ("s3://a.b/k%20%c3%bc+", "us-east-1", "https://s3.us-east-1.amazonaws.com/a.b/k%20%C3%BC%2B"),
            ("s3://Old_One/k", "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn/Old_One/k"),
        ] {
            assert_eq!(url(text, region, false).as_deref(), Ok(want));
        }
        assert_eq!(
            url("s3://b/k", "eu-west-1", true).as_deref(),
            Ok("https://b.s3.dualstack.eu-west-1.amazonaws.com/k")
        );
        for (text, want) in [
            ("s3://", "not name a bucket"),
            ("s3:///k", "not name a bucket"),
            ("s3://b@c/k", "a bucket"),
            ("s3://b", "not name an object"),
            ("s3://b/", "not name an object"),
            ("s3://b/a/../k", "not name an object"),
            ("s3://b/%2E", "not name an object"),
            ("s3://b/%2", "%"),
            ("s3://b/k?acl", "versionId"),
        ] {
            assert!(url(text, "eu-west-1", false).unwrap_err().contains(want), "{text}");
        }
        let object = Object::parse("s3://b/k").unwrap();
        for region in ["", "evil.example/", "EU"] {
            assert!(object.url(&Place { region: region.to_owned(), only_ipv6: false }).is_err(), "{region}");
        }
    }

    #[test]
    fn an_error_is_told_by_its_name_alone() {
        let code = |body: &str| element(&Response::of(403, body), "Code");
        assert_eq!(code("<Error><Code>AccessDenied</Code><Message>x").as_deref(), Some("AccessDenied"));
        for body in ["", "<Code>a b</Code>", "<Code>", "<Code></Code>"] {
            assert_eq!(code(body), None, "{body}");
        }
    }
}
