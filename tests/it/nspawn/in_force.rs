// SPDX-License-Identifier: Apache-2.0
//! Files that early services have read already count in this boot.

use std::fs;

use super::{JOIN, SUCCESS, data_url};
use crate::common::node::{BASE, Node};

/// What the machine does with each family of files, and what a second run with nothing to change does.
const IN_FORCE: &str = r#"#!/bin/bash
sysctl() { cat /proc/sys/${1//./\/}; }
check() { printf '%s=%s\n' "$1" "$(eval "$2" 2>&1 | tr '\n' ' ' | sed 's/ $//')"; }
for _ in $(seq 100); do systemctl -q is-active linked.service && break; sleep 0.1; done
check kernel 'sysctl net.core.somaxconn'
check directory 'stat -c %a:%U /var/lib/of-tmpfiles'
check account 'id -u of-sysusers'
check limit 'systemctl show -P DefaultLimitNOFILE'
check journal 'journalctl --unit systemd-journald --output cat | grep -o "max [0-9]*" | tail -n 1'
check program 'of-extension'
check linked 'systemctl is-active linked.service'
check dropin 'systemctl show -P Environment later.service'
check hosts 'getent hosts registry.invalid'
rm -rf /var/lib/footplate/instances
/opt/bin/footplate provision --seed /seed > /out/again 2>&1
echo "exit $?" >> /out/again
"#;

/// Every family at once: accounts before the directories that they own, an extension's program, plain files of units.
fn early_files() -> String {
    let files = [
        ("/etc/sysctl.d/90-a.conf", "net.core.somaxconn=8191\n"),
        ("/etc/sysusers.d/a.conf", "u of-sysusers 787\n"),
        ("/etc/tmpfiles.d/a.conf", "d /var/lib/of-tmpfiles 0750 of-sysusers - -\n"),
        ("/etc/modules-load.d/a.conf", "# nothing\n"),
        ("/etc/udev/hwdb.d/90-a.hwdb", "# nothing\n"),
        ("/etc/systemd/system.conf.d/a.conf", "[Manager]\nDefaultLimitNOFILE=123457\n"),
        ("/etc/systemd/journald.conf.d/a.conf", "[Journal]\nRuntimeMaxUse=11M\nSystemMaxUse=11M\n"),
        ("/etc/systemd/logind.conf.d/a.conf", "[Login]\nInhibitDelayMaxSec=45s\n"),
        (
            "/etc/systemd/system/linked.service",
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
        ),
        ("/etc/systemd/system/later.service.d/a.conf", "[Service]\nEnvironment=OF=data\n"),
        ("/etc/hosts", "192.0.2.44 registry.invalid\n"),
        ("/srv/extensions/tool/usr/lib/extension-release.d/extension-release.tool", "ID=_any\n"),
        ("/srv/extensions/tool/usr/bin/of-extension", "#!/bin/sh\necho merged\n"),
    ];
    let files: Vec<serde_json::Value> = files
        .iter()
        .map(|(path, text)| {
            let source = data_url(text);
            let mode = if path.contains("/bin/") { 0o755 } else { 0o644 };
            serde_json::json!({"path": path, "mode": mode, "overwrite": true, "contents": {"source": source}})
        })
        .collect();
    let links = serde_json::json!([
        {"path": "/etc/extensions/tool", "target": "/srv/extensions/tool"},
        {"path": "/etc/systemd/system/multi-user.target.wants/linked.service", "target": "/etc/systemd/system/linked.service"},
    ]);
    serde_json::json!({"ignition": {"version": "3.3.0"}, "storage": {"files": files, "links": links}})
        .to_string()
}

#[test]
fn files_that_early_services_have_read_count_in_this_boot() {
    needs!(root("containers"));
    let mut node = Node::new("early-files", JOIN, SUCCESS);
    node.root.put("/seed/user-data", early_files());
    node.program("/opt/test/more", IN_FORCE);
    let later = "[Unit]\nAfter=footplate.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n\
                 [Install]\nWantedBy=multi-user.target\n";
    node.root.put("/etc/systemd/system/later.service", later);
    node.root.put("/etc/systemd/system/check.service.d/order.conf", "[Unit]\nAfter=later.service\n");
    node.systemctl(&["enable", "later.service", "systemd-sysext.service"]);
    // There is an end to what can be laid over an overlay: what an extension takes part in stands on plain file systems.
    for at in ["/srv/extensions", "/usr"] {
        fs::create_dir_all(node.root.path(at)).unwrap();
    }
    let (usr, extensions) = (node.root.path("/usr"), node.root.path("/srv/extensions"));
    node.mount(&["-o", "bind,ro", &BASE.join("usr").display().to_string()], &usr);
    node.mount(&["-t", "tmpfs", "extensions"], &extensions);
    node.boot();
    let (journal, said) = (node.out("journal"), node.out("more"));
    node.stands(0, "nothing-to-do");
    let want = "kernel=8191\ndirectory=750:of-sysusers\naccount=787\nlimit=123457\njournal=max 11\nprogram=merged\n\
                linked=active\ndropin=OF=data\nhosts=192.0.2.44      registry.invalid\n";
    assert_eq!(said, want, "{journal}");
    assert_eq!(node.out("failed"), "", "{journal}");
    // Nothing changes the second time, and nothing runs.
    let again = node.out("again");
    assert!(again.contains("changed=0") && again.ends_with("exit 0\n"), "{again}");
    assert!(!again.contains("read its"), "{again}");
    assert!(journal.contains("systemd-sysctl.service has read its files"), "{journal}");
    assert!(journal.contains("/etc/udev/hwdb.d/90-a.hwdb has no effect in this boot: "), "{journal}");
    // A seed on the disk is no service.
    assert!(journal.contains("waiting for the metadata of NoCloud"), "{journal}");
}

/// kubeadm itself may come in an extension that the data brings, and the unit that runs it too: it is merged before kubeadm is looked for.
#[test]
fn a_kubeadm_of_an_extension_of_the_data_runs_in_this_boot() {
    needs!(root("containers"));
    let script = "#!/bin/sh\nkubeadm join --config /etc/kubeadm.yml || exit 4\nmkdir -p /run/cluster-api\n\
                  echo success > /run/cluster-api/bootstrap-success.complete\n";
    let kubeadm = "#!/bin/sh\necho \"$0 $*\" >> /var/lib/kubeadm-runs\n";
    let release = "usr/lib/extension-release.d/extension-release.k8s";
    let unit = "[Service]\nType=oneshot\nExecStart=/etc/kubeadm.sh\n[Install]\nWantedBy=multi-user.target\n";
    let file = |path: &str, mode: u32, text: &str| serde_json::json!({"path": path, "mode": mode, "contents": {"source": data_url(text)}});
    let ignition = serde_json::json!({"ignition": {"version": "3.3.0"},
        "storage": {
            "files": [
                file("/srv/extensions/k8s/usr/bin/kubeadm", 0o755, kubeadm),
                file(&format!("/srv/extensions/k8s/{release}"), 0o644, "ID=_any\n"),
                file("/etc/kubeadm.yml", 0o600, "kind: JoinConfiguration"),
                file("/etc/kubeadm.sh", 0o700, script)],
            "links": [{"path": "/etc/extensions/k8s", "target": "/srv/extensions/k8s"}]},
        "systemd": {"units": [{"name": "kubeadm.service", "enabled": true, "contents": unit}]}});
    let cloud_config = format!(
        "#cloud-config\nwrite_files:\n- {{path: /etc/extensions/k8s/usr/bin/kubeadm, permissions: '0755', content: {kubeadm:?}}}\n\
         - {{path: '/etc/extensions/k8s/{release}', content: \"ID=_any\\n\"}}\n\
         - {{path: /etc/kubeadm.yml, content: 'kind: JoinConfiguration'}}\n\
         - {{path: /etc/kubeadm.sh, permissions: '0700', content: {script:?}}}\n\
         runcmd: [/etc/kubeadm.sh]\n"
    );
    for (name, data) in [("sysext-ignition", ignition.to_string()), ("sysext-cloud-config", cloud_config)] {
        let mut node = Node::new(name, JOIN, "");
        fs::remove_file(node.root.path("/opt/bin/kubeadm")).unwrap();
        let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
        node.root.put("/seed/user-data", data).put("/etc/systemd/system/containerd.service", oneshot);
        node.systemctl(&["enable", "systemd-sysext.service"]);
        for at in ["/srv/extensions", "/etc/extensions", "/usr"] {
            fs::create_dir_all(node.root.path(at)).unwrap();
        }
        let usr = node.root.path("/usr");
        node.mount(&["-o", "bind,ro", &BASE.join("usr").display().to_string()], &usr);
        for at in ["/srv/extensions", "/etc/extensions"] {
            let at = node.root.path(at);
            node.mount(&["-t", "tmpfs", "extensions"], &at);
        }
        node.boot();
        node.stands(0, "done");
        let ran = node.root.text("/var/lib/kubeadm-runs");
        assert_eq!(
            ran,
            "/usr/bin/kubeadm join --config /etc/kubeadm.yml\n",
            "{name}: {}",
            node.out("journal")
        );
    }
}

/// The same of services that a container has only when it is told so: name resolution, time, devices, and users' own systemd, of which one
/// runs before the data is there and one is asked for by the data.
const SERVED: &str = r#"#!/bin/bash
check() { printf '%s=%s\n' "$1" "$(eval "$2" 2>&1 | tr '\n' ' ' | sed 's/ $//')"; }
said() {
    check dns 'resolvectl dns | grep -o "Global: .*"'
    check stub 'ss --listening --numeric --udp --tcp | grep -c 127.0.0.53'
    check time 'timedatectl show-timesync --property=SystemNTPServers --value'
    check rule 'stat --format=%F /dev/of-rule'
    check early 'cat /var/tmp/early-user'
    check late 'cat /var/tmp/late-user'
    check fstab 'findmnt --noheadings --output FSTYPE /srv/fstab'
    check dropin 'cat /var/tmp/of-image'
}
# Users' own systemd and udev come to it when the machine lets them.
for _ in $(seq 100); do said=$(said); [ "$said" = "$(cat /opt/test/want)" ] && break; sleep 0.3; done
echo "$said"
rm -rf /var/lib/footplate/instances
/opt/bin/footplate provision --seed /seed > /out/again 2>&1
echo "exit $?" >> /out/again
"#;

#[test]
fn settings_of_services_count_in_this_boot() {
    needs!(root("containers"));
    let unit = |file: &str| {
        format!(
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo $OF_USER > {file}'\n"
        )
    };
    let files = [
        ("/etc/systemd/resolved.conf.d/a.conf", "[Resolve]\nDNS=192.0.2.54\nDNSStubListener=no\n".to_owned()),
        ("/run/systemd/timesyncd.conf.d/a.conf", "[Time]\nNTP=ntp-7.invalid\n".to_owned()),
        (
            "/etc/udev/rules.d/90-a.rules",
            "SUBSYSTEM==\"mem\", KERNEL==\"null\", SYMLINK+=\"of-rule\"\n".to_owned(),
        ),
        ("/etc/environment.d/90-a.conf", "OF_USER=data\n".to_owned()),
        ("/etc/systemd/user/early.service", unit("/var/tmp/early-user")),
        ("/home/late/.config/systemd/user/late.service", unit("/var/tmp/late-user")),
        ("/var/lib/systemd/linger/late", String::new()),
        ("/etc/fstab", "none /srv/fstab tmpfs size=1M 0 0\n".to_owned()),
        ("/etc/systemd/system/of-image.service.d/a.conf", "[Service]\nEnvironment=OF=data\n".to_owned()),
    ];
    let links = [
        ("/etc/systemd/user/default.target.wants/early.service", "/etc/systemd/user/early.service"),
        ("/home/late/.config/systemd/user/default.target.wants/late.service", "../late.service"),
    ];
    let ignition = serde_json::json!({"ignition": {"version": "3.3.0"}, "storage": {
        "files": files.iter().map(|(path, text)| serde_json::json!({
            "path": path, "mode": 0o644, "overwrite": true, "contents": {"source": data_url(text)}})).collect::<Vec<_>>(),
        "links": links.iter().map(|(path, target)| serde_json::json!({"path": path, "target": target})).collect::<Vec<_>>()}})
    .to_string();
    let cloud_config = files.iter().map(|(path, text)| format!("- {{path: {path}, content: {text:?}}}\n"));
    let cloud_config = format!("#cloud-config\nwrite_files:\n{}", cloud_config.collect::<String>());
    for (name, data) in [("served-ignition", ignition), ("served-cloud-config", cloud_config)] {
        let mut node = Node::new(name, JOIN, SUCCESS);
        node.root.put("/seed/user-data", data);
        let want = "dns=Global: 192.0.2.54\nstub=0\ntime=ntp-7.invalid\nrule=symbolic link\nearly=data\nlate=data\nfstab=tmpfs\ndropin=OF=data\n";
        node.program("/opt/test/more", SERVED);
        node.root.put("/opt/test/want", want);
        // Not even a container keeps them from running.
        let anywhere = "[Unit]\nConditionVirtualization=\nConditionPathIsReadWrite=\nConditionCapability=\n";
        for service in ["systemd-timesyncd", "systemd-udevd"] {
            node.root.put(&format!("/etc/systemd/system/{service}.service.d/here.conf"), anywhere);
        }
        // One of the image that starts behind the data, which has no commands here.
        let of_image = "[Unit]\nAfter=footplate.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                        ExecStart=/bin/sh -c 'echo OF=$OF > /var/tmp/of-image'\n[Install]\nWantedBy=multi-user.target\n";
        node.root.put("/etc/systemd/system/of-image.service", of_image);
        node.systemctl(&[
            "enable",
            "systemd-resolved.service",
            "systemd-timesyncd.service",
            "of-image.service",
        ]);
        // This machine's devices are only looked at: no rule but the data's.
        node.mount(&["-t", "tmpfs", "rules"], &node.root.path("/usr/lib/udev/rules.d"));
        let accounts = "early:x:1501:1501::/home/early:/bin/sh\nlate:x:1502:1502::/home/late:/bin/sh\n";
        let passwd = node.root.text("/etc/passwd") + accounts;
        node.root.put("/etc/passwd", passwd).put("/var/lib/systemd/linger/early", "");
        node.root.put("/srv/fstab/.keep", "").put("/home/early/.keep", "").put("/home/late/.keep", "");
        // A cloud-config has no key for links.
        for (path, target) in links.iter().filter(|_| name == "served-cloud-config") {
            node.root.put(&path.replace(".service", ".keep"), "");
            std::os::unix::fs::symlink(target, node.root.path(path)).unwrap();
        }
        let shadow = node.root.text("/etc/shadow") + "early:*:1::::::\nlate:*:1::::::\n";
        node.root.put("/etc/shadow", shadow);
        // A user's systemd runs before, and events can be asked for: a container has its /sys read-only.
        let before = "[Service]\nExecStartPre=+/bin/mount -o remount,rw /sys/devices\n\
                      ExecStartPre=/bin/sh -c 'until systemctl -q is-active user@1501.service; do sleep 0.1; done'\n";
        node.root.put("/etc/systemd/system/footplate.service.d/before.conf", before);
        node.boot();
        let (journal, said) = (node.out("journal"), node.out("more"));
        assert_eq!(said, want, "{name}: {journal}");
        assert_eq!(node.out("failed"), "", "{name}: {journal}");
        let again = node.out("again");
        assert!(again.contains("changed=0") && again.ends_with("exit 0\n"), "{name}: {again}");
    }
}
