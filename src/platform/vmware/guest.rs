// SPDX-License-Identifier: Apache-2.0
//! The values of guestinfo: which keys are read, what counts as absent, and how a value's encoding is undone.

use std::cell::OnceCell;

use anyhow::anyhow;

use super::older::URLS;
use super::ovf;
use crate::decode::document::envelope::{self, Encoding};
use crate::io::{Ask, World};
use crate::model::facts::Facts;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::Error;

/// The keys with a value and an `.encoding`, in the order in which they are read.
pub(super) const KEYS: [&str; 5] =
    [METADATA, VENDOR_DATA, IGNITION, "guestinfo.userdata", "guestinfo.coreos.config.data"];

/// Where the user-data may be, the key that goes before the others first: Ignition's own, cloud-init's, and the one
/// that both had on CoreOS ([Ignition](https://coreos.github.io/ignition/supported-platforms/)).
pub(super) const FIRST_USER_DATA: usize = 2;

pub(super) const METADATA: &str = "guestinfo.metadata";
pub(super) const VENDOR_DATA: &str = "guestinfo.vendordata";
pub(super) const IGNITION: &str = "guestinfo.ignition.config.data";

/// What Ignition puts into its key once it has read it, since keys can't be deleted: `{}` in base64.
pub(super) const NO_CONFIG: &[u8] = b"e30K";

/// Passes over all keys until two agree. Cluster API writes metadata and user-data one after the other; a node that
/// boots meanwhile must not mix old and new.
const MAX_PASSES: usize = 5;

/// What guestinfo held: for each of [`KEYS`] the value and its encoding's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values(pub(super) [(Option<Secret>, String); KEYS.len()]);

impl Values {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|(value, _)| value.is_none())
    }
}

/// guestinfo, and below it what an appliance's OVF properties of the same names say.
pub(super) struct Guest<'a> {
    pub(super) world: &'a dyn World,
    pub(super) facts: &'a Facts,
    properties: OnceCell<Vec<(String, String)>>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(world: &'a dyn World, facts: &'a Facts) -> Self {
        Self { world, facts, properties: OnceCell::new() }
    }

    /// A key's value, unless it is absent or says that it is.
    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(value) = self.world.ask(Ask::Guestinfo(key))?.filter(|v| !is_empty(v)) {
            return Ok(Some(value));
        }
        Ok(self.property(key)?.map(|v| v.as_bytes().to_vec()))
    }

    /// Whether a key or a property of user-data has been emptied, by footplate or by Ignition, after its value was used.
    pub(super) fn was_emptied(&self) -> Result<bool, Error> {
        let emptied = |value: &[u8]| !value.trim_ascii().is_empty() && is_empty(value);
        for key in KEYS[FIRST_USER_DATA..].iter().chain(&URLS) {
            if self.world.ask(Ask::Guestinfo(key))?.is_some_and(|value| emptied(&value)) {
                return Ok(true);
            }
        }
        let of_user_data = |key: &str| key == "user-data" || KEYS[FIRST_USER_DATA..].contains(&key);
        Ok(self.properties()?.iter().any(|(key, value)| of_user_data(key) && emptied(value.as_bytes())))
    }

    /// A key's value as text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.get(key)?.map(|v| String::from_utf8_lossy(&v).trim().to_owned()))
    }

    /// A property of the appliance, by the name that its OVF descriptor has.
    pub(super) fn property(&self, key: &str) -> Result<Option<&str>, Error> {
        let value = self.properties()?.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        Ok(value.filter(|v| !is_empty(v.as_bytes())))
    }

    fn properties(&self) -> Result<&[(String, String)], Error> {
        if let Some(properties) = self.properties.get() {
            return Ok(properties);
        }
        let properties = ovf::properties(self.world, self.facts)?;
        Ok(self.properties.get_or_init(|| properties))
    }

    /// Reads all of [`KEYS`] until two passes agree.
    pub(super) fn read(&self) -> Result<Values, Error> {
        let pass = || -> Result<Values, Error> {
            let mut values = Values::default();
            for (key, (value, encoding)) in KEYS.iter().zip(&mut values.0) {
                *value = self.get(key)?.map(Secret::new);
                if value.is_some() {
                    let name = self.get(&format!("{key}.encoding"))?.unwrap_or_default();
                    *encoding = String::from_utf8_lossy(&name).into_owned();
                }
            }
            Ok(values)
        };
        let mut last = pass()?;
        for _ in 1..MAX_PASSES {
            let next = pass()?;
            if next == last {
                return Ok(last);
            }
            last = next;
        }
        let what = format!(
            "guestinfo changes while it is read: {MAX_PASSES} passes over its keys, and no two agree"
        );
        Err(anyhow!(what).into())
    }
}

/// Absent by vSphere's conventions: keys can't be deleted, so they are set to `---` or to blanks, and by Ignition to an
/// empty config.
pub(super) fn is_empty(value: &[u8]) -> bool {
    matches!(value.trim_ascii(), b"" | b"---" | NO_CONFIG)
}

/// Undoes a value's encoding. As cloud-init, it takes data that is not packed although its encoding says gzip.
pub(super) fn decode(key: &str, (value, name): &(Option<Secret>, String)) -> Result<Option<Vec<u8>>, Error> {
    let Some(value) = value else { return Ok(None) };
    let Some(encoding) = Encoding::by_name(name) else {
        let problem = Problem::error(format!("{key}.encoding"), format!("{name:?} is not a known encoding"));
        return Err(problem.cure(Encoding::HINT).into());
    };
    let decoded = match encoding {
        Encoding::GzipBase64 => envelope::base64(value.expose()),
        Encoding::Gzip => Ok(value.expose().to_vec()),
        other => other.decode(value.expose().to_vec(), envelope::MAX_DECODED),
    };
    let decoded = decoded.and_then(|d| if envelope::is_gzip(&d) { envelope::gunzip(&d) } else { Ok(d) });
    Ok(decoded.map(Some).map_err(|what| Problem::error(key, what))?)
}
