// SPDX-License-Identifier: Apache-2.0
//! Debian's Jinja2, set up as cloud-init sets it up, as oracle: every filter, every test and every method of its strings,
//! lists and mappings is called with values and arguments of all kinds, and what it renders is what is rendered here.
//!
//! The names are asked of Jinja2 and Python themselves. One that is not offered is a row of [`NOT_OFFERED`], and its
//! error names it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use footplate::facade::decode::document::jinja::{self, Variables};
use footplate::facade::model::facts::Os;
use footplate::facade::model::instance::Instance;

use crate::cloud_init_oracle::PACKAGES;
use crate::common::debian;

/// What Jinja2 has and a node's data has no use for.
const NOT_OFFERED: &[(&str, &str, &str)] = &[
    ("filter", "random", "a node's data comes out the same whenever it is read"),
    ("filter", "urlize", "HTML"),
    ("filter", "xmlattr", "HTML"),
    ("str", "encode", "bytes are not text"),
    ("str", "maketrans", "a table of numbers"),
    ("str", "translate", "a table of numbers"),
];

/// Templates that mean something else here: a piece of the template, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("'Straße Élan' | sort", "letters beyond ASCII are not folded to find their order"),
    ("'Straße Élan' | max", "the same"),
    ("'Straße Élan' | groupby(0)", "the same"),
    (
        "| attr('a')",
        "a mapping has no attributes in Python but its methods; here a key is one, as behind a dot",
    ),
    ("'abc' is sameas('abc')", "Python asks for the same object, which depends on how a text was made"),
];

const STRINGS: &[&str] = &[
    "''",
    "'abc'",
    "'node-1.example.com'",
    "' a  b c '",
    "'Straße Élan'",
    "'x=y=z'",
    "\"it's 2 o'clock\"",
    "'42'",
    "'-7'",
    "'3.9'",
    "'a\\nb\\r\\nc'",
    "'a\\tb'",
    "'pre-value-pre'",
    "'ABC def'",
    "'0x1f'",
    "'<b>x</b> &amp; y'",
];

const VALUES: &[&str] = &[
    "0",
    "7",
    "-7",
    "12345678",
    "2.5",
    "-0.5",
    "true",
    "none",
    "[]",
    "[3, 1, 2]",
    "['b', 'a', 'B', 'a']",
    "[1.5, 2]",
    "(1, 2)",
    "{}",
    "{'b': 1, 'a': 2}",
    "[{'n': 'x', 'v': 1}, {'n': 'y', 'v': 2}, {'n': 'x', 'v': 3}]",
    "[[1, 2], [3, 4]]",
    "ds.meta_data.tags",
    "ds.meta_data.disks",
];

/// Arguments of methods.
const ARGUMENTS: &[&str] = &[
    "'.'",
    "'-'",
    "'a'",
    "'pre-'",
    "'zz'",
    "0",
    "3",
    "12",
    "-1",
    "none",
    "[1, 2]",
    "('a', 'x')",
    "{'a': 5}",
    "'.', 1",
    "'-', 1",
    "none, 1",
    "1, 3",
    "9, '*'",
    "'b', 9",
    "maxsplit=1",
    "reverse=true",
    "tabsize=4",
    "'e', 2",
    "'e', 1, -2",
    "keepends=true",
    "['x', 'y']",
    "name='y'",
    "'x', 'y'",
];

