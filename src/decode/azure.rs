// SPDX-License-Identifier: Apache-2.0
//! Azure's XML documents: the one on the provisioning drive, and those of the wireserver. Elements are told by namespace and local
//! name: one document spells the same namespace with different prefixes.

use super::document::envelope;
use super::ovf;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// The namespace of what Azure adds to the OVF environment.
const NAMESPACE: &str = "http://schemas.microsoft.com/windowsazure";

/// What `ovf-env.xml` says of the machine. A password in it is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisioning {
    /// The machine's name.
    pub hostname: Option<String>,
    /// The custom data, decoded.
    pub custom_data: Option<Secret>,
    /// SSH keys, one line each.
    pub ssh_keys: Vec<String>,
    /// Whether there is a password for the user.
    pub has_password: bool,
    /// Whether the machine was made before anybody asked for it, and gets its identity later.
    pub preprovisioned: bool,
}

/// Reads `ovf-env.xml`; `place` is what messages call it.
///
/// # Errors
/// It is not well-formed XML, or its custom data is not base64.
pub fn provisioning(place: &str, xml: &str) -> Result<Provisioning, Problem> {
    let document = ovf::parse(place, xml)?;
    let named =
        |name: &'static str| document.descendants().filter(move |n| n.has_tag_name((NAMESPACE, name)));
    let text = |n: roxmltree::Node<'_, '_>| Some(n.text()?.trim().to_owned()).filter(|t| !t.is_empty());
    let first = |name| named(name).find_map(text);
    let keys = named("PublicKey").flat_map(|key| key.children());
    let keys = keys.filter(|n| n.has_tag_name((NAMESPACE, "Value"))).filter_map(text);
    let custom_data = first("CustomData").map(|text| envelope::base64(text.as_bytes())).transpose();
    let custom_data = custom_data.map_err(|what| Problem::error(format!("{place}: CustomData"), what))?;
    // Both spellings are in use.
    let kind = first("PreprovisionedVMType").or_else(|| first("PreprovisionedVmType"));
    Ok(Provisioning {
        hostname: first("HostName"),
        custom_data: custom_data.filter(|data| !data.is_empty()).map(Secret::new),
        ssh_keys: keys.map(|key| one_line(&key)).collect(),
        has_password: first("UserPassword").is_some(),
        preprovisioned: first("PreprovisionedVm").is_some_and(|v| v.eq_ignore_ascii_case("true"))
            || kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("none")),
    })
}

/// An SSH key without the line ends that Azure leaves at its end and within it.
pub fn one_line(key: &str) -> String {
    key.chars().filter(|c| !"\r\n".contains(*c)).collect::<String>().trim().to_owned()
}

/// What the wireserver wants to hear again in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoalState {
    incarnation: String,
    container: String,
    instance: String,
}

impl GoalState {
    /// Reads the wireserver's goal state; `place` is what messages call it.
    ///
    /// # Errors
    /// It is not well-formed XML, or an id is missing.
    pub fn parse(place: &str, xml: &str) -> Result<Self, Problem> {
        let document = ovf::parse(place, xml)?;
        let text = |name: &str| {
            let node = document.descendants().find(|n| n.tag_name().name() == name);
            let text = node.and_then(|n| n.text()).map(str::trim).filter(|t| !t.is_empty());
            text.map(str::to_owned).ok_or_else(|| Problem::error(place, format!("has no {name}")))
        };
        Ok(Self {
            incarnation: text("Incarnation")?,
            container: text("ContainerId")?,
            instance: text("InstanceId")?,
        })
    }

    /// The report that the machine is ready; with `failure`, that it is not, and why.
    pub fn report(&self, failure: Option<&str>) -> String {
        let (state, details) = match failure {
            None => ("Ready", String::new()),
            Some(why) => {
                let why: String = why.chars().take(MAX_DESCRIPTION).collect();
                let details = format!(
                    "<Details><SubStatus>ProvisioningFailed</SubStatus><Description>{}</Description></Details>",
                    ovf::escaped(&why)
                );
                ("NotReady", details)
            }
        };
        let [incarnation, container, instance] =
            [&self.incarnation, &self.container, &self.instance].map(|id| ovf::escaped(id));
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <Health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <GoalStateIncarnation>{incarnation}</GoalStateIncarnation>\
             <Container><ContainerId>{container}</ContainerId>\
             <RoleInstanceList><Role><InstanceId>{instance}</InstanceId>\
             <Health><State>{state}</State>{details}</Health>\
             </Role></RoleInstanceList></Container></Health>\n"
        )
    }
}

