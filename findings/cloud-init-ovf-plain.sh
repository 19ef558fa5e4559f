#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 tries base64 on the user-data of an OVF environment and takes it as plain text where that fails. Python's decoder
# skips all that is not base64, so plain text fails only while the number of its letters and digits is no multiple of four: one letter
# more in a comment and the user-data is noise, without an error.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > ovf.py <<'PYTHON'
import sys
from xml.sax.saxutils import quoteattr
from cloudinit.sources import DataSourceOVF
text = quoteattr(sys.argv[1]).replace("\n", "&#10;")
_, userdata, _ = DataSourceOVF.read_ovf_environment(f"""<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
    xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"><PropertySection>
    <Property oe:key="user-data" oe:value={text}/></PropertySection></Environment>""")
print(userdata)
PYTHON
same 'as it is' "b'#cloud-config\\nruncmd: [ab]\\n'" "$(/usr/bin/python3 ovf.py $'#cloud-config\nruncmd: [ab]\n')"
same 'one letter more' "b\"rZ.u\\xca'~(+\\xbaw&u\\xa6\\xdb\"" "$(/usr/bin/python3 ovf.py $'#cloud-config\nruncmd: [abb]\n')"
