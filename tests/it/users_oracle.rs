// SPDX-License-Identifier: Apache-2.0
//! Debian's cloud-init, useradd, groupadd, usermod and passwd as oracle: the account files that they make of `users`,
//! `user` and `groups` say the same as those that are made here. Numbers are compared by the names behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use footplate::facade::apply;
use footplate::facade::decode::document::jinja::Variables;
use footplate::facade::decode::{self, document};
use footplate::facade::io::root::Root;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::plan::Item;
use footplate::facade::model::problem::any_error;
use footplate::facade::plan;

use crate::cloud_init_oracle::PACKAGES;
use crate::common::debian;
use crate::common::oracle::settle;
use crate::common::random::Rng;
use crate::common::scratch::{Ran, Scratch, fresh};

/// What differs on purpose: the case, a piece of what the comparison says, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("member-made-here", "+group staff alice", "a member of a group may be a user of the same data"),
    ("group-of-digits", "refused here", "useradd takes the digits for a number, and cloud-init stops"),
    ("primary-group-of-digits", "refused here", "the same"),
    (
        "top-level-group-of-digits",
        "refused here",
        "groupadd makes it, and useradd then takes its name for a number",
    ),
    ("inactive-true", ":1:", "a boolean is what Cluster API writes; cloud-init passes over it"),
    ("inactive-number", ":9::", "a number is a number of days; cloud-init passes over all but strings"),
    (
        "expires-never-was",
        "refused here",
        "useradd takes the day that its month does not have for one of the next month",
    ),
    (
        "expires-unquoted",
        ":22523:",
        "a date without quotes is a date; cloud-init passes over all but strings",
    ),
    (
        "nameless",
        "refused here",
        "the documentation says that a name is required; cloud-init takes the default user",
    ),
    ("user-null-in-a-mapping", "refused here", "cloud-init stops"),
    ("sudo-as-a-mapping", "refused here", "the same"),
    ("sudo-as-a-word-for-no", "-sudo alice False", "it is no rule, and sudo would take none of the file"),
    (
        "default-with-name-in-users",
        "/bin/sh",
        "what the data says of a user wins over what the default user has",
    ),
    (
        "existing-user",
        "+group staff core",
        "Flatcar's own user joins groups; cloud-init leaves a user who is there",
    ),
    (
        "existing-users-password",
        "+shadow root:$6$a$b",
        "a password that the data has is set; cloud-init sets `hashed_passwd` alone",
    ),
    ("existing-user-expires", ":22523:", "what the data says of an account holds, whoever made it"),
    ("inactive-true-and-a-date", ":1:", "a boolean is what Cluster API writes; cloud-init passes over it"),
    ("system-that-expires", "25626", "useradd passes over it for a system account"),
    (
        "primary-group-alone",
        "stopped there",
        "a primary group that is missing is made, also without `groups`",
    ),
];

