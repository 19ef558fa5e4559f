// SPDX-License-Identifier: Apache-2.0
//! The words of a shell's commands, as far as they show which programs it runs, and files of assignments.

use std::collections::BTreeMap;

use crate::model::problem::Problem;

/// A program's name without its directory.
pub fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// Words that stand before a command and are none.
const BEFORE: &[&str] = &[
    "!",
    "{",
    "if",
    "then",
    "elif",
    "else",
    "do",
    "while",
    "until",
    "time",
    "exec",
    "sudo",
    "env",
    "nohup",
    "eval",
    "nice",
    "ionice",
    "setsid",
    "timeout",
    "xargs",
    "flock",
    "systemd-run",
];

/// Options whose value is a word of its own: a user, a group, the name of a unit.
const VALUED: &[&str] = &["-u", "-g", "--unit", "--slice", "--description"];

/// A word of a command, without its quotes.
pub struct Word {
    pub text: String,
    /// The byte of the line at which it begins.
    pub at: usize,
}

/// The texts of words.
pub fn texts(words: &[Word]) -> Vec<&str> {
    words.iter().map(|word| word.text.as_str()).collect()
}

/// A command that goes on, by its number, with its last word and where that begins.
type Outer = (usize, String, Option<usize>);

/// Commands while their line is read.
#[derive(Default)]
struct Commands {
    list: Vec<Vec<Word>>,
    /// The one that words are added to.
    current: usize,
    word: String,
    /// Where the word begins, once it has begun.
    begun: Option<usize>,
    /// What is open, by the sign that closes it, and the command that goes on then: none does behind a subshell.
    open: Vec<(char, Option<Outer>)>,
}

impl Commands {
    fn add(&mut self, c: char, at: usize) {
        self.begun.get_or_insert(at);
        self.word.push(c);
    }

    fn end_word(&mut self) {
        if let Some(at) = self.begun.take() {
            let text = std::mem::take(&mut self.word);
            self.list[self.current].push(Word { text, at });
        }
    }

    fn begin(&mut self) {
        self.list.push(Vec::new());
        self.current = self.list.len() - 1;
    }

    /// A sign between commands, or at an end of what a command runs to make a word of its own.
    fn sign(&mut self, c: char) {
        if let Some((_, Some(outer))) = self.open.pop_if(|(closes, _)| *closes == c) {
            self.end_word();
            (self.current, self.word, self.begun) = outer;
            return;
        }
        match c {
            '(' if !self.word.ends_with('$') => self.open.push((')', None)),
            '(' | '`' => {
                let outer = (self.current, std::mem::take(&mut self.word), self.begun.take());
                self.open.push((if c == '(' { ')' } else { c }, Some(outer)));
            }
            _ => {}
        }
        self.end_word();
        self.begin();
    }

    /// All commands. What was never closed is as long as its line, and the word before it is one all the same.
    fn end(mut self) -> Vec<Vec<Word>> {
        self.end_word();
        for (index, text, begun) in self.open.into_iter().filter_map(|(_, outer)| outer) {
            self.list[index].extend(begun.map(|at| Word { text, at }));
        }
        self.list
    }
}

