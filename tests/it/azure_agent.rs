// SPDX-License-Identifier: Apache-2.0
//! Azure's agent, as Debian has it, and footplate in a container that boots, beside each other: both report to one played wireserver, and
//! their reports are the same document.

use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::common::cluster::{Network, reply};
use crate::common::debian;
use crate::common::node::Node;
use crate::common::scratch::{CANARY, Ran, Scratch, fresh};
use crate::common::server::{Reply, Seen, Server};

const WIRESERVER: &str = "168.63.129.16";

/// The agent's own client of the wireserver: what it does to report a machine, without the rest of its provisioning, which would change
/// the system that it runs on.
const REPORT: &str = "
import sys
from azurelinuxagent.common import conf
from azurelinuxagent.common.protocol.restapi import ProvisionStatus
from azurelinuxagent.common.protocol.wire import WireProtocol
conf.load_conf_from_file(sys.argv[1])
protocol = WireProtocol(sys.argv[2])
protocol.detect()
protocol.report_provision_status(ProvisionStatus(*sys.argv[3:]))
";

const JOIN: &str = "#cloud-config
write_files: [{path: /run/kubeadm/join.yaml, content: CANARY}]
runcmd: ['kubeadm join --config /run/kubeadm/join.yaml']
";

/// What the wireserver has, in its own spelling; its port for extensions is not played.
fn wireserver(seen: &Seen) -> Reply {
    let goal = format!(
        "<?xml version=\"1.0\"?><GoalState><Version>2012-11-30</Version><Incarnation>7</Incarnation>\
         <Container><ContainerId>c9-pond</ContainerId><RoleInstanceList><RoleInstance><InstanceId>i3.otter_IN_0</InstanceId>\
         <State>Started</State><Configuration><HostingEnvironmentConfig>http://{WIRESERVER}/hosting</HostingEnvironmentConfig>\
         <SharedConfig>http://{WIRESERVER}/shared</SharedConfig><ConfigName>config.xml</ConfigName></Configuration>\
         </RoleInstance></RoleInstanceList></Container></GoalState>"
    );
    match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/?comp=versions") => Reply::ok(
            "<Versions><Preferred><Version>2015-04-05</Version></Preferred><Supported><Version>2012-11-30</Version></Supported></Versions>",
        ),
        ("GET", "/machine/?comp=goalstate") => Reply::ok(goal),
        ("GET", "/hosting") => Reply::ok(
            "<HostingEnvironmentConfig><Deployment name=\"d\"/><Incarnation instance=\"i3\"/><Role name=\"r\"/></HostingEnvironmentConfig>",
        ),
        ("GET", "/shared") => Reply::ok("<SharedConfig/>"),
        ("POST", "/machine?comp=health") => Reply::ok(""),
        _ => Reply::not_found(),
    }
}

/// A report as a list of its elements: each with its depth, its name, its text and what the reader of XML knows of attributes.
fn elements(report: &str) -> Vec<(usize, String, String)> {
    let document = roxmltree::Document::parse(report).unwrap();
    let element = |node: roxmltree::Node<'_, '_>| {
        let spaces = node.namespaces().map(|n| format!("{:?}={}", n.name(), n.uri())).collect::<Vec<_>>();
        let name = format!(
            "{} {}",
            node.tag_name().name(),
            if node == node.document().root_element() { spaces.join(" ") } else { String::new() }
        );
        (node.ancestors().count(), name, node.text().unwrap_or_default().trim().to_owned())
    };
    document.descendants().filter(roxmltree::Node::is_element).map(element).collect()
}

#[test]
fn azures_agent_and_footplate_report_the_same() {
    needs!(root("containers"));
    let packages = needs!(debian::unpacked(&["waagent", "python3-distro"]));
    let fails = "#!/bin/sh\necho 'error: x < y & z' >&2\nexit 1\n";
    let joins = "#!/bin/sh\nmkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf\n";
    for (name, kubeadm, exit, state, health) in
        [("agent-fails", fails, 1, "failed", "NotReady"), ("agent-joins", joins, 0, "done", "Ready")]
    {
        let network = Network::new(name);
        Ran::of(
            Command::new("ip")
                .args(["-n", &network.0, "address", "add"])
                .arg(format!("{WIRESERVER}/32"))
                .args(["dev", "lo"]),
        )
        .ended(0, &[]);
        let compute = json!({
            "vmId": "0b6e4c52-9a41-4f0e-8d7a-3c1f5a9e77d2", "osProfile": {"computerName": "otter-0"},
            "userData": STANDARD.encode(JOIN.replace("CANARY", CANARY)),
        });
        let document = Arc::new(json!({ "compute": compute }));
        let (wire, _metadata) = network.within(|| {
            let metadata = Server::start("169.254.169.254:80", move |_| reply(200, &document));
            (Server::start(&format!("{WIRESERVER}:80"), wireserver), metadata)
        });
        let mut node = Node::new(name, "  - 'true'\n", kubeadm);
        node.network = Some(network.0.clone());
        for (unit, command) in [("footplate", "provision"), ("footplate-network", "network")] {
            let azure =
                format!("[Service]\nExecStart=\nExecStart=/opt/bin/footplate {command} --platform azure\n");
            node.root.put(&format!("/etc/systemd/system/{unit}.service.d/seed.conf"), azure);
        }
        node.boot();
        node.stands(exit, state);
        let posted = || wire.seen().into_iter().rfind(|s| s.method == "POST").unwrap();
        let ours = posted();
        let text = String::from_utf8(ours.body.clone()).unwrap();
        assert!(!text.contains(CANARY));
        let report = elements(&text);
        let of =
            |name: &str| report.iter().find(|(_, n, _)| n.trim() == name).map(|(.., text)| text.as_str());
        assert_eq!(of("State"), Some(health), "{text}");

        let lib = Scratch { dir: fresh(&format!("{name}-lib")) };
        lib.put("/agent.conf", format!("Lib.Dir={}\nDebug.EnableFastTrack=n\n", lib.arg()));
        let mut agent = Command::new("timeout");
        agent.args(["60", "ip", "netns", "exec", &network.0, "python3", "-c", REPORT]);
        agent.env("PYTHONPATH", packages.join("usr/lib/python3/dist-packages"));
        agent.arg(lib.path("/agent.conf")).args([WIRESERVER, health]);
        agent.args([of("SubStatus"), of("Description")].into_iter().flatten());
        Ran::of(&mut agent).ended(0, &[]);
        let theirs = posted();
        assert_eq!(elements(std::str::from_utf8(&theirs.body).unwrap()), report);
        for header in ["x-ms-version", "content-type"] {
            let (theirs, ours) = (theirs.header(header).unwrap(), ours.header(header).unwrap());
            assert_eq!(theirs.to_lowercase().replace(' ', ""), ours.to_lowercase().replace(' ', ""));
        }
        assert_ne!(theirs.header("x-ms-agent-name"), ours.header("x-ms-agent-name"));
    }
}
