// SPDX-License-Identifier: Apache-2.0
//! What the machine says of itself before any service is asked: kernel command line, DMI, hypervisor, drives, OS.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The machine's own account of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kernel's command line.
    pub cmdline: Cmdline,
    /// `/sys/class/dmi/id`.
    pub dmi: Dmi,
    /// CPUID's hypervisor signature, such as `VMwareVMware`; on processors without CPUID what the device tree says, such as `vmware`.
    pub hypervisor: Option<String>,
    /// The file systems on the machine's drives that may hold metadata.
    pub drives: Vec<Drive>,
    /// Files with user-data that the host hands over with QEMU's firmware, the one that counts first.
    pub fw_cfg: Vec<String>,
    /// Whether LXD's socket is there.
    pub lxd: bool,
    /// The running system.
    pub os: Os,
}

/// `/sys/class/dmi/id/*`, each field empty where the firmware says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dmi {
    /// SMBIOS type 1 manufacturer.
    pub sys_vendor: String,
    /// SMBIOS type 1 product.
    pub product_name: String,
    /// SMBIOS type 1 family.
    pub product_family: String,
    /// SMBIOS type 1 serial number (readable by root only).
    pub product_serial: String,
    /// SMBIOS type 1 UUID (readable by root only).
    pub product_uuid: String,
    /// SMBIOS type 2 asset tag.
    pub board_asset_tag: String,
    /// SMBIOS type 3 asset tag.
    pub chassis_asset_tag: String,
    /// SMBIOS type 0 vendor.
    pub bios_vendor: String,
    /// SMBIOS type 0 version.
    pub bios_version: String,
}

/// A file system on a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// Its label, as it is written there.
    pub label: String,
    /// Its kind, as mount(2) names it.
    pub filesystem: String,
    /// The block device that it is on.
    pub device: String,
    /// Its UUID, or the number that stands for one, as blkid(8) writes it.
    pub uuid: String,
}

impl Drive {
    /// Reads a list of drives, a line each: label, file system, device, UUID, with tabs between them. What is unknown may
    /// be left out at the line's end.
    pub fn list(text: &str) -> Vec<Self> {
        let drive = |line: &str| {
            let mut fields = line.split('\t').map(|f| f.trim().to_owned());
            let mut next = || fields.next().unwrap_or_default();
            Self { label: next(), filesystem: next(), device: next(), uuid: next() }
        };
        text.lines().filter(|l| !l.trim().is_empty()).map(drive).collect()
    }
}

impl fmt::Display for Drive {
    /// As a line of [`Drive::list`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label: String = self.label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "{label}\t{}\t{}\t{}", self.filesystem, self.device, self.uuid)
    }
}

impl Facts {
    /// The first drive whose file system has that label; case does not matter.
    pub fn drive(&self, label: &str) -> Option<&Drive> {
        self.drives.iter().find(|d| d.label.eq_ignore_ascii_case(label))
    }
}

/// The running system, as templates may ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID` of os-release.
    pub id: String,
    /// `VERSION_ID` of os-release.
    pub version: String,
    /// The kernel's release, `uname -r`.
    pub kernel: String,
}

/// The kernel's command line, split as the kernel splits it: at blanks, double quotes keep them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Whether `word` stands there alone, without a value.
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|(k, v)| k == word && v.is_none())
    }

    /// Whether the root file system is reached by iSCSI, over a NIC.
    pub fn has_root_over_iscsi(&self) -> bool {
        let by_firmware = |word: &&str| self.get(word) == Some("1") || self.has(word);
        self.get("netroot").is_some_and(|root| root.starts_with("iscsi"))
            || ["rd.iscsi.firmware", "rd.iscsi.ibft"].iter().any(by_firmware)
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
    fn drives_are_read_as_they_are_written() {
        let drive = |label: &str, rest: [&str; 3]| {
            let [filesystem, device, uuid] = rest.map(str::to_owned);
            Drive { label: label.to_owned(), filesystem, device, uuid }
        };
        let drives = [
            drive("OVF ENV", ["iso9660", "/dev/sr0", "2026-01-02-03-04-05-00"]),
            drive("", ["vfat", "/dev/sdb", "1A2B-3C4D"]),
        ];
        let text: String = drives.iter().map(|d| format!("{d}\n")).collect();
        assert_eq!(Drive::list(&text), drives);
        assert_eq!(Drive::list("cidata\n\n"), [drive("cidata", ["", "", ""])]);
    }

    #[test]
    fn the_command_line_splits_as_the_kernel_splits_it() {
        let line = Cmdline::parse("quiet a=1 b=\"x y\" a=2 ds=nocloud;s=/seed/;h=n1\n");
        assert_eq!(line.get("a"), Some("2"));
        assert_eq!(line.get("b"), Some("x y"));
        assert_eq!(line.get("quiet"), None);
        assert_eq!(line.get("ds"), Some("nocloud;s=/seed/;h=n1"));
    }
}
