#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `expiredate: 2031-09-01`, as its documentation has it with quotes, is a date to YAML. useradd gets options from
# text only, so the account is made without an end. There is no error and no warning.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > users.py <<'PYTHON'
# Runs cloud-init's own code for `users`, and prints the commands that it would run.
import sys, yaml
from cloudinit import distros, subp, util
from cloudinit.distros import ug_util
util.is_user = lambda name: False
subp.subp = lambda command, *rest, **options: print(*command) if command[0] == "useradd" else None
distro = distros.fetch("debian")("debian", {}, None)
users, _ = ug_util.normalize_users_groups(yaml.safe_load(sys.stdin), distro)
for name, config in users.items():
    distro.create_user(name, lock_passwd=False, **config)
PYTHON
same 'with quotes' 'useradd a --expiredate 2031-09-01 -m' "$(echo "users: [{name: a, expiredate: '2031-09-01'}]" | /usr/bin/python3 users.py 2>&1)"
same 'without' 'useradd a -m' "$(echo 'users: [{name: a, expiredate: 2031-09-01}]' | /usr/bin/python3 users.py 2>&1)"
