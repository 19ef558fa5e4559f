// SPDX-License-Identifier: Apache-2.0
//! Data that both read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::random::Rng;

/// One case.
pub struct Case {
    pub name: String,
    pub user: Vec<u8>,
    pub vendor: Option<Vec<u8>>,
    /// What include lists and sources name, by path.
    pub include: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn new(name: impl Into<String>, user: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), user: user.into(), vendor: None, include: BTreeMap::new() }
    }
}

/// All cases, each with a name of its own.
pub fn all() -> Vec<Case> {
    let mut all = golden();
    all.extend(FILES.iter().map(|(name, text)| {
        Case::new(format!("files-{name}"), format!("#cloud-config\nwrite_files:\n{text}"))
    }));
    all.extend(compressed_files());
    all.extend(MERGES.iter().map(|(name, parts)| Case::new(format!("merge-{name}"), archive(parts))));
    all.extend(MESSAGES.iter().map(|(name, text)| Case::new(format!("mime-{name}"), *text)));
    all.extend(
        MESSAGES
            .iter()
            .filter(|(_, text)| !text.contains('\r'))
            .map(|(name, text)| Case::new(format!("mime-{name}-crlf"), text.replace('\n', "\r\n"))),
    );
    all.extend(VENDORS.iter().map(|(name, user, vendor)| Case {
        vendor: Some((*vendor).into()),
        ..Case::new(format!("vendor-{name}"), *user)
    }));
    all.extend(whole());
    for (name, text) in TEMPLATES {
        let script = format!("## template: jinja\n#!/bin/sh\n{text}");
        all.push(Case::new(format!("jinja-{name}"), script));
    }
    all.extend((1..=100).map(|seed| generated_merge(&mut Rng::new(seed), seed)));
    all.extend((1..=80).map(|seed| generated_message(&mut Rng::new(seed), seed)));
    all.extend((1..=40).map(|seed| generated_template(&mut Rng::new(seed), seed)));
    all.extend((1..=40).map(|seed| generated_files(&mut Rng::new(seed), seed)));
    all
}

/// The golden folders of `tests/userdata`.
fn golden() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/userdata/golden");
    let mut cases = Vec::new();
    for dir in fs::read_dir(root).unwrap().map(|e| e.unwrap().path()) {
        let mut case =
            Case::new(dir.file_name().unwrap().to_string_lossy(), fs::read(dir.join("user-data")).unwrap());
        case.vendor = fs::read(dir.join("vendor-data")).ok();
        let mut below = vec![dir.join("include")];
        while let Some(path) = below.pop() {
            if let Ok(entries) = fs::read_dir(&path) {
                below.extend(entries.map(|e| e.unwrap().path()));
            } else if let Ok(data) = fs::read(&path) {
                let name = path.strip_prefix(dir.join("include")).unwrap().to_str().unwrap();
                case.include.insert(name.to_owned(), data);
            }
        }
        case.name.insert_str(0, "golden-");
        cases.push(case);
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 20, "the folders are not where they were");
    cases
}

