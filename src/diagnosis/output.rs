// SPDX-License-Identifier: Apache-2.0
//! What kubeadm's own output names: which of its lines belong to the failure, and in which order they count.

use super::causes::{Cause, all};
use super::phases::{bare, says_success, severity};

/// The causes that kubeadm's output names, the first cause first.
pub(super) fn of_output(output: &str) -> Vec<&'static Cause> {
    let whole: Vec<&str> = output.lines().collect();
    // What failed after a success is another command's.
    let joined = whole.iter().rposition(|l| says_success(l)).map_or(0, |at| at + 1);
    let own = whole[joined..].iter().map(|l| bare(l));
    let lines: Vec<String> =
        own.filter_map(|l| Some(without_warnings(&l)?.trim_end().to_ascii_lowercase())).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let last = last_error(&lines).or_else(|| error_without_phase(&lines).filter(|_| joined == 0));
    let at = last.unwrap_or(0);
    // An earlier run of kubeadm said what it found, too.
    let run = last_error(&lines[..at]).map_or(0, |before| before + length(&lines[before..at]));
    let before = &lines[run..at];
    let end = match last {
        Some(at) => &lines[at..at + length(&lines[at..])],
        None => &lines[..],
    };
    let in_preflight =
        end.first().is_none_or(|l| l.contains("phase preflight") || !l.contains("execution phase"));
    let mut found = Vec::new();
    if in_preflight {
        found.extend(in_order(&checks(before, end)));
    }
    match last {
        Some(_) => found.extend(in_order(&[trace(before, end), end.to_vec()].concat())),
        // Without an error of kubeadm's, what was waited for may have come, and what can't be reached may be another command's.
        None => {
            let another = |c: &Cause| {
                ["endpoint/", "certificate/", "join/token-refused"].iter().any(|p| c.code.starts_with(p))
            };
            let (over, since) = end.split_at(healthy_from(end));
            let over = over.iter().filter(|l| !CHECKS.iter().any(|tag| l.starts_with(tag)));
            let end: Vec<&str> = over.chain(since).copied().collect();
            found.extend(in_order(&end).into_iter().filter(|c| !c.says.is_vague() && !another(c)));
        }
    }
    // An error that only says that time ran out, or that there is one, in a phase that waits.
    let waits = end.first().is_none_or(|l| {
        !l.contains("execution phase")
            || l.contains("phase kubelet")
            || l.contains("phase wait-control-plane")
    });
    if waits && found.iter().all(|cause| cause.says.is_vague()) {
        let waited = before[healthy_from(before)..].iter().copied();
        let waited: Vec<&str> = waited.filter(|l| tells_of_waiting(l)).collect();
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
    if found.iter().all(|cause| cause.says.is_vague()) {
        found.truncate(1);
    } else {
        found.retain(|cause| !cause.says.is_vague());
    }
    found
}