/// Arguments of filters and tests, where they take some: beside none at all.
const OF_FILTERS: &[(&str, &[&str])] = &[
    ("attr", &["'a'"]),
    ("batch", &["2", "3, 'x'", "linecount=2"]),
    ("center", &["12", "13", "width=4"]),
    ("d", &["'x'", "'x', true", "default_value=3, boolean=true"]),
    ("default", &["'x'", "'x', true", "default_value=3, boolean=true"]),
    ("dictsort", &["true", "false, 'value'", "by='value', reverse=true"]),
    ("divisibleby", &["7", "2"]),
    ("eq", &["7", "'abc'"]),
    ("equalto", &["7", "'abc'"]),
    ("filesizeformat", &["true", "binary=true"]),
    ("float", &["1.5", "default=4"]),
    ("format", &["'x'", "7, 8"]),
    ("ge", &["7", "'abc'"]),
    ("greaterthan", &["7", "'abc'"]),
    ("groupby", &["'n'", "'n', 'z'", "attribute='v'", "0", "attribute=1"]),
    ("gt", &["7", "'abc'"]),
    ("in", &["'abcdef'", "[7, 'abc']"]),
    ("indent", &["2", "2, true", "width=3, first=true", "1, false, true", "'> '"]),
    ("int", &["9", "default=4", "0, 16", "base=8"]),
    ("join", &["'-'", "', '", "'-', 'n'", "d='+', attribute='v'", "'-', 0"]),
    ("le", &["7", "'abc'"]),
    ("lessthan", &["7", "'abc'"]),
    ("lt", &["7", "'abc'"]),
    ("map", &["'upper'", "attribute='n'", "'replace', 'a', 'o'", "attribute='q', default='z'", "'string'"]),
    ("max", &["true", "attribute='v'", "attribute=1"]),
    ("min", &["true", "attribute='v'"]),
    ("ne", &["7", "'abc'"]),
    ("reject", &["'odd'", "'equalto', 'a'", "'in', ['a', 1]"]),
    ("rejectattr", &["'n'", "'n', 'equalto', 'x'", "'v', 'gt', 1"]),
    (
        "replace",
        &["'a', 'o'", "'a', 'o', 1", "'', '-'", "old='a', new='o'", "'a', new='o', count=1", "new=1, old=2"],
    ),
    ("round", &["1", "1, 'floor'", "0, 'ceil'", "method='floor'", "precision=1"]),
    ("sameas", &["none", "true", "'abc'"]),
    ("select", &["'odd'", "'equalto', 'a'", "'string'"]),
    ("selectattr", &["'n'", "'n', 'equalto', 'x'", "'v', 'gt', 1", "'q', 'defined'"]),
    ("slice", &["2", "3, 'x'"]),
    ("sort", &["true", "reverse=true", "false, true", "attribute='v'", "attribute=1", "case_sensitive=true"]),
    ("sum", &["'v'", "attribute='v'", "attribute=1", "start=5", "'v', 2"]),
    ("tojson", &["2", "indent=1"]),
    ("trim", &["'a '", "chars='-'"]),
    ("truncate", &["5", "9, true", "9, false, '..', 0", "length=6, killwords=true, leeway=1"]),
    ("unique", &["true", "attribute='n'", "attribute=0"]),
    ("wordwrap", &["4", "width=5", "3, false", "6, true, '|'"]),
];

/// What stands between templates that are rendered together.
const BETWEEN: &str = "\n=====\n";

/// Filters whose result Python prints as an object: it is made a list.
const LAZY: &[&str] =
    &["batch", "items", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "unique"];

fn render(body: &str) -> Result<String, String> {
    let metadata = serde_json::json!({ "hostname": "n.x.example", "tags": {"a": 1, "b": "two"}, "disks": ["sda", "sdb"] });
    let serde_json::Value::Object(metadata) = metadata else { unreachable!() };
    let instance =
        Instance { platform: "nocloud", instance_id: "i-1".to_owned(), metadata, ..Instance::default() };
    let variables = Variables::of(&instance, &Os::default());
    jinja::render(&*format!("## template: jinja\n{body}"), &variables)
        .map(|r| r.text.to_string())
        .map_err(|p| p.what)
}

/// The names that Jinja2 has, and what it renders each template to.
fn oracle(packages: &Path, templates: &[String]) -> (BTreeMap<String, Vec<String>>, Vec<Option<String>>) {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud-init/jinja.py");
    let mut command = Command::new("timeout");
    command.args(["300", "/usr/bin/python3", "-S"]).arg(driver).arg(packages);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = templates.iter().map(|t| serde_json::to_string(t).unwrap() + "\n").collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success());
    let text = String::from_utf8(out.stdout).unwrap();
    let mut lines = text.lines();
    let names = serde_json::from_str(lines.next().unwrap()).unwrap();
    let results: Vec<Option<String>> = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(results.len(), templates.len());
    (names, results)
}

