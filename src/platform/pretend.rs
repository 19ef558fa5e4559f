// SPDX-License-Identifier: Apache-2.0
//! A platform that does not exist, with all that one can have: what it costs to add one. It has a drive with the machine's
//! name and network, a service with the rest, a report and a limit.

use super::drive::Place;
use super::service::Service;
use super::{Error, Evidence, Limit, Platform, Report, document};
use crate::io::{Tell, World};
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

pub(super) const PLATFORM: Platform = Platform {
    id: "abacus",
    name: "Abacus Cloud",
    aliases: &["counting-frame"],
    spelling: Some(Spelling { coreos: "ABACUS", afterburn: "ABACUS", common: false }),
    limit: Some(Limit { bytes: 1000, base64: false, cure: "count less" }),
    hint: "Abacus: give the frame user-data",
    evidence,
    local: Some(local),
    network: Some(network),
    report: Some(report),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    host: "http://192.0.2.80",
    headers: &[("abacus-metadata", "true")],
    limit: 4096,
    cure: "see that the frame has a route to 192.0.2.80",
    ..Service::LINK_LOCAL
};

const LABEL: &str = "abacus-cfg";

fn evidence(facts: &Facts) -> Option<Evidence> {
    (facts.dmi.sys_vendor == "Abacus Works").then(|| Evidence::of_dmi(&facts.dmi))
}

fn local(world: &dyn World, _: &Facts) -> Result<Option<Instance>, Error> {
    let Some(bytes) = Place::Drive(LABEL).read(world, "frame.json")? else { return Ok(None) };
    let (node, mut instance) = (document::mapping("frame.json", &bytes)?, Instance::default());
    document::read_machine("frame.json", &node, &mut instance)?;
    if let Some(network) = node.get("network") {
        document::read_network(network, &mut instance);
    }
    Ok(Some(instance))
}

fn network(world: &dyn World, _: &Facts, found: Option<Instance>) -> Result<Option<Instance>, Error> {
    let [frame, user_data] = SERVICE.get(world, ["/v1/frame", "/v1/user-data"])?;
    let mut instance = found.unwrap_or_default();
    if let Some(frame) = frame {
        let mut more = Instance::default();
        document::read_machine("/v1/frame", &document::mapping("/v1/frame", frame.expose())?, &mut more)?;
        instance.fill_from(more);
    }
    instance.user_data = user_data;
    Ok(Some(instance))
}

fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    world.tell(Tell::Guestinfo { key: "abacus.state", value: report.state.as_bytes() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::rc::Rc;

    use super::*;
    use crate::io::replay::{Capture, Replay};
    use crate::platform::{Detected, Reach, Wanted, detect, facts, fetch, nocloud, too_large_for, vmware};

    /// A table with its row.
    static TABLE: &[Platform] = &[PLATFORM, nocloud::PLATFORM, vmware::PLATFORM];

    /// A machine's answers: their names and texts.
    type Answers<'a> = &'a [(&'a str, &'a str)];

    fn machine(name: &str, answers: Answers<'_>) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("footplate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for (name, text) in answers {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn a_platform_is_one_file_and_one_row() {
        let dir = machine(
            "pretend",
            &[
                ("file/sys/class/dmi/id/sys_vendor", "Abacus Works\n"),
                ("file/sys/class/dmi/id/product_name", "Frame\n"),
                ("labels", "ABACUS-CFG\tiso9660\t/dev/sr0\ncidata\n"),
                (
                    "drive/abacus-cfg/frame.json",
                    r#"{"local-hostname": "frame-7", "network": {"version": 2}}"#,
                ),
                ("drive/cidata/user-data", "#!/bin/sh\n"),
                (
                    "http/192.0.2.80/v1/frame",
                    r#"{"instance-id": "f7", "local-hostname": "other", "zone": "left"}"#,
                ),
                ("http/192.0.2.80/v1/user-data", "#cloud-config\n{}"),
            ],
        );
        let replay = Replay::open(&dir).unwrap();
        let world = Capture::new(Rc::new(replay));
        let (facts, wanted) = (facts(&world).unwrap(), Wanted::default());
        let detected = detect(TABLE, &facts, wanted).unwrap();
        assert_eq!(detected.candidates.len(), 1);
        assert_eq!(
            detected.candidates[0].to_string(),
            "Abacus Cloud (DMI vendor \"Abacus Works\", product \"Frame\")"
        );

        // Before the network is up it has a name and a network, but no id.
        let (_, local) = fetch(&world, &facts, &detected, wanted, Reach::Local).unwrap().unwrap();
        assert_eq!((local.hostname.as_deref(), local.instance_id.as_str()), (Some("frame-7"), ""));
        assert!(local.network.is_some() && local.user_data.is_none());

        let (candidate, instance) =
            fetch(&world, &facts, &detected, wanted, Reach::Network).unwrap().unwrap();
        assert_eq!((instance.platform, instance.instance_id.as_str()), ("abacus", "f7"));
        assert_eq!(instance.hostname.as_deref(), Some("frame-7"), "the drive goes before the service");
        assert_eq!(instance.meta_data()["zone"], "left");
        assert_eq!(instance.user_data.as_ref().map(|d| d.len()), Some(16));
        assert_eq!(instance.problems.len(), 1, "the cidata drive is not its own: {:?}", instance.problems);

        let report = Report { state: "done", phase: None, code: None, error: None, whole: "", spent: true };
        candidate.platform.report.unwrap()(&world, &report).unwrap();
        assert!(too_large_for(TABLE, 1001)[0].what.contains("1001 bytes, and Abacus Cloud takes 1000"));
        let kept = world.take();
        fs::remove_dir_all(&dir).unwrap();
        assert!(kept.contains(&("told/guestinfo/abacus.state".to_owned(), b"done".to_vec())));
        assert!(!kept.iter().any(|(name, _)| name.starts_with("drive/cidata")), "{kept:?}");
    }

    #[test]
    fn the_surest_evidence_decides() {
        let vmware = ("file/sys/class/dmi/id/sys_vendor", "VMware, Inc.");
        let abacus = ("file/sys/class/dmi/id/sys_vendor", "Abacus Works");
        let cpuid = ("hypervisor", "VMwareVMware");
        let serial = ("file/sys/class/dmi/id/product_serial", "ds=nocloud;i=x");
        let label = ("labels", "CIDATA\n");
        let cases: [(Answers<'_>, &str, &str); 10] = [
            (&[abacus, label], "abacus", "nocloud"),
            (&[vmware, label], "vmware", "nocloud"),
            (&[cpuid, label], "vmware", "nocloud"),
            (&[label], "nocloud", ""),
            (&[cpuid, serial], "nocloud vmware", ""),
            (&[abacus, ("file/proc/cmdline", "flatcar.oem.id=vmware")], "vmware abacus", ""),
            (&[label, ("file/proc/cmdline", "coreos.oem.id=counting-frame")], "abacus", "nocloud"),
            (&[abacus, ("file/proc/cmdline", "ds=nocloud")], "nocloud abacus", ""),
            (&[vmware, serial], "this machine may be on two platforms: NoCloud", ""),
            (
                &[("file/proc/cmdline", "flatcar.oem.id=sliderule")],
                "names a platform that footplate does not know",
                "",
            ),
        ];
        for (n, (answers, want, passed_over)) in cases.iter().enumerate() {
            let dir = machine(&format!("evidence-{n}"), answers);
            let facts = facts(&Replay::open(&dir).unwrap()).unwrap();
            fs::remove_dir_all(&dir).unwrap();
            let ids = |list: &[crate::platform::Candidate]| {
                list.iter().map(|c| c.platform.id).collect::<Vec<_>>().join(" ")
            };
            let contradict = |d: &Detected| d.agree().err().map(|e| e.to_string());
            match detect(TABLE, &facts, Wanted::default()) {
                Ok(detected) => {
                    // DMI names another platform than the argument.
                    let both = contradict(&detected)
                        .is_some_and(|e| e.contains("kernel argument") && e.contains("Abacus"));
                    let argument = answers.iter().any(|(name, _)| name.contains("cmdline"));
                    assert_eq!(both, argument && answers.contains(&abacus), "{answers:?}");
                    assert_eq!(ids(&detected.candidates), *want, "{answers:?}");
                    assert_eq!(ids(&detected.passed_over), *passed_over, "{answers:?}");
                }
                Err(error) => assert!(error.to_string().contains(want), "{answers:?}: {error}"),
            }
        }
    }
}