/// The simple commands of a shell line, each as its words. A line that is not shell gives words all the same: they are
/// compared, and never run.
pub fn simple_commands(line: &str) -> Vec<Vec<Word>> {
    let (mut read, mut quote) = (Commands::default(), None);
    read.begin();
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            // A line that goes on.
            (Some('"') | None, '\\') => {
                if let Some((_, escaped)) = chars.next().filter(|(_, c)| *c != '\n') {
                    read.add(escaped, at);
                }
            }
            (Some(_), c) => read.word.push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                read.begun.get_or_insert(at);
            }
            (None, '#') if read.begun.is_none() => {
                // A comment ends with its line.
                chars.by_ref().take_while(|(_, c)| *c != '\n').for_each(drop);
                read.begin();
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '`') => read.sign(c),
            (None, c) if c.is_whitespace() => read.end_word(),
            (None, c) => read.add(c, at),
        }
    }
    let mut commands = read.end();
    for command in &mut commands {
        let before = command.len() - without_prefix(&texts(command)).len();
        command.drain(..before);
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// The line with blanks in place of all but what stands in `$(…)` and in backticks within double quotes: of that too, `simple_commands`
/// tells the commands, each at its own byte. `None` where there is no such place.
pub fn within_quotes(line: &str) -> Option<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Open {
        /// Double quotes; of those in which a substitution stood, the rest is left out.
        Quote {
            left_out: bool,
        },
        Parenthesis,
        Substitution(char),
    }
    if !(line.contains('"') && (line.contains("$(") || line.contains('`'))) {
        return None;
    }
    let (mut out, mut open, mut inside) = (String::with_capacity(line.len()), Vec::new(), 0);
    // Up to which character all is text: a quote, the end of a comment's line.
    let (mut until, mut last) = (None, ' ');
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let top = open.last().copied();
        let quoted = matches!(top, Some(Open::Quote { .. }));
        let keep = inside > 0 && top != Some(Open::Quote { left_out: true });
        let mut put = |c: char| match keep {
            true => out.push(c),
            false => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
        };
        match (c, quoted) {
            (c, _) if until.is_some() => {
                until = until.filter(|end| *end != c);
                put(c);
            }
            ('\\', _) => std::iter::once(c).chain(chars.next()).for_each(put),
            ('$', true) if chars.next_if_eq(&'(').is_some() => {
                out.push_str(if keep { "\";" } else { " ;" });
                inside += 1;
                open.pop();
                open.extend([Open::Quote { left_out: true }, Open::Substitution(')')]);
            }
            ('`', true) if inside == 0 => {
                out.push(';');
                inside = 1;
                open.push(Open::Substitution('`'));
            }
            (')' | '`', _) if top == Some(Open::Substitution(c)) => {
                out.push(';');
                inside -= 1;
                open.pop();
            }
            _ => {
                put(c);
                match (c, quoted) {
                    ('"', true) => drop(open.pop()),
                    ('"', false) => open.push(Open::Quote { left_out: false }),
                    ('(', false) => open.push(Open::Parenthesis),
                    (')', false) if top == Some(Open::Parenthesis) => drop(open.pop()),
                    ('\'', false) => until = Some('\''),
                    ('#', false) if last.is_whitespace() || "(;&|".contains(last) => until = Some('\n'),
                    _ => {}
                }
            }
        }
        last = c;
    }
    Some(out)
}

/// The shell among a command's words, and which word is the program that is handed over to it: `bash -c PROGRAM`, behind other options
/// too, `su USER -c PROGRAM`, `flock FILE -c PROGRAM` and `eval PROGRAM`.
pub fn handed_over<'w>(words: &[&'w str]) -> Option<(&'w str, usize)> {
    let (first, second) = (base(words.first()?), words.get(1));
    if first == "eval" {
        return second.filter(|_| is_evaluated(words)).map(|_| ("bash", 1));
    }
    // A user's shell is bash on Flatcar.
    if ["su", "runuser", "flock"].contains(&first) {
        let program = words.iter().position(|word| COMMAND.contains(word)).map(|at| at + 1);
        return program.filter(|at| *at < words.len()).map(|at| ("bash", at));
    }
    let mut at = 0;
    while let Some(shell) = words.get(at) {
        at += 1;
        if !["sh", "bash", "dash"].contains(&base(shell)) {
            continue;
        }
        while let Some(letters) = words.get(at)?.strip_prefix('-') {
            match letters {
                _ if letters.ends_with('c') => {
                    return (at + 1 < words.len()).then_some((base(shell), at + 1));
                }
                // Its value is a word of its own.
                _ if letters.ends_with('o') => at += 2,
                _ => at += 1,
            }
        }
    }
    None
}

/// Options of `su` and `flock` with a program behind them.
const COMMAND: &[&str] = &["-c", "-lc", "--command"];

/// Whether the one word behind `eval` is a program.
fn is_evaluated(words: &[&str]) -> bool {
    matches!(words, ["eval", program] if program.contains(char::is_whitespace))
}

/// The programs that a command hands over to shells, each with its shell and the number of its word.
pub fn programs_within(line: &str) -> Vec<(String, usize, String)> {
    let commands = simple_commands(line);
    let program = |words: &Vec<Word>| {
        let (shell, at) = handed_over(&texts(words))?;
        Some((shell.to_owned(), at, words[at].text.clone()))
    };
    commands.iter().filter_map(program).collect()
}

