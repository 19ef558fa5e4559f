// SPDX-License-Identifier: Apache-2.0
//! The syntax of the shell's programs in bootstrap data, as the shell itself sees it. Nothing is executed: `bash -n` only reads.

use std::time::Duration;

use super::places::Places;
use crate::decode::syntax::shell::programs_within;
use crate::io::exec;
use crate::model::config::NodeConfig;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// How long the shell may read a program.
const LIMIT: Duration = Duration::from_secs(10);

/// Most programs that are read.
const MAX_PROGRAMS: usize = 500;

/// Most commands of a list that are taken for one.
const MAX_TOGETHER: usize = 20;

/// Most lines of all programs together that are gone back to where one is left open.
const MAX_BACK: usize = 200;

/// What the shell says of a program.
enum Read {
    Good,
    /// The line where it gave up: the one below the last where it waits for more.
    Broken(usize),
    /// There is no such shell here.
    Absent,
}

/// The shell that runs a program, by its first line: its options for reading only. On Flatcar, `sh` is bash in POSIX mode.
fn options(text: &str) -> Option<&'static [&'static str]> {
    let mut words = text.lines().next()?.strip_prefix("#!")?.split_whitespace();
    let name = |word: &str| word.rsplit('/').next().map(str::to_owned);
    let mut program = name(words.next()?)?;
    if program == "env" {
        program = name(words.find(|word| !word.starts_with('-'))?)?;
    }
    match program.as_str() {
        "bash" => Some(&["-n"]),
        "sh" => Some(POSIX),
        _ => None,
    }
}

const POSIX: &[&str] = &["--posix", "-n"];

fn read(options: &[&str], text: &str) -> Read {
    let Ok(Some(ended)) = exec::run("bash", options, text.as_bytes(), LIMIT) else { return Read::Absent };
    if ended.status == Some(0) {
        return Read::Good;
    }
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    let line: usize = ended.err.split("line ").skip(1).find_map(number).unwrap_or(1);
    Read::Broken(line)
}

/// Reads all programs of the shell.
pub struct Shell<'a> {
    places: &'a Places<'a>,
    pub problems: Vec<Problem>,
    /// How many are for a shell that is absent, or that is neither `sh` nor `bash`.
    unread: usize,
    of_others: usize,
    count: usize,
    /// How many lines were gone back.
    back: usize,
}

impl<'a> Shell<'a> {
    pub fn new(places: &'a Places<'a>) -> Self {
        Self { places, problems: Vec::new(), unread: 0, of_others: 0, count: 0, back: 0 }
    }

    /// Reads the programs of a node.
    pub fn node(&mut self, config: &NodeConfig) {
        for file in config.files.iter().filter(|f| !f.append) {
            let key = if file.place.starts_with("write_files") { "content" } else { "contents.source" };
            self.program(&format!("{}.{key}", file.place), &file.content);
        }
        for script in [&config.boothooks, &config.included_hooks, &config.boot_scripts, &config.scripts] {
            script.iter().for_each(|script| self.program(&script.place, &script.content));
        }
        for (key, lines) in [("bootcmd", &config.bootcmd), ("runcmd", &config.runcmd)] {
            self.lines(key, lines);
            lines.iter().enumerate().for_each(|(i, line)| self.handed_over(&format!("{key}[{i}]"), line));
        }
        for (count, why) in
            [(self.unread, "bash is not installed here"), (self.of_others, "neither sh nor bash runs them")]
        {
            if count > 0 {
                let what = format!("scripts whose syntax was not checked, since {why}: {count}");
                self.problems.push(Problem::note("", what).code("script/not-checked"));
            }
        }
    }

    fn program(&mut self, place: &str, content: &Secret) {
        let Ok(text) = std::str::from_utf8(content.expose()) else { return };
        let Some(options) = options(text) else {
            self.of_others += usize::from(text.starts_with("#!"));
            return;
        };
        if let Some(line) = self.broken(options, text) {
            self.tell(place, line, "the script");
        }
    }

