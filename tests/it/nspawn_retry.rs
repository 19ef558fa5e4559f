// SPDX-License-Identifier: Apache-2.0
//! `footplate retry` and `clean` in a container with a real systemd: a bootstrap that failed begins anew where nothing stands
//! against it, and says why where something does.

use std::fs;

use crate::common::node::Node;

const JOIN: &str = "  - echo begun >> /var/lib/begun\n  - kubeadm join --config /run/kubeadm/join.yaml && echo success > /run/cluster-api/bootstrap-success.complete\n";

/// Fails until a file is there; leaves what its first argument says.
fn kubeadm(leaves: &str) -> String {
    format!(
        "#!/bin/sh
echo run >> /var/lib/kubeadm-runs
[ -e /var/lib/mended ] || {{ {leaves}; echo 'error execution phase preflight' >&2; exit 1; }}
mkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf
"
    )
}

/// Runs after the first end: each line of `commands` with its exit status, then waits for the end.
fn more(node: &Node, commands: &str) {
    let script = "#!/bin/bash\nrun() { \"$@\" < /dev/null; echo \"-> $?\"; }\n";
    let wait =
        "footplate status --wait --timeout 30 --format json > /out/status.json; echo $? > /out/status\n";
    node.program("/opt/test/more", &format!("{script}export PATH=/opt/bin:$PATH\n{commands}\n{wait}"));
}

#[test]
fn a_bootstrap_that_wrote_nothing_begins_anew() {
    needs!(root("containers"));
    let node = Node::new("retry", JOIN, &kubeadm("true"));
    more(&node, "run footplate retry\ntouch /var/lib/mended\nrun footplate retry --yes");
    node.boot();
    node.stands(0, "done");
    let said = node.out("more");
    for text in [
        "failed:   kubeadm failed with exit status 1",
        "all commands of the bootstrap data run again",
        "error: usage: nothing was done: there is no terminal",
        "-> 64\n",
        "started: `footplate status --wait`",
        "-> 0\n",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}\n{}", node.out("journal"));
    }
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/begun")), (2, 2));
    assert!(node.has_sentinel());
    node.is_clean();
    // The result that counts is the last one, also at the next boot, where nothing may be retried or forgotten any more.
    more(&node, "run footplate retry --yes\nrun footplate clean");
    node.boot();
    node.stands(0, "done");
    let said = node.out("more");
    assert!(said.contains("nothing failed on this machine: it is done"), "{said}");
    assert!(said.contains("this machine is a member of a cluster"), "{said}");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 2);
}

#[test]
fn what_kubeadm_wrote_stands_against_a_retry_until_it_is_reset() {
    needs!(root("containers"));
    let wrote = "mkdir -p /etc/kubernetes/pki && : > /etc/kubernetes/pki/ca.crt";
    let node = Node::new("retry-wrote", JOIN, &kubeadm(wrote));
    node.boot();
    node.stands(1, "failed");
    // In a later boot, too.
    more(
        &node,
        "touch /var/lib/mended\nrun footplate retry --yes\nrm -r /etc/kubernetes/pki\nrun footplate retry --yes",
    );
    node.boot();
    node.stands(0, "done");
    let said = node.out("more");
    let refused = "error: start: /etc/kubernetes/pki/ca.crt: kubeadm wrote it";
    assert!(said.contains(refused) && said.contains("hint: run `kubeadm reset`"), "{said}");
    assert!(said.contains("-> 70\n") && said.contains("-> 0\n"), "{said}");
    assert_eq!(node.lines("/var/lib/kubeadm-runs"), 2);
}

#[test]
fn a_machine_that_was_cleaned_is_a_new_one() {
    needs!(root("containers"));
    let node = Node::new("retry-clean", JOIN, &kubeadm("true"));
    more(&node, "run footplate clean\ntouch /var/lib/mended");
    node.boot();
    let said = node.out("more");
    assert!(said.contains("removed: /var/lib/footplate\n") && said.contains("-> 0\n"), "{said}");
    fs::remove_file(node.root.path("/opt/test/more")).unwrap();
    node.boot();
    node.stands(0, "done");
    assert_eq!((node.lines("/var/lib/kubeadm-runs"), node.lines("/var/lib/begun")), (2, 2));
}
