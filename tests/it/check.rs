// SPDX-License-Identifier: Apache-2.0
//! `check`, as a person and as a program run it: user-data in any envelope, and Cluster API's Secret in all forms in
//! which kubectl prints it. Nothing of the data but names and paths comes out.

use crate::common::scratch;

use std::fs;
use std::io::Write as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use scratch::{CANARY, Ran, Scratch, footplate, fresh};
use serde_json::{Value, json};

fn b64(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn check(data: impl AsRef<[u8]>, json: bool) -> Ran {
    let file = fresh(&format!("{:?}", std::thread::current().id())).join("data");
    fs::write(&file, data).unwrap();
    let format = if json { "json" } else { "text" };
    let ran = footplate(&["check", "--format", format, file.to_str().unwrap()]);
    let said = format!("{}{}", ran.out, ran.err).to_lowercase();
    assert_eq!(RAW.iter().find(|words| said.contains(**words)), None, "{said}");
    ran
}

/// Words of parsers and of the system that mean nothing to an author, and words of a machine that an author does not have.
const RAW: &[&str] = &[
    "could not find",
    "did not find",
    "eof while",
    "expected value",
    "invalid gzip",
    "invalid operation",
    "invalid type",
    "invalid utf-8",
    "mapping values",
    "minijinja",
    "missing field",
    "on this machine",
    "os error",
    "trailing c",
    "unexpected end",
    "unknown field",
    "while parsing",
];

const BAD: &str = "## template: jinja\n#cloud-config\nhostname: {{ local_hostname }}\nwrite_files:\n- path: /a\n  permissions: '9'\n";
const BAD_IGNITION: &str =
    "{\"ignition\": {\"version\": \"3.4.0\"},\n \"storage\": {\"files\": [{\"path\": \"a\"}]}}\n";

/// A file where no node can write it is told before one tries; `/usr/local` is writable on a baked node.
#[test]
fn paths_that_flatcar_has_read_only_are_told() {
    let file = |path: &str| format!("- path: {path}\n  content: a\n");
    let files: String =
        ["/usr/bin/a", "/usr/local/bin/a", "/bin/a", "/opt/bin/a", "/usrlocal/a"].map(file).concat();
    let ran = check(format!("#cloud-config\nwrite_files:\n{files}"), false);
    ran.ended(65, &[]);
    for told in ["write_files[0].path", "read-only", "/opt/bin or /usr/local/bin", "write_files[2].path"] {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
    for other in ["write_files[1]", "write_files[3]", "write_files[4]"] {
        assert!(!ran.out.contains(other), "{other}: {}", ran.out);
    }
}

/// What would stop the node is one verdict: the rules are those of the plan and of what it is compared with.
#[test]
fn what_would_stop_the_node_is_not_good() {
    let files = "write_files:\n- {path: /srv/data, content: a}\n- {path: /srv/data/below, content: a}\n";
    let ignition = |path: &str| {
        format!(
            "{{\"ignition\": {{\"version\": \"3.4.0\"}}, \"storage\": {{\"files\": [{{\"path\": \"{path}\"}}]}}}}"
        )
    };
    let cases = [
        (format!("#cloud-config\n{files}"), 65, "/srv/data"),
        (
            "#cloud-config\nwrite_files:\n- {path: /a, owner: 'nosuch:wheel'}\n".to_owned(),
            65,
            "the user does not exist",
        ),
        (
            "#cloud-config\nwrite_files:\n- {path: /a, owner: 'root:nosuch'}\n".to_owned(),
            65,
            "the group does not exist",
        ),
        ("#cloud-config\nwrite_files:\n- {path: /a, owner: 'core:docker'}\n".to_owned(), 0, "good"),
        (
            "#cloud-config\nusers:\n- name: albus\nwrite_files:\n- {path: /a, owner: albus}\n".to_owned(),
            0,
            "good",
        ),
        ("#cloud-config\ndisk_setup: {/dev/sdz: {layout: true}}\n".to_owned(), 0, "good"),
        // Nothing is installed.
        (
            "#cloud-config\nruncmd: [systemctl mask unattended-upgrades, kubeadm init]\n".to_owned(),
            0,
            "update-engine and locksmithd update Flatcar",
        ),
        ("#cloud-config\nwrite_files:\n- {path: /tmp, content: a}\n".to_owned(), 65, "/tmp is a directory"),
        (
            "#cloud-config\nwrite_files:\n- {path: /proc/sys/vm/a, content: a}\n".to_owned(),
            65,
            "write sysctls to /etc/sysctl.d",
        ),
        (ignition("/sys/a"), 65, "storage.files[0].path: is where the kernel shows"),
        (
            "#cloud-config\nusers:\n- {name: a, homedir: /usr/home/a}\n".to_owned(),
            65,
            "users[0].homedir: is in /usr",
        ),
        (
            "#cloud-config\nusers:\n- {name: a, homedir: /usr/lib/a, system: true}\n".to_owned(),
            0,
            "good",
        ),
        (
            "{\"ignition\": {\"version\": \"3.4.0\"}, \"passwd\": {\"users\": [{\"name\": \"a\", \"homeDir\": \"/usr/a\"}]}}"
                .to_owned(),
            65,
            "passwd.users[0].homeDir: is in /usr",
        ),
        ("#cloud-config\nswap: {filename: /usr/swap, size: 1G}\n".to_owned(), 65, "swap.filename: is in /usr"),
        ("#cloud-config\nmounts: [[/dev/sdb, /usr/a]]\n".to_owned(), 0, "warning: mounts[0][1]: is in /usr"),
        ("#cloud-config\nmounts: [[/dev/sdb, /usr/local/a]]\n".to_owned(), 0, "\ngood"),
        (ignition("/usr/lib/a"), 65, "read-only"),
        (ignition("/opt/a"), 0, "good"),
        (
            "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": {\"links\": [{\"path\": \"/a\", \"target\": \"/b\", \"hard\": true}]}}".to_owned(),
            0,
            "code: file/target",
        ),
    ];
    for (data, code, said) in cases {
        let ran = check(&data, false);
        assert!(ran.code == code && ran.out.contains(said), "{data}\n{}{}", ran.out, ran.err);
        assert_eq!(ran.out.contains("not good"), code != 0, "{data}\n{}", ran.out);
    }
}

/// The place in the author's text, whatever stands around it.
#[test]
fn secrets_are_taken_as_kubectl_prints_them() {
    let message =
        format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n{BAD}--b--\n");
    let yaml = |value: &str| {
        format!(
            "apiVersion: v1\ndata:\n  format: {}\n  value: {value}\nkind: Secret\nmetadata:\n  name: n\n",
            b64("cloud-config")
        )
    };
    let secret = |value: &str| json!({ "apiVersion": "v1", "kind": "Secret", "data": { "value": value } });
    let list = |items: &[Value]| json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    let other = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "token": b64(CANARY) } });
    let indented: String = BAD.lines().map(|l| format!("    {l}\n")).collect();
    let ignition = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "format": "ignition", "value": BAD_IGNITION } });
    let cases: &[(&str, String, usize, usize)] = &[
        ("yaml", yaml(&b64(BAD)), 6, 16),
        ("yaml, crlf", yaml(&b64(BAD)).replace('\n', "\r\n"), 6, 16),
        ("yaml, gzip", yaml(&b64(gz(BAD.as_bytes()))), 6, 16),
        ("yaml, base64 twice", yaml(&b64(b64(BAD))), 6, 16),
        ("yaml, gzip of mime", yaml(&b64(gz(message.as_bytes()))), 11, 16),
        ("json", format!("{:#}", secret(&b64(BAD))), 6, 16),
        ("a list of one", list(&[other, secret(&b64(BAD))]), 6, 16),
        (
            "stringData",
            format!("---\napiVersion: v1\nkind: Secret\nstringData:\n  value: |\n{indented}"),
            11,
            20,
        ),
        ("ignition", format!("{ignition:#}"), 2, 33),
    ];
    for (name, data, line, column) in cases {
        let ran = check(data, true);
        assert_eq!(ran.code, 65, "{name}: {}{}", ran.out, ran.err);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        let errors: Vec<&Value> =
            said["findings"].as_array().unwrap().iter().filter(|f| f["level"] == "error").collect();
        assert_eq!(errors.len(), 1, "{name}: {said:#}");
        assert_eq!(
            (&errors[0]["line"], &errors[0]["column"]),
            (&json!(line), &json!(column)),
            "{name}: {said:#}"
        );
        assert_eq!((&said["ok"], &said["items"]), (&json!(false), &json!([])), "{name}");
    }
    let two = list(&[secret(&b64(BAD)), secret(&b64("#cloud-config\nruncmd: [id]\n"))]);
    let ran = check(&two, true);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let good: Vec<&Value> = said["nodes"].as_array().unwrap().iter().map(|node| &node["ok"]).collect();
    assert_eq!((ran.code, good), (65, vec![&json!(false), &json!(true)]), "{said:#}");
    let refused = [
        ("apiVersion: v1\nkind: Secret\ndata: {token: eA==}\n", "data.value: missing"),
        (
            "apiVersion: v1\nkind: Secret\ndata:\n  value: '*'\n",
            "data.value: not base64: a character outside the alphabet (line 4, column 10)",
        ),
        (
            "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Machine\n",
            "this is an object of Kubernetes, not bootstrap data",
        ),
    ];
    for (data, what) in refused {
        let ran = check(data, false);
        assert!(ran.code == 65 && ran.out.contains(what), "{what}: {}", ran.out);
    }
    for (format, data, what) in [
        (
            "ignition",
            "#cloud-config\nruncmd: [date]\n",
            "warning: data.format: says ignition, but the data is not Ignition",
        ),
        (
            "cloud-config",
            "{\"ignition\": {\"version\": \"3.4.0\"}}",
            "warning: data.format: does not say ignition",
        ),
        ("ignition", "{\"ignition\": {\"version\": \"3.4.0\"}}", ""),
    ] {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "format": b64(format), "value": b64(data) } });
        let ran = check(secret.to_string(), false);
        assert!(ran.code == 0 && ran.out.contains(what), "{}", ran.out);
        assert_eq!(ran.out.contains("data.format"), !what.is_empty(), "{}", ran.out);
    }
}

#[test]
fn it_says_what_would_happen() {
    let data = format!(
        "#cloud-config\npackages: [x]\nwrite_files:\n- {{path: /etc/a, permissions: '0600', owner: 'core:core', content: {CANARY}}}\n\
         users: [{{name: ops, passwd: {CANARY}, groups: docker}}]\nmounts: [[LABEL=data, /var/data, ext4]]\n\
         coreos: {{units: [{{name: docker.service, command: start}}]}}\nruncmd: [kubeadm join --token {CANARY}]\n"
    );
    let ran = check(&data, false);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains(CANARY) && !ran.err.contains(CANARY), "{}{}", ran.out, ran.err);
    for (what, detail) in [
        ("warning: packages: Flatcar has no package manager: the key has no effect (line 2, column 1)", ""),
        ("+ mount /var/data", ""),
        ("+ user ops", ""),
        ("+ file /etc/a ", " 0600 core:core 23 bytes"),
        ("+ unit docker.service", "drop-ins, enabled"),
        ("+ file /run/footplate/bootstrap ", "0700 root:root"),
        ("> start kubeadm.service", ""),
        ("good: files=1 users=1", ""),
    ] {
        let line = ran.out.lines().find(|l| l.starts_with(what));
        assert!(line.is_some_and(|l| l.ends_with(detail) || l.contains(detail)), "{what}\n{}", ran.out);
    }
    let file = fresh("strict").join("data");
    fs::write(&file, &data).unwrap();
    let strict = footplate(&["check", "--strict", file.to_str().unwrap()]);
    assert!(
        strict.code == 65
            && strict
                .out
                .ends_with("not good: the node would start, and a warning counts as an error here\n"),
        "{}",
        strict.out
    );
    let said: Value = serde_json::from_str(&check(&data, true).out).unwrap();
    assert_eq!(
        (&said["ok"], &said["start"], &said["commands"]),
        (&json!(true), &json!("kubeadm.service"), &json!(1))
    );
    assert_eq!((&said["files"], &said["users"]), (&json!(["/etc/a"]), &json!(["ops"])));
    let file = json!({
        "kind": "file", "path": "/etc/a", "mode": "0600", "owner": "core:core", "bytes": 23, "action": "create",
        "what": "file /etc/a", "detail": "0600 core:core 23 bytes"
    });
    assert!(said["items"].as_array().unwrap().contains(&file), "{said:#}");
}

