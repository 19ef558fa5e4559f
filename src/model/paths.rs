// SPDX-License-Identifier: Apache-2.0
//! Paths and names that several parts must spell alike.

/// Where the image has its time zones.
pub const ZONES: &str = "/usr/share/zoneinfo";

/// Where unit files are that win over those of the image.
pub const UNIT_DIR: &str = "/etc/systemd/system";

/// The unit of the bootstrap, the name that Cluster API's own Ignition data uses.
pub const KUBEADM_UNIT: &str = "kubeadm.service";

/// Files that count from the next boot on where they are written to a running system: the directory or the file, the ending of
/// names, and why.
pub const NEXT_BOOT: &[(&str, &str, &str)] = &[
    ("/var/lib/confexts/", "", "a configuration extension is merged at the next boot"),
    ("/etc/udev/hwdb.d/", ".hwdb", "systemd-hwdb-update.service reads it at the next boot"),
    ("/etc/systemd/network/", ".link", "udev sets it when the network card appears, at the next boot"),
    (
        "/etc/flatcar/enabled-sysext.conf",
        "",
        "the initramfs brings Flatcar's own extensions, at the next boot",
    ),
    ("/etc/crypttab", "", "encrypted volumes are opened at the next boot"),
    ("/etc/selinux/config", "", "systemd sets SELinux's mode at the next boot"),
];

/// Why a file counts from the next boot on only, if it does.
pub fn next_boot(path: &str) -> Option<&'static str> {
    let is = |at: &str, ending: &str| {
        if at.ends_with('/') { path.starts_with(at) && path.ends_with(ending) } else { path == at }
    };
    NEXT_BOOT.iter().find(|(at, ending, _)| is(at, ending)).map(|(.., why)| *why)
}

/// Where other distributions' certificate tools look for an operator's authorities: Debian, Fedora, SUSE, Arch. Each with
/// the end that a file's name must have.
pub const FOREIGN_TRUST: &[(&str, &str)] = &[
    ("/usr/local/share/ca-certificates", ".crt"),
    ("/etc/pki/ca-trust/source/anchors", ""),
    ("/etc/pki/trust/anchors", ""),
    ("/etc/ca-certificates/trust-source/anchors", ""),
];

/// These tools' names: Debian and SUSE, Fedora and Arch, Photon.
pub const FOREIGN_TRUST_TOOLS: &[&str] =
    &["update-ca-certificates", "update-ca-trust", "rehash_ca_certificates.sh"];

/// Whether a path begins with a drive of Windows.
pub fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}

/// Programs that install packages elsewhere, and that are stood in for.
pub const FOREIGN_PACKAGE_TOOLS: &[&str] = &[
    "apt-get",
    "add-apt-repository",
    "apt",
    "apt-cache",
    "apt-key",
    "apt-mark",
    "dnf",
    "dpkg",
    "tdnf",
    "yum",
    "yum-config-manager",
    "zypper",
];

/// Files that usually hold secrets and that root alone reads: kubeadm's, static pods, keys, credentials of registries, and the
/// same of RKE2 and k3s. A slash at the end stands for all below a directory.
const SECRET_FILES: &[&str] = &[
    "/etc/containerd/certs.d/",
    "/etc/containerd/conf.d/",
    "/etc/containerd/config.toml",
    "/etc/kubeadm.yml",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/manifests/",
    "/etc/kubernetes/pki/",
    "/etc/kubernetes/scheduler.conf",
    "/etc/rancher/",
    "/root/.docker/config.json",
    "/run/kubeadm/",
    "/var/lib/kubelet/config.json",
];

/// The mode of a file that the data gives none: 0600 for one that usually holds secrets, else 0644 as everywhere.
pub fn default_mode(path: &str) -> u32 {
    let is = |known: &&str| if known.ends_with('/') { path.starts_with(*known) } else { path == *known };
    if SECRET_FILES.iter().any(is) { 0o600 } else { 0o644 }
}
