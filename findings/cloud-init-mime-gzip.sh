#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: the header Merge-Type of a MIME part says how it is merged with the parts before it. Where the part is compressed,
# the part that comes out of it lacks the header: its lists replace those before, in place of being appended.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
# header TYPE ENCODING BODY: the Merge-Type that cloud-init sees of this part.
header() {
    printf 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: %s\n' "$1" > message
    printf 'Content-Transfer-Encoding: %s\nMerge-Type: list(append)+dict(recurse_array)+str()\n\n%s\n--b--\n' "$2" "$3" >> message
    /usr/bin/python3 - <<'PYTHON'
from cloudinit import helpers, user_data
message = user_data.UserDataProcessor(helpers.Paths({})).process(open("message").read())
for part in message.get_payload():
    print(part.get_content_type(), part["Merge-Type"])
PYTHON
}
same 'as it is' 'text/cloud-config list(append)+dict(recurse_array)+str()' \
    "$(header text/cloud-config 7bit "$(printf '#cloud-config\nruncmd: [b]')")"
same 'compressed' 'text/cloud-config None' \
    "$(header application/gzip base64 "$(printf '#cloud-config\nruncmd: [b]\n' | gzip | base64)")"