#[test]
fn what_soon_ends_and_what_is_too_large_is_told() {
    needs!(program("openssl", "openssl"));
    let dir = fresh("certificate");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "3", "-subj", "/CN=test", "-keyout", "key",
    ]);
    Ran::of(openssl.args(["-out", "certificate"]).current_dir(&dir)).ended(0, &[]);
    let certificate = fs::read(dir.join("certificate")).unwrap();
    let kubeadm = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nbootstrapTokens:\n- {token: a1b2c3.0123456789abcdef, expires: '2020-01-01T00:00:00Z'}\n";
    let data = format!(
        "#cloud-config\nwrite_files:\n- {{path: /etc/kubernetes/pki/ca.crt, encoding: gzip+base64, content: {}}}\n\
         - {{path: /run/kubeadm/kubeadm.yaml, encoding: base64, content: {}}}\n- {{path: /large, content: {}}}\n",
        b64(gz(&certificate)),
        b64(kubeadm),
        "x".repeat(50 << 10)
    );
    let ran = check(&data, false);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for what in [
        "warning: write_files[0] (/etc/kubernetes/pki/ca.crt): the certificate ends at ",
        "warning: write_files[1] (/run/kubeadm/kubeadm.yaml): the bootstrap token ended at 2020-01-01T00:00:00Z",
        ", and Amazon EC2 takes 16384",
        " bytes in base64, and VMware vSphere takes 65536",
    ] {
        assert!(ran.out.contains(what), "{what}\n{}", ran.out);
    }
    let source = format!("data:;base64,{}", b64(&certificate));
    let ignition = json!({ "ignition": { "version": "3.4.0" },
        "storage": { "files": [{ "path": "/etc/kubernetes/pki/ca.crt", "contents": { "source": source } }] } });
    let ran = check(ignition.to_string(), false);
    assert!(
        ran.out.contains("storage.files[0] (/etc/kubernetes/pki/ca.crt): the certificate ends at "),
        "{}",
        ran.out
    );
    // Packed, it is small.
    assert!(!check(gz(data.as_bytes()), false).out.contains("EC2"));
}

