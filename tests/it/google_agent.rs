// SPDX-License-Identifier: Apache-2.0
//! Google's guest agent, as Debian has it, and footplate, beside each other on one played metadata server: they give the user `core` the
//! same SSH keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};

use crate::common::debian;
use crate::common::sandbox::Sandbox;
use crate::common::scratch::{Scratch, footplate};
use crate::common::server::{Reply, Server};

/// Attributes of the instance and of the project. `KEY-a` stands for a key that ends so.
fn cases() -> Vec<(&'static str, Value, Value)> {
    let two = json!({"ssh-keys": "core:KEY-a one\nother:KEY-b two"});
    let project = json!({"ssh-keys": "core:KEY-c project"});
    let expiring = |when: &str| format!("google-ssh {{\"userName\":\"o@example.com\"{when}}}");
    let expired = format!(
        "core:KEY-a {}\ncore:KEY-b {}\ncore:KEY-c {}\ncore:KEY-d google-ssh {{broken",
        expiring(",\"expireOn\":\"2021-03-04T05:06:07+0000\""),
        expiring(",\"expireOn\":\"2091-03-04T05:06:07+0000\""),
        expiring(""),
    );
    let mut cases = vec![
        ("of both", two, project.clone()),
        ("older name", json!({"sshKeys": "core:KEY-a", "ssh-keys": "core:KEY-b"}), project.clone()),
        (
            "the project's older name",
            json!({"ssh-keys": "core:KEY-b"}),
            json!({"sshKeys": "core:KEY-c", "ssh-keys": "core:KEY-d"}),
        ),
        ("expired", json!({ "ssh-keys": expired }), json!({})),
        (
            "lines of other forms",
            json!({"ssh-keys": "\n  \ncore:KEY-a one\n:KEY-b\nnocolon KEY-c\ncore:\n core:KEY-d\ncore: KEY-e\n"}),
            json!({}),
        ),
        ("twice", json!({"ssh-keys": "core:KEY-a\ncore:KEY-a"}), json!({"ssh-keys": "core:KEY-a"})),
    ];
    for flag in ["TRUE", "True", "true", "1", "t", "FALSE", "0", "maybe"] {
        cases.push((
            flag,
            json!({"ssh-keys": "core:KEY-a", "block-project-ssh-keys": flag}),
            project.clone(),
        ));
    }
    cases
}

/// The keys of a file, without their comments.
fn keys(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("ssh-"));
    lines.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn googles_agent_and_footplate_give_the_same_keys() {
    needs!(root("namespaces"));
    let agent = needs!(debian::unpacked(&["google-guest-agent"])).join("usr/bin/google_guest_agent");
    let sandbox = Sandbox::enter("google-agent", &["169.254.169.254/32"]);
    // What the agent changes is not the machine's: it makes accounts, and writes settings of sshd and PAM.
    mount(Some("none"), sandbox.dir(), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    for changed in ["etc", "home", "var"] {
        let [upper, work] = ["upper", "work"].map(|part| sandbox.dir().join(format!("{changed}-{part}")));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let layers = format!("lowerdir=/{changed},upperdir={},workdir={}", upper.display(), work.display());
        let at = format!("/{changed}");
        mount(Some("overlay"), at.as_str(), Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
            .unwrap();
    }
    fs::write("/etc/hosts", "169.254.169.254 metadata.google.internal\n").unwrap();
    let tree = Arc::new(Mutex::new(String::new()));
    let answer = Arc::clone(&tree);
    let _server = Server::start("169.254.169.254:80", move |seen| {
        let text = if seen.method == "GET" { answer.lock().unwrap().clone() } else { String::new() };
        let reply = Reply::status(200, "Metadata-Flavor: Google\r\nETag: e1\r\n", text);
        // A change is waited for, and there is none.
        let waits = seen.path.contains("wait_for_change=true") && !seen.path.contains("last_etag=NONE");
        if waits { reply.after(Duration::from_secs(60)) } else { reply }
    });
    for (name, instance, project) in cases() {
        let text = json!({
            "instance": {"id": 7411, "hostname": "node-1.c.p.internal", "name": "node-1", "zone": "projects/1/zones/a-1",
                "machineType": "projects/1/machineTypes/n", "attributes": instance, "networkInterfaces": [],
                "virtualClock": {"driftToken": "0"}},
            "project": {"projectId": "p", "numericProjectId": 1, "attributes": project},
        });
        let text = text.to_string().replace("KEY-", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPond");
        *tree.lock().unwrap() = text;
        let root = Scratch { dir: sandbox.dir().join(format!("root-{}", name.replace(' ', "-"))) };
        root.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\n");
        root.put("/etc/group", "root:x:0:\ncore:x:500:\n")
            .put("/etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
        footplate(&["provision", "--platform", "gcp", "--root", root.arg()]).ended(0, &[]);
        let ours = keys(&root.path("/home/core/.ssh/authorized_keys"));
        assert!(!ours.is_empty(), "{name}");

        let _ = Command::new("userdel").arg("core").stderr(Stdio::null()).status();
        let _ = (fs::remove_dir_all("/home/core"), fs::remove_dir_all("/var/lib/google"));
        let mut agent = Command::new(&agent);
        agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = agent.spawn().unwrap();
        let begun = Instant::now();
        let theirs = || keys(Path::new("/home/core/.ssh/authorized_keys"));
        while theirs() != ours && begun.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(50));
        }
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(theirs(), ours, "{name}");
    }
}
