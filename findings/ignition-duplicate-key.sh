#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ignition 2.14.0 takes JSON in which a key stands twice, as when two generated configs were pasted together: no error and no
# warning. A key that it does not know, one letter off, is a warning with exit status 0.
. "${BASH_SOURCE%/*}/fetch"
debian 'ignition=2.14.0+ds1-*'

validate() { root/usr/bin/ignition-validate - 2>&1; echo "exit status $?"; }
root/usr/bin/ignition-validate --version
same 'storage stands twice' 'exit status 0' "$(
    echo '{"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "/etc/a"}]}, "storage": {"files": [{"path": "/etc/b"}]}}' | validate
)"
same 'file in place of files' 'warning at $.storage.file, line 1 col 48: Unused key file
exit status 0' "$(echo '{"ignition": {"version": "3.3.0"}, "storage": {"file": [{"path": "/etc/a"}]}}' | validate)"
