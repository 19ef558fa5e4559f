#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: `permissions: 644` of write_files, without quotes, is the number 644, and that is mode 01204: the sticky bit,
# writing for the owner, reading for others. With quotes or with a leading 0 it is 0644.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
mode() {
    printf 'write_files: [{path: %s/file, content: x, owner: %s, permissions: %s}]\n' "$work" "$(id -un):$(id -gn)" "$1" > config
    /usr/bin/python3 -c 'import yaml; from cloudinit.config import cc_write_files as w; w.write_files("x", yaml.safe_load(open("config"))["write_files"], "root:root")'
    stat --format=%a file
    rm -f file
}
same "'644'" 644 "$(mode "'644'")"
same '0644' 644 "$(mode 0644)"
same '644' 1204 "$(mode 644)"
