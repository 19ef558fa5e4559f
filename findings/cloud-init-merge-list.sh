#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `merge_how: list(append)` in the second of two cloud-configs drops all of the second: a merger for lists alone does
# not merge the mappings around them, and what cannot be merged stays as it was. No warning. `dict(recurse_list)` is needed beside it.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > merge.py <<'PYTHON'
# Runs cloud-init's own handler of cloud-config parts on two of them.
import sys, types
from cloudinit import helpers
from cloudinit.handlers import cloud_config
from cloudinit.settings import PER_ALWAYS
handler = cloud_config.CloudConfigPartHandler(helpers.Paths({}))
parts = ["#cloud-config\nruncmd: [a]\n", f"#cloud-config\nmerge_how: {sys.argv[1]}\nruncmd: [b]\nhostname: node\n"]
for number, part in enumerate(parts):
    handler.handle_part(None, "text/cloud-config", f"part-{number}", part, PER_ALWAYS, {})
print({key: handler.cloud_buf[key] for key in ("runcmd", "hostname") if key in handler.cloud_buf})
PYTHON
same 'list(append)' "{'runcmd': ['a']}" "$(/usr/bin/python3 merge.py 'list(append)' 2>&1)"
same 'list(append)+dict(recurse_list)' "{'runcmd': ['a', 'b'], 'hostname': 'node'}" "$(/usr/bin/python3 merge.py 'list(append)+dict(recurse_list)' 2>&1)"
