// SPDX-License-Identifier: Apache-2.0
//! What the machine says of itself without asking anybody: kernel command line, DMI, hypervisor, drives, OS.

use serde::{Deserialize, Serialize};

/// The machine's own account of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's command line.
    pub cmdline: Cmdline,
    /// `/sys/class/dmi/id`.
    pub dmi: Dmi,
    /// CPUID's hypervisor signature, such as `VMwareVMware`.
    pub hypervisor: Option<String>,
    /// Labels of the filesystems on the machine's drives.
    pub labels: Vec<String>,
    /// The running system.
    pub os: Os,
}

/// `/sys/class/dmi/id/*`, each field empty where the firmware says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dmi {
    /// SMBIOS type 1 manufacturer.
    pub sys_vendor: String,
    /// SMBIOS type 1 product.
    pub product_name: String,
    /// SMBIOS type 1 serial number (readable by root only).
    pub product_serial: String,
    /// SMBIOS type 1 UUID (readable by root only).
    pub product_uuid: String,
    /// SMBIOS type 3 asset tag.
    pub chassis_asset_tag: String,
    /// SMBIOS type 0 vendor.
    pub bios_vendor: String,
    /// SMBIOS type 0 version.
    pub bios_version: String,
}

/// The running system, as templates may ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Os {
    /// `ID` of os-release.
    pub id: String,
    /// `VERSION_ID` of os-release.
    pub version: String,
    /// The kernel's release, `uname -r`.
    pub kernel: String,
}

/// The kernel's command line, split as the kernel splits it: at blanks, double quotes keep them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline(Vec<(String, Option<String>)>);

impl Cmdline {
    /// Splits `/proc/cmdline`.
    pub fn parse(text: &str) -> Self {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for c in text.trim_end().chars() {
            match c {
                '"' => quoted = !quoted,
                c if c.is_ascii_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        let split = |w: String| match w.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (w, None),
        };
        Self(words.into_iter().filter(|w| !w.is_empty()).map(split).collect())
    }

    /// The value of `key`; the last one where it is given several times, as the kernel has it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).and_then(|(_, v)| v.as_deref())
    }
}

/// A network interface of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's name of it now.
    pub name: String,
    /// The address it has now, lower case.
    pub mac: String,
    /// The address that is burnt in, where the driver knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permanent_mac: Option<String>,
    /// The kernel driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// What sort of virtual link it is; none for hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its IP addresses with prefix lengths.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Whether a default route of IPv4 goes out of it, and whether one of IPv6 does.
    #[serde(default)]
    pub default_route: (bool, bool),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_splits_as_the_kernel_splits_it() {
        let line = Cmdline::parse("quiet a=1 b=\"x y\" a=2 ds=nocloud;s=/seed/;h=n1\n");
        assert_eq!(line.get("a"), Some("2"));
        assert_eq!(line.get("b"), Some("x y"));
        assert_eq!(line.get("quiet"), None);
        assert_eq!(line.get("ds"), Some("nocloud;s=/seed/;h=n1"));
    }
}
