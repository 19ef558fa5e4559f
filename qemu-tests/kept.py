# SPDX-License-Identifier: Apache-2.0
"""What is slow to make is kept, by a hash of all that it is made of."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from host import CACHE, say

# A cached tree that no run has used for so long goes away (seconds): 14 days.
CACHE_LIFETIME = 14 * 86400


def digest(*inputs):
    """A hash of texts and of trees: names, contents and whether they are executable."""
    total = hashlib.sha256()

    def add(*parts):
        for part in parts:
            part = part if isinstance(part, bytes) else str(part).encode()
            total.update(len(part).to_bytes(8, "big") + part)

    for item in inputs:
        if not isinstance(item, Path):
            add("text", item)
            continue
        files = sorted(p for p in item.rglob("*") if not p.is_dir()) if item.is_dir() else [item]
        for path in files:
            content = os.readlink(path) if path.is_symlink() else path.read_bytes()
            add("file", path.relative_to(item.parent), os.access(path, os.X_OK), content)
    return total.hexdigest()[:16]


def cached(name, inputs, make):
    """The directory that make(directory) filled for these inputs, now or in an earlier run."""
    CACHE.mkdir(parents=True, exist_ok=True)
    key = digest(*inputs)
    place = CACHE / f"{name}-{key}"
    with open(CACHE / f".{name}.lock", "w") as lock:
        # Who comes second finds what the first one made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_once(name, place, make)
    os.utime(place)
    for other in CACHE.glob(f"{name}-*"):
        if time.time() - other.stat().st_mtime > CACHE_LIFETIME:
            shutil.rmtree(other, ignore_errors=True)
    return key, place


def make_once(name, place, make):
    """Fills a directory of the cache, unless it is there."""
    if not place.is_dir():
        say(f"making {name} ({place})")
        begun = time.monotonic()
        work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE))
        try:
            work.chmod(0o755)
            make(work)
            work.rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        say(f"made {name} in {time.monotonic() - begun:.0f} s")
