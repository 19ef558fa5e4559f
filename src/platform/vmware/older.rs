// SPDX-License-Identifier: Apache-2.0
//! The keys of guestinfo that came before cloud-init's:
//! [coreos-cloudinit's](https://github.com/flatcar/coreos-cloudinit) and Afterburn's.

use std::cell::RefCell;
use std::net::IpAddr;

use super::guest::Guest;
use crate::decode::network;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::{Error, document};

/// Keys that name a URL from where the user-data comes, the one that goes before the other first.
pub(super) const URLS: [&str; 2] = ["guestinfo.ignition.config.url", "guestinfo.coreos.config.url"];

/// The URL of user-data that stands somewhere else. It becomes an include list of that URL, and is fetched as all that
/// user-data includes.
pub(super) fn read_url(guest: &Guest<'_>, instance: &mut Instance) -> Result<(), Error> {
    for key in URLS {
        let Some(url) = guest.text(key)? else { continue };
        if instance.user_data.is_some() {
            let problem = Problem::warning(key, "left out: there is other user-data in guestinfo");
            instance.problems.push(problem.cure("set the user-data in one key"));
        } else if url.contains(char::is_whitespace) {
            return Err(Problem::error(key, "not a URL: it has a blank in it").into());
        } else {
            instance.user_data = Some(Secret::from(format!("#include\n{url}\n").as_str()));
        }
    }
    Ok(())
}

/// The network, where the metadata has none: coreos-cloudinit's flat keys, else Afterburn's kernel arguments.
pub(super) fn read_network(guest: &Guest<'_>, instance: &mut Instance) -> Result<(), Error> {
    let failure = RefCell::new(None);
    let text = |key: &str| -> Result<Option<String>, Error> {
        match guest.get(&format!("guestinfo.{key}"))? {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            None => Ok(guest.property(key)?.map(str::to_owned)),
        }
    };
    let get = |key: &str| {
        text(key).unwrap_or_else(|error| {
            failure.replace(Some(error));
            None
        })
    };
    let (mut config, mut problems) = network::parse_guestinfo_legacy(&get);
    if config.interfaces.is_empty() && config.unusable.is_empty() {
        let (arguments, more) =
            network::parse_kargs(&get("afterburn.initrd.network-kargs").unwrap_or_default());
        config = arguments;
        problems.extend(more);
    }
    read_roles(&get, instance);
    if let Some(error) = failure.into_inner() {
        return Err(error);
    }
    instance.problems.extend(problems);
    if let (None, Some(name)) = (&instance.hostname, &config.hostname) {
        instance.hostname = Some(document::hostname("guestinfo.afterburn.initrd.network-kargs: ip", name)?);
    }
    instance.network = (!config.interfaces.is_empty()).then_some(config);
    Ok(())
}

/// `interface.N.role`: whether a NIC's addresses are the machine's private ones or its public ones. The last of each family counts, as
/// in coreos-cloudinit.
fn read_roles(get: &dyn Fn(&str) -> Option<String>, instance: &mut Instance) {
    let get = |key: &str| get(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty() && v != "---");
    for n in 0..network::MAX_FLAT {
        let key = |rest: &str| format!("interface.{n}.{rest}");
        let Some(role) = get(&key("role")) else { continue };
        if !["private", "public"].contains(&role.as_str()) {
            let problem = Problem::warning(key("role"), "no effect: this role is not known");
            instance.problems.push(problem.cure("`private` and `public` are known"));
            continue;
        }
        for m in 0..network::MAX_FLAT {
            let Some(address) = get(&key(&format!("ip.{m}.address"))) else { break };
            // An address that can't be read is told with the network.
            let Some(ip) = address.split('/').next().and_then(|a| a.parse::<IpAddr>().ok()) else { continue };
            let to = &mut instance.addresses;
            match (role.as_str(), ip) {
                ("public", IpAddr::V4(ip)) => to.public_v4 = Some(ip),
                ("public", IpAddr::V6(ip)) => to.public_v6 = Some(ip),
                (_, IpAddr::V4(ip)) => to.local_v4 = Some(ip),
                (_, IpAddr::V6(ip)) => to.local_v6 = Some(ip),
            }
            // Templates know it by this name, and what the machine says of itself does not replace it.
            let side = if role == "public" { "public" } else { "local" };
            let family = if ip.is_ipv4() { 4 } else { 6 };
            instance.metadata.insert(format!("{side}-ipv{family}"), ip.to_string().into());
        }
    }
}
