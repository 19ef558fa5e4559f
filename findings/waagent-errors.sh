#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# waagent 2.7.3 with the Python of its own Debian: what it logs of an error is made by a call that Python 3.10 and later refuse. The error is
# not told; one about the call stands in its place.
. "${BASH_SOURCE%/*}/fetch"
debian waagent=2.7.3.0-4.1 python3-distro=1.8.0-1

export PYTHONPATH=$work/root/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1
cat > told.py <<'PYTHON'
import sys
from azurelinuxagent.common.utils import textutil
from azurelinuxagent.common.version import AGENT_VERSION
print("waagent", AGENT_VERSION, "Python %d.%d" % sys.version_info[:2], file=sys.stderr)
try:
    open("no-such-file")
except OSError as error:
    try:
        print(textutil.format_exception(error).splitlines()[0])
    except TypeError as another:
        print(another)
PYTHON
same 'what is told of a file that is not there' "format_exception() got an unexpected keyword argument 'etype'" "$(/usr/bin/python3 told.py)"