    /// A list of shell lines, which run as one script: a line may go on in the next one.
    fn lines(&mut self, key: &str, lines: &[Secret]) {
        let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line.expose())).collect();
        let Some(line) = (!texts.is_empty()).then(|| self.broken(POSIX, &texts.join("\n"))).flatten() else {
            return;
        };
        let told = self.problems.len();
        let mut first = 0;
        while let Some(text) = texts.get(first) {
            let Some(line) = self.broken(POSIX, text) else {
                first += 1;
                continue;
            };
            // `if`, a line of its own below it, and `fi` are good together.
            let most = texts.len().min(first + MAX_TOGETHER);
            let end =
                (first + 2..=most).find(|end| self.broken(POSIX, &texts[first..*end].join("\n")).is_none());
            if end.is_none() {
                self.tell(&format!("{key}[{first}]"), line, "the command");
            }
            first = end.unwrap_or(first + 1);
        }
        if self.problems.len() == told {
            let mut last = 0;
            let at = texts.iter().position(|text| {
                last += text.lines().count().max(1);
                last >= line
            });
            self.tell(&format!("{key}[{}]", at.unwrap_or_default()), 1, "the commands up to this one");
        }
    }

    /// The programs that a command hands over to a shell: `[bash, -c, PROGRAM]`, `sh -c 'PROGRAM'`.
    fn handed_over(&mut self, place: &str, command: &Secret) {
        let text = String::from_utf8_lossy(command.expose());
        let is_list = text.starts_with('\'');
        for (shell, at, program) in programs_within(&text) {
            // What the shell around it puts in its place is not known, and nor is where a text for another program ends.
            let certain = is_list
                || text.contains(&format!("'{program}'"))
                || !(program.contains('`') || program.contains("$("));
            let Some(options) =
                options(&format!("#!{shell}")).filter(|_| certain && (is_list || !text.contains("<<")))
            else {
                continue;
            };
            if let Some(line) = self.broken(options, &program) {
                match is_list {
                    true => self.tell(&format!("{place}[{at}]"), line, "the program"),
                    false => self.tell(place, line, "the program that it hands to a shell"),
                }
            }
        }
    }

    /// The line where the shell gives up.
    fn broken(&mut self, options: &[&str], text: &str) -> Option<usize> {
        self.count += 1;
        if self.count > MAX_PROGRAMS {
            return None;
        }
        match read(options, text) {
            Read::Good => None,
            Read::Broken(line) => Some(self.begun(options, text, line)),
            Read::Absent => {
                self.unread += 1;
                None
            }
        }
    }

    /// The line of what is wrong, by where the shell gave up. Where it waits for more, that is the line behind the last part that is good
    /// by itself.
    fn begun(&mut self, options: &[&str], text: &str, line: usize) -> usize {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        if line <= lines.len() {
            return line.max(1);
        }
        for end in (0..lines.len()).rev() {
            self.back += 1;
            if self.back > MAX_BACK {
                break;
            }
            if matches!(read(options, &lines[..end].concat()), Read::Good) {
                return end + 1;
            }
        }
        lines.len().max(1)
    }

    fn tell(&mut self, place: &str, line: usize, program: &str) {
        let what = format!("bash finds a syntax error in {program}, line {line}");
        let cure = "`bash -n` with the script says what is wrong; look for a quote, a bracket, `fi`, `done` or `esac` that is missing";
        let problem = Problem::error(place, what).cure(cure).code("script/syntax");
        let mut problem = self.places.line(problem, line, 1);
        // A script that Cluster API makes of an author's commands has lines that the author does not see.
        if place.starts_with("storage.") && problem.place.contains("Commands[") {
            problem.what = "bash finds a syntax error in the command".to_owned();
        }
        self.problems.push(problem);
    }
}
