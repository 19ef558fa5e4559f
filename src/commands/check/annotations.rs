// SPDX-License-Identifier: Apache-2.0
//! Findings for tools that show them beside the lines of a change: SARIF 2.1.0 and GitHub's workflow commands.

use serde_json::{Value, json};

use super::codes::{CODES, Code};
use super::{Checked, Finding};
use crate::model::encoding::percent_encoded;
use crate::model::problem::Severity;

/// The words of a finding: what, and what to do.
fn message(finding: &Finding) -> String {
    let Finding { object, problem, anchor, .. } = finding;
    let mut words = match (object.is_empty(), problem.place.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("{}: ", problem.place),
        (false, true) => format!("{object}: "),
        (false, false) => format!("{object}: {}: ", problem.place),
    };
    words += &problem.what;
    if let (Some(_), Some(pos)) = (anchor, problem.pos) {
        words += &format!(" (line {}, column {} of the decoded data)", pos.line, pos.column);
    }
    if let Some(cure) = &problem.cure {
        words += &format!("; {cure}");
    }
    words
}

/// [SARIF](https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html) of one run.
pub fn sarif(checked: &Checked) -> Value {
    let rule = |code: &Code| json!({ "id": code.name, "shortDescription": { "text": code.means }, "help": { "text": code.cure } });
    let used: Vec<&Code> =
        CODES.iter().filter(|code| checked.findings.iter().any(|f| f.problem.code == code.name)).collect();
    let result = |finding: &Finding| {
        let level = match finding.problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let mut place =
            json!({ "artifactLocation": { "uri": percent_encoded(finding.file.as_bytes(), true) } });
        if let Some(pos) = finding.anchor.or(finding.problem.pos) {
            place["region"] = json!({ "startLine": pos.line, "startColumn": pos.column });
        }
        json!({
            "ruleId": finding.problem.code,
            "level": level,
            "message": { "text": message(finding) },
            "locations": [{ "physicalLocation": place }],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "footplate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": used.into_iter().map(rule).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": checked.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

/// [Workflow commands](https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands) of GitHub, a line a finding.
pub fn github(checked: &Checked) -> String {
    // A property ends at a comma or a colon, and a message at its line's end.
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let line = |finding: &Finding| {
        let command = match finding.problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let place = finding.anchor.or(finding.problem.pos);
        let place = place.map(|pos| format!(",line={},col={}", pos.line, pos.column)).unwrap_or_default();
        let (file, title) = (property(&finding.file), property(&finding.problem.code));
        format!("::{command} file={file}{place},title={title}::{}\n", data(&message(finding)))
    };
    checked.findings.iter().map(line).collect()
}
