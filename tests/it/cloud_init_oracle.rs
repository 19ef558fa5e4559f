// SPDX-License-Identifier: Apache-2.0
//! Debian's cloud-init as oracle: its own stage reads each case's data, its own module writes the files, and the merged
//! cloud-config, the programs and the tree are those that are made here.
//!
//! The cases are the golden folders, the tables below, and families that are generated, the same ones in every run.
//! Where the two differ on purpose a row of [`DIFFERENCES`] says why; a row that never applies fails the test.

use crate::common::oracle::settle;
use crate::common::{cases, debian, scratch};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use cases::Case;
use footplate::facade::apply;
use footplate::facade::decode::document::{self, Source};
use footplate::facade::decode::{self, document::jinja::Variables};
use footplate::facade::io::root::Root;
use footplate::facade::model::config::NodeConfig;
use footplate::facade::model::facts::Os;
use footplate::facade::model::fetch::Request;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::{Item, Plan};
use footplate::facade::model::problem::{Problem, any_error};
use footplate::facade::plan;
use scratch::{Ran, Scratch, fresh};
use serde_json::Value;

/// cloud-init and what its modules import.
pub const PACKAGES: &[&str] = &[
    "cloud-init",
    "python3-attr",
    "python3-certifi",
    "python3-chardet",
    "python3-charset-normalizer",
    "python3-configobj",
    "python3-idna",
    "python3-jinja2",
    "python3-json-pointer",
    "python3-jsonpatch",
    "python3-jsonschema",
    "python3-markupsafe",
    "python3-netifaces",
    "python3-oauthlib",
    "python3-pyrsistent",
    "python3-requests",
    "python3-serial",
    "python3-six",
    "python3-urllib3",
    "python3-yaml",
];

