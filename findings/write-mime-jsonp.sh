#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-image-utils 0.33: write-mime-multipart takes a JSON patch (`#cloud-config-jsonp`) for an ordinary cloud-config, since the one name
# begins with the other. cloud-init 22.4.2 goes by the part's type: it drops the patch. Without the tool's type the patch is applied.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian cloud-image-utils=0.33-1

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
printf '#cloud-config\nhostname: one\n' > first
printf '#cloud-config-jsonp\n[{"op": "replace", "path": "/hostname", "value": "two"}]\n' > patch
# name: the types of the parts of the message on standard input, and the host name that cloud-init takes from them.
name() {
    cat > message
    /usr/bin/python3 - 2> /dev/null <<'PYTHON'
from cloudinit import helpers, user_data
from cloudinit.handlers import cloud_config
from cloudinit.settings import PER_ALWAYS
paths = helpers.Paths({})
handler = cloud_config.CloudConfigPartHandler(paths)
for part in user_data.UserDataProcessor(paths).process(open("message").read()).walk():
    kind = part.get_content_type()
    if kind in handler.list_types():
        print(kind)
        handler.handle_part(None, kind, part.get_filename(), part.get_payload(decode=True).decode(), PER_ALWAYS, {})
print(handler.cloud_buf.get("hostname"))
PYTHON
}
same 'as write-mime-multipart writes it' 'text/cloud-config
text/cloud-config
one' "$(/usr/bin/python3 root/usr/bin/write-mime-multipart first patch | name)"
same 'with the types left to cloud-init' 'text/cloud-config
text/cloud-config-jsonp
two' "$(/usr/bin/python3 root/usr/bin/write-mime-multipart first:text/plain patch:text/plain | name)"
