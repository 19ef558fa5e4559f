// SPDX-License-Identifier: Apache-2.0
//! Certificate authorities in the machine's store. On Flatcar `/etc/ssl/certs/*.pem` and the image's own become one bundle;
//! what bootstrap data puts where other distributions look for it gets a link there, and the programs by which its commands
//! would take it up are stood in for.

use std::collections::BTreeMap;

use super::system::{file, unit};
use super::wrapper::functions;
use super::{DOCUMENTATION, STATE_DIR, WRITTEN};
use crate::model::config::NodeConfig;
use crate::model::paths::{FOREIGN_TRUST, FOREIGN_TRUST_TOOLS};
use crate::model::plan::{Item, Plan};
use crate::model::secret::Secret;
use crate::model::storage::{File, Link};

/// The unit that adds certificates to the machine's store. Flatcar's own runs only where the store was added to before.
const UNIT: &str = "footplate-certificates.service";

/// What stands in for other distributions' tools: it links what is where they look, as the plan does, and has Flatcar's make
/// the bundle.
const TOOL: &str = r#"#!/bin/sh
# Written by footplate: stands in for another distribution's program.
# Flatcar reads /etc/ssl/certs only: link there what stands where others have it.
certs=/etc/ssl/certs
for link in "$certs"/footplate-from-*; do
    [ -L "$link" ] && [ ! -e "$link" ] && rm -f "$link"
done
for dir in /usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors /etc/pki/trust/anchors \
    /etc/ca-certificates/trust-source/anchors; do
    [ -d "$dir" ] && find "$dir" -type f | while IFS= read -r file; do
        case "$file" in
            /usr/local/*.crt) ;;
            /usr/local/*) continue ;;
        esac
        if grep -q -e '-----BEGIN CERTIFICATE-----' -e '-----BEGIN TRUSTED CERTIFICATE-----' "$file"; then
            ln -sfn "$file" "$certs/footplate-from-$(printf '%s' "${file#/}" | tr -c 'A-Za-z0-9._-' '-').pem"
        else
            echo "footplate: $file is not a certificate in PEM and is not trusted" >&2
        fi
    done
done
exec /usr/sbin/update-ca-certificates
"#;

/// What the script of commands begins with where they use these tools. Other distributions have the directory, and commands
/// move certificates there; where it can not be made, they say so.
const PRELUDE: &str = "mkdir -p /usr/local/share/ca-certificates 2>/dev/null || :\n";

/// The certificates of `ca_certs`, and what was written to other distributions' directories.
pub(super) fn items(config: &NodeConfig, plan: &mut Plan) {
    let mut links = Vec::new();
    for item in &mut plan.items {
        if let Item::File(file) = item
            && let Some(link) = link_of(file)
        {
            file.restart = Some(UNIT);
            links.push(Item::Link(link));
        }
    }
    let certificates = &config.system.certificates;
    if certificates.is_empty() && links.is_empty() {
        return;
    }
    let text = format!(
        "{WRITTEN}\
         [Unit]\n\
         Description=Certificates of the bootstrap data into the machine's store\n\
         {DOCUMENTATION}\
         # Programs read the store when they start.\n\
         Before=containerd.service docker.service kubelet.service kubeadm.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         # /etc/ssl/certs/*.pem and the image's own, which a new image may have more of, become one bundle.\n\
         ExecStart=/usr/sbin/update-ca-certificates\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    );
    plan.items.extend(unit("ca_certs", UNIT, text, Some("multi-user.target")));
    for (i, certificate) in certificates.iter().enumerate() {
        let path = format!("/etc/ssl/certs/footplate-{}.pem", i + 1);
        let mut file = file("ca_certs", path, certificate.as_bytes());
        file.restart = Some(UNIT);
        plan.items.push(Item::File(file));
    }
    plan.items.extend(links);
}

/// The link by which Flatcar finds a certificate that was written for another distribution.
fn link_of(file: &File) -> Option<Link> {
    let there = |(dir, ending): &(&str, &str)| {
        let below = file.path.strip_prefix(dir).and_then(|below| below.strip_prefix('/'));
        below.is_some_and(|below| below.ends_with(ending))
    };
    let begins = b"-----BEGIN CERTIFICATE-----";
    let is_certificate = || file.content.expose().windows(begins.len()).any(|w| w == begins);
    if !(FOREIGN_TRUST.iter().any(there) && is_certificate()) {
        return None;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = file.path.trim_start_matches('/').chars().map(plain).collect();
    Some(Link::ours(format!("/etc/ssl/certs/footplate-from-{name}.pem"), &file.path))
}

/// Programs that stand in for others, each by the same text, where commands name one of them.
pub(super) struct StandIn {
    pub(super) names: &'static [&'static str],
    /// Where they are; it comes first in the path of the data's commands.
    pub(super) dir: String,
    pub(super) text: &'static str,
    /// Whether all but the first are links to it.
    pub(super) linked: bool,
    /// What the script of commands begins with.
    pub(super) prelude: &'static str,
}

/// The directories that go first in the path of commands which use these tools, and the beginning of their script: both
/// empty where none is used. The stand-ins join the plan.
pub(super) fn tools(config: &NodeConfig, plan: &mut Plan) -> (String, String) {
    let scripts = [&config.scripts, &config.boot_scripts, &config.boothooks, &config.included_hooks];
    let scripts = scripts.into_iter().flatten().map(|script| &script.content);
    let files = config.files.iter().map(|file| &file.content).filter(|c| c.expose().starts_with(b"#!"));
    let texts: Vec<&Secret> =
        config.runcmd.iter().chain(&config.bootcmd).chain(scripts).chain(files).collect();
    let (mut first, mut begin, mut calls) = (String::new(), String::new(), BTreeMap::new());
    let trust = StandIn {
        names: FOREIGN_TRUST_TOOLS,
        dir: format!("{STATE_DIR}/trust"),
        text: TOOL,
        linked: false,
        prelude: PRELUDE,
    };
    for StandIn { names, dir, text, linked, prelude } in [trust, super::packages::stand_in()] {
        if !texts.iter().any(|text| names.iter().any(|name| is_named(text.expose(), name.as_bytes()))) {
            continue;
        }
        for name in names {
            let path = format!("{dir}/{name}");
            let called = texts.iter().flat_map(|text| paths(text.expose(), name));
            calls.extend(called.map(|there| (there, path.clone())));
            let item = match linked && *name != names[0] {
                true => Item::Link(Link::ours(path, names[0])),
                false => Item::File(File::ours(path, text).mode(0o755)),
            };
            if !plan.items.contains(&item) {
                plan.items.push(item);
            }
        }
        first += &format!("{dir}:");
        begin += prelude;
    }
    if !first.is_empty() {
        begin += &format!("PATH={first}$PATH\n");
        begin += &functions(&calls.into_iter().collect::<Vec<_>>());
    }
    (first, begin)
}

/// The paths by which a text calls a program: `/usr/sbin/NAME`.
fn paths(text: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
    let path = |word: &&str| word.starts_with('/') && word.rsplit('/').next() == Some(name);
    words.filter(path).map(str::to_owned).collect()
}

/// Whether a text has a program's name as a word.
fn is_named(text: &[u8], name: &[u8]) -> bool {
    let part = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b);
    let found = text.windows(name.len()).enumerate().filter(|(_, word)| *word == name);
    found.map(|(at, _)| (&text[..at], &text[at + name.len()..])).any(|(before, after)| {
        // A path may end with it; one that goes on is a directory's.
        !before.last().is_some_and(part) && !after.first().is_some_and(|b| part(b) || *b == b'/')
    })
}
