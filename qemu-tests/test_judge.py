#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must be red is red. Runs in no time: python3 qemu-tests/test_judge.py"""

import json
import unittest

from judge import judge, judge_death

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

    def test_no_journal(self):
        self.assertEqual(problems(GREEN, journal=""), ["the guest sent no journal"])

    def test_the_machine_fails(self):
        self.assertEqual(problems(GREEN, status=1), ["the machine ended with status 1"])


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


if __name__ == "__main__":
    unittest.main()