/// Templates that call a filter, a test or a method, with all values and arguments.
fn templates(kind: &str, name: &str) -> Vec<String> {
    let own = OF_FILTERS.iter().find(|(n, _)| *n == name).map_or(&[] as &[&str], |(_, args)| args);
    let known = if kind == "filter" || kind == "test" { own } else { ARGUMENTS };
    let calls = |subject: &str| -> Vec<String> {
        let arguments = known.iter().map(|args| format!("{subject}({args})"));
        let none =
            if kind == "filter" || kind == "test" { subject.to_owned() } else { format!("{subject}()") };
        std::iter::once(none).chain(arguments).collect()
    };
    let values = |strings: bool, others: bool| {
        let strings = STRINGS.iter().filter(move |_| strings);
        strings.chain(VALUES.iter().filter(move |_| others)).copied()
    };
    let print = |call: String| format!("{{{{ {call} }}}}");
    match kind {
        "filter" => {
            let lazy = LAZY.contains(&name);
            // What is lazy fails in Python only where something walks through it.
            let walked = |v: &&str| !lazy || v.starts_with(['\'', '"', '[', '(', '{', 'd']);
            let called = |c: &String| !lazy || own.is_empty() || c.ends_with(')');
            let calls = values(true, true).filter(walked).flat_map(|v| calls(&format!("{v} | {name}")));
            let list = if lazy { " | list" } else { "" };
            calls.filter(called).map(|c| print(c + list)).collect()
        }
        "test" => values(true, true).flat_map(|v| calls(&format!("{v} is {name}"))).map(print).collect(),
        "str" => values(true, false).flat_map(|v| calls(&format!("{v}.{name}"))).map(print).collect(),
        _ => {
            let wanted = if kind == "list" { ['[', ']'] } else { ['{', '}'] };
            let values = VALUES.iter().filter(|v| v.starts_with(wanted[0]) && v.ends_with(wanted[1]));
            let wrap = if kind == "list" { "" } else { " | list" };
            let changed = |call: String| match name {
                "items" | "keys" | "values" => {
                    format!("{{% set x = VALUE %}}{{{{ {call}{wrap} }}}} {{{{ x }}}}")
                }
                _ => format!("{{% set x = VALUE %}}{{{{ {call} }}}} {{{{ x }}}}"),
            };
            values
                .flat_map(|v| {
                    calls(&format!("x.{name}"))
                        .into_iter()
                        .map(move |c| changed(c).replace("VALUE", v))
                        .collect::<Vec<_>>()
                })
                .collect()
        }
    }
}

/// Whether cloud-init wrote something for a name without a value: here that is an error.
fn without(theirs: &str) -> bool {
    ["CI_MISSING_JINJA_VAR", "Undefined"].iter().any(|word| theirs.contains(word))
}