#[test]
fn a_key_that_is_nearly_a_known_one_is_an_error_that_names_it() {
    for (text, says) in [
        (
            "write_file: []",
            "write_file: this key is not known (line 2, column 1)\n hint: did you mean `write_files`?",
        ),
        ("run_cmd: [id]", "did you mean `runcmd`?"),
        ("fs_setup: [{device: /dev/sdb, filesystem: ext5}]", "hint: did you mean `ext4`?"),
        ("preKubeadmCommands: [id]", "did you mean `runcmd`?"),
        ("files: []", "did you mean `write_files`?"),
        ("write_files: [{path: /a, permision: '0600'}]", "write_files[0].permision: this key is not known"),
        ("write_files: [{path: /a, contents: x}]", "did you mean `content`?"),
        ("users: [{name: u, ssh-authorised-keys: []}]", "did you mean `ssh_authorized_keys`?"),
        // In lists and mappings within others too, and where two letters have changed places.
        (
            "users: [{nam: u}]",
            "users[0].nam: this key is not known (line 2, column 10)\n hint: did you mean `name`?",
        ),
        (
            "users: {u: {shel: /bin/sh}}",
            "users.u.shel: this key is not known (line 2, column 13)\n hint: did you mean `shell`?",
        ),
        ("user: {nmae: u}", "did you mean `name`?"),
        ("write_files: [{path: /a, source: {urri: 'https://a/b'}}]", "did you mean `uri`?"),
        ("chpasswd: {users: [{name: core, passwrd: '*'}]}", "did you mean `password`?"),
        ("disk_setup: {/dev/sdb: {layuot: true}}", "did you mean `layout`?"),
        ("ntp: {enabeld: true}", "did you mean `enabled`?"),
        ("coreos: {units: [{name: a.service, comand: start}]}", "did you mean `command`?"),
        ("coreos: {unist: []}", "did you mean `units`?"),
        (
            "coreos: {units: [{name: a.service, drop-ins: [{name: a.conf, contnet: x}]}]}",
            "did you mean `content`?",
        ),
        ("ssh: {emit_key_to_console: false}", "did you mean `emit_keys_to_console`?"),
        ("ssh_keys: {ed25519_privat: x}", "did you mean `ed25519_private`?"),
        ("growpart: {mod: auto}", "did you mean `mode`?"),
    ] {
        let ran = check(format!("#cloud-config\n{text}\n"), false);
        assert!(ran.code == 65 && ran.out.contains(says), "{text}: {}", ran.out);
        // Who does what it says is told nothing more of it.
        let meant = ran.out.split("did you mean `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
        let key = mistyped(&ran.out);
        let key = if text.contains(&key) { key } else { key.replace('_', "-") };
        let again = check(format!("#cloud-config\n{}\n", text.replacen(&key, meant, 1)), false);
        assert!(!again.out.contains("did you mean"), "{text}: {}", again.out);
    }
    let network = "network: {version: 2, ethernets: {eth0: {dhcp: true, addresses: [10.0.0.2/8]}}}\n";
    let ran = check(network, false);
    assert!(ran.code == 65 && ran.out.contains("did you mean `dhcp4`?"), "{}", ran.out);
    // Keys of cloud-init's own configuration, and of its first releases, are known.
    for key in [
        "def_log_file",
        "syslog_fix_perms",
        "log_cfgs",
        "manual_cache_clean",
        "debconf_selections",
        "apt_sources",
    ] {
        let ran = check(format!("#cloud-config\n{key}: x\nruncmd: [id]\n"), false);
        assert!(ran.code == 0 && ran.out.contains("the key has no effect"), "{key}: {}", ran.out);
    }
    let ran = check("#cloud-config\nruncmd: ['ID=$(cloud-init query instance-id)', id]\n", false);
    assert!(ran.out.contains("`footplate query NAME` prints a value"), "{}", ran.out);
    // What another program's template leaves open is told as that.
    for (text, cure) in
        [("hostname: ${name}", true), ("users: [{name: \"${name}\"}]", true), ("hostname: a_${name}", false)]
    {
        let ran = check(format!("#cloud-config\n{text}\nruncmd: [id]\n"), false);
        assert_eq!((ran.code, ran.out.contains("such as Terraform")), (65, cure), "{text}: {}", ran.out);
    }
    // A key without a neighbour, and one near to a key that has no effect here, stop nothing.
    for text in [
        "my_own_key: 1",
        "package: [vim]",
        "write_files: [{path: /a, hash: x}]",
        "users: [{name: u, doas: []}]",
    ] {
        check(format!("#cloud-config\n{text}\n"), false).ended(0, &[]);
    }
}

/// What stands at the end of the place of the finding that says what was meant, or the value there that is none.
fn mistyped(out: &str) -> String {
    let above = out.split("\n hint: did you mean").next().unwrap();
    let place = above.rsplit("error: ").next().and_then(|rest| rest.split(": ").next()).unwrap();
    let key = place.rsplit(['.', ']']).next().unwrap();
    if key == "filesystem" { "ext5".to_owned() } else { key.to_owned() }
}

/// What no reader can read is told in an author's words and with its exit code, whichever reader it is.
#[test]
fn words_of_a_parser_are_never_shown() {
    let cloud = |text: &str| format!("#cloud-config\n{text}\n");
    let jinja = |text: &str| format!("## template: jinja\n#cloud-config\na: {text}\n");
    let config = |rest: &str| format!("{{\"ignition\": {{\"version\": \"3.4.0\"}}{rest}");
    let broken = [
        "a: b: c",
        "a:\n\tb: c",
        " a: b\nc: d",
        "- a\nb: c",
        "a: *b",
        "a: \"\\q\"",
        "a: @b",
        "? [a",
        "a: 'b",
        "{a: b",
    ];
    let failing = [
        "{{ b.c-d }}",
        "{{ 1 / 0 }}",
        "{{ v1 | no }}",
        "{{ 'a' + 1 }}",
        "{% for %}",
        "{{ [].x.y }}",
        "{{ v1() }}",
        "{{ 'x }}",
        "{% set %}",
    ];
    let mut documents: Vec<Vec<u8>> = Vec::new();
    documents.extend(broken.map(|text| cloud(text).into()));
    documents.extend(failing.map(|text| jinja(text).into()));
    documents.extend([", }", ", \"storage\": []}", ", \"a\"", "} x", ""].map(|rest| config(rest).into()));
    documents.extend([
        cloud("a: 1\na: 2").into(),
        cloud("runcmd: [{a: b}]").into(),
        b"#cloud-config\na: \xff\n".to_vec(),
    ]);
    documents.extend([
        b"\x1f\x8b\x08\0broken".to_vec(),
        gz(BAD.as_bytes())[..40].to_vec(),
        Vec::new(),
        b"hello\n".to_vec(),
    ]);
    for text in [
        "Content-Type: multipart/mixed\n\nx\n",
        "#cloud-config-jsonp\n[{",
        "#cloud-config-archive\n- [",
        "{\"kind\": \"Secret\", ",
        "apiVersion: v1\nkind: Secret\ndata: [\n",
        "network: {version: 2, ethernets: [a]}\n",
        "preflight: maybe\n",
    ] {
        documents.push(text.into());
    }
    for data in documents {
        let ran = check(&data, false);
        let text = String::from_utf8_lossy(&data);
        assert_eq!((ran.code, ran.out.contains("error: ")), (65, true), "{text}\n{}{}", ran.out, ran.err);
    }
}

/// Programs are read and not run; where there is no bash, it is said that none was read.
#[test]
fn nothing_is_run_and_a_bash_that_is_not_there_is_told() {
    needs!(root("a root of its own"));
    let root = Scratch::new("no-bash");
    let trace = root.path("/ran");
    let touch = format!("touch {}", trace.display());
    let data = format!(
        "#cloud-config\nbootcmd: ['{touch}']\nruncmd: ['{touch}', '$({touch})', [sh, -c, '{touch}']]\nwrite_files:\n\
         - path: /a.sh\n  content: |\n    #!/bin/bash\n    {touch}\n- path: /b.sh\n  content: |\n    #!/bin/sh\n    `{touch}`\n"
    );
    root.put("/data", &data).put_program("/footplate", fs::read(scratch::FOOTPLATE).unwrap());
    footplate(&["check", root.path("/data").to_str().unwrap()]).ended(0, &[]);
    assert!(!trace.exists());
    root.put("/data", data.replace("sh\n    ", "sh\n    if "));
    footplate(&["check", root.path("/data").to_str().unwrap()]).ended(65, &[]);
    let ran = Ran::of(Command::new("chroot").args([root.arg(), "/footplate", "check", "/data"]));
    assert!(ran.code == 0 && ran.out.contains("since bash is not installed here"), "{}{}", ran.out, ran.err);
}

/// A secret may stand where it does not belong: a password that is a YAML tag, a token that became a command of the
/// template, a mapping where a string was meant.
#[test]
fn no_value_is_repeated_wherever_it_stands() {
    let values = [
        json!(CANARY),
        json!([CANARY]),
        json!({ "x": CANARY }),
        json!([{ "x": CANARY }]),
        json!(format!("{CANARY}\n{CANARY}")),
    ];
    let keys = [
        "bootcmd",
        "ca_certs",
        "chpasswd",
        "coreos",
        "disk_setup",
        "final_message",
        "fqdn",
        "fs_setup",
        "hostname",
        "locale",
        "manage_etc_hosts",
        "merge_how",
        "mounts",
        "ntp",
        "password",
        "phone_home",
        "power_state",
        "resolv_conf",
        "runcmd",
        "ssh_authorized_keys",
        "ssh_pwauth",
        "swap",
        "timezone",
        "unknown",
        "vendor_data",
    ];
    let of_user = [
        "passwd",
        "gecos",
        "homedir",
        "shell",
        "primary_group",
        "uid",
        "inactive",
        "lock_passwd",
        "sudo",
        "plain_text_passwd",
    ];
    let of_file = ["content", "encoding", "permissions", "append", "source"];
    let mut documents: Vec<String> = Vec::new();
    for value in &values {
        documents.extend(keys.map(|key| json!({ key: value }).to_string()));
        documents.extend(of_user.map(|key| json!({ "users": [{ "name": "u", key: value }] }).to_string()));
        documents
            .extend(of_file.map(|key| json!({ "write_files": [{ "path": "/a", key: value }] }).to_string()));
    }
    let config = |text: &String| format!("#cloud-config\n{text}\n");
    let mut documents: Vec<String> = documents.iter().map(config).collect();
    // The canary's own first word: a template's statement has no dot.
    let word = CANARY.split('.').next().unwrap();
    for text in [
        "passwd: !@",
        "a: *@",
        "a: [@",
        "a: '@\nb: c",
        "@\nb: c",
        "a: |@\n",
        "a: {{ '@' + 1 }}",
        "a: {{ '@' | nope }}",
        "a: {{ x['@'].y }}",
        "a: {% kCANARY %}",
        "a: {% block kCANARY %}{% endblock %}{% block kCANARY %}{% endblock %}",
    ] {
        documents.push(format!(
            "## template: jinja\n#cloud-config\n{}\n",
            text.replace("kCANARY", word).replace('@', CANARY)
        ));
    }
    for text in [
        "#include\nvault://@/@\n",
        "#include\nhttps://example.com/@\n",
        "#include\n@\nftp://@:@<at>example.com/x?@\n",
        "#cloud-config-jsonp\n[{\"op\": \"@\", \"path\": \"@\"}]",
        "#cloud-config-archive\n- {type: @, content: @}\n- [@]\n",
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Transfer-Encoding: @\n\n@\n--x\nMerge-Type: @\n\n#cloud-config\na: b\n--x--\n",
        "Content-Type: multipart/mixed; boundary=@\n\nx\n",
        "@\n",
        "apiVersion: v1\nkind: @\n",
        "{\"ignition\": {\"version\": \"@\"}}",
        "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": {\"files\": [{\"path\": \"/a\", \"contents\": {\"source\": \"data:,@\", \
         \"compression\": \"@\", \"verification\": {\"hash\": \"@\"}}}]}, \"systemd\": {\"units\": [{\"name\": \"a.service\", \"contents\": \"@\"}]}}",
    ] {
        documents.push(text.replace('@', CANARY).replace("<at>", "@"));
    }
    for document in documents {
        let ran = check(&document, false);
        assert!(
            !ran.out.contains("c4n4ry") && !ran.err.contains("c4n4ry"),
            "{document}\n{}{}",
            ran.out,
            ran.err
        );
        assert!([0, 65].contains(&ran.code), "{document}\n{}", ran.err);
    }
}

#[test]
fn a_configuration_of_kubeadms_that_nothing_writes_is_an_error() {
    let written = "write_files: [{path: /run/kubeadm/a.yaml, content: x}]\n";
    for (data, code) in [
        ("runcmd: ['kubeadm init --config /run/kubeadm/b.yaml && echo success > /run/x']".to_owned(), 65),
        (format!("{written}runcmd: [id, 'kubeadm join --config=/run/kubeadm/b.yaml']"), 65),
        (format!("{written}runcmd: [[kubeadm, join, --config, /run/kubeadm/b.yaml]]"), 65),
        (
            format!(
                "{written}runcmd: ['kubeadm init --config /run/kubeadm/a.yaml && echo success > /run/x']"
            ),
            0,
        ),
        (format!("{written}runcmd: ['cd /run/kubeadm && kubeadm init --config ./b.yaml']"), 65),
        (format!("{written}runcmd: ['cd /run/kubeadm', 'kubeadm init --config ./a.yaml']"), 0),
        ("runcmd: ['cp /opt/k.yaml /run/b.yaml', 'kubeadm join --config /run/b.yaml']".to_owned(), 0),
        ("bootcmd: ['touch /run/b.yaml']\nruncmd: ['kubeadm join --config /run/b.yaml']".to_owned(), 0),
        (
            "runcmd: ['kubeadm join --config $CONFIG', 'kubeadm reset --config /x', 'kubeadm version']"
                .to_owned(),
            0,
        ),
    ] {
        let ran = check(format!("#cloud-config\n{data}\n"), false);
        assert_eq!(ran.code, code, "{data}\n{}", ran.out);
        let says = ran.out.contains("]: `kubeadm --config` names a file that nothing writes (line ");
        assert_eq!(says, code == 65, "{data}\n{}", ran.out);
    }
}

/// Files that commands of kubeadm name are read as those at the usual paths.
#[test]
fn what_kubeadm_reads_elsewhere_is_checked() {
    let file = |path: &str, lines: &str| {
        let text: String = lines.lines().map(|line| format!("    {line}\n")).collect();
        format!("#cloud-config\nwrite_files:\n- path: {path}\n  content: |\n{text}")
    };
    let head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n";
    let directory =
        format!("{head}patches: {{directory: /srv/p}}\n- path: /srv/p/etcd.yaml\n  content: 'a: ['\n");
    for (path, lines, command, code) in [
        ("/opt/my.yaml", "nodeRegistration: [\n", "kubeadm init --config /opt/my.yaml", "yaml/in-file"),
        ("/opt/my", "kind: InitConfiguration\n", "kubeadm init --config=/opt/my", "kubeadm/config"),
        ("/opt/my", "a: b\n", "cd /opt; kubeadm init --config my", "kubeadm/config"),
        ("/srv/p/etcd.yaml", "spec: [\n", "kubeadm join a:1 --patches /srv/p", "yaml/in-file"),
        ("/opt/d", "clusters: [\n", "kubeadm join --discovery-file /opt/d", "yaml/in-file"),
        (
            "/opt/my",
            "a: {{ ds.meta_data.x }}\n",
            "kubeadm join --config /opt/my",
            "kubeadm/config template/none",
        ),
        // No command of kubeadm reads it.
        ("/opt/my.yaml", "spec: [\n", "kubeadm init --config /run/x; touch /run/x; helm -f /opt/my.yaml", ""),
        ("/opt/my.yaml", head, "kubeadm init --config /opt/my.yaml", ""),
    ] {
        let data = format!("{}runcmd:\n- {command}\n", file(path, lines));
        assert_eq!(codes(&data), code, "{data}");
    }
    let of_the_document = file("/run/kubeadm/kubeadm.yaml", &directory)
        .replace("    - path: /srv", "- path: /srv")
        .replace("      content", "  content");
    let run = "runcmd: [kubeadm init --config /run/kubeadm/kubeadm.yaml]\n";
    assert_eq!(codes(&format!("{of_the_document}{run}")), "yaml/in-file", "{of_the_document}{run}");
}

/// The codes of what is found.
fn codes(data: &str) -> String {
    let said: Value = serde_json::from_str(&check(data, true).out).unwrap();
    let mut codes: Vec<&str> = said["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    codes.join(" ")
}

/// What Flatcar can't do, and what only shows when the node does it, is found before: by its code and its line.
#[test]
fn what_flatcar_can_not_do_is_an_error() {
    let config = |text: &str| format!("#cloud-config\nruncmd: [id]\n{text}");
    let file = |path: &str, content: &str| {
        let lines: String = content.lines().map(|l| format!("    {l}\n")).collect();
        config(&format!("write_files:\n- path: {path}\n  content: |\n{lines}"))
    };
    let object = |kind: &str, spec: &str| {
        format!(
            "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  {spec}\n"
        )
    };
    const TWO: &str = "{\"apiVersion\": \"kubeadm.k8s.io/v1beta4\", \"kind\": \"InitConfiguration\"}|{\"apiVersion\": \"kubeadm.k8s.io/v1beta4\", \"kind\": \"ClusterConfiguration\"}\n";
    const RUN: &str = "[kubeadm join --config /run/kubeadm/k.yaml]";
    let join = |node: &str, token: &str, pin: &str| {
        format!(
            "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\nnodeRegistration: {{{node}}}\ndiscovery:\n  bootstrapToken:\n    \
             token: {token}\n    caCertHashes: ['{pin}']\n    apiServerEndpoint: a:6443\n"
        )
    };
    let ignition = |body: &str| format!("{{\"ignition\": {{\"version\": \"3.4.0\"}},\n{body}}}");
    let pod = "/etc/kubernetes/manifests/pod.yaml";
    let mut wrong = String::new();
    for (data, told) in [
        (config("timezone: Europe/Pariss\n"), "error timezone/unknown 3:11 timezone"),
        (config("timezone: Europe/Paris\n"), ""),
        (config("fs_setup:\n- {device: sdb, filesystem: reiserfs}\n"), "error filesystem/unknown 4:29 fs_setup[0].filesystem"),
        (config("fs_setup:\n- {device: sdb, filesystem: xfs}\n"), ""),
        (config("mounts:\n- [LABEL=a, /a, btrf]\n"), "error filesystem/unknown 4:17 mounts[0][2]"),
        (config("mounts:\n- [pool/a, /a, zfs]\n"), "warning filesystem/unknown 4:16 mounts[0][2]"),
        (config("mounts:\n- [cgroup2, /a, cgroup2]\n"), ""),
        (config("swap: {size: 2048}\n"), "warning value/invalid 3:14 swap.size"),
        (config("write_files:\n- {path: /a, owner: nix}\n"), "error file/owner 4:21 write_files[0].owner"),
        (config("surprise: 1\n"), "warning key/unknown 3:1 surprise"),
        (config("mounts:\n- [LABEL=a, /a, fuse.sshfs]\n- [LABEL=b, /b]\n"), ""),
        (file("/a.zsh", "#!/bin/zsh\nif true; then\n"), "note script/not-checked null:null "),
        (config("users:\n- {name: a, shell: /bin/zsh}\n"), "error user/shell 4:20 users[0].shell"),
        (config("users:\n- {name: a, shell: /usr/bin/bash}\n- {name: b, shell: /opt/bin/fish}\n"), ""),
        (config("users:\n- name: a\n  ssh_authorized_keys:\n  - ssh-dsa AAAA\n"), "error user/key 6:5 users[0].ssh_authorized_keys[0]"),
        (config("ssh_authorized_keys: [hello]\n"), "error user/key 3:23 ssh_authorized_keys[0]"),
        (config("ssh_authorized_keys: ['no-pty,from=\"10.0.0.0/8\" ssh-ed25519 AAAA', '${KEY}']\n"), ""),
        (config("#cloud-config\n"), "error document/second-header 3:1 "),
        (config("final_message: |\n  #cloud-config\n"), ""),
        (config("final_message: |\n  ## template: jinja\n  up {{ UPTIME }} of {{ uptime }}\n"), ""),
        (config("final_message: |\n  ## template: jinja\n  {{ nosuch }}\n"), "error template/no-value 4:3 final_message"),
        (config("phone_home: {url: 'http://a', post: [hostname, other]}\n"), "warning value/invalid 3:37 phone_home.post"),
        (config("password: plain\nchpasswd: {list: ['core:$6$a$b']}\n"), "warning key/no-effect 3:11 password"),
        (config("password: $6$a$b\nchpasswd: {list: [], users: []}\n"), ""),
        (config("mounts:\n- [/dev/sdb1, /a]\n- [/dev/sdb1]\n- [swap]\n"), ""),
        (config("mounts:\n- [/dev/sdb1, /a]\n- [/dev/sdc1]\n"), "warning value/invalid 5:3 mounts[1]"),
        (file(pod, "apiVersion: v1\nkind: Pod\na: [\n"), "error yaml/in-file 8:8 write_files[0].content"),
        (file(pod, "a: b\n"), "error yaml/in-file 6:5 write_files[0].content"),
        (file(pod, "apiVersion: v1\nkind: Pod\n---\n"), ""),
        (file("/etc/kubernetes/audit.yaml", "a: 1\n---\na: b: c\n"), "error yaml/in-file 8:9 write_files[0].content"),
        (file("/srv/notes.yaml", "a: b: c\n"), ""),
        (file("/run/kubeadm/k.yaml", &TWO.replace('|', "\n---\n")).replace("[id]", RUN), ""),
        (file("/run/kubeadm/k.yaml", &TWO.replace('|', "\n")).replace("[id]", RUN), "error yaml/in-file 7:5 write_files[0].content"),
        (file("/run/kubeadm/k.yaml", &format!("---\n{}", TWO.replace('|', "\n\n"))).replace("[id]", RUN), "error yaml/in-file 9:5 write_files[0].content"),
        (file("/run/kubeadm/k.yaml", &TWO.replace('|', "\n...\n")).replace("[id]", RUN), "error yaml/in-file 8:5 write_files[0].content"),
        (file("/run/kubeadm/k.yaml", &TWO.replace(['{', '}', '|'], "\n").replace(", ", "\n")).replace("[id]", RUN), "error yaml/in-file 11:5 write_files[0].content"),
        // Who reads another file may take a stream of objects, as kubectl does.
        (file("/etc/kubernetes/addons.json", "{\"a\": 1}\n{\"a\": 2}\n"), ""),
        (file("/a.sh", "#!/usr/bin/env bash\n\nfor a in b; do\n  id\n"), "error script/syntax 8:5 write_files[0].content"),
        (file("/a.sh", "#!/bin/bash\nfor a in b; do id; done\n"), ""),
        (file("/a.py", "#!/usr/bin/python3\nfor a in b:\n"), "note script/not-checked null:null \nwarning program/absent 6:5 write_files[0].content"),
        (config("").replace("[id]", "[id, 'echo \"a']"), "error script/syntax 2:15 runcmd[1]"),
        (config("").replace("[id]", "['if true; then', id, fi]"), ""),
        (config("").replace("[id]", "['apt-get update']"), "error program/package-manager 2:11 runcmd[0]"),
        (config("").replace("[id]", "['apt-get install -y socat']"), "error program/package-manager 2:11 runcmd[0]"),
        (
            config("").replace("[id]", "['apt-get update', 'apt-get install -y socat kubeadm=1.34.1-*']"),
            "warning program/stand-in 2:11 runcmd[0]\nwarning program/stand-in 2:29 runcmd[1]",
        ),
        (
            config("").replace("[id]", "['yum install -y kubelet nfs-utils', 'yum install -y kubeadm']"),
            "error program/package-manager 2:11 runcmd[0]\nwarning program/stand-in 2:47 runcmd[1]",
        ),
        (config("").replace("[id]", "['snap install x']"), "error program/package-manager 2:11 runcmd[0]"),
        (
            file("/etc/systemd/network/1.network", "[Network]\nAddress=10.0.0.2/8\n"),
            "warning network/no-gateway 4:3 write_files[0]",
        ),
        (file("/etc/systemd/network/1.network", "[Network]\nAddress=10.0.0.2/8\nGateway=10.0.0.1\n"), ""),
        (
            "network: {version: 2, ethernets: {eth0: {adresses: [10.0.0.2/8], gatway4: 10.0.0.1}}}\n".to_owned(),
            "error key/unknown 1:52 network.ethernets.eth0.adresses\nerror key/unknown 1:75 network.ethernets.eth0.gatway4",
        ),
        (config("").replace("[id]", "[id, 'sudo kubeadm jion --config /run/a']"), "error kubeadm/command 2:15 runcmd[1]"),
        (config("").replace("[id]", "[kubeadm join a:6443 --tken a]"), "error kubeadm/command 2:10 runcmd[0]"),
        (config("").replace("[id]", "[[sh, -c, if true], [bash, -exc, \"echo 'a' 'b\"]]"), "error script/syntax 2:19 runcmd[0][2]\nerror script/syntax 2:43 runcmd[1][2]"),
        (config("").replace("[id]", "[[sh, -c, \"echo 'a' 'b'\"], [bash, -c, exit], [sh, -n, if], [sh, c, if]]"), ""),
        (
            config("").replace("[id]", "[id, 'sudo /bin/sh -ec \"if true; then\"', \"timeout 9 bash -c 'echo $(id)) a'\"]"),
            "error script/syntax 2:15 runcmd[1]\nerror script/syntax 2:51 runcmd[2]",
        ),
        (
            config("").replace("[id]", "['bash -c \"for i in $(seq 3); do echo \\$i; done\"', \"sh -c 'a \\\\\\n| b'\", 'bash -c \"$WHAT\" a', 'x bash -c']"),
            "",
        ),
        (config("write_files:\n- path: /a\n  content: >\n    #!/bin/sh\n    echo a\n    echo b\n"), "warning file/joined-lines 6:5 write_files[0].content"),
        (config("write_files:\n- path: /a\n  content: >\n    a b c d\n    e f\n"), ""),
        (config("write_files:\n- path: /a\n  content: |\n    #!/usr/bin/env -S sh -e\n"), ""),
        (config("ssh_authorized_keys: [ssh-rsa, ssh-rsa <your key>]\n"), "error user/key 3:23 ssh_authorized_keys[0]\nerror user/key 3:32 ssh_authorized_keys[1]"),
        (
            config("ntp: {severs: [a], pool: []}\nswap: {filname: /a}\ndisk_setup: {/dev/s.b: {layot: false, layout: false}}\nresolv_conf: {domian: a}\n"),
            "error key/unknown 3:7 ntp.severs\nerror key/unknown 3:20 ntp.pool\nerror key/unknown 4:8 swap.filname\nerror key/unknown 5:25 disk_setup[/dev/s.b].layot\nwarning key/no-effect 6:14 resolv_conf",
        ),
        (config("chpasswd: {lst: []}\nphone_home: {post: [], urls: http://a}\n"), "error key/unknown 3:12 chpasswd.lst\nerror value/invalid 4:13 phone_home.url\nerror key/unknown 4:24 phone_home.urls"),
        (file("/a.sh", "#!/bin/bash\nset -e\nkubeadm --v=5 itin\n"), "error kubeadm/command 8:5 write_files[0].content"),
        (config("").replace("[id]", "['echo kubeadm joined']"), ""),
        (
            file("/run/kubeadm/k.yaml", &join("name: '{{ ds.meta_data.hostname }}'", "q1w2e3.0123", "sha256:ab")).replace("[id]", RUN),
            "error template/none 8:31 write_files[0].content\n\
             error kubeadm/config 11:16 write_files[0].content (discovery.bootstrapToken.token)\n\
             error kubeadm/config 12:24 write_files[0].content (discovery.bootstrapToken.caCertHashes[0])",
        ),
        (file("/run/kubeadm/k.yaml", &join("name: a", "q1w2e3.0123456789abcdef", &format!("sha256:{}", "ab".repeat(32)))).replace("[id]", RUN), ""),
        (object("KubeadmConfig", "joinConfiguration: {}\n  preKubeadmCommands: ['echo ${ZONE and more']"), "error object/variable 6:30 spec.preKubeadmCommands[0]"),
        (object("KubeadmConfig", "joinConfiguration: {}\n  preKubeadmCommands: ['echo ${ZONE:-a} $${B}']"), ""),
        (object("KubeadmConfig", "joinConfiguration: {}\n  preRKE2Commands: [id]"), "error object/unknown-key 6:3 spec.preRKE2Commands"),
        (object("RKE2Config", "agentConfig: {}\n  postKubeadmCommands: [id]"), "error object/unknown-key 6:3 spec.postKubeadmCommands"),
        (object("KubeadmConfig", "joinConfiguration: {}\n  files: [{path: /a, content: a, contentFormat: a}]"), ""),
        (object("KThreesConfig", "preKubeadmCommands: [id]"), "error object/unknown-key 5:3 spec.preKubeadmCommands"),
        (
            "## template: jinja\n#cloud-config\nruncmd:\n- id\n- |\n  {% for n in [1] %}{% if n %}\n  id\n  {% endfor %}\n".to_owned(),
            "error template/syntax 8:6 ",
        ),
        (
            "## template: jinja\n#cloud-config\nruncmd:\n- |\n  {% if v1.region %}\n  id\n- id\n".to_owned(),
            "error template/syntax 5:3 ",
        ),
        ("#cloud-config\nhostname: a\n".to_owned(), "warning bootstrap/none null:null "),
        (
            "apiVersion: v1\nkind: Secret\ntype: cluster.x-k8s.io/secret\nstringData: {value: \"#cloud-config\\nhostname: a\\n\"}\n".to_owned(),
            "error bootstrap/none null:null ",
        ),
        (
            "apiVersion: v1\nkind: Secret\nstringData:\n  value: |\n    #cloud-config\n    runcmd:\n    - kubeadm join --tken a\n    - if\n".to_owned(),
            "error kubeadm/command 7:7 runcmd[0]\nerror script/syntax 8:7 runcmd[1]",
        ),
        ("#include\nhttps://a.invalid:b/\n".to_owned(), "error value/invalid 2:1 include https://…"),
        ("#include\nhttps://a:b/c@d.invalid/\n".to_owned(), "error value/invalid 2:1 include https://…"),
        (
            "#cloud-config\nruncmd: [id]\nwrite_files:\n- {path: /a, source: {uri: 'https://a.invalid:b/'}}\n".to_owned(),
            "error value/invalid 4:22 write_files[0].source",
        ),
        (
            "#cloud-config\nruncmd: [id]\ndevice_aliases: {ephemeral0: /dev/nvme1n1}\nmounts: [[ephemeral0.1, /e], [ephemeral0, /f]]\n".to_owned(),
            "",
        ),
        (
            "#cloud-config\nruncmd: [id]\nwrite_files: [{path: /etc/flatcar/enabled-sysext.conf, content: podman}]\n".to_owned(),
            "note value/invalid 3:22 write_files[0].path",
        ),
        (
            r#"{"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "/etc/crypttab"}]}}"#.to_owned(),
            "warning bootstrap/none null:null \nnote ignition/invalid 1:58 storage.files[0].path",
        ),
        // The bootstrap may be in what the node fetches.
        ("#include\nhttps://a.invalid/b\n".to_owned(), "note source/not-fetched 2:1 include https://a.invalid/…"),
        (
            "apiVersion: v1\nkind: Secret\ntype: cluster.x-k8s.io/secret\nstringData: {value: \"#include\\ns3://b/k\\n\"}\n".to_owned(),
            "note source/not-fetched 2:1 include s3://b/…",
        ),
        (
            "{\"ignition\": {\"version\": \"3.4.0\", \"config\": {\"replace\": {\"source\": \"s3://b/node/k\"}}}}".to_owned(),
            "note source/not-fetched 1:68 ignition.config.replace.source",
        ),
        (
            ignition("\"systemd\": {\"units\": [{\"name\": \"a.service\", \"enabled\": true, \"contents\": \"[Service]\\nExecStart=/a\\n[Install]\\nWantedBy=multi-user.target\"}]}"),
            "",
        ),
        (
            ignition("\"passwd\": {\"users\": [{\"name\": \"core\", \"shell\": \"/bin/ksh\"}]}"),
            "error user/shell 2:48 passwd.users[0].shell",
        ),
    ] {
        let have = findings(&data).join("\n");
        if have != told {
            wrong += &format!("{data}\nwant {told}\nhave {have}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is found: its level, its code, its line and column, and its place.
fn findings(data: &str) -> Vec<String> {
    let said: Value = serde_json::from_str(&check(data, true).out).unwrap();
    let findings = said["findings"].as_array().unwrap().iter().map(|f| {
        let text = |key: &str| f[key].as_str().unwrap_or_default();
        format!("{} {} {}:{} {}", text("level"), text("code"), f["line"], f["column"], text("place"))
    });
    findings.collect()
}

/// Data of several parts: what is found once they are one has its line, and what is wrong in one hides nothing of another.
#[test]
fn what_is_wrong_in_one_of_several_parts_has_its_line() {
    let mime = |parts: &[(&str, &str)]| {
        let part = |(kind, text): &(&str, &str)| format!("--B\nContent-Type: text/{kind}\n\n{text}");
        let parts: String = parts.iter().map(part).collect();
        format!("Content-Type: multipart/mixed; boundary=B\nMIME-Version: 1.0\n\n{parts}--B--\n")
    };
    const USERS: &str = "#cloud-config\nusers:\n- name: a\n  shell: /bin/zsh\n#cloud-config\n";
    const FILES: &str = "#cloud-config\nwrite_files:\n- path: /a\n  owner: nix\n- path: /etc/systemd/system/a.service\n  content: |\n    [Service]\n    ExcStart=/x\n";
    const APPENDED: &str = "#cloud-config\nmerge_how: list(append)+dict(recurse_list)\nwrite_files:\n- path: /b\n  permissions: '0o8'\n- path: /c\n  owner: :nix\n";
    const SCRIPT: &str = "#!/bin/sh\n\nkubeadm join --config /k\nfi\n";
    for (data, told) in [
        (
            mime(&[("cloud-config", USERS), ("cloud-config", FILES), ("x-shellscript", SCRIPT)]),
            "error document/second-header 11:1 part 1 (text/cloud-config)\n\
             error file/owner 18:10 part 2 (text/cloud-config): write_files[0].owner\n\
             error kubeadm/config-missing 28:1 part 3 (text/x-shellscript)\n\
             error script/syntax 29:1 part 3 (text/x-shellscript)\n\
             error unit/key 22:5 part 2 (text/cloud-config): write_files[1].content\n\
             error user/shell 10:10 part 1 (text/cloud-config): users[0].shell",
        ),
        (
            mime(&[("cloud-config", FILES), ("cloud-config", APPENDED), ("x-shellscript", "#!/bin/sh\nid\n")]),
            "error file/owner 10:10 part 1 (text/cloud-config): write_files[0].owner\n\
             error file/owner 24:10 part 2 (text/cloud-config): write_files[3].owner\n\
             error unit/key 14:5 part 1 (text/cloud-config): write_files[1].content\n\
             error value/invalid 22:16 part 2 (text/cloud-config): write_files[2].permissions",
        ),
        (
            "#cloud-config-archive\n- |\n  #cloud-config\n  write_files:\n  - {path: /a, owner: nix}\n- |\n  #cloud-boothook\n\n  #!/bin/sh\n  fi\n- |\n  #!/bin/sh\n  if\n"
                .to_owned(),
            "error file/owner 5:23 part 1: write_files[0].owner\n\
             error script/syntax 10:3 part 2\n\
             error script/syntax 13:3 part 3",
        ),
        // What fails in one part's template hides no owner, and what stands in place of it is none.
        (
            mime(&[
                ("cloud-config", "## template: jinja\n#cloud-config\nwrite_files:\n- {path: /a, owner: nix,\n   content: '{{ no }}'}\n- {path: /b, owner: '{{ no }}'}\n"),
                ("cloud-config", APPENDED),
            ]),
            "error file/owner 10:21 part 1 (text/cloud-config): write_files[0].owner\n\
             error file/owner 22:10 part 2 (text/cloud-config): write_files[3].owner\n\
             error template/no-value 11:17 part 1 (text/cloud-config): write_files[0].content\n\
             error template/no-value 12:25 part 1 (text/cloud-config): write_files[1].owner\n\
             error value/invalid 20:16 part 2 (text/cloud-config): write_files[2].permissions",
        ),
        // Lines of what travels in base64 are its own, and its name says so.
        (
            mime(&[("x-shellscript\nContent-Transfer-Encoding: base64", &(b64("#!/bin/sh\nfi\n") + "\n"))]),
            "error script/syntax 2:1 part 1 (text/x-shellscript, decoded)",
        ),
        (
            format!("#cloud-config-archive\n- content: !!binary {}\n", b64("#!/bin/sh\nkubeadm join --config /k\n")),
            "error kubeadm/config-missing 2:1 part 1 (decoded)",
        ),
        ("#cloud-boothook\n#!/bin/sh\n\nfi\n".to_owned(), "error script/syntax 4:1 user-data"),
        // What else is wrong hides no owner, but for what accounts may stand in.
        (
            "#cloud-config\nwrite_files:\n- {path: /a, owner: nix}\nruncmd: [kubeadm join --config /k]\ntimezone: {}\n".to_owned(),
            "error file/owner 3:21 write_files[0].owner\n\
             error kubeadm/config-missing 4:10 runcmd[0]\n\
             error value/invalid 5:11 timezone",
        ),
        (
            "#cloud-config\nwrite_files:\n- {path: /a, owner: nix}\nruncmd: [id]\nusers:\n- {nam: nix}\n".to_owned(),
            "error key/unknown 6:4 users[0].nam\nerror value/invalid 6:3 users[0].name",
        ),
        (
            "#cloud-config\nwrite_files:\n- {path: /a, permision: '0600'}\nruncmd: [kubeadm join --config /k]\n".to_owned(),
            "error key/unknown 3:14 write_files[0].permision\nerror kubeadm/config-missing 4:10 runcmd[0]",
        ),
        (
            "#cloud-config\nwrite_files:\n- {path: /k, permision: '0600'}\nruncmd: [kubeadm join --config /k]\n".to_owned(),
            "error key/unknown 3:14 write_files[0].permision",
        ),
        (
            "#cloud-config\nwrite_files:\n- path: /a\n  content: \"b\nruncmd: [id]\n".to_owned(),
            "error yaml/syntax 4:12 ",
        ),
        (
            "#cloud-config\nruncmd:\n- |\n  id\n  kubeadm join --config /k\n".to_owned(),
            "error kubeadm/config-missing 5:3 runcmd[0]",
        ),
        (
            "{\"ignition\": {\"version\": \"3.4.0\"}, \"systemd\": {\"units\": [\n\
             {\"name\": \"a.service\", \"enable\": true, \"contents\": \"[Install]\\nWantedBy=a.target\"}]}, \"storage\": {\"files\": [\n\
             {\"path\": \"/etc/chrony.conf\", \"contents\": {\"source\": \"data:,a\"}},\n\
             {\"path\": \"/a\", \"contents\": {\"source\": \"data:,%23!/bin/sh%0Aupdate-ca-certificates%0Ayum%20install%20kubeadm%0Aufw\"}}]}}"
                .to_owned(),
            "error program/package-manager 4:39 storage.files[1].contents.source\n\
             warning key/no-effect 2:23 systemd.units[0].enable\n\
             warning program/absent 3:1 storage.files[0].path\n\
             warning program/absent 4:39 storage.files[1].contents.source",
        ),
        (
            "#cloud-config\nruncmd: [id]\nssh_authorized_keys: no-key\n".to_owned(),
            "error user/key 3:22 ssh_authorized_keys[0]",
        ),
        // Units: what they run and what they require, at its line.
        (
            "#cloud-config\nwrite_files:\n- path: /etc/systemd/system/a.service\n  content: |\n    [Unit]\n    After=cloud-final.service\n\
             \x20   [Service]\n    ExecStartPre=-/usr/bin/env \\\n      python3 /a.py\n    ExecStart=/bin/sh -c 'which ufw && ufw reload; netplan apply'\n\
             coreos:\n  units:\n  - name: b.service\n    content: |\n      [Unit]\n      Requires=chronyd.service a.service\n    drop-ins:\n    - name: c.conf\n\
             \x20     content: |\n        [Service]\n        ExecStartPost=!/usr/sbin/update-ca-trust\nruncmd: [id]\n"
                .to_owned(),
            "warning program/absent 10:5 write_files[0].content\n\
             warning program/absent 16:7 coreos.units[0].content\n\
             warning program/absent 21:9 coreos.units[0].drop-ins[0].content\n\
             warning program/absent 8:5 write_files[0].content",
        ),
        (
            "{\"ignition\": {\"version\": \"3.4.0\"}, \"systemd\": {\"units\": [\n\
             {\"name\": \"a.service\", \"enabled\": true, \"contents\": \"[Service]\\nExecStart=/usr/bin/apt-get update\\n[Install]\\nWantedBy=a.target\"}]}}"
                .to_owned(),
            "error program/package-manager 2:52 systemd.units[0].contents",
        ),
        // Programs: each at its own line, in commands of several lines and in what is handed to a shell.
        (
            mime(&[
                (
                    "cloud-config",
                    "#cloud-config\nruncmd:\n- |\n  set -e\n\n    sudo apt-get update; x\n  apt-get install -y nginx\n- [bash, -c, 'a; ufw x']\n\
                     - sh -c \"true; netplan apply\"\n- [netplan, apply]\n- 'é ä; dhclient'\n- systemctl restart a chrony\n",
                ),
                (
                    "cloud-config",
                    "#cloud-config\nwrite_files:\n- path: /a\n  content: |\n    #!/bin/bash\n\n      FOO=1 snap install x\n\
                     - path: /b\n  encoding: b64\n  content: IyEvYmluL2Jhc2gKCnVmdyB4Cg==\n",
                ),
                ("x-shellscript", "#!/bin/sh\nif sudo ufw x; then\nfi\n"),
            ]),
            "error program/package-manager 12:10 part 1 (text/cloud-config): runcmd[0]\n\
             error program/package-manager 28:13 part 2 (text/cloud-config): write_files[0].content\n\
             error script/syntax 37:1 part 3 (text/x-shellscript)\n\
             warning program/absent 14:18 part 1 (text/cloud-config): runcmd[1][2]\n\
             warning program/absent 15:16 part 1 (text/cloud-config): runcmd[2]\n\
             warning program/absent 16:4 part 1 (text/cloud-config): runcmd[3]\n\
             warning program/absent 17:9 part 1 (text/cloud-config): runcmd[4]\n\
             warning program/absent 18:23 part 1 (text/cloud-config): runcmd[5]\n\
             warning program/absent 31:12 part 2 (text/cloud-config): write_files[1].content\n\
             warning program/absent 36:9 part 3 (text/x-shellscript)",
        ),
        (
            "{\"ignition\": {\"version\": \"3.4.0\"}, \"storage\": {\n\
             \"directories\": [{\"path\": \"/b\", \"user\": {\"name\": \"nix\"}}],\n\
             \"files\": [{\"path\": \"/a\", \"group\": {\"name\": \"nix\"}}],\n\
             \"links\": [{\"path\": \"/c\", \"target\": \"/a\", \"user\": {\"name\": \"nix\"}}]}}"
                .to_owned(),
            "error file/owner 2:40 storage.directories[0].user\n\
             error file/owner 3:35 storage.files[0].group\n\
             error file/owner 4:50 storage.links[0].user",
        ),
        (
            "#cloud-config\ncoreos:\n  units:\n  - name: a.service\n    content: |\n      [Servce]\n    drop-ins:\n    - name: 1.conf\n      content: |\n        [Unit]\n        Aftr=b\n"
                .to_owned(),
            "error unit/key 11:9 coreos.units[0].drop-ins[0].content\n\
             error unit/section 6:7 coreos.units[0].content",
        ),
        // Cluster API makes kubeadm.service beside this one, and Ignition one unit of both.
        (
            "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfig\nmetadata: {name: a}\nspec:\n  format: ignition\n  \
             joinConfiguration: {}\n  ignition:\n    containerLinuxConfig:\n      additionalConfig: |\n        systemd:\n          units:\n          \
             - name: kubeadm.service\n            dropins:\n            - name: 1.conf\n              contents: |\n                [Unit]\n                Aftr=b\n"
                .to_owned(),
            "error unit/key 17:17 spec.ignition.containerLinuxConfig.additionalConfig: systemd.units[0].dropins[0].contents",
        ),
    ] {
        let mut have = findings(&data);
        have.sort_unstable();
        assert_eq!(have.join("\n"), told, "{data}");
    }
}

/// All that is wrong is told at once, each at its place in the author's text: what fails in a template does not hide what stands
/// behind it, and what follows from it is not told.
#[test]
fn all_errors_are_told_at_once() {
    let head = "## template: jinja\n#cloud-config\n";
    for (text, want) in [
        (
            "hostname: {{ a }}\nwrite_files:\n- {path: /a, permissions: '{{ b.c }}'}\n- {path: /b, permissions: '9'}\n",
            &["template/no-value 3:14", "template/no-value 5:31", "value/invalid 6:27"][..],
        ),
        (
            "final_message: '{{ a }} {{ b }}'\nx: [\n",
            &["template/no-value 3:20", "template/no-value 3:28", "yaml/syntax 5:1"],
        ),
        (
            "a: {{ b | }}\nc: ${#d}\ne: {{ f }}\n",
            &["template/syntax 3:11", "template/syntax 4:5", "template/no-value 5:7"],
        ),
        (
            "{% if a.b %}c: d{% endif %}\n{% for e in f.g %}{{ h }}{% endfor %}\ni: {{ j }}\n",
            &["template/no-value 3:7", "template/no-value 4:13", "template/no-value 5:7"],
        ),
        ("{% set a = b.c %}\nc: {{ d }}\n", &["template/no-value 3:12", "template/no-value 4:7"]),
        ("a: {{ b\nc: d\n", &["template/syntax 3:4"]),
    ] {
        let said: Value = serde_json::from_str(&check(format!("{head}{text}"), true).out).unwrap();
        let errors = said["findings"].as_array().unwrap().iter().filter(|f| f["level"] == "error");
        let told: Vec<String> = errors
            .map(|f| format!("{} {}:{}", f["code"].as_str().unwrap_or_default(), f["line"], f["column"]))
            .collect();
        assert_eq!(told, want, "{text}\n{said:#}");
    }
}

/// What fails in a template has the key in whose value it stands, and no key where it stands between two; in data that travels packed, the
/// line is that of the data, and is shown.
#[test]
fn what_fails_in_a_template_has_its_key() {
    let data = "## template: jinja\n#cloud-config\nhostname: {{ a.b }}\nwrite_files:\n- {path: /a, content: '{{ c.d }}'}\n\
                - path: /b\n  content: |\n    e\n    {{ f.g | h }} {{ i. }}\n{% if k.l %}\nruncmd:\n- [id, \"{{ m.n }}\"]\n{% endif %}\n";
    let want = [
        "hostname 3:14",
        "write_files[0].content 5:27",
        "write_files[1].content 9:8",
        "write_files[1].content 9:25",
        " 10:7",
        "runcmd[0][1] 12:12",
    ];
    let secret =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata:\n  value: {}\n", b64(data));
    for text in [data.to_owned(), secret.clone(), b64(gz(data.as_bytes()))] {
        let said: Value = serde_json::from_str(&check(&text, true).out).unwrap();
        let told: Vec<String> = said["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| format!("{} {}:{}", f["place"].as_str().unwrap_or_default(), f["line"], f["column"]))
            .collect();
        assert_eq!(told, want, "{text}\n{said:#}");
    }
    let file = fresh("template-keys").join("data");
    for text in [secret, b64(gz(data.as_bytes()))] {
        fs::write(&file, text).unwrap();
        let shown = footplate(&["check", "--show-values", file.to_str().unwrap()]).out;
        let line =
            "(line 12, column 12 of the decoded data)\n   12 | - [id, \"{{ m.n }}\"]\n      |            ^\n";
        assert!(shown.contains(line), "{shown}");
    }
}

/// What fails in a template hides nothing that does not depend on it: an owner that nobody makes is told beside it, one that the template makes
/// is not, and what stands below a statement without an end is read.
#[test]
fn what_fails_in_a_template_hides_nothing_else() {
    let start = "## template: jinja\n#cloud-config\nruncmd: [kubeadm init]\n";
    for (text, want) in [
        (
            "hostname: '{{ a.b }}'\nwrite_files: [{path: /a, owner: ghost, content: x}]\n",
            "hostname write_files[0].owner",
        ),
        (
            "write_files: [{path: /a, owner: '{{ a.b }}', content: x}, {path: /b, owner: ghost, content: x}]\n",
            "write_files[0].owner write_files[1].owner",
        ),
        (
            "write_files: [{path: /a, owner: ghost, content: x}]\nusers: [{name: '{{ a.b }}'}]\n",
            "users[0].name",
        ),
        (
            "write_files:\n- {path: /usr/a, content: x}\n{% if v1.x %}\n- {path: /usr/b, content: x}\n",
            "write_files[0].path  write_files[1].path",
        ),
        ("{% if v1.x %}\nhostname: a\n{% else %}\nhostname: b\n", ""),
    ] {
        let said: Value = serde_json::from_str(&check(format!("{start}{text}"), true).out).unwrap();
        let findings = said["findings"].as_array().unwrap().iter();
        let errors =
            findings.filter(|f| f["level"] == "error").map(|f| f["place"].as_str().unwrap_or_default());
        assert_eq!(errors.collect::<Vec<_>>().join(" "), want, "{text}\n{said:#}");
    }
}

/// Names of a template's in data that is none: kubeadm refuses them, and a command gets them as they stand.
#[test]
fn names_of_a_template_in_data_that_is_none_are_told() {
    let join = "runcmd: ['kubeadm join --config /run/kubeadm/k.yaml', 'echo {{ ds.meta_data.x }}']\n";
    let config = "write_files:\n- path: /run/kubeadm/k.yaml\n  content: |\n    apiVersion: kubeadm.k8s.io/v1beta4\n    kind: JoinConfiguration\n    \
                  nodeRegistration: {name: '{{ local_hostname }}'}\n    discovery: {bootstrapToken: {token: abcdef.0123456789abcdef, \
                  apiServerEndpoint: 'a:6443', unsafeSkipCAVerification: true}}\n- {path: /a, content: 'crictl {{ .status }} {{ v2 }}'}\n";
    let object = |name: &str, command: &str| {
        format!(
            "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfigTemplate\nmetadata: {{name: a}}\nspec:\n  template:\n    spec:\n      \
             format: ignition\n      files: [{{path: /etc/of-the-machine, content: '{command}'}}]\n      preKubeadmCommands: ['echo {{{{ v1.region }}}}']\n      joinConfiguration:\n        nodeRegistration:\n          name: '{{{{ {name} }}}}'\n"
        )
    };
    let template = "## template: jinja\n";
    let place = "spec.template.spec.";
    for (text, want) in [
        (
            format!("#cloud-config\n{join}{config}"),
            "error write_files[0].content 8:31, warning runcmd[1] 2:61".to_owned(),
        ),
        (format!("{template}#cloud-config\n{join}{config}").replace("{{ .status }} ", ""), String::new()),
        (
            // In kubeadm's configuration and beside it in the commands they are filled in.
            object("local_hostname", "a {{ v1.region }}"),
            format!("warning {place}files[0].content 8:55"),
        ),
        (object("ds.meta_data.hostname", "{{ .status }}"), String::new()),
    ] {
        let said: Value = serde_json::from_str(&check(&text, true).out).unwrap();
        let findings = said["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "template/none");
        let told: Vec<String> = findings
            .map(|f| {
                let text = |key: &str| f[key].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}:{}", text("level"), text("place"), f["line"], f["column"])
            })
            .collect();
        let mut want: Vec<&str> = want.split(", ").filter(|w| !w.is_empty()).collect();
        let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
        want.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, want, "{text}\n{said:#}");
    }
}

/// Away from the machine a value that it makes may be right or wrong: a note. What is wrong beside it is an error as ever.
#[test]
fn what_a_machine_makes_of_a_value_is_no_error_and_what_is_wrong_beside_it_is() {
    let head = "## template: jinja\n#cloud-config\n";
    let join = "runcmd: ['kubeadm join --config /run/k.yaml']\n";
    let config = "apiVersion: kubeadm.k8s.io/v1beta3, kind: JoinConfiguration, discovery: {bootstrapToken: {token: '{{ ds.meta_data.t }}', \
                  apiServerEndpoint: 'a:6443', caCertHashes: ['{{ ds.meta_data.h }}']}}";
    let files = format!("write_files:\n- path: /run/k.yaml\n  content: |\n    {{{config}}}\n");
    let codes = |data: &str| {
        let ran = check(format!("{head}{files}{data}"), true);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        let findings = said["findings"].as_array().unwrap().iter().filter(|f| f["level"] != "note");
        (
            ran.code,
            findings.map(|f| format!("{} {}", f["code"].as_str().unwrap(), f["line"])).collect::<Vec<_>>(),
        )
    };
    for data in [
        "- {path: /a, permissions: '{{ ds.meta_data.x }}', owner: '{{ ds.meta_data.x }}', append: {{ ds.meta_data.y }}}\n",
        "- {path: /a, permissions: '{{ ds.meta_data.mode + 1 }}', encoding: '{{ ds.meta_data.e }}', content: a}\n",
        "{% for f in ds.meta_data.files %}\n- {path: '{{ f.path }}', permissions: '{{ f.mode }}', content: {{ f.text | tojson }}}\n{% endfor %}\n",
        "ntp: {{ ds.meta_data.ntp }}\nusers: {{ ds.meta_data.users | tojson }}\ntimezone: {{ ds.meta_data.zone }}\n",
        "users:\n- {name: a, uid: {{ ds.meta_data.uid }}, lock_passwd: {{ ds.meta_data.l }}, shell: '{{ ds.meta_data.s }}'}\n",
        "disk_setup: {/dev/sdb: {table_type: {{ ds.meta_data.t }}, layout: {{ ds.meta_data.l }}, overwrite: {{ ds.meta_data.o }}}}\n",
        "mounts:\n{% for d in ds.meta_data.disks %}\n- ['{{ d.device }}', '{{ d.path }}', {{ d.kind }}]\n{% endfor %}\n",
        "swap: {filename: /swap, size: {{ ds.meta_data.size }}}\nca_certs: {remove_defaults: {{ ds.meta_data.r }}}\n",
    ] {
        assert_eq!(codes(&format!("{data}{join}")), (0, vec![]), "{data}");
    }
    assert_eq!(codes("runcmd: {{ ds.meta_data.commands | tojson }}\n"), (0, vec![]));
    let (code, told) = codes(&format!("{join}{{{{ ds.meta_data.more }}}}\n"));
    assert_eq!((code, told), (0, vec!["template/unknown 8".to_owned()]), "the rest was not read");
    for (data, error) in [
        ("- {path: /a, permissions: '0999', content: '{{ ds.meta_data.x }}'}\n", "value/invalid 7"),
        ("- path: /a\n  encoding: b65\n  owner: '{{ ds.meta_data.x }}'\n", "value/invalid 8"),
        ("users:\n- name: a\n  shell: '{{ ds.meta_data.s }}'\n  uid: abc\n", "value/invalid 10"),
        (
            "bootcmd: {{ ds.meta_data.c | tojson }}\nswap: {filename: '{{ ds.meta_data.f }}', size: lots}\n",
            "value/invalid 8",
        ),
        (
            "{% for n in ['a', 'b'] %}\n- {path: '/{{ n }}', permissions: '{{ n }}9'}\n{% endfor %}\n",
            "value/invalid 8",
        ),
        ("bootcmd: ['snap install {{ ds.meta_data.p }}']\n", "program/package-manager 7"),
        ("bootcmd: ['if true; then echo {{ ds.meta_data.p }}']\n", "script/syntax 7"),
    ] {
        let (code, told) = codes(&format!("{data}{join}"));
        assert_eq!((code, told.contains(&error.to_owned())), (65, true), "{data}{told:?}");
    }
    let (code, told) =
        codes("runcmd: ['kubeadm join --config /run/other.yaml', 'echo {{ ds.meta_data.x }}']\n");
    assert_eq!((code, told.len()), (65, 1), "nothing writes the file: {told:?}");
}

/// A template of Terraform's is told as that, where it stops the reader and where it does not.
#[test]
fn templates_of_terraform_are_told_for_what_they_are() {
    for (data, want) in [
        (
            "#cloud-config\nwrite_files:\n%{ for f in files ~}\n- path: ${f.path}\n%{ endfor ~}\nruncmd: [kubeadm init]\n",
            "error template/terraform 3:1 ",
        ),
        ("%{ if x }\n#cloud-config\n%{ endif }\n", "error template/terraform 1:1 "),
        (
            "#cloud-config\nruncmd: [kubeadm init]\nbootcmd: [a, %{ if x }b%{ else }c%{ endif }]\n",
            "error template/terraform 3:14 ",
        ),
        (
            "#cloud-config\nwrite_files:\n- path: /a\n  content: |\n    a\n    %{~ if x }\nruncmd: [kubeadm init]\n",
            "warning template/terraform 6:5 ",
        ),
        (
            "#cloud-config\nwrite_files:\n- path: /a\n  content: ${jsonencode(x)}\nruncmd: [kubeadm init]\n",
            "warning template/terraform 4:12 ",
        ),
        // What a program of the node reads is for that program.
        ("#cloud-config\nruncmd: [kubeadm init, \"curl -w '%{http_code}' $${x} ${x.y}\"]\n", ""),
    ] {
        let mut have = findings(data);
        have.retain(|finding| !finding.starts_with("note"));
        assert_eq!(have.join("\n"), want, "{data}");
    }
}

/// What is wrong with a source of Ignition's says what to write.
#[test]
fn errors_of_ignitions_sources_say_what_to_do() {
    let config = |keys: &str| format!("{{\"ignition\": {{\"version\": \"3.4.0\"{keys}");
    let file = |contents: &str| {
        config(&format!(
            "}}, \"storage\": {{\"files\": [{{\"path\": \"/a\", \"contents\": {{{contents}}}}}]}}}}"
        ))
    };
    for (data, cure) in [
        (file("\"source\": \"data:,a b\""), "base64 -w0"),
        (file("\"source\": \"data:;base64,a*b\""), "base64 -w0"),
        (file("\"compression\": \"gzip\", \"source\": \"data:,a\""), "leave `compression` out"),
        (
            config(", \"security\": {\"tls\": {\"certificateAuthorities\": [{\"source\": \"data:,a\"}]}}}}"),
            "openssl x509",
        ),
    ] {
        let said: Value = serde_json::from_str(&check(&data, true).out).unwrap();
        let hint = said["findings"][0]["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(cure), "{data}\n{said:#}");
    }
}

/// A user for snapd alone is one that no program here makes.
#[test]
fn a_user_for_snapd_stops_nothing() {
    let config = "#cloud-config\nusers:\n- default\n- snapuser: a@example.com\nruncmd: [kubeadm init]\n";
    assert_eq!(findings(config), ["warning key/no-effect 4:3 users[1].snapuser"]);
    let beside = config.replace("snapuser:", "shell: /bin/bash\n  snapuser:");
    assert_eq!(findings(&beside)[0], "error value/invalid 4:3 users[1].name");
}

/// A placeholder of Go's templates is named, once for each that stops the node; where it stops nothing, the first that only a template has.
#[test]
fn placeholders_of_go_are_told_for_what_they_are() {
    let jinja = "## template: jinja\n#cloud-config\n";
    let plain = "#cloud-config\n";
    let end = "runcmd:\n- kubeadm init\n";
    let long = "write_files:\n- path: /a\n  content: |\n    {% raw %}{{ .a }}{% endraw %}\n    {{ .b }} {{ v1.instance_id }}\n    {{/* c */}}\n";
    for (head, text, want) in [
        (jinja, "bootcmd: ['a {{ .kubernetesVersion }}']\n", &["error 3:14"][..]),
        (jinja, "bootcmd: ['a {{ $x }}', \"b {{ printf '%s' .c }}\"]\n", &["error 3:14", "error 3:28"]),
        (jinja, long, &["error 7:5", "error 8:5"]),
        // What a node is made of is not known with such lines: nothing is said of the rest.
        (jinja, "{{- if .Values.ntp }}\nntp: 1\n{{- end }}\n", &["error 3:1", "error 5:1"]),
        (plain, "hostname: {{ .Values.name }}\n", &["error 2:11"]),
        (plain, "hostname: {{ .Values.name | quote }}\n", &["error 2:11"]),
        (plain, "hostname: {{ .name }}\n", &["error 2:11"]),
        (plain, "bootcmd:\n- {{ $x }}\n", &["error 3:3"]),
        (plain, "{{- with .Values.a }}\nhostname: x\n{{- end }}\n", &["error 2:1"]),
        (plain, "{{ toYaml .Values.a }}\n", &["error 2:1"]),
        ("{{- if .Values.a }}\n#cloud-config\n", "", &["error 1:1"]),
        (
            "{\"ignition\": {\"version\": \"3.3.0\"}, \"storage\": {\"files\": {{ toJson .Values.f }} }}",
            "",
            &["error 1:57"],
        ),
        (plain, "bootcmd: ['a {{ .Values.a }} {{ .Values.b }}']\n", &["warning 2:14"]),
        ("#!/bin/sh\necho {{ .Release.Name }}\n", "", &["warning 2:6"]),
        // What a program of the node reads is for that program.
        (
            plain,
            "bootcmd: ['crictl inspect --template \"{{.status.pid}}\"', 'a {{ end }}', 'b {{ Values.c }}']\n",
            &[],
        ),
        (jinja, "bootcmd: ['a {% raw %}{{ .Values.b }}{% endraw %}']\n", &[]),
    ] {
        let end = if head.starts_with('#') && head.contains("cloud-config") { end } else { "" };
        let data = format!("{head}{text}{end}");
        let said: Value = serde_json::from_str(&check(&data, true).out).unwrap();
        let told: Vec<String> = said["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["level"] != "note")
            .map(|f| format!("{} {}:{}", f["level"].as_str().unwrap(), f["line"], f["column"]))
            .collect();
        assert_eq!(told, want, "{data}\n{said:#}");
        for finding in said["findings"].as_array().unwrap() {
            assert_eq!(finding["code"], "template/go", "{data}\n{said:#}");
        }
    }
}

/// Tools that show findings beside the lines of a change get the line of the author's file; what is packed in it is told by its
/// own line in words.
#[test]
fn findings_are_told_in_the_forms_that_tools_read() {
    let dir = fresh("forms");
    let (plain, packed) = (dir.join("a,b #.yaml"), dir.join("secret.yaml"));
    fs::write(&plain, "#cloud-config\nruncmd: [id]\ntimezone: Nowhere/Town\n").unwrap();
    let secret = format!("apiVersion: v1\nkind: Secret\ndata:\n  value: {}\n", b64(BAD));
    fs::write(&packed, secret).unwrap();
    let run = |format: &str| {
        let ran =
            footplate(&["check", "--format", format, plain.to_str().unwrap(), packed.to_str().unwrap()]);
        assert_eq!(ran.code, 65, "{}{}", ran.out, ran.err);
        ran.out
    };
    let lines = run("github");
    for told in [
        format!(
            "::error file={}/a%2Cb #.yaml,line=3,col=11,title=timezone/unknown::timezone: ",
            dir.display()
        ),
        format!(
            "::error file={},line=4,col=10,title=value/invalid::Secret: write_files[0].permissions: ",
            packed.display()
        ),
        "(line 6, column 16 of the decoded data)".to_owned(),
    ] {
        assert!(lines.contains(&told), "{told}\n{lines}");
    }
    let sarif: Value = serde_json::from_str(&run("sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let region = |n: usize| &results[n]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (region(0), results[0]["ruleId"].as_str()),
        (&json!({"startLine": 3, "startColumn": 11}), Some("timezone/unknown"))
    );
    assert_eq!(region(1)["startLine"], 4);
    // A URI: a comma, a blank and a `#` would end or break it.
    let uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.ends_with("/a%2Cb%20%23.yaml"), "{uri}");
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
    }
}

#[test]
fn a_platform_and_a_machine_are_what_the_data_is_held_against() {
    let dir = fresh("against");
    let (data, metadata) = (dir.join("data"), dir.join("metadata"));
    fs::write(&data, "## template: jinja\n#cloud-config\nruncmd: ['echo {{ ds.meta_data.tags.zone }}']\n")
        .unwrap();
    fs::write(&metadata, "local-hostname: node-7\ntags: {zone: a}\n").unwrap();
    let (data, machine) = (data.to_str().unwrap(), metadata.to_str().unwrap());
    footplate(&["check", data]).ended(0, &[]);
    let strict = footplate(&["check", "--platform", "gcp", "--strict", data]);
    assert!(
        strict.code == 65 && strict.out.contains("is taken to exist: Google Cloud may lack it"),
        "{}",
        strict.out
    );
    let good = footplate(&["check", "--platform", "gcp", "--strict", "--metadata", machine, data]);
    assert!(good.code == 0 && !good.out.contains("taken to exist"), "{}", good.out);
    fs::write(&metadata, "local-hostname: node-7\n").unwrap();
    let lacks = footplate(&["check", "--metadata", machine, data]);
    assert!(lacks.code == 65 && lacks.out.contains("`ds.meta_data.tags.zone` has no value"), "{}", lacks.out);
    fs::write(data, "## template: jinja\n#cloud-config\n{% if v1.platform == 'aws' %}timezone: Nowhere/Town{% endif %}\nruncmd: [id]\n").unwrap();
    for (platform, code) in [("aws", 65), ("gcp", 0)] {
        assert_eq!(footplate(&["check", "--platform", platform, data]).code, code, "{platform}");
    }
    // A cloud says where its machines are, a hypervisor does not.
    fs::write(data, "## template: jinja\n#cloud-config\nruncmd: ['echo {{ v1.region }}']\n").unwrap();
    for (options, code) in [(&["--platform", "aws"][..], 0), (&["--platform", "vmware"], 65), (&[], 0)] {
        assert_eq!(footplate(&[&["check", "--strict"], options, &[data]].concat()).code, code, "{options:?}");
    }
    for (name, platform, code) in
        [("region.regioncode", "vultr", 0), ("region.regioncode", "aws", 65), ("region", "aws", 0)]
    {
        fs::write(
            data,
            format!("## template: jinja\n#cloud-config\nruncmd: ['echo {{{{ ds.meta_data.{name} }}}}']\n"),
        )
        .unwrap();
        assert_eq!(
            footplate(&["check", "--strict", "--platform", platform, data]).code,
            code,
            "{name} {platform}"
        );
    }
    fs::write(data, format!("#cloud-config\nruncmd: ['true {}']\n", "x".repeat(60 << 10))).unwrap();
    assert_eq!(footplate(&["check", data]).code, 0);
    assert_eq!(footplate(&["check", "--platform", "gcp", data]).code, 0);
    assert_eq!(footplate(&["check", "--platform", "vmware", data]).code, 65);
    for (args, hint) in [
        (&["check", "--platform", "vmwre", data][..], "did you mean `vmware`?"),
        (&["check", "--platform", "vSphere", data], "did you mean `vmware`?"),
        (&["check", "--platform", "cloud", data], "one of akamai, "),
        (&["check", "--explain", "template/no-valu"], "did you mean `template/no-value`?"),
        (&["chekc"], "did you mean `check`?"),
        (&["check", "--format", "sarfi", data], "did you mean `sarif`?"),
    ] {
        let ran = footplate(args);
        assert!(ran.code == 64 && ran.err.contains(hint), "{args:?}: {}", ran.err);
    }
}

/// A line of the data is shown when it is asked for, and not without.
#[test]
fn the_line_is_shown_on_demand() {
    let file = fresh("line").join("data");
    fs::write(
        &file,
        format!(
            "#cloud-config\nruncmd: [id]\nwrite_files:\n- {{path: /a, content: {CANARY}, permissions: 'x'}}\n"
        ),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let shown = footplate(&["check", "--show-values", file]).out;
    let caret = shown.lines().skip_while(|l| !l.starts_with("    4 | ")).nth(1).unwrap_or_default();
    assert!(
        shown.contains(CANARY) && caret.find('^') == shown.lines().find_map(|l| l.find("'x'")),
        "{shown}"
    );
    assert!(!footplate(&["check", "-v", file]).out.contains(CANARY));
    assert_eq!(footplate(&["check", "-q", file]).out.lines().count(), 3);
}

#[test]
fn a_file_that_does_not_exist_is_told_in_words() {
    footplate(&["check", "/nonexistent/user-data"])
        .ended(64, &["error: usage: /nonexistent/user-data: the file does not exist"]);
    let root = Scratch::new("never-run");
    let ran = footplate(&["timeline", "--root", root.arg()]);
    ran.ended(2, &[]);
    assert!(
        ran.out.starts_with("not-run: footplate has not run on this machine in this boot\n"),
        "{}",
        ran.out
    );
}

/// What is without effect in a unit that the data enables is told once, where the data has it.
#[test]
fn an_install_section_without_effect_is_told_once() {
    let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    let lines: String = unit.lines().map(|l| format!("        {l}\n")).collect();
    let ignition = json!({"ignition": {"version": "3.3.0"},
        "systemd": {"units": [{"name": "t@.service", "enabled": true, "contents": unit}]}});
    let coreos = format!(
        "#cloud-config\ncoreos:\n  units:\n  - name: t@.service\n    enable: true\n    content: |\n{lines}"
    );
    for (place, data) in [("systemd.units[0].contents", ignition.to_string()), ("coreos.units[0]", coreos)] {
        let ran = check(&data, false);
        let all = ran.out + &ran.err;
        assert_eq!(all.matches("WantedBy= has no effect").count(), 1, "{all}");
        assert!(all.contains(&format!("warning: {place}: line 4 of the unit: ")), "{all}");
    }
}

/// systemd-sysext of 257 hides what stands beside a mount; `findings/sysext-hides-opt.sh` shows it.
#[test]
fn a_mount_below_opt_is_told() {
    for (path, told) in
        [("/opt/data", true), ("/opt/a/b", true), ("/opt", false), ("/options", false), ("/var/opt/x", false)]
    {
        let ran = check(format!("#cloud-config\nmounts:\n- [/dev/vdb1, {path}]\n"), false)
            .ended(0, &[])
            .out
            .clone();
        assert_eq!(ran.contains("warning: mounts[0][1]: a mount below /opt"), told, "{path}: {ran}");
    }
}

/// cloud-init's way to give one machine of several its own data has no effect, in each of its places, and is told.
#[test]
fn a_launch_index_is_told() {
    for data in [
        "#cloud-config\nlaunch-index: 5\nruncmd: [id]\n",
        "#cloud-config-archive\n- type: text/cloud-config\n  launch-index: 3\n  content: 'runcmd: [id]'\n",
        "MIME-Version: 1.0\nContent-Type: text/cloud-config\nLaunch-Index: 3\n\nruncmd: [id]\n",
    ] {
        let ran = check(data, false).ended(0, &[]).out.clone();
        assert!(ran.to_lowercase().contains("launch-index: "), "{data}{ran}");
        assert!(ran.contains("every machine takes all"), "{data}{ran}");
    }
}

/// A network configuration is checked too, by itself and in a machine's metadata.
#[test]
fn networks_are_checked() {
    let dir = fresh("check-network");
    let two = "version: 2\nethernets:\n  eth7: {dhcp4: true, dhcp6: true, dhcp4-overrides: {use-dns: false}, dhcp6-overrides: {use-dns: true}}\n";
    let apart = "note: network.ethernets.eth7: dhcp4-overrides and dhcp6-overrides differ in use-dns";
    let inside = format!(
        "instance-id: i\nnetwork:\n{}",
        two.replace("version", " version").replace("\ne", "\n e").replace("\n  e", "\n   e")
    );
    for (text, code, says) in [
        (two, 0, apart),
        (
            "network: {version: 1, config: [{type: physical, name: eth7, subnets: [{type: dhcp}]}]}",
            0,
            "good: a network configuration",
        ),
        (
            "{\"links\": [], \"networks\": [{\"id\": \"n\", \"link\": \"no\", \"type\": \"ipv4_dhcp\"}]}",
            65,
            "network_data.networks[0].link: names a link",
        ),
        ("version: 2\nethernets:\n  eth7: {addresses: [192.0.2.7]}\n", 65, "not good"),
        // As netplan's own examples begin: without a version, with interfaces that are made, and of what is refused.
        (
            "network:\n  renderer: networkd\n  dummy-devices:\n    dm0: {addresses: [192.0.2.7/32]}\n",
            0,
            "warning: network: has no `version`",
        ),
        (
            "version: 2\ndummy-devices:\n  dm0: {addresses: [192.0.2.7/32]}\n",
            0,
            "good: a network configuration",
        ),
        ("network: {config: disabled}\n", 0, "good: a network configuration"),
        ("network:\n  wifis:\n    wl0: {dhcp4: true}\n", 65, "error: network.wifis: Wi-Fi"),
        ("network:\n  version: 2\n  version: 1\n", 65, "error: duplicate key \"version\""),
    ] {
        fs::write(dir.join("net"), text).unwrap();
        let ran = footplate(&["check", dir.join("net").to_str().unwrap()]);
        assert!(ran.code == code && ran.out.contains(says), "{text}\n{}{}", ran.out, ran.err);
    }
    fs::write(dir.join("metadata"), inside).unwrap();
    fs::write(dir.join("user-data"), "#cloud-config\nruncmd: [id]\n").unwrap();
    let (metadata, data) = (dir.join("metadata"), dir.join("user-data"));
    let ran = footplate(&["check", "--metadata", metadata.to_str().unwrap(), data.to_str().unwrap()]);
    assert!(ran.code == 0 && ran.out.contains(apart), "{}{}", ran.out, ran.err);
}

#[test]
fn a_network_that_leads_nowhere_is_told() {
    let dir = fresh("nowhere");
    let network = dir.join("network.yaml");
    let card =
        |n: u8, rest: &str| format!("  n{n}: {{match: {{macaddress: '00:50:56:00:00:0{n}'}}, {rest}}}\n");
    let first = card(1, "addresses: [192.0.2.5/24]");
    let told = |ethernets: &str| {
        fs::write(&network, format!("version: 2\nethernets:\n{ethernets}")).unwrap();
        let ran = footplate(&["check", network.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out.lines().find(|line| line.contains("gateway")).unwrap_or_default().to_owned()
    };
    assert_eq!(
        told(&first),
        "warning: network.ethernets.n1: a static address, and no interface has a gateway: the node reaches its own subnet only (line 3, column 7)"
    );
    // Each of these leads out, or is no address of a subnet.
    for rest in [
        "dhcp4: true",
        "addresses: ['2001:db8::5/64']",
        "addresses: [198.51.100.5/24], gateway4: 198.51.100.1",
        "addresses: [198.51.100.5/24], routes: [{to: default, via: 198.51.100.1}]",
        "addresses: [198.51.100.5/24], routes: [{to: 0.0.0.0/0, scope: link}]",
    ] {
        assert_eq!(told(&format!("{first}{}", card(2, rest))), "", "{rest}");
    }
    assert_eq!(told(&card(1, "addresses: [192.0.2.5/32]")), "");
    assert_eq!(told(&card(1, "addresses: [169.254.1.5/16]")), "");
    assert_ne!(told(&card(1, "accept-ra: false, addresses: ['2001:db8::5/64']")), "");

    // That of a machine's metadata stands below the name of its file.
    let (data, metadata) = (dir.join("data"), dir.join("metadata"));
    fs::write(&data, "#cloud-config\nruncmd: [id]\n").unwrap();
    fs::write(&metadata, format!("instance-id: i-1\nnetwork:\n version: 2\n ethernets:\n{first}")).unwrap();
    let ran = footplate(&["check", "--metadata", metadata.to_str().unwrap(), data.to_str().unwrap()]);
    let expected = format!("{}\nwarning: network.ethernets.n1: a static address, and no", metadata.display());
    assert!(ran.code == 0 && ran.out.contains(&expected), "{}", ran.out);
}
