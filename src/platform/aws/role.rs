// SPDX-License-Identifier: Apache-2.0
//! Who the instance is to AWS's services: its role's credentials
//! ([security credentials](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html)),
//! and the domain in which its region's services are.

use serde_json::Value as Json;

use super::imds;
use super::sigv4::Credentials;
use crate::model::encoding::percent_encoded;
use crate::model::problem::Problem;
use crate::platform::Error;
use crate::platform::service::Session;

/// The key that lists the role; below it are its credentials.
pub(super) const ROLE: &str = "iam/security-credentials/";

/// The domains of AWS's partitions, by how their regions begin; all others are in the first one's.
const PARTITIONS: &[(&str, &str)] = &[
    ("cn-", "amazonaws.com.cn"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// The domain of a region's endpoints.
pub(super) fn domain(region: &str) -> &'static str {
    PARTITIONS
        .iter()
        .find(|(begin, _)| region.starts_with(begin))
        .map_or("amazonaws.com", |(_, domain)| domain)
}

/// The credentials of the instance's role. A role that is only now attached is waited for.
///
/// # Errors
/// It has no role, also after a while, or the role has no credentials.
pub(super) fn credentials(imds: &Session<'_>) -> Result<Credentials, Error> {
    let none = |what: &str| {
        Problem::error("", what).cure("give the instance a profile: AWSMachineTemplate's iamInstanceProfile")
    };
    let role = imds.get_secret(&imds::meta_data(ROLE))?;
    let role = role.ok_or_else(|| none("the instance has no role, so it can't sign requests"))?;
    let role = imds::text("the role", &role)?;
    let role = role.lines().next().unwrap_or_default().trim();
    let path = imds::meta_data(&format!("{ROLE}{}", percent_encoded(role.as_bytes(), false)));
    let answer = imds.get_secret(&path)?.ok_or_else(|| none("the instance's role has no credentials"))?;
    let json: Json = serde_json::from_slice(answer.expose())
        .map_err(|_| Problem::error("", "the role's credentials are not JSON"))?;
    let text = |key: &str| json.get(key).and_then(Json::as_str).unwrap_or_default();
    if text("AccessKeyId").is_empty() || text("SecretAccessKey").is_empty() {
        return Err(none("the role's credentials hold no key").into());
    }
    Ok(Credentials {
        access_key: text("AccessKeyId").to_owned(),
        secret_key: text("SecretAccessKey").into(),
        session_token: text("Token").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_domain() {
        for (region, want) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
        ] {
            assert_eq!(domain(region), want, "{region}");
        }
    }
}
