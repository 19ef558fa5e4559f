# SPDX-License-Identifier: Apache-2.0
"""What cloud-init makes of a disk: `disks.py CLOUD-INIT PACKAGES < CASES`.

Both are Debian's Python modules, unpacked: a later cloud-init, and what it imports. A case, a line each, is a disk and the cloud-config in which `DISK` stands for
it. cloud-init's own functions partition and format it; a loop device counts as a disk. The answer is what stopped it, or null.
"""
import json
import subprocess
import sys

sys.path[:0] = sys.argv[1:]
sys.modules["selinux"] = None

import yaml  # noqa: E402
from cloudinit import util  # noqa: E402
from cloudinit.config import cc_disk_setup  # noqa: E402

enumerate_disk = cc_disk_setup.enumerate_disk


def enumerated(device, nodeps=False):
    """The disk and its partitions; a loop device is called a disk, and what lsblk has from udev is asked of the device."""
    for entry in enumerate_disk(device, nodeps):
        found = {"TYPE": "", "LABEL": ""}
        for name in found:
            command = ["blkid", "--probe", "--output", "value", "--match-tag", name, f"/dev/{entry['name']}"]
            found[name] = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
        kind = {"loop": "disk"}.get(entry["type"], entry["type"])
        yield {**entry, "type": kind, "fstype": found["TYPE"], "label": found["LABEL"]}


def settled(*_, **__):
    """Nothing of udev's is waited for: there may be none."""


def read(device):
    """The kernel does not look through each kind of loop device by itself."""
    subprocess.run(["partx", "--update", device], capture_output=True, timeout=60)


cc_disk_setup.enumerate_disk = enumerated
cc_disk_setup.read_parttbl = read
util.udevadm_settle = settled


def made(disk, text):
    """Does what the module's `handle` does, but for the names of a cloud."""
    config = yaml.safe_load(text.replace("DISK", disk))
    try:
        for device, definition in config.get("disk_setup", {}).items():
            cc_disk_setup.mkpart(device, definition)
        cc_disk_setup.update_fs_setup_devices(config.get("fs_setup", []), lambda name: name)
        for definition in config.get("fs_setup", []):
            cc_disk_setup.mkfs(definition)
    except Exception as error:
        return str(error)
    return None


for line in sys.stdin:
    print(json.dumps(made(*json.loads(line))), flush=True)