#[test]
fn every_filter_test_and_method_means_what_jinja2_means() {
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    let (names, _) = oracle(&packages, &[]);
    let all: Vec<(String, String, String)> = names
        .iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| (kind, name)))
        // Operators are tests by their names too, and are not written so.
        .filter(|(_, name)| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        .flat_map(|(kind, name)| {
            templates(kind, name).into_iter().map(move |t| (kind.clone(), name.clone(), t))
        })
        .collect();
    let texts: Vec<String> = all.iter().map(|(.., template)| template.clone()).collect();
    let (_, results) = oracle(&packages, &texts);
    let (mut wrong, mut equal) = (String::new(), BTreeMap::new());
    let mut used = vec![false; DIFFERENCES.len()];
    let known: Vec<_> =
        all.iter().zip(&results).filter_map(|(t, theirs)| Some((t, theirs.as_ref()?))).collect();
    // Most are alike: many at once, and one by one where they are not.
    let ours = known.chunks(50).flat_map(|chunk| {
        let joined = |parts: Vec<&str>| parts.join(BETWEEN);
        let theirs = joined(chunk.iter().map(|(_, theirs)| theirs.as_str()).collect());
        let all_alike = render(&joined(chunk.iter().map(|((.., t), _)| t.as_str()).collect())) == Ok(theirs);
        let one = move |((.., t), theirs): &(&(String, String, String), &String)| match all_alike {
            true => Ok((*theirs).clone()),
            false => render(t),
        };
        chunk.iter().map(one).collect::<Vec<_>>()
    });
    for (((kind, name, template), theirs), ours) in known.iter().zip(ours) {
        let count: &mut usize = equal.entry((kind.as_str(), name.as_str())).or_default();
        if ours.as_ref() == Ok(*theirs) || (without(theirs) && ours.is_err()) {
            *count += 1;
            continue;
        }
        if NOT_OFFERED.iter().any(|(k, n, _)| *k == kind && *n == name) {
            let named = ours.as_ref().is_err_and(|what| what.contains(&format!("`{name}`")));
            if !named {
                let _ = writeln!(wrong, "{template}: its error does not name it: {ours:?}");
            }
            *count += 1;
            continue;
        }
        match DIFFERENCES.iter().position(|(piece, _)| template.contains(piece)) {
            Some(row) => used[row] = true,
            None => drop(writeln!(wrong, "{template}\n  theirs {theirs:?}\n  ours   {ours:?}")),
        }
    }
    // Where Jinja2 has an error, ours has one that says where it comes from, or renders something. Some of many.
    for ((.., template), _) in all.iter().zip(&results).filter(|(_, theirs)| theirs.is_none()).step_by(11) {
        if let Err(what) = render(template)
            && !is_plain(&what)
        {
            let _ = writeln!(wrong, "{template}: {what}");
        }
    }
    for ((piece, why), used) in DIFFERENCES.iter().zip(used) {
        println!("{piece}: {why}");
        if !used {
            let _ = writeln!(wrong, "nothing differs by {piece} any more");
        }
    }
    for (kind, names) in &names {
        for name in names.iter().filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic())) {
            if !equal.contains_key(&(kind.as_str(), name.as_str())) {
                let _ = writeln!(wrong, "{kind} {name}: no template calls it");
            }
        }
    }
    println!("{} names, {} templates", equal.len(), equal.values().sum::<usize>());
    assert!(wrong.is_empty(), "{wrong}");
}

/// Formats of Python's two languages for them: each flag, width, grouping and precision with each type, and values of all kinds in
/// turn.
fn formats() -> Vec<String> {
    const VALUES: &[&str] = &[
        "42",
        "-7",
        "0",
        "1234567",
        "3.14159",
        "-0.5",
        "1e20",
        "2.0",
        "0.00001234",
        "123456789.5",
        "'abc'",
        "'Zü'",
        "true",
        "false",
        "none",
        "[1, 'b']",
        "97",
    ];
    const FIELDS: &[&str] = &[
        "'{} {!r} {}'.format(1, 'b', none)",
        "'{1}{0}{1}'.format('a', 2)",
        "'{a[b]:>{w}}|{l[1]}'.format(a={'b': 'x'}, w=4, l=[1, 2])",
        "'{{{}}} {!a:*^9} {!s:.2}'.format(true, 'é', 'abc')",
        "'{x} {y:05.1f}'.format_map({'x': 'a', 'y': 2})",
        "'{}{0}'.format(1)",
        "'{'.format(1)",
        "'}'.format(1)",
        "'{:{}}'.format('a', 5)",
        "'{x}'.format(1)",
        "'{}'.format_map({'x': 1})",
        "'{:y}'.format(1)",
        "'{!x}'.format(1)",
        "'%s-%s' % ('a', 1)",
        "'%(a)s %(b)05d' % {'a': 'x', 'b': 42}",
        "'%*d|%-*d|%.*f' % (5, 42, 4, 7, 2, 3.14159)",
        "'100%% %5%x' % ()",
        "'%s' % ('a', 'b')",
        "'%s %s' % 'a'",
        "'abc' % 'a'",
        "'abc' % ['a']",
        "'%q' % 1",
        "'%' % 1",
        "'%(a' % {'a': 1}",
        "'%(z)s' % {'a': 1}",
        "'%s and %s' | format('a', 2.50)",
        "'%(n)s' | format(n='x')",
        "'%s' | format",
    ];
    let of = |flags: &[&str], widths: &[&str], groups: &[&str], types: &[&str]| {
        let mut all = vec![String::new()];
        for part in [flags, widths, groups, &["", ".0", ".3"], types] {
            all = all.iter().flat_map(|a| part.iter().map(move |b| format!("{a}{b}"))).collect();
        }
        all
    };
    let types = ["", "e", "E", "f", "F", "g", "G", "n", "%", "b", "o", "x", "X", "d", "c", "s"];
    let flags = ["", "+", " ", "#", "<", ">", "^", "=", "*^+", "x<#"];
    let braces = of(&flags, &["", "8", "012"], &["", ",", "_"], &types);
    let types = ["d", "i", "u", "e", "E", "f", "F", "g", "G", "o", "x", "X", "c", "s", "r", "a"];
    let percent = of(&["", "+", " ", "#", "-", "0", "-+"], &["", "8"], &[""], &types);
    let value = |at: usize| VALUES[at % VALUES.len()];
    let braces = braces.iter().enumerate().map(|(i, f)| format!("'{{:{f}}}'.format({})", value(i)));
    let percent = percent.iter().enumerate().flat_map(|(i, f)| {
        let values = (0..4).map(move |n| value(i + n * 4));
        values.map(move |value| format!("'%{f}' % {value}"))
    });
    let all = braces.chain(percent).chain(FIELDS.iter().map(|f| (*f).to_owned()));
    all.map(|call| format!("{{{{ {call} }}}}")).collect()
}

