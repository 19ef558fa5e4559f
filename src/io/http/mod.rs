// SPDX-License-Identifier: Apache-2.0
//! HTTP/1.1, as metadata services, AWS's endpoints, download mirrors and the sources of bootstrap data are asked: no
//! cookies, no redirects and no proxies unless the request has them, bounds on every header and body, and an end to all
//! tries.
//!
//! The library is reqwest, with everything turned off that it would do by itself. hyper, below it, bounds an answer's head:
//! 100 headers, 400 KiB. Bodies are read in chunks and bounded here.

mod client;
mod connect;
mod download;
mod relay;
mod request;
mod retry;
mod tls;
mod travel;

pub use reqwest::Method;

pub use self::client::Client;
pub use self::connect::USER_AGENT;
pub use self::download::{Sink, Unfinished};
pub use self::relay::Way;
pub use self::request::{Error, Identity, Request, Response, proxies_of_environment};
pub use self::retry::{WAITING, for_a_person, is_for_a_person, jitter, status_text};
