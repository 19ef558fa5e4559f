// SPDX-License-Identifier: Apache-2.0
//! The words of a shell's commands, as far as they show which programs it runs.

/// A program's name without its directory.
pub fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// Words that stand before a command and are none.
const BEFORE: &[&str] = &[
    "!", "{", "if", "then", "elif", "else", "do", "while", "until", "time", "exec", "sudo", "env", "nohup",
    "eval", "nice", "ionice", "setsid",
];

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

/// The simple commands of a shell line, each as its words. A line that is not shell gives words all the same: they are
/// compared, and never run.
pub fn simple_commands(line: &str) -> Vec<Vec<Word>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote, mut begun) = (String::new(), None, None);
    let end_word = |word: &mut String, begun: &mut Option<usize>, commands: &mut Vec<Vec<Word>>| {
        if let (Some(at), Some(command)) = (begun.take(), commands.last_mut()) {
            command.push(Word { text: std::mem::take(word), at });
        }
    };
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            // A line that goes on.
            (Some('"') | None, '\\') => {
                let escaped = chars.next().map(|(_, c)| c).filter(|c| *c != '\n');
                if escaped.is_some() {
                    begun.get_or_insert(at);
                }
                word.extend(escaped);
            }
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                begun.get_or_insert(at);
            }
            (None, '#') if begun.is_none() => {
                // A comment ends with its line.
                chars.by_ref().take_while(|(_, c)| *c != '\n').for_each(drop);
                commands.push(Vec::new());
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '`') => {
                end_word(&mut word, &mut begun, &mut commands);
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => end_word(&mut word, &mut begun, &mut commands),
            (None, c) => {
                begun.get_or_insert(at);
                word.push(c);
            }
        }
    }
    end_word(&mut word, &mut begun, &mut commands);
    for command in &mut commands {
        let before = command.len() - without_prefix(&texts(command)).len();
        command.drain(..before);
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// The shell among a command's words, and which word is the program that is handed over to it: `bash -c PROGRAM`.
pub fn handed_over<'w>(words: &[&'w str]) -> Option<(&'w str, usize)> {
    words.windows(3).enumerate().find_map(|(i, words)| {
        let [shell, option, _] = words else { return None };
        let of_a_program = option.strip_prefix('-').is_some_and(|letters| letters.ends_with('c'));
        (["sh", "bash", "dash"].contains(&base(shell)) && of_a_program).then_some((base(shell), i + 2))
    })
}

/// The programs that a command hands over to shells, each with its shell.
pub fn programs_within(line: &str) -> Vec<(String, String)> {
    let commands = simple_commands(line);
    let program = |words: &Vec<Word>| {
        let (shell, at) = handed_over(&texts(words))?;
        Some((shell.to_owned(), words[at].text.clone()))
    };
    commands.iter().filter_map(program).collect()
}

/// A simple command without what stands before its name: keywords, assignments, `sudo` and its like with their options.
pub fn without_prefix<'s, 'w>(words: &'s [&'w str]) -> &'s [&'w str] {
    let assigns = |word: &str| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let mut prefixed = false;
    let before = |word: &&&str| {
        let is = BEFORE.contains(&base(word)) || assigns(word) || (prefixed && word.starts_with('-'));
        prefixed |= is;
        is
    };
    &words[words.iter().take_while(before).count()..]
}
