// SPDX-License-Identifier: Apache-2.0
//! What the data's commands did, each with its begin, its end and its exit status: systemd tells it of programs, and bash of the
//! commands within a script that footplate made (`plan::noted`). No command is changed for that.

use crate::io::root::Root;
use crate::io::systemd::{Program, Systemd};
use crate::io::uptime_ms;
use crate::model::paths::UNIT_DIR;
use crate::model::problem::Problem;
use crate::model::status::{Progress, StageStatus};
use crate::plan::kubeadm::{BOOT_SCRIPTS_UNIT, BOOTCMD_UNIT, BOOTHOOKS_UNIT, SCRIPT, UNIT};
use crate::plan::noted::{BOOTCMD, BOOTCMD_RAN, LINES, RAN};

/// Most that a script, or what the shell noted of it, holds.
const MAX_FILE: usize = 64 << 20;

/// A script of footplate's: its path, the key of its commands, and where the shell notes them.
type Noted = (&'static str, &'static str, &'static str);

const NOTED: &[Noted] = &[(SCRIPT, "runcmd", RAN), (BOOTCMD, "bootcmd", BOOTCMD_RAN)];

/// The commands of the bootstrap.
pub fn of_bootstrap(root: &Root) -> Vec<StageStatus> {
    of_units(root, &[UNIT])
}

/// The commands that ran before it, at this boot.
pub fn before_bootstrap(root: &Root) -> Vec<StageStatus> {
    // Most data has none of them, and the bootstrap waits for systemd's answers.
    let mut units = vec![BOOTHOOKS_UNIT, BOOTCMD_UNIT, BOOT_SCRIPTS_UNIT];
    units.retain(|unit| root.stands(&format!("{UNIT_DIR}/{unit}")).unwrap_or(true));
    of_units(root, &units)
}

/// A warning for each command that failed, by its place. Those that call kubeadm are told as kubeadm's own failure, and the last
/// one as the end of the unit.
pub fn failures(
    commands: &[StageStatus],
    script: Option<&[u8]>,
    calls_kubeadm: impl Fn(&[u8]) -> bool,
) -> Vec<Problem> {
    let text = script.map(String::from_utf8_lossy).unwrap_or_default();
    let texts = texts(&text);
    let failed = commands.iter().filter(|c| c.state == Progress::Failed && c.exit_status.is_some());
    let failed = failed.filter(|command| {
        let number = command.name.strip_prefix("runcmd[").and_then(|n| n.trim_end_matches(']').parse().ok());
        !number.and_then(|n: usize| texts.get(n)).is_some_and(|text| calls_kubeadm(text.as_bytes()))
    });
    let problem = |command: &StageStatus| {
        let status = command.exit_status.unwrap_or_default();
        let what = format!("ended with exit status {status}, and the bootstrap went on");
        Problem::warning(command.name.clone(), what)
            .code("commands/failed")
            .cure("look at `journalctl -b -u kubeadm -u footplate-bootcmd`")
    };
    // The last one ended its unit, which is told by itself.
    let last = commands.last().map(|c| c.name.as_str()).filter(|_| script.is_some());
    failed.filter(|command| Some(command.name.as_str()) != last).map(problem).collect()
}

fn of_units(root: &Root, units: &[&str]) -> Vec<StageStatus> {
    if !root.live() || units.is_empty() {
        return Vec::new();
    }
    // Without systemd's answer the commands are not told; what came of them is.
    let Ok(systemd) = Systemd::connect() else { return Vec::new() };
    let programs = units.iter().flat_map(|unit| systemd.programs(unit).unwrap_or_default());
    programs.flat_map(|program| of_program(root, &program)).collect()
}

/// A program of a unit: the commands of a script that footplate made, else the program by its file's name.
fn of_program(root: &Root, program: &Program) -> Vec<StageStatus> {
    let read = |path: &str| {
        let bytes = root.read(path, MAX_FILE).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let script = program.words.last().map(String::as_str).unwrap_or_default();
    let noted = NOTED.iter().find(|(path, ..)| *path == script);
    if let Some((path, key, notes)) = noted {
        let commands = commands(key, &read(path), &read(notes), program);
        if !commands.is_empty() {
            return commands;
        }
    }
    let name = noted.map_or_else(|| script.rsplit('/').next().unwrap_or_default(), |(_, key, _)| *key);
    let end = program.ended_ms.unwrap_or_else(uptime_ms);
    vec![part(name.to_owned(), program.started_ms, end, program.exit_status)]
}

/// The texts of a script's commands.
fn texts(script: &str) -> Vec<String> {
    let mut lines = script.lines();
    let Some(counts) = lines.by_ref().find_map(|line| line.strip_prefix(LINES)) else { return Vec::new() };
    let counts = counts.split_whitespace().map_while(|n| n.parse::<usize>().ok());
    counts.map(|n| lines.by_ref().take(n).collect::<Vec<_>>().join("\n")).collect()
}

/// The commands of a script, by what the shell noted. What it did not come to by itself, such as a command in parentheses, is one
/// with the command before it.
fn commands(key: &str, script: &str, notes: &str, program: &Program) -> Vec<StageStatus> {
    let Some(before) = script.lines().position(|line| line.starts_with(LINES)) else { return Vec::new() };
    let mut begins = vec![before + 2];
    for text in texts(script) {
        begins.push(begins[begins.len() - 1] + text.split('\n').count());
    }
    let (mut parts, mut first, mut since) = (Vec::new(), 0, program.started_ms);
    let mut told = false;
    for (at, line, status) in notes.lines().filter_map(note) {
        let Some(number) = begins.windows(2).position(|w| (w[0]..w[1]).contains(&line)) else { continue };
        told = true;
        if number <= first {
            continue;
        }
        // The shell's clock has steps of 10 ms.
        let at = at.max(since);
        let name = match number - 1 {
            last if last == first => format!("{key}[{first}]"),
            last => format!("{key}[{first}..{last}]"),
        };
        parts.push(part(name, since, at, Some(status)));
        (first, since) = (number, at);
    }
    if told {
        let end = program.ended_ms.unwrap_or_else(uptime_ms);
        parts.push(part(format!("{key}[{first}]"), since, end, program.exit_status));
    }
    parts
}

/// A line of what the shell noted: when, in milliseconds since the kernel started, the script's line, and the exit status before it.
fn note(line: &str) -> Option<(u64, usize, i32)> {
    let mut words = line.split(' ');
    let seconds: f64 = words.next()?.parse().ok()?;
    Some(((seconds * 1000.0) as u64, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn part(name: String, from: u64, to: u64, exit_status: Option<i32>) -> StageStatus {
    let state = if exit_status == Some(0) { Progress::Done } else { Progress::Failed };
    let summary = exit_status.filter(|s| *s != 0).map(|s| format!("exit-status={s}")).unwrap_or_default();
    let ms = to.saturating_sub(from);
    StageStatus { name, state, started_ms: from, ms, summary, exit_status, ..StageStatus::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_begin_end_and_exit_status() {
        let script = "#!/bin/sh\nprelude\n# lines of each command: 1 3 1 1 1\n\
            false\nif true\nthen :\nfi\n(exit 3)\nkubeadm join --config /x\ntouch /y\n";
        let notes = "10.00 4 0\n11.50 5 1\n11.51 6 0\n12.00 9 3\nrubbish\n20.25 10 4\n";
        let program = Program {
            words: vec!["/bin/sh".to_owned(), SCRIPT.to_owned()],
            started_ms: 9990,
            ended_ms: Some(21_000),
            exit_status: Some(0),
        };
        let parts = commands("runcmd", script, notes, &program);
        let told: Vec<_> =
            parts.iter().map(|p| (p.name.as_str(), p.started_ms, p.ms, p.exit_status)).collect();
        let want = [
            ("runcmd[0]", 9990, 1510, Some(1)),
            ("runcmd[1..2]", 11_500, 500, Some(3)),
            ("runcmd[3]", 12_000, 8250, Some(4)),
            ("runcmd[4]", 20_250, 750, Some(0)),
        ];
        assert_eq!(told, want);
        let kubeadm = |text: &[u8]| text.starts_with(b"kubeadm");
        let problems = failures(&parts, Some(script.as_bytes()), kubeadm);
        let places: Vec<&str> = problems.iter().map(|p| p.place.as_ref()).collect();
        assert_eq!(places, ["runcmd[0]", "runcmd[1..2]"]);
        assert!(commands("runcmd", script, "", &program).is_empty(), "a shell that notes nothing");
    }
}
