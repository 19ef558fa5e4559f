// SPDX-License-Identifier: Apache-2.0
//! Which phases kubeadm went through, by the tags that begin the lines of its output.

/// The tags of kubeadm's own phases, of 1.20 and newer. Others name a check or a client, or belong to another program.
const PHASES: &[&str] = &[
    "addons",
    "bootstrap-token",
    "certs",
    "check-etcd",
    "control-plane",
    "control-plane-join",
    "discovery",
    "download-certs",
    "etcd",
    "kubeconfig",
    "kubelet-finalize",
    "kubelet-start",
    "mark-control-plane",
    "preflight",
    "upload-certs",
    "upload-config",
    "wait-control-plane",
];

/// The severity that begins a line of klog: a letter, followed by the date.
pub(super) fn severity(line: &str) -> Option<u8> {
    let head = line.trim_start().as_bytes().get(..6)?;
    (head[0].is_ascii_uppercase() && head[1..5].iter().all(u8::is_ascii_digit) && head[5] == b' ')
        .then_some(head[0])
}

/// The line without what stands around it where it came by another program: colours, and before it a time and `NAME[PID]:`.
pub(super) fn bare(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        text.extend(code.chars().skip(1));
    }
    let is_time = |word: &&str| {
        word.len() >= 8
            && word.matches(':').count() >= 2
            && word
                .trim_matches(['[', ']', ':'])
                .bytes()
                .all(|b| b.is_ascii_digit() || b"-:.,+TZ".contains(&b))
    };
    let mut rest = text.as_str();
    // klog has its own time, after the severity and the date.
    if severity(&text).is_none()
        && let Some(time) = text.split(' ').take(3).find(is_time)
        && let Some((_, after)) = text.split_once(time)
    {
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    if let Some((head, after)) = rest.split_once("]: ")
        && let Some((_, pid)) = head.rsplit_once('[')
        && !pid.is_empty()
        && pid.bytes().all(|b| b.is_ascii_digit())
    {
        rest = after;
    }
    rest.to_owned()
}

/// The phase whose tag begins a line.
fn phase(line: &str) -> Option<&'static str> {
    let line = bare(line);
    let (tag, _) = line.strip_prefix('[')?.split_once("] ")?;
    PHASES.iter().find(|phase| **phase == tag).copied()
}

/// Whether a line tells how far kubeadm came and how it ended, however much comes after it.
pub fn is_mark(line: &str) -> bool {
    let failed = ["error execution phase ", "[ERROR "].iter().any(|text| line.contains(text));
    failed || phase(line).is_some() || says_success(line)
}

/// Whether a line is an error of klog's.
pub fn is_error(line: &str) -> bool {
    matches!(severity(line), Some(b'E' | b'F'))
}

/// The phases in the order in which they began, each with the time of its first line. A phase lasts until the next one begins.
pub fn phases<'l, T>(lines: impl IntoIterator<Item = (T, &'l str)>) -> Vec<(T, &'static str)> {
    let mut found: Vec<(T, &'static str)> = Vec::new();
    for (at, line) in lines {
        let Some(phase) = phase(line) else { continue };
        if found.last().is_none_or(|(_, last)| *last != phase) {
            found.push((at, phase));
        }
    }
    found
}

/// What kubeadm, 1.14 and newer, prints when an `init` and a `join` have succeeded.
const SUCCESS: [&str; 2] =
    ["Your Kubernetes control-plane has initialized successfully!", "This node has joined the cluster"];

/// Whether kubeadm says in this line of its output that the machine has become a node.
pub fn says_success(line: &str) -> bool {
    let line = bare(line);
    SUCCESS.iter().any(|said| line.starts_with(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_kubeadm_begins_a_phase_and_no_other_does() {
        let lines = [
            (10, "[init] Using Kubernetes version: v1.31.0"),
            (11, "[preflight] Running pre-flight checks"),
            (12, "\t[WARNING Service-Kubelet]: kubelet service is not enabled"),
            (19, "[preflight] Pulling images required for setting up a Kubernetes cluster"),
            (20, "[certs] Using certificateDir folder \"/etc/kubernetes/pki\""),
            (25, "[info] a command of the data"),
            (30, "[wait-control-plane] Waiting for the kubelet to boot up the control plane"),
            (70, "[kubelet-check] Initial timeout of 40s passed."),
        ];
        assert_eq!(phases(lines), [(11, "preflight"), (20, "certs"), (30, "wait-control-plane")]);
        assert!(PHASES.is_sorted());
    }

    #[test]
    fn what_another_program_put_around_a_line_is_no_part_of_it() {
        let line = "[certs] Using existing ca";
        for around in [
            "May 02 10:11:00 heron-3 kubeadm[77]: [certs] Using existing ca",
            "2026-05-02T10:11:00.123456+0000 [certs] Using existing ca",
            "[2026-05-02T10:11:00Z] [certs] Using existing ca",
            "kubeadm[77]: [certs] Using existing ca",
            "\u{1b}[31m[certs]\u{1b}[0m Using existing ca",
        ] {
            assert_eq!(bare(around), line, "{around}");
            assert_eq!(phases([(1, around)]), [(1, "certs")]);
        }
        assert!(says_success("10:11:00.1 This node has joined the cluster:"));
        for whole in [
            line,
            "I0502 10:11:12.345678    2211 join.go:419] [preflight] found",
            "\t[ERROR Port-10250]: Port 10250 is in use",
            "dial tcp [::1]:10248: connect: connection refused",
            "",
        ] {
            assert_eq!(bare(whole), whole);
        }
    }
}