/// The longest description of a failure, in characters, before markup is escaped.
const MAX_DESCRIPTION: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// A document as Azure writes it, with these elements in its two sections.
    fn document(machine: &str, platform: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
            <ns0:Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
                xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:az="{NAMESPACE}">
              <az:ProvisioningSection><az:Version>1.0</az:Version>
                <LinuxProvisioningConfigurationSet xmlns="{NAMESPACE}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
                  <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
                  {machine}
                </LinuxProvisioningConfigurationSet></az:ProvisioningSection>
              <az:PlatformSettingsSection><az:PlatformSettings>{platform}</az:PlatformSettings></az:PlatformSettingsSection>
              <HostName>another namespace</HostName>
            </ns0:Environment>"#
        )
    }

    #[test]
    fn the_provisioning_document_is_read_by_namespace() {
        let xml = document(
            "<HostName>otter-0</HostName><UserName>capi</UserName><UserPassword>hush</UserPassword>
             <SSH><PublicKeys>
               <PublicKey><Fingerprint>AA</Fingerprint><Path>/home/capi/.ssh/authorized_keys</Path>
                 <Value>ssh-rsa AAAA\r\nBBBB otter@example\r\n</Value></PublicKey>
               <PublicKey><Fingerprint>BB</Fingerprint><Value/></PublicKey>
             </PublicKeys></SSH>
             <CustomData>I2Nsb3Vk\r\n  LWNvbmZp\r\nZwo=</CustomData>",
            "<az:PreprovisionedVm>false</az:PreprovisionedVm><az:PreprovisionedVMType>None</az:PreprovisionedVMType>",
        );
        let read = provisioning("ovf-env.xml", &xml).unwrap();
        assert_eq!(read.hostname.as_deref(), Some("otter-0"));
        assert_eq!(read.custom_data.unwrap().expose(), b"#cloud-config\n");
        assert_eq!(read.ssh_keys, ["ssh-rsa AAAABBBB otter@example"]);
        assert!(read.has_password && !read.preprovisioned);
        let empty = provisioning("ovf-env.xml", &document("<CustomData/>", "")).unwrap();
        assert_eq!(empty, Provisioning::default());
    }

    #[test]
    fn a_machine_that_was_made_ahead_is_recognised() {
        for (settings, want) in [
            ("<az:PreprovisionedVm>true</az:PreprovisionedVm>", true),
            ("<az:PreprovisionedVm>True</az:PreprovisionedVm>", true),
            ("<az:PreprovisionedVMType>Savable</az:PreprovisionedVMType>", true),
            ("<az:PreprovisionedVmType>Running</az:PreprovisionedVmType>", true),
            ("<az:PreprovisionedVmType>None</az:PreprovisionedVmType>", false),
            ("", false),
        ] {
            let read = provisioning("ovf-env.xml", &document("", settings)).unwrap();
            assert_eq!(read.preprovisioned, want, "{settings}");
        }
    }

    #[test]
    fn broken_documents_are_named_without_their_text() {
        let base64 =
            provisioning("ovf-env.xml", &document("<CustomData>hush!</CustomData>", "")).unwrap_err();
        assert_eq!(base64.place, "ovf-env.xml: CustomData");
        assert!(!base64.to_string().contains("hush"));
        let xml = provisioning("ovf-env.xml", "<a>\n<hush></a>").unwrap_err();
        assert_eq!((xml.place.as_str(), xml.pos.unwrap().line), ("ovf-env.xml", 2));
        assert!(!xml.to_string().contains("hush"));
        assert!(GoalState::parse("goalstate", "<GoalState/>").is_err());
    }

    #[test]
    fn a_report_has_the_ids_of_the_goal_state() {
        let xml = r#"<GoalState><Version>2012-11-30</Version><Incarnation>4</Incarnation>
            <Container><ContainerId>c&amp;1</ContainerId><RoleInstanceList><RoleInstance>
            <InstanceId>i.Role_IN_7</InstanceId></RoleInstance></RoleInstanceList></Container></GoalState>"#;
        let goal = GoalState::parse("goalstate", xml).unwrap();
        let long = format!("a < b & {}", "ä".repeat(600));
        for (failure, state) in [(None, "Ready"), (Some(long.as_str()), "NotReady")] {
            let report = goal.report(failure);
            let document = roxmltree::Document::parse(&report).unwrap();
            let text = |path: &[&str]| {
                let child = |node: roxmltree::Node<'_, '_>, name: &&str| {
                    node.children().find(|n| n.tag_name().name() == *name).unwrap().id()
                };
                let root = document.root_element();
                let node = path.iter().fold(root, |n, name| document.get_node(child(n, name)).unwrap());
                node.text().unwrap_or_default().to_owned()
            };
            let role = ["Container", "RoleInstanceList", "Role"];
            assert_eq!(document.root_element().tag_name().name(), "Health");
            assert_eq!(text(&["GoalStateIncarnation"]), "4");
            assert_eq!(text(&["Container", "ContainerId"]), "c&1");
            assert_eq!(text(&[&role[..], &["InstanceId"]].concat()), "i.Role_IN_7");
            assert_eq!(text(&[&role[..], &["Health", "State"]].concat()), state);
            if failure.is_some() {
                let description = text(&[&role[..], &["Health", "Details", "Description"]].concat());
                assert_eq!(description.chars().count(), MAX_DESCRIPTION);
                assert!(description.starts_with("a < b & ää"));
            }
        }
    }
}
