// SPDX-License-Identifier: Apache-2.0
//! LXD: a service behind a socket of the guest ([devlxd](https://documentation.ubuntu.com/lxd/latest/dev-lxd/)).

use super::service::Service;
use super::{Error, Evidence, Platform, document};
use crate::io::World;
use crate::io::http::Way;
use crate::model::facts::Facts;
use crate::model::instance::Instance;

/// LXD. Its guests have the DMI of QEMU or none, so their agent's socket names it.
pub(super) const PLATFORM: Platform = Platform {
    id: "lxd",
    name: "LXD",
    hint: "LXD: give the instance the configuration key cloud-init.user-data",
    evidence: |facts| facts.lxd.then(|| Evidence::Socket(SOCKET.to_owned())),
    network: Some(fetch),
    ..Platform::NONE
};

/// The socket.
pub(super) const SOCKET: &str = "/dev/lxd/sock";

static SERVICE: Service = Service {
    host: "http://lxd",
    way: Way::Socket(SOCKET),
    cure: "LXD does not answer at /dev/lxd/sock: in a virtual machine, lxd-agent must run, and security.devlxd must be true",
    ..Service::LINK_LOCAL
};

const METADATA: &str = "/1.0/meta-data";

/// The keys of each document, the one that counts first.
const KEYS: [[&str; 2]; 3] = [
    ["/1.0/config/cloud-init.user-data", "/1.0/config/user.user-data"],
    ["/1.0/config/cloud-init.vendor-data", "/1.0/config/user.vendor-data"],
    ["/1.0/config/cloud-init.network-config", "/1.0/config/user.network-config"],
];

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let [[user, older_user], [vendor, older_vendor], [network, older_network]] = KEYS;
    let paths = [METADATA, user, older_user, vendor, older_vendor, network, older_network];
    let [metadata, user, older_user, vendor, older_vendor, network, older_network] =
        SERVICE.get(world, paths)?;
    let (user_data, vendor_data, network) =
        (user.or(older_user), vendor.or(older_vendor), network.or(older_network));
    if metadata.is_none() && user_data.is_none() {
        return Ok(None);
    }
    let mut instance = Instance { user_data, vendor_data, ..Instance::default() };
    let metadata = metadata.unwrap_or_default();
    let text = String::from_utf8_lossy(metadata.expose());
    let node = document::mapping(METADATA, own_keys(&text).as_bytes())?;
    document::read_machine(METADATA, &node, &mut instance)?;
    instance.node_name = instance.hostname.clone();
    let network = network.map(|config| document::mapping("network-config", config.expose())).transpose()?;
    // Comments alone are no config.
    if let Some(network) = network.filter(|network| !network.is_null()) {
        document::read_network(&network, &mut instance);
    }
    Ok(Some(instance))
}

/// The document without its own id and name where the user's metadata (`user.meta-data`) has these too: LXD writes the one below the
/// other.
fn own_keys(text: &str) -> String {
    let key = |line: &str| line.split_once(':').map(|(key, _)| key.to_owned());
    let twice = |n: usize, line: &str| {
        let named = key(line).filter(|key| ["instance-id", "local-hostname"].contains(&key.as_str()));
        named.is_some() && text.lines().skip(n + 1).any(|later| key(later) == named)
    };
    let lines = text.lines().enumerate().map(|(n, line)| if twice(n, line) { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}
