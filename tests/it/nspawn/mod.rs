// SPDX-License-Identifier: Apache-2.0
//! Boots of a container with a real systemd and a real bus: the units, the bootstrap through systemd, and what is left
//! when it succeeds, when it fails, when it is cut off, and at the next boot.
//!
//! kubeadm's exit status and words are what is tested here, so a shell program gives them; the real one runs in the
//! boots of `qemu-tests`.

mod cuts;
mod ends;
mod ignition;
mod in_force;
mod machine;
mod reader;
mod units;
mod way;

const JOIN: &str = "  - kubeadm join --config /run/kubeadm/join.yaml && echo success > /run/cluster-api/bootstrap-success.complete\n";

/// As the real one does at its end.
const SUCCESS: &str = "#!/bin/sh
echo \"$INSTANCE_ID|$PATH\" >> /var/lib/kubeadm-runs
grep -q 'name: node-1$' /run/kubeadm/join.yaml || exit 9
mkdir -p /etc/kubernetes && : > /etc/kubernetes/kubelet.conf
";

fn data_url(text: &str) -> String {
    "data:,".to_owned() + &text.bytes().map(|b| format!("%{b:02x}")).collect::<String>()
}
