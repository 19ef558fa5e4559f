// SPDX-License-Identifier: Apache-2.0
//! Names and files of systemd units
//! ([systemd.unit(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html)).

pub mod install;

/// The kinds of units that systemd knows.
pub const KINDS: &[&str] = &[
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "target",
    "timer",
];

/// Longest name of a unit, in bytes.
const MAX_NAME: usize = 255;

/// The form of a unit's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `echo.service`.
    Plain,
    /// `echo@one.service`.
    Instance,
    /// `echo@.service`.
    Template,
}

/// The form of a name; `None` if systemd does not accept it.
pub fn form(name: &str) -> Option<Form> {
    let (base, kind) = name.rsplit_once('.')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "@:-_.\\".contains(c);
    if name.len() > MAX_NAME || !KINDS.contains(&kind) || !base.chars().all(plain) {
        return None;
    }
    match base.split_once('@') {
        _ if base.is_empty() || base.starts_with('@') => None,
        None => Some(Form::Plain),
        Some((_, "")) => Some(Form::Template),
        Some(_) => Some(Form::Instance),
    }
}

/// The kind of a unit: `service` of `echo.service`.
pub fn kind(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, kind)| kind)
}

/// The template of an instance and the instance's own part: `echo@.service` and `one` of `echo@one.service`.
pub fn instance(name: &str) -> Option<(String, &str)> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| (format!("{prefix}@.{kind}"), instance))
}

/// The instance of a template: `echo@one.service` of `echo@.service`. Other names are returned as they are.
pub fn of_template(template: &str, instance: &str) -> String {
    match template.split_once("@.") {
        Some((prefix, kind)) => format!("{prefix}@{instance}.{kind}"),
        None => template.to_owned(),
    }
}

/// The name of the unit for a path, such as a mount point
/// ([escaping](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#String%20Escaping%20for%20Inclusion%20in%20Unit%20Names)).
pub fn of_path(path: &str, kind: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let mut name = String::new();
    for (i, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if i == 0 => name.push_str("\\x2e"),
            b if b.is_ascii_alphanumeric() || b":_.".contains(&b) => name.push(char::from(b)),
            b => name.push_str(&format!("\\x{b:02x}")),
        }
    }
    let name = if name.is_empty() { "-" } else { &name };
    format!("{name}.{kind}")
}

/// A line of a unit's file as systemd reads it: continued lines are joined, comments and empty lines are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of its first line in the file, from 1.
    pub number: usize,
    /// Its text, without blanks around it.
    pub text: String,
}

/// The lines of a unit's file. A comment within a continued line is left out, and the line goes on after it; an empty line
/// ends it.
pub fn lines(text: &str) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut lines = Vec::new();
    let mut open: Option<Line> = None;
    for (i, part) in text.split(['\n', '\r', '\0']).enumerate() {
        let part = part.trim_start_matches(BLANKS);
        if part.starts_with(['#', ';']) {
            continue;
        }
        let mut line = open.take().unwrap_or(Line { number: i + 1, text: String::new() });
        line.text += part;
        // An even number of backslashes at the end stands for themselves.
        let backslashes = line.text.len() - line.text.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            line.text.pop();
            line.text.push(' ');
            open = Some(line);
        } else {
            lines.push(line);
        }
    }
    lines.extend(open);
    for line in &mut lines {
        line.text = line.text.trim_matches(BLANKS).to_owned();
    }
    lines.retain(|line| !line.text.is_empty());
    lines
}

/// What systemd takes for blanks.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// A setting of a unit's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The number of its line, from 1.
    pub line: usize,
    /// Its section, without brackets.
    pub section: String,
    /// Its key.
    pub key: String,
    /// Its value, without blanks around it.
    pub value: String,
}

/// The settings of a unit's file. Lines that systemd ignores are left out.
///
/// # Errors
/// The number of a section's line without a closing bracket: systemd does not read such a file.
pub fn settings(text: &str) -> Result<Vec<Setting>, usize> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for Line { number, text } in lines(text) {
        if let Some(name) = text.strip_prefix('[') {
            section = name.strip_suffix(']').ok_or(number)?.to_owned();
        } else if let Some((key, value)) = text.split_once('=')
            && !section.is_empty()
        {
            let (key, value) = (key.trim_matches(BLANKS), value.trim_matches(BLANKS));
            let (key, value) = (key.to_owned(), value.to_owned());
            settings.push(Setting { line: number, section: section.clone(), key, value });
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_forms() {
        let forms = [
            ("a.service", Some(Form::Plain)),
            ("a-b_c:d.e\\x2d.mount", Some(Form::Plain)),
            ("a@b.service", Some(Form::Instance)),
            ("a@b@c.service", Some(Form::Instance)),
            ("a@.service", Some(Form::Template)),
            ("@a.service", None),
            ("@.service", None),
            (".service", None),
            ("a", None),
            ("a.conf", None),
            ("a b.service", None),
            ("a/b.service", None),
        ];
        for (name, want) in forms {
            assert_eq!(form(name), want, "{name}");
        }
        assert_eq!(instance("a@b.c.service"), Some(("a@.service".to_owned(), "b.c")));
        assert_eq!(instance("a@.service"), None);
        assert_eq!(of_template("a@.service", "b"), "a@b.service");
    }

    #[test]
    fn paths_have_units() {
        for (path, name) in [
            ("/", "-.mount"),
            ("/var/lib", "var-lib.mount"),
            ("//var/./lib/", "var-lib.mount"),
            ("/a-b/.c d", "a\\x2db-.c\\x20d.mount"),
            ("/dev/disk/by-label/etcd_disk", "dev-disk-by\\x2dlabel-etcd_disk.mount"),
            ("/.a", "\\x2ea.mount"),
            ("/\u{fc}", "\\xc3\\xbc.mount"),
        ] {
            assert_eq!(of_path(path, "mount"), name, "{path}");
        }
    }

    #[test]
    fn lines_are_joined_as_systemd_joins_them() {
        let text = "\u{feff}[A]\r\n a = b \\\r\n# no\n ; no\n c\n\nd=\\\\\ne=f\\\n\ng\n";
        let said: Vec<(usize, String)> = lines(text).into_iter().map(|l| (l.number, l.text)).collect();
        let want = [(1, "[A]"), (2, "a = b  c"), (7, "d=\\\\"), (8, "e=f"), (10, "g")];
        assert_eq!(said, want.map(|(n, t)| (n, t.to_owned())));
        assert_eq!(settings("[A\na=b\n"), Err(1));
        let read = settings("x=y\n[A]\na = b = c\nnone\n").unwrap_or_default();
        let want = Setting { line: 3, section: "A".into(), key: "a".into(), value: "b = c".into() };
        assert_eq!(read, [want]);
    }
}
