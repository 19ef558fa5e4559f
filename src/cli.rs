// SPDX-License-Identifier: Apache-2.0
//! The command line: a contract, since units and image builds call it.

mod check;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::check::{Check, CheckFormat};

/// Sets up a Flatcar node from its provider's metadata and Cluster API's bootstrap data.
#[derive(Debug, Parser)]
#[command(name = "footplate", version = env!("FOOTPLATE_VERSION"), about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success; 64 usage; 65 bad user-data; 69 no platform; 70 start or report failed; \
    74 apply failed; 75 fetch failed. `plan` and `status` have more, see their help.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write networkd's files, links and the hostname
    #[command(
        long_about = "Writes networkd's files, links and the hostname from what the machine can tell without a \
        network. Without network metadata the image's default stays."
    )]
    Network(Network),
    /// Set the node up: fetch, decode, plan, apply, start and report
    #[command(
        long_about = "Fetches, decodes, plans, applies, starts and reports. With --root, units are written and \
        enabled but not started, also with --root /."
    )]
    Provision(Provision),
    /// Show what provision would do, as a diff
    #[command(after_help = "Exit codes: 0 no changes; 2 changes.")]
    Plan(Provision),
    /// Check bootstrap data, or the objects that Cluster API makes it of, offline
    #[command(
        long_about = "Checks user-data, bootstrap Secrets, and objects of Cluster API: KubeadmConfig, KubeadmConfigTemplate, \
        KubeadmControlPlane and KubeadmControlPlaneTemplate, also in the output of `clusterctl generate`. Each object is \
        rendered to the bootstrap data that its nodes get. Nothing is run, and no network is asked.",
        after_help = "Exit codes: 0 no errors; 64 usage; 65 errors."
    )]
    Check(Check),
    /// Show what footplate makes of a part of its input
    Render(Render),
    /// Make kubeadm's configuration ready for this machine; run by kubeadm.service before it starts
    #[command(
        long_about = "Expands ${COREOS_*}, ${FOOTPLATE_*}, ${AFTERBURN_*} and {{ ds.meta_data.* }} in kubeadm's \
        configuration, and fills in nodeRegistration.name and provider-id where they were left empty. A name without a \
        value is an error that names it. Values come from the environment and from /run/metadata."
    )]
    KubeadmPrepare(KubeadmPrepare),
    /// Record kubeadm's result and report it to the platform; run by kubeadm.service at its end
    Report(Report),
    /// Show the state of the bootstrap
    #[command(after_help = "Exit codes: 0 done, or nothing-to-do; 1 failed; 2 running, waiting, or not-run.")]
    Status(Status),
    /// Show how long each part of the boot took
    Timeline(Timeline),
    /// Record the machine's answers without secrets, for --replay and for support
    Capture(Capture),
    /// List the platforms; tell which one this machine is, and why
    Platforms(Platforms),
    /// Install Kubernetes and the rest of a node into an image, from a lock file
    #[command(
        long_about = "Installs what a lock file names into an image, and the rest of a node: units, kernel settings, \
        and what keeps Flatcar's own first-boot programs from reading Cluster API's user-data. Nothing that does not \
        match its digest is installed, and nothing is put in use before all of it is there.",
        after_help = "Exit codes: 64 usage; 65 verification failed; 74 installation failed; 75 fetch failed."
    )]
    Bake(Box<Bake>),
    /// Check that an image or a node still holds what was baked
    #[command(after_help = "Exit codes: 0 it does; 65 it does not.")]
    Verify(Verify),
    /// Remove from an image what belongs to one machine
    #[command(
        long_about = "Removes what belongs to the one machine that built the image: machine-id, host keys, SSH keys, \
        footplate's state, network files, logs. The next boot is a first one. Refuses an image that a person could log \
        in to with a password, and a member of a cluster.",
        after_help = "Exit codes: 0 sealed; 65 refused; 74 could not be sealed."
    )]
    Seal(Seal),
}

/// A time as people write it: `90`, `90s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    let time = number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds)).filter(|_| seconds > 0);
    time.map(Duration::from_secs).ok_or_else(|| "not a time: write seconds, or 90s, 5m, 1h".to_owned())
}

/// The form of a command's output.
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
    /// Name the platform instead of detecting it
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
    /// Write below this directory and start no unit
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `render network`.
#[derive(Debug, Args)]
pub struct Input {
    /// The file, `-` for standard input
    pub file: PathBuf,
    /// Form of the output
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
    /// Record the end of a provision that left no result; run by footplate.service at its end
    #[arg(long)]
    pub provision: bool,
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
    /// Wait until the bootstrap is done or failed
    #[arg(long)]
    pub wait: bool,
    /// Wait no longer than this: seconds, or with a unit as in 90s, 5m and 1h
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "wait", value_parser = duration)]
    pub timeout: Duration,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The form of `timeline`'s output.
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
    /// Form of the output
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
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

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
