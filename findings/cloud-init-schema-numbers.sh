#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `cloud-init schema` calls a config invalid that cloud-init itself takes: numbers without quotes at the end of a
# mount, as fstab has them, and in a command's list. Its code says that it makes text of both, and does.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'python3-jsonschema=4.10.3-*' 'python3-attr=22.2.0-*' 'python3-pyrsistent=0.18.1-*'

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
cat > config.yaml <<YAML
#cloud-config
mounts: [[LABEL=data, /data, ext4, defaults, 0, 2]]
runcmd: [[sleep, 1]]
YAML
same 'the schema' "mounts.0.4: 0 is not of type 'string', mounts.0.5: 2 is not of type 'string', runcmd.0: ['sleep', 1] is not valid under any of the given schemas" \
    "$(/usr/bin/python3 -m cloudinit.cmd.main schema --config-file config.yaml 2>&1 | sed -n 's/.*schema errors: //p')"
same 'the mount' 'LABEL=data	/data	ext4	defaults,comment=cloudconfig	0	2' "$(fstab_of < config.yaml)"
same 'the command' "#!/bin/sh
'sleep' '1'" "$(/usr/bin/python3 -c 'import yaml; from cloudinit import util; print(util.shellify(yaml.safe_load(open("config.yaml"))["runcmd"]))')"
