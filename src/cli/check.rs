// SPDX-License-Identifier: Apache-2.0
//! The command line of `check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The form of `check`'s output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for tools that show findings beside the code.
    Sarif,
    /// GitHub's workflow commands, which annotate a pull request.
    Github,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Files, directories with files of YAML or JSON, or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "explain")]
    pub files: Vec<PathBuf>,
    /// The platform of the machines: its limits hold, and the names that it may lack in templates are warnings
    #[arg(long, value_name = "ID")]
    pub platform: Option<String>,
    /// A machine's metadata in YAML or JSON: templates are rendered with its values
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Take warnings for errors
    #[arg(long)]
    pub strict: bool,
    /// Say what a code means, and what to do: one of a finding, of a node that failed, or of an image
    #[arg(long, value_name = "CODE", conflicts_with = "files")]
    pub explain: Option<String>,
    /// Show the line of each finding, which may hold a secret
    #[arg(long)]
    pub show_values: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}