/// Cases that a person would write.
const CASES: &[(&str, &str)] = &[
    ("plain", "users: [{name: alice}]"),
    (
        "all-fields",
        "users: [default, {name: alice, gecos: Alice Example, homedir: /srv/alice, shell: /bin/sh, groups: 'wheel, staff', passwd: $6$a$b, lock_passwd: false}]",
    ),
    ("locked-hash", "users: [{name: alice, passwd: $6$a$b}]"),
    (
        "locked-lock",
        "users: [{name: alice, passwd: '!'}, {name: bob, passwd: '!!'}, {name: carl, passwd: '!*'}]",
    ),
    ("unlocked-with-a-blank", "users: [{name: alice, lock_passwd: false}]"),
    ("system", "users: [{name: daemonic, system: true}]"),
    ("system-with-groups", "users: [{name: daemonic, system: true, groups: [wheel]}]"),
    ("system-that-expires", "users: [{name: daemonic, system: true, expiredate: '2040-02-29'}]"),
    ("no-user-group", "users: [{name: alice, no_user_group: true}]"),
    ("no-home", "users: [{name: alice, no_create_home: true}]"),
    ("number", "users: [{name: alice, uid: 4242}]"),
    ("number-as-text", "users: [{name: alice, uid: '4242'}]"),
    ("primary-group", "users: [{name: alice, primary_group: crew, groups: [wheel]}]"),
    ("primary-group-alone", "users: [{name: alice, primary_group: crew}]"),
    ("primary-group-there", "users: [{name: alice, primary_group: wheel}]"),
    ("expires", "users: [{name: alice, expiredate: '2031-09-01'}]"),
    ("expires-unquoted", "users: [{name: alice, expiredate: 2031-09-01}]"),
    (
        "expires-in-short",
        "users: [{name: alice, expiredate: 2032-1-1}, {name: bob, expiredate: '2032-01-9'}, {name: carl, expiredate: 2032/2/03}]",
    ),
    ("expires-as-days", "users: [{name: alice, expiredate: '22523'}]"),
    ("expires-never-was", "users: [{name: alice, expiredate: '2031-02-31'}]"),
    ("inactive-days", "users: [{name: alice, inactive: '9'}]"),
    ("inactive-number", "users: [{name: alice, inactive: 9}]"),
    ("inactive-true", "users: [{name: alice, inactive: true}]"),
    ("inactive-true-and-a-date", "users: [{name: alice, inactive: true, expiredate: '2031-09-01'}]"),
    ("inactive-days-and-a-date", "users: [{name: alice, inactive: '9', expiredate: '2031-09-01'}]"),
    ("inactive-never", "users: [{name: alice, inactive: '-1'}]"),
    ("numeric-name", "users: [{name: '4711'}]"),
    ("numeric-name-with-groups", "users: [{name: '4711', groups: [staff]}]"),
    ("numeric-name-zero", "users: [{name: '0'}]"),
    ("group-of-digits", "users: [{name: alice, groups: '456'}]"),
    ("primary-group-of-digits", "users: [{name: alice, primary_group: '77', groups: [wheel]}]"),
    ("top-level-group-of-digits", "groups: ['77']\nusers: []"),
    ("as-text", "users: alice,bob"),
    ("as-text-with-default", "users: default,bob"),
    ("as-a-mapping", "users: {alice: true, bob: {gecos: Bob}, carl: false, dora: 'yes', default: true}"),
    ("user-null-in-a-mapping", "users: {alice: null}"),
    ("list-in-the-list", "users: [[alice, bob], 'carl,dora', default]"),
    ("merged", "users: [{name: alice, shell: /bin/sh}, {name: alice, shell: /bin/false, gecos: A}]"),
    ("hyphens", "users: [{name: alice, no-create-home: true, lock-passwd: false, passwd: $6$a$b}]"),
    ("nameless", "users: [{gecos: Nobody}]"),
    ("default-alone", "users: [default]"),
    ("default-renamed", "user: ops"),
    ("default-renamed-with-fields", "user: {name: ops, gecos: Operations, groups: [staff]}"),
    ("default-renamed-and-users", "user: {name: ops}\nusers: [{name: alice}]"),
    ("default-renamed-users-as-text", "user: ops\nusers: alice"),
    ("default-with-name-in-users", "user: ops\nusers: [{name: ops, shell: /bin/sh, gecos: Ops}]"),
    ("groups-as-text", "groups: staff,crew\nusers: []"),
    ("groups-as-a-list", "groups: [staff, wheel, {crew: [core]}]\nusers: []"),
    ("groups-as-a-mapping", "groups: {staff: [core, root], crew: []}\nusers: []"),
    ("member-missing", "groups: [{staff: [core, nosuch]}]\nusers: []"),
    ("member-made-here", "groups: [{staff: [alice]}]\nusers: [{name: alice}]"),
    ("groups-before-users", "groups: [zebra]\nusers: [{name: alice, groups: [zebra, apes]}]"),
    ("hash-first", "users: [{name: alice, hashed_passwd: $6$a$b, passwd: $6$c$d, lock_passwd: false}]"),
    ("hash-last", "users: [{name: alice, passwd: $6$c$d, hashed_passwd: $6$a$b}]"),
    ("hash-alone", "users: [{name: alice, hashed_passwd: $6$a$b, lock_passwd: false}]"),
    ("hash-null", "users: [{name: alice, hashed_passwd: null, passwd: $6$c$d}]"),
    ("hash-empty", "users: [{name: alice, passwd: ''}, {name: bob, hashed_passwd: ''}]"),
    ("lock-null", "users: [{name: alice, passwd: $6$a$b, lock_passwd: null}]"),
    (
        "empty-fields",
        "users: [{name: alice, uid: '', gecos: '', homedir: '', shell: '', primary_group: '', groups: '', expiredate: '', inactive: '', sudo: ''}]",
    ),
    (
        "null-fields",
        "users: [{name: alice, gecos: null, homedir: null, shell: null, primary_group: null, groups: null, expiredate: null, inactive: null, sudo: null}]",
    ),
    ("sudo", "users: [{name: alice, sudo: 'ALL=(ALL) NOPASSWD:ALL'}, {name: bob, sudo: [A=B, C=D]}]"),
    ("sudo-with-tabs", "users: [{name: alice, sudo: \"ALL=(ALL)\\tNOPASSWD:ALL\"}]"),
    ("sudo-of-lines", "users: [{name: alice, sudo: \"ALL=(ALL) NOPASSWD:/bin/a, \\\\\\n /bin/b\\n\"}]"),
    ("sudo-none", "users: [{name: alice, sudo: []}, {name: bob, sudo: false}]"),
    ("sudo-as-a-word-for-no", "users: [{name: alice, sudo: 'False'}]"),
    ("sudo-as-a-mapping", "users: [{name: alice, sudo: {ALL=(ALL) NOPASSWD: ALL}}]"),
    ("existing-users-password", "users: [{name: root, passwd: $6$a$b, lock_passwd: false}]"),
    ("existing-users-hashed-password", "users: [{name: root, hashed_passwd: $6$a$b, lock_passwd: false}]"),
    ("existing-user-locked", "users: [{name: root}]"),
    ("existing-user-expires", "users: [{name: root, expiredate: '2031-09-01'}]"),
    ("existing-user", "users: [{name: core, gecos: Other, shell: /bin/sh, groups: staff}]"),
];

