#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `extra_opts` of fs_setup may be a text, says the schema that cloud-init validates with. The text is taken apart into
# letters, and mkfs gets each as an argument. Only a list works.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'python3-jsonschema=4.10.3-*' 'python3-attr=22.2.0-*' 'python3-pyrsistent=0.18.1-*'

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
echo '{device: /dev/vdy, partition: none, filesystem: ext4, extra_opts: "-m 1"}' > entry
printf '#cloud-config\nfs_setup: [%s]\n' "$(cat entry)" > config.yaml
same 'the schema' 'Valid cloud-config: config.yaml' "$(/usr/bin/python3 -m cloudinit.cmd.main schema --config-file config.yaml 2>&1 | tail -1)"
same 'the command' "['mkfs.ext4', '-F', '-', 'm', ' ', '1', '/dev/vdy']" "$(mkfs_of < entry)"
same 'the command for a list' "['mkfs.ext4', '-F', '-m', '1', '/dev/vdy']" "$(sed 's/"-m 1"/[-m, "1"]/' entry | mkfs_of)"
