// SPDX-License-Identifier: Apache-2.0
//! The command line: a contract, since units and image builds call it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Sets up a Flatcar node from its provider's metadata and Cluster API's bootstrap data.
#[derive(Debug, Parser)]
#[command(name = "footplate", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 well; 64 usage; 65 bad user-data; 69 no platform; 70 start or report failed; \
    74 apply failed; 75 fetch failed. `plan` and `status` have more, see their help.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write networkd's files, links and the hostname
    #[command(
        long_about = "Writes networkd's files, links and the hostname from what the machine can tell without a \
        network. Where there is nothing, the image's default stays."
    )]
    Network(Network),
    /// Fetch, decode, plan, apply, start and report: the whole
    #[command(
        long_about = "Fetches, decodes, plans, applies, starts and reports. With --root, units are written and \
        enabled but not started, also with --root /."
    )]
    Provision(Provision),
    /// Show what provision would do, as a diff
    #[command(after_help = "Exit codes: 0 nothing to do; 2 changes.")]
    Plan(Provision),
    /// Tell whether user-data, or a Cluster API bootstrap Secret, is good here
    #[command(after_help = "Exit codes: 0 good; 65 not.")]
    Check(Input),
    /// Show what a part of footplate makes of its input
    Render(Render),
    /// Make kubeadm's configuration ready for this machine; run by kubeadm.service before it starts
    #[command(
        long_about = "Expands ${COREOS_*}, ${FOOTPLATE_*}, ${AFTERBURN_*} and {{ ds.meta_data.* }} in kubeadm's \
        configuration, and fills in nodeRegistration.name and provider-id where they were left empty. A name without a \
        value is an error that names it. Values come from the environment and from /run/metadata."
    )]
    KubeadmPrepare(KubeadmPrepare),
    /// Settle kubeadm's result and tell the platform; run by kubeadm.service when it ended
    Report(Report),
    /// Show how the bootstrap stands
    #[command(after_help = "Exit codes: 0 done; 1 failed; 2 running.")]
    Status(Status),
    /// Show where the boot's time went
    Timeline(Timeline),
    /// Keep what the machine answers, without its secrets, for --replay and for support
    Capture(Capture),
    /// List the platforms, and which one this machine is and why
    Platforms(Platforms),
    /// Install Kubernetes and the rest of a node into an image, from a lock file
    #[command(
        long_about = "Installs what a lock file names into an image, and the rest of a node: units, kernel settings, \
        and what keeps Flatcar's own first-boot programs from reading Cluster API's user-data. Nothing that does not \
        match its digest is installed, and nothing is put in use before all of it is there.",
        after_help = "Exit codes: 64 usage; 65 does not verify; 74 could not install; 75 could not fetch."
    )]
    Bake(Box<Bake>),
    /// Tell whether an image or a node is as it was baked
    #[command(after_help = "Exit codes: 0 it is; 65 it is not.")]
    Verify(Verify),
    /// Make an image one that has not booted
    #[command(
        long_about = "Removes what belongs to the one machine that built the image: machine-id, host keys, SSH keys, \
        footplate's state, network files, logs. The next boot is a first one. Refuses an image that somebody could log \
        in to with a password, and a member of a cluster.",
        after_help = "Exit codes: 0 sealed; 65 refused; 74 could not be sealed."
    )]
    Seal(Seal),
}

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Where the metadata comes from: without any of these, the machine's own platform.
#[derive(Clone, Debug, Default, Args)]
pub struct Source {
    /// The platform, instead of finding it out
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seed", "replay"])]
    pub platform: Option<String>,
    /// A NoCloud directory: user-data, meta-data, network-config, vendor-data
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub seed: Option<PathBuf>,
    /// A directory with a machine's answers
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
}

/// Arguments of `network`.
#[derive(Debug, Args)]
pub struct Network {
    /// The source.
    #[command(flatten)]
    pub source: Source,
    /// Write below this directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Write networkd's files to this directory, and nothing else: for an initramfs
    #[arg(long, value_name = "DIR", conflicts_with = "root")]
    pub out: Option<String>,
}

