// SPDX-License-Identifier: Apache-2.0
//! A platform's metadata service, as all of them are asked: at fixed addresses, without proxies and redirects, with one
//! deadline for all questions and a bound on every answer, and with a token where the service gives one.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::Error;
use crate::io::http::{self, Method, Request, Response, Way};
use crate::io::{Ask, Tell, World};
use crate::model::facts::Cmdline;
use crate::model::problem::WithCure as _;
use crate::model::secret::Secret;

/// Most bytes of a token.
const MAX_TOKEN: usize = 4 << 10;

/// How many bytes of an answer are looked at for the marks of an HTML page.
const PAGE_HEAD: usize = 1 << 10;

/// What to do about an answer that no metadata service gives.
const IN_BETWEEN: &str = "something else answers in the service's place: look for a proxy, a firewall or a login page between \
                          this machine and its platform";

/// A metadata service.
pub(super) struct Service {
    /// Its scheme and host, such as `http://169.254.169.254`; empty where the paths are whole URLs.
    pub host: &'static str,
    /// Where it listens. All are tried, and the first that answers is used.
    pub addresses: &'static [IpAddr],
    /// How it is connected to.
    pub way: Way,
    /// Headers of every question, names and values.
    pub headers: &'static [(&'static str, &'static str)],
    /// How it gives tokens, if it does.
    pub token: Option<Token>,
    /// Most bytes of an answer.
    pub limit: usize,
    /// What to do where it does not answer.
    pub cure: &'static str,
}

impl Service {
    /// A service at the address that most platforms have, without tokens. A row names what is its own beside.
    pub(super) const LINK_LOCAL: Self = Self {
        host: "http://169.254.169.254",
        addresses: &[],
        way: Way::Direct,
        headers: &[],
        token: None,
        limit: 1 << 20,
        cure: "",
    };

    /// What is at paths of the service, asked for all at once; `None` for what is not there or blank.
    ///
    /// # Errors
    /// One of them can't be had.
    pub(super) fn get<const N: usize>(
        &'static self,
        world: &dyn World,
        paths: [&str; N],
    ) -> Result<[Option<Secret>; N], Error> {
        Session::open(self, world, world.patience())?.get(paths, None)
    }

    /// Tells the service something at a path, with these headers beside those of every question.
    ///
    /// # Errors
    /// It does not take it.
    pub(super) fn tell(
        &self,
        world: &dyn World,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(), Error> {
        let request = Request::new(method, format!("{}{path}", self.host));
        let headers = headers.iter().chain(self.headers);
        let mut request = headers.fold(request, |r, (name, value)| r.header(name, *value));
        (request.addresses, request.way, request.body) = (self.addresses, self.way, body.into());
        world.tell(Tell::Http(&request))
    }
}

/// The type of a body that is JSON.
pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The address of most services.
pub(super) const LINK_LOCAL: [u8; 4] = [169, 254, 169, 254];

/// The addresses of a service that machines without IPv4 reach too.
pub(super) const fn both([a, b, c, d]: [u8; 4], v6: [u16; 8]) -> [IpAddr; 2] {
    let [s, t, u, v, w, x, y, z] = v6;
    [IpAddr::V4(Ipv4Addr::new(a, b, c, d)), IpAddr::V6(Ipv6Addr::new(s, t, u, v, w, x, y, z))]
}

/// How a service gives tokens: to a `PUT`.
pub(super) struct Token {
    /// The path of the `PUT`.
    pub path: &'static str,
    /// The header that says how many seconds the token shall live, and its value.
    pub lifetime: (&'static str, &'static str),
    /// The header that carries the token.
    pub header: &'static str,
    /// The kernel argument that, with the value `allow`, lets questions be asked without a token where none is given. Where there
    /// is none, questions are not asked without.
    pub without: Option<&'static str>,
    /// What to do where the service is disabled (HTTP status 403).
    pub disabled: &'static str,
}

/// A session with a service.
pub(super) struct Session<'a> {
    service: &'static Service,
    world: &'a dyn World,
    deadline: Instant,
    /// Empty where questions are asked without one.
    token: RefCell<Secret>,
}

