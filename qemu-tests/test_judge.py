#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must be red is red. Runs in no time: python3 qemu-tests/test_judge.py"""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import machine  # noqa: E402
import schedule  # noqa: E402
from host import Trouble  # noqa: E402
from judge import Verdict, judge, judge_death, stood_still  # noqa: E402
from scenario import Scenario  # noqa: E402

JOURNAL = "[    1.000000] localhost systemd[1]: Reached target basic.target - Basic System.\n"
SUMMARY = {"event": "summary", "boot_seconds": 21.5, "footplate_ms": 300, "failed_units": []}
GREEN = [
    {"event": "started"},
    {"event": "plan", "assertions": 2},
    {"event": "assert", "name": "a", "ok": True, "detail": ""},
    {"event": "assert", "name": "b", "ok": True, "detail": ""},
    SUMMARY,
]


def lines(*objects):
    return "".join(json.dumps(o) + "\n" for o in objects)


def problems(objects=None, journal=JOURNAL, status=0, failed=(), text=None):
    return judge(lines(*objects) if text is None else text, journal, status, failed).problems


class Judge(unittest.TestCase):
    def test_green(self):
        verdict = judge(lines(*GREEN), JOURNAL, 0)
        self.assertEqual(verdict.problems, [])
        self.assertTrue(verdict.green)
        self.assertEqual((verdict.boot_seconds, verdict.footplate_ms), (21.5, 300))

    def test_a_guest_that_says_nothing(self):
        self.assertEqual(problems([]), ["the guest said nothing"])

    def test_a_guest_that_says_nothing_and_hangs(self):
        self.assertEqual(problems([], status=None), ["the guest did not power off in time", "the guest said nothing"])

    def test_a_guest_that_dies_early(self):
        expected = ["expected one plan of at least one assertion, got []", "the report has no summary at its end"]
        self.assertEqual(problems(GREEN[:1]), expected)

    def test_a_guest_that_dies_in_a_line(self):
        self.assertEqual(
            problems(text=lines(*GREEN[:3]) + '{"event":"ass'),
            [
                "not a line of a report: '{\"event\":\"ass'",
                "2 assertions were planned, 1 made",
                "the report has no summary at its end",
            ],
        )

    def test_a_failed_assertion(self):
        red = {"event": "assert", "name": "b", "ok": False, "detail": "expected x"}
        note = {"event": "note", "text": "line 3: foo: command not found"}
        self.assertEqual(
            problems([*GREEN[:3], red, note, SUMMARY]),
            ["not ok b: expected x", "note: line 3: foo: command not found"],
        )

    def test_an_assertion_too_few(self):
        self.assertEqual(problems([*GREEN[:3], SUMMARY]), ["2 assertions were planned, 1 made"])

    def test_an_assertion_twice(self):
        self.assertEqual(problems([*GREEN[:3], GREEN[2], SUMMARY]), ["two assertions are called a"])

    def test_no_plan(self):
        self.assertEqual(problems([*GREEN[2:]]), ["expected one plan of at least one assertion, got []"])

    def test_an_empty_plan(self):
        plan = {"event": "plan", "assertions": 0}
        self.assertEqual(problems([plan, SUMMARY]), ["expected one plan of at least one assertion, got [0]"])

    def test_multi_user_target_not_reached(self):
        summary = SUMMARY | {"boot_seconds": 0.0}
        self.assertEqual(problems([*GREEN[:-1], summary]), ["multi-user.target was not reached"])

    def test_a_unit_that_should_not_have_failed(self):
        summary = SUMMARY | {"failed_units": ["containerd.service"]}
        self.assertEqual(
            problems([*GREEN[:-1], summary]), ["failed units: expected none, got containerd.service"]
        )

    def test_a_unit_that_should_have_failed(self):
        self.assertEqual(
            problems(GREEN, failed=["kubeadm.service"]), ["failed units: expected kubeadm.service, got none"]
        )

    def test_an_ordering_cycle(self):
        cycle = "[    0.9] localhost systemd[1]: a.service: Found ordering cycle on b.service/start"
        self.assertEqual(problems(GREEN, journal=JOURNAL + cycle), [cycle])

    def test_no_reader(self):
        warned = "[    0.9] localhost footplate[9]: the data is read in this process, for no reader came: Broken pipe"
        self.assertEqual(problems(GREEN, journal=JOURNAL + warned), [warned])

    def test_no_journal(self):
        self.assertEqual(problems(GREEN, journal=""), ["the guest sent no journal"])

    def test_the_machine_fails(self):
        self.assertEqual(problems(GREEN, status=1), ["the machine ended with status 1"])


