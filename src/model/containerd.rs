// SPDX-License-Identifier: Apache-2.0
//! What a node depends on in [containerd's configuration](https://github.com/containerd/containerd/blob/main/docs/cri/config.md):
//! who manages cgroups, the pause image, the runtimes, and what else is read.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// The directory that the main configuration of an image imports.
pub const IMPORTED: &str = "/etc/containerd/conf.d/";

/// Where an image that `bake` configured has the CRI plugin's settings: the last import. containerd 1 takes a plugin's settings from one
/// file, the last that has any.
pub const OWN: &str = "/etc/containerd/cri.toml";

/// The main configuration.
pub const MAIN: &str = "/etc/containerd/config.toml";

/// The CRI plugin by its name in version 1, and in version 2.
const SHORT: &str = "cri";
const SECOND: &str = "io.containerd.grpc.v1.cri";

/// What the names of the CRI plugins in version 3 begin with.
const THIRD: &str = "io.containerd.cri.v1.";

/// What of the CRI plugin's settings stands in other tables in version 3.
const MOVED: &[&str] = &["cni", "containerd", "image_decryption", "registry", "sandbox_image"];

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
    /// The files that are read behind this one, patterns of them too.
    pub imports: Vec<String>,
    /// The plugins that are not loaded.
    pub disabled: Vec<String>,
    /// The socket that is listened at.
    pub socket: Option<String>,
}

/// Where a reader of TOML stops.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no [TOML](https://toml.io).
    pub fn read(text: &str) -> Result<Self, Broken> {
        let read = DeTable::parse(text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
            Broken { line: before.matches('\n').count() + 1, what: error.message().replace('\n', "; ") }
        })?;
        let table = read.get_ref();
        let version = table.get("version").and_then(|v| v.get_ref().as_integer()?.as_str().parse().ok());
        let mut settings = Self {
            version,
            imports: strings(table, "imports"),
            disabled: strings(table, "disabled_plugins"),
            socket: at(table, &["grpc", "address"]).and_then(text_of),
            ..Self::default()
        };
        for (name, plugin) in at(table, &["plugins"]).and_then(DeValue::as_table).into_iter().flatten() {
            if let Some(plugin) = plugin.get_ref().as_table() {
                settings.take(name.get_ref(), plugin);
            }
        }
        Ok(settings)
    }

    /// Takes the settings of a plugin, if it is one of the CRI's.
    fn take(&mut self, name: &str, plugin: &DeTable<'_>) {
        let (short, second) = (name == SHORT, name == SECOND);
        if !short && !second && !name.starts_with(THIRD) {
            return;
        }
        self.short |= short;
        self.cri |= !short;
        self.moved |= second && MOVED.iter().any(|key| plugin.contains_key(*key));
        let text = |path: &[&str]| at(plugin, path).and_then(text_of);
        let pause = text(&["sandbox_image"]).or_else(|| text(&["pinned_images", "sandbox"]));
        self.pause = pause.or(self.pause.take());
        let default = text(&["containerd", "default_runtime_name"]);
        self.default_runtime = default.or(self.default_runtime.take());
        let runtimes = at(plugin, &["containerd", "runtimes"]).and_then(DeValue::as_table);
        for (name, runtime) in runtimes.into_iter().flatten() {
            let options = runtime.get_ref().as_table();
            let set = options.and_then(|r| at(r, &["options", "SystemdCgroup"])).and_then(DeValue::as_bool);
            self.runtimes.insert(name.get_ref().to_string(), set);
        }
    }

    /// The runtime of pods that name none, by its name.
    pub fn default_runtime(&self) -> &str {
        self.default_runtime.as_deref().unwrap_or("runc")
    }

    /// Whether pods that name no runtime get their cgroups from systemd.
    pub fn by_systemd(&self) -> bool {
        self.runtimes.get(self.default_runtime()).copied().flatten().unwrap_or(false)
    }
}

