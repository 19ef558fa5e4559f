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

/// The simple commands of a shell line, each as its words. A line that is not shell gives words all the same: they are
/// compared, and never run.
pub fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote, mut begun) = (String::new(), None, false);
    let end_word = |word: &mut String, begun: &mut bool, commands: &mut Vec<Vec<String>>| {
        if std::mem::take(begun) {
            let word = std::mem::take(word);
            if let Some(command) = commands.last_mut() {
                command.push(word);
            }
        }
    };
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            // A line that goes on.
            (Some('"') | None, '\\') => word.extend(chars.next().filter(|c| *c != '\n')),
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '#') if !begun => {
                // A comment ends with its line.
                chars.by_ref().take_while(|c| *c != '\n').for_each(drop);
                commands.push(Vec::new());
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '`') => {
                end_word(&mut word, &mut begun, &mut commands);
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => end_word(&mut word, &mut begun, &mut commands),
            (None, c) => {
                begun = true;
                word.push(c);
            }
        }
    }
    end_word(&mut word, &mut begun, &mut commands);
    commands.iter().map(|words| without_prefix(words).to_vec()).filter(|words| !words.is_empty()).collect()
}

/// The shell among a command's words, and the program that is handed over to it: `bash -c PROGRAM`.
pub fn handed_over(words: &[String]) -> Option<(&str, &str)> {
    words.windows(3).find_map(|words| {
        let [shell, option, program] = words else { return None };
        let of_a_program = option.strip_prefix('-').is_some_and(|letters| letters.ends_with('c'));
        (["sh", "bash", "dash"].contains(&base(shell)) && of_a_program)
            .then_some((base(shell), program.as_str()))
    })
}

/// The programs that a command hands over to shells, each with its shell.
pub fn programs_within(line: &str) -> Vec<(String, String)> {
    let commands = simple_commands(line);
    let programs = commands.iter().filter_map(|words| handed_over(words));
    programs.map(|(shell, program)| (shell.to_owned(), program.to_owned())).collect()
}

/// A simple command without what stands before its name: keywords, assignments, `sudo` and its like with their options.
pub fn without_prefix(words: &[String]) -> &[String] {
    let assigns = |word: &str| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let mut prefixed = false;
    let before = |word: &&String| {
        let is = BEFORE.contains(&base(word)) || assigns(word) || (prefixed && word.starts_with('-'));
        prefixed |= is;
        is
    };
    &words[words.iter().take_while(before).count()..]
}
