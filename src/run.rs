// SPDX-License-Identifier: Apache-2.0
//! The program from its arguments to its exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Color, Command};
use crate::model::problem::{Failure, Stage};
use crate::{commands, io, log};

/// The program: arguments, log, the command, the error with its cure, exit code.
pub fn run() -> ExitCode {
    io::process::no_backtraces();
    io::process::no_core_dumps();
    // No command of people's: systemd starts it, and it has no options.
    if std::env::args_os().skip(1).eq([commands::reader::NAME]) {
        log::init(true, false);
        return ended(commands::reader::run());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and are not errors.
            let code = if error.use_stderr() { Stage::Usage.exit_code() } else { 0 };
            print(&error);
            if let Some(hint) = commands::meant(&error) {
                let _ = writeln!(std::io::stderr(), "\n hint: {hint}");
            }
            return ExitCode::from(code);
        }
    };
    // What the other commands print is their result, and nothing of the log belongs to it.
    let is_a_step = matches!(
        cli.command,
        Command::KubeadmPrepare(_)
            | Command::Network(_)
            | Command::Preflight(_)
            | Command::Provision(_)
            | Command::Report(_)
    );
    if !matches!(cli.command, Command::Capture(_)) {
        // What `capture` writes is the caller's own.
        io::process::own_umask();
    }
    if !is_a_step {
        io::http::for_a_person();
    }
    if cli.telling.color != Color::Auto {
        io::live::use_colours(cli.telling.color == Color::Always);
    }
    log::init(is_a_step || cli.telling.verbose, cli.telling.quiet);
    ended(commands::run(&cli))
}

/// The exit code of a command, whose error is told.
fn ended(done: Result<u8, Failure>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ::log::error!(target: "footplate", "{}", failure.to_string().trim_start_matches("error: "));
            ExitCode::from(failure.stage.exit_code())
        }
    }
}

/// Prints what the command line was answered: help as wide as a terminal is at least, errors as they are.
fn print(error: &clap::Error) {
    if error.use_stderr() {
        let _ = error.print();
        return;
    }
    let help = error.render().to_string();
    let lines = help.lines().flat_map(io::screen::wrapped).map(|line| format!("{}\n", line.trim_end()));
    // Who reads it may have gone.
    let _ = std::io::stdout().write_all(lines.collect::<String>().as_bytes());
}
