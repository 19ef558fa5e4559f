// SPDX-License-Identifier: Apache-2.0
//! Paths and names that several parts must spell alike.

/// Where unit files are that win over those of the image.
pub const UNIT_DIR: &str = "/etc/systemd/system";

/// The unit of the bootstrap, the name that Cluster API's own Ignition data uses.
pub const KUBEADM_UNIT: &str = "kubeadm.service";

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
