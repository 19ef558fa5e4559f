# SPDX-License-Identifier: Apache-2.0
"""What cloud-init makes of the users and groups of each case: `users.py PACKAGES CASES`.

PACKAGES are Debian's Python modules, unpacked. Each directory of CASES holds `user-data` and `root/`, whose account files
cloud-init's own code changes by Debian's useradd, groupadd, usermod, passwd and chpasswd, with the rules for sudo in
`etc/sudoers.d`. `stopped` is written beside them where cloud-init gave up.
"""
import pathlib
import subprocess
import sys

packages, cases = sys.argv[1:]
sys.path.insert(0, packages)
sys.modules["selinux"] = None

import yaml  # noqa: E402
from cloudinit import distros, helpers, ssh_util, subp, util  # noqa: E402
from cloudinit.distros import ug_util  # noqa: E402

DEFAULT_USER = {
    "name": "core",
    "lock_passwd": True,
    "groups": ["sudo", "systemd-journal", "wheel"],
    "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
    "shell": "/bin/bash",
}
# The programs that take another root, and their options for it.
TOOLS = {"useradd": "--root", "groupadd": "--root", "usermod": "--root", "passwd": "--root", "chpasswd": "--root"}


def run(root, command, data):
    """Runs one of the tools on a root."""
    command = [command[0], TOOLS[command[0]], str(root), *command[1:]]
    done = subprocess.run(command, capture_output=True, text=True, input=data, timeout=60)
    if done.returncode:
        raise subp.ProcessExecutionError(cmd=command, exit_code=done.returncode, stderr=done.stderr)
    return done.stdout, done.stderr


def names(path):
    """The names in an account file."""
    return [line.split(":")[0] for line in path.read_text().splitlines()]


def make(case):
    """Makes the users and groups of a case."""
    root = case / "root"
    subp.subp = lambda command, data=None, **_: run(root, command, data)
    util.is_user = lambda name: str(name) in names(root / "etc/passwd")
    util.system_is_snappy = lambda: False
    util.is_group = lambda name: str(name) in names(root / "etc/group")
    ssh_util.setup_user_keys = lambda *_, **__: None
    kind = distros.fetch("debian")
    kind.ensure_sudo_dir = lambda _, path: pathlib.Path(path).mkdir(exist_ok=True)
    distro = kind("debian", {"default_user": DEFAULT_USER}, helpers.Paths({}))
    distro.ci_sudoers_fn = str(root / "etc/sudoers.d/90-cloud-init-users")
    config = yaml.safe_load((case / "user-data").read_text())
    users, groups = ug_util.normalize_users_groups(config, distro)
    for name, members in groups.items():
        distro.create_group(name, members)
    for name, fields in users.items():
        distro.create_user(name, **fields)


for case in sorted(pathlib.Path(cases).iterdir()):
    try:
        make(case)
    except Exception as error:  # pylint: disable=broad-except
        (case / "stopped").write_text(f"{type(error).__name__}: {error}")
