// SPDX-License-Identifier: Apache-2.0
//! The commands, a file each: arguments in, the pipeline called, text or JSON out.

mod bake;
mod capture;
mod check;
mod clean;
mod collect;
mod completion;
mod item;
mod kubeadm_prepare;
mod network;
mod output;
mod plan;
mod platforms;
mod preflight;
mod provision;
mod query;
pub mod reader;
mod render;
mod report;
mod retry;
mod seal;
mod status;
mod timeline;
mod verify;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::{self, Cli, Command, RenderWhat};
use crate::decode::syntax::words;
use crate::io;
use crate::model::problem::Failure;
use crate::pipeline;
use crate::pipeline::context::{Context, Place, Source};

/// Exit code of `plan` where something would change, and of `status` while the bootstrap runs.
const PENDING: u8 = 2;

/// Runs a command and gives its exit code.
///
/// # Errors
/// What failed, in which stage.
pub fn run(cli: &Cli) -> Result<u8, Failure> {
    budget(&cli.command);
    chosen(cli).map_err(|mut failure| {
        for problem in &mut failure.problems {
            let denied = |text: &String| text.contains("Permission denied");
            // Whatever else it may be about, this is what stands in the way.
            if (denied(&problem.what) || problem.why.iter().any(denied)) && !io::process::is_root() {
                problem.cure = Some("this needs root: run it again with `sudo`".to_owned());
            }
        }
        failure
    })
}

fn chosen(cli: &Cli) -> Result<u8, Failure> {
    match &cli.command {
        Command::Network(args) => network::run(args),
        Command::Provision(args) => provision::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Check(args) => check::run(args, cli.telling),
        Command::Render(args) => match &args.what {
            RenderWhat::Network(input) => render::run(input),
        },
        Command::KubeadmPrepare(args) => kubeadm_prepare::run(args),
        Command::Preflight(args) => preflight::run(args),
        Command::Report(args) => report::run(args),
        Command::Status(args) => status::run(args),
        Command::Timeline(args) => timeline::run(args),
        Command::Capture(args) => capture::run(args),
        Command::Platforms(args) => platforms::run(args),
        Command::Query(args) => query::run(args),
        Command::Collect(args) => collect::run(args),
        Command::Retry(args) => retry::run(args),
        Command::Clean(args) => clean::run(args),
        Command::Completion(args) => completion::run(args),
        Command::Bake(args) => bake::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Seal(args) => seal::run(args),
    }
}

/// Holds the commands that read data from outside to what one run may take.
fn budget(command: &Command) {
    match command {
        Command::Provision(args) => {
            let (source, root) = (source(&args.source), args.root.clone());
            io::budget::begin(move |failure| match Context::open(source.clone(), root.as_deref()) {
                Ok(context) => pipeline::ended_early(&context, failure),
                Err(_) => tell(failure),
            });
        }
        Command::Capture(_)
        | Command::Check(_)
        | Command::Collect(_)
        | Command::KubeadmPrepare(_)
        | Command::Network(_)
        | Command::Plan(_)
        | Command::Preflight(_)
        | Command::Query(_)
        | Command::Render(_) => io::budget::begin(tell),
        _ => {}
    }
}

fn tell(failure: &Failure) {
    log::error!(target: "footplate", "{}", failure.to_string().trim_start_matches("error: "));
}

/// The source that the arguments name, and how long it is waited for. clap allows one of them, and a platform for a replay.
fn source(args: &cli::Source) -> Source {
    let place = match (&args.platform, &args.seed, &args.replay) {
        (platform, _, Some(dir)) => Place::replay(dir, platform.as_deref()),
        (_, Some(dir), _) => Place::Seed(io::live::absolute(dir)),
        (Some(name), _, _) => Place::Platform(name.clone()),
        (None, None, None) => Place::Machine,
    };
    Source { place, patience: args.timeout }
}

/// What to do about a command, an option or a word that is none: the one that it begins or is near to.
pub fn meant(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let known = match error.get(ContextKind::ValidValue).or_else(|| error.get(ContextKind::ValidSubcommand)) {
        Some(ContextValue::Strings(known)) => known.clone(),
        _ if error.kind() == ErrorKind::UnknownArgument => options(&Cli::command()),
        _ => Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect(),
    };
    let typed = match error.kind() {
        ErrorKind::InvalidSubcommand => text(ContextKind::InvalidSubcommand),
        ErrorKind::InvalidValue => text(ContextKind::InvalidValue),
        ErrorKind::UnknownArgument => text(ContextKind::InvalidArg),
        _ => None,
    }?;
    if known.iter().any(|word| word == typed) {
        return Some(format!(
            "{typed} is an option of other commands: `--help` behind this one lists what it takes"
        ));
    }
    // The start of a word, or two letters at most that are others.
    let far = |word: &str| if word.starts_with(typed) { 1 } else { words::distance(typed, word) };
    let near = words::nearest(typed, known, far);
    near.filter(|(far, word)| *far <= 2 && *far <= word.len() / 2 && typed.len() > 1)
        .map(|(_, word)| format!("did you mean `{word}`?"))
}

/// The options of a command and of those below it, as they are typed.
fn options(command: &clap::Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?)));
    own.chain(command.get_subcommands().flat_map(options)).collect()
}
