// SPDX-License-Identifier: Apache-2.0
//! What Azure is told: that the machine is ready, or that it is not and why
//! ([the wireserver](https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16)). A machine that tells
//! nothing is given up after 40 minutes.

use std::time::Duration;

use crate::decode::azure::GoalState;
use crate::io::http::Method;
use crate::io::{Ask, World};
use crate::platform::service::{Service, Session};
use crate::platform::{Error, Report, kvp};

static WIRESERVER: Service = Service {
    host: "http://168.63.129.16",
    headers: &[("x-ms-version", "2012-11-30"), ("x-ms-agent-name", "footplate")],
    limit: 256 << 10,
    cure: "Azure's wireserver does not answer: see that a route leads to 168.63.129.16",
    ..Service::LINK_LOCAL
};

const GOAL_STATE: &str = "/machine/?comp=goalstate";
const HEALTH: &str = "/machine?comp=health";

/// How long the wireserver may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The units of Azure's own agent, on Flatcar and on Debian. It tells that the machine is ready when it has read the drive, and the
/// drive is detached then.
const AGENTS: &[&str] = &[
    "/usr/lib/systemd/system/waagent.service",
    "/etc/systemd/system/waagent.service",
    "/usr/lib/systemd/system/walinuxagent.service",
    "/lib/systemd/system/walinuxagent.service",
];

/// What that agent leaves when it has told so. Nobody hears of a failure after that.
const TOLD: &str = "/var/lib/waagent/provisioned";

/// Tells the host by a key-value pair how it went, and the wireserver that the machine is ready, where no agent does that, or that it
/// failed.
pub(super) fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let pair = kvp::tell(world, report);
    wireserver(world, report)?;
    pair
}

fn wireserver(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let is_there = |path: &&str| Ok::<_, Error>(world.ask(Ask::File(path))?.is_some());
    let failure = match report.state {
        "running" => return Ok(()),
        "failed" if is_there(&TOLD)? => return Ok(()),
        "failed" => Some(report.error.unwrap_or("footplate failed")),
        _ => {
            for agent in AGENTS {
                if is_there(agent)? {
                    return Ok(());
                }
            }
            None
        }
    };
    let session = Session::open(&WIRESERVER, world, PATIENCE.min(world.patience()))?;
    let Some(bytes) = session.get_all(&[GOAL_STATE.to_owned()])?.pop().flatten() else {
        return Err(anyhow::anyhow!("the wireserver has no goal state").into());
    };
    let xml = String::from_utf8_lossy(bytes.expose()).into_owned();
    let goal = GoalState::parse("goalstate", xml.trim_start_matches('\u{feff}'))?;
    let kind = [("Content-Type", "text/xml; charset=utf-8")];
    WIRESERVER.tell(world, (Method::POST, HEALTH), &kind, &goal.report(failure))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Instant;

    use super::*;
    use crate::io::Tell;
    use crate::io::http::{self, Request};

    /// A machine with some files and a wireserver.
    struct Machine<'a> {
        files: &'a [&'a str],
        told: RefCell<Vec<(String, String)>>,
    }

    impl World for Machine<'_> {
        fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
            let Ask::File(path) = ask else { return Ok(None) };
            Ok(self.files.contains(&path).then(Vec::new))
        }

        fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
            let Tell::Http(request) = tell else { return Ok(()) };
            let body = String::from_utf8(tell.value().to_vec()).unwrap();
            self.told.borrow_mut().push((format!("{} {}", request.method, request.url), body));
            Ok(())
        }

        fn http(&self, requests: &[Request], _: Instant) -> Vec<Result<http::Response, http::Error>> {
            let goal = "\u{feff}<GoalState><Incarnation>3</Incarnation><ContainerId>c</ContainerId><InstanceId>i</InstanceId></GoalState>";
            let answer = |request: &Request| {
                // The version is not negotiated: a wireserver may list it as the preferred one alone.
                assert_eq!(request.url, "http://168.63.129.16/machine/?comp=goalstate");
                assert_eq!(request.headers[0].1.expose(), b"2012-11-30");
                Ok(http::Response::of(200, goal))
            };
            requests.iter().map(answer).collect()
        }

        fn asks_without_token(&self) -> bool {
            false
        }
    }

    #[test]
    fn azure_hears_of_the_end_where_no_agent_tells_it() {
        let (ready, failed) = ("<State>Ready</State>", "<State>NotReady</State><Details>");
        let cases: [(&str, &[&str], Option<&str>); 9] = [
            ("running", &[], None),
            ("done", &[], Some(ready)),
            ("nothing-to-do", &[], Some(ready)),
            ("failed", &[], Some(failed)),
            ("done", &[AGENTS[0]], None),
            ("nothing-to-do", &[AGENTS[3]], None),
            ("failed", &[AGENTS[1]], Some(failed)),
            ("failed", &[TOLD], None),
            ("done", &[TOLD], Some(ready)),
        ];
        for (state, files, want) in cases {
            let machine = Machine { files, told: RefCell::default() };
            let error = Some("apply: /etc/a & b: is a directory");
            let told = Report { state, phase: None, code: None, error, whole: "", spent: false };
            report(&machine, &told).unwrap();
            let told = machine.told.take();
            assert_eq!(told.len(), usize::from(want.is_some()), "{state} {files:?}");
            for (to, body) in told {
                assert_eq!(to, "POST http://168.63.129.16/machine?comp=health");
                assert!(body.contains(want.unwrap()), "{state}: {body}");
                assert_eq!(
                    body.contains("apply: /etc/a &#38; b: is a directory"),
                    state == "failed",
                    "{body}"
                );
            }
        }
    }
}
