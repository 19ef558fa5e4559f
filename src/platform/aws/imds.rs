// SPDX-License-Identifier: Apache-2.0
//! The metadata service's session: a token, and questions with it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::with_cure;
use crate::error::WithCure as _;
use crate::io::http::{Error, Method, Request, Response};
use crate::io::{Ask, World};
use crate::model::facts::Cmdline;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// The service's two addresses, the same on every instance; the second answers on Nitro where it is enabled.
const ADDRESSES: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
];

const HOST: &str = "http://169.254.169.254";

/// The newest version with keys that are asked for here (`ipv4-prefix`); a version never changes once it is out.
const VERSION: &str = "2021-07-15";

/// The longest life that a token can have. It is never stored.
const TOKEN_SECONDS: &str = "21600";

const MAX_TOKEN: usize = 4 << 10;

/// One answer of the tree, and the user-data: EC2 allows it 16 KiB.
const MAX_VALUE: usize = 64 << 10;

/// The path of the user-data.
pub(super) fn user_data() -> String {
    format!("/{VERSION}/user-data")
}

/// The path of a key of the metadata.
pub(super) fn meta_data(key: &str) -> String {
    format!("/{VERSION}/meta-data/{key}")
}

/// A value of the tree, which is text.
pub(super) fn text(key: &str, value: &Secret) -> Result<String> {
    let text = std::str::from_utf8(value.expose()).map_err(|_| Problem::error(key, "not UTF-8 text"))?;
    if text.contains('\0') || text.trim_start().starts_with("<!") || text.trim_start().starts_with("<html") {
        return Err(Problem::error(key, "is a page or a binary, and no metadata").into());
    }
    Ok(text.replace("\r\n", "\n").trim_end().to_owned())
}

/// The kernel argument by which an operator lets version 1 be spoken, where what answers knows no other.
const V1: &str = "footplate.imdsv1";

/// A session with the service.
pub(super) struct Imds<'a> {
    world: &'a dyn World,
    deadline: Instant,
    /// Empty where version 1 is spoken.
    token: RefCell<Secret>,
}

impl<'a> Imds<'a> {
    /// Asks for a token; `patience` holds for all that is asked with it.
    ///
    /// # Errors
    /// The service is not there, or gives no token: version 1, which gives its data to whoever makes the node fetch a
    /// URL, is fallen back to only where [`V1`] says `allow`.
    pub(super) fn open(world: &'a dyn World, patience: Duration) -> Result<Self> {
        let session = Self { world, deadline: Instant::now() + patience, token: RefCell::default() };
        let Some(why) = session.renew()? else { return Ok(session) };
        let cmdline = Cmdline::parse(&world.text(Ask::File("/proc/cmdline"))?);
        if cmdline.get(V1) != Some("allow") {
            return Err(anyhow!(why)).cure(format!(
                "footplate speaks version 2 of the metadata service, what answers here does not; the kernel argument \
                 {V1}=allow lets it ask without a token"
            ));
        }
        log::warn!("fetch: {why}: asked without one, as {V1}=allow says");
        Ok(session)
    }

    /// Takes a new token. Where the service is one that gives none: how it says so.
    fn renew(&self) -> Result<Option<String>> {
        let mut request = Request::new(Method::PUT, format!("{HOST}/latest/api/token"))
            .header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS);
        request.limit = MAX_TOKEN;
        request.secret = true;
        let place = request.place();
        let response = self.send(vec![request])?.remove(0);
        match response.status {
            200 => {}
            403 => {
                return Err(anyhow!(
                    "{place}: HTTP status 403: the metadata service is disabled for this instance"
                ))
                .cure("enable it: aws ec2 modify-instance-metadata-options --http-endpoint enabled");
            }
            status => return Ok(Some(format!("{place}: HTTP status {status}: no token"))),
        }
        let token = response.body.expose().trim_ascii();
        if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
            return Err(anyhow!("{place}: what came is no token"));
        }
        *self.token.borrow_mut() = Secret::new(token);
        Ok(None)
    }

    /// The values at paths, `None` for one that is not there, all asked for at once.
    ///
    /// # Errors
    /// One of them can't be had.
    pub(super) fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Secret>>> {
        self.ask(paths, |request| request)
    }

    /// A credential: one that is not there yet is waited for, since a role is attached to an instance after its start.
    ///
    /// # Errors
    /// It can't be had.
    pub(super) fn get_secret(&self, path: &str) -> Result<Option<Secret>> {
        let asked =
            self.ask(&[path.to_owned()], |request| Request { secret: true, retry_also: &[404], ..request });
        match asked {
            Ok(mut answers) => Ok(answers.pop().flatten()),
            Err(e) if e.downcast_ref::<Error>().is_some_and(|e| e.status == Some(404)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn ask(&self, paths: &[String], how: impl Fn(Request) -> Request) -> Result<Vec<Option<Secret>>> {
        let request = |path: &String| {
            let request = Request { limit: MAX_VALUE, ..Request::get(format!("{HOST}{path}")) };
            let token = self.token.borrow().clone();
            how(if token.is_empty() { request } else { request.header("x-aws-ec2-metadata-token", token) })
        };
        let mut responses = self.send(paths.iter().map(request).collect())?;
        // A token may end in the middle, when the instance slept or the service restarted: those again with a new one.
        let refused: Vec<usize> = (0..paths.len()).filter(|i| responses[*i].status == 401).collect();
        if !refused.is_empty() && self.renew()?.is_none() {
            let again = self.send(refused.iter().map(|i| request(&paths[*i])).collect())?;
            for (i, response) in refused.into_iter().zip(again) {
                responses[i] = response;
            }
        }
        let found = |(path, response): (&String, Response)| match response.status {
            401 => Err(anyhow!("{HOST}{path}: HTTP status 401: the token that the service gave is refused")),
            _ => response.found().map_err(|what| anyhow!("{HOST}{path}: {what}")),
        };
        paths.iter().zip(responses).map(found).collect()
    }

    fn send(&self, mut requests: Vec<Request>) -> Result<Vec<Response>> {
        for request in &mut requests {
            request.addresses = ADDRESSES;
        }
        self.world.http(&requests, self.deadline).into_iter().map(with_cure).collect()
    }
}
