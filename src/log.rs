// SPDX-License-Identifier: Apache-2.0
//! The log: the journal with fields where a service manager listens, standard error elsewhere.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::io::http::WAITING;

/// Sets the log up. `quiet` keeps all but warnings and errors away from a terminal.
pub fn init(quiet: bool) {
    let journal = if connected_to_journal() { JournalLog::new().ok() } else { None };
    let console = journal.is_some();
    let quiet = quiet && !console;
    // A second logger can't come up: this is called once.
    let _ = log::set_boxed_logger(Box::new(Logger { journal, quiet }));
    log::set_max_level(LevelFilter::Info);
}

struct Logger {
    /// Whether warnings, errors and what is waited for are all that is told.
    quiet: bool,
    journal: Option<JournalLog>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries speak of their own affairs, at levels of their own choice.
        let told = !self.quiet || metadata.level() <= log::Level::Warn || metadata.target() == WAITING;
        told && metadata.target().starts_with("footplate")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let prefix = match record.level() {
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            _ => "",
        };
        match &self.journal {
            // Whoever reads a serial console has nothing else: what goes to the journal goes there too.
            Some(journal) => {
                journal.log(record);
                crate::io::console(&format!("footplate: {prefix}{}", record.args()));
            }
            // Standard error that is closed can't be told so.
            // One write a line: standard error has no buffer of its own.
            None => drop(std::io::stderr().write_all(format!("{prefix}{}\n", record.args()).as_bytes())),
        }
    }

    fn flush(&self) {}
}