pub fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn b64(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

/// Lists of `write_files`. The root has `/dir`, `/old/file`, `/old/link` to it and `/link` to `/old`.
const FILES: &[(&str, &str)] = &[
    ("plain", "- {path: /a, content: hello}\n- {path: /deep/er/b, content: 'x'}\n- path: /c\n"),
    (
        "blocks",
        "- path: /clip\n  content: |\n    one\n      two\n\n    three\n\n\n- path: /strip\n  content: |-\n    one\n\n- path: /keep\n  content: |+\n    one\n\n\n\
         - path: /fold\n  content: >\n    one\n    two\n\n    three\n      four\n    five\n- path: /ind\n  content: |2\n      two more\n    none\n",
    ),
    ("unicode", "- {path: '/\u{e4} b', content: \"\u{fc}\\u00e9\\x41\\U0001F600\\ttab\\0\"}\n"),
    (
        "quotes",
        "- path: /a\n  content: 'it''s {{ no }} template: # no comment'\n- {path: \"/b c\", content: \"a\\\n    b \\\"c\\\"\"}\n",
    ),
    ("over-old", "- {path: /old/file, content: new, permissions: '0600', owner: 'core:core'}\n"),
    ("through-link", "- {path: /old/link, content: new}\n- {path: /link/new, content: new}\n"),
    (
        "append",
        "- {path: /old/file, content: 'more', append: true}\n- {path: /new, content: a, append: true}\n- {path: /new, content: b, append: true}\n",
    ),
    (
        "append-words",
        "- {path: /old/file, content: a, append: 'yes'}\n- {path: /old/file, content: b, append: on}\n- {path: /old/file, content: c, append: 1}\n",
    ),
    (
        "append-false",
        "- {path: /old/file, content: new, append: false}\n- {path: /old/file, content: '', append: null}\n",
    ),
    ("twice", "- {path: /a, content: one, permissions: '0600'}\n- {path: /a, content: two}\n"),
    (
        "replaced-and-appended",
        "- {path: /a, content: one}\n- {path: /a, content: two}\n- {path: /a, content: three, append: true, permissions: '0640'}\n",
    ),
    (
        "appended-by-another-owner",
        "- {path: /a, content: one, owner: 'core:wheel'}\n- {path: /a, content: two, append: true, owner: root}\n- {path: /b, content: one, owner: core}\n- {path: /b, content: two, append: true, owner: ':wheel'}\n",
    ),
    (
        "permissions",
        "- {path: /a, permissions: '0640'}\n- {path: /b, permissions: '640'}\n- {path: /c, permissions: 0640}\n- {path: /d, permissions: '0o600'}\n- {path: /e, permissions: null}\n- {path: /f, permissions: 0o600}\n- {path: /g, permissions: '1777'}\n",
    ),
    ("permissions-decimal", "- {path: /a, permissions: 644}\n"),
    ("permissions-bad", "- {path: /a, permissions: '9'}\n"),
    ("permissions-words", "- {path: /a, permissions: 'u=rw'}\n"),
    (
        "permissions-set-id",
        "- {path: /a, content: x, permissions: '4755'}\n- {path: /b, content: x, permissions: '02750', owner: core}\n",
    ),
    (
        "owners",
        "- {path: /a, owner: 'core:wheel'}\n- {path: /b, owner: core}\n- {path: /c, owner: 'core:'}\n- {path: /d, owner: ':wheel'}\n- {path: /e, owner: ' core : wheel '}\n- {path: /f, owner: 'none:wheel'}\n- {path: /g, owner: '-1:-1'}\n- {path: /old/file, owner: ':wheel', append: true}\n",
    ),
    ("owner-null", "- {path: /a, owner: null}\n"),
    (
        "owner-user-alone",
        "- {path: /home/core/file, owner: root}\n- {path: /old/file, owner: core}\n- {path: /new, owner: core}\n",
    ),
    ("owner-numbers", "- {path: /a, owner: '0:0'}\n"),
    ("owner-unknown", "- {path: /a, owner: nobody-here}\n- {path: /b}\n"),
    ("owner-of-parents", "- {path: /new/dir/a, owner: 'core:core'}\n"),
    (
        "encodings",
        "- {path: /a, encoding: b64, content: aGVsbG8K}\n- {path: /b, encoding: base64, content: \"aGVs\\nbG8K\"}\n- {path: /c, encoding: ' Base64 ', content: aGVsbG8K}\n- {path: /d, encoding: text/plain, content: aGVsbG8K}\n- {path: /e, encoding: '', content: aGVsbG8K}\n- {path: /f, encoding: null, content: aGVsbG8K}\n- {path: /g, encoding: b64, content: ''}\n",
    ),
    ("encoding-block", "- path: /a\n  encoding: b64\n  content: |\n    aGVsbG8g\n    d29ybGQK\n"),
    ("encoding-unknown", "- {path: /a, encoding: rot13, content: aGVsbG8K}\n"),
    ("encoding-order", "- {path: /a, encoding: base64+gzip, content: aGVsbG8K}\n"),
    ("encoding-padding", "- {path: /a, encoding: b64, content: aGVsbG8}\n- {path: /b}\n"),
    ("encoding-alphabet", "- {path: /a, encoding: b64, content: 'aGV*sbG8K'}\n"),
    ("gzip-of-nothing", "- {path: /a, encoding: gzip}\n- {path: /b, encoding: gz+b64, content: ''}\n"),
    ("encoding-no-gzip", "- {path: /a, encoding: gzip, content: hello}\n"),
    (
        "paths",
        "- {path: a/b, content: x}\n- {path: //c//d, content: x}\n- {path: /e/./f, content: x}\n- {path: '/g ', content: x}\n",
    ),
    ("path-number", "- {path: 12, content: x}\n"),
    ("path-goes-up", "- {path: /a/../b, content: x}\n"),
    ("path-missing", "- {content: x}\n- {path: /b, content: x}\n"),
    ("path-is-directory", "- {path: /old, content: x}\n"),
    ("path-ends-with-slash", "- {path: /a/, content: x}\n"),
    ("content-bytes", "- {path: /a, content: !!binary aGVsbG//}\n"),
    ("content-null", "- {path: /a, content: null}\n- {path: /b, content: }\n"),
    ("content-number", "- {path: /a, content: 0644}\n"),
    ("content-bool", "- {path: /a, content: yes}\n"),
    ("content-mapping", "- {path: /a, content: {b: c}}\n"),
    (
        "defer",
        "- {path: /a, content: late, defer: true}\n- {path: /a, content: early, permissions: '0600'}\n- {path: /b, content: late, defer: 'yes', append: true}\n- {path: /b, content: early}\n",
    ),
    ("empty", " []\n"),
    ("null", ""),
    ("item-null", "- null\n- {path: /b}\n"),
    ("unknown-key", "- {path: /a, content: x, mode: '0600'}\n"),
    ("anchors", "- &a {path: /a, content: x, permissions: '0600'}\n- <<: *a\n  path: /b\n"),
];

/// Content that is compressed, which no table of text holds.
fn compressed_files() -> Vec<Case> {
    let two = [gz(b"one\n"), gz(b"two\n")].concat();
    let text = |name: &str, encoding: &str, content: &str| {
        let list = format!(
            "#cloud-config\nwrite_files:\n- {{path: /a, encoding: {encoding}, content: {content}}}\n"
        );
        Case::new(format!("files-{name}"), list)
    };
    let mut all = vec![
        text("gzip-of-two", "gz+b64", &b64(&two)),
        text("gzip-binary", "gz", &format!("!!binary {}", b64(&gz(b"text\n")))),
        text("gzip-cut-off", "gz+b64", &b64(&gz(b"text\n")[..12])),
        text("gzip-twice", "gz+b64", &b64(&gz(&gz(b"text\n")))),
        text("gzip-large", "gzip+base64", &b64(&gz(&b"0123456789abcdef\n".repeat(20_000)))),
    ];
    for encoding in ["gz+base64", "gzip+base64", "gz+b64", "gzip+b64", "GZIP+Base64"] {
        all.push(text(&format!("gzip-as-{encoding}"), encoding, &b64(&gz(b"text\n"))));
    }
    all
}

/// An archive of these cloud-configs.
fn archive(parts: &[&str]) -> String {
    let mut text = "#cloud-config-archive\n".to_owned();
    for part in parts {
        text += "- type: text/cloud-config\n  content: |\n";
        text.extend(part.lines().map(|line| format!("    {line}\n")));
    }
    text
}

/// Cloud-configs that are made one.
const MERGES: &[(&str, &[&str])] = &[
    ("default", &["a: 1\nb: {c: 1}\nl: [1, 2, 3]\ns: x", "b: {d: 2}\nl: [9]\ns: y"]),
    ("no-replace", &["a: {b: 1, c: [1]}", "merge_how: dict(no_replace)\na: {b: 2, c: [2], d: 3}\ne: 4"]),
    ("append", &["l: [1, 2]", "merge_how: list(append)+dict(recurse_list)\nl: [3]"]),
    ("prepend", &["l: [1, 2]", "merge_how: list(prepend)+dict(recurse_list)\nl: [3]"]),
    ("list-replace", &["l: [1, 2, 3]", "merge_how: list(replace)+dict(recurse_list)\nl: [7, 8]"]),
    ("list-no-replace", &["l: [1]", "merge_how: list(no_replace)+dict(recurse_array)\nl: [7, 8]"]),
    ("list-longer", &["l: [1]", "merge_how: list()+dict(recurse_array)\nl: [7, 8]"]),
    (
        "documented",
        &[
            "write_files:\n- {path: /a, content: one}\nruncmd: [one]",
            "merge_how: 'list(append)+dict(no_replace, recurse_list)+str()'\nwrite_files:\n- {path: /b, content: two}\nruncmd: [two]",
        ],
    ),
    ("str-append", &["s: one\nt: {u: x}", "merge_how: str(append)+dict(recurse_str)\ns: two\nt: {u: y}"]),
    ("str-replace", &["s: one", "merge_how: str()+dict(recurse_str)\ns: two"]),
    ("str-append-number", &["s: one", "merge_how: str(append)+dict(recurse_str)\ns: 2"]),
    ("delete", &["a: 1\nb: {c: 1}", "merge_how: dict(allow_delete)\na: null\nb: {c: null}"]),
    ("delete-replace", &["a: 1\nb: {c: 1}", "merge_how: dict(replace, allow_delete)\na: null\nb: {c: null}"]),
    (
        "recurse-in-list",
        &["l: [{a: 1}, {b: 2}]", "merge_how: list(recurse_dict)+dict(recurse_list)\nl: [{c: 3}]"],
    ),
    (
        "recurse-list-in-list",
        &["l: [[1, 2], [3]]", "merge_how: list(recurse_list)+dict(recurse_list)\nl: [[9]]"],
    ),
    (
        "recurse-str-in-list",
        &["l: [a, b]", "merge_how: list(recurse_str)+dict(recurse_list)+str(append)\nl: [c]"],
    ),
    ("dict-alone", &["l: [1]\nd: {a: {b: 1}}", "merge_how: dict(recurse_list)\nl: [2]\nd: {a: {c: 2}}"]),
    ("list-alone", &["a: 1", "merge_how: list(append)\nb: 2"]),
    (
        "list-form",
        &[
            "l: [1]\nd: {a: 1}",
            "merge_how:\n- name: list\n  settings: [append]\n- name: dict\n  settings: [no_replace, recurse_list]\nl: [2]\nd: {a: 2, b: 3}",
        ],
    ),
    ("list-form-short", &["l: [1]", "merge_how: [[list, append], [dict, recurse_list]]\nl: [2]"]),
    ("merge-type-key", &["l: [1]", "merge_type: list(append)+dict(recurse_list)\nl: [2]"]),
    (
        "both-keys",
        &[
            "l: [1]",
            "merge_type: list(prepend)+dict(recurse_list)\nmerge_how: list(append)+dict(recurse_list)\nl: [2]",
        ],
    ),
    ("spaces-and-case", &["l: [1]", "merge_how: ' List( Append ) + DICT(Recurse-List)'\nl: [2]"]),
    ("empty-how", &["a: 1\nd: {x: 1}", "merge_how: ''\nd: {y: 2}"]),
    ("null-how", &["d: {x: 1}", "merge_how: null\nd: {y: 2}"]),
    ("three", &["l: [1]", "merge_how: list(append)+dict(recurse_list)\nl: [2]", "l: [3]\nm: 1"]),
    ("how-in-first", &["merge_how: list(append)+dict(recurse_list)\nl: [1]", "l: [2]"]),
    ("unknown-merger", &["l: [1]", "merge_how: set(append)\nl: [2]"]),
    ("unknown-option", &["l: [1]", "merge_how: list(appendd)+dict(recurse_list)\nl: [2]"]),
    ("bad-how", &["l: [1]", "merge_how: append\nl: [2]"]),
    ("number-how", &["l: [1]", "merge_how: 3\nl: [2]"]),
    ("append-to-string", &["l: a", "merge_how: list(append)+dict(recurse_list)\nl: [2]"]),
    ("append-string", &["l: [1]", "merge_how: list(append)+dict(recurse_list, recurse_str)\nl: bc"]),
    (
        "type-changes",
        &[
            "a: [1]\nb: {c: 1}\nd: x",
            "merge_how: dict(recurse_list, recurse_str)+list()+str()\na: {x: 1}\nb: [2]\nd: 3",
        ],
    ),
    (
        "kinds",
        &[
            "a: null\nb: true\nc: 1.5\nd: 2020-01-01",
            "merge_how: dict(no_replace)\na: 1\nb: false\nc: 2\nd: x",
        ],
    ),
    ("empty-part", &["a: 1", "# nothing", "b: 2"]),
    ("broken-part", &["a: 1", "b: [", "c: 2"]),
    ("list-part", &["a: 1", "- b", "c: 2"]),
    ("duplicate-key", &["a: 1\na: 2"]),
    ("keys-of-kinds", &["1: a\n2: b", "1: c\n3: d"]),
];

/// Messages.
const MESSAGES: &[(&str, &str)] = &[
    (
        "plain",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/cloud-config\n\n#cloud-config\na: 1\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho\n--b--\n",
    ),
    ("single", "MIME-Version: 1.0\nContent-Type: text/cloud-config\n\na: 1\n"),
    ("single-sniffed", "MIME-Version: 1.0\nContent-Type: text/plain\n\n#cloud-config\na: 1\n"),
    (
        "open-end",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b\nContent-Type: text/cloud-config\n\nb: 2\n",
    ),
    (
        "open-end-of-a-script",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho\n\n",
    ),
    (
        "open-end-within-a-part",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho\n\n\n--b--\n",
    ),
    (
        "preamble",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\nThis is a message.\n#cloud-config\nx: 1\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n#cloud-config\ny: 2\n",
    ),
    (
        "nested",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/cloud-config\n\na: 1\n--c\nContent-Type: multipart/alternative; boundary=d\n\n--d\n\n#cloud-config\nb: 2\n--d--\n--c--\n--b\nContent-Type: text/cloud-config\n\nc: 3\n--b--\n",
    ),
    (
        "boundary-within-boundary",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: text/cloud-config\n\na: 1\n--bb--\n\n--b\nContent-Type: text/cloud-config\n\nb: 1\n--b--\n",
    ),
    (
        "boundary-blanks",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b  \nContent-Type: text/cloud-config\n\na: 1\n--b\t\nContent-Type: text/cloud-config\n\nb: 1\n--b-- \n",
    ),
    (
        "boundary-odd",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_(a) b:'c'?/+,.\"\n\n--=_(a) b:'c'?/+,.\nContent-Type: text/cloud-config\n\na: 1\n--=_(a) b:'c'?/+,.--\n",
    ),
    (
        "boundary-like",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho <<E\n--bx\n --b\n-- b\nE\n--b--\n",
    ),
    (
        "header-case",
        "mime-version: 1.0\nCONTENT-TYPE: Multipart/Mixed; BOUNDARY=b\n\n--b\ncontent-type: TEXT/Cloud-Config\ncontent-transfer-encoding: BASE64\n\nYTogMQo=\n--b--\n",
    ),
    (
        "header-folded",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=\"b\"\n\n--b\nContent-Type: text/cloud-config;\n\tcharset=\"utf-8\"\nContent-Disposition: attachment;\n filename=\"a b.txt\"\n\na: 1\n--b--\n",
    ),
    (
        "header-comment",
        "MIME-Version: 1.0 (by hand)\nContent-Type: multipart/mixed; boundary=b; x=\"a;b\"\nX: y\n\n--b\nContent-Type: text/cloud-config ; charset=us-ascii\n\na: 1\n--b--\n",
    ),
    (
        "capa",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"3d5a\"\n\n--3d5a\ncontent-type: text/cloud-boothook\n\n#cloud-boothook\n#!/bin/true\n--3d5a\ncontent-type: text/cloud-config\n\na: 1\n--3d5a--\n",
    ),
    (
        "no-headers-in-part",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n#cloud-config\na: 1\n--b\n\n#!/bin/sh\n--b--\n",
    ),
    (
        "base64",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: base64\n\nI2Nsb3VkLWNvbmZp\nZwphOiAxCg==\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: base64\n\nYjogMg\n--b--\n",
    ),
    (
        "quoted-printable",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: quoted-printable\n\na: one =\ntwo=20\nb: =C3=A4=3Dx\nc: =zz\n--b--\n",
    ),
    (
        "not-utf8",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: quoted-printable\n\na: =e4b\n--b--\n",
    ),
    (
        "quoted-printable-utf8",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: Quoted-Printable\n\na: \"=C3=A4=E2=82=AC\"=20\nb: x \n--b--\n",
    ),
    (
        "eight-bit",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\na: \u{e4}\u{20ac}\n--b--\n",
    ),
    (
        "uuencode",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 f\n%83H@,0H \n`\nend\n--b--\n",
    ),
    (
        "encoding-unknown",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: rot13\n\na: 1\n--b--\n",
    ),
    (
        "names",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\nContent-Disposition: attachment; filename=\"setup (1).sh\"\n\n#!/bin/sh\n--b\nContent-Type: text/x-shellscript; name=named.sh\n\n#!/bin/sh\n--b\nContent-Type: text/x-shellscript\nContent-Disposition: attachment; filename=\"/etc/x/a.sh\"\n\n#!/bin/sh\n--b\nContent-Type: text/x-shellscript\nContent-Disposition: attachment; filename*=utf-8''b%20c.sh\n\n#!/bin/sh\n--b--\n",
    ),
    (
        "names-of-parts",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b\nContent-Type: application/x-unknown\n\nx\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b--\n",
    ),
    (
        "types-unknown",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n\n#cloud-config\na: 1\n--b\nContent-Type: text/html\n\n<b>\n--b\nContent-Type: text/cloud-config\n\nb: 2\n--b--\n",
    ),
    (
        "type-octet-stream",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/octet-stream\n\n#cloud-config\na: 1\n--b--\n",
    ),
    (
        "type-script-is-config",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#cloud-config\na: 1\n--b--\n",
    ),
    (
        "type-config-is-script",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\n#!/bin/sh\necho: a\n--b--\n",
    ),
    (
        "type-config-is-template",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\n## template: jinja\n#cloud-config\na: {{ local_hostname }}\n--b--\n",
    ),
    (
        "template",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/jinja2\n\n## template: jinja\n#cloud-config\na: {{ local_hostname }}\n--b\n\n## template: jinja\n#!/bin/sh\necho {{ v1.instance_id }}\n--b--\n",
    ),
    (
        "per-instance",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript-per-instance\n\n#!/bin/sh\n--b--\n",
    ),
    (
        "per-boot",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript-per-boot\n\n#!/bin/sh\n--b--\n",
    ),
    (
        "merge-header",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\nl: [1]\n--b\nContent-Type: text/cloud-config\nMerge-Type: list(append)+dict(recurse_list)\n\nl: [2]\n--b\nContent-Type: text/cloud-config\nX-Merge-Type: list(prepend)+dict(recurse_list)\n\nl: [3]\n--b--\n",
    ),
    (
        "merge-header-and-key",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\nl: [1]\n--b\nContent-Type: text/cloud-config\nMerge-Type: dict(recurse_list)+list(prepend)\n\nmerge_how: list(append)\nl: [2]\n--b--\n",
    ),
    (
        "rfc822",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\nContent-Type: text/cloud-config\n\na: 1\n--b--\n",
    ),
    (
        "mailbox",
        "From nobody Mon Sep 17 00:00:00 2001\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n",
    ),
    (
        "no-version",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n",
    ),
    (
        "no-boundary",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n",
    ),
    (
        "blank-lines-above",
        "\n\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n",
    ),
    (
        "empty-parts",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\nContent-Type: text/plain\n\n\n--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n",
    ),
    (
        "script-blanks",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n\n#!/bin/sh\necho\n\n\n--b--\n",
    ),
    (
        "archive-within",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config-archive\n\n- type: text/cloud-config\n  content: |\n    a: 1\n- |\n  #!/bin/sh\n  echo\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b--\n",
    ),
    (
        "jsonp",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/cloud-config\n\na: {b: [1, 2]}\n--b\nContent-Type: text/cloud-config-jsonp\n\n#cloud-config-jsonp\n[{\"op\": \"add\", \"path\": \"/a/b/-\", \"value\": 3}, {\"op\": \"copy\", \"from\": \"/a\", \"path\": \"/c\"}, {\"op\": \"remove\", \"path\": \"/a/b/0\"}, {\"op\": \"replace\", \"path\": \"/c/b/1\", \"value\": {\"x\": null}}, {\"op\": \"move\", \"from\": \"/c/b\", \"path\": \"/d~1e\"}, {\"op\": \"test\", \"path\": \"/a/b\", \"value\": [2, 3]}]\n--b--\n",
    ),
];

/// User-data with vendor-data below it.
const VENDORS: &[(&str, &str, &str)] = &[
    (
        "below",
        "#cloud-config\na: 1\nd: {x: 1}\nl: [1]\n",
        "#cloud-config\na: 2\nb: 2\nd: {x: 2, y: 2}\nl: [2, 3]\n",
    ),
    ("off", "#cloud-config\nvendor_data: {enabled: false}\na: 1\n", "#cloud-config\nb: 2\n"),
    (
        "scripts-off",
        "#cloud-config\nvendor_data: {disabled_handlers: [text/x-shellscript]}\na: 1\n",
        "#cloud-config-archive\n- |\n  #cloud-config\n  b: 2\n- |\n  #!/bin/sh\n  echo\n",
    ),
    ("script", "#!/bin/sh\necho user\n", "#!/bin/sh\necho vendor\n"),
    (
        "merged-itself",
        "#cloud-config\na: 1\n",
        "#cloud-config-archive\n- |\n  #cloud-config\n  l: [1]\n- |\n  #cloud-config\n  merge_how: list(append)+dict(recurse_list)\n  l: [2]\n",
    ),
    (
        "how-of-user",
        "#cloud-config\nmerge_how: list(append)+dict(recurse_list)\nl: [1]\n",
        "#cloud-config\nl: [2]\n",
    ),
    ("null-of-user", "#cloud-config\na: null\n", "#cloud-config\na: 2\n"),
    ("template", "#cloud-config\na: 1\n", "## template: jinja\n#cloud-config\nb: {{ v1.instance_id }}\n"),
    ("hook", "#cloud-config\na: 1\n", "#cloud-boothook\n#!/bin/true\nvendor's\n"),
    ("empty", "#cloud-config\na: 1\n", ""),
];

/// Whole data: envelopes, archives, include lists.
fn whole() -> Vec<Case> {
    let config = "#cloud-config\na: 1\n";
    let message = MESSAGES[0].1;
    let mut all = vec![
        Case::new("whole-gzip", gz(config.as_bytes())),
        Case::new("whole-gzip-message", gz(message.as_bytes())),
        Case::new("whole-gzip-twice", gz(&gz(config.as_bytes()))),
        Case::new("whole-base64", b64(config.as_bytes())),
        Case::new("whole-mark", format!("\u{feff}{config}")),
        Case::new("whole-blanks-above", format!("\n \n{config}")),
        Case::new("whole-crlf", config.replace('\n', "\r\n")),
        Case::new("whole-header-case", "#Cloud-Config\na: 1\n"),
        Case::new("whole-header-longer", "#cloud-configX\na: 1\n"),
        Case::new("whole-header-blank", "# cloud-config\na: 1\n"),
        Case::new("whole-header-comment", "#cloud-config # mine\na: 1\n"),
        Case::new("whole-template-case", "## TEMPLATE: Jinja\n#cloud-config\na: {{ 1 + 1 }}\n"),
        Case::new("whole-template-no-blank", "##template: jinja\n#cloud-config\na: 1\n"),
        Case::new("whole-template-blanks", "##  template: jinja\n#cloud-config\na: 1\n"),
        Case::new(
            "whole-template-of-archive",
            "## template: jinja\n#cloud-config-archive\n- |\n  #cloud-config\n  a: {{ v1.instance_id }}\n",
        ),
        Case::new("whole-template-of-message", format!("## template: jinja\n{message}")),
        Case::new(
            "whole-template-of-hook",
            "## template: jinja\n#cloud-boothook\n#!/bin/true\n{{ v1.instance_id }}\n",
        ),
        Case::new("whole-template-of-nothing", "## template: jinja\nno header\n"),
        Case::new("whole-script", "#!/bin/sh\necho\n"),
        Case::new("whole-script-crlf", "#!/bin/sh\r\necho\r\n"),
        Case::new("whole-hook", "#cloud-boothook\n#!/bin/true\nx\n"),
        Case::new("whole-hook-plain", "#cloud-boothook\ntrue\n"),
        Case::new("whole-nothing-known", "hello\n"),
        Case::new("whole-empty", ""),
        Case::new("whole-null", "#cloud-config\n"),
        Case::new(
            "whole-part-handler",
            "#part-handler\ndef list_types(): return []\ndef handle_part(*a): pass\n",
        ),
        Case::new(
            "archive-kinds",
            "#cloud-config-archive\n- '#!/bin/sh'\n- type: text/cloud-config\n  content: 'a: 1'\n- content: 'b: 2'\n- {type: text/x-shellscript, filename: s.sh, content: \"#!/bin/sh\\n\"}\n- {content: !!binary YzogMw==, type: text/cloud-config}\n- null\n- {content: '', type: text/cloud-config}\n",
        ),
        Case::new("archive-odd-item", "#cloud-config-archive\n- 12\n- [x]\n- {type: text/cloud-config}\n"),
        Case::new(
            "archive-merge-header",
            "#cloud-config-archive\n- 'l: [1]'\n- {content: 'l: [2]', Merge-Type: list(append)+dict(recurse_list)}\n",
        ),
        Case::new(
            "archive-within-archive",
            "#cloud-config-archive\n- |\n  #cloud-config-archive\n  - 'a: 1'\n",
        ),
        Case::new("archive-empty", "#cloud-config-archive\n[]\n"),
        Case::new("archive-mapping", "#cloud-config-archive\na: 1\n"),
        Case::new("archive-broken", "#cloud-config-archive\n- [\n"),
        Case::new(
            "patch-alone",
            "#cloud-config-jsonp\n[{\"op\": \"add\", \"path\": \"/a\", \"value\": 1}]\n",
        ),
        Case::new(
            "patch-one-line",
            "#cloud-config-jsonp [{\"op\": \"add\", \"path\": \"/a\", \"value\": [1, {\"b\": \"\\u00e4\"}]}]",
        ),
        Case::new("patch-fails", "#cloud-config-jsonp\n[{\"op\": \"remove\", \"path\": \"/a\"}]\n"),
    ];
    let gzipped = |media_type: &str| {
        format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: {media_type}\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=x.sh\n\n{}\n--b--\n",
            b64(&gz(b"#!/bin/sh\n"))
        )
    };
    for media_type in ["application/gzip", "application/x-gzip", "application/x-gunzip", "text/plain"] {
        all.push(Case::new(format!("gzip-part-{}", media_type.replace('/', "-")), gzipped(media_type)));
    }
    let included = |name: &str, user: &str, files: &[(&str, &[u8])]| Case {
        include: files.iter().map(|(path, data)| ((*path).to_owned(), data.to_vec())).collect(),
        ..Case::new(format!("include-{name}"), user)
    };
    all.extend([
        included("one", "#include\nfile:///a\n", &[("a", b"#cloud-config\na: 1\n")]),
        included(
            "same-line",
            "#include file:///a\n# no\n\nhttp://example.com/b\n",
            &[("a", b"#cloud-config\na: 1\n"), ("example.com/b", b"#!/bin/sh\n")],
        ),
        included("path", "#include\n /a \n", &[("a", b"#cloud-config\na: 1\n")]),
        included("once", "#include-once\nfile:///a\nfile:///a\n", &[("a", b"#!/bin/sh\n")]),
        included(
            "nested",
            "#include\nfile:///a\n",
            &[("a", b"#include\nfile:///b\n"), ("b", &gz(b"#cloud-config\na: 1\n"))],
        ),
        included("message", "#include\nfile:///a\n", &[("a", message.as_bytes())]),
        included("header-case", "#Include\nfile:///a\n", &[("a", b"#cloud-config\na: 1\n")]),
        included("nothing-known", "#include\nfile:///a\n", &[("a", b"hello\n")]),
        included(
            "template",
            "#include\nfile:///a\n",
            &[("a", b"## template: jinja\n#cloud-config\na: {{ local_hostname }}\n")],
        ),
        included(
            "template-of-list",
            "## template: jinja\n#include\nfile:///a\n",
            &[("a", b"#cloud-config\na: 1\n")],
        ),
        included("missing", "#include\nfile:///a\n", &[]),
    ]);
    all
}

/// What stands below `#!/bin/sh` in a template.
const TEMPLATES: &[(&str, &str)] = &[
    (
        "names",
        "{{ ds.meta_data.local_hostname }} {{ local_hostname }} {{ v1.local_hostname }} {{ v1.instance_id }} {{ instance_id }} {{ ds['meta_data']['local-hostname'] }} {{ ds.meta_data['instance-id'] }}\n",
    ),
    ("no-line-end", "{{ 1 }}"),
    ("line-ends", "a\n\n{{ 1 }}\n\n\n"),
    ("block-at-end", "{% if true %}\nx\n{% endif %}"),
    ("block-at-end-line", "{% if true %}\nx\n{% endif %}\n"),
    (
        "trim",
        "a\n{% if true %}\nb\n{% endif %}\nc {% if true %} d {% endif %} e\n  {% if true %}\n  f\n  {% endif %}\n",
    ),
    (
        "trim-by-hand",
        "a\n{%- if true -%}\n b \n{%- endif -%}\n c\n{{- 1 -}}\n d\n{% if true +%}\ne\n{% endif %}\n",
    ),
    ("comments", "a{# b #}c\n{# d\ne #}\nf {#- g -#} h\n"),
    ("raw", "{% raw %}\n{{ x }} {% if %} {# #}\n{% endraw %}\nb\n"),
    (
        "raw-indented",
        "    {% raw %}\n    {{ x }}\n    {% endraw %}\n    b {% raw %}{{ c }}{% endraw %} {%raw%}\n{% raw %}\n{%endraw%}\n{%- raw -%}\n d \n{%- endraw -%}\n e {{ 1 }}\n",
    ),
    (
        "undefined-default",
        "{{ nope | default('x') }} {{ nope | default }}|{{ ds.nope | default('y', true) }} {{ nope is defined }} {{ v1 is defined }}\n",
    ),
    (
        "undefined-if",
        "{% if nope %}a{% else %}b{% endif %} {% if ds.meta_data.nope %}c{% endif %} {% if ds.meta_data.nope is defined %}c{% endif %} {{ 'x' if nope else 'y' }} {{ not nope }} {{ nope or 'z' }}\n",
    ),
    ("undefined-loop", "{% for x in nope %}d{% endfor %}|\n"),
    ("undefined-equal", "{{ nope == 1 }} {{ nope != 1 }} {% if nope == 'a' %}a{% endif %}\n"),
    ("undefined", "{{ nope }}\n"),
    ("undefined-below", "{{ ds.meta_data.nope }}\n"),
    ("undefined-twice", "{{ a.b.c }}\n"),
    ("minus", "{{ v1.local-hostname }}\n"),
    (
        "constants",
        "{{ true }} {{ false }} {{ none }} {{ True }} {{ False }} {{ None }} {{ 1 }} {{ 1.5 }} {{ 1.0 }} {{ -3 }} {{ 'a' }} {{ \"b\" }}\n",
    ),
    (
        "lists",
        "{{ [1, 'a', true, none, 1.5] }} {{ (1, 2) }} {{ {'a': 1, 'b': [2]} }} {{ [] }} {{ {} }} {{ [\"it's\"] }}\n",
    ),
    (
        "arithmetic",
        "{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 7 % 3 }} {{ 2 ** 10 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 'a' ~ 1 ~ none }} {{ 'a' * 3 }} {{ 'a' + 'b' }} {{ [1] + [2] }} {{ 6 / 2 }}\n",
    ),
    (
        "comparisons",
        "{{ 1 < 2 }} {{ 'a' == 'a' }} {{ 1 == 1.0 }} {{ 'b' > 'a' }} {{ 1 in [1, 2] }} {{ 'a' in 'abc' }} {{ 'a' not in 'b' }} {{ not true }} {{ 1 and 0 }} {{ 0 or 'x' }} {{ 1 < 2 < 3 }}\n",
    ),
    (
        "slices",
        "{{ 'abcdef'[1:3] }} {{ 'abc'[0] }} {{ 'abc'[-1] }} {{ 'abcdef'[::2] }} {{ 'abc'[::-1] }} {{ [1, 2, 3][1:] }} {{ 'abc'[5:] }}\n",
    ),
    (
        "methods",
        "{{ 'a.b.c'.split('.') }} {{ 'a.b.c'.split('.')[0] }} {{ 'a  b'.split() }} {{ 'a.b.c'.split('.', 1) }} {{ 'a b'.upper() }} {{ 'AB'.lower() }} {{ 'a-b'.replace('-', '_') }} {{ ' a '.strip() }} {{ 'xax'.strip('x') }} {{ ' a'.lstrip() }} {{ 'a '.rstrip() }} {{ 'abc'.startswith('a') }} {{ 'abc'.endswith('b') }} {{ ','.join(['a', 'b']) }} {{ 'abc'.find('c') }} {{ 'a b'.title() }} {{ 'abc'.capitalize() }} {{ 'aXbX'.count('X') }} {{ 'x{}y'.format(1) }} {{ '{0}-{a}'.format(1, a=2) }} {{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a\\nb'.splitlines() }}\n",
    ),
    ("methods-more", "{{ 'a.b.c'.rsplit('.', 1) }} {{ 'a.b'.partition('.') }} {{ '7'.zfill(3) }}\n"),
    ("percent", "{{ '%s-%s' % ('a', 1) }}\n"),
    (
        "method-of-map",
        "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b', 2) }} {% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }}\n",
    ),
    (
        "filters-text",
        "{{ 'aB c' | upper }} {{ 'aB' | lower }} {{ 'a b' | title }} {{ 'abc' | capitalize }} {{ ' x ' | trim }} {{ 'a-b-a' | replace('a', 'c') }} {{ 'abc' | length }} {{ 'abc' | count }} {{ 'abc' | first }} {{ 'abc' | last }} {{ 'abc' | reverse }} {{ 'a<b' | escape }} {{ '%05d' | format(42) }} {{ '%s/%s' | format('a', 'b') }}\n",
    ),
    (
        "filters-text-more",
        "{{ 'abcdefghij' | truncate(6) }} {{ 'a b c' | wordcount }} {{ 'x' | center(5) }}|{{ 'a b' | urlencode }}\n",
    ),
    (
        "filters-numbers",
        "{{ '42' | int }} {{ '1.5' | float }} {{ 3.7 | int }} {{ 3.14159 | round(2) }} {{ -3 | abs }} {{ 5 | string }} {{ [1, 2, 3] | sum }} {{ [3, 1, 2] | min }} {{ [3, 1, 2] | max }}\n",
    ),
    ("filters-numbers-not", "{{ 'x' | int }} {{ 'x' | int(7) }}\n"),
    ("filters-round-half", "{{ 2.5 | round }}\n"),
    (
        "filters-lists",
        "{{ [3, 1, 2] | sort }} {{ [3, 1, 2] | sort(reverse=true) }} {{ ['a', 'b'] | join }} {{ ['a', 'b'] | join(', ') }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | reverse | list }} {{ [1, 2] | first }} {{ [1, 2] | last }} {{ [1, 2, 3] | batch(2) | list }} {{ [1, 2, 3] | slice(2) | list }} {{ range(3) | list }} {{ 'abc' | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('odd') | list }} {{ ['a'] | map('upper') | list }} {{ [{'n': 1}, {'n': 2}] | map(attribute='n') | list }} {{ [{'n': 1}, {'n': 2}] | selectattr('n', 'equalto', 2) | list }} {{ {'b': 1, 'a': 2} | dictsort }}\n",
    ),
    (
        "filters-whole",
        "{{ 'a\\nb\\nc' | indent(2) }}|{{ 'a\\nb' | indent(2, true) }}|{{ none | default('x') }} {{ '' | default('x') }}|{{ '' | default('x', true) }} {{ 'a' | d('b') }}\n",
    ),
    ("filters-json", "{{ {'b': [1, 'x<y', true, none], 'a': 1.5} | tojson }} {{ 'a\"b' | tojson }}\n"),
    (
        "tests",
        "{{ 1 is odd }} {{ 2 is even }} {{ 4 is divisibleby 2 }} {{ none is none }} {{ 'a' is string }} {{ 1 is number }} {{ {} is mapping }} {{ [] is iterable }} {{ [] is sequence }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 1 is eq 1 }} {{ 1 is not odd }} {{ true is true }} {{ 1 is sameas 1 }} {{ 2 is gt 1 }} {{ 1 is in [1] }} {{ true is boolean }} {{ 1.5 is float }} {{ 1 is integer }}\n",
    ),
    (
        "loops",
        "{% for i in [1, 2, 3] %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.revindex }};{% endfor %}\n{% for i in [] %}a{% else %}b{% endfor %}\n{% for i in range(1, 10, 3) %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}\n{% for i in [1, 2, 3] if i is odd %}{{ i }}{% endfor %}\n{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}\n{% for i in [1, 2] %}{{ loop.cycle('x', 'y') }}{% endfor %}\n",
    ),
    (
        "sets",
        "{% set a = 1 %}{{ a }} {% set b %}x {{ a }}{% endset %}{{ b }} {% set c, d = 1, 2 %}{{ c + d }}\n{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}\n",
    ),
    (
        "scope",
        "{% set a = 1 %}{% for i in [1] %}{% set a = 2 %}{% endfor %}{{ a }} {% if true %}{% set a = 3 %}{% endif %}{{ a }} {% with b = 4 %}{{ b }}{% endwith %}\n",
    ),
    (
        "macros",
        "{% macro m(a, b='x') %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} {{ m(b=1, a=2) }}\n{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}x{% endcall %}\n",
    ),
    ("do", "{% set l = [1] %}{% do l.append(2) %}{{ l }}\n"),
    ("filter-block", "{% filter upper %}abc {{ 'd' }}{% endfilter %}\n"),
    ("inline-if", "{{ 'a' if 1 == 1 else 'b' }} {{ 'a' if false }}|\n"),
    ("shell", "echo ${x} $(date) $((1+1)) \"${arr[@]}\" {a,b} { x; } %d\n"),
    ("shell-length", "echo ${#arr[@]}\n"),
    ("go-template", "docker inspect -f '{{.State}}'\n"),
    ("go-percent", "curl -w '%{http_code} {%'\n"),
    ("unknown-filter", "{{ 'a' | nope }}\n"),
    (
        "strings",
        "{{ 'a\\tb\\\\c\\'d' }} {{ \"x\\ny\" }} {{ '\\u00e4' }} {{ '{{' }} {{ '}' ~ '}' }} {{ 'a' 'b' }}\n",
    ),
    ("crlf-in-text", "a\r\nb {{ 1 }}\r\n"),
    ("unicode", "\u{e4} {{ '\u{20ac}' | length }} {{ '\u{e4}' | upper }}\n"),
    (
        "sub-range",
        "{{ ds.meta_data.local_hostname.split('.')[0] }} {{ ds.meta_data.local_hostname | replace('.example.com', '') }} {{ (local_hostname ~ '.x').split('.') | last }}\n",
    ),
];

const KEYS: &[&str] = &["a", "b", "c", "d"];

/// A value as YAML's flow writes it.
fn value(rng: &mut Rng, depth: usize) -> String {
    match rng.below(if depth == 0 { 5 } else { 9 }) {
        0 => rng.below(9).to_string(),
        1 => "true".to_owned(),
        2 => "null".to_owned(),
        3 | 4 => (*rng.pick(&["x", "'y z'", "\"\"", "'1'"])).to_owned(),
        5 | 6 => {
            let items: Vec<String> = (0..rng.below(4)).map(|_| value(rng, depth - 1)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => map(rng, depth - 1),
    }
}

pub fn map(rng: &mut Rng, depth: usize) -> String {
    let mut entries = Vec::new();
    for key in KEYS {
        if rng.below(3) > 0 {
            entries.push(format!("{key}: {}", value(rng, depth)));
        }
    }
    format!("{{{}}}", entries.join(", "))
}

/// Some of these, perhaps none.
fn some<'a>(rng: &mut Rng, of: &[&'a str]) -> Vec<&'a str> {
    of.iter().copied().filter(|_| rng.below(3) == 0).collect()
}

pub fn how(rng: &mut Rng) -> String {
    const DEEP: &[&str] = &["recurse_list", "recurse_dict", "recurse_str", "recurse_array"];
    let mut mergers = Vec::new();
    let mut of = |rng: &mut Rng, name: &str, own: &[&str]| {
        let mut options = some(rng, own);
        if name != "str" {
            options.extend(some(rng, DEEP));
        }
        mergers.push(format!("{name}({})", options.join(",")));
    };
    if rng.below(8) > 0 {
        of(rng, "dict", &["replace", "no_replace", "allow_delete"]);
    }
    if rng.below(4) > 0 {
        of(rng, "list", &["append", "prepend", "replace", "no_replace"]);
    }
    if rng.below(4) > 0 {
        of(rng, "str", &["append"]);
    }
    mergers.join("+")
}

/// Two to four cloud-configs, with and without a word on how they are merged.
fn generated_merge(rng: &mut Rng, seed: u64) -> Case {
    let mut text = "#cloud-config-archive\n".to_owned();
    for _ in 0..2 + rng.below(3) {
        let mut part = map(rng, 3);
        if part == "{}" {
            part = "{e: 1}".to_owned();
        }
        if rng.below(4) > 0 {
            part.insert_str(1, &format!("merge_how: \"{}\", ", how(rng)));
        }
        let _ = writeln!(text, "- type: text/cloud-config\n  content: |\n    {part}");
    }
    Case::new(format!("generated-merge-{seed:03}"), text)
}

fn wrapped(text: &str) -> String {
    text.as_bytes().chunks(76).map(|c| format!("{}\n", String::from_utf8_lossy(c))).collect()
}

fn quoted_printable(rng: &mut Rng, text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'\n' => out.push('\n'),
            b' '..=b'~' if byte != b'=' && rng.below(12) > 0 => out.push(char::from(byte)),
            _ => out.push_str(&format!("={byte:02X}")),
        }
        if rng.below(20) == 0 && !out.ends_with('\n') {
            out.push_str("=\n");
        }
    }
    out
}

