// SPDX-License-Identifier: Apache-2.0
//! Whether a text is [TOML](https://toml.io/en/v1.0.0): where a reader of it stops, and why. Values are not kept.

use std::collections::BTreeSet;

/// Deepest nesting of lists and inline tables.
const MAX_DEPTH: usize = 64;

/// The line, counted from 1, where a reader of TOML stops, and what is wrong there.
pub fn broken(text: &str) -> Option<(usize, &'static str)> {
    let mut reader = Reader { text, at: 0 };
    reader.document().err().map(|what| {
        let line = text.as_bytes()[..reader.at].iter().filter(|b| **b == b'\n').count() + 1;
        (line, what)
    })
}

type Read<T> = Result<T, &'static str>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

/// What has a name already: tables and keys by their whole names.
#[derive(Default)]
struct Names {
    known: BTreeSet<Vec<String>>,
    lists: BTreeSet<Vec<String>>,
}

impl Names {
    /// A table or a key, which may be there once.
    fn add(&mut self, name: &[String]) -> bool {
        !self.lists.contains(name) && self.known.insert(name.to_vec())
    }

    /// An item of a list of tables: what stands in it has names anew.
    fn item(&mut self, name: &[String]) -> bool {
        let known = self.known.contains(name);
        self.known.retain(|other| !other.starts_with(name));
        self.lists.insert(name.to_vec());
        !known
    }
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn takes(&mut self, begin: &str) -> bool {
        let found = self.rest().starts_with(begin.as_bytes());
        self.at += if found { begin.len() } else { 0 };
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
        if self.peek() == Some(b'#') {
            self.at += self.rest().iter().position(|b| *b == b'\n').unwrap_or(self.rest().len());
        }
    }

    /// Blanks, comments and ends of lines.
    fn space(&mut self) {
        self.blanks();
        while self.takes("\n") {
            self.blanks();
        }
    }

    fn document(&mut self) -> Read<()> {
        let (mut names, mut table) = (Names::default(), Vec::new());
        loop {
            self.space();
            if self.peek().is_none() {
                return Ok(());
            }
            let begin = self.at;
            let list = self.takes("[[");
            if list || self.takes("[") {
                table = self.name()?;
                let close = if list { "]]" } else { "]" };
                if !self.takes(close) {
                    return Err("the name of a table has no end: `]` is missing");
                }
                if !if list { names.item(&table) } else { names.add(&table) } {
                    self.at = begin;
                    return Err("a table of this name stands above: one table stands once");
                }
            } else {
                let name = [&table[..], &self.pair(0)?].concat();
                if !names.add(&name) {
                    self.at = begin;
                    return Err("this key stands above: one key stands once");
                }
            }
            self.blanks();
            if !matches!(self.peek(), None | Some(b'\n')) {
                return Err(
                    "more stands on this line than one key with its value, or than the name of one table",
                );
            }
        }
    }

    /// A name with its dots.
    fn name(&mut self) -> Read<Vec<String>> {
        let mut parts = Vec::new();
        loop {
            self.blanks();
            let begin = self.at;
            parts.push(match self.peek() {
                Some(b'"' | b'\'') => self.string()?,
                _ => {
                    let bare = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
                    self.at += self.rest().iter().position(|b| !bare(b)).unwrap_or(self.rest().len());
                    self.text[begin..self.at].to_owned()
                }
            });
            if begin == self.at {
                return Err("a name is missing, or has a character that only a name in quotes may have");
            }
            self.blanks();
            if !self.takes(".") {
                return Ok(parts);
            }
        }
    }

    /// A key with its value.
    fn pair(&mut self, depth: usize) -> Read<Vec<String>> {
        let name = self.name()?;
        if !self.takes("=") {
            return Err("no `=` stands behind this key");
        }
        self.blanks();
        self.value(depth)?;
        Ok(name)
    }

