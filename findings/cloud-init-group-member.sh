#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 makes the groups before the users, so a member of a group that is a user of the same data is left out: a warning in
# the log, and the boot goes on. The documentation's example of members names users that the distribution has.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > users.py <<'PYTHON'
# Runs cloud-init's own code for groups and users, and prints the commands that it would run.
import logging, types, yaml
from cloudinit import distros, subp, util
from cloudinit.config import cc_users_groups
made = set()
def run(command, *rest, **options):
    if command[0] != "systemd-detect-virt":
        print(*command)
    made.add(command[1])
util.is_user = util.is_group = lambda name: name in made
distro = distros.fetch("debian")("debian", {}, None)
distro.lock_passwd = lambda name: None
subp.subp = run
cloud = types.SimpleNamespace(distro=distro, get_public_ssh_keys=lambda: [])
config = yaml.safe_load("{groups: [{deploy: [ann]}], users: [{name: ann}]}")
cc_users_groups.handle("users_groups", config, cloud, logging.getLogger(), [])
PYTHON
same 'what is run' 'groupadd deploy
useradd ann -m' "$(/usr/bin/python3 users.py 2> log)"
