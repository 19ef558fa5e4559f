// SPDX-License-Identifier: Apache-2.0
//! What systemd says of a bootstrap that has ended, where nothing else says why.

/// systemd's results of a service, each in a sentence, and what to do. `{}` is the exit status or the signal. The code of a bootstrap
/// that ended so, and whose output names no cause, is `bootstrap/RESULT`.
pub const RESULTS: &[(&str, &str, &str)] = &[
    ("success", "the bootstrap's commands ended well", ""),
    ("exit-code", "the bootstrap's commands ended with exit status {}", ""),
    ("signal", "signal {} ended the bootstrap's commands", ""),
    (
        "core-dump",
        "the bootstrap's commands crashed with signal {} and left a core dump",
        "look at `coredumpctl list`",
    ),
    ("timeout", "the bootstrap did not end in the time that kubeadm.service has (TimeoutStartSec=)", ""),
    (
        "oom-kill",
        "the kernel ended the bootstrap because memory ran out",
        "give the machine more memory; `journalctl -k` names the process",
    ),
    ("watchdog", "the bootstrap did not answer the watchdog of its unit in time (WatchdogSec=)", ""),
    ("protocol", "the bootstrap did not start as the Type= of its unit says", ""),
    (
        "resources",
        "systemd could not start the bootstrap: it lacked a resource or a setting of the unit failed",
        "",
    ),
    (
        "start-limit-hit",
        "systemd refused to start the bootstrap: it was started too often in a short time",
        "",
    ),
    ("exec-condition", "kubeadm.service was skipped: a command of its ExecCondition= said so", ""),
];

/// How footplate itself was ended before it had a result, by systemd's result and the exit status or the signal.
pub fn aborted(result: &str, status: &str) -> String {
    match result {
        "timeout" => {
            "footplate did not end in the time that footplate.service has (TimeoutStartSec=)".to_owned()
        }
        "oom-kill" => "the kernel ended footplate because memory ran out".to_owned(),
        _ => format!("footplate was ended before it had a result: {result} {status}").trim_end().to_owned(),
    }
}

/// What to do about that.
pub const ABORTED: &str = "look at `journalctl -u footplate`, then start footplate.service again or reboot";