    fn value(&mut self, depth: usize) -> Read<()> {
        if depth > MAX_DEPTH {
            return Err("lists and tables are nested too deeply");
        }
        match self.peek() {
            Some(b'"' | b'\'') => self.string().map(drop),
            Some(b'[') => self.all("[", "]", |reader| reader.value(depth + 1)),
            Some(b'{') => self.all("{", "}", |reader| reader.pair(depth + 1).map(drop)),
            _ => {
                let word = |b: &u8| b.is_ascii_alphanumeric() || b"+-._:".contains(b);
                let end = self.rest().iter().position(|b| !word(b)).unwrap_or(self.rest().len());
                let text = &self.text[self.at..self.at + end];
                let number = text.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c))
                    && text.contains(|c: char| c.is_ascii_digit());
                let named = ["true", "false", "inf", "nan", "+inf", "-inf", "+nan", "-nan"].contains(&text);
                if !number && !named {
                    return Err(
                        "this value is no number and no `true` or `false`: a string stands in quotes",
                    );
                }
                self.at += end;
                Ok(())
            }
        }
    }

    /// Items with commas between them.
    fn all(&mut self, open: &str, close: &str, item: impl Fn(&mut Self) -> Read<()>) -> Read<()> {
        self.takes(open);
        self.space();
        while !self.takes(close) {
            item(self)?;
            self.space();
            let more = self.takes(",");
            self.space();
            if !more && self.peek() != close.bytes().next() {
                return Err("a comma or the bracket at the end is missing");
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Read<String> {
        let quote = if self.peek() == Some(b'"') { "\"" } else { "'" };
        let long = quote.repeat(3);
        let end = if self.takes(&long) { long.as_str() } else { quote };
        if end == quote {
            self.takes(quote);
        }
        let begin = self.at;
        loop {
            let here = self.at;
            if self.takes(end) {
                // Quotes may stand before the end.
                while end != quote && self.takes(quote) {}
                return Ok(self.text[begin..here].to_owned());
            }
            match self.peek() {
                None => return Err("a string has no end"),
                Some(b'\n') if end == quote => return Err("a string has no end on its line"),
                Some(b'\\') if quote == "\"" => self.at += if self.rest().len() > 1 { 2 } else { 1 },
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn what_is_broken_has_its_line() {
        let good = "# a\nversion = 2 # b\nroot = \"/x # \\\" y\"\nimports = [\n  '/a/*.toml', # c\n  \"b\",\n]\n\
            oom = -999\nf = 1.5e3\nd = 1979-05-27T07:32:00Z\na.b.c = true\nx = \"\"\"\nlong \"\" \\\n= [\n\"\"\"\n\
            [plugins.\"io.containerd.grpc.v1.cri\"]\r\n  o = { A = true, B = [1, 2] }\n [ plugins . 'x.y' . z ] \n\
            [[s]]\na = 1\n[s.t]\n[[s]]\na = 1\n[s.t]\n[plugins]\nb = ''\n\"\" = nan\n";
        assert_eq!(broken(good), None);
        for (text, line) in [
            ("version = 2\nversion = 3\n", 2),
            ("[a]\nb = 1\n[c]\n[a]\n", 4),
            ("[a.\"b\"]\n[a.b]\n", 2),
            ("[[a]]\n[a]\n", 2),
            ("a = x\n", 1),
            ("a = True\n", 1),
            ("a = \"x\n", 1),
            ("[a\nb = 1\n", 1),
            ("a: 1\n", 1),
            ("\na\n", 2),
            ("a = [1 2]\n", 1),
            ("a = [\n1,\n", 3),
            ("a = 1 b = 2\n", 1),
            ("a =\nb = 1\n", 1),
            ("x = '''\n\n", 3),
            ("registry.k8s.io/x = 1\n", 1),
        ] {
            assert_eq!(broken(text).map(|(line, _)| line), Some(line), "{text}");
        }
        assert!(broken(&format!("a = {}", "[".repeat(100_000))).is_some());
        for end in 0..good.len() {
            let _ = broken(&good[..end]);
        }
    }
}
