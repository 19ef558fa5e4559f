// SPDX-License-Identifier: Apache-2.0
//! Hyper-V outside of Azure: key-value pairs that the host hands over
//! ([data exchange](https://learn.microsoft.com/en-us/virtualization/hyper-v-on-windows/reference/integration-services#hyper-v-data-exchange-service-kvp)).
//! The host sends each pair once in a boot. Ignition in the initramfs takes them, or hv_kvp_daemon, and either keeps them as files.

use super::{Error, Platform, document, kvp};
use crate::io::kvp::{KEY, PAIR, pair};
use crate::io::{Ask, World};
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// Hyper-V. DMI says of Azure's machines the same: a kernel argument names it.
pub(super) const PLATFORM: Platform = Platform {
    id: "hyperv",
    name: "Hyper-V (key-value pairs)",
    hint: "Hyper-V: set the pair ignition.config before the machine starts, and let Ignition or hv_kvp_daemon write /var/lib/hyperv",
    local: Some(read),
    report: Some(kvp::tell),
    ..Platform::NONE
};

/// Pairs that the host's user sets, and those that the host sets itself.
const OF_USER: &str = "/var/lib/hyperv/.kvp_pool_0";
const OF_HOST: &str = "/var/lib/hyperv/.kvp_pool_3";

/// The key of user-data, as Ignition has it. Where one value is too short for it, `.0`, `.1` and so on follow the key.
const DATA: &str = "ignition.config";

/// Keys and their values.
type Pairs = Vec<(String, Vec<u8>)>;

/// The pairs of a file; `None` where it is not there.
fn pairs(world: &dyn World, path: &str) -> Result<Option<Pairs>, Error> {
    let Some(bytes) = world.ask(Ask::File(path))? else { return Ok(None) };
    if bytes.len() % PAIR != 0 {
        return Err(Problem::error(path, format!("not a whole number of pairs of {PAIR} bytes")).into());
    }
    let text = |field: &[u8]| field.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    let pair = |pair: &[u8]| {
        let (key, value) = pair.split_at(KEY);
        (String::from_utf8_lossy(&text(key)).into_owned(), text(value))
    };
    Ok(Some(bytes.chunks_exact(PAIR).map(pair).collect()))
}

/// The file with the pairs of some user-data, and no others.
pub fn pairs_of(data: &[u8]) -> Vec<u8> {
    let parts = data.chunks(PAIR - KEY - 1).enumerate();
    parts.flat_map(|(n, part)| pair(&format!("{DATA}.{n}"), part)).collect()
}

