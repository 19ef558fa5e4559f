// SPDX-License-Identifier: Apache-2.0
//! What a node depends on in [containerd's configuration](https://github.com/containerd/containerd/blob/main/docs/cri/config.md):
//! who manages cgroups, the pause image and the runtimes. Read from TOML as people and `containerd config dump` write it; inline
//! tables are not looked into.

use std::collections::BTreeMap;

/// The directory that the main configuration of an image imports.
pub const IMPORTED: &str = "/etc/containerd/conf.d/";

/// Where an image that `bake` configured has the CRI plugin's settings: the last import. containerd 1 takes a plugin's settings from one
/// file, the last that has any.
pub const OWN: &str = "/etc/containerd/cri.toml";

/// The main configuration.
pub const MAIN: &str = "/etc/containerd/config.toml";

/// Parts of the names of the CRI plugins, in version 2 and in version 3 of the configuration.
const CRI: &[&str] = &["plugins.io.containerd.grpc.v1.cri", "plugins.io.containerd.cri.v1."];

/// The first version of Kubernetes, `1.N`, whose kubelet asks containerd 2 who manages cgroups, and takes that instead of its own setting
/// ([KEP 4033](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/4033-group-driver-detection-over-cri)).
const KUBELET_ASKS: u32 = 31;

/// Whether the kubelet of this version, as `v1.34.1`, takes the cgroup driver from this containerd, as `v2.1.4`.
pub fn tells_the_kubelet(containerd: &str, kubelet: &str) -> bool {
    let number = |version: &str, at: usize| {
        version.trim_start_matches('v').split('.').nth(at).and_then(|n| n.parse::<u32>().ok())
    };
    let kubelet = (number(kubelet, 0), number(kubelet, 1).is_some_and(|minor| minor >= KUBELET_ASKS));
    number(containerd, 0).is_some_and(|major| major >= 2) && kubelet == (Some(1), true)
}

/// A configuration's settings, as far as a file says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The version of the format.
    pub version: Option<u32>,
    /// Whether there is a table of a CRI plugin.
    pub cri: bool,
    /// The pause image.
    pub pause: Option<String>,
    /// The runtime of pods that name none.
    pub default_runtime: Option<String>,
    /// The runtimes by name, each with what `SystemdCgroup` is set to.
    pub runtimes: BTreeMap<String, Option<bool>>,
}

impl Settings {
    /// Reads a file.
    pub fn of(text: &str) -> Self {
        let (mut settings, mut section) = (Self::default(), String::new());
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                section = bare(name.split(']').next().unwrap_or_default());
                settings.take(&section, "");
            } else if let Some((key, value)) = line.split_once('=') {
                let dot = if section.is_empty() { "" } else { "." };
                settings.take(&format!("{section}{dot}{}", bare(key)), value.trim());
            }
        }
        settings
    }

    /// Takes a section, or a key by its full name with its value.
    fn take(&mut self, name: &str, value: &str) {
        let word = || {
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            value[1..].split(quote).next().map(str::to_owned)
        };
        if name == "version" {
            self.version = value.split(' ').next().and_then(|v| v.parse().ok());
        }
        if !CRI.iter().any(|cri| name.starts_with(cri)) {
            return;
        }
        self.cri = true;
        if name.ends_with(".sandbox_image") || name.ends_with(".pinned_images.sandbox") {
            self.pause = word();
        } else if name.ends_with(".containerd.default_runtime_name") {
            self.default_runtime = word();
        } else if let Some((_, runtime)) = name.split_once(".containerd.runtimes.") {
            let (runtime, rest) = runtime.split_once('.').unwrap_or((runtime, ""));
            let cgroup = self.runtimes.entry(runtime.to_owned()).or_default();
            if rest == "options.SystemdCgroup" {
                *cgroup = Some(value.starts_with("true"));
            }
        }
    }

    /// Whether pods that name no runtime get their cgroups from systemd.
    pub fn by_systemd(&self) -> bool {
        let default = self.default_runtime.as_deref().unwrap_or("runc");
        self.runtimes.get(default).copied().flatten().unwrap_or(false)
    }
}

/// A name without quotes and blanks: it is only compared.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '"' | '\'' | '[') && !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_kubelets_ask_newer_containerds() {
        for (containerd, kubelet, asks) in [
            ("v2.1.4", "v1.34.1", true),
            ("2.0.0", "v1.31.0", true),
            ("v2.1.4", "v1.30.9", false),
            ("v1.7.28", "v1.34.1", false),
            ("", "v1.34.1", false),
            ("v2.1.4", "", false),
        ] {
            assert_eq!(tells_the_kubelet(containerd, kubelet), asks, "{containerd} {kubelet}");
        }
    }

    #[test]
    fn both_versions_and_all_ways_to_write_them_are_read() {
        let want = Settings {
            version: Some(2),
            cri: true,
            pause: Some("r.example/pause:3".to_owned()),
            default_runtime: Some("runc".to_owned()),
            runtimes: [("kata".to_owned(), None), ("runc".to_owned(), Some(true))].into(),
        };
        let two = "version = 2 # old\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"r.example/pause:3\"\n\
            [plugins.'io.containerd.grpc.v1.cri'.containerd]\ndefault_runtime_name = 'runc'\n\
            runtimes.runc.options.SystemdCgroup = true\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\n";
        assert_eq!(Settings::of(two), want);
        let three = "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'r.example/pause:3'\n\
            [ plugins . 'io.containerd.cri.v1.runtime' . containerd ]\ndefault_runtime_name = \"runc\"\n\
            [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\n# SystemdCgroup = false\n\
            [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
        assert_eq!(Settings::of(three), Settings { version: Some(3), ..want.clone() });
        assert!(want.by_systemd());
        let none = Settings::of("version = 2\n[metrics]\naddress = \"[::1]:1338\"\nsandbox_image = \"x\"\n");
        assert_eq!(none, Settings { version: Some(2), ..Settings::default() });
        assert!(!none.by_systemd());
    }
}
