// SPDX-License-Identifier: Apache-2.0
//! The command line: a contract, since units and image builds call it.

mod check;
mod image;
mod support;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::check::{Check, CheckFormat};
pub use self::image::{Bake, BakeLock, BakeSysext, BakeWhat, Flavour, Seal, Verify};
pub use self::support::{COMPLETIONS, Clean, Collect, Completion, Retry};

/// Sets up a Flatcar node from its provider's metadata and Cluster API's bootstrap data.
#[derive(Debug, Parser)]
#[command(name = "footplate", version = env!("FOOTPLATE_VERSION"), about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How much is told, and in which colours.
    #[command(flatten)]
    pub telling: Telling,
}

/// How much each command tells, and in which colours.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Telling {
    /// Tell each step too; of `check`: what would be made on each node
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Tell errors and warnings alone, and what was asked for
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Use colours: `auto` (on a terminal, unless NO_COLOR is set), `always` or `never`
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true,
        global = true
    )]
    pub color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that shows them.
    #[default]
    Auto,
    /// Also where the output is no terminal.
    Always,
    /// Not at all.
    Never,
}

const EXIT_CODES: &str = "Exit codes: 0 success; 64 usage or policy; 65 bad user-data; 69 no platform; 70 start or report failed; \
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
    Plan(Plan),
    /// Check bootstrap data, or the objects that Cluster API makes it of, offline
    #[command(
        long_about = "Checks user-data, bootstrap Secrets, and objects of Cluster API: KubeadmConfig, KubeadmConfigTemplate, \
        KubeadmControlPlane and KubeadmControlPlaneTemplate, those of RKE2 and k3s too, also in the output of `clusterctl \
        generate`. Each object is rendered to the bootstrap data that its nodes get. Network configurations and policies are \
        checked as they are. Nothing is run, and no network is asked.",
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
    /// Look at what kubeadm needs and wait for it; run by the bootstrap's script
    #[command(
        long_about = "Looks at what `kubeadm init` and `kubeadm join` need, waits for an API server that is not up yet, and tells \
        what stands against kubeadm. With --after it says whether a join that failed is to be run again. The words are those that \
        kubeadm gets.",
        after_help = "Exit codes: 0 run kubeadm; 70 do not run it. With --after: 0 run it again; 1 do not; 2 run `kubeadm reset phase \
        cleanup-node` and ask again with --undone."
    )]
    Preflight(Preflight),
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
    /// List the names that a template can use on this machine, and their values
    #[command(
        after_help = "Of a secret the length is shown. Exit codes: 64 usage, or a name that does not exist."
    )]
    Query(Query),
    /// Put what support needs into one file: answers and logs, without secrets
    #[command(
        long_about = "Writes one file (tar): what `capture` records, the logs of this boot, and what networkctl and systemd-analyze say. \
        Bootstrap data becomes a picture of itself, and words of it that may be secrets are replaced in the logs. --replay takes the \
        file as it is."
    )]
    Collect(Collect),
    /// Begin a failed bootstrap again, where that is safe
    #[command(
        long_about = "Begins a bootstrap that failed again: metadata and bootstrap data are read again, and all of the data's commands \
        run again. It says first what it will do, and asks. It refuses a member of a cluster, and a machine on which kubeadm wrote \
        something: run `kubeadm reset` there first.",
        after_help = "Exit codes: 0 started, or not wanted; 64 usage; 70 refused, or not started."
    )]
    Retry(Retry),
    /// Forget what footplate did on this machine
    #[command(
        long_about = "Removes all that footplate remembers of this machine and its instance, so that the next start of footplate.service \
        bootstraps it like a new one. The files, accounts and units that the bootstrap data made stay, unless --made is given. It \
        refuses a member of a cluster.",
        after_help = "Exit codes: 0 cleaned; 64 usage, or refused; 74 could not be cleaned."
    )]
    Clean(Clean),
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
    /// Print what makes a shell complete this command line
    #[command(
        long_about = "Prints the completion of this command line for a shell, as `source <(footplate completion bash)` takes it. The \
        files stand beside the program, with its man pages: a release has them in footplate-VERSION-pages.tar.gz."
    )]
    Completion(Completion),
    /// Remove from an image what belongs to one machine
    #[command(
        long_about = "Removes what belongs to the one machine that built the image: machine-id, host keys, SSH keys, \
        footplate's state, network files, logs. The next boot is a first one. Refuses an image that a person could log \
        in to with a password, a member of a cluster, and a root that is not Flatcar or in which nothing was baked.",
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
    #[arg(long, value_name = "NAME", conflicts_with = "seed")]
    pub platform: Option<String>,
    /// A NoCloud directory: user-data, meta-data, network-config, vendor-data
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub seed: Option<PathBuf>,
    /// A machine's answers: a directory of `capture`, or a file of `collect`
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
    /// Wait for the metadata no longer than this: seconds, or with a unit as in 90s, 5m and 1h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
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
    pub out: Option<PathBuf>,
}

/// Arguments of `provision`.
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

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Those that it shares with `provision`.
    #[command(flatten)]
    pub provision: Provision,
    /// Show what differs inside text files; of files that may hold a secret only lengths and digests
    #[arg(long)]
    pub diff: bool,
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

/// Arguments of `preflight`.
#[derive(Debug, Args)]
pub struct Preflight {
    /// kubeadm ran and ended with this exit status
    #[arg(long, value_name = "STATUS")]
    pub after: Option<i32>,
    /// `kubeadm reset` ran after it
    #[arg(long, requires = "after")]
    pub undone: bool,
    /// The words behind `kubeadm`
    #[arg(last = true, required = true)]
    pub words: Vec<String>,
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
    /// Show a machine's recorded status: a directory of `capture`, or a file of `collect`
    #[arg(long, value_name = "DIR", conflicts_with_all = ["root", "until"])]
    pub replay: Option<PathBuf>,
    /// Wait until the bootstrap is done or failed
    #[arg(long, group = "until")]
    pub wait: bool,
    /// Show it again at each change until then; with JSON, a document for each
    #[arg(long, group = "until")]
    pub watch: bool,
    /// Wait no longer than this: seconds, or with a unit as in 90s, 5m and 1h
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "until", value_parser = duration)]
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
    /// Show a machine's recorded times: a directory of `capture`, or a file of `collect`
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

/// Arguments of `query`.
#[derive(Debug, Args)]
pub struct Query {
    /// A name, such as ds.meta_data.hostname: it and all below it; without one all names
    pub name: Option<String>,
    /// The source.
    #[command(flatten)]
    pub source: Source,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_by_its_unit() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "5d", "5ms", "-1", "1.5m", "5 m", "18446744073709551615h"] {
            assert!(duration(text).unwrap_err().contains("not a time"), "{text}");
        }
    }
}
