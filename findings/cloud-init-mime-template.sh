#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a part of a MIME message that begins with `## template: jinja` is a template only where its type is text/plain or
# text/jinja2. Under its own type, text/cloud-config, the first line is a comment and the braces stay in the values.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
# merged TYPE: the host name that cloud-init takes from a message with one part of this type.
merged() {
    printf 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: %s\n\n' "$1" > message
    printf '## template: jinja\n#cloud-config\nhostname: "node-{{ v1.instance_id }}"\n--b--\n' >> message
    /usr/bin/python3 - <<'PYTHON'
import json, os
from cloudinit import handlers, helpers, user_data
from cloudinit.handlers import cloud_config, jinja_template
from cloudinit.settings import PER_ALWAYS
work = os.getcwd()
paths = helpers.Paths({"cloud_dir": work + "/cloud", "run_dir": work + "/run"})
os.makedirs(work + "/run", exist_ok=True)
with open(paths.get_runpath("instance_data_sensitive"), "w") as file:
    json.dump({"v1": {"instance_id": "i-5"}}, file)
cloud = cloud_config.CloudConfigPartHandler(paths)
template = jinja_template.JinjaTemplatePartHandler(paths, sub_handlers=[cloud])
table = {kind: handler for handler in (cloud, template) for kind in handler.list_types()}
message = user_data.UserDataProcessor(paths).process(open("message").read())
handlers.call_begin(cloud, None, PER_ALWAYS)
for part in message.walk():
    handler = table.get(part.get_content_type())
    if handler:
        handlers.run_part(handler, None, part.get_filename(), part.get_payload(decode=True).decode(), PER_ALWAYS, dict(part.items()))
print(cloud.cloud_buf.get("hostname") if isinstance(cloud.cloud_buf, dict) else cloud.cloud_buf)
PYTHON
}
same 'text/plain' 'node-i-5' "$(merged text/plain)"
same 'text/jinja2' 'node-i-5' "$(merged text/jinja2)"
same 'text/cloud-config' 'node-{{ v1.instance_id }}' "$(merged text/cloud-config)"
