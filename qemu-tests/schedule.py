# SPDX-License-Identifier: Apache-2.0
"""Which boots follow each other, and which run at once."""

import concurrent.futures
import os
import shutil
import tempfile
import time

import disk
from host import ENDING, called
from machine import boot, logs_of
from scenario import adds_to_initramfs, root_of
from tree import add_to_initramfs, make_disk, make_drives, make_tree

# How many scenarios run at once: each machine has two processors. Emulated, two machines on two processors take longer than one
# after the other.
JOBS = int(os.environ.get("FOOTPLATE_JOBS", max(1, (os.cpu_count() or 1) // 2)))


def boots(scenario, image, binaries):
    """Runs one scenario: the number of each boot, its verdict, and the wall time in seconds. After a red one there is no next. A scenario
    whose machine stood still is run once more, from its first boot; the machines of a cluster, which wait for each other, are not."""
    tries = 1 if scenario.cluster or scenario.container else 2
    for attempt in range(tries):
        for number, verdict, wall in attempt_at(scenario, image, binaries):
            verdict.still = verdict.still and attempt + 1 < tries
            yield number, verdict, wall
            if verdict.still:
                shutil.copy(logs_of(scenario.name, number) / "console.log", stood_still_log(scenario.name, number))
                break
        else:
            return


def stood_still_log(name, number):
    """Where the console of a boot is kept whose scenario was run again."""
    logs = logs_of(name, number)
    return logs.with_name(f"{logs.name}.stood-still.log")


def attempt_at(scenario, image, binaries):
    """One run of a scenario, as in boots()."""
    logs = logs_of(scenario.name, 1)
    for number in range(1, 10):
        shutil.rmtree(logs_of(scenario.name, number), ignore_errors=True)
    begun = time.monotonic()
    logs.mkdir(parents=True)
    initrd = image.initrds[scenario.initramfs] if scenario.generation == "G1" else image.files / "stage-one.img"
    root = image.roots[root_of(scenario)]
    if scenario.container:
        make_tree(scenario, image.usr, root, binaries, logs / "root")
    else:
        make_disk(scenario, image.files, root, binaries, logs / "disk.img")
        make_drives(scenario, logs)
        if scenario.cluster:
            called("cp", "--sparse=always", image.cluster / "containerd.img", logs / "containerd.img")
    if adds_to_initramfs(scenario):
        add_to_initramfs(scenario, initrd, binaries, logs / "initrd.img")
        initrd = logs / "initrd.img"
    green = True
    for number in range(1, max(scenario.asserts, default=1) + 1):
        if green:
            logs_of(scenario.name, number).mkdir(exist_ok=True)
            if scenario.seal and number > 1:
                with disk.mounted(logs / "disk.img") as tree:
                    called(binaries["footplate"], "seal", "--force", "--root", tree)
            verdict = boot(scenario, number, image, initrd)
            green = verdict.green
            yield number, verdict, time.monotonic() - begun
            begun = time.monotonic()
    if green:
        # A red machine's disk is kept: it has what the report does not tell.
        for big in logs.glob("*.img"):
            big.unlink(missing_ok=True)
        shutil.rmtree(logs / "root", ignore_errors=True)


def at_once(jobs, run, scenarios):
    """Runs scenarios, so many at a time. The first that can't be run at all ends it."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            for done in concurrent.futures.as_completed([pool.submit(run, scenario) for scenario in scenarios]):
                done.result()
        except BaseException:
            ENDING.set()
            pool.shutdown(cancel_futures=True)
            raise


def side_by_side(machines, run):
    """Runs the machines of a cluster, with a cable between them."""
    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="footplate-cable-") as place:
        ends = [f"{place}/{number}" for number in range(len(machines))]
        for machine, cable in zip(machines, [ends, ends[::-1]]):
            machine.cable = cable
        at_once(len(machines), run, machines)
