// SPDX-License-Identifier: Apache-2.0
//! A secret in each field that may hold one, where it belongs and where it is broken: no command prints it, and it is in no file
//! that tells how a run went. Paths, and names of users, groups, units,
//! disks, kinds of data and of a template's variables and filters, are printed on purpose.

use std::fs;
use std::path::Path;

use crate::common::scratch::{self, Ran, Scratch, footplate, fresh, walk};

/// What must not come out; a word as templates, YAML and URLs take it.
const CANARY: &str = "f00tp1atec4n4ry0";

/// Lines of a cloud-config; `@` is the canary.
const CLOUD_CONFIG: &[&str] = &[
    "write_files: [{path: /etc/a, content: '@'}]",
    "write_files: [{path: /etc/a, content: '@', encoding: gz}]",
    "write_files: [{path: /etc/a, content: '@', encoding: b64}]",
    "write_files: [{path: /etc/a, content: '@', encoding: '@'}]",
    "write_files: [{path: /etc/a, content: x, permissions: '@'}]",
    "write_files: [{path: /etc/a, content: x, permissions: 07@}]",
    "write_files: [{path: /etc/a, content: x, append: '@'}]",
    "write_files: [{path: /etc/a, content: x, defer: '@'}]",
    "write_files: [{path: /etc/a, content: [@]}]",
    "write_files: [{path: /etc/a, content: {a: '@'}}]",
    "write_files: [{path: /etc/a, source: {uri: 'ftp://u:@@h.example/@'}}]",
    "write_files: [{path: /etc/a, source: {uri: '@'}}]",
    "write_files: [{path: /etc/a, source: {uri: 'http://', headers: {a: '@'}}}]",
    "write_files: '@'",
    "write_files: ['@']",
    "write_files: [{content: '@'}]",
    "write_files: [{path: '', content: '@'}]",
    "write_files: [{path: /etc/../../a, content: '@'}]",
    "write_files: [{path: /etc/kubernetes/manifests/a.yaml, content: 'a: [@'}]",
    "write_files: [{path: /etc/containerd/conf.d/a.toml, content: 'a = @'}]",
    "write_files: [{path: /run/kubeadm/kubeadm.yaml, content: 'kind: @'}]\nruncmd: [kubeadm init --config /run/kubeadm/kubeadm.yaml]",
    "users: [{name: u, passwd: '@'}]",
    "users: [{name: u, hashed_passwd: '@'}]",
    "users: [{name: u, hashed_passwd: '$6$a$@', lock_passwd: '@'}]",
    "users: [{name: u, plain_text_passwd: '@'}]",
    "users: [{name: u, ssh_authorized_keys: '@'}]",
    "users: [{name: u, ssh_authorized_keys: ['ssh-ed25519 @ a']}]",
    "users: [{name: u, ssh_import_id: ['@']}]",
    "users: [{name: u, gecos: '@'}]",
    "users: [{name: u, uid: '@'}]",
    "users: [{name: u, expiredate: '@'}]",
    "users: [{name: u, inactive: '@'}]",
    "users: [{name: u, system: '@'}]",
    "users: [{name: u, doas: ['@']}]",
    "users: '@ @:'",
    "chpasswd: {list: ['u:@']}",
    "chpasswd: {list: '@'}",
    "chpasswd: {users: [{name: root, password: '@', type: text}]}",
    "chpasswd: {users: [{name: root, password: '$6$a$@', type: '@'}]}",
    "chpasswd: {expire: '@'}",
    "password: '@'",
    "ssh_authorized_keys: ['@']",
    "ssh_keys: {ed25519_private: '@', ed25519_public: '@'}",
    "ssh_keys: {rsa_private: '@'}",
    "ssh_pwauth: '@'",
    "disable_root: '@'",
    "ca_certs: {trusted: ['@']}",
    "ca_certs: {trusted: '-----BEGIN CERTIFICATE----- @'}",
    "ca_certs: {remove_defaults: '@'}",
    "runcmd: ['@']",
    "runcmd: [[sh, -c, '@']]",
    "runcmd: ['if @']",
    "runcmd: '@'",
    "runcmd: [{a: '@'}]",
    "runcmd: ['kubeadm join --token @']",
    "runcmd: ['kubeadm join --config /nonexistent-@']",
    "bootcmd: ['@']",
    "bootcmd: [{a: '@'}]",
    "phone_home: {url: 'https://u:@@h.example/@?a=@', post: all}",
    "phone_home: {url: '@', tries: '@'}",
    "phone_home: {url: 'https://h.example/', post: ['@']}",
    "power_state: {mode: '@'}",
    "power_state: {mode: reboot, message: '@', delay: '@'}",
    "power_state: {mode: reboot, condition: '@'}",
    "final_message: '@'",
    "ntp: {enabled: '@'}",
    "ntp: {config: {template: '@'}}",
    "mounts: [['//h.example/s', /srv/s, cifs, 'username=u,password=@']]",
    "mounts: [['10.0.0.1:/s', /srv/s, ceph, 'secret=@']]",
    "mounts: [['//h.example/s', /srv/s, cifs, 'x-systemd.mount-timeout=@']]",
    "mounts: ['@']",
    "swap: {filename: /var/swap, size: '@'}",
    "disk_setup: {/dev/vdx: {table_type: '@', layout: '@'}}",
    "hostname: '@_'",
    "fqdn: '@..'",
    "timezone: '../@'",
    "locale: '@ @'",
    "manage_etc_hosts: '@'",
    "coreos: {units: [{name: a.service, content: '[Service]\\nEnvironment=@'}]}",
    "coreos: {units: [{name: a.service, command: '@'}]}",
    "coreos: {etcd2: {discovery: 'https://h.example/@'}}",
    "packages: [[a, '@']]",
    "apt: {sources: {a: {key: '@'}}}",
    "yum_repos: {a: {password: '@'}}",
    "rh_subscription: {username: a, password: '@'}",
    "landscape: {client: {registration_key: '@'}}",
    "salt_minion: {private_key: '@'}",
    "puppet: {conf: {ca_cert: '@'}}",
    "chef: {validation_cert: '@'}",
    "mcollective: {conf: {private-cert: '@'}}",
    "wireguard: {interfaces: [{name: wg0, config_path: /etc/wg0, content: 'PrivateKey=@'}]}",
    "proxy: 'http://u:@@h.example'",
    "write_file: [{content: '@'}]",
    "a: &a '@'\nb: *@",
    "a: '@\nb: [",
    "a: \"@\\q\"",
    "? [@]\n: x",
    "write_files: [{path: /etc/a, content: !!binary '@'}]",
    "write_files: [{path: /etc/a, content: !!int '@'}]",
    "bootcmd: [[sh, -c, '@', {b: 1}]]",
    "users: [{name: u, selinux_user: '@'}]",
    "users: [{name: u, ssh_redirect_user: '@'}]",
    "chpasswd: {list: \"u:RANDOM\\nv@\"}",
    "chpasswd: '@'",
    "ssh: {emit_keys_to_console: '@'}",
    "ssh_keys: '@'",
    "random_seed: {data: '@', encoding: '@'}",
    "rsyslog: {remotes: {a: '@'}}",
    "snap: {commands: ['@']}",
    "ansible: {pull: {url: 'https://u:@@h.example/'}}",
    "power_state: '@'",
    "merge_how: '@'",
    "merge_how: [{name: '@', settings: ['@']}]",
    "vendor_data: {enabled: '@', prefix: ['@']}",
    "autoinstall: {identity: {password: '@'}}",
    "ubuntu_pro: {token: '@'}",
    "spacewalk: {activation_key: '@'}",
    "zypper: {repos: [{password: '@'}]}",
];

