# SPDX-License-Identifier: Apache-2.0
"""What cloud-init mounts for a name: `devices.py PACKAGES < CASES`.

A case is a name, the aliases, and the disks with their partitions that the machine has. The answer is the device, or the name
as it is where cloud-init does not know better.
"""
import json
import logging
import os
import sys

sys.path.insert(0, sys.argv[1])
sys.modules["selinux"] = None

from cloudinit.config import cc_mounts  # noqa: E402


def device(name, aliases, disks):
    """The device of a name on a machine with these disks."""
    there = {path for disk, parts in disks.items() for path in [disk, *parts]}
    for disk, parts in disks.items():
        there.add(f"/sys/block/{disk[5:]}")
        there.update(f"/sys/block/{disk[5:]}/{part[5:]}" for part in parts)
    os.path.exists = lambda path: path in there
    return cc_mounts.sanitize_devname(name, lambda _: None, logging.getLogger(), aliases) or name


answers = [device(*case) for case in json.load(sys.stdin)]
json.dump(answers, sys.stdout)