/// A part, with its headers; `n` is counted up, so that each says something of its own.
fn part(rng: &mut Rng, n: &mut usize, depth: usize) -> String {
    *n += 1;
    let here = *n;
    if depth > 0 && rng.below(4) == 0 {
        return multipart(rng, n, depth - 1, "");
    }
    let (kind, body) = match rng.below(7) {
        0 => ("text/x-shellscript", format!("#!/bin/sh\necho {here} = \"a\"\n")),
        1 => ("text/cloud-boothook", format!("#cloud-boothook\n#!/bin/true\n# {here}\n")),
        2 => {
            ("text/jinja2", format!("## template: jinja\n#cloud-config\nk{here}: {{{{ v1.instance_id }}}}\n"))
        }
        3 => (
            "text/cloud-config-archive",
            format!("#cloud-config-archive\n- 'k{here}: in archive'\n- \"#!/bin/sh\\n# {here}\\n\"\n"),
        ),
        4 => (
            "text/cloud-config-jsonp",
            format!(
                "#cloud-config-jsonp\n[{{\"op\": \"add\", \"path\": \"/k{here}\", \"value\": [{here}]}}]\n"
            ),
        ),
        _ => ("text/cloud-config", format!("#cloud-config\nk{here}: 'v = {here}'\n")),
    };
    let mut headers = Vec::new();
    // A type that says nothing has the text say it.
    match rng.below(6) {
        0 => headers.push("Content-Type: text/plain; charset=\"utf-8\"".to_owned()),
        1 => {}
        _ => headers.push(format!(
            "{}: {kind}{}",
            rng.pick(&["Content-Type", "content-type"]),
            rng.pick(&["", "; charset=utf-8", ";\n\tx=\"y;z\""])
        )),
    }
    if rng.below(4) == 0 {
        let disposition = rng.pick(&["attachment; filename=\"", "inline; filename=\""]);
        headers.push(format!("Content-Disposition: {disposition}file-{here}.txt\""));
    }
    let encoding = rng.below(6);
    // cloud-init loses what is not ASCII unless it is encoded.
    let body = if encoding < 3 { body.replace("= ", "= \u{e4} ") } else { body };
    let body = match encoding {
        0 | 1 => {
            headers.push("Content-Transfer-Encoding: base64".to_owned());
            wrapped(&b64(body.as_bytes()))
        }
        2 => {
            headers.push("content-transfer-encoding: quoted-printable".to_owned());
            quoted_printable(rng, &body)
        }
        3 if headers.first().is_some_and(|h| h.contains(kind)) => {
            headers[0] = format!("Content-Type: {}", rng.pick(&["application/gzip", "application/x-gzip"]));
            headers.push("Content-Transfer-Encoding: base64".to_owned());
            wrapped(&b64(&gz(body.as_bytes())))
        }
        4 => {
            headers.push("Content-Transfer-Encoding: 8bit".to_owned());
            body
        }
        _ => body,
    };
    if rng.flip() {
        headers.reverse();
    }
    headers.iter().map(|h| format!("{h}\n")).collect::<String>() + "\n" + &body
}