fn cases() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        CASES.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
    let mut rng = Rng::new(11);
    for number in 0..60 {
        let mut users = Vec::new();
        for name in ["anna", "bert", "carl"] {
            let fields: Vec<&str> = [
                "gecos: Somebody",
                "groups: [wheel, staff]",
                "groups: 'crew,apes'",
                "shell: /bin/false",
                "homedir: /srv/home",
                "passwd: $6$a$b",
                "lock_passwd: false, passwd: $6$c$d",
                "system: true",
                "no_user_group: true",
                "expiredate: '2040-02-29'",
                "inactive: '30'",
            ]
            .into_iter()
            .filter(|_| rng.below(3) == 0)
            .collect();
            let system = fields.contains(&"system: true");
            let ages = |f: &&str| f.starts_with("expiredate") || f.starts_with("inactive");
            // The same key twice is an error here.
            let mut seen = BTreeSet::new();
            let once = |f: &&str| {
                f.split(", ").all(|f| seen.insert(f.split(':').next().unwrap_or_default().to_owned()))
            };
            let fields: Vec<&str> =
                fields.into_iter().filter(|f| !(system && ages(f))).filter(once).collect();
            users.push(format!(
                "{{{}}}",
                [&[format!("name: {name}").as_str()], fields.as_slice()].concat().join(", ")
            ));
        }
        let groups = ["", "groups: [staff]\n", "groups: {crew: [core]}\n"][rng.below(3)];
        all.push((format!("generated-{number}"), format!("{groups}users: [{}]", users.join(", "))));
    }
    all
}

