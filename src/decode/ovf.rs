// SPDX-License-Identifier: Apache-2.0
//! The OVF environment, by which an appliance's properties reach a machine
//! ([DSP0243](https://www.dmtf.org/dsp/DSP0243), chapter 11).

use crate::model::problem::{Pos, Problem};

/// The namespace of the environment's elements and attributes.
const NAMESPACE: &str = "http://schemas.dmtf.org/ovf/environment/1";

/// The properties of the document, keys with their values.
///
/// # Errors
/// It is not well-formed XML. A document type declaration is refused, and with it entities that expand without end.
pub fn properties(xml: &str) -> Result<Vec<(String, String)>, Problem> {
    let document = parse("ovfEnv", xml)?;
    let of = |n: roxmltree::Node<'_, '_>| {
        Some((n.attribute((NAMESPACE, "key"))?.to_owned(), n.attribute((NAMESPACE, "value"))?.to_owned()))
    };
    Ok(nodes(&document).filter_map(of).collect())
}

/// The document with other values where `change` gives one for a key and its value; all else stays as it is. `None` where it
/// gives none.
///
/// # Errors
/// As [`properties`].
pub fn changed(
    xml: &str,
    mut change: impl FnMut(&str, &str) -> Option<String>,
) -> Result<Option<String>, Problem> {
    let document = parse("ovfEnv", xml)?;
    let mut edits = Vec::new();
    for node in nodes(&document) {
        let value = node.attribute_node((NAMESPACE, "value"));
        let (Some(key), Some(value)) = (node.attribute((NAMESPACE, "key")), value) else { continue };
        edits.extend(change(key, value.value()).map(|new| (value.range_value(), new)));
    }
    let (mut text, mut from) = (String::with_capacity(xml.len()), 0);
    for (range, new) in &edits {
        text += &xml[from..range.start];
        text += &escaped(new);
        from = range.end;
    }
    text += &xml[from..];
    Ok((!edits.is_empty()).then_some(text))
}

/// Attributes that an element may have: each is compared with all others. The environment's have four at most.
const MAX_ATTRIBUTES: usize = 64;

/// Declarations of namespaces that the document may have: each name is looked up in all of them.
const MAX_NAMESPACES: usize = 64;

/// Where the text has more than that, as far as can be seen without reading it as XML, and what it has.
fn crowded(xml: &str) -> Option<(usize, String)> {
    let (mut at, mut namespaces) = (0, 0);
    while let Some(open) = xml[at..].find('<') {
        at += open;
        let rest = &xml[at..];
        let opaque = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
        if let Some((_, close)) = opaque.iter().find(|(open, _)| rest.starts_with(open)) {
            at += rest.find(close).map_or(rest.len(), |i| i + close.len());
            continue;
        }
        // Values are in quotes, and a tag ends outside of them.
        let (mut quote, mut attributes, mut end) = (None, 0, rest.len());
        for (i, c) in rest.char_indices().skip(1) {
            match (quote, c) {
                (None, '>' | '<') => {
                    end = i;
                    break;
                }
                (None, '"' | '\'') => {
                    (quote, attributes) = (Some(c), attributes + 1);
                    if attributes > MAX_ATTRIBUTES {
                        return Some((at, format!("an element has more than {MAX_ATTRIBUTES} attributes")));
                    }
                }
                (Some(open), c) if open == c => quote = None,
                _ => {}
            }
        }
        namespaces += rest[..end].matches("xmlns").count();
        if namespaces > MAX_NAMESPACES {
            return Some((at, format!("more than {MAX_NAMESPACES} namespaces are declared")));
        }
        at += end;
    }
    None
}

/// A document; `place` is what messages call it.
pub(super) fn parse<'a>(place: &str, xml: &'a str) -> Result<roxmltree::Document<'a>, Problem> {
    if let Some((at, what)) = crowded(xml) {
        let before = &xml[..at];
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let pos = Pos { line: before.matches('\n').count() + 1, column };
        return Err(Problem::error(place, what).at(pos));
    }
    roxmltree::Document::parse(xml).map_err(|e| {
        let pos = e.pos();
        Problem::error(place, "not well-formed XML")
            .at(Pos { line: pos.row as usize, column: pos.col as usize })
    })
}

fn nodes<'a, 'x>(document: &'a roxmltree::Document<'x>) -> impl Iterator<Item = roxmltree::Node<'a, 'x>> {
    document.descendants().filter(|n| n.has_tag_name((NAMESPACE, "Property")))
}

/// An environment of nothing but these properties: what [`properties`] reads of it. Bytes that are no text are lost.
pub fn environment(properties: &[(String, Vec<u8>)]) -> String {
    let mut xml = format!("<Environment xmlns=\"{NAMESPACE}\" xmlns:oe=\"{NAMESPACE}\">\n");
    for (key, value) in properties {
        let (key, value) = (escaped(key), escaped(&String::from_utf8_lossy(value)));
        xml += &format!("<Property oe:key=\"{key}\" oe:value=\"{value}\"/>\n");
    }
    xml + "</Environment>\n"
}

/// A text as an attribute's value or an element's text: markup is escaped, and line ends, which would be read as blanks. Characters
/// that XML can't hold become blanks.
pub(super) fn escaped(text: &str) -> String {
    let escaped = |c: char| match c {
        '&' | '<' | '>' | '"' | '\'' | '\n' | '\r' | '\t' => format!("&#{};", u32::from(c)),
        c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_told_by_namespace() {
        let xml = r#"<?xml version="1.0"?>
            <Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
                xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="">
              <PropertySection>
                <Property oe:key="guestinfo.userdata" oe:value="I2Nsb3VkLWNvbmZpZwo="/>
                <Property oe:key="hostname" oe:value="n1 &amp; co"/>
                <Property key="not" value="this"/>
              </PropertySection>
            </Environment>"#;
        let want = [("guestinfo.userdata", "I2Nsb3VkLWNvbmZpZwo="), ("hostname", "n1 & co")];
        assert_eq!(properties(xml).unwrap(), want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let other =
            changed(xml, |key, _| (key == "hostname").then(|| "it's \"2\"".to_owned())).unwrap().unwrap();
        assert_eq!(properties(&other).unwrap()[1].1, "it's \"2\"");
        assert_eq!(other.replace("it&#39;s &#34;2&#34;", "n1 &amp; co"), xml);
        assert_eq!(changed(xml, |_, _| None), Ok(None));
        assert_eq!(properties("<a>\n</b>").unwrap_err().pos.unwrap().line, 2);
        let many = |n: usize| {
            let names: String = (0..n).map(|i| format!(" a{i}='>'")).collect();
            properties(&format!("<!-- < ' --><a>\n<b{names}/></a>"))
        };
        assert_eq!(many(64).unwrap(), []);
        let problem = many(65).unwrap_err();
        assert_eq!(
            (problem.pos, &*problem.what),
            (Some(Pos { line: 2, column: 1 }), "an element has more than 64 attributes")
        );
        let many = |n: usize| properties(&format!("<a>{}</a>", "<b xmlns:c='d'/>".repeat(n)));
        assert!(many(64).is_ok() && many(65).unwrap_err().what.contains("64 namespaces"));
        assert!(properties("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").is_err());
    }
}
