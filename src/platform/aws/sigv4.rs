// SPDX-License-Identifier: Apache-2.0
//! AWS's request signatures, version 4
//! ([Create a signed AWS API request](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)).

use crate::model::encoding::{hex, percent_encoded};
use crate::model::time::Time;
use ring::hmac;
use sha2::{Digest as _, Sha256};

use crate::io::http::Request;
use crate::model::secret::Secret;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs: the role of an instance, or a user.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// The public half.
    pub(super) access_key: String,
    /// The secret half.
    pub(super) secret_key: Secret,
    /// What goes with temporary ones, empty for others.
    pub(super) session_token: Secret,
}

/// What a signature is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// The region that the service answers for.
    pub(super) region: &'a str,
    /// The service's signing name.
    pub(super) service: &'a str,
    /// The time; AWS takes one within five minutes of its own.
    pub(super) now: Time,
}

/// Signs a request: adds `X-Amz-Date`, the session's token and `Authorization`.
pub(super) fn sign(request: Request, credentials: &Credentials, scope: Scope<'_>) -> Request {
    // `YYYYMMDDTHHMMSSZ`
    let stamp = scope.now.to_string().replace(['-', ':'], "");
    let date = stamp.split('T').next().unwrap_or_default().to_owned();
    let mut request = request.header("x-amz-date", stamp.as_str());
    if scope.service == "s3" {
        request = request.header("x-amz-content-sha256", hex(&Sha256::digest(b"")).as_str());
    }
    if !credentials.session_token.is_empty() {
        request = request.header("x-amz-security-token", credentials.session_token.clone());
    }
    let (canonical, signed) = canonical(&request, scope.service == "s3");
    let area = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{stamp}\n{area}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = [b"AWS4", credentials.secret_key.expose()].concat();
    for part in [date.as_str(), scope.region, scope.service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    let signature = hex(&mac(&key, to_sign.as_bytes()));
    let id = &credentials.access_key;
    let value = format!("{ALGORITHM} Credential={id}/{area}, SignedHeaders={signed}, Signature={signature}");
    request.header("authorization", value.as_str())
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// The canonical form of a request, and the names of the headers in it. S3 takes its keys as they stand in the path;
/// the other services want the path encoded once more.
fn canonical(request: &Request, is_s3: bool) -> (Vec<u8>, String) {
    let rest = request.url.split_once("://").map_or(request.url.as_str(), |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = if is_s3 { format!("/{path}") } else { percent_encoded(format!("/{path}").as_bytes(), true) };
    let mut pairs: Vec<(&str, &str)> =
        query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))).collect();
    pairs.sort_unstable();
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers: Vec<(String, String)> = vec![("host".to_owned(), host.to_ascii_lowercase())];
    for (name, value) in &request.headers {
        let text = String::from_utf8_lossy(value.expose());
        let value = text.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let signed = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let body = hex(&Sha256::digest(request.body.expose()));
    let text = format!("{}\n{path}\n{}\n{lines}\n{signed}\n{body}", request.method, query.join("&"));
    (text.into_bytes(), signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::http::Method;

    const SCOPE: Scope<'_> = Scope { region: "us-east-1", service: "service", now: Time(1_440_938_160) };

    fn example() -> Credentials {
        Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: Secret::default(),
        }
    }

    fn signature(request: Request, credentials: &Credentials, scope: Scope<'_>) -> String {
        let signed = sign(request, credentials, scope);
        let (_, value) = signed.headers.last().unwrap();
        let value = String::from_utf8(value.expose().to_vec()).unwrap();
        value.split_once("Signature=").unwrap().1.to_owned()
    }

    /// From AWS's test suite for version 4 and from its documentation.
    #[test]
    fn signatures_are_those_that_aws_publishes() {
        let url = |rest: &str| format!("https://example.amazonaws.com{rest}");
        let get = |rest: &str| Request::get(url(rest));
        let post = Request::new(Method::POST, url("/"));
        let cases = [
            (get("/"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                get("/?Param2=value2&Param1=value1"),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (post.clone(), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                post.header("My-Header1", "value1"),
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
        ];
        for (request, want) in cases {
            let place = request.url.clone();
            assert_eq!(signature(request, &example(), SCOPE), want, "{place}");
        }
        let listing = Request::get("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        assert_eq!(
            signature(listing, &example(), Scope { service: "iam", ..SCOPE }),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        let object =
            Request::get("https://examplebucket.s3.amazonaws.com/test.txt").header("range", "bytes=0-9");
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            ..example()
        };
        assert_eq!(
            signature(object, &credentials, Scope { service: "s3", now: Time(1_369_353_600), ..SCOPE }),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }
}