/// What differs on purpose: the case or the beginning of its name, a piece of what the comparison says, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "golden-bad-",
        "refused",
        "errors in the data stop the node here; cloud-init leaves out what it can't read and boots on",
    ),
    (
        "golden-as-a-user-means-it",
        "|52:54:00:12:34:56",
        "a scalar is its text, as its author wrote it; cloud-init stops at the first number",
    ),
    ("golden-merge-how", "config", "a message without MIME-Version is one: its other headers leave no doubt"),
    ("golden-vendor-below-user", "config", "the same"),
    ("golden-for-every-boot", "config", "the same"),
    (
        "golden-groups-and-units",
        "does not exist",
        "its accounts are made before its files; here files are all that is made",
    ),
    ("golden-source-of-files", "source", "Debian's version knows no `source`"),
    ("files-permissions-decimal", "0644", "an unquoted 644 is taken as octal, as its author meant it"),
    ("files-permissions-bad", "is not octal", "no guess at who may read a file"),
    ("files-permissions-words", "is not octal", "the same"),
    (
        "files-permissions-set-id",
        "4755",
        "cloud-init gives the bits, then the owner, which takes set-id bits away; later versions give them again",
    ),
    ("files-owner-unknown", "does not exist", "cloud-init stops in the middle of its list"),
    ("files-owner-of-parents", "500:500", "later versions give new directories to the owner too"),
    (
        "files-encoding-",
        "refused",
        "what can't be decoded is an error; cloud-init writes it as it is, or stops",
    ),
    ("files-gzip-cut-off", "cut off", "the same"),
    ("files-path-number", "/12", "a path that YAML takes as a number is a path; cloud-init stops"),
    ("files-path-goes-up", "goes up", "no path that has to be worked out"),
    ("files-path-missing", "missing", "an entry without a path is a mistake"),
    (
        "files-path-is-directory",
        "is a directory",
        "told before anything is written; cloud-init stops in the middle of its list",
    ),
    ("files-content-null", "file 0644 0:0 /a", "no content is an empty file; cloud-init stops"),
    ("files-content-number", "|0644", "a scalar is its text, as its author wrote it; cloud-init stops"),
    ("files-content-bool", "|yes", "the same"),
    ("files-content-mapping", "must be a string", "cloud-init stops in the middle of its list"),
    ("files-item-null", "must be a mapping", "the same"),
    (
        "merge-",
        "merge_how",
        "a way to merge that is none is an error; cloud-init drops the part, and what it doesn't know of an option",
    ),
    ("merge-append-string", "must be joined", "Python's list takes a string's letters"),
    ("merge-broken-part", "not YAML", "cloud-init drops the part"),
    ("merge-list-part", "must be a mapping", "cloud-init drops the part"),
    ("merge-duplicate-key", "duplicate key", "the last one wins there, in silence"),
    ("generated-merge-", "must be joined", "cloud-init drops the part, or takes a string's letters as items"),
    ("mime-not-utf8", "not UTF-8", "what is no text can't be what was meant"),
    (
        "mime-eight-bit",
        "config",
        "cloud-init reads what is not ASCII and not encoded as Latin-1, and then as UTF-8",
    ),
    ("mime-encoding-unknown", "not known", "cloud-init takes the part as it is"),
    ("mime-type-octet-stream", "config", "a type that says nothing: the text says it"),
    ("mime-type-config-is-template", "config", "a template may be declared as what comes out of it"),
    ("mime-per-instance", "programs", "an instance is a machine: it is a script, and runs among them"),
    ("mime-no-version", "config", "a message without MIME-Version is one"),
    ("mime-blank-lines-above", "config", "blank lines above a message take nothing away from it"),
    ("mime-no-boundary", "no boundary", "cloud-init takes the parts as one that it does not know"),
    ("mime-script-blanks", "programs", "`#!` has to come first for the kernel"),
    (
        "mime-archive-within",
        "programs",
        "a block's last line ends, also where the text does; PyYAML's does not",
    ),
    ("whole-gzip-twice", "config", "all envelopes are opened"),
    ("whole-base64", "config", "the same"),
    ("whole-mark", "config", "a byte order mark is no text"),
    ("whole-header-blank", "is not known", "cloud-init warns and boots on"),
    ("whole-template-no-blank", "is not known", "the same"),
    ("whole-template-blanks", "is not known", "the same"),
    ("whole-template-of-nothing", "is not known", "the same"),
    ("whole-nothing-known", "is not known", "the same"),
    ("include-nothing-known", "is not known", "the same"),
    ("whole-template-of-archive", "config", "a template may make any format"),
    ("whole-template-of-message", "config", "the same"),
    ("whole-template-of-hook", "programs", "the same"),
    ("include-template-of-list", "config", "the same"),
    ("whole-empty", "is empty", "a node without a bootstrap would wait for ever"),
    ("archive-empty", "is empty", "the same"),
    ("whole-part-handler", "part-handler", "no Python"),
    ("archive-odd-item", "refused", "cloud-init passes over what it can't use"),
    ("archive-mapping", "is a list", "the same"),
    ("archive-broken", "not YAML", "the same"),
    ("archive-within-archive", "config", "what is in a part is opened wherever it came from"),
    ("gzip-part-text-plain", "programs", "gzip is told by its bytes"),
    ("patch-fails", "does not exist", "cloud-init drops the patch"),
    ("include-missing", "refused by both", "both stop"),
    (
        "jinja-undefined",
        "has no value",
        "cloud-init writes CI_MISSING_JINJA_VAR, or goes through a loop never; here a name without a value is an error, unless `if`, `default` or `is defined` asks",
    ),
    ("jinja-minus", "has no value", "cloud-init drops the whole document"),
    ("jinja-shell-length", "syntax", "cloud-init drops the whole document"),
    ("jinja-go-template", "placeholder of a Go template", "the same"),
    ("jinja-go-percent", "syntax", "the same"),
    ("jinja-unknown-filter", "is unknown", "the same"),
];