BLOCK = """\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mgetty.target\x1b[0m.\r
worker login: ==== footplate: this node was not bootstrapped: decode failed ====\r\r
   what:  decode: line 3: a MAC address is expected, and a cloud-config has\r\r
          another word there\r\r
[   17.2] eth0: the kernel's own line, which stands in between and is longer than 80 columns, as may be\r
  to do:  write six pairs of hexadecimal digits\r\r
   code:  decode/failed\r\r
look at:  `footplate status`, /run/cluster-api/bootstrap-error.log\r\r
          `journalctl -u footplate -u kubeadm`\r\r
"""


class Console(unittest.TestCase):
    """What a living machine's console must say, and the form of the block that tells a failure."""

    def problems(self, console=BLOCK, says=(r"code:  decode/failed$",), unsaid=("t0ken",)):
        return judge(lines(*GREEN), JOURNAL, 0, (), console, says, unsaid).problems

    def test_green(self):
        self.assertEqual(self.problems(), [])
        self.assertEqual(self.problems(console="", says=()), [])

    def test_what_is_not_said(self):
        missing = ["the console does not say /code:  decode/failed$/"]
        self.assertEqual(self.problems(console=""), missing)
        self.assertEqual(self.problems(console=BLOCK.replace("decode/failed", "decode/failed-too")), missing)
        # Each of several, and on one line.
        self.assertEqual(self.problems(says=("decode failed", "what:.*another word")), ["the console does not say /what:.*another word/"])

    def test_what_must_not_be_said(self):
        self.assertEqual(self.problems(console=BLOCK + "a t0ken\r\n"), ["the console says /t0ken/"])

    def test_a_guest_that_says_nothing_else(self):
        self.assertIn("the console does not say /never/", judge("", "", 0, (), BLOCK, ["never"]).problems)

    def test_the_form_of_the_block(self):
        for what, to, problem in (
            ("   code:", f"    why:  {'w' * 71}\n   code:", f"a line of the console's block is longer than 80 columns: '    why:  {'w' * 71}'"),
            ("  to do:", "    why:  x\n" * 4 + "  to do:", "the console's block has 11 lines, and not at most 10"),
            ("  to do:", "  to-do:", "the console's block has no line 'to do:'"),
            ("kubeadm`", "", "the console's block has no line '`journalctl -u footplate -u kubeadm`'"),
        ):
            with self.subTest(what=what, to=to):
                self.assertEqual(self.problems(console=BLOCK.replace(what, to)), [problem])
        fits = f"    why:  {'w' * 70}\n" + "    why:  x\n" * 2
        self.assertEqual(self.problems(console=BLOCK.replace("   code:", fits + "   code:")), [])


DEAD = """
[    9.1] ignition[77]: failed to fetch config: config is not valid
[    9.2] systemd[1]: Failed to start \x1b[0;1;39mignition-fetch.service\x1b[0m - Ignition (fetch).
[    9.3] systemd[1]: Reached target emergency.target - Emergency Mode.
"""


