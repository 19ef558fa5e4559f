// SPDX-License-Identifier: Apache-2.0
//! What comes from outside is read by a process of its own, which systemd starts.

use std::fs;

use super::{JOIN, SUCCESS};
use crate::common::node::Node;

/// LXD's service, as far as one guest asks it, and a server of the data: the file of that name, or 404.
const LXD: &str = r#"#!/bin/bash
read -r _ path _
while read -r line && [ "$line" != $'\r' ]; do :; done
body=$(cat "/opt/test/lxd-answers$path" 2> /dev/null) && status='200 OK' || status='404 Not Found'
printf 'HTTP/1.1 %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "$status" "${#body}" "$body"
"#;

/// Its process has no device but the socket of LXD's service, and what it reads is the node that a thread would have read. What the data
/// names elsewhere it fetches too: the process that applies has no network here.
#[test]
fn a_process_without_devices_asks_lxd_and_reads_what_it_says() {
    needs!(root("containers"));
    let node = Node::new("lxd", JOIN, SUCCESS);
    for unit in ["footplate", "footplate-network"] {
        fs::remove_file(node.root.path(&format!("/etc/systemd/system/{unit}.service.d/seed.conf"))).unwrap();
    }
    for (answer, seed) in [("1.0/meta-data", "meta-data"), ("join", "user-data")] {
        let text = node.root.text(&format!("/seed/{seed}"));
        node.root.put(&format!("/opt/test/lxd-answers/{answer}"), text);
    }
    let include = "#include\nhttp://127.0.0.1:8099/join\n";
    node.root.put("/opt/test/lxd-answers/1.0/config/cloud-init.user-data", include);
    node.root.put(
        "/etc/systemd/system/footplate.service.d/network.conf",
        "[Service]\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_NETLINK\n",
    );
    node.program("/opt/test/lxd", LXD);
    let socket = "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/dev/lxd/sock\nListenStream=127.0.0.1:8099\nAccept=yes\n[Install]\nWantedBy=sockets.target\n";
    node.root.put("/etc/systemd/system/lxd.socket", socket);
    let service = "[Service]\nExecStart=/opt/test/lxd\nStandardInput=socket\n";
    node.root.put("/etc/systemd/system/lxd@.service", service);
    node.systemctl(&["enable", "lxd.socket"]);
    node.boot();
    let journal = node.out("journal");
    let status = node.stands(0, "done");
    assert_eq!(status["platform"], "lxd", "{status:#}");
    // One before the network, and one for the bootstrap.
    let reader =
        |line: &&str| line.contains("Started footplate-reader@") || line.contains("Started Reader of");
    assert!(journal.lines().filter(reader).count() == 2, "{journal}");
}

/// Where no reader comes, the node is made all the same, and the log says why.
#[test]
fn without_a_reader_the_node_is_made_all_the_same() {
    needs!(root("containers"));
    let node = Node::new("no-reader", JOIN, SUCCESS);
    node.root.put(
        "/etc/systemd/system/footplate-reader@.service.d/broken.conf",
        "[Service]\nExecStart=\nExecStart=/no/such/program\n",
    );
    node.boot();
    node.stands(0, "done");
    let journal = node.out("journal");
    assert!(journal.contains("the data is read in this process, for no reader came: "), "{journal}");
}
