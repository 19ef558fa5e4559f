// SPDX-License-Identifier: Apache-2.0
//! `[Install]`: what enabling a unit means, as `systemctl enable` has it.

use super::{Form, Setting, form, instance, kind, of_template, settings};

/// The settings that link a unit into a directory of another one, and the ending of that directory.
const DIRS: &[(&str, &str)] = &[("RequiredBy", "requires"), ("UpheldBy", "upholds"), ("WantedBy", "wants")];

/// The kinds of units that may have other names.
const ALIASED: &[&str] = &["device", "path", "service", "socket", "target", "timer"];

/// Most units that one unit enables with it.
const MAX_ALSO: usize = 64;

/// What the `[Install]` sections of a unit's file and its drop-ins ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Install {
    /// The unit that is linked into directories: the unit itself, or the default instance of a template.
    pub linked: String,
    /// Directories of other units in which a link to `linked` is made, `multi-user.target.wants`.
    pub dirs: Vec<String>,
    /// Other names of the unit, and paths such as `a.target.wants/b.service`: links to its file.
    pub aliases: Vec<String>,
    /// Units that are enabled with it.
    pub also: Vec<String>,
    /// Settings without effect.
    pub problems: Vec<Trouble>,
}

/// A setting of `[Install]` that has no effect, or makes systemd refuse the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which of the texts it is in, from 0.
    pub text: usize,
    /// The number of its line, from 1.
    pub line: usize,
    /// What is wrong with it; no value.
    pub what: String,
}

/// Whether a key of `[Install]` is one of those that are read.
pub fn is_key(key: &str) -> bool {
    DIRS.iter().any(|(known, _)| *known == key) || ["Alias", "Also", "DefaultInstance"].contains(&key)
}

/// Reads the texts of a unit: its file, then its drop-ins in the order in which they apply.
pub fn read(unit: &str, texts: &[&str]) -> Install {
    let mut reader = Reader { unit, default: None, said: Vec::new(), install: Install::default() };
    for (i, text) in texts.iter().enumerate() {
        let refused = match settings(text) {
            Ok(settings) => settings
                .iter()
                .filter(|s| s.section == "Install")
                .find_map(|s| reader.setting(i, s).err().map(|what| (s.line, what))),
            Err(line) => Some((line, "the name of a section has no closing bracket")),
        };
        // systemd enables nothing of a unit whose file it refuses.
        if let Some((line, what)) = refused {
            let problems =
                vec![Trouble { text: i, line, what: format!("the unit can't be enabled: {what}") }];
            return Install { linked: unit.to_owned(), problems, ..Install::default() };
        }
    }
    reader.links()
}

/// A word of a setting: its key, itself, and where it is.
struct Word {
    key: &'static str,
    word: String,
    text: usize,
    line: usize,
}

struct Reader<'a> {
    unit: &'a str,
    /// `DefaultInstance=` of a template.
    default: Option<String>,
    said: Vec<Word>,
    install: Install,
}

