// SPDX-License-Identifier: Apache-2.0
//! What is wrong with a template's syntax: the engine's words in plain ones, and where that begins which has no end.

/// How the engine begins to say that a statement has no end.
pub const OPEN: &str = "unexpected end of input, expected end of block";

/// Where the innermost statement begins that has a part and no end, and its word. Text in comments and in `raw` is not looked at.
pub fn unclosed(template: &str) -> Option<(usize, &str)> {
    const WITH_A_PART: &[&str] = &["autoescape", "block", "call", "filter", "for", "if", "macro", "with"];
    let (mut open, mut at) = (Vec::new(), 0);
    while let Some(begin) = template[at..].find(['{']).map(|found| at + found) {
        let tag = &template[begin..];
        let past = |end: &str| tag.find(end).map_or(template.len(), |found| begin + found + end.len());
        at = begin + 1;
        if tag.starts_with("{#") {
            at = past("#}");
        } else if let Some(inner) = tag.strip_prefix("{%") {
            let inner = inner.trim_start_matches(['-', '+']).trim_start();
            let word = inner.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
            at = past("%}");
            if word == "raw" {
                at = tag.find("endraw").map_or(template.len(), |found| begin + found);
            } else if word.starts_with("end") {
                open.pop();
            } else if WITH_A_PART.contains(&word) {
                open.push((begin, word));
            }
        }
    }
    open.pop()
}

/// The engine's words for a syntax error in plain words, without the template's own, which may hold a secret.
pub fn words(detail: &str) -> String {
    const OF_THE_TEMPLATE: &[(&str, &str)] = &[
        ("unknown statement ", "this statement is unknown"),
        ("block '", "a block is defined twice"),
        ("cannot assign to ", "this variable's name is reserved"),
        ("unexpected `.`", "a name is missing before the dot: Go's templates begin so, jinja's do not"),
        (OPEN, "a statement with a part of its own has no end"),
        ("unexpected character", "a sign that has no meaning in an expression"),
        ("unexpected end of comment", "a comment that `{#` begins has no end"),
        ("unexpected end of raw block", "`{% raw %}` has no `{% endraw %}`"),
        ("unexpected end of string", "a text that a quote begins has no end"),
        ("unexpected end of variable block", "a part of the expression is missing before `}}`"),
        ("unexpected end of block", "a part of the statement is missing before `%}`"),
        ("unexpected end of input", "an expression that `{{` begins has no end"),
    ];
    if let Some((_, plain)) = OF_THE_TEMPLATE.iter().find(|(begin, _)| detail.starts_with(begin)) {
        return (*plain).to_owned();
    }
    let Some(rest) = detail.strip_prefix("unexpected ") else { return detail.to_owned() };
    match rest.split_once(", expected ") {
        Some((found, wanted)) => format!("{} is missing before {}", token(wanted), token(found)),
        None => format!("{} can't stand here", token(rest)),
    }
}

/// What to write in place of a statement that jinja has for templates of several files.
pub fn of_several_files(detail: &str) -> Option<&'static str> {
    match detail.strip_prefix("unknown statement ")? {
        "block" | "endblock" => Some("a block is for templates of several files: leave its two tags out"),
        "extends" | "include" | "import" | "from" => {
            Some("a template here is one file: write into it what the other one has")
        }
        _ => None,
    }
}

/// The engine's word for a part of a template.
fn token(word: &str) -> &str {
    match word {
        "template-data" => "text",
        "start of variable block" => "`{{`",
        "end of variable block" => "`}}`",
        "start of block" => "`{%`",
        "end of block" => "`%}`",
        "identifier" => "a name",
        "string" => "a text",
        "integer" | "float" => "a number",
        "identifier or integer" => "a name or a number",
        other => other,
    }
}

/// Where an expression or a statement begins that has no end, where the engine stumbles only over what stands on a line below: at
/// `near`, or at the end of the template.
pub fn unended(template: &str, near: Option<usize>) -> Option<usize> {
    let near = near.unwrap_or(template.len());
    let (mut begin, mut start) = (None, 0);
    for line in template.split_inclusive('\n') {
        // Over what stands on its own line the engine stumbles itself.
        if start + line.len() > near && near < template.len() {
            break;
        }
        let open = ["{{", "{%"].iter().filter_map(|tag| line.rfind(tag)).max();
        begin = open.filter(|open| !is_ended(&line[open + 2..])).map(|open| start + open).or(begin);
        start += line.len();
    }
    let behind = &template[near..];
    let of_another = |end: usize| ["{{", "{%"].iter().any(|tag| behind[..end].contains(tag));
    let end = ["}}", "%}"].iter().filter_map(|tag| behind.find(tag)).min();
    begin.filter(|_| end.is_none_or(of_another))
}

/// Whether an expression ends in a text; what stands in quotes is not looked at.
fn is_ended(text: &str) -> bool {
    let (mut quote, mut chars) = (None, text.chars().peekable());
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(of) if c == of => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if "}%".contains(c) && chars.peek() == Some(&'}') => return true,
            None => {}
        }
    }
    false
}
