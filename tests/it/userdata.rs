// SPDX-License-Identifier: Apache-2.0
//! Golden folders: user-data in, a node's whole tree and problems out.
//!
//! `tests/userdata/golden/NAME/` holds `user-data`, perhaps `vendor-data`, what include lists name in `include/`, what
//! was found in `problems`, and the tree that is made of an empty root in `tree`. `BLESS=1 cargo test --test it userdata::`
//! writes the last two anew; read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use footplate::facade::apply::{self, Done};
use footplate::facade::decode::document::jinja::Variables;
use footplate::facade::decode::{self, Decoded, document};
use footplate::facade::io::root::Root;
use footplate::facade::model::facts::Os;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::Plan;
use footplate::facade::model::problem::Problem;
use footplate::facade::pipeline::redact;
use footplate::facade::plan;

use crate::common::scratch::{self, is_list};
use crate::sealed;

fn instance() -> Instance {
    let metadata = serde_json::json!({ "instance-id": "i-1", "local-hostname": "node-1.example.com" });
    let serde_json::Value::Object(metadata) = metadata else { unreachable!() };
    Instance {
        platform: "nocloud",
        instance_id: "i-1".to_owned(),
        hostname: Some("node-1.example.com".to_owned()),
        metadata,
        ..Instance::default()
    }
}

fn variables() -> Variables {
    Variables::of(&instance(), &Os { id: "flatcar".to_owned(), ..Os::default() })
}

fn decode(user: &[u8]) -> Decoded {
    decode::user_data(Some(user), None, &variables(), &mut document::no_fetch)
}

/// The problems as a folder records them.
fn problems(decoded: &Decoded) -> String {
    let mut said = String::new();
    for problem in &decoded.problems {
        let _ = writeln!(said, "{} {problem}", format!("{:?}", problem.severity).to_lowercase());
        if let Some(cure) = &problem.cure {
            let _ = writeln!(said, "    {cure}");
        }
    }
    said
}

/// A root with the accounts that any system has.
fn empty_root(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("footplate-userdata-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("etc")).unwrap();
    let files = [
        ("passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n"),
        ("group", "root:x:0:\nwheel:x:10:\ncore:x:500:\n"),
        ("shadow", "root:*:15000:0:::::\ncore:*:15000:0:99999:7:::\n"),
    ];
    for (name, text) in files {
        fs::write(dir.join("etc").join(name), text).unwrap();
        fs::set_permissions(dir.join("etc").join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    dir
}

/// A directory as text: each thing with its mode, and with its owner where that is not root.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, lines: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if is_list(root, &path) {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = format!("/{}", path.strip_prefix(root).unwrap().display());
            let owner = if (meta.uid(), meta.gid()) == (0, 0) {
                String::new()
            } else {
                format!(" {}:{}", meta.uid(), meta.gid())
            };
            let mode = meta.mode() & 0o7777;
            if meta.is_symlink() {
                lines.insert(name, format!("-> {}\n", fs::read_link(&path).unwrap().display()));
            } else if meta.is_dir() {
                if mode != 0o755 || !owner.is_empty() {
                    lines.insert(name, format!("directory {mode:04o}{owner}\n"));
                }
                walk(root, &path, lines);
            } else {
                let bytes = fs::read(&path).unwrap();
                let text = match String::from_utf8(bytes) {
                    Ok(text) if text.ends_with('\n') || text.is_empty() => text,
                    Ok(text) => text + "\n\\ no newline at the end\n",
                    Err(error) => format!("{} bytes\n", error.as_bytes().len()),
                };
                let text: String = text.lines().map(|l| format!("    {l}\n")).collect();
                lines.insert(name, format!("{mode:04o}{owner}\n{text}"));
            }
        }
    }
    let mut lines = BTreeMap::new();
    walk(dir, dir, &mut lines);
    lines
}

/// What stands in the way of a plan, a line each.
fn compared(plan: &Plan, root: &Root) -> anyhow::Result<()> {
    let lines =
        |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    apply::compare(plan, root).map(drop).map_err(|problems| anyhow::anyhow!(lines(&problems)))
}

