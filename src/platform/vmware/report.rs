// SPDX-License-Identifier: Apache-2.0
//! What vSphere is told, in keys of guestinfo that its owner reads from outside. `docs/vsphere.md` lists them.

use std::net::IpAddr;

use super::{clear, host};
use crate::io::{Tell, World};
use crate::platform::{Error, Report};

/// An empty value can't be set; a blank says that there is nothing.
const NOTHING: &str = " ";

/// Tells how it goes. A key that is refused does not keep the others back: all of them are tried, and the first error is the
/// result.
pub(super) fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let mut told = Ok(());
    let mut set = |key: &str, value: &str| {
        // The hypervisor takes one line of text.
        let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = if line.is_empty() { NOTHING } else { &line };
        keep_first(&mut told, world.tell(Tell::Guestinfo { key, value: line.as_bytes() }));
    };
    // The state last: who waits for it finds the rest in place.
    set("guestinfo.footplate.report", report.whole);
    set("guestinfo.footplate.error", report.error.unwrap_or(NOTHING));
    set("guestinfo.footplate.code", report.code.unwrap_or(NOTHING));
    set("guestinfo.footplate.phase", report.phase.unwrap_or(NOTHING));
    set("guestinfo.footplate.state", report.state);
    match host::addresses(world) {
        Ok((v4, v6)) => {
            let text = |ip: Option<IpAddr>| ip.map_or(NOTHING.to_owned(), |ip| ip.to_string());
            set("guestinfo.local-ipv4", &text(v4));
            set("guestinfo.local-ipv6", &text(v6));
        }
        Err(error) => keep_first(&mut told, Err(error)),
    }
    if report.spent {
        keep_first(&mut told, clear::clear(world));
    }
    told
}

/// Keeps the first error of several attempts.
pub(super) fn keep_first(kept: &mut Result<(), Error>, next: Result<(), Error>) {
    if kept.is_ok() {
        *kept = next;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::*;
    use crate::io::{Ask, http};

    /// A hypervisor that refuses one key.
    struct Host {
        refused: &'static str,
        values: RefCell<BTreeMap<String, Vec<u8>>>,
    }

    impl World for Host {
        fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
            let Ask::Guestinfo(key) = ask else { return Ok(None) };
            Ok(self.values.borrow().get(key).cloned())
        }

        fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
            let Tell::Guestinfo { key, value } = tell else { return Ok(()) };
            if key == self.refused {
                return Err(anyhow::anyhow!("{key} is refused").into());
            }
            self.values.borrow_mut().insert(key.to_owned(), value.to_vec());
            Ok(())
        }

        fn http(&self, _: &[http::Request], _: Instant) -> Vec<Result<http::Response, http::Error>> {
            Vec::new()
        }

        fn asks_without_token(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_refused_key_keeps_no_other_back_and_is_told() {
        let told = Report { state: "done", phase: None, code: None, error: None, whole: "e", spent: true };
        let secrets = ["guestinfo.userdata", "guestinfo.vendordata", "guestinfo.coreos.config.url"];
        for refused in ["guestinfo.footplate.report", "guestinfo.local-ipv6", secrets[0], secrets[2]] {
            let before = secrets.map(|key| (key.to_owned(), b"secret".to_vec()));
            let host = Host { refused, values: RefCell::new(before.into()) };
            let error = anyhow::Error::from(report(&host, &told).unwrap_err());
            assert_eq!(format!("{error:#}"), format!("{refused} is refused"));
            let values = host.values.borrow();
            assert_eq!(values["guestinfo.footplate.state"], b"done");
            for key in secrets {
                assert_eq!(values[key] == b"secret", key == refused, "{key}");
            }
        }
    }
}
