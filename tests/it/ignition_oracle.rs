// SPDX-License-Identifier: Apache-2.0
//! Debian's Ignition 2.14 as oracle for 3.x: it accepts what is accepted here, and makes the same tree of it.
//!
//! It reads 3.0 to 3.3, and 3.4 under its experimental name; 3.5 and 2.x it does not know.

use crate::common::scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use footplate::facade::apply;
use footplate::facade::decode::{self, document::jinja::Variables};
use footplate::facade::io::root::Root;
use footplate::facade::model::instance::Instance;
use footplate::facade::plan;
use scratch::{Ran, Scratch, fresh};

const IGNITION: &str = "/usr/lib/dracut/modules.d/30ignition/ignition";

/// What is refused here and passes `ignition-validate`, and why. It looks at neither sources nor accounts: those fail on
/// the node, after its disks were written.
const STRICTER: &[(&str, &str)] = &[
    ("bad-bomb", "sources are not read"),
    ("bad-compression-cut-off", "sources are not read"),
    ("bad-compression-not-gzip", "sources are not read"),
    ("bad-filesystem-options", "options are not looked at"),
    ("bad-filesystem-uuid", "identifiers are not looked at"),
    ("bad-hash-not-hex", "only its length is looked at"),
    ("bad-hash-of-compressed", "sources are not read"),
    ("bad-hash-wrong", "sources are not read"),
    ("bad-header-for-data", "values of headers are not looked at"),
    ("bad-header-name", "names of headers are not looked at"),
    ("bad-header-twice", "names that differ in case are two"),
    ("bad-json-duplicate-key", "the last one wins"),
    ("bad-kernel-arguments", "the initramfs' own"),
    ("bad-link-hard-goes-up", "targets are not looked at"),
    ("bad-link-hard-relative", "targets are not looked at"),
    ("bad-link-hard-to-itself", "targets are not looked at"),
    ("bad-luks", "the initramfs' own"),
    ("bad-merge-conflict", "sources are not read"),
    ("bad-merge-of-other-major", "sources are not read"),
    ("bad-merge-too-deep", "sources are not read"),
    ("bad-mount-name", "units are not looked at"),
    ("bad-owner-id-negative", "numbers are not looked at"),
    ("bad-partition-number", "numbers are not looked at"),
    ("bad-path-is-a-unit", "came with 3.4"),
    ("bad-path-part-too-long", "lengths are not looked at"),
    ("bad-path-too-long", "lengths are not looked at"),
    ("bad-path-with-newline", "control characters are not looked at"),
    ("bad-raid", "the initramfs' own"),
    ("bad-source-arn", "no client here"),
    ("bad-source-gs", "no client here"),
    ("bad-source-s3-compressed", "told when it is fetched"),
    ("bad-source-tftp", "no client here"),
    ("bad-source-without-host", "told when it is fetched"),
    ("bad-user-fields", "accounts are not looked at"),
    ("bad-user-name", "accounts are not looked at"),
];

/// The golden folders, with their configs as Debian's Ignition takes them; none for versions that it does not know.
fn configs() -> Vec<(String, PathBuf, String)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    let mut configs = Vec::new();
    for dir in fs::read_dir(golden).unwrap().map(|e| e.unwrap().path()) {
        let text = fs::read_to_string(dir.join("in.ign")).unwrap();
        let known = ["3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0"];
        let config = text.replace("\"3.4.0\"", "\"3.4.0-experimental\"");
        if known.iter().any(|v| text.contains(&format!("\"version\": \"{v}\""))) {
            configs.push((dir.file_name().unwrap().to_string_lossy().into_owned(), dir, config));
        }
    }
    configs.sort();
    assert!(configs.len() > 60, "{}", configs.len());
    configs
}

fn accepted(text: &str) -> bool {
    !decode::user_data(Some(text.as_bytes()), None, &Variables::assumed(), &mut decode::document::no_fetch)
        .failed()
}

