// SPDX-License-Identifier: Apache-2.0
//! Users, and what they may do by sudo.

use crate::model::config::UserSpec;
use crate::model::instance::Instance;
use crate::model::plan::{Item, Plan};
use crate::model::storage::File;

/// Flatcar's user, which the image has.
pub const DEFAULT_USER: &str = "core";

/// All rules in one file, as cloud-init does it.
const SUDOERS: &str = "/etc/sudoers.d/90-footplate-users";

/// The platform's keys, for the image's user.
pub fn keys(instance: &Instance) -> Option<Item> {
    let user = UserSpec {
        place: "the metadata's SSH keys".to_owned(),
        name: DEFAULT_USER.to_owned(),
        existing: true,
        create_home: true,
        ssh_keys: instance.ssh_keys.clone(),
        ..UserSpec::default()
    };
    (!user.ssh_keys.is_empty()).then_some(Item::User(user))
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
