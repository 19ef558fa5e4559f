#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 keeps a script of a MIME archive under the name of its part: of two parts named alike, as cloud-utils' 0.33
# write-mime-multipart names `one/setup.sh` and `two/setup.sh`, the second one alone is run, without a word.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'cloud-image-utils=0.33-1'

mkdir one two
printf '#!/bin/sh\necho one\n' > one/setup.sh
printf '#!/bin/sh\necho two\n' > two/setup.sh
printf '#!/bin/sh\necho two\n' > two/rest.sh
cat > kept.py <<'PYTHON'
# Runs cloud-init's own reader of user-data and its handler of scripts, and prints what it keeps.
import pathlib, sys
from cloudinit import handlers, helpers, user_data
from cloudinit.handlers.shell_script import ShellScriptPartHandler
paths = helpers.Paths({"cloud_dir": "cloud", "run_dir": "run"})
handler = ShellScriptPartHandler(paths, script_path="scripts", cloud_dir="cloud")
handler.script_dir = sys.argv[1]
def take(data, filename, payload, headers):
    handler.handle_part(data, headers["Content-Type"], filename, payload, None)
handlers.walk(user_data.UserDataProcessor(paths).process(sys.stdin.read()), take, None)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(path.name, path.read_text().split()[-1])
PYTHON
same 'one/setup.sh two/setup.sh' 'setup.sh two' "$(/usr/bin/python3 root/usr/bin/write-mime-multipart one/setup.sh two/setup.sh |
    /usr/bin/python3 kept.py alike)"
same 'one/setup.sh two/rest.sh' 'rest.sh two
setup.sh one' "$(/usr/bin/python3 root/usr/bin/write-mime-multipart one/setup.sh two/rest.sh | /usr/bin/python3 kept.py apart)"