fn multipart(rng: &mut Rng, n: &mut usize, depth: usize, headers: &str) -> String {
    let boundary = format!("{}{n}", rng.pick(&["b", "==", "=_x.", "----a"]));
    let kind = rng.pick(&["mixed", "alternative", "related"]);
    let mut text = format!("{headers}Content-Type: multipart/{kind}; boundary=\"{boundary}\"\n\n");
    if rng.below(3) == 0 {
        text += "A preamble.\n";
    }
    for _ in 0..1 + rng.below(4) {
        let part = part(rng, n, depth);
        let _ = write!(text, "--{boundary}\n{part}");
        if !text.ends_with('\n') || rng.flip() {
            text.push('\n');
        }
    }
    // Without its end, what follows would be the last part's.
    if headers.is_empty() || rng.below(6) > 0 {
        let _ = writeln!(text, "--{boundary}--");
        if rng.below(3) == 0 {
            text += "An epilogue.\n";
        }
    }
    text
}

fn generated_message(rng: &mut Rng, seed: u64) -> Case {
    let text = multipart(rng, &mut 0, 3, "MIME-Version: 1.0\n");
    let text = if rng.below(4) == 0 { text.replace('\n', "\r\n") } else { text };
    let data = if rng.below(5) == 0 { gz(text.as_bytes()) } else { text.into_bytes() };
    Case::new(format!("generated-mime-{seed:03}"), data)
}