/// The checks that failed: they stand in the error or, from 1.34 on, before it. That of the images may have no tag.
fn checks<'l>(before: &[&'l str], end: &[&'l str]) -> Vec<&'l str> {
    let mut listed = false;
    let checks = before.iter().chain(end).copied().filter(|l| {
        let is_check = listed || l.trim_start().starts_with("[error ");
        listed = l.ends_with("fatal errors occurred:") || listed && !l.contains(LAST_CHECK);
        is_check
    });
    checks.collect()
}

/// What kubeadm writes below the checks that failed.
const LAST_CHECK: &str = "[preflight] if you know what you are doing";

/// What kubeadm writes below its errors.
const STACK_TRACE: &str = "to see the stack trace of this error";

/// The line of kubeadm's last error. Other commands of the data have errors too.
fn last_error(lines: &[&str]) -> Option<usize> {
    let told = || {
        let end = lines.iter().rposition(|l| l.starts_with(STACK_TRACE))?;
        // The lines of an error, but for its first one, stand further in.
        let more = |l: &&&str| l.is_empty() || l.starts_with([' ', '\t']);
        Some(end.saturating_sub(1 + lines[..end].iter().rev().take_while(more).count()))
    };
    lines.iter().rposition(|l| l.contains("error execution phase ")).or_else(told)
}

/// The line of the last error that has no phase. It may be any program's: one that says nothing is none of kubeadm's, nor is one
/// before a kubeadm that did not run.
fn error_without_phase(lines: &[&str]) -> Option<usize> {
    let named = |l: &str| all().find(|cause| cause.is_named_by(l));
    let at = lines.iter().rposition(|l| l.starts_with("error:") && named(l).is_some())?;
    let not_run = |l: &&str| named(l).is_some_and(|cause| cause.code.starts_with("kubeadm/"));
    (!lines[at + 1..].iter().any(not_run)).then_some(at)
}

/// How many lines an error has: those of its checks and of a program's output belong to it, those of the next command do not.
fn length(lines: &[&str]) -> usize {
    if let Some(end) = lines.iter().position(|l| l.starts_with(STACK_TRACE)) {
        return end;
    }
    if lines.first().is_some_and(|l| l.ends_with("occurred:")) {
        let end = lines.iter().position(|l| l.contains(LAST_CHECK));
        return end.map_or(lines.len(), |end| end + 1);
    }
    let more = lines.iter().skip(1).take_while(|l| l.starts_with([' ', '\t', ',']));
    lines.len().min(1 + more.count())
}

/// The messages that a verbose kubeadm writes above the phase, from the innermost on, without the places of its source.
fn trace<'l>(before: &[&'l str], end: &[&'l str]) -> Vec<&'l str> {
    let Some((_, phase)) = end.first().and_then(|l| l.split_once("error execution phase ")) else {
        return Vec::new();
    };
    if phase.contains(": ") {
        return Vec::new();
    }
    let is_place = |l: &&str| l.starts_with('\t') || l.starts_with("k8s.io/") || l.starts_with("runtime.");
    let block = before.iter().rev().copied().take_while(|l| !l.is_empty() && !l.starts_with('['));
    block.filter(|l| !is_place(l)).collect()
}

/// The causes that the lines name, in the table's order. One line has one cause: the first in the table.
fn in_order(lines: &[&str]) -> Vec<&'static Cause> {
    let first = |line: &&str| all().find(|cause| cause.is_named_by(line)).map(|cause| cause.code);
    let named: Vec<&str> = lines.iter().filter_map(first).collect();
    all().filter(|cause| named.contains(&cause.code)).collect()
}

/// The line without klog's head; `None` for a warning, which is not what stopped kubeadm: it warns, for one, where the node's own
/// name does not resolve. klog's lines have a place in the source before `] `.
fn without_warnings(line: &str) -> Option<&str> {
    let text = line.trim_start();
    match severity(text) {
        Some(b'W' | b'I') => None,
        Some(b'E' | b'F') => Some(text.split_once("] ").map_or(text, |(_, text)| text)),
        _ if text.starts_with("[WARNING") || text.starts_with("[preflight] WARNING") => None,
        _ => Some(line),
    }
}

/// Tags of what kubeadm waits for.
const CHECKS: [&str; 3] = ["[kubelet-check]", "[api-check]", "[control-plane-check]"];

/// The last line that says that what was waited for has come; what was said of it before is over.
fn healthy_from(lines: &[&str]) -> usize {
    let come = |l: &&str| {
        [" is healthy after", " are healthy after", "has joined the cluster"].iter().any(|t| l.contains(t))
    };
    lines.iter().rposition(come).unwrap_or(0)
}

/// Whether a line says that what was waited for did not come.
fn tells_of_waiting(line: &str) -> bool {
    ["is not healthy after", "isn't running or healthy", "perform the tls bootstrap"]
        .iter()
        .any(|text| line.contains(text))
}