class JudgeDeath(unittest.TestCase):
    def problems(self, report="", console=DEAD, status=0, unit="ignition-fetch.service"):
        return judge_death(report, console, status, unit, ["config is not valid$"]).problems

    def test_green(self):
        self.assertEqual(self.problems(), [])

    def test_a_boot_that_goes_on(self):
        self.assertEqual(self.problems(report=lines(*GREEN)), ["the real root came up"])

    def test_a_console_that_says_nothing(self):
        expected = [
            "ignition-fetch.service did not fail",
            "the boot did not end in emergency.target",
            "the console does not say /config is not valid$/",
        ]
        self.assertEqual(self.problems(console=""), expected)

    def test_another_unit_fails(self):
        self.assertEqual(self.problems(unit="ignition-disks.service"), ["ignition-disks.service did not fail"])

    def test_a_machine_that_hangs(self):
        self.assertEqual(self.problems(status=None), ["the guest did not power off in time"])

    def test_an_ordering_cycle(self):
        cycle = "[    0.9] systemd[1]: a.service: Found ordering cycle on b.service/start"
        self.assertEqual(self.problems(console=DEAD + cycle), [cycle])


class Machine(unittest.TestCase):
    """How a machine ended, told by a program that is none."""

    def run_machine(self, command, timeout=30, until=lambda: False):
        with tempfile.TemporaryDirectory() as logs:
            machine.OUT = Path(logs)
            return machine.run_machine(command, Path(logs), timeout, until)

    def test_it_ends(self):
        self.assertEqual(self.run_machine(["true"]), 0)
        self.assertEqual(self.run_machine(["false"]), 1)

    def test_it_does_not_end_in_time(self):
        self.assertIsNone(self.run_machine(["sleep", "600"], timeout=0.1))

    def test_its_power_is_cut(self):
        self.assertIsNone(self.run_machine(["sleep", "600"], until=lambda: True))

    def test_the_line_for_the_cut_never_comes(self):
        scenario = type("Scenario", (), {"name": "probe", "container": False, "cut": "never said"})
        machine.power_on = lambda *_: None
        with tempfile.TemporaryDirectory() as out:
            machine.OUT = Path(out)
            logs = machine.logs_of("probe", 1)
            logs.mkdir()
            (logs / "console.log").write_text("something else\n")
            self.assertFalse(machine.cut_boot(scenario, None, None, None).green)
            (logs / "console.log").write_text("it was never said\n")
            self.assertTrue(machine.cut_boot(scenario, None, None, None).green)


LOCKED = "[   81.4] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:0:19]\n"
STALLED = ("[   60.1] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:\n", "[   60.1] rcu: INFO: rcu_preempt self-detected stall on CPU\n")


