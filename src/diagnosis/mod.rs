// SPDX-License-Identifier: Apache-2.0
//! What kubeadm's output says of a failed bootstrap. Where a text stands decides, and not that it is there: kubeadm's last error
//! names the phase that failed, the checks of that phase name themselves, and what was waited for stands before an error that only
//! says that time ran out.

mod causes;
mod cluster;
mod phases;

use self::causes::{Cause, all};
pub use self::phases::phases;
use crate::model::problem::Problem;

/// What kubeadm's output says of a failure: code, meaning and what to do. The first is the cause; what else is named comes
/// after it. Empty where the output has none of the known texts.
pub fn classify(output: &str) -> Vec<Problem> {
    let lines: Vec<String> = output.lines().filter(|l| !is_warning(l)).map(str::to_ascii_lowercase).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let last = lines
        .iter()
        .rposition(|l| is_of_phase(l))
        .or_else(|| lines.iter().rposition(|l| l.starts_with("error:")));
    let (before, end) = lines.split_at(last.unwrap_or(0));
    // The checks that failed: they stand in the error or, from 1.34 on, before it.
    let checks: Vec<&str> = lines.iter().copied().filter(|l| l.trim_start().starts_with("[error ")).collect();
    let in_preflight =
        end.first().is_none_or(|l| l.contains("phase preflight") || !l.contains("execution phase"));
    let mut found = Vec::new();
    if in_preflight {
        found.extend(in_order(&checks));
    }
    // Without an error, what was waited for may have come.
    found.extend(in_order(end).into_iter().filter(|cause| last.is_some() || !cause.vague));
    // An error that only says that time ran out, or that there is one.
    if found.iter().all(|cause| cause.vague) {
        let waited: Vec<&str> = before.iter().copied().filter(|l| tells_of_waiting(l)).collect();
        found.splice(0..0, in_order(&waited));
    }
    let mut codes = Vec::new();
    found.retain(|cause| {
        !codes.contains(&cause.code) && {
            codes.push(cause.code);
            true
        }
    });
    // What only says that there was something says nothing more beside a cause.
    if found.iter().all(|cause| cause.vague) {
        found.truncate(1);
    } else {
        found.retain(|cause| !cause.vague);
    }
    found.into_iter().map(|c| Problem::error("", c.what).code(c.code).cure(c.cure)).collect()
}

/// The causes that the lines name, in the table's order. One line has one cause: the first in the table.
fn in_order(lines: &[&str]) -> Vec<&'static Cause> {
    let first = |line: &&str| all().find(|cause| cause.is_named_by(line)).map(|cause| cause.code);
    let named: Vec<&str> = lines.iter().filter_map(first).collect();
    all().filter(|cause| named.contains(&cause.code)).collect()
}

/// A warning is not what stopped kubeadm: it warns, for one, where the node's own name does not resolve. klog's lines begin with
/// their severity and the date.
fn is_warning(line: &str) -> bool {
    let line = line.trim_start();
    let klog = line.as_bytes().get(..6).is_some_and(|l| {
        matches!(l[0], b'W' | b'I') && l[1..5].iter().all(u8::is_ascii_digit) && l[5] == b' '
    });
    klog || line.starts_with("[WARNING") || line.starts_with("[preflight] WARNING")
}

/// Whether a line begins the error of one of kubeadm's phases. Other commands of the data have errors too.
fn is_of_phase(line: &str) -> bool {
    line.strip_prefix("error: ").unwrap_or(line).starts_with("error execution phase")
}