/// A simple command without what stands before its name: keywords, assignments, `sudo` and its like with their options.
pub fn without_prefix<'s, 'w>(words: &'s [&'w str]) -> &'s [&'w str] {
    let assigns = |word: &str| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let (mut prefixed, mut names, mut file) = (false, false, false);
    let before = |(i, word): &(usize, &&str)| {
        // An option with its user or group, and how long or how nice.
        let option = word.starts_with('-') || word.starts_with(|c: char| c.is_ascii_digit());
        let name = base(word);
        // What these hand over to a shell is looked at there.
        let hands_over = name == "flock" && words[*i..].iter().take(6).any(|word| COMMAND.contains(word))
            || is_evaluated(&words[*i..]);
        let is = BEFORE.contains(&name) && !hands_over
            || assigns(word)
            || prefixed && (names || option || std::mem::take(&mut file));
        names = VALUED.contains(*word);
        file |= name == "flock";
        prefixed |= is;
        is
    };
    &words[words.iter().enumerate().take_while(before).count()..]
}

/// The values of lines `NAME='value'`, by their names. A value ends where the shell's word ends: quotes hold blanks and lines, `\` takes
/// the next character as it is, and what a shell would replace or run is an error.
///
/// # Errors
/// Something else is there: says in which line.
pub fn assignments(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let mut values = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| rest[end..].trim_start());
            continue;
        }
        let before = &text[..text.len() - rest.len()];
        let wrong = |what: &str| Problem::error(format!("line {}", 1 + before.matches('\n').count()), what);
        let assignment = rest.strip_prefix("export ").unwrap_or(rest).split_once('=');
        let (name, after) = assignment
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| wrong("is not of the form NAME='value'"))?;
        let (value, end) = word(after).map_err(wrong)?;
        values.insert(name.to_owned(), value);
        rest = after[end..].trim_start();
    }
    Ok(values)
}

/// A word of the shell, and where it ends.
fn word(text: &str) -> Result<(String, usize), &'static str> {
    const RUNS: &str = "has a value that a shell would replace or run; such a value is not read";
    let (mut value, mut quote) = (String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), c) => value.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (_, '$' | '`') => return Err(RUNS),
            (_, '\\') => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, c)) => {
                    if quote.is_some() && !"$`\"\\".contains(c) {
                        value.push('\\');
                    }
                    value.push(c);
                }
                None => return Err("ends in the middle of a value"),
            },
            (None, c) if c.is_whitespace() => return Ok((value, at)),
            (None, ';' | '&' | '|' | '<' | '>' | '(' | ')') => return Err(RUNS),
            (_, c) => value.push(c),
        }
    }
    if quote.is_some() { Err("ends in the middle of a value") } else { Ok((value, text.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell makes of the same words.
    fn shell(text: &str) -> Option<String> {
        let script = format!("{text}\nprintf %s \"$A\"");
        let ran = std::process::Command::new("/bin/sh").args(["-c", &script]).env_clear().output().ok()?;
        ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    #[test]
    fn values_are_read_as_a_shell_reads_them_and_nothing_is_run() {
        for text in [
            "A='x y'",
            "A='it'\\''s'",
            "A='two\nlines'\nB='z'",
            "# A='no'\nA=plain # and more",
            "A=\"in \\\"double\\\" \\n\"'and single'",
            "export A='e'",
            "A=''",
            "A='$(touch /tmp/x) `id` ${HOME}'",
            "A='#cloud-config\nx: '\\''y'\\'''",
        ] {
            assert_eq!(assignments(text).unwrap()["A"], shell(text).unwrap(), "{text}");
        }
        for (text, want) in [
            ("A=$(id)", "line 1"),
            ("B='x'\n\nA=\"`id`\"", "line 3"),
            ("A=x;id", "line 1"),
            ("A='open", "line 1"),
            ("id", "line 1"),
            ("rm -rf x=1", "line 1"),
        ] {
            let problem = assignments(text).unwrap_err().to_string();
            assert!(problem.contains(want), "{text}: {problem}");
        }
    }
}
