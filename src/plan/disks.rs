// SPDX-License-Identifier: Apache-2.0
//! Disks and filesystems.

use sha2::{Digest as _, Sha256};

use super::mounts;
use crate::model::config::NodeConfig;
use crate::model::instance::Instance;
use crate::model::plan::{Item, Plan};
use crate::model::storage::FilesystemSpec;

/// Disks first, then filesystems, then all units, and at last what they mount: so all that fails of a step is told.
pub(super) fn items(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    plan.items.extend(config.disks.iter().cloned().map(Item::Disk));
    let number = |spec: &FilesystemSpec| {
        spec.uuid.clone().or_else(|| spec.overwrite.then(|| uuid(&instance.instance_id, spec)))
    };
    let filesystems = config.filesystems.iter().map(|s| FilesystemSpec { uuid: number(s), ..s.clone() });
    plan.items.extend(filesystems.map(Item::Filesystem));
    mounts::items(config, plan);
}

/// The number of a filesystem that is made anew for this instance: by it the filesystem is known again, so that a second
/// run leaves it alone, and one that an earlier machine left does not pass for it. A UUID of version 8
/// ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.8)).
fn uuid(instance_id: &str, spec: &FilesystemSpec) -> String {
    let mut bytes = [0; 16];
    let digest = Sha256::digest(format!("footplate\0{instance_id}\0{}\0{:?}", spec.device, spec.partition));
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