/// Whether a line says that what was waited for did not come.
fn tells_of_waiting(line: &str) -> bool {
    [
        "is not healthy after",
        "isn't running or healthy",
        "the kubelet is not running",
        "perform the tls bootstrap",
    ]
    .iter()
    .any(|text| line.contains(text))
        || line.contains("perform the tls bootstrap")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn repository() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn codes_are_unique_and_texts_are_in_lower_case() {
        let codes: BTreeSet<&str> = all().map(|c| c.code).collect();
        assert_eq!(codes.len(), all().count());
        assert!(all().count() >= 40, "{}", all().count());
        for text in all().flat_map(|c| c.texts.iter().chain(c.beside)) {
            assert_eq!(*text, text.to_ascii_lowercase());
        }
    }

    fn transcripts(dir: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().flat_map(|p| if p.is_dir() { transcripts(&p) } else { vec![p] }).collect()
    }

    /// `tests/diagnosis/CODE/NAME.txt` is the end of a bootstrap that failed for that cause; `none/` has ends of which nothing is known.
    #[test]
    fn each_transcript_has_its_cause_and_each_cause_a_transcript() {
        let dir = repository().join("tests/diagnosis");
        let (mut wrong, mut hit) = (String::new(), BTreeSet::new());
        for path in transcripts(&dir) {
            let code = path.strip_prefix(&dir).unwrap().parent().unwrap().to_str().unwrap().to_owned();
            let found = classify(&fs::read_to_string(&path).unwrap());
            let is = found.first().map_or("none", |p| &*p.code);
            if is != code {
                let _ = writeln!(wrong, "{}: {is}", path.display());
            }
            hit.insert(code);
        }
        for cause in all().filter(|c| !hit.contains(c.code)) {
            let _ = writeln!(wrong, "{}: no transcript", cause.code);
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    #[test]
    fn several_checks_are_all_named_and_the_cause_is_first() {
        let output = "[preflight] Some fatal errors occurred:\n\
            \t[ERROR Port-10250]: Port 10250 is in use\n\
            \t[ERROR CRI]: container runtime is not running: output: dial unix: no such file or directory\n\
            \t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\n\
            error: error execution phase preflight: preflight checks failed\n";
        let found = classify(output);
        let codes: Vec<&str> = found.iter().map(|p| &*p.code).collect();
        assert_eq!(codes, ["containerd/not-running", "preflight/port-taken", "preflight/too-small"]);
    }

    #[test]
    fn an_error_of_another_command_is_not_kubeadms() {
        let output = "error execution phase preflight: couldn't validate the identity of the API Server: \
            could not find a JWS signature in the cluster-info ConfigMap for token ID \"a1b2c3\"\n\
            error: stat /etc/kubernetes/admin.conf: no such file or directory\n";
        assert_eq!(classify(output).first().map(|p| &*p.code), Some("join/token-expired"));
    }

    #[test]
    fn warnings_are_no_causes() {
        assert!(classify("[WARNING Hostname]: lookup n1: no such host\n").is_empty());
        assert!(
            classify("W0412 10:00:00.000000 77 checks.go:1065] WARNING: connection refused\n").is_empty()
        );
        assert!(classify("[kubelet-check] The kubelet is healthy after 1.5s\n").is_empty());
    }

    /// `docs/diagnosis.md` is made of the table: `BLESS=1` writes it.
    #[test]
    fn the_page_is_the_table() {
        let mut page = "# What a failed bootstrap means\n\nfootplate reads kubeadm's output when a bootstrap failed, and tells the cause \
                        by one of these codes: in\n`footplate status`, on the console, in the journal and to the platform. \
                        The table is in `src/diagnosis/`.\n"
            .to_owned();
        for cause in all() {
            let _ = write!(
                page,
                "\n## `{}`\n\n{}.\n\nWhat to do: {}.\n",
                cause.code,
                upper(cause.what),
                cause.cure
            );
        }
        let path = repository().join("docs/diagnosis.md");
        let was = fs::read_to_string(&path).unwrap_or_default();
        if was != page && std::env::var_os("BLESS").is_some() {
            fs::write(&path, &page).unwrap();
        } else {
            assert!(
                was == page,
                "docs/diagnosis.md is not what the table says: BLESS=1 cargo test --lib the_page_is_the_table"
            );
        }
    }

    fn upper(text: &str) -> String {
        let mut letters = text.chars();
        letters.next().map(|l| l.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
    }
}