/// An expression of a kind that prints alike in both: what prints otherwise has a row of its own.
fn expression(rng: &mut Rng, depth: usize) -> String {
    if depth == 0 {
        const LEAVES: &[&str] = &[
            "'Ab-c.d'",
            "local_hostname",
            "v1.instance_id",
            "ds.meta_data.local_hostname",
            "'x y'",
            "''",
            "7",
            "12",
            "name",
        ];
        return (*rng.pick(LEAVES)).to_owned();
    }
    let inner = expression(rng, depth - 1);
    let text = format!("({inner} | string)");
    match rng.below(14) {
        0 => format!("({text} | upper)"),
        1 => format!("({text} | replace('-', '_'))"),
        2 => format!("({text}.split('.')[0])"),
        3 => format!("({text} ~ {})", expression(rng, depth - 1)),
        4 => format!("({text} | length)"),
        5 => format!("({inner} if {text} == {} else 'other')", expression(rng, depth - 1)),
        6 => format!("(nope | default({inner}))"),
        7 => format!("({text}[1:])"),
        8 => format!("({text} | trim | title)"),
        9 => format!("({text}.split('-') | join('+'))"),
        10 => format!("({text} | length + {})", rng.below(5)),
        11 => format!("({text} | reverse)"),
        12 => format!("({text} | int({}))", rng.below(9)),
        _ => format!("({text} | default('d', true))"),
    }
}