/// A root with the accounts of a small machine.
fn root(dir: &Path) {
    for (file, text, mode) in [
        ("passwd", "root:x:0:0:root:/root:/bin/bash\ncore:x:500:500:Core:/home/core:/bin/bash\n", 0o644),
        (
            "group",
            "root:x:0:\nwheel:x:10:\nusers:x:100:\nsudo:x:150:\nsystemd-journal:x:190:\ncore:x:500:\n",
            0o644,
        ),
        ("shadow", "root:*:15887:0:::::\ncore:*:15887:0:::::\n", 0o640),
        ("gshadow", "root:*::\nwheel:!::\nusers:!::\nsudo:!::\nsystemd-journal:!::\ncore:!::\n", 0o640),
        (
            "login.defs",
            "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUSERGROUPS_ENAB yes\nENCRYPT_METHOD SHA512\nPASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\n",
            0o644,
        ),
        ("default/useradd", "SHELL=/bin/bash\nGROUP=100\n", 0o644),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join("etc").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir_all(dir.join("home")).unwrap();
}

/// What account files say, a fact a line, with names for numbers.
fn facts(root: &Path, data: &str) -> String {
    let table = |file: &str| -> Vec<Vec<String>> {
        let text = fs::read_to_string(root.join("etc").join(file)).unwrap();
        text.lines().map(|l| l.split(':').map(str::to_owned).collect()).collect()
    };
    let groups: BTreeMap<String, String> =
        table("group").iter().map(|l| (l[2].clone(), l[0].clone())).collect();
    let mut facts = BTreeSet::new();
    for line in table("passwd") {
        let given = ["", "'"].iter().any(|quote| data.contains(&format!("uid: {quote}{}", line[2])));
        let number = if given { line[2].as_str() } else { "-" };
        let group = groups.get(&line[3]).map_or("?", String::as_str);
        facts.insert(format!("passwd {} {number} {group} {}", line[0], line[4..].join(":")));
    }
    for (file, members) in [("group", 3), ("gshadow", 3)] {
        for line in table(file) {
            let password = if file == "gshadow" { line[1].as_str() } else { "" };
            facts.insert(format!("{file} {} {password}", line[0]));
            for member in line[members].split(',').filter(|m| !m.is_empty()) {
                facts.insert(format!("{file} {} {member}", line[0]));
            }
        }
    }
    // Without the day of the last change; and an image's own user keeps its password here.
    for line in table("shadow").iter().filter(|l| l[0] != "core") {
        facts.insert(format!("shadow {}:{}:{}", line[0], line[1], line[3..].join(":")));
    }
    // The image's own user may do all already.
    for file in fs::read_dir(root.join("etc/sudoers.d")).into_iter().flatten() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let rules = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#') && !l.starts_with("core "));
        facts.extend(rules.map(|rule| format!("sudo {rule}")));
    }
    facts.into_iter().map(|f| f.trim_end().to_owned() + "\n").collect()
}

fn ours(root: &Path, data: &str) -> Result<(), String> {
    let data = format!("#cloud-config\n{data}\n");
    let decoded =
        decode::user_data(Some(data.as_bytes()), None, &Variables::assumed(), &mut document::no_fetch);
    if any_error(&decoded.problems) {
        return Err(decoded.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    let instance = Instance { platform: "none", instance_id: "i-1".to_owned(), ..Instance::default() };
    let mut plan = plan::node(&decoded.config, &instance);
    plan.items.retain(|item| match item {
        Item::File(file) => file.path.starts_with("/etc/sudoers.d"),
        item => matches!(item, Item::Group(_) | Item::User(_)),
    });
    plan.bootstrap = None;
    let door = Root::open(root, false).unwrap();
    apply::compare(&plan, &door).map_err(|p| format!("{p:?}"))?;
    apply::apply(&plan, &door, |_| {}).map_err(|e| format!("{e:?}"))?;
    // A second run finds all as it should be.
    let again = apply::compare(&plan, &door).map_err(|p| format!("{p:?}"))?;
    let changes: Vec<_> = again.iter().filter(|o| o.done != apply::Done::Unchanged).collect();
    if changes.is_empty() { Ok(()) } else { Err(format!("the second run changes {changes:?}")) }
}

#[test]
fn cloud_init_and_useradd_make_the_same_accounts() {
    needs!(root("accounts have owners, and useradd takes another root for root only"));
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    let (dir, cases) = (fresh("accounts"), cases());
    for (name, data) in &cases {
        let case = dir.join(name);
        root(&case.join("root"));
        fs::write(case.join("user-data"), data).unwrap();
    }
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud-init/users.py");
    let mut command = Command::new("timeout");
    command.args(["300", "/usr/bin/python3", "-S"]).arg(driver).arg(packages).arg(&dir);
    Ran::of(&mut command).ended(0, &[]);
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for (name, data) in &cases {
        let here = Scratch::new(&format!("accounts-{name}"));
        root(&here.dir);
        let stopped = fs::read_to_string(dir.join(name).join("stopped")).ok();
        let difference = match (ours(&here.dir, data), stopped) {
            (Err(why), _) => format!("refused here: {why}"),
            (Ok(()), Some(why)) => format!("stopped there: {why}"),
            (Ok(()), None) => {
                let (theirs, ours) = (facts(&dir.join(name).join("root"), data), facts(&here.dir, data));
                if theirs == ours {
                    String::new()
                } else {
                    crate::common::scratch::difference(&theirs, &ours)
                }
            }
        };
        if difference.is_empty() {
            continue;
        }
        match DIFFERENCES.iter().position(|(case, piece, _)| case == name && difference.contains(piece)) {
            Some(row) => drop(used.insert(row)),
            None => drop(write!(wrong, "== {name}\n{data}\n{difference}\n")),
        }
    }
    settle(DIFFERENCES, &used, cases.len(), wrong);
}
