// SPDX-License-Identifier: Apache-2.0
//! A secret in each field that may hold one, where it belongs and where it is broken: no command prints it, and it is in no file
//! that tells how a run went. Paths, and names of users, groups, units,
//! disks, kinds of data and of a template's variables and filters, are printed on purpose.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;

use crate::common::scratch::{self, Ran, Scratch, command, footplate, fresh, put_program, walk};

/// What must not come out; a word as templates, YAML and URLs take it.
const CANARY: &str = "f00tp1atec4n4ry0";

/// Outputs: what `plan --diff` shows, a file of a capture, and one of a bundle.
const DIFF: &str = "plan with differences";
const CAPTURED: &str = "a captured file";
const COLLECTED: &str = "a collected file";

/// How a replay tells what guestinfo would get.
const REPORT: &str = "guestinfo.footplate.report: ";

/// The program that shows the journal.
const JOURNALCTL: &str = "/usr/bin/journalctl";

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
    "final_message: \"## template: jinja\\n{{ '@' | nosuch }}\"",
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

/// What everyone may read on the node, and `plan --diff` and its logs show.
const PUBLIC: &[(&str, &[&str])] = &[
    (
        DIFF,
        &[
            "write_files: [{path: /etc/a, content: '@'}]",
            "ssh_keys: {ed25519_private: '@', ed25519_public: '@'}",
            "users: [{name: u, sudo: 'ALL=(ALL) @'}]",
            "users: [{name: u, sudo: ['@']}]",
            "{\"path\": \"/etc/a\", \"contents\": {\"source\": \"data:,@\"}}",
        ],
    ),
    (
        COLLECTED,
        &[
            "users: [{name: u, ssh_authorized_keys",
            "\"sshAuthorizedKeys\": [\"@\"]",
            "users: [{name: u, gecos: '@'}]",
            "final_message: '@'",
            // A part of a path is no word.
            "kubeadm join --config /nonexistent-@",
        ],
    ),
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
    let bundle = capture.with_extension("tar");
    let check = |format| said(&footplate(&["check", "--format", format, &file]));
    let seeded = |words: &[&str]| footplate(&[words, &["--seed", seed]].concat());
    let of_root = |words: &[&str]| said(&footplate(&[words, &["--root", root.arg()]].concat()));
    let differs = said(&seeded(&["plan", "--diff", "--root", root.arg()]));
    let provisioned = seeded(&["provision", "--root", root.arg()]);
    let collect = command(&["collect", bundle.to_str().unwrap(), "--seed", seed]);
    // What a file of the node holds, a program of it may print.
    let holds = provisioned.code == 0 && walk(&root.dir).iter().any(|path| read(path).contains(CANARY));
    let collected = match holds {
        true => Ran::of(with_journal(name).arg(collect.get_program()).args(collect.get_args())),
        false => Ran::of(&mut { collect }),
    };
    let mut all = vec![
        ("check", said(&footplate(&["check", "-v", &file]))),
        ("check as JSON", check("json")),
        ("check as SARIF", check("sarif")),
        ("check for GitHub", check("github")),
        ("plan", said(&seeded(&["plan", "--root", root.arg()]))),
        (DIFF, differs),
        ("query", said(&seeded(&["query"]))),
        ("provision", said(&provisioned)),
        ("status", of_root(&["status", "--format", "json"])),
        // node-problem-detector gives this to the Node object.
        ("status in words", of_root(&["status"])),
        ("status that is watched", of_root(&["status", "--watch", "--timeout", "0s"])),
        ("timeline in words", of_root(&["timeline"])),
        ("timeline as a picture", of_root(&["timeline", "--format", "svg"])),
        ("what a clean would remove", of_root(&["clean", "--made", "--dry-run"])),
        ("timeline", of_root(&["timeline", "--format", "json"])),
        ("capture", said(&seeded(&["capture", capture.to_str().unwrap()]))),
        ("collect", said(&collected)),
        (COLLECTED, read(&bundle)),
        ("status.json", read(&root.path("/run/footplate/status.json"))),
        ("the note of a failure", read(&root.path("/run/cluster-api/bootstrap-error.log"))),
    ];
    assert_eq!(holds, all[17].1.contains("a command of the data says"), "{}", all[17].1);
    all.extend(captured(&capture));
    all.extend(reported(name, data));
    all
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn captured(capture: &Path) -> Vec<(&'static str, String)> {
    walk(capture).iter().filter(|path| path.is_file()).map(|path| (CAPTURED, read(path))).collect()
}

/// Runs a command where the journal has what commands of the data print.
fn with_journal(name: &str) -> Command {
    let program = fresh(&format!("{name}.programs")).join("journalctl");
    // As journalctl, it leaves out what is long or has colours without `--all`.
    let says = format!("printf '\\033[1;31m%s \\033[32m%s\\033[0m\\n' 'a command of the data says' {CANARY}");
    put_program(&program, format!("#!/bin/sh\ncase \" $* \" in *' --all '*) {says};; esac\n"));
    let mut command = Command::new("unshare");
    let over = format!("mount --bind \"$0\" {JOURNALCTL}; exec \"$@\"");
    command.args(["--mount", "sh", "-ec", &over]).arg(program);
    command
}

/// What monitoring and vSphere are told by a machine that has the data in its guestinfo, and what a capture of it says elsewhere.
fn reported(name: &str, data: &str) -> Vec<(&'static str, String)> {
    let name = format!("{name}.vsphere");
    let root = Scratch::new(&name);
    root.put("/etc/footplate.yaml", "reports: {textfile: /var/lib/monitoring}\n");
    let metadata = "instance-id: i-1\nlocal-hostname: node-1\n";
    let provisioned = scratch::provision_vsphere(&name, metadata, data, &root);
    let told = provisioned.err.lines().rfind(|line| line.contains(REPORT));
    let packed = told.and_then(|line| line.split_once(REPORT)).expect(&provisioned.err).1;
    let mut report = String::new();
    GzDecoder::new(&*STANDARD.decode(packed.trim()).unwrap()).read_to_string(&mut report).unwrap();
    assert!(report.contains("\"state\""), "{report}");
    let prometheus = read(&root.path("/var/lib/monitoring/footplate.prom"));
    assert!(prometheus.contains("footplate_bootstrap_state"), "{prometheus}");
    // A machine that is captured has the status of its boot.
    let capture = fresh(&format!("{name}.capture"));
    let machine = capture.with_file_name(format!("{name}.machine"));
    let status = machine.join("file/run/footplate/status.json");
    fs::create_dir_all(status.parent().unwrap()).unwrap();
    fs::copy(root.path("/run/footplate/status.json"), status).unwrap();
    let dir = capture.to_str().unwrap();
    let taken = footplate(&["capture", dir, "--platform", "vmware", "--replay", machine.to_str().unwrap()]);
    let replayed = |words: &[&str]| {
        let ran = footplate(&[words, &["--replay", dir]].concat());
        assert!(ran.code < 2 || words[0] == "status", "{}", ran.err);
        assert!(ran.out.contains("fetch"), "{}{}", ran.out, ran.err);
        said(&ran)
    };
    let mut all = vec![
        ("provision of vSphere", said(&provisioned)),
        ("the report in guestinfo", report),
        ("footplate.prom", prometheus),
        ("capture of vSphere", said(&taken)),
        ("status of a capture", replayed(&["status"])),
        ("timeline of a capture", replayed(&["timeline"])),
        ("picture of a capture", replayed(&["timeline", "--format", "svg"])),
    ];
    all.extend(captured(&capture));
    all
}

#[test]
fn no_output_holds_a_secret_of_the_data() {
    needs!(root("files have owners"));
    needs!(program(JOURNALCTL, "systemd"));
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
            let is_public = |(shows, lines): &(&str, &[&str])| {
                *shows == what && lines.iter().any(|line| text.contains(line))
            };
            if kept && matches!(what, CAPTURED | COLLECTED) || PUBLIC.iter().any(is_public) {
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
    assert!(data.len() > 139 && outputs >= 35 * data.len(), "{} fields, {outputs} outputs", data.len());
}

/// A key of WireGuard's with the canary in it.
const KEY: &str = "@@AAAAAAAAAAA=";

/// Lines of netplan's format with secrets, where they belong and where they are broken; `@` is the canary.
const NETWORK: &[&str] = &[
    "tunnels: {wg0: {mode: wireguard, addresses: [10.0.0.2/24], key: 'KEY'}}",
    "tunnels: {wg0: {mode: wireguard, addresses: [10.0.0.2/24], keys: {private: 'KEY'}}}",
    "tunnels: {wg0: {mode: wireguard, key: 'KEY', peers: [{keys: {public: 'KEY', shared: 'KEY'}, allowed-ips: [10.0.0.0/8]}]}}",
    "tunnels: {wg0: {mode: wireguard, key: '@'}}",
    "tunnels: {wg0: {mode: wireguard, private-key: '@'}}",
    "tunnels: {wg0: {mode: wireguard, key: ['@']}}",
    "tunnels: {wg0: {mode: wireguard, keys: {private: {a: '@'}}}}",
    "wifis: {w0: {access-points: {net: {password: '@'}}}}",
    "wifis: {w0: {access-points: {net: {auth: {key-management: psk, password: '@'}}}}}",
    "ethernets: {e0: {auth: {method: peap, identity: a, password: '@', client-key-password: '@'}}}",
    "ethernets: {e0: {psk: '@'}}",
    "modems: {m0: {apn: a, pin: '@', password: '@'}}",
    "openvswitch: {ssl: {private-key: '@'}}\nethernets: {e0: {dhcp4: true}}",
    "tunnels: {wg0: {mode: wireguard, key: '@",
    "ethernets: {e0: {password: [@}",
];

#[test]
fn no_output_holds_a_secret_of_the_network() {
    needs!(root("files have owners"));
    let mut leaks = Vec::new();
    for text in NETWORK {
        let config = format!("version: 2\n{text}\n").replace("KEY", KEY).replace('@', CANARY);
        let (seed, root) =
            (scratch::seed("canary-net", "#cloud-config\nruncmd: [a]\n"), Scratch::new("canary-net"));
        let file = seed.join("network-config");
        fs::write(&file, config).unwrap();
        root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        root.put("/etc/group", "root:x:0:\nsystemd-network:x:244:\n");
        let (seed, file, capture) =
            (seed.to_str().unwrap(), file.to_str().unwrap(), fresh("canary-net.capture"));
        let seeded = |words: &[&str]| said(&footplate(&[words, &["--seed", seed]].concat()));
        let bundle = capture.with_extension("tar");
        let mut all = vec![
            ("plan", seeded(&["plan", "--diff", "--root", root.arg()])),
            ("network", seeded(&["network", "--root", root.arg()])),
            ("provision", seeded(&["provision", "--root", root.arg()])),
            ("query", seeded(&["query"])),
            ("capture", seeded(&["capture", capture.to_str().unwrap()])),
            ("collect", seeded(&["collect", bundle.to_str().unwrap()])),
            (COLLECTED, read(&bundle)),
            ("status.json", read(&root.path("/run/footplate/status.json"))),
        ];
        // It prints the files: what is broken is in none of them.
        let rendered = footplate(&["render", "network", file]);
        all.push(("render", if rendered.code == 0 { rendered.err } else { said(&rendered) }));
        all.extend(captured(&capture));
        leaks.extend(
            all.iter().filter(|(_, said)| said.contains(CANARY)).map(|(what, _)| format!("{text}: {what}")),
        );
        let open =
            |path: &Path| path.is_file() && fs::metadata(path).unwrap().permissions().mode() & 0o007 != 0;
        let readable = walk(&root.dir).into_iter().filter(|path| open(path) && read(path).contains(CANARY));
        leaks.extend(readable.map(|path| format!("{text}: {} can be read by all", path.display())));
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}
