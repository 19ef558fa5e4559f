#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: its documentation's own example of resolv_conf has `searchdomains` and `domain`, and both are written. To the C library
# the last of the two lines counts: the domains to search are not searched.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
/usr/bin/python3 - <<'PYTHON'
import logging, yaml
from cloudinit.config import cc_resolv_conf
example = next(example for example in cc_resolv_conf.meta["examples"] if "searchdomains" in example)
given = yaml.safe_load(example)["resolv_conf"]
print("searchdomains:", given["searchdomains"], "domain:", given["domain"])
cc_resolv_conf.generate_resolv_conf("root/etc/cloud/templates/resolv.conf.tmpl", given, "./resolv.conf")
PYTHON
same 'what is written' 'search foo.example.com bar.example.com 
domain example.com' "$(grep '^search\|^domain' resolv.conf)"
same 'the C library' "['example.com']" "$(searched resolv.conf)"