class StoodStill(unittest.TestCase):
    """An emulated machine that stood still is run again, once; nothing else is."""

    def test_by_its_kernels_words(self):
        for console in (LOCKED, *STALLED):
            self.assertTrue(stood_still(None, DEAD + console))
            # It came to its end, well or badly.
            self.assertFalse(stood_still(0, console))
            self.assertFalse(stood_still(1, console))
        self.assertFalse(stood_still(None, DEAD))

    def verdict(self, status, console, number=1, **keys):
        """What machine.boot says of a machine with that end, which asserted nothing."""
        scenario = type("Scenario", (), {"name": "probe", "container": False, "cut": None, "dies": "", "failed": [], "says": [], "unsaid": []} | keys)
        machine.power_on = lambda *_: status
        with tempfile.TemporaryDirectory() as out:
            machine.OUT = Path(out)
            machine.logs_of("probe", number).mkdir()
            (machine.logs_of("probe", number) / "console.log").write_text(console)
            return machine.boot(scenario, number, None, None)

    def test_a_boot_of_each_kind(self):
        for keys in ({}, {"cut": "never said"}, {"dies": "a.service", "says": ["a"]}):
            with self.subTest(keys=keys):
                self.assertTrue(self.verdict(None, LOCKED, **keys).still)
                self.assertFalse(self.verdict(None, "", **keys).still)
                self.assertFalse(self.verdict(1, LOCKED, **keys).still)
        # Its power was cut.
        self.assertFalse(self.verdict(None, LOCKED + "said\n", cut="said").still)
        self.assertTrue(self.verdict(None, LOCKED, 2, cut="never said").still)

    def boots(self, attempts, **keys):
        """The boots of a scenario each of whose attempts has these boots; and how many attempts there were."""
        scenario = type("Scenario", (), {"name": "probe", "cluster": None, "container": False} | keys)
        made = []

        def attempt_at(*_):
            made.append(attempts[len(made)])
            for number, (green, still) in enumerate(made[-1], 1):
                logs = machine.logs_of("probe", number)
                logs.mkdir(exist_ok=True)
                (logs / "console.log").write_text(f"{len(made)}.{number}")
                yield number, Verdict([] if green else ["red"], still=still), 1.0

        schedule.attempt_at = attempt_at
        with tempfile.TemporaryDirectory() as out:
            machine.OUT = Path(out)
            boots = [(number, verdict.green, verdict.still) for number, verdict, _ in schedule.boots(scenario, None, None)]
            kept = {path.name: path.read_text() for path in Path(out).glob("*.stood-still.log")}
        return boots, len(made), kept

    def test_it_is_run_again_from_its_first_boot(self):
        green, red, still = (True, False), (False, False), (False, True)
        for attempts, boots, kept in (
            ([[green, green]], [(1, True, False), (2, True, False)], {}),
            ([[green, red]], [(1, True, False), (2, False, False)], {}),
            ([[still], [green]], [(1, False, True), (1, True, False)], {"probe.stood-still.log": "1.1"}),
            ([[green, still], [green, green]], [(1, True, False), (2, False, True), (1, True, False), (2, True, False)], {"probe.2.stood-still.log": "1.2"}),
            ([[still], [red]], [(1, False, True), (1, False, False)], {"probe.stood-still.log": "1.1"}),
            # Once: the second time it is red.
            ([[still], [still]], [(1, False, True), (1, False, False)], {"probe.stood-still.log": "1.1"}),
        ):
            with self.subTest(attempts=attempts):
                self.assertEqual(self.boots(attempts), (boots, len(attempts), kept))

    def test_what_is_not_run_again(self):
        for keys in ({"container": True}, {"cluster": "cluster"}):
            with self.subTest(keys=keys):
                self.assertEqual(self.boots([[(False, True)]], **keys), ([(1, False, False)], 1, {}))


class Folder(unittest.TestCase):
    """A scenario that says what can't be is refused, and not run as something else."""

    def scenario(self, text, *asserts):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "scenario").write_text(text)
            for name in asserts:
                (Path(folder) / name).write_text("")
                (Path(folder) / name).chmod(0o755)
            return Scenario(Path(folder))

    def test_good_ones(self):
        self.assertEqual(list(self.scenario("tier=fast\nmachine=nspawn\n", "assert", "assert.2").asserts), [1, 2])
        self.assertEqual(list(self.scenario("cut=a\ncut=b\n", "assert.2").asserts), [2])
        told = self.scenario("says=a\nsays=b\nunsaid=c=d\n", "assert")
        self.assertEqual((told.says, told.unsaid), (["a", "b"], ["c=d"]))

    def test_bad_ones(self):
        for text, asserts in (
            ("teir=fast\n", ["assert"]),
            ("tier=quick\n", ["assert"]),
            ("timeout=30\n", ["assert"]),
            ("machine=lxc\n", ["assert"]),
            ("machine=nspawn\nsmbios=type=1\n", ["assert"]),
            ("machine=nspawn\ncut=a\n", ["assert"]),
            ("footplate=maybe\n", ["assert"]),
            ("dies=a.service\n", []),
            ("dies=a.service\nsays=a\nunsaid=b\n", []),
            ("nic=user\n", ["assert"]),
            ("cut=a\n", []),
            ("", []),
            ("", ["assert", "assert.3"]),
        ):
            with self.subTest(text=text), self.assertRaises(Trouble):
                self.scenario(text, *asserts)


if __name__ == "__main__":
    unittest.main()
