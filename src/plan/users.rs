// SPDX-License-Identifier: Apache-2.0
//! Users, and what they may do by sudo.

use crate::model::config::{NodeConfig, UserSpec};
use crate::model::instance::Instance;
use crate::model::plan::{Item, Plan};
use crate::model::storage::File;

/// Flatcar's user, which the image has.
const DEFAULT_USER: &str = "core";

/// All rules in one file, as cloud-init does it.
const SUDOERS: &str = "/etc/sudoers.d/90-footplate-users";

/// The user who gets the platform's keys.
pub fn default_user(config: &NodeConfig) -> &str {
    config.system.default_user.as_deref().unwrap_or(DEFAULT_USER)
}

/// The platform's keys, for the default user.
pub fn keys(config: &NodeConfig, instance: &Instance) -> Option<Item> {
    let user = UserSpec {
        place: "the metadata's SSH keys".to_owned(),
        name: default_user(config).to_owned(),
        existing: true,
        create_home: true,
        ssh_keys: instance.ssh_keys.clone(),
        ..UserSpec::default()
    };
    (!user.ssh_keys.is_empty() && !config.system.without_platform_keys).then_some(Item::User(user))
}

pub(super) fn users(users: &[UserSpec], plan: &mut Plan) {
    plan.items.extend(users.iter().cloned().map(Item::User));
    let mut text = "# Written by footplate from the bootstrap data.\n".to_owned();
    for user in users.iter().filter(|u| !u.sudo.is_empty()) {
        text += &format!("\n# User rules for {}\n", user.name);
        for rule in &user.sudo {
            text += &format!("{} {rule}\n", user.name);
        }
    }
    if users.iter().any(|u| !u.sudo.is_empty()) {
        // sudo refuses a file that anybody but root could write.
        let mut file = File::ours(SUDOERS, text).mode(0o440);
        file.place = "users".to_owned();
        plan.items.push(Item::File(file));
    }
}