/// Makes the tree of a config; a second time must change nothing.
fn apply(name: &str, decoded: &Decoded) -> String {
    let dir = empty_root(name);
    let (before, image) = (tree(&dir), sealed::copied(&dir));
    let root = Root::open(&dir, false).unwrap();
    let plan = plan::node(&decoded.config, &instance());
    let result = compared(&plan, &root).and_then(|()| apply::apply(&plan, &root, |_| {}));
    let made = match result {
        Ok(_) => {
            let again = apply::apply(&plan, &root, |_| {}).unwrap();
            for outcome in again {
                assert!(
                    matches!(outcome.done, Done::Unchanged | Done::LeftOut),
                    "{name}: a second time {} {}",
                    outcome.what,
                    outcome.detail
                );
            }
            let mut after = tree(&dir);
            sealed::nothing_is_left(name, &image, &dir);
            after.retain(|name, what| before.get(name) != Some(what));
            after.into_iter().map(|(name, what)| format!("{name} {what}")).collect()
        }
        Err(error) => format!("{error:#}\n"),
    };
    fs::remove_dir_all(&dir).unwrap();
    fs::remove_dir_all(&image).unwrap();
    made
}

fn outcome(dir: &Path) -> [(&'static str, String); 2] {
    let read = |name: &str| fs::read(dir.join(name)).ok();
    let mut fetch = |request: &footplate::facade::model::fetch::Request| {
        let url = std::str::from_utf8(request.url.expose()).unwrap();
        let path = url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches('/');
        let path = path.split_once('@').map_or(path, |(_, rest)| rest).split('?').next().unwrap();
        match read(&format!("include/{path}")) {
            Some(data) => Ok(Some(data)),
            None => Err("the file does not exist".into()),
        }
    };
    let (user, vendor) = (read("user-data"), read("vendor-data"));
    let decoded = decode::user_data(user.as_deref(), vendor.as_deref(), &variables(), &mut fetch);
    let tree = match decoded.failed() {
        true => String::new(),
        false => apply(&dir.file_name().unwrap().to_string_lossy(), &decoded),
    };
    [("findings", problems(&decoded)), ("tree", tree)]
}

#[test]
fn golden() {
    needs!(root("files have owners"));
    // Owners are part of the tree, and only root can set them.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/userdata/golden");
    let mut dirs: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    assert!(dirs.len() > 10, "the folders are not where they were");
    let mut wrong = String::new();
    for dir in dirs {
        for (name, is) in outcome(&dir) {
            let path = dir.join(name);
            let was = fs::read_to_string(&path).unwrap_or_default();
            if is == was {
                continue;
            }
            if std::env::var_os("BLESS").is_none() {
                let _ = writeln!(wrong, "{}\n--- recorded\n{was}--- now\n{is}", path.display());
            } else if is.is_empty() {
                fs::remove_file(&path).unwrap();
            } else {
                fs::write(&path, &is).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

// Envelopes, which a folder of text can't hold.

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn b64(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

const BAD: &str = "## template: jinja\n#cloud-config\nhostname: {{ local_hostname }}\nwrite_files:\n- path: /a\n  permissions: '9'\n";

#[test]
fn places_are_those_of_the_original_text_through_every_envelope() {
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n\n--b\nContent-Type: text/cloud-config\n\n{BAD}--b--\n"
    );
    let packed = |body: String, encoding: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: {encoding}\n\n{body}\n--b--\n"
        )
    };
    let archive: String = BAD.lines().map(|l| format!("    {l}\n")).collect();
    let archive =
        format!("#cloud-config-archive\n- '#!/bin/sh'\n- type: text/cloud-config\n  content: |\n{archive}");
    let cases: &[(&str, Vec<u8>, &str, usize, usize)] = &[
        ("plain", BAD.into(), "write_files[0].permissions", 6, 16),
        ("crlf", BAD.replace('\n', "\r\n").into(), "write_files[0].permissions", 6, 16),
        ("gzip", gz(BAD.as_bytes()), "write_files[0].permissions", 6, 16),
        ("base64 of gzip", b64(&gz(BAD.as_bytes())).into(), "write_files[0].permissions", 6, 16),
        ("mime", message.clone().into(), "part 2 (text/cloud-config): write_files[0].permissions", 17, 16),
        (
            "mime, crlf",
            message.replace('\n', "\r\n").into(),
            "part 2 (text/cloud-config): write_files[0].permissions",
            17,
            16,
        ),
        (
            "gzip of mime",
            gz(message.as_bytes()),
            "part 2 (text/cloud-config): write_files[0].permissions",
            17,
            16,
        ),
        // Of these the author's text is the part alone.
        (
            "mime of base64",
            packed(b64(BAD.as_bytes()), "base64").into(),
            "part 1 (text/cloud-config, decoded): write_files[0].permissions",
            6,
            16,
        ),
        (
            "mime of base64 of gzip",
            packed(b64(&gz(BAD.as_bytes())), "base64").into(),
            "part 1 (text/cloud-config, decoded): write_files[0].permissions",
            6,
            16,
        ),
        (
            "mime of quoted-printable",
            packed(BAD.replace("local_hostname", "local_=\nhostname"), "quoted-printable").into(),
            "part 1 (text/cloud-config): write_files[0].permissions",
            13,
            16,
        ),
        ("archive", archive.into(), "part 2: write_files[0].permissions", 10, 20),
    ];
    for (name, data, place, line, column) in cases {
        let decoded = decode(data);
        let said = problems(&decoded);
        let problem = decoded.problems.iter().find(|f| f.place.ends_with("permissions")).expect(&said);
        let pos = problem.pos.unwrap();
        assert_eq!((problem.place.as_str(), pos.line, pos.column), (*place, *line, *column), "{name}");
    }
}

#[test]
fn bombs_end_in_an_error() {
    let deep = (0..40).fold("#cloud-config\n".to_owned(), |inner, i| {
        format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n{inner}\n--b{i}--\n")
    });
    let many = (0..1000).fold("Content-Type: multipart/mixed; boundary=b\n\n".to_owned(), |text, _| {
        text + "--b\n\n#cloud-config\n{}\n"
    });
    let many_scripts = format!("#cloud-config-archive\n{}", "- '#!/bin/sh'\n".repeat(1000));
    let includes = format!("#include\n{}", "file:///x\n".repeat(1000));
    let grown = format!(
        "#cloud-config-archive\n- |\n  #cloud-config\n  runcmd: [[]]\n- |\n  #cloud-config-jsonp\n  [{}]\n",
        vec![r#"{"op":"copy","from":"/runcmd","path":"/runcmd/0/-"}"#; 40].join(", ")
    );
    let zeros = gz(&gz(&vec![0; 33 << 20]));
    let cases: &[(&str, &[u8], &str)] = &[
        ("depth", deep.as_bytes(), "more than 10 deep"),
        ("parts", many.as_bytes(), "more than 200 parts"),
        ("documents", many_scripts.as_bytes(), "more than 200 documents"),
        ("includes", includes.as_bytes(), "more than 50 includes"),
        ("patches", grown.as_bytes(), "more than 200000 YAML nodes"),
        ("gzip", &zeros, "unpacks to more than 32 MiB"),
    ];
    for (name, data, what) in cases {
        let decoded = decode(data);
        assert!(decoded.failed(), "{name}");
        let said = problems(&decoded);
        assert!(said.contains(what), "{name}: {said}");
        assert!(decoded.problems.len() < 400, "{name}: {} findings", decoded.problems.len());
    }
}

#[test]
fn an_include_list_ends_at_the_depth_that_is_allowed() {
    let mut asked = 0;
    let decoded = decode::user_data(Some(b"#include\nfile:///again\n"), None, &variables(), &mut |_| {
        asked += 1;
        Ok(Some(b"#include\nfile:///again\nfile:///again\n".to_vec()))
    });
    assert!(problems(&decoded).contains("more than 10 deep"), "{}", problems(&decoded));
    assert!(asked <= 50, "{asked} were asked for");
}

#[test]
fn nothing_secret_of_a_url_is_shown() {
    let url = "https://user:s3cret@example.com/a?X-Amz-Signature=s3cret#s3cret";
    let decoded = decode(format!("#include\n{url}\n").as_bytes());
    let said = problems(&decoded);
    assert!(said.contains("https://example.com/…") && !said.contains("s3cret"), "{said}");
}

/// What a capture keeps of bootstrap data makes the same plan, and holds nothing but names, paths and sizes.
#[test]
fn a_picture_has_the_same_outline() {
    let data = br##"#cloud-config-archive
- type: text/cloud-config
  content: |
    #cloud-config
    {hostname: a, groups: [g], users: [{name: u, uid: 2000, groups: [g], sudo: ALL=(ALL) ALL}], timezone: Etc/UTC,
     locale: C.UTF-8, ssh_pwauth: false, ntp: {servers: [t.example]}, swap: {size: 1M}, manage_etc_hosts: localhost,
     manage_resolv_conf: true, resolv_conf: {nameservers: [192.0.2.1]}, phone_home: {url: 'https://canary@h/canary'},
     power_state: {mode: reboot, message: canary}, final_message: canary, runcmd: [canary], bootcmd: [canary],
     disk_setup: {sdb: {table_type: gpt, layout: [[40, 82], 60]}, sdc: {layout: remove, overwrite: true}},
     fs_setup: [{device: sdb, partition: 2, filesystem: ext4, label: l}, {device: sdc, partition: none, filesystem: xfs}],
     mounts: [[LABEL=l, /srv/a, ext4], ['h:/s', /srv/b, cifs, 'ro,password=Publiccanary'], [sdb1, none, swap]]}
- {type: text/cloud-boothook, content: canary}
- {type: text/x-shellscript-per-boot, content: "#!/bin/sh\n# canary\n", filename: each}
- "#!/bin/sh\necho canary\n"
"##;
    let config = decode(data).config;
    let kept = vec![("guestinfo/guestinfo.userdata".to_owned(), data.to_vec())];
    let drawn =
        redact::redact(kept, &redact::Known { config: &config, instance: None, included: Vec::new() })
            .remove(0)
            .1;
    let text = String::from_utf8_lossy(&drawn).into_owned();
    assert!(!text.contains("canary"), "{text}");
    let again = decode(&drawn);
    assert!(!again.failed(), "{}", problems(&again));
    let outline = |config| -> Vec<String> {
        apply::outline(&plan::node(config, &instance())).into_iter().map(|(what, _)| what).collect()
    };
    let (was, is) = (outline(&config), outline(&again.config));
    assert!(was.len() > 40, "{was:?}");
    assert_eq!(was, is, "{text}");
}

/// A directory on a filesystem of its own that is soon full.
struct Small(PathBuf);

impl Small {
    fn new() -> Self {
        let dir = empty_root("small");
        let none: Option<&str> = None;
        nix::mount::mount(none, &dir, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=256k"))
            .unwrap();
        fs::create_dir(dir.join("etc")).unwrap();
        fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        fs::write(dir.join("etc/group"), "root:x:0:\n").unwrap();
        Self(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = nix::mount::umount(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_failures_of_a_step_are_told_and_the_bootstrap_does_not_start() {
    needs!(root("mounts and owners"));
    let small = Small::new();
    let big = "x".repeat(300 << 10);
    let text = format!(
        "#cloud-config\nusers: [{{name: u}}]\nwrite_files:\n- {{path: /one, content: {big}}}\n- {{path: /two, content: small}}\n\
         - {{path: /three, content: {big}}}\nruncmd: [kubeadm join]\n"
    );
    let (data, place) = (scratch::seed("full-disk", &text), small.0.to_str().unwrap());
    // In a process of its own: a child that another test starts keeps a file that is taken away, and its room, until it runs.
    let provision = || scratch::footplate(&["provision", "--seed", data.to_str().unwrap(), "--root", place]);
    let failed = provision();
    assert_eq!(failed.code, 74, "{}", failed.err);
    let told: Vec<&str> = failed.err.lines().filter(|line| line.contains("No space left")).collect();
    assert!(
        told.len() == 2 && told[0].contains("file /one: ") && told[1].contains("file /three: "),
        "{told:?}"
    );
    assert_eq!(fs::read_to_string(small.0.join("two")).unwrap(), "small");
    assert!(!small.0.join("run/footplate/bootstrap").exists(), "the bootstrap could start");
    // With room the same data goes through, and what stands already stays.
    let none: Option<&str> = None;
    let flags = nix::mount::MsFlags::MS_REMOUNT;
    nix::mount::mount(none, &small.0, Some("tmpfs"), flags, Some("size=4m")).unwrap();
    let done = provision();
    let made = |what: &str| done.err.lines().any(|line| line.starts_with(what));
    assert!(done.code == 0 && made("file /one: ") && made("file /three: "), "{}", done.err);
    assert!(!made("file /two: ") && !made("user u: "), "{}", done.err);
    assert!(small.0.join("run/footplate/bootstrap").exists());
}

/// Every user may read a unit and ask systemd for it: a mount's login is in a file that only root may read.
#[test]
fn a_mounts_login_is_not_in_its_unit() {
    needs!(root("files have owners"));
    let cases = [
        (
            "cifs, 'ro,username=ops,password=canary,domain=corp,vers=3.0'",
            "Options=ro,vers=3.0,credentials=/etc/footplate/mounts/srv-share.mount\n",
            "username=ops\npassword=canary\ndomain=corp\n",
        ),
        (
            "smb3, 'user=ops,pass=canary=1'",
            "Options=credentials=/etc/footplate/mounts/srv-share.mount\n",
            "username=ops\npassword=canary=1\n",
        ),
    ];
    for (mount, options, login) in cases {
        let seed = scratch::seed(
            "login",
            format!("#cloud-config\nmounts: [['//files/share', /srv/share, {mount}]]\n"),
        );
        let root = scratch::Scratch::new("login");
        scratch::provision(&seed, &root).ended(0, &[]);
        let unit = root.text("/etc/systemd/system/srv-share.mount");
        assert!(unit.contains(options) && !unit.contains("canary"), "{unit}");
        let path = "/etc/footplate/mounts/srv-share.mount";
        assert_eq!((root.text(path).as_str(), root.owned(path).0), (login, 0o600));
        scratch::plan(&seed, &root).ended(0, &[]);
    }
}

/// Where no program reads the secret from a file, the mount is refused.
#[test]
fn a_mounts_secret_that_its_unit_would_show_is_refused() {
    for mount in
        ["ceph, 'name=k8s,secret=canary,noatime'", "davfs, 'password=canary'", "cifs, 'password2=canary'"]
    {
        let data = format!("#cloud-config\nmounts: [['10.0.0.9:/v', /srv/v, {mount}]]\n");
        let decoded = decode(data.as_bytes());
        let told = problems(&decoded);
        assert!(decoded.failed() && told.contains("mounts[0][3]: an option holds a secret"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    assert!(
        !decode(
            b"#cloud-config\nmounts: [['10.0.0.9:/v', /srv/v, ceph, 'name=k8s,secretfile=/etc/ceph/k']]\n"
        )
        .failed()
    );
}

/// What usually holds secrets is root's alone where the data gives no mode, in both formats; a mode that is given counts.
#[test]
fn files_that_hold_secrets_are_for_root_alone() {
    let cases = [
        ("/etc/kubernetes/manifests/vip.yaml", 0o600),
        ("/etc/kubernetes/pki/ca.key", 0o600),
        ("/etc/containerd/certs.d/registry.example/hosts.toml", 0o600),
        ("/run/kubeadm/join.yaml", 0o600),
        ("/etc/rancher/rke2/config.yaml", 0o600),
        ("/etc/kubernetes/audit-policy.yaml", 0o644),
        ("/etc/kubernetes/manifests", 0o644),
        ("/etc/motd", 0o644),
    ];
    for (path, mode) in cases {
        for (text, want) in [
            (format!("#cloud-config\nwrite_files: [{{path: {path}}}]\n"), mode),
            (format!("#cloud-config\nwrite_files: [{{path: {path}, permissions: '0640'}}]\n"), 0o640),
            (
                format!(
                    r#"{{"ignition": {{"version": "3.3.0"}}, "storage": {{"files": [{{"path": "{path}"}}]}}}}"#
                ),
                mode,
            ),
            (
                format!(
                    r#"{{"ignition": {{"version": "3.3.0"}}, "storage": {{"files": [{{"path": "{path}", "mode": 420}}]}}}}"#
                ),
                0o644,
            ),
        ] {
            assert_eq!(decode(text.as_bytes()).config.files[0].mode, want, "{text}");
        }
    }
}
