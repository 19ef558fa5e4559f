// SPDX-License-Identifier: Apache-2.0
//! The command line of what builds images: `bake`, `verify` and `seal`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;

/// Which user-data the image's machines get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Flavour {
    /// Cluster API's cloud-config, read by footplate alone: an OEM config.ign keeps Ignition from it, and
    /// coreos-cloudinit is masked.
    #[default]
    CloudConfig,
    /// Ignition, read by Flatcar's initramfs.
    Ignition,
}

/// How long what builds images waits for the network.
#[derive(Clone, Copy, Debug, Args)]
pub struct Patience {
    /// Fetch no longer than this, all artifacts together: seconds, or with a unit as in 90s, 5m and 1h
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub timeout: Option<Duration>,
}

/// Arguments of `bake`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Bake {
    /// What to make instead of an image.
    #[command(subcommand)]
    pub what: Option<BakeWhat>,
    /// The lock file
    #[arg(long, value_name = "FILE", required = true)]
    pub lock: Option<PathBuf>,
    /// The image's root directory
    #[arg(long, value_name = "DIR", required = true)]
    pub root: Option<PathBuf>,
    /// A directory or an address with the artifacts, each by the last part of its URL
    #[arg(long, value_name = "DIR-OR-URL")]
    pub from: Option<String>,
    /// How long to fetch.
    #[command(flatten)]
    pub patience: Patience,
    /// Which user-data the image's machines get
    #[arg(long, value_enum, default_value_t)]
    pub userdata: Flavour,
    /// Give containerd a configuration with systemd's cgroups and the pause image that this kubeadm pulls
    #[arg(long)]
    pub containerd_config: bool,
    /// Use this pause image instead of asking kubeadm
    #[arg(long, value_name = "IMAGE", requires = "containerd_config")]
    pub pause_image: Option<String>,
    /// Bake although there is a conflict of this kind, which is then recorded; may be given more than once
    #[arg(long, value_name = "KIND", value_parser = ["shadowed", "unit", "containerd", "foreign", "socket", "pause", "cgroup"])]
    pub allow: Vec<String>,
    /// How many artifacts are fetched at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
    /// Show what would be done, and fetch and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Bake although the root is not Flatcar's
    #[arg(long)]
    pub force: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What `bake` can make instead of an image.
#[derive(Debug, Subcommand)]
pub enum BakeWhat {
    /// Write a lock file from the checksums that upstream publishes
    #[command(
        long_about = "Writes a lock file from the SHA-256 checksums that upstream publishes beside its releases. Keep it with \
        what builds the image: from then on the build trusts this file and no server. Kubernetes' three are taken only with \
        their signatures (.sig and .cert beside each), which must be its release managers', by a certificate of Sigstore's; with \
        --from, signatures that are there are verified. What was not verified is named in the output.\n\n\
        The form is JSON: {\"version\": 1, \"arch\": \"amd64\", \"artifacts\": [{\"name\", \"version\", \"url\", \"sha256\" or \
        \"sha512\", \"install\": [{\"from\", \"to\", \"mode\"}]}]}. `from` is a path inside a .tar.gz or .tgz, empty for a plain \
        file; a `to` that ends in / takes all below `from`.",
        after_help = "Exit codes: 64 usage; 65 a checksum is missing, or is not the signed one; 74 write failed; 75 fetch \
        failed."
    )]
    Lock(BakeLock),
    /// Make a system extension image: footplate, and what a lock names, for stock Flatcar
    #[command(
        long_about = "Makes an image for systemd-sysext with footplate, its units and, with --lock, Kubernetes. It fits any \
        release of Flatcar. Link it from /etc/extensions; in the name of the file, what stands before the first dash is the \
        extension's name. Two images of one lock are equal byte for byte. mksquashfs or mkfs.erofs writes it.",
        after_help = "Exit codes: 64 usage; 65 verification failed; 74 the image could not be made; 75 fetch failed."
    )]
    Sysext(BakeSysext),
}

/// Arguments of `bake sysext`.
#[derive(Debug, Args)]
pub struct BakeSysext {
    /// The image file to write, for example footplate.raw
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// A lock file with what is installed beside footplate
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// A directory or an address with the artifacts, each by the last part of its URL
    #[arg(long, value_name = "DIR-OR-URL", requires = "lock")]
    pub from: Option<String>,
    /// How long to fetch.
    #[command(flatten)]
    pub patience: Patience,
    /// Which user-data its machines get
    #[arg(long, value_enum, default_value_t)]
    pub userdata: Flavour,
    /// The image's file system
    #[arg(long, default_value = "squashfs", value_parser = ["squashfs", "erofs"])]
    pub filesystem: String,
    /// How many artifacts are fetched at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `bake lock`.
#[derive(Debug, Args)]
pub struct BakeLock {
    /// kubeadm, kubelet and kubectl of this version, for example v1.34.1
    #[arg(long, value_name = "VERSION")]
    pub kubernetes: String,
    /// The CNI plugins of this version
    #[arg(long, value_name = "VERSION")]
    pub cni_plugins: Option<String>,
    /// crictl of this version; Flatcar includes one
    #[arg(long, value_name = "VERSION")]
    pub crictl: Option<String>,
    /// containerd of this version; Flatcar includes one
    #[arg(long, value_name = "VERSION")]
    pub containerd: Option<String>,
    /// runc of this version; Flatcar includes one
    #[arg(long, value_name = "VERSION")]
    pub runc: Option<String>,
    /// The keyring of runc's release managers, in gpg's format; gpgv verifies with it
    #[arg(long, value_name = "FILE", requires = "runc")]
    pub runc_keyring: Option<PathBuf>,
    /// The image's architecture
    #[arg(long, value_name = "ARCH", default_value = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, value_parser = ["amd64", "arm64"])]
    pub arch: String,
    /// A directory or an address with the files of checksums and signatures, each by the last part of its URL
    #[arg(long, value_name = "DIR-OR-URL")]
    pub from: Option<String>,
    /// How long to fetch.
    #[command(flatten)]
    pub patience: Patience,
    /// Write the lock to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `seal`.
#[derive(Debug, Args)]
pub struct Seal {
    /// The image's root directory
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// Show what would be removed and what would be left, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Seal although the root is not Flatcar's, or nothing was baked in it
    #[arg(long)]
    pub force: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Compare the image's lock with this file
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