/// The value at a path of keys.
fn at<'t, 'i>(table: &'t DeTable<'i>, path: &[&str]) -> Option<&'t DeValue<'i>> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?.get_ref();
    if rest.is_empty() { Some(value) } else { at(value.as_table()?, rest) }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The strings of a list at the top.
fn strings(table: &DeTable<'_>, key: &str) -> Vec<String> {
    let list = at(table, &[key]).and_then(DeValue::as_array);
    list.into_iter().flatten().filter_map(|item| text_of(item.get_ref())).collect()
}

/// Who manages the kubelet's cgroups by this configuration of kubeadm: by default systemd, since Kubernetes 1.22.
pub fn driver(kubeadm: &str) -> String {
    let set = kubeadm.lines().find_map(|l| l.trim().strip_prefix("cgroupDriver:"));
    let value =
        |text: &str| text.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
    set.map_or_else(|| "systemd".to_owned(), value)
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
            assert_eq!(Settings::read(text).unwrap().imports, ["/a/*.toml", "/b"], "{text}");
        }
        assert!(Settings::read("[plugins]\nimports = [\"/a\"]\n").unwrap().imports.is_empty());
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
            ..Settings::default()
        };
        let two = "version = 2 # old\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"r.example/pause:3\"\n\
            [plugins.'io.containerd.grpc.v1.cri'.containerd]\ndefault_runtime_name = 'runc'\n\
            runtimes.runc.options.SystemdCgroup = true\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\n";
        assert_eq!(Settings::read(two), Ok(want.clone()));
        let three = "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'r.example/pause:3'\n\
            [ plugins . 'io.containerd.cri.v1.runtime' . containerd ]\ndefault_runtime_name = \"runc\"\n\
            [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\n# SystemdCgroup = false\n\
            [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
        assert_eq!(Settings::read(three), Ok(Settings { version: Some(3), moved: false, ..want.clone() }));
        assert!(want.by_systemd());
        let none =
            Settings::read("version = 2\n[metrics]\naddress = \"[::1]:1338\"\nsandbox_image = \"x\"\n")
                .unwrap();
        assert_eq!(none, Settings { version: Some(2), ..Settings::default() });
        assert!(!none.by_systemd());
    }

    #[test]
    fn what_is_broken_has_its_line() {
        let good = "# a\nversion = 2 # b\nroot = \"/x # \\\" y\"\nimports = [\n  '/a/*.toml', # c\n  \"b\",\n]\n\
            oom = -999\nf = 1.5e3\nd = 1979-05-27T07:32:00Z\na.b.c = true\nx = \"\"\"\nlong \"\" \\\n= [\n\"\"\"\n\
            [plugins.\"io.containerd.grpc.v1.cri\"]\r\n  o = { A = true, B = [1, 2] }\n [ plugins . 'x.y' . z ] \n\
            [[s]]\na = 1\n[s.t]\n[[s]]\na = 1\n[s.t]\n[plugins]\nb = ''\n\"\" = nan\n";
        assert!(Settings::read(good).is_ok());
        for (text, line) in [
            ("version = 2\nversion = 3\n", 2),
            ("[a]\nb = 1\n[c]\n[a]\n", 4),
            ("[a.\"b\"]\n[a.b]\n", 2),
            ("[[a]]\n[a]\n", 2),
            ("a = x\n", 1),
            ("a = True\n", 1),
            ("a = \"x\n", 1),
            ("[a\nb = 1\n", 1),
            ("a: 1\n", 1),
            ("\na\n", 2),
            ("a = [1 2]\n", 1),
            ("a = [\n1,\n", 2),
            ("a = 1 b = 2\n", 1),
            ("a =\nb = 1\n", 1),
            ("x = '''\n\n", 3),
            ("registry.k8s.io/x = 1\n", 1),
        ] {
            assert_eq!(Settings::read(text).err().map(|broken| broken.line), Some(line), "{text}");
        }
        assert!(Settings::read(&format!("a = {}", "[".repeat(100_000))).is_err());
        for end in 0..good.len() {
            let _ = Settings::read(&good[..end]);
        }
    }
}