impl<'a> Session<'a> {
    /// Takes a token, if there are tokens. `patience` is for all that is asked in the session.
    ///
    /// # Errors
    /// The service is not there, or gives no token where that is not allowed.
    pub(super) fn open(
        service: &'static Service,
        world: &'a dyn World,
        patience: Duration,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + patience;
        let session = Self { service, world, deadline, token: RefCell::default() };
        let Some(token) = &service.token else { return Ok(session) };
        let Some(why) = session.renew(token)? else { return Ok(session) };
        let Some(without) = token.without else { return Ok(Err(anyhow!(why)).cure(service.cure)?) };
        let cmdline = Cmdline::parse(&world.text(Ask::File("/proc/cmdline"))?);
        let allowed = cmdline.get(without) == Some("allow") || world.asks_without_token();
        if !allowed {
            let cure = format!(
                "footplate asks this service with a token, and what answers here gives none; the kernel argument \
                 {without}=allow, or imdsv1 in the policy, lets it ask without one"
            );
            return Ok(Err(anyhow!(why)).cure(cure)?);
        }
        log::warn!("fetch: {why}: asked without one, as {without}=allow or the policy says");
        Ok(session)
    }

    /// What is at paths, in the media type that is asked for; `None` for what is not there or blank.
    ///
    /// # Errors
    /// One of them can't be had.
    pub(super) fn get<const N: usize>(
        &self,
        paths: [&str; N],
        media_type: Option<&str>,
    ) -> Result<[Option<Secret>; N], Error> {
        let mut answers = self.get_all_as(&paths.map(str::to_owned), media_type)?.into_iter();
        Ok(paths.map(|_| answers.next().flatten().filter(|answer| !answer.is_blank())))
    }

    /// The values at paths, asked for all at once; `None` for one that is not there.
    ///
    /// # Errors
    /// One of them can't be had.
    pub(super) fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Secret>>, Error> {
        self.get_all_as(paths, None)
    }

    fn get_all_as(&self, paths: &[String], media_type: Option<&str>) -> Result<Vec<Option<Secret>>, Error> {
        let answers = self.ask(paths, |request| match media_type {
            Some(media_type) => request.header("Accept", media_type),
            None => request,
        })?;
        paths.iter().zip(answers).map(|(path, answer)| self.found(path, self.with_cure(answer)?)).collect()
    }

    /// The value at a path, asked for again also after these status codes. Where the service does not know the form of a path (status
    /// 400), the next one counts.
    ///
    /// # Errors
    /// It can't be had.
    pub(super) fn get_late(
        &self,
        paths: &[&str],
        retry_also: &'static [u16],
    ) -> Result<Option<Secret>, Error> {
        let mut left = paths.iter();
        while let Some(path) = left.next() {
            let answer = self.ask(&[(*path).to_owned()], |request| Request { retry_also, ..request })?.pop();
            match answer {
                Some(Ok(response)) if response.status == 400 && !left.as_slice().is_empty() => {}
                Some(answer) => return self.found(path, self.with_cure(answer)?),
                None => {}
            }
        }
        Ok(None)
    }

    /// A credential. One that is not there yet is waited for: it may be attached to an instance after its start.
    ///
    /// # Errors
    /// It can't be had.
    pub(super) fn get_secret(&self, path: &str) -> Result<Option<Secret>, Error> {
        let paths = [path.to_owned()];
        let mut answers =
            self.ask(&paths, |request| Request { secret: true, retry_also: &[404], ..request })?;
        match answers.pop() {
            Some(Err(e)) if e.status == Some(404) => Ok(None),
            Some(answer) => self.found(path, self.with_cure(answer)?),
            None => Ok(None),
        }
    }

