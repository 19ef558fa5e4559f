// SPDX-License-Identifier: Apache-2.0
//! Secrets that stand in Secrets Manager or in SSM's parameters: fetched whole, and deleted only by who kept them.
//! [GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html),
//! [GetParameter](https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html).

use std::time::{Duration, Instant};

use crate::io::http::Method;
use anyhow::{Result, anyhow, bail};
use serde_json::{Value as Json, json};

use super::clock::Clock;
use super::imds;
use super::role::{self, domain};
use super::sigv4::{self, Credentials, Scope};
use crate::decode::capa::{Service, Transport};
use crate::decode::document::envelope;
use crate::io::World;
use crate::io::http::{Request, Response};
use crate::model::problem::WithCure as _;
use crate::model::secret::Secret;
use crate::model::time::Time;

/// Most of an answer: a secret has 64 KiB, a parameter 8 KiB, both in base64.
const MAX_ANSWER: usize = 256 << 10;

/// How long a role that was just attached to an instance, or a limit on calls, may keep us waiting between tries.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the deletion of what is safe on the disk may hold the node up.
const DELETE_PATIENCE: Duration = Duration::from_secs(60);

/// Errors that come with status 400 and may yet pass: limits on calls, and permissions that take a while to be known
/// everywhere. [Common errors](https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html).
const MAY_PASS: &[&str] = &[
    "AccessDeniedException",
    "ExpiredTokenException",
    "InternalServerError",
    "InternalServiceError",
    "ServiceUnavailable",
    "ThrottlingException",
    "TooManyUpdates",
    "UnrecognizedClientException",
];

/// Errors that say that what is to be deleted is gone.
const GONE: &[&str] = &["ParameterNotFound", "ResourceNotFoundException"];

/// What a call asks for.
#[derive(Clone, Copy)]
enum Call {
    Get,
    Delete,
}

/// The secret, all its chunks put together and opened.
///
/// # Errors
/// A chunk can't be read, or what they make is broken. Nothing is deleted then.
pub(super) fn fetch(world: &dyn World, transport: &Transport) -> Result<Secret> {
    let answers = call_all(world, transport, Call::Get, world.patience())?;
    let mut whole = Vec::new();
    for (chunk, answer) in answers.into_iter().enumerate() {
        let name = transport.name(chunk);
        let answer = answer.map_err(|kind| anyhow!("{name}: {kind}")).cure(
            "delete the Machine if the secret is gone: Cluster API makes both anew; footplate deleted no chunk",
        )?;
        whole.extend(value(transport.service, &answer).map_err(|what| anyhow!("{name}: {what}"))?);
    }
    // SSM takes text only.
    if !envelope::is_gzip(&whole) {
        whole = envelope::base64(&whole).map_err(|what| anyhow!("{}: {what}", transport.prefix))?;
    }
    let opened = envelope::gunzip(&whole).map_err(|what| anyhow!("{}: {what}", transport.prefix))?;
    if opened.trim_ascii().is_empty() {
        bail!("{}: its chunks are empty", transport.prefix);
    }
    Ok(Secret::new(opened))
}

/// Deletes all chunks. Whoever calls this has what they held on the disk.
///
/// # Errors
/// One or more are left; the message counts them.
pub(super) fn delete(world: &dyn World, transport: &Transport) -> Result<()> {
    let answers = call_all(world, transport, Call::Delete, DELETE_PATIENCE.min(world.patience()))?;
    let left: Vec<String> = answers
        .into_iter()
        .enumerate()
        .filter_map(|(chunk, answer)| Some(format!("{}: {}", transport.name(chunk), answer.err()?)))
        .filter(|what| !GONE.iter().any(|gone| what.ends_with(gone)))
        .collect();
    match left.first() {
        None => Ok(()),
        Some(first) => bail!("{} of {} chunks are left: {first}", left.len(), transport.chunks),
    }
}

