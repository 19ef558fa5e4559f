// SPDX-License-Identifier: Apache-2.0
//! What platforms are told of a bootstrap, in a service's words: the requests that a report makes.

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Instant;

    use crate::io::http::{self, Request};
    use crate::io::{Ask, Tell, World};
    use crate::platform::{Error, PLATFORMS, Platform, Report};

    /// A machine with a kernel command line, and a service that has one document and takes every report.
    struct Machine<'a> {
        cmdline: &'a str,
        document: (&'a str, &'a str),
        told: RefCell<Vec<String>>,
        deaf: bool,
    }

    impl World for Machine<'_> {
        fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
            Ok(match ask {
                Ask::File("/proc/cmdline") => Some(self.cmdline.into()),
                Ask::File("/sys/class/dmi/id/product_uuid") => {
                    Some("33221100-5544-7766-8899-AABBCCDDEEFF\n".into())
                }
                // A firmware of the second generation.
                Ask::File("/sys/firmware/efi/fw_platform_size") => {
                    self.cmdline.contains("uefi").then(|| "64".into())
                }
                _ => None,
            })
        }

        fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
            if self.deaf {
                return Err(anyhow::anyhow!("HTTP status 403").into());
            }
            let body = String::from_utf8(tell.value().to_vec()).unwrap();
            let Tell::Http(request) = tell else {
                self.told.borrow_mut().push(format!("{} {body}", tell.name()));
                return Ok(());
            };
            self.told
                .borrow_mut()
                .push(format!("{} {} {body}", request.method, request.url).trim_end().to_owned());
            Ok(())
        }

        fn http(&self, requests: &[Request], _: Instant) -> Vec<Result<http::Response, http::Error>> {
            let answer = |request: &Request| {
                let status = if request.url == self.document.0 { 200 } else { 404 };
                Ok(http::Response::of(status, self.document.1))
            };
            requests.iter().map(answer).collect()
        }

        fn asks_without_token(&self) -> bool {
            false
        }
    }

    /// What the platform hears of a state, or the error.
    fn heard(machine: &Machine<'_>, id: &str, state: &str) -> Result<Vec<String>, String> {
        let error = (state == "failed").then_some("decode: user-data: not \"YAML\"");
        let report = Report {
            state,
            phase: Some("decode"),
            code: error.and(Some("x/y")),
            error,
            whole: "",
            spent: false,
        };
        let platform = Platform::by_id(PLATFORMS, id).unwrap();
        platform.report.unwrap()(machine, &report).map_err(|e| e.to_string())?;
        Ok(machine.told.take())
    }

    fn machine<'a>(cmdline: &'a str, document: (&'a str, &'a str)) -> Machine<'a> {
        Machine { cmdline, document, told: RefCell::default(), deaf: false }
    }

    #[test]
    fn packet_hears_that_the_machine_is_up_and_how_the_bootstrap_went() {
        let home = "POST https://t.example/phone-home";
        let event = |state: &str, message: &str| {
            format!(
                "POST https://t.example/events {}",
                serde_json::json!({ "state": state, "message": message })
            )
        };
        let [running, done, failed] = [
            event("running", "footplate: running: decode"),
            event("running", "footplate: done: decode"),
            event("failed", "footplate: failed: decode: user-data: not \"YAML\""),
        ];
        // The place for events is beside the one for the call, where the document does not name it.
        let documents = [
            r#"{"phone_home_url": "https://t.example/phone-home"}"#,
            r#"{"phone_home_url": "https://t.example/phone-home", "user_state_url": "https://t.example/events"}"#,
        ];
        for (cmdline, at) in [
            ("flatcar.oem.id=packet", "https://metadata.packet.net/metadata"),
            ("footplate.packet=http://192.0.2.1:50061/", "http://192.0.2.1:50061/metadata"),
        ] {
            for document in documents {
                let machine = machine(cmdline, (at, document));
                let hears = |state| heard(&machine, "packet", state).unwrap();
                assert_eq!(hears("running"), [running.as_str()]);
                assert_eq!(hears("done"), [home, &done]);
                assert_eq!(hears("failed"), [home, &failed]);
            }
            let nothing = |document| heard(&machine(cmdline, (at, document)), "packet", "done");
            assert_eq!(nothing("{}").unwrap(), [""; 0]);
            assert!(nothing(r#"{"phone_home_url": "somewhere"}"#).unwrap_err().contains("not an HTTP URL"));
        }
        for cmdline in
            ["footplate.packet=192.0.2.1", "footplate.packet=https://", "footplate.packet=http://u:p@h/"]
        {
            let error = heard(&machine(cmdline, ("", "")), "packet", "done").unwrap_err();
            assert!(error.contains("not the URL of a metadata service"), "{error}");
        }
    }

    #[test]
    fn google_hears_the_state_where_guest_attributes_are_on() {
        let at = "PUT http://169.254.169.254/computeMetadata/v1/instance/guest-attributes/footplate/status";
        let mut machine = machine("", ("", ""));
        let done = r#"{"state":"done","phase":"decode","code":null,"error":null}"#;
        assert_eq!(heard(&machine, "gcp", "done").unwrap(), [format!("{at} {done}")]);
        let failed =
            r#"{"state":"failed","phase":"decode","code":"x/y","error":"decode: user-data: not \"YAML\""}"#;
        assert_eq!(heard(&machine, "gcp", "failed").unwrap(), [format!("{at} {failed}")]);
        machine.deaf = true;
        assert_eq!(heard(&machine, "gcp", "done").unwrap(), [""; 0], "that nobody hears it is not a fault");
    }

    #[test]
    fn a_host_of_hyper_v_hears_the_end_in_the_form_that_azure_reads() {
        let (older, newer) = ("00112233-4455-6677-8899-aabbccddeeff", "33221100-5544-7766-8899-aabbccddeeff");
        for (cmdline, id) in [("", older), ("uefi", newer)] {
            let machine = machine(cmdline, ("", ""));
            let hears = |state| heard(&machine, "hyperv", state).unwrap();
            assert_eq!(hears("running"), [""; 0]);
            assert_eq!(hears("nothing-to-do"), [""; 0]);
            let [done] = &hears("done")[..] else { panic!("one pair") };
            let begin = format!(
                "told/kvp/PROVISIONING_REPORT result=success|agent=footplate/{}|state=done|pps_type=None|vm_id={id}|timestamp=20",
                env!("CARGO_PKG_VERSION")
            );
            assert!(done.starts_with(&begin), "{done}");
            let [failed] = &hears("failed")[..] else { panic!("one pair") };
            let begin = "told/kvp/PROVISIONING_REPORT result=error|reason=decode: user-data: not \"YAML\"|agent=footplate/";
            assert!(failed.starts_with(begin), "{failed}");
            assert!(
                failed.contains(&format!("|state=failed|code=x/y|pps_type=None|vm_id={id}|timestamp=20"))
            );
            assert!(failed.ends_with("|documentation_url=https://aka.ms/linuxprovisioningerror"), "{failed}");
        }
        // A reason with the marks of the form, and one that is too long for it.
        let told = |error: &str| {
            let machine = machine("", ("", ""));
            let report = Report {
                state: "failed",
                phase: None,
                code: None,
                error: Some(error),
                whole: "",
                spent: false,
            };
            Platform::by_id(PLATFORMS, "hyperv").unwrap().report.unwrap()(&machine, &report).unwrap();
            machine.told.take().remove(0).split_once(' ').unwrap().1.to_owned()
        };
        assert!(told("it's a|b").starts_with("result=error|'reason=it''s a|b'|agent="));
        for letter in ["x", "ä", "'"] {
            let value = told(&letter.repeat(5000));
            assert!((1020..=1022).contains(&value.len()), "{}", value.len());
            assert!(value.ends_with("linuxprovisioningerror"), "{value}");
        }
    }

    #[test]
    fn scaleway_hears_that_the_server_has_booted_however_its_bootstrap_ended() {
        let mut machine = machine("", ("", ""));
        let booted = r#"PATCH http://169.254.42.42/state {"state_detail":"booted"}"#;
        assert_eq!(heard(&machine, "scaleway", "running").unwrap(), [""; 0]);
        for state in ["done", "nothing-to-do", "failed"] {
            assert_eq!(heard(&machine, "scaleway", state).unwrap(), [booted]);
        }
        machine.deaf = true;
        assert!(
            heard(&machine, "scaleway", "done").unwrap_err().contains("403"),
            "it is told again at the next boot"
        );
    }
}
