// SPDX-License-Identifier: Apache-2.0
//! Makes footplate's shell completions and man pages of its command line. They are shipped beside the program: within it, what makes
//! them would be larger than they are.
//!
//! usage: pages DIRECTORY

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use footplate::facade::cli::{COMPLETIONS, Cli};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(dir), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: pages DIRECTORY");
        return ExitCode::from(64);
    };
    match make(&PathBuf::from(dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(74)
        }
    }
}

/// Writes all files below a directory that stands for `/usr/share`.
fn make(share: &Path) -> Result<(), Box<dyn Error>> {
    for (name, path) in COMPLETIONS {
        let shell: Shell = name.parse()?;
        clap_complete::generate(shell, &mut Cli::command(), "footplate", &mut create(&share.join(path))?);
    }
    let mut command = Cli::command();
    command.build();
    pages(&command, "footplate", &share.join("man/man1"))?;
    documents(&share.join("doc/footplate"))
}

/// The documents, which the units name.
fn documents(dir: &Path) -> Result<(), Box<dyn Error>> {
    for document in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs"))? {
        let document = document?.path();
        if let (true, Some(name)) = (document.is_file(), document.file_name()) {
            create(&dir.join(name))?.write_all(&std::fs::read(&document)?)?;
        }
    }
    Ok(())
}

/// The page of a command, and those of its own commands.
fn pages(command: &Command, name: &str, dir: &Path) -> Result<(), Box<dyn Error>> {
    let source = format!("footplate {}", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).section("1").source(source).render(&mut page)?;
    // What stands behind the options of a command's help.
    let page = String::from_utf8(page)?.replace(".SH EXTRA\n", ".SH \"EXIT STATUS\"\n");
    create(&dir.join(format!("{name}.1")))?.write_all(page.as_bytes())?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        pages(sub, &format!("{name}-{}", sub.get_name()), dir)?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<File, Box<dyn Error>> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    Ok(File::create(path)?)
}
