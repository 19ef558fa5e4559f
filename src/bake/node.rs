// SPDX-License-Identifier: Apache-2.0
//! What a node consists of beside its programs, as a [`Plan`]: units, drop-ins, kernel settings, and what keeps Flatcar's own
//! first-boot programs from reading what is not meant for them.

pub use crate::model::paths::UNIT_DIR;
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use crate::model::plan::{Item, Plan};
use crate::model::storage::{Directory, File, Link};

/// The socket of containerd on Flatcar, which kubeadm finds by itself.
pub const SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// containerd's configuration, where the image has one of its own.
use crate::model::containerd::IMPORTED;
pub use crate::model::containerd::{MAIN as CONTAINERD_CONFIG, OWN as CONTAINERD_CRI};

/// Which user-data the machines of an image get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Userdata {
    /// Cluster API's cloud-config, which only footplate reads.
    #[default]
    CloudConfig,
    /// Ignition, which Flatcar's initramfs reads.
    Ignition,
}

/// What an image is asked to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Its user-data.
    pub userdata: Userdata,
    /// containerd's configuration with this pause image; `None` leaves Flatcar's own.
    pub pause_image: Option<String>,
}

/// A unit or drop-in: its path below [`UNIT_DIR`], its text, and the target that it is enabled in.
struct Unit {
    path: &'static str,
    text: &'static str,
    wanted_by: Option<&'static str>,
    /// The artifact without which it has no meaning.
    of: Option<&'static str>,
}

macro_rules! unit {
    ($path:literal, $wanted_by:expr, $of:expr) => {
        Unit {
            path: $path,
            text: include_str!(concat!("../../units/", $path)),
            wanted_by: $wanted_by,
            of: $of,
        }
    };
}

/// All units and drop-ins of an image. containerd's are told apart below.
const UNITS: &[Unit] = &[
    unit!("footplate-network.service", Some("sysinit.target"), None),
    unit!("footplate-reader.socket", Some("sockets.target"), None),
    unit!("footplate-reader@.service", None, None),
    unit!("footplate-catalog.service", Some("multi-user.target"), None),
    unit!("footplate.service", Some("multi-user.target"), None),
    // The unit itself comes with Cluster API's data.
    unit!("kubeadm.service.d/05-footplate.conf", None, None),
    unit!("kubelet.service", Some("multi-user.target"), Some("kubelet")),
    unit!("kubelet.service.d/10-kubeadm.conf", None, Some("kubelet")),
    unit!("locksmithd.service.d/10-footplate.conf", None, None),
    unit!("systemd-networkd-wait-online.service.d/10-footplate.conf", None, None),
    unit!("update-engine.service.d/10-footplate.conf", None, None),
    unit!("usr-local.mount", Some("multi-user.target"), None),
];

/// Where `usr-local.mount` keeps what is written to `/usr/local`.
const LOCAL: [&str; 2] = ["/opt/footplate/local/upper", "/opt/footplate/local/work"];

/// Where the explanations of journal entries stand, seen as `/usr/local/lib/systemd/catalog`: journald reads none in `/etc`.
pub(super) const CATALOG: &str = "/opt/footplate/local/upper/lib/systemd/catalog";

const CONTAINERD_UNIT: Unit = unit!("containerd.service", Some("multi-user.target"), Some("containerd"));
const CONTAINERD_DROP_IN: Unit = unit!("containerd.service.d/10-footplate.conf", None, None);

/// The units of coreos-cloudinit. It knows neither jinja nor runcmd, and would apply half of a cloud-config that is meant for
/// footplate.
pub const COREOS_CLOUDINIT: &[&str] = &[
    "enable-oem-cloudinit.service",
    "oem-cloudinit.service",
    "user-cloudinit-proc-cmdline.service",
    "user-config-ovfenv.service",
    "user-configdrive.service",
    "user-configvirtfs.service",
];

/// The unit of these that templates' units require (`Requires=` of kubeadm's on Nutanix): systemd starts nothing that requires a masked unit.
const REQUIRED: &str = "oem-cloudinit.service";

/// That unit, which does nothing.
const NOTHING: &str = "# Written by footplate.\n\
    [Unit]\n\
    Description=Stands in for coreos-cloudinit, which does not run here\n\
    \n\
    [Service]\n\
    Type=oneshot\n\
    RemainAfterExit=yes\n\
    ExecStart=/usr/bin/true\n";

/// An Ignition config that says nothing. Ignition prefers the one on the OEM partition to the platform's user-data, and would
/// stop the boot at a cloud-config that begins with a jinja header. 3.0.0 is read by every Ignition that Flatcar ships.
pub const CONFIG_IGN: &str = "{\"ignition\":{\"version\":\"3.0.0\"}}\n";

/// Modules that kubeadm's preflight and every network plugin look for.
const MODULES: &str = "# Written by footplate.\n\
    # containerd's snapshots are of this file system.\n\
    overlay\n\
    # Packets of a bridge pass iptables: Services need it.\n\
    br_netfilter\n";

/// Kernel settings that Kubernetes needs.
const SYSCTLS: &str = "# Written by footplate.\n\
    # kubeadm's preflight asks for these: pods' packets pass bridges and are routed.\n\
    net.bridge.bridge-nf-call-iptables = 1\n\
    net.bridge.bridge-nf-call-ip6tables = 1\n\
    net.ipv4.ip_forward = 1\n\
    net.ipv6.conf.all.forwarding = 1\n\
    # The kubelet wants them so, and refuses to start under protectKernelDefaults when they differ.\n\
    vm.overcommit_memory = 1\n\
    vm.panic_on_oom = 0\n\
    kernel.panic = 10\n\
    kernel.panic_on_oops = 1\n\
    kernel.keys.root_maxkeys = 1000000\n\
    kernel.keys.root_maxbytes = 25000000\n";

