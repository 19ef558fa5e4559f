#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: a value of EC2's metadata that begins with { and ends with } is parsed as JSON, also a tag of the instance, which is
# text. A template that prints the tag prints Python's form of it: the file is no JSON any more.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > ec2.py <<'PYTHON'
from cloudinit.handlers import jinja_template
from cloudinit.sources.helpers import ec2
answers = {"": "tags/", "tags/": "instance/", "tags/instance/": "labels", "tags/instance/labels": '{"zone": "a", "spot": true}'}
class Answer(bytes):
    contents = property(lambda self: bytes(self))
tree = ec2.MetadataMaterializer(answers[""], "http://metadata/", lambda url: Answer(answers[url.removeprefix("http://metadata/")].encode())).materialize()
print(jinja_template.render_jinja_payload("## template: jinja\n{{ ds.meta_data.tags.instance.labels }}", "part", {"ds": {"meta_data": tree}}))
PYTHON
same 'the tag is {"zone": "a", "spot": true}, and a template prints' "{'spot': True, 'zone': 'a'}" "$(/usr/bin/python3 ec2.py)"
