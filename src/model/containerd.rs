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

/// What of the CRI plugin's settings stands in other tables in version 3.
const MOVED: &[&str] = &["cni.", "containerd.", "image_decryption", "registry.", "sandbox_image"];

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
    /// Whether there is one by the plugin's name in version 1, `plugins.cri`.
    pub short: bool,
    /// Whether there are settings that version 3 has in other tables.
    pub moved: bool,
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
        let short = name == "plugins.cri" || name.starts_with("plugins.cri.");
        let cri = CRI.iter().any(|cri| name.starts_with(cri));
        let behind = name.strip_prefix(CRI[0]).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        self.short |= short;
        self.cri |= cri;
        self.moved |= MOVED.iter().any(|moved| behind.starts_with(moved));
        if !short && !cri {
            return;
        }
        if name.ends_with(".sandbox_image") || name.ends_with(".pinned_images.sandbox") {
            self.pause = word();
        } else if name.ends_with(".containerd.default_runtime_name") {
            self.default_runtime = word();
        } else if let Some((_, runtime)) = name.split_once(".containerd.runtimes.") {
            let (runtime, rest) = runtime.split_once('.').unwrap_or((runtime, ""));
            let cgroup = self.runtimes.entry(runtime.to_owned()).or_default();
            if rest == "options.SystemdCgroup" {
                *cgroup = Some(value.starts_with("true"));
            } else if let Some((_, set)) = value.split_once("SystemdCgroup") {
                // In an inline table of options.
                *cgroup = Some(set.trim_start_matches([' ', '=']).starts_with("true"));
            }
        }
    }

    /// Whether pods that name no runtime get their cgroups from systemd.
    pub fn by_systemd(&self) -> bool {
        let default = self.default_runtime.as_deref().unwrap_or("runc");
        self.runtimes.get(default).copied().flatten().unwrap_or(false)
    }
}

/// The strings of a list that stands before a file's first section, on one line or on several.
pub fn list(text: &str, key: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(|l| l.split('#').next().unwrap_or_default().trim()) {
        if !inside && line.starts_with('[') {
            break;
        }
        let list = match line.split_once('=') {
            Some((name, list)) if name.trim() == key => list,
            _ if inside => line,
            _ => continue,
        };
        inside = !list.contains(']');
        found.extend(list.split(['"', '\'']).skip(1).step_by(2).map(str::to_owned));
    }
    found
}

/// Who manages the kubelet's cgroups by this configuration of kubeadm: by default systemd, since Kubernetes 1.22.
pub fn driver(kubeadm: &str) -> String {
    let set = kubeadm.lines().find_map(|l| l.trim().strip_prefix("cgroupDriver:"));
    let value =
        |text: &str| text.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
    set.map_or_else(|| "systemd".to_owned(), value)
}

/// A name without quotes and blanks: it is only compared.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '"' | '\'' | '[') && !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_on_any_number_of_lines() {
        for text in [
            "imports = [\"/a/*.toml\", '/b']\n[x]\n",
            "version = 2\nimports = [ # \"both\"\n  \"/a/*.toml\", # 'one'\n  '/b',\n]\ndisabled_plugins = ['x']\n",
        ] {
            assert_eq!(list(text, "imports"), ["/a/*.toml", "/b"], "{text}");
        }
        assert!(list("[plugins]\nimports = [\"/a\"]\n", "imports").is_empty());
    }

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
            moved: true,
            short: false,
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
        assert_eq!(Settings::of(three), Settings { version: Some(3), moved: false, ..want.clone() });
        assert!(want.by_systemd());
        let none = Settings::of("version = 2\n[metrics]\naddress = \"[::1]:1338\"\nsandbox_image = \"x\"\n");
        assert_eq!(none, Settings { version: Some(2), ..Settings::default() });
        assert!(!none.by_systemd());
    }
}
