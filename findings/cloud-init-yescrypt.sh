#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 on Debian 12, whose passwords are yescrypt: a hash `$y$...` in chpasswd's list, as Debian's own mkpasswd makes it, is
# taken for a password in plain text, and is hashed once more. The user cannot log in. `$6$...` is taken for the hash that it is.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > passwords.py <<'PYTHON'
# Runs cloud-init's own code for chpasswd, and prints what it would set, and how.
import logging, sys, types
from cloudinit.config import cc_set_passwords
distro = types.SimpleNamespace(chpasswd=lambda users, hashed: [print(user, "as a hash" if hashed else "as plain text") for user, _ in users])
cc_set_passwords.handle_ssh_pwauth = lambda *rest: None
config = {"chpasswd": {"expire": False, "list": sys.argv[1:]}}
cc_set_passwords.handle("set_passwords", config, types.SimpleNamespace(distro=distro), logging.getLogger(), [])
PYTHON
same 'yescrypt' 'a as plain text' "$(/usr/bin/python3 passwords.py 'a:$y$j9T$somesalt$somehash' 2> log)"
same 'SHA-512' 'a as a hash' "$(/usr/bin/python3 passwords.py 'a:$6$somesalt$somehash' 2> log)"
