# SPDX-License-Identifier: Apache-2.0
"""The files of one machine: its root, its disk or directory, its drives, and what its initramfs has in addition."""

import base64
import gzip
import os
import subprocess
import tempfile
from pathlib import Path

import disk
from host import HERE, called

# Of a scenario's time, what is left for the assertions and the report when the boot has used up its own (seconds).
ASSERTING = 90


def lay(source, target):
    """Copies a tree over another as root's, with the modes that a checkout's umask cannot change."""
    for path in sorted(source.rglob("*")):
        goal = target / path.relative_to(source)
        if path.is_symlink():
            goal.unlink(missing_ok=True)
            goal.symlink_to(os.readlink(path))
        elif path.is_dir():
            goal.mkdir(mode=0o755, exist_ok=True)
        else:
            put(goal, path.read_bytes(), os.access(path, os.X_OK))


def put(path, content, executable=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)


def enable(units):
    """What `systemctl enable` does with the units of a directory, for a root that is none yet."""
    for unit in sorted(units.glob("*.*")):
        if not unit.is_file() or unit.is_symlink():
            continue
        for line in unit.read_text().splitlines():
            key, _, targets = line.partition("=")
            kind = {"WantedBy": "wants", "RequiredBy": "requires"}.get(key)
            for target in targets.split() if kind else []:
                link = units / f"{target}.{kind}" / unit.name
                link.parent.mkdir(exist_ok=True)
                if not link.is_symlink():
                    link.symlink_to(f"../{unit.name}")


def guestinfo(folder):
    """vSphere's guestinfo keys and values. The folder has them in clear; they are encoded here, as their `.encoding` says and
    as Cluster API's controller does."""
    encoders = {
        "": lambda value: value,
        "base64": base64.b64encode,
        "gzip+base64": lambda value: base64.b64encode(gzip.compress(value, mtime=0)),
    }
    values = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    for key in [key for key in values if f"{key}.encoding" in values]:
        # A file ends in a newline; the value does not.
        encoding = values[f"{key}.encoding"] = values[f"{key}.encoding"].strip()
        values[key] = encoders[encoding.decode()](values[key])
    return values


def lay_guestinfo(scenario, binaries, stage):
    put(stage / "opt/footplate-test/vmware-host", binaries["vmware-host"].read_bytes(), executable=True)
    for key, value in guestinfo(scenario.folder / "guestinfo").items():
        put(stage / "etc/guestinfo" / key, value)


def unpack(archive, stage):
    stage.mkdir(mode=0o755)
    called("tar", "-C", stage, "-xpf", archive)


def make_root(scenario, root, binaries, stage):
    """The directory of ROOT for one boot: the image's, and on top of it what changes from run to run."""
    unpack(root, stage)
    if not scenario.footplate:
        # What Flatcar's own image has; otherwise `footplate seal` left it.
        put(stage / "boot/flatcar/first_boot", b"")
    if (scenario.folder / "guestinfo").is_dir():
        lay(HERE / "layers" / "vmware", stage)
        lay_guestinfo(scenario, binaries, stage)
    if scenario.container:
        lay(HERE / "layers" / "nspawn", stage)
    if scenario.cluster:
        lay(HERE / "layers" / "cluster", stage)
    lay(HERE / "layers" / "test", stage)
    for number, path in scenario.asserts.items():
        put(stage / "opt/footplate-test" / f"assert.{number}", path.read_bytes(), executable=True)
    put(stage / "opt/footplate-test/config", f"DEADLINE={scenario.timeout - ASSERTING}\n".encode())
    if (scenario.folder / "root").is_dir():
        lay(scenario.folder / "root", stage)
    enable(stage / "etc/systemd/system")


def make_disk(scenario, image, root, binaries, goal):
    """A disk for a first boot."""
    with tempfile.TemporaryDirectory(prefix="footplate-root-") as work:
        stage = Path(work) / "root"
        make_root(scenario, root, binaries, stage)
        disk.make(goal, stage, {"USR-A": image / "usr.squashfs", "USR-B": image / "usr-next.squashfs"}, scenario.filesystem)


def make_tree(scenario, usr, root, binaries, stage):
    """A directory for a container's first boot, with what is an initramfs' work otherwise."""
    make_root(scenario, root, binaries, stage)
    (stage / "etc/machine-id").unlink(missing_ok=True)
    called("cp", "--archive", "--no-clobber", f"{usr}/share/flatcar/etc/.", stage / "etc")


def make_drives(scenario, logs):
    """An ISO for each folder of drives/, with that name as its label, and the empty disks, sparse."""
    for number, size in enumerate(scenario.disks):
        with open(logs / f"disk{number}.img", "wb") as new:
            new.truncate(int(size) << 20)
    folder = scenario.folder / "drives"
    for drive in sorted(folder.iterdir()) if folder.is_dir() else []:
        called("xorrisofs", "-quiet", "-volid", drive.name, "-joliet", "-rational-rock", "-output", logs / f"{drive.name}.iso", drive)


def add_to_initramfs(scenario, initramfs, binaries, goal):
    """An initramfs and what this scenario's test has in it: the kernel unpacks archives that stand one after the other."""
    with tempfile.TemporaryDirectory(prefix="footplate-initramfs-") as work:
        stage = Path(work) / "stage"
        stage.mkdir(mode=0o755)
        if scenario.initramfs:
            lay(HERE / "layers" / "initramfs", stage)
            enable(stage / "etc/systemd/system")
        if (scenario.folder / "guestinfo").is_dir():
            lay(HERE / "layers" / ("initramfs-vmware" if scenario.initramfs else "ignition-vmware"), stage)
            lay_guestinfo(scenario, binaries, stage)
        listing = "".join(f"{path.relative_to(stage)}\n" for path in sorted(stage.rglob("*")))
        command = ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet", "--directory", stage]
        archive = subprocess.run(command, input=listing.encode(), stdout=subprocess.PIPE, check=True).stdout
    # The archives' blocks are of 512 bytes, so the second stands at a boundary of 4, as it must.
    goal.write_bytes(initramfs.read_bytes() + archive)