/// Names, addresses and rules, which a capture keeps: they make the plan what it is.
const KEPT: &[&str] = &[
    "fs_setup: [{device: /dev/vdx, filesystem: '@'}]",
    "write_files: [{path: /etc/a, content: x, owner: '@:root'}]",
    "write_files: [{path: /etc/a, content: x, owner: 'root:@'}]",
    "write_files: [{path: /etc/a, content: x, owner: '@ @'}]",
    "users: [{name: u, sudo: 'ALL=(ALL) @'}]",
    "users: [{name: u, sudo: ['@']}]",
    "ntp: {servers: ['@ @']}",
    "fs_setup: [{device: /dev/vdx, filesystem: ext4, extra_opts: ['@']}]",
    "resolv_conf: {nameservers: ['@']}\nmanage_resolv_conf: true",
];

/// The values of an Ignition config of version 3.3.0.
const IGNITION: &[&str] = &[
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "data:,@"}}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "data:;base64,@!"}}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "data:,x", "verification": {"hash": "sha512-@"}}}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "ftp://u:@@h.example/@"}}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "data:,x", "compression": "@"}}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "mode": "@"}]}"#,
    r#""passwd": {"users": [{"name": "u", "passwordHash": "@"}]}"#,
    r#""passwd": {"users": [{"name": "u", "sshAuthorizedKeys": ["@"]}]}"#,
    r#""passwd": {"groups": [{"name": "g", "passwordHash": "@"}]}"#,
    r#""systemd": {"units": [{"name": "a.service", "contents": "[Service]\nEnvironment=@\n"}]}"#,
    r#""systemd": {"units": [{"name": "a.service", "contents": "@"}]}"#,
    r#""storage": {"luks": [{"name": "a", "device": "/dev/vdx", "keyFile": {"source": "data:,@"}}]}"#,
    r#""storage": {"filesystems": [{"device": "/dev/vdx", "format": "@"}]}"#,
    r#""kernelArguments": {"shouldExist": ["@"]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "append": [{"source": "data:;@,x"}]}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "@"}}]}"#,
    r#""storage": {"files": [{"path": "/etc/a", "contents": {"source": "ftp://h/", "httpHeaders": [{"name": "A", "value": "@"}]}}]}"#,
    r#""storage": {"luks": [{"name": "a", "clevis": {"tang": [{"url": "http://u:@@h.example/", "thumbprint": "@"}]}}]}"#,
    r#""storage": {"raid": [{"name": "a", "level": "raid1", "devices": ["/dev/vdx"], "options": ["@"]}]}"#,
    r#""passwd": {"users": [{"name": "u", "uid": "@"}]}"#,
    r#""systemd": {"units": [{"name": "a.service", "enabled": "@"}]}"#,
    r#""systemd": {"units": [{"name": "a.service", "dropins": [{"name": "a.conf", "contents": "[@"}]}]}"#,
];