fn statement(rng: &mut Rng, depth: usize) -> String {
    let text = |rng: &mut Rng| (*rng.pick(&["a", " b ", "c\n", "\n", "  ", "d\n\n", "{ }", "%"])).to_owned();
    if depth == 0 {
        return text(rng);
    }
    let inner = |rng: &mut Rng| (0..1 + rng.below(3)).map(|_| statement(rng, depth - 1)).collect::<String>();
    let dash = |rng: &mut Rng| (*rng.pick(&["", "", "", "-"])).to_owned();
    let (l, r) = (dash(rng), dash(rng));
    match rng.below(8) {
        0 => format!(
            "{{%{l} if {} == {} {r}%}}{}{{%{l} else %}}{}{{% endif {r}%}}",
            expression(rng, 1),
            expression(rng, 1),
            inner(rng),
            inner(rng)
        ),
        1 => format!(
            "{{%{l} for i in [1, 'x'] {r}%}}{}{{{{ i }}}}{{{{ loop.index }}}}{{% endfor {r}%}}",
            inner(rng)
        ),
        2 => format!("{{%{l} set name = {} {r}%}}", expression(rng, 1)),
        3 => format!("{{#{l} note {r}#}}{}", text(rng)),
        4 => format!("{{% raw %}}{{{{ {}{{% endraw %}}", text(rng)),
        5 => text(rng) + &inner(rng),
        _ => format!("{{{{{l} {} {r}}}}}", expression(rng, depth)),
    }
}

