# SPDX-License-Identifier: Apache-2.0
"""A Flatcar-like disk, and what its boot loader does with one: a GPT with the EFI system partition, two slots for /usr, OEM
and ROOT, written into a sparse file without mounting anything. `mounted` is for who changes what a boot left."""

import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
# mkfs.vfat counts its offset in these.
SECTOR = 512


@dataclass(frozen=True)
class Partition:
    """number, type and identity as Flatcar's disk_layout.json has them; start and size in MiB are smaller than Flatcar's."""

    number: int
    label: str
    kind: str
    identity: str
    start: int
    size: int

    @property
    def device(self):
        """What the kernel's command line calls it."""
        return f"PARTUUID={self.identity}"


# Flatcar's types of /usr and of a ROOT that grows, and the type of any Linux file system.
USR, RESIZE, DATA = (
    "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6",
    "3884dd41-8582-4404-b9a8-e9b84f2df50e",
    "0fc63daf-8483-4772-8e79-3d69d8477de4",
)
# The EFI system partition is of 34 MiB: with less there is no FAT32.
PARTITIONS = {
    partition.label: partition
    for partition in (
        Partition(1, "EFI-SYSTEM", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "8a1d2c64-47c1-4b0e-9d3e-6f0e2b9c5a01", 1, 34),
        Partition(3, "USR-A", USR, "7130c94a-213a-4e5a-8e26-6cce9662f132", 35, 256),
        Partition(4, "USR-B", USR, "e03dd35c-7c2d-4a47-b3fe-27f15780a57c", 291, 256),
        Partition(6, "OEM", DATA, "8a1d2c64-47c1-4b0e-9d3e-6f0e2b9c5a06", 547, 16),
        Partition(9, "ROOT", RESIZE, "8a1d2c64-47c1-4b0e-9d3e-6f0e2b9c5a09", 563, 3072),
    )
}
# Bits of a slot's attributes, as ChromeOS' boot loader and Flatcar's gptprio know them: a priority and a count of tries of four
# bits each, and whether the slot was ever up.
PRIORITY, TRIES, SUCCESSFUL = 48, 52, 56


