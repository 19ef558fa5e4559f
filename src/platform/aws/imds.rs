// SPDX-License-Identifier: Apache-2.0
//! EC2's metadata service, version 2
//! ([Use the Instance Metadata Service](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html)).

use std::time::Duration;

use crate::io::World;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::Error;
use crate::platform::service::{LINK_LOCAL, Service, Session, Token, both};

/// The newest version with keys that are asked for here (`ipv4-prefix`), as a path; a version never changes once it is out.
pub(super) const VERSION: &str = "/2021-07-15";

/// The service. Its second address answers on Nitro where it is enabled. The user-data is its largest answer: EC2 allows
/// it 16 KiB. Version 1, which gives its data to anybody who makes the node fetch a URL, is spoken only where the operator
/// allows it. The token has the longest life that it can have, and is never stored.
static SERVICE: Service = Service {
    addresses: &both(LINK_LOCAL, [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254]),
    token: Some(Token {
        path: "/latest/api/token",
        lifetime: ("x-aws-ec2-metadata-token-ttl-seconds", "21600"),
        header: "x-aws-ec2-metadata-token",
        without: Some("footplate.imdsv1"),
        disabled: "enable it: aws ec2 modify-instance-metadata-options --http-endpoint enabled",
    }),
    limit: 64 << 10,
    cure: "EC2's metadata service does not answer: see that the instance's metadata options enable it, and that a \
           route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// A session with the service; `patience` is for all that is asked in it.
///
/// # Errors
/// The service is not there, or gives no token where that is not allowed.
pub(super) fn open(world: &dyn World, patience: Duration) -> Result<Session<'_>, Error> {
    Session::open(&SERVICE, world, patience)
}

/// The path of a key of the metadata.
pub(super) fn meta_data(key: &str) -> String {
    format!("{VERSION}/meta-data/{key}")
}

/// A value of the tree, which is text.
pub(super) fn text(key: &str, value: &Secret) -> Result<String, Error> {
    let text = std::str::from_utf8(value.expose()).map_err(|_| Problem::error(key, "not UTF-8 text"))?;
    if text.contains('\0') {
        return Err(Problem::error(key, "a binary, and not metadata").into());
    }
    Ok(text.replace("\r\n", "\n").trim_end().to_owned())
}
