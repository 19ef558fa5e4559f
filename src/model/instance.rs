// SPDX-License-Identifier: Apache-2.0
//! What the platform says of this machine.

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value as Json};

use super::network::NetworkConfig;
use super::problem::Problem;
use super::secret::Secret;

/// Metadata and user-data of this machine, in one shape for all platforms.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Instance {
    /// The platform's id, such as `aws`.
    #[serde(skip)]
    pub platform: &'static str,
    /// How the platform's name is spelled in `/run/metadata`.
    #[serde(skip)]
    pub spelling: Option<Spelling>,
    /// What Afterburn tells of the instance, by its names behind the platform's: other names in `/run/metadata` than those of
    /// every platform.
    pub attributes: Vec<(String, String)>,
    /// What names this instance; a new one means a new bootstrap.
    pub instance_id: String,
    /// The machine's name, with its domain where the platform gives one.
    pub hostname: Option<String>,
    /// What the platform's cloud controller calls the node, where that is known.
    pub node_name: Option<String>,
    /// What the platform's cloud controller matches the node by, such as `aws:///eu-west-1a/i-0abc`.
    pub provider_id: Option<String>,
    /// The machine's addresses, as far as the platform or the running machine tells them.
    pub addresses: Addresses,
    /// The metadata as the platform sent it. Templates read [`Instance::meta_data`].
    pub metadata: Map<String, Json>,
    /// Whether cloud-init has the metadata's keys at `ds` itself on this platform, so that its templates have `ds["id"]`.
    pub metadata_is_ds: bool,
    /// The network, where the platform describes it.
    pub network: Option<NetworkConfig>,
    /// Address families to wait for before the bootstrap.
    pub wait_for: WaitFor,
    /// SSH keys for the default user.
    pub ssh_keys: Vec<String>,
    /// The user-data as sent, envelopes included.
    pub user_data: Option<Secret>,
    /// Whether there was user-data that has been taken away after its use. No other place is searched for more then: what
    /// came from there would be another machine's.
    pub user_data_used: bool,
    /// Whether the platform takes the user-data away once the machine is ready: it is kept on the disk for later boots.
    pub user_data_once: bool,
    /// The vendor-data as sent.
    pub vendor_data: Option<Secret>,
    /// The region, where there is one.
    pub region: Option<String>,
    /// The availability zone, where there is one.
    pub availability_zone: Option<String>,
    /// The documents of the metadata that the owner of the machine wrote, with what messages call them: those that may be signed.
    pub owners: Vec<(String, Secret)>,
    /// What was wrong with the metadata and did not make it useless.
    pub problems: Vec<Problem>,
}

/// How Afterburn's names of metadata spell a platform: `COREOS_EC2_HOSTNAME` on Flatcar, `AFTERBURN_AWS_HOSTNAME` elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Flatcar's, behind `COREOS_`.
    pub coreos: &'static str,
    /// Afterburn's own, behind `AFTERBURN_`.
    pub afterburn: &'static str,
    /// Whether the names behind it are those of every platform, with the platform's own beside; else they are its own alone.
    pub common: bool,
}

/// One address of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The IPv4 address that the machine has itself.
    pub local_v4: Option<Ipv4Addr>,
    /// The IPv6 address that the machine has itself.
    pub local_v6: Option<Ipv6Addr>,
    /// The IPv4 address by which it is reached from outside.
    pub public_v4: Option<Ipv4Addr>,
    /// The IPv6 address by which it is reached from outside.
    pub public_v6: Option<Ipv6Addr>,
}

/// Address families that the metadata asks to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitFor {
    /// Wait for an IPv4 address.
    pub ipv4: bool,
    /// Wait for an IPv6 address.
    pub ipv6: bool,
}

impl Instance {
    /// Adds one of Afterburn's names, where it has a value.
    pub fn attribute(&mut self, name: &str, value: Option<impl ToString>) {
        let value = value.map(|value| value.to_string()).filter(|value| !value.is_empty());
        self.attributes.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// The name before its first dot.
    pub fn short_hostname(&self) -> Option<&str> {
        self.hostname.as_deref().map(short)
    }

    /// `ds.meta_data` of templates: the metadata as it was sent, and the names that not every platform sends, where they
    /// are known. A template that was made for one platform works on all then.
    pub fn meta_data(&self) -> Map<String, Json> {
        let mut map = self.metadata.clone();
        let Addresses { local_v4, local_v6, public_v4, public_v6 } = self.addresses;
        let names = [
            ("instance-id", Some(self.instance_id.clone()).filter(|id| !id.is_empty())),
            ("hostname", self.hostname.clone()),
            ("local-hostname", self.hostname.clone()),
            ("node-name", self.node_name.clone()),
            ("provider-id", self.provider_id.clone()),
            ("availability-zone", self.availability_zone.clone()),
            ("region", self.region.clone()),
            ("local-ipv4", local_v4.map(|a| a.to_string())),
            ("local-ipv6", local_v6.map(|a| a.to_string())),
            ("public-ipv4", public_v4.map(|a| a.to_string())),
            ("public-ipv6", public_v6.map(|a| a.to_string())),
        ];
        for (name, value) in names {
            // Templates write either spelling, and the renderer makes the one of the other.
            if let (Some(value), None) = (value, map.get(&name.replace('-', "_"))) {
                map.entry(name).or_insert(Json::String(value));
            }
        }
        map
    }

    /// Takes what this one does not say from another account of the same machine.
    pub fn fill_from(&mut self, other: Self) {
        let Self {
            platform: _,
            spelling: _,
            attributes,
            instance_id,
            hostname,
            node_name,
            provider_id,
            addresses,
            metadata,
            metadata_is_ds,
            network,
            wait_for,
            ssh_keys,
            user_data,
            user_data_used,
            user_data_once,
            vendor_data,
            region,
            availability_zone,
            owners,
            problems,
        } = other;
        if self.instance_id.is_empty() {
            self.instance_id = instance_id;
        }
        if self.attributes.is_empty() {
            self.attributes = attributes;
        }
        if self.ssh_keys.is_empty() {
            self.ssh_keys = ssh_keys;
        }
        if self.wait_for == WaitFor::default() {
            self.wait_for = wait_for;
        }
        self.hostname = self.hostname.take().or(hostname);
        self.node_name = self.node_name.take().or(node_name);
        self.provider_id = self.provider_id.take().or(provider_id);
        self.network = self.network.take().or(network);
        self.user_data = self.user_data.take().or(user_data);
        self.metadata_is_ds |= metadata_is_ds;
        self.user_data_used |= user_data_used;
        self.user_data_once |= user_data_once;
        self.vendor_data = self.vendor_data.take().or(vendor_data);
        self.region = self.region.take().or(region);
        self.availability_zone = self.availability_zone.take().or(availability_zone);
        let mine = &mut self.addresses;
        mine.local_v4 = mine.local_v4.or(addresses.local_v4);
        mine.local_v6 = mine.local_v6.or(addresses.local_v6);
        mine.public_v4 = mine.public_v4.or(addresses.public_v4);
        mine.public_v6 = mine.public_v6.or(addresses.public_v6);
        for (name, value) in metadata {
            self.metadata.entry(name).or_insert(value);
        }
        self.owners.extend(owners);
        self.problems.extend(problems);
    }
}

/// A name before its first dot.
pub fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
