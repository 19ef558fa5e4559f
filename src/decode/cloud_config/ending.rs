// SPDX-License-Identifier: Apache-2.0
//! What happens once the bootstrap has succeeded: `phone_home`, `power_state`, `final_message`; and `output`.

use super::{Field, Reader};
use crate::decode::document::jinja::{self, HEADER, Variables};
use crate::decode::syntax::yaml::Node;
use crate::model::config::{PhoneHome, PowerMode, PowerState};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// What phone_home can send, as cloud-init names it.
const POSTS: &[&str] =
    &["fqdn", "hostname", "instance_id", "pub_key_ecdsa", "pub_key_ed25519", "pub_key_rsa"];

/// What cloud-init can send too, and no machine has.
const NO_DSA: &str = "pub_key_dsa";

impl Reader<'_> {
    pub(super) fn phone_home(&mut self, node: &Node) {
        let (mut url, mut tries) = (None, 10);
        let mut posts: Vec<&'static str> = POSTS.to_vec();
        for Field { name, at, key, value } in self.fields("phone_home", node) {
            match name.as_str() {
                "url" => {
                    let text = self.text(&at, value);
                    let http = |t: &String| t.starts_with("http://") || t.starts_with("https://");
                    match text.filter(|t| http(t) && !t.contains(|c: char| c.is_control() || c == ' ')) {
                        Some(text) => url = Some(Secret::new(text)),
                        None => self.error(&at, value.pos, "must be an http or https URL"),
                    }
                }
                "post" if value.text() == Some("all") => {}
                "post" => {
                    let words = self.words(&at, value, None);
                    if words.iter().any(|w| w == NO_DSA) {
                        self.warn(
                            &at,
                            value.pos,
                            format!("{NO_DSA}: no effect: OpenSSH makes no DSA keys any more"),
                        );
                        self.cure("name pub_key_ed25519");
                    }
                    if words.iter().any(|w| w != NO_DSA && !POSTS.contains(&w.as_str())) {
                        self.warn(&at, value.pos, "one of its names can't be sent, and is left out");
                        self.cure(format!("write `all`, or names of {}", POSTS.join(", ")));
                    }
                    posts.retain(|p| words.iter().any(|w| w == p));
                }
                "tries" => match self.text(&at, value).map(|text| text.parse()) {
                    None => {}
                    Some(Ok(n)) if (1..=100).contains(&n) => tries = n,
                    Some(_) => self.error(&at, value.pos, "must be a number from 1 to 100"),
                },
                _ => self.unknown(&at, key),
            }
        }
        if node.is_map() && node.get("url").is_none() {
            self.error("phone_home.url", node.pos, "missing: the address to send to");
        }
        let posts = posts.into_iter().map(str::to_owned).collect();
        self.config.system.phone_home = url.map(|url| PhoneHome { url, posts, tries });
    }

    pub(super) fn power_state(&mut self, node: &Node) {
        let (mut mode, mut delay, mut message) = (None, "now".to_owned(), None);
        let (mut wanted, mut condition) = (true, None);
        for Field { name, at, key, value } in self.fields("power_state", node) {
            match name.as_str() {
                "mode" => {
                    mode = match value.text() {
                        Some("reboot") => Some(PowerMode::Reboot),
                        Some("poweroff") => Some(PowerMode::PowerOff),
                        Some("halt") => Some(PowerMode::Halt),
                        _ => {
                            self.error(&at, value.pos, "must be reboot, poweroff or halt");
                            None
                        }
                    }
                }
                "delay" => match value.text().and_then(shutdown_time) {
                    Some(time) => delay = time,
                    None => self.error(
                        &at,
                        value.pos,
                        "must be now, minutes such as +30, or a time such as 22:30",
                    ),
                },
                "message" => {
                    message = self.text(&at, value).map(|text| text.trim_end().to_owned());
                    self.printable(&at, value);
                }
                "condition" if value.is_null() => {
                    wanted = false;
                    self.warn(&at, value.pos, "is empty: the machine stays up");
                    self.cure("write true, false or a command, or leave the key out");
                }
                "condition" => match value.bool() {
                    Some(b) => wanted = b,
                    None => condition = self.condition(&at, value),
                },
                "timeout" => {
                    self.note(&at, key.pos, "no effect: the machine goes down when the bootstrap has ended");
                    self.cure("remove it: kubeadm.service has a time-out of its own");
                }
                _ => self.unknown(&at, key),
            }
        }
        if node.is_map() && node.get("mode").is_none() {
            self.error("power_state.mode", node.pos, "missing: reboot, poweroff or halt");
        }
        let mode = mode.filter(|_| wanted);
        self.config.system.power_state = mode.map(|mode| PowerState { mode, delay, message, condition });
    }

    /// A command of the shell, or a list of its words.
    fn condition(&mut self, at: &str, node: &Node) -> Option<Secret> {
        if let Some(words) = node.list() {
            return Some(self.command_of_words(at, words));
        }
        self.printable(at, node);
        self.text(at, node).map(Secret::new)
    }

    /// Text of one line or several.
    fn printable(&mut self, at: &str, node: &Node) {
        let odd = |c: char| c.is_control() && !"\n\t".contains(c);
        if node.text().is_some_and(|text| text.contains(odd)) {
            self.error(at, node.pos, "must not contain a control character");
        }
    }

    pub(super) fn final_message(&mut self, node: &Node) {
        let text = self.text("final_message", node);
        if let Some(Err(mut problem)) = text.as_ref().map(|text| final_message(text, ["1"; 4])) {
            problem.place = "final_message".to_owned();
            self.problems.push(problem.at(node.pos));
        }
        self.config.system.final_message = text;
    }

    pub(super) fn output(&mut self, node: &Node) {
        self.note("output", node.pos, "no effect: output goes to the journal and to the console");
        self.cure("`journalctl -u kubeadm` shows it");
    }
}

