# SPDX-License-Identifier: Apache-2.0
"""What a folder of scenarios/ says: a machine, or the two of a cluster."""

import copy
import os

from host import Trouble

# A tier holds those before it.
TIERS = ["fast", "boot", "long"]
# The flavours of an image: who reads its machines' user-data.
USERDATA = ["cloud-config", "ignition"]
# Flatcar's generations, and the release of Debian that each one's image is made of: a single initramfs; the initramfs in two
# stages; and that with extensions merged in it.
GENERATIONS = {"G1": "bookworm", "G2": "bookworm", "G3": "trixie"}

# What ROOT may be. Flatcar's is ext4, unless the user-data makes another one.
FILESYSTEMS = ["ext4", "btrfs"]
# By Debian's names. A machine of another one than the host's is emulated wherever it runs.
ARCHITECTURES = ["amd64", "arm64"]


class Scenario:
    """A machine: a folder of scenarios/, or a folder in one, which is a cluster then. Its file `scenario` has `key=value` lines; those of
    MANY may come more than once."""

    ONE = {
        "architecture": "amd64", "cpu": "max", "dies": "", "filesystem": "ext4", "footplate": "yes", "generation": "G1", "initramfs": "no", "machine": "qemu", "memory": "1536",
        "seal": "no", "tier": "boot", "timeout": "360", "userdata": "cloud-config",
    }  # fmt: skip
    MANY = ("cut", "disk", "failed", "kernel", "nic", "says", "smbios", "unsaid")

    def __init__(self, folder, cluster=None):
        self.folder, self.cluster = folder, cluster
        self.name = f"{cluster}-{folder.name}" if cluster else folder.name
        # The machine's end of the cable, and the other one.
        self.cable = None
        values = dict(self.ONE) | {key: [] for key in self.MANY}
        for number, line in enumerate((folder / "scenario").read_text().splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, equals, value = line.partition("=")
            if not equals or key not in values:
                raise Trouble(f"{folder}/scenario:{number}: {key!r} is none of {', '.join(sorted(values))}")
            if key in self.MANY:
                values[key].append(value)
            else:
                values[key] = value
        self.tier, self.cpu, self.memory = values["tier"], values["cpu"], values["memory"]
        self.architecture = values["architecture"]
        self.container = values["machine"] == "nspawn"
        self.kernel, self.smbios = values["kernel"], values["smbios"]
        # Files that the host hands over by the firmware's configuration.
        handed = folder / "fw_cfg"
        self.fw_cfg = [(file.relative_to(handed), file) for file in sorted(handed.rglob("*")) if file.is_file()]
        # What is behind the NIC, and the NIC: QEMU's -netdev and -device without what ties the two together.
        self.nic = [nic.split(None, 1) for nic in values["nic"]]
        self.disks = values["disk"]
        # The units that a boot must leave failed, a line for each boot.
        self.failed = [units.split() for units in values["failed"]]
        # The unit whose failure ends the boot in the initramfs; and what the console must say, and must not.
        self.dies, self.says, self.unsaid = values["dies"], values["says"], values["unsaid"]
        self.footplate, self.userdata = values["footplate"] == "yes", values["userdata"]
        self.initramfs, self.seal = values["initramfs"] == "yes", values["seal"] == "yes"
        self.timeout = int(values["timeout"])
        if self.tier not in TIERS or self.timeout < 300:
            raise Trouble(f"{folder}/scenario: tier is one of {', '.join(TIERS)}, timeout at least 300")
        if any(values[key] not in ("yes", "no") for key in ("footplate", "initramfs", "seal")):
            raise Trouble(f"{folder}/scenario: footplate, initramfs and seal are yes or no")
        self.filesystem = values["filesystem"]
        if self.filesystem not in FILESYSTEMS or self.filesystem != "ext4" and (self.container or values["seal"] == "yes"):
            raise Trouble(f"{folder}/scenario: filesystem is one of {', '.join(FILESYSTEMS)}; a container has none, and what is sealed is ext4")
        self.generation = values["generation"]
        if self.generation not in GENERATIONS or self.generation != "G1" and (self.container or adds_to_initramfs(self)):
            raise Trouble(f"{folder}/scenario: generation is one of {', '.join(GENERATIONS)}; a container is of the first, and only that has an initramfs that can be added to")
        self.suite = GENERATIONS[self.generation]
        if self.architecture not in ARCHITECTURES or self.architecture != "amd64" and (self.container or cluster or self.initramfs):
            raise Trouble(f"{folder}/scenario: architecture is one of {', '.join(ARCHITECTURES)}; containers, clusters and an initramfs with footplate are of the first")
        if self.userdata not in USERDATA:
            raise Trouble(f"{folder}/scenario: userdata is one of {', '.join(USERDATA)}")
        if any(len(nic) != 2 for nic in self.nic):
            raise Trouble(f"{folder}/scenario: nic is a -netdev of QEMU, a space and a -device")
        cables = [network for network, _ in self.nic].count("cable")
        if cables != (1 if cluster else 0):
            raise Trouble(f"{folder}/scenario: a machine of a cluster has one nic at the `cable`, and no other machine has")
        if cluster and (self.container or values["cut"] or not self.footplate):
            raise Trouble(f"{folder}/scenario: a machine of a cluster is under QEMU, with footplate and without cuts")
        if not all(size.isdecimal() and int(size) > 0 for size in self.disks):
            raise Trouble(f"{folder}/scenario: disk is a number of MiB")
        if values["machine"] not in ("qemu", "nspawn"):
            raise Trouble(f"{folder}/scenario: machine is qemu or nspawn")
        if self.container and (self.initramfs or self.seal or self.dies or self.smbios or self.nic or self.disks or self.fw_cfg or (folder / "drives").exists()):
            raise Trouble(f"{folder}/scenario: a container has no initramfs, smbios, fw_cfg or drives, and its one NIC without being told")
        self.peer = folder / "peer"
        if self.peer.exists() and not (self.container and os.access(self.peer, os.X_OK)):
            raise Trouble(f"{folder}/peer: is a program, and only a container has a peer")
        # A boot whose power is cut when its console says that; in turn, each on a disk of its own.
        self.cuts, self.cut = values["cut"], None
        if self.dies and (not self.says or self.unsaid or (folder / "assert").exists()):
            raise Trouble(f"{folder}: a boot that dies says why on the console (says=), and has no assertions")
        # The first boot's, and of each later boot of the same disk. Where the real root never comes up, and where the power is cut,
        # nobody asserts.
        first = [] if self.dies or self.cuts else [folder / "assert"]
        self.asserts = dict(enumerate(first + sorted(folder.glob("assert.[2-9]")), 2 if self.cuts else 1))
        for number, path in self.asserts.items():
            if not os.access(path, os.X_OK) or (number > 1 and path.suffix != f".{number}"):
                raise Trouble(f"{folder}: the assertions of boot {number} are not there or not executable")
        if self.cuts and not self.asserts:
            raise Trouble(f"{folder}: a machine whose power is cut has assertions for boot 2")


def machines(folder):
    """The machines of a scenario: one, or a cluster's, each in a folder of its own."""
    if (folder / "scenario").exists():
        return [Scenario(folder)]
    found = [Scenario(path.parent, folder.name) for path in sorted(folder.glob("*/scenario"))]
    if len(found) != 2 or len({machine.tier for machine in found}) != 1:
        raise Trouble(f"{folder}: a scenario has a file `scenario`, or is a cluster of two machines of one tier with one each")
    return found


def turns(scenario):
    """A scenario itself, or one for each of its power cuts: each has a disk of its own."""
    if not scenario.cuts:
        return [scenario]
    cuts = [copy.copy(scenario) for _ in scenario.cuts]
    for number, turn in enumerate(cuts, 1):
        turn.cut, turn.name = scenario.cuts[number - 1], f"{scenario.name}-{number}"
    return cuts


def adds_to_initramfs(scenario):
    """Whether the initramfs has something of the test: Ignition reads guestinfo where no config of the image comes before it."""
    return scenario.initramfs or scenario.userdata == "ignition" and (scenario.folder / "guestinfo").is_dir()


def root_of(scenario):
    """Which image's root a machine has: that without footplate, or its flavour's, a cluster's or not."""
    return scenario.footplate and (scenario.userdata, bool(scenario.cluster))