#[test]
fn ignition_accepts_what_is_accepted_here() {
    needs!(program("ignition-validate", "ignition"));
    let dir = fresh("validate");
    let mut stricter = Vec::new();
    for (name, folder, config) in configs() {
        let path = dir.join(&name);
        fs::write(&path, config).unwrap();
        let ran = Ran::of(Command::new("ignition-validate").arg(&path));
        match (accepted(&fs::read_to_string(folder.join("in.ign")).unwrap()), ran.code == 0) {
            (true, false) => panic!("{name}: accepted here, and Ignition says\n{}{}", ran.out, ran.err),
            (false, true) => stricter.push(name),
            _ => {}
        }
    }
    let listed: Vec<&str> = STRICTER.iter().map(|(name, _)| *name).collect();
    assert_eq!(stricter, listed, "the differences, and those that are known");
}

/// A `data:` URL that Ignition does not take ends the boot, and `check` says so before.
#[test]
fn data_urls_are_taken_as_ignition_takes_them() {
    needs!(program("ignition-validate", "ignition"));
    let path = fresh("data-urls").join("config");
    let mut urls: Vec<String> = Vec::new();
    for c in (1..=0x7f_u8).map(char::from).chain(['\u{e9}', '\u{20ac}']) {
        urls.extend([format!("data:,a{c}b"), format!("data:;base64,YWI{c}=")]);
    }
    for head in [
        "",
        "text/plain",
        "text/",
        "/plain",
        "text",
        "x-y/z",
        "X-y/z",
        "x/y",
        "Text/plain",
        "model/a",
        "application/a+b.c",
        ";charset=utf-8",
        "text/plain;a=b;c=d",
        "text/plain; a=b",
        "text/plain;a=b ",
        "text/plain;a",
        "text/plain;a=",
        ";",
        "text/plain;a=\"b c\"",
        "text/plain;a=b=c",
        "text/plain;a/b=c",
        "text/plain;a=(b)",
        "text/a/b",
        "a=b",
    ] {
        urls.extend([
            format!("data:{head},YQ=="),
            format!("data:{head};base64,YQ=="),
            format!("data:{head};BASE64,YQ=="),
        ]);
    }
    urls.extend(
        [
            "data:",
            "DATA:,a",
            "data:,a%2",
            "data:,a%zz",
            "data:,%ff",
            "data:;base64,YQ",
            "data:;base64,Y%51==",
            "data:;base64;a=b,YQ==",
        ]
        .map(str::to_owned),
    );
    let mut differing = Vec::new();
    for url in &urls {
        let config = serde_json::json!({
            "ignition": {"version": "3.1.0"}, "storage": {"files": [{"path": "/a", "contents": {"source": url}}]},
        })
        .to_string();
        fs::write(&path, &config).unwrap();
        let theirs = Ran::of(Command::new("ignition-validate").arg(&path)).code == 0;
        if accepted(&config) != theirs {
            differing.push(format!("{url:?}: Ignition takes it: {theirs}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// URLs whose parts are put together in every way: Ignition refuses those that Go's parser does not read.
#[test]
fn urls_are_refused_where_ignition_refuses_them() {
    needs!(program("ignition-validate", "ignition"));
    let path = fresh("urls").join("config");
    let mut urls: Vec<String> = Vec::new();
    let authorities = [
        "x",
        "x:80",
        "x:",
        "x:a",
        "x:-1",
        "1:2:3",
        "[::1]",
        "[::1",
        "[::1]:80",
        "[::1]a",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "x%41",
        "x%c3%bc",
        "x%c3",
        "x%c",
        "x<y",
        "x^y",
        "x|y",
        "x\"y",
        "x'(y)",
        "x\\y",
        "x{y",
        "x_y",
        "\u{fc}",
        "u:p@x",
        "u%zz@x",
        "u%20p@x",
        "u@v@x",
        "u|v@x",
        "u\u{fc}@x",
        "u:[@x",
        "@x",
    ];
    for authority in authorities {
        urls.extend([
            format!("http://{authority}/a"),
            format!("https://{authority}"),
            format!("s3://{authority}/k?a"),
        ]);
    }
    for rest in
        ["%zz", "%2", "%", "%41", "?%zz", "#%zz", "#%41", "a%#", "{}^|`", "a?b#c?d", "a#b#%c", "\u{fc}"]
    {
        urls.push(format!("http://x.example/{rest}"));
    }
    for query in [
        "versionId=",
        "versionId=1",
        "versionId",
        "VersionId=",
        "a=1&versionId=",
        "versionId=&versionId=1",
        "versionId=1&versionId=",
        "version%49d=",
        "versionId=%",
        "%=1",
        "",
    ] {
        urls.extend([format!("s3://bucket/key?{query}"), format!("https://x.example/key?{query}")]);
    }
    let mut differing = Vec::new();
    let mut ask = |what: &str, config: serde_json::Value| {
        fs::write(&path, config.to_string()).unwrap();
        let theirs = Ran::of(Command::new("ignition-validate").arg(&path)).code == 0;
        if accepted(&config.to_string()) != theirs {
            differing.push(format!("{what}: Ignition takes it: {theirs}"));
        }
    };
    for url in &urls {
        let files = serde_json::json!({"files": [{"path": "/a", "contents": {"source": url}}]});
        ask(url, serde_json::json!({"ignition": {"version": "3.1.0"}, "storage": files}));
    }
    for proxy in
        ["", "http://p", "HTTPS://p:3128", "ftp://p", "p:3128", "http://p/%zz", "http://u:p@p", "http://p:x"]
    {
        let ignition = serde_json::json!({"version": "3.1.0", "proxy": {"httpProxy": proxy}});
        ask(proxy, serde_json::json!({"ignition": ignition}));
    }
    for url in ["data:,x", "http://x.example", "s3://b/k", ""] {
        for headers in [
            serde_json::json!([]),
            serde_json::json!([{"name": "X", "value": "y"}]),
            serde_json::json!([{"name": "X"}]),
            serde_json::json!([{"name": "", "value": "y"}]),
            serde_json::json!([{"name": "X", "value": ""}]),
        ] {
            let what = format!("{url} {headers}");
            let contents = serde_json::json!({"source": url, "httpHeaders": headers});
            let files = serde_json::json!({"files": [{"path": "/a", "contents": contents}]});
            ask(&what, serde_json::json!({"ignition": {"version": "3.1.0"}, "storage": files}));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What the boot tests hand to Ignition, so that none dies of its own data.
#[test]
fn ignition_takes_the_configs_of_the_boot_tests() {
    needs!(program("ignition-validate", "ignition"));
    let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/qemu-tests/scenarios");
    let found = Ran::of(Command::new("grep").args(["-rlE", r#""version": ?"3\.[0-3]\.0""#, scenarios])).out;
    assert!(found.lines().count() > 2, "{found}");
    for path in found.lines() {
        let ran = Ran::of(Command::new("ignition-validate").arg(path));
        assert_eq!(ran.code, 0, "{path}\n{}{}", ran.out, ran.err);
    }
}

/// Puts accounts and what the folder brings into a root.
fn furnish(root: &Scratch, folder: &Path) {
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:Core:/home/core:/bin/bash\n");
    root.put("/etc/group", "root:x:0:\nwheel:x:10:\ncore:x:500:\n");
    let before = folder.join("before/.");
    if folder.join("before").is_dir() {
        Ran::of(Command::new("cp").arg("-a").arg(before).arg(&root.dir)).ended(0, &[]);
    }
}

/// A root's lines without what is each one's own: Ignition leaves its result and has systemd make the links of enabled
/// units from its preset, whose lines it writes in any order; its build asks for SELinux's settings.
fn comparable(root: &Scratch) -> String {
    // It gives a file its bits before its owner, and chown(2) takes the set-id bits away again: 3.4 wants them.
    let tree = root.tree().replace("file 4755", "file 0755");
    let own = ["/etc/.ignition-result.json", "/etc/selinux", "/etc/selinux/config"];
    let mut skip = false;
    let mut preset: Vec<String> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for line in tree.lines() {
        if let Some(path) = line.split_whitespace().nth(3).filter(|_| !line.starts_with(' ')) {
            let links = [".wants", ".requires"].iter().any(|e| path.contains(e));
            skip = own.contains(&path) || links;
        }
        if skip {
            continue;
        }
        if line.starts_with("    |enable ") || line.starts_with("    |disable ") {
            preset.push(line.to_owned());
        } else {
            lines.push(line.to_owned());
        }
    }
    preset.sort();
    lines.extend(preset);
    lines.join("\n")
}

/// Has Debian's Ignition apply a config to a root; an error is what it says.
fn try_ignition(name: &str, config: &str, root: &Scratch) -> Result<(), String> {
    let work = fresh(&format!("{name}-work"));
    fs::write(work.join("config"), config).unwrap();
    for stage in ["fetch", "files"] {
        let mut ignition = Command::new(IGNITION);
        ignition.env("IGNITION_CONFIG_FILE", work.join("config"));
        ignition.args(["--root", root.arg(), "--platform", "file", "--stage", stage, "--log-to-stdout"]);
        for (option, file) in
            [("--config-cache", "cache"), ("--state-file", "state"), ("--neednet", "neednet")]
        {
            ignition.arg(option).arg(work.join(file));
        }
        let ran = Ran::of(&mut ignition);
        // Debian's build ends with labels of SELinux, which need a policy: all else is done by then.
        let labels = ran.out.contains("Ignition failed: failed to handle relabeling");
        if ran.code != 0 && !labels {
            return Err(format!("{stage}\n{}{}", ran.out, ran.err));
        }
    }
    Ok(())
}

fn run_ignition(name: &str, config: &str, root: &Scratch) {
    try_ignition(name, config, root).unwrap_or_else(|e| panic!("{name}: {e}"));
}

/// Applies it as footplate does; an error is why it was refused before anything was made.
fn try_ours(config: &[u8], root: &Scratch) -> Result<(), String> {
    let decoded =
        decode::user_data(Some(config), None, &Variables::assumed(), &mut decode::document::no_fetch);
    if decoded.failed() {
        return Err(format!("{:?}", decoded.problems));
    }
    let instance = Instance { instance_id: "i-1".to_owned(), ..Instance::default() };
    let plan = plan::node(&decoded.config, &instance);
    let root = Root::open(&root.dir, false).unwrap();
    apply::compare(&plan, &root).map_err(|e| format!("{e:?}"))?;
    apply::apply(&plan, &root, |_| {}).unwrap();
    // A second run finds all as it left it.
    for outcome in apply::apply(&plan, &root, |_| {}).unwrap() {
        assert_eq!(outcome.done, apply::Done::Unchanged, "{}", outcome.what);
    }
    Ok(())
}

fn apply_ours(config: &[u8], root: &Scratch) {
    try_ours(config, root).unwrap();
}

/// What may be at a path, each with an owner that is not root where it can have one.
const BEFORE: &[(&str, &str)] = &[
    ("nothing", "true"),
    ("file", "echo old > t/n && chmod 600 t/n && chown 500:500 t/n"),
    ("directory", "mkdir -p t/n/in && touch t/n/in/f && chmod 700 t/n && chown 500:500 t/n"),
    ("empty-directory", "mkdir t/n && chown 500:500 t/n"),
    ("link-to-file", "echo far > t/far && ln -s /t/far t/n && chown -h 500:500 t/n"),
    ("link-to-directory", "mkdir t/far && ln -s far t/n"),
    ("link-to-nothing", "ln -s /nowhere t/n"),
    ("same-link", "ln -s /t/target t/n && chown -h 500:500 t/n"),
    ("same-hard-link", "ln t/target t/n"),
    ("below-a-link", "mv t real && ln -s real t"),
];

/// Entries of files, directories and links, without their path.
const ENTRIES: &[(&str, &str)] = &[
    ("directories", r#"{}"#),
    ("directories", r#"{"mode": 448}"#),
    ("directories", r#"{"overwrite": false, "user": {"id": 7}}"#),
    ("directories", r#"{"overwrite": true, "mode": 493}"#),
    ("directories", r#"{"overwrite": true, "group": {"name": "core"}}"#),
    ("files", r#"{}"#),
    ("files", r#"{"mode": 416}"#),
    ("files", r#"{"group": {"id": 7}}"#),
    ("files", r#"{"contents": {"source": "data:,new"}}"#),
    ("files", r#"{"overwrite": false, "contents": {"source": "data:,new"}}"#),
    ("files", r#"{"overwrite": true, "contents": {"source": "data:,new"}}"#),
    (
        "files",
        r#"{"overwrite": true, "contents": {"source": "data:,new"}, "mode": 384, "user": {"name": "core"}}"#,
    ),
    ("files", r#"{"append": [{"source": "data:,more"}]}"#),
    ("files", r#"{"append": [{"source": "data:,more"}], "mode": 436, "user": {"name": "core"}}"#),
    ("files", r#"{"contents": {"source": "data:,new"}, "append": [{"source": "data:,more"}]}"#),
    (
        "files",
        r#"{"overwrite": true, "contents": {"source": "data:,"}, "append": [{"source": "data:,more"}]}"#,
    ),
    ("links", r#"{"target": "/t/target"}"#),
    ("links", r#"{"target": "/t/target", "user": {"name": "core"}}"#),
    ("links", r#"{"target": "/t/target", "overwrite": true}"#),
    ("links", r#"{"target": "/t/target", "hard": true}"#),
    ("links", r#"{"target": "/t/target", "hard": true, "overwrite": true}"#),
    ("links", r#"{"target": "/t", "hard": true, "overwrite": true}"#),
    ("links", r#"{"target": "/t/nothing", "hard": true}"#),
];

/// Every entry over everything that may be there: what Ignition refuses is refused, before anything is made, and what it makes is
/// made.
#[test]
fn what_is_there_becomes_what_ignition_makes_of_it() {
    needs!(root("files have owners"));
    needs!(program("ignition-validate", "ignition"));
    let mut differing = Vec::new();
    for (before, shell) in BEFORE {
        for (list, entry) in ENTRIES {
            let mut entry: serde_json::Value = serde_json::from_str(entry).unwrap();
            entry["path"] = "/t/n".into();
            let what = format!("{before}: {list} {entry}");
            let config = serde_json::json!({"ignition": {"version": "3.3.0"}, "storage": {*list: [entry]}})
                .to_string();
            let make = |name: &str| {
                let root = Scratch::new(&format!("there-{name}"));
                furnish(&root, Path::new("/nonexistent"));
                root.put("/t/target", "target\n");
                Ran::of(Command::new("sh").args(["-ec", shell]).current_dir(&root.dir)).ended(0, &[]);
                root
            };
            let (theirs, ours) = (make("ignition"), make("ours"));
            theirs.put("/etc/selinux/config", "SELINUX=disabled\n");
            let untouched = ours.tree();
            match (try_ignition("there", &config, &theirs), try_ours(config.as_bytes(), &ours)) {
                // Files are whole or absent here, so a file that changes is a new one, and its other names keep the old one.
                (Ok(()), Ok(())) if *before == "same-hard-link" && *list == "files" => {}
                // The link at `/t` is seen on the machine only.
                (Ok(()), Err(_)) if *before == "below-a-link" && what.contains("\"target\":\"/t\"") => {}
                (Ok(()), Ok(())) => {
                    // What is in a directory of a running system is not Ignition's to remove.
                    if what.starts_with("directory: directories") && what.contains("\"overwrite\":true") {
                        assert!(ours.path("/t/n/in/f").exists() && !theirs.path("/t/n/in/f").exists());
                        continue;
                    }
                    let difference = scratch::difference(&comparable(&theirs), &comparable(&ours));
                    if !difference.is_empty() {
                        differing.push(format!("{what}:\n{difference}"));
                    }
                }
                (Err(_), Err(_)) => assert_eq!(ours.tree(), untouched, "{what}"),
                (Ok(()), Err(why)) => differing.push(format!("{what}: Ignition takes it, and here: {why}")),
                (Err(why), Ok(())) => differing.push(format!("{what}: taken here, and Ignition says {why}")),
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Ignition makes what a link on the way names; here that is an error, before anything is made.
#[test]
fn nothing_is_made_below_a_link_to_nothing() {
    for (list, entry) in [
        ("directories", serde_json::json!({"path": "/t/n"})),
        ("files", serde_json::json!({"path": "/t/n"})),
        ("links", serde_json::json!({"path": "/t/n", "target": "/x"})),
    ] {
        let root = Scratch::new("link-to-nothing");
        furnish(&root, Path::new("/nonexistent"));
        std::os::unix::fs::symlink("/nowhere", root.path("/t")).unwrap();
        let untouched = root.tree();
        let config = serde_json::json!({"ignition": {"version": "3.3.0"}, "storage": {list: [entry]}});
        let why = try_ours(config.to_string().as_bytes(), &root).unwrap_err();
        assert!(why.contains(&format!("storage.{list}[0]")) && why.contains("/t: a symbolic link"), "{why}");
        assert_eq!(root.tree(), untouched, "{list}");
    }
}

#[test]
fn ignition_makes_the_same_tree() {
    needs!(root("files have owners"));
    needs!(program("ignition-validate", "ignition"));
    // Accounts are made by programs of the root itself, which a scratch root has none of.
    let cases = ["v3-files", "v3-units", "v3-replace", "mode-in-decimal", "unknown-keys"];
    for (name, folder, config) in configs().into_iter().filter(|(name, _, _)| cases.contains(&name.as_str()))
    {
        let (theirs, ours) =
            (Scratch::new(&format!("{name}-ignition")), Scratch::new(&format!("{name}-ours")));
        furnish(&theirs, &folder);
        furnish(&ours, &folder);
        theirs.put("/etc/selinux/config", "SELINUX=disabled\n");
        // A file with the very content is what an earlier run left; Ignition, which runs once, refuses it.
        let _ = fs::remove_file(theirs.path("/etc/same"));
        run_ignition(&name, &config, &theirs);
        apply_ours(&fs::read(folder.join("in.ign")).unwrap(), &ours);
        let difference = scratch::difference(&comparable(&theirs), &comparable(&ours));
        assert_eq!(difference, "", "{name}: Ignition's tree and ours");
    }
}

/// Accounts by their names: number where the config gives one, comment, home, shell, primary group, groups, hash, keys.
fn accounts(root: &Scratch) -> String {
    let table = |path: &str| -> Vec<Vec<String>> {
        root.text(path).lines().map(|l| l.split(':').map(str::to_owned).collect()).collect()
    };
    let (groups, shadow) = (table("/etc/group"), table("/etc/shadow"));
    let mut lines = Vec::new();
    for user in table("/etc/passwd") {
        let primary = groups.iter().find(|g| g[2] == user[3]).map_or("-", |g| g[0].as_str());
        let in_them = groups.iter().filter(|g| g[3].split(',').any(|m| m == user[0]));
        let mut in_them: Vec<&str> = in_them.map(|g| g[0].as_str()).collect();
        in_them.sort_unstable();
        let hash = shadow.iter().find(|s| s[0] == user[0]).map_or("-", |s| s[1].as_str());
        let ran = Ran::of(
            Command::new("find")
                .arg(root.path(&format!("{}/.ssh", user[5])))
                .args(["-type", "f", "-printf", "%m "])
                .args(["-exec", "cat", "{}", "+"]),
        );
        let home =
            Ran::of(Command::new("find").arg(root.path(&user[5])).args(["-maxdepth", "0", "-printf", "%m"]));
        let number = if user[0] == "anna" { user[2].as_str() } else { "-" };
        // An account that no password opens is `*` to one and `!` to the other.
        let hash = if hash.starts_with(['*', '!']) { "none" } else { hash };
        lines.push(format!(
            "{} {number} {:?} {} {} {} {primary} {in_them:?} {hash}\n{}",
            user[0],
            user[4],
            user[5],
            home.out,
            user[6],
            ran.out.trim()
        ));
    }
    let fixed = groups.iter().filter(|g| g[0] == "team").map(|g| format!("group {} {}", g[0], g[2]));
    lines.extend(fixed);
    lines.extend(groups.iter().map(|g| format!("group {}", g[0])));
    lines.sort();
    lines.join("\n")
}

/// Debian's shadow-utils make Ignition's accounts in a root of which nothing runs.
#[test]
fn ignition_makes_the_same_accounts() {
    needs!(root("files have owners"));
    needs!(program("ignition-validate", "ignition"));
    let config = r#"{"ignition": {"version": "3.3.0"}, "passwd": {
        "groups": [{"name": "team", "gid": 2000}, {"name": "daemons", "system": true}, {"name": "old", "shouldExist": false}],
        "users": [
          {"name": "core", "groups": ["wheel"], "sshAuthorizedKeys": ["ssh-ed25519 AAAA one", "ssh-ed25519 AAAA two"]},
          {"name": "anna", "uid": 1500, "gecos": "Anna", "groups": ["team", "wheel"], "shell": "/bin/sh",
           "passwordHash": "$6$x$y", "homeDir": "/home/a", "sshAuthorizedKeys": ["ssh-ed25519 BBBB anna"]},
          {"name": "svc", "system": true, "noCreateHome": true, "shell": "/sbin/nologin"},
          {"name": "daemonic", "system": true, "homeDir": "/srv/deep/d", "sshAuthorizedKeys": ["ssh-ed25519 CCCC d"]},
          {"name": "member", "primaryGroup": "team", "passwordHash": "$6$z"},
          {"name": "shared", "noUserGroup": true},
          {"name": "gone", "shouldExist": false}]}}"#;
    let (theirs, ours) = (Scratch::new("accounts-ignition"), Scratch::new("accounts-ours"));
    for root in [&theirs, &ours] {
        root.put(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:Core:/home/core:/bin/bash\ngone:x:501:501::/home/gone:/bin/sh\n",
        );
        root.put(
            "/etc/group",
            "root:x:0:\nwheel:x:10:\nusers:x:100:\ncore:x:500:\ngone:x:501:\nold:x:502:\n",
        );
        root.put("/etc/shadow", "root:*:::::::\ncore:*:::::::\ngone:*:::::::\n");
        root.put("/etc/login.defs", "USERGROUPS_ENAB yes\nUID_MIN 1000\nGID_MIN 1000\nHOME_MODE 0700\n");
        fs::create_dir_all(root.path("/home/core")).unwrap();
        std::os::unix::fs::chown(root.path("/home/core"), Some(500), Some(500)).unwrap();
    }
    theirs.put("/etc/selinux/config", "SELINUX=disabled\n");
    run_ignition("accounts", config, &theirs);
    apply_ours(config.as_bytes(), &ours);
    let difference = scratch::difference(&accounts(&theirs), &accounts(&ours));
    assert_eq!(difference, "", "Ignition's accounts and ours");
}

/// Ignition stops at a group that is nowhere, after it made the disks; here it is made, as it is for cloud-config.
#[test]
fn a_missing_group_is_made() {
    needs!(root("files have owners"));
    needs!(program("ignition-validate", "ignition"));
    for (field, groups) in
        [("primaryGroup", serde_json::json!("crew")), ("groups", serde_json::json!(["crew"]))]
    {
        let config = serde_json::json!({"ignition": {"version": "3.3.0"}, "passwd": {"users": [{"name": "anna", field: groups}]}})
            .to_string();
        let make = |name: &str| {
            let root = Scratch::new(&format!("group-{field}-{name}"));
            furnish(&root, Path::new("/nonexistent"));
            root
        };
        let (theirs, ours) = (make("ignition"), make("ours"));
        theirs.put("/etc/selinux/config", "SELINUX=disabled\n");
        let said = try_ignition(&format!("group-{field}"), &config, &theirs).unwrap_err();
        assert!(said.contains("group 'crew' does not exist"), "{said}");
        apply_ours(config.as_bytes(), &ours);
        assert!(ours.text("/etc/group").contains("\ncrew:x:"), "{field}");
    }
}