/// Arguments of `provision` and `plan`.
#[derive(Debug, Args)]
pub struct Provision {
    /// The source.
    #[command(flatten)]
    pub source: Source,
    /// Write below this directory, and start nothing
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Input {
    /// The file, `-` for standard input
    pub file: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
pub struct Render {
    /// Which part
    #[command(subcommand)]
    pub what: RenderWhat,
}

/// Parts that render.
#[derive(Debug, Subcommand)]
pub enum RenderWhat {
    /// A network config, or guestinfo.metadata with one, as networkd's files
    Network(Input),
}

/// Arguments of `kubeadm-prepare`.
#[derive(Debug, Args)]
pub struct KubeadmPrepare {
    /// The configuration, a path below the root directory
    pub file: String,
    /// The machine's root directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The source.
    #[command(flatten)]
    pub source: Source,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The machine's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Wait until it is done or failed
    #[arg(long)]
    pub wait: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "wait")]
    pub timeout: u64,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How `timeline` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimelineFormat {
    /// Bars of text.
    #[default]
    Text,
    /// A picture.
    Svg,
    /// For programs.
    Json,
}

/// Arguments of `timeline`.
#[derive(Debug, Args)]
pub struct Timeline {
    /// The machine's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// A captured directory
    #[arg(long, value_name = "DIR", conflicts_with = "root")]
    pub replay: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: TimelineFormat,
}

/// Arguments of `capture`.
#[derive(Debug, Args)]
pub struct Capture {
    /// The directory to write, which must be empty or absent
    pub dir: PathBuf,
    /// The source.
    #[command(flatten)]
    pub source: Source,
}

/// Arguments of `platforms`.
#[derive(Debug, Args)]
pub struct Platforms {
    /// The source.
    #[command(flatten)]
    pub source: Source,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Which user-data an image's machines get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Flavour {
    /// Cluster API's cloud-config, read by footplate alone: an OEM config.ign keeps Ignition from it, and
    /// coreos-cloudinit is masked.
    #[default]
    CloudConfig,
    /// Ignition, read by Flatcar's initramfs.
    Ignition,
}

/// Arguments of `bake`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Bake {
    /// What else than an image.
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
    /// Which user-data the image's machines get
    #[arg(long, value_enum, default_value_t)]
    pub userdata: Flavour,
    /// Give containerd a configuration with systemd's cgroups and the pause image that this kubeadm pulls
    #[arg(long)]
    pub containerd_config: bool,
    /// The pause image, instead of asking kubeadm
    #[arg(long, value_name = "IMAGE", requires = "containerd_config")]
    pub pause_image: Option<String>,
    /// Bake although there is a conflict of this kind, which is then recorded; may be given more than once
    #[arg(long, value_name = "KIND", value_parser = ["shadowed", "unit", "containerd", "foreign", "socket", "pause", "cgroup"])]
    pub allow: Vec<String>,
    /// How many artifacts come at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What `bake` makes beside images.
#[derive(Debug, Subcommand)]
pub enum BakeWhat {
    /// Write a lock file from the checksums that upstream publishes
    #[command(
        long_about = "Writes a lock file from the SHA-256 checksums that upstream publishes beside its releases. Keep it with \
        what builds the image: from then on the build trusts this file and no server. Kubernetes' three are taken only with \
        their signatures (.sig and .cert beside each), which must be its release managers', by a certificate of Sigstore's; with \
        --from, signatures that are there are verified. What was not verified is said by name.\n\n\
        The form is JSON: {\"version\": 1, \"arch\": \"amd64\", \"artifacts\": [{\"name\", \"version\", \"url\", \"sha256\" or \
        \"sha512\", \"install\": [{\"from\", \"to\", \"mode\"}]}]}. `from` is a path inside a .tar.gz or .tgz, empty for a plain \
        file; a `to` that ends in / takes all below `from`.",
        after_help = "Exit codes: 64 usage; 65 no checksum in what came, or not the one that is signed; 74 could not write; 75 could \
        not fetch."
    )]
    Lock(BakeLock),
    /// Make a system extension image: footplate, and what a lock names, for stock Flatcar
    #[command(
        long_about = "Makes an image for systemd-sysext with footplate, its units and, with --lock, Kubernetes. It fits any \
        release of Flatcar. Link it from /etc/extensions; in the name of the file, what stands before the first dash is the \
        extension's name. Two images of one lock are equal byte for byte. mksquashfs or mkfs.erofs writes it.",
        after_help = "Exit codes: 64 usage; 65 does not verify; 74 could not be made; 75 could not fetch."
    )]
    Sysext(BakeSysext),
}

/// Arguments of `bake sysext`.
#[derive(Debug, Args)]
pub struct BakeSysext {
    /// The image, as footplate.raw
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// A lock file with what comes beside footplate
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// A directory or an address with the artifacts, each by the last part of its URL
    #[arg(long, value_name = "DIR-OR-URL", requires = "lock")]
    pub from: Option<String>,
    /// Which user-data its machines get
    #[arg(long, value_enum, default_value_t)]
    pub userdata: Flavour,
    /// The image's file system
    #[arg(long, default_value = "squashfs", value_parser = ["squashfs", "erofs"])]
    pub filesystem: String,
    /// How many artifacts come at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `bake lock`.
#[derive(Debug, Args)]
pub struct BakeLock {
    /// kubeadm, kubelet and kubectl of this version, as v1.34.1
    #[arg(long, value_name = "VERSION")]
    pub kubernetes: String,
    /// The CNI plugins of this version
    #[arg(long, value_name = "VERSION")]
    pub cni_plugins: Option<String>,
    /// crictl of this version; Flatcar brings one
    #[arg(long, value_name = "VERSION")]
    pub crictl: Option<String>,
    /// containerd of this version; Flatcar brings one
    #[arg(long, value_name = "VERSION")]
    pub containerd: Option<String>,
    /// runc of this version; Flatcar brings one
    #[arg(long, value_name = "VERSION")]
    pub runc: Option<String>,
    /// The keys of those who sign runc's releases, as gpg keeps them; gpgv verifies with them
    #[arg(long, value_name = "FILE", requires = "runc")]
    pub runc_keyring: Option<PathBuf>,
    /// The image's architecture
    #[arg(long, value_name = "ARCH", default_value = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, value_parser = ["amd64", "arm64"])]
    pub arch: String,
    /// A directory or an address with the files of checksums and signatures, each by the last part of its URL
    #[arg(long, value_name = "DIR-OR-URL")]
    pub from: Option<String>,
    /// Write it there, and not to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `seal`.
#[derive(Debug, Args)]
pub struct Seal {
    /// The image's root directory
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// A lock file that is kept elsewhere, to check the image's own against
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
