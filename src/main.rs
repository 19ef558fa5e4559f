// SPDX-License-Identifier: Apache-2.0
//! The program: arguments, log, run, the error with its cure, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use footplate::cli::{Cli, Command};
use footplate::model::problem::Stage;

fn main() -> ExitCode {
    footplate::io::process::no_backtraces();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no errors.
            let code = if error.use_stderr() { Stage::Usage.exit_code() } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // What these print is their result, and nothing of the log belongs to it.
    let quiet = !matches!(
        cli.command,
        Command::KubeadmPrepare(_) | Command::Network(_) | Command::Provision(_) | Command::Report(_)
    );
    footplate::log::init(quiet);
    match footplate::commands::run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            log::error!(target: "footplate", "{}", failure.to_string().trim_start_matches("error: "));
            ExitCode::from(failure.stage.exit_code())
        }
    }
}