def called(*command, **options):
    """Runs a command; its words are kept for the error."""
    done = subprocess.run(
        [str(c) for c in command], stdin=options.pop("stdin", subprocess.DEVNULL), capture_output=True, text=True, **options
    )
    if done.returncode != 0:
        raise OSError(f"`{' '.join(str(c) for c in command)}` ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def make(disk, root, slots, filesystem):
    """Writes a disk. root is the tree of ROOT; what is in its boot/ goes to the EFI system partition and what is in its oem/
    to OEM, and both are left empty. slots: the file for USR-A, which is the one to boot, and for USR-B, which nobody has tried. filesystem: ROOT's."""
    last = PARTITIONS["ROOT"]
    with open(disk, "wb") as new:
        # A MiB more for the second copy of the table.
        new.truncate((last.start + last.size + 1) * MIB)
    table = "label: gpt\nunit: sectors\n" + "".join(
        f"{p.number} : start={p.start * MIB // SECTOR}, size={p.size * MIB // SECTOR}, type={p.kind}, uuid={p.identity}, name={p.label}\n"
        for p in PARTITIONS.values()
    )
    called("sfdisk", "--quiet", "--no-tell-kernel", disk, stdin=None, input=table)
    for label, image in slots.items():
        write(disk, PARTITIONS[label], image)
    set_attributes(disk, PARTITIONS["USR-A"], 1, 0, True)

    esp = PARTITIONS["EFI-SYSTEM"]
    # By the label Flatcar's units find it. One sector a cluster: FAT32 is told by the number of them.
    called("mkfs.vfat", "-F", "32", "-s", 1, "-n", esp.label, "--offset", esp.start * MIB // SECTOR, disk, esp.size * MIB // 1024)
    for path in sorted((root / "boot").iterdir()):
        called("mcopy", "-s", "-i", f"{disk}@@{esp.start}M", path, "::")
    extfs(disk, PARTITIONS["OEM"], root / "oem", journal=False)
    for place in ("boot", "oem"):
        shutil.rmtree(root / place)
        (root / place).mkdir(mode=0o755)
    if filesystem == "btrfs":
        btrfs(disk, PARTITIONS["ROOT"], root)
    else:
        extfs(disk, PARTITIONS["ROOT"], root, journal=True)


def write(disk, partition, image):
    """An image's bytes into a partition."""
    if image.stat().st_size > partition.size * MIB:
        raise OSError(f"{image} is larger than {partition.label}")
    # conv=notrunc,sparse: the disk goes on behind it, and what is zero there stays a hole.
    called("dd", f"if={image}", f"of={disk}", "bs=1M", f"seek={partition.start}", "conv=notrunc,sparse", "status=none")


def extfs(disk, partition, tree, journal):
    """An ext4 of a tree into a partition."""
    # A small journal, for a journal is what ROOT has and what a power cut is about.
    kind = ["-J", "size=8"] if journal else ["-O", "^has_journal"]
    where = ["-E", f"offset={partition.start * MIB}"]
    called("mke2fs", "-q", "-F", "-t", "ext4", "-L", partition.label, *kind, *where, "-d", tree, disk, f"{partition.size}M")


def btrfs(disk, partition, tree):
    """A btrfs of a tree into a partition; by way of a file, for mkfs.btrfs knows no offset."""
    with tempfile.NamedTemporaryFile(dir=disk.parent, suffix=".btrfs") as file:
        file.truncate(partition.size * MIB)
        called("mkfs.btrfs", "--quiet", "--label", partition.label, "--rootdir", tree, file.name)
        write(disk, partition, Path(file.name))


@contextmanager
def mounted(disk):
    """A directory with ROOT, and OEM in it, as the machine sees them. What is in its boot/ at the end goes to the EFI system
    partition: not every kernel of a host knows vfat."""
    with tempfile.TemporaryDirectory(prefix="footplate-disk-") as place:
        place, mounts = Path(place), []
        try:
            for label, goal in (("ROOT", place), ("OEM", place / "oem")):
                partition = PARTITIONS[label]
                options = f"loop,offset={partition.start * MIB},sizelimit={partition.size * MIB}"
                called("mount", "-o", options, disk, goal)
                mounts.append(goal)
            yield place
            for path in sorted((place / "boot").iterdir()):
                called("mcopy", "-s", "-o", "-i", f"{disk}@@{PARTITIONS['EFI-SYSTEM'].start}M", path, "::")
                shutil.rmtree(path)
        finally:
            for goal in reversed(mounts):
                called("umount", goal)


def first_boot(disk):
    """Whether the file is there by which GRUB knows a machine's first boot."""
    esp = PARTITIONS["EFI-SYSTEM"]
    looked = subprocess.run(["mdir", "-i", f"{disk}@@{esp.start}M", "::/flatcar/first_boot"], capture_output=True)
    return looked.returncode == 0


def attributes(disk):
    """Each slot's priority, its tries, and whether it was up."""
    table = json.loads(called("sfdisk", "--json", disk))["partitiontable"]["partitions"]
    found = {}
    for entry in table:
        bits = 0
        for word in entry.get("attrs", "").split():
            if word.startswith("GUID:"):
                bits = sum(1 << int(bit) for bit in word.removeprefix("GUID:").split(","))
        found[entry["name"]] = (bits >> PRIORITY & 15, bits >> TRIES & 15, bool(bits >> SUCCESSFUL & 1))
    return {label: found[label] for label in ("USR-A", "USR-B")}


def set_attributes(disk, partition, priority, tries, successful):
    bits = priority << PRIORITY | tries << TRIES | int(successful) << SUCCESSFUL
    words = ",".join(str(bit) for bit in range(64) if bits >> bit & 1)
    called("sfdisk", "--quiet", "--no-tell-kernel", "--part-attrs", disk, partition.number, f"GUID:{words}" if words else "")


def next_slot(disk):
    """The slot to boot, as gptprio chooses it: of those that were up or may be tried once more the one of highest priority. A
    try is counted, so that a slot that never says it is up is left again."""
    best = None
    for label, (priority, tries, successful) in attributes(disk).items():
        if priority and (successful or tries) and (best is None or priority > best[1]):
            best = (label, priority, tries, successful)
    if best is None:
        raise OSError(f"{disk}: no slot can be booted")
    label, priority, tries, successful = best
    if not successful:
        set_attributes(disk, PARTITIONS[label], priority, tries - 1, False)
    return PARTITIONS[label]