/// What the pairs say; the id of the machine is its firmware's.
fn read(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let Some(pairs_of_user) = pairs(world, OF_USER)? else { return Ok(None) };
    let mut instance = Instance { instance_id: document::own_id(world, facts)?, ..Instance::default() };
    let value = |key: &str| pairs_of_user.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_slice());
    let data = match value(DATA).filter(|value| !value.is_empty()) {
        Some(value) => value.to_vec(),
        None => {
            let parts: Vec<&[u8]> = (0..).map_while(|n: usize| value(&format!("{DATA}.{n}"))).collect();
            let is_part = |key: &str| {
                key.strip_prefix(DATA).and_then(|k| k.strip_prefix('.')?.parse::<usize>().ok()).is_some()
            };
            if pairs_of_user.iter().filter(|(key, _)| is_part(key)).count() > parts.len() {
                let what = format!("the part {DATA}.{} is missing or another is there twice", parts.len());
                return Err(Problem::error(OF_USER, what)
                    .cure("number the parts from 0 without a gap")
                    .into());
            }
            parts.concat()
        }
    };
    instance.user_data = Some(Secret::new(data));
    let names = pairs(world, OF_HOST)?.unwrap_or_default();
    if let Some((key, name)) = names.iter().find(|(key, _)| key == "VirtualMachineName") {
        // People give machines names with blanks too.
        let name = String::from_utf8_lossy(name).into_owned();
        match document::hostname(key, &name) {
            Ok(name) => instance.hostname = Some(name),
            Err(_) => {
                let what = "not a name for a machine: the machine gets no name from it";
                instance.problems.push(Problem::warning(key, what).cure("set the name in the user-data"));
            }
        }
    }
    instance.node_name = instance.hostname.clone();
    Ok(Some(instance))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::io::{Tell, http};
    use crate::model::facts::Dmi;

    /// The files that a daemon left.
    struct Files([(&'static str, Vec<u8>); 2]);

    impl World for Files {
        fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
            let Ask::File(path) = ask else { return Ok(None) };
            Ok(self.0.iter().find(|(p, _)| *p == path).map(|(_, bytes)| bytes.clone()))
        }

        fn tell(&self, _: Tell<'_>) -> Result<(), Error> {
            Ok(())
        }

        fn http(&self, _: &[http::Request], _: Instant) -> Vec<Result<http::Response, http::Error>> {
            Vec::new()
        }

        fn asks_without_token(&self) -> bool {
            false
        }
    }

    fn pool(pairs: &[(&str, &str)]) -> Vec<u8> {
        let filled = |text: &str, length: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(length, 0);
            bytes
        };
        pairs.iter().flat_map(|(key, value)| [filled(key, KEY), filled(value, PAIR - KEY)].concat()).collect()
    }

    #[test]
    fn pairs_of_the_host_are_read_in_the_order_of_their_numbers() {
        let long = "x".repeat(PAIR - KEY);
        let whole = format!("{long}yz");
        // Pairs, the host's name; user-data or the error, and the machine's name.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Result<&'a str, &'a str>, Option<&'a str>);
        let cases: [Case<'_>; 9] = [
            (&[], "Crane-1", Ok(""), Some("Crane-1")),
            (&[("other", "a"), (DATA, "whole")], "", Ok("whole"), None),
            (&[(DATA, "whole"), ("ignition.config.0", "part")], "a b", Ok("whole"), None),
            (&[("ignition.config.1", "yz"), ("ignition.config.0", &long)], "c", Ok(&whole), Some("c")),
            (&[(DATA, ""), ("ignition.config.0", "a")], "c", Ok("a"), Some("c")),
            (&[("ignition.config.0", "a"), ("ignition.config.2", "b")], "c", Err("ignition.config.1"), None),
            (&[("ignition.config.1", "b")], "c", Err("ignition.config.0"), None),
            (&[("ignition.config.0", "a"), ("ignition.config.0", "b")], "c", Err("twice"), None),
            (&[("ignition.config.x", "a"), ("ignition.configs", "b")], "c", Ok(""), Some("c")),
        ];
        let dmi = Dmi { product_uuid: "AB12CD34-0000-1111-2222-333344445555".to_owned(), ..Dmi::default() };
        let facts = Facts { dmi, ..Facts::default() };
        for (pairs, name, data, hostname) in cases {
            let files = Files([
                (OF_USER, pool(pairs)),
                (OF_HOST, pool(&[("HostName", "h"), ("VirtualMachineName", name)])),
            ]);
            match (read(&files, &facts), data) {
                (Ok(Some(instance)), Ok(data)) => {
                    let is = instance.user_data.unwrap_or_default();
                    assert_eq!(is.expose(), data.as_bytes(), "{pairs:?}");
                    assert_eq!(instance.hostname.as_deref(), hostname, "{pairs:?}");
                    assert_eq!(instance.instance_id, "ab12cd34-0000-1111-2222-333344445555");
                    assert_eq!(instance.problems.len(), usize::from(hostname.is_none()), "{pairs:?}");
                }
                (Err(error), Err(what)) => assert!(error.to_string().contains(what), "{error}"),
                (is, _) => panic!("{pairs:?}: {is:?}"),
            }
        }
        let cut = Files([(OF_USER, vec![0; PAIR - 1]), ("", Vec::new())]);
        assert!(read(&cut, &facts).unwrap_err().to_string().contains("pairs of 2560 bytes"));
        assert!(read(&Files([("", Vec::new()), ("", Vec::new())]), &facts).unwrap().is_none());
    }
}
