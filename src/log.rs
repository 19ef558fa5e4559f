// SPDX-License-Identifier: Apache-2.0
//! The log: the journal with fields where a service manager listens, standard error elsewhere.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::io::ITEM;
use crate::io::confined;
use crate::io::http::WAITING;
use crate::io::live;
use crate::io::reader;
use crate::io::screen::for_screen;

/// Sets the log up. `steps` tells each step on standard error too, and `quiet` tells warnings and errors alone, also in the journal.
pub fn init(steps: bool, quiet: bool) {
    let journal = if connected_to_journal() { JournalLog::new().ok() } else { None };
    let steps = steps || journal.is_some();
    // A second logger can't come up: this is called once.
    let _ = log::set_boxed_logger(Box::new(Logger { journal, steps }));
    log::set_max_level(if quiet { LevelFilter::Warn } else { LevelFilter::Info });
}

struct Logger {
    /// Whether more is told than warnings, errors and what is waited for.
    steps: bool,
    journal: Option<JournalLog>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries speak of their own affairs, at levels of their own choice.
        let told = self.steps || metadata.level() <= log::Level::Warn || metadata.target() == WAITING;
        told && metadata.target().starts_with("footplate")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || confined::hand_over(record) || reader::hand_over(record) {
            return;
        }
        let prefix = match record.level() {
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            _ => "",
        };
        match &self.journal {
            // Whoever reads a serial console has nothing else: what goes to the journal goes there too, but for each item.
            Some(journal) => {
                journal.log(record);
                if record.target() != ITEM {
                    crate::io::console(&format!("footplate: {prefix}{}", record.args()));
                }
            }
            // One write a line, since standard error has no buffer. An error of a closed one can't be told.
            None => {
                let prefix = match record.level() {
                    log::Level::Error => live::coloured(&std::io::stderr(), prefix, live::RED),
                    _ => live::coloured(&std::io::stderr(), prefix, live::AMBER),
                };
                let text = for_screen(&std::io::stderr(), &format!("{prefix}{}\n", record.args()));
                drop(std::io::stderr().write_all(text.as_bytes()));
            }
        }
    }

    fn flush(&self) {}
}