/// Makes one call for each chunk, those at once that may be, and again those that may pass. Each ends in an answer or
/// in the name of what AWS says is wrong.
fn call_all(
    world: &dyn World,
    transport: &Transport,
    call: Call,
    patience: Duration,
) -> Result<Vec<Result<Json, String>>> {
    let deadline = Instant::now() + patience;
    let mut answers: Vec<Result<Json, String>> = vec![Err(String::new()); transport.chunks];
    let mut waiting: Vec<usize> = (0..transport.chunks).collect();
    let clock = Clock::default();
    loop {
        // Anew each time: a role's session may have ended, or the role only now have come.
        let imds = imds::open(world, deadline.saturating_duration_since(Instant::now()))?;
        let credentials = role::credentials(&imds)?;
        let requests: Vec<Request> =
            waiting.iter().map(|chunk| request(transport, *chunk, call, &credentials, clock.now())).collect();
        let (mut again, mut told) = (Vec::new(), false);
        for (chunk, response) in waiting.into_iter().zip(world.http(&requests, deadline)) {
            let response = response?;
            told |= clock.refused_for(&response);
            let answer = answer(&response);
            // All of them were signed with the same time.
            let may_pass = |kind: &String| told || MAY_PASS.contains(&kind.as_str());
            if answer.as_ref().is_err_and(may_pass) {
                again.push(chunk);
            }
            answers[chunk] = answer;
        }
        if again.is_empty() || Instant::now() + PAUSE >= deadline {
            return Ok(answers);
        }
        waiting = again;
        std::thread::sleep(PAUSE);
    }
}

fn request(transport: &Transport, chunk: usize, call: Call, credentials: &Credentials, now: Time) -> Request {
    let name = transport.name(chunk);
    let (service, target, body) = match (transport.service, call) {
        (Service::SecretsManager, Call::Get) => {
            ("secretsmanager", "secretsmanager.GetSecretValue", json!({ "SecretId": name }))
        }
        // Without a window in which anybody could bring it back: it is a key to the cluster.
        (Service::SecretsManager, Call::Delete) => (
            "secretsmanager",
            "secretsmanager.DeleteSecret",
            json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true }),
        ),
        (Service::Ssm, Call::Get) => {
            ("ssm", "AmazonSSM.GetParameter", json!({ "Name": name, "WithDecryption": true }))
        }
        (Service::Ssm, Call::Delete) => ("ssm", "AmazonSSM.DeleteParameter", json!({ "Name": name })),
    };
    let region = transport.region.as_str();
    let url = match &transport.endpoint {
        Some(endpoint) => format!("{endpoint}/"),
        None => format!("https://{service}.{region}.{}/", domain(region)),
    };
    let mut request = Request::new(Method::POST, url)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target);
    request.body = body.to_string().as_str().into();
    request.limit = MAX_ANSWER;
    request.secret = true;
    request.label = format!("{target} {name}");
    sigv4::sign(request, credentials, Scope { region, service, now })
}

/// The answer, or the name of the error in it: `__type` is a name, with its space of names before a `#` or without.
fn answer(response: &Response) -> Result<Json, String> {
    let json: Option<Json> = serde_json::from_slice(response.body.expose()).ok();
    if response.status == 200 {
        return json.ok_or_else(|| "the answer is not JSON".to_owned());
    }
    let kind = json.as_ref().and_then(|j| j.get("__type")?.as_str()).unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let is_name = !kind.is_empty() && kind.len() < 80 && kind.bytes().all(|b| b.is_ascii_alphanumeric());
    Err(if is_name { kind.to_owned() } else { format!("HTTP status {}", response.status) })
}

/// What a chunk holds.
fn value(service: Service, answer: &Json) -> Result<Vec<u8>, String> {
    let text = |value: Option<&Json>| value.and_then(Json::as_str).map(|t| t.as_bytes().to_vec());
    match service {
        Service::SecretsManager => match text(answer.get("SecretBinary")) {
            Some(binary) => envelope::base64(&binary),
            None => text(answer.get("SecretString")).ok_or_else(|| "the answer holds no secret".to_owned()),
        },
        Service::Ssm => {
            text(answer.pointer("/Parameter/Value")).ok_or_else(|| "the answer holds no parameter".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_its_name_alone() {
        let error = |status, body: &str| answer(&Response::of(status, body)).unwrap_err();
        assert_eq!(
            error(400, r#"{"__type":"a.b#ThrottlingException","Message":"x"}"#),
            "ThrottlingException"
        );
        assert_eq!(error(400, r#"{"__type":"a b","Message":"x"}"#), "HTTP status 400");
        assert_eq!(error(403, "<html>"), "HTTP status 403");
        assert_eq!(error(200, "<html>"), "the answer is not JSON");
    }
}
