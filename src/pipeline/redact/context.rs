// SPDX-License-Identifier: Apache-2.0
//! OpenNebula's context, which has all in one, user-data and tokens too.

use crate::decode::syntax::shell::assignments;

/// Names, or their beginnings, of values that say how the machine is set up, and hold nothing secret. Others may be scripts.
const PLAIN: &[&str] = &[
    "DNS",
    "ETH",
    "HOSTNAME",
    "IP_PUBLIC",
    "PUBLIC_IP",
    "SEARCH_DOMAIN",
    "SET_HOSTNAME",
    "SSH_KEY",
    "SSH_PUBLIC_KEY",
    "USERDATA",
    "USER_DATA",
    "VMID",
];

/// A context without what may be secret, and with a picture in place of its user-data; `None` where it can't be read.
pub(super) fn context(text: &str, picture: impl Fn(&str) -> String) -> Option<String> {
    let values = assignments(text).ok()?;
    let plain = values.iter().filter(|(name, _)| PLAIN.iter().any(|plain| name.starts_with(plain)));
    let line = |(name, value): (&String, &String)| {
        let is_data = matches!(name.as_str(), "USER_DATA" | "USERDATA");
        let value = if is_data && !value.trim().is_empty() { picture(value) } else { value.clone() };
        format!("{name}='{}'\n", value.replace('\'', "'\\''"))
    };
    Some(plain.map(line).collect())
}
