#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module sshpubkeys 3.3.1 of PyPI reads an escaped quotation mark in an option of authorized_keys(5) as a backslash: the command below is
# another one. asyncssh 2.24.1 has the quotation marks.
. "${BASH_SOURCE%/*}/fetch"
pypi sshpubkeys==3.3.1 asyncssh==2.24.1

ssh-keygen -q -t ed25519 -N '' -C me -f key
cat > options.py <<'PYTHON'
import asyncssh, sshpubkeys
line = r'command="echo \"a\"" ' + open("key.pub").read().strip()
key = sshpubkeys.SSHKey(line, strict=True)
key.parse()
print("sshpubkeys", *key.options["command"])
print("asyncssh", asyncssh.import_authorized_keys(line)._user_entries[0].options["command"])
PYTHON
same 'echo \"a\"' 'sshpubkeys echo \a\
asyncssh echo "a"' "$(python/bin/python options.py)"