/// What an error says names a filter, a method or the like, in words that are not the engine's.
fn is_plain(what: &str) -> bool {
    what.contains('`')
        && !["invalid operation", "not a primitive", "could not"].iter().any(|raw| what.contains(raw))
}

#[test]
fn every_format_means_what_python_means() {
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    let all = formats();
    let (_, results) = oracle(&packages, &all);
    let wrong: String = all.iter().zip(&results).fold(String::new(), |wrong, (template, theirs)| {
        let ours = render(template);
        match (&ours, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => wrong,
            (Err(what), None) if is_plain(what) => wrong,
            _ => format!("{wrong}{template}\n  theirs {theirs:?}\n  ours   {ours:?}\n"),
        }
    });
    println!("{} formats, {} of them errors", all.len(), results.iter().filter(|r| r.is_none()).count());
    assert!(wrong.is_empty(), "{wrong}");
}

/// Ranges: what they hold, and how they print.
#[test]
fn every_range_is_what_python_makes_of_it() {
    let packages = needs!(debian::unpacked(PACKAGES)).join("usr/lib/python3/dist-packages");
    const RANGES: &[&str] = &[
        "3", "0", "-3", "1, 4", "4, 1", "5, 0, -2", "0, 5, 2", "-2, 3", "1, 2, 9", "2, 9, -1", "7, 7",
        "1, 5, 0", "",
    ];
    const USES: &[&str] = &[
        "{{ R }}|{{ R ~ 'x' }}|{{ '%s' % R }}|{{ '{}'.format(R) }}|{{ R | string }}",
        "{{ [R, 1] }}|{{ {'a': R} }}",
        "{{ R | list }}|{{ R | length }}|{{ R | join('-') }}|{{ R | sum }}|{{ R | first | default('no') }}",
        "{{ R | reverse | list }}|{{ R | map('string') | list }}|{{ 2 in R }}|{{ R | sort }}",
        "{% set r = R %}{{ r }}|{% for i in r %}{{ i }}{{ loop.last }}{{ loop.nextitem | default('') }};{% endfor %}",
        "{{ R is sequence }}{{ R is iterable }}{{ R is mapping }}{{ R is string }}{{ 1 if R else 2 }}",
        "{{ R[0] }}",
        "{{ R[-1] }}",
        "{{ R[1] | default('none') }}",
    ];
    let all: Vec<String> = RANGES
        .iter()
        .flat_map(|range| USES.iter().map(move |used| used.replace('R', &format!("range({range})"))))
        .collect();
    let (_, results) = oracle(&packages, &all);
    let wrong: String = all.iter().zip(&results).fold(String::new(), |wrong, (template, theirs)| {
        let ours = render(template);
        match (&ours, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => wrong,
            (Err(_), None) => wrong,
            (Err(_), Some(theirs)) if theirs.is_empty() || without(theirs) => wrong,
            _ => format!("{wrong}{template}\n  theirs {theirs:?}\n  ours   {ours:?}\n"),
        }
    });
    println!("{} templates, {} of them errors", all.len(), results.iter().filter(|r| r.is_none()).count());
    assert!(wrong.is_empty(), "{wrong}");
}