fn generated_template(rng: &mut Rng, seed: u64) -> Case {
    let mut text = "## template: jinja\n#!/bin/sh\n{% set name = 'n' %}".to_owned();
    for _ in 0..8 {
        text += &statement(rng, 3);
    }
    Case::new(format!("generated-jinja-{seed:03}"), text)
}

fn generated_files(rng: &mut Rng, seed: u64) -> Case {
    const PATHS: &[&str] = &["/a", "/dir/c", "/dir/d", "/old/file", "/link/new", "e", "//dir//g", "/dir/./h"];
    let mut text = "#cloud-config\nwrite_files:\n".to_owned();
    for n in 0..1 + rng.below(6) {
        let content =
            format!("{n}: {}", rng.pick(&["one\ntwo\n", "x", "", "\u{e4}\n\n", " blank", "tab\t\n"]));
        let (encoding, content) = match rng.below(4) {
            0 => (*rng.pick(&["b64", "base64", "Base64"]), b64(content.as_bytes())),
            1 => (*rng.pick(&["gz+b64", "gzip+base64", "gzip+b64"]), b64(&gz(content.as_bytes()))),
            _ => (*rng.pick(&["text/plain", "''", "null"]), content),
        };
        let path = rng.pick(PATHS);
        let _ = writeln!(
            text,
            "- path: {path}\n  encoding: {encoding}\n  content: {}",
            serde_json::Value::from(content)
        );
        let mut maybe = |key: &str, values: &[&str]| {
            if rng.flip() {
                let _ = writeln!(text, "  {key}: {}", rng.pick(values));
            }
        };
        maybe("permissions", &["'0600'", "'755'", "0640", "'0o444'", "null"]);
        maybe("owner", &["root:root", "root", "root:wheel", "':wheel'"]);
        maybe("append", &["true", "false", "'yes'", "off"]);
        maybe("defer", &["false", "'no'"]);
    }
    Case::new(format!("generated-files-{seed:03}"), text)
}