impl Reader<'_> {
    /// Takes a setting in. An error makes systemd refuse the whole file.
    fn setting(&mut self, text: usize, setting: &Setting) -> Result<(), &'static str> {
        let Setting { line, key, value, .. } = setting;
        let mut trouble = |what: &str| {
            self.install.problems.push(Trouble { text, line: *line, what: format!("{key}= {what}") });
        };
        match key.as_str() {
            "DefaultInstance" => match form(self.unit) {
                Some(Form::Template) => {
                    let name = self.expand(value).ok_or("DefaultInstance= has an unknown specifier")?;
                    let valid = |c: char| c.is_ascii_alphanumeric() || "@:-_.\\".contains(c);
                    if !name.chars().all(valid) {
                        return Err("DefaultInstance= is not the name of an instance");
                    }
                    // An empty one takes back what was said before.
                    self.default = (!name.is_empty()).then_some(name);
                }
                Some(Form::Instance) => {}
                _ => trouble("has no effect: the unit is not a template"),
            },
            "Also" => {
                for word in value.split_ascii_whitespace() {
                    let name = self.expand(word).ok_or("Also= has an unknown specifier")?;
                    if form(&name).is_none() {
                        return Err("Also= has a word that is not the name of a unit");
                    }
                    if self.install.also.len() < MAX_ALSO && !self.install.also.contains(&name) {
                        self.install.also.push(name);
                    }
                }
            }
            "Alias" if !ALIASED.contains(&kind(self.unit)) => {
                trouble(&format!("has no effect: a {} has one name only", kind(self.unit)));
            }
            _ => {
                let known = DIRS.iter().map(|(known, _)| *known).chain(["Alias"]).find(|known| known == key);
                let Some(known) = known else { return Ok(()) };
                // An empty value takes back what was said before.
                if value.is_empty() {
                    self.said.retain(|s| s.key != known);
                }
                let (words, closed) = split(value);
                if !closed {
                    trouble("has a quote that is not closed: it is ignored from there on");
                }
                self.said.extend(words.into_iter().map(|word| Word { key: known, word, text, line: *line }));
            }
        }
        Ok(())
    }

    /// What the settings ask for, once all of them are read.
    fn links(mut self) -> Install {
        self.install.linked = match &self.default {
            Some(instance) => of_template(self.unit, instance),
            None => self.unit.to_owned(),
        };
        for Word { key, word, text, line } in std::mem::take(&mut self.said) {
            let name = self.expand(&word).ok_or("has an unknown specifier");
            let made = name.and_then(|name| match DIRS.iter().find(|(k, _)| *k == key) {
                Some((_, ending)) => {
                    self.wanted(&name)?;
                    self.install.dirs.push(format!("{name}.{ending}"));
                    Ok(())
                }
                None => self.alias(name),
            });
            if let Err(what) = made {
                self.install.problems.push(Trouble { text, line, what: format!("{key}= {what}") });
            }
        }
        self.install
    }

    /// Whether the unit can be linked into a directory of that one.
    fn wanted(&self, by: &str) -> Result<(), &'static str> {
        match (form(by), form(&self.install.linked)) {
            (None, _) => Err("has a word that is not the name of a unit"),
            (Some(Form::Plain), Some(Form::Template)) => Err(
                "has no effect: the unit is a template without DefaultInstance=, so only its instances can be enabled",
            ),
            _ => Ok(()),
        }
    }

    fn alias(&mut self, name: String) -> Result<(), &'static str> {
        const OTHER: &str = "has a name that the unit can't have: kind and instance must be the same";
        if let Some((dir, file)) = name.rsplit_once('/') {
            let of = dir.strip_suffix(".wants").or_else(|| dir.strip_suffix(".requires"));
            let of = of.and_then(form).ok_or("has a path that is not in the directory of another unit")?;
            // Who wants a template itself must be one.
            let own = match form(file) {
                Some(Form::Instance) if file != self.unit => {
                    instance(file).is_some_and(|(template, _)| template == self.unit)
                }
                form => file == self.unit && (form != Some(Form::Template) || of == Form::Template),
            };
            if !own {
                return Err(OTHER);
            }
            self.install.aliases.push(name);
            return Ok(());
        }
        let own = instance(self.unit).map(|(_, instance)| instance);
        let name = match own {
            Some(own) if form(&name) == Some(Form::Template) => of_template(&name, own),
            _ => name,
        };
        let fits = match (form(&name), form(self.unit)) {
            (None, _) | (_, None) => return Err("has a word that is not the name of a unit"),
            (Some(Form::Instance), Some(Form::Instance)) => instance(&name).map(|(_, i)| i) == own,
            (Some(Form::Instance), Some(Form::Template)) => true,
            (of, unit) => of == unit,
        };
        if !fits || kind(&name) != kind(self.unit) {
            return Err(OTHER);
        }
        if name != self.unit {
            self.install.aliases.push(name);
        }
        Ok(())
    }

    /// A word with the specifiers replaced that the unit's own name answers
    /// ([specifiers](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Specifiers)); `None` if there is
    /// another one.
    fn expand(&self, word: &str) -> Option<String> {
        let unit = match &self.default {
            Some(instance) => of_template(self.unit, instance),
            None => self.unit.to_owned(),
        };
        let base = unit.rsplit_once('.').map_or(unit.as_str(), |(base, _)| base);
        let (prefix, instance) = base.split_once('@').unwrap_or((base, ""));
        let mut out = String::new();
        let mut rest = word.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '%' { rest.next() } else { None }) {
                ('%', Some('i')) => out += instance,
                ('%', Some('j')) => out += prefix.rsplit('-').next().unwrap_or(prefix),
                ('%', Some('n')) => out += &unit,
                ('%', Some('N')) => out += base,
                ('%', Some('p')) => out += prefix,
                ('%', Some('%')) => out.push('%'),
                ('%', Some(_)) => return None,
                (c, _) => out.push(c),
            }
        }
        Some(out)
    }
}

/// The words of a value without their quotes, and whether all quotes are closed. A backslash is a character as any other: it is
/// part of names.
fn split(value: &str) -> (Vec<String>, bool) {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in value.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_none() {
        words.extend(word);
    }
    (words, quote.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_needs_an_instance() {
        let text = "[Install]\nWantedBy=multi-user.target other@.target\n";
        let install = read("t@.service", &[text]);
        assert_eq!(install.dirs, ["other@.target.wants"]);
        assert_eq!(install.problems.len(), 1);
        let install = read("t@.service", &[text, "[Install]\nDefaultInstance=one\n"]);
        assert_eq!(
            (install.linked.as_str(), install.dirs.len(), install.problems.len()),
            ("t@one.service", 2, 0)
        );
    }

    #[test]
    fn an_empty_default_instance_takes_it_back() {
        let text = "[Install]\nDefaultInstance=one\nWantedBy=multi-user.target other@.target\n";
        let install = read("t@.service", &[text, "[Install]\nDefaultInstance=\n"]);
        assert_eq!((install.linked.as_str(), install.problems.len()), ("t@.service", 1));
        assert_eq!(install.dirs, ["other@.target.wants"]);
        let install = read("t@.service", &["[Install]\nDefaultInstance=%i\nWantedBy=other@.target\n"]);
        assert_eq!((install.linked.as_str(), install.problems.len()), ("t@.service", 0));
    }

    #[test]
    fn a_template_is_wanted_by_templates_alone() {
        for (unit, alias, want) in [
            ("t@.service", "x.target.wants/%n", false),
            ("t@.service", "x@.target.wants/%n", true),
            ("t@.service", "x@a.target.requires/%n", false),
            ("t@.service", "x.target.wants/t@b.service", true),
            ("t@b.service", "x@.target.wants/t@.service", false),
            ("t@b.service", "x.target.wants/%n", true),
            ("t.service", "x@.target.wants/%n", true),
        ] {
            let install = read(unit, &[&format!("[Install]\nAlias={alias}\n")]);
            assert_eq!(
                (install.aliases.len(), install.problems.len()),
                (usize::from(want), usize::from(!want)),
                "{unit} {alias}"
            );
        }
    }

    #[test]
    fn words_are_unquoted() {
        let (words, closed) = split("a 'b c' d\"e\"f \"\" \\x2d");
        assert_eq!((words, closed), (["a", "b c", "def", "", "\\x2d"].map(str::to_owned).to_vec(), true));
        assert_eq!(split("a 'b"), (vec!["a".to_owned()], false));
    }
}
