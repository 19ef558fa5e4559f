// SPDX-License-Identifier: Apache-2.0
//! A machine's answers for replay and for support, with what is secret taken out.

use serde_json::{Value as Json, json};

use crate::decode::{envelope, yaml};
use crate::model::config::NodeConfig;

/// Parts of an answer's name that make it bootstrap data, in lower case and without `-`, `_` and `.`.
const BOOTSTRAP: &[&str] = &["configdata", "customdata", "userdata", "vendordata"];

/// Parts of a name that make its value a secret, likewise.
const SECRETS: &[&str] = &["credential", "key", "passw", "private", "secret", "token"];

fn is_one_of(name: &str, parts: &[&str]) -> bool {
    let name: String = name.to_ascii_lowercase().chars().filter(|c| !"-_.".contains(*c)).collect();
    parts.iter().any(|p| name.contains(p))
}

/// The answers without secrets: bootstrap data becomes a picture of itself, metadata loses the values of keys that are
/// named like secrets, an answer that is named like one is left out.
pub fn redact(kept: Vec<(String, Vec<u8>)>, config: &NodeConfig) -> Vec<(String, Vec<u8>)> {
    let mut redacted: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, bytes) in kept {
        let last = name.rsplit('/').next().unwrap_or_default();
        let encoding = last.ends_with(".encoding");
        let bytes = if is_one_of(last, BOOTSTRAP) {
            if encoding || is_one_of(last, &["vendordata"]) {
                continue;
            }
            picture(config).into_bytes()
        } else if is_one_of(last, &["metadata", "networkconfig"]) {
            // Written plain, whatever it was: its encoding goes.
            if encoding {
                continue;
            }
            metadata(&bytes)
        } else if is_one_of(last, SECRETS) {
            continue;
        } else {
            bytes
        };
        // Asked twice, the last answer counts.
        redacted.retain(|(n, _)| *n != name);
        redacted.push((name, bytes));
    }
    redacted
}

/// Metadata as JSON, with the values of keys that are named like secrets taken out.
fn metadata(bytes: &[u8]) -> Vec<u8> {
    let opened = envelope::base64(bytes).and_then(|b| envelope::open(&b)).unwrap_or_else(|_| bytes.to_vec());
    let node = [opened.as_slice(), bytes].into_iter().find_map(|text| {
        let node = yaml::parse(std::str::from_utf8(text).ok()?).ok()?;
        node.is_map().then_some(node)
    });
    let Some(node) = node else { return b"{}\n".to_vec() };
    let mut json = node.to_json();
    strip(&mut json);
    format!("{json:#}\n").into_bytes()
}

fn strip(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(strip),
        Json::Object(map) => {
            for (name, value) in map {
                // Public keys are public.
                if is_one_of(name, SECRETS) && !is_one_of(name, &["public"]) {
                    *value = Json::from("removed");
                } else {
                    strip(value);
                }
            }
        }
        _ => {}
    }
}

/// A cloud-config that makes the same plan, with nothing in it but names, paths and sizes.
fn picture(config: &NodeConfig) -> String {
    let removed = |n: usize| format!("# {n} bytes removed\n");
    let files: Vec<Json> = config
        .files
        .iter()
        .map(|f| {
            json!({
                "path": f.path, "owner": f.owner.to_string(), "permissions": format!("{:04o}", f.mode),
                "append": f.append, "content": removed(f.content.len()),
            })
        })
        .collect();
    let units = config.units.iter().flat_map(|u| {
        let dir = format!("/etc/systemd/system/{}", u.name);
        let main = u.contents.iter().map(|c| (dir.clone(), c.len())).collect::<Vec<_>>();
        main.into_iter().chain(u.dropins.iter().map(move |(name, c)| (format!("{dir}.d/{name}"), c.len())))
    });
    let units = units.map(|(path, len)| json!({ "path": path, "content": removed(len) }));
    let files: Vec<Json> = files.into_iter().chain(units).collect();
    let users: Vec<Json> =
        config.users.iter().map(|u| json!({ "name": u.name, "groups": u.groups })).collect();
    let lines = |lines: &[crate::model::secret::Secret]| -> Vec<String> {
        lines.iter().map(|l| format!("true {}", removed(l.len()).trim_end())).collect()
    };
    let document = json!({
        "write_files": files, "users": users, "bootcmd": lines(&config.bootcmd), "runcmd": lines(&config.runcmd),
    });
    format!("#cloud-config\n{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::jinja::Variables;
    use crate::decode::{Decoded, document};

    fn user_data(data: &[u8]) -> Decoded {
        crate::decode::user_data(Some(data), None, &Variables::assumed(), &mut document::no_fetch)
    }

    #[test]
    fn nothing_secret_is_left_and_the_plan_is_the_same() {
        let data = b"#cloud-config\nwrite_files: [{path: /a, content: canary-1, permissions: '0600'}]\n\
            runcmd: [echo canary-2]\nusers: [{name: u, passwd: canary-3}]\n";
        let config = user_data(data).config;
        let kept = vec![
            ("guestinfo/guestinfo.userdata".to_owned(), data.to_vec()),
            ("guestinfo/guestinfo.userdata.encoding".to_owned(), b"base64".to_vec()),
            ("guestinfo/guestinfo.ignition.config.data".to_owned(), b"{\"canary-6\": 1}".to_vec()),
            (
                "guestinfo/guestinfo.metadata".to_owned(),
                b"{a: {private-key: canary-4}, public-keys: [k]}".to_vec(),
            ),
            ("http/169.254.169.254/latest/api/token".to_owned(), b"canary-5".to_vec()),
            ("file/proc/cmdline".to_owned(), b"quiet".to_vec()),
        ];
        let redacted = redact(kept, &config);
        let all: String =
            redacted.iter().map(|(n, b)| format!("{n} {}\n", String::from_utf8_lossy(b))).collect();
        assert!(!all.contains("canary"), "{all}");
        assert_eq!(redacted.len(), 4, "{all}");
        let again = user_data(&redacted[0].1);
        assert!(!again.failed(), "{:?}", again.findings);
        assert_eq!(again.config.files[0].path, "/a");
        assert_eq!((again.config.users.len(), again.config.runcmd.len()), (1, 1));
    }
}
