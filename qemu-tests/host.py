# SPDX-License-Identifier: Apache-2.0
"""The host: where things are, the programs that it must have, and how they are called."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
OUT = HERE / "out"
CACHE = Path(os.environ.get("FOOTPLATE_CACHE", HERE / "cache"))
# Programs and files of the host, and the Debian package of each.
HOST = {
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "cpio": "cpio",
    "ip": "iproute2",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.vfat": "dosfstools",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "qemu-system-x86_64": "qemu-system-x86",
    "sfdisk": "fdisk",
    "systemd-nspawn": "systemd-container",
    "unsquashfs": "squashfs-tools",
    "unxz": "xz-utils",
    "xorrisofs": "xorriso",
}
# For machines of another architecture: these as well. `tests/emulate` gets its own.
FOREIGN = {"/usr/share/qemu-efi-aarch64/QEMU_EFI.fd": "qemu-efi-aarch64", "arch-test": "arch-test", "qemu-system-aarch64": "qemu-system-arm"}
# Somebody wants this to end: no machine outlives it.
ENDING = threading.Event()


class Trouble(Exception):
    """What keeps scenarios from being run at all, and the cure."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def called(*command, **options):
    """Runs a command of the host; its output goes to standard error, for standard output has the table."""
    try:
        subprocess.run([str(c) for c in command], check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL, **options)
    except subprocess.CalledProcessError as error:
        raise Trouble(f"`{' '.join(str(c) for c in command)}` ended with status {error.returncode}") from error


def prepare_host(foreign):
    """Everything that this program calls is there, or is installed, or is named. foreign: whether there are machines for arm64."""
    wanted = HOST | (FOREIGN if foreign else {})
    missing = sorted({package for name, package in wanted.items() if not (shutil.which(name) or Path(name).is_file())})
    if os.geteuid() != 0:
        also = f" Needed first: {' '.join(missing)}." if missing else ""
        raise Trouble(f"needs root: the image has owners, and dracut runs in a chroot. Call it with sudo.{also}")
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Trouble(f"needed first (names of Debian's packages): {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    called(REPOSITORY / "tests" / "apt", "install", *missing)


def read(path):
    return path.read_text(errors="replace") if path.exists() else ""
