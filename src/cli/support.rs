// SPDX-License-Identifier: Apache-2.0
//! The command line of what helps people: `collect`, `retry`, `clean` and `completion`.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Source};

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub struct Retry {
    /// Do it without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// Arguments of `collect`.
#[derive(Debug, Args)]
pub struct Collect {
    /// The file to write, for example node-1.tar; only its owner reads it
    pub file: PathBuf,
    /// The source.
    #[command(flatten)]
    pub source: Source,
}

/// The shells that have a completion, and its file below the directory `share` of a release.
pub const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "bash-completion/completions/footplate"),
    ("fish", "fish/vendor_completions.d/footplate.fish"),
    ("zsh", "zsh/site-functions/_footplate"),
];

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    #[arg(value_parser = ["bash", "fish", "zsh"])]
    pub shell: String,
}

/// Arguments of `clean`.
#[derive(Debug, Args)]
pub struct Clean {
    /// The machine's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Also remove the files, accounts and units that footplate made of bootstrap data and metadata
    #[arg(long)]
    pub made: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do it although the machine is a member of a cluster, or its bootstrap runs
    #[arg(long)]
    pub force: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
