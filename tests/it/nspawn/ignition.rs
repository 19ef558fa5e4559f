// SPDX-License-Identifier: Apache-2.0
//! Cluster API's Ignition data, and a node that Ignition made before it started.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{JOIN, data_url};
use crate::common::needs::program;
use crate::common::node::Node;
use crate::common::scratch::{FOOTPLATE, Ran};

/// As the real one does, and what it was given: the machine's name, the node's, and the provider's.
const IGNITION_KUBEADM: &str = r#"#!/bin/sh
name=$(sed -n "s/^  name: '\{0,1\}\([^']*\).*/\1/p" /etc/kubeadm.yml)
id=$(grep -A1 'name: provider-id' /etc/kubeadm.yml | sed -n "s/.*value: '\{0,1\}\([^']*\).*/\1/p")
echo "$(hostname) $name $id ${PATH%%:*}" >> /var/lib/kubeadm-runs
mkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf
"#;

/// A node with one of Cluster API's configs among the golden folders as its data, and what an image of Flatcar's has that
/// its workarounds ask: envsubst, VMware's tools, Afterburn and containerd.
fn with_ignition_data(name: &str, case: &str) -> Node {
    let node = Node::new(name, JOIN, IGNITION_KUBEADM);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    let config = fs::read_to_string(golden.join(case).join("in.ign")).unwrap();
    let meta = "instance-id: i-1\nlocal-hostname: node-1\nprovider-id: test://zone/i-1\n";
    node.root.put("/seed/user-data", config).put("/seed/meta-data", meta);
    program("envsubst", "gettext-base").unwrap();
    Ran::of(Command::new("cp").arg("/usr/bin/envsubst").arg(node.root.path("/usr/bin/"))).ended(0, &[]);
    node.program(
        "/usr/share/oem/bin/vmtoolsd",
        "#!/bin/sh\n[ \"$2\" = 'info-get guestinfo.metadata' ] && base64 < /seed/meta-data\n",
    );
    let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c";
    let afterburn = "'mkdir -p /run/metadata && echo COREOS_EC2_HOSTNAME=node-1 >> /run/metadata/flatcar'";
    node.root
        .put("/usr/lib/systemd/system/coreos-metadata.service", format!("{oneshot} {afterburn}\n"))
        .put("/etc/systemd/system/containerd.service", format!("{oneshot} 'echo containerd'\n"));
    node
}

#[test]
fn cluster_apis_ignition_data_runs_kubeadm_as_the_node_with_its_workarounds_and_without() {
    needs!(root("containers"));
    for case in [
        "capv-with-workarounds",
        "capv-without-workarounds",
        "capa-with-workarounds",
        "capa-without-workarounds",
    ] {
        let node = with_ignition_data(case, case);
        node.boot();
        node.stands(0, "done");
        let ran = node.root.text("/var/lib/kubeadm-runs");
        assert_eq!(ran, "node-1 node-1 test://zone/i-1 /opt/bin\n", "{case}: {}", node.out("journal"));
        assert_eq!((node.out("failed").as_str(), node.out("hostname").as_str()), ("", "node-1\n"), "{case}");
        assert!(node.has_sentinel(), "{case}");
        assert!(!node.out("journal").contains("ordering cycle"), "{case}: {}", node.out("journal"));
    }
}

/// The data's own unit may say of itself when it has started and ended.
#[test]
fn the_result_of_each_type_of_unit_is_told_when_it_has_ended() {
    needs!(root("containers"));
    let script = "#!/bin/sh\nsleep 1\nkubeadm join --config /etc/kubeadm.yml || exit 4\nmkdir -p /run/cluster-api\n\
                  echo success > /run/cluster-api/bootstrap-success.complete\n";
    for (kind, kubeadm, exit, state) in [
        ("Type=oneshot\\nRemainAfterExit=yes", "exit 0", 0, "done"),
        ("Type=oneshot\\nRemainAfterExit=yes", "exit 3", 1, "failed"),
        ("Type=simple", "exit 0", 0, "done"),
        ("Type=exec\\nRemainAfterExit=yes", "exit 3", 1, "failed"),
    ] {
        let node = Node::new("types", JOIN, &format!("#!/bin/sh\n{kubeadm}\n"));
        let unit = format!(
            "[Service]\\n{kind}\\nExecStart=/etc/kubeadm.sh\\n[Install]\\nWantedBy=multi-user.target\\n"
        );
        let data = format!(
            r#"{{"ignition": {{"version": "3.3.0"}}, "storage": {{"files": [
                {{"path": "/etc/kubeadm.yml", "mode": 384, "contents": {{"source": "data:,kind:%20JoinConfiguration"}}}},
                {{"path": "/etc/kubeadm.sh", "mode": 448, "contents": {{"source": "{}"}}}}]}},
                "systemd": {{"units": [{{"name": "kubeadm.service", "enabled": true, "contents": "{unit}"}}]}}}}"#,
            data_url(script)
        );
        let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
        node.root.put("/seed/user-data", data).put("/etc/systemd/system/containerd.service", oneshot);
        node.boot();
        node.stands(exit, state);
        assert_eq!(node.has_sentinel(), exit == 0, "{kind}");
    }
}

/// Ignition made the node before it started: nothing of it is made again, and the rest is done.
#[test]
fn what_ignition_made_is_left_so_and_kubeadm_runs_as_the_node() {
    needs!(root("containers"));
    let node = with_ignition_data("applied", "capv-without-workarounds");
    let (seed, root) = (node.root.path("/seed"), node.root.arg());
    let seed = seed.to_str().unwrap();
    Ran::of(Command::new(FOOTPLATE).args(["provision", "--seed", seed, "--root", root])).ended(0, &[]);
    for own in ["/etc/hostname", "/run/metadata", "/run/footplate"] {
        Ran::of(Command::new("rm").arg("-rf").arg(node.root.path(own))).ended(0, &[]);
    }
    node.root.put("/etc/.ignition-result.json", "{\"userConfigProvided\": true}\n");
    // Its owner has changed something since, and the placeholders are as they were sent.
    let script = format!("# kept\n{}", node.root.text("/etc/kubeadm.sh"));
    node.root.put("/etc/kubeadm.sh", &script);
    node.boot();
    node.stands(0, "done");
    assert_eq!(node.root.text("/etc/kubeadm.sh"), script);
    let ran = node.root.text("/var/lib/kubeadm-runs");
    assert_eq!(ran, "node-1 node-1 test://zone/i-1 /opt/bin\n", "{}", node.out("journal"));
    assert!(node.has_sentinel());

    node.boot();
    node.stands(0, "done");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 1, "once, however often it starts");
    assert_eq!(node.out("failed"), "");
}
