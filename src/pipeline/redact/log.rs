// SPDX-License-Identifier: Apache-2.0
//! Logs without secrets: what commands of the bootstrap data print may hold anything of the data.

use std::collections::BTreeSet;

use super::urls::without_login;
use crate::model::config::{NodeConfig, Script, System};
use crate::model::secret::{Secret, names_secret};

/// The shortest word of the data that may be a secret.
const SHORTEST: usize = 6;

/// The shortest word that is a secret wherever it stands: keys and digests of the kind that `--certificate-key` takes.
const LONG: usize = 40;

/// The lengths of a bootstrap token's two parts
/// ([format](https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format)).
const TOKEN: (usize, usize) = (6, 16);

/// The words of bootstrap data that may be secrets.
pub struct Log(BTreeSet<String>);

/// Between words; a word holds what tokens, keys and hashes consist of.
fn ends(c: char) -> bool {
    !(c.is_alphanumeric() || "+./$_-!@#%^*~".contains(c))
}

impl Log {
    /// The words of what a node is made of.
    pub fn of(config: &NodeConfig) -> Self {
        let scripts = [&config.boothooks, &config.included_hooks, &config.boot_scripts, &config.scripts];
        let scripts = scripts.into_iter().flatten().map(|Script { content, .. }| content);
        let files = config.files.iter().map(|file| &file.content);
        let passwords = config.users.iter().map(|user| &user.password_hash);
        let passwords = passwords.chain(config.groups.iter().map(|group| &group.password_hash)).flatten();
        // A unit of the data may print its own settings.
        let dropins = config.units.iter().flat_map(|unit| unit.dropins.iter().map(|(_, text)| text));
        let units = config.units.iter().filter_map(|unit| unit.contents.as_ref()).chain(dropins);
        let System { phone_home, power_state, .. } = &config.system;
        let url = phone_home.as_ref().map(|phone| &phone.url);
        let condition = power_state.as_ref().and_then(|power| power.condition.as_ref());
        let secrets = files.chain(scripts).chain(&config.bootcmd).chain(&config.runcmd).chain(passwords);
        let secrets = secrets.chain(units).chain(url).chain(condition).map(Secret::expose);
        // Options of network file systems are logins too.
        let texts = config.mounts.iter().map(|mount| mount.options.as_bytes());
        let mut words = BTreeSet::new();
        for bytes in secrets.chain(texts) {
            let text = String::from_utf8_lossy(bytes);
            // A path, a plain word and a number say nothing.
            let may_be = |word: &&str| {
                word.len() >= SHORTEST
                    && !word.starts_with('/')
                    && word.contains(|c: char| c.is_ascii_digit())
                    && word.contains(|c: char| c.is_alphabetic())
            };
            words.extend(
                text.split(ends).map(|word| word.trim_matches('.')).filter(may_be).map(str::to_owned),
            );
        }
        Self(words)
    }

    /// The text with each word that may be a secret replaced.
    pub fn without_secrets(&self, text: &str) -> String {
        let word = |piece: &str| {
            let whole = piece.trim_end_matches(ends);
            let bare = whole.trim_matches('.');
            let is_secret =
                self.0.contains(bare) || is_token(bare) || bare.len() >= LONG && !bare.contains('/');
            if is_secret { piece.replacen(bare, "removed", 1) } else { piece.to_owned() }
        };
        let line = |line: &str| {
            let line: String = line.split_inclusive(char::is_whitespace).map(without_login).collect();
            let (mut named, mut is_name) = (false, false);
            let piece = |piece: &str| {
                let value = piece.trim_end_matches(ends);
                if value.is_empty() {
                    named |= is_name && piece.ends_with([':', '=']);
                    return piece.to_owned();
                }
                // The word behind `--token`, `password:` or `key=`; prose speaks of tokens too.
                is_name = names_secret(value.trim_start_matches('-'));
                let names = is_name && (value.starts_with("--") || piece.ends_with([':', '=']));
                match std::mem::replace(&mut named, names) {
                    true => piece.replacen(value, "removed", 1),
                    false => word(piece),
                }
            };
            line.split_inclusive(ends).map(piece).collect::<String>()
        };
        text.split_inclusive('\n').map(line).collect()
    }
}

fn is_token(word: &str) -> bool {
    let of = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    word.split_once('.').is_some_and(|(id, secret)| of(id, TOKEN.0) && of(secret, TOKEN.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_replaced_and_the_rest_can_be_read() {
        let config = NodeConfig {
            runcmd: vec![Secret::from("echo s3cr3t-pass > /etc/app1.conf; curl https://api.example/v1")],
            ..NodeConfig::default()
        };
        let log = Log::of(&config);
        let key = "0123456789abcdef".repeat(4);
        let table = [
            ("+ echo s3cr3t-pass\n", "+ echo removed\n"),
            ("token \"abcdef.0123456789abcdef\" is known\n", "token \"removed\" is known\n"),
            ("kubeadm join --token hunter2 10.0.0.1:6443\n", "kubeadm join --token removed 10.0.0.1:6443\n"),
            ("password: x\n", "password: removed\n"),
            ("{\"password\": \"x\"}\n", "{\"password\": \"removed\"}\n"),
            ("error: the token is not known\n", "error: the token is not known\n"),
            ("GET https://u:p@h.example/a?sig=b\n", "GET https://h.example/a?sig=removed\n"),
            (
                "[  3.1] kubeadm[7]: [preflight] reading /etc/app1.conf\n",
                "[  3.1] kubeadm[7]: [preflight] reading /etc/app1.conf\n",
            ),
        ];
        for (text, want) in table {
            assert_eq!(log.without_secrets(text), want);
        }
        assert_eq!(log.without_secrets(&format!("key {key}\n")), "key removed\n");
    }
}