/// Other kinds of data.
const OTHERS: &[&str] = &[
    "## template: jinja\n#cloud-config\nfinal_message: '{% @ %}'\n",
    "#include\n@://@/@\n",
    "#include\nhttps://u:@@h.invalid:99999/@?@\n",
    "#!/bin/sh\necho @\n",
    "#cloud-boothook\necho @\n",
    "#cloud-config-archive\n- {type: '@', content: '@'}\n",
    "#cloud-config-archive\n- '@'\n",
    "#part-handler\n@\n",
    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=@\n\n--@\nContent-Type: text/cloud-config; @\n\n@\n",
    "{\"a\": \"@\"",
    "@",
    "#@\n",
];

/// All that a run of each command says and leaves beside the node itself.
fn told(name: &str, data: &str) -> Vec<(&'static str, String)> {
    let (seed, root) = (scratch::seed(name, data), Scratch::new(name));
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n").put("/etc/group", "root:x:0:\n");
    let (seed, capture) = (seed.to_str().unwrap(), fresh(&format!("{name}.capture")));
    let file = format!("{seed}/user-data");
    let bundle = capture.join("../bundle.tar");
    let said = |ran: Ran| format!("{}{}", ran.out, ran.err);
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let mut all = vec![
        ("check", said(footplate(&["check", "-v", &file]))),
        ("check as JSON", said(footplate(&["check", "--format", "json", &file]))),
        ("plan", said(footplate(&["plan", "--seed", seed, "--root", root.arg()]))),
        ("query", said(footplate(&["query", "--seed", seed]))),
        ("provision", said(footplate(&["provision", "--seed", seed, "--root", root.arg()]))),
        ("status", said(footplate(&["status", "--format", "json", "--root", root.arg()]))),
        ("status in words", said(footplate(&["status", "--root", root.arg()]))),
        ("timeline in words", said(footplate(&["timeline", "--root", root.arg()]))),
        (
            "what a clean would remove",
            said(footplate(&["clean", "--made", "--dry-run", "--root", root.arg()])),
        ),
        ("timeline", said(footplate(&["timeline", "--format", "json", "--root", root.arg()]))),
        ("capture", said(footplate(&["capture", capture.to_str().unwrap(), "--seed", seed]))),
        ("collect", said(footplate(&["collect", bundle.to_str().unwrap(), "--seed", seed]))),
        ("a collected file", read(&bundle)),
        ("status.json", read(&root.path("/run/footplate/status.json"))),
        ("the note of a failure", read(&root.path("/run/cluster-api/bootstrap-error.log"))),
    ];
    all.extend(
        walk(&capture).iter().filter(|path| path.is_file()).map(|path| ("a captured file", read(path))),
    );
    all
}

#[test]
fn no_output_holds_a_secret_of_the_data() {
    needs!(root("files have owners"));
    let cloud = CLOUD_CONFIG.iter().chain(KEPT).map(|line| format!("#cloud-config\n{line}\n"));
    let ignition =
        IGNITION.iter().map(|part| format!("{{\"ignition\": {{\"version\": \"3.3.0\"}}, {part}}}"));
    let data: Vec<String> =
        cloud.chain(ignition).chain(OTHERS.iter().map(|text| (*text).to_owned())).collect();
    let (mut leaks, mut outputs) = (Vec::new(), 0);
    for text in &data {
        let marked = text.replace("@@", "\u{1}").replace('@', CANARY).replace('\u{1}', &format!("{CANARY}@"));
        let kept = KEPT.iter().any(|line| text.contains(line));
        for (what, said) in told("canary", &marked) {
            outputs += 1;
            if kept && matches!(what, "a captured file" | "a collected file") {
                continue;
            }
            leaks.extend(
                said.lines()
                    .find(|line| line.contains(CANARY))
                    .map(|line| format!("{text}\n  {what}: {line}")),
            );
        }
    }
    println!("{} fields, {outputs} outputs", data.len());
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    assert!(data.len() > 139 && outputs >= 13 * data.len(), "{} fields, {outputs} outputs", data.len());
}