fn instance() -> Instance {
    let metadata = serde_json::json!({ "instance-id": "i-1", "local-hostname": "node-1.example.com" });
    Instance {
        platform: "none",
        instance_id: "i-1".to_owned(),
        hostname: Some("node-1.example.com".to_owned()),
        metadata: metadata.as_object().cloned().unwrap(),
        ..Instance::default()
    }
}

/// A root with the accounts that owners are looked up in, and with what files may meet.
fn root(name: &str) -> Scratch {
    let root = Scratch::new(name);
    root.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:Core:/home/core:/bin/bash\n");
    root.put("/etc/group", "root:x:0:\nwheel:x:10:\ncore:x:500:\n");
    root.put("/old/file", "old\n").put("/dir/there", "");
    root.put("/home/core/file", "core's\n");
    std::os::unix::fs::chown(root.path("/home/core/file"), Some(500), Some(500)).unwrap();
    std::os::unix::fs::symlink("file", root.path("/old/link")).unwrap();
    std::os::unix::fs::symlink("/old", root.path("/link")).unwrap();
    root
}

/// What one of the two made of a case.
#[derive(Default)]
struct Made {
    /// Why nothing was made.
    refused: String,
    config: Value,
    /// Programs by kind and name.
    programs: BTreeMap<String, String>,
    tree: String,
}

/// What stands in the way of a plan, a line each.
fn compared(plan: &Plan, root: &Root) -> anyhow::Result<()> {
    let lines =
        |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    apply::compare(plan, root).map(drop).map_err(|problems| anyhow::anyhow!(lines(&problems)))
}

impl Made {
    fn theirs(dir: &Path, root: &Scratch) -> Self {
        let said: Value = serde_json::from_slice(&fs::read(dir.join("theirs.json")).unwrap()).unwrap();
        let mut programs = BTreeMap::new();
        for kind in ["scripts", "vendor", "boothooks", "boot"] {
            for (name, text) in said[kind].as_object().into_iter().flatten() {
                programs.insert(format!("{kind}/{name}"), text.as_str().unwrap().to_owned());
            }
        }
        // What it warns of is no error to it: it goes on without that part or with what it has.
        let refused = said["stopped"].as_str().unwrap_or_default().to_owned();
        Self { refused, config: said["config"].clone(), programs, tree: root.tree() }
    }

    fn ours(case: &Case, root: &Scratch) -> Self {
        let mut fetch = |request: &Request| {
            let url = std::str::from_utf8(request.url.expose()).unwrap();
            let path = url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches('/');
            case.include.get(path).map(|data| Some(data.clone())).ok_or("the file does not exist".into())
        };
        let variables = Variables::of(&instance(), &Os { id: "debian".to_owned(), ..Os::default() });
        let decoded = decode::user_data(Some(&case.user), case.vendor.as_deref(), &variables, &mut fetch);
        let mut refused = String::new();
        for problem in decoded.problems.iter().filter(|f| any_error(std::slice::from_ref(f))) {
            let _ = writeln!(refused, "{problem}");
        }
        let user = document::read(Source::User, &case.user, &variables, &mut fetch);
        let vendor = case.vendor.as_deref();
        let vendor = vendor.map(|data| document::read(Source::Vendor, data, &variables, &mut fetch));
        let vendor = vendor.unwrap_or_default();
        let config = decode::merged(user, vendor).0.to_json();
        let mut programs = BTreeMap::new();
        for script in &decoded.config.scripts {
            let (kind, name) = match script.name.strip_prefix("vendor-") {
                Some(name) => ("vendor", name),
                None => ("scripts", script.name.as_str()),
            };
            programs.insert(format!("{kind}/{name}"), text(script.content.expose()));
        }
        let hooks = decoded.config.boothooks.iter().chain(&decoded.config.included_hooks);
        let boot = decoded.config.boot_scripts.iter().map(|script| ("boot", script));
        for (kind, script) in hooks.map(|hook| ("boothooks", hook)).chain(boot) {
            let name = script.name.strip_prefix("vendor-").unwrap_or(&script.name);
            programs.insert(format!("{kind}/{name}"), text(script.content.expose()));
        }
        if refused.is_empty() {
            let files = NodeConfig { files: decoded.config.files.clone(), ..NodeConfig::default() };
            let mut plan = plan::node(&files, &instance());
            plan.items.retain(|item| matches!(item, Item::File(f) if f.place.starts_with("write_files")));
            plan.bootstrap = None;
            let door = Root::open(&root.dir, false).unwrap();
            let made = compared(&plan, &door).and_then(|()| apply::apply(&plan, &door, |_| {}));
            refused = made.err().map(|e| format!("{e:#}")).unwrap_or_default();
        }
        Self { refused, config, programs, tree: root.tree() }
    }

