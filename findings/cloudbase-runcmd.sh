#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloudbase-init 1.1.9 joins a command of `runcmd` that is a list with spaces and quotes nothing: the shell takes an argument with a space
# apart. cloud-init 22.4.2 quotes each one, so that one document for both makes two directories on the one and one on the other.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
pypi cloudbase-init==1.1.9

command="[['mkdir', 'C:/Program Data']]"
same 'cloud-init' "'mkdir' 'C:/Program Data'" "$(
    /usr/bin/python3 -c "from cloudinit.util import shellify; print(shellify($command), end='')" | tail -1
)"
unset PYTHONPATH
same 'cloudbase-init' 'mkdir C:/Program Data' "$(python/bin/python -c "
from cloudbaseinit.plugins.common.userdataplugins.cloudconfigplugins.runcmd import RunCmdPlugin
print(RunCmdPlugin._unify_scripts($command, 'rem'), end='')" 2> cloudbase.log | tail -1)"
