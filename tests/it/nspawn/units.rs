// SPDX-License-Identifier: Apache-2.0
//! systemd reads its units once, after all is written, and what commands write for them counts.

use std::fs;

use super::{JOIN, SUCCESS};
use crate::common::node::Node;

/// Each kind of change that systemd has to read before it counts: a unit's file, a unit that is enabled, a drop-in of a service that is
/// restarted, a mount by fstab, the bootstrap's own unit.
#[test]
fn systemd_reads_its_units_once_after_all_is_written() {
    needs!(root("containers"));
    const DATA: &str = "#cloud-config
write_files:
  - {path: /run/kubeadm/join.yaml, content: 'name: node-1'}
  - {path: /etc/systemd/system/of-file.service, content: \"[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n\"}
  - {path: /etc/systemd/system/systemd-logind.service.d/of-data.conf, content: \"[Service]\\nEnvironment=OF=data\\n\"}
  - {path: /etc/fstab, append: true, content: \"tmpfs /srv/fstab tmpfs defaults 0 0\\n\"}
ntp: {servers: [ntp.example.invalid]}
coreos:
  units:
    - {name: of-unit.service, command: start, enable: true, content: \"[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"}
runcmd:
  - systemctl start of-file.service && mountpoint /srv/fstab
";
    const MORE: &str = "systemctl is-active of-unit.service of-file.service\nsystemctl show -P Environment systemd-logind.service\nfindmnt -no FSTYPE /srv/fstab\n";
    // A unit of footplate's own that is started in between is new to systemd, which reads it alone.
    for (name, bootcmd) in [("reads", ""), ("reads-with-bootcmd", "bootcmd: ['true']\n")] {
        let node = Node::new(name, JOIN, SUCCESS);
        node.root.put("/seed/user-data", format!("{DATA}{JOIN}{bootcmd}"));
        node.program("/opt/test/more", &format!("#!/bin/bash\n{MORE}"));
        node.boot();
        let journal = node.out("journal");
        node.stands(0, "done");
        assert_eq!(node.out("more"), "active\nactive\nOF=data\ntmpfs\n", "{journal}");
        // Some versions say before that, and by whom, it was asked for.
        let reads = journal.lines().filter(|line| line.contains("systemd[1]: Reloading.")).count();
        assert_eq!(reads, 1, "{bootcmd}{journal}");
    }
}

/// A drop-in for a unit that systemd knows already, and one for the bootstrap's own: systemd is asked for both before it starts them.
#[test]
fn what_commands_write_for_the_bootstrap_s_units_counts() {
    needs!(root("containers"));
    const BOOTCMD: &str = "bootcmd:\n  - |\n    for unit in containerd kubeadm; do\n      mkdir -p /etc/systemd/system/$unit.service.d\n      \
        printf '[Service]\\nEnvironment=OF=commands\\n' > /etc/systemd/system/$unit.service.d/50-proxy.conf\n    done\n";
    let node = Node::new("written", JOIN, &SUCCESS.replace('|', "|$OF|"));
    let data = fs::read_to_string(node.root.path("/seed/user-data")).unwrap();
    let (before, after) = data.split_once("bootcmd:\n").unwrap();
    node.root.put("/seed/user-data", format!("{before}{BOOTCMD}{after}"));
    node.program("/opt/test/more", "#!/bin/sh\nsystemctl show -P Environment containerd.service\n");
    node.boot();
    let journal = node.out("journal");
    node.stands(0, "done");
    assert!(node.out("more").contains(" OF=commands\n"), "{journal}");
    assert!(node.root.text("/var/lib/kubeadm-runs").contains("|commands|"), "{journal}");
}
