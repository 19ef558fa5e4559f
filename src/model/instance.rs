// SPDX-License-Identifier: Apache-2.0
//! What the provider says of this machine.

use super::network::NetworkConfig;
use super::problem::Problem;
use super::secret::Secret;

/// Metadata and user-data of this machine, in one shape for all providers.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// The provider's id, as in [`crate::platform::TABLE`].
    pub platform: &'static str,
    /// What names this instance; a new one means a new bootstrap.
    pub instance_id: String,
    /// The machine's name, with its domain where the provider gives one.
    pub hostname: Option<String>,
    /// The metadata as the provider sent it: `ds.meta_data` of templates. A JSON object.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The network, where the provider tells.
    pub network: Option<NetworkConfig>,
    /// Address families to wait for before the bootstrap.
    pub wait_for: WaitFor,
    /// SSH keys for the default user.
    pub ssh_keys: Vec<String>,
    /// The user-data as sent, envelopes included.
    pub user_data: Option<Secret>,
    /// The vendor-data as sent.
    pub vendor_data: Option<Secret>,
    /// The region, where there is one.
    pub region: Option<String>,
    /// The availability zone, where there is one.
    pub availability_zone: Option<String>,
    /// What was wrong with the metadata and did not make it useless.
    pub problems: Vec<Problem>,
}

/// Address families that the metadata asks to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitFor {
    /// Wait for an IPv4 address.
    pub ipv4: bool,
    /// Wait for an IPv6 address.
    pub ipv6: bool,
}

impl Instance {
    /// The name before its first dot.
    pub fn short_hostname(&self) -> Option<&str> {
        self.hostname.as_deref().map(short)
    }
}

/// A name before its first dot.
pub fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
