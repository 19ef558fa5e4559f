// SPDX-License-Identifier: Apache-2.0
//! The keys of guestinfo that came before cloud-init's:
//! [coreos-cloudinit's](https://github.com/flatcar/coreos-cloudinit) and Afterburn's.

use std::cell::RefCell;

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
