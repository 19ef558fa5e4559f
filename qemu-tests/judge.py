# SPDX-License-Identifier: Apache-2.0
"""Is a boot green? Pure: what the guest said in, a verdict out. A guest that says nothing is red."""

import json
import re
from dataclasses import dataclass, field

# The block of lines by which footplate tells a failure on the console: how it begins, what it must have, and its most lines and columns.
BLOCK = "==== footplate: this node was not bootstrapped: "
PARTS = ["   what:  ", "  to do:  ", "   code:  ", "look at:  `footplate status`", "          `journalctl -u footplate -u kubeadm`"]
LINES, COLUMNS = 10, 80
# The words of a machine's kernel whose processors did not get on: no program in the machine can make it say so.
STILL = re.compile(r"soft lockup|rcu_\w+ (self-)?detected stall")


@dataclass
class Verdict:
    """What is wrong (nothing: green), and the two times of the table; None where the guest did not say. still: see stood_still()."""

    problems: list = field(default_factory=list)
    boot_seconds: float | None = None
    footplate_ms: int | None = None
    failed_units: list = field(default_factory=list)
    still: bool = False

    @property
    def green(self):
        return not self.problems


def events(report):
    """The report's JSON objects, and what of it is none: a guest that died in the middle of a line, say."""
    parsed, broken = [], []
    for line in report.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event" in event:
            parsed.append(event)
        else:
            broken.append(line)
    return parsed, broken


def ending(machine_status):
    """What is wrong with the way a machine ended; nothing: it powered off by itself."""
    if machine_status is None:
        return ["the guest did not power off in time"]
    return [f"the machine ended with status {machine_status}"] if machine_status != 0 else []


def stood_still(machine_status, console):
    """Whether a machine had to be ended, and its own kernel says that its processors stood still: the emulator's trouble."""
    return machine_status is None and STILL.search(console) is not None


def lines_of(console):
    """The lines of a console, which has colours, cursor movements and more ends of lines than one."""
    return [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console).splitlines() if line.strip()]


def not_said(lines, says):
    """Which of the regular expressions no line of the console matches."""
    return [f"the console does not say /{pattern}/" for pattern in says if not any(re.search(pattern, line.strip()) for line in lines)]


def block_of(lines):
    """The lines by which footplate tells a failure on the console, without what others write in between. A login prompt may stand before
    the first of them. None where there is no such block."""
    begin = next((number for number, line in enumerate(lines) if BLOCK in line), None)
    if begin is None:
        return None
    first, *rest = lines[begin:]
    return [first[first.index(BLOCK) :], *(line for line in rest if re.match(r"[ a-z]{7}[: ]  \S", line))]


def misshapen(lines):
    """What is wrong with the form of that block."""
    block = block_of(lines)
    if block is None:
        return []
    problems = [f"a line of the console's block is longer than {COLUMNS} columns: {line!r}" for line in block if len(line) > COLUMNS]
    if len(block) > LINES:
        problems.append(f"the console's block has {len(block)} lines, and not at most {LINES}")
    missing = [name for name in PARTS if not any(line.startswith(name) for line in block)]
    return problems + [f"the console's block has no line {name.strip()!r}" for name in missing]


def judge(report, journal, machine_status, failed_units=(), console="", says=(), unsaid=()):
    """report: the guest's JSON lines. journal: its whole journal. machine_status: the exit status of QEMU or of the container,
    None when it had to be ended. failed_units: those which this boot must leave failed. says, unsaid: regular expressions, each of
    which must match a line of the console, or none."""
    verdict = Verdict()
    problems = verdict.problems
    parsed, broken = events(report)
    of = {}
    for event in parsed:
        of.setdefault(event["event"], []).append(event)

    problems.extend(ending(machine_status))
    lines = lines_of(console)
    problems.extend(not_said(lines, says) + misshapen(lines))
    problems.extend(f"the console says /{pattern}/" for pattern in unsaid if any(re.search(pattern, line) for line in lines))
    if not parsed:
        problems.append("the guest said nothing")
        return verdict
    problems.extend(f"not a line of a report: {line[:200]!r}" for line in broken)

    asserts = of.get("assert", [])
    for event in asserts:
        if event.get("ok") is not True:
            problems.append(f"not ok {event.get('name')}: {event.get('detail')}")
    names = [event.get("name") for event in asserts]
    problems.extend(f"two assertions are called {name}" for name in sorted({n for n in names if names.count(n) > 1}))
    plans = [event.get("assertions") for event in of.get("plan", [])]
    if len(plans) != 1 or not isinstance(plans[0], int) or plans[0] < 1:
        problems.append(f"expected one plan of at least one assertion, got {plans}")
    elif plans[0] != len(asserts):
        problems.append(f"{plans[0]} assertions were planned, {len(asserts)} made")
    if problems:
        problems.extend(f"note: {event.get('text')}" for event in of.get("note", []))

    summaries = of.get("summary", [])
    if len(summaries) != 1 or parsed[-1]["event"] != "summary":
        problems.append("the report has no summary at its end")
        return verdict
    summary = summaries[0]
    verdict.boot_seconds = summary.get("boot_seconds")
    verdict.footplate_ms = summary.get("footplate_ms")
    verdict.failed_units = summary.get("failed_units")
    if not verdict.boot_seconds:
        problems.append("multi-user.target was not reached")
    if sorted(verdict.failed_units) != sorted(failed_units):
        expected, got = (" ".join(sorted(units)) or "none" for units in (failed_units, verdict.failed_units))
        problems.append(f"failed units: expected {expected}, got {got}")

    if not journal.strip():
        problems.append("the guest sent no journal")
    # PID 1 names the units of a cycle and the job that it deleted to break it: the boot goes on, with something left out.
    # Without a reader the node is made as well, but not as it is meant to be.
    signs = ["ordering cycle", "the data is read in this process"]
    problems.extend(line.strip() for line in journal.splitlines() if any(sign in line for sign in signs))
    return verdict


def judge_death(report, console, machine_status, unit, says):
    """A boot that must end in the initramfs because that unit fails there. console: with the journal on it. says: regular
    expressions, each of which must match a line."""
    verdict = Verdict()
    problems = verdict.problems
    problems.extend(ending(machine_status))
    if report.strip():
        problems.append("the real root came up")
    lines = lines_of(console)
    expected = {
        f"{unit} did not fail": f"Failed to start {re.escape(unit)}",
        "the boot did not end in emergency.target": "Reached target emergency.target",
    }
    problems.extend(text for text, pattern in expected.items() if not any(re.search(pattern, line) for line in lines))
    problems.extend(not_said(lines, says))
    problems.extend(line for line in lines if "ordering cycle" in line)
    return verdict