/// The node's files and links. `oem` is the directory of the OEM partition.
pub fn plan(lock: &Lock, choices: &Choices, oem: &str) -> Plan {
    let mut plan = Plan::default();
    for unit in UNITS {
        if unit.of.is_none_or(|name| lock.artifact(name).is_some()) {
            put_unit(unit, &mut plan);
        }
    }
    plan.items.extend(LOCAL.map(|path| Item::Directory(Directory::ours(path, 0o755))));
    let crictl = format!("# Written by footplate.\nruntime-endpoint: {SOCKET}\nimage-endpoint: {SOCKET}\n");
    file("/etc/crictl.yaml", &crictl, &mut plan);
    file(&format!("{CATALOG}/footplate.catalog"), include_str!("../../units/footplate.catalog"), &mut plan);
    file("/etc/modules-load.d/50-footplate.conf", MODULES, &mut plan);
    file("/etc/sysctl.d/50-footplate.conf", SYSCTLS, &mut plan);
    if let Some(pause) = &choices.pause_image {
        let containerd = lock.artifact("containerd");
        let merges = containerd.is_some_and(super::containerd::merges);
        let (main, cri) = containerd_config(pause, merges);
        file(CONTAINERD_CONFIG, &main, &mut plan);
        file(CONTAINERD_CRI, &cri, &mut plan);
        let own = containerd.is_some();
        put_unit(if own { &CONTAINERD_UNIT } else { &CONTAINERD_DROP_IN }, &mut plan);
        // Where templates put proxies; images of other distributions have it.
        plan.items.push(Item::Directory(Directory::ours(format!("{UNIT_DIR}/containerd.service.d"), 0o755)));
    }
    if choices.userdata == Userdata::CloudConfig {
        for unit in COREOS_CLOUDINIT {
            let path = format!("{UNIT_DIR}/{unit}");
            match *unit {
                REQUIRED => file(&path, NOTHING, &mut plan),
                _ => plan.items.push(Item::Link(Link::ours(path, "/dev/null"))),
            }
        }
        file(&format!("{oem}/config.ign"), CONFIG_IGN, &mut plan);
    }
    plan
}

/// containerd's main configuration, and that of its CRI plugin, which stands in an import of its own: containerd 1 takes a plugin's
/// settings from the last file that has any, so whatever an operator's files say, the cgroup driver, the pause image and runc stay.
/// In version 3 for a containerd that merges its files, and so takes an operator's of version 3 beside it; otherwise in version 2, which
/// all read.
fn containerd_config(pause: &str, merges: bool) -> (String, String) {
    let version = if merges { 3 } else { 2 };
    let main = format!(
        "# Written by footplate.\n\
         version = {version}\n\
         # What an operator adds comes first: the CRI plugin's settings, in the last file, stay. Registries need no file here, they go to\n\
         # /etc/containerd/certs.d. In containerd 1 another runtime needs a main file of its own instead of this one.\n\
         imports = [\"{IMPORTED}*.toml\", \"{CONTAINERD_CRI}\"]\n"
    );
    (main, cri_settings(pause, version))
}

/// The CRI plugin's settings that a node depends on, in version 2 or 3 of containerd's configuration.
pub fn cri_settings(pause: &str, version: u32) -> String {
    // A pause image is a reference of a registry: letters, digits and ./:@_-
    let pause: String =
        pause.chars().filter(|c| c.is_ascii_alphanumeric() || "./:@_-".contains(*c)).collect();
    let (runtime, images) = match version {
        3.. => ("\"io.containerd.cri.v1.runtime\"", "\"io.containerd.cri.v1.images\""),
        _ => ("\"io.containerd.grpc.v1.cri\"", "\"io.containerd.grpc.v1.cri\""),
    };
    // SELinux as in Flatcar's own configuration.
    let settings = match version {
        3.. => format!(
            "[plugins.{images}.pinned_images]\nsandbox = \"{pause}\"\n[plugins.{runtime}]\nenable_selinux = true\n"
        ),
        _ => format!("[plugins.{images}]\nsandbox_image = \"{pause}\"\nenable_selinux = true\n"),
    };
    format!(
        "# Written by footplate.\n\
         version = {version}\n\
         \n\
         # The pause image is the one that kubeadm pulls: with another one a node without registry has none.\n\
         {settings}\
         \n\
         [plugins.{images}.registry]\n\
         config_path = \"/etc/containerd/certs.d\"\n\
         \n\
         [plugins.{runtime}.containerd.runtimes.runc]\n\
         runtime_type = \"io.containerd.runc.v2\"\n\
         \n\
         [plugins.{runtime}.containerd.runtimes.runc.options]\n\
         # kubeadm sets the kubelet to systemd's cgroups; two managers of one tree make a node unstable.\n\
         SystemdCgroup = true\n"
    )
}

fn file(path: &str, text: &str, plan: &mut Plan) {
    plan.items.push(Item::File(File::ours(path, text)));
}

fn put_unit(unit: &Unit, plan: &mut Plan) {
    let path = format!("{UNIT_DIR}/{}", unit.path);
    file(&path, unit.text, plan);
    if let Some(target) = unit.wanted_by {
        // Links and not presets: those run on a machine's first boot only, before anything of ours.
        plan.items.push(Item::Link(Link::ours(format!("{UNIT_DIR}/{target}.wants/{}", unit.path), path)));
    }
}
