// SPDX-License-Identifier: Apache-2.0
//! What a host of Hyper-V hears of a bootstrap, in a container that boots: the pairs of its file, as Debian's cloud-init and Python read
//! them.

use std::process::Command;

use crate::cloud_init_oracle::PACKAGES;
use crate::common::debian;
use crate::common::node::Node;
use crate::common::scratch::{CANARY, Ran};

const JOIN: &str = "#cloud-config
write_files: [{path: /run/kubeadm/join.yaml, content: CANARY}]
runcmd: ['kubeadm join --config /run/kubeadm/join.yaml']
";
const POOL: &str = "/var/lib/hyperv/.kvp_pool_1";

/// Reads the file with cloud-init's own reader, and the fields with Python's csv: a line each.
const READ: &str = "
import csv, sys
from cloudinit.reporting.handlers import HyperVKvpReportingHandler as Handler
Handler._already_truncated_pool_file = True
for pair in Handler(kvp_file_path=sys.argv[1])._iterate_kvps(0):
    [fields] = csv.reader([pair['value']], delimiter='|', quotechar=\"'\")
    print(pair['key'], *fields, sep='\\n')
";

/// A pair as the host's files have it.
fn pair(key: &str, value: &str) -> Vec<u8> {
    let field = |text: &str, length| [text.as_bytes(), &vec![0; length - text.len()]].concat();
    [field(key, 512), field(value, 2048)].concat()
}

#[test]
fn a_host_of_hyper_v_hears_how_the_bootstrap_ended() {
    needs!(root("containers"));
    let packages = needs!(debian::unpacked(PACKAGES));
    let fails = "#!/bin/sh\necho \"error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature \
                 in the cluster-info ConfigMap for token ID\" >&2\nexit 1\n";
    let joins = "#!/bin/sh\nmkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf\n";
    for (name, kubeadm, exit, state, wants) in [
        (
            "kvp-fails",
            fails,
            1,
            "failed",
            &["result=error", "state=failed", "code=join/token-expired", "pps_type=None"][..],
        ),
        ("kvp-joins", joins, 0, "done", &["result=success", "state=done", "pps_type=None"]),
    ] {
        let node = Node::new(name, "  - 'true'\n", kubeadm);
        let service = "/etc/systemd/system/footplate.service.d/seed.conf";
        node.root.put(
            service,
            "[Service]\nExecStart=\nExecStart=/opt/bin/footplate provision --platform hyperv\n",
        );
        node.root
            .put("/var/lib/hyperv/.kvp_pool_0", pair("ignition.config", &JOIN.replace("CANARY", CANARY)));
        // Another program's pair of this boot stays.
        let other = "/etc/systemd/system/other.service";
        node.root.put(
            other,
            "[Unit]\nBefore=footplate.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c \
             '{ printf other; head -c 507 /dev/zero; printf value; head -c 2043 /dev/zero; } > /var/lib/hyperv/.kvp_pool_1'\n",
        );
        node.systemctl(&["add-wants", "multi-user.target", "other.service"]);
        node.boot();
        node.stands(exit, state);
        let pool = node.root.path(POOL);
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", packages.join("usr/lib/python3/dist-packages"));
        let read = Ran::of(python.args(["-c", READ]).arg(&pool));
        read.ended(0, &[]);
        let lines: Vec<&str> = read.out.lines().collect();
        assert_eq!(lines[..3], ["other", "value", "PROVISIONING_REPORT"], "{}", read.out);
        for want in wants {
            assert!(lines.contains(want), "{want}: {}", read.out);
        }
        let reason = lines.iter().find(|l| l.starts_with("reason="));
        assert_eq!(reason.is_some(), exit == 1, "{}", read.out);
        assert!(reason.is_none_or(|r| r.contains("the bootstrap token has expired")), "{reason:?}");
        assert!(!std::fs::read(&pool).unwrap().windows(CANARY.len()).any(|w| w == CANARY.as_bytes()));
    }
}