    /// Takes a new token. Where the service gives none: how it says so.
    fn renew(&self, token: &Token) -> Result<Option<String>, Error> {
        let mut request = Request::new(Method::PUT, format!("{}{}", self.service.host, token.path))
            .header(token.lifetime.0, token.lifetime.1);
        request.limit = MAX_TOKEN;
        request.secret = true;
        let place = request.place();
        let Some(answer) = self.send(vec![request]).pop() else { return Ok(Some(place)) };
        let response = self.with_cure(answer)?;
        match response.status {
            200 => {}
            403 => {
                let what = anyhow!("{place}: HTTP status 403: the metadata service is disabled");
                return Ok(Err(what).cure(token.disabled)?);
            }
            // It knows no tokens.
            status @ (400 | 404 | 405) => {
                return Ok(Some(format!("{place}: HTTP status {status}: no token")));
            }
            status => return odd(&place, status, ": no token"),
        }
        let value = response.body.expose().trim_ascii();
        no_page(&place, value)?;
        if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
            return Err(anyhow!("{place}: the answer is not a token").into());
        }
        *self.token.borrow_mut() = Secret::new(value);
        Ok(None)
    }

    fn ask(
        &self,
        paths: &[String],
        how: impl Fn(Request) -> Request,
    ) -> Result<Vec<Result<Response, http::Error>>, Error> {
        let service = self.service;
        let request = |path: &String| {
            let request = Request { limit: service.limit, ..Request::get(format!("{}{path}", service.host)) };
            let request = service.headers.iter().fold(request, |r, (name, value)| r.header(name, *value));
            let value = self.token.borrow().clone();
            how(match &service.token {
                Some(token) if !value.is_empty() => request.header(token.header, value),
                _ => request,
            })
        };
        let mut answers = self.send(paths.iter().map(request).collect());
        // A token may end in the middle, when the instance slept or the service restarted: those again with a new one.
        let is_refused =
            |answer: &Result<Response, http::Error>| answer.as_ref().is_ok_and(|r| r.status == 401);
        let refused: Vec<usize> = (0..answers.len()).filter(|i| is_refused(&answers[*i])).collect();
        if let Some(token) = service.token.as_ref().filter(|_| !refused.is_empty())
            && self.renew(token)?.is_none()
        {
            let again = self.send(refused.iter().map(|i| request(&paths[*i])).collect());
            for (i, answer) in refused.into_iter().zip(again) {
                answers[i] = answer;
            }
        }
        Ok(answers)
    }

    /// What an answer holds; `None` where the service has nothing at the path.
    fn found(&self, path: &str, response: Response) -> Result<Option<Secret>, Error> {
        // A query may hold a secret.
        let place = format!("{}{}", self.service.host, path.split('?').next().unwrap_or_default());
        match response.status {
            200 => {
                no_page(&place, response.body.expose())?;
                Ok(Some(response.body))
            }
            204 | 404 => Ok(None),
            401 if self.service.token.is_some() => {
                Err(anyhow!("{place}: HTTP status 401: the token that the service gave is refused").into())
            }
            status => odd(&place, status, ""),
        }
    }

    fn send(&self, mut requests: Vec<Request>) -> Vec<Result<Response, http::Error>> {
        for request in &mut requests {
            (request.addresses, request.way) = (self.service.addresses, self.service.way);
        }
        self.world.http(&requests, self.deadline)
    }

    /// An answer, or an error with the cure where nothing answers.
    fn with_cure(&self, answer: Result<Response, http::Error>) -> Result<Response, Error> {
        match answer {
            Err(e) if ["can't connect", "no answer", "name server"].iter().any(|w| e.what.contains(w)) => {
                Ok(Err(e).cure(self.service.cure)?)
            }
            other => Ok(other.map_err(anyhow::Error::from)?),
        }
    }
}

/// An answer with a status that does not say what was asked. Where no metadata service has such a status, the error says so.
fn odd<T>(place: &str, status: u16, more: &str) -> Result<T, Error> {
    let what = Err(anyhow!("{place}: {}{more}", http::status_text(status)));
    Ok(if status < 400 { what.cure(IN_BETWEEN)? } else { what? })
}

/// Fails where what came is an HTML page. No metadata is one, and no user-data.
fn no_page(place: &str, bytes: &[u8]) -> Result<(), Error> {
    let head = bytes.get(..PAGE_HEAD).unwrap_or(bytes).to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let begins = head.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').starts_with('<');
    if begins && ["<html", "<!doctype html"].iter().any(|mark| head.contains(mark)) {
        return Ok(Err(anyhow!("{place}: the answer is an HTML page, not metadata")).cure(IN_BETWEEN)?);
    }
    Ok(())
}