/// A `final_message` with the values of version, timestamp, datasource and uptime: `$UPTIME`, or a template of its own.
///
/// # Errors
/// What is wrong with the template.
pub fn final_message(text: &str, values: [&str; 4]) -> Result<String, Problem> {
    let names = ["version", "timestamp", "datasource", "uptime"].into_iter().zip(values);
    let names =
        names.flat_map(|(name, value)| [(name.to_owned(), value), (name.to_ascii_uppercase(), value)]);
    let text = text.trim();
    if text.get(..HEADER.len()).is_some_and(|header| header.eq_ignore_ascii_case(HEADER)) {
        return Ok(jinja::render(text, &Variables::named(names))?.text.to_string());
    }
    let put = |text: String, (name, value): (String, &str)| {
        text.replace(&format!("${name}"), value).replace(&format!("${{{name}}}"), value)
    };
    Ok(names.fold(text.to_owned(), put))
}

/// A time as shutdown(8) takes it. A number alone means minutes in cloud-init.
fn shutdown_time(text: &str) -> Option<String> {
    let text = text.trim();
    if text == "now" {
        return Some(text.to_owned());
    }
    if let Some((hour, minute)) = text.split_once(':') {
        let in_range =
            |part: &str, limit: u32| part.parse::<u32>().is_ok_and(|n| n < limit) && part.len() == 2;
        return (in_range(hour, 24) && in_range(minute, 60)).then(|| text.to_owned());
    }
    let minutes: u32 = text.trim_start_matches('+').parse().ok()?;
    Some(format!("+{minutes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_message_has_the_values_of_its_names() {
        for (text, told) in [
            ("up $UPTIME ${version} $nosuch\n", Some("up 4 1 $nosuch")),
            (
                "\n## template: jinja\n{{ version }}{{TIMESTAMP}} {{ datasource | upper }} $uptime\n",
                Some("12 NOCLOUD $uptime"),
            ),
            ("## Template: Jinja\n{% if uptime | int > 3 %}late{% endif %}", Some("late")),
            ("## template: jinja\n{{ nosuch }}", None),
        ] {
            let message = final_message(text, ["1", "2", "nocloud", "4"]).ok();
            assert_eq!(message.as_deref(), told, "{text}");
        }
    }
}