    /// How the two differ; empty where they don't.
    fn against(&self, theirs: &Self) -> String {
        if !self.refused.is_empty() {
            let what = if theirs.refused.is_empty() { "refused here" } else { "refused by both" };
            return format!("{what}: {}", self.refused);
        }
        if !theirs.refused.is_empty() {
            return format!("refused there: {}", theirs.refused);
        }
        let mut difference = String::new();
        let json = |config: &Value| format!("{:#}\n", sorted(config));
        let listed = |programs: &BTreeMap<String, String>| format!("{programs:#?}\n");
        for (what, theirs, ours) in [
            ("config", json(&theirs.config), json(&self.config)),
            ("programs", listed(&theirs.programs), listed(&self.programs)),
            ("tree", theirs.tree.clone(), self.tree.clone()),
        ] {
            if theirs != ours {
                let _ = write!(difference, "{what}:\n{}", scratch::difference(&theirs, &ours));
            }
        }
        difference
    }
}

/// A value with its keys in order: which comes first means nothing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let map: BTreeMap<&String, Value> = map.iter().map(|(k, v)| (k, sorted(v))).collect();
            map.into_iter().map(|(k, v)| (k.clone(), v)).collect()
        }
        scalar => scalar.clone(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn cloud_init_makes_the_same() {
    needs!(root("files have owners"));
    let packages = debian::unpacked(PACKAGES).unwrap().join("usr/lib/python3/dist-packages");
    let all = cases::all();
    let names: BTreeSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "two cases have one name");
    let dir = fresh("cases");
    let mut roots = Vec::new();
    for case in &all {
        let here = dir.join(&case.name);
        fs::create_dir(&here).unwrap();
        fs::write(here.join("user-data"), &case.user).unwrap();
        if let Some(vendor) = &case.vendor {
            fs::write(here.join("vendor-data"), vendor).unwrap();
        }
        for (path, data) in &case.include {
            let path = here.join("include").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, data).unwrap();
        }
        let theirs = root(&format!("theirs-{}", case.name));
        std::os::unix::fs::symlink(&theirs.dir, here.join("root")).unwrap();
        roots.push(theirs);
    }
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud-init/oracle.py");
    // Debian's own Python: the modules are made for it.
    let mut command = Command::new("timeout");
    command.args(["900", "/usr/bin/python3", "-S"]).arg(driver).arg(packages).arg(&dir);
    Ran::of(&mut command).ended(0, &[]);
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for (case, root_of_theirs) in all.iter().zip(&roots) {
        let ours = Made::ours(case, &root(&format!("ours-{}", case.name)));
        let difference = ours.against(&Made::theirs(&dir.join(&case.name), root_of_theirs));
        if difference.is_empty() {
            continue;
        }
        let row = DIFFERENCES
            .iter()
            .position(|(name, piece, _)| case.name.starts_with(name) && difference.contains(piece));
        match row {
            Some(row) => drop(used.insert(row)),
            None => drop(write!(wrong, "== {}\n{}\n{difference}\n", case.name, text(&case.user))),
        }
    }
    settle(DIFFERENCES, &used, all.len(), wrong);
}
